"""Both halves of the stick against each other: a table of what may differ, then real books and a sandbox's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import count
from typing import Any

import attrs
import pytest

from tallystick.books.books import Books
from tallystick.books.reconciling.differences import Difference, DifferenceCode, OurHold, OurLine, Ours, compare, digest
from tallystick.books.reconciling.reconcile import our_half, reconcile
from tallystick.books.waiting import REACH, holds_older_than, release, stuck, waiting
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.sandbox import CardSet, Sandbox, Settings
from tallystick.clutch.settings import ClutchSettings
from tallystick.clutch.transport import Answer, InProcess
from tallystick.definition import reader
from tallystick.engine.balances import Balances
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import InDoubt
from tallystick.errors import Invalid
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import CardFacts, Line, Observed, Observer, Outcome, Result, Unread
from tallystick.store.open import open_store

MACHINES = reader.load()
START = datetime(2026, 3, 2, 12, 0, tzinfo=timezone.utc)
NUMBER = "483140395030281"
WHO = {"by": "anna", "reason": "month's end"}


# --- The comparison, pure


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def line(id: str, amount: int | None = 0, minute: int = 0, **more: Any) -> Line:
    return Line(id, more.pop("request", None), at(minute), amount, **more)


def call(id: str, change: int | None, minute: int = 0, verb: str = "issue", *more: str) -> OurLine:
    return OurLine(f"call-{id}", verb, frozenset([id, *more]), change, at(minute))


FACTS = CardFacts("c1", "USD", number=NUMBER)
MINE = Ours(FACTS, 7, 3000, (OurHold("p1", "h1", 2000),), (call("i1", 5000), call("h1", 0, 1, "hold")))
THEIRS = Observed(3000, {"h1": 2000}, (line("h1", 0, 1), line("i1", 5000)))

OTHER_HOLD = {"h1": 2000, "x9": 100}
BOTH = (OurHold("p1", "h1", 1500), OurHold("p2", "h1", 500))
SPENT = (line("x9", -100, 2), *THEIRS.lines)
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[tuple[str, int | None, int | None]]]] = {
    # what              ours                                theirs                                  findings
    "nothing":         ({},                                 {},                                     []),
    "less there":      ({},                                 {"available": 2900},                    [("balance", 3000, 2900)]),
    "more there":      ({},                                 {"available": 3001},                    [("balance", 3000, 3001)]),
    "their hold":      ({},                                 {"holds": OTHER_HOLD},                  [("hold_only_theirs", None, 100)]),
    "our hold":        ({},                                 {"holds": {}},                          [("hold_only_ours", 2000, None)]),
    "no name":         ({"holds": (OurHold("p1", None, 2000),)}, {"holds": {}},                     [("hold_only_ours", 2000, None)]),
    "held differs":    ({},                                 {"holds": {"h1": 1500}},                [("hold_differs", 2000, 1500)]),
    "one for two":     ({"holds": BOTH},                    {},                                     [("hold_twice", None, None)]),
    "their line":      ({},                                 {"lines": SPENT},                       [("line_only_theirs", None, -100)]),
    "no amount":       ({},                                 {"lines": (line("x9", None, 2), *THEIRS.lines)}, [("line_only_theirs", None, None)]),
    "no money":        ({},                                 {"lines": (line("x9", None, 2, moves=False), *THEIRS.lines)}, []),
    "by request":      ({},                                 {"lines": (line("h1", 0, 1), line("i9", 5000, request="i1"))}, []),
    "our line":        ({},                                 {"lines": (line("h1", 0, 1),)},         [("line_only_ours", 5000, None)]),
    "no id":           ({"lines": (*MINE.lines, OurLine("call-z", "issue", frozenset(), 7, at(3)))}, {}, [("line_only_ours", 7, None)]),
    "line differs":    ({},                                 {"lines": (line("h1", 0, 1), line("i1", 4000))}, [("line_differs", 5000, 4000)]),
    "not shown":       ({},                                 {"lines": (line("h1", 0, 1), line("i1", None))}, []),
    "strange verb":    ({"lines": (call("i1", None), MINE.lines[1])}, {},                           []),
    "claimed twice":   ({"lines": (*MINE.lines, call("i2", 5000, 2, "issue", "i1"))}, {},           [("line_twice", None, None)]),
    "cut":             ({},                                 {"lines": (line("h1", 0, 1),), "complete": False}, [("history_cut", None, None)]),
    "unknown":         ({},                                 {"known": False},                       [("unknown_card", 5000, None)]),
    "own books":       ({"sound": False},                   {},                                     [("own_books", None, None)]),
    # what an observation has taken in
    "taken in":        ({"taken_in": at(3)},                {"lines": SPENT},                       []),
    "since then":      ({"taken_in": at(1)},                {"lines": SPENT},                       [("line_only_theirs", None, -100)]),
    "ours taken in":   ({"taken_in": at(3)},                {"lines": ()},                          []),
    "ours since then": ({"taken_in": at(0)},                {"lines": ()},                          [("line_only_ours", 0, None)]),
}  # fmt: skip


def told(found: Difference) -> tuple[str, int | None, int | None]:
    """A difference in minor units."""
    assert {each.currency for each in (found.ours, found.theirs) if each is not None} <= {found.currency}
    ours, theirs = (None if each is None else each.minor for each in (found.ours, found.theirs))
    return found.code.value, ours, theirs


@pytest.mark.parametrize("case", CASES)
def test_what_differs_is_found_and_nothing_else(case: str) -> None:
    ours, theirs, wanted = CASES[case]
    found = compare(attrs.evolve(MINE, **ours), attrs.evolve(THEIRS, **theirs))
    assert [told(each) for each in found] == wanted
    for each in found:
        assert str(each).startswith("card 'c1' (…0281): ")
        assert NUMBER not in repr(each)


def test_a_mark_is_exact_where_the_clocks_are_not() -> None:
    """The provider's clock runs ten minutes ahead; what was seen is known by its name, not by its time."""

    ahead = (line("new", -5, 14), line("x9", -100, 12), *THEIRS.lines)
    taken_in = attrs.evolve(MINE, taken_in=at(4), mark=digest("x9"))
    assert [each.reference for each in compare(taken_in, attrs.evolve(THEIRS, lines=ahead))] == ["new"]
    behind = (line("new", -5, -9), line("x9", -100, -10), *THEIRS.lines)
    assert [each.reference for each in compare(taken_in, attrs.evolve(THEIRS, lines=behind))] == ["new"]
    by_time = attrs.evolve(taken_in, mark=digest("cut off since"))
    assert [each.reference for each in compare(by_time, attrs.evolve(THEIRS, lines=ahead))] == ["new", "x9"]


def test_a_blank_need_not_be_known_there() -> None:
    blank = Ours(FACTS, 1, 0, blank=True)
    assert compare(blank, Observed(known=False)) == ()
    assert compare(attrs.evolve(blank, blank=False), Observed(known=False))[0].code is DifferenceCode.UNKNOWN_CARD


# --- Our books and a sandbox's


class Wire:
    """An in-process transport on which the next change can go wrong, and something can happen between reads."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.inner = InProcess(sandbox, read_timeout=0.2)
        self.fault = "none"
        self.reading_fault = "none"
        self.only_history = False
        self.instead = (b"", b"")  # in every answer
        self.meanwhile: list[Any] = []

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        spoilt = method != "search" or not self.only_history
        fault = self.reading_fault if spoilt else "none"
        if method == "cardHistory" and self.meanwhile:
            self.meanwhile.pop()()
        elif method not in ("search", "cardHistory"):
            fault, self.fault = self.fault, "none"
        answer = self.inner.send(method, {**headers, "x-sandbox-fault": fault}, body)
        return attrs.evolve(answer, body=answer.body.replace(*self.instead)) if spoilt else answer

    def close(self) -> None: ...


class Shop:
    """One clock, a second a step; card c with 50.00, of which payment p holds 20.00."""

    def __init__(self, url: str = "memory:", sandbox: Settings | None = None, **settings: Any) -> None:
        self.now = START
        self.sandbox = Sandbox(
            sandbox, {"GIFT": 9, "PLASTIC": CardSet(2, physical=True)}, seed=3, clock=lambda: self.now.timestamp()
        )
        known = self.sandbox.credentials
        self.settings = ClutchSettings(
            base_url="http://127.0.0.1:1", api_key=known.api_key, api_secret=known.api_secret, brand=known.brand,
            location=known.location, terminal=known.terminal,
            **{"rate": 1e6, "burst": 10**6, "read_pause": 0.0, **settings},
        )  # fmt: skip
        self.wire = Wire(self.sandbox)
        self.provider = ClutchProvider(self.settings, self.wire, clock=self.tick, sleep=lambda seconds: None)
        ids = (f"id-{number}" for number in count(1))
        self.engine = Engine(MACHINES, open_store(url), self.provider, clock=self.tick, ids=lambda: next(ids))
        self.books = Books(self.engine)
        sale = self.books.sell_electronic("c", "50.00", "USD", order="o1", key="sell", card_set="GIFT")
        assert sale.number
        self.number, self.pin = sale.number, sale.pin
        self.books.authorize("p", "c", "20.00", order="o2", key="pay", pin=self.pin)

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def spend(self, minor: int) -> None:
        self.tick()
        self.sandbox.spend_elsewhere(self.number, minor)

    def theirs(self, action: str, amount: str, **more: Any) -> str:
        """Another channel, at a place of its own."""
        self.tick()
        value = {"balanceType": "Currency", "balanceCode": "USD", "amount": Decimal(amount)}
        body = {"cardNumber": self.number, "action": action, "amount": value, **more}
        answer = self.sandbox.post("updateBalance", body, location="store-7").json()
        assert answer["success"], answer
        return str(answer["transactionId"])

    def found(self, **more: Any) -> list[tuple[str, int | None, int | None]]:
        self.tick()
        report = reconcile(self.engine, **more)
        assert all(self.number not in each.what for each in report.findings)
        return [told(each) for each in report.findings]

    def available(self) -> int:
        return self.books.card("c").available.minor

    def agree(self) -> bool:
        return self.available() == self.sandbox.balances(self.number).get("USD", 0) and self.books.verify().clean


@pytest.fixture
def shop() -> Shop:
    return Shop()


def observer(provider: Observer) -> Observer:
    return provider


def test_both_are_verbs(shop: Shop) -> None:
    """What the portal shows besides is posted."""
    shop.theirs("issue", "5.00")
    assert shop.books.reconcile("c").findings == reconcile(shop.engine, "c").findings != ()
    assert shop.books.reconcile(apply=True, **WHO).posted
    assert (shop.books.reconcile().clean, shop.agree()) == (True, True)
    with pytest.raises(Invalid, match="who has differences posted"):
        shop.books.reconcile(apply=True)


def test_it_can_be_observed(shop: Shop) -> None:
    seen = observer(shop.provider).observe(CardFacts("c", "USD", shop.number))
    assert isinstance(seen, Observed)
    assert (seen.available, list(seen.holds.values()), seen.complete, seen.known) == (3000, [2000], True, True)
    assert [(each.amount, each.moves, each.ours) for each in seen.lines] == [
        (0, True, True), (5000, True, True), (None, False, True)
    ]  # fmt: skip


def test_a_life_through_all_verbs_is_clean(shop: Shop) -> None:
    """Every verb of ours leaves a line that is recognized as ours: nothing but what differs is ever told."""
    books = shop.books
    books.settle("p", "5.00", key="ship 1")  # and an advanced hold of 15.00
    books.settle("p", "5.00", key="ship 2", keep_hold=True)
    books.settle("p", "10.00", key="ship 3", last=True)
    books.refund("p", "2.00", key="back")
    books.redeem("q", "c", "3.00", order="o3", key="now", pin=shop.pin)
    books.void("q", key="void")
    books.redeem("r", "c", "999.00", order="o4", key="short", pin=shop.pin, allow_partial=True)
    books.reload("c", "40.00", key="reload")
    books.adjust("c", "1.00", key="up", by="anna", reason="goodwill")
    books.adjust("c", "-0.50", key="down", by="anna", reason="too much")
    books.authorize("s", "c", "4.00", order="o5", key="hold", pin=shop.pin)
    books.cancel("s", key="cancel")
    plastic = shop.sandbox.inventory("PLASTIC")[0]
    books.ship_physical("d", plastic, "10.00", "USD", order="o6", key="plastic")
    books.replace("c", "e", key="lost", card_set="GIFT")
    books.run_due()

    report = reconcile(shop.engine)
    assert ([str(each) for each in report.findings], report.cards, report.clean) == ([], 3, True)
    assert shop.books.verify().clean


def test_another_channel_spends_and_apply_posts_it(shop: Shop) -> None:
    shop.spend(700)
    wanted = [("balance", 3000, 2300), ("line_only_theirs", None, -700)]
    assert shop.found() == wanted
    assert shop.found(card_id="c") == wanted
    assert shop.available() == 3000

    report = reconcile(shop.engine, apply=True, **WHO)
    assert [each.posted for each in report.findings] == [True, True]
    assert not report.clean
    assert report.remaining == ()
    (receipt,) = report.posted
    assert [tuple(each) for each in receipt.postings] == [("available", "elsewhere", 700)]
    assert shop.books.history("gift_card", "c")[-1].reason == "month's end"
    assert shop.agree()

    assert reconcile(shop.engine).clean
    assert reconcile(shop.engine, apply=True, **WHO).posted == ()
    shop.theirs("issue", "2.5")
    assert shop.found() == [("balance", 2300, 2550), ("line_only_theirs", None, 250)]


def test_the_sentences_say_where_and_how_much(shop: Shop) -> None:
    shop.spend(700)
    balance, spent = reconcile(shop.engine).findings
    masked = f"…{shop.number[-4:]}"
    assert str(balance) == (
        f"card 'c' ({masked}): 30.00 USD are available here, 23.00 USD there: 7.00 USD less than we know of"
    )
    assert str(spent).startswith(f"card 'c' ({masked}): the provider has a line that we do not: -7.00 USD, 2026-03-02 ")
    assert "at elsewhere, transaction" in str(spent)


def test_what_was_done_for_less_is_ours_for_less(shop: Shop) -> None:
    """30.00 were asked for; another channel had been faster, and 23.00 were taken. The answer says that none is left."""
    shop.spend(700)
    shop.books.redeem("q", "c", "30.00", order="o3", key="short", pin=shop.pin, allow_partial=True)
    assert shop.available() == 0
    assert shop.found() == [("line_only_theirs", None, -700)]


def test_what_nets_to_nothing_is_told_once(shop: Shop) -> None:
    """Another channel held and let go: no balance differs, two lines of 0.00 do. Applying takes them in."""
    hold = shop.theirs("hold", "5")
    shop.theirs("redeem", "0", redeemFromHoldTransactionId=hold, releaseHoldRemainder=True)
    assert shop.found() == [("line_only_theirs", None, 0)] * 2
    report = reconcile(shop.engine, apply=True, **WHO)
    assert [each.transition for each in report.posted] == ["observe_same"]
    assert reconcile(shop.engine).clean


def test_a_hold_only_they_know_stays_for_a_person(shop: Shop) -> None:
    hold = shop.theirs("hold", "5")
    wanted = [("balance", 3000, 2500), ("hold_only_theirs", None, 500), ("line_only_theirs", None, 0)]
    assert shop.found() == wanted
    report = reconcile(shop.engine, apply=True, **WHO)
    assert [(each.code, each.reference) for each in report.remaining] == [(DifferenceCode.HOLD_ONLY_THEIRS, hold)]
    assert hold in shop.sandbox.holds(shop.number)
    assert shop.found() == [("hold_only_theirs", None, 500)]
    shop.theirs("redeem", "0", redeemFromHoldTransactionId=hold, releaseHoldRemainder=True)
    reconcile(shop.engine, apply=True, **WHO)
    assert reconcile(shop.engine).clean
    assert shop.available() == 3000


def test_a_hold_only_we_know(shop: Shop) -> None:
    """A person released our hold in the provider's portal."""
    (hold,) = shop.sandbox.holds(shop.number)
    shop.theirs("redeem", "0", redeemFromHoldTransactionId=hold, releaseHoldRemainder=True)
    assert shop.found() == [("balance", 3000, 5000), ("hold_only_ours", 2000, None), ("line_only_theirs", None, 0)]
    report = reconcile(shop.engine, apply=True, **WHO)
    assert [each.code for each in report.remaining] == [DifferenceCode.HOLD_ONLY_OURS]
    assert shop.books.payment("p").held.minor == 2000
    assert "payment 'p' has 20.00 USD held" in str(report.remaining[0])


def test_a_hold_they_used_a_part_of(shop: Shop) -> None:
    (hold,) = shop.sandbox.holds(shop.number)
    shop.theirs("redeem", "5", redeemFromHoldTransactionId=hold)
    assert shop.found() == [("hold_differs", 2000, 1500), ("line_only_theirs", None, -500)]


def test_a_request_that_was_done_twice() -> None:
    shop = Shop(sandbox=Settings(deduplicate=False))
    shop.wire.fault = "duplicate"
    shop.books.authorize("q", "c", "4.00", order="o3", key="twice", pin=shop.pin)
    wanted = [("balance", 2600, 2200), ("hold_only_theirs", None, 400), ("line_only_theirs", None, 0)]
    assert shop.found() == wanted
    assert "which is where we ask from" in reconcile(shop.engine).findings[-1].what

    shop.wire.fault = "duplicate"
    shop.books.reload("c", "10.00", key="reload")
    assert ("line_only_theirs", None, 1000) in shop.found()


def test_what_was_never_done_there(shop: Shop) -> None:
    """A person said confirmed of a call that the provider never saw."""
    shop.wire.fault = "lost_before"
    with pytest.raises(Exception, match="answer is not known"):
        shop.books.reload("c", "10.00", key="reload")
    (call,) = waiting(shop.engine).calls
    shop.engine.resolve(call.row.id, "confirmed", by="anna", reason="guessed", reference="made-up")
    assert shop.found() == [("balance", 4000, 3000), ("line_only_ours", 1000, None)]
    reconcile(shop.engine, apply=True, **WHO)
    assert reconcile(shop.engine).clean
    assert shop.agree()


def test_what_a_person_names_is_not_taken_for_a_later_call(shop: Shop) -> None:
    """The entry of a confirmed reload has an owner, so the next reload, which never arrived, cannot be it."""
    shop.wire.fault = "lost_after"
    with pytest.raises(Exception, match="answer is not known"):
        shop.books.reload("c", "5.00", key="first")
    call = waiting(shop.engine).calls[0].row.id
    with pytest.raises(Invalid, match="a confirmed issue has to be named by the provider's id"):
        shop.engine.resolve(call, "confirmed", by="anna", reason="saw it")
    own = shop.sandbox.history(shop.number)[0].transaction_id
    shop.engine.resolve(call, "confirmed", by="anna", reason="saw it", reference=own)
    shop.wire.fault = "lost_before"
    with pytest.raises(Exception, match="answer is not known"):
        shop.books.reload("c", "5.00", key="second")
    shop.now += timedelta(minutes=2)
    assert [each.result for each in shop.engine.recover()] == ["applied"]  # not seen, so it was sent again
    assert (shop.available(), shop.found()) == (4000, [])
    assert shop.agree()


def test_two_calls_that_claim_one_line(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a person can name two of our reloads alike, nor Clutch itself."""
    shop.books.reload("c", "10.00", key="reload")
    taken = shop.sandbox.history(shop.number)[0].transaction_id
    shop.wire.fault = "lost_before"
    with pytest.raises(Exception, match="answer is not known"):
        shop.books.reload("c", "10.00", key="again")
    call = waiting(shop.engine).calls[0].row.id
    with pytest.raises(Invalid, match=rf"{taken} is what call id-5 did \(issue, key 'reload'\)"):
        shop.engine.resolve(call, "confirmed", by="anna", reason="saw it", reference=taken)
    shop.engine.resolve(call, "unavailable", by="anna", reason="not there")
    monkeypatch.setattr(shop.engine.provider, "perform", lambda call: Outcome(Result.CONFIRMED, reference=taken))
    with pytest.raises(InDoubt, match=rf"the answer names a transaction of another: {taken} is what call id-5 did"):
        shop.books.reload("c", "10.00", key="again")
    assert shop.found() == [("in_doubt", 1000, None)]


def test_a_card_in_doubt_is_not_judged(shop: Shop) -> None:
    shop.wire.fault = "lost_after"
    with pytest.raises(Exception, match="answer is not known"):
        shop.books.authorize("q", "c", "5.00", order="o3", key="lost")
    shop.spend(100)
    assert shop.found() == [("in_doubt", 500, None)]
    assert "5.00 USD wait for an answer (call " in reconcile(shop.engine).findings[0].what
    assert reconcile(shop.engine, apply=True, **WHO).posted == ()
    shop.now += timedelta(minutes=2)
    shop.engine.recover()
    assert shop.found() == [("balance", 2500, 2400), ("line_only_theirs", None, -100)]


def test_our_books_tampered_with(tmp_path: Any) -> None:
    """A row was changed behind the journal's back: what differs is told, but nothing is posted on top of it."""
    import sqlite3

    shop = Shop(f"sqlite:///{tmp_path}/books.db")
    with sqlite3.connect(tmp_path / "books.db") as connection:
        connection.execute("UPDATE gift_card SET available = 9000 WHERE id = 'c'")
        connection.execute("UPDATE payment SET hold_id = 'forged' WHERE id = 'p'")
    connection.close()
    wanted = [
        ("own_books", None, None), ("balance", 9000, 3000), ("hold_only_ours", 2000, None),
        ("hold_only_theirs", None, 2000),
    ]  # fmt: skip
    assert shop.found() == wanted
    assert shop.found(apply=True, **WHO) == wanted
    assert shop.available() == 9000
    assert not shop.books.verify().clean
    shop.books.close()


def test_a_card_of_another_channel_begins_clean(shop: Shop) -> None:
    """What happened before it was first seen here came in with its balance."""
    answer = shop.sandbox.post("allocate", {"cardSetId": "GIFT"}).json()
    shop.number = answer["cardNumber"]
    shop.theirs("issue", "25")
    shop.theirs("redeem", "5")
    shop.tick()
    facts = {"form": "physical", "currency": "USD"}
    shop.engine.execute("gift_card", "r", "create", facts, key="r")
    shop.engine.execute("gift_card", "r", "recognize", {"number": shop.number, "balance": "20.00"}, key="seen")
    assert reconcile(shop.engine, "r").clean
    shop.spend(100)
    assert shop.found(card_id="r") == [("balance", 2000, 1900), ("line_only_theirs", None, -100)]


def test_books_that_move_while_they_are_compared_are_read_anew(shop: Shop) -> None:
    shop.wire.meanwhile = [lambda: shop.books.reload("c", "1.00", key="meanwhile")]
    assert reconcile(shop.engine).clean
    keys = (f"meanwhile {number}" for number in count())
    shop.wire.meanwhile = [lambda: shop.books.reload("c", "1.00", key=next(keys))] * 9
    assert shop.found() == [("busy", None, None)]
    assert next(keys) == "meanwhile 3"


def test_what_comes_in_just_before_the_posting_is_set_right(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hold is placed after the last look and before the observation, which would post an old balance: look again."""
    shop.spend(700)
    observe, first = Balances.observe, [True]

    def late(self: Balances, *given: Any) -> Any:
        if first:
            first.pop()
            shop.books.authorize("q", "c", "5.00", order="o3", key="late")
        return observe(self, *given)

    monkeypatch.setattr(Balances, "observe", late)
    report = reconcile(shop.engine, apply=True, **WHO)
    assert (len(report.posted), report.remaining) == (1, ())
    assert (shop.available(), shop.agree()) == (1800, True)
    assert reconcile(shop.engine).clean


def test_a_card_that_may_not_observe_says_so(shop: Shop) -> None:
    plastic = shop.sandbox.inventory("PLASTIC")[0]
    shop.engine.execute("gift_card", "d", "create", {"form": "physical", "currency": "USD"}, key="d")
    shop.engine.execute("gift_card", "d", "activate", {"number": plastic}, key="d/activate")
    shop.number = plastic
    shop.theirs("issue", "5")
    report = reconcile(shop.engine, "d", apply=True, **WHO)
    assert [each.code for each in report.remaining] == [
        DifferenceCode.BALANCE,
        DifferenceCode.LINE_ONLY_THEIRS,
        DifferenceCode.NOT_POSTED,
    ]
    assert "No money was put on it yet" in report.remaining[-1].what
    assert report.posted == ()


def test_another_brand_does_not_empty_our_books(shop: Shop) -> None:
    """Not one of our cards is known there: that is told, and never posted."""
    stranger = Sandbox(shop.sandbox.settings, {"GIFT": 1}, seed=99)
    known = stranger.credentials
    settings = attrs.evolve(shop.settings, api_key=known.api_key, api_secret=known.api_secret)
    engine = Engine(MACHINES, shop.engine.store, ClutchProvider(settings, InProcess(stranger)))
    report = reconcile(engine, apply=True, **WHO)
    assert [told(each) for each in report.findings] == [("unknown_card", 5000, None)]
    assert shop.available() == 3000


def test_what_cannot_be_read_is_not_judged(shop: Shop) -> None:
    shop.wire.reading_fault = "500_before"
    assert shop.found() == [("unread", None, None)]
    shop.wire.reading_fault = "wrong_currency"
    report = reconcile(shop.engine, apply=True, **WHO)
    assert [each.code for each in report.findings] == [DifferenceCode.UNREAD]
    assert "another currency" in report.findings[0].what
    shop.wire.reading_fault = "none"
    shop.wire.instead = (b'"usedCache":false', b'"usedCache":true')
    assert "answered from a cache" in reconcile(shop.engine).findings[0].what


def test_lines_in_another_currency_are_told_without_an_amount(shop: Shop) -> None:
    shop.spend(700)
    shop.wire.only_history, shop.wire.reading_fault = True, "wrong_currency"
    assert shop.found() == [("balance", 3000, 2300), ("line_only_theirs", None, None)]


def test_balances_without_a_history_are_not_judged(shop: Shop) -> None:
    no_account = b'"success":false,"errorMessage":"Could not find the account that goes with the specified card."'
    shop.wire.only_history, shop.wire.instead = True, (b'"success":true', no_account)
    (found,) = reconcile(shop.engine).findings
    assert (found.code, "the card has balances, but no history" in found.what) == (DifferenceCode.UNREAD, True)


def test_a_suspended_card_is_read_even_where_it_is_hidden(shop: Shop) -> None:
    hidden = Shop(sandbox=Settings(suspended_is_inactive=True), include_inactive=False)
    hidden.books.suspend("c", key="lost")
    assert hidden.found() == [("unread", None, None)]
    shop.books.suspend("c", key="lost")
    assert reconcile(shop.engine).clean


def test_a_first_load_without_its_amount_is_ours_all_the_same() -> None:
    shop = Shop(sandbox=Settings(first_issue_shows_update=False))
    assert reconcile(shop.engine).clean


def test_a_history_too_long_says_how_far_it_was_read() -> None:
    shop = Shop(history_page=1, history_pages=2)
    assert shop.found() == [("history_cut", None, None)]


def test_the_adapter_reads_the_record_of_odd_cards(shop: Shop) -> None:
    blank = CardFacts("b", "USD", shop.sandbox.inventory("GIFT")[0])
    assert shop.provider.observe(blank) == Observed()
    assert shop.provider.observe(CardFacts("x", "USD", "4831000")) == Observed(known=False)
    shop.wire.reading_fault = "429"
    assert isinstance(shop.provider.observe(blank), Unread)


def test_what_cannot_be_reconciled(shop: Shop) -> None:
    shop.engine.execute("gift_card", "blank", "create", {"form": "electronic", "currency": "USD"}, key="b")
    assert reconcile(shop.engine).cards == 1  # a card without number is nobody's but ours
    with pytest.raises(Invalid, match="no number yet"):
        reconcile(shop.engine, "blank")
    with pytest.raises(Invalid, match="no gift_card 'nobody'"):
        reconcile(shop.engine, "nobody")
    with pytest.raises(Invalid, match="why"):
        reconcile(shop.engine, apply=True, by="anna")
    with pytest.raises(Invalid, match="'local' has no record that could be read; our own books"):
        reconcile(Engine(MACHINES, open_store("memory:"), LocalProvider()))
    assert NUMBER not in repr(Difference(DifferenceCode.BALANCE, "c", "…0281", "USD", "what"))
    assert shop.number not in repr(our_half(shop.engine, "c"))


# --- What waits


def test_old_holds_are_listed_and_released(shop: Shop) -> None:
    day = timedelta(days=1)
    held = shop.now
    shop.now += 20 * day
    shop.books.authorize("q", "c", "4.00", order="o3", key="young", pin=shop.pin)
    shop.now += 15 * day
    (old,) = holds_older_than(shop.engine, 30 * day, now=shop.now)
    assert (old.payment, old.order, old.card, str(old.amount), old.state) == ("p", "o2", "c", "20.00 USD", "authorized")
    assert (old.number, abs(old.since - held) < timedelta(minutes=1)) == (f"…{shop.number[-4:]}", True)
    assert old.hold in shop.sandbox.holds(shop.number)
    assert [each.payment for each in holds_older_than(shop.engine, day, now=shop.now)] == ["p", "q"]

    (done,) = release(shop.engine, [old], by="anna", reason="30 days")
    assert (done.applied, done.state, done.replayed) == (True, "reversed", False)
    (again,) = release(shop.engine, [old], by="anna", reason="30 days")
    assert again.replayed
    assert holds_older_than(shop.engine, 30 * day, now=shop.now) == []
    assert list(shop.sandbox.holds(shop.number).values()) == [400]
    assert reconcile(shop.engine).clean
    with pytest.raises(Invalid, match="why"):
        release(shop.engine, [old], by="anna", reason="")


def test_a_hold_is_as_old_as_the_entry_that_put_it_in_force(shop: Shop) -> None:
    """An advanced hold begins anew; a rest that was kept does not, nor does a release that failed."""
    day = timedelta(days=1)
    shop.now += 10 * day
    shop.books.settle("p", "5.00", key="ship 1", keep_hold=True)
    assert [str(each.amount) for each in holds_older_than(shop.engine, 9 * day, now=shop.now)] == ["15.00 USD"]
    shop.wire.fault = "429"
    (old,) = holds_older_than(shop.engine, 9 * day, now=shop.now)
    (failed,) = release(shop.engine, [old], by="anna", reason="old")
    assert failed.result == "unavailable"
    (still,) = holds_older_than(shop.engine, 9 * day, now=shop.now)
    assert (still.since, still.revision > old.revision) == (old.since, True)
    shop.books.settle("p", "5.00", key="ship 2")
    assert holds_older_than(shop.engine, 9 * day, now=shop.now) == []
    (young,) = holds_older_than(shop.engine, timedelta(), now=shop.tick())
    assert (str(young.amount), shop.now - young.since < timedelta(minutes=1)) == ("10.00 USD", True)


def test_all_that_waits_for_a_person(shop: Shop) -> None:
    assert not stuck(shop.engine)
    shop.engine.execute("payment", "late", "create", {"order": "o9", "card": "c", "currency": "USD"}, key="late")
    shop.engine.execute("payment", "late", "settle", {"amount": "1.00"}, key="due", due=shop.now)
    shop.engine.run_due()
    shop.wire.fault = "lost_after"
    with pytest.raises(Exception, match="answer is not known"):
        shop.books.reload("c", "1.00", key="lost")
    still = waiting(shop.engine)
    assert [(each.row.verb, each.why) for each in still.calls] == [
        ("issue", "no answer came (ConnectionLost); recover looks it up")
    ]
    shop.now += REACH + timedelta(minutes=1)
    late = stuck(shop.engine)
    assert not waiting(shop.engine)
    assert [(each.row.id, each.due) for each in late.calls] == [(still.calls[0].row.id, None)]
    assert late.calls[0].why.endswith("no look-up has ended it for an hour: does recover run?")
    assert [(each.row.key, each.row.state) for each in late.queue] == [("due", "refused")]
    assert not late.uncovered
    assert late


def test_what_another_channel_took_in_between_is_uncovered(shop: Shop) -> None:
    """The rest of a hold is let go with the shipment; before it is held again, somebody takes it."""
    shop.engine.execute("payment", "p", "settle", {"amount": "5.00"}, key="ship")
    shop.spend(4500 - 600)
    shop.engine.run_due()
    (short,) = stuck(shop.engine).uncovered
    assert (short.payment, short.order, str(short.amount)) == ("p", "o2", "9.00 USD")
    assert shop.available() == 0  # as the answer to the new hold says
    assert shop.found(apply=True, **WHO) == [("line_only_theirs", None, -3900)]
    assert reconcile(shop.engine).clean
