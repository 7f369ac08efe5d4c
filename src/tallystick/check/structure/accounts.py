"""Whether value on an account can leave it again, and whether each account is moved by those who should."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.check.finding import Finding, finding
from tallystick.check.structure.reachable import Reachability, closure
from tallystick.check.wording import joined
from tallystick.definition.machine import Machine


def check_accounts(reachable: Reachability) -> Iterator[Finding]:
    """TS108, TS112, TS113 and TS120."""
    machine = reachable.machine
    moves = [move for each in machine.transitions.values() for move in each.moves]
    sources, targets = {move.source for move in moves}, {move.target for move in moves}
    for name, account in machine.accounts.items():
        if name not in targets:
            why = f"no transition moves value onto {name}" + ("" if name in sources else ", or off it")
            yield finding("TS112", machine, why, "account", name)
            continue
        kept = [state for state in machine.states if not account.kept and _stays(reachable, state, name)]
        if kept:
            why = f"value on {name} in {joined(kept)} can never leave it: no way leads to a transition that moves it"
            yield finding("TS108", machine, why, "account", name, story=reachable.path_to(kept[0]))
    for name in machine.outside:
        if name not in sources | targets:
            yield finding("TS113", machine, f"no transition moves value from or to {name}", "outside", name)
    yield from _moved_by(machine)


def _stays(reachable: Reachability, state: str, account: str) -> bool:
    """Whether value may stand on an account in a state, and no way from there takes it off."""
    return (
        reachable.reached(state)
        and reachable.may_hold(state, account)
        and not any(
            (each, name) in reachable.can_fire
            for name, transition in reachable.machine.transitions.items()
            if any(move.source == account for move in transition.moves)
            for each in closure(reachable.ways, [state])
        )
    )


def _moved_by(machine: Machine) -> Iterator[Finding]:
    """Whether outside accounts are moved by the commands that they name, and by no others."""
    moving: dict[str, set[str]] = {name: set() for name in machine.moved_by}
    for transition in machine.transitions.values():
        for move in transition.moves:
            for name in {move.source, move.target} & moving.keys():
                moving[name].update(transition.commands)
                if not set(transition.commands) <= {*machine.moved_by[name]}:
                    by = joined(machine.moved_by[name])
                    why = f"{transition.name} moves value from or to {name}, but its `by:` only names {by}"
                    yield finding("TS120", machine, why, "move", transition.name, f"{move.source} -> {move.target}")
    for name, commands in machine.moved_by.items():
        silent = [each for each in commands if each not in moving[name]]
        if silent and moving[name]:  # what nothing moves is found as TS113
            why = f"the `by:` of {name} names {joined(silent)}, but no transition of that command moves it"
            yield finding("TS120", machine, why, "outside", name, "by")
