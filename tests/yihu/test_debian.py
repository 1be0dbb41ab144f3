"""Private copies: signatures, expiry, pins, interruption, special bits. Real apt-get on a small archive of ours."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from core.errors import Unavailable
from core.settings import Settings, load
from yihu import debian, debian_sources
from yihu.debian import Bundle, PrivateRoot

ARCHIVE = Path(__file__).parent / "archive"
HELLO = Bundle("hello", ("yihu-hello",))


class Told(list[str]):
    def __call__(self, line: str) -> None:
        self.append(line)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ARCHIVE, tmp_path / "archive"))


@pytest.fixture
def told() -> Told:
    return Told()


def settings_for(archive: Path, tmp_path: Path, suite: str = "good") -> Settings:
    return load(home=tmp_path / "home", debian_mirror=f"file:{archive}", debian_suite=suite)


@pytest.fixture(autouse=True)
def _own_keyring(monkeypatch: pytest.MonkeyPatch, archive: Path) -> None:
    """This machine trusts our archive, and its own apt settings (which may forgive expiry) do not count."""
    monkeypatch.setattr(debian_sources, "keyring", lambda kind: archive / "archive-keyring.gpg")
    monkeypatch.setattr(debian_sources, "family", lambda release: "debian")
    monkeypatch.setattr(debian, "_machine_acquire", list)


def test_a_copy_is_made_once_and_found_again(archive: Path, tmp_path: Path, told: Told) -> None:
    root = PrivateRoot(settings_for(archive, tmp_path), HELLO)
    assert root.manifest() is None
    manifest = root.ensure(told)
    assert manifest.versions == {"yihu-hello": "1.2-3"}
    assert manifest.megabytes == 0.0
    assert "ready" in told[-1]
    program = root.root / "usr/bin/yihu-hello"
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "hello\n"
    # Somebody else's eyes, nobody's special rights, no manuals.
    assert stat.S_IMODE(program.stat().st_mode) == 0o755
    assert stat.S_IMODE(root.root.stat().st_mode) & 0o055 == 0o055
    assert not (root.root / "usr/share/man").exists()
    assert (root.root / "usr/share/doc/yihu-hello/copyright").exists()
    shutil.rmtree(archive)  # no look at the archive is needed any more
    assert root.ensure(told) == manifest


def test_another_list_of_packages_makes_the_copy_anew(archive: Path, tmp_path: Path, told: Told) -> None:
    settings = settings_for(archive, tmp_path)
    PrivateRoot(settings, HELLO).ensure(told)
    assert PrivateRoot(settings, Bundle("hello", ("yihu-hello", "other"))).manifest() is None


def test_a_changed_index_is_refused(archive: Path, tmp_path: Path, told: Told) -> None:
    for index in archive.glob("dists/good/main/*/Packages"):
        index.write_text(index.read_text().replace("a package of the tests", "a package of thieves"))
    root = PrivateRoot(settings_for(archive, tmp_path), HELLO)
    with pytest.raises(Unavailable, match=r"apt-get update .* failed"):
        root.ensure(told)
    assert root.manifest() is None


def test_a_changed_package_is_refused(archive: Path, tmp_path: Path, told: Told) -> None:
    package = next((archive / "pool").glob("*.deb"))
    data = bytearray(package.read_bytes())
    data[-20] ^= 0xFF
    package.write_bytes(bytes(data))
    root = PrivateRoot(settings_for(archive, tmp_path), HELLO)
    with pytest.raises(Unavailable, match="downloading hello failed"):
        root.ensure(told)
    assert not root.folder.exists()


def test_another_key_is_refused_even_when_the_machine_allows_the_insecure(
    archive: Path, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    for release in archive.glob("dists/*/InRelease"):
        text = release.read_text()
        release.write_text(text.replace("Origin: Yihu tests", "Origin: somebody else"))
    lines = ['Acquire::AllowInsecureRepositories "true";', 'Acquire::http::Timeout "5";']
    monkeypatch.setattr(debian, "_machine_acquire", lambda: lines)
    with pytest.raises(Unavailable, match=r"apt-get update .* failed"):
        PrivateRoot(settings_for(archive, tmp_path), HELLO).ensure(told)


def test_an_expired_mirror_is_used_with_a_warning(archive: Path, tmp_path: Path, told: Told) -> None:
    manifest = PrivateRoot(settings_for(archive, tmp_path, "stale"), HELLO).ensure(told)
    assert manifest.suite == "stale"
    assert any(line.startswith("WARNING") and "out of date" in line for line in told)


def test_a_pin_refuses_other_versions(archive: Path, tmp_path: Path, told: Told) -> None:
    settings = settings_for(archive, tmp_path)
    pinned = Bundle("hello", ("yihu-hello",), (("yihu-hello", "2.*"),))
    with pytest.raises(Unavailable, match="cannot provide yihu-hello") as caught:
        PrivateRoot(settings, pinned).ensure(told)
    assert "debian_suite" in caught.value.fix
    PrivateRoot(settings, Bundle("hello", ("yihu-hello",), (("yihu-hello", "1.*"),))).ensure(told)


def test_an_interrupted_run_leaves_nothing_half_made(
    archive: Path, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = PrivateRoot(settings_for(archive, tmp_path), HELLO)
    unpack = debian._unpack

    def interrupted(file: Path, folder: Path) -> None:
        unpack(file, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(debian, "_unpack", interrupted)
    with pytest.raises(KeyboardInterrupt):
        root.ensure(told)
    assert root.manifest() is None
    assert not root.folder.exists()
    kept = list(root.settings.tools_dir.rglob("*.deb"))
    assert len(kept) == 1, "what was downloaded is kept for the next try"
    monkeypatch.setattr(debian, "_unpack", unpack)
    root.ensure(told)
    assert list(root.settings.tools_dir.rglob("*.deb")) == []
    assert not list(root.settings.tools_dir.glob(".hello*"))


def test_a_program_runs_through_the_copys_own_loader(tmp_path: Path) -> None:
    root = PrivateRoot(load(home=tmp_path), Bundle("x", ("x",)))
    machine = debian_sources.machine()
    libraries = root.root / "usr/lib" / machine.triplet
    (libraries / "pulseaudio").mkdir(parents=True)
    for path in (libraries / machine.loader, libraries / "pulseaudio/libdeep.so.1", root.root / "usr/sbin/prog"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    argv = root.argv("usr/sbin/prog")
    assert argv[0] == str(libraries / machine.loader)
    assert argv[argv.index("--library-path") + 1] == f"{libraries}:{libraries / 'pulseaudio'}"
    assert argv[-1] == str(root.root / "usr/sbin/prog")
    with pytest.raises(Unavailable, match="usr/sbin/other"):
        root.argv("usr/sbin/other")


def test_the_second_of_two_runs_waits(tmp_path: Path, told: Told) -> None:
    lock = tmp_path / "tools" / ".lock"
    with debian.locked(lock, told):
        probe = subprocess.run(["flock", "-n", str(lock), "true"], check=False)
        assert probe.returncode == 1
    assert subprocess.run(["flock", "-n", str(lock), "true"], check=False).returncode == 0
