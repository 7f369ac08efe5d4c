"""The machines run together through everything they can do, with small amounts.

For each machine there are some small worlds (`world`). Each is searched breadth first, so what goes wrong is met on the
shortest way to it; the steps are the core's own (`memo`, `search`). Three questions are asked:

    always       does every state keep what was declared, and does the core's own sum add up?      TS201 … TS208
    in the end   can everything still be fetched, ended, answered, from every state?               TS202, TS203, TS213
    sometimes    did every transition, every end of its call and every comparison really occur?    TS209 … TS212

A search that was cut off at its budget says less, never something wrong: a state it has not looked at gets the benefit
of the doubt, and what it has not seen is looked for with more money and more states before it is called missing.

One fault makes many: once a world shows something, the larger ones of the same machine are not searched, and nothing is
called missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import attrs

from tallystick import money
from tallystick.check.alive import SAVING, Stuck, stuck
from tallystick.check.finding import Finding, finding
from tallystick.check.holds import Invariants, Wanted
from tallystick.check.memo import CURRENCY
from tallystick.check.search import Search
from tallystick.check.seen import Fault, Seen
from tallystick.check.sometimes import Missing, missing
from tallystick.check.story import Tale, tale
from tallystick.check.world import World, worlds
from tallystick.core.entity import Request
from tallystick.definition.machine import Machine, Machines

DEPTH = 2  # amounts up to this many minor units, where nobody says otherwise
BUDGET = 30_000  # states of one world up to that depth; ten times as many for each one more
WIDER = 2  # how often what is missing is looked for once more, one unit deeper each time
Progress = Callable[[str], None]


def explore(
    machines: Machines,
    *,
    only: Collection[str] = (),
    depth: int | None = None,
    progress: Progress | None = None,
    invariants: Sequence[Wanted] = (),
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[list[Finding], dict[str, int]]:
    """What goes wrong when the machines run; and how much was looked at.

    `depth` is the largest amount in minor units: 3 searches ten times the states that 2 does, 4 a hundred times.
    `invariants` are functions that get the entities of a state and say what is wrong with them, or nothing. They are
    not asked where driven commands are given directly, for nothing holds between machines there.
    """
    run = _Run(machines, tuple(only) or tuple(machines), progress, invariants)
    began = clock()
    deep = depth or DEPTH
    run.search(worlds(machines, run.only, deep), BUDGET * 10 ** max(0, deep - DEPTH))
    if not run.findings:  # else what is missing is missing because of them
        run.search_wider(deep)
    if not run.findings:
        run.say_missing()
    took = clock() - began
    return run.findings, {**run.figures(), "states_per_second": round(run.states / took) if took else 0}


@attrs.define
class _Run:
    machines: Machines
    only: tuple[str, ...]
    progress: Progress | None
    invariants: Sequence[Wanted]
    seen: Seen = attrs.field(init=False)
    findings: list[Finding] = attrs.field(factory=list)
    worlds: int = 0
    complete: int = 0  # worlds searched to their end
    wandered: int = 0  # worlds in which only what is rare was looked for
    states: int = 0
    steps: int = 0
    deepest: int = 0
    _known: set[tuple[str, ...]] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        self.seen = Seen(self.machines)

    def search(self, these: Iterable[World], budget: int) -> None:
        shown: set[str] = set()
        for world in these:
            if world.about in shown:
                continue
            before = len(self.findings)
            self._search(world, int(budget * world.share), wander=world.by_hand)
            if len(self.findings) > before:
                shown.add(world.about)

    def _search(self, world: World, budget: int, *, wander: bool = False) -> None:
        self.seen.lenient = world.by_hand
        invariants = Invariants(() if world.by_hand else self.invariants)
        search = Search(world, self.seen, invariants.look)
        graph = (search.wander if wander else search.run)(budget, self._progress(world))
        self.wandered += wander
        self.worlds += not wander
        self.complete += graph.complete
        self.states += len(graph.states)
        self.steps += len(graph.edges)
        self.deepest = max(self.deepest, graph.deep)
        for broken in invariants.broken.values():
            told = tale(search, broken.state)
            if broken.machine is None:
                self._find("TS214", self.machines[world.about], broken.message, ("machine",), told, world)
            else:
                self._find("TS201", broken.machine, broken.message, ("invariant", broken.name), told, world)
        for fault, number, member in graph.faults:
            self._fault(search, fault, number, member)
        if not world.by_hand and not wander:
            for each in stuck(search):
                self._stuck(search, each)

    def _progress(self, world: World) -> Callable[[int, int], None] | None:
        say = self.progress
        if say is None:
            return None
        return lambda done, known: say(f"{world.name}: {done:,} states looked at, {known - done:,} waiting")

    # Findings

    def _find(
        self, code: str, machine: Machine, message: str, place: Sequence[str], told: Tale | None, world: World | None
    ) -> None:
        """Each fault once, as the smallest world shows it."""
        mark = (code, machine.name, *place)
        if mark in self._known:
            return
        self._known.add(mark)
        own = self.machines[machine.name]  # with places, also where a world has changed it
        replay = told.replay if told and not (world and world.by_hand) else ()
        self.findings.append(finding(code, own, message, *place, story=told.story if told else (), replay=replay))

    def _fault(self, search: Search, fault: Fault, number: int, member: int) -> None:
        last = fault.step if isinstance(fault.step, Request) else None
        machine = self.machines[fault.machine]
        told = tale(search, number, last, member)
        self._find(fault.code, machine, fault.message, fault.place, told, search.world)

    def _stuck(self, search: Search, each: Stuck) -> None:
        told = tale(search, each.state)
        if each.member < 0:
            items = search.waiting(search.graph.states[each.state], told.ids)
            names = ", ".join(f"{one.id} {one.command}" for one in items)
            machine = self.machines[items[0].machine]
            message = f"what is queued waits for ever: {names}{'' if each.surely else ' (as far as was looked)'}"
            return self._find("TS213", machine, message, ("command", items[0].command), told, search.world)
        machine, id = search.kind(each.member).machine, told.ids[each.member]
        entity = told.entities[machine.name, id]
        place = ("state", entity.state)
        if each.wish == "over":
            message = f"{id} is {entity.state}, and {_nothing(each)} brings it to an end"
            return self._find("TS203", machine, message, place, told, search.world)
        held = ", ".join(f"{name} {money.to_text(value, CURRENCY)}" for name, value in entity.accounts.items() if value)
        message = f"{id} is {entity.state} with {held}, and {_nothing(each)} fetches all of it"
        return self._find("TS202", machine, message, place, told, search.world)

    # Sometimes

    def search_wider(self, depth: int) -> None:
        """Look for what is missing with more money, in the worlds of the machines that miss something."""
        for more in range(1, WIDER + 1):
            names = tuple(dict.fromkeys(each.machine for each in self._missing()))
            if not names:
                return
            for world in self._wider(names, depth + more):
                self._search(world, BUDGET, wander=True)

    def _wider(self, names: tuple[str, ...], most: int) -> Iterator[World]:
        return (world for world in worlds(self.machines, names, most) if world.most == most)

    def _missing(self) -> list[Missing]:
        return [each for name in self.only for each in missing(self.machines[name], self.seen)]

    def say_missing(self) -> None:
        whole = (
            "every state" if self.complete == self.worlds else "all states within the budget; a larger depth sees more"
        )
        for each in self._missing():
            machine = self.machines[each.machine]
            self._find(
                each.code, machine, f"{each.message} ({self.states:,} looked at: {whole})", each.place, None, None
            )

    def figures(self) -> dict[str, int]:
        seen, own = self.seen, set(self.only)
        return {
            "worlds": self.worlds,
            "worlds_complete": self.complete,
            "worlds_wandered": self.wandered,
            "states": self.states,
            "steps": self.steps,
            "longest_way": self.deepest,
            "transitions_fired": len({each[:2] for each in seen.fired if each[0] in own}),
            "outcomes_seen": len({each for each in seen.fired if each[0] in own}),
            "comparisons_seen_both_ways": sum(
                len(each.seen) == 2
                for name in own
                for listed in seen.branches[name].comparisons.values()
                for each in listed
            ),
            "follow_ups_taken": len({each for each in seen.follow_ups if each[0] in own and each[2] == "taken"}),
        }


def _nothing(each: Stuck) -> str:
    return "nothing that can still happen" if each.surely else f"nothing found in {SAVING:,} states with more money"
