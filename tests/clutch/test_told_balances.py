"""Other channels use the same cards: what Clutch says of a balance is believed, and asked for before we refuse."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clutch_world import World, settings_of
from tallystick.books.books import Books
from tallystick.books.reconciling.reconcile import reconcile
from tallystick.books.views import Plan
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.sandbox import Sandbox, Settings
from tallystick.clutch.sandbox.server import Server
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Declined, Ended, Refused
from tallystick.engine.verify import verify
from tallystick.money import Money
from tallystick.provider.protocol import Reason
from tallystick.store.sqlite import SqliteStore
from tallystick.testing.referee import ProviderBooks, Rows, judge
from tallystick.testing.simulation.dying_store import ProcessDied

Story = list[Callable[[World], object]]


def top_up(sandbox: Sandbox, number: str, amount: float) -> None:
    """Somebody pays for more on the card, in a store."""
    value = {"balanceType": "Currency", "balanceCode": "USD", "amount": amount}
    body = json.dumps({"cardNumber": number, "action": "issue", "amount": value}).encode()
    headers = {**sandbox.headers(), "location": "store-7", "x-sandbox-fault": "none"}
    assert sandbox.handle("updateBalance", headers, body).status == 200


def usd(amount: str) -> Money:
    return Money.parse(amount, "USD")


def number_of(world: World) -> str:
    return str(world.entity("gift_card", "c1").facts["number"])


def available(world: World) -> int:
    return world.entity("gift_card", "c1").accounts["available"]


def searches(world: World) -> list[str]:
    return [method for method, _ in world.line.sent if method in ("search", "cardHistory")]


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.card()
    yield made
    assert made.differences() == []


def test_every_answer_states_the_balance(world: World) -> None:
    world.sandbox.spend_elsewhere(number_of(world), 700)
    world.sure("gift_card", "c1", "reload", amount="1.00")
    assert available(world) == 4400
    top_up(world.sandbox, number_of(world), 10)
    world.payment("p1", "20.00")
    assert available(world) == 3400
    assert searches(world) == []  # nobody had to ask


def test_a_decline_for_lack_of_funds_says_nothing_so_clutch_is_asked(world: World) -> None:
    world.sandbox.spend_elsewhere(number_of(world), 4700)
    world.payment("p1")
    receipt = world.do("payment", "p1", "authorize", amount="20.00")
    assert (receipt.result, receipt.outcome and receipt.outcome.reason) == (Ended.DECLINED, Reason.INSUFFICIENT_FUNDS)
    assert available(world) == 300
    assert searches(world) == ["search"]


def test_a_top_up_in_a_store_is_spendable_at_once(world: World) -> None:
    top_up(world.sandbox, number_of(world), 30)
    assert world.payment("p1", "70.00").accounts["held"] == 7000
    assert available(world) == 1000
    refused = world.do("gift_card", "c1", "redeem", amount="10.01")
    assert (refused.result, refused.refusal and refused.refusal.by_amounts) == (Ended.REFUSED, True)
    assert searches(world) == ["search"] * 2


def test_a_plan_asks_clutch_if_it_is_told_to(world: World) -> None:
    """What was topped up in a store, and what was spent there, is in the plan; a card too many is not asked about."""
    books = Books(world.engine)
    for id in ("c2", "c3"):
        world.card(id)
    top_up(world.sandbox, number_of(world), 30)
    world.sandbox.spend_elsewhere(str(world.entity("gift_card", "c2").facts["number"]), 4000)
    by_books = books.plan(usd("85.00"), ["c1", "c2", "c3"])
    assert (by_books, searches(world)) == (Plan((("c1", usd("50.00")), ("c2", usd("35.00"))), usd("0.00")), [])
    dry = books.would(lambda dry: dry.plan(usd("85.00"), ["c1", "c2", "c3"], ask=True))
    assert (dry.allowed, searches(world)) == (True, [])
    told = books.plan(usd("85.00"), ["c1", "c2", "c3"], ask=True)
    assert told == Plan((("c1", usd("80.00")), ("c2", usd("5.00"))), usd("0.00"), ("c1", "c2"))
    assert searches(world) == ["search"] * 2
    assert books.plan(usd("95.00"), ["c1", "c2"], ask=True).remaining == usd("5.00")
    world.line.reading_faults = ["500_before"] * 20
    assert books.plan(usd("1.00"), ["c1"], ask=True).asked == ()
    world.line.reading_faults = []


@pytest.mark.parametrize("fault", ["lost_before", "500_before", "429", "broken_json", "truncated", "wrong_currency"])
def test_if_clutch_cannot_be_read_the_refusal_stands(world: World, fault: str) -> None:
    top_up(world.sandbox, number_of(world), 30)
    world.line.reading_faults = [fault] * 20
    world.payment("p1")
    assert world.do("payment", "p1", "authorize", amount="70.00").result is Ended.REFUSED
    assert available(world) == 5000
    world.line.reading_faults = []
    assert world.do("payment", "p1", "authorize", amount="70.00").applied


def test_what_clutch_did_twice_is_in_the_balance_and_still_found() -> None:
    """The next answer shows the balance after both. The second line stays one that no call of ours claims."""
    world = World(sandbox=Settings(deduplicate=False))
    world.card()
    world.line.faults = ["duplicate"]
    world.sure("gift_card", "c1", "redeem", amount="10.00")
    assert available(world) == 4000
    world.sure("gift_card", "c1", "reload", amount="1.00")
    assert available(world) == 3100
    assert [each.code for each in reconcile(world.engine).findings] == ["line_only_theirs"]


# --- Stopped anywhere

STORY: Story = [
    lambda world: top_up(world.sandbox, number_of(world), 30),
    lambda world: world.do("payment", "p1", "authorize", "hold", amount="70.00"),  # asked, then held
    lambda world: world.sandbox.spend_elsewhere(number_of(world), 500),
    lambda world: world.do("payment", "p2", "redeem", "redeem", amount="8.00"),  # declined, then asked
    lambda world: world.sandbox.spend_elsewhere(number_of(world), 200),
    lambda world: world.do("gift_card", "c1", "reload", "reload", amount="1.00"),  # the answer states it
]


def told(die: int | None) -> tuple[World, int]:
    """The story, with a process that dies at the step of this number; and how many steps there were."""
    world = World()
    world.card()
    world.payment("p1")
    world.payment("p2")
    seen, elsewhere = [0], set[int]()

    def fate(where: str) -> None:
        seen[0] += 1
        if seen[0] == die:
            raise ProcessDied(where)

    world.fate = world.line.fate = fate
    for _ in range(2):
        try:
            for number, deed in enumerate(STORY):
                if number % 2 or number not in elsewhere:  # what others do, they do once
                    elsewhere.add(number)
                    deed(world)
            break
        except ProcessDied:
            world.start()
            world.end()
    return world, seen[0]


@pytest.mark.slow
def test_stopped_anywhere_nothing_is_lost_and_both_books_end_alike() -> None:
    _, steps = told(None)
    assert steps > 20
    for die in range(1, steps + 1):
        world, _ = told(die)
        world.end()
        assert world.differences() == [], die
        world.engine.balances.hear("gift_card", "c1")
        assert (available(world), world.entity("payment", "p1").accounts["held"]) == (400, 7000), die
        assert world.sandbox.balances(number_of(world)) == {"USD": 400}, die


# --- Over HTTP


def test_over_http_with_the_verbs_of_an_order_system(tmp_path: Path) -> None:
    with Sandbox(card_sets={"GIFT": 4}, seed=3) as sandbox, Server(sandbox) as server:
        provider = ClutchProvider(settings_of(sandbox, server.url, read_timeout=5.0))
        store = SqliteStore(tmp_path / "books.db")
        with Books(Engine(reader.load(), store, provider)) as books:
            pin = books.sell_electronic("c", "50.00", "USD", card_set="GIFT", order="o1", key="sale").pin
            number = books.card("c").number
            assert number is not None
            top_up(sandbox, number, 30)
            books.authorize("p", "c", "70.00", order="o2", key="hold", pin=pin)
            assert str(books.card("c").available) == "10.00 USD"
            sandbox.spend_elsewhere(number, 900)
            with pytest.raises(Declined):
                books.authorize("q", "c", "8.00", order="o3", key="declined", pin=pin)
            assert str(books.card("c").available) == "1.00 USD"
            with pytest.raises(Refused, match=r"available 1\.00"):
                books.authorize("r", "c", "8.00", order="o4", key="refused", pin=pin)
            books.settle("p", "70.00", key="ship", last=True)
            assert verify(books.engine.machines, store).findings == ()
            provided: Any = ProviderBooks.of_sandbox_db(sandbox._ledger._db)
            assert judge(Rows.of_sqlite(tmp_path / "books.db"), provided) == []
        provider.close()
