"""Are the ports free? And if not: who has them, and which setting changes them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable

import psutil

from core.errors import SettingsError
from core.settings import Settings

LOOPBACK = "127.0.0.1"
# setting → (kind of socket, listens on settings.bind rather than on loopback alone, process that uses it)
USES = {
    "sip_port": (socket.SOCK_DGRAM, True, "asterisk"),
    "ami_port": (socket.SOCK_STREAM, False, "asterisk"),
    "phone_port": (socket.SOCK_STREAM, True, "asterisk"),
    "agi_port": (socket.SOCK_STREAM, False, "agi"),
    "web_port": (socket.SOCK_STREAM, True, "web"),
}


def free(kind: int, host: str, port: int) -> bool:
    """Can this address be bound now?"""
    version = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(version, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def holder(kind: int, port: int) -> str:
    """Name and id of the process that has ``port``; empty when this user may not know."""
    with contextlib.suppress(psutil.Error, OSError):
        for entry in psutil.net_connections("udp" if kind == socket.SOCK_DGRAM else "tcp"):
            listening = kind == socket.SOCK_DGRAM or entry.status == psutil.CONN_LISTEN
            if entry.laddr and entry.laddr[1] == port and listening and entry.pid:
                return f"{psutil.Process(entry.pid).name()} (process {entry.pid})"
    return ""


def taken(settings: Settings, except_of: Iterable[str] = ()) -> list[str]:
    """A sentence for each taken port, leaving out the ports of the processes ``except_of``."""
    lines = []
    for name, (kind, public, process) in USES.items():
        port = settings.port(name)
        if process in except_of or free(kind, settings.bind if public else LOOPBACK, port):
            continue
        who = holder(kind, port)
        protocol = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
        lines.append(f"{name} {port} ({protocol}) is taken" + (f" by {who}" if who else ""))
    return lines


def check(settings: Settings, except_of: Iterable[str] = ()) -> None:
    """Raises SettingsError naming every taken port, who has it, and the settings that change it."""
    lines = taken(settings, except_of)
    if lines:
        names = sorted({line.split()[0] for line in lines})
        raise SettingsError(
            "; ".join(lines),
            fix=f"end that program, or set {', '.join(names)} (YIHU_{names[0].upper()}=…), "
            "or move all ports with port_shift (YIHU_PORT_SHIFT=…)",
        )
