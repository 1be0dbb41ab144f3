"""The pages that a person may open, for the navigation."""

from __future__ import annotations

from typing import Any

from flask import request, url_for

from web.auth.guard import signed_in
from web.auth.models import Role
from web.i18n import _


def navigation() -> list[dict[str, Any]]:
    """Entries with url, text, active and testid; empty when nobody is signed in."""
    actor = signed_in()
    if actor is None or actor.must_change:
        return []
    everyone = [
        ("desk.page", _("话务台"), actor.agent_id is not None),
        ("calls.index", _("通话记录"), actor.has(Role.AGENT, Role.LEAD)),
        ("tickets.index", _("工单"), actor.has(Role.AGENT, Role.LEAD)),
        ("staff.index", _("人员管理"), actor.has(Role.ADMIN)),
    ]
    return [
        {
            "url": url_for(endpoint),
            "text": text,
            "active": request.blueprint == endpoint.split(".")[0],
            "testid": f"nav-{endpoint.split('.')[0]}",
        }
        for endpoint, text, allowed in everyone
        if allowed
    ]
