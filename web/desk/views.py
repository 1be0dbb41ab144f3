"""The desk's page, its buttons (JSON) and its stream of changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from flask import Blueprint, Response, current_app, jsonify, render_template, request, stream_with_context

from core.errors import Invalid
from web import words
from web.auth.guard import COOKIE, auth, current_actor
from web.deps import deps
from web.desk.live import Live
from web.desk.service import Desk
from web.tickets.models import TicketType, Urgency
from web.tickets.places import COUNTIES
from web.tickets.service import TicketFields, Tickets

bp = Blueprint("desk", __name__, url_prefix="/desk", template_folder="templates")

HEARTBEAT_SECONDS = 10.0


def desk() -> Desk:
    return Desk(deps())


def payload() -> dict[str, Any]:
    """The JSON object of the request; raises Invalid for anything else."""
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise Invalid("请求内容应为 JSON 对象", id="bad-json")
    return body


def text_of(body: dict[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise Invalid(f"{name} 应为文本", id="bad-json", data={"field": name})
    return value


@bp.get("")
def page() -> str:
    current_actor().require_agent()
    options = {
        "ticket_types": [{"id": kind, "text": words.ticket_type(kind)} for kind in TicketType],
        "urgencies": [{"id": urgency, "text": words.urgency(urgency)} for urgency in Urgency],
        "counties": [{"id": code, "text": name} for code, name in COUNTIES.items()],
    }
    return render_template("desk/desk.html", options=options)


@bp.get("/state")
def state() -> Response:
    return jsonify(desk().state(current_actor()))


@bp.get("/stream")
def stream() -> Response:
    """Server-sent events: ``state`` at the start and at each change; a comment now and then as heartbeat."""
    actor = current_actor()
    agent_id = actor.require_agent()
    live = cast("Live", current_app.extensions["yihu_live"])
    service, token = desk(), request.cookies.get(COOKIE, "")

    def events() -> Iterator[str]:
        last = ""
        yield "retry: 2000\n\n"
        while auth().who(token) is not None:  # a session that was ended elsewhere ends here, too
            seen = live.generation(agent_id)
            shown = service.state(actor)
            # The moment alone is no change.
            key = json.dumps({**shown, "server_time": None}, ensure_ascii=False)
            if key != last:
                last = key
                yield f"event: state\ndata: {json.dumps(shown, ensure_ascii=False)}\n\n"
            else:
                yield ": still here\n\n"
            live.wait(agent_id, seen, HEARTBEAT_SECONDS)

    response = Response(stream_with_context(events()), mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


@bp.post("/sign-in")
def sign_in() -> Response:
    return jsonify(phone=desk().sign_in(current_actor()))


@bp.post("/phone")
def phone() -> Response:
    return jsonify(phone=desk().phone(current_actor()))


@bp.post("/sign-out")
def sign_out() -> Response:
    desk().sign_out(current_actor())
    return jsonify({})


@bp.post("/ready")
def ready() -> Response:
    desk().ready(current_actor())
    return jsonify({})


@bp.post("/break")
def pause() -> Response:
    desk().pause(current_actor(), text_of(payload(), "reason"))
    return jsonify({})


@bp.post("/hold")
def hold() -> Response:
    body = payload()
    desk().hold(current_actor(), text_of(body, "call_id"), on=body.get("on") is True)
    return jsonify({})


@bp.post("/ticket")
def ticket() -> Response:
    """Save the ticket of a call: autosaved as a draft, or submitted."""
    body = payload()
    fields = TicketFields(
        type=text_of(body, "type") or TicketType.HELP,
        title=text_of(body, "title"),
        content=text_of(body, "content"),
        contact_phone=text_of(body, "contact_phone"),
        urgency=text_of(body, "urgency") or Urgency.NORMAL,
        county=text_of(body, "county"),
        place=text_of(body, "place"),
    )
    version = body.get("version") or 0
    if not isinstance(version, int):
        raise Invalid("version 应为整数", id="bad-json")
    parts = deps()
    saved = Tickets(parts.db, parts.clock).save(
        current_actor(), text_of(body, "call_id"), fields, version, submit=body.get("submit") is True
    )
    return jsonify(
        ticket_no=saved.ticket_no,
        version=saved.version,
        saved_at=saved.updated_at.isoformat(),
        state_text=words.ticket_state(saved.state),
    )
