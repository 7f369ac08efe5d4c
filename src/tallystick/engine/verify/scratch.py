"""What `verify` notes on its way, sorted afterwards; and rows in one order beside each other.

Books may be larger than memory. So whatever has to be compared across entities is noted in a temporary file, and read
again by name. The file is SQLite's own: readable by nobody else, and gone when it is closed. Small books never touch
the disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, Generic, TypeVar

Thing = TypeVar("Thing")
BATCH = 500  # notes that are written together


class Scratch:
    def __init__(self) -> None:
        import sqlite3  # not before there is something to verify

        self._sql = sqlite3.connect("", isolation_level=None)
        for statement in (
            "PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF",
            "CREATE TABLE note (kind TEXT, name TEXT, number INTEGER, what TEXT)",
            "CREATE TABLE answer (name TEXT PRIMARY KEY, what TEXT) WITHOUT ROWID", "BEGIN",
        ):  # fmt: skip
            self._sql.execute(statement)
        self._unwritten: list[tuple[str, str, int, str]] = []

    def close(self) -> None:
        self._sql.close()

    def note(self, kind: str, name: str, number: int, what: object = None) -> None:
        """Note plain values under a name; `number` orders those of one name."""
        self._unwritten.append((kind, name, number, json.dumps(what)))
        if len(self._unwritten) >= BATCH:
            self._write()

    def _write(self) -> None:
        self._sql.executemany("INSERT INTO note VALUES (?, ?, ?, ?)", self._unwritten)
        self._unwritten = []

    def notes(self, kind: str) -> Iterator[tuple[str, list[tuple[int, Any]]]]:
        """The names of a kind in ascending order, each with its numbers and what was noted."""
        self._write()
        select = "SELECT name, number, what FROM note WHERE kind = ? ORDER BY name, number, rowid"
        for name, rows in groupby(self._sql.cursor().execute(select, (kind,)), key=itemgetter(0)):
            yield name, [(number, json.loads(what)) for _, number, what in rows]

    def sums(self, kind: str) -> Iterator[tuple[str, int]]:
        """The names of a kind in ascending order, each with the sum of its numbers."""
        self._write()
        select = "SELECT name, number FROM note WHERE kind = ? ORDER BY name"
        for name, rows in groupby(self._sql.cursor().execute(select, (kind,)), key=itemgetter(0)):
            yield name, sum(number for _, number in rows)

    def answer(self, name: str, what: str) -> None:
        """Keep one text under a name, to be asked for in any order."""
        self._sql.execute("INSERT OR REPLACE INTO answer VALUES (?, ?)", (name, what))

    def answered(self, name: str) -> str | None:
        row = self._sql.execute("SELECT what FROM answer WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None


class Ascending(Generic[Thing]):
    """Named things in ascending order, asked for in that order."""

    def __init__(self, things: Iterator[tuple[str, Thing]]) -> None:
        self._things = things
        self._next = next(things, None)

    def at(self, name: str) -> Thing | None:
        while self._next is not None and self._next[0] < name:
            self._next = next(self._things, None)
        return self._next[1] if self._next is not None and self._next[0] == name else None


def beside(
    left: Iterable[tuple[Any, Thing]], right: Iterable[tuple[Any, Any]]
) -> Iterator[tuple[Any, Thing | None, Any]]:
    """Things of two sides by name, both in ascending order; None where one side has none. A name stands once."""
    lefts, rights = iter(left), iter(right)
    one, other = next(lefts, None), next(rights, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield one[0], one[1], None
            one = next(lefts, None)
        elif one is None or other[0] < one[0]:
            yield other[0], None, other[1]
            other = next(rights, None)
        else:
            yield one[0], one[1], other[1]
            one, other = next(lefts, None), next(rights, None)
