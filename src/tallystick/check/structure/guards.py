"""Whether every value gets exactly one answer: one transition, or a refusal with its reason."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.check.finding import Finding, finding
from tallystick.check.structure.reachable import Reachability
from tallystick.check.structure.trials import Cell, StartClass
from tallystick.check.structure.witnesses import smallest_cases, values_in_words, witnesses
from tallystick.check.wording import joined

WORDS: dict[object, object] = {None: "none", "-": "less than 0", "+": "more than 0", "a": "given"}


def check_guards(reachable: Reachability) -> Iterator[Finding]:
    """TS104, TS105, TS116 and TS117."""
    yield from _ambiguous(reachable)
    yield from _unanswered(reachable)
    yield from _never_fires(reachable)
    yield from _never_refuses(reachable)


def _ambiguous(reachable: Reachability) -> Iterator[Finding]:
    for each in witnesses(reachable, lambda observed: observed.ambiguous, by_command=True):
        values = values_in_words(each.case, _names(each.cell))
        why = f"{joined(each.names)} answer {each.cell.command} in {joined(each.states)} at once: {values}"
        place = _place(reachable, each.cell, each.names[-1])
        yield finding("TS104", reachable.machine, why, *place, story=reachable.path_to(each.states[0]))


def _unanswered(reachable: Reachability) -> Iterator[Finding]:
    found: dict[tuple[str, str], tuple[Cell, list[str]]] = {}
    for cells in reachable.cells.values():
        for cell in cells:
            cases = smallest_cases(reachable, cell, lambda observed: observed.unanswered).values()
            readable = sorted(cases, key=lambda case: case.rank)
            some = list(dict.fromkeys(values_in_words(case, _names(cell)) for case in readable))[:3]
            if some:
                _, states = found.setdefault((cell.command, "; with ".join(some)), (cell, []))
                states.append(cell.state)
    for (command, some_values), (cell, states) in found.items():
        why = f"{command} in {joined(states)} is neither answered nor refused with {some_values}"
        place = _place(reachable, cell, cell.rows[0].name if cell.rows else "")
        yield finding("TS105", reachable.machine, why, *place, story=reachable.path_to(states[0]))


def _names(cell: Cell) -> set[str]:
    """What the guards of a cell look at."""
    guards = [row.transition.guard for row in cell.rows] + [each.guard for each in cell.refusals]
    return {name for guard in guards if guard for name in guard.names}


def _place(reachable: Reachability, cell: Cell, name: str) -> tuple[str, ...]:
    """Where a transition stands, or a refusal that is named by its sentence."""
    if name in reachable.machine.transitions:
        return ("transition", name, "when")
    for index, each in enumerate(reachable.machine.refuse):
        if each in cell.refusals and (not name or name == f"“{each.says}”"):
            return ("refuse", str(index), "when")
    return ("command", cell.command)


# What never happens


def _never_fires(reachable: Reachability) -> Iterator[Finding]:
    """Transitions that cannot fire, from one of their states or at all."""
    machine = reachable.machine
    for name, transition in machine.transitions.items():
        never: dict[str, list[str]] = {}
        for state in filter(reachable.reached, transition.sources):
            cells = [each for each in reachable.cells[state] if any(row.name == name for row in each.rows)]
            here = [observed for each in cells for _, observed in reachable.observed(each)]
            if not any(name in each.fires or any(name in names for names in each.ambiguous) for each in here):
                never.setdefault(_why(reachable, cells, name), []).append(state)
        for why, states in never.items():
            everywhere = len(states) == len(transition.sources) and len(states) > 1
            what = f"{name} can never happen{'' if everywhere else f' from {joined(states)}'}: {why}"
            yield finding("TS116", machine, what, "transition", name, "when" if everywhere else "from")


def _why(reachable: Reachability, cells: list[Cell], name: str) -> str:
    """What a transition needs and its state never has."""
    guard = reachable.machine.transitions[name].guard
    wanted = [
        (each.state, start) for each in cells for start, observed in each.observed.items() if name in observed.fires
    ]
    if not wanted:
        return f"'{guard.source}' is never true" if guard else "a refusal comes before it every time"
    missing = min((_missing(reachable, state, start) for state, start in wanted), key=len)
    return joined(missing) if missing else "what it needs never comes together there"


def _missing(reachable: Reachability, state: str, start: StartClass) -> list[str]:
    found = []
    for account, bit in reachable.trials.bit.items():
        if start.mask & bit and not reachable.may_be_alone(state, account, holding=bool(start.bits & bit)):
            found.append(f"{account} {'is always empty' if start.bits & bit else 'always holds something'} there")
    for fact, wanted in start.facts:
        if wanted not in reachable.classes(state, fact):
            found.append(f"{fact} is never {WORDS.get(wanted, wanted)} there")
    return found


def _never_refuses(reachable: Reachability) -> Iterator[Finding]:
    machine = reachable.machine
    given = {each for cells in reachable.cells.values() for cell in cells
             for _, observed in reachable.observed(cell) for each in observed.refuses}  # fmt: skip
    for index, each in enumerate(machine.refuse):
        if each.guard and each not in given and any(reachable.reached(state) for state in each.states):
            why = f"'{each.guard.source}' is never true in {joined(each.states)}, so this refusal is never given"
            yield finding("TS117", machine, why, "refuse", str(index), "when")
