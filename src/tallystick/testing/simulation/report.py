"""What happened in a simulation: counted in each seed, summed up, and shown to people or as JSON."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

from tallystick.definition.machine import Machines

YEAR = 365.25 * 86400

Fired = tuple[str, str]  # machine, transition
State = tuple[str, str]  # machine, state


@attrs.frozen
class Failure:
    """A seed that went wrong, and how to see it again."""

    seed: int
    operations: int
    kind: str
    wrong: tuple[str, ...]
    story: tuple[str, ...]  # what happened last

    @property
    def again(self) -> str:
        return f"tallystick simulate --seed {self.seed} --ops {self.operations} --world {self.kind}"


@attrs.define
class SimulationReport:
    """Counted over one seed or many."""

    seeds: Counter[str] = attrs.field(factory=Counter)  # by the provider's double
    operations: Counter[str] = attrs.field(factory=Counter)
    answers: Counter[str] = attrs.field(factory=Counter)
    faults: Counter[str] = attrs.field(factory=Counter)
    events: Counter[str] = attrs.field(factory=Counter)
    seconds: float = 0.0  # of simulated time
    fired: Counter[Fired] = attrs.field(factory=Counter)
    phases: Counter[str] = attrs.field(factory=Counter)
    states: Counter[State] = attrs.field(factory=Counter)
    entries: int = 0
    checked: Counter[str] = attrs.field(factory=Counter)  # on the way
    judged: int = 0  # rows, at the end
    hashes: list[str] = attrs.field(factory=list)  # of each seed's journal
    failures: list[Failure] = attrs.field(factory=list)

    @property
    def hash(self) -> str:
        """Of one journal; or over the hashes of many, in the order of their seeds."""
        return self.hashes[0] if len(self.hashes) == 1 else hashlib.sha256("".join(self.hashes).encode()).hexdigest()

    def add(self, other: SimulationReport) -> None:
        """Sum up, seeds in their order."""
        for field in attrs.fields(SimulationReport):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            else:
                setattr(self, field.name, mine + theirs)

    def plain(self, machines: Machines) -> dict[str, object]:
        """As JSON has it."""
        states, transitions = _declared(machines)
        return {
            "seeds": self.seeds.total(), "worlds": _sorted(self.seeds), "operations": self.operations.total(),
            "operations_by_kind": _sorted(self.operations), "answers": _sorted(self.answers),
            "faults": self.faults.total(), "faults_by_kind": _sorted(self.faults), "events": _sorted(self.events),
            "simulated_years": round(self.seconds / YEAR, 3), "entries": self.entries,
            "entries_by_phase": _sorted(self.phases), "states": len(self.states), "states_declared": len(states),
            "transitions": len(self.fired), "transitions_declared": len(transitions),
            "never": [".".join(each) for each in self._never(machines)],
            "checked": _sorted(self.checked), "rows_judged": self.judged,
            "journal_hash": self.hash,
            "seeds_wrong": len(self.failures), "failures": [
                {"seed": each.seed, "wrong": each.wrong, "story": each.story, "again": each.again}
                for each in self.failures
            ],
        }  # fmt: skip

    def lines(self, machines: Machines) -> Iterable[str]:
        """As people read it."""
        states, transitions = _declared(machines)
        covered = f"{len(self.states)} of {len(states)} states, {len(self.fired)} of {len(transitions)} transitions"
        yield f"{self.seeds.total():,} seeds: {_said(self.seeds)}"
        yield f"{self.operations.total():,} operations: {_said(self.operations)}"
        yield f"answers: {_said(self.answers)}"
        yield f"{self.faults.total():,} faults: {_said(self.faults)}"
        yield f"what else happened: {_said(self.events)}"
        yield f"simulated time: {self.seconds / YEAR:,.1f} years"
        yield f"journal: {self.entries:,} entries: {_said(self.phases)}"
        yield f"covered: {covered}"
        if never := self._never(machines):
            yield f"never: {', '.join('.'.join(each) for each in never)}"
        yield f"checked on the way: {_said(self.checked)}"
        yield f"judged at the end: {self.judged:,} rows"
        for each in self.failures:
            yield f"seed {each.seed} is wrong; see it again: {each.again}"
            yield from (f"  {line}" for line in each.story)
            yield from (f"  WRONG {line}" for line in each.wrong[:20])
        yield f"{len(self.failures)} seeds are wrong" if self.failures else "nothing is wrong"
        yield f"journal hash {self.hash}"

    def _never(self, machines: Machines) -> list[tuple[str, str]]:
        states, transitions = _declared(machines)
        return sorted((states - self.states.keys()) | (transitions - self.fired.keys()))


def _declared(machines: Machines) -> tuple[set[State], set[Fired]]:
    states = {(name, state) for name in machines for state in machines[name].states}
    return states, {(name, each) for name in machines for each in machines[name].transitions}


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def _said(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items())) or "none"
