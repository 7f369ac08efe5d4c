"""What Clutch says of one card cannot be: then that card's answer is unread, or its call unknown, and nothing else ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from clutch_world import World
from tallystick.books.balance import BalanceSettings
from tallystick.books.books import Books
from tallystick.books.reconciling.reconcile import reconcile
from tallystick.clutch.answers import NotRead, loads
from tallystick.clutch.transport import Answer
from tallystick.engine.receipt import Ended
from tallystick.provider.protocol import CardFacts, Line, Observed, Unread

HUGE = b"1e99999999999999999999"
Edit = Callable[[bytes], bytes]


class Edited:
    """A transport that changes what is answered about one card."""

    def __init__(self, inner: Any, about: str, edit: Edit, method: str = "search") -> None:
        self.inner, self.about, self.edit, self.method = inner, about.encode(), edit, method

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        answer: Answer = self.inner.send(method, headers, body)
        if method != self.method or self.about not in body:
            return answer
        edited = self.edit(answer.body)
        assert edited != answer.body
        return Answer(answer.status, edited)

    def close(self) -> None: ...


def amount(written: bytes) -> Edit:
    return lambda body: body.replace(b'"amount":30.00', b'"amount":' + written)


def again(written: bytes) -> Edit:
    """The balance is there once more, with this amount."""
    return lambda body: re.sub(rb'("balances":\[)(\{[^]]*?\})', rb"\1\2,\2", body).replace(b"30.00", written)


SEARCHES: dict[str, Edit] = {
    "exponent": amount(HUGE),
    "tiny": amount(b"1e-99999999999999999999"),
    "many zeros": amount(b"1e1000000"),
    "not a number": amount(b"NaN"),
    "infinite": amount(b"-Infinity"),
    "digits": amount(b"9" * 4000),
    "more digits than an int may have": amount(b"9" * 5000),
    "a hundredth of a cent": amount(b"30.0001"),
    "below zero": amount(b"-30.00"),
    "true": amount(b"true"),
    "null": amount(b"null"),
    "an object": amount(b'{"amount":30.00}'),
    "full-width digits": amount('"３０"'.encode()),
    "beyond the limit": amount(b"10000000000000.01"),
    "together beyond the limit": again(b"10000000000000.00"),
    "another currency": lambda body: body.replace(b'"USD"', b'"XTS"'),
    "a hold that is 1": lambda body: body.replace(b'"isHold":false', b'"isHold":1'),
    "a hold that is a word": lambda body: body.replace(b'"isHold":false', b'"isHold":"true"'),
    "a hold without a name": lambda body: body.replace(b'"isHold":false', b'"isHold":true'),
    "a hold whose name is a list": lambda body: body.replace(
        b'"isHold":false', b'"isHold":true,"holdingTransactionId":[1]'
    ),
    "two holds of one name": lambda body: again(b"30.00")(body).replace(
        b'"isHold":false', b'"isHold":true,"holdingTransactionId":"x"'
    ),
    "said twice": lambda body: body.replace(b'"amount":30.00', b'"amount":30.00,"amount":20.00'),
    "deep": lambda body: body.replace(b"30.00", b"[" * 100_000 + b"]" * 100_000),
    "no balances": lambda body: re.sub(rb'"balances":\[[^]]*\]', b'"balances":{}', body),
    "no list": lambda body: b'{"cards":7,"success":true}',
    "two cards": lambda body: re.sub(rb'"cards":\[(.*)\],"usedCache"', rb'"cards":[\1,\1],"usedCache"', body),
    "nothing": lambda body: b"",
    "a list": lambda body: b"[]",
    "half a letter": lambda body: b"\xff" + body,
}
HISTORIES: dict[str, Edit] = {
    "time": lambda body: re.sub(rb'"transactionTime":\d+', b'"transactionTime":true', body),
    "time beyond all": lambda body: re.sub(rb'"transactionTime":\d+', b'"transactionTime":' + b"9" * 30, body),
    "id": lambda body: re.sub(rb'"transactionId":"[^"]*"', b'"transactionId":{}', body),
    "long id": lambda body: re.sub(rb'"transactionId":"', b'"transactionId":"' + b"x" * 100_000, body),
    "half a character": lambda body: re.sub(rb'"transactionId":"', rb'"transactionId":"\\ud800', body),
    "amount": lambda body: body.replace(b'"amount":30.00', b'"amount":' + HUGE),
    "fewer than there are": lambda body: re.sub(rb'"matchCount":\d+', b'"matchCount":1', body),
}


@pytest.fixture
def world() -> World:
    world = World()
    world.card("a", "30.00")
    world.card("b", "20.00")
    return world


def number(world: World, card: str) -> str:
    return str(world.entity("gift_card", card).facts["number"])


@pytest.mark.parametrize("edit", SEARCHES.values(), ids=SEARCHES)
def test_one_odd_card_does_not_end_the_reconciliation_of_all(world: World, edit: Edit) -> None:
    world.provider._transport = Edited(world.line, number(world, "a"), edit)
    report = reconcile(world.engine, apply=True, by="anna", reason="month's end")
    assert [(each.card, each.code) for each in report.findings] == [("a", "unread")]
    assert report.cards == 2
    with pytest.raises(NotRead):
        world.provider.balance(CardFacts("a", "USD", number(world, "a")))
    at_once = BalanceSettings(answer_every=0)
    asked = Books(world.engine, balances=at_once).balance(number(world, "a"), "1234", currency="USD", client="u")
    assert (asked.said, asked.available) == ("unavailable", None)


@pytest.mark.parametrize("edit", HISTORIES.values(), ids=HISTORIES)
def test_nor_does_an_odd_history(world: World, edit: Edit) -> None:
    world.provider._transport = Edited(world.line, number(world, "a"), edit, "cardHistory")
    report = reconcile(world.engine, apply=True, by="anna", reason="month's end")
    assert {each.card for each in report.findings} == {"a"}
    assert {each.code for each in report.findings} <= {"unread", "history_cut"}
    assert report.posted == ()


ANSWERS: dict[str, Edit] = {
    "exponent": lambda body: body.replace(b'"amount":20.00', b'"amount":' + HUGE),
    "below zero": lambda body: body.replace(b'"amount":20.00', b'"amount":-20.00'),
    "id is a list": lambda body: re.sub(rb'"transactionId":"[^"]*"', b'"transactionId":["x"]', body),
    "id is true": lambda body: re.sub(rb'"transactionId":"[^"]*"', b'"transactionId":true', body),
    "long id": lambda body: re.sub(rb'"transactionId":"', b'"transactionId":"' + b"x" * 1000, body),
    "card is a number too far": lambda body: re.sub(rb'"cardNumber":"', b'"cardNumber":"1', body),
    "success twice": lambda body: body.replace(b'"success":true', b'"success":false,"success":true'),
}


@pytest.mark.parametrize("edit", ANSWERS.values(), ids=ANSWERS)
def test_an_odd_answer_leaves_its_call_in_doubt(world: World, edit: Edit) -> None:
    world.payment("p", card="a")
    world.provider._transport = Edited(world.line, number(world, "a"), edit, "updateBalance")
    receipt = world.do("payment", "p", "authorize", amount="10.00")
    assert receipt.result is Ended.IN_DOUBT
    assert world.entity("gift_card", "a").accounts["in_doubt"] == 1000
    assert world.sure("payment", world.payment("q", card="b").id, "authorize", amount="1.00").applied


def test_a_number_that_is_none_is_no_json() -> None:
    for text in (HUGE, b"[" * 100_000, b'{"a":1,"a":1}', b"NaN"):
        with pytest.raises(ValueError, match=r"exponent|deep|twice|not JSON"):
            loads(text)


# Another provider's record, which our adapter has not read

AT = World().clock()
ODD: dict[str, object] = {
    "too much": Observed(10**15 + 1),
    "together too much": Observed(0, {"x": 10**15, "y": 10**15}),
    "below zero": Observed(-1),
    "a flag": Observed(True),
    "a float": Observed(3.0),  # type: ignore[arg-type]
    "a line beyond": Observed(0, {}, (Line("x", None, AT, -(10**16)),)),
    "no name": Observed(0, {"": 1}),
    "half a character": Observed(0, {}, (Line("\ud800", None, AT, 1),)),
    "no time zone": Observed(0, {}, (Line("x", None, AT.replace(tzinfo=None), 1),)),
    "nothing": None,
    "a fault": ZeroDivisionError("4831 4039 5030 281"),
}


@pytest.mark.parametrize("said", ODD.values(), ids=ODD)
def test_whatever_an_observer_says_ends_one_card(world: World, said: object, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = world.provider.observe

    def observe(card: CardFacts, *, history: bool = True) -> Any:
        if card.id != "a":
            return whole(card)
        if isinstance(said, Exception):
            raise said
        return said

    monkeypatch.setattr(world.provider, "observe", observe)
    report = reconcile(world.engine, apply=True, by="anna", reason="month's end")
    assert [(each.card, each.code) for each in report.findings] == [("a", "unread")]
    assert "4831" not in report.findings[0].what


def test_why_it_is_unread_is_one_line(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.provider, "observe", lambda card, history: Unread("not\nnow \ud800"))
    assert {each.what.partition(": ")[2] for each in reconcile(world.engine).findings} == {"it was not judged: not now"}
