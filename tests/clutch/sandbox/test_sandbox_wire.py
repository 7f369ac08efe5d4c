"""The sandbox on the wire: every recorded shape, byte for byte where it matters."""

from __future__ import annotations

import base64
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import tallystick.clutch.sandbox as sandbox_package
from tallystick.clutch.sandbox import CardSet, Response, Sandbox, Settings

CLOCK = 1_515_950_890.036  # 2018-01-14 17:28:10 UTC
USD = {"balanceType": "Currency", "balanceCode": "USD"}


def sandbox(**settings: Any) -> Sandbox:
    sets: dict[str, int | CardSet] = {"EGIFT": 20, "PLASTIC": CardSet(5, physical=True), "OLD": CardSet(3, pins=False)}
    return Sandbox(Settings(**settings), sets, seed=7, clock=lambda: CLOCK)


def card(box: Sandbox, issued: str | None = None) -> str:
    number = str(box.post("allocate", {"cardSetId": "EGIFT"}).json()["cardNumber"])
    if issued is not None:
        assert update(box, number, "issue", issued).status == 200
    return number


def update(box: Sandbox, number: str, action: str, amount: str, **more: Any) -> Response:
    body = {"cardNumber": number, "action": action, "amount": {**USD, "amount": Decimal(amount)}, **more}
    return box.post("updateBalance", body)


def balances(box: Sandbox, number: str) -> Any:
    answer = box.post("search", {"filters": {"cardNumber": number}, "returnFields": {"balances": True}})
    return answer.json()["cards"][0]["balances"]


def error(response: Response) -> tuple[int, int, str]:
    said = response.json()
    assert said["success"] is False
    assert said["requestRef"]
    return response.status, said["errorCode"], said["errorMessage"]


def test_allocate_from_a_set_answers_number_and_pin() -> None:
    answer = sandbox().post("allocate", {"cardSetId": "EGIFT"})
    said = answer.json()
    assert list(said) == ["cardNumber", "pin", "success", "requestRef"]
    assert (len(said["cardNumber"]), len(said["pin"])) == (15, 4)
    assert answer.headers["Access-Control-Allow-Headers"].startswith("Authorization, brand, location, terminal,")
    assert answer.headers["Access-Control-Request-Method"] == "POST, GET, OPTIONS"


def test_allocate_by_number_activates_the_printed_card() -> None:
    box = sandbox()
    number = box.inventory("PLASTIC")[0]
    assert box.status(number) == "inventory"
    assert box.post("allocate", {"cardNumber": number}).json()["cardNumber"] == number
    assert box.status(number) == "active"
    assert error(box.post("allocate", {"cardNumber": number}))[1] == 9007
    assert error(box.post("allocate", {"cardSetId": "PLASTIC"})) == (400, 6, "No card number was specified.")
    assert error(box.post("allocate", {"cardNumber": box.inventory("PLASTIC")[0], "cardSetId": "EGIFT"}))[1] == 9001


def test_allocating_again_may_be_let_through() -> None:
    box = sandbox(allocate_twice="accept", pin_returned_by_number=True)
    number = card(box, "5")
    assert box.post("allocate", {"cardNumber": number}).json()["pin"] == box.pin(number)
    assert [entry.operation for entry in box.history(number)] == ["allocate", "issue", "allocate"]
    box.post("updateAccount", {"cardNumber": number, "status": "Suspended"})
    assert box.post("allocate", {"cardNumber": number}).status == 200
    assert box.status(number) == "suspended"


def test_allocate_until_the_set_is_empty() -> None:
    box = sandbox()
    numbers = {box.post("allocate", {"cardSetId": "OLD"}).json()["cardNumber"] for _ in range(3)}
    assert len(numbers) == 3
    assert error(box.post("allocate", {"cardSetId": "OLD"}))[1] == 9004
    assert error(box.post("allocate", {"cardSetId": "NONE"}))[1] == 9006


def test_update_balance_answers_in_the_recorded_shape() -> None:
    box = sandbox()
    number = card(box)
    said = update(
        *(box, number, "issue", "10.99"),
        redeemFromHoldTransactionId=None,
        releaseHoldRemainder=False,
        isReturnRelated=False,
    ).json()
    assert said == {
        "transactionId": said["requestRef"],
        "cardNumber": number,
        "didOverdraw": False,
        "success": True,
        "requestRef": said["requestRef"],
    }


def test_amounts_keep_their_scale_in_the_bytes() -> None:
    box = sandbox()
    number = card(box, "10")
    body = box.post("search", {"filters": {"cardNumber": number}, "returnFields": {"balances": True}}).body
    assert b'{"amount":10.00,"scale":2,"balanceType":"Currency","balanceCode":"USD","isHold":false}' in body
    assert b'"usedCache":false,"success":true,"requestRef":"' in body


def test_scale_and_code_follow_the_value_type() -> None:
    box = sandbox()
    number = card(box)
    for amount in (
        {"balanceType": "Currency", "balanceCode": "JPY", "amount": 500},
        {"balanceType": "Points", "amount": "8"},
    ):
        assert box.post("updateBalance", {"cardNumber": number, "action": "issue", "amount": amount}).status == 200
    assert balances(box, number) == [
        {"amount": 500, "scale": 0, "balanceType": "Currency", "balanceCode": "JPY", "isHold": False},
        {"amount": 8, "scale": 0, "balanceType": "Points", "isHold": False},
    ]


def test_a_hold_is_an_entry_of_its_own_and_zeros_are_omitted() -> None:
    box = sandbox()
    number = card(box)
    assert balances(box, number) == []
    update(box, number, "issue", "13.39")
    hold = update(box, number, "hold", "13.36").json()["transactionId"]
    held = {"amount": 13.36, "scale": 2, **USD, "isHold": True, "holdingTransactionId": hold}
    assert balances(box, number) == [{"amount": 0.03, "scale": 2, **USD, "isHold": False}, held]
    update(box, number, "redeem", "0.03")
    assert balances(box, number) == [held]


def test_card_number_and_pin_may_be_numbers() -> None:
    box = sandbox()
    while True:
        number = card(box)
        if (pin := box.pin(number) or "").startswith("0"):
            break
    body = {"filters": {"cardNumber": int(number)}, "forcePinValidation": True, "pin": int(pin), "returnFields": {}}
    said = box.post("search", body).json()
    assert said["cards"] == [{"cardNumber": number, "cardSetId": "EGIFT"}]


def test_a_wrong_pin_is_an_error_and_an_unknown_card_an_empty_list() -> None:
    box = sandbox()
    number = card(box)
    wrong: dict[str, Any] = {"forcePinValidation": True, "pin": "no"}
    asked = box.post("search", {"filters": {"cardNumber": number}, **wrong})
    assert error(asked) == (400, 10, "Invalid card PIN.")
    assert box.post("search", {"filters": {"cardNumber": number}, "pin": "no"}).status == 200
    assert box.post("search", {"filters": {"cardNumber": "123"}, **wrong}).json()["cards"] == []
    assert error(update(box, number, "issue", "1", **wrong))[1] == 10
    assert error(update(box, number, "issue", "1", forcePinValidation=True))[1] == 10
    assert update(box, number, "issue", "1", forcePinValidation=True, pin=box.pin(number)).status == 200


def test_a_card_without_pin() -> None:
    box, strict = sandbox(), sandbox(pin_of_pinless_card="error")
    for each, status in ((box, 200), (strict, 400)):
        said = each.post("allocate", {"cardSetId": "OLD"}).json()
        assert "pin" not in said
        asked = {"filters": {"cardNumber": said["cardNumber"]}, "forcePinValidation": True, "pin": "1"}
        assert each.post("search", asked).status == status


def test_search_shows_cards_that_are_not_active_only_when_asked() -> None:
    box = sandbox()
    number = box.inventory("PLASTIC")[0]
    asked = {"filters": {"cardNumber": number}, "returnFields": {"status": True, "activationDate": True}}
    assert box.post("search", asked).json()["cards"] == []
    shown = box.post("search", {**asked, "includeInactive": True}).json()["cards"]
    assert shown == [{"cardNumber": number, "cardSetId": "PLASTIC", "status": "Inactive"}]
    box.post("allocate", {"cardNumber": number})
    assert box.post("search", asked).json()["cards"][0]["activationDate"] == "2018-01-14 00:00:00"


def test_account_data_is_kept_and_found_again() -> None:
    box = sandbox()
    number = card(box)
    customer = {"firstName": "Zoë", "email": "z@example.com", "phone": "+15550100", "visits": Decimal("1.5")}
    sent = {
        "cardNumber": number,
        "primaryCustomer": customer,
        "countAsEnrollment": True,
        "brandDemographics": [{"fieldName": "size", "value": 2}],
        "customCardNumber": "C-1",
    }
    assert list(box.post("updateAccount", sent).json()) == ["success", "requestRef"]
    fields = {"customer": True, "isEnrolled": True, "brandDemographics": True, "alternateCustomer": True}
    for filters in ({"email": "z@example.com", "phone": "+15550100"}, {"customCardNumber": "C-1"}):
        [found] = box.post("search", {"filters": filters, "returnFields": fields}).json()["cards"]
        assert found == {
            "cardNumber": number,
            "cardSetId": "EGIFT",
            "customer": {**customer, "visits": 1.5},
            "isEnrolled": True,
            "brandDemographics": '[{"fieldName":"size","value":2}]',
        }
    assert box.post("search", {"filters": {"email": "z@example.com", "phone": "1"}}).json()["cards"] == []
    assert box.post("search", {"filters": {}}).json()["cards"] == []


def test_history_is_newest_first_with_a_hold_as_zero() -> None:
    box = sandbox()
    number = card(box, "78.20")
    hold = update(box, number, "hold", "34").json()["transactionId"]
    update(box, number, "redeem", "34", redeemFromHoldTransactionId=hold)
    box.post("updateAccount", {"cardNumber": number})
    answer = box.post(
        "cardHistory",
        {"cardNumber": number, "limit": 100, "offset": 0, "restrictTransactionTypes": ["ALLOCATE", "UPDATE_BALANCE"]},
    )
    said = answer.json()
    assert [line["balanceUpdates"] for line in said["transactions"]] == [
        [{**USD, "amount": -34.00}],
        [{**USD, "amount": 0.00}],
        [{**USD, "amount": 78.20}],
        [],
    ]
    assert b'"amount":0.00}' in answer.body
    assert [line["callType"] for line in said["transactions"]] == ["UPDATE_BALANCE"] * 3 + ["ALLOCATE"]
    assert said["transactions"][1] == {
        "transactionId": hold,
        "isLegacy": False,
        "transactionTime": 1515950890036,
        "location": "sandbox-location",
        "callType": "UPDATE_BALANCE",
        "balanceUpdates": [{**USD, "amount": 0.00}],
        "requestRef": hold,
    }
    assert (said["transactionCount"], said["matchCount"]) == (5, 4)
    assert said["oldestTransaction"] == said["newestTransaction"] == "2018-01-14 17:28:10"


def test_history_is_paged_and_begins_at_a_date() -> None:
    now = [CLOCK]
    box = Sandbox(card_sets={"EGIFT": 1}, clock=lambda: now[0])
    number = card(box)
    for amount in range(1, 6):
        now[0] += 60
        update(box, number, "issue", str(amount))
    page = box.post("cardHistory", {"cardNumber": number, "limit": 2, "offset": 1}).json()
    assert [line["balanceUpdates"][0]["amount"] for line in page["transactions"]] == [4, 3]
    late = box.post("cardHistory", {"cardNumber": number, "beginDate": "2018-01-14 17:32:00"}).json()
    assert (late["matchCount"], late["transactionCount"]) == (2, 6)


@pytest.mark.parametrize(
    ("method", "body", "code"),
    [
        ("updateBalance", {"cardNumber": ""}, 6),
        ("updateBalance", {}, 6),
        ("updateBalance", {"cardNumber": "1"}, 9001),
        ("cardHistory", {"cardNumber": "1"}, 9001),
        ("updateAccount", {"cardNumber": "1"}, 9001),
        ("checkoutLookup", {"checkoutTransactionId": "1"}, 9019),
        ("voidTransaction", {"requestRef": "1"}, 9011),
        ("voidTransaction", {}, 9011),
        ("search", {"filters": "x"}, 9017),
        ("search", {"filters": {"cardNumber": "\ud800"}}, 9017),
        ("search", {"limit": -1}, 9017),
        ("allocate", {"cardSetId": True}, 9017),
        ("allocate", {}, 6),
        ("flyToTheMoon", {}, 9022),
    ],
)
def test_errors(method: str, body: dict[str, Any], code: int) -> None:
    box = sandbox()
    assert error(box.post(method, body))[1] == code
    assert box.dump()["cards"] == {}


def test_a_card_never_activated_has_no_account() -> None:
    box = sandbox()
    number = box.inventory("PLASTIC")[0]
    text = "Could not find the account that goes with the specified card."
    assert error(box.post("cardHistory", {"cardNumber": number}))[2] == text
    assert error(update(box, number, "issue", "5"))[2] == text
    assert error(box.post("updateAccount", {"cardNumber": number}))[2] == text


@pytest.mark.parametrize(
    ("amount", "code"),
    [("-1", 9014), ("0", 9014), ("1.001", 9014), ("1e13", 9014), ("1e999999999", 9014), ("0." + "1" * 30, 9014)],
)
def test_amounts_that_are_refused(amount: str, code: int) -> None:
    box = sandbox()
    body = '{"cardNumber":"%s","action":"issue","amount":{"balanceType":"Currency","balanceCode":"USD","amount":%s}}'
    assert error(box.handle("updateBalance", box.headers(), (body % (card(box), amount)).encode()))[1] == code


@pytest.mark.parametrize("amount", [None, True, [], "", "ten", "NaN", "Infinity"])
def test_amounts_that_are_no_amounts(amount: object) -> None:
    box = sandbox()
    body = {"cardNumber": card(box), "action": "issue", "amount": {**USD, "amount": amount}}
    assert error(box.post("updateBalance", body))[1] == 9014


def test_unknown_words_in_an_update() -> None:
    box = sandbox()
    number = card(box)
    assert error(update(box, number, "release", "1"))[1] == 9016
    no_code = {"cardNumber": number, "action": "issue", "amount": {"balanceType": "Currency", "amount": 1}}
    assert error(box.post("updateBalance", no_code))[1] == 9015
    assert error(update(box, number, "issue", "1", issuedBalanceExpiration="soon"))[1] == 9017
    assert update(box, number, "issue", "1", issuedBalanceExpiration="2030-01-01 00:00:00").status == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b'{"a":NaN}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object(body: bytes) -> None:
    box = sandbox()
    assert error(box.handle("search", box.headers(), body)) == (400, 9017, "The request could not be read.")


def test_who_may_call() -> None:
    box = sandbox()
    good = box.headers()
    wrong = "Basic " + base64.b64encode(f"{box.credentials.api_key}:x".encode()).decode()
    for headers, status in (
        ({**good, "Authorization": wrong}, 401),
        ({**good, "Authorization": "Basic *"}, 401),
        ({**good, "Authorization": ""}, 401),
        ({**good, "brand": "another"}, 401),
        ({**good, "terminal": ""}, 400),
        ({"Authorization": good["Authorization"]}, 400),
        ({name.upper(): value for name, value in good.items()}, 200),
        ({**good, "location": "our other shop"}, 200),
    ):
        assert box.handle("/merchant/search", headers, b"{}").status == status


def test_numeric_transaction_ids() -> None:
    box = sandbox(transaction_ids="numeric")
    number = card(box, "5")
    said = update(box, number, "hold", "2").json()
    assert said["transactionId"].isdecimal()
    assert said["transactionId"] != said["requestRef"]
    assert list(box.holds(number)) == [said["transactionId"]]


def test_the_first_load_may_hide_its_update() -> None:
    box = sandbox(first_issue_shows_update=False)
    number = card(box, "5")
    update(box, number, "issue", "6")
    lines = box.post("cardHistory", {"cardNumber": number}).json()["transactions"]
    assert [line["balanceUpdates"] for line in lines] == [[{**USD, "amount": 6}], [], []]
    assert box.audit() == []


def test_nothing_that_is_printed_for_people_has_a_secret() -> None:
    box = sandbox()
    number = card(box, "5")
    pin, secret = str(box.pin(number)), box.credentials.api_secret
    answer = box.post("search", {"filters": {"cardNumber": number}, "pin": pin, "forcePinValidation": True})
    for text in (repr(box.credentials), repr(box.settings), repr(answer), repr(box._ledger.card(number))):
        assert secret not in text
        assert f"'{pin}'" not in text
    assert f'"{pin}"' not in str(box.dump())


def test_it_stands_alone() -> None:
    """It helps to test the rest of the library, so it uses none of it; and only `server` needs more than attrs."""
    package = Path(sandbox_package.__file__).parent
    for file in package.glob("*.py"):
        modules = re.findall(r"^\s*(?:from|import) ([\w.]+)", file.read_text(), re.MULTILINE)
        ours = [module for module in modules if module.startswith("tallystick")]
        assert [module for module in ours if not module.startswith(sandbox_package.__name__)] == []
        foreign = {module.partition(".")[0] for module in modules} - {*sys.stdlib_module_names, "tallystick", "attrs"}
        assert foreign == ({"starlette", "uvicorn"} if file.name == "server.py" else set())


DEEP = b"[" * 400 + b"]" * 400
ODD_VALUES = [b"1e999999999999999999999", b"1e-999999999999999999999", b"1e1000000", b"-1e30", b"0e999999", b"9" * 4000,
              b"9" * 5000, b"NaN", b"true", b"null", b'"NaN"', b'"sNaN"', b'"1e999999999999999999999"', b'"\\ud800"', DEEP,
              b'{"a":' + DEEP + b"}", b"[]", b"{}", b'""', b'"' + b"x" * 300_000 + b'"', '"４８３１"'.encode()]  # fmt: skip
ODD_BODIES = [
    ("search", b'{"x":%s}'), ("search", b'{"filters":{"cardNumber":%s},"returnFields":{"balances":true}}'),
    ("search", b'{"filters":%s,"returnFields":%s}'), ("search", b'{"filters":{"email":%s},"limit":%s,"offset":%s}'),
    ("search", b'{"filters":{"cardNumber":"CARD"},"forcePinValidation":true,"pin":%s}'),
    ("cardHistory", b'{"cardNumber":"CARD","limit":%s}'), ("cardHistory", b'{"cardNumber":"CARD","beginDate":%s}'),
    ("cardHistory", b'{"cardNumber":"CARD","restrictTransactionTypes":[%s]}'), ("allocate", b'{"cardSetId":%s}'),
    ("allocate", b'{"cardNumber":%s}'), ("updateBalance", b'{"cardNumber":"CARD","action":%s}'),
    *[("updateBalance", b'{"cardNumber":"CARD","action":"' + action + b'","amount":{"balanceType":"Currency",'
       b'"balanceCode":"USD","amount":%s}}') for action in (b"issue", b"redeem", b"hold")],
    ("updateBalance", b'{"cardNumber":"CARD","action":"issue","amount":{"balanceType":%s,"balanceCode":%s,"amount":1}}'),
    ("updateBalance", b'{"cardNumber":"CARD","action":"redeem","redeemFromHoldTransactionId":%s,"amount":{"balanceType":'
                      b'"Currency","balanceCode":"USD","amount":0}}'),
    ("updateAccount", b'{"cardNumber":"CARD","customData":%s}'), ("updateAccount", b'{"cardNumber":"CARD","status":%s}'),
    ("updateAccount", b'{"cardNumber":"CARD","primaryCustomer":{"email":%s},"customCardNumber":%s}'),
    ("voidTransaction", b'{"requestRef":%s,"cardNumber":"CARD"}'), ("voidTransaction", b'{"requestRef":"1","cardNumber":%s}'),
    ("checkout", b'{"products":[{"sku":%s,"unitPrice":%s,"amountPurchased":%s}]}'), ("checkout", b'{"checkoutTotal":%s}'),
    ("checkoutLookup", b'{"checkoutTransactionId":%s}'), ("nothing", b"%s"), ("search", b"%s"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "body"), ODD_BODIES)
def test_no_value_is_too_odd_for_an_answer(method: str, body: bytes) -> None:
    box = sandbox()
    number = card(box, "30.00")
    for value in ODD_VALUES:
        before = box.dump()
        response = box.handle(method, box.headers(), body.replace(b"CARD", number.encode()).replace(b"%s", value))
        assert response.status in (200, 400, 404)
        assert response.json()["success"] is (response.status == 200)
        if response.status != 200:
            assert box.dump() == before
        after = box.post("search", {"filters": {"cardNumber": number}, "returnFields": {"customData": True}})
        assert after.status == 200
    assert box.audit() == []


@pytest.mark.parametrize("fault", ["short_approval:" + "9" * 5000, "slow:" + "9" * 5000 + "ms", "late:" + "1" * 99])
def test_nor_is_a_fault(fault: str) -> None:
    box = sandbox()
    assert box.post("allocate", {"cardSetId": "EGIFT"}, fault=fault).status == 400


def test_another_channel_that_cannot_spend_does_nothing() -> None:
    box = sandbox()
    number = card(box, "30.00")
    box.post("updateAccount", {"cardNumber": number, "status": "Suspended"})
    for body in (
        b'{"cardNumber":"' + number.encode() + b'"}',
        b'{"cardNumber":"\\ud800"}',
        b"[",
        b"1e9999999999999999999",
    ):
        headers = {**box.headers(), "x-sandbox-fault": "other_channel:5.00"}
        assert box.handle("cardHistory", headers, body).status in (200, 400)
    assert box.balances(number) == {"USD": 3000}
