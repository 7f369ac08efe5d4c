"""For all values: the guards of one command in one state exclude each other, and together they cover everything."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import attrs
import z3

from tallystick.check.proof import terms
from tallystick.check.proof.executions import refusals
from tallystick.check.proof.solver import Prover, values_in_words
from tallystick.check.proof.state_invariants import StateInvariants
from tallystick.check.proof.terms import Entity, Term, Value
from tallystick.definition.machine import Row


@attrs.frozen(eq=False)
class _Answer:
    """A transition, or a refusal with a guard."""

    name: str
    guard: Term
    names: frozenset[str]  # at which it looks


def prove_guards(prover: Prover, known: StateInvariants) -> None:
    """TS301 and TS302."""
    machine = known.lifecycle.machine
    for (state, command), rows in machine.table.items():
        entity = known.lifecycle.subjects[state].entity
        args, typed = terms.arguments(machine, command)
        answers = _answers(entity, command, rows, args)
        types = machine.commands[command].seen
        if len(answers) == 1 and z3.is_true(answers[0].guard):
            continue  # there is nothing to prove
        for one, other in combinations(answers, 2):
            claim = z3.Not(z3.And(one.guard, other.guard))
            model = _counterexample(prover, known, state, rows, typed, claim, "exclusive guards")
            if model is not None:
                values = values_in_words(model, entity, args, types, one.names | other.names)
                message = f"{one.name} and {other.name} both answer {command} in {state}: {values}"
                prover.report("TS301", machine, message, *_place(rows, other.name))
        claim = z3.Or([each.guard for each in answers])
        model = _counterexample(prover, known, state, rows, typed, claim, "complete guards")
        if model is not None:
            names = frozenset().union(*(each.names for each in answers))
            values = values_in_words(model, entity, args, types, names)
            message = f"nothing answers {command} in {state}, neither a transition nor a refusal: {values}"
            prover.report("TS302", machine, message, *_place(rows, rows[0].name))


def _answers(entity: Entity, command: str, rows: tuple[Row, ...], args: Mapping[str, Value]) -> list[_Answer]:
    guards = [(row.name, row.transition.guard) for row in rows]
    guards += [(f"the refusal '{each.says}'", each.guard) for each in refusals(entity, command)]
    places = entity.places(args)
    first = [terms.truth(each.guard, places) for each in refusals(entity, command) if each.first]
    before = {
        f"the refusal '{each.says}'": number for number, each in enumerate(refusals(entity, command)) if each.first
    }
    found = []
    for name, guard in guards:
        earlier = first[: before.get(name, len(first))]  # where one of these is true, nobody asks for more
        true = z3.And(terms.truth(guard, places), *map(z3.Not, earlier)) if earlier else terms.truth(guard, places)
        found.append(_Answer(name, true, guard.names if guard else frozenset()))
    return found


def _counterexample(
    prover: Prover, known: StateInvariants, state: str, rows: tuple[Row, ...], typed: Term, claim: Term, kind: str
) -> Term | None:
    """Values that break the claim at a point of the state, if there are any."""
    for point in known.lifecycle.taking(state, rows):
        if known.reached(point):
            given, place = [*known.at(point), typed], _place(rows, rows[0].name)
            model = prover.counterexample(kind, known.lifecycle.machine, place, given, [claim])
            if model is not None:
                return model
    return None


def _place(rows: tuple[Row, ...], name: str) -> tuple[str, ...]:
    named = name if any(row.name == name for row in rows) else rows[0].name
    return ("transition", named, "when")
