"""Whether what a call gives is written down, and a later call is told it.

A hold is redeemed by the name that the provider gave it. Who forgets to write that name down hands on nothing, and no
guard notices, because nothing may be handed on where nothing is known. A number that is drawn is all its call says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tallystick.check.finding import Finding, finding
from tallystick.check.standing import Standing
from tallystick.check.values import handed_on
from tallystick.check.words import joined
from tallystick.definition.machine import Machines, Transition


def handed(standing: Standing) -> Iterator[Finding]:
    """TS121 and TS122. A fact that nothing sets is told of as TS111."""
    machine = standing.machine
    yield from _drawn(standing)
    put = {name for each in machine.transitions.values() for name in each.sets}
    for name, row in machine.rows.items():
        for fact in sorted(handed_on(machine, row.transition) & put):
            never = [state for state in row.transition.sources if standing.when_taken(state, name, fact) == {None}]
            if never:
                key = "ask" if row.transition.ask else "drive"
                why = f"{name} hands on {fact}, which is always none in {joined(never)}"
                yield finding("TS121", machine, why, "transition", name, key, story=standing.story(never[0]))


def _drawn(standing: Standing) -> Iterator[Finding]:
    """Numbers that are drawn, and that neither the transition that asks for one nor one that drives it writes down."""
    machine = standing.machine
    for name, transition in machine.transitions.items():
        if transition.ask is None or transition.ask.verb != "allocate" or _keeps(transition):
            continue
        driving = list(_driving(standing.cases.machines, machine.name, transition.commands))
        if not driving or not all(_keeps(each) for each in driving):
            why = f"{name} has a number drawn, and nobody writes it down (set: a fact to outcome.number)"
            yield finding("TS122", machine, why, "transition", name, "ask")


def _keeps(transition: Transition) -> bool:
    return any(value.source.strip() == "outcome.number" for value in transition.sets.values())


def _driving(machines: Machines, machine: str, commands: Collection[str]) -> Iterator[Transition]:
    for other in machines.values():
        for each in other.transitions.values():
            if any(drive.machine == machine and drive.command in commands for drive in each.drives):
                yield each
