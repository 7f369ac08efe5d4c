"""A page read a second time, by code of the referee's own: what it needs of the page, and nothing that runs.

The library compiles a page into a machine, and the referee must not believe that machine. So this reads the text
again, with a YAML reader and nothing of the library: which states end a life, which accounts may stay filled, what a
transition moves, how much of it, what it sets, what it drives, what it asks the provider, what follows it, and which
invariants hold.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import attrs

from tallystick.provider.verbs import VERBS
from tallystick.testing.referee.evaluate import Evaluator, Values, evaluator, evaluator_of_all, source_of

Pair = tuple[str, str]

_TIMED = re.compile(r"(.*[)\w]) (at|after) (.+)", re.DOTALL)
_FROM, _PLACES = "from version ", ("states", "accounts", "facts")
_SHARE = re.compile(r"\bshare\b")
_CALL = re.compile(r"\s*(?:(\w+)\s*\.)?\s*(\w+)\s*(?:\(|$)")


# What each verb takes, without secrets, which are kept nowhere.
_TAKES = {
    verb: [name for name, type_ in takes.items() if type_.rstrip("?") != "secret"] for verb, takes in VERBS.items()
}


@attrs.frozen
class Ask:
    """A call to the provider. `args`: how each is computed; None: those of the command that have the same names."""

    verb: str
    args: Mapping[str, Evaluator] | None

    def asked(self, values: Values, command: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        """The verb, and what it is asked with."""
        names = _TAKES.get(self.verb, ())
        if self.args is None:
            given = {name: values[name] for name in names if name in command}
        else:
            given = {name: self.args[name](values) for name in names if name in self.args}
        return self.verb, {name: value for name, value in given.items() if value is not None}


@attrs.frozen
class Drive:
    """A command for another entity, with how each of its arguments is computed."""

    link: str
    command: str
    args: Mapping[str, Evaluator]


@attrs.frozen
class FollowUp:
    """A command that a transition queues."""

    command: str
    each: str  # the machine of the parts that it is for; "": for itself
    shared: bool  # only for the parts that the shares name
    when: Evaluator | None
    args: Mapping[str, Evaluator] | None  # None: the provider gives some of them
    at: Evaluator | None  # when it is due; if that is none, nothing is queued
    later: bool  # it is due at a time of its page's

    def about(self, id: str, values: Values, shares: str) -> list[tuple[str, Values]]:
        """Whom it is queued for, and the values that its arguments are made of. `shares`: the argument with these."""
        if self.when is not None and not self.when(values):
            return []
        if self.at is not None and self.at(values) is None:
            return []
        if not self.each:
            return [(id, values)]
        if self.shared:
            return [(part, {**values, "share": share}) for part, share in values[shares]]
        return [(part, values) for part in values[f"{self.each}.each"]]

    def given(self, values: Values) -> dict[str, Any] | None:
        """Its arguments; None if nobody can say."""
        return None if self.args is None else {name: value(values) for name, value in self.args.items()}


@attrs.frozen
class DeclaredTransition:
    """A transition: as much of it as shows in the journal."""

    name: str
    moves: tuple[Pair, ...]
    amounts: Evaluator  # of all moves, in their order
    sets: Mapping[str, Evaluator | None]  # None: what the provider gave
    told: Mapping[str, str]  # facts that the provider gives: fact → reference or request
    drives: tuple[Drive, ...]
    ask: Ask | None
    then: tuple[FollowUp, ...]
    changes: bool  # it leads to another state, confirmed or declined
    partial: frozenset[str]  # the arguments of which less may be confirmed
    upto: tuple[Evaluator, ...]  # what such an argument is cut down to: the least of these that is there


@attrs.frozen
class Invariant:
    """What the page says always holds: a comparison, and sums over entities that link to this one."""

    name: str
    source: str
    sums: Mapping[str, tuple[str, str, str]]  # name → machine, fact, account

    def holds(self, values: Values) -> bool:
        return bool(evaluator(self.source)(values))


@attrs.frozen
class Definition:
    """A machine, by the text of its page."""

    name: str
    start: str
    final: frozenset[str]
    facts: tuple[str, ...]
    defaults: Mapping[str, Any]  # of facts that have one
    links: Mapping[str, str]  # fact → machine
    accounts: tuple[str, ...]
    holding: tuple[str, ...]  # empty in a final state; a refund there may be in doubt all the same
    outside: tuple[str, ...]
    commands: Mapping[str, Mapping[str, str]]  # argument → type, without its question mark
    transitions: Mapping[str, DeclaredTransition]
    invariants: tuple[Invariant, ...]
    migrations: Mapping[int, Mapping[str, Mapping[str, str]]]  # older version → states, accounts, facts → their places


@lru_cache(maxsize=256)
def read_definition(text: str) -> Definition:
    """Read a page from its text, which the store keeps."""
    from ruamel.yaml import YAML

    read: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    states: dict[str, Any] = read["states"]
    accounts: dict[str, Any] = read.get("accounts") or {}
    facts: dict[str, Any] = read.get("facts") or {}
    kept = {name for name, each in accounts.items() if isinstance(each, dict) and each.get("kept")}
    types = {name: _kind(each) for name, each in facts.items()}
    plain = ("money", "count", "text", "flag", "number", "secret", "shares", "time")
    return Definition(
        name=read["machine"],
        start=next(name for name, each in states.items() if isinstance(each, dict) and each.get("start")),
        final=frozenset(name for name, each in states.items() if isinstance(each, dict) and each.get("final")),
        facts=tuple(facts),
        defaults={name: each["default"] for name, each in facts.items()
                  if isinstance(each, dict) and "default" in each},
        links={fact: kind.rstrip("?") for fact, kind in types.items()
               if kind.rstrip("?").isidentifier() and kind.rstrip("?") not in plain},
        accounts=tuple(accounts),
        holding=tuple(name for name in accounts if name not in kept),  # what is in doubt may be a refund
        outside=tuple(read.get("outside") or ()),
        commands={name: {each: _kind(kind).rstrip("?") for each, kind in (args or {}).items()}
                  for name, args in read["commands"].items()},
        transitions={name: _declared(name, each) for name, each in read["transitions"].items()},
        invariants=tuple(_invariant(name, each) for name, each in (read.get("invariants") or {}).items()),
        migrations={int(key.removeprefix(_FROM)): {kind: (said or {}).get(kind) or {} for kind in _PLACES}
                    for key, said in read.items() if key.startswith(_FROM)},
    )  # fmt: skip


def _declared(name: str, read: Mapping[str, Any]) -> DeclaredTransition:
    moves = {str(each): source_of(amount) for each, amount in (read.get("move") or {}).items()}
    drives = [_named(each) for each in _listed(read.get("drive"))]
    given = [source for each in drives for source in each[2].values() if source.isidentifier()]
    return DeclaredTransition(
        name=name,
        moves=tuple((source.strip(), target.strip()) for source, target in (each.split("->") for each in moves)),
        amounts=evaluator_of_all(tuple(moves.values())),
        sets={fact: None if "outcome." in source_of(each) else evaluator(source_of(each))
              for fact, each in (read.get("set") or {}).items()},
        told={fact: each.removeprefix("outcome.") for fact, each in (read.get("set") or {}).items()
              if each in ("outcome.reference", "outcome.request")},
        drives=tuple(Drive(link, command, {arg: evaluator(each) for arg, each in args.items()})
                     for link, command, args in drives),
        ask=_ask(str(read["ask"])) if "ask" in read else None,
        then=tuple(_follow_up(each) for each in _listed(read.get("then"))),
        changes=read.get("to") not in (None, "stay") or "else" in read,
        partial=frozenset([*given, *([read["partial"]] if "partial" in read else [])]),
        upto=tuple(evaluator(source_of(each)) for each in _listed(read.get("upto"))),
    )  # fmt: skip


def _ask(text: str) -> Ask:
    _, verb, args = _named(text)
    return Ask(verb, {name: evaluator(each) for name, each in args.items()} if "(" in text else None)


def _invariant(name: str, read: Mapping[str, Any]) -> Invariant:
    sums = {each: tuple(path.split(".")) for each, path in (read.get("sum") or {}).items()}
    return Invariant(name, str(read["always"]), sums)


def _follow_up(text: str) -> FollowUp:
    """`each part.command(argument=value) at time when guard`."""
    called, _, guard = text.partition(" when ")
    timed = _TIMED.fullmatch(called)
    called = timed[1] if timed else called
    each, command, args = _named(called.removeprefix("each "))
    shared = any(_SHARE.search(value) for value in args.values())
    told = any("outcome." in value for value in args.values())
    made = None if told else {name: evaluator(value) for name, value in args.items()}
    at = evaluator(timed[3]) if timed and timed[2] == "at" else None
    return FollowUp(command, each, shared, evaluator(guard) if guard else None, made, at, later=timed is not None)


def _kind(type_: object) -> str:
    """A type as it is written; a choice is none that is a word."""
    return str(type_.get("is") if isinstance(type_, dict) else type_)


def _listed(value: Any) -> list[str]:
    return [] if value is None else [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _named(text: str) -> tuple[str, str, Mapping[str, str]]:
    """`link.command(argument=value)` or `command(argument=value)`."""
    found = _CALL.match(text)
    assert found is not None, text
    tree = ast.parse(text.strip(), mode="eval").body
    args = tree.keywords if isinstance(tree, ast.Call) else []
    return found[1] or "", found[2], {str(each.arg): ast.unparse(each.value) for each in args}
