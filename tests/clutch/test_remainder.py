"""Whether Clutch keeps the rest of a hold is not known: a setting says so, and a settlement goes by it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from clutch_world import World
from tallystick.clutch.transport import Answer


@pytest.mark.parametrize(
    ("settings", "transition", "sent"),
    [
        ({}, "settle_part", [("redeem", True), ("hold", False)]),
        ({"keeps_remainder": True}, "settle_keep_hold", [("redeem", False)]),
    ],
)
def test_a_settlement_goes_by_the_setting(
    settings: dict[str, bool], transition: str, sent: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(**settings)
    world.card()
    world.payment(amount="40.00")
    send, bodies = world.line.send, list[dict[str, object]]()

    def recording(method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        bodies.append(json.loads(body))
        return send(method, headers, body)

    monkeypatch.setattr(world.line, "send", recording)
    receipt = world.sure("payment", "p1", "settle", amount="15.00")
    assert receipt.transition == transition
    world.engine.queue.follow(receipt)
    assert [(each["action"], each["releaseHoldRemainder"]) for each in bodies] == sent
    assert world.entity("payment", "p1").accounts["held"] == 2500
    world.agree()


def test_the_rest_of_a_suspended_cards_order_stays_held_with_it() -> None:
    world = World(keeps_remainder=True)
    world.card()
    world.payment(amount="40.00")
    world.sure("gift_card", "c1", "suspend")
    world.sure("payment", "p1", "settle", amount="15.00")
    assert world.entity("payment", "p1").accounts["held"] == 2500
    assert world.sure("payment", "p1", "settle", amount="25.00").state == "closed"
    world.agree()
