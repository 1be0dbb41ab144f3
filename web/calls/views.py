"""List and page of calls, and the recorded audio."""

from __future__ import annotations

from flask import Blueprint, Response, render_template, request, send_file
from werkzeug.wrappers import Response as AnyResponse

from core.clock import local
from core.records import CallRecordV1, Outcome
from web import tables, words
from web.auth.guard import current_actor
from web.auth.models import Role
from web.calls.service import CallFilter, Calls
from web.calls.timeline import LEFT_BECAUSE, steps
from web.deps import deps
from web.i18n import _
from web.tickets.service import Tickets

bp = Blueprint("calls", __name__, template_folder="templates")


@bp.get("/calls")
def index() -> str | Response:
    actor, calls = current_actor(), Calls(deps())
    agents = calls.agents(actor)
    since, before = tables.period()
    wanted = CallFilter(
        number=tables.argument("number"),
        outcome=tables.choice("outcome", Outcome),
        agent_id=tables.whole("agent"),
        since=since,
        before=before,
    )
    names = {agent.id: agent.name for agent in agents}
    sort = tables.argument("sort")
    if tables.argument("format") == "csv":
        return _export(calls, wanted, sort, names)
    return render_template(
        "calls/index.html",
        page=calls.page(actor, wanted, sort, tables.page_number()),
        names=names,
        agents=[(str(agent.id), f"{agent.number} {agent.name}") for agent in agents] if actor.has(Role.LEAD) else [],
        outcomes=[(str(code), words.outcome(code)) for code in Outcome],
        number=lambda row: calls.shown_number(actor, row.caller_number),
        local=local,
    )


def _export(calls: Calls, wanted: CallFilter, sort: str, names: dict[int, str]) -> Response:
    actor = current_actor()
    header = [_("时间"), _("来电号码"), _("结果"), _("话务员"), _("等待（秒）"), _("通话（秒）"), _("通话编号")]
    rows = (
        (
            f"{local(row.started_at):%Y-%m-%d %H:%M:%S}",
            calls.shown_number(actor, row.caller_number),
            words.outcome(row.outcome),
            names.get(row.agent_id or 0, ""),
            row.wait_seconds,
            row.talk_seconds,
            row.call_id,
        )
        for row in calls.export(actor, wanted, sort)
    )
    return tables.export("calls", header, rows)


@bp.get("/calls/<call_id>")
def show(call_id: str) -> str | tuple[str, int]:
    parts, actor = deps(), current_actor()
    calls = Calls(parts)
    row = calls.find(actor, call_id)
    if row is None:
        return render_template("calls/pending.html", call_id=call_id), 404
    record = CallRecordV1.model_validate(row.body)
    return render_template(
        "calls/show.html",
        row=row,
        record=record,
        steps=steps(record, {agent.id: f"{agent.number} {agent.name}" for agent in calls.agents(actor)}),
        left_because=LEFT_BECAUSE,
        ticket=Tickets(parts.db, parts.clock).of_call(call_id),
        local=local,
    )


@bp.get("/recordings/<recording_id>/audio")
def audio(recording_id: str) -> AnyResponse:
    """The audio; a player fetches it in ranges."""
    asked = request.range
    from_start = asked is None or any(not start for start, _end in asked.ranges)
    recording, path = Calls(deps()).audio(current_actor(), recording_id, from_start=from_start)
    return send_file(path, mimetype=recording.media_type, conditional=True, etag=recording.sha256 or False)
