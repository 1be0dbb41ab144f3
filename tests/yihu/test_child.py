"""One supervised process: real processes, small ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from yihu import child as child_module
from yihu.child import Child, Spec
from yihu.runstate import identify

SLEEP = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


class Bench:
    """Makes children, ticks them, and cleans up."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.children: list[Child] = []

    def child(self, code: str, probe: Callable[[], bool] = lambda: True, **more: object) -> Child:
        spec = Spec("x", (sys.executable, "-c", code), probe, **{"probe_every": 0.05, **more})  # type: ignore[arg-type]
        made = Child(spec, dict(os.environ), lambda name, line: self.said.append((name, line)))
        self.children.append(made)
        return made

    def until(self, child: Child, good: Callable[[], bool], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not good():
            assert time.monotonic() < deadline, (child.state, self.said)
            child.tick()
            time.sleep(0.01)

    def ready(self, child: Child) -> None:
        child.start()
        self.until(child, lambda: child.state == "ready")


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    for child in bench.children:
        if child.identity is not None:
            child.identity.send(signal.SIGKILL)
        if child._process is not None:
            child._process.wait()
            time.sleep(0.02)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "PAUSES", (0.0, 0.3, 60.0))


def test_ready_when_the_probe_says_so(bench: Bench, tmp_path: Path) -> None:
    child = bench.child(SLEEP, probe=(tmp_path / "ready").exists)
    child.start()
    bench.until(child, lambda: child.identity is not None)
    for _ in range(20):
        child.tick()
        time.sleep(0.01)
    assert child.state == "starting"
    assert not child.was_ready
    (tmp_path / "ready").touch()
    bench.until(child, lambda: child.state == "ready")
    assert child.was_ready
    line = child.describe()
    assert line["pid"] == child.identity.pid if child.identity else None
    assert line["ready"] is True


def test_its_output_is_logged_by_line(bench: Bench) -> None:
    child = bench.child("import sys; print('one'); print(); sys.stderr.write('two\\n'); sys.stdout.flush(); " + SLEEP)
    bench.ready(child)
    bench.until(child, lambda: {("x", "one"), ("x", "two")} <= set(bench.said))
    assert ("x", "") not in bench.said


def test_output_into_a_file(bench: Bench, tmp_path: Path) -> None:
    child = bench.child("print('early')", output=tmp_path / "out")
    child.start()
    bench.until(child, lambda: (tmp_path / "out").read_text() == "early\n")


def test_restarted_after_a_crash_with_growing_pauses(bench: Bench) -> None:
    child = bench.child("raise SystemExit(3)", probe=lambda: False)
    child.start()
    bench.until(child, lambda: child.restarts == 3)
    assert child.state == "paused"
    told = [line for _, line in bench.said if "restarting" in line]
    assert told == [f"x ended with code 3; restarting in {pause} s" for pause in ("0", "0.3", "60")]


def test_a_crash_by_signal_is_named(bench: Bench) -> None:
    child = bench.child(SLEEP)
    bench.ready(child)
    assert child.identity is not None
    first = child.identity.pid
    os.kill(first, signal.SIGSEGV)
    bench.until(child, lambda: child.state == "ready" and child.identity is not None and child.identity.pid != first)
    assert child.restarts == 1
    assert any("was ended by SIGSEGV" in line for _, line in bench.said)


def test_a_program_that_cannot_be_started_is_tried_again(bench: Bench) -> None:
    child = bench.child(SLEEP)
    child.spec = Spec("x", ("/nonexistent/program",), lambda: True)
    child.start()
    bench.until(child, lambda: child.restarts == 2)
    assert any("cannot be started" in line for _, line in bench.said)


def test_one_that_hangs_is_replaced(bench: Bench) -> None:
    answers = iter([True] + [False] * 3)
    child = bench.child(SLEEP, probe=lambda: next(answers, True), failures=3)
    bench.ready(child)
    assert child.identity is not None
    first = child.identity.pid
    os.kill(first, signal.SIGSTOP)  # hangs so hard that it does not even heed SIGTERM
    bench.until(child, lambda: child.state == "ready" and child.identity is not None and child.identity.pid != first)
    assert any("did not answer 3 times" in line for _, line in bench.said)


def test_one_bad_probe_is_forgiven(bench: Bench) -> None:
    answers = iter([True, False, False, True])
    child = bench.child(SLEEP, probe=lambda: next(answers, True), failures=3)
    bench.ready(child)
    bench.until(child, lambda: child.state == "unwell")
    bench.until(child, lambda: child.state == "ready")
    assert child.restarts == 0


def test_one_that_never_gets_ready_is_replaced(bench: Bench) -> None:
    child = bench.child(SLEEP, probe=lambda: False, start_seconds=0.3)
    child.start()
    bench.until(child, lambda: child.restarts == 1)
    assert any("not ready after" in line for _, line in bench.said)


def test_stopping_and_killing(bench: Bench) -> None:
    gentle = bench.child(SLEEP)
    bench.ready(gentle)
    gentle.stop()
    assert gentle.wait_gone(5)
    assert gentle.restarts == 0
    stubborn = bench.child(STUBBORN, stop_seconds=0.3)
    stubborn.start()
    bench.until(stubborn, lambda: ("x", "up") in bench.said)
    stubborn.stop()
    assert stubborn.wait_gone(5)
    assert any("killed" in line for _, line in bench.said)
    stubborn.stop()  # twice does no harm
    assert stubborn.describe()["pid"] is None


def test_what_never_ran_stops_at_once(bench: Bench) -> None:
    child = bench.child(SLEEP)
    child.stop()
    assert child.state == "stopped"


def test_a_restart_on_request_is_no_failure(bench: Bench) -> None:
    child = bench.child(SLEEP)
    bench.ready(child)
    assert child.identity is not None
    first = child.identity.pid
    for _ in range(3):
        child.restart()
        bench.until(child, lambda: child.state == "ready")
    assert child.identity.pid != first
    assert child.restarts == 3
    assert child._row == 0


def test_a_running_process_is_taken_over(bench: Bench) -> None:
    process = subprocess.Popen([sys.executable, "-c", SLEEP])
    try:
        identity = identify(process.pid)
        assert identity is not None
        child = bench.child(SLEEP)
        child.adopt(identity)
        bench.until(child, lambda: child.state == "ready")
        assert child.describe()["pid"] == process.pid
        process.kill()
        process.wait()
        bench.until(child, lambda: child.state == "ready" and child.describe()["pid"] != process.pid)
        assert child.restarts == 1
    finally:
        process.kill()
        process.wait()
