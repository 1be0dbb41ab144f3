"""The demonstration: invented people, units and some past calls, so that there is something to look at."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from core.clock import local
from core.records import EndedBy, Outcome
from core.secrets import secret
from core.settings import Settings
from routing.ledger import Kind
from routing.models import Agent, Call, Number
from web.auth.models import Role, User
from web.auth.service import hash_password
from web.tickets.models import Ticket, TicketState, TicketType, Urgency
from web.tickets.numbers import next_number, query_code
from web.tickets.places import COUNTIES
from web.units.models import Unit, UnitKind
from yihu import compose
from yihu.compose import Parts
from yihu.demo_data import CENTRE, HISTORY, NUMBERS, PEOPLE, UNITS, PastCall

_TYPES = {
    "咨询": TicketType.CONSULT,
    "求助": TicketType.HELP,
    "投诉": TicketType.COMPLAINT,
    "举报": TicketType.REPORT,
    "意见": TicketType.OPINION,
    "建议": TicketType.SUGGESTION,
    "表扬": TicketType.PRAISE,
}


def load(settings: Settings) -> list[str]:
    """Add what is missing of the demonstration; safe to repeat. Returns lines that tell what there is."""
    parts = compose.build(settings)
    try:
        # One password for all demonstration log-ins, random for each home.
        password = secret(settings.home, "demo")[:12]
        agents = _people(parts, password)
        _units(parts)
        _numbers(parts)
        _history(parts, agents)
    finally:
        parts.close()
    who = "、".join(f"{person.username} {person.name}" for person in PEOPLE)
    return [
        f"演示账号：{who}",
        f"演示密码（各账号相同）：{password}",
        "紧急电话 110、119、120、122 为模拟台，不会真的拨打",
    ]


def _people(parts: Parts, password: str) -> list[Agent]:
    hashed: str | None = None
    agents = []
    with parts.db.write() as session:
        for person in PEOPLE:
            agent = session.scalar(select(Agent).where(Agent.number == person.number))
            if agent is None:
                agent = Agent(
                    number=person.number,
                    name=person.name,
                    languages=list(person.languages),
                    queues=["general"],
                    active=True,
                )
                session.add(agent)
                session.flush()
            agents.append(agent)
            if session.scalar(select(User.id).where(User.username == person.username)) is None:
                hashed = hashed or hash_password(password)
                session.add(
                    User(
                        username=person.username,
                        name=person.name,
                        role=Role(person.role),
                        password_hash=hashed,
                        agent_id=agent.id,
                        created_at=parts.clock.now(),
                    )
                )
    return agents


def _units(parts: Parts) -> None:
    with parts.db.write() as session:
        if session.scalar(select(Unit.id).limit(1)) is not None:
            return
        centre = Unit(name=CENTRE, kind=UnitKind.CENTRE, region="653100")
        session.add(centre)
        session.flush()
        for kind, name, region in UNITS:
            session.add(Unit(name=name, kind=kind, region=region, parent_id=centre.id))
        for code, name in COUNTIES.items():
            session.add(Unit(name=f"{name}分中心（示例）", kind=UnitKind.COUNTY, region=code, parent_id=centre.id))


def _numbers(parts: Parts) -> None:
    with parts.db.write() as session:
        for number, title in NUMBERS.items():
            if session.get(Number, number) is None:
                session.add(Number(number=number, title=title))


def _history(parts: Parts, agents: list[Agent]) -> None:
    with parts.db.read() as session:
        if session.scalar(select(Call.call_id).limit(1)) is not None:
            return
    for index, past in enumerate(HISTORY):
        _past_call(parts, past, agents, index)


def _past_call(parts: Parts, past: PastCall, agents: list[Agent], index: int) -> None:
    """Write a call of the past into the ledger, as a session would have."""
    start = parts.clock.now() - timedelta(hours=past.hours_ago)
    call_id = f"{parts.settings.node}-{int(start.timestamp())}.{index}"
    ledger = parts.ledger

    def at(seconds: float) -> timedelta:
        return timedelta(seconds=seconds)

    ledger.open(call_id, past.caller, parts.settings.hotline_number, at=start)
    ledger.append(call_id, Kind.ANSWERED, at=start + at(0.1))
    now = start + at(4)
    if past.outcome is not Outcome.ABANDONED_IVR:
        ledger.append(call_id, Kind.LANGUAGE, at=now, language=past.language)
        ledger.append(call_id, Kind.QUEUED, at=now, queue="general", priority=0)
        now += at(past.wait)
    if past.agent is not None:
        agent = agents[past.agent]
        ledger.append(call_id, Kind.JOINED, at=now, agent_id=agent.id, number=agent.number, name=agent.name)
        now += at(past.talk)
        ledger.append(call_id, Kind.LEFT, at=now, agent_id=agent.id, because="hung_up", seconds=past.talk)
        if past.ticket is not None:
            _ticket(parts, past, agent, call_id)
    by = EndedBy.AGENT if past.agent is not None else EndedBy.CALLER
    ledger.end(call_id, past.outcome, by, at=now + at(2))


def _ticket(parts: Parts, past: PastCall, agent: Agent, call_id: str) -> None:
    assert past.ticket is not None
    kind, title, content, county = past.ticket
    moment = parts.clock.now() - timedelta(hours=past.hours_ago)
    with parts.db.write() as session:
        session.add(
            Ticket(
                ticket_no=next_number(session, local(moment).date()),
                query_code=query_code(),
                state=TicketState.REVIEW,
                call_id=call_id,
                type=_TYPES[kind],
                urgency=Urgency.NORMAL,
                title=title,
                content=content,
                caller_number=past.caller,
                contact_phone=past.caller,
                county=county,
                place="",
                agent_id=agent.id,
                created_by="system",
                created_at=moment,
                updated_at=moment,
            )
        )
