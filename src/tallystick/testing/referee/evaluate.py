"""What an expression of a page comes to, read and computed by the referee's own code.

The library has a reader, types and a compiler of its own. Here is Python's parser, a short list of what an expression
may consist of, and nothing else. Every expression is compiled once, because a long run needs it a million times.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

Values = Mapping[str, Any]
Evaluator = Callable[[Values], Any]

_WORDS = {"true": True, "false": False, "none": None}
_MADE_OF = (
    ast.Name, ast.Attribute, ast.Load, ast.Constant, ast.Tuple, ast.List, ast.UnaryOp, ast.USub, ast.Not, ast.BinOp,
    ast.Add, ast.Sub, ast.BoolOp, ast.And, ast.Or, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE,
    ast.In, ast.NotIn,
)  # fmt: skip


@lru_cache(maxsize=4096)
def evaluator(source: str) -> Evaluator:
    """The expression as a function of the values of its names. Raises ValueError if it is none."""
    return _function(_tree(source))


def evaluator_of_all(sources: tuple[str, ...]) -> Evaluator:
    """Several expressions as one function, which gives a tuple."""
    return _function(ast.Tuple([_tree(each) for each in sources], ast.Load()))


def source_of(value: object) -> str:
    """What stands in a page, as the text of an expression."""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _tree(source: str) -> ast.expr:
    tree = ast.parse(source.strip(), mode="eval").body
    nodes = list(ast.walk(tree))
    strange = next((node for node in nodes if not isinstance(node, _MADE_OF)), None)
    strange = strange or next(
        (each for each in nodes if isinstance(each, ast.Attribute) and not isinstance(each.value, ast.Name)), None
    )
    if strange is not None:
        raise ValueError(f"an expression the referee cannot read: {source}")
    return _Names().visit(tree)  # type: ignore[no-any-return]


class _Names(ast.NodeTransformer):
    """Names become look-ups, our words Python's."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return ast.Subscript(ast.Name("v", ast.Load()), ast.Constant(ast.unparse(node)), ast.Load())

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in _WORDS:
            return ast.Constant(_WORDS[node.id])
        return ast.Subscript(ast.Name("v", ast.Load()), ast.Constant(node.id), ast.Load())


def _function(tree: ast.expr) -> Evaluator:
    found: Evaluator = eval(f"lambda v: {ast.unparse(tree)}", {"__builtins__": {}})  # noqa: S307  # of _MADE_OF only
    return found
