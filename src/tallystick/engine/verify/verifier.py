"""All that `verify` looks at, in one look: entities, calls, queue and pages, and the invariants across machines.

Everything is read in the order of its names, beside what it is compared with: an entity beside its entries, a call
beside the entries that are of it. So memory holds one entity, one call and one command at a time, however large the
books are. What has to be put into another order first is noted in `scratch`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import groupby

from tallystick.core.entity import Entity, Ref
from tallystick.core.migration import as_newest
from tallystick.definition.declared import IN_DOUBT, Invariant, Sum
from tallystick.definition.machine import Machine, Machines
from tallystick.engine.keys import fingerprint
from tallystick.engine.sealing import MARK, PREFIX
from tallystick.engine.verify import checkpoint
from tallystick.engine.verify.calls import calls_against_journal
from tallystick.engine.verify.definitions import declared_steps
from tallystick.engine.verify.queue import queue_against_journal
from tallystick.engine.verify.replay import Replay, Replayed, differences
from tallystick.engine.verify.report import UNREADABLE, Checkpoint, Finding, Report, findings, name_of, shown_in
from tallystick.engine.verify.scratch import Ascending, Scratch, beside
from tallystick.engine.verify.sums import SumsCheck
from tallystick.store.protocol import Reading, Store
from tallystick.store.rows import EntryRow

EACH = 1000  # entries after which progress is told

Progress = Callable[[int, int], object]  # how many entries were replayed, of about how many


def verify(
    machines: Machines, store: Store, *, since: Checkpoint | str | None = None, progress: Progress | None = None
) -> Report:
    """Replay everything and compare. Reads only; `checkpoint.keep` keeps what the report says.

    Args:
        since: a checkpoint that an earlier report had, beside the one that stands in the books.
        progress: is told how many entries were replayed, and about how many there are.

    Raises:
        Invalid: `since` is no checkpoint.
    """
    given = [Checkpoint.read(str(since))] if since is not None else []
    with store.reading() as reading, closing(Scratch()) as scratch:
        return _Verifier(machines, reading, scratch, progress or (lambda *_: None)).report(given, store.gapless)


class _Verifier:
    def __init__(self, machines: Machines, reading: Reading, scratch: Scratch, progress: Progress) -> None:
        self._machines, self._reading, self._scratch, self._progress = machines, reading, scratch, progress
        self._sealed = reading.shared(MARK) is not None
        declared, wrong = declared_steps(reading)
        self._findings: list[Finding] = wrong
        self._replay = Replay(machines, declared, scratch)
        self._kept_sums = SumsCheck(machines, reading, scratch)
        self._in_doubt: Counter[Ref] = Counter()  # what open calls have set aside, by entity
        self._calls: Counter[Ref] = Counter()
        self._entities = self._entries = self._still_open = 0
        self._money: dict[str, Counter[str]] = {}
        self._sums: dict[str, Ascending[int]] = {}

    def report(self, given: list[Checkpoint], gapless: bool) -> Report:
        newest = self._reading.chronicle(1)
        self._about = newest[0].seq if newest else 0
        self._set_aside()
        self._sum()
        for ref, rows, entity in beside(self._lives(), self._all()):
            self._entity(ref, rows, entity)
        self._progress(self._entries, self._entries)
        in_books, wrong = checkpoint.in_books(self._reading)
        replaced, unreadable = checkpoint.replaced(self._reading)
        before = [*given, *([in_books] if in_books is not None else [])]
        walked = checkpoint.walked(self._reading, before, gapless=gapless)
        self._findings += [*wrong, *unreadable, *walked.findings]
        self._findings += calls_against_journal(self._machines, self._reading.all_calls(), self._scratch)
        queued = self._reading.all_queued()
        self._findings += queue_against_journal(queued, self._reading.keyed, self._scratch, fingerprint)
        self._findings += self._kept_sums.findings()
        return Report(
            tuple(self._findings), self._entities, self._entries, self._still_open,
            {name: dict(sums) for name, sums in self._money.items()}, self._sealed,
            checkpoint=walked.checkpoint, compared=tuple(before), replaces=self._reading.shared(checkpoint.NAME),
            replaced=replaced,
        )  # fmt: skip

    def _find(self, code: str, where: Ref | str, what: str) -> None:
        self._findings.append(Finding(code, where if isinstance(where, str) else name_of(where), what))

    def _all(self) -> Iterator[tuple[Ref, Entity]]:
        for name in sorted(self._machines):
            self._sums = {kind: Ascending(self._scratch.sums(kind)) for kind, _ in _sums(self._machines[name])}
            for each in self._reading.all(name):
                yield each.ref, each

    def _lives(self) -> Iterator[tuple[Ref, Iterator[EntryRow]]]:
        yield from groupby(self._reading.journal(), key=lambda each: (each.machine, each.entity))

    # One entity

    def _entity(self, ref: Ref, rows: Iterator[EntryRow] | None, entity: Entity | None) -> None:
        so_far, count = Replayed(), 0
        for count, row in enumerate(self._kept_sums.through(ref, rows or iter(())), 1):  # noqa: B007  # it is how many there were
            where = f"entry {row.seq}, {name_of(ref)} revision {row.revision}"
            self._findings += findings(where, self._replay.entry(row, so_far))
            self._entries += 1
            if self._entries % EACH == 0:
                self._progress(self._entries, max(self._about, self._entries))
        if entity is None:
            self._find("no_row", ref, f"the journal has {count} entries of it, but its table does not have it")
            return
        if rows is None:
            self._find("no_journal", ref, "it stands in its table, but the journal knows nothing of it")
        else:
            for code, what in differences(so_far, entity):
                self._find(code, ref, what)
            self._flight(ref, entity)
            if self._sealed:
                self._numbers(ref, entity)
        self._entities += 1
        if entity.accounts:
            money = self._money.setdefault(entity.machine, Counter())
            money[entity.currency] += sum(entity.accounts.values())
        machine = self._machines[entity.machine]
        for invariant in machine.invariants.values():
            self._invariant(machine, invariant, entity, so_far.outside)

    def _numbers(self, ref: Ref, entity: Entity) -> None:
        facts = self._machines.at(entity.machine, entity.machine_version).facts
        for name in (name for name, fact in facts.items() if fact.type.kind == "number"):
            if not str(entity.facts.get(name) or PREFIX).startswith(PREFIX):
                self._find(
                    "readable", ref, f"the fact {name!r} is not sealed: a process had the books open without their key"
                )

    def _set_aside(self) -> None:
        for row in self._reading.calls():
            self._still_open += 1
            try:
                steps = [(machine, id, sum(amounts)) for machine, id, _, _, _, amounts, _ in json.loads(row.steps)]
            except UNREADABLE:  # said where the call is compared with its entries
                continue
            for machine, id, amount in steps:
                self._in_doubt[machine, id] += amount
                self._calls[machine, id] += 1

    def _flight(self, ref: Ref, entity: Entity) -> None:
        shown = shown_in(entity.currency)
        aside = self._in_doubt[ref]
        if entity.accounts.get(IN_DOUBT, 0) != aside:
            self._find("in_doubt", ref, f"{shown(entity.accounts.get(IN_DOUBT, 0))} stand in doubt, "
                       f"but its open calls have set {shown(aside)} aside")  # fmt: skip
        if entity.calls != self._calls[ref]:
            self._find("calls", ref, f"it counts {entity.calls} open calls, there are {self._calls[ref]}")

    # Everything together

    def _sum(self) -> None:
        """Note what invariants sum over the entities that link to one."""
        wanted = [(kind, total) for machine in self._machines.values() for kind, total in _sums(machine)]
        for name in sorted({total.machine for _, total in wanted}):
            for each in self._reading.all(name):
                for kind, total in wanted:
                    linked = each.facts.get(total.fact) if total.machine == name else None
                    if linked is not None:
                        standing = as_newest(self._machines, each)
                        self._scratch.note(kind, str(linked), standing.get(total.account, 0))

    def _invariant(self, machine: Machine, invariant: Invariant, entity: Entity, moved: Mapping[str, int]) -> None:
        outside = {name: moved.get(name, 0) for name in machine.outside}
        sums = {name: self._sums[_kind(machine, invariant, name)].at(entity.id) or 0 for name in invariant.sums}
        standing = {**dict.fromkeys(machine.columns, 0), **as_newest(self._machines, entity)}
        values = {**outside, **standing, **sums}
        facts = {**dict.fromkeys(machine.facts), **entity.facts}
        if not invariant.always.compiled()(values, facts, {}, entity.state, None):
            shown = shown_in(entity.currency)
            named = [name for name in sorted(invariant.always.names) if name in values]
            numbers = ", ".join(f"{name} {shown(values[name])}" for name in named)
            self._find(
                invariant.name, entity.ref, f"'{invariant.always.source}' is not true ({numbers}). {invariant.says}"
            )


def _sums(machine: Machine) -> Iterable[tuple[str, Sum]]:
    """What its invariants sum, each as a kind of notes."""
    for invariant in machine.invariants.values():
        for name, total in invariant.sums.items():
            yield _kind(machine, invariant, name), total


def _kind(machine: Machine, invariant: Invariant, name: str) -> str:
    return f"sum {machine.name} {invariant.name} {name}"
