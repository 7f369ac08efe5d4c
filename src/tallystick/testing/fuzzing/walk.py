"""A walk through a world: one step at a time towards goals, with faults on the way.

A walk is given dice. They, and what it finds, decide everything it does. So Hypothesis can shorten a walk of its own,
and a walk from a seed is the same each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from tallystick.core.entity import Ref
from tallystick.definition.machine import Machines
from tallystick.engine.rehearsal import Deed
from tallystick.moment import stamp
from tallystick.provider.protocol import Call
from tallystick.provider.scripted import Reply
from tallystick.store.memory import MemoryStore
from tallystick.store.protocol import Store
from tallystick.store.rows import is_later
from tallystick.testing.fuzzing.coverage import DONE, SHORT, WHOLE, Coverage, Goal
from tallystick.testing.fuzzing.dice import Dice, pick, rarely
from tallystick.testing.fuzzing.guide import Guide, WantedCommand
from tallystick.testing.fuzzing.invariants import UserInvariant
from tallystick.testing.fuzzing.step_checks import StepChecks
from tallystick.testing.fuzzing.world import World

TOWARDS = 5  # steps towards a goal at once: most of a story
PATIENCE = 14  # steps after which a goal is given up
LOOKED_UP = ("found", "found", "found", "ambiguous", "silent")


class Walk:
    """`focus` are the machines whose transitions are wanted; the others come as they are needed."""

    def __init__(
        self, machines: Machines, focus: Sequence[str], goals: Sequence[Goal], *, guide: Guide | None = None,
        invariants: Sequence[UserInvariant] = (), make_store: Callable[[], Store] = MemoryStore,
    ) -> None:  # fmt: skip
        self.world = World(machines, make_store)
        self.coverage = Coverage()
        self.checks = StepChecks(self.world, invariants, self.coverage)
        self.focus = list(focus)
        self.goals = list(goals)
        self.guide = guide or Guide(self.world.machines)
        self.goal: Goal | None = None
        self.dice: Dice | None = None
        self._patience = 0
        self._by: Ref | None = None  # whose transition is wanted
        self.world.provider.next_reply = self._reply

    # Steps

    def advance(self, dice: Dice) -> None:
        """One step towards the goal, or, if there is no way, any."""
        self.dice = dice
        fresh = False
        if self.goal is None or self._patience == 0 or self.coverage.count(self.goal):
            fresh, self._by = rarely(dice, 3), None
            self.goal, self._patience = pick(dice, self.goals), PATIENCE
        self._patience -= 1
        now = stamp(self.world.provider.clock())
        waiting = {
            (row.machine, row.entity)
            for row in self.world.waiting()
            if row.cause is not None and not is_later(row, now)
        }
        wanted = self.guide.step(
            self.world.everything(), self.goal, dice, fresh=fresh, by=self._by, waiting=waiting, now=now
        )  # fmt: skip
        if wanted is None:
            self._patience, self._by = 0, None
            self._unblock(dice)
            return
        if wanted.machine == self.goal.machine and wanted.id is not None:
            self._by = wanted.machine, wanted.id
        self._give(wanted)

    def towards(self, dice: Dice) -> None:
        """Several steps towards the goal at once."""
        for _ in range(TOWARDS):
            self.advance(dice)

    def stray(self, dice: Dice) -> None:
        """Any command with any arguments."""
        self.dice = dice
        wanted = self.guide.any_command(self.world.everything(), self.focus, dice, stamp(self.world.provider.clock()))
        if wanted is not None:
            self._give(wanted)

    def again(self, dice: Dice) -> None:
        """A command that was given before, with the same key: nothing may happen twice."""
        self.dice = dice
        said = [line for line in self.world.lines if "key" in line and "do" not in line]
        if said:
            self.checks.after_step([self.world.give(pick(dice, said))])

    def recover(self, dice: Dice) -> None:
        """What is in doubt is looked up; sometimes a person decides."""
        self.dice = dice
        if self.world.open_calls():
            self.checks.after_step(self.world.perform(Deed("recover")))
        calls = self.world.open_calls()
        if calls and rarely(dice, 2):
            self.checks.after_step(self.world.perform(self.world.resolution_of(pick(dice, calls))))

    def due(self, dice: Dice) -> None:
        """What waits is executed, some of it after an hour."""
        self.dice = dice
        if self.world.waiting():
            if rarely(dice, 3):
                self.world.wait(whole=rarely(dice, 3))
            self.checks.after_step(self.world.perform(Deed("due")))

    def end(self) -> None:
        """Everything ends, and the whole is looked at."""
        self.dice = None
        self.coverage.examples += 1
        self.checks.at_the_end()

    def _unblock(self, dice: Dice) -> None:
        """There is no way on: let what is in the way end, or give any command."""
        if self.world.open_calls():
            self.recover(dice)
        elif self.world.waiting():
            self.due(dice)
        else:
            self.stray(dice)

    def _give(self, wanted: WantedCommand) -> None:
        if wanted.id is None:
            facts = {name: value for name, value in wanted.args.items() if name != "currency"}
            self.checks.after_step([self.world.create(wanted.machine, facts)])
        else:
            self.checks.after_step([self.world.command(wanted.machine, wanted.id, wanted.command, wanted.args)])

    # The provider

    def _reply(self, call: Call, looked_up: bool) -> Reply | None:
        if self.dice is None:
            return None
        if looked_up:
            return Reply(pick(self.dice, LOOKED_UP))
        steps = self._steps(call)
        goal = self.goal
        meant = goal is not None and goal.reply != DONE and any(
            (machine, transition) == (goal.machine, goal.transition) for machine, transition, _ in steps
        )  # fmt: skip
        if meant and goal is not None:
            kind = goal.reply
        elif rarely(self.dice, 8):
            kind = pick(self.dice, (*WHOLE, SHORT))
        else:
            return None
        if kind != SHORT:
            return Reply(kind)
        asked = call.args.get("amount")
        partial = any(each for _, _, each in steps)
        return Reply("confirmed", self._less(asked)) if partial and isinstance(asked, int) and asked > 0 else None

    def _less(self, asked: int) -> int:
        assert self.dice is not None
        return pick(self.dice, sorted({asked // 2, asked - 1, 1, 0} - {asked}))

    def _steps(self, call: Call) -> list[tuple[str, str, bool]]:
        """Whose transitions a call is for, and whether the provider may confirm less."""
        with self.world.store.reading() as look:
            row = look.call(call.id)
        steps: list[Any] = json.loads(row.steps) if row else []
        return [(machine, transition, partial is not None) for machine, _, transition, _, _, _, partial in steps]
