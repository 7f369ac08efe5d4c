"""What was proved to hold in each state, in words: it is said where it was proved, and only there."""

from __future__ import annotations

import attrs
import pytest
import z3

from core_world import MACHINES
from tallystick.check.model.monitor import Monitor
from tallystick.check.model.search import Search
from tallystick.check.model.worlds import worlds
from tallystick.check.proof import terms
from tallystick.check.proof.certificate import Certificate, certificate
from tallystick.check.proof.lifecycle import Lifecycle, Point
from tallystick.check.proof.prove import prove
from tallystick.check.proof.state_invariants import StateInvariants
from tallystick.check.proof.terms import Value
from tallystick.definition import reader
from tallystick.definition.machine import Machines

LEVELS = """
machine: levels
version: 1
summary: It is filled in steps, and may rest on any of them.
facts:
  most: {is: money?, says: As much at most.}
  tries: {is: count, default: 0, later: true, says: How often it was filled.}
  was: {is: [low, high], optional: true, later: true, says: Where it was.}
accounts: {in_it: In it.}
outside: {world: Elsewhere.}
states:
  low: {start: true, says: Nothing is in it.}
  high: {says: Something is in it.}
  resting: {says: Nobody may touch it.}
  away: {says: Nothing leads here.}
  over: {final: true, says: Over.}
commands: {fill: {amount: money}, rest: {}, go_on: {}, end: {}, leave: {}}
transitions:
  fill: {from: [low, high], to: high, when: amount > 0 and tries < 2, move: {world -> in_it: amount}, set: {tries: tries + 1}}
  rest: {from: [low, high], to: resting, set: {was: state}}
  wake_low: {command: go_on, from: resting, to: low, when: was == "low"}
  wake_high: {command: go_on, from: resting, to: high, when: was == "high"}
  leave: {from: away, to: over}
  end: {from: high, to: over, move: {in_it -> world: in_it}}
refuse:
  - {in: [low, high], commands: [fill], when: amount <= 0 or tries >= 2, says: No more.}
  - {in: [resting, away, over], commands: [fill], says: Not here.}
  - {in: [resting, away, over], commands: [rest], says: Not here.}
  - {in: [low, high, away, over], commands: [go_on], says: Not here.}
  - {in: [low, resting, away, over], commands: [end], says: Not here.}
  - {in: [low, high, resting, over], commands: [leave], says: Not here.}
"""


def known(name: str, machines: Machines = MACHINES) -> StateInvariants:
    return StateInvariants(Lifecycle(machines, machines[name]))


def test_what_holds_in_each_state_is_said_in_sentences() -> None:
    assert certificate(known("levels", reader.read({"levels.yaml": LEVELS}))) == {
        "low": ("in_it and tries are 0", "was is low, if given"),
        "high": ("in_it and tries are more than 0", "tries is at most 2"),
        "resting": (
            "tries is not below 0",
            "tries is at most 2",
            "where was is low, in_it and tries are 0",
            "where was is high, in_it and tries are more than 0",
            "was is low or high",
        ),
        "away": ("nobody ever comes here",),
        "over": ("in_it is 0", "tries is more than 0", "tries is at most 2"),
    }


def test_several_accounts_of_which_the_same_holds_are_one_sentence() -> None:
    said = certificate(known("replacement"))
    assert said["requested"] == said["replaced"] == ("moving is 0",)
    assert said["on_its_way"] == ("moving is more than 0", "form is in_use")


@pytest.mark.slow
def test_invariants_that_were_proved_always_hold() -> None:
    certificates: dict[str, Certificate] = {}
    assert prove(MACHINES, only=["gift_card"], certificates=certificates)[0] == []
    assert list(certificates) == ["gift_card"]
    always = certificates["gift_card"]["always"]
    assert "held is equal to promised, where promised is the held of all payments by their card" in always


def test_where_not_everything_is_proved_nothing_is_said() -> None:
    certificates: dict[str, Certificate] = {}
    assert prove(MACHINES, only=["fulfilment"], certificates=certificates)[0] == []
    assert certificates["fulfilment"]["fulfilled"] == ("amount is more than 0",)
    certificates.clear()
    broken = LEVELS.replace("when: amount > 0 and tries < 2", "when: amount >= 0 and tries < 2")
    findings, _ = prove(reader.read({"levels.yaml": broken}), certificates=certificates)
    assert findings
    assert certificates == {}


@pytest.mark.parametrize("name", [pytest.param("payment", marks=pytest.mark.slow), "replacement"])
def test_it_holds_of_all_that_the_model_meets(name: str) -> None:
    """The model runs the real core: no entity in it is otherwise than was proved."""
    world = next(each for each in worlds(MACHINES, (), 1) if each.name == name)
    search = Search(attrs.evolve(world, queue=1), Monitor(MACHINES), lambda *_: None)
    search.run(2_000)
    role = next(each for each in search.cache.roles if each.machine.name == name)
    proved = known(name)
    asked = 0
    for entity in role.snapshots:
        facts = {fact: _value(value, MACHINES[name].facts[fact].type.kind) for fact, value in entity.facts.items()}
        accounts = {account: z3.IntVal(minor) for account, minor in entity.accounts.items()}
        fact = proved.lifecycle.mode_facts[entity.state]
        mode = entity.facts[fact] if fact else None
        point = Point(entity.state, None if mode is None else str(mode), entity.changing)
        for each in proved.statements(point):
            assert z3.is_true(z3.simplify(each.holds(accounts, facts))), (str(each), entity)
            asked += 1
    assert asked > 50


def _value(value: object, kind: str) -> Value:
    if value is None:
        return Value(z3.BoolVal(False) if kind == "flag" else z3.IntVal(0), terms.NO)
    if isinstance(value, bool):
        return Value(z3.BoolVal(value))
    return Value(z3.IntVal(value)) if isinstance(value, int) else terms.text(str(value))
