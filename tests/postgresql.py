"""A server of PostgreSQL for tests: of its own, on a socket that only this machine reaches, gone when they end."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, create_engine, make_url, text

# It refuses to run as root; distributions bring this user along with it.
_SERVANT = "postgres"


def find_obstacle() -> str | None:
    """Say why no server can be started here; None if one can."""
    if _find_programs() is None:
        return "no server of PostgreSQL is installed (Debian: apt-get install postgresql)"
    if os.geteuid() == 0 and _find_servant() is None:
        return f"PostgreSQL does not run as root, and there is no user {_SERVANT}"
    return None


def _find_programs() -> Path | None:
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    # Debian keeps each version in a folder of its own.
    return max((file.parent for file in Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None)


def _find_servant() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(_SERVANT)
    except KeyError:
        return None


def _order(programs: Path) -> list[str]:
    """Let text be put in the order of a language, as servers of labs do, where the server can (from version 15 on)."""
    told = subprocess.run([programs / "initdb", "--help"], capture_output=True, text=True, check=True).stdout
    return ["--locale-provider=icu", "--icu-locale=en-US"] if "--icu-locale" in told else []


@contextmanager
def running_server() -> Iterator[URL]:
    """Start a server, yield the URL of a database in it, and stop it."""
    programs = _find_programs()
    assert programs is not None
    servant = _find_servant() if os.geteuid() == 0 else None
    # A short path: that of a socket may have a hundred characters.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    if servant:
        os.chown(folder, servant.pw_uid, servant.pw_gid)

    def run(program: str, *words: str) -> None:
        command = [programs / program, "-D", folder / "data", *words]
        subprocess.run(
            command, check=True, cwd="/", user=servant and servant.pw_uid, stdout=subprocess.DEVNULL, timeout=120
        )

    try:
        run("initdb", "--no-sync", "-A", "trust", "-U", "facehog", "-E", "UTF8", "--locale=C.UTF-8", *_order(programs))
        settings = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=50"
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", settings, "start")
        try:
            yield make_url(f"postgresql://facehog@/postgres?host={folder}")
        finally:
            run("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_schema(server: URL, name: str) -> str:
    """Make an empty place for tables, and return the URL by which they are found there and nowhere else."""
    engine = create_engine(server.set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    engine.dispose()
    return server.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)
