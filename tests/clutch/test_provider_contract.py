"""The contract of a provider, held by the Clutch adapter over its sandbox."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from clutch_world import World
from tallystick.engine.calls.ask_provider import card_facts
from tallystick.money import to_text
from tallystick.provider.protocol import CardFacts
from tallystick.testing.contracts import Played, provider_contract

# What the sandbox does so that a call ends like this.
FAULTS = {
    "lost_before": "lost_before",
    "lost_after": "lost_after",
    "declined": "other_channel:50.00",  # nothing is left
    "unavailable": "429",
}


def clutch(folder: Path) -> Played:
    world, ids = World(), count()

    def card(amount: int) -> CardFacts:
        return card_facts(world.card(f"c{next(ids)}", to_text(amount, world.currency)))

    def done() -> int:
        ((lines,),) = world.sandbox._ledger.sql(
            "select count(*) from history where custom_request_id like 'contract-%'", ()
        )
        return int(lines)

    def fault(name: str) -> None:
        world.line.faults = [FAULTS[name]]

    faults = {name: lambda name=name: fault(name) for name in FAULTS}
    return Played(world.provider, card, effects=done, faults=faults, clock=world.clock,
                  wait=lambda: world.clock.on(minutes=2))  # fmt: skip


TestClutch = provider_contract(clutch)
