"""Which distribution this machine is, and where its packages come from.

Nothing about a mirror is written into the code: the address is read from the machine's own apt sources, and the
setting ``debian_mirror`` overrides it.
"""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import SettingsError
from core.settings import Settings

# machine name → (Debian architecture, library folder, program loader)
MACHINES = {
    "x86_64": ("amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
    "aarch64": ("arm64", "aarch64-linux-gnu", "ld-linux-aarch64.so.1"),
}
KEYRINGS = {"debian": "debian-archive-keyring", "ubuntu": "ubuntu-archive-keyring"}
SUITE = re.compile(r"^[a-z][a-z0-9.-]{1,40}$")
URI = re.compile(r"^(https?|file|copy|mirror\+https?):[^\s\"';\\]+$")


@dataclass(frozen=True)
class Machine:
    """The processor as Debian names it."""

    architecture: str
    triplet: str
    loader: str


@dataclass(frozen=True)
class Source:
    """One line of an apt sources list: ``deb [signed-by=KEYRING] URI SUITE COMPONENTS``."""

    family: str
    uri: str
    suite: str
    components: tuple[str, ...]
    keyring: Path


def machine() -> Machine:
    """Raises SettingsError on a processor that no package is known for."""
    name = platform.machine()
    if name not in MACHINES:
        raise SettingsError(
            f"no private copies for this processor ({name}): only {', '.join(MACHINES)}",
            fix='install Asterisk 18 or newer on the system and set asterisk = "system"',
        )
    return Machine(*MACHINES[name])


def os_release(path: Path = Path("/etc/os-release")) -> dict[str, str]:
    """The machine's os-release file as a dict; empty where there is none."""
    if not path.is_file():
        return {}
    pairs = (line.split("=", 1) for line in path.read_text("utf-8").splitlines() if "=" in line)
    return {key.strip(): value.strip().strip("\"'") for key, value in pairs}


def family(release: dict[str, str]) -> str:
    """``debian``, ``ubuntu`` or empty: whose archive and key ring this machine trusts."""
    names = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    return next((name for name in ("ubuntu", "debian") if name in names), "")


def _one_line_entries(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    for line in text.splitlines():
        match = re.match(r"^\s*deb\s+(?:\[[^]]*\]\s*)?(\S+)\s+(\S+)\s+(.+?)\s*(?:#.*)?$", line)
        if match:
            yield match[1], [match[2]], match[3].split()


def _deb822_entries(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        last = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():  # a value goes on in the next line
                fields[last] = fields.get(last, "") + " " + line.strip()
            elif ":" in line:
                last, value = line.split(":", 1)
                last = last.strip().lower()
                fields[last] = value.strip()
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes") != "no":
            for uri in fields.get("uris", "").split():
                yield uri, fields.get("suites", "").split(), fields.get("components", "").split()


def entries(etc: Path = Path("/etc/apt")) -> Iterator[tuple[str, list[str], list[str]]]:
    """Every (URI, suites, components) in the machine's apt sources."""
    folder = etc / "sources.list.d"
    files = [etc / "sources.list", *(sorted(folder.iterdir()) if folder.is_dir() else [])]
    for path in files:
        if path.suffix == ".list" and path.is_file():
            yield from _one_line_entries(path.read_text("utf-8", "replace"))
        elif path.suffix == ".sources" and path.is_file():
            yield from _deb822_entries(path.read_text("utf-8", "replace"))


def machine_mirror(codename: str, etc: Path = Path("/etc/apt")) -> str:
    """The mirror that this machine's own release comes from; empty when none is found."""
    for uri, suites, components in entries(etc):
        if codename in suites and "main" in components and URI.match(uri):
            return uri.rstrip("/")
    return ""


def keyring(kind: str, folder: Path = Path("/usr/share/keyrings")) -> Path:
    """The archive's key ring. Raises SettingsError when it is not on the machine: no signature, no download."""
    for suffix in (".gpg", ".pgp"):
        path = folder / f"{KEYRINGS[kind]}{suffix}"
        if path.is_file():
            return path
    raise SettingsError(
        f"the key ring of the {kind} archive is missing ({folder / KEYRINGS[kind]}.gpg)",
        fix=f"as root: apt-get install {KEYRINGS[kind]}",
    )


def source(settings: Settings) -> Source:
    """Where private copies come from on this machine. Raises SettingsError saying what is missing."""
    release = os_release()
    kind = family(release)
    if not kind or shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SettingsError(
            f"private copies need Debian or Ubuntu with apt-get; this is {release.get('PRETTY_NAME', 'neither')}",
            fix='install Asterisk 18 or newer on the system and set asterisk = "system"',
        )
    codename = release.get("UBUNTU_CODENAME") or release.get("VERSION_CODENAME", "")
    # Ubuntu machines do not carry Debian's keys, and Ubuntu has an Asterisk of its own.
    suite = settings.debian_suite if kind == "debian" else codename
    uri = settings.debian_mirror or machine_mirror(codename)
    if not uri:
        raise SettingsError(
            f"no mirror for {codename or kind} in /etc/apt/sources.list*",
            fix="set debian_mirror to your mirror's address",
        )
    if not URI.match(uri):
        raise SettingsError(f"debian_mirror is no address of a mirror: {uri!r}", fix="set it to http(s)://…")
    if not SUITE.match(suite):
        raise SettingsError(f"debian_suite is no name of a suite: {suite!r}", fix="for instance: forky")
    components = ("main",) if kind == "debian" else ("main", "universe")
    # "file:" would leave the packages where they are; we want them in our own cache like all others.
    uri = re.sub("^file:", "copy:", uri.rstrip("/"))
    return Source(kind, uri, suite, components, keyring(kind))
