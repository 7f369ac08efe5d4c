"""The receipt of a stored command: what became of a key that was seen before, or of a call that has ended."""

from __future__ import annotations

import json

from tallystick.core import resolve
from tallystick.core.entity import Posting
from tallystick.engine.queue.declared_order import in_declared_order
from tallystick.engine.receipt import Ended, Receipt
from tallystick.engine.unit_of_work import UnitOfWork
from tallystick.provider.protocol import Outcome
from tallystick.store.rows import CallRow, EntryRow, is_later

_ENDED = {
    "open": Ended.IN_DOUBT,
    "confirmed": Ended.APPLIED,
    "declined": Ended.DECLINED,
    "unavailable": Ended.UNAVAILABLE,
}


def receipt_of_call(work: UnitOfWork, row: CallRow) -> Receipt:
    """What became of the command that opened a call."""
    return old_receipt(work, work.keyed[row.key], row)


def old_receipt(work: UnitOfWork, seen: EntryRow, row: CallRow | None) -> Receipt:
    """What became of a command. `seen` is the entry with its key, `row` is its call, if it made one.

    With a call, the receipt tells of its last attempt and of the answer to that.
    """
    key = str(seen.key)
    caused = [*work.books.caused(key), *(each for each in work.changes.entries if each.cause == key)]
    queued = {each.key: each for each in work.books.following(key)}
    queued |= {each.key: each for each in work.changes.queue.values() if each.cause == key}
    now_or_before = [each for each in queued.values() if not is_later(each, work.at)]
    mine = [seen, *(each for each in caused if (each.machine, each.entity) == (seen.machine, seen.entity))]
    entries, outcome = [seen], None
    if row is not None:
        entries = mine[max(number for number, each in enumerate(mine) if each.phase == "asked") :]
        outcome = row.ended
    ended = _ENDED[row.state] if row else Ended.APPLIED
    if row is not None and ended is Ended.IN_DOUBT and not row.attempts:
        ended = Ended.PENDING
    first, last = entries[0], entries[-1]
    return Receipt(
        ended,
        key, seen.machine, seen.entity, seen.command, last.to_state, seen.currency,
        _before(first), json.loads(last.after),
        tuple(Posting(*posting) for each in entries for posting in json.loads(each.postings)), last.transition, outcome,
        call=row.id if row else None, why=_why(row, outcome), replayed=True,
        follow_ups=tuple(row.key for row in in_declared_order(work.machines, {key: seen}, now_or_before)),
    )  # fmt: skip


def _before(entry: EntryRow) -> dict[str, int]:
    """The accounts before an entry."""
    back = [Posting(target, source, amount) for source, target, amount in json.loads(entry.postings)]
    return resolve.post(json.loads(entry.after), back)


def _why(row: CallRow | None, outcome: Outcome | None) -> str:
    if row is not None and row.late is not None:
        return f"{row.verb}: {row.note} (call {row.id})"
    if row is None or (row.state == "confirmed" and (row.attempts < 2 or not row.note)):
        return ""
    if row.state == "confirmed":  # what an earlier attempt may have left behind
        return f"{row.verb} was sent {row.attempts} times: {row.note}"
    if row.state == "open" and not row.attempts:
        return f"{row.verb} was written down and not sent yet: send the receipt, or recover (call {row.id})"
    if row.state == "open":
        note = row.note or "no answer came"
        return f"{row.verb} was sent to the provider and its answer is not known: {note} (call {row.id})"
    said = f"{outcome.reason or ''} {outcome.text or ''}".strip() if outcome else ""
    ended = "declined" if row.state == "declined" else "was not reached for"
    return f"the provider {ended} {row.verb}{f': {said}' if said else ''}"
