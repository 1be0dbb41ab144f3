"""The supervisor over small processes: order, crashes, signals, its own death (Asterisk: test_real_asterisk.py)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.settings import REPO

pytestmark = pytest.mark.slow


class Running:
    def __init__(self, home: Path) -> None:
        self.home = home
        env = {key: value for key, value in os.environ.items() if not key.startswith("YIHU_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.yihu.supervised", str(home)], cwd=REPO, env={**env, "PYTHONPATH": str(REPO)}
        )

    def state(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.home / "run" / "state.json").read_text())
        except FileNotFoundError:
            return {"processes": [], "ready": False}
        return found

    def line(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(line for line in self.state()["processes"] if line["name"] == name)
        return found

    def until(self, good: Callable[[], bool], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not good():
            assert time.monotonic() < deadline, (self.state(), self.log())
            time.sleep(0.03)

    def log(self) -> str:
        path = self.home / "log" / "yihu.log"
        return path.read_text() if path.exists() else ""

    def notes(self) -> list[str]:
        return (self.home / "notes").read_text().splitlines()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    running.until(lambda: bool(running.state()["ready"]))
    yield running
    running.process.kill()
    running.process.wait()


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_started_in_order_and_stopped_to_the_end(running: Running) -> None:
    assert running.notes() == ["first starts", "second starts", "third starts"]
    assert (running.home / "all-ready").exists()
    assert running.state()["phase"] == "running"
    assert "hello from second" in running.log()
    pids = [line["pid"] for line in running.state()["processes"]]
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(20) == 0
    assert running.notes()[3:] == ["first ends", "second ends", "third ends"]
    assert all(gone(pid) for pid in pids)
    state = running.state()
    assert state["phase"] == "stopped"
    assert [line["state"] for line in state["processes"]] == ["stopped"] * 3


def test_one_crash_stops_nobody_else(running: Running) -> None:
    before = {line["name"]: line["pid"] for line in running.state()["processes"]}
    (running.home / "second").unlink()
    os.kill(before["second"], signal.SIGKILL)
    running.until(lambda: running.line("second")["ready"] and running.line("second")["pid"] != before["second"])
    assert running.line("second")["restarts"] == 1
    for name in ("first", "third"):
        assert running.line(name)["pid"] == before[name]
        assert running.line(name)["restarts"] == 0
    assert running.state()["ready"]


def test_a_restart_on_request(running: Running) -> None:
    before = running.line("third")["pid"]
    (running.home / "run" / "restart-third").touch()
    (running.home / "run" / "restart-nobody").touch()
    running.until(lambda: running.line("third")["ready"] and running.line("third")["pid"] != before)


def test_a_second_supervisor_is_turned_away(running: Running) -> None:
    second = Running(running.home)
    assert second.process.wait(20) == 7
    assert running.process.poll() is None


def test_killed_outright_it_takes_its_processes_with_it(running: Running) -> None:
    pids = [line["pid"] for line in running.state()["processes"]]
    running.process.kill()
    running.process.wait()
    running.until(lambda: all(gone(pid) for pid in pids))
    again = Running(running.home)
    try:
        again.until(lambda: bool(again.state()["ready"]) and again.state()["pid"] == again.process.pid)
    finally:
        again.process.terminate()
        assert again.process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_other_signals_stop_it_too(running: Running, number: signal.Signals) -> None:
    running.process.send_signal(number)
    assert running.process.wait(20) == 0
    assert "third ends" in running.notes()
