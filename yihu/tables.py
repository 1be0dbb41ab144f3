"""Every table of the house, imported once so that migrations and tests see them all."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil

from sqlalchemy import MetaData

import web
from core.db import Base

MODULES = ("core.audit", "core.outbox", "core.policy", "routing.models", "recordings.models", "agi.reconcile")


def metadata() -> MetaData:
    """The metadata of all tables, those of each feature folder of ``web`` included."""
    for name in MODULES:
        importlib.import_module(name)
    for info in pkgutil.iter_modules(web.__path__):
        if info.ispkg and importlib.util.find_spec(f"web.{info.name}.models"):
            importlib.import_module(f"web.{info.name}.models")
    return Base.metadata
