"""A call control that plays a script: how each phone answers when it is rung."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from core.errors import Unavailable
from routing.control import LeftBecause, Presence, RingResult


@dataclass
class ScriptedRing:
    """``result`` comes at the n-th look (None: rings for ever)."""

    phone: str
    result: RingResult | None
    looks: int = 2
    because: LeftBecause = LeftBecause.HUNG_UP
    channel: str = "leg"
    cancelled: bool = False

    def wait(self, seconds: float) -> RingResult | None:
        self.looks -= 1
        return self.result if self.looks <= 0 else None

    def cancel(self) -> None:
        self.cancelled = True

    def left(self, seconds: float) -> LeftBecause | None:
        return self.because


@dataclass
class ScriptedControl:
    """Implements routing.control.CallControl; ``answers`` gives the next ring of each phone, in order."""

    answers: dict[str, list[ScriptedRing]] = field(default_factory=dict)
    down: bool = False
    rings: list[ScriptedRing] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    on_ring: Callable[[ScriptedRing], None] = lambda ring: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def script(self, phone: str, *rings: ScriptedRing) -> None:
        self.answers[phone] = list(rings)

    def ring(self, phone: str, call_id: str, caller_number: str, seconds: float) -> ScriptedRing:
        if self.down:
            raise Unavailable("no manager link")
        with self.lock:
            waiting = self.answers.get(phone) or [ScriptedRing(phone, None)]
            ring = waiting.pop(0)
            self.rings.append(ring)
        self.on_ring(ring)
        return ring

    def close_room(self, call_id: str) -> None:
        self.closed.append(call_id)

    def provision_phone(self, phone: str, password: str) -> None: ...
    def remove_phone(self, phone: str) -> None: ...
    def hang_up(self, call_id: str) -> None: ...
    def remove_party(self, call_id: str, phone: str) -> None: ...
    def drop_lost(self, call_id: str, phone: str) -> None: ...
    def hold(self, call_id: str, phone: str, on: bool) -> None: ...
    def fallback_member(self, phone: str, *, present: bool, paused: bool = False) -> None: ...
    def presence(self) -> Presence:
        return Presence(frozenset(), {}, frozenset())
