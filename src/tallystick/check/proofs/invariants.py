"""For all amounts: every step keeps the invariants across machines, whichever machine takes it.

Where a page declares an invariant over what links to it (`held == promised`), every step of either machine has to keep
it: alone, or together where one drives the other; done at once, set aside, confirmed in part or given back. Other
entities, of which nothing is known, stand in the sums too.

Who counts in a sum is a question to the solver like the others: an entity counts where the link of the sum is this one,
and a step that sets the link takes it, with all it has, from one sum to another.

What an entity in a sum has set aside without the other's doing may come back at any time, so an invariant has to hold
with it and without it: a payment that refunds to another card still counts as having earned what it has sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs
import z3

from tallystick.check.proofs import terms
from tallystick.check.proofs.facts import Known
from tallystick.check.proofs.life import Point, World, world
from tallystick.check.proofs.solver import Prover, amount, satisfiable
from tallystick.check.proofs.steps import Accounts, Act, Firing, sum_of
from tallystick.check.proofs.terms import Entity, Term, Value
from tallystick.definition.machine import IN_DOUBT, Invariant, Machine, Machines, Sum

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
    state = terms.text(linked.state)
    said = [_always(each, _values(each, book, totals, state)) for each in machine.invariants.values()]
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
            alone = [life.worlds[state].quiet] if row.ends else []  # nothing ends while a call of it is out
            for act in life.acts(state, row, command):
                for point in life.taking(state, rows):
                    if known.reached(point):
                        yield act, [*known.at(point), act.when, act.part(_PART), *alone]


def invariants(prover: Prover, machine: Machine, known: Mapping[str, Known]) -> None:
    """Every step of a machine, and of those that its invariants sum over, keeps its invariants."""
    if not machine.invariants:
        return
    for each in machine.invariants.values():
        zero = {name: Value(_ZERO) for name in (*machine.columns, *machine.outside, *each.sums)}
        zero["state"] = terms.text(machine.start)
        place = ("invariant", each.name)
        if prover.proved("invariants", machine, place, [], [_always(each, zero)]) is not None:
            message = f"'{each.always.source}' is not true of a {machine.name} that was just made: all amounts are 0"
            prover.told("TS307", machine, message, *place)
    asked = _Asked(machine, known)
    for other in known.values():
        for act, given in everything(other):
            for view in _views(asked, act):
                for phase in _PHASES if act.calls else ["done at once"]:
                    _kept(prover, _Happening(asked, act, view, phase), given)


def _totals(machine: Machine) -> set[Sum]:
    return {total for each in machine.invariants.values() for total in each.sums.values()}


def _always(invariant: Invariant, values: Mapping[str, Value]) -> Term:
    places = {"v": values, "f": {}, "a": {}, "s": values["state"], "o": {}}
    return terms.evaluated(invariant.always.code, places).term


def _values(invariant: Invariant, book: Accounts, sums: Mapping[Sum, Term], state: Value) -> dict[str, Value]:
    values = {name: Value(term) for name, term in book.items()}
    return {**values, **{name: Value(sums[total]) for name, total in invariant.sums.items()}, "state": state}


class _Asked:
    """A machine with invariants, and what is known of those whose steps they see."""

    def __init__(self, machine: Machine, known: Mapping[str, Known]) -> None:
        self.machine, self.known = machine, known
        self.totals = sorted(_totals(machine), key=str)
        self.by_state = any("state" in each.always.names for each in machine.invariants.values())
        self.goes = {total for total in self.totals if _goes(known[total.machine], total.fact)}
        self.alone = {total for total in self.totals if _alone(known[total.machine], total)}


def _goes(known: Known, fact: str) -> bool:
    """Whether a link may be set while a call is out that has set something aside."""
    life = known.life
    for (state, command), rows in life.machine.table.items():
        world = life.worlds[state]
        busy = [z3.Not(world.quiet), world.entity.accounts[IN_DOUBT] > 0]
        for row in rows if life.asking else ():
            for act in life.acts(state, row, command) if fact in row.transition.sets else ():
                points = [point for point in life.taking(state, rows) if known.reached(point)]
                if any(satisfiable([*known.at(point), act.when, *busy]) for point in points):
                    return True
    return False


def _alone(known: Known, total: Sum) -> bool:
    """Whether any that count in a sum may set aside something of it without the other's doing."""
    life = known.life
    return any(
        name in life.asking
        and any(source == total.account for source, _ in row.lines)
        and all(drive.link != total.fact for drive in row.transition.drives)
        for name, row in life.machine.rows.items()
    )


# A step, as an entity with invariants sees it


@attrs.frozen(eq=False)
class _View:
    """Who looks, what it does itself, and that it is none of the others."""

    who: Term
    own: Firing | None
    apart: Term = terms.YES


def _views(asked: _Asked, act: Act) -> Iterator[_View]:
    machine = asked.machine
    taking = [firing for firing in act.firings if firing.entity.machine.name == machine.name]
    for firing in taking:
        if firing is not act.own or not machine.commands[firing.command].driven:
            yield _View(firing.who, firing)
    if any(total.machine == firing.entity.machine.name for firing in act.firings for total in asked.totals):
        who = z3.Int("who")
        yield _View(who, None, z3.And([terms.YES, *(who != firing.who for firing in taking)]))


class _Happening:
    """A phase of a step: the books before and after it."""

    def __init__(self, asked: _Asked, act: Act, view: _View, phase: str) -> None:
        self.asked, self.machine = asked, asked.machine
        self.act, self.view, self.phase = act, view, phase
        self.later = phase in ("confirmed", "given back")
        self.known: list[Term] = [view.apart]
        self._own()
        self.sums: dict[Sum, Term] = {total: _named("all", total) for total in asked.totals}
        self.aside: dict[Sum, Term] = {total: _named("aside", total) for total in asked.totals}
        self.sums_after, self.aside_after = dict(self.sums), dict(self.aside)
        for firing in act.firings:
            for total in asked.totals:
                if total.machine == firing.entity.machine.name:
                    self._counts(firing, total)

    def _own(self) -> None:
        """The books of the one who looks, and its state."""
        own, machine = self.view.own, self.machine
        now = {name: z3.Int(f"now.{name}") for name in machine.columns}
        inside = now if self.later or own is None else own.entity.accounts
        self.before: Accounts = {**inside, **{name: z3.Int(f"outside.{name}") for name in machine.outside}}
        self.after = self.before if own is None else _PHASES[self.phase](own, self.before)
        self.known += [term >= 0 for name, term in self.before.items() if name in machine.columns]
        self.known.append(sum_of(self.before) == 0)  # what came in and did not go out is there
        if own and self.later and IN_DOUBT in self.before:
            self.known.append(self.before[IN_DOUBT] >= z3.Sum([_ZERO, *own.amounts]))
        self.state = terms.text(own.entity.state) if own else Value(z3.Int("state"))
        if own and self.later and not own.row.changes:
            self.state = Value(z3.Int("state"))
        self.states_after = [self.state]
        if own and self.phase in ("done at once", "confirmed") and own.row.target:
            self.states_after = [terms.text(own.row.target)]
        elif own and self.phase == "given back" and own.row.transition.otherwise:
            self.states_after = [self.state, terms.text(own.row.transition.otherwise)]
        if self.asked.by_state:
            self.known.append(self._where())

    def _where(self) -> Term:
        """What is known of the one who looks where it may be now."""
        own, known = self.view.own, self.asked.known[self.machine.name]
        if own is self.act.own and not self.later:
            return terms.YES  # it is known already
        if own and self.later and own.row.ends:  # nothing else has happened meanwhile
            aside = own.aside(own.entity.accounts)
            return z3.And([terms.YES, *(self.before[name] == term for name, term in aside.items())])
        points = [point for point in known.life.points if known.reached(point)]
        if own and (own.row.changes or not self.later):
            changing = own.row.name if self.later else None
            points = [each for each in points if each.state == own.entity.state and changing in (None, each.changing)]
        prefix = own.entity.name if own and not self.later else "now."
        return z3.Or(
            [
                z3.And(terms.equal(self.state, terms.text(each.state)), *known.at(each, _world(known, each, prefix)))
                for each in points
            ]
        )

    def _counts(self, firing: Firing, total: Sum) -> None:
        """What a firing of an entity that may count in a sum does to the sum, and to what is aside."""
        name, account, who = firing.entity.name, total.account, self.view.who
        link = firing.entity.facts[total.fact]
        if self.later and total in self.asked.goes:  # it may have been set anew
            link = Value(z3.Int(f"{name}now.{total.fact}"), link.there)
        counted = counts = z3.And(link.there, link.term == who)
        goes = total.fact in firing.row.transition.sets and self.phase in ("done at once", "confirmed")
        if goes:
            new = firing.facts(_PART)[total.fact]
            counts = z3.And(new.there, new.term == who)
        old: Accounts = firing.entity.accounts
        if self.later:
            old = {each: z3.Int(f"{name}now.{each}") for each in old}
        after = _PHASES[self.phase](firing, old)
        self.known += [z3.Implies(counted, self.sums[total] >= old[account]), old[account] >= 0]
        if goes or after[account] is not old[account]:
            gone, come = z3.If(counted, old[account], 0), z3.If(counts, after[account], 0)
            self.sums_after[total] = self.sums_after[total] - gone + come
        if goes and total in self.asked.alone:
            alone = z3.Int(f"{name}alone.{account}")
            self.known += [alone >= 0, alone <= old[IN_DOUBT], z3.Implies(counted, alone <= self.aside[total])]
            gone, come = z3.If(counted, alone, 0), z3.If(counts, alone, 0)
            self.aside_after[total] = self.aside_after[total] - gone + come
        self._set_aside(firing, total, counted)

    def _set_aside(self, firing: Firing, total: Sum, counted: Term) -> None:
        """What it sets aside, or gets back, if the one who looks has no part in it."""
        amounts = zip(firing.row.lines, firing.amounts, strict=True)
        mine = [value for (source, _), value in amounts if source == total.account]
        together = self.view.own and self.view.own.entity.name == f"{firing.entity.name}{total.fact}."
        if together or not mine or self.phase == "done at once":
            return
        moved = z3.If(counted, z3.Sum(mine), 0)
        now = self.aside_after[total]
        self.aside_after[total] = now + moved if self.phase == "sent to the provider" else now - moved

    def always(self, invariant: Invariant) -> Term:
        """That an invariant holds before: with what is set aside, and without it."""
        return _both(invariant, self.values(invariant), self.aside)

    def still(self, invariant: Invariant) -> Term:
        """That it holds afterwards."""
        return z3.And(
            [_both(invariant, self.values_after(invariant, state), self.aside_after) for state in self.states_after]
        )

    def values(self, invariant: Invariant) -> dict[str, Value]:
        return _values(invariant, self.before, self.sums, self.state)

    def values_after(self, invariant: Invariant, state: Value) -> dict[str, Value]:
        return _values(invariant, self.after, self.sums_after, state)

    def sound(self) -> list[Term]:
        """What holds before: all invariants, value is where it came to, and nobody in a sum has more than the sum."""
        known = [self.always(each) for each in self.machine.invariants.values()]
        for total, term in self.sums.items():
            known += [term >= 0, self.aside[total] >= 0, self.aside_after[total] >= 0]
        return [*self.known, *known]

    def touches(self, invariant: Invariant) -> bool:
        names = [name for name in self.before if name in invariant.always.names]
        moves = "state" in invariant.always.names and self.states_after != [self.state]
        return (
            moves
            or any(self.after[name] is not self.before[name] for name in names)
            or any(self.sums_after[total] is not self.sums[total] for total in invariant.sums.values())
        )


def _named(what: str, total: Sum) -> Term:
    return z3.Int(f"{what}.{total.machine}.{total.fact}.{total.account}")


def _world(known: Known, point: Point, prefix: str) -> World:
    return world(known.life.machine, point.state, prefix)


def _both(invariant: Invariant, values: Mapping[str, Value], aside: Mapping[Sum, Term]) -> Term:
    back = {name: Value(values[name].term + aside[total]) for name, total in invariant.sums.items()}
    return z3.And(_always(invariant, values), _always(invariant, {**values, **back}))


def _kept(prover: Prover, now: _Happening, given: list[Term]) -> None:
    own, assumed = now.act.own, None
    machine = own.entity.machine
    place = ("transition", own.row.name, "drive" if own.row.transition.drives else "move")
    for each in now.machine.invariants.values():
        if not now.touches(each):
            continue
        assumed = assumed or [*given, *now.sound()]
        model = prover.proved("invariants", machine, place, assumed, [now.still(each)])
        if model is not None:
            before, after = now.values(each), now.values_after(each, now.states_after[-1])
            numbers = ", ".join(
                f"{name} {_shown(model, name, before[name])} → {_shown(model, name, after[name])}"
                for name in sorted(each.always.names)
            )
            message = (
                f"{own.command} in {own.entity.state}, {now.phase}, breaks '{each.always.source}' of "
                f"{now.machine.name}: {numbers}"
            )
            prover.told("TS307", machine, message, *place)


def _shown(model: Term, name: str, value: Value) -> str:
    found = model.eval(value.term, True).as_long()
    return terms.text_of(found) or "another" if name == "state" else amount(found)
