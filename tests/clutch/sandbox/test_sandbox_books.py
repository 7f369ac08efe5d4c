"""The sandbox's books: how value moves, under every setting the public record leaves open."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tallystick.clutch.sandbox import Refused, Response, Sandbox, Settings

USD = {"balanceType": "Currency", "balanceCode": "USD"}


class Card:
    """One card of a fresh sandbox."""

    def __init__(self, issued: str | None = None, state: Path | None = None, **settings: Any) -> None:
        self.now = 1_800_000_000.0
        self.box = Sandbox(Settings(**settings), {"EGIFT": 5}, seed=3, state=state, clock=lambda: self.now)
        self.number = str(self.box.post("allocate", {"cardSetId": "EGIFT"}).json()["cardNumber"])
        if issued is not None:
            self.do("issue", issued)

    def ask(self, action: str, amount: str, hold: str | None = None, **more: Any) -> Response:
        body = {"cardNumber": self.number, "action": action, "amount": {**USD, "amount": Decimal(amount)}, **more}
        return self.box.post("updateBalance", body if hold is None else {**body, "redeemFromHoldTransactionId": hold})

    def do(self, action: str, amount: str, hold: str | None = None, **more: Any) -> str:
        answer = self.ask(action, amount, hold, **more)
        assert answer.status == 200, answer.body
        return str(answer.json()["transactionId"])

    def refused(self, action: str, amount: str, hold: str | None = None, **more: Any) -> int:
        before = self.box.dump()
        answer = self.ask(action, amount, hold, **more)
        assert self.box.dump() == before
        return int(answer.json()["errorCode"])

    def void(self, request: str) -> Response:
        return self.box.post("voidTransaction", {"requestRef": request, "cardNumber": self.number})

    def voided(self, request: str) -> int:
        return int(self.void(request).json().get("errorCode", 0))

    @property
    def has(self) -> tuple[int, list[int]]:
        """Available, and what each open hold holds."""
        assert self.box.audit() == []
        return self.box.balances(self.number).get("USD", 0), list(self.box.holds(self.number).values())


def test_redeem_takes_from_what_is_available() -> None:
    card = Card("10")
    card.do("hold", "4")
    assert card.refused("redeem", "6.01") == 9003
    card.do("redeem", "6")
    assert card.has == (0, [400])


def test_redeem_as_much_as_there_is() -> None:
    card = Card("10")
    said = card.ask("redeem", "12.50", redeemMaxOnOverdraw=True, returnBalances=True).json()
    assert (said["didOverdraw"], said["balances"]) == (True, [])
    assert card.refused("redeem", "1", redeemMaxOnOverdraw=True) == 9003
    generous = Card(overdraw_of_nothing="zero", approved_field="approved", due_field="amountDue")
    said = generous.ask("redeem", "1", redeemMaxOnOverdraw=True).json()
    assert (said["didOverdraw"], said["approved"], said["amountDue"]) == (True, 0, 1)


def test_hold_above_what_is_available() -> None:
    assert Card("10").refused("hold", "10.01") == 9003
    for card, flag in ((Card("10", hold_above_available="partial"), False), (Card("10"), True)):
        said = card.ask("hold", "10.01", redeemMaxOnOverdraw=flag).json()
        assert said["didOverdraw"] is True
        assert card.has == (0, [1000])
        assert card.refused("hold", "1", redeemMaxOnOverdraw=flag) == 9003
    assert Card("1", overdraw_flag_covers_hold=False).refused("hold", "2", redeemMaxOnOverdraw=True) == 9003


# fmt: off
FROM_HOLD: list[tuple[str, bool, dict[str, Any], int | tuple[int, list[int]]]] = [
    # from a hold of 10 beside 5 available                    available, holds or error code
    ("10",   False, {},                                       (500,  [])),
    ("10",   True,  {},                                       (500,  [])),
    ("4",    True,  {},                                       (1100, [])),
    ("4",    False, {},                                       (500,  [600])),
    ("4",    False, {"remainder_keeps_id": False},            (500,  [600])),
    ("0",    True,  {},                                       (1500, [])),
    ("0",    False, {},                                       (500,  [1000])),
    ("0",    False, {"zero_from_hold": "release"},            (1500, [])),
    ("0",    False, {"zero_from_hold": "error"},              9014),
    ("-1",   True,  {},                                       9014),
    ("12",   False, {},                                       9010),
    ("12",   False, {"redeem_above_hold": True},              (300,  [])),
    ("12",   True,  {"redeem_above_hold": True},              (300,  [])),
    ("15.01", True, {"redeem_above_hold": True},              9003),
]
# fmt: on


@pytest.mark.parametrize(("amount", "release", "settings", "expected"), FROM_HOLD)
def test_redeem_from_hold(
    amount: str, release: bool, settings: dict[str, Any], expected: int | tuple[int, list[int]]
) -> None:
    card = Card("15", **settings)
    hold = card.do("hold", "10")
    if isinstance(expected, int):
        assert card.refused("redeem", amount, hold, releaseHoldRemainder=release) == expected
    else:
        card.do("redeem", amount, hold, releaseHoldRemainder=release)
        assert card.has == expected


def test_the_rest_of_a_hold_keeps_its_id_or_gets_a_new_one() -> None:
    card = Card("10")
    hold = card.do("hold", "10")
    card.do("redeem", "4", hold)
    assert card.box.holds(card.number) == {hold: 600}
    card.do("redeem", "6", hold)
    assert card.refused("redeem", "1", hold) == 9009
    other = Card("10", remainder_keeps_id=False)
    hold = other.do("hold", "10")
    rest = other.do("redeem", "4", hold)
    assert other.box.holds(other.number) == {rest: 600}
    assert other.refused("redeem", "1", hold) == 9009


def test_overdrawing_a_hold_takes_what_the_settings_allow() -> None:
    card = Card("15")
    said = card.ask("redeem", "12", card.do("hold", "10"), redeemMaxOnOverdraw=True).json()
    assert (said["didOverdraw"], card.has) == (True, (500, []))
    card = Card("15", redeem_above_hold=True)
    said = card.ask("redeem", "20", card.do("hold", "10"), redeemMaxOnOverdraw=True).json()
    assert (said["didOverdraw"], card.has) == (True, (0, []))


def test_holds_that_cannot_be_redeemed() -> None:
    card = Card("10")
    hold = card.do("hold", "5")
    assert card.refused("redeem", "1", "nonsense") == 9009
    other = card.box.post("allocate", {"cardSetId": "EGIFT"}).json()["cardNumber"]
    from_hold = {"action": "redeem", "redeemFromHoldTransactionId": hold}
    for number, code in ((card.number, "EUR"), (other, "USD")):
        body = {**from_hold, "cardNumber": number, "amount": {**USD, "balanceCode": code, "amount": 1}}
        assert card.box.post("updateBalance", body).json()["errorCode"] == 9009
    card.do("redeem", "0", hold, releaseHoldRemainder=True)
    assert card.refused("redeem", "0", hold, releaseHoldRemainder=True) == 9009


def test_limits_of_the_program() -> None:
    card = Card("60", max_issue=10_000, max_balance=15_000)
    card.do("hold", "50")
    assert card.refused("issue", "100.01") == 9005
    assert card.refused("issue", "90.01") == 9005
    card.do("issue", "90")


def test_precision_and_zero_by_setting() -> None:
    card = Card("10.005", excess_precision="round", zero_amount="accept")
    assert card.has == (1000, [])
    card.do("redeem", "0")
    card.do("issue", "0")
    assert card.has == (1000, [])


def test_a_suspended_card() -> None:
    card = Card("20")
    hold = card.do("hold", "5")
    status = {"cardNumber": card.number, "status": "Suspended"}
    assert card.box.post("updateAccount", status).status == 200
    assert card.box.status(card.number) == "suspended"
    assert {card.refused(action, "1") for action in ("issue", "redeem", "hold")} == {9008}
    card.do("redeem", "2", hold)
    card.do("redeem", "0", hold, releaseHoldRemainder=True)
    card.do("redeem", "18", isAdjustment=True)
    assert card.has == (0, [])
    assert card.box.post("updateAccount", {**status, "status": "Frozen"}).json()["errorCode"] == 9018
    card.box.post("updateAccount", {**status, "status": "Active"})
    card.do("issue", "1")


def test_what_a_suspended_card_refuses_is_a_setting() -> None:
    card = Card("20", suspended_refuses=frozenset({"release", "void", "adjustment"}), suspended_is_inactive=True)
    hold, redeemed = card.do("hold", "5"), card.do("redeem", "1")
    card.box.post("updateAccount", {"cardNumber": card.number, "status": "Suspended"})
    assert card.refused("redeem", "0", hold, releaseHoldRemainder=True) == 9008
    assert card.refused("issue", "1", isAdjustment=True) == 9008
    assert card.voided(redeemed) == 9008
    card.do("issue", "1")
    filters = {"filters": {"cardNumber": card.number}}
    assert card.box.post("search", filters).json()["cards"] == []
    assert len(card.box.post("search", {**filters, "includeInactive": True}).json()["cards"]) == 1


def test_an_adjustment_has_either_sign_and_its_name_is_a_setting() -> None:
    card = Card("5")
    card.do("issue", "-2", isAdjustment=True)
    card.do("redeem", "-1", isAdjustment=True)
    assert card.refused("redeem", "4.01", isAdjustment=True) == 9003
    assert card.has == (400, [])
    assert Card("5", adjustment_field="adjust").refused("issue", "-2", isAdjustment=True) == 9014


def test_void_undoes_once() -> None:
    card = Card("5")
    issued, redeemed = card.do("issue", "7"), card.do("redeem", "3")
    said = card.void(redeemed).json()
    assert (said["cardNumber"], said["transactionId"]) == (card.number, said["requestRef"])
    assert card.voided(redeemed) == 9012
    assert card.voided(said["transactionId"]) == 9013
    assert card.has == (1200, [])
    card.do("redeem", "6")
    assert card.voided(issued) == 9003
    assert card.has == (600, [])


def test_void_knows_card_pin_and_time() -> None:
    card = Card("5", void_within_seconds=60)
    redeemed = card.do("redeem", "3")
    other = card.box.post("allocate", {"cardSetId": "EGIFT"}).json()
    body = {"requestRef": redeemed, "cardNumber": other["cardNumber"]}
    assert card.box.post("voidTransaction", body).json()["errorCode"] == 9011
    assert card.box.post("voidTransaction", {"requestRef": redeemed}).json()["errorCode"] == 6
    pin = {"requestRef": redeemed, "cardNumber": card.number, "forcePinValidation": True, "pin": ""}
    assert card.box.post("voidTransaction", pin).json()["errorCode"] == 10
    assert card.voided(card.box.history(card.number)[-1].request_ref) == 9013
    card.now += 61
    assert card.voided(redeemed) == 9013


@pytest.mark.parametrize(
    ("where", "expected"), [("available", (600, [600])), ("hold", (200, [1000])), ("error", (200, [600]))]
)
def test_void_of_a_redemption_from_a_hold(where: str, expected: tuple[int, list[int]]) -> None:
    card = Card("12", void_of_redeemed_hold=where)
    redeemed = card.do("redeem", "4", card.do("hold", "10"))
    assert card.voided(redeemed) == (9013 if where == "error" else 0)
    assert card.has == expected


def test_void_of_a_hold() -> None:
    card = Card("10")
    first, second = card.do("hold", "4"), card.do("hold", "3")
    card.do("redeem", "1", second)
    assert card.voided(first) == 0
    assert card.voided(second) == 9013
    assert card.has == (700, [200])
    strict = Card("10", void_of_hold="error")
    assert strict.voided(strict.do("hold", "4")) == 9013


def test_checkout_in_one_stage_is_a_record_only() -> None:
    card = Card("10")
    products = [{"sku": "A", "amountPurchased": 2, "unitPrice": Decimal("3.50")}, {"sku": "B", "unitPrice": 1}]
    flags = {"returnBalances": True, "returnBalanceMutations": True}
    said = card.box.post(
        "checkout", {"cardNumber": card.number, "products": products, "isSetup": False, **flags}
    ).json()
    assert (said["checkoutTotalBeforeDiscount"], said["totalDiscount"], said["balanceMutations"]) == (8, 0, [])
    assert said["balances"][0]["amount"] == 10
    found = card.box.post("checkoutLookup", {"checkoutTransactionId": said["transactionId"]}).json()
    assert (found["skus"], found["balanceMutations"]) == ([{"sku": "A"}, {"sku": "B"}], [])
    assert found["locationId"] == "sandbox-location"
    listed = card.box.post("search", {"filters": {"cardNumber": card.number}, "returnFields": {"checkouts": True}})
    assert listed.json()["cards"][0]["checkouts"] == [{"transactionId": said["transactionId"]}]


def test_checkout_in_two_stages_applies_once() -> None:
    card = Card("10", checkout_redeems=True, checkout_points_per_unit=2)
    body = {"cardNumber": card.number, "checkoutTotal": Decimal("25.50"), "returnBalanceMutations": True}
    setup = card.box.post("checkout", {**body, "isSetup": True}).json()
    assert card.has == (1000, [])
    assert setup["totalDiscount"] == 10
    assert setup["balanceMutations"] == [
        {**USD, "amount": -10, "isDiscount": True},
        {"balanceType": "Points", "amount": 30, "isDiscount": False},
    ]
    complete = {**body, "isSetup": False, "checkoutTransactionId": setup["transactionId"]}
    done = card.box.post("checkout", complete).json()
    assert card.box.balances(card.number) == {"Points": 30}
    found = card.box.post("checkoutLookup", {"checkoutTransactionId": done["transactionId"]}).json()
    assert found["balanceMutations"] == setup["balanceMutations"] == done["balanceMutations"]
    assert card.box.post("checkout", complete).json()["errorCode"] == 9019
    assert card.voided(setup["transactionId"]) == 9013
    assert card.voided(done["transactionId"]) == 0
    assert card.box.balances(card.number) == {"USD": 1000}


def test_checkout_without_a_card_and_with_one_that_may_not() -> None:
    card = Card("10")
    said = card.box.post("checkout", {"checkoutTotal": 5, "returnBalances": True}).json()
    assert "cardNumber" not in said
    assert card.box.post("voidTransaction", {"requestRef": said["requestRef"]}).json()["errorCode"] == 9013
    card.box.post("updateAccount", {"cardNumber": card.number, "status": "Suspended"})
    assert card.box.post("checkout", {"cardNumber": card.number}).json()["errorCode"] == 9008
    inactive = card.box.inventory("EGIFT")[0]
    assert card.box.post("checkout", {"cardNumber": inactive}).json()["errorCode"] == 9002
    bad: list[dict[str, Any]] = [{"checkoutTotal": -1}, {"checkoutTotal": "x"}, {"products": [1]}, {"products": {}}]
    assert {card.box.post("checkout", body).status for body in bad} == {400}


def test_a_request_may_be_told_from_its_repeat_by_setting() -> None:
    for deduplicate, expected in ((False, 2000), (True, 1000)):
        card = Card(deduplicate=deduplicate)
        body = {"cardNumber": card.number, "action": "issue", "amount": {**USD, "amount": 10}}
        first, second = (card.box.post("updateBalance", body, customRequestId="k").json() for _ in range(2))
        assert (first == second) is deduplicate
        assert card.has == (expected, [])


def test_the_operator_spends_elsewhere() -> None:
    card = Card("10")
    card.box.spend_elsewhere(card.number, 300)
    assert card.has == (700, [])
    newest = card.box.history(card.number)[0]
    assert (newest.operation, newest.location) == ("redeem", "elsewhere")
    with pytest.raises(Refused, match="NSF"):
        card.box.spend_elsewhere(card.number, 701)
    with pytest.raises(Refused, match="specified card"):
        card.box.spend_elsewhere("1", 1)
    with pytest.raises(ValueError, match="ZZZ"):
        card.box.spend_elsewhere(card.number, 1, "ZZZ")


def test_the_same_seed_gives_the_same_books() -> None:
    dumps = []
    for _ in range(2):
        card = Card("10")
        card.do("redeem", "3", card.do("hold", "5"))
        dumps.append(card.box.dump())
    assert dumps[0] == dumps[1]


def test_a_state_is_opened_again(tmp_path: Path) -> None:
    state = tmp_path / "books.db"
    card = Card("10", state=state)
    hold = card.do("hold", "4")
    before, headers = card.box.dump(), card.box.headers()
    card.box.close()
    assert state.stat().st_mode & 0o077 == 0
    with Sandbox(card_sets={"EGIFT": 8, "NEW": 1}, seed=99, state=state) as again:
        assert again.dump()["cards"] == before["cards"]
        assert again.dump()["card_sets"] == {"EGIFT": {"cards": 8, "free": 7}, "NEW": {"cards": 1, "free": 1}}
        assert again.headers() == headers
        assert again.holds(card.number) == {hold: 400}
        other = again.post("allocate", {"cardSetId": "EGIFT"}).json()
        refs = {line["transaction"] for line in before["cards"][card.number]["history"]}
        assert other["requestRef"] not in refs


def test_settings_from_text_and_their_errors() -> None:
    texts = "hold_above_available=partial pin_length=6 deduplicate=true max_issue=none due_field=due"
    assert Settings.parse([*texts.split(), "suspended_refuses=issue+hold"]) == Settings(
        hold_above_available="partial",
        pin_length=6,
        deduplicate=True,
        due_field="due",
        suspended_refuses=frozenset({"issue", "hold"}),
    )
    for bad in ("zero_amount=maybe", "nonsense=1", "pin_length", "deduplicate=2", "suspended_refuses=x", "errors=1"):
        with pytest.raises(ValueError, match=bad.partition("=")[0]):
            Settings.parse([bad])
    with pytest.raises(ValueError, match="number_length"):
        Settings(number_length=8)
