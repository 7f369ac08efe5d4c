"""For all amounts: every step keeps the invariants across machines, whichever machine takes it.

Where a page declares an invariant over what links to it (`held == promised`), every step of either machine has to keep
it: alone, or together where one drives the other; done at once, set aside, confirmed in part or given back. Other
entities, of which nothing is known, stand in the sums too.

What an entity in a sum has set aside without the other's doing may come back at any time, so an invariant has to hold
with it and without it: a payment that refunds to another card still counts as having earned what it has sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs
import z3

from tallystick.check.proofs import terms
from tallystick.check.proofs.facts import Known
from tallystick.check.proofs.solver import Prover, amount
from tallystick.check.proofs.steps import Accounts, Act, Firing, sum_of
from tallystick.check.proofs.terms import Entity, Term, Value
from tallystick.machine import IN_DOUBT, Invariant, Machine, Machines, Sum

_PART = z3.Int("part")
_ZERO = z3.IntVal(0)

_PHASES: Mapping[str, Callable[[Firing, Accounts], Accounts]] = {
    "done at once": lambda firing, book: firing.completed(book, _PART),
    "sent to the provider": lambda firing, book: firing.aside(book),
    "confirmed": lambda firing, book: firing.confirmed(book, _PART),
    "given back": lambda firing, book: firing.given_back(book),
}


def governed(machines: Machines, machine: str, link: str, linked: str) -> bool:
    """Whether an invariant of the linked machine speaks of those that link to it so."""
    return any((total.machine, total.fact) == (machine, link) for total in _totals(machines[linked]))


def tied(machine: Machine, linked: Entity, entity: Entity, link: str) -> list[Term]:
    """What the invariants of a linked entity say of one that links to it."""
    totals = {total: z3.Int(f"{linked.name}all.{total.machine}.{total.account}") for total in _totals(machine)}
    book = {**linked.accounts, **{name: z3.Int(f"{linked.name}outside.{name}") for name in machine.outside}}
    said = [_always(each, _values(each, book, totals)) for each in machine.invariants.values()]
    said += [term >= 0 for term in totals.values()]
    return said + [
        term >= entity.accounts[total.account]
        for total, term in totals.items()
        if (total.machine, total.fact) == (entity.machine.name, link)
    ]


def everything(known: Known) -> Iterator[tuple[Act, list[Term]]]:
    """All that an entity of a machine may do, with what is known of it then, whatever calls of it are out."""
    life = known.life
    for (state, command), rows in life.machine.table.items():
        for row in rows:
            for act in life.acts(state, row, command):
                for point in life.taking(state, rows):
                    if known.reached(point):
                        yield act, [*known.at(point), act.when, act.part(_PART)]


def invariants(prover: Prover, machine: Machine, known: Mapping[str, Known]) -> None:
    """Every step of a machine, and of those that its invariants sum over, keeps its invariants."""
    for each in machine.invariants.values():
        zero = {name: Value(_ZERO) for name in (*machine.columns, *machine.outside, *each.sums)}
        place = ("invariant", each.name)
        if prover.proved("invariants", machine, place, [], [_always(each, zero)]) is not None:
            message = f"'{each.always.source}' is not true of a {machine.name} that was just made: all amounts are 0"
            prover.told("TS307", machine, message, *place)
    for other in known.values() if machine.invariants else ():
        for act, given in everything(other):
            for view in _views(machine, act):
                for phase in _PHASES if act.calls else ["done at once"]:
                    _kept(prover, _Happening(machine, act, view, phase), given)


def _totals(machine: Machine) -> set[Sum]:
    return {total for each in machine.invariants.values() for total in each.sums.values()}


def _always(invariant: Invariant, values: Mapping[str, Value]) -> Term:
    places = {"v": values, "f": {}, "a": {}, "s": terms.NONE, "o": {}}
    return terms.evaluated(invariant.always.code, places).term


def _values(invariant: Invariant, book: Accounts, sums: Mapping[Sum, Term]) -> dict[str, Value]:
    values = {name: Value(term) for name, term in book.items()}
    return values | {name: Value(sums[total]) for name, total in invariant.sums.items()}


# A step, as an entity with invariants sees it


@attrs.frozen(eq=False)
class _View:
    """What it does itself, and who in its sums takes part."""

    own: Firing | None
    members: tuple[Firing, ...]
    apart: bool = False  # they do it without its doing


def _views(machine: Machine, act: Act) -> Iterator[_View]:
    facts = sorted({(total.machine, total.fact) for total in _totals(machine)})
    members = [
        (firing, f"{firing.entity.name}{fact}.")
        for firing in act.firings
        for name, fact in facts
        if firing.entity.machine.name == name
    ]
    driven = {firing.entity.name for firing in act.firings}
    free = tuple(member for member, name in members if name not in driven)  # nobody is driven twice by one command
    seen = set()
    for firing in act.firings:
        if firing.entity.machine.name != machine.name or (
            firing is act.own and machine.commands[firing.command].driven
        ):
            continue
        seen.add(firing.entity.name)
        linked = tuple(member for member, name in members if name == firing.entity.name)
        yield _View(firing, linked)
        if not linked and free:  # the same entity, by another link
            yield _View(firing, free, apart=True)
    yield from (_View(None, (member,), apart=True) for member, name in members if name not in seen)


class _Happening:
    """A phase of a step: the books before and after it."""

    def __init__(self, machine: Machine, act: Act, view: _View, phase: str) -> None:
        self.machine, self.act, self.view, self.phase = machine, act, view, phase
        self.sums = {total: z3.Int(f"all.{total.machine}.{total.account}") for total in _totals(machine)}
        now = view.own is None or phase in ("confirmed", "given back")
        inside = {name: z3.Int(f"now.{name}") for name in machine.columns}
        self.before: Accounts = {
            **(inside if now or view.own is None else view.own.entity.accounts),
            **{name: z3.Int(f"outside.{name}") for name in machine.outside},
        }
        book = _PHASES[phase]
        self.after = book(view.own, self.before) if view.own else self.before
        self.aside = {total: z3.Int(f"aside.{total.machine}.{total.account}") for total in self.sums}
        self.aside_after = self._aside()
        self.sums_after = dict(self.sums)
        for total in self.sums:
            for member in view.members:
                if member.entity.machine.name == total.machine:
                    old = member.entity.accounts
                    new = book(member, old)[total.account]
                    if new is not old[total.account]:
                        self.sums_after[total] = self.sums_after[total] + new - old[total.account]

    def _aside(self) -> dict[Sum, Term]:
        """What those in the sums have set aside alone, afterwards."""
        after = dict(self.aside)
        for total in self.sums:
            for member in self.view.members if self.view.apart else ():
                amounts = zip(member.row.lines, member.amounts, strict=True)
                mine = [value for (source, _), value in amounts if source == total.account]
                if member.entity.machine.name == total.machine and mine and self.phase != "done at once":
                    moved = z3.Sum(mine)
                    after[total] = after[total] + (moved if self.phase == "sent to the provider" else -moved)
        return after

    def always(self, invariant: Invariant) -> tuple[Term, Term]:
        """That an invariant holds before, and afterwards: with what is set aside, and without it."""
        before, after = _values(invariant, self.before, self.sums), _values(invariant, self.after, self.sums_after)
        back = {name: Value(before[name].term + self.aside[total]) for name, total in invariant.sums.items()}
        back_after = {name: Value(after[name].term + self.aside_after[total]) for name, total in invariant.sums.items()}
        return (
            z3.And(_always(invariant, before), _always(invariant, before | back)),
            z3.And(_always(invariant, after), _always(invariant, after | back_after)),
        )

    def sound(self) -> list[Term]:
        """What holds before: all invariants, value is where it came to, and nobody in a sum has more than the sum."""
        known = [self.always(each)[0] for each in self.machine.invariants.values()]
        known += [self.before[name] >= 0 for name in self.machine.columns]
        known.append(sum_of(self.before) == 0)  # what came in and did not go out is there
        if self.view.own and self.phase in ("confirmed", "given back") and IN_DOUBT in self.before:
            known.append(self.before[IN_DOUBT] >= z3.Sum([_ZERO, *self.view.own.amounts]))
        for total, term in self.sums.items():
            known += [term >= 0, self.aside[total] >= 0, self.aside_after[total] >= 0]
            known += [
                term >= member.entity.accounts[total.account]
                for member in self.view.members
                if member.entity.machine.name == total.machine
            ]
        return known

    def touches(self, invariant: Invariant) -> bool:
        names = [name for name in self.before if name in invariant.always.names]
        return any(self.after[name] is not self.before[name] for name in names) or any(
            self.sums_after[total] is not self.sums[total] for total in invariant.sums.values()
        )


def _kept(prover: Prover, now: _Happening, given: list[Term]) -> None:
    own, assumed = now.act.own, None
    machine = own.entity.machine
    place = ("transition", own.row.name, "drive" if own.row.transition.drives else "move")
    for each in now.machine.invariants.values():
        if not now.touches(each):
            continue
        assumed = assumed or [*given, *now.sound()]
        before, after = _values(each, now.before, now.sums), _values(each, now.after, now.sums_after)
        model = prover.proved("invariants", machine, place, assumed, [now.always(each)[1]])
        if model is not None:
            numbers = ", ".join(
                f"{name} {_number(model, before[name])} → {_number(model, after[name])}"
                for name in sorted(each.always.names)
            )
            message = (
                f"{own.command} in {own.entity.state}, {now.phase}, breaks '{each.always.source}' of "
                f"{now.machine.name}: {numbers}"
            )
            prover.told("TS307", machine, message, *place)


def _number(model: Term, value: Value) -> str:
    return amount(model.eval(value.term, True).as_long())
