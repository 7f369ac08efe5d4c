"""A card expires: nothing is held or spent anew, what is free lapses, what is held stays until it is given back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tallystick import reports
from tallystick.books.books import Books
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command, Ended, InDoubt, Refused
from tallystick.engine.rehearsal import read_replies
from tallystick.money import Money, to_text
from tallystick.provider.local import LocalProvider
from tallystick.provider.scripted import BEGINS, ScriptedProvider
from tallystick.store.memory import MemoryStore

DAY = timedelta(days=1)
DATE = BEGINS + 30 * DAY
WHO = {"by": "ann", "reason": "she asked"}


def money(amount: Money) -> str:
    return to_text(amount.minor, amount.currency)


class Shop(Books):
    """Books with a clock that is moved by hand."""

    clock: ScriptedProvider
    fallible: bool

    def to(self, moment: datetime, *, due: bool = True) -> list[str]:
        """It is this moment now; what was executed."""
        self.clock.wait((moment - self.clock.clock()).total_seconds())
        receipts = self.run_due() if due else []
        return [f"{each.command} {each.result}" for each in receipts]

    def stands(self, card: str) -> tuple[str, str, str]:
        found = self.card(card)
        return found.state, money(found.available), money(found.held)

    def outside(self, card: str, account: str) -> int:
        """What has come to an account outside the card."""
        with self.engine.store.reading() as reading:
            moved = [each for row in reading.journal("gift_card", card) for each in json.loads(row.postings)]
        came = sum(amount for _, target, amount in moved if target == account)
        return int(came - sum(amount for source, _, amount in moved if source == account))


def shop(*, local: bool) -> Shop:
    clock = ScriptedProvider()
    provider: Any = LocalProvider() if local else clock
    made = Shop(Engine(reader.load(), MemoryStore(), provider, clock=clock.clock))
    made.clock, made.fallible = clock, not local
    return made


@pytest.fixture(params=["local", "remote"])
def books(request: pytest.FixtureRequest) -> Iterator[Shop]:
    made = shop(local=request.param == "local")
    made.sell_electronic("c", "50.00", "BRL", order="s", key="sale", expires=DATE)
    yield made
    assert made.verify().findings == ()
    assert not made.stuck().queue


def no(verb: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refused:
        verb()
    return str(refused.value)


def test_what_is_free_lapses_at_the_date(books: Shop) -> None:
    assert books.card("c").expires == DATE
    assert books.to(DATE - timedelta(milliseconds=1)) == []
    assert books.stands("c") == ("issued", "50.00", "0.00")
    assert books.to(DATE) == ["expire applied"]
    assert books.stands("c") == ("issued", "0.00", "0.00")
    assert books.outside("c", "expired") == 5000
    assert books.to(DATE + 400 * DAY) == []
    report = reports.rollforward(books.engine)
    assert [row["expired"] for row in report.rows if row.get("expired")] == [-5000]


def test_after_the_date_nothing_is_taken_even_if_nobody_ran_what_is_due(books: Shop) -> None:
    books.to(DATE - timedelta(seconds=1), due=False)
    books.authorize("before", "c", "10.00", order="o", key="a")
    books.redeem("paid", "c", "5.00", order="o", key="r")
    books.to(DATE, due=False)
    said = [
        no(lambda: books.authorize("p", "c", "1.00", order="o", key="k1")),
        no(lambda: books.redeem("p2", "c", "1.00", order="o", key="k2")),
        no(lambda: books.reload("c", "1.00", key="k3")),
        no(lambda: books.credit("c", "1.00", key="k4")),
    ]
    for each in said:
        assert "It has expired (here " in each
    said_so = no(lambda: books.refund("paid", "1.00", key="k5"))
    assert "It has expired; extend moves its date, or another card takes the refund" in said_so
    assert "move its date first" in no(lambda: books.adjust("c", "1.00", key="k6", **WHO))
    assert "hold" not in books.may("gift_card", "c", "redeem", amount="1.00").refusal.allowed  # type: ignore[union-attr]
    assert books.stands("c") == ("issued", "35.00", "10.00")


def test_what_is_held_is_earned_or_lapses_when_it_comes_back(books: Shop) -> None:
    books.authorize("p", "c", "40.00", order="o", key="a")
    assert books.to(DATE) == ["expire applied"]
    assert books.stands("c") == ("issued", "0.00", "40.00")
    books.settle("p", "30.00", key="s", last=True)
    books.run_due()
    assert books.stands("c") == ("issued", "0.00", "0.00")
    assert books.outside("c", "expired") == 2000
    assert books.outside("c", "spent") == 3000


def test_a_partial_shipment_after_the_date_keeps_what_the_order_had(books: Shop) -> None:
    books.authorize("p", "c", "40.00", order="o", key="a")
    books.to(DATE)
    books.settle("p", "10.00", key="s1", keep_hold=False)
    books.run_due()
    assert books.payment("p").state == "advanced_hold"
    assert books.stands("c") == ("issued", "0.00", "30.00")
    books.settle("p", "30.00", key="s2")
    assert books.outside("c", "expired") == 1000


def test_a_hold_that_is_called_off_after_the_date_lapses(books: Shop) -> None:
    books.authorize("p", "c", "40.00", order="o", key="a")
    books.to(DATE)
    books.cancel("p", key="v")
    books.run_due()
    assert books.outside("c", "expired") == 5000
    assert books.to(DATE + DAY) == []


def test_an_extended_card_lives_on(books: Shop) -> None:
    books.to(DATE - timedelta(seconds=1))
    books.extend("c", DATE + DAY, key="e", **WHO)
    assert books.to(DATE) == ["expire refused"]  # at the old date: it has nothing to do, and nobody has to look
    books.authorize("p", "c", "10.00", order="o", key="a")
    books.cancel("p", key="v")
    assert books.to(DATE + DAY) == ["expire applied"]
    assert books.outside("c", "expired") == 5000


def test_after_the_date_it_can_be_extended_and_what_lapsed_is_given_by_hand(books: Shop) -> None:
    books.to(DATE)
    books.extend("c", DATE + 10 * DAY, key="e", **WHO)
    assert books.stands("c") == ("issued", "0.00", "0.00")
    books.adjust("c", "50.00", key="back", **WHO)
    books.redeem("p", "c", "20.00", order="o", key="r")
    assert books.to(DATE + 10 * DAY) == ["expire applied"]
    assert books.stands("c") == ("issued", "0.00", "0.00")


def test_a_date_is_only_moved_to_a_later_one(books: Shop) -> None:
    assert "only moved to a later one" in no(lambda: books.extend("c", DATE, key="e1"))
    books.to(DATE + 5 * DAY)
    assert "only moved to a later one" in no(lambda: books.extend("c", DATE + 4 * DAY, key="e2"))
    books.sell_electronic("d", "5.00", "BRL", order="s", key="sale2")
    assert "It never expires" in no(lambda: books.extend("d", DATE + 9 * DAY, key="e3"))


def test_a_card_that_expires_while_suspended(books: Shop) -> None:
    books.suspend("c", key="lost")
    assert books.to(DATE) == ["expire applied"]
    assert books.stands("c") == ("suspended", "0.00", "0.00")
    books.reinstate("c", key="found")
    assert "It has expired" in no(lambda: books.redeem("p", "c", "1.00", order="o", key="k"))


def test_a_replacement_has_the_date_of_the_lost_card(books: Shop) -> None:
    books.replace("c", "new", key="swap")
    assert books.card("new").expires == DATE
    books.to(DATE)
    assert books.stands("new") == ("issued", "0.00", "0.00")
    assert books.outside("new", "expired") == 5000


def test_an_expired_card_is_not_replaced_before_its_time_was_run(books: Shop) -> None:
    books.to(DATE, due=False)
    assert "It has expired" in no(lambda: books.replace("c", "new", key="swap"))
    books.run_due()
    assert books.outside("c", "expired") == 5000


def test_a_card_that_nobody_has_put_value_on(books: Shop) -> None:
    books.sell_electronic("e", "9.00", "BRL", order="s", key="later", expires=DATE, issue=False)
    books.to(DATE)
    assert "It has expired" in no(lambda: books.issue("later", key="i"))


def test_a_card_from_elsewhere_may_have_a_date(books: Shop) -> None:
    facts = {"form": "physical", "currency": "BRL", "expires": DATE.astimezone(timezone(timedelta(hours=-3)))}
    books.engine.execute("gift_card", "x", "create", facts, key="x")
    number = {"number": "6006490000000077", "balance": "12.00"}
    books.engine.execute("gift_card", "x", "recognize", number, key="x2")
    assert books.card("x").expires == DATE
    books.to(DATE)
    assert books.outside("x", "expired") == 1200


def test_a_key_said_again_after_the_date_is_told_what_was(books: Shop) -> None:
    first = books.authorize("p", "c", "10.00", order="o", key="a")
    books.to(DATE)
    again = books.authorize("p", "c", "10.00", order="o", key="a")
    assert again.replayed
    assert (again.state, again.money("held")) == (first.state, first.money("held"))


def test_who_is_to_be_warned(books: Shop) -> None:
    books.sell_electronic("d", "5.00", "BRL", order="s", key="sale2", expires=DATE + DAY)
    books.sell_electronic("never", "5.00", "BRL", order="s", key="sale3")
    books.authorize("p", "d", "2.00", order="o", key="a")
    assert books.expiring(DATE) == []
    both = books.expiring(DATE + 2 * DAY)
    assert [(each.card, each.expires, money(each.available), money(each.held)) for each in both] == [
        ("c", DATE, "50.00", "0.00"), ("d", DATE + DAY, "3.00", "2.00")
    ]  # fmt: skip
    books.extend("c", DATE + 9 * DAY, key="e", **WHO)
    assert [each.card for each in books.expiring(DATE + 2 * DAY)] == ["d"]


def test_a_clock_that_was_set_back_gives_nothing_back(books: Shop) -> None:
    books.to(DATE)
    books.to(DATE - DAY)
    assert books.stands("c") == ("issued", "0.00", "0.00")
    books.to(DATE + DAY)
    assert books.outside("c", "expired") == 5000


def test_what_is_in_doubt_at_the_date_lapses_when_it_is_known() -> None:
    books = shop(local=False)
    books.sell_electronic("c", "50.00", "BRL", order="s", key="sale", expires=DATE)
    books.to(DATE - timedelta(seconds=1))
    books.clock.reply_with(read_replies(["lost_before"]))
    with pytest.raises(InDoubt):
        books.authorize("p", "c", "20.00", order="o", key="a")
    books.to(DATE)
    assert books.card("c").available.minor == 3000  # what is in doubt may be free soon, so the whole waits for that
    books.clock.wait(3600)
    books.recover()
    books.to(DATE + 2 * DAY)
    assert books.stands("c") == ("issued", "0.00", "20.00")
    assert books.outside("c", "expired") == 3000
    books.cancel("p", key="v")
    books.run_due()
    assert books.outside("c", "expired") == 5000
    assert books.verify().findings == ()


def test_a_provider_that_is_away_is_asked_again() -> None:
    books = shop(local=False)
    books.sell_electronic("c", "50.00", "BRL", order="s", key="sale", expires=DATE)
    books.clock.reply_with(read_replies(["unavailable"]))
    books.to(DATE)
    assert books.stands("c") == ("issued", "50.00", "0.00")
    assert books.to(DATE + DAY) == ["expire applied"]
    assert books.outside("c", "expired") == 5000
    books.clock.reply_with(())
    assert books.engine.try_execute(Command("gift_card", "c", "expire", {}, "again")).result is Ended.REFUSED


def test_an_expired_card_is_replaced_for_what_orders_still_hold(books: Shop) -> None:
    """The new card has the old one's date, and so expires as soon as it is activated; that is no step of the verb."""
    books.authorize("p", "c", "4.00", order="o", key="hold")
    books.suspend("c", key="lost", **WHO)
    assert books.to(DATE + DAY) == ["expire applied"]
    sale = books.replace("c", "d", key="again", **WHO)
    assert (sale.receipt.applied, sale.receipt.state) == (True, "following")
    assert books.stands("d") == ("activated", "0.00", "0.00")
    books.settle("p", "3.00", key="ship", last=True)
    books.to(DATE + 2 * DAY)
    assert books.stands("c") == ("replaced", "0.00", "0.00")
    assert (books.outside("c", "spent"), books.outside("c", "expired")) == (300, 4700)
    assert not books.stuck()
    assert books.verify().clean
