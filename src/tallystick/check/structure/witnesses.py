"""The witness of what was observed: the case that is easiest to read, and all states in which it was seen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import attrs

from tallystick.check.structure.reachable import Reachability
from tallystick.check.structure.trials import Case, Cases, Cell, Observed
from tallystick.check.wording import CURRENCY, joined
from tallystick.core.refusal import shown


@attrs.define
class Witness:
    """Something that was observed."""

    names: tuple[str, ...]  # what it is about, such as the transitions that answer at once
    cell: Cell  # where it was observed first
    case: Case
    states: list[str] = attrs.field(factory=list)  # all in which it was observed


def witnesses(
    reachable: Reachability, kind: Callable[[Observed], Cases], *, by_command: bool = False
) -> Iterator[Witness]:
    """One witness for everything of a kind, whatever the state; `by_command`: one for each command."""
    found: dict[tuple[str, ...], Witness] = {}
    for cells in reachable.cells.values():
        for cell in cells:
            for names, case in smallest_cases(reachable, cell, kind).items():
                key = (cell.command if by_command else "", *names)
                witness = found.setdefault(key, Witness(names, cell, case))
                if cell.state not in witness.states:
                    witness.states.append(cell.state)
    yield from found.values()


def smallest_cases(reachable: Reachability, cell: Cell, kind: Callable[[Observed], Cases]) -> Cases:
    """The easiest case of each observation in a cell, of the cases that can occur."""
    smallest: Cases = {}
    for _, observed in reachable.observed(cell):
        for names, case in kind(observed).items():
            if names not in smallest or case.rank < smallest[names].rank:
                smallest[names] = case
    return smallest


def values_in_words(case: Case, names: Collection[str] | None = None) -> str:
    """The values of a case, or those that have these names: `amount 0.01, held 0.02 and last no`."""
    chosen = [pair for pair in case.values if names is None or pair[0].name in names]
    arguments_first = sorted(chosen, key=lambda pair: "avf".index(pair[0].place))
    parts = [f"{each.name} {shown(value, each.type, CURRENCY)}" for each, value in arguments_first]
    return joined(parts) if parts else "any values"
