"""The one log: file, rotation, colours, following."""

from __future__ import annotations

import io
import json
import re
import threading
import time
from pathlib import Path

import click

from yihu.journal import KEPT, Journal, coloured
from yihu.tail import Tail, follow


def test_lines_carry_time_and_process(tmp_path: Path) -> None:
    path = tmp_path / "log" / "yihu.log"
    journal = Journal(path)
    journal.write("agi", '{"event": "ready"}')
    journal.write("asterisk", "  indented")
    journal.close()
    first, second = path.read_text().splitlines()
    assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z agi        \{"event": "ready"\}', first)
    assert second.endswith("Z asterisk     indented")


def test_rotation_keeps_a_few(tmp_path: Path) -> None:
    path = tmp_path / "yihu.log"
    journal = Journal(path, rotate_bytes=200)
    for number in range(60):
        journal.write("web", f"line {number}")
    journal.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) == KEPT + 1
    assert all(file.stat().st_size < 300 for file in files)
    kept = "".join(path.with_name(f"yihu.log.{n}").read_text() for n in range(KEPT, 0, -1)) + path.read_text()
    numbers = [int(number) for number in re.findall(r"line (\d+)", kept)]
    assert numbers == list(range(numbers[0], 60)), "none lost, none twice, in order"


def test_the_stream_is_for_people(tmp_path: Path) -> None:
    stream = io.StringIO()
    journal = Journal(tmp_path / "yihu.log", stream)
    journal.write("agi", json.dumps({"event": "call ended", "level": "warning", "call_id": "n1-1.2", "process": "agi"}))
    journal.close()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} agi        call ended call_id=n1-1\.2\n", stream.getvalue())


def test_colours_by_process_and_level() -> None:
    line = '2026-03-02T04:00:00.123Z agi        {"event": "x", "level": "error"}'
    assert "\x1b[31m" in coloured(line)
    assert "\x1b[" in coloured("2026-03-02T04:00:00.123Z asterisk   [2026] ERROR[12] x.c: y")
    for odd in ("", "x", "2026-03-02T04:00:00.123Z agi        {not json", "2026-03-02T04:00:00.123Z agi        [1]"):
        click.unstyle(coloured(odd))


def test_following_a_file_across_rotation(tmp_path: Path) -> None:
    path = tmp_path / "messages"
    path.write_text("old\n")
    seen: list[str] = []
    tail = Tail(path, seen.append)
    tail.start()
    time.sleep(0.3)

    def wait_for(count: int) -> None:
        deadline = time.monotonic() + 5
        while len(seen) < count and time.monotonic() < deadline:
            time.sleep(0.02)

    with path.open("a") as handle:
        handle.write("one\ntw")
        handle.flush()
        wait_for(1)
        handle.write("o\n")
    wait_for(2)
    path.rename(tmp_path / "messages.0")
    path.write_text("three\n")
    wait_for(3)
    path.write_text("")
    path.write_text("4\n")
    wait_for(4)
    tail.stop()
    assert seen == ["one", "two", "three", "4"]


def test_following_a_file_that_comes_later(tmp_path: Path) -> None:
    path, stop = tmp_path / "later", threading.Event()
    lines = follow(path, stop)
    threading.Timer(0.2, lambda: path.write_text("first\n")).start()
    assert next(lines) == "first"
    stop.set()
    assert list(lines) == []
