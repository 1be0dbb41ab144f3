"""Settings, secrets, masking, signing, policies, the shape of the record."""

from __future__ import annotations

import stat
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import signing
from core.clock import ManualClock, local
from core.db import Database
from core.errors import SettingsError, Unauthorized, YihuError
from core.policy import Policies, declare
from core.privacy import mask_number, mask_text
from core.secrets import secret
from core.settings import load


def test_variables_win_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "yihu.toml").write_text('node = "ks1"\nweb_port = 8080\n')
    monkeypatch.setenv("YIHU_WEB_PORT", "9090")
    settings = load(home=tmp_path)
    assert (settings.node, settings.web_port, settings.home) == ("ks1", 9090, tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web_port = 99999", "web_port"),
        ('colour = "red"', "colour"),
        ("web_port = [", "not valid TOML"),
        ('emergency_mode = "live"', "production=true"),
        ("rtp_first = 30000\nrtp_last = 30001", "rtp_last"),
        ('node = "ks;1"', "node"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "yihu.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(home=tmp_path)
    assert expected in caught.value.detail
    assert caught.value.fix


def test_ports_shift_together(tmp_path: Path) -> None:
    settings = load(home=tmp_path, port_shift=1000)
    assert settings.port("web_port") == settings.web_port + 1000
    with pytest.raises(KeyError):
        settings.port("home")


def test_secrets_are_made_once_and_kept_private(tmp_path: Path) -> None:
    values: set[str] = set()
    threads = [threading.Thread(target=lambda: values.add(secret(tmp_path, "ami"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(values) == 1
    path = tmp_path / "secrets" / "ami"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["ami"]
    assert secret(tmp_path, "web") not in values
    with pytest.raises(KeyError):
        secret(tmp_path, "../ami")


@pytest.mark.parametrize(
    ("number", "masked"),
    [("15409980001", "154****0001"), ("09980120001", "099****0001"), ("12345", "12345"), ("110", "110"), ("", "")],
)
def test_numbers_are_masked(number: str, masked: str) -> None:
    assert mask_number(number) == masked


@given(st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True), st.text("abc ，。", max_size=5))
def test_no_mobile_number_survives_in_a_text(number: str, around: str) -> None:
    assert number not in mask_text(f"{around} {number} {around}")


def test_signatures(clock: ManualClock) -> None:
    body = b'{"a":1}'
    headers = signing.headers("key", clock.now(), body)
    stamp, signature = headers[signing.TIMESTAMP_HEADER], headers[signing.SIGNATURE_HEADER]
    signing.verify("key", clock.now(), stamp, signature, body)
    for secret_, moment, text, sig, content in [
        ("other", clock.now(), stamp, signature, body),
        ("key", clock.now(), stamp, signature, body + b" "),
        ("key", clock.now() + timedelta(minutes=6), stamp, signature, body),
        ("key", clock.now(), "yesterday", signature, body),
        ("key", clock.now(), stamp[:-6], signature, body),
        ("key", clock.now(), stamp, "v1=é", body),
    ]:
        with pytest.raises(Unauthorized):
            signing.verify(secret_, moment, text, sig, content)


PATIENCE = declare("test.patience", 5, "s", "耐心", "[D] for this test")


def test_policies_are_effective_dated(db: Database, clock: ManualClock) -> None:
    policies = Policies(db, clock)
    assert policies.number(PATIENCE) == 5
    later = clock.now() + timedelta(days=1)
    policies.set(PATIENCE, 9, basis="喀署办发", effective_from=later, set_by="user:1")
    assert policies.number(PATIENCE) == 5
    clock.advance(86_401)
    assert policies.number(PATIENCE) == 9
    with pytest.raises(ValueError, match="like 5"):
        policies.set(PATIENCE, "nine", basis="x", effective_from=later, set_by="user:1")
    with pytest.raises(ValueError, match="basis"):
        policies.set(PATIENCE, 1, basis=" ", effective_from=later, set_by="user:1")
    with pytest.raises(ValueError, match="twice"):
        declare("test.patience", 5, "s", "耐心", "[D]")


def test_beijing_time_is_shown(clock: ManualClock) -> None:
    assert local(clock.now()).hour == 12


def test_the_error_tree_is_drawn_in_full() -> None:
    import core.errors

    drawing = core.errors.__doc__ or ""
    for child in YihuError.__subclasses__():
        if child.__module__ == "core.errors":
            assert child.__name__ in drawing
