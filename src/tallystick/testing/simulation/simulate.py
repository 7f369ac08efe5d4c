"""The whole system, simulated: engine, store, clocks, network and the provider's books, everything from one seed.

A run has two phases. *Safety*: operations (`traffic`) in bad weather (`simulated`): answers are lost, processes die at
any step, others come in between, clocks jump, other channels spend. *Liveness*: the weather clears, and everything in
doubt has to end, by the provider's record or, where that does not say, by a person who looks into it; every hold has to
be ended, and what other channels did is taken over. On the way and at the end the referee judges, who shares no code
with what it judges.

The same seed gives the same journal, to the last hash.
"""

from __future__ import annotations

import gc
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context, parent_process
from operator import itemgetter
from threading import Thread

from tallystick.definition import reader
from tallystick.definition.machine import Machines
from tallystick.testing.referee import Rows, judge
from tallystick.testing.simulation.live_referee import Watch
from tallystick.testing.simulation.liveness import Ending
from tallystick.testing.simulation.operations import Traffic, Wrong
from tallystick.testing.simulation.provider_double import ClutchHalf, Half, LightHalf, LocalHalf, Wrapped
from tallystick.testing.simulation.report import Failure, Figures
from tallystick.testing.simulation.world import World
from tallystick.testing.store_rows import rows_of

LOOK_EVERY = 20  # operations, after which what is new is watched
CLUTCH_EVERY = 20  # of so many seeds, one runs through all of Clutch
LOCAL_EVERY = 4  # of so many, one runs where nobody is asked
CLUTCH_SHARE = 4  # and does this much less, as it costs more

HALVES: Mapping[str, Callable[[int, Wrapped | None], Half]] = {
    "books": LightHalf, "clutch": ClutchHalf, "local": LocalHalf,
}  # fmt: skip

Progress = Callable[[Figures], object]


def world_of(seed: int) -> str:
    """Which half a seed runs against, unless that is said."""
    return "clutch" if seed % CLUTCH_EVERY == 0 else "local" if seed % LOCAL_EVERY == 1 else "books"


class Simulation:
    """One seed."""

    def __init__(self, seed: int, operations: int, *, world: str = "", wrapped: Wrapped | None = None,
                 machines: Machines | None = None) -> None:  # fmt: skip
        self.seed, self.operations = seed, operations
        self.machines = machines or _packaged()
        kind = world or world_of(seed)
        self.half: Half = HALVES[kind](seed, wrapped)
        self.world = World(seed, self.machines, self.half, self.half.kinds)
        self.traffic = Traffic(seed, self.machines, self.world, self.half)
        self.watch = Watch(self.machines, self.world.store)
        self.figures = Figures()
        self.wrong: list[str] = []

    def run(self) -> Figures:
        """Both phases, judged."""
        try:
            self._safety()
            if not self.wrong:
                self._liveness()
            self._judge()
        except Wrong as error:
            self.wrong.append(str(error))
        except Exception as error:  # noqa: BLE001  # whatever the system raises is a finding about it
            self.wrong.append(f"{type(error).__name__}: {error}")
        finally:
            self.half.close()
        return self._counted()

    def _safety(self) -> None:
        look = LOOK_EVERY
        while self.traffic.operations < self.operations and not self.wrong:
            self.traffic.step()
            if self.traffic.operations >= look:
                look += LOOK_EVERY
                self.wrong += self.watch.look()

    def _liveness(self) -> None:
        world, ending = self.world, Ending(self.world, self.half)
        self.figures.seconds = world.seconds  # what follows is mostly waiting
        world.weather.clear()
        self.wrong += ending.settle()
        again, self.traffic.pending = self.traffic.pending[::2], []  # the others are never said again
        for command in again:
            self.traffic.say(command)
        self.wrong += ending.settle()
        self.wrong += ending.release(self.traffic)
        self.wrong += ending.settle()
        self.wrong += ending.agree(self.traffic)
        self.wrong += self.watch.look()

    def _judge(self) -> None:
        rows, provided, told = rows_of(self.world.store), self.half.provided(), self.traffic.told
        self.wrong += judge(rows, provided, told, settled=not self.wrong, steady=self.world.steady)
        tables = (rows.entities, rows.entries, rows.calls, rows.queue, provided.lines if provided else (), told)
        self.figures.judged += sum(len(each) for each in tables)
        self._covered(rows)

    # Counting

    def _counted(self) -> Figures:
        figures, world = self.figures, self.world
        figures.seeds[self.half.kind] += 1
        figures.operations += self.traffic.done
        figures.answers += self.traffic.ended
        figures.faults += world.faults
        figures.events += world.counts
        figures.checked += self.watch.checked
        if self.wrong:
            story = tuple(" ".join(map(str, line)) for line in world.story)
            figures.failures.append(Failure(self.seed, self.operations, self.half.kind, tuple(self.wrong), story))
        return figures

    def _covered(self, rows: Rows) -> None:
        figures, digest = self.figures, hashlib.sha256()
        for entry in sorted(rows.entries, key=itemgetter("seq")):
            digest.update(entry["hash"].encode())
            figures.states[entry["machine"], entry["to_state"]] += 1
            figures.phases[entry["phase"]] += 1
            if entry["phase"] in ("done", "confirmed") and entry["transition"] != "create":
                figures.fired[entry["machine"], entry["transition"]] += 1
        figures.entries, figures.hashes = len(rows.entries), [digest.hexdigest()]


def simulate(seed: int, operations: int, *, world: str = "", wrapped: Wrapped | None = None,
             machines: Machines | None = None) -> Figures:  # fmt: skip
    """Run one seed; a run that is wrong is run again for shorter, to show how little it takes."""
    figures = Simulation(seed, operations, world=world, wrapped=wrapped, machines=machines).run()
    shorter = operations
    while figures.failures and shorter > 10:
        shorter = shorter // 2
        less = Simulation(seed, shorter, world=world, wrapped=wrapped, machines=machines).run()
        if not less.failures:
            break
        figures.failures = less.failures
    return figures


@lru_cache
def _packaged() -> Machines:
    return reader.load(reader.packaged_folder())


def _some(task: tuple[list[int], int, str]) -> Figures:
    """Some seeds, in a process of their own."""
    seeds, operations, world = task
    total = Figures()
    machines = _packaged()
    gc.disable()  # cycles are few, and seeds are short
    try:
        for seed in seeds:
            total.add(simulate(seed, _share(seed, operations, world), world=world, machines=machines))
            gc.collect()
    finally:
        gc.enable()
    return total


def _share(seed: int, operations: int, world: str) -> int:
    """How much of `operations` a seed does: those through Clutch do less, the others the more for it."""
    if world:
        return operations
    if world_of(seed) == "clutch":
        return max(1, operations // CLUTCH_SHARE)
    return -(-operations * (CLUTCH_EVERY * CLUTCH_SHARE - 1) // (CLUTCH_SHARE * (CLUTCH_EVERY - 1)))


def simulate_many(
    first: int, seeds: int, operations: int, *, jobs: int = 1, world: str = "", progress: Progress | None = None
) -> Figures:
    """Run many seeds, `operations` each on the average, and sum up."""
    size = max(1, min(10, seeds // (4 * jobs)))
    numbers = list(range(first, first + seeds))
    tasks = [(numbers[at : at + size], operations, world) for at in range(0, seeds, size)]
    total = Figures()
    for figures in _spread(tasks, jobs):
        total.add(figures)
        if progress is not None:
            progress(total)
    return total


def _spread(tasks: Iterable[tuple[list[int], int, str]], jobs: int) -> Iterator[Figures]:
    if jobs <= 1:
        yield from map(_some, tasks)
        return
    with workers(jobs) as pool:
        yield from pool.map(_some, tasks)


def workers(jobs: int) -> ProcessPoolExecutor:
    """Processes that end with the one that started them, however that ends."""
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()
