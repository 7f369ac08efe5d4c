"""Clutch does a call once, however often it is sent under its id: if the adapter is told so, nobody has to be asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from clutch_world import Ended, ProcessDied, World
from tallystick.clutch.sandbox import Settings
from tallystick.core.entity import Entity
from tallystick.provider.protocol import Repeating

HOUR = 3600.0
BLIND = {"history_page": 1, "history_pages": 1}  # of a history only the newest line is read

# What is asked, and how much is available and held at Clutch afterwards.
ASKED: dict[str, tuple[Callable[[World], Any], tuple[int, int]]] = {
    "reload": (lambda world: world.do("gift_card", "c1", "reload", amount="7.00"), (3700, 2000)),
    "adjust": (lambda world: world.do("gift_card", "c1", "adjust", amount="-7.00"), (2300, 2000)),
    "authorize": (lambda world: world.do("payment", "p2", "authorize", amount="7.00"), (2300, 2700)),
    "redeem": (lambda world: world.do("payment", "p2", "redeem", amount="7.00"), (2300, 2000)),
    "settle": (lambda world: world.do("payment", "p1", "settle", amount="20.00"), (3000, 0)),
    "cancel": (lambda world: world.do("payment", "p1", "cancel"), (5000, 0)),
}


def world_of(deduplicate: bool = True, **settings: Any) -> World:
    world = World(sandbox=Settings(deduplicate=deduplicate), **{"repeat_within": HOUR, **settings})
    world.card()
    world.payment("p1", "20.00")
    world.payment("p2")
    return world


def card(world: World) -> Entity:
    return world.entity("gift_card", "c1")


def hide_behind_another_line(world: World) -> None:
    """Another channel spends 1.00, and that is all that is read of the history."""
    world.sandbox.spend_elsewhere(str(card(world).facts["number"]), 100)


def standing(world: World) -> tuple[int, int]:
    number = str(card(world).facts["number"])
    return world.sandbox.balances(number).get("USD", 0), sum(world.sandbox.holds(number).values())


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("fault", ["lost_before", "lost_after", "500_before", "500_after", "truncated"])
@pytest.mark.parametrize("again", ["none", "lost_before", "lost_after"])
@pytest.mark.parametrize("look_up", ["sees", "is blind"])
def test_a_lost_call_moves_money_once_and_asks_nobody(asked: str, fault: str, again: str, look_up: str) -> None:
    world = world_of(**(BLIND if look_up == "is blind" else {}))
    ask, (available, held) = ASKED[asked]
    world.line.faults = [fault, again, again]
    assert ask(world).result is Ended.IN_DOUBT
    if look_up == "is blind":
        hide_behind_another_line(world)
        available -= 100
    world.end()
    assert (standing(world), world.asked_a_person) == ((available, held), 0)
    if look_up == "sees":
        world.agree()


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("where", ["before sending", "after sending"])
def test_so_does_one_whose_process_died(asked: str, where: str) -> None:
    world = world_of(**BLIND)
    ask, expected = ASKED[asked]

    def die(here: str) -> None:
        if here == where:
            world.line.fate = lambda _: None
            raise ProcessDied

    world.line.fate = die
    with pytest.raises(ProcessDied):
        ask(world)
    world.start()
    world.end()
    assert (standing(world), world.asked_a_person) == (expected, 0)


@pytest.mark.parametrize("first", ["lost_before", "lost_after"])
@pytest.mark.parametrize("second", ["lost_before", "lost_after"])
@pytest.mark.parametrize("command", ["authorize", "redeem"])
def test_of_two_alike_each_gets_its_own_answer(command: str, first: str, second: str) -> None:
    world = world_of()
    world.payment("p3")
    for id, fault in (("p2", first), ("p3", second)):
        world.line.faults = [fault]
        assert world.do("payment", id, command, amount="7.00").result is Ended.IN_DOUBT
    world.end()
    assert world.asked_a_person == 0
    assert {world.entity("payment", id).state for id in ("p2", "p3")} == {
        "authorized" if command == "authorize" else "closed"
    }
    world.agree()


def test_what_comes_later_than_the_quiet_period_is_done_once_all_the_same() -> None:
    world = world_of()
    world.line.faults = ["late:600000ms"]
    world.do("payment", "p2", "redeem", amount="7.00")
    world.end()
    world.clock.on(minutes=20)
    world.agree()
    assert standing(world) == (2300, 2000)


def test_a_call_with_a_pin_is_not_sent_again() -> None:
    world = world_of()
    world.line.faults = ["lost_before"]
    pin = world.sandbox.pin(str(card(world).facts["number"]))
    world.do("payment", "p2", "redeem", amount="7.00", pin=pin, key="k")
    sent = len(world.line.sent)
    world.end()
    assert [method for method, _ in world.line.sent[sent:]] == ["search", "cardHistory"]
    assert world.do("payment", "p2", "redeem", amount="7.00", pin=pin, key="k").applied
    assert standing(world) == (2300, 2000)


@pytest.mark.parametrize("repeat_within", [0.0, 60.0])
def test_without_the_setting_or_after_its_time_a_person_is_asked(repeat_within: float) -> None:
    world = world_of(**BLIND, repeat_within=repeat_within)
    world.line.faults = ["lost_after"]
    world.do("payment", "p2", "redeem", amount="7.00")
    hide_behind_another_line(world)
    sent = len(world.line.sent)
    world.end()
    assert world.asked_a_person == 1
    assert {method for method, _ in world.line.sent[sent:]} == {"search", "cardHistory"}
    assert standing(world) == (2200, 2000)


def test_the_adapter_says_so() -> None:
    assert isinstance(world_of().provider, Repeating)
