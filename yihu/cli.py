"""The command line: ``bin/yihu COMMAND``."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys

import click

from core.errors import SettingsError, YihuError
from core.settings import load
from yihu.homes import choose

# Commands of other modules, imported only when they are asked for.
LAZY = {
    "call": ("yihu.phone", "call"),
    "doctor": ("yihu.doctor", "doctor"),
    "migration": ("yihu.migration", "migration"),
    "token": ("yihu.tokens", "token"),
}
PROCESSES = ("asterisk", "agi", "link", "worker", "web")
EXIT_FAILED = 1
EXIT_SETTINGS = 2
UMASK = 0o077  # what a home holds is its owner's alone; exceptions are made where they are needed


class Commands(click.Group):
    """A group that also has the commands of :data:`LAZY`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        there = [name for name, (module, _) in LAZY.items() if importlib.util.find_spec(module)]
        return sorted([*super().list_commands(ctx), *there])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in LAZY:
            module, name = LAZY[cmd_name]
            command: click.Command = getattr(importlib.import_module(module), name)
            return command
        return super().get_command(ctx, cmd_name)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Yihu 一呼: telephone and ticket system of a 12345 government service hotline.

    Everything works on one data folder: var/ in the checkout, or YIHU_HOME. Settings: docs/settings.md
    """


@cli.command()
@click.option("--detach", "-d", is_flag=True, help="Run in the background; returns when everything is ready.")
@click.option("--demo", is_flag=True, help="Add fictional units, agents, numbers and history.")
def up(detach: bool, demo: bool) -> None:
    """Prepare what is missing, then run everything, restarted on crash.

    In the foreground it shows the log; Ctrl-C stops it in order (calls may finish), a second Ctrl-C at once.
    """
    from yihu.service import Service

    sys.exit(0 if Service(load(), click.echo).up(detach=detach, demo=demo) else EXIT_FAILED)


@cli.command()
@click.option("--now", is_flag=True, help="Do not wait for live calls.")
def down(now: bool) -> None:
    """Stop everything in order; live calls may finish within drain_seconds."""
    from yihu.service import Service

    Service(load(), click.echo).down(now=now)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """Show each process. Exit code 0 when everything is ready, else 1."""
    from yihu.service import Service

    service = Service(load(), click.echo)
    if as_json:
        found = service.status()
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        ready = bool(found["ready"])
    else:
        ready = service.show_status()
    sys.exit(0 if ready else EXIT_FAILED)


@cli.command()
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes.")
@click.option("--lines", "-n", default=50, show_default=True, type=click.IntRange(0), help="How many lines back.")
@click.argument("names", nargs=-1, type=click.Choice(("yihu", *PROCESSES)))
def logs(follow: bool, lines: int, names: tuple[str, ...]) -> None:
    """Show the log of all processes, or of the named ones."""
    from yihu.service import Service

    try:
        Service(load(), click.echo).logs(names, lines, go_on=follow)
    except KeyboardInterrupt:
        sys.exit(130)


@cli.command()
@click.argument("name", type=click.Choice(PROCESSES))
def restart(name: str) -> None:
    """Restart one process of a running system (restarting asterisk ends its calls)."""
    from yihu.service import Service

    Service(load(), click.echo).restart(name)


@cli.command()
@click.option("--demo", is_flag=True, help="Add fictional units, agents, numbers and history.")
@click.option("--only-asterisk", is_flag=True, help="Only fetch and configure Asterisk.")
def prepare(demo: bool, only_asterisk: bool) -> None:
    """Do what `up` does before it starts anything."""
    from yihu.prepare import Preparation

    preparation = Preparation(load(), click.echo)
    if only_asterisk:
        preparation.run_steps(("Asterisk",))
        return
    for note in preparation.run(demo=demo).notes:
        click.echo(f"  {note}")


@cli.command()
@click.argument("name", type=click.Choice(PROCESSES))
def run(name: str) -> None:
    """Run one process in the foreground (what `up` does for each of them)."""
    if name == "asterisk":
        from yihu.run_asterisk import exec_asterisk

        exec_asterisk(load())
    from yihu.run import main as run_process
    from yihu.service import end_with_supervisor

    end_with_supervisor()
    run_process(name)


@cli.command(hidden=True)
def supervise() -> None:
    """The background half of `up --detach`."""
    from yihu.service import Service

    sys.exit(0 if Service(load(), click.echo).supervise() else EXIT_FAILED)


@cli.command("settings-docs")
@click.option("--check", is_flag=True, help="Only tell whether docs/settings.md is up to date.")
def settings_docs(check: bool) -> None:
    """Write docs/settings.md from the settings and policy numbers in the code."""
    from yihu import settings_docs as docs

    if check:
        sys.exit(0 if docs.up_to_date() else EXIT_FAILED)
    docs.write()


@cli.command(context_settings={"ignore_unknown_options": True})
@click.option("--fast", is_flag=True, help="Only what takes less than a minute and needs no tools.")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def test(fast: bool, pytest_arguments: tuple[str, ...]) -> None:
    """Run all checks and tests; installs what they need. Further arguments go to pytest."""
    from yihu import testing

    sys.exit(testing.run(fast=fast, pytest_arguments=pytest_arguments, echo=click.echo))


def explain(error: YihuError) -> None:
    """Print an error with its fix on standard error."""
    click.secho(f"{error.title}: {error.detail}", fg="red", err=True)
    if error.fix:
        click.echo(f"  what to do: {error.fix}", err=True)


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 wrong settings or usage."""
    os.umask(UMASK)
    home, note = choose()
    os.environ["YIHU_HOME"] = str(home)  # children and everything that loads the settings agree on it
    if note and "YIHU_SUPERVISOR" not in os.environ:
        click.echo(note, err=True)
    try:
        cli(prog_name="bin/yihu")
    except SettingsError as error:
        explain(error)
        sys.exit(EXIT_SETTINGS)
    except YihuError as error:
        explain(error)
        sys.exit(EXIT_FAILED)
