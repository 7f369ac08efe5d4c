"""Commands of many threads share transactions: each gets its own answer, and a bad one is alone with its fault.

The store here can be held: its first transaction waits until the test lets it go on, so that whatever other threads
give meanwhile gathers and goes into the next one together.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command, Ended, Receipt
from tallystick.engine.unit_of_work import Job
from tallystick.engine.verify import verify
from tallystick.errors import Invalid, KeyReused, StoreBusy
from tallystick.money import Money
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Call, Outcome
from tallystick.store.memory import MemoryStore
from tallystick.store.protocol import Store, Transaction
from tallystick.store.sqlite import SqliteStore

MACHINES = reader.load()


class Held:
    """A store that counts its transactions, and whose next one can be held."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.url = store.url
        self.begun = 0
        self.inside, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def hold(self) -> None:
        self.begun = 0
        self.inside.clear()
        self.go_on.clear()

    def run(self, job: Callable[[Transaction], Any]) -> Any:
        def held(transaction: Transaction) -> Any:
            self.begun += 1
            self.inside.set()
            assert self.go_on.wait(20)
            return job(transaction)

        return self._store.run(held)

    def reading(self) -> AbstractContextManager[Any]:
        return self._store.reading()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Shop:
    """A card of 100.00 in a store that can be held."""

    def __init__(self, store: Store, provider: LocalProvider) -> None:
        self.store = Held(store)
        self.engine = Engine(MACHINES, self.store, provider)
        for command, args in (
            ("create", {"form": "electronic", "currency": "BRL"}), ("allocate", {}), ("activate", {}),
            ("issue", {"amount": "100.00"}),
        ):  # fmt: skip
            self.engine.execute("gift_card", "c1", command, args, key=command)

    def together(self, jobs: list[Callable[[], Any]]) -> list[Any]:
        """What each job gave or raised, where all but the first waited while the first was committing."""
        results: list[Any] = [None] * len(jobs)
        ready = threading.Semaphore(0)

        def run(number: int) -> None:
            ready.release()
            try:
                results[number] = jobs[number]()
            except Exception as error:
                results[number] = error

        threads = [threading.Thread(target=run, args=(number,)) for number in range(len(jobs))]
        self.store.hold()
        threads[0].start()
        assert self.store.inside.wait(20)
        for thread in threads[1:]:
            thread.start()
        for _ in threads:
            ready.acquire()
        time.sleep(0.05)  # each has only to put its command down
        self.store.go_on.set()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)
        return results

    def reload(self, key: str, amount: object = "1.00", id: str = "c1") -> Callable[[], Receipt]:
        return lambda: self.engine.try_execute(Command("gift_card", id, "reload", {"amount": amount}, key))

    @property
    def available(self) -> int:
        with self.store.reading() as look:
            return int(look.entity("gift_card", "c1").accounts["available"])

    def keys(self) -> list[str]:
        with self.store.reading() as look:
            return [each.key for each in look.chronicle(1000) if each.transition == "reload"]


class Fussy(LocalProvider):
    """Breaks down, inside the transaction, when it is to put 6.66 on a card."""

    def perform(self, call: Call) -> Outcome:
        if call.args.get("amount") == 666:
            raise RuntimeError("the provider broke down")
        return super().perform(call)


@pytest.fixture(params=["memory", "sqlite"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "books.db")
    made = Shop(store, Fussy())
    yield made
    assert verify(made.engine.machines, made.store).findings == ()
    store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


@pytest.fixture
def filed(path: Path) -> Iterator[Shop]:
    store = SqliteStore(path, busy_timeout=0.05)
    yield Shop(store, LocalProvider())
    store.close()


def test_all_are_answered_each_with_its_own(shop: Shop) -> None:
    amounts = range(1, 41)
    receipts = shop.together([shop.reload(f"r{amount}", Money(amount, "BRL")) for amount in amounts])
    for amount, receipt in zip(amounts, receipts, strict=True):
        assert (receipt.result, receipt.key) == (Ended.APPLIED, f"r{amount}")
        assert receipt.postings == (("issuance", "available", amount),)
        assert receipt.after_minor["available"] - receipt.before_minor["available"] == amount
    assert shop.available == 10000 + sum(amounts)
    assert sorted(shop.keys()) == sorted(f"r{amount}" for amount in amounts)
    assert shop.store.begun <= 5, "forty commands, a few commits"


def test_each_is_decided_on_what_the_one_before_it_left(shop: Shop) -> None:
    def redeem(number: int) -> Callable[[], Receipt]:
        return lambda: shop.engine.try_execute(Command("gift_card", "c1", "redeem", {"amount": "10.00"}, f"s{number}"))

    receipts = shop.together([redeem(number) for number in range(16)])
    assert sorted(receipt.result for receipt in receipts) == [Ended.APPLIED] * 10 + [Ended.REFUSED] * 6
    assert sorted(receipt.after_minor["available"] for receipt in receipts if receipt.applied) == [
        *range(0, 10000, 1000)
    ]
    assert shop.available == 0


def test_one_key_from_many_threads_is_done_once(shop: Shop) -> None:
    receipts = shop.together([shop.reload("same")] * 16)
    assert sorted(receipt.replayed for receipt in receipts) == [False] + [True] * 15
    assert {receipt.after_minor["available"] for receipt in receipts} == {10100}
    assert shop.available == 10100


def test_an_invalid_command_is_alone_with_its_fault(shop: Shop) -> None:
    wrong = [shop.reload("w1", 1.5), shop.reload("issue"), shop.reload("w2", "1.001"), shop.reload("w3", None)]
    right = [shop.reload(f"r{number}") for number in range(8)]
    jobs = [job for pair in zip(right, [*wrong, *wrong], strict=True) for job in pair]
    results = shop.together(jobs)
    assert all(isinstance(each, Receipt) and each.applied for each in results[0::2])
    assert [type(each) for each in results[1::2]] == [Invalid, KeyReused, Invalid, Invalid] * 2
    assert shop.available == 10800
    assert shop.store.begun <= 4, "an answer of its own is no reason to begin anew"


def test_a_refused_command_is_alone_with_its_refusal(shop: Shop) -> None:
    results = shop.together([shop.reload("r1"), shop.reload("r2", "0"), shop.reload("r3"), shop.reload("r4", id="no")])
    assert [each.result for each in results] == [Ended.APPLIED, Ended.REFUSED, Ended.APPLIED, Ended.REFUSED]
    assert shop.available == 10200


def test_what_breaks_down_inside_breaks_down_alone(shop: Shop) -> None:
    """The whole transaction fails with it, and is tried again with each on its own."""
    results = shop.together(
        [shop.reload("r1"), shop.reload("bad", "6.66"), *(shop.reload(f"r{n}") for n in range(2, 9))]
    )
    assert isinstance(results.pop(1), RuntimeError)
    assert [each.applied for each in results] == [True] * 8
    assert sorted(shop.keys()) == [f"r{number}" for number in range(1, 9)]
    assert shop.available == 10800


def test_what_the_database_refuses_it_refuses_alone(filed: Shop, path: Path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute(
            "CREATE TRIGGER no BEFORE INSERT ON entry WHEN NEW.key = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    raw.close()
    results = filed.together([filed.reload("r1"), filed.reload("r2"), filed.reload("bad"), filed.reload("r3")])
    assert isinstance(results.pop(2), Exception)
    assert [each.applied for each in results] == [True] * 3
    assert sorted(filed.keys()) == ["r1", "r2", "r3"]
    assert filed.available == 10300
    assert filed.reload("r4")().applied, "and the store goes on"
    assert verify(filed.engine.machines, filed.store).findings == ()


def test_a_busy_database_is_said_to_all_who_wait(filed: Shop, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    errors: list[Exception] = []

    def run(number: int) -> None:
        try:
            filed.reload(f"r{number}")()
        except StoreBusy as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(errors) == 12
    other.execute("ROLLBACK")
    other.close()
    assert filed.available == 10000
    assert [filed.reload(f"r{number}")().replayed for number in range(12)] == [False] * 12


def test_many_commands_of_one_caller_keep_their_order_among_others(shop: Shop) -> None:
    mine = [
        Command("gift_card", "c1", "reload", {"amount": Money(number + 1, "BRL")}, f"m{number}") for number in range(30)
    ]
    mine.insert(7, Command("gift_card", "c1", "reload", {"amount": 0.5}, "wrong"))
    mine.insert(3, Command("gift_card", "c1", "relaod", {}, "wrong"))
    results = shop.together([
        shop.reload("r1"), shop.reload("r2"), lambda: shop.engine.try_execute_many(mine), shop.reload("r3"),
        lambda: shop.engine.try_execute_many([]), lambda: shop.engine.try_execute_many(mine[10:20]),
    ])  # fmt: skip
    answers = results[2]
    assert [each.key if isinstance(each, Receipt) else type(each) for each in answers] == [
        Invalid if command.key == "wrong" else command.key for command in mine
    ]
    for command, answer in zip(mine, answers, strict=True):
        if isinstance(answer, Receipt):
            assert answer.moves[0].amount == command.args["amount"]
    assert results[4] == []
    again = {each.key: each.after_minor for each in results[5]}
    assert again == {each.key: each.after_minor for each in answers if isinstance(each, Receipt) and each.key in again}
    assert shop.available == 10000 + 300 + sum(range(1, 31))


def test_a_leader_told_to_stop_leaves_the_lead_to_those_who_wait(shop: Shop) -> None:
    def stopped() -> str:
        def job(unit: Any) -> None:
            raise KeyboardInterrupt

        try:
            shop.engine._commits.submit([Job(job)])
        except KeyboardInterrupt:
            return "stopped"
        return "went on"

    results = shop.together([shop.reload("r1"), stopped, *(shop.reload(f"r{number}") for number in range(2, 9))])
    assert results.pop(1) == "stopped"
    assert [each.applied for each in results] == [True] * 8
    assert shop.available == 10800
    assert shop.reload("r9")().applied, "and the lead is free again"


def test_a_batch_of_one_is_a_batch(shop: Shop) -> None:
    (answer,) = shop.engine.try_execute_many([Command("gift_card", "c1", "reload", {"amount": 1.5}, "k")])
    assert isinstance(answer, Invalid)
    (answer,) = shop.engine.try_execute_many([Command("gift_card", "c1", "reload", {"amount": "1.50"}, "k")])
    assert isinstance(answer, Receipt)
    assert answer.applied


def test_who_only_looks_does_not_wait(filed: Shop) -> None:
    filed.store.hold()
    writer = threading.Thread(target=filed.reload("r1"))
    writer.start()
    assert filed.store.inside.wait(20)
    assert filed.engine.may("gift_card", "c1", "reload", {"amount": "1.00"})
    assert filed.available == 10000
    filed.store.go_on.set()
    writer.join(20)
    assert filed.available == 10100
