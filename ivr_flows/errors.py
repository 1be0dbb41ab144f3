"""What can interrupt a running flow.

Both classes derive from BaseException on purpose, as asyncio.CancelledError does: a broad ``except Exception`` in a
node, in a port or in a library must never swallow a hang-up and carry on talking to nobody.
"""

from __future__ import annotations

from core.records import Outcome


class CallerGone(BaseException):
    """The caller has hung up (or the channel is dead). Raised by a Line, caught in one place: the engine.

    ``reached`` tells what the interrupted request had reached already: TALKED when the caller was talking with a
    person, EMERGENCY when talking with an emergency line, MESSAGE when a message was kept. Else None.
    """

    def __init__(self, reached: Outcome | None = None) -> None:
        super().__init__(reached)
        self.reached = reached


class AlwaysKey(BaseException):
    """The caller pressed a key that works everywhere in the flow (0 a person, 9 emergency).

    Raised by :class:`ivr_flows.call.FlowCall` when the node itself does not want the key; caught in the engine.
    """

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key
