"""What a command does inside one transaction: lock, decide, write down, and make the receipt.

Each job works on what the job before it has left, so any number of jobs can share a commit. The store is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, cast

import attrs

from tallystick.core import arguments, refusal, resolve
from tallystick.core.decide import decide
from tallystick.core.entity import CREATE, Entity, Intent, Plan, Ref, Request
from tallystick.core.refusal import Code, Refusal
from tallystick.definition.declared import Fact
from tallystick.definition.machine import Machine, Machines
from tallystick.engine import occurred, owner, parts, uniqueness
from tallystick.engine.calls import in_doubt
from tallystick.engine.calls.ask_provider import card_facts
from tallystick.engine.journal import write_down
from tallystick.engine.keys import fingerprint, request_of, same_as_queued, seen_before
from tallystick.engine.pin_policy import Pins
from tallystick.engine.queue import rows as queue_rows
from tallystick.engine.receipt import Command, Ended, Receipt, Secrets
from tallystick.engine.sealing import Numbers
from tallystick.engine.unit_of_work import Job, Later, UnitOfWork
from tallystick.errors import Invalid
from tallystick.masks import quoted, redacted
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Able, Call, Outcome, Provider, Result
from tallystick.provider.verbs import VERBS
from tallystick.store.protocol import Transaction
from tallystick.store.rows import CallRow, Stamp, encode, is_changed, moved_on, stamp

_SECRETS = {
    verb: tuple(name for name, kind in given.items() if kind.startswith("secret")) for verb, given in VERBS.items()
}


@attrs.frozen(eq=False, repr=False)
class Context:
    """What every transaction of an engine works with."""

    machines: Machines
    numbers: Numbers
    clock: Callable[[], datetime]
    ids: Callable[[], str]
    later: Later
    provider: Provider
    pins: Pins
    gate: owner.Gate
    able: bool  # the provider says what it can do beyond what all can

    @property
    def abilities(self) -> Collection[str]:
        return cast(Able, self.provider).abilities if self.able else ()


def transact(context: Context, jobs: Sequence[Job], transaction: Transaction) -> list[Any]:
    """Lock and read for all jobs at once, do them in order, write once. Gives each job's result or Invalid.

    Raises:
        StoreError: the books are another provider's.
    """
    work = UnitOfWork(
        context.machines, transaction, transaction.lock, "", context.ids, context.later, context.numbers,
        context.pins, context.abilities,
    )  # fmt: skip
    refs: dict[Ref, None] = {}
    keys: dict[str, None] = {}
    for job in jobs:
        for ref in job.refs:
            refs[ref] = None
        for key in job.keys:
            keys[key] = None
        row = transaction.peek_call(job.call) if job.call is not None else None
        if row is not None:
            refs |= dict.fromkeys(row.refs)
            keys[row.key] = None
    patience = [job.patience for job in jobs if job.patience is not None]
    if patience and len(patience) == len(jobs):
        transaction.wait_at_most(max(patience))
    work.lock(refs, keys)
    context.gate.admit(transaction)
    work.at = stamp(context.clock())  # only now: whoever had the lock before has written an earlier time
    done = [_or_invalid(job, work) for job in jobs]
    work.changes.add_hashes()
    transaction.write(work.changes, work.at)
    return done


@attrs.define(eq=False)
class Undone(Exception):
    """A command was refused; it undoes what the commands before it have written."""

    receipt: Receipt


def all_or_none(context: Context, jobs: Sequence[Job], transaction: Transaction) -> Receipt:
    """Jobs that execute commands, all of them or none; the receipt of the last. Raises Invalid, or Undone."""
    for done in transact(context, jobs, transaction):
        if isinstance(done, Invalid):
            raise done
        receipt: Receipt = done[0]
        if receipt.result is Ended.REFUSED:
            raise Undone(receipt)
    return receipt


def _or_invalid(job: Job, work: UnitOfWork) -> Any:
    """The result of a job, or its Invalid: an invalid command is no reason to undo the others."""
    try:
        return job.do(work)
    except Invalid as error:
        return error


def execute(work: UnitOfWork, provider: Provider, command: Command, *, send: bool) -> tuple[Receipt, Call | None]:
    """Decide and write down. With a call, the receipt is in doubt until the call is sent and answered.

    Raises:
        Invalid, KeyReused: it cannot be considered; nothing of it is written down.
    """
    command = occurred.checked(work, command)
    if command.command == CREATE:
        return _create(work, command), None
    request, mark = request_of(work, command)
    again = None
    seen = work.keyed.get(command.key)
    if seen is not None:
        receipt, again = seen_before(work, seen, mark)
        if again is None:
            return receipt, None
        if seen.machine_version != work.world[seen.machine, seen.entity].machine_version:  # it has moved on since
            request, _ = request_of(work, command, as_of_now=True)
    if request is None:
        return _refused(work, command, refusal.missing(command.machine, command.id, command.command)), None
    _signed(work, command)
    same_as_queued(work, command, mark)
    if command.due is not None:
        return queue_rows.defer(work, command, request), None
    intent = decided(work, request, command.by, command.secrets)
    if isinstance(intent, Refusal):
        return _refused(work, command, intent), None
    placed = occurred.placed(work, command, intent)
    if isinstance(placed, Refusal):
        return _refused(work, command, placed), None
    return _carry_out(work, provider, placed, intent, mark, again, send)


def decided(work: UnitOfWork, request: Request, by: str | None, secrets: Secrets) -> Intent | Refusal:
    """What the core says; each part would do its share, a PIN is there if it is needed, and no number is another's."""
    entity = work.world[request.machine, request.id]
    machine = work.machines.at(entity.machine, entity.machine_version)
    if (entity.state, request.command) in machine.alike:
        uniqueness.lock_alike(work, entity, machine)
    declared = machine.commands.get(request.command)
    if declared is not None and len(request.args) < len(declared.arguments):  # what follows a command leaves some out
        given = {name: value for name, value in secrets.get(request.id, {}).items() if name in declared.arguments}
        request = attrs.evolve(request, args={**declared.left_out(), **request.args, **given})
    if not request.now:  # what follows a command
        request = attrs.evolve(request, now=work.at)
    read = parts.read(work, machine, entity, request) if declared is not None else request
    intent = read if isinstance(read, Refusal) else decide(work.machines, read, work.world)
    if isinstance(intent, Refusal):
        return intent
    refused = work.pins.missing(work.machines, request, intent, by)
    if refused is None and intent.steps[0].row.for_parts:
        refused = parts.unwilling(
            work, resolve.complete(work.machines, intent), request, partial(decided, by=by, secrets=secrets)
        )
    if refused is None and intent.gives_unique:
        refused = uniqueness.refused(work, intent)
    return refused or intent


def explained(work: UnitOfWork, refused: Refusal) -> Refusal:
    """The refusal with what would be taken now, if somebody vouches for a card whose PIN is missing."""
    return in_doubt.explained(work, refused, partial(decided, by="somebody", secrets={}))


def _signed(work: UnitOfWork, command: Command) -> None:
    """A signed command needs a name and a reason. Raises Invalid."""
    version = work.world[command.machine, command.id].machine_version
    signed = work.machines.at(command.machine, version).commands[command.command].signed
    if signed and not (command.by and command.reason):
        raise Invalid(f"{command.machine}.{command.command} needs who says so (by) and why (reason)")


# Creating


def _create(work: UnitOfWork, command: Command) -> Receipt:
    machine = work.machines[command.machine]
    seen = work.keyed.get(command.key)
    if seen is not None and seen.machine == command.machine:  # a repeat is read by the version of then
        machine = work.machines.at(command.machine, seen.machine_version)
    currency, facts = arguments.created(machine, command.args, work.numbers.seal)
    said = {name: facts[name] for name in sorted(facts) if command.args.get(name) is not None}
    mark = fingerprint(command.machine, command.id, CREATE, {"currency": currency, **said})
    if seen is not None:
        return seen_before(work, seen, mark)[0]
    same_as_queued(work, command, mark)
    refused = uncreatable(work, command, machine, currency, facts)
    if refused is not None:
        return _refused(work, command, refused)
    return _apply(work, command, resolve.create(machine, command.id, currency, facts), mark, {}, None)


def uncreatable(
    work: UnitOfWork, command: Command, machine: Machine, currency: str, facts: Mapping[str, object]
) -> Refusal | None:
    entity = work.world.get((command.machine, command.id))
    if entity is not None:
        return refusal.of(entity, machine, CREATE, Code.EXISTS_ALREADY, "it exists already; choose another id")
    for fact, target in machine.links.items():
        if facts[fact] is None:
            continue
        linked = work.world.get((target, str(facts[fact])))
        code, why = Code.LINKED, f"its {fact}, {target} {quoted(str(facts[fact]))}, does not exist"
        if linked is not None and linked.currency != currency:
            code, why = Code.CURRENCY, f"it would be in {currency}, its {fact} {linked.id!r} is in {linked.currency}"
        elif linked is not None:
            why = _unfit(machine.facts[fact], linked, facts)
        if why:
            sentence = f"{machine.name} {command.id!r} cannot be created: {why}"
            cause = refusal.missing(target, str(facts[fact]), CREATE) if linked is None else None
            return Refusal(code, machine.name, command.id, None, CREATE, sentence, cause=cause)
    value = facts.get(machine.unique) if machine.unique else None
    taken = uniqueness.taken(work, machine, command.id, currency, str(value)) if value is not None else None
    if taken is not None:
        sentence = f"{machine.name} {command.id!r} cannot be created: {taken[1]}"
        return Refusal(taken[0], machine.name, command.id, None, CREATE, sentence)
    return None


def _unfit(fact: Fact, linked: Entity, facts: Mapping[str, object]) -> str:
    """Why an entity takes nothing that would link to it by this fact with these others; nothing, if it does."""
    for name in fact.same:
        if linked.facts.get(name) != facts.get(name):
            theirs, ours = (quoted(str(each)) for each in (linked.facts.get(name), facts.get(name)))
            return f"the {name} of its {fact.name} {linked.id!r} is {theirs}, not {ours}"
    if fact.states and linked.state not in fact.states:
        return f"its {fact.name} {linked.id!r} is {linked.state} and takes no more; make a new one"
    return ""


# Carrying out


def _carry_out(
    work: UnitOfWork, provider: Provider, command: Command, intent: Intent, mark: str, again: CallRow | None, send: bool
) -> tuple[Receipt, Call | None]:
    late = again is not None and again.late is not None and again.unclear
    changed = again is not None and is_changed(again)
    if again is not None and (late or changed or intent.asked is None or intent.asked.verb != again.verb):
        entity = intent.steps[0].entity
        machine = work.machines.at(entity.machine, entity.machine_version)
        why = f"it has moved on since this key asked for {again.verb} and nobody was there; give it a new key"
        if changed:
            why = f"call {again.id} was changed in the database; it is not made again, and verify says what was changed"
        elif late:
            why = f"{again.note} (call {again.id}); first a person has to look, see tallystick stuck"
        return _refused(work, command, refusal.of(entity, machine, command.command, Code.MOVED_ON, why)), None
    if intent.asked is None:
        before = intent.steps[0].entity.accounts
        return _apply(work, command, resolve.complete(work.machines, intent), mark, before, None), None
    if provider.local:
        return _answered(work, provider, command, intent, mark, again), None
    call = _call_for(work, intent, again)
    row = _open(work, command, intent, call, again, sent=send)
    plan, aside = resolve.set_aside(work.machines, intent, row.id)
    work.changes.calls[row.id] = attrs.evolve(row, steps=encode([attrs.astuple(step) for step in aside]))
    receipt = _apply(work, command, plan, mark, intent.steps[0].entity.accounts, None, first=again is None)
    why = f"{row.verb} was sent to the provider and its answer is not known yet (call {row.id})"
    if not send:
        why = f"{row.verb} is sent to the provider after your commit: send the receipt then (call {row.id})"
    receipt = attrs.evolve(receipt, result=Ended.IN_DOUBT if send else Ended.PENDING, call=row.id, why=why)
    opened, asked = datetime.fromisoformat(row.opened), datetime.fromisoformat(row.asked)
    sent = attrs.evolve(call, attempt=row.attempts, opened_at=opened, asked_at=asked)
    return receipt, sent if send else None


def _answered(
    work: UnitOfWork, provider: Provider, command: Command, intent: Intent, mark: str, again: CallRow | None
) -> Receipt:
    """A local provider answers at once. Everything but a confirmation of what was asked is a refusal."""
    asked, before = intent.asked, intent.steps[0].entity.accounts
    secrets: Collection[str] = ()
    assert asked is not None
    if type(provider) is LocalProvider and not work.numbers.sealed:  # what is sealed is opened, and so checked
        heard = provider.confirm(asked.verb, again.id if again else work.ids())
    else:
        call = _call_for(work, intent, again)
        heard, secrets = work.numbers.perform(provider, call), call.secrets.values()
    amount, partial = asked.args.get("amount"), intent.partial
    outcome = resolve.meant(work.numbers.outcome(heard), partial=partial)
    odd = resolve.strange(outcome, amount if isinstance(amount, int) else None, partial=partial)
    odd = odd or resolve.unnumbered(outcome, [step.row for step in intent.steps])
    if outcome.result is not Result.CONFIRMED or odd:
        said = redacted(outcome.text or str(outcome.reason or ""), secrets)
        why = odd or f"provider {provider.name} says {outcome.result}: {said}"
        return _refused(work, command, refusal.unaided(command.machine, command.id, command.command, why))
    if intent.gives_unique:
        taken = uniqueness.refused(work, intent, outcome)
        if taken is not None:
            return _refused(work, command, taken)
    return _apply(work, command, resolve.complete(work.machines, intent, outcome), mark, before, outcome)


def _call_for(work: UnitOfWork, intent: Intent, again: CallRow | None) -> Call:
    """The call that an intent asks for. Another attempt has the same id."""
    asked = intent.asked
    assert asked is not None
    secret = _SECRETS[asked.verb]
    args = {name: value for name, value in asked.args.items() if value is not None and name not in secret}
    secrets = {name: str(asked.args[name]) for name in secret if asked.args.get(name) is not None}
    first = intent.steps[0]
    order = first.args.get("order") or first.entity.facts.get("order")
    id = again.id if again else work.ids()
    return Call(id, asked.verb, card_facts(asked.entity), args, secrets, order if isinstance(order, str) else None)


def _open(
    work: UnitOfWork, command: Command, intent: Intent, call: Call, again: CallRow | None, *, sent: bool
) -> CallRow:
    asked = intent.asked
    assert asked is not None
    return CallRow(
        id=call.id,
        key=command.key,
        verb=call.verb,
        machine=asked.entity.machine,
        entity=asked.entity.id,
        currency=asked.entity.currency,
        args=encode({**call.args, "order": call.order} if call.order else call.args),
        steps="[]",
        secret=bool(call.secrets),
        state="open",
        attempts=1 if sent else 0,
        opened=again.opened if again else work.at,
        asked=work.at,
        takes=uniqueness.takes(work, intent) if intent.gives_unique else None,
    )


def _apply(
    work: UnitOfWork,
    command: Command,
    plan: Plan,
    mark: str,
    before: Mapping[str, int],
    outcome: Outcome | None,
    *,
    first: bool = True,
) -> Receipt:
    """Write the plan down. Gives the receipt of its first entity."""
    happened = stamp(command.occurred_at) if command.occurred_at is not None else None
    said = Stamp(command.key, mark, work.at, command.by, command.reason, happened)
    keys = write_down(work, plan, said, first=first)
    queued = work.queue.get(command.key)
    if queued is not None:  # it was queued
        work.queue[command.key] = work.changes.queue[command.key] = moved_on(
            queued, state="done", attempts=queued.attempts + 1, why=None
        )
    entry, entity = plan.entries[0], plan.entities[0]
    return Receipt(
        Ended.APPLIED, command.key, command.machine, command.id, command.command, entity.state, entity.currency,
        before or dict.fromkeys(entity.accounts, 0), entity.accounts, entry.postings, entry.transition, outcome,
        follow_ups=keys, pin=outcome.pin if outcome else None,
    )  # fmt: skip


def _refused(work: UnitOfWork, command: Command, refused: Refusal) -> Receipt:
    refused = explained(work, refused)
    return Receipt(
        Ended.REFUSED, command.key, command.machine, command.id, command.command, refused.state,
        refusal=refused, why=refused.why,
    )  # fmt: skip
