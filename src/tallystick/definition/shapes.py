"""What may stand at one place of a page.

A *shape* reads one node of YAML strictly. It also describes itself as JSON Schema, so the reader and the schema for
editors cannot disagree. Every value keeps the place where it was read. YAML is only parsed into nodes; the shape, not
YAML, says what a value means at its place (a bare `no` is a text, not false). Anchors and tags are refused, and a key
may be there once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

from tallystick.errors import Fault, nearest


@attrs.frozen
class Located:
    """A value of the page and its place: `line` and `column` count from 1."""

    value: Any  # a text, a number, a flag; or Located values in a list, in a list of pairs, or in a dict
    line: int
    column: int
    exact: bool = True  # the value stands in one piece: an offset into it is an offset into the line


@attrs.define
class FileFaults:
    """Collects the faults of one file, so that all of them are reported together."""

    file: str
    found: list[Fault] = attrs.field(factory=list)

    def add(self, at: Located | Any, message: str, offset: int = 0) -> None:
        """Report a fault at a value of the page, or at a node of YAML; `offset` characters to the right of it."""
        if not isinstance(at, Located):
            at = _located(at, None)
        self.found.append(Fault(self.file, at.line, at.column + offset, message))


def _located(node: Any, value: Any) -> Located:
    return Located(value, node.start_mark.line + 1, node.start_mark.column + 1)


class Shape(Protocol):
    """What may stand at one place of the page."""

    def read(self, node: Any, faults: FileFaults) -> Located | None:
        """The value of a node of YAML; None, and a fault, if it has another shape."""

    def schema(self) -> dict[str, Any]:
        """The shape as JSON Schema."""


def _is_tagged(node: Any) -> bool:
    """Whether the page has a tag before it. YAML gives every node some tag; only a written one counts."""
    mark = node.start_mark
    return bool(mark.buffer[mark.index] == "!")


def _kind(node: Any) -> str:
    return {"ScalarNode": "a single value", "SequenceNode": "a list", "MappingNode": "a mapping"}[type(node).__name__]


def _fits(node: Any, wanted: str, faults: FileFaults) -> bool:
    """Whether the node is of the wanted kind, without anchor and tag. If it is not, that is reported."""
    if node.anchor:
        faults.add(node, f"&{node.anchor}: a page has no anchors; write the value itself")
    elif _is_tagged(node):
        faults.add(node, f"{node.tag}: a page has no tags; leave it out")
    elif _kind(node) != wanted:
        faults.add(node, f"this is {_kind(node)}, but {wanted} is needed here")
    else:
        return True
    return False


@attrs.frozen
class Text:
    """A sentence, a type or an expression: any single value, as written."""

    def read(self, node: Any, faults: FileFaults) -> Located | None:
        if not _fits(node, "a single value", faults):
            return None
        if not node.value.strip():
            faults.add(node, "a value is missing here")
            return None
        at = _located(node, node.value)
        quotes = 1 if node.style in ("'", '"') else 0
        length = node.end_mark.index - node.start_mark.index - 2 * quotes
        return attrs.evolve(at, column=at.column + quotes, exact=length == len(node.value))

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "integer", "boolean"]}


@attrs.frozen
class Single:
    """A single value of one form."""

    form: re.Pattern[str]
    fault: str  # what is said of another value
    meaning: Callable[[str], Any]
    json: Mapping[str, Any]  # as JSON Schema
    quoted: bool = True  # it may stand in quotes

    def read(self, node: Any, faults: FileFaults) -> Located | None:
        if not _fits(node, "a single value", faults):
            return None
        if not self.form.fullmatch(node.value) or (node.style in ("'", '"') and not self.quoted):
            faults.add(node, f"{node.value!r} {self.fault}")
            return None
        return _located(node, self.meaning(node.value))

    def schema(self) -> dict[str, Any]:
        return dict(self.json)


# fmt: off
NAMED = {"pattern": "^[a-z][a-z0-9_]*$"}
NAME  = Single(re.compile(r"[a-z][a-z0-9_]*"), "is not a name: use lower case letters, digits and _, a letter first",
               str, {"type": "string", **NAMED})
WHOLE = Single(re.compile(r"[1-9][0-9]{0,8}"), "is not a whole number: write 1 or more, without quotes",
               int, {"type": "integer", "minimum": 1}, quoted=False)
FLAG  = Single(re.compile("true|false"), "is neither true nor false", lambda text: text == "true",
               {"type": "boolean"}, quoted=False)
# fmt: on


@attrs.frozen
class ListOf:
    """At least one `item`."""

    item: Shape

    def read(self, node: Any, faults: FileFaults) -> Located | None:
        if not _fits(node, "a list", faults):
            return None
        if not node.value:
            faults.add(node, "the list is empty; it needs at least one item")
            return None
        return _located(node, [at for at in (self.item.read(each, faults) for each in node.value) if at])

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.item.schema(), "minItems": 1}


@attrs.frozen
class OneOrMore:
    """One `item`, or a list of them; read as a list."""

    item: Shape

    def read(self, node: Any, faults: FileFaults) -> Located | None:
        if _kind(node) == "a list":
            return ListOf(self.item).read(node, faults)
        at = self.item.read(node, faults)
        return at and attrs.evolve(at, value=[at])

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.item.schema(), ListOf(self.item).schema()]}


@attrs.frozen
class MapOf:
    """Declared things by name; read as a list of (key, value)."""

    key: Shape
    value: Shape

    def read(self, node: Any, faults: FileFaults) -> Located | None:
        if not _fits(node, "a mapping", faults):
            return None
        pairs = []
        for key, value in _pairs(node, faults):
            at_key, at_value = self.key.read(key, faults), self.value.read(value, faults)
            if at_key and at_value:
                pairs.append((at_key, at_value))
        return _located(node, pairs)

    def schema(self) -> dict[str, Any]:
        schema = {"type": "object", "additionalProperties": self.value.schema()}
        return schema | ({"propertyNames": NAMED} if self.key is NAME else {})


@attrs.frozen
class Key:
    """One key of a record."""

    shape: Shape
    says: str
    required: bool = False


@attrs.frozen
class Record:
    """A fixed set of keys; read as a dict of key → value.

    A `numbered` key is written with a number behind it, as often as one likes: `from version 1`. It is read as a list
    of (number, value).
    """

    keys: Mapping[str, Key]
    numbered: Mapping[str, Key] = attrs.field(factory=dict)

    def read(self, node: Any, faults: FileFaults) -> Located | None:
        if not _fits(node, "a mapping", faults):
            return None
        values: dict[str, Located] = {}
        for key, value in _pairs(node, faults):
            name = key.value if _kind(key) == "a single value" else "?"
            words, _, number = name.rpartition(" ")
            if words in self.numbered and number.isascii() and number.isdecimal():
                found = values.setdefault(words, _located(key, [])).value
                at = self.numbered[words].shape.read(value, faults)
                found += [(_located(key, int(number)), at)] if at else []
                continue
            if name not in self.keys:
                faults.add(key, f"unknown key {name!r}.{nearest(name, [*self.keys, *self.numbered])}")
                continue
            at = self.keys[name].shape.read(value, faults)
            if at:
                values[name] = at
        present = {key.value for key, _ in node.value if _kind(key) == "a single value"}
        for name, key in self.keys.items():
            if key.required and name not in present:
                faults.add(node, f"the key {name!r} is missing: {key.says}")
        return _located(node, values)

    def schema(self) -> dict[str, Any]:
        properties = {name: key.shape.schema() | {"description": key.says} for name, key in self.keys.items()}
        required = [name for name, key in self.keys.items() if key.required]
        schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        for name, key in self.numbered.items():
            schema["patternProperties"] = {f"^{name} [0-9]+$": key.shape.schema() | {"description": key.says}}
        return schema | ({"required": required} if required else {})


@attrs.frozen
class Either:
    """A different shape for each kind of node."""

    single: Shape | None = None
    many: Shape | None = None
    mapping: Shape | None = None

    def read(self, node: Any, faults: FileFaults) -> Located | None:
        shape = {"a single value": self.single, "a list": self.many, "a mapping": self.mapping}[_kind(node)]
        if shape is None:
            kinds = [("a single value", self.single), ("a list", self.many), ("a mapping", self.mapping)]
            wanted = " or ".join(kind for kind, shape in kinds if shape is not None)
            faults.add(node, f"this is {_kind(node)}, but {wanted} is needed here")
            return None
        return shape.read(node, faults)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [shape.schema() for shape in (self.single, self.many, self.mapping) if shape is not None]}


def _pairs(node: Any, faults: FileFaults) -> list[tuple[Any, Any]]:
    """The pairs of a mapping. A key that stands there twice is a fault, and the first one counts."""
    seen: dict[str, int] = {}
    pairs = []
    for key, value in node.value:
        name = str(key.value) if _kind(key) == "a single value" else ""
        if key.anchor:
            faults.add(key, f"&{key.anchor}: a page has no anchors; write the value itself")
        if _is_tagged(key):
            faults.add(key, f"{key.tag}: a page has no tags; leave it out")
        if name in seen:
            faults.add(key, f"the key {name!r} is there twice, first in line {seen[name]}")
            continue
        seen[name] = key.start_mark.line + 1
        if not value.end_mark.index > value.start_mark.index:  # an empty value has the place of its key
            value.start_mark = key.start_mark
        pairs.append((key, value))
    return pairs
