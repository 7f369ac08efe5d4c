"""Which open calls a refusal has to name: the core knows that something is in doubt, the books know by which call."""

from __future__ import annotations

from functools import partial

from tallystick.core.entity import Entity, Ref
from tallystick.core.explain import OpenCall
from tallystick.core.explain import explained as explained_with
from tallystick.core.refusal import Refusal
from tallystick.engine import parts
from tallystick.engine.unit_of_work import UnitOfWork


def explained(work: UnitOfWork, refusal: Refusal, decided: parts.Decided) -> Refusal:
    """The refusal with what would be taken now, and with the calls that are in its way."""
    return explained_with(
        refusal, work.machines, work.world, lambda entity: open_calls(work, entity), partial(parts.values, work),
        partial(parts.taken, work, decided=decided), work.at,
    )  # fmt: skip


def open_calls(work: UnitOfWork, entity: Entity) -> list[OpenCall]:
    """The open calls that an entity takes part in. Each is about a card that the entity is, or links to."""
    rows = {row.id: row for ref in linked(work, entity.ref) for row in work.books.calls_on(*ref)}
    rows |= work.changes.calls
    found = sorted((row for row in rows.values() if row.state == "open"), key=lambda row: (row.opened, row.id))
    return [(row.id, row.verb) for row in found if entity.ref in row.refs]


def linked(work: UnitOfWork, ref: Ref) -> dict[Ref, None]:
    """An entity and all that it links to, as far as they are loaded."""
    found, wanted = dict[Ref, None](), [ref]
    while wanted:
        entity = work.world.get(wanted.pop())
        if entity is None or entity.ref in found:
            continue
        found[entity.ref] = None
        links = work.machines.at(entity.machine, entity.machine_version).links.items()
        wanted += [(target, str(entity.facts[fact])) for fact, target in links if entity.facts.get(fact) is not None]
    return found
