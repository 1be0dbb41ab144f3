"""Pages of tickets: who may see and change what, and that nothing typed is lost."""

from __future__ import annotations

import csv
import io

import pytest
from sqlalchemy import select

from core.audit import AuditEntry
from routing.ledger import Kind
from tests.web.conftest import ADMIN, AGENT, LEAD, OTHER, House
from web.tickets.models import Ticket
from web.tickets.service import TicketFields, Tickets

CALLER = "15409980001"
MASKED = "154****0001"
FIELDS = TicketFields(
    type="complaint", title="路灯不亮", content="三天没有亮", county="653101", contact_phone="15409980009"
)


def take_down(house: House, fields: TicketFields = FIELDS, *, serial: int = 1, submit: bool = False) -> Ticket:
    """A ticket that the first agent took down during a call."""
    parts, call_id = house.parts, f"n1-1772420000.{serial}"
    parts.ledger.open(call_id, CALLER, "12345")
    parts.ledger.append(call_id, Kind.JOINED, agent_id=house.agent_id, number=AGENT, name="x")
    user = house.world.auth.who(house.browser(AGENT).client.get_cookie("yihu_session").value)  # type: ignore[union-attr]
    assert user is not None
    return Tickets(parts.db, parts.clock).save(user, call_id, fields, 0, submit=submit)


def stored(house: House, ticket: Ticket) -> Ticket:
    with house.parts.db.read() as session:
        found = session.scalar(select(Ticket).where(Ticket.id == ticket.id))
    assert found is not None
    return found


def form(version: int, **changes: str) -> dict[str, str]:
    fields = {name: str(getattr(FIELDS, name)) for name in FIELDS.__dataclass_fields__}
    return {**fields, "version": str(version), "submit": "0", **changes}


def rows(house: House, query: str, username: str = LEAD) -> int:
    page = house.browser(username).get(f"/tickets{query}")
    assert page.status_code == 200
    return page.get_data(as_text=True).count('data-testid="ticket-row"')


def test_filters_and_sorting(house: House) -> None:
    first = take_down(house, submit=True)
    take_down(house, TicketFields(type="help", title="b", content="c", urgency="urgent"), serial=2)
    assert rows(house, "") == 2
    assert rows(house, f"?number={first.ticket_no}") == 1
    assert rows(house, f"?number={first.ticket_no.lower()}") == 1
    assert rows(house, "?number=0009") == 1  # the contact phone
    assert rows(house, "?number=0001") == 2  # the caller
    assert rows(house, "?type=complaint") == 1
    assert rows(house, "?state=S1") == 1
    assert rows(house, "?urgency=urgent") == 1
    assert rows(house, "?county=653101") == 1
    assert rows(house, f"?agent={house.other_id}") == 0
    assert rows(house, "?from=2026-03-03") == 0
    assert rows(house, "?sort=-state&type=nonsense&page=9") == 2
    assert rows(house, "?number=%25") == 0


def test_numbers_are_masked_for_agents_and_full_for_leads(house: House) -> None:
    ticket = take_down(house, submit=True)
    assert MASKED in house.browser(AGENT).get("/tickets").get_data(as_text=True)
    assert CALLER in house.browser(LEAD).get("/tickets").get_data(as_text=True)
    address = f"/tickets/{ticket.ticket_no}"
    others = house.browser(OTHER).get(address).get_data(as_text=True)
    assert CALLER not in others
    assert "15409980009" not in others  # the contact phone, in its field
    assert ticket.query_code not in others
    own = house.browser(AGENT).get(address).get_data(as_text=True)
    assert CALLER in own
    assert "15409980009" in own


def test_an_administrator_sees_no_ticket(house: House) -> None:
    ticket = take_down(house)
    browser = house.browser(ADMIN)
    assert browser.get("/tickets").status_code == 403
    assert browser.get("/tickets?format=csv").status_code == 403
    assert browser.get(f"/tickets/{ticket.ticket_no}").status_code == 403
    assert browser.post_form(f"/tickets/{ticket.ticket_no}", "/password", **form(1)).status_code == 403


def test_the_agent_changes_the_own_draft_and_submits_it(house: House) -> None:
    ticket = take_down(house)
    browser, address = house.browser(AGENT), f"/tickets/{ticket.ticket_no}"
    assert browser.post_form(address, address, **form(1, title="新标题")).status_code == 302
    assert browser.post_form(address, address, **form(2, title="新标题", submit="1")).status_code == 302
    now = stored(house, ticket)
    assert (now.title, now.state, now.version) == ("新标题", "S1", 3)
    refused = browser.post_form(address, address, **form(3, title="再改"))
    assert refused.status_code == 409
    assert stored(house, ticket).title == "新标题"


def test_a_lead_changes_what_was_submitted(house: House) -> None:
    ticket = take_down(house, submit=True)
    address = f"/tickets/{ticket.ticket_no}"
    assert house.browser(LEAD).post_form(address, address, **form(1, county="653130")).status_code == 302
    assert stored(house, ticket).county == "653130"


def test_another_agent_may_look_but_not_change(house: House) -> None:
    ticket = take_down(house)
    browser, address = house.browser(OTHER), f"/tickets/{ticket.ticket_no}"
    page = browser.get(address)
    assert page.status_code == 200
    assert "fieldset disabled" in page.get_data(as_text=True)
    assert browser.post_form(address, address, **form(1, title="别人改的")).status_code == 403
    assert stored(house, ticket).title == FIELDS.title


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "", "submit": "1"},
        {"type": "nonsense"},
        {"county": "999999"},
        {"title": "长" * 201},
        {"version": "²"},
        {"version": ""},
    ],
)
def test_what_was_typed_survives_a_refusal(house: House, changes: dict[str, str]) -> None:
    ticket = take_down(house)
    browser, address = house.browser(AGENT), f"/tickets/{ticket.ticket_no}"
    page = browser.post_form(address, address, **{**form(1, content="刚刚打的字<b>"), **changes})
    text = page.get_data(as_text=True)
    assert page.status_code == 422
    assert 'data-testid="ticket-error"' in text
    assert "刚刚打的字&lt;b&gt;" in text
    assert stored(house, ticket).content == FIELDS.content


def test_two_at_once_the_second_is_told(house: House) -> None:
    ticket = take_down(house)
    address = f"/tickets/{ticket.ticket_no}"
    assert house.browser(LEAD).post_form(address, address, **form(1, title="班长的")).status_code == 302
    late = house.browser(AGENT).post_form(address, address, **form(1, title="话务员的"))
    assert late.status_code == 409
    assert "话务员的" in late.get_data(as_text=True)
    assert stored(house, ticket).title == "班长的"


def test_export(house: House) -> None:
    take_down(house, TicketFields(type="help", title='=HYPERLINK("x")', content="c"))
    answer = house.browser(AGENT).get("/tickets?format=csv")
    lines = list(csv.reader(io.StringIO(answer.get_data(as_text=True).removeprefix("\ufeff"))))
    assert lines[1][5] == '\'=HYPERLINK("x")'
    assert lines[1][7] == MASKED
    with house.parts.db.read() as session:
        assert session.scalar(select(AuditEntry.id).where(AuditEntry.action == "tickets-exported")) is not None


def test_unknown_ticket_and_content_as_text(house: House) -> None:
    assert house.browser(LEAD).get("/tickets/KS000").status_code == 404
    ticket = take_down(house, TicketFields(type="help", title="<script>x</script>", content="\n第二行"))
    page = house.browser(LEAD).get(f"/tickets/{ticket.ticket_no}").get_data(as_text=True)
    assert "<script>x" not in page
    assert ">\n\n第二行" in page.replace("\r", "")  # a browser drops the first line break of a text area
