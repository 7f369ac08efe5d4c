"""A card of another channel enters the books, with the balance that its provider tells."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import tallystick
from clutch_world import World
from tallystick.books.books import Books
from tallystick.engine.verify import verify
from tallystick.errors import Invalid, MoneyError
from tallystick.money import Money
from tallystick.testing.referee import judge
from tallystick.testing.store_rows import rows_of

PRINTED = "6006-9000-0000-0077"


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    assert made.differences() == []


def sold_elsewhere(world: World, amount: float = 30.0) -> tuple[str, str | None]:
    """Number and PIN of a card that a store has sold."""
    headers = {**world.sandbox.headers(), "location": "store-7", "x-sandbox-fault": "none"}
    body = json.dumps({"cardSetId": "GIFT"}).encode()
    drawn = world.sandbox.handle("allocate", headers, body).json()
    value = {"balanceType": "Currency", "balanceCode": "USD", "amount": amount}
    body = json.dumps({"cardNumber": drawn["cardNumber"], "action": "issue", "amount": value}).encode()
    assert world.sandbox.handle("updateBalance", headers, body).status == 200
    return drawn["cardNumber"], drawn.get("pin")


def test_the_provider_is_asked_what_is_on_it(world: World) -> None:
    books = Books(world.engine)
    number, pin = sold_elsewhere(world)
    printed = f"{number[:4]} {number[4:]}"
    receipt = books.recognize("w", printed, currency="USD", key="seen", pin=pin)
    assert (receipt.state, str(receipt.money("available"))) == ("issued", "30.00 USD")
    assert books.card("w").number == number
    assert books.authorize("p", "w", "12.00", order="o", key="hold", pin=pin).applied
    again = books.recognize("w", printed, currency="USD", key="seen", pin=pin)  # the balance is another one by now
    assert (again.replayed, str(again.money("available")), str(books.card("w").available)) == (
        True, "30.00 USD", "18.00 USD"
    )  # fmt: skip
    with pytest.raises(tallystick.KeyReused):
        books.recognize("w", printed, currency="USD", key="seen", balance="31.00")


def test_a_no_of_the_provider_leaves_nothing(world: World) -> None:
    books = Books(world.engine)
    number, _ = sold_elsewhere(world)
    with pytest.raises(tallystick.Declined, match=r"…\d{4} is not known: the provider says no \(wrong_pin\)"):
        books.recognize("w", number, currency="USD", key="seen", pin="0000")
    with pytest.raises(tallystick.Declined, match="unknown_card"):
        books.recognize("w", "4831000000000000", currency="USD", key="seen")
    world.line.reading_faults = ["lost_before"] * 20
    with pytest.raises(tallystick.Unavailable, match="could not be asked"):
        books.recognize("w", number, currency="USD", key="seen")
    with pytest.raises(tallystick.NotFound):
        books.card("w")
    world.line.reading_faults = []
    assert books.recognize("w", number, currency="USD", key="seen").applied


def test_nobody_is_asked_about_a_card_that_the_books_have(world: World) -> None:
    books = Books(world.engine)
    number = str(world.card().facts["number"])
    sent = len(world.line.sent)
    with pytest.raises(tallystick.Refused, match="is that of gift_card 'c1'"):
        books.recognize("w", f" {number} ", currency="USD", key="seen")
    assert len(world.line.sent) == sent


@pytest.fixture
def local() -> Iterator[Books]:
    with tallystick.open("memory:") as books:
        yield books
        assert verify(books.engine.machines, books.engine.store).findings == ()
        assert judge(rows_of(books.engine.store)) == []


def test_our_own_books_have_to_be_told(local: Books) -> None:
    with pytest.raises(Invalid, match="say what is on it"):
        local.recognize("w", PRINTED, currency="BRL", key="seen")
    receipt = local.recognize("w", PRINTED, currency="BRL", key="seen", balance="12.50", form="electronic", by="ann")
    card = local.find("6006 9000 0000 0077", "BRL")
    assert card is not None
    assert (card.id, card.form, str(card.available), receipt.command) == ("w", "electronic", "12.50 BRL", "recognize")
    assert local.recognize("w", PRINTED, currency="BRL", key="seen", form="electronic").replayed
    assert [each.by for each in local.history("gift_card", "w")] == ["ann", "ann"]
    points = local.recognize("w/points", PRINTED, currency="points", key="more", balance=Money(100, "points"))
    assert points.applied  # another balance of the card


@pytest.mark.parametrize("balance", ["-0.01", "1.234", "x", ""])
def test_a_balance_that_cannot_be_leaves_nothing(local: Books, balance: str) -> None:
    with pytest.raises((Invalid, MoneyError, tallystick.Refused)):
        local.recognize("w", PRINTED, currency="BRL", key="seen", balance=balance)
    with pytest.raises(tallystick.NotFound):
        local.card("w")
