"""A card number is one number however it is typed: with blanks, separators, in any case."""

from __future__ import annotations

import pytest

import tallystick
from tallystick.core.arguments import plain_number
from tallystick.engine.sealing import new_key

TYPED = [
    ("6006-9000-0000-0077", "6006900000000077"),
    (" 6006 9000 0000 0077\n", "6006900000000077"),
    ("6006\u00a09000\u20110000\u200b0077", "6006900000000077"),  # pasted from a page: a hard blank, a hard hyphen, nothing
    ("\uff16\uff10\uff10\uff16", "6006"),  # full width, from a phone
    ("abcd-efgh", "ABCDEFGH"),
    ("6006.9000/0000_0077", "6006900000000077"),
    (" - ", ""),
    ("", ""),
]  # fmt: skip


@pytest.mark.parametrize(("typed", "plain"), TYPED)
def test_what_people_put_between_does_not_count(typed: str, plain: str) -> None:
    assert plain_number(typed) == plain
    assert plain_number(plain) == plain


@pytest.fixture(params=["readable", "sealed"])
def books(request: pytest.FixtureRequest) -> tallystick.Books:
    return tallystick.open("memory:", seal_key=new_key() if request.param == "sealed" else None)


def blank(books: tallystick.Books, id: str, currency: str = "BRL") -> None:
    books.engine.execute("gift_card", id, "create", {"form": "physical", "currency": currency}, key=id)


def test_a_card_is_found_as_its_number_is_printed(books: tallystick.Books) -> None:
    number = books.sell_electronic("c1", "50.00", "BRL", order="o", key="k").number
    assert number is not None
    groups = [number[at : at + 4] for at in range(0, 16, 4)]
    for typed in (number, "-".join(groups), " ".join(groups), f" {number}", f"{number}\n"):
        found = books.find(typed)
        assert found is not None
        assert (found.id, found.number) == ("c1", number)
    assert books.find("") is None
    assert books.find(" - ") is None


@pytest.mark.parametrize("typed", ["abcd-efgh", "ABCD EFGH", "AbCdEfGh ", "ABCD_EFGH"])
def test_no_second_card_gets_a_number_that_is_typed_otherwise(books: tallystick.Books, typed: str) -> None:
    for id in ("l", "u"):
        blank(books, id)
    books.engine.execute("gift_card", "l", "activate", {"number": "abcdefgh"}, key="first")
    with pytest.raises(tallystick.Refused, match="is that of gift_card 'l'"):
        books.engine.execute("gift_card", "u", "activate", {"number": typed}, key="second")


def test_blanks_are_no_number(books: tallystick.Books) -> None:
    blank(books, "c")
    with pytest.raises(tallystick.Refused, match="with the number that is scanned"):
        books.engine.execute("gift_card", "c", "activate", {"number": " - "}, key="k")
    with pytest.raises(tallystick.Invalid, match="is missing"):
        books.engine.execute("gift_card", "c", "recognize", {"number": " ", "balance": "1.00"}, key="r")
    with pytest.raises(tallystick.Invalid, match="cannot be printed"):
        books.engine.execute("gift_card", "c", "activate", {"number": "6006\ud800"}, key="s")


def test_a_key_said_again_may_have_its_number_typed_otherwise(books: tallystick.Books) -> None:
    blank(books, "c")
    for typed in ("6006 9000 77", "6006-9000-77", "6006900077"):
        receipt = books.engine.execute("gift_card", "c", "activate", {"number": typed}, key="k")
    assert receipt.replayed
    with pytest.raises(tallystick.KeyReused):
        books.engine.execute("gift_card", "c", "activate", {"number": "6006900078"}, key="k")
    assert books.verify().findings == ()


@pytest.mark.parametrize("first", ["a", "z"])
def test_of_several_balances_the_currency_says_which(books: tallystick.Books, first: str) -> None:
    ids = {"points": first, "BRL": "m"}
    for currency, id in ids.items():
        blank(books, id, currency)
        given = {"number": "6006900000000077", "balance": "50" if currency == "points" else "50.00"}
        books.engine.execute("gift_card", id, "recognize", given, key=f"{id}/r")
    for currency, id in ids.items():
        found = books.find("6006-9000-0000-0077", currency)
        assert found is not None
        assert (found.id, found.currency) == (id, currency)
    assert books.find("6006900000000077", currency="USD") is None
    found = books.find("6006900000000077")  # not by chance of its id
    assert found is not None
    assert found.currency == "BRL"
