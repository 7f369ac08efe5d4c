"""Many callers at once with group commit, against one commit each by hand, on one connection with a lock.

Each caller waits for its answer before it gives its next command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import tallystick
from benchmarks.measure import Absent, Contestant, Result, Run
from benchmarks.rivals import ONE, applied, card, rivals
from tallystick.engine.receipt import Command

THREADS, TASKS = 64, 512
CARDS = 1000


def threads(run: Run, *, sync: float) -> Result:
    callers, each = run.sized(THREADS, 8), run.sized(10, 2)
    with rivals(run, run.sized(CARDS, 20), sync=sync) as both, ThreadPoolExecutor(callers) as pool:

        def calling(command: Callable[[str], object]) -> Contestant:
            ids = count()

            def caller(mine: list[str]) -> None:
                for id in mine:
                    command(id)

            def ready() -> Callable[[], int]:
                shares = [[card(next(ids) % both.cards) for _ in range(each)] for _ in range(callers)]

                def work() -> int:
                    for _ in pool.map(caller, shares):
                        pass
                    return callers * each

                return work

            return ready

        def in_one_thread() -> Callable[[], int]:
            """What one leader has to do for all of them: the rest of a round is handing over."""
            wanted = [
                Command("gift_card", card(i % both.cards), "redeem", {"amount": ONE}, both.key())
                for i in range(callers)
            ]
            return lambda: applied(both.engine, wanted)

        return run.compare(
            calling(lambda id: both.engine.execute("gift_card", id, "redeem", {"amount": ONE}, key=both.key())),
            calling(lambda id: both.by_hand.redeem(id, 100, both.key())),
            waits=True, profile=in_one_thread,
        )  # fmt: skip


def tasks(run: Run, *, sync: float) -> Result:
    """As `threads`, for tasks of one event loop."""
    if not hasattr(tallystick, "aopen"):
        raise Absent("asyncio (tallystick.aopen) is not there yet")
    raise Absent("this row is not written yet")


def _gathered(callers: int, each: int, command: Callable[[str], Awaitable[object]], ids: Callable[[], str]) -> int:
    async def caller() -> None:
        for _ in range(each):
            await command(ids())

    async def all_of_them() -> None:
        await asyncio.gather(*[caller() for _ in range(callers)])

    asyncio.run(all_of_them())
    return callers * each
