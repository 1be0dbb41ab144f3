"""Recordings: what was said, one row a piece, its identity decided before the first sound is written."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base, UtcDateTime


class Recording(Base):
    __tablename__ = "recordings"

    id: Mapped[str] = mapped_column(String(72), primary_key=True)  # call id and a number
    call_id: Mapped[str] = mapped_column(ForeignKey("calls.call_id"), index=True)
    kind: Mapped[str] = mapped_column(String(8))  # talk | message
    state: Mapped[str] = mapped_column(String(12), index=True)  # capturing | stored | missing
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    stored_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    seconds: Mapped[float] = mapped_column(default=0.0)
    channels: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(default=0)
    sha256: Mapped[str | None] = mapped_column(String(64))
    media_type: Mapped[str] = mapped_column(String(32), default="audio/flac")
    store_key: Mapped[str | None] = mapped_column(String(160))
