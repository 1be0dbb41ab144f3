"""The wire beneath the channel: quoting, bounds, the environment, answers."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi.channel import Channel
from agi.errors import BadArgument, ChannelTimeout, Hangup, ProtocolError
from agi.wire import Options, app_arguments, command_line, parse_reply
from core.errors import YihuError
from tests.fake_asterisk.raw import ENV, RawCall
from tests.fake_asterisk.words import split_arguments, split_words

TEXT = st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=60)


@given(st.lists(TEXT, max_size=8))
def test_arguments_arrive_as_they_were(args: list[str]) -> None:
    line = command_line("SET VARIABLE", args)
    assert line.count(b"\n") == 1
    assert split_words(line.decode().rstrip("\n")) == ["SET", "VARIABLE", *args]


@given(st.lists(TEXT, min_size=1, max_size=6))
def test_an_applications_arguments_arrive_as_they_were(args: list[str]) -> None:
    data = app_arguments(args)
    assert split_arguments(split_words(command_line("EXEC", ["App", data]).decode()[:-1])[2]) == (args if data else [])


@given(st.binary(max_size=300))
def test_no_bytes_from_the_wire_break_more_than_this_call(data: bytes) -> None:
    with RawCall(data, end=True) as call:
        try:
            call.channel.get_variable("X")
            call.channel.stream_file("/x")
        except (Hangup, YihuError):
            pass


def test_options() -> None:
    assert Options("S", r="/a/in.wav", t="/a/out.wav") == "Sr(/a/in.wav)t(/a/out.wav)"
    assert app_arguments(["", Options("q", x="1")]) == ",qx(1)"
    for bad in ("a)b", "a,b", 'a"b', "a\\b", "a\nb", "(", "\0"):
        with pytest.raises(BadArgument):
            Options(r=bad)


def test_bounds_of_a_command() -> None:
    with RawCall(b"200 result=1\n") as call:
        with pytest.raises(BadArgument):
            call.channel.set_variable("X", "x" * 8200)
        with pytest.raises(BadArgument):
            command_line("X", ["1"] * 128)
        call.channel.set_variable("X", "x" * 8000)


def test_the_environment() -> None:
    env = (
        b"agi_network: yes\nagi_network_script: call?a=1\nagi_request: agi://127.0.0.1:1/call?a=1\n"
        b"agi_uniqueid: n1-1.1\nagi_callerid: unknown\nagi_arg_1: one\nagi_arg_2: \nagi_uniqueid: second\n\n"
    )
    with RawCall(env=env) as call:
        assert call.channel.path == "/call"
        assert call.channel.call_id == "n1-1.1"
        assert call.channel.env["agi_callerid"] == ""
        assert call.channel.args == ["one", ""]


@pytest.mark.parametrize(
    "env",
    [
        b"\n",
        b"agi_channel x\n\n",
        b"Agi-Request: x\n\n",
        b"agi_channel: x\n\n",
        b"agi_arg_1: x\n" * 300,
        b"agi_arg_1: " + b"x" * 70000,
    ],
)
def test_what_is_no_environment(env: bytes) -> None:
    with pytest.raises(ProtocolError), RawCall(env=env):
        pass


def test_an_environment_that_does_not_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"agi_network: yes\n")
        with pytest.raises(ChannelTimeout):
            Channel(ours, env_seconds=0.05)


def test_answers_are_understood() -> None:
    reply = parse_reply("200 result=35 (dtmf) endpos=8000")
    assert reply is not None
    assert (reply.result, reply.note, reply.endpos, reply.key) == ("35", "dtmf", 8000, "#")
    reply = parse_reply("200 result=1 (a) (b (c))")
    assert reply is not None
    assert reply.note == "a) (b (c)"
    for line in ("", "2", "hello", "²00 result=1", "200x"):
        assert parse_reply(line) is None


def test_the_environment_of_tests_is_one() -> None:
    with RawCall(env=ENV) as call:
        assert call.channel.path == "/call"
