"""The third floor on invariants: what breaks one is found, and a page that keeps it is not accused."""

from __future__ import annotations

from pathlib import Path

from tallystick import reader
from tallystick.check.proof import prove

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/own_machine/machines"


def found(*pages: str) -> list[tuple[str, str]]:
    machines = reader.read({f"{index}.yaml": page for index, page in enumerate(pages)})
    return [(each.code, each.message) for each in prove(machines)[0]]


def test_the_example_that_we_ship_is_proved() -> None:
    """Its invariant is about outside accounts, and follows from this alone: what came in and did not go out is there."""
    findings, figures = prove(reader.load(EXAMPLE), only=["travel_voucher"])
    assert [str(each) for each in findings] == []
    assert figures["invariants"] > 0


BOX = """
machine: box
version: 1
summary: A box that is emptied by a provider.
accounts:
  inside: In it.
  gift: On top.
outside:
  owner: Whose it is.
  shop: Who gives.
states:
  begun: {start: true, says: Nothing is in it.}
  full: {says: Something is in it.}
  emptied: {says: Nothing is in it any more.}
  over: {final: true, says: It is thrown away.}
commands:
  fill: {amount: money}
  empty: {}
  give: {amount: money}
  end: {}
transitions:
  fill: {from: begun, to: full, when: amount > 0, move: {owner -> inside: amount}}
  empty: {from: full, to: emptied, ask: redeem(amount=inside), move: {inside -> owner: inside}}
  give: {from: full, when: amount > 0 and inside == 0, move: {shop -> gift: amount}}
  end: {from: [full, emptied], to: over, move: {inside -> owner: inside, gift -> shop: gift}}
refuse:
  - {says: That is nothing., in: [begun], commands: [fill], when: amount <= 0}
  - {says: A gift is for the empty., in: [full], commands: [give], when: amount <= 0 or inside > 0}
  - {says: It is not filled., in: [begun], commands: [empty, give, end]}
  - {says: It is filled already., in: [full, emptied], commands: [fill]}
  - {says: It is empty already., in: [emptied], commands: [empty, give]}
  - {says: It is over., in: [over], commands: [fill, empty, give, end]}
invariants:
  no_gift: {says: Nobody gets a gift., sum: {}, always: gift == 0}
"""


def test_what_is_done_while_another_call_will_change_the_state_is_looked_at() -> None:
    """Only then is nothing inside while it is still full: what `empty` has set aside is in doubt."""
    (only,) = found(BOX)
    assert only[0] == "TS307"
    assert only[1].startswith("give in full, done at once, breaks 'gift == 0' of box: gift 0.00 → ")
