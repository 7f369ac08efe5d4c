"""A call as written in `drive:`, `ask:` or `then:`, taken apart: `link.name(argument=expression)`."""

from __future__ import annotations

import ast
from collections.abc import Mapping

import attrs

from tallystick.definition.expression import LONGEST
from tallystick.definition.format import At, Faults


@attrs.frozen
class Written:
    at: At
    link: str
    name: str
    arguments: Mapping[str, At]
    bare: bool


def call(at: At, faults: Faults) -> Written | None:
    """`link.name(argument=value)`, `name(argument=value)` or a bare `name`; what is wrong with it is told."""
    text = at.value.strip()
    try:
        node = ast.parse(text[:LONGEST], mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        node = None
    found = node if isinstance(node, ast.Call) else None
    match found.func if found else node:
        case ast.Name(name):
            link = ""
        case ast.Attribute(ast.Name(link), name):
            pass
        case _:
            faults.add(at, f"'{at.value}' is no command: write name(argument=value) or link.name(argument=value)")
            return None
    if found and (found.args or any(each.arg is None for each in found.keywords)):
        faults.add(at, f"in '{at.value}': every argument is given by name")
        return None
    arguments: dict[str, At] = {}
    for each in found.keywords if found else []:
        if each.arg in arguments:
            faults.add(at, f"in '{at.value}': argument {each.arg!r} is given twice")
        source = ast.get_source_segment(text, each.value) or ast.unparse(each.value)
        column = at.column + each.value.col_offset if at.exact else at.column  # folded, it stands in another line
        arguments[str(each.arg)] = At(source, at.line, column, at.exact)
    return Written(at, link, name, arguments, bare=found is None)
