"""What a good engineer would write by hand, in memory: ifs, whole numbers, a guard for each event.

`straight` takes and makes the objects that tallystick's core takes and makes. `Told` makes lighter ones: a new value
with slots and a named tuple that says what happened. `Tender` is changed in place and remembers nothing: less cannot be
done. `Pair` is a payment that draws on a card, in place too.
"""

from __future__ import annotations

from typing import NamedTuple

from tallystick.core.entity import Entity, Entry, Plan, Posting, Request


class Refused(Exception):
    """The event is not for this state, or not with this amount."""


class Tender:
    """benchmarks/timed/tender_alone.yaml by hand."""

    __slots__ = ("held", "redeemed", "state", "uncovered")

    def __init__(self) -> None:
        self.state = "requested"
        self.held = self.uncovered = self.redeemed = 0

    def apply(self, command: str, amount: int, last: bool = False) -> None:
        if command == "authorize":
            if self.state == "requested" and amount > 0:
                self.held += amount
                self.state = "authorized"
                return
        elif command == "settle":
            if self.state in ("authorized", "advanced_hold"):
                if 0 < amount < self.held and not last:
                    self.redeemed += amount
                    self.uncovered += self.held - amount
                    self.held = 0
                    self.state = "partially_settled"
                    return
                if 0 < amount == self.held and self.uncovered == 0 and not last:
                    self.redeemed += amount
                    self.held = 0
                    self.state = "closed"
                    return
                if 0 < amount <= self.held and last:
                    self.redeemed += amount
                    self.held = self.uncovered = 0
                    self.state = "closed"
                    return
        elif command == "hold_again":  # noqa: SIM102  # one branch for each command
            if self.state == "partially_settled" and 0 < amount <= self.uncovered and self.held == 0:
                self.uncovered -= amount
                self.held += amount
                self.state = "advanced_hold"
                return
        raise Refused(f"{command} of {amount} in {self.state}")


class Event(NamedTuple):
    id: str
    version: int
    transition: str
    from_state: str
    to_state: str
    args: dict[str, object]
    postings: tuple[tuple[str, str, int], ...]
    after: dict[str, int]


class Told:
    """benchmarks/timed/tender_alone.yaml by hand: a new value and an entry for each event."""

    __slots__ = ("held", "id", "redeemed", "state", "uncovered", "version")

    def __init__(
        self, id: str, state: str = "requested", version: int = 1, held: int = 0, uncovered: int = 0, redeemed: int = 0
    ) -> None:
        self.id = id
        self.state = state
        self.version = version
        self.held = held
        self.uncovered = uncovered
        self.redeemed = redeemed

    def apply(self, command: str, args: dict[str, object]) -> tuple[Told, Event]:
        state, held, uncovered, redeemed = self.state, self.held, self.uncovered, self.redeemed
        amount: int = args["amount"]  # type: ignore[assignment]
        if command == "authorize" and state == "requested" and amount > 0:
            postings = (("card", "held", amount),)
            return self._next(command, "authorized", args, postings, held + amount, uncovered, redeemed)
        if command == "settle" and state in ("authorized", "advanced_hold"):
            last = args["last"]
            if 0 < amount < held and not last:
                postings = (("held", "redeemed", amount), ("held", "uncovered", held - amount))
                rest = uncovered + held - amount
                return self._next("settle_part", "partially_settled", args, postings, 0, rest, redeemed + amount)
            if 0 < amount == held and uncovered == 0 and not last:
                postings = (("held", "redeemed", amount),)
                return self._next("settle_all", "closed", args, postings, 0, 0, redeemed + amount)
            if 0 < amount <= held and last:
                moved = (
                    ("held", "redeemed", amount),
                    ("held", "card", held - amount),
                    ("uncovered", "card", uncovered),
                )
                postings = tuple(each for each in moved if each[2])
                return self._next("settle_last", "closed", args, postings, 0, 0, redeemed + amount)
        if command == "hold_again" and state == "partially_settled" and 0 < amount <= uncovered and held == 0:
            postings = (("uncovered", "held", amount),)
            return self._next(command, "advanced_hold", args, postings, held + amount, uncovered - amount, redeemed)
        raise Refused(f"{command} of {amount} in {state}")

    def _next(
        self, transition: str, state: str, args: dict[str, object], postings: tuple[tuple[str, str, int], ...],
        held: int, uncovered: int, redeemed: int,
    ) -> tuple[Told, Event]:  # fmt: skip
        version = self.version + 1
        after = {"held": held, "uncovered": uncovered, "redeemed": redeemed}
        entry = Event(self.id, version, transition, self.state, state, args, postings, after)
        return Told(self.id, state, version, held, uncovered, redeemed), entry


class Card:
    __slots__ = ("available", "held", "spent", "state")

    def __init__(self, available: int) -> None:
        self.state = "issued"
        self.available = available
        self.held = self.spent = 0

    def hold(self, amount: int) -> None:
        if self.state != "issued" or not 0 < amount <= self.available:
            raise Refused(f"hold of {amount} in {self.state}")
        self.available -= amount
        self.held += amount

    def redeem_hold(self, amount: int, release: int) -> None:
        if self.state not in ("issued", "suspended") or amount <= 0 or release < 0 or amount + release > self.held:
            raise Refused(f"redeem of {amount} in {self.state}")
        self.held -= amount + release
        self.spent += amount
        self.available += release


class Pair:
    """A payment and the card it draws on, by hand: as much of the packaged machines as this flow needs."""

    __slots__ = ("card", "held", "redeemed", "state", "uncovered")

    def __init__(self, card: Card) -> None:
        self.card = card
        self.state = "requested"
        self.held = self.uncovered = self.redeemed = 0

    def apply(self, command: str, amount: int, last: bool = False) -> None:
        if command == "authorize":
            if self.state == "requested" and amount > 0:
                self.card.hold(amount)
                self.held += amount
                self.state = "authorized"
                return
        elif command == "settle":
            if self.state in ("authorized", "partially_settled", "advanced_hold"):
                if 0 < amount < self.held and not last:
                    self.card.redeem_hold(amount, self.held - amount)
                    self.redeemed += amount
                    self.uncovered += self.held - amount
                    self.held = 0
                    self.state = "partially_settled"
                    return
                if 0 < amount == self.held and not last:
                    self.card.redeem_hold(amount, 0)
                    self.redeemed += amount
                    self.held = 0
                    self.state = "closed" if self.uncovered == 0 else "partially_settled"
                    return
                if 0 < amount <= self.held and last:
                    self.card.redeem_hold(amount, self.held - amount)
                    self.redeemed += amount
                    self.held = self.uncovered = 0
                    self.state = "closed"
                    return
        elif command == "hold_again":  # noqa: SIM102  # one branch for each command
            if self.state == "partially_settled" and 0 < amount <= self.uncovered and self.held == 0:
                self.card.hold(amount)
                self.uncovered -= amount
                self.held += amount
                self.state = "advanced_hold"
                return
        raise Refused(f"{command} of {amount} in {self.state}")


def straight(entity: Entity, request: Request) -> Plan:
    """benchmarks/timed/tender_alone.yaml by hand, taking and making the very objects that the core takes and makes."""
    command, args, accounts = request.command, request.args, entity.accounts
    state, held, uncovered, redeemed = entity.state, accounts["held"], accounts["uncovered"], accounts["redeemed"]
    amount: int = args["amount"]  # type: ignore[assignment]
    if command == "authorize" and state == "requested" and amount > 0:
        posted = (Posting("card", "held", amount),)
        return _made(
            entity, command, command, "authorized", {"amount": amount}, posted, held + amount, uncovered, redeemed
        )
    if command == "settle" and state in ("authorized", "advanced_hold"):
        last = args["last"]
        if 0 < amount < held and not last:
            posted = (Posting("held", "redeemed", amount), Posting("held", "uncovered", held - amount))
            rest = uncovered + held - amount
            return _made(
                entity,
                "settle_part",
                command,
                "partially_settled",
                {"amount": amount},
                posted,
                0,
                rest,
                redeemed + amount,
            )
        if 0 < amount == held and uncovered == 0 and not last:
            posted = (Posting("held", "redeemed", amount),)
            return _made(entity, "settle_all", command, "closed", {"amount": amount}, posted, 0, 0, redeemed + amount)
        if 0 < amount <= held and last:
            moves = (
                Posting("held", "redeemed", amount),
                Posting("held", "card", held - amount),
                Posting("uncovered", "card", uncovered),
            )
            posted = tuple(each for each in moves if each.amount)
            return _made(
                entity,
                "settle_last",
                command,
                "closed",
                {"amount": amount, "last": True},
                posted,
                0,
                0,
                redeemed + amount,
            )
    if command == "hold_again" and state == "partially_settled" and 0 < amount <= uncovered and held == 0:
        posted = (Posting("uncovered", "held", amount),)
        return _made(
            entity,
            command,
            command,
            "advanced_hold",
            {"amount": amount},
            posted,
            held + amount,
            uncovered - amount,
            redeemed,
        )
    raise Refused(f"{command} of {amount} in {state}")


def _made(
    entity: Entity, transition: str, command: str, state: str, args: dict[str, object],
    posted: tuple[Posting, ...], held: int, uncovered: int, redeemed: int,
) -> Plan:  # fmt: skip
    after = {**entity.accounts, "held": held, "uncovered": uncovered, "redeemed": redeemed}
    revision = entity.revision + 1
    entry = Entry(
        entity.machine, entity.id, revision, entity.machine_version, transition, command, "done", entity.state, state,
        args, posted, {}, after,
    )  # fmt: skip
    moved = Entity(
        entity.machine, entity.id, state, revision, entity.machine_version, entity.currency, entity.facts, after,
        entity.calls, entity.changing, entity.hash,
    )  # fmt: skip
    return Plan([moved], [entry])
