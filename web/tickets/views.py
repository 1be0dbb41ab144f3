"""List and page of tickets."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from core.clock import local
from core.errors import Conflict, Invalid
from core.privacy import mask_number
from web import tables, words
from web.auth.guard import current_actor
from web.auth.models import Role
from web.deps import deps
from web.i18n import _, said
from web.tickets.listing import Listing, TicketFilter, may_see_number, shown_number
from web.tickets.models import Ticket, TicketState, TicketType, Urgency
from web.tickets.places import COUNTIES
from web.tickets.service import LONGEST, TicketFields, Tickets

bp = Blueprint("tickets", __name__, url_prefix="/tickets", template_folder="templates")


@bp.get("")
def index() -> str | Response:
    parts, actor = deps(), current_actor()
    listing = Listing(parts.db, parts.clock)
    agents = listing.agents(actor)
    since, before = tables.period()
    wanted = TicketFilter(
        number=tables.argument("number"),
        type=tables.choice("type", TicketType),
        state=tables.choice("state", TicketState),
        urgency=tables.choice("urgency", Urgency),
        county=tables.choice("county", COUNTIES),
        agent_id=tables.whole("agent"),
        since=since,
        before=before,
    )
    names = {agent.id: agent.name for agent in agents}
    sort = tables.argument("sort")
    if tables.argument("format") == "csv":
        return _export(listing, wanted, sort, names)
    return render_template(
        "tickets/index.html",
        page=listing.page(actor, wanted, sort, tables.page_number()),
        names=names,
        agents=[(str(agent.id), f"{agent.number} {agent.name}") for agent in agents],
        number=lambda row: _in_list(row),
        local=local,
        **_choices(),
    )


def _choices() -> dict[str, list[tuple[str, str]]]:
    return {
        "types": [(str(code), words.ticket_type(code)) for code in TicketType],
        "urgencies": [(str(code), words.urgency(code)) for code in Urgency],
        "states": [(str(code), words.ticket_state(code)) for code in TicketState],
        "places": [(code, words.county(code)) for code in COUNTIES],
    }


def _in_list(row: Ticket) -> str:
    """In lists agents see numbers masked, as on the list of calls."""
    return row.caller_number if current_actor().has(Role.LEAD) else mask_number(row.caller_number)


def _export(listing: Listing, wanted: TicketFilter, sort: str, names: dict[int, str]) -> Response:
    header = [
        _("工单编号"),
        _("登记时间"),
        _("诉求类型"),
        _("紧急程度"),
        _("状态"),
        _("标题"),
        _("县（市）"),
        _("来电号码"),
        _("话务员"),
    ]
    rows = (
        (
            row.ticket_no,
            f"{local(row.created_at):%Y-%m-%d %H:%M:%S}",
            words.ticket_type(row.type),
            words.urgency(row.urgency),
            words.ticket_state(row.state),
            row.title,
            words.county(row.county),
            _in_list(row),
            names.get(row.agent_id or 0, ""),
        )
        for row in listing.export(current_actor(), wanted, sort)
    )
    return tables.export("tickets", header, rows)


@bp.get("/<ticket_no>")
def show(ticket_no: str) -> str:
    parts, actor = deps(), current_actor()
    return _page(Tickets(parts.db, parts.clock).get(actor, ticket_no))


def _page(ticket: Ticket, typed: TicketFields | None = None, error: str = "") -> str:
    """The page of a ticket; ``typed`` is what the person entered when it could not be saved."""
    actor = current_actor()
    own = ticket.agent_id is not None and ticket.agent_id == actor.agent_id
    names = {agent.id: f"{agent.number} {agent.name}" for agent in Listing(deps().db, deps().clock).agents(actor)}
    return render_template(
        "tickets/show.html",
        ticket=ticket,
        fields=typed or ticket,
        error=error,
        may_edit=actor.has(Role.LEAD) or (own and ticket.state == TicketState.DRAFT),
        full_numbers=may_see_number(actor, ticket),
        number=shown_number(actor, ticket, ticket.caller_number),
        contact=shown_number(actor, ticket, ticket.contact_phone),
        agent=names.get(ticket.agent_id or 0, ""),
        longest=LONGEST,
        local=local,
        **_choices(),
    )


@bp.post("/<ticket_no>")
def update(ticket_no: str) -> AnyResponse | tuple[str, int]:
    parts, actor = deps(), current_actor()
    tickets = Tickets(parts.db, parts.clock)
    typed: dict[str, Any] = {name: request.form.get(name, "") for name in TicketFields.__dataclass_fields__}
    fields = TicketFields(**typed)
    version = request.form.get("version", "")
    try:
        if not (version.isascii() and version.isdigit() and len(version) < 10):
            raise Invalid(_("页面内容不完整，请刷新后重试"), id="bad-version")
        tickets.update(actor, ticket_no, fields, int(version), submit=request.form.get("submit") == "1")
    except (Invalid, Conflict) as exc:
        # What was typed must not be lost.
        return _page(tickets.get(actor, ticket_no), fields, said(exc)), exc.status
    flash(_("已保存"), "success")
    return redirect(url_for("tickets.show", ticket_no=ticket_no))
