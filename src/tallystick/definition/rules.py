"""The second pass over a page: what it refuses on purpose, what is true across machines, what pictures show.

And where what an older version declared has its place; whether all of that has one, who has both versions can see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from tallystick.definition import expression
from tallystick.definition.declared import IN_DOUBT, MIGRATE, Invariant, Migration, RefusedOnPurpose, Sum, Transition
from tallystick.definition.expression import NOW, UNKNOWN, Expression, Type
from tallystick.definition.first_pass import Declarations, flag
from tallystick.definition.scope import Scope
from tallystick.definition.shapes import Located
from tallystick.errors import nearest

MIGRATED = ("states", "accounts", "facts")


def read_refusals(scope: Scope, transitions: Iterable[Transition]) -> tuple[RefusedOnPurpose, ...]:
    """What the page refuses on purpose: always, if no transition answers it; or by a `when`."""
    answered = {(state, command): each.name for each in transitions for state in each.sources
                for command in each.commands}  # fmt: skip
    refusals = []
    always: set[tuple[str, str]] = set()
    sometimes: set[tuple[str, str]] = set()
    for each in scope.page.listed("refuse"):
        if not {"in", "commands", "says"} <= each.value.keys():
            continue
        states = [state for state in each.value["in"].value if scope.state(state)]
        commands = scope.commands(each.value["commands"].value)
        guard = _refusal_guard(scope, each.value["when"], commands) if "when" in each.value else None
        for state in states:
            for command in commands:
                pair = (state.value, command)
                if pair in answered and "when" not in each.value:
                    scope.faults.add(state, f"{command!r} in {state.value!r} is answered by {answered[pair]!r}; "
                                     "to refuse some values of it, give the refusal a 'when'")  # fmt: skip
                if pair in always or (pair in sometimes and "when" not in each.value):
                    scope.faults.add(state, f"{command!r} in {state.value!r} is refused already")
                (sometimes if "when" in each.value else always).add(pair)
        if "first" in each.value and "when" not in each.value:
            scope.faults.add(each.value["first"], "what is always refused comes before nothing; leave 'first' out")
        named, flags = tuple(state.value for state in states), (flag(each.value, "over"), flag(each.value, "first"))
        refusals.append(RefusedOnPurpose(each.value["says"].value, named, commands, guard, *flags))
    return tuple(refusals)


def _refusal_guard(scope: Scope, text: Located, commands: tuple[str, ...]) -> Expression | None:
    """The guard of a refusal: it may look at arguments that all of its commands take."""
    taken = [scope.page.commands[command].arguments for command in commands]
    known = {name: type_ for each in taken for name, type_ in each.items()}
    shared = {name: type_ for name, type_ in known.items() if all(each.get(name) == type_ for each in taken)}
    names = scope.names(shared, ())
    for name in known.keys() - shared.keys():
        names.pop(name, None)  # for some of the commands it is an argument, for others a fact
    return scope.guard(text, names)


def read_invariants(scope: Scope, machines: Mapping[str, Declarations]) -> dict[str, Invariant]:
    """What has to be true of an entity and of those that link to it, between any two commands."""
    page = scope.page
    invariants = {}
    for key, body in page.pairs("invariants"):
        record = body.value
        if "always" not in record or "says" not in record:
            continue
        written = record["sum"].value if "sum" in record else []
        sums = {}
        for name, path in written:
            if name.value in (*page.accounts, *page.outside, IN_DOUBT, *page.facts):
                kind = "a fact" if name.value in page.facts else "an account"
                scope.faults.add(name, f"{name.value!r} is {kind} already; the sum needs another name")
            total = _sum(page, path, machines)
            if total:
                sums[name.value] = total
        accounts = dict.fromkeys([*page.accounts, IN_DOUBT, *page.outside, *(name.value for name, _ in written)])
        facts = {name: fact.type for name, fact in page.facts.items()}
        names = expression.scope_of(accounts, facts, {}, tuple(page.states))
        del names[NOW]  # what is always so does not change with the clock
        always = scope.expression(record["always"], names, Type("flag"), "a statement")
        if always is not None:
            invariants[key.value] = Invariant(key.value, record["says"].value, sums, always)
    return invariants


def _sum(page: Declarations, path: Located, machines: Mapping[str, Declarations]) -> Sum | None:
    parts = path.value.split(".")
    if len(parts) != 3 or parts[0] not in machines:
        page.faults.add(
            path, f"'{path.value}' is not a sum: write machine.fact.account.{nearest(parts[0], list(machines))}"
        )
        return None
    machine, fact, account = parts
    other = machines[machine]
    if fact in other.facts and other.facts[fact].type.kind == UNKNOWN:
        return None
    if fact not in other.facts or other.facts[fact].type.machine != page.name:
        links = [name for name, each in other.facts.items() if each.type.machine == page.name]
        page.faults.add(path, f"{machine} has no fact {fact!r} that links to a {page.name}.{nearest(fact, links)}")
        return None
    if account not in other.accounts:
        page.faults.add(
            path, f"account {account!r} is not declared in {machine}.{nearest(account, list(other.accounts))}"
        )
        return None
    return Sum(machine, fact, account)


def read_groups(scope: Scope) -> dict[str, str]:
    """The heading of each state that has one."""
    found: dict[str, str] = {}
    for heading, states in scope.page.pairs("groups"):
        for state in states.value:
            if scope.state(state) and found.setdefault(state.value, heading.value) != heading.value:
                scope.faults.add(state, f"{state.value!r} stands under {found[state.value]!r} already")
    return found


def read_usual(scope: Scope, transitions: Iterable[Transition]) -> tuple[str, ...]:
    """The usual way: it begins at the start, and a transition leads from each of its states to the next."""
    written = [each for each in scope.page.listed("usual") if scope.state(each)]
    steps = {(source, each.target) for each in transitions for source in each.sources}
    if written and not scope.page.states[written[0].value].start:
        scope.faults.add(written[0], f"the usual way begins with {written[0].value!r}, which is not the start")
    for before, after in pairwise(written):
        if after.value in [each.value for each in written[: written.index(after)]]:
            scope.faults.add(after, f"{after.value!r} is on the usual way already")
        elif (before.value, after.value) not in steps:
            scope.faults.add(after, f"no transition leads from {before.value!r} to {after.value!r}")
    return tuple(each.value for each in written)


def read_migrations(scope: Scope) -> dict[int, Migration]:
    """Where the things of older versions have their place in this one, by version."""
    page, found = scope.page, dict[int, Migration]()
    named = [*page.commands, *(key.value for key, _ in page.pairs("transitions"))]
    for number, body in page.pairs("from version"):
        here = page.page["version"].value if "version" in page.page else number.value + 1  # without one it is told so
        if not 0 < number.value < here:
            scope.faults.add(number, f"version {number.value} is none before this one, which is {here}")
        if MIGRATE in named:
            scope.faults.add(number, f"{MIGRATE!r} is what this does; give the command or transition another name")
        written = {key: record.value for key, record in body.value.items()}
        places = {key: {old.value: new.value for old, new in written.get(key, ())} for key in MIGRATED}
        for _, new in written.get("states", ()):
            scope.state(new)
        for key, there in (("accounts", page.accounts), ("facts", page.facts)):
            _check_places(scope, key.removesuffix("s"), written.get(key, ()), there)
        facts = list(places["facts"].values())
        for _, new in written.get("facts", ()):
            if facts.count(new.value) > 1:
                scope.faults.add(new, f"two facts would become {new.value!r}, and one of them would be lost")
        found[number.value] = Migration(number.value, **places)
    return found


def _check_places(scope: Scope, kind: str, pairs: Iterable[tuple[Located, Located]], there: Iterable[str]) -> None:
    for old, new in pairs:
        if new.value not in there:
            outside = kind == "account" and new.value in scope.page.outside
            hint = "is outside: value would leave by it" if outside else "is not declared."
            scope.faults.add(new, f"{kind} {new.value!r} {hint}{'' if outside else nearest(new.value, list(there))}")
        if kind == "account" and old.value in scope.page.outside:
            why = "is outside here and was inside, so old entries would be read otherwise; give that another name"
            scope.faults.add(old, f"{old.value!r} {why}")
