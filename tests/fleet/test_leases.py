"""Leases: of any number who want one, one has it, until it releases it or its time is over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import attrs
import pytest

from fleet_world import NOON
from postgres_books import postgres_store
from tallystick.engine.queue.drain import LeaseLost
from tallystick.fleet.leases import Claim, Leases
from tallystick.store.memory import MemoryStore
from tallystick.store.protocol import Store
from tallystick.store.sqlite import SqliteStore
from tallystick.testing.contracts.changes import MACHINES, at_once

STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda folder: MemoryStore(),
    "sqlite": lambda folder: SqliteStore(folder / "books.db"),
    "postgres": lambda folder: postgres_store(),
}


@attrs.define
class Clock:
    seconds: float = 0.0

    def __call__(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=STORES)
def leases(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Leases]:
    store = STORES[request.param](tmp_path)
    store.machines(MACHINES)
    yield Leases(store, clock, 10.0, "w")
    store.close()


def one(leases: Leases, *names: str) -> Claim | None:
    return leases.take([(names, 1)], 1).get(0)


def holds(leases: Leases, claim: Claim) -> bool:
    try:
        with leases.store.reading() as reading:
            claim.guard(reading)
    except LeaseLost:
        return False
    return True


def test_a_lease_has_one_holder_until_it_is_released(leases: Leases) -> None:
    claim = one(leases, "x")
    assert claim is not None
    assert holds(leases, claim)
    assert one(leases, "x") is None
    leases.release([claim])
    assert not holds(leases, claim)
    again = one(leases, "x")
    assert again is not None
    assert again.holder != claim.holder
    leases.release([claim])
    assert holds(leases, again), "who has lost it cannot release it"


def test_a_group_is_taken_whole_or_not_at_all(leases: Leases) -> None:
    assert one(leases, "b") is not None
    assert one(leases, "a", "b", "c") is None
    assert one(leases, "a", "c") is not None


def test_groups_are_taken_in_turn_until_it_is_enough(leases: Leases) -> None:
    assert one(leases, "b") is not None
    wanted = [(["a"], 3), (["b"], 3), (["c"], 3), (["d"], 3)]
    assert sorted(leases.take(wanted, 4)) == [0, 2]
    assert sorted(leases.take(wanted, 99)) == [3]


def test_a_lease_runs_out_and_goes_to_another(leases: Leases, clock: Clock) -> None:
    claim = one(leases, "x")
    assert claim is not None
    clock.seconds = 9.9
    assert one(leases, "x") is None
    clock.seconds = 10.0
    assert holds(leases, claim), "as long as nobody else wants it"
    other = one(leases, "x")
    assert other is not None
    assert not holds(leases, claim)
    with pytest.raises(LeaseLost, match="x has gone to another worker"):
        leases.renew(claim)
    assert holds(leases, other)


def test_it_is_renewed_once_half_of_its_time_is_over(leases: Leases, clock: Clock) -> None:
    claim = one(leases, "x", "y")
    assert claim is not None
    clock.seconds = 4.0
    leases.renew(claim)
    assert claim.until == NOON.timestamp() + 10
    clock.seconds = 6.0
    leases.renew(claim)
    clock.seconds = 15.0
    assert holds(leases, claim)
    assert one(leases, "y") is None
    clock.seconds = 16.0
    assert one(leases, "y") is not None


def test_it_may_be_held_off_for_a_while(leases: Leases, clock: Clock) -> None:
    claim = one(leases, "x", "y")
    assert claim is not None
    leases.release([claim], {"y": 30.0})
    assert one(leases, "y") is None
    assert one(leases, "x") is not None
    clock.seconds = 30.0
    assert one(leases, "y") is not None


def test_a_clock_that_is_wrong_holds_up_others_only_while_its_holder_works(leases: Leases, clock: Clock) -> None:
    """A machine an hour ahead takes a card and releases it. For the others it is free, and not in an hour only."""
    clock.seconds = 3600.0
    ahead = one(leases, "x")
    assert ahead is not None
    clock.seconds = 0.0
    assert one(leases, "x") is None
    clock.seconds = 3600.0
    leases.release([ahead])
    clock.seconds = 0.0
    assert one(leases, "x") is not None


def test_a_time_that_no_lease_can_have_is_none(leases: Leases, clock: Clock) -> None:
    """A machine that was killed had its clock years ahead; its cards must not wait for years."""
    clock.seconds = 3 * 365 * 86_400.0
    killed = one(leases, "x")
    assert killed is not None
    clock.seconds = 0.0
    claim = one(leases, "x")
    assert claim is not None
    assert not holds(leases, killed)
    assert holds(leases, claim)


def test_two_workers_of_one_name_have_leases_of_their_own(leases: Leases) -> None:
    twin = attrs.evolve(leases)
    mine = one(leases, "x")
    assert mine is not None
    assert one(twin, "x") is None
    twin.release([attrs.evolve(mine, holder=f"{twin.worker}/another")])
    assert holds(leases, mine)


def test_what_nobody_holds_is_forgotten(leases: Leases, clock: Clock) -> None:
    claim, kept = one(leases, "x"), one(leases, "y")
    assert claim is not None
    assert kept is not None
    leases.release([claim])
    leases.store.forget(NOON.timestamp() + 5)
    assert (leases.store.load("x"), holds(leases, kept)) == (None, True)
    leases.store.forget(NOON.timestamp() + 11)
    assert not holds(leases, kept), "its time is over, and the text that says so is gone"


def test_of_many_that_want_the_same_each_lease_has_one_holder(leases: Leases) -> None:
    names, held, lock, clashes = [f"n{number}" for number in range(5)], set[str](), threading.Lock(), list[str]()

    def work(number: int) -> None:
        for turn in range(12):
            mine = [names[(number + turn) % 5], names[(number * 2 + turn + 1) % 5]]
            for claim in leases.take([(set(mine), 1), ([names[turn % 5]], 1)], 2).values():
                with lock:
                    clashes.extend(set(claim.names) & held)
                    held.update(claim.names)
                assert holds(leases, claim)
                with lock:
                    held.difference_update(claim.names)
                leases.release([claim])

    at_once([lambda number=number: work(number) for number in range(6)])  # type: ignore[misc]
    assert clashes == []
