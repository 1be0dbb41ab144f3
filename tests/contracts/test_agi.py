"""What our channel rests on: each AGI command that we use, on the fake and on the real Asterisk."""

from __future__ import annotations

import re
import threading
import time
import wave

import pytest

from agi.channel import Channel, Digits, Options
from agi.errors import CommandFailed, Hangup
from core.records import CALL_ID_PATTERN
from tests.contracts.agi_world import FakeWorld, World
from tests.contracts.asterisk import MULTI

HOSTILE = ['a"b', "a\\b", "${UNIQUEID}", "a,b;c", "a)b(", "王小明 ئۇيغۇر", "", " x ", "%41", "'", "\t", "x" * 4000]


def test_the_environment(world: World) -> None:
    def session(channel: Channel) -> tuple[str, str, str, str, int]:
        env = channel.env
        return channel.path, channel.call_id, env["agi_callerid"], env["agi_extension"], channel.status()

    path, call_id, caller, dialled, status = world.call(session)
    assert (path, caller, dialled, status) == ("/call", "15409980001", "12345", 6)
    assert re.fullmatch(CALL_ID_PATTERN, call_id)


@pytest.mark.parametrize("value", HOSTILE)
def test_a_variable_comes_back_as_it_was(world: World, value: str) -> None:
    def session(channel: Channel) -> tuple[str, str, int]:
        channel.set_variable("CONTRACT", value)
        return channel.get_variable("CONTRACT"), channel.get_variable("NOT_SET"), channel.status()

    assert world.call(session) == (value, "", 6)


@pytest.mark.parametrize("value", [value for value in HOSTILE if value])
def test_a_database_value_comes_back_as_it_was(world: World, value: str) -> None:
    def session(channel: Channel) -> tuple[str | None, str | None, int]:
        channel.database_put("contract", "key", value)
        got = channel.database_get("contract", "key")
        channel.database_del("contract", "key")
        channel.database_del("contract", "key")
        return got, channel.database_get("contract", "key"), channel.status()

    assert world.call(session) == (value, None, 6)


def test_values_of_several_lines_shift_nothing(world: World) -> None:
    def session(channel: Channel) -> tuple[str, str | None, str, int]:
        function, value = channel.get_function("DB", "contract/multi"), channel.database_get("contract", "multi")
        return function, value, channel.get_variable("NOT_SET"), channel.status()

    assert world.call(session) == (MULTI, MULTI, "", 6)


def test_playing(world: World) -> None:
    def session(channel: Channel) -> tuple[str, str]:
        return channel.stream_file(world.prompt("short"), "1"), channel.play([world.prompt("short")] * 2, "")

    assert world.call(session) == ("", "")


def test_a_key_stops_playing_and_others_do_not(world: World) -> None:
    def session(channel: Channel) -> tuple[str, str]:
        return channel.stream_file(world.prompt("greeting"), "3*"), channel.stream_file(world.prompt("greeting"), "4")

    assert world.call(session, keys="w1w3w5w4") == ("3", "4")


def test_a_missing_file_is_a_failure_and_the_call_goes_on(world: World) -> None:
    def session(channel: Channel) -> int:
        with pytest.raises(CommandFailed):
            channel.stream_file(world.prompt("missing"))
        assert not channel.hung_up
        channel.stream_file(world.prompt("short"))
        return channel.status()

    assert world.call(session) == 6


@pytest.mark.parametrize("way", ["stream_file", "wait_for_digit", "get_data", "exec", "idle"])
def test_a_hang_up_is_noticed_and_what_is_left_works(world: World, way: str) -> None:
    if isinstance(world, FakeWorld):
        world.pace = 1.0 if way == "idle" else 0.0

    def work(channel: Channel) -> None:
        match way:
            case "stream_file":
                channel.play([world.prompt("greeting")] * 2)
            case "wait_for_digit":
                channel.wait_for_digit(20)
            case "get_data":
                channel.get_data(world.prompt("greeting"), 20)
            case "exec":
                channel.exec("Wait", 5)
                channel.stream_file(world.prompt("greeting"))
            case "idle":
                channel.wait(20)

    def session(channel: Channel) -> tuple[bool, str, int]:
        with pytest.raises(Hangup):
            work(channel)
        channel.set_variable("AFTER", "hang-up")
        channel.database_put("contract", "after", "1")
        with pytest.raises(Hangup):
            channel.stream_file(world.prompt("short"))
        channel.verbose("still here")
        channel.noop()
        return channel.hung_up, channel.get_variable("AFTER"), channel.exec("NoOp")

    began = time.monotonic()
    assert world.call(session, stay=0.5) == (True, "hang-up", 0)
    assert time.monotonic() - began < 10


def test_waiting_for_a_key(world: World) -> None:
    def session(channel: Channel) -> tuple[str, str, str]:
        return channel.wait_for_digit(5), channel.wait_for_digit(5), channel.wait_for_digit(0.2)

    assert world.call(session, keys="w1w#") == ("1", "#", "")


@pytest.mark.parametrize(
    ("keys", "most", "expected"),
    [
        ("w123", 3, Digits("123", "full")),
        ("w12#", 5, Digits("12", "pound")),
        ("w#", 5, Digits("", "pound")),
        ("w12", 5, Digits("12", "timeout")),
        ("", 5, Digits("", "timeout")),
        ("wwww7", 1, Digits("7", "full")),
        ("1w2#", 5, Digits("12", "pound")),
        ("1w2", 2, Digits("12", "full")),
    ],
)
def test_collecting_keys(world: World, keys: str, most: int, expected: Digits) -> None:
    prompts = [world.prompt("short"), world.prompt("short"), world.prompt("greeting")]
    assert world.call(lambda channel: channel.get_data(prompts, 1.0, most), keys=keys) == expected


def test_collecting_keys_after_a_missing_file(world: World) -> None:
    def session(channel: Channel) -> int:
        with pytest.raises(CommandFailed):
            channel.get_data(world.prompt("missing"), 1.0)
        return channel.status()

    assert world.call(session) == 6


@pytest.mark.parametrize(
    ("keys", "stay", "silence", "limit", "expected"),
    [
        ("w#", 30, 0, 20, "key"),
        ("", 30, 2, 20, "silence"),
        ("", 30, 0, 3, "timeout"),
        ("", 1, 0, 20, "hangup"),
    ],
)
def test_recording(world: World, keys: str, stay: float, silence: float, limit: float, expected: str) -> None:
    path = world.capture(f"message-{expected}")

    def session(channel: Channel) -> tuple[str, str, float]:
        result = channel.record_file(path, max_seconds=limit, silence_seconds=silence, beep=False, escape_digits="#")
        assert channel.hung_up == (expected == "hangup")
        return result.ended_by, result.key, result.seconds

    ended, key, seconds = world.call(session, keys=keys, stay=stay, say=True)
    assert (ended, key) == (expected, "#" if expected == "key" else "")
    with wave.open(path + ".wav") as file:
        length = file.getnframes() / file.getframerate()
    assert abs(length - seconds) < 0.3
    assert 1.5 < length < 4.5


def test_recording_to_nowhere(world: World) -> None:
    if isinstance(world, FakeWorld):
        return  # the fake writes files itself; that Asterisk says no is for the real one to show

    def session(channel: Channel) -> int:
        with pytest.raises(CommandFailed):
            channel.record_file("/no/such/folder/x", max_seconds=2, beep=False)
        return channel.status()

    assert world.call(session) == 6


def test_applications(world: World) -> None:
    def session(channel: Channel) -> tuple[int, int]:
        with pytest.raises(CommandFailed):
            channel.exec("NoSuchApplication")
        result = channel.exec("NoOp", 'a,b"c\\d')
        channel.exec("MixMonitor", "", Options("S", r=world.capture("in.wav"), t=world.capture("out.wav")))
        channel.stream_file(world.prompt("short"))
        channel.exec("StopMixMonitor")
        return result, channel.status()

    assert world.call(session) == (0, 6)


def test_music(world: World) -> None:
    def session(channel: Channel) -> tuple[str, str, int]:
        channel.music(True)
        key = channel.wait_for_digit(5)
        channel.music(False)
        return key, channel.stream_file(world.prompt("short"), "1"), channel.status()

    assert world.call(session, keys="w1") == ("1", "", 6)


@pytest.mark.parametrize("command", ["wait", "play", "sleep"])
def test_waking(world: World, command: str) -> None:
    if isinstance(world, FakeWorld):
        world.pace = 1.0

    def session(channel: Channel) -> tuple[str, float, int, str]:
        for _ in range(3):  # nothing may be left over for the next command
            waker = threading.Timer(0.2, channel.wake)
            waker.start()
            began = time.monotonic()
            key = ""
            if command == "wait":
                key = channel.wait_for_digit(20, wakeable=True)
            elif command == "play":
                key = channel.stream_file(world.prompt("greeting"), "1", wakeable=True)
            else:
                channel.wait(20, wakeable=True)
            took = time.monotonic() - began
            waker.join()
        return key, took, channel.status(), channel.wait_for_digit(5)

    key, took, status, later = world.call(session, keys="wwwww8")
    assert (key, status, later) == ("", 6, "8")
    assert took < 1.5


def test_waking_does_not_swallow_a_key(world: World) -> None:
    if isinstance(world, FakeWorld):
        world.pace = 1.0

    def session(channel: Channel) -> str:
        waker = threading.Timer(3, channel.wake)
        waker.start()
        key = channel.wait_for_digit(20, wakeable=True)
        waker.cancel()
        waker.join()
        return key

    assert world.call(session, keys="w5") == "5"


def test_hanging_up(world: World) -> None:
    def session(channel: Channel) -> bool:
        channel.hangup()
        channel.hangup()
        with pytest.raises(Hangup):
            channel.stream_file(world.prompt("short"))
        return channel.hung_up

    assert world.call(session)
