"""Whether every state can be reached, left and brought to an end, and has an answer to every command."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tallystick.check.finding import Finding, finding
from tallystick.check.standing import Standing
from tallystick.check.words import joined
from tallystick.definition.machine import Machine, Row


def states(standing: Standing) -> Iterator[Finding]:
    """TS101, TS102, TS103 and TS107."""
    yield from _unreached(standing.machine)
    yield from _traps(standing)
    yield from _unanswered(standing)
    yield from _declined(standing)


def _unreached(machine: Machine) -> Iterator[Finding]:
    """States that no transition leads to. One whose transitions never happen is told of as their fault (TS116)."""
    leads: dict[str, set[str]] = {}
    for each in machine.transitions.values():
        for source in each.sources:
            leads.setdefault(source, set()).update(state for state in (each.target, each.otherwise) if state)
    reached = _closure(leads, [machine.start])
    for state in machine.states:
        if state not in reached:
            from_ = sorted(source for source, targets in leads.items() if state in targets)
            how = (
                f"only {joined(from_)}, which nothing leads to either, leads to" if from_ else "no transition leads to"
            )
            yield finding("TS101", machine, f"{how} {state}", "state", state)


def _traps(standing: Standing) -> Iterator[Finding]:
    """States from which no end can be reached; told once for a group of states that lead to each other."""
    machine = standing.machine
    reached = [state for state in machine.states if standing.reached(state)]
    back: dict[str, set[str]] = {}
    for source, targets in standing.ways.items():
        for target in targets:
            back.setdefault(target, set()).add(source)
    ending = _closure(back, [state for state in reached if machine.states[state].final])
    told: set[str] = set()
    for state in reached:
        ahead = _closure(standing.ways, [state])
        if state in ending or state in told or any(state not in _closure(standing.ways, [each]) for each in ahead):
            continue  # it ends, is told of, or leads on to the real trap
        others = [each for each in reached if each in ahead and each != state]
        told |= ahead
        round_ = f" (from there only to {joined(others, 'or')})" if others else ""
        yield finding(
            "TS102",
            machine,
            f"no way leads from {state} to an end{round_}",
            "state",
            state,
            story=standing.story(state),
        )


def _unanswered(standing: Standing) -> Iterator[Finding]:
    machine = standing.machine
    for command in machine.commands:
        silent = [
            state
            for state in machine.states
            if standing.reached(state)
            and not any((state, command) in each for each in (machine.table, machine.on_purpose, machine.refused))
        ]
        if silent:
            why = f"{command} in {joined(silent)} is neither answered nor refused on purpose"
            yield finding("TS103", machine, why, "command", command)


def _declined(standing: Standing) -> Iterator[Finding]:
    """Calls after whose decline nothing else can be done than to ask the same again."""
    machine = standing.machine
    for name, asks in standing.cases.asks.items():
        row = machine.rows[name]
        stuck = [
            state
            for state in row.transition.sources
            if asks
            and (state, name) in standing.happens
            and not _goes_on(standing, row, row.transition.otherwise or state)
        ]
        if stuck and row.changes:
            why = (
                f"when the provider declines {name} in {joined(stuck)}, nothing else leads on"
                f"{f' from {row.transition.otherwise}' if row.transition.otherwise else ''}: it can only be tried again"
            )
            yield finding("TS107", machine, why, "transition", name, story=standing.story(stuck[0]))


def _goes_on(standing: Standing, declined: Row, state: str) -> bool:
    """Whether a state is an end, or something but the declined command changes it or moves value there."""
    return standing.machine.states[state].final or any(
        row.changes or row.lines
        for answer in standing.answers[state]
        if answer.command not in declined.transition.commands
        for row in answer.rows
        if any(row.name in seen.fires for _, seen in standing.cases_of(answer))
    )


def _closure(leads: Mapping[str, Iterable[str]], start: list[str]) -> set[str]:
    found, level = set(start), start
    while level:
        level = list({state for each in level for state in leads.get(each, ())} - found)
        found |= set(level)
    return found
