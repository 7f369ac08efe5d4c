"""What the referee is given: the rows of a store, the provider's books, and what callers were told."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import attrs

from tallystick.testing.referee.definition_reader import read_definition
from tallystick.testing.referee.effects import IN_DOUBT

Row = Mapping[str, Any]
_FIXED = ("id", "state", "revision", "machine_version", "currency", "calls", "changing", "hash")
# What a verb is in the sandbox's books.
_VERB = {
    "issue": "issue", "redeem": "redeem", "hold": "hold", "redeem_from_hold": "redeem_hold", "release": "release_hold",
    "void": "void", "adjustment": "adjust", "allocate": "allocate", "account": "account",
}  # fmt: skip


@attrs.frozen
class Acknowledged:
    """What a caller was told of a command. It must never be lost."""

    key: str
    machine: str
    id: str
    command: str
    result: str


@attrs.frozen
class Rows:
    """Everything a store holds, as plain rows. Arguments, postings and the like are JSON, as they are kept."""

    entities: Sequence[Row]  # with `machine`, `facts` and `accounts`
    entries: Sequence[Row]
    calls: Sequence[Row]
    queue: Sequence[Row]
    pages: Mapping[tuple[str, int], str]
    steps: frozenset[tuple[object, ...]]  # what the pages declare, as the store keeps it
    gapless: bool = True  # no number of an entry is left out; in PostgreSQL what is undone leaves its numbers out

    @classmethod
    def of_sqlite(cls, path: str | os.PathLike[str]) -> Rows:
        """The rows of a SQLite store, by SQL of the referee's own."""
        with closing(sqlite3.connect(path)) as connection:
            pages = {
                (name, version): text
                for name, version, text in connection.execute("SELECT name, version, definition FROM machine")
            }
            return cls(
                entities=[
                    _entity(name, row, pages)
                    for name in sorted({name for name, _ in pages})
                    for row in _rows(connection, f'SELECT * FROM "{name}"')
                ],
                entries=_rows(connection, "SELECT * FROM entry ORDER BY seq"),
                calls=_rows(connection, "SELECT * FROM call"),
                queue=_rows(connection, "SELECT * FROM queue"),
                pages=pages,
                steps=frozenset(connection.execute("SELECT * FROM transition")),
            )


def _rows(connection: sqlite3.Connection, sql: str) -> list[dict[str, Any]]:
    found = connection.execute(sql)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def _entity(machine: str, row: Mapping[str, Any], pages: Mapping[tuple[str, int], str]) -> dict[str, Any]:
    declared = read_definition(pages[machine, row["machine_version"]])
    accounts = (*declared.accounts, *([IN_DOUBT] if declared.accounts else []))
    return {
        "machine": machine,
        **{name: row[name] for name in _FIXED},
        "facts": {name: row[name] for name in declared.facts},
        "accounts": {name: row[name] for name in accounts},
    }


@attrs.frozen
class ProviderLine:
    """A line in the provider's books. Amounts are minor units."""

    id: str
    call: str | None  # our id of the call that did it; None: somebody else's
    verb: str
    number: str
    currency: str
    amount: int  # the change, or, of a hold, what it held
    change: int  # of what the card is worth


@attrs.frozen
class ProviderBooks:
    """The provider's books. Amounts are minor units, by card number and currency."""

    lines: Sequence[ProviderLine]  # in their order
    available: Mapping[tuple[str, str], int]
    holds: Mapping[tuple[str, str], Mapping[str, int]]  # open ones: id → amount
    doubled: Mapping[str, int] = attrs.field(factory=dict)  # calls that the provider itself did again, and how often

    @classmethod
    def of_sandbox_db(cls, books: sqlite3.Connection | str, doubled: Mapping[str, int] | None = None) -> ProviderBooks:
        """The sandbox's own tables, read by SQL: a path, or the connection of a sandbox in memory."""
        if not isinstance(books, sqlite3.Connection):
            with closing(sqlite3.connect(books)) as connection:
                return cls.of_sandbox_db(connection, doubled)
        history = books.execute(
            "SELECT h.transaction_id, h.custom_request_id, h.operation, h.number, h.updates, p.code, p.placed"
            " FROM history h LEFT JOIN hold p ON p.id = h.transaction_id WHERE h.number IS NOT NULL ORDER BY h.seq"
        )
        holds: dict[tuple[str, str], dict[str, int]] = {}
        for id, number, code, amount in books.execute("SELECT id, number, code, amount FROM hold WHERE amount > 0"):
            holds.setdefault((number, code), {})[id] = amount
        balances = books.execute("SELECT number, code, available FROM balance")
        return cls(
            [_line(*line) for line in history], {(number, code): amount for number, code, amount in balances}, holds,
            doubled or {},
        )  # fmt: skip


def _line(
    id: str, call: str | None, operation: str, number: str, updates: str, code: str | None, placed: int | None
) -> ProviderLine:
    changes = json.loads(updates)
    change = sum(minor for _, _, minor in changes)
    currency = code or (changes[0][1] if changes else "")
    amount = change if placed is None else placed
    return ProviderLine(id, call or None, _VERB.get(operation, operation), number, currency, amount, change)
