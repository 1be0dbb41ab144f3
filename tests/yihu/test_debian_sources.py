"""Mirrors and key rings: what is read from the machine, and what is said when something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import SettingsError
from core.settings import load
from yihu import debian_sources

DEBIAN = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
UBUNTU = {"ID": "ubuntu", "ID_LIKE": "debian", "VERSION_CODENAME": "noble", "UBUNTU_CODENAME": "noble"}
MINT = {"ID": "linuxmint", "ID_LIKE": "ubuntu debian", "VERSION_CODENAME": "wilma", "UBUNTU_CODENAME": "noble"}

ONE_LINE = """
# deb http://old.invalid/debian bookworm main
deb cdrom:[Debian]/ bookworm main
deb-src http://src.invalid/debian bookworm main
deb [arch=amd64 signed-by=/x.gpg] http://first.invalid/debian/ bookworm main contrib  # ours
deb http://security.invalid/debian-security bookworm-security main
"""
DEB822 = """
Types: deb deb-src
URIs: https://one.invalid/ubuntu
  https://two.invalid/ubuntu
# a comment
Suites: noble noble-updates
Components: main
  universe
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 aaaa: bbbb

Enabled: no
Types: deb
URIs: https://off.invalid/ubuntu
Suites: noble
Components: main
"""


def etc(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / "apt" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return tmp_path / "apt"


def test_one_line_sources(tmp_path: Path) -> None:
    assert debian_sources.machine_mirror("bookworm", etc(tmp_path, "sources.list", ONE_LINE)) == (
        "http://first.invalid/debian"
    )


def test_deb822_sources(tmp_path: Path) -> None:
    folder = etc(tmp_path, "sources.list.d/ubuntu.sources", DEB822)
    assert debian_sources.machine_mirror("noble", folder) == "https://one.invalid/ubuntu"
    assert [uri for uri, _, _ in debian_sources.entries(folder)] == [
        "https://one.invalid/ubuntu",
        "https://two.invalid/ubuntu",
    ]


def test_files_that_are_not_sources_are_left_alone(tmp_path: Path) -> None:
    etc(tmp_path, "sources.list.d/x.list.save", ONE_LINE)
    assert debian_sources.machine_mirror("bookworm", etc(tmp_path, "sources.list.d/x.bak", ONE_LINE)) == ""


@pytest.mark.parametrize(("release", "expected"), [(DEBIAN, "debian"), (UBUNTU, "ubuntu"), (MINT, "ubuntu"), ({}, "")])
def test_family(release: dict[str, str], expected: str) -> None:
    assert debian_sources.family(release) == expected


def test_os_release_is_read(tmp_path: Path) -> None:
    path = tmp_path / "os-release"
    path.write_text('ID=debian\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n\n# x\n')
    assert debian_sources.os_release(path)["PRETTY_NAME"] == "Debian GNU/Linux 13 (trixie)"
    assert debian_sources.os_release(tmp_path / "none") == {}


def test_a_missing_key_ring_names_its_package(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        debian_sources.keyring("ubuntu", tmp_path)
    assert "ubuntu-archive-keyring" in caught.value.fix
    (tmp_path / "ubuntu-archive-keyring.pgp").touch()
    assert debian_sources.keyring("ubuntu", tmp_path) == tmp_path / "ubuntu-archive-keyring.pgp"


@pytest.fixture
def _debian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian_sources, "os_release", lambda: DEBIAN)
    monkeypatch.setattr(debian_sources, "keyring", lambda kind: Path(f"/{kind}.gpg"))


@pytest.mark.usefixtures("_debian")
def test_debian_takes_the_suite_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian_sources, "machine_mirror", lambda codename: f"http://{codename}.invalid/debian")
    source = debian_sources.source(load(home=tmp_path))
    assert (source.uri, source.suite, source.components) == ("http://bookworm.invalid/debian", "forky", ("main",))
    assert debian_sources.source(load(home=tmp_path, debian_mirror="https://m.invalid/d/")).uri == "https://m.invalid/d"


@pytest.mark.usefixtures("_debian")
def test_ubuntu_takes_its_own_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian_sources, "os_release", lambda: UBUNTU)
    source = debian_sources.source(load(home=tmp_path, debian_mirror="http://u.invalid/ubuntu"))
    assert (source.family, source.suite, source.components) == ("ubuntu", "noble", ("main", "universe"))


@pytest.mark.usefixtures("_debian")
@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"debian_mirror": 'http://x"; evil'}, "debian_mirror"),
        ({"debian_mirror": "http://x\ndeb [trusted=yes] http://y"}, "debian_mirror"),
        ({"debian_suite": "forky main\ndeb http://evil"}, "debian_suite"),
    ],
)
def test_settings_cannot_write_apts_files(tmp_path: Path, values: dict[str, str], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        debian_sources.source(load(home=tmp_path, **{"debian_mirror": "http://x.invalid/debian", **values}))


@pytest.mark.usefixtures("_debian")
def test_no_mirror_and_no_debian_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian_sources, "machine_mirror", lambda codename: "")
    with pytest.raises(SettingsError, match="no mirror"):
        debian_sources.source(load(home=tmp_path))
    monkeypatch.setattr(debian_sources, "os_release", lambda: {"ID": "fedora", "PRETTY_NAME": "Fedora"})
    with pytest.raises(SettingsError, match="this is Fedora"):
        debian_sources.source(load(home=tmp_path))


def test_a_strange_processor_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian_sources.platform, "machine", lambda: "riscv64")
    with pytest.raises(SettingsError, match="riscv64"):
        debian_sources.machine()
    monkeypatch.setattr(debian_sources.platform, "machine", lambda: "aarch64")
    assert debian_sources.machine().loader == "ld-linux-aarch64.so.1"
