"""Agents without a browser: an ordinary SIP phone that answers by itself, signed in through the services.

The system does not see a difference: the endpoint has the name that the agent's browser phone would have.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from sqlalchemy import select

from routing.agents import State
from routing.control import phone_name
from routing.models import Agent, AgentState
from tests.e2e.hotline import Hotline, until
from yihu.softphone import PhoneCall, SoftPhone


class Seat:
    """An agent at an automatic phone. ``number`` is the agent's number (工号)."""

    def __init__(
        self, hotline: Hotline, phones: SoftPhone, number: str, languages: tuple[str, ...] = ("zh", "ug")
    ) -> None:
        self.hotline, self.phones, self.number = hotline, phones, number
        with hotline.parts.db.write() as session:
            agent = session.scalar(select(Agent).where(Agent.number == number))
            if agent is None:
                agent = Agent(number=number, name=f"测试{number}", languages=[], queues=["general"], active=True)
                session.add(agent)
            agent.languages = list(languages)
            session.flush()
            self.id = agent.id
        self.phone = phone_name(self.id)

    def sign_in(self, tone: Path | None = None, **manner: Any) -> Seat:
        """Register the phone and be available; ``manner`` as SoftPhone.register; says ``tone`` all the time."""
        manner = {"save_dir": str(self.phones.folder), "play": str(tone) if tone else None, **manner}
        if self.phones.registered.get(self.phone):
            self.phones.manner(self.phone, **{"auto": "answer", "after": 0.2, "talk_seconds": 0, **manner})
        else:
            password = secrets.token_urlsafe(12)
            self.hotline.control.provision_phone(self.phone, password)
            self.phones.register(self.phone, password, self.hotline.sip, **manner)
        self.hotline.parts.agents.sign_in(self.id)
        self.hotline.parts.agents.ready(self.id)
        until(lambda: self.row.state == State.AVAILABLE and self.row.phone_ready, what=f"{self.number} available")
        return self

    @property
    def row(self) -> AgentState:
        return self.hotline.parts.agents.state(self.id)

    def wait(self, state: State, seconds: float = 30.0) -> AgentState:
        """Wait until the agent is in this state."""
        return until(lambda: self.row if self.row.state == state else None, seconds, f"{self.number} {state}")

    def rung(self, count: int = 1, seconds: float = 30.0) -> PhoneCall:
        """The ``count``-th call that rang here."""
        mine = lambda: [call for call in self.phones.incoming if call.ident.startswith(f"{self.phone}/")]  # noqa: E731
        assert self.phones.wait_for(lambda: len(mine()) >= count, seconds), f"{self.number} did not ring"
        return mine()[count - 1]

    @property
    def calls(self) -> int:
        return sum(call.ident.startswith(f"{self.phone}/") for call in self.phones.incoming)

    def sign_out(self) -> None:
        self.hotline.parts.agents.sign_out(self.id)
