"""The administrator's pages: people who can work at once, one-time passwords, switching off, numbers."""

from __future__ import annotations

import html
import re

import pytest
from sqlalchemy import select

from core.audit import AuditEntry
from core.errors import Unavailable
from routing.agents import State
from routing.models import Agent, Number
from tests.web.conftest import ADMIN, AGENT, LEAD, House
from web.auth.models import User

PERSON = {"username": "1009", "name": "新人", "role": "AGENT", "number": "", "languages": "ug", "queues": "general"}


def user(house: House, username: str) -> User:
    with house.parts.db.read() as session:
        found = session.scalar(select(User).where(User.username == username))
    assert found is not None
    return found


def actions(house: House) -> list[str]:
    with house.parts.db.read() as session:
        return list(session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


def shown_password(page: str) -> str | None:
    found = re.search(r'data-testid="one-time-password">([^<]+)<', page)
    return html.unescape(found.group(1)) if found else None


@pytest.mark.parametrize("username", [AGENT, LEAD])
@pytest.mark.parametrize("path", ["/staff", "/staff/people/1", "/staff/numbers", "/staff/queues", "/staff/units"])
def test_only_administrators_see_the_pages(house: House, username: str, path: str) -> None:
    assert house.browser(username).get(path).status_code == 403
    assert house.browser(ADMIN).get(path).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/staff", "/staff/people/2", "/staff/2/password", "/staff/2/active", "/staff/numbers", "/staff/numbers/1/remove"],
)
def test_only_administrators_change_anything(house: House, path: str) -> None:
    answer = house.browser(LEAD).post_form(path, "/password", **PERSON, active="0", title="x", flow_id="default")
    assert answer.status_code == 403
    assert house.browser(ADMIN).client.post(path, data=PERSON).status_code == 400  # no CSRF token


def test_a_new_agent_logs_in_with_the_password_shown_once_and_works_at_once(house: House) -> None:
    admin = house.browser(ADMIN)
    page = admin.post_form("/staff", "/staff", **PERSON)
    password = shown_password(page.get_data(as_text=True))
    assert password
    assert page.headers["Cache-Control"] == "no-store"
    assert password not in admin.get("/staff").get_data(as_text=True)
    newcomer = house.world.browser()
    assert newcomer.log_in("1009", password).status_code == 302
    assert newcomer.get("/desk").headers["Location"] == "/password"  # first of all a password of one's own
    newcomer.post_form("/password", "/password", current=password, new="eleven chars", repeat="eleven chars")
    answer = newcomer.post_json("/desk/sign-in")
    assert answer.status_code == 200
    agent_id = user(house, "1009").agent_id
    assert agent_id is not None
    assert house.world.phones.accounts[f"agent{agent_id}"] == answer.get_json()["phone"]["password"]
    assert house.parts.agents.state(agent_id).state == State.AVAILABLE
    assert "create-user" in actions(house)
    with house.parts.db.read() as session:
        stored = str(session.scalars(select(AuditEntry.detail)).all())
    assert password not in stored


def test_an_administrator_gets_no_agent_and_a_number_may_differ(house: House) -> None:
    admin = house.browser(ADMIN)
    admin.post_form("/staff", "/staff", **{**PERSON, "username": "chief", "role": "ADMIN"})
    assert user(house, "chief").agent_id is None
    admin.post_form("/staff", "/staff", **{**PERSON, "username": "guzal", "number": "K77"})
    with house.parts.db.read() as session:
        agent = session.scalar(select(Agent).where(Agent.number == "K77"))
    assert agent is not None
    assert (agent.languages, agent.queues, agent.active) == (["ug"], ["general"], True)


@pytest.mark.parametrize(
    "changes",
    [
        {"username": "a b"},
        {"username": "²²"},
        {"username": ""},
        {"name": " "},
        {"name": "长" * 81},
        {"role": "KING"},
        {"languages": "en"},
        {"languages": ""},
        {"queues": "nowhere"},
        {"number": "1 2"},
        {"number": "9" * 17},
        {"username": AGENT},
        {"number": AGENT},
    ],
)
def test_wrong_people_are_refused_and_the_form_keeps_what_was_typed(house: House, changes: dict[str, str]) -> None:
    page = house.browser(ADMIN).post_form("/staff", "/staff", **{**PERSON, **changes})
    text = page.get_data(as_text=True)
    assert page.status_code in (409, 422)
    assert 'data-testid="staff-error"' in text
    assert shown_password(text) is None
    assert f'value="{PERSON["name"]}"' in text or "name" in changes
    with house.parts.db.read() as session:
        assert session.scalar(select(User.id).where(User.username == "1009")) is None
        assert session.scalar(select(Agent.id).where(Agent.number == "1009")) is None


def test_a_reset_password_works_once_and_ends_all_sessions(house: House) -> None:
    agent = house.browser(AGENT)
    assert agent.get("/calls").status_code == 200
    page = house.browser(ADMIN).post_form(f"/staff/{user(house, AGENT).id}/password", "/staff")
    password = shown_password(page.get_data(as_text=True))
    assert password
    assert agent.get("/calls").status_code == 302
    assert house.world.browser().log_in(AGENT).status_code == 401
    assert house.world.browser().log_in(AGENT, password).status_code == 302
    assert "reset-password" in actions(house)
    assert house.browser(ADMIN).post_form("/staff/999/password", "/staff").status_code == 404


def test_switching_off_ends_log_in_phone_and_shift_and_can_be_undone(house: House) -> None:
    agent, admin, user_id = house.browser(AGENT), house.browser(ADMIN), user(house, AGENT).id
    agent.post_json("/desk/sign-in")
    assert house.world.phones.accounts
    admin.post_form(f"/staff/{user_id}/active", "/staff", active="0")
    assert agent.get("/desk").status_code == 302
    assert house.world.phones.accounts == {}
    assert house.parts.agents.state(house.agent_id).state == State.OFFLINE
    with house.parts.db.read() as session:
        row = session.get(Agent, house.agent_id)
    assert row is not None
    assert not row.active
    assert house.world.browser().log_in(AGENT).status_code == 401
    admin.post_form(f"/staff/{user_id}/active", "/staff", active="1")
    assert house.world.browser().log_in(AGENT).status_code == 302
    assert actions(house).count("switch-off") == actions(house).count("switch-on") == 1


def test_switching_off_works_with_the_telephone_system_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(phone: str) -> None:
        raise Unavailable("no manager link")

    monkeypatch.setattr(house.world.phones, "remove_phone", away)
    answer = house.browser(ADMIN).post_form(f"/staff/{user(house, AGENT).id}/active", "/staff", active="0")
    assert answer.status_code == 302
    assert not user(house, AGENT).active


def test_nobody_switches_off_oneself(house: House) -> None:
    admin, user_id = house.browser(ADMIN), user(house, ADMIN).id
    admin.post_form(f"/staff/{user_id}/active", "/staff", active="0")
    assert user(house, ADMIN).active
    assert "不能停用自己的账号" in admin.get("/staff").get_data(as_text=True)
    assert 'data-testid="switch-active"' not in admin.get(f"/staff/people/{user_id}").get_data(as_text=True)


def test_languages_queues_and_name_change(house: House) -> None:
    admin, address = house.browser(ADMIN), f"/staff/people/{user(house, AGENT).id}"
    assert admin.post_form(address, address, name="改名", languages="ug", queues="general").status_code == 302
    with house.parts.db.read() as session:
        agent = session.get(Agent, house.agent_id)
    assert agent is not None
    assert (agent.name, agent.languages) == ("改名", ["ug"])
    assert admin.post_form(address, address, name="改名", languages="", queues="general").status_code == 422
    assert admin.post_form(address, address, name="", languages="ug", queues="general").status_code == 422
    assert "change-user" in actions(house)
    own = f"/staff/people/{user(house, ADMIN).id}"
    assert admin.post_form(own, own, name="管理员").status_code == 302


def test_numbers(house: House) -> None:
    admin = house.browser(ADMIN)

    def save(number: str, title: str = "直拨", flow_id: str = "default") -> int:
        answer = admin.post_form("/staff/numbers", "/staff/numbers", number=number, title=title, flow_id=flow_id)
        return answer.status_code

    assert save("0998-012 0005") == 302
    assert save("09980120005", "改名") == 302
    with house.parts.db.read() as session:
        rows = [(row.number, row.title, row.flow_id) for row in session.scalars(select(Number))]
    assert rows == [("09980120005", "改名", "default")]
    for wrong in (save("12"), save("abc"), save("²²²²"), save("12345", ""), save("12345", "x", "no-such-flow")):
        assert wrong == 422
    admin.post_form("/staff/numbers/09980120005/remove", "/staff/numbers")
    with house.parts.db.read() as session:
        assert session.scalars(select(Number)).all() == []
    admin.post_form("/staff/numbers/09980120005/remove", "/staff/numbers")
    assert "没有这个号码" in admin.get("/staff/numbers").get_data(as_text=True)
    assert [action for action in actions(house) if "number" in action] == [
        "save-number",
        "save-number",
        "remove-number",
    ]
