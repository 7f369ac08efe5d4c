"""`check` as a function: what it gives, for whom, and where a finding stands."""

from __future__ import annotations

import sys

import pytest

from core_world import MACHINES, changed
from tallystick.check import Finding, check
from tallystick.check.finding import finding
from tallystick.definition import reader
from tallystick.errors import Invalid


def test_a_finding_stands_at_the_nearest_part_of_the_page() -> None:
    machine = MACHINES["payment"]
    lines = machine.text.splitlines()
    for place, says in (
        (("transition", "settle_part", "when"), "0 < amount < held and not last and not keep_hold"),
        (("transition", "cancel_requested", "when"), "cancel_requested:"),
        (("state", "closed"), "closed: {final"),
        (("move", "cover_elsewhere", "uncovered -> card"), "uncovered -> card: amount}"),
        ((), "payment"),
    ):
        found = finding("TS104", machine, "x", *place)
        assert lines[found.line - 1][found.column - 1 :].startswith(says)
        assert str(found) == f"machines/payment.yaml:{found.line}:{found.column}: TS104 x"


def test_a_finding_needs_a_known_code() -> None:
    with pytest.raises(KeyError, match="TS999 has no title"):
        finding("TS999", MACHINES["payment"], "x")


@pytest.mark.slow
def test_only_the_named_machines_are_looked_at() -> None:
    pages = changed(
        "payment.yaml", "commands: [hold_again, cover_elsewhere, close, refund, refund_to]", "commands: [close]"
    )
    machines = reader.read(pages)
    report = check(machines, model=False)
    assert [(each.code, each.machine) for each in report.findings] == [("TS103", "payment")] * 4
    assert report.figures["structure"]["machines"] == 5
    assert not report.clean
    assert all(isinstance(each, Finding) for each in report.findings)
    assert check(machines, only=["gift_card"], model=False).clean


def test_a_machine_that_is_not_there_cannot_be_looked_at() -> None:
    with pytest.raises(Invalid, match="there is no machine"):
        check(MACHINES, only=["paymnt"], model=False)


def test_without_a_solver_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "z3", None)
    with pytest.raises(Invalid, match=r"pip install 'tallystick\[check\]'"):
        check(MACHINES, model=False, prove=True)
