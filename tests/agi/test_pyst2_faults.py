"""Each known fault of pyst2 0.5.1: shown in plain pyst2 where that is cheap, and absent from our channel."""

from __future__ import annotations

import io
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asterisk import agi as pyst2

from agi.channel import Channel
from agi.errors import BadArgument, CommandRefused, Hangup, ProtocolError
from tests.fake_asterisk.raw import ENV, RawCall


class Plain(pyst2.AGI):  # type: ignore[misc]  # pyst2 has no types
    """Plain pyst2 on given answers, without its signal handler; what it would write is in ``written``."""

    def __init__(self, answers: str = "", env: str = "agi_channel: x\n\n") -> None:
        self.stdin: Any = io.StringIO(env + answers)
        self.stdout: Any = io.StringIO()
        self.stderr: Any = io.StringIO()
        self._got_sighup = False
        self.env: dict[str, str] = {}
        self._get_agi_env()

    @property
    def written(self) -> str:
        return str(self.stdout.getvalue())


def evaluated(call: RawCall, value: bytes) -> bytes:
    """The answer that carries a variable's value: Asterisk repeats our mark at its end."""
    return b"200 result=1 (" + value + call.channel._nonce.encode() + b")\n"


def in_thread(work: Callable[[], object]) -> BaseException | None:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as exc:
            caught.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    return caught[0] if caught else None


def test_works_outside_the_main_thread_and_installs_no_signal_handler() -> None:
    assert isinstance(in_thread(lambda: pyst2.AGI(io.StringIO("\n"), io.StringIO(), io.StringIO())), ValueError)
    before = signal.getsignal(signal.SIGHUP)
    with RawCall(b"200 result=0\n") as call:
        assert in_thread(call.channel.answer) is None
    assert signal.getsignal(signal.SIGHUP) is before


def test_writes_bytes_to_the_socket() -> None:
    plain = Plain("200 result=0\n")
    plain.stdout = io.BytesIO()
    with pytest.raises(TypeError):
        plain.answer()
    with RawCall(b"200 result=0\n") as call:
        call.channel.answer()
        assert call.sent() == b"ANSWER\n"


def test_the_callers_data_does_not_reach_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    plain = Plain("200 result=1\n")
    plain.set_variable("NAME", "secret")
    assert "secret" in plain.stderr.getvalue()
    with RawCall(b"200 result=1\n") as call:
        call.channel.set_variable("NAME", "secret")
    assert capfd.readouterr() == ("", "")


def test_end_of_the_socket_is_a_hang_up() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        Plain("").answer()
    with RawCall(end=True) as call, pytest.raises(Hangup) as caught:
        call.channel.answer()
    assert caught.value.how == "eof"


def test_a_hangup_line_before_the_answer_is_a_hang_up() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        Plain("HANGUP\n200 result=-1\n").answer()
    with RawCall(b"HANGUP\n200 result=-1 endpos=0\n") as call:
        with pytest.raises(Hangup):
            call.channel.stream_file("/x")
        assert call.channel.hung_up


def test_100_trying_is_passed_over() -> None:
    with pytest.raises(pyst2.AGIUnknownError):
        Plain("100 result=0 Trying...\n200 result=0\n").answer()
    with RawCall(b"100 result=0 Trying...\n200 result=0\n") as call:
        call.channel.answer()


def test_511_is_a_hang_up() -> None:
    with pytest.raises(pyst2.AGIUnknownError):
        Plain("511 Command Not Permitted on a dead channel\n").answer()
    with RawCall(b"511 Command Not Permitted on a dead channel or intercept routine\n") as call:
        with pytest.raises(Hangup) as caught:
            call.channel.answer()
        assert caught.value.how == "dead"
        assert call.channel.hung_up


def test_a_usage_text_cut_off_does_not_loop_for_ever() -> None:
    plain = Plain()

    class Ended(Exception):
        pass

    class Endless:
        count = 0

        def readline(self) -> str:
            self.count += 1
            if self.count > 1000:
                raise Ended  # pyst2 would go on until its memory is full
            return "520-Invalid command syntax.\n" if self.count == 1 else ""

    plain.stdin = Endless()
    with pytest.raises(Ended):
        plain.answer()
    cut_off = b"520-Invalid command syntax.  Proper usage follows:\nUsage"
    with RawCall(cut_off, end=True) as call, pytest.raises(Hangup):
        call.channel.answer()
    endless = b"520-Invalid command syntax.\n" + b"Usage\n" * 300
    with RawCall(endless) as call, pytest.raises(ProtocolError):
        call.channel.answer()


def test_a_usage_text_is_read_to_its_end() -> None:
    usage = b"520-Invalid command syntax.  Proper usage follows:\nUsage: ANSWER\n520 End of proper usage.\n"
    with RawCall(usage + b"200 result=6\n") as call:
        with pytest.raises(CommandRefused):
            call.channel.answer()
        assert call.channel.status() == 6


ATTACK = 'a"\nEXEC System "id'


def test_one_value_is_never_two_commands() -> None:
    plain = Plain("200 result=1\n")
    plain.set_variable("X", ATTACK)
    assert plain.written.splitlines()[1] == 'EXEC System "id"'
    with RawCall(b"200 result=1\n" * 20) as call:
        channel = call.channel
        attempts: list[Callable[[], object]] = [
            lambda: channel.set_variable("X", ATTACK),
            lambda: channel.stream_file(ATTACK),
            lambda: channel.stream_file("x", ATTACK),
            lambda: channel.get_data(ATTACK),
            lambda: channel.exec("NoOp", ATTACK),
            lambda: channel.record_file(ATTACK, max_seconds=1),
            lambda: channel.database_put(ATTACK, ATTACK, ATTACK),
            lambda: channel.database_get("a", ATTACK),
            lambda: channel.database_del("a", ATTACK),
            lambda: channel.set_callerid(ATTACK),  # not replaced by us: pyst2's own method on our wire
            lambda: channel.say_digits(ATTACK),
            lambda: channel.set_context(ATTACK),
            lambda: channel.send_text(ATTACK),
            lambda: channel.exec_command("NoOp", ATTACK),
            lambda: channel.appexec("NoOp", ATTACK),
        ]
        for attempt in attempts:
            with pytest.raises(BadArgument):
                attempt()
        assert call.sent() == b""
        channel.verbose(ATTACK)
        assert call.sent() == b'VERBOSE "a\\" EXEC System \\"id" "1"\n'


@pytest.mark.parametrize("name", ["X Y", "CURL(http://x)", 'X"', "", "9X", "X" * 81, "SHELL(id)", "${X}", "X\n"])
def test_only_names_of_variables_are_names_of_variables(name: str) -> None:
    with RawCall(b"200 result=1\n" * 4) as call:
        for attempt in (
            lambda: call.channel.set_variable(name, "1"),
            lambda: call.channel.get_variable(name),
            lambda: call.channel.get_full_variable(name),
        ):
            with pytest.raises(BadArgument):
                attempt()
        assert call.sent() == b""


@pytest.mark.parametrize("method", ["stream_file", "set_callerid"])
def test_arguments_are_quoted(method: str) -> None:
    plain = Plain("200 result=0\n")
    getattr(plain, method)("a b")
    assert '"a b"' not in plain.written
    with RawCall(b"200 result=0\n") as call:
        getattr(call.channel, method)("a b")
        assert b'"a b"' in call.sent()


def test_exec_command_is_quoted_and_its_arguments_stay_apart() -> None:
    plain = Plain("200 result=0\n")
    plain.exec_command("Dial", "PJSIP/a b,60", "30")
    assert plain.written == "EXEC Dial PJSIP/a b,60,30\n"
    with RawCall(b"200 result=0\n") as call:
        call.channel.exec_command("Dial", "PJSIP/a b,60", 30)
        assert call.sent() == rb'EXEC "Dial" "PJSIP/a b\\,60,30"' + b"\n"


def test_bytes_that_are_not_utf8_do_not_end_the_call() -> None:
    raw = b"agi_channel: x\nagi_calleridname: \xcd\xf5\xd0\xa1\xc3\xf7\n\n"  # 王小明 in GBK, as some trunks send it
    plain = Plain()
    plain.stdin = io.BytesIO(raw)
    with pytest.raises(UnicodeDecodeError):
        plain._get_agi_env()
    with RawCall(env=ENV[:-1] + b"agi_calleridname: \xcd\xf5\xd0\xa1\xc3\xf7\n\n") as call:
        name = call.channel.env["agi_calleridname"]
        name.encode("utf-8")
        call.answer(evaluated(call, b"\xff\xfe") + b"200 result=1\n")
        assert call.channel.get_variable("NAME") == "\ufffd\ufffd"
        call.channel.set_variable("NAME", "\udcff" + name)


@pytest.mark.parametrize(
    "value", ["one\ntwo", "a)\nb", "HANGUP\nx", "x)\n200 result=1 (false", "520-\n)", "王小明\n", ")"]
)
def test_a_value_of_several_lines_shifts_no_later_answer(value: str) -> None:
    plain = Plain(f"200 result=1 ({value}\nlast)\n200 result=1 (next)\n")
    plain.get_variable("A")
    with pytest.raises((pyst2.AGIError, ValueError, AssertionError)):
        assert plain.get_variable("B") == "next"
    with RawCall() as call:
        call.answer(evaluated(call, value.encode()) + evaluated(call, b"next"))
        assert call.channel.get_variable("A") == value
        assert call.channel.get_variable("B") == "next"
        assert not call.channel.hung_up
        # The mark that shows the value's end is sent along with the question.
        assert call.sent().count(call.channel._nonce.encode()) == 2


@pytest.mark.parametrize("value", ["a)\nb", "x)\nHANGUP\ny", "x)\nHANGUP", "a)\n200 result=0\n", ""])
def test_a_database_value_of_several_lines_shifts_no_later_answer(value: str) -> None:
    with RawCall() as call:
        call.answer(f"200 result=1 ({value})\n".encode() + evaluated(call, b"") + b"200 result=6\n")
        assert call.channel.database_get("f", "k") == value
        assert call.channel.status() == 6
    with RawCall() as call:
        call.answer(f"HANGUP\n200 result=1 ({value})\nHANGUP\n".encode() + evaluated(call, b""))
        assert call.channel.database_get("f", "k") == value
        assert call.channel.hung_up


def test_database_get_quotes_once() -> None:
    plain = Plain("200 result=1 (v)\n")
    plain.database_get("family", "key")
    assert '""family""' in plain.written
    with RawCall() as call:
        call.answer(b"200 result=1 (v)\n" + evaluated(call, b"") + b"200 result=0\n")
        assert call.channel.database_get("family", "key") == "v"
        assert call.channel.database_get("family", "other") is None
        assert call.sent().startswith(b'DATABASE GET "family" "key"\n')


def test_record_file_tells_how_it_ended() -> None:
    plain = Plain("200 result=0 (timeout) endpos=40000\n")
    assert plain.record_file("/x") == "\0"  # neither length nor cause
    with RawCall(b"200 result=35 (dtmf) endpos=40000\n") as call:
        result = call.channel.record_file("/x", max_seconds=60)
        assert (result.seconds, result.key, result.ended_by) == (5.0, "#", "key")


def test_fastagi_is_not_pyst2s() -> None:
    """pyst2's server module is Python 2 only and must not be imported; ours serves."""
    with pytest.raises(ModuleNotFoundError, match="SocketServer"):
        __import__("asterisk.fastagi")


def test_no_handle_stays_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with RawCall(b"200 result=0\n") as call:
            call.channel.answer()
            call.channel.wake()
            call.channel.wait(0.0, wakeable=True)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_peer_that_speaks_no_agi_is_told_apart() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ProtocolError):
            Channel(ours)
