"""The third level on amounts that are facts: what a guard once asked of them is known from then on."""

from __future__ import annotations

import pytest

from tallystick.check.finding import Finding
from tallystick.check.proof.lifecycle import Lifecycle, Point
from tallystick.check.proof.prove import prove
from tallystick.check.proof.state_invariants import StateInvariants
from tallystick.definition import reader

FEES = """
machine: stall
version: 1
summary: Somebody sells for others and keeps a fee, which is asked about when the price is paid.
facts:
  price: money
  fee: money
accounts:
  held: For the seller.
  kept: {says: The fee., kept: true}
outside:
  buyer: Who pays.
  seller: Who is paid.
states:
  open: {start: true, says: Nobody has paid.}
  paid: {says: It waits to be handed over.}
  over: {final: true, says: It is sold.}
commands:
  pay: {amount: money}
  hand_over: {}
transitions:
  pay:
    from: open
    to: paid
    when: amount == price and GUARD
    move: {buyer -> held: amount}
  hand_over:
    from: paid
    to: over
    move: {held -> kept: fee, held -> seller: held - fee}
refuse:
  - {says: That is not the price., in: [open], commands: [pay], when: amount != price or not (GUARD)}
  - {says: Nobody has paid., in: [open], commands: [hand_over]}
  - {says: It is paid., in: [paid], commands: [pay]}
  - {says: It is over., in: [over], commands: [pay, hand_over]}
"""


def found(page: str) -> list[Finding]:
    return prove(reader.read({"page.yaml": page}))[0]


@pytest.mark.parametrize(
    ("guard", "codes"),
    [
        ("0 <= fee <= price", set()),
        ("fee >= 0 and price > fee", set()),
        ("fee <= price", {"TS303", "TS304"}),
        ("0 <= fee and price >= 0", {"TS304"}),
    ],
)
def test_a_fee_that_was_asked_about_is_no_less_than_nothing_and_no_more_than_what_is_held(
    guard: str, codes: set[str]
) -> None:
    assert {each.code for each in found(FEES.replace("GUARD", guard))} == codes


def test_what_was_asked_before_a_call_is_known_after_its_answer() -> None:
    """The fee that is taken then is the one that was asked about: no transition sets it."""
    asking = FEES.replace("    move: {buyer -> held: amount}", "    ask: redeem\n    move: {buyer -> held: amount}")
    assert found(asking.replace("GUARD", "0 <= fee < price")) == []


def test_a_fee_that_may_be_missing_is_known_where_it_is_given() -> None:
    """No move can be of it, but guards compare with it."""
    text = FEES.replace("  fee: money\n", "  fee: money?\n").replace(
        "held -> kept: fee, held -> seller: held - fee", "held -> seller: held"
    )
    machines = reader.read({"page.yaml": text.replace("GUARD", "price >= 0 and (fee == none or 0 <= fee <= price)")})
    known = StateInvariants(Lifecycle(machines, machines["stall"]))
    said = {
        point: {str(each) for each in known.statements(point) if each.about == "fee"}
        for point in known.lifecycle.points
    }
    assert said == {
        Point("open"): set(),
        Point("paid"): {"fee is not below 0", "fee is no more than held"},
        Point("over"): {"fee is not below 0"},
    }
