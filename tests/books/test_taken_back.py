"""A sold card comes back: what is left on it comes off against what was sold, and nobody can use it ever again.

Other systems gave the whole price back although some of it was spent, or left a card that anybody could reload.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import tallystick
from clutch_world import World
from tallystick import Books, Money, Refused, reports
from tallystick.provider.scripted import ScriptedProvider


def brl(text: str) -> Money:
    return Money.parse(text, "BRL")


@pytest.fixture(params=["local", "remote"])
def books(request: pytest.FixtureRequest) -> Iterator[Books]:
    remote = {} if request.param == "local" else {"provider": ScriptedProvider()}
    with tallystick.open("memory:", **remote) as opened:
        opened.sell_electronic("c", "50.00", "BRL", order="sale", key="sale")
        yield opened
        assert opened.verify().clean
        assert not opened.stuck()


def test_what_is_left_comes_back_and_what_was_spent_stays_spent(books: Books) -> None:
    books.redeem("p", "c", "20.00", order="o", key="pay")
    receipt = books.take_back("c", key="return", by="ann", reason="the order came back")
    assert (receipt.before["available"], receipt.moves[-1].target) == (brl("30.00"), "issuance")
    assert (receipt.state, books.card("c").available) == ("taken_back", brl("0.00"))
    assert books.payment("p").redeemed == brl("20.00")
    assert books.take_back("c", key="return", by="ann", reason="the order came back").replayed


def test_it_is_sold_no_more(books: Books) -> None:
    """The figures: what was sold, what of it came back, and nothing that is owed."""
    books.take_back("c", key="return")
    (row,) = reports.rollforward(books, by=("currency",)).rows
    assert (row["issued"], row["taken_back"], row["closing"]) == (5000, -5000, 0)
    assert not reports.liability(books).rows


@pytest.mark.parametrize("command", ["reinstate", "suspend", "reload", "credit", "adjust", "observe", "hold", "refund"])
def test_it_has_ended_for_good(books: Books, command: str) -> None:
    books.take_back("c", key="return")
    args = {"adjust": {"amount": "1.00"}, "observe": {"balance": "1.00"}}.get(command, {"amount": "1.00"})
    args = {} if command in ("reinstate", "suspend") else args
    refusal = books.may("gift_card", "c", command, **args).refusal
    assert refusal is not None
    assert "sold no more" in refusal.why or "taken back" in refusal.why


def test_what_it_paid_for_goes_back_to_another_card(books: Books) -> None:
    books.redeem("p", "c", "20.00", order="o", key="pay")
    books.take_back("c", key="return")
    with pytest.raises(Refused, match="taken back"):
        books.refund("p", "20.00", key="refund")
    books.refund_to_new("p", "20.00", "credit", key="refund to a new one")
    assert books.card("credit").available == brl("20.00")


def test_while_an_order_holds_something_nothing_is_changed(books: Books) -> None:
    books.authorize("p", "c", "20.00", order="o", key="hold")
    with pytest.raises(Refused, match="Orders hold something"):
        books.take_back("c", key="return")
    assert books.card("c").state == "issued"
    books.cancel("p", key="cancel")
    assert books.take_back("c", key="return").state == "taken_back"


def test_of_nothing_nothing_comes_back(books: Books) -> None:
    books.redeem("p", "c", "50.00", order="o", key="pay")
    with pytest.raises(Refused, match="Nothing is left"):
        books.take_back("c", key="return")
    assert books.card("c").state == "issued"


@pytest.mark.parametrize(("kind", "where"), [("promo", "promotion"), ("merchandise_credit", "returned")])
def test_what_was_given_was_never_sold_and_goes_back_to_where_it_came_from(books: Books, kind: str, where: str) -> None:
    books.sell_electronic("g", "10.00", "BRL", order="g", key="g", kind=kind)
    assert books.take_back("g", key="return").moves[-1].target == where
    rows = {row["kind"]: row for row in reports.rollforward(books, by=("kind",)).rows}
    assert (rows[kind]["taken_back"], rows[kind]["closing"], rows["gift"]["taken_back"]) == (-1000, 0, 0)


def test_a_card_that_somebody_has_suspended_is_taken_back_too(books: Books) -> None:
    books.suspend("c", key="under review")
    for _ in range(2):
        assert books.take_back("c", key="return").state == "taken_back"


def test_a_lost_card_whose_value_has_moved_is_not_the_one_to_take_back(books: Books) -> None:
    books.replace("c", "c2", key="lost")
    with pytest.raises(Refused, match="Another card carries its value"):
        books.take_back("c", key="return")
    books.take_back("c2", key="return the new one")
    assert books.card("c2").state == "taken_back"


def test_at_clutch_nothing_is_on_it_and_it_is_suspended() -> None:
    world = World()
    world.card()
    world.sure("gift_card", "c1", "suspend")
    world.sure("gift_card", "c1", "take_back", amount="50.00")
    number = str(world.entity("gift_card", "c1").facts["number"])
    assert world.sandbox.balances(number).get("USD", 0) == 0
    world.agree()
