"""What a picture of a machine shows, whatever its format: states, and what happens between them and in them.

Everything comes from the definition. Four things are worked out here for the reader:

* *Arrows.* All transitions between the same two states are one arrow. A machine with four ways to settle has one line
  between two boxes, not four.
* *Stays.* A transition that keeps the state is a line in its box, not a loop beside it. An issued card has many.
* *Holds.* The accounts on which value stands in a state: whatever a way to it may have put there.

The usual way is what the page declares (`usual:`), or what was counted in a store. It is never guessed: without either,
no state is on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import attrs

from tallystick.definition.declared import Then, Transition
from tallystick.definition.expression import Expression
from tallystick.definition.machine import Machine

CLOCK = "◷"  # stands before the time of a follow-up that is due later


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
    flows: tuple[tuple[str, str], ...]  # (source, target) of each move
    outside: tuple[str, ...]  # the accounts of its flows that are outside the machine
    calls: tuple[Call, ...]
    sets: tuple[str, ...]  # "hold = outcome.reference"
    follow_ups: tuple[str, ...]  # commands queued in the same commit, with their arguments
    driven: bool  # only another machine gives the command
    asks: bool  # the provider, itself or by what it drives

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
    group: str  # the heading that the page gives it
    holds: tuple[str, ...]  # accounts on which its value stands


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
    usual: tuple[str, ...]  # the states of the usual way, in order
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]
    lines: tuple[Line, ...]
    accounts: Mapping[str, str]  # account, outside ones too → what it means
    outside: tuple[str, ...]


def diagram_of(machine: Machine, usual: tuple[str, ...] | None = None) -> Diagram:
    """The picture of a machine; states and transitions in the order of the page.

    `usual`: the usual way as it was counted; without it, as the page declares it.
    """
    steps = {name: _step(machine, each) for name, each in machine.transitions.items()}
    way = machine.usual if usual is None else usual
    taken = set(pairwise(way))
    stays: dict[str, list[Step]] = {state: [] for state in machine.states}
    joined: dict[tuple[str, str, bool], list[Step]] = {}
    for source, target, name, declined in _edges(machine):
        if source == target:
            stays[source].append(steps[name])
        else:
            joined.setdefault((source, target, declined), []).append(steps[name])
    holds = _holds(machine)
    nodes = [
        Node(each.name, each.says, each.start, each.final, each.name in way, tuple(stays[each.name]), each.group,
             holds[each.name])
        for each in machine.states.values()
    ]  # fmt: skip
    arrows = [
        Arrow(source, target, tuple(steps), declined, usual=not declined and (source, target) in taken)
        for (source, target, declined), steps in joined.items()
    ]
    lines = [Line(steps[each.name], each.sources, each.target, each.otherwise) for each in machine.transitions.values()]
    head = (machine.name, machine.version, machine.summary, way)
    accounts = {**{name: each.says for name, each in machine.accounts.items()}, **machine.outside}
    return Diagram(*head, tuple(nodes), tuple(arrows), tuple(lines), accounts, tuple(machine.outside))


def _edges(machine: Machine) -> Iterator[tuple[str, str, str, bool]]:
    """(source, target, transition, declined), by source and then in the order of the page."""
    for state in machine.states:
        for each in machine.transitions.values():
            if state not in each.sources:
                continue
            yield state, each.target or state, each.name, False
            if each.otherwise and each.otherwise != state:
                yield state, each.otherwise, each.name, True


def _holds(machine: Machine) -> dict[str, tuple[str, ...]]:
    """The accounts on which value stands in each state: what a way to it may have put there.

    In a final state, these are the kept ones at most. A way back from a pause brings nothing (issued → suspended →
    issued): it moves no money, and what stood there before is counted by the other ways.
    """
    edges = list(_edges(machine))
    still = {(source, target) for source, target, name, _ in edges if not machine.transitions[name].moves}
    order = list(machine.states)
    found: dict[str, set[str]] = {state: set() for state in machine.states}
    grown = True
    while grown:
        grown = False
        for source, target, name, declined in edges:
            moves = () if declined else machine.transitions[name].moves
            if not moves and (target, source) in still and order.index(target) < order.index(source):
                continue
            here = found[source] | ({move.target for move in moves} & machine.accounts.keys())
            if machine.states[target].final:
                here -= set(machine.holding)
            if not here <= found[target]:
                found[target] |= here
                grown = True
    return {state: tuple(name for name in machine.accounts if name in found[state]) for state in found}


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
        flows=tuple((move.source, move.target) for move in transition.moves),
        outside=tuple(
            each for move in transition.moves for each in (move.source, move.target) if each in machine.outside
        ),
        calls=tuple(calls),
        sets=tuple(f"{fact} = {value.prose}" for fact, value in transition.sets.items()),
        follow_ups=tuple(_follow_up_text(each) for each in transition.then),
        driven=all(machine.commands[command].driven for command in transition.commands),
        asks=ask is not None or any(each.asks for each in transition.drives),
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
    if then.later:
        called = f"{called} {CLOCK} {then.due_in_words}"
    return f"{called} when {then.when.prose}" if then.when is not None else called


def first_drawn(diagram: Diagram) -> dict[str, tuple[str, str]]:
    """Where each transition is written out: on the usual way if it is part of it, else on its first arrow."""
    drawn: dict[str, tuple[str, str]] = {}
    for arrow in sorted(diagram.arrows, key=lambda arrow: not arrow.usual):
        if not arrow.declined:
            for step in arrow.steps:
                drawn.setdefault(step.name, (arrow.source, arrow.target))
    return drawn
