"""Reading YAML that people write: safe, bounded, and without YAML 1.1's surprises.

``no`` stays a text, ``2026-02-17`` stays a text, a key is always a text (``1:`` and ``"1":`` are the same), a key
given twice is refused, and aliases are refused (a few lines of them can stand for gigabytes).
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from core.errors import Invalid

MAX_BYTES = 256 * 1024
MAX_DEPTH = 12
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))


def _refused(reason: str, where: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=reason, problem_mark=where.start_mark)


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2's core schema, text keys, a depth limit and no aliases."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own contract; filled below)

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _refused("aliases (*name) are not allowed", event)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _refused(f"nested deeper than {MAX_DEPTH} levels", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None and node.tag not in _PLAIN_TAGS:
            raise _refused(f"tag {node.tag} is not allowed", node)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _refused("a key must be a text", key_node)
            if key_node.value in result:
                raise _refused(f"the key {key_node.value!r} is given twice", key_node)
            result[key_node.value] = self.construct_object(value_node, deep=True)
        return result


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),  # 0998 stays a text
    ("float", r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def load(text: str | bytes, source: str) -> Any:
    """The content of a YAML text. Raises Invalid naming ``source``, line and reason."""
    if len(text) > MAX_BYTES:
        raise Invalid(f"{source}: larger than {MAX_BYTES // 1024} KB", id="yaml-too-large", fix="split it")
    try:
        return yaml.load(text.decode("utf-8") if isinstance(text, bytes) else text, _Loader)  # noqa: S506 (it is safe)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise Invalid(f"{source}:{where}: {exc.problem}", id="yaml", fix="correct the YAML there") from None
    except UnicodeDecodeError as exc:
        raise Invalid(f"{source}: no UTF-8 text: {exc.reason}", id="yaml", fix="save it as UTF-8") from None
    except (yaml.YAMLError, ValueError) as exc:
        raise Invalid(f"{source}: {exc}", id="yaml", fix="correct the YAML") from None
