"""Composes short stories about any page, for processes to be killed in.

A story is composed by running it: the fuzz kit's guide says what to do next, towards a transition that no story has
fired yet. It runs on real books, with a provider whose answers are drawn (`RandomFileProvider`). What was refused is
left out, because it might be accepted once the story goes on; and the story ends before a command that waits for
others. So, run again with the same keys, it can end in one way only.

Beside what the referee asks, each call has to be done once if our books say it was, and never if they say it was not;
and users' invariants have to hold, also in what a crash has left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import attrs

from tallystick.core.entity import Entity, Ref
from tallystick.definition.machine import Machine, Machines
from tallystick.engine.receipt import Command
from tallystick.errors import Invalid
from tallystick.moment import stamp
from tallystick.store.sqlite import SqliteStore
from tallystick.testing.faults.file_provider import PARTLY, RandomFileProvider
from tallystick.testing.faults.story import BOOKS, OTHER_BOOKS, Story, StoryRun
from tallystick.testing.faults.trial import temporary_folder
from tallystick.testing.fuzzing.coverage import DONE, Goal
from tallystick.testing.fuzzing.dice import Dice, pick
from tallystick.testing.fuzzing.guide import Guide, WantedCommand
from tallystick.testing.fuzzing.invariants import EntityView, UserInvariant, everything_in, name_of, violation
from tallystick.testing.fuzzing.provider_agreement import calls_that_differ
from tallystick.testing.fuzzing.world import command_of, line_of

STEPS = 8  # of a story that are the machine's own, beside what follows by itself
LOOKS = 40  # at what might come next, in one story
PATIENCE = 12  # looks, after which something else is tried
IDLE = 25  # stories in a row that fire nothing new: how much is found should not be luck

Step = tuple[str, str]  # a state, and a transition out of it


@attrs.frozen
class Composed:
    """Stories about one machine, and what they fire of what it declares."""

    stories: Sequence[Story]
    fired: frozenset[Step]
    declared: frozenset[Step]


def compose(
    machines: Machines, name: str, most: int | None = None, *, seed: int = 0, invariants: Sequence[UserInvariant] = ()
) -> Composed:
    """Stories that fire all transitions of a machine, as far as a way is found; at most so many of them."""
    composer = _Composer(machines, machines[name], seed, invariants)
    stories: list[Story] = []
    number = idle = 0
    while composer.missing and idle < IDLE and (most is None or len(stories) < most):
        before = len(composer.missing)
        story = composer.story(number)
        number += 1
        idle = idle + 1 if len(composer.missing) == before else 0
        if not idle:
            stories.append(story)
    return Composed(stories, composer.declared - composer.missing, composer.declared)


class _Composer:
    def __init__(self, machines: Machines, machine: Machine, seed: int, invariants: Sequence[UserInvariant]) -> None:
        self._machines, self._machine, self._seed = machines, machine, seed
        self._invariants = invariants
        self._guide = Guide(machines)
        self._partly = _partly(machines, machine)
        self.declared = frozenset(
            (state, row.name) for row in machine.rows.values() for state in row.transition.sources
        )
        self.missing = set(self.declared)
        self._tried: Counter[Step] = Counter()

    def story(self, number: int) -> Story:
        """Another story, towards what is missing."""
        seed = self._seed * 1000 + number
        empty = Story(
            f"{self._machine.name}, story {number + 1}", [], self._machines,
            lambda path: RandomFileProvider(path, seed, self._partly),
            provider_books=lambda path: None, wrong=self._wrong,
        )  # fmt: skip
        with temporary_folder() as folder, closing(StoryRun(empty, folder)) as run:
            return attrs.evolve(empty, steps=list(self._steps(run, Dice(seed))))

    def _steps(self, run: StoryRun, dice: Dice) -> Iterator[Command]:
        goal: Goal | None = None
        given = patience = 0
        for look in range(LOOKS):
            world = everything_in(run.engine.store, self._machines)
            if goal is None or not patience or (goal.state, goal.transition) not in self.missing:
                goal, patience = self._nearest(world, dice), PATIENCE
            patience -= 1
            wanted = self._guide.step(world, goal, dice, now=stamp(run.engine.now())) if goal else None
            if wanted is None:
                goal = None
                continue
            command = self._command(wanted, world, look)
            try:
                run.insist(command)
            except Invalid:
                continue  # the guide tries what no caller can say
            except AssertionError:
                return  # somebody has to do more than these stories know
            if _waits(run) or _dropped(run):
                return  # it would not wait in the next process, which begins a month later
            if self._written(run, command):
                yield command
                given += command.machine == self._machine.name
            if given == STEPS or not self.missing:
                return

    def _nearest(self, world: Mapping[Ref, Entity], dice: Dice) -> Goal | None:
        """Something missing, out of a state that is near; what was tried in vain comes later."""
        stand = [each.state for each in world.values() if each.machine == self._machine.name]
        far: dict[Step, int] = {}
        for state, transition in self.missing:
            ways = self._guide.ways(self._machine.name, state)
            reached = [ways[each] for each in (*stand, self._machine.start) if each in ways]
            if reached:
                far[state, transition] = min(reached) + self._tried[state, transition]
        if not far:
            return None
        chosen = pick(dice, sorted(step for step, steps in far.items() if steps == min(far.values())))
        self._tried[chosen] += 1
        return Goal(self._machine.name, *chosen, DONE)

    def _command(self, wanted: WantedCommand, world: Mapping[Ref, Entity], number: int) -> Command:
        count = sum(1 for machine, _ in world if machine == wanted.machine)
        id = wanted.id or f"{wanted.machine}-{count + 1}"
        page = self._machines[wanted.machine]
        declared = page.commands.get(wanted.command)
        types = declared.arguments if declared else {name: fact.type for name, fact in page.facts.items()}
        # What is put off to a date would be due in the middle of the next process, which begins a month later.
        dates = {name for name, type_ in types.items() if type_.kind == "time" and type_.optional}
        args = {name: value for name, value in wanted.args.items() if name not in dates}
        return command_of(line_of(page, id, wanted.command, args, f"k{number + 1}"))

    def _written(self, run: StoryRun, command: Command) -> bool:
        """Whether the journal has it. Everything that it fired is not missing any more."""
        with run.engine.store.reading() as look:
            fired = {(str(each.from_state), each.transition) for each in look.journal(self._machine.name)
                     if each.phase in ("done", "confirmed")}  # fmt: skip
            self.missing -= fired
            return bool(look.keyed([command.key]))

    def _wrong(self, folder: Path) -> Iterator[str]:
        """What is wrong in the files of a story, at whatever moment."""
        done = RandomFileProvider(folder / OTHER_BOOKS, 0, ()).times_done()
        with closing(SqliteStore(folder / BOOKS)) as store:
            view = EntityView(everything_in(store, store.machines(self._machines)))
            with store.reading() as look:
                calls = {row.id: row for row in look.all_calls()}
        yield from calls_that_differ(calls, done)
        for rule in self._invariants:
            why = violation(rule, view)
            if why is not None:
                yield f"{name_of(rule)}: {why}"


def _waits(run: StoryRun) -> bool:
    with run.engine.store.reading() as look:
        return bool(look.queue(state="waiting"))


def _dropped(run: StoryRun) -> bool:
    """A follow-up met nobody, and is tried once. If its caller is killed, a person may have it done after all."""
    with run.engine.store.reading() as look:
        missed = {row.key for row in look.all_calls() if row.state == "unavailable"}
        return any(row.key in missed for row in look.queue(state="withdrawn"))


def _partly(machines: Machines, machine: Machine) -> frozenset[str]:
    """Verbs of which less may be confirmed: all transitions that ask for them allow it, here and in linked machines."""
    near = {machine.name}
    while more := {name for each in near for name in machines[each].links.values()} - near:
        near |= more
    whole = [each for name in near for each in machines[name].transitions.values() if each.partial is None]
    return frozenset(PARTLY) - {each.ask.verb for each in whole if each.ask is not None}
