"""Books in each database, and a plain connection to them, as any tool opens it: no line of ours runs in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from postgres_books import postgres_url
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.provider.local import LocalProvider
from tallystick.store.open import open_store
from tallystick.store.rows import Changes
from tallystick.testing.contracts.changes import AT, call_row, queue_row

MACHINES = reader.load()
TABLES = ("entry", "gift_card", "payment", "call", "queue", "machine", "transition")
ANYTHING = "constraint|entries are|an entry has to"


def lived_in(url: str) -> None:
    """A card of 50.00 that holds 20.00 for one payment, and one payment that has earned 10.00 of it."""
    with closing(open_store(url)) as store:
        engine = Engine(MACHINES, store, LocalProvider())
        for number, (machine, id, command, args) in enumerate((
            ("gift_card", "c1", "create", {"form": "electronic", "currency": "BRL"}),
            ("gift_card", "c1", "allocate", {}),
            ("gift_card", "c1", "activate", {}),
            ("gift_card", "c1", "issue", {"amount": "50.00"}),
            ("payment", "p1", "create", {"order": "o1", "card": "c1", "currency": "BRL"}),
            ("payment", "p1", "authorize", {"amount": "20.00"}),
            ("payment", "p2", "create", {"order": "o2", "card": "c1", "currency": "BRL"}),
            ("payment", "p2", "authorize", {"amount": "15.00"}),
            ("payment", "p2", "settle", {"amount": "10.00", "last": True}),
        )):  # fmt: skip
            engine.execute(machine, id, command, args, key=f"k{number}", by="ann", reason="so")
        calls = {
            id: call_row(id, state=state, takes=takes, closed=None if state == "open" else AT)
            for id, state, takes in (("o", "open", "card 1"), ("c", "confirmed", None), ("u", "unavailable", None))
        }
        queue = {key: queue_row(key, state=state) for key, state in (("w", "waiting"), ("d", "done"))}
        store.run(lambda transaction: transaction.write(Changes(calls=calls, queue=queue), AT))


class Sql:
    """A plain connection. Values are marked by %s."""

    errors: type[Exception]

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        raise NotImplementedError

    def names(self, table: str) -> list[str]:
        """Of its columns."""
        raise NotImplementedError

    def at_once(self, statement: str, *values: object) -> None:
        """Execute it, with all that would be checked at the end."""
        self.execute(statement, *values)

    def dump(self) -> list[tuple[Any, ...]]:
        return [row for table in TABLES for row in self.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3")]

    def refused(self, statement: str, *values: object, says: str = ANYTHING) -> None:
        """The database refuses the statement, and nothing of it stays."""
        before = self.dump()
        with pytest.raises(self.errors, match=f"(?i){says}"):
            self.at_once(statement, *values)
        assert self.dump() == before


class Sqlite(Sql):
    errors = sqlite3.IntegrityError

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._connection.execute(statement.replace("%s", "?"), values).fetchall()
        return rows

    def names(self, table: str) -> list[str]:
        return [row[1] for row in self.execute(f'PRAGMA table_info("{table}")')]


class Postgres(Sql):
    errors = psycopg.IntegrityError

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

    def names(self, table: str) -> list[str]:
        query = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum"
        return [name for (name,) in self.execute(query, f'"{table}"')]

    def at_once(self, statement: str, *values: object) -> None:
        with self._connection.transaction():
            self.execute(statement, *values)
            self.execute("SET CONSTRAINTS ALL IMMEDIATE")


@contextmanager
def books_in(kind: str, folder: Path) -> Iterator[str]:
    """The URL of books in a database of this kind: sqlite, postgres, or divided."""
    if kind == "sqlite":
        url = f"sqlite:///{folder}/books.db"
        lived_in(url)
        yield url
        return
    with postgres_url(3 if kind == "divided" else 0) as url:
        lived_in(url)
        yield url


@contextmanager
def plain(url: str) -> Iterator[Sql]:
    """A plain connection whose changes are undone afterwards."""
    if url.startswith("postgres"):
        with psycopg.connect(url) as connection:
            connection.execute("SET search_path TO tallystick")
            yield Postgres(connection)
            connection.rollback()
        return
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as file:
        assert file.execute("PRAGMA foreign_keys").fetchone() == (0,)  # SQLite's default
        file.execute("BEGIN IMMEDIATE")
        yield Sqlite(file)
        file.execute("ROLLBACK")


# Entries that would come next


# What would rightly come next: c1 is issued, p1 is authorized.
NEXT: dict[str, dict[str, object]] = {
    "gift_card": {"transition": "reload", "command": "reload", "to_state": "issued"},
    "payment": {"transition": "cancel", "command": "cancel", "to_state": "reversed"},
}
BOTH = pytest.mark.parametrize(("machine", "entity"), [("gift_card", "c1"), ("payment", "p1")])


def next_entry(sql: Sql, machine: str, entity: str, /, **given: object) -> tuple[str, Sequence[object]]:
    """The INSERT of an entry that would follow the last one of an entity; `given` is what is wrong with it."""
    names = sql.names("entry")
    query = "SELECT * FROM entry WHERE machine = %s AND entity = %s ORDER BY revision DESC LIMIT 1"
    last = dict(zip(names, sql.execute(query, machine, entity)[0], strict=True))
    given_by_the_table = {"seq", "xid"}
    follows = {
        **{name: value for name, value in last.items() if name not in given_by_the_table},
        "revision": last["revision"] + 1, "from_state": last["to_state"], "key": "fresh", "cause": None,
        "phase": "done", "postings": "[]", "args": "{}", "facts": "{}", "after": "{}", **NEXT[machine], **given,
    }  # fmt: skip
    columns = ", ".join(follows)
    return f"INSERT INTO entry ({columns}) VALUES ({', '.join(['%s'] * len(follows))})", list(follows.values())
