"""A worker: it does what is due and ends what is in doubt, beside any number of others on the same books.

    look       what is due, in groups; those are left out that wait for an answer
    take       leases on some groups, chosen by chance: workers that look at the same time do not want the same ones
    drain      the group's commands in the order of their times, each guarded by the lease
    release    and look again

With a local provider many groups are drained in one transaction. With a remote one each thread drains one group at a
time, for most of the time goes by while the provider answers. A worker that is killed loses its leases when they run
out, and others do what is left. One that is told to stop ends the command that it has begun, and releases them.

`drain` and `recover` are also what anybody else calls who has a scheduler: cron, Celery, Procrastinate. Said again, or
twice at the same time, they do nothing twice.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from random import Random

import attrs

from tallystick.engine import owner
from tallystick.engine.engine import BATCH, GRACE, Engine
from tallystick.engine.queue.batch import ONE_TRANSACTION
from tallystick.engine.queue.drain import Group, LeaseLost
from tallystick.engine.queue.parts import BRIEFLY, in_parts, in_turn, is_away
from tallystick.engine.queue.roots import Root, roots
from tallystick.engine.queue.threads import thread_count
from tallystick.engine.receipt import Ended, Receipt
from tallystick.engine.sums import keep_up
from tallystick.errors import Invalid, StoreBusy, StoreError
from tallystick.fleet.leases import LEASE, LONGEST, Claim, Leases, lost
from tallystick.store.rows import CallRow, is_changed, stamp

LOG = logging.getLogger("tallystick.fleet")

SECONDS = 60.0  # of a lease: longer than a provider takes to answer, so that a long call does not lose it
PATIENCE = 1.0  # seconds that hundreds of groups wait for a lock: they keep all that they have locked meanwhile
BUSY_HOLD_OFF = 10.0  # seconds after which a card is tried again that somebody else had locked
PAUSE = 1.0  # seconds between two looks when nothing is to be done
PAGE = 1000  # due commands in a first look; it doubles while all of their cards are being worked on
LONGEST_LOOK = 64_000  # due commands: beyond that the first ones come first
ONE_GROUP = 100  # commands of one group in a row; then another card has a chance
LONGEST_HOLD_OFF = timedelta(hours=1)  # between two look-ups of a call that waits for a person
FORGET_EVERY = SUMS_EVERY = 60.0  # seconds

Until = Callable[[], bool]  # whether whoever called wants the rest left undone


def _never() -> bool:
    return False


@attrs.define
class Counts:
    """What a worker has done since it started."""

    commands: Counter[str] = attrs.field(factory=Counter)  # executed, by result
    recovered: Counter[str] = attrs.field(factory=Counter)  # calls looked up, by result
    errors: int = 0  # what nobody expected; it is in the log
    leases: int = 0  # held now
    looked: float = attrs.field(factory=time.monotonic)  # when some thread last looked for work, or did some


class Worker:
    """Drains the queue and recovers calls, on books that other workers share. Thread-safe."""

    def __init__(
        self, engine: Engine, *, workers: int = 1, lease: float = SECONDS, grace: timedelta = GRACE,
        pause: float = PAUSE, name: str | None = None, random: Random | None = None,
    ) -> None:  # fmt: skip
        """`workers`: threads of `run`, if the provider is a remote one. `lease` and `pause`: seconds.

        Raises:
            Invalid: one of these cannot be.   StoreError: the books are another provider's.
        """
        self._threads = thread_count(workers, engine.provider)
        if not 0 < lease <= LONGEST:
            raise Invalid(f"lease is a number of seconds from more than 0 to 86,400, not {lease!r:.60}")
        owner.check(engine.store, engine.provider)
        self.engine, self.counts = engine, Counts()
        self.name = name or f"{socket.gethostname()}/{os.getpid()}"
        self._leases = Leases(engine.store, engine.now, lease, self.name)
        self._grace, self._pause = grace, pause
        self._random = random or Random()  # noqa: S311  # it only spreads workers over cards
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._forgot = time.monotonic()
        self._said: set[str] = set()  # calls that this process cannot read

    # What is due

    def drain(self, limit: int = BATCH, *, until: Until = _never) -> list[Receipt]:
        """Do what is due and nobody else is doing, up to about `limit` commands; what follows at once comes on top.

        `until` is asked between two commands, or two transactions of many. Once it says yes, nothing more is begun.

        Raises:
            StoreError: the database is away or busy. What was done before is done.
        """
        return self._drained(limit, self.engine.drain.due, until)

    def drain_about(self, machine: str, id: str, limit: int = BATCH, *, until: Until = _never) -> list[Receipt]:
        """Do what is due about one entity and all that hangs together with it: a card, or a payment, and its card's."""
        return self._drained(limit, lambda size: (self.engine.drain.about((machine, id)), True), until)

    def _drained(self, limit: int, look: Callable[[int], tuple[list[Group], bool]], until: Until) -> list[Receipt]:
        receipts: list[Receipt] = []
        while len(receipts) < limit and not self._ends(until):
            claimed = self._claimed(limit - len(receipts), look)
            if not claimed:
                break
            receipts += self._done(claimed, until)
        return receipts

    def _ends(self, until: Until) -> bool:
        return self._stop.is_set() or until()

    def _claimed(
        self, limit: int, look: Callable[[int], tuple[list[Group], bool]]
    ) -> list[tuple[Sequence[str], Claim]]:
        """The keys of some groups that are free, with the leases on them; the longest waiting cards are among them."""
        self.counts.looked = time.monotonic()
        most, size = min(limit, ONE_TRANSACTION if self.engine.provider.local else 1), PAGE
        while True:
            groups, complete = look(size)
            wanted = [(group.keys[: min(ONE_GROUP, limit)], _names(group.roots)) for group in groups if not group.waits]
            self._random.shuffle(wanted)
            claims = self._leases.take([(names, len(keys)) for keys, names in wanted], most) if wanted else {}
            if claims or complete or size >= LONGEST_LOOK:
                with self._lock:
                    self.counts.leases += len(claims)
                return list(_cut(((wanted[number][0], claim) for number, claim in claims.items()), limit))
            size *= 2

    def _done(self, claimed: Sequence[tuple[Sequence[str], Claim]], until: Until = _never) -> list[Receipt]:
        if self.engine.provider.local:
            receipts = self._together(claimed)
        else:
            receipts = [receipt for keys, claim in claimed for receipt in self._one_by_one(keys, claim, until)]
        self._count(self.counts.commands, receipts)
        for each in receipts:
            if not each.applied:
                said = {
                    "key": each.key,
                    "machine": each.machine,
                    "id": each.id,
                    "command": each.command,
                    "why": each.why,
                }
                LOG.warning("command not done", extra={"result": each.result.value, **said})
        LOG.info("drained", extra={"groups": len(claimed), "commands": len(receipts)})
        return receipts

    def _together(self, claimed: Sequence[tuple[Sequence[str], Claim]]) -> list[Receipt]:
        """In one transaction; in smaller parts, where a card is busy or a group is at fault."""
        receipts: list[Receipt] = []
        left = {claim.holder: claim for _, claim in claimed}
        try:
            for part, found in in_parts(claimed, self._part, self._is_away, PATIENCE):
                if isinstance(found, Exception) and not isinstance(found, StoreBusy):  # it is alone
                    found = self._up_to_the_fault(*part[0], receipts)
                claims = [left.pop(claim.holder) for _, claim in part]
                if isinstance(found, Exception):
                    self._failed(claims, found)
                else:
                    self._release(claims)
                    receipts += _flat(found)
        except StoreError as error:
            self._release([*left.values()])
            if not receipts:
                raise
            LOG.warning("away", extra={"why": str(error)})  # what was done is counted; the next look says it again
        return receipts

    def _part(
        self, part: Sequence[tuple[Sequence[str], Claim]], patience: float | None
    ) -> list[list[Receipt] | LeaseLost]:
        claims = [claim for _, claim in part]
        return self.engine.drain.together([keys for keys, _ in part], partial(lost, claims), patience)

    def _up_to_the_fault(
        self, keys: Sequence[str], claim: Claim, receipts: list[Receipt]
    ) -> Exception | list[list[Receipt] | LeaseLost]:
        """Do what comes before the command at fault; gives the fault, if it is there still."""
        _, error = in_turn(
            keys, lambda key: receipts.extend(_flat(self._part([([key], claim)], BRIEFLY))), self._is_away
        )
        return [] if error is None else error

    def _busy(self, claims: Sequence[Claim], error: StoreBusy) -> None:
        """Somebody else has locked what these want. A single one is tried again after a while, the others at once."""
        names = [name for claim in claims for name in claim.names]
        self._release(claims, dict.fromkeys(names, BUSY_HOLD_OFF) if len(claims) == 1 else None)
        LOG.warning("busy", extra={"leases": names[:5], "why": str(error)})

    def _one_by_one(self, keys: Sequence[str], claim: Claim, until: Until) -> list[Receipt]:
        receipts: list[Receipt] = []
        try:
            for receipt in self.engine.drain.one_by_one(keys, claim.guard):
                receipts.append(receipt)
                self.counts.looked = time.monotonic()
                if self._ends(until):
                    break
                self._leases.renew(claim)
        except LeaseLost as lost:
            LOG.info("lease lost", extra={"why": str(lost)})
        except Exception as error:  # noqa: BLE001  # logged; the others go on
            if not receipts or not self._is_away(error):  # with receipts, the next look says that it is away
                self._failed([claim], error)
                return receipts
        self._release([claim])
        return receipts

    def _count(self, kind: Counter[str], receipts: Sequence[Receipt]) -> None:
        with self._lock:
            kind.update(each.result.value for each in receipts)
            self.counts.looked = time.monotonic()

    # What is in doubt

    def recover(self, *, until: Until = _never) -> list[Receipt]:
        """End calls that were sent more than the grace ago, as far as the provider's own record allows.

        A call that stays open is looked up again after as long as it was asked for, and at least once an hour. `until`
        is asked between two calls.

        Raises:
            StoreError: the database is away or busy. What was done before is done.
        """
        engine = self.engine
        if engine.provider.local:  # it answers at once: no call of its own is ever open
            return []
        before = stamp(engine.now() - self._grace)
        with engine.store.reading() as reading:
            rows = [row for row in reading.calls(asked_before=before) if not is_changed(row)]  # those are a person's
        if rows:
            owner.check(engine.store, engine.provider)
        self._random.shuffle(rows)
        receipts = [receipt for row in rows if not self._ends(until) for receipt in self._recovered(row, before)]
        self._count(self.counts.recovered, receipts)
        return receipts

    def _recovered(self, row: CallRow, before: str) -> list[Receipt]:
        engine, name = self.engine, f"{LEASE}call/{row.id}"
        try:
            with engine.store.reading() as reading:
                found = roots(reading.look(row.refs).entities, engine.machines)
        except StoreError as error:  # of a newer page: another worker knows it
            if self._is_away(error):
                raise
            if row.id not in self._said:
                LOG.warning("call left alone", extra={"call": row.id, "why": str(error)})
                self._said.add(row.id)
            return []
        names = {*_names(root for ref in row.refs for root in found[ref]), name}
        claim = self._leases.take([(names, 1)], 1).get(0)
        if claim is None:
            return []
        with self._lock:
            self.counts.leases += 1
        hold_off: dict[str, float] = {}
        try:
            with engine.store.reading() as reading:
                there = reading.call(row.id)
            receipts = []
            if there is not None and there.state == "open" and there.asked < before:
                receipts.append(engine.recover_one(there))
                self.counts.looked = time.monotonic()
                if receipts[0].result in (Ended.IN_DOUBT, Ended.PENDING):
                    hold_off[name] = self._until_next_look(there.id)
        except Exception as error:  # noqa: BLE001  # logged; the other calls go on
            self._failed([claim], error)
            return []
        self._release([claim], hold_off)
        LOG.info("recovered", extra={"call": row.id, "results": [each.result.value for each in receipts]})
        return receipts

    def _until_next_look(self, id: str) -> float:
        """Seconds: as long as the call has been asked for, and twice as long each time that it was sent again."""
        with self.engine.store.reading() as reading:
            row = reading.call(id)
        assert row is not None
        age, sent = self.engine.now() - datetime.fromisoformat(row.asked), min(row.attempts - 1, 20)
        wait: timedelta = min(max(age, self._grace * 2**sent), LONGEST_HOLD_OFF)
        return wait.total_seconds()

    # Leases

    def _release(self, claims: Sequence[Claim], hold_off: Mapping[str, float] | None = None) -> None:
        with self._lock:
            self.counts.leases -= len(claims)
        with suppress(StoreError):  # then they run out
            self._leases.release(claims, hold_off)

    def _failed(self, claims: Sequence[Claim], error: Exception) -> None:
        """What nobody expected. Its leases are kept, so that nobody runs into the same at once; then they run out.

        A card that is busy is no fault: see `_busy`.

        Raises:
            StoreError: the database is away. That is no group's fault, and its leases are released.
        """
        if self._is_away(error):
            self._release(claims)
            raise error
        if isinstance(error, StoreBusy):
            self._busy(claims, error)
            return
        with self._lock:
            self.counts.leases -= len(claims)
            self.counts.errors += 1
        LOG.error("failed", extra={"leases": [name for claim in claims[:5] for name in claim.names]}, exc_info=error)

    def _is_away(self, error: Exception) -> bool:
        """Whether the database does not answer: then no group would have fared better."""
        return is_away(self.engine.store, error)

    # On and on

    def run(self) -> None:
        """Drain and recover until `stop` is called, from a signal handler or another thread."""
        loops = [threading.Thread(target=self._loop, name=f"worker-{number}") for number in range(self._threads)]
        loops.append(threading.Thread(target=self._keep_sums, name="worker-sums"))
        LOG.info("started", extra={"worker": self.name, "threads": self._threads})
        for each in loops:
            each.start()
        while any(each.is_alive() for each in loops):
            for each in loops:
                each.join(0.2)  # a signal's handler runs in this thread
        LOG.info("stopped", extra={"worker": self.name, "commands": self.counts.commands.total()})

    def stop(self) -> None:
        """End what is begun, release all leases, and begin nothing more."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    def _loop(self) -> None:
        while not self._stop.is_set():
            wait = self._pause
            try:
                if [*self.drain(ONE_TRANSACTION), *self.recover()]:
                    wait = 0
                self._forget()
            except Exception as error:  # the store is away, or nobody expected it: it is tried again
                with self._lock:
                    self.counts.errors += 1
                LOG.error("failed", exc_info=error)
                wait = max(self._pause, PAUSE)
            if wait:
                self._stop.wait(wait * (0.5 + self._random.random()))

    def _keep_sums(self) -> None:
        """What reports of large books are made of. The first count takes minutes, and nobody waits for it."""
        while not self._stop.wait(SUMS_EVERY * (0.5 + self._random.random())):
            keep_up(self.engine.store, self.engine.machines, until=self._stop.is_set)

    def _forget(self) -> None:
        """Drop texts whose time is over, such as leases that nobody has taken again."""
        with self._lock:
            due, now = time.monotonic() - self._forgot > FORGET_EVERY, time.monotonic()
            self._forgot = now if due else self._forgot
        if due:
            self.engine.store.forget(self.engine.now().timestamp())


def _cut(claimed: Iterable[tuple[Sequence[str], Claim]], limit: int) -> Iterator[tuple[Sequence[str], Claim]]:
    """No more keys than `limit` in all."""
    for keys, claim in claimed:
        yield keys[:limit], claim
        limit -= min(limit, len(keys))


def _flat(found: Iterable[list[Receipt] | LeaseLost]) -> Iterator[Receipt]:
    return (each for group in found if not isinstance(group, LeaseLost) for each in group)


def _names(roots: Iterable[Root]) -> set[str]:
    """The names of the leases on these roots. A card number stands in none of them."""
    return {LEASE + "/".join(root) if len(root) == 2 else f"{LEASE}{root[0]}#{_digest(root[-1])}" for root in roots}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
