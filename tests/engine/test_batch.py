"""What is due is done in one transaction, if the provider is our own books: all of it or none, and in the same order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from fleet_world import MACHINES, Fleet, newer
from postgres_books import postgres_url
from tallystick.books.books import Books
from tallystick.definition.machine import Machines
from tallystick.engine import steps
from tallystick.engine.queue import parts
from tallystick.engine.queue import queue as queue_module
from tallystick.engine.queue.batch import Batch
from tallystick.engine.queue.parts import in_parts, readable
from tallystick.engine.receipt import Command, Ended, Receipt
from tallystick.errors import CommitUnknown, StoreBusy, StoreError
from tallystick.provider.local import LocalProvider
from tallystick.store.rows import stamp


@pytest.fixture(params=["memory:", "sqlite", "postgres"])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    with postgres_url() if request.param == "postgres" else nullcontext(request.param) as url:
        made = Fleet(f"sqlite:///{tmp_path}/books.db" if url == "sqlite" else url, LocalProvider(), cards=3)
        yield made
        assert made.books.verify().clean
        made.books.close()


def counted(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number is added for each transaction."""
    transactions, run = list[int](), type(fleet.store).run

    def counts(self: object, job: Any, **more: Any) -> object:
        transactions.append(1)
        return run(self, job, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(type(fleet.store), "run", counts)
    return transactions


def test_what_is_due_is_one_transaction(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = fleet.ship(4, keep_hold=False)
    transactions = counted(fleet, monkeypatch)
    receipts = fleet.books.run_due()
    assert len(transactions) == 1
    assert {each.result for each in receipts} == {Ended.APPLIED}
    done = [each.key for each in receipts]
    assert [key for key in done if key in keys] == keys, "in the order of their times"
    assert [done[done.index(key) + 1] for key in keys] == [f"{key}>hold_again" for key in keys], "what follows is next"
    assert fleet.redeemed() == ["10.00 BRL"] * 3
    assert fleet.books.run_due() == []


def test_many_are_several_transactions(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "ONE_TRANSACTION", 5)
    keys = fleet.ship(4)
    transactions = counted(fleet, monkeypatch)
    assert [each.key for each in fleet.books.run_due()] == keys
    assert len(transactions) == 3


def test_no_more_is_done_than_is_wanted_and_what_follows_counts(fleet: Fleet) -> None:
    fleet.ship(1, keep_hold=False)
    wanted = [f"ship{card}/0{then}" for card in range(3) for then in ("", ">hold_again")]
    done = [each.key for each in fleet.books.engine.run_due(3)]
    assert done == wanted[:3]
    assert sorted(done + [each.key for each in fleet.books.run_due()]) == sorted(wanted)


def test_a_refused_one_is_put_off_and_the_others_are_done(fleet: Fleet) -> None:
    keys = fleet.ship(2)
    fleet.books.settle("p1", "79.00", key="large", keep_hold=True, due=fleet.now + timedelta(hours=1))
    fleet.now += timedelta(days=1)
    results = {each.key: each.result for each in fleet.books.run_due()}
    assert results == dict.fromkeys(keys, Ended.APPLIED) | {"large": Ended.REFUSED}
    assert fleet.redeemed() == ["3.00 BRL"] * 3
    assert fleet.books.run_due() == []
    with fleet.store.reading() as reading:
        assert reading.queued(["large"])["large"].state == "refused"


def test_one_at_fault_does_not_undo_what_comes_before_it(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transaction of all is given up, and they are done one by one until that one says what is wrong."""
    keys = fleet.ship(2)
    at_fault(keys[2], monkeypatch)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            fleet.books.run_due()
        assert fleet.redeemed() == ["1.00 BRL", "1.00 BRL", "0.00 BRL"]
    monkeypatch.undo()
    assert [each.key for each in fleet.books.run_due()] == keys[2:]


@pytest.mark.parametrize("locked", ["ship1/0", "ship2/1"])
def test_a_busy_card_stays_due_and_the_others_are_done(
    fleet: Fleet, locked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, executed = fleet.ship(2), Batch._executed
    mine = [key for key in keys if key[:5] == locked[:5]]

    def busy(self: Batch, work: Any, keys: list[str], most: int | None) -> object:
        if locked in keys:
            raise StoreBusy("somebody else has this card")
        return executed(self, work, keys, most)

    with monkeypatch.context() as patch:
        patch.setattr(Batch, "_executed", busy)
        receipts = fleet.books.run_due()
        assert sorted(each.key for each in receipts if each.applied) == sorted(set(keys) - set(mine))
        said = {each.key: each.why for each in receipts if not each.applied}
        assert sorted(said) == mine
        assert all(each.endswith("somebody else has this card") for each in said.values())
        with pytest.raises(StoreBusy, match="somebody else has this card"):
            fleet.books.run_due()  # nothing else is due
    assert [each.key for each in fleet.books.run_due()] == mine
    assert fleet.redeemed() == ["3.00 BRL"] * 3


def test_how_often_busy_cards_are_waited_for_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST_BUSY", 2)
    tried = list[float | None]()

    def busy(some: Sequence[int], patience: float | None) -> list[int]:
        tried.append(patience)
        raise StoreBusy("all of them")

    failed = list(in_parts(range(500), busy, lambda error: False))
    assert sorted(each for some, _ in failed for each in some) == list(range(500))
    assert len(tried) == 3
    assert tried[1:] == [parts.BRIEFLY] * 2, "only all of them wait as long as the store does"


@pytest.mark.parametrize("fleet", ["sqlite", "postgres"], indirect=True)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_page_that_another_process_has_brought_stops_nothing_else(fleet: Fleet, workers: int) -> None:
    newer(fleet)
    keys = fleet.ship(2)
    receipts = fleet.books.run_due(workers=workers)
    assert sorted(each.key for each in receipts if each.applied) == sorted(keys)
    left = {each.key: each.why for each in receipts if not each.applied}
    assert sorted(left) == ["later", "newship"]
    assert all("which another process has brought; open the books anew" in each for each in left.values())
    fleet.books.close()
    fleet.books = Books(fleet.engine())


@pytest.mark.parametrize("fleet", ["memory:", "sqlite", "postgres"], indirect=True)
def test_what_follows_a_command_of_a_page_that_is_not_known_cannot_be_taken_up(fleet: Fleet) -> None:
    """Its page says in which order it is done. And of a machine that is not known, nothing is."""
    fleet.ship(1)
    known = MACHINES["payment"].version
    cards, payments = MACHINES["gift_card"], attrs.evolve(MACHINES["payment"], version=known + 1)
    with fleet.store.reading() as reading:
        rows = reading.due(stamp(fleet.now), 10)
        follows = attrs.evolve(rows[0], cause="hold0")
        assert readable(reading, MACHINES, [follows, rows[1]])[1] == {}
        _, why = readable(reading, Machines([cards, payments]), [follows, rows[1]])
        assert why == {
            "ship0/0": f"it follows a command of payment on version {known}, which another process has brought; open the books anew"
        }
        _, why = readable(reading, Machines([cards]), [rows[1]])
        assert why == {"ship1/0": "it is about a payment, which another process has brought; open the books anew"}


@pytest.mark.parametrize("count", [1, 3])
def test_a_row_at_fault_in_the_database_is_left_and_the_others_are_done(
    fleet: Fleet, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its own card, those that come before it: the order of a card is kept."""
    keys, executed = fleet.ship(count), Batch._executed
    fault = f"ship1/{count // 2}"
    left = [f"ship1/{number}" for number in range(count // 2, count)]

    def fails(self: Batch, work: Any, keys: list[str], most: int | None) -> object:
        if fault in keys:
            raise StoreError("the database does not take it")
        return executed(self, work, keys, most)

    with monkeypatch.context() as patch:
        patch.setattr(Batch, "_executed", fails)
        results = {each.key: each.result for each in fleet.books.run_due()}
        assert results == dict.fromkeys(keys, Ended.APPLIED) | dict.fromkeys(left, Ended.REFUSED)
        with pytest.raises(StoreError, match="does not take it"):
            fleet.books.run_due()  # nothing else is due
    assert [each.key for each in fleet.books.run_due()] == left


@pytest.mark.parametrize("error", [CommitUnknown("nobody knows"), StoreBusy("it writes", whole=True)])
def test_after_what_is_no_rows_fault_nothing_more_is_tried(
    fleet: Fleet, error: StoreError, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, tried = fleet.ship(1), list[object]()

    def fails(*_: object, **__: object) -> object:
        tried.append(1)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Batch, "_executed", fails)
        with pytest.raises(type(error)):
            fleet.books.run_due()
    assert len(tried) == 1
    assert [each.key for each in fleet.books.run_due()] == keys


def at_fault(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever executes the command of this key falls over."""
    execute = steps.execute

    def executes(work: Any, *, command: Command, **more: Any) -> object:
        if command.key == key:
            raise ZeroDivisionError(key)
        return execute(work, command=command, **more)

    monkeypatch.setattr(steps, "execute", executes)


def test_a_busy_store_is_heard_of(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = fleet.ship(1)

    def busy(*_: object, **__: object) -> Receipt:
        raise StoreBusy("somebody else writes")

    monkeypatch.setattr(Batch, "_executed", busy)
    with pytest.raises(StoreBusy):
        fleet.books.run_due()
    monkeypatch.undo()
    assert [each.key for each in fleet.books.run_due()] == keys
