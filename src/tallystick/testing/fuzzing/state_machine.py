"""The steps of a walk as rules of Hypothesis: for tests of anybody's, who may add rules of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tallystick.definition.machine import Machines
from tallystick.store.memory import MemoryStore
from tallystick.store.protocol import Store
from tallystick.testing.fuzzing.coverage import Coverage, Goal, goals
from tallystick.testing.fuzzing.dice import Dice
from tallystick.testing.fuzzing.guide import Guide
from tallystick.testing.fuzzing.invariants import UserInvariant
from tallystick.testing.fuzzing.walk import Walk

THROWS = st.integers(0, 2**32 - 1)


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

    def _step(self, dice: int, step: Callable[[Dice], None]) -> None:
        self.whole = False
        step(Dice(f"{dice}/{len(self.walk.world.lines)}"))
        self.whole = True

    @rule(dice=THROWS)
    def advance(self, dice: int) -> None:
        self._step(dice, self.walk.towards)

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
