"""One running system for all end-to-end tests, and what they need to use it."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agi.waiting import NO_AGENTS_SECONDS, RING_SECONDS
from routing.agents import WRAP_UP
from routing.dispatcher import LANGUAGE_FALLBACK
from tests.e2e.hotline import SEATS, TRUNK, Hotline, until
from tests.e2e.seats import Seat
from yihu import softphone_audio as audio
from yihu.softphone import SoftPhone

CALLER_TONE, AGENT_TONE = 440.0, 880.0
HOMES = Path("/tmp")
LOG_LINES = 120


def pytest_configure() -> None:
    """Being told to end is no reason to leave a running system behind."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    # Nor may the settings of the person who runs them reach the tests.
    for name in [name for name in os.environ if name.startswith("YIHU_") and "_TEST_" not in name]:
        del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/e2e" in item.nodeid:
            item.add_marker(pytest.mark.e2e)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failed test shows what the system logged meanwhile."""
    report = yield
    hotline = getattr(item, "funcargs", {}).get("hotline")
    if call.excinfo is not None and isinstance(hotline, Hotline):
        report.sections.append(("ledger", hotline.ledger_text()))
        report.sections.append(("hotline log", "\n".join(hotline.log_lines(call.start - 2)[-LOG_LINES:])))
    return report


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A folder for a home that Asterisk's user can reach."""
    folder = HOMES / f"yihu-e2e-{os.getpid()}"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def hotline(home: Path) -> Iterator[Hotline]:
    """The system, up. Times of waiting are set short, so that tests need not wait long."""
    system = Hotline(home)
    try:
        print(system.up())
        for policy, value in ((WRAP_UP, 1), (RING_SECONDS, 4), (NO_AGENTS_SECONDS, 3), (LANGUAGE_FALLBACK, 2)):
            system.set_policy(policy, value)
        yield system
    finally:
        system.destroy()


@pytest.fixture(scope="session")
def lines() -> Iterator[SoftPhone]:
    """Callers, at the telephone company's address."""
    with SoftPhone(TRUNK) as phone:
        yield phone


@pytest.fixture(scope="session")
def phones() -> Iterator[SoftPhone]:
    """Automatic phones of agents."""
    with SoftPhone(SEATS) as phone:
        yield phone


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """caller.wav and agent.wav: a second each of their tone."""
    folder = tmp_path_factory.mktemp("tones")
    audio.save(folder / "caller.wav", audio.tone(CALLER_TONE, 1.0))
    audio.save(folder / "agent.wav", audio.tone(AGENT_TONE, 1.0))
    return folder


@pytest.fixture
def seats(hotline: Hotline, phones: SoftPhone, tones: Path) -> Iterator[Seats]:
    team = Seats(hotline, phones, tones)
    yield team
    team.close()


class Seats:
    """Two agents at automatic phones, signed in when asked for."""

    def __init__(self, hotline: Hotline, phones: SoftPhone, tones: Path) -> None:
        self.first = Seat(hotline, phones, "901")
        self.second = Seat(hotline, phones, "902")
        self.tone = tones / "agent.wav"
        phones.incoming.clear()

    def sign_in(self, seat: Seat, **manner: object) -> Seat:
        return seat.sign_in(self.tone, **manner)

    def close(self) -> None:
        for seat in (self.first, self.second):
            seat.sign_out()


@pytest.fixture(autouse=True)
def _quiet(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test leaves a quiet system behind: no call, no channel, no room."""
    yield
    if "hotline" not in request.fixturenames:
        return
    system: Hotline = request.getfixturevalue("hotline")
    if "lines" in request.fixturenames:
        for call in list(request.getfixturevalue("lines").calls.values()):
            call.hang_up()
    started = time.monotonic()
    until(lambda: not system.channels() and not system.rooms(), 60, "no channel and no room left")
    if time.monotonic() - started > 20:
        raise AssertionError("channels or rooms stayed behind for more than 20 s")
