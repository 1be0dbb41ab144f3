"""Starts Asterisk as an ordinary user: ``python -m yihu run asterisk`` becomes Asterisk itself (exec).

Asterisk never runs as root. Started by root, this process gives ``HOME/asterisk`` to the user ``settings.run_user``
and becomes that user for good before Asterisk is started: group list, group, user, no new privileges.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
import signal
from typing import NoReturn

from core.errors import Unavailable
from core.settings import Settings
from yihu.asterisk_config import base_dir, config_file
from yihu.asterisk_install import Asterisk, find
from yihu.run_user import account, hand_over

PR_SET_NO_NEW_PRIVS = 38
OPEN_FILES = 65536
UMASK = 0o027  # the group may read what Asterisk writes, others nothing


def command(settings: Settings, asterisk: Asterisk) -> list[str]:
    """Asterisk in the foreground with this home's configuration."""
    return [*asterisk.argv, "-C", str(config_file(settings)), "-f"]


def console_command(settings: Settings, asterisk: Asterisk, line: str) -> list[str]:
    """A command line that runs ``line`` on this home's running Asterisk and prints the answer."""
    return [*asterisk.argv, "-C", str(config_file(settings)), "-rx", line]


def _drop_to(user: pwd.struct_passwd) -> None:
    """Become ``user`` for good. Order matters: the user comes last, since only root may change groups."""
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    if os.getuid() == 0 or os.geteuid() == 0:
        raise Unavailable("still root after giving it up", fix="report this; Asterisk was not started")


def _no_new_privileges() -> None:
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def environment(user_home: str) -> dict[str, str]:
    """What Asterisk sees of the environment: no setting, no secret of ours."""
    kept = {key: os.environ[key] for key in ("LANG", "LC_ALL", "TZ") if key in os.environ}
    return {**kept, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": user_home}


def exec_asterisk(settings: Settings) -> NoReturn:
    """Replace this process by Asterisk. Raises SettingsError or Unavailable when it cannot be started."""
    asterisk = find(settings)
    if asterisk is None:
        raise Unavailable("Asterisk is not installed yet", fix="run `bin/yihu up`, which fetches it")
    if not config_file(settings).is_file():
        raise Unavailable("Asterisk is not configured yet", fix="run `bin/yihu up`, which does it")
    base = base_dir(settings)
    _raise_file_limit()
    if os.geteuid() == 0:
        user = account(settings.run_user)
        hand_over(settings, user)
        os.chdir(base)
        _drop_to(user)
    else:
        os.chdir(base)
    _no_new_privileges()
    os.umask(UMASK)
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # an ignored signal would stay ignored across exec
    argv = command(settings, asterisk)
    os.execve(argv[0], argv, environment(str(base)))  # noqa: S606 — no shell is what we want
