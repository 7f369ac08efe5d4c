"""Whether what `then:` queues is taken, and comes to an end; and whether it is there where a state goes on by itself.

A transition is carried out with small amounts, and what it queues is given to the state it led to, with the values it
left; so on, as long as one follows from another. Calls are taken to be confirmed: a declined one queues nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import product
from typing import Any

from tallystick.check.cases import ANSWERS, Case
from tallystick.check.finding import Finding, finding
from tallystick.check.standing import Standing
from tallystick.check.values import Variable, domains, variables, written
from tallystick.check.words import joined, told
from tallystick.definition.expression import Expression
from tallystick.definition.machine import IN_DOUBT, Machine, Row

LONGEST = 40  # follow-ups of follow-ups; with amounts as small as these, nothing sensible goes on that long

Taken = tuple[str, dict[str, int], dict[str, Any], dict[str, Any], Row]  # state, accounts, facts, arguments, transition
Ended = tuple[str, dict[str, int], dict[str, Any]]  # state, accounts, facts


def follow_ups(standing: Standing) -> Iterator[Finding]:
    """TS109, TS110 and TS119."""
    found = list(_queued(standing))
    yield from (each for _, each in found)
    yield from _left_there(standing, {name for name, each in found if each.code == "TS110"})


def _queued(standing: Standing) -> Iterator[tuple[str, Finding]]:
    machine = standing.machine
    looping: set[str] = set()
    for name, row in machine.rows.items():
        if not row.then:
            continue
        taken: set[tuple[str, str]] = set()  # state, command that was taken there
        met: set[tuple[str, str]] = set()
        for case, first in _begun(standing, row):
            for state, command, follows in _followed(machine, first):
                met.add((state, command))
                if follows:
                    taken.add((state, command))
            if name not in looping:
                round_ = _loops(machine, first)
                if round_ and not looping & set(round_):
                    looping |= set(round_)
                    why = f"{joined(dict.fromkeys(round_))} can follow each other for ever: {told(case, _names(case))}"
                    yield name, finding("TS109", machine, why, "transition", name, "then")
        for state, command in sorted(met - taken):
            refused = machine.on_purpose.get((state, command))
            because = f" ({refused.removesuffix('.')})" if refused else ""
            why = f"{name} queues {command}, but {state} never takes it with these values{because}"
            yield name, finding("TS110", machine, why, "transition", name, "then")


def _left_there(standing: Standing, known: Collection[str]) -> Iterator[Finding]:
    """Who comes where a state goes on by itself, with nothing queued that it takes. Who signs is there to go on.

    Of a transition that is `known` for what it queues is told already.
    """
    machine = standing.machine
    if machine.states[machine.start].goes_on:
        why = f"{machine.start} goes on by itself, but an entity begins there, and nothing is queued for it"
        yield finding("TS119", machine, why, "state", machine.start, "goes_on")
    for name, row in machine.rows.items():
        states = {state for state in (row.target, row.transition.otherwise) if state and machine.states[state].goes_on}
        if name in known or not states or all(machine.commands[command].signed for command in row.transition.commands):
            continue
        for case, first in _begun(standing, row):
            state = next((state for state in _waiting(standing, first) if state in states), None)
            if state is not None:
                why = f"{name} leads to {state}, which goes on by itself, and queues nothing that it takes there"
                yield finding("TS119", machine, f"{why}: {told(case, _names(case))}", "transition", name, "then")
                break


def _waiting(standing: Standing, first: Taken) -> Iterator[str]:
    """The states that go on by themselves where a transition leads to, and nothing takes it on."""
    machine = standing.machine
    ends = []
    if not any(follows for _, _, follows in _followed(machine, first)):
        ends.append(_after(machine, first))
    declined = first[4].transition.otherwise
    if declined and standing.cases.asks[first[4].name]:
        ends.append((declined, first[1], first[2]))
    for state, v, f in (each for each in ends if each is not None):
        known = machine.states[state].goes_on
        if known is not None and known.compiled()(v, f, {}, state, None):
            yield state


def _names(case: Case) -> set[str]:
    return {variable.name for variable, _ in case.values}


def _begun(standing: Standing, row: Row) -> Iterator[tuple[Case, Taken]]:
    """A transition as it may be taken, with what makes a difference to it and to what follows it.

    All accounts are among it: in some states value always stands somewhere, and what follows may ask for it.
    """
    machine = standing.machine
    looked = list(_looked(machine, row))
    doubted = {IN_DOUBT} & {name for each in looked for name in each.names}
    command = row.transition.commands[0]
    wanted = variables(machine, command, looked, {*machine.accounts, *doubted})
    facts = {name for name in standing.cases.facts if name not in {each.name for each in wanted}}
    wanted += [Variable("f", name, machine.facts[name].type) for name in sorted(facts)]
    v: dict[str, Any] = dict.fromkeys(machine.columns, 0)
    f: dict[str, Any] = dict.fromkeys(machine.facts)
    a: dict[str, Any] = dict.fromkeys(machine.commands[command].arguments)
    places = [({"v": v, "f": f, "a": a}[variable.place], variable.name) for variable in wanted]
    sources = [state for state in row.transition.sources if (state, row.name) in standing.happens]
    for values in product(*domains(wanted, written(looked), standing.cases.texts)):
        for (place, name), value in zip(places, values, strict=True):
            place[name] = value
        for state in sources:
            if row.fires(v, f, a, state) and standing.may_stand(state, v, f):
                yield Case(tuple(zip(wanted, values, strict=True))), (state, dict(v), dict(f), dict(a), row)


def _looked(machine: Machine, row: Row) -> Iterator[Expression]:
    """What a transition looks at, and what queues its follow-ups."""
    transition = row.transition
    yield from (part for part in (transition.guard, transition.upto) if part is not None)
    yield from (move.amount for move in transition.moves)
    for then in transition.then:
        yield from then.arguments.values()
    for state in (row.target, transition.otherwise):
        known = machine.states[state].goes_on if state else None
        if known is not None:
            yield known


def _after(machine: Machine, taken: Taken) -> Ended | None:
    state, v, f, a, row = taken
    amounts = row.amounts(v, f, a, state)
    after = row.post(v, amounts)
    if min((*after.values(), *amounts), default=0) < 0:
        return None
    facts = f | {name: value(None, f, a, state, ANSWERS[1]) for name, value in row.sets}
    return row.target or state, after, facts


def _next(machine: Machine, taken: Taken) -> Iterator[tuple[str, str, list[Taken]]]:
    """The follow-ups of a transition: state, command, and what takes it there."""
    ended = _after(machine, taken)
    if ended is None:
        return
    state, v, f = ended
    for command, given in taken[4].then:
        declared: Mapping[str, Any] = machine.commands[command].arguments
        a: dict[str, Any] = {name: False if type_.kind == "flag" else None for name, type_ in declared.items()}
        a |= {name: value(v, f, taken[3], state, ANSWERS[1]) for name, value in given}
        refused = any(each.fires(v, f, a, state, None) for each in machine.refused.get((state, command), ()))
        rows = () if refused else machine.table.get((state, command), ())
        yield state, command, [(state, v, f, a, row) for row in rows if row.fires(v, f, a, state)]


def _followed(machine: Machine, first: Taken) -> Iterator[tuple[str, str, bool]]:
    for state, command, follows in _next(machine, first):
        yield state, command, bool(follows)


def _loops(machine: Machine, first: Taken) -> list[str]:
    """The transitions of a round that never ends, if one follows from this."""
    level: dict[str, tuple[Taken, list[str]]] = {"": (first, [first[4].name])}
    for _ in range(LONGEST):
        level = {
            repr((*each[:4], each[4].name)): (each, [*path, each[4].name])
            for taken, path in level.values()
            for _, _, follows in _next(machine, taken)
            for each in follows
        }
    return list(dict.fromkeys(next(iter(level.values()))[1])) if level else []
