"""For people: an expression in words, in pictures, tables and refusals; and a machine as a picture, in a notebook."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from importlib import import_module


def shown(node: ast.expr) -> str:
    """As it is written."""
    return ast.unparse(node)


_WORDS: Mapping[type[ast.cmpop], str] = {
    ast.Lt: "less than", ast.LtE: "at most", ast.Gt: "more than", ast.GtE: "at least", ast.Eq: "", ast.NotEq: "not",
}  # fmt: skip
_TIMES: Mapping[type[ast.cmpop], str] = {
    ast.Lt: "before", ast.LtE: "not after", ast.Gt: "after", ast.GtE: "not before",
}  # fmt: skip
_TURNED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}


def in_words(node: ast.expr) -> str:
    """In words. `0 < amount < held and not last`: amount is more than 0 and less than held, and not last."""
    match node:
        case ast.BoolOp(op, values):
            joined = ", and " if isinstance(op, ast.And) else ", or "
            return joined.join(_inside(value, ast.BoolOp) for value in values)
        case ast.UnaryOp(ast.Not(), operand):
            return f"not {_inside(operand, ast.BoolOp, ast.Compare)}"
        case ast.UnaryOp(ast.USub(), operand):
            return f"−{_inside(operand, ast.BinOp)}"
        case ast.Compare(left, [ast.In() | ast.NotIn() as op], [ast.List(elements) | ast.Tuple(elements)]):
            listed = " or ".join(in_words(element) for element in elements)
            return f"{in_words(left)} is {'' if isinstance(op, ast.In) else 'not '}{listed}"
        case ast.Compare(ast.Name("now"), [op], [right]) if type(op) in _TIMES:
            return f"now is {_TIMES[type(op)]} {in_words(right)}"
        case ast.Compare(left, [op], [ast.Name("now")]) if type(op) in _TIMES:
            return f"{in_words(left)} is {_TIMES[type(op)]} now"
        case ast.Compare(left, [op], [ast.Name("none")]):
            return f"{in_words(left)} is {'not ' if isinstance(op, ast.Eq) else ''}given"
        case ast.Compare(left, [op1, op2], [middle, right]):
            first = _TURNED.get(type(op1), type(op1))
            return f"{in_words(middle)} is {_relation(first, left)} and {_relation(type(op2), right)}"
        case ast.Compare(left, ops, comparators):
            pairs = zip([left, *comparators[:-1]], ops, comparators, strict=True)
            return " and ".join(f"{in_words(a)} is {_relation(type(op), b)}" for a, op, b in pairs)
        case ast.BinOp(left, op, right):
            return f"{in_words(left)} {'+' if isinstance(op, ast.Add) else '−'} {_inside(right, ast.BinOp)}"
        case ast.Constant(value):
            return str(value)
    return shown(node)


def _inside(node: ast.expr, *kinds: type[ast.expr]) -> str:
    """The words of a part; in parentheses if it would be misread without them."""
    return f"({in_words(node)})" if isinstance(node, kinds) else in_words(node)


def _relation(op: type[ast.cmpop], right: ast.expr) -> str:
    if op is ast.Eq and not isinstance(right, ast.Constant):
        return f"equal to {in_words(right)}"
    return f"{_WORDS[op]} {in_words(right)}".strip()


class Shown:
    """What a notebook shows as a picture: asked for by name, as nothing in this room knows the one that draws it."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return str(import_module("tallystick.diagram").draw(self))
