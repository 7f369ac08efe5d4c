"""The second level: the machines run together through everything they can do, with small amounts.

Each small world is searched breadth first, so what goes wrong is met on the shortest way to it. Three questions:

    always       does every state keep what was declared, and does the core's own sum add up?      TS201 … TS208
    in the end   can everything still be fetched, ended and answered, from every state?            TS202, TS203, TS213
    sometimes    did every transition, every end of its call and every comparison really occur?    TS209 … TS212

A search that was cut off at its budget says less, but never something wrong: a state that it has not looked at gets the
benefit of the doubt, and what it has not seen is looked for with more money before it is called missing.

One mistake makes many findings: once a world shows something, the larger worlds of the same machine are not searched,
and nothing is called missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

import attrs

from tallystick.check.finding import Finding, Stopped, finding
from tallystick.check.model.coverage import Gap, gaps
from tallystick.check.model.halves import naming
from tallystick.check.model.invariants import NO_NAME, Invariants, UserInvariant
from tallystick.check.model.liveness import ENDED, STATES_WITH_MORE, Stuck, stuck_states
from tallystick.check.model.monitor import Monitor
from tallystick.check.model.search import Search
from tallystick.check.model.story import Story, tell
from tallystick.check.model.worlds import World, worlds
from tallystick.check.wording import amount
from tallystick.core.entity import Request
from tallystick.definition.machine import Machine, Machines

DEPTH = 2  # amounts up to this many minor units, where nobody says otherwise
BUDGET = 30_000  # states of one world up to that depth; ten times as many for each one more
WIDER = 2  # how often what is missing is looked for once more, one unit deeper each time


def explore(
    machines: Machines,
    *,
    only: Collection[str] = (),
    depth: int | None = None,
    progress: Callable[[str], None] | None = None,
    invariants: Sequence[UserInvariant] = (),
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[list[Finding], dict[str, int]]:
    """What goes wrong when the machines run; and how much was looked at.

    The arguments are those of `check`. `invariants` are not asked in worlds where driven commands are given directly,
    for nothing holds between machines there.
    """
    chosen = tuple(name for name in only or machines if not machines[name].reads_parts)
    run = _Exploration(machines, chosen, progress, invariants, Monitor(machines))
    began = clock()
    deep = depth or DEPTH
    try:
        run.search(worlds(machines, run.only, deep), BUDGET * 10 ** max(0, deep - DEPTH))
        if not run.findings:  # else what is missing is missing because of them
            run.search_wider(deep)
        if not run.findings:
            run.report_gaps()
    except KeyboardInterrupt:
        raise Stopped(run.findings, run.figures()) from None
    took = clock() - began
    return run.findings, {**run.figures(), "states_per_second": round(run.states / took) if took else 0}


@attrs.define
class _Exploration:
    machines: Machines
    only: tuple[str, ...]
    progress: Callable[[str], None] | None
    invariants: Sequence[UserInvariant]
    monitor: Monitor
    findings: list[Finding] = attrs.field(factory=list)
    worlds: int = 0
    complete: int = 0  # worlds searched to their end
    wandered: int = 0  # worlds in which only what is rare was looked for
    states: int = 0
    steps: int = 0
    deepest: int = 0
    most: int = 0  # the largest amount that was tried, for what is missing
    _known: set[tuple[str, ...]] = attrs.field(factory=set)

    def search(self, these: Iterable[World], budget: int) -> None:
        """Search the worlds in order; once one has shown something, leave out the others about the same machine."""
        faulty: set[str] = set()
        for world in these:
            if world.about in faulty:
                continue
            before = len(self.findings)
            self._search(world, int(budget * world.share), wander=world.by_hand)
            if len(self.findings) > before:
                faulty.add(world.about)

    def _search(
        self, world: World, budget: int, *, wander: bool = False, enough: Callable[[], bool] = lambda: False
    ) -> None:
        self.monitor.by_hand = world.by_hand
        invariants = Invariants(() if world.by_hand else self.invariants)
        search = Search(world, self.monitor, invariants.look)
        graph, say, stop = search.graph, self._progress(world), None
        try:
            search.wander(budget, say, enough) if wander else search.run(budget, say)
        except KeyboardInterrupt as stopped:
            stop = stopped  # what it has seen by now is told
        self.wandered += wander
        self.worlds += not wander
        self.complete += graph.complete
        self.states += len(graph.states)
        self.steps += len(graph.edges)
        self.deepest = max(self.deepest, graph.depth)
        for broken in invariants.broken.values():
            story = tell(search, broken.state)
            if broken.machine is None:
                self._find("TS214", self.machines[world.about], broken.message, ("machine",), story, world)
            elif broken.name == NO_NAME:
                machine, place = naming(self.machines, self.machines[world.about])
                self._find("TS216", machine, broken.message, place, story, world)
            else:
                self._find("TS201", broken.machine, broken.message, ("invariant", broken.name), story, world)
        for each, number, member in graph.violations:
            story = tell(search, number, each.step if isinstance(each.step, Request) else None, member)
            self._find(each.code, self.machines[each.machine], each.message, each.place, story, world)
        if stop is not None:
            raise stop
        if not world.by_hand and not wander:
            for stuck in stuck_states(search):
                self._find_stuck(search, stuck)

    def _progress(self, world: World) -> Callable[[int, int], None] | None:
        say = self.progress
        if say is None:
            return None
        say(f"{world.name}: running it")
        return lambda done, known: say(f"{world.name}: {done:,} states looked at, {known - done:,} waiting")

    # Findings

    def _find(
        self, code: str, machine: Machine, message: str, place: Sequence[str], story: Story | None,
        world: World | None, *, decided: bool = True,
    ) -> None:  # fmt: skip
        """Keep each finding once, as the smallest world shows it."""
        mark = (code, machine.name, *place)
        if mark in self._known:
            return
        self._known.add(mark)
        own = self.machines[machine.name]  # with places, also where a world has changed it
        replay = story.replay if story and not (world and world.by_hand) else ()
        lines = story.lines if story else ()
        self.findings.append(finding(code, own, message, *place, story=lines, replay=replay, decided=decided))

    def _find_stuck(self, search: Search, stuck: Stuck) -> None:
        story = tell(search, stuck.state)
        if stuck.member < 0:
            items = search.waiting(search.graph.states[stuck.state], story.ids)
            names = ", ".join(f"{one.id} {one.command}" for one in items)
            machine = self.machines[items[0].machine]
            message = f"queued commands wait for ever: {names}"
            if not stuck.surely:
                message = f"queued commands wait, and nothing found in {STATES_WITH_MORE:,} states takes them: {names}"
            place = ("command", items[0].command)
            return self._find("TS213", machine, message, place, story, search.world, decided=stuck.surely)
        machine, id = search.role(stuck.member).machine, story.ids[stuck.member]
        entity = story.entities[machine.name, id]
        looked = f"nothing found in {STATES_WITH_MORE:,} states with more money"
        nothing = "nothing that can still happen" if stuck.surely else looked
        code, message = "TS203", f"{id} is {entity.state}, and {nothing} brings it to an end"
        if stuck.goal != ENDED:
            held = ", ".join(f"{name} {amount(value)}" for name, value in entity.accounts.items() if value)
            code, message = "TS202", f"{id} is {entity.state} with {held}, and {nothing} takes all of it out"
        place = ("state", entity.state)
        return self._find(code, machine, message, place, story, search.world, decided=stuck.surely)

    # What never happened

    def search_wider(self, depth: int) -> None:
        """Look for what is missing by what is rare, and with more money, where a machine misses something."""
        for most in range(depth, depth + WIDER + 1):
            names = tuple(dict.fromkeys(each.machine for each in self._gaps()))
            if not names:
                return
            self.most = most
            for world in worlds(self.machines, names, most):
                here = {each.machine for each in world.members}
                if not self._seen_all(here):
                    everything = attrs.evolve(world, crowd=False)
                    self._search(everything, BUDGET, wander=True, enough=partial(self._seen_all, here))

    def _seen_all(self, names: Collection[str]) -> bool:
        return not any(each.machine in names for each in self._gaps())

    def _gaps(self) -> list[Gap]:
        return [each for name in self.only for each in gaps(self.machines[name], self.monitor)]

    def report_gaps(self) -> None:
        every = "all" if self.complete == self.worlds else "some of the"
        looked = (
            f"within this bound: amounts up to {amount(self.most)}, {every} {self.states:,} states of the small worlds"
        )
        for each in self._gaps():
            machine, message = self.machines[each.machine], f"{each.message} {looked}"
            self._find(each.code, machine, message, each.place, None, None, decided=False)

    def figures(self) -> dict[str, int]:
        monitor, own = self.monitor, set(self.only)
        guards = [each for name in own for listed in monitor.guards[name].comparisons.values() for each in listed]
        return {
            "worlds": self.worlds,
            "worlds_complete": self.complete,
            "worlds_wandered": self.wandered,
            "states": self.states,
            "steps": self.steps,
            "longest_way": self.deepest,
            "transitions_fired": len({each[:2] for each in monitor.fired if each[0] in own}),
            "outcomes_seen": len({each for each in monitor.fired if each[0] in own}),
            "comparisons_seen_both_ways": sum(len(each.results) == 2 for each in guards),
            "follow_ups_taken": len({each for each in monitor.follow_ups if each[0] in own and each[2] == "taken"}),
        }
