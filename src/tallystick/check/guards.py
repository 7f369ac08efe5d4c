"""Whether the guards of a command say what they should, for each state that can be reached.

For every value exactly one answer: one transition, or a refusal with its reason. And an answer can be carried out: it
moves what is there, and leaves nothing behind at an end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from tallystick.check import words
from tallystick.check.cases import Answer, Before, Case, Seen
from tallystick.check.finding import Finding, finding
from tallystick.check.standing import Standing
from tallystick.check.words import joined
from tallystick.definition.machine import Row

WORDS: dict[object, object] = {None: "none", "-": "less than 0", "+": "more than 0", "a": "given"}
Kinds = dict[tuple[str, ...], Case]


@attrs.define
class Told:
    """Something that was seen: what it is about, where first, the case to show it, and all states it was seen in."""

    names: tuple[str, ...]
    answer: Answer
    case: Case
    states: list[str] = attrs.field(factory=list)


def guards(standing: Standing) -> Iterator[Finding]:
    """TS104 to TS106 and TS116 to TS118."""
    yield from _both(standing)
    yield from _silent(standing)
    yield from _short(standing)
    yield from _left(standing)
    yield from _never(standing)
    yield from _never_refused(standing)


def _gathered(standing: Standing, kind: Callable[[Seen], Kinds], *, of_command: bool) -> Iterator[Told]:
    """Each kind of thing that was seen, told once for all states it was seen in; `of_command`: and for each command."""
    found: dict[tuple[str, ...], Told] = {}
    for answers in standing.answers.values():
        for answer in answers:
            for names, case in _smallest(standing, answer, kind).items():
                key = (answer.command if of_command else "", *names)
                told = found.setdefault(key, Told(names, answer, case))
                if answer.state not in told.states:
                    told.states.append(answer.state)
    yield from found.values()


def _smallest(standing: Standing, answer: Answer, kind: Callable[[Seen], Kinds]) -> Kinds:
    """Of each kind the case that is easiest to read, of those that can occur."""
    kinds: Kinds = {}
    for _, seen in standing.cases_of(answer):
        for key, case in kind(seen).items():
            if key not in kinds or case.rank < kinds[key].rank:
                kinds[key] = case
    return kinds


def _names(answer: Answer) -> set[str]:
    """What the guards of an answer look at."""
    guards = [row.transition.guard for row in answer.rows] + [each.guard for each in answer.refusals]
    return {name for guard in guards if guard for name in guard.names}


def _place(standing: Standing, answer: Answer, name: str) -> tuple[str, ...]:
    """Where a transition, or a refusal by its sentence, stands."""
    if name in standing.machine.transitions:
        return ("transition", name, "when")
    for index, each in enumerate(standing.machine.refuse):
        if each in answer.refusals and (not name or name == f"“{each.says}”"):
            return ("refuse", str(index), "when")
    return ("command", answer.command)


def _both(standing: Standing) -> Iterator[Finding]:
    for told in _gathered(standing, lambda seen: seen.both, of_command=True):
        values = words.told(told.case, _names(told.answer))
        why = f"{joined(told.names)} answer {told.answer.command} in {joined(told.states)} at once: {values}"
        place = _place(standing, told.answer, told.names[-1])
        yield finding("TS104", standing.machine, why, *place, story=standing.story(told.states[0]))


def _silent(standing: Standing) -> Iterator[Finding]:
    found: dict[tuple[str, str], tuple[Answer, list[str]]] = {}
    for answers in standing.answers.values():
        for answer in answers:
            cases = sorted(_smallest(standing, answer, lambda seen: seen.silent).values(), key=lambda case: case.rank)
            some = list(dict.fromkeys(words.told(case, _names(answer)) for case in cases))[:3]
            if some:
                _, states = found.setdefault((answer.command, "; with ".join(some)), (answer, []))
                states.append(answer.state)
    for (command, some_values), (answer, states) in found.items():
        why = f"{command} in {joined(states)} is neither answered nor refused with {some_values}"
        place = _place(standing, answer, answer.rows[0].name if answer.rows else "")
        yield finding("TS105", standing.machine, why, *place, story=standing.story(states[0]))


def _short(standing: Standing) -> Iterator[Finding]:
    kinds = _gathered(standing, lambda seen: {(name,): case for name, case in seen.short.items()}, of_command=False)
    for told in kinds:
        (name,) = told.names
        values = words.told(told.case, _looked(standing.machine.rows[name]))
        why = f"{name} in {joined(told.states)} would move what is not there: {values}"
        yield finding("TS118", standing.machine, why, "transition", name, "move", story=standing.story(told.states[0]))


def _left(standing: Standing) -> Iterator[Finding]:
    for told in _gathered(standing, lambda seen: seen.left, of_command=False):
        name, end, *accounts = told.names
        stood = {each.name for each, value in told.case.values if each.name in accounts and value}
        values = words.told(told.case, _looked(standing.machine.rows[name]) | stood)
        why = f"{end} is final, but {name} from {joined(told.states)} leaves value on {joined(accounts)}: {values}"
        place = "else" if standing.machine.transitions[name].otherwise == end else "to"
        yield finding("TS106", standing.machine, why, "transition", name, place, story=standing.story(told.states[0]))


def _looked(row: Row) -> set[str]:
    moves = row.transition.moves
    names = {name for move in moves for name in move.amount.names} | {name for line in row.lines for name in line[:1]}
    return names | (set(row.transition.guard.names) if row.transition.guard else set())


def _never(standing: Standing) -> Iterator[Finding]:
    """Transitions that can never happen, from one of their states or at all."""
    machine = standing.machine
    for name, transition in machine.transitions.items():
        never: dict[str, list[str]] = {}
        sources = [state for state in transition.sources if standing.reached(state)]
        for state in sources:
            answers = [each for each in standing.answers[state] if any(row.name == name for row in each.rows)]
            here = [seen for each in answers for _, seen in standing.cases_of(each)]
            if not any(name in seen.fires or any(name in names for names in seen.both) for seen in here):
                never.setdefault(_why(standing, answers, name), []).append(state)
        for why, states in never.items():
            everywhere = "" if len(states) == len(transition.sources) and len(states) > 1 else f" from {joined(states)}"
            what = f"{name} can never happen{everywhere}: {why}"
            yield finding("TS116", machine, what, "transition", name, "when" if everywhere == "" else "from")


def _why(standing: Standing, answers: list[Answer], name: str) -> str:
    """What a transition needs and its state never has."""
    guard = standing.machine.transitions[name].guard
    wanted = [(each.state, before) for each in answers for before, seen in each.seen.items() if name in seen.fires]
    if not wanted:
        return f"'{guard.source}' is never true" if guard else "all it would answer is refused"
    missing = min((_missing(standing, state, before) for state, before in wanted), key=len)
    return joined(missing) if missing else "what it needs never stands together there"


def _missing(standing: Standing, state: str, before: Before) -> list[str]:
    envs = standing.envs[state]
    found = []
    for account, bit in standing.cases.bit.items():
        if before.mask & bit and all(env.bits & bit != before.bits & bit for env in envs if env.changing is None):
            found.append(f"{account} {'is always empty' if before.bits & bit else 'always holds something'} there")
    for fact, wanted in before.facts:
        if wanted not in standing.may_be(state, fact):
            found.append(f"{fact} is never {WORDS.get(wanted, wanted)} there")
    return found


def _never_refused(standing: Standing) -> Iterator[Finding]:
    machine = standing.machine
    given = {each for answers in standing.answers.values() for answer in answers
             for _, seen in standing.cases_of(answer) for each in seen.refuses}  # fmt: skip
    for index, each in enumerate(machine.refuse):
        if each.guard and each not in given and any(standing.reached(state) for state in each.states):
            why = f"'{each.guard.source}' is never true in {joined(each.states)}, so this refusal is never given"
            yield finding("TS117", machine, why, "refuse", str(index), "when")
