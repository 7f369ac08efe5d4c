"""An entity moves to a newer version of its machine: by the words of the newer page, or not at all.

`from version 1: {states: {open: authorized}, accounts: {hold: held}, facts: {ref: hold_id}}` says where what the older
version declared has its place. What is not named keeps its name. One entry says the move, so that the history and its
hashes go on. Value only moves between accounts of the entity: it is the same before and after, to the cent.

What is in the way of an entity is said in words that are the same for all entities of its kind, to be counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

import attrs

from tallystick.core.entity import Entity, Entry, Plan, Posting
from tallystick.core.resolve import post
from tallystick.definition.declared import MIGRATE, Fact, Migration
from tallystick.definition.expression import Type
from tallystick.definition.machine import Machine, Machines


def words(old: Machine, new: Machine) -> str:
    """The line that a page needs for an older version, with a ? for what the author has to say."""
    lost = {
        "states": [name for name in old.states if name not in new.states],
        "accounts": [name for name in old.accounts if name not in new.accounts],
    }
    listed = (f"{key}: {{{', '.join(f'{name}: ?' for name in names)}}}" for key, names in lost.items() if names)
    return f"from version {old.version}: {{{', '.join(listed)}}}"


def missing(old: Machine, new: Machine) -> Iterator[str]:
    """What the newer page leaves without a place, or cannot take from any entity of the older version."""
    said = new.migrations.get(old.version)
    if said is None:
        yield f"the page does not say how; write: {words(old, new)}"
        return
    for kind, names, there, places in (
        ("state", old.states, new.states, said.states), ("account", old.accounts, new.accounts, said.accounts),
        ("fact", old.facts, None, said.facts),
    ):  # fmt: skip
        lost = [name for name in names if there is not None and places.get(name, name) not in there]
        yield from (f"{kind} {name!r} is gone and has no place: say which {kind} it becomes" for name in lost)
        unknown = [name for name in places if name not in names]
        yield from (f"{kind} {name!r} is none of version {old.version}" for name in unknown)
    for name in [each for each in old.accounts if each in new.outside]:
        yield f"account {name!r} was inside and is outside now: old entries would be read otherwise"
    yield from _facts(old, new, said)


@lru_cache(maxsize=64)
def for_all(old: Machine, new: Machine) -> tuple[str, ...]:
    """What is in the way of every entity of the older version, whatever stands on it."""
    said = new.migrations.get(old.version)
    return tuple(_facts(old, new, said) if said is not None else missing(old, new))


def _facts(old: Machine, new: Machine, said: Migration) -> Iterator[str]:
    come = sources(old, new, said)
    for name, fact in new.facts.items():
        before = old.facts[come[name]] if name in come else None
        if before is None and fact.default is None and not (fact.type.optional or fact.later):
            yield f"fact {name!r} is new and has to be given: make it optional, or give it a default"
        elif before is not None and (before.type.kind, before.type.machine) != (fact.type.kind, fact.type.machine):
            yield f"fact {name!r} would be {fact.type}, and was {before.type}"


def sources(old: Machine, new: Machine, said: Migration) -> dict[str, str]:
    """Fact of the newer version → the fact of the older one from which it comes."""
    kept = {name: name for name in new.facts if name in old.facts and name not in said.facts}
    return kept | {target: name for name, target in said.facts.items() if name in old.facts}


def in_the_way(old: Machine, new: Machine, entity: Entity) -> Iterator[str]:
    """What keeps one entity from moving now, but for commands that wait: see `takes`."""
    yield from for_all(old, new)
    said = new.migrations.get(old.version)
    if said is None:
        return
    if entity.calls:
        yield "a call to the provider is open: recover, or resolve it by hand, first"
    state = said.states.get(entity.state, entity.state)
    if state not in new.states:
        yield f"state {entity.state!r} is gone and has no place"
    accounts = _moved(entity.accounts, said)
    for name, amount in accounts.items():
        if amount and name not in new.columns:
            yield f"value stands on {name!r}, which is gone and has no place"
        elif amount and state in new.states and new.states[state].final and name in new.holding:
            yield f"value stands on {name!r}, and {state!r} is final"
    for name, source in sources(old, new, said).items():
        yield from _unfit(new.facts[name], entity.facts.get(source))


def _unfit(fact: Fact, value: object) -> Iterator[str]:
    if value is None and not (fact.type.optional or fact.later or fact.default is not None):
        yield f"fact {fact.name!r} is not there, and has to be"
    if value is not None and fact.type.kind == "choice" and value not in fact.type.choices:
        yield f"fact {fact.name!r} is {value!r}, which is no choice any more"


def _moved(accounts: Mapping[str, int], said: Migration) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, amount in accounts.items():
        target = said.accounts.get(name, name)
        found[target] = found.get(target, 0) + amount
    return found


def move(old: Machine, new: Machine, entity: Entity) -> Plan:
    """The entity as the newer version has it, and the entry that says so. Nothing may be `in_the_way`."""
    said = new.migrations[old.version]
    state = said.states.get(entity.state, entity.state)
    postings = tuple(
        Posting(name, target, amount)
        for name, amount in entity.accounts.items()
        if amount and (target := said.accounts.get(name, name)) != name
    )
    after = post({**dict.fromkeys(new.columns, 0), **entity.accounts}, postings)
    accounts = {name: after[name] for name in new.columns}
    come, changed = sources(old, new, said), dict[str, object]()
    for name, fact in new.facts.items():
        value = entity.facts.get(come[name]) if name in come else None
        value = fact.default if value is None else value
        if value != entity.facts.get(name):
            changed[name] = value
    changed |= {name: None for name in said.facts if name not in new.facts and entity.facts.get(name) is not None}
    moved = attrs.evolve(
        entity, state=state, revision=entity.revision + 1, machine_version=new.version, accounts=accounts,
        facts={**dict.fromkeys(new.facts), **entity.facts, **changed},
    )  # fmt: skip
    entry = Entry(
        new.name, entity.id, moved.revision, new.version, MIGRATE, MIGRATE, "done", entity.state, state,
        {"from": old.version}, postings, changed, accounts,
    )  # fmt: skip
    return Plan([moved], [entry])


def as_newest(machines: Machines, entity: Entity) -> Mapping[str, int]:
    """What stands on an entity, by the accounts of the newest version, where that says what they become."""
    said = machines[entity.machine].migrations.get(entity.machine_version)
    return entity.accounts if said is None else _moved(entity.accounts, said)


def takes(old: Machine, new: Machine, command: str, args: Mapping[str, object]) -> str:
    """Why a command that was written down under the older version could not be taken under the newer; "" if it can."""
    before, now = old.commands.get(command), new.commands.get(command)
    if now is None:
        return f"{command} waits in the queue, and version {new.version} has no such command"
    for name in args:
        type_, was = now.arguments.get(name), before.arguments.get(name) if before is not None else None
        if name not in now.storable or (type_ is not None and was is not None and _differ(type_, was)):
            return f"{command} waits in the queue with arguments that version {new.version} does not take"
    for name, type_ in now.arguments.items():
        needed = type_.ability or not (type_.optional or type_.kind == "flag")
        if name not in args and needed:
            return f"{command} waits in the queue without {name}, which version {new.version} needs"
    return ""


def _differ(one: Type, other: Type) -> bool:
    return (one.kind, one.machine) != (other.kind, other.machine) or not {*other.choices} <= {*one.choices}


@lru_cache(maxsize=64)
def takes_all(old: Machine, new: Machine) -> bool:
    """Whether every command that can wait under the older version can be taken under the newer one."""
    for name, command in old.commands.items():
        arguments = command.arguments
        given = {each: None for each, type_ in arguments.items() if not (type_.optional or type_.kind == "flag")}
        if takes(old, new, name, dict.fromkeys(command.storable)) or takes(old, new, name, given):
            return False
    return True
