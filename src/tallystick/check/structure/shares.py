"""Whether shares are given to the parts, and add up: together they are what was asked, or are written down.

Shares come from outside. If a guard lets them add up to anything, the parts get more or less than the command says, and
no part can notice: each of them sees its own share alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.check.expressions import expressions
from tallystick.check.finding import Finding, finding
from tallystick.check.structure.follow_ups import firings
from tallystick.check.structure.reachable import Reachability
from tallystick.check.structure.trials import Case
from tallystick.check.structure.witnesses import values_in_words
from tallystick.definition.declared import SHARE, TOTAL, Transition
from tallystick.definition.machine import Machine, Row


def check_shares(reachable: Reachability) -> Iterator[Finding]:
    """TS124 and TS125."""
    for name, row in reachable.machine.rows.items():
        for each in _given_to_nobody(reachable.machine, row.transition):
            why = f"{name} gets {each} and gives them to no part: queue `then: each …(amount={SHARE})`"
            yield finding("TS125", reachable.machine, why, "transition", name, "then")
        for shares in sorted({each.shares for each in row.transition.then if each.shares is not None}):
            total = f"{shares}.{TOTAL}"
            case = None if _written_down(row.transition, total) else _loose(reachable, row, total)
            if case is not None:
                why = f"{name} gives its parts {shares} that need not add up: it happens with {case}"
                yield finding("TS124", reachable.machine, why, "transition", name, "when")


def _given_to_nobody(machine: Machine, transition: Transition) -> list[str]:
    """The shares of its commands of which it queues nothing for a part. If no transition does, TS115 says so."""
    given = {each.shares for each in transition.then}
    alike = [each for each in machine.transitions.values() if set(each.commands) & set(transition.commands)]
    ever = {then.shares for each in alike for then in each.then}
    arguments = {
        name: type_ for each in transition.commands for name, type_ in machine.commands[each].arguments.items()
    }
    return sorted(name for name, type_ in arguments.items() if type_.kind == "shares" and name in ever - given)


def _written_down(transition: Transition, total: str) -> bool:
    """Whether the total decides what is moved, set or handed on: then it is what the command is about."""
    guards = {id(each) for each in (transition.guard, *transition.upto)}
    return any(total in each.names for each in expressions(transition) if id(each) not in guards)


def _loose(reachable: Reachability, row: Row, total: str) -> str | None:
    """Two cases, or one, that show it: everything but the total is alike in them, and both happen."""
    machine = reachable.machine
    asked = row.transition.guard.names if row.transition.guard is not None else frozenset()
    totals: dict[tuple[object, ...], Case] = {}
    for case, firing in firings(reachable, row):
        commands = row.transition.commands
        refusals = [each for command in commands for each in machine.refused.get((firing.state, command), ())]
        if any(each.fires(firing.accounts, firing.facts, firing.args, firing.state, None) for each in refusals):
            continue
        rest = tuple((each.name, value) for each, value in case.values if each.name != total)
        if len(rest) == len(case.values):  # nothing looks at the total
            return f"{values_in_words(case, asked)}, whatever they add up to" if asked else "any values"
        other = totals.setdefault((firing.state, *rest), case)
        if other is not case:
            return f"{values_in_words(other, asked)}, and with {values_in_words(case, [total])}"
    return None
