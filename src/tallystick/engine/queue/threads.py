"""Work in several threads, because most of the time goes by while a remote provider answers.

What is about one card is a group, and one thread does it from its first item to its last. Other cards go on meanwhile.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from tallystick.errors import Invalid
from tallystick.provider.protocol import Provider

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
MOST = 256  # threads; no provider answers so many at once


def thread_count(workers: object, provider: Provider) -> int:
    """How many threads work: one alone, if the answers are our own books'. Raises Invalid."""
    if not isinstance(workers, int) or isinstance(workers, bool) or not 1 <= workers <= MOST:
        raise Invalid(f"workers is a whole number from 1 to {MOST}, not {workers!r:.60}")
    return 1 if provider.local else workers


def run_in_threads(groups: Sequence[Iterator[Item]], workers: int, limit: int | None = None) -> list[Item]:
    """What the groups give, group by group, up to `limit` in all. Each is drawn from by one thread.

    If one of them raises, or this thread is told to stop, each thread ends what it has begun and begins nothing more.
    """
    budget, begun = _Budget(limit), threading.Event()

    def drawn(group: Iterator[Item]) -> list[Item]:
        while not begun.wait(timeout=1):  # a Ctrl-C in the middle of `set` may forget who waits
            pass
        try:
            return list(budget.draw(group))
        except BaseException:
            budget.stop()
            raise

    if workers == 1 or len(groups) < 2:
        begun.set()
        return [each for group in groups for each in drawn(group)]
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait  # opening books goes without it

    with ThreadPoolExecutor(min(workers, len(groups)), "tallystick") as pool:
        try:
            futures = [pool.submit(drawn, group) for group in groups]
            begun.set()  # not before all are known to the pool: it waits at the end for those that it knows
            failed: list[Future[list[Item]]] = []
            pending = set(futures)
            while pending and not failed:  # looked at each second: who waits for a lock may miss a Ctrl-C
                done, pending = wait(pending, timeout=1, return_when=FIRST_EXCEPTION)
                failed = [each for each in done if each.exception() is not None]
            return [each for future in failed or futures for each in future.result()]
        finally:
            budget.stop()
            begun.set()
            pool.shutdown(wait=False, cancel_futures=True)


class _Budget:
    """How many may still be drawn, in all threads together. None: as many as there are."""

    def __init__(self, limit: int | None) -> None:
        self._left = math.inf if limit is None else limit
        self._stopped, self._lock = False, threading.Lock()

    def stop(self) -> None:
        self._stopped = True

    def draw(self, group: Iterator[Item]) -> Iterator[Item]:
        """What a group gives, as long as there is budget for it."""
        while not self._stopped and self._take():
            try:
                item = next(group)
            except StopIteration:
                with self._lock:
                    self._left += 1
                return
            yield item

    def _take(self) -> bool:
        with self._lock:
            taken = self._left > 0
            self._left -= taken
            return taken
