"""What pages were compiled to when they were first read, kept as data beside the kept pages.

The first reading checks every part of every page and makes the table from a real `transitions.Machine`. What came of
it is written to the cache folder as JSON: values of `declared` and `expression`, and the names of the rows that answer
each (state, command). It is found again under the digest of all pages together and of the files of this room, so a
change of either is a first reading. Pages with a fault are never kept. A test compares what was kept with what is read
anew.

It is data, and no program: an expression's code is taken only if it consists of the tokens that the reader writes.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from tallystick.definition import declared, expression
from tallystick.definition.files import cache_folder, keep, program, read_kept
from tallystick.definition.machine import Machine, Machines, restored

Layers = Sequence[Mapping[str, str]]  # of pages by their file; a later one replaces pages of an earlier one
_KINDS: Mapping[str, type[Any]] = {
    each.__name__: each
    for each in (
        declared.State, declared.Fact, declared.Account, declared.Command, declared.Move, declared.Drive, declared.Ask,
        declared.Then, declared.Transition, declared.RefusedOnPurpose, declared.Sum, declared.Invariant,
        declared.Given, declared.ExampleStep, declared.Example,
        declared.Migration,
        expression.Expression, expression.Type,
    )
}  # fmt: skip
_FIELDS = {
    kind: getattr(kind, "_fields", None) or tuple(each.name for each in attrs.fields(kind)) for kind in _KINDS.values()
}
_GIVEN = ("text", "file")  # of a machine: they stand in the pages themselves
_MACHINE = tuple(each.name for each in attrs.fields(Machine) if each.init and each.name not in _GIVEN)
_CODE = re.compile(
    r"""(?:[vfa]\[(?='[^'\\\n]*'\])|\]|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|\bo\.[a-z][a-z_]*\b|\d+"""
    r"""|\b(?:s|and|or|not|in|None|True|False)\b|[-+<>=!(), ])+"""
)


def compiled(layers: Layers, read: Callable[[], Machines]) -> Machines:
    """The machines of these pages: from what was kept, else as they are `read`, and kept for the next time."""
    if cache_folder() is None:
        return read()
    name = f"{_digest(layers)}.machines.json"
    try:
        return _unpacked(read_kept(name), layers)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, IndexError):
        pass
    machines = read()
    keep(name, _packed(machines))
    return machines


def _digest(layers: Layers) -> str:
    """Of the pages, and of what reads them."""
    pages = [list(pages.items()) for pages in layers]
    return hashlib.sha256(json.dumps([sys.version_info[:3], program(), pages]).encode()).hexdigest()


# What is kept is one list. Each value stands in it once, after its parts, which are told by their places in the list:
# a text, a number or nothing as itself; a tuple as ["t", …], a mapping as ["d", key, value, …], names as ["f", …], any
# other value as [its class, …]. The last one is the tuple of all machines.


def _packed(machines: Machines) -> list[Any]:
    places: dict[tuple[Any, ...], int] = {}
    _put(tuple(_told(each) for each in machines.all()), places)
    return [list(key) if kind is list else key[0] for kind, *key in places]


def _told(machine: Machine) -> tuple[Any, ...]:
    answers = {pair: tuple(row.name for row in rows) for pair, rows in machine.table.items()}
    return (machine.file, answers, *(getattr(machine, name) for name in _MACHINE))


def _put(value: Any, places: dict[tuple[Any, ...], int]) -> int:
    kind, parts = type(value), list[Any]()
    if kind in _FIELDS:
        name, parts = kind.__name__, [getattr(value, field) for field in _FIELDS[kind]]
    elif isinstance(value, tuple):
        name, parts = "t", list(value)
    elif isinstance(value, frozenset):
        name, parts = "f", sorted(value)
    elif isinstance(value, Mapping):
        name, parts = "d", [each for pair in value.items() for each in pair]
    elif value is None or isinstance(value, bool | int | str):
        return places.setdefault((kind, value), len(places))
    else:
        raise TypeError(f"a {kind.__name__} cannot be kept")
    key = (list, name, *[_put(part, places) for part in parts])
    return places.setdefault(key, len(places))


def _unpacked(kept: list[Any], layers: Layers) -> Machines:
    texts = {file: text for pages in layers for file, text in pages.items()}
    values: list[Any] = []
    for each in kept:
        values.append(_made(each[0], [values[place] for place in each[1:]]) if type(each) is list else each)
    machines = []
    for file, answers, *fields in values[-1]:
        told = {**dict(zip(_MACHINE, fields, strict=True)), "file": file, "text": texts[file]}
        machines.append(restored(told, answers))
    if not machines:
        raise ValueError("no machines are kept here")
    return Machines(machines)


def _made(kind: str, values: list[Any]) -> Any:
    if kind == "t":
        return tuple(values)
    if kind == "d":
        return dict(zip(values[::2], values[1::2], strict=True))
    if kind == "f":
        return frozenset(values)
    made = _KINDS[kind](*values)
    if kind == "Expression" and not _CODE.fullmatch(made.code):
        raise ValueError(f"{made.code!r} is no code of an expression")
    return made
