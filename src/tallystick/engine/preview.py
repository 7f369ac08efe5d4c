"""What commands would do now, one after the other, without writing anything or asking anybody.

The provider is taken to confirm what it is asked. So a preview tells what the machines refuse, and what a verb of
several commands would stumble over in its last one before its first is given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from tallystick.core import arguments, refusal, resolve
from tallystick.core.entity import CREATE, Intent, Plan, Ref, Request
from tallystick.core.refusal import Refusal
from tallystick.engine.receipt import Answer, Command
from tallystick.engine.steps import Context, decided, request_of, uncreatable
from tallystick.engine.unit_of_work import UnitOfWork
from tallystick.store.protocol import Reading
from tallystick.store.rows import stamp

RefsOf = Callable[[Command], list[Ref]]  # the entities that a command names


def preview(context: Context, reading: Reading, command: Command, refs_of: RefsOf) -> Answer:
    """What a command would do now."""
    work = _work(context, reading)
    work.lock(refs_of(command))
    entity = work.world.get((command.machine, command.id))
    plan = _plan(work, command)
    if isinstance(plan, Refusal):
        if command.command == CREATE:
            return Answer(False, context.machines[command.machine].start, CREATE, refusal=plan)
        return Answer(False, entity.state if entity is not None else None, refusal=plan)
    return Answer(True, plan.entities[0].state, plan.entries[0].transition, plan.entries[0].postings)


def preview_all(context: Context, reading: Reading, commands: Sequence[Command], refs_of: RefsOf) -> Answer:
    """What commands would do one after the other, each with what follows it; of the first that is refused, why.

    A command whose key was seen is done already, and is what it was then.
    """
    work = _work(context, reading)
    answer = Answer(True)
    for command in commands:
        work.lock(refs_of(command), [command.key])
        if command.key in work.keyed or command.key in work.queue:
            continue
        plan = _plan(work, command)
        if isinstance(plan, Refusal):
            return Answer(False, refusal=plan)
        answer = Answer(True, plan.entities[0].state, plan.entries[0].transition, plan.entries[0].postings)
        following = deque([plan])
        while following:
            done = following.popleft()
            work.world |= {each.ref: each for each in done.entities}
            for request in done.then:
                plan = _decided(work, request)
                if isinstance(plan, Plan):
                    following.append(plan)
                elif not _patient(work, request):  # what is patient waits until it is taken
                    return Answer(False, refusal=plan)
    return answer


def _patient(work: UnitOfWork, request: Request) -> bool:
    version = work.world[request.machine, request.id].machine_version
    return work.machines.at(request.machine, version).commands[request.command].patient


def _work(context: Context, reading: Reading) -> UnitOfWork:
    return UnitOfWork(
        context.machines, reading, reading.look, stamp(context.clock()), context.ids, context.later, context.numbers
    )


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
    return _decided(work, request)


def _decided(work: UnitOfWork, request: Request) -> Plan | Refusal:
    intent = decided(work, request)
    return resolve.complete(work.machines, intent) if isinstance(intent, Intent) else intent
