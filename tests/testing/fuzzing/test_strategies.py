"""Values worth trying: where guards turn, through drives too; and of every declared type."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_world import MACHINES, World, entity
from tallystick.core import arguments as typed
from tallystick.core.decide import decide
from tallystick.core.entity import Request
from tallystick.core.refusal import Code, Refusal
from tallystick.money import LIMIT
from tallystick.testing.fuzzing import boundaries
from tallystick.testing.fuzzing.strategies import amounts, arguments, entities, facts

WORLD = World("p authorized held=700 | c issued available=5000 held=700 limit=9000")


@pytest.mark.parametrize(
    ("who", "command", "argument", "wanted"),
    [
        ("p", "settle", "amount", {0, 1, 699, 700, 701, LIMIT}),
        ("c", "redeem", "amount", {0, 1, 4999, 5000, 5001, LIMIT}),
        ("c", "reload", "amount", {3299, 3300, 3301}),  # limit - available - held
        ("c", "adjust", "amount", {-5001, -5000, -4999}),
        ("c", "observe", "balance", {4999, 5000, 5001}),
    ],
)
def test_amounts_stand_where_a_guard_turns(who: str, command: str, argument: str, wanted: set[int]) -> None:
    found = boundaries.amounts(MACHINES, WORLD[who], command, argument, WORLD.entities)
    assert wanted <= set(found)
    assert all(abs(each) <= LIMIT for each in found)


def test_the_guard_of_what_is_driven_is_looked_at_too() -> None:
    world = World("p requested | c issued available=5000")
    assert {4999, 5000, 5001} <= set(boundaries.amounts(MACHINES, world["p"], "authorize", "amount", world.entities))


@settings(max_examples=60, deadline=None, database=None)
@given(st.data())
def test_any_arguments_end_in_an_intent_or_a_refusal_that_is_nobodys_fault(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(MACHINES)))
    machine = MACHINES[name]
    one = data.draw(entities(machine))
    command = data.draw(st.sampled_from(sorted(machine.commands)))
    args = data.draw(arguments(MACHINES, one, command))
    ended = decide(MACHINES, Request(name, one.id, command, args), {one.ref: one})
    if isinstance(ended, Refusal):
        assert ended.code not in (Code.AMBIGUOUS, Code.OVERDRAWN)
    else:
        assert ended.steps[0].entity is one


@settings(max_examples=40, deadline=None, database=None)
@given(st.data())
def test_facts_are_what_create_takes(data: st.DataObject) -> None:
    machine = data.draw(st.sampled_from([MACHINES[name] for name in sorted(MACHINES)]))
    given = data.draw(facts(machine))
    currency, known = typed.created(machine, given)
    assert currency == "BRL"
    assert known.keys() == machine.facts.keys()


def test_amounts_are_a_strategy() -> None:
    one = entity("c issued available=5000")

    @settings(max_examples=100, deadline=None, database=None)
    @given(amounts(MACHINES, one, "redeem"))
    def drawn(amount: int) -> None:
        seen.add(amount)

    seen: set[int] = set()
    drawn()
    assert 5000 in seen
    assert min(seen) < 0
