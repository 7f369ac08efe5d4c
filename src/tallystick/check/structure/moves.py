"""Whether an answer can be carried out: it moves what is there, and leaves nothing behind at an end."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.check.finding import Finding, finding
from tallystick.check.structure.reachable import Reachability
from tallystick.check.structure.witnesses import values_in_words, witnesses
from tallystick.check.wording import joined
from tallystick.definition.machine import Row


def check_moves(reachable: Reachability) -> Iterator[Finding]:
    """TS106 and TS118."""
    machine = reachable.machine
    for each in witnesses(reachable, lambda observed: observed.overdrawn):
        (name,) = each.names
        values = values_in_words(each.case, _looked_at(machine.rows[name]))
        why = f"{name} in {joined(each.states)} would move value that is not there: {values}"
        yield finding("TS118", machine, why, "transition", name, "move", story=reachable.path_to(each.states[0]))
    for each in witnesses(reachable, lambda observed: observed.left_over):
        name, end, *accounts = each.names
        holding = {variable.name for variable, value in each.case.values if variable.name in accounts and value}
        values = values_in_words(each.case, _looked_at(machine.rows[name]) | holding)
        why = f"{end} is final, but {name} from {joined(each.states)} leaves value on {joined(accounts)}: {values}"
        key = "else" if machine.transitions[name].otherwise == end else "to"
        yield finding("TS106", machine, why, "transition", name, key, story=reachable.path_to(each.states[0]))


def _looked_at(row: Row) -> set[str]:
    """What a guard and the amounts look at, and what the moves take from."""
    moves, guard = row.transition.moves, row.transition.guard
    names = {name for move in moves for name in move.amount.names} | {move.source for move in moves}
    return names | (set(guard.names) if guard else set())
