"""Entities move to the newest version of their page: foretold, refused as a whole, or one entry for each.

First everything is looked at. If something is in the way of one entity, none is moved, and what it is is said with a
count. Then entities are moved in portions, each a transaction of its own, so whoever is stopped goes on where it
stopped. Others may use the books meanwhile. What has come in the way of an entity since the look is looked at again
under its lock; that entity stays where it is, and is told at the end. A process that has not got the newer page
refuses an entity that has moved, and changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from sys import intern
from typing import Any, NamedTuple

import attrs

from tallystick.core.entity import Entity, Ref
from tallystick.core.migration import in_the_way, move, takes, takes_all
from tallystick.definition.declared import MIGRATE
from tallystick.definition.machine import Machine, Machines
from tallystick.engine.group_commit import GroupCommit
from tallystick.engine.journal import write_down
from tallystick.engine.keys import fingerprint
from tallystick.engine.queue import listing
from tallystick.engine.queue.rows import ENDED
from tallystick.engine.receipt import LONGEST_NAME
from tallystick.engine.unit_of_work import Job, UnitOfWork
from tallystick.errors import Invalid, NotFound
from tallystick.store.protocol import Reading, Store
from tallystick.store.rows import QueueRow, Stamp

PORTION = 200  # entities in one transaction: others wait no longer than for that
EXAMPLES = 3  # ids that stand for all
EACH = 1000  # entities after which progress is told

Progress = Callable[[int, int], object]  # how many entities, of about how many


@attrs.frozen
class Group:
    """The entities of one machine that stand on one older version."""

    machine: str
    version: int  # on which they stand
    to: int
    entities: int
    states: Mapping[tuple[str, str], int]  # (state, state afterwards) → how many
    money: Mapping[tuple[str, str, str], int]  # (account, account afterwards, currency) → minor units
    calls: Mapping[str, int]  # verb → open calls that they take part in
    queued: Mapping[str, int]  # command → how often it waits for one of them


@attrs.frozen
class Obstacle:
    """What is in the way, of how many entities, and some of these."""

    machine: str
    version: int
    why: str
    count: int
    examples: Sequence[str]

    def __str__(self) -> str:
        named = ", ".join(self.examples) + (", …" if self.count > len(self.examples) else "")
        return f"{self.machine} version {self.version}: {self.why} ({self.count}: {named})"


@attrs.frozen
class Forecast:
    """What moving would do, and what is in the way of it."""

    groups: Sequence[Group]
    obstacles: Sequence[Obstacle]

    @property
    def entities(self) -> int:
        return sum(each.entities for each in self.groups)


class InTheWay(Invalid):
    """Something is in the way, and nothing was moved; say it again when that is over, no key is used up. HTTP 409."""

    def __init__(self, forecast: Forecast) -> None:
        self.forecast = forecast
        super().__init__("nothing was moved. " + "; ".join(map(str, forecast.obstacles)))

    def __reduce__(self) -> tuple[type[InTheWay], tuple[Forecast]]:
        return InTheWay, (self.forecast,)


@attrs.frozen
class Migrated:
    """What was moved, and what came in the way of others meanwhile: they move when it is said again."""

    moved: int
    left: Sequence[Obstacle]


class _Queued(NamedTuple):
    """What is kept of a queued command meanwhile: a million cards may wait for their date."""

    command: str
    args: str


@attrs.define
class _Found:
    """One group, as it is counted."""

    entities: int = 0
    states: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    money: Counter[tuple[str, str, str]] = attrs.field(factory=Counter)
    calls: Counter[str] = attrs.field(factory=Counter)
    queued: Counter[str] = attrs.field(factory=Counter)


@attrs.define
class _Obstacles:
    counts: Counter[tuple[str, int, str]] = attrs.field(factory=Counter)
    examples: dict[tuple[str, int, str], list[str]] = attrs.field(factory=lambda: defaultdict(list))

    def add(self, entity: Entity, why: str) -> None:
        kind = (entity.machine, entity.machine_version, why)
        self.counts[kind] += 1
        if len(self.examples[kind]) < EXAMPLES:
            self.examples[kind].append(entity.id)

    def all(self) -> list[Obstacle]:
        return [Obstacle(*kind, count, tuple(self.examples[kind])) for kind, count in sorted(self.counts.items())]


def foretell(
    machines: Machines, reading: Reading, names: Sequence[str] = (), progress: Progress | None = None
) -> Forecast:
    """What it would mean to move all entities of these machines (none named: of all) to the newest version there is.

    Raises:
        NotFound: there is no such machine.   Invalid: the books have a later version than the page.
    """
    found: dict[tuple[str, int], _Found] = defaultdict(_Found)
    obstacles, seen = _Obstacles(), 0
    kept = {page.name for page in reading.pages()}
    queued: dict[Ref, list[_Queued]] = defaultdict(list)
    for row in chain(listing.waiting(machines, reading), *(reading.queue(state=state) for state in ENDED)):
        queued[row.machine, row.entity].append(_Queued(intern(row.command), intern(row.args)))
    verbs: dict[Ref, list[str]] = defaultdict(list)
    for call in reading.calls():
        for ref in dict.fromkeys(call.refs):
            verbs[ref].append(call.verb)
    for name in checked(machines, names):
        new = machines[name]
        for entity in reading.all(name) if name in kept else ():
            seen += 1
            if progress is not None and seen % EACH == 0:
                progress(seen, seen)
            if entity.machine_version >= new.version:
                continue
            old = machines.at(name, entity.machine_version)
            waiting = queued.get(entity.ref, [])
            _count(found[name, old.version], new, entity, verbs.get(entity.ref, []), waiting)
            for why in _obstacles(old, new, entity, waiting):
                obstacles.add(entity, why)
    groups = [
        Group(name, version, machines[name].version, each.entities, each.states, each.money, each.calls, each.queued)
        for (name, version), each in sorted(found.items())
    ]
    return Forecast(groups, obstacles.all())


def checked(machines: Machines, names: Sequence[str]) -> list[str]:
    """The names, or all. Raises NotFound: there is no such machine."""
    for name in names:
        if name not in machines:
            raise NotFound("machine", name, list(machines))
    return list(names) or sorted(machines)


def _count(found: _Found, new: Machine, entity: Entity, verbs: Sequence[str], waiting: Sequence[_Queued]) -> None:
    said = new.migrations.get(entity.machine_version)
    states, accounts = (said.states, said.accounts) if said is not None else ({}, {})
    found.entities += 1
    found.states[entity.state, states.get(entity.state, entity.state)] += 1
    for name, amount in entity.accounts.items():
        if amount:
            found.money[name, accounts.get(name, name), entity.currency] += amount
    found.calls.update(verbs)
    found.queued.update(row.command for row in waiting)


def _obstacles(old: Machine, new: Machine, entity: Entity, waiting: Sequence[_Queued | QueueRow]) -> Iterator[str]:
    yield from in_the_way(old, new, entity)
    for row in waiting:
        try:
            why = takes(old, new, row.command, json.loads(row.args))
        except ValueError:
            why = "a queued command was changed in the database; dismiss it"
        if why:
            yield why


class Migration:
    """Moves entities. Thread-safe; any number of processes may do it, and each entity is moved once."""

    def __init__(self, machines: Machines, store: Store, commits: GroupCommit) -> None:
        self._machines, self._store, self._commits = machines, store, commits

    def foretell(self, names: Sequence[str] = (), progress: Progress | None = None) -> Forecast:
        """As `foretell`, with the pages that these books were opened with."""
        with self._store.reading() as reading:
            return foretell(self._machines, reading, names, progress)

    def migrate(
        self, names: Sequence[str] = (), *, by: str | None = None, reason: str | None = None,
        progress: Progress | None = None,
    ) -> Migrated:  # fmt: skip
        """Move every entity of these machines (none named: of all) to the newest version of its page.

        Said again, it goes on where it was stopped.

        Raises:
            InTheWay: of one or more; none was moved.   NotFound: there is no such machine.
        """
        forecast = self.foretell(names)
        if forecast.obstacles:
            raise InTheWay(forecast)
        moved, left = 0, list[Obstacle]()
        for name in checked(self._machines, names):
            while True:  # until nothing is found: others may have made more meanwhile, with the older page
                before, stay = moved, _Obstacles()
                for refs in self._portions(name):
                    here, others = self._commits.one(Job(partial(_move, names=refs, by=by, reason=reason), refs))
                    moved += here
                    for each in others:
                        stay.add(*each)
                    if progress is not None:
                        progress(moved, max(moved, forecast.entities))
                if moved == before:
                    break
            left += stay.all()
        return Migrated(moved, left)

    def _portions(self, name: str) -> Iterator[list[Ref]]:
        """The entities that stand on an older version, by id, so many at a time."""
        after, version = "", self._machines[name].version
        while True:
            with self._store.reading() as reading:
                page = reading.page(name, after=after, limit=EACH)
            refs = [each.ref for each in page if each.machine_version < version]
            yield from (refs[at : at + PORTION] for at in range(0, len(refs), PORTION))
            if not page:
                return
            after = page[-1].id


def _move(work: UnitOfWork, names: Sequence[Ref], **stamp: Any) -> tuple[int, list[tuple[Entity, str]]]:
    """Move these under their lock. How many were moved, and why the others stay."""
    moved, left = 0, []
    for ref in names:
        entity = work.world.get(ref)
        if entity is None or entity.machine_version >= work.machines[ref[0]].version:
            continue  # somebody was faster
        old, new = work.machines.at(ref[0], entity.machine_version), work.machines[ref[0]]
        waiting = [] if takes_all(old, new) else work.books.waiting(*ref)
        why = next(_obstacles(old, new, entity, waiting), None)
        if why is not None:
            left.append((entity, why))
            continue
        plan = move(old, new, entity)
        mark = fingerprint(*ref, MIGRATE, dict(plan.entries[0].args))
        write_down(work, plan, Stamp(_key(new, entity), mark, work.at, **stamp), first=True)
        moved += 1
    return moved, left


def _key(new: Machine, entity: Entity) -> str:
    key = f"migrate/{new.name}/{new.version}/{entity.id}"
    if len(key) <= LONGEST_NAME:
        return key
    return f"migrate/{hashlib.sha256(key.encode()).hexdigest()}"
