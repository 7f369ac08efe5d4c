"""A thousand commands in one transaction, against bulk statements by hand that write the same rows."""

from __future__ import annotations

from random import Random

from benchmarks.fixture import ONE, Rivals, card, rivals
from benchmarks.measure import Contestant, Line, Setting, Target, Work, alone, in_turns
from tallystick import Money
from tallystick.engine.receipt import Command

PART = "a batch of 1,000, SQLite FULL"
CARDS = 10_000
BATCH = 1000


def measured(setting: Setting) -> list[Line]:
    cards = CARDS // 10 if setting.quick else CARDS
    target = Target("at least", 0.6)
    with rivals(setting, cards) as both:
        redeemed = in_turns(
            {"tallystick": _redeem(both, cards), "by hand": _redeem_by_hand(both, cards)}, setting.rounds(24)
        )
        paid = in_turns({"tallystick": _pay(both, cards), "by hand": _pay_by_hand(both, cards)}, setting.rounds(16))
    return [
        redeemed.line(PART, f"redeem, {cards:,} cards", "tallystick", "by hand", target),
        paid.line(PART, "create, authorize and settle payments", "tallystick", "by hand", target,
                  note="A payment made and settled within the batch is written once, there and here."),
    ]  # fmt: skip


def _redeem(both: Rivals, cards: int) -> Contestant:
    random = Random(1)

    def ready() -> Work:
        commands = [
            Command("gift_card", card(random.randrange(cards)), "redeem", {"amount": ONE}, both.key())
            for _ in range(BATCH)
        ]

        def work() -> int:
            assert all(receipt.applied for receipt in both.engine.try_execute_many(commands))  # type: ignore[union-attr]
            return BATCH

        return work

    return ready


def _redeem_by_hand(both: Rivals, cards: int) -> Contestant:
    random = Random(1)

    def ready() -> Work:
        wanted = [(card(random.randrange(cards)), 100, both.key()) for _ in range(BATCH)]
        return lambda: len(both.by_hand.redeem_many(wanted))

    return ready


def _payments(both: Rivals, random: Random, cards: int) -> list[tuple[str, str, str, int, str]]:
    """333 payments that are created, authorized and settled, as (command, payment, card, amount, key)."""
    wanted = []
    for _ in range(BATCH // 3):
        id, on = both.key(), card(random.randrange(cards))
        wanted += [(command, id, on, 100, f"{id}/{command}") for command in ("create", "authorize", "settle")]
    return wanted


def _pay(both: Rivals, cards: int) -> Contestant:
    random = Random(2)

    def ready() -> Work:
        commands = [
            Command("payment", id, command, {"order": "o", "card": on, "currency": "USD"} if command == "create"
                    else {"amount": Money(amount, "USD")}, key)
            for command, id, on, amount, key in _payments(both, random, cards)
        ]  # fmt: skip

        def work() -> int:
            assert all(receipt.applied for receipt in both.engine.try_execute_many(commands))  # type: ignore[union-attr]
            return len(commands)

        return work

    return ready


def _pay_by_hand(both: Rivals, cards: int) -> Contestant:
    random = Random(2)

    def ready() -> Work:
        wanted = _payments(both, random, cards)
        return lambda: len(both.by_hand.pay_many(wanted))

    return ready


if __name__ == "__main__":
    alone(measured)
