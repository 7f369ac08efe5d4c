"""The second half of the core: what a command does, as values. The head of `decide` explains the steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from tallystick.core.entity import CREATE, NO_CALL, Entity, Entry, InFlight, Intent, Plan, Posting, Ref
from tallystick.core.follow_up import follow_ups
from tallystick.definition.declared import IN_DOUBT
from tallystick.definition.machine import Machine, Machines, Row
from tallystick.provider.protocol import Outcome, Reason, Result


def create(machine: Machine, id: str, currency: str, facts: Mapping[str, object]) -> Plan:
    """A new entity in its start state, revision 1."""
    accounts = dict.fromkeys(machine.columns, 0)
    entity = Entity(machine.name, id, machine.start, 1, machine.version, currency, facts, accounts)
    known = {name: value for name, value in facts.items() if value is not None}
    args = {"currency": currency}
    entry = Entry(
        machine.name, id, 1, machine.version, CREATE, CREATE, "done", None, machine.start, args, (), known, accounts
    )
    return Plan([entity], [entry])


def complete(machines: Machines, intent: Intent, outcome: Outcome = NO_CALL) -> Plan:
    """Fire every transition of the intent. `outcome` is a confirmation, perhaps of less than was asked."""
    plan = Plan([], [])
    for step in intent.steps:
        entity, row = step.entity, step.row
        if outcome.amount is not None and step.partial is not None:
            step.args = {**step.args, step.partial: outcome.amount}
            step.amounts = row.amounts(entity.accounts, entity.facts, step.args, entity.state)
            step.after = row.post(entity.accounts, step.amounts)
        if step.fire is not None:
            after, entry = step.fire(entity, step.args, step.amounts, step.after, outcome)
            plan.entities.append(after)
            plan.entries.append(entry)
            _queue(plan, after, row, step.args, outcome)
            continue
        postings = tuple(
            [Posting(*line, amount) for line, amount in zip(row.lines, step.amounts, strict=True) if amount]
        )
        _advance(machines, plan, entity, row, step.command, step.args, "done", step.after, postings, outcome)
    return plan


def set_aside(machines: Machines, intent: Intent, call: str) -> tuple[Plan, list[InFlight]]:
    """Move every amount source → in_doubt, without a change of state. Also gives what to remember until the answer."""
    plan, in_flight = Plan([], []), []
    for step in intent.steps:
        entity, row = step.entity, step.row
        machine = machines.at(entity.machine, entity.machine_version)
        lines = zip(row.lines, step.amounts, strict=True)
        postings = tuple([Posting(source, IN_DOUBT, amount) for (source, _), amount in lines if amount])
        accounts = post(entity.accounts, postings)
        args = {name: step.args[name] for name in machine.commands[step.command].storable}
        after = attrs.evolve(
            entity,
            revision=entity.revision + 1,
            accounts=accounts,
            calls=entity.calls + 1,
            changing=row.name if row.changes else entity.changing,
        )
        plan.entities.append(after)
        said = kept(machine, step.command, args)
        plan.entries.append(_entry(after, entity, row, step.command, "asked", said, postings, {}, call))
        in_flight.append(InFlight(*entity.ref, row.name, step.command, args, step.amounts, step.partial))
    return plan, in_flight


def resolve(
    machines: Machines,
    call: str,
    in_flight: list[InFlight],
    world: Mapping[Ref, Entity],
    outcome: Outcome,
    asked: int | None,
) -> Plan | str:
    """What the answer does; or, as a sentence, why this answer cannot be believed and the call stays in doubt.

    `asked` is the amount the provider was asked for, if its verb has one.
    """
    partial = any(step.partial for step in in_flight)
    entities = [world[step.machine, step.id] for step in in_flight]
    rows = [
        machines.at(step.machine, entity.machine_version).rows[step.transition]
        for step, entity in zip(in_flight, entities, strict=True)
    ]
    odd = strange(outcome, asked, partial=partial) or unnumbered(outcome, rows)
    if odd or outcome.result is Result.UNKNOWN:
        return odd or "the provider's answer is not known"
    plan = Plan([], [])
    for step, entity, row in zip(in_flight, entities, rows, strict=True):
        landed = attrs.evolve(entity, calls=entity.calls - 1, changing=None if row.changes else entity.changing)
        if outcome.result is Result.CONFIRMED:
            _confirm(machines, plan, landed, row, step, outcome, call)
        else:
            _give_back(machines, plan, landed, row, step, outcome, call)
    return plan


def meant(outcome: Outcome, *, partial: bool) -> Outcome:
    """An outcome as it is meant. If a part of 0 is confirmed, that is a decline."""
    if partial and outcome.result is Result.CONFIRMED and outcome.amount == 0:
        return attrs.evolve(outcome, result=Result.DECLINED, amount=None, reason=Reason.INSUFFICIENT_FUNDS)
    return outcome


def strange(outcome: Outcome, asked: int | None, *, partial: bool) -> str:
    """Why a confirmation cannot be believed: nobody asked for this amount. A person has to look."""
    if outcome.result is not Result.CONFIRMED or outcome.amount is None or asked is None:
        return ""
    if outcome.amount == asked or (partial and 0 <= outcome.amount <= asked):
        return ""
    return f"the provider confirms {outcome.amount} minor units where {asked} were asked for"


def unnumbered(outcome: Outcome, rows: Iterable[Row]) -> str:
    """Why a confirmation is not enough: a card was drawn, but it does not say which. A person has to look."""
    if outcome.result is not Result.CONFIRMED or outcome.number is not None:
        return ""
    for row in rows:
        if row.numbered:
            return "the provider confirms it without the card number that it has to give"
    return ""


def _confirm(
    machines: Machines, plan: Plan, entity: Entity, row: Row, step: InFlight, outcome: Outcome, call: str
) -> None:
    args, done = step.args, step.amounts
    if outcome.amount is not None and step.partial is not None:
        args = {**args, step.partial: outcome.amount}
        done = tuple(outcome.amount for _ in done)  # every move is of the partial argument
    postings = [Posting(IN_DOUBT, target, part) for (_, target), part in zip(row.lines, done, strict=True) if part]
    postings += [
        Posting(IN_DOUBT, source, whole - part)
        for (source, _), whole, part in zip(row.lines, step.amounts, done, strict=True)
        if whole > part
    ]
    accounts = post(entity.accounts, postings)
    _advance(machines, plan, entity, row, step.command, args, "confirmed", accounts, tuple(postings), outcome, call)


def _give_back(
    machines: Machines, plan: Plan, entity: Entity, row: Row, step: InFlight, outcome: Outcome, call: str
) -> None:
    declined = outcome.result is Result.DECLINED
    lines = zip(row.lines, step.amounts, strict=True)
    postings = tuple([Posting(IN_DOUBT, source, amount) for (source, _), amount in lines if amount])
    state = row.transition.otherwise if declined and row.transition.otherwise else entity.state
    after = attrs.evolve(entity, state=state, revision=entity.revision + 1, accounts=post(entity.accounts, postings))
    phase = "declined" if declined else "unavailable"
    plan.entities.append(after)
    said = kept(machines.at(entity.machine, entity.machine_version), step.command, step.args)
    plan.entries.append(_entry(after, entity, row, step.command, phase, said, postings, {}, call))


def _advance(
    machines: Machines,
    plan: Plan,
    entity: Entity,
    row: Row,
    command: str,
    args: Mapping[str, object],
    phase: str,
    accounts: Mapping[str, int],
    postings: tuple[Posting, ...],
    outcome: Outcome,
    call: str | None = None,
) -> None:
    """The transition happens: accounts, state, facts, and what follows from it."""
    facts, changed = entity.facts, {}
    if row.sets:
        changed = {name: value(None, facts, args, entity.state, outcome) for name, value in row.sets}
        facts = {**facts, **changed}
    state = row.target or entity.state
    after = Entity(
        entity.machine, entity.id, state, entity.revision + 1, entity.machine_version, entity.currency,
        facts, accounts, entity.calls, entity.changing, entity.hash,
    )  # fmt: skip
    given = kept(machines.at(entity.machine, entity.machine_version), command, args)
    plan.entities.append(after)
    plan.entries.append(_entry(after, entity, row, command, phase, given, postings, changed, call))
    _queue(plan, after, row, args, outcome)


def _queue(plan: Plan, after: Entity, row: Row, args: Mapping[str, object], outcome: Outcome) -> None:
    if row.then:
        following = follow_ups(after.machine, after.id, row, after.accounts, after.facts, args, after.state, outcome)
        plan.then.extend(request for _, request in following)


def _entry(
    after: Entity,
    before: Entity,
    row: Row,
    command: str,
    phase: str,
    args: Mapping[str, object],
    postings: tuple[Posting, ...],
    facts: Mapping[str, object],
    call: str | None,
) -> Entry:
    return Entry(
        after.machine, after.id, after.revision, after.machine_version, row.name, command, phase,
        before.state, after.state, args, postings, facts, after.accounts, call,
    )  # fmt: skip


def post(accounts: Mapping[str, int], postings: tuple[Posting, ...] | list[Posting]) -> dict[str, int]:
    after = dict(accounts)
    for source, target, amount in postings:
        if source in after:
            after[source] -= amount
        if target in after:
            after[target] += amount
    return after


def kept(machine: Machine, command: str, args: Mapping[str, object]) -> dict[str, object]:
    """The arguments as an entry keeps them: no secrets, nothing that was left out; but what the provider decided."""
    declared = machine.commands[command]
    return {
        name: value
        for name in declared.storable
        if (value := args.get(name)) is not None and (value is not False or name in declared.by_provider)
    }
