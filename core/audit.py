"""Who did what to what, and when: append-only (R02, R57)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, Session, mapped_column

from core.clock import Clock
from core.db import Base, UtcDateTime


class AuditEntry(Base):
    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    actor: Mapped[str] = mapped_column(String(80), index=True)  # user:ID, client:NAME or system
    action: Mapped[str] = mapped_column(String(64), index=True)
    target: Mapped[str] = mapped_column(String(128), index=True)  # kind:id
    detail: Mapped[dict[str, Any]]


def record(session: Session, clock: Clock, actor: str, action: str, target: str, **detail: Any) -> None:
    """Add an entry to the running transaction. No secrets in ``detail``."""
    session.add(AuditEntry(at=clock.now(), actor=actor, action=action, target=target, detail=detail))
