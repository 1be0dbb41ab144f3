"""Renders ``asterisk_conf/*.j2`` into ``HOME/asterisk/etc``.

Every value that ends in a file passes :func:`safe`: a line break, ``;``, ``$``, comma, bracket or quote in a setting
would otherwise become configuration or dialplan of its own.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from pathlib import Path
from typing import Any

import jinja2

from core.errors import SettingsError
from core.secrets import secret
from core.settings import REPO, Settings
from yihu.asterisk_install import Asterisk
from yihu.asterisk_modules import OPTIONAL, REQUIRED

TEMPLATES = REPO / "asterisk_conf"
AMI_USER = "yihu"
EMERGENCY_NUMBERS = ("110", "119", "120", "122")
# Prompts the dialplan plays by itself, each speaking Chinese and then Uyghur: HOME/prompts/zh/<name>.wav
NET_PROMPTS = ("net-notice", "net-after-talk", "net-emergency", *(f"sim-{number}" for number in EMERGENCY_NUMBERS))
FOLDERS = ("etc", "lib", "lib/agi-bin", "lib/keys", "spool", "run", "log", "log/cel-custom", "cache", "capture")

_SAFE = re.compile(r"^[\w ./:@+=~%-]*$")


def base_dir(settings: Settings) -> Path:
    """Asterisk's own folder: the only part of the home that its user may write to."""
    return settings.home / "asterisk"


def config_file(settings: Settings) -> Path:
    return base_dir(settings) / "etc" / "asterisk.conf"


def safe(value: Any) -> str:
    """``value`` as text for a configuration file. Raises SettingsError when it could mean more than itself."""
    text = str(value)
    if not _SAFE.match(text) or text != text.strip() or "\n" in text:
        raise SettingsError(
            f"a setting that Asterisk reads has characters it must not have: {text!r}",
            fix="use letters, digits, space and . / : @ + = ~ % _ - only (this goes for folder names too)",
        )
    return text


def bind_address(settings: Settings) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """``settings.bind`` as an address. Raises SettingsError when it is a host name."""
    try:
        return ipaddress.ip_address(settings.bind)
    except ValueError:
        raise SettingsError(
            f"bind: Asterisk needs an IP address, not {settings.bind!r}", fix="for instance 127.0.0.1 or 0.0.0.0"
        ) from None


def trunk_network(settings: Settings) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """``settings.trunk_address`` as a network. Raises SettingsError when it is none, or lets everybody in."""
    try:
        network = ipaddress.ip_network(settings.trunk_address, strict=False)
    except ValueError:
        raise SettingsError(
            f"trunk_address: {settings.trunk_address!r} is no IP address or network", fix="for instance 203.0.113.10"
        ) from None
    if network.prefixlen < 8:
        raise SettingsError(f"trunk_address: {network} lets half the world in", fix="name the trunk's own network")
    return network


def _check_length(base: Path) -> None:
    """The kernel takes socket names of 107 bytes at most; Asterisk's console socket is the longest."""
    longest = 107
    over = len(os.fsencode(base / "run" / "asterisk.ctl")) - longest
    if over > 0:
        raise SettingsError(f"the home's path is {over} bytes too long for Asterisk", fix="use a shorter YIHU_HOME")


def _values(settings: Settings, asterisk: Asterisk) -> dict[str, Any]:
    _check_length(base_dir(settings))
    base, bind, trunk = base_dir(settings), bind_address(settings), trunk_network(settings)
    live = settings.emergency_mode == "live"
    single = trunk.num_addresses == 1
    if live and not single:
        raise SettingsError(
            f"emergency_mode=live dials over the trunk, but trunk_address is a whole network ({trunk})",
            fix="set trunk_address to the one address calls are sent to",
        )
    bracket = f"[{bind}]" if bind.version == 6 else str(bind)
    host = trunk.network_address
    return {
        "etc": base / "etc",
        "base": base,
        "module_dir": asterisk.modules,
        "data_dir": asterisk.data,
        "node": settings.node,
        "bind": bind,
        "media_address": "" if bind.is_unspecified else bind,
        **{name: settings.port(name) for name in ("sip_port", "ami_port", "agi_port", "phone_port")},
        "rtp_first": settings.port("rtp_first"),
        "rtp_last": settings.port("rtp_last"),
        "ami_user": AMI_USER,
        "ami_secret": secret(settings.home, "ami"),
        "trunk_match": trunk,
        "trunk_host": _Raw(f"[{host}]" if host.version == 6 else str(host)) if single else "",
        "emergency_number": settings.safety_net_emergency,
        "prompts": settings.prompts_dir,
        "moh_dir": settings.home / "moh",
        "capture": settings.capture_dir,
        # Not text of their own: brackets that safe() refuses, truth values, lists.
        "bind_uri": _Raw(bracket),
        "emergency_live": live,
        "emergency_numbers": EMERGENCY_NUMBERS,
        "required": REQUIRED,
        "optional": [name for name in OPTIONAL if (asterisk.modules / f"{name}.so").is_file()],
    }


class _Raw(str):
    """Text made here, not by a setting: passes :func:`_finalize` as it is."""


def _finalize(value: Any) -> str:
    return value if isinstance(value, _Raw) else safe(value)


def render(settings: Settings, asterisk: Asterisk) -> dict[str, str]:
    """File name → text of every configuration file. Raises SettingsError naming a value that cannot be used."""
    environment = jinja2.Environment(  # noqa: S701 — not HTML; every expression goes through safe()
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        keep_trailing_newline=True,
    )
    values = _values(settings, asterisk)
    return {
        path.name.removesuffix(".j2"): environment.get_template(path.name).render(values)
        for path in sorted(TEMPLATES.glob("*.j2"))
    }


def write(settings: Settings, asterisk: Asterisk) -> bool:
    """Write the files (0640: the manager's secret is among them); True when anything changed."""
    base = base_dir(settings)
    for name in FOLDERS:
        (base / name).mkdir(parents=True, exist_ok=True)
    etc = base / "etc"
    changed = False
    texts = render(settings, asterisk)
    for path in etc.glob("*.conf"):
        if path.name not in texts:
            path.unlink()
            changed = True
    for name, text in texts.items():
        path = etc / name
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        draft = etc / f".{name}.draft"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "w", encoding="utf-8") as handle:
            handle.write(text)
        draft.replace(path)
        changed = True
    return changed


def fingerprint(settings: Settings) -> str:
    """A hash of the files as they are: tells whether a running Asterisk still has the present configuration."""
    digest = hashlib.sha256()
    for path in sorted((base_dir(settings) / "etc").glob("*.conf")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
