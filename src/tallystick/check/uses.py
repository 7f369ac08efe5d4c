"""Whether all that is declared is used, and what stands on an account can leave it again.

A text or a card number may be there for people only, as an order's number is. An amount, a count, a flag, a choice or a
link that nothing looks at is a rule that somebody forgot to write.
"""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.check.finding import Finding, finding
from tallystick.check.standing import Standing
from tallystick.check.words import joined
from tallystick.definition.expression import Expression
from tallystick.definition.machine import Machine, Machines, Transition

FOR_PEOPLE = ("text", "number")


def uses(standing: Standing) -> Iterator[Finding]:
    """TS108, TS111 to TS115, and TS120."""
    machines, machine = standing.cases.machines, standing.machine
    yield from _accounts(standing)
    yield from _facts(machines, machine)
    yield from _commands(machines, machine)


def _accounts(standing: Standing) -> Iterator[Finding]:
    machine = standing.machine
    moves = [move for each in machine.transitions.values() for move in each.moves]
    sources, targets = {move.source for move in moves}, {move.target for move in moves}
    for name, account in machine.accounts.items():
        if name not in targets:
            why = f"nothing ever puts value on {name}" + ("" if name in sources else ", and nothing takes it off")
            yield finding("TS112", machine, why, "account", name)
            continue
        kept = [state for state in machine.states if not account.kept and _keeps(standing, state, name)]
        if kept:
            why = f"what stands on {name} in {joined(kept)} can never leave it: no way leads to a move from {name}"
            yield finding("TS108", machine, why, "account", name, story=standing.story(kept[0]))
    for name in machine.outside:
        if name not in sources | targets:
            yield finding("TS113", machine, f"no transition moves value from or to {name}", "outside", name)
    yield from _moved_by(machine)


def _moved_by(machine: Machine) -> Iterator[Finding]:
    """Whether outside accounts are moved by the commands that they name, and by no other."""
    moving: dict[str, set[str]] = {name: set() for name in machine.moved_by}
    for transition in machine.transitions.values():
        for move in transition.moves:
            for name in {move.source, move.target} & moving.keys():
                moving[name].update(transition.commands)
                others = [each for each in transition.commands if each not in machine.moved_by[name]]
                if others:
                    by = joined(machine.moved_by[name])
                    why = f"{transition.name} moves value from or to {name}, which the page leaves to {by}"
                    yield finding("TS120", machine, why, "move", transition.name, f"{move.source} -> {move.target}")
    for name, commands in machine.moved_by.items():
        silent = [each for each in commands if each not in moving[name]]
        if silent and moving[name]:  # what nothing moves is told of as TS113
            why = f"{name} is moved by {joined(silent)}, says the page, but no transition of that command does"
            yield finding("TS120", machine, why, "outside", name, "by")


def _keeps(standing: Standing, state: str, account: str) -> bool:
    """Whether value may stand on an account in a state, and no way from there takes it off."""
    machine = standing.machine
    if not standing.reached(state) or not standing.may_hold(state, account):
        return False
    found, level = {state}, [state]
    while level:
        for each in level:
            for name, transition in machine.transitions.items():
                if (each, name) in standing.happens and any(move.source == account for move in transition.moves):
                    return False
        level = list({target for each in level for target in standing.ways[each]} - found)
        found |= set(level)
    return True


def _facts(machines: Machines, machine: Machine) -> Iterator[Finding]:
    transitions = list(machine.transitions.values())
    looked = {name for each in transitions for part in _parts(each) for name in part.names}
    looked |= {name for each in machine.refuse if each.guard for name in each.guard.names}
    looked |= {drive.link for each in transitions for drive in each.drives}
    looked |= {
        total.fact
        for other in machines.values()
        for invariant in other.invariants.values()
        for total in invariant.sums.values()
        if total.machine == machine.name
    }
    put = {name for each in transitions for name in each.sets}
    for name, fact in machine.facts.items():
        if fact.later and name not in put:
            yield finding("TS111", machine, f"{name} is set later, but no transition sets it", "fact", name)
        elif name not in looked and fact.type.kind not in FOR_PEOPLE:
            why = f"nothing looks at {name}: no guard, amount, drive or call, and it is no text for people"
            yield finding("TS111", machine, why, "fact", name)


def _commands(machines: Machines, machine: Machine) -> Iterator[Finding]:
    driven = {
        drive.command
        for other in machines.values()
        for each in other.transitions.values()
        for drive in each.drives
        if drive.machine == machine.name
    }
    for name, command in machine.commands.items():
        answering = [each for each in machine.transitions.values() if name in each.commands]
        if not answering:
            yield finding("TS114", machine, f"no state answers {name}", "command", name)
            continue
        if command.driven and name not in driven:
            why = f"{name} is only for other machines to give, and none gives it"
            yield finding("TS114", machine, why, "command", name)
        looked = {used for each in answering for part in _parts(each) for used in part.names}
        looked |= {drive.link for each in answering for drive in each.drives}
        looked |= {used for each in machine.refuse if each.guard and name in each.commands for used in each.guard.names}
        for argument, type_ in command.arguments.items():
            if argument not in looked and type_.kind not in FOR_PEOPLE:
                why = f"nothing looks at the argument {argument} of {name}"
                yield finding("TS115", machine, why, "command", name, argument)


def _parts(transition: Transition) -> Iterator[Expression]:
    """Every expression of a transition."""
    yield from (part for part in (transition.guard, transition.upto) if part is not None)
    yield from (move.amount for move in transition.moves)
    yield from transition.sets.values()
    for drive in transition.drives:
        yield from drive.arguments.values()
    if transition.ask:
        yield from transition.ask.arguments.values()
    for then in transition.then:
        yield from then.arguments.values()
