"""The whole system, simulated: engine, store, clocks, network and the provider's books, everything from one seed.

A run has two phases. *Safety*: operations of an order system while things go wrong. Answers are lost, processes die at
any step, others come in between, clocks jump, other channels spend. *Liveness*: nothing goes wrong any more. Everything
in doubt has to be resolved, by the provider's record or, where that does not tell, by a person who asks the provider;
every hold has to end; and what other channels did is taken over. The referee judges on the way and at the end.

The same seed gives the same journal, to the last hash.
"""

from __future__ import annotations

import gc
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context, parent_process
from operator import itemgetter
from threading import Thread

from tallystick.definition import reader
from tallystick.definition.machine import Machines
from tallystick.testing.referee import Rows, judge
from tallystick.testing.simulation.live_referee import LiveReferee
from tallystick.testing.simulation.liveness import Liveness
from tallystick.testing.simulation.local_double import LocalDouble
from tallystick.testing.simulation.memory_double import MemoryDouble
from tallystick.testing.simulation.order_system import OrderSystem, WrongAnswer
from tallystick.testing.simulation.provider_double import ProviderDouble, Wrap
from tallystick.testing.simulation.report import Failure, SimulationReport
from tallystick.testing.simulation.world import SimulatedWorld
from tallystick.testing.store_rows import rows_of

LOOK_EVERY = 20  # operations, after which the referee looks at what is new
CLUTCH_EVERY = 20  # of so many seeds, one has all of Clutch
LOCAL_EVERY = 4  # of so many, one has the local provider
CLUTCH_SHARE = 4  # and does this much less, as it costs more

Progress = Callable[[SimulationReport], object]


def world_of(seed: int) -> str:
    """Which provider a seed has, unless that is said."""
    return "clutch" if seed % CLUTCH_EVERY == 0 else "local" if seed % LOCAL_EVERY == 1 else "books"


def _double(kind: str, seed: int, wrap: Wrap | None) -> ProviderDouble:
    if kind == "clutch":
        from tallystick.testing.simulation.clutch_double import ClutchDouble  # needs packages of its own

        return ClutchDouble(seed, wrap)
    return LocalDouble(seed, wrap) if kind == "local" else MemoryDouble(seed, wrap)


class Simulation:
    """One seed. `wrap` puts a provider of a test's own in front."""

    def __init__(self, seed: int, operations: int, *, world: str = "", wrap: Wrap | None = None,
                 machines: Machines | None = None) -> None:  # fmt: skip
        self.seed, self.operations = seed, operations
        self.machines = machines or _packaged()
        kind = world or world_of(seed)
        self.double = _double(kind, seed, wrap)
        self.world = SimulatedWorld(
            seed, self.machines, self.double.provider, self.double.fault_kinds, self.double.clock_tolerance
        )
        self.orders = OrderSystem(seed, self.machines, self.world, self.double)
        self.referee = LiveReferee(self.machines, self.world.store)
        self.report = SimulationReport()
        self.wrong: list[str] = []

    def run(self) -> SimulationReport:
        """Both phases, judged."""
        try:
            self._safety()
            if not self.wrong:
                self._liveness()
            self._judge()
        except WrongAnswer as error:
            self.wrong.append(str(error))
        except Exception as error:  # noqa: BLE001  # whatever the system raises is a finding about it
            self.wrong.append(f"{type(error).__name__}: {error}")
        finally:
            self.double.close()
        return self._counted()

    def _safety(self) -> None:
        look = LOOK_EVERY
        while self.orders.operations < self.operations and not self.wrong:
            self.orders.operate()
            if self.orders.operations >= look:
                look += LOOK_EVERY
                self.wrong += self.referee.look()

    def _liveness(self) -> None:
        world, liveness = self.world, Liveness(self.orders)
        self.report.seconds = world.seconds  # what follows is mostly waiting
        world.rates.clear()
        self.orders.late = 0.0
        self.wrong += liveness.resolve_everything()
        again, self.orders.pending = self.orders.pending[::2], []  # the others are never given again
        for command in again:
            self.orders.give(command)
        self.wrong += liveness.resolve_everything()
        self.wrong += liveness.end_holds()
        liveness.retry_what_was_parked()
        self.wrong += liveness.resolve_everything()
        self.wrong += liveness.end_tenders()
        self.wrong += liveness.adopt_other_channels()
        self.wrong += self.referee.look()

    def _judge(self) -> None:
        rows, provided, told = rows_of(self.world.store), self.double.books(), self.orders.acknowledged
        self.wrong += judge(rows, provided, told, settled=not self.wrong, steady=self.world.steady)
        tables = (rows.entities, rows.entries, rows.calls, rows.queue, provided.lines if provided else (), told)
        self.report.judged += sum(len(each) for each in tables)
        self._covered(rows)

    # Counting

    def _counted(self) -> SimulationReport:
        report, world = self.report, self.world
        report.seeds[self.double.kind] += 1
        report.operations += self.orders.counts
        report.answers += self.orders.answers
        report.faults += world.faults
        report.events += world.events
        report.checked += self.referee.checked
        if self.wrong:
            story = tuple(" ".join(map(str, line)) for line in world.recent)
            report.failures.append(Failure(self.seed, self.operations, self.double.kind, tuple(self.wrong), story))
        return report

    def _covered(self, rows: Rows) -> None:
        report, digest = self.report, hashlib.sha256()
        for entry in sorted(rows.entries, key=itemgetter("seq")):
            digest.update(entry["hash"].encode())
            report.states[entry["machine"], entry["to_state"]] += 1
            report.phases[entry["phase"]] += 1
            if entry["phase"] in ("done", "confirmed") and entry["transition"] != "create":
                report.fired[entry["machine"], entry["transition"]] += 1
        report.entries, report.hashes = len(rows.entries), [digest.hexdigest()]


def simulate(seed: int, operations: int, *, world: str = "", wrap: Wrap | None = None,
             machines: Machines | None = None) -> SimulationReport:  # fmt: skip
    """Run one seed. If it is wrong, run it again for shorter, to show how little it takes."""
    report = Simulation(seed, operations, world=world, wrap=wrap, machines=machines).run()
    shorter = operations
    while report.failures and shorter > 10:
        shorter = shorter // 2
        less = Simulation(seed, shorter, world=world, wrap=wrap, machines=machines).run()
        if not less.failures:
            break
        report.failures = less.failures
    return report


@lru_cache
def _packaged() -> Machines:
    return reader.load(reader.packaged_folder())


def _some(task: tuple[list[int], int, str]) -> SimulationReport:
    """Some seeds, in a process of their own."""
    seeds, operations, world = task
    total = SimulationReport()
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
    """How many operations a seed does: those with Clutch do fewer, so the others do more."""
    if world:
        return operations
    if world_of(seed) == "clutch":
        return max(1, operations // CLUTCH_SHARE)
    return -(-operations * (CLUTCH_EVERY * CLUTCH_SHARE - 1) // (CLUTCH_SHARE * (CLUTCH_EVERY - 1)))


def simulate_many(
    first: int, seeds: int, operations: int, *, jobs: int = 1, world: str = "", progress: Progress | None = None
) -> SimulationReport:
    """Run many seeds, with so many operations each on average, and sum up."""
    size = max(1, min(10, seeds // (4 * jobs)))
    numbers = list(range(first, first + seeds))
    tasks = [(numbers[at : at + size], operations, world) for at in range(0, seeds, size)]
    total = SimulationReport()
    for report in _spread(tasks, jobs):
        total.add(report)
        if progress is not None:
            progress(total)
    return total


def _spread(tasks: Iterable[tuple[list[int], int, str]], jobs: int) -> Iterator[SimulationReport]:
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
