"""The person (or program) on whose behalf something is done; services take it and check it."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import Forbidden
from web.auth.models import Role


@dataclass(frozen=True)
class Actor:
    """``agent_id`` is set for people who answer calls; ``name`` is for the audit and the page."""

    user_id: int
    username: str
    name: str
    role: Role
    agent_id: int | None
    must_change: bool = False

    @property
    def audit_name(self) -> str:
        return f"user:{self.user_id}"

    def has(self, *roles: Role) -> bool:
        return self.role in roles

    def require(self, *roles: Role) -> None:
        """Raise Forbidden unless the actor has one of the roles."""
        if not self.has(*roles):
            raise Forbidden("您没有权限执行此操作", fix="请联系系统管理员")

    def require_agent(self) -> int:
        """The actor's agent id; Forbidden for people who answer no calls."""
        if self.agent_id is None:
            raise Forbidden("此账号不是话务员", fix="请使用话务员账号登录")
        return self.agent_id
