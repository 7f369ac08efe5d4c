"""Value on a link of which an invariant speaks: what it does not speak of has to arrive all the same."""

from __future__ import annotations

import pytest

from tallystick.check.finding import Finding
from tallystick.check.proof.prove import prove
from tallystick.definition import reader

PURSE = """
machine: purse
version: 1
summary: Coins, some of which are claimed by disputes.
accounts: {coins: Free., claimed: Somebody wants them back.}
outside: {world: There.}
states:
  open: {start: true, says: In use.}
  lost: {final: true, says: Lost.}
commands: {fill: {amount: money}, claim: {amount: money}, free: {amount: money}, pay: {amount: money}, lose: {}}
driven: [claim, free, pay]
transitions:
  fill: {from: open, when: amount > 0, move: {world -> coins: amount}}
  claim: {from: open, when: 0 < amount <= coins, move: {coins -> claimed: amount}}
  free: {from: open, when: 0 < amount <= claimed, move: {claimed -> coins: amount}}
  pay: {from: open, when: 0 < amount <= claimed, move: {claimed -> world: amount}}
  lose: {from: open, to: lost, when: claimed == 0, move: {coins -> world: coins}}
refuse:
  - {says: That is nothing., in: [open], commands: [fill], when: amount <= 0}
  - {says: So much is not there., in: [open], commands: [claim], when: amount <= 0 or amount > coins}
  - {says: So much is not claimed., in: [open], commands: [free, pay], when: amount <= 0 or amount > claimed}
  - {says: Some is claimed., in: [open], commands: [lose], when: claimed > 0}
  - {says: It is lost., in: [lost], commands: [fill, claim, free, pay, lose]}
invariants:
  claimed_by_disputes:
    says: What is claimed here is what disputes claim.
    sum: {all: dispute.purse.claimed}
    always: claimed == all
"""
DISPUTE = """
machine: dispute
version: 1
summary: Somebody wants some of the coins.
facts: {purse: purse}
accounts: {claimed: Wanted., fee: For the court., won: Got.}
outside: {purse: Whose they are., court: Gets the fee.}
states:
  begun: {start: true, says: Nothing is claimed.}
  open: {says: Claimed.}
  won: {final: true, says: It was paid.}
  off: {final: true, says: Called off.}
commands: {open: {amount: money}, win: {}, drop: {}}
transitions:
  open: {from: begun, to: open, when: amount > 0, drive: purse.claim(amount=amount), move: {purse -> claimed: amount}}
  win: {from: open, to: won, drive: purse.pay(amount=claimed), move: {claimed -> court: claimed}}
  drop: {from: open, to: off, drive: purse.free(amount=claimed), move: {claimed -> purse: claimed}}
  never: {command: drop, from: begun, to: off}
refuse:
  - {says: More than nothing., in: [begun], commands: [open], when: amount <= 0}
  - {says: Not yet., in: [begun], commands: [win]}
  - {says: It is open., in: [open], commands: [open]}
  - {says: It is over., in: [won, off], commands: [open, win, drop]}
"""


def proved(dispute: str) -> list[Finding]:
    found, _ = prove(reader.read({"purse.yaml": PURSE, "dispute.yaml": dispute}), only=["dispute"])
    return [each for each in found if each.code == "TS306"]


def test_a_claim_that_is_kept_on_both_sides_agrees() -> None:
    assert proved(DISPUTE) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("move: {purse -> claimed: amount}", "move: {purse -> claimed: amount, purse -> won: amount}",
                     id="money from nowhere, beside the claim"),
        pytest.param("move: {claimed -> court: claimed}", "move: {claimed -> court: claimed, purse -> fee: claimed}",
                     id="a fee that nobody pays"),
        pytest.param("drive: purse.pay(amount=claimed), ", "drive: purse.free(amount=claimed), ",
                     id="it is paid here, and freed there"),
    ],
)  # fmt: skip
def test_value_beside_what_an_invariant_speaks_of_is_found(old: str, new: str) -> None:
    assert old in DISPUTE
    found = proved(DISPUTE.replace(old, new))
    assert len(found) == 1, [each.message for each in found]
    assert "but the accounts of that purse" in found[0].message
