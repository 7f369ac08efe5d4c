"""For all amounts: every step keeps the invariants across machines, whichever machine takes it.

Where a page declares an invariant over what links to it (`held == promised`), every step of either machine has to keep
it: alone, or together where one drives the other; done at once, set aside, confirmed in part or given back. Other
entities, of which nothing is known, stand in the sums too.

The solver is also asked who counts in a sum. An entity counts where the link of the sum is this one, and a step that
sets the link takes it, with all it has, from one sum to another.

What an entity in a sum has set aside without the other's doing may come back at any time. So an invariant has to hold
with it and without it: a payment that refunds to another card still counts as having earned what it has sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs
import z3

from tallystick.check.proof import terms
from tallystick.check.proof.executions import Accounts, Execution, Firing
from tallystick.check.proof.lifecycle import subject
from tallystick.check.proof.solver import Prover, satisfiable
from tallystick.check.proof.state_invariants import StateInvariants
from tallystick.check.proof.terms import ZERO, Entity, Term, Value
from tallystick.check.wording import amount
from tallystick.definition.declared import IN_DOUBT, Invariant, Sum
from tallystick.definition.machine import Machine, Machines

_PHASES: Mapping[str, Callable[[Firing, Accounts], Accounts]] = {
    "done at once": Firing.completed,
    "sent to the provider": Firing.aside,
    "confirmed": Firing.confirmed,
    "given back": Firing.given_back,
}


def provable(machine: Machine) -> list[Invariant]:
    """The invariants that are proved: those that name facts are only searched and fuzzed, and `check` says so."""
    return [each for each in machine.invariants.values() if not each.always.names & machine.facts.keys()]


def governed(machines: Machines, machine: str, link: str, linked: str) -> bool:
    """Whether an invariant of the linked machine speaks of those that link to it so."""
    return any((total.machine, total.fact) == (machine, link) for total in summed(machines[linked]))


def tied(machine: Machine, linked: Entity, entity: Entity, link: str) -> list[Term]:
    """What the invariants of a linked entity say of one that links to it."""
    totals = {total: z3.Int(f"{linked.name}all.{total.machine}.{total.account}") for total in summed(machine)}
    book = {**linked.accounts, **{name: z3.Int(f"{linked.name}outside.{name}") for name in machine.outside}}
    state = terms.text(linked.state)
    known = [_always(each, _values(each, book, totals, state)) for each in provable(machine)]
    known += [term >= 0 for term in totals.values()]
    return known + [
        term >= entity.accounts[total.account]
        for total, term in totals.items()
        if (total.machine, total.fact) == (entity.machine.name, link)
    ]


def prove_invariants(prover: Prover, machine: Machine, known: Mapping[str, StateInvariants]) -> None:
    """TS307: every step of a machine, and of those that its invariants may see, keeps its invariants."""
    for each in provable(machine):
        zero = {name: Value(ZERO) for name in (*machine.columns, *machine.outside, *each.sums)}
        zero["state"] = terms.text(machine.start)
        place = ("invariant", each.name)
        if prover.counterexample("invariants", machine, place, [], [_always(each, zero)]) is not None:
            message = f"'{each.always.source}' is not true of a {machine.name} that was just made: all amounts are 0"
            prover.report("TS307", machine, message, *place)
    subject_ = _Machine(machine, known)
    for other in known.values():
        for _, execution, given in other.executions():
            for view in _views(subject_, execution):
                for phase in _PHASES if execution.calls else ["done at once"]:
                    _prove_kept(prover, _Phase(subject_, execution, view, phase), given)


def summed(machine: Machine) -> set[Sum]:
    """What the invariants of a machine sum up."""
    return {total for each in provable(machine) for total in each.sums.values()}


def _always(invariant: Invariant, values: Mapping[str, Value]) -> Term:
    places = {"v": values, "f": {}, "a": {}, "s": values["state"], "o": {}}
    return terms.evaluated(invariant.always.code, places).term


def _values(invariant: Invariant, book: Accounts, sums: Mapping[Sum, Term], state: Value) -> dict[str, Value]:
    values = {name: Value(term) for name, term in book.items()}
    return {**values, **{name: Value(sums[total]) for name, total in invariant.sums.items()}, "state": state}


class _Machine:
    """A machine with invariants, and what is known of those whose steps they see."""

    def __init__(self, machine: Machine, known: Mapping[str, StateInvariants]) -> None:
        self.machine, self.known = machine, known
        self.totals = sorted(summed(machine), key=str)
        self.by_state = any("state" in each.always.names for each in provable(machine))
        self.relinked = {total for total in self.totals if _may_be_relinked(known[total.machine], total.fact)}
        self.alone = {total for total in self.totals if _sets_aside_alone(known[total.machine], total)}


def _may_be_relinked(known: StateInvariants, fact: str) -> bool:
    """Whether a link may be set while a call is open that has set something aside."""
    lifecycle = known.lifecycle
    for (state, command), rows in lifecycle.machine.table.items() if lifecycle.calling else ():
        points = [point for point in lifecycle.taking(state, rows) if known.reached(point)]
        out = [z3.Not(lifecycle.subjects[state].quiet), lifecycle.subjects[state].entity.accounts[IN_DOUBT] > 0]
        for row in rows:
            for each in lifecycle.executions(state, row, command) if fact in row.transition.sets else ():
                if any(satisfiable([*known.at(point), each.when, *out]) for point in points):
                    return True
    return False


def _sets_aside_alone(known: StateInvariants, total: Sum) -> bool:
    """Whether any that count in a sum may set aside something of it without the other's doing."""
    return any(
        name in known.lifecycle.calling
        and any(source == total.account for source, _ in row.lines)
        and all(drive.link != total.fact for drive in row.transition.drives)
        for name, row in known.lifecycle.machine.rows.items()
    )


# A step, as an entity with invariants sees it


@attrs.frozen(eq=False)
class _View:
    """Who looks at an execution."""

    who: Term
    own: Firing | None  # what it does itself
    apart: Term = terms.YES  # that it is none of the others


def _views(subject_: _Machine, execution: Execution) -> Iterator[_View]:
    machine = subject_.machine
    taking = [firing for firing in execution.firings if firing.entity.machine.name == machine.name]
    for firing in taking:
        if firing is not execution.own or not machine.commands[firing.command].driven:
            yield _View(firing.who, firing)
    machines = {firing.entity.machine.name for firing in execution.firings}
    if any(total.machine in machines for total in subject_.totals):
        who = z3.Int("who")
        yield _View(who, None, z3.And([terms.YES, *(who != firing.who for firing in taking)]))


class _Phase:
    """A phase of an execution, as one entity sees it: the books before and after it."""

    def __init__(self, subject_: _Machine, execution: Execution, view: _View, phase: str) -> None:
        self.subject, self.machine = subject_, subject_.machine
        self.execution, self.view, self.phase = execution, view, phase
        self.later = phase in ("confirmed", "given back")
        self.known: list[Term] = [view.apart]
        self._own()
        self.sums: dict[Sum, Term] = {total: _named("all", total) for total in subject_.totals}
        self.aside: dict[Sum, Term] = {total: _named("aside", total) for total in subject_.totals}
        self.sums_after, self.aside_after = dict(self.sums), dict(self.aside)
        for firing in execution.firings:
            for total in subject_.totals:
                if total.machine == firing.entity.machine.name:
                    self._count(firing, total)

    def _own(self) -> None:
        """The books of the one who looks, and its state."""
        own, machine = self.view.own, self.machine
        now = {name: z3.Int(f"now.{name}") for name in machine.columns}
        inside = now if self.later or own is None else own.entity.accounts
        self.before: Accounts = {**inside, **{name: z3.Int(f"outside.{name}") for name in machine.outside}}
        self.after = self.before if own is None else _PHASES[self.phase](own, self.before)
        self.known += [term >= 0 for name, term in self.before.items() if name in machine.columns]
        self.known.append(z3.Sum([ZERO, *self.before.values()]) == 0)  # what came in and did not go out is there
        if own and self.later and IN_DOUBT in self.before:
            self.known.append(self.before[IN_DOUBT] >= z3.Sum([ZERO, *own.amounts]))
        self.state = terms.text(own.entity.state) if own else Value(z3.Int("state"))
        if own and self.later and not own.row.changes:
            self.state = Value(z3.Int("state"))
        self.states_after = [self.state]
        if own and self.phase in ("done at once", "confirmed") and own.row.target:
            self.states_after = [terms.text(own.row.target)]
        elif own and self.phase == "given back" and own.row.transition.otherwise:
            self.states_after = [self.state, terms.text(own.row.transition.otherwise)]
        if self.subject.by_state:
            self.known.append(self._where())

    def _where(self) -> Term:
        """What is known of the one who looks where it may be now."""
        own, known = self.view.own, self.subject.known[self.machine.name]
        if own is self.execution.own and not self.later:
            return terms.YES  # it is known already
        if own and self.later and own.row.ends:  # nothing else has happened meanwhile
            aside = own.aside(own.entity.accounts)
            return z3.And([terms.YES, *(self.before[name] == term for name, term in aside.items())])
        points = [point for point in known.lifecycle.points if known.reached(point)]
        if own and (own.row.changes or not self.later):
            changing = own.row.name if self.later else None
            points = [each for each in points if each.state == own.entity.state and changing in (None, each.changing)]
        prefix = own.entity.name if own and not self.later else "now."
        at = [(terms.text(each.state), known.at(each, subject(self.machine, each.state, prefix))) for each in points]
        return z3.Or([z3.And(terms.equal(self.state, state), *here) for state, here in at])

    def _count(self, firing: Firing, total: Sum) -> None:
        """What a firing of an entity that may count in a sum does to the sum, and to what is aside."""
        name, account, who = firing.entity.name, total.account, self.view.who
        link = firing.entity.facts[total.fact]
        if self.later and total in self.subject.relinked:
            link = Value(z3.Int(f"{name}now.{total.fact}"), link.there)
        counted = counts = z3.And(link.there, link.term == who)
        sets_link = total.fact in firing.row.transition.sets and self.phase in ("done at once", "confirmed")
        if sets_link:
            new = firing.facts()[total.fact]
            counts = z3.And(new.there, new.term == who)
        old: Accounts = firing.entity.accounts
        if self.later:
            old = {each: z3.Int(f"{name}now.{each}") for each in old}
        after = _PHASES[self.phase](firing, old)
        self.known += [z3.Implies(counted, self.sums[total] >= old[account]), old[account] >= 0]
        if sets_link or after[account] is not old[account]:
            gone, come = z3.If(counted, old[account], 0), z3.If(counts, after[account], 0)
            self.sums_after[total] = self.sums_after[total] - gone + come
        if sets_link and total in self.subject.alone:
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

    def values(self, invariant: Invariant) -> dict[str, Value]:
        return _values(invariant, self.before, self.sums, self.state)

    def values_after(self, invariant: Invariant, state: Value) -> dict[str, Value]:
        return _values(invariant, self.after, self.sums_after, state)

    def given(self) -> list[Term]:
        """What holds before: all invariants, value is where it came to, and nobody in a sum has more than the sum."""
        known = [_both(each, self.values(each), self.aside) for each in provable(self.machine)]
        for total, term in self.sums.items():
            known += [term >= 0, self.aside[total] >= 0, self.aside_after[total] >= 0]
        return [*self.known, *known]

    def holds_after(self, invariant: Invariant) -> Term:
        return z3.And(
            [_both(invariant, self.values_after(invariant, state), self.aside_after) for state in self.states_after]
        )

    def touches(self, invariant: Invariant) -> bool:
        names = [name for name in self.before if name in invariant.always.names]
        return (
            ("state" in invariant.always.names and self.states_after != [self.state])
            or any(self.after[name] is not self.before[name] for name in names)
            or any(self.sums_after[total] is not self.sums[total] for total in invariant.sums.values())
        )


def _named(what: str, total: Sum) -> Term:
    return z3.Int(f"{what}.{total.machine}.{total.fact}.{total.account}")


def _both(invariant: Invariant, values: Mapping[str, Value], aside: Mapping[Sum, Term]) -> Term:
    """That an invariant holds: with what is set aside, and without it."""
    back = {name: Value(values[name].term + aside[total]) for name, total in invariant.sums.items()}
    return z3.And(_always(invariant, values), _always(invariant, {**values, **back}))


def _prove_kept(prover: Prover, phase: _Phase, given: list[Term]) -> None:
    own, assumed = phase.execution.own, None
    for each in provable(phase.machine):
        if not phase.touches(each):
            continue
        assumed = assumed or [*given, *phase.given()]
        model = prover.counterexample("invariants", own.entity.machine, own.place, assumed, [phase.holds_after(each)])
        if model is not None:
            before, after = phase.values(each), phase.values_after(each, phase.states_after[-1])
            values = ", ".join(
                f"{name} {_in_words(model, name, before[name])} → {_in_words(model, name, after[name])}"
                for name in sorted(each.always.names)
            )
            message = (
                f"{own.command} in {own.entity.state}, {phase.phase}, breaks '{each.always.source}' of "
                f"{phase.machine.name}: {values}"
            )
            prover.report("TS307", own.entity.machine, message, *own.place)


def _in_words(model: Term, name: str, value: Value) -> str:
    found = model.eval(value.term, True).as_long()
    return terms.text_of(found) or "another" if name == "state" else amount(found)
