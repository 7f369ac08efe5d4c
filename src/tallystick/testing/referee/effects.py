"""What a transition does to an entity, by its page: computed again, and laid beside what the journal says.

    done        each amount, over the values before, moves source → target
    asked       it moves source → in_doubt, and is remembered until the answer
    confirmed   in_doubt → target; of an argument of which less was confirmed, the rest goes back
    otherwise   in_doubt → source

Facts change as the page sets them, at the end only. The values at the moment of asking say whom it drives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from tallystick.testing.referee.definition_reader import DeclaredTransition, Definition
from tallystick.testing.referee.evaluate import Values

Row = Mapping[str, Any]  # of the journal
Moves = list[tuple[str, str, int]]
Asks = tuple[str, Mapping[str, Any]]  # the provider's verb, and what it is asked with
IN_DOUBT = "in_doubt"
_UNREADABLE = (KeyError, TypeError)  # values that the page does not know, or not of this kind


@attrs.frozen
class DrivenEntry:
    """What has to stand in the journal of another entity, because an entry of this one drives it."""

    seq: int
    link: str
    key: str
    machine: str
    id: str
    command: str
    phase: str
    args: Values | None  # None: those of the asking


@attrs.frozen
class PendingCall:
    """A transition whose answer from the provider is not there yet."""

    transition: str
    args: Values
    amounts: tuple[int, ...]
    driven: tuple[DrivenEntry, ...]
    asks: Asks | None = None
    aside: Counter[str] = attrs.field(factory=Counter)


@attrs.define
class ReplayedEntity:
    """An entity as its journal makes it."""

    name: str
    state: str | None = None
    revision: int = 0
    machine_version: int = 0
    currency: str = ""
    hash: str = ""
    at: str = ""
    seq: int = 0
    accounts: dict[str, int] = attrs.field(factory=dict)
    facts: dict[str, Any] = attrs.field(factory=dict)
    outside: Counter[str] = attrs.field(factory=Counter)  # what each outside account has gained
    pending: dict[str, PendingCall] = attrs.field(factory=dict)  # call → what was asked, and what was set aside
    asks: dict[str, Asks] = attrs.field(factory=dict)  # call → what it was asked with last
    fired: Counter[str] = attrs.field(factory=Counter)  # key → effects it had here


@attrs.frozen
class Effect:
    """What an entry should have done. If `moves` is None, nothing can be said."""

    name: str
    pending: PendingCall
    moves: Moves | None
    facts: Mapping[str, Any] | None
    driven: tuple[DrivenEntry, ...] = ()
    odd: str = ""

    def differs(self, postings: Sequence[Any], facts: Mapping[str, Any]) -> Iterator[str]:
        """Where the journal says something else."""
        if self.odd:
            yield self.odd
        if self.moves is not None and [tuple(each) for each in postings] != self.moves:
            ours, theirs = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
            for counted, moves in ((ours, self.moves), (theirs, postings)):
                for source, target, amount in moves:
                    counted[source, target] += amount
            if ours != theirs:
                yield f"{self.name} moves {_shown(theirs)}; by its page it moves {_shown(ours)}"
        if self.facts is not None and self.facts != facts:
            known = {name for name, value in self.facts.items() if value is not _GIVEN}
            if self.facts.keys() != facts.keys() or any(facts[name] != self.facts[name] for name in known):
                said = {name: value for name, value in self.facts.items() if name in known}
                yield f"{self.name} sets {sorted(facts)}; by its page it sets {sorted(self.facts)}, with {said}"


_GIVEN: Any = object()  # a fact that the provider gives


def expected_effect(definition: Definition, before: ReplayedEntity, entry: Row, args: Values) -> Effect:
    """What its page makes of an entry."""
    declared, phase = definition.transitions.get(entry["transition"]), entry["phase"]
    name = f"{entry['transition']} ({phase})"
    if declared is None:
        nothing = PendingCall(entry["transition"], args, (), ())
        return Effect(name, nothing, [], None)
    values = _values(definition, before, entry["command"], args)
    try:
        if phase in ("done", "asked"):
            return _begun(definition, declared, name, entry, values, args)
        asked = before.pending.get(entry["call"])
        if asked is not None and asked.transition == declared.name:
            return _ended(declared, name, entry, asked, values, args)
    except _UNREADABLE:
        pass
    nothing = PendingCall(declared.name, args, (), ())
    return Effect(name, nothing, None, None, odd=f"{name}: its page cannot be computed with {dict(args)}")


def _values(definition: Definition, before: ReplayedEntity, command: str, args: Values) -> dict[str, Any]:
    """All that an expression may name. An argument hides a fact of the same name; if left out, it is false or none."""
    missing = {name: False if kind == "flag" else None for name, kind in definition.commands.get(command, {}).items()}
    return {**before.facts, **before.accounts, **missing, **args, "state": before.state}


def _begun(
    definition: Definition, declared: DeclaredTransition, name: str, entry: Row, values: Mapping[str, Any], args: Values
) -> Effect:  # fmt: skip
    amounts: tuple[int, ...] = declared.amounts(values)
    done = entry["phase"] == "done"
    driven = tuple(_driven(definition, declared, entry, values)) if declared.drives else ()
    moves = [
        (source, target if done else IN_DOUBT, amount)
        for (source, target), amount in zip(declared.moves, amounts, strict=True) if amount
    ]  # fmt: skip
    odd = ""
    if declared.upto:
        most = min(each for least in declared.upto if (each := least(values)) is not None)
        if any(values[each] > most for each in declared.partial):
            odd = f"{name} is of {dict(args)}; by its page it is cut to {most}"
    asks = declared.ask.asked(values, definition.commands.get(entry["command"], {})) if declared.ask else None
    pending = PendingCall(declared.name, args, amounts, driven, asks)
    return Effect(name, pending, moves, _facts(declared, values) if done else {}, driven, odd)


def _ended(
    declared: DeclaredTransition, name: str, entry: Row, asked: PendingCall, values: Mapping[str, Any], args: Values
) -> Effect:  # fmt: skip
    confirmed, parts, odd = entry["phase"] == "confirmed", asked.amounts, ""
    if args != asked.args:
        if not (confirmed and _less(declared, asked, args)):
            odd = f"{name} is of {dict(args)}; what was asked is {dict(asked.args)}"
        parts = declared.amounts({**values, **args}) if confirmed else parts
    moves: Moves = []
    for (_, target), part in zip(declared.moves, parts, strict=True):
        moves += [(IN_DOUBT, target, part)] if confirmed and part else []
    for (source, _), whole, part in zip(declared.moves, asked.amounts, parts, strict=True):
        back = whole - part if confirmed else whole
        moves += [(IN_DOUBT, source, back)] if back else []
    driven = tuple(attrs.evolve(each, seq=entry["seq"], phase=entry["phase"], args=None) for each in asked.driven)
    facts = _facts(declared, values) if confirmed else {}
    return Effect(name, asked, moves, facts, driven, odd)


def _less(declared: DeclaredTransition, asked: PendingCall, args: Values) -> bool:
    """Whether less was confirmed. Only arguments that the page names may differ, and only by being less."""
    changed = {each for each in args.keys() | asked.args.keys() if args.get(each) != asked.args.get(each)}
    return changed <= declared.partial and all(0 <= args[each] <= asked.args[each] for each in changed)


def _facts(declared: DeclaredTransition, values: Mapping[str, Any]) -> dict[str, Any]:
    return {fact: _GIVEN if value is None else value(values) for fact, value in declared.sets.items()}


def _driven(
    definition: Definition, declared: DeclaredTransition, entry: Row, values: Mapping[str, Any]
) -> Iterator[DrivenEntry]:
    """Whom it drives, named by a fact or by an argument, and with what."""
    links = {**definition.links, **definition.commands.get(entry["command"], {})}
    for drive in declared.drives:
        args = {name: value(values) for name, value in drive.args.items()}
        yield DrivenEntry(
            entry["seq"], drive.link, entry["key"] or entry["cause"] or "", links.get(drive.link, ""),
            str(values[drive.link]), drive.command, entry["phase"], args,
        )  # fmt: skip


def _shown(moved: Mapping[tuple[str, str], int]) -> str:
    return ", ".join(f"{source} → {target} {amount}" for (source, target), amount in moved.items()) or "nothing"
