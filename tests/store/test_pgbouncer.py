"""Books behind PgBouncer, which gives each transaction any of its sessions: `prepare=off` in the URL."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from postgres_books import postgres_url
from tallystick.store.postgres.store import PostgresStore
from tallystick.testing.contracts import store_contract
from tallystick.testing.contracts.changes import MACHINES, at_once, funded
from tallystick.testing.postgres_server import shared_server

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PGBOUNCER is None, reason="no pgbouncer here; your system's package has it"),
    pytest.mark.skipif("TALLYSTICK_TEST_PG" in os.environ, reason="PgBouncer is set up for a server of our own"),
]


@pytest.fixture(scope="module")
def bouncer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The folder of PgBouncer's socket. It has two sessions for everybody."""
    with postgres_url() as url:
        server = psycopg.conninfo.conninfo_to_dict(url)["host"]
    folder = Path(str(server)) / "bouncer"
    folder.mkdir()
    (folder / "ini").write_text(
        f"[databases]\n* = host={server} user=postgres\n"
        f"[pgbouncer]\nlisten_addr =\nlisten_port = 6432\nunix_socket_dir = {folder}\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 100\nserver_reset_query_always = 0\n",
        encoding="utf-8",
    )
    owner = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        owner = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    process = subprocess.Popen(
        [str(PGBOUNCER), "-q", str(folder / "ini")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **owner
    )
    for _ in range(500):
        if (folder / ".s.PGSQL.6432").exists():
            break
        time.sleep(0.01)
    yield str(folder)
    process.terminate()
    process.wait(10)
    shutil.rmtree(folder, ignore_errors=True)


def through(bouncer: str, url: str) -> PostgresStore:
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    return PostgresStore(f"postgresql://postgres@/{name}?host={bouncer}&port=6432&prepare=off")


class TestPgBouncer(store_contract(lambda folder: through("", ""))):  # type: ignore[misc]
    @pytest.fixture
    def store(self, bouncer: str) -> Iterator[PostgresStore]:
        with postgres_url() as url:
            store = through(bouncer, url)
            store.machines(MACHINES)
            yield store
            store.close()


def test_more_writers_than_sessions(bouncer: str) -> None:
    assert shared_server()
    with postgres_url() as url:
        stores = [through(bouncer, url) for _ in range(6)]
        for store in stores:
            store.machines(MACHINES)
        at_once([lambda store=store, turn=turn: funded(store, f"c{turn}") for turn, store in enumerate(stores)])  # type: ignore[misc]
        with stores[0].reading() as look:
            assert len(list(look.all("gift_card"))) == 6
        for store in stores:
            store.close()
