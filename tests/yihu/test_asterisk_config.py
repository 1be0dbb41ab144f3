"""Asterisk's files: what is in them, and that no setting can write more into them than its value."""

from __future__ import annotations

import configparser
import os
import re
from pathlib import Path

import pytest

from core.errors import SettingsError
from core.settings import Settings, load
from yihu import asterisk_config
from yihu.asterisk_install import Asterisk
from yihu.asterisk_modules import REQUIRED


@pytest.fixture
def asterisk(tmp_path: Path) -> Asterisk:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "codec_opus_open_source.so").touch()
    return Asterisk(("/usr/sbin/asterisk",), "22.10.1", modules, tmp_path / "data", private=True)


def render(asterisk: Asterisk, home: Path, **values: object) -> dict[str, str]:
    return asterisk_config.render(load(home=home, **values), asterisk)


def contexts(text: str) -> dict[str, list[str]]:
    """Context → its lines, without comments."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if match := re.match(r"^\[([^]]+)]$", line):
            name = match[1]
            found[name] = []
        elif line.strip() and not line.lstrip().startswith(";"):
            found[name].append(line.strip())
    return found


def test_every_file_is_rendered(asterisk: Asterisk, home: Path) -> None:
    texts = render(asterisk, home)
    assert {"asterisk.conf", "extensions.conf", "pjsip.conf", "manager.conf", "modules.conf"} <= set(texts)
    for name, text in texts.items():
        assert "{{" not in text, name
        assert "{%" not in text, name


def test_ports_and_addresses_follow_the_settings(asterisk: Asterisk, home: Path) -> None:
    texts = render(asterisk, home, bind="192.0.2.10", port_shift=1000, trunk_address="198.51.100.0/24")
    assert "bind = 192.0.2.10:16060" in texts["pjsip.conf"]
    assert "media_address = 192.0.2.10" in texts["pjsip.conf"]
    assert "match = 198.51.100.0/24" in texts["pjsip.conf"]
    assert "type = aor" not in texts["pjsip.conf"], "a network is no address to dial"
    assert "bindaddr = 192.0.2.10\nbindport = 19088" in texts["http.conf"]
    assert "bindaddr = 127.0.0.1\nport = 16038" in texts["manager.conf"], "the manager never leaves this machine"
    assert "rtpstart = 21000\nrtpend = 21999" in texts["rtp.conf"]
    assert "agi://127.0.0.1:15573/call" in texts["extensions.conf"]


def test_all_addresses_and_ipv6(asterisk: Asterisk, home: Path) -> None:
    texts = render(asterisk, home, bind="0.0.0.0")
    assert "media_address" not in texts["pjsip.conf"]
    texts = render(asterisk, home, bind="::1", trunk_address="2001:db8::5")
    assert "bind = [::1]:15060" in texts["pjsip.conf"]
    assert "contact = sip:[2001:db8::5]" in texts["pjsip.conf"]


def test_only_what_is_used_is_loaded(asterisk: Asterisk, home: Path) -> None:
    text = render(asterisk, home)["modules.conf"]
    assert "autoload = no" in text
    assert [line for line in text.splitlines() if line.startswith("require")] == [f"require = {n}.so" for n in REQUIRED]
    assert re.findall(r"^load = (.+)$", text, re.MULTILINE) == ["codec_opus_open_source.so"]
    for dangerous in ("app_system", "func_shell", "res_pjsip_refer", "identifier_anonymous", "func_curl", "pbx_spool"):
        assert dangerous not in text


def test_a_phone_can_dial_the_echo_test_and_nothing_else(asterisk: Asterisk, home: Path) -> None:
    found = contexts(render(asterisk, home, production=True, emergency_mode="live")["extensions.conf"])
    assert [line for line in found["phones"] if line.startswith("exten")] == ["exten => *43,1,Answer()"]
    assert not any("include" in line for lines in found.values() for line in lines), "no context reaches another"


def test_only_the_emergency_context_dials_out_and_only_when_live(asterisk: Asterisk, home: Path) -> None:
    simulated = contexts(render(asterisk, home)["extensions.conf"])
    assert not any("Dial(" in line for lines in simulated.values() for line in lines)
    live = contexts(render(asterisk, home, production=True, emergency_mode="live")["extensions.conf"])
    dialling = {name for name, lines in live.items() if any("Dial(" in line for line in lines)}
    assert dialling == {"emergency"}
    dialled = [line for line in live["emergency"] if "Dial(" in line]
    assert [re.findall(r"PJSIP/(\d+)@trunk", line)[0] for line in dialled] == ["110", "119", "120", "122"]


def test_live_emergency_calls_need_an_address_to_dial(asterisk: Asterisk, home: Path) -> None:
    with pytest.raises(SettingsError, match="whole network"):
        render(asterisk, home, production=True, emergency_mode="live", trunk_address="198.51.100.0/24")


def test_the_safety_net_never_hangs_up(asterisk: Asterisk, home: Path) -> None:
    found = contexts(render(asterisk, home, safety_net_emergency="120")["extensions.conf"])
    assert not any("Hangup" in line for line in found["safety-net"])
    assert any("Goto(emergency,120,1)" in line for line in found["safety-net"])


@pytest.mark.parametrize(
    "value",
    [
        "/tmp/a;b",
        "/tmp/a\nb",
        "/tmp/a]b",
        "/tmp/${X}",
        "/tmp/a,b",
        "/tmp/a&b",
        "/tmp/a(b)",
        '/tmp/a"b',
        "/tmp/a\\b",
        "/tmp/a\r",
        "/tmp/a\x00b",
        "/tmp/a ",
        "/tmp/a|b",
        "/tmp/a>b",
    ],
)
def test_no_value_can_mean_more_than_itself(value: str) -> None:
    with pytest.raises(SettingsError):
        asterisk_config.safe(value)


@pytest.mark.parametrize("value", ["/home/张三/一呼", "/srv/my yihu-2.0_x", 5060, "fe80::1", "a=b%c~+@"])
def test_ordinary_values_pass(value: object) -> None:
    assert asterisk_config.safe(value) == str(value)


def test_a_home_with_a_semicolon_is_refused(asterisk: Asterisk, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="characters"):
        render(asterisk, tmp_path / "ho;me")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"bind": "localhost"}, "bind"),
        ({"trunk_address": "trunk.invalid"}, "trunk_address"),
        ({"trunk_address": "0.0.0.0/0"}, "half the world"),
        ({"trunk_address": "127.0.0.2\nmatch = 0.0.0.0/0"}, "trunk_address"),
    ],
)
def test_wrong_addresses_are_explained(asterisk: Asterisk, home: Path, values: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        render(asterisk, home, **values)


def test_strangers_cannot_become_the_trunk_or_a_guest(asterisk: Asterisk, home: Path) -> None:
    parser = configparser.ConfigParser(strict=False, inline_comment_prefixes=(";",), comment_prefixes=(";",))
    text = render(asterisk, home)["pjsip.conf"]
    # The one section of this name and type; sections of one name are told apart by their type.
    endpoint = next(part for part in text.split("[trunk]\n") if part.startswith("type = endpoint"))
    parser.read_string("[trunk]\n" + endpoint.split("\n[")[0])
    assert parser["trunk"]["identify_by"] == "ip"
    assert parser["trunk"]["allow_transfer"] == "no"
    assert "anonymous" not in text


def test_writing_is_private_complete_and_says_whether_anything_changed(asterisk: Asterisk, settings: Settings) -> None:
    assert asterisk_config.write(settings, asterisk)
    etc = settings.home / "asterisk" / "etc"
    assert (etc / "manager.conf").stat().st_mode & 0o777 == 0o640
    stale = etc / "old.conf"
    stale.touch()
    before = asterisk_config.fingerprint(settings)
    assert asterisk_config.write(settings, asterisk)
    assert not stale.exists()
    assert not asterisk_config.write(settings, asterisk)
    changed = settings.model_copy(update={"port_shift": 7})
    assert asterisk_config.write(changed, asterisk)
    assert asterisk_config.fingerprint(settings) != before
    for folder in asterisk_config.FOLDERS:
        assert os.path.isdir(settings.home / "asterisk" / folder)  # noqa: PTH112


def test_the_managers_login_cannot_run_the_console(asterisk: Asterisk, home: Path) -> None:
    text = render(asterisk, home)["manager.conf"]
    for line in re.findall(r"^(?:read|write) = (.+)$", text, re.MULTILINE):
        assert not {"command", "config", "all", "dialplan"} & set(line.split(","))
    assert "webenabled = no" in text


def test_a_home_too_deep_for_a_socket_is_explained(asterisk: Asterisk) -> None:
    with pytest.raises(SettingsError, match="10 bytes too long"):
        render(asterisk, Path("/tmp/" + "x" * (107 + 10 - len("/tmp//asterisk/run/asterisk.ctl"))))
