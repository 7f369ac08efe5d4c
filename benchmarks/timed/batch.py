"""A thousand commands in one transaction, against bulk statements by hand that write the same rows."""

from __future__ import annotations

from random import Random

from benchmarks.measure import Contestant, Result, Run, Work
from benchmarks.rivals import ONE, Rivals, applied, card, rivals
from tallystick import Money
from tallystick.engine.receipt import Command

CARDS = 10_000
BATCH = 1000
HOT = 10


def redeem(run: Run) -> Result:
    with rivals(run, run.sized(CARDS, 100)) as both:
        random = Random(1)

        def by_hand() -> Work:
            wanted = [(card(random.randrange(both.cards)), 100, both.key()) for _ in range(BATCH)]
            return lambda: len(both.by_hand.redeem_many(wanted))

        return run.compare(_redeem(both, both.cards), by_hand)


def hot(run: Run) -> Result:
    with rivals(run, run.sized(CARDS, 100)) as both:
        return run.compare(_redeem(both, HOT), _redeem(both, both.cards))


def _redeem(both: Rivals, cards: int) -> Contestant:
    random = Random(1)

    def ready() -> Work:
        commands = [
            Command("gift_card", card(random.randrange(cards)), "redeem", {"amount": ONE}, both.key())
            for _ in range(BATCH)
        ]
        return lambda: applied(both.engine, commands)

    return ready


def payment(run: Run) -> Result:
    """333 payments are created, authorized and settled. Each is written once, there and here."""
    with rivals(run, run.sized(CARDS, 100)) as both:
        random = Random(2)

        def wanted() -> list[tuple[str, str, str, int, str]]:
            payments = [(both.key(), card(random.randrange(both.cards))) for _ in range(BATCH // 3)]
            steps = ("create", "authorize", "settle")
            return [(step, id, on, 100, f"{id}/{step}") for id, on in payments for step in steps]

        def ours() -> Work:
            commands = [
                Command("payment", id, step, {"order": "o", "card": on, "currency": "USD"} if step == "create"
                        else {"amount": Money(amount, "USD")}, key)
                for step, id, on, amount, key in wanted()
            ]  # fmt: skip
            return lambda: applied(both.engine, commands)

        def by_hand() -> Work:
            asked = wanted()
            return lambda: len(both.by_hand.pay_many(asked))

        return run.compare(ours, by_hand)
