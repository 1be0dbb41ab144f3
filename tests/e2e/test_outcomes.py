"""Every ending of a call, with the ledger that belongs to it."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from core.records import EndedBy, Outcome
from recordings.models import Recording
from routing.agents import MISSED_CALL, State
from routing.ledger import Kind
from tests.e2e.conftest import AGENT_TONE, CALLER_TONE, Seats
from tests.e2e.hotline import SEATS, Hotline, until
from tests.e2e.seats import Seat
from yihu import softphone_audio as audio
from yihu.softphone import PhoneCall, SoftPhone


def sides(hotline: Hotline, recording: Recording) -> tuple[audio.Samples, audio.Samples]:
    """The caller's side and what the caller heard."""
    samples, rate = soundfile.read(str(hotline.parts.recordings.path(recording)), dtype="int16", always_2d=True)
    assert (rate, samples.shape[1]) == (audio.RATE, 2)
    return samples[:, 0], samples[:, 1]


def connected(hotline: Hotline, lines: SoftPhone, tones: Path, caller: str, keys: str = "1") -> PhoneCall:
    """A call that has reached an agent: each hears the other's tone."""
    call = hotline.dial(lines, caller, play=tones / "caller.wav", loop=True)
    assert call.wait("answered", 20)
    if keys:
        hotline.event(caller, Kind.NODE)
        call.keys(keys)
    hotline.event(caller, Kind.JOINED)
    assert call.wait_tone(AGENT_TONE, 20), "the caller does not hear the agent"
    return call


def test_caller_hangs_up(hotline: Hotline, lines: SoftPhone, seats: Seats, tones: Path) -> None:
    seat, caller = seats.sign_in(seats.first), hotline.number()
    call = connected(hotline, lines, tones, caller)
    rung = seat.rung()
    assert rung.wait_tone(CALLER_TONE, 20), "the agent does not hear the caller"
    call.hang_up()
    assert rung.wait("ended", 10)
    done = hotline.ended(caller)
    assert (done.outcome, done.ended_by) == (Outcome.TALKED, EndedBy.CALLER)
    assert None not in (done.answered_at, done.queued_at, done.connected_at)
    events = hotline.events(caller)
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert [e.kind for e in events][:2] == [Kind.OFFERED, Kind.ANSWERED]
    assert {Kind.QUEUED, Kind.ASSIGNED, Kind.JOINED, Kind.LEFT, Kind.RECORDING} <= {e.kind for e in events}
    assert events[-1].kind == Kind.ENDED
    (recording,) = hotline.recordings(done.call_id)
    left, right = sides(hotline, recording)
    assert audio.tone_seconds(left, CALLER_TONE) > 0.8 * recording.seconds
    assert audio.tone_seconds(right, AGENT_TONE) > 0.5
    assert audio.tone_seconds(left, AGENT_TONE) == 0 == audio.tone_seconds(right, CALLER_TONE)
    assert recording.seconds == pytest.approx(done.talk_seconds, rel=0.02, abs=0.15)
    seat.wait(State.AVAILABLE)


def test_agent_hangs_up(hotline: Hotline, lines: SoftPhone, seats: Seats, tones: Path) -> None:
    seat, caller = seats.sign_in(seats.first), hotline.number()
    call = connected(hotline, lines, tones, caller)
    seat.rung().hang_up()
    assert call.wait("ended", 30), "after the goodbye the call ends"
    done = hotline.ended(caller)
    assert (done.outcome, done.ended_by) == (Outcome.TALKED, EndedBy.AGENT)
    assert hotline.event(caller, Kind.LEFT).data["because"] == "hung_up"
    assert call.report().ended_by == "them"


def test_caller_gives_up_waiting(hotline: Hotline, lines: SoftPhone, seats: Seats) -> None:
    seat, caller = seats.sign_in(seats.first, auto="ring"), hotline.number()
    call = hotline.dial(lines, caller)
    assert call.wait("answered", 20)
    call.keys("1")
    rung = seat.rung()
    hotline.event(caller, Kind.ASSIGNED)
    call.hang_up()
    assert rung.wait("ended", 10), "the agent's phone stops ringing"
    done = hotline.ended(caller)
    assert (done.outcome, done.ended_by) == (Outcome.ABANDONED_WAITING, EndedBy.CALLER)
    assert Kind.JOINED not in hotline.kinds(caller)
    assert not hotline.parts.recordings.of_call(done.call_id)
    assert seat.wait(State.AVAILABLE).reason is None


def test_caller_hangs_up_in_the_greeting(hotline: Hotline, lines: SoftPhone) -> None:
    caller = hotline.number()
    call = hotline.dial(lines, caller)
    assert call.wait("answered", 20)
    until(lambda: call.report().heard_seconds > 0.5, what="greeting heard")
    call.hang_up()
    done = hotline.ended(caller)
    assert (done.outcome, done.ended_by) == (Outcome.ABANDONED_IVR, EndedBy.CALLER)


def test_agent_does_not_answer(hotline: Hotline, lines: SoftPhone, seats: Seats, tones: Path) -> None:
    first, caller = seats.sign_in(seats.first, auto="ring"), hotline.number()
    call = hotline.dial(lines, caller, play=tones / "caller.wav", loop=True)
    assert call.wait("answered", 20)
    call.keys("1")
    rung = first.rung()
    second = seats.sign_in(seats.second)
    assert rung.wait("ended", 30), "it rings for a while only"
    assert call.wait_tone(AGENT_TONE, 30), "the next agent has the caller"
    assert first.wait(State.BREAK).reason == MISSED_CALL
    assert hotline.event(caller, Kind.DECLINED, agent_id=first.id).data["why"] == "no_answer"
    hotline.event(caller, Kind.JOINED, agent_id=second.id)
    call.hang_up()
    assert hotline.ended(caller).outcome == Outcome.TALKED


def test_agent_rejects(hotline: Hotline, lines: SoftPhone, seats: Seats, tones: Path) -> None:
    first, caller = seats.sign_in(seats.first, auto="reject"), hotline.number()
    call = hotline.dial(lines, caller, play=tones / "caller.wav", loop=True)
    assert call.wait("answered", 20)
    call.keys("1")
    first.rung()
    assert hotline.event(caller, Kind.DECLINED, agent_id=first.id).data["why"] == "rejected"
    second = seats.sign_in(seats.second)
    assert call.wait_tone(AGENT_TONE, 30), "the next agent has the caller"
    assert first.calls == 1
    assert first.row.state == State.AVAILABLE
    hotline.event(caller, Kind.JOINED, agent_id=second.id)
    call.hang_up()
    assert hotline.ended(caller).outcome == Outcome.TALKED


def test_agent_phone_vanishes_in_mid_call(hotline: Hotline, lines: SoftPhone, seats: Seats, tones: Path) -> None:
    caller = hotline.number()
    with SoftPhone(SEATS) as lonely:
        first = seats.sign_in(Seat(hotline, lonely, "903"))
        call = connected(hotline, lines, tones, caller)
        for process in lonely.processes:
            process.kill()
    heard = call.sound().size / audio.RATE
    second = seats.sign_in(seats.second)
    assert hotline.event(caller, Kind.LEFT, agent_id=first.id).data["because"] == "lost"
    hotline.event(caller, Kind.JOINED, agent_id=second.id)
    assert call.wait_tone(AGENT_TONE, 30, since=heard + 1), "the caller was kept and has the next agent"
    first.sign_out()
    call.hang_up()
    done = hotline.ended(caller)
    assert done.outcome == Outcome.TALKED
    assert len(hotline.recordings(done.call_id, 2)) == 2


def test_nobody_is_signed_in(hotline: Hotline, lines: SoftPhone, tones: Path) -> None:
    caller = hotline.number()
    call = hotline.dial(lines, caller, play=tones / "caller.wav", loop=True)
    assert call.wait("answered", 20)
    call.keys("1")
    hotline.event(caller, Kind.QUEUED)
    assert hotline.event(caller, Kind.UNQUEUED).data["why"] == "no_agents"
    hotline.event(caller, Kind.NODE, node="leave-message")
    until(lambda: any(hotline.settings.capture_dir.glob(f"{hotline.call(caller).call_id}*")), what="message begun")
    until(lambda: _captured(hotline, caller) > 2.0, what="two seconds of message")
    call.silence()
    call.keys("#")
    assert call.wait("ended", 60)
    done = hotline.ended(caller)
    assert (done.outcome, done.ended_by) == (Outcome.MESSAGE, EndedBy.FLOW)
    (recording,) = hotline.recordings(done.call_id)
    assert recording.kind == "message"
    assert recording.seconds > 1.5
    sound = audio.load(hotline.parts.recordings.path(recording))
    assert audio.tone_seconds(sound, CALLER_TONE) > 0.7 * recording.seconds


def _captured(hotline: Hotline, caller: str) -> float:
    """Seconds of a message written so far."""
    files = hotline.settings.capture_dir.glob(f"{hotline.call(caller).call_id}*")
    return max((audio.capture(path).size / audio.RATE for path in files), default=0.0)


@pytest.mark.parametrize(("keys", "language"), [("1", "zh"), ("2", "ug"), ("", "zh"), ("0", "zh")])
def test_language_and_the_way_to_a_person(
    hotline: Hotline, lines: SoftPhone, seats: Seats, tones: Path, keys: str, language: str
) -> None:
    seats.sign_in(seats.first)
    caller = hotline.number()
    call = connected(hotline, lines, tones, caller, keys)
    call.hang_up()
    done = hotline.ended(caller)
    assert (done.language, done.outcome) == (language, Outcome.TALKED)
    digits = [event.data["digit"] for event in hotline.events(caller) if event.kind == Kind.DIGIT]
    assert digits == list(keys)


@pytest.mark.parametrize("waiting", [False, True])
def test_nine_reaches_the_emergency_line(
    hotline: Hotline, lines: SoftPhone, seats: Seats, tones: Path, waiting: bool
) -> None:
    """From the greeting, and from the queue."""
    caller = hotline.number()
    call = hotline.dial(lines, caller, play=tones / "caller.wav", loop=True)
    assert call.wait("answered", 20)
    if waiting:
        seats.sign_in(seats.first, auto="ring")
        call.keys("1")
        hotline.event(caller, Kind.QUEUED)
    else:
        hotline.event(caller, Kind.NODE)
    call.keys("9")
    hotline.event(caller, Kind.EMERGENCY)
    until(lambda: any("emergency" in name for name in hotline.channels()), what="the simulator has the call")
    before = call.sound().size
    until(lambda: audio.heard(call.sound()[before:]).seconds > 1, what="the stand-in speaks")
    call.hang_up()
    done = hotline.ended(caller)
    assert (done.outcome, done.ended_by) == (Outcome.EMERGENCY, EndedBy.CALLER)


def test_a_withheld_number_is_served(hotline: Hotline, lines: SoftPhone, seats: Seats, tones: Path) -> None:
    seats.sign_in(seats.first)
    call = lines.call(
        hotline.settings.hotline_number, hotline.sip, save=lines.folder / "withheld.wav", play=tones / "caller.wav"
    )
    assert call.wait("answered", 20)
    call.keys("1")
    assert call.wait_tone(AGENT_TONE, 30)
    call.hang_up()
    done = hotline.ended("")
    assert done.outcome == Outcome.TALKED
