"""Every small fault that a page could have, by rule: one value of the page changed.

Guards (a bound off by one cent, a part left out, a word turned round), sources and targets, moves and amounts, sets,
drives, asks, follow-ups, refusals, and the lists of commands. A guard is changed in a second way too: what it does not
take any more is refused, and what it takes now is refused no more. Such a page is whole and agrees with itself, so only
what was meant tells that it is wrong.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

import attrs
from ruamel.yaml import YAML

Page = dict[str, Any]
Change = Callable[[Page], None]

TURNED: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
}  # fmt: skip
LISTS = ("driven", "patient", "signed", "once", "owed")
VERBS = ("issue", "hold", "redeem", "release_hold", "adjust", "void")
CALLS = ("drive", "ask", "then")


@attrs.frozen
class Mutant:
    """A page with one fault."""

    machine: str
    rule: str  # by which it was made
    where: str  # on the page
    change: str  # before → after
    text: str = attrs.field(repr=False)  # of the whole page
    alike: bool = False  # in the guard and in what is refused

    def __str__(self) -> str:
        return f"{self.machine}: {self.where}: {self.change}"


def mutants(text: str) -> Iterator[Mutant]:
    """Every mutant of a page, in its order. JSON is YAML, so a changed page is written as JSON."""
    page = load(text)
    for rule, make in RULES.items():
        for where, change, do in make(page):
            changed = deepcopy(page)
            do(changed)
            yield Mutant(page["machine"], rule, where, change, json.dumps(changed), alike=rule == "guards, alike")


def load(text: str) -> Page:
    """A page as plain values."""
    page: Page = YAML(typ="safe", pure=True).load(text)
    return page


Found = Iterator[tuple[str, str, Change]]  # where, before → after, and how


def put(value: object, *path: Any) -> Change:
    """Put a value at a path of the page; None takes away what is there."""

    def do(page: Page) -> None:
        at: Any = page
        for key in path[:-1]:
            at = at[key]
        if value is None:
            del at[path[-1]]
        else:
            at[path[-1]] = value

    return do


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


# Expressions


def changed(text: str) -> Iterator[str]:
    """An expression with one place of it changed."""
    tree = ast.parse(" ".join(text.split()), mode="eval")
    for number, node in enumerate(ast.walk(tree)):
        for way in range(_ways(node)):
            copy = deepcopy(tree)
            there = list(ast.walk(copy))[number]
            if isinstance(there, ast.BoolOp) and way < len(there.values):
                del there.values[way]
            elif isinstance(there, ast.BoolOp):
                there.op = ast.Or() if isinstance(there.op, ast.And) else ast.And()
            elif isinstance(there, ast.Compare):
                there.ops[way] = TURNED[type(there.ops[way])]()
            elif isinstance(there, ast.UnaryOp):
                there.op = ast.Not() if isinstance(there.op, ast.Not) else there.op
                _replace(copy, there, there.operand)
            elif isinstance(there, ast.BinOp):
                _replace(copy, there, (there.left, there.right)[way])
            yield ast.unparse(_single(copy))


def _ways(node: ast.AST) -> int:
    match node:
        case ast.BoolOp():
            return len(node.values) + 1
        case ast.Compare():
            return len(node.ops)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            return 1
        case ast.BinOp():
            return 2
    return 0


def _single(tree: ast.AST) -> ast.AST:
    """`and` and `or` of one value are that value."""

    class Single(ast.NodeTransformer):
        def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
            self.generic_visit(node)
            return node.values[0] if len(node.values) == 1 else node

    return Single().visit(tree)  # type: ignore[no-any-return]


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for node in ast.walk(tree):
        for field, value in ast.iter_fields(node):
            if value is old:
                setattr(node, field, new)
            elif isinstance(value, list) and any(each is old for each in value):
                setattr(node, field, [new if each is old else each for each in value])


# Rules


def _guards(page: Page) -> Found:
    for name, body in page["transitions"].items():
        for new in changed(body["when"]) if "when" in body else ():
            yield f"{name}.when", f"{_plain(body['when'])} → {new}", put(new, "transitions", name, "when")
        if "when" in body:
            yield f"{name}.when", "left out", put(None, "transitions", name, "when")


def _guards_alike(page: Page) -> Found:
    for name, body in page["transitions"].items():
        for new in changed(body["when"]) if "when" in body else ():
            change = f"{_plain(body['when'])} → {new}, and refused alike"
            yield f"{name}.when", change, _alike(name, body, _plain(body["when"]), new)


def alike(name: str, before: str, after: str) -> Change:
    """A part of a guard is changed, and what is refused with it."""

    def do(page: Page) -> None:
        body = page["transitions"][name]
        old = _plain(body["when"])
        assert old.count(before) == 1, f"{before!r} does not stand in the guard of {name}: {old}"
        _alike(name, body, old, old.replace(before, after))(page)

    return do


def _alike(name: str, body: Page, old: str, new: str) -> Change:
    def do(page: Page) -> None:
        page["transitions"][name]["when"] = new
        states, commands = _listed(body["from"]), _listed(body.get("command", name))
        for each in [each for each in page["refuse"] if "when" in each]:
            mine = [state for state in each["in"] if state in states]
            theirs = [command for command in each["commands"] if command in commands]
            if not mine or not theirs:
                continue
            others = [{**each, "in": [state for state in each["in"] if state not in states]},
                      {**each, "in": mine, "commands": [one for one in each["commands"] if one not in commands]},
                      {**each, "in": mine, "commands": theirs, "when": f"not ({new}) and ({_plain(each['when'])})"}]  # fmt: skip
            page["refuse"].remove(each)
            page["refuse"] += [one for one in others if one["in"] and one["commands"]]
        page["refuse"].append(
            {"in": states, "commands": commands, "when": f"not ({new}) and ({old})", "says": "Not any more."}
        )

    return do


def _sources(page: Page) -> Found:
    for name, body in page["transitions"].items():
        sources = _listed(body["from"])
        for state in sources if len(sources) > 1 else ():
            left = [each for each in sources if each != state]
            yield f"{name}.from", f"without {state}", put(left, "transitions", name, "from")
            yield f"{name}.from", f"without {state}, where it is refused", _no_source(name, body, state, left)


def _no_source(name: str, body: Page, state: str, left: list[str]) -> Change:
    def do(page: Page) -> None:
        page["transitions"][name]["from"] = left
        refusal = {"in": [state], "commands": _listed(body.get("command", name)), "says": "Not any more."}
        answered = any(
            state in _listed(other["from"]) and set(_listed(other.get("command", one))) & set(refusal["commands"])
            for one, other in page["transitions"].items()
        )
        page["refuse"].append(refusal | ({"when": body.get("when", "true")} if answered else {}))
        if not answered:
            for each in page["refuse"][:-1]:
                if state in each["in"] and "when" in each:
                    each["commands"] = [one for one in each["commands"] if one not in refusal["commands"]]
            page["refuse"] = [each for each in page["refuse"] if each["commands"]]

    return do


def _targets(page: Page) -> Found:
    states = list(page["states"])
    for name, body in page["transitions"].items():
        for key in ("to", "else"):
            if key not in body:
                continue
            at = states.index(body[key])
            for other in {states[at - 1], states[(at + 1) % len(states)]} - {body[key]}:
                yield f"{name}.{key}", f"{body[key]} → {other}", put(other, "transitions", name, key)
            yield f"{name}.{key}", "left out", put(None, "transitions", name, key)


def _moves(page: Page) -> Found:
    inside, outside = list(page.get("accounts", {})), list(page.get("outside", {}))
    for name, body in page["transitions"].items():
        moves = body.get("move", {})
        for at, (line, amount) in enumerate(moves.items()):
            source, target = (each.strip() for each in line.split("->"))
            left = {each: value for each, value in moves.items() if each != line}
            yield f"{name}.move", f"without {line}", put(left or None, "transitions", name, "move")
            for one, other in [(source, each) for each in _others(target, inside, outside)] + [
                (each, target) for each in _others(source, inside, outside)
            ]:
                new = {**left, f"{one} -> {other}": amount}
                if one != other and len(new) == len(moves):
                    yield f"{name}.move", f"{line} → {one} -> {other}", put(new, "transitions", name, "move")
            for value in [*changed(str(amount)), *_names_instead(str(amount), inside)]:
                new = {each: value if number == at else old for number, (each, old) in enumerate(moves.items())}
                yield f"{name}.move", f"{line}: {amount} → {value}", put(new, "transitions", name, "move")


def _others(name: str, inside: list[str], outside: list[str]) -> list[str]:
    """Two accounts that might stand there instead: the next one inside, the next one outside."""
    found = []
    for accounts in (inside, outside):
        if accounts:
            at = (accounts.index(name) + 1) % len(accounts) if name in accounts else 0
            found += [accounts[at]] if accounts[at] != name else []
    return found


def _names_instead(amount: str, inside: list[str]) -> list[str]:
    """An account that might stand there in place of a single name."""
    return [each for each in inside if each != amount][:1] if amount.isidentifier() else []


def _sets(page: Page) -> Found:
    for name, body in page["transitions"].items():
        sets = body.get("set", {})
        for fact, value in sets.items():
            left = {each: other for each, other in sets.items() if each != fact}
            yield f"{name}.set", f"without {fact}", put(left or None, "transitions", name, "set")
            if value != "none":
                new = {**sets, fact: "none"}
                yield f"{name}.set", f"{fact}: {value} → none", put(new, "transitions", name, "set")


def _calls(key: str) -> Callable[[Page], Found]:
    def found(page: Page) -> Found:
        for name, body in page["transitions"].items():
            calls = _listed(body[key]) if key in body else []
            for at, call in enumerate(calls):
                left = calls[:at] + calls[at + 1 :]
                yield f"{name}.{key}", f"without {call}", put(left or None, "transitions", name, key)
                for new in _other_calls(key, call):
                    one = [*calls[:at], new, *calls[at + 1 :]]
                    do = put(one if len(one) > 1 else new, "transitions", name, key)
                    yield f"{name}.{key}", f"{call} → {new}", do

    return found


def _other_calls(key: str, text: str) -> Iterator[str]:
    """A call with one thing of it changed: its condition, its verb, one of its arguments."""
    called, word, when = text.partition(" when ")
    if word:
        yield called
        yield from (f"{called} when {new}" for new in changed(when))
    call, when_due = next((called[: at.start()], at[0]) for at in re.finditer(r" (at|after) .*|$", called))
    if when_due:  # at once, not later
        yield f"{call}{word}{when}"
    each = "each " if call.startswith("each ") else ""
    node = ast.parse(call.removeprefix(each), mode="eval").body
    if key == "ask":
        verb = ast.unparse(node.func) if isinstance(node, ast.Call) else call
        yield from (call.replace(verb, other, 1) for other in VERBS if other != verb)
    for number in range(len(node.keywords) if isinstance(node, ast.Call) else 0):
        copy: Any = deepcopy(node)
        del copy.keywords[number]
        yield f"{each}{ast.unparse(copy)}{when_due}{word}{when}"
        argument = node.keywords[number]  # type: ignore[attr-defined]
        values = [*changed(ast.unparse(argument.value))]
        if argument.arg in ("amount", "release", "whole", "held"):
            values.append(f"{ast.unparse(argument.value)} + {ast.unparse(argument.value)}")
        if isinstance(argument.value, ast.Name) and argument.arg == "amount":
            values.append("0")
        for value in values:
            copy = deepcopy(node)
            copy.keywords[number].value = ast.parse(value, mode="eval").body
            yield f"{each}{ast.unparse(copy)}{when_due}{word}{when}"


def _refusals(page: Page) -> Found:
    calls = [
        call for body in page["transitions"].values() for call in (_listed(body["then"]) if "then" in body else [])
    ]
    queued = {call.partition("(")[0] for call in calls}
    for at, each in enumerate(page["refuse"]):
        where = f"refuse[{at}]"
        yield where, f"without {each['says']!r}", put(None, "refuse", at)
        for key in ("in", "commands"):
            for one in each[key] if len(each[key]) > 1 else ():
                left = [other for other in each[key] if other != one]
                yield f"{where}.{key}", f"without {one}", put(left, "refuse", at, key)
        for new in changed(each["when"]) if "when" in each else ():
            yield f"{where}.when", f"{_plain(each['when'])} → {new}", put(new, "refuse", at, "when")
        if set(each["commands"]) & queued:  # of other commands nobody asks
            yield f"{where}.over", "turned round", put(None if each.get("over") else True, "refuse", at, "over")


def _flags(page: Page) -> Found:
    for key in LISTS:
        for command in page.get(key, []):
            left = [each for each in page[key] if each != command]
            yield key, f"without {command}", put(left or None, key)
    for name, body in page["transitions"].items():
        for key in ("partial", "upto", "alike"):
            if key in body:
                yield f"{name}.{key}", "left out", put(None, "transitions", name, key)
        bounds = _listed(body["upto"]) if "upto" in body else []
        for one in bounds if len(bounds) > 1 else ():
            left = [each for each in bounds if each != one]
            yield f"{name}.upto", f"without {one}", put(left, "transitions", name, "upto")
    for name, fact in page.get("facts", {}).items():
        for key in ("unique", "in", "same", "default", "later"):
            if isinstance(fact, dict) and key in fact:
                yield f"facts.{name}.{key}", "left out", put(None, "facts", name, key)


def _plain(text: object) -> str:
    return " ".join(str(text).split())


RULES: Mapping[str, Callable[[Page], Found]] = {
    "guards": _guards, "guards, alike": _guards_alike, "sources": _sources, "targets": _targets, "moves": _moves,
    "sets": _sets, "drives": _calls("drive"), "asks": _calls("ask"), "follow-ups": _calls("then"),
    "refusals": _refusals, "flags": _flags,
}  # fmt: skip
