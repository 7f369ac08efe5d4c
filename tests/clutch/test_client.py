"""The provider against the sandbox, in process and over real HTTP: every verb, every fault, and what is looked up."""

from __future__ import annotations

import logging
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, nullcontext
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest

from tallystick.clutch import wire
from tallystick.clutch.answers import NotRead
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.request_limits import Bucket, Circuit, CircuitBreaker, LeakyBucket, admitted, failed, poured
from tallystick.clutch.sandbox import CardSet, Sandbox, Settings
from tallystick.clutch.settings import ClutchSettings
from tallystick.clutch.transport import Answer, InProcess, Lost, NotSent
from tallystick.errors import Invalid
from tallystick.provider.protocol import Ambiguous, Call, CardFacts, NotSeen, Outcome, Provider, Reason, Result

START = datetime(2026, 3, 2, 12, 0, tzinfo=timezone.utc)
SETS: dict[str, int | CardSet] = {"GIFT": 40, "PLASTIC": CardSet(9, physical=True), "LEGACY": CardSet(3, pins=False)}


class Wire:
    """An in-process transport that can be told how the next request that changes something goes wrong."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.inner = InProcess(sandbox, read_timeout=0.2)
        self.fault: str | None = None
        self.reading_fault: str | None = None
        self.seen: list[tuple[str, Mapping[str, str], bytes]] = []

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.seen.append((method, headers, body))
        if method in ("search", "cardHistory"):
            fault, self.reading_fault = self.reading_fault, None
        else:
            fault, self.fault = self.fault, None
        return self.inner.send(method, {**headers, "x-sandbox-fault": fault or "none"}, body)

    def close(self) -> None:
        pass


class Shop:
    """A provider, its sandbox, one clock; and one card with 50.00 on it, 20.00 of them held."""

    def __init__(self, sandbox: Settings | None = None, **settings: Any) -> None:
        self.now = START
        self.sandbox = Sandbox(sandbox, SETS, seed=5, clock=lambda: self.now.timestamp())
        self.wire = Wire(self.sandbox)
        self.provider = ClutchProvider(
            settings_of(self.sandbox, "http://127.0.0.1:1", **settings), self.wire, clock=lambda: self.now,
            sleep=lambda seconds: None,
        )  # fmt: skip
        self.claimed: set[str] = set()  # shared by every call
        self.in_doubt: list[Call] = []
        self.count = 0
        self.card = CardFacts("c1", "USD", card_set="GIFT", form="electronic")
        drawn = self.perform("allocate")
        self.card, self.pin = attrs.evolve(self.card, number=drawn.number), drawn.pin
        self.perform("issue", amount=5000)
        self.redemption = self.perform("redeem", amount=500)
        self.hold = self.perform("hold", amount=2000, pin=self.pin).reference

    @property
    def number(self) -> str:
        assert self.card.number
        return self.card.number

    def call(self, verb: str, *, pin: str | None = None, attempt: int = 1, **args: object) -> Call:
        self.count += 1
        secrets = {"pin": pin} if pin else {}
        return Call(
            f"call-{self.count}", verb, self.card, args, secrets, "order 7", self.now, attempt=attempt,
            claimed=self.claimed, in_doubt=self.in_doubt,
        )  # fmt: skip

    def perform(self, verb: str, **args: Any) -> Outcome:
        return self.claim(self.provider.perform(self.call(verb, **args)))

    def claim(self, outcome: Outcome) -> Outcome:
        self.claimed |= {each for each in (outcome.reference, outcome.request) if each}
        return outcome

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        self.now += timedelta(minutes=1)
        return self.provider.look_up(call)

    def last(self) -> str:
        return self.sandbox.history(self.number)[0].transaction_id


def settings_of(sandbox: Sandbox, url: str, **more: Any) -> ClutchSettings:
    known = sandbox.credentials
    return ClutchSettings(
        base_url=url, api_key=known.api_key, api_secret=known.api_secret, brand=known.brand, location=known.location,
        terminal=known.terminal, **{"rate": 1e6, "burst": 10**6, "read_timeout": 0.2, "read_pause": 0.0, **more},
    )  # fmt: skip


def is_provider(provider: Provider) -> Provider:
    return provider


def test_it_is_a_provider() -> None:
    shop = Shop()
    assert (is_provider(shop.provider).name, shop.provider.local) == ("clutch", False)


# --- Every verb, done


# The last of a verb's arguments; "hold" and "redemption" stand for the shop's own.
VERBS: dict[str, dict[str, object]] = {
    "issue": {"amount": 1000},
    "hold": {"amount": 1000},
    "redeem": {"amount": 1000},
    "redeem_hold": {"amount": 1500, "release": 500, "hold": "hold"},
    "redeem_hold whole": {"amount": 2000, "release": 0, "hold": "hold", "held": 2000},
    "redeem_hold keeping": {"amount": 1500, "release": 0, "hold": "hold", "held": 2000},
    "release_hold": {"amount": 2000, "hold": "hold"},
    "void": {"amount": 500, "transaction": "redemption"},
    "adjust": {"amount": 300},
    "adjust down": {"amount": -300},
    "suspend": {},
}
# What each leaves: available, held.
LEAVES = {
    "issue": (3500, 2000), "hold": (1500, 3000), "redeem": (1500, 2000), "redeem_hold": (3000, 0),
    "redeem_hold whole": (2500, 0), "redeem_hold keeping": (2500, 500), "release_hold": (4500, 0),
    "void": (3000, 2000), "adjust": (2800, 2000), "adjust down": (2200, 2000), "suspend": (2500, 2000),
}  # fmt: skip
MONEY_VERBS = [verb for verb in VERBS if verb != "suspend"]


def arguments(shop: Shop, verb: str) -> dict[str, object]:
    known: dict[object, object] = {"hold": shop.hold, "redemption": shop.redemption.request}
    return {name: known.get(value, value) if isinstance(value, str) else value for name, value in VERBS[verb].items()}


def standing(shop: Shop) -> tuple[int, int]:
    return shop.sandbox.balances(shop.number).get("USD", 0), sum(shop.sandbox.holds(shop.number).values())


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("ids", ["request_ref", "numeric"])
def test_every_verb(verb: str, ids: Any) -> None:
    shop = Shop(Settings(transaction_ids=ids))
    outcome = shop.perform(verb.split()[0], **arguments(shop, verb))
    assert outcome.result is Result.CONFIRMED
    assert standing(shop) == LEAVES[verb]
    if verb == "suspend":
        assert shop.sandbox.status(shop.number) == "suspended"
        assert shop.perform("reinstate").result is Result.CONFIRMED
        assert shop.sandbox.status(shop.number) == "active"
    else:
        assert outcome.reference == shop.last()
        assert outcome.available == standing(shop)[0]
    assert shop.sandbox.audit() == []


def test_headers_and_ids() -> None:
    shop = Shop()
    method, headers, _ = shop.wire.seen[-1]
    assert method == "updateBalance"
    assert (headers["customRequestId"], headers["externalTransactionId"]) == ("call-4", "order 7")
    shop.provider.perform(attrs.evolve(shop.call("issue", amount=1), order="Bestellung №7\r\n"))
    assert shop.wire.seen[-1][1]["externalTransactionId"] == "Bestellung %E2%84%967%0D%0A"


def test_a_physical_card_is_activated_by_its_number() -> None:
    shop = Shop()
    number = shop.sandbox.inventory("PLASTIC")[0]
    shop.card = CardFacts("p1", "USD", form="physical")
    call = shop.call("activate", number=number)
    assert isinstance(shop.look_up(call), NotSeen)
    assert shop.provider.perform(call).result is Result.CONFIRMED
    assert shop.sandbox.status(number) == "active"
    assert isinstance(shop.look_up(call), Outcome)  # nobody had claimed it
    shop.claimed.add(shop.sandbox.history(number)[0].transaction_id)
    found = shop.look_up(call)
    assert isinstance(found, Ambiguous)
    assert "active already" in found.evidence
    assert shop.provider.perform(shop.call("activate", number=number)).result is Result.DECLINED


def test_an_allocation_hands_out_number_and_pin_and_a_lost_one_is_reported() -> None:
    shop = Shop()
    assert shop.pin == shop.sandbox.pin(shop.number)
    shop.card = CardFacts("c2", "USD", card_set="GIFT", form="electronic")
    found = shop.look_up(shop.call("allocate"))
    assert isinstance(found, NotSeen)
    assert "set GIFT" in found.evidence
    shop.card = CardFacts("c3", "USD", card_set="PLASTIC", form="electronic")
    assert shop.perform("allocate").result is Result.DECLINED


# --- Every verb, with every fault, and what is looked up

CERTAIN = {
    "none": Result.CONFIRMED,
    "429": Result.UNAVAILABLE,
    "duplicate": Result.CONFIRMED,
}
DONE = ["lost_after", "slow:900ms", "500_after", "broken_json", "truncated"]
NOT_DONE = ["lost_before", "500_before"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("fault", [*DONE, *NOT_DONE])
@pytest.mark.parametrize("ids", ["request_ref", "numeric"])
def test_lost_answers_are_looked_up(verb: str, fault: str, ids: Any) -> None:
    shop = Shop(Settings(transaction_ids=ids))
    before = standing(shop)
    shop.wire.fault = fault
    call = shop.call(verb.split()[0], **arguments(shop, verb))
    assert shop.provider.perform(call).result is Result.UNKNOWN
    found = shop.look_up(call)
    if fault in NOT_DONE:
        assert isinstance(found, NotSeen), found
        assert standing(shop) == before
        again = shop.provider.perform(attrs.evolve(call, attempt=2))
        assert again.result is Result.CONFIRMED
    else:
        assert isinstance(found, Outcome), found
        assert found.result is Result.CONFIRMED
        assert verb == "suspend" or found.reference == shop.last()
    assert standing(shop) == LEAVES[verb]


# How the unknown points may turn out, and what the adapter is told of them.
OTHERWISE: list[tuple[Settings, dict[str, Any]]] = [
    (Settings(approved_field="approved"), {"approved_field": "approved"}),
    (Settings(due_field="due"), {"due_field": "due"}),
    (Settings(transaction_ids="numeric"), {}),
    (Settings(call_type_void="REVERSAL"), {"type_void": "REVERSAL"}),
    (Settings(status_field="cardStatus", status_active="OK"), {"status_field": "cardStatus", "status_active": "OK"}),
    (Settings(adjustment_field="adj"), {"adjustment_field": "adj"}),
    (Settings(adjustment_field="adj"), {"adjustment_field": "adj", "adjust_down": "negative_issue"}),
    (Settings(call_type_account="DEMOGRAPHICS", suspended_is_inactive=True), {}),
    (Settings(server_error_form="json", first_issue_shows_update=False, hold_above_available="partial"), {}),
    (Settings(pin_checked_unasked=True, redeem_above_hold=True, zero_from_hold="error"), {}),
    (Settings(), {"return_balances": False}),
    (Settings(), {"numbers_as": "number", "pins_as": "number", "history_begin_date": True}),
    (Settings(), {"include_inactive": False, "history_page": 1, "void_as": "return"}),
]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("fault", ["none", "lost_after", "500_after", "500_before"])
@pytest.mark.parametrize(("sandbox", "settings"), OTHERWISE)
def test_whichever_way_the_unknown_turns_out(
    verb: str, fault: str, sandbox: Settings, settings: dict[str, Any]
) -> None:
    shop = Shop(sandbox, **settings)
    call = shop.call(verb.split()[0], **arguments(shop, verb))
    shop.wire.fault = fault
    assert shop.claim(ended(shop, call)).result is Result.CONFIRMED
    assert standing(shop) == LEAVES[verb]


@pytest.mark.parametrize("verb", MONEY_VERBS)
def test_an_answer_in_another_currency_is_not_believed(verb: str) -> None:
    shop = Shop()
    shop.wire.fault = "wrong_currency"
    call = shop.call(verb.split()[0], **arguments(shop, verb))
    assert shop.provider.perform(call).result is Result.UNKNOWN
    shop.wire.reading_fault = "wrong_currency"
    found = shop.look_up(call)
    assert isinstance(found, Outcome)
    assert found.reference == shop.last()


@pytest.mark.parametrize("verb", MONEY_VERBS)
@pytest.mark.parametrize("lost", ["lost_before", "lost_after"])
def test_another_channel_does_the_same_meanwhile(verb: str, lost: str) -> None:
    shop = Shop()
    shop.wire.fault = f"other_channel:same,{lost}"
    call = shop.call(verb.split()[0], **arguments(shop, verb))
    assert shop.provider.perform(call).result is Result.UNKNOWN
    found = shop.look_up(call)
    if lost == "lost_before":
        assert isinstance(found, NotSeen), found
    else:
        assert isinstance(found, Outcome), found
        assert found.reference == shop.last()


@pytest.mark.parametrize("verb", ["issue", "hold", "redeem"])
def test_a_twin_at_our_own_location_is_for_a_person(verb: str) -> None:
    shop = Shop()
    shop.wire.fault = "other_channel:twin,lost_after"
    call = shop.call(verb, amount=700)
    assert shop.provider.perform(call).result is Result.UNKNOWN
    found = shop.look_up(call)
    assert isinstance(found, Ambiguous)
    assert found.evidence.startswith("2 may be it: 2026-03-02 12:00:00 UPDATE_BALANCE")
    assert shop.number not in found.evidence


def test_a_hold_and_a_redemption_of_less_than_asked() -> None:
    shop = Shop()
    short = shop.perform("hold", amount=4000)
    assert (short.result, short.amount, short.available) == (Result.CONFIRMED, 2500, 0)
    shop = Shop()
    less = shop.perform("redeem", amount=4000)  # the answer says only that it was less; history says how much
    assert (less.result, less.amount, less.reference) == (Result.CONFIRMED, 2500, shop.last())
    shop = Shop()
    assert shop.perform("redeem", amount=4000, allow_partial=False).reason is Reason.INSUFFICIENT_FUNDS
    shop.wire.fault = "short_approval:4.00"
    assert shop.perform("hold", amount=1000).amount == 400
    shop.wire.fault, shop.wire.reading_fault = "short_approval:4.00", "lost_before"
    assert shop.perform("redeem", amount=1000).amount == 400


@pytest.mark.parametrize("verb", ["hold", "redeem"])
def test_a_lost_short_approval(verb: str) -> None:
    shop = Shop()
    shop.wire.fault = "lost_after"
    call = shop.call(verb, amount=4000)
    assert shop.provider.perform(call).result is Result.UNKNOWN
    found = shop.look_up(call)
    assert isinstance(found, Outcome)
    assert found.amount == 2500
    # Another call in doubt of just that amount explains it as well.
    shop.in_doubt += [call, shop.call(verb, amount=2500)]
    assert isinstance(shop.look_up(call), Ambiguous)
    assert isinstance(shop.provider.look_up(attrs.evolve(call, in_doubt=())), Outcome)


def test_how_much_may_stay_unknown() -> None:
    shop = Shop(read_attempts=1)
    shop.wire.fault, shop.wire.reading_fault = "short_approval:4.00", "lost_before"
    outcome = shop.perform("redeem", amount=1000)
    assert outcome.result is Result.UNKNOWN
    assert str(outcome.reference) in str(outcome.text)


def test_a_first_load_that_history_shows_without_its_amount() -> None:
    shop = Shop(Settings(first_issue_shows_update=False))
    shop.card = CardFacts("c2", "USD", card_set="GIFT", form="electronic")
    shop.card = attrs.evolve(shop.card, number=shop.perform("allocate").number)
    shop.wire.fault = "lost_after"
    call = shop.call("issue", amount=1000)
    assert shop.provider.perform(call).result is Result.UNKNOWN
    found = shop.look_up(call)
    assert isinstance(found, Outcome)
    assert isinstance(shop.look_up(attrs.evolve(call, args={"amount": 999})), Ambiguous)


def test_look_ups_wait_for_quiet_and_never_raise() -> None:
    shop = Shop(read_attempts=2)
    call = shop.call("redeem", amount=1)
    early = shop.provider.look_up(call)
    assert isinstance(early, Ambiguous)
    assert "on its way" in early.evidence
    shop.wire.reading_fault = "lost_before"
    assert isinstance(shop.look_up(call), NotSeen)
    shop.provider.settings = attrs.evolve(shop.provider.settings, read_attempts=1)
    shop.wire.reading_fault = "500_before"
    unread = shop.look_up(call)
    assert isinstance(unread, Ambiguous)
    assert "could not be read" in unread.evidence
    assert isinstance(shop.look_up(shop.call("transfer")), Outcome)


def test_a_late_request_is_found_behind_its_repeat() -> None:
    """The first comes through after the look: the repeat is declined, but that is no proof that nothing was done."""
    shop = Shop(Settings(deduplicate=False))
    shop.wire.fault = "late:90000ms"
    call = shop.call("redeem", amount=2500, allow_partial=False)
    assert shop.provider.perform(call).result is Result.UNKNOWN
    assert isinstance(shop.look_up(call), NotSeen)
    shop.now += timedelta(minutes=1)
    again = shop.provider.perform(attrs.evolve(call, attempt=2))
    assert again.result is Result.UNKNOWN
    found = shop.look_up(call)
    assert isinstance(found, Outcome)
    shop.claim(found)
    # A repeat that is declined for its own reasons stays declined.
    other = shop.call("redeem", amount=9900, allow_partial=False, attempt=2)
    assert shop.provider.perform(other).reason is Reason.INSUFFICIENT_FUNDS


def test_long_histories_are_read_in_pages() -> None:
    shop = Shop(history_page=3)
    assert len(shop.provider.history(shop.card).entries) == 4
    assert shop.provider.history(shop.card).whole
    for _ in range(10):
        shop.now += timedelta(minutes=10)
        shop.perform("issue", amount=100)
    shop.wire.seen.clear()
    shop.wire.fault = "lost_after"
    call = shop.call("issue", amount=100)
    shop.provider.perform(call)
    assert isinstance(shop.look_up(call), Outcome)
    assert [method for method, *_ in shop.wire.seen] == ["updateBalance", "search", "cardHistory"]
    shop.provider.settings = attrs.evolve(shop.provider.settings, history_pages=2, clock_skew=1e6)
    assert not shop.provider.history(shop.card).complete
    assert isinstance(shop.look_up(shop.call("redeem", amount=77)), Ambiguous)


# --- Traffic

GOES_WRONG = [None] * 8 + [
    *DONE, *NOT_DONE, "429", "wrong_currency", "short_approval", "other_channel:same", "other_channel:same,lost_after",
    "other_channel:same,lost_before",
]  # fmt: skip


def ended(shop: Shop, call: Call) -> Outcome:
    """Perform a call until it is known what became of it, as an engine would."""
    outcome = shop.provider.perform(call)
    while outcome.result is Result.UNKNOWN:
        found = shop.look_up(call)
        assert not isinstance(found, Ambiguous), found
        again = attrs.evolve(call, attempt=call.attempt + 1)
        outcome = found if isinstance(found, Outcome) else shop.provider.perform(again)
    return outcome


def any_call(shop: Shop, chance: Random, holds: dict[str, int]) -> Call:
    amount = chance.randint(1, 1500)
    verb = chance.choice(["issue", "hold", "redeem", "adjust", "redeem_hold", "release_hold"])
    if verb in ("redeem_hold", "release_hold"):
        if not holds:
            return shop.call("issue", amount=amount)
        hold = chance.choice(sorted(holds))
        held = holds.pop(hold)
        part = chance.randint(1, held)
        if verb == "redeem_hold":
            return shop.call("redeem_hold", amount=part, release=held - part, hold=hold)
        return shop.call("release_hold", amount=held, hold=hold)
    return shop.call(verb, amount=amount)


@pytest.mark.parametrize("seed", range(30))
def test_traffic_with_faults_ends_in_agreement(seed: int) -> None:
    """Every entry of ours at the provider is claimed by exactly one call, and no call claims what is not there."""
    shop, chance = Shop(Settings(transaction_ids="numeric" if seed % 2 else "request_ref")), Random(seed)
    holds = {str(shop.hold): 2000}
    ours = [shop.redemption.reference, shop.hold]
    for _ in range(25):
        shop.now += timedelta(seconds=chance.randint(1, 900))
        shop.wire.fault = chance.choice(GOES_WRONG)
        shop.wire.reading_fault = chance.choice(
            [None, None, "lost_before", "broken_json", "500_after", "wrong_currency"]
        )
        call = any_call(shop, chance, holds)
        outcome = shop.claim(ended(shop, call))
        if outcome.result is Result.CONFIRMED:
            ours.append(outcome.reference)
            if call.verb == "hold":
                asked = call.args["amount"]
                holds[str(outcome.reference)] = asked if outcome.amount is None else outcome.amount  # type: ignore[assignment]
        elif call.verb in ("redeem_hold", "release_hold"):
            hold = str(call.args["hold"])
            holds[hold] = shop.sandbox.holds(shop.number)[hold]
    history = [each for each in shop.sandbox.history(shop.number) if each.location != "elsewhere"]
    theirs = [each.transaction_id for each in history if each.operation not in ("allocate", "issue")][::-1]
    issued = [each.transaction_id for each in history if each.operation == "issue"]
    assert sorted(ours) == sorted([*theirs, *issued[:-1]])
    assert {id: held for id, held in shop.sandbox.holds(shop.number).items() if id in ours} == holds
    assert shop.sandbox.audit() == []


# --- Direct questions


def test_balance_holds_and_pins() -> None:
    shop = Shop()
    card = shop.provider.balance(shop.card, shop.pin)
    assert (card.available, card.holds, card.card_set) == (2500, {shop.hold: 2000}, "GIFT")
    assert shop.number not in repr(card)
    with pytest.raises(NotRead) as wrong:
        shop.provider.balance(shop.card, "no")
    assert wrong.value.outcome.reason is Reason.WRONG_PIN
    with pytest.raises(NotRead) as unknown:
        shop.provider.balance(attrs.evolve(shop.card, number="4831000"), "1234")
    assert unknown.value.outcome.reason is Reason.UNKNOWN_CARD
    shop.perform("suspend")
    assert shop.provider.holds(shop.card) == {shop.hold: 2000}
    assert not Shop(pinless_numbers="4831.*").provider.needs_pin(shop.number)
    assert shop.provider.needs_pin(shop.number)


def test_whose_card_it_is() -> None:
    shop = Shop()
    call = attrs.evolve(shop.call("update_account"), secrets={"first_name": "Ada", "email": "ada@example.com"})
    assert shop.provider.perform(call).result is Result.CONFIRMED
    card = shop.sandbox._ledger.card(shop.number)
    assert card is not None
    assert card.account["primaryCustomer"] == {"firstName": "Ada", "email": "ada@example.com"}
    assert isinstance(shop.look_up(call), NotSeen)
    assert isinstance(shop.look_up(attrs.evolve(call, secrets={})), NotSeen)  # by recover, which has no secrets


# --- Over HTTP


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Sandbox, str]]:
    pytest.importorskip("httpcore2")
    pytest.importorskip("uvicorn")
    from tallystick.clutch.sandbox.server import Server

    with Sandbox(card_sets={"GIFT": 400}, seed=6) as sandbox, Server(sandbox) as server:
        yield sandbox, server.url


@pytest.mark.parametrize("path", ["", "/merchant", "/merchant/"])
def test_a_card_over_http(served: tuple[Sandbox, str], path: str) -> None:
    sandbox, url = served
    with closing(ClutchProvider(settings_of(sandbox, url + path, read_timeout=5.0))) as provider:
        card = CardFacts("c1", "USD", card_set="GIFT", form="electronic")
        drawn = provider.perform(Call("a", "allocate", card, {}))
        card = attrs.evolve(card, number=drawn.number)
        assert provider.perform(Call("b", "issue", card, {"amount": 5000})).available == 5000
        pin = {"pin": str(drawn.pin)}
        held = provider.perform(Call("c", "hold", card, {"amount": 5000}, pin))
        settled = provider.perform(
            Call("d", "redeem_hold", card, {"amount": 2000, "release": 3000, "hold": held.reference})
        )
        assert (settled.result, settled.available) == (Result.CONFIRMED, 3000)
        assert provider.balance(card, drawn.pin).available == 3000
        wrong = provider.perform(Call("e", "hold", card, {"amount": 1}, {"pin": "x"}))
        assert (wrong.result, wrong.code, wrong.reason) == (Result.DECLINED, "10", Reason.WRONG_PIN)


@pytest.mark.parametrize(
    ("fault", "result"),
    [
        ("lost_before", Result.UNKNOWN),
        ("lost_after", Result.UNKNOWN),
        ("slow:900ms", Result.UNKNOWN),
        ("500_after", Result.UNKNOWN),
        ("truncated", Result.UNKNOWN),
        ("broken_json", Result.UNKNOWN),
        ("429", Result.UNAVAILABLE),
    ],
)
def test_faults_over_http(served: tuple[Sandbox, str], fault: str, result: Result) -> None:
    sandbox, url = served
    number = sandbox.post("allocate", {"cardSetId": "GIFT"}).json()["cardNumber"]
    with closing(ClutchProvider(settings_of(sandbox, url))) as provider:
        opened = datetime.now(timezone.utc) - timedelta(minutes=1)  # so that its quiet period is over
        call = Call("f", "issue", CardFacts("c", "USD", number), {"amount": 700}, opened_at=opened)
        provider._headers["x-sandbox-fault"] = fault
        assert provider.perform(call).result is result
        del provider._headers["x-sandbox-fault"]
        done = sandbox.balances(number) == {"USD": 700}
        assert isinstance(provider.look_up(call), Outcome) is done


def test_a_wrong_key_is_surely_not_done(served: tuple[Sandbox, str]) -> None:
    sandbox, url = served
    with closing(ClutchProvider(attrs.evolve(settings_of(sandbox, url), api_secret="wrong"))) as provider:
        outcome = provider.perform(Call("a", "allocate", CardFacts("c", "USD", card_set="GIFT"), {}))
        assert (outcome.result, outcome.code) == (Result.UNAVAILABLE, "HTTP 401")


class _Odd(BaseHTTPRequestHandler):
    """Answers that no sandbox gives."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if b'"cardSetId":"redirect"' in body:
            self.send_response(307)
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()
        elif b'"cardSetId":"drip"' in body:
            self.send_response(200)
            self.send_header("content-length", "1000")
            self.end_headers()
            for _ in range(1000):
                self.wfile.write(b" ")
                self.wfile.flush()
                if self.server.stopped.wait(0.02):  # type: ignore[attr-defined]
                    return
        elif b'"cardSetId":"huge"' in body:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"[" * 200_000)
        else:
            self.wfile.write(b"no HTTP at all\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def odd() -> Iterator[str]:
    pytest.importorskip("httpcore2")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Odd)
    server.daemon_threads = True
    server.stopped = threading.Event()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.stopped.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def lone(url: str, **more: Any) -> ClutchProvider:
    settings = ClutchSettings(
        base_url=url, api_key="key-7d1", api_secret="hush-93c", brand="b", location="l", terminal="t",
        **{"connect_timeout": 1.0, "read_timeout": 1.0, "total_timeout": 0.2, "largest_answer": 100_000,
           "read_pause": 0.0, **more},
    )  # fmt: skip
    return ClutchProvider(settings)


@pytest.mark.parametrize("what", ["redirect", "drip", "huge", "nonsense"])
def test_odd_servers_leave_it_in_doubt(odd: str, what: str) -> None:
    with closing(lone(odd)) as provider:
        outcome = provider.perform(Call("a", "allocate", CardFacts("c", "USD", card_set=what), {}))
        assert outcome.result is Result.UNKNOWN


def test_what_never_connected_was_surely_not_done(odd: str) -> None:
    call = Call("a", "issue", CardFacts("c", "USD", "4831000"), {"amount": 5})
    for url in ("http://127.0.0.1:1", "https://no-such-host.invalid", odd.replace("http:", "https:")):
        with closing(lone(url)) as provider:
            assert provider.perform(call).result is Result.UNAVAILABLE
            assert isinstance(provider.look_up(call), Ambiguous)
    with closing(lone("http://127.0.0.1:1")) as provider:
        assert "ConnectionRefusedError" in str(provider.perform(call).text)
    for name in ("nowhere.pem", __file__):
        with pytest.raises(Invalid, match=f"certificates of ca_file .*{name}"):
            lone("https://localhost", ca_file=name)
    closed = lone(odd)
    closed.close()
    assert closed.perform(call).result is Result.UNAVAILABLE


def test_certificates_are_verified(tmp_path: Path) -> None:
    pytest.importorskip("httpcore2")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Odd)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"https://localhost:{server.server_address[1]}"
    call = Call("a", "allocate", CardFacts("c", "USD", card_set="redirect"), {})
    with closing(lone(url)) as strict, closing(lone(url, ca_file=str(certificate))) as trusting:
        refused = strict.perform(call)
        assert refused.result is Result.UNAVAILABLE
        assert "SSLCertVerificationError" in str(refused.text)
        assert trusting.perform(call).result is Result.UNKNOWN  # it was reached
    server.shutdown()
    server.server_close()


# --- Nothing leaks


def test_no_secret_in_logs_errors_and_reprs(
    served: tuple[Sandbox, str], odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox, url = served
    caplog.set_level(logging.DEBUG)
    drawn = sandbox.post("allocate", {"cardSetId": "GIFT"}).json()
    number, pin = drawn["cardNumber"], drawn["pin"]
    card = CardFacts("c", "USD", number)
    said: list[object] = [card]
    for where in (url, odd, "http://127.0.0.1:1"):
        settings = attrs.evolve(settings_of(sandbox, where), employee="e", employee_password="pass-word-51")
        with closing(ClutchProvider(settings)) as provider:
            for verb, args in (("hold", {"amount": 5}), ("issue", {"amount": 5}), ("suspend", {}), ("redeem", {})):
                call = Call("a", verb, card, args, {"pin": pin})
                request = wire.request(call, settings)
                said += [provider, settings, call, request, provider.perform(call), provider.look_up(call)]
            for guess in (pin, "wrong-guess"):
                try:
                    said.append(provider.balance(card, guess))
                except NotRead as error:
                    said += [repr(error), error.__cause__, error.__context__]
    text = caplog.text + " ".join(f"{each!r} {each}" for each in said)
    assert "attempt 1" in caplog.text
    secrets = (number, f'"{pin}"', f"'{pin}'", sandbox.credentials.api_secret, sandbox.credentials.api_key, "pass-word",
               "wrong-guess", "Basic ")  # fmt: skip
    for secret in secrets:
        assert secret not in text


# --- Limits


class Faulty:
    def __init__(self, error: Exception | None) -> None:
        self.error, self.sent = error, 0

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.sent += 1
        if self.error:
            raise self.error
        return Answer(429, b"")

    def close(self) -> None:
        pass


CALL = Call("a", "issue", CardFacts("c", "USD", "4831000"), {"amount": 5})


@pytest.mark.parametrize(
    ("error", "result"),
    [(NotSent("x"), Result.UNAVAILABLE), (Lost("x"), Result.UNKNOWN), (ValueError("PIN 8422"), Result.UNKNOWN)],
)
def test_the_breaker_opens_and_lets_one_try(error: Exception, result: Result) -> None:
    now, transport = [0.0], Faulty(error)
    settings = ClutchSettings(base_url="https://x", api_key="k", api_secret="s", brand="b", location="l", terminal="t")
    breaker = CircuitBreaker(3, 30.0, clock=lambda: now[0])
    provider = ClutchProvider(settings, transport, breaker=breaker, sleep=lambda seconds: None)
    outcomes = [provider.perform(CALL) for _ in range(5)]
    assert [outcome.result for outcome in outcomes] == [result] * 3 + [Result.UNAVAILABLE] * 2
    assert "8422" not in str(outcomes)
    assert transport.sent == 3
    now[0] = 31.0
    provider.perform(CALL)
    provider.perform(CALL)
    assert transport.sent == 4  # its failure closed the door again
    now[0] = 62.0
    transport.error = None
    assert [provider.perform(CALL).code for _ in range(3)] == ["HTTP 429"] * 3
    assert transport.sent == 7


def test_the_bucket_makes_wait_or_turns_away() -> None:
    now, waits, transport = [0.0], list[float](), Faulty(None)
    settings = ClutchSettings(
        base_url="https://x", api_key="k", api_secret="s", brand="b", location="l", terminal="t", longest_wait=1.0
    )
    bucket = LeakyBucket(2.0, 3, clock=lambda: now[0])
    provider = ClutchProvider(settings, transport, bucket=bucket, sleep=waits.append)
    assert provider.perform(CALL).code == "HTTP 429"  # which fills the bucket: as much as it holds
    for _ in range(3):
        provider.perform(CALL)
    assert waits == [0.5, 1.0]
    assert transport.sent == 3
    now[0] = 100.0
    assert provider.perform(CALL).code == "HTTP 429"
    assert len(waits) == 2


@pytest.mark.parametrize(("waited", "sent"), [(14.9, True), (15.1, False), (400.0, False)])
def test_what_waited_so_long_that_a_look_up_may_have_missed_it_is_not_sent(waited: float, sent: bool) -> None:
    """Asked 5 s ago; 10 of the 30 s quiet ones may pass before the first byte leaves. Another has recovered it since."""
    now, transport = [START], Faulty(None)
    bucket = LeakyBucket(1.0, 1, clock=lambda: now[0].timestamp())
    settings = ClutchSettings(base_url="https://x", api_key="k", api_secret="s", brand="b", location="l", terminal="t")

    def sleep(seconds: float) -> None:
        now[0] += timedelta(seconds=waited)

    provider = ClutchProvider(settings, transport, clock=lambda: now[0], sleep=sleep, bucket=bucket)
    bucket.turn(0.0)
    outcome = provider.perform(attrs.evolve(CALL, asked_at=START - timedelta(seconds=5)))
    assert (outcome.result, transport.sent) == (Result.UNAVAILABLE, int(sent))
    assert ("its turn came too late" in str(outcome.text)) is not sent


@pytest.mark.parametrize(
    ("longest_wait", "quiet_period", "fits"),
    [(5.0, 30.0, True), (19.9, 30.0, True), (20.0, 30.0, False), (120.0, 30.0, False), (120.0, 131.0, True), (0.0, 10.0, False)],
)  # fmt: skip
def test_nobody_waits_longer_than_look_ups_do(longest_wait: float, quiet_period: float, fits: bool) -> None:
    known: dict[str, Any] = {"base_url": "https://x", "api_key": "k", "api_secret": "s", "brand": "b", "location": "l"}
    known |= {"terminal": "t", "longest_wait": longest_wait, "quiet_period": quiet_period}
    with nullcontext() if fits else pytest.raises(Invalid, match="less than quiet_period"):
        ClutchSettings(**known)


def test_limits_are_pure_and_may_be_shared() -> None:
    bucket, wait = poured(Bucket(2.0, 10.0), 10.5, rate=2.0, burst=2)
    assert (bucket, wait) == (Bucket(2.0, 10.5), [0.0])
    assert poured(bucket, 9.0, 2.0, 2) == (Bucket(3.0, 10.5), [0.5])  # a clock set back
    assert poured(bucket, 9.0, 2.0, 5, most=9) == (Bucket(5.0, 10.5), [0.0] * 3)
    assert admitted(Circuit(2), 0.0, 3, 5.0) == Circuit(2)
    opened = failed(Circuit(2), 1.0, 3, 5.0)
    assert opened == Circuit(3, 6.0)
    assert admitted(opened, 5.9, 3, 5.0) is None
    assert admitted(opened, 6.0, 3, 5.0) == Circuit(3, 11.0)

    class Contended:
        """A cell another process writes to first."""

        state, lost = Bucket(), 2

        def load(self) -> Bucket:
            return self.state

        def swap(self, old: Bucket, new: Bucket) -> bool:
            self.lost -= 1
            if self.lost >= 0:
                return False
            self.state = new
            return True

    cell = Contended()
    shared = LeakyBucket(1.0, 1, cell=cell, clock=lambda: 5.0)
    assert shared.turn(0.0) == 0.0
    assert cell.state == Bucket(1.0, 5.0)
    assert shared.turn(0.5) is None


def test_many_threads_share_one_bucket() -> None:
    bucket, waits = LeakyBucket(1000.0, 1, clock=lambda: 0.0), list[float]()
    threads = [threading.Thread(target=lambda: waits.append(bucket.turn(9.0) or 0.0)) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == [count / 1000 for count in range(40)]
