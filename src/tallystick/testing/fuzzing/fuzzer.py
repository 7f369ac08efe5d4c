"""Fuzzing a machine: Hypothesis writes stories, and the graph says where they have not been yet.

`state_machine` makes a `RuleBasedStateMachine` for any page. Its rules are the steps of a `Walk`, and `StepChecks` look
at the world after each of them. `fuzz` runs it in rounds. The goals of a round are what the rounds before have reached
least, so that rare states are reached. Within a round everything is Hypothesis's choice, so that any story can be
repeated. What is found is made short and can be run by `tallystick run FILE --provider scripted`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tallystick.definition.machine import Machines
from tallystick.store.memory import MemoryStore
from tallystick.store.protocol import Store
from tallystick.testing.fuzzing.coverage import DONE, Coverage, Goal, goals
from tallystick.testing.fuzzing.dice import Dice
from tallystick.testing.fuzzing.guide import Guide
from tallystick.testing.fuzzing.invariants import UserInvariant
from tallystick.testing.fuzzing.report import FuzzReport
from tallystick.testing.fuzzing.shrink import replay, shrunk
from tallystick.testing.fuzzing.walk import Walk
from tallystick.testing.fuzzing.world import FuzzFailure, Line

EXAMPLES = 100
STEPS = 30  # rules in a story
ROUND = 15  # stories between two looks at what was not reached yet
AIMS = 16  # goals of a round
TOWARDS = 5  # steps towards a goal at once: most of a story
THROWS = st.integers(0, 2**32 - 1)
QUIET = settings(
    deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    verbosity=Verbosity.quiet, print_blob=False, report_multiple_bugs=False,
)  # fmt: skip


def state_machine(
    machines: Machines, names: Sequence[str], wanted: Sequence[Goal] = (), *,
    invariants: Sequence[UserInvariant] = (), make_store: Callable[[], Store] = MemoryStore,
    coverage: Coverage | None = None, guide: Guide | None = None,
) -> type[RuleBasedStateMachine]:  # fmt: skip
    """A `RuleBasedStateMachine` of these machines: `.TestCase` is a test, and a subclass may add rules."""
    aims = tuple(wanted or goals(machines, names))
    guided = guide or Guide(machines)

    def walk() -> Walk:
        return Walk(machines, names, aims, guide=guided, invariants=invariants, make_store=make_store)

    return type("Fuzzed", (_Fuzzed,), {"make_walk": staticmethod(walk), "coverage": coverage})


class _Fuzzed(RuleBasedStateMachine):
    """The rules. A subclass says whose walk it is."""

    make_walk: Callable[[], Walk]
    coverage: Coverage | None = None

    def __init__(self) -> None:
        super().__init__()
        self.walk = self.make_walk()
        self.whole = True  # no step was broken off

    def _step(self, dice: int, step: Callable[[Dice], None], times: int = 1) -> None:
        self.whole = False
        drawn = Dice(dice * 1000 + len(self.walk.world.lines))
        for _ in range(times):
            step(drawn)
        self.whole = True

    @rule(dice=THROWS)
    def advance(self, dice: int) -> None:
        self._step(dice, self.walk.advance, TOWARDS)

    @rule(dice=THROWS)
    def stray(self, dice: int) -> None:
        self._step(dice, self.walk.stray)

    @rule(dice=THROWS)
    def say_again(self, dice: int) -> None:
        self._step(dice, self.walk.again)

    @rule(dice=THROWS)
    def recover(self, dice: int) -> None:
        self._step(dice, self.walk.recover)

    @rule(dice=THROWS)
    def run_due(self, dice: int) -> None:
        self._step(dice, self.walk.due)

    def teardown(self) -> None:
        if self.whole:
            self.walk.end()
        if self.coverage is not None:
            self.coverage.add(self.walk.coverage)
        self.walk.world.store.close()


def fuzz(
    machines: Machines, *names: str, examples: int = EXAMPLES, seed: int = 0,
    invariants: Sequence[UserInvariant] = (), make_store: Callable[[], Store] = MemoryStore,
    progress: Callable[[Coverage], None] | None = None,
) -> FuzzReport:  # fmt: skip
    """Fuzz these machines together: so many stories, the same for the same seed. Stops at the first failure."""
    coverage, guide, left, turn = Coverage(), Guide(machines), examples, 0
    everything = goals(machines, names)
    while left > 0:
        count = min(left, ROUND)
        aims = _rarest(everything, coverage)
        made = state_machine(machines, names, aims, invariants=invariants, make_store=make_store,
                             coverage=coverage, guide=guide)  # fmt: skip
        found = _round(made, count, seed * 1000 + turn)
        if found is not None:
            short = shrunk(found, lambda lines: replay(machines, lines, invariants=invariants, make_store=make_store))
            return FuzzReport(names, coverage, short)
        left, turn = left - count, turn + 1
        if progress is not None:
            progress(coverage)
    return FuzzReport(names, coverage)


def _round(made: type[RuleBasedStateMachine], examples: int, number: int) -> FuzzFailure | None:
    try:
        run_state_machine_as_test(
            seed(number)(made), settings=settings(QUIET, max_examples=examples, stateful_step_count=STEPS)
        )
    except FuzzFailure as found:
        return found
    return None


def _rarest(everything: Sequence[Goal], coverage: Coverage) -> list[Goal]:
    """Transitions never taken come first; when all were, replies never given; then what is rarest."""
    taken = {Goal(*each, DONE) for each in coverage.transitions}

    def rank(goal: Goal) -> tuple[bool, int]:
        plain = goal.reply in (DONE, "confirmed")
        return not (plain and goal._replace(reply=DONE) not in taken), coverage.count(goal)

    return sorted(everything, key=rank)[:AIMS]


def write(lines: Sequence[Line], path: Path) -> None:
    """A story as JSON Lines, for `tallystick run --provider scripted`."""
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
