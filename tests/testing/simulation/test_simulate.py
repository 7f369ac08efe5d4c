"""The simulation: everything from the seed, everything in doubt ends, and a system that is wrong is found out.

A run that is clean says little if nothing could have made it unclean. So wrong providers and wrong engines are put into
it, each wrong in one place only, and the referee has to see it within a few seeds.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

from tallystick.cli.main import main
from tallystick.core import resolve
from tallystick.core.entity import Entity, Plan, Posting
from tallystick.definition import reader
from tallystick.engine import steps
from tallystick.engine.calls import end_call
from tallystick.engine.unit_of_work import UnitOfWork
from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Provider, Result
from tallystick.store.memory import MemoryStore
from tallystick.testing.simulation.report import SimulationReport
from tallystick.testing.simulation.simulate import Simulation, simulate, simulate_many, world_of

MACHINES = reader.load(reader.packaged_folder())
SEEDS = range(1, 20)
OPERATIONS = 150


@cache
def run(seed: int, operations: int = OPERATIONS, world: str = "books") -> SimulationReport:
    return simulate(seed, operations, world=world, machines=MACHINES)


# --- What is right


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_ends_well(seed: int) -> None:
    assert run(seed).failures == []


def test_a_seed_ends_well_through_all_of_clutch() -> None:
    assert run(40, 60, "clutch").failures == []
    assert run(40, 60, "clutch").faults


@pytest.mark.parametrize("seed", [1, 5, 9])
def test_a_seed_ends_well_where_nobody_is_asked(seed: int) -> None:
    figures = run(seed, OPERATIONS, "local")
    assert figures.failures == []
    assert set(figures.phases) == {"done"}
    assert figures.seeds == {"local": 1}


LATE = [("memory", 2), *(pytest.param(world, seed, marks=pytest.mark.slow)
                         for world in ("memory", "local", "clutch") for seed in (3, 4, 8, 11))]  # fmt: skip


@pytest.mark.parametrize(("world", "seed"), LATE)
def test_a_seed_ends_well_in_which_much_is_told_late(world: str, seed: int) -> None:
    """In any order, through crashes, lost answers and set clocks; and no account was below zero on any day."""
    simulation = Simulation(seed, OPERATIONS, world=world)
    simulation.orders.late = 0.4
    assert simulation.run().failures == []
    with simulation.world.store.reading() as reading:
        rows = list(reading.journal())
    dated = [row for row in rows if row.occurred_at is not None]
    assert len(dated) > 10
    assert {row.phase for row in dated} >= ({"done"} if world == "local" else {"asked", "confirmed"})
    assert any(row.happened < row.at for row in dated)
    if simulation.world.steady:
        standing: Counter[tuple[str, str, str]] = Counter()
        for row in sorted(rows, key=lambda each: (each.happened, each.revision)):
            for source, target, amount in json.loads(row.postings):
                standing[row.machine, row.entity, source] -= amount
                standing[row.machine, row.entity, target] += amount
            inside = json.loads(row.after)
            assert min((standing[row.machine, row.entity, name] for name in inside), default=0) >= 0


def test_worlds_take_turns() -> None:
    assert [world_of(seed) for seed in (1, 2, 3, 4, 5, 20)] == ["local", "books", "books", "books", "local", "clutch"]


def test_it_is_not_the_peace_of_nothing() -> None:
    total = SimulationReport()
    for seed in SEEDS:
        total.add(run(seed))
    assert set(total.answers) == {
        "applied", "declined", "deferred", "in_doubt", "invalid", "refused", "unavailable",
    }  # fmt: skip
    assert set(total.operations) == {"commands", "queued commands", "recoveries", "decisions", "other channels"}
    assert {"crashes", "meetings", "decided by a person", "clock set back", "clock set forward"} <= set(total.events)
    assert len(total.faults) >= 14
    assert set(total.phases) == {"done", "asked", "confirmed", "declined", "unavailable"}
    assert len(total.fired) >= 55
    assert total.checked["invariants"] > 1000


# --- The same again


def test_the_same_seed_gives_the_same_journal() -> None:
    again = simulate(3, OPERATIONS, world="books", machines=MACHINES)
    assert again.hash == run(3).hash
    assert attrs.asdict(again) == attrs.asdict(run(3))


def test_another_seed_gives_another() -> None:
    assert len({run(seed).hash for seed in SEEDS}) == len(SEEDS)


@pytest.mark.slow
def test_another_process_with_other_hashes_gives_the_same(tmp_path: Any) -> None:
    arguments = ["simulate", "--seed", "19", "--seeds", "2", "--ops", "40", "--json"]
    told = []
    for hashes, jobs in (("1", "1"), ("2", "2")):
        done = subprocess.run(
            [sys.executable, "-m", "tallystick", *arguments, "--jobs", jobs], capture_output=True, text=True,
            env={**os.environ, "PYTHONHASHSEED": hashes}, cwd=tmp_path, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told.append(json.loads(done.stdout))
    assert told[0] == told[1]
    assert told[0]["worlds"] == {"books": 1, "clutch": 1}


def test_seeds_sum_up_in_their_order() -> None:
    total = simulate_many(5, 3, 30, world="books")
    one_by_one = SimulationReport()
    for seed in (5, 6, 7):
        one_by_one.add(run(seed, 30))
    assert total == one_by_one


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Any) -> None:
    """They hold its stdout: reading that to its end waits for the last of them."""
    script = tmp_path / "killed.py"
    script.write_text(KILLED, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL
    assert "at work" in done.stdout


KILLED = """
import os, signal, time
from tallystick.testing.simulation.simulate import workers

if __name__ == "__main__":
    pool = workers(2)
    asleep = [pool.submit(time.sleep, 3600) for _ in range(2)]
    while not all(each.running() for each in asleep):
        time.sleep(0.01)
    print("at work", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


# --- What is wrong


@attrs.define
class Wrapped:
    """A provider that is right. Those below are wrong in one place."""

    inner: Provider
    name: str = "wrapped"
    local: bool = False

    def perform(self, call: Call) -> Outcome:
        return self.inner.perform(call)

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        return self.inner.look_up(call)


class SendsBlindlyAgain(Wrapped):
    def perform(self, call: Call) -> Outcome:
        outcome = self.inner.perform(call)
        return outcome if outcome.result is not Result.UNKNOWN else self.inner.perform(call)


class NeverLooks(Wrapped):
    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        return NotSeen("nobody looked")


class BelievesAnything(Wrapped):
    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        found = self.inner.look_up(call)
        return Outcome(Result.CONFIRMED, reference="believed") if isinstance(found, NotSeen) else found


class GivesUp(Wrapped):
    """What is not known counts as not done."""

    def perform(self, call: Call) -> Outcome:
        outcome = self.inner.perform(call)
        return outcome if outcome.result is not Result.UNKNOWN else Outcome(Result.UNAVAILABLE)


class ForgetsItsHolds(Wrapped):
    """A hold is confirmed under another name than it has."""

    def perform(self, call: Call) -> Outcome:
        outcome = self.inner.perform(call)
        return attrs.evolve(outcome, reference="a hold") if call.verb == "hold" and outcome.reference else outcome


def caught(wrapped: Callable[[Provider], Provider] | None = None, seeds: int = 6) -> bool:
    return any(simulate(seed, 100, world="books", wrap=wrapped, machines=MACHINES).failures for seed in range(1, seeds))


def test_a_provider_that_is_right_is_not_caught() -> None:
    assert not caught(Wrapped)


@pytest.mark.parametrize("wrong", [SendsBlindlyAgain, NeverLooks, BelievesAnything, GivesUp, ForgetsItsHolds])
def test_a_provider_that_is_wrong_is_caught(wrong: type[Wrapped]) -> None:
    assert caught(wrong)


def a_posting_is_lost(patch: pytest.MonkeyPatch) -> None:
    """What a card has held is confirmed, but does not arrive: it stays in doubt for ever."""
    real = resolve._advance

    def advance(machines: Any, plan: Plan, entity: Entity, row: Any, command: str, args: Any, phase: str,
                accounts: Any, postings: tuple[Posting, ...], *more: Any) -> None:  # fmt: skip
        if phase == "confirmed" and row.name == "hold":
            accounts, postings = entity.accounts, ()
        real(machines, plan, entity, row, command, args, phase, accounts, postings, *more)

    patch.setattr(resolve, "_advance", advance)


def a_hold_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A payment keeps the amount of its hold, but not its name."""
    real = resolve._advance

    def advance(machines: Any, plan: Plan, entity: Entity, row: Any, *more: Any) -> None:
        real(machines, plan, entity, row, *more)
        if row.name == "authorize":
            plan.entities[-1].facts = {**plan.entities[-1].facts, "hold_id": None}
            plan.entries[-1].facts = {**plan.entries[-1].facts, "hold_id": None}

    patch.setattr(resolve, "_advance", advance)


def a_follow_up_is_lost(patch: pytest.MonkeyPatch) -> None:
    real = steps.write_down

    def write_down(work: UnitOfWork, plan: Plan, *more: Any, **named: Any) -> Any:
        plan.then = []
        return real(work, plan, *more, **named)

    for each in (steps, end_call):
        patch.setattr(each, "write_down", write_down)


def a_commit_is_lost(patch: pytest.MonkeyPatch) -> None:
    """Every twentieth transaction is answered and then undone."""
    real, count = MemoryStore.run, iter(range(10**9))

    def run(store: MemoryStore, job: Callable[[MemoryStore], Any]) -> Any:
        def undone(inner: MemoryStore) -> Any:
            done = job(inner)
            if next(count) % 20 == 19:
                for undo in reversed(inner._undo):
                    undo()
            return done

        return real(store, undone)

    patch.setattr(MemoryStore, "run", run)


def a_key_is_not_asked_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryStore, "keyed", lambda store, keys: {})


def a_card_is_not_driven(patch: pytest.MonkeyPatch) -> None:
    """A payment settles and its card does not."""
    real = steps.decide

    def decide(*args: Any) -> Any:
        intent = real(*args)
        if getattr(intent, "asked", None) and len(intent.steps) > 1 and intent.steps[1].command == "redeem_hold":
            intent.steps = intent.steps[:1]
        return intent

    patch.setattr(steps, "decide", decide)


def half_of_it_moves(patch: pytest.MonkeyPatch) -> None:
    """An amount is computed wrong, and everything that follows from it fits."""
    real = steps.decide

    def decide(machines: Any, request: Any, world: Any) -> Any:
        intent = real(machines, request, world)
        for step in getattr(intent, "steps", ()):
            if step.row.name in ("cover_elsewhere", "recognize"):
                step.amounts = tuple((amount + 1) // 2 for amount in step.amounts)
                step.after = step.row.post(step.entity.accounts, step.amounts)
        return intent

    patch.setattr(steps, "decide", decide)


WRONG = [
    half_of_it_moves, a_posting_is_lost, a_hold_is_forgotten, a_follow_up_is_lost, a_commit_is_lost, a_key_is_not_asked_for,
    a_card_is_not_driven,
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_an_engine_that_is_wrong_is_caught(wrong: Callable[[pytest.MonkeyPatch], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        wrong(patch)
        assert caught()


# --- The command


def test_the_command_tells_what_it_did() -> None:
    done = CliRunner().invoke(main, ["simulate", "--seed", "3", "--ops", "60", "--jobs", "1", "--world", "books"])
    assert done.exit_code == 0, done.output
    assert "1 seeds: 1 books" in done.stdout
    assert "nothing is wrong" in done.stdout
    assert "1 of 1 seeds" in done.stderr


def test_the_command_says_how_to_see_a_wrong_seed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    a_follow_up_is_lost(monkeypatch)
    arguments = ["simulate", "--seed", "2", "--seeds", "3", "--ops", "100", "--jobs", "1", "--world", "books"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    (again,) = {line.partition(": ")[2] for line in done.stdout.splitlines() if line.startswith("seed 2 is wrong")}
    repeated = CliRunner().invoke(main, [*again.split()[1:], "--jobs", "1"])
    assert repeated.exit_code == 1
    assert "WRONG" in repeated.stdout
    assert "times, queued it is 0" in repeated.stdout
