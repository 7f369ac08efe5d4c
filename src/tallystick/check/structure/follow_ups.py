"""Whether what `then:` queues is taken and comes to an end, and whether it is queued where a state goes on by itself.

A transition is carried out with small amounts. What it queues is given to the state that it led to, with the values it
left there, and so on, as long as one follow-up leads to another. Calls are taken to be confirmed: a declined call
queues nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import attrs

from tallystick.check.expressions import deciding, numbers
from tallystick.check.finding import Finding, finding
from tallystick.check.structure.boundary_values import SOME_TIMES, Variable, combinations_of, domains, variables
from tallystick.check.structure.reachable import Reachability
from tallystick.check.structure.trials import CONFIRMED, Case, nothing
from tallystick.check.structure.witnesses import values_in_words
from tallystick.check.wording import joined
from tallystick.definition.declared import IN_DOUBT
from tallystick.definition.expression import NOW, Expression
from tallystick.definition.machine import Machine, Row

LONGEST = 40  # follow-ups of follow-ups; with amounts as small as these, nothing sensible goes on that long


@attrs.frozen(eq=False)
class Firing:
    """A transition that fires in a state, with these values before it."""

    state: str
    accounts: Mapping[str, int]
    facts: Mapping[str, Any]
    args: Mapping[str, Any]
    row: Row

    def after(self) -> tuple[str, Mapping[str, int], Mapping[str, Any]] | None:
        """The state, the accounts and the facts to which it leads; None, if it would move what is not there."""
        amounts = self.row.amounts(self.accounts, self.facts, self.args, self.state)
        accounts = self.row.post(self.accounts, amounts)
        if min((*accounts.values(), *amounts), default=0) < 0:
            return None
        sets = {name: value(None, self.facts, self.args, self.state, CONFIRMED[1]) for name, value in self.row.sets}
        return self.row.target or self.state, accounts, {**self.facts, **sets}


def check_follow_ups(reachable: Reachability) -> Iterator[Finding]:
    """TS109, TS110 and TS119."""
    found = list(_queued(reachable))
    yield from (each for _, each in found)
    yield from _left_waiting(reachable, {name for name, each in found if each.code == "TS110"})


def _queued(reachable: Reachability) -> Iterator[tuple[str, Finding]]:
    """Of what transitions queue: a transition, and what is wrong with its follow-ups."""
    machine = reachable.machine
    looping: set[str] = set()
    for name, row in machine.rows.items():
        if not row.then:
            continue
        taken: set[tuple[str, str]] = set()  # state, command that is taken there
        given: set[tuple[str, str]] = set()
        for case, first in firings(reachable, row):
            for state, command, next_ in _next(machine, first):
                given.add((state, command))
                if next_:
                    taken.add((state, command))
            loop = _loop(machine, first) if name not in looping else []
            if loop and not looping & set(loop):
                looping |= set(loop)
                why = f"{joined(loop)} can follow each other for ever: {values_in_words(case)}"
                yield name, finding("TS109", machine, why, "transition", name, "then")
        for state, command in sorted(given - taken):
            refused = machine.on_purpose.get((state, command))
            because = f" ({refused.removesuffix('.')})" if refused else ""
            why = f"{name} queues {command}, but {state} never takes it with the values that it gets{because}"
            yield name, finding("TS110", machine, why, "transition", name, "then")


def _left_waiting(reachable: Reachability, known: Collection[str]) -> Iterator[Finding]:
    """Transitions into a state that goes on by itself, that queue nothing that it takes.

    A transition whose command is signed is left out: whoever signs is there to go on. So are those of `known`, of which
    something is found already.
    """
    machine = reachable.machine
    if machine.states[machine.start].goes_on:
        why = f"{machine.start} goes on by itself, but an entity begins there with nothing queued for it"
        yield finding("TS119", machine, why, "state", machine.start, "goes_on")
    for name, row in machine.rows.items():
        states = {state for state in (row.target, row.transition.otherwise) if state and machine.states[state].goes_on}
        if name in known or not states or all(machine.commands[command].signed for command in row.transition.commands):
            continue
        for case, first in firings(reachable, row):
            state = next((state for state in _waiting(reachable, first) if state in states), None)
            if state is not None:
                why = f"{name} leads to {state}, which goes on by itself, but queues nothing that {state} takes"
                yield finding("TS119", machine, f"{why}: {values_in_words(case)}", "transition", name, "then")
                break


def _waiting(reachable: Reachability, first: Firing) -> Iterator[str]:
    """The states that go on by themselves where a transition leads to, and nothing takes it on."""
    machine = reachable.machine
    taken = any(next_ for _, _, next_ in _next(machine, first))
    declined = first.row.transition.otherwise if reachable.trials.calls[first.row.name] else None
    for end in (None if taken else first.after(), (declined, first.accounts, first.facts) if declined else None):
        goes_on = machine.states[end[0]].goes_on if end else None
        if end and goes_on is not None and goes_on.compiled()(end[1], end[2], {}, end[0], None):
            yield end[0]


def firings(reachable: Reachability, row: Row) -> Iterator[tuple[Case, Firing]]:
    """All ways in which a transition may fire, by whatever makes a difference to it and to what follows it.

    All accounts are varied: in some states value always stands somewhere, and what follows may ask for it.
    """
    machine = reachable.machine
    looked = list(_looked_at(machine, row))
    in_doubt = {IN_DOUBT} & {name for each in looked for name in each.names}
    command = row.transition.commands[0]
    wanted = variables(machine, command, looked, {*machine.accounts, *in_doubt})
    facts = reachable.trials.tracked - {each.name for each in wanted}
    wanted += [Variable("f", name, machine.facts[name].type) for name in sorted(facts)]
    v, f, a = nothing(machine, command)
    places = [({"v": v, "f": f, "a": a}[variable.place], variable.name) for variable in wanted]
    sources = [state for state in row.transition.sources if (state, row.name) in reachable.can_fire]
    for values in combinations_of(domains(wanted, numbers(looked), reachable.trials.texts)):
        for (place, name), value in zip(places, values, strict=True):
            place[name] = value
        for state in sources:
            if row.fires(v, f, a, state) and reachable.may_occur(state, v, f):
                yield Case(tuple(zip(wanted, values, strict=True))), Firing(state, dict(v), dict(f), dict(a), row)


def _looked_at(machine: Machine, row: Row) -> Iterator[Expression]:
    """What a transition looks at, and what queues its follow-ups."""
    yield from deciding(row.transition)
    for then in row.transition.then:
        yield from then.arguments.values()
        if then.when is not None:
            yield then.when
    for state in (row.target, row.transition.otherwise):
        goes_on = machine.states[state].goes_on if state else None
        if goes_on is not None:
            yield goes_on


def _next(machine: Machine, firing: Firing) -> Iterator[tuple[str, str, list[Firing]]]:
    """The follow-ups of a transition: the state, the command, and all that takes it there."""
    after = firing.after()
    if after is None:
        return
    state, v, f = after
    for then, when, _, given in firing.row.then:
        if (
            then.later
            or then.each is not None
            or (when is not None and not when(v, f, firing.args, state, CONFIRMED[1]))
        ):
            continue  # what a part does with it is asked of its own machine
        command = then.command
        declared = machine.commands[command]
        if declared.reads_parts:  # what the parts are by then is not known: any may take it
            any_: dict[str, Any] = dict.fromkeys(declared.seen, 0) | {NOW: firing.args.get(NOW, SOME_TIMES[0])}
            yield state, command, [Firing(state, v, f, any_, row) for row in machine.table.get((state, command), ())]
            continue
        # Nothing stands on what it links to: who puts more there each time is searched by the model
        a: dict[str, Any] = {**declared.left_out(), **{name: 0 for name, *_ in declared.linked}}
        a |= {NOW: firing.args.get(NOW, SOME_TIMES[0])} if declared.timed else {}
        a |= {name: value(v, f, firing.args, state, CONFIRMED[1]) for name, value in given}
        refused = any(each.fires(v, f, a, state, None) for each in machine.refused.get((state, command), ()))
        rows = () if refused else machine.table.get((state, command), ())
        yield state, command, [Firing(state, v, f, a, row) for row in rows if row.fires(v, f, a, state)]


def _loop(machine: Machine, first: Firing) -> list[str]:
    """The transitions that follow each other for ever, if any do after this one."""
    level: dict[str, tuple[Firing, list[str]]] = {"": (first, [first.row.name])}
    for _ in range(LONGEST):
        level = {
            repr((each.state, each.accounts, each.facts, each.args, each.row.name)): (each, [*path, each.row.name])
            for firing, path in level.values()
            for _, _, next_ in _next(machine, firing)
            for each in next_
        }
    return list(dict.fromkeys(next(iter(level.values()))[1])) if level else []
