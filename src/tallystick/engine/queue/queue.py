"""The queue: commands that wait for their time, for the command that they follow, or for their next try.

A queued command is executed like any other, with its key. What this does to the queue is written in the same
transaction. A refusal writes nothing. So after a refusal the command is put off, or given up, in a transaction of its
own.

Several threads may do what is due, because most of the time goes by while a remote provider answers. What is about one
card is a group, and one thread does it from its first item to its last. Other cards go on side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from random import Random
from typing import Any

import attrs

from tallystick.definition.machine import Machines
from tallystick.engine.calls import by_hand
from tallystick.engine.group_commit import GroupCommit
from tallystick.engine.queue import listing
from tallystick.engine.queue import rows as queue_rows
from tallystick.engine.queue.batch import ONE_TRANSACTION, Batch
from tallystick.engine.queue.declared_order import in_declared_order
from tallystick.engine.queue.parts import BRIEFLY, in_parts, in_turn, is_away, readable
from tallystick.engine.queue.roots import grouped
from tallystick.engine.queue.threads import run_in_threads
from tallystick.engine.receipt import Command, Ended, Receipt, Secrets
from tallystick.engine.unit_of_work import Job
from tallystick.errors import Invalid, NotFound, StoreBusy, StoreError
from tallystick.masks import quoted
from tallystick.store.protocol import Store
from tallystick.store.rows import QueueRow, is_changed, stamp

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
    due: datetime | None  # with a time zone; None: somebody has changed it in the database
    attempts: int
    why: str
    follows: str | None  # the key of the command that queued it; None: a caller gave it a time


@attrs.frozen(eq=False, repr=False)
class Queue:
    """Commands that wait. Thread-safe; any number of processes may run what is due."""

    _machines: Machines
    _store: Store
    _commits: GroupCommit
    _execute: Callable[[Command], Receipt]
    _batch: Batch
    _local: bool  # the provider is our own books, so many commands may be in one transaction
    _clock: Callable[[], datetime]

    def run_due(self, limit: int, workers: int = 1) -> list[Receipt]:
        """Execute commands whose time has come, each with what follows it at once, up to `limit` of them.

        With a local provider, hundreds of them are one transaction: after a crash none of these is done, or all. With
        several `workers` commands of different cards run side by side; those of one card keep their order. What
        somebody has changed in the database is left alone, and so is what this process cannot read, or what somebody
        else keeps locked. Its receipt says so.

        Raises:
            Invalid: `workers` is no sensible number.
            StoreError: the database is away; or it takes none of them, such as StoreBusy: all are locked.
        """
        receipts: list[Receipt] = []
        left_alone: dict[str, Receipt] = {}
        failures: list[StoreError] = []
        while len(receipts) < limit and len(failures) < limit:
            with self._store.reading() as reading:
                due = reading.due(stamp(self._clock()), limit - len(receipts) + len(left_alone))
                new = [row for row in due if row.key not in left_alone]
                left_alone |= {row.key: _changed(row) for row in new if is_changed(row)}
                whole = [row for row in new if row.key not in left_alone]
                _, why = readable(reading, self._machines, whole)
                left_alone |= {row.key: _not_done(row, why[row.key]) for row in whole if row.key in why}
                whole = [row for row in whole if row.key not in why]
                causes = reading.keyed({row.cause for row in whole if row.cause is not None})
                rows = in_declared_order(self._machines, causes, whole)
                about = [(row.key, [(row.machine, row.entity)]) for row in rows]
                groups = grouped(reading, self._machines, about, workers)
            if not new:
                break
            if not rows:
                continue
            left = limit - len(receipts)
            together, failed = self._together(rows, left) if self._local else ([], {})
            failures += failed.values()
            left_alone |= {row.key: _not_done(row, str(failed[row.key])) for row in rows if row.key in failed}
            if not together and not failed:
                together = run_in_threads([self._run_all(keys) for keys in groups], workers, left)
            receipts += together
        if failures and not receipts:
            raise failures[0]
        return [*receipts, *left_alone.values()]

    def _together(self, rows: Sequence[QueueRow], limit: int) -> tuple[list[Receipt], dict[str, StoreError]]:
        """Execute the first of these in one transaction; and by key, why some are left alone.

        If one of them is busy or at fault in the database, the others are done in smaller parts, and what is about one
        card stays together. Nothing is done if the program fails, or somebody was faster.
        """
        part = {row.key: row for row in rows[:ONE_TRANSACTION]}
        try:
            return self._executed(part, list(part), limit), {}
        except StoreError as error:
            if is_away(self._store, error):
                raise
        except Exception:  # noqa: BLE001  # one by one it is found which; those before it are done
            return [], {}
        with self._store.reading() as reading:
            groups = grouped(
                reading, self._machines, [(key, [(row.machine, row.entity)]) for key, row in part.items()], 2
            )
        receipts: list[Receipt] = []

        def do(some: Sequence[list[str]], patience: float | None) -> list[Receipt]:
            wanted = {key for keys in some for key in keys}
            most = limit - len(receipts)
            return self._executed(part, [key for key in part if key in wanted], most, patience) if most else []

        failed: dict[str, StoreError] = {}
        ends = partial(_ends, self._store)
        for some, done in in_parts(groups, do, ends, BRIEFLY):
            if isinstance(done, list):
                receipts.extend(done)
                continue
            left: Sequence[str] = [key for keys in some for key in keys]
            why: Exception | None = done
            if not isinstance(done, StoreBusy):  # what comes before the fault can be done
                left, why = in_turn(left, lambda key: receipts.extend(do([[key]], BRIEFLY)), ends)
            if isinstance(why, StoreError):
                failed |= dict.fromkeys(left, why)
        return receipts, failed

    def _executed(
        self, rows: dict[str, QueueRow], keys: Sequence[str], most: int, patience: float | None = None
    ) -> list[Receipt]:
        job = attrs.evolve(self._batch.job(rows, keys, most), patience=patience)
        receipts: list[Receipt] = self._commits.one(job)
        return receipts

    def follow(self, receipt: Receipt, secrets: Secrets | None = None) -> Receipt:
        """Execute what a command has queued to follow at once, and what follows that; the receipt with theirs.

        `secrets`: what nobody stores, and the follow-ups for these entities are given now.
        """
        followed = tuple(self._run_all(receipt.follow_ups, secrets))
        return attrs.evolve(receipt, followed=followed) if followed else receipt

    def run(self, key: str) -> Receipt:
        """Execute what waits under this key, due or not; what became of it, if it waits no more.

        Raises:
            NotFound: nothing was ever queued under this key.
        """
        return self._run(key, None)

    def _run(self, key: str, secrets: Secrets | None) -> Receipt:
        row = self._row(key)
        if is_changed(row):
            return _changed(row)
        command = queue_rows.command_of(row)
        given = (secrets or {}).get(row.entity)
        if given:  # what was written down now runs on the newest version; anything older may name what that has not
            takes = self._machines[row.machine].commands[row.command].arguments
            named = {name: value for name, value in given.items() if name in takes}
            command = attrs.evolve(command, args={**command.args, **named})
        if row.state == "done":
            return self._execute(command)
        if row.state == "waiting":
            return self._resume(row, command)
        ended = {"declined": Ended.DECLINED, "parked": Ended.UNAVAILABLE}.get(row.state, Ended.REFUSED)
        return Receipt(ended, row.key, row.machine, row.entity, row.command, why=row.why or "", replayed=True)

    def waiting(
        self, machine: str | None = None, id: str | None = None, *, command: str | None = None,
        until: datetime | None = None, after: str | None = None, limit: int | None = None,
    ) -> list[QueuedCommand]:  # fmt: skip
        """What waits, the longest waiting first. A look, nothing is run.

        Args:
            machine: only of this machine.   id: only of this entity of it.
            command: only this command.   until: only what has this time or an earlier one.
            after: only what comes after the one with this key, such as the last one of the page before.
            limit: so many at most. Without it, all are read: a card that expires waits for its date, too.

        Raises:
            NotFound: nothing was ever queued under the key `after`.   Invalid: `until` has no time zone.
        """
        end = None if until is None else stamp(until)
        with self._store.reading() as reading:
            rows = listing.waiting(self._machines, reading, machine, id, command=command, until=end, after=after)
            return [_said(row) for row in islice(rows, limit)]

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
        row: QueueRow = self._change(key, partial(queue_rows.retry, key=key, by=by, reason=reason))
        return self._resume(row, queue_rows.command_of(row))

    def dismiss(self, key: str, *, by: str, reason: str) -> QueueRow:
        """A person has seen a command that was refused, declined or parked, or changed in the database: laid aside.

        Raises:
            NotFound: nothing was ever queued under this key.
            Invalid: it waits for nothing like this, or `by` or `reason` is missing.
        """
        by_hand.named(by, reason)
        dismissed: QueueRow = self._change(key, partial(queue_rows.dismiss, key=key, by=by, reason=reason))
        return dismissed

    def _change(self, key: str, do: Callable[..., object]) -> Any:
        return self._commits.one(_about(self._row(key), do))

    def _run_all(self, keys: Iterable[str], secrets: Secrets | None = None) -> Iterator[Receipt]:
        """Execute what waits under these keys. Each is followed by its follow-ups before the next begins."""
        for key in keys:
            receipt = self._run(key, secrets)
            yield receipt
            yield from self._run_all(receipt.follow_ups)

    def _resume(self, row: QueueRow, command: Command) -> Receipt:
        try:
            receipt = self._execute(command)
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


def _said(row: QueueRow) -> QueuedCommand:
    due, why = (None, queue_rows.CHANGED) if is_changed(row) else (datetime.fromisoformat(row.due), row.why or "")
    return QueuedCommand(row.key, row.machine, row.entity, row.command, due, row.attempts, why, row.cause)


def next_try(clock: Callable[[], datetime], random: Random, attempts: int, patient: bool) -> tuple[str, str]:
    """State and time of a queued command that was tried so often: the wait doubles, with jitter."""
    most, longest = (PATIENCE, PATIENT_WAIT) if patient else (ATTEMPTS, LONGEST_WAIT)
    wait = min(BACKOFF * 2 ** min(attempts - 1, 20), longest) * (0.5 + random.random() / 2)
    return "parked" if attempts >= most else "waiting", stamp(clock() + wait)


def _ends(store: Store, error: Exception) -> bool:
    return not isinstance(error, StoreError) or is_away(store, error)


def _about(row: QueueRow, do: Callable[..., object]) -> Job:
    """A job about a queued command: its entity is locked. Of one that somebody has changed, nobody knows the entity."""
    return Job(do, [] if is_changed(row) else [(row.machine, row.entity)], [row.key])


def _changed(row: QueueRow) -> Receipt:
    """The receipt of a command whose row somebody has changed in the database. Nothing is done with it."""
    return _not_done(row, queue_rows.CHANGED)


def _not_done(row: QueueRow, why: str) -> Receipt:
    """The receipt of a command that is left alone, and waits as before."""
    why = f"{row.command} with the key {quoted(row.key)}: {why}"
    return Receipt(Ended.REFUSED, row.key, row.machine, row.entity, row.command, why=why)
