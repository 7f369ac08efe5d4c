"""Ten cards that everybody uses, against ten thousand used equally: no row may become a bottleneck."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random

from benchmarks.fixture import ONE, Rivals, card, rivals
from benchmarks.measure import Contestant, Line, Setting, Target, Work, alone, in_turns
from tallystick.engine.receipt import Command

PART = "hot cards"
HOT, CARDS = 10, 10_000
BATCH = 1000
CALLERS, EACH = 64, 10


def measured(setting: Setting) -> list[Line]:
    cards = CARDS // 10 if setting.quick else CARDS
    target = Target("at least", 0.95)  # not slower, but for the noise
    with rivals(setting, cards) as both, ThreadPoolExecutor(CALLERS) as pool:
        uniform = f"{cards:,} cards alike"
        batches = in_turns({"10 cards": _batch(both, HOT), uniform: _batch(both, cards)}, setting.rounds(24))
        calls = in_turns(
            {"10 cards": _callers(both, pool, HOT), uniform: _callers(both, pool, cards)}, setting.rounds(12)
        )
    return [
        batches.line(PART, "redeem on 10 cards, batches of 1,000", "10 cards", uniform, target),
        calls.line(PART, "redeem on 10 cards, 64 callers", "10 cards", uniform, target),
    ]


def _batch(both: Rivals, cards: int) -> Contestant:
    random = Random(3)

    def ready() -> Work:
        ids = [card(random.randrange(cards)) for _ in range(BATCH)]
        commands = [Command("gift_card", id, "redeem", {"amount": ONE}, both.key()) for id in ids]
        return lambda: len(both.engine.try_execute_many(commands))

    return ready


def _callers(both: Rivals, pool: ThreadPoolExecutor, cards: int) -> Contestant:
    random = Random(4)

    def caller(ids: list[str]) -> None:
        for id in ids:
            both.engine.execute("gift_card", id, "redeem", {"amount": ONE}, key=both.key())

    def ready() -> Work:
        shares = [[card(random.randrange(cards)) for _ in range(EACH)] for _ in range(CALLERS)]

        def work() -> int:
            for _ in pool.map(caller, shares):
                pass
            return CALLERS * EACH

        return work

    return ready


if __name__ == "__main__":
    alone(measured)
