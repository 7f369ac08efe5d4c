"""What a new version of a machine changes: nothing, the wording, more than before, or something that ran before.

    nothing   the pages say the same
    wording   only what is said for people, comments, or the order of things
    adds      everything runs as before, and there is more
    changes   something runs differently, or not at all

Entities stay on the version with which they were made, so a change is never a danger by itself. What it would mean to
move them over is told beside it: states that are gone, value on accounts that are gone, calls whose transition is gone,
and queued commands that are gone or take other arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import attrs

from tallystick.check.wording import joined
from tallystick.definition.behaviour import behaviour
from tallystick.definition.declared import Command, Then, Transition
from tallystick.definition.machine import Machine
from tallystick.errors import Invalid

KEYS = {
    "command": "answers", "from": "leaves", "to": "leads to", "else": "leads, if declined, to", "when": "happens when",
    "drive": "drives", "ask": "asks", "partial": "may be confirmed in part:", "move": "moves", "set": "sets",
    "then": "queues", "alike": "happens to",
}  # fmt: skip
SECTIONS = ("states", "accounts", "facts", "commands", "transitions", "invariants")
KINDS = {
    "driven": "only given by another machine",
    "patient": "waiting in the queue while a guard refuses it",
    "signed": "only taken with who gives it and why",
    "once": "tried once when it follows another",
    "owed": "told to a person if it is never done",
}
Thing = TypeVar("Thing")


@attrs.frozen
class Difference:
    """What a new version changes."""

    kind: str  # nothing, wording, adds or changes
    says: str  # the same as a sentence
    changes: tuple[str, ...]  # each a sentence
    in_flight: tuple[str, ...]  # what would become of entities that stand in the old version


def difference(old: Machine, new: Machine) -> Difference:
    """What `new` changes, compared with `old`.

    Raises:
        Invalid: they are two machines, not two versions of one.
    """
    if old.name != new.name:
        raise Invalid(
            f"{old.file} declares {old.name}, {new.file} {new.name}; two versions of one machine are compared"
        )
    added, changed = _compared(old, new)
    before, after = behaviour(old), behaviour(new)
    if not added and not changed:
        changed = [f"what the page says under {key} is not the same" for key in after if before[key] != after[key]]
    kind = "changes" if changed else "adds" if added else "wording" if old.text != new.text else "nothing"
    return Difference(kind, _sentence(kind, old, new), (*changed, *added), tuple(_in_flight(old, new)))


def _sentence(kind: str, old: Machine, new: Machine) -> str:
    versions = f"version {old.version}" + (f" → {new.version}" if new.version != old.version else "")
    says = {
        "nothing": "the pages say the same",
        "wording": "only the wording is new; every entity behaves as before",
        "adds": "everything runs as before, and there is more",
        "changes": "something runs differently",
    }[kind]
    same = kind in ("adds", "changes") and new.version == old.version
    return f"{old.name}, {versions}: {says}" + (f"; give it another version than {old.version}" if same else "")


def _compared(old: Machine, new: Machine) -> tuple[list[str], list[str]]:
    """Sentences on what is added, and on what is otherwise."""
    before, after = behaviour(old), behaviour(new)
    added: list[str] = []
    changed: list[str] = []
    for key in SECTIONS:
        word = key.removesuffix("s")
        for name in [each for each in after[key] if each not in before[key]]:
            if key == "facts" and _must_be_given(new, name):
                changed.append(f"fact {name} is new and has to be given when an entity is made")
            else:
                added.append(f"{word} {name} is new")
        becomes = _becomes(old, new, key)
        gone = [name for name in before[key] if name not in after[key] or name in becomes]
        changed += [f"{word} {name} {f'becomes {becomes[name]}' if name in becomes else 'is gone'}" for name in gone]
    changed += _states_and_accounts(old, new) + _facts(old, new)
    for was, is_ in _in_both(old.commands, new.commands):
        more, other = _command(was, is_)
        added += more
        changed += other
    for one, other_ in _in_both(old.transitions, new.transitions):
        added += _more_states(one, other_)
        changed += _transition(one, other_, before["transitions"][one.name], after["transitions"][one.name])
    added += [f"outside account {name} is new" for name in sorted(set(after["outside"]) - set(before["outside"]))]
    changed += [f"outside account {name} is gone" for name in sorted(set(before["outside"]) - set(after["outside"]))]
    for name in before["invariants"].keys() & after["invariants"].keys():
        if before["invariants"][name] != after["invariants"][name]:
            now, once = new.invariants[name].always.source, old.invariants[name].always.source
            changed.append(f"invariant {name} states {now}, not {once}")
    return added, changed + _refusals(old, new)


def _becomes(old: Machine, new: Machine, key: str) -> Mapping[str, str]:
    """What the newer page says that names of the older one become."""
    words = new.migrations.get(old.version)
    places = {"states": words.states, "accounts": words.accounts, "facts": words.facts} if words is not None else {}
    return places.get(key, {})


def _in_both(old: Mapping[str, Thing], new: Mapping[str, Thing]) -> Iterator[tuple[Thing, Thing]]:
    return ((each, new[name]) for name, each in old.items() if name in new)


def _no_longer(now: bool) -> str:
    return "" if now else "no longer "


def _must_be_given(machine: Machine, name: str) -> bool:
    """Whether it is a fact that whoever makes an entity has to give."""
    fact = machine.facts[name]
    return not (fact.later or fact.type.optional or fact.default is not None)


def _states_and_accounts(old: Machine, new: Machine) -> list[str]:
    changed = [
        f"state {is_.name} is {_no_longer(is_.final)}final"
        for was, is_ in _in_both(old.states, new.states)
        if was.final != is_.final
    ]
    if old.start != new.start and old.start in new.states:
        changed.append(f"an entity begins in {new.start}, not in {old.start}")
    return changed + sorted(
        f"value may {_no_longer(is_.kept)}stay on {is_.name} in a final state"
        for was, is_ in _in_both(old.accounts, new.accounts)
        if was.kept != is_.kept
    )


def _facts(old: Machine, new: Machine) -> list[str]:
    changed = []
    for was, is_ in _in_both(old.facts, new.facts):
        name = is_.name
        if was.type != is_.type:
            changed.append(f"fact {name} is {is_.type}, not {was.type}")
        if was.default != is_.default:
            now, once = ("none" if each.default is None else each.default for each in (is_, was))
            changed.append(f"fact {name} is {now} when it is not given, not {once}")
        if was.later != is_.later:
            changed.append(f"fact {name} is {'set later by a transition' if is_.later else 'given at creation'}")
        if was.unique != is_.unique:
            changed.append(f"two entities may {'no longer ' if is_.unique else ''}have the same {name}")
    return changed


def _command(old: Command, new: Command) -> tuple[list[str], list[str]]:
    """An argument that may be left out is added; anything else is a change."""
    name = old.name
    added: list[str] = []
    changed: list[str] = []
    for argument in dict.fromkeys([*old.arguments, *new.arguments]):
        was, is_ = old.arguments.get(argument), new.arguments.get(argument)
        if is_ is None:
            changed.append(f"command {name} no longer takes {argument}")
        elif was is None:
            may_lack = is_.optional or is_.kind == "flag"
            (added if may_lack else changed).append(f"command {name} takes {argument} too, which is {is_}")
        elif was != is_:
            changed.append(f"command {name} takes {argument} as {is_}, not {was}")
    for kind, says in KINDS.items():
        if getattr(old, kind) != getattr(new, kind):
            changed.append(f"command {name} is {_no_longer(getattr(new, kind))}{says}")
    return added, changed


def _transition(old: Transition, new: Transition, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [
        f"{new.name} {word} {_written(new, key)}, not {_written(old, key)}"
        for key, word in KEYS.items()
        if before[key] != after[key] and not (key == "from" and _more_states(old, new))
    ]


def _more_states(old: Transition, new: Transition) -> list[str]:
    """A transition that may leave other states too runs as before from those it left before."""
    more = [state for state in new.sources if state not in old.sources]
    return [f"{new.name} leaves {joined(more)} too"] if more and set(old.sources) < set(new.sources) else []


def _written(transition: Transition, key: str) -> str:
    """A key of a transition as its page says it."""
    match key:
        case "command":
            return joined(transition.commands)
        case "from":
            return joined(transition.sources)
        case "to" | "else":
            return (transition.target if key == "to" else transition.otherwise) or "where it was"
        case "when":
            return f"'{transition.guard.source}'" if transition.guard else "always"
        case "drive":
            return _calls([(f"{each.link}.{each.command}", each.arguments, "") for each in transition.drives])
        case "ask":
            return _calls([(transition.ask.verb, transition.ask.arguments, "")] if transition.ask else [])
        case "partial":
            least = " and ".join(each.source for each in transition.upto)
            return f"{transition.partial or 'nothing'}{f' up to {least}' if least else ''}"
        case "move":
            moves = [f"{each.amount.source} from {each.source} to {each.target}" for each in transition.moves]
            return joined(moves or ["nothing"])
        case "alike":
            return "whoever has the same unique fact" if transition.alike else "nobody else"
        case "set":
            return joined([f"{name} to {value.source}" for name, value in transition.sets.items()] or ["nothing"])
    return _calls([(each.name, each.arguments, _conditions(each)) for each in transition.then])


def _conditions(then: Then) -> str:
    """When a follow-up is due, and its guard."""
    due = f" {then.due_in_words}" if then.later else ""
    return f"{due} when {then.when.source}" if then.when is not None else due


def _calls(calls: list[tuple[str, Mapping[str, Any], str]]) -> str:
    told = []
    for name, given, conditions in calls:
        arguments = ", ".join(f"{key}={each.source}" for key, each in given.items())
        told.append(f"{name}({arguments}){conditions}")
    return joined(told or ["nothing"])


def _refusals(old: Machine, new: Machine) -> list[str]:
    """What is refused that was answered, and what is refused by another guard, where both versions know it."""
    before, after = _guarded(old), _guarded(new)
    told = []
    for command in new.commands:
        lost = [state for state, each in old.table if each == command and (state, command) in new.on_purpose]
        told += [f"{command} in {joined(lost)} is refused"] if lost else []
    for one, other, word in ((after, before, "refused"), (before, after, "no longer refused")):
        by_guard: dict[tuple[str, str], list[str]] = {}
        for (state, command, code), source in one.items():
            in_both = all(state in each.states and command in each.commands for each in (old, new))
            if in_both and (state, command, code) not in other:
                by_guard.setdefault((command, source), []).append(state)
        told += [
            f"{command} in {joined(states)} is {word} when {source}" for (command, source), states in by_guard.items()
        ]
    return told


def _guarded(machine: Machine) -> dict[tuple[str, str, str], str]:
    """State, command and what a guard means → how it is written."""
    return {
        (state, command, each.guard.code): each.guard.source
        for (state, command), refusals in machine.refused.items()
        for each in refusals
        if each.guard
    }


def _in_flight(old: Machine, new: Machine) -> Iterator[str]:
    """What would become of an entity of the old version under the new one."""
    states, accounts = _becomes(old, new, "states"), _becomes(old, new, "accounts")
    for was in old.states:
        state = states.get(was, was)
        if state not in new.states:
            yield f"entities in {state} would stand nowhere: the state is gone"
        elif not new.states[state].final and not any(
            state in each.sources and (each.target or each.otherwise) for each in new.transitions.values()
        ):
            yield f"entities in {was} would have no way on"
    for account in old.accounts:
        if accounts.get(account, account) not in new.accounts:
            yield f"value on {account} would be lost from sight: the account is gone"
    yield from _calls_in_flight(old, new)
    for name in dict.fromkeys(then.command for each in old.transitions.values() for then in each.then if not then.each):
        if name not in new.commands:
            yield f"a queued {name} could not be taken: the command is gone"
        elif new.commands[name].arguments != old.commands[name].arguments:
            yield f"a queued {name} has the arguments of the old version"


def _calls_in_flight(old: Machine, new: Machine) -> Iterator[str]:
    for name, transition in old.transitions.items():
        if transition.ask is None and not transition.drives:
            continue
        if name not in new.transitions:
            yield f"an open call of {name} could not be answered: the transition is gone"
        elif _leads(transition) != _leads(new.transitions[name]):
            yield f"an open call of {name} would lead elsewhere than when it was sent"


def _leads(transition: Transition) -> tuple[Any, ...]:
    """Where a call's answer takes the entity and its value."""
    moves = tuple((each.source, each.target) for each in transition.moves)
    return transition.target, transition.otherwise, moves
