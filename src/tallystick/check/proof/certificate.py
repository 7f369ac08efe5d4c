"""What the proofs have established, in words: what holds in each state of every life, whatever the amounts are.

It is what `state_invariants` has left after every step was tried, and what the pages declare and `invariants` has
proved. While a call is open that will change the state, something is set aside already, so that time is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tallystick.check.proof.invariants import provable
from tallystick.check.proof.state_invariants import StateInvariants, Statement
from tallystick.check.wording import joined
from tallystick.definition.expression import Type
from tallystick.definition.machine import Machine

Certificate = Mapping[str, tuple[str, ...]]  # by state, and ALWAYS
ALWAYS = "always"  # where what holds in every state stands, after the states
NOT_GIVEN = "not given"
WEAKER = {
    "is 0": ("is not below 0", "is no more than", "is at most"),
    "is more than 0": ("is not below 0",),
}  # said by the others


def certificate(known: StateInvariants) -> Certificate:
    """By state, in the order of the page, what holds there as sentences; what always holds comes last."""
    machine = known.lifecycle.machine
    found = {state: tuple(_of_state(known, state)) for state in machine.states}
    always = tuple(f"{each.always.prose}{_sums(machine, each.name)}" for each in provable(machine))
    return found | ({ALWAYS: always} if always else {})


def _of_state(known: StateInvariants, state: str) -> Iterator[str]:
    machine = known.lifecycle.machine
    points = [each for each in known.lifecycle.points if (each.state, each.changing) == (state, None)]
    reached = [each for each in points if known.reached(each)]
    if not reached:
        yield "nobody ever comes here"
        return
    said = {point: known.statements(point) for point in reached}
    common = [each for each in said[reached[0]] if all(each in statements for statements in said.values())]
    fact = known.lifecycle.mode_facts[state]
    yield from _sentences(machine, [each for each in common if each.about != fact])
    if fact is not None:
        for point in reached:
            more = [each for each in said[point] if each not in common and each.about != fact]
            sentences = list(_sentences(machine, more))
            if sentences:
                yield f"where {fact} is {point.mode or NOT_GIVEN}, {joined(sentences)}"
        if len(reached) < len(points):
            yield f"{fact} is {joined((each.mode or NOT_GIVEN for each in reached), 'or')}"


def _sentences(machine: Machine, statements: Sequence[Statement]) -> Iterator[str]:
    """The statements in words, those about several alike together, without what follows from another."""
    by_name: dict[str, list[Statement]] = defaultdict(list)
    for each in statements:
        by_name[each.about].append(each)
    together: dict[str, list[str]] = defaultdict(list)
    for name in (*machine.accounts, *machine.facts):
        type_ = machine.facts[name].type if name in machine.facts else None
        for says in _about(by_name[name], type_):
            together[says].append(name)
    for says, names in together.items():
        yield f"{joined(names)} {says if len(names) == 1 else says.replace('is ', 'are ', 1)}"


def _about(statements: Iterable[Statement], type_: Type | None) -> Iterator[str]:
    """What is said of one account or fact."""
    says: Mapping[str, list[str]] = defaultdict(list)
    for each in statements:
        says[each.says].append(each.most)
    if "is not given" in says:
        yield "is not given"
        return
    given = type_ is not None and type_.optional and "is given" in says
    perhaps = ", if given" if type_ is not None and type_.optional and not given else ""
    never = {each.removeprefix("is never ") for each in says if each.startswith("is never ")}
    if never and type_ is not None:
        yield f"is {joined((each for each in type_.choices if each not in never), 'or')}{perhaps}"
    elif given:
        yield "is given"
    weaker = {other for each in says for other in WEAKER.get(each, ())}
    for kind, others in says.items():
        bounds = [other for other in others if other]
        if kind in weaker or kind == "is given" or kind.startswith("is never "):
            continue
        if kind in ("is at most", "is at least"):
            bounds = [(min if kind == "is at most" else max)(bounds, key=int)]
            if kind == "is at least" and int(bounds[0]) <= 1 and "is more than 0" in says:
                continue
        yield f"{kind} {joined(bounds) if bounds else ''}".rstrip() + perhaps


def _sums(machine: Machine, name: str) -> str:
    """What the sums of an invariant are of."""
    sums = machine.invariants[name].sums
    told = [
        f"{each} is the {total.account} of all {total.machine}s by their {total.fact}" for each, total in sums.items()
    ]
    return f", where {joined(told)}" if told else ""
