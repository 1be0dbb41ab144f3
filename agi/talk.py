"""The talk of a caller with an agent: both stand in the call's room while the caller's channel is recorded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agi.channel import Options
from agi.errors import AgiError, Hangup
from core import log
from core.errors import Unavailable
from core.records import Outcome
from recordings.service import CapturePlan
from routing.control import LeftBecause, Ring, room_name
from routing.ledger import Kind
from routing.models import Agent

if TYPE_CHECKING:
    from agi.line import AgiLine

HANGUP_SECONDS = 0.2  # the caller's hang-up is told so late at most after the room let go
LEFT_WAIT_SECONDS = 2.0  # the event of the agent's leaving may come a moment after the room let the caller go


class Talk:
    def __init__(self, line: AgiLine) -> None:
        self.line = line
        self._plan: CapturePlan | None = None
        self._log = log.get("talk")

    def start_recording(self) -> None:
        """Record both directions apart. A recorder that does not start is a fault in the ledger, not in the call."""
        line, services = self.line, self.line.services
        with services.db.write() as session:
            self._plan = plan = services.recordings.plan(session, line.call_id, "talk")
            services.ledger.append_in(
                session, line.call_id, Kind.RECORDING, recording_id=plan.recording_id, state="started"
            )
        try:
            line.channel.exec("MixMonitor", "", Options("S", r=str(plan.incoming), t=str(plan.outgoing)))
        except AgiError as exc:
            services.ledger.append(line.call_id, Kind.FAULT, what="recording did not start", detail=str(exc))

    def stop_recording(self) -> None:
        """Close the files; on a channel that is gone Asterisk has done so."""
        if self._plan is None:
            return
        try:
            if not self.line.channel.hung_up:
                self.line.channel.exec("StopMixMonitor")
        except (Hangup, AgiError) as exc:
            self._log.debug("recording ended with the channel", error=str(exc))
        self._plan = None

    def run(self, agent: Agent, ring: Ring) -> LeftBecause:
        """Stay until the agent has left; returns why. Raises Hangup when the caller leaves first."""
        line, services, call_id = self.line, self.line.services, self.line.call_id
        began = ended = time.monotonic()
        because, left = "caller", LeftBecause.UNKNOWN
        try:
            services.agents.talking(agent.id, call_id)
            services.dispatcher.leave(call_id)
            services.ledger.append(call_id, Kind.JOINED, agent_id=agent.id, number=agent.number, name=agent.name)
            line.reached = Outcome.TALKED
            line.stage("talking")
            self.start_recording()
            began = time.monotonic()
            try:
                line.channel.exec("ConfBridge", room_name(call_id), "yihu_room", "yihu_caller", max_seconds=None)
            finally:
                ended = time.monotonic()
                self.stop_recording()
            # The room lets a caller who hangs up go like any other; the word of the hang-up comes a moment later.
            line.channel.wait(HANGUP_SECONDS)
            left = ring.left(LEFT_WAIT_SECONDS) or LeftBecause.UNKNOWN
            because = str(left)
        finally:
            services.ledger.append(
                call_id, Kind.LEFT, agent_id=agent.id, because=because, seconds=round(max(0.0, ended - began), 3)
            )
            services.agents.finished(agent.id, call_id, phone_lost=left is LeftBecause.LOST)
            if because == "caller":
                self._close_room()
        return left

    def _close_room(self) -> None:
        """The caller has gone: the agent must not be left alone in the room."""
        try:
            self.line.services.control.close_room(self.line.call_id)
        except Unavailable as exc:  # the link's sweep does it later
            self._log.warning("room not closed", error=str(exc))
