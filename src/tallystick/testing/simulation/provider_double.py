"""The provider's half of a simulated world: light books in memory, all of Clutch, or nobody.

Most seeds run on `LightHalf`: what is simulated then is our half, millions of times. Some run on `ClutchHalf`: the
adapter with its wire, limits and look-up, against the sandbox and its own books. And some on `LocalHalf`, as a shop
does that issues its own store credit: no call leaves the house, and processes still die and meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from random import Random
from typing import Any, Protocol

from tallystick.core.entity import Entity
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Provider
from tallystick.testing.referee import ProviderBooks, ProviderLine
from tallystick.testing.simulation.memory_provider import CHANGES_GO_WRONG, MemoryProviderBooks, Network
from tallystick.testing.simulation.world import START, World

Clock = Callable[[], datetime]
Wrapped = Callable[[Provider], Provider]


class Half(Protocol):
    """What a world needs of the provider's half."""

    @property
    def kind(self) -> str: ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """What may go wrong with a request."""

    @property
    def currencies(self) -> tuple[str, ...]: ...

    @property
    def farthest(self) -> float:
        """Seconds that our clocks may be wrong by, for its record to be understood."""

    def provider(self, world: World, clock: Clock) -> Provider:
        """How a new process reaches it."""

    def spend(self, number: str, currency: str, most: int) -> bool:
        """Another channel spends from a card, or now and then loads it; False if it cannot."""

    def holds(self, number: str, currency: str) -> Mapping[str, int]:
        """Those that are open."""

    def let_go(self, number: str, hold: str) -> bool:
        """Somebody releases a hold in the provider's office; False if there is no office."""

    def blank(self, currency: str) -> str | None:
        """The number of a physical card that nobody has yet."""

    def sold_elsewhere(self, currency: str, amount: int) -> str | None:
        """The number of a card that another channel has sold."""

    def available(self, number: str, currency: str) -> int: ...

    def lines(self, number: str) -> list[ProviderLine]:
        """What was done to a card, as a person sees it in the provider's office."""

    def provided(self) -> ProviderBooks | None:
        """Its books; none where there is no other half."""

    def close(self) -> None: ...


class LightHalf:
    kind = "books"
    kinds = CHANGES_GO_WRONG
    currencies = ("USD", "EUR", "JPY", "BHD")
    farthest = 1e9  # it is asked by the id of a call

    def __init__(self, seed: int, wrapped: Wrapped | None = None) -> None:
        self._chance = Random(f"{seed}:books")  # noqa: S311  # to be repeatable
        self._books = MemoryProviderBooks(self._chance)
        self._wrapped = wrapped

    def provider(self, world: World, clock: Clock) -> Provider:
        def slow() -> None:
            world.drag(self._chance.uniform(1.0, 120.0))

        network = Network(self._books, self._chance, fault=world.fault, at=world.at, late=world.put_off, slow=slow)
        return self._wrapped(network) if self._wrapped else network

    def spend(self, number: str, currency: str, most: int) -> bool:
        card = self._books.cards.get(number)
        loads = self._chance.random() < 0.2
        if card is None or card.suspended or not (card.available or loads):
            return False
        self._books.elsewhere(card, most if loads else -min(most, card.available))
        return True

    def holds(self, number: str, currency: str) -> Mapping[str, int]:
        return self._books.cards[number].holds

    def let_go(self, number: str, hold: str) -> bool:
        self._books.let_go(self._books.cards[number], hold)
        return True

    def blank(self, currency: str) -> str | None:
        return self._books.print(currency)

    def sold_elsewhere(self, currency: str, amount: int) -> str | None:
        number = self._books.print(currency)
        self._books.elsewhere(self._books.cards[number], amount)
        return number

    def available(self, number: str, currency: str) -> int:
        return self._books.cards[number].available

    def lines(self, number: str) -> list[ProviderLine]:
        return [each for each in self._books.lines if each.number == number]

    def provided(self) -> ProviderBooks:
        return self._books.provided()

    def close(self) -> None: ...


class LocalHalf:
    kind = "local"
    kinds = ()
    currencies = ("USD", "EUR", "JPY", "BHD")
    farthest = 1e9

    def __init__(self, seed: int, wrapped: Wrapped | None = None) -> None:
        self._chance = Random(f"{seed}:local")  # noqa: S311  # to be repeatable
        self._wrapped = wrapped
        self._world: World | None = None

    def _number(self) -> str:
        return f"6{self._chance.randrange(10**15):015}"

    def provider(self, world: World, clock: Clock) -> Provider:
        self._world = world
        provider = LocalProvider(self._number)
        return self._wrapped(provider) if self._wrapped else provider

    def spend(self, number: str, currency: str, most: int) -> bool:
        return False

    def holds(self, number: str, currency: str) -> Mapping[str, int]:
        """Our own, for there are no others."""
        card = self._card(number)
        if card is None or self._world is None:
            return {}
        with self._world.store.reading() as reading:
            paid = reading.linked("payment", "card", card.id)
        return {str(each.facts["hold"]): each.accounts["held"] for each in paid}

    def let_go(self, number: str, hold: str) -> bool:
        return False

    def blank(self, currency: str) -> str | None:
        return self._number()

    def sold_elsewhere(self, currency: str, amount: int) -> str | None:
        return None

    def available(self, number: str, currency: str) -> int:
        card = self._card(number)
        return card.accounts["available"] if card is not None else 0

    def _card(self, number: str) -> Entity | None:
        if self._world is None:
            return None
        with self._world.store.reading() as reading:
            found = [ref for ref in reading.find(number) if ref[0] == "gift_card"]
        return self._world.entity(*found[0]) if found else None

    def lines(self, number: str) -> list[ProviderLine]:
        return []

    def provided(self) -> ProviderBooks | None:
        return None

    def close(self) -> None: ...


CLUTCH_GOES_WRONG = (
    "lost_after", "lost_before", "slow:900ms", "late:20000ms", "500_before", "500_after", "429", "broken_json",
    "truncated", "short_approval", "short_approval,lost_after", "wrong_currency", "other_channel",
    "other_channel:same", "other_channel:same,lost_after", "other_channel:same,lost_before", "other_channel,lost_after",
)  # fmt: skip
READS_GO_WRONG = ("lost_before", "500_before", "429", "broken_json", "truncated", "wrong_currency")
READING = ("search", "cardHistory")


class ClutchHalf:
    kind = "clutch"
    kinds = CLUTCH_GOES_WRONG
    currencies = ("USD",)
    farthest = 240.0  # a history is understood by its times: see the setting clock_skew

    def __init__(self, seed: int, wrapped: Wrapped | None = None) -> None:
        from tallystick.clutch.sandbox import CardSet, Sandbox, Settings

        self._world: World | None = None
        self._wrapped = wrapped
        self._chance = Random(f"{seed}:clutch")  # noqa: S311  # to be repeatable
        self.sandbox = Sandbox(
            Settings(transaction_ids="numeric" if seed % 2 else "request_ref"),
            {"GIFT": 400, "PLASTIC": CardSet(100, physical=True)}, seed=seed, clock=self._seconds,
        )  # fmt: skip
        self._given: set[str] = set()

    def _seconds(self) -> float:
        return START.timestamp() + (self._world.seconds if self._world else 0.0)

    def provider(self, world: World, clock: Clock) -> Provider:
        from tallystick.clutch.client import ClutchProvider
        from tallystick.clutch.limits import Breaker, LeakyBucket
        from tallystick.clutch.settings import ClutchSettings

        self._world = world
        known = self.sandbox.credentials
        settings = ClutchSettings(
            base_url="http://127.0.0.1:1", api_key=known.api_key, api_secret=known.api_secret, brand=known.brand,
            location=known.location, terminal=known.terminal, rate=1e6, burst=10**6, read_timeout=0.2, read_pause=0.0,
        )  # fmt: skip
        provider = ClutchProvider(
            settings, _Line(self.sandbox, world, self._chance), clock=clock, sleep=lambda seconds: None,
            bucket=LeakyBucket(1e6, 10**6, clock=self._seconds), breaker=Breaker(10**6, 30.0, clock=self._seconds),
        )  # fmt: skip
        return self._wrapped(provider) if self._wrapped else provider

    def spend(self, number: str, currency: str, most: int) -> bool:
        from tallystick.clutch.sandbox import Refused

        balance = self.sandbox.balances(number).get(currency, 0)
        try:
            self.sandbox.spend_elsewhere(number, min(balance, most), currency)
        except Refused:
            return False
        return balance > 0

    def holds(self, number: str, currency: str) -> Mapping[str, int]:
        return self.sandbox.holds(number)

    def let_go(self, number: str, hold: str) -> bool:
        amount = {"balanceType": "Currency", "balanceCode": "USD", "amount": 0}
        body = {"cardNumber": number, "action": "redeem", "redeemFromHoldTransactionId": hold,
                "releaseHoldRemainder": True, "amount": amount}  # fmt: skip
        self.sandbox.post("updateBalance", body, fault="none", location="portal")
        return True

    def blank(self, currency: str) -> str | None:
        free = [each for each in self.sandbox.inventory("PLASTIC") if each not in self._given]
        self._given.update(free[:1])
        return free[0] if free else None

    def sold_elsewhere(self, currency: str, amount: int) -> str | None:
        return None  # the sandbox's other channels only spend

    def available(self, number: str, currency: str) -> int:
        return self.sandbox.balances(number).get(currency, 0)

    def lines(self, number: str) -> list[ProviderLine]:
        return [each for each in self.provided().lines if each.number == number]

    def provided(self) -> ProviderBooks:
        self.sandbox.balances("")  # what is late and due is done now
        return ProviderBooks.of_sandbox_db(self.sandbox._books._db)

    def close(self) -> None:
        self.sandbox.close()


class _Line:
    """The way to the sandbox: faults as the weather has them."""

    def __init__(self, sandbox: Any, world: World, chance: Random) -> None:
        from tallystick.clutch.transport import InProcess

        self._inner, self._world, self._chance = InProcess(sandbox, read_timeout=0.2), world, chance

    def send(self, method: str, headers: Any, body: bytes) -> Any:
        self._world.at("before sending")
        reading = method in READING
        fault = self._world.fault("look_up" if reading else method)
        if fault and reading:
            fault = self._chance.choice(READS_GO_WRONG)
        answer = self._inner.send(method, {**headers, "x-sandbox-fault": fault or "none"}, body)
        self._world.at("after sending")
        return answer

    def close(self) -> None: ...
