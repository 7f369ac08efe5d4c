"""Is every cent where the journal says, and does the journal say what the machines allow?

`verify` takes one consistent look and trusts nothing that it can compute itself. It replays the journal of every
entity: revisions have no gap, each entry follows the one before it, hashes are right, every step is declared, every
amount is computed again, and every balance is added up again. The row of the entity must equal the result. Then it
checks what no single entity shows: what stands in doubt is what open calls have set aside, and the invariants across
machines hold. Each finding says where and what, in numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby

import attrs

from tallystick import money
from tallystick.core.entity import CREATE, Entity, Posting, Ref
from tallystick.core.resolve import post
from tallystick.definition.machine import IN_DOUBT, Invariant, Machine, Machines
from tallystick.engine.sealing import MARK, PREFIX
from tallystick.errors import MoneyError
from tallystick.store.protocol import Reading, Store
from tallystick.store.rows import Record, chained
from tallystick.store.schema import steps


@attrs.frozen
class Finding:
    """One thing that is wrong with the books."""

    code: str  # what kind of thing, as a stable word
    where: str  # the entity, entry or call
    what: str  # one sentence

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@attrs.frozen
class Report:
    """What was looked at, and what was found."""

    findings: tuple[Finding, ...]  # empty if all is well
    entities: int  # how many
    entries: int  # how many, in the journal
    calls: int  # how many are open
    money: Mapping[str, Mapping[str, int]]  # machine → currency → what stands in its entities, in minor units
    sealed: bool  # no card number stands readable in these books

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


@attrs.define
class _Replayed:
    """An entity as its journal makes it, and what came in from each outside account."""

    state: str | None = None
    revision: int = 0
    currency: str = ""
    hash: str = ""
    facts: dict[str, object] = attrs.field(factory=dict)
    accounts: dict[str, int] = attrs.field(factory=dict)
    outside: dict[str, int] = attrs.field(factory=dict)


def verify(machines: Machines, store: Store) -> Report:
    """Replay everything and compare. Reads only."""
    sealed = store.load(MARK) is not None
    with store.reading() as reading:
        return _Verifier(machines, reading, sealed).report()


class _Verifier:
    def __init__(self, machines: Machines, reading: Reading, sealed: bool) -> None:
        self._machines, self._reading, self._sealed = machines, reading, sealed
        self._declared = {step for machine in machines.all() for step in steps(machine)}
        self._findings: list[Finding] = []
        self._outside: dict[Ref, dict[str, int]] = {}
        self._in_doubt: dict[Ref, int] = {}
        self._calls: dict[Ref, int] = {}
        self._entries = 0
        self._seen: set[int] = set()

    def report(self) -> Report:
        calls = self._open_calls()
        entities: dict[Ref, Entity] = {each.ref: each for name in self._machines for each in self._reading.all(name)}
        replayed: set[Ref] = set()
        for ref, records in groupby(self._reading.journal(), key=lambda each: (each.machine, each.entity)):
            replayed.add(ref)
            self._entity(ref, list(records), entities.get(ref))
        for ref in entities.keys() - replayed:
            self._find("no_journal", ref, "it stands in its table, but the journal knows nothing of it")
        self._gaps()
        for name in self._machines:
            for invariant in self._machines[name].invariants.values():
                self._invariant(self._machines[name], invariant, entities)
        totals: dict[str, dict[str, int]] = {}
        for entity in entities.values():
            if entity.accounts:
                by_currency = totals.setdefault(entity.machine, {})
                by_currency[entity.currency] = by_currency.get(entity.currency, 0) + sum(entity.accounts.values())
        return Report(tuple(self._findings), len(entities), self._entries, calls, totals, self._sealed)

    def _find(self, code: str, where: Ref | str, what: str) -> None:
        self._findings.append(Finding(code, where if isinstance(where, str) else f"{where[0]} {where[1]!r}", what))

    # One entity

    def _entity(self, ref: Ref, records: list[Record], entity: Entity | None) -> None:
        so_far = _Replayed()
        for record in records:
            self._entries += 1
            self._seen.add(record.seq)
            for code, what in self._entry(record, so_far):
                self._find(code, f"entry {record.seq}, {ref[0]} {ref[1]!r} revision {record.revision}", what)
        self._outside[ref] = so_far.outside
        if entity is None:
            self._find("no_row", ref, f"the journal has {len(records)} entries of it, but its table does not have it")
            return
        for code, what in _differences(so_far, entity):
            self._find(code, ref, what)
        self._flight(ref, entity)
        if self._sealed:
            self._numbers(ref, entity)

    def _numbers(self, ref: Ref, entity: Entity) -> None:
        facts = self._machines.at(entity.machine, entity.machine_version).facts
        for name in (name for name, fact in facts.items() if fact.type.kind == "number"):
            if not str(entity.facts.get(name) or PREFIX).startswith(PREFIX):
                self._find(
                    "readable", ref, f"the fact {name!r} is not sealed: a process had the books open without their key"
                )

    def _entry(self, record: Record, so_far: _Replayed) -> Iterator[tuple[str, str]]:
        """What is wrong with one entry. Also takes the replay past it."""
        if record.revision != so_far.revision + 1:
            yield (
                "gap",
                f"it follows revision {so_far.revision}: {record.revision - so_far.revision - 1} entries are missing",
            )
        elif record.from_state != so_far.state:
            yield "from_state", f"it begins in {record.from_state}, but the entry before it ended in {so_far.state}"
        fields = record[:-2]
        if chained(so_far.hash, fields) != record.hash:
            yield "hash", "its hash is not that of the entry before it and its own content: one of them was changed"
        step = (record.machine, record.machine_version, record.transition, record.command, record.phase)
        if (*step, record.from_state or "", record.to_state) not in self._declared:
            yield (
                "undeclared",
                f"{record.transition} ({record.phase}) {record.from_state} → {record.to_state} is not declared",
            )
        else:
            yield from self._amounts(record, so_far)
        if record.transition == CREATE:
            so_far.facts = dict.fromkeys(self._machines.at(record.machine, record.machine_version).facts)
        postings = [Posting(*posting) for posting in json.loads(record.postings)]
        yield from _advance(record, so_far, postings)

    def _amounts(self, record: Record, so_far: _Replayed) -> Iterator[tuple[str, str]]:
        """Compute a transition's amounts again. Its guard must be true, and its postings must have these amounts."""
        if (
            record.transition == CREATE
            or record.phase not in ("done", "asked")
            or so_far.revision + 1 != record.revision
        ):
            return
        machine = self._machines.at(record.machine, record.machine_version)
        row = machine.rows[record.transition]
        args = _arguments(machine, record)
        values = (so_far.accounts, so_far.facts, args, record.from_state)
        try:
            fires, amounts = row.fires(*values), row.amounts(*values)
        except (KeyError, TypeError) as error:
            yield "arguments", f"{record.transition} cannot be computed from what is kept: {error!r}"
            return
        if not fires and row.transition.guard:
            yield "guard", f"{record.transition} fired, but '{row.transition.guard.source}' was not true"
        asked = record.phase == "asked"
        lines = zip(row.lines, amounts, strict=True)
        wanted = [[source, IN_DOUBT if asked else target, amount] for (source, target), amount in lines if amount]
        if json.loads(record.postings) != wanted:
            yield (
                "amounts",
                f"it posts {record.postings}, but {record.transition} of these amounts posts {json.dumps(wanted)}",
            )

    # Calls

    def _open_calls(self) -> int:
        """What open calls have set aside, by entity."""
        count = 0
        for row in self._reading.calls():
            count += 1
            for machine, id, _, _, _, amounts, _ in json.loads(row.steps):
                self._in_doubt[machine, id] = self._in_doubt.get((machine, id), 0) + sum(amounts)
                self._calls[machine, id] = self._calls.get((machine, id), 0) + 1
        return count

    def _flight(self, ref: Ref, entity: Entity) -> None:
        shown = _shown(entity.currency)
        aside = self._in_doubt.get(ref, 0)
        if entity.accounts.get(IN_DOUBT, 0) != aside:
            self._find("in_doubt", ref, f"{shown(entity.accounts.get(IN_DOUBT, 0))} stand in doubt, "
                       f"but its open calls have set {shown(aside)} aside")  # fmt: skip
        if entity.calls != self._calls.get(ref, 0):
            self._find("calls", ref, f"it counts {entity.calls} open calls, there are {self._calls.get(ref, 0)}")

    # Everything together

    def _gaps(self) -> None:
        """Entries are numbered without a gap, so a missing number was an entry."""
        for number in range(1, max(self._seen, default=0) + 1):
            if number not in self._seen:
                self._find("missing", f"entry {number}", "it is missing from the journal")

    def _invariant(self, machine: Machine, invariant: Invariant, entities: Mapping[Ref, Entity]) -> None:
        sums: dict[str, dict[str, int]] = {}
        for name, total in invariant.sums.items():
            by_id = sums.setdefault(name, {})
            for each in entities.values():
                linked = each.facts.get(total.fact) if each.machine == total.machine else None
                if linked is not None:
                    by_id[str(linked)] = by_id.get(str(linked), 0) + each.accounts[total.account]
        always = invariant.always.compiled()
        for ref, entity in entities.items():
            if ref[0] != machine.name:
                continue
            outside = {name: self._outside.get(ref, {}).get(name, 0) for name in machine.outside}
            values = {**outside, **entity.accounts, **{name: by_id.get(ref[1], 0) for name, by_id in sums.items()}}
            if not always(values, {}, {}, entity.state, None):
                shown = _shown(entity.currency)
                numbers = ", ".join(f"{name} {shown(values[name])}" for name in sorted(invariant.always.names))
                self._find(
                    invariant.name, ref, f"'{invariant.always.source}' is not true ({numbers}). {invariant.says}"
                )


def _advance(record: Record, so_far: _Replayed, postings: list[Posting]) -> Iterator[tuple[str, str]]:
    """Do what the entry says, and report what cannot be."""
    after = json.loads(record.after)
    if record.transition == CREATE:
        so_far.accounts, so_far.currency = dict.fromkeys(after, 0), record.currency
    if record.currency != so_far.currency:
        yield "currency", f"it is in {record.currency}, the entity in {so_far.currency}"
    so_far.accounts = post(so_far.accounts, postings)
    for source, target, amount in postings:
        if amount <= 0:
            yield "amounts", f"{source} → {target} moves {amount}, which is nothing or less"
        for name, change in ((source, -amount), (target, amount)):
            if name not in so_far.accounts:
                so_far.outside[name] = so_far.outside.get(name, 0) + change
    shown = _shown(so_far.currency)
    for name, value in so_far.accounts.items():
        if value < 0:
            yield "negative", f"{name} falls to {shown(value)}"
        if value != after.get(name):
            yield (
                "after",
                f"it says {name} is {shown(after.get(name, 0))} afterwards; the postings make it {shown(value)}",
            )
    so_far.state, so_far.revision, so_far.hash = record.to_state, record.revision, record.hash
    so_far.facts |= json.loads(record.facts)


def _differences(so_far: _Replayed, entity: Entity) -> Iterator[tuple[str, str]]:
    """Where the row is not what the journal makes of the entity."""
    shown = _shown(entity.currency)
    for name in ("state", "revision", "currency", "hash"):
        if getattr(entity, name) != getattr(so_far, name):
            yield name, f"its row says {name} {getattr(entity, name)}, its journal {getattr(so_far, name)}"
    for name, value in entity.accounts.items():
        if value != so_far.accounts.get(name, 0):
            yield "balance", f"its row says {name} {shown(value)}, its journal {shown(so_far.accounts.get(name, 0))}"
    for name, fact in entity.facts.items():
        if fact != so_far.facts.get(name):
            yield "fact", f"the fact {name!r} in its row is not the one in its journal"


def _arguments(machine: Machine, record: Record) -> dict[str, object]:
    """The arguments as the transition saw them. Secrets are gone, and no guard may ask for one."""
    kept = json.loads(record.args)
    arguments = machine.commands[record.command].arguments
    return {name: kept.get(name, False if type_.kind == "flag" else None) for name, type_ in arguments.items()}


def _shown(currency: str) -> Callable[[int], str]:
    """A function that shows amounts to people, even if somebody has changed the currency."""

    def shown(minor: int) -> str:
        try:
            return money.to_text(minor, currency)
        except MoneyError:
            return str(minor)

    return shown
