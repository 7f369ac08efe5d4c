"""The values that can make a difference to a guard.

A guard compares sums of whole numbers with each other and with the numbers written in it, and asks for choices, flags
and what may be missing. Whether it is true changes only where two sides meet. So a few small numbers do for amounts,
which are never compared with a written number but 0; and for counts the written numbers too, what they add up to, and
their neighbours. Every choice, both flags, and none are tried.

This is no proof (the third floor is), but each value tried is a value that the real guard was asked with.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Collection, Iterable, Iterator

import attrs

from tallystick.definition.expression import MONEY, Expression, Type
from tallystick.definition.machine import Machine, Transition

MOST = 20_000  # cases of one command in one state; with more, fewer numbers are tried
NUMERIC = ("money", "count")
Sign = object  # a class of values: "-", "0" or "+" of a number, any other value itself


@attrs.frozen
class Variable:
    """Something that a guard or an amount looks at: an account (v), a fact (f) or an argument (a)."""

    place: str
    name: str
    type: Type


def variables(
    machine: Machine, command: str, expressions: Iterable[Expression], moved: Collection[str]
) -> list[Variable]:
    """What the expressions of a command look at, and the accounts that it moves, in the order of the page."""
    arguments = machine.commands[command].arguments
    names = {name for each in expressions for name in each.names} | set(moved)
    found = [Variable("v", name, MONEY) for name in machine.columns if name in names]
    found += [Variable("f", n, fact.type) for n, fact in machine.facts.items() if n in names and n not in arguments]
    return found + [Variable("a", name, type_) for name, type_ in arguments.items() if name in names]


def _guards(machine: Machine) -> list[Expression]:
    """The guards of transitions and of refusals."""
    found = [each.guard for each in machine.transitions.values()] + [each.guard for each in machine.refuse]
    return [each for each in found if each is not None]


def read_by(transition: Transition) -> list[Expression]:
    """What decides whether and how a transition happens: its guard, its bound and its amounts."""
    parts = [transition.guard, transition.upto, *(move.amount for move in transition.moves)]
    return [part for part in parts if part is not None]


def tracked(machine: Machine) -> frozenset[str]:
    """The facts that decide something or are handed on to calls, and those that are copied to them."""
    transitions = list(machine.transitions.values())
    looked = {name for each in transitions for part in read_by(each) for name in _facts(machine, each.commands, part)}
    looked |= {name for each in transitions for name in handed_on(machine, each)}
    for refusal in machine.refuse:
        looked |= set(_facts(machine, refusal.commands, refusal.guard)) if refusal.guard else set()
    while True:
        copied = {name for each in transitions for fact, value in each.sets.items() if fact in looked
                  for name in _facts(machine, each.commands, value)}  # fmt: skip
        if copied <= looked:
            return frozenset(looked)
        looked |= copied


def handed_on(machine: Machine, transition: Transition) -> set[str]:
    """The facts, set by transitions and none until then, that a transition hands on to a call or to whom it drives."""
    expressions = [each for drive in transition.drives for each in drive.arguments.values()]
    expressions += transition.ask.arguments.values() if transition.ask else ()
    names = {name for each in expressions for name in _facts(machine, transition.commands, each)}
    return {name for name in names if machine.facts[name].later and machine.facts[name].type.optional}


def _facts(machine: Machine, commands: Iterable[str], part: Expression) -> set[str]:
    """The facts that an expression looks at; an argument hides the fact of its name."""
    hidden = {name for command in commands for name in machine.commands[command].arguments}
    return {name for name in part.names if name in machine.facts and name not in hidden}


def written(expressions: Iterable[Expression]) -> list[int]:
    """The numbers that stand in expressions, without 0."""
    found = {value for each in expressions for value in _constants(ast.parse(each.code, mode="eval").body)}
    return sorted(value for value in found if type(value) is int and value)


def texts(machine: Machine) -> list[str]:
    """The texts that a machine compares its texts with."""
    types = [fact.type for fact in machine.facts.values()]
    types += [type_ for each in machine.commands.values() for type_ in each.arguments.values()]
    if not any(each.kind in ("text", "number") for each in types):
        return []
    chosen = {*machine.states, *(choice for each in types for choice in each.choices)}
    found = {value for each in _guards(machine) for value in _constants(ast.parse(each.code, mode="eval").body)}
    return sorted(value for value in found if isinstance(value, str) and value not in chosen)


def _constants(node: ast.AST) -> Iterator[object]:
    match node:
        case ast.Constant(value):
            yield value
        case ast.Subscript():  # v["held"]: the name of an account is no text of the guard
            return
    for child in ast.iter_child_nodes(node):
        yield from _constants(child)


def domains(wanted: list[Variable], numbers: list[int], known: list[str]) -> list[list[object]]:
    """For each variable the values to try: as many numbers as keep all their combinations few."""
    numeric = sum(each.type.kind in NUMERIC for each in wanted)
    for top in (4, 3, 2, 1) if numeric > 3 else (3, 2, 1):
        found = [_domain(each, top, numbers, known) for each in wanted]
        if math.prod(len(each) for each in found) <= MOST:
            break
    return found


def _domain(variable: Variable, top: int, numbers: list[int], known: list[str]) -> list[object]:
    type_ = variable.type
    none: list[object] = [None] if type_.optional else []
    match type_.kind:
        case "money" if variable.place == "v":
            return list(range(top + 1))
        case "money":
            return [*none, *range(-min(top, 2), top + 1)]
        case "count":
            return [*none, *sorted({*range(-1, top + 1), *_near(numbers)})]
        case "flag":
            return [False, True]
        case "choice":
            return [*none, *type_.choices]
    return [*none, "a", "b", *known]


def _near(numbers: list[int]) -> Iterator[int]:
    """The written numbers, their sums and differences, and what is beside them."""
    signed = {*numbers, *(-each for each in numbers)}
    sums = {one + other for one in signed for other in signed} if len(numbers) < 4 else set()
    for each in signed | sums:
        yield from (each - 1, each, each + 1)


def sign(value: object) -> Sign:
    """The class of a value: of a number whether it is less than, equal to or more than nothing."""
    if isinstance(value, int) and not isinstance(value, bool):
        return "-" if value < 0 else "+" if value else "0"
    return value


def given(machine: Machine, name: str) -> list[Sign]:
    """The classes of values that a fact may have when an entity is made."""
    fact = machine.facts[name]
    if fact.later:
        return [sign(fact.default)]
    return list(dict.fromkeys(sign(value) for value in _domain(Variable("f", name, fact.type), 1, [], texts(machine))))
