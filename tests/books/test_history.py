"""The life of an entity as people read it: in Money and datetime, with the payment and the order it was for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import tallystick
from tallystick import Books, Money, Receipt
from tallystick.engine.receipt import Move
from tallystick.testing.contracts.changes import pages, second


def brl(text: str) -> Money:
    return Money.parse(text, "BRL")


@pytest.fixture(params=["memory:", "file"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Books]:
    url = request.param if request.param == "memory:" else str(tmp_path / "books.db")
    with tallystick.open(url) as opened:
        opened.sell_electronic("c", "50.00", "BRL", order="o-1", key="o-1/c", limits={"limit": "90.00"}, by="shop")
        opened.authorize("p", "c", "40.00", order="o-2", key="o-2/pay")
        opened.settle("p", "15.00", key="o-2/ship", keep_hold=False, invoice="i-7")
        opened.suspend("c", key="lost", by="ann", reason="it was lost")
        yield opened


def test_a_card_says_what_moved_and_for_which_order(books: Books) -> None:
    told = [(each.command, each.moves, each.payment, each.order) for each in books.history("gift_card", "c")]
    assert told == [
        ("create", (), None, None),
        ("allocate", (), None, "o-1"),
        ("activate", (), None, "o-1"),
        ("issue", (Move("issuance", "available", brl("50.00")),), None, "o-1"),
        ("hold", (Move("available", "held", brl("40.00")),), "p", "o-2"),
        ("redeem_hold", (Move("held", "available", brl("25.00")), Move("held", "spent", brl("15.00"))), "p", "o-2"),
        ("hold", (Move("available", "held", brl("25.00")),), "p", "o-2"),
        ("suspend", (), None, None),
    ]


def test_a_payment_says_its_card_and_its_order(books: Books) -> None:
    life = books.history("payment", "p")
    assert {(each.card, each.payment, each.order) for each in life} == {("c", "p", "o-2")}
    settled = life[2]
    assert (settled.transition, settled.from_state, settled.to_state) == (
        "settle_part",
        "authorized",
        "partially_settled",
    )
    assert settled.args == {"amount": brl("15.00"), "keep_hold": False, "invoice": "i-7"}
    assert settled.after == {
        "held": brl("0.00"), "uncovered": brl("25.00"), "redeemed": brl("15.00"), "in_doubt": brl("0.00"),
    }  # fmt: skip
    assert (settled.key, life[3].key) == ("o-2/ship", "o-2/ship>hold_again")


def test_an_entry_says_when_who_and_why(books: Books) -> None:
    entry = books.history("gift_card", "c")[-1]
    assert (entry.by, entry.reason, entry.key, entry.phase) == ("ann", "it was lost", "lost", "done")
    assert entry.at.tzinfo is not None
    assert timedelta() <= datetime.now(timezone.utc) - entry.at < timedelta(minutes=1)
    assert entry.revision == len(books.history("gift_card", "c"))


def test_facts_are_typed_and_card_numbers_masked(books: Books) -> None:
    life = books.history("gift_card", "c")
    assert life[0].facts == {"form": "electronic", "kind": "gift", "limit": brl("90.00"), "hard_limit": False}
    number = books.card("c").number
    assert number is not None
    assert life[1].facts == {"number": f"…{number[-4:]}", "has_pin": None}
    assert not any(number in text for each in life for text in (repr(each), str(each.args), str(each.facts)))


def test_what_a_provider_was_asked_has_its_phases() -> None:
    with tallystick.open("memory:", provider="scripted") as books:
        books.sell_electronic("c", "50", "points", order="o", key="s")
        issued = [each for each in books.history("gift_card", "c") if each.command == "issue"]
        assert [each.phase for each in issued] == ["asked", "confirmed"]
        assert [each.moves for each in issued] == [
            (Move("issuance", "in_doubt", Money(50, "points")),), (Move("in_doubt", "available", Money(50, "points")),),
        ]  # fmt: skip
        assert len({each.call for each in issued}) == 1
        assert issued[0].order == issued[1].order == "o"


def test_an_old_entry_is_read_by_the_page_it_was_written_under(tmp_path: Path) -> None:
    from tallystick.books.open import connected
    from tallystick.provider.local import LocalProvider
    from tallystick.store.open import open_store

    url = str(tmp_path / "books.db")
    with tallystick.open(url) as before:
        before.sell_electronic("c", "50.00", "BRL", order="o", key="s", limits={"limit": "90.00"})
        before.reload("c", "1.00", key="more")
        told = before.history("gift_card", "c")
    renamed = pages(gift_card=lambda text: second(text).replace("reload", "top_up"))
    with Books(connected(renamed, open_store(url), LocalProvider())) as after:
        assert after.history("gift_card", "c") == told
        assert after.engine.machines["gift_card"].version > after.engine.machines.versions("gift_card")[0].version


def test_a_receipt_speaks_money(books: Books) -> None:
    receipt: Receipt = books.cancel("p", key="back")
    assert receipt.before["held"] == brl("25.00")
    assert receipt.after == {name: brl("0.00") if name != "redeemed" else brl("15.00") for name in receipt.after_minor}
    assert (receipt.before_minor["held"], receipt.after_minor["held"]) == (2500, 0)
    assert receipt.money("redeemed") == receipt.after["redeemed"] == brl("15.00")
    assert receipt.moves == (Move("held", "card", brl("25.00")),)
    refused = books.engine.try_execute(tallystick.Command("payment", "p", "cancel", {}, "again"))
    assert (refused.before, refused.after, refused.moves) == ({}, {}, ())


def test_entries_add_up(books: Books) -> None:
    """What a report would do with them."""
    spent = sum(
        (move.amount for entry in books.history("gift_card", "c") for move in entry.moves if move.target == "spent"),
        Money.zero("BRL"),
    )
    assert spent == brl("15.00")
