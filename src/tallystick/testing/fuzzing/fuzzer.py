"""Fuzzing a machine: stories from a seed, and the graph says where they have not been yet.

A story is steps of a `Walk`, and `StepChecks` look at the world after each of them. `fuzz` tells stories in rounds. The
goals of a round are what the rounds before have reached least, so that rare states are reached. What is found is made
short and can be run by `tallystick run FILE --provider scripted`.

The seed alone decides all of it. Hypothesis is not asked: it mixes constants of whatever modules are imported into what
it draws, so one seed would tell other stories in a test run than on the command line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tallystick.definition.machine import Machines
from tallystick.store.memory import MemoryStore
from tallystick.store.protocol import Store
from tallystick.testing.fuzzing.coverage import DONE, Coverage, Goal, goals
from tallystick.testing.fuzzing.dice import Dice, pick
from tallystick.testing.fuzzing.guide import Guide
from tallystick.testing.fuzzing.invariants import UserInvariant
from tallystick.testing.fuzzing.report import FuzzReport
from tallystick.testing.fuzzing.shrink import replay, shrunk
from tallystick.testing.fuzzing.walk import Walk
from tallystick.testing.fuzzing.world import FuzzFailure, Line

EXAMPLES = 100
STEPS = 30  # of a story
ROUND = 15  # stories between two looks at what was not reached yet
AIMS = 16  # goals of a round
KINDS: Sequence[Callable[[Walk, Dice], None]] = (Walk.towards, Walk.stray, Walk.again, Walk.recover, Walk.due)
MOODS = 8  # a story may do without some kinds of step: the higher its mood, the more of them


def fuzz(
    machines: Machines, *names: str, examples: int = EXAMPLES, seed: int = 0,
    invariants: Sequence[UserInvariant] = (), make_store: Callable[[], Store] = MemoryStore,
    progress: Callable[[Coverage], None] | None = None,
) -> FuzzReport:  # fmt: skip
    """Fuzz these machines together: so many stories, the same for the same seed. Stops at the first failure."""
    coverage, guide = Coverage(), Guide(machines)
    everything = goals(machines, names)
    aims: Sequence[Goal] = ()
    for story in range(examples):
        if story % ROUND == 0:
            aims = _rarest(everything, coverage)
            if story and progress is not None:
                progress(coverage)
        walk = Walk(machines, names, aims, guide=guide, invariants=invariants, make_store=make_store)
        found = _told(walk, Dice(f"{seed}/{story}"), coverage)
        if found is not None:
            short = shrunk(found, lambda lines: replay(machines, lines, invariants=invariants, make_store=make_store))
            return FuzzReport(names, coverage, short)
    if progress is not None:
        progress(coverage)
    return FuzzReport(names, coverage)


def _told(walk: Walk, dice: Dice, coverage: Coverage) -> FuzzFailure | None:
    mood = dice.below(MOODS)
    kinds = [kind for kind in KINDS if dice.below(MOODS) >= mood] or KINDS
    try:
        for _ in range(STEPS):
            pick(dice, kinds)(walk, dice)
        walk.end()
    except FuzzFailure as found:
        return found
    finally:
        coverage.add(walk.coverage)
        walk.world.store.close()
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
