"""The provider's side of a simulation: what it has to know and do.

Three doubles stand in for the provider. Most seeds have the one in memory, because what is simulated then is our side,
millions of times. Some have Clutch: the adapter with its wire, limits and look-up, and the sandbox with its own books.
And some have the local provider, as a shop has that issues its own store credit: no call leaves the house, and
processes still die and meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from tallystick.provider.protocol import Provider
from tallystick.testing.referee import ProviderBooks, ProviderLine
from tallystick.testing.simulation.world import Clock, SimulatedWorld

Wrap = Callable[[Provider], Provider]  # puts a provider of a test's own in front


class ProviderDouble(Protocol):
    """The provider's side. Amounts are minor units, cards are known by their numbers."""

    @property
    def kind(self) -> str: ...

    @property
    def fault_kinds(self) -> tuple[str, ...]:
        """What may go wrong with a request."""

    @property
    def currencies(self) -> tuple[str, ...]: ...

    @property
    def clock_tolerance(self) -> float:
        """By how many seconds our clocks may be wrong before look-ups misread its record."""

    def provider(self, world: SimulatedWorld, clock: Clock) -> Provider:
        """How a new process reaches it."""

    def act_elsewhere(self, number: str, currency: str, most: int) -> bool:
        """Another channel spends from a card, or now and then loads it; False if it cannot."""

    def holds(self, number: str, currency: str) -> Mapping[str, int]:
        """Those that are open, with their amounts."""

    def release_hold(self, number: str, hold: str) -> bool:
        """A person releases a hold at the provider's; False if that cannot be."""

    def new_physical_card(self, currency: str) -> str | None:
        """The number of a card that nobody has yet."""

    def pin(self, number: str) -> str:
        """What is printed beside the number; any text, if nobody checks it."""

    def sell_elsewhere(self, currency: str, amount: int) -> str | None:
        """The number of a card that another channel has sold."""

    def available(self, number: str, currency: str) -> int: ...

    def lines(self, number: str) -> list[ProviderLine]:
        """What was done to a card, as a person sees it at the provider's."""

    def books(self) -> ProviderBooks | None:
        """Its books; None where there are none but ours."""

    def close(self) -> None: ...
