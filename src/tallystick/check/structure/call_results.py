"""Whether what a call results in is written down, and a later call is told of it.

A hold is redeemed by the name that the provider gave it. If that name is not written down, nothing is handed on, and no
guard notices: it may be none. A number that is drawn is all that its call results in. A number that a command gives,
such as one that was scanned, is kept too: later steps need it, and no guard asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.check.callers import drivers
from tallystick.check.expressions import expressions
from tallystick.check.finding import Finding, finding
from tallystick.check.structure.boundary_values import handed_on
from tallystick.check.structure.reachable import Reachability
from tallystick.check.wording import joined
from tallystick.definition.declared import Transition
from tallystick.definition.machine import Machine, Machines
from tallystick.provider.verbs import EFFECTS


def check_call_results(reachable: Reachability) -> Iterator[Finding]:
    """TS121, TS122 and TS123. A fact that nothing sets is found as TS111."""
    machine = reachable.machine
    yield from _forgotten_numbers(reachable)
    yield from _ignored_numbers(reachable)
    set_later = {name for each in machine.transitions.values() for name in each.sets}
    for name, row in machine.rows.items():
        for fact in sorted(handed_on(machine, row.transition) & set_later):
            sources = row.transition.sources
            never = [state for state in sources if reachable.classes_when_fired(state, name, fact) == {None}]
            if never:
                key = "ask" if row.transition.ask else "drive"
                why = f"{name} hands on {fact}, which is always none in {joined(never)}"
                yield finding("TS121", machine, why, "transition", name, key, story=reachable.path_to(never[0]))


def _forgotten_numbers(reachable: Reachability) -> Iterator[Finding]:
    """Numbers that are drawn, and that neither the transition that asks for one nor one that drives it writes down."""
    machine = reachable.machine
    for name, transition in machine.transitions.items():
        tells = EFFECTS[transition.ask.verb].tells if transition.ask is not None else ()
        if "number" not in tells or _writes_number(transition):
            continue
        machines, commands = reachable.trials.machines, transition.commands
        driving = [each for command in commands for each in drivers(machines, machine.name, command)]
        if not driving or not all(_writes_number(each) for each in driving):
            why = f"{name} asks for a number, but nothing writes it down: set a fact to outcome.number"
            yield finding("TS122", machine, why, "transition", name, "ask")


def _ignored_numbers(reachable: Reachability) -> Iterator[Finding]:
    """Numbers that a command gives, and that a transition neither writes down nor hands on to somebody who does."""
    machine, machines = reachable.machine, reachable.trials.machines
    for name, transition in machine.transitions.items():
        for command in transition.commands:
            for argument, type_ in machine.commands[command].arguments.items():
                if type_.kind != "number" or _keeps(machines, machine, transition, argument):
                    continue
                looks = any(argument in each.names for each in expressions(transition, with_call=False))
                if looks and _compares(machine, transition, argument):
                    continue
                if looks or not type_.optional:
                    why = f"{name} gets a {argument}, but nothing writes it down: set a fact to {argument}"
                    yield finding("TS123", machine, why, "transition", name)


def _keeps(machines: Machines, machine: Machine, transition: Transition, argument: str) -> bool:
    """Whether it writes a number down, or hands it on to a transition that does; a follow-up is asked about its own."""
    if any(argument in each.names for each in transition.sets.values()):
        return True
    if any(argument in each.names for then in transition.then for each in then.arguments.values()):
        return True
    return any(
        argument in value.names and _keeps(machines, other, each, given)
        for drive in transition.drives
        for other in (machines[drive.machine],)
        for given, value in drive.arguments.items()
        for each in other.transitions.values()
        if drive.command in each.commands
    )


def _compares(machine: Machine, transition: Transition, argument: str) -> bool:
    """Whether its guard asks if the number is one that is known already."""
    names = transition.guard.names if transition.guard is not None else frozenset()
    return argument in names and any(
        fact.type.kind == "number" for name, fact in machine.facts.items() if name in names and name != argument
    )


def _writes_number(transition: Transition) -> bool:
    return any(value.source.strip() == "outcome.number" for value in transition.sets.values())
