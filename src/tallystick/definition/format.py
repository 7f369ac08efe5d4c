"""The format of a page, as data: what may stand where.

A *shape* reads one node of YAML strictly. It also describes itself as JSON Schema, so the reader and the schema for
editors cannot disagree. Every value keeps the place where it was read. YAML is only parsed into nodes; this format, not
YAML, says what a value means at its place (a bare `no` is a text, not false). Anchors and tags are refused, and a key
may be there once.
"""

from __future__ import annotations

import re
import warnings
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
    """A fixed set of keys; read as a dict of key → value."""

    keys: Mapping[str, Key]

    def read(self, node: Any, faults: FileFaults) -> Located | None:
        if not _fits(node, "a mapping", faults):
            return None
        values: dict[str, Located] = {}
        for key, value in _pairs(node, faults):
            name = key.value if _kind(key) == "a single value" else "?"
            if name not in self.keys:
                faults.add(key, f"unknown key {name!r}.{nearest(name, list(self.keys))}")
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


_TYPE = Either(single=Text(), many=ListOf(NAME))
_CALL = OneOrMore(Text())

# fmt: off
FACT = Record({
    "is":       Key(_TYPE, "its type: money, count, text, flag, number, time, [choices], or a machine", required=True),
    "optional": Key(FLAG, "may be missing, as `?` behind a type says"),
    "default":  Key(Text(), "what it is if it is not given"),
    "later":    Key(FLAG, "not given at creation: a transition sets it"),
    "unique":   Key(FLAG, "no two entities of one value type have the same"),
    "indexed":  Key(FLAG, "entities are found by it"),
    "in":       Key(ListOf(NAME), "of a link: the states in which one of these takes something that links to it"),
    "same":     Key(ListOf(NAME), "of a link: facts that both have; their values are the same"),
    "says":     Key(Text(), "what it means, for people"),
})
ARGUMENT = Record({
    "is":       Key(_TYPE, "its type", required=True),
    "provider": Key(NAME, "a flag that is left out is true if the provider has this ability"),
})
TRANSITION = Record({
    "command": Key(OneOrMore(NAME), "the command that it answers, if that has another name; or several"),
    "from":    Key(OneOrMore(NAME), "the state it leaves, or several", required=True),
    "to":      Key(NAME, "the state it leads to; without it the state stays"),
    "else":    Key(NAME, "the state a declined call leads to; without it the state stays"),
    "when":    Key(Text(), "its guard; without it, always"),
    "drive":   Key(_CALL, "command(s) given to linked entities in the same commit: link.command(argument=…)"),
    "ask":     Key(Text(), "the provider's verb, with its arguments if they have other names"),
    "partial": Key(NAME, "the argument of which the provider may confirm less"),
    "upto":    Key(OneOrMore(Text()), "that argument is cut down to this, or to the least of these, before asking"),
    "move":    Key(MapOf(Text(), Text()), "what moves: source -> target: amount"),
    "set":     Key(MapOf(NAME, Text()), "facts that change: fact: value, or outcome.reference"),
    "alike":   Key(FLAG, "given to every entity with the same unique fact too; the provider is asked once"),
    "then":    Key(_CALL, "command(s) queued in the same commit: command(…), each part.command(…); with `at expires` or"
                          " `after 30 days` behind it, it is due later; at last `when` and a guard"),
})
EXAMPLE = Record({
    "after": Key(Text(), "another example of this page, which is lived first"),
    "given": Key(MapOf(NAME, Either(single=Text(), mapping=MapOf(NAME, Text()))),
                 "facts, and who else is there: a link as an example of its page, or {is: machine, fact: value}"),
    "do":    Key(ListOf(Either(single=Text(), mapping=MapOf(Text(), OneOrMore(Text())))),
                 "the steps, such as settle 15.00, or {settle 15.00: declined}: what comes of it", required=True),
    "ends":  Key(MapOf(Text(), Text()), "state, accounts and facts at the end; an account left out is empty",
                 required=True),
})
DEFINITION = Record({
    "machine":     Key(NAME, "its name", required=True),
    "version":     Key(WHOLE, "counts up whenever the behaviour changes", required=True),
    "summary":     Key(Text(), "one sentence", required=True),
    "facts":       Key(MapOf(NAME, Either(single=Text(), many=ListOf(NAME), mapping=FACT)),
                       "what an entity knows besides its state"),
    "accounts":    Key(MapOf(NAME, Either(single=Text(), mapping=Record({
                           "says": Key(Text(), "what value on it means", required=True),
                           "kept": Key(FLAG, "value may stay on it in a final state"),
                           "indexed": Key(FLAG, "entities on which value stands here are found by that")}))),
                       "where value stands inside an entity; never negative"),
    "outside":     Key(MapOf(NAME, Either(single=Text(), mapping=Record({
                           "says": Key(Text(), "what value from it or to it means", required=True),
                           "by":   Key(Either(many=ListOf(NAME), mapping=MapOf(NAME, NAME)),
                                       "all commands that move value here; as command: figure, where it counts")}))),
                       "where value comes from or goes to"),
    "usual":       Key(ListOf(NAME), "the states of the usual way, in order; pictures show it as a straight line"),
    "groups":      Key(MapOf(Text(), ListOf(NAME)), "headings over states that belong together, for pictures"),
    "states":      Key(MapOf(NAME, Record({
                           "start": Key(FLAG, "an entity begins here"),
                           "final": Key(FLAG, "no way leads out, and nothing is held here"),
                           "goes_on": Key(Text(), "true, or a guard: whoever comes here has a follow-up queued"),
                           "says":  Key(Text(), "what it means, for people", required=True)})),
                       "all states", required=True),
    "commands":    Key(MapOf(NAME, MapOf(NAME, Either(single=Text(), many=ListOf(NAME), mapping=ARGUMENT))),
                       "what may be asked: {argument: type}", required=True),
    "driven":      Key(ListOf(NAME), "commands that only another machine's transition may give"),
    "patient":     Key(ListOf(NAME), "commands that wait in the queue while a guard refuses them"),
    "signed":      Key(ListOf(NAME), "commands that need who gives them (by) and why (reason)"),
    "once":        Key(ListOf(NAME), "commands that are tried once when they follow another, and dropped if refused"),
    "owed":        Key(ListOf(NAME), "commands that a person hears of if they follow another and are never done"),
    "customer":    Key(ListOf(NAME), "commands that its customer is behind; reports count from the last of them"),
    "transitions": Key(MapOf(NAME, TRANSITION), "all transitions, by name", required=True),
    "refuse":      Key(ListOf(Record({
                           "says":     Key(Text(), "why, for people", required=True),
                           "in":       Key(ListOf(NAME), "states", required=True),
                           "commands": Key(ListOf(NAME), "commands", required=True),
                           "when":     Key(Text(), "a guard: only these values are refused; without it, all"),
                           "over":     Key(FLAG, "a follow-up that is refused so is dropped: it is done or gone")})),
                       "what is refused on purpose"),
    "invariants":  Key(MapOf(NAME, Record({
                           "says":   Key(Text(), "what it means, for people", required=True),
                           "sum":    Key(MapOf(NAME, Text()), "name: machine.fact.account, over what links here"),
                           "always": Key(Text(), "what is true between any two commands", required=True)})),
                       "what is true across machines"),
    "examples":    Key(MapOf(Text(), EXAMPLE), "short lives, by name, that `check` lives and compares"),
})
# fmt: on


def parse(text: str, faults: FileFaults) -> Located | None:
    """The page in `text`, checked against the format. Faults are collected; the page may still be usable."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about an anchor that is used twice; every anchor is a fault below
            node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        faults.add(Located(None, line, column), f"this is not YAML: {error.problem or error.context}")
        return None
    except (YAMLError, RecursionError) as error:
        faults.add(Located(None, 1, 1), f"this is not YAML: {' '.join(str(error).split())}")
        return None
    if node is None:
        faults.add(Located(None, 1, 1), "the page is empty")
        return None
    return DEFINITION.read(node, faults)


def json_schema() -> dict[str, Any]:
    """The format of a page as JSON Schema (draft 2020-12), for editors."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "tallystick machine"}
    return head | DEFINITION.schema()
