"""A provider in memory with books of its own, for simulations of millions of operations.

`MemoryDouble` has cards, what is available and held on them, and a line for everything that was done, under our id of
the call if we did it. It does what it is asked each time it is asked: a request that is sent twice is done twice, as at
a provider that promises nothing. `Network` stands in between as the `Provider`. The world says what goes wrong with a
request, one fault at most:

    lost_before, refused, 429, 500_before     nothing is done; the answer is unknown, or surely not done
    lost_after, 500_after, slow, broken_json, truncated, wrong_currency, raises, unreadable
                                              done, and the answer is unknown; `slow` takes time before it says so
    unclear             likewise, and no look-up can tell either: a person has to ask
    short_approval      less is approved than asked, also where nobody allowed it; then it must not be believed
    late                nothing is done now; it is done a while later, after the connection is gone
    other_channel       somebody spends from the card just before

A look-up reads the lines under the call's id. A request that is still on its way has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import attrs

from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Provider, Reason, Result
from tallystick.provider.verbs import REPEATABLE
from tallystick.testing.referee import ProviderBooks, ProviderLine
from tallystick.testing.simulation.provider_double import Wrap
from tallystick.testing.simulation.world import Clock, SimulatedWorld

BROKEN = "the connection broke"
NOT_DONE = ("lost_before", "500_before", "refused", "429", "late")
ANSWERED_AS_UNKNOWN = ("lost_after", "500_after", "slow", "broken_json", "truncated", "wrong_currency", "unclear")
FAULT_KINDS = (*NOT_DONE, *ANSWERED_AS_UNKNOWN, "raises", "unreadable", "short_approval", "other_channel")


@attrs.define
class _Card:
    number: str
    currency: str
    available: int = 0
    holds: dict[str, int] = attrs.field(factory=dict)
    suspended: bool = False


class _Declined(Exception):
    """The provider says no; nothing is done."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class MemoryDouble:
    """The provider's cards and lines, and what other channels do to them."""

    kind = "books"
    fault_kinds = FAULT_KINDS
    currencies = ("USD", "EUR", "JPY", "BHD")
    clock_tolerance = 1e9  # it is asked by the id of a call

    def __init__(self, seed: int, wrap: Wrap | None = None) -> None:
        self._chance = Random(f"{seed}:books")  # noqa: S311  # to be repeatable
        self._wrap = wrap
        self._cards: dict[str, _Card] = {}
        self._lines: list[ProviderLine] = []
        self._by_call: dict[str, list[Outcome]] = {}
        self._voided: set[str] = set()
        self.unclear: set[str] = set()  # ids of calls that no look-up can tell

    def provider(self, world: SimulatedWorld, clock: Clock) -> Provider:
        network = Network(self, world, self._chance)
        return self._wrap(network) if self._wrap else network

    # What others do, and what a person sees

    def act_elsewhere(self, number: str, currency: str, most: int) -> bool:
        card = self._cards.get(number)
        loads = self._chance.random() < 0.2
        if card is None or card.suspended or not (card.available or loads):
            return False
        self._change_elsewhere(card, most if loads else -min(most, card.available))
        return True

    def spend_elsewhere(self, number: str) -> None:
        """Another channel spends from the card, if there is something on it."""
        card = self._cards.get(number)
        if card is not None and card.available and not card.suspended:
            self._change_elsewhere(card, -self._chance.randint(1, card.available))

    def _change_elsewhere(self, card: _Card, change: int) -> None:
        card.available += change
        self._line(None, "issue" if change > 0 else "redeem", card, change, change)

    def holds(self, number: str, currency: str) -> Mapping[str, int]:
        return self._cards[number].holds

    def release_hold(self, number: str, hold: str) -> bool:
        card = self._cards[number]
        card.available += card.holds.pop(hold)
        self._line(None, "release_hold", card, 0, 0)
        return True

    def new_physical_card(self, currency: str) -> str:
        number = f"6{self._chance.randrange(10**15):015}"
        self._cards[number] = _Card(number, currency)
        return number

    def pin(self, number: str) -> str:
        return "1234"

    def sell_elsewhere(self, currency: str, amount: int) -> str:
        number = self.new_physical_card(currency)
        self._change_elsewhere(self._cards[number], amount)
        return number

    def available(self, number: str, currency: str) -> int:
        return self._cards[number].available

    def lines(self, number: str) -> list[ProviderLine]:
        return [each for each in self._lines if each.number == number]

    def books(self) -> ProviderBooks:
        cards = {(each.number, each.currency): each for each in self._cards.values()}
        return ProviderBooks(
            self._lines, {key: each.available for key, each in cards.items()},
            {key: each.holds for key, each in cards.items()},
        )  # fmt: skip

    def close(self) -> None: ...

    # What we ask

    def do(self, call: Call, most: int | None = None) -> Outcome:
        """Do what is asked, up to `most` if the verb has an amount."""
        try:
            return self._done(call, most)
        except _Declined as no:
            return Outcome(Result.DECLINED, reason=no.reason, text="no")

    def found(self, call: Call) -> Outcome | None:
        """What was done under a call's id, the first time."""
        return next(iter(self._by_call.get(call.id, ())), None)

    def _done(self, call: Call, most: int | None) -> Outcome:
        if call.verb == "allocate":
            number = self.new_physical_card(call.card.currency)
            return self._write(
                call, self._cards[number], 0, 0, number=number, pin=f"{self._chance.randrange(10**4):04}"
            )
        card = self._cards.get(str(call.args.get("number") or call.card.number))
        if card is None:
            raise _Declined(Reason.UNKNOWN_CARD)
        if card.suspended and call.verb in ("issue", "hold", "redeem"):
            raise _Declined(Reason.SUSPENDED)
        if call.verb in REPEATABLE:
            card.suspended = {"suspend": True, "reinstate": False}.get(call.verb, card.suspended)
            return self._write(call, card, 0, 0)
        amount = _amount(call)
        match call.verb:
            case "issue":
                return self._moved(call, card, amount)
            case "adjust":
                if card.available + amount < 0:
                    raise _Declined(Reason.INSUFFICIENT_FUNDS)
                return self._moved(call, card, amount)
            case "redeem":
                approved = self._approved(call, card, amount, most)
                return self._moved(call, card, -approved, approved=approved)
            case "hold":
                approved = self._approved(call, card, amount, most)
                card.available -= approved
                outcome = self._write(call, card, approved, 0, approved=approved)
                card.holds[str(outcome.reference)] = approved
                return outcome
            case "void":
                return self._void(call, card, amount)
            case _:
                return self._end_hold(call, card, amount)

    def _end_hold(self, call: Call, card: _Card, amount: int) -> Outcome:
        """Redeem from a hold, or release it: all that is left of it."""
        hold, release = str(call.args.get("hold")), int(str(call.args.get("release", 0)))
        left = card.holds.get(hold, 0)
        releases = call.verb == "release_hold"
        if left < amount + release or (releases and left != amount):
            raise _Declined(Reason.OTHER if releases else Reason.INSUFFICIENT_FUNDS)
        card.holds[hold] -= amount + release
        if not card.holds[hold]:
            del card.holds[hold]
        card.available += amount if releases else release
        change = 0 if releases else -amount
        return self._write(call, card, change, change)

    def _void(self, call: Call, card: _Card, amount: int) -> Outcome:
        undone = str(call.args.get("transaction"))
        line = next((each for each in self._lines if each.id == undone), None)
        if line is None or line.change != -amount or undone in self._voided:
            raise _Declined(Reason.OTHER)
        self._voided.add(undone)
        return self._moved(call, card, amount)

    def _approved(self, call: Call, card: _Card, amount: int, most: int | None) -> int:
        wanted = amount if most is None else min(amount, most)
        if wanted > card.available and not (call.args.get("allow_partial") and card.available):
            raise _Declined(Reason.INSUFFICIENT_FUNDS)
        return min(wanted, card.available)

    def _moved(self, call: Call, card: _Card, change: int, approved: int | None = None) -> Outcome:
        card.available += change
        return self._write(call, card, change, change, approved=approved)

    def _write(
        self, call: Call, card: _Card, amount: int, change: int, *,
        approved: int | None = None, number: str | None = None, pin: str | None = None,
    ) -> Outcome:  # fmt: skip
        id = self._line(call, call.verb, card, amount, change)
        outcome = Outcome(Result.CONFIRMED, id, amount=approved, available=card.available, number=number, pin=pin)
        self._by_call.setdefault(call.id, []).append(outcome)
        return outcome

    def _line(self, call: Call | None, verb: str, card: _Card, amount: int, change: int) -> str:
        id = f"t{len(self._lines) + 1}"
        line = ProviderLine(id, call.id if call else None, verb, card.number, card.currency, amount, change)
        self._lines.append(line)
        return id


class Network:
    """The way to the double, and back."""

    name, local = "books", False

    def __init__(self, double: MemoryDouble, world: SimulatedWorld, chance: Random) -> None:
        self._double, self._world, self._chance = double, world, chance

    def perform(self, call: Call) -> Outcome:
        self._world.at("before sending")
        outcome = self._sent(call, self._world.fault(call.verb))
        self._world.at("after sending")
        return outcome

    def _sent(self, call: Call, fault: str) -> Outcome:
        if fault in NOT_DONE:
            if fault == "late":
                self._world.arrive_later(lambda: self._double.do(call))
            surely = fault in ("refused", "429")
            return Outcome(Result.UNAVAILABLE if surely else Result.UNKNOWN, text=fault)
        if fault == "other_channel":
            self._double.spend_elsewhere(str(call.card.number))
        most = self._chance.randint(1, max(1, _amount(call))) if fault == "short_approval" else None
        outcome = self._double.do(call, most)
        if fault == "slow":
            self._world.take_time(self._chance.uniform(1.0, 120.0))
        if fault == "unclear":
            self._double.unclear.add(call.id)
        if fault in ANSWERED_AS_UNKNOWN:
            return Outcome(Result.UNKNOWN, text=fault)
        if fault == "raises":
            raise ConnectionError(BROKEN)
        if fault == "unreadable":
            return attrs.evolve(outcome, reference="a\nb")
        if most is not None and outcome.result is Result.CONFIRMED and outcome.amount is None and _amount(call) > 0:
            return attrs.evolve(outcome, amount=_amount(call) + 1)  # nobody allowed it, and it is not so
        return outcome

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        self._world.at("before looking up")
        fault = self._world.fault("look_up")
        if fault == "raises":
            raise ConnectionError(BROKEN)
        if call.id in self._double.unclear:
            return Ambiguous("two lines may be it")
        if fault:
            return Ambiguous(f"the record cannot be read: {fault}")
        found = self._double.found(call)
        if found is None:
            return NotSeen("no line under its id")
        self._world.at("after looking up")
        return found


def _amount(call: Call) -> int:
    return int(str(call.args.get("amount", 0)))
