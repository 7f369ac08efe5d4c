"""Up to where the kept sums are; bringing them up to date; and what a report takes of them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import attrs

from tallystick.core.entity import Ref
from tallystick.definition.machine import Machines
from tallystick.engine.sums.tally import CallOf, Customers, Day, Tally, day_of
from tallystick.errors import Invalid, StoreError
from tallystick.store.protocol import Reading, Store, Transaction
from tallystick.store.rows import EntryRow, encode
from tallystick.store.sums import NAME, Flow, KeepsSums, Seen, Standing

LOG = logging.getLogger("tallystick.books")

PIECE = 5000  # entries of one transaction
MOST = 5000  # entries behind the cursor that a report counts itself
AT_ONCE = 400  # names in one query
FORMAT = 2  # of the sums: raise it when entries are counted otherwise


@attrs.frozen
class Mark:
    """Where the sums of some books are."""

    text: str | None  # as it stands in the books
    cursor: str | None  # of the last entry that was counted
    ours: bool  # they were counted as we count

    @classmethod
    def of(cls, reading: Reading, machines: Machines) -> Mark:
        text = reading.shared(NAME)
        try:
            kept = json.loads(text) if text is not None else {}
            return cls(text, kept.get("cursor"), text is not None and kept["by"] == _by(machines))
        except (AttributeError, KeyError, TypeError, ValueError):  # somebody has changed it
            return cls(text, None, False)


def customers_of(machines: Machines) -> Customers:
    """Of each ledger, the commands that a customer is behind, by its newest page."""
    return {
        machine.name: frozenset(name for name, command in machine.commands.items() if command.customer)
        for machine in machines.values()
        if machine.figures
    }


def _by(machines: Machines) -> str:
    said = [FORMAT, sorted((name, sorted(commands)) for name, commands in customers_of(machines).items())]
    return hashlib.sha256(encode(said).encode()).hexdigest()[:16]


def _knows(reading: Reading, machines: Machines) -> bool:
    """Whether no process has newer pages than this one."""
    kept = reading.select("SELECT name, max(version) FROM machine GROUP BY name")
    return all(name in machines and version <= machines[name].version for name, version in kept)


# Bringing them up to date


@attrs.frozen
class _Piece:
    mark: Mark
    anew: bool
    tally: Tally
    cursor: str
    full: bool

    def write(self, machines: Machines, transaction: Transaction) -> bool:
        """False: somebody else has counted meanwhile."""
        assert isinstance(transaction, KeepsSums)
        if not transaction.swap(NAME, self.mark.text, encode({"cursor": self.cursor, "by": _by(machines)})):
            return False
        transaction.count(self.tally.counted(), anew=self.anew)
        return True


def bring(store: Store, machines: Machines, *, until: Callable[[], bool] = lambda: False) -> bool:
    """Count what was not counted yet, until that is all, or `until` says that it is enough. Whether that was all.

    It is also False if the store keeps no sums, or another process has newer pages than this one.

    Raises:
        StoreError: the database refuses it. What was counted before stays counted.
    """
    if not store.run(lambda transaction: isinstance(transaction, KeepsSums)):
        return False
    while True:
        with store.reading() as reading:
            piece = _piece(reading, machines)
        if piece is None:
            return False
        if not piece.tally.seen and not piece.anew:
            return True
        done = store.run(partial(piece.write, machines))
        if done and not piece.full:
            return True
        if until():
            return False


def _piece(reading: Reading, machines: Machines) -> _Piece | None:
    if not _knows(reading, machines):
        return None
    mark = Mark.of(reading, machines)
    anew = not mark.ours and (mark.text is not None or bool(reading.select("SELECT 1 FROM _seen LIMIT 1")))
    try:
        rows, cursor, full = _next(reading, None if anew else mark.cursor, anew=anew)
    except Invalid:  # of entries that are gone
        anew = True
        rows, cursor, full = _next(reading, None, anew=anew)
    before = {} if anew else seen_of(reading, refs_of(rows))
    return _Piece(mark, anew, _tally(reading, rows, customers_of(machines), before), cursor, full)


def _next(reading: Reading, at: str | None, *, anew: bool) -> tuple[list[EntryRow], str, bool]:
    """What comes behind a cursor, the cursor behind that, and whether more may come."""
    size = PIECE
    while True:
        rows, cursor = reading.tail(at, size)
        full = len(rows) == size
        before = {} if anew else seen_of(reading, refs_of(rows))
        while 0 < (most := _in_a_row(rows, before)) < len(rows):
            rows, cursor = reading.tail(at, most)
        if most == len(rows):
            return rows, cursor, full
        if not full:
            return [], at or "", False
        size *= 2  # what the first of them waits for comes later


def _in_a_row(rows: Sequence[EntryRow], before: Mapping[Ref, Seen]) -> int:
    """How many come before one of which an earlier revision was not counted and is not among them.

    PostgreSQL may give the later of two entries first: its transaction took its number before it waited for the other.
    """
    there = {(row.machine, row.entity, row.revision) for row in rows}
    for place, row in enumerate(rows):
        counted = before.get((row.machine, row.entity))
        first = counted.revision if counted is not None else 0
        if row.revision != first + 1 and (row.machine, row.entity, row.revision - 1) not in there:
            return place
    return len(rows)


def keep_up(store: Store, machines: Machines, *, until: Callable[[], bool] = lambda: False) -> None:
    """Bring the sums of large books up to date, as far as this process may. Small books are read as they are."""
    try:
        with store.reading() as reading:
            newest = reading.chronicle(1)
        if newest and newest[0].seq > MOST:
            bring(store, machines, until=until)
    except StoreError as error:  # reports are made all the same
        LOG.info("the sums of reports were not kept up", extra={"why": str(error)})


def forget(store: Store) -> None:
    """Let the sums be made anew by whoever counts next."""
    while (text := store.load(NAME)) is not None and text != "{}":
        store.swap(NAME, text, "{}")


# What a report takes


@attrs.frozen
class Sums:
    """The kept sums and what came after them: together, all that can be seen in one look."""

    flow: Mapping[Flow, Sequence[int]]
    standing: Mapping[Standing, Sequence[int]]
    seen: Mapping[Ref, Seen]  # entities that came after the cursor, as they are now


def summed(reading: Reading, machines: Machines, *, day: Day = day_of, most: int = MOST) -> Sums | None:
    """None: nothing is kept, more than `most` entries were not counted yet, or other pages counted."""
    mark = Mark.of(reading, machines)
    if not (mark.ours and _knows(reading, machines)):
        return None
    try:
        rows, _ = reading.tail(mark.cursor, most + 1, settled=False)
    except Invalid:
        return None
    if len(rows) > most:
        return None
    tally = _tally(reading, rows, customers_of(machines), seen_of(reading, refs_of(rows)), day)
    return Sums(tally.flow, tally.standing, tally.seen)


def refs_of(rows: Iterable[EntryRow]) -> dict[Ref, None]:
    return dict.fromkeys((row.machine, row.entity) for row in rows)


def _tally(
    reading: Reading, rows: Sequence[EntryRow], customers: Customers, before: Mapping[Ref, Seen], day: Day = day_of
) -> Tally:
    tally = Tally(customers, day)

    def life(old: Seen) -> Iterator[tuple[EntryRow, CallOf | None]]:
        every = [row for row in reading.journal(old.machine, old.entity) if row.revision <= old.revision]
        calls = calls_of(reading, every)
        return ((row, calls.get(row.call or "")) for row in every)

    tally.add(rows, before, calls_of(reading, rows), life)
    return tally


def seen_of(reading: Reading, refs: Iterable[Ref]) -> dict[Ref, Seen]:
    """How these were counted."""
    found: dict[Ref, Seen] = {}
    by_machine: dict[str, list[str]] = {}
    for machine, id in refs:
        by_machine.setdefault(machine, []).append(id)
    for machine, ids in by_machine.items():
        for some in _chunks(ids):
            marks = ", ".join("?" * len(some))
            query = f"SELECT {', '.join(Seen._fields)} FROM _seen WHERE machine = ? AND entity IN ({marks})"
            found |= {(row[0], row[1]): Seen._make(row) for row in reading.select(query, [machine, *some])}
    return found


def calls_of(reading: Reading, rows: Iterable[EntryRow]) -> dict[str, CallOf]:
    """The calls that entries are of."""
    found: dict[str, CallOf] = {}
    ids = dict.fromkeys(row.call for row in rows if row.call is not None)
    for some in _chunks([*ids]):
        marks = ", ".join("?" * len(some))
        query = f"SELECT id, machine, entity, CAST(args AS text), outcome FROM call WHERE id IN ({marks})"
        for id, machine, entity, args, outcome in reading.select(query, some):
            found[id] = call_of(machine, entity, args, outcome)
    return found


def call_of(machine: str, entity: str, args: str, outcome: str | None) -> CallOf:
    """It is about what the provider did, else about what it was asked."""
    told = json.loads(outcome).get("amount") if outcome else None
    return CallOf(machine, entity, int(told if told is not None else json.loads(args).get("amount") or 0))


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[at : at + AT_ONCE] for at in range(0, len(ids), AT_ONCE))
