"""The second pass over a page: its transitions, read against what all pages declare.

Names, types, units, links and secrets are checked here, each with its place on the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs

from tallystick.definition.calls import ParsedCall, check_calls, check_partial, follow_up, may_ask, parse_call, seconds
from tallystick.definition.declared import IN_DOUBT, SHARE, Ask, Drive, Move, Then, Transition
from tallystick.definition.expression import UNKNOWN, Expression, Name, Type
from tallystick.definition.first_pass import Declarations, flag
from tallystick.definition.scope import Scope
from tallystick.definition.shapes import Located
from tallystick.errors import nearest
from tallystick.provider.verbs import VERBS

OUTCOME = {
    "outcome.reference": Name("o.reference", Type("text", optional=True)),
    "outcome.request": Name("o.request_id", Type("text", optional=True)),
    "outcome.has_pin": Name("o.has_pin", Type("flag", optional=True)),
    "outcome.number": Name("o.number", Type("number", optional=True)),
}


class TransitionReader:
    """Reads the transitions of one page."""

    def __init__(self, scope: Scope, machines: Mapping[str, Declarations]) -> None:
        self.scope = scope
        self.page = scope.page
        self.machines = machines
        self.faults = scope.faults

    def read(self, key: Located, body: Located) -> Transition | None:
        """The transition of this name; None if it has no `from`, which is reported already."""
        record: dict[str, Located] = body.value
        if "from" not in record:
            return None
        commands = self.scope.commands(record["command"].value if "command" in record else [key])
        sources = self._sources(record)
        target, otherwise = self._target(record), self.scope.state(record["else"]) if "else" in record else None
        self._check_final(key, record, sources, (target, otherwise))
        arguments = self._arguments(key, commands)
        names = self.scope.names(arguments, sources)
        ask = self._ask(record["ask"], arguments, names) if "ask" in record else None
        drives = [self._drive(each, arguments, names) for each in record["drive"].value] if "drive" in record else []
        upto = [self.scope.expression(each, names, Type("money", optional=True), "an amount")
                for each in (record["upto"].value if "upto" in record else ())]  # fmt: skip
        transition = Transition(
            name=key.value,
            commands=commands,
            sources=sources,
            target=target,
            otherwise=otherwise,
            guard=self.scope.guard(record["when"], names) if "when" in record else None,
            drives=tuple(drive for drive in drives if drive is not None),
            ask=ask,
            partial=record["partial"].value if "partial" in record else None,
            upto=tuple(each for each in upto if each is not None),
            moves=self._moves(record, names),
            sets=self._sets(record, names),
            then=self._then(record, arguments, names),
            line=key.line,
            alike=flag(record, "alike"),
        )
        self._check_alike(record, transition)
        check_calls(self.page, self.machines, key, record, transition)
        check_partial(self.page, self.machines, key, record, transition, arguments)
        return transition

    def _sources(self, record: Mapping[str, Located]) -> tuple[str, ...]:
        sources = [self.scope.state(name) for name in record["from"].value]
        return tuple(dict.fromkeys(source for source in sources if source is not None))

    def _target(self, record: Mapping[str, Located]) -> str | None:
        """The state it leads to; None if the state stays."""
        return self.scope.state(record["to"]) if "to" in record and record["to"].value != "stay" else None

    def _arguments(self, key: Located, commands: Iterable[str]) -> dict[str, Type]:
        signatures = [self.page.commands[command].arguments for command in commands]
        for other in signatures[1:]:
            if other != signatures[0]:
                self.faults.add(key, "its commands take different arguments; write a transition for each")
        return dict(signatures[0]) if signatures else {}

    def _check_final(
        self, key: Located, record: Mapping[str, Located], sources: tuple[str, ...], exits: tuple[str | None, ...]
    ) -> None:
        """No transition leads out of a final state."""
        for source in sources:
            for exit in exits:
                if self.page.states[source].final and exit not in (None, source):
                    self.faults.add(
                        record["from"], f"{source!r} is final, but {key.value!r} leads out of it to {exit!r}"
                    )

    def _check_alike(self, record: Mapping[str, Located], transition: Transition) -> None:
        """Entities with the same unique fact do it together. They differ in currency, so it may have no amount."""
        if not transition.alike:
            return
        if not any(fact.unique for fact in self.page.facts.values()):
            self.faults.add(record["alike"], f"{self.page.name} has no unique fact; 'alike' needs one")
        for command in transition.commands:
            types = self.page.commands[command].arguments.values()
            if transition.moves or any(type_.kind == "money" for type_ in types):
                why = f"{transition.name!r} has an amount, which is of one currency; with 'alike' it must not have one"
                self.faults.add(record["alike"], why)
            if self.page.commands[command].driven:
                why = f"{command!r} is driven, and nobody drives it in the other entities"
                self.faults.add(record["alike"], why)

    # What it asks, drives and queues

    def _fitting(
        self, call: ParsedCall, wanted: Mapping[str, Type], names: Mapping[str, Name], who: str
    ) -> dict[str, Expression]:
        """The arguments of a call, checked against what is wanted."""
        arguments = {}
        for name, text in call.arguments.items():
            if name not in wanted:
                self.faults.add(text, f"{who} takes no argument {name!r}.{nearest(name, list(wanted))}")
                continue
            found = self.scope.expression(text, names, wanted[name], f"argument {name!r} of {who}")
            if found is not None:
                arguments[name] = found
        for name, type_ in wanted.items():
            if name not in call.arguments and not type_.optional and (type_.kind != "flag" or type_.ability):
                self.faults.add(call.at, f"{who} needs the argument {name!r}, which is {type_}")
        return arguments

    def _drive(self, text: Located, arguments: Mapping[str, Type], names: Mapping[str, Name]) -> Drive | None:
        call = parse_call(text, self.faults)
        if call is None:
            return None
        types = {name: fact.type for name, fact in self.page.facts.items()} | dict(arguments)
        links = {name: type_ for name, type_ in types.items() if type_.kind == "link"}
        if call.link in types and types[call.link].kind == UNKNOWN:
            return None
        if call.link not in links:
            hint = nearest(call.link, list(links)) or " None is declared."
            self.faults.add(text, f"{call.link or call.name!r} is not a fact or argument that is a link.{hint}")
            return None
        target = self.machines[links[call.link].machine]
        if call.name not in target.commands:
            hint = nearest(call.name, list(target.commands))
            self.faults.add(text, f"{target.name} has no command {call.name!r}.{hint}")
            return None
        wanted = target.commands[call.name].arguments
        found = self._fitting(call, wanted, names, f"{target.name}.{call.name}")
        asks = may_ask(self.machines, target.name, call.name)
        return Drive(call.link, target.name, call.link in arguments, call.name, found, asks)

    def _ask(self, text: Located, arguments: Mapping[str, Type], names: Mapping[str, Name]) -> Ask | None:
        call = parse_call(text, self.faults)
        if call is None:
            return None
        if call.link or call.name not in VERBS:
            self.faults.add(text, f"the provider has no verb {call.name!r}.{nearest(call.name, list(VERBS))}")
            return None
        wanted = {name: Type(kind.rstrip("?"), kind.endswith("?")) for name, kind in VERBS[call.name].items()}
        if call.bare:
            same_names = {name: Located(name, text.line, text.column) for name in wanted if name in arguments}
            call = attrs.evolve(call, arguments=same_names)
        return Ask(call.name, self._fitting(call, wanted, names, f"the provider's {call.name}"))

    def _then(
        self, record: Mapping[str, Located], arguments: Mapping[str, Type], names: Mapping[str, Name]
    ) -> tuple[Then, ...]:
        written = record["then"].value if "then" in record else []
        found = [self._follow_up(text, arguments, names) for text in written]
        return tuple(each for each in found if each is not None)

    def _follow_up(self, text: Located, taken: Mapping[str, Type], names: Mapping[str, Name]) -> Then | None:
        """`command(…)` or `each part.command(…)`, perhaps with `when guard` behind it."""
        written = follow_up(text)
        call = parse_call(written.call, self.faults)
        if call is None:
            return None
        page, each = self.page, call.link or None
        if written.each != bool(each):
            why = f"command {call.name!r} is not declared. A follow-up is command(…), or each part.command(…)"
            self.faults.add(text, why)
            return None
        if each is not None:
            if each not in self.scope.parts:
                why = f"{each!r} is not a machine with one fact that links to {page.name}"
                self.faults.add(text, f"{why}.{nearest(each, list(self.scope.parts))}")
                return None
            page = self.machines[each]
        if call.name not in page.commands:
            hint = nearest(call.name, list(page.commands))
            self.faults.add(text, f"command {call.name!r} is not declared{f' in {each}' if each else ''}.{hint}")
            return None
        shares = next((name for name, type_ in taken.items() if type_.kind == "shares"), None) if each else None
        uses = any(re.search(rf"\b{SHARE}\b", argument.value) for argument in call.arguments.values())
        if shares and uses:
            names = {**names, SHARE: Name(f"a[{SHARE!r}]", Type("money"))}
        wanted = page.commands[call.name].arguments
        arguments = self._fitting(call, wanted, names, call.name)
        if page.commands[call.name].driven:
            self.faults.add(text, f"{call.name!r} is driven: only another machine gives it, so it cannot be queued")
        for name in arguments:
            if wanted[name].kind == "secret":
                self.faults.add(text, f"{call.name}({name}=…) would store a secret in the queue")
        when = self.scope.guard(written.when, names) if written.when is not None else None
        at = self.scope.expression(written.at, names, Type("time", optional=True), "a time") if written.at else None
        after = seconds(written.after, self.faults) if written.after else 0
        return Then(call.name, arguments, when, each, shares if uses else None, at, after)

    # What moves and changes

    def _moves(self, record: Mapping[str, Located], names: Mapping[str, Name]) -> tuple[Move, ...]:
        """All moves happen at once, so their order says nothing. A call in flight remembers amounts in this order."""
        moves = []
        for key, text in record["move"].value if "move" in record else []:
            source, arrow, target = (part.strip() for part in key.value.partition("->"))
            if not arrow or not source or not target:
                self.faults.add(key, f"'{key.value}' is not a move: write source -> target: amount")
                continue
            known = [*self.page.accounts, *self.page.outside]
            for name in (source, target):
                if name == IN_DOUBT:
                    self.faults.add(key, "no page moves in_doubt: value stands there only while a call is open")
                elif name not in known:
                    self.faults.add(key, f"account {name!r} is not declared in {self.page.name}.{nearest(name, known)}")
            if source == target:
                self.faults.add(key, f"'{key.value}' moves nothing: source and target are the same")
            elif source not in self.page.accounts and target not in self.page.accounts:
                self.faults.add(key, f"'{key.value}' touches no account of the machine; one side has to be inside")
            amount = self.scope.expression(text, names, Type("money"), "an amount")
            if amount is not None:
                moves.append(Move(source, target, amount))
        return tuple(sorted(moves, key=lambda move: (move.source, move.target, move.amount.code)))

    def _sets(self, record: Mapping[str, Located], names: Mapping[str, Name]) -> dict[str, Expression]:
        sets = {}
        for key, text in record["set"].value if "set" in record else []:
            fact = self.page.facts.get(key.value)
            if fact is None:
                hint = nearest(key.value, list(self.page.facts))
                self.faults.add(key, f"fact {key.value!r} is not declared.{hint}")
                continue
            known = {name: each for name, each in names.items() if not each.code.startswith("v[")}
            value = self.scope.expression(text, {**known, **OUTCOME}, fact.type, f"fact {key.value!r}")
            if value is None:
                continue
            if value.type.kind == "secret":
                self.faults.add(text, f"{key.value!r} would store a secret; a secret may only be passed on")
            sets[key.value] = value
        return sets
