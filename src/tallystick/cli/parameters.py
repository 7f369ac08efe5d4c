"""What the words of a command line mean: an ID, the name of a machine, a moment, and ARG=VALUE."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone

import click

from tallystick.core.entity import CREATE, Entity, Ref
from tallystick.definition.machine import Machine, Machines
from tallystick.engine.engine import Engine
from tallystick.errors import Invalid, NotFound
from tallystick.masks import quoted
from tallystick.store.protocol import Reading

FLAGS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def machine_named(machines: Machines, name: str) -> Machine:
    """A machine by name. Raises NotFound."""
    if name not in machines:
        raise NotFound("machine", name, list(machines))
    return machines[name]


def entity_named(engine: Engine, reading: Reading, text: str) -> Entity:
    """The one entity that an id, machine/id or a card number names. Raises NotFound, or Invalid for several."""
    machines, found = engine.machines, engine.numbers.find(reading, text)
    name, _, rest = text.partition("/")
    if name in machines and rest:
        found = [*found, (name, rest)]
    entities = reading.entities(dict.fromkeys(found))
    # A card number also stands on the order line that sold the card; the card is meant then.
    meant = [each for each in entities.values() if each.id == text or not _links(machines, each, entities)]
    if len(meant) == 1:
        return meant[0]
    if not meant:
        raise NotFound("entity", text, why=f"there is nothing with the id or card number {quoted(text)}")
    named = " and ".join(f"{each.machine}/{each.id}" for each in meant)
    raise Invalid(f"{quoted(text)} names {len(meant)} things: {named}; say which, as machine/id")


def _links(machines: Machines, entity: Entity, found: Mapping[Ref, Entity]) -> bool:
    """Whether the entity links to another one that was found."""
    links = machines[entity.machine].links.items()
    return any((target, str(entity.facts.get(fact))) in found for fact, target in links)


def new_entity(machines: Machines, text: str) -> tuple[Machine, str]:
    """The machine and the id of what machine/id would create. Raises Invalid."""
    name, _, id = text.partition("/")
    if not id:
        raise Invalid(f"a new entity needs a machine too: write machine/id, such as gift_card/{text}")
    return machine_named(machines, name), id


def moment(name: str, text: str) -> datetime:
    """A moment with a time zone, from an ISO time. Raises Invalid."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise Invalid(f"{name} has no time zone: {text[:40]!r}; end it with Z or an offset such as -03:00")
        return found.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise Invalid(f"{name} is not an ISO time: {text[:40]!r}; write it like 2026-05-31T12:00:00Z") from None


def arguments(machine: Machine, command: str, words: tuple[str, ...]) -> dict[str, object]:
    """The arguments of a command, from words ARG=VALUE.

    Raises:
        UsageError: a word is not ARG=VALUE; an argument is there twice; a flag is neither yes nor no; an argument is a
            secret, which a shell would remember.
    """
    kinds = _kinds(machine, command)
    found: dict[str, object] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise click.UsageError("write an argument as ARG=VALUE, such as amount=50.00")
        if name in found:
            raise click.UsageError(f"the argument {name!r} is given twice")
        if kinds.get(name, "secret" if name == "pin" else "") == "secret":
            raise click.UsageError(
                f"{name!r} is a secret: leave it out. It is not needed here, and a shell remembers what you type"
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
            raise click.UsageError(f"{name!r} is {text[:40]!r}: write yes or no")
        return FLAGS[text.lower()]
    if kind == "count" and text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20:
        return int(text)
    return text
