"""Bringing the database to the present shape, with a lock so that two starts do not do it at once."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import Connection

from core.db import Database
from core.settings import Settings

FOLDER = Path(__file__).resolve().parent / "migrations"
LOCK_KEY = 1234500001  # advisory lock on PostgreSQL; SQLite locks by itself


def config(connection: Connection | None = None) -> Config:
    made = Config()
    made.set_main_option("script_location", str(FOLDER))
    made.attributes["connection"] = connection
    return made


def upgrade(settings: Settings) -> str:
    """Migrate to the newest revision; returns it."""
    settings.home.mkdir(parents=True, exist_ok=True)
    db = Database(settings.db_url)
    try:
        with db.engine.execution_options(yihu_write=True).begin() as connection:
            if not db.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
            command.upgrade(config(connection), "head")
        return newest()
    finally:
        db.close()


def newest() -> str:
    """The revision that this code expects."""
    head = ScriptDirectory.from_config(config()).get_current_head()
    return head or ""


def current(db: Database) -> str:
    """The revision that the database is at; empty for a new one."""
    with db.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() or ""
