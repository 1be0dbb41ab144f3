"""The FastAGI server: routes, refusals, silent clients, failing handlers, drain, and nothing left behind."""

from __future__ import annotations

import contextlib
import gc
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog

from agi.channel import Channel
from agi.errors import CommandFailed, Hangup
from agi.server import AgiServer, Handler, ping
from tests.fake_asterisk import FakeCaller


def serve(handler: Handler, **options: float) -> AgiServer:
    return AgiServer("127.0.0.1", 0, {"/call": handler}, **options)  # type: ignore[arg-type]


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.005)


def handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def simple(channel: Channel) -> None:
    channel.answer()
    channel.stream_file("/prompts/zh/greeting", "12")
    channel.set_variable("YIHU_DONE", 1)


@pytest.fixture
def logged() -> Iterator[list[dict[str, object]]]:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        yield lines  # type: ignore[misc]


def test_a_call_reaches_its_handler() -> None:
    with serve(simple) as server, FakeCaller(server.port) as caller:
        caller.join()
        assert caller.variables["YIHU_DONE"] == "1"
        assert caller.played == ["/prompts/zh/greeting"]


def test_ping_is_answered_without_a_session() -> None:
    with serve(simple) as server:
        assert ping("127.0.0.1", server.port)
        assert server.live == 0
    assert not ping("127.0.0.1", server.port, 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        assert not ping("127.0.0.1", mute.getsockname()[1], 0.1)


def test_an_unknown_path_goes_to_the_safety_net() -> None:
    with serve(simple) as server, FakeCaller(server.port, path="other") as caller:
        caller.join()
        assert caller.variables["YIHU_REFUSED"] == "no-such-path"
        assert "YIHU_DONE" not in caller.variables


def test_a_full_house_refuses_politely() -> None:
    leave = threading.Event()

    def stay(channel: Channel) -> None:
        leave.wait(10)
        simple(channel)

    with serve(stay, max_sessions=2) as server:
        callers = [FakeCaller(server.port, call_id=f"n1-1.{n}").start() for n in range(2)]
        wait_until(lambda: server.live == 2)
        with FakeCaller(server.port, call_id="n1-1.3") as third:
            third.join()
            assert third.variables["YIHU_REFUSED"] == "busy"
            assert third.commands == [["SET", "VARIABLE", "YIHU_REFUSED", "busy"]]
        assert ping("127.0.0.1", server.port)
        leave.set()
        for caller in callers:
            caller.join()
            assert caller.variables["YIHU_DONE"] == "1"
            caller.close()
        wait_until(lambda: server.live == 0)
        with FakeCaller(server.port) as later:
            later.join()
            assert later.variables["YIHU_DONE"] == "1"


def test_silent_clients_cost_no_thread_and_are_put_out() -> None:
    with serve(simple, env_seconds=0.3) as server:
        threads = threading.active_count()
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
        with FakeCaller(server.port) as caller:  # served at once, past all of them
            caller.join()
            assert caller.variables["YIHU_DONE"] == "1"
        wait_until(lambda: threading.active_count() <= threads)
        for sock in silent:
            sock.settimeout(5)
            assert sock.recv(1) == b""
            sock.close()


@pytest.mark.parametrize("data", [b"", b"\n\n", b"GET / HTTP/1.1\r\n\r\n", b"agi_x: " + b"y" * 70000, b"\xff\n\n"])
def test_strange_clients_are_put_out(data: bytes, logged: list[dict[str, object]]) -> None:
    with serve(simple, env_seconds=0.2) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.settimeout(5)
            try:
                sock.sendall(data)
                assert sock.recv(1) == b""
            except ConnectionError:
                pass
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(data)  # and gone at once
        assert ping("127.0.0.1", server.port)
        assert server.live == 0


def test_an_environment_may_come_in_pieces() -> None:
    with serve(simple) as server, socket.create_connection(("127.0.0.1", server.port)) as sock:
        for byte in b"agi_network: yes\nagi_network_script: ping\n\n":
            sock.sendall(bytes([byte]))
        sock.settimeout(5)
        assert sock.recv(64) == b'NOOP "pong"\n'


def test_a_failing_handler_is_logged_with_its_call_and_closed(logged: list[dict[str, object]]) -> None:
    def fail(channel: Channel) -> None:
        raise ZeroDivisionError

    with serve(fail) as server, FakeCaller(server.port, call_id="n1-1.7") as caller:
        caller.join()
        wait_until(lambda: server.live == 0)
    lines = [line for line in logged if line["event"] == "call session failed"]
    assert [line["call_id"] for line in lines] == ["n1-1.7"]


def test_a_handler_that_raises_past_exception_is_closed_too(logged: list[dict[str, object]]) -> None:
    class PastException(BaseException):
        pass

    def fail(channel: Channel) -> None:
        raise PastException

    with serve(fail) as server, FakeCaller(server.port) as caller:
        caller.join()
        wait_until(lambda: server.live == 0)
    assert [line["event"] for line in logged] == ["call session failed"]


def test_a_hang_up_is_no_failure(logged: list[dict[str, object]]) -> None:
    with serve(simple) as server, FakeCaller(server.port, on_play={"greeting": "hang-up"}) as caller:
        caller.join()
        wait_until(lambda: server.live == 0)
    assert logged == []


def test_log_fields_of_a_call_stay_in_it() -> None:
    seen: list[dict[str, object]] = []

    def look(channel: Channel) -> None:
        seen.append(dict(structlog.contextvars.get_contextvars()))

    with serve(look) as server:
        for call_id in ("n1-1.1", "n1-1.2"):
            with FakeCaller(server.port, call_id=call_id) as caller:
                caller.join()
    assert [fields.get("call_id") for fields in seen] == ["n1-1.1", "n1-1.2"]
    assert "call_id" not in structlog.contextvars.get_contextvars()


def test_drain_lets_calls_end_and_takes_no_new_ones() -> None:
    leave = threading.Event()

    def stay(channel: Channel) -> None:
        leave.wait(10)
        simple(channel)

    with serve(stay) as server, FakeCaller(server.port) as caller:
        wait_until(lambda: server.live == 1)
        assert not server.drain(0.05)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))
        threading.Timer(0.05, leave.set).start()
        assert server.drain(10)
        caller.join()
        assert caller.variables["YIHU_DONE"] == "1"


def test_drain_serves_who_was_let_in_before() -> None:
    """The kernel has taken these calls for us, but we have not accepted them yet: a reset would lose their flow."""
    with serve(simple) as server:
        accept = server._accept

        def late() -> None:
            if server._draining:
                accept()
            else:
                time.sleep(0.005)

        server._accept = late  # type: ignore[method-assign]
        with ThreadPoolExecutor(20) as pool:
            callers = list(pool.map(lambda n: FakeCaller(server.port, call_id=f"n1-1.{n}").start(), range(20)))
        assert server.drain(10)
        for caller in callers:
            caller.join()
            assert caller.variables["YIHU_DONE"] == "1"
            caller.close()


def test_the_lobby_survives_a_fault_of_its_own(logged: list[dict[str, object]]) -> None:
    with serve(simple) as server:
        hear = server._hear

        def fail_once(guest: object) -> None:
            server._hear = hear  # type: ignore[method-assign]
            raise ZeroDivisionError

        server._hear = fail_once  # type: ignore[method-assign]
        with FakeCaller(server.port) as caller:
            caller.join()
            assert caller.variables["YIHU_DONE"] == "1"
    assert [line["event"] for line in logged] == ["agi lobby failed; going on"]


def test_stop_ends_live_calls() -> None:
    ended: list[str] = []

    def stay(channel: Channel) -> None:
        try:
            channel.exec("ConfBridge", "room")
        except Hangup as exc:
            ended.append(exc.how)

    server = serve(stay)
    server.start()
    with FakeCaller(server.port) as caller:
        caller.wait_until(lambda caller: caller.room == "room")
        server.stop()
        assert ended == ["ours"]
        caller.leave_room()
        caller.join()
        assert "YIHU_DONE" not in caller.variables
    server.stop()


def test_several_processes_share_the_port() -> None:
    with serve(simple) as first:
        second = AgiServer("127.0.0.1", first.port, {"/call": simple})
        with second:
            for n in range(20):
                with FakeCaller(first.port, call_id=f"n1-1.{n}") as caller:
                    caller.join()
        assert ping("127.0.0.1", first.port)


def test_a_port_that_is_taken_is_an_error_at_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = AgiServer("127.0.0.1", other.getsockname()[1], {})
        with pytest.raises(OSError, match="in use"):
            server.start()
        server.stop()


def test_the_lobby_survives_running_out_of_handles(logged: list[dict[str, object]]) -> None:
    with serve(simple) as server:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        client = socket.socket()
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, hard))
        try:
            client.connect(("127.0.0.1", server.port))
            wait_until(lambda: any(line["event"] == "cannot accept" for line in logged))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        client.close()
        assert ping("127.0.0.1", server.port)


def test_500_calls_leave_nothing_behind() -> None:
    def session(channel: Channel) -> None:
        channel.answer()
        with contextlib.suppress(CommandFailed):
            channel.stream_file("/missing")
        channel.wake()
        channel.wait_for_digit(1, wakeable=True)
        if channel.call_id.endswith("0"):
            raise Hangup("line")
        channel.set_variable("YIHU_DONE", 1)

    def dial(n: int) -> None:
        with FakeCaller(server.port, call_id=f"n1-1.{n}", missing=("missing",)) as caller:
            caller.join()
            assert n % 10 == 0 or caller.variables["YIHU_DONE"] == "1"

    gc.collect()
    before, threads = handles(), threading.active_count()
    with serve(session) as server:
        with ThreadPoolExecutor(25) as pool:
            list(pool.map(dial, range(500)))
        wait_until(lambda: server.live == 0 and threading.active_count() == threads + 1)
    assert (handles(), threading.active_count()) == (before, threads)
