"""What people and schedulers look at often does not grow with the books: SQLite's own plans say so.

Each look is taken with a connection that keeps every statement as it was executed, with its parameters. A plan may go
through a whole table only if that has as many rows as there are pages, and through a whole index only if that is a
partial one, which has the few rows of what waits.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from postgres_books import postgres_url
from tallystick.books.balance import BalanceSettings
from tallystick.books.books import Books
from tallystick.books.waiting import about, listed
from tallystick.cli import as_json
from tallystick.engine.engine import Engine
from tallystick.money import Money
from tallystick.provider.local import LocalProvider
from tallystick.store.postgres.store import PostgresStore
from tallystick.store.sqlite import SqliteStore
from tallystick.testing.contracts.changes import MACHINES, pages

AT_ONCE = BalanceSettings(answer_every=0)
AS_MANY_AS_PAGES = {"machine", "transition", "_migration"}
NO_TABLE = {"CONSTANT", "counts", "times"}  # a query inside a query: what that reads is a step of its own
STATEMENTS: list[tuple[str, Any]] = []


class KeepingCursor(sqlite3.Cursor):
    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        STATEMENTS.append((sql, parameters))
        return super().execute(sql, parameters)


class Keeping(sqlite3.Connection):
    def cursor(self, factory: Any = KeepingCursor) -> Any:
        return super().cursor(factory)


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """Cards of which one expires, a hold that waits for its shipment, and a tender."""
    books = Books(
        Engine(MACHINES, SqliteStore(tmp_path / "books.db", connections=Keeping), LocalProvider()), balances=AT_ONCE
    )
    yield lived_in(books)
    books.close()


def lived_in(books: Books) -> Books:
    for id in ("c1", "c2"):
        books.sell_electronic(id, "50.00", "BRL", order="o", key=f"sale of {id}")
    books.authorize("p1", "c1", "20.00", order="o1", key="hold")
    books.settle("p1", "5.00", keep_hold=True, due=books.engine.now() + timedelta(days=1), key="later")
    expires = books.engine.now() + timedelta(days=99)
    books.sell_electronic("c3", "50.00", "BRL", order="o", key="sale of c3", expires=expires)
    plan = books.plan(Money.parse("40.00", "BRL"), ["c1", "c2"])
    books.authorize_all(plan, order="o2", key="tender")
    return books


def plans(books: Books) -> list[tuple[str, str]]:
    """Each statement that was kept, and what its plan does with a table."""
    with sqlite3.connect(books.engine.store.path) as sql:  # type: ignore[attr-defined]
        return [
            (statement, step)
            for statement, parameters in STATEMENTS if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT"))
            for *_, step in sql.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]  # fmt: skip


def growing(books: Books) -> list[tuple[str, str]]:
    """The steps that read more the more the books have lived."""
    with sqlite3.connect(books.engine.store.path) as sql:  # type: ignore[attr-defined]
        partial = {
            name for (name,) in sql.execute(
                "SELECT list.name FROM sqlite_master, pragma_index_list(sqlite_master.name) AS list"
                " WHERE sqlite_master.type = 'table' AND list.partial"
            )
        }  # fmt: skip
    found = []
    for statement, step in plans(books):
        whole = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", step)
        if whole and whole[1] not in AS_MANY_AS_PAGES | NO_TABLE and whole[2] not in partial:
            found.append((statement, step))
    return found


def show(books: Books, machine: str, id: str) -> object:
    with books.engine.store.reading() as reading:
        entity = reading.entity(machine, id)
        assert entity is not None
        return as_json.life(books.engine.machines, reading, entity)


LOOKS: dict[str, Callable[[Books], object]] = {
    "stuck": lambda books: books.stuck(),
    "waiting": lambda books: books.waiting(),
    "queue.waiting": lambda books: books.queue.waiting("payment", "p1"),
    "all that waits": lambda books: books.queue.waiting(limit=10),
    "one kind that waits": lambda books: listed(books.engine, of="gift_card.expire", on="2099"),
    "what a key waits for": lambda books: about(books.engine, "later"),
    "holds": lambda books: books.holds_older_than(timedelta(0)),
    "show a card": lambda books: show(books, "gift_card", "c1"),
    "show a payment": lambda books: show(books, "payment", "p1"),
    "show a tender": lambda books: show(books, "tender", "o2"),
    "find": lambda books: books.find(str(books.card("c1").number)),
    "card": lambda books: books.card("c1"),
    "payment": lambda books: books.payment("p1"),
    "tender": lambda books: books.tender("o2"),
    "history": lambda books: books.history("payment", "p1"),
    "tail": lambda books: books.tail(books.tail(limit=1).cursor),
    "may": lambda books: books.may("payment", "p1", "settle", amount="1.00"),
    "would": lambda books: books.would(lambda books: books.cancel("p1", key="would")),
    "due": lambda books: books.run_due(),
    "recover": lambda books: books.recover(),
    "balance": lambda books: books.balance(str(books.card("c1").number), currency="BRL", client="a"),
    "pay": lambda books: books.authorize("p3", "c2", "1.00", order="o3", key="pay"),
    "settle": lambda books: books.settle("p1", "1.00", key="settle"),
}


@pytest.mark.parametrize("look", LOOKS)
def test_no_look_and_no_command_reads_what_grows(books: Books, look: str) -> None:
    STATEMENTS.clear()
    LOOKS[look](books)
    assert plans(books), "it has read something"
    assert growing(books) == []


def test_what_reads_everything_is_seen_to_do_so(books: Books) -> None:
    STATEMENTS.clear()
    books.verify()
    read = {step.split()[1] for _, step in growing(books)}
    assert {"entry", "gift_card", "payment", "call", "queue"} <= read


def test_a_hold_is_not_read_before_it_can_be_old(books: Books) -> None:
    """The age of a hold is that of an entry, and no entry of a payment is older than the payment."""
    assert {each.payment for each in books.holds_older_than(timedelta(0))} == {"p1", "o2/c1", "o2/c2"}
    STATEMENTS.clear()
    assert books.holds_older_than(timedelta(hours=1)) == []
    assert not [statement for statement, _ in STATEMENTS if "FROM entry" in statement]


def test_books_from_before_an_index_get_it_when_they_are_opened(books: Books) -> None:
    path = books.engine.store.path  # type: ignore[attr-defined]
    wanted = _indexes(path)
    assert {"queue_given_up", "queue_dated", "queue_other", "payment_held_stands", "payment_uncovered_stands"} <= wanted
    books.close()
    with sqlite3.connect(path) as sql:
        for name in ("queue_given_up", "queue_dated", "queue_other", "payment_held_stands", "payment_uncovered_stands"):
            sql.execute(f"DROP INDEX {name}")
        sql.execute("DELETE FROM _sqlite_migrations WHERE name IN ('looks', 'waits')")
        sql.execute(
            "UPDATE machine SET definition = replace(definition, ', indexed: true}', '}') WHERE name = 'payment'"
        )
    sql.close()
    SqliteStore(path).machines(MACHINES)
    assert _indexes(path) == wanted


def test_a_page_that_was_only_reworded_keeps_its_rows_and_gets_its_indexes(books: Books) -> None:
    path = books.engine.store.path  # type: ignore[attr-defined]
    before = _indexes(path)
    books.close()
    redeemed = "redeemed: {says: Earned by shipments., kept: true"
    SqliteStore(path).machines(pages(payment=lambda text: text.replace(redeemed, f"{redeemed}, indexed: true")))
    assert _indexes(path) == before | {"payment_redeemed_stands"}


def _indexes(path: str) -> set[str]:
    with sqlite3.connect(path) as sql:
        found = {name for (name,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    sql.close()
    return found


# PostgreSQL


@pytest.fixture(scope="module")
def books_there() -> Iterator[tuple[Books, str]]:
    with postgres_url() as url:
        books = lived_in(Books(Engine(MACHINES, PostgresStore(url), LocalProvider()), balances=AT_ONCE))
        yield books, url
        books.close()


THERE: dict[str, Callable[[Books], object]] = {
    **LOOKS, "open": lambda books: books.engine.store.machines(MACHINES), "verify": lambda books: books.verify(),
}  # fmt: skip


@pytest.mark.parametrize("look", THERE)
def test_postgres_need_not_read_what_grows(
    books_there: tuple[Books, str], look: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its planner may read a small table whole. Told not to, it finds an index for all but what reads everything."""
    books, url = books_there
    statements: list[tuple[Any, Any]] = []
    for cursor in (psycopg.Cursor, psycopg.ServerCursor):

        def execute(self: Any, query: Any, *values: Any, said: Any = cursor.execute, **more: Any) -> Any:
            statements.append((query, values[0] if values else None))
            return said(self, query, *values, **more)

        monkeypatch.setattr(cursor, "execute", execute)
    THERE[look](books)
    monkeypatch.undo()
    found = []
    with psycopg.connect(url) as sql:
        sql.execute("SET enable_seqscan = off")
        partial = {
            name for (name,) in sql.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL")
        }
        for statement, values in statements:
            if str(statement).startswith("SELECT") and "FROM" in statement:
                ((plan,),) = sql.execute(f"EXPLAIN (FORMAT JSON) {statement}", values).fetchall()
                found += [(statement, step) for step in _whole(plan[0]["Plan"], partial)]
    assert statements
    assert bool(found) == (look == "verify"), found


def _whole(plan: dict[str, Any], partial: set[str], table: str | None = None) -> Iterator[str]:
    """The tables that a plan goes through, or through a whole index of theirs. `table`: that of the step above."""
    name, index = plan.get("Relation Name", table), plan.get("Index Name")
    first = ("Index Scan", "Index Only Scan") if plan["Node Type"] == "Limit" else ()  # the first rows of an index
    whole = "Seq Scan" in plan["Node Type"] or (index and "Index Cond" not in plan)
    if whole and name not in {*AS_MANY_AS_PAGES, None} and not {f"tallystick.{index}", index} & partial:
        yield f"{plan['Node Type']} of {name} {index}"
    for each in plan.get("Plans", ()):
        if each["Node Type"] not in first:
            yield from _whole(each, partial, name if "Bitmap" in plan["Node Type"] else None)
