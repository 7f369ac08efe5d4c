"""The queue: commands that wait for their time, for the command that they follow, or for their next try.

A queued command is executed like any other, with its key. What this does to the queue is written in the same
transaction. A refusal writes nothing. So after a refusal the command is put off, or given up, in a transaction of its
own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from random import Random
from typing import Any

import attrs

from tallystick.engine import by_hand, queue_rows
from tallystick.engine.group_commit import GroupCommit
from tallystick.engine.receipt import Command, Ended, Receipt
from tallystick.engine.sealing import kept
from tallystick.engine.unit_of_work import Job
from tallystick.errors import Invalid, NotFound, quoted
from tallystick.store.protocol import Store
from tallystick.store.rows import QueueRow, stamp

ATTEMPTS = 10  # of a queued command while the provider is unavailable (Manhattan Active Omni's default)
BACKOFF = timedelta(seconds=30)  # the first wait; it doubles, up to an hour, with jitter
LONGEST_WAIT = timedelta(hours=1)
PATIENCE = 40  # attempts of a patient command while amounts are in its way: about a month, then a person looks
PATIENT_WAIT = timedelta(days=1)


@attrs.frozen
class QueuedCommand:
    """A command that waits: when it is due, how often it was tried, and why it waits still."""

    key: str
    machine: str
    id: str
    command: str
    due: datetime  # with a time zone
    attempts: int
    why: str
    follows: str | None  # the key of the command that queued it; None: a caller gave it a time


@attrs.frozen
class Queue:
    """Commands that wait. Thread-safe; any number of processes may run what is due."""

    _store: Store
    _commits: GroupCommit
    _execute: Callable[[Command], Receipt]
    _clock: Callable[[], datetime]

    def run_due(self, limit: int) -> list[Receipt]:
        """Execute commands whose time has come, each with what follows it at once, up to `limit` of them."""
        receipts: list[Receipt] = []
        while len(receipts) < limit:
            with self._store.reading() as reading:
                rows = reading.due(stamp(self._clock()), limit - len(receipts))
            if not rows:
                break
            receipts += islice(self._run_all(row.key for row in rows), limit - len(receipts))
        return receipts

    def follow(self, receipt: Receipt) -> Receipt:
        """Execute what a command has queued to follow at once, and what follows that; the receipt with theirs."""
        followed = tuple(self._run_all(receipt.follow_ups))
        return attrs.evolve(receipt, followed=followed) if followed else receipt

    def run(self, key: str) -> Receipt:
        """Execute what waits under this key, due or not; what became of it, if it waits no more.

        Raises:
            NotFound: nothing was ever queued under this key.
        """
        row = self._row(key)
        if row.state == "done":
            return self._execute(_command(row))
        if row.state == "waiting":
            return self._resume(row)
        ended = {"declined": Ended.DECLINED, "parked": Ended.UNAVAILABLE}.get(row.state, Ended.REFUSED)
        return Receipt(ended, row.key, row.machine, row.entity, row.command, why=row.why or "", replayed=True)

    def waiting(self, machine: str | None = None, id: str | None = None) -> list[QueuedCommand]:
        """What waits, the longest waiting first; of one machine or one entity if named. A look, nothing is run."""
        with self._store.reading() as reading:
            rows = reading.queue(state="waiting")
        return [
            QueuedCommand(row.key, row.machine, row.entity, row.command, datetime.fromisoformat(row.due), row.attempts,
                          row.why or "", row.cause)
            for row in rows if machine in (None, row.machine) and id in (None, row.entity)
        ]  # fmt: skip

    def withdraw(self, key: str, *, by: str, reason: str) -> QueueRow:
        """Call off a command that waits for its time. Saying it again later, with its key and a time, queues it anew.

        Raises:
            Invalid: nothing waits under this key; it follows another command; or `by` or `reason` is missing.
        """
        by_hand.named(by, reason)
        withdrawn: QueueRow = self._change(key, partial(queue_rows.withdraw, key=key, by=by, reason=reason))
        return withdrawn

    def reschedule(self, key: str, due: datetime, *, by: str, reason: str) -> QueueRow:
        """Give a command that waits another time.

        Raises:
            Invalid: as `withdraw`; or `due` is no datetime with a time zone.
        """
        by_hand.named(by, reason)
        moved: QueueRow = self._change(
            key, partial(queue_rows.reschedule, key=key, due=stamp(due), by=by, reason=reason)
        )
        return moved

    def retry(self, key: str, *, by: str, reason: str) -> Receipt:
        """A person has a command that was refused or parked tried again, now, and later as if it were new.

        Raises:
            NotFound: nothing was ever queued under this key.
            Invalid: it waits for nothing like this, or `by` or `reason` is missing.
        """
        by_hand.named(by, reason)
        return self._resume(self._change(key, partial(queue_rows.retry, key=key, by=by, reason=reason)))

    def dismiss(self, key: str, *, by: str, reason: str) -> QueueRow:
        """A person has seen a command that was refused, declined or parked: it is laid aside.

        Raises:
            NotFound: nothing was ever queued under this key.
            Invalid: it waits for nothing like this, or `by` or `reason` is missing.
        """
        by_hand.named(by, reason)
        dismissed: QueueRow = self._change(key, partial(queue_rows.dismiss, key=key, by=by, reason=reason))
        return dismissed

    def _change(self, key: str, do: Callable[..., object]) -> Any:
        return self._commits.one(_about(self._row(key), do))

    def _run_all(self, keys: Iterable[str]) -> Iterator[Receipt]:
        """Execute what waits under these keys. Each is followed by its follow-ups before the next begins."""
        for key in keys:
            receipt = self.run(key)
            yield receipt
            yield from self._run_all(receipt.follow_ups)

    def _resume(self, row: QueueRow) -> Receipt:
        try:
            receipt = self._execute(_command(row))
        except Invalid as error:
            receipt = Receipt(Ended.REFUSED, row.key, row.machine, row.entity, row.command, why=str(error))
        if receipt.result is Ended.REFUSED:
            self._commits.one(_about(row, partial(queue_rows.put_off, key=row.key, receipt=receipt)))
        return receipt

    def _row(self, key: str) -> QueueRow:
        row = None
        if isinstance(key, str) and key.isprintable():
            with self._store.reading() as reading:
                row = reading.queued([key]).get(key)
        if row is None:
            why = f"nothing is queued under the key {quoted(key)}; see tallystick stuck"
            raise NotFound("queued command", key, why=why)
        return row


def next_try(clock: Callable[[], datetime], random: Random, attempts: int, patient: bool) -> tuple[str, str]:
    """State and time of a queued command that was tried so often: the wait doubles, with jitter."""
    most, longest = (PATIENCE, PATIENT_WAIT) if patient else (ATTEMPTS, LONGEST_WAIT)
    wait = min(BACKOFF * 2 ** min(attempts - 1, 20), longest) * (0.5 + random.random() / 2)
    return "parked" if attempts >= most else "waiting", stamp(clock() + wait)


def _about(row: QueueRow, do: Callable[..., object]) -> Job:
    """A job about a queued command: its entity is locked."""
    return Job(do, [(row.machine, row.entity)], [row.key])


def _command(row: QueueRow) -> Command:
    return Command(row.machine, row.entity, row.command, kept(json.loads(row.args)), row.key, row.by, row.reason)
