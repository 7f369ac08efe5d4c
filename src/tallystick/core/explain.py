"""What a refusal says beside its reason: what would be taken now, and which calls stand in its way.

`decide` is asked again and again, with arguments that are near what stands there. So this is for whoever reads the
refusal, and not for whoever only has to know that there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice, product

import attrs

from tallystick.core.decide import decide
from tallystick.core.entity import Entity, Ref, Request
from tallystick.core.refusal import Code, Refusal, answered
from tallystick.definition.declared import Command
from tallystick.definition.expression import NOW, Type
from tallystick.definition.machine import Machine, Machines

OpenCall = tuple[str, str]  # the id of a call that is not answered yet, and its verb
Read = Callable[[Entity, Command], Mapping[str, object]]  # what a command reads of the parts of its entity
SOMEBODY = "\0"  # an entity that nobody has: whichever the caller would name
Taken = Callable[[Request], bool]  # whether the parts of its entity, which the core does not know, take it too
LONG_AGO, FAR_AWAY = "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"
MOST = 4000  # arguments tried of one command
MOST_ASKED = 50  # of them, those that the parts are asked about


def explained(
    refusal: Refusal,
    machines: Machines,
    world: Mapping[Ref, Entity],
    calls_of: Callable[[Entity], Sequence[OpenCall]],
    read: Read = lambda entity, command: {},
    taken: Taken = lambda request: True,
    now: str = "",
) -> Refusal:
    """The refusal with what its entity would take now, and the open calls that are in its way; its causes likewise."""
    cause = explained(refusal.cause, machines, world, calls_of, read, taken, now) if refusal.cause is not None else None
    why = refusal.why
    if cause is not None and refusal.cause is not None and why.endswith(refusal.cause.why):
        why = why.removesuffix(refusal.cause.why) + cause.why
    entity = world.get((refusal.machine, refusal.id))
    if entity is None:
        return attrs.evolve(refusal, why=why, cause=cause)
    would = allowed(machines, entity, world, read, taken, now)
    in_doubt = refusal.code is Code.IN_DOUBT or (refusal.code is Code.NOT_NOW and entity.changing is not None)
    calls: Sequence[OpenCall] = ()
    if entity.calls and cause is None and (in_doubt or refusal.doubts):
        calls = calls_of(entity)
    if calls and in_doubt:
        why = f"{why} ({', '.join(f'call {id}' for id, _ in calls)})"
    elif calls:
        named = " and ".join(f"{verb} (call {id})" for id, verb in calls)
        why = f"{why.removesuffix('.')}. The provider has not answered {named} yet."
    if refusal.code is Code.NOT_NOW:
        why = f"{why}{'' if why.endswith('.') else '.'} {_instead(machines, entity, would)}"
    ids = tuple(id for id, _ in calls) if cause is None else cause.calls
    return attrs.evolve(refusal, why=why, allowed=would, cause=cause, calls=ids)


def _instead(machines: Machines, entity: Entity, would: tuple[str, ...]) -> str:
    if would:
        return f"It would take: {', '.join(would)}."
    final = machines.at(entity.machine, entity.machine_version).states[entity.state].final
    return f"It takes no command {'any more' if final and not entity.calls else 'now'}."


def allowed(
    machines: Machines,
    entity: Entity,
    world: Mapping[Ref, Entity],
    read: Read = lambda entity, command: {},
    taken: Taken = lambda request: True,
    now: str = "",
) -> tuple[str, ...]:
    """The commands that a caller could give to the entity now, with some arguments, in the order of the page."""
    machine = machines.at(entity.machine, entity.machine_version)
    found = answered(machine, entity.state)
    return tuple(name for name in found if _taken(machines, machine, entity, name, world, read, taken, now))


def _taken(
    machines: Machines,
    machine: Machine,
    entity: Entity,
    name: str,
    world: Mapping[Ref, Entity],
    read: Read,
    taken: Taken,
    now: str,
) -> bool:
    command = machine.commands[name]
    seen = read(entity, command) if command.reads else {}
    asked = 0
    for args in islice(_arguments(command, entity, world, seen), MOST):
        request = Request(entity.machine, entity.id, name, args, now)
        answer = decide(machines, request, world)
        if isinstance(answer, Refusal) and _first_cause(answer).id != SOMEBODY:
            continue
        if taken(request):
            return True
        asked += 1
        if asked == MOST_ASKED:
            break
    return False


def _first_cause(refusal: Refusal) -> Refusal:
    return _first_cause(refusal.cause) if refusal.cause is not None else refusal


def _arguments(
    command: Command, entity: Entity, world: Mapping[Ref, Entity], seen: Mapping[str, object]
) -> Iterator[dict[str, object]]:
    elsewhere = {NOW, *seen, *(name for name, *_ in command.linked)}
    wanted = {name: type_ for name, type_ in command.seen.items() if name not in elsewhere}
    amounts = list(dict.fromkeys([*_amounts(entity, world), *(each for each in seen.values() if type(each) is int)]))
    for values in product(*(_values(type_, amounts) for type_ in wanted.values())):
        yield {**seen, **dict(zip(wanted, values, strict=True))}


def _values(type_: Type, amounts: list[int]) -> list[object]:
    """Values of a type, those first that are taken most often."""
    none = [None] if type_.optional else []
    match type_.kind:
        case "money" | "count":
            return [*amounts, *none]
        case "flag":
            return [False, True]
        case "choice":
            return [*type_.choices, *none]
        case "link":
            return [SOMEBODY, *none]
        case "shares":
            return [()]
        case "time":
            return [*none, LONG_AGO, FAR_AWAY]
    return ["x", *none]


def _amounts(entity: Entity, world: Mapping[Ref, Entity]) -> list[int]:
    """Amounts that a guard may look for: the least, what stands on the entity and on those that it links to."""
    linked = [world[ref] for ref in world if ref[1] in entity.facts.values()]
    stand = chain.from_iterable([*each.accounts.values(), *each.facts.values()] for each in (entity, *linked))
    return list(dict.fromkeys([1, *(each for each in stand if type(each) is int and each > 0), 0, -1]))
