"""What the record says of a lost call: each rule, and what makes it unsure. No I/O: the record is written out here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from tallystick.clutch.answers import Balance, Card, Entry, History, StrangeAnswer, card_of, entries_of
from tallystick.clutch.lookup import Case, Found, amount_done, decide, unanswerable
from tallystick.clutch.settings import ClutchSettings
from tallystick.provider.protocol import Call, CardFacts, NotSeen, Outcome, Result

NUMBER = "483139334361914"
OPENED = datetime(2026, 3, 2, 12, 0, tzinfo=timezone.utc)
SETTINGS = ClutchSettings(
    base_url="https://api.example.com", api_key="k", api_secret="s", brand="b", location="web", terminal="t"
)


def call(verb: str, *, id: str = "call-1", **args: object) -> Call:
    card = CardFacts("c1", "USD", NUMBER, card_set="GIFT", form="electronic")
    return Call(id, verb, card, args, opened_at=OPENED)


def line(id: str, amount: int | None = None, **changes: Any) -> Entry:
    """An entry at our location, a second after the call was opened."""
    usual = {"location": "web", "kind": "UPDATE_BALANCE", "at": OPENED + timedelta(seconds=1), "request": f"r-{id}"}
    return Entry(id=id, amount=amount, **{**usual, **changes})


def card(available: int = 0, status: str | None = None, cached: bool = False, **holds: int) -> Card:
    entries = [Balance(available)] if available else []
    return Card(NUMBER, "GIFT", status, (*entries, *(Balance(amount, id) for id, amount in holds.items())), cached)


def decided(
    asked: Call,
    shown: Card | None,
    *lines: Entry,
    complete: bool = True,
    settings: ClutchSettings = SETTINGS,
    **more: Any,
) -> Found:
    return decide(Case(attrs.evolve(asked, **more), settings, shown, History(lines, complete, complete)))


def said(found: Found) -> str:
    """A finding in a word: the id and the amount it confirms, or the kind of doubt."""
    if isinstance(found, Outcome):
        assert found.result is Result.CONFIRMED
        return f"{found.reference}" if found.amount is None else f"{found.reference} {found.amount}"
    return "not seen" if isinstance(found, NotSeen) else "ambiguous"


ISSUE = call("issue", amount=500)
REDEEM = call("redeem", amount=500)
HOLD = call("hold", amount=500)
SETTLE = call("redeem_hold", amount=500, release=100, hold="h")
WHOLE = call("redeem_hold", amount=500, release=0, hold="h")
KEEP = call("redeem_hold", amount=500, release=0, hold="h", held=800)
RELEASE = call("release_hold", amount=500, hold="h")
VOID = call("void", amount=500, transaction="old")
BLANK: dict[str, Any] = {"amount": None, "blank": True}
FOREIGN: dict[str, Any] = {"amount": None, "foreign": True}
ELSEWHERE: dict[str, Any] = {"location": "shop 7"}
NOWHERE: dict[str, Any] = {"location": None}
LATER: dict[str, Any] = {"at": OPENED + timedelta(hours=2)}
EARLIER: dict[str, Any] = {"at": OPENED - timedelta(minutes=6)}
SKEWED: dict[str, Any] = {"at": OPENED - timedelta(minutes=4)}

# fmt: off
RULES: list[tuple[Call, Card | None, list[Entry], str]] = [
    # An entry of the kind and amount, once
    (ISSUE,   card(500), [line("a", 500)],                                "a"),
    (ISSUE,   card(500), [],                                              "not seen"),
    (ISSUE,   card(500), [line("a", 501), line("b", -500), line("c", 0)], "not seen"),
    (ISSUE,   card(500), [line("a", 499)],                                "ambiguous"),  # nobody asked for less, but it may be
    (ISSUE,   card(500), [line("a", 499), line("b", 500)],                "b"),
    (ISSUE,   card(500), [line("a", 499, **ELSEWHERE)],                   "not seen"),
    (ISSUE,   card(500), [line("a", 500), line("b", 500)],                "ambiguous"),
    (ISSUE,   card(500), [line("a", 500, kind="ALLOCATE")],               "not seen"),
    (REDEEM,  card(),    [line("a", -500)],                               "a 500"),
    (REDEEM,  card(),    [line("a", 500)],                                "not seen"),
    # by time and place
    (ISSUE,   card(500), [line("a", 500, **ELSEWHERE)],                   "not seen"),
    (ISSUE,   card(500), [line("a", 500), line("b", 500, **ELSEWHERE)],   "a"),
    (ISSUE,   card(500), [line("a", 500, **NOWHERE)],                     "ambiguous"),
    (ISSUE,   card(500), [line("a", 500), line("b", 500, **NOWHERE)],     "ambiguous"),
    (ISSUE,   card(500), [line("a", 500, **EARLIER)],                     "not seen"),
    (ISSUE,   card(500), [line("a", 500, **SKEWED)],                      "a"),
    (ISSUE,   card(500), [line("a", 500, **LATER)],                       "ambiguous"),
    (attrs.evolve(ISSUE, opened_at=None), card(500), [line("a", 500)],    "ambiguous"),
    # Loads shown without their amount
    (ISSUE,   card(500), [line("a", **BLANK)],                            "a"),
    (ISSUE,   card(500), [line("a", **BLANK), line("z", kind="ALLOCATE", **BLANK)], "a"),
    (ISSUE,   card(500, x=1), [line("a", **BLANK)],                       "ambiguous"),
    (ISSUE,   card(500), [line("a", **BLANK, **NOWHERE)],                 "ambiguous"),
    (ISSUE,   card(500), [line("a", **BLANK), line("b", -9)],             "ambiguous"),
    (REDEEM,  card(500), [line("a", **BLANK)],                            "not seen"),
    # Another currency
    (REDEEM,  card(500), [line("a", **FOREIGN)],                          "ambiguous"),
    (REDEEM,  card(500), [line("a", **FOREIGN, **ELSEWHERE)],             "not seen"),
    # Less than asked
    (REDEEM,  card(),    [line("a", -200)],                               "a 200"),
    (REDEEM,  card(1),   [line("a", -200)],                               "ambiguous"),  # there was more to take
    (call("redeem", amount=500, allow_partial=False), card(), [line("a", -200)],  "ambiguous"),
    (REDEEM,  card(),    [line("a", -600)],                               "not seen"),
    # Holds, by what is held now
    (HOLD,    card(a=500),         [line("a", 0)],                        "a 500"),
    (HOLD,    card(a=500, b=500),  [line("a", 0), line("b", 0)],          "ambiguous"),
    (HOLD,    card(a=500, b=500),  [line("a", 0), line("b", 0, **ELSEWHERE)], "a 500"),
    (HOLD,    card(a=500, b=700),  [line("a", 0), line("b", 0)],          "a 500"),
    (HOLD,    card(a=200),         [line("a", 0)],                        "a 200"),
    (HOLD,    card(9, a=200),      [line("a", 0)],                        "ambiguous"),
    (HOLD,    card(a=500),         [],                                    "ambiguous"),  # held since when?
    (HOLD,    card(500),           [line("a", 0)],                        "not seen"),   # a hold that is gone holds nothing
    # Redemptions of a hold, by what is left of it
    (SETTLE,  card(100),           [line("a", -500)],                     "a"),
    (SETTLE,  card(100),           [line("b", -500), line("a", -500)],    "a"),          # only we know its id
    (SETTLE,  card(h=600),         [],                                    "not seen"),
    (SETTLE,  card(h=600),         [line("a", -500)],                     "not seen"),   # that was another
    (SETTLE,  card(h=100),         [line("a", -500)],                     "ambiguous"),  # the rest was not released
    (SETTLE,  card(600),           [],                                    "ambiguous"),
    (SETTLE,  card(600),           [line("a", -500, **NOWHERE)],          "ambiguous"),
    (WHOLE,   card(),              [line("a", -500)],                     "a"),
    (WHOLE,   card(h=500),         [],                                    "not seen"),
    (WHOLE,   card(h=500),         [line("a", -500)],                     "ambiguous"),  # of 500, or what is left of 1000?
    (KEEP,    card(h=800),         [line("a", -500)],                     "not seen"),
    (KEEP,    card(h=300),         [line("a", -500)],                     "a"),
    (KEEP,    card(h=300),         [],                                    "ambiguous"),
    (KEEP,    card(h=700),         [],                                    "ambiguous"),
    (RELEASE, card(500),           [line("a", 0)],                        "a"),
    (RELEASE, card(500, n=9),      [line("n", 0), line("a", 0)],          "a"),          # n is a hold, and still there
    (RELEASE, card(500, n=9),      [line("n", 0)],                        "ambiguous"),
    (RELEASE, card(h=500),         [line("a", 0)],                        "not seen"),
    (RELEASE, card(),              [line("a", -500)],                     "ambiguous"),
    # Corrections and voids, whose types are not known for sure
    (call("adjust", amount=-500), card(), [line("a", -500)],              "a"),
    (call("adjust", amount=500),  card(), [line("a", 500, kind="ADJUSTMENT")], "ambiguous"),
    (call("adjust", amount=-500), card(), [line("a", 500)],               "not seen"),
    (call("adjust", amount=-500), card(), [line("a", -75)],               "ambiguous"),
    (call("adjust", amount=-500), card(), [line("a", 75), line("b", -501)], "not seen"),
    (call("adjust", amount=500),  card(), [line("a", 75)],                "ambiguous"),
    (VOID,    card(500), [line("a", 500, kind="VOID")],                   "a"),
    (VOID,    card(500), [line("a", kind="VOID", **BLANK)],               "a"),
    (VOID,    card(500), [line("a", 500, kind="REVERSAL")],               "ambiguous"),
    (VOID,    card(500), [line("a", kind="REVERSAL", **BLANK)],           "ambiguous"),
    (VOID,    card(500), [line("a", 500)],                                "ambiguous"),
    (VOID,    card(500), [line("a", 499, kind="VOID")],                   "not seen"),
    (VOID,    card(500), [line("a", kind="UPDATE_ACCOUNT", **BLANK)],     "not seen"),
    # Cards
    (call("allocate"), card(), [line("a", kind="ALLOCATE", **BLANK)],     "a"),
    (call("allocate"), card(), [line("a", kind="ALLOCATE", **EARLIER, **BLANK)], "ambiguous"),
    (call("allocate"), card(), [line("a", kind="ALLOCATE", **BLANK), line("b", kind="ALLOCATE", **BLANK)], "ambiguous"),
    (call("suspend"), card(status="Suspended"), [],                       "None"),
    (call("suspend"), card(status="Active"), [],                          "not seen"),
    (call("suspend"), card(), [],                                         "not seen"),
    (call("suspend"), None, [],                                           "ambiguous"),
    (call("reinstate"), card(status="Active"), [],                        "None"),
    (ISSUE,   None, [line("a", 500)],                                     "ambiguous"),  # search hides the card
    (ISSUE,   card(500, cached=True), [line("a", 500)],                   "ambiguous"),
]
# fmt: on


@pytest.mark.parametrize(("asked", "shown", "lines", "finding"), RULES)
def test_rules(asked: Call, shown: Card | None, lines: list[Entry], finding: str) -> None:
    found = decided(asked, shown, *lines)
    assert said(found) == finding
    assert isinstance(found, Outcome) or found.evidence
    assert NUMBER not in str(found)


@pytest.mark.parametrize("asked", [ISSUE, REDEEM, HOLD, SETTLE, RELEASE, VOID])
def test_what_the_journal_accounts_for_is_not_it(asked: Call) -> None:
    lines = [line("a", amount) for amount in (500, -500, 0)]
    lines[0] = attrs.evolve(lines[0], kind="VOID" if asked is VOID else "UPDATE_BALANCE")
    shown = card(a=500) if asked is HOLD else card(500)
    assert said(decided(asked, shown, *lines)).startswith("a")
    for claimed in ({"a"}, {"r-a"}):  # by transaction or by request: in part of the record they differ
        assert said(decided(asked, shown, *lines, claimed=claimed)) in ("not seen", "ambiguous")


def test_a_history_not_read_far_enough_proves_nothing() -> None:
    assert said(decided(ISSUE, card(500), complete=False)) == "ambiguous"
    assert said(decided(ISSUE, card(500), line("a", 500), complete=False)) == "a"


def test_a_card_nobody_knows_or_activated_has_seen_nothing() -> None:
    assert said(decide(Case(ISSUE, SETTINGS, None, None))) == "not seen"
    assert said(decide(Case(ISSUE, SETTINGS, card(), None))) == "not seen"
    assert said(decide(Case(ISSUE, SETTINGS, card(5), None))) == "ambiguous"


def test_calls_in_doubt_that_are_alike_may_each_have_one() -> None:
    twin, other = attrs.evolve(REDEEM, id="call-2"), call("adjust", id="call-3", amount=-500)
    one, two = [line("a", -500)], [line("b", -500), line("a", -500)]
    assert said(decided(REDEEM, card(9), *two, in_doubt=[REDEEM, twin])) == "a 500"
    assert said(decided(REDEEM, card(9), *one, in_doubt=[REDEEM, twin])) == "a 500"
    assert said(decided(REDEEM, card(9), *two, in_doubt=[REDEEM])) == "ambiguous"
    # Of different verbs it matters which one it was, unless all were done.
    assert said(decided(REDEEM, card(9), *one, in_doubt=[REDEEM, other])) == "ambiguous"
    assert said(decided(REDEEM, card(9), *two, in_doubt=[REDEEM, other])) == "a 500"
    assert said(decided(REDEEM, card(9), *two, in_doubt=[REDEEM, attrs.evolve(SETTLE, id="call-4")])) == "a 500"
    # Less than asked is not ours where another call explains it.
    assert (
        said(decided(HOLD, card(a=200), line("a", 0), in_doubt=[call("hold", id="call-2", amount=200)])) == "ambiguous"
    )


def test_a_record_that_keeps_our_id_is_certain() -> None:
    for asked, shown, amount in ((ISSUE, card(500), 500), (HOLD, card(a=500, b=500), 0)):
        ours, theirs = line("a", amount, call="call-1"), line("b", amount, call="call-2")
        assert said(decided(asked, shown, theirs, ours)).startswith("a")
        assert said(decided(asked, shown, theirs, attrs.evolve(ours, call="call-3"))) == "not seen"


def test_history_may_have_its_own_name_for_our_location() -> None:
    settings = attrs.evolve(SETTINGS, history_location="4711")
    assert said(decided(ISSUE, card(500), line("a", 500, location="4711"), settings=settings)) == "a"
    assert said(decided(ISSUE, card(500), line("a", 500), settings=settings)) == "not seen"


def test_a_void_that_is_made_as_a_return_is_looked_up_as_one() -> None:
    settings = attrs.evolve(SETTINGS, void_as="return")
    assert said(decided(VOID, card(9), line("a", 500), settings=settings)) == "a"


def test_what_no_record_can_show() -> None:
    drawn = attrs.evolve(call("allocate"), card=CardFacts("c2", "USD", card_set="GIFT"))
    assert "set GIFT" in str(unanswerable(drawn, SETTINGS))
    assert unanswerable(call("activate"), SETTINGS)
    assert unanswerable(call("allocate"), SETTINGS) is None
    assert unanswerable(ISSUE, SETTINGS) is None


def test_how_much_a_known_transaction_was_of() -> None:
    assert amount_done(HOLD, "a", card(a=200), None) == 200
    assert amount_done(HOLD, "b", card(a=200), None) is None
    assert amount_done(REDEEM, "a", card(), History((line("a", -200),))) == 200
    assert amount_done(REDEEM, "a", card(), History((line("a", -501),))) is None
    assert amount_done(REDEEM, "a", card(), History((line("a"),))) is None


# --- Reading the record

SEARCH: dict[str, Any] = {"cards": [{"cardNumber": NUMBER, "cardSetId": "G", "balances": []}], "usedCache": False}
TIMES: dict[str, Any] = {"transactionId": "cc78", "transactionTime": 1515950890036, "callType": "UPDATE_BALANCE"}


def test_the_recorded_history_entry() -> None:
    update = {"balanceType": "Currency", "balanceCode": "USD", "amount": 0}
    recorded = {**TIMES, "isLegacy": False, "location": "web", "balanceUpdates": [update], "requestRef": "cc78"}
    (read,) = entries_of({"transactions": [recorded]}, "USD", SETTINGS)
    at = datetime(2018, 1, 14, 17, 28, 10, 36000, tzinfo=timezone.utc)
    assert read == Entry("cc78", "cc78", at, "web", "UPDATE_BALANCE", 0)
    (bare,) = entries_of({"transactions": [TIMES]}, "USD", SETTINGS)
    assert (bare.location, bare.amount, bare.blank) == (None, None, True)
    points = {"balanceType": "Points", "amount": 3}
    (mixed,) = entries_of({"transactions": [{**TIMES, "balanceUpdates": [points]}]}, "USD", SETTINGS)
    assert (mixed.amount, mixed.blank, mixed.foreign) == (None, False, False)
    (euros,) = entries_of({"transactions": [recorded]}, "EUR", SETTINGS)
    assert euros.foreign
    ours = attrs.evolve(SETTINGS, history_request_id="customRequestId")
    (kept,) = entries_of({"transactions": [{**TIMES, "customRequestId": "call-1"}]}, "USD", ours)
    assert kept.call == "call-1"


@pytest.mark.parametrize(
    "read",
    [
        lambda: entries_of({}, "USD", SETTINGS),
        lambda: entries_of({"transactions": [{**TIMES, "transactionTime": "yesterday"}]}, "USD", SETTINGS),
        lambda: entries_of({"transactions": [{**TIMES, "transactionTime": 10**20}]}, "USD", SETTINGS),
        lambda: entries_of({"transactions": [{**TIMES, "transactionId": None}]}, "USD", SETTINGS),
        lambda: card_of({}, NUMBER, "USD", SETTINGS),
        lambda: card_of(SEARCH, "4831000", "USD", SETTINGS),
        lambda: card_of({"cards": SEARCH["cards"] * 2}, NUMBER, "USD", SETTINGS),
        lambda: card_of({"cards": [{"cardNumber": NUMBER}]}, NUMBER, "USD", SETTINGS),
    ],
)
def test_a_record_that_cannot_be_believed(read: Callable[[], object]) -> None:
    with pytest.raises(StrangeAnswer) as strange:
        read()
    assert NUMBER not in str(strange.value)


def test_a_searched_card() -> None:
    assert card_of({"cards": []}, NUMBER, "USD", SETTINGS) is None
    found = card_of(SEARCH, NUMBER, "USD", SETTINGS)
    assert found is not None
    assert (found.available, found.holds, found.card_set, found.cached) == (0, {}, "G", False)
