"""A person who is asked when no record tells: an operator who looks at the provider's own books.

There our id of a call is shown beside what was done. A look-up may have given each of two calls that are alike the
line of the other. So if a call's own line is taken, another one that fits it will do as well.
"""

from __future__ import annotations

import json

from tallystick.money import Money
from tallystick.provider.verbs import REPEATABLE
from tallystick.store.rows import CallRow
from tallystick.testing.referee import ProviderLine
from tallystick.testing.simulation.provider_double import ProviderDouble
from tallystick.testing.simulation.world import SimulatedWorld

PARTLY = ("hold", "redeem")
# What a verb is in Clutch's books, where it has another name there.
THERE = {"activate": "allocate", "suspend": "account", "reinstate": "account", "update_account": "account"}


class Operator:
    """Decides calls by hand."""

    def __init__(self, world: SimulatedWorld, double: ProviderDouble) -> None:
        self._world, self._double = world, double

    def decide(self, call: CallRow) -> None:
        """Look a call up and say what became of it."""
        world = self._world
        world.events["decided by a person"] += 1
        card = world.entity(call.machine, call.entity)
        number = (card.facts.get("number") if card else None) or json.loads(call.args).get("number")
        line = self._line(call, str(number)) if number else None
        if line is None:
            world.engine.resolve(call.id, "declined", by="ann", reason="it is not in their books")
            return
        asked = json.loads(call.args).get("amount")
        part = call.verb in PARTLY and abs(line.amount) != asked
        amount = Money(abs(line.amount), call.currency) if part else None
        world.engine.resolve(
            call.id, "confirmed", by="ann", reason="it is in their books", reference=line.id, amount=amount
        )

    def _line(self, call: CallRow, number: str) -> ProviderLine | None:
        with self._world.store.reading() as reading:
            calls = reading.calls_on(call.machine, call.entity)
        outcomes = (each.ended for each in calls if each.state == "confirmed")
        claimed = {outcome.reference for outcome in outcomes if outcome is not None}
        known = {each.id for each in calls}
        free = [each for each in self._double.lines(number) if each.id not in claimed and each.call in known]
        fitting = [each for each in free if _fits(each, call)]
        own = [each for each in fitting if each.call == call.id]
        return next(iter(own or fitting), None)


def _fits(line: ProviderLine, call: CallRow) -> bool:
    """Whether a line is what a call asked for; of a hold or a redemption perhaps a part."""
    if line.verb not in (call.verb, THERE.get(call.verb)):
        return False
    if call.verb in REPEATABLE:
        return True
    asked = json.loads(call.args).get("amount", 0)
    wanted = {"redeem": -asked, "redeem_hold": -asked, "release_hold": 0}.get(call.verb, asked)
    return line.amount == wanted or (call.verb in PARTLY and 0 < abs(line.amount) < asked)
