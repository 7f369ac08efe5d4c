"""The second pass over a page: its transitions, read against what all pages declare.

Names, types, units, links and secrets are checked here, each with its place on the page.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

from tallystick.definition.apart import LAST, MISFIT, REST, Splitting, WrittenMove, joined, misfit
from tallystick.definition.calls import ParsedCall, check_calls, check_partial, follow_up, may_ask, parse_call, seconds
from tallystick.definition.declared import IN_DOUBT, SHARE, Ask, Drive, RefusedOnPurpose, Then, Transition
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
        self.unfit: list[RefusedOnPurpose] = []  # where somebody says that another part of an amount stands apart

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
        told = self.page.told.get(commands[0], {}) if commands else {}
        splitting = Splitting(self.page.apart, names, told, cut="partial" in record)
        written = self._written_moves(record, names)
        moves = tuple(move for each in written for move in splitting.moves(each))
        drives = [self._drive(each, arguments, names, splitting)
                  for each in (record["drive"].value if "drive" in record else ())]  # fmt: skip
        guard = self.scope.guard(record["when"], names) if "when" in record else None
        upto = [self.scope.expression(each, names, Type("money", optional=True), "an amount")
                for each in (record["upto"].value if "upto" in record else ())]  # fmt: skip
        fits = list(splitting.fits(written))
        transition = Transition(
            name=key.value,
            commands=commands,
            sources=sources,
            target=target,
            otherwise=otherwise,
            guard=joined(guard, fits),
            drives=tuple(drive for drive in drives if drive is not None),
            ask=ask,
            partial=record["partial"].value if "partial" in record else None,
            upto=tuple(each for each in upto if each is not None),
            moves=moves,
            sets=self._sets(record, names),
            then=self._then(record, arguments, names),
            line=key.line,
            alike=flag(record, "alike"),
        )
        unfit = misfit(guard, fits)
        self.unfit += [RefusedOnPurpose(MISFIT, sources, commands, unfit)] if unfit is not None else []
        self._check_alike(record, transition)
        check_calls(self.page, self.machines, key, record, transition)
        check_partial(self.page, self.machines, key, record, transition, arguments, [each.amount for each in written])
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

    def _drive(
        self, text: Located, arguments: Mapping[str, Type], names: Mapping[str, Name], splitting: Splitting
    ) -> Drive | None:
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
        for amount, part in target.told.get(call.name, {}).items():
            if amount in found and part not in call.arguments:
                found |= self._told(call.arguments[amount], part, found[amount], splitting)
        asks = may_ask(self.machines, target.name, call.name)
        return Drive(call.link, target.name, call.link in arguments, call.name, found, asks)

    def _told(self, at: Located, part: str, amount: Expression, splitting: Splitting) -> dict[str, Expression]:
        """The argument that says how much of an amount stands apart: as the move of that amount says it."""
        source = amount.source.strip()
        split = next((each for each in splitting.splits if each.amount.source.strip() == source), None)
        if split is not None:
            return {part: split.part}
        if source in self.page.accounts and self.page.accounts[source].apart:  # all that stands there
            return {part: splitting.named(self.page.accounts[source].apart)}
        if splitting.splits and source != "0":
            why = f"no move is of '{source}', so nobody knows how much of it stands apart; say it ({part}=…)"
            self.faults.add(at, why)
        return {}

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

    def _written_moves(self, record: Mapping[str, Located], names: Mapping[str, Name]) -> list[WrittenMove]:
        """The moves of the page. Those of value that stands apart are in its order, by which they take their turn.

        All others happen at once, so their order says nothing. A call in flight remembers amounts in this order.
        """
        moves = []
        for key, text in record["move"].value if "move" in record else []:
            source, arrow, target = (part.strip() for part in key.value.partition("->"))
            if not arrow or not source or not target:
                self.faults.add(key, f"'{key.value}' is not a move: write source -> target: amount")
                continue
            whole = [self._account(key, name) for name in (source, target)]
            if whole[0] == whole[1]:
                self.faults.add(key, f"'{key.value}' moves nothing: source and target are the same")
            elif not set(whole) & set(self.page.accounts):
                self.faults.add(key, f"'{key.value}' touches no account of the machine; one side has to be inside")
            amount = self.scope.expression(text, names, Type("money"), "an amount")
            if amount is not None:
                moves.append(WrittenMove(source, target, amount))
        takes_turns, ends = self.page.apart.keys(), Counter(move.source.partition(".")[0] for move in moves)
        for key, _ in record["move"].value if "move" in record else []:
            source = key.value.partition("->")[0].strip()
            if source.endswith(f".{LAST}") and ends[source.partition(".")[0]] > 1:
                self.faults.add(key, f"'{source}' takes from the other end, so it has to be the only move from there")
        return sorted(
            moves,
            key=lambda move: (move.source, *(() if move.source in takes_turns else (move.target, move.amount.code))),
        )

    def _account(self, key: Located, written: str) -> str:
        """The account that a move names, without `.rest`."""
        name, dot, rest = written.partition(".")
        known = [*self.page.accounts, *self.page.outside]
        if name == IN_DOUBT:
            self.faults.add(key, "no page moves in_doubt: value stands there only while a call is open")
        elif name not in known:
            self.faults.add(key, f"account {name!r} is not declared in {self.page.name}.{nearest(name, known)}")
        elif dot and (rest not in (REST, LAST) or name not in self.page.accounts or name not in self.page.apart):
            self.faults.add(key, f"{written!r}: only .{REST} or .{LAST} may stand behind an account with a part apart")
        return name

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
