"""What the provider says of a balance is believed, unless it may be old; and it is asked before our books refuse."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tallystick.books.books import Books
from tallystick.books.views import Plan
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Declined, Ended, Refused
from tallystick.engine.verify import verify
from tallystick.money import Money
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Call, CardFacts, Observed, Outcome, Reason, Result, Unread
from tallystick.provider.scripted import Reply, ScriptedProvider
from tallystick.store.memory import MemoryStore
from tallystick.store.sqlite import SqliteStore
from tallystick.testing.referee import judge
from tallystick.testing.store_rows import rows_of

MACHINES = reader.load()


class Telling(ScriptedProvider):
    """It states a balance with its answers, and when it is asked; `meanwhile` happens while it does."""

    def __init__(self) -> None:
        super().__init__()
        self.states: int | None = None  # in every answer
        self.reason: Reason | None = None  # of a decline
        self.shows: Any = Unread("not now")  # when it is asked
        self.asked: list[CardFacts] = []
        self.meanwhile: list[Callable[[], object]] = []

    def perform(self, call: Call) -> Outcome:
        outcome = super().perform(call)
        self._pass()
        if outcome.result is Result.DECLINED:
            outcome = attrs.evolve(outcome, reason=self.reason)
        return attrs.evolve(outcome, available=self.states)

    def observe(self, card: CardFacts, *, history: bool = True) -> Any:
        assert not history
        self.asked.append(card)
        self._pass()
        if isinstance(self.shows, Exception):
            raise self.shows
        return Observed(self.shows) if isinstance(self.shows, int) else self.shows

    def _pass(self) -> None:
        while self.meanwhile:
            self.meanwhile.pop()()


class Shop:
    """A card with 50.00 on it."""

    def __init__(self, store: Any = None) -> None:
        self.provider = Telling()
        self.store = store or MemoryStore()
        self.books = Books(Engine(MACHINES, self.store, self.provider, clock=self.provider.clock))
        self.engine = self.books.engine
        self.books.sell_electronic("c", "50.00", "USD", order="o1", key="sale")

    def available(self, card: str = "c") -> int:
        return self.books.card(card).available.minor

    def observed(self) -> list[tuple[str, str, str]]:
        """What was posted: the transition, the amount, and why."""
        with self.store.reading() as reading:
            found = [each for each in reading.journal("gift_card", "c") if each.command == "observe"]
        for each in found:
            assert each.key is not None
            assert len(each.key) <= 50
        return [(each.transition, each.postings, each.reason or "") for each in found]

    def sound(self) -> None:
        assert verify(self.engine.machines, self.store).findings == ()
        assert judge(rows_of(self.store), settled=False) == []


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    made.sound()


# --- An answer states it


def test_an_answer_that_states_another_balance_moves_the_difference(shop: Shop) -> None:
    shop.provider.states = 6500  # 50.00 and 10.00 are ours
    receipt = shop.books.reload("c", "10.00", key="reload")
    assert (receipt.applied, receipt.money("available").minor) == (True, 6000)  # a receipt tells of its command
    call = receipt.call
    assert shop.observed() == [("observe_more", '[["elsewhere","available",500]]', f"the answer to issue, call {call}")]
    assert shop.available() == 6500
    shop.provider.states = 1000
    shop.books.authorize("p", "c", "20.00", order="o2", key="hold")
    assert (shop.available(), shop.books.payment("p").held.minor) == (1000, 2000)
    assert shop.observed()[-1][1] == '[["available","elsewhere",3500]]'
    assert shop.books.reload("c", "10.00", key="reload").replayed  # nothing is posted for what is said again
    assert len(shop.observed()) == 2


def test_the_same_balance_writes_nothing(shop: Shop) -> None:
    shop.provider.states = 6000
    shop.books.reload("c", "10.00", key="reload")
    assert (shop.observed(), shop.available()) == ([], 6000)


@pytest.mark.parametrize("said", [-1, 10**16, 10**40])
def test_a_balance_that_cannot_be_is_not_believed(shop: Shop, said: int) -> None:
    shop.provider.states = said
    assert shop.books.reload("c", "10.00", key="reload").applied
    assert (shop.observed(), shop.available()) == ([], 6000)


def test_a_decline_that_states_the_balance_is_believed_and_nobody_is_asked(shop: Shop) -> None:
    shop.provider.states, shop.provider.reason = 300, Reason.INSUFFICIENT_FUNDS
    shop.provider.reply_with([Reply("declined")])
    with pytest.raises(Declined):
        shop.books.authorize("p", "c", "20.00", order="o2", key="hold")
    assert (shop.available(), shop.provider.asked) == (300, [])


def test_after_a_decline_for_lack_of_funds_the_provider_is_asked(shop: Shop) -> None:
    shop.provider.shows, shop.provider.reason = 300, Reason.INSUFFICIENT_FUNDS
    shop.provider.reply_with([Reply("declined")])
    with pytest.raises(Declined):
        shop.books.authorize("p", "c", "20.00", order="o2", key="hold")
    assert shop.available() == 300
    assert [each.number for each in shop.provider.asked] == [shop.books.card("c").number]
    assert shop.observed()[0][2] == "provider scripted was asked what is on it"


@pytest.mark.parametrize("reason", [None, Reason.WRONG_PIN, Reason.SUSPENDED])
def test_after_any_other_decline_nobody_is_asked(shop: Shop, reason: Reason | None) -> None:
    shop.provider.shows, shop.provider.reason = 300, reason
    shop.provider.reply_with([Reply("declined")])
    with pytest.raises(Declined):
        shop.books.authorize("p", "c", "20.00", order="o2", key="hold")
    assert (shop.available(), shop.provider.asked) == (5000, [])


# --- It may be old


def test_what_happened_meanwhile_makes_a_balance_old(shop: Shop) -> None:
    """The answer was made before another hold, and says nothing of that."""
    shop.provider.states = 6000
    shop.provider.meanwhile = [lambda: shop.books.authorize("p", "c", "20.00", order="o2", key="hold")]
    shop.books.reload("c", "10.00", key="reload")
    assert (shop.observed(), shop.available()) == ([], 4000)


def test_while_another_call_is_open_no_balance_is_believed(shop: Shop) -> None:
    """Whether the lost hold is in the balance or not: nobody knows."""
    shop.provider.reply_with([Reply("lost_after")])
    lost = shop.engine.try_execute(*_hold(shop, "p"))
    assert lost.result is Ended.IN_DOUBT
    shop.provider.states = 9900
    shop.books.reload("c", "10.00", key="reload")
    assert (shop.observed(), shop.available()) == ([], 4000)
    shop.provider.states = None
    shop.provider.wait(120)
    (found,) = shop.engine.recover()
    assert (found.applied, shop.available()) == (True, 4000)
    shop.provider.states = 4100  # now it is clear what it means
    shop.books.reload("c", "1.00", key="reload/2")
    assert (shop.available(), len(shop.observed())) == (4100, 0)


def test_an_answer_to_an_earlier_sending_states_no_balance_of_now(shop: Shop) -> None:
    """While the first sending waited for its answer, a look-up has found nothing, and it was sent again."""
    shop.provider.states = 9900

    def recovered() -> None:
        shop.provider.wait(120)
        shop.provider.done.clear()
        shop.provider.reply_with([Reply("lost_before")])
        shop.engine.recover()

    shop.provider.meanwhile = [recovered]
    assert shop.books.reload("c", "10.00", key="reload").applied
    assert (shop.observed(), shop.available()) == ([], 6000)


def test_a_call_on_another_balance_of_the_card_makes_it_old(shop: Shop) -> None:
    number = shop.books.card("c").number
    facts = {"form": "physical", "currency": "points"}
    shop.engine.execute("gift_card", "c/points", "create", facts, key="points")
    shop.engine.execute("gift_card", "c/points", "recognize", {"number": number, "balance": "100"}, key="recognize")
    shop.provider.reply_with([Reply("lost_after")])
    shop.engine.try_execute(_command("gift_card", "c/points", "reload", key="lost", amount="5"))
    shop.provider.states = 9900
    shop.books.reload("c", "10.00", key="reload")
    assert (shop.observed(), shop.available()) == ([], 6000)


def test_of_what_came_while_it_was_asked_nothing_is_believed(shop: Shop) -> None:
    shop.provider.shows = 9000
    shop.provider.meanwhile = [lambda: shop.books.reload("c", "1.00", key="reload")]
    with pytest.raises(Refused):
        shop.books.authorize("p", "c", "70.00", order="o2", key="hold")
    assert (shop.observed(), shop.available()) == ([], 5100)


def test_two_threads_believe_a_balance_once(shop: Shop) -> None:
    """Both are refused, both ask, and both hold what there is then."""
    both = threading.Barrier(2, timeout=10)
    shop.provider.shows = 9000
    shop.provider.observe = lambda card, history: both.wait() is not None and Observed(9000)  # type: ignore[method-assign,assignment]
    receipts: list[Any] = []
    threads = [threading.Thread(target=lambda id=id: receipts.append(shop.engine.try_execute(*_hold(shop, id, "60.00"))))
               for id in ("p", "q")]  # fmt: skip
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(each.result for each in receipts) == [Ended.APPLIED, Ended.REFUSED]
    assert (len(shop.observed()), shop.available()) == (1, 3000)


# --- Before our own books refuse


def test_a_top_up_in_a_store_can_be_spent(shop: Shop) -> None:
    shop.provider.shows = 8000
    shop.books.authorize("p", "c", "70.00", order="o2", key="hold")
    assert (shop.available(), shop.books.payment("p").held.minor, len(shop.provider.asked)) == (1000, 7000, 1)
    shop.provider.shows = 2000
    shop.books.redeem("q", "c", "15.00", order="o3", key="redeem")
    assert (shop.available(), len(shop.provider.asked)) == (500, 2)


def test_a_refusal_after_that_has_changed_nothing_else(shop: Shop) -> None:
    shop.provider.shows = 6000
    with pytest.raises(Refused, match=r"here .*available 60\.00"):
        shop.books.authorize("p", "c", "70.00", order="o2", key="hold")
    assert (shop.available(), len(shop.observed()), len(shop.provider.asked)) == (6000, 1, 1)
    with shop.store.reading() as reading:
        assert reading.entity("payment", "p") is None
    with pytest.raises(Refused):
        shop.books.authorize("p", "c", "70.00", order="o2", key="hold")
    assert (len(shop.observed()), len(shop.provider.asked)) == (1, 2)  # it is asked again, and says the same


def test_nobody_is_asked_where_it_would_not_help(shop: Shop) -> None:
    shop.provider.shows = 9000
    for id, command, args in (
        ("c", "adjust", {"amount": "0.00"}),
        ("c", "issue", {"amount": "5.00"}),
        ("c", "reload", {"amount": "-5.00"}),
        ("nobody", "redeem", {"amount": "5.00"}),
        ("c", "observe", {"balance": "-1.00"}),
    ):
        assert shop.engine.try_execute(_command("gift_card", id, command, **args)).result is Ended.REFUSED
    assert not shop.engine.may("gift_card", "c", "redeem", {"amount": "70.00"})
    assert not shop.books.may("payment", "new", "authorize", card="c", amount="70.00")
    assert (shop.provider.asked, shop.available()) == ([], 5000)


def test_a_tender_asks_about_each_of_its_cards(shop: Shop) -> None:
    shop.books.sell_electronic("d", "50.00", "USD", order="o1", key="sale/d")
    plan = Plan((("c", Money.parse("70.00", "USD")), ("d", Money.parse("60.00", "USD"))), Money.zero("USD"))
    shop.provider.shows = 6500
    with pytest.raises(Refused, match="gift_card 'c'"):
        shop.books.authorize_all(plan, order="o2", key="tender")
    assert (len(shop.provider.asked), shop.available(), shop.books.payments(order="o2")) == (1, 6500, [])
    shop.provider.shows = 8000
    assert not shop.books.would(lambda books: books.authorize_all(plan, order="o2", key="tender"))
    assert len(shop.provider.asked) == 1
    shop.books.authorize_all(plan, order="o2", key="tender")
    assert [each.id or each.number for each in shop.provider.asked] == ["c", "c", "d"]
    assert (shop.available("c"), shop.available("d")) == (1000, 2000)


def test_nobody_is_asked_while_something_is_in_doubt(shop: Shop) -> None:
    shop.provider.reply_with([Reply("lost_after")])
    shop.engine.try_execute(*_hold(shop, "p"))
    shop.provider.shows = 9000
    with pytest.raises(Refused):
        shop.books.redeem("q", "c", "40.00", order="o3", key="redeem")
    assert shop.provider.asked == []


def test_nobody_is_asked_in_the_callers_transaction(tmp_path: Path) -> None:
    import sqlite3

    shop = Shop(SqliteStore(tmp_path / "books.db"))
    shop.provider.shows = 9000
    connection = sqlite3.connect(tmp_path / "books.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(Refused):
        shop.books.authorize("p", "c", "70.00", order="o2", key="hold", connection=connection)
    connection.execute("ROLLBACK")
    connection.close()
    assert (shop.provider.asked, shop.available()) == ([], 5000)
    shop.books.authorize("p", "c", "70.00", order="o2", key="hold")
    assert (len(shop.provider.asked), shop.available()) == (1, 2000)
    shop.sound()
    shop.books.close()


def test_the_queue_asks_once_in_a_run(shop: Shop) -> None:
    shop.engine.execute("gift_card", "c", "redeem", {"amount": "70.00"}, key="later", due=shop.provider.clock())
    shop.provider.shows = 6000
    (receipt,) = shop.books.run_due()
    assert (receipt.result, len(shop.provider.asked), shop.available()) == (Ended.REFUSED, 1, 6000)
    assert shop.books.run_due() == []
    shop.provider.shows = 9000
    assert shop.books.queue.retry("later", by="ann", reason="the customer says there is more").applied
    assert (len(shop.provider.asked), shop.available()) == (2, 2000)


@pytest.mark.parametrize(
    "shows",
    [Unread("not now"), Observed(known=False), Observed(-1), Observed(10**16), None, ZeroDivisionError("4831 4039")],
)
def test_whatever_the_provider_shows_the_refusal_stays(shop: Shop, shows: object) -> None:
    shop.provider.shows = shows
    with pytest.raises(Refused, match="It carries less"):
        shop.books.authorize("p", "c", "70.00", order="o2", key="hold")
    assert (len(shop.provider.asked), shop.available(), shop.observed()) == (1, 5000, [])


def test_a_provider_that_shows_nothing_is_not_asked() -> None:
    provider = ScriptedProvider()
    with Books(Engine(MACHINES, MemoryStore(), provider, clock=provider.clock)) as books:
        books.sell_electronic("c", "50.00", "USD", order="o1", key="sale")
        with pytest.raises(Refused):
            books.authorize("p", "c", "70.00", order="o2", key="hold")


def test_a_local_provider_is_never_believed_about_our_own_books() -> None:
    @attrs.frozen
    class Boasting(LocalProvider):
        def perform(self, call: Call) -> Outcome:
            return attrs.evolve(LocalProvider.perform(self, call), available=99900)

        def observe(self, card: CardFacts, *, history: bool = True) -> Observed:
            raise AssertionError("it was asked")

    with Books(Engine(MACHINES, MemoryStore(), Boasting())) as books:
        books.sell_electronic("c", "50.00", "USD", order="o1", key="sale")
        books.reload("c", "1.00", key="reload")
        with pytest.raises(Refused):
            books.authorize("p", "c", "70.00", order="o2", key="hold")
        assert books.card("c").available.minor == 5100


# --- Any page that can observe


LOCKER = """
machine: locker
version: 1
summary: Coins in a locker that others fill too.
facts:
  number: {is: number, unique: true}
accounts:
  inside: What may be taken out.
outside:
  owner: {says: Whose it was.}
  others: {says: Who else has a key.}
states:
  open: {start: true, says: Coins go in and out.}
  gone: {final: true, says: It was taken away.}
transitions:
  take: {from: open, when: 0 < amount <= inside, ask: redeem, move: {inside -> owner: amount}}
  more: {command: observe, from: open, when: balance > inside, move: {others -> inside: balance - inside}}
  less: {command: observe, from: open, when: 0 <= balance < inside, move: {inside -> others: inside - balance}}
  same: {command: observe, from: open, when: balance == inside}
  end: {from: open, to: gone, when: inside == 0}
commands:
  take: {amount: money}
  observe: {balance: money}
  end: {}
"""


@pytest.mark.parametrize("page", ["as it is", "signed"])
def test_any_page_with_the_command_observe_takes_part(page: str, tmp_path: Path) -> None:
    text = LOCKER if page == "as it is" else f"{LOCKER}signed: [observe]\n"
    (tmp_path / "locker.yaml").write_text(text, encoding="utf-8")
    provider = Telling()
    engine = Engine(reader.load(tmp_path), MemoryStore(), provider, clock=provider.clock)
    engine.execute("locker", "l", "create", {"currency": "USD", "number": "77"}, key="create")
    provider.shows = 500
    receipt = engine.try_execute(_command("locker", "l", "take", amount="3.00"))
    assert receipt.applied == (page == "as it is")  # only a person gives what is signed
    assert len(provider.asked) == (page == "as it is")


def test_while_a_call_is_open_no_page_is_told_a_balance(tmp_path: Path) -> None:
    """This page has no guard of its own against that."""
    (tmp_path / "locker.yaml").write_text(LOCKER, encoding="utf-8")
    provider = Telling()
    engine = Engine(reader.load(tmp_path), MemoryStore(), provider, clock=provider.clock)
    engine.execute("locker", "l", "create", {"currency": "USD", "number": "77"}, key="create")
    engine.execute("locker", "l", "observe", {"balance": "5.00"}, key="observe")
    provider.reply_with([Reply("lost_after")])
    assert engine.try_execute(_command("locker", "l", "take", amount="3.00")).result is Ended.IN_DOUBT
    with engine.store.reading() as reading:
        locker = reading.entity("locker", "l")
    assert locker is not None
    assert not engine.balances.believe(locker, 700, "somebody looked into it")
    provider.wait(120)
    engine.recover()
    with engine.store.reading() as reading:
        locker = reading.entity("locker", "l")
    assert locker is not None
    assert engine.balances.believe(locker, 100, "somebody looked into it")


def _command(machine: str, id: str, command: str, key: str = "", **args: object) -> Any:
    from tallystick.engine.receipt import Command

    return Command(machine, id, command, args, key or f"{id}/{command}")


def _hold(shop: Shop, payment: str, amount: str = "20.00") -> tuple[Any]:
    facts = {"order": "o", "card": "c", "currency": "USD"}
    shop.engine.execute("payment", payment, "create", facts, key=f"{payment}/create")
    return (_command("payment", payment, "authorize", amount=amount),)
