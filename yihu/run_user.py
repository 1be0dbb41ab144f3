"""The ordinary user that Asterisk runs as when Yihu is started by root, and what that user may reach."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
import subprocess
from pathlib import Path

from core.errors import SettingsError
from core.settings import Settings
from yihu.asterisk_config import base_dir

USER_NAME = re.compile(r"^[a-z_][a-z0-9_-]{0,30}$")
SBIN = "/usr/sbin:/sbin:/usr/bin:/bin"


def account(name: str) -> pwd.struct_passwd:
    """The system user ``name``, created when missing (root only). Raises SettingsError if it cannot serve."""
    if not USER_NAME.match(name):
        raise SettingsError(f"run_user: {name!r} is no user name", fix="for instance: yihu")
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        _create(name)
        user = pwd.getpwnam(name)
    if user.pw_uid == 0:
        raise SettingsError("run_user must not be root", fix="name an ordinary user")
    return user


def _create(name: str) -> None:
    useradd = shutil.which("useradd", path=SBIN)
    if useradd is None:
        raise SettingsError(f"there is no user {name}, and no useradd to create it", fix=f"create the user {name}")
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    made = subprocess.run(
        [useradd, *options, "--shell", "/usr/sbin/nologin", name], capture_output=True, text=True, check=False
    )
    if made.returncode and made.returncode != 9:  # 9: somebody else has just made it
        raise SettingsError(
            f"cannot create the user {name}: {made.stderr.strip()}", fix=f"create it: useradd --system {name}"
        )


def open_to_all(path: Path) -> bool:
    """Can any user of the machine reach ``path``, or where it would be made?"""
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (existing, *existing.parents))


def can_read(user: pwd.struct_passwd, path: Path) -> bool:
    """Asked as that user, so that group rights and access lists count too (root only)."""
    test = shutil.which("test") or "/usr/bin/test"
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    done = subprocess.run(
        [test, "-r", str(path)], user=user.pw_uid, group=user.pw_gid, extra_groups=groups, cwd="/", check=False
    )
    return done.returncode == 0


def check_reach(settings: Settings, user: pwd.struct_passwd) -> None:
    """Raises SettingsError when Asterisk's user cannot reach the home or the tools."""
    for name, path in (("home", base_dir(settings) / "etc" / "asterisk.conf"), ("tools", settings.tools_dir)):
        if path.exists() and not can_read(user, path):
            folder = settings.home if name == "home" else settings.tools_dir
            raise SettingsError(
                f"Asterisk runs as the user {user.pw_name}, who cannot reach {folder}",
                fix=f"let others pass through its parent folders (chmod o+x), or set YIHU_{name.upper()} to a "
                f"folder like /var/lib/yihu/{name}",
            )


def hand_over(settings: Settings, user: pwd.struct_passwd) -> None:
    """Give Asterisk's working folders to ``user``, and let it read its configuration and the sounds.

    ``HOME/asterisk`` and ``etc`` in it stay root's, so that nothing root writes there can be turned elsewhere by a
    link; the rest of the home stays closed to ``user``.
    """
    settings.home.chmod(0o711)  # to pass through, not to look around
    base = base_dir(settings)
    etc = base / "etc"
    for path in (base, etc, *etc.iterdir()):
        os.chown(path, 0, user.pw_gid, follow_symlinks=False)
        path.chmod(0o750 if path.is_dir() else 0o640)
    for folder in (path for path in base.iterdir() if path.is_dir() and path != etc):
        _give(folder, user)
    for sounds in (settings.prompts_dir, settings.home / "moh"):
        make_readable(sounds)
    check_reach(settings, user)


def _give(top: Path, user: pwd.struct_passwd) -> None:
    for folder, names, files in os.walk(top):
        for path in (Path(folder), *(Path(folder, name) for name in (*names, *files))):
            seen = path.lstat()
            # A second name of a file could be a file of somebody else's.
            if seen.st_uid != user.pw_uid and (stat.S_ISDIR(seen.st_mode) or seen.st_nlink == 1):
                os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def make_readable(folder: Path) -> None:
    """Let everybody read what is in ``folder`` (sounds hold no secret)."""
    for parent, _, files in os.walk(folder):
        Path(parent).chmod(0o755)
        for name in files:
            path = Path(parent, name)
            if path.stat().st_mode & 0o044 != 0o044:
                path.chmod(0o644)
