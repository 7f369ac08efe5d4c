"""A transaction at Clutch counts once, whatever answers name it: a cache in between, a retry, Clutch itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from clutch_world import World
from tallystick.clutch.transport import Answer
from tallystick.engine.receipt import Ended

Edit = Callable[[dict[str, Any]], dict[str, Any]]


class Cached:
    """The first answer to a change is that to all later ones; `edit` may change it."""

    def __init__(self, inner: Any, edit: Edit = dict) -> None:
        self.inner, self.edit = inner, edit
        self.kept: Answer | None = None
        self.on = True

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if method != "updateBalance" or not self.on:
            answer: Answer = self.inner.send(method, headers, body)
            return answer
        if self.kept is None:
            self.kept = self.inner.send(method, headers, body)
            return self.kept
        return Answer(self.kept.status, json.dumps(self.edit(json.loads(self.kept.body))).encode())

    def close(self) -> None: ...


def without(*names: str) -> Edit:
    return lambda answer: {name: value for name, value in answer.items() if name not in names}


@pytest.fixture
def world() -> World:
    world = World()
    world.card("a")
    world.card("b")
    for payment, card in (("p", "a"), ("q", "a"), ("r", "b")):
        world.payment(payment, card=card)
    return world


@pytest.mark.parametrize("command", ["authorize", "redeem"])
@pytest.mark.parametrize(
    "edit",
    [dict, without("requestRef"), without("balances"), lambda said: {**said, "requestRef": "another"}],
    ids=["as it was", "no request", "no balances", "another request"],
)
def test_a_second_payment_does_not_rely_on_the_first_ones_transaction(world: World, command: str, edit: Edit) -> None:
    world.provider._transport = cached = Cached(world.line, edit)
    first = world.sure("payment", "p", command, amount="10.00")
    second = world.do("payment", "q", command, amount="10.00")
    assert second.result is Ended.IN_DOUBT
    assert "is what call" in second.why
    assert world.entity("gift_card", "a").accounts["in_doubt"] == 1000

    cached.on = False
    world.end()
    assert [world.entity("payment", id).state for id in ("p", "q")] == [first.state, first.state]
    assert world.differences() == []


def test_nor_does_one_on_another_card(world: World) -> None:
    world.provider._transport = Cached(world.line, without("cardNumber", "balances"))
    assert world.do("payment", "p", "authorize", amount="10.00").applied
    second = world.do("payment", "r", "authorize", amount="10.00")
    assert (second.result, "is what call" in second.why) == (Ended.IN_DOUBT, True)
    assert world.entity("gift_card", "b").accounts["in_doubt"] == 1000


def test_a_void_may_be_answered_with_what_it_undid(world: World) -> None:
    """Nobody says which id the answer to a void has; its request is its own in any case."""
    world.sure("payment", "p", "redeem", amount="10.00")
    voided = world.entity("payment", "p").facts["redemption_id"]

    class Naming(Cached):
        def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
            answer: Answer = self.inner.send(method, headers, body)
            if method != "voidTransaction":
                return answer
            return Answer(200, json.dumps({**json.loads(answer.body), "transactionId": voided}).encode())

    world.provider._transport = Naming(world.line)
    assert world.do("payment", "p", "void").applied
