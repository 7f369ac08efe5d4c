"""Which situations an entity can be in: for each state, which accounts may hold something and what the facts may be.

It starts with nothing on any account and follows every transition that can fire: done in whole or in part, declined,
and set aside while a call is open, until nothing new is found. Of an account only whether it holds something is
kept, not how much. So everything that can occur is found, and perhaps a little more. From this follow what a state
implies (nothing is uncovered in `authorized`), which transitions can fire at all, and where they lead.

Only some accounts are looked at, the *pack*: of all others nothing is known, so they may hold something at any time. A
machine with few accounts has one pack with all of them (`reachable`).
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import attrs

from tallystick.check.structure.boundary_values import ValueClass, class_of, classes_at_creation
from tallystick.check.structure.trials import Cell, ClassEffect, StartClass, Trials
from tallystick.definition.declared import IN_DOUBT
from tallystick.definition.machine import Machine, Row

FactClasses = tuple[tuple[str, ValueClass], ...]
Constants = dict[str, set[ValueClass]]  # what facts that nothing sets may be
# By the mask of the accounts that are looked at and their bits: effects, with what facts that nothing sets may be then
Suiting = Mapping[int, Mapping[int, Mapping[ClassEffect, Constants]]]
PendingCall = tuple[str, tuple[int, ...]]  # its transition, which will change the state; its moves in doubt


@attrs.frozen
class Situation:
    """A class of ways to be in a state."""

    changing: PendingCall | None
    bits: int  # one for each account: 1 if it holds something
    facts: FactClasses  # of those facts that transitions set


class Projection:
    """The situations of one machine's entities; `situations` and `can_fire` are complete once it is made."""

    def __init__(self, trials: Trials, cells: Mapping[str, list[Cell]], pack: int) -> None:
        """`cells` by state; `pack`: the bits of the accounts to look at."""
        self.trials, self.cells, self.pack = trials, cells, pack
        self.machine = trials.machine
        self._seen: dict[int, dict[FactClasses, list[tuple[StartClass, set[ClassEffect]]]]] = {}  # by cell
        self._done: dict[str, dict[str, set[tuple[FactClasses, FactClasses]]]] = {}  # by state and transition
        self._known: dict[object, bool] = {}
        self.situations: dict[str, set[Situation]] = defaultdict(set)  # by state
        self.can_fire: set[tuple[str, str]] = set()  # state, transition
        self.ways: dict[str, dict[str, str]] = defaultdict(dict)  # from → to → by which transition
        self._constant: dict[str, dict[str, set[ValueClass]]] = {}  # state → fact that nothing sets → its classes
        sets = {name for each in self.machine.transitions.values() for name in each.sets}
        self._set_facts, self._constants = sorted(trials.tracked & sets), sorted(trials.tracked - sets)
        self._fresh: dict[str, set[Situation]] = defaultdict(set)
        self._doubt = trials.bit.get(IN_DOUBT, 0)
        self._after_yes: dict[tuple[str, str, FactClasses], set[FactClasses]] = {}
        self._order = {name: index for index, name in enumerate(self.machine.transitions)}
        self._effects: dict[ClassEffect, ClassEffect] = {}
        self._alike: dict[tuple[object, ...], tuple[int, ...]] = {}
        self._ends: dict[tuple[str, tuple[int, ...], bool], frozenset[int]] = {}
        self._staying = self._staying_calls()
        self._begin()
        while self._fresh:
            state = next(iter(self._fresh))
            self._spread(state, self._fresh.pop(state))

    # What is asked of it

    def reached(self, state: str) -> bool:
        """Whether an entity can be in a state at all."""
        return state in self.situations

    def possible(self, cell: Cell, start: StartClass) -> bool:
        """Whether cases of a class can occur when the command is given there, as far as the pack tells."""
        key = (cell.state, cell.command, start.mask & self.pack, start.bits & self.pack, start.facts)
        if key not in self._known:
            self._known[key] = any(True for _ in self._matching(cell, start))
        return self._known[key]

    def may_be(self, state: str, account: str, *, holding: bool, alone: bool = False) -> bool:
        """Whether an account may hold something in a state, or may be empty. `alone`: and no call changes the state."""
        bit = self.trials.bit[account] & self.pack
        return not bit or any(
            bool(each.bits & bit) == holding for each in self.situations.get(state, ()) if not (alone and each.changing)
        )

    def may_occur(self, state: str, accounts: Mapping[str, int], facts: Mapping[str, object]) -> bool:
        """Whether an entity can be in a state with these values, as far as their classes tell."""
        bits = sum(bit for name, bit in self.trials.bit.items() if accounts[name]) & self.pack
        set_facts = tuple((name, class_of(facts[name])) for name in self._set_facts)
        return (
            all(class_of(facts[name]) in classes for name, classes in self._constant[state].items())
            and Situation(None, bits, set_facts) in self.situations[state]
        )

    def classes(self, state: str, fact: str) -> set[ValueClass]:
        """What a fact may be in a state."""
        if fact in self._set_facts:
            return {dict(each.facts)[fact] for each in self.situations[state]}
        return self._constant[state][fact]

    def classes_when_fired(self, state: str, transition: str, fact: str) -> set[ValueClass]:
        """What a fact that transitions set may be when a transition fires in a state."""
        return {
            dict(situation.facts)[fact]
            for cell in self.cells[state]
            for start, observed in cell.observed.items()
            if transition in observed.fires
            for situation in self._matching(cell, start)
        }

    def _matching(self, cell: Cell, start: StartClass) -> Iterator[Situation]:
        """The situations from which a class of cases may start."""
        if self._possible(cell.state, start.facts):
            for each in self.situations[cell.state]:
                if self._fits(each, start) and not self._put_off(each, cell.rows):
                    yield each

    # The search

    def _staying_calls(self) -> dict[str, dict[str, list[tuple[int, ...]]]]:
        """For each state the calls that may be answered there though they change no state, and their moves in doubt.

        At an end these are only the calls that were made there: nothing ends while one of its calls is open.
        """
        machine, leads = self.machine, declared_ways(self.machine)
        found: dict[str, dict[str, list[tuple[int, ...]]]] = defaultdict(dict)
        for name, moves in self.trials.in_doubt.items():
            row = machine.rows[name]
            for state in closure(leads, row.transition.sources) if not row.changes else ():
                some = [moved for moved in sorted(moves) if moved]
                if some and (not machine.states[state].final or state in row.transition.sources):
                    found[state][name] = some
        return found

    def _begin(self) -> None:
        """Nothing on any account, and the facts with which an entity may be made."""
        machine = self.machine
        constant = {name: set(classes_at_creation(machine, name)) for name in self._constants}
        for classes in itertools.product(*(classes_at_creation(machine, name) for name in self._set_facts)):
            facts = tuple(zip(self._set_facts, classes, strict=True))
            self._reach(machine.start, Situation(None, 0, facts), constant)

    def _reach(self, state: str, situation: Situation, constant: Constants) -> None:
        known = self._constant.get(state)
        if known is None:
            known = self._constant[state] = {name: set() for name in self._constants}
        if situation not in self.situations[state]:
            self.situations[state].add(situation)
            self._fresh[state].add(situation)
        grown = [name for name, classes in constant.items() if not classes <= known[name]] if constant else ()
        if grown:
            for name in grown:
                known[name] |= constant[name]
            self._fresh[state] |= self.situations[state]

    def _spread(self, state: str, situations: set[Situation]) -> None:
        """Do in these situations whatever can happen there, each effect once."""
        alike: dict[FactClasses, list[Situation]] = defaultdict(list)
        for situation in situations:
            alike[situation.facts].append(situation)
        for cell in self.cells[state]:
            asked = {name for wanted in self._projected(cell) for name, _ in wanted}
            known: dict[FactClasses, Suiting] = {}
            for facts, group in alike.items():
                given = tuple(each for each in facts if each[0] in asked)
                suiting = known[given] = known[given] if given in known else self._suiting(cell, given)
                for situation in group if suiting else ():
                    if not self._put_off(situation, cell.rows):
                        for mask, by_bits in suiting.items():
                            for effect, constants in by_bits.get(situation.bits & mask, {}).items():
                                self._fire(state, situation, constants, effect)
        for situation in situations:
            self._answer(state, situation)

    def _suiting(self, cell: Cell, facts: FactClasses) -> Suiting:
        """The effects in a cell with these facts."""
        found: dict[int, dict[int, dict[ClassEffect, Constants]]] = defaultdict(dict)
        known, constant = dict(facts), self._constant[cell.state]  # if this grows, all of the state comes again
        for wanted, by in self._projected(cell).items():
            if self._possible(cell.state, wanted) and all(known.get(fact, each) == each for fact, each in wanted):
                narrowed = constant | {name: {each} for name, each in wanted if name not in known}
                for start, effects in by:
                    here = found[start.mask].setdefault(start.bits, {})
                    for effect in effects:
                        here[effect] = _either(here[effect], narrowed) if effect in here else narrowed
        return found

    def _projected(self, cell: Cell) -> Mapping[FactClasses, list[tuple[StartClass, set[ClassEffect]]]]:
        """The classes of a cell and their effects, as the pack sees them, by what the facts have to be."""
        if id(cell) not in self._seen:
            found: dict[StartClass, set[ClassEffect]] = defaultdict(set)
            for start, observed in cell.observed.items():
                seen = attrs.evolve(start, mask=start.mask & self.pack, bits=start.bits & self.pack)
                found[seen] |= {self._as_seen(each) for each in observed.effects}
            by_facts = self._seen[id(cell)] = defaultdict(list)
            for start, effects in found.items():
                by_facts[start.facts].append((start, effects))
        return self._seen[id(cell)]

    def _as_seen(self, effect: ClassEffect) -> ClassEffect:
        """An effect as the pack sees it. Moves in doubt that may land on the same accounts are one."""
        name, moved = effect.transition, effect.moved
        if effect.phase == "asked" and self.machine.rows[name].changes:
            ends = [self._landed(name, moved, confirmed=each) for each in (True, False)]
            moved = self._alike.setdefault((name, *ends), moved)
        elif effect.phase == "asked":  # its answers are in `_staying`
            moved = ()
        seen = attrs.evolve(effect, mask=effect.mask & self.pack, bits=effect.bits & self.pack, moved=moved)
        return self._effects.setdefault(seen, seen)  # one object each, which is quick to compare

    def _fits(self, situation: Situation, start: StartClass) -> bool:
        wanted = dict(start.facts)
        return situation.bits & start.mask == start.bits & self.pack and all(
            fact not in wanted or wanted[fact] == each for fact, each in situation.facts
        )

    def _possible(self, state: str, facts: FactClasses) -> bool:
        constant = self._constant.get(state)
        return constant is not None and all(each in constant[name] for name, each in facts if name in constant)

    def _put_off(self, situation: Situation, rows: tuple[Row, ...]) -> bool:
        """Whether the core refuses because of an open call, before it asks any guard."""
        if situation.changing is None:
            return False
        return self.machine.rows[situation.changing[0]].ends or any(row.changes for row in rows)

    def _fire(self, state: str, situation: Situation, constant: Constants, effect: ClassEffect) -> None:
        """Have an effect. `constant`: what those facts that nothing sets may be then."""
        row = self.machine.rows[effect.transition]
        if row.ends and (situation.changing or situation.bits & self._doubt):
            return
        self.can_fire.add((state, row.name))
        after = situation.bits & ~effect.mask | effect.bits
        if effect.phase == "asked":
            changing = (row.name, effect.moved) if row.changes else situation.changing
            self._reach(state, Situation(changing, after | situation.bits & self._doubt, situation.facts), {})
            return
        target = (row.target if effect.phase == "done" else row.transition.otherwise) or state
        known = self.ways[state].setdefault(target, row.name)
        if self._order[row.name] < self._order[known]:
            self.ways[state][target] = row.name
        self._reach(target, Situation(situation.changing, after, _set(situation.facts, effect.sets)), constant)

    def _answer(self, state: str, situation: Situation) -> None:
        """Do what the answers to open calls may do here. `_fire` has passed the constant facts on already."""
        if situation.changing is not None:
            name, moved = situation.changing
            row = self.machine.rows[name]
            for facts in self._facts_after_yes(state, name, situation.facts):
                self._land(row.target or state, situation, None, facts, self._landed(name, moved, confirmed=True))
            declined = self._landed(name, moved, confirmed=False)
            self._land(row.transition.otherwise or state, situation, None, situation.facts, declined)
        alone = situation.changing and self.machine.rows[situation.changing[0]].ends  # no other call is open beside it
        if situation.bits & self._doubt and not alone:
            landed: dict[FactClasses, set[int]] = defaultdict(set)
            for name, moves in self._staying[state].items():
                for moved in moves:
                    landed[situation.facts] |= self._landed(name, moved, confirmed=False)
                    for facts in self._facts_after_yes(state, name, situation.facts) or {situation.facts}:
                        landed[facts] |= self._landed(name, moved, confirmed=True)
            for facts, bits in landed.items():
                self._land(state, situation, situation.changing, facts, bits)

    def _facts_after_yes(self, state: str, transition: str, facts: FactClasses) -> set[FactClasses]:
        """What the facts may be once the call of a transition is confirmed."""
        key = (state, transition, facts)
        if key not in self._after_yes:
            known = dict(facts)
            self._after_yes[key] = {
                _set(facts, sets)
                for wanted, sets in self._confirmed(state).get(transition, ())
                if all(known.get(fact, each) == each for fact, each in wanted)
            }
        return self._after_yes[key]

    def _confirmed(self, state: str) -> Mapping[str, set[tuple[FactClasses, FactClasses]]]:
        """What transitions set in a state, by their names: what the facts have to be, and what they are then."""
        if state not in self._done:
            found = self._done[state] = defaultdict(set)
            for cell in self.cells[state]:
                for wanted, by in self._projected(cell).items():
                    for effect in (each for _, effects in by for each in effects if each.phase == "done"):
                        found[effect.transition].add((wanted, effect.sets))
        return self._done[state]

    def _landed(self, transition: str, moved: tuple[int, ...], *, confirmed: bool) -> frozenset[int]:
        """What may be on accounts once moves in doubt have ended: in whole, or with a part going back."""
        key = (transition, moved, confirmed)
        if key not in self._ends:
            sources = targets = 0
            for index in moved:
                source, target = self.machine.rows[transition].lines[index]
                sources |= self.trials.bit.get(source, 0) & self.pack
                targets |= self.trials.bit.get(target, 0) & self.pack
            whole = targets if confirmed else sources
            partial = confirmed and self.trials.partial[transition]
            self._ends[key] = frozenset({whole, targets | sources} if partial else {whole})
        return self._ends[key]

    def _land(
        self, state: str, situation: Situation, changing: PendingCall | None, facts: FactClasses, landed: Iterable[int]
    ) -> None:
        """Take what is in doubt to where it goes. Other calls may still be open, if there can be any in that state."""
        for each in landed:
            bits = situation.bits | each
            self._reach(state, Situation(changing, bits & ~self._doubt, facts), {})
            if self._staying[state]:
                self._reach(state, Situation(changing, bits, facts), {})


def declared_ways(machine: Machine) -> dict[str, set[str]]:
    """For each state those to which transitions lead from it, whether they can fire or not."""
    leads: dict[str, set[str]] = {}
    for each in machine.transitions.values():
        for source in each.sources:
            leads.setdefault(source, set()).update(state for state in (each.target, each.otherwise) if state)
    return leads


def closure(leads: Mapping[str, Iterable[str]], start: Iterable[str]) -> set[str]:
    """The start, and all to which it leads by any number of steps."""
    found = list(dict.fromkeys(start))
    for each in found:  # which grows
        found += [state for state in leads.get(each, ()) if state not in found]
    return set(found)


def _either(one: Constants, other: Constants) -> Constants:
    """What facts may be in one of two cases."""
    return {name: each if each is other[name] else each | other[name] for name, each in one.items()}


def _set(facts: FactClasses, sets: FactClasses) -> FactClasses:
    changed = dict(sets)
    if not changed:
        return facts
    return tuple((name, changed.get(name, each)) for name, each in facts)
