"""For all values: the guards of one command in one state exclude each other, and together they cover everything."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import attrs
import z3

from tallystick.check.proofs import terms
from tallystick.check.proofs.facts import Known
from tallystick.check.proofs.solver import Prover, values
from tallystick.check.proofs.steps import refusals
from tallystick.check.proofs.terms import Entity, Term, Value
from tallystick.definition.machine import Row


@attrs.frozen(eq=False)
class _Answer:
    """A transition, or a refusal with a guard."""

    name: str
    guard: Term
    names: frozenset[str]


def guards(prover: Prover, known: Known) -> None:
    machine = known.life.machine
    for (state, command), rows in machine.table.items():
        entity = known.life.worlds[state].entity
        args, well = terms.arguments(machine, command)
        found = list(_answers(entity, command, rows, args))
        types = machine.commands[command].arguments
        if len(found) == 1 and z3.is_true(found[0].guard):
            continue  # there is nothing to prove
        for one, other in combinations(found, 2):
            claim = z3.Not(z3.And(one.guard, other.guard))
            model = _somewhere(prover, known, state, rows, command, well, claim, "exclusive guards")
            if model is not None:
                said = values(model, entity, args, types, one.names | other.names)
                message = f"{one.name} and {other.name} both answer {command} in {state}: {said}"
                prover.told("TS301", machine, message, *_place(rows, other.name))
        claim = z3.Or([each.guard for each in found])
        model = _somewhere(prover, known, state, rows, command, well, claim, "complete guards")
        if model is not None:
            said = values(model, entity, args, types, frozenset().union(*(each.names for each in found)))
            message = f"nothing answers {command} in {state}, neither a transition nor a refusal: {said}"
            prover.told("TS302", machine, message, *_place(rows, rows[0].name))


def _answers(entity: Entity, command: str, rows: tuple[Row, ...], args: dict[str, Value]) -> Iterator[_Answer]:
    places = entity.places(args)
    for row in rows:
        guard = row.transition.guard
        yield _Answer(row.name, terms.truth(guard, places), guard.names if guard else frozenset())
    for each in refusals(entity, command):
        names = each.guard.names if each.guard else frozenset()
        yield _Answer(f"the refusal '{each.says}'", terms.truth(each.guard, places), names)


def _somewhere(
    prover: Prover, known: Known, state: str, rows: tuple[Row, ...], command: str, well: Term, claim: Term, kind: str
) -> Term | None:
    """Values that break the claim at a point of the state, if any do."""
    for point in known.life.taking(state, rows):
        if known.reached(point):
            place = ("transition", rows[0].name, "when")
            model = prover.proved(kind, known.life.machine, place, [*known.at(point), well], [claim])
            if model is not None:
                return model
    return None


def _place(rows: tuple[Row, ...], name: str) -> tuple[str, ...]:
    named = name if any(row.name == name for row in rows) else rows[0].name
    return ("transition", named, "when")
