"""For all amounts: every life can be brought to an end.

Backwards from the ends: a state with some amounts can end if a command with suitable arguments leads from there to what
can end. The solver gives, for each state, exactly the amounts for which that is so; these are put together until they
cover everything that the state can hold, or until nothing is added any more. The provider is taken to say yes. Where a
machine has no end, to hold nothing is its end.

A transition that drives counts only where the linked entity takes its part: if an invariant ties the two together,
whatever the linked entity's state and amounts may be; else if there are a state and amounts with which it would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import z3

from tallystick.check.proofs import terms
from tallystick.check.proofs.facts import Known
from tallystick.check.proofs.invariants import governed, tied
from tallystick.check.proofs.life import Point, world
from tallystick.check.proofs.solver import Prover, Undecided, satisfiable, values
from tallystick.check.proofs.steps import Firing, answers, cut, driven_arguments
from tallystick.check.proofs.terms import Entity, Term, Value
from tallystick.definition.machine import Drive, Row

_ROUNDS = 12  # of steps backwards; whoever needs more has a life that no person follows

Lookup = Callable[[str], Known]


def ends(prover: Prover, known: Known, look_up: Lookup) -> None:
    machine = known.life.machine
    search = _Search(known, look_up)
    try:
        search.run()
    except Undecided:
        prover.undecided("an end", machine, ("machine",))
        return
    for point in known.life.points:
        if point.changing is None and known.reached(point):
            _ended(prover, known, search, point)


def _ended(prover: Prover, known: Known, search: _Search, point: Point) -> None:
    machine = known.life.machine
    world = known.life.worlds[point.state]
    given = [*known.at(point), world.quiet]
    claim = search.can_end[point.state]
    place = ("state", point.state)
    model = prover.proved("lives that can end", machine, place, given, [claim])
    if model is None:
        return
    names = [
        *machine.accounts,
        *(name for name, fact in machine.facts.items() if fact.type.kind not in ("text", "link")),
    ]
    said = values(model, world.entity, {}, {}, names)
    if search.unfinished:
        prover.undecided("an end", machine, place)
    else:
        message = f"no way leads from {point.state} to an end, whatever is asked of it: {said}"
        prover.told("TS308", machine, message, *place)


class _Search:
    """For each state: the values from which it can end, as far as they are found."""

    def __init__(self, known: Known, look_up: Lookup) -> None:
        self.known = known
        self.look_up = look_up
        self.machine = known.life.machine
        self.unfinished = False
        finals = [state.name for state in self.machine.states.values() if state.final]
        self.can_end = {state: terms.YES if state in finals else terms.NO for state in self.machine.states}
        if not finals:
            self.can_end = {state: self._empty(state) for state in self.machine.states}
        self._ways = [
            (state, self._firing(state, row, command))
            for (state, command), rows in self.machine.table.items()
            for row in rows
            if state not in finals
        ]
        self._ways.sort(key=lambda way: bool(way[1][0].row.transition.drives))  # the simple ones first
        self._willing: dict[Firing, Term] = {}

    def _empty(self, state: str) -> Term:
        accounts = self.known.life.worlds[state].entity.accounts
        return z3.And([terms.YES, *(accounts[name] == 0 for name in self.machine.holding)])

    def run(self) -> None:
        """Step backwards until every state can end, or until nothing is added."""
        fresh = {state for state, term in self.can_end.items() if not z3.is_false(term)}
        for _ in range(_ROUNDS):
            ways = [(state, way) for state, way in self._ways if (way[0].row.target or state) in fresh]
            fresh = {state for state, (firing, guard) in ways if self._adds(state, firing, guard)}
            if not fresh:
                return
        self.unfinished = True

    def _firing(self, state: str, row: Row, command: str) -> tuple[Firing, Term]:
        """A transition that is wholly confirmed, and that it answers."""
        entity = self.known.life.worlds[state].entity
        args, well = terms.arguments(self.machine, command)
        mine = cut(row, entity, args)
        places = entity.places(mine)
        amounts = tuple(terms.evaluated(move.amount.code, places).term for move in row.transition.moves)
        willing = [self._takes_part(entity, drive, mine) for drive in row.transition.drives]
        return Firing(entity, row, command, mine, amounts, None, z3.Int("who")), z3.And(
            well, answers(entity, row, command, args), *willing
        )

    def _adds(self, state: str, firing: Firing, guard: Term) -> bool:
        """Whether a way leads to an end from values of the state from which none was found before."""
        left = [*self._here(state), z3.Not(self.can_end[state])]
        way = z3.And(guard, self._then(firing, firing.row.target or state))
        if not satisfiable([*left, way]):
            return False
        if firing.row.transition.drives:
            way = z3.And(way, self._taken_part(firing))
            if not satisfiable([*left, way]):
                return False
        own = {str(each) for each in _own(firing.entity)}
        found = _eliminated(z3.Exists, [each for each in _variables(way) if str(each) not in own], way)
        self.can_end[state] = z3.simplify(z3.Or(self.can_end[state], found))
        return True

    def _here(self, state: str) -> list[Term]:
        """What is known of an entity in a state, beside which no call is open."""
        points = [point for point in _alone(self.known) if point.state == state]
        return [self.known.life.worlds[state].quiet, z3.Or([z3.And(self.known.at(point)) for point in points])]

    def _then(self, firing: Firing, target: str) -> Term:
        """That it can end from what the firing leads to."""
        before = self.known.life.worlds[target].entity
        accounts, facts = firing.completed(firing.entity.accounts, z3.IntVal(0)), firing.facts(z3.IntVal(0))
        pairs = [(term, accounts[name]) for name, term in before.accounts.items()]
        for name, value in before.facts.items():
            pairs.append((value.term, _same_sort(value, facts[name])))
            if value.there is not terms.YES:
                pairs.append((value.there, facts[name].there))
        return z3.substitute(self.can_end[target], *pairs)

    # What is driven

    def _taken_part(self, firing: Firing) -> Term:
        """That all that a firing drives takes its part; worked out once."""
        if firing not in self._willing:
            drives = firing.row.transition.drives
            self._willing[firing] = z3.And([self._takes_part(firing.entity, drive, firing.args) for drive in drives])
        return self._willing[firing]

    def _takes_part(self, entity: Entity, drive: Drive, args: Mapping[str, Value]) -> Term:
        """That the linked entity does what it is given, as a statement about the one that gives it."""
        known = self.look_up(drive.machine)
        machines = known.life.machines
        prefix = f"{entity.name}{drive.link}."
        given = driven_arguments(machines, entity, drive, args)
        link = (args if drive.by_argument else entity.facts)[drive.link]
        bound = governed(machines, entity.machine.name, drive.link, drive.machine)
        found = []
        for point in _alone(known):
            other = world(known.life.machine, point.state, prefix)
            rows = known.life.machine.table.get((point.state, drive.command), ())
            takes = z3.Or([terms.NO, *(self._answers(other.entity, row, drive.command, given) for row in rows)])
            here = z3.And(*known.at(point, other), other.quiet)
            if bound:
                here = z3.And(here, *tied(known.life.machine, other.entity, entity, drive.link))
            term = z3.Implies(here, takes) if bound else z3.And(here, takes)
            inner = [each for each in _variables(term) if str(each).startswith(prefix)]
            found.append(_eliminated(z3.ForAll if bound else z3.Exists, inner, term))
        return z3.simplify(z3.And(link.there, z3.And(found) if bound else z3.Or(found)))

    def _answers(self, entity: Entity, row: Row, command: str, args: Mapping[str, Value]) -> Term:
        mine = cut(row, entity, args)
        willing = [self._takes_part(entity, drive, mine) for drive in row.transition.drives]
        return z3.And(answers(entity, row, command, args), *willing)


def _alone(known: Known) -> list[Point]:
    return [point for point in known.life.points if point.changing is None and known.reached(point)]


def _same_sort(one: Value, other: Value) -> Term:
    return other.term if one.term.sort() == other.term.sort() else one.term


def _own(entity: Entity) -> list[Term]:
    return [*entity.accounts.values(), *(term for value in entity.facts.values() for term in (value.term, value.there))]


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
    """The statement without `inner`: a quantifier over them, worked out."""
    if not inner:
        return term
    worked_out = z3.Then("simplify", "qe2", "simplify", "ctx-simplify")
    try:
        return worked_out(quantifier(inner, term)).as_expr()
    except z3.Z3Exception:
        raise Undecided from None
