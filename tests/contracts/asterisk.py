"""A real Asterisk of our own for contract tests: a home in /tmp, ports of its own, stopped by its pid."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agi.ami import AmiClient
from core.secrets import secret
from core.settings import REPO, Settings, load
from yihu import asterisk_config, asterisk_install

FIRST_SHIFT, STEP, SHIFTS = 9000, 100, 8
MULTI = "a)\nHANGUP\n200 result=1 (false)\nb"  # a database value of several lines, made to confuse
GREETING_HERTZ, MUSIC_HERTZ, NET_HERTZ = 440.0, 330.0, 550.0
START_SECONDS, STOP_SECONDS = 60.0, 20.0

# The caller's half of a Local channel: speaks, presses keys, stays, hangs up. Sends silence while it stays, as a
# telephone does.
DIALPLAN = """
[contract-caller]
exten => script,1,Answer()
 same => n,GotoIf($["${SAY}" = ""]?keys)
 same => n,Playback(${SAY})
 same => n(keys),GotoIf($["${KEYS}" = ""]?stay)
 same => n,SendDTMF(${KEYS},250,100)
 same => n(stay),Set(TIMEOUT(absolute)=${STAY})
 same => n,Playback({quiet})
 same => n,Hangup()
"""


@dataclass
class RealAsterisk:
    settings: Settings
    process: subprocess.Popen[bytes]

    def ami(self, **options: float) -> AmiClient:
        """A manager link, not started."""
        port = self.settings.port("ami_port")
        return AmiClient("127.0.0.1", port, "yihu", secret(self.settings.home, "ami"), **options)

    def prompt(self, name: str) -> str:
        return str(self.settings.prompts_dir / "zh" / name)

    def capture(self, name: str) -> str:
        return str(self.settings.capture_dir / name)

    def log(self) -> str:
        path = self.settings.home / "asterisk/log/messages"
        return path.read_text("utf-8", "replace") if path.is_file() else ""


def tone(path: Path, seconds: float, hertz: float) -> None:
    """A tone as 8 kHz WAV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = [int(8000 * math.sin(2 * math.pi * hertz * n / 8000)) for n in range(int(8000 * seconds))]
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(struct.pack(f"<{len(samples)}h", *samples))


def write_database(settings: Settings, family: str, key: str, value: str) -> None:
    """A value that no action could carry (line ends), straight into Asterisk's database, before it starts."""
    path = settings.home / "asterisk/lib/astdb.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE IF NOT EXISTS astdb(key VARCHAR(256), value VARCHAR(256), PRIMARY KEY(key))")
        db.execute("INSERT INTO astdb(key, value) VALUES (?, ?)", (f"/{family}/{key}", value))


def free_shift() -> int:
    """A port shift whose manager port nobody uses: several test runs may go on side by side."""
    for shift in range(FIRST_SHIFT, FIRST_SHIFT + STEP * SHIFTS, STEP):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", 15038 + shift)) != 0:
                return shift
    raise AssertionError("no free ports for a private Asterisk")


@contextlib.contextmanager
def running() -> Iterator[RealAsterisk]:
    """Start it (fetching Asterisk first, if need be) and stop it."""
    home = Path(tempfile.mkdtemp(prefix="yihu-contract-", dir="/tmp"))
    home.chmod(0o755)  # Asterisk's own user must get in
    tools = os.environ.get("YIHU_TOOLS", str(REPO / "var" / "tools"))
    shift = free_shift()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("YIHU_")}
    env = {**clean, "YIHU_HOME": str(home), "YIHU_TOOLS": tools, "YIHU_PORT_SHIFT": str(shift)}
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(clean):
            patch.delenv(name)
        settings = load(home=home, tools=Path(tools), port_shift=shift)
    asterisk_config.write(settings, asterisk_install.ensure(settings, print))
    with (home / "asterisk/etc/extensions.conf").open("a") as dialplan:
        dialplan.write(DIALPLAN.replace("{quiet}", str(home / "prompts/zh/quiet")))
    write_database(settings, "contract", "multi", MULTI)
    tone(home / "moh/tune.wav", 10, MUSIC_HERTZ)
    for name, seconds in {"greeting": 4.0, "short": 0.3, "speech": 2.0}.items():
        tone(home / f"prompts/zh/{name}.wav", seconds, GREETING_HERTZ)
    for name in asterisk_config.NET_PROMPTS:
        tone(home / f"prompts/zh/{name}.wav", 1.0, NET_HERTZ)
    tone(home / "prompts/zh/quiet.wav", 60, 0)
    with (home / "asterisk.out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "yihu", "run", "asterisk"], env=env, cwd=REPO, stdout=out, stderr=out
        )
    try:
        asterisk = RealAsterisk(settings, process)
        with asterisk.ami() as ami:
            deadline = time.monotonic() + START_SECONDS
            while not ami.wait_ready(0.5):
                assert process.poll() is None, (home / "asterisk.out").read_text()
                assert time.monotonic() < deadline, "Asterisk does not start"
        yield asterisk
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(home, ignore_errors=True)
