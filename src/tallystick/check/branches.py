"""The comparisons of a guard, told apart, to see that each was true once and false once.

A guard `0 < amount <= held and not last` has three: `0 < amount`, `amount <= held`, `last`. Each is looked at on its
own, whatever the others say: one that is never false lets nothing through less, so either it is not needed or the
search has not been where it counts.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from tallystick.expression import Expression
from tallystick.machine import Machine


@attrs.define
class Comparison:
    """One comparison of one guard: the transition, its text, and what it has been so far."""

    transition: str
    text: str
    looks: Any
    seen: set[bool] = attrs.field(factory=set)


class Branches:
    """The comparisons of a machine's guards, until each was seen both ways."""

    def __init__(self, machine: Machine) -> None:
        self.comparisons = {
            name: [Comparison(name, text, looks) for text, looks in _comparisons(each.guard)]
            for name, each in machine.transitions.items()
            if each.guard is not None
        }
        self._open = {name: list(each) for name, each in self.comparisons.items()}

    def look(self, transition: str, accounts: Mapping[str, int], facts: Any, args: Any, state: str) -> None:
        """Note what each comparison of a guard is with these values, as far as it can be asked."""
        waiting = self._open.get(transition)
        if not waiting:
            return
        for each in waiting:
            try:
                each.seen.add(bool(each.looks(accounts, facts, args, state)))
            except TypeError:  # something is missing that the rest of the guard asks about first
                continue
        self._open[transition] = [each for each in waiting if len(each.seen) < 2]


def _comparisons(guard: Expression) -> Iterator[tuple[str, Any]]:
    """Text and function of each. The code was made from the source, so both trees have the same shape."""
    source, code = (ast.parse(text.strip(), mode="eval").body for text in (guard.source, guard.code))
    for text, each in zip(_atoms(source), _atoms(code), strict=True):
        function = eval(f"lambda v, f, a, s: {ast.unparse(each)}", {"__builtins__": {}})
        yield ast.unparse(text), function


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
