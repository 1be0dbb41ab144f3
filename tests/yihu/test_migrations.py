"""Migrations lead to exactly the tables that the code describes, on both databases, and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from core.db import Database
from core.settings import load
from tests import postgres
from yihu import migrate
from yihu.tables import metadata


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'm.db'}"
        return
    with postgres.fresh_database(request.getfixturevalue("postgres_server")) as made:
        yield made


def test_up_compare_and_down(url: str, tmp_path: Path) -> None:
    settings = load(home=tmp_path / "home", database_url=url)
    assert migrate.upgrade(settings) == migrate.newest()
    assert migrate.upgrade(settings) == migrate.newest(), "twice is harmless"
    db = Database(url)
    try:
        assert migrate.current(db) == migrate.newest()
        with db.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata()) == []
        with db.engine.begin() as connection:
            command.downgrade(migrate.config(connection), "base")
        assert migrate.current(db) == ""
    finally:
        db.close()
