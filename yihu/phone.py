"""``bin/yihu call``: a real telephone call to the hotline, without a telephone.

The call comes in over the trunk, as one from the telephone company would: from the trunk's address (127.0.0.2 by
default) to Asterisk's SIP port on this machine. It never goes anywhere else: not even 110 dialled here leaves it.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click

from core.errors import Invalid, SettingsError, Unavailable
from core.settings import Settings, load
from yihu import softphone_audio as audio
from yihu.softphone import NUMBER, CallReport, PhoneCall, SoftPhone, listening

LOOPBACK = "127.0.0.1"
TEST_CALLER = "15409980001"  # an invented mobile number (area code that no carrier uses)
KEY = re.compile(r"^[0-9*#]$")
PAUSE = re.compile(r"^w(\d+(?:\.\d+)?)$")
RING_SECONDS = 60.0
KEY_GAP = 0.25  # a person's finger; longer than one key's tone
EXIT_ANSWERED, EXIT_NO_TELEPHONE, EXIT_NOT_ANSWERED = 0, 1, 3


@dataclass(frozen=True)
class Trunk:
    """Where test calls come from and go to."""

    source: str  # our address: the telephone company's side
    host: str
    port: int

    @property
    def target(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def trunk_of(settings: Settings) -> Trunk:
    """The trunk of this home as a test call uses it.

    Raises SettingsError when the trunk belongs to a real telephone company: then nobody here can call over it.
    """
    try:
        network = ipaddress.ip_network(settings.trunk_address, strict=False)
        bind = ipaddress.ip_address(settings.bind)
    except ValueError as exc:
        raise SettingsError(f"trunk_address or bind: {exc}", fix="see docs/settings.md") from exc
    # Of a network the first address will do, but 127.0.0.1 is where the browser phones are.
    source = next((host for host in network.hosts() if str(host) != LOOPBACK), network.network_address)
    if not source.is_loopback:
        raise SettingsError(
            f"the trunk of this home is {settings.trunk_address}: only calls from there are taken, and a test call "
            "cannot come from there",
            fix="test with a home of its own whose trunk_address is 127.0.0.2 (the default)",
        )
    host = LOOPBACK if bind.is_unspecified else str(bind)
    return Trunk(str(source), host, settings.port("sip_port"))


def plan(keys: str) -> list[tuple[str, float]]:
    """``"1,w2,34"`` → [("1", 0), ("w", 2), ("3", 0), ("4", 0)]. Raises Invalid naming what is wrong."""
    steps: list[tuple[str, float]] = []
    for part in (part.strip() for part in keys.split(",")):
        if pause := PAUSE.match(part):
            steps.append(("w", float(pause[1])))
        elif part and all(KEY.match(key) for key in part):
            steps.extend((key, 0.0) for key in part)
        elif part:
            raise Invalid(f"--keys: {part!r} is neither a key nor a pause", fix='for instance "1,w2,3": 1, 2 s, 3')
    return steps


def place_call(
    settings: Settings,
    *,
    number: str = "",
    caller: str = TEST_CALLER,
    keys: str = "",
    say: Path | None = None,
    seconds: float = 15.0,
    save: Path | None = None,
    ring_seconds: float = RING_SECONDS,
) -> CallReport:
    """Call the hotline (or ``number``), press ``keys``, hang up ``seconds`` after the answer; tell how it went.

    Raises Invalid for wrong input, SettingsError when this home cannot be called from here, Unavailable when nothing
    listens at its SIP port.
    """
    steps = plan(keys)
    number = number or settings.hotline_number
    for value in (number, caller or number):
        if not NUMBER.match(value):
            raise Invalid(f"not a telephone number: {value!r}", fix="use digits, + * #, or selftest")
    trunk = trunk_of(settings)
    if not listening(trunk.host, trunk.port, trunk.source):
        raise Unavailable(f"nothing answers at SIP port {trunk.target}", fix="start the system: bin/yihu up")
    with tempfile.TemporaryDirectory(prefix="yihu-call-") as folder, SoftPhone(trunk.source) as phone:
        heard = Path(folder) / "heard.wav"
        call = phone.call(number, trunk.target, caller=caller, play=say, save=heard)
        try:
            if call.wait("answered", ring_seconds):
                _talk(call, steps, seconds)
        finally:
            call.hang_up()
        report = call.report()
        if save is not None:
            audio.save(save, call.sound())
    return report


def _talk(call: PhoneCall, steps: list[tuple[str, float]], seconds: float) -> None:
    end = time.monotonic() + seconds
    for key, pause in steps:
        rest = end - time.monotonic()
        if call.over or rest <= 0:
            return
        if key != "w":
            call.keys(key)
        if call.wait("ended", min(rest, pause or KEY_GAP)):
            return
    call.wait("ended", max(0.0, end - time.monotonic()))


def describe(report: CallReport) -> str:
    """The report for a person."""
    if not report.answered:
        return f"没有接通 not answered: SIP {report.sip_code or '—'} {report.reason}"
    level = "" if report.heard_rms_db is None else f", {report.heard_rms_db} dBFS"
    by = "我方" if report.ended_by == "us" else "对方"
    lines = [
        f"已接通 answered        SIP {report.sip_code}",
        f"通话 seconds           {report.seconds:.1f} s (振铃 rang {report.ring_seconds:.1f} s)",
        f"听到 heard             {report.heard_seconds:.1f} s{level}",
        f"挂断方 ended by        {by} {report.ended_by}",
    ]
    if report.keys_sent:
        lines.append(f"按键 keys sent         {report.keys_sent}")
    return "\n".join(lines)


@click.command()
@click.option("--from", "caller", default=TEST_CALLER, show_default=True, help="Caller's number; empty: withheld.")
@click.option("--to", "number", default="", help="Number to dial. Default: the hotline. selftest: hear yourself.")
@click.option("--keys", default="", help='Keys to press, in order; wN waits N seconds. For instance "1,w2,3".')
@click.option(
    "--say",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Sound file to say into the call, once, from the answer on.",
)
@click.option(
    "--seconds", default=15.0, show_default=True, type=click.FloatRange(0.5, 7200), help="Length of the call."
)
@click.option(
    "--save", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Write what was heard (WAV)."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def call(
    caller: str, number: str, keys: str, say: Path | None, seconds: float, save: Path | None, as_json: bool
) -> None:
    """Call the hotline with a real SIP call and real sound.

    Exit codes: 0 answered; 1 nothing listens, or the call could not be made; 2 wrong input or settings;
    3 not answered.
    """
    try:
        report = place_call(load(), number=number, caller=caller, keys=keys, say=say, seconds=seconds, save=save)
    except Invalid as exc:
        raise click.UsageError(f"{exc.detail} ({exc.fix})" if exc.fix else exc.detail) from exc
    click.echo(json.dumps(dataclasses.asdict(report), ensure_ascii=False) if as_json else describe(report))
    sys.exit(EXIT_ANSWERED if report.answered else EXIT_NOT_ANSWERED)
