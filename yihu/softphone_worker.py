"""A telephone without a person: ``python -m yihu.softphone_worker ADDRESS MAX_CALLS``.

The SIP library (pjsua2) lives in this process alone, so that nothing it does can hurt the program that uses it.
Commands come in as JSON lines on standard input, events go out as JSON lines on standard output; see
:mod:`yihu.softphone`, which speaks to it. One thread does everything: library callbacks run inside ``libHandleEvents``.
"""

from __future__ import annotations

import heapq
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import pjsua2 as pj

CODECS = ("PCMA/8000", "PCMU/8000")
POLL_MS = 20
LONGEST_GOODBYE = 3.0  # seconds in which hang-ups are sent before the process ends


class _Call(pj.Call):  # type: ignore[misc]  # pjsua2 has no types
    """A call of ours; what it tells is handed on with its id."""

    def __init__(self, phone: Phone, ident: str, account: pj.Account, library_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(account, library_id)
        self.phone, self.ident = phone, ident
        self.save: str | None = None
        self.play: tuple[str, bool] | None = None
        self.recorder: Any = None
        self.player: Any = None
        self.audio: Any = None
        self.confirmed = False
        self.ours = False  # we have hung up
        self.code = 0

    def onCallState(self, prm: Any) -> None:
        self.phone.guarded(self.ident, self._state)

    def onCallMediaState(self, prm: Any) -> None:
        self.phone.guarded(self.ident, self._media)

    def onDtmfDigit(self, prm: Any) -> None:
        self.phone.emit("key", self.ident, key=str(prm.digit))

    def _state(self) -> None:
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_EARLY:
            self.phone.emit("ringing", self.ident, code=int(info.lastStatusCode))
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED and not self.confirmed:
            self.confirmed = True
            self.code = 200
            self.phone.emit("answered", self.ident)
            self._wire()
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.phone.emit(
                "ended",
                self.ident,
                code=self.code or int(info.lastStatusCode),
                reason=str(info.lastReason),
                by="us" if self.ours else "them",
            )
            self.phone.forget(self)

    def _media(self) -> None:
        info = self.getInfo()
        for index, media in enumerate(info.media):
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE:
                self.audio = self.getAudioMedia(index)
                self.phone.emit("media", self.ident)
                self._wire()
                return
        self.audio = None

    def _wire(self) -> None:
        if self.audio is None:
            return
        if self.save and self.recorder is None:
            self.recorder = pj.AudioMediaRecorder()
            self.recorder.createRecorder(self.save)
        if self.recorder is not None:
            self.audio.startTransmit(self.recorder)
        if self.confirmed and self.play:
            self.start_playing(*self.play)

    def start_playing(self, path: str, loop: bool) -> None:
        """Play a WAV file into the call. A looped file is read once for all calls."""
        self.play = (path, loop)
        if self.audio is None or not self.confirmed:
            return
        self.stop_playing()
        self.player = self.phone.player(path, loop)
        self.player.startTransmit(self.audio)
        self.play = None

    def stop_playing(self) -> None:
        if self.player is not None and self.audio is not None:
            self.player.stopTransmit(self.audio)
        self.player = None

    def release(self) -> None:
        """Give up the sound ports: the recorder then closes its file."""
        self.recorder = self.player = self.audio = None


class _Account(pj.Account):  # type: ignore[misc]
    """A registered phone that answers by itself in the way it was told to."""

    def __init__(self, phone: Phone, ident: str, manner: dict[str, Any]) -> None:
        super().__init__()
        self.phone, self.ident, self.manner = phone, ident, manner
        self.count = 0
        self.registered = False

    def onRegState(self, prm: Any) -> None:
        self.registered = bool(self.getInfo().regIsActive)
        self.phone.emit("registered", self.ident, code=int(prm.code), active=self.registered)

    def onIncomingCall(self, prm: Any) -> None:
        self.phone.guarded(self.ident, lambda: self._incoming(prm))

    def _incoming(self, prm: Any) -> None:
        self.count += 1
        call = _Call(self.phone, f"{self.ident}/{self.count}", self, prm.callId)
        self.phone.calls[call.ident] = call
        manner = self.manner
        if manner.get("save_dir"):
            call.save = f"{manner['save_dir']}/{call.ident.replace('/', '-')}.wav"
        if manner.get("play"):
            call.play = (manner["play"], True)
        self.phone.emit(
            "incoming", call.ident, account=self.ident, remote=str(call.getInfo().remoteUri), save=call.save
        )
        self.phone.answer(call, 180)
        action = manner.get("auto", "answer")
        if action != "ring":
            code = 200 if action == "answer" else 603
            self.phone.later(float(manner.get("after", 0.2)), lambda: self.phone.answer(call, code))
            if action == "answer" and manner.get("talk_seconds"):
                seconds = float(manner["after"]) + float(manner["talk_seconds"])
                self.phone.later(seconds, lambda: self.phone.hang_up(call.ident))


class Phone:
    """The library, its calls and its accounts."""

    def __init__(self, address: str, max_calls: int, out: int) -> None:
        self._out = out
        self.calls: dict[str, _Call] = {}
        self.accounts: dict[str, _Account] = {}
        self._graves: list[Any] = []
        self._stillborn: list[Any] = []  # calls that never came to be: letting go of one aborts the library
        self._players: dict[str, Any] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._address = address
        self._pending = b""
        self.endpoint = pj.Endpoint()
        self._start(address, max_calls)

    # -- the library -----------------------------------------------------------------------------------

    def _start(self, address: str, max_calls: int) -> None:
        endpoint = self.endpoint
        endpoint.libCreate()
        config = pj.EpConfig()
        config.logConfig.level = config.logConfig.consoleLevel = int(os.environ.get("YIHU_SOFTPHONE_LOG", "1"))
        # The library keeps a call's place for a moment after it has told its end: new calls come meanwhile.
        config.uaConfig.maxCalls = 2 * max_calls
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.userAgent = "Yihu softphone"
        config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
        config.medConfig.noVad = True  # silence is sent too, as a telephone line does
        config.medConfig.ecTailLen = 0
        config.medConfig.sndUseSwClock = True
        endpoint.libInit(config)
        endpoint.audDevManager().setNullDev()
        transport = pj.TransportConfig()
        transport.port = 0
        transport.boundAddress = transport.publicAddress = address
        self.contact = str(
            endpoint.transportGetInfo(endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)).localName
        )
        endpoint.libStart()
        for codec in endpoint.codecEnum2():
            wanted = codec.codecId.startswith(CODECS)
            endpoint.codecSetPriority(codec.codecId, 200 if wanted else 0)
        self.line = _Account(self, "line", {"auto": "reject", "after": 0.0})
        self.accounts["line"] = self.line
        # A domain of its own: by ours, the library would give it the calls of registered phones.
        self.line.create(self._account_config("sip:anonymous@anonymous.invalid"))

    def _account_config(self, uri: str) -> Any:
        config = pj.AccountConfig()
        config.idUri = uri
        transport = config.mediaConfig.transportConfig
        transport.boundAddress = transport.publicAddress = self._address
        transport.port = 0
        config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_INACTIVE
        config.natConfig.contactRewriteUse = 0
        config.natConfig.viaRewriteUse = 0
        config.natConfig.sdpNatRewriteUse = 0
        return config

    def player(self, path: str, loop: bool) -> Any:
        """A source of sound; it starts when something listens to it."""
        if loop and path in self._players:
            return self._players[path]
        player = pj.AudioMediaPlayer()
        player.createPlayer(path, 0 if loop else pj.PJMEDIA_FILE_NO_LOOP)
        if loop:
            self._players[path] = player
        return player

    # -- events out ----------------------------------------------------------------------------------------

    def emit(self, event: str, ident: str, **data: Any) -> None:
        line = json.dumps({"event": event, "id": ident, "at": time.time(), **data}, ensure_ascii=True) + "\n"
        raw = line.encode()
        while raw:
            raw = raw[os.write(self._out, raw) :]

    def guarded(self, ident: str, step: Callable[[], None]) -> None:
        """Run a step; its failure becomes an event. (An exception must not pass through the library.)"""
        try:
            step()
        except Exception as exc:
            reason = exc.reason if isinstance(exc, pj.Error) else f"{exc.__class__.__name__}: {exc}"
            self.emit("error", ident, reason=str(reason))

    def forget(self, call: _Call) -> None:
        """The call has ended. It is let go of outside of the library's callback."""
        self.calls.pop(call.ident, None)
        self._graves.append(call)

    def later(self, seconds: float, step: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), step))

    # -- commands in ---------------------------------------------------------------------------------------

    def do(self, command: dict[str, Any]) -> None:
        """One command; its failure is reported as an event of its call."""
        name, ident = command.pop("do"), command.pop("id", "")
        steps: dict[str, Callable[..., None]] = {
            "call": self.place,
            "account": self.register,
            "unregister": self.unregister,
            "keys": self.keys,
            "play": self.play,
            "silence": lambda ident: self._known(ident).stop_playing(),
            "answer": lambda ident, code: self.answer(self._known(ident), code),
            "hangup": self.hang_up,
            "manner": lambda ident, **manner: self.accounts[ident].manner.update(manner),
        }
        self.guarded(ident, lambda: steps[name](ident, **command))

    def place(self, ident: str, uri: str, from_uri: str, play: str | None, loop: bool, save: str | None) -> None:
        call = _Call(self, ident, self.line)
        call.save, call.play = save, (play, loop) if play else None
        self.calls[ident] = call
        options = pj.CallOpParam(True)
        options.txOption.localUri = from_uri
        try:
            call.makeCall(uri, options)
        except pj.Error as exc:
            self._stillborn.append(self.calls.pop(ident, call))
            self.emit("ended", ident, code=0, reason=str(exc.reason), by="us")

    def register(self, ident: str, registrar: str, user: str, password: str, **manner: Any) -> None:
        account = _Account(self, ident, manner)
        config = self._account_config(f"sip:{user}@{self._address}")
        config.idUri = f"sip:{user}@{registrar.removeprefix('sip:')}"
        config.regConfig.registrarUri = registrar
        config.regConfig.timeoutSec = 300
        config.regConfig.retryIntervalSec = 2
        config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", user, 0, password))
        self.accounts[ident] = account
        account.create(config)

    def unregister(self, ident: str) -> None:
        self.accounts[ident].setRegistration(False)

    def keys(self, ident: str, keys: str) -> None:
        self._known(ident).dialDtmf(keys)

    def play(self, ident: str, path: str, loop: bool) -> None:
        self._known(ident).start_playing(path, loop)

    def answer(self, call: _Call, code: int) -> None:
        if call.ident in self.calls and call.isActive():
            options = pj.CallOpParam(True)
            options.statusCode = code
            call.answer(options)

    def hang_up(self, ident: str) -> None:
        call = self.calls.get(ident)
        if call is not None and call.isActive():
            call.ours = True
            call.hangup(pj.CallOpParam(True))

    def _known(self, ident: str) -> _Call:
        call = self.calls.get(ident)
        if call is None:
            raise RuntimeError("the call is over")
        return call

    # -- the loop ------------------------------------------------------------------------------------------

    def run(self, source: int) -> None:
        """Work until the commands end (the user of the phone is gone) or ``quit``."""
        os.set_blocking(source, False)
        going = True
        while going:
            self._turn()
            for line in self._lines(source):
                if line is None or (command := json.loads(line)).get("do") == "quit":
                    going = False
                    break
                self.do(command)
        self._stop()

    def _turn(self) -> None:
        self.endpoint.libHandleEvents(POLL_MS)
        while self._due and self._due[0][0] <= time.monotonic():
            step = heapq.heappop(self._due)[2]
            self.guarded("", step)
        for call in self._graves:
            call.release()
        self._graves.clear()

    def _lines(self, source: int) -> list[bytes | None]:
        try:
            read = os.read(source, 65536)
        except BlockingIOError:
            return []
        if not read:
            return [None]
        *lines, self._pending = (self._pending + read).split(b"\n")
        return [line for line in lines if line.strip()]

    def _stop(self) -> None:
        for ident in list(self.calls):
            self.guarded(ident, lambda ident=ident: self.hang_up(ident))  # type: ignore[misc]
        for account in self.accounts.values():
            if account is not self.line:
                self.guarded(account.ident, lambda account=account: account.setRegistration(False))  # type: ignore[misc]
        end = time.monotonic() + LONGEST_GOODBYE
        while (self.calls or any(a.registered for a in self.accounts.values())) and time.monotonic() < end:
            self._turn()
        # Everything of the library must be let go of before it ends, or it aborts the process.
        for call in [*self.calls.values(), *self._graves]:
            call.release()
        self.calls.clear()
        self._graves.clear()
        self._players.clear()
        self._due.clear()
        for account in self.accounts.values():
            account.shutdown()
        self.accounts.clear()
        del self.line
        self.endpoint.libDestroy(pj.PJSUA_DESTROY_NO_NETWORK)


def main() -> None:
    """Entry point. Standard output carries events only: what the library prints goes to standard error."""
    address, max_calls = sys.argv[1], int(sys.argv[2])
    out = os.dup(1)
    os.dup2(2, 1)
    phone = Phone(address, max_calls, out)
    phone.emit("ready", "", contact=phone.contact)
    phone.run(0)
    os._exit(0)  # what is left of the library's objects must not be taken apart after its end


if __name__ == "__main__":
    main()
