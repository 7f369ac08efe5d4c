"""Mistakes between a page and the provider's half, in our pages and in one that is not ours: each is found unfuzzed."""

from __future__ import annotations

from pathlib import Path

import pytest

from core_world import PAGES
from tallystick.check.model.explore import explore
from tallystick.check.structure.inspect import inspect
from tallystick.definition import reader

V = "travel_voucher.yaml"
OWN = (Path(__file__).parents[2] / "examples/own_machine/machines" / V).read_text("utf-8")
P, C, R, F = "payment.yaml", "gift_card.yaml", "replacement.yaml", "fulfilment.yaml"
HOLD = "hold(amount=amount, pin=pin, has_pin=has_pin, allow_partial=allow_partial)\n    partial: amount\n    upto: [available, use_limit]\n    move: {available -> held"
REDEEM = HOLD.replace("hold(", "redeem(").replace("-> held", "-> spent")
KEEP = "    move: {held -> redeemed: amount}\n    set: {until: until}\n    then: lapse() at until\n\n  settle_held:"

# fmt: off
SEEN_ON_THE_PAGE = {
    # Another verb, another amount, another sign
    "redeemed there, held here": (C, HOLD, HOLD.replace("hold(", "redeem("), "TS126"),
    "held there, spent here": (C, REDEEM, REDEEM.replace("redeem(", "hold("), "TS126"),
    "a refund takes": (C, "ask: issue(amount=amount, return_related=true)\n    move: {spent", "ask: adjust(amount=-amount)\n    move: {spent", "TS126"),
    "a refund twice as large": (C, "ask: issue(amount=amount, return_related=true)\n    move: {spent", "ask: issue(amount=amount + amount)\n    move: {spent", "TS126"),
    "a credit of what is there": (C, "ask: issue(amount=amount, return_related=true)\n    move: {returned -> available: amount}\n  reload", "ask: issue(amount=available, return_related=true)\n    move: {returned -> available: amount}\n  reload", "TS126"),
    "moved out by putting on": (C, "ask: adjust(amount=-amount)", "ask: adjust(amount=amount)", "TS126"),
    "moved in by taking off": (C, "    ask: adjust\n    move: {leaving", "    ask: adjust(amount=-amount)\n    move: {leaving", "TS126"),
    "the rest of a hold is not released there": (C, "redeem_hold(amount=amount, release=release,", "redeem_hold(amount=amount, release=0,", "TS126"),
    "earned and released are swapped": (C, "redeem_hold(amount=amount, release=release,", "redeem_hold(amount=release, release=amount,", "TS126"),
    "a release that redeems": (C, "    ask: release_hold\n", "    ask: redeem_hold(amount=amount, release=0, hold=hold)\n", "TS126"),
    "cash by a hold": (C, "    ask: redeem(amount=amount, pin=pin, has_pin=has_pin, allow_partial=false)", "    ask: hold(amount=amount, pin=pin, has_pin=has_pin, allow_partial=false)", "TS126"),
    "a voucher is granted twice over": (V, "ask: issue\n    move: {granted -> open: amount}\n  add", "ask: issue(amount=amount + amount)\n    move: {granted -> open: amount}\n  add", "TS126"),
    "a voucher redeems what it books": (V, "    ask: hold\n", "    ask: redeem\n", "TS126"),
    "a voucher lapses upwards": (V, "adjust(amount=-open)", "adjust(amount=open)", "TS126"),
    "a voucher keeps the rest there": (V, "release=booked - amount", "release=0", "TS126"),
    # The call is lost
    "a reload asks nobody": (C, "    ask: issue\n    move: {issuance -> available: amount}\n\n", "    move: {issuance -> available: amount}\n\n", "TS126"),
    "a correction asks nobody": (C, "    ask: adjust\n    move: {available -> adjusted", "    move: {available -> adjusted", "TS126"),
    "an undone redemption asks nobody": (C, "    ask: void\n", "", "TS126"),
    "a release asks nobody": (C, "    ask: release_hold\n", "", "TS126"),
    "a received value asks nobody": (C, "    ask: issue\n    move: {transferred", "    move: {transferred", "TS126"),
    "a cash payment asks nobody": (C, "    ask: redeem(amount=amount, pin=pin, has_pin=has_pin, allow_partial=false)\n    partial: amount\n", "", "TS126"),
    "a booking is let go here only": (V, "    ask: release_hold(amount=booked, hold=hold_id)\n", "", "TS126"),
    "what has lapsed is still there": (V, "    ask: adjust(amount=-open)\n", "", "TS126"),
    # What has to be told is not told
    "the scanned number is not told": (C, "    ask: activate\n    set: {number: number}", "    ask: activate(pin=pin)\n    set: {number: number}", "TS127"),
    "the PIN of an activation is not told": (F, "card.activate(number=number, pin=pin)", "card.activate(number=number)", "TS127"),
    "the PIN of a payment is not told": (P, "card.redeem(amount=amount, pin=pin,", "card.redeem(amount=amount,", "TS127"),
    "the PIN of a hold is not told": (C, "ask: hold(amount=amount, pin=pin,", "ask: hold(amount=amount,", "TS127"),
    "a hold's name is not written down": (P, "    move: {card -> held: amount}\n    set: {hold_id: outcome.reference, until: until}\n", "    move: {card -> held: amount}\n    set: {until: until}\n", "TS121"),
    "a hold's other name is not written down": (P, "    move: {uncovered -> held: amount}\n    set: {hold_id: outcome.reference}\n", "    move: {uncovered -> held: amount}\n", "TS121"),
}
SEEN_IN_ITS_LIFE = {
    # The name of a hold is gone, stale, overwritten, or not told
    "what is kept held has no name": (P, KEEP, KEEP.replace("set: {until", "set: {hold_id: none, until"), "TS216"),
    "the last shipment leaves a hold": (P, "settle_last:                          # the last shipment: whatever is left goes back\n    command: settle\n    from: [authorized, partially_settled, advanced_hold]\n    to: closed\n    when: 0 < amount <= held and last\n    drive: card.redeem_hold(amount=amount, release=held - amount,", "settle_last:\n    command: settle\n    from: [authorized, partially_settled, advanced_hold]\n    to: closed\n    when: 0 < amount <= held and last\n    drive: card.redeem_hold(amount=amount, release=0,", "TS216"),
    "nobody signs that a hold is lost": (P, "signed: [mark_hold_lost]\n", "", "TS216"),
    "a rest is closed without its release": (P, "    when: held > 0\n    drive: card.release_hold(amount=held, hold=hold_id)\n", "    when: held > 0\n", "TS216"),
    "a settlement names no hold": (P, "    when: 0 < amount == held and uncovered > 0 and not last\n    drive: card.redeem_hold(amount=amount, release=0, hold=hold_id,", "    when: 0 < amount == held and uncovered > 0 and not last\n    drive: card.redeem_hold(amount=amount, release=0,", "TS215"),
    "a cancel names no hold": (P, "    to: reversed\n    drive: card.release_hold(amount=held, hold=hold_id)", "    to: reversed\n    drive: card.release_hold(amount=held)", "TS215"),
    "a card forgets the name in a release": (C, "    ask: release_hold\n", "    ask: release_hold(amount=amount)\n", "TS215"),
    "a card forgets the name in a redemption": (C, "release=release, hold=hold, held=whole)", "release=release, held=whole)", "TS215"),
    "the order is named, not the hold": (P, "    to: reversed\n    drive: card.release_hold(amount=held, hold=hold_id)", "    to: reversed\n    drive: card.release_hold(amount=held, hold=order)", "TS215"),
    "a booking's name is forgotten too early": (V, "    move: {open -> booked: amount}\n    set: {hold_id: outcome.reference}\n", "    move: {open -> booked: amount}\n    set: {hold_id: hold_id}\n", "TS216"),
    # More is given back than was taken, or than is booked
    "voided whole after a part refund": (P, "    drive: card.refund(amount=amount)\n    move: {redeemed -> card: amount}\n    set: {redemption_id: none}\n", "    drive: card.refund(amount=amount)\n    move: {redeemed -> card: amount}\n", "TS215"),
    "voided whole after a refund elsewhere": (P, "    move: {redeemed -> other_card: amount}\n    set: {redemption_id: none}\n", "    move: {redeemed -> other_card: amount}\n", "TS215"),
}
# fmt: on


def planted(page: str, old: str, new: str) -> tuple[dict[str, str], str]:
    pages = {**PAGES, V: OWN}
    assert pages[page].count(old) >= 1, old
    pages[page] = pages[page].replace(old, new, 1)
    return pages, page.removesuffix(".yaml")


@pytest.mark.parametrize(
    "fault",
    [pytest.param(each, marks=[pytest.mark.slow] if at % 6 else []) for at, each in enumerate(SEEN_ON_THE_PAGE)],
)
def test_it_is_seen_on_the_page(fault: str) -> None:
    *edit, code = SEEN_ON_THE_PAGE[fault]
    pages, name = planted(*edit)
    assert code in {each.code for each in inspect(reader.read(pages), only=[name])[0]}


@pytest.mark.slow
@pytest.mark.parametrize("fault", SEEN_IN_ITS_LIFE)
def test_it_is_seen_in_its_life(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a part of the states that are looked at otherwise: the rest only tells that nothing else is wrong."""
    monkeypatch.setattr("tallystick.check.model.explore.BUDGET", 10_000)
    *edit, code = SEEN_IN_ITS_LIFE[fault]
    pages, name = planted(*edit)
    machines = reader.read(pages)
    found, _ = explore(machines, only=[name])
    assert code in {each.code for each in found}
    assert all(each.story for each in found)
