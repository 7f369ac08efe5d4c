"""The third level on value that goes from one entity to another."""

from __future__ import annotations

import pytest

from tallystick.check.finding import Finding
from tallystick.check.proof.prove import prove
from tallystick.definition import reader

PURSE = """
machine: purse
version: 1
summary: Coins in a purse, some of which go to another purse.
accounts:
  coins: In it.
outside:
  mint: Where they come from.
  between: From purse to purse.
  tip: For whoever carries them.
states:
  open: {start: true, says: In use.}
  lost: {final: true, says: Lost.}
commands:
  fill: {amount: money}
  give: {amount: money, fee: money}
  take: {amount: money}
  lose: {}
driven: [give, take]
transitions:
  fill: {from: open, when: amount > 0, move: {mint -> coins: amount}}
  give:
    from: open
    when: amount > 0 and fee >= 0 and amount + fee <= coins
    move: {coins -> between: amount, coins -> tip: fee}
  take: {from: open, when: amount > 0, move: {between -> coins: amount}}
  lose: {from: open, to: lost, move: {coins -> mint: coins}}
refuse:
  - {says: That is nothing., in: [open], commands: [fill, take], when: amount <= 0}
  - {says: So much is not in it., in: [open], commands: [give], when: amount <= 0 or fee < 0 or amount + fee > coins}
  - {says: It is lost., in: [lost], commands: [fill, give, take, lose]}
"""

COURIER = """
machine: courier
version: 1
summary: Somebody carries coins from one purse to another.
facts:
  giver: purse
  taker: purse
states:
  waiting: {start: true, says: Nothing was carried.}
  done: {final: true, says: It was carried.}
  off: {final: true, says: Nothing is carried.}
commands:
  carry: {amount: money, fee: money}
  call_off: {}
transitions:
  carry:
    from: waiting
    to: done
    when: amount > 0 and fee >= 0 and giver != taker
    drive: ["giver.give(amount=amount, fee=fee)", "taker.take(amount=amount)"]
  call_off: {from: waiting, to: off}
refuse:
  - {says: Carry something to another., in: [waiting], commands: [carry],
     when: amount <= 0 or fee < 0 or giver == taker}
  - {says: It is over., in: [done, off], commands: [carry, call_off]}
"""


def proved(courier: str = COURIER, purse: str = PURSE) -> tuple[list[Finding], dict[str, int]]:
    return prove(reader.read({"courier.yaml": courier, "purse.yaml": purse}), only=["courier"])


def test_what_one_purse_gives_another_takes() -> None:
    findings, figures = proved()
    assert findings == []
    assert figures["value"] == 2, "of the account between them, and of all together: a fee may be lost on the way"


APART = PURSE.replace("  between: From", "  gone: To a purse.\n  between: From").replace(
    "coins -> between", "coins -> gone"
)


@pytest.mark.parametrize(
    ("courier", "purse", "said"),
    [
        pytest.param(COURIER.replace("take(amount=amount)", "take(amount=amount + amount)"), PURSE,
                     "takes 0.01 from one purse by way of between, but gives 0.02 to another", id="twice as much arrives"),
        pytest.param(COURIER.replace("take(amount=amount)", "take(amount=amount + fee)"), PURSE,
                     "takes 0.01 from one purse by way of between, but gives 0.02 to another", id="the fee is given twice"),
        pytest.param(COURIER.replace("take(amount=amount)", "take(amount=amount + amount)"), APART,
                     "takes 0.01 from one purse by way of mint or gone or between or tip, but gives 0.02 to another",
                     id="by way of two accounts"),
        pytest.param(COURIER.replace("give(amount=amount, fee=fee)", "give(amount=amount + fee, fee=0)"), PURSE,
                     "takes 0.02 from one purse by way of between, but gives 0.01 to another", id="the fee vanishes"),
    ],
)  # fmt: skip
def test_value_that_appears_or_vanishes_on_the_way_is_found(courier: str, purse: str, said: str) -> None:
    (only,) = proved(courier, purse)[0]
    assert (only.code, only.message) == ("TS306", f"carry in waiting {said}")


def test_accounts_that_go_apart_may_lose_on_the_way_but_not_gain() -> None:
    assert proved(purse=APART)[0] == []
