"""Log-in, sessions and passwords. Passwords are argon2id; session tokens are random and stored as hashes."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core import audit
from core.clock import Clock
from core.db import Database
from core.errors import Conflict, Invalid, TooMany, Unauthorized
from core.policy import Policies, declare
from web.auth.actor import Actor
from web.auth.models import Role, User, WebSession

LOCK_AFTER = declare("auth.lock_after_failures", 5, "times", "连续登录失败多少次后锁定", "[D] no source")
LOCK_SECONDS = declare("auth.lock_seconds", 300, "s", "账号锁定时长", "[D] no source")
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 200

_hasher = PasswordHasher()
# Verified against when there is no such user, so that the time taken does not tell.
_NOBODY = _hasher.hash(secrets.token_urlsafe(16))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def hash_password(password: str) -> str:
    """Raises Invalid for a password that is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise Invalid(f"密码长度应为 {SHORTEST_PASSWORD} 至 {LONGEST_PASSWORD} 个字符", id="bad-password")
    return _hasher.hash(password)


def one_time_password() -> str:
    """Easy to read aloud: five groups of four, about 90 bits; no letters that look alike."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(4)) for _ in range(5))


class Auth:
    def __init__(self, db: Database, clock: Clock, policies: Policies, session_minutes: int) -> None:
        self.db, self.clock, self.policies = db, clock, policies
        self.lifetime = timedelta(minutes=session_minutes)

    def log_in(self, username: str, password: str, address: str) -> str:
        """Check the password and open a session; returns its token for the cookie.

        Raises Unauthorized (never saying which of name and password is wrong) or TooMany (locked).
        """
        with self.db.read() as session:
            user = session.scalar(select(User).where(User.username == username[:32]))
            if user is not None:
                session.expunge(user)
        now = self.clock.now()
        locked = user is not None and user.locked_until is not None and user.locked_until > now
        # Locked or unknown, the hash is computed all the same: an attacker learns nothing from the time.
        right = self._verify(user.password_hash if user else _NOBODY, password)
        if locked:
            raise TooMany("账号已暂时锁定", fix="请稍后再试，或请系统管理员重置密码")
        if user is None or not right or not user.active:
            self._failed(user, username, address)
            raise Unauthorized("用户名或密码不正确", id="bad-login")
        token = secrets.token_urlsafe(32)
        with self.db.write() as session:
            found = session.get(User, user.id)
            assert found is not None
            found.failures, found.locked_until = 0, None
            session.execute(delete(WebSession).where(WebSession.expires_at < now))
            session.add(
                WebSession(token_hash=_digest(token), user_id=user.id, created_at=now, expires_at=now + self.lifetime)
            )
            audit.record(session, self.clock, f"user:{user.id}", "log-in", f"user:{user.id}", address=address)
        return token

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return _hasher.verify(stored, password[:LONGEST_PASSWORD])
        except (VerificationError, InvalidHashError):
            return False

    def _failed(self, user: User | None, username: str, address: str) -> None:
        with self.db.write() as session:
            if user is not None:
                found = session.get(User, user.id, with_for_update=True)
                assert found is not None
                found.failures += 1
                if found.failures >= self.policies.number(LOCK_AFTER):
                    found.failures = 0
                    found.locked_until = self.clock.now() + timedelta(seconds=self.policies.number(LOCK_SECONDS))
            actor = f"user:{user.id}" if user else "system"
            audit.record(session, self.clock, actor, "log-in-failed", "login", username=username[:32], address=address)

    def who(self, token: str) -> Actor | None:
        """The person of a session token; None when it is unknown, over, or the user was switched off."""
        with self.db.read() as session:
            row = session.execute(
                select(WebSession, User)
                .join(User, User.id == WebSession.user_id)
                .where(WebSession.token_hash == _digest(token))
            ).first()
        if row is None:
            return None
        web_session, user = row
        if web_session.expires_at <= self.clock.now() or not user.active:
            return None
        return actor_of(user)

    def log_out(self, token: str) -> None:
        with self.db.write() as session:
            session.execute(delete(WebSession).where(WebSession.token_hash == _digest(token)))

    def change_password(self, actor: Actor, current: str, new: str) -> None:
        """Raises Unauthorized for a wrong current password, Invalid for a new one that will not do.

        All sessions of the user end.
        """
        with self.db.read() as session:
            user = session.get(User, actor.user_id)
            stored = user.password_hash if user else _NOBODY
        if not self._verify(stored, current):
            raise Unauthorized("当前密码不正确", id="bad-login")
        if new == current:
            raise Invalid("新密码不能与当前密码相同", id="bad-password")
        hashed = hash_password(new)
        with self.db.write() as session:
            found = session.get(User, actor.user_id)
            assert found is not None
            found.password_hash, found.must_change = hashed, False
            end_sessions(session, actor.user_id)
            audit.record(session, self.clock, actor.audit_name, "change-password", f"user:{actor.user_id}")

    def create_user(
        self, session: Session, *, username: str, name: str, role: Role, agent_id: int | None = None, by: str
    ) -> str:
        """Add a user with a one-time password, which is returned. Raises Conflict when the name is taken."""
        if session.scalar(select(User.id).where(User.username == username)) is not None:
            raise Conflict(f"用户名 {username} 已被使用", id="username-taken", fix="请换一个用户名")
        password = one_time_password()
        user = User(
            username=username,
            name=name,
            role=role,
            password_hash=_hasher.hash(password),
            must_change=True,
            agent_id=agent_id,
            created_at=self.clock.now(),
        )
        session.add(user)
        session.flush()
        audit.record(session, self.clock, by, "create-user", f"user:{user.id}", role=str(role))
        return password

    def reset_password(self, actor: Actor, user_id: int) -> str:
        """Give a user a new one-time password (ADMIN); ends the user's sessions."""
        actor.require(Role.ADMIN)
        password = one_time_password()
        with self.db.write() as session:
            user = session.get(User, user_id)
            if user is None:
                raise Invalid("没有这个用户")
            user.password_hash, user.must_change = _hasher.hash(password), True
            user.failures, user.locked_until = 0, None
            end_sessions(session, user_id)
            audit.record(session, self.clock, actor.audit_name, "reset-password", f"user:{user_id}")
        return password


def end_sessions(session: Session, user_id: int) -> None:
    """Sign a user out everywhere (password or role changed, switched off)."""
    session.execute(delete(WebSession).where(WebSession.user_id == user_id))


def actor_of(user: User) -> Actor:
    return Actor(
        user_id=user.id,
        username=user.username,
        name=user.name,
        role=Role(user.role),
        agent_id=user.agent_id,
        must_change=user.must_change,
    )
