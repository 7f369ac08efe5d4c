"""What the words of a command line mean: an ID, the name of a machine, and ARG=VALUE."""

from __future__ import annotations

from collections.abc import Mapping

import click

from tallystick.core.entity import CREATE, Entity, Ref
from tallystick.definition.machine import Machine, Machines
from tallystick.engine.engine import Engine
from tallystick.errors import Invalid, nearest, quoted
from tallystick.store.protocol import Reading

FLAGS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def machine_named(machines: Machines, name: str) -> Machine:
    """A machine by name. Raises Invalid."""
    if name not in machines:
        raise Invalid(f"there is no machine {name!r}.{nearest(name, list(machines))}")
    return machines[name]


def entity_named(engine: Engine, reading: Reading, text: str) -> Entity:
    """The one entity that an id, a machine/id or a card number names. Raises Invalid if none or several."""
    machines, found = engine.machines, engine.numbers.find(reading, text)
    name, _, rest = text.partition("/")
    if name in machines and rest:
        found = [*found, (name, rest)]
    entities = reading.entities(dict.fromkeys(found))
    # A card number also stands on the order line that sold the card: that is about the card.
    meant = [each for each in entities.values() if each.id == text or not _leads(machines, each, entities)]
    if len(meant) == 1:
        return meant[0]
    if not meant:
        raise Invalid(f"there is nothing with the id or card number {quoted(text)}")
    named = " and ".join(f"{each.machine}/{each.id}" for each in meant)
    raise Invalid(f"{quoted(text)} names {len(meant)} things: {named}; say which, as machine/id")


def _leads(machines: Machines, entity: Entity, found: Mapping[Ref, Entity]) -> bool:
    """Whether it links to another that was found."""
    links = machines[entity.machine].links.items()
    return any((target, str(entity.facts.get(fact))) in found for fact, target in links)


def new_entity(machines: Machines, text: str) -> tuple[Machine, str]:
    """The machine and the id of what machine/id would create. Raises Invalid."""
    name, _, id = text.partition("/")
    if not id:
        raise Invalid(f"a creation needs the machine too: write machine/id, such as gift_card/{text}")
    return machine_named(machines, name), id


def arguments(machine: Machine, command: str, given: tuple[str, ...]) -> dict[str, object]:
    """ARG=VALUE as the command wants them.

    Raises:
        UsageError: no ARG=VALUE; one is given twice; a flag that is neither yes nor no; a secret, since a shell
            remembers what was typed.
    """
    kinds = _kinds(machine, command)
    found: dict[str, object] = {}
    for each in given:
        name, equals, text = each.partition("=")
        if not equals:
            raise click.UsageError("an argument is written ARG=VALUE, such as amount=50.00")
        if name in found:
            raise click.UsageError(f"the argument {name!r} is given twice")
        if kinds.get(name, "secret" if name == "pin" else "") == "secret":
            raise click.UsageError(
                f"{name!r} is a secret: leave it out, nobody is asked for it here and a shell remembers"
            )
        found[name] = _typed(name, text, kinds.get(name))
    return found


def _kinds(machine: Machine, command: str) -> dict[str, str]:
    if command == CREATE:
        return {name: fact.type.kind for name, fact in machine.facts.items()}
    declared = machine.commands.get(command)
    return {name: type_.kind for name, type_ in declared.arguments.items()} if declared else {}


def _typed(name: str, text: str, kind: str | None) -> object:
    if kind == "flag":
        if text.lower() not in FLAGS:
            raise click.UsageError(f"{name!r} is yes or no, not {text[:40]!r}")
        return FLAGS[text.lower()]
    if kind == "count" and text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20:
        return int(text)
    return text
