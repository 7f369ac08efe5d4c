"""The feed on PostgreSQL goes by the number of the transaction, also where a dump brought those of another server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

import tallystick
from postgres_books import postgres_url
from tallystick import StoreError
from tallystick.store.postgres.store import PostgresStore
from tallystick.store.protocol import Transaction
from tallystick.testing.contracts.changes import MACHINES, born, put
from tallystick.testing.postgres_server import UNSAFE, NoServer, Server, binaries

BURN = """DO $$ BEGIN FOR number IN 1..{} LOOP
BEGIN INSERT INTO burnt VALUES (1); EXCEPTION WHEN OTHERS THEN NULL; END;
END LOOP; END $$"""  # each subtransaction that writes takes a number
MOST = 100_000


def burn(connection: psycopg.Connection[tuple[int]], wanted: int) -> None:
    """Use up numbers until the next transaction has about this one."""
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS burnt (it int)")
    while (left := wanted - number(connection)) > 1:
        connection.execute(BURN.format(min(left - 1, 20_000)))


def number(connection: psycopg.Connection[tuple[int]]) -> int:
    row = connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
    assert row is not None
    return row[0]


def test_entries_of_a_longer_number_come_later() -> None:
    with postgres_url() as url, psycopg.connect(url, autocommit=True) as connection:
        store = PostgresStore(url)
        store.machines(MACHINES)
        longer = 10 ** len(str(number(connection)))
        if longer > MOST:
            pytest.skip(f"the server's next transaction with more digits is {longer}: too far away")
        burn(connection, longer - 8)
        for each in range(15):
            put(store, born(f"c{each}"))
        with store.reading() as look:
            rows, cursor = look.tail(None, 2)
            numbers = [cursor]
            while (more := look.tail(cursor, 2))[0]:
                rows, cursor = rows + more[0], more[1]
                numbers.append(cursor)
        store.close()
    assert [row.entity for row in rows] == [f"c{each}" for each in range(15)]
    assert len({len(each.split(".")[0]) for each in numbers}) == 2, "both lengths were there"


# Books from another server


@pytest.fixture(params=[0, 3], ids=["one journal", "divided"])
def restored(request: pytest.FixtureRequest) -> Iterator[str]:
    """Books with three entries, which carry numbers of transactions that this server has not reached."""
    with postgres_url(request.param) as url:
        with closing(PostgresStore(url)) as store:
            store.machines(MACHINES)
            for id in ("c1", "c2", "c3"):
                put(store, born(id))
        with psycopg.connect(url, autocommit=True) as raw:
            raw.execute("SET session_replication_role = replica")
            raw.execute("UPDATE tallystick.entry SET xid = (xid::text::bigint + 999999999)::text::xid8")
        yield url


def heard(store: PostgresStore, after: str | None) -> tuple[list[str], str]:
    with store.reading() as look:
        rows, cursor = look.tail(after, 2)
    return [row.entity for row in rows], cursor


def test_what_is_written_after_a_dump_was_restored_comes_after_all_that_is_in_it(restored: str) -> None:
    with closing(PostgresStore(restored)) as store:
        store.machines(MACHINES)
        first, cursor = heard(store, None)
        rest, end = heard(store, cursor)
        assert first + rest == ["c1", "c2", "c3"]
        assert heard(store, end) == ([], end)
        put(store, born("new"))
        assert heard(store, end)[0] == ["new"]
        assert heard(store, cursor)[0] == ["c3", "new"]
    with closing(PostgresStore(restored)) as again:
        again.machines(MACHINES)
        put(again, born("newer"))
        assert heard(again, end)[0] == ["new", "newer"]


def test_one_that_is_still_writing_is_waited_for_there_too(restored: str) -> None:
    with closing(PostgresStore(restored)) as store:
        store.machines(MACHINES)
        end = heard(store, heard(store, None)[1])[1]

        def slow(transaction: Transaction) -> None:
            transaction.write(born("slow"), "at")
            transaction.call("x")  # it is sent
            with closing(PostgresStore(restored)) as other:
                other.machines(MACHINES)
                put(other, born("quick"))
            assert heard(store, end) == ([], end), "it waits"

        store.run(slow)
        assert heard(store, end)[0] == ["slow", "quick"]


def test_books_that_nobody_has_opened_since_say_what_to_do(restored: str) -> None:
    store = PostgresStore(restored)
    with (
        store.reading() as look,
        pytest.raises(StoreError, match=r"restored on another server.* run `tallystick init`"),
    ):
        look.tail(None, 5)
    store.close()


def test_who_may_not_shift_the_numbers_is_told_what_to_do(restored: str) -> None:
    parts = conninfo_to_dict(restored)
    with psycopg.connect(restored, autocommit=True) as raw:
        raw.execute("DROP ROLE IF EXISTS clerk_of_tests")
        raw.execute("CREATE ROLE clerk_of_tests LOGIN")
        raw.execute("GRANT USAGE ON SCHEMA tallystick TO clerk_of_tests")
        raw.execute("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA tallystick TO clerk_of_tests")
    url = f"postgresql://clerk_of_tests@/{parts['dbname']}?host={quote(str(parts['host']), safe='')}"
    if parts.get("port"):
        url += f"&port={parts['port']}"
    try:
        with closing(PostgresStore(url)) as store, pytest.raises(StoreError, match="run `tallystick init` with a role"):
            store.machines(MACHINES)
        with closing(PostgresStore(restored)) as owner:
            owner.machines(MACHINES)
        with closing(PostgresStore(url)) as store:
            store.machines(MACHINES)
    finally:
        with psycopg.connect(restored, autocommit=True) as raw:
            raw.execute("DROP OWNED BY clerk_of_tests")
            raw.execute("DROP ROLE clerk_of_tests")


@pytest.mark.slow
def test_a_dump_is_restored_on_a_new_server() -> None:
    """A subscriber's cursor and a checkpoint from before hold on the new one."""
    try:
        binaries()
        old, new = Server(*UNSAFE), Server(*UNSAFE)
    except NoServer as error:
        pytest.skip(str(error))
    try:
        for server in (old, new):
            server.init()
            server.start()
        with psycopg.connect(old.url(), autocommit=True) as connection:
            burn(connection, number(connection) + 5000)
        with tallystick.open(old.url()) as books:
            books.sell_electronic("c1", "50.00", "BRL", order="o", key="sale")
            cursor, kept = books.tail().cursor, books.verify().checkpoint
            books.reload("c1", "5.00", key="reload")
        old.do("pg_dump", "-h", old.folder, "-U", "postgres", "-Fc", "-f", old.folder / "dump", "postgres")
        new.do("pg_restore", "-h", new.folder, "-U", "postgres", "-d", "postgres", old.folder / "dump")
        with tallystick.open(new.url()) as books:
            books.reload("c1", "6.00", key="reload/2")
            assert [each.command for each in books.tail(cursor).entries] == ["reload", "reload"]
            report = books.verify(since=kept)
            assert report.clean, report.findings
    finally:
        old.remove()
        new.remove()
