"""Many callers at once with group commit, against one commit each by hand, on one connection with a lock.

Each caller waits for its answer before it gives its next command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from benchmarks.measure import Contestant, Result, Run
from benchmarks.rivals import ONE, applied, card, rivals
from tallystick.books.async_books import AsyncBooks
from tallystick.books.books import Books
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
    """Tasks of one event loop, each of which settles a payment that was authorized before the clock starts."""
    callers = run.sized(TASKS, 16)
    with rivals(run, run.sized(CARDS, 20), sync=sync) as both, ThreadPoolExecutor(32) as pool:
        books = AsyncBooks(Books(both.engine))

        async def verb(id: str) -> None:
            await books.settle(id, ONE, key=f"{id}/s")

        async def in_a_thread(id: str) -> None:
            await asyncio.get_running_loop().run_in_executor(pool, both.by_hand.settle, id, 100, f"{id}/s")

        def calling(command: Callable[[str], Awaitable[None]], *, ours: bool) -> Contestant:
            async def together(ids: list[str]) -> None:
                await asyncio.gather(*[command(id) for id in ids])

            def ready() -> Callable[[], int]:
                ids = both.created(callers, ours=ours)
                if ours:
                    applied(
                        both.engine, [Command("payment", id, "authorize", {"amount": ONE}, f"{id}/a") for id in ids]
                    )
                else:
                    both.by_hand.pay_many([("authorize", id, "", 100, f"{id}/a") for id in ids])

                def work() -> int:
                    asyncio.run(together(ids))
                    return callers

                return work

            return ready

        return run.compare(calling(verb, ours=True), calling(in_a_thread, ours=False), waits=True)
