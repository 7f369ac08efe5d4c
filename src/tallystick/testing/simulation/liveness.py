"""How a run ends once nothing goes wrong any more: nothing is in doubt, every hold has ended, and both books agree."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.core.entity import Entity
from tallystick.testing.simulation.order_system import OrderSystem

ROUNDS = 100
PATIENCE = 4  # rounds before a person is asked
ROUND, LONG_ROUND = 600.0, 86400.0  # seconds; the long ones once only commands wait, some for a month
PASSING = ("authorizing", "closing", "giving_back")
HOLDING = ("authorized", "partially_settled", "advanced_hold")


class Liveness:
    """Brings a run to its end, and says in sentences what does not end."""

    def __init__(self, orders: OrderSystem) -> None:
        self._orders, self._world, self._double = orders, orders.world, orders.double

    def resolve_everything(self) -> list[str]:
        """Recover and run what is due until nothing moves; a person decides what the record leaves open."""
        world = self._world
        for turn in range(ROUNDS):
            world.advance(ROUND if turn < PATIENCE or world.open_calls() else LONG_ROUND)
            world.engine.recover()
            world.engine.run_due()
            open_ = world.open_calls()
            if not open_ and not world.waiting():
                return []
            for call in open_ if turn >= PATIENCE else ():
                self._orders.operator.decide(call)
        left = [f"{each.verb} {each.id}: {each.note}" for each in world.open_calls()]
        return [f"it does not come to rest in {ROUNDS} rounds: {left or 'commands wait'}"]

    def end_holds(self) -> Iterator[str]:
        """Every hold can be ended."""
        for payment in self._all("payment"):
            if payment.state in HOLDING:
                if self._orders.workload.lost(payment):
                    self._orders.command("payment", payment.id, "mark_hold_lost", signed=True)
                receipt = self._orders.command("payment", payment.id, "cancel")
                if receipt is None or not receipt.applied:
                    yield f"payment {payment.id!r} is {payment.state} and cannot be ended: {receipt and receipt.why}"

    def retry_what_was_parked(self) -> None:
        """A person has seen to the parts by hand, and has what waited for them for a month tried again."""
        with self._world.store.reading() as reading:
            keys = [row.key for row in reading.queue(state="parked") if row.machine == "tender"]
        for key in keys:
            self._world.engine.queue.retry(key, by="ann", reason="its parts have ended")

    def end_tenders(self) -> Iterator[str]:
        """No tender stays where it only passes through."""
        for tender in self._all("tender"):
            if tender.state in PASSING:
                yield f"tender {tender.id!r} stays {tender.state}, and nothing waits for it"

    def adopt_other_channels(self) -> Iterator[str]:
        """What other channels did is taken over, and then both books have the same."""
        for card in self._all("gift_card"):
            if card.state in ("issued", "suspended"):
                receipt = self._orders.workload.observe(card)
                after = self._world.entity("gift_card", card.id)
                there = self._double.available(str(card.facts["number"]), card.currency)
                if receipt is None or not receipt.applied or after is None or after.accounts["available"] != there:
                    yield f"card {card.id!r} does not take over {there}: {receipt and receipt.why}"

    def _all(self, machine: str) -> list[Entity]:
        with self._world.store.reading() as reading:
            return list(reading.all(machine))
