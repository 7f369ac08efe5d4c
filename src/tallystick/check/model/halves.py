"""The provider's half of each card in the small worlds: what each hold and each transaction is still worth.

It moves when a call is confirmed, by `provider.Half`, as the scripted provider moves it. So what a call takes of a hold
that is not there, and what it gets back beyond what the page books, shows with the shortest way to it. Only what is
named somewhere is kept: nothing can be asked of a redemption whose name nobody has written down. A hold is kept in any
case, for it stays in force.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from tallystick.check.agreement import agreement
from tallystick.check.model.monitor import Monitor
from tallystick.check.wording import amount
from tallystick.core.entity import Entity, InFlight, Plan
from tallystick.definition.declared import IN_DOUBT
from tallystick.definition.machine import Machine, Machines
from tallystick.provider.half import Half
from tallystick.provider.protocol import Outcome
from tallystick.provider.verbs import EFFECTS

HOLD, NAMELESS = "hold", "hold of any name"  # of a page that names holds, and of one that never does
KeptHalf = tuple[
    tuple[str, int, str], ...
]  # reference, what it is worth, HOLD, NAMELESS or "" of a transaction; sorted
NO_HALF: KeptHalf = ()


@attrs.frozen
class OpenCall:
    """A call in flight."""

    role: int
    steps: tuple[InFlight, ...]
    slots: tuple[int, ...]  # of those for whom something is set aside
    asked: int | None  # minor units
    partial: bool
    of: tuple[int, str, Mapping[str, object]]  # the slot of the card, the verb, and with what it was asked
    origin: int  # the follow-up that opened it, which is tried again if the provider was unavailable; or -1


@attrs.frozen
class Booked:
    """What a confirmed call has done at the provider's."""

    card: str  # its id
    half: KeptHalf


class Halves:
    """What the provider does in one world. `on`: False where commands are given by hand, for then no half is right."""

    def __init__(self, machines: Machines, monitor: Monitor, *, on: bool) -> None:
        self._machines, self._monitor, self._on = machines, monitor, on
        self._agreements = {name: agreement(machines, machine) for name, machine in machines.items()} if on else {}

    def reference(self, verb: str, card: str, half: KeptHalf) -> str:
        """What the provider calls what a call opens: the first name that is free; nothing, if it opens nothing."""
        opens = EFFECTS[verb].opens
        used = {name for name, _, _ in half}
        names = (f"{opens} {number} of {card}" for number in range(1, len(used) + 2))
        return next(name for name in names if name not in used) if self._on and opens else ""

    def booked(self, call: OpenCall, outcome: Outcome, plan: Plan, half: KeptHalf) -> Booked | None:
        """What a call that is confirmed does at the provider's, and whether that is what the page books."""
        slot, verb, args = call.of
        if not self._on or not EFFECTS[verb].moves:
            return None
        kept = _opened(half)
        wrong = _mistaken(verb, args, kept)
        done = outcome.amount if outcome.amount is not None else call.asked or 0
        change = kept.perform(verb, args, done, outcome.reference or "")
        step = next(each for each, at in zip(call.steps, call.slots, strict=True) if at == slot)
        first = call.steps[0]
        its = self._agreements[step.machine]
        odd = change.odd or wrong or (its.forgets(verb, args) if its is not None else "")
        if odd:
            self._monitor.parted(first, f"{first.transition} is confirmed: {_in_amounts(odd)}", outcome)
        entry = next(each for each in plan.entries if (each.machine, each.entity) == (step.machine, step.id))
        rows = self._machines[step.machine].rows
        if its is not None and not odd and rows[step.transition].transition not in its.apart:
            lines = zip(rows[step.transition].lines, step.amounts, strict=True)
            moved = its.moved([*((source, IN_DOUBT, each) for (source, _), each in lines), *entry.postings])
            if moved != (change.available, change.held):
                here, there = (
                    f"available {amount(a)}, held {amount(h)}" for a, h in (moved, (change.available, change.held))
                )
                why = f"{first.transition} is confirmed: at the provider's {verb} changes {there}; booked is {here}"
                self._monitor.parted(first, why, outcome)
        named = {value for each in plan.entities for value in each.facts.values()}
        hold = HOLD if its is not None and "hold" in its.names else NAMELESS
        left = [(name, worth, hold if name in kept.holds else "") for name, worth in kept.worth.items() if worth]
        left = [each for each in left if each[2] or each[0] != outcome.reference or each[0] in named]
        return Booked(step.id, tuple(sorted(left)))

    def after(self, plan: Plan, before: Sequence[tuple[Entity, KeptHalf]], booked: Booked | None) -> list[KeptHalf]:
        """The provider's half of each of a plan after it.

        What is not named any more is forgotten; of holds only those that a person has seen to be gone.
        """
        halves = [booked.half if booked and booked.card == old.id else half for old, half in before]
        if not any(halves):
            return halves
        changed = [(old.facts[name], self._machines[entry.machine].commands[entry.command].signed)
                   for (old, _), entry in zip(before, plan.entries, strict=True) for name in entry.facts]  # fmt: skip
        gone, lost = {name for name, _ in changed}, {name for name, signed in changed if signed}
        return [tuple(each for each in half if each[0] not in (lost if each[2] else gone)) for half in halves]


def unnamed(halves: Sequence[KeptHalf], entities: Sequence[Entity]) -> str:
    """A hold that is in force and that no fact names, with what it holds, in words; nothing if there is none."""
    held = [(name, worth) for half in halves for name, worth, kind in half if kind == HOLD]
    if not held:
        return ""
    named = {value for each in entities for value in each.facts.values()}
    return next((f"{name} is still in force for {amount(worth)}" for name, worth in held if name not in named), "")


def naming(machines: Machines, about: Machine) -> tuple[Machine, tuple[str, ...]]:
    """Where a page says how a hold is named, `about` first: the fact that is set to the provider's reference."""
    for machine in (about, *machines.values()):
        for transition in machine.transitions.values():
            for fact, value in transition.sets.items():
                if value.source.strip() == "outcome.reference":
                    return machine, ("fact", fact)
    holding = (each.name for each in about.transitions.values() if each.ask and EFFECTS[each.ask.verb].opens == "hold")
    return about, ("transition", next(holding, ""))


def _mistaken(verb: str, args: Mapping[str, object], kept: Half) -> str:
    """What a call believes of the one that it names and that is not so, as a sentence; nothing if it is."""
    effect = EFFECTS[verb]
    believed, named = args.get(effect.believes), str(args.get(effect.names))
    if not isinstance(believed, int) or kept.worth.get(named, believed) == believed:
        return ""
    holds = amount(kept.worth[named])
    return f"{verb} is told that {named} is good for {amount(believed)}, but it is good for {holds}"


def _opened(half: KeptHalf) -> Half:
    return Half(0, {name: worth for name, worth, _ in half}, {name for name, _, kind in half if kind})


def _in_amounts(odd: str) -> str:
    """`odd` with its minor units as amounts."""
    words = odd.removesuffix(" (minor units)").split(" ")
    return " ".join(amount(int(word)) if before in ("takes", "for") and word.isdigit() else word
                    for before, word in zip(["", *words], words, strict=False))  # fmt: skip
