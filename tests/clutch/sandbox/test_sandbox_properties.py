"""Whatever is asked, in whatever order, under any settings: an answer, and value neither made, lost nor negative."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tallystick.clutch.sandbox import Sandbox, Settings

USD = {"balanceType": "Currency", "balanceCode": "USD"}

SETTINGS = st.builds(
    Settings,
    transaction_ids=st.sampled_from(["request_ref", "numeric"]),
    hold_above_available=st.sampled_from(["error", "partial"]),
    overdraw_of_nothing=st.sampled_from(["error", "zero"]),
    zero_amount=st.sampled_from(["error", "accept"]),
    zero_from_hold=st.sampled_from(["keep", "release", "error"]),
    remainder_keeps_id=st.booleans(),
    redeem_above_hold=st.booleans(),
    void_of_redeemed_hold=st.sampled_from(["available", "hold", "error"]),
    checkout_redeems=st.booleans(),
    first_issue_shows_update=st.booleans(),
)
FAULTS = ("none", "none", "none", "duplicate", "short_approval", "other_channel", "other_channel:same", "500_after")
STEP = st.tuples(
    st.sampled_from(["issue", "redeem", "hold", "from_hold", "void", "adjust", "checkout", "allocate"]),
    st.integers(0, 2000),
    st.integers(0, 30),
    st.booleans(),
    st.booleans(),
    st.sampled_from(FAULTS),
)


def requests(box: Sandbox, number: str, steps: list[Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Each step as a request, its hold or transaction picked from those there are by then."""
    for kind, minor, pick, release, most, fault in steps:
        amount = {**USD, "amount": Decimal(minor).scaleb(-2)}
        update = {"cardNumber": number, "amount": amount, "redeemMaxOnOverdraw": most, "releaseHoldRemainder": release}
        known = [entry.request_ref for entry in box.history(number)]
        if kind == "from_hold":
            holds = [entry.hold_id for entry in box.history(number) if entry.hold_id] or ["none"]
            hold = holds[pick % len(holds)]
            yield "updateBalance", {**update, "action": "redeem", "redeemFromHoldTransactionId": hold}, fault
        elif kind == "void":
            yield "voidTransaction", {"requestRef": known[pick % len(known)], "cardNumber": number}, fault
        elif kind == "adjust":
            yield "updateBalance", {**update, "action": "redeem" if most else "issue", "isAdjustment": True}, fault
        elif kind == "checkout":
            yield "checkout", {"cardNumber": number, "checkoutTotal": minor, "isSetup": most}, fault
        elif kind == "allocate":
            yield "allocate", {"cardSetId": "EGIFT"}, fault
        else:
            yield "updateBalance", {**update, "action": kind}, fault


@hypothesis_settings(max_examples=100, deadline=None)
@given(SETTINGS, st.lists(STEP, max_size=40))
def test_value_is_conserved(settings: Settings, steps: list[Any]) -> None:
    with Sandbox(settings, {"EGIFT": 100}, clock=lambda: 1_800_000_000.0) as box:
        number = str(box.post("allocate", {"cardSetId": "EGIFT"}).json()["cardNumber"])
        box.post("updateBalance", {"cardNumber": number, "action": "issue", "amount": {**USD, "amount": 20}})
        for method, body, fault in requests(box, number, steps):
            assert box.post(method, body, fault=fault).status in (200, 400, 500)
        assert box.audit() == []
        assert min([0, *box.balances(number).values(), *box.holds(number).values()]) == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    "cardNumber",
    "cardSetId",
    "filters",
    "returnFields",
    "pin",
    "forcePinValidation",
    "action",
    "amount",
    "status",
    "transactionId",
    "limit",
    "offset",
    "beginDate",
    "restrictTransactionTypes",
    "primaryCustomer",
    "customCardNumber",
    "products",
    "checkoutTotal",
    "isSetup",
    "balanceType",
    "redeemFromHoldTransactionId",
    "checkoutTransactionId",
    "issuedBalanceExpiration",
    "email",
    "brandDemographics",
]
METHODS = [
    "allocate",
    "search",
    "updateBalance",
    "updateAccount",
    "cardHistory",
    "voidTransaction",
    "checkout",
    "checkoutLookup",
    "nonsense",
]
ODD = Sandbox(card_sets={"EGIFT": 2000}, seed=3)
NUMBER = str(ODD.post("allocate", {"cardSetId": "EGIFT"}).json()["cardNumber"])


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(METHODS),
    st.dictionaries(st.sampled_from(NAMES), JSON | st.just(NUMBER) | st.just({**USD, "amount": 1}), max_size=6),
    st.sampled_from([{}, {"cardNumber": NUMBER}]),
)
def test_whatever_is_sent_is_answered(method: str, body: dict[str, Any], named: dict[str, Any]) -> None:
    answer = ODD.post(method, {**body, **named})
    assert answer.status in (200, 400, 404)
    assert answer.json()["success"] is (answer.status == 200)
    assert ODD.audit() == []
