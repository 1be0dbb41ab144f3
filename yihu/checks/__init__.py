"""What ``bin/yihu doctor`` looks at: one function a check, each really trying the thing it is about.

A check changes nothing that lasts. It returns a :class:`Finding`, or raises :class:`Wrong` with the way to put it
right; any other exception counts as a failure, too. Texts are Chinese, as all pages for the staff are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from core.settings import Settings
from yihu.runstate import RunState


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"  # works, but somebody should know
    FAILURE = "failure"
    SKIPPED = "skipped"  # not tried, because a check that it needs has failed


@dataclass(frozen=True)
class Finding:
    """What a check found. ``fix`` says what to do about a warning."""

    detail: str
    level: Level = Level.OK
    fix: str = ""


class Wrong(Exception):
    """The check failed: what is wrong, and what to do."""

    def __init__(self, detail: str, fix: str) -> None:
        super().__init__(detail)
        self.detail, self.fix = detail, fix


@dataclass(frozen=True)
class Check:
    """``needs``: ids of checks without which this one is not worth trying."""

    id: str
    title: str
    run: Callable[[Settings], Finding]
    needs: tuple[str, ...] = ()
    seconds: float = 10.0


def restart(settings: Settings, name: str) -> str:
    """What to do when the process ``name`` does not do its work."""
    if not RunState(settings).supervised():
        return "系统没有运行，请执行：bin/yihu up"
    return f"查看 {settings.log_dir / 'yihu.log'} 中 {name} 的记录，然后执行：bin/yihu restart {name}"
