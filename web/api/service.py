"""Programs that use the API: each with a name, a token of its own and scopes."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from core import audit
from core.clock import Clock
from core.db import Database
from core.errors import Conflict, Forbidden, Invalid, NotFound, Unauthorized
from web.api.models import SCOPES, ApiClient

PREFIX = "yihu_"  # lets secret scanners find a token that leaked
_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{1,58}$")


@dataclass(frozen=True)
class Client:
    """The program on whose behalf a request is served."""

    name: str
    scopes: frozenset[str]

    @property
    def audit_name(self) -> str:
        return f"client:{self.name}"

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the client has the scope."""
        if scope not in self.scopes:
            raise Forbidden(f"this token lacks the scope {scope}", id="scope-missing", data={"scope": scope})


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def create_client(db: Database, clock: Clock, name: str, scopes: Sequence[str], *, by: str = "system") -> str:
    """Make a client; the token returned is shown once and kept nowhere.

    Raises Invalid for a bad name or an unknown scope, Conflict when the name is taken.
    """
    if not _NAME.match(name):
        raise Invalid("a client's name is 2 to 59 characters of a-z 0-9 . _ -", id="bad-client-name")
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise Invalid(f"unknown scopes: {', '.join(unknown) or 'none given'}", fix=f"any of {', '.join(SCOPES)}")
    token = PREFIX + secrets.token_urlsafe(32)
    with db.write() as session:
        if session.scalar(select(ApiClient.id).where(ApiClient.name == name)) is not None:
            raise Conflict(f"there is a client {name} already", id="client-exists")
        wanted = sorted(set(scopes))
        session.add(ApiClient(name=name, token_hash=_digest(token), scopes=wanted, created_at=clock.now()))
        audit.record(session, clock, by, "client-created", f"client:{name}", scopes=wanted)
    return token


def remove_client(db: Database, clock: Clock, name: str, *, by: str = "system") -> None:
    """End a client: its token is refused from now on. Raises NotFound."""
    with db.write() as session:
        row = session.scalar(select(ApiClient).where(ApiClient.name == name))
        if row is None:
            raise NotFound(f"no client {name}", id="no-such-client")
        row.active = False
        audit.record(session, clock, by, "client-removed", f"client:{name}")


def client_of(db: Database, token: str) -> Client:
    """The client that a token belongs to; raises Unauthorized for anything else."""
    with db.read() as session:
        row = session.scalar(select(ApiClient).where(ApiClient.token_hash == _digest(token)))
    if row is None or not row.active:
        raise Unauthorized("the token is unknown or no longer valid", id="bad-token")
    return Client(row.name, frozenset(row.scopes))
