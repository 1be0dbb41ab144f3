"""Fixtures for every room: databases (SQLite and PostgreSQL), a clock that stands still, settings of a scratch home."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.clock import ManualClock
from core.db import Base, Database
from core.settings import Settings, load
from tests import postgres
from yihu.compose import Parts, build
from yihu.tables import metadata


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with postgres.cluster() as url:
        yield url


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def settings(home: Path) -> Settings:
    home.mkdir(parents=True)
    return load(home=home)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 3, 2, 4, 0, tzinfo=UTC))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def db(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Database]:
    """The same tests on both databases: what works on one works on the other."""
    metadata()
    if request.param == "sqlite":
        database = Database(settings.db_url)
        Base.metadata.create_all(database.engine)
        yield database
        database.close()
        return
    with postgres.fresh_database(request.getfixturevalue("postgres_server")) as url:
        database = Database(url)
        Base.metadata.create_all(database.engine)
        yield database
        database.close()


@pytest.fixture
def parts(settings: Settings, db: Database, clock: ManualClock) -> Parts:
    return build(settings, clock=clock, db=db)
