"""For all amounts: every life can be brought to an end.

First a strategy is looked for (`strategy`). Where there is none, it goes backwards from the ends: a state with some
amounts can end if a command with suitable arguments leads from there to what can end. For each state the solver gives
exactly the amounts for which that is so. These are put together until they cover everything that the state can hold, or
until nothing is added any more. The provider is taken to say yes. Where a machine has no end, to hold nothing is its
end.

A transition that drives counts only where the linked entity takes its part: if an invariant ties the two together, it
must do so whatever its state and amounts may be; else there must be a state and amounts with which it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import z3

from tallystick.check.proof import terms
from tallystick.check.proof.executions import Firing, amounts, answered_by, capped, driven_arguments
from tallystick.check.proof.invariants import governed, tied
from tallystick.check.proof.lifecycle import Point, subject
from tallystick.check.proof.solver import Prover, Undecided, satisfiable, values_in_words
from tallystick.check.proof.state_invariants import StateInvariants
from tallystick.check.proof.strategy import Strategy, Way
from tallystick.check.proof.terms import Entity, Term, Value
from tallystick.definition.declared import Drive
from tallystick.definition.machine import Row

_ROUNDS = 12  # of steps backwards, where no strategy is found
_FEW = 9  # accounts; with more of them, to work out amounts takes for ever
_WAIT = 10_000  # milliseconds, to work out the amounts of one way

LookUp = Callable[[str], StateInvariants]


def prove_ends(prover: Prover, known: StateInvariants, look_up: LookUp) -> None:
    """TS308. `look_up`: what is known of other machines."""
    machine, search = known.lifecycle.machine, _Search(known, look_up)
    try:
        search.run()
    except Undecided:
        prover.report_undecided("lives that can end", machine, ("machine",))
        return
    facts = [name for name, fact in machine.facts.items() if fact.type.kind not in ("text", "link")]
    for point in _alone(known):
        subject_, place = known.lifecycle.subjects[point.state], ("state", point.state)
        given, claim = [*known.at(point), subject_.quiet], search.can_end[point.state]
        model = prover.counterexample("lives that can end", machine, place, given, [claim])
        if model is not None and search.unfinished:
            prover.report_undecided("lives that can end", machine, place)
        elif model is not None:
            values = values_in_words(model, subject_.entity, {}, {}, [*machine.accounts, *facts])
            message = f"no way leads from {point.state} to an end, whatever is asked of it: {values}"
            prover.report("TS308", machine, message, *place)


class _Search:
    """For each state: the values from which it can end, as far as they are found."""

    def __init__(self, known: StateInvariants, look_up: LookUp) -> None:
        self.known = known
        self.look_up = look_up
        self.machine = known.lifecycle.machine
        self.subjects = known.lifecycle.subjects
        self.unfinished = False
        finals = [state.name for state in self.machine.states.values() if state.final]
        self.can_end = {state: terms.YES if state in finals else terms.NO for state in self.machine.states}
        if not finals:
            self.can_end = {state: _empty(each.entity) for state, each in self.subjects.items()}
        self._willing: dict[Firing, Term] = {}
        self._ways = [
            self._way(state, row, command)
            for (state, command), rows in self.machine.table.items()
            for row in rows
            if state not in finals
        ]
        self._ways.sort(key=lambda way: bool(way.firing.row.transition.drives))  # the simple ones first

    def run(self) -> None:
        """Look for a strategy; and step backwards in the states that have none, until nothing is added.

        Raises:
            Undecided: the solver cannot work out the amounts.
        """
        found = Strategy(self.machine, self._ways, self._here, self.can_end).found
        self.can_end |= dict.fromkeys(found, terms.YES)
        if len(self.machine.accounts) > _FEW and len(found) < len(self.can_end):
            raise Undecided
        fresh = {state for state, term in self.can_end.items() if not z3.is_false(term)}
        for _ in range(_ROUNDS):
            ways = [way for way in self._ways if way.target in fresh and way.state not in found]
            fresh = {way.state for way in ways if self._adds(way)}
            if not fresh:
                return
        self.unfinished = True

    def _way(self, state: str, row: Row, command: str) -> Way:
        """A transition that is wholly confirmed, and that it answers."""
        entity = self.subjects[state].entity
        args, typed = terms.arguments(self.machine, command)
        own = capped(row, entity, args)
        firing = Firing(entity, row, command, own, amounts(row, entity, own), None, z3.Int("who"))
        answered = z3.And(typed, answered_by(entity, row, command, args))
        return Way(state, firing, answered, lambda: self._drives_take_part(firing))

    def _adds(self, way: Way) -> bool:
        """Whether a way leads to an end from values of the state from which none was found before."""
        state, firing = way.state, way.firing
        left = [*self._here(state), z3.Not(self.can_end[state])]
        leads = z3.And(way.answered, self._then(firing, way.target))
        if not satisfiable([*left, leads]):
            return False
        leads = z3.And(leads, way.willing())
        if not satisfiable([*left, leads]):
            return False
        facts = firing.entity.facts.values()
        own = {str(each) for each in (*firing.entity.accounts.values(), *(one.term for one in facts))}
        own |= {str(each.there) for each in facts}
        found = _eliminated(z3.Exists, [each for each in _variables(leads) if str(each) not in own], leads)
        self.can_end[state] = z3.simplify(z3.Or(self.can_end[state], found))
        return True

    def _here(self, state: str) -> list[Term]:
        """What is known of an entity in a state, while no call is open."""
        points = [point for point in _alone(self.known) if point.state == state]
        return [self.subjects[state].quiet, z3.Or([z3.And(self.known.at(point)) for point in points])]

    def _then(self, firing: Firing, target: str) -> Term:
        """That it can end from what the firing leads to."""
        before = self.subjects[target].entity
        accounts, facts = firing.completed(firing.entity.accounts), firing.facts()
        pairs = [(term, accounts[name]) for name, term in before.accounts.items()]
        for name, value in before.facts.items():
            same_sort = value.term.sort() == facts[name].term.sort()
            pairs.append((value.term, (facts[name] if same_sort else value).term))
            if value.there is not terms.YES:
                pairs.append((value.there, facts[name].there))
        return z3.substitute(self.can_end[target], *pairs)

    # What is driven

    def _drives_take_part(self, firing: Firing) -> Term:
        """That all that a firing drives takes its part; worked out once."""
        if firing not in self._willing:
            drives = firing.row.transition.drives
            self._willing[firing] = z3.And([self._takes_part(firing.entity, drive, firing.args) for drive in drives])
        return self._willing[firing]

    def _takes_part(self, entity: Entity, drive: Drive, args: Mapping[str, Value]) -> Term:
        """That the linked entity does what it is given, as a statement about the one that gives it."""
        known = self.look_up(drive.machine)
        machine, machines = known.lifecycle.machine, known.lifecycle.machines
        prefix = f"{entity.name}{drive.link}."
        given = driven_arguments(machines, entity, drive, args)
        link = (args if drive.by_argument else entity.facts)[drive.link]
        bound = governed(machines, entity.machine.name, drive.link, drive.machine)
        found = []
        for point in _alone(known):
            other = subject(machine, point.state, prefix)
            rows = machine.table.get((point.state, drive.command), ())
            takes = z3.Or([terms.NO, *(self._answers(other.entity, row, drive.command, given) for row in rows)])
            here = z3.And(*known.at(point, other), other.quiet)
            if bound:
                here = z3.And(here, *tied(machine, other.entity, entity, drive.link))
            term = z3.Implies(here, takes) if bound else z3.And(here, takes)
            inner = [each for each in _variables(term) if str(each).startswith(prefix)]
            found.append(_eliminated(z3.ForAll if bound else z3.Exists, inner, term))
        return z3.simplify(z3.And(link.there, z3.And(found) if bound else z3.Or(found)))

    def _answers(self, entity: Entity, row: Row, command: str, args: Mapping[str, Value]) -> Term:
        own = capped(row, entity, args)
        willing = [self._takes_part(entity, drive, own) for drive in row.transition.drives]
        return z3.And(answered_by(entity, row, command, args), *willing)


def _alone(known: StateInvariants) -> list[Point]:
    """The points at which no open call will change the state."""
    return [point for point in known.lifecycle.points if point.changing is None and known.reached(point)]


def _empty(entity: Entity) -> Term:
    return z3.And([terms.YES, *(entity.accounts[name] == 0 for name in entity.machine.holding)])


def _variables(term: Term) -> list[Term]:
    """The variables of a term, each once; parts that it shares are looked at once."""
    found, seen, waiting = [], set(), [term]
    while waiting:
        part = waiting.pop()
        if part.get_id() not in seen:
            seen.add(part.get_id())
            waiting += part.children()
            if z3.is_const(part) and part.decl().kind() == z3.Z3_OP_UNINTERPRETED:
                found.append(part)
    return found


def _eliminated(quantifier: Callable[[list[Term], Term], Term], inner: list[Term], term: Term) -> Term:
    """The statement without `inner`: a quantifier over them, worked out.

    Raises:
        Undecided: the solver cannot.
    """
    if not inner:
        return term
    worked_out = z3.TryFor(z3.Then("simplify", "qe2", "simplify", "ctx-simplify"), _WAIT)
    try:
        return worked_out(quantifier(inner, term)).as_expr()
    except z3.Z3Exception:
        raise Undecided from None
