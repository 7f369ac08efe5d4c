"""A sale with a day of delivery: the card is drawn at the sale, and its value is put on on that day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from tallystick.books.books import Books
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import InDoubt, Refused
from tallystick.engine.rehearsal import read_replies
from tallystick.errors import Invalid
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Provider
from tallystick.provider.scripted import BEGINS, ScriptedProvider
from tallystick.store.memory import MemoryStore

DAY = timedelta(days=1)
BIRTHDAY = BEGINS + 20 * DAY
WHO = {"by": "ann", "reason": "it looks odd"}


class Shop(Books):
    clock: ScriptedProvider

    def to(self, moment: datetime) -> list[str]:
        """It is this moment now; what was executed."""
        self.clock.wait((moment - self.clock.clock()).total_seconds())
        return [f"{each.command} {each.result}" for each in self.run_due()]

    def stands(self) -> tuple[str, str, int]:
        """The sale, its card, and what is on that."""
        card = self.card("c")
        return self._entity("fulfilment", "s").state, card.state, card.available.minor

    def sold(self, deliver: datetime = BIRTHDAY, **given: object) -> None:
        self.sell_electronic("c", "50.00", "BRL", order="o", key="s", deliver=deliver, **given)  # type: ignore[arg-type]


@pytest.fixture(params=["local", "remote"])
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    clock = ScriptedProvider()
    provider: Provider = LocalProvider() if request.param == "local" else clock
    with Shop(Engine(reader.load(), MemoryStore(), provider, clock=clock.clock)) as opened:
        opened.clock = clock
        yield opened
        assert opened.verify().findings == ()
        assert not opened.stuck()


def test_it_has_its_value_from_its_day_on(shop: Shop) -> None:
    shop.sold()
    number = shop.card("c").number
    assert (shop.stands(), number is not None) == (("scheduled", "activated", 0), True)
    assert shop.to(BIRTHDAY - timedelta(seconds=1)) == []
    assert shop.to(BIRTHDAY) == ["issue_on applied"]
    assert (shop.stands(), shop.card("c").number) == (("fulfilled", "issued", 5000), number)
    shop.sold()
    assert shop.to(BIRTHDAY + DAY) == [], "said again, nothing is put on twice"


def test_it_is_called_off_before_its_day(shop: Shop) -> None:
    shop.sold()
    shop.cancel_sale("s", key="off", by="ann", reason="the buyer changed his mind")
    assert shop.to(BIRTHDAY + DAY) == []
    assert shop.stands() == ("cancelled", "activated", 0)
    assert not shop.waiting().queue
    with pytest.raises(Refused, match="It is over"):
        shop.issue("s", key="after all")


def test_its_day_is_moved(shop: Shop) -> None:
    shop.sold()
    shop.deliver_on("s", BIRTHDAY + DAY, key="later")
    assert shop.to(BIRTHDAY) == ["issue_on refused"]
    assert (shop.stands(), bool(shop.stuck())) == (("scheduled", "activated", 0), False)
    shop.deliver_on("s", BIRTHDAY, key="now after all")
    assert shop.stands() == ("fulfilled", "issued", 5000)
    assert shop.to(BIRTHDAY + 2 * DAY) == []


def test_it_is_put_on_before_its_day(shop: Shop) -> None:
    shop.sold()
    shop.issue("s", key="early", by="ann")
    assert shop.stands() == ("fulfilled", "issued", 5000)
    assert shop.to(BIRTHDAY) == []


def test_its_day_is_taken_away(shop: Shop) -> None:
    shop.sold()
    shop.deliver_on("s", None, key="nobody knows yet")
    assert shop.to(BIRTHDAY) == ["issue_on refused"]
    shop.issue("s", key="now")
    assert shop.stands() == ("fulfilled", "issued", 5000)


def test_it_is_reviewed_before_its_day(shop: Shop) -> None:
    shop.sold()
    shop.deliver_on("s", None, key="look", **WHO)
    assert shop.to(BIRTHDAY) == ["issue_on refused"]
    assert (shop.stands(), bool(shop.stuck())) == (("scheduled", "activated", 0), False), "it waits for a person only"
    shop.deliver_on("s", BIRTHDAY, key="fine", by="ann", reason="it is well")
    assert shop.stands() == ("fulfilled", "issued", 5000)


def test_it_is_reviewed_before_its_day_and_not_sold(shop: Shop) -> None:
    shop.sold()
    shop.deliver_on("s", None, key="look", **WHO)
    shop.cancel_sale("s", key="no", **WHO)
    assert shop.to(BIRTHDAY + DAY) == []
    assert shop.stands() == ("cancelled", "activated", 0)


def test_it_is_reviewed_before_anything_is_drawn(shop: Shop) -> None:
    shop.sold(review=True)
    assert (shop.stands(), shop.card("c").number) == (("in_review", "inventory", 0), None)
    shop.approve("s", key="fine", by="ann")
    assert shop.stands() == ("scheduled", "activated", 0)
    shop.to(BIRTHDAY)
    assert shop.stands() == ("fulfilled", "issued", 5000)


def test_its_owner_is_told_at_the_sale_and_kept_nowhere(shop: Shop) -> None:
    shop.sold(owner={"first_name": "Ana"})
    assert [each.command for each in shop.history("gift_card", "c")][-1] == "register"
    assert "Ana" not in str([shop.history("gift_card", "c"), shop.history("fulfilment", "s")])
    assert shop.to(BIRTHDAY) == ["issue_on applied"]


def test_a_day_that_has_passed_is_at_once(shop: Shop) -> None:
    shop.sold(BEGINS - DAY)
    assert shop.stands() == ("fulfilled", "issued", 5000)


def test_its_card_is_lost_before_its_day(shop: Shop) -> None:
    shop.sold()
    shop.suspend("c", key="lost")
    shop.to(BIRTHDAY)
    (failed,) = shop.stuck().queue
    shop.reinstate("c", key="found")
    shop.queue.retry(failed.row.key, by="ann", reason="it was found")
    assert shop.stands() == ("fulfilled", "issued", 5000)


def test_what_cannot_be_is_said_before_a_card_is_drawn(shop: Shop) -> None:
    for wrong in ({"due": BIRTHDAY}, {"issue": False}, {"expires": BIRTHDAY}):
        with pytest.raises(Invalid, match="deliver="):
            shop.sold(**wrong)
    assert shop.clock.contacts == []


def test_no_answer_comes_on_its_day() -> None:
    clock = ScriptedProvider()
    shop = Shop(Engine(reader.load(), MemoryStore(), clock, clock=clock.clock))
    shop.clock = clock
    shop.sold()
    clock.reply_with(read_replies(["lost_after"]))
    assert shop.to(BIRTHDAY) == ["issue_on in_doubt"]
    with pytest.raises((InDoubt, Refused)):
        shop.cancel_sale("s", key="off")
    clock.wait(3600)
    shop.recover()
    assert (shop.stands(), shop.verify().findings) == (("fulfilled", "issued", 5000), ())
