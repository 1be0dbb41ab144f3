"""The doctor: each check in itself, and the report. The whole on a running system is in tests/e2e."""

from __future__ import annotations

import json
import os
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy
from click.testing import CliRunner

from core.clock import SystemClock
from core.db import Database
from core.outbox import OutboxRow, put
from core.settings import Settings
from ivr_flows.prompts.catalogue import shipped
from yihu import doctor, migrate
from yihu import softphone_audio as audio
from yihu.checks import Check, Finding, Level, Wrong, data, host, pages, sound, telephony


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home where nothing runs, on ports where nothing listens."""
    for name in [name for name in os.environ if name.startswith("YIHU_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    return Settings(home=home, port_shift=31000)


# -- the runner ------------------------------------------------------------------------------------------------


def test_each_check_stands_alone(own: Settings) -> None:
    def fine(_: Settings) -> Finding:
        return Finding("good")

    def wrong(_: Settings) -> Finding:
        raise Wrong("bad", "mend it")

    def crash(_: Settings) -> Finding:
        raise ZeroDivisionError

    def hang(_: Settings) -> Finding:
        time.sleep(30)
        return Finding("never")

    results = doctor.examine(
        own,
        [
            Check("a", "甲", wrong),
            Check("b", "乙", fine, needs=("a",)),
            Check("c", "丙", crash),
            Check("d", "丁", hang, seconds=0.2),
            Check("e", "戊", fine, needs=("f",)),
            Check("f", "己", lambda _: Finding("so so", Level.WARNING, "look")),
            Check("g", "庚", fine, needs=("f",)),
        ],
    )
    assert {r.id: (r.level, r.ok) for r in results} == {
        "a": (Level.FAILURE, False),
        "b": (Level.SKIPPED, False),
        "c": (Level.FAILURE, False),
        "d": (Level.FAILURE, False),
        "e": (Level.OK, True),
        "f": (Level.WARNING, True),
        "g": (Level.OK, True),
    }
    assert all(result.fix for result in results if result.level is not Level.OK)
    assert "a" in results[1].detail
    assert "ZeroDivisionError" in results[2].detail


def test_every_check_has_its_own_id_and_needs_an_earlier_one() -> None:
    seen: set[str] = set()
    for check in doctor.CHECKS:
        assert check.id not in seen
        assert set(check.needs) <= seen
        seen.add(check.id)


def test_the_table_stands_in_columns_and_shows_the_fix() -> None:
    results = [
        doctor.Result("web", True, Level.OK, "网页", "DETAIL", "", 3),
        doctor.Result("phone", False, Level.FAILURE, "网页电话注册", "DETAIL", "FIX IT", 3),
    ]
    lines = doctor.table(results).splitlines()
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    columns = {doctor._width(line[: line.index("DETAIL")]) for line in plain if "DETAIL" in line}
    assert len(columns) == 1
    assert any("→ FIX IT" in line for line in plain)
    assert "1 项未通过" in plain[-1]


def test_wrong_settings_end_it_with_their_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIHU_HOME", str(tmp_path))
    monkeypatch.setenv("YIHU_SIP_PORT", "many")
    done = CliRunner().invoke(doctor.doctor, ["--json"])
    assert done.exit_code == 1
    (only,) = json.loads(done.stdout)
    assert only["id"] == "settings"
    assert "YIHU_SIP_PORT" in only["detail"]
    assert only["fix"]


def test_nothing_runs(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIHU_HOME", str(own.home))
    monkeypatch.setenv("YIHU_PORT_SHIFT", "31000")
    done = CliRunner().invoke(doctor.doctor, ["--json"])
    assert done.exit_code == 1
    found = {result["id"]: result for result in json.loads(done.stdout)}
    for name in ("database", "asterisk", "agi", "link", "worker", "prompts", "web"):
        assert found[name]["level"] == "failure", name
        assert "bin/yihu up" in found[name]["fix"], name
    assert found["phone"]["level"] == found["audio"]["level"] == found["outbox"]["level"] == "skipped"
    assert found["speech"]["level"] == "warning"
    assert found["clock"]["ok"]


# -- the machine ----------------------------------------------------------------------------------------------


def test_folders(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.folders(own).level in (Level.OK, Level.WARNING)
    with pytest.raises(Wrong, match="不存在"):
        host.folders(own.model_copy(update={"home": own.home / "none"}))
    monkeypatch.setattr(host, "LEAST_FREE", 2**80)
    with pytest.raises(Wrong, match="磁盘"):
        host.folders(own)


def test_a_folder_that_takes_no_file(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(host.tempfile, "TemporaryFile", refuse)
    with pytest.raises(Wrong, match="不能写入") as error:
        host.folders(own)
    assert "chown" in error.value.fix


def test_the_clock_does_not_lean_on_tz(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        told = host.clock(own).detail
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert (datetime.now(UTC) + timedelta(hours=8)).strftime("%F %H") in told


def test_a_clock_before_the_program_is_wrong(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    class Past(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime(2001, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(host, "datetime", Past)
    with pytest.raises(Wrong, match="时钟"):
        host.clock(own)


# -- database and outbox ----------------------------------------------------------------------------------------


def test_database(own: Settings) -> None:
    with pytest.raises(Wrong, match="尚未建立"):
        data.database(own)
    migrate.upgrade(own)
    assert data.database(own).level is Level.OK
    db = Database(own.db_url)
    with db.write() as session:
        session.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = 'old'"))
    db.close()
    with pytest.raises(Wrong, match="old") as error:
        data.database(own)
    assert "bin/yihu up" in error.value.fix


def test_a_database_that_is_none(own: Settings) -> None:
    (own.home / "yihu.db").write_bytes(b"no database at all, only words" * 100)
    with pytest.raises(Wrong, match="不应答"):
        data.database(own)


def test_outbox(own: Settings) -> None:
    migrate.upgrade(own)
    db, clock = Database(own.db_url), SystemClock()
    assert data.outbox(own).level is Level.OK
    with db.write() as session:
        put(session, clock, "call.ended", "n1-1.1", {})
    assert "1 条待投递" in data.outbox(own).detail
    assert data.outbox(own).level is Level.OK
    with db.write() as session:
        session.execute(sqlalchemy.update(OutboxRow).values(created_at=clock.now() - timedelta(hours=1)))
    assert data.outbox(own).level is Level.WARNING
    with db.write() as session:
        session.execute(sqlalchemy.update(OutboxRow).values(state="dead", last_error="HTTP 422"))
    with pytest.raises(Wrong, match="HTTP 422"):
        data.outbox(own)
    db.close()


# -- telephony and sound -----------------------------------------------------------------------------------------


def test_heartbeats(own: Settings) -> None:
    with pytest.raises(Wrong, match="从未运行"):
        telephony.link(own)
    own.run_dir.mkdir()
    beat = own.run_dir / "worker.beat"
    beat.touch()
    assert telephony.worker(own).level is Level.OK
    os.utime(beat, (time.time() - 60, time.time() - 60))
    with pytest.raises(Wrong, match="没有心跳"):
        telephony.worker(own)


def test_the_emergency_mode_cannot_be_overlooked(own: Settings) -> None:
    assert "模拟" in telephony.emergency(own).detail
    real = own.model_copy(update={"production": True})
    assert telephony.emergency(real).level is Level.WARNING
    assert "真实" in telephony.emergency(real.model_copy(update={"emergency_mode": "live"})).detail


def test_a_real_trunk_is_not_imitated(own: Settings) -> None:
    assert sound.call(own.model_copy(update={"trunk_address": "203.0.113.7"})).level is Level.WARNING


def test_nobody_answers_over_the_trunk(own: Settings) -> None:
    with pytest.raises(Wrong, match="SIP"):
        sound.call(own)
    with pytest.raises(Wrong, match="healthz"):
        pages.web(own)


def test_prompts(own: Settings) -> None:
    import soundfile

    with pytest.raises(Wrong, match="缺少"):
        sound.prompts(own)
    tone = audio.tone(440, 0.2)
    for language in ("zh", "ug"):
        folder = own.prompts_dir / language
        folder.mkdir(parents=True)
        for name in shipped().prompts:
            audio.save(folder / f"{name}.wav", tone)
            soundfile.write(folder / f"{name}.wav16", tone.repeat(2), 16000, format="WAV")
    with pytest.raises(Wrong, match="等待音乐"):
        sound.prompts(own)
    (own.home / "moh").mkdir()
    audio.save(own.home / "moh" / "a.wav", tone)
    assert sound.prompts(own).level is Level.OK
    audio.save(own.prompts_dir / "ug" / "greeting.wav", audio.tone(440, 0.2, level_db=-90))
    with pytest.raises(Wrong, match="无声"):
        sound.prompts(own)


def test_speech_model(own: Settings, tmp_path: Path) -> None:
    assert sound.speech(own).level is Level.WARNING
    with pytest.raises(Wrong, match="不存在"):
        sound.speech(own.model_copy(update={"speech_model": tmp_path / "none"}))
    (tmp_path / "model").mkdir()
    with pytest.raises(Wrong, match="不能装载"):
        sound.speech(own.model_copy(update={"speech_model": tmp_path / "model"}))
