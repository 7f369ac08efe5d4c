"""The third level on invariants: what breaks one is found, and a page that keeps it is not accused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.check.proof.prove import prove
from tallystick.definition import reader

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/own_machine/machines"


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


PARCEL = """
machine: parcel
version: 1
summary: A parcel that is paid for before it leaves.
accounts:
  paid: For what is in it.
outside:
  buyer: Who pays.
  seller: Who is paid.
states:
  packed: {start: true, says: Nobody has paid.}
  paid_for: {says: It waits for the van.}
  sent: {says: It is on its way.}
  there: {final: true, says: It has arrived.}
  back: {final: true, says: The money went back.}
commands:
  pay: {amount: money}
  send: {}
  arrive: {}
  cancel: {}
transitions:
  pay: {from: packed, to: paid_for, else: back, when: amount > 0, ask: redeem, move: {buyer -> paid: amount}}
  send: {from: paid_for, to: sent}
  arrive: {from: sent, to: there, move: {paid -> seller: paid}}
  cancel: {from: packed, to: back}
  cancel_paid: {command: cancel, from: paid_for, to: back, ask: adjust(amount=paid), move: {paid -> buyer: paid}}
refuse:
  - {says: That is nothing., in: [packed], commands: [pay], when: amount <= 0}
  - {says: It is not paid for., in: [packed], commands: [send, arrive]}
  - {says: It is paid for., in: [paid_for], commands: [pay, arrive]}
  - {says: It has left., in: [sent], commands: [pay, send, cancel]}
  - {says: It is over., in: [there, back], commands: [pay, send, arrive, cancel]}
invariants:
  what_is_sent_is_paid: {says: Nothing leaves that is not paid for., sum: {}, always: ALWAYS}
"""


@pytest.mark.parametrize(
    ("always", "broken"),
    [
        ('state != "sent" or paid > 0', []),
        ('state in ("paid_for", "sent") or paid == 0', []),
        ('state not in ("there", "back") or in_doubt == 0', []),
        ('state != "sent" or paid == 0', ["send in paid_for, done at once"]),
        ('state == "sent" or paid == 0', ["cancel in paid_for, given back", "pay in packed, confirmed", "pay in packed, done at once"]),
        ('state not in ("there", "back")', ["arrive in sent, done at once", "cancel in packed, done at once",
          "cancel in paid_for, confirmed", "cancel in paid_for, done at once", "pay in packed, given back"]),
    ],
)  # fmt: skip
def test_an_invariant_may_speak_of_the_state(always: str, broken: list[str]) -> None:
    said = found(PARCEL.replace("ALWAYS", f"'{always}'"))
    assert {code for code, _ in said} <= {"TS307"}
    assert sorted(message.partition(", breaks")[0] for _, message in said) == broken


def test_a_finding_about_a_state_names_it() -> None:
    ((_, message),) = found(PARCEL.replace("ALWAYS", "'state != \"sent\" or paid == 0'"))
    assert message.endswith("state paid_for → sent")


WALLET = """
machine: wallet
version: 1
summary: Money, some of which is promised to bookings.
accounts:
  free: May be promised.
  promised: To bookings.
outside:
  bank: Where it comes from.
states:
  open: {start: true, says: In use.}
  shut: {final: true, says: Closed.}
commands:
  load: {amount: money}
  promise: {amount: money}
  free_again: {amount: money}
  shut: {}
driven: [promise, free_again]
transitions:
  load: {from: open, when: amount > 0, move: {bank -> free: amount}}
  promise: {from: open, when: 0 < amount <= free, move: {free -> promised: amount}}
  free_again: {from: open, when: 0 < amount <= promised, move: {promised -> free: amount}}
  shut: {from: open, to: shut, when: promised == 0, move: {free -> bank: free}}
refuse:
  - {says: That is nothing., in: [open], commands: [load], when: amount <= 0}
  - {says: So much is not free., in: [open], commands: [promise], when: amount <= 0 or amount > free}
  - {says: So much is not promised., in: [open], commands: [free_again], when: amount <= 0 or amount > promised}
  - {says: Something is promised., in: [open], commands: [shut], when: promised > 0}
  - {says: It is closed., in: [shut], commands: [load, promise, free_again, shut]}
invariants:
  promised_to_bookings:
    says: What is promised is promised to a booking.
    sum: {booked: booking.wallet.booked}
    always: promised == booked
"""

BOOKING = """
machine: booking
version: 1
summary: A booking, paid for by one wallet at a time.
facts:
  wallet: wallet
accounts:
  booked: Promised by the wallet.
outside:
  wallet: The wallet.
states:
  begun: {start: true, says: Nothing is promised.}
  booked: {says: It is promised.}
  over: {final: true, says: It is over.}
commands:
  book: {amount: money}
  hand_over: {to: wallet}
  cancel: {}
transitions:
  book:
    from: begun
    to: booked
    when: amount > 0
    drive: wallet.promise(amount=amount)
    move: {wallet -> booked: amount}
  hand_over:
    from: booked
    when: to != wallet
    drive: ["wallet.free_again(amount=booked)", "to.promise(amount=booked)"]
    set: {wallet: to}
  drop: {command: cancel, from: begun, to: over}
  cancel:
    from: booked
    to: over
    drive: wallet.free_again(amount=booked)
    move: {booked -> wallet: booked}
refuse:
  - {says: That is nothing., in: [begun], commands: [book], when: amount <= 0}
  - {says: That wallet pays already., in: [booked], commands: [hand_over], when: to == wallet}
  - {says: Nothing is booked., in: [begun], commands: [hand_over]}
  - {says: It is booked., in: [booked], commands: [book]}
  - {says: It is over., in: [over], commands: [book, hand_over, cancel]}
"""
BOTH = '    drive: ["wallet.free_again(amount=booked)", "to.promise(amount=booked)"]\n'


def test_what_is_handed_from_one_sum_to_another_with_its_half_keeps_both() -> None:
    assert found(WALLET, BOOKING) == []


@pytest.mark.parametrize(
    ("drive", "breaks"),
    [
        ("", 1),
        ("    drive: wallet.free_again(amount=booked)\n", 1),
        ("    drive: to.promise(amount=booked)\n", 1),
        (BOTH.replace("promise(amount=booked)", "promise(amount=booked + booked)"), 1),
    ],
)
def test_a_link_that_is_set_takes_what_stands_there_to_another_sum(drive: str, breaks: int) -> None:
    said = found(WALLET, BOOKING.replace(BOTH, drive))
    broken = [message for code, message in said if code == "TS307"]
    assert len(broken) >= breaks
    assert all(each.startswith("hand_over in booked, done at once, breaks 'promised == booked'") for each in broken)


def test_a_link_that_is_taken_away_takes_it_out_of_the_sum() -> None:
    free = BOOKING.replace("  wallet: wallet\n", "  wallet: wallet?\n").replace(
        "set: {wallet: to}", "set: {wallet: none}"
    )
    assert "TS307" in {code for code, _ in found(WALLET, free.replace(BOTH, ""))}
    told = free.replace(BOTH, "    drive: wallet.free_again(amount=booked)\n")
    assert "TS307" not in {code for code, _ in found(WALLET, told)}


def test_a_link_that_is_set_while_a_call_is_out_is_looked_at() -> None:
    """The answer moves value on, but now it counts in the sum of another."""
    asking = WALLET.replace("promise: {from: open,", "promise: {from: open, ask: hold(amount=amount),")
    early = BOOKING.replace("    from: booked\n    when: to != wallet\n" + BOTH, "    from: begun\n").replace(
        "  - {says: That wallet pays already., in: [booked], commands: [hand_over], when: to == wallet}\n"
        "  - {says: Nothing is booked., in: [begun], commands: [hand_over]}\n",
        "  - {says: It is booked., in: [booked], commands: [hand_over]}\n",
    )
    assert "from: begun\n    set: {wallet: to}" in early
    assert "TS307" in {code for code, _ in found(asking, early)}
    assert found(WALLET, early) == [], "without a call nothing is out"
