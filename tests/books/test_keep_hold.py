"""A partial shipment lets go of nothing that was promised to its order, wherever the provider can keep it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import attrs
import pytest

import tallystick
from tallystick import Money
from tallystick.books.books import Books
from tallystick.cli.commands.json_lines import Summary, run_lines
from tallystick.engine.receipt import Ended
from tallystick.errors import KeyReused
from tallystick.provider.local import LocalProvider
from tallystick.provider.scripted import ScriptedProvider

NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)


def brl(text: str) -> Money:
    return Money.parse(text, "BRL")


@attrs.define
class Changeable:
    """A local provider whose abilities change, as by a setting."""

    abilities: Collection[str] = ()
    name: str = "local"
    local: bool = True
    perform = LocalProvider.perform
    confirm = LocalProvider.confirm
    look_up = LocalProvider.look_up
    number = staticmethod(lambda: "6006490000000281")


def sold(books: Books) -> Books:
    books.sell_electronic("c", "40.00", "BRL", order="sale", key="sale")
    books.authorize("p", "c", "40.00", order="o", key="hold")
    return books


@pytest.fixture(params=["memory:", "file"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Books]:
    with tallystick.open(request.param if request.param == "memory:" else str(tmp_path / "books.db")) as opened:
        yield sold(opened)
        assert opened.verify().clean


def test_no_other_checkout_takes_what_is_still_to_ship(books: Books) -> None:
    """Also if the process dies right after the shipment: nothing has to follow it."""
    receipt = books.engine.execute("payment", "p", "settle", {"amount": "15.00"}, key="ship")
    assert (receipt.transition, receipt.follow_ups) == ("settle_keep_hold", ())
    with pytest.raises(tallystick.Refused):
        books.redeem("q", "c", "25.00", order="another", key="faster")
    assert (books.payment("p").held, books.payment("p").uncovered) == (brl("25.00"), brl("0.00"))
    assert books.settle("p", "25.00", key="ship 2").state == "closed"


def test_the_rest_of_a_suspended_cards_order_stays_held(books: Books) -> None:
    books.reload("c", "3.00", key="more")
    books.suspend("c", key="stolen")
    books.settle("p", "15.00", key="ship")
    assert books.payment("p").held == books.card("c").held == brl("25.00")
    books.replace("c", "c2", key="new")
    assert books.card("c2").available == brl("3.00"), "what the order holds does not move to the new card"
    assert books.settle("p", "25.00", key="ship 2").state == "closed"


def test_deferred_shipments_and_lines_of_a_file_keep_it_too(books: Books) -> None:
    books.settle("p", "10.00", key="tonight", due=NOON)
    books.queue.reschedule("tonight", datetime.now(timezone.utc) - timedelta(days=1), by="ann", reason="now")
    assert [each.transition for each in books.run_due()] == ["settle_keep_hold"]
    line = b'{"key": "l", "machine": "payment", "id": "p", "command": "settle", "args": {"amount": "5.00"}}'
    assert [each["accounts"]["held"] for each in run_lines(books.engine, [line], Summary())] == ["25.00"]
    assert books.payment("p").held == brl("25.00")


def test_may_tells_of_the_same_way(books: Books) -> None:
    assert books.may("payment", "p", "settle", amount="15.00").transition == "settle_keep_hold"
    assert books.may("payment", "p", "settle", amount="15.00", keep_hold=False).transition == "settle_part"


def test_whoever_wants_it_released_says_so_and_the_queue_does_not_forget_it(books: Books) -> None:
    books.settle("p", "10.00", key="tonight", keep_hold=False, due=NOON)
    books.queue.reschedule("tonight", datetime.now(timezone.utc) - timedelta(days=1), by="ann", reason="now")
    assert [each.transition for each in books.run_due()] == ["settle_part", "hold_again"]
    assert books.settle("p", "10.00", key="tonight", keep_hold=False).replayed
    with pytest.raises(KeyReused):
        books.settle("p", "10.00", key="tonight", keep_hold=True)


@pytest.mark.parametrize("abilities", [("keeps_remainder",), ()])
def test_what_was_decided_stands_in_the_journal_and_counts_for_the_key(abilities: tuple[str, ...]) -> None:
    """The key said again gets its receipt, though the provider can do something else by now."""
    provider = Changeable(abilities)
    books = sold(tallystick.open("memory:", provider=provider))
    first = books.settle("p", "15.00", key="ship")
    (entry,) = [each for each in books.history("payment", "p") if each.command == "settle"]
    assert entry.args == {"amount": brl("15.00"), "keep_hold": bool(abilities)}
    provider.abilities = () if abilities else ("keeps_remainder",)
    again = books.settle("p", "15.00", key="ship")
    assert (again.replayed, again.transition) == (True, first.transition)
    assert books.settle("p", "15.00", key="ship", keep_hold=bool(abilities)).replayed
    with pytest.raises(KeyReused):
        books.settle("p", "15.00", key="ship", keep_hold=not abilities)
    assert books.verify().clean


def test_a_deferred_shipment_said_again_waits_as_it_was_decided() -> None:
    provider = Changeable()
    books = sold(tallystick.open("memory:", provider=provider))
    books.settle("p", "15.00", key="ship", due=NOON)
    provider.abilities = ("keeps_remainder",)
    assert books.settle("p", "15.00", key="ship", due=NOON).result is Ended.DEFERRED
    with books.engine.store.reading() as reading:
        assert '"keep_hold": false' in reading.queued(["ship"])["ship"].args.replace('":', '": ')


def test_of_a_provider_that_says_nothing_the_rest_is_released_and_held_again() -> None:
    books = sold(tallystick.open("memory:", provider=ScriptedProvider()))
    shipped = books.settle("p", "15.00", key="ship")
    assert (shipped.transition, shipped.last.transition) == ("settle_part", "hold_again")
    assert books.payment("p").held == brl("25.00")


def test_where_nobody_keeps_it_a_suspended_cards_rest_is_uncovered_and_nothing_is_lost() -> None:
    books = sold(tallystick.open("memory:", provider=ScriptedProvider()))
    books.suspend("c", key="stolen")
    (refused,) = books.settle("p", "15.00", key="ship").followed
    assert refused.result is Ended.REFUSED
    assert "It is suspended" in refused.why
    payment, card = books.payment("p"), books.card("c")
    assert (payment.redeemed, payment.held, payment.uncovered) == (brl("15.00"), brl("0.00"), brl("25.00"))
    assert (card.available, card.held) == (brl("25.00"), brl("0.00"))
    books.reinstate("c", key="found")
    assert books.hold_again("p", "25.00", key="again").money("held") == brl("25.00")


def test_a_shipment_over_several_cards_keeps_the_rest_of_each(books: Books) -> None:
    books.sell_electronic("d", "20.00", "BRL", order="sale", key="another sale")
    books.cancel("p", key="not so")
    tender = books.authorize_all(books.plan(brl("60.00"), ["c", "d"]), order="two", key="both")
    shipped = books.settle_all(tender.id, "45.00", key="ship")
    assert shipped.applied
    assert [(each.redeemed, each.held, each.uncovered) for each in books.payments(order="two")] == [
        (brl("40.00"), brl("0.00"), brl("0.00")), (brl("5.00"), brl("15.00"), brl("0.00")),
    ]  # fmt: skip
