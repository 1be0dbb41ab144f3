"""The list of tickets: who may see which, filters, what a reader sees of a telephone number (SPEC 2.1, 3.7)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, or_, select

from core import audit
from core.clock import Clock
from core.db import Database
from core.privacy import mask_number
from routing.models import Agent
from web import tables
from web.auth.actor import Actor
from web.auth.models import Role
from web.tickets.models import Ticket

SORTS = {
    "created": Ticket.created_at,
    "number": Ticket.ticket_no,
    "type": Ticket.type,
    "urgency": Ticket.urgency,
    "state": Ticket.state,
    "updated": Ticket.updated_at,
}


@dataclass(frozen=True)
class TicketFilter:
    """Which tickets; empty and None mean any. ``number``: part of a ticket number, or last digits of a telephone.

    ``before`` is exclusive.
    """

    number: str = ""
    type: str = ""
    state: str = ""
    urgency: str = ""
    county: str = ""
    agent_id: int | None = None
    since: datetime | None = None
    before: datetime | None = None


class Listing:
    def __init__(self, db: Database, clock: Clock) -> None:
        self.db, self.clock = db, clock

    def query(self, actor: Actor, wanted: TicketFilter) -> Select[Any]:
        """The tickets that fit. Raises Forbidden for roles without ticket content."""
        actor.require(Role.AGENT, Role.LEAD)
        query = select(Ticket)
        for column, value in (
            (Ticket.type, wanted.type),
            (Ticket.state, wanted.state),
            (Ticket.urgency, wanted.urgency),
            (Ticket.county, wanted.county),
        ):
            if value:
                query = query.where(column == value)
        if wanted.agent_id is not None:
            query = query.where(Ticket.agent_id == wanted.agent_id)
        if wanted.since is not None:
            query = query.where(Ticket.created_at >= wanted.since)
        if wanted.before is not None:
            query = query.where(Ticket.created_at < wanted.before)
        if wanted.number:
            query = query.where(_numbered(wanted.number))
        return query

    def page(self, actor: Actor, wanted: TicketFilter, sort: str, number: int) -> tables.Page[Ticket]:
        """One page of the list."""
        with self.db.read() as session:
            return tables.fetch(session, self.query(actor, wanted), SORTS, sort, number)

    def export(self, actor: Actor, wanted: TicketFilter, sort: str) -> Sequence[Ticket]:
        """The rows of the whole list, one more than can be exported; who took them is audited (R57)."""
        query = self.query(actor, wanted).order_by(*tables.order(SORTS, sort)).limit(tables.EXPORT_LIMIT + 1)
        with self.db.write() as session:
            rows: list[Ticket] = list(session.scalars(query))
            audit.record(
                session, self.clock, actor.audit_name, "tickets-exported", "tickets", rows=len(rows), sort=sort[:20]
            )
        return rows

    def agents(self, actor: Actor) -> list[Agent]:
        """All agents, for the filter and for names."""
        actor.require(Role.AGENT, Role.LEAD)
        with self.db.read() as session:
            return list(session.scalars(select(Agent).order_by(Agent.number)))


def _numbered(text: str) -> Any:
    """A condition: the ticket number contains the text, or a telephone number of the ticket ends with its digits."""
    found = Ticket.ticket_no.contains(text.upper(), autoescape=True)
    digits = re.sub(r"[^0-9]", "", text)
    if len(digits) < 4:
        return found
    ends = (column.endswith(digits, autoescape=True) for column in (Ticket.caller_number, Ticket.contact_phone))
    return or_(found, *ends)


def may_see_number(actor: Actor, ticket: Ticket) -> bool:
    """Leads, and the agent who took the ticket down."""
    return actor.has(Role.LEAD) or (ticket.agent_id is not None and ticket.agent_id == actor.agent_id)


def shown_number(actor: Actor, ticket: Ticket, number: str) -> str:
    """A telephone number of the ticket as the actor may see it on the ticket's page."""
    return number if may_see_number(actor, ticket) else mask_number(number)
