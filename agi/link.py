"""The link: keeps our picture of phones, agents, rooms and calls true to what Asterisk says.

It hears events as they come, and because events are lost whenever a connection is down, it also compares everything
with Asterisk's own state after each log-in and every few seconds.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from agi.ami import AmiClient, AmiEvent
from agi.reconcile import Reconciler
from core import log
from core.clock import Clock
from core.db import Database
from core.errors import NotFound, Unavailable
from core.records import EndedBy
from routing.agents import ON_CALL, Agents, State
from routing.control import CallControl, Presence, phone_name, room_name
from routing.dispatcher import HEARTBEAT
from routing.ledger import Ledger
from routing.models import AgentState, WaitingCall

TICK_SECONDS = 1.0
SWEEP_EVERY = 5  # ticks
YOUNG = timedelta(seconds=10)  # what is younger than this may simply not be complete yet
ABSENT = timedelta(seconds=15)  # a call whose channel is missing for so long has ended
PHONE_GONE_SECONDS = 3.0  # a page that is reloaded is back within this time
_PHONE = re.compile(r"^agent(\d+)$")


class Link:
    def __init__(
        self,
        db: Database,
        clock: Clock,
        ledger: Ledger,
        agents: Agents,
        control: CallControl,
        ami: AmiClient,
        reconciler: Reconciler,
    ) -> None:
        self.db, self.clock, self.ledger, self.agents = db, clock, ledger, agents
        self.control, self.ami, self.reconciler = control, ami, reconciler
        self._members: dict[int, tuple[bool, bool]] = {}
        self._gone: dict[int, threading.Timer] = {}
        self._lonely: set[str] = set()
        self._absent: dict[str, datetime] = {}  # call id → when its channel was first found missing
        self._resync = threading.Event()
        self._log = log.get("link")

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Work until ``stop``; ``beat`` shows the supervisor that the loop lives."""
        self.ami.on_connect(self._resync.set)
        with self.ami.subscribe("ContactStatus", callback=self._on_contact):
            ticks = 0
            while not stop.wait(TICK_SECONDS):
                beat()
                if self._resync.is_set():
                    self._resync.clear()
                    self._members.clear()
                    ticks = 0
                self._step(self.agents.tick)
                self._step(self.reconciler.run)
                if self.ami.ready:
                    self._step(self._sync_members)
                    if ticks % SWEEP_EVERY == 0:
                        self._step(self._sweep)
                ticks += 1
        for timer in list(self._gone.values()):
            timer.cancel()

    def _step(self, step: Callable[[], object]) -> None:
        """One piece of work; its failure is logged and does not stop the others."""
        try:
            step()
        except Unavailable as exc:
            self._log.warning("asterisk does not answer", step=step.__name__, error=str(exc))
        except Exception:
            self._log.exception("link step failed", step=step.__name__)

    # -- phones --------------------------------------------------------------------------------------------

    def _on_contact(self, event: AmiEvent) -> None:
        match = _PHONE.match(event["EndpointName"] or event["AOR"])
        if match is None:
            return
        agent_id, status = int(match.group(1)), event["ContactStatus"]
        if status in ("Created", "Reachable", "NonQualified", "Updated"):
            timer = self._gone.pop(agent_id, None)
            if timer is not None:
                timer.cancel()
            self._phone(agent_id, ready=True)
        elif status in ("Removed", "Unreachable"):
            self._phone(agent_id, ready=False)
            timer = threading.Timer(PHONE_GONE_SECONDS, self._phone_gone, (agent_id,))
            timer.daemon = True
            self._gone[agent_id] = timer
            timer.start()

    def _phone(self, agent_id: int, *, ready: bool) -> None:
        try:
            self.agents.phone(agent_id, ready=ready)
        except NotFound:
            self._log.warning("phone of an unknown agent", agent=agent_id)

    def _phone_gone(self, agent_id: int) -> None:
        """The browser has vanished in mid-call: end its leg, so that the caller is served by somebody else."""
        self._gone.pop(agent_id, None)
        with self.db.read() as session:
            state = session.get(AgentState, agent_id)
        if state is not None and state.state == State.TALKING and state.call_id and not state.phone_ready:
            self._log.warning("phone lost in mid-call", call_id=state.call_id, agent=agent_id)
            try:
                self.control.drop_lost(state.call_id, phone_name(agent_id))
            except Unavailable as exc:
                self._log.warning("lost phone not dropped", error=str(exc))

    # -- Asterisk's own queue ----------------------------------------------------------------------------------

    def _sync_members(self) -> None:
        with self.db.read() as session:
            rows = session.execute(select(AgentState.agent_id, AgentState.state)).all()
        for agent_id, state in rows:
            wanted = (state != State.OFFLINE, state in (State.BREAK, State.WRAP_UP))
            if self._members.get(agent_id) != wanted:
                self.control.fallback_member(phone_name(agent_id), present=wanted[0], paused=wanted[1])
                self._members[agent_id] = wanted

    # -- comparing ------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        presence = self.control.presence()
        self._compare_phones(presence)
        self._drop_dead_waits()
        self._close_dead_calls(presence)
        self._free_agents(presence)
        self._empty_lonely_rooms(presence)

    def _compare_phones(self, presence: Presence) -> None:
        with self.db.read() as session:
            rows = session.execute(select(AgentState.agent_id, AgentState.phone_ready)).all()
        for agent_id, ready in rows:
            registered = phone_name(agent_id) in presence.phones
            if ready != registered and agent_id not in self._gone:
                self._phone(agent_id, ready=registered)

    def _drop_dead_waits(self) -> None:
        """A waiting session without heartbeat died; its caller is in the safety net now."""
        with self.db.write() as session:
            session.execute(delete(WaitingCall).where(WaitingCall.seen_at < self.clock.now() - 2 * HEARTBEAT))

    def _close_dead_calls(self, presence: Presence) -> None:
        """Close calls whose channel has been missing for a while. Asterisk's log, read by then, knows better and
        has usually closed them already, with the right moment."""
        now = self.clock.now()
        missing = [call for call in self.ledger.open_calls() if call.call_id not in presence.channels]
        self._absent = {call.call_id: self._absent.get(call.call_id, now) for call in missing}
        for call in missing:
            since = self._absent[call.call_id]
            if now - since > ABSENT and self.reconciler.caught_up_to > since:
                self.reconciler.close(call, at=since, why="channel no longer in Asterisk", by=EndedBy.SYSTEM)

    def _free_agents(self, presence: Presence) -> None:
        """Free agents whose call has ended, or whose ringing died with the session that rang."""
        with self.db.read() as session:
            held = list(session.scalars(select(AgentState).where(AgentState.state.in_(ON_CALL))))
            living = {
                state.call_id
                for state in held
                if state.call_id
                and (
                    self.clock.now() - state.since < YOUNG
                    or self._still_serves(presence, state)
                    or (state.state != State.TALKING and session.get(WaitingCall, state.call_id) is not None)
                )
            }
        freed = self.agents.free_from({call_id for call_id in living if call_id})
        if freed:
            self._log.warning("agents freed from dead calls", agents=freed)

    def _still_serves(self, presence: Presence, state: AgentState) -> bool:
        return state.call_id in presence.channels and state.state == State.TALKING

    def _empty_lonely_rooms(self, presence: Presence) -> None:
        """A room without its caller is emptied when it was so at two looks in a row."""
        lonely = {
            room
            for room in presence.rooms
            if room.startswith(room_name("")) and room.removeprefix(room_name("")) not in presence.channels
        }
        for room in lonely & self._lonely:
            self._log.warning("room without its caller", room=room)
            self.control.close_room(room.removeprefix(room_name("")))
        self._lonely = lonely
