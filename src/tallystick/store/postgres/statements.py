"""The SQL of rows: how the columns of an entry, a call, a queued command or an entity are read and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs

from tallystick.store.protocol import Swap
from tallystick.store.rows import CallRow, EntryRow, QueueRow, encode
from tallystick.store.sums import FLOW, REPLACING, STANDING, SUMS, Seen, adding

Ask = tuple[str, Sequence[Any] | Mapping[str, Any]]  # a statement and its values


@attrs.frozen
class Rows:
    """One table's columns. A single row is written by VALUES, many as one text of JSON, which costs the driver least: a
    statement has one text for any number.

    `json` keeps the text as it was written, which is hashed; it is read as text.
    """

    table: str  # with its schema, quoted
    names: Sequence[str]
    types: Mapping[str, str]  # of the columns that are no text
    more: str = ""  # after the values, such as ON CONFLICT …

    @property
    def listed(self) -> str:
        return ", ".join(f'"{name}"' for name in self.names)

    @property
    def select(self) -> str:
        columns = (f'"{name}"::text' if self._type(name) == "json" else f'"{name}"' for name in self.names)
        return f"SELECT {', '.join(columns)} FROM {self.table}"

    def _type(self, name: str) -> str:
        return self.types.get(name, "text")

    @cached_property
    def _insert_one(self) -> str:
        marks = ", ".join(f"%s::{self._type(name)}" for name in self.names)
        return f"INSERT INTO {self.table} ({self.listed}) VALUES ({marks}) {self.more}"

    def insert(self, rows: Sequence[Sequence[Any]]) -> Ask:
        if len(rows) == 1:
            return self._insert_one, rows[0]
        return f"INSERT INTO {self.table} ({self.listed}) {self._given(self.names)} {self.more}", (encode(rows),)

    def _given(self, names: Sequence[str]) -> str:
        """A SELECT of rows from a parameter. (json would be parsed anew for each value.)"""
        values = ", ".join(f"(given ->> {place})::{self._type(name)}" for place, name in enumerate(names))
        return f"SELECT {values} FROM jsonb_array_elements(%s::jsonb) AS _ (given)"

    def update(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Ask:
        """Change these columns of entities that are as they were read: after the values come its id and revision."""
        if len(rows) == 1:
            sets = ", ".join(f'"{name}" = %s' for name in names)
            return f"UPDATE {self.table} SET {sets} WHERE id = %s AND revision = %s", rows[0]
        sets = ", ".join(f'"{name}" = new."{name}"' for name in names)
        given = self._given([*names, "id", "revision"])
        new = ", ".join(f'"{name}"' for name in (*names, "_id", "_revision"))
        where = "WHERE old.id = new._id AND old.revision = new._revision"
        return f"UPDATE {self.table} AS old SET {sets} FROM ({given}) AS new ({new}) {where}", (encode(rows),)


def replaces(key: str, names: Sequence[str]) -> str:
    """Put a row in the place of the one with its key. A trigger refuses a change of what stays."""
    changed = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name != key)
    return f'ON CONFLICT ("{key}") DO UPDATE SET {changed}'


def among(values: Sequence[str]) -> tuple[str, str | Sequence[str]]:
    """How a column is compared with these. With a list PostgreSQL would plan each time anew, for another length."""
    return ("= %s", values[0]) if len(values) == 1 else ("= ANY(%s)", values)


class Statements:
    """Of the tables that every store has, in one schema."""

    def __init__(self, schema: str) -> None:
        self.schema = schema
        json = dict.fromkeys(("args", "postings", "facts", "after", "steps"), "json")
        types = {**json, "revision": "bigint", "machine_version": "integer", "attempts": "integer",
                 "secret": "boolean", "unclear": "boolean"}  # fmt: skip
        entry = [name for name in EntryRow._fields if name != "seq"]
        call = [field.name for field in attrs.fields(CallRow)]
        queue = [field.name for field in attrs.fields(QueueRow)]
        self.entry = Rows(self.named("entry"), entry, types)
        self.call = Rows(self.named("call"), call, types, replaces("id", call))
        self.queue = Rows(self.named("queue"), queue, types, replaces("key", queue))
        whole = dict.fromkeys(("version", "elsewhere", "revision", "used", "valued", *FLOW, *STANDING), "bigint")
        self.sums = {
            table: Rows(f"{self.named(table)} AS here", columns, whole, adding(table, "here"))
            for table, (columns, _) in SUMS.items()
        } | {"_seen": Rows(self.named("_seen"), Seen._fields, whole, REPLACING)}
        self.entries = Rows(self.named("entry"), EntryRow._fields, types).select
        self.numbered = self.entries.replace(" FROM ", ", xid::text AS transaction FROM ")
        keys = f"SELECT machine, entity, revision FROM {self.named('_key')} WHERE key = ANY(%s)"
        self.keyed = f"{self.entries} WHERE (machine, entity, revision) IN ({keys})"
        self.queued = f"{self.queue.select} WHERE key = ANY(%s)"

    def known(self, keys: Sequence[str], names: Sequence[str] = ()) -> Ask:
        """How often these keys were seen or wait; and the shared texts of these names.

        They are counted, because for EXISTS a seq scan is planned, which is soon at an end only where a key is known.
        """
        equal, key = among(keys)
        term = f"WHERE key {equal}".replace("%s", "%(_)s")
        counts = (f"(SELECT count(*) FROM {self.named(table)} {term})" for table in ("_key", "queue"))
        named = {f"_{place}": name for place, name in enumerate(names)}
        texts = (f", (SELECT value FROM {self.named('shared')} WHERE name = %({place})s)" for place in named)
        return f"SELECT {' + '.join(counts)}{''.join(texts)}", {"_": key, **named}

    def shared(self, name: str) -> Ask:
        return f"SELECT value FROM {self.named('shared')} WHERE name = %s", (name,)

    def watch(self, name: str, kind: str = "") -> Ask:
        """Wait for who swaps this text, and keep others from it, until the transaction ends."""
        return f"SELECT pg_advisory_xact_lock{kind}(hashtextextended(%s, 1))", (f"{self.schema} {name}",)

    def swap(self, name: str, old: str | None, new: str, until: float | None) -> Ask:
        table = self.named("shared")
        if old is None:
            return f"INSERT INTO {table} (name, value, until) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", (
                name,
                new,
                until,
            )
        return f"UPDATE {table} SET value = %s, until = %s WHERE name = %s AND value = %s", (new, until, name, old)

    def swap_all(self, swaps: Sequence[Swap]) -> tuple[Ask, Ask]:
        """Those that are there are locked in the order of their names: two who swap the same wait in one way only."""
        table, columns = (
            self.named("shared"),
            [list(column) for column in zip(*sorted(swaps, key=lambda swap: swap.name), strict=True)],
        )
        lock = f"SELECT FROM {table} WHERE name = ANY(%s) ORDER BY name FOR NO KEY UPDATE"
        put = f"""WITH wanted AS (
            SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::float8[]) AS row (name, was, becomes, until)
          ), moved AS (
            UPDATE {table} AS at SET value = becomes, until = wanted.until FROM wanted
            WHERE at.name = wanted.name AND value = was RETURNING at.name
          ), made AS (
            INSERT INTO {table} (name, value, until) SELECT name, becomes, until FROM wanted
            WHERE was IS NULL ORDER BY name ON CONFLICT DO NOTHING RETURNING name
          ) SELECT name FROM moved UNION ALL SELECT name FROM made"""
        return (lock, (columns[0],)), (put, tuple(columns))

    def named(self, table: str) -> str:
        return f'"{self.schema}"."{table}"'
