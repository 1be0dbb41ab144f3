"""Where a home is when nobody said so, and who may reach it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from core.errors import SettingsError
from core.settings import REPO, Settings
from yihu import homes, run_user


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A checkout in a folder that others cannot enter."""
    folder = tmp_path / "closed" / "checkout"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o700)
    return folder


@pytest.fixture
def open_(tmp_path: Path) -> Path:
    """A checkout that everybody can reach (pytest's own folder is closed; only what lies below counts here)."""
    folder = tmp_path / "open" / "checkout"
    folder.mkdir(parents=True)
    return folder


def test_an_ordinary_user_has_it_in_the_checkout(closed: Path) -> None:
    assert homes.default_home(closed, root=False) == closed / "var"


def test_root_moves_out_of_a_closed_checkout(closed: Path) -> None:
    home = homes.default_home(closed, root=True)
    assert home.parent == Path("/var/lib/yihu")
    assert home.name.startswith("checkout-")
    assert home == homes.default_home(closed, root=True), "each time the same"
    other = closed.parent / "b" / "checkout"
    other.mkdir(parents=True)
    assert homes.default_home(other, root=True) != home, "two checkouts of one name have two homes"


def test_root_stays_in_an_open_checkout(open_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homes, "open_to_all", lambda path: True)
    assert homes.default_home(open_, root=True) == open_ / "var"


def test_what_was_said_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YIHU_HOME", str(tmp_path / "mine"))
    assert homes.choose() == (tmp_path / "mine", "")


def test_moving_out_is_told(monkeypatch: pytest.MonkeyPatch, closed: Path) -> None:
    monkeypatch.delenv("YIHU_HOME", raising=False)
    monkeypatch.setattr(homes, "default_home", lambda: Path("/var/lib/yihu/x"))
    home, note = homes.choose()
    assert home == Path("/var/lib/yihu/x")
    assert str(home) in note
    assert "YIHU_HOME" in note
    monkeypatch.setattr(homes, "default_home", lambda: REPO / "var")
    assert homes.choose()[1] == ""


def test_open_to_all_looks_at_every_parent(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    outside = [path for path in (tmp_path, *tmp_path.parents) if not path.stat().st_mode & 0o001]
    assert run_user.open_to_all(folder) is not bool(outside)
    assert run_user.open_to_all(Path("/tmp"))
    assert run_user.open_to_all(Path("/tmp/yihu-not-there/deeper")), "what does not exist yet will be made"
    (tmp_path / "a").chmod(0o700)
    assert not run_user.open_to_all(folder / "c")


@pytest.mark.parametrize("name", ["root", "", "a b", "x;reboot", "-x", "A"])
def test_names_that_cannot_serve(name: str) -> None:
    with pytest.raises(SettingsError, match="run_user"):
        run_user.account(name)


def test_an_existing_user_is_taken() -> None:
    assert run_user.account("nobody") == pwd.getpwnam("nobody")


def test_a_missing_user_is_made_with_nothing_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """useradd is watched, not run: tests leave no accounts behind."""
    useradd = tmp_path / "useradd"
    useradd.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nexit 1\n')
    useradd.chmod(0o755)
    monkeypatch.setattr(run_user, "SBIN", str(tmp_path))
    with pytest.raises(SettingsError, match="cannot create the user yihu-test-none"):
        run_user.account("yihu-test-none")
    asked = (tmp_path / "asked").read_text()
    assert "--system" in asked
    assert "/usr/sbin/nologin" in asked


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, int]]:
    """What chown was asked to do; links themselves, never what they point at."""
    asked: dict[str, tuple[int, int]] = {}

    def chown(path: str | Path, uid: int, gid: int, *, follow_symlinks: bool = True) -> None:
        assert not follow_symlinks
        asked[str(path)] = (uid, gid)

    monkeypatch.setattr(os, "chown", chown)
    monkeypatch.setattr(run_user, "check_reach", lambda settings, user: None)
    return asked


def test_asterisk_gets_its_working_folders_and_nothing_else(
    settings: Settings, given: dict[str, tuple[int, int]]
) -> None:
    user = pwd.getpwnam("nobody")
    base = settings.home / "asterisk"
    for folder in ("etc", "lib", "log/cel-custom", "capture"):
        (base / folder).mkdir(parents=True)
    (base / "etc/manager.conf").touch()
    (base / "lib/astdb.sqlite3").touch()
    secret = settings.home / "secret"
    secret.touch()
    os.link(secret, base / "lib/second-name")
    (base / "lib/link").symlink_to("/etc")
    (settings.prompts_dir / "zh").mkdir(parents=True)
    prompt = settings.prompts_dir / "zh/greeting.wav"
    prompt.touch(0o600)
    prompt.chmod(0o600)
    run_user.hand_over(settings, user)
    nobody = (user.pw_uid, user.pw_gid)
    assert given[str(base)] == given[str(base / "etc")] == given[str(base / "etc/manager.conf")] == (0, user.pw_gid)
    for mine in ("lib", "lib/astdb.sqlite3", "log", "log/cel-custom", "capture"):
        assert given[str(base / mine)] == nobody, mine
    assert str(base / "lib/second-name") not in given, "a second name of a file may be a file of somebody else's"
    assert not any(path.startswith("/etc") for path in given)
    assert settings.home.stat().st_mode & 0o777 == 0o711
    assert prompt.stat().st_mode & 0o777 == 0o644
    assert (settings.prompts_dir / "zh").stat().st_mode & 0o777 == 0o755
