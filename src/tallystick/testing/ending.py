"""Liveness: once nothing goes wrong any more, everything in doubt ends, every hold ends, and both halves agree."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tallystick.entity import Entity
from tallystick.provider import REPEATABLE
from tallystick.store import CallRow
from tallystick.testing.half import Half
from tallystick.testing.referee import Done
from tallystick.testing.simulated import World
from tallystick.testing.traffic import Traffic
from tallystick.told import outcome_told

ROUNDS = 60
PATIENCE = 4  # rounds before a person is asked
HOLDING = ("authorized", "partially_settled", "advanced_hold")
PARTLY = ("hold", "redeem")
# What a verb is in Clutch's books, where it has another name there.
THERE = {"activate": "allocate", "suspend": "account", "reinstate": "account", "update_account": "account"}


class Ending:
    def __init__(self, world: World, half: Half) -> None:
        self._world, self._half = world, half

    def settle(self) -> list[str]:
        """Recover and run what is due until nothing moves; a person decides what the record leaves open."""
        world = self._world
        for turn in range(ROUNDS):
            world.on(600.0 if turn < PATIENCE else 3600.0)
            world.engine.recover()
            world.engine.run_due()
            open_ = world.open_calls()
            if not open_ and not world.waiting():
                return []
            for call in open_ if turn >= PATIENCE else ():
                self._person(call)
        left = [f"{each.verb} {each.id}: {each.note}" for each in world.open_calls()]
        return [f"it does not come to rest in {ROUNDS} rounds: {left or 'commands wait'}"]

    def _person(self, call: CallRow) -> None:
        """Somebody looks into the provider's office, where our id of a call is shown, and says what became of it."""
        world = self._world
        world.counts["decided by a person"] += 1
        card = world.entity(call.machine, call.entity)
        number = (card.facts.get("number") if card else None) or json.loads(call.args).get("number")
        line = self._line(call, str(number)) if number else None
        if line is None:
            world.engine.resolve(call.id, "declined", by="ann", reason="it is not in their books")
            return
        asked = json.loads(call.args).get("amount")
        amount = abs(line.amount) if call.verb in PARTLY and abs(line.amount) != asked else None
        world.engine.resolve(
            call.id, "confirmed", by="ann", reason="it is in their books", reference=line.id, amount=amount
        )

    def _line(self, call: CallRow, number: str) -> Done | None:
        with self._world.store.reading() as reading:
            calls = reading.calls_on(call.machine, call.entity)
        outcomes = (outcome_told(each.outcome) for each in calls if each.state == "confirmed")
        claimed = {outcome.reference for outcome in outcomes if outcome is not None}
        known = {each.id for each in calls}
        free = [each for each in self._half.lines(number) if each.id not in claimed and each.call in known]
        fitting = [each for each in free if _fits(each, call)]
        own = [each for each in fitting if each.call == call.id]
        return next(iter(own or fitting), None)

    def release(self, traffic: Traffic) -> Iterator[str]:
        """Every hold can be ended."""
        for payment in self._all("payment"):
            if payment.state in HOLDING:
                receipt = traffic.do("payment", payment.id, "reverse")
                if receipt is None or not receipt.applied:
                    yield f"payment {payment.id!r} is {payment.state} and cannot be ended: {receipt and receipt.why}"

    def agree(self, traffic: Traffic) -> Iterator[str]:
        """What other channels did is taken over, and then both halves have the same."""
        for card in self._all("gift_card"):
            if card.state in ("issued", "suspended"):
                receipt = traffic.observe(card)
                after = self._world.entity("gift_card", card.id)
                there = self._half.available(str(card.facts["number"]), card.currency)
                if receipt is None or not receipt.applied or after is None or after.accounts["available"] != there:
                    yield f"card {card.id!r} does not take over {there}: {receipt and receipt.why}"

    def _all(self, machine: str) -> list[Entity]:
        with self._world.store.reading() as reading:
            return list(reading.all(machine))


def _fits(line: Done, call: CallRow) -> bool:
    """Whether a line is what a call asked for; of a hold or a redemption perhaps a part."""
    if line.verb not in (call.verb, THERE.get(call.verb)):
        return False
    if call.verb in REPEATABLE:
        return True
    asked = json.loads(call.args).get("amount", 0)
    wanted = {"redeem": -asked, "redeem_hold": -asked, "release_hold": 0}.get(call.verb, asked)
    return line.amount == wanted or (call.verb in PARTLY and 0 < abs(line.amount) < asked)
