"""The queue: commands that wait for their time, for the command that they follow, or for their next try.

A queued command is executed like any other, with its key. What this does to the queue is written in the same
transaction. A refusal writes nothing. So after a refusal the command is put off, or given up, in a transaction of its
own.

Several threads may do what is due, because most of the time goes by while a remote provider answers. What is about one
card is a group, and one thread does it from its first thing to its last. Other cards go on side by side.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, TypeVar

import attrs

from tallystick.core.entity import Ref
from tallystick.definition.machine import Machines
from tallystick.engine.calls import by_hand
from tallystick.engine.group_commit import GroupCommit
from tallystick.engine.queue import rows as queue_rows
from tallystick.engine.queue.declared_order import in_declared_order
from tallystick.engine.receipt import Command, Ended, Receipt, Secrets
from tallystick.engine.sealing import from_books
from tallystick.engine.unit_of_work import Job
from tallystick.errors import Invalid, NotFound
from tallystick.masks import quoted
from tallystick.provider.protocol import Provider
from tallystick.store.protocol import Reading, Store
from tallystick.store.rows import QueueRow, is_changed, stamp

Thing = TypeVar("Thing")
MOST = 256  # threads; no provider answers so many at once
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

    _machines: Machines
    _store: Store
    _commits: GroupCommit
    _execute: Callable[[Command], Receipt]
    _clock: Callable[[], datetime]

    def run_due(self, limit: int, workers: int = 1) -> list[Receipt]:
        """Execute commands whose time has come, each with what follows it at once, up to `limit` of them.

        With several `workers` commands of different cards run side by side; those of one card keep their order. What
        somebody has changed in the database is left alone, and its receipt says so.

        Raises:
            Invalid: `workers` is no sensible number.
        """
        receipts: list[Receipt] = []
        left_alone: dict[str, Receipt] = {}
        while len(receipts) < limit:
            with self._store.reading() as reading:
                due = reading.due(stamp(self._clock()), limit - len(receipts) + len(left_alone))
                causes = reading.keyed({row.cause for row in due if row.cause is not None})
                rows = in_declared_order(self._machines, causes, (row for row in due if row.key not in left_alone))
                left_alone |= {row.key: _changed(row) for row in rows if is_changed(row)}
                about = [(row.key, [(row.machine, row.entity)]) for row in rows if row.key not in left_alone]
                groups = grouped(reading, self._machines, about, workers)
            if not rows:
                break
            receipts += side_by_side([self._run_all(keys) for keys in groups], workers, limit - len(receipts))
        return [*receipts, *left_alone.values()]

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
        command = _command(row)
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

    def waiting(self, machine: str | None = None, id: str | None = None) -> list[QueuedCommand]:
        """What waits, the longest waiting first; of one machine or one entity if named. A look, nothing is run."""
        with self._store.reading() as reading:
            rows = reading.queue(state="waiting")
        return [
            QueuedCommand(row.key, row.machine, row.entity, row.command, datetime.fromisoformat(row.due), row.attempts,
                          queue_rows.CHANGED if is_changed(row) else row.why or "", row.cause)
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
        row: QueueRow = self._change(key, partial(queue_rows.retry, key=key, by=by, reason=reason))
        return self._resume(row, _command(row))

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


def next_try(clock: Callable[[], datetime], random: Random, attempts: int, patient: bool) -> tuple[str, str]:
    """State and time of a queued command that was tried so often: the wait doubles, with jitter."""
    most, longest = (PATIENCE, PATIENT_WAIT) if patient else (ATTEMPTS, LONGEST_WAIT)
    wait = min(BACKOFF * 2 ** min(attempts - 1, 20), longest) * (0.5 + random.random() / 2)
    return "parked" if attempts >= most else "waiting", stamp(clock() + wait)


def _about(row: QueueRow, do: Callable[..., object]) -> Job:
    """A job about a queued command: its entity is locked."""
    return Job(do, [(row.machine, row.entity)], [row.key])


def _command(row: QueueRow) -> Command:
    return Command(row.machine, row.entity, row.command, from_books(json.loads(row.args)), row.key, row.by, row.reason)


def _changed(row: QueueRow) -> Receipt:
    """The receipt of a command whose row somebody has changed in the database. Nothing is done with it."""
    why = f"{row.command} with the key {quoted(row.key)}: {queue_rows.CHANGED}"
    return Receipt(Ended.REFUSED, row.key, row.machine, row.entity, row.command, why=why)


# Several threads


def threads(workers: object, provider: Provider) -> int:
    """How many threads work: one alone, if the answers are our own books'. Raises Invalid."""
    if not isinstance(workers, int) or isinstance(workers, bool) or not 1 <= workers <= MOST:
        raise Invalid(f"workers is a whole number from 1 to {MOST}, not {workers!r:.60}")
    return 1 if provider.local else workers


def grouped(
    reading: Reading, machines: Machines, things: Iterable[tuple[Thing, Iterable[Ref]]], workers: int
) -> list[list[Thing]]:
    """Things by what they are about, each with the entities that it names. In a group they keep their order.

    Two are in one group if they share an entity, something that both link to, or a card number. For one worker they
    are one group.
    """
    if workers == 1:
        return [[thing for thing, _ in things]]
    parents: dict[Hashable, Hashable] = {}
    marked: list[tuple[Thing, Hashable]] = []
    for thing, refs in things:
        marks: list[Hashable] = []
        for ref, entity in reading.look(refs).entities.items():
            unique = entity.facts.get(machines[ref[0]].unique or "")
            marks += [ref, (ref[0], unique)] if unique is not None else [ref]
        for mark in marks:
            parents.setdefault(mark, mark)
            parents[_root(parents, mark)] = _root(parents, marks[0])
        marked.append((thing, marks[0]))
    groups: dict[Hashable, list[Thing]] = {}
    for thing, mark in marked:
        groups.setdefault(_root(parents, mark), []).append(thing)
    return list(groups.values())


def _root(parents: dict[Hashable, Hashable], mark: Hashable) -> Hashable:
    """The mark that stands for the whole group of a mark."""
    while parents[mark] != mark:
        parents[mark] = mark = parents[parents[mark]]
    return mark


def side_by_side(groups: Sequence[Iterator[Thing]], workers: int, limit: int | None = None) -> list[Thing]:
    """What the groups give, group by group, up to `limit` in all. Each is drawn from by one thread.

    If one of them raises, or this thread is told to stop, each thread ends what it has begun and begins nothing more.
    """
    budget, begun = _Budget(limit), threading.Event()

    def drawn(group: Iterator[Thing]) -> list[Thing]:
        while not begun.wait(timeout=1):  # a Ctrl-C in the middle of `set` may forget who waits
            pass
        try:
            return list(budget.draw(group))
        except BaseException:
            budget.stop()
            raise

    if workers == 1 or len(groups) < 2:
        begun.set()
        return [each for group in groups for each in drawn(group)]
    with ThreadPoolExecutor(min(workers, len(groups)), "tallystick") as pool:
        try:
            futures = [pool.submit(drawn, group) for group in groups]
            begun.set()  # not before all are known to the pool: it waits at the end for those that it knows
            failed, pending = list[Future[list[Thing]]](), set(futures)
            while pending and not failed:  # looked at each second: who waits for a lock may miss a Ctrl-C
                done, pending = wait(pending, timeout=1, return_when=FIRST_EXCEPTION)
                failed = [each for each in done if each.exception() is not None]
            return [each for future in failed or futures for each in future.result()]
        finally:
            budget.stop()
            begun.set()
            pool.shutdown(wait=False, cancel_futures=True)


class _Budget:
    """How many may still be drawn, in all threads together. None: as many as there are."""

    def __init__(self, limit: int | None) -> None:
        self._left = math.inf if limit is None else limit
        self._stopped, self._lock = False, threading.Lock()

    def stop(self) -> None:
        self._stopped = True

    def draw(self, group: Iterator[Thing]) -> Iterator[Thing]:
        """What a group gives, as long as there is budget for it."""
        while not self._stopped and self._take():
            try:
                thing = next(group)
            except StopIteration:
                with self._lock:
                    self._left += 1
                return
            yield thing

    def _take(self) -> bool:
        with self._lock:
            taken = self._left > 0
            self._left -= taken
            return taken
