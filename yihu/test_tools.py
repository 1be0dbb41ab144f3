"""Programs that only the tests need: SIPp, Chromium, PostgreSQL.

SIPp comes as a private copy where the system has none. Chromium and PostgreSQL start further programs of their own
and must be the system's: as root they are installed, with sudo after asking, else the fix is named.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click

from core.errors import Unavailable
from core.settings import Settings
from yihu import debian_sources
from yihu.debian import Bundle, PrivateRoot

SIPP = Bundle("sip-tester", ("sip-tester",))
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
POSTGRES_FOLDERS = Path("/usr/lib/postgresql")
# Debian's package would start a server of its own; the tests start theirs.
NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/yihu-tests.conf")
Echo = Callable[[str], None]


def sipp(settings: Settings, echo: Echo) -> Path:
    """The SIPp program: the system's, or a private copy behind a script of its name."""
    system = shutil.which("sipp")
    if system is not None:
        return Path(system)
    root = PrivateRoot(settings, SIPP)
    root.ensure(echo)
    script = settings.tools_dir / "bin" / "sipp"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(f'#!/bin/sh\nexec {shlex.join(root.argv("usr/bin/sipp"))} "$@"\n', "utf-8")
    script.chmod(0o755)
    return script


def chromium(settings: Settings, echo: Echo) -> Path:
    """Chromium: the setting's, the system's, or installed now."""
    if settings.chromium:
        path = Path(settings.chromium)
        if not os.access(path, os.X_OK):
            raise Unavailable(f"the setting chromium names no program: {path}", fix="correct YIHU_CHROMIUM")
        return path
    found = _chromium()
    if found is None:
        if debian_sources.family(debian_sources.os_release()) == "ubuntu":
            raise Unavailable(
                "the tests need Chromium, which Ubuntu's archive does not have as a package",
                fix="install Chromium or Chrome by any other way and set YIHU_CHROMIUM to the program",
            )
        install("the tests need Chromium", ("chromium",), echo)
        found = _chromium()
    if found is None:
        raise Unavailable("Chromium was installed but is not found", fix="set YIHU_CHROMIUM to the program")
    return found


def _chromium() -> Path | None:
    return next((Path(path) for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


def postgresql(echo: Echo) -> Path:
    """The folder with PostgreSQL's server programs, installed now if need be."""
    found = _postgresql()
    if found is None:
        if os.geteuid() == 0 and not NO_CLUSTER.exists():
            NO_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
            NO_CLUSTER.write_text(
                "# Written by `bin/yihu test`: the tests start a server of their own.\ncreate_main_cluster = false\n",
                "ascii",
            )
        install("the tests need PostgreSQL's server programs", ("postgresql",), echo)
        found = _postgresql()
    if found is None:
        raise Unavailable("PostgreSQL was installed but initdb is not found", fix=f"look into {POSTGRES_FOLDERS}")
    return found


def _postgresql() -> Path | None:
    def version(folder: Path) -> int:
        return int(folder.parent.name) if folder.parent.name.isdigit() else 0

    folders = [folder for folder in POSTGRES_FOLDERS.glob("*/bin") if (folder / "initdb").exists()]
    return max(folders, key=version, default=None)


def install(why: str, packages: tuple[str, ...], echo: Echo) -> None:
    """Install Debian packages, each said by its name. Raises Unavailable with the command to type."""
    words = " ".join(packages)
    typed = f"as root: apt-get install {words}"
    if shutil.which("apt-get") is None:
        raise Unavailable(f"{why}: {words}", fix="install it with your system's package manager")
    prefix: tuple[str, ...] = ()
    if os.geteuid() != 0:
        if shutil.which("sudo") is None or not sys.stdin.isatty():
            raise Unavailable(f"{why}: {words}", fix=typed)
        if not click.confirm(f"{why}. Install the Debian package {words} with sudo?", default=False):
            raise Unavailable(f"{why}: {words}", fix=typed)
        prefix = ("sudo",)
    echo(f"  {why}: installing the Debian package {words}")
    for command in (("update",), ("install", "-y", "--no-install-recommends", *packages)):
        argv = (*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", *command)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"apt-get {command[0]} failed: {done.stderr.strip()[-500:]}", fix=typed)
