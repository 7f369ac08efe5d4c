"""A void names the request that it undoes. What the books keep of a redemption is what its void needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import tallystick
from clutch_world import World, settings_of
from tallystick.books.books import Books
from tallystick.books.reconciling.reconcile import reconcile
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.sandbox import Sandbox, Settings
from tallystick.clutch.sandbox.server import Server
from tallystick.engine.receipt import Ended
from tallystick.errors import TallystickError
from tallystick.provider.protocol import Call, CardFacts, Outcome, Result

IDS = ["request_ref", "numeric"]


@pytest.fixture(params=IDS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(Settings(transaction_ids=request.param), {"GIFT": 2}, seed=3) as sandbox, Server(sandbox) as server:
        sandbox.url = f"{server.url}/merchant"  # type: ignore[attr-defined]
        yield sandbox


@pytest.fixture
def provider(sandbox: Any) -> Iterator[ClutchProvider]:
    provider = ClutchProvider(settings_of(sandbox, sandbox.url, card_sets={"gift": "GIFT"}, read_timeout=5.0))
    yield provider
    provider.close()


@pytest.fixture
def books(provider: ClutchProvider) -> Iterator[Books]:
    with tallystick.open("memory:", provider=provider) as books:
        books.sell_electronic("c", "50.00", "USD", order="o-0", key="sell")
        yield books


def number(books: Books) -> str:
    found = books.card("c").number
    assert found
    return found


def void(books: Books, request: str | None, attempt: int = 1) -> Outcome:
    card = CardFacts("c", "USD", number(books))
    return books.engine.provider.perform(
        Call(f"void of {request}", "void", card, {"amount": 2000, "transaction": request}, attempt=attempt)
    )


def test_a_redemption_is_voided(books: Books, sandbox: Sandbox) -> None:
    books.redeem("p", "c", "20.00", order="o-1", key="pay", by="ann")
    assert sandbox.balances(number(books)) == {"USD": 3000}
    (line, *_) = sandbox.history(number(books))
    assert books.void("p", key="undo").applied
    assert sandbox.balances(number(books)) == {"USD": 5000}
    assert [each.operation for each in sandbox.history(number(books))[:2]] == ["void", "redeem"]
    assert books.card("c").available.minor == 5000
    assert (line.transaction_id == line.request_ref) is (sandbox.settings.transaction_ids == "request_ref")

    with pytest.raises(TallystickError):
        books.void("p", key="undo it again")
    assert books.void("p", key="undo").replayed
    assert void(books, line.request_ref).result is Result.DECLINED, "nor does Clutch do it twice"
    assert sandbox.balances(number(books)) == {"USD": 5000}
    assert reconcile(books.engine).clean


def test_what_nobody_did_cannot_be_voided(books: Books, sandbox: Sandbox) -> None:
    books.redeem("p", "c", "20.00", order="o-1", key="pay", by="ann")
    assert void(books, "f39a8d43-5f0f-4a05-8d6b-7c0b5f7c1e2a").result is Result.DECLINED
    assert void(books, None).text == "no request is named whose transaction could be voided"
    if sandbox.settings.transaction_ids == "numeric":
        assert void(books, sandbox.history(number(books))[0].transaction_id).result is Result.DECLINED
    assert sandbox.balances(number(books)) == {"USD": 3000}


@pytest.mark.parametrize("ids", IDS)
@pytest.mark.parametrize("redeem", ["none", "lost_after", "lost_before"])
@pytest.mark.parametrize("fault", ["none", "lost_after", "lost_before", "500_after", "truncated"])
def test_a_lost_redemption_and_its_lost_void_are_found(ids: Any, redeem: str, fault: str) -> None:
    world = World(sandbox=Settings(transaction_ids=ids))
    world.card()
    world.payment()
    world.line.faults = [redeem]
    world.do("payment", "p1", "redeem", amount="20.00")
    world.end()
    assert world.entity("payment", "p1").accounts["redeemed"] == 2000

    world.line.faults = [fault]
    receipt = world.do("payment", "p1", "void")
    assert receipt.result is (Ended.APPLIED if fault == "none" else Ended.IN_DOUBT)
    world.end()
    card = world.entity("gift_card", "c1")
    assert (card.accounts["available"], world.asked_a_person) == (5000, 0)
    assert world.sandbox.balances(str(card.facts["number"])) == {"USD": 5000}
    world.agree()
