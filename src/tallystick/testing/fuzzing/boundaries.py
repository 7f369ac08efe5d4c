"""Values worth trying: those at which some guard changes its mind, of this machine or of one that it drives.

All sums in an expression are linear, so every comparison in a guard that an argument takes part in can be solved for
it: in `available + amount <= limit` the amount that just fits is `limit - available`. That value and its two
neighbours are worth trying, beside zero, one, and the most there can be. A driven guard is solved through the
arguments that the drive gives it, and a move through the account that it takes from.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import lru_cache
from itertools import pairwise
from types import CodeType

from tallystick.core.entity import Entity, Ref
from tallystick.definition.expression import Expression, Type
from tallystick.definition.machine import Machine, Machines, Row
from tallystick.moment import stamp
from tallystick.money import LIMIT
from tallystick.provider.scripted import BEGINS

Values = Mapping[str, object]
World = Mapping[Ref, Entity]
NOTHING: Values = {}

ALWAYS = (0, 1, -1, 2, 100, 5000, LIMIT)
DEEPEST = 3  # drives in a row
TEXTS = ("x", "y")
NUMBER = "6006000000000001"
SOON = (timedelta(minutes=1), timedelta(minutes=30), timedelta(days=30))  # from the beginning of a walk


def amounts(
    machines: Machines, entity: Entity, command: str, argument: str, world: World, read: Values = NOTHING
) -> list[int]:  # fmt: skip
    """Amounts worth trying as an argument of a command, the likely ones first.

    `read`: what the command reads of its parts, and other arguments as they were chosen.
    """
    machine = machines.at(entity.machine, entity.machine_version)
    found: dict[int, None] = {}
    for row in machine.table.get((entity.state, command), ()):
        for value in _solved(machines, machine, entity, row, argument, world, DEEPEST, read):
            found |= dict.fromkeys((value, value - 1, value + 1))
    for refused in machine.refused.get((entity.state, command), ()):
        for value in _turning(refused.guard, argument, {**entity.facts, **entity.accounts, **read}, ()):
            found |= dict.fromkeys((value, value - 1, value + 1))
    for value in (*entity.accounts.values(), *(each for each in read.values() if type(each) is int)):
        found |= dict.fromkeys((value, value // 2) if value else ())
    found |= dict.fromkeys(ALWAYS)
    return [value for value in found if abs(value) <= LIMIT]


def choices(type_: Type, ids: Callable[[str], list[str]], fresh: int = 2) -> list[object]:
    """All values of a type that is no amount, or some of them.

    `ids` gives the entities of a machine. `fresh` makes a number and a text that nobody else has.
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
        case "time":
            found = [stamp(BEGINS + each) for each in SOON]
        case "shares":
            found = [(("x", 1),), (("x", 1), ("y", 2))]
        case _:
            found = [f"x{fresh}", *TEXTS]
    return [*found, None] if type_.optional else found


def _solved(
    machines: Machines, machine: Machine, entity: Entity, row: Row, argument: str, world: World, deep: int,
    read: Values = NOTHING,
) -> Iterator[int]:  # fmt: skip
    """Values of the argument at which something about this row changes."""
    known = {**entity.facts, **entity.accounts, **read}
    transition = row.transition
    others = {name for command in transition.commands for name in machine.commands[command].seen} - read.keys()
    yield from _turning(transition.guard, argument, known, others)
    for move in transition.moves:
        if move.source in entity.accounts:
            yield from _where(_compiled(move.amount.source), entity.accounts[move.source], argument, known)
    for drive in transition.drives if deep else ():
        driven = world.get((drive.machine, str(entity.facts.get(drive.link))))
        if driven is None:
            continue
        theirs = machines.at(driven.machine, driven.machine_version)
        for name, expression in drive.arguments.items():
            for other in theirs.table.get((driven.state, drive.command), ()):
                for value in _solved(machines, theirs, driven, other, name, world, deep - 1):
                    yield from _where(_compiled(expression.source), value, argument, known)


def _turning(guard: Expression | None, argument: str, known: Values, others: Iterable[str]) -> Iterator[int]:
    """Where a comparison of the guard turns. Other arguments count as nothing there."""
    if guard is not None and argument in guard.names:
        for difference in _differences(guard.source):
            yield from _where(difference, 0, argument, {**known, **dict.fromkeys(others, 0)})


def _where(sum_: CodeType, wanted: int, argument: str, known: Values) -> Iterator[int]:
    """The argument for which a sum comes to what is wanted, if it is a whole number. A sum is linear: two values do."""
    try:
        first, second = (eval(sum_, {"__builtins__": {}}, {**known, argument: value}) for value in (0, 1))  # noqa: S307
    except (NameError, TypeError):  # it is no sum, or a value is missing
        return
    step = second - first
    if step and (wanted - first) % step == 0:
        yield (wanted - first) // step


@lru_cache(maxsize=4096)
def _compiled(source: str) -> CodeType:
    return compile(_tree(source), "<expression>", "eval")


@lru_cache(maxsize=4096)
def _differences(source: str) -> tuple[CodeType, ...]:
    """Left side minus right side of every comparison, wherever it stands."""
    trees = [node for node in ast.walk(_tree(source)) if isinstance(node, ast.Compare)]
    pairs = [pair for tree in trees for pair in pairwise([tree.left, *tree.comparators])]
    minus = [ast.Expression(ast.BinOp(left, ast.Sub(), right)) for left, right in pairs]
    return tuple(compile(ast.fix_missing_locations(each), "<guard>", "eval") for each in minus)


def _tree(source: str) -> ast.Expression:
    return _Dotted().visit(ast.parse(source.strip(), mode="eval"))  # type: ignore[no-any-return]


class _Dotted(ast.NodeTransformer):
    """`payment.held` is one name."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return ast.copy_location(ast.Name(ast.unparse(node), ast.Load()), node)
