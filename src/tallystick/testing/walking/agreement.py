"""What a page tells the provider, beside what it posts.

The provider has two numbers for a card: what is available and what is held. Which accounts of a page those are, no page
says, so every reading is tried: an account is part of what is available there, part of what is held there, or ours
alone. Whatever is confirmed leaves the readings by which both sides moved the same. When none is left, the page asks
for something else than it posts.

What moves without asking has to leave the provider's accounts as they are. Two things are excused, which tell what was
seen of others' doings: an outside account that value comes from without asking, and that nothing which asks touches;
and a command that a person signs, or that is driven by such commands only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

import attrs

from tallystick.entity import CREATE
from tallystick.machine import Machine, Machines, Transition
from tallystick.provider.scripted import Done
from tallystick.store import Record

MOST = 8  # accounts: beyond, too many readings
AVAILABLE, HELD, OURS = "available", "held", "ours"
Change = tuple[int, int]  # of what is available, of what is held
Reading = tuple[str, ...]  # of every account, whose it is

# What a confirmed verb does to the two numbers, by its amount and what it releases beside.
_DOES: Mapping[str, Callable[[int, int], Change]] = {
    "issue": lambda amount, release: (amount, 0),
    "hold": lambda amount, release: (-amount, amount),
    "redeem": lambda amount, release: (-amount, 0),
    "redeem_hold": lambda amount, release: (release, -amount - release),
    "release_hold": lambda amount, release: (amount, -amount),
    "void": lambda amount, release: (amount, 0),
    "adjust": lambda amount, release: (amount, 0),
}


class Agreement:
    """Takes entries in their order, and what the provider did."""

    def __init__(self, machines: Machines) -> None:
        signed = _signed(machines)
        self._pages = {each.name: _Page.of(each, signed) for each in machines.values() if _Page.fits(each)}
        self._asked: dict[tuple[str, str, str], list[Any]] = {}

    def take(self, record: Record, done: Mapping[str, Done]) -> Iterator[str]:
        """What the two sides do not agree on, as a sentence."""
        page, call = self._pages.get(record.machine), str(record.call)
        if page is None or record.transition == CREATE or record.machine_version != page.machine.version:
            return
        postings = json.loads(record.postings)
        if record.phase == "asked":
            self._asked[record.machine, record.entity, call] = postings
        elif record.phase in ("done", "confirmed"):
            before = self._asked.pop((record.machine, record.entity, call), [])
            yield from page.take(record, [*before, *postings], done.get(call))


@attrs.define
class _Page:
    machine: Machine
    seen: frozenset[str]  # outside accounts of what others do
    signed: frozenset[tuple[str, str]]
    readings: list[Reading]

    @classmethod
    def fits(cls, machine: Machine) -> bool:
        """It asks for value itself, and has accounts few enough."""
        asks = any(_asks(each) for each in machine.transitions.values())
        return asks and 0 < len(machine.accounts) <= MOST

    @classmethod
    def of(cls, machine: Machine, signed: frozenset[tuple[str, str]]) -> _Page:
        rows = machine.transitions.values()
        from_ = {move.source for each in rows if not _asks(each) and not each.drives for move in each.moves}
        touched = {name for each in rows if _asks(each) for move in each.moves for name in (move.source, move.target)}
        readings = product((AVAILABLE, HELD, OURS), repeat=len(machine.accounts))
        return cls(machine, frozenset(set(machine.outside) & from_ - touched), signed, list(readings))

    def take(self, record: Record, postings: list[Any], done: Done | None) -> Iterator[str]:
        transition = self.machine.transitions[record.transition]
        if transition.drives or (transition.ask and (done is None or done.card != record.entity)):
            return  # what it drives asks, or another of the same number asked for it
        if transition.ask is None and (record.machine, record.command) in self.signed:
            return
        change = _change(done) if transition.ask and done else (0, 0)
        moved: Counter[str] = Counter()
        for source, target, amount in postings:
            if not {source, target} & self.seen:
                moved[source] -= amount
                moved[target] += amount
        ours = [moved[name] for name in self.machine.accounts]
        self.readings = [each for each in self.readings if _read(each, ours) == change]
        if not self.readings:
            said = f"the provider did {done.verb} {dict(done.args)}" if transition.ask and done else "nobody was asked"
            books = ", ".join(f"{name} {value:+}" for name, value in moved.items() if value) or "nothing"
            yield (
                f"{record.machine} {record.entity!r}: {record.transition} moved {books} (minor units), and {said}: "
                f"available {change[0]:+}, held {change[1]:+} there. Whichever accounts these are, the two sides part"
            )


def _signed(machines: Machines) -> frozenset[tuple[str, str]]:
    """The commands, by machine and name, behind which a person stands."""
    driving: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for machine in machines.values():
        for row in machine.transitions.values():
            for drive in row.drives:
                by = driving.setdefault((drive.machine, drive.command), set())
                by |= {(machine.name, command) for command in row.commands}
    own = {(each.name, name) for each in machines.values() for name, command in each.commands.items() if command.signed}
    driven = {
        (each.name, name) for each in machines.values() for name, command in each.commands.items() if command.driven
    }
    return frozenset(own | {each for each in driven if driving.get(each, set()) and driving[each] <= own})


def _asks(transition: Transition) -> bool:
    return transition.ask is not None and transition.ask.verb in _DOES


def _change(done: Done) -> Change:
    release = done.args.get("release")
    does = _DOES.get(done.verb)
    return does(done.amount or 0, release if isinstance(release, int) else 0) if does else (0, 0)


def _read(reading: Reading, ours: list[int]) -> Change:
    available, held = (
        sum(value for whose, value in zip(reading, ours, strict=True) if whose == wanted)
        for wanted in (AVAILABLE, HELD)
    )
    return available, held
