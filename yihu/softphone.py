"""A telephone for programs: places and answers real SIP calls with real sound, many at once.

::

    with SoftPhone("127.0.0.2") as phone:
        call = phone.call("12345", "127.0.0.1:15060", caller="15409980001", save=Path("heard.wav"))
        call.wait("answered", 10)
        call.keys("1")
        call.hang_up()
        print(call.report())

The SIP library runs in processes of its own (:mod:`yihu.softphone_worker`), as many as the calls need; when one dies,
its calls are reported as ended and later commands raise Unavailable. Times are seconds; moments are of ``time.time()``.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from core.errors import Invalid, Unavailable
from yihu import softphone_audio as audio
from yihu.softphone_process import CAPACITY, LibraryProcess

NUMBER = re.compile(r"^(?:[0-9+*#]{1,40}|selftest)$")
SIP_ANSWERED = 200
LINE = "line"  # the account that is not registered anywhere


def listening(host: str, port: int, source: str, *, seconds: float = 2.0) -> bool:
    """Does anything answer SIP at ``host:port``? Asked from the address ``source`` with one OPTIONS.

    Raises Unavailable when this machine has no such address as ``source``.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((source, 0))
        except OSError as exc:
            raise Unavailable(f"this machine does not have the address {source}: {exc.strerror}") from exc
        own = sock.getsockname()[1]
        tag = uuid.uuid4().hex
        text = (
            f"OPTIONS sip:{host}:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {source}:{own};rport;branch=z9hG4bK{tag}\r\n"
            f"Max-Forwards: 1\r\nFrom: <sip:check@{source}>;tag={tag[:8]}\r\nTo: <sip:{host}:{port}>\r\n"
            f"Call-ID: {tag}\r\nCSeq: 1 OPTIONS\r\nContact: <sip:check@{source}:{own}>\r\nContent-Length: 0\r\n\r\n"
        )
        end = time.monotonic() + seconds
        sock.settimeout(0.5)
        try:
            sock.connect((host, port))
            while time.monotonic() < end:
                sock.send(text.encode())  # again: a datagram may be lost
                with contextlib.suppress(TimeoutError):
                    return sock.recv(4096).startswith(b"SIP/2.0 ")
        except OSError:  # the port is closed
            return False
    return False


@dataclass(frozen=True)
class CallReport:
    """How a call went."""

    answered: bool
    sip_code: int  # final answer to the call: 200 when answered; 0 when none came
    reason: str
    seconds: float  # from the answer to the end
    ring_seconds: float  # from the start to the answer (or to the end, if there was no answer)
    heard_seconds: float  # of sound above audio.SILENCE_DB; 0 without ``save``
    heard_rms_db: float | None
    ended_by: str  # us | them
    keys_sent: str


class PhoneCall:
    """A call of the telephone, as it goes on. Made by :meth:`SoftPhone.call`, or by an incoming call."""

    def __init__(
        self, phone: SoftPhone, process: LibraryProcess, ident: str, save: Path | None = None, remote: str = ""
    ) -> None:
        self.phone, self.process, self.ident, self.save, self.remote = phone, process, ident, save, remote
        self.started_at = time.time()
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self.sip_code = 0
        self.reason = ""
        self.ended_by = ""
        self.errors: list[str] = []
        self.keys_heard = ""
        self.keys_sent = ""

    @property
    def over(self) -> bool:
        return self.ended_at is not None

    def wait(self, what: str, seconds: float) -> bool:
        """Wait until the call is ``answered`` or ``ended``. Returns whether it came to that in time.

        Waiting for the answer of a call that ends without one returns False at once.
        """
        if what == "answered":
            self.phone.wait_for(lambda: self.answered_at is not None or self.over, seconds)
            return self.answered_at is not None
        if what == "ended":
            return self.phone.wait_for(lambda: self.over, seconds)
        raise ValueError(what)

    def keys(self, keys: str) -> None:
        """Press keys (0-9 * #), one after the other (RFC 4733)."""
        if not re.fullmatch(r"[0-9*#]+", keys):
            raise Invalid(f"not telephone keys: {keys!r}", fix="use 0-9, * and #")
        self.process.send("keys", self.ident, keys=keys)
        self.keys_sent += keys

    def play(self, path: Path, *, loop: bool = False) -> None:
        """Say a sound file (see audio.load for what it may be) instead of what was being said."""
        self.process.send("play", self.ident, path=self.phone.playable(path), loop=loop)

    def silence(self) -> None:
        """Say nothing from now on."""
        self.process.send("silence", self.ident)

    def answer(self, code: int = SIP_ANSWERED) -> None:
        """Answer an incoming call, or refuse it with a SIP code."""
        self.process.send("answer", self.ident, code=code)

    def hang_up(self, seconds: float = 5.0) -> None:
        """End the call and wait until it has ended. No effect when it is over."""
        if not self.over:
            self.process.send("hangup", self.ident)
            self.wait("ended", seconds)

    def sound(self) -> audio.Samples:
        """Everything heard so far (empty unless the call is saved)."""
        return audio.capture(self.save) if self.save else audio.NOTHING

    def wait_tone(self, hertz: float, seconds: float, *, lasting: float = 0.3, since: float = 0.0) -> bool:
        """Wait until a tone has been heard for ``lasting`` seconds in all; ``since`` skips the sound before."""
        skip = round(since * audio.RATE)
        end = time.monotonic() + seconds
        while audio.tone_seconds(self.sound()[skip:], hertz) < lasting:
            if time.monotonic() > end or self.over:
                return audio.tone_seconds(self.sound()[skip:], hertz) >= lasting
            time.sleep(0.1)
        return True

    def report(self) -> CallReport:
        """How the call went; complete once it has ended."""
        end = self.ended_at or time.time()
        heard = audio.heard(self.sound())
        return CallReport(
            answered=self.answered_at is not None,
            sip_code=self.sip_code,
            reason=self.reason,
            seconds=round(end - self.answered_at, 2) if self.answered_at else 0.0,
            ring_seconds=round((self.answered_at or end) - self.started_at, 2),
            heard_seconds=heard.seconds,
            heard_rms_db=heard.rms_db,
            ended_by=self.ended_by or "us",
            keys_sent=self.keys_sent,
        )

    def learn(self, event: dict[str, Any]) -> None:
        """Take in an event of the library's process."""
        match event["event"]:
            case "answered":
                self.answered_at, self.sip_code = event["at"], SIP_ANSWERED
            case "ended":
                self.sip_code, self.reason, self.ended_by = event["code"], event["reason"], event["by"]
                self.ended_at = event["at"]
            case "key":
                self.keys_heard += event["key"]
            case "error":
                self.errors.append(event["reason"])


class SoftPhone:
    """A telephone at ``address`` (an address of this machine). Any thread may use it. Use it in a ``with``."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.calls: dict[str, PhoneCall] = {}
        self.incoming: list[PhoneCall] = []
        self.registered: dict[str, bool] = {}
        self._codes: dict[str, int] = {}  # last answer to a registration
        self._accounts: dict[str, LibraryProcess] = {}
        self._processes: list[LibraryProcess] = []
        self._changed = threading.Condition()
        self._converting = threading.Lock()
        self._numbers = itertools.count(1)
        self._sounds: dict[Path, Path] = {}

    # -- its life ------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Raises Unavailable when the library does not start (for instance, no such address)."""
        self.folder = Path(tempfile.mkdtemp(prefix="yihu-softphone-"))
        try:
            self._take_slot("").busy.clear()
        except Unavailable:
            self.stop()
            raise

    @property
    def processes(self) -> tuple[LibraryProcess, ...]:
        """The library's processes, as many as the calls have needed so far."""
        return tuple(self._processes)

    def stop(self) -> None:
        """Hang up every call and end. No effect when it has ended."""
        for process in self._processes:
            process.quit()
        for process in self._processes:
            process.join()
        self._processes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- calls -----------------------------------------------------------------------------------------------

    def call(
        self,
        number: str,
        host: str,
        *,
        caller: str = "",
        play: Path | None = None,
        loop: bool = False,
        save: Path | None = None,
    ) -> PhoneCall:
        """Call ``number`` at ``host`` ("127.0.0.1:15060"), as ``caller`` (empty: number withheld).

        ``play`` is said when the call is answered; ``save`` is where what is heard is written (WAV, growing).
        """
        if not NUMBER.match(number) or (caller and not NUMBER.match(caller)):
            raise Invalid(f"not a telephone number: {number!r} or {caller!r}", fix="use digits, + * #, or selftest")
        say = self.playable(play) if play else None
        ident = f"c{next(self._numbers)}"
        process = self._take_slot(ident)
        call = PhoneCall(self, process, ident, save)
        with self._changed:
            self.calls[ident] = call
        process.send(
            "call",
            ident,
            uri=f"sip:{number}@{host}",
            from_uri=f"sip:{caller or 'anonymous'}@{self.address}",
            play=say,
            loop=loop,
            save=str(save) if save else None,
        )
        return call

    def listen(self, **manner: Any) -> str:
        """Take calls that come in unasked, in the ``manner`` of :meth:`register`; returns host:port to call."""
        process = self._take_slot(LINE)
        self._accounts[LINE] = process
        self.manner(LINE, **{"auto": "answer", "after": 0.2, **manner})
        return process.contact

    def register(self, user: str, password: str, host: str, *, seconds: float = 10.0, **manner: Any) -> None:
        """Register as a phone that answers by itself.

        ``manner``: auto ("answer", "reject" or "ring"), after (seconds), talk_seconds (then it hangs up),
        play (path: said in each call), save_dir (folder: what each call heard). Raises Unavailable when refused.
        """
        process = self._take_slot(user)
        self._accounts[user] = process
        process.send("account", user, registrar=f"sip:{host}", user=user, password=password)
        self.manner(user, **{"auto": "answer", "after": 0.2, **manner})
        self.wait_for(lambda: self.registered.get(user, False) or self._codes.get(user, 0) >= 400, seconds)
        if not self.registered.get(user):
            raise Unavailable(f"{user} could not register: SIP {self._codes.get(user, 'no answer')}")

    def manner(self, user: str, **manner: Any) -> None:
        """Change how a registered phone treats calls from now on."""
        if manner.get("play"):
            manner["play"] = self.playable(Path(manner["play"]))
        self._accounts[user].send("manner", user, **manner)

    def unregister(self, user: str, seconds: float = 5.0) -> None:
        self._accounts[user].send("unregister", user)
        self.wait_for(lambda: not self.registered.get(user), seconds)

    def playable(self, path: Path) -> str:
        """The file as the library wants it (8 kHz, mono), made once."""
        path = path.resolve()
        with self._converting:
            if path not in self._sounds:
                made = self.folder / f"say-{len(self._sounds)}.wav"
                audio.save(made, audio.load(path))
                self._sounds[path] = made
            return str(self._sounds[path])

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until ``condition`` holds (looked at after each event); returns whether it does."""
        with self._changed:
            return bool(self._changed.wait_for(condition, seconds))

    # -- the library's processes -------------------------------------------------------------------------------

    def _take_slot(self, ident: str) -> LibraryProcess:
        """A process with room for one more, started if need be."""
        with self._changed:
            process = next((p for p in self._processes if p.alive and len(p.busy) < CAPACITY), None)
            if process is None:
                log = self.folder / f"log-{len(self._processes)}"
                process = LibraryProcess(self.address, log, self._event, self._died)
                self._processes.append(process)
            process.busy.add(ident)
        process.wait_ready()
        return process

    def _event(self, event: dict[str, Any]) -> None:
        ident = event["id"]
        with self._changed:
            match event["event"]:
                case "registered":
                    self.registered[ident] = event["active"]
                    self._codes[ident] = event["code"]
                case "incoming" if event["account"] in self._accounts:
                    save = Path(event["save"]) if event["save"] else None
                    call = PhoneCall(self, self._accounts[event["account"]], ident, save, event["remote"])
                    self.calls[ident] = call
                    self.incoming.append(call)
                case "ended" if ident in self.calls:
                    self.calls[ident].process.busy.discard(ident)
                    self.calls[ident].learn(event)
                case _ if ident in self.calls:
                    self.calls[ident].learn(event)
                case _:
                    pass
            self._changed.notify_all()

    def _died(self) -> None:
        with self._changed:
            for call in self.calls.values():
                if not call.over and not call.process.alive:
                    call.learn({"event": "ended", "at": time.time(), "code": 0, "reason": "telephone died", "by": "us"})
            for user, process in self._accounts.items():
                if not process.alive:
                    self.registered[user] = False
            self._changed.notify_all()
