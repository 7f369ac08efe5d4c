"""The third level: our machines are proved, and what was proved is not nothing. `docs/findings` has what it finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core_world import MACHINES, PAGES, changed
from tallystick.check.proof.certificate import Certificate
from tallystick.check.proof.lifecycle import Lifecycle, Point
from tallystick.check.proof.prove import prove
from tallystick.check.proof.state_invariants import StateInvariants
from tallystick.definition import reader
from tallystick.definition.behaviour import digest_of

PROVED = Path(__file__).resolve().parents[3] / "docs/machines/proved.json"  # what the pages of our machines say of it

KINDS = {
    "statements about states", "exclusive guards", "complete guards", "amounts", "accounts", "value", "invariants",
    "empty ends", "lives that can end",
}  # fmt: skip


@pytest.mark.slow
def test_our_machines_are_proved_for_all_amounts() -> None:
    certificates: dict[str, Certificate] = {}
    findings, figures = prove(MACHINES, certificates=certificates)
    assert [str(each) for each in findings] == []
    kept = json.loads(PROVED.read_text("utf-8"))
    if kept["of"] == {name: digest_of(machine) for name, machine in MACHINES.items()}:  # else the pages do not show it
        assert kept["holds"] == json.loads(json.dumps(certificates))
    assert set(figures) == KINDS
    assert all(figures.values())
    assert sum(figures.values()) > 2000


def test_what_holds_in_a_state_is_found_without_being_written_down() -> None:
    known = StateInvariants(Lifecycle(MACHINES, MACHINES["replacement"]))
    said = {
        point: {str(each) for each in known.statements(point) if each.about == "moving"}
        for point in known.lifecycle.points
    }
    assert said[Point("requested")] == {"moving is 0"}
    assert said[Point("emptied")] == set(), "it may be 0: orders hold all of the old card"
    assert said[Point("following")] == said[Point("replaced")] == {"moving is 0"}
    assert said[Point("emptied", changing="cancel")] == {"moving is 0"}, "what is set aside is not there"
    payments = StateInvariants(Lifecycle(MACHINES, MACHINES["payment"]))
    held = {
        point: {str(each) for each in payments.statements(point) if each.about == "held"}
        for point in (Point("authorized"), Point("closed"))
    }
    assert held == {Point("authorized"): {"held is more than 0"}, Point("closed"): {"held is 0"}}


def test_an_amount_far_from_any_that_one_would_try_is_found() -> None:
    """Guards that overlap at one value only: for the solver no number is special."""
    wrong = PAGES | {"tries.yaml": COUNTED.replace("TRIES", "777")}
    (found,) = prove(reader.read(wrong), only=["tries"])[0]
    assert (found.code, found.message) == ("TS301", "ask and ask_again both answer ask in open: tries 777")
    assert (
        prove(reader.read(PAGES | {"tries.yaml": COUNTED.replace("tries >= TRIES", "tries > 777")}), only=["tries"])[0]
        == []
    )


COUNTED = """
machine: tries
version: 1
summary: Somebody asks, and asks again.
states:
  open: {start: true, says: It may be asked.}
  over: {final: true, says: It was asked too often.}
commands:
  ask: {tries: count}
transitions:
  ask: {from: open, when: tries <= 777}
  ask_again: {command: ask, from: open, to: over, when: tries >= TRIES}
refuse:
  - {says: It is over., in: [over], commands: [ask]}
"""


@pytest.mark.slow
def test_a_finding_stands_where_the_fault_is_and_has_the_amounts() -> None:
    pages = changed("replacement.yaml", "drive: [new.receive(amount=moving), old", "drive: [old")
    machines = reader.read(pages)
    (found,) = prove(machines, only=["replacement"])[0]
    assert found.code == "TS306"
    assert found.message == "issue in activated gives 0.01 to new, but the accounts of that gift_card gain 0.00"
    line = machines["replacement"].text.splitlines()[found.line - 1]
    assert "drive: [old.arrived(amount=moving)]" in line


@pytest.mark.slow
def test_only_what_is_named_is_proved() -> None:
    assert "invariants" not in prove(MACHINES, only=["fulfilment"])[1]
