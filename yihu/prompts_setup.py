"""Makes everything a home needs to be heard: prompts in every language, and music on hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.settings import Settings
from ivr_flows.prompts.catalogue import shipped
from ivr_flows.prompts.synthesise import PromptMaker, Report, make_music
from yihu import speech_tool


def prepare(settings: Settings, progress: Callable[[str], None], espeak: Sequence[str] | None = None) -> Report:
    """Fill HOME/prompts and HOME/moh; quick when nothing has changed.

    ``espeak`` is the command of the voice with its first arguments; None: the system's, or a private copy, fetched if
    need be. It is looked for and run only for what TOOLS/prompts-cache does not have, so a second home is filled by
    copying. ``progress`` gets sentences for people. Raises SettingsError or Unavailable when a prompt must be made
    and the voice cannot be had.
    """
    cache = settings.tools_dir / "prompts-cache"
    recorded = settings.home / "prompts-recorded"
    report = PromptMaker(
        shipped(),
        settings.prompts_dir,
        recorded,
        cache,
        lambda: speech_tool.ensure(settings, progress) if espeak is None else espeak,
    ).make()
    music = make_music(settings.home / "moh", cache)
    for problem in report.problems:
        progress(problem)
    if report.made or report.cached or music:
        progress(f"prompts: {report.made} made, {report.cached} from the cache, {report.unchanged} unchanged")
    return report
