"""Liveness: once nothing goes wrong any more, everything in doubt ends, every hold ends, and both halves agree."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.core.entity import Entity
from tallystick.testing.simulation.operations import Traffic
from tallystick.testing.simulation.operator import Office
from tallystick.testing.simulation.provider_double import Half
from tallystick.testing.simulation.world import World

ROUNDS = 100
PATIENCE = 4  # rounds before a person is asked
ROUND, LONG_ROUND = 600.0, 86400.0  # seconds; the long ones once only commands wait, some for a month
HOLDING = ("authorized", "partially_settled", "advanced_hold")


class Ending:
    def __init__(self, world: World, half: Half) -> None:
        self._world, self._half, self._office = world, half, Office(world, half)

    def settle(self) -> list[str]:
        """Recover and run what is due until nothing moves; a person decides what the record leaves open."""
        world = self._world
        for turn in range(ROUNDS):
            world.on(ROUND if turn < PATIENCE or world.open_calls() else LONG_ROUND)
            world.engine.recover()
            world.engine.run_due()
            open_ = world.open_calls()
            if not open_ and not world.waiting():
                return []
            for call in open_ if turn >= PATIENCE else ():
                self._office.decide(call)
        left = [f"{each.verb} {each.id}: {each.note}" for each in world.open_calls()]
        return [f"it does not come to rest in {ROUNDS} rounds: {left or 'commands wait'}"]

    def release(self, traffic: Traffic) -> Iterator[str]:
        """Every hold can be ended."""
        for payment in self._all("payment"):
            if payment.state in HOLDING:
                if traffic.business.lost(payment):
                    traffic.sign("payment", payment.id, "hold_lost")
                receipt = traffic.do("payment", payment.id, "reverse")
                if receipt is None or not receipt.applied:
                    yield f"payment {payment.id!r} is {payment.state} and cannot be ended: {receipt and receipt.why}"

    def agree(self, traffic: Traffic) -> Iterator[str]:
        """What other channels did is taken over, and then both halves have the same."""
        for card in self._all("gift_card"):
            if card.state in ("issued", "suspended"):
                receipt = traffic.business.observe(card)
                after = self._world.entity("gift_card", card.id)
                there = self._half.available(str(card.facts["number"]), card.currency)
                if receipt is None or not receipt.applied or after is None or after.accounts["available"] != there:
                    yield f"card {card.id!r} does not take over {there}: {receipt and receipt.why}"

    def _all(self, machine: str) -> list[Entity]:
        with self._world.store.reading() as reading:
            return list(reading.all(machine))
