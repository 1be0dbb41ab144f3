"""Which Asterisk runs: the system's own if it is 18 or newer, else a private copy of Debian's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from core.errors import SettingsError, Unavailable
from core.settings import Settings
from yihu import debian_sources
from yihu.asterisk_modules import REQUIRED
from yihu.debian import Bundle, PrivateRoot, Progress

OLDEST_MAJOR = 18
PINNED_MAJOR = 22  # long-term support until 2029; raise it only with the tests green on the new one
TESTED_VERSION = "22.10.1"
ASTERISK = Bundle("asterisk", ("asterisk",), ((("asterisk asterisk-modules asterisk-config"), f"1:{PINNED_MAJOR}.*"),))
# Ubuntu has one Asterisk a release; what it has is taken if it is new enough.
ASTERISK_UBUNTU = Bundle("asterisk", ("asterisk",))
DATA_FOLDERS = (Path("/usr/share/asterisk"), Path("/var/lib/asterisk"), Path("/usr/local/share/asterisk"))
SYSTEM_PATHS = ("/usr/sbin/asterisk", "/usr/local/sbin/asterisk")


@dataclass(frozen=True)
class Asterisk:
    """A usable Asterisk: how to start it and where its modules and data are."""

    argv: tuple[str, ...]
    version: str
    modules: Path
    data: Path
    private: bool

    @property
    def major(self) -> int:
        return int(self.version.split(".", 1)[0])


def read_version(text: str) -> str:
    """``Asterisk 22.10.1+dfsg…`` → ``22.10.1``; empty when it is not Asterisk's answer."""
    match = re.search(r"Asterisk (?:certified[/-])?(\d+\.\d+(?:\.\d+)?)", text)
    return match[1] if match else ""


def ask_version(argv: tuple[str, ...]) -> str:
    try:
        shown = subprocess.run([*argv, "-V"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return read_version(shown.stdout)


def module_folders() -> list[Path]:
    """Where distributions put a system Asterisk's modules."""
    triplet = debian_sources.MACHINES.get(os.uname().machine, ("", "", ""))[1]
    libraries = (f"/usr/lib/{triplet}", "/usr/lib", "/usr/lib64", "/usr/local/lib")
    return [Path(library) / "asterisk/modules" for library in libraries]


def missing_modules(folder: Path) -> list[str]:
    return [name for name in REQUIRED if not (folder / f"{name}.so").is_file()]


def system_asterisk() -> Asterisk | None:
    """The system's Asterisk when it is new enough and has the modules we load."""
    found = shutil.which("asterisk") or next((path for path in SYSTEM_PATHS if os.access(path, os.X_OK)), None)
    if found is None:
        return None
    version = ask_version((found,))
    if not version or int(version.split(".", 1)[0]) < OLDEST_MAJOR:
        return None
    module_dir = next((path for path in module_folders() if path.is_dir() and not missing_modules(path)), None)
    data_dir = next((path for path in DATA_FOLDERS if (path / "documentation").is_dir()), None)
    if module_dir is None or data_dir is None:
        return None
    return Asterisk((found,), version, module_dir, data_dir, private=False)


def _bundle() -> Bundle:
    return ASTERISK_UBUNTU if debian_sources.family(debian_sources.os_release()) == "ubuntu" else ASTERISK


def _private(root: PrivateRoot) -> Asterisk:
    modules = next((f / "asterisk/modules" for f in root.library_folders() if (f / "asterisk/modules").is_dir()), None)
    if modules is None or missing_modules(modules):
        lacking = "all" if modules is None else ", ".join(missing_modules(modules))
        raise Unavailable(f"the private Asterisk lacks modules: {lacking}", fix=f"remove {root.folder} and try again")
    argv = tuple(root.argv("usr/sbin/asterisk"))
    version = ask_version(argv)
    if not version or int(version.split(".", 1)[0]) < OLDEST_MAJOR:
        raise Unavailable(f"the private Asterisk does not start ({' '.join(argv)} -V)", fix=f"remove {root.folder}")
    return Asterisk(argv, version, modules, root.root / "usr/share/asterisk", private=True)


def find(settings: Settings) -> Asterisk | None:
    """The Asterisk that is already there, without downloading anything; None when there is none."""
    if settings.asterisk in ("auto", "system"):
        found = system_asterisk()
        if found is not None:
            return found
        if settings.asterisk == "system":
            raise SettingsError(
                f'asterisk = "system", but the system has no Asterisk {OLDEST_MAJOR} or newer with all modules needed',
                fix='install it, or set asterisk = "auto"',
            )
    root = PrivateRoot(settings, _bundle())
    return _private(root) if root.manifest() is not None else None


def ensure(settings: Settings, progress: Progress) -> Asterisk:
    """The Asterisk to run, fetched first if need be. Raises SettingsError or Unavailable with the fix."""
    found = find(settings)
    if found is None:
        root = PrivateRoot(settings, _bundle())
        root.ensure(progress)
        found = _private(root)
    if found.private and not found.version.startswith(TESTED_VERSION):
        progress(f"WARNING: Asterisk {found.version} is not the tested version {TESTED_VERSION}")
    return found
