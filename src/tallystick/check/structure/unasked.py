"""Whether somebody asks about all value: an invariant, an end, an example, or a question of `check` itself.

At an end nothing is held, but for accounts that are `kept`. What stands there stays, and if nothing reads it, no wrong
amount of it would show anywhere. The same holds of value that one command moves in two machines: where no account here
stands for the linked entity, and no invariant there sums what is here, the two may be different amounts. What an author
shows in an example is asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.check.agreement import agreement
from tallystick.check.expressions import expressions
from tallystick.check.finding import Finding, finding
from tallystick.check.structure.reachable import Reachability
from tallystick.check.wording import joined
from tallystick.definition.declared import Drive, Transition
from tallystick.definition.machine import Machine, Machines


def check_unasked(reachable: Reachability) -> Iterator[Finding]:
    """TS129."""
    machines, machine = reachable.trials.machines, reachable.machine
    asked = _asked(machines, machine)
    for name, account in machine.accounts.items():
        ends = [each for each in machine.states.values() if each.final] or list(machine.states.values())
        stays = [each.name for each in ends if reachable.reached(each.name) and reachable.may_hold(each.name, name)]
        if account.kept and stays and name not in asked:
            why = (
                f"value may stay on {name} in {joined(stays)}, and nothing asks whether it is the right amount: "
                f"no invariant, no guard, no move and no example speaks of it"
            )
            yield finding("TS129", machine, why, "account", name)
    for transition in machine.transitions.values():
        for drive in transition.drives:
            if _apart(machines, machine, transition, drive):
                why = (
                    f"{transition.name} moves value here and, by {drive.command}, of {drive.link}, and nothing asks "
                    f"whether it is the same amount: no outside account here is called {drive.link}, no invariant of "
                    f"{drive.machine} sums what is here, and no example shows both"
                )
                yield finding("TS129", machine, why, "transition", transition.name, "drive")


def _asked(machines: Machines, machine: Machine) -> set[str]:
    """The accounts of a machine of which something speaks."""
    parts = [part for each in machine.transitions.values() for part in expressions(each)]
    parts += [each.guard for each in machine.refuse if each.guard]
    parts += [each.always for each in machine.invariants.values()]
    found = {name for each in parts for name in each.names}
    found |= {move.source for each in machine.transitions.values() for move in each.moves}
    found |= {name for each in machine.examples.values() for name in each.ends}
    for other in machines.values():
        sums = (total for each in other.invariants.values() for total in each.sums.values())
        found |= {total.account for total in sums if total.machine == machine.name}
        read = (name for each in other.transitions.values() for name in each.reads)
        found |= {name.rpartition(".")[2] for name in read}  # of its parts, or of what it links to
        found |= {name.rpartition(".")[2] for each in other.examples.values() for name in each.ends if "." in name}
    shared = {each.command for other in machines.values() for transition in other.transitions.values()
              for each in transition.then if each.each == machine.name and each.shares}  # fmt: skip
    for transition in machine.transitions.values():  # what shares move adds up, or that is found
        found |= {move.target for move in transition.moves if shared & set(transition.commands)}
    its = agreement(machines, machine)
    return found | set(its.reading if its is not None else ())


def _apart(machines: Machines, machine: Machine, transition: Transition, drive: Drive) -> bool:
    """Whether a transition and what it drives both move value, and nothing asks whether they move the same."""
    linked = machines[drive.machine]
    theirs = [each for each in linked.transitions.values() if drive.command in each.commands]
    here = _crossing(machine, [transition])
    there = _crossing(linked, theirs)
    together = [each for each in transition.drives if each.machine == drive.machine]  # value goes between them
    if not here or not there or drive.link in machine.outside or len(together) > 1:
        return False
    sums = (total for each in linked.invariants.values() for total in each.sums.values())
    if any((total.machine, total.fact) == (machine.name, drive.link) for total in sums):
        return False
    ends = [{name.rpartition(".")[2] for name in each.ends if "." in name} | {
        name for name in each.ends if "." not in name} for each in machine.examples.values()]  # fmt: skip
    return not any(each & here and each & there for each in ends)


def _crossing(machine: Machine, transitions: list[Transition]) -> set[str]:
    """The accounts that exchange value with what lies outside."""
    moves = [move for each in transitions for move in each.moves]
    inside = machine.accounts.keys()
    return {name for each in moves for name in (each.source, each.target)
            if name in inside and (each.source in inside) != (each.target in inside)}  # fmt: skip
