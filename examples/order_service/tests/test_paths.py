"""Each thing that an order can go through, once, with our own books as the provider."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import CursorResult, text

from order_service import cards, checkout, compare, orders, paying, worker
from order_service.checkout import Typed, UnknownCard
from order_service.database import Shop
from order_service.models import Checkout, Line, LostCard, Order, SoldCard
from tallystick import Books


@pytest.fixture
def wallet(shop: Shop) -> list[Typed]:
    """Two gift cards with 50.00 and 30.00."""
    return [sold(shop, "g1", 5000), sold(shop, "g2", 3000)]


def sold(shop: Shop, card: str, amount: int) -> Typed:
    assert cards.sell(shop, f"{card}-order", "ann", amount, "electronic", "visa", card) == "paid"
    worker.run_once(shop)
    number = shop.books.card(card).number
    assert number is not None
    return Typed(number)


def available(shop: Shop, *ids: str) -> list[int]:
    return [shop.books.card(card).available.minor for card in ids]


def payment(shop: Shop, order: str, card: str) -> str:
    """What a card pays of an order, by its id in the books."""
    (found,) = (each.id for each in shop.books.payments(order) if each.card == card)
    return found


def agree(shop: Shop) -> None:
    """Everything that may be done is done, and nothing differs."""
    for _ in range(3):
        worker.run_once(shop)
    assert (compare.unfinished(shop), list(compare.differences(shop))) == ([], [])


def state(shop: Shop, order: str) -> str:
    with shop.read() as session:
        return session.get_one(Order, order).state


def test_an_order_is_paid_by_two_cards_and_ships_in_parts(shop: Shop, wallet: list[Typed]) -> None:
    assert checkout.place(shop, "o", "ann", [4000, 2000, 1000], wallet) == "paid"
    assert available(shop, "g1", "g2") == [0, 1000]
    orders.ship(shop, "o", ["o-1"])
    orders.ship(shop, "o", ["o-2", "o-3"])
    assert len(compare.unfinished(shop)) == 3  # g1 settles twice, g2 once: later, by the job
    agree(shop)
    assert state(shop, "o") == "complete"


def test_a_declined_second_card_leaves_nothing_held_and_the_customer_tries_again(
    shop: Shop, wallet: list[Typed]
) -> None:
    """The plan was made, and then another checkout took what was on the second card."""
    with shop.write() as session:
        order = checkout.new_order("o", "ann", [7000], None, "USD")
        session.add_all([order, checkout._checkout(shop, "o/pay-1", order, [["g1", 5000], ["g2", 2000]], 0, None)])
    shop.books.authorize("elsewhere", "g2", "20.00", order="x", key="x")
    checkout.advance(shop, "o/pay-1", {})
    assert (state(shop, "o"), available(shop, "g1", "g2")) == ("unpaid", [5000, 1000])
    assert checkout.pay(shop, "o", wallet, token="visa", number=2) == "paid"
    assert available(shop, "g1", "g2") == [0, 0]
    shop.books.cancel("elsewhere", key="x2")
    agree(shop)


def test_an_order_is_not_paid_twice_by_who_presses_twice(
    shop: Shop, wallet: list[Typed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first try has held nothing yet when the second comes."""
    monkeypatch.setattr(paying, "hold", lambda *_: (_ for _ in ()).throw(paying.NotYet("asked")))
    assert checkout.place(shop, "o", "ann", [2000], wallet) == "paying"
    monkeypatch.undo()
    assert checkout.pay(shop, "o", wallet[1:], number=2) == "paying"
    assert available(shop, "g1", "g2") == [5000, 3000]
    assert checkout.pay(shop, "o", wallet, number=1) == "paid"
    assert available(shop, "g1", "g2") == [3000, 3000]
    agree(shop)


def test_who_was_too_slow_gives_back_what_it_holds(
    shop: Shop, wallet: list[Typed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process fell asleep before it asked the cards, and a worker gave the checkout up meanwhile."""
    hold = paying.hold

    def slowly(books: Books, begun: Checkout, pins: Mapping[str, str]) -> list[paying.Held]:
        checkout.advance(shop, begun.id)
        return hold(books, begun, pins)

    monkeypatch.setattr(paying, "hold", slowly)
    assert checkout.place(shop, "o", "ann", [6000], wallet) == "unpaid"
    assert available(shop, "g1", "g2") == [5000, 3000]
    agree(shop)


def test_who_was_too_slow_leaves_alone_what_a_worker_went_on_with(
    shop: Shop, wallet: list[Typed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process fell asleep when the cards had answered. A worker saw that all is held, and the order was paid."""
    hold = paying.hold

    def slowly(books: Books, begun: Checkout, pins: Mapping[str, str]) -> list[paying.Held]:
        held = hold(books, begun, pins)
        checkout.advance(shop, begun.id)
        return held

    monkeypatch.setattr(paying, "hold", slowly)
    assert checkout.place(shop, "o", "ann", [6000], wallet) == "paid"
    assert available(shop, "g1", "g2") == [0, 2000]
    orders.ship(shop, "o", ["o-1"])
    agree(shop)


def test_what_a_dead_process_held_too_late_is_given_back(
    shop: Shop, wallet: list[Typed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fell asleep before it asked the cards, a worker gave the checkout up, and it died when it had asked them."""
    hold = paying.hold

    def dying(books: Books, begun: Checkout, pins: Mapping[str, str]) -> list[paying.Held]:
        checkout.advance(shop, begun.id)
        hold(books, begun, pins)
        raise KeyboardInterrupt

    monkeypatch.setattr(paying, "hold", dying)
    with pytest.raises(KeyboardInterrupt):
        checkout.place(shop, "o", "ann", [6000], wallet)
    assert available(shop, "g1", "g2") == [0, 2000]
    agree(shop)
    assert (available(shop, "g1", "g2"), state(shop, "o")) == ([5000, 3000], "unpaid")


def test_a_try_is_not_paid_by_what_an_earlier_one_holds_too_late(
    shop: Shop, wallet: list[Typed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first try was given up; the second one's process dies before it asks the cards; then the first one asks."""
    hold, asked = paying.hold, []

    def slowly(books: Books, begun: Checkout, pins: Mapping[str, str]) -> list[paying.Held]:
        asked.append(begun.id)
        if len(asked) > 1:
            raise KeyboardInterrupt
        checkout.advance(shop, "o/pay-1")
        with pytest.raises(KeyboardInterrupt):
            checkout.pay(shop, "o", wallet, number=2)
        held = hold(books, begun, pins)
        checkout.advance(shop, "o/pay-2")  # a worker looks what the second one holds: nothing
        return held

    monkeypatch.setattr(paying, "hold", slowly)
    assert checkout.place(shop, "o", "ann", [2000], wallet) == "unpaid"
    assert asked == ["o/pay-1", "o/pay-2"]
    assert available(shop, "g1", "g2") == [5000, 3000]
    agree(shop)


def test_a_hold_that_somebody_placed_by_hand_is_in_nobodys_way(shop: Shop, wallet: list[Typed]) -> None:
    with shop.write() as session:
        session.add(checkout.new_order("o", "ann", [1000], None))
    with shop.write() as session:
        session.get_one(Order, "o").state = "unpaid"
    shop.books.authorize("by-hand", "g1", "5.00", order="o", key="by-hand")
    shop.books.authorize("by-hand-2", "g2", "5.00", order="o", key="by-hand-2")
    found = checkout.forgotten(shop) + checkout.forgotten(shop)  # what is not a millisecond old is found by the second
    assert found == ["by-hand", "by-hand-2"]
    assert available(shop, "g1", "g2") == [5000, 3000]


@pytest.mark.parametrize(("late", "price", "left"), [("hold", 2000, [3000, 3000]), ("give_back", 9000, [0, 3000])])
def test_who_was_too_slow_leaves_alone_what_the_next_try_holds(
    shop: Shop, wallet: list[Typed], monkeypatch: pytest.MonkeyPatch, late: str, price: int, left: list[int]
) -> None:
    """A process fell asleep; meanwhile its checkout was given up, and the customer has paid by another one."""
    deed, asleep = getattr(paying, late), []

    def slowly(*args: Any) -> Any:
        asleep.append(late)
        monkeypatch.undo()
        checkout.advance(shop, "o/pay-1")
        assert checkout.pay(shop, "o", wallet[:1], token="visa", number=2) == "paid"
        return deed(*args)

    monkeypatch.setattr(paying, late, slowly)
    checkout.place(shop, "o", "ann", [price], wallet, token="visa-declines")
    assert asleep == [late]
    assert (available(shop, "g1", "g2"), state(shop, "o")) == (left, "paid")
    agree(shop)


def test_a_declined_credit_card_gives_the_gift_cards_back(shop: Shop, wallet: list[Typed]) -> None:
    assert checkout.place(shop, "o", "ann", [9000], wallet, token="visa-declines") == "unpaid"
    assert available(shop, "g1", "g2") == [5000, 3000]
    assert checkout.place(shop, "o", "ann", [9000], wallet, token="visa-declines") == "unpaid"  # said again
    assert checkout.pay(shop, "o", wallet, token="visa", number=2) == "paid"
    agree(shop)


def test_goods_over_the_counter_are_voided_when_the_credit_card_fails(shop: Shop, wallet: list[Typed]) -> None:
    assert checkout.buy_at_once(shop, "o", "ann", [6000], wallet[0], token="visa-declines") == "unpaid"
    assert available(shop, "g1") == [5000]
    assert checkout.buy_at_once(shop, "o2", "ann", [6000], wallet[0], token="visa") == "complete"
    assert available(shop, "g1") == [0]
    agree(shop)


def test_the_rest_is_cancelled_but_not_while_a_shipment_is_being_settled(shop: Shop, wallet: list[Typed]) -> None:
    checkout.place(shop, "o", "ann", [4000, 2000, 3000], wallet, token="visa")
    orders.ship(shop, "o", ["o-1"])
    with pytest.raises(orders.NotNow, match="being settled"):
        orders.cancel(shop, "o")
    worker.run_once(shop)
    orders.cancel(shop, "o")
    assert (state(shop, "o"), available(shop, "g1", "g2")) == ("complete", [1000, 3000])
    agree(shop)


def test_a_refusal_of_the_books_leaves_the_order_as_it_was(shop: Shop, wallet: list[Typed]) -> None:
    """Order and books are one transaction, so the order cannot be cancelled by half."""
    checkout.place(shop, "o", "ann", [6000], wallet)
    shop.books.settle(payment(shop, "o", "g2"), "1.00", key="somebody else", last=True)
    with pytest.raises(orders.NotNow, match="is closed"):
        orders.cancel(shop, "o")
    with shop.read() as session:
        assert session.get_one(Order, "o").state == "paid"
        assert session.get_one(Line, "o-1").state == "open"
    assert shop.books.payment(payment(shop, "o", "g1")).held.minor == 5000


def test_a_line_comes_back_to_the_cards_that_paid_it(shop: Shop, wallet: list[Typed]) -> None:
    checkout.place(shop, "o", "ann", [6000, 3000], wallet, token="visa")
    orders.ship(shop, "o", ["o-1", "o-2"])
    worker.run_once(shop)
    orders.take_back(shop, "o-1")
    orders.take_back(shop, "o-1")
    assert available(shop, "g1", "g2") == [5000, 1000]
    agree(shop)


def test_a_lost_card_is_replaced_and_a_refund_goes_to_a_new_one(shop: Shop, wallet: list[Typed]) -> None:
    checkout.place(shop, "o", "ann", [2000, 1000], wallet)
    orders.ship(shop, "o", ["o-1"])
    worker.run_once(shop)
    cards.lose(shop, "g1", "new")
    cards.lose(shop, "g1", "new")
    assert available(shop, "g1", "new") == [0, 2000]
    orders.take_back(shop, "o-1")
    worker.run_once(shop)
    assert available(shop, f"credit/{payment(shop, 'o', 'g1')}/o-1/refund") == [2000]
    orders.cancel(shop, "o")  # what the order gives back moves to the new card, too
    for each in worker.due(shop, LostCard):
        cards.replace(shop, each)
    with shop.write() as session:
        session.get_one(LostCard, "g1").due = 0.0
    agree(shop)
    assert available(shop, "g1", "new") == [0, 3000]
    with shop.read() as session:
        assert session.get_one(LostCard, "g1").state == "done"


def test_a_card_is_lost_while_its_refund_waits(shop: Shop, wallet: list[Typed]) -> None:
    """The provider was not there for the refund. When it is, the card has been replaced."""
    checkout.place(shop, "o", "ann", [2000], wallet)
    orders.ship(shop, "o", ["o-1"])
    worker.run_once(shop)
    paid = payment(shop, "o", "g1")
    with shop.write() as session:
        session.get_one(Line, "o-1").state = "returned"
        order = session.get_one(Order, "o")
        orders._add(session, order, f"{paid}/o-1/refund", paid, "refund", 2000)
    cards.lose(shop, "g1", "new")
    agree(shop)
    assert available(shop, "new", f"credit/{paid}/o-1/refund") == [3000, 2000]


def test_a_late_answer_to_what_was_asked_before_ends_nothing(
    shop: Shop, wallet: list[Typed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers ask for one refund. The card is lost, and the second hears so when the first has changed the row."""
    checkout.place(shop, "o", "ann", [2000], wallet)
    orders.ship(shop, "o", ["o-1"])
    worker.run_once(shop)
    cards.lose(shop, "g1", "new")
    id = f"{payment(shop, 'o', 'g1')}/o-1/refund"
    with shop.write() as session:
        orders._add(session, session.get_one(Order, "o"), id, payment(shop, "o", "g1"), "refund", 2000)
        session.get_one(Line, "o-1").state = "returned"

    def slowly(*_: object) -> None:
        monkeypatch.undo()
        orders.perform(shop, id)
        raise paying.No("the provider declined issue: suspended")

    monkeypatch.setattr(orders, "_do", slowly)
    orders.perform(shop, id)
    agree(shop)
    assert available(shop, f"credit/{id}") == [2000]


def test_what_a_card_cannot_hold_again_the_credit_card_pays(shop: Shop, wallet: list[Typed]) -> None:
    checkout.place(shop, "o", "ann", [2000, 1000, 2000], wallet[:1], token="visa")
    orders.ship(shop, "o", ["o-1"])
    worker.run_once(shop)
    tender = payment(shop, "o", "g1")
    shop.books.mark_hold_lost(tender, key="lost", by="ann", reason="released in the portal")
    orders.ship(shop, "o", ["o-2"])
    agree(shop)
    assert shop.credit.net(f"{tender}/cover-1") == 3000
    assert (state(shop, "o"), shop.books.payment(tender).redeemed.minor) == ("paid", 2000)


def test_a_physical_card_is_sold_when_it_ships(shop: Shop) -> None:
    assert cards.sell(shop, "p-order", "ann", 2500, "physical", "visa", "p") == "paid"
    worker.run_once(shop)
    cards.fulfil(shop, "p", "6006-4900 0000 0001")
    cards.fulfil(shop, "p", "6006490000000001")
    with shop.read() as session:
        assert session.get_one(SoldCard, "p").state == "sold"
    assert available(shop, "p") == [2500]
    agree(shop)


def test_a_number_that_nobody_has_is_told_to_the_customer(shop: Shop) -> None:
    with pytest.raises(UnknownCard):
        checkout.place(shop, "o", "ann", [100], [Typed("6006490000000009")])


def test_no_number_and_no_pin_stands_in_our_tables(shop: Shop, wallet: list[Typed], tmp_path: Path) -> None:
    checkout.place(shop, "o", "ann", [6000], [Typed(each.number, "7391") for each in wallet])
    ours = ["customer_order", "order_line", "checkout", "payment_transaction", "sold_card", "lost_card"]
    with shop.read() as session:
        rows = [str(row) for table in ours for row in session.connection().exec_driver_sql(f"SELECT * FROM {table}")]
    assert rows
    assert not [row for row in rows for each in wallet if each.number in row or "7391" in row]


TAMPERED = {
    "UPDATE payment_transaction SET processed = 3999 WHERE id LIKE '%settlement'": "held, earned, in doubt are",
    "UPDATE order_line SET state = 'cancelled' WHERE id = 'o-2'": "its goods are worth 4000, and 6000 is paid",
    "DELETE FROM payment_transaction WHERE type = 'charge'": "a charge that no order knows",
    "UPDATE payment_transaction SET payment = 'no such' WHERE type = 'authorization'": "do not know its payment",
    "UPDATE sold_card SET amount = 1 WHERE id = 'g1'": "was sold with 1",
}


@pytest.mark.parametrize("change", TAMPERED)
def test_what_does_not_agree_is_seen(shop: Shop, wallet: list[Typed], change: str) -> None:
    checkout.place(shop, "o", "ann", [4000, 2000], wallet[:1], token="visa")
    orders.ship(shop, "o", ["o-1"])
    agree(shop)
    with shop.write() as session:
        changed = session.execute(text(change))
        assert isinstance(changed, CursorResult)
        assert changed.rowcount >= 1
    assert any(TAMPERED[change] in each for each in compare.differences(shop))


def test_cards_are_sold_to_the_cent(shop: Shop) -> None:
    sold(shop, "odd", 1)
    assert available(shop, "odd") == [1]
