"""Who may work beside whom: what is about one card is a group, and one thread does it from its first thing to its last.

Most of the time goes by while a remote provider answers, so other cards go on meanwhile. A group is known by its homes:
the entities at the end of all links, such as a card and the tender of an order, and the card numbers that stand on
them. Two things that have an entity in common have a home in common.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from tallystick.core.entity import Entity, Ref
from tallystick.definition.machine import Machines
from tallystick.errors import Invalid
from tallystick.provider.protocol import Provider
from tallystick.store.protocol import Reading

Thing = TypeVar("Thing")
Home = tuple[str, ...]  # machine and id of an entity; or machine, "#" and the value of its unique fact
MOST = 256  # threads; no provider answers so many at once


def threads(workers: object, provider: Provider) -> int:
    """How many threads work: one alone, if the answers are our own books'. Raises Invalid."""
    if not isinstance(workers, int) or isinstance(workers, bool) or not 1 <= workers <= MOST:
        raise Invalid(f"workers is a whole number from 1 to {MOST}, not {workers!r:.60}")
    return 1 if provider.local else workers


def grouped(
    reading: Reading, machines: Machines, things: Iterable[tuple[Thing, Iterable[Ref]]], workers: int
) -> list[list[Thing]]:
    """Things by what they are about, each with the entities that it names. In a group they keep their order.

    Two are in one group if they share an entity, something that both link to, or a card number. For one worker they
    are one group.
    """
    if workers == 1:
        return [[thing for thing, _ in things]]
    about = [(thing, list(refs)) for thing, refs in things]
    found = homes(reading.look({ref for _, refs in about for ref in refs}).entities, machines)
    return [
        group for group, _ in by_homes((thing, [home for ref in refs for home in found[ref]]) for thing, refs in about)
    ]


def homes(entities: Mapping[Ref, Entity], machines: Machines) -> dict[Ref, list[Home]]:
    """The homes of each of these entities, which are there with all that they link to."""
    found: dict[Ref, list[Home]] = {}

    def of(ref: Ref) -> list[Home]:
        if ref not in found:
            entity = entities[ref]
            links = machines.at(entity.machine, entity.machine_version).links.items()
            linked = [(to, str(entity.facts[fact])) for fact, to in links if entity.facts.get(fact) is not None]
            there = dict.fromkeys(home for each in linked for home in of(each)) or {ref: None}
            unique = entity.facts.get(machines[entity.machine].unique or "")
            found[ref] = [*there, *([] if unique is None else [(entity.machine, "#", str(unique))])]
        return found[ref]

    for ref in entities:
        of(ref)
    return found


def by_homes(things: Iterable[tuple[Thing, Sequence[Home]]]) -> list[tuple[list[Thing], list[Home]]]:
    """Groups of things that have homes in common, each with all of its homes."""
    parents: dict[Home, Home] = {}
    marked: list[tuple[Thing, Home]] = []
    for thing, marks in things:
        for mark in marks:
            parents.setdefault(mark, mark)
            parents[_root(parents, mark)] = _root(parents, marks[0])
        marked.append((thing, marks[0]))
    groups: dict[Home, tuple[list[Thing], list[Home]]] = {}
    for thing, mark in marked:
        groups.setdefault(_root(parents, mark), ([], []))[0].append(thing)
    for mark in parents:
        groups[_root(parents, mark)][1].append(mark)
    return list(groups.values())


def _root(parents: dict[Home, Home], mark: Home) -> Home:
    """The home that stands for the whole group of a home."""
    while parents[mark] != mark:
        parents[mark] = mark = parents[parents[mark]]
    return mark


def side_by_side(groups: Sequence[Iterator[Thing]], workers: int, limit: int | None = None) -> list[Thing]:
    """What the groups give, group by group, up to `limit` in all. Each is drawn from by one thread.

    If one of them raises, or this thread is told to stop, each thread ends what it has begun and begins nothing more.
    """
    budget, begun = _Budget(limit), threading.Event()

    def drawn(group: Iterator[Thing]) -> list[Thing]:
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
    with ThreadPoolExecutor(min(workers, len(groups)), "tallystick") as pool:
        try:
            futures = [pool.submit(drawn, group) for group in groups]
            begun.set()  # not before all are known to the pool: it waits at the end for those that it knows
            failed, pending = list[Future[list[Thing]]](), set(futures)
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

    def draw(self, group: Iterator[Thing]) -> Iterator[Thing]:
        """What a group gives, as long as there is budget for it."""
        while not self._stopped and self._take():
            try:
                thing = next(group)
            except StopIteration:
                with self._lock:
                    self._left += 1
                return
            yield thing

    def _take(self) -> bool:
        with self._lock:
            taken = self._left > 0
            self._left -= taken
            return taken
