"""The feed on PostgreSQL goes by the number of the transaction, and that is a number: 1000 comes after 999."""

from __future__ import annotations

import psycopg
import pytest

from postgres_books import postgres_url
from tallystick.store.postgres.store import PostgresStore
from tallystick.testing.contracts.changes import MACHINES, born, put

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
