"""What one consistent look reads from PostgreSQL, and how it is asked for.

All that is asked for together goes in one pipeline, a single trip to the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import attrs
import psycopg
from psycopg.rows import TupleRow, tuple_row

from tallystick.core.entity import Entity, Ref
from tallystick.definition.machine import Machines
from tallystick.errors import Invalid, StoreError
from tallystick.store import schema
from tallystick.store.cursor import not_a_cursor
from tallystick.store.postgres.schema import RESTORED, PostgresTable, Schema
from tallystick.store.postgres.statements import Ask, Statements, among
from tallystick.store.protocol import UNFINISHED, DeclaredStep, Depth, Found, KeptPage
from tallystick.store.rows import CallRow, EntryRow, QueueRow
from tallystick.store.waits import Scheduled, Waits, depth, scheduled

AT_ONCE = 500  # rows that a long look fetches in one trip: what it holds in memory, however large the books are
_MARK = re.compile(r"'(?:[^']|'')*'|\?")  # a text in SQL, or the mark for a value
Cursor = psycopg.Cursor[TupleRow]


@attrs.frozen
class Known:
    """What the machines of a store are, for whoever reads or writes there."""

    statements: Statements
    machines: Machines
    tables: Mapping[str, PostgresTable]
    order: Sequence[str]  # names of machines: who links comes before whom it links to
    watched: set[str]  # shared texts that transactions ask for: from the second on they are read with the lock


def known(statements: Statements, machines: Machines) -> Known:
    tables = {name: PostgresTable(machines.versions(name), machines, statements) for name in machines}
    order = _order({name: set(each.links.values()) for name, each in tables.items()})
    return Known(statements, machines, tables, order, set())


def _order(links: Mapping[str, set[str]]) -> list[str]:
    """Machines so that who links comes before whom it links to. A circle is broken by name."""
    done: list[str] = []
    left = dict(sorted(links.items()))
    while left:
        linked = {target for name, targets in left.items() for target in targets if target != name}
        free = [name for name in left if name not in linked] or list(left)[:1]
        done += free
        left = {name: targets for name, targets in left.items() if name not in free}
    return done


class PostgresReading:
    """One consistent look, or what a transaction reads. The first statement begins it."""

    BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    LOCKING = ""

    def __init__(
        self, connection: psycopg.Connection[Any], known: Known, settings: str = "", *, begun: bool = False
    ) -> None:
        """`settings`: a statement that is sent after BEGIN. `begun`: it is the caller's transaction."""
        self._connection, self._known, self._settings = connection, known, settings
        self._statements, self._tables = known.statements, known.tables
        self._begun, self._joined = begun, begun

    # Asking

    def _trip(self, *asks: Ask) -> list[Cursor]:
        """All that is to be said before, and these; gives a cursor for each of these. One trip to the server."""
        before = self._before()
        together = len(before) + len(asks) > 1
        with pipeline(self._connection) if together else nullcontext():
            for ask in before:
                self._execute(ask)
            return [self._execute(ask) for ask in asks]

    def _before(self) -> list[Ask]:
        if self._begun:
            return []
        self._begun = True
        return [(self.BEGIN, ()), *([(self._settings, ())] if self._settings else [])]

    def _execute(self, ask: Ask) -> Cursor:
        """On a cursor of our own: the caller's connection may give rows in another shape.

        There nothing is prepared either, because after an error psycopg and the server would not agree on it.
        """
        cursor = psycopg.Cursor(self._connection, row_factory=tuple_row)
        return cursor.execute(*ask, prepare=False if self._joined else None)

    def _rows(self, query: str, *values: Any) -> list[TupleRow]:
        (cursor,) = self._trip((query, values))
        return cursor.fetchall()

    def _stream(self, query: str, *values: Any) -> Iterator[TupleRow]:
        """Many rows, some at a time."""
        if not self._begun:
            self._trip()
        with psycopg.ServerCursor(self._connection, f"tallystick_{id(object())}", row_factory=tuple_row) as cursor:
            cursor.itersize = AT_ONCE
            yield from cursor.execute(query, values)

    # Entities

    def look(self, refs: Iterable[Ref], keys: Iterable[str] = ()) -> Found:
        """These entities, all that they link to, and what the keys name: in one trip, unless links form a circle."""
        wanted, keys = list(dict.fromkeys(refs)), list(keys)
        found = Found({}, {}, {})
        seen: set[Ref] = set()
        asks = self._aside(keys)
        while wanted or asks:
            seen.update(wanted)
            names, selects = self._selects(wanted)
            cursors = self._trip(*selects, *asks)
            for name, cursor in zip(names, cursors, strict=False):
                table = self._tables[name]
                found.entities.update({(name, row[0]): table.entity(row) for row in cursor.fetchall()})
            if asks and self._read_aside(cursors[-1]):  # most keys are new
                keyed, queued = self._trip((self._statements.keyed, (keys,)), (self._statements.queued, (keys,)))
                found.keyed.update({str(row.key): row for row in map(EntryRow._make, keyed.fetchall())})
                found.queued.update({row[0]: QueueRow(*row) for row in queued.fetchall()})
            asks = []
            wanted = [ref for ref in _linked(self._known, found.entities) if ref not in seen | found.entities.keys()]
        return found

    def _aside(self, keys: list[str]) -> list[Ask]:
        """What is asked in the same trip as the entities, and answered by the last of these statements."""
        return [self._statements.known(keys)] if keys else []

    def _read_aside(self, cursor: Cursor) -> bool:
        """Whether one of the keys is known."""
        row = cursor.fetchone()
        return row is not None and bool(row[0])

    def _selects(self, refs: Iterable[Ref]) -> tuple[list[str], list[Ask]]:
        """Machine by machine, those that are named and those that the ones before link to."""
        ids: dict[str, list[str]] = {}
        for name, id in refs:
            ids.setdefault(self._tables[name].name, []).append(id)
        terms: dict[str, list[tuple[str, list[Any]]]] = {}
        for name, each in ids.items():
            equal, value = among(sorted(each))
            terms[name] = [(f"id {equal}", [value])]
        names: list[str] = []
        asks: list[Ask] = []
        for name in self._known.order:
            if name not in terms:
                continue
            table, values = self._tables[name], [value for _, given in terms[name] for value in given]
            where = " OR ".join(term for term, _ in terms[name])
            names.append(name)
            asks.append((f"{table.select} WHERE {where} ORDER BY id{self.LOCKING}", values))
            for fact, target in table.links.items():
                if target not in names:
                    linked = f'SELECT "{fact}" FROM {table.rows.table} WHERE {where}'
                    terms.setdefault(target, []).append((f"id = ANY(ARRAY({linked}))", values))
        return names, asks

    def entity(self, machine: str, id: str) -> Entity | None:
        return self.entities([(machine, id)]).get((machine, id))

    def entities(self, refs: Iterable[Ref]) -> dict[Ref, Entity]:
        ids: dict[str, list[str]] = {}
        for machine, id in refs:
            ids.setdefault(machine, []).append(id)
        asks = [(f"{self._tables[name].select} WHERE id = ANY(%s) ORDER BY id", (each,)) for name, each in ids.items()]
        found = {}
        for name, cursor in zip(ids, self._trip(*asks) if asks else (), strict=True):
            found.update({(name, row[0]): self._tables[name].entity(row) for row in cursor.fetchall()})
        return found

    def all(self, machine: str) -> Iterator[Entity]:
        table = self._tables[machine]
        yield from map(table.entity, self._stream(f"{table.select} ORDER BY id"))

    def standing(self, machine: str, account: str, *, created_before: str | None = None) -> Iterator[Entity]:
        table = self._tables[machine]
        select = f'{table.select} WHERE "{account}" > 0 AND created < %s ORDER BY created, id'
        yield from map(table.entity, self._stream(select, created_before or "~"))

    def page(self, machine: str, *, state: str | None = None, after: str = "", limit: int) -> list[Entity]:
        table = self._tables[machine]
        which, given = ("AND state = %s ", [state]) if state is not None else ("", [])
        select = f"{table.select} WHERE id > %s {which}ORDER BY id LIMIT %s"
        return [table.entity(row) for row in self._rows(select, after, *given, limit)]

    def ending(self, end: str, limit: int) -> list[Ref]:
        found = []
        for name, table in sorted(self._tables.items()):
            if end and "number" in table.facts:
                where = 'WHERE right("number", %s::int) = %s ORDER BY id LIMIT %s'
                rows = self._rows(f"SELECT id FROM {table.rows.table} {where}", len(end), end, limit)
                found += [(name, id) for (id,) in rows]
        return found[:limit]

    def linked(self, machine: str, fact: str, id: str) -> list[Entity]:
        table = self._tables[machine]
        return [table.entity(row) for row in self._rows(f'{table.select} WHERE "{fact}" = %s ORDER BY id', id)]

    def find(self, text: str) -> list[Ref]:
        asks = []
        for name, table in sorted(self._tables.items()):
            terms = ["id = %s", *(['"number" = %s'] if "number" in table.facts else [])]
            select = f"SELECT '{name}', id FROM {table.rows.table} WHERE {' OR '.join(terms)} ORDER BY id"
            asks.append((select, [text] * len(terms)))
        return [(name, id) for cursor in self._trip(*asks) for name, id in cursor.fetchall()]

    # Entries

    def _entries(self, rest: str, *values: Any) -> list[EntryRow]:
        return [EntryRow._make(row) for row in self._rows(f"{self._statements.entries} {rest}", *values)]

    def keyed(self, keys: Iterable[str]) -> dict[str, EntryRow]:
        return {str(row[KEY]): EntryRow._make(row) for row in self._rows(self._statements.keyed, list(keys))}

    def caused(self, key: str) -> list[EntryRow]:
        return self._entries("WHERE cause = %s ORDER BY seq", key)

    def chronicle(self, last: int) -> list[EntryRow]:
        return self._entries("ORDER BY seq DESC LIMIT %s", last)[::-1]

    def tail(self, after: str | None, limit: int, *, settled: bool = True) -> tuple[list[EntryRow], str]:
        """By transaction, and of those only that began before every one that is still at work.

        A transaction takes its number before its entries, and may commit after one with a greater number. So what is
        at or beyond the oldest that is at work waits until that has ended.
        """
        at = position(after)
        entry, shift = self._statements.entry.table, f"{self._statements.named('_shift')}()"
        finished, begun = (f"(pg_snapshot_{which}(pg_current_snapshot())::text::bigint + {shift})::text::xid8"
                           for which in ("xmin", "xmax"))  # fmt: skip
        where = f"WHERE (xid, seq) > (%s::text::xid8, %s){f' AND xid < {finished}' if settled else ''}"
        # Below, `xid` alone would name the first column that is read, and no index has that.
        newest, rows = self._trip(
            (
                f"SELECT e.xid::text::bigint, e.seq, e.xid < {begun} FROM {entry} AS e "
                "ORDER BY e.xid DESC, e.seq DESC LIMIT 1",
                (),
            ),
            (f"{self._statements.numbered} {where} ORDER BY xid, seq LIMIT %s", (str(at[0]), at[1], limit)),
        )
        *last, ours = newest.fetchone() or (0, 0, True)
        if not ours:
            raise StoreError(RESTORED)
        if at > tuple(last):
            raise Invalid(f"the cursor {after} is of other books: the newest entry of these is {last[0]}.{last[1]}")
        found = rows.fetchall()
        at = (int(found[-1][-1]), found[-1][-2]) if found else at
        return [EntryRow._make(row[:-1]) for row in found], f"{at[0]}.{at[1]}"

    def journal(self, machine: str | None = None, id: str | None = None) -> Iterator[EntryRow]:
        given = {name: value for name, value in (("machine", machine), ("entity", id)) if value is not None}
        where = f"WHERE {' AND '.join(f'{name} = %s' for name in given)}" if given else ""
        select = f"{self._statements.entries} {where} ORDER BY machine, entity, revision"
        for row in self._stream(select, *given.values()):
            yield EntryRow._make(row)

    # Calls

    def _calls(self, rest: str, *values: Any) -> list[CallRow]:
        return [CallRow(*row) for row in self._rows(f"{self._statements.call.select} {rest}", *values)]

    def call(self, id: str) -> CallRow | None:
        return next(iter(self._calls("WHERE id = %s", id)), None)

    def calls(self, *, asked_before: str | None = None) -> list[CallRow]:
        return self._calls("WHERE state = 'open' AND asked < %s ORDER BY asked, id", asked_before or "~")

    def calls_on(self, machine: str, id: str) -> list[CallRow]:
        return self._calls("WHERE machine = %s AND entity = %s ORDER BY opened, id", machine, id)

    def late_answers(self) -> list[CallRow]:
        return self._calls("WHERE late IS NOT NULL AND unclear ORDER BY closed, id")

    def all_calls(self) -> Iterator[CallRow]:
        for row in self._stream(f"{self._statements.call.select} ORDER BY id"):
            yield CallRow(*row)

    def taking(self, value: str) -> CallRow | None:
        return next(iter(self._calls("WHERE takes = %s AND state = 'open'", value)), None)

    def claiming(self, transaction: str) -> CallRow | None:
        return next(iter(self._calls("WHERE claims = %s", transaction)), None)

    # Queue

    def _queue(self, rest: str, *values: Any) -> list[QueueRow]:
        return [QueueRow(*row) for row in self._rows(f"{self._statements.queue.select} {rest}", *values)]

    def queued(self, keys: Iterable[str]) -> dict[str, QueueRow]:
        return {row.key: row for row in self._queue("WHERE key = ANY(%s)", list(keys))}

    def due(self, now: str, limit: int) -> list[QueueRow]:
        return self._queue("WHERE state = 'waiting' AND due <= %s ORDER BY due, key LIMIT %s", now, limit)

    def following(self, cause: str) -> list[QueueRow]:
        return self._queue("WHERE cause = %s ORDER BY key", cause)

    def waiting(self, machine: str, id: str) -> list[QueueRow]:
        return self._queue("WHERE state = 'waiting' AND machine = %s AND entity = %s ORDER BY due, key", machine, id)

    def waits(self, which: Waits) -> list[QueueRow]:
        rest, values = which.sql("%s")
        return self._queue(rest, *values)

    def scheduled(self, now: str) -> list[Scheduled]:
        return sorted(Scheduled(*row) for row in self._rows(scheduled(self._statements.named("queue"), "%s"), now))

    def queue(self, *, state: str | None = None) -> list[QueueRow]:
        if state is None:
            return self._queue("ORDER BY due, key")
        indexed = f"{schema.GIVEN_UP} AND " if state in ("refused", "declined", "parked") else ""
        return self._queue(f"WHERE {indexed}state = %s ORDER BY due, key", state)

    def all_queued(self) -> Iterator[QueueRow]:
        for row in self._stream(f"{self._statements.queue.select} ORDER BY key"):
            yield QueueRow(*row)

    def depth(self, now: str) -> Depth:
        table = self._statements.named("queue")
        given_up = f"SELECT state, count(*) FROM {table} WHERE {schema.GIVEN_UP} GROUP BY state"
        counted, states = self._trip((depth(table, "%s"), (now, now)), (given_up, ()))
        count, dated, due, oldest = counted.fetchone() or (0, 0, 0, None)
        found = {"waiting": count, **dict(states.fetchall())}
        return Depth({state: found.get(state, 0) for state in UNFINISHED}, due, oldest, dated)

    # Definitions and shared texts

    def select(self, query: str, values: Sequence[object] = ()) -> list[TupleRow]:
        path = f'SET LOCAL search_path TO "{self._statements.schema}"'
        asked = _MARK.sub(lambda found: "%s" if found[0] == "?" else found[0], query.replace("%", "%%"))
        return self._trip((path, ()), (asked, values))[1].fetchall()

    def pages(self) -> list[KeptPage]:
        if not self._begun:
            self._trip()
        return Schema(self._connection, self._statements.schema).pages()

    def steps(self) -> set[DeclaredStep]:
        select = "SELECT machine, machine_version, name, command, phase, from_state, to_state"
        return set(self._rows(f"{select} FROM {self._statements.named('transition')}"))

    def shared(self, name: str) -> str | None:
        (cursor,) = self._trip(self._statements.shared(name))
        row = cursor.fetchone()
        return row[0] if row else None

    def texts(self, names: Sequence[str]) -> dict[str, str]:
        table = self._statements.named("shared")
        return dict(self._rows(f"SELECT name, value FROM {table} WHERE name = ANY(%s)", list(names)))


@contextmanager
def pipeline(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """A pipeline that ends in its first error. psycopg would log one more for the pipeline's own end."""
    first: psycopg.Error | None = None
    try:
        with connection.pipeline():
            try:
                yield
            except psycopg.Error as error:
                first = error
    except psycopg.Error as error:
        first = first or error
    if first is not None:
        raise first


KEY = EntryRow._fields.index("key")


def position(cursor: str | None) -> tuple[int, int]:
    """The transaction and the number of the last entry that was read; zeros for none. Raises Invalid."""
    if cursor is None:
        return 0, 0
    if not (isinstance(cursor, str) and re.fullmatch(r"[0-9]{1,18}\.[0-9]{1,18}", cursor)):
        raise not_a_cursor(cursor)
    xid, _, seq = cursor.partition(".")
    return int(xid), int(seq)


def _linked(known: Known, entities: Mapping[Ref, Entity]) -> dict[Ref, None]:
    """All that these link to."""
    return {
        (target, str(entity.facts[fact])): None
        for entity in entities.values()
        for fact, target in known.machines.at(entity.machine, entity.machine_version).links.items()
        if entity.facts.get(fact) is not None
    }
