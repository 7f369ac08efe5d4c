"""All that `verify` looks at, in one look: entities, calls, queue and pages, and the invariants across machines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import groupby

from tallystick.core.entity import Entity, Ref
from tallystick.definition.declared import IN_DOUBT, Invariant
from tallystick.definition.machine import Machine, Machines
from tallystick.engine.keys import fingerprint
from tallystick.engine.sealing import MARK, PREFIX
from tallystick.engine.verify.calls import calls_against_journal
from tallystick.engine.verify.definitions import declared_steps
from tallystick.engine.verify.queue import queue_against_journal
from tallystick.engine.verify.replay import Journal, Replay, Replayed, differences
from tallystick.engine.verify.report import UNREADABLE, Finding, Report, findings, name_of, shown_in
from tallystick.store.protocol import Reading, Store
from tallystick.store.rows import CallRow, EntryRow


def verify(machines: Machines, store: Store) -> Report:
    """Replay everything and compare. Reads only."""
    sealed = store.load(MARK) is not None
    with store.reading() as reading:
        return _Verifier(machines, reading, sealed).report()


class _Verifier:
    def __init__(self, machines: Machines, reading: Reading, sealed: bool) -> None:
        self._machines, self._reading, self._sealed = machines, reading, sealed
        declared, wrong = declared_steps(reading)
        self._findings: list[Finding] = wrong
        self._journal = Journal()
        self._replay = Replay(machines, declared, self._journal)
        self._outside: dict[Ref, dict[str, int]] = {}
        self._in_doubt: dict[Ref, int] = {}
        self._calls: dict[Ref, int] = {}
        self._entries = 0
        self._seen: set[int] = set()

    def report(self) -> Report:
        calls = {row.id: row for row in self._reading.all_calls()}
        self._set_aside(calls.values())
        entities: dict[Ref, Entity] = {each.ref: each for name in self._machines for each in self._reading.all(name)}
        replayed: set[Ref] = set()
        for ref, rows in groupby(self._reading.journal(), key=lambda each: (each.machine, each.entity)):
            replayed.add(ref)
            self._entity(ref, list(rows), entities.get(ref))
        for ref in entities.keys() - replayed:
            self._find("no_journal", ref, "it stands in its table, but the journal knows nothing of it")
        self._gaps()
        self._findings += calls_against_journal(self._machines, calls, self._journal)
        self._findings += queue_against_journal(self._reading.queue(), self._journal, fingerprint)
        for name in self._machines:
            for invariant in self._machines[name].invariants.values():
                self._invariant(self._machines[name], invariant, entities)
        totals: dict[str, dict[str, int]] = {}
        for entity in entities.values():
            if entity.accounts:
                by_currency = totals.setdefault(entity.machine, {})
                by_currency[entity.currency] = by_currency.get(entity.currency, 0) + sum(entity.accounts.values())
        still_open = sum(row.state == "open" for row in calls.values())
        return Report(tuple(self._findings), len(entities), self._entries, still_open, totals, self._sealed)

    def _find(self, code: str, where: Ref | str, what: str) -> None:
        self._findings.append(Finding(code, where if isinstance(where, str) else name_of(where), what))

    # One entity

    def _entity(self, ref: Ref, rows: list[EntryRow], entity: Entity | None) -> None:
        so_far = Replayed()
        for row in rows:
            self._entries += 1
            self._seen.add(row.seq)
            where = f"entry {row.seq}, {name_of(ref)} revision {row.revision}"
            self._findings += findings(where, self._replay.entry(row, so_far))
        self._outside[ref] = so_far.outside
        if entity is None:
            self._find("no_row", ref, f"the journal has {len(rows)} entries of it, but its table does not have it")
            return
        for code, what in differences(so_far, entity):
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

    def _set_aside(self, calls: Iterable[CallRow]) -> None:
        """What open calls have set aside, by entity."""
        for row in calls:
            try:
                steps = [(machine, id, sum(amounts)) for machine, id, _, _, _, amounts, _ in json.loads(row.steps)]
            except UNREADABLE:  # said where the call is compared with its entries
                continue
            for machine, id, amount in steps if row.state == "open" else ():
                self._in_doubt[machine, id] = self._in_doubt.get((machine, id), 0) + amount
                self._calls[machine, id] = self._calls.get((machine, id), 0) + 1

    def _flight(self, ref: Ref, entity: Entity) -> None:
        shown = shown_in(entity.currency)
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
                shown = shown_in(entity.currency)
                numbers = ", ".join(f"{name} {shown(values[name])}" for name in sorted(invariant.always.names))
                self._find(
                    invariant.name, ref, f"'{invariant.always.source}' is not true ({numbers}). {invariant.says}"
                )
