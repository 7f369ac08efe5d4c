"""A page read a second time, by other eyes: what the referee needs of it, and nothing that runs.

The library compiles a page into a machine; whoever judges that machine must not believe it. So this reads the text
again, with a YAML reader and nothing of the library: which states end a life, which accounts may stay filled, what a
transition moves, how much of it, what it sets, what it drives, what follows it, and what is always true.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import attrs

from tallystick.testing.referee.evaluate import Values, Worth, source_of, worth, worth_of_all

Pair = tuple[str, str]

_CALL = re.compile(r"\s*(?:(\w+)\s*\.)?\s*(\w+)\s*(?:\(|$)")


@attrs.frozen
class Drive:
    """A command for another entity, and what each of its arguments is worth."""

    link: str
    command: str
    args: Mapping[str, Worth]


@attrs.frozen
class Declared:
    """A transition, as far as what it leaves in the journal goes."""

    name: str
    moves: tuple[Pair, ...]
    amounts: Worth  # of all moves, in their order
    sets: Mapping[str, Worth | None]  # None: what the provider gave
    references: tuple[str, ...]  # facts that are the provider's name of what it did
    drives: tuple[Drive, ...]
    then: tuple[str, ...]
    changes: bool  # it leads to another state, confirmed or declined
    partial: frozenset[str]  # the arguments of which less may be confirmed
    upto: Worth | None  # what such an argument is cut down to


@attrs.frozen
class Always:
    """What the page says is always true: sums over others that link here, and a comparison."""

    name: str
    source: str
    sums: Mapping[str, tuple[str, str, str]]  # name → machine, fact, account

    def holds(self, values: Values) -> bool:
        return bool(worth(self.source)(values))


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
    commands: Mapping[str, Mapping[str, str]]  # argument → type, without its question mark
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
    types = {name: _kind(each) for name, each in facts.items()}
    plain = ("money", "count", "text", "flag", "number", "secret")
    return Page(
        name=told["machine"],
        start=next(name for name, each in states.items() if isinstance(each, dict) and each.get("start")),
        final=frozenset(name for name, each in states.items() if isinstance(each, dict) and each.get("final")),
        facts=tuple(facts),
        links={fact: kind.rstrip("?") for fact, kind in types.items()
               if kind.rstrip("?").isidentifier() and kind.rstrip("?") not in plain},
        accounts=tuple(accounts),
        holding=tuple(name for name in accounts if name not in kept),  # what is in doubt may be a refund
        outside=tuple(told.get("outside") or ()),
        commands={name: {each: _kind(kind).rstrip("?") for each, kind in (args or {}).items()}
                  for name, args in told["commands"].items()},
        transitions={name: _declared(name, each) for name, each in told["transitions"].items()},
        invariants=tuple(_always(name, each) for name, each in (told.get("invariants") or {}).items()),
    )  # fmt: skip


def _declared(name: str, told: Mapping[str, Any]) -> Declared:
    moves = {str(each): source_of(amount) for each, amount in (told.get("move") or {}).items()}
    drives = [_named(each) for each in _listed(told.get("drive"))]
    given = [source for each in drives for source in each[2].values() if source.isidentifier()]
    return Declared(
        name=name,
        moves=tuple((source.strip(), target.strip()) for source, target in (each.split("->") for each in moves)),
        amounts=worth_of_all(tuple(moves.values())),
        sets={fact: None if "outcome." in source_of(each) else worth(source_of(each))
              for fact, each in (told.get("set") or {}).items()},
        references=tuple(fact for fact, each in (told.get("set") or {}).items() if each == "outcome.reference"),
        drives=tuple(Drive(link, command, {arg: worth(each) for arg, each in args.items()})
                     for link, command, args in drives),
        then=tuple(_named(each)[1] for each in _listed(told.get("then"))),
        changes=told.get("to") not in (None, "stay") or "else" in told,
        partial=frozenset([*given, *([told["partial"]] if "partial" in told else [])]),
        upto=worth(source_of(told["upto"])) if "upto" in told else None,
    )  # fmt: skip


def _always(name: str, told: Mapping[str, Any]) -> Always:
    sums = {each: tuple(path.split(".")) for each, path in (told.get("sum") or {}).items()}
    return Always(name, str(told["always"]), sums)


def _kind(told: object) -> str:
    """A type as it is written; a choice is none that is a word."""
    return str(told.get("is") if isinstance(told, dict) else told)


def _listed(value: Any) -> list[str]:
    return [] if value is None else [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _named(text: str) -> tuple[str, str, Mapping[str, str]]:
    """`link.command(argument=value)` or `command(argument=value)`."""
    found = _CALL.match(text)
    assert found is not None, text
    tree = ast.parse(text.strip(), mode="eval").body
    args = tree.keywords if isinstance(tree, ast.Call) else []
    return found[1] or "", found[2], {str(each.arg): ast.unparse(each.value) for each in args}
