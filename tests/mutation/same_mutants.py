"""Mutants of our pages that are no faults: what they change makes no difference to anybody. Each with its reason."""

from __future__ import annotations

from collections.abc import Mapping

_VOID = "payment: void.when: redemption_id != none and redeemed > 0 and in_doubt == 0 → redemption_id != none and "
_CASH = "gift_card: cash_out.ask: redeem(amount=amount, pin=pin, has_pin=has_pin, allow_partial=false) → "

SAME: Mapping[str, str] = {
    f"{_VOID}in_doubt == 0": "what can be voided has redeemed something: whatever gives it back takes the id away",
    f"{_VOID}redeemed >= 0 and (in_doubt == 0)": "likewise",
    f"{_CASH}redeem(amount=amount, pin=pin, has_pin=has_pin)": "a flag that is not named is false",
    "tender: facts.allow_partial.default: left out": "a flag that is not given is false",
    "gift_card: move_in.ask: adjust → issue": "both put as much on the card; reports count what a page books",
}
