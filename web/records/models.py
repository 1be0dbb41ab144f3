"""The ticket app's own copy of each call: the newest revision of its record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base, UtcDateTime


class CallRecordRow(Base):
    __tablename__ = "call_records"

    call_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    revision: Mapped[int]
    caller_number: Mapped[str] = mapped_column(String(40), index=True)
    called_number: Mapped[str] = mapped_column(String(40))
    language: Mapped[str] = mapped_column(String(8))
    outcome: Mapped[str] = mapped_column(String(24), index=True)
    ended_by: Mapped[str] = mapped_column(String(8))
    agent_id: Mapped[int | None] = mapped_column(index=True)  # the last agent who talked
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    ended_at: Mapped[datetime] = mapped_column(UtcDateTime)
    wait_seconds: Mapped[float | None]
    talk_seconds: Mapped[float]
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    body: Mapped[dict[str, Any]]  # call-record/v1 in full
