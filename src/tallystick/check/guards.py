"""Whether the guards of a command say what they should, for each state that can be reached.

For every value exactly one answer: one transition, or a refusal with its reason. And an answer can be carried out: it
moves what is there, and leaves nothing behind at an end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tallystick.check.cases import Answer, Before, Case, Seen
from tallystick.check.finding import Finding, finding
from tallystick.check.standing import Standing
from tallystick.check.words import joined, told
from tallystick.machine import Row

Kinds = dict[tuple[str, ...], Case]
Found = dict[tuple[object, ...], tuple[list[str], Answer, Kinds]]


def guards(standing: Standing) -> Iterator[Finding]:
    """TS104 to TS106 and TS116 to TS118."""
    yield from _both(standing)
    yield from _silent(standing)
    yield from _short(standing)
    yield from _left(standing)
    yield from _never(standing)
    yield from _never_refused(standing)


def _gathered(standing: Standing, kind: Callable[[Seen], Kinds], *, apart: bool) -> Found:
    """What was seen, told once for all states where the same may answer; `apart`: each kind of it by itself."""
    found: Found = {}
    for answers in standing.answers.values():
        for answer in answers:
            kinds: Kinds = {}
            for _, seen in standing.cases_of(answer):
                for key, case in kind(seen).items():
                    if key not in kinds or case.rank < kinds[key].rank:
                        kinds[key] = case
            same = (answer.command, tuple(row.name for row in answer.rows), answer.refusals)
            for part in [{key: case} for key, case in kinds.items()] if apart else [kinds]:
                states, _, known = found.setdefault((*same, *(part if apart else ())), ([], answer, {}))
                if part:
                    states.append(answer.state)
                    for key, case in part.items():
                        known.setdefault(key, case)
    return {key: entry for key, entry in found.items() if entry[0]}


def _names(answer: Answer) -> set[str]:
    """What the guards of an answer look at."""
    guards = [row.transition.guard for row in answer.rows] + [each.guard for each in answer.refusals]
    return {name for guard in guards if guard for name in guard.names}


def _place(standing: Standing, answer: Answer, name: str, key: str) -> tuple[str, ...]:
    """Where a transition, or a refusal by its sentence, stands."""
    if name in standing.machine.transitions:
        return ("transition", name, key)
    for index, each in enumerate(standing.machine.refuse):
        if each in answer.refusals and (not name or name == f"“{each.says}”"):
            return ("refuse", str(index), "when")
    return ("command", answer.command)


def _both(standing: Standing) -> Iterator[Finding]:
    for states, answer, kinds in _gathered(standing, lambda seen: seen.both, apart=True).values():
        ((names, case),) = kinds.items()
        why = f"{joined(names)} answer {answer.command} in {joined(states)} at once: {told(case, _names(answer))}"
        place = _place(standing, answer, names[-1], "when")
        yield finding("TS104", standing.machine, why, *place, story=standing.story(states[0]))


def _silent(standing: Standing) -> Iterator[Finding]:
    for states, answer, kinds in _gathered(standing, lambda seen: seen.silent, apart=False).values():
        cases = sorted(kinds.values(), key=lambda case: case.rank)
        some = list(dict.fromkeys(told(case, _names(answer)) for case in cases))[:3]
        why = f"{answer.command} in {joined(states)} is neither answered nor refused with {'; with '.join(some)}"
        place = _place(standing, answer, answer.rows[0].name if answer.rows else "", "when")
        yield finding("TS105", standing.machine, why, *place, story=standing.story(states[0]))


def _short(standing: Standing) -> Iterator[Finding]:
    kinds = _gathered(standing, lambda seen: {(name,): case for name, case in seen.short.items()}, apart=True)
    for states, _, case in kinds.values():
        (((name,), one),) = case.items()
        row = standing.machine.rows[name]
        why = f"{name} in {joined(states)} would move what is not there: {told(one, _looked(row))}"
        yield finding("TS118", standing.machine, why, "transition", name, "move", story=standing.story(states[0]))


def _left(standing: Standing) -> Iterator[Finding]:
    for states, _, case in _gathered(standing, lambda seen: seen.left, apart=True).values():
        (((name, end, *accounts), one),) = case.items()
        names = {*_looked(standing.machine.rows[name]), *accounts}
        why = f"{end} is final, but {name} from {joined(states)} leaves value on {joined(accounts)}: {told(one, names)}"
        place = "else" if standing.machine.transitions[name].otherwise == end else "to"
        yield finding("TS106", standing.machine, why, "transition", name, place, story=standing.story(states[0]))


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
            if not any(name in seen.fires for each in answers for _, seen in standing.cases_of(each)):
                never.setdefault(_why(standing, answers, name), []).append(state)
        for why, states in never.items():
            everywhere = "" if len(states) == len(transition.sources) and len(states) > 1 else f" from {joined(states)}"
            told = f"{name} can never happen{everywhere}: {why}"
            yield finding("TS116", machine, told, "transition", name, "when" if everywhere == "" else "from")


def _why(standing: Standing, answers: list[Answer], name: str) -> str:
    """What a transition needs and its state never has."""
    guard = standing.machine.transitions[name].guard
    wanted = [(each.state, before) for each in answers for before, seen in each.seen.items() if name in seen.fires]
    if not wanted:
        always = any(
            case for each in answers for seen in each.seen.values() for key, case in seen.both.items() if name in key
        )
        if always or guard is None:
            return "all it would answer is refused, or answered by others too"
        return f"'{guard.source}' is never true"
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
            found.append(f"{fact} is never {'given' if wanted is None else wanted} there")
    return found


def _never_refused(standing: Standing) -> Iterator[Finding]:
    machine = standing.machine
    given = {each for answers in standing.answers.values() for answer in answers
             for _, seen in standing.cases_of(answer) for each in seen.refuses}  # fmt: skip
    for index, each in enumerate(machine.refuse):
        if each.guard and each not in given and any(standing.reached(state) for state in each.states):
            why = f"'{each.guard.source}' is never true in {joined(each.states)}, so this refusal is never given"
            yield finding("TS117", machine, why, "refuse", str(index), "when")
