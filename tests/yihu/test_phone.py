"""The test telephone and `bin/yihu call`: real SIP and real sound, telephone to telephone, on loopback."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from core.errors import Invalid, SettingsError, Unavailable
from core.settings import Settings
from yihu import phone as command
from yihu import softphone_audio as audio
from yihu.softphone import SoftPhone, listening

HIGH, LOW = 880.0, 440.0


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the person who runs the tests do not count."""
    for name in [name for name in os.environ if name.startswith("YIHU_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two tones; the high one at CD rate."""
    folder = tmp_path_factory.mktemp("sounds")
    audio.save(folder / "low.wav", audio.tone(LOW, 1.0))
    import soundfile

    soundfile.write(folder / "high.flac", audio.tone(HIGH, 1.0).repeat(6), 48000)
    return folder


@pytest.fixture
def answerer(sounds: Path, tmp_path: Path) -> Iterator[tuple[SoftPhone, str]]:
    """Somebody who answers at 127.0.0.1 and says the high tone again and again."""
    with SoftPhone("127.0.0.1") as phone:
        yield phone, phone.listen(play=str(sounds / "high.flac"), save_dir=str(tmp_path))


def settings_for(contact: str, home: Path) -> Settings:
    return Settings(home=home, sip_port=int(contact.rpartition(":")[2]), port_shift=0)


# -- input ----------------------------------------------------------------------------------------------------


def test_keys_are_planned_in_order() -> None:
    assert command.plan("1,w2,34, w0.5 ,#") == [("1", 0), ("w", 2), ("3", 0), ("4", 0), ("w", 0.5), ("#", 0)]
    assert command.plan("") == []


@pytest.mark.parametrize("keys", ["x", "1,w", "w-1", "1;2", "w1s"])
def test_wrong_keys_are_named(keys: str) -> None:
    with pytest.raises(Invalid, match="--keys"):
        command.plan(keys)


@pytest.mark.parametrize(
    ("trunk", "source"), [("127.0.0.2", "127.0.0.2"), ("127.0.0.0/29", "127.0.0.2"), ("127.0.1.0/24", "127.0.1.1")]
)
def test_the_call_comes_from_the_trunk_address(trunk: str, source: str, tmp_path: Path) -> None:
    assert command.trunk_of(Settings(home=tmp_path, trunk_address=trunk)).source == source


def test_a_real_trunk_cannot_be_imitated(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"203\.0\.113\.7"):
        command.trunk_of(Settings(home=tmp_path, trunk_address="203.0.113.7"))


def test_a_number_is_not_a_sip_header(answerer: tuple[SoftPhone, str], tmp_path: Path) -> None:
    for number, caller in (("12345\r\nX: y", ""), ("12345", "1>;evil"), ("sip:1@example.com", "")):
        with pytest.raises(Invalid):
            command.place_call(settings_for(answerer[1], tmp_path), number=number, caller=caller)


# -- measuring ---------------------------------------------------------------------------------------------------


def test_tones_are_told_apart_and_timed() -> None:
    sound = audio.tone(LOW, 1.0, silence_before=0.5)
    assert audio.tone_seconds(sound, LOW) == pytest.approx(1.0, abs=0.1)
    assert audio.tone_seconds(sound, HIGH) == audio.tone_seconds(sound, LOW * 1.1) == 0
    assert audio.onset(sound, LOW) == pytest.approx(0.5, abs=0.01)
    assert audio.onset(sound, HIGH) is None
    heard = audio.heard(sound)
    assert heard.seconds == pytest.approx(1.0, abs=0.04)
    assert heard.rms_db == pytest.approx(-15.0, abs=0.2)  # a sine of -12 dBFS peak
    assert audio.tone_level_db(sound[4000:], LOW) == pytest.approx(-15.0, abs=0.3)
    assert audio.heard(audio.NOTHING).seconds == 0


def test_noise_below_the_limit_is_silence() -> None:
    assert audio.heard(audio.tone(LOW, 1.0, level_db=-50)).seconds == 0


def test_a_file_that_is_no_sound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("no sound")
    with pytest.raises(Invalid, match=r"x\.wav"):
        audio.load(tmp_path / "x.wav")


# -- calls ---------------------------------------------------------------------------------------------------------


def test_a_call_carries_sound_and_keys_both_ways(answerer: tuple[SoftPhone, str], sounds: Path, tmp_path: Path) -> None:
    other, contact = answerer
    saved = tmp_path / "out.wav"
    report = command.place_call(
        settings_for(contact, tmp_path), keys="1,w0.2,#", say=sounds / "low.wav", seconds=2.5, save=saved
    )
    assert report.answered
    assert (report.sip_code, report.ended_by, report.keys_sent) == (200, "us", "1#")
    assert 2.4 <= report.seconds <= 4
    assert report.heard_seconds > 1.5
    assert audio.tone_seconds(audio.load(saved), HIGH) > 1.5
    (call,) = other.incoming
    assert call.wait("ended", 5)
    assert call.keys_heard == "1#"
    assert audio.tone_seconds(call.sound(), LOW) > 0.3  # less than 1 s: keys take its place
    assert command.TEST_CALLER in call.remote


def test_the_other_side_hangs_up(answerer: tuple[SoftPhone, str], tmp_path: Path) -> None:
    other, contact = answerer
    other.manner("line", talk_seconds=0.5)
    report = command.place_call(settings_for(contact, tmp_path), seconds=30)
    assert report.answered
    assert report.ended_by == "them"
    assert report.seconds < 10


def test_a_refused_call_is_not_answered(answerer: tuple[SoftPhone, str], tmp_path: Path) -> None:
    other, contact = answerer
    other.manner("line", auto="reject")
    report = command.place_call(settings_for(contact, tmp_path))
    assert not report.answered
    assert (report.sip_code, report.seconds, report.heard_seconds) == (603, 0, 0)
    assert "SIP 603" in command.describe(report)


def test_nothing_listens(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as error:
        command.place_call(Settings(home=tmp_path, sip_port=9, port_shift=0))
    assert "bin/yihu up" in error.value.fix
    assert not listening("127.0.0.1", 9, "127.0.0.2")
    with pytest.raises(Unavailable, match=r"192\.0\.2\.1"):
        listening("127.0.0.1", 9, "192.0.2.1")


def test_the_command_prints_json_and_sets_its_exit_code(
    answerer: tuple[SoftPhone, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, contact = answerer
    monkeypatch.setenv("YIHU_HOME", str(tmp_path))
    monkeypatch.setenv("YIHU_SIP_PORT", contact.rpartition(":")[2])
    monkeypatch.setenv("YIHU_PORT_SHIFT", "0")
    done = CliRunner().invoke(command.call, ["--seconds", "1", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["answered"] is True
    other.manner("line", auto="reject")
    assert CliRunner().invoke(command.call, []).exit_code == command.EXIT_NOT_ANSWERED
    assert CliRunner().invoke(command.call, ["--keys", "x"]).exit_code == 2


def test_many_calls_share_few_processes(sounds: Path, tmp_path: Path) -> None:
    with SoftPhone("127.0.0.1") as other, SoftPhone("127.0.0.2") as phone:
        contact = other.listen(play=str(sounds / "high.flac"), auto="ring")
        first = [phone.call("12345", contact, save=tmp_path / f"{n}.wav") for n in range(4)]
        assert not first[0].wait("answered", 0.2)
        other.wait_for(lambda: len(other.incoming) == 4, 5)
        for call in other.incoming:
            call.answer()
        assert all(call.wait_tone(HIGH, 10) for call in first)
        assert len({call.process.pid for call in first}) == 1
        # Told before the hang-ups, whose end the same process tells: new calls then meet the new manner.
        other.manner("line", auto="answer", after=0.0)
        for _ in range(3):  # room is given back
            for call in first:
                call.hang_up()
            assert all(call.wait("ended", 10) for call in first)
            other.wait_for(lambda: all(call.over for call in other.incoming), 10)
            first = [phone.call("12345", contact) for n in range(4)]
            assert all(call.wait("answered", 10) for call in first)
        assert len(phone.processes) == 1


def test_the_death_of_the_library_ends_its_calls_only(answerer: tuple[SoftPhone, str]) -> None:
    _, contact = answerer
    with SoftPhone("127.0.0.2") as phone:
        call = phone.call("12345", contact)
        assert call.wait("answered", 5)
        os.kill(call.process.pid, signal.SIGKILL)
        assert call.wait("ended", 5)
        assert call.report().reason == "telephone died"
        with pytest.raises(Unavailable):
            call.keys("1")
        assert phone.call("12345", contact).wait("answered", 5)  # by a new process


def test_a_telephone_without_an_address_says_so() -> None:
    with pytest.raises(Unavailable, match=r"192\.0\.2\.1"), SoftPhone("192.0.2.1"):
        pass
