"""A shared bucket costs few commits, and its limit stands for all who share it, also where one of them dies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tallystick
from clutch_world import settings_of
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.request_limits import Bucket, LeakyBucket, MemoryCell
from tallystick.clutch.sandbox import Sandbox
from tallystick.clutch.transport import InProcess


class Counted(MemoryCell[Bucket]):
    """A cell that counts what a store would have to commit."""

    def __init__(self) -> None:
        super().__init__(Bucket())
        self.commits = 0

    def swap(self, old: Bucket, new: Bucket) -> bool:
        self.commits += 1
        return super().swap(old, new)


class Fleet:
    """Processes that share a bucket, each with `turn` at a moment."""

    def __init__(self, rate: float, burst: int, size: int) -> None:
        self.now, self.cell = 1000.0, Counted()
        self.buckets = [self.started(rate, burst) for _ in range(size)]
        self.sent: list[float] = []

    def started(self, rate: float, burst: int) -> LeakyBucket:
        return LeakyBucket(rate, burst, cell=self.cell, clock=lambda: self.now)

    def ask(self, which: int, longest: float = 5.0) -> float | None:
        wait = self.buckets[which % len(self.buckets)].turn(longest)
        if wait is not None:
            self.sent.append(self.now + wait)
        return wait


@pytest.mark.parametrize(("rate", "burst"), [(10.0, 20), (100.0, 250), (50.0, 51)])
@pytest.mark.parametrize("processes", [1, 3])
def test_a_busy_process_commits_once_a_second(rate: float, burst: int, processes: int) -> None:
    fleet = Fleet(rate, burst, processes)
    seconds = 30
    for count in range(int(rate * seconds * 0.8)):
        fleet.now = 1000.0 + count / (rate * 0.8)
        fleet.ask(count)
    assert len(fleet.sent) > rate * seconds * 0.75, "nearly all of what is allowed goes through"
    growing = 4  # portions of 1, 4, 16, 64: how much a process needs shows only then
    assert fleet.cell.commits <= processes * (seconds + growing)


def test_one_that_asks_seldom_takes_little() -> None:
    fleet = Fleet(10.0, 20, 2)
    for _ in range(40):
        fleet.ask(0)
    for _ in range(20):
        fleet.now += 2.0
        fleet.ask(1)
    assert fleet.cell.commits < 40
    assert all(fleet.ask(0, longest=1.5) is not None for _ in range(10))


MOMENTS = st.lists(
    st.tuples(st.floats(0, 3), st.integers(0, 3), st.sampled_from(["ask"] * 8 + ["die", "full"])), max_size=80
)


@given(st.sampled_from([(10.0, 20), (4.0, 9), (20.0, 5), (3.0, 1), (1.0, 3), (0.5, 4)]), st.integers(1, 4), MOMENTS)
def test_never_is_more_sent_than_one_bucket_would_let_through(
    limit: tuple[float, int], size: int, moments: Sequence[tuple[float, int, str]]
) -> None:
    rate, burst = limit
    fleet = Fleet(rate, burst, size)
    for pause, times, what in moments:
        fleet.now += pause if pause > 0.5 else 0.0
        if what == "die":  # its portion is lost
            fleet.buckets[times % size] = fleet.started(rate, burst)
        elif what == "full":
            fleet.buckets[times % size].fill()
        for _ in range(3 * times):
            fleet.ask(times)
    sent = sorted(fleet.sent)
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            assert last - first + 1 <= burst + rate * (sent[last] - sent[first]) + 1e-6


def test_a_clock_that_is_set_back_stops_nobody_for_long() -> None:
    fleet = Fleet(10.0, 20, 1)
    for _ in range(6):
        fleet.ask(0)
    fleet.now -= 3600.0
    assert fleet.ask(0) is not None


def test_the_store_is_asked_once_a_second(tmp_path: Path) -> None:
    now = [1_800_000_000.0]
    with Sandbox(card_sets={"GIFT": 5}, seed=1) as sandbox:
        from datetime import datetime, timezone

        clock = lambda: datetime.fromtimestamp(now[0], timezone.utc)  # noqa: E731
        settings = settings_of(sandbox, card_sets={"gift": "GIFT"}, rate=100.0, burst=250)
        provider = ClutchProvider(settings, InProcess(sandbox), clock=clock, sleep=lambda _: None)
        with tallystick.open(f"sqlite:///{tmp_path / 'books.db'}", provider=provider) as books:
            swaps: list[str] = []
            swap = books.engine.store.swap
            books.engine.store.swap = lambda *args, **more: swaps.append("") or swap(*args, **more)  # type: ignore[method-assign,assignment,func-returns-value]
            books.sell_electronic("c", "50.00", "USD", order="o", key="sale")
            for count in range(60):
                now[0] += 0.05
                assert books.reload("c", "1.00", key=f"r{count}").applied
    assert len(swaps) <= 3 + 6 + 3, "in 3 seconds: one in each, a few until it is known how many are needed"
