"""Taking down a ticket: drafts during the call, submission, and later corrections (SPEC 2.3, S0 and S1)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit
from core.clock import Clock, local
from core.db import Database
from core.errors import Conflict, Forbidden, Invalid, NotFound
from routing.models import Agent, Call
from web.auth.actor import Actor
from web.auth.models import Role
from web.tickets.models import Ticket, TicketState, TicketType, Urgency
from web.tickets.numbers import next_number, query_code
from web.tickets.places import COUNTIES

LONGEST = {"title": 200, "content": 10_000, "contact_phone": 40, "place": 200}


@dataclass(frozen=True)
class TicketFields:
    """What a person types. ``county`` is a six-digit code of SPEC 5.1 or empty."""

    type: str = TicketType.HELP
    title: str = ""
    content: str = ""
    contact_phone: str = ""
    urgency: str = Urgency.NORMAL
    county: str = ""
    place: str = ""

    def checked(self, *, submit: bool) -> TicketFields:
        """Raise Invalid for what cannot be kept; a submitted ticket needs a title and a content."""
        if self.type not in list(TicketType):
            raise Invalid("请选择诉求类型", id="bad-ticket", data={"field": "type"})
        if self.urgency not in list(Urgency):
            raise Invalid("请选择紧急程度", id="bad-ticket", data={"field": "urgency"})
        if self.county and self.county not in COUNTIES:
            raise Invalid("请选择县（市）", id="bad-ticket", data={"field": "county"})
        for name, longest in LONGEST.items():
            value = getattr(self, name)
            if len(value) > longest:
                raise Invalid(f"内容过长，最多 {longest} 个字", id="bad-ticket", data={"field": name})
            if "\x00" in value:
                raise Invalid("内容含有无效字符", id="bad-ticket", data={"field": name})
        for name, message in (("title", "请填写标题"), ("content", "请填写诉求内容")):
            if submit and not getattr(self, name).strip():
                raise Invalid(message, id="bad-ticket", data={"field": name})
        return self


class Tickets:
    def __init__(self, db: Database, clock: Clock) -> None:
        self.db, self.clock = db, clock

    def of_call(self, call_id: str) -> Ticket | None:
        with self.db.read() as session:
            return session.scalar(select(Ticket).where(Ticket.call_id == call_id))

    def of_caller(self, number: str, limit: int = 10) -> list[Ticket]:
        """The newest tickets of a caller's number; none for a withheld number."""
        if not number:
            return []
        query = select(Ticket).where(Ticket.caller_number == number).order_by(Ticket.created_at.desc()).limit(limit)
        with self.db.read() as session:
            return list(session.scalars(query))

    def get(self, actor: Actor, ticket_no: str) -> Ticket:
        """Raises NotFound, or Forbidden for roles without ticket content (SPEC 2.1: ADMIN)."""
        actor.require(Role.AGENT, Role.LEAD)
        with self.db.read() as session:
            found = session.scalar(select(Ticket).where(Ticket.ticket_no == ticket_no))
        if found is None:
            raise NotFound(f"没有工单 {ticket_no}", id="no-such-ticket")
        return found

    def save(self, actor: Actor, call_id: str, fields: TicketFields, version: int, *, submit: bool) -> Ticket:
        """Keep what was typed against a call, as a draft or for good.

        ``version`` is the one the person last saw (0: none). Raises Conflict when somebody else has saved since,
        or when it was submitted already; Invalid; Forbidden for somebody else's call.
        """
        actor.require(Role.AGENT, Role.LEAD)
        fields.checked(submit=submit)
        with self.db.write() as session:
            call = session.get(Call, call_id)
            if call is None:
                raise NotFound(f"没有通话 {call_id}", id="no-such-call")
            ticket = session.scalar(select(Ticket).where(Ticket.call_id == call_id).with_for_update())
            if ticket is None:
                ticket = self._new(session, actor, call)
            else:
                self._next_version(actor, ticket, version)
            self._fill(session, actor, ticket, fields, submit=submit)
            return ticket

    def update(self, actor: Actor, ticket_no: str, fields: TicketFields, version: int, *, submit: bool) -> Ticket:
        """Change a ticket from its own page; the same rules as :meth:`save`."""
        actor.require(Role.AGENT, Role.LEAD)
        fields.checked(submit=submit)
        with self.db.write() as session:
            ticket = session.scalar(select(Ticket).where(Ticket.ticket_no == ticket_no).with_for_update())
            if ticket is None:
                raise NotFound(f"没有工单 {ticket_no}", id="no-such-ticket")
            self._next_version(actor, ticket, version)
            self._fill(session, actor, ticket, fields, submit=submit)
            return ticket

    def create(self, by: str, fields: TicketFields, *, channel: str, caller_number: str = "") -> Ticket:
        """Take in a ticket that came by another way than a call (the API)."""
        fields.checked(submit=True)
        now = self.clock.now()
        with self.db.write() as session:
            ticket = Ticket(
                ticket_no=next_number(session, local(now).date()),
                query_code=query_code(),
                version=1,
                channel=channel,
                caller_number=caller_number[:40],
                created_by=by,
                created_at=now,
            )
            self._set(ticket, fields, TicketState.REVIEW)
            session.add(ticket)
            audit.record(session, self.clock, by, "ticket-submit", f"ticket:{ticket.ticket_no}")
            return ticket

    def _new(self, session: Session, actor: Actor, call: Call) -> Ticket:
        if actor.agent_id is None or session.get(Agent, actor.agent_id) is None:
            raise Forbidden("此账号不是话务员")
        if call.agent_id != actor.agent_id and not actor.has(Role.LEAD):
            raise Forbidden("只能为本人接听的通话登记工单")
        now = self.clock.now()
        ticket = Ticket(
            ticket_no=next_number(session, local(now).date()),
            query_code=query_code(),
            version=1,
            state=TicketState.DRAFT,
            call_id=call.call_id,
            caller_number=call.caller_number,
            agent_id=actor.agent_id,
            created_by=actor.audit_name,
            created_at=now,
        )
        session.add(ticket)
        return ticket

    def _next_version(self, actor: Actor, ticket: Ticket, version: int) -> None:
        """Raise Forbidden or Conflict unless the actor may change this version of the ticket."""
        if not actor.has(Role.LEAD):
            if ticket.agent_id != actor.agent_id:
                raise Forbidden("只能修改本人登记的工单")
            if ticket.state != TicketState.DRAFT:
                raise Conflict("工单已提交，不能再修改", id="ticket-submitted", fix="请联系班长")
        if ticket.version != version:
            moment = local(ticket.updated_at)
            raise Conflict(f"此工单已于 {moment:%H:%M:%S} 被修改，请刷新后再编辑", id="ticket-changed")
        ticket.version += 1

    def _fill(self, session: Session, actor: Actor, ticket: Ticket, fields: TicketFields, *, submit: bool) -> None:
        submitted = submit and ticket.state == TicketState.DRAFT
        self._set(ticket, fields, TicketState.REVIEW if submit else TicketState(ticket.state))
        if submitted:
            audit.record(session, self.clock, actor.audit_name, "ticket-submit", f"ticket:{ticket.ticket_no}")

    def _set(self, ticket: Ticket, fields: TicketFields, state: TicketState) -> None:
        ticket.type, ticket.urgency = fields.type, fields.urgency
        ticket.title, ticket.content = fields.title.strip(), fields.content
        ticket.contact_phone, ticket.county, ticket.place = fields.contact_phone, fields.county, fields.place
        ticket.state, ticket.updated_at = state, self.clock.now()
