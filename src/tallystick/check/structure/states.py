"""Whether every state can be reached, left and brought to an end, and has an answer to every command."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.check.finding import Finding, finding
from tallystick.check.structure.reachable import Reachability, closure, declared_ways
from tallystick.check.wording import joined
from tallystick.definition.machine import Machine, Row


def check_states(reachable: Reachability) -> Iterator[Finding]:
    """TS101, TS102, TS103 and TS107."""
    yield from _unreached(reachable.machine)
    yield from _traps(reachable)
    yield from _unanswered(reachable)
    yield from _declined(reachable)


def _unreached(machine: Machine) -> Iterator[Finding]:
    """States to which no transition leads. If one does and can never fire, that is found as TS116."""
    leads = declared_ways(machine)
    reached = closure(leads, [machine.start])
    for state in machine.states:
        if state not in reached:
            from_ = sorted(source for source, targets in leads.items() if state in targets)
            who = f"only {joined(from_)}, which nothing leads to either," if from_ else "no transition"
            yield finding("TS101", machine, f"{who} leads to {state}", "state", state)


def _traps(reachable: Reachability) -> Iterator[Finding]:
    """States from which no end can be reached: one finding for a group of states that lead to each other."""
    machine = reachable.machine
    reached = [state for state in machine.states if reachable.reached(state)]
    back: dict[str, set[str]] = {}
    for source, targets in reachable.ways.items():
        for target in targets:
            back.setdefault(target, set()).add(source)
    ending = closure(back, [state for state in reached if machine.states[state].final])
    found: set[str] = set()
    for state in reached:
        ahead = closure(reachable.ways, [state])
        if state in ending or state in found or any(state not in closure(reachable.ways, [each]) for each in ahead):
            continue  # it ends, is found already, or only leads to the real trap
        others = [each for each in reached if each in ahead and each != state]
        found |= ahead
        why = f"no way leads from {state} to an end" + (
            f" (it only leads on to {joined(others, 'or')})" if others else ""
        )
        yield finding("TS102", machine, why, "state", state, story=reachable.path_to(state))


def _unanswered(reachable: Reachability) -> Iterator[Finding]:
    machine = reachable.machine
    for command in machine.commands:
        silent = [
            state
            for state in machine.states
            if reachable.reached(state)
            and not any((state, command) in each for each in (machine.table, machine.on_purpose, machine.refused))
        ]
        if silent:
            why = f"{command} in {joined(silent)} is neither answered nor refused on purpose"
            yield finding("TS103", machine, why, "command", command)


def _declined(reachable: Reachability) -> Iterator[Finding]:
    """Calls after whose decline nothing can be done but to ask the same again."""
    machine = reachable.machine
    for name, row in machine.rows.items():
        otherwise = row.transition.otherwise
        stuck = [
            state
            for state in row.transition.sources
            if reachable.trials.calls[name]
            and (state, name) in reachable.can_fire
            and not _goes_on(reachable, row, otherwise or state)
        ]
        if stuck and row.changes:
            why = (
                f"when the provider declines {name} in {joined(stuck)}, nothing leads on"
                f"{f' from {otherwise}' if otherwise else ''}; the same can only be tried again"
            )
            yield finding("TS107", machine, why, "transition", name, story=reachable.path_to(stuck[0]))


def _goes_on(reachable: Reachability, declined: Row, state: str) -> bool:
    """Whether a state is an end, or something but the declined command changes it or moves value there."""
    return reachable.machine.states[state].final or any(
        row.changes or row.lines
        for cell in reachable.cells[state]
        if cell.command not in declined.transition.commands
        for row in cell.rows
        if any(row.name in observed.fires for _, observed in reachable.observed(cell))
    )
