"""People: users and the agents among them (ADMIN)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit, log
from core.errors import Conflict, Invalid, NotFound, Unavailable
from routing.control import phone_name
from routing.models import Agent, AgentState, Queue
from web.auth.actor import Actor
from web.auth.models import Role, User
from web.auth.service import Auth, end_sessions
from web.deps import WebDeps
from web.i18n import _

LANGUAGES = ("zh", "ug")
LONGEST_NUMBER = 16
_USERNAME = re.compile(r"^[a-z0-9][a-z0-9._-]{1,31}$", re.ASCII)
_NUMBER = re.compile(r"^[A-Za-z0-9]{1,16}$", re.ASCII)


@dataclass(frozen=True)
class Person:
    """A user, and the agent and its present state when the user answers calls."""

    user: User
    agent: Agent | None
    state: AgentState | None


class Staff:
    def __init__(self, parts: WebDeps, auth: Auth) -> None:
        self.parts, self.auth = parts, auth

    def people(self, actor: Actor) -> list[Person]:
        """Everybody, those switched off last."""
        actor.require(Role.ADMIN)
        query = (
            select(User, Agent, AgentState)
            .outerjoin(Agent, Agent.id == User.agent_id)
            .outerjoin(AgentState, AgentState.agent_id == User.agent_id)
            .order_by(User.active.desc(), User.username)
        )
        with self.parts.db.read() as session:
            return [Person(user, agent, state) for user, agent, state in session.execute(query)]

    def person(self, actor: Actor, user_id: int) -> Person:
        """Raises NotFound."""
        found = next((person for person in self.people(actor) if person.user.id == user_id), None)
        if found is None:
            raise NotFound(_("没有这个用户"), id="no-such-user")
        return found

    def create(
        self,
        actor: Actor,
        *,
        username: str,
        name: str,
        role: str,
        number: str = "",
        languages: list[str],
        queues: list[str],
    ) -> str:
        """Add a person and return the one-time password. Agents and leads get an agent too, ``number`` or the user
        name being its number (工号), who can sign in and be rung at once.

        Raises Invalid or Conflict.
        """
        actor.require(Role.ADMIN)
        username, name, number = username.strip().lower(), _name(name), number.strip() or username.strip().lower()
        if not _USERNAME.match(username):
            raise Invalid(_("用户名应为 2 至 32 个小写字母或数字"), id="bad-username")
        if role not in list(Role):
            raise Invalid(_("请选择角色"), id="bad-role")
        with self.parts.db.write() as session:
            agent_id = None
            if role != Role.ADMIN:
                self._check(session, languages, queues)
                if not _NUMBER.match(number):
                    raise Invalid(_("工号应为 1 至 16 个字母或数字"), id="bad-number")
                if session.scalar(select(Agent.id).where(Agent.number == number)) is not None:
                    raise Conflict(_("工号 %(number)s 已被使用", number=number), id="number-taken")
                agent = Agent(number=number, name=name, languages=languages, queues=queues, active=True)
                session.add(agent)
                session.flush()
                agent_id = agent.id
            return self.auth.create_user(
                session, username=username, name=name, role=Role(role), agent_id=agent_id, by=actor.audit_name
            )

    def change(self, actor: Actor, user_id: int, *, name: str, languages: list[str], queues: list[str]) -> None:
        """Change a person's name, and languages and queues of an agent; the next call is given accordingly."""
        actor.require(Role.ADMIN)
        name = _name(name)
        with self.parts.db.write() as session:
            user = self._user(session, user_id)
            user.name = name
            detail: dict[str, object] = {"name": name}
            agent = session.get(Agent, user.agent_id) if user.agent_id is not None else None
            if agent is not None:
                self._check(session, languages, queues)
                agent.name, agent.languages, agent.queues = name, languages, queues
                detail |= {"languages": languages, "queues": queues}
            audit.record(session, self.parts.clock, actor.audit_name, "change-user", f"user:{user_id}", **detail)

    def reset_password(self, actor: Actor, user_id: int) -> tuple[str, str]:
        """Give a new one-time password; returns it after the user name. Raises NotFound."""
        user = self.person(actor, user_id).user
        return user.username, self.auth.reset_password(actor, user_id)

    def set_active(self, actor: Actor, user_id: int, *, active: bool) -> None:
        """Switch a person off (sessions and phone end, a call goes on to its end) or on again; never oneself."""
        actor.require(Role.ADMIN)
        if user_id == actor.user_id:
            raise Conflict(_("不能停用自己的账号"), id="own-account")
        with self.parts.db.write() as session:
            user = self._user(session, user_id)
            user.active = active
            end_sessions(session, user_id)
            agent_id = user.agent_id
            agent = session.get(Agent, agent_id) if agent_id is not None else None
            if agent is not None:
                agent.active = active
            action = "switch-on" if active else "switch-off"
            audit.record(session, self.parts.clock, actor.audit_name, action, f"user:{user_id}")
        if agent_id is not None and not active:
            self.parts.agents.sign_out(agent_id)
            try:
                self.parts.control.remove_phone(phone_name(agent_id))
            except Unavailable as exc:  # its password is known to nobody any more; the account can do no harm
                log.get("staff").warning("phone not removed", agent_id=agent_id, error=str(exc))

    def _user(self, session: Session, user_id: int) -> User:
        user = session.get(User, user_id, with_for_update=True)
        if user is None:
            raise NotFound(_("没有这个用户"), id="no-such-user")
        return user

    def _check(self, session: Session, languages: Iterable[str], queues: Iterable[str]) -> None:
        chosen, wanted = set(languages), set(queues)
        if not chosen or not chosen <= set(LANGUAGES):
            raise Invalid(_("请选择至少一种语言"), id="bad-languages")
        if not wanted or not wanted <= set(session.scalars(select(Queue.name))):
            raise Invalid(_("请选择至少一个队列"), id="bad-queues")


def _name(text: str) -> str:
    name = text.replace("\x00", "").strip()
    if not name or len(name) > 80:
        raise Invalid(_("请填写姓名，最多 80 个字"), id="bad-name")
    return name
