"""Whether all facts, commands and arguments that are declared are used.

A text or a card number may be there for people only, as an order's number is. An amount, a count, a flag, a choice or a
link that nothing looks at is a rule that somebody forgot to write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tallystick.check.callers import drivers
from tallystick.check.expressions import expressions
from tallystick.check.finding import Finding, finding
from tallystick.check.structure.reachable import Reachability
from tallystick.definition.declared import RefusedOnPurpose, Transition
from tallystick.definition.machine import Machine, Machines
from tallystick.provider.verbs import EFFECTS

FOR_PEOPLE = ("text", "number", "time")


def check_unused(reachable: Reachability) -> Iterator[Finding]:
    """TS111, TS114 and TS115."""
    yield from _facts(reachable.trials.machines, reachable.machine)
    yield from _commands(reachable.trials.machines, reachable.machine)


def _facts(machines: Machines, machine: Machine) -> Iterator[Finding]:
    transitions = list(machine.transitions.values())
    used = _looked_at(transitions, machine.refuse)
    used |= {
        total.fact
        for other in machines.values()
        for invariant in other.invariants.values()
        for total in invariant.sums.values()
        if total.machine == machine.name
    }
    used |= {name for invariant in machine.invariants.values() for name in invariant.always.names}
    used |= {other.parts[machine.name] for other in machines.values() if machine.name in other.parts}
    set_later = {name for each in transitions for name in each.sets}
    for name, fact in machine.facts.items():
        if fact.later and name not in set_later:
            yield finding("TS111", machine, f"{name} is declared `later`, but no transition sets it", "fact", name)
        elif name not in used and fact.type.kind not in FOR_PEOPLE:
            why = f"nothing uses {name}: no guard, amount, drive or call, and it is no text or time for people"
            yield finding("TS111", machine, why, "fact", name)
        elif name not in used and (opened := _names_opened(transitions, name)):
            why = f"{name} is the provider's name of a {opened}, and no call is told it, though one uses a {opened}"
            yield finding("TS111", machine, why, "fact", name)


def _names_opened(transitions: list[Transition], fact: str) -> str:
    """What a fact names that a call has opened and another one uses: a hold or a transaction; nothing, if none."""
    asking = [(each, EFFECTS[each.ask.verb]) for each in transitions if each.ask is not None]
    opened = {effect.opens for each, effect in asking
              if fact in each.sets and each.sets[fact].source.strip() == "outcome.reference"}  # fmt: skip
    return next(iter(sorted(opened & {effect.names for _, effect in asking} - {""})), "")


def _commands(machines: Machines, machine: Machine) -> Iterator[Finding]:
    for name, command in machine.commands.items():
        answering = [each for each in machine.transitions.values() if name in each.commands]
        if not answering:
            yield finding("TS114", machine, f"no state answers {name}", "command", name)
            continue
        if command.driven and not drivers(machines, machine.name, name):
            why = f"only other machines may give {name}, and none does"
            yield finding("TS114", machine, why, "command", name)
        used = _looked_at(answering, (each for each in machine.refuse if name in each.commands))
        for argument, type_ in command.arguments.items():
            if argument not in used and type_.kind not in FOR_PEOPLE:
                why = f"nothing uses the argument {argument} of {name}"
                yield finding("TS115", machine, why, "command", name, argument)


def _looked_at(transitions: list[Transition], refusals: Iterable[RefusedOnPurpose]) -> set[str]:
    names = {name for each in transitions for part in expressions(each) for name in part.names}
    names |= {drive.link for each in transitions for drive in each.drives}
    names |= {then.shares for each in transitions for then in each.then if then.shares is not None}
    return names | {name for each in refusals if each.guard for name in each.guard.names}
