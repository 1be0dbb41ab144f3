"""What a dead process missed: the ledger is completed from Asterisk's own event log (CEL).

Asterisk appends each channel event to a CSV file whether our programs live or not. The link reads on from where it
stopped, a few seconds behind, so a living session has always written its own events first; what is still missing then
was missed, and is added with source ``cel``. Every step can be done twice without harm.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from core import log
from core.clock import Clock
from core.db import Base, Database
from core.records import CALL_ID_PATTERN, EndedBy, Outcome
from recordings.service import Recordings
from routing.agents import Agents
from routing.ledger import Kind, Ledger, Stage
from routing.models import Agent, Call, CallEvent

GRACE = timedelta(seconds=4)  # how far behind the link stays, so that living sessions are first
# User events of the dialplan; Asterisk writes such an event's own name into the column of the kind.
NET_EVENT = "YIHU_NET"  # extra: the stage at which our programs were lost
NET_EMERGENCY_EVENT = "YIHU_NET_EMERGENCY"  # extra: the line that key 9 dialled
FIELDS = (
    "kind",
    "at",
    "uniqueid",
    "linkedid",
    "channel",
    "number",
    "exten",
    "context",
    "userdef",
    "extra",
    "app",
)
_AGENT_CHANNEL = re.compile(r"^PJSIP/agent(\d+)-")
_CALL_ID = re.compile(CALL_ID_PATTERN)
_LEG = re.compile(r"^leg-(.+)-agent\d+-[0-9a-f]+$")  # unique id that we give to a phone that we ring


class CelPosition(Base):
    """How far the event log of a node has been read."""

    __tablename__ = "cel_positions"

    node: Mapped[str] = mapped_column(String(16), primary_key=True)
    inode: Mapped[int]
    offset: Mapped[int]


@dataclass(frozen=True)
class CelRow:
    """One line of the event log; ``at`` is UTC."""

    kind: str
    at: datetime
    uniqueid: str
    linkedid: str
    channel: str
    number: str
    exten: str
    context: str
    userdef: str
    extra: str
    app: str

    @property
    def call_id(self) -> str:
        """The call this row belongs to; a leg that we originated carries it in its own id."""
        match = _LEG.match(self.linkedid)
        return match.group(1) if match else self.linkedid

    @property
    def agent_id(self) -> int | None:
        """The agent whose phone this channel is."""
        match = _AGENT_CHANNEL.match(self.channel)
        return int(match.group(1)) if match else None


def parse(lines: Iterable[str]) -> Iterator[CelRow]:
    """Rows of the log; lines that are no rows (a torn write after a crash) are passed over."""
    for cells in csv.reader(lines):
        if len(cells) < len(FIELDS):
            continue
        values = dict(zip(FIELDS, cells, strict=False))
        try:
            at = datetime.fromtimestamp(float(values.pop("at")), UTC)
        except (ValueError, OverflowError):
            continue
        yield CelRow(at=at, **values)


class Reconciler:
    def __init__(
        self, db: Database, clock: Clock, ledger: Ledger, agents: Agents, recordings: Recordings, path: Path
    ) -> None:
        self.db, self.clock, self.ledger, self.agents, self.recordings = db, clock, ledger, agents, recordings
        self.path = path
        self.caught_up_to = datetime.min.replace(tzinfo=UTC)  # everything before this has been read
        self._log = log.get("reconcile")

    def run(self, limit: int = 1 << 20) -> int:
        """Read on for up to ``limit`` bytes and mend the ledger; returns the number of rows handled."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            self.caught_up_to = self.clock.now() - GRACE
            return 0
        with self.db.read() as session:
            position = session.get(CelPosition, self.ledger.node)
            same = position is not None and position.inode == stat.st_ino and position.offset <= stat.st_size
            offset = position.offset if position is not None and same else 0
        with self.path.open("rb") as handle:
            handle.seek(offset)
            block = handle.read(limit)
        handled = 0
        newest = self.clock.now() - GRACE
        for raw in block.splitlines(keepends=True):
            if not raw.endswith(b"\n"):
                break  # Asterisk is in the middle of this line
            for row in parse([raw.decode("utf-8", "replace")]):
                if row.at > newest:
                    self.caught_up_to = newest
                    self._save(stat.st_ino, offset)
                    return handled
                self.handle(row)
                handled += 1
            offset += len(raw)
        if len(block) < limit:
            self.caught_up_to = newest
        self._save(stat.st_ino, offset)
        return handled

    def _save(self, inode: int, offset: int) -> None:
        with self.db.write() as session:
            session.merge(CelPosition(node=self.ledger.node, inode=inode, offset=offset))

    def handle(self, row: CelRow) -> None:
        """Compare one row with the ledger and add what is missing."""
        if not _CALL_ID.match(row.call_id):
            return
        is_caller = row.uniqueid == row.linkedid and row.channel.startswith("PJSIP/trunk-")
        if row.kind == "CHAN_START":
            if is_caller and row.context == "inbound" and row.exten != "selftest":
                self.ledger.open(row.uniqueid, row.number, row.exten, at=row.at, source="cel")
            return
        call = self.ledger.get(row.call_id)
        if call is None:
            return
        if row.userdef == NET_EVENT:
            self._net(call, row)
        elif row.userdef == NET_EMERGENCY_EVENT:
            self._net_emergency(call, row)
        elif row.kind == "BRIDGE_ENTER" and row.agent_id is not None:
            self._joined(call, row, row.agent_id)
        elif row.kind == "BRIDGE_EXIT" and row.agent_id is not None:
            self._left(call, row, row.agent_id)
        elif row.kind == "BRIDGE_EXIT" and is_caller:
            for agent_id in _agents_of(self.ledger.events(call.call_id)):
                self._left(call, row, agent_id)
        elif row.kind in ("HANGUP", "CHAN_END") and is_caller:
            self._ended(call, row)

    def _net(self, call: Call, row: CelRow) -> None:
        events = self.ledger.events(call.call_id)
        if any(event.kind == Kind.SAFETY_NET and event.at == row.at for event in events):
            return
        stage = _extra(row.extra)
        self.ledger.append(call.call_id, Kind.SAFETY_NET, at=row.at, source="cel", stage=stage)
        with self.db.write() as session:
            self.recordings.plan(session, call.call_id, "talk", suffix="net")

    def _net_emergency(self, call: Call, row: CelRow) -> None:
        events = self.ledger.events(call.call_id)
        if any(event.kind == Kind.EMERGENCY and event.at == row.at for event in events):
            return
        line = _extra(row.extra)
        self.ledger.append(call.call_id, Kind.EMERGENCY, at=row.at, source="cel", line=line, result="dialled")

    def _joined(self, call: Call, row: CelRow, agent_id: int) -> None:
        if call.ended_at is not None or _joins(self.ledger.events(call.call_id), agent_id, row.at):
            return
        with self.db.read() as session:
            agent = session.get(Agent, agent_id)
        if agent is None:
            return
        self.ledger.append(
            call.call_id,
            Kind.JOINED,
            at=row.at,
            source="cel",
            agent_id=agent_id,
            number=agent.number,
            name=agent.name,
        )
        self.agents.talking(agent_id, call.call_id)

    def _left(self, call: Call, row: CelRow, agent_id: int) -> None:
        since = open_join(self.ledger.events(call.call_id), agent_id)
        if since is None or since > row.at:
            return
        seconds = (row.at - since).total_seconds()
        self.ledger.append(
            call.call_id,
            Kind.LEFT,
            at=row.at,
            source="cel",
            agent_id=agent_id,
            because="unknown",
            seconds=round(seconds, 3),
        )
        self.agents.finished(agent_id, call.call_id)

    def _ended(self, call: Call, row: CelRow) -> None:
        if call.ended_at is not None:
            return
        self.close(call, at=row.at, why="hangup found in Asterisk's log")

    def close(self, call: Call, *, at: datetime, why: str, by: EndedBy = EndedBy.CALLER) -> None:
        """End a call whose session is gone, with the outcome its events speak for."""
        self._log.warning("ledger closed afterwards", call_id=call.call_id, why=why)
        events = self.ledger.events(call.call_id)
        for agent_id in _agents_of(events):
            since = open_join(events, agent_id)
            if since is not None:
                seconds = round(max(0.0, (at - since).total_seconds()), 3)
                self.ledger.append(
                    call.call_id,
                    Kind.LEFT,
                    at=at,
                    source="cel",
                    agent_id=agent_id,
                    because="unknown",
                    seconds=seconds,
                )
                self.agents.finished(agent_id, call.call_id)
        self.ledger.append(call.call_id, Kind.RECONCILED, source="cel", why=why)
        self.ledger.end(call.call_id, infer_outcome(call, events), by, at=at, source="cel")


def _agents_of(events: list[CallEvent]) -> set[int]:
    """Everybody who ever joined."""
    return {event.data["agent_id"] for event in events if event.kind == Kind.JOINED}


def open_join(events: list[CallEvent], agent_id: int) -> datetime | None:
    """When the agent joined, if no leaving follows."""
    since: datetime | None = None
    for event in events:
        if event.data.get("agent_id") == agent_id:
            if event.kind == Kind.JOINED:
                since = event.at
            elif event.kind == Kind.LEFT:
                since = None
    return since


def _joins(events: list[CallEvent], agent_id: int, at: datetime) -> bool:
    """Whether the ledger knows of this entry: joined already, or a joining noted within seconds of ``at``."""
    if open_join(events, agent_id) is not None:
        return True
    return any(
        event.kind == Kind.JOINED
        and event.data.get("agent_id") == agent_id
        and abs(event.at - at) < timedelta(seconds=5)
        for event in events
    )


def infer_outcome(call: Call, events: list[CallEvent]) -> Outcome:
    """How the call ended, judged by what its ledger holds."""
    kinds = {event.kind for event in events}
    if any(event.kind == Kind.EMERGENCY and event.source == "cel" for event in events):
        return Outcome.EMERGENCY
    if Kind.JOINED in kinds:
        return Outcome.TALKED
    if Kind.MESSAGE in kinds:
        return Outcome.MESSAGE
    if Kind.SAFETY_NET in kinds or call.stage == Stage.WAITING:
        return Outcome.ABANDONED_WAITING
    return Outcome.ABANDONED_IVR


def _extra(text: str) -> str:
    """The payload of CELGenUserEvent, which Asterisk wraps as {"extra": …}."""
    try:
        value = json.loads(text)
    except ValueError:
        return text[:64]
    return str(value.get("extra", ""))[:64] if isinstance(value, dict) else text[:64]
