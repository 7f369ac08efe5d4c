"""What commands would do now, one after the other, without writing anything or asking anybody.

The provider is taken to confirm what it is asked. So a preview tells what the machines refuse, and what a verb of
several commands would stumble over in its last one before its first is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from tallystick.core import arguments, refusal, resolve
from tallystick.core.entity import CREATE, Entity, Intent, Plan, Ref, Request
from tallystick.core.refusal import Refusal
from tallystick.definition.machine import Machine
from tallystick.engine import occurred
from tallystick.engine.keys import request_of
from tallystick.engine.receipt import Answer, Command
from tallystick.engine.steps import Context, decided, explained, uncreatable
from tallystick.engine.unit_of_work import UnitOfWork
from tallystick.errors import Invalid
from tallystick.store.protocol import Reading
from tallystick.store.rows import stamp

RefsOf = Callable[[Command], list[Ref]]  # the entities that a command names
ANY_TEXT = "?"  # stands for a text that is not given: an order has some id
ANY_CURRENCY = "points"  # stands for the currency of somebody who does not exist


def preview(context: Context, reading: Reading, command: Command, refs_of: RefsOf) -> Answer:
    """What a command would do now. Its entity may not exist yet, if its facts are among the arguments."""
    work = _work(context, reading)
    work.lock(refs_of(command))
    ready = command if command.command == CREATE else _as_if_created(work, command)
    plan = ready if isinstance(ready, Refusal) else _plan(work, ready)
    if isinstance(plan, Refusal):
        said = explained(work, plan)
        if command.command == CREATE:
            return Answer(False, context.machines[command.machine].start, CREATE, refusal=said)
        entity = work.world.get((command.machine, command.id))
        return Answer(False, entity.state if entity is not None else None, refusal=said)
    return Answer(True, plan.entities[0].state, plan.entries[0].transition, plan.entries[0].postings)


def preview_all(context: Context, reading: Reading, commands: Sequence[Command], refs_of: RefsOf) -> Answer:
    """What commands would do one after the other, each with what follows it; of the first that is refused, why.

    A command whose key was seen is done already, and is what it was then. If the provider was not there for it, it is
    done anew.
    """
    work = _work(context, reading)
    answer = Answer(True)
    for command in commands:
        work.lock(refs_of(command), [command.key])
        if _is_done(work, reading, command.key):
            continue
        plan = _plan(work, command)
        if isinstance(plan, Refusal):
            return Answer(False, refusal=explained(work, plan))
        answer = Answer(True, plan.entities[0].state, plan.entries[0].transition, plan.entries[0].postings)
        refused = _followed(work, plan, command)
        if refused is not None:
            return Answer(False, refusal=explained(work, refused))
    return answer


def _is_done(work: UnitOfWork, reading: Reading, key: str) -> bool:
    if key in work.queue:
        return True
    seen = work.keyed.get(key)
    call = reading.call(seen.call) if seen is not None and seen.call is not None else None
    return seen is not None and (call is None or call.state != "unavailable")


def _followed(work: UnitOfWork, plan: Plan, command: Command) -> Refusal | None:
    """What follows a command is done, in the order of the queue: each with what follows it, before the next begins.

    Gives the refusal of the first that says no. What is patient waits until it is taken.
    """
    work.world |= {each.ref: each for each in plan.entities}
    for request in plan.then:
        if (request.due or "") > work.at or request.after:
            continue
        following = _decided(work, request, command)
        refused = _followed(work, following, command) if isinstance(following, Plan) else following
        if refused is not None and not _patient(work, request):
            return refused
    return None


def _patient(work: UnitOfWork, request: Request) -> bool:
    version = work.world[request.machine, request.id].machine_version
    return work.machines.at(request.machine, version).commands[request.command].patient


def _work(context: Context, reading: Reading) -> UnitOfWork:
    return UnitOfWork(
        context.machines, reading, reading.look, stamp(context.clock()), context.ids, context.later,
        context.numbers, context.pins, context.abilities,
    )  # fmt: skip


def _plan(work: UnitOfWork, command: Command) -> Plan | Refusal:
    """What a command would change, or why not."""
    if command.command == CREATE:
        machine = work.machines[command.machine]
        currency, facts = arguments.created(machine, command.args, work.numbers.seal)
        return uncreatable(work, command, machine, currency, facts) or resolve.create(
            machine, command.id, currency, facts
        )
    request, _ = request_of(work, command)
    if request is None:
        return refusal.missing(command.machine, command.id, command.command)
    return _dated(work, command, _decided(work, request, command))


def _decided(work: UnitOfWork, request: Request, command: Command) -> Plan | Refusal:
    intent = decided(work, request, command.by, command.secrets)
    return resolve.complete(work.machines, intent) if isinstance(intent, Intent) else intent


def _dated(work: UnitOfWork, command: Command, plan: Plan | Refusal) -> Plan | Refusal:
    """The plan, if it can have happened when its command says. Raises Invalid: that is still to come."""
    occurred.checked(work, command)
    if command.occurred_at is None or isinstance(plan, Refusal):
        return plan
    return occurred.refused(work, command, plan) or plan


# Something that does not exist yet


def _as_if_created(work: UnitOfWork, command: Command) -> Command | Refusal:
    """The command without facts, with its entity in the world; or why the entity cannot be created.

    Raises:
        Invalid: a fact is missing that is no text, or is not what its page says.
    """
    entity = work.world.get((command.machine, command.id))
    version = work.machines[command.machine]
    if entity is not None:
        version = work.machines.at(entity.machine, entity.machine_version)
    declared = version.commands.get(command.command)
    takes = declared.arguments if declared is not None else {}
    facts = {
        name: value
        for name, value in command.args.items()
        if name not in takes and (name == "currency" or name in version.facts)
    }
    if entity is not None:
        return _without(command, [name for name in facts if _has(work, entity, version, name, facts[name])])
    if not facts or declared is None:
        return refusal.missing(command.machine, command.id, command.command)
    currency, values = arguments.created(version, _filled(work, version, facts), work.numbers.seal)
    creating = attrs.evolve(command, command=CREATE, args=facts)
    refused = uncreatable(work, creating, version, currency, values)
    if refused is not None:
        return refused
    (made,) = resolve.create(version, command.id, currency, values).entities
    work.world[made.ref] = made
    return _without(command, list(facts))


def _without(command: Command, facts: Iterable[str]) -> Command:
    left_out = set(facts)
    return attrs.evolve(command, args={name: each for name, each in command.args.items() if name not in left_out})


def _has(work: UnitOfWork, entity: Entity, version: Machine, name: str, given: object) -> bool:
    """Whether an entity that exists has this fact. A fact that it has not is an argument that nobody takes."""
    if name == "currency":
        return given == entity.currency
    try:
        value = arguments.value(name, version.facts[name].type, given, entity.currency, work.numbers.seal)
    except Invalid:
        return False
    return value == entity.facts.get(name)


def _filled(work: UnitOfWork, version: Machine, facts: Mapping[str, object]) -> dict[str, object]:
    """The facts with what follows from them: the currency is that of a linked entity, an unnamed order is any."""
    linked = [(target, str(facts[fact])) for fact, target in version.links.items() if facts.get(fact) is not None]
    there = [work.world[ref].currency for ref in linked if ref in work.world]
    currency = next(iter(there), ANY_CURRENCY if linked else None)  # whom it links to may not exist, and that is said
    texts = {
        name: ANY_TEXT
        for name, fact in version.facts.items()
        if fact.type.kind == "text" and not fact.type.optional and not fact.later and fact.default is None
    }
    return {**texts, **({"currency": currency} if currency else {}), **facts}
