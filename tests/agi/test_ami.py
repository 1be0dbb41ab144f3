"""The manager link's life: log-in, booting, reconnecting, stopping, subscriptions. See also test_panoramisk_faults."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from agi.ami import AmiClient, AmiEvent
from core.errors import Unavailable
from tests.fake_asterisk import FakeAmi
from tests.fake_asterisk.switch import Action


def client(fake: FakeAmi, **options: float) -> AmiClient:
    return AmiClient("127.0.0.1", fake.port, "yihu", "secret", **options)


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.005)


def test_an_action_is_answered() -> None:
    with FakeAmi() as fake, client(fake) as ami:
        assert ami.wait_ready(5)
        assert ami.action("DBPut", Family="f", Key="k", Val='{"a":"王小明"}').success
        row = ami.action("DBGet", Family="f", Key="k")
        assert [event["Val"] for event in row.events] == ['{"a":"王小明"}']
        refused = ami.action("Nothing")
        assert not refused.success
        assert "unknown" in refused.message


def test_headers_may_be_numbers_truths_and_lists() -> None:
    with FakeAmi() as fake, client(fake) as ami:
        assert ami.wait_ready(5)
        ami.action("Originate", ChannelId="x", Priority=1, Async=True, Variable=["a=1", "b=2"], Timeout=1.5)
        (action,) = fake.sent("Originate")
        assert (action["Priority"], action["Async"], action["Timeout"]) == ("1", "true", "1.5")
        assert action.all("Variable") == ["a=1", "b=2"]


def test_without_a_link_everything_is_unavailable_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with AmiClient("127.0.0.1", port, "yihu", "secret") as ami:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="no link"):
            ami.action("Ping")
        ami.post("Ping")
        assert not ami.wait_ready(0.1)
        assert time.monotonic() - began < 2
    with pytest.raises(Unavailable):
        ami.action("Ping")


def test_it_connects_when_asterisk_comes_later() -> None:
    fake = FakeAmi()
    fake.stop()
    with client(fake) as ami:
        assert not ami.wait_ready(0.3)
        with FakeAmi(port=fake.port):
            assert ami.wait_ready(10)


def test_a_wrong_secret_is_said_once_and_tried_again() -> None:
    with FakeAmi(secret="other") as fake, structlog.testing.capture_logs() as lines, client(fake) as ami:
        fake.wait_for(lambda: len(fake.sent("Login")) >= 3)
        assert not ami.ready
        fake.secret = "secret"
        assert ami.wait_ready(10)
    warnings = [line for line in lines if line["log_level"] == "warning"]
    assert len(warnings) == 1
    assert "refuses the log-in" in warnings[0]["error"]


def test_asterisk_must_have_booted() -> None:
    with FakeAmi(booted=False) as fake, client(fake) as ami:
        fake.wait_for(lambda: fake.logins == 1)
        assert not ami.wait_ready(0.1)
        fake.boot()
        assert ami.wait_ready(5)


def test_a_refusing_port_is_tried_ever_more_slowly() -> None:
    with FakeAmi() as fake:
        fake.refuse = True
        with client(fake) as ami:
            assert not ami.wait_ready(1.2)  # after 0, 0.25, 0.75 s
            fake.refuse = False
            assert ami.wait_ready(10)


def test_stopping_fails_what_is_under_way_and_ends_every_thread() -> None:
    threads = threading.active_count()
    handles = len(list(Path("/proc/self/fd").iterdir()))
    with FakeAmi() as fake:

        def silence(action: Action) -> None:
            fake.silent = action["Action"] == "DBGet" or fake.silent

        fake.before = silence
        ami = client(fake)
        ami.start()
        ami.start()
        assert ami.wait_ready(5)
        ami.subscribe("Hangup", callback=lambda event: None)
        waiting = ami.subscribe("Hangup")
        failures: list[Unavailable] = []

        def ask() -> None:
            try:
                ami.action("DBGet", seconds=30)
            except Unavailable as exc:
                failures.append(exc)

        asking = threading.Thread(target=ask)
        asking.start()
        fake.wait_for(lambda: bool(fake.sent("DBGet")))
        ami.stop()
        asking.join(5)
        assert len(failures) == 1
        assert waiting.get(5) is None
        ami.stop()
        assert not ami.ready
    assert threading.active_count() == threads
    assert len(list(Path("/proc/self/fd").iterdir())) == handles


def test_it_can_be_started_again() -> None:
    with FakeAmi() as fake:
        ami = client(fake)
        for generation in (1, 2):
            with ami:
                assert ami.wait_ready(5)
                assert ami.generation == generation
                assert ami.action("Ping").success


def test_subscriptions_get_what_they_asked_for_in_order() -> None:
    with FakeAmi() as fake, client(fake) as ami:
        assert ami.wait_ready(5)
        with ami.subscribe("Confbridge*", "Hangup") as events, ami.subscribe("Hangup") as hangups:
            for number in range(20):
                fake.event("ConfbridgeJoin", Number=str(number))
                fake.event("Newexten")
            fake.event("Hangup")
            got = [events.get(5) for _ in range(21)]
            assert [event["Number"] for event in got if event is not None] == [*map(str, range(20)), ""]
            assert events.get(0.01) is None
            assert hangups.get(5) is not None
        fake.event("Hangup")
        assert ami.action("Ping").success
        assert hangups.get(0.01) is None


def test_a_slow_subscriber_loses_its_own_events_and_is_told() -> None:
    with FakeAmi() as fake, client(fake) as ami:
        assert ami.wait_ready(5)
        with ami.subscribe("Hangup", size=10) as slow, ami.subscribe("Hangup") as quick:
            for _ in range(30):
                fake.event("Hangup")
            for _ in range(30):
                assert quick.get(5) is not None
            assert (slow.overflowed, quick.overflowed) == (20, 0)


def test_a_callback_may_send_actions_and_close_itself() -> None:
    done = threading.Event()
    with FakeAmi() as fake, client(fake) as ami:
        assert ami.wait_ready(5)

        def callback(event: AmiEvent) -> None:
            if ami.action("Ping").success:
                ami.post("DBPut", Family="f", Key="k", Val="v")
                subscription.close()
                done.set()

        subscription = ami.subscribe("Hangup", callback=callback)
        fake.event("Hangup")
        assert done.wait(5)
        fake.wait_for(lambda: ("f", "k") in fake.switch.database)


def test_many_threads_at_once() -> None:
    with FakeAmi() as fake, client(fake) as ami:
        assert ami.wait_ready(5)
        wrong: list[int] = []

        def work(number: int) -> None:
            for step in range(20):
                ami.action("DBPut", Family=f"f{number}", Key="k", Val=step)
                row = ami.action("DBGet", Family=f"f{number}", Key="k")
                if row.events[0]["Val"] != str(step):
                    wrong.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert wrong == []
