"""Signing of pushed records: HMAC-SHA256 over timestamp and body (ARCHITECTURE, decision 6)."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta

from core.errors import Unauthorized

TIMESTAMP_HEADER = "X-Yihu-Timestamp"
SIGNATURE_HEADER = "X-Yihu-Signature"
TOLERANCE = timedelta(minutes=5)


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """``v1=`` and the hex digest. ``timestamp`` is ISO 8601 with zone; each attempt signs afresh."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"v1={digest}"


def headers(secret: str, now: datetime, body: bytes) -> dict[str, str]:
    stamp = now.isoformat()
    return {TIMESTAMP_HEADER: stamp, SIGNATURE_HEADER: sign(secret, stamp, body)}


def verify(secret: str, now: datetime, timestamp: str, signature: str, body: bytes) -> None:
    """Raise Unauthorized unless the signature is right and not older (or newer) than five minutes."""
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        raise Unauthorized(f"{TIMESTAMP_HEADER} is no ISO 8601 moment", id="bad-timestamp") from None
    if moment.tzinfo is None or abs(now - moment) > TOLERANCE:
        raise Unauthorized(
            f"{TIMESTAMP_HEADER} is more than five minutes off", id="stale-timestamp", fix="check both clocks"
        )
    if not hmac.compare_digest(sign(secret, timestamp, body).encode(), signature.encode()):
        raise Unauthorized("the signature does not fit the body", id="bad-signature")
