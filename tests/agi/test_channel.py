"""The channel's own behaviour: hang-ups, time-outs, answers, waking. Faults of pyst2 are in test_pyst2_faults."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agi.channel import Channel, Digits, RecordResult
from agi.errors import BadArgument, ChannelTimeout, CommandFailed, CommandRefused, Hangup, ProtocolError
from agi.wire import Options
from tests.fake_asterisk.raw import RawCall

SENT_WHEN_DEAD: list[Callable[[Channel], object]] = [
    lambda channel: channel.set_variable("X", 1),
    lambda channel: channel.get_variable("X"),
    lambda channel: channel.noop(),
    lambda channel: channel.verbose("x"),
    lambda channel: channel.database_put("a", "b", "c"),
    lambda channel: channel.exec("NoOp"),
]
NOT_SENT_WHEN_DEAD: list[Callable[[Channel], object]] = [
    lambda channel: channel.answer(),
    lambda channel: channel.stream_file("/x"),
    lambda channel: channel.stream_file("/x", wakeable=True),
    lambda channel: channel.wait_for_digit(1),
    lambda channel: channel.get_data("/x"),
    lambda channel: channel.record_file("/x", max_seconds=1),
    lambda channel: channel.music(True),
    lambda channel: channel.status(),
    lambda channel: channel.wait(0),
    lambda channel: channel.check(),
    lambda channel: channel.say_digits("12"),
]


def dead(call: RawCall) -> Channel:
    with pytest.raises(Hangup):
        call.channel.stream_file("/x")
    call.sent()
    return call.channel


@pytest.mark.parametrize("number", range(len(SENT_WHEN_DEAD)))
def test_what_still_works_after_the_hang_up(number: int) -> None:
    with RawCall(b"200 result=-1 endpos=0\nHANGUP\n511 no\n") as call:
        channel = dead(call)
        call.answer(b"200 result=1 (" + channel._nonce.encode() + b")\n" * 2)
        SENT_WHEN_DEAD[number](channel)
        assert call.sent().count(b"\n") == 1


@pytest.mark.parametrize("number", range(len(NOT_SENT_WHEN_DEAD)))
def test_what_is_not_even_sent_after_the_hang_up(number: int) -> None:
    with RawCall(b"200 result=-1 endpos=0\nHANGUP\n511 no\n") as call:
        channel = dead(call)
        with pytest.raises(Hangup):
            NOT_SENT_WHEN_DEAD[number](channel)
        assert call.sent() == b""
        channel.hangup()
        assert call.sent() == b""


def test_nothing_is_sent_after_the_end_of_the_socket() -> None:
    with RawCall(end=True) as call:
        for action in [*NOT_SENT_WHEN_DEAD, *SENT_WHEN_DEAD]:
            with pytest.raises(Hangup) as caught:
                action(call.channel)
            assert caught.value.how == "eof"
        assert not call.channel.usable


def test_minus_one_of_a_living_channel_is_a_failure_not_a_hang_up() -> None:
    with RawCall(b"200 result=-1 endpos=0\n200 result=6\n200 result=0\n") as call:
        with pytest.raises(CommandFailed):
            call.channel.stream_file("/no/such/file")
        call.channel.answer()
        assert not call.channel.hung_up


@pytest.mark.parametrize("after", [b"HANGUP\n511 no\n", b"511 no\n", b"200 result=-1\n"])
def test_minus_one_of_a_dead_channel_is_a_hang_up(after: bytes) -> None:
    with RawCall(b"200 result=-1 endpos=0\n" + after) as call:
        with pytest.raises(Hangup):
            call.channel.stream_file("/x")
        assert call.channel.hung_up


def test_a_hang_up_during_a_variable_does_not_spoil_it() -> None:
    with RawCall() as call:
        call.answer(b"HANGUP\n200 result=1 (v" + call.channel._nonce.encode() + b")\nHANGUP\n200 result=1\n")
        assert call.channel.get_variable("X") == "v"
        call.channel.set_variable("X", 1)
        assert call.channel.hung_up


def test_a_hang_up_during_an_application_is_one() -> None:
    with RawCall(b"HANGUP\n200 result=0\n") as call, pytest.raises(Hangup):
        call.channel.exec("ConfBridge", "room")


def test_a_hang_up_while_nobody_asks_is_noticed() -> None:
    with RawCall() as call:
        call.channel.check()
        call.answer(b"HANGUP\n")
        with pytest.raises(Hangup) as caught:
            call.channel.check()
        assert caught.value.how == "line"
    with RawCall() as call:
        threading.Timer(0.05, lambda: call.answer(b"HANGUP\n")).start()
        began = time.monotonic()
        with pytest.raises(Hangup):
            call.channel.wait(5)
        assert time.monotonic() - began < 3


def test_waiting_without_hang_up_lasts_its_time() -> None:
    with RawCall() as call:
        began = time.monotonic()
        call.channel.wait(0.1)
        assert 0.1 <= time.monotonic() - began < 2


def test_no_answer_in_time_makes_the_channel_unusable() -> None:
    with RawCall(slack=0.05) as call:
        with pytest.raises(ChannelTimeout):
            call.channel.wait_for_digit(0.05)
        call.answer(b"200 result=49\n200 result=0\n")  # late: it must not become the answer to the next command
        for action in [*NOT_SENT_WHEN_DEAD, *SENT_WHEN_DEAD]:
            with pytest.raises(ChannelTimeout):
                action(call.channel)
        assert not call.channel.usable


def test_a_commands_own_length_counts(tmp_path: Path) -> None:
    prompt = tmp_path / "prompt"
    prompt.with_suffix(".wav").write_bytes(b"\0" * 44 + b"\0\0" * 8000)  # one second
    with RawCall(slack=0.05) as call:
        threading.Timer(0.5, lambda: call.answer(b"200 result=0 endpos=8000\n")).start()
        call.channel.stream_file(str(prompt))
        began = time.monotonic()
        with pytest.raises(ChannelTimeout):
            call.channel.stream_file(str(prompt))
        assert 1 <= time.monotonic() - began < 3


def test_closing_from_another_thread_ends_the_command() -> None:
    with RawCall() as call:
        threading.Timer(0.05, call.channel.close).start()
        with pytest.raises(Hangup) as caught:
            call.channel.exec("ConfBridge", "room")
        assert caught.value.how == "ours"
        with pytest.raises(Hangup):
            call.channel.noop()


def _flood(call: RawCall) -> None:
    with contextlib.suppress(OSError):
        call.answer((b"z" * 60000 + b"\n") * 4)


def test_too_much_nonsense_ends_the_session() -> None:
    with RawCall(b"what?\n" * 500) as call, pytest.raises(ProtocolError):
        call.channel.answer()
    with RawCall(b"200 result=1 (" + b"x" * 60000 + b"\n" + b"y" * 60000) as call:
        # As much again as the socket can hold is written while the channel reads; it stops reading at its bound.
        flood = threading.Thread(target=_flood, args=(call,))
        flood.start()
        with pytest.raises(ProtocolError):
            call.channel.database_get("a", "b")
        call.channel.close()
        flood.join()
    with RawCall(b"999 what\n") as call, pytest.raises(ProtocolError):
        call.channel.answer()
    with RawCall(b"200 nothing\n") as call, pytest.raises(ProtocolError):
        call.channel.answer()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"200 result=1\n", Digits("1", "full")),
        (b"200 result=12\n", Digits("12", "full")),
        (b"200 result=\n", Digits("", "pound")),
        (b"200 result= (timeout)\n", Digits("", "timeout")),
        (b"200 result=1 (timeout)\n", Digits("1", "timeout")),
    ],
)
def test_collected_keys(answer: bytes, expected: Digits) -> None:
    most = max(1, len(expected.keys)) + (expected.ended_by == "timeout")
    with RawCall(b"200 result=0 endpos=8\n" + answer) as call:
        assert call.channel.get_data(["/a", "/b"], 2.5, most) == expected
        assert call.sent() == (f'STREAM FILE "/a" "0123456789*#ABCD" "0"\nGET DATA "/b" "2500" "{most}"\n'.encode())


@pytest.mark.parametrize(
    ("answers", "most", "expected"),
    [
        (b"49 endpos=8", 1, Digits("1", "full")),
        (b"35 endpos=8", 3, Digits("", "pound")),
        (b"49 endpos=8\n200 result=50\n200 result=35", 3, Digits("12", "pound")),
        (b"49 endpos=8\n200 result=0", 3, Digits("1", "timeout")),
    ],
)
def test_keys_collected_from_the_first_file_on(answers: bytes, most: int, expected: Digits) -> None:
    with RawCall(b"200 result=" + answers + b"\n") as call:
        assert call.channel.get_data(["/a", "/b"], 2.5, most) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"200 result=35 (dtmf) endpos=16000\n", RecordResult(2.0, "#", "key")),
        (b"200 result=0 (timeout) endpos=480000\n", RecordResult(60.0, "", "timeout")),
        (b"200 result=0 (timeout) endpos=24000\n", RecordResult(3.0, "", "silence")),
        (b"200 result=-1 (hangup) endpos=24000\nHANGUP\n", RecordResult(3.0, "", "hangup")),
        (b"HANGUP\n200 result=-1 (randomerror) endpos=0\n", RecordResult(0.0, "", "hangup")),
        (b"200 result=-1 (randomerror) endpos=0\n511 dead\n", RecordResult(0.0, "", "hangup")),
        (b"200 result=42 (randomerror) endpos=0\n", RecordResult(0.0, "*", "key")),
    ],
)
def test_recordings(answer: bytes, expected: RecordResult) -> None:
    with RawCall(answer) as call:
        result = call.channel.record_file("/m", max_seconds=60, silence_seconds=4, escape_digits="#*")
        assert result == expected
        assert call.sent().startswith(b'RECORD FILE "/m" "wav" "#*" "60000" "0" "beep" "s=4"\n')
        assert call.channel.hung_up == (expected.ended_by == "hangup")


def test_a_recording_without_tone_or_silence() -> None:
    with RawCall(b"200 result=0 (timeout) endpos=8000\n200 result=-1 (writefile)\n200 result=6\n") as call:
        assert call.channel.record_file("/m", max_seconds=60, beep=False).ended_by == "timeout"
        assert call.sent() == b'RECORD FILE "/m" "wav" "#" "60000" "0"\n'
        with pytest.raises(CommandFailed):
            call.channel.record_file("/no/where", max_seconds=60)


def test_applications() -> None:
    usage = b"200 result=1\n520-Invalid command syntax.  Proper usage follows:\nUsage\n520 End of proper usage.\n"
    with RawCall(b"200 result=0\n200 result=-2\n200 result=-1\n200 result=6\n") as call:
        assert call.channel.exec("ConfBridge", "call-1", Options("a")) == 0
        assert call.sent() == b'EXEC "ConfBridge" "call-1,a"\n'
        with pytest.raises(CommandFailed, match="no application"):
            call.channel.exec("Nothing")
        with pytest.raises(CommandFailed):
            call.channel.exec("Dial")
        call.answer(usage + b"200 result=1 (" + call.channel._nonce.encode() + b")\n200 result=6\n")
        assert call.channel.exec("Odd") == 1
        assert call.channel.status() == 6
        with pytest.raises(BadArgument):
            call.channel.exec("System) x")


def test_refused_commands_leave_the_channel_usable() -> None:
    with RawCall(b"510 Invalid or unknown command\n520 Invalid command syntax.\n200 result=0\n") as call:
        for _ in range(2):
            with pytest.raises(CommandRefused):
                call.channel.answer()
        call.channel.answer()


def test_reading_functions_is_strict() -> None:
    with RawCall() as call:
        call.answer(b"200 result=1 (Up" + call.channel._nonce.encode() + b")\n")
        assert call.channel.get_function("CHANNEL", "state") == "Up"
        assert call.sent().startswith(b'GET FULL VARIABLE "${CHANNEL(state)')
        for name, arg in (("SHELL x", "a"), ("CHANNEL", "a,b"), ("CHANNEL", "a)b"), ("CHANNEL", "${X}"), ("x", "a")):
            with pytest.raises(BadArgument):
                call.channel.get_function(name, arg)


def serve_interrupted(call: RawCall, first: bytes) -> threading.Thread:
    """Answer as res_agi does when a second command comes in while the first one runs."""

    def run() -> None:
        data = b""
        while data.count(b"\n") < 2:
            data += call.asterisk.recv(4096)
        call.answer(first + b"200 result=1 (" + call.channel._nonce.encode() + b")\n")

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (b"200 result=1\n", ""),  # interrupted
        (b"", ""),  # interrupted, as STREAM FILE is
        (b"200 result=53\n", "5"),  # the key was quicker
        (b"200 result=0\n", ""),  # the time was over at the same moment
    ],
)
def test_waking_a_waiting_channel(first: bytes, expected: str) -> None:
    with RawCall(b"") as call:
        thread = serve_interrupted(call, first)
        threading.Timer(0.05, call.channel.wake).start()
        began = time.monotonic()
        assert call.channel.wait_for_digit(30, wakeable=True) == expected
        assert time.monotonic() - began < 5
        thread.join()
        call.answer(b"200 result=6\n")
        assert call.channel.status() == 6  # no answer was left over


def test_waking_before_the_wait_ends_it_at_once_and_only_once() -> None:
    with RawCall(b"") as call:
        call.channel.wake()
        thread = serve_interrupted(call, b"200 result=1\n")
        assert call.channel.wait_for_digit(30, wakeable=True) == ""
        thread.join()
        call.answer(b"200 result=49\n")
        assert call.channel.wait_for_digit(30, wakeable=True) == "1"


def test_waking_does_not_disturb_others() -> None:
    with RawCall(b"200 result=0 endpos=1\n200 result=49\n") as call:
        call.channel.wake()
        assert call.channel.stream_file("/x", "1") == ""
        assert call.channel.wait_for_digit(1) == "1"
        call.channel.wait(0.0, wakeable=True)


def test_a_hang_up_while_woken() -> None:
    with RawCall() as call:
        thread = serve_interrupted(call, b"200 result=-1\nHANGUP\n")
        threading.Timer(0.05, call.channel.wake).start()
        with pytest.raises(Hangup):
            call.channel.wait_for_digit(30, wakeable=True)
        thread.join()
