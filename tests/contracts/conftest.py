"""The same assertions on the fake and on the real Asterisk; the real one is started once a session, when needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agi.ami import AmiClient
from tests.contracts import asterisk
from tests.contracts.agi_world import FakeWorld, RealWorld, World
from tests.contracts.asterisk import RealAsterisk
from tests.contracts.exchange import Exchange, FakeExchange, RealExchange

BACKENDS = ["fake", pytest.param("real", marks=pytest.mark.e2e)]


@pytest.fixture(scope="session")
def real_asterisk() -> Iterator[RealAsterisk]:
    with asterisk.running() as running:
        yield running


@pytest.fixture
def real_ami(real_asterisk: RealAsterisk) -> Iterator[AmiClient]:
    with real_asterisk.ami() as ami:
        assert ami.wait_ready(10)
        yield ami


@pytest.fixture(params=BACKENDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    made: FakeWorld | RealWorld
    if request.param == "fake":
        made = FakeWorld(tmp_path)
    else:
        made = RealWorld(request.getfixturevalue("real_asterisk"), request.getfixturevalue("real_ami"))
    yield made
    made.close()


@pytest.fixture(params=BACKENDS)
def exchange(request: pytest.FixtureRequest) -> Iterator[Exchange]:
    made: FakeExchange | RealExchange
    if request.param == "fake":
        made = FakeExchange()
    else:
        made = RealExchange(request.getfixturevalue("real_asterisk"), request.getfixturevalue("real_ami"))
    yield made
    made.close()
