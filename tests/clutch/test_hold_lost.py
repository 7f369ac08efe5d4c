"""A hold that is gone at Clutch, released in its portal or taken away there: a person says so, and the order goes on."""

from __future__ import annotations

import json

import pytest

from clutch_world import World
from tallystick.books.books import Books
from tallystick.books.reconciling.differences import DifferenceCode
from tallystick.books.reconciling.reconcile import reconcile
from tallystick.cli.commands.json_lines import Summary, run_lines
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command, Ended, Receipt
from tallystick.errors import Invalid


@pytest.fixture
def world() -> World:
    """A card of 50.00, of which payment p1 holds 40.00; the portal has let go of it."""
    world = World()
    card = world.card()
    payment = world.payment(amount="40.00")
    world._release_in_the_portal(str(card.facts["number"]), str(payment.facts["hold_id"]))
    return world


def lost(world: World, key: str = "lost") -> Receipt:
    command = Command("payment", "p1", "mark_hold_lost", {}, key, by="ann", reason="released in the portal")
    return world.engine.try_execute(command)


def accounts(world: World, machine: str = "payment", id: str = "p1") -> tuple[str, dict[str, int]]:
    entity = world.entity(machine, id)
    return entity.state, {name: value for name, value in entity.accounts.items() if value}


def test_without_it_the_payment_is_stranded(world: World) -> None:
    for command, args in (("settle", {"amount": "10.00"}), ("settle", {"amount": "40.00"}), ("cancel", {})):
        assert world.do("payment", "p1", command, **args).result is Ended.DECLINED
    (found,) = reconcile(world.engine).remaining[:1]
    assert found.code is DifferenceCode.BALANCE
    only_ours = [each.what for each in reconcile(world.engine).findings if each.code is DifferenceCode.HOLD_ONLY_OURS]
    assert len(only_ours) == 1
    assert "(mark_hold_lost)" in only_ours[0]


def test_a_lost_hold_is_held_again_and_the_order_ships(world: World) -> None:
    sent = len(world.line.sent)
    receipt = lost(world)
    assert (receipt.applied, receipt.state) == (True, "partially_settled")
    assert len(world.line.sent) == sent, "nobody is asked"
    assert accounts(world) == ("partially_settled", {"uncovered": 4000})
    assert accounts(world, "gift_card", "c1") == ("issued", {"available": 5000})
    assert world.entity("payment", "p1").facts["hold_id"] is None
    assert [each.code for each in reconcile(world.engine).findings] == [DifferenceCode.LINE_ONLY_THEIRS], (
        "the portal's own"
    )
    world.sure("payment", "p1", "hold_again", amount="40.00")
    world.sure("payment", "p1", "settle", amount="15.00")
    world.end()
    world.sure("payment", "p1", "settle", amount="25.00")
    assert accounts(world) == ("closed", {"redeemed": 4000})
    world.agree()
    assert world.sandbox.balances(str(world.entity("gift_card", "c1").facts["number"]))["USD"] == 1000


def test_a_lost_hold_whose_money_is_gone_too(world: World) -> None:
    """Another channel took 35.00 of what the hold had kept: the books take that over and the rest is held."""
    world.sandbox.spend_elsewhere(str(world.entity("gift_card", "c1").facts["number"]), 3500)
    lost(world)
    report = reconcile(world.engine, None, apply=True, by="ann", reason="after the portal")
    assert [each.result for each in report.posted] == [Ended.APPLIED]
    assert accounts(world, "gift_card", "c1") == ("issued", {"available": 1500})
    with pytest.raises(AssertionError, match="refused"):
        world.sure("payment", "p1", "settle", amount="1.00")
    world.sure("payment", "p1", "hold_again", amount="40.00")
    assert accounts(world) == ("advanced_hold", {"held": 1500, "uncovered": 2500})
    world.sure("payment", "p1", "cancel")
    assert accounts(world) == ("closed", {})
    world.agree()


def test_a_lost_hold_of_a_cancelled_order(world: World) -> None:
    lost(world)
    world.sure("payment", "p1", "cancel")
    assert accounts(world) == ("closed", {})
    assert accounts(world, "gift_card", "c1") == ("issued", {"available": 5000})
    world.agree()


def test_a_lost_hold_of_a_suspended_card(world: World) -> None:
    world.sure("gift_card", "c1", "suspend")
    assert lost(world).applied
    assert world.do("payment", "p1", "hold_again", amount="40.00").result is Ended.REFUSED
    world.sure("payment", "p1", "cancel")
    world.agree()


def test_it_is_a_persons_word(world: World) -> None:
    for who in ({}, {"by": "ann"}, {"reason": "why"}):
        with pytest.raises(Invalid, match=r"payment.mark_hold_lost needs who says so \(by\) and why \(reason\)"):
            world.engine.execute("payment", "p1", "mark_hold_lost", key="k", **who)
    assert world.engine.may("payment", "p1", "mark_hold_lost")
    driven = world.do("gift_card", "c1", "mark_hold_lost", amount="40.00")
    assert driven.refusal is not None
    assert driven.refusal.code == "driven_only"
    assert lost(world).applied
    entry = list(world.store.journal("payment", "p1"))[-1]  # type: ignore[attr-defined]
    assert (entry.transition, entry.by, entry.reason) == ("mark_hold_lost", "ann", "released in the portal")
    assert lost(world).replayed
    again = lost(world, "again")
    assert again.result is Ended.REFUSED
    assert "Nothing is held" in again.why


def test_it_is_a_verb_and_a_line_of_run(world: World) -> None:
    line = {"key": "lost", "machine": "payment", "id": "p1", "command": "mark_hold_lost", "args": {}}
    said = [json.dumps(each).encode() for each in (line, {**line, "by": "ann", "reason": "in the portal"})]
    answers = list(run_lines(world.engine, said, Summary()))
    assert [each["result"] for each in answers] == ["invalid", "applied"]
    books = Books(world.engine)
    assert books.hold_again("p1", "40.00", key="again").money("held").minor == 4000
    assert books.mark_hold_lost("p1", key="lost2", by="ann", reason="and again").state == "partially_settled"
    assert isinstance(books.engine, Engine)
