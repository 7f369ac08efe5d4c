"""What the command line answers, as plain values: they are printed for `--json`, and the tables are made of them.

Amounts are decimal text here, card numbers are masked, and secrets are not there at all. So nothing that is printed of
these values says too much, in whatever form. The keys are stable, because programs read them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from tallystick import money
from tallystick.books.views import replacements
from tallystick.core.entity import Entity, Posting
from tallystick.core.refusal import Refusal, answered
from tallystick.definition.expression import Type
from tallystick.definition.machine import Machine, Machines
from tallystick.diagram.model import Diagram
from tallystick.engine.queue.rows import ENDED
from tallystick.engine.receipt import Answer, Receipt
from tallystick.engine.verify import Report as VerifyReport
from tallystick.masks import mask
from tallystick.money import Money
from tallystick.store.protocol import Reading
from tallystick.store.rows import CallRow, EntryRow, QueueRow, is_changed, stamp

if TYPE_CHECKING:
    from tallystick.books.balance import BalanceAnswer
    from tallystick.books.history import Entry
    from tallystick.books.reconciling.differences import Difference, Reconciliation
    from tallystick.books.waiting import LateAnswer, OldHold, Queued, Stuck, Total, Uncovered, Waiting

Plain = dict[str, Any]


def named(of: object, *names: str) -> Plain:
    """These attributes, under their own names."""
    return {name: getattr(of, name) for name in names}


def amounts(accounts: Mapping[str, int], currency: str | None) -> dict[str, str]:
    return {name: money.to_text(minor, currency) for name, minor in accounts.items()} if currency else {}


def postings(moved: Iterable[Posting | Sequence[Any]], currency: str | None) -> list[Plain]:
    return [
        {"source": source, "target": target, "amount": money.to_text(amount, currency or "points")}
        for source, target, amount in moved
    ]


def fact(value: object, type_: Type, currency: str) -> object:
    """The value of a fact, as it may be shown."""
    if value is None or type_.kind == "flag":
        return value
    if type_.kind == "money" and isinstance(value, int):
        return money.to_text(value, currency)
    return mask(str(value)) if type_.kind == "number" else value


def receipt(of: Receipt) -> Plain:
    return {
        **named(of, "key", "machine", "id", "command"),
        "result": of.result.value,
        **named(of, "replayed", "transition", "state", "currency"),
        "postings": postings(of.postings, of.currency),
        "accounts": amounts(of.after_minor, of.currency),
        "call": of.call,
        "follow_ups": list(of.follow_ups),
        "why": of.why or None,
    }


def entry(row: EntryRow) -> Plain:
    return {
        **named(row, "seq", "at"),
        "occurred_at": row.happened,
        "machine": row.machine,
        "id": row.entity,
        **named(row, "revision", "transition", "command", "phase"),
        "from": row.from_state,
        "to": row.to_state,
        "currency": row.currency,
        "postings": postings(json.loads(row.postings), row.currency),
        "accounts": amounts(json.loads(row.after), row.currency),
        **named(row, "by", "reason", "key", "cause", "call"),
    }


def fed(of: Entry) -> Plain:
    """An entry as the feed gives it: with its order, its payment and its card."""

    def shown(values: Mapping[str, object]) -> Plain:
        return {name: _amount(each) if isinstance(each, Money) else each for name, each in values.items()}

    return {
        **named(of, "machine", "id", "revision"),
        "at": stamp(of.at),
        "occurred_at": stamp(of.occurred_at),
        **named(of, "transition", "command", "phase"),
        "from": of.from_state,
        "to": of.to_state,
        "currency": next((each.currency for each in of.after.values()), None),
        "postings": [{**named(each, "source", "target"), "amount": _amount(each.amount)} for each in of.moves],
        "accounts": shown(of.after),
        "args": shown(of.args),
        "facts": shown(of.facts),
        **named(of, "key", "by", "reason", "call", "card", "payment", "order"),
    }


def call(row: CallRow) -> Plain:
    asked = None if is_changed(row) else row.amount
    return {
        "call": row.id,
        "verb": row.verb,
        "amount": None if asked is None else money.to_text(asked, row.currency),
        **named(row, "currency", "machine"),
        "id": row.entity,
        **named(row, "key", "state", "attempts", "opened", "asked", "note"),
    }


def queued(row: QueueRow) -> Plain:
    own = named(row, "key", "machine", "command", "due", "attempts", "state", "why", "by", "reason", "cause", "note")
    return {"id": row.entity, **own}


def life(machines: Machines, reading: Reading, entity: Entity) -> Plain:
    """An entity and all that happened to it."""
    machine = machines.at(entity.machine, entity.machine_version)
    calls = [row for row in reading.calls() if entity.ref in row.refs]
    sent_again = [row for row in reading.calls_on(*entity.ref) if row.state != "open" and row.attempts > 1 and row.note]
    given_up = [row for state in ENDED for row in reading.queue(state=state)]
    queue = [*reading.waiting(*entity.ref), *(row for row in given_up if (row.machine, row.entity) == entity.ref)]
    linked = [
        {"machine": other.name, "id": each.id, "state": each.state, "as": link}
        for other in machines.values()
        for link, target in other.links.items()
        if target == entity.machine
        for each in reading.linked(other.name, link, entity.id)
    ]
    return {
        **named(entity, "machine", "id", "state"),
        "says": machine.states[entity.state].says,
        **named(entity, "revision", "machine_version", "currency"),
        "accounts": amounts(entity.accounts, entity.currency),
        "facts": {
            name: fact(entity.facts.get(name), each.type, entity.currency) for name, each in machine.facts.items()
        },
        "linked": linked,
        **_replacements(reading, entity),
        "calls": [call(row) for row in calls],
        "sent_again": [call(row) for row in sent_again],
        "queue": [queued(row) for row in queue],
        "life": [entry(record) for record in reading.journal(entity.machine, entity.id)],
    }


def _replacements(reading: Reading, entity: Entity) -> Plain:
    """Of a card: which one carries its value now, and whose value it carries."""
    if entity.machine != "gift_card":
        return {}
    replaced_by, replaces = replacements(reading, entity.id)
    return {"replaced_by": replaced_by, "replaces": list(replaces)}


def answer(of: Answer, machine: str, id: str, command: str, currency: str | None) -> Plain:
    return {
        "machine": machine,
        "id": id,
        "command": command,
        "allowed": of.allowed,
        "transition": of.transition,
        "state": of.state,
        "postings": postings(of.postings, currency),
        "why": str(of.refusal) if of.refusal else None,
        "refusal": refusal(of.refusal) if of.refusal else None,
    }


def refusal(of: Refusal) -> Plain:
    return {
        "code": of.code.value,
        **named(of, "machine", "id", "state", "command"),
        "candidates": [each._asdict() for each in of.candidates],
        "allowed": list(of.allowed),
        "calls": list(of.calls),
        "cause": refusal(of.cause) if of.cause else None,
    }


def commands(machine: Machine, diagram: Diagram, entity: Entity) -> Plain:
    """What each command of the entity's state would need, and what the state refuses on purpose."""
    taken = [line for line in diagram.lines if entity.state in line.sources]
    open_commands = [
        {
            "command": name,
            "arguments": {key: str(type_) for key, type_ in machine.commands[name].arguments.items()},
            "transition": line.step.name,
            "needs": list(line.step.conditions),
            "to": line.target or entity.state,
            "money": list(line.step.money),
        }
        for name in answered(machine, entity.state)
        for line in taken
        if name in line.step.commands
    ]
    driven = [name for line in taken if line.step.driven for name in line.step.commands]
    refused = {command: says for (state, command), says in machine.on_purpose.items() if state == entity.state}
    return {
        **named(entity, "machine", "id", "state", "currency"),
        "accounts": amounts(entity.accounts, entity.currency),
        "commands": open_commands,
        "driven": list(dict.fromkeys(driven)),
        "refused": refused,
    }


def verify_report(of: VerifyReport) -> Plain:
    return {
        "clean": of.clean,
        "findings": [attrs.asdict(finding) for finding in of.findings],
        **named(of, "entities", "entries", "calls", "sealed", "removals"),
        "checkpoint": str(of.checkpoint) if of.checkpoint is not None else None,
        "compared": [str(each) for each in of.compared],
        "replaced": [attrs.asdict(each) for each in of.replaced],
        "money": {
            machine: {code: money.to_text(minor, code) for code, minor in inside.items()}
            for machine, inside in of.money.items()
        },
    }


# What waits, and the provider's half


def stuck(of: Stuck) -> Plain:
    """Everything that waits for a person."""
    return {**_not_done(of), "uncovered": [_payment(each) for each in of.uncovered],
            "late": [_late(each) for each in of.late], "totals": _totals(of.totals)}  # fmt: skip


def _late(of: LateAnswer) -> Plain:
    told = {"said": of.said.value, "reference": of.reference, "amount": _amount(of.amount), "why": of.why}
    return {**call(of.row), **told, "due": None}


def waiting(of: Waiting) -> Plain:
    """Everything that goes on by itself; what waits for a date of its page is counted."""
    dated = [{**named(each, "machine", "command", "count"), "first": each.first and stamp(each.first),
              "days": dict(each.days), "periods": dict(each.periods)} for each in of.dated]  # fmt: skip
    return {**_not_done(of), "more": of.more, "dated": dated, "totals": _totals(of.totals)}


def listed(of: Sequence[Queued], limit: int) -> Plain:
    """A page of what waits; `after`: what to name for the next one, if there may be one."""
    return {"queue": _queue(of), "after": of[-1].row.key if len(of) == limit else None}


def _not_done(of: Stuck | Waiting) -> Plain:
    calls = [{**call(each.row), "why": each.why, "due": each.due and stamp(each.due)} for each in of.calls]
    return {"calls": calls, "queue": _queue(of.queue)}


def _queue(of: Sequence[Queued]) -> list[Plain]:
    return [
        {
            **queued(each.row),
            "why": each.why or None,
            "amount": _amount(each.amount or None),
            "currency": each.amount.currency if each.amount else None,
        }
        for each in of
    ]


def _totals(of: Mapping[str, Total]) -> Plain:
    """How many there are; and of each kind how many, and how much by currency."""
    kinds = {
        kind: {
            "count": each.count,
            "amounts": {code: money.to_text(minor, code) for code, minor in each.amounts.items()},
        }
        for kind, each in of.items()
    }
    return {"count": sum(each.count for each in of.values()), **kinds}


def hold(of: OldHold) -> Plain:
    return {**_payment(of), "hold": of.hold, "since": f"{of.since:%Y-%m-%dT%H:%M:%SZ}"}


def _payment(of: OldHold | Uncovered) -> Plain:
    own = named(of, "payment", "order", "card", "number", "state")
    return {**own, "currency": of.amount.currency, "amount": _amount(of.amount)}


def balance(of: BalanceAnswer) -> Plain:
    plain = {"said": of.said.value, "text": of.text}
    if of.available is None or of.held is None:
        return plain
    carries = {"available": _amount(of.available), "held": _amount(of.held), "currency": of.available.currency}
    return {**plain, **carries, "card": of.card}


def reconciliation(of: Reconciliation) -> Plain:
    """What differs between our books and the provider's."""
    return {
        "clean": of.clean,
        "cards": of.cards,
        "findings": [_difference(each) for each in of.findings],
        "remaining": len(of.remaining),
        "posted": [receipt(each) for each in of.posted],
    }


def _difference(finding: Difference) -> Plain:
    return {
        "code": finding.code.value,
        **named(finding, "card", "number", "currency"),
        "ours": _amount(finding.ours),
        "theirs": _amount(finding.theirs),
        **named(finding, "reference", "what", "posted"),
    }


def _amount(amount: Money | None) -> str | None:
    return None if amount is None else f"{amount:n}"


# Machines


def machine(diagram: Diagram) -> Plain:
    """A machine: its states and transitions."""
    return {
        "machine": diagram.name,
        **named(diagram, "version", "summary"),
        "states": [{"state": node.name, **named(node, "start", "final", "says")} for node in diagram.nodes],
        "transitions": [
            {
                "transition": line.step.name,
                "commands": list(line.step.commands),
                "from": list(line.sources),
                "to": line.target,
                "else": line.otherwise,
                "when": list(line.step.conditions),
                "money": list(line.step.money),
                "calls": [str(each) for each in line.step.calls],
                "then": list(line.step.follow_ups),
                "driven": line.step.driven,
            }
            for line in diagram.lines
        ],
    }


def machine_row(machine: Machine) -> Plain:
    """A machine as one row of a list."""
    return {
        "machine": machine.name,
        **named(machine, "version", "summary"),
        "states": list(machine.states),
        "commands": list(machine.commands),
        "transitions": list(machine.transitions),
        "file": machine.file,
    }
