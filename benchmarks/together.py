"""64 callers at once with group commit, against one commit each by hand, on one connection with a lock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

from benchmarks.fixture import ONE, card, rivals
from benchmarks.measure import Contestant, Line, Setting, Target, Work, alone, in_turns

PART = "64 callers at once, SQLite FULL"
CALLERS = 64
EACH = 20  # commands of a caller in a round
CARDS = 1000


def measured(setting: Setting) -> list[Line]:
    with rivals(setting, CARDS) as both, ThreadPoolExecutor(CALLERS) as pool:
        engine, by_hand = both.engine, both.by_hand
        times = in_turns(
            {
                "group commit": _callers(
                    pool, lambda id: engine.execute("gift_card", id, "redeem", {"amount": ONE}, key=both.key())
                ),
                "by hand, one commit each": _callers(pool, lambda id: by_hand.redeem(id, 100, both.key())),
            },
            setting.rounds(12),
        )
    return [
        times.line(PART, "redeem a card", "group commit", "by hand, one commit each", Target("at least", 5),
                   note="Every caller is a thread. The slower the disk, the more there is to gain."),
    ]  # fmt: skip


def _callers(pool: ThreadPoolExecutor, command: Callable[[str], object]) -> Contestant:
    """Each caller waits for its answer before it gives its next command."""
    cards = cycle(map(card, range(CARDS)))

    def caller(ids: list[str]) -> None:
        for id in ids:
            command(id)

    def ready() -> Work:
        shares = [[next(cards) for _ in range(EACH)] for _ in range(CALLERS)]

        def work() -> int:
            for _ in pool.map(caller, shares):
                pass
            return CALLERS * EACH

        return work

    return ready


if __name__ == "__main__":
    alone(measured)
