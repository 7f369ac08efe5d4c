"""What a command does inside one transaction: considered, decided, and remembered to be written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

import attrs

from tallystick.core import arguments, refusal, resolve
from tallystick.core.decide import decide
from tallystick.core.entity import CREATE, Intent, Plan, Request
from tallystick.core.refusal import Code, Refusal
from tallystick.definition.machine import Machine
from tallystick.engine import uniqueness
from tallystick.engine.old_receipt import card_facts
from tallystick.engine.receipt import Answer, Command, Ended, Receipt, fingerprint, stamp
from tallystick.engine.unit_of_work import Unit
from tallystick.errors import Invalid, KeyReused, quoted
from tallystick.provider.protocol import Call, Outcome, Provider, Result
from tallystick.provider.verbs import VERBS
from tallystick.store.rows import CallRow, QueueRow, Record, Stamp, encode

_SECRETS = {
    verb: tuple(name for name, kind in given.items() if kind.startswith("secret")) for verb, given in VERBS.items()
}


def work(unit: Unit, provider: Provider, command: Command, *, send: bool = True) -> tuple[Receipt, Call | None]:
    """Decide and remember to write. A call is to be sent after the commit; its receipt is in doubt until then.

    Raises:
        Invalid, KeyReused: it cannot be considered; nothing of it is remembered.
    """
    unit.load([command])
    if command.command == CREATE:
        return _create(unit, command), None
    request, mark = _request(unit, command)
    again = None
    seen = unit.keyed.get(command.key)
    if seen is not None:
        receipt, again = _seen(unit, seen, mark)
        if again is None:
            return receipt, None
    if request is None:
        return _refused(command, refusal.missing(command.machine, command.id, command.command)), None
    _signed(unit, command)
    _same_as_queued(unit, command, mark)
    if command.due is not None:
        return _defer(unit, command, request), None
    intent = _decided(unit, request)
    if isinstance(intent, Refusal):
        return _refused(command, intent), None
    return _carry_out(unit, provider, command, intent, mark, again, send)


def preview(unit: Unit, command: Command) -> Answer:
    """What the command would do now."""
    unit.load([command])
    if command.command == CREATE:
        machine = unit.machines[command.machine]
        currency, facts = arguments.created(machine, command.args, unit.numbers.seal)
        refused = _uncreatable(unit, command, machine, currency, facts)
        return Answer(refused is None, machine.start, CREATE, refusal=refused)
    request, _ = _request(unit, command)
    if request is None:
        return Answer(False, refusal=refusal.missing(command.machine, command.id, command.command))
    intent = _decided(unit, request)
    if isinstance(intent, Refusal):
        return Answer(False, unit.world[command.machine, command.id].state, refusal=intent)
    plan = resolve.complete(unit.machines, intent)
    return Answer(True, plan.entities[0].state, plan.entries[0].transition, plan.entries[0].postings)


def _decided(unit: Unit, request: Request) -> Intent | Refusal:
    """What the core says; and no two entities may have the same card number."""
    uniqueness.reach_alike(unit, request)
    intent = decide(unit.machines, request, unit.world)
    return intent if isinstance(intent, Refusal) else uniqueness.refused(unit, intent) or intent


def _request(unit: Unit, command: Command) -> tuple[Request | None, str]:
    """The command with typed arguments, and its fingerprint; None if the entity does not exist."""
    entity = unit.world.get((command.machine, command.id))
    if entity is None:
        return None, ""
    machine = unit.machines.at(entity.machine, entity.machine_version)
    declared = machine.commands.get(command.command)
    if declared is None:
        why = f"runs on version {machine.version}, which has no command {command.command!r}"
        raise Invalid(f"{machine.name} {entity.id!r} {why}")
    args = arguments.typed(machine, declared, command.args, entity.currency, unit.numbers.seal)
    kept = resolve.kept(machine, command.command, args)
    mark = fingerprint(command.machine, command.id, command.command, kept)
    return Request(command.machine, command.id, command.command, args), mark


def _signed(unit: Unit, command: Command) -> None:
    """Some commands are a person's word: without a name and a reason they are none. Raises Invalid."""
    version = unit.world[command.machine, command.id].machine_version
    signed = unit.machines.at(command.machine, version).commands[command.command].signed
    if signed and not (command.by and command.reason):
        raise Invalid(f"{command.machine}.{command.command} needs who says so (by) and why (reason)")


def _seen(unit: Unit, seen: Record, mark: str) -> tuple[Receipt, CallRow | None]:
    """The receipt of a key seen before; and its call if that is surely not done and may be made again."""
    if seen.fingerprint != mark:
        raise KeyReused(str(seen.key), before=f"{seen.command} of {seen.machine} {seen.entity!r}")
    row = unit.call(seen.call) if seen.call else None
    return unit.told(seen, row), row if row is not None and row.state == "unavailable" else None


def _same_as_queued(unit: Unit, command: Command, mark: str) -> None:
    """A key that waits in the queue stands for what waits there."""
    queued = unit.queued(command.key)
    if queued is None:
        return
    if fingerprint(queued.machine, queued.entity, queued.command, json.loads(queued.args)) != mark:
        raise KeyReused(command.key, before=f"{queued.command} of {queued.machine} {queued.entity!r}")


# Creating


def _create(unit: Unit, command: Command) -> Receipt:
    machine = unit.machines[command.machine]
    seen = unit.keyed.get(command.key)
    if seen is not None and seen.machine == command.machine:  # said again, it is read as it was then
        machine = unit.machines.at(command.machine, seen.machine_version)
    currency, facts = arguments.created(machine, command.args, unit.numbers.seal)
    said = {name: facts[name] for name in sorted(facts) if command.args.get(name) is not None}
    mark = fingerprint(command.machine, command.id, CREATE, {"currency": currency, **said})
    if seen is not None:
        return _seen(unit, seen, mark)[0]
    _same_as_queued(unit, command, mark)
    refused = _uncreatable(unit, command, machine, currency, facts)
    if refused is not None:
        return _refused(command, refused)
    return _apply(unit, command, resolve.create(machine, command.id, currency, facts), mark, {}, None)


def _uncreatable(
    unit: Unit, command: Command, machine: Machine, currency: str, facts: Mapping[str, object]
) -> Refusal | None:
    entity = unit.world.get((command.machine, command.id))
    if entity is not None:
        return refusal.of(entity, machine, CREATE, Code.EXISTS_ALREADY, "it exists already; choose another id")
    for fact, target in machine.links.items():
        if facts[fact] is None:
            continue
        linked = unit.world.get((target, str(facts[fact])))
        code, why = Code.LINKED, f"its {fact}, {target} {quoted(str(facts[fact]))}, does not exist"
        if linked is not None:
            code, why = Code.CURRENCY, f"it would be in {currency}, its {fact} {linked.id!r} is in {linked.currency}"
        if linked is None or linked.currency != currency:
            sentence = f"{machine.name} {command.id!r} cannot be created: {why}"
            return Refusal(code, machine.name, command.id, None, CREATE, sentence)
    value = facts.get(machine.unique) if machine.unique else None
    taken = uniqueness.taken(unit, machine, command.id, currency, str(value)) if value is not None else None
    if taken is not None:
        sentence = f"{machine.name} {command.id!r} cannot be created: {taken[1]}"
        return Refusal(taken[0], machine.name, command.id, None, CREATE, sentence)
    return None


# Carrying out


def _carry_out(
    unit: Unit, provider: Provider, command: Command, intent: Intent, mark: str, again: CallRow | None, send: bool
) -> tuple[Receipt, Call | None]:
    if again is not None and (intent.asked is None or intent.asked.verb != again.verb):
        entity = intent.steps[0].entity
        machine = unit.machines.at(entity.machine, entity.machine_version)
        why = f"it has moved on since this key asked for {again.verb} and nobody was there; give it a new key"
        return _refused(command, refusal.of(entity, machine, command.command, Code.MOVED_ON, why)), None
    if intent.asked is None:
        return _apply(unit, command, resolve.complete(unit.machines, intent), mark, _before(intent), None), None
    call = _call_for(unit, intent, again)
    if provider.local:
        return _answered(unit, provider, command, intent, mark, call), None
    row = _open(unit, command, intent, call, again, sent=send)
    plan, aside = resolve.set_aside(unit.machines, intent, row.id)
    unit.changes.calls[row.id] = attrs.evolve(row, steps=encode([attrs.astuple(step) for step in aside]))
    receipt = _apply(unit, command, plan, mark, _before(intent), None, first=again is None)
    why = f"{row.verb} was sent to the provider and its answer is not known yet (call {row.id})"
    receipt = attrs.evolve(receipt, result=Ended.IN_DOUBT, call=row.id, why=why)
    opened, asked = datetime.fromisoformat(row.opened), datetime.fromisoformat(row.asked)
    sent = attrs.evolve(call, attempt=row.attempts, opened_at=opened, asked_at=asked)
    return receipt, sent if send else None


def _answered(unit: Unit, provider: Provider, command: Command, intent: Intent, mark: str, call: Call) -> Receipt:
    """A local provider answers on the spot; anything but a confirmation of what was asked is a refusal."""
    amount = call.args.get("amount")
    partial = any(step.partial for step in intent.steps)
    heard = unit.numbers.outcome(unit.numbers.perform(provider, call))
    before, outcome = _before(intent), resolve.meant(heard, partial=partial)
    odd = resolve.strange(outcome, amount if isinstance(amount, int) else None, partial=partial)
    odd = odd or resolve.unnumbered(outcome, [step.row for step in intent.steps])
    if outcome.result is not Result.CONFIRMED or odd:
        why = odd or f"provider {provider.name} says {outcome.result}: {outcome.text or outcome.reason or ''}"
        return _refused(command, refusal.unaided(command.machine, command.id, command.command, why))
    taken = uniqueness.refused(unit, intent, outcome)
    if taken is not None:
        return _refused(command, taken)
    return _apply(unit, command, resolve.complete(unit.machines, intent, outcome), mark, before, outcome)


def _before(intent: Intent) -> Mapping[str, int]:
    return intent.steps[0].entity.accounts


def _call_for(unit: Unit, intent: Intent, again: CallRow | None) -> Call:
    """The call an intent asks for; another attempt has the same id."""
    asked = intent.asked
    assert asked is not None
    secret = _SECRETS[asked.verb]
    args = {name: value for name, value in asked.args.items() if value is not None and name not in secret}
    secrets = {name: str(asked.args[name]) for name in secret if asked.args.get(name) is not None}
    order = intent.steps[0].entity.facts.get("order")
    id = again.id if again else unit.ids()
    return Call(id, asked.verb, card_facts(asked.entity), args, secrets, order if isinstance(order, str) else None)


def _open(unit: Unit, command: Command, intent: Intent, call: Call, again: CallRow | None, *, sent: bool) -> CallRow:
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
        opened=again.opened if again else unit.at,
        asked=unit.at,
        takes=uniqueness.takes(unit, intent),
    )


def _defer(unit: Unit, command: Command, request: Request) -> Receipt:
    entity = unit.world[command.machine, command.id]
    machine = unit.machines.at(entity.machine, entity.machine_version)
    for name, type_ in machine.commands[command.command].arguments.items():
        if type_.kind == "secret" and request.args[name] is not None:
            why = "carries a secret, which is never stored; it cannot be deferred"
            raise Invalid(f"{command.command}({name}=…) {why}")
    assert command.due is not None
    queued = unit.queued(command.key)
    if queued is None or queued.state in ("refused", "parked", "dismissed"):
        args = encode(resolve.kept(machine, command.command, request.args))
        queued = QueueRow(
            command.key, command.machine, command.id, command.command, args, stamp(command.due),
            by=command.by, reason=command.reason,
        )  # fmt: skip
        unit.changes.queue[command.key] = queued
    return Receipt(
        Ended.DEFERRED, command.key, command.machine, command.id, command.command, entity.state, entity.currency,
        entity.accounts, entity.accounts, why=f"it waits until {queued.due}",
    )  # fmt: skip


def _apply(
    unit: Unit,
    command: Command,
    plan: Plan,
    mark: str,
    before: Mapping[str, int],
    outcome: Outcome | None,
    *,
    first: bool = True,
) -> Receipt:
    """Remember what the plan changes; the receipt of its first entity."""
    keys = unit.remember(plan, Stamp(command.key, mark, unit.at, command.by, command.reason), first=first)
    queued = unit.queued(command.key)
    if queued is not None:  # it has waited for this
        unit.changes.queue[command.key] = attrs.evolve(queued, state="done", attempts=queued.attempts + 1, why=None)
    entry, entity = plan.entries[0], plan.entities[0]
    return Receipt(
        Ended.APPLIED, command.key, command.machine, command.id, command.command, entity.state, entity.currency,
        before or dict.fromkeys(entity.accounts, 0), entity.accounts, entry.postings, entry.transition, outcome,
        follow_ups=keys, pin=outcome.pin if outcome else None,
    )  # fmt: skip


def _refused(command: Command, refused: Refusal) -> Receipt:
    return Receipt(
        Ended.REFUSED, command.key, command.machine, command.id, command.command, refused.state,
        refusal=refused, why=refused.why,
    )  # fmt: skip
