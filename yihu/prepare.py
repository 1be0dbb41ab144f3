"""Makes a home ready to run: each step says what it does and how long it took, and is instant when already done."""

from __future__ import annotations

import importlib
import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from core import secrets
from core.errors import SettingsError, Unavailable
from core.settings import Settings
from yihu import assets, asterisk_config, asterisk_install, speech_tool
from yihu.debian import locked
from yihu.run_user import account, hand_over
from yihu.runstate import RunState

Echo = Callable[[str], None]


@dataclass
class Prepared:
    """What is to be told when everything runs: shown once, at the end, so that it is not lost in the steps."""

    notes: list[str] = field(default_factory=list)


def _later(module: str, name: str) -> Callable[..., Any]:
    """A function imported only when its step comes: a broken room does not keep the others from being prepared."""
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


class Preparation:
    """The steps, in order. ``echo`` gets one line a step, and a line for each long piece of work within it."""

    def __init__(self, settings: Settings, echo: Echo) -> None:
        self.settings, self.echo = settings, echo
        self.prepared = Prepared()

    def run(self, *, demo: bool = False) -> Prepared:
        """Do all steps. Raises SettingsError or Unavailable naming the fix; what was done stays done."""
        return self.run_steps(("Asterisk", "browser files", "prompts", "database", *(("demo",) if demo else ())))

    def run_steps(self, names: Sequence[str]) -> Prepared:
        """Make the folders, then do the steps ``names`` in this order."""
        steps: dict[str, Callable[[], str | None]] = {
            "Asterisk": lambda: self.telephone(),
            "browser files": lambda: assets.ensure(self._detail),
            "prompts": self.prompts,
            "database": self.database,
            "demo": self.demo,
        }
        self._step("folders", self.folders)
        with locked(self.settings.run_dir / "prepare.lock", self._detail):
            for name in names:
                self._step(name, steps[name])
        return self.prepared

    # -- steps ---------------------------------------------------------------------------------------------
    def folders(self) -> None:
        """The home with its folders and secrets."""
        settings = self.settings
        _own_home(settings)
        for folder in (settings.log_dir, settings.run_dir, settings.store_dir):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        RunState(settings).prepare()
        for name in secrets.NAMES:
            secrets.secret(settings.home, name)

    def telephone(self) -> str:
        """Asterisk, its configuration, and its user when we are root."""
        asterisk = asterisk_install.ensure(self.settings, self._detail)
        asterisk_config.write(self.settings, asterisk)
        if os.geteuid() == 0:
            hand_over(self.settings, account(self.settings.run_user))
        return f"{asterisk.version}, {'private copy' if asterisk.private else 'of the system'}"

    def prompts(self) -> None:
        """What callers hear. espeak-ng is fetched only if something has to be spoken that no cache has."""
        make = _later("yihu.prompts_setup", "prepare")
        voice = speech_tool.find(self.settings)
        try:
            make(self.settings, self._detail, voice)
        except Unavailable as exc:
            if exc.id != "no-voice" or voice is not None:
                raise
            make(self.settings, self._detail, speech_tool.ensure(self.settings, self._detail))

    def database(self) -> None:
        """Tables as this version wants them, and the first sign-in of an empty system."""
        _later("yihu.migrate", "upgrade")(self.settings)
        password = _later("yihu.first_admin", "ensure")(self.settings)
        if password:
            self.prepared.notes.append(f"first sign-in: admin / {password}   (shown only this once; change it)")

    def demo(self) -> None:
        """Fictional data to try things with."""
        self.prepared.notes += _later("yihu.demo", "load")(self.settings)

    # -- telling -------------------------------------------------------------------------------------------
    def _detail(self, text: str) -> None:
        self.echo(click.style(f"      {text}", fg="yellow" if text.startswith("WARNING") else None, dim=True))

    def _step(self, name: str, do: Callable[[], str | None]) -> None:
        started = time.monotonic()
        note = do()
        told = f"  {note}" if note else ""
        self.echo(f"  {click.style('✓', fg='green')} {name:<14} {time.monotonic() - started:5.1f} s{told}")


def _own_home(settings: Settings) -> None:
    """Make the home. Raises SettingsError when it is somebody else's: files of two owners in it would lock both out."""
    home = settings.home
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
    except OSError as exc:
        raise SettingsError(f"cannot make the data folder {home}: {exc.strerror}", fix="set YIHU_HOME") from exc
    seen = home.stat()
    if seen.st_uid != os.geteuid():
        raise SettingsError(
            f"the data folder {home} belongs to another user (id {seen.st_uid})",
            fix="run bin/yihu as that user, or set YIHU_HOME to a folder of your own",
        )
    if os.geteuid() != 0 and stat.S_IMODE(seen.st_mode) & 0o077:
        home.chmod(0o700)
