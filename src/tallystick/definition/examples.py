"""The second pass over a page: its examples, short lives that an author writes down and `check` lives.

    a partial shipment:
      given: {card: a sold card}
      do: [authorize 40.00, settle 15.00]
      ends: {state: advanced_hold, held: 25.00, redeemed: 15.00, card.available: 10.00, card.held: 25.00}

A step is a command with its values, in the order of its arguments; a flag is said by its name, anything else may be
`name=value`. What is not said of an entity is as simple as it can be: the first choice, none, false, another new
entity. Here everything is checked that one look can: names, types, and that no example comes after itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tallystick import money
from tallystick.definition.declared import IN_DOUBT, Example, ExampleStep, Given
from tallystick.definition.expression import UNKNOWN, Type
from tallystick.definition.first_pass import Declarations
from tallystick.definition.shapes import Located
from tallystick.errors import Invalid, MoneyError, nearest
from tallystick.moment import moment_of

CURRENCY = "BRL"  # of all amounts in examples: two decimals. What they show holds for every currency
OWN = "this"  # the name of an example's own entity
PROVIDER, HALF = "provider", ("available", "held")  # in `ends`: what the provider has, such as card.provider.available
WAIT, RECOVER, REFUSED = "wait", "recover", "refused"
UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
# How the provider replies to a call, and to a look-up. An amount may follow those that do what is asked.
REPLIES = ("confirmed", "declined", "unavailable", "lost_before", "lost_after", "found", "ambiguous", "silent")
IN_PART = ("confirmed", "lost_after")

Pages = Mapping[str, Declarations]


def read_examples(page: Declarations, machines: Pages) -> dict[str, Example]:
    """The examples of a page."""
    found = {}
    for name, body in page.pairs("examples"):
        if {"do", "ends"} <= body.value.keys():
            found[name.value] = _Reader(page, machines, name, body.value).read()
    return found


class _Reader:
    """Reads one example."""

    def __init__(self, page: Declarations, machines: Pages, name: Located, record: Mapping[str, Located]) -> None:
        self._page, self._machines, self._name, self._record = page, machines, name, record
        self._faults = page.faults
        self._others: dict[str, Given] = {}
        self._known = {OWN: page.name} | _others(page, record)  # name → machine

    def read(self) -> Example:
        after = self._record["after"].value if "after" in self._record else ""
        if after:
            self._comes_before(self._page, self._record["after"])
        own = Given(self._page.name, after, self._given())
        steps = tuple(self._step(each) for each in self._record["do"].value)
        ends = {key.value: self._end(key, value) for key, value in self._record["ends"].value}
        if "state" not in ends:
            self._faults.add(self._record["ends"], "'ends' does not say the state; write state: …")
        return Example(self._name.value, own, self._others, steps, ends)

    # Who is there

    def _given(self) -> dict[str, object]:
        """The facts of its own entity; who else is there is kept."""
        facts: dict[str, object] = {}
        written = self._record["given"].value if "given" in self._record else []
        for key, value in written:  # all names first: they may name each other
            fact = self._page.facts.get(key.value)
            if key.value == OWN:
                self._faults.add(key, f"'{OWN}' is the example's own entity; choose another name")
            elif fact is None:
                self._is_machine(key, value)
        for key, value in written:
            fact = self._page.facts.get(key.value)
            if key.value != OWN and _machine(self._page, key, value, written):
                self._others[key.value] = self._other(key, value)
            if fact is not None:
                named = key.value in self._others
                facts[key.value] = key.value if named else self._value(value, fact.type, key.value)
        return facts

    def _is_machine(self, key: Located, value: Located) -> None:
        record = _record(value)
        if "is" not in record:
            hint = nearest(key.value, list(self._page.facts))
            self._faults.add(key, f"{key.value!r} is no fact; somebody else is {{is: machine, …}}.{hint}")
        elif record["is"].value not in self._machines:
            hint = nearest(record["is"].value, list(self._machines))
            self._faults.add(record["is"], f"there is no machine {record['is'].value!r}.{hint}")

    def _other(self, key: Located, value: Located) -> Given:
        machine = self._known[key.value]
        page = self._machines.get(machine)
        if page is None:
            return Given(machine, "", {})
        if not isinstance(value.value, list):
            self._comes_before(page, value)
            return Given(machine, value.value, {})
        after, facts = "", dict[str, object]()
        for name, each in value.value:
            if name.value == "after":
                self._comes_before(page, each)
                after = each.value
            elif name.value == "is":
                if each.value != machine:
                    self._faults.add(each, f"{key.value!r} is a {machine}, not a {each.value}")
            elif name.value in page.facts:
                facts[name.value] = self._value(each, page.facts[name.value].type, name.value)
            else:
                self._faults.add(name, f"{machine} has no fact {name.value!r}.{nearest(name.value, list(page.facts))}")
        return Given(machine, after, facts)

    def _comes_before(self, page: Declarations, at: Located) -> None:
        """Another example comes first: it has to be there, and must not come after this one."""
        names = [name.value for name, _ in page.pairs("examples")]
        if at.value not in names:
            where = "here" if page is self._page else f"on the page of {page.name}"
            self._faults.add(at, f"there is no example {at.value!r} {where}.{nearest(at.value, names)}")
        elif (self._page.name, self._name.value) in _before(self._machines, page.name, at.value):
            self._faults.add(at, f"{at.value!r} comes after {self._name.value!r}, and so cannot come first")

    # What is done

    def _step(self, at: Located) -> ExampleStep:
        written, comes = (at, list[Located]()) if isinstance(at.value, str) else self._pair(at)
        first, *words = written.value.split() or [""]
        text = " ".join([first, *words])
        if first in (WAIT, RECOVER) and first not in self._page.commands:
            seconds = self._seconds(written, words) if first == WAIT else 0
            return ExampleStep(text, "", first, {}, self._replies(comes), None, seconds)
        whose, _, command = first.rpartition(".")
        page = self._machines.get(self._of(written, whose))
        if page is None:
            return ExampleStep(text, whose, command, {}, (), None)
        if command not in page.commands:
            hint = nearest(command, list(page.commands))
            self._faults.add(written, f"{page.name} has no command {command!r}.{hint}")
            return ExampleStep(text, whose, command, {}, (), None)
        args = self._arguments(written, page.commands[command].arguments, words)
        refused = None
        if len(comes) == 1 and comes[0].value.split()[0] not in REPLIES:
            refused, comes = self._refusal(comes[0], page, command), []
        return ExampleStep(text, whose, command, args, self._replies(comes), refused)

    def _pair(self, at: Located) -> tuple[Located, list[Located]]:
        if len(at.value) != 1:
            self._faults.add(at, "write one step with what comes of it, such as {settle 15.00: declined}")
        step, comes = at.value[0]
        return step, list(comes.value)

    def _seconds(self, at: Located, words: list[str]) -> int:
        number, unit = words if len(words) == 2 else ("", "")
        unit = unit.removesuffix("s")
        if not re.fullmatch(r"[1-9][0-9]{0,6}", number) or unit not in UNITS:
            self._faults.add(at, f"'{at.value}': write wait and how long, such as wait 3 days")
            return 0
        return int(number) * UNITS[unit]

    def _of(self, at: Located, path: str) -> str:
        """The machine of whom a path names: `card`, `p1.card`; "": the example's own."""
        machine = self._page.name
        for number, name in enumerate(path.split(".") if path else ()):
            facts = self._machines[machine].facts
            if number == 0 and name in self._known:
                machine = self._known[name]
            elif name in facts and facts[name].type.kind == "link":
                machine = facts[name].type.machine
            else:
                links = [each for each, fact in facts.items() if fact.type.kind == "link"]
                known = list(dict.fromkeys([*(self._known if number == 0 else ()), *links]))
                self._faults.add(at, f"nobody here is called {name!r}.{nearest(name, known)}")
                return ""
            if machine not in self._machines:
                return ""
        return machine

    def _arguments(self, at: Located, types: Mapping[str, Type], words: list[str]) -> dict[str, object]:
        found: dict[str, object] = {}
        for word in words:
            name, given, value = word.partition("=")
            left = [each for each, type_ in types.items() if each not in found and type_.kind != "flag"]
            if name in types and (given or types[name].kind == "flag"):
                value = value if given else "true"
            elif given:
                self._faults.add(at, f"'{at.value}': it takes no {name!r}.{nearest(name, list(types))}")
                continue
            elif left:
                name, value = left[0], word
            else:
                self._faults.add(at, f"'{at.value}': {word!r} is one value too many")
                continue
            found[name] = self._value(at, types[name], name, value)
        for name, type_ in types.items():
            if name not in found and not type_.optional and type_.kind not in ("flag", UNKNOWN):
                self._faults.add(at, f"'{at.value}' lacks {name}, which is {type_}")
        return found

    def _replies(self, comes: list[Located]) -> tuple[tuple[str, str], ...]:
        found = []
        for each in comes:
            kind, _, amount = each.value.partition(" ")
            if kind not in REPLIES or (amount and kind not in IN_PART):
                hint = nearest(kind, REPLIES)
                self._faults.add(each, f"'{each.value}' is no reply of a provider.{hint} Write {', '.join(REPLIES)}")
                continue
            found.append((kind, str(self._value(each, Type("money"), kind, amount)) if amount else ""))
        return tuple(found)

    def _refusal(self, at: Located, page: Declarations, command: str) -> str:
        """Why it is refused: a sentence of `refuse:`, here or on a page that it may drive."""
        if at.value == REFUSED:
            return ""
        reasons = [each.value["says"].value for one in self._machines.values() for each in one.listed("refuse")
                   if "says" in each.value]  # fmt: skip
        if at.value not in reasons:
            own = [each.value["says"].value for each in page.listed("refuse") if "says" in each.value]
            self._faults.add(at, f"'{at.value}' is neither a reply of the provider, nor {REFUSED!r}, nor why {command} "
                                 f"is refused.{nearest(at.value, own)}")  # fmt: skip
        return str(at.value)

    # Values

    def _value(self, at: Located, type_: Type, name: str, text: Any = None) -> object:
        """A value as a caller gives it; what is of another type is reported."""
        text = at.value if text is None else text
        if not isinstance(text, str) or (text == "none" and type_.optional):
            if not isinstance(text, str):
                self._faults.add(at, f"{name} is {type_}; that is one value")
            return None
        try:
            match type_.kind:
                case "money":
                    money.parse(text, CURRENCY)
                case "count":
                    return int(text)
                case "flag":
                    return {"true": True, "false": False}[text]
                case "choice" if text not in type_.choices:
                    raise ValueError
                case "link" if self._known.get(text) != type_.machine:
                    raise ValueError
                case "time":
                    return time_of(text)
                case "shares":
                    return tuple(self._share(at, each) for each in text.split("+"))
        except (MoneyError, ValueError, KeyError, Invalid):
            self._faults.add(at, f"{name} is {type_}, and {text!r} is not")
        return text

    def _share(self, at: Located, text: str) -> tuple[str, str]:
        part, _, amount = text.partition(":")
        money.parse(amount, CURRENCY)
        if part not in self._known:
            self._faults.add(at, f"nobody here is called {part!r}.{nearest(part, list(self._known))}")
        return part, amount

    def _end(self, key: Located, value: Located) -> str:
        path, _, name = key.value.rpartition(".")
        if name in HALF and path.rpartition(".")[2] == PROVIDER and PROVIDER not in self._known:
            self._of(key, path.removesuffix(PROVIDER).removesuffix("."))
            self._value(value, Type("money"), key.value)
            return str(value.value)
        page = self._machines.get(self._of(key, path))
        if page is None:
            return str(value.value)
        if name == "state":
            if value.value not in page.states:
                hint = nearest(value.value, list(page.states))
                self._faults.add(value, f"{page.name} has no state {value.value!r}.{hint}")
        elif name in page.accounts or name in page.outside or (name == IN_DOUBT and page.accounts):
            self._value(value, Type("money"), name)
        elif name in page.facts:
            if value.value not in ("none", "some"):
                self._value(value, page.facts[name].type, name)
        else:
            known = ["state", *page.accounts, *page.outside, *page.facts]
            self._faults.add(key, f"{page.name} has nothing called {name!r}.{nearest(name, known)}")
        return str(value.value)


def time_of(text: str) -> str:
    """A time of an example, as it is kept: a day is its midnight in UTC. Raises Invalid."""
    return moment_of("a time", f"{text}T00:00:00Z" if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else text)


# Who is named, as it is written


def _record(value: Located) -> dict[str, Located]:
    return {name.value: each for name, each in value.value} if isinstance(value.value, list) else {}


def _machine(page: Declarations, key: Located, value: Located, written: Sequence[tuple[Located, Located]]) -> str:
    """The machine of somebody whom an example brings along; "": it is a fact, or somebody who is named again."""
    fact = page.facts.get(key.value)
    if fact is None:
        return str(_record(value)["is"].value) if "is" in _record(value) else ""
    again = isinstance(value.value, str) and value.value in [OWN, *(each.value for each, _ in written)]
    return fact.type.machine if fact.type.kind == "link" and not again else ""


def _others(page: Declarations, record: Mapping[str, Located]) -> dict[str, str]:
    """Whom an example brings along, and those whom the ones before it bring: by name, with the machine of each."""
    found: dict[str, str] = {}
    met: list[str] = []
    while True:
        written = record["given"].value if "given" in record else []
        brought = {key.value: _machine(page, key, value, written) for key, value in written}
        found = {name: machine for name, machine in brought.items() if machine} | found
        if "after" not in record or record["after"].value in met:
            return found
        met.append(record["after"].value)
        record = next((body.value for name, body in page.pairs("examples") if name.value == met[-1]), {})


def _before(machines: Pages, machine: str, example: str) -> set[tuple[str, str]]:
    """An example, and all that come before it."""
    found: set[tuple[str, str]] = set()
    ways = [(machine, example)]
    while ways:
        one = ways.pop()
        if one not in found and one[0] in machines:
            found.add(one)
            ways += _named(machines[one[0]], one[1])
    return found


def _named(page: Declarations, example: str) -> Iterator[tuple[str, str]]:
    """The examples that one comes after, as they are written."""
    body: Mapping[str, Located] = next(
        (body.value for name, body in page.pairs("examples") if name.value == example), {}
    )
    if "after" in body:
        yield page.name, body["after"].value
    written = body["given"].value if "given" in body else []
    for key, value in written:
        after = _record(value)["after"].value if "after" in _record(value) else value.value
        machine = _machine(page, key, value, written)
        if machine and isinstance(after, str):
            yield machine, after
