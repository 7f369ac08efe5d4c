"""One unit of work: what a transaction has locked and read, and what it will write at its end.

Entities are read once. From then on they are here, as the commands before have left them. The store is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import attrs

from tallystick.core.entity import Entity, Ref
from tallystick.definition.machine import Machines
from tallystick.engine.pin_policy import Pins
from tallystick.engine.sealing import Numbers
from tallystick.store.protocol import Found, Lookup
from tallystick.store.rows import CallRow, Changes, EntryRow, QueueRow, is_later

# `Transaction.lock`, or `Reading.look` if nothing is written
Load = Callable[[Iterable[Ref], Iterable[str]], Found]
# (attempts, patient) → the state of a queued command, and when it is due
Later = Callable[[int, bool], tuple[str, str]]


@attrs.define(eq=False, repr=False)
class UnitOfWork:
    machines: Machines
    books: Lookup
    load: Load
    at: str  # the time of everything that is written here
    ids: Callable[[], str]
    later: Later
    numbers: Numbers  # how card numbers stand in the books
    pins: Pins  # which cards are used only with their PIN
    abilities: Collection[str]  # of the provider
    world: dict[Ref, Entity] = attrs.field(factory=dict)
    keyed: dict[str, EntryRow] = attrs.field(factory=dict)  # by key, the entry that carries it
    queue: dict[str, QueueRow] = attrs.field(factory=dict)  # by key
    changes: Changes = attrs.field(factory=Changes)
    given: dict[tuple[str, object], list[Ref]] = attrs.field(factory=dict)  # by machine and value: who got it here

    def lock(self, refs: Iterable[Ref], keys: Iterable[str] = ()) -> None:
        """Lock and read these entities, all that they link to, and what the keys name.

        An entity that was changed here stays as it is.
        """
        found = self.load(refs, keys)
        self.world = found.entities | self.world
        self.keyed |= found.keyed
        self.queue |= found.queued

    def follows(self, machine: str, id: str) -> list[str]:
        """Keys of follow-ups that an entity waits for; what its page has put off to a later time is none of them."""
        rows = {row.key: row for row in self.books.waiting(machine, id)} | self.changes.queue
        found = [row for row in rows.values() if row.state == "waiting" and row.cause is not None]
        found = [row for row in found if (row.machine, row.entity) == (machine, id)]
        return [row.key for row in found if not is_later(row, self.at) or self._at_once(row)]

    def _at_once(self, row: QueueRow) -> bool:
        """Whether it only seems to be put off, because the clock was set back after it was queued."""
        cause = str(row.cause)
        there = [self.keyed.get(cause) or self.books.keyed([cause]).get(cause), *self.books.caused(cause)]
        return any(entry is not None and row.due <= entry.at for entry in there)

    def having(self, machine: str, value: str) -> list[Entity]:
        """The entities of a machine whose unique fact has this value: one of each currency, at most."""
        fact = self.machines[machine].unique
        if fact is None:
            return []
        found = {each.ref: each for each in self.books.linked(machine, fact, value)}
        found |= {ref: self.world[ref] for ref in self.given.get((machine, value), ())}
        found |= {ref: self.changes.entities[ref] for ref in found if ref in self.changes.entities}
        return [each for each in found.values() if each.facts.get(fact) == value]

    def taking(self, value: str) -> CallRow | None:
        """The open call that takes this value."""
        for row in self.changes.calls.values():
            if row.takes == value and row.state == "open":
                return row
        there = self.books.taking(value)
        return None if there is None or there.id in self.changes.calls else there

    def enqueue(self, row: QueueRow) -> QueueRow:
        """Put a queued command under its key, in place of what was there."""
        self.queue[row.key] = self.changes.queue[row.key] = row
        return row


# Asked inside a transaction, after its entities are locked; raises an Invalid if the job may not be done
Guard = Callable[[UnitOfWork], None]


@attrs.define(eq=False, repr=False)
class Job:
    """A deed inside a transaction, and what it has to lock before."""

    do: Callable[[UnitOfWork], Any]
    refs: Iterable[Ref] = ()
    keys: Iterable[str] = ()
    call: str | None = None  # with its card, everybody who takes part in it, and its key
    patience: float | None = None  # seconds to wait for a lock; None: as long as the store waits


def guarded(job: Job, guard: Guard) -> Job:
    """The same job, done only if its guard has nothing against it."""

    def do(work: UnitOfWork) -> Any:
        guard(work)
        return job.do(work)

    return attrs.evolve(job, do=do)
