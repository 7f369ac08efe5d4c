"""Which comparisons of a guard were true once and false once.

A guard `0 < amount <= held and not last` has three comparisons: `0 < amount`, `amount <= held` and `last`. Each is
looked at on its own, whatever the others say. A comparison that is never false keeps nothing out: either it is not
needed, or the search has not been where it counts. Whether two links name one entity is not asked: in the worlds of the
model they never do, which says nothing about the page.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import attrs

from tallystick.definition.declared import Transition
from tallystick.definition.machine import Machine


@attrs.define
class Comparison:
    """One comparison of one guard, and what it has been so far."""

    text: str
    compare: Any  # the function, over accounts, facts, arguments and the state
    results: set[bool] = attrs.field(factory=set)


class GuardCoverage:
    """The comparisons of a machine's guards, until each was seen both ways."""

    def __init__(self, machine: Machine) -> None:
        self.comparisons = {
            name: [
                Comparison(text, compare)
                for text, compare in _comparisons(each.guard.source, each.guard.code, _links(machine, each))
            ]
            for name, each in machine.transitions.items()
            if each.guard is not None
        }  # by transition
        self._open = {name: list(each) for name, each in self.comparisons.items()}

    def note(self, transition: str, accounts: Mapping[str, int], facts: Any, args: Any, state: str) -> None:
        """Note what each comparison of a guard is with these values, as far as it can be asked."""
        waiting = self._open.get(transition)
        if not waiting:
            return
        for each in waiting:
            try:
                each.results.add(bool(each.compare(accounts, facts, args, state)))
            except TypeError:  # something is missing that the rest of the guard asks about first
                continue
        self._open[transition] = [each for each in waiting if len(each.results) < 2]


def _links(machine: Machine, transition: Transition) -> frozenset[str]:
    types = {name: fact.type for name, fact in machine.facts.items()}
    for command in transition.commands:
        types |= machine.commands[command].arguments
    return frozenset(name for name, type_ in types.items() if type_.kind == "link")


@lru_cache(1024)
def _comparisons(source: str, code: str, links: frozenset[str]) -> list[tuple[str, Any]]:
    """Text and function of each. The code was made from the source, so both trees have the same shape."""
    found = []
    for text, each in zip(*(_atoms(ast.parse(side.strip(), mode="eval").body) for side in (source, code)), strict=True):
        if isinstance(text, ast.Compare) and {ast.unparse(side) for side in (text.left, *text.comparators)} <= links:
            continue
        function = eval(f"lambda v, f, a, s: {ast.unparse(each)}", {"__builtins__": {}})
        found.append((ast.unparse(text), function))
    return found


def _atoms(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.BoolOp(_, values):
            for value in values:
                yield from _atoms(value)
        case ast.UnaryOp(ast.Not(), operand):
            yield from _atoms(operand)
        case ast.Compare(left, ops, comparators) if len(ops) > 1:
            for op, right in zip(ops, comparators, strict=True):
                yield ast.Compare(left, [op], [right])
                left = right
        case _:
            yield node
