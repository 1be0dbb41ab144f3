"""Where a call session meets a caller: the fake one, or a Local channel of a real Asterisk."""

from __future__ import annotations

import queue
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from agi.ami import AmiClient
from agi.channel import Channel
from agi.errors import AgiError, Hangup
from agi.server import AgiServer
from tests.contracts.asterisk import MULTI, RealAsterisk
from tests.fake_asterisk import FakeCaller, Message

T = TypeVar("T")
STAY = 30.0


class World(Protocol):
    """``call`` runs a session with a caller and returns what it returned, or raises what it raised.

    ``keys`` are pressed once the call is answered; w is half a second. The caller hangs up ``stay`` seconds later.
    ``say``: speaks for two seconds first. ``session`` gets an answered channel.
    """

    def call(self, session: Callable[[Channel], T], *, keys: str = "", stay: float = STAY, say: bool = False) -> T: ...

    def prompt(self, name: str) -> str: ...

    def capture(self, name: str) -> str: ...


class _Sessions:
    """The server, and the session of the next call."""

    def __init__(self, port: int) -> None:
        self.server = AgiServer("127.0.0.1", port, {"/call": self._serve})
        self.session: Callable[[Channel], Any] = lambda channel: None
        self._results: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def _serve(self, channel: Channel) -> None:
        try:
            channel.answer()
            result = self.session(channel)
        except BaseException as exc:
            self._results.put((None, exc))
        else:
            self._results.put((result, None))
        finally:
            try:
                channel.set_variable("YIHU_DONE", 1)
                channel.hangup()
            except (Hangup, AgiError):
                pass

    def outcome(self) -> Any:
        result, error = self._results.get(timeout=60)
        if error is not None:
            raise error
        return result


class FakeWorld:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sessions = _Sessions(0)
        self._sessions.server.start()
        self.pace = 0.0

    def call(self, session: Callable[[Channel], T], *, keys: str = "", stay: float = STAY, say: bool = False) -> T:
        self._sessions.session = session
        moment, presses = 2.0 if say else 0.0, []
        for key in keys:
            if key == "w":
                moment += 0.5
            else:
                presses.append((moment + 0.1, key))
                moment += 0.35
        caller = FakeCaller(
            self._sessions.server.port,
            keys=presses,
            hang_up_at=moment + stay,
            lengths={"greeting": 4.0, "short": 0.3},
            missing=("missing",),
            message=Message(2.0 if say else 0.0, presses[0][1] if presses else "hang-up" if stay < 10 else "silence"),
            pace=self.pace,
        )
        caller.database["contract", "multi"] = MULTI
        caller.functions["DB(contract/multi)"] = MULTI
        with caller:
            outcome: T = self._sessions.outcome()
            caller.join()
        return outcome

    def prompt(self, name: str) -> str:
        return f"/prompts/zh/{name}"

    def capture(self, name: str) -> str:
        return str(self._folder / name)

    def close(self) -> None:
        self._sessions.server.stop()


class RealWorld:
    def __init__(self, asterisk: RealAsterisk, ami: AmiClient) -> None:
        self.asterisk, self.ami = asterisk, ami
        self._sessions = _Sessions(asterisk.settings.port("agi_port"))
        self._sessions.server.start()

    def call(self, session: Callable[[Channel], T], *, keys: str = "", stay: float = STAY, say: bool = False) -> T:
        self._sessions.session = session
        dialled = self.ami.action(
            "Originate",
            Channel="Local/12345@inbound/n",
            Context="contract-caller",
            Exten="script",
            Priority=1,
            CallerID="<15409980001>",
            Variable=[f"KEYS={keys}", f"STAY={stay}", f"SAY={self.prompt('speech') if say else ''}"],
            Timeout=20000,
            Async=True,
        )
        assert dialled.success, dialled.message
        outcome: T = self._sessions.outcome()
        return outcome

    def prompt(self, name: str) -> str:
        return self.asterisk.prompt(name)

    def capture(self, name: str) -> str:
        return self.asterisk.capture(name)

    def close(self) -> None:
        self._sessions.server.stop()
