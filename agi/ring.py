"""Phones being rung: what Asterisk's events say about each, until it has left the room again.

The leg's unique id is chosen by us before Asterisk is asked, so that every event finds its ring. Facts of Asterisk 22
that the rules below rest on (held by tests/contracts):

* OriginateResponse and the channel's own events come by different ways, in any order;
* a phone that refuses (486, 603, 480) shows as HangupRequest with a cause, then Hangup; OriginateResponse has only
  reason 0. Our own ringing time shows as reason 3;
* HangupRequest is what the far end asked for; a kick, a time-out of RTP (cause 44) or our Hangup have none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping

from agi.ami_wire import AmiEvent
from routing.control import LeftBecause, RingResult

REASON_RINGING, REASON_BUSY = "3", "5"  # OriginateResponse
REFUSED = ("17", "19", "21")  # causes of 486, 480 and 603
CAUSE_LOST = "44"  # RTP time-out, or our own verdict that the phone has vanished
STATE_UP = "6"
CAUSE_WAIT = 0.5  # s that the cause of a failure may come after the failure
LATE = 5.0  # s after the ringing time when we ask instead of waiting for an event


class AmiRing:
    """One phone; implements ``routing.control.Ring``."""

    def __init__(
        self, channel: str, seconds: float, generation: int, hang_up: Callable[[str], None], look: Callable[[], None]
    ) -> None:
        self.channel = channel
        self.generation = generation  # of the link that the ringing was asked over
        self._began = time.monotonic()
        self._ends = self._began + seconds
        self._hang_up, self._look = hang_up, look
        self._changed = threading.Condition()
        self._result: RingResult | None = None
        self._left: LeftBecause | None = None
        self._created = self._refusing = self._gone = self._cancelled = False
        self._failed_at: float | None = None

    # -- routing.control.Ring --

    def wait(self, seconds: float) -> RingResult | None:
        """Wait up to ``seconds`` for the outcome; None while it still rings. Raises Unavailable when the ringing
        time is over and Asterisk cannot be asked what became of it."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while (result := self._outcome()) is None and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(min(left, CAUSE_WAIT) if self._failed_at is not None else left)
        if result is None and time.monotonic() > self._ends + LATE:
            self._look()
            with self._changed:
                result = self._outcome()
        return result

    def cancel(self) -> None:
        """Stop ringing; if the party has just answered, take it out again. Raises Unavailable: then it is done as
        soon as the link is back."""
        with self._changed:
            if self._gone or self._left is not None:
                return
            self._cancelled = True
            if self._result is None:
                self._result = RingResult.CANCELLED
            self._changed.notify_all()
        self._hang_up(self.channel)

    def left(self, seconds: float) -> LeftBecause | None:
        """After ANSWERED: wait up to ``seconds`` until the party has left; None while it is there."""
        with self._changed:
            if self._result is not None and self._result is not RingResult.ANSWERED:
                return LeftBecause.REMOVED
            self._changed.wait_for(lambda: self._left is not None, timeout=seconds)
            return self._left

    # -- what happens --

    @property
    def age(self) -> float:
        """Seconds since the ringing was asked for."""
        return time.monotonic() - self._began

    @property
    def over(self) -> bool:
        """Nothing more can come: the leg has ended, or it failed and there never was one."""
        failed = self._failed_at
        never = failed is not None and not self._created and time.monotonic() >= failed + CAUSE_WAIT
        return self._gone or never

    @property
    def unwanted(self) -> bool:
        """Cancelled, and perhaps still there."""
        return self._cancelled and not self.over

    def take(self, event: AmiEvent) -> None:
        """An event about this leg."""
        with self._changed:
            match event.name:
                case "Newchannel":
                    self._created = True
                case "HangupRequest":
                    self._refusing = True
                case "OriginateResponse" if event["Response"] == "Success":
                    self._created = True
                    self._result = self._result or RingResult.ANSWERED
                case "OriginateResponse":
                    self._take_failure(event["Reason"])
                case "Hangup":
                    self._take_end(event["Cause"], was_up=event["ChannelState"] == STATE_UP)
            self._changed.notify_all()

    def _take_failure(self, reason: str) -> None:
        self._failed_at = time.monotonic()
        if reason in (REASON_RINGING, REASON_BUSY):
            self._result = self._result or (RingResult.NO_ANSWER if reason == REASON_RINGING else RingResult.REJECTED)

    def _take_end(self, cause: str, *, was_up: bool) -> None:
        if self._result is None and was_up:
            self._result = RingResult.ANSWERED  # and left again, before we were told that it had come
        if self._result is None:
            if not self._refusing:
                self._result = RingResult.NO_ANSWER
            else:
                self._result = RingResult.REJECTED if cause in REFUSED else RingResult.UNREACHABLE
        if self._refusing:
            self._left = LeftBecause.HUNG_UP
        else:
            self._left = LeftBecause.LOST if cause == CAUSE_LOST else LeftBecause.REMOVED
        self._gone = True

    def _outcome(self) -> RingResult | None:
        failed = self._failed_at
        if self._result is None and failed is not None and time.monotonic() >= failed + CAUSE_WAIT:
            self._result = RingResult.UNREACHABLE  # no cause was told: there was no phone to ring
        return self._result

    def compare(self, state: str | None) -> None:
        """What Asterisk says now about the leg (its channel state, None: it is not there), events having been lost."""
        with self._changed:
            if state is None:
                self._result = self._result or RingResult.UNREACHABLE
                self._left = self._left or LeftBecause.UNKNOWN
                self._gone = True
            else:
                self._created = True
                if state == STATE_UP:
                    self._result = self._result or RingResult.ANSWERED
            self._changed.notify_all()


class Rings:
    """All legs that this process has asked for and that are not over."""

    def __init__(self, hang_up_soon: Callable[[str], None]) -> None:
        self._hang_up_soon = hang_up_soon  # must not wait: called from the events' thread
        self._lock = threading.Lock()
        self._rings: dict[str, AmiRing] = {}

    def add(self, ring: AmiRing) -> None:
        with self._lock:
            self._rings = {channel: known for channel, known in self._rings.items() if not known.over}
            self._rings[ring.channel] = ring

    def drop(self, ring: AmiRing) -> None:
        with self._lock:
            self._rings.pop(ring.channel, None)

    def __len__(self) -> int:
        return len(self._rings)

    def __iter__(self) -> Iterator[AmiRing]:
        with self._lock:
            return iter(list(self._rings.values()))

    def take(self, event: AmiEvent) -> None:
        """Hand an event to its ring."""
        with self._lock:
            ring = self._rings.get(event["Uniqueid"])
        if ring is not None:
            ring.take(event)
            self._follow_up(ring)

    def compare(self, states: Mapping[str, str], *, which: Callable[[AmiRing], bool]) -> None:
        """Compare with what is there now: unique id → channel state. Only the rings that ``which`` names."""
        for ring in self:
            if which(ring):
                ring.compare(states.get(ring.channel))
                self._follow_up(ring)

    def _follow_up(self, ring: AmiRing) -> None:
        if ring.over:
            self.drop(ring)
        elif ring.unwanted:
            self._hang_up_soon(ring.channel)  # it has come up after all, just when it was cancelled
