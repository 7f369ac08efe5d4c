"""The second pass over a page: what happens, against what all pages declare.

Names, types, units, links and secrets are checked here, each with its place on the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from tallystick.definition import expression
from tallystick.definition.calls import check_calls, check_partial
from tallystick.definition.declarations import Declared, flag
from tallystick.definition.expression import UNKNOWN, Expression, ExpressionError, Name, Type, Untold
from tallystick.definition.format import At
from tallystick.definition.machine import (  # fmt: skip
    IN_DOUBT,
    Ask,
    Drive,
    Invariant,
    Machine,
    Move,
    RefusedOnPurpose,
    State,
    Sum,
    Then,
    Transition,
)
from tallystick.definition.places import places
from tallystick.definition.written import Written
from tallystick.definition.written import call as written_call
from tallystick.errors import nearest
from tallystick.provider.verbs import VERBS

OUTCOME = {
    "outcome.reference": Name("o.reference", Type("text", optional=True)),
    "outcome.number": Name("o.number", Type("number", optional=True)),
}


class Wiring:
    """The second pass over one page."""

    def __init__(self, declared: Declared, machines: Mapping[str, Declared]) -> None:
        self.declared = declared
        self.machines = machines
        self.faults = declared.faults

    def machine(self) -> Machine | None:
        declared = self.declared
        transitions = {}
        for key, at in declared.pairs("transitions"):
            transition = self._transition(key, at)
            if transition is not None:
                transitions[key.value] = transition
        refuse = self._refuse(transitions)
        invariants = self._invariants()
        states = self._states()
        if self.faults.found:
            return None
        return Machine(
            name=declared.name,
            version=declared.page["version"].value,
            summary=declared.page["summary"].value,
            facts=declared.facts,
            accounts=declared.accounts,
            outside=declared.outside,
            states=states,
            commands=declared.commands,
            transitions=transitions,
            refuse=refuse,
            invariants=invariants,
            text=declared.text,
            file=declared.file,
            places=places(declared.page),
            moved_by=declared.moved_by,
        )

    def _states(self) -> dict[str, State]:
        """The states, with what is true of those who come there and do not wait."""
        states = dict(self.declared.states)
        for key, at in self.declared.pairs("states"):
            if "goes_on" in at.value:
                scope = self._scope({}, (key.value,))
                known = self.expression(at.value["goes_on"], scope, Type("flag"), "a guard")
                states[key.value] = attrs.evolve(states[key.value], goes_on=known)
        return states

    def _transition(self, key: At, at: At) -> Transition | None:
        record: dict[str, At] = at.value
        if "from" not in record:
            return None
        commands = self._commands(key, record)
        sources = self._sources(record)
        target, otherwise = self._state(record.get("to"), stay=True), self._state(record.get("else"))
        for source in sources:
            for exit in (target, otherwise):
                if self.declared.states[source].final and exit not in (None, source):
                    self.faults.add(
                        record["from"], f"{source!r} is final, but {key.value!r} leads out of it to {exit!r}"
                    )
        arguments = self._arguments(key, commands)
        scope = self._scope(arguments, sources)
        ask = self._ask(record["ask"], arguments, scope) if "ask" in record else None
        drives = (
            tuple(self._drive(each, arguments, scope) for each in record["drive"].value) if "drive" in record else ()
        )
        drives = tuple(drive for drive in drives if drive is not None)
        transition = Transition(
            name=key.value,
            commands=commands,
            sources=sources,
            target=target,
            otherwise=otherwise,
            guard=self.expression(record["when"], scope, Type("flag"), "a guard") if "when" in record else None,
            drives=tuple(drive for drive in drives if drive is not None),
            ask=ask,
            partial=record["partial"].value if "partial" in record else None,
            upto=self.expression(record["upto"], scope, Type("money"), "an amount") if "upto" in record else None,
            moves=self._moves(record, scope),
            sets=self._sets(record, scope),
            then=self._then(record, scope),
            line=key.line,
            alike=flag(record, "alike"),
        )
        self._check_alike(record, transition)
        check_calls(self.declared, self.machines, key, record, transition)
        check_partial(self.declared, self.machines, key, record, transition, arguments)
        return transition

    def _check_alike(self, record: Mapping[str, At], transition: Transition) -> None:
        """What a card does with all its balances: they share its number, but no amount is of two currencies."""
        if not transition.alike:
            return
        if not any(fact.unique for fact in self.declared.facts.values()):
            self.faults.add(record["alike"], f"{self.declared.name} has no unique fact that others could share")
        for command in transition.commands:
            types = self.declared.commands[command].arguments.values()
            if transition.moves or any(type_.kind == "money" for type_ in types):
                why = f"{transition.name!r} is about an amount, which is of one currency; what is alike moves nothing"
                self.faults.add(record["alike"], why)
            if self.declared.commands[command].driven:
                why = f"{command!r} is driven, and nobody would drive it in the others"
                self.faults.add(record["alike"], why)

    # Names

    def _commands(self, key: At, record: Mapping[str, At]) -> tuple[str, ...]:
        named = record["command"].value if "command" in record else [key]
        for at in named:
            if at.value not in self.declared.commands:
                hint = nearest(at.value, list(self.declared.commands))
                self.faults.add(at, f"command {at.value!r} is not declared.{hint}")
            if [other.value for other in named].count(at.value) > 1:
                self.faults.add(at, f"{at.value!r} is listed twice")
        return tuple(dict.fromkeys(at.value for at in named if at.value in self.declared.commands))

    def _sources(self, record: Mapping[str, At]) -> tuple[str, ...]:
        sources = [self._state(at) for at in record["from"].value]
        return tuple(dict.fromkeys(source for source in sources if source is not None))

    def _state(self, at: At | None, *, stay: bool = False) -> str | None:
        if at is None:
            return None
        name: str = at.value
        if name in self.declared.states:
            return name
        if stay and name == "stay":
            return None
        self.faults.add(at, f"state {at.value!r} is not declared.{nearest(at.value, list(self.declared.states))}")
        return None

    def _arguments(self, key: At, commands: Iterable[str]) -> dict[str, Type]:
        signatures = [self.declared.commands[command].arguments for command in commands]
        for other in signatures[1:]:
            if other != signatures[0]:
                self.faults.add(key, "the commands it answers take different arguments")
        return dict(signatures[0]) if signatures else {}

    def _scope(self, arguments: Mapping[str, Type], sources: tuple[str, ...]) -> dict[str, Name]:
        facts = {name: fact.type for name, fact in self.declared.facts.items()}
        accounts = [*self.declared.accounts, *([IN_DOUBT] if self.declared.accounts else [])]
        return expression.accounts_facts_arguments(dict.fromkeys(accounts), facts, arguments, sources)

    # Expressions

    def expression(self, at: At, scope: Mapping[str, Name], wanted: Type, what: str) -> Expression | None:
        try:
            found = expression.read(at.value, scope)
        except Untold:
            return None
        except ExpressionError as error:
            self.faults.add(at, f"in '{at.value}': {error}", error.offset if at.exact else 0)
            return None
        if not wanted.accepts(found.type):
            self.faults.add(at, f"'{at.value}' is {found.type}; {what} is needed, which is {wanted}")
        return found

    def _fitting(
        self, written: Written, wanted: Mapping[str, Type], scope: Mapping[str, Name], who: str
    ) -> dict[str, Expression]:
        """The arguments of a call, checked against what is wanted."""
        given = {}
        for name, at in written.arguments.items():
            if name not in wanted:
                self.faults.add(at, f"{who} takes no argument {name!r}.{nearest(name, list(wanted))}")
                continue
            found = self.expression(at, scope, wanted[name], f"argument {name!r} of {who}")
            if found is not None:
                given[name] = found
        for name, type_ in wanted.items():
            if name not in written.arguments and not type_.optional and type_.kind != "flag":
                self.faults.add(written.at, f"{who} needs the argument {name!r}, which is {type_}")
        return given

    def _drive(self, at: At, arguments: Mapping[str, Type], scope: Mapping[str, Name]) -> Drive | None:
        written = written_call(at, self.faults)
        if written is None:
            return None
        types = {name: fact.type for name, fact in self.declared.facts.items()} | dict(arguments)
        links = {name: type_ for name, type_ in types.items() if type_.kind == "link"}
        if written.link in types and types[written.link].kind == UNKNOWN:
            return None
        if written.link not in links:
            hint = nearest(written.link, list(links)) or " None is declared."
            self.faults.add(at, f"{written.link or written.name!r} names no linked entity, a fact or argument.{hint}")
            return None
        target = self.machines[links[written.link].machine]
        if written.name not in target.commands:
            hint = nearest(written.name, list(target.commands))
            self.faults.add(at, f"{target.name} has no command {written.name!r}.{hint}")
            return None
        wanted = target.commands[written.name].arguments
        given = self._fitting(written, wanted, scope, f"{target.name}.{written.name}")
        return Drive(written.link, target.name, written.link in arguments, written.name, given)

    def _ask(self, at: At, arguments: Mapping[str, Type], scope: Mapping[str, Name]) -> Ask | None:
        written = written_call(at, self.faults)
        if written is None:
            return None
        if written.link or written.name not in VERBS:
            self.faults.add(at, f"the provider has no verb {written.name!r}.{nearest(written.name, list(VERBS))}")
            return None
        wanted = {name: Type(kind.rstrip("?"), kind.endswith("?")) for name, kind in VERBS[written.name].items()}
        if written.bare:
            alike = {name: At(name, at.line, at.column) for name in wanted if name in arguments}
            written = attrs.evolve(written, arguments=alike)
        return Ask(written.name, self._fitting(written, wanted, scope, f"the provider's {written.name}"))

    def _then(self, record: Mapping[str, At], scope: Mapping[str, Name]) -> tuple[Then, ...]:
        follow_ups = []
        for at in record["then"].value if "then" in record else []:
            written = written_call(at, self.faults)
            if written is None:
                continue
            commands = self.declared.commands
            if written.link or written.name not in commands:
                self.faults.add(at, f"command {written.name!r} is not declared.{nearest(written.name, list(commands))}")
                continue
            wanted = commands[written.name].arguments
            given = self._fitting(written, wanted, scope, written.name)
            if commands[written.name].driven:
                self.faults.add(at, f"{written.name!r} is driven: only another machine may give it, and no queue")
            for name in given:
                if wanted[name].kind == "secret":
                    self.faults.add(at, f"{written.name}({name}=…) would store a secret in the queue")
            follow_ups.append(Then(written.name, given))
        return tuple(follow_ups)

    # What moves and changes

    def _moves(self, record: Mapping[str, At], scope: Mapping[str, Name]) -> tuple[Move, ...]:
        """All moves happen at once, so their order says nothing; a call in flight remembers amounts by this one."""
        moves = []
        for key, at in record["move"].value if "move" in record else []:
            source, arrow, target = (part.strip() for part in key.value.partition("->"))
            if not arrow or not source or not target:
                self.faults.add(key, f"'{key.value}' is no move: write source -> target: amount")
                continue
            known = [*self.declared.accounts, *self.declared.outside]
            for name in (source, target):
                if name == IN_DOUBT:
                    self.faults.add(key, "in_doubt is kept by the core: value stands there while a call is open")
                elif name not in known:
                    self.faults.add(
                        key, f"account {name!r} is not declared in {self.declared.name}.{nearest(name, known)}"
                    )
            if source == target:
                self.faults.add(key, f"'{key.value}' moves nothing")
            elif source not in self.declared.accounts and target not in self.declared.accounts:
                self.faults.add(key, f"'{key.value}' leaves the machine's accounts: one side has to be inside")
            amount = self.expression(at, scope, Type("money"), "an amount")
            if amount is not None:
                moves.append(Move(source, target, amount))
        return tuple(sorted(moves, key=lambda move: (move.source, move.target, move.amount.code)))

    def _sets(self, record: Mapping[str, At], scope: Mapping[str, Name]) -> dict[str, Expression]:
        sets = {}
        for key, at in record["set"].value if "set" in record else []:
            fact = self.declared.facts.get(key.value)
            if fact is None:
                hint = nearest(key.value, list(self.declared.facts))
                self.faults.add(key, f"fact {key.value!r} is not declared.{hint}")
                continue
            known = {name: each for name, each in scope.items() if not each.code.startswith("v[")}
            value = self.expression(at, {**known, **OUTCOME}, fact.type, f"fact {key.value!r}")
            if value is None:
                continue
            if value.type.kind == "secret":
                self.faults.add(at, f"{key.value!r} would store a secret; a secret may only be passed on")
            sets[key.value] = value
        return sets

    # Refusals and invariants

    def _refuse(self, transitions: Mapping[str, Transition]) -> tuple[RefusedOnPurpose, ...]:
        answered = {(state, command): each.name for each in transitions.values() for state in each.sources
                    for command in each.commands}  # fmt: skip
        refuse = []
        always: set[tuple[str, str]] = set()
        sometimes: set[tuple[str, str]] = set()
        at = self.declared.page.get("refuse")
        for each in at.value if at else []:
            if not {"in", "commands", "says"} <= each.value.keys():
                continue
            states = [state for state in each.value["in"].value if self._state(state)]
            commands = self._commands(each, {"command": each.value["commands"]})
            guard = self._refusing(each.value["when"], commands) if "when" in each.value else None
            for state in states:
                for command in commands:
                    pair = (state.value, command)
                    if pair in answered and "when" not in each.value:
                        self.faults.add(state, f"{command!r} in {state.value!r} is answered by {answered[pair]!r}; "
                                        "it cannot be refused on purpose too, unless by a 'when'")  # fmt: skip
                    if pair in always or (pair in sometimes and "when" not in each.value):
                        self.faults.add(state, f"{command!r} in {state.value!r} is refused already")
                    (sometimes if "when" in each.value else always).add(pair)
            says = each.value["says"].value
            refuse.append(RefusedOnPurpose(says, tuple(state.value for state in states), commands, guard))
        return tuple(refuse)

    def _refusing(self, at: At, commands: tuple[str, ...]) -> Expression | None:
        """The guard of a refusal: it may look at arguments that all of its commands take."""
        taken = [self.declared.commands[command].arguments for command in commands]
        known = {name: type_ for each in taken for name, type_ in each.items()}
        shared = {name: type_ for name, type_ in known.items() if all(each.get(name) == type_ for each in taken)}
        scope = self._scope(shared, ())
        for name in known.keys() - shared.keys():
            scope.pop(name, None)  # what is an argument of some of them, and a fact elsewhere, has no one meaning
        return self.expression(at, scope, Type("flag"), "a guard")

    def _invariants(self) -> dict[str, Invariant]:
        invariants = {}
        for key, at in self.declared.pairs("invariants"):
            record = at.value
            if "always" not in record or "says" not in record:
                continue
            sums = {}
            for name, path in record["sum"].value if "sum" in record else []:
                if name.value in (*self.declared.accounts, *self.declared.outside, IN_DOUBT):
                    self.faults.add(name, f"{name.value!r} is an account already; the sum needs a name of its own")
                total = self._sum(path)
                if total:
                    sums[name.value] = total
            named = [name.value for name, _ in record["sum"].value] if "sum" in record else []
            accounts = dict.fromkeys([*self.declared.accounts, IN_DOUBT, *self.declared.outside, *named])
            scope = expression.accounts_facts_arguments(accounts, {}, {}, tuple(self.declared.states))
            always = self.expression(record["always"], scope, Type("flag"), "a statement")
            if always is not None:
                invariants[key.value] = Invariant(key.value, record["says"].value, sums, always)
        return invariants

    def _sum(self, at: At) -> Sum | None:
        parts = at.value.split(".")
        if len(parts) != 3 or parts[0] not in self.machines:
            self.faults.add(at, f"'{at.value}' is no sum: write machine.fact.account."
                            f"{nearest(parts[0], list(self.machines))}")  # fmt: skip
            return None
        machine, fact, account = parts
        other = self.machines[machine]
        if fact in other.facts and other.facts[fact].type.kind == UNKNOWN:
            return None
        if fact not in other.facts or other.facts[fact].type.machine != self.declared.name:
            links = [name for name, each in other.facts.items() if each.type.machine == self.declared.name]
            self.faults.add(
                at, f"{machine} has no fact {fact!r} that names a {self.declared.name}.{nearest(fact, links)}"
            )
            return None
        if account not in other.accounts:
            self.faults.add(
                at, f"account {account!r} is not declared in {machine}.{nearest(account, list(other.accounts))}"
            )
            return None
        return Sum(machine, fact, account)
