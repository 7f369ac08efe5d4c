"""Leases: who may work on a card now, among any number of processes and machines.

A lease is a text that all processes on a store share. It names its holder, and the time until which it holds. It is
taken by putting a new text in place of the one that was read, so of two that want it one gets it. A holder that is
killed releases nothing; its leases run out. One that only slept finds out, because it asks inside the transaction in
which it executes: see `lost`. Many leases are one statement, as a worker takes hundreds at once.

Times are those of the holders' clocks. A clock that is wrong takes a lease too early or too late. That costs order or
time, and never money: nothing is done twice without any lease, because a key is done once. What was released has no
time, so a wrong clock holds up others only as long as its own work goes on; and a time that is further away than any
lease can last is none.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import attrs

from tallystick.engine.queue.drain import LeaseLost
from tallystick.store.protocol import Lookup, Store, Swap, Transaction
from tallystick.store.rows import encode

LEASE = "lease/"  # how the names of these texts begin
NOBODY = ""  # the holder of a lease that was released
LONGEST = 86_400.0  # seconds that a lease can last


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
        """Raises LeaseLost if somebody else has one of them: see `lost`."""
        if lost([self], books):
            raise LeaseLost(f"{self.names[0]} has gone to another worker; it does what is left to do")

    @property
    def text(self) -> str:
        """What the text of each of these leases says."""
        return _text(_Held(self.holder, self.until))


def lost(claims: Sequence[Claim], books: Lookup) -> set[int]:
    """Which of these claims others have taken over. Asked inside a transaction, after the entities were locked.

    Whoever takes a lease after this look has to wait for those locks before it can execute anything.
    """
    texts = books.texts([name for claim in claims for name in claim.names])
    return {
        number for number, claim in enumerate(claims)
        if any(_read(texts.get(name)).holder != claim.holder for name in claim.names)
    }  # fmt: skip


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
            texts = transaction.texts([name for claim, _ in claims for name in claim.names])
            held, left = {name for name, text in texts.items() if 0 < _read(text).until - now <= LONGEST}, most
            free: dict[int, Claim] = {}
            for number, (claim, size) in enumerate(claims):
                if left > 0 and held.isdisjoint(claim.names):
                    free[number] = claim
                    held |= set(claim.names)
                    left -= size
            done = transaction.swap_all([
                Swap(name, texts.get(name), claim.text, claim.until) for claim in free.values() for name in claim.names
            ])  # fmt: skip
            clashed = {number: claim for number, claim in free.items() if not done.issuperset(claim.names)}
            transaction.swap_all([  # somebody was faster
                Swap(name, claim.text, texts.get(name) or _text(_FREE), now)
                for claim in clashed.values() for name in claim.names if name in done
            ])  # fmt: skip
            return {number: claim for number, claim in free.items() if number not in clashed}

        return self.store.run(job)

    def renew(self, claim: Claim) -> None:
        """Hold a claim for a full time from now on, once less than half of it is left. Raises LeaseLost."""
        now = self.clock().timestamp()
        if claim.until - now > self.seconds / 2:
            return
        until = now + self.seconds
        later = attrs.evolve(claim, until=until).text

        def job(transaction: Transaction) -> None:
            done = transaction.swap_all([Swap(name, claim.text, later, until) for name in claim.names])
            if gone := sorted(set(claim.names) - done):
                raise LeaseLost(f"{gone[0]} has gone to another worker")

        self.store.run(job)
        claim.until = until

    def release(self, claims: Sequence[Claim], hold_off: Mapping[str, float] | None = None) -> None:
        """Let others have these at once; some names only after so many seconds. What is lost already is no matter."""
        now = self.clock().timestamp()
        later = {name: now + seconds for name, seconds in (hold_off or {}).items()}
        self.store.run(lambda transaction: transaction.swap_all([
            Swap(name, claim.text, _text(_Held(NOBODY, later.get(name, 0))), later.get(name, now))
            for claim in claims for name in claim.names
        ]))  # fmt: skip

    def _holder(self) -> str:
        return f"{self.worker}/{uuid.uuid4().hex[:12]}"


_FREE = _Held(NOBODY, 0)


def _read(text: str | None) -> _Held:
    return _Held(**json.loads(text)) if text is not None else _FREE


def _text(held: _Held) -> str:
    return encode(held._asdict())
