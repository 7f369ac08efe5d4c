"""Killed while entities of any page live: short stories are composed for it, and told by processes that die.

    python -m tallystick.testing.faults.page_crashes our-machines/loan.yaml --points 300

A story is composed by telling it: the guide of the fuzz kit (`fuzzing/guide`) says what to do next towards a transition
that no story has fired yet, on real books, with a provider whose answers are drawn (`Drawn`). What was refused is left
out, for it might be taken once the story goes on; and before a command that waits for others the story ends.
So told again under its keys it can end in one way only, and `crash_points` kills processes at points of it, and again
while they recover.

Beside what the referee asks, each call has to be done once if our books say it was and never if they say it was not;
and what users declare has to hold, in what a crash has left too.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import attrs

from tallystick.core.entity import Entity, Ref
from tallystick.definition import reader
from tallystick.definition.machine import Machine, Machines
from tallystick.engine.receipt import Command
from tallystick.errors import Invalid
from tallystick.store.protocol import Store
from tallystick.store.sqlite import SqliteStore
from tallystick.testing.faults.crash import crash_points
from tallystick.testing.faults.file_provider import PARTLY, Drawn
from tallystick.testing.faults.report import Progress, Ran, parser, room, to_stderr
from tallystick.testing.faults.story import BOOKS, OTHER_BOOKS, Story, Telling
from tallystick.testing.fuzzing.coverage import DONE, Goal
from tallystick.testing.fuzzing.guide import Guide, Thrown, Wanted, pick
from tallystick.testing.fuzzing.invariants import Rule, View, name_of, wrong
from tallystick.testing.fuzzing.world import command_of, line_of, sentence

POINTS = 40
EACH = 5  # points of a story, where not all of them are taken
STEPS = 8  # of a story that are the machine's own, beside what follows by itself
LOOKS = 40  # at what might come next, in one story
PATIENCE = 12  # looks, after which something else is tried
IDLE = 6  # stories in a row that fire nothing new

Step = tuple[str, str]  # a state, and a transition out of it


@attrs.frozen
class Composed:
    """Stories about one machine, and what they fire of what it declares."""

    stories: Sequence[Story]
    fired: frozenset[Step]
    declared: frozenset[Step]


def page_crashes(
    machines: Machines,
    name: str,
    *,
    points: int | None = POINTS,
    seed: int = 0,
    invariants: Sequence[Rule] = (),
    progress: Progress | None = None,
) -> Ran:
    """Compose stories about a machine and kill processes at so many points of them, or, for None, at all."""
    most = None if points is None else -(-points // EACH)
    composed = compose(machines, name, most, seed=seed, invariants=invariants)
    ran = Ran()
    ran.figures["transitions"] = len(composed.declared)
    ran.figures["transitions fired"] = len(composed.fired)
    for number, story in enumerate(composed.stories):
        ran.add(_killed(story, _share(points, number, len(composed.stories)), progress))
    ran.figures["crash points"] = sum(number for what, number in ran.figures.items() if what.startswith("killed"))
    return ran


def _killed(story: Story, points: int | None, progress: Progress | None) -> Ran:
    """A finding is of use with the story it is about."""
    try:
        ran = crash_points(story, points, progress)
    except AssertionError as error:  # it does not go well already if nobody is killed
        ran = Ran(findings=[str(error)])
    if ran.findings:
        said = [sentence(step) for step in story.steps if isinstance(step, Command)]
        steps = [f"  {number}  {step}" for number, step in enumerate(said, 1)]
        ran.findings.append("\n".join([f"{story.name}, is:", *steps]))
    return ran


def _share(points: int | None, number: int, of: int) -> int | None:
    return None if points is None else points * (number + 1) // of - points * number // of


def summary(ran: Ran) -> str:
    """What was done, in a line."""
    of = ran.figures
    return (
        f"killed {of['crash points']} times, {of['killed in recovery']} of them while it recovered, in {of['stories']} "
        f"stories with {of['transitions fired']} of {of['transitions']} transitions"
    )


def compose(
    machines: Machines, name: str, most: int | None = None, *, seed: int = 0, invariants: Sequence[Rule] = ()
) -> Composed:
    """Stories that fire all transitions of a machine, as far as a way is found; at most so many."""
    composer = _Composer(machines, machines[name], seed, invariants)
    told: list[Story] = []
    number = idle = 0
    while composer.missing and idle < IDLE and (most is None or len(told) < most):
        before = len(composer.missing)
        story = composer.story(number)
        number += 1
        idle = idle + 1 if len(composer.missing) == before else 0
        if not idle:
            told.append(story)
    return Composed(told, composer.declared - composer.missing, composer.declared)


class _Composer:
    def __init__(self, machines: Machines, machine: Machine, seed: int, invariants: Sequence[Rule]) -> None:
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
            provider=lambda path: Drawn(path, seed, self._partly), provided=lambda path: None, wrong=self._wrong,
        )  # fmt: skip
        with room() as folder, closing(Telling(empty, folder, 0)) as telling:
            return attrs.evolve(empty, steps=list(self._steps(telling, Thrown(seed))))

    def _steps(self, telling: Telling, dice: Thrown) -> Iterator[Command]:
        goal: Goal | None = None
        given = patience = 0
        for look in range(LOOKS):
            world = _everything(telling.engine.store, self._machines)
            if goal is None or not patience or (goal.state, goal.transition) not in self.missing:
                goal, patience = self._nearest(world, dice), PATIENCE
            patience -= 1
            wanted = self._guide.step(world, goal, dice) if goal else None
            if wanted is None:
                goal = None
                continue
            command = self._command(wanted, world, look)
            try:
                telling.insist(command)
            except Invalid:
                continue  # the guide tries what no caller can say
            except AssertionError:
                return  # somebody has to do more than these stories know
            if _waits(telling):
                return  # for others, and it would not in the next process, which begins a month later
            if self._written(telling, command):
                yield command
                given += command.machine == self._machine.name
            if given == STEPS or not self.missing:
                return

    def _nearest(self, world: Mapping[Ref, Entity], dice: Thrown) -> Goal | None:
        """Something missing, out of a state that is not far; what was tried in vain waits."""
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

    def _command(self, wanted: Wanted, world: Mapping[Ref, Entity], number: int) -> Command:
        count = sum(1 for machine, _ in world if machine == wanted.machine)
        id = wanted.id or f"{wanted.machine}-{count + 1}"
        return command_of(line_of(self._machines[wanted.machine], id, wanted.command, wanted.args, f"k{number + 1}"))

    def _written(self, telling: Telling, command: Command) -> bool:
        """Whether the journal has it; what else came of it is not missing any more."""
        with telling.engine.store.reading() as look:
            fired = {(str(each.from_state), each.transition) for each in look.journal(self._machine.name)
                     if each.phase in ("done", "confirmed")}  # fmt: skip
            self.missing -= fired
            return bool(look.keyed([command.key]))

    def _wrong(self, folder: Path) -> Iterator[str]:
        """What is wrong in the files of a story, at whatever moment."""
        done = Drawn(folder / OTHER_BOOKS, 0, ()).done()
        with closing(SqliteStore(folder / BOOKS)) as store:
            view = View(_everything(store, store.machines(self._machines)))
            with store.reading() as look:
                calls = {row.id: row for row in look.all_calls()}
        for id, row in calls.items():
            if done[id] > 1:
                yield f"call {id} ({row.verb} on {row.entity}) was done {done[id]} times by the provider"
            if row.state != "open" and (row.state == "confirmed") != bool(done[id]):
                yield f"call {id} ({row.verb} on {row.entity}) is {row.state}, the provider did it {done[id]} times"
        for id in done.keys() - calls.keys():
            yield f"the provider did {id}, which no call of ours asked for"
        for rule in self._invariants:
            why = wrong(rule, view)
            if why is not None:
                yield f"{name_of(rule)}: {why}"


def _waits(telling: Telling) -> bool:
    with telling.engine.store.reading() as look:
        return bool(look.queue(state="waiting"))


def _everything(store: Store, machines: Machines) -> dict[Ref, Entity]:
    with store.reading() as look:
        return {each.ref: each for name in machines for each in look.all(name)}


def _partly(machines: Machines, machine: Machine) -> frozenset[str]:
    """The verbs of which less may be confirmed to every transition that asks for them, here or in what is linked to."""
    asking = [
        row.transition
        for each in _near(machines, machine, {})
        for row in each.rows.values()
        if row.transition.ask is not None
    ]
    whole = {each.ask.verb for each in asking if each.ask is not None and each.partial is None}
    return frozenset(PARTLY) - whole


def _near(machines: Machines, machine: Machine, known: dict[str, Machine]) -> list[Machine]:
    """A machine and all that it links to."""
    if machine.name not in known:
        known[machine.name] = machine
        for other in machine.links.values():
            _near(machines, machines[other], known)
    return list(known.values())


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser("page_crashes", "Kill processes at points of stories composed for pages.")
    options.add_argument("pages", nargs="+", type=Path, help="pages of machines, beside others they link to")
    options.add_argument("--points", default="300", help="so many for each page, or all (default: 300)")
    options.add_argument("--seed", default=0, type=int, help="the same seed, the same stories (default: 0)")
    given = options.parse_args(arguments)
    points = None if given.points == "all" else int(given.points)
    ran = Ran()
    for page in given.pages:
        machines = reader.load(page.parent)
        name = next(each.name for each in machines.values() if Path(each.file).resolve() == page.resolve())
        ran.add(page_crashes(machines, name, points=points, seed=given.seed, progress=to_stderr))
    return ran.say(as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
