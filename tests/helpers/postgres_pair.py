"""Two real servers behind one URL: each commit waits until the second has it, and the second can take over."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

import psycopg
import pytest

from tallystick.testing.postgres_server import NoServer, Server

PATIENCE = 20.0  # seconds until something is taken not to happen


def wait_until(holds: Callable[[], object], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, f"after {PATIENCE:.0f} s still not: {what}"
        time.sleep(0.01)


class Pair:
    """A primary, and a standby that has every commit before it is answered."""

    def __init__(self, primary: Server, standby: Server) -> None:
        self.primary, self.standby = primary, standby
        folders = ",".join(quote(str(server.folder), safe="") for server in (primary, standby))
        self.url = (
            f"postgresql://postgres@/postgres?host={folders}&port=5432,5432"
            "&target_session_attrs=read-write&connect_timeout=3"
        )

    def ask(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """What the primary answers."""
        with psycopg.connect(self.primary.url(), autocommit=True) as connection:
            return connection.execute(query, values).fetchall()

    def waiting(self) -> list[int]:
        """The backends whose COMMIT waits for the standby."""
        found = self.ask("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        return [pid for (pid,) in found if isinstance(pid, int)]

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Meanwhile the standby takes nothing."""
        with psycopg.connect(self.standby.url(), autocommit=True) as connection:
            ((receiver,),) = connection.execute("SELECT pid FROM pg_stat_wal_receiver").fetchall()
        os.kill(receiver, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(receiver, signal.SIGCONT)

    def promote(self) -> None:
        """The standby takes over, alone."""
        with psycopg.connect(self.standby.url(), autocommit=True) as connection:
            assert connection.execute("SELECT pg_promote(true, 15)").fetchone() == (True,)
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            connection.execute("SELECT pg_reload_conf()")


@contextmanager
def postgres_pair() -> Iterator[Pair]:
    """Skips the test where there is no server."""
    settings = ("fsync=off", "shared_buffers=64MB", "autovacuum=off")
    try:
        primary, standby = Server(*settings), Server(*settings)
    except NoServer as error:
        pytest.skip(str(error))
    try:
        primary.init()
        primary.start()
        copy = ("-X", "stream", "-c", "fast", "--no-sync", "-R")
        standby.do("pg_basebackup", "-h", primary.folder, "-U", "postgres", "-D", standby.data, *copy)
        standby.start()
        pair = Pair(primary, standby)
        with psycopg.connect(primary.url(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
        synchronous = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'"
        wait_until(lambda: pair.ask(synchronous), "the standby is synchronous")
        yield pair
    finally:
        standby.remove()
        primary.remove()
