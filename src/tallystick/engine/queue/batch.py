"""Many queued commands in one transaction, each with what follows it at once. For a local provider.

A commit waits for the disk, whatever is in it. Where no provider has to be asked in between, there is no need for one
after each command.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import attrs

from tallystick.engine.queue import rows as queue_rows
from tallystick.engine.receipt import Command, Ended, Receipt
from tallystick.engine.unit_of_work import Job, UnitOfWork
from tallystick.errors import Invalid
from tallystick.store.rows import QueueRow, is_changed

ONE_TRANSACTION = 500  # commands: others who want one of these cards wait for all of them


@attrs.frozen
class Batch:
    """Makes one job of many queued commands."""

    _job: Callable[[Command], Job]  # that executes a command with a local provider; gives its receipt first

    def job(self, rows: Mapping[str, QueueRow], keys: Sequence[str], most: int | None = None) -> Job:
        """A job that executes what still waits under these keys, in order; it gives the receipts.

        `rows`: those of the keys, as they were listed. What follows at once comes before the next key. After `most`
        commands the rest is left in the queue.
        """
        refs = [ref for key in keys if key in rows for ref in self._job(queue_rows.command_of(rows[key])).refs]
        return Job(partial(self._executed, keys=keys, most=most), refs, keys)

    def _executed(self, work: UnitOfWork, keys: Sequence[str], most: int | None) -> list[Receipt]:
        receipts, left = list[Receipt](), deque(keys)
        while left and len(receipts) != most:
            row = work.queue.get(left.popleft())
            if row is None or not is_ready(row, work.at):
                continue
            job = self._job(queue_rows.command_of(row))
            if missing := [ref for ref in job.refs if ref not in work.world]:
                work.lock(missing)
            try:
                receipt = job.do(work)[0]
            except Invalid as error:
                receipt = refused(row, error)
            if receipt.result is Ended.REFUSED:
                queue_rows.put_off(work, row.key, receipt)
            receipts.append(receipt)
            left.extendleft(reversed(receipt.follow_ups))
        return receipts


def is_ready(row: QueueRow, now: str) -> bool:
    """Whether it is still to be done: somebody else may have done it, or put it off, since it was listed."""
    return row.state == "waiting" and row.due <= now and not is_changed(row)


def refused(row: QueueRow, error: Invalid) -> Receipt:
    """The receipt of a queued command that cannot be considered any more."""
    return Receipt(Ended.REFUSED, row.key, row.machine, row.entity, row.command, why=str(error))
