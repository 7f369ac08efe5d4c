"""What a fleet of processes does of the queue: what is due, in groups, each under a guard.

Whoever drains a group has a lease on its roots (see `roots`). The guard says whether it still has. It is asked
inside the transaction that executes a command, after the entities are locked. So a process that has slept too long, and
whose lease has gone to another one meanwhile, executes nothing more. The lease keeps the order; that nothing is done
twice is kept by the key and the queue's row, which are in the same commit.

With a local provider, whole groups are done in one transaction. With a remote one, commands go one by one, and the
group ends where an answer is in doubt. The card's next command waits until that call has ended. So commands keep their
order at the provider too, and no look-up has to tell two of them apart. A call that waits for a person holds up nobody.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

import attrs

from tallystick.core.entity import Entity, Ref
from tallystick.definition.machine import Machines
from tallystick.engine.calls import in_doubt
from tallystick.engine.group_commit import GroupCommit
from tallystick.engine.queue import rows as queue_rows
from tallystick.engine.queue.batch import Batch, is_ready, refused
from tallystick.engine.queue.declared_order import in_declared_order
from tallystick.engine.queue.parts import readable
from tallystick.engine.queue.roots import Root, grouped_by_root, roots
from tallystick.engine.receipt import Command, Ended, Receipt
from tallystick.engine.unit_of_work import Guard, Job, UnitOfWork, guarded
from tallystick.errors import Invalid
from tallystick.masks import quoted
from tallystick.store.protocol import Lookup, Reading, Store
from tallystick.store.rows import CallRow, QueueRow, is_changed, stamp

LOG = logging.getLogger("tallystick.fleet")


class LeaseLost(Invalid):
    """Somebody else has taken over what this process was about to do. Nothing moved here; the keys stay good.

    A worker hears it and goes on with the next group. HTTP 409.
    """


class CallOpen(LeaseLost):
    """A call of the card has been opened since it was listed. Nothing moved; the key is taken up once that has ended.

    HTTP 409.
    """


LeaseCheck = Callable[[Lookup], None]  # whether the lease is still held; raises LeaseLost


class Group(NamedTuple):
    """What is due about one card, or about cards that hang together."""

    keys: tuple[str, ...]  # of the commands, in the order of their times
    roots: tuple[Root, ...]  # what to have a lease on
    waits: bool  # for a call that may still end by itself


@attrs.frozen(eq=False, repr=False)
class Drain:
    """Groups of commands that are due. Thread-safe; any number of processes may drain, each with leases."""

    _machines: Machines
    _store: Store
    _commits: GroupCommit
    _batch: Batch  # for a local provider
    _execute: Callable[[Command, Guard], Receipt]
    _clock: Callable[[], datetime]
    _said: set[str] = attrs.field(factory=set, init=False)  # keys of those that could not be read at the last look

    # What is due

    def due(self, limit: int) -> tuple[list[Group], bool]:
        """Groups of the first `limit` commands that are due, the longest waiting first; and whether these are all."""
        with self._store.reading() as reading:
            rows = reading.due(stamp(self._clock()), limit)
            return self._groups(reading, rows), len(rows) < limit

    def about(self, ref: Ref) -> list[Group]:
        """Groups of what is due about the roots of one entity and all that link to them: a card and its payments."""
        with self._store.reading() as reading:
            found = roots(reading.look([ref]).entities, self._machines).get(ref, [])
            linked = {each: None for root in found if len(root) == 2 for each in self._linked(reading, root)}
            rows = [row for each in linked for row in reading.waiting(*each)]
            now = stamp(self._clock())
            due = sorted((row for row in rows if row.due <= now), key=lambda row: (row.due, row.key))
            return self._groups(reading, due)

    def _linked(self, reading: Reading, ref: Ref) -> list[Ref]:
        found, wanted = dict[Ref, None](), [ref]
        while wanted:
            machine, id = each = wanted.pop()
            if each in found:
                continue
            found[each] = None
            facts = {
                (page.name, fact) for page in self._machines.all() for fact, to in page.links.items() if to == machine
            }
            wanted += [entity.ref for name, fact in sorted(facts) for entity in reading.linked(name, fact, id)]
        return list(found)

    def _groups(self, reading: Reading, rows: Sequence[QueueRow]) -> list[Group]:
        """What somebody has changed in the database is left alone, and what this process cannot read."""
        entities, why = readable(reading, self._machines, [row for row in rows if not is_changed(row)])
        self._say(why)
        rows = [row for row in rows if row.key not in why]
        causes = reading.keyed({row.cause for row in rows if row.cause is not None})
        due = [row for row in in_declared_order(self._machines, causes, rows) if not is_changed(row)]
        roots_of = roots(entities, self._machines)
        waits = self._roots_with_open_calls(reading, entities, roots_of)
        groups = grouped_by_root((row.key, roots_of[row.machine, row.entity]) for row in due)
        return [Group(tuple(keys), tuple(found), not waits.isdisjoint(found)) for keys, found in groups]

    def _say(self, left_alone: Mapping[str, str]) -> None:
        for key in left_alone.keys() - self._said:
            LOG.warning("command left alone", extra={"key": key, "why": left_alone[key]})
        self._said.clear()
        self._said.update(left_alone)

    def _roots_with_open_calls(
        self, reading: Reading, entities: Mapping[Ref, Entity], roots_of: Mapping[Ref, Sequence[Root]]
    ) -> set[Root]:
        """The roots of entities with a call that may still end by itself: not by a person."""
        asking = [entity.ref for entity in entities.values() if entity.calls]
        return {each for ref in asking for row in reading.calls_on(*ref) if _may_end(row) for each in roots_of[ref]}

    # What is done of it

    def one_by_one(self, keys: Iterable[str], check_lease: LeaseCheck) -> Iterator[Receipt]:
        """Execute these, each with what follows it at once, until an answer is in doubt. For a remote provider.

        Raises:
            LeaseLost: it is not held any more, or a call of the card is open. What was begun before has ended.
        """
        left = deque(keys)
        while left:
            with self._store.reading() as reading:
                row = reading.queued([key := left.popleft()]).get(key)
            if row is None or not is_ready(row, stamp(self._clock())):
                continue
            receipt = self._execute_one(row, check_lease)
            yield receipt
            if receipt.result is Ended.IN_DOUBT:
                return
            left.extendleft(reversed(receipt.follow_ups))

    def together(
        self, groups: Sequence[Sequence[str]], lost: Callable[[Lookup], Container[int]], patience: float | None = None
    ) -> list[list[Receipt] | LeaseLost]:
        """Execute groups in one transaction, each with what follows at once. For a local provider.

        `lost`: which of the groups others have taken over; asked once, after all entities were locked. `patience`:
        seconds to wait for a lock; None: as long as the store waits.
        """
        with self._store.reading() as reading:
            rows = reading.queued([key for keys in groups for key in keys])
        asked = _AskedOnce(lost)
        return self._commits.submit([
            attrs.evolve(guarded(self._batch.job(rows, keys), partial(asked.guard, number)), patience=patience)
            for number, keys in enumerate(groups)
        ])  # fmt: skip

    def _execute_one(self, row: QueueRow, check_lease: LeaseCheck) -> Receipt:
        try:
            receipt = self._execute(
                queue_rows.command_of(row), partial(_may_ask, check_lease, (row.machine, row.entity))
            )
        except LeaseLost:
            raise
        except Invalid as error:
            receipt = refused(row, error)
        if receipt.result is Ended.REFUSED:
            put_off = Job(
                partial(queue_rows.put_off, key=row.key, receipt=receipt), [(row.machine, row.entity)], [row.key]
            )
            self._commits.one(guarded(put_off, partial(_lease_is_held, check_lease)))
        return receipt


@attrs.define
class _AskedOnce:
    """Which groups are lost, asked by the first of them that a transaction comes to."""

    _ask: Callable[[Lookup], Container[int]]
    _work: UnitOfWork | None = None
    _lost: Container[int] = ()

    def guard(self, number: int, work: UnitOfWork) -> None:
        if self._work is not work:  # another transaction: the one before was undone
            self._work, self._lost = work, self._ask(work.books)
        if number in self._lost:
            raise LeaseLost("a card has gone to another worker; it does what is left to do")


def _lease_is_held(check_lease: LeaseCheck, work: UnitOfWork) -> None:
    check_lease(work.books)


def _may_ask(check_lease: LeaseCheck, ref: Ref, work: UnitOfWork) -> None:
    """The lease is held, and no call that may still end by itself is open on the card."""
    check_lease(work.books)
    for each in in_doubt.linked(work, ref):
        if work.world[each].calls and any(map(_may_end, work.books.calls_on(*each))):
            raise CallOpen(f"a call of {each[0]} {quoted(each[1])} is open since it was listed")


def _may_end(row: CallRow) -> bool:
    return row.state == "open" and not row.unclear and not is_changed(row)
