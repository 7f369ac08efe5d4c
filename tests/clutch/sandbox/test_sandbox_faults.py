"""Faults: what each does to the books and to the answer, and how they are asked for."""

from __future__ import annotations

import json
import random
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from tallystick.clutch.sandbox import ConnectionLost, Fault, Faults, Response, Sandbox, Settings

USD = {"balanceType": "Currency", "balanceCode": "USD"}


class Card:
    """A card with 100.00 in a sandbox of its own."""

    def __init__(self, faults: str | None = None, **settings: Any) -> None:
        self.now = 1_800_000_000.0
        self.box = Sandbox(Settings(**settings), {"EGIFT": 5}, seed=5, faults=faults, clock=lambda: self.now)
        self.number = str(self.box.post("allocate", {"cardSetId": "EGIFT"}, fault="none").json()["cardNumber"])
        self.update("issue", "100", fault="none")

    def update(self, action: str, amount: str, fault: str | None = None, **more: Any) -> Response:
        body = {"cardNumber": self.number, "action": action, "amount": {**USD, "amount": Decimal(amount)}, **more}
        return self.box.post("updateBalance", body, fault=fault)

    @property
    def available(self) -> int:
        assert self.box.audit() == []
        return self.box.balances(self.number)["USD"]


# fmt: off
DONE = [
    ("lost_before",        10000),
    ("lost_after",          9000),
    ("slow",                9000),
    ("500_before",         10000),
    ("500_after",           9000),
    ("429",                10000),
    ("broken_json",         9000),
    ("truncated",           9000),
    ("duplicate",           8000),
    ("short_approval:4.00", 9600),
    ("wrong_currency",      9000),
    ("other_channel:5.00",  8500),
    ("other_channel:same",  8000),
    ("other_channel:twin",  8000),
    ("late",               10000),
]
# fmt: on


@pytest.mark.parametrize(("fault", "available"), DONE)
def test_what_is_done_to_the_books(fault: str, available: int) -> None:
    card = Card()
    if fault in ("lost_before", "lost_after", "late"):
        with pytest.raises(ConnectionLost) as lost:
            card.update("redeem", "10", fault)
        assert lost.value.when == ("after" if fault == "lost_after" else "before")
    else:
        card.update("redeem", "10", fault)
    assert card.available == available


def test_answers_that_are_spoiled() -> None:
    card = Card()
    assert card.update("redeem", "1", "429").json()["errorMessage"] == "Too many requests."
    for fault in ("500_before", "500_after"):
        answer = card.update("redeem", "1", fault)
        assert (answer.status, answer.headers["Content-Type"]) == (500, "text/html")
        with pytest.raises(ValueError, match="Expecting"):
            answer.json()
    broken = card.update("redeem", "1", "broken_json")
    assert broken.status == 200
    assert int(broken.headers["Content-Length"]) == len(broken.body)
    with pytest.raises(ValueError, match=r"Unterminated|Expecting|delimiter"):
        broken.json()
    truncated = card.update("redeem", "1", "truncated")
    assert not truncated.complete
    assert int(truncated.headers["Content-Length"]) > len(truncated.body)
    assert card.update("redeem", "1", "slow:40ms").delay == 0.04
    assert card.update("redeem", "1", "slow").delay == 0.25


def test_a_500_may_be_json() -> None:
    answer = Card(server_error_form="json").update("redeem", "1", "500_after")
    assert (answer.status, answer.json()["success"]) == (500, False)


def test_a_wrong_currency_is_only_in_the_answer() -> None:
    card = Card()
    answer = card.update("hold", "10", "wrong_currency", returnBalances=True).json()
    assert {balance["balanceCode"] for balance in answer["balances"]} == {"XTS"}
    assert card.available == 9000


def test_a_short_approval_is_told_by_the_overdraw_and_the_hold() -> None:
    card = Card()
    answer = card.update("hold", "10", "short_approval", returnBalances=True).json()
    [held] = [balance for balance in answer["balances"] if balance["isHold"]]
    assert (answer["didOverdraw"], held["holdingTransactionId"]) == (True, answer["transactionId"])
    assert 0 < held["amount"] < 10


def test_a_duplicate_allocate_uses_two_cards() -> None:
    card = Card()
    before = card.box.inventory("EGIFT")
    answer = card.box.post("allocate", {"cardSetId": "EGIFT"}, fault="duplicate").json()
    assert answer["cardNumber"] == before[0]
    assert card.box.inventory("EGIFT") == before[2:]


def test_the_other_channel_is_seen_in_history_by_its_location() -> None:
    card = Card()
    card.update("hold", "10", "other_channel:same")
    card.update("redeem", "1", "other_channel:twin")
    card.box.post("search", {"filters": {"cardNumber": card.number}}, fault="other_channel")
    card.box.post("allocate", {"cardSetId": "EGIFT"}, fault="other_channel:same")
    lines = [(entry.operation, entry.location) for entry in card.box.history(card.number)]
    assert lines[:5] == [
        ("redeem", "elsewhere"),
        ("redeem", "sandbox-location"),
        ("redeem", "sandbox-location"),
        ("hold", "sandbox-location"),
        ("hold", "elsewhere"),
    ]


def test_the_other_channel_knows_nothing_of_a_hold() -> None:
    card = Card()
    hold = card.update("hold", "10").json()["transactionId"]
    card.update("redeem", "4", "other_channel:same", redeemFromHoldTransactionId=hold)
    assert (card.available, card.box.holds(card.number)) == (8600, {hold: 600})


def test_late_work_is_done_behind_the_back() -> None:
    card = Card()
    with pytest.raises(ConnectionLost):
        card.update("redeem", "10", "late:3000ms")
    card.now += 2
    assert card.available == 10000
    card.now += 1
    assert card.available == 9000


def test_several_at_once_and_none() -> None:
    card = Card("lost_before=1")
    with pytest.raises(ConnectionLost, match="before"):
        card.update("redeem", "10")
    with pytest.raises(ConnectionLost, match="after"):
        card.update("redeem", "10", "other_channel:same,lost_after")
    assert card.available == 8000
    assert card.update("redeem", "10", "none").status == 200


def test_chances_are_kept_and_come_from_the_seed() -> None:
    faults = Faults.parse("lost_after=0.02, slow=0.1:70ms,all=0.11")
    assert faults.chances[Fault.LOST_AFTER] == 0.02
    assert faults.chances[Fault.DUPLICATE] == 0.11 / 12
    assert Fault.LATE not in faults.chances
    rng, other = random.Random(1), random.Random(1)
    plans = [faults.draw(rng, None) for _ in range(20_000)]
    assert plans == [faults.draw(other, None) for _ in range(20_000)]
    assert {argument for plan in plans for argument in plan.values()} == {"", "70ms"}
    counts = Counter(fault for plan in plans for fault in plan)
    assert 1800 < counts[Fault.SLOW] < 2200
    assert 320 < counts[Fault.LOST_AFTER] < 480
    assert all(len(plan) <= 1 for plan in plans)


def test_a_sandbox_with_faults_is_the_same_again() -> None:
    def run() -> tuple[Any, list[str]]:
        card, seen = Card("all=0.5"), []
        for step in range(60):
            try:
                seen.append(str(card.update("redeem" if step % 2 else "issue", "3").status))
            except ConnectionLost as lost:
                seen.append(lost.when)
        return card.box.dump(), seen

    first, second = run(), run()
    assert first == second
    assert set(first[1]) >= {"200", "429", "500", "before", "after"}


@pytest.mark.parametrize(
    "spec", ["nonsense=1", "lost_after", "slow=x", "all=2", "slow=0.6,429=0.6", "429=1:5ms", "slow=1:soon", "all"]
)
def test_a_spec_that_cannot_be_read(spec: str) -> None:
    with pytest.raises(ValueError, match="fault"):
        Faults.parse(spec)


def test_a_fault_header_that_cannot_be_read_is_said() -> None:
    answer = Card().update("redeem", "1", "nonsense")
    assert answer.status == 400
    assert "unknown fault 'nonsense'" in json.loads(answer.body)["errorMessage"]
