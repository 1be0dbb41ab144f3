"""Node types, one file each: adding a file here is all it takes (and a heading in docs/flow-nodes.md)."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from ivr_flows.node import Node


def _discover() -> dict[str, type[Node]]:
    found: dict[str, type[Node]] = {}
    for module_info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        own = [
            member
            for _, member in inspect.getmembers(module, inspect.isclass)
            if issubclass(member, Node) and member.__module__ == module.__name__
        ]
        if len(own) != 1 or own[0].type_name() != module_info.name:
            raise TypeError(f"{module.__name__} must define one node class, of type {module_info.name!r}")
        found[module_info.name] = own[0]
    return found


NODE_TYPES: Mapping[str, type[Node]] = MappingProxyType(_discover())
"""Node type as written in flows → its class."""
