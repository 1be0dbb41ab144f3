"""What every node of a flow has. The node types themselves are one file each in :mod:`ivr_flows.nodes`."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ivr_flows.call import FlowCall

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$", max_length=40)]
"""Name of a flow, node or prompt: lower-case words joined by hyphens."""

OutcomeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(?:_[a-z0-9]+)*$", max_length=40)]

Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]

Key = Annotated[str, StringConstraints(pattern=r"^[0-9*#]$")]

PROMPTS = "yihu-prompts"  # JSON Schema format of a field that holds prompt ids: forms offer a prompt picker
Prompts = Annotated[
    tuple[Identifier, ...], Field(max_length=20, json_schema_extra={"format": PROMPTS}, description="Prompts, in order")
]


class Node(BaseModel):
    """A step of a flow: its configuration, its outcomes, and what it does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    terminal: ClassVar[bool] = False
    """True: the call is over after this node."""

    type: str
    next: dict[OutcomeName, Identifier] = Field(default_factory=dict, description="Outcome → node that follows")

    @abstractmethod
    def outcomes(self) -> tuple[str, ...]:
        """Every outcome that :meth:`run` may return with this configuration."""

    @abstractmethod
    def run(self, call: FlowCall) -> str:
        """Do it; returns the outcome. May raise anything: the engine has an answer to all of it."""

    def keys_used(self) -> str:
        """Telephone keys to which this node gives a meaning of its own."""
        return ""

    def prompts_used(self) -> tuple[str, ...]:
        """Ids of all prompts that the node may play."""
        found: list[str] = []
        for name, field in type(self).model_fields.items():
            extra: Any = field.json_schema_extra
            if isinstance(extra, dict) and extra.get("format") == PROMPTS:
                value = getattr(self, name)
                found += [value] if isinstance(value, str) else value
        return tuple(found)

    @classmethod
    def type_name(cls) -> str:
        """The value of ``type`` that stands for this class in a flow file."""
        (name,) = get_args(cls.model_fields["type"].annotation)
        return str(name)
