"""Browser phones as rows of Asterisk's own database: what an endpoint, its address and its password look like.

Written by DBPut and read by ``res_sorcery_astdb`` (sorcery.conf: ``astdb,yihu``), they are in force at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

FAMILY = "yihu"
CONTACTS = "registrar/contact"  # where res_pjsip_registrar keeps registrations


@dataclass(frozen=True)
class PhoneTemplate:
    """Settings of a kind of phone; ``pjsip.conf``'s names and values."""

    endpoint: Mapping[str, str] = field(default_factory=dict)
    aor: Mapping[str, str] = field(default_factory=dict)

    def rows(self, phone: str, password: str) -> dict[str, str]:
        """Row type ("auth", "aor", "endpoint", in the order of writing) → JSON."""
        rows = {
            "auth": {"auth_type": "userpass", "username": phone, "password": password},
            "aor": dict(self.aor),
            "endpoint": {**self.endpoint, "aors": phone, "auth": phone},
        }
        return {kind: json.dumps(row, separators=(",", ":")) for kind, row in rows.items()}


_ADDRESS = {
    "max_contacts": "1",
    "remove_existing": "yes",
    # Asterisk learns that a row exists (device state, events) only from a contact that is qualified. 15 s.
    "qualify_frequency": "15",
}

BROWSER = PhoneTemplate(
    endpoint={
        "transport": "ws",
        "webrtc": "yes",
        "context": "phones",
        # By user name only: nobody becomes a phone by where he calls from.
        "identify_by": "username",
        "disallow": "all",
        "allow": "opus,alaw,ulaw",
        # A browser that is closed says no goodbye: 8 s without audio end its leg.
        "rtp_timeout": "8",
        "direct_media": "no",
        "allow_transfer": "no",
        "allow_subscribe": "no",
    },
    aor=_ADDRESS,
)

# Ordinary SIP over UDP, for load tests and desk phones on the same machine.
PLAIN = PhoneTemplate(
    endpoint={
        "transport": "udp",
        "context": "phones",
        "identify_by": "username",
        "disallow": "all",
        "allow": "alaw,ulaw",
        "rtp_timeout": "8",
        "rtp_symmetric": "yes",
        "direct_media": "no",
        "allow_transfer": "no",
        "allow_subscribe": "no",
    },
    aor=_ADDRESS,
)
