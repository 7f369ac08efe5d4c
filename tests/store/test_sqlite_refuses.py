"""What only SQLite can be asked, and refuses: OR REPLACE, OR IGNORE, upserts, values of another type.

What both databases refuse is in `test_refuses.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from plain_sql import MACHINES, Sql, Sqlite, books_in, plain
from tallystick.store.rows import CALL_STAYS, QUEUE_STAYS

ACCOUNTS = [(name, account) for name in ("gift_card", "payment") for account in MACHINES[name].columns]


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with books_in("sqlite", tmp_path_factory.mktemp("refuses")) as url:
        yield url


@pytest.fixture
def sql(books: str) -> Iterator[Sql]:
    with plain(books) as connection:
        yield connection


@pytest.fixture
def file(books: str) -> Iterator[sqlite3.Connection]:
    """A connection without a transaction."""
    connection = sqlite3.connect(books.removeprefix("sqlite:///"), isolation_level=None)
    yield connection
    connection.close()


@pytest.mark.parametrize(("table", "account"), ACCOUNTS)
def test_no_account_is_overdrawn_quietly(sql: Sql, table: str, account: str) -> None:
    """OR IGNORE leaves the row out instead of failing; still nothing falls below nothing."""
    before = sql.dump()
    sql.execute(f"UPDATE OR IGNORE {table} SET {account} = -1")
    assert sql.dump() == before


@pytest.mark.parametrize(("table", "account"), ACCOUNTS)
def test_amounts_are_whole_numbers(sql: Sql, table: str, account: str) -> None:
    sql.refused(f"UPDATE {table} SET {account} = 0.5", says="cannot store REAL")
    sql.refused(f"UPDATE {table} SET {account} = '50 reais'", says="cannot store TEXT")


def test_a_link_leads_somewhere_where_foreign_keys_are_asked_for(file: sqlite3.Connection) -> None:
    file.execute("PRAGMA foreign_keys = ON")
    file.execute("BEGIN")
    file.execute("UPDATE payment SET card = 'nobody'")
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        file.execute("COMMIT")
    file.execute("ROLLBACK")


def test_no_entry_is_rewritten_in_place_of_another(sql: Sql) -> None:
    for column in sql.names("entry"):
        sql.refused(f"UPDATE OR REPLACE entry SET {column} = 7 WHERE seq = 2", says="entries are never changed")
        sql.refused(
            f"UPDATE entry SET {column} = '9' WHERE machine = 'payment'", says="entries are never changed"
        )  # of another type, too


REPLACING = ["INSERT OR REPLACE", "REPLACE", "INSERT OR ABORT", "INSERT OR FAIL", "INSERT OR ROLLBACK"]


@pytest.mark.parametrize("verb", REPLACING)
@pytest.mark.parametrize("kept", ["seq", "key", "entity"])
def test_no_entry_is_replaced(file: sqlite3.Connection, verb: str, kept: str) -> None:
    """REPLACE deletes the row in its way without asking the trigger on DELETE."""
    sql = Sqlite(file)
    fresh = {"seq": "NULL", "key": "'fresh'", "entity": "'fresh'", "postings": "'[]'"}
    fresh.pop(kept)
    listed = ", ".join(fresh.get(column, column) for column in sql.names("entry"))
    sql.refused(
        f"{verb} INTO entry SELECT {listed} FROM entry WHERE key = 'k3'",
        says="never replaced|follow the one before it",
    )


@pytest.mark.parametrize("what", ["(seq)", "(machine, entity, revision)", "(key) WHERE key IS NOT NULL"])
def test_no_entry_is_rewritten_as_an_upsert(sql: Sql, what: str) -> None:
    statement = "INSERT INTO entry SELECT * FROM entry WHERE key = 'k3'"
    sql.refused(f"{statement} ON CONFLICT {what} DO UPDATE SET postings = '[]'", says="entries are never")


@pytest.mark.parametrize(
    ("table", "column"), [*(("call", name) for name in CALL_STAYS), *(("queue", name) for name in QUEUE_STAYS)]
)
def test_nothing_is_changed_in_place_of_another(sql: Sql, table: str, column: str) -> None:
    sql.refused(
        f"UPDATE OR REPLACE {table} SET {column} = coalesce({column} || 'x', 'x')", says="(is about|does) is never"
    )


@pytest.mark.parametrize("table", ["call", "queue", "machine"])
@pytest.mark.parametrize("verb", ["INSERT OR REPLACE", "REPLACE", "INSERT"])
def test_no_call_queued_command_or_page_is_replaced(sql: Sql, table: str, verb: str) -> None:
    sql.refused(f"{verb} INTO {table} SELECT * FROM {table}", says="never replaced")


def test_no_call_takes_the_place_of_another(sql: Sql) -> None:
    fresh = ", ".join("'new'" if column == "id" else column for column in sql.names("call"))
    statement = f"INSERT OR REPLACE INTO call SELECT {fresh} FROM call"
    sql.refused(f"{statement} WHERE id = 'o'", says="never replaced")
    sql.execute(f"{statement} WHERE id = 'c'")


def test_of_a_kept_page_only_the_wording_may_even_be_written(sql: Sql) -> None:
    for column in ("name", "version", "digest", "seen"):
        sql.refused(f"UPDATE machine SET {column} = {column}", says="wording only")


def test_every_table_of_ours_is_strict(sql: Sql) -> None:
    tables = {row[1]: row[5] for row in sql.execute("PRAGMA table_list") if row[2] == "table" and row[1][0] != "_"}
    ours = {name for name in tables if not name.startswith("sqlite_")}
    assert {*MACHINES, "entry", "call", "queue", "transition", "machine"} <= ours
    assert {name for name in ours if not tables[name]} == set()
