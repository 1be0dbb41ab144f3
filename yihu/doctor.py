"""``bin/yihu doctor``: tries each part for real and names the fix of what does not work."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
import threading
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import click
import structlog

from core.errors import SettingsError, YihuError
from core.settings import Settings, load
from yihu.checks import Check, Finding, Level, Wrong, data, host, pages, sound, telephony

CHECKS: tuple[Check, ...] = (
    Check("folders", "目录与磁盘", host.folders),
    Check("clock", "时钟", host.clock),
    Check("database", "数据库", data.database, seconds=15),
    Check("asterisk", "电话交换", telephony.asterisk),
    Check("agi", "呼叫程序", telephony.agi),
    Check("link", "话务连接", telephony.link),
    Check("worker", "后台任务", telephony.worker),
    Check("phone", "网页电话注册", telephony.phone, needs=("asterisk",), seconds=20),
    Check("audio", "双向通话", sound.call, needs=("asterisk",), seconds=40),
    Check("prompts", "语音提示", sound.prompts, seconds=60),
    Check("speech", "语音识别", sound.speech, seconds=110),
    Check("web", "网页", pages.web),
    Check("outbox", "记录投递", data.outbox, needs=("database",)),
    Check("emergency", "紧急线路", telephony.emergency),
)
MARKS = {
    Level.OK: ("✓", "green"),
    Level.WARNING: ("!", "yellow"),
    Level.FAILURE: ("✗", "red"),
    Level.SKIPPED: ("–", "red"),
}


@dataclass(frozen=True)
class Result:
    """One line of the report. ``ok``: nothing has failed (a warning is no failure)."""

    id: str
    ok: bool
    level: Level
    title: str
    detail: str
    fix: str
    ms: int


def examine(settings: Settings, checks: Sequence[Check] = CHECKS) -> list[Result]:
    """Run the checks in order, each with its time limit; never raises."""
    results: list[Result] = []
    for check in checks:
        failed = {result.id for result in results if not result.ok}
        blocked = next((need for need in check.needs if need in failed), None)
        started = time.monotonic()
        if blocked is not None:
            finding = Finding(f"未检查：先修复 {blocked}", Level.SKIPPED, f"先修复 {blocked}，再运行 bin/yihu doctor")
        else:
            finding = _within(check, settings)
        ms = round((time.monotonic() - started) * 1000)
        ok = finding.level in (Level.OK, Level.WARNING)
        results.append(Result(check.id, ok, finding.level, check.title, finding.detail, finding.fix, ms))
    return results


def _within(check: Check, settings: Settings) -> Finding:
    """The finding of one check; what goes wrong in it, or takes too long, becomes a failure."""
    found: list[Finding] = []

    def work() -> None:
        try:
            found.append(check.run(settings))
        except Wrong as exc:
            found.append(Finding(exc.detail, Level.FAILURE, exc.fix))
        except YihuError as exc:
            found.append(Finding(exc.detail, Level.FAILURE, exc.fix or f"查看 {settings.log_dir / 'yihu.log'}"))
        except Exception as exc:
            told = f"{exc.__class__.__name__}: {exc}"
            found.append(Finding(told, Level.FAILURE, f"查看 {settings.log_dir / 'yihu.log'}"))

    thread = threading.Thread(target=work, daemon=True, name=f"doctor-{check.id}")
    thread.start()
    thread.join(check.seconds)
    if found:
        return found[0]
    return Finding(f"{check.seconds:.0f} 秒内没有结果", Level.FAILURE, "机器过载或该部分已停止响应：bin/yihu restart")


def _settings() -> tuple[Settings | None, Result]:
    """The settings and the finding about them."""
    started = time.monotonic()
    try:
        settings = load()
    except SettingsError as exc:
        ms = round((time.monotonic() - started) * 1000)
        return None, Result("settings", False, Level.FAILURE, "设置", exc.detail, exc.fix, ms)
    ms = round((time.monotonic() - started) * 1000)
    return settings, Result("settings", True, Level.OK, "设置", f"数据目录 {settings.home}", "", ms)


def _width(text: str) -> int:
    """Columns of a terminal: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _padded(text: str, width: int) -> str:
    return text + " " * max(0, width - _width(text))


def table(results: Sequence[Result]) -> str:
    """The report for a person."""
    lines = []
    for result in results:
        mark, colour = MARKS[result.level]
        loud = result.id == "emergency"
        detail = (
            click.style(result.detail, fg="red" if "真实" in result.detail else "yellow", bold=True)
            if loud
            else result.detail
        )
        head = f"{click.style(mark, fg=colour, bold=True)} {_padded(result.title, 14)}{_padded(result.id, 11)}"
        lines.append(f"{head}{detail}")
        if result.fix:
            lines.append(f"{' ' * 27}{click.style('→ ' + result.fix, fg=colour)}")
    failed = sum(not result.ok for result in results)
    warned = sum(result.level is Level.WARNING for result in results)
    lines.append("")
    if failed:
        lines.append(click.style(f"✗ {failed} 项未通过", fg="red", bold=True))
    else:
        note = f"（{warned} 项提醒）" if warned else ""
        lines.append(click.style(f"✓ 全部通过{note}", fg="green", bold=True))
    return "\n".join(lines)


@click.command()
@click.option(
    "--json", "as_json", is_flag=True, help="Print the findings as JSON: id, ok, level, title, detail, fix, ms."
)
def doctor(as_json: bool) -> None:
    """Check each part for real; changes nothing.

    Exit codes: 0 all is well (there may be warnings); 1 something does not work: the line below it says what to do.
    """
    # What the parts log would stand between the findings; the findings say it all.
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        cache_logger_on_first_use=False,
    )
    settings, first = _settings()
    results = [first] if settings is None else [first, *examine(settings)]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(result) for result in results], ensure_ascii=False, indent=1))
    else:
        click.echo(table(results))
    sys.exit(0 if all(result.ok for result in results) else 1)
