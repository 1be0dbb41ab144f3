"""What the web app works with: handed over by the composition root, or by a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app

from core.clock import Clock
from core.db import Database
from core.policy import Policies
from core.settings import Settings
from recordings.service import Recordings
from routing.agents import Agents
from routing.control import CallControl
from routing.dispatcher import Dispatcher
from routing.ledger import Ledger

KEY = "yihu"


@dataclass(frozen=True)
class WebDeps:
    settings: Settings
    db: Database
    clock: Clock
    policies: Policies
    ledger: Ledger
    agents: Agents
    dispatcher: Dispatcher
    recordings: Recordings
    control: CallControl


def deps() -> WebDeps:
    """The services of the running app."""
    return cast("WebDeps", current_app.extensions[KEY])
