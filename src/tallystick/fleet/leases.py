"""Leases: who may work on a card now, among any number of processes and machines.

A lease is a text that all processes on a store share. It names its holder, and the time until which it holds. It is
taken by putting a new text in place of the one that was read, so of two that want it one gets it. A holder that is
killed releases nothing; its leases run out. One that only slept finds out, because it asks inside the transaction in
which it executes: see `guard`.

Times are those of the holders' clocks. A clock that is wrong takes a lease too early or too late. That costs order or
time, and never money: nothing is done twice without any lease, because a key is done once.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

import attrs

from tallystick.engine.queue.drain import LeaseLost
from tallystick.store.protocol import Lookup, Store, Transaction
from tallystick.store.rows import encode

LEASE = "lease/"  # how the names of these texts begin
NOBODY = ""  # the holder of a lease that was released


class _Held(NamedTuple):
    """What the text of a lease says."""

    holder: str  # of one claim; NOBODY once it is released
    until: float  # seconds since 1970


@attrs.define
class Claim:
    """Leases that were taken together: all of a group's."""

    holder: str  # nobody else has this name, not even a later claim of the same process
    names: tuple[str, ...]
    until: float  # seconds since 1970

    def guard(self, books: Lookup) -> None:
        """Asked inside a transaction, after the entities were locked. Raises LeaseLost.

        Whoever takes the lease after this look has to wait for those locks before it can execute anything.
        """
        for name in self.names:
            if _read(books.shared(name)).holder != self.holder:
                raise LeaseLost(f"{name} has gone to another worker; it does what is left to do")


@attrs.frozen
class Leases:
    """Takes, renews and releases leases. Thread-safe."""

    store: Store
    clock: Callable[[], datetime]
    seconds: float  # how long one holds if it is not renewed
    worker: str  # in the names of the holders, for people

    def take(self, wanted: Iterable[tuple[Iterable[str], int]], most: int) -> dict[int, Claim]:
        """Take leases in one transaction, group by group: all names of a group, or none.

        Each group comes with its size. Those that are free are taken in turn until their sizes come to `most`. Gives
        the claims by the numbers of their groups.
        """
        now = self.clock().timestamp()
        claims = [(Claim(self._holder(), tuple(sorted(names)), now + self.seconds), size) for names, size in wanted]

        def job(transaction: Transaction) -> dict[int, Claim]:
            free, left = list[int](), most
            for number, (claim, size) in enumerate(claims):
                if left > 0 and all(_read(transaction.shared(name)).until <= now for name in claim.names):
                    free.append(number)
                    left -= size
            # In one order, whatever order they were wanted in: two who take several wait for each other only one way.
            free.sort(key=lambda number: claims[number][0].names)
            return {number: claims[number][0] for number in free if _taken(transaction, claims[number][0], now)}

        return self.store.run(job)

    def renew(self, claim: Claim) -> None:
        """Hold a claim for a full time from now on, once less than half of it is left. Raises LeaseLost."""
        now = self.clock().timestamp()
        if claim.until - now > self.seconds / 2:
            return
        until = now + self.seconds
        self.store.run(lambda transaction: _written(transaction, claim, _Held(claim.holder, until), until))
        claim.until = until

    def release(self, claim: Claim, hold_off: Mapping[str, float] | None = None) -> None:
        """Let others have it at once; some names only after so many seconds. What is lost already is no matter."""
        now, later = self.clock().timestamp(), hold_off or {}

        def job(transaction: Transaction) -> None:
            for name in claim.names:
                text, until = transaction.shared(name), now + later.get(name, 0)
                if text is not None and _read(text).holder == claim.holder:
                    transaction.swap(name, text, _text(_Held(NOBODY, until)), until)

        self.store.run(job)

    def _holder(self) -> str:
        return f"{self.worker}/{uuid.uuid4().hex[:12]}"


_FREE = _Held(NOBODY, 0)


def _taken(transaction: Transaction, claim: Claim, now: float) -> bool:
    """Take all leases of a claim, unless somebody else holds one of them."""
    texts = [transaction.shared(name) for name in claim.names]
    if any(_read(text).until > now for text in texts):
        return False
    mine = _text(_Held(claim.holder, claim.until))
    for number, (name, text) in enumerate(zip(claim.names, texts, strict=True)):
        if not transaction.swap(name, text, mine, claim.until):  # somebody was faster
            for taken, before in list(zip(claim.names, texts, strict=True))[:number]:
                transaction.swap(taken, mine, before or _text(_FREE), now)
            return False
    return True


def _written(transaction: Transaction, claim: Claim, held: _Held, until: float) -> None:
    for name in claim.names:
        text = transaction.shared(name)
        if text is None or _read(text).holder != claim.holder or not transaction.swap(name, text, _text(held), until):
            raise LeaseLost(f"{name} has gone to another worker")


def _read(text: str | None) -> _Held:
    return _Held(**json.loads(text)) if text is not None else _FREE


def _text(held: _Held) -> str:
    return encode(held._asdict())
