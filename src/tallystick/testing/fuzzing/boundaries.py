"""Values worth trying: those at which some guard changes its mind, of this machine or of one that it drives.

All sums in an expression are linear, so every comparison in a guard that an argument takes part in can be solved for
it: in `available + amount <= limit` the amount that just fits is `limit - available`. That value and its two
neighbours are worth trying, beside zero, one, and the most there can be. A driven guard is solved through the
arguments that the drive gives it, and a move through the account that it takes from.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise

from tallystick.core.entity import Entity, Ref
from tallystick.definition.expression import Expression, Type
from tallystick.definition.machine import Machine, Machines, Row
from tallystick.money import LIMIT

Values = Mapping[str, object]
Linear = tuple[int, Mapping[str, int]]  # a constant, and how often each name is added
World = Mapping[Ref, Entity]

ALWAYS = (0, 1, -1, 2, 100, 5000, LIMIT)
DEEPEST = 3  # drives in a row
TEXTS = ("x", "y")
NUMBER = "6006000000000001"


def amounts(machines: Machines, entity: Entity, command: str, argument: str, world: World) -> list[int]:
    """Amounts worth trying as an argument of a command, the likely ones first."""
    machine = machines.at(entity.machine, entity.machine_version)
    found: dict[int, None] = {}
    for row in machine.table.get((entity.state, command), ()):
        for value in _solved(machines, machine, entity, row, argument, world, DEEPEST):
            found |= dict.fromkeys((value, value - 1, value + 1))
    for refused in machine.refused.get((entity.state, command), ()):
        for value in _turning(refused.guard, argument, {**entity.facts, **entity.accounts}, set()):
            found |= dict.fromkeys((value, value - 1, value + 1))
    for value in entity.accounts.values():
        found |= dict.fromkeys((value, value // 2) if value else ())
    found |= dict.fromkeys(ALWAYS)
    return [value for value in found if abs(value) <= LIMIT]


def choices(type_: Type, ids: Callable[[str], list[str]], fresh: int = 2) -> list[object]:
    """All values of a type that is no amount, or some of them.

    `ids` knows the entities of a machine; of `fresh` a number and a text are made that nobody else has.
    """
    match type_.kind:
        case "flag":
            return [False, True]
        case "choice":
            found: list[object] = [*type_.choices]
        case "number":
            found = [f"6006{fresh:012}", f"6006{fresh + 1:012}", NUMBER]
        case "link":
            found = [*ids(type_.machine)]
        case "secret":
            found = ["1234"]
        case _:
            found = [f"x{fresh}", *TEXTS]
    return [*found, None] if type_.optional else found


def _solved(
    machines: Machines, machine: Machine, entity: Entity, row: Row, argument: str, world: World, deep: int
) -> Iterator[int]:
    """Values of the argument at which something about this row changes."""
    known = {**entity.facts, **entity.accounts}
    transition = row.transition
    arguments = _arguments(machine, row)
    yield from _turning(transition.guard, argument, known, arguments)
    for move in transition.moves:
        if move.source in entity.accounts:
            yield from _equal(_sum(move.amount.source), (entity.accounts[move.source], {}), argument, known)
    for drive in transition.drives if deep else ():
        driven = world.get((drive.machine, str(entity.facts.get(drive.link))))
        if driven is None:
            continue
        theirs = machines.at(driven.machine, driven.machine_version)
        for name, expression in drive.arguments.items():
            given = _sum(expression.source)
            for other in theirs.table.get((driven.state, drive.command), ()) if given else ():
                for value in _solved(machines, theirs, driven, other, name, world, deep - 1):
                    yield from _equal(given, (value, {}), argument, known)


def _arguments(machine: Machine, row: Row) -> set[str]:
    return {name for command in row.transition.commands for name in machine.commands[command].arguments}


def _turning(guard: Expression | None, argument: str, known: Values, arguments: set[str]) -> Iterator[int]:
    """Where a comparison of the guard turns. Other arguments count as nothing there."""
    if guard is not None and argument in guard.names:
        without: Values = {**known, **dict.fromkeys(arguments - {argument}, 0)}
        for left, right in _comparisons(guard.source):
            yield from _equal(left, right, argument, without)


@lru_cache(maxsize=4096)
def _sum(source: str) -> Linear | None:
    return _linear(ast.parse(source.strip(), mode="eval").body)


@lru_cache(maxsize=4096)
def _comparisons(source: str) -> tuple[tuple[Linear, Linear], ...]:
    """Both sides of every comparison between sums, wherever it stands."""
    trees = [node for node in ast.walk(ast.parse(source.strip(), mode="eval")) if isinstance(node, ast.Compare)]
    pairs = [pair for tree in trees for pair in pairwise([tree.left, *tree.comparators])]
    sums = [(_linear(left), _linear(right)) for left, right in pairs]
    return tuple((left, right) for left, right in sums if left is not None and right is not None)


def _equal(left: Linear | None, right: Linear | None, argument: str, known: Values) -> Iterator[int]:
    """The argument for which both sides are equal, if it is a whole number."""
    if left is None or right is None:
        return
    terms = dict(left[1])
    for name, times in right[1].items():
        terms[name] = terms.get(name, 0) - times
    times = terms.pop(argument, 0)
    rest = left[0] - right[0]
    for name, each in terms.items():
        value = known.get(name)
        if each and type(value) is not int:
            return
        rest += each * value if isinstance(value, int) else 0
    if times and rest % times == 0:
        yield -rest // times


def _linear(node: ast.expr) -> Linear | None:
    """A sum of names and whole numbers; None for anything else."""
    match node:
        case ast.Constant(int() as value) if type(value) is int:
            return value, {}
        case ast.Name(name) if name not in ("true", "false", "none", "state"):
            return 0, {name: 1}
        case ast.UnaryOp(ast.USub(), operand):
            inner = _linear(operand)
            return inner and _scaled(inner, -1)
        case ast.BinOp(left, op, right):
            first, second = _linear(left), _linear(right)
            if first is None or second is None:
                return None
            second = _scaled(second, 1 if isinstance(op, ast.Add) else -1)
            names = first[1].keys() | second[1].keys()
            return first[0] + second[0], {name: first[1].get(name, 0) + second[1].get(name, 0) for name in names}
    return None


def _scaled(linear: Linear, by: int) -> Linear:
    return by * linear[0], {name: by * times for name, times in linear[1].items()}
