"""A PostgreSQL server of the tests' own: real binaries, a throw-away cluster, a socket in its own folder."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy


def binaries() -> Path:
    """Folder with initdb and pg_ctl; raises RuntimeError that says how to get them."""
    given = os.environ.get("YIHU_TEST_PG_BIN")
    folders = [Path(given)] if given else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists():
            return folder
    raise RuntimeError("no PostgreSQL server binaries: run `bin/yihu test`, which installs them")


def _as_ordinary_user() -> dict[str, object]:
    """PostgreSQL refuses root, so root drops to nobody."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@contextmanager
def cluster() -> Iterator[str]:
    """Start a server; gives the URL of its maintenance database, and stops it in the end."""
    bin_dir = binaries()
    drop = _as_ordinary_user()
    root = Path(tempfile.mkdtemp(prefix="yihu-pg-", dir="/tmp"))
    if drop:
        os.chown(root, int(str(drop["user"])), int(str(drop["group"])))
    data, env = root / "data", {"PATH": f"{bin_dir}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(root)}

    def run(*command: str) -> None:
        subprocess.run(command, check=True, cwd=root, env=env, capture_output=True, timeout=120, **drop)  # type: ignore[call-overload]

    try:
        run(str(bin_dir / "initdb"), "-D", str(data), "-U", "yihu", "-A", "trust", "--no-sync", "-E", "UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories={root} -c fsync=off -c max_connections=200"
        run(str(bin_dir / "pg_ctl"), "-D", str(data), "-l", str(root / "log"), "-w", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://yihu@/postgres?host={root}"
        finally:
            run(str(bin_dir / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def fresh_database(maintenance_url: str) -> Iterator[str]:
    """An empty database on the server; dropped in the end."""
    name = f"t{uuid.uuid4().hex[:12]}"
    engine = sqlalchemy.create_engine(maintenance_url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
        yield maintenance_url.replace("/postgres?", f"/{name}?")
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()
