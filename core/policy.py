"""Policy numbers of the hotline: each with its basis, effective-dated, in the database (R01, R67).

No limit or threshold is a constant in code. Code declares *that* a number exists (key, unit, default, basis); its
value on a given day is the newest row whose ``effective_from`` has come, else the default.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from core.clock import Clock
from core.db import Base, Database, UtcDateTime

CACHE_SECONDS = 5.0


class PolicyRow(Base):
    __tablename__ = "policy"
    __table_args__ = (Index("ix_policy_key_effective", "key", "effective_from"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(64))
    value: Mapped[dict[str, Any]]  # {"value": …}
    basis: Mapped[str] = mapped_column(Text)
    effective_from: Mapped[datetime] = mapped_column(UtcDateTime)
    set_by: Mapped[str] = mapped_column(String(80))


@dataclass(frozen=True)
class Policy:
    """A declared policy number. ``unit`` is for people ("s", "days"); ``basis`` says where the default is from."""

    key: str
    default: float | int | bool | str
    unit: str
    title: str
    basis: str


_DECLARED: dict[str, Policy] = {}


def declare(key: str, default: float | int | bool | str, unit: str, title: str, basis: str) -> Policy:
    """Declare a policy number once, at import. Raises ValueError if the key is taken."""
    if key in _DECLARED:
        raise ValueError(f"policy {key} is declared twice")
    policy = Policy(key, default, unit, title, basis)
    _DECLARED[key] = policy
    return policy


def declared() -> list[Policy]:
    """Every declared policy number, by key."""
    return [_DECLARED[key] for key in sorted(_DECLARED)]


class Policies:
    """The values in force now, cached for a few seconds per process."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self.db, self.clock = db, clock
        self._lock = threading.Lock()
        self._values: dict[str, Any] = {}
        self._read_at: datetime | None = None

    def number(self, policy: Policy) -> float:
        return float(self._value(policy))

    def text(self, policy: Policy) -> str:
        return str(self._value(policy))

    def _value(self, policy: Policy) -> Any:
        now = self.clock.now()
        with self._lock:
            if self._read_at is None or abs((now - self._read_at).total_seconds()) > CACHE_SECONDS:
                with self.db.read() as session:
                    rows = session.scalars(
                        select(PolicyRow)
                        .where(PolicyRow.effective_from <= now)
                        .order_by(PolicyRow.effective_from, PolicyRow.id)
                    )
                    self._values = {row.key: row.value["value"] for row in rows}
                self._read_at = now
            return self._values.get(policy.key, policy.default)

    def set(self, policy: Policy, value: Any, *, basis: str, effective_from: datetime, set_by: str) -> None:
        """Add a value; earlier ones stay as history. Raises ValueError when the kind of value does not fit."""
        numeric = isinstance(policy.default, int | float) and not isinstance(policy.default, bool)
        if numeric != (isinstance(value, int | float) and not isinstance(value, bool)):
            raise ValueError(f"{policy.key} takes a value like {policy.default!r}")
        if not basis.strip():
            raise ValueError("a policy value needs its basis")
        with self.db.write() as session:
            session.add(
                PolicyRow(
                    key=policy.key, value={"value": value}, basis=basis, effective_from=effective_from, set_by=set_by
                )
            )
        with self._lock:
            self._read_at = None
