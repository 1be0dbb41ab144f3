"""Is a process ready? Asked from outside, the way its users would notice."""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Callable
from pathlib import Path

from core.errors import Unavailable
from core.settings import Settings
from yihu.beat import STALE_SECONDS
from yihu.manager_socket import Manager

PROBE_SECONDS = 2.0

Probe = Callable[[], bool]


class AsteriskProbe:
    """The manager takes our log-in, Asterisk says that it is fully booted, and from then on answers pings.

    The connection is kept: a log-in every few seconds would fill Asterisk's security log.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._manager: Manager | None = None

    def __call__(self) -> bool:
        try:
            if self._manager is None:
                manager = Manager(self.settings, PROBE_SECONDS)
                try:
                    manager.wait_for("FullyBooted")
                    manager.silence()
                except BaseException:
                    manager.close()
                    raise
                self._manager = manager
            self._manager.ask("Ping")
        except Unavailable:
            if self._manager is not None:
                self._manager.close()
                self._manager = None
            return False
        return True


def agi(settings: Settings) -> bool:
    """The FastAGI server answers a ping."""
    from agi.server import ping

    return ping("127.0.0.1", settings.port("agi_port"), PROBE_SECONDS)


def beat(path: Path) -> bool:
    """The heartbeat file is fresh."""
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime < STALE_SECONDS
    return False


def local_host(bind: str) -> str:
    """An address at which something bound to ``bind`` is reached from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 — compared, not bound


def web(settings: Settings) -> bool:
    """``GET /healthz`` answers 200."""
    connection = http.client.HTTPConnection(local_host(settings.bind), settings.port("web_port"), timeout=PROBE_SECONDS)
    trusted = settings.trusted_hosts.split(",")[0].strip()
    try:
        connection.request("GET", "/healthz", headers={"Host": trusted} if trusted else {})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
