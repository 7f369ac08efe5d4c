"""What happens in one state to one command, for every value that can make a difference.

Each case is asked of the real guards, and each transition that fires is carried out with its real amounts. What is
kept of it is small: by the class of the values it started from (which accounts hold something, what the facts are), the
smallest case of each kind, and the classes it leads to. `standing` finds which classes can occur at all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar

import attrs

from tallystick.check import calls
from tallystick.check.values import NUMERIC, Sign, Variable, domains, read_by, sign, texts, tracked, variables, written
from tallystick.definition.expression import Expression
from tallystick.definition.machine import IN_DOUBT, Machine, Machines, RefusedOnPurpose, Row
from tallystick.provider.protocol import Outcome, Result

Kind = TypeVar("Kind")
ANSWERS = [Outcome(Result.CONFIRMED, reference=text, number=text) for text in (None, "a")]


@attrs.frozen
class Case:
    """The values of one case, by variable; `rank` is smaller for what is easier to read."""

    values: tuple[tuple[Variable, object], ...]

    @cached_property
    def rank(self) -> tuple[int, int]:
        numbers = [value for _, value in self.values if type(value) is int]
        return (
            sum(abs(number) for number in numbers) + sum(number < 0 for number in numbers),
            sum(value is True for _, value in self.values),
        )


@attrs.frozen
class Before:
    """A class of values before: accounts as bits (1: it holds something) under a mask, and facts."""

    mask: int
    bits: int
    facts: tuple[tuple[str, Sign], ...]


@attrs.frozen
class Effect:
    """What a transition makes of a class: `row` in `phase` puts `bits` under `mask` and sets facts."""

    row: str
    phase: str  # done, asked or declined
    mask: int = 0
    bits: int = 0
    sets: tuple[tuple[str, Sign], ...] = ()
    moved: tuple[int, ...] = ()  # asked: which of its moves stand in doubt


@attrs.define
class Seen:
    """What was seen of one class of values."""

    effects: set[Effect] = attrs.field(factory=set)
    fires: dict[str, Case] = attrs.field(factory=dict)
    refuses: dict[RefusedOnPurpose, Case] = attrs.field(factory=dict)
    both: dict[tuple[str, ...], Case] = attrs.field(factory=dict)  # names of what is true at once
    silent: dict[tuple[str, ...], Case] = attrs.field(factory=dict)  # amounts asked for, by class; else what failed
    short: dict[str, Case] = attrs.field(factory=dict)  # transitions that would move what is not there
    left: dict[tuple[str, ...], Case] = attrs.field(factory=dict)  # transition, end, accounts that hold something there


@attrs.frozen
class Answer:
    """A state and a command, what may answer, and everything seen of it."""

    state: str
    command: str
    rows: tuple[Row, ...]
    refusals: tuple[RefusedOnPurpose, ...]
    seen: Mapping[Before, Seen]


@attrs.define
class Cases:
    """Everything about one machine that is asked again and again."""

    machines: Machines
    machine: Machine
    bit: Mapping[str, int] = attrs.field(init=False)
    texts: list[str] = attrs.field(init=False)
    facts: frozenset[str] = attrs.field(init=False)
    asks: Mapping[str, bool] = attrs.field(init=False)
    cut: Mapping[str, str | None] = attrs.field(init=False)
    known: list[tuple[frozenset[str], Callable[..., object]]] = attrs.field(init=False)
    afloat: dict[str, set[tuple[int, ...]]] = attrs.field(init=False, factory=dict)  # moves that may stand in doubt
    _kept: dict[object, Mapping[Before, Seen]] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        machine = self.machine
        self.bit = {name: 1 << index for index, name in enumerate(machine.columns)}
        self.texts = texts(machine)
        self.facts = tracked(machine)
        self.asks = {name: calls.asks(self.machines, each) for name, each in machine.transitions.items()}
        self.cut = {name: calls.cut(self.machines, each) for name, each in machine.transitions.items()}
        self.known = [
            (each.always.names, each.always.compiled())
            for each in machine.invariants.values()
            if each.always.names <= set(machine.columns)
        ]

    def answers(self) -> Iterator[Answer]:
        """Every state and command that something may answer."""
        machine = self.machine
        for state in machine.states:
            for command in machine.commands:
                rows = machine.table.get((state, command), ())
                refusals = machine.refused.get((state, command), ())
                if rows or refusals:
                    yield Answer(state, command, rows, refusals, self._seen(state, command, rows, refusals))

    def _seen(
        self, state: str, command: str, rows: tuple[Row, ...], refusals: tuple[RefusedOnPurpose, ...]
    ) -> Mapping[Before, Seen]:
        looked = [part for row in rows for part in read_by(row.transition)]
        looked += [each.guard for each in refusals if each.guard]
        looked += [value for row in rows for fact, value in row.transition.sets.items() if fact in self.facts]
        here = any("state" in each.names for each in looked) or any(row.final for row in rows)
        final = self.machine.states[state].final
        key = (command, tuple(row.name for row in rows), refusals, final, state if here else None)
        if key not in self._kept:
            self._kept[key] = self._look(state, command, rows, refusals, looked)
        return self._kept[key]

    def _look(
        self,
        state: str,
        command: str,
        rows: tuple[Row, ...],
        refusals: tuple[RefusedOnPurpose, ...],
        looked: list[Expression],
    ) -> Mapping[Before, Seen]:
        moved = {name for row in rows for line in row.lines for name in line if name in self.bit}
        moved |= set(self.machine.holding) if any(row.final for row in rows) else set()
        wanted = variables(self.machine, command, looked, moved)
        numbers = written(looked)
        found: dict[Before, Seen] = {}
        for values in itertools.product(*domains(wanted, numbers, self.texts)):
            case = Case(tuple(zip(wanted, values, strict=True)))
            look = _Look(self, state, command, rows, refusals, case)
            if look.possible():
                look.into(found.setdefault(look.before(), Seen()))
        return found


class _Look:
    """One case, tried."""

    def __init__(
        self,
        cases: Cases,
        state: str,
        command: str,
        rows: tuple[Row, ...],
        refusals: tuple[RefusedOnPurpose, ...],
        case: Case,
    ) -> None:
        machine = cases.machine
        self.cases, self.state, self.rows, self.refusals, self.case = cases, state, rows, refusals, case
        self.v: dict[str, int] = dict.fromkeys(machine.columns, 0)
        self.f: dict[str, object] = dict.fromkeys(machine.facts)
        self.a: dict[str, object] = dict.fromkeys(machine.commands[command].arguments)
        for variable, value in case.values:
            {"v": self.v, "f": self.f, "a": self.a}[variable.place][variable.name] = value  # type: ignore[index]

    def possible(self) -> bool:
        """Whether the machine's own invariants allow it; that they hold is another floor's business."""
        asked = {variable.name for variable, _ in self.case.values if variable.place == "v"}
        return all(true(self.v, {}, {}, self.state, None) for names, true in self.cases.known if names <= asked)

    def before(self) -> Before:
        mask = bits = 0
        facts = []
        for variable, value in self.case.values:
            if variable.place == "v":
                mask |= self.cases.bit[variable.name]
                bits |= self.cases.bit[variable.name] if value else 0
            elif variable.place == "f" and variable.name in self.cases.facts:
                facts.append((variable.name, sign(value)))
        return Before(mask, bits, tuple(facts))

    def into(self, seen: Seen) -> None:
        """Take down what this case shows."""
        refused = [each for each in self.refusals if each.fires(self.v, self.f, self.a, self.state, None)]
        firing = [row for row in self.rows if row.fires(self.v, self.f, self.a, self.state)]
        for each in refused:
            self._keep(seen.refuses, each)
        if len(firing) + len(refused) > 1:
            names = (*(row.name for row in firing), *(f"“{each.says}”" for each in refused))
            self._keep(seen.both, names)
        elif not firing and not refused:
            signs = [
                str(sign(value)) for each, value in self.case.values if each.place == "a" and each.type.kind in NUMERIC
            ]
            self._keep(seen.silent, tuple(signs or (self._failed(row) for row in self.rows)))
        for row in firing if not refused else ():
            self._keep(seen.fires, row.name)
            self._carry_out(seen, row)

    def _keep(self, where: dict[Kind, Case], what: Kind) -> None:
        if what not in where or self.case.rank < where[what].rank:
            where[what] = self.case

    def _failed(self, row: Row) -> str:
        for part, true in row.conjuncts:
            if not true(self.v, self.f, self.a, self.state, None):
                return part.source
        return ""

    def _carry_out(self, seen: Seen, row: Row) -> None:
        args: dict[str, Any] = dict(self.a)
        cut = self.cases.cut[row.name]
        if row.cut is not None and row.transition.partial is not None:
            most: Any = row.cut(self.v, self.f, args, self.state, None)
            args[row.transition.partial] = min(args[row.transition.partial], most)
        amounts = row.amounts(self.v, self.f, args, self.state)
        after = row.post(self.v, amounts)
        asked = self._set_aside(row, amounts) if self.cases.asks[row.name] else {}
        if min((*after.values(), *amounts, *asked.values()), default=0) < 0:
            self._keep(seen.short, row.name)
            return
        if self._ends_with_value(seen, row, after):
            return
        seen.effects |= {self._effect(row, "done", after, sets) for sets in self._sets(row, args)}
        if cut is not None and isinstance(args.get(cut), int):
            for less in range(1, args[cut]):
                part = row.post(self.v, row.amounts(self.v, self.f, {**args, cut: less}, self.state))
                seen.effects |= {self._effect(row, "done", part, sets) for sets in self._sets(row, args)}
        if self.cases.asks[row.name]:
            moved = tuple(index for index, each in enumerate(amounts) if each)
            seen.effects.add(attrs.evolve(self._effect(row, "asked", asked, ()), moved=moved))
            seen.effects.add(Effect(row.name, "declined"))
            self.cases.afloat.setdefault(row.name, set()).add(moved)

    def _set_aside(self, row: Row, amounts: tuple[int, ...]) -> dict[str, int]:
        """The accounts while the answer is out."""
        after = dict(self.v)
        for (source, _), amount in zip(row.lines, amounts, strict=True):
            if source in after:
                after[source] -= amount
        if after:
            after[IN_DOUBT] += sum(amounts)
        return after

    def _ends_with_value(self, seen: Seen, row: Row, after: Mapping[str, int]) -> bool:
        machine = self.cases.machine
        ends = []
        if machine.states[row.target or self.state].final:
            ends.append((row.target or self.state, after))
        if row.transition.otherwise and machine.states[row.transition.otherwise].final:
            ends.append((row.transition.otherwise, self.v))
        found = False
        for state, accounts in ends:
            holding = [name for name in machine.holding if accounts[name]]
            if holding:
                self._keep(seen.left, (row.name, state, *holding))
                found = True
        return found

    def _sets(self, row: Row, args: Mapping[str, object]) -> Iterator[tuple[tuple[str, Sign], ...]]:
        wanted = [(name, value) for name, value in row.sets if name in self.cases.facts]
        for outcome in ANSWERS if wanted else ANSWERS[:1]:
            yield tuple((name, sign(value(None, self.f, args, self.state, outcome))) for name, value in wanted)

    def _effect(self, row: Row, phase: str, after: Mapping[str, int], sets: tuple[tuple[str, Sign], ...]) -> Effect:
        touched = {name for line in row.lines for name in line}
        touched |= {IN_DOUBT} if phase == "asked" else set()
        mask = bits = 0
        for name in touched & self.cases.bit.keys():
            mask |= self.cases.bit[name]
            bits |= self.cases.bit[name] if after[name] else 0
        return Effect(row.name, phase, mask, bits, sets)
