"""Which flow answers which number, and in exactly which version."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from core import log
from core.errors import Invalid, NotFound
from ivr_flows.schema import Flow, load_flow

LIBRARY = Path(__file__).parent / "library"
DEFAULT = "default"


@dataclass(frozen=True)
class PinnedFlow:
    """A flow as one call sees it from beginning to end, whatever is published meanwhile."""

    flow: Flow

    @cached_property
    def version(self) -> str:
        """Immutable name of this very content: ``default@3f0c…``. Equal content has an equal name."""
        content = self.flow.model_dump_json(round_trip=True).encode()
        return f"{self.flow.id}@{hashlib.sha256(content).hexdigest()[:16]}"


class FlowRegistry:
    """The flows of a process. ``assigned`` maps dialled numbers to flow ids; all other numbers get ``default``."""

    def __init__(self, flows: Iterable[Flow], assigned: Mapping[str, str] | None = None) -> None:
        self._flows = {flow.id: PinnedFlow(flow) for flow in flows}
        self._assigned = dict(assigned or {})
        if DEFAULT not in self._flows:
            raise NotFound(
                "there is no flow 'default'", id="no-default-flow", fix="every other number falls back to it"
            )

    @classmethod
    def load(cls, assigned: Mapping[str, str] | None = None, folder: Path = LIBRARY) -> Self:
        """Read every flow file of a folder. Raises Invalid for the first one that is wrong."""
        flows = []
        for path in sorted(folder.glob("*.yaml")):
            flow = load_flow(path)
            if flow.id != path.stem:
                raise Invalid(
                    f"{path.name}: its id is {flow.id!r}", id="flow-invalid", fix="name the file like the flow"
                )
            flows.append(flow)
        return cls(flows, assigned)

    def get(self, flow_id: str) -> PinnedFlow:
        """The flow of this id; raises NotFound."""
        try:
            return self._flows[flow_id]
        except KeyError:
            raise NotFound(f"there is no flow {flow_id!r}", id="no-such-flow") from None

    def flow_for(self, number: str) -> PinnedFlow:
        """The flow that answers this number. A wrong assignment is logged and answered by the default flow."""
        flow_id = self._assigned.get(number, DEFAULT)
        if flow_id not in self._flows:
            log.get("flow").error("assigned flow does not exist", called=number, flow=flow_id)
            flow_id = DEFAULT
        return self._flows[flow_id]

    def all(self) -> tuple[PinnedFlow, ...]:
        return tuple(self._flows[flow_id] for flow_id in sorted(self._flows))
