"""The life of one entity, entry by entry, as people and reports read it: in `Money` and `datetime`, with its order.

The journal itself is the store's: an `EntryRow` is a row with JSON in it. Here each is read by the version of the page
that it was written under.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

import attrs

from tallystick.core.entity import Entity, Ref
from tallystick.definition.expression import Type
from tallystick.definition.machine import Machine
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Move
from tallystick.errors import NotFound
from tallystick.masks import mask
from tallystick.money import Money
from tallystick.store.protocol import Reading
from tallystick.store.rows import EntryRow

PAYMENT, CARD = "payment", "gift_card"


@attrs.frozen
class Entry:
    """One thing that happened to an entity: a transition that fired, or a step of one that asks the provider."""

    machine: str  # of the entity
    id: str  # of the entity
    revision: int  # of the entity after it, from 1
    at: datetime  # when it was written, in UTC
    occurred_at: datetime  # when it happened, as far as anybody has said; else `at`
    transition: str  # the one that fired, or "create"
    command: str  # that it answered
    phase: str  # done; or asked, and then confirmed, declined or unavailable, if a provider was asked
    from_state: str | None  # None for the first entry
    to_state: str  # the same one if the state stayed
    moves: tuple[Move, ...]  # what moved
    after: Mapping[str, Money]  # what stood on each account after it
    args: Mapping[str, object] = attrs.field(repr=False)  # amounts as Money, card numbers masked, secrets left out
    facts: Mapping[str, object] = attrs.field(repr=False)  # those that it set, likewise
    key: str  # of the command that made it, such as the caller's
    by: str | None  # who gave the command
    reason: str | None  # why
    call: str | None  # the call to the provider that it belongs to
    card: str | None  # the card it is about, where one is known
    payment: str | None  # the payment that made it, where one did
    order: str | None  # the order that it was for, where one is known


def history(engine: Engine, machine: str, id: str) -> list[Entry]:
    """What happened to an entity, oldest first.

    Raises:
        NotFound: there is no such machine or entity.
    """
    if machine not in engine.machines:
        raise NotFound("machine", machine, list(engine.machines))
    with engine.store.reading() as reading:
        rows = list(reading.journal(machine, id))
        if not rows:
            raise NotFound(machine, id)
        return typed(engine, reading, rows)


def typed(engine: Engine, reading: Reading, rows: Sequence[EntryRow]) -> list[Entry]:
    """Entries of any entities, as people read them."""
    causes = reading.keyed({each.cause for each in rows if each.cause is not None})
    makers: dict[str | None, Ref] = {cause: (row.machine, row.entity) for cause, row in causes.items()}
    found = reading.entities({*((row.machine, row.entity) for row in rows), *makers.values()})
    versions = engine.machines
    return [
        _entry(row, versions.at(row.machine, row.machine_version), found[ref], found[makers.get(row.cause, ref)])
        for row in rows
        for ref in [(row.machine, row.entity)]
    ]


def _entry(row: EntryRow, machine: Machine, entity: Entity, maker: Entity) -> Entry:
    """`maker` is the entity whose command made the entry: this one, or another that drove it."""
    money = partial(Money, currency=row.currency)
    facts = {name: fact.type for name, fact in machine.facts.items()}
    command = machine.commands.get(row.command)
    card = entity.id if entity.machine == CARD else entity.facts.get("card")
    order = maker.facts.get("order")
    return Entry(
        row.machine, row.entity, row.revision, datetime.fromisoformat(row.at),
        datetime.fromisoformat(row.happened), row.transition, row.command, row.phase, row.from_state, row.to_state,
        moves=tuple(Move(source, target, money(minor)) for source, target, minor in json.loads(row.postings)),
        after={name: money(minor) for name, minor in json.loads(row.after).items()},
        args=_read(row.args, command.arguments if command is not None else {}, row.currency),
        facts=_read(row.facts, facts, row.currency),
        key=str(row.key or row.cause), by=row.by, reason=row.reason, call=row.call,
        card=str(card) if card is not None else None,
        payment=maker.id if maker.machine == PAYMENT else None,
        order=str(order) if order is not None else None,
    )  # fmt: skip


def _read(text: str, types: Mapping[str, Type], currency: str) -> dict[str, object]:
    return {name: _value(value, types.get(name), currency) for name, value in json.loads(text).items()}


def _value(value: object, type_: Type | None, currency: str) -> object:
    match type_.kind if type_ is not None else "":
        case "money" if isinstance(value, int):
            return Money(value, currency)
        case "number" if isinstance(value, str):
            return mask(value)
    return value
