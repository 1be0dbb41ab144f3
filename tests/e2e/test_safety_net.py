"""With call programs really killed, before and in the middle of a call: nobody hears silence or is hung up on."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.records import EndedBy, Outcome
from routing.ledger import Kind
from tests.e2e.conftest import AGENT_TONE, CALLER_TONE, Seats
from tests.e2e.hotline import Hotline, until
from tests.e2e.seats import Seat
from tests.e2e.test_outcomes import connected, sides
from yihu import softphone_audio as audio
from yihu.softphone import PhoneCall, SoftPhone


def speaks(call: PhoneCall, seconds: float = 30.0) -> None:
    """The caller hears something from now on."""
    before = call.sound().size
    until(lambda: audio.heard(call.sound()[before:]).seconds > 1, seconds, "the caller hears the static prompt")
    assert not call.over


def fallback_members(hotline: Hotline) -> set[str]:
    return {event["Name"] for event in hotline.ami.action("QueueStatus", Queue="fallback").events if event["Name"]}


def in_the_fallback_queue(hotline: Hotline, seat: Seat) -> None:
    """The link has put the agent into Asterisk's own queue."""
    until(lambda: seat.phone in fallback_members(hotline), what=f"{seat.phone} in the fallback queue")


def talks_by_the_net(call: PhoneCall, seat: Seat, rung: PhoneCall) -> None:
    """Caller and agent hear each other although the call programs are dead."""
    heard = call.sound().size / audio.RATE
    assert call.wait_tone(AGENT_TONE, 40, since=heard - 1), "the caller has an agent"
    assert rung.wait_tone(CALLER_TONE, 20), "the agent hears the caller"


def check_reconciled(hotline: Hotline, caller: str, seat: Seat) -> None:
    """The ledger holds what happened while its writer was dead."""
    done = hotline.ended(caller, 60)
    assert done.outcome == Outcome.TALKED
    events = hotline.events(caller)
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert sum(e.kind == Kind.ENDED for e in events) == 1
    assert hotline.event(caller, Kind.SAFETY_NET, 30).source == "cel"
    joined = hotline.event(caller, Kind.JOINED, 30, agent_id=seat.id)
    left = hotline.event(caller, Kind.LEFT, 30, agent_id=seat.id)
    assert joined.at < left.at
    assert hotline.call(caller).talk_seconds > 0.5


def test_dead_before_the_call(hotline: Hotline, lines: SoftPhone, seats: Seats, tones: Path) -> None:
    seat, caller = seats.sign_in(seats.first), hotline.number()
    in_the_fallback_queue(hotline, seat)
    with hotline.held_down("agi"):
        call = hotline.dial(lines, caller, play=tones / "caller.wav", loop=True)
        assert call.wait("answered", 20)
        speaks(call)
        talks_by_the_net(call, seat, seat.rung())
        call.hang_up()
    check_reconciled(hotline, caller, seat)
    net = next(r for r in hotline.recordings(hotline.call(caller).call_id) if r.id.endswith("-net"))
    left, right = sides(hotline, net)
    assert audio.tone_seconds(left, CALLER_TONE) > 1
    assert audio.tone_seconds(right, AGENT_TONE) > 0.3
    assert audio.tone_seconds(left, AGENT_TONE) == 0


def test_dies_in_the_greeting(hotline: Hotline, lines: SoftPhone, seats: Seats, tones: Path) -> None:
    seat, caller = seats.sign_in(seats.first), hotline.number()
    in_the_fallback_queue(hotline, seat)
    call = hotline.dial(lines, caller, play=tones / "caller.wav", loop=True)
    assert call.wait("answered", 20)
    hotline.event(caller, Kind.NODE)
    with hotline.held_down("agi"):
        speaks(call)
        talks_by_the_net(call, seat, seat.rung())
        call.hang_up()
    check_reconciled(hotline, caller, seat)
    assert hotline.event(caller, Kind.SAFETY_NET).data["stage"] == "ivr"


def test_dies_while_the_caller_waits(hotline: Hotline, lines: SoftPhone, seats: Seats, tones: Path) -> None:
    """The agent's phone is just ringing."""
    seat, caller = seats.sign_in(seats.first, auto="ring"), hotline.number()
    in_the_fallback_queue(hotline, seat)
    call = hotline.dial(lines, caller, play=tones / "caller.wav", loop=True)
    assert call.wait("answered", 20)
    call.keys("1")
    first = seat.rung()
    with hotline.held_down("agi"):
        assert first.wait("ended", 30), "the ringing that nobody waits for ends"
        seat.phones.manner(seat.phone, auto="answer")
        talks_by_the_net(call, seat, seat.rung(2, 40))
        call.hang_up()
    check_reconciled(hotline, caller, seat)
    assert hotline.event(caller, Kind.SAFETY_NET).data["stage"] == "waiting"


def test_dies_in_the_talk_and_the_caller_hangs_up(
    hotline: Hotline, lines: SoftPhone, seats: Seats, tones: Path
) -> None:
    seat, caller = seats.sign_in(seats.first), hotline.number()
    call = connected(hotline, lines, tones, caller)
    with hotline.held_down("agi"):
        heard = call.sound().size / audio.RATE
        assert call.wait_tone(AGENT_TONE, 20, since=heard, lasting=1.0), "the talk goes on undisturbed"
        call.hang_up()
        assert seat.rung().wait("ended", 30), "the agent is not left alone in the room"
    done = hotline.ended(caller, 60)
    assert (done.outcome, done.ended_by) == (Outcome.TALKED, EndedBy.CALLER)
    assert hotline.event(caller, Kind.LEFT).source == "cel"
    (recording,) = hotline.recordings(done.call_id)
    assert recording.seconds == pytest.approx(done.talk_seconds, rel=0.02, abs=0.5)
    until(lambda: seat.row.state in ("available", "wrap_up"), what="the agent is free again")


def test_dies_in_the_talk_and_the_agent_hangs_up(hotline: Hotline, lines: SoftPhone, seats: Seats, tones: Path) -> None:
    """The caller is asked whether there is more, and has an agent again."""
    seat, caller = seats.sign_in(seats.first), hotline.number()
    in_the_fallback_queue(hotline, seat)
    call = connected(hotline, lines, tones, caller)
    with hotline.held_down("agi"):
        seat.rung().hang_up()
        speaks(call)
        talks_by_the_net(call, seat, seat.rung(2, 60))
        call.hang_up()
    check_reconciled(hotline, caller, seat)
    assert hotline.event(caller, Kind.SAFETY_NET).data["stage"] == "talking"
    assert hotline.kinds(caller).count(Kind.JOINED) == 2


def test_nine_reaches_the_emergency_line(hotline: Hotline, lines: SoftPhone, tones: Path) -> None:
    caller = hotline.number()
    with hotline.held_down("agi"):
        call = hotline.dial(lines, caller, play=tones / "caller.wav", loop=True)
        assert call.wait("answered", 20)
        speaks(call)
        call.keys("9")
        until(
            lambda: any(event["Context"] == "emergency-sim" for event in hotline.ami.action("CoreShowChannels").events),
            what="the simulator has the call",
        )
        speaks(call)
        call.hang_up()
    done = hotline.ended(caller, 60)
    assert done.outcome == Outcome.EMERGENCY
    hotline.event(caller, Kind.SAFETY_NET)
    hotline.event(caller, Kind.EMERGENCY)


def test_nobody_there_hears_no_silence(hotline: Hotline, lines: SoftPhone, tones: Path) -> None:
    """Without any agent the net plays prompt and music, and keeps the caller."""
    caller = hotline.number()
    with hotline.held_down("agi"):
        call = hotline.dial(lines, caller)
        assert call.wait("answered", 20)
        until(lambda: call.sound().size > 15 * audio.RATE, 30, "15 seconds of the call")
        sound = call.sound()
        assert longest_silence(sound) < 4.0
        assert not call.over
        call.hang_up()
    done = hotline.ended(caller, 60)
    assert done.outcome == Outcome.ABANDONED_WAITING


def longest_silence(sound: audio.Samples) -> float:
    """Seconds of the longest stretch without sound."""
    step = audio.RATE // 2
    longest = run = 0
    for at in range(0, sound.size - step, step):
        run = 0 if audio.heard(sound[at : at + step]).seconds else run + 1
        longest = max(longest, run)
    return longest * 0.5


def test_link_is_dead_during_a_call(hotline: Hotline, lines: SoftPhone, seats: Seats, tones: Path) -> None:
    """The session writes the ledger by itself; the link finds nothing to add when it is back."""
    seats.sign_in(seats.first)
    caller = hotline.number()
    with hotline.held_down("link"):
        call = connected(hotline, lines, tones, caller)
        call.hang_up()
        done = hotline.ended(caller)
    assert (done.outcome, done.ended_by) == (Outcome.TALKED, EndedBy.CALLER)
    hotline.recordings(done.call_id)
    assert all(event.source == "session" for event in hotline.events(caller))


def test_link_and_calls_die_together(hotline: Hotline, lines: SoftPhone, seats: Seats, tones: Path) -> None:
    """A call of which no living program knows: its whole ledger comes from Asterisk's log."""
    seat, caller = seats.sign_in(seats.first), hotline.number()
    in_the_fallback_queue(hotline, seat)
    with hotline.held_down("agi", "link"):
        call = hotline.dial(lines, caller, play=tones / "caller.wav", loop=True)
        assert call.wait("answered", 20)
        talks_by_the_net(call, seat, seat.rung())
        call.hang_up()
        assert not hotline.calls(caller)
    check_reconciled(hotline, caller, seat)
    assert all(event.source == "cel" for event in hotline.events(caller))
