"""Faults planted in our machines, one at a time: where, what stood there, what stands there now, and who has to see it.

Each is a slip that somebody could make: an amount off by one cent's comparison, a move from the wrong account, a half
that is forgotten. `code` is what the first level that can see it has to say.
"""

from __future__ import annotations

from typing import NamedTuple


class Planted(NamedTuple):
    name: str
    page: str
    old: str
    new: str
    code: str  # what has to be found: TS1xx by structure, TS2xx by the model, TS3xx by proof


P, C, R, F = "payment.yaml", "gift_card.yaml", "replacement.yaml", "fulfilment.yaml"

# fmt: off
PLANTED = [
    # Guards that overlap, or leave a gap
    Planted("parts of everything are parts", P, "0 < amount < held and not last and not keep_hold", "0 < amount <= held and not last and not keep_hold", "TS104"),
    Planted("a part is kept and not kept", P, "0 < amount < held and not last and keep_hold", "0 < amount < held and not last", "TS104"),
    Planted("the last shipment is any shipment", P, "0 < amount <= held and last", "0 < amount <= held", "TS104"),
    Planted("all that is held, whatever is uncovered", P, "0 < amount == held and uncovered == 0 and not last", "0 < amount == held and not last", "TS104"),
    Planted("the last shipment is never all", P, "0 < amount <= held and last", "0 < amount < held and last", "TS105"),
    Planted("nothing may be settled", P, "0 < amount <= held and last", "0 <= amount <= held and last", "TS104"),
    Planted("all of the uncovered is not held again", P, "0 < amount <= uncovered and held == 0", "0 < amount < uncovered and held == 0", "TS105"),
    Planted("more than is uncovered is let go", P, "when: 0 < amount <= uncovered\n    move", "when: 0 < amount\n    move", "TS104"),
    Planted("a refund of more than was earned", P, "when: 0 < amount <= redeemed\n    drive: card.refund", "when: 0 < amount\n    drive: card.refund", "TS104"),
    Planted("a refund of less than nothing", P, "when: 0 < amount <= redeemed\n    drive: to.credit", "when: amount <= redeemed\n    drive: to.credit", "TS104"),
    Planted("what is in doubt is voided", P, "redemption_id != none and redeemed > 0 and in_doubt == 0", "redemption_id != none and redeemed > 0", "TS104"),
    Planted("a refusal is missing", P, "when: amount > held > 0,", "when: amount > held > uncovered,", "TS105"),
    Planted("a refusal says no to what is answered", P, "when: amount > redeemed,", "when: amount >= redeemed,", "TS104"),
    Planted("a hold of nothing", C, "when: amount > 0 and (amount <= available or allow_partial and available > 0)\n      and (use_limit == none or amount <= use_limit or allow_partial and use_limit > 0)\n    ask: hold(", "when: amount >= 0 and (amount <= available or allow_partial and available > 0)\n      and (use_limit == none or amount <= use_limit or allow_partial and use_limit > 0)\n    ask: hold(", "TS104"),
    Planted("a short hold on an empty card", C, "(amount <= available or allow_partial and available > 0)\n      and (use_limit == none or amount <= use_limit or allow_partial and use_limit > 0)\n    ask: hold(", "(amount <= available or allow_partial)\n      and (use_limit == none or amount <= use_limit or allow_partial and use_limit > 0)\n    ask: hold(", "TS104"),
    Planted("more than the hold is redeemed", C, "amount > 0 and release >= 0 and amount + release <= held", "amount > 0 and release >= 0 and amount <= held", "TS104"),
    Planted("less than nothing is released", C, "amount > 0 and release >= 0 and amount + release <= held", "amount > 0 and amount + release <= held", "TS104"),
    Planted("a correction below zero", C, "amount < 0 and available + amount >= 0", "amount < 0", "TS104"),
    Planted("the same balance twice", C, "balance > available and in_doubt == 0", "balance >= available and in_doubt == 0", "TS104"),
    Planted("the limit does not count", C, "(smallest == none or amount >= smallest)\n      and (limit == none or amount <= limit)\n    ask: issue\n    move: {issuance", "(smallest == none or amount >= smallest)\n    ask: issue\n    move: {issuance", "TS104"),
    Planted("a card of both forms", C, 'when: form == "physical" and number != none', "when: number != none", "TS104"),
    Planted("both ways to begin", R, 'when: amount > 0 and form == "physical"', "when: amount > 0", "TS104"),
    Planted("nothing is replaced", R, 'when: amount > 0 and form == "electronic"', 'when: amount >= 0 and form == "electronic"', "TS104"),
    Planted("a form that is not asked", F, '    to: approved\n    when: form == "physical" and number == none', "    to: approved\n    when: number == none", "TS104"),

    # States: ends, traps, silence
    Planted("a final flag is lost", P, "reversed: {final: true, says", "reversed: {says", "TS102"),
    Planted("a state is left out", P, "command: [cancel, close]\n    from: [partially_settled, advanced_hold]", "command: [cancel, close]\n    from: partially_settled", "TS103"),
    Planted("silence about a command", P, "commands: [hold_again, cover_elsewhere, close, refund, refund_to]", "commands: [hold_again, cover_elsewhere, refund, refund_to]", "TS103"),
    Planted("no way back from the card", R, "from: [emptied, allocated, activated, on_its_way]\n    to: cancelled\n    when: moving > 0", "from: [emptied, activated, on_its_way]\n    to: cancelled\n    when: moving > 0", "TS105"),
    Planted("a trap after shipping", F, "from: [released, in_review, approved, allocated, shipped, activated, scheduled]", "from: [released, in_review, approved, allocated, activated, scheduled]", "TS103"),
    Planted("a swapped target of a hold", P, "from: partially_settled\n    to: advanced_hold", "from: partially_settled\n    to: authorized", "TS101"),

    # Value that stays, goes the wrong way, or is not there
    Planted("the rest is not released", P, "      held -> card: held - amount\n      uncovered -> card: uncovered\n", "      uncovered -> card: uncovered\n", "TS106"),
    Planted("the uncovered is forgotten at the last shipment", P, "      held -> card: held - amount\n      uncovered -> card: uncovered\n", "      held -> card: held - amount\n", "TS106"),
    Planted("the uncovered is forgotten on cancel", P, "      held -> card: held\n      uncovered -> card: uncovered\n", "      held -> card: held\n", "TS106"),
    Planted("the hold is forgotten on cancel", P, "      held -> card: held\n      uncovered -> card: uncovered\n", "      uncovered -> card: uncovered\n", "TS106"),
    Planted("the hold is forgotten on cancel, too", P, "    drive: card.release_hold(amount=held, hold=hold_id)\n    move: {held -> card: held}\n", "    drive: card.release_hold(amount=held, hold=hold_id)\n", "TS106"),
    Planted("from the wrong account", P, "move: {uncovered -> card: amount}", "move: {held -> card: amount}", "TS105"),
    Planted("from the wrong account, again", P, "move: {uncovered -> held: amount}", "move: {redeemed -> held: amount}", "TS118"),
    Planted("the sign of a correction", C, "move: {available -> adjusted: -amount}", "move: {available -> adjusted: amount}", "TS118"),
    Planted("more than is there is seen", C, "move: {available -> elsewhere: available - balance}", "move: {available -> elsewhere: balance - available}", "TS118"),
    Planted("retired with value on it", C, "when: available == 0 and held == 0 and leaving == 0", "when: held == 0 and leaving == 0", "TS104"),
    Planted("retired while its value is on its way", C, "when: available == 0 and held == 0 and leaving == 0", "when: available == 0 and held == 0", "TS104"),
    Planted("the rest of a part is paid back too", P, "      held -> redeemed: amount\n      held -> uncovered: held - amount\n", "      held -> redeemed: held\n      held -> uncovered: held - amount\n", "TS118"),

    # Facts and follow-ups
    Planted("where it was is not written down", C, "    set: {was: state}\n", "", "TS105"),
    Planted("the number that was scanned is forgotten", F, "    when: form == \"physical\" or number == none\n    set: {number: number}\n", "    when: form == \"physical\" or number == none\n", "TS116"),
    Planted("the number that ships is forgotten", F, "    when: form == \"physical\"\n    set: {number: number}\n", "    when: form == \"physical\"\n", "TS123"),
    Planted("the number that is activated is forgotten", C, "    ask: activate\n    set: {number: number}\n", "    ask: activate\n", "TS123"),
    Planted("the number of a card from elsewhere is forgotten", C, "    move: {elsewhere -> available: balance}\n    set: {number: number}\n", "    move: {elsewhere -> available: balance}\n", "TS123"),
    Planted("whether a PIN was drawn is forgotten", C, "    set: {number: outcome.number, has_pin: outcome.has_pin}\n", "    set: {number: outcome.number}\n", "TS111"),
    Planted("what may be voided is forgotten", P, "    set: {redemption_id: outcome.request}\n", "", "TS116"),
    Planted("both forms ship", F, '    to: shipped\n    when: form == "physical"\n', "    to: shipped\n", "TS104"),
    Planted("spent, and released too", C, "      held -> spent: amount\n      held -> available: release\n", "      held -> spent: amount\n      held -> available: held\n", "TS118"),
    Planted("the hold's name is not written down", P, "    move: {card -> held: amount}\n    set: {hold_id: outcome.reference, until: until}\n", "    move: {card -> held: amount}\n    set: {until: until}\n", "TS121"),
    Planted("the advanced hold's name is not written down", P, "    move: {uncovered -> held: amount}\n    set: {hold_id: outcome.reference}\n", "    move: {uncovered -> held: amount}\n", "TS121"),
    Planted("the number that was drawn is forgotten", C, "    ask: allocate\n    set: {number: outcome.number, has_pin: outcome.has_pin}\n", "    ask: allocate\n    set: {has_pin: outcome.has_pin}\n", "TS122"),
    Planted("what a part leaves uncovered is not held again", P, "    set: {hold_id: none, until: until}\n    then: hold_again(amount=uncovered)\n\n  settle_keep_hold", "    set: {hold_id: none, until: until}\n\n  settle_keep_hold", "TS119"),
    Planted("what all of a hold leaves uncovered is not held again", P, "    set: {hold_id: none, until: until}\n    then: hold_again(amount=uncovered)\n\n  settle_all", "    set: {hold_id: none, until: until}\n\n  settle_all", "TS119"),
    Planted("nothing follows a review", F, "    when: form == \"electronic\"\n    then: allocate()\n", "    when: form == \"electronic\"\n", "TS119"),
    Planted("nothing follows an allocation", F, "    drive: card.allocate()\n    then: activate()\n", "    drive: card.allocate()\n", "TS119"),
    Planted("nothing follows a shipment", F, "    set: {number: number}\n    then: activate()\n", "    set: {number: number}\n", "TS119"),
    Planted("nothing follows an activation", F, "    drive: card.activate(number=number)\n    then: issue()\n", "    drive: card.activate(number=number)\n", "TS119"),
    Planted("the new card waits for its value", R, "    drive: new.activate(number=number)\n    then: issue()\n", "    drive: new.activate(number=number)\n", "TS119"),
    Planted("the lost card is not retired", R, "    then: retire()\n", "", "TS119"),

    # The right sums in the wrong place of the books
    Planted("released, not spent", C, "      held -> spent: amount\n", "      held -> elsewhere: amount\n", "TS120"),
    Planted("sold as a credit", C, "    ask: issue\n    move: {issuance -> available: amount}", "    ask: issue\n    move: {returned -> available: amount}", "TS120"),
    Planted("a credit is sold", C, "move: {returned -> available: amount}", "move: {issuance -> available: amount}", "TS120"),
    Planted("spent in cash", C, "move: {available -> spent: amount}", "move: {available -> cashed_out: amount}", "TS120"),
    Planted("cash is a correction", C, "move: {available -> cashed_out: amount}", "move: {available -> adjusted: amount}", "TS120"),
    Planted("a correction was elsewhere", C, "move: {adjusted -> available: amount}", "move: {elsewhere -> available: amount}", "TS120"),
    Planted("a refund from another card", P, "move: {redeemed -> card: amount}", "move: {redeemed -> other_card: amount}", "TS120"),
    Planted("given back to the new card", R, "move: {moving -> old: moving}", "move: {moving -> new: moving}", "TS120"),
    Planted("a follow-up of nothing", P, "    set: {hold_id: none, until: until}\n    then: hold_again(amount=uncovered)\n\n  settle_keep_hold", "    set: {hold_id: none, until: until}\n    then: hold_again(amount=held)\n\n  settle_keep_hold", "TS110"),

    # What only running them together shows
    Planted("put on the card that was lost", R, "drive: [new.receive(amount=moving), ", "drive: [old.receive(amount=moving), ", "TS217"),
    Planted("the wrong amount is put on the card", F, "drive: card.issue(amount=amount)", "drive: card.issue(amount=amount - amount)", "TS212"),

    # Both halves
    Planted("the card releases too little", P, "card.redeem_hold(amount=amount, release=held - amount, hold=hold_id, whole=held)\n    move:\n      held -> redeemed: amount\n      held -> uncovered", "card.redeem_hold(amount=amount, release=0, hold=hold_id, whole=held)\n    move:\n      held -> redeemed: amount\n      held -> uncovered", "TS307"),
    Planted("the card is not told of a cancel", P, "    to: reversed\n    drive: card.release_hold(amount=held, hold=hold_id)\n", "    to: reversed\n", "TS307"),
    Planted("the card is not told that a hold is lost", P, "    drive: card.mark_hold_lost(amount=held)\n", "", "TS307"),
    Planted("the wrong command of the card", P, "drive: card.refund(amount=amount)", "drive: card.release_hold(amount=amount)", "TS307"),
    Planted("redeemed here, held there", P, "move: {card -> redeemed: amount}", "move: {card -> held: amount}", "TS106"),
    Planted("a hold that holds nothing", C, "move: {available -> held: amount}", "move: {available -> elsewhere: amount}", "TS112"),
    Planted("a release that spends", C, "    ask: release_hold\n    move: {held -> available: amount}", "    ask: release_hold\n    move: {available -> held: amount}", "TS118"),
    Planted("spent is not less than earned", C, "always: spent >= earned", "always: spent > earned", "TS307"),
    Planted("another sum", C, "sum: {promised: payment.card.held}", "sum: {promised: payment.card.uncovered}", "TS307"),
    Planted("moved out of nowhere", R, "    drive: old.move_out(amount=amount)\n    move: {old -> moving: amount}\n    then", "    move: {old -> moving: amount}\n    then", "TS307"),
    Planted("moved in once, put on twice", R, "    drive: old.move_in(amount=moving)\n    move: {moving -> old: moving}", "    drive: old.move_in(amount=moving + moving)\n    move: {moving -> old: moving}", "TS307"),
    Planted("put on nothing", R, "drive: [new.receive(amount=moving), old.arrived(amount=moving)]", "drive: old.arrived(amount=moving)", "TS306"),
    Planted("arrived, and still leaving", R, "drive: [new.receive(amount=moving), old.arrived(amount=moving)]", "drive: new.receive(amount=moving)", "TS306"),
    Planted("given back to the wrong card", R, "    drive: old.move_in(amount=moving)\n", "    drive: new.receive(amount=moving)\n", "TS306"),
]
# fmt: on
