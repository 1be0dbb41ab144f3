"""espeak-ng, the voice of the prompts: the system's, else a private copy."""

from __future__ import annotations

import shutil

from core.errors import Unavailable
from core.settings import Settings
from yihu.debian import Bundle, PrivateRoot, Progress

ESPEAK = Bundle("espeak-ng", ("espeak-ng",))


def find(settings: Settings) -> list[str] | None:
    """The command and its first arguments; None when there is none yet."""
    system = shutil.which("espeak-ng")
    if system is not None:
        return [system]
    root = PrivateRoot(settings, ESPEAK)
    if root.manifest() is None:
        return None
    data = next((folder for folder in root.library_folders() if (folder / "espeak-ng-data").is_dir()), None)
    if data is None:
        raise Unavailable("the private espeak-ng has no voices", fix=f"remove {root.folder} and try again")
    return [*root.argv("usr/bin/espeak-ng"), f"--path={data}"]


def ensure(settings: Settings, progress: Progress) -> list[str]:
    """As :func:`find`, fetched first if need be (22 MB). Raises SettingsError or Unavailable with the fix."""
    found = find(settings)
    if found is None:
        PrivateRoot(settings, ESPEAK).ensure(progress)
        found = find(settings)
    if found is None:
        raise Unavailable("espeak-ng could not be installed", fix="run `bin/yihu up` again")
    return found
