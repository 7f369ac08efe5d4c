"""Several workers: commands of one card keep their order, other cards go on beside it, and nothing is done twice."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tallystick.books.books import Books
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.queue.roots import grouped
from tallystick.engine.queue.threads import run_in_threads
from tallystick.errors import Invalid
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Call, NotSeen, Outcome, Result
from tallystick.store.open import open_store

MACHINES = reader.load()
NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)
CARDS = 6


class Meeting:
    """A provider that remembers whom it was asked about. With a `barrier`, it answers only once so many have met."""

    name, local = "meeting", False

    def __init__(self) -> None:
        self.lock, self.count = threading.Lock(), 0
        self.asked: list[tuple[str, str, object]] = []  # call, card, amount
        self.looked_up: list[str] = []
        self.busy: Counter[str] = Counter()  # by card, now
        self.barrier: threading.Barrier | None = None
        self.lost = False

    def perform(self, call: Call) -> Outcome:
        with self.lock:
            self.busy[call.card.id] += 1
            assert self.busy[call.card.id] == 1
            self.asked.append((call.id, call.card.id, call.args.get("amount")))
            self.count += 1
            reference = f"T{self.count}"
        if self.barrier is not None:
            self.barrier.wait(timeout=30)
        with self.lock:
            self.busy[call.card.id] -= 1
        number = f"6006{reference}" if call.verb == "allocate" else None
        return Outcome(Result.UNKNOWN if self.lost else Result.CONFIRMED, reference=reference, number=number)

    def look_up(self, call: Call) -> NotSeen:
        with self.lock:
            self.looked_up.append(call.id)
        return NotSeen("not there")


class Shop:
    def __init__(self, url: str, provider: Any) -> None:
        self.now = NOON
        self.provider = provider
        self.books = Books(Engine(MACHINES, open_store(url), provider, clock=lambda: self.now))

    def ship(self, count: int) -> list[str]:
        """So many shipments of an order on each card, all due a day later, in turns; their keys."""
        books, keys = self.books, []
        for card in range(CARDS):
            books.sell_electronic(f"c{card}", "50.00", "BRL", order="o", key=f"sale{card}")
            books.authorize(f"p{card}", f"c{card}", "40.00", order="o", key=f"hold{card}")
        for number in range(count):
            for card in range(CARDS):
                due = NOON + timedelta(days=1, seconds=number)
                keys.append(f"ship{card}/{number}")
                books.settle(f"p{card}", f"{number + 1}.00", key=keys[-1], keep_hold=True, due=due)
        self.now += timedelta(days=2)
        if isinstance(self.provider, Meeting):
            self.provider.asked.clear()
        return keys


@pytest.fixture(params=["memory:", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory:" else f"sqlite:///{tmp_path}/books.db"


@pytest.fixture
def shop(url: str) -> Iterator[Shop]:
    shop = Shop(url, Meeting())
    yield shop
    assert shop.books.verify().clean
    shop.books.close()


@pytest.mark.parametrize("workers", [1, 2, 16])
def test_the_commands_of_a_card_keep_their_order(shop: Shop, workers: int) -> None:
    keys = shop.ship(4)
    receipts = shop.books.run_due(workers=workers)

    assert Counter(each.key for each in receipts) == Counter(keys)
    assert {each.result.value for each in receipts} == {"applied"}
    for card in range(CARDS):
        told = [each.key for each in receipts if each.id == f"p{card}"]
        assert told == [f"ship{card}/{number}" for number in range(4)]
        assert [amount for _, id, amount in shop.provider.asked if id == f"c{card}"] == [100, 200, 300, 400]
        assert str(shop.books.payment(f"p{card}").redeemed) == "10.00 BRL"
    assert shop.books.run_due(workers=workers) == []


def test_other_cards_go_on_meanwhile(shop: Shop) -> None:
    """No call is answered before all cards are asked about."""
    shop.ship(1)
    shop.provider.barrier = threading.Barrier(CARDS)
    assert [each.result.value for each in shop.books.run_due(workers=CARDS)] == ["applied"] * CARDS


def test_three_who_run_what_is_due_do_nothing_twice(shop: Shop) -> None:
    keys = shop.ship(3)
    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(lambda _: shop.books.run_due(workers=4), range(3)))
    while more := shop.books.run_due(workers=4):
        runs.append(more)
    shop.now += timedelta(days=1)  # who met another at the same card tries again later
    runs.append(shop.books.run_due())

    done = [each.key for run in runs for each in run if each.applied and not each.replayed]
    assert len(done) == len(set(done))  # who comes late is told so: it was done by another
    assert len({id for id, _, _ in shop.provider.asked}) == len(shop.provider.asked) == len(keys)
    assert {str(shop.books.payment(f"p{card}").redeemed) for card in range(CARDS)} == {"6.00 BRL"}


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("limit", [1, 5, 7, 11, 12, 1000])
def test_no_more_run_than_are_wanted(shop: Shop, workers: int, limit: int) -> None:
    keys = shop.ship(2)
    assert len(shop.books.engine.run_due(limit, workers)) == min(limit, len(keys))
    assert len(shop.provider.asked) == min(limit, len(keys))
    assert len(shop.books.run_due(workers=workers)) == max(0, len(keys) - limit)


@pytest.mark.parametrize("workers", [1, 2, 16])
def test_recovery_looks_up_each_call_once(shop: Shop, workers: int) -> None:
    shop.ship(1)
    shop.provider.lost = True
    shop.books.run_due(workers=workers)
    calls = [id for id, _, _ in shop.provider.asked]
    assert len(calls) == CARDS
    shop.provider.lost = False
    shop.provider.asked.clear()
    shop.now += timedelta(minutes=5)
    receipts = shop.books.recover(workers=workers)

    assert sorted(shop.provider.looked_up) == sorted(calls)
    assert sorted(id for id, _, _ in shop.provider.asked) == sorted(calls)  # sent once more, under the same ids
    assert [each.result.value for each in receipts] == ["applied"] * CARDS
    assert shop.books.recover(workers=workers) == []


def test_books_of_our_own_need_no_threads(url: str) -> None:
    threads: set[int] = set()

    class Watched(LocalProvider):
        def perform(self, call: Call) -> Outcome:
            threads.add(threading.get_ident())
            return super().perform(call)

    shop = Shop(url, Watched())
    assert len(shop.books.run_due(workers=16)) == 0
    assert len(shop.ship(1)) == len(shop.books.run_due(workers=16))
    assert threads == {threading.get_ident()}
    shop.books.close()


@pytest.mark.parametrize("workers", [0, -1, True, 1.5, "4", None, 10**9])
def test_a_number_of_workers_is_a_sensible_one(shop: Shop, workers: Any) -> None:
    for ask in (shop.books.run_due, shop.books.recover):
        with pytest.raises(Invalid, match="workers is a whole number from 1 to 256"):
            ask(workers=workers)


def test_what_hangs_together_is_one_group(shop: Shop) -> None:
    books = shop.books
    books.ship_physical("a", "6006123412341234", "5.00", "BRL", order="o", key="a")
    books.ship_physical("a/usd", "6006123412341234", "5.00", "USD", order="o", key="b")  # another balance of the card
    books.ship_physical("z", "6006123412349999", "5.00", "BRL", order="o", key="z")
    for payment, card, currency in (("p", "a", "BRL"), ("q", "z", "BRL"), ("r", "a/usd", "USD"), ("s", "z", "BRL")):
        facts = {"order": "o", "card": card, "currency": currency}
        books.engine.execute("payment", payment, "create", facts, key=payment)
    things = [(name, [("payment", name)]) for name in "pqrs"] + [("card", [("gift_card", "z")])]
    with books.engine.store.reading() as reading:
        assert grouped(reading, MACHINES, things, 2) == [["p", "r"], ["q", "s", "card"]]
        both = ("both", [("payment", "p"), ("payment", "q")])
        assert grouped(reading, MACHINES, [*things, both], 2) == [["p", "q", "r", "s", "card", "both"]]


def test_a_fault_stops_all_after_what_they_have_begun() -> None:
    meet, done = threading.Barrier(2), []

    def fails() -> Iterator[int]:
        meet.wait(timeout=30)
        raise OSError("the store is gone")
        yield 0

    def goes_on() -> Iterator[int]:
        meet.wait(timeout=30)
        for number in range(1_000_000_000):
            done.append(number)
            yield number

    with pytest.raises(OSError, match="the store is gone"):
        run_in_threads([goes_on(), fails(), goes_on()], 2)
    assert 0 <= len(done) < 1_000_000_000


def test_ctrl_c_stops_all_after_what_they_have_begun() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    main = threading.get_ident()

    def goes_on(interrupts: bool) -> Iterator[int]:
        for number in range(1_000_000_000):
            if interrupts and number == 3:
                signal.pthread_kill(main, signal.SIGINT)
            yield number

    try:
        with pytest.raises(KeyboardInterrupt):
            run_in_threads([goes_on(True), goes_on(False), goes_on(False)], 2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert [each.name for each in threading.enumerate() if each.name.startswith("tallystick")] == []
