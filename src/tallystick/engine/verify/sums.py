"""The kept sums beside the journal: each entity as it was counted, and what all of them add up to.

What was counted of an entity ends with a revision. So the journal up to there has to add up to the sums, and what comes
after it has to be what `tail` gives behind the cursor.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from tallystick.core.entity import Ref
from tallystick.definition.machine import Machines
from tallystick.engine.sums.kept import Mark, call_of, customers_of
from tallystick.engine.sums.tally import CallOf, flow, put, seen_after, standing
from tallystick.engine.verify.report import UNREADABLE, Finding, name_of
from tallystick.engine.verify.scratch import Scratch
from tallystick.errors import Invalid, StoreError
from tallystick.store.protocol import Reading
from tallystick.store.rows import EntryRow
from tallystick.store.sums import SUMS, Flow, Seen, Standing

PAGE = 1000  # rows in one look
CALL = "call of "  # before its id, in the scratch
WRONG = "the kept sums, of which reports of large books are made"
AGAIN = "`tallystick verify --sums-again` makes them anew from the journal"


class SumsCheck:
    """Everything about the sums that can be wrong. Without kept sums, or with those of other pages, nothing is."""

    def __init__(self, machines: Machines, reading: Reading, scratch: Scratch) -> None:
        self._reading, self._scratch, self._customers = reading, scratch, customers_of(machines)
        self._mark = Mark.of(reading, machines)
        self._kept = self._every() if self._mark.ours else iter(())
        self._next = next(self._kept, None)
        self._flow: dict[Flow, list[int]] = {}
        self._standing: dict[Standing, list[int]] = {}
        self._wrong: list[str] = []  # entities that were counted as something else
        self._uncounted = self._digest = 0
        self._readable = True
        for each in reading.all_calls() if self._mark.ours else ():
            try:
                call = call_of(each.machine, each.entity, each.args, each.outcome)
            except UNREADABLE:  # said where calls are compared
                self._readable = False
            else:
                scratch.answer(CALL + each.id, json.dumps((call.machine, call.entity, call.told)))

    def _every(self) -> Iterator[Seen]:
        after = ("", "")
        query = f"SELECT {', '.join(Seen._fields)} FROM _seen WHERE (machine, entity) > (?, ?) ORDER BY machine, entity"
        while rows := self._reading.select(f"{query} LIMIT {PAGE}", after):
            yield from map(Seen._make, rows)
            after = rows[-1][0], rows[-1][1]

    def through(self, ref: Ref, rows: Iterator[EntryRow]) -> Iterator[EntryRow]:
        """The same entries of an entity; what was counted of them is added up."""
        if not self._mark.ours:
            yield from rows
            return
        kept = self._at(ref)
        seen: Seen | None = None
        lines: dict[Flow, list[int]] = {}
        for row in rows:
            try:
                if kept is not None and row.revision <= kept.revision:
                    seen = seen_after(row, seen, self._customers)
                    put(lines, flow(row, "", "", self._call(row)))
                else:
                    self._uncounted += 1
                    self._digest += int(row.hash[:15], 16)
            except UNREADABLE:  # said where the entry is replayed
                self._readable = False
            yield row
        if kept is None:
            return
        if seen != kept:
            self._wrong.append(name_of(ref))
        put(self._flow, ((key._replace(kind=kept.kind, card_set=kept.card_set), sums) for key, sums in lines.items()))
        if seen is not None:
            put(self._standing, standing(seen, self._customers))

    def _call(self, row: EntryRow) -> CallOf | None:
        text = self._scratch.answered(CALL + row.call) if row.call is not None else None
        return CallOf(*json.loads(text)) if text is not None else None

    def _at(self, ref: Ref) -> Seen | None:
        while self._next is not None and self._next[:2] < ref:
            self._wrong.append(name_of((self._next.machine, self._next.entity)))  # the journal does not know it
            self._next = next(self._kept, None)
        if self._next is None or self._next[:2] != ref:
            return None
        found, self._next = self._next, next(self._kept, None)
        return found

    def findings(self) -> Iterator[Finding]:
        """Once every entity went through. Of a journal that cannot be read nothing can be said."""
        if not (self._mark.ours and self._readable):
            return
        self._at(("~", "~"))
        if self._wrong:
            more = f", and {len(self._wrong) - 1} more" if len(self._wrong) > 1 else ""
            yield _finding(f"{self._wrong[0]}{more} was not counted as the journal has it")
        sums: tuple[tuple[str, Mapping[Flow, list[int]] | Mapping[Standing, list[int]]], ...]
        sums = ("_flow", self._flow), ("_standing", self._standing)
        for table, expected in sums:
            columns, added = SUMS[table]
            keys = len(columns) - len(added)
            rows = self._reading.select(f"SELECT {', '.join(columns)} FROM {table}")
            found = {tuple(row[:keys]): [*map(int, row[keys:])] for row in rows if any(row[keys:])}
            wanted = {tuple(key): each for key, each in expected.items() if any(each)}
            wrong = [key for key in {**wanted, **found} if wanted.get(key) != found.get(key)]
            if wrong:
                yield _finding(f"{len(wrong)} of {len({**wanted, **found})} rows of {table} are not what the journal "
                               "adds up to")  # fmt: skip
        if (self._uncounted, self._digest) != self._behind():
            yield _finding("they do not end where it stands in the books that they end")

    def _behind(self) -> tuple[int, int]:
        """How many entries come behind the cursor, and what tells them from others."""
        count = digest = 0
        cursor = self._mark.cursor
        try:
            while True:
                rows, cursor = self._reading.tail(cursor, PAGE, settled=False)
                if not rows:
                    return count, digest
                count += len(rows)
                digest += sum(int(row.hash[:15], 16) for row in rows)
        except (Invalid, StoreError, ValueError):  # of an entry that is gone
            return -1, -1


def _finding(what: str) -> Finding:
    return Finding("sums", WRONG, f"{what}; {AGAIN}")
