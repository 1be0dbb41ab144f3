"""Real calls with real sound over the trunk: what the caller and the agent hear, and what is recorded.

Every sound is a tone of its own, so that who hears whom can be measured.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agi.ami import AmiClient
from agi.channel import Channel, Options
from agi.control import AmiCallControl
from agi.errors import AgiError, Hangup
from agi.phones import PLAIN
from agi.server import AgiServer
from routing.control import LeftBecause, RingResult, room_name
from tests.contracts.asterisk import GREETING_HERTZ, MUSIC_HERTZ, NET_HERTZ, RealAsterisk, tone
from tests.contracts.exchange import wait_until
from yihu import softphone_audio as audio
from yihu.softphone import PhoneCall, SoftPhone

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CALLER_HERTZ, AGENT_HERTZ = 1000.0, 700.0


class Hotline:
    """Real Asterisk, our AGI server with a session of the test's own, telephones."""

    def __init__(self, asterisk: RealAsterisk, ami: AmiClient, caller: SoftPhone, agent: SoftPhone, folder: Path):
        self.asterisk, self.ami, self.caller, self.agent, self.folder = asterisk, ami, caller, agent, folder
        self.control = AmiCallControl(ami, phone=PLAIN)
        self.channels: queue.SimpleQueue[Channel] = queue.SimpleQueue()
        self.session: Callable[[Channel], None] = lambda channel: None
        port = asterisk.settings.port("agi_port")
        self.server = AgiServer("127.0.0.1", port, {"/call": self._serve}, slack=5.0)
        self.server.start()

    def _serve(self, channel: Channel) -> None:
        self.channels.put(channel)
        self.session(channel)
        channel.set_variable("YIHU_DONE", 1)

    def dial(self, session: Callable[[Channel], None]) -> PhoneCall:
        self.session = session
        speech = self.folder / "caller.wav"
        tone(speech, 20, CALLER_HERTZ)
        host = f"127.0.0.1:{self.asterisk.settings.port('sip_port')}"
        heard = self.folder / "heard.wav"
        call = self.caller.call("12345", host, caller="15409980001", play=speech, loop=True, save=heard)
        assert call.wait("answered", 10)
        return call

    def sign_in(self, name: str = "agent1") -> None:
        speech = self.folder / "agent.wav"
        tone(speech, 20, AGENT_HERTZ)
        self.control.provision_phone(name, "pw")
        host = f"127.0.0.1:{self.asterisk.settings.port('sip_port')}"
        self.agent.register(name, "pw", host, play=str(speech), save_dir=str(self.folder))
        wait_until(lambda: name in self.control.presence().phones)

    def close(self) -> None:
        self.server.stop()
        self.control.close()


@pytest.fixture
def hotline(real_asterisk: RealAsterisk, real_ami: AmiClient, tmp_path: Path) -> Iterator[Hotline]:
    with SoftPhone("127.0.0.2") as caller, SoftPhone("127.0.0.1") as agent:
        hotline = Hotline(real_asterisk, real_ami, caller, agent, tmp_path)
        yield hotline
        hotline.close()


def hears(call: PhoneCall, hertz: float, seconds: float = 5.0) -> None:
    """The tone comes, from now on."""
    since = len(call.sound()) / audio.RATE
    assert call.wait_tone(hertz, seconds, lasting=0.5, since=since), f"{hertz} Hz is not heard"


def share(call: PhoneCall, hertz: float, seconds: float = 1.0) -> float:
    """Which part of the coming ``seconds`` the tone is the main sound."""
    time.sleep(0.3)  # what is on its way
    start = len(call.sound())
    time.sleep(seconds)
    return audio.tone_seconds(call.sound()[start:], hertz) / seconds


def test_prompt_keys_and_both_recorders(hotline: Hotline) -> None:
    results: queue.SimpleQueue[tuple[str, str, str, float]] = queue.SimpleQueue()
    capture = hotline.asterisk.capture

    def session(channel: Channel) -> None:
        channel.answer()
        channel.exec("MixMonitor", "", Options("S", r=capture("mix-in.wav"), t=capture("mix-out.wav")))
        first = channel.stream_file(hotline.asterisk.prompt("greeting"), "12")
        second = channel.wait_for_digit(5)
        channel.exec("StopMixMonitor")
        message = channel.record_file(capture("message"), max_seconds=20, beep=False, escape_digits="#")
        results.put((first, second, message.ended_by, message.seconds))

    call = hotline.dial(session)
    hears(call, GREETING_HERTZ)
    call.keys("1")
    time.sleep(1)
    call.keys("5")
    time.sleep(2)
    call.keys("#")
    first, second, ended, seconds = results.get(timeout=20)
    assert (first, second, ended) == ("1", "5", "key")
    assert call.wait("ended", 10)
    assert call.ended_by == "them"
    folder = hotline.asterisk.settings.capture_dir
    heard_in, heard_out = audio.load(folder / "mix-in.wav"), audio.load(folder / "mix-out.wav")
    assert abs(len(heard_in) - len(heard_out)) < 0.1 * audio.RATE
    assert audio.tone_seconds(heard_in, CALLER_HERTZ) > 1.0
    assert audio.tone_seconds(heard_in, GREETING_HERTZ) == 0
    assert audio.tone_seconds(heard_out, GREETING_HERTZ) > 0.4
    assert audio.tone_seconds(heard_out, CALLER_HERTZ) == 0
    message = audio.load(folder / "message.wav")
    assert abs(len(message) / audio.RATE - seconds) < 0.1
    assert audio.tone_seconds(message, CALLER_HERTZ) > 1.0


def test_a_talk_with_hold(hotline: Hotline) -> None:
    """The room: both hear each other; on hold the caller hears music and neither the other; then again both."""
    ended: queue.SimpleQueue[int] = queue.SimpleQueue()
    hotline.sign_in()

    def session(channel: Channel) -> None:
        channel.answer()
        channel.music(True)
        ring = hotline.control.ring("agent1", channel.call_id, channel.env["agi_callerid"], 10)
        while ring.wait(0) is None:
            channel.wait_for_digit(0.2)
        assert ring.wait(0) is RingResult.ANSWERED
        channel.music(False)
        ended.put(channel.exec("ConfBridge", room_name(channel.call_id), "yihu_room", "yihu_caller"))
        assert ring.left(2) is LeftBecause.HUNG_UP
        channel.stream_file(hotline.asterisk.prompt("greeting"))

    call = hotline.dial(session)
    channel = hotline.channels.get(timeout=5)
    call_id = channel.call_id
    assert hotline.agent.wait_for(lambda: bool(hotline.agent.incoming), 10)
    agent = hotline.agent.incoming[0]
    assert "15409980001" in agent.remote
    hears(call, AGENT_HERTZ)
    hears(agent, CALLER_HERTZ)
    for _ in range(2):
        hotline.control.hold(call_id, "agent1", True)
        hears(call, MUSIC_HERTZ)
        assert share(call, MUSIC_HERTZ) > 0.5
        assert share(agent, CALLER_HERTZ) == 0
        assert share(agent, MUSIC_HERTZ) == 0
        hotline.control.hold(call_id, "agent1", False)
        hears(call, AGENT_HERTZ)
        hears(agent, CALLER_HERTZ)
        assert share(call, AGENT_HERTZ) > 0.5
        assert share(call, MUSIC_HERTZ) == 0
    agent.hang_up()
    assert ended.get(timeout=5) == 0
    hears(call, GREETING_HERTZ)
    assert call.wait("ended", 10)
    wait_until(lambda: not hotline.control.presence().channels)


@pytest.mark.parametrize("command", ["stream_file", "wait_for_digit", "exec", "idle", "record_file"])
def test_a_session_that_dies_in_mid_command_leaves_the_caller_in_the_safety_net(hotline: Hotline, command: str) -> None:
    dead = threading.Event()

    def session(channel: Channel) -> None:
        channel.answer()
        try:
            match command:
                case "stream_file":
                    channel.stream_file(hotline.asterisk.prompt("quiet"))
                case "wait_for_digit":
                    channel.wait_for_digit(30)
                case "exec":
                    channel.exec("Wait", 30)
                case "idle":
                    channel.wait(30)
                case "record_file":
                    channel.record_file(hotline.asterisk.capture("died"), max_seconds=30, beep=False)
        except (Hangup, AgiError):
            dead.set()
            raise

    call = hotline.dial(session)
    channel = hotline.channels.get(timeout=5)
    time.sleep(1)
    channel.close()  # the socket, as when the process is killed
    assert dead.wait(5)
    # Asterisk notices at once in all commands that watch the socket; EXEC and RECORD FILE run to their own end.
    if command in ("exec", "record_file"):
        assert not call.wait_tone(NET_HERTZ, 2)
    else:
        hears(call, NET_HERTZ)
    assert not call.over
    call.hang_up()
    wait_until(lambda: not hotline.control.presence().channels, 40)


def test_no_server_at_all(hotline: Hotline) -> None:
    hotline.server.stop()
    call = hotline.dial(lambda channel: None)
    hears(call, NET_HERTZ)
    call.hang_up()


def test_a_full_house_goes_to_the_safety_net(hotline: Hotline) -> None:
    hotline.server.stop()
    port = hotline.asterisk.settings.port("agi_port")
    with AgiServer("127.0.0.1", port, {"/call": lambda channel: None}, max_sessions=0):
        call = hotline.dial(lambda channel: None)
        hears(call, NET_HERTZ)
        call.hang_up()
