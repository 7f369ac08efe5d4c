"""What a command reads of the parts of its entity: those that link to it, such as the payments of a tender.

They are locked with it, so what is read is so until the commit. It is written into the entry like an argument, so the
journal says what the command was decided on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import attrs

from tallystick.core import refusal
from tallystick.core.entity import Entity, Intent, Plan, Request
from tallystick.core.follow_up import Shares
from tallystick.core.refusal import Code, Refusal
from tallystick.definition.declared import BUSY, COUNT, EACH, TOTAL, Command
from tallystick.definition.machine import Machine
from tallystick.engine.unit_of_work import UnitOfWork
from tallystick.masks import quoted

Decided = Callable[[UnitOfWork, Request], Intent | Refusal]


def read(work: UnitOfWork, machine: Machine, entity: Entity, request: Request) -> Request | Refusal:
    """The request with all that its command reads; or the refusal of a share for something that is no part of it."""
    declared = machine.commands[request.command]
    if not declared.reads_parts and not declared.shares:
        return request
    totals = {
        f"{name}.{TOTAL}": sum(amount for _, amount in cast(Shares, request.args[name])) for name in declared.shares
    }
    args = {**request.args, **values(work, entity, declared)}
    args |= {name: total for name, total in totals.items() if name in declared.reads}
    for then in (
        each for row in machine.table.get((entity.state, request.command), ()) for each in row.transition.then
    ):
        if then.each is None or then.shares is None:
            continue
        there = {each.id for each in _parts(work, then.each, machine.parts[then.each], entity)}
        for id, _ in cast(Shares, args[then.shares]):
            if id not in there:
                why = f"{then.each} {quoted(id)} is no part of it"
                return refusal.of(entity, machine, request.command, Code.LINKED, why)
    return attrs.evolve(request, args=args)


def values(work: UnitOfWork, entity: Entity, command: Command) -> dict[str, object]:
    """What a command reads of the parts of its entity, by name."""
    facts = work.machines.at(entity.machine, entity.machine_version).parts
    found = dict[str, list[Entity]]()
    read = dict[str, object]()
    for name in command.reads:
        owner, _, field = name.partition(".")
        if owner in facts:
            found[owner] = found[owner] if owner in found else _parts(work, owner, facts[owner], entity)
            read[name] = _value(work, found[owner], field)
    return read


def _parts(work: UnitOfWork, machine: str, fact: str, entity: Entity) -> list[Entity]:
    """The parts of an entity, in the order of their ids; a shorter id comes first."""
    refs = {each.ref for each in work.books.linked(machine, fact, entity.id)}
    refs |= {ref for ref, each in work.world.items() if ref[0] == machine and each.facts.get(fact) == entity.id}
    work.lock([ref for ref in refs if ref not in work.world])
    mine = [work.world[ref] for ref in refs if work.world[ref].facts.get(fact) == entity.id]
    return sorted(mine, key=lambda each: (len(each.id), each.id))


def _value(work: UnitOfWork, parts: list[Entity], field: str) -> object:
    if field == COUNT:
        return len(parts)
    if field == BUSY:
        return sum(1 for each in parts if each.calls or work.follows(*each.ref))
    if field == EACH:
        return tuple(each.id for each in parts if not _ended(work, each))
    return sum(each.standing(field) for each in parts)


def _ended(work: UnitOfWork, entity: Entity) -> bool:
    return work.machines.at(entity.machine, entity.machine_version).states[entity.state].final


def unwilling(work: UnitOfWork, plan: Plan, request: Request, decided: Decided) -> Refusal | None:
    """The refusal of a command because one of its parts would refuse what follows for it."""
    for each in plan.then:
        if (each.machine, each.id) == (request.machine, request.id) or (each.due or "") > work.at or each.after:
            continue
        refused = decided(work, each)
        if isinstance(refused, Refusal):
            entity = work.world[request.machine, request.id]
            machine = work.machines.at(entity.machine, entity.machine_version)
            return refusal.of(entity, machine, request.command, Code.LINKED, refused.why, cause=refused)
    return None


def taken(work: UnitOfWork, request: Request, decided: Decided) -> bool:
    """Whether a command would be taken with these arguments, and by its parts; with some shares, if it takes shares."""
    entity = work.world[request.machine, request.id]
    machine = work.machines.at(entity.machine, entity.machine_version)
    rows = machine.table.get((entity.state, request.command), ())
    if not any(then.each for row in rows for then in row.transition.then):
        return True
    given = {name: request.args[name] for name in machine.commands[request.command].arguments}
    shared = [name for name, value in given.items() if value == ()]
    ways: list[dict[str, object]] = [{}]
    for name in shared:
        total = request.args.get(f"{name}.{TOTAL}")
        found = [each for part, fact in machine.parts.items() for each in _some_shares(work, entity, part, fact, total)]
        ways = [{**way, name: shares} for way in ways for shares in found]
    return any(isinstance(decided(work, attrs.evolve(request, args={**given, **way})), Intent) for way in ways)


def _some_shares(work: UnitOfWork, entity: Entity, part: str, fact: str, total: object) -> Iterator[Shares]:
    """A total of one part alone, or over all in order, as some amount that stands on each has room for it."""
    there = _parts(work, part, fact, entity)
    if isinstance(total, int) and total > 0:
        yield from (((each.id, total),) for each in there)
    names = [*work.machines[part].accounts, *(name for each in there for name in each.facts)]
    for name in dict.fromkeys(names):
        rooms = [each.accounts.get(name, each.facts.get(name)) for each in there]
        left, shares = total if isinstance(total, int) else 0, list[tuple[str, int]]()
        for each, room in zip(there, rooms, strict=True):
            share = min(left, room) if type(room) is int else 0
            left -= share
            shares += [(each.id, share)] if share else []
        if shares and not left:
            yield tuple(shares)
