"""Workers on the same books: nothing twice, each card in its order, and nobody waits for a card for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from fleet_world import Fleet, Remote, newer
from postgres_books import postgres_url
from tallystick.books.books import Books
from tallystick.definition import reader
from tallystick.engine.queue import parts
from tallystick.engine.queue.batch import Batch
from tallystick.engine.queue.drain import LeaseLost
from tallystick.errors import CommitUnknown, Invalid, StoreBusy, StoreError
from tallystick.fleet import worker as worker_module
from tallystick.fleet.worker import Worker
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Call
from tallystick.store.postgres.reading import Cursor, PostgresReading
from tallystick.store.postgres.statements import Ask

PROVIDERS = {"local": LocalProvider, "remote": Remote}


@pytest.fixture(params=["memory:", "sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "postgres":
        with postgres_url() as made:
            yield made
    else:
        yield "memory:" if request.param == "memory:" else f"sqlite:///{tmp_path}/books.db"


def closed(fleet: Fleet) -> None:
    assert fleet.books.verify().clean
    fleet.books.close()


@pytest.fixture(params=PROVIDERS)
def fleet(request: pytest.FixtureRequest, url: str) -> Iterator[Fleet]:
    made = Fleet(url, PROVIDERS[request.param]())
    yield made
    closed(made)


@pytest.fixture
def afar(url: str) -> Iterator[Fleet]:
    made = Fleet(url, Remote())
    yield made
    closed(made)


@pytest.fixture
def home(url: str) -> Iterator[Fleet]:
    made = Fleet(url, LocalProvider())
    yield made
    closed(made)


def remote(fleet: Fleet) -> Remote:
    assert isinstance(fleet.provider, Remote)
    return fleet.provider


def journal(fleet: Fleet) -> list[str]:
    """The keys of the shipments, in the order of the commits."""
    with fleet.store.reading() as reading:
        return [row.key for row in reading.tail(None, 10_000)[0] if (row.key or "").startswith("ship")]


def in_order(keys: list[str], cards: int) -> bool:
    return all([key for key in keys if key.startswith(f"ship{card}/")] == sorted(
        key for key in keys if key.startswith(f"ship{card}/")) for card in range(cards))  # fmt: skip


# Drained


def test_what_is_due_is_done_once_and_each_card_in_its_order(fleet: Fleet) -> None:
    keys = fleet.ship(3)
    one, other = fleet.worker("one"), fleet.worker("other")
    receipts = [*one.drain(), *other.drain(), *one.drain()]
    assert sorted(each.key for each in receipts) == sorted(keys)
    assert {each.result.value for each in receipts} == {"applied"}
    assert in_order([each.key for each in receipts], 4)
    assert in_order(journal(fleet), 4)
    assert fleet.redeemed() == ["6.00 BRL"] * 4
    assert one.counts.commands.total() + other.counts.commands.total() == len(keys)
    assert (one.counts.leases, other.counts.leases, one.counts.errors) == (0, 0, 0)


def test_many_workers_at_once_do_nothing_twice(fleet: Fleet) -> None:
    keys = fleet.ship(4)
    workers = [fleet.worker(f"w{number}", workers=2) for number in range(3)]

    def stop_when_done() -> None:
        while sum(each.counts.commands.total() for each in workers) < len(keys):
            threading.Event().wait(0.005)
        for each in workers:
            each.stop()

    threads = [threading.Thread(target=each.run) for each in workers] + [threading.Thread(target=stop_when_done)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
        assert not each.is_alive()
    assert sorted(journal(fleet)) == sorted(keys)
    assert in_order(journal(fleet), 4)
    assert fleet.redeemed() == ["10.00 BRL"] * 4
    assert sum(each.counts.errors for each in workers) == 0


def test_what_follows_comes_before_the_next_command(fleet: Fleet) -> None:
    """The rest of a hold is held again before the next shipment wants a part of it."""
    fleet.ship(3, keep_hold=False)
    receipts = fleet.worker().drain()
    assert {each.result.value for each in receipts} == {"applied"}
    mine = [each.key for each in receipts if each.id == "p0"]
    assert mine == [key for number in range(3) for key in (f"ship0/{number}", f"ship0/{number}>hold_again")]
    assert fleet.redeemed() == ["6.00 BRL"] * 4
    assert str(fleet.books.payment("p0").held) == "74.00 BRL"


def test_a_refused_command_is_put_off_or_given_up_and_the_next_one_is_done(fleet: Fleet) -> None:
    fleet.sell()
    soon = fleet.now + timedelta(hours=1)
    for key, amount in (("a", "70.00"), ("b", "70.00"), ("c", "10.00")):
        fleet.books.settle("p0", amount, key=key, keep_hold=True, due=soon)
    fleet.now += timedelta(days=1)
    assert {each.key: each.result.value for each in fleet.worker().drain()} == {
        "a": "applied", "b": "refused", "c": "applied",
    }  # fmt: skip
    with fleet.store.reading() as reading:
        assert reading.queued(["b"])["b"].state == "refused"
    assert fleet.worker().drain() == []


def test_no_more_is_done_than_is_wanted(fleet: Fleet) -> None:
    fleet.ship(3)
    assert len(fleet.worker().drain(5)) == 5
    assert len(fleet.worker().drain()) == 7


def test_a_card_and_its_payments_are_drained_by_name(fleet: Fleet) -> None:
    fleet.ship(2)
    receipts = fleet.worker().drain_about("gift_card", "c2")
    assert [each.key for each in receipts] == ["ship2/0", "ship2/1"]
    assert fleet.worker().drain_about("gift_card", "c2") == fleet.worker().drain_about("gift_card", "nobody") == []
    assert len(fleet.worker().drain()) == 6


def test_a_payment_is_drained_with_all_of_its_card(fleet: Fleet) -> None:
    """Else a later command of this payment would come before an earlier one of another."""
    fleet.ship(1)
    fleet.books.authorize("q", "c1", "5.00", order="o2", key="q")
    fleet.books.settle("q", "5.00", key="q/ship", due=fleet.now - timedelta(days=1, hours=12))
    assert [each.key for each in fleet.worker().drain_about("payment", "p1")] == ["q/ship", "ship1/0"]


def test_what_another_worker_has_a_lease_on_is_left_to_it(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the first thousand that are due are all of one card that somebody works on."""
    monkeypatch.setattr(worker_module, "PAGE", 2)
    fleet.ship(2)
    busy, other = fleet.worker("busy"), fleet.worker("other")
    (claim,) = busy._leases.take([(["lease/gift_card/c0"], 1)], 1).values()
    done = other.drain()
    assert sorted({each.id for each in done}) == ["p1", "p2", "p3"]
    assert len(done) == 6
    assert fleet.worker("third").drain() == []
    busy._leases.release([claim])
    assert [each.key for each in other.drain()] == ["ship0/0", "ship0/1"]


def test_a_killed_workers_card_is_taken_over_once_its_lease_has_run_out(fleet: Fleet) -> None:
    fleet.ship(1)
    dead = fleet.worker("dead", lease=30)
    assert len(dead._claimed(1000, fleet.books.engine.drain.due)) >= 1, "and nothing more was heard of it"
    first = fleet.worker("other").drain()
    assert len(first) < 4
    fleet.now += timedelta(seconds=31)
    assert len(first) + len(fleet.worker("other").drain()) == 4
    assert fleet.redeemed() == ["1.00 BRL"] * 4


def test_a_holder_who_wakes_late_does_nothing_more(fleet: Fleet) -> None:
    keys = fleet.ship(3)
    late, other = fleet.worker("late", lease=30), fleet.worker("other", lease=30)
    claimed = late._claimed(1, fleet.books.engine.drain.due)
    fleet.now += timedelta(seconds=31)
    assert sorted(each.key for each in other.drain()) == sorted(keys)
    before = journal(fleet)
    assert late._done(claimed) == []
    assert journal(fleet) == before
    assert late.counts.errors == 0


def test_a_holder_who_sleeps_between_two_commands_leaves_the_rest(afar: Fleet) -> None:
    """Another has the lease when it wakes, and may be about to execute the very next command."""
    afar.cards = 1
    keys = afar.ship(3)
    late, other = afar.worker("late", lease=30), afar.worker("other", lease=30)
    ((listed, claim),) = late._claimed(10, late.engine.drain.due)
    steps = late.engine.drain.one_by_one(listed, claim.guard)
    assert next(steps).key == keys[0]
    afar.now += timedelta(seconds=31)
    taken = other._claimed(10, other.engine.drain.due)
    with pytest.raises(LeaseLost, match="has gone to another worker"):
        next(steps)
    assert [each.key for each in other._done(taken)] == keys[1:]
    assert remote(afar).settled("c0") == [100, 200, 300]


def test_while_a_call_is_on_its_way_nobody_takes_over_its_card(afar: Fleet) -> None:
    """Not even if the lease has run out meanwhile: what comes next would overtake it."""
    afar.cards = 1
    keys = afar.ship(2)
    late, other = afar.worker("late", lease=30), afar.worker("other", lease=30)
    met: list[object] = []

    def sleeps(call: Call) -> None:
        afar.now += timedelta(seconds=31)
        met.append(other.drain())

    remote(afar).before = sleeps
    assert [each.key for each in late.drain()] == keys
    assert met == [[], []]
    assert remote(afar).settled("c0") == [100, 200]


def test_a_call_that_was_opened_after_the_look_holds_up_the_card(afar: Fleet) -> None:
    """Whoever opened it was killed, its lease ran out, and another had looked before."""
    afar.cards = 1
    keys = afar.ship(2)
    worker = afar.worker()
    claimed = worker._claimed(10, worker.engine.drain.due)
    remote(afar).replies = {"c0": ["lost_before"]}
    assert afar.books.queue.run(keys[0]).result.value == "in_doubt"
    assert worker._done(claimed) == []
    assert worker.drain() == []
    afar.now += timedelta(seconds=61)
    assert [each.key for each in [*worker.recover(), *worker.drain()]] == keys
    assert remote(afar).settled("c0") == [100, 200]


def test_whoever_drains_may_say_when_it_is_enough(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The leases are released then, so that another goes on at once."""
    monkeypatch.setattr(worker_module, "ONE_GROUP", 1)
    fleet.ship(2)
    (first,) = fleet.worker().drain_about("payment", "p2", until=lambda: len(journal(fleet)) > 0)
    assert first.applied
    assert len(fleet.worker("other").drain()) == 7


def test_no_transaction_asks_more_the_more_cards_there_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker lives for months. What a transaction has to say to PostgreSQL must not grow with it."""
    asked, execute = list[str](), PostgresReading._execute

    def executes(self: PostgresReading, ask: Ask) -> Cursor:
        asked.append(ask[0])
        return execute(self, ask)

    monkeypatch.setattr(PostgresReading, "_execute", executes)
    counts = []
    with postgres_url() as url:
        fleet = Fleet(url, Remote(), cards=9)
        fleet.ship(1)
        worker = fleet.worker()
        while worker.drain(1):
            counts.append(len(asked))
            asked.clear()
        fleet.books.close()
    assert len(counts) == 9
    assert counts[1:] == [counts[1]] * 8
    assert counts[1] < 60


# In doubt


def test_after_a_lost_answer_the_card_waits_and_other_cards_go_on(afar: Fleet) -> None:
    afar.ship(3)
    remote(afar).replies = {"c0": ["", "lost_after"], "c1": ["lost_before"]}
    worker = afar.worker()
    done = [(each.key, each.result.value) for each in worker.drain()]
    assert [each for each in done if each[0].startswith("ship0")] == [("ship0/0", "applied"), ("ship0/1", "in_doubt")]
    assert [each for each in done if each[0].startswith("ship1")] == [("ship1/0", "in_doubt")]
    assert len(done) == 3 + 3 + 2 + 1
    assert worker.drain() == worker.recover() == [], "until a call is as old as the grace"
    afar.now += timedelta(seconds=61)
    assert sorted((each.key, each.result.value) for each in worker.recover()) == [
        ("ship0/1", "applied"), ("ship1/0", "applied"),
    ]  # fmt: skip
    assert sorted(each.key for each in worker.drain()) == ["ship0/2", "ship1/1", "ship1/2"]
    assert [remote(afar).settled(f"c{card}") for card in range(4)] == [[100, 200, 300]] * 4
    assert afar.redeemed() == ["6.00 BRL"] * 4


def test_a_call_that_waits_for_a_person_holds_up_nobody(afar: Fleet) -> None:
    afar.ship(2)
    remote(afar).replies, remote(afar).unreadable = {"c0": ["lost_after"]}, True
    worker = afar.worker()
    worker.drain()
    afar.now += timedelta(seconds=61)
    assert [each.result.value for each in worker.recover()] == ["in_doubt"]
    assert [each.key for each in worker.drain()] == ["ship0/1"]
    assert len(afar.books.stuck().calls) == 1


def test_a_call_that_stays_open_is_looked_up_less_and_less(afar: Fleet) -> None:
    afar.ship(1)
    remote(afar).replies, remote(afar).unreadable = {"c0": ["lost_after"]}, True
    workers = [afar.worker("one"), afar.worker("other")]
    workers[0].drain()
    looks = []
    for minute in range(1, 300):
        afar.now += timedelta(minutes=1)
        before = len(remote(afar).looked_up)
        for each in workers:
            each.recover()
        looks += [minute] * (len(remote(afar).looked_up) - before)
    assert looks[:3] == [2, 4, 8], "after twice the time, by whoever comes first"
    assert max(later - earlier for earlier, later in pairwise(looks)) <= 61
    assert len(looks) < 12
    remote(afar).unreadable = False
    afar.now += timedelta(hours=1)
    assert [each.result.value for each in workers[1].recover()] == ["applied"]


def test_a_call_that_is_opened_again_is_as_young_as_its_last_question(afar: Fleet) -> None:
    """A command that was put off for hours opens its call anew. A look-up that comes too early must not cost hours."""
    afar.cards = 1
    afar.ship(1)
    remote(afar).replies = {"c0": ["unavailable", "lost_after"]}
    worker = afar.worker()
    assert [each.result.value for each in worker.drain()] == ["unavailable"]
    afar.now += timedelta(hours=3)
    assert [each.result.value for each in worker.drain()] == ["in_doubt"]
    remote(afar).unreadable = True
    afar.now += timedelta(seconds=61)
    assert [each.result.value for each in worker.recover()] == ["in_doubt"]
    remote(afar).unreadable = False
    afar.now += timedelta(seconds=62)
    assert [each.result.value for each in worker.recover()] == ["applied"]


def test_with_books_of_our_own_nothing_is_in_doubt(home: Fleet) -> None:
    home.ship(1)
    assert home.worker().recover() == []


# Faults


def test_one_groups_fault_does_not_stop_the_others(home: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lease is kept until it runs out, so nobody runs into the same fault at once."""
    home.ship(2)
    worker = home.worker(lease=30)
    executed = Batch._executed

    def breaks(self: Batch, work: Any, keys: list[str], most: int | None) -> object:
        if any(key.startswith("ship1") for key in keys):
            raise RuntimeError("nobody expected this")
        return executed(self, work, keys, most)

    monkeypatch.setattr(Batch, "_executed", breaks)
    assert sorted({each.id for each in worker.drain()}) == ["p0", "p2", "p3"]
    assert worker.counts.errors == 1
    monkeypatch.undo()
    assert worker.drain() == []
    home.now += timedelta(seconds=31)
    assert [each.key for each in worker.drain()] == ["ship1/0", "ship1/1"]


@pytest.mark.parametrize("kind", ["busy", "away"])
def test_a_database_that_is_away_is_asked_for_one_group_and_not_for_each(
    home: Fleet, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With hundreds of groups the worker would wait for it hundreds of times. Nobody has to wait for a lease then."""
    home.ship(1)
    worker, tried = home.worker(), list[object]()

    def fails(*_: object, **__: object) -> object:
        tried.append(1)
        raise StoreBusy("somebody else writes", whole=True) if kind == "busy" else StoreError("nobody is there")

    with monkeypatch.context() as patch:
        patch.setattr(Batch, "_executed", fails)
        if kind == "away":
            patch.setattr(type(home.store), "load", fails)
        with pytest.raises(StoreError, match=r"somebody else writes|nobody is there"):
            worker.drain(4)
    assert worker.counts.leases == 0
    assert len(tried) <= 3
    assert len(home.worker("other").drain()) == 4, "at once"


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
def test_a_call_about_a_newer_page_stops_no_older_worker(afar: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    worker = afar.worker()
    newer(afar, lost=True)
    afar.ship(1)
    remote(afar).replies = {f"c{card}": ["lost_after"] for card in range(4)}
    assert len(worker.drain()) == 4
    afar.now += timedelta(seconds=61)
    assert [each.result.value for each in worker.recover()] == ["applied"] * 4
    assert worker.recover() == []
    assert (worker.counts.errors, worker.counts.leases) == (0, 0)
    assert [each.message for each in caplog.records].count("call left alone") == 1
    afar.books = Books(afar.engine())  # opened anew
    assert [each.key for each in afar.worker().recover()] == ["newship"]


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
@pytest.mark.parametrize("workers", [1, 2])
def test_nor_does_it_stop_an_older_recover(afar: Fleet, workers: int) -> None:
    newer(afar, lost=True)
    afar.ship(1)
    remote(afar).replies = {f"c{card}": ["lost_after"] for card in range(4)}
    afar.books.run_due()
    afar.now += timedelta(seconds=61)
    *ended, left = afar.books.recover(workers=workers)
    assert [each.result.value for each in ended] == ["applied"] * 4
    assert (left.key, left.result.value) == ("newship", "in_doubt")
    assert left.why.endswith("which another process has brought; open the books anew")
    afar.books = Books(afar.engine())  # opened anew
    assert [each.result.value for each in afar.books.recover()] == ["applied"]


def test_what_comes_before_a_fault_of_the_same_card_is_done(home: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    home.ship(3)
    worker, executed = home.worker(lease=30), Batch._executed

    def breaks(self: Batch, work: Any, keys: list[str], most: int | None) -> object:
        if "ship1/1" in keys:
            raise StoreError("the database does not take it")
        return executed(self, work, keys, most)

    monkeypatch.setattr(Batch, "_executed", breaks)
    done = [each.key for each in worker.drain()]
    assert [key for key in done if key.startswith("ship1")] == ["ship1/0"]
    assert (len(done), worker.counts.leases, worker.counts.errors) == (10, 0, 1)
    monkeypatch.undo()
    home.now += timedelta(seconds=31)
    assert [each.key for each in worker.drain()] == ["ship1/1", "ship1/2"]
    assert in_order(journal(home), 4)


def test_a_card_that_somebody_has_locked_holds_up_no_other(home: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    home.ship(2)
    worker, executed, tried = home.worker(lease=30), Batch._executed, list[object]()

    def busy(self: Batch, work: Any, keys: list[str], most: int | None) -> object:
        tried.append(1)
        if any(key.startswith("ship1") for key in keys):
            raise StoreBusy("somebody else has c1")
        return executed(self, work, keys, most)

    monkeypatch.setattr(Batch, "_executed", busy)
    assert sorted({each.id for each in worker.drain()}) == ["p0", "p2", "p3"]
    assert (worker.counts.leases, worker.counts.errors) == (0, 0)
    monkeypatch.undo()
    assert worker.drain() == [], "not at once: it would be waited for again and again"
    home.now += timedelta(seconds=11)
    assert [each.key for each in home.worker("other").drain()] == ["ship1/0", "ship1/1"]


def test_a_row_that_is_locked_in_postgresql_is_waited_for_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "PATIENCE", 0.05)
    monkeypatch.setattr(parts, "BRIEFLY", 0.05)
    with postgres_url() as url:
        fleet = Fleet(url, LocalProvider())
        fleet.ship(1)
        with psycopg.connect(url) as other:
            other.execute("SELECT 1 FROM tallystick.gift_card WHERE id = 'c1' FOR UPDATE")
            assert sorted(each.id for each in fleet.worker().drain()) == ["p0", "p2", "p3"]
        fleet.now += timedelta(seconds=11)
        assert [each.key for each in fleet.worker().drain()] == ["ship1/0"]
        closed(fleet)


@pytest.mark.parametrize("lost", ["away", "unknown"])
def test_where_the_database_goes_away_between_two_parts_what_was_done_counts_and_no_lease_is_left(
    home: Fleet, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.ship(1)
    worker, executed, tried = home.worker(), Batch._executed, list[object]()

    def goes(self: Batch, work: Any, keys: list[str], most: int | None) -> object:
        tried.append(1)
        if len(tried) == 3:
            raise CommitUnknown("nobody knows") if lost == "unknown" else StoreError("nobody is there")
        if len(tried) == 1:
            raise StoreBusy("somebody has one of them")
        return executed(self, work, keys, most)

    with monkeypatch.context() as patch:
        patch.setattr(Batch, "_executed", goes)
        patch.setattr(worker_module, "is_away", lambda _, error: not isinstance(error, StoreBusy))
        done = worker.drain(2, until=lambda: len(tried) > 2)
    assert (worker.counts.leases, worker.counts.commands.total()) == (0, len(done))
    assert len(done) == len(journal(home)) == 1
    assert len(home.worker("other").drain()) == 3, "at once"


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
def test_a_page_that_another_process_has_brought_stops_no_older_worker(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    worker = fleet.worker()
    newer(fleet)
    keys = fleet.ship(1)
    assert sorted(each.key for each in worker.drain()) == keys
    assert worker.drain() == []
    said = [vars(each) for each in caplog.records if each.message == "command left alone"]
    version = reader.load()["gift_card"].version + 1
    why = f"gift_card 'new' runs on version {version}, which another process has brought; open the books anew"
    assert sorted((each["key"], each["why"]) for each in said) == [("later", why), ("newship", why)], "said once"
    fleet.books = Books(fleet.engine())  # opened anew


def test_a_worker_that_is_told_to_stop_ends_what_it_has_begun_and_releases_its_leases(afar: Fleet) -> None:
    keys = afar.ship(3)
    worker = afar.worker()
    remote(afar).before = lambda call: worker.stop()
    worker.run()
    assert worker.counts.commands == {"applied": 1}
    assert worker.stopping
    remote(afar).before = lambda call: None
    assert len(afar.worker("next").drain()) == len(keys) - 1, "at once, without waiting for its lease"
    assert in_order(journal(afar), 4)


def test_a_worker_that_is_told_to_stop_ends_the_transaction_that_it_has_begun(
    home: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is in it is done, nothing more is begun, and another goes on at once."""
    monkeypatch.setattr(worker_module, "ONE_TRANSACTION", 4)
    keys, worker, executed = home.ship(3), home.worker(), Batch._executed

    def told(self: Batch, work: Any, keys: list[str], most: int | None) -> object:
        worker.stop()
        return executed(self, work, keys, most)

    monkeypatch.setattr(Batch, "_executed", told)
    worker.run()
    monkeypatch.undo()
    done = journal(home)
    assert 4 <= len(done) < len(keys)
    assert (worker.counts.commands, worker.counts.leases) == ({"applied": len(done)}, 0)
    assert len(home.worker("next").drain()) == len(keys) - len(done)
    assert in_order(journal(home), 4)


@pytest.mark.slow
def test_a_worker_goes_on_once_its_database_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """All its connections are cut, again and again, in the midst of whatever it does."""
    with postgres_url() as url:
        fleet = Fleet(url, provider := Remote())
        keys = fleet.ship(6)
        provider.before = lambda call: time.sleep(0.01)
        worker = Worker(fleet.engine(), workers=3, lease=5, grace=timedelta(seconds=2), pause=0.01)
        monkeypatch.setattr(worker_module, "PAUSE", 0.01)
        working = threading.Thread(target=worker.run)
        working.start()
        cut, longest = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()", 60
        until = time.monotonic() + longest
        with psycopg.connect(url, autocommit=True) as connection:
            while len(journal(fleet)) < len(keys) and time.monotonic() < until:
                if worker.counts.errors < 8:
                    connection.execute(f"{cut} AND datname = current_database()")
                fleet.now += timedelta(seconds=1)
                time.sleep(0.05)
        worker.stop()
        working.join(longest)
        assert not working.is_alive()
        assert worker.counts.errors > 0
        assert sorted(journal(fleet)) == sorted(keys)
        assert [provider.settled(f"c{card}") for card in range(4)] == [[100, 200, 300, 400, 500, 600]] * 4
        closed(fleet)


@pytest.mark.parametrize("lease", [0, -1, 86_401, float("nan")])
def test_a_lease_is_a_time(fleet: Fleet, lease: float) -> None:
    with pytest.raises(Invalid, match="lease is a number of seconds"):
        Worker(fleet.books.engine, lease=lease)


def test_a_worker_of_another_provider_does_not_begin(fleet: Fleet) -> None:
    fleet.ship(1)
    fleet.provider = Remote() if fleet.provider.local else LocalProvider()
    with pytest.raises(StoreError, match="cannot go on with them"):
        fleet.worker()


@pytest.mark.parametrize("seed", range(5))
def test_any_chance_leads_to_the_same_end(home: Fleet, seed: int) -> None:
    home.ship(2)
    workers = [Worker(home.engine(), random=Random(seed + each)) for each in range(2)]
    for turn in range(40):
        workers[turn % 2].drain(1)
    assert home.redeemed() == ["3.00 BRL"] * 4
    assert in_order(journal(home), 4)
