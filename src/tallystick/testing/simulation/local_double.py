"""Our own books as the provider: nobody outside is asked."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from tallystick.core.entity import Entity
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Provider
from tallystick.testing.referee import ProviderBooks, ProviderLine
from tallystick.testing.simulation.provider_double import Wrap
from tallystick.testing.simulation.world import Clock, SimulatedWorld


class LocalDouble:
    """Cards are known by our own books."""

    _world: SimulatedWorld  # set when the first process starts
    kind = "local"
    fault_kinds = ()
    currencies = ("USD", "EUR", "JPY", "BHD")
    clock_tolerance = 1e9

    def __init__(self, seed: int, wrap: Wrap | None = None) -> None:
        self._chance = Random(f"{seed}:local")  # noqa: S311  # to be repeatable
        self._wrap = wrap

    def _number(self) -> str:
        return f"6{self._chance.randrange(10**15):015}"

    def provider(self, world: SimulatedWorld, clock: Clock) -> Provider:
        self._world = world
        provider = LocalProvider(self._number)
        return self._wrap(provider) if self._wrap else provider

    def act_elsewhere(self, number: str, currency: str, most: int) -> bool:
        return False

    def holds(self, number: str, currency: str) -> Mapping[str, int]:
        """Our own, for there are no others."""
        card = self._card(number)
        if card is None:
            return {}
        with self._world.store.reading() as reading:
            paid = reading.linked("payment", "card", card.id)
        return {str(each.facts["hold_id"]): each.accounts["held"] for each in paid}

    def release_hold(self, number: str, hold: str) -> bool:
        return False

    def new_physical_card(self, currency: str) -> str | None:
        return self._number()

    def pin(self, number: str) -> str:
        return "1234"

    def sell_elsewhere(self, currency: str, amount: int) -> str | None:
        return None

    def available(self, number: str, currency: str) -> int:
        card = self._card(number)
        return card.accounts["available"] if card is not None else 0

    def _card(self, number: str) -> Entity | None:
        with self._world.store.reading() as reading:
            found = [ref for ref in reading.find(number) if ref[0] == "gift_card"]
        return self._world.entity(*found[0]) if found else None

    def lines(self, number: str) -> list[ProviderLine]:
        return []

    def books(self) -> ProviderBooks | None:
        return None

    def close(self) -> None: ...
