"""Orders that several cards pay for together: a tender is held, shipped in parts, refunded, exchanged and given back.

Commands are given as a caller gives them; what follows for each part is done by whoever runs what is due, or finds it.
"""

from __future__ import annotations

from random import Random
from typing import Any, Literal, Protocol

from tallystick.books.shares import shared
from tallystick.core.entity import Entity
from tallystick.engine.receipt import Receipt
from tallystick.money import Money
from tallystick.testing.simulation.world import SimulatedWorld

HOWS: tuple[Literal["first", "last", "ratio"], ...] = ("first", "last", "ratio")


class Give(Protocol):
    """Gives a new command to the running process, now or `later` by so many seconds; `signed` by a person."""

    def __call__(
        self, machine: str, id: str, command: str, *, later: float = 0.0, signed: bool = False, **args: Any
    ) -> Receipt | None: ...


class TenderWork:
    """What to do with a tender next."""

    def __init__(self, world: SimulatedWorld, chance: Random, give: Give) -> None:
        self._world, self._chance, self._give = world, chance, give
        self._count = 0

    def begin(self, cards: list[Entity], amounts: list[int]) -> str:
        """A new tender over these cards, one part each, and mostly held at once; its id."""
        self._count += 1
        id, currency = f"t{self._count}", cards[0].currency
        more: dict[str, Any] = {"allow_partial": True} if self._chance.random() < 0.3 else {}
        self._give("tender", id, "create", order=id, requested=sum(amounts), currency=currency, **more)
        for number, (card, amount) in enumerate(zip(cards, amounts, strict=True), 1):
            self._part(f"{id}/{number}", id, card, amount)
        if self._chance.random() < 0.9:
            self._hold(id, currency)
        return id

    def parts(self, tender: str) -> list[Entity]:
        """Its payments, in their order."""
        with self._world.store.reading() as reading:
            found = reading.linked("payment", "tender", tender)
        return sorted(found, key=lambda each: (len(each.id), each.id))

    def proceed(self, tender: Entity, cards: list[Entity]) -> None:
        """Something that suits the state of a tender, or of one of its parts."""
        roll = self._chance.random()
        match tender.state:
            case "requested" if roll < 0.2:
                self._give("tender", tender.id, "cancel")
            case "requested":
                self._hold(tender.id, tender.currency)
            case "authorizing" | "closing" | "giving_back" if roll < 0.1:
                command = {"authorizing": "confirm", "closing": "close", "giving_back": "end"}[tender.state]
                self._give("tender", tender.id, command)
            case "active" if roll < 0.5:
                self._share(tender, "settle", "held")
            case "active" | "paid" if roll < 0.65:
                self._share(tender, "refund", "redeemed")
            case "active" if roll < 0.75:
                self._give("tender", tender.id, "cancel")
            case "active" if roll < 0.78:
                self._share(tender, "reduce", "held")
            case "active" if roll < 0.82:
                self._give("tender", tender.id, "change", amount=self._chance.randint(1, 5000))
            case "active" if cards:
                self._exchange(tender, self._chance.choice(cards))

    def _hold(self, tender: str, currency: str) -> None:
        """Each part is to hold what it was asked for; sometimes one is forgotten."""
        parts = self.parts(tender)
        if parts and self._chance.random() < 0.05:
            parts.pop()
        shares = {each.id: Money(int(str(each.facts["requested"])), currency) for each in parts}
        self._command(tender, "authorize", shares)

    def _share(self, tender: Entity, command: str, account: str) -> None:
        room = {each.id: Money(each.accounts[account], tender.currency) for each in self.parts(tender.id)}
        most = sum(each.minor for each in room.values())
        if most:
            amount = most if self._chance.random() < 0.3 else self._chance.randint(1, most)
            shares = shared(Money(amount, tender.currency), room, self._chance.choice(HOWS))
            more: dict[str, Any] = {}
            if command == "settle":
                more = self._chance.choice(({}, {}, {"last": True}, {"keep_hold": True}))
                more |= {"later": 1800.0} if self._chance.random() < 0.1 else {}
            self._command(tender.id, command, shares, amount=amount, **more)

    def _exchange(self, tender: Entity, card: Entity) -> None:
        """Another card holds what a part holds, and then that part is given back; or the order gets one more part."""
        held = [each for each in self.parts(tender.id) if each.accounts["held"] and not each.calls]
        amount = held[0].accounts["held"] if held else 500
        self._count += 1
        id = f"{tender.id}/x{self._count}"
        self._part(id, tender.id, card, amount)
        receipt = self._give("payment", id, "authorize", amount=amount)
        if receipt is not None and receipt.applied and held and self._chance.random() < 0.8:
            self._give("payment", held[0].id, "cancel")

    def _part(self, id: str, tender: str, card: Entity, amount: int) -> None:
        self._give("payment", id, "create", order=tender, card=card.id, tender=tender, requested=amount,
                   currency=card.currency)  # fmt: skip

    def _command(self, tender: str, command: str, shares: dict[str, Money], **args: Any) -> None:
        self._give("tender", tender, command, shares=[(id, each.minor) for id, each in shares.items()], **args)
