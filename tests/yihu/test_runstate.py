"""Locks, state and processes told apart from strangers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from core.settings import Settings
from yihu.runstate import Identity, RunState, identify, read_pid


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_an_identity_is_more_than_a_number(sleeper: subprocess.Popen[bytes]) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    assert identity.alive()
    stranger = Identity(sleeper.pid, identity.started - 100)
    assert not stranger.alive()
    assert not stranger.send(signal.SIGKILL), "somebody else has this number now"
    assert sleeper.poll() is None
    assert identity.send(signal.SIGKILL)
    sleeper.wait()
    assert not identity.alive()
    assert not identity.send(signal.SIGTERM)
    assert identify(sleeper.pid) is None


def test_a_process_that_was_not_waited_for_is_not_alive(sleeper: subprocess.Popen[bytes]) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not identity.alive()
    assert identify(sleeper.pid) is None


def test_one_lock_one_supervisor(settings: Settings) -> None:
    state = RunState(settings)
    assert not state.supervised()
    lock = state.take_lock()
    assert lock is not None
    assert state.supervised()
    assert state.take_lock() is None
    assert state.supervisor() is None, "it has not written its state yet"
    me = identify(os.getpid())
    assert me is not None
    state.write({"pid": me.pid, "pid_started": me.started})
    assert state.supervisor() == me
    lock.close()
    assert not state.supervised()
    assert state.supervisor() is None, "the state file of the dead says nothing"


def test_a_broken_state_file_is_no_state(settings: Settings) -> None:
    state = RunState(settings)
    state.prepare()
    assert state.read() == {}
    state.state_file.write_text("{half")
    assert state.read() == {}
    state.state_file.write_text("[1]")
    assert state.read() == {}


def test_requests_are_taken_once(settings: Settings) -> None:
    state = RunState(settings)
    state.prepare()
    state.request_restart("agi")
    state.request_restart("web")
    assert state.take_requests() == ["agi", "web"]
    assert state.take_requests() == []


def test_pid_files(settings: Settings) -> None:
    path = settings.home / "x.pid"
    assert read_pid(path) is None
    path.write_text("12\n")
    assert read_pid(path) == 12
    path.write_text("no")
    assert read_pid(path) is None
