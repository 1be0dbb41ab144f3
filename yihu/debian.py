"""Private copies of Debian packages, without root and without touching the system.

``apt-get`` works with state, cache and configuration of its own, checks the archive's signature as always, and only
downloads; ``dpkg-deb`` unpacks into a folder. Programs of the copy are started through the copy's own loader and
libraries, so they neither need nor see the system's. A copy is made in a temporary folder and renamed when whole:
an interrupted run leaves nothing half-made, and what was downloaded is kept for the next try.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from core.errors import Unavailable
from core.settings import Settings
from yihu import debian_sources

Progress = Callable[[str], None]

FORMAT = 2  # raise it when the layout of a copy changes: older copies are then made anew
EXCLUDED = (
    "./usr/share/man",
    "./usr/share/info",
    "./usr/share/locale",
    "./usr/share/lintian",
    "./usr/share/doc/*/*.gz",
)
EXPIRED = re.compile(r"Release file .* (is expired|has expired)|is not valid anymore", re.IGNORECASE)
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Bundle:
    """Packages that are fetched together into one copy. ``pins``: package names → version glob that alone is taken."""

    name: str
    packages: tuple[str, ...]
    pins: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Manifest:
    """What a finished copy consists of, kept beside it as ``manifest.json``."""

    format: int
    packages: tuple[str, ...]
    suite: str
    versions: dict[str, str]
    megabytes: float
    seconds: float


@contextlib.contextmanager
def readable_files() -> Iterator[None]:
    """Tools are read by Asterisk's user too, whatever the umask of whoever installs them."""
    old = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(old)


@contextlib.contextmanager
def locked(path: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock file ``path``; says so when somebody else has it, and waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"waiting for another run that is preparing {path.parent}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


class PrivateRoot:
    """One private copy: ``TOOLS/<bundle>/root`` and its manifest."""

    def __init__(self, settings: Settings, bundle: Bundle) -> None:
        self.settings, self.bundle = settings, bundle
        self.folder = settings.tools_dir / bundle.name
        self.root = self.folder / "root"

    # -- using a copy -------------------------------------------------------------------------------
    def manifest(self) -> Manifest | None:
        """The manifest of a whole copy made for the same packages, else None."""
        try:
            data = json.loads((self.folder / "manifest.json").read_text("utf-8"))
            manifest = Manifest(**{**data, "packages": tuple(data["packages"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None
        wanted = (FORMAT, self.bundle.packages)
        return manifest if (manifest.format, manifest.packages) == wanted else None

    def library_folders(self) -> list[Path]:
        triplet = debian_sources.machine().triplet
        return [self.root / part / triplet for part in ("usr/lib", "lib") if (self.root / part / triplet).is_dir()]

    def argv(self, program: str) -> list[str]:
        """The start of a command line that runs ``program`` (for instance ``usr/sbin/asterisk``) of the copy."""
        loader = debian_sources.machine().loader
        folders = self.library_folders()
        # Some packages keep libraries of their own one folder deeper (pulseaudio/libpulsecommon-….so).
        deeper = {file.parent for folder in folders for file in folder.glob("*/lib*.so*")}
        search = [*folders, *sorted(deeper)]
        path = next((folder / loader for folder in folders if (folder / loader).exists()), None)
        if path is None or not (self.root / program).exists():
            raise Unavailable(
                f"{program} is not in {self.root}", fix=f"remove {self.folder} and run `bin/yihu up` again"
            )
        # --inhibit-cache: never fall back on the system's libraries, whose versions differ.
        return [
            str(path),
            "--inhibit-cache",
            "--library-path",
            ":".join(str(folder) for folder in search),
            "--argv0",
            program.rsplit("/", 1)[-1],
            str(self.root / program),
        ]

    # -- making a copy ------------------------------------------------------------------------------
    def ensure(self, progress: Progress) -> Manifest:
        """Make the copy if it is not there. Raises SettingsError or Unavailable with the fix."""
        found = self.manifest()
        if found is not None:
            return found
        tools = self.settings.tools_dir
        with readable_files(), locked(tools / ".lock", progress):
            found = self.manifest()  # another run may have made it while we waited
            return found if found is not None else self._make(progress)

    def _make(self, progress: Progress) -> Manifest:
        started = time.monotonic()
        source = debian_sources.source(self.settings)
        work = self.settings.tools_dir / ".apt" / source.suite
        apt = _Apt(work, source, self.bundle, progress)
        progress(f"{self.bundle.name}: reading the package lists of {source.suite}")
        apt.update()
        files, megabytes = apt.download(self.bundle.packages)
        draft = self.settings.tools_dir / f".{self.bundle.name}.draft"
        _remove(draft)
        (draft / "root").mkdir(parents=True, mode=0o755)
        progress(f"{self.bundle.name}: unpacking {len(files)} packages")
        for file in files:
            _unpack(file, draft / "root")
        _drop_special_bits(draft / "root")
        manifest = Manifest(
            FORMAT,
            self.bundle.packages,
            source.suite,
            dict(sorted(_identity(file) for file in files)),
            round(megabytes, 1),
            round(time.monotonic() - started, 1),
        )
        (draft / "manifest.json").write_text(json.dumps(asdict(manifest), indent=1) + "\n", "utf-8")
        old = self.settings.tools_dir / f".{self.bundle.name}.old"
        _remove(old)
        if self.folder.exists():
            self.folder.rename(old)
        draft.rename(self.folder)
        _remove(old)
        for file in files:
            file.unlink()
        progress(f"{self.bundle.name}: ready, {manifest.megabytes} MB downloaded, {manifest.seconds} s")
        return manifest


class _Apt:
    """apt-get with state, cache and configuration of its own in ``work``."""

    def __init__(self, work: Path, source: debian_sources.Source, bundle: Bundle, progress: Progress) -> None:
        self.work, self.source, self.bundle, self.progress = work, source, bundle, progress
        self.archives = work / "cache" / "archives"
        self.config = work / "apt.conf"

    def _prepare(self, *, check_expiry: bool = True) -> None:
        for folder in ("state/lists/partial", "cache/archives/partial", "etc/parts", "etc/preferences.d", "log"):
            (self.work / folder).mkdir(parents=True, exist_ok=True)
        (self.work / "status").touch()
        source, arch = self.source, debian_sources.machine().architecture
        (self.work / "etc/sources.list").write_text(
            f"deb [arch={arch} signed-by={source.keyring}] {source.uri} {source.suite} {' '.join(source.components)}\n"
        )
        pins = [
            f"Package: {package}\nPin: version {version}\nPin-Priority: 1001\n\n"
            f"Package: {package}\nPin: version *\nPin-Priority: -1\n"
            for package, version in self.bundle.pins
        ]
        (self.work / "etc/preferences").write_text("\n".join(pins))
        lines = [line for line in _machine_acquire() if "Insecure" not in line and "Weak" not in line]
        lines += [
            f'Dir::State "{self.work / "state"}";',
            f'Dir::State::status "{self.work / "status"}";',
            f'Dir::Cache "{self.work / "cache"}";',
            'Dir::Cache::pkgcache "";',
            'Dir::Cache::srcpkgcache "";',
            f'Dir::Log "{self.work / "log"}";',
            f'Dir::Etc "{self.work / "etc"}";',
            f'Dir::Etc::sourcelist "{self.work / "etc/sources.list"}";',
            f'Dir::Etc::sourceparts "{self.work / "etc/parts"}";',
            f'Dir::Etc::preferences "{self.work / "etc/preferences"}";',
            f'Dir::Etc::preferencesparts "{self.work / "etc/preferences.d"}";',
            f'Dir::Etc::parts "{self.work / "etc/parts"}";',
            f'APT::Architecture "{arch}";',
            f'APT::Architectures {{ "{arch}"; }};',
            'APT::Install-Recommends "false";',
            'APT::Get::AllowUnauthenticated "false";',
            'APT::Update::Error-Mode "any";',
            # Everything in `work` is ours alone; apt's own user could not reach it.
            'APT::Sandbox::User "root";',
            'Acquire::AllowInsecureRepositories "false";',
            'Acquire::AllowWeakRepositories "false";',
            'Acquire::AllowDowngradeToInsecureRepositories "false";',
            'Acquire::Languages "none";',
            'Acquire::GzipIndexes "true";',
            'Acquire::PDiffs "false";',
            'Acquire::Retries "3";',
        ]
        if not check_expiry:
            lines.append('Acquire::Check-Valid-Until "false";')
        self.config.write_text("\n".join(lines) + "\n")

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # A machine's own hooks (APT::Update::Post-Invoke …) stay out: APT_CONFIG alone is read.
        env = {**os.environ, "APT_CONFIG": str(self.config), "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        return subprocess.run(["apt-get", "-q", "-y", *arguments], env=env, capture_output=True, text=True, check=False)

    def update(self) -> None:
        """Fetch the package lists. Raises Unavailable with apt's own words."""
        self._prepare()
        result = self._run("update")
        if result.returncode and EXPIRED.search(result.stderr):
            self.progress(
                f"WARNING: the package lists of {self.source.suite} on this mirror are out of date; "
                "their signature is still checked"
            )
            self._prepare(check_expiry=False)
            result = self._run("update")
        if result.returncode:
            raise Unavailable(
                f"apt-get update for {self.source.suite} failed: {_last_lines(result.stderr)}",
                fix="check the network and debian_mirror, debian_suite in the settings",
            )

    def download(self, packages: tuple[str, ...]) -> tuple[list[Path], float]:
        """Download ``packages`` and all they depend on; the files, and the megabytes they weigh."""
        # apt leaves out of the list what it has already: an empty cache makes it name everything.
        nothing = self.work / "cache" / "none" / "partial"
        nothing.mkdir(parents=True, exist_ok=True)
        listing = self._run("-o", f"Dir::Cache::archives={nothing.parent}", "--print-uris", "install", *packages)
        if listing.returncode:
            reason = _last_lines(listing.stderr or listing.stdout)
            raise Unavailable(
                f"{self.source.suite} cannot provide {' '.join(packages)}: {reason}",
                fix="set debian_suite to a suite that has them",
            )
        found = re.findall(r"^'[^']+' (\S+\.deb) (\d+) ", listing.stdout, re.MULTILINE)
        total = sum(int(size) for _, size in found) / 1e6
        stop = threading.Event()
        watcher = threading.Thread(target=self._report, args=(total, stop), daemon=True)
        watcher.start()
        try:
            result = self._run("--download-only", "install", *packages)
        finally:
            stop.set()
            watcher.join()
        files = [self.archives / name for name, _ in found]
        if result.returncode or not files or not all(file.is_file() for file in files):
            raise Unavailable(
                f"downloading {self.bundle.name} failed: {_last_lines(result.stderr)}", fix="run it again: it goes on"
            )
        return files, sum(file.stat().st_size for file in files) / 1e6

    def _report(self, total: float, stop: threading.Event) -> None:
        shown = -1.0
        while not stop.wait(POLL_SECONDS):
            got = sum(file.stat().st_size for file in _files(self.archives)) / 1e6
            if got - shown >= max(5.0, total / 10):
                shown = got
                self.progress(f"{self.bundle.name}: {got:.0f} of {total:.0f} MB")


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*.deb"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                yield path


def _machine_acquire() -> list[str]:
    """The machine's own ways to the network (proxy, certificates, time-outs), as lines of apt.conf."""
    result = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    kept = re.compile(
        r'^Acquire::(http|https|ftp|socks|Retries|Check-Valid-Until|Check-Date|ForceIPv4|ForceIPv6)\b.*";$'
    )
    return [line for line in result.stdout.splitlines() if kept.match(line)]


def _unpack(file: Path, root: Path) -> None:
    """Unpack one package; documentation and translations stay out (a third of the space)."""
    excluded = [f"--exclude={pattern}" for pattern in EXCLUDED]
    command = ["tar", "-x", "-C", str(root), "--no-same-owner", "--keep-directory-symlink", *excluded]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(file)], stdout=subprocess.PIPE) as reader:
        result = subprocess.run(command, stdin=reader.stdout, capture_output=True, text=True, check=False, umask=0o022)
    if reader.returncode or result.returncode:
        raise Unavailable(f"cannot unpack {file.name}: {_last_lines(result.stderr)}", fix="check the disk's free space")


def _drop_special_bits(root: Path) -> None:
    """No set-user-id program may lie about in a tools folder."""
    for folder, _, files in os.walk(root):
        for name in files:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                path.chmod(stat.S_IMODE(mode) & 0o755)


def _identity(file: Path) -> tuple[str, str]:
    shown = subprocess.run(
        ["dpkg-deb", "--field", str(file), "Package", "Version"], capture_output=True, text=True, check=True
    )
    fields = dict(line.split(": ", 1) for line in shown.stdout.splitlines())
    return fields["Package"], fields["Version"]


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)


def _last_lines(text: str, count: int = 4) -> str:
    return " / ".join(line.strip() for line in text.strip().splitlines()[-count:])
