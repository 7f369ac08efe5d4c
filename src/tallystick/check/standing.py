"""Where an entity can stand: for each state, which accounts may hold something and what the facts may be.

It starts with nothing on any account and follows every transition that can fire, whole or in part, declined, and set
aside while its answer is out, until nothing new is found. Only whether an account holds something is kept, not how
much, so all is told that can be and perhaps a little more. From it follow what a state implies (nothing is uncovered
in `authorized`), which transitions can happen at all, and where they lead.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping

import attrs

from tallystick.check.cases import Answer, Before, Cases, Effect, Seen
from tallystick.check.values import Sign, given, sign
from tallystick.definition.machine import IN_DOUBT, Row

Facts = tuple[tuple[str, Sign], ...]
Afloat = tuple[str, tuple[int, ...]]  # a transition whose answer is out and that changes the state; what it moves


@attrs.frozen
class Env:
    """A class of ways to stand in a state: accounts as bits, and the facts that transitions set."""

    changing: Afloat | None
    bits: int
    facts: Facts


class Standing:
    def __init__(self, cases: Cases) -> None:
        self.cases = cases
        self.machine = cases.machine
        self.answers: dict[str, list[Answer]] = defaultdict(list)
        for answer in cases.answers():
            self.answers[answer.state].append(answer)
        self.envs: dict[str, set[Env]] = defaultdict(set)
        self.facts: dict[str, dict[str, set[Sign]]] = {}  # of those that nothing sets: state → fact → what it may be
        self.happens: set[tuple[str, str]] = set()  # state, transition
        self.ways: dict[str, dict[str, str]] = defaultdict(dict)  # from → to → by which transition
        self._fresh: dict[str, set[Env]] = defaultdict(set)
        self._doubt = cases.bit.get(IN_DOUBT, 0)
        self._set = sorted(cases.facts & {name for each in self.machine.transitions.values() for name in each.sets})
        self._confirms: dict[tuple[str, str, Facts], set[Facts]] = {}
        self._order = {name: index for index, name in enumerate(self.machine.transitions)}
        self._afloat = self._staying_calls()
        self._begin()
        while self._fresh:
            state = next(iter(self._fresh))
            self._spread(state, self._fresh.pop(state))

    # Asked by the checks

    def reached(self, state: str) -> bool:
        return state in self.envs

    def cases_of(self, answer: Answer) -> Iterator[tuple[Before, Seen]]:
        """What was seen of an answer, of classes that can occur when it is asked for."""
        for before, seen in answer.seen.items():
            if self._known(answer.state, before) and any(
                _fits(env, before) and not self._waits(env, answer.rows) for env in self.envs[answer.state]
            ):
                yield before, seen

    def may_hold(self, state: str, account: str) -> bool:
        return any(env.bits & self.cases.bit[account] for env in self.envs[state])

    def may_stand(self, state: str, accounts: Mapping[str, int], facts: Mapping[str, object]) -> bool:
        """Whether an entity can stand in a state with these values, as far as their classes tell."""
        bits = sum(bit for name, bit in self.cases.bit.items() if accounts[name])
        kinds = tuple((name, sign(facts[name])) for name in self._set)
        fixed = self.facts[state]
        return (
            all(sign(facts[name]) in classes for name, classes in fixed.items())
            and Env(None, bits, kinds) in self.envs[state]
        )

    def may_be(self, state: str, fact: str) -> set[Sign]:
        """What a fact may be in a state."""
        if fact in self._set:
            return {dict(env.facts)[fact] for env in self.envs[state]}
        return self.facts[state][fact]

    def when_taken(self, state: str, transition: str, fact: str) -> set[Sign]:
        """What a fact that transitions set may be when a transition is taken in a state."""
        return {
            dict(env.facts)[fact]
            for answer in self.answers[state]
            for before, seen in answer.seen.items()
            if transition in seen.fires and self._known(state, before)
            for env in self.envs[state]
            if _fits(env, before) and not self._waits(env, answer.rows)
        }

    def story(self, state: str) -> list[str]:
        """The shortest way there, by transitions."""
        came: dict[str, tuple[str, str]] = {}
        queue = [self.machine.start]
        for source in queue:
            for target, by in sorted(self.ways[source].items(), key=lambda way: self._order[way[1]]):
                if target not in came and target != self.machine.start:
                    came[target] = source, by
                    queue.append(target)
        steps = []
        while state in came:
            source, by = came[state]
            steps.append(f"{by}: {source} → {state}")
            state = source
        return [f"create: {self.machine.start}", *reversed(steps)]

    # The search

    def _staying_calls(self) -> dict[str, list[tuple[Row, tuple[int, ...]]]]:
        """For each state the calls that may be answered there, though they were made elsewhere: of what stays.

        In an end only those that were made there: nothing ends while anything of it is in flight.
        """
        machine = self.machine
        leads: dict[str, set[str]] = defaultdict(set)
        for row in machine.rows.values():
            for source in row.transition.sources:
                leads[source] |= {state for state in (row.target, row.transition.otherwise) if state}
        found: dict[str, list[tuple[Row, tuple[int, ...]]]] = defaultdict(list)
        for name, moves in self.cases.afloat.items():
            row = machine.rows[name]
            for state in _closure(leads, row.transition.sources) if not row.changes else ():
                if machine.states[state].final and state not in row.transition.sources:
                    continue
                found[state] += [(row, moved) for moved in sorted(moves) if moved]
        return found

    def _begin(self) -> None:
        """Nothing on any account; the facts as an entity may be made with."""
        fixed = {name: set(given(self.machine, name)) for name in self.cases.facts if name not in self._set}
        for classes in itertools.product(*(given(self.machine, name) for name in self._set)):
            self._reach(self.machine.start, Env(None, 0, tuple(zip(self._set, classes, strict=True))), fixed)

    def _reach(self, state: str, env: Env, facts: Mapping[str, set[Sign]]) -> None:
        known = self.facts.setdefault(state, {name: set() for name in self.cases.facts if name not in self._set})
        grown = [name for name, classes in facts.items() if not classes <= known[name]]
        for name in grown:
            known[name] |= facts[name]
        if env not in self.envs[state]:
            self.envs[state].add(env)
            self._fresh[state].add(env)
        if grown:
            self._fresh[state] |= self.envs[state]

    def _spread(self, state: str, envs: set[Env]) -> None:
        for answer in self.answers[state]:
            known = [(before, seen) for before, seen in answer.seen.items() if self._known(state, before)]
            for env in envs:
                if self._waits(env, answer.rows):
                    continue
                for before, seen in known:
                    if _fits(env, before):
                        for effect in seen.effects:
                            self._happen(state, env, before, effect)
        for env in envs:
            self._answered(state, env)

    def _known(self, state: str, before: Before) -> bool:
        facts = self.facts.get(state)
        return facts is not None and all(each in facts[name] for name, each in before.facts if name in facts)

    def _waits(self, env: Env, rows: tuple[Row, ...]) -> bool:
        """Whether the core refuses it because an answer is out, before it asks any guard."""
        if env.changing is None:
            return False
        return self.machine.rows[env.changing[0]].ends or any(row.changes for row in rows)

    def _happen(self, state: str, env: Env, before: Before, effect: Effect) -> None:
        row = self.machine.rows[effect.row]
        if row.ends and (env.changing or env.bits & self._doubt):
            return
        self.happens.add((state, row.name))
        after = env.bits & ~effect.mask | effect.bits
        fixed = self.facts[state] | {name: {each} for name, each in before.facts if name not in self._set}
        if effect.phase == "asked":
            changing = (row.name, effect.moved) if row.changes else env.changing
            self._reach(state, Env(changing, after | env.bits & self._doubt, env.facts), {})
            return
        target = (row.target if effect.phase == "done" else row.transition.otherwise) or state
        known = self.ways[state].setdefault(target, row.name)
        if self._order[row.name] < self._order[known]:
            self.ways[state][target] = row.name
        self._reach(target, Env(env.changing, after, _set(env.facts, effect)), fixed)

    def _answered(self, state: str, env: Env) -> None:
        """What the answers to open calls may do here. What facts they set, `_happen` has shown already."""
        if env.changing is not None:
            name, moved = env.changing
            row = self.machine.rows[name]
            free = attrs.evolve(env, changing=None)
            for facts in self._confirmed(state, name, env.facts):
                self._land(row.target or state, attrs.evolve(free, facts=facts), row, moved, to=True)
            self._land(row.transition.otherwise or state, free, row, moved, to=False)
        if env.bits & self._doubt and not (env.changing and self.machine.rows[env.changing[0]].ends):  # that is alone
            for row, moved in self._afloat[state]:
                for facts in self._confirmed(state, row.name, env.facts) or {env.facts}:
                    self._land(state, attrs.evolve(env, facts=facts), row, moved, to=True)
                self._land(state, env, row, moved, to=False)

    def _confirmed(self, state: str, name: str, facts: Facts) -> set[Facts]:
        """What the facts may be once the call of a transition is confirmed."""
        known = self._confirms.get((state, name, facts))
        if known is None:
            known = self._confirms[state, name, facts] = {
                _set(facts, effect)
                for answer in self.answers[state]
                for before, seen in answer.seen.items()
                if all(dict(facts).get(fact, each) == each for fact, each in before.facts)
                for effect in seen.effects
                if effect.row == name and effect.phase == "done"
            }
        return known

    def _land(self, state: str, env: Env, row: Row, moved: tuple[int, ...], *, to: bool) -> None:
        sources = targets = 0
        for index in moved:
            source, target = row.lines[index]
            sources |= self.cases.bit.get(source, 0)
            targets |= self.cases.bit.get(target, 0)
        ends = [targets, targets | sources] if to and self.cases.cut[row.name] else [targets if to else sources]
        for landed in ends:  # whole, or a part of it goes back
            self._reach(state, attrs.evolve(env, bits=(env.bits | landed) & ~self._doubt), {})
            if self._afloat[state]:  # others may still be out
                self._reach(state, attrs.evolve(env, bits=env.bits | landed), {})


def _fits(env: Env, before: Before) -> bool:
    return env.bits & before.mask == before.bits and all(
        fact not in before_facts or before_facts[fact] == each
        for before_facts in (dict(before.facts),)
        for fact, each in env.facts
    )


def _set(facts: Facts, effect: Effect) -> Facts:
    changed = dict(effect.sets)
    return tuple((name, changed.get(name, each)) for name, each in facts)


def _closure(leads: Mapping[str, set[str]], start: tuple[str, ...]) -> set[str]:
    found, level = set(start), list(start)
    while level:
        level = [state for each in level for state in leads.get(each, ()) if state not in found]
        found |= set(level)
    return found
