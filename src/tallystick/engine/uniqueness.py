"""What only one entity of a value type may have: the unique fact of its machine, such as a card number.

Two cards with one number would be one card at the provider, and what was done for one could be taken for the other's.
So a number is refused if another entity of the currency has it. While a call that gives a number is open, everybody is
refused that number, in any currency, because the provider's record does not say for whom the call was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from tallystick.core import refusal
from tallystick.core.entity import NO_CALL, Entity, Intent, Ref
from tallystick.core.refusal import Code, Refusal
from tallystick.definition.machine import Machine, Machines, Row
from tallystick.engine.unit_of_work import UnitOfWork
from tallystick.masks import mask
from tallystick.provider.protocol import Outcome
from tallystick.store.rows import CallRow

Having = Callable[[str, str], list[Entity]]


def given(machine: Machine, row: Row, entity: Entity, args: object, outcome: Outcome = NO_CALL) -> str | None:
    """The value that a transition gives to the unique fact of its entity, if it gives one."""
    for name, value in row.sets:
        if name == machine.unique:
            found = value(None, entity.facts, args, entity.state, outcome)
            return str(found) if found is not None else None
    return None


def refused(work: UnitOfWork, intent: Intent, outcome: Outcome = NO_CALL) -> Refusal | None:
    """The refusal of a command that would give an entity what another has."""
    first = intent.steps[0]
    for step in intent.steps:
        machine = work.machines.at(step.entity.machine, step.entity.machine_version)
        value = given(machine, step.row, step.entity, step.args, outcome)
        found = taken(work, machine, step.entity.id, step.entity.currency, value) if value is not None else None
        if found is None:
            continue
        refused = refusal.of(step.entity, machine, step.command, *found)
        if step is first:
            return refused
        driver = work.machines.at(first.entity.machine, first.entity.machine_version)
        return refusal.of(first.entity, driver, first.command, Code.LINKED, refused.why, cause=refused)
    return None


def taken(work: UnitOfWork, machine: Machine, id: str, currency: str, value: str) -> tuple[Code, str] | None:
    """Why an entity cannot have this value: another has it, or may have it by now."""
    says = f"the {machine.unique} {mask(value)}"
    for other in work.having(machine.name, value):
        if other.id != id and other.currency == currency:
            return Code.TAKEN, f"{says} is that of {machine.name} {other.id!r}, which is in {currency} too"
    row = work.taking(_named(machine, value))
    if row is not None and (row.machine, row.entity) != (machine.name, id):
        return Code.IN_DOUBT, f"{says} is being given to {row.machine} {row.entity!r}, by a call not answered yet"
    return None


def lock_alike(work: UnitOfWork, entity: Entity, machine: Machine) -> None:
    """Lock the entities that do the same because they have the same unique fact: a card's other balances."""
    value = entity.facts.get(str(machine.unique))
    others = work.having(machine.name, str(value)) if value is not None else []
    work.lock([each.ref for each in others if each.ref not in work.world])


def balances_of(row: CallRow, card: Entity, machines: Machines, having: Having) -> list[Ref]:
    """The entities that a call is about at the provider: its card, and the card's other balances.

    `having` says which entities of a machine have a value as their unique fact.
    """
    unique = machines[row.machine].unique
    number = (card.facts.get(unique) if unique else None) or json.loads(row.args).get("number")
    refs = [each.ref for each in having(row.machine, str(number))] if unique and number else []
    return list(dict.fromkeys([card.ref, *refs]))


def takes(work: UnitOfWork, intent: Intent) -> str | None:
    """What the call of an intent takes until it is answered."""
    for step in intent.steps:
        machine = work.machines.at(step.entity.machine, step.entity.machine_version)
        value = given(machine, step.row, step.entity, step.args)
        if value is not None:
            return _named(machine, value)
    return None


def odd(work: UnitOfWork, steps: Iterable[tuple[Machine, Row, Entity, object]], outcome: Outcome) -> str:
    """Why a confirmation cannot be believed: it gives an entity what another has."""
    for machine, row, entity, args in steps:
        value = given(machine, row, entity, args, outcome)
        for other in work.having(machine.name, value) if value is not None else ():
            if other.id != entity.id and other.currency == entity.currency:
                return f"it gives {machine.name} {entity.id!r} the {machine.unique} {mask(str(value))} of {other.id!r}"
    return ""


def _named(machine: Machine, value: str) -> str:
    return f"{machine.name} {value}"
