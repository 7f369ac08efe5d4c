"""The first pass over a page: the facts, accounts, states and commands that it declares, without its transitions."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tallystick.definition.declared import IN_DOUBT, Account, Command, Fact, State
from tallystick.definition.expression import KINDS, UNKNOWN, Type
from tallystick.definition.shapes import FileFaults, Located
from tallystick.errors import nearest
from tallystick.provider.verbs import ABILITIES

# Columns of every machine's table, and words of expressions: no fact, account or argument may have these names.
# fmt: off
RESERVED = frozenset([
    "id", "state", "version", "machine_version", "currency", "calls", "changing", "hash", "created", "updated",
    "outcome", "now", "true", "false", "none", "and", "or", "not", "in", "if", "else",
])
# Tables of every store, and types: no machine may have these names.
TABLES = frozenset(["machine", "transition", "entry", "posting", "call", "queue", "shared", *KINDS])
# fmt: on
KINDS_OF_COMMANDS = (
    "driven",
    "patient",
    "signed",
    "once",
    "owed",
    "customer",
)  # keys that list commands, flags of Command


class Declarations:
    """What one page declares. The second pass reads transitions against the declarations of all pages."""

    def __init__(self, page: Located, text: str, faults: FileFaults) -> None:
        self.page: dict[str, Located] = page.value
        self.text = text
        self.faults = faults
        self.file = faults.file
        self.name: str = self.page["machine"].value
        self.facts: dict[str, Fact] = {}
        self.accounts: dict[str, Account] = {}
        self.outside: dict[str, str] = {}
        self.moved_by: dict[str, tuple[str, ...]] = {}
        self.figures: dict[str, dict[str, str]] = {}
        self.states: dict[str, State] = {}
        self.commands: dict[str, Command] = {}

    def pairs(self, key: str) -> list[tuple[Located, Located]]:
        """What the page declares under this key: each name with its value."""
        return self.page[key].value if key in self.page else []

    def listed(self, key: str) -> list[Located]:
        """The items of the list under this key."""
        return self.page[key].value if key in self.page else []

    def answering(self, command: str) -> list[dict[str, Located]]:
        """The transitions, as written, that answer a command."""
        found = []
        for key, body in self.pairs("transitions"):
            named = [each.value for each in body.value["command"].value] if "command" in body.value else [key.value]
            if command in named:
                found.append(body.value)
        return found

    def declare(self, machines: Mapping[str, Declarations]) -> None:
        """Read all declarations, and report what is wrong with them. A type may name any of the machines."""
        for key, body in self.pairs("states"):
            record = body.value
            says = record["says"].value if "says" in record else ""
            if key.value == "stay":
                self.faults.add(key, "'stay' means that the state does not change; choose another name")
            self.states[key.value] = State(key.value, says, flag(record, "start"), flag(record, "final"))
        self._check_states()
        if self.name in TABLES or self.name.startswith(("sqlite", "v_")) or self.name.endswith("__old"):
            self.faults.add(self.page["machine"], f"{self.name!r} is a reserved word; choose another name")
        for key, body in self.pairs("accounts"):
            self._check_name(key)
            record = body.value if isinstance(body.value, dict) else {"says": body}
            says = record["says"].value if "says" in record else ""
            self.accounts[key.value] = Account(key.value, says, flag(record, "kept"), flag(record, "indexed"))
        for key, body in self.pairs("outside"):
            record = body.value if isinstance(body.value, dict) else {"says": body}
            self.outside[key.value] = record["says"].value if "says" in record else ""
            if "by" in record:
                self.moved_by[key.value] = tuple(command.value for command, _ in moving(record["by"]))
                figures = {command.value: figure.value for command, figure in moving(record["by"]) if figure}
                self.figures |= {key.value: figures} if figures else {}
            if key.value in self.accounts or key.value == IN_DOUBT:
                self.faults.add(key, f"{key.value!r} is an account inside the machine already; choose another name")
        for key, body in self.pairs("facts"):
            self._check_name(key)
            self.facts[key.value] = self._fact(key, body, machines)
        for key, body in self.pairs("commands"):
            self.commands[key.value] = self._command(key, body, machines)
        for name in self._listed_commands():
            if name.value not in self.commands:
                hint = nearest(name.value, list(self.commands))
                self.faults.add(name, f"command {name.value!r} is not declared.{hint}")

    def _listed_commands(self) -> Iterator[Located]:
        """Commands that are named in lists."""
        for kind in KINDS_OF_COMMANDS:
            yield from self.listed(kind)
        for _, body in self.pairs("outside"):
            if isinstance(body.value, dict) and "by" in body.value:
                yield from (command for command, _ in moving(body.value["by"]))

    def _check_states(self) -> None:
        starts = [state for state in self.states.values() if state.start]
        if len(starts) != 1:
            say = "no state has start: true" if not starts else f"{len(starts)} states have start: true"
            self.faults.add(self.page["states"], f"{say}; an entity begins in exactly one state")

    def _check_name(self, key: Located) -> None:
        """A fact or an account needs a name that nothing else has."""
        name = key.value
        if name in RESERVED or name == IN_DOUBT or keyword.iskeyword(name):
            self.faults.add(key, f"{name!r} is a reserved word; choose another name")
        elif name in self.accounts or name in self.facts:
            self.faults.add(key, f"{name!r} is declared already; choose another name")

    def _fact(self, key: Located, body: Located, machines: Mapping[str, Declarations]) -> Fact:
        record = body.value if isinstance(body.value, dict) else {"is": body}
        type_ = self._type(record["is"], machines) if "is" in record else Type("text")
        if type_.kind == "secret":
            self.faults.add(record["is"], f"{key.value!r} would store a secret; a secret may only be passed on")
        if type_.kind == "shares":
            self.faults.add(record["is"], f"{key.value!r} is shares; these are arguments of a command, and no facts")
        if flag(record, "optional"):
            type_ = type_._replace(optional=True)
        later, default = flag(record, "later"), None
        if "default" in record:
            default = self._default(record["default"], type_)
        elif later and not type_.optional:
            self.faults.add(key, f"{key.value!r} is set later, so it has to be optional ('?') or have a default")
        if "default" in record and later and type_.optional:
            self.faults.add(record["default"], "an optional fact is none until it is set; leave the default out")
        unique = flag(record, "unique")
        if unique and type_.kind not in ("number", "text", UNKNOWN):
            self.faults.add(record["unique"], f"{key.value!r} is {type_}; only a number or a text may be unique")
        if unique and any(fact.unique for fact in self.facts.values()):
            self.faults.add(record["unique"], f"a machine may have one unique fact, and {key.value!r} is a second one")
        says = record["says"].value if "says" in record else ""
        states, same = self._joins(record, type_, machines)
        return Fact(key.value, type_, default, later, says, unique, flag(record, "indexed"), states, same)

    def _joins(
        self, record: Mapping[str, Located], type_: Type, machines: Mapping[str, Declarations]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What has to be so of the entity that a fact links to: its states, and the facts that it has in common."""
        wanted = {key: record[key] for key in ("in", "same") if key in record}
        found = {key: tuple(each.value for each in written.value) for key, written in wanted.items()}
        linked = machines.get(type_.machine) if type_.kind == "link" else None
        for key, written in wanted.items():
            if type_.kind not in ("link", UNKNOWN):
                self.faults.add(written, f"{key!r} says something of a linked entity, and this is {type_}")
            theirs = [name.value for name, _ in linked.pairs("states" if key == "in" else "facts")] if linked else []
            for each in written.value if linked else ():
                if each.value not in theirs:
                    kind = "state" if key == "in" else "fact"
                    self.faults.add(each, f"{type_.machine} has no {kind} {each.value!r}.{nearest(each.value, theirs)}")
                elif key == "same" and each.value not in [name.value for name, _ in self.pairs("facts")]:
                    self.faults.add(each, f"there is no fact {each.value!r} here that could be the same")
        return found.get("in", ()), found.get("same", ())

    def _default(self, written: Located, type_: Type) -> object:
        text = written.value
        if type_.kind == "choice":
            if text not in type_.choices:
                self.faults.add(written, f"{text!r} is not one of its choices.{nearest(text, type_.choices)}")
            return text
        if type_.kind == "flag" and text in ("true", "false"):
            return bool(text == "true")
        if type_.kind == "count" and re.fullmatch(r"[0-9]{1,15}", text):
            return int(text)
        if type_.kind == "money" and text == "0":
            return 0
        if type_.kind not in ("text", UNKNOWN):
            self.faults.add(written, f"the default {text!r} does not fit the type, which is {type_}")
        return text

    def _command(self, key: Located, body: Located, machines: Mapping[str, Declarations]) -> Command:
        arguments: dict[str, Type] = {}
        for name, written in body.value:
            type_ = self._argument(written, machines)
            fact = self.facts.get(name.value)
            if name.value in RESERVED | {IN_DOUBT} or keyword.iskeyword(name.value):
                self.faults.add(name, f"{name.value!r} is a reserved word; choose another name")
            elif name.value in self.accounts:
                self.faults.add(name, f"argument {name.value!r} has the name of an account")
            elif (
                fact
                and UNKNOWN not in (fact.type.kind, type_.kind)
                and fact.type._replace(optional=True) != type_._replace(optional=True, ability="")
            ):
                self.faults.add(name, f"argument {name.value!r} is {type_}, but the fact of that name is {fact.type}")
            arguments[name.value] = type_
        if key.value == "create":
            self.faults.add(key, "'create' is built in: it makes an entity in its start state")
        elif key.value in RESERVED:
            self.faults.add(key, f"{key.value!r} is a reserved word; choose another name")
        kinds: Any = {kind: key.value in {each.value for each in self.listed(kind)} for kind in KINDS_OF_COMMANDS}
        return Command(key.value, arguments, **kinds)

    def _argument(self, written: Located, machines: Mapping[str, Declarations]) -> Type:
        """The type of an argument: as it is written, or with what it is if it is left out."""
        if not isinstance(written.value, dict):
            return self._type(written, machines)
        record = written.value
        type_ = self._type(record["is"], machines) if "is" in record else Type(UNKNOWN)
        ability = record.get("provider")
        if ability is None:
            return type_
        if ability.value not in ABILITIES:
            hint = nearest(ability.value, list(ABILITIES))
            self.faults.add(ability, f"{ability.value!r} is no ability of a provider.{hint}")
        if type_.kind not in ("flag", UNKNOWN):
            self.faults.add(ability, f"what a provider can do is a flag, but this is {type_}")
        return type_._replace(ability=ability.value)

    def _type(self, written: Located, machines: Mapping[str, Declarations]) -> Type:
        """A type as written: money, text?, [a, b], gift_card."""
        if isinstance(written.value, list):
            return Type("choice", choices=tuple(item.value for item in written.value))
        name, optional = written.value.removesuffix("?"), written.value.endswith("?")
        if name in KINDS:
            return Type(name, optional)
        if name in machines:
            return Type("link", optional, machine=name)
        self.faults.add(written, f"{name!r} is neither a type nor a machine.{nearest(name, [*KINDS, *machines])}")
        return Type(UNKNOWN, optional)


def flag(record: Mapping[str, Located], key: str) -> bool:
    """Whether a flag is there and true."""
    return key in record and record[key].value is True


def moving(by: Located) -> list[tuple[Located, Located | None]]:
    """The commands under `by:`, each with the figure that it counts in, where the page says one."""
    return [each if isinstance(each, tuple) else (each, None) for each in by.value]
