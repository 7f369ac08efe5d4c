"""What is sent, byte for byte, and what every answer is taken for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clutch_settings
from tallystick import money
from tallystick.clutch import checkout, wire
from tallystick.clutch import settings as settings_module
from tallystick.clutch.answers import StrangeAnswer, balances, dumps, exactly, loads, number
from tallystick.clutch.environment import variable
from tallystick.clutch.settings import ClutchSettings, Rule
from tallystick.clutch.wire import DoneForLess, Request
from tallystick.errors import Invalid
from tallystick.provider.protocol import Call, CardFacts, Outcome, Reason, Result
from tallystick.provider.verbs import VERBS

NUMBER = "483139334361914"
PLAIN = ClutchSettings(
    base_url="https://api.example.com/merchant", api_key="key-7d1", api_secret="hush-93c", brand="b", location="l",
    terminal="t", return_balances=False, partial_by_default=False,
)  # fmt: skip
USUAL = attrs.evolve(PLAIN, return_balances=True, partial_by_default=True)


def call(verb: str, *, pin: str | None = None, card: Mapping[str, Any] | None = None, **args: object) -> Call:
    facts = CardFacts("c1", **{"currency": "USD", "number": NUMBER, "form": "electronic", **(card or {})})
    secrets = {name: str(args.pop(name)) for name in [*args] if VERBS[verb].get(name, "").startswith("secret")}
    return Call("call-1", verb, facts, args, {**secrets, **({"pin": pin} if pin else {})}, order="o-1")


def sent(asked: Call, settings: ClutchSettings = PLAIN) -> tuple[str, str]:
    request = wire.request(asked, settings)
    assert isinstance(request, Request)
    return request.method, request.encoded().decode()


# --- Requests


def recorded(action: str, amount: str, hold: str = "null", release: str = "false", returned: str = "false") -> str:
    """A recorded body of updateBalance, with the number that was left out of the notes."""
    return (
        f'{{"cardNumber":"{NUMBER}","action":"{action}","redeemFromHoldTransactionId":{hold},'
        f'"releaseHoldRemainder":{release},"isReturnRelated":{returned},'
        f'"amount":{{"balanceType":"Currency","balanceCode":"USD","amount":{amount}}}}}'
    )


# fmt: off
RECORDED = [
    (call("issue", amount=1099),                                 recorded("issue", "10.99")),
    (call("redeem", amount=499),                                 recorded("redeem", "4.99")),
    (call("hold", amount=199),                                   recorded("hold", "1.99")),
    (call("redeem_hold", amount=199, release=0, hold="54856009"), recorded("redeem", "1.99", '"54856009"')),
    (call("release_hold", amount=199, hold="54879782"),          recorded("redeem", "0", '"54879782"', "true")),
    # Not recorded as a whole, made of recorded fields:
    (call("redeem_hold", amount=199, release=1, hold="54856009"), recorded("redeem", "1.99", '"54856009"', "true")),
    (call("issue", amount=1000, return_related=True),            recorded("issue", "10.00", returned="true")),
]
# fmt: on


@pytest.mark.parametrize(("asked", "body"), RECORDED)
def test_update_balance_is_sent_as_it_was_recorded(asked: Call, body: str) -> None:
    assert sent(asked) == ("updateBalance", body)


NAMED = f'"cardNumber":"{NUMBER}"'
# fmt: off
OTHERS: list[tuple[Call, ClutchSettings, str, str]] = [
    (call("allocate", card={"number": None, "card_set": "GIFT"}), PLAIN, "allocate", '{"cardSetId":"GIFT"}'),
    (call("allocate", card={"number": None, "kind": "promo"}), attrs.evolve(PLAIN, card_sets={"promo": "P"}),
     "allocate", '{"cardSetId":"P"}'),
    (call("allocate"), PLAIN, "allocate", f"{{{NAMED}}}"),
    (call("activate", number=NUMBER, card={"number": None, "form": "physical"}), PLAIN, "allocate", f"{{{NAMED}}}"),
    (call("activate"), attrs.evolve(PLAIN, activate_electronic="allocate"), "allocate", f"{{{NAMED}}}"),
    (call("activate"), attrs.evolve(PLAIN, activate_electronic="update_account"), "updateAccount", f"{{{NAMED}}}"),
    (call("void", amount=500, transaction="tx-9"), PLAIN, "voidTransaction", f'{{"requestRef":"tx-9",{NAMED}}}'),
    (call("void", amount=500), attrs.evolve(PLAIN, void_as="return"), "updateBalance",
     recorded("issue", "5.00", returned="true")),
    (call("adjust", amount=500), PLAIN, "updateBalance", recorded("issue", "5.00")[:-1] + ',"isAdjustment":true}'),
    (call("adjust", amount=-500), PLAIN, "updateBalance", recorded("redeem", "5.00")[:-1] + ',"isAdjustment":true}'),
    (call("adjust", amount=-500), attrs.evolve(PLAIN, adjust_down="negative_issue", adjustment_field="adj"),
     "updateBalance", recorded("issue", "-5.00")[:-1] + ',"adj":true}'),
    (call("suspend"), PLAIN, "updateAccount", f'{{{NAMED},"status":"Suspended"}}'),
    (call("reinstate"), PLAIN, "updateAccount", f'{{{NAMED},"status":"Active"}}'),
    (call("update_account", email="z@example.com", region="SP"), PLAIN, "updateAccount",
     f'{{{NAMED},"primaryCustomer":{{"state":"SP","email":"z@example.com"}}}}'),
    (call("update_account", first_name="Zoë", enrolls=True), PLAIN, "updateAccount",
     f'{{{NAMED},"primaryCustomer":{{"firstName":"Zo\\u00eb"}},"countAsEnrollment":true}}'),
    (call("update_account", phone="+1", alternate=True), PLAIN, "updateAccount",
     f'{{{NAMED},"alternateCustomer":{{"phone":"+1"}}}}'),
    (call("reinstate"), attrs.evolve(PLAIN, reinstate_method="reactivate"), "reactivate", f"{{{NAMED}}}"),
    (call("hold", amount=500, pin="0795"), USUAL, "updateBalance", recorded("hold", "5.00")[:-1]
     + ',"redeemMaxOnOverdraw":true,"forcePinValidation":true,"pin":"0795","returnBalances":true}'),
    (call("hold", amount=500), attrs.evolve(USUAL, overdraw_on_hold=False), "updateBalance",
     recorded("hold", "5.00")[:-1] + ',"returnBalances":true}'),
    (call("redeem", amount=500, allow_partial=True), PLAIN, "updateBalance",
     recorded("redeem", "5.00")[:-1] + ',"redeemMaxOnOverdraw":true}'),
    (call("redeem", amount=500, allow_partial=False), USUAL, "updateBalance",
     recorded("redeem", "5.00")[:-1] + ',"returnBalances":true}'),
    (call("hold", amount=7, card={"currency": "points"}), PLAIN, "updateBalance",
     recorded("hold", "7").replace('"Currency","balanceCode":"USD"', '"Points"')),
    (call("issue", amount=1250, card={"currency": "KWD"}), PLAIN, "updateBalance",
     recorded("issue", "1.250").replace("USD", "KWD")),
    (call("redeem", amount=5, pin="8422"), attrs.evolve(PLAIN, numbers_as="number", pins_as="number"), "updateBalance",
     recorded("redeem", "0.05").replace(f'"{NUMBER}"', NUMBER)[:-1] + ',"forcePinValidation":true,"pin":8422}'),
    (call("redeem", amount=5, pin="0795"), attrs.evolve(PLAIN, pins_as="number"), "updateBalance",
     recorded("redeem", "0.05")[:-1] + ',"forcePinValidation":true,"pin":"0795"}'),
    (call("redeem", amount=5, pin="8422"), attrs.evolve(PLAIN, pinless_numbers="4831.*"), "updateBalance",
     recorded("redeem", "0.05")),
]
# fmt: on


@pytest.mark.parametrize(("asked", "settings", "method", "body"), OTHERS)
def test_requests(asked: Call, settings: ClutchSettings, method: str, body: str) -> None:
    assert sent(asked, settings) == (method, body)


def test_every_verb_of_the_protocol_is_spoken() -> None:
    assert {asked.verb for asked, *_ in [*RECORDED, *OTHERS]} == set(VERBS) == set(wire._VERBS)


def test_activating_an_electronic_card_sends_nothing_by_default() -> None:
    assert wire.request(call("activate"), PLAIN) == Outcome(Result.CONFIRMED)
    assert wire.request(call("activate", number=NUMBER, card={"form": None}), PLAIN) != Outcome(Result.CONFIRMED)


@pytest.mark.parametrize(
    "asked",
    [
        call("transfer"),
        call("hold", amount=5, card={"number": None}),
        call("allocate", card={"number": None}),
        call("redeem_hold", amount=5, release=0),  # without a hold it would redeem what is not held
        call("redeem_hold", amount=5, release=0, hold=None),
        call("release_hold", amount=5),
        call("void", amount=5),
        call("issue", amount=0),
        call("hold", amount=-1),
        call("hold", amount="5"),
        call("adjust", amount=0),
        call("redeem"),
    ],
)
def test_what_cannot_be_sent_is_declined_and_not_sent(asked: Call) -> None:
    refused = wire.request(asked, PLAIN)
    assert isinstance(refused, Outcome)
    assert (refused.result, refused.reason) == (Result.DECLINED, Reason.OTHER)
    assert NUMBER not in str(refused)


def test_what_reads() -> None:
    search = wire.search(PLAIN, NUMBER, "8422")
    assert search.encoded() == (
        f'{{"filters":{{{NAMED}}},"returnFields":{{"balances":true}},"forcePinValidation":true,"pin":"8422"}}'.encode()
    )
    hidden = wire.search(PLAIN, NUMBER, status=True, inactive=True).encoded().decode()
    assert hidden.endswith('"returnFields":{"balances":true,"status":true},"includeInactive":true}')
    assert wire.card_history(PLAIN, NUMBER, 100).encoded().decode() == f'{{{NAMED},"limit":100,"offset":100}}'
    assert search.reads
    assert not wire.Request("allocate", {}).reads
    assert NUMBER not in repr(search)
    assert checkout.looked_up("tx-1").encoded() == b'{"checkoutTransactionId":"tx-1"}'


def test_a_checkout_is_sent_in_one_stage_or_two() -> None:
    basket = checkout.Basket("b-1", "USD", [checkout.Product("sku-1", 2, 1099)], 2198, NUMBER)
    one = checkout.request(PLAIN, basket, "8422").encoded().decode()
    assert one == (
        f'{{{NAMED},"products":[{{"sku":"sku-1","amountPurchased":2,"unitPrice":10.99}}],"isSetup":false,'
        '"checkoutTotal":21.98,"returnBalances":true,"returnBalanceMutations":true,"forcePinValidation":true,"pin":"8422"}'
    )
    anonymous = checkout.request(PLAIN, attrs.evolve(basket, card=None), sets_up=True).body
    assert (anonymous["isSetup"], "cardNumber" in anonymous) == (True, False)
    assert checkout.request(PLAIN, basket, completes="tx-1").body["checkoutTransactionId"] == "tx-1"
    assert NUMBER not in repr(basket)


# --- Answers


def told(asked: Call, status: int, body: object, settings: ClutchSettings = USUAL) -> Outcome | DoneForLess:
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return wire.outcome(asked, settings, status, raw)


MOVED: dict[str, Any] = {
    "transactionId": "54855999", "cardNumber": NUMBER, "didOverdraw": False, "success": True, "requestRef": "10710ab3",
}  # fmt: skip


def entry(amount: str, hold: str | None = None, code: str = "USD") -> str:
    held = "false" if hold is None else f'true,"holdingTransactionId":"{hold}"'
    return f'{{"amount":{amount},"scale":2,"balanceType":"Currency","balanceCode":"{code}","isHold":{held}}}'


def moved(*entries: str, **changes: object) -> str:
    body = json.dumps({**MOVED, **changes})
    return f'{body[:-1]},"balances":[{",".join(entries)}]}}'


def test_recorded_successes() -> None:
    for asked, _ in RECORDED:
        assert told(asked, 200, MOVED) == Outcome(Result.CONFIRMED, reference="54855999", request="10710ab3")
    drawn = '{"cardNumber":"483140395030281","pin":"8422","success":true,"requestRef":"7c4b183f"}'
    unnumbered = call("allocate", card={"number": None, "card_set": "G"})
    expected = Outcome(Result.CONFIRMED, "7c4b183f", "7c4b183f", number="483140395030281", pin="8422", has_pin=True)
    assert told(unnumbered, 200, drawn) == expected
    as_numbers = drawn.replace('"8422"', "795").replace('"483140395030281"', "483140395030281")
    assert told(unnumbered, 200, as_numbers) == attrs.evolve(expected, pin="0795")
    assert "483140395030281" not in repr(expected)
    assert "8422" not in repr(expected)
    assert told(call("suspend"), 200, {"success": True, "requestRef": "r"}) == Outcome(Result.CONFIRMED, "r", "r")


def test_balances_say_what_is_available_and_what_a_hold_holds() -> None:
    asked = call("hold", amount=1336)
    whole = told(asked, 200, moved(entry("0.03"), entry("13.36", "54855999")))
    assert whole == Outcome(Result.CONFIRMED, "54855999", "10710ab3", amount=1336, available=3)
    short = told(asked, 200, moved(entry("5.00", "older"), entry("4.00", "54855999"), didOverdraw=True))
    assert short == Outcome(Result.CONFIRMED, "54855999", "10710ab3", amount=400, available=0)
    # Zero amounts are left out: no balances at all is nothing available.
    assert told(call("redeem", amount=5), 200, moved()) == Outcome(
        Result.CONFIRMED, "54855999", "10710ab3", available=0
    )


def test_less_than_asked_without_a_word_of_how_much() -> None:
    less = {**MOVED, "didOverdraw": True}
    assert told(call("redeem", amount=500), 200, less) == DoneForLess("54855999", "10710ab3", None)
    assert told(call("hold", amount=500), 200, moved(didOverdraw=True)) == DoneForLess("54855999", "10710ab3", 0)
    for name, value in (("approved_field", 2), ("due_field", 3)):
        said = told(call("redeem", amount=500), 200, {**less, "x": value}, attrs.evolve(USUAL, **{name: "x"}))
        assert isinstance(said, Outcome)
        assert said.amount == 200


REFUSED = {"errorMessage": "No.", "errorCode": 6, "requestRef": "r", "success": False}


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        (6, "No card number was specified.", Reason.UNKNOWN_CARD),
        (10, "Invalid card PIN.", Reason.WRONG_PIN),
        (None, "Could not find the specified card.", Reason.UNKNOWN_CARD),
        (77, "Could not find the account that goes with the specified card.", Reason.NOT_ACTIVATED),
        (78, "NSF", Reason.INSUFFICIENT_FUNDS),
        (78, "Insufficient funds for this.", Reason.INSUFFICIENT_FUNDS),
        (79, "No card is left in the card set.", Reason.CARD_SET_EXHAUSTED),
        (80, "The balance limit would be passed.", Reason.OVER_LIMIT),
        (81, "The card is suspended.", Reason.SUSPENDED),
        (82, "Could not find the card set.", Reason.OTHER),
        (83, "Something else.", Reason.OTHER),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 404, 422])
def test_refusals_on_any_status(code: int | None, text: str, reason: Reason, status: int) -> None:
    body = {**REFUSED, "errorMessage": text, **({} if code is None else {"errorCode": code})}
    if code is None:
        del body["errorCode"]
    expected = Outcome(Result.DECLINED, request="r", reason=reason, code=None if code is None else str(code), text=text)
    assert told(call("redeem", amount=5), status, body) == expected


def test_the_table_of_reasons_is_a_setting() -> None:
    own = attrs.evolve(USUAL, rules=(Rule(Reason.OVER_LIMIT, code="77"), Rule(Reason.SUSPENDED, text="^blocked")))
    for code, text, reason in ((77, "", Reason.OVER_LIMIT), (78, "Blocked!", Reason.SUSPENDED), (6, "", Reason.OTHER)):
        said = told(call("redeem", amount=5), 400, {**REFUSED, "errorCode": code, "errorMessage": text}, own)
        assert isinstance(said, Outcome)
        assert said.reason is reason


# fmt: off
DOUBTFUL: list[tuple[int, object, Result]] = [
    (429, REFUSED,                                     Result.UNAVAILABLE),
    (503, b"<html>",                                   Result.UNAVAILABLE),
    (401, REFUSED,                                     Result.UNAVAILABLE),
    (403, b"",                                         Result.UNAVAILABLE),
    (500, b"<html>",                                   Result.UNKNOWN),
    (500, REFUSED,                                     Result.UNKNOWN),
    (502, MOVED,                                       Result.UNKNOWN),
    (504, b"",                                         Result.UNKNOWN),
    (404, b"Not Found",                                Result.UNKNOWN),
    (302, b"",                                         Result.UNKNOWN),
    (302, REFUSED,                                     Result.UNKNOWN),
    (400, MOVED,                                       Result.UNKNOWN),
    (200, b"",                                         Result.UNKNOWN),
    (200, json.dumps(MOVED)[:40],                      Result.UNKNOWN),
    (200, b"\xff\xfe\x00",                             Result.UNKNOWN),
    (200, b"[" * 100_000,                              Result.UNKNOWN),
    (200, b"[]",                                       Result.UNKNOWN),
    (200, b"true",                                     Result.UNKNOWN),
    (200, {**MOVED, "success": "true"},                Result.UNKNOWN),
    (200, {**MOVED, "success": 1},                     Result.UNKNOWN),
    (200, {k: v for k, v in MOVED.items() if k != "success"}, Result.UNKNOWN),
    (200, {"success": False},                          Result.UNKNOWN),
    (400, {"errorMessage": "No.", "errorCode": 6},     Result.UNKNOWN),
    (200, {"success": True},                           Result.UNKNOWN),  # done, but nothing to name it by
    (200, {**MOVED, "cardNumber": "483100000000000"},  Result.UNKNOWN),
    (200, moved(entry("5.00", "54855999", "XTS")),     Result.UNKNOWN),
    (200, moved(entry("5.01", "54855999")),            Result.UNKNOWN),  # more than asked
    (200, moved(entry("5.001", "54855999")),           Result.UNKNOWN),
    (200, moved(entry('"?"')),                         Result.UNKNOWN),
    (200, moved(entry("NaN")),                         Result.UNKNOWN),
    (200, moved(entry("1e999999999")),                 Result.UNKNOWN),
    (200, moved("7"),                                  Result.UNKNOWN),
    (200, {**MOVED, "balances": {}},                   Result.UNKNOWN),
]
# fmt: on


@pytest.mark.parametrize(("status", "body", "result"), DOUBTFUL)
def test_what_an_answer_does_not_prove(status: int, body: object, result: Result) -> None:
    said = told(call("hold", amount=500), status, body)
    assert isinstance(said, Outcome)
    assert said.result is result
    assert said.text


def test_contradictions_of_other_verbs() -> None:
    for asked in (call("issue", amount=5), call("redeem_hold", amount=5, release=0, hold="h")):
        said = told(asked, 200, {**MOVED, "didOverdraw": True})
        assert isinstance(said, Outcome)
        assert said.result is Result.UNKNOWN
    unnumbered = call("allocate", card={"number": None, "card_set": "G"})
    assert attrs.asdict(told(unnumbered, 200, {"success": True, "requestRef": "r"}))["result"] is Result.UNKNOWN
    several = attrs.evolve(USUAL, several_currencies=True)
    assert told(call("redeem", amount=5), 200, moved(entry("9.00", code="EUR")), several) == Outcome(
        Result.CONFIRMED, "54855999", "10710ab3", available=0
    )


def test_a_number_sent_as_a_number_may_come_back_without_its_zeros() -> None:
    asked = call("redeem", amount=5, card={"number": "00123"})
    assert attrs.asdict(told(asked, 200, {**MOVED, "cardNumber": 123}))["result"] is Result.CONFIRMED


def test_texts_of_clutch_are_kept_without_numbers_and_pins() -> None:
    text = f"Card {NUMBER}, PIN 8422, is\nnot 4831000000000001 " + "x" * 500
    said = told(call("redeem", amount=5, pin="8422"), 400, {**REFUSED, "errorMessage": text})
    assert isinstance(said, Outcome)
    assert said.text is not None
    assert said.text.startswith("Card …, PIN …, is not … xxx")
    assert len(said.text) == 200


# --- Amounts, and answers nobody thought of


@given(st.sampled_from(money.CODES), st.integers(-money.LIMIT, money.LIMIT))
def test_amounts_are_exact_both_ways(code: str, minor: int) -> None:
    written = dumps({"amount": number(minor, code)})
    read = loads(written.encode())
    assert isinstance(read, dict)
    assert exactly(read["amount"], code) == minor
    assert minor == 0 or written == f'{{"amount":{money.to_text(minor, code)}}}'


def test_amounts_that_are_none() -> None:
    assert [exactly(Decimal(text), "USD") for text in ("1", "1.5", "1.50", "1.500", "1E+1", "-0.00")] == [
        100, 150, 150, 150, 1000, 0,
    ]  # fmt: skip
    assert exactly("10.00", "USD") == exactly(10, "USD") == 1000
    for value in (Decimal("0.001"), Decimal("Infinity"), True, None, [], "ten", "", 10**20, "1_0"):
        with pytest.raises(StrangeAnswer):
            exactly(value, "USD")
    with pytest.raises(TypeError):
        dumps({"amount": 10.99})
    assert [each.amount for each in balances([{"balanceType": "Points", "amount": 7}], "points", USUAL)] == [7]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.sampled_from(["USD", "Currency", NUMBER]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*MOVED, "balances", "amount", "isHold",
        "balanceType", "balanceCode", "errorCode", "errorMessage", "pin"]), inner, max_size=6)
    ),
    max_leaves=12,
)  # fmt: skip
ASKED = [asked for asked, *_ in [*RECORDED, *OTHERS]]


@given(st.sampled_from(ASKED), st.sampled_from([200, 400, 429, 500]), JSON, st.booleans())
def test_no_answer_raises_and_only_success_confirms(asked: Call, status: int, body: object, success: bool) -> None:
    if isinstance(body, dict) and success:
        body["success"] = True
    said = told(asked, status, body)
    if isinstance(said, DoneForLess) or said.result is Result.CONFIRMED:
        assert status == 200
        assert isinstance(body, dict)
        assert body["success"] is True


@given(st.binary(max_size=60))
def test_no_bytes_raise(body: bytes) -> None:
    assert attrs.asdict(told(call("hold", amount=500), 200, body))["result"] is Result.UNKNOWN


# --- Settings


def test_the_page_of_settings_is_complete() -> None:
    shown = (Path(__file__).parents[2] / "docs/reference/clutch-settings.md").read_text(encoding="utf-8")
    assert clutch_settings.settings() in shown
    assert clutch_settings.rules() in shown
    for field in attrs.fields(ClutchSettings):
        assert f"| `{field.name}` |" in shown
        assert field.metadata["known"] in settings_module.Known.__args__  # type: ignore[attr-defined]


def test_settings_from_environment_and_arguments() -> None:
    environment = {name: f"env-{name}" for name in map(variable, settings_module.ACCESS)}
    environment["CLUTCH_BASE_URL"] = "https://api.example.com/merchant"
    found = ClutchSettings.from_environment(environment, brand="mine")
    assert (found.brand, found.api_secret) == ("mine", "env-CLUTCH_API_SECRET")
    assert "env-CLUTCH_API" not in repr(found)
    with pytest.raises(Invalid, match="CLUTCH_API_KEY, CLUTCH_API_SECRET"):
        ClutchSettings.from_environment({}, base_url="https://x", brand="b", location="l", terminal="t")


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "http://api.example.com"},
        {"base_url": "ftp://localhost"},
        {"base_url": "https://key:secret@api.example.com"},
        {"base_url": "api.example.com"},
        {"api_secret": "two\r\nlines"},
        {"brand": ""},
        {"void_as": "undo"},
        {"rate": 0.0},
        {"read_timeout": -1.0},
        {"read_attempts": 0},
        {"pinless_numbers": "("},
        {"rules": (Rule(Reason.OTHER, text="["),)},
    ],
)
def test_settings_that_cannot_be(wrong: Mapping[str, Any]) -> None:
    with pytest.raises(Invalid) as error:
        attrs.evolve(PLAIN, **wrong)
    assert "secret" not in str(error.value) or "api_secret is" in str(error.value)
    assert "hush-93c" not in str(error.value)


def test_http_without_tls_only_to_this_machine_unless_allowed() -> None:
    assert attrs.evolve(PLAIN, base_url="http://127.0.0.1:1/merchant")
    assert attrs.evolve(PLAIN, base_url="http://sandbox.test", allow_plain_http=True)
