"""All of Clutch as the provider: the adapter with its wire, limits and look-up, and the sandbox with its own books."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.request_limits import CircuitBreaker, LeakyBucket
from tallystick.clutch.sandbox import CardSet, Refused, Sandbox, Settings
from tallystick.clutch.settings import ClutchSettings
from tallystick.clutch.transport import InProcess
from tallystick.provider.protocol import Provider
from tallystick.testing.referee import ProviderBooks, ProviderLine
from tallystick.testing.simulation.provider_double import Wrap
from tallystick.testing.simulation.world import START, Clock, SimulatedWorld

CLUTCH_GOES_WRONG = (
    "lost_after", "lost_before", "slow:900ms", "late:20000ms", "500_before", "500_after", "429", "broken_json",
    "truncated", "short_approval", "short_approval,lost_after", "wrong_currency", "other_channel",
    "other_channel:same", "other_channel:same,lost_after", "other_channel:same,lost_before", "other_channel,lost_after",
)  # fmt: skip
READS_GO_WRONG = ("lost_before", "500_before", "429", "broken_json", "truncated", "wrong_currency")
READING = ("search", "cardHistory")


class ClutchDouble:
    """The adapter and the sandbox of one brand."""

    kind = "clutch"
    fault_kinds = CLUTCH_GOES_WRONG
    currencies = ("USD",)
    clock_tolerance = 240.0  # a history is understood by its times: see the setting clock_skew

    def __init__(self, seed: int, wrap: Wrap | None = None) -> None:
        self._world: SimulatedWorld | None = None
        self._wrap = wrap
        self._chance = Random(f"{seed}:clutch")  # noqa: S311  # to be repeatable
        self._remembers = seed % 3 == 0  # whether a repeat under the same id is done once, and the adapter told so
        self.sandbox = Sandbox(
            Settings(transaction_ids="numeric" if seed % 2 else "request_ref", deduplicate=self._remembers),
            {"GIFT": 400, "PLASTIC": CardSet(100, physical=True)}, seed=seed, clock=self._seconds,
        )  # fmt: skip
        self._given: set[str] = set()

    def _seconds(self) -> float:
        return START.timestamp() + (self._world.seconds if self._world else 0.0)

    def provider(self, world: SimulatedWorld, clock: Clock) -> Provider:
        self._world = world
        known = self.sandbox.credentials
        settings = ClutchSettings(
            base_url="http://127.0.0.1:1", api_key=known.api_key, api_secret=known.api_secret, brand=known.brand,
            location=known.location, terminal=known.terminal, rate=1e6, burst=10**6, read_timeout=0.2, read_pause=0.0,
            repeat_within=86400.0 if self._remembers else 0.0,
        )  # fmt: skip
        provider = ClutchProvider(
            settings, _Line(self.sandbox, world, self._chance), clock=clock, sleep=lambda seconds: None,
            bucket=LeakyBucket(1e6, 10**6, clock=self._seconds),
            breaker=CircuitBreaker(10**6, 30.0, clock=self._seconds),
        )  # fmt: skip
        return self._wrap(provider) if self._wrap else provider

    def act_elsewhere(self, number: str, currency: str, most: int) -> bool:

        balance = self.sandbox.balances(number).get(currency, 0)
        try:
            self.sandbox.spend_elsewhere(number, min(balance, most), currency)
        except Refused:
            return False
        return balance > 0

    def holds(self, number: str, currency: str) -> Mapping[str, int]:
        return self.sandbox.holds(number)

    def release_hold(self, number: str, hold: str) -> bool:
        amount = {"balanceType": "Currency", "balanceCode": "USD", "amount": 0}
        body = {"cardNumber": number, "action": "redeem", "redeemFromHoldTransactionId": hold,
                "releaseHoldRemainder": True, "amount": amount}  # fmt: skip
        self.sandbox.post("updateBalance", body, fault="none", location="portal")
        return True

    def new_physical_card(self, currency: str) -> str | None:
        free = [each for each in self.sandbox.inventory("PLASTIC") if each not in self._given]
        self._given.update(free[:1])
        return free[0] if free else None

    def pin(self, number: str) -> str:
        return str(self.sandbox.pin(number) or "")

    def sell_elsewhere(self, currency: str, amount: int) -> str | None:
        return None  # the sandbox's other channels only spend

    def available(self, number: str, currency: str) -> int:
        return self.sandbox.balances(number).get(currency, 0)

    def lines(self, number: str) -> list[ProviderLine]:
        return [each for each in self.books().lines if each.number == number]

    def books(self) -> ProviderBooks:
        self.sandbox.balances("")  # what is late and due is done now
        return ProviderBooks.of_sandbox_db(self.sandbox._ledger._db)

    def close(self) -> None:
        self.sandbox.close()


class _Line:
    """The way to the sandbox. The world says what goes wrong."""

    def __init__(self, sandbox: Any, world: SimulatedWorld, chance: Random) -> None:
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
