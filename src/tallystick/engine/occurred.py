"""When something happened, where that is not when it was written: `occurred_at` beside `at`.

What a caller says of the past is believed as far as it can be: not after now, not before its entity was there, and so
that no account was ever below zero. It may come late and in any order, for value that has moved has to be written down.
What the page calls `now` stays the moment of writing: a date that somebody gives opens nothing that is closed by now.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

import attrs

from tallystick.core import resolve
from tallystick.core.entity import Entity, Intent, Plan, Posting, Ref
from tallystick.core.refusal import Code, Refusal
from tallystick.engine.receipt import Command
from tallystick.engine.unit_of_work import UnitOfWork
from tallystick.errors import Invalid, KeyReused
from tallystick.masks import quoted
from tallystick.money import Money
from tallystick.store.rows import EntryRow, stamp


def checked(work: UnitOfWork, command: Command) -> Command:
    """The command with its moment; of a key that was seen, and is tried again, with the moment of then.

    Raises:
        Invalid: it is no moment, or is still to come.   KeyReused: the key stands for another moment.
    """
    seen = work.keyed.get(command.key)
    if seen is not None and (command.occurred_at is None or _follows(work, command)):
        then = datetime.fromisoformat(seen.occurred_at) if seen.occurred_at is not None else None
        return command if then == command.occurred_at else attrs.evolve(command, occurred_at=then)
    if command.occurred_at is None:
        return command
    moment = stamp(command.occurred_at)
    if moment > work.at:
        raise Invalid(f"occurred_at is {moment}, and now it is {work.at}: what is still to come has not happened")
    if seen is not None and seen.happened != moment:
        raise KeyReused(command.key, before=f"the same, which happened at {seen.happened}")
    return command


def placed(work: UnitOfWork, command: Command, intent: Intent) -> Command | Refusal:
    """The command, if it can have happened at its moment; else why not.

    What follows a command that did happen then is done all the same: if it can only have come later, it happens now.
    """
    if command.occurred_at is None:
        return command
    early = refused(work, command, resolve.complete(work.machines, intent))
    if early is not None and _follows(work, command):
        return attrs.evolve(command, occurred_at=None)
    return early or command


def _follows(work: UnitOfWork, command: Command) -> bool:
    queued = work.queue.get(command.key)
    return queued is not None and queued.cause is not None


def refused(work: UnitOfWork, command: Command, plan: Plan) -> Refusal | None:
    """Why a command cannot have happened at its moment, if it cannot: an entity was not there, or had not enough."""
    assert command.occurred_at is not None
    moment = stamp(command.occurred_at)
    for entity in {each.ref: each for each in plan.entities}.values():
        later = _later(work, entity.ref, moment)
        why = f"it is there since {later[0].happened}" if later and later[0].revision == 1 else _short(entity, later)
        if why:
            what = f"{command.command} of {entity.machine} {quoted(entity.id)} cannot have happened at {moment}"
            sentence = f"{what}: {why}; say a later time, or none"
            return Refusal(Code.TOO_EARLY, *entity.ref, entity.state, command.command, sentence)
    return None


def _short(entity: Entity, later: Sequence[EntryRow]) -> str:
    """What would have been below zero meanwhile: what happened later is taken back, the last first."""
    accounts = {**{name: 0 for row in later for name in json.loads(row.after)}, **entity.accounts}
    for row in reversed(later):
        back = [Posting(target, source, amount) for source, target, amount in json.loads(row.postings)]
        accounts = resolve.post(accounts, back)
        short = next((name for name, amount in accounts.items() if amount < 0), None)
        if short is not None:
            return f"until {row.happened} its {short} would have been {Money(accounts[short], entity.currency)}"
    return ""


def _later(work: UnitOfWork, ref: Ref, moment: str) -> Sequence[EntryRow]:
    """What happened to an entity after a moment, in the order in which it happened."""
    rows = [*work.books.journal(*ref)]
    rows += [row for row in work.changes.entries if (row.machine, row.entity) == ref]
    return sorted((row for row in rows if row.happened > moment), key=lambda row: (row.happened, row.revision))
