"""``bin/yihu test``: brings what the tests need, then runs all checks and the tests.

What is needed and cannot be had fails with the fix; nothing is skipped for want of a tool.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from core.errors import SettingsError
from core.settings import REPO, Settings, load
from yihu import test_tools
from yihu.prepare import Preparation
from yihu.run_user import account, can_read

FAST = "not e2e and not slow and not postgres"
Echo = Callable[[str], None]


@dataclass(frozen=True)
class Check:
    """A check without tests; its output is shown only when it fails."""

    name: str
    argv: tuple[str, ...]


def checks() -> tuple[Check, ...]:
    python, scripts = sys.executable, Path(sys.executable).parent
    return (
        Check("ruff check", (python, "-m", "ruff", "check", ".")),
        Check("ruff format", (python, "-m", "ruff", "format", "--check", ".")),
        Check("mypy", (python, "-m", "mypy")),
        Check("import-linter", (str(scripts / "lint-imports"),)),
    )


def run(*, fast: bool, pytest_arguments: Sequence[str], echo: Echo) -> int:
    """Exit code: 0 when every check and test passed. With ``pytest_arguments`` only pytest is run."""
    os.umask(0o022)  # as the tests expect; homes that they make are read by Asterisk's user
    env = _environment({} if fast else tools(load(), echo))
    if not pytest_arguments and not _checks(echo, env):
        return 1
    marks = ["-m", FAST] if fast else []
    command = [sys.executable, "-m", "pytest", *marks, *pytest_arguments]
    return subprocess.run(command, cwd=REPO, env=env, check=False).returncode


def _environment(extra: dict[str, str]) -> dict[str, str]:
    """No setting of this machine's own home may reach the tests."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("YIHU_") or "_TEST_" in key}
    return {**kept, **extra, "PYTHONPATH": str(REPO)}


def _checks(echo: Echo, env: dict[str, str]) -> bool:
    """All at the same time; True when all passed."""
    started = time.monotonic()
    running = []
    for check in checks():
        output = tempfile.TemporaryFile()  # noqa: SIM115 — closed when it has been read
        process = subprocess.Popen(check.argv, cwd=REPO, env=env, stdout=output, stderr=subprocess.STDOUT)
        running.append((check, process, output))
    good = True
    for check, process, output in running:
        failed = process.wait() != 0
        good &= not failed
        mark = click.style("✗", fg="red") if failed else click.style("✓", fg="green")
        echo(f"  {mark} {check.name:<14} {time.monotonic() - started:5.1f} s")
        if failed:
            output.seek(0)
            echo(output.read().decode("utf-8", "replace"))
        output.close()
    return good


def tools(settings: Settings, echo: Echo) -> dict[str, str]:
    """Everything the full run needs; the variables that tell the tests where it is."""
    with tempfile.TemporaryDirectory(prefix="yihu-test-seed-") as folder:
        # A home of its own fills the shared caches, so that each test's home is quickly made.
        seed = settings.model_copy(update={"home": Path(folder), "tools": settings.tools_dir})
        preparation = Preparation(seed, echo)
        preparation.run_steps(("Asterisk", "browser files", "prompts"))
    settings.tools_dir.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        user = account(settings.run_user)
        if not can_read(user, settings.tools_dir):
            raise SettingsError(
                f"Asterisk's user {user.pw_name} cannot reach {settings.tools_dir}",
                fix="set YIHU_TOOLS to a folder that it can reach, for instance /var/lib/yihu/tools",
            )
    found = {
        "YIHU_TEST_TOOLS": str(settings.tools_dir),
        "YIHU_TEST_SIPP": str(test_tools.sipp(settings, echo)),
        "YIHU_TEST_CHROMIUM": str(test_tools.chromium(settings, echo)),
        "YIHU_TEST_PG_BIN": str(test_tools.postgresql(echo)),
    }
    for name, value in found.items():
        echo(f"  {name}={value}")
    return found
