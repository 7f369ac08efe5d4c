"""A lost card is replaced while orders hold something on it: that follows to the new card, and is never in two places."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

import tallystick
from tallystick import Books, Declined, InDoubt, Money, NotFound, Refused, Unavailable
from tallystick.provider.scripted import Reply, ScriptedProvider


def brl(text: str) -> Money:
    return Money.parse(text, "BRL")


@pytest.fixture
def books() -> Iterator[Books]:
    with tallystick.open("memory:") as books:
        books.sell_electronic("c1", "40.00", "BRL", order="o1", key="sell")
        yield books
        assert books.verify().findings == ()


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
def remote(provider: ScriptedProvider) -> Iterator[Books]:
    with tallystick.open("memory:", provider=provider) as books:
        books.sell_electronic("c1", "40.00", "BRL", order="o1", key="sell")
        yield books
        assert books.verify().findings == ()


def cards(books: Books, *ids: str) -> list[str]:
    """Of each card its state, and what is available on it."""
    return [f"{(card := books.card(id)).state} {card.available}" for id in ids or ("c1", "c2")]


def waits(books: Books) -> list[str]:
    return [each.row.key for each in books.waiting().queue]


@pytest.mark.parametrize("number", [None, "6036280000000281"])
def test_all_is_held_and_what_is_given_back_follows(books: Books, number: str | None) -> None:
    books.authorize("p", "c1", "40.00", order="o", key="a")
    books.suspend("c1", key="lost", reason="lost")
    books.settle("p", "15.00", key="s")
    for _ in range(2):
        sale = books.replace("c1", "c2", key="rep", number=number)
        assert sale.number == books.card("c2").number
        assert cards(books) == ["suspended 0.00 BRL", "activated 0.00 BRL"]
        assert (books.card("c1").held, books.payment("p").held) == (brl("25.00"), brl("25.00"))
    assert not books.stuck()
    assert len(waits(books)) == 1
    books.settle("p", "10.00", key="s2", last=True)
    books.run_due()
    assert cards(books) == ["replaced 0.00 BRL", "issued 15.00 BRL"]
    assert (waits(books), books.queue.waiting()) == ([], [])
    assert books.replace("c1", "c2", key="again").number == books.card("c2").number, "it has followed by itself"
    assert cards(books) == ["replaced 0.00 BRL", "issued 15.00 BRL"]


def test_all_is_held_and_all_of_it_ships(books: Books) -> None:
    books.authorize("p", "c1", "40.00", order="o", key="a")
    books.replace("c1", "c2", key="rep")
    books.settle("p", "40.00", key="s")
    books.run_due()
    assert (cards(books), waits(books)) == (["replaced 0.00 BRL", "activated 0.00 BRL"], [])


def test_what_two_orders_give_back_one_after_the_other_follows_each_time(books: Books) -> None:
    for id, amount in (("p", "10.00"), ("q", "20.00")):
        books.authorize(id, "c1", amount, order=f"o-{id}", key=f"a-{id}")
    books.replace("c1", "c2", key="rep")
    assert cards(books) == ["suspended 0.00 BRL", "issued 10.00 BRL"]
    books.run_due()
    books.cancel("q", key="x-q")
    books.run_due()
    assert cards(books) == ["suspended 0.00 BRL", "issued 30.00 BRL"]
    books.cancel("p", key="x-p")
    books.run_due()
    assert (cards(books), waits(books)) == (["replaced 0.00 BRL", "issued 40.00 BRL"], [])


def test_a_card_with_nothing_on_it_and_nothing_held_is_not_replaced(books: Books) -> None:
    books.redeem("p", "c1", "40.00", order="o", key="a")
    with pytest.raises(Refused, match="Nothing is on it, and no order holds anything"):
        books.replace("c1", "c2", key="rep")
    assert books.card("c1").state == "issued"


def test_it_follows_only_from_a_card_that_is_suspended(books: Books) -> None:
    books.authorize("p", "c1", "40.00", order="o", key="a")
    facts = {"old": "c1", "new": "c2", "form": "electronic", "currency": "BRL"}
    books.engine.execute("gift_card", "c2", "create", {"form": "electronic", "currency": "BRL"}, key="c2")
    books.engine.execute("replacement", "r", "create", facts, key="r")
    with pytest.raises(Refused, match="It is not suspended"):
        books.engine.execute("replacement", "r", "replace", {"amount": "0.00"}, key="r/replace")


def test_nothing_leaves_the_old_card_while_the_new_one_takes_nothing(books: Books) -> None:
    """The new card is lost as well: it is said at once, and the value goes on once that is settled."""
    books.authorize("p", "c1", "40.00", order="o", key="a")
    books.replace("c1", "c2", key="rep")
    books.suspend("c2", key="lost, too", reason="lost")
    books.cancel("p", key="x")
    books.run_due()
    assert cards(books) == ["suspended 40.00 BRL", "suspended 0.00 BRL"]
    (told,) = books.stuck().queue
    assert "gift_card 'c2' is suspended" in told.why
    books.reinstate("c2", key="found", reason="found")
    books.queue.retry(told.row.key, by="ana", reason="found again")
    books.run_due()
    assert (cards(books), bool(books.stuck())) == (["replaced 0.00 BRL", "issued 40.00 BRL"], False)


def test_a_new_card_that_was_replaced_in_turn_hands_on_to_the_last(books: Books) -> None:
    books.authorize("p", "c1", "30.00", order="o", key="a")
    books.replace("c1", "c2", key="rep")
    books.replace("c2", "c3", key="rep-2")
    books.cancel("p", key="x")
    books.run_due()
    assert cards(books, "c1", "c2", "c3") == ["suspended 30.00 BRL", "replaced 0.00 BRL", "issued 10.00 BRL"]
    assert len(books.stuck().queue) == 1
    books.replace("c1", "c3", key="rep-3")
    assert cards(books, "c1", "c3") == ["replaced 0.00 BRL", "issued 40.00 BRL"]


def test_a_second_replacement_of_the_same_card_does_not_double_it(books: Books) -> None:
    books.authorize("p", "c1", "40.00", order="o", key="a")
    books.replace("c1", "c2", key="rep")
    books.replace("c1", "c3", key="rep-2")
    books.cancel("p", key="x")
    books.run_due()
    there = [books.card(id).available for id in ("c1", "c2", "c3")]
    assert sorted(there) == [brl("0.00"), brl("0.00"), brl("40.00")]
    assert (books.card("c1").state, waits(books), bool(books.stuck())) == ("replaced", [], False)


def test_a_replacement_that_follows_can_be_called_off(books: Books) -> None:
    books.authorize("p", "c1", "30.00", order="o", key="a")
    books.replace("c1", "c2", key="rep")
    books.engine.execute("replacement", "rep", "cancel", key="rep/cancel", by="ana", reason="the card was found")
    books.cancel("p", key="x")
    books.run_due()
    assert (cards(books), waits(books)) == (["suspended 30.00 BRL", "issued 10.00 BRL"], [])
    books.reinstate("c1", key="found", reason="found")
    assert cards(books) == ["issued 30.00 BRL", "issued 10.00 BRL"]


@pytest.mark.parametrize("said", ["confirmed", "declined"])
def test_a_hold_in_doubt_stays_or_follows_once_it_is_known(
    remote: Books, provider: ScriptedProvider, said: str
) -> None:
    remote.authorize("p", "c1", "10.00", order="o", key="a")
    provider.reply_with([Reply("lost_after" if said == "confirmed" else "lost_before")])
    with pytest.raises(InDoubt) as doubt:
        remote.authorize("q", "c1", "30.00", order="o2", key="a2")
    remote.replace("c1", "c2", key="rep")
    assert (cards(remote), remote.card("c1").in_doubt) == (["suspended 0.00 BRL", "activated 0.00 BRL"], brl("30.00"))
    reference = "h-1" if said == "confirmed" else None
    remote.engine.resolve(str(doubt.value.receipt.call), said, by="ana", reason="asked", reference=reference)
    remote.run_due()
    if said == "confirmed":
        assert (cards(remote)[0], remote.card("c1").held) == ("suspended 0.00 BRL", brl("40.00"))
    else:
        assert cards(remote) == ["suspended 0.00 BRL", "issued 30.00 BRL"]
    assert not remote.stuck()


def test_a_card_of_which_all_is_in_doubt_is_replaced_once_that_is_known(
    remote: Books, provider: ScriptedProvider
) -> None:
    """It may be a hold, or on its way to another new card already."""
    provider.reply_with([Reply("confirmed"), Reply("lost_before")])
    with pytest.raises(InDoubt):
        remote.replace("c1", "c2", key="rep")
    with pytest.raises(Refused, match=r"Some of it is in doubt, and may be on its way already.*in_doubt 40\.00"):
        remote.replace("c1", "c3", key="another")
    with pytest.raises(NotFound):
        remote.card("c3")


def test_what_the_provider_does_not_hand_over_stays_on_the_old_card(remote: Books, provider: ScriptedProvider) -> None:
    remote.authorize("p", "c1", "40.00", order="o", key="a")
    remote.replace("c1", "c2", key="rep")
    remote.cancel("p", key="x")
    provider.reply_with([Reply("declined")])
    remote.run_due()
    assert cards(remote) == ["suspended 40.00 BRL", "activated 0.00 BRL"]
    assert [each.row.state for each in remote.stuck().queue] == ["declined"]
    remote.replace("c1", "c2", key="rep-2")
    assert cards(remote) == ["replaced 0.00 BRL", "issued 40.00 BRL"]


def test_what_the_new_card_does_not_take_is_called_back(remote: Books, provider: ScriptedProvider) -> None:
    remote.authorize("p", "c1", "40.00", order="o", key="a")
    remote.replace("c1", "c2", key="rep")
    remote.cancel("p", key="x")
    provider.reply_with([Reply("confirmed"), Reply("declined")])
    remote.run_due()
    assert cards(remote) == ["suspended 0.00 BRL", "activated 0.00 BRL"]
    assert [each.row.command for each in remote.stuck().queue] == ["issue"]
    remote.engine.execute("replacement", "rep", "cancel", key="rep/cancel")
    assert cards(remote) == ["suspended 40.00 BRL", "activated 0.00 BRL"]


def test_what_a_shipment_lets_go_follows_where_the_provider_keeps_no_rest(remote: Books) -> None:
    """The advanced hold is refused on a suspended card; the value is not stranded there."""
    remote.authorize("p", "c1", "40.00", order="o", key="a")
    remote.replace("c1", "c2", key="rep")
    remote.settle("p", "15.00", key="s")
    remote.run_due()
    assert cards(remote) == ["replaced 0.00 BRL", "issued 25.00 BRL"]
    assert remote.payment("p").uncovered == brl("25.00")


def test_a_card_in_doubt_is_not_emptied_twice(remote: Books, provider: ScriptedProvider) -> None:
    remote.authorize("p", "c1", "40.00", order="o", key="a")
    remote.replace("c1", "c2", key="rep")
    remote.cancel("p", key="x")
    provider.reply_with([Reply("lost_after")])
    remote.run_due()
    with pytest.raises((Refused, Declined)):
        remote.replace("c1", "c2", key="rep-2")
    provider.wait(120)
    remote.recover()
    provider.wait(120)
    remote.run_due()
    assert cards(remote) == ["replaced 0.00 BRL", "issued 40.00 BRL"]


def test_a_replacement_is_said_again_after_the_provider_was_not_there(
    remote: Books, provider: ScriptedProvider
) -> None:
    for _ in range(2):  # suspend, and take off
        provider.reply_with([Reply("unavailable")])
        with pytest.raises(Unavailable):
            remote.replace("c1", "c2", key="rep")
    remote.replace("c1", "c2", key="rep")
    assert cards(remote) == ["replaced 0.00 BRL", "issued 40.00 BRL"]


# --- the old card is found


def test_a_replacement_is_undone_while_an_order_holds_something(books: Books) -> None:
    books.authorize("p", "c1", "10.00", order="o", key="a")
    books.replace("c1", "c2", key="rep")
    assert cards(books) == ["suspended 0.00 BRL", "issued 30.00 BRL"]
    for _ in range(2):
        books.undo_replacement("rep", key="found", by="ann", reason="it was in another coat")
        assert cards(books) == ["issued 30.00 BRL", "replaced 0.00 BRL"]
    assert (books.payment("p").held, waits(books), bool(books.stuck())) == (brl("10.00"), [], False)
    books.settle("p", "4.00", key="s", last=True)
    books.run_due()
    assert cards(books) == ["issued 36.00 BRL", "replaced 0.00 BRL"], "what comes back stays on the old card"
    books.replace("c1", "c3", key="lost again")
    assert cards(books, "c1", "c3") == ["replaced 0.00 BRL", "issued 36.00 BRL"]


def test_what_the_new_card_has_paid_stays_paid_and_what_orders_hold_there_follows(books: Books) -> None:
    books.authorize("p", "c1", "10.00", order="o", key="a")
    books.replace("c1", "c2", key="rep")
    books.redeem("q", "c2", "5.00", order="o-2", key="q")
    books.authorize("r", "c2", "5.00", order="o-3", key="r")
    books.undo_replacement("rep", key="found")
    assert cards(books) == ["issued 20.00 BRL", "suspended 0.00 BRL"]
    books.cancel("r", key="not after all")
    books.run_due()
    assert cards(books) == ["issued 25.00 BRL", "replaced 0.00 BRL"]


def test_it_is_undone_before_anything_is_on_the_new_card(books: Books) -> None:
    books.authorize("p", "c1", "40.00", order="o", key="a")
    books.replace("c1", "c2", key="rep")
    books.undo_replacement("rep", key="found")
    assert cards(books) == ["issued 0.00 BRL", "replaced 0.00 BRL"]
    assert (books.payment("p").held, waits(books)) == (brl("40.00"), [])


def test_it_is_not_undone_once_the_old_card_is_retired(books: Books) -> None:
    books.replace("c1", "c2", key="rep")
    before = cards(books)
    with pytest.raises(Refused, match="the old one is retired; replace the new one instead"):
        books.undo_replacement("rep", key="found")
    assert not books.would(lambda dry: dry.undo_replacement("rep", key="found")).allowed
    assert cards(books) == before == ["replaced 0.00 BRL", "issued 40.00 BRL"]
    with pytest.raises(NotFound):
        books.undo_replacement("nothing", key="found")


def test_it_is_not_undone_while_orders_hold_all_of_the_new_card(books: Books) -> None:
    books.authorize("p", "c1", "10.00", order="o", key="a")
    books.replace("c1", "c2", key="rep")
    books.authorize("q", "c2", "30.00", order="o-2", key="q")
    before = cards(books)
    with pytest.raises(Refused, match="what orders hold on it settled or given back"):
        books.undo_replacement("rep", key="found")
    assert cards(books) == before


@pytest.mark.parametrize("fault", ["declined", "unavailable", "lost_before", "lost_after"])
@pytest.mark.parametrize("call", range(4))
def test_an_undo_that_stops_half_way_goes_on(remote: Books, provider: ScriptedProvider, call: int, fault: str) -> None:
    """Reinstate, suspend, take off, put on: whichever has no good answer, nothing is lost or on both cards."""
    remote.authorize("p", "c1", "10.00", order="o", key="a")
    remote.replace("c1", "c2", key="rep")
    provider.reply_with([*[Reply("confirmed")] * call, Reply(fault)])
    with contextlib.suppress(tallystick.Answered):
        remote.undo_replacement("rep", key="found")
    for _ in range(4):
        provider.wait(7200)
        remote.recover()
        remote.run_due()
    total = sum(remote.card(id).available.minor for id in ("c1", "c2"))
    assert total + remote._entity("replacement", "found").accounts["moving"] == 3000
    for _ in range(3):
        with contextlib.suppress(tallystick.Answered):
            remote.undo_replacement("rep", key="found")
        remote.run_due()
    if fault != "declined":
        assert cards(remote) == ["issued 30.00 BRL", "replaced 0.00 BRL"]
