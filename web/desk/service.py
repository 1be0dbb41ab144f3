"""The agent's desk: what it shows, and what its buttons do."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from flask import url_for
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit, log
from core.errors import Conflict, Forbidden, Unavailable
from routing.agents import BREAK_REASONS, ON_CALL, State
from routing.control import phone_name
from routing.ledger import Kind
from routing.models import Agent, AgentState, Call, CallEvent
from web import words
from web.auth.actor import Actor
from web.deps import WebDeps
from web.records.models import CallRecordRow
from web.tickets.models import Ticket, TicketState
from web.tickets.service import Tickets

HISTORY = 10  # earlier calls and tickets shown


def iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


class Desk:
    def __init__(self, parts: WebDeps) -> None:
        self.parts = parts
        self.tickets = Tickets(parts.db, parts.clock)
        self._log = log.get("desk")

    # -- buttons --------------------------------------------------------------------------------------------

    def sign_in(self, actor: Actor) -> dict[str, str]:
        """Start work; returns the phone's account."""
        agent_id = actor.require_agent()
        account = self.phone(actor)
        self.parts.agents.sign_in(agent_id)
        with self.parts.db.write() as session:
            audit.record(session, self.parts.clock, actor.audit_name, "sign-in", f"agent:{agent_id}")
        return account

    def phone(self, actor: Actor) -> dict[str, str]:
        """A new random password for the agent's phone; the one before no longer registers.

        It goes to the page that asked and into Asterisk, nowhere else. Raises Unavailable when Asterisk is away.
        """
        name, password = phone_name(actor.require_agent()), secrets.token_urlsafe(24)
        self.parts.control.provision_phone(name, password)
        settings = self.parts.settings
        return {"user": name, "password": password, "domain": "yihu.invalid", "ws_url": settings.phone_ws_url}

    def sign_out(self, actor: Actor) -> None:
        """End work; in mid-call after the call."""
        agent_id = actor.require_agent()
        self.parts.agents.sign_out(agent_id)
        with self.parts.db.write() as session:
            audit.record(session, self.parts.clock, actor.audit_name, "sign-out", f"agent:{agent_id}")
        if self.parts.agents.state(agent_id).state == State.OFFLINE:
            try:
                self.parts.control.remove_phone(phone_name(agent_id))
            except Unavailable as exc:  # signed out all the same; the next sign-in gives a new password
                self._log.warning("phone not removed", error=str(exc))

    def ready(self, actor: Actor) -> None:
        self.parts.agents.ready(actor.require_agent())

    def pause(self, actor: Actor, reason: str) -> None:
        self.parts.agents.pause(actor.require_agent(), reason)

    def hold(self, actor: Actor, call_id: str, *, on: bool) -> None:
        """The caller hears music (on) or the agent again (off). Only in one's own talk."""
        agent_id = actor.require_agent()
        state = self.parts.agents.state(agent_id)
        if state.state != State.TALKING or state.call_id != call_id:
            raise Conflict("当前没有这个通话", id="not-talking")
        self.parts.control.hold(call_id, phone_name(agent_id), on)
        self.parts.ledger.append(call_id, Kind.HOLD, source="desk", on=on, agent_id=agent_id)

    # -- what is shown ----------------------------------------------------------------------------------------

    def state(self, actor: Actor) -> dict[str, Any]:
        """Everything the desk shows, as JSON."""
        agent_id = actor.require_agent()
        state = self.parts.agents.state(agent_id)
        with self.parts.db.read() as session:
            agent = session.get(Agent, agent_id)
            if agent is None or not agent.active:
                raise Forbidden("此话务员已停用")
            on_call = state.state in ON_CALL or state.state == State.WRAP_UP
            call = session.get(Call, state.call_id) if on_call and state.call_id else None
            return {
                "server_time": iso(self.parts.clock.now()),
                "agent": self._agent(agent, state),
                "break_reasons": [{"id": reason, "text": words.break_reason(reason)} for reason in BREAK_REASONS],
                "call": self._call(session, call) if call is not None else None,
            }

    def _agent(self, agent: Agent, state: AgentState) -> dict[str, Any]:
        return {
            "id": agent.id,
            "number": agent.number,
            "name": agent.name,
            "state": state.state,
            "reason": state.reason,
            "since": iso(state.since),
            "until": iso(state.until),
            "wish": state.wish,
            "phone_ready": state.phone_ready,
        }

    def _call(self, session: Session, call: Call) -> dict[str, Any]:
        # The agent who has the call sees the number in full (SPEC 3.7).
        hold = session.scalar(
            select(CallEvent)
            .where(CallEvent.call_id == call.call_id, CallEvent.kind == Kind.HOLD)
            .order_by(CallEvent.seq.desc())
            .limit(1)
        )
        ticket = session.scalar(select(Ticket).where(Ticket.call_id == call.call_id))
        return {
            "call_id": call.call_id,
            "caller_number": call.caller_number,
            "called_number": call.called_number,
            "language": call.language,
            "stage": call.stage,
            "since": iso(call.started_at),
            "connected_at": iso(call.connected_at),
            "on_hold": bool(hold is not None and hold.data.get("on")),
            "history": self._history(session, call),
            "tickets": [self._ticket(row) for row in self.tickets.of_caller(call.caller_number, HISTORY)],
            "draft": None if ticket is None else self._draft(ticket),
        }

    def _history(self, session: Session, call: Call) -> list[dict[str, Any]]:
        if not call.caller_number:
            return []
        rows = session.execute(
            select(CallRecordRow, Agent.name)
            .outerjoin(Agent, Agent.id == CallRecordRow.agent_id)
            .where(CallRecordRow.caller_number == call.caller_number, CallRecordRow.call_id != call.call_id)
            .order_by(CallRecordRow.started_at.desc())
            .limit(HISTORY)
        )
        return [
            {
                "call_id": row.call_id,
                "started_at": iso(row.started_at),
                "outcome_text": words.outcome(row.outcome),
                "agent_name": name or "",
                "url": url_for("calls.show", call_id=row.call_id),
            }
            for row, name in rows
        ]

    def _ticket(self, row: Ticket) -> dict[str, Any]:
        return {
            "ticket_no": row.ticket_no,
            "type_text": words.ticket_type(row.type),
            "title": row.title,
            "state_text": words.ticket_state(row.state),
            "created_at": iso(row.created_at),
            "url": url_for("tickets.show", ticket_no=row.ticket_no),
        }

    def _draft(self, row: Ticket) -> dict[str, Any]:
        return {
            "ticket_no": row.ticket_no,
            "version": row.version,
            "type": row.type,
            "title": row.title,
            "content": row.content,
            "contact_phone": row.contact_phone,
            "urgency": row.urgency,
            "county": row.county,
            "place": row.place,
            "submitted": row.state != TicketState.DRAFT,
        }
