"""What a picture of a machine shows, whatever its format: states, and what happens between them and in them.

Everything comes from the definition. Three things are worked out here for the reader:

* *Arrows.* All transitions between the same two states are one arrow. A machine with four ways to settle has one line
  between two boxes, not four.
* *Stays.* A transition that keeps the state is a line in its box, not a loop beside it. An issued card has many.
* *The way.* It begins at the start. From each state it goes to the one that comes next on the page, among those one
  step away, because a page tells the usual life in order. A step that moves no value and can be undone (suspend,
  reinstate) is a pause and not on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import attrs

from tallystick.definition.declared import Then, Transition
from tallystick.definition.expression import Expression
from tallystick.definition.machine import Machine


@attrs.frozen
class Call:
    """What a transition needs from others: it asks the provider, or drives an entity of another machine."""

    does: str  # asks, drives
    what: str  # hold, card.hold
    arguments: str  # "amount, pin"
    partial: bool = False  # the provider may confirm less

    def __str__(self) -> str:
        return f"{self.does} {_call_text(self.what, self.arguments)}{', perhaps less' if self.partial else ''}"


@attrs.frozen
class Step:
    """A transition, in words."""

    name: str
    commands: tuple[str, ...]  # that it answers
    conditions: tuple[str, ...]  # the guard: all of them have to be true
    money: tuple[str, ...]  # "held → redeemed: amount"
    calls: tuple[Call, ...]
    sets: tuple[str, ...]  # "hold = outcome.reference"
    follow_ups: tuple[str, ...]  # commands queued in the same commit, with their arguments
    driven: bool  # only another machine gives the command

    @property
    def title(self) -> str:
        """The command, with the transition's name if that says more: settle · part, cancel (withdraw)."""
        if self.name in self.commands:
            return " or ".join(self.commands)
        first, rest = self.commands[0], self.name.removeprefix(f"{self.commands[0]}_")
        if len(self.commands) == 1 and rest != self.name:
            return f"{first} · {rest}"
        return f"{' or '.join(self.commands)} ({self.name})"


@attrs.frozen
class Node:
    """A state. `stays` are the transitions that keep it."""

    name: str
    says: str
    start: bool
    final: bool
    usual: bool  # on the way
    stays: tuple[Step, ...]


@attrs.frozen
class Arrow:
    """What leads from one state to another. `declined`: where it leads when the provider declines."""

    source: str
    target: str
    steps: tuple[Step, ...]
    declined: bool
    usual: bool  # on the way


@attrs.frozen
class Line:
    """A whole transition: from where, to where (None: it stays), and where a declined call leads."""

    step: Step
    sources: tuple[str, ...]
    target: str | None
    otherwise: str | None


@attrs.frozen
class Diagram:
    """All of a machine's picture."""

    name: str
    version: int
    summary: str
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]
    lines: tuple[Line, ...]


def draw(machine: Machine) -> Diagram:
    """The picture of a machine; states and transitions in the order of the page."""
    steps = {name: _step(machine, each) for name, each in machine.transitions.items()}
    way = _way(machine)
    taken = set(pairwise(way))
    stays: dict[str, list[Step]] = {state: [] for state in machine.states}
    joined: dict[tuple[str, str, bool], list[Step]] = {}
    for source, target, name, declined in _edges(machine):
        if source == target:
            stays[source].append(steps[name])
        else:
            joined.setdefault((source, target, declined), []).append(steps[name])
    nodes = [
        Node(each.name, each.says, each.start, each.final, each.name in way, tuple(stays[each.name]))
        for each in machine.states.values()
    ]
    arrows = [
        Arrow(source, target, tuple(steps), declined, usual=not declined and (source, target) in taken)
        for (source, target, declined), steps in joined.items()
    ]
    lines = [Line(steps[each.name], each.sources, each.target, each.otherwise) for each in machine.transitions.values()]
    return Diagram(machine.name, machine.version, machine.summary, tuple(nodes), tuple(arrows), tuple(lines))


def _edges(machine: Machine) -> Iterator[tuple[str, str, str, bool]]:
    """(source, target, transition, declined), by source and then in the order of the page."""
    for state in machine.states:
        for each in machine.transitions.values():
            if state not in each.sources:
                continue
            yield state, each.target or state, each.name, False
            if each.otherwise and each.otherwise != state:
                yield state, each.otherwise, each.name, True


def _way(machine: Machine) -> list[str]:
    """The states of the usual life, in order."""
    order = list(machine.states)
    edges = [(source, target, name) for source, target, name, declined in _edges(machine) if not declined]
    ways = {(source, target) for source, target, _ in edges}
    moving = {(source, target) for source, target, name in edges if machine.transitions[name].moves}
    way = [machine.start]
    while True:
        here = way[-1]
        later = order[order.index(here) + 1 :]
        reached = [state for state in later if (here, state) in ways]
        further = [state for state in reached if (here, state) in moving or (state, here) not in ways]
        if not further:
            return way
        way.append(further[0])


def _step(machine: Machine, transition: Transition) -> Step:
    guard, ask = transition.guard, transition.ask
    calls = [Call("asks", ask.verb, _arguments_text(ask.arguments), transition.partial is not None)] if ask else []
    calls += [
        Call("drives", f"{each.link}.{each.command}", _arguments_text(each.arguments)) for each in transition.drives
    ]
    return Step(
        name=transition.name,
        commands=transition.commands,
        conditions=tuple(part.prose for part in guard.parts or (guard,)) if guard else (),
        money=tuple(f"{move.source} → {move.target}: {move.amount.prose}" for move in transition.moves),
        calls=tuple(calls),
        sets=tuple(f"{fact} = {value.prose}" for fact, value in transition.sets.items()),
        follow_ups=tuple(_follow_up_text(each) for each in transition.then),
        driven=all(machine.commands[command].driven for command in transition.commands),
    )


def _arguments_text(arguments: Mapping[str, Expression]) -> str:
    """What is passed on. An argument with its own name is named once."""
    return ", ".join(
        value.prose if value.prose == name else f"{name} = {value.prose}" for name, value in arguments.items()
    )


def _call_text(name: str, arguments: str) -> str:
    return f"{name}({arguments})" if arguments else name


def _follow_up_text(then: Then) -> str:
    called = _call_text(then.name, _arguments_text(then.arguments))
    return f"{called} when {then.when.prose}" if then.when is not None else called


def first_drawn(diagram: Diagram) -> dict[str, tuple[str, str]]:
    """Where each transition is written out: on the usual way if it is part of it, else on its first arrow."""
    drawn: dict[str, tuple[str, str]] = {}
    for arrow in sorted(diagram.arrows, key=lambda arrow: not arrow.usual):
        if not arrow.declined:
            for step in arrow.steps:
                drawn.setdefault(step.name, (arrow.source, arrow.target))
    return drawn
