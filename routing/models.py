"""Tables of the telephone side: the call ledger, queues, numbers, agents and their states."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base, UtcDateTime


class Call(Base):
    """A call as it stands now: derived from its events, kept for quick looking."""

    __tablename__ = "calls"

    call_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    node: Mapped[str] = mapped_column(String(16))
    direction: Mapped[str] = mapped_column(String(8), default="inbound")
    caller_number: Mapped[str] = mapped_column(String(40), index=True)
    called_number: Mapped[str] = mapped_column(String(40))
    language: Mapped[str] = mapped_column(String(8), default="zh")
    stage: Mapped[str] = mapped_column(String(16))  # routing.ledger.Stage
    flow_id: Mapped[str | None] = mapped_column(String(64))
    flow_version: Mapped[str | None] = mapped_column(String(64))
    queue: Mapped[str | None] = mapped_column(String(64))
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    queued_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    connected_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    outcome: Mapped[str | None] = mapped_column(String(24))
    ended_by: Mapped[str | None] = mapped_column(String(8))
    talk_seconds: Mapped[float] = mapped_column(default=0.0)
    revision: Mapped[int] = mapped_column(default=1)


class CallEvent(Base):
    """One step of a call. Rows are only ever added (ARCHITECTURE, decision 5)."""

    __tablename__ = "call_events"
    __table_args__ = (UniqueConstraint("call_id", "seq"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    call_id: Mapped[str] = mapped_column(ForeignKey("calls.call_id"), index=True)
    seq: Mapped[int]
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    kind: Mapped[str] = mapped_column(String(24), index=True)
    source: Mapped[str] = mapped_column(String(12))  # session | desk | cel
    data: Mapped[dict[str, Any]]


class Queue(Base):
    __tablename__ = "queues"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    title: Mapped[dict[str, Any]]  # {"zh": …, "en": …, "ug": …}
    priority: Mapped[int] = mapped_column(default=0)


class Number(Base):
    """A number that callers dial (R03, R06): which flow answers it."""

    __tablename__ = "numbers"

    number: Mapped[str] = mapped_column(String(40), primary_key=True)
    title: Mapped[str] = mapped_column(String(120))
    flow_id: Mapped[str] = mapped_column(String(64), default="default")


class WaitingCall(Base):
    """A caller waiting for a person. ``seen_at`` is the heartbeat of the waiting session."""

    __tablename__ = "waiting_calls"
    __table_args__ = (Index("ix_waiting_order", "priority", "enqueued_at"),)

    call_id: Mapped[str] = mapped_column(ForeignKey("calls.call_id"), primary_key=True)
    queue: Mapped[str] = mapped_column(String(64))
    language: Mapped[str] = mapped_column(String(8))
    priority: Mapped[int] = mapped_column(default=0)
    enqueued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"))  # being rung for this call
    excluded: Mapped[dict[str, Any]]  # agent id → ISO moment until when it is not tried again


class Agent(Base):
    """A person who answers calls (话务员)."""

    __tablename__ = "agents"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(16), unique=True)  # 工号
    name: Mapped[str] = mapped_column(String(80))
    languages: Mapped[list[str]]
    queues: Mapped[list[str]]
    active: Mapped[bool] = mapped_column(Boolean, default=True)


class AgentState(Base):
    __tablename__ = "agent_states"

    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"), primary_key=True)
    state: Mapped[str] = mapped_column(String(12), index=True)  # routing.agents.State
    reason: Mapped[str | None] = mapped_column(String(32))
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    idle_since: Mapped[datetime] = mapped_column(UtcDateTime)  # last time free after a call; orders claims
    until: Mapped[datetime | None] = mapped_column(UtcDateTime)  # end of wrap-up
    call_id: Mapped[str | None] = mapped_column(String(64))
    wish: Mapped[str | None] = mapped_column(String(40))  # what to become after the call: offline or break:REASON
    phone_ready: Mapped[bool] = mapped_column(Boolean, default=False)


class AgentEvent(Base):
    """History of an agent's states, append-only."""

    __tablename__ = "agent_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    state: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str | None] = mapped_column(String(32))
    call_id: Mapped[str | None] = mapped_column(String(64))
