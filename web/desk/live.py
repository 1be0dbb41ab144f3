"""What changes, as it changes: one thread per web process looks at the newest events and wakes the open desks.

The ledger itself is the bus: call events and agent events have growing numbers. An overlap catches rows that PostgreSQL
commits out of order.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import select

from core import log
from routing.models import AgentEvent, AgentState, Call, CallEvent
from web.deps import WebDeps

LOOK_SECONDS = 0.25
OVERLAP = 50


class Live:
    """Lets a desk wait until something about its agent has changed."""

    def __init__(self, parts: WebDeps) -> None:
        self.db = parts.db
        self._changed = threading.Condition()
        self._generation: dict[int, int] = defaultdict(int)
        self._states: dict[int, tuple[object, ...]] = {}
        self._seen: dict[str, set[int]] = {"agent": set(), "call": set()}
        self._top = {"agent": 0, "call": 0}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._log = log.get("live")

    def generation(self, agent_id: int) -> int:
        """Grows with each change that concerns the agent."""
        self._start()
        with self._changed:
            return self._generation[agent_id]

    def wait(self, agent_id: int, seen: int, seconds: float) -> int:
        """Wait until the generation differs from ``seen`` or time is over; returns it."""
        with self._changed:
            self._changed.wait_for(lambda: self._generation[agent_id] != seen or self._stop.is_set(), seconds)
            return self._generation[agent_id]

    def stop(self) -> None:
        """End the thread; for tests."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(5)

    def _start(self) -> None:
        # Started with the first desk: gunicorn forks after the app module is imported, threads do not survive that.
        with self._lock:
            if self._thread is None:
                self._look(first=True)
                self._thread = threading.Thread(target=self._run, name="live", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                touched = self._look()
            except Exception:
                self._log.exception("looking for changes failed")
                continue
            if touched:
                with self._changed:
                    for agent_id in touched:
                        self._generation[agent_id] += 1
                    self._changed.notify_all()

    def _look(self, *, first: bool = False) -> set[int]:
        """Agents that something new concerns."""
        with self.db.read() as session:
            agent_rows = session.execute(
                select(AgentEvent.id, AgentEvent.agent_id).where(AgentEvent.id > self._top["agent"] - OVERLAP)
            ).all()
            call_rows = session.execute(
                select(CallEvent.id, CallEvent.call_id).where(CallEvent.id > self._top["call"] - OVERLAP)
            ).all()
            new_calls = {call_id for _, call_id in self._new("call", call_rows)}
            touched = {agent_id for _, agent_id in self._new("agent", agent_rows)}
            if first:
                return set()
            # Wishes and phones change without an event; this table has one row an agent.
            states = session.execute(
                select(AgentState.agent_id, AgentState.wish, AgentState.phone_ready, AgentState.call_id)
            ).all()
            for agent_id, wish, ready, call_id in states:
                if self._states.get(agent_id) != (wish, ready, call_id) or call_id in new_calls:
                    touched.add(agent_id)
                self._states[agent_id] = (wish, ready, call_id)
            if new_calls:
                rows = session.execute(select(Call.agent_id).where(Call.call_id.in_(new_calls)))
                touched.update(agent_id for (agent_id,) in rows if agent_id is not None)
        return touched

    def _new(self, kind: str, rows: Iterable[Any]) -> list[tuple[int, Any]]:
        found = [(row_id, value) for row_id, value in rows if row_id not in self._seen[kind]]
        if found:
            self._top[kind] = max(self._top[kind], *(row_id for row_id, _ in found))
            self._seen[kind] |= {row_id for row_id, _ in found}
            self._seen[kind] = {row_id for row_id in self._seen[kind] if row_id > self._top[kind] - 2 * OVERLAP}
        return found
