"""What each state answers to each command, tried with every boundary value.

In each case the real guards are asked, and a transition that fires is carried out with its real amounts. Little of that
is kept. Cases that start from the same class of values (which accounts hold something, what the facts are) are put
together: the smallest case of each thing that was observed, and the classes to which it leads. Which classes can occur
at all is found by `reachable`.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import attrs

from tallystick.check.callers import may_call, partial_argument
from tallystick.check.expressions import deciding, numbers, single, texts
from tallystick.check.structure.boundary_values import (  # fmt: skip
    NUMERIC,
    SOME_TIMES,
    Test,
    ValueClass,
    Variable,
    class_of,
    combinations_of,
    domains,
    solutions,
    tracked_facts,
    variables,
)
from tallystick.definition.declared import IN_DOUBT, RefusedOnPurpose
from tallystick.definition.expression import NOW, Expression
from tallystick.definition.machine import Machine, Machines, Row
from tallystick.provider.protocol import Outcome, Result

CONFIRMED = [
    Outcome(Result.CONFIRMED),
    Outcome(Result.CONFIRMED, reference="a", number="a", has_pin=True),
]


Values = tuple[tuple[Variable, object], ...]
Places = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]  # values of accounts, of facts, of arguments


@attrs.frozen
class Case:
    """A value for each variable."""

    values: Values

    @cached_property
    def rank(self) -> tuple[int, int]:
        """How hard it is to read: smaller is easier."""
        amounts = flags = 0
        for _, value in self.values:
            if value is True:
                flags += 1
            elif type(value) is int:
                amounts += value if value >= 0 else 1 - value
        return amounts, flags

    def places(self, others: Places) -> Places:
        """Accounts, facts and arguments with these values; what is not among them is as in `others`."""
        accounts, facts, args = others[0].copy(), others[1].copy(), others[2].copy()
        places = {"v": accounts, "f": facts, "a": args}
        for variable, value in self.values:
            places[variable.place][variable.name] = value
        return accounts, facts, args


def nothing(machine: Machine, command: str) -> Places:
    """Accounts that hold nothing; facts and arguments that are not given."""
    seen = machine.commands[command].seen
    args: dict[str, Any] = {
        name: 0 if type_.kind in NUMERIC and not type_.optional else None for name, type_ in seen.items()
    }
    args |= {NOW: SOME_TIMES[0]} if NOW in seen else {}
    return dict.fromkeys(machine.columns, 0), dict.fromkeys(machine.facts), args


Cases = dict[tuple[str, ...], Case]  # by the names that an observation is about


@attrs.frozen
class StartClass:
    """A class of values from which cases start. A bit of an account is 1 if the account holds something."""

    mask: int  # the accounts that the cases have values for
    bits: int
    facts: tuple[tuple[str, ValueClass], ...]


@attrs.frozen(cache_hash=True)
class ClassEffect:
    """What a transition makes of a class of values."""

    transition: str
    phase: str  # done, asked or declined
    mask: int = 0  # the accounts that it touches
    bits: int = 0  # what they hold afterwards
    sets: tuple[tuple[str, ValueClass], ...] = ()
    moved: tuple[int, ...] = ()  # asked: the moves whose amounts are in doubt


@attrs.define
class Observed:
    """What was observed of one class of values, each with the case that is easiest to read."""

    effects: set[ClassEffect] = attrs.field(factory=set)
    fires: dict[str, Case] = attrs.field(factory=dict)  # by transition
    refuses: dict[RefusedOnPurpose, Case] = attrs.field(factory=dict)
    ambiguous: Cases = attrs.field(factory=dict)  # by the names of all that answers at once
    unanswered: Cases = attrs.field(factory=dict)  # by the classes of the amounts; if there are none, by what failed
    overdrawn: Cases = attrs.field(factory=dict)  # by transition: it would move what is not there
    left_over: Cases = attrs.field(factory=dict)  # by transition, end, and the accounts that are not empty there


@attrs.frozen
class Cell:
    """A state and a command: what may answer there, and what was observed for each class of values."""

    state: str
    command: str
    rows: tuple[Row, ...]
    refusals: tuple[RefusedOnPurpose, ...]
    observed: Mapping[StartClass, Observed]


class Trials:
    """All trials of one machine."""

    def __init__(self, machines: Machines, machine: Machine) -> None:
        self.machines, self.machine = machines, machine
        self.bit = {name: 1 << index for index, name in enumerate(machine.columns)}  # of each account
        self.texts = texts(machine)
        self.tracked = tracked_facts(machine)
        # By transition: whether it may call the provider, the argument confirmed in part, moves in doubt together
        self.calls = {name: may_call(machines, each) for name, each in machine.transitions.items()}
        self.partial = {name: partial_argument(machines, each) for name, each in machine.transitions.items()}
        self.in_doubt: dict[str, set[tuple[int, ...]]] = {}
        invariants = [each.always for each in machine.invariants.values()]
        self.assumed = [(each.names, each.compiled()) for each in invariants if each.names <= set(machine.columns)]
        self.nothing = {command: nothing(machine, command) for command in machine.commands}
        self._known: dict[object, Mapping[StartClass, Observed]] = {}

    def cells(self) -> Iterator[Cell]:
        """Every state and command that something may answer."""
        for state, command in itertools.product(self.machine.states, self.machine.commands):
            rows = self.machine.table.get((state, command), ())
            refusals = self.machine.refused.get((state, command), ())
            if rows or refusals:
                yield self._tried(Cell(state, command, rows, refusals, {}))

    def _tried(self, cell: Cell) -> Cell:
        """The cell with what was observed. States that answer alike are tried once."""
        looked = [part for row in cell.rows for part in deciding(row.transition)]
        looked += [each.guard for each in cell.refusals if each.guard]
        looked += [value for row in cell.rows for fact, value in row.transition.sets.items() if fact in self.tracked]
        by_state = any("state" in each.names for each in looked) or any(row.final for row in cell.rows)
        final = self.machine.states[cell.state].final
        names = tuple(row.name for row in cell.rows)
        key = (cell.command, names, cell.refusals, final, cell.state if by_state else None)
        if key not in self._known:
            self._known[key] = self._try(cell, looked)
        return attrs.evolve(cell, observed=self._known[key])

    def _try(self, cell: Cell, looked: list[Expression]) -> Mapping[StartClass, Observed]:
        moved = {name for row in cell.rows for line in row.lines for name in line if name in self.bit}
        moved |= set(self.machine.holding) if any(row.final for row in cell.rows) else set()
        found: dict[StartClass, Observed] = defaultdict(Observed)
        first = [each.guard for each in cell.refusals if each.first and each.guard]
        later = [each for each in looked if not any(each is guard for guard in first)]
        for guard in first:  # alone: where it is true, nobody asks what else there is
            asked = variables(self.machine, cell.command, [guard], ())
            for case in self._cases(asked, combinations_of(domains(asked, numbers(looked), self.texts))):
                trial = _Trial(self, cell, case)
                if trial.possible() and trial.refused_first():
                    trial.observe(found[trial.start()])
        wanted = variables(self.machine, cell.command, later, moved)
        only = [each for each in variables(self.machine, cell.command, first, ()) if each not in wanted]
        beside = [each.values for each in self._cases(only, combinations_of(domains(only, [], self.texts)))]

        def observe(tried: Iterable[tuple[object, ...]]) -> None:
            for case in self._cases(wanted, tried):
                trials = (_Trial(self, cell, case, values) for values in beside)
                trial = next((each for each in trials if not each.refused_first()), None)
                if trial is not None and trial.possible():
                    trial.observe(found[trial.start()])

        observe(combinations_of(domains(wanted, numbers(looked), self.texts)))
        seen = {name for each in found.values() for names in (each.fires, *each.ambiguous) for name in names}
        refused = {refusal for each in found.values() for refusal in each.refuses}
        missing = [row.transition.guard for row in cell.rows if row.name not in seen]
        missing += [each.guard for each in cell.refusals if each not in refused and not each.first]
        for guard in filter(None, missing):
            observe(solutions(wanted, numbers(looked), self.texts, self._parts(cell, wanted, guard)))
        return found

    def _cases(self, wanted: list[Variable], tried: Iterable[tuple[object, ...]]) -> Iterator[Case]:
        for values in tried:
            yield Case(tuple(zip(wanted, values, strict=True)))

    def _parts(self, cell: Cell, wanted: list[Variable], guard: Expression) -> list[tuple[frozenset[str], Test]]:
        """Each part of a guard: the names at which it looks, and whether it is true of values."""
        places = {each.name: each for each in wanted}

        def test(true: Any) -> Test:
            return lambda given: bool(_true(true, self.nothing[cell.command], cell.state, places, given))

        return [(names, test(true)) for part in guard.parts or (guard,) for names, true in single(part)]


def _true(true: Any, others: Places, state: str, wanted: Mapping[str, Variable], given: Mapping[str, object]) -> object:
    case = Case(tuple((wanted[name], value) for name, value in given.items()))
    try:
        return true(*case.places(others), state, None)
    except TypeError:  # something is missing that the rest of the guard asks about first
        return False


class _Trial:
    """One case, tried in one cell. `beside`: values at which only refusals look that come first; they tell no class."""

    def __init__(self, trials: Trials, cell: Cell, case: Case, beside: Values = ()) -> None:
        self.trials, self.cell, self.state, self.case = trials, cell, cell.state, case
        self.v, self.f, self.a = Case((*case.values, *beside)).places(trials.nothing[cell.command])

    def refused_first(self) -> bool:
        """Whether a refusal that comes before all others is true."""
        given = self.v, self.f, self.a, self.state, None
        return any(each.first and each.fires(*given) for each in self.cell.refusals)

    def possible(self) -> bool:
        """Whether the machine's own invariants allow it. Whether they hold is checked by the other levels."""
        if not self.trials.assumed:
            return True
        given = {variable.name for variable, _ in self.case.values if variable.place == "v"}
        return all(true(self.v, {}, {}, self.state, None) for names, true in self.trials.assumed if names <= given)

    def start(self) -> StartClass:
        """The class of values from which the case starts."""
        mask = bits = 0
        facts = []
        bit, tracked = self.trials.bit, self.trials.tracked
        for variable, value in self.case.values:
            if variable.place == "v":
                mask |= bit[variable.name]
                bits |= bit[variable.name] if value else 0
            elif variable.place == "f" and variable.name in tracked:
                facts.append((variable.name, class_of(value)))
        return StartClass(mask, bits, tuple(facts))

    def observe(self, observed: Observed) -> None:
        """Ask all guards, and carry out what fires."""
        refusing = [each for each in self.cell.refusals if each.fires(self.v, self.f, self.a, self.state, None)]
        if refusing and refusing[0].first:
            self._keep(observed.refuses, refusing[0])
            return
        firing = [row for row in self.cell.rows if row.fires(self.v, self.f, self.a, self.state)]
        for each in refusing:
            self._keep(observed.refuses, each)
        if len(firing) + len(refusing) > 1:
            names = (*(row.name for row in firing), *(f"“{each.says}”" for each in refusing))
            self._keep(observed.ambiguous, names)
        elif not firing and not refusing:
            amounts = [
                str(class_of(value))
                for each, value in self.case.values
                if each.place == "a" and each.type.kind in NUMERIC
            ]
            self._keep(observed.unanswered, tuple(amounts or (self._failed(row) for row in self.cell.rows)))
        for row in firing if not refusing else ():
            self._keep(observed.fires, row.name)
            self._carry_out(observed, row)

    def _keep(self, smallest: dict[Any, Case], key: Any) -> None:
        known = smallest.setdefault(key, self.case)
        if known is not self.case and self.case.rank < known.rank:
            smallest[key] = self.case

    def _failed(self, row: Row) -> str:
        """The first part of a guard that is not true."""
        for part, true in row.conjuncts:
            if not true(self.v, self.f, self.a, self.state, None):
                return part.source
        return ""

    def _carry_out(self, observed: Observed, row: Row) -> None:
        args = dict(self.a)
        partial = self.trials.partial[row.name]
        if row.cut is not None and row.transition.partial is not None:
            most: Any = row.cut(self.v, self.f, args, self.state, None)
            args[row.transition.partial] = min(args[row.transition.partial], most)
        amounts = row.amounts(self.v, self.f, args, self.state)
        after = row.post(self.v, amounts)
        asked = self._set_aside(row, amounts) if self.trials.calls[row.name] else {}
        if min((*after.values(), *amounts, *asked.values()), default=0) < 0:
            self._keep(observed.overdrawn, (row.name,))
            return
        if self._ends_with_value(observed, row, after):
            return
        books = [after]
        if partial is not None and isinstance(args.get(partial), int):
            shares = [{**args, partial: less} for less in range(1, args[partial])]
            books += [row.post(self.v, row.amounts(self.v, self.f, share, self.state)) for share in shares]
        observed.effects |= {self._effect(row, "done", book, sets) for book in books for sets in self._sets(row, args)}
        if self.trials.calls[row.name]:
            moved = tuple(index for index, each in enumerate(amounts) if each)
            observed.effects.add(attrs.evolve(self._effect(row, "asked", asked, ()), moved=moved))
            observed.effects.add(ClassEffect(row.name, "declined"))
            self.trials.in_doubt.setdefault(row.name, set()).add(moved)

    def _set_aside(self, row: Row, amounts: tuple[int, ...]) -> dict[str, int]:
        """The accounts while the call is open."""
        after = dict(self.v)
        for (source, _), amount in zip(row.lines, amounts, strict=True):
            if source in after:
                after[source] -= amount
        if after:
            after[IN_DOUBT] += sum(amounts)
        return after

    def _ends_with_value(self, observed: Observed, row: Row, after: Mapping[str, int]) -> bool:
        machine = self.trials.machine
        found = False
        for state, accounts in ((row.target or self.state, after), (row.transition.otherwise, self.v)):
            holding = [name for name in machine.holding if accounts[name]]
            if state and machine.states[state].final and holding:
                self._keep(observed.left_over, (row.name, state, *holding))
                found = True
        return found

    def _sets(self, row: Row, args: Mapping[str, object]) -> Iterator[tuple[tuple[str, ValueClass], ...]]:
        """The classes of the facts that are set, for an outcome that tells nothing, and for one that tells all."""
        wanted = [(name, value) for name, value in row.sets if name in self.trials.tracked]
        for outcome in CONFIRMED if wanted else CONFIRMED[:1]:
            yield tuple((name, class_of(value(None, self.f, args, self.state, outcome))) for name, value in wanted)

    def _effect(
        self, row: Row, phase: str, after: Mapping[str, int], sets: tuple[tuple[str, ValueClass], ...]
    ) -> ClassEffect:
        touched = {name for line in row.lines for name in line}
        touched |= {IN_DOUBT} if phase == "asked" else set()
        mask = bits = 0
        for name in touched & self.trials.bit.keys():
            mask |= self.trials.bit[name]
            bits |= self.trials.bit[name] if after[name] else 0
        return ClassEffect(row.name, phase, mask, bits, sets)
