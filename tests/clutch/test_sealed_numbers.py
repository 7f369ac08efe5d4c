"""Sealed books beside Clutch's: everything works as in readable ones, and no card number is in any byte of ours.

Lost answers, processes that die, look-ups, people who decide, reconciliation: Clutch hears the numbers, the books do not.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from test_traffic import Traffic

from clutch_world import Ended, World
from tallystick.books.balance import BalanceDesk, BalanceSettings, Said
from tallystick.books.books import Books
from tallystick.books.reconciling.differences import DifferenceCode
from tallystick.books.reconciling.reconcile import reconcile
from tallystick.clutch.sandbox import CardSet
from tallystick.core.refusal import Code as No
from tallystick.engine.sealing import READABLE, Numbers, SealedNumbers, new_key
from tallystick.errors import StoreError
from tallystick.store.open import open_store
from tallystick.store.protocol import Store

NUMBERS = SealedNumbers(new_key())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


@pytest.fixture
def world(file: Path) -> World:
    return World(store=open_store(str(file)), numbers=NUMBERS)


def numbers_of(world: World) -> list[str]:
    """Every number that Clutch has, drawn, scanned or not."""
    return [number for (number,) in world.sandbox._ledger.sql("select number from card")]


def left_in(file: Path, store: Store, numbers: list[str]) -> list[str]:
    """Numbers in any byte of the database, of its log, and of the database once it is closed."""
    while_open = [each.read_bytes() for each in file.parent.iterdir()]
    store.close()
    kept = b"".join([*while_open, *(each.read_bytes() for each in file.parent.iterdir())])
    return [number for number in numbers if number.encode() in kept]


def test_readable_books_are_seen_to_have_numbers(file: Path) -> None:
    world = World(store=open_store(str(file)))
    number = str(world.card("c1").facts["number"])
    assert left_in(file, world.store, numbers_of(world)) == [number]


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 24))])
def test_both_books_agree_in_mixed_traffic(seed: int, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "books.db") if seed % 4 == 0 else "memory:")
    run = Traffic(seed, store=store, numbers=NUMBERS)
    run.run(20 + seed % 21)
    run.world.agree()
    heard = {number for (number,) in run.world.sandbox._ledger.sql("select distinct number from history")}
    assert {each.facts["number"] for each in run.world.cards()} <= heard
    if seed % 4 == 0:
        assert left_in(tmp_path / "books.db", store, numbers_of(run.world)) == []


@pytest.mark.parametrize("fault", ["lost_before", "lost_after", "500_after", "429"])
def test_a_lost_activation_by_a_scanned_number_and_a_lost_hold_are_recovered(
    world: World, file: Path, fault: str
) -> None:
    scanned = world.sandbox.inventory("PLASTIC")[0]
    world.sure("gift_card", "c", "create", form="physical", currency="USD")
    world.line.faults = [fault]
    first = world.do("gift_card", "c", "activate", "ship", number=scanned)
    world.start()  # another process
    world.end()
    done = world.do("gift_card", "c", "activate", "ship", number=scanned)
    assert (first.result, done.result) in [
        (Ended.IN_DOUBT, Ended.APPLIED), (Ended.UNAVAILABLE, Ended.APPLIED),
    ]  # fmt: skip
    world.sure("gift_card", "c", "issue", amount="50.00")
    world.payment("p", None, "c")
    world.line.faults = [fault]
    world.do("payment", "p", "authorize", "hold", amount="20.00")
    world.start()
    world.end()
    assert world.do("payment", "p", "authorize", "hold", amount="20.00").applied
    world.agree()
    assert world.entity("gift_card", "c").facts["number"] == scanned
    assert left_in(file, world.store, [scanned]) == []


def test_a_scanned_number_waits_in_the_queue_sealed(world: World, file: Path) -> None:
    scanned = world.sandbox.inventory("PLASTIC")[0]
    world.sure("gift_card", "c", "create", form="physical", currency="USD")
    later = world.clock.now.replace(year=2027)
    args = {"number": scanned}
    waits = world.engine.execute("gift_card", "c", "activate", args, key="ship", due=later)
    assert waits.result is Ended.DEFERRED
    assert world.engine.execute("gift_card", "c", "activate", args, key="ship", due=later) == waits
    world.clock.now = later
    (done,) = world.engine.run_due()
    assert done.applied
    assert world.entity("gift_card", "c").facts["number"] == scanned
    assert world.engine.execute("gift_card", "c", "activate", args, key="ship").replayed
    assert left_in(file, world.store, [scanned]) == []


def test_a_person_says_which_number_was_drawn(world: World, file: Path) -> None:
    world.sure("gift_card", "c", "create", form="electronic", currency="USD", card_set="GIFT")
    world.line.faults = ["lost_after"]
    call = world.do("gift_card", "c", "allocate").call
    assert call is not None
    (drawn,) = {each for each in numbers_of(world) if world.at_clutch(each)}
    world.engine.resolve(call, "confirmed", by="ann", reason="the portal", number=drawn)
    assert world.entity("gift_card", "c").facts["number"] == drawn
    world.sure("gift_card", "c", "activate")
    world.agree()
    assert left_in(file, world.store, [drawn]) == []


def test_one_number_is_one_card_and_all_its_balances_are_suspended(world: World) -> None:
    scanned = world.sandbox.inventory("PLASTIC")[0]
    for id, currency in (("a", "USD"), ("b", "USD"), ("points", "points")):
        world.sure("gift_card", id, "create", form="physical", currency=currency)
    world.sure("gift_card", "a", "activate", number=scanned)
    world.sure("gift_card", "a", "issue", amount="5.00")
    world.sure("gift_card", "points", "recognize", number=scanned, balance="10")
    taken = world.do("gift_card", "b", "activate", number=scanned).refusal
    assert taken is not None
    assert taken.code is No.TAKEN
    assert f"the number …{scanned[-4:]} is that of gift_card 'a'" in taken.why
    world.sure("gift_card", "points", "suspend")
    assert [world.entity("gift_card", id).state for id in ("a", "points")] == ["suspended"] * 2
    assert world.sandbox.status(scanned) == "suspended"


def test_reconciliation_reads_and_posts(world: World, file: Path) -> None:
    card = world.card("c1", "50.00")
    world.payment("p1", "20.00", "c1")
    number = str(card.facts["number"])
    assert reconcile(world.engine).clean
    world.sandbox.spend_elsewhere(number, 700)
    found = reconcile(world.engine, apply=True, by="ann", reason="the shop")
    assert {each.code for each in found.findings} == {DifferenceCode.BALANCE, DifferenceCode.LINE_ONLY_THEIRS}
    assert {each.number for each in found.findings} == {f"…{number[-4:]}"}
    assert found.remaining == ()
    assert reconcile(world.engine).clean
    assert left_in(file, world.store, [number]) == []


def test_a_number_that_somebody_changed_goes_nowhere(world: World, file: Path) -> None:
    world.card("c1", "50.00")
    world.payment("p1")
    world.sure("payment", "p1", "authorize", amount="5.00")
    world.line.faults = ["lost_after"]
    lost = world.do("payment", "p1", "settle", amount="5.00", last=True)
    connection = sqlite3.connect(file)
    for change in ("substr(number, 1, length(number) - 4) || '0000'", "'4831000000000000'"):
        connection.execute(f"update gift_card set number = {change}")
        connection.commit()
        assert left_open(world) == {lost.call: "a card number in the books cannot be opened: it was changed there, "
                                               "or never was sealed"}  # fmt: skip
        world.sure("payment", f"p{len(change)}", "create", order="o", card="c1", currency="USD")
        sent = len(world.line.sent)
        turned_away = world.do("payment", f"p{len(change)}", "authorize", amount="1.00")
        assert turned_away.result is Ended.UNAVAILABLE
        assert "nothing was sent: a card number in the books cannot be opened" in turned_away.why
        assert len(world.line.sent) == sent
        with pytest.raises(StoreError, match="cannot be opened"):
            Books(world.engine).card("c1")
    connection.close()


def left_open(world: World) -> dict[str, str | None]:
    """What a look-up leaves open, and why."""
    world.clock.on(minutes=5)
    world.engine.recover()
    return {row.id: row.note for row in world.calls() if row.state == "open"}


def test_a_changed_number_is_not_judged_by_reconciliation(world: World, file: Path) -> None:
    world.card("c1", "50.00")
    with sqlite3.connect(file) as connection:
        connection.execute("update gift_card set number = 'sealed:AAAA:0281'")
    connection.close()
    (found,) = reconcile(world.engine).findings
    assert (found.code, found.number) == (DifferenceCode.UNREAD, "…0281")
    assert "cannot be opened" in found.what


def test_balances_are_asked_for_by_number_and_noted_under_what_is_sealed(
    world: World, file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("TALLYSTICK_KEY", raising=False)
    known = world.card("c1", "50.00")
    number, pin = str(known.facts["number"]), world.pins["c1"]
    other = world.sandbox.inventory("PLASTIC")[0]
    world.sure("gift_card", "away", "create", form="physical", currency="USD")
    world.sure("gift_card", "away", "activate", number=other)
    settings = BalanceSettings(answer_every=0, recognize="electronic", observe=True)
    desk = BalanceDesk(world.engine, "USD", settings)
    assert "TALLYSTICK_KEY is not set" not in caplog.text  # its hashes are made with what the seal's key gives
    assert world.store.load("key") is None
    answer = desk.check(number, pin, client="x")
    assert (answer.said, answer.card, answer.available and str(answer.available)) == (Said.FOUND, "c1", "50.00 USD")
    sealed = world.numbers.seal(number)
    assert desk.check(sealed, pin, client="x").said is Said.NOT_FOUND  # what is sealed is no card's number
    assert left_in(file, world.store, [number, other]) == []


def test_a_card_first_seen_enters_sealed(file: Path) -> None:
    world = World(store=open_store("memory:"), sets={"GIFT": 4, "PLASTIC": CardSet(4, physical=True)})
    card = world.card("c1", "50.00")
    number, pin = str(card.facts["number"]), world.pins["c1"]
    store = open_store(str(file))
    ours = World(store=store, numbers=NUMBERS)
    ours.sandbox, ours.line, ours.clock = world.sandbox, world.line, world.clock
    ours.start()
    desk = BalanceDesk(ours.engine, "USD", BalanceSettings(answer_every=0, recognize="electronic"))
    first, second = desk.check(number, pin, client="x"), desk.check(number, pin, client="x")
    assert first.card is not None
    assert first.card == second.card
    assert ours.entity("gift_card", first.card).facts["number"] == number
    found = Books(ours.engine).find(number)
    assert found is not None
    assert (found.id, found.number, found.masked) == (first.card, number, f"…{number[-4:]}")
    assert left_in(file, store, [number]) == []


def test_the_same_story_in_readable_books_has_the_same_entries() -> None:
    """But for the numbers themselves, nothing in the journal tells sealed books from readable ones."""

    def journal(numbers: Numbers) -> list[tuple[object, ...]]:
        run = Traffic(3, store=open_store("memory:"), numbers=numbers)
        run.run(30)
        with run.world.store.reading() as reading:
            return [
                (each.machine, each.entity, each.revision, each.transition, each.phase, each.to_state, each.postings)
                for each in reading.journal()
            ]

    assert journal(NUMBERS) == journal(READABLE)
