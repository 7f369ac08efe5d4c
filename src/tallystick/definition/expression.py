"""Guards, amounts and arguments: a closed subset of Python, checked before it ever runs.

An expression may name what its machine declares: accounts, facts, arguments of the command, `state`. It may use whole
numbers, declared choices in quotes, `true`, `false` and `none`, and join all this with `+ -`, comparisons (chained
too), `and or not in`. There are no calls, subscripts or floats, so an expression can only look.

An expression that was read has a type, Python source, and a text for people. Units are types: money goes with money and
with 0, never with a bare number, a text or a flag; a time is only compared with a time, such as `now`. Ask first about
a value that may be missing (`limit: money?`): `limit == none or amount <= limit`. The Python source finds values in
five places:

    v   accounts of the entity, minor units        f   its facts
    a   arguments of the command, and `now`        s   its state
    o   the provider's outcome (only in `set:`)
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from tallystick.definition.prose import in_words, shown
from tallystick.errors import nearest
from tallystick.money import LIMIT

MAX_CHARACTERS = 500  # nobody reads a longer guard, and a parser has to end
MAX_DEPTH = 20  # levels of a tree: far more than a person follows, far less than a compiler takes
KINDS = ("money", "count", "text", "flag", "secret", "number", "shares", "time")
UNKNOWN = "unknown"  # the kind of a type that does not exist: reported once, where it is declared


class Type(NamedTuple):
    """What a value is."""

    kind: str  # one of KINDS, or choice, link; of expressions also literal, none, zero, whole
    optional: bool = False  # it may be missing
    choices: tuple[str, ...] = ()  # of a choice
    machine: str = ""  # of a link: the machine of the other entity
    ability: str = ""  # of a flag that is left out: whether the provider can do this

    def __str__(self) -> str:
        match self.kind:
            case "choice":
                name = f"one of {', '.join(self.choices)}"
            case "literal":
                name = f"the choice {self.choices[0]!r}"
            case "link":
                name = self.machine
            case _:
                name = "a bare number" if self.kind == "whole" else self.kind
        left_out = f"; left out: whether the provider {self.ability}" if self.ability else ""
        return f"{name}, if any" if self.optional else name + left_out

    def accepts(self, other: Type) -> bool:
        """Whether a value of type `other` may be put where this type is wanted."""
        if UNKNOWN in (self.kind, other.kind):
            return True
        if other.kind == "none":
            return self.optional
        if other.optional and not self.optional:
            return False
        match self.kind, other.kind:
            case ("money" | "count", "zero") | ("count", "whole") | ("text", "choice" | "literal") | ("number", "text"):
                return True  # but a number is no text: it is shown masked, and a text is not
            case "choice", "choice" | "literal":
                return set(other.choices) <= set(self.choices)
            case "link", "link":
                return self.machine == other.machine
        return self.kind == other.kind


FLAG, MONEY, NONE, TIME = Type("flag"), Type("money"), Type("none"), Type("time")
NOW = "now"  # the moment in which a command is decided
ZERO, WHOLE = Type("zero"), Type("whole")


class ExpressionError(Exception):
    """What is wrong with an expression. `offset` counts characters from its start."""

    def __init__(self, message: str, offset: int = 0) -> None:
        self.offset = offset
        super().__init__(message)


class AlreadyReported(ExpressionError):
    """A name in it has an unknown type. That is reported where the name is declared, so nothing more is reported."""


class Name(NamedTuple):
    """A name that an expression may use."""

    code: str  # Python source that finds its value
    type: Type


class Expression(NamedTuple):
    """A checked expression."""

    source: str  # as written
    code: str  # as Python source over v, f, a, s, o
    type: Type
    names: frozenset[str]  # that it uses
    prose: str  # in words, for people
    parts: tuple[Expression, ...] = ()  # the conjuncts of a guard, to say which one failed

    def compiled(self) -> Callable[..., object]:
        """The expression as a function of (v, f, a, s, o)."""
        return function("v, f, a, s, o", self.code)


@lru_cache(maxsize=4096)  # the same page is often read again, and a check asks for the same expression many times
def function(parameters: str, code: str) -> Callable[..., Any]:
    made: Callable[..., Any] = eval(f"lambda {parameters}: {code}", {"__builtins__": {}, "min": min})
    return made


def scope_of(
    accounts: Mapping[str, object], facts: Mapping[str, Type], arguments: Mapping[str, Type], states: tuple[str, ...]
) -> dict[str, Name]:
    """The names that a guard may use. An argument with the name of the fact that it sets hides that fact."""
    scope = {"state": Name("s", Type("choice", choices=states)), NOW: Name(f"a[{NOW!r}]", TIME)}
    scope |= {name: Name(f"v[{name!r}]", MONEY) for name in accounts}
    scope |= {name: Name(f"f[{name!r}]", type_) for name, type_ in facts.items()}
    scope |= {name: Name(f"a[{name!r}]", type_._replace(ability="")) for name, type_ in arguments.items()}
    return scope


def read(source: str, scope: Mapping[str, Name]) -> Expression:
    """Check an expression against the names it may use.

    Raises:
        ExpressionError: with the offset of what is wrong.
    """
    if len(source) > MAX_CHARACTERS:
        raise ExpressionError(f"an expression has at most {MAX_CHARACTERS} characters")
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        offset = (getattr(error, "offset", None) or 1) - 1
        raise ExpressionError(f"{source!r} is not an expression", max(0, offset)) from None
    if _depth(tree) > MAX_DEPTH:
        raise ExpressionError("it is nested too deeply; use fewer parentheses")
    try:
        return _whole(tree, source, scope)
    except AlreadyReported:
        raise
    except ExpressionError as error:  # ast counts bytes, people count characters
        offset = len(source.encode()[: error.offset].decode(errors="ignore"))
        raise ExpressionError(str(error), offset) from None


def _whole(tree: ast.expr, source: str, scope: Mapping[str, Name]) -> Expression:
    reader = _Reader(scope)
    type_, code = reader.visit(tree, frozenset())
    conjuncts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else []
    parts: list[Expression] = []
    known: frozenset[str] = frozenset()
    for part in conjuncts:
        text = ast.get_source_segment(source, part) or ast.unparse(part)
        inner = _Reader(scope)
        part_type, part_code = inner.visit(part, known)
        parts.append(Expression(text, part_code, part_type, frozenset(inner.names), in_words(part)))
        known |= _present(part, when=True)
    return Expression(source, code, type_, frozenset(reader.names), in_words(tree), tuple(parts))


_CONSTANTS = {"true": True, "false": False, "none": None}


def _constant(value: object, node: ast.expr) -> tuple[Type, str]:
    match value:
        case None:
            return NONE, "None"
        case bool():
            return FLAG, repr(value)
        case int() if abs(value) <= LIMIT:
            return (ZERO if value == 0 else WHOLE), repr(value)
        case str():
            return Type("literal", choices=(value,)), repr(value)
    raise ExpressionError(f"{shown(node)} is not allowed in an expression", node.col_offset)


class _Reader:
    """Walks over the tree once, and finds the type and the code of each part, or raises."""

    def __init__(self, scope: Mapping[str, Name]) -> None:
        self.scope, self.names = scope, set[str]()
        self._owners = {"outcome", *(name.partition(".")[0] for name in scope if "." in name)}

    def visit(self, node: ast.expr, known: frozenset[str]) -> tuple[Type, str]:
        """The type and the code of a part. `known`: optional names that are surely there at this place."""
        match node:
            case ast.Name(name) if name in _CONSTANTS:
                return _constant(_CONSTANTS[name], node)
            case ast.Name(name):
                return self._name(name, node, known)
            case ast.Attribute(ast.Name(owner), field) if owner in self._owners:
                return self._name(f"{owner}.{field}", node, known)
            case ast.Constant(value):
                return _constant(value, node)
            case ast.BoolOp(op, values):
                return self._and_or(op, values, known)
            case ast.UnaryOp(ast.Not(), operand):
                return FLAG, f"(not {self._flag(operand, known)})"
            case ast.UnaryOp(ast.USub(), operand):
                type_, code = self._amount(operand, known)
                return type_, f"(-{code})"
            case ast.BinOp(left, ast.Add() | ast.Sub() as op, right):
                return self._sum(left, op, right, known)
            case ast.Compare(left, ops, comparators):
                return self._compare(left, ops, comparators, known)
        raise ExpressionError(f"{shown(node)} is not allowed in an expression", node.col_offset)

    def _name(self, name: str, node: ast.expr, known: frozenset[str]) -> tuple[Type, str]:
        found = self.scope.get(name)
        if found is None:
            raise ExpressionError(f"{name!r} is not declared.{nearest(name, list(self.scope))}", node.col_offset)
        if found.type.kind == UNKNOWN:
            raise AlreadyReported(name, node.col_offset)
        self.names.add(name)
        return (found.type._replace(optional=False) if name in known else found.type), found.code

    def _flag(self, node: ast.expr, known: frozenset[str]) -> str:
        type_, code = self.visit(node, known)
        if type_ != FLAG:
            raise ExpressionError(f"{shown(node)} is {type_}; true or false is needed here", node.col_offset)
        return code

    def _amount(self, node: ast.expr, known: frozenset[str], *more: str) -> tuple[Type, str]:
        """`more`: kinds that are taken beside amounts."""
        type_, code = self.visit(node, known)
        if type_.optional:
            raise ExpressionError(f"{shown(node)} may be missing; ask '{shown(node)} == none or …' first",
                                  node.col_offset)  # fmt: skip
        if type_.kind not in ("money", "count", "zero", "whole", *more):
            raise ExpressionError(f"{shown(node)} is {type_}; an amount is needed here", node.col_offset)
        return type_, code

    def _and_or(self, op: ast.boolop, values: list[ast.expr], known: frozenset[str]) -> tuple[Type, str]:
        codes = []
        for value in values:
            codes.append(self._flag(value, known))
            known |= _present(value, when=isinstance(op, ast.And))
        return FLAG, f"({(' and ' if isinstance(op, ast.And) else ' or ').join(codes)})"

    def _sum(self, left: ast.expr, op: ast.operator, right: ast.expr, known: frozenset[str]) -> tuple[Type, str]:
        left_type, left_code = self._amount(left, known)
        right_type, right_code = self._amount(right, known)
        _same_unit(left, left_type, right, right_type)
        stronger = max(left_type, right_type, key=lambda type_: ("zero", "whole", "count", "money").index(type_.kind))
        return stronger, f"({left_code} {'+' if isinstance(op, ast.Add) else '-'} {right_code})"

    def _compare(
        self, left: ast.expr, ops: list[ast.cmpop], comparators: list[ast.expr], known: frozenset[str]
    ) -> tuple[Type, str]:
        code = ""
        if len(ops) > 1 and any(isinstance(op, ast.In | ast.NotIn) for op in ops):
            raise ExpressionError("'in' cannot be chained with other comparisons", left.col_offset)
        for op, right in zip(ops, comparators, strict=True):
            match op:
                case ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE():
                    left_code, right_code = self._ordered(left, right, known)
                case ast.Eq() | ast.NotEq():
                    left_code, right_code = self._equal(left, right, known)
                case ast.In() | ast.NotIn():
                    left_code, right_code = self._member(left, right, known)
                case _:
                    raise ExpressionError("'is' is not allowed; write == or !=", right.col_offset)
            code = f"{code or left_code} {_SIGNS[type(op)]} {right_code}"
            left = right
        return FLAG, f"({code})"

    def _ordered(self, left: ast.expr, right: ast.expr, known: frozenset[str]) -> tuple[str, str]:
        left_type, left_code = self._amount(left, known, "time")
        right_type, right_code = self._amount(right, known, "time")
        if (left_type.kind == "time") != (right_type.kind == "time"):
            why = f"{shown(left)} is {left_type}, {shown(right)} is {right_type}: a time is compared with a time"
            raise ExpressionError(why, left.col_offset)
        _same_unit(left, left_type, right, right_type)
        return left_code, right_code

    def _equal(self, left: ast.expr, right: ast.expr, known: frozenset[str]) -> tuple[str, str]:
        left_type, left_code = self.visit(left, known)
        right_type, right_code = self.visit(right, known)
        for node, type_, other in ((left, left_type, right_type), (right, right_type, left_type)):
            if type_.kind == "secret":
                raise ExpressionError(f"{shown(node)} is a secret: it may only be passed on", node.col_offset)
            if other.kind == "none" and not type_.optional and type_.kind != "none":
                raise ExpressionError(f"{shown(node)} can never be none: it is {type_}", node.col_offset)
            if type_.kind == "literal" and other.kind == "choice" and type_.choices[0] not in other.choices:
                raise ExpressionError(f"{type_.choices[0]!r} is not one of its choices."
                                      f"{nearest(type_.choices[0], other.choices)}", node.col_offset)  # fmt: skip
        if "none" not in (left_type.kind, right_type.kind):
            _comparable(left, left_type, right, right_type)
        return left_code, right_code

    def _member(self, left: ast.expr, right: ast.expr, known: frozenset[str]) -> tuple[str, str]:
        if not isinstance(right, ast.List | ast.Tuple):
            raise ExpressionError(f"'in' needs a list of choices, not {shown(right)}", right.col_offset)
        codes = [self._equal(left, element, known) for element in right.elts]
        if not codes:
            raise ExpressionError("'in' needs at least one choice", right.col_offset)
        return codes[0][0], f"({', '.join(code for _, code in codes)},)"


_SIGNS: Mapping[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Eq: "==", ast.NotEq: "!=", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip


def _same_unit(left: ast.expr, left_type: Type, right: ast.expr, right_type: Type) -> None:
    kinds = {left_type.kind, right_type.kind}
    if kinds == {"money", "whole"}:
        number = left if left_type.kind == "whole" else right
        why = f"money cannot be compared with or added to the bare number {shown(number)}; only 0 has no unit"
        raise ExpressionError(why, number.col_offset)
    if kinds == {"money", "count"}:
        raise ExpressionError(
            f"{shown(left)} is {left_type}, and {shown(right)} is {right_type}: their units differ", left.col_offset
        )


def _comparable(left: ast.expr, left_type: Type, right: ast.expr, right_type: Type) -> None:
    numeric = ("money", "count", "zero", "whole")
    if left_type.kind in numeric and right_type.kind in numeric:
        return _same_unit(left, left_type, right, right_type)
    loose_left, loose_right = (type_._replace(optional=True) for type_ in (left_type, right_type))
    if not (loose_left.accepts(loose_right) or loose_right.accepts(loose_left)):
        raise ExpressionError(f"{shown(left)} is {left_type}, {shown(right)} is {right_type}: they are never equal",
                              left.col_offset)  # fmt: skip
    return None


def _present(node: ast.expr, *, when: bool) -> frozenset[str]:
    """Names that are surely not none if `node` is true (`when`), or false (not `when`)."""
    match node:
        case ast.Compare(ast.Name(name), [op], [ast.Name("none" | "None") | ast.Constant(None)]):
            return frozenset([name]) if isinstance(op, ast.NotEq) == when else frozenset()
        case ast.UnaryOp(ast.Not(), operand):
            return _present(operand, when=not when)
        case ast.BoolOp(op, values) if isinstance(op, ast.And) == when:
            return frozenset().union(*(_present(value, when=when) for value in values))
    return frozenset()


def _depth(tree: ast.AST) -> int:
    level, depth = [tree], 0
    while level:
        level, depth = [child for node in level for child in ast.iter_child_nodes(node)], depth + 1
    return depth
