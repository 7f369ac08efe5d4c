"""What a command line gives, made into what the engine wants: opened books, an entity, typed arguments."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs
import click

from tallystick.books.open import connected, provider_named
from tallystick.core.entity import CREATE, Entity, Ref
from tallystick.definition import reader
from tallystick.definition.machine import Machine, Machines
from tallystick.engine.engine import Engine
from tallystick.errors import Invalid, StoreError, nearest, quoted
from tallystick.store.open import open_store
from tallystick.store.protocol import Reading, Store

FLAGS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@attrs.frozen
class BooksOptions:
    """Which books are meant: where they are, whose machines run there, and who performs calls."""

    url: str
    folders: tuple[str, ...] = ()
    provider: str = "local"

    @contextmanager
    def opened(self, *, make: bool = False) -> Iterator[Engine]:
        """The engine on books that are there; or, with `make`, that are made."""
        machines = reader.load(*self.folders)
        store = open_store(self.url)
        if not make:
            _there(store)
        provider = provider_named(self.provider)
        try:
            yield connected(machines, store, provider)
        finally:
            store.close()
            close = getattr(provider, "close", None)  # its connections, if it has any
            if close is not None:
                close()


def _there(store: Store) -> None:
    """Who only looks must not make a store: neither a file nor tables in somebody else's database.

    Raises:
        StoreError: there is no store.
    """
    path = getattr(store, "path", None)
    if path is None:  # in memory
        return
    if not Path(path).is_file():
        raise StoreError(f"there is no store at {store.url}; `tallystick run FILE --store {store.url}` makes one")
    connection = sqlite3.connect(path)
    try:
        found = connection.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('machine', 'entry', 'call')")
        ours = found.fetchone()[0] == 3
    except sqlite3.DatabaseError as error:
        raise StoreError(f"there is no store at {store.url}: {error}") from error
    finally:
        connection.close()
    if not ours:
        raise StoreError(f"there is no store at {store.url}: it is another database")


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
