"""What only PostgreSQL can be asked, and refuses: TRUNCATE, links to nobody, the table of keys, a part of the journal.

What both databases refuse is in `test_refuses.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from plain_sql import BOTH, Sql, books_in, next_entry, plain


@pytest.fixture(scope="module", params=["postgres", "divided"])
def books(request: pytest.FixtureRequest) -> Iterator[str]:
    with books_in(request.param, Path()) as url:
        yield url


@pytest.fixture
def sql(books: str) -> Iterator[Sql]:
    with plain(books) as connection:
        yield connection


def test_a_link_leads_somewhere(sql: Sql) -> None:
    sql.refused("UPDATE payment SET card = 'nobody'", says="foreign key")
    sql.refused("DELETE FROM gift_card", says="foreign key")
    sql.execute("UPDATE payment SET card = 'c1'")


@pytest.mark.parametrize("which", ["entry", "ONLY entry", "_key"])
def test_nothing_of_the_journal_is_changed_or_deleted(sql: Sql, which: str) -> None:
    sql.refused(f"UPDATE {which} SET revision = revision", says="never changed or deleted")
    sql.refused(f"DELETE FROM {which}", says="never changed or deleted")
    sql.refused(f"TRUNCATE {which}" if "ONLY" not in which else "TRUNCATE entry", says="never changed or deleted")


@pytest.mark.parametrize("table", ["call", "queue", "machine", "transition"])
def test_no_table_is_emptied(sql: Sql, table: str) -> None:
    sql.refused(f"TRUNCATE {table} CASCADE", says="never")


@BOTH
def test_a_key_is_kept_with_its_entry(sql: Sql, machine: str, entity: str) -> None:
    statement, values = next_entry(sql, machine, entity)
    sql.execute(statement, *values)
    assert sql.execute("SELECT machine, entity FROM _key WHERE key = 'fresh'") == [(machine, entity)]
