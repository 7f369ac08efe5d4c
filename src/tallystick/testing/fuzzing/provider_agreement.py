"""Whether what a page asks of the provider is what it posts.

The provider has two numbers for a card: what is available and what is held. No page says which of its accounts those
are, so every reading is tried. For a voucher, both are inside. An escrow takes from a card that stands outside. What
is held may be inside and what is available outside. A reading has to fit all that was confirmed so far: both sides
moved by the same amount. If none fits, the page asks for something else than it posts.

A page that asks for value to come and for value to go keeps the provider's books. What moves there without asking has
to leave the provider's accounts as they are. Two things are excused, because they record what others were seen to do:
an outside account from which value comes without asking, and which nothing that asks touches; and a command that a
person signs, or that only such commands drive.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import product
from typing import Any

import attrs

from tallystick.core.entity import CREATE
from tallystick.definition.declared import Transition
from tallystick.definition.machine import Machine, Machines
from tallystick.provider.scripted import Done
from tallystick.store.rows import CallRow, EntryRow

MOST = 8  # accounts on a side: beyond, too many readings
COMES, GOES = {"issue", "void", "adjust"}, {"hold", "redeem", "redeem_hold", "adjust"}
AVAILABLE, HELD, OURS = "available", "held", "ours"
Change = tuple[int, int]  # of what is available, of what is held
Reading = Mapping[str, str]  # whose an account is; those left out are ours

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


def calls_that_differ(
    calls: Mapping[str, CallRow], done: Mapping[str, int], excused: Collection[str] = ()
) -> Iterator[str]:
    """Where our calls are not what the provider did, and how often. Open calls, and those excused, may be either."""
    for id, row in calls.items():
        times = done.get(id, 0)
        if times > 1:
            yield f"call {id} ({row.verb} on {row.entity}) was done {times} times by the provider"
        if row.state != "open" and id not in excused and (row.state == "confirmed") != bool(times):
            yield f"call {id} ({row.verb} on {row.entity}) is {row.state}, the provider did it {times} times"
    for id in done.keys() - calls.keys():
        yield f"the provider did {id}, which no call of ours asked for"


class ProviderAgreement:
    """Takes entries in their order, and what the provider did."""

    def __init__(self, machines: Machines) -> None:
        signed = _signed(machines)
        self._machines = {
            each.name: _MachineAgreement.of(each, signed) for each in machines.values() if _MachineAgreement.fits(each)
        }
        self._asked: dict[tuple[str, str, str], list[Any]] = {}

    def take(self, entry: EntryRow, done: Mapping[str, Done]) -> Iterator[str]:
        """Where the two sides do not agree, as a sentence."""
        agreement, call = self._machines.get(entry.machine), str(entry.call)
        if agreement is None or entry.transition == CREATE or entry.machine_version != agreement.machine.version:
            return
        postings = json.loads(entry.postings)
        if entry.phase == "asked":
            self._asked[entry.machine, entry.entity, call] = postings
        elif entry.phase in ("done", "confirmed"):
            before = self._asked.pop((entry.machine, entry.entity, call), [])
            yield from agreement.take(entry, [*before, *postings], done.get(call))


@attrs.define
class _MachineAgreement:
    machine: Machine
    seen: frozenset[str]  # outside accounts of what others do
    signed: frozenset[tuple[str, str]]
    whole: bool  # it keeps the provider's books, and moves nothing there without asking
    readings: Iterator[Reading]
    reading: Reading | None  # the one that fits so far
    learnt: dict[tuple[tuple[tuple[str, int], ...], Change], None] = attrs.field(factory=dict)

    @classmethod
    def fits(cls, machine: Machine) -> bool:
        """It asks for value itself, and has accounts few enough."""
        asks = any(_asks(each) for each in machine.transitions.values())
        return asks and 0 < len(machine.accounts) <= MOST and len(machine.outside) <= MOST

    @classmethod
    def of(cls, machine: Machine, signed: frozenset[tuple[str, str]]) -> _MachineAgreement:
        rows = machine.transitions.values()
        from_ = {move.source for each in rows if not _asks(each) and not each.drives for move in each.moves}
        touched = {name for each in rows if _asks(each) for move in each.moves for name in (move.source, move.target)}
        seen = frozenset(set(machine.outside) & from_ - touched)
        verbs = {each.ask.verb for each in rows if each.ask is not None}
        readings = _readings(machine)
        return cls(machine, seen, signed, bool(verbs & COMES and verbs & GOES), readings, next(readings))

    def take(self, entry: EntryRow, postings: list[Any], done: Done | None) -> Iterator[str]:
        transition = self.machine.transitions[entry.transition]
        if transition.drives or (transition.ask and (done is None or done.card != entry.entity)):
            return  # what it drives asks, or another of the same number asked for it
        if not _asks(transition) and (not self.whole or (entry.machine, entry.command) in self.signed):
            return
        change = _change(done) if transition.ask and done else (0, 0)
        moved: Counter[str] = Counter()
        for source, target, amount in postings:
            if not {source, target} & self.seen:
                moved[source] -= amount
                moved[target] += amount
        moves = {name: value for name, value in moved.items() if value}
        if not self._fits(tuple(moves.items()), change):
            said = f"the provider did {done.verb} {dict(done.args)}" if transition.ask and done else "nobody was asked"
            books = ", ".join(f"{name} {value:+}" for name, value in moves.items()) or "nothing"
            yield (
                f"{entry.machine} {entry.entity!r}: {entry.transition} moved {books} (minor units), and {said}: "
                f"available {change[0]:+}, held {change[1]:+} there. Whichever accounts these are, the two sides part"
            )

    def _fits(self, moves: tuple[tuple[str, int], ...], change: Change) -> bool:
        """Whether some reading fits this and all before. A reading that did not fit once is not tried again."""
        self.learnt[moves, change] = None
        if self.reading is None or _read(self.reading, moves) == change:
            return self.reading is not None
        fitting = (each for each in self.readings if all(_read(each, past) == known for past, known in self.learnt))
        self.reading = next(fitting, None)
        return self.reading is not None


def _readings(machine: Machine) -> Iterator[Reading]:
    """All of them: both inside, what is held inside and what is available outside, both outside."""
    inside, outside = tuple(machine.accounts), tuple(machine.outside)
    for accounts in (inside, outside):
        for each in product((AVAILABLE, HELD, OURS), repeat=len(accounts)):
            yield dict(zip(accounts, each, strict=True))
    for held in product((HELD, OURS), repeat=len(inside)):
        for available in product((AVAILABLE, OURS), repeat=len(outside)):
            yield dict(zip((*inside, *outside), (*held, *available), strict=True))


def _signed(machines: Machines) -> frozenset[tuple[str, str]]:
    """The commands that a person signs, and those driven by nothing else; by machine and name."""
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


def _read(reading: Reading, moves: tuple[tuple[str, int], ...]) -> Change:
    available, held = (
        sum(value for name, value in moves if reading.get(name) == wanted) for wanted in (AVAILABLE, HELD)
    )
    return available, held
