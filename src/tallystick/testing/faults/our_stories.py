"""Our machines' own stories: every command of every page, with every kind of answer, each to its end.

The amounts say what the provider does: see `file_provider`. A test holds that no transition of our pages is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from tallystick.books.books import Books
from tallystick.books.views import Plan
from tallystick.core.entity import Entity
from tallystick.definition import reader
from tallystick.engine.receipt import Command
from tallystick.money import Money
from tallystick.provider.local import LocalProvider
from tallystick.testing.faults.story import START, Step, Story

CURRENCY, PIN, DAY = "BRL", "73519", timedelta(days=1)
NUMBERS = {"plastic-1": "6000000000000001", "plastic-2": "6000000000000002", "seen": "6000000000000003"}


def _sell(
    card: str, amount: str, review: bool = False, deliver: datetime | None = None, **limits: str
) -> Step:  # fmt: skip
    return lambda books: books.sell_electronic(
        card, amount, CURRENCY, order="o-1", key=f"sell/{card}", card_set="GIFT", review=review, deliver=deliver,
        limits=limits,
    )  # fmt: skip


def _ship(card: str, amount: str) -> Step:
    return lambda books: books.ship_physical(
        card, NUMBERS[card], amount, CURRENCY, order="o-1", key=f"sell/{card}", by="ann"
    )


def _authorize(payment: str, card: str, amount: str, pin: str | None = None) -> Step:
    return lambda books: books.authorize(payment, card, amount, order="o-2", key=f"authorize/{payment}", pin=pin)


def _settle(payment: str, amount: str, number: int, *, last: bool = False, keep_hold: bool = False) -> Step:
    return lambda books: books.settle(
        payment, amount, key=f"settle/{payment}/{number}", last=last, keep_hold=keep_hold, invoice=f"i-{number}"
    )


def _together(order: str, amounts: Mapping[str, str], *, allow_partial: bool = False) -> Step:
    """These cards pay for the order, by the tender with its id."""
    parts = tuple((card, Money.parse(amount, CURRENCY)) for card, amount in amounts.items())
    plan = Plan(parts, Money.zero(CURRENCY))
    return lambda books: books.authorize_all(plan, order=order, key=f"all/{order}", allow_partial=allow_partial)


def _cancel(payment: str) -> Step:
    return lambda books: books.cancel(payment, key=f"cancel/{payment}", by="ann", reason="called off")


def _do(machine: str, id: str, command: str, nth: int = 1, /, **args: object) -> Command:
    return Command(machine, id, command, args, f"{command}/{id}/{nth}", "ann", "so")


def _blank(id: str, form: str = "electronic", **facts: object) -> Command:
    return _do("gift_card", id, "create", 1, form=form, currency=CURRENCY, **facts)


def _asked_for(payment: str, card: str) -> Command:
    return _do("payment", payment, "create", order="o-2", card=card, currency=CURRENCY)


def _line(id: str, card: str, form: str) -> Command:
    return _do("fulfilment", id, "create", order="o-1", card=card, form=form, amount="20.00", currency=CURRENCY)


def _moved(id: str, old: str, new: str, form: str) -> Command:
    return _do("replacement", id, "create", old=old, new=new, form=form, currency=CURRENCY)


def _entity(books: Books, machine: str, id: str) -> Entity:
    with books.engine.store.reading() as look:
        entity = look.entity(machine, id)
    assert entity is not None
    return entity


def _elsewhere(name: str, card: str, minor: int) -> Step:
    """Another channel moves value on the card."""

    def step(books: Books) -> None:
        entity = _entity(books, "gift_card", card)
        books.engine.provider.elsewhere(name, str(entity.facts["number"]), CURRENCY, minor)  # type: ignore[attr-defined]

    return step


def _hold_released_elsewhere(payment: str) -> Step:
    """Somebody releases the payment's hold at the provider, and then tells our books."""

    def step(books: Books) -> None:
        entity = _entity(books, "payment", payment)
        if entity.facts["hold_id"] is not None and entity.state == "authorized":
            books.engine.provider.release_by_hand(entity.facts["hold_id"])  # type: ignore[attr-defined]
        books.engine.try_execute(_do("payment", payment, "mark_hold_lost")).or_raise()

    return step


def _with_the_order(command: Command) -> Step:
    """An order system that writes the command into its own transaction, and sends the call after its commit."""

    def step(books: Books) -> None:
        with books.engine.own() as connection:  # type: ignore[attr-defined]
            receipt = books.engine.try_execute(command, connection=connection)
        if receipt.call is not None:
            receipt = books.engine.send(receipt.call)
        receipt.or_raise()

    return step


def _reduce(payment: str, amount: str, number: int, **how: bool) -> Step:
    return lambda books: books.reduce(payment, amount, key=f"reduce/{payment}/{number}", **how)


def _due(payment: str, amount: str, after: timedelta) -> Step:
    return lambda books: books.settle(payment, amount, key=f"due/{payment}", due=START + after)


STEPS: Mapping[str, tuple[Step, ...]] = {
    "opened": (),
    "shipped in parts": (
        _sell("c1", "90.00", cash_out_limit="100.00"),
        _authorize("p1", "c1", "60.00", PIN),
        _settle("p1", "10.00", 1),
        _settle("p1", "5.00", 2, keep_hold=True),
        _settle("p1", "15.00", 3, last=True),
        lambda books: books.refund("p1", "5.00", key="refund/p1", reason="broken"),
        lambda books: books.reload("c1", "10.00", key="reload/c1"),
        lambda books: books.cash_out("c1", key="cash/c1"),
    ),
    "covered in part": (  # 20.12 is held again by 10.00, and 10.12 by 5.00
        _sell("c1", "80.00"),
        _authorize("p1", "c1", "40.20"),
        _settle("p1", "20.08", 1),
        _settle("p1", "10.00", 2),
        lambda books: books.cover_elsewhere("p1", "1.12", key="cover_elsewhere/p1"),
        _cancel("p1"),
        _authorize("p2", "c1", "20.00"),
        _settle("p2", "8.99", 1),  # the other 11.01 are declined
        _do("payment", "p2", "close"),
    ),
    "wanted less": (
        _sell("c1", "80.00"),
        _sell("c2", "10.00"),
        _authorize("p1", "c1", "40.00"),
        _reduce("p1", "5.00", 1),
        _reduce("p1", "5.04", 2),  # turned away
        _settle("p1", "10.00", 1),
        _reduce("p1", "4.00", 3),
        _settle("p1", "5.00", 2, keep_hold=True),
        _reduce("p1", "5.00", 4, release_part=True),
        _cancel("p1"),
        _authorize("p2", "c1", "9.00"),
        _reduce("p2", "2.00", 1, release_part=True),
        _cancel("p2"),
        _authorize("p3", "c1", "20.20"),
        _settle("p3", "10.08", 1),  # the other 10.12 are held again by 5.00
        _reduce("p3", "3.00", 1),
        _settle("p3", "2.00", 2, last=True),
        _together("o-2", {"c1": "20.00", "c2": "10.00"}),
        lambda books: books.reduce_all("o-2", "14.00", key="less/o-2"),
        lambda books: books.settle_all("o-2", "16.00", key="settle/o-2"),
    ),
    "settled, or called off": (
        _ship("plastic-1", "50.00"),
        _authorize("p1", "plastic-1", "20.00"),
        _settle("p1", "20.00", 1),
        _authorize("p2", "plastic-1", "10.00"),
        _cancel("p2"),
        _asked_for("p3", "plastic-1"),
        _cancel("p3"),
        lambda books: books.refund_to_new("p1", "15.00", "credit", key="credit/p1", card_set="GIFT"),
    ),
    "in one step": (
        _sell("c1", "50.00"),
        lambda books: books.redeem("p1", "c1", "20.00", order="o-2", key="redeem/p1", pin=PIN),
        lambda books: books.void("p1", key="void/p1"),
        lambda books: books.redeem("p2", "c1", "10.02", order="o-3", key="redeem/p2", allow_partial=True),
        _do("gift_card", "c1", "redeem", amount="3.00"),
        _authorize("p3", "c1", "5.01", PIN),  # declined
    ),
    "given": (
        lambda books: books.sell_electronic(
            "c1", "20.00", CURRENCY, order="o-1", key="sell/c1", card_set="GIFT", kind="promo", issue=False
        ),
        lambda books: books.register("c1", {"first_name": "Ana"}, giver=True, order="o-1", key="register/c1"),
        lambda books: books.issue("sell/c1", key="issue/c1"),
        lambda books: books.credit_to_new("c2", "15.00", CURRENCY, order="o-2", key="credit/c2", card_set="GIFT"),
        lambda books: books.credit("c2", "5.00", order="o-3", key="credit/c2/2"),
        lambda books: books.ship_physical(
            "plastic-1", NUMBERS["plastic-1"], "10.00", CURRENCY, order="o-1", key="sell/plastic-1", pin=PIN
        ),
        lambda books: books.ship_physical(
            "plastic-2", NUMBERS["plastic-2"], "10.00", CURRENCY, order="o-1", key="sell/plastic-2", review=True
        ),
        lambda books: books.approve("sell/plastic-2", key="approve/plastic-2", by="ann"),
    ),
    "looked at first": (
        _sell("c1", "20.00", review=True),
        lambda books: books.approve("sell/c1", key="approve/c1", by="ann"),
        _sell("c2", "20.00", review=True),
        lambda books: books.reject("sell/c2", key="reject/c2", by="ann", reason="stolen"),
        _blank("plastic-1", "physical"),
        _line("l1", "plastic-1", "physical"),
        _do("fulfilment", "l1", "review"),
        _do("fulfilment", "l1", "approve"),
        _do("fulfilment", "l1", "ship", number=NUMBERS["plastic-1"]),
        _blank("c3"),
        _line("l2", "c3", "electronic"),
        _do("fulfilment", "l2", "cancel"),
    ),
    "suspended and corrected": (
        _blank("c1", cash_out_limit="50.00"),
        _do("gift_card", "c1", "allocate"),
        _do("gift_card", "c1", "suspend", 1),
        _do("gift_card", "c1", "reinstate", 1),
        _do("gift_card", "c1", "activate"),
        _do("gift_card", "c1", "suspend", 2),
        _do("gift_card", "c1", "reinstate", 2),
        _do("gift_card", "c1", "issue", amount="40.00"),
        _do("gift_card", "c1", "suspend", 3),
        _do("gift_card", "c1", "adjust", 1, amount="-5.00"),
        _do("gift_card", "c1", "reinstate", 3),
        _do("gift_card", "c1", "adjust", 2, amount="2.50"),
    ),
    "moved to a card in use": (
        _sell("c1", "40.00"),
        _sell("c2", "10.00"),
        _authorize("p1", "c1", "10.00"),
        lambda books: books.move("c1", "c2", "12.00", key="move/1"),
        lambda books: books.move("c1", "c2", "4.04", key="move/2"),  # turned away
        lambda books: books.move("c2", "c1", key="move/3"),
        _moved("m1", "c1", "c2", "in_use"),
        _do("replacement", "m1", "move", amount="5.00", like="gift"),
        _do("replacement", "m1", "cancel"),
        _settle("p1", "10.00", 1),
    ),
    "taken back": (
        _sell("c1", "40.00"),
        lambda books: books.redeem("p1", "c1", "15.00", order="o-2", key="redeem/p1"),
        lambda books: books.take_back("c1", key="return/c1"),
        lambda books: books.refund_to_new("p1", "5.00", "c2", key="credit/p1", card_set="GIFT"),
        _ship("plastic-1", "20.04"),  # turned away at first
        _do("gift_card", "plastic-1", "suspend"),
        lambda books: books.take_back("plastic-1", key="return/plastic-1"),
        lambda books: books.take_back("c2", key="return/c2"),
        lambda books: books.sell_electronic(
            "c3", "10.00", CURRENCY, order="o-1", key="sell/c3", card_set="GIFT", kind="promo"
        ),
        lambda books: books.take_back("c3", key="return/c3"),
    ),
    "expired": (
        lambda books: books.sell_electronic(
            "c1", "60.00", CURRENCY, order="o-1", key="sell/c1", card_set="GIFT", expires=START + 700 * DAY
        ),
        lambda books: books.extend("c1", START + 900 * DAY, key="extend/c1"),
        lambda books: books.authorize(
            "p1", "c1", "10.00", order="o-2", key="authorize/p1", pin=PIN, until=START + 500 * DAY
        ),
        _authorize("p2", "c1", "20.00", PIN),
        lambda books: books.settle("p2", "5.00", key="settle/p2/1", until=START + 600 * DAY),
        _authorize("p3", "c1", "7.00", PIN),
        lambda books: books.hold_until("p3", START + 950 * DAY, key="until/p3"),
        _sell("c2", "20.00", deliver=START + 400 * DAY),
        lambda books: books.deliver_on("sell/c2", START + 500 * DAY, key="day/c2"),
        timedelta(days=800),  # two holds have ended, and a card was delivered
        timedelta(days=300),  # the card has expired, and then the last hold ends
    ),
    "moved elsewhere": (
        _blank("seen"),
        _do("gift_card", "seen", "recognize", number=NUMBERS["seen"], balance="30.00"),
        _elsewhere("sold", "seen", 3000),
        _do("gift_card", "seen", "observe", 1, balance="30.00"),
        _elsewhere("spent", "seen", -750),
        _do("gift_card", "seen", "observe", 2, balance="22.50"),
        _elsewhere("added", "seen", 1000),
        _do("gift_card", "seen", "observe", 3, balance="32.50"),
        _do("gift_card", "seen", "register", first_name="Ana", email="ana@example.com"),
        _authorize("p1", "seen", "20.00"),
        _hold_released_elsewhere("p1"),
        _do("payment", "p1", "hold_again", amount="20.00"),
        _settle("p1", "20.00", 1, last=True),
    ),
    "replaced": (
        _sell("c1", "40.00"),
        _authorize("p1", "c1", "10.00"),
        lambda books: books.replace("c1", "c2", key="replace/c1", card_set="GIFT"),
        _settle("p1", "4.00", 1, last=True),
        timedelta(days=9),  # the 6.00 that came back follow
        lambda books: books.replace("c1", "c2", key="replace/rest"),  # and there is nothing to be done any more
        lambda books: books.replace("c2", "plastic-1", number=NUMBERS["plastic-1"], key="replace/c2"),
        _blank("c3"),
        _moved("m1", "plastic-1", "c3", "electronic"),
        _do("replacement", "m1", "cancel"),
        _do("gift_card", "plastic-1", "suspend"),
        _blank("plastic-2", "physical"),
        _moved("m2", "plastic-1", "plastic-2", "physical"),
        _do("replacement", "m2", "replace", amount="5.00"),
        _do("replacement", "m2", "cancel"),
    ),
    "replaced while all is held": (
        _sell("c1", "20.00"),
        _authorize("p1", "c1", "20.00"),
        lambda books: books.replace("c1", "c2", key="replace/c1"),
        _settle("p1", "5.00", 1, last=True),
        timedelta(hours=1),
        _sell("c3", "10.00"),
        _do("gift_card", "c3", "suspend"),
        _moved("m1", "c3", "c2", "in_use"),
        _do("replacement", "m1", "replace", amount="10.00"),
        _sell("c4", "10.00"),
        _authorize("p2", "c4", "10.00"),
        _do("gift_card", "c4", "suspend"),
        _blank("plastic-1", "physical"),
        _moved("m2", "c4", "plastic-1", "physical"),
        _do("replacement", "m2", "replace", amount="0.00"),
        _do("replacement", "m2", "cancel"),
    ),
    "answers that nobody wants": (
        _sell("c1", "90.03"),  # lost
        _authorize("p1", "c1", "30.03", PIN),
        _settle("p1", "10.03", 1),
        _authorize("p2", "c1", "20.04"),  # turned away
        _settle("p2", "5.04", 1),
        _authorize("p3", "c1", "10.06"),  # done, and nowhere to be seen
        lambda books: books.refund("p1", "5.01", key="refund/p1"),  # declined
    ),
    "done later": (
        _sell("c1", "50.00"),
        _authorize("p1", "c1", "30.00"),
        _due("p1", "7.04", timedelta(days=1)),  # turned away then, and tried again
        timedelta(days=2),
        _settle("p1", "22.96", 1),
    ),
    "several cards": (
        _sell("c1", "50.00"),
        _sell("c2", "40.00"),
        _together("o-2", {"c1": "30.00", "c2": "20.00"}),
        lambda books: books.settle_all("o-2", "20.00", key="settle/o-2/1"),
        _do("tender", "o-2", "change", amount="40.00"),
        lambda books: books.settle_all("o-2", "15.00", key="settle/o-2/2", how="ratio", last=True),
        lambda books: books.refund_all("o-2", "5.00", key="refund/o-2"),
        _together("o-3", {"c1": "4.00", "c2": "4.00"}),
        lambda books: books.settle_all("o-3", "3.00", key="settle/o-3"),
        _do("tender", "o-3", "change", amount="1.00"),
        lambda books: books.refund_all("o-3", "2.00", key="refund/o-3"),
        lambda books: books.cancel_all("o-3", key="cancel/o-3"),
        _together("o-4", {"c1": "2.00", "c2": "1.00"}),
        lambda books: books.settle_all("o-4", "3.00", key="settle/o-4"),
    ),
    "several cards, given back": (
        _sell("c1", "50.00"),
        _sell("c2", "40.00"),
        _together("o-2", {"c1": "30.00", "c2": "20.01"}),  # the second one is declined
        _together("o-3", {"c1": "10.00", "c2": "10.02"}, allow_partial=True),  # half of the second one
        lambda books: books.cancel_all("o-3", key="cancel/o-3"),
        _do("tender", "t1", "create", order="o-4", requested="5.00", currency=CURRENCY),
        lambda books: books.cancel_all("t1", key="cancel/t1"),
        _do("tender", "t2", "create", order="o-5", requested="10.01", currency=CURRENCY),
        _do("payment", "alone", "create", order="o-5", card="c1", currency=CURRENCY, tender="t2"),
        _do("payment", "other", "create", order="o-5", card="c2", currency=CURRENCY, tender="t2"),
        _do("payment", "alone", "authorize", amount="5.00"),
        _settle("alone", "4.00", 1),
        _do("tender", "t2", "authorize", shares={"other": "10.01"}),  # declined; what was earned alone stays earned
    ),
    "with the order": (
        _sell("c1", "60.00"),
        _asked_for("p1", "c1"),
        _with_the_order(_do("payment", "p1", "authorize", amount="20.00")),
        _with_the_order(_do("payment", "p1", "settle", amount="10.03")),
        _with_the_order(_asked_for("p2", "c1")),
    ),
}


def stories() -> list[Story]:
    """All of them; two run with our own books as the provider, too."""
    machines = reader.load()
    usual = [Story(name, steps, machines) for name, steps in STEPS.items()]
    own = [
        Story(
            f"{name}, own books", STEPS[name], machines, lambda path: LocalProvider(), provider_books=lambda path: None
        )
        for name in ("shipped in parts", "wanted less", "replaced", "moved to a card in use")
    ]
    return [*usual, *own]
