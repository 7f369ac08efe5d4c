"""What becomes of a command that waits in the queue: inside one transaction, with its entity locked."""

from __future__ import annotations

import json
from datetime import datetime

from tallystick.core import resolve
from tallystick.core.entity import Request
from tallystick.definition.declared import Command as Declared
from tallystick.engine.receipt import Command, Ended, Receipt
from tallystick.engine.sealing import from_books
from tallystick.engine.unit_of_work import UnitOfWork
from tallystick.errors import Invalid, KeyReused
from tallystick.masks import quoted
from tallystick.store.rows import QueueRow, encode, is_changed, is_later, moved_on, stamp

GIVEN_UP = ("refused", "parked")  # nobody tries it any more
AGAIN = (*GIVEN_UP, "dismissed", "withdrawn")  # its key may be given a new time
CHANGED = "it was changed in the database; nothing is done with it, and verify says what was changed"
# A follow-up that is tried once: whoever queued it looks at what became of it, so nobody else has to
DROPPED = {Ended.DECLINED: "dismissed", Ended.UNAVAILABLE: "withdrawn"}
ENDED = (*GIVEN_UP, "declined")  # or the provider has ended it: its key is used, so it can only be laid aside


def command_of(row: QueueRow) -> Command:
    """The command that waits."""
    args = from_books(json.loads(row.args))
    occurred_at = datetime.fromisoformat(row.occurred_at) if row.occurred_at is not None else None
    return Command(
        row.machine, row.entity, row.command, args, row.key, row.by, row.reason, occurred_at=occurred_at,
    )  # fmt: skip


def defer(work: UnitOfWork, command: Command, request: Request) -> Receipt:
    """Have a command wait until it is due. Raises Invalid: it carries a secret, which nobody stores."""
    entity = work.world[command.machine, command.id]
    machine = work.machines.at(entity.machine, entity.machine_version)
    for name, type_ in machine.commands[command.command].arguments.items():
        if type_.kind == "secret" and request.args[name] is not None:
            why = "carries a secret, which is never stored; it cannot be deferred"
            raise Invalid(f"{command.command}({name}=…) {why}")
    assert command.due is not None
    queued = work.queue.get(command.key)
    due = stamp(command.due)
    if queued is not None and queued.state == "waiting" and queued.due != due:
        raise KeyReused(
            command.key, before=f"the same, due {queued.due}; `books.queue.reschedule` gives it another time"
        )
    if queued is None or _unchanged(queued).state in AGAIN:
        args = encode(resolve.kept(machine, command.command, request.args))
        queued = work.enqueue(QueueRow(
            command.key, command.machine, command.id, command.command, args, due,
            by=command.by, reason=command.reason,
        ))  # fmt: skip
    return Receipt(
        Ended.DEFERRED, command.key, command.machine, command.id, command.command, entity.state, entity.currency,
        entity.accounts, entity.accounts, why=f"it waits until {queued.due}",
    )  # fmt: skip


def call_ended(work: UnitOfWork, receipt: Receipt) -> None:
    """The call of a queued command has ended. Declined: it is over. Unavailable: it waits to be tried again."""
    queued = work.queue[receipt.key]
    if receipt.result in (Ended.DECLINED, Ended.UNAVAILABLE) and _once(work, queued):
        work.enqueue(moved_on(queued, state=DROPPED[receipt.result], why=receipt.why))
    elif receipt.result is Ended.DECLINED:
        work.enqueue(moved_on(queued, state="declined", why=receipt.why))
    elif receipt.result is Ended.UNAVAILABLE:
        state, due = work.later(queued.attempts, _patient(work, queued))
        work.enqueue(moved_on(queued, state=state, due=due, why=receipt.why))


def put_off(work: UnitOfWork, key: str, receipt: Receipt) -> None:
    """A queued command was refused. It waits while a call or a follow-up is in its way; otherwise that was its end.

    A shipment that comes before the hold that follows the last one only has to wait for that hold. A patient command
    waits longer, and for amounts too: what is held on a card may ship in a week.
    """
    queued = work.queue.get(key)
    if queued is None or queued.state != "waiting":
        return
    if is_later(queued, work.at):  # somebody has tried it, or has set the clock back: its time comes yet
        return
    attempts = queued.attempts + 1
    state, due = "refused", queued.due
    refusal = receipt.refusal
    if _once(work, queued) or (queued.cause is not None and refusal is not None and refusal.done_with):
        state = "withdrawn"
    elif refusal is not None:
        patient = _patient(work, queued)  # after a week of waiting, a call in its way is no reason to give it up
        in_its_way = refusal.waits or set(work.follows(queued.machine, queued.entity)) - {key}
        if in_its_way or (patient and refusal.by_amounts):
            state, due = work.later(attempts, patient)
    work.enqueue(moved_on(queued, attempts=attempts, state=state, due=due, why=receipt.why))


def withdraw(work: UnitOfWork, key: str, by: str, reason: str) -> QueueRow:
    """A command that waits is called off. Raises Invalid: none waits under this key, or it follows another."""
    row = _own(work, key, "withdrawn")
    return work.enqueue(moved_on(row, state="withdrawn", why=f"withdrawn by {by}", note=f"{by}: {reason}"))


def reschedule(work: UnitOfWork, key: str, due: str, by: str, reason: str) -> QueueRow:
    """A command that waits gets another time. Raises Invalid, likewise, or if somebody has changed it."""
    return work.enqueue(moved_on(_unchanged(_own(work, key, "rescheduled")), due=due, note=f"{by}: {reason}"))


def _own(work: UnitOfWork, key: str, deed: str) -> QueueRow:
    """A command that somebody has given a time."""
    row = work.queue.get(key)
    if row is None or row.state != "waiting":
        state = f"it is {row.state}" if row is not None else "nothing is queued under it"
        raise Invalid(f"the key {quoted(key)} cannot be {deed}: {state}; only what is waiting can")
    if row.cause is not None:
        raise Invalid(f"the key {quoted(key)} cannot be {deed}: it follows {quoted(row.cause)}, and is part of that")
    return row


def dismiss(work: UnitOfWork, key: str, by: str, reason: str) -> QueueRow:
    """A command that was given up is not shown any more. Raises Invalid: none like that waits under this key."""
    row = work.queue.get(key)
    if row is not None and is_changed(row) and row.state == "waiting":
        return work.enqueue(moved_on(row, state="dismissed", why=CHANGED, note=f"{by}: {reason}"))
    return work.enqueue(moved_on(_waiting_for(work, key, ENDED), state="dismissed", note=f"{by}: {reason}"))


def retry(work: UnitOfWork, key: str, by: str, reason: str) -> QueueRow:
    """A command that was given up is due now, with all its attempts before it. Raises Invalid as `reschedule`."""
    row = _unchanged(_waiting_for(work, key, GIVEN_UP))
    return work.enqueue(moved_on(row, state="waiting", due=work.at, attempts=0, note=f"{by}: {reason}"))


def _waiting_for(work: UnitOfWork, key: str, states: tuple[str, ...]) -> QueueRow:
    row = work.queue.get(key)
    if row is None or row.state not in states:
        state = f"it is {row.state}" if row is not None else "nothing is queued under it"
        would = f"what is {' or '.join(states)} may be" if row is not None else "see tallystick stuck"
        raise Invalid(f"no command waits for this under the key {quoted(key)}: {state}; {would}")
    return row


def _unchanged(row: QueueRow) -> QueueRow:
    if is_changed(row):
        raise Invalid(f"the key {quoted(row.key)} names a command that must not be done: {CHANGED}")
    return row


def _patient(work: UnitOfWork, queued: QueueRow) -> bool:
    return _declared(work, queued).patient


def _once(work: UnitOfWork, queued: QueueRow) -> bool:
    return queued.cause is not None and _declared(work, queued).once


def _declared(work: UnitOfWork, queued: QueueRow) -> Declared:
    version = work.world[queued.machine, queued.entity].machine_version
    return work.machines.at(queued.machine, version).commands[queued.command]
