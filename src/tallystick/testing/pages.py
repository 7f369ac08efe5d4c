"""A page read a second time, by other eyes: what the referee needs of it, and nothing that runs.

The library compiles a page into a machine; whoever judges that machine must not believe it. So this reads the text
again, with a YAML reader and nothing of the library: which states end a life, which accounts may stay filled, which
moves a transition may make, what it drives, what follows it, and what is always true.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

import attrs

Pair = tuple[str, str]

_CALL = re.compile(r"\s*(?:(\w+)\s*\.)?\s*(\w+)\s*(?:\(|$)")
_COMPARE: Mapping[type, Callable[[int, int], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip


@attrs.frozen
class Declared:
    """A transition, as far as what it leaves in the journal goes."""

    moves: frozenset[Pair]
    drives: tuple[Pair, ...]  # link, command
    then: tuple[str, ...]
    changes: bool  # it leads to another state, confirmed or declined


@attrs.frozen
class Always:
    """What the page says is always true: sums over others that link here, and a comparison."""

    name: str
    source: str
    sums: Mapping[str, tuple[str, str, str]]  # name → machine, fact, account

    def holds(self, values: Mapping[str, int]) -> bool:
        return bool(_value(_parsed(self.source), values))


@attrs.frozen
class Page:
    name: str
    start: str
    final: frozenset[str]
    facts: tuple[str, ...]
    links: Mapping[str, str]  # fact → machine
    accounts: tuple[str, ...]
    holding: tuple[str, ...]  # empty in a final state; a refund there may be in doubt all the same
    outside: tuple[str, ...]
    transitions: Mapping[str, Declared]
    invariants: tuple[Always, ...]


@lru_cache(maxsize=256)
def page(text: str) -> Page:
    """A page from its text, which the store keeps."""
    from ruamel.yaml import YAML

    told: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    states: dict[str, Any] = told["states"]
    accounts: dict[str, Any] = told.get("accounts") or {}
    facts: dict[str, Any] = told.get("facts") or {}
    kept = {name for name, each in accounts.items() if isinstance(each, dict) and each.get("kept")}
    types = {name: each.get("is") if isinstance(each, dict) else each for name, each in facts.items()}
    plain = ("money", "count", "text", "flag", "number", "secret")
    return Page(
        name=told["machine"],
        start=next(name for name, each in states.items() if isinstance(each, dict) and each.get("start")),
        final=frozenset(name for name, each in states.items() if isinstance(each, dict) and each.get("final")),
        facts=tuple(facts),
        links={fact: kind.rstrip("?") for fact, kind in types.items()
               if isinstance(kind, str) and kind.rstrip("?") not in plain},
        accounts=tuple(accounts),
        holding=tuple(name for name in accounts if name not in kept),  # what is in doubt may be a refund
        outside=tuple(told.get("outside") or ()),
        transitions={name: _declared(each) for name, each in told["transitions"].items()},
        invariants=tuple(_always(name, each) for name, each in (told.get("invariants") or {}).items()),
    )  # fmt: skip


@lru_cache(maxsize=256)
def _parsed(source: str) -> ast.expr:
    return ast.parse(source, mode="eval").body


def _declared(told: Mapping[str, Any]) -> Declared:
    moves = (tuple(side.strip() for side in str(each).split("->")) for each in told.get("move") or ())
    return Declared(
        moves=frozenset((source, target) for source, target in moves),
        drives=tuple(_named(each) for each in _listed(told.get("drive"))),
        then=tuple(_named(each)[1] for each in _listed(told.get("then"))),
        changes=told.get("to") not in (None, "stay") or "else" in told,
    )


def _always(name: str, told: Mapping[str, Any]) -> Always:
    sums = {each: tuple(path.split(".")) for each, path in (told.get("sum") or {}).items()}
    return Always(name, str(told["always"]), sums)


def _listed(value: Any) -> list[str]:
    return [] if value is None else [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _named(text: str) -> Pair:
    """`link.command(…)` or `command(…)`."""
    found = _CALL.match(text)
    assert found is not None, text
    return found[1] or "", found[2]


def _value(node: ast.AST, values: Mapping[str, int]) -> int:
    """An invariant's worth: names, whole numbers, + and -, comparisons, and or not."""
    match node:
        case ast.Name(name):
            return values[name]
        case ast.Constant(int(number)):
            return number
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand, values)
        case ast.UnaryOp(ast.Not(), operand):
            return not _value(operand, values)
        case ast.BinOp(left, ast.Add() | ast.Sub() as sign, right):
            other = _value(right, values)
            return _value(left, values) + (other if isinstance(sign, ast.Add) else -other)
        case ast.BoolOp(kind, parts):
            return (all if isinstance(kind, ast.And) else any)(_value(each, values) for each in parts)
        case ast.Compare(left, signs, others):
            sides = [_value(each, values) for each in (left, *others)]
            pairs = pairwise(sides)
            return all(_COMPARE[type(sign)](*pair) for sign, pair in zip(signs, pairs, strict=True))
    raise ValueError(f"an invariant the referee cannot read: {ast.unparse(node)}")
