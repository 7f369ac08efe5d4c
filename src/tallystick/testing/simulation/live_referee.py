"""The referee, while a run goes on: every new entry is replayed once, every row it touched is compared at once.

What was written is judged within a few operations, by the code that judges the whole run at its end: the chain, the
postings, the row against its journal, and the invariants of whatever the new entries have touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tallystick.definition.machine import Machines
from tallystick.store.protocol import Store
from tallystick.store.schema import steps
from tallystick.testing.referee.definition_reader import Definition, read_definition
from tallystick.testing.referee.journal_replay import JournalReplay, ReplayedEntity, row_differences
from tallystick.testing.store_rows import entity_row

Ref = tuple[str, str]
Path = tuple[str, str, str]  # machine, fact, account


class LiveReferee:
    """Looks at a store that a run goes on in."""

    def __init__(self, machines: Machines, store: Store) -> None:
        self.checked: Counter[str] = Counter()
        self._store = store
        self._definitions: dict[tuple[str, int], Definition] = {
            (each.name, each.version): read_definition(each.text) for each in machines.all()
        }
        declared = frozenset(step for machine in machines.all() for step in steps(machine))
        self._replay = JournalReplay(self._definitions, declared, steady=False)
        self._lives: dict[Ref, ReplayedEntity] = {}
        self._seen = 0
        self._newest = {name: self._definitions[name, version] for name, version in sorted(self._definitions)}
        self._paths = {path for each in self._newest.values() for always in each.invariants
                       for path in always.sums.values()}  # fmt: skip
        self._sums: dict[Path, Counter[str]] = {path: Counter() for path in self._paths}

    def look(self) -> list[str]:
        """What is wrong with whatever is new."""
        with self._store.reading() as reading:
            fresh = reading.chronicle(1 << 60)[self._seen :]
            before = {ref: dict(life.accounts) for ref in {(each.machine, each.entity) for each in fresh}
                      if (life := self._lives.get(ref))}  # fmt: skip
            touched = {(each.machine, each.entity): None for each in fresh}
            found: list[str] = []
            for each in fresh:
                life = self._lives.setdefault((each.machine, each.entity), ReplayedEntity())
                found += self._replay.go_on(life, each._asdict())
            rows = reading.entities(touched)
        self._seen += len(fresh)
        for ref in touched:
            self._summed(ref, before.get(ref, {}))
            life = self._lives[ref]
            if ref not in rows:
                found.append(f"{life.name} has no row")
                continue
            found += row_differences(entity_row(rows[ref]), life, self._definitions[ref[0], life.machine_version])
        self.checked["entries replayed"] += len(fresh)
        self.checked["rows compared"] += len(touched)
        for ref in self._concerned(touched):
            found += self._invariants(ref)
        return found

    def _summed(self, ref: Ref, before: dict[str, int]) -> None:
        for path in self._paths:
            machine, fact, account = path
            if machine == ref[0] and (linked := self._lives[ref].facts.get(fact)) is not None:
                self._sums[path][str(linked)] += self._lives[ref].accounts[account] - before.get(account, 0)

    def _concerned(self, touched: dict[Ref, None]) -> dict[Ref, None]:
        """Those touched, and whom they link to."""
        found = dict(touched)
        for ref in touched:
            life = self._lives[ref]
            for fact, machine in self._definitions[ref[0], life.machine_version].links.items():
                if life.facts.get(fact) is not None:
                    found[machine, str(life.facts[fact])] = None
        return {ref: None for ref in found if ref in self._lives}

    def _invariants(self, ref: Ref) -> Iterator[str]:
        page = self._newest[ref[0]]
        for always in page.invariants:
            self.checked["invariants"] += 1
            life = self._lives[ref]
            outside = {name: life.outside[name] for name in page.outside}
            sums = {name: self._sums[path][ref[1]] for name, path in always.sums.items()}
            values = {**outside, **life.accounts, **sums, "state": life.state}
            if not always.holds(values):
                yield f"{life.name}: {always.name}, '{always.source}', is not so: {values}"
