"""A call that somebody has changed in the database: nothing is done with what it says.

It is neither sent nor looked up. A person may end it, as long as it would still move what its entries have set aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tallystick.engine.receipt import Ended, Receipt
from tallystick.engine.unit_of_work import Job, UnitOfWork
from tallystick.errors import Invalid, StoreError
from tallystick.store.protocol import Reading
from tallystick.store.rows import CallRow, EntryRow, is_changed


def told(row: CallRow) -> Receipt:
    """The receipt of such a call. Its row is not read for more than its names."""
    why = f"call {row.id} was changed in the database; nothing is sent or looked up, and verify says what was changed"
    return Receipt(Ended.IN_DOUBT, row.key, row.machine, row.entity, row.verb, call=row.id, why=why)


def left_alone(reading: Reading, rows: Sequence[CallRow]) -> tuple[list[CallRow], list[Receipt]]:
    """The calls that can be taken up; and what is told of those that were changed, or are about a newer page."""
    taken, receipts = list[CallRow](), list[Receipt]()
    for row in rows:
        if is_changed(row):
            receipts.append(told(row))
            continue
        try:
            reading.look(row.refs)
        except StoreError as error:  # of an entity; what the database itself says comes as its own error
            why = f"call {row.id}: {error}"
            receipts.append(Receipt(Ended.IN_DOUBT, row.key, row.machine, row.entity, row.verb, call=row.id, why=why))
        else:
            taken.append(row)
    return taken, receipts


def checking(row: CallRow) -> Job:
    """The job that looks whether a person may end it. Raises Invalid: it would move something else."""
    return Job(partial(_check, row=row), keys=[row.key])


def _check(work: UnitOfWork, row: CallRow) -> None:
    from tallystick.engine.verify.calls import other_steps
    from tallystick.engine.verify.replay import CallEntry
    from tallystick.engine.verify.report import UNREADABLE

    entries = [*filter(None, [work.keyed.get(row.key)]), *work.books.caused(row.key)]
    asked = _set_aside([each for each in entries if each.call == row.id])
    try:
        verbs = {
            (each.machine, each.entity, each.currency, ask[0])
            for each in asked
            if (ask := work.machines.at(each.machine, each.machine_version).rows[each.transition].ask) is not None
        }
        about = (row.machine, row.entity, row.currency, row.verb) in verbs
        same = (
            about
            and isinstance(row.amount, int | None)
            and not any(other_steps(work.machines, row, [CallEntry(each, None, None) for each in asked]))
        )
    except UNREADABLE:
        same = False
    if not same:
        why = "what it would move is not what its entries have set aside"
        raise Invalid(
            f"call {row.id} was changed in the database, and {why}: verify says what was changed; put that right first"
        )


def _set_aside(entries: list[EntryRow]) -> list[EntryRow]:
    """The entries of its last opening; none, if it has ended since."""
    asked: list[EntryRow] = []
    for each in sorted(entries, key=lambda entry: entry.seq, reverse=True):
        if each.phase != "asked":
            break
        asked.insert(0, each)
    return asked
