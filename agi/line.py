"""The caller's line over AGI: implements ``ivr_flows.ports.Line`` for a real call."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from agi.channel import Channel, Options
from agi.errors import CommandFailed, Hangup
from agi.talk import Talk
from agi.waiting import WaitingRoom
from core import log
from core.clock import Clock
from core.db import Database
from core.policy import Policies
from core.records import Outcome
from ivr_flows.errors import CallerGone
from ivr_flows.ports import (
    NO_INPUT,
    ConnectRequest,
    ConnectResult,
    EmergencyOutcome,
    Input,
    MessageResult,
    Prompt,
)
from ivr_flows.prompts.store import PromptStore
from recordings.service import Recordings
from routing.agents import Agents
from routing.control import CallControl, LeftBecause
from routing.dispatcher import Dispatcher
from routing.ledger import Kind, Ledger

EMERGENCY_LINES = ("110", "119", "120", "122")
SHORTEST_MESSAGE = 1.0  # seconds; less is a slip, not a message
STAGE_VARIABLE = "YIHU_STAGE"  # the dialplan's safety net speaks differently after a talk
DONE_VARIABLE = "YIHU_DONE"  # set to 1: the safety net is not needed


@dataclass(frozen=True)
class CallServices:
    """What a call session works with; shared by all calls of a process."""

    db: Database
    clock: Clock
    policies: Policies
    ledger: Ledger
    agents: Agents
    dispatcher: Dispatcher
    recordings: Recordings
    control: CallControl
    prompts: PromptStore


class AgiLine:
    """One caller. Not for two threads at once."""

    def __init__(self, channel: Channel, call_id: str, caller_number: str, services: CallServices) -> None:
        self.channel, self.call_id, self.caller_number, self.services = channel, call_id, caller_number, services
        self.gone_how = ""  # agi.errors.Hangup.how, once the caller is gone
        self.last_left: LeftBecause | None = None  # how the last agent left
        self.reached: Outcome | None = None  # the weightiest thing this call has reached so far
        self._answered = False
        self._log = log.get("line")

    # -- ivr_flows.ports.Line ----------------------------------------------------------------------------

    def answer(self) -> None:
        if self._answered:
            return
        with self._caller():
            self.channel.answer()
        self._answered = True
        self.services.ledger.append(self.call_id, Kind.ANSWERED)

    def play(self, prompts: Sequence[Prompt], keys: str = "") -> Input:
        paths = [self.services.prompts.path(prompt.id, prompt.language) for prompt in prompts]
        with self._caller():
            key = self.channel.play(paths, keys)
        return Input.key(key) if key else NO_INPUT

    def read_key(self, seconds: float, keys: str) -> Input:
        end = time.monotonic() + seconds
        with self._caller():
            while (left := end - time.monotonic()) > 0:
                key = self.channel.wait_for_digit(left)
                if not key:
                    break
                if key in keys:
                    return Input.key(key)
        return NO_INPUT

    def record_message(self, max_seconds: float, silence_seconds: float, keys: str) -> MessageResult:
        services = self.services
        with services.db.write() as session:
            plan = services.recordings.plan(session, self.call_id, "message")
        with self._caller():
            result = self.channel.record_file(
                str(plan.incoming.with_suffix("")),
                "wav",
                max_seconds=max_seconds,
                silence_seconds=silence_seconds,
                beep=False,
                escape_digits=keys,
            )
        # Asterisk cuts off the silence that ended the recording, save for one second.
        spoken = result.seconds - (1.0 if result.ended_by == "silence" else 0.0)
        if spoken < SHORTEST_MESSAGE:
            services.recordings.discard(plan.recording_id)
            saved = MessageResult(False, 0.0, key=result.key)
        else:
            services.ledger.append(
                self.call_id, Kind.MESSAGE, recording_id=plan.recording_id, seconds=round(result.seconds, 2)
            )
            self.reached = self.reached or Outcome.MESSAGE
            saved = MessageResult(True, result.seconds, plan.recording_id, result.key)
        with self._caller():
            self.channel.check()
        return saved

    def connect(self, request: ConnectRequest) -> ConnectResult:
        with self._caller():
            return WaitingRoom(self, request).run()

    def emergency(self, number: str) -> EmergencyOutcome:
        if number not in EMERGENCY_LINES:
            raise ValueError(f"{number} is no emergency line")
        services = self.services
        try:
            services.ledger.append(self.call_id, Kind.EMERGENCY, line=number, result="dialled")
        except Exception as exc:  # a house on fire does not wait for our database
            self._log.error("emergency call not in the ledger", error=str(exc))
        talk = Talk(self)
        answered = False
        with self._caller():
            talk.start_recording()
            try:
                self.channel.exec("Dial", f"Local/{number}@emergency/n", 60, Options("gr"), max_seconds=None)
            finally:
                # Readable on a channel that has hung up, too; not after the end of the socket.
                with suppress(Hangup):
                    answered = self.channel.get_variable("DIALSTATUS") == "ANSWER"
                if answered:
                    self.reached = Outcome.EMERGENCY
                talk.stop_recording()
        outcome = EmergencyOutcome.TALKED if answered else EmergencyOutcome.UNREACHED
        services.ledger.append(self.call_id, Kind.EMERGENCY, line=number, result=str(outcome))
        return outcome

    def hang_up(self) -> None:
        try:
            self.done()
            self.channel.hangup()
        except Hangup:
            pass

    # -- for the session and the waiting room --------------------------------------------------------------

    def done(self) -> None:
        """Tell the dialplan that the call was served to its end."""
        self.channel.set_variable(DONE_VARIABLE, "1")

    def stage(self, stage: str) -> None:
        """Tell the dialplan where the call is, for the case that we die."""
        self.channel.set_variable(STAGE_VARIABLE, stage)

    def say(self, prompt_id: str, languages: Sequence[str], keys: str = "") -> str:
        """Speak a prompt in each language; returns the key (out of ``keys``) that stopped it."""
        paths = [self.services.prompts.path(prompt_id, language) for language in languages]
        try:
            return self.channel.play(paths, keys)
        except CommandFailed as exc:  # a missing file must not cost the caller the place in the queue
            self._log.error("prompt not played", prompt=prompt_id, error=str(exc))
            return ""

    @contextmanager
    def _caller(self) -> Iterator[None]:
        try:
            yield
        except Hangup as exc:
            self.gone_how = self.gone_how or exc.how
            raise CallerGone(self.reached) from exc
