"""The verbs of an order system, on a memory store: what they do, what they refuse, what saying them twice does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone

import pytest

import tallystick
from tallystick import Books, Invalid, KeyReused, Money, NotFound, Refused
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Ended
from tallystick.provider.local import LocalProvider
from tallystick.provider.scripted import ScriptedProvider
from tallystick.store.open import open_store

SOON = datetime(2030, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def books() -> Iterator[Books]:
    with tallystick.open("memory:") as books:
        books.sell_electronic("c1", "100.00", "BRL", order="o1", key="sell")
        yield books
        assert books.verify().findings == ()


def brl(text: str) -> Money:
    return Money.parse(text, "BRL")


def test_an_electronic_card_is_sold_and_its_number_is_handed_out(books: Books) -> None:
    sale = books.sell_electronic("c2", "50.00", "BRL", order="o2", key="sell-2", card_set="Virtual")
    assert sale.number is not None
    assert sale.number not in repr(sale)
    assert sale.receipt.state == "fulfilled"
    card = books.card("c2")
    assert (card.state, card.available, card.form, card.kind) == ("issued", brl("50.00"), "electronic", "gift")
    assert card.masked == f"…{sale.number[-4:]}"
    assert sale.number not in repr(card)
    assert books.find(sale.number) == card
    assert books.find("0000") is None


def test_a_sale_said_again_is_the_same_sale(books: Books) -> None:
    first = books.sell_electronic("c2", "50.00", "BRL", order="o2", key="sell-2")
    again = books.sell_electronic("c2", "50.00", "BRL", order="o2", key="sell-2")
    assert (again.number, again.receipt.state) == (first.number, "fulfilled")
    assert again.receipt.replayed
    assert books.card("c2").available == brl("50.00")
    with pytest.raises(KeyReused):
        books.sell_electronic("c2", "51.00", "BRL", order="o2", key="sell-2")


def test_a_sale_that_stopped_half_way_goes_on(books: Books) -> None:
    """A crash after the first command: nobody has run the follow-ups. Said again, they run."""
    engine = books.engine
    blank = {"form": "electronic", "kind": "gift", "currency": "BRL"}
    engine.execute("gift_card", "c2", "create", blank, key="k/card")
    line = {"order": "o2", "card": "c2", "form": "electronic", "amount": "50.00", "currency": "BRL"}
    engine.execute("fulfilment", "k", "create", line, key="k/line")
    engine.execute("fulfilment", "k", "allocate", key="k/allocate")
    assert books.card("c2").state == "allocated"
    assert books.sell_electronic("c2", "50.00", "BRL", order="o2", key="k").receipt.state == "fulfilled"
    assert books.card("c2").state == "issued"


def test_a_sale_under_review_waits_for_a_person(books: Books) -> None:
    books.sell_electronic("c2", "50.00", "BRL", order="o2", key="k", review=True)
    assert books.card("c2").state == "inventory"
    sale = books.approve("k", key="k/approve", by="rui")
    assert (sale.receipt.state, books.card("c2").available) == ("fulfilled", brl("50.00"))
    books.sell_electronic("c3", "50.00", "BRL", order="o2", key="k3", review=True)
    assert books.reject("k3", key="k3/reject", by="rui", reason="stolen card data").state == "rejected"
    assert books.card("c3").state == "inventory"


def test_a_physical_card_is_activated_with_the_scanned_number(books: Books) -> None:
    sale = books.ship_physical("c2", "6036280000000281", "25.00", "BRL", order="o2", key="ship")
    assert (sale.number, sale.receipt.state) == ("6036280000000281", "fulfilled")
    assert (books.card("c2").masked, books.card("c2").available) == ("…0281", brl("25.00"))


def test_a_split_tender_holds_all_or_nothing(books: Books) -> None:
    books.sell_electronic("c2", "30.00", "BRL", order="o2", key="sell-2")
    tender = books.plan(brl("120.00"), ["c2", "c1"])
    assert tender.parts == (("c2", brl("30.00")), ("c1", brl("90.00")))
    assert tender.remaining == brl("0.00")
    assert books.plan(brl("150.00"), ["c1", "c2", "c1"]).remaining == brl("20.00")
    made = books.authorize_all(tender, order="o9", key="o9")
    assert [(part.card, part.held) for part in made.parts] == [("c2", brl("30.00")), ("c1", brl("90.00"))]
    assert (made.requested, made.approved, made.remaining) == (brl("120.00"), brl("120.00"), brl("0.00"))
    assert books.authorize_all(tender, order="o9", key="o9") == made
    assert books.card("c1").held == brl("90.00")


def test_a_split_tender_that_came_too_late_gives_everything_back(books: Books) -> None:
    books.sell_electronic("c2", "30.00", "BRL", order="o2", key="sell-2")
    tender = books.plan(brl("120.00"), ["c2", "c1"])
    books.authorize("other", "c1", "50.00", order="o8", key="o8")
    with pytest.raises(Refused) as refused:
        books.authorize_all(tender, order="o9", key="o9")
    assert "available 50.00" in str(refused.value)
    assert books.card("c2").held == brl("0.00")
    with pytest.raises(Invalid, match="o9/c2"):
        books.payment("o9/c2")  # all are asked before the first is held


def test_partial_shipments_with_advanced_holds(books: Books) -> None:
    assert books.authorize("p", "c1", "60.00", order="o2", key="a").money("held") == brl("60.00")
    shipped = books.settle("p", "20.00", key="s1", keep_hold=False, invoice="i-1")
    assert (shipped.state, shipped.last.state) == ("partially_settled", "advanced_hold")
    assert books.payment("p").held == brl("40.00")
    again = books.settle("p", "20.00", key="s1", keep_hold=False, invoice="i-1")
    assert (again.replayed, again.last.state) == (True, "advanced_hold")
    assert books.settle("p", "30.00", key="s2", last=True).state == "closed"
    payment, card = books.payment("p"), books.card("c1")
    assert (payment.redeemed, payment.held, payment.uncovered) == (brl("50.00"), brl("0.00"), brl("0.00"))
    assert (card.available, card.held) == (brl("50.00"), brl("0.00"))


def test_a_short_advanced_hold_is_reported(books: Books) -> None:
    """Another checkout took the money between the shipment and the new hold."""
    engine = books.engine
    books.authorize("p", "c1", "80.00", order="o2", key="a")
    engine.execute("payment", "p", "settle", {"amount": "20.00", "keep_hold": False}, key="s1")
    books.authorize("q", "c1", "50.00", order="o3", key="b")
    (followed,) = engine.run_due()
    assert (followed.state, followed.money("held"), followed.money("uncovered")) == (
        "advanced_hold", brl("30.00"), brl("30.00"),
    )  # fmt: skip
    assert books.cover_elsewhere("p", "30.00", key="other tender").money("uncovered") == brl("0.00")
    assert books.settle("p", "30.00", key="s2").state == "closed"


def test_an_advanced_hold_on_an_empty_card_is_refused_and_the_payment_can_be_closed(books: Books) -> None:
    engine = books.engine
    books.authorize("p", "c1", "80.00", order="o2", key="a")
    engine.execute("payment", "p", "settle", {"amount": "20.00", "keep_hold": False}, key="s1")
    books.authorize("q", "c1", "80.00", order="o3", key="b")
    (followed,) = engine.run_due()
    assert followed.result is Ended.REFUSED
    assert books.payment("p").uncovered == brl("60.00")
    assert books.cancel("p", key="c").state == "closed"


def test_a_settlement_can_wait_for_the_job() -> None:
    now = [datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)]
    store = open_store("memory:")
    books = Books(Engine(tallystick.load(), store, LocalProvider(), clock=lambda: now[0]))
    books.sell_electronic("c1", "100.00", "BRL", order="o1", key="sell")
    books.authorize("p", "c1", "60.00", order="o2", key="a")
    tonight = now[0] + timedelta(hours=8)
    assert books.settle("p", "20.00", key="s1", due=tonight).result is Ended.DEFERRED
    assert books.settle("p", "20.00", key="s1", due=tonight).result is Ended.DEFERRED
    assert books.run_due() == []
    now[0] = tonight
    assert [receipt.command for receipt in books.run_due()] == ["settle"]
    assert books.settle("p", "20.00", key="s1", due=tonight).replayed
    assert books.payment("p").held == brl("40.00")


def test_one_step_and_its_void(books: Books) -> None:
    assert books.redeem("p", "c1", "40.00", order="o2", key="r").state == "closed"
    assert books.card("c1").available == brl("60.00")
    books.void("p", key="v", reason="the credit card failed")
    assert books.card("c1").available == brl("100.00")
    with pytest.raises(Refused):
        books.void("p", key="v2")


def test_refunds_stop_at_what_was_earned(books: Books) -> None:
    books.authorize("p", "c1", "60.00", order="o2", key="a")
    books.settle("p", "60.00", key="s")
    books.refund("p", "10.00", key="r1")
    sale = books.refund_to_new("p", "20.00", "mc", key="r2", card_set="Returns")
    assert (books.card("mc").kind, books.card("mc").available) == ("merchandise_credit", brl("20.00"))
    assert books.refund_to_new("p", "20.00", "mc", key="r2", card_set="Returns").number == sale.number
    with pytest.raises(Refused) as refused:
        books.refund("p", "30.01", key="r3")
    assert "redeemed 30.00" in str(refused.value)
    assert books.card("c1").available == brl("50.00")


def test_a_suspended_card_spends_nothing_and_honours_its_holds(books: Books) -> None:
    books.authorize("p", "c1", "60.00", order="o2", key="a")
    books.suspend("c1", key="lost", by="ana", reason="lost")
    with pytest.raises(Refused) as refused:
        books.authorize("q", "c1", "1.00", order="o3", key="b")
    assert "suspended" in str(refused.value)
    assert books.settle("p", "60.00", key="s").state == "closed"
    assert books.reinstate("c1", key="found").state == "issued"
    assert books.card("c1").available == brl("40.00")


def test_a_lost_card_is_replaced_and_its_value_is_never_on_both(books: Books) -> None:
    sale = books.replace("c1", "c2", key="rep", by="ana", reason="stolen")
    old, new = books.card("c1"), books.card("c2")
    assert (old.state, old.available, new.state, new.available) == ("replaced", brl("0.00"), "issued", brl("100.00"))
    assert sale.number == new.number != old.number
    again = books.replace("c1", "c2", key="rep", by="ana", reason="stolen")
    assert (again.number, books.card("c2").available) == (sale.number, brl("100.00"))
    assert [(each.replaced_by, each.replaces) for each in (old, new)] == [("c2", ()), (None, ("c1",))]
    books.replace("c2", "c3", key="rep again", reason="lost too")
    assert [(books.card(each).replaced_by, books.card(each).replaces) for each in ("c1", "c2", "c3")] == [
        ("c2", ()), ("c3", ("c1",)), (None, ("c2",)),
    ]  # fmt: skip


def test_a_replaced_card_keeps_what_orders_hold_on_it(books: Books) -> None:
    books.authorize("p", "c1", "60.00", order="o2", key="a")
    books.replace("c1", "c2", key="rep", number="6036280000000281", reason="lost")
    assert (books.card("c1").state, books.card("c1").held, books.card("c2").available) == (
        "suspended", brl("60.00"), brl("40.00"),
    )  # fmt: skip
    assert books.card("c1").replaced_by == "c2", "what orders hold follows"
    assert books.settle("p", "60.00", key="s").state == "closed"
    books.run_due()
    assert books.card("c1").state == "replaced"


def test_what_an_order_gives_back_after_the_replacement_follows_to_the_same_card(books: Books) -> None:
    books.authorize("p", "c1", "60.00", order="o2", key="a")
    first = books.replace("c1", "c2", key="rep", reason="lost")
    books.cancel("p", key="x")
    assert (books.card("c1").state, books.card("c1").available) == ("suspended", brl("60.00"))
    for _ in range(2):
        second = books.replace("c1", "c2", key="rest", reason="the order was cancelled")
        assert (second.number, books.card("c2").available) == (first.number, brl("100.00"))
    assert books.card("c1").state == "replaced"
    assert books.replace("c1", "c2", key="rep", reason="lost").number == first.number
    with books.engine.store.reading() as reading:
        assert {row.state for row in reading.queue()} == {"done"}, "the first replacement finds the card retired"
    assert books.verify().clean


@pytest.mark.parametrize("number", [None, "6036280000000281"])
def test_a_card_in_use_that_is_not_its_replacement_takes_nothing(books: Books, number: str | None) -> None:
    """A wrong id, and the value would be somebody else's."""
    books.sell_electronic("other", "5.00", "BRL", order="o9", key="other")
    with pytest.raises(Refused, match="it exists already"):
        books.replace("c1", "other", key="rep", number=number, reason="lost")
    assert (books.card("c1").available, books.card("other").available) == (brl("100.00"), brl("5.00"))


def test_a_lost_card_of_which_orders_hold_all_is_replaced_when_they_give_it_back(books: Books) -> None:
    books.authorize("p", "c1", "100.00", order="o2", key="a")
    assert books.replace("c1", "c2", key="rep", reason="lost").number
    assert (books.card("c1").state, books.card("c1").held) == ("suspended", brl("100.00"))
    books.cancel("p", key="x")
    books.run_due()
    assert (books.card("c1").state, books.card("c2").available) == ("replaced", brl("100.00"))


def test_what_leaves_a_lost_card_for_two_others_can_always_come_back(books: Books) -> None:
    """The lost card is not retired while value of it is on its way."""
    brl_card = {"form": "physical", "currency": "BRL"}
    books.suspend("c1", key="lost", by="ana", reason="lost")
    books.engine.execute("gift_card", "c2", "create", brl_card, key="c2").or_raise()
    for id in ("r1", "r2"):
        books.engine.execute("replacement", id, "create", {**brl_card, "old": "c1", "new": "c2"}, key=id).or_raise()
        books.engine.execute("replacement", id, "replace", {"amount": "50.00"}, key=f"{id}/replace").or_raise()
    number = {"number": "6036280000000281"}
    books.engine.execute("replacement", "r1", "activate", number, key="arrive").or_raise()
    books.run_due()
    assert (books.card("c1").state, books.card("c2").available) == ("suspended", brl("50.00"))
    with pytest.raises(Refused, match=r"What was taken off it must arrive on the other card or come back first"):
        books.engine.execute("replacement", "r1", "retire", key="retire").or_raise()
    books.engine.execute("replacement", "r2", "cancel", key="cancel").or_raise()
    assert books.card("c1").available == brl("50.00")
    assert books.verify().clean


def test_cash_out_reload_adjust(books: Books) -> None:
    with pytest.raises(Refused):
        books.cash_out("c1", key="no limit")
    books.sell_electronic(
        "c2", "4.00", "USD", order="o2", key="k", limits={"cash_out_limit": "10.00", "limit": "20.00"}
    )
    with pytest.raises(Refused):
        books.reload("c2", "16.01", key="over the limit")
    assert books.reload("c2", "6.00", key="reload").money("available") == Money.parse("10.00", "USD")
    books.adjust("c2", "-1.00", key="adjust", by="ana", reason="counted wrong")
    assert books.cash_out("c2", key="cash").money("available") == Money.parse("0.00", "USD")


def test_currencies_never_meet(books: Books) -> None:
    books.sell_electronic("usd", "50.00", "USD", order="o2", key="k")
    with pytest.raises(Invalid, match="never mixed"):
        books.authorize("p", "usd", brl("1.00"), order="o3", key="a")
    facts = {"order": "o3", "card": "usd", "currency": "BRL"}
    with pytest.raises(Refused, match="USD"):
        books.engine.execute("payment", "q", "create", facts, key="q")
    with pytest.raises(tallystick.MoneyError):
        books.plan(brl("1.00"), ["usd"])


def test_points_have_no_decimals(books: Books) -> None:
    books.sell_electronic("pts", "500", "points", order="o2", key="k")
    assert str(books.card("pts").available) == "500 points"
    with pytest.raises(Invalid):
        books.authorize("p", "pts", "1.5", order="o3", key="a")


@pytest.mark.parametrize("amount", [1.0, 1, 0, True, None, b"1", "1,00", "1e2", "-1.00", "0.001", "٣"])
def test_odd_amounts_are_refused(books: Books, amount: object) -> None:
    with pytest.raises((Invalid, Refused)):
        books.authorize("p", "c1", amount, order="o2", key="a")  # type: ignore[arg-type]
    assert books.card("c1").available == brl("100.00")


@pytest.mark.parametrize("sell", [
    lambda books: books.sell_electronic("a", 50, "BRL", order="o", key="s"),
    lambda books: books.ship_physical("a", "6006000000000001", 50, "BRL", order="o", key="s"),
    lambda books: books.sell_electronic("a", "50", "BRL", order="o", key="s", limits={"limit": 9000}),
    lambda books: books.reload("c1", 50, key="s"),
    lambda books: books.adjust("c1", -50, key="s", by="ann", reason="r"),
    lambda books: books.redeem("p", "c1", 50, order="o", key="s"),
    lambda books: books.engine.execute("gift_card", "c1", "reload", {"amount": 50}, key="s"),
    lambda books: books.may("gift_card", "c1", "reload", amount=50),
])  # fmt: skip
def test_a_whole_number_is_no_money(books: Books, sell: Callable[[Books], object]) -> None:
    """50 put on 0.50 once."""
    before = books.card("c1")
    with pytest.raises(Invalid, match=r"an int does not say whether it counts cents or whole units; Money\(minor"):
        sell(books)
    assert books.card("c1") == before


MISSING: dict[str, tuple[Callable[[Books], object], str, str]] = {
    "card": (lambda books: books.card("c9"), "gift_card", "c9"),
    "payment": (lambda books: books.payment("p9"), "payment", "p9"),
    "plan": (lambda books: books.plan(brl("1.00"), ["c1", "c9"]), "gift_card", "c9"),
    "authorize": (lambda books: books.authorize("p", "c9", "1.00", order="o2", key="a"), "gift_card", "c9"),
    "redeem": (lambda books: books.redeem("p", "c9", "1.00", order="o2", key="a"), "gift_card", "c9"),
    "settle": (lambda books: books.settle("p9", "1.00", key="a"), "payment", "p9"),
    "deferred": (lambda books: books.settle("p9", "1.00", key="a", due=SOON), "payment", "p9"),
    "cancel": (lambda books: books.cancel("p9", key="a"), "payment", "p9"),
    "refund": (lambda books: books.refund("p9", "1.00", key="a"), "payment", "p9"),
    "refund_to_new": (lambda books: books.refund_to_new("p9", "1.00", "new", key="a"), "payment", "p9"),
    "suspend": (lambda books: books.suspend("c9", key="a"), "gift_card", "c9"),
    "reload": (lambda books: books.reload("c9", "1.00", key="a"), "gift_card", "c9"),
    "replace": (lambda books: books.replace("c9", "new", key="a"), "gift_card", "c9"),
    "cash_out": (lambda books: books.cash_out("c9", key="a"), "gift_card", "c9"),
    "approve": (lambda books: books.approve("s9", key="a", by="ann"), "fulfilment", "s9"),
    "reject": (lambda books: books.reject("s9", key="a", by="ann"), "fulfilment", "s9"),
    "may": (lambda books: books.may("payment", "p9", "settle", amount="1.00"), "payment", "p9"),
    "may of a machine": (lambda books: books.may("paymint", "p9", "settle"), "machine", "paymint"),
    "history": (lambda books: books.history("payment", "p9"), "payment", "p9"),
    "history of a machine": (lambda books: books.history("gift_cart", "c1"), "machine", "gift_cart"),
    "execute": (lambda books: books.engine.execute("gift_card", "c9", "suspend", key="a"), "gift_card", "c9"),
    "a link": (
        lambda books: books.engine.execute(
            "payment", "p9", "create", {"order": "o", "card": "c9", "currency": "BRL"}, key="a"
        ),
        "gift_card", "c9",
    ),
    "resolve": (lambda books: books.engine.resolve("x9", "declined", by="ann", reason="seen"), "call", "x9"),
    "resolve, a verb": (lambda books: books.resolve("x9", "declined", by="ann", reason="seen"), "call", "x9"),
    "send": (lambda books: books.engine.send("x9"), "call", "x9"),
    "run": (lambda books: books.engine.queue.run("k9"), "queued command", "k9"),
    "retry": (lambda books: books.engine.queue.retry("k9", by="ann", reason="try"), "queued command", "k9"),
    "dismiss": (lambda books: books.engine.queue.dismiss("k9", by="ann", reason="seen"), "queued command", "k9"),
    "an account": (lambda books: books.suspend("c1", key="a").money("availabel"), "account", "availabel"),
    "a provider": (lambda books: tallystick.open("memory:", provider="clutsch"), "provider", "clutsch"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISSING)
def test_what_is_not_there_is_not_found(books: Books, name: str) -> None:
    ask, kind, id = MISSING[name]
    with pytest.raises(NotFound) as told:
        ask(books)
    assert (told.value.kind, told.value.id) == (kind, id)
    assert repr(id) in str(told.value)
    assert isinstance(told.value, Invalid)


def test_what_is_like_it_is_named(books: Books) -> None:
    with pytest.raises(NotFound, match="Did you mean 'gift_card'") as told:
        books.history("gift_cart", "c1")
    assert told.value.near == ("gift_card",)
    assert books.find("6034000000000281") is None
    with pytest.raises(NotFound, match="there is no gift_card '…0281'") as told:  # a number where an id belongs
        books.card("6034000000000281")
    assert told.value.id == "…0281"


def test_what_cannot_be_opened_is_said(books: Books) -> None:
    with pytest.raises(Invalid, match="no store"):
        tallystick.open("mysql://localhost/books")
    with pytest.raises(Invalid, match="does not exist"):
        tallystick.open("memory:", machines="nowhere")
    assert books.may("gift_card", "c1", "redeem", amount="1.00").state == "issued"


def test_a_card_gets_an_owner_and_the_books_know_nothing_of_it(books: Books) -> None:
    receipt = books.register("c1", {"first_name": "Ada", "email": "ada@example.com"}, key="owner", enrolls=True)
    assert (receipt.applied, receipt.state, receipt.postings) == (True, "issued", ())
    assert books.register("c1", {"first_name": "Bea"}, key="owner", enrolls=True).replayed  # nobody can compare
    (entry,) = [each for each in books.history("gift_card", "c1") if each.command == "register"]
    assert entry.args == {"enrolls": True}
    with pytest.raises(Invalid, match="takes no argument 'frist_name'"):
        books.register("c1", {"frist_name": "Ada"}, key="typo")


@pytest.mark.parametrize("length", [10, 188, 191, 200])
def test_a_key_may_be_as_long_as_a_key_may_be(books: Books, length: int) -> None:
    """The keys of a verb's steps are made of it, and are no longer."""
    key = "k" * length
    assert books.sell_electronic("c2", "5.00", "BRL", order="o", key=key, owner={"first_name": "Ana"}).number
    assert books.sell_electronic("c2", "5.00", "BRL", order="o", key=key, owner={"first_name": "Ana"}).receipt.replayed
    books.redeem("p", "c2", "5.00", order="o", key=f"r{key[1:]}")
    assert books.refund_to_new("p", "5.00", "c3", key=f"f{key[1:]}").number
    books.replace("c1", "c4", key=f"m{key[1:]}")
    assert [books.card(id).available for id in ("c3", "c4")] == [brl("5.00"), brl("100.00")]


@pytest.mark.parametrize(
    "verb",
    [
        lambda dry: dry.run_due(), lambda dry: dry.recover(), lambda dry: dry.queue.withdraw("k", by="a", reason="r"),
        lambda dry: dry.resolve("call", "declined", by="a", reason="r"), lambda dry: dry.send(None),
        lambda dry: dry.reconcile(apply=True, by="a", reason="r"),
        lambda dry: dry.adopt_provider(ScriptedProvider(), by="a", reason="r"),
    ],
)  # fmt: skip
def test_what_gives_no_commands_of_its_own_is_not_done_when_one_asks(books: Books, verb: Callable[..., object]) -> None:
    books.authorize("p", "c1", "5.00", order="o2", key="a")
    books.settle("p", "5.00", key="s", due=datetime.now(timezone.utc) - timedelta(hours=1))
    with pytest.raises(Invalid, match="nobody can ask what it would do; nothing was done"):
        books.would(verb)
    assert (books.payment("p").held, len(books.waiting().queue)) == (brl("5.00"), 1)
