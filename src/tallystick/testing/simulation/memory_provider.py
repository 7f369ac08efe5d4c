"""A provider in memory with books of its own: for simulations of millions of operations.

`MemoryProviderBooks` is the provider's half: cards, what is available and held on them, and a line for everything that
was done, under our id of the call where we did it. It does what it is asked each time it is asked: a request sent
twice is done twice, as at a provider that promises nothing. `Network` stands between: it is a `Provider`, and what
goes wrong with a request is told to it by a function, one fault for each request:

    lost_before, refused, 429, 500_before     nothing is done; told as unknown or as surely not done
    lost_after, 500_after, slow, broken_json, truncated, wrong_currency, raises, unreadable
                                              done, and told as unknown; `slow` takes time before it says so
    unclear             likewise, and no look-up can tell either: a person has to look
    short_approval      less is approved than asked: also where nobody allowed it, and nobody may believe it then
    late                nothing is done now; it is done a while later, after the connection is gone
    other_channel       somebody spends from the card just before

A look-up reads the lines under the call's id. What is on its way is not there yet.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NoReturn

import attrs

from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Reason, Result
from tallystick.provider.verbs import REPEATABLE
from tallystick.testing.referee import ProviderBooks, ProviderLine

NOT_DONE = ("lost_before", "500_before", "refused", "429", "late")
TOLD_AS_UNKNOWN = ("lost_after", "500_after", "slow", "broken_json", "truncated", "wrong_currency", "unclear")
CHANGES_GO_WRONG = (*NOT_DONE, *TOLD_AS_UNKNOWN, "raises", "unreadable", "short_approval", "other_channel")


@attrs.define
class Card:
    number: str
    currency: str
    available: int = 0
    holds: dict[str, int] = attrs.field(factory=dict)
    suspended: bool = False


class Declined(Exception):
    """The provider says no; nothing is done."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class MemoryProviderBooks:
    """The provider's half."""

    def __init__(self, chance: Random) -> None:
        self.cards: dict[str, Card] = {}
        self.lines: list[ProviderLine] = []
        self.by_call: dict[str, list[tuple[ProviderLine, Outcome]]] = {}
        self.unclear: set[str] = set()  # calls that no look-up can tell
        self._voided: set[str] = set()
        self._chance = chance

    def print(self, currency: str) -> str:
        """A new card; its number."""
        number = f"6{self._chance.randrange(10**15):015}"
        self.cards[number] = Card(number, currency)
        return number

    def do(self, call: Call, most: int | None = None) -> Outcome:
        """Do what is asked, up to `most` if the verb has an amount. Raises: Declined."""
        if call.verb == "allocate":
            number = self.print(call.card.currency)
            return self._write(call, self.cards[number], 0, 0, number=number, pin=f"{self._chance.randrange(10**4):04}")
        card = self.cards.get(str(call.args.get("number") or call.card.number))
        if card is None:
            raise Declined(Reason.UNKNOWN_CARD)
        if card.suspended and call.verb in ("issue", "hold", "redeem"):
            raise Declined(Reason.SUSPENDED)
        if call.verb in REPEATABLE:
            card.suspended = {"suspend": True, "reinstate": False}.get(call.verb, card.suspended)
            return self._write(call, card, 0, 0)
        deed: Callable[..., Outcome] = getattr(self, f"_{call.verb}")
        return deed(call, card, _amount(call), most)

    def elsewhere(self, card: Card, change: int) -> None:
        """Another channel loads or spends."""
        card.available += change
        self._line(None, "issue" if change > 0 else "redeem", card, change, change)

    def let_go(self, card: Card, hold: str) -> None:
        """Somebody releases a hold in the provider's office."""
        card.available += card.holds.pop(hold)
        self._line(None, "release_hold", card, 0, 0)

    # The verbs

    def _issue(self, call: Call, card: Card, amount: int, most: int | None) -> Outcome:
        return self._moved(call, card, amount)

    def _adjust(self, call: Call, card: Card, amount: int, most: int | None) -> Outcome:
        if card.available + amount < 0:
            raise Declined(Reason.INSUFFICIENT_FUNDS)
        return self._moved(call, card, amount)

    def _hold(self, call: Call, card: Card, amount: int, most: int | None) -> Outcome:
        approved = self._approved(call, card, amount, most)
        card.available -= approved
        outcome = self._write(call, card, approved, 0, approved=approved)
        card.holds[str(outcome.reference)] = approved
        return outcome

    def _redeem(self, call: Call, card: Card, amount: int, most: int | None) -> Outcome:
        approved = self._approved(call, card, amount, most)
        return self._moved(call, card, -approved, approved=approved)

    def _redeem_hold(self, call: Call, card: Card, amount: int, most: int | None) -> Outcome:
        hold, release = str(call.args.get("hold")), int(str(call.args.get("release", 0)))
        if card.holds.get(hold, 0) < amount + release:
            raise Declined(Reason.INSUFFICIENT_FUNDS)
        self._take(card, hold, amount + release)
        card.available += release
        return self._write(call, card, -amount, -amount)

    def _release_hold(self, call: Call, card: Card, amount: int, most: int | None) -> Outcome:
        hold = str(call.args.get("hold"))
        if card.holds.get(hold, 0) != amount:
            raise Declined(Reason.OTHER)
        self._take(card, hold, amount)
        card.available += amount
        return self._write(call, card, 0, 0)

    def _void(self, call: Call, card: Card, amount: int, most: int | None) -> Outcome:
        undone = str(call.args.get("transaction"))
        line = next((each for each in self.lines if each.id == undone), None)
        if line is None or line.change != -amount or undone in self._voided:
            raise Declined(Reason.OTHER)
        self._voided.add(undone)
        return self._moved(call, card, amount)

    def _take(self, card: Card, hold: str, amount: int) -> None:
        card.holds[hold] -= amount
        if not card.holds[hold]:
            del card.holds[hold]

    def _approved(self, call: Call, card: Card, amount: int, most: int | None) -> int:
        wanted = amount if most is None else min(amount, most)
        if wanted > card.available and not (call.args.get("short") and card.available):
            raise Declined(Reason.INSUFFICIENT_FUNDS)
        return min(wanted, card.available)

    def _moved(self, call: Call, card: Card, change: int, approved: int | None = None) -> Outcome:
        card.available += change
        return self._write(call, card, change, change, approved=approved)

    def _write(
        self, call: Call, card: Card, amount: int, change: int, *,
        approved: int | None = None, number: str | None = None, pin: str | None = None,
    ) -> Outcome:  # fmt: skip
        line = self._line(call, call.verb, card, amount, change)
        outcome = Outcome(Result.CONFIRMED, line.id, amount=approved, available=card.available, number=number, pin=pin)
        self.by_call.setdefault(call.id, []).append((line, outcome))
        return outcome

    def _line(self, call: Call | None, verb: str, card: Card, amount: int, change: int) -> ProviderLine:
        id = f"t{len(self.lines) + 1}"
        line = ProviderLine(id, call.id if call else None, verb, card.number, card.currency, amount, change)
        self.lines.append(line)
        return line

    # Acknowledged

    def provided(self) -> ProviderBooks:
        """As the referee reads them."""
        cards = {(each.number, each.currency): each for each in self.cards.values()}
        return ProviderBooks(
            self.lines, {key: each.available for key, each in cards.items()},
            {key: each.holds for key, each in cards.items()},
        )  # fmt: skip


def _amount(call: Call) -> int:
    return int(str(call.args.get("amount", 0)))


class Network:
    """The way to the books, and back."""

    name, local = "books", False

    def __init__(
        self,
        books: MemoryProviderBooks,
        chance: Random,
        *,
        fault: Callable[[str], str],
        at: Callable[[str], object],
        late: Callable[[Callable[[], object]], object],
        slow: Callable[[], object],
    ) -> None:
        """`fault` draws what goes wrong with a request of a verb, "" for nothing; `at` is told where the request is;
        `late` keeps a deed for later; `slow` lets time pass."""
        self.books = books
        self._chance, self._fault, self._at, self._late, self._slow = chance, fault, at, late, slow

    def perform(self, call: Call) -> Outcome:
        self._at("before sending")
        fault = self._fault(call.verb)
        outcome = self._sent(call, fault)
        self._at("after sending")
        return outcome

    def _sent(self, call: Call, fault: str) -> Outcome:
        if fault in NOT_DONE:
            return self._not_done(call, fault)
        if fault == "other_channel":
            self._spend(call)
        most = self._chance.randint(1, max(1, _amount(call))) if fault == "short_approval" else None
        outcome = self._done(call, most)
        if fault == "slow":
            self._slow()
        if fault == "unclear":
            self.books.unclear.add(call.id)
        if fault in TOLD_AS_UNKNOWN:
            return Outcome(Result.UNKNOWN, text=fault)
        if fault == "raises":
            _break()
        if fault == "unreadable":
            return attrs.evolve(outcome, reference="a\nb")
        if most is not None and outcome.result is Result.CONFIRMED and outcome.amount is None and _amount(call) > 0:
            return attrs.evolve(outcome, amount=_amount(call) + 1)  # nobody allowed it, and it is not so
        return outcome

    def _not_done(self, call: Call, fault: str) -> Outcome:
        if fault == "late":
            self._late(lambda: self._done(call, None))
        surely = fault in ("refused", "429")
        return Outcome(Result.UNAVAILABLE if surely else Result.UNKNOWN, text=fault)

    def _done(self, call: Call, most: int | None) -> Outcome:
        try:
            return self.books.do(call, most)
        except Declined as no:
            return Outcome(Result.DECLINED, reason=no.reason, text="no")

    def _spend(self, call: Call) -> None:
        card = self.books.cards.get(str(call.card.number))
        if card is not None and card.available and not card.suspended:
            self.books.elsewhere(card, -self._chance.randint(1, card.available))

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        self._at("before looking up")
        fault = self._fault("look_up")
        if fault == "raises":
            _break()
        if call.id in self.books.unclear:
            return Ambiguous("two lines may be it")
        if fault:
            return Ambiguous(f"the record cannot be read: {fault}")
        lines = self.books.by_call.get(call.id, [])
        if not lines:
            return NotSeen("no line under its id")
        self._at("after looking up")
        return lines[0][1]


def _break() -> NoReturn:
    raise ConnectionError("the connection broke")
