"""The first administrator: made when there is no user yet, with a one-time password that is told once."""

from __future__ import annotations

from sqlalchemy import func, select

from core.settings import Settings
from routing.models import Number, Queue
from web.auth.models import Role, User
from web.auth.service import Auth
from yihu import compose
from yihu.compose import Parts

USERNAME = "admin"
GENERAL = {"zh": "综合服务", "en": "General", "ug": "ئۇنىۋېرسال مۇلازىمەت"}


def ensure(settings: Settings) -> str | None:
    """Make the first administrator and what every hotline needs (its number, its queue).

    Returns the one-time password when the administrator was just made, else None.
    """
    parts = compose.build(settings)
    try:
        _basics(parts)
        auth = Auth(parts.db, parts.clock, parts.policies, settings.session_minutes)
        with parts.db.write() as session:
            if session.scalar(select(func.count()).select_from(User)):
                return None
            return auth.create_user(session, username=USERNAME, name="系统管理员", role=Role.ADMIN, by="system")
    finally:
        parts.close()


def _basics(parts: Parts) -> None:
    with parts.db.write() as session:
        if session.get(Queue, "general") is None:
            session.add(Queue(name="general", title=GENERAL, priority=0))
        if session.get(Number, parts.settings.hotline_number) is None:
            session.add(Number(number=parts.settings.hotline_number, title="政务服务便民热线"))
