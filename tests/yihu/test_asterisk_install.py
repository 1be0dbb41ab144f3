"""Which Asterisk is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import SettingsError
from core.settings import load
from yihu import asterisk_install
from yihu.asterisk_modules import REQUIRED


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Asterisk 22.10.1+dfsg+~cs6.17.60671434-1\n", "22.10.1"),
        ("Asterisk 20.6.0~dfsg+~cs6.13.40431414-2build5", "20.6.0"),
        ("Asterisk certified/18.9-cert4", "18.9"),
        ("Asterisk certified-20.7-cert1", "20.7"),
        ("Asterisk GIT-master-abc", ""),
        ("bash: asterisk", ""),
    ],
)
def test_versions(text: str, version: str) -> None:
    assert asterisk_install.read_version(text) == version


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system with an Asterisk of the version in ``version``."""
    program = tmp_path / "bin" / "asterisk"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/version\n")
    program.chmod(0o755)
    modules, data = tmp_path / "lib/asterisk/modules", tmp_path / "share/asterisk"
    modules.mkdir(parents=True)
    (data / "documentation").mkdir(parents=True)
    for name in REQUIRED:
        (modules / f"{name}.so").touch()
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(asterisk_install, "module_folders", lambda: [tmp_path / "none", modules])
    monkeypatch.setattr(asterisk_install, "DATA_FOLDERS", (data,))
    (tmp_path / "version").write_text("Asterisk 20.6.0~dfsg\n")
    return tmp_path


def test_the_systems_asterisk_is_taken_when_it_can_serve(system: Path) -> None:
    found = asterisk_install.find(load(home=system / "home"))
    assert found is not None
    assert (found.version, found.major, found.private) == ("20.6.0", 20, False)
    assert found.modules == system / "lib/asterisk/modules"


@pytest.mark.parametrize("fault", ["old", "module", "broken"])
def test_else_the_private_one(system: Path, fault: str) -> None:
    if fault == "old":
        (system / "version").write_text("Asterisk 16.28.0~dfsg\n")
    elif fault == "module":
        (system / "lib/asterisk/modules/app_confbridge.so").unlink()
    else:
        (system / "version").write_text("cannot open shared object file\n")
    assert asterisk_install.find(load(home=system / "home")) is None
    with pytest.raises(SettingsError, match='asterisk = "system"'):
        asterisk_install.find(load(home=system / "home", asterisk="system"))


def test_private_means_private(system: Path) -> None:
    assert asterisk_install.find(load(home=system / "home", asterisk="private")) is None
