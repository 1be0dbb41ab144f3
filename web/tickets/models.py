"""Tickets of the first stage (SPEC 2.2, a subset): what an agent takes down during a call."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base, UtcDateTime


class TicketType(StrEnum):
    """R10, with 表扬 and 其他 as practised."""

    CONSULT = "consult"  # 咨询
    HELP = "help"  # 求助
    COMPLAINT = "complaint"  # 投诉
    REPORT = "report"  # 举报
    OPINION = "opinion"  # 意见
    SUGGESTION = "suggestion"  # 建议
    PRAISE = "praise"  # 表扬
    OTHER = "other"  # 其他


class Urgency(StrEnum):
    NORMAL = "normal"  # 一般
    URGENT = "urgent"  # 紧急
    CRITICAL = "critical"  # 特急


class TicketState(StrEnum):
    """The first two states of SPEC 2.3."""

    DRAFT = "S0"  # 草稿
    REVIEW = "S1"  # 待审核


class Ticket(Base):
    __tablename__ = "tickets"

    id: Mapped[int] = mapped_column(primary_key=True)
    ticket_no: Mapped[str] = mapped_column(String(24), unique=True)
    query_code: Mapped[str] = mapped_column(String(6))
    version: Mapped[int] = mapped_column(default=1)
    state: Mapped[str] = mapped_column(String(4), index=True)
    channel: Mapped[str] = mapped_column(String(12), default="phone")
    call_id: Mapped[str | None] = mapped_column(String(64), unique=True)
    type: Mapped[str] = mapped_column(String(12), index=True)
    urgency: Mapped[str] = mapped_column(String(10), index=True)
    title: Mapped[str] = mapped_column(String(200))
    content: Mapped[str] = mapped_column(Text)
    caller_number: Mapped[str] = mapped_column(String(40), index=True)
    contact_phone: Mapped[str] = mapped_column(String(40))
    county: Mapped[str] = mapped_column(String(6))
    place: Mapped[str] = mapped_column(String(200))
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), index=True)
    created_by: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class TicketCounter(Base):
    """The last number given out on a day."""

    __tablename__ = "ticket_counters"

    day: Mapped[str] = mapped_column(String(8), primary_key=True)
    last: Mapped[int]
