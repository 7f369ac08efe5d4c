"""A card with several balances is suspended and reinstated as one: one call, every balance, all or none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clutch_world import MACHINES, World
from tallystick.books.books import Books
from tallystick.core.refusal import Code
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command, Ended
from tallystick.engine.verify import verify
from tallystick.provider.local import LocalProvider
from tallystick.store.open import open_store


@pytest.fixture(params=["memory", "sqlite"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A card of 50.00 dollars (c1) and 10 points; and a card of its own (c2)."""
    store = open_store("memory:" if request.param == "memory" else str(tmp_path / "books.db"))
    world = World(store=store)
    number = world.card().facts["number"]
    world.card("c2")
    world.sure("gift_card", "points", "create", form="electronic", currency="points")
    world.sure("gift_card", "points", "recognize", number=number, balance="10")
    yield world
    store.close()


def states(world: World) -> list[str]:
    return [world.entity("gift_card", id).state for id in ("c1", "points", "c2")]


def status(world: World) -> str | None:
    return world.sandbox.status(str(world.entity("gift_card", "c1").facts["number"]))


def sound(world: World) -> None:
    """Our books, and nothing in doubt. (`differences` would have both balances answer for all of the card.)"""
    assert verify(world.engine.machines, world.store).findings == ()
    assert world.sandbox.audit() == []
    assert not [row for row in world.calls() if row.state == "open"]


@pytest.mark.parametrize("id", ["c1", "points"])
def test_one_call_suspends_every_balance(world: World, id: str) -> None:
    sent, calls = len(world.line.sent), len(world.calls())
    receipt = world.do("gift_card", id, "suspend")
    assert (receipt.applied, receipt.state) == (True, "suspended")
    assert (states(world), status(world)) == (["suspended", "suspended", "issued"], "suspended")
    assert (len(world.line.sent) - sent, len(world.calls()) - calls) == (1, 1)
    assert world.do("gift_card", "points", "redeem", amount="1").result is Ended.REFUSED
    other = "points" if id == "c1" else "c1"
    assert world.do("gift_card", other, "reinstate").applied
    assert (states(world), status(world)) == (["issued", "issued", "issued"], "active")
    world.end()
    sound(world)


@pytest.mark.parametrize("fault", ["lost_before", "lost_after"])
def test_a_lost_suspension_is_in_doubt_for_every_balance(world: World, fault: str) -> None:
    world.line.faults.append(fault)
    assert world.do("gift_card", "c1", "suspend").result is Ended.IN_DOUBT
    assert states(world) == ["issued", "issued", "issued"]
    for id in ("c1", "points"):
        blocked = world.do("gift_card", id, "suspend")
        assert blocked.refusal is not None
        assert blocked.refusal.waits
    assert world.entity("gift_card", "points").calls == 1
    world.end()
    assert (states(world), status(world)) == (["suspended", "suspended", "issued"], "suspended")
    sound(world)


def test_a_suspension_that_is_turned_away_suspends_nothing(world: World) -> None:
    world.line.faults.append("429")
    assert world.do("gift_card", "c1", "suspend", "s").result is Ended.UNAVAILABLE
    assert states(world) == ["issued", "issued", "issued"]
    assert world.do("gift_card", "c1", "suspend", "s").applied
    assert states(world) == ["suspended", "suspended", "issued"]
    sound(world)


def test_each_balance_is_reinstated_to_where_it_was(world: World) -> None:
    number = world.sandbox.inventory("PLASTIC")[0]
    for id, currency in (("a", "USD"), ("b", "points")):
        world.sure("gift_card", id, "create", form="physical", currency=currency)
    world.sure("gift_card", "a", "activate", number=number)
    world.sure("gift_card", "b", "recognize", number=number, balance="0")
    world.sure("gift_card", "b", "suspend")
    world.sure("gift_card", "a", "reinstate")
    assert [world.entity("gift_card", id).state for id in "ab"] == ["activated", "issued"]


def test_a_balance_that_does_not_answer_is_left_as_it_is(world: World) -> None:
    """One is a blank with the number, or is suspended already: the others are suspended all the same."""
    number = world.entity("gift_card", "c1").facts["number"]
    world.sure("gift_card", "blank", "create", form="electronic", currency="EUR", number=number)
    world.sure("gift_card", "c1", "suspend")
    assert world.entity("gift_card", "blank").state == "inventory"
    assert states(world) == ["suspended", "suspended", "issued"]
    again = world.do("gift_card", "c1", "suspend")
    assert again.refusal is not None
    assert again.refusal.code is Code.NOT_NOW


def test_the_verbs_and_our_own_store_credit_do_so_too(tmp_path: Path) -> None:
    with Books(Engine(MACHINES, open_store(str(tmp_path / "books.db")), LocalProvider())) as books:
        sale = books.sell_electronic("c1", "50.00", "USD", order="o", key="sell")
        facts = {"form": "electronic", "currency": "points"}
        numbered = {"number": sale.number, "balance": "10"}
        for command, args in (("create", facts), ("recognize", numbered)):
            assert books.engine.try_execute(Command("gift_card", "points", command, args, command)).applied
        books.suspend("c1", key="lost", by="ann", reason="stolen")
        assert books.card("points").state == "suspended"
        assert books.history("gift_card", "points")[-1].by == "ann"
        books.reinstate("points", key="found")
        assert books.card("c1").state == "issued"
        assert books.verify().clean


def test_many_in_one_transaction(tmp_path: Path) -> None:
    """The number was given in the same transaction: it is seen all the same."""
    engine = Engine(MACHINES, open_store("memory:"), LocalProvider())
    commands = []
    for id, currency in (("a", "USD"), ("b", "points")):
        commands.append(Command("gift_card", id, "create", {"form": "physical", "currency": currency}, f"new {id}"))
        args = {"number": "6006490281", "balance": "0"}
        commands.append(Command("gift_card", id, "recognize", args, f"see {id}"))
    commands.append(Command("gift_card", "a", "suspend", {}, "s"))
    assert [each.result for each in engine.try_execute_many(commands)] == [Ended.APPLIED] * 5  # type: ignore[union-attr]
    with engine.store.reading() as reading:
        found = reading.entity("gift_card", "b")
    assert found is not None
    assert found.state == "suspended"
