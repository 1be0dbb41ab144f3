"""The web app over a scratch home, with people of each role and a scripted telephone."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from routing.models import Agent
from tests.agi.scripted import ScriptedControl
from web.app import create_app
from web.auth.models import Role, User
from web.auth.service import Auth, hash_password
from web.deps import WebDeps
from yihu.compose import Parts

PASSWORD = "correct horse battery"
_TOKEN = re.compile(r'name="csrf-token" content="([^"]+)"')
_FIELD = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


@dataclass
class Phones(ScriptedControl):
    """Remembers what the desk asked of the telephone system."""

    accounts: dict[str, str] = field(default_factory=dict)
    held: list[tuple[str, str, bool]] = field(default_factory=list)

    def provision_phone(self, phone: str, password: str) -> None:
        self.accounts[phone] = password

    def remove_phone(self, phone: str) -> None:
        self.accounts.pop(phone, None)

    def hold(self, call_id: str, phone: str, on: bool) -> None:
        self.held.append((call_id, phone, on))


@dataclass
class World:
    parts: Parts
    app: Flask
    phones: Phones
    auth: Auth

    def person(self, username: str, role: Role, *, agent: bool = True, must_change: bool = False) -> int:
        """Add a user (with an agent of the same number); returns the agent's id, or 0."""
        with self.parts.db.write() as session:
            agent_id = None
            if agent:
                row = Agent(number=username, name=f"人员{username}", languages=["zh"], queues=["general"], active=True)
                session.add(row)
                session.flush()
                agent_id = row.id
            session.add(
                User(
                    username=username,
                    name=f"人员{username}",
                    role=role,
                    password_hash=hash_password(PASSWORD),
                    agent_id=agent_id,
                    must_change=must_change,
                    created_at=self.parts.clock.now(),
                )
            )
        return agent_id or 0

    def browser(self) -> Browser:
        return Browser(self.app.test_client())

    def signed_in(self, username: str) -> Browser:
        browser = self.browser()
        assert browser.log_in(username).status_code == 302
        return browser


@dataclass
class Browser:
    """A browser: keeps cookies and sends the CSRF token of the page it has."""

    client: FlaskClient

    def log_in(self, username: str, password: str = PASSWORD, following: str = "") -> TestResponse:
        page = self.client.get("/login")
        return self.client.post(
            "/login",
            data={
                "username": username,
                "password": password,
                "next": following,
                "csrf_token": token(page),
            },
        )

    def get(self, path: str, **options: object) -> TestResponse:
        return self.client.get(path, **options)  # type: ignore[arg-type]

    def post_json(self, path: str, body: object = None) -> TestResponse:
        page = self.client.get("/password")
        return self.client.post(path, json={} if body is None else body, headers={"X-CSRFToken": token(page)})

    def post_form(self, path: str, page: str, **data: str) -> TestResponse:
        return self.client.post(path, data={**data, "csrf_token": token(self.client.get(page))})


def token(page: TestResponse) -> str:
    """The CSRF token in a page."""
    text = page.get_data(as_text=True)
    found = _FIELD.search(text) or _TOKEN.search(text)
    assert found, text[:500]
    return found.group(1)


def build(parts: Parts) -> World:
    phones = Phones()
    app = create_app(
        WebDeps(
            settings=parts.settings,
            db=parts.db,
            clock=parts.clock,
            policies=parts.policies,
            ledger=parts.ledger,
            agents=parts.agents,
            dispatcher=parts.dispatcher,
            recordings=parts.recordings,
            control=phones,
        )
    )
    app.config["TESTING"] = False
    auth = Auth(parts.db, parts.clock, parts.policies, parts.settings.session_minutes)
    return World(parts, app, phones, auth)
