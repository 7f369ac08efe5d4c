"""One command with one commit on disk, against sqlite3 by hand that writes the same rows.

A card is redeemed (one entry, one row), and a payment is authorized and settled (two entries and two rows a command).
On a disk, most of the time is spent waiting for the commit. So it is measured again in memory, where a commit costs
nothing. That compares work with work: watch this number when you make it faster.
"""

from __future__ import annotations

import os
from itertools import cycle

from benchmarks.fixture import ONE, Rivals, card, rivals
from benchmarks.measure import Contestant, Line, Setting, Target, Work, alone, in_turns

PART = "one durable command, SQLite FULL"
CARDS = 1000
EACH = 20  # operations in a round
MEMORY = "/dev/shm"


def measured(setting: Setting) -> list[Line]:
    lines = _lines(setting, PART, Target("at least", 0.85), None)
    if os.path.isdir(MEMORY):
        lines += _lines(setting, "one command, where a commit costs nothing", None, MEMORY)
    return lines


def _lines(setting: Setting, part: str, target: Target | None, folder: str | None) -> list[Line]:
    note = "The slower the disk, the nearer to 1; below is the same without it." if target else ""
    with rivals(setting, CARDS, folder=folder) as both:
        waits = folder is None
        redeemed = in_turns(
            {"tallystick": _redeem(both), "by hand": _redeem_by_hand(both)}, setting.rounds(60), waits=waits
        )
        paid = in_turns({"tallystick": _pay(both), "by hand": _pay_by_hand(both)}, setting.rounds(40), waits=waits)
    return [
        redeemed.line(part, "redeem a card", "tallystick", "by hand", target, note=note),
        paid.line(part, "authorize and settle a payment", "tallystick", "by hand", target, note=note),
    ]


def _redeem(both: Rivals) -> Contestant:
    cards = cycle(map(card, range(CARDS)))

    def work() -> int:
        for _ in range(EACH):
            both.engine.execute("gift_card", next(cards), "redeem", {"amount": ONE}, key=both.key())
        return EACH

    return lambda: work


def _redeem_by_hand(both: Rivals) -> Contestant:
    cards = cycle(map(card, range(CARDS)))

    def work() -> int:
        for _ in range(EACH):
            both.by_hand.redeem(next(cards), 100, both.key())
        return EACH

    return lambda: work


def _pay(both: Rivals) -> Contestant:
    def ready() -> Work:
        payments = both.payments(EACH // 2, CARDS)

        def work() -> int:
            for id in payments:
                both.engine.execute("payment", id, "authorize", {"amount": ONE}, key=f"{id}/a")
                both.engine.execute("payment", id, "settle", {"amount": ONE}, key=f"{id}/s")
            return 2 * len(payments)

        return work

    return ready


def _pay_by_hand(both: Rivals) -> Contestant:
    def ready() -> Work:
        payments = both.payments(EACH // 2, CARDS)

        def work() -> int:
            for id in payments:
                both.by_hand.authorize(id, 100, f"{id}/a")
                both.by_hand.settle(id, 100, f"{id}/s")
            return 2 * len(payments)

        return work

    return ready


if __name__ == "__main__":
    alone(measured)
