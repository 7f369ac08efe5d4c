"""What a transition looks at: its expressions, and the numbers and texts that are written in them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator

from tallystick.definition.declared import Transition
from tallystick.definition.expression import Expression, function
from tallystick.definition.machine import Machine


def deciding(transition: Transition) -> list[Expression]:
    """What decides whether a transition happens and how much it moves: its guard, its bound and its amounts."""
    parts = [transition.guard, *transition.upto, *(move.amount for move in transition.moves)]
    return [part for part in parts if part is not None]


def expressions(transition: Transition, *, with_call: bool = True) -> Iterator[Expression]:
    """Every expression of a transition. `with_call`: with those that are only told to the provider."""
    yield from deciding(transition)
    yield from transition.sets.values()
    arguments = [each.arguments for each in transition.drives] + [each.arguments for each in transition.then]
    yield from (part for each in arguments for part in each.values())
    yield from (each.when for each in transition.then if each.when is not None)
    yield from (each.at for each in transition.then if each.at is not None)
    if with_call and transition.ask:
        yield from transition.ask.arguments.values()


def read_at_the_answer(transition: Transition) -> list[str]:
    """The names at which a transition still looks when its call is answered: for its facts, and for what follows."""
    parts = [*transition.sets.values(), *(part for each in transition.then for part in each.arguments.values())]
    parts += [part for each in transition.then for part in (each.when, each.at) if part is not None]
    return sorted({*(name for part in parts for name in part.names), *(each.shares or "" for each in transition.then)})


def numbers(found: Iterable[Expression]) -> list[int]:
    """The numbers that are written in expressions, without 0."""
    values = {value for each in found for value in _constants(ast.parse(each.code, mode="eval").body)}
    return sorted(value for value in values if type(value) is int and value)


def single(part: Expression) -> Iterator[tuple[frozenset[str], Callable[..., object]]]:
    """The comparisons of a part of a guard that are true together: `0 < a < b` is two. Names and function of each."""
    body = ast.parse(part.code.strip(), mode="eval").body
    if not isinstance(body, ast.Compare) or len(body.ops) == 1:
        yield part.names - {"state"}, part.compiled()
        return
    for left, op, right in zip([body.left, *body.comparators[:-1]], body.ops, body.comparators, strict=True):
        code = ast.unparse(ast.Compare(left, [op], [right]))
        names = {name for side in (left, right) for name in _constants_of_places(side)}
        yield frozenset(names), function("v, f, a, s, o", code)


def _constants_of_places(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Subscript) and isinstance(each.slice, ast.Constant):
            yield str(each.slice.value)


def texts(machine: Machine) -> list[str]:
    """The texts with which the guards of a machine compare its texts."""
    types = [fact.type for fact in machine.facts.values()]
    types += [type_ for each in machine.commands.values() for type_ in each.arguments.values()]
    if not any(each.kind in ("text", "number") for each in types):
        return []
    chosen = {*machine.states, *(choice for each in types for choice in each.choices)}
    guards = [each.guard for each in machine.transitions.values()] + [each.guard for each in machine.refuse]
    values = {value for each in guards if each for value in _constants(ast.parse(each.code, mode="eval").body)}
    return sorted(value for value in values if isinstance(value, str) and value not in chosen)


def _constants(node: ast.AST) -> Iterator[object]:
    match node:
        case ast.Constant(value):
            yield value
        case ast.Subscript():  # v["held"] names an account
            return
    for child in ast.iter_child_nodes(node):
        yield from _constants(child)
