"""One command, end to end, over both stores: what is answered, what is kept, and what a provider may do to it.

The provider here is scripted. It plays the outcomes it was given, remembers every call, and can do something of
its own while it performs one. The clock stands still until it is moved. Balances are minor units, those that are
nothing are left out: `shop.now("payment", "p1") == ("authorized", {"held": 4000})`.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from itertools import count, pairwise
from pathlib import Path
from random import Random

import attrs
import pytest

from tallystick.core.refusal import Code
from tallystick.definition import reader
from tallystick.engine import balances
from tallystick.engine.engine import GRACE, Engine
from tallystick.engine.queue.queue import ATTEMPTS, PATIENCE
from tallystick.engine.receipt import Command, Declined, Ended, InDoubt, Receipt, Refused, Unavailable
from tallystick.engine.verify import verify
from tallystick.errors import Invalid, KeyReused, NotFound, NotInTransaction, StoreError, TallystickError
from tallystick.money import Money
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Provider, Reason, Result
from tallystick.store.memory import MemoryStore
from tallystick.store.open import open_store
from tallystick.store.protocol import Store
from tallystick.store.rows import CallRow, EntryRow, QueueRow
from tallystick.testing.simulation.dying_store import DyingStore

MACHINES = reader.load()
PIN = "73519"
CONFIRMED, UNKNOWN = Outcome(Result.CONFIRMED, reference="ref"), Outcome(Result.UNKNOWN)  # a call's own: `own`
ONE_THING = Outcome(Result.CONFIRMED, reference="one thing")  # whoever asked for it
UNAVAILABLE = Outcome(Result.UNAVAILABLE, text="connection refused")
DECLINED = Outcome(Result.DECLINED, reason=Reason.INSUFFICIENT_FUNDS, code="51", text="not enough on it")


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.now

    def on(self, **by: float) -> None:
        self.now += timedelta(**by)


class Scripted:
    """Plays `answers` to perform and `found` to look_up, one after the other; then confirms, and has seen nothing."""

    name = "scripted"
    local = False

    def __init__(self) -> None:
        self.answers: deque[Outcome | BaseException] = deque()
        self.found: deque[Outcome | NotSeen | Ambiguous | BaseException] = deque()
        self.references = count(1)
        self.performed: list[Call] = []
        self.looked_up: list[Call] = []
        self.meanwhile: Callable[[Call], object] = lambda call: None

    def perform(self, call: Call) -> Outcome:
        self.performed.append(call)
        self.meanwhile(call)
        answer = self.answers.popleft() if self.answers else self.usual(call)
        if isinstance(answer, BaseException):
            raise answer
        return own(answer, call)

    def usual(self, call: Call) -> Outcome:
        one = next(self.references)
        number = str(6000000000000000 + one) if call.verb == "allocate" else None
        return Outcome(Result.CONFIRMED, reference=f"ref-{one}", number=number)

    def look_up(self, call: Call, *_: object) -> Outcome | NotSeen | Ambiguous:
        self.looked_up.append(call)
        answer = self.found.popleft() if self.found else NotSeen("no trace of it")
        if isinstance(answer, BaseException):
            raise answer
        return own(answer, call) if isinstance(answer, Outcome) else answer


def own(answer: Outcome, call: Call) -> Outcome:
    """The answer as this call has it: two calls never name one transaction, unless a test wants it."""
    return attrs.evolve(answer, reference=f"ref of {call.id}") if answer is CONFIRMED else answer


class Shop:
    def __init__(self, store: Store, provider: Provider) -> None:
        self.store, self.clock = store, Clock()
        self.provider = provider
        self.count = 0
        numbers = count(1)
        self.engine = Engine(
            MACHINES, store, provider, clock=self.clock, random=Random(1), ids=lambda: f"call-{next(numbers):03}"
        )

    @property
    def scripted(self) -> Scripted:
        assert isinstance(self.provider, Scripted)
        return self.provider

    def do(self, machine: str, id: str, command: str, key: str = "", **args: object) -> Receipt:
        """Attempt a command under its own key."""
        self.count += 1
        return self.engine.try_execute(Command(machine, id, command, args, key or f"k{self.count}"))

    def pay(self, command: str, key: str = "", **args: object) -> Receipt:
        return self.do("payment", "p1", command, key, **args)

    def defer(self, command: str, key: str, **args: object) -> Receipt:
        """A command of p1 for in an hour."""
        due = self.clock.now + timedelta(hours=1)
        return self.engine.try_execute(Command("payment", "p1", command, args, key, due=due))

    def two_shipments_are_due(self) -> None:
        """Of 10.00 and 5.00, under the keys s1 and s2, of a hold of 40.00."""
        self.pay("authorize", amount="40.00")
        self.defer("settle", "s1", amount="10.00", keep_hold=False)
        self.defer("settle", "s2", amount="5.00", keep_hold=False)
        self.clock.on(hours=2)

    def card(self, id: str = "c1", amount: str = "100.00") -> Shop:
        for command, args in (
            ("create", {"form": "electronic", "currency": "BRL"}), ("allocate", {}), ("activate", {}),
            ("issue", {"amount": amount}),
        ):  # fmt: skip
            assert self.do("gift_card", id, command, **args).applied
        return self

    def payment(self, id: str = "p1", amount: str | None = None, card: str = "c1") -> Shop:
        assert self.do("payment", id, "create", order=f"order-{id}", card=card, currency="BRL").applied
        if amount is not None:
            assert self.do("payment", id, "authorize", amount=amount).applied
        return self

    def now(self, machine: str, id: str) -> tuple[str, dict[str, int]]:
        with self.store.reading() as look:
            entity = look.entity(machine, id)
        assert entity is not None
        return entity.state, {name: value for name, value in entity.accounts.items() if value}

    @property
    def p1(self) -> tuple[str, dict[str, int]]:
        return self.now("payment", "p1")

    @property
    def c1(self) -> dict[str, int]:
        return self.now("gift_card", "c1")[1]

    def journal(self, machine: str | None = None, id: str | None = None) -> list[EntryRow]:
        with self.store.reading() as look:
            return list(look.journal(machine, id))

    def phases(self, machine: str = "payment", id: str = "p1") -> list[str]:
        return [f"{each.transition} {each.phase}" for each in self.journal(machine, id)]

    def calls(self) -> list[CallRow]:
        with self.store.reading() as look:
            return sorted(look.all_calls(), key=lambda row: row.id)

    def call(self) -> CallRow:
        """The last call."""
        return self.calls()[-1]

    def queue(self) -> dict[str, QueueRow]:
        with self.store.reading() as look:
            return {row.key: row for row in look.queue()}

    def everything(self) -> list[object]:
        with self.store.reading() as look:
            entities = [each for name in self.engine.machines for each in look.all(name)]
            return [*entities, *look.journal(), *look.all_calls(), *look.queue()]

    def recover(self, after: timedelta = GRACE + timedelta(seconds=1)) -> list[Receipt]:
        """Recover, once the grace is over."""
        self.clock.now += after
        return self.engine.recover()

    def sound(self) -> None:
        """Every cent is where the journal says."""
        assert verify(self.engine.machines, self.store).findings == ()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = open_store("memory:" if request.param == "memory" else str(tmp_path / "books.db"))
    yield opened
    opened.close()


@pytest.fixture
def shop(store: Store) -> Shop:
    """A shop with our own books as the truth, and a card of 100.00."""
    return Shop(store, LocalProvider()).card()


@pytest.fixture
def afar(store: Store) -> Iterator[Shop]:
    """A shop with a provider, a card of 100.00 and a payment that has not asked yet."""
    shop = Shop(store, Scripted()).card().payment()
    shop.scripted.performed.clear()
    yield shop
    shop.sound()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


@pytest.fixture
def filed(file: Path) -> Iterator[Shop]:
    """As `shop`, and surely in a file."""
    store = open_store(str(file))
    yield Shop(store, LocalProvider()).card()
    store.close()


# A receipt


def test_a_receipt_says_what_became_of_a_command(shop: Shop) -> None:
    shop.payment()
    receipt = shop.engine.execute("payment", "p1", "authorize", {"amount": "40.00"}, key="a")
    assert receipt.result is Ended.APPLIED
    assert (receipt.key, receipt.machine, receipt.id, receipt.command) == ("a", "payment", "p1", "authorize")
    assert (receipt.state, receipt.currency, receipt.transition) == ("authorized", "BRL", "authorize")
    assert receipt.before_minor == {"held": 0, "uncovered": 0, "redeemed": 0, "in_doubt": 0}
    assert receipt.after_minor == {"held": 4000, "uncovered": 0, "redeemed": 0, "in_doubt": 0}
    assert receipt.postings == (("card", "held", 4000),)
    assert (receipt.why, receipt.replayed, receipt.refusal) == ("", False, None)
    assert shop.p1 == ("authorized", {"held": 4000})
    assert shop.c1 == {"available": 6000, "held": 4000}
    shop.sound()


def test_create_is_revision_1(store: Store) -> None:
    shop = Shop(store, LocalProvider())
    receipt = shop.do("gift_card", "c1", "create", form="physical", currency="JPY", limit="5000")
    assert (receipt.state, receipt.transition, receipt.currency) == ("inventory", "create", "JPY")
    assert receipt.before_minor == receipt.after_minor == {"available": 0, "held": 0, "leaving": 0, "in_doubt": 0}
    (entry,) = shop.journal()
    assert (entry.revision, entry.from_state, entry.to_state, entry.phase) == (1, None, "inventory", "done")


def test_what_was_not_applied_is_raised_by_execute_and_told_by_attempt(afar: Shop) -> None:
    cases = [
        (Refused, Ended.REFUSED, "settle", None),
        (Unavailable, Ended.UNAVAILABLE, "authorize", UNAVAILABLE),
        (InDoubt, Ended.IN_DOUBT, "authorize", UNKNOWN),
    ]
    for error, ended, command, answer in cases:
        if answer:
            afar.scripted.answers.append(answer)
        with pytest.raises(error) as told:
            afar.engine.execute("payment", "p1", command, {"amount": "1.00"}, key=f"{ended} raised")
        assert told.value.receipt.result is ended
        assert str(told.value) == told.value.receipt.why != ""
    afar.engine.resolve(afar.call().id, "declined", by="ann", reason="asked them")
    afar.payment("p2")
    afar.scripted.answers.append(DECLINED)
    with pytest.raises(Declined, match="insufficient_funds not enough on it"):
        afar.engine.execute("payment", "p2", "authorize", {"amount": "1.00"}, key="declined raised")


def test_a_refusal_changes_nothing_and_says_why(shop: Shop) -> None:
    shop.payment()
    before = shop.everything()
    receipt = shop.pay("settle", amount="1.00")
    assert (receipt.result, receipt.state) == (Ended.REFUSED, "requested")
    assert receipt.refusal is not None
    assert receipt.refusal.code is Code.NOT_NOW
    assert "Nothing was authorized yet" in receipt.why
    assert "authorize" in receipt.refusal.allowed
    assert shop.everything() == before


REFUSED = [
    ("gift_card", "nobody", "reload", {"amount": "1.00"}, Code.NO_SUCH_ENTITY),
    ("gift_card", "c1", "create", {"form": "physical", "currency": "BRL"}, Code.EXISTS_ALREADY),
    ("gift_card", "c1", "hold", {"amount": "1.00"}, Code.DRIVEN_ONLY),
    ("gift_card", "c1", "issue", {"amount": "1.00"}, Code.NOT_NOW),
    ("gift_card", "c1", "reload", {"amount": "0"}, Code.GUARD),
    ("gift_card", "c1", "reload", {"amount": Money(10**15, "BRL")}, Code.TOO_MUCH),
    ("payment", "p1", "authorize", {"amount": "100.01"}, Code.LINKED),
    ("payment", "p2", "create", {"order": "o", "card": "nobody", "currency": "BRL"}, Code.LINKED),
    ("payment", "p2", "create", {"order": "o", "card": "c1", "currency": "USD"}, Code.CURRENCY),
]


@pytest.mark.parametrize(("machine", "id", "command", "args", "code"), REFUSED)
def test_refused(shop: Shop, machine: str, id: str, command: str, args: dict[str, object], code: Code) -> None:
    shop.payment()
    before = shop.everything()
    receipt = shop.do(machine, id, command, "k", **args)
    assert receipt.refusal is not None
    assert receipt.refusal.code is code
    assert shop.everything() == before
    if receipt.refusal.missing is not None:
        with pytest.raises(NotFound) as told:
            shop.engine.may(machine, id, command, args)
        assert str(told.value) == receipt.why
        with pytest.raises(NotFound) as told:
            receipt.or_raise()
        assert (str(told.value), told.value.kind, told.value.id) == (receipt.why, "gift_card", "nobody")
        return
    answer = shop.engine.may(machine, id, command, args)
    assert not answer
    assert answer.refusal == receipt.refusal


# What cannot be considered

INVALID = [
    ("gift_card", "c1", "reload", {"amount": 1.0}, "a float cannot hold cents exactly"),
    ("gift_card", "c1", "reload", {"amount": True}, "not a bool"),
    ("gift_card", "c1", "reload", {"amount": None}, "missing"),
    ("gift_card", "c1", "reload", {}, "missing"),
    ("gift_card", "c1", "reload", {"amount": "1.001"}, "too many decimals"),
    ("gift_card", "c1", "reload", {"amount": "1,00"}, "is not an amount"),
    ("gift_card", "c1", "reload", {"amount": b"1.00"}, "not a bytes"),
    ("gift_card", "c1", "reload", {"amount": 5000}, "an int does not say whether it counts cents or whole units"),
    ("gift_card", "c1", "reload", {"amount": Money(100, "USD")}, "not in BRL"),
    ("gift_card", "c1", "reload", {"amunt": "1.00"}, "Did you mean 'amount'"),
    ("gift_card", "c1", "relaod", {"amount": "1.00"}, "Did you mean 'reload'"),
    ("giftcard", "c1", "reload", {"amount": "1.00"}, "Did you mean 'gift_card'"),
    ("gift_card", "c1", "redeem", {"amount": "1.00", "allow_partial": 1}, "flag"),
    ("gift_card", "c1", "redeem", {"amount": "1.00", "allow_partial": "yes"}, "flag"),
    ("gift_card", "c1", "redeem", {"amount": "1.00", "pin": 1234}, "secret"),
    ("gift_card", "c1", "recognize", {"number": "", "balance": "1.00"}, "empty"),
    ("gift_card", "c9", "create", {"form": "paper", "currency": "BRL"}, "not one of its choices"),
    ("gift_card", "c9", "create", {"form": "physical"}, "needs the argument 'currency'"),
    ("gift_card", "c9", "create", {"form": "physical", "currency": "REAIS"}, "unknown currency"),
    ("gift_card", "c9", "create", {"currency": "BRL"}, "missing"),
    ("gift_card", "c9", "create", {"form": "physical", "currency": "BRL", "was": "issued"}, "sets it later"),
    ("gift_card", "c9", "create", {"form": "physical", "currency": "BRL", "state": "issued"}, "no argument 'state'"),
    ("payment", "p1", "settle", {"amount": "1.00", "last": 0}, "flag"),
    ("payment", "p1", "settle", {"amount": "1.00", "invoice": 7}, "text"),
    ("payment", "p1", "settle", {"amount": "1.00", "invoice": "a\nb"}, "cannot be printed"),
    ("payment", "p1", "settle", {"amount": "1.00", "invoice": "i" * 1001}, "longer than 1000"),
    ("payment", "p1", "refund_to", {"amount": "1.00", "to": 7}, "gift_card"),
]


@pytest.mark.parametrize(("machine", "id", "command", "args", "says"), INVALID)
def test_invalid(shop: Shop, machine: str, id: str, command: str, args: dict[str, object], says: str) -> None:
    shop.payment()
    before = shop.everything()
    with pytest.raises(Invalid, match=says):
        shop.engine.execute(machine, id, command, args, key="k")
    with pytest.raises(Invalid, match=says):
        shop.engine.may(machine, id, command, args)
    assert shop.everything() == before
    assert shop.do("gift_card", "c1", "reload", "k", amount="1.00").applied, "the key is still free"


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": ""}, {"key": "s>hold_again"}, {"machine": ["gift_card"]}, {"command": None}, {"args": {1: "x"}},
        {"key": "a\nb"}, {"key": "k" * 1001}, {"key": None}, {"key": 7}, {"id": ""}, {"id": "a\tb"},
        {"by": ""}, {"by": "ann\nbob"}, {"reason": ""}, {"reason": 7}, {"args": [("amount", "1.00")]},
        {"due": datetime(2026, 3, 1)},
    ],
)  # fmt: skip
def test_no_command(shop: Shop, wrong: dict[str, object]) -> None:
    before = shop.everything()
    command = Command("gift_card", "c1", "reload", {"amount": "1.00"}, "k", "ann", "because")
    with pytest.raises(Invalid):
        shop.engine.try_execute(attrs.evolve(command, **wrong))
    assert shop.everything() == before


def test_who_and_why_are_kept(shop: Shop) -> None:
    shop.payment(amount="40.00")
    shop.engine.execute(
        "payment", "p1", "settle", {"amount": "10.00", "keep_hold": False}, key="s", by="ann", reason="parcel 7 left"
    )
    shop.engine.run_due()
    kept = {(each.machine, each.transition): (each.by, each.reason) for each in shop.journal()}
    assert kept["payment", "settle_part"] == kept["gift_card", "redeem_hold"] == ("ann", "parcel 7 left")
    assert kept["payment", "hold_again"] == ("ann", "parcel 7 left"), "and what follows was wanted by her too"
    assert kept["payment", "authorize"] == (None, None)


# Keys, for ever


def test_a_key_answers_again_with_what_became_of_it(shop: Shop) -> None:
    shop.payment()
    first = shop.pay("authorize", "a", amount="40.00")
    shop.pay("settle", amount="40.00")
    before = shop.everything()
    for same in ("40.00", "40", Money(4000, "BRL")):
        again = shop.pay("authorize", "a", amount=same, allow_partial=False)
        assert again.replayed
        assert not first.replayed
        for name in ("result", "key", "state", "before", "after", "postings", "transition", "currency", "why"):
            assert getattr(again, name) == getattr(first, name), name
    assert shop.everything() == before


def test_who_asks_again_and_why_does_not_matter(shop: Shop) -> None:
    command = Command("gift_card", "c1", "reload", {"amount": "1.00"}, "r", "ann", "first")
    shop.engine.try_execute(command)
    assert shop.engine.try_execute(attrs.evolve(command, by="bob", reason=None)).replayed
    assert shop.c1 == {"available": 10100}


@pytest.mark.parametrize(
    ("machine", "id", "command", "args"),
    [
        ("gift_card", "c1", "reload", {"amount": "1.01"}),
        ("gift_card", "c2", "reload", {"amount": "1.00"}),
        ("gift_card", "c1", "redeem", {"amount": "1.00"}),
        ("gift_card", "c3", "create", {"form": "physical", "currency": "BRL"}),
        ("payment", "p1", "authorize", {"amount": "1.00"}),
    ],
)
def test_a_key_stands_for_one_intention(
    shop: Shop, machine: str, id: str, command: str, args: dict[str, object]
) -> None:
    shop.card("c2").payment()
    shop.do("gift_card", "c1", "reload", "r", amount="1.00")
    before = shop.everything()
    with pytest.raises(KeyReused, match="key 'r' already stands for reload of gift_card 'c1'") as told:
        shop.do(machine, id, command, "r", **args)
    assert told.value.key == "r"
    assert shop.everything() == before


def test_a_key_is_not_free_for_an_entity_that_does_not_exist(shop: Shop) -> None:
    shop.do("gift_card", "c1", "reload", "r", amount="1.00")
    with pytest.raises(KeyReused):
        shop.do("gift_card", "nobody", "reload", "r", amount="1.00")


def test_a_key_that_waits_stands_for_what_waits(shop: Shop) -> None:
    shop.payment(amount="40.00")
    shop.defer("settle", "s", amount="30.00")
    before = shop.everything()
    with pytest.raises(KeyReused, match="settle of payment 'p1'"):
        shop.pay("settle", "s", amount="10.00")
    with pytest.raises(KeyReused):
        shop.do("gift_card", "c2", "create", "s", form="physical", currency="BRL")
    assert shop.everything() == before


def test_a_refused_command_leaves_its_key_free(shop: Shop) -> None:
    shop.payment()
    assert shop.pay("settle", "k", amount="1.00").result is Ended.REFUSED
    assert shop.pay("authorize", "k", amount="1.00").applied


def test_a_create_answers_again(shop: Shop) -> None:
    again = shop.do("gift_card", "c1", "create", "k1", form="electronic", currency="BRL")
    assert (again.replayed, again.state, again.after_minor["available"]) == (True, "inventory", 0)
    with pytest.raises(KeyReused):
        shop.do("gift_card", "c1", "create", "k1", form="physical", currency="BRL")


def test_a_key_is_known_within_its_own_batch(shop: Shop) -> None:
    reload = Command("gift_card", "c1", "reload", {"amount": "5.00"}, "r")
    first, again, other = shop.engine.try_execute_many([reload, reload, attrs.evolve(reload, args={"amount": "6.00"})])
    assert isinstance(first, Receipt)
    assert isinstance(again, Receipt)
    assert (first.replayed, again.replayed, again.after_minor) == (False, True, first.after_minor)
    assert isinstance(other, KeyReused)
    assert shop.c1 == {"available": 10500}


def test_a_key_is_known_to_the_next_process(filed: Shop, file: Path) -> None:
    filed.do("gift_card", "c1", "reload", "r", amount="5.00")
    later = Shop(open_store(str(file)), LocalProvider())
    assert later.do("gift_card", "c1", "reload", "r", amount="5.00").replayed
    with pytest.raises(KeyReused):
        later.do("gift_card", "c1", "reload", "r", amount="6.00")
    later.store.close()


def test_the_pin_is_no_part_of_what_a_key_stands_for(afar: Shop) -> None:
    afar.pay("authorize", "a", amount="1.00", pin=PIN)
    assert afar.pay("authorize", "a", amount="1.00", pin="another").replayed
    assert afar.pay("authorize", "a", amount="1.00").replayed
    assert len(afar.scripted.performed) == 1


# Many commands


def test_many_commands_are_answered_in_their_order(shop: Shop) -> None:
    def of(command: str, key: str, **args: object) -> Command:
        return Command("payment", "p1", command, args, key)

    answers = shop.engine.try_execute_many(iter([
        of("create", "1", order="o", card="c1", currency="BRL"), of("settle", "2", amount="1.00"),
        of("authorize", "3", amount=1.5), of("nothing", "4"), of("authorize", "5", amount="40.00"),
        of("settle", "6", amount="10.00", keep_hold=False), of("authorize", "3", amount="1.00"),
        of("settle", "", amount="1.00"),
    ]))  # fmt: skip
    told = [str(each.result) if isinstance(each, Receipt) else type(each).__name__ for each in answers]
    assert told == ["applied", "refused", "Invalid", "Invalid", "applied", "applied", "refused", "Invalid"]
    assert shop.p1 == ("partially_settled", {"redeemed": 1000, "uncovered": 3000})
    shop.sound()


def test_no_commands_have_no_answers(shop: Shop) -> None:
    assert shop.engine.try_execute_many([]) == []
    assert shop.engine.try_execute_many([Command("gift_card", "c1", "nothing", {}, "k")])[0].args


def test_more_commands_than_one_transaction_takes(shop: Shop) -> None:
    reloads = [Command("gift_card", "c1", "reload", {"amount": "0.01"}, f"r{number}") for number in range(2100)]
    answers = shop.engine.try_execute_many(reloads)
    assert [each.after_minor["available"] for each in answers if isinstance(each, Receipt)] == [*range(10001, 12101)]


def test_many_commands_with_a_provider_are_given_one_after_the_other(store: Store) -> None:
    shop = Shop(store, Scripted())
    drawn = attrs.evolve(CONFIRMED, number="6000000000000001")
    shop.scripted.answers += [drawn, CONFIRMED, DECLINED, CONFIRMED]
    answers = shop.engine.try_execute_many([
        Command("gift_card", "c1", "create", {"form": "electronic", "currency": "BRL"}, "1"),
        Command("gift_card", "c1", "allocate", {}, "2"), Command("gift_card", "c1", "activate", {}, "3"),
        Command("gift_card", "c1", "activate", {"number": 7}, "4"),
        Command("gift_card", "c1", "issue", {"amount": "1.00"}, "5"), Command("gift_card", "c1", "suspend", {}, "6"),
    ])  # fmt: skip
    told = [each.result if isinstance(each, Receipt) else None for each in answers]
    assert told == [Ended.APPLIED, Ended.APPLIED, Ended.APPLIED, None, Ended.DECLINED, Ended.APPLIED]
    assert shop.now("gift_card", "c1")[0] == "suspended"


# What follows


def test_what_follows_is_queued_with_what_it_follows(shop: Shop) -> None:
    shop.payment(amount="40.00")
    receipt = shop.pay("settle", "s", amount="10.00", keep_hold=False)
    assert receipt.follow_ups == ("s>hold_again",)
    row = shop.queue()["s>hold_again"]
    assert (row.machine, row.entity, row.command, row.args) == ("payment", "p1", "hold_again", '{"amount":3000}')
    assert (row.cause, row.state, row.attempts) == ("s", "waiting", 0)
    (followed,) = shop.engine.run_due()
    assert (followed.key, followed.applied, followed.state) == ("s>hold_again", True, "advanced_hold")
    assert shop.queue()["s>hold_again"].state == "done"
    assert shop.engine.run_due() == []
    assert shop.c1 == {"available": 6000, "held": 3000}
    shop.sound()


def test_who_asks_again_is_told_what_follows(shop: Shop) -> None:
    shop.payment(amount="40.00")
    first = shop.pay("settle", "s", amount="10.00", keep_hold=False)
    assert shop.pay("settle", "s", amount="10.00", keep_hold=False).follow_ups == first.follow_ups
    shop.engine.run_due()
    assert shop.pay("settle", "s", amount="10.00", keep_hold=False).follow_ups == first.follow_ups


def test_what_follows_an_answer_was_wanted_by_who_asked(afar: Shop) -> None:
    afar.pay("authorize", amount="40.00")
    command = Command("payment", "p1", "settle", {"amount": "10.00", "keep_hold": False}, "s", "ann", "parcel 7 left")
    assert afar.engine.try_execute(command).follow_ups == ("s>hold_again",)
    row = afar.queue()["s>hold_again"]
    assert (row.by, row.reason, row.cause) == ("ann", "parcel 7 left", "s")
    assert {(each.by, each.reason) for each in afar.journal() if each.transition == "settle_part"} == {
        ("ann", "parcel 7 left")
    }


def test_the_longest_key_has_follow_ups_too(shop: Shop) -> None:
    shop.payment(amount="40.00")
    shop.pay("settle", "s" * 200, amount="10.00", keep_hold=False)
    assert [each.applied for each in shop.engine.run_due()] == [True]


def test_a_follow_up_that_cannot_be_queued_undoes_all(filed: Shop, file: Path) -> None:
    filed.payment(amount="40.00")
    with sqlite3.connect(file) as raw:
        raw.execute("CREATE TRIGGER full BEFORE INSERT ON queue BEGIN SELECT RAISE(ABORT, 'the queue is full'); END")
    raw.close()
    before = filed.everything()
    with pytest.raises(StoreError, match="the queue is full"):
        filed.pay("settle", "s", amount="10.00", keep_hold=False)
    assert filed.everything() == before


def test_a_whole_order_line_follows_from_one_approval(shop: Shop) -> None:
    shop.do("gift_card", "c2", "create", form="electronic", currency="BRL")
    shop.do("fulfilment", "f1", "create", order="o", card="c2", form="electronic", amount="25.00", currency="BRL")
    shop.do("fulfilment", "f1", "review")
    assert shop.do("fulfilment", "f1", "approve", "ok").follow_ups == ("ok>allocate",)
    done = shop.engine.run_due()
    assert [each.key for each in done] == ["ok>allocate", "ok>allocate>activate", "ok>allocate>activate>issue"]
    assert all(each.applied for each in done)
    assert shop.now("fulfilment", "f1")[0] == "fulfilled"
    assert shop.now("gift_card", "c2") == ("issued", {"available": 2500})
    shop.sound()


def test_only_so_many_are_run_at_once(shop: Shop) -> None:
    for number in range(5):
        shop.payment(f"p{number}", "10.00")
        shop.do("payment", f"p{number}", "settle", f"s{number}", amount="1.00", keep_hold=False)
    assert [each.key for each in shop.engine.run_due(2)] == ["s0>hold_again", "s1>hold_again"]
    assert len(shop.engine.run_due(10)) == 3
    assert shop.engine.run_due(0) == []


def test_what_follows_counts_among_the_many_that_are_run_at_once(shop: Shop) -> None:
    for number in range(3):
        shop.payment(f"p{number}", "10.00")
        due = shop.clock.now + timedelta(hours=1)
        args = {"amount": "1.00", "keep_hold": False}
        shop.engine.try_execute(Command("payment", f"p{number}", "settle", args, f"s{number}", due=due))
    shop.clock.on(hours=2)
    assert [each.key for each in shop.engine.run_due(4)] == ["s0", "s0>hold_again", "s1", "s1>hold_again"]
    assert [each.key for each in shop.engine.run_due()] == ["s2", "s2>hold_again"]


def test_two_deferred_shipments_of_one_payment_are_both_settled(shop: Shop) -> None:
    """What follows the first, a new hold, comes before the second."""
    shop.payment().two_shipments_are_due()
    assert [(each.key, each.applied) for each in shop.engine.run_due()] == [
        ("s1", True), ("s1>hold_again", True), ("s2", True), ("s2>hold_again", True),
    ]  # fmt: skip
    assert shop.p1 == ("advanced_hold", {"held": 2500, "redeemed": 1500})


def test_a_deferred_shipment_waits_for_the_hold_that_follows_the_one_before(afar: Shop) -> None:
    afar.two_shipments_are_due()
    afar.scripted.answers += [CONFIRMED, UNAVAILABLE]
    results = [each.result for each in afar.engine.run_due()]
    assert results == [Ended.APPLIED, Ended.UNAVAILABLE, Ended.REFUSED]
    assert afar.queue()["s2"].state == "waiting", "and is no matter for a person"
    afar.clock.on(hours=2)
    assert all(each.applied for each in afar.engine.run_due())
    assert afar.p1 == ("advanced_hold", {"held": 2500, "redeemed": 1500})


def test_a_deferred_shipment_does_not_wait_for_a_hold_that_is_declined(afar: Shop) -> None:
    afar.two_shipments_are_due()
    afar.scripted.answers += [CONFIRMED, DECLINED]
    assert [each.result for each in afar.engine.run_due()] == [Ended.APPLIED, Ended.DECLINED, Ended.REFUSED]
    assert {key: row.state for key, row in afar.queue().items()} == {
        "s1": "done", "s1>hold_again": "declined", "s2": "refused",
    }  # fmt: skip


def test_what_follows_may_be_executed_at_once(shop: Shop) -> None:
    shop.payment(amount="40.00")
    receipt = shop.engine.queue.follow(shop.pay("settle", "s", amount="10.00", keep_hold=False))
    assert [each.state for each in receipt.followed] == ["advanced_hold"]
    assert receipt.last.state == "advanced_hold"
    again = shop.engine.queue.follow(shop.pay("settle", "s", amount="10.00", keep_hold=False))
    assert (again.replayed, [each.replayed for each in again.followed]) == (True, [True])
    assert shop.engine.run_due() == []


def test_what_follows_and_is_refused_is_not_tried_again(shop: Shop) -> None:
    shop.payment(amount="40.00")
    shop.pay("settle", "s", amount="10.00", keep_hold=False)
    shop.pay("cover_elsewhere", amount="30.00")
    (receipt,) = shop.engine.run_due()
    assert receipt.result is Ended.REFUSED
    row = shop.queue()["s>hold_again"]
    assert (row.state, row.attempts) == ("withdrawn", 1)  # nothing is uncovered any more
    assert row.why == receipt.why
    assert shop.engine.run_due() == []
    again = shop.engine.queue.run("s>hold_again")
    assert (again.result, again.why, again.replayed) == (Ended.REFUSED, receipt.why, True)
    with pytest.raises(Invalid, match="nothing is queued under the key 's>cancel'"):
        shop.engine.queue.run("s>cancel")


def test_what_follows_and_is_declined_is_not_tried_again(afar: Shop) -> None:
    afar.pay("authorize", amount="40.00")
    afar.pay("settle", "s", amount="10.00")
    afar.scripted.answers.append(DECLINED)
    (receipt,) = afar.engine.run_due()
    assert receipt.result is Ended.DECLINED
    assert afar.queue()["s>hold_again"].state == "declined"
    assert afar.p1 == ("partially_settled", {"redeemed": 1000, "uncovered": 3000})
    afar.clock.on(days=9)
    assert afar.engine.run_due() == []


def test_a_provider_that_is_not_reached_is_tried_ten_times_and_then_left_to_a_person(afar: Shop) -> None:
    afar.pay("authorize", amount="40.00")
    afar.pay("settle", "s", amount="10.00")
    sent = len(afar.scripted.performed)
    afar.scripted.answers += [UNAVAILABLE] * 20
    waits = []
    for attempt in range(1, ATTEMPTS + 1):
        (receipt,) = afar.engine.run_due()
        assert receipt.result is Ended.UNAVAILABLE
        assert afar.p1 == ("partially_settled", {"redeemed": 1000, "uncovered": 3000}), "the value is back each time"
        row = afar.queue()["s>hold_again"]
        assert row.attempts == attempt
        assert afar.engine.run_due() == [], "not before its time"
        if attempt < ATTEMPTS:
            waits.append((datetime.fromisoformat(row.due) - afar.clock.now).total_seconds())
            afar.clock.now = datetime.fromisoformat(row.due)
    assert 15 <= waits[0] <= 60
    for before, after in pairwise(waits):
        assert after <= min(before * 4, 3600), "it doubles up to an hour"
    assert waits[-1] >= 1800
    assert len(set(waits)) == len(waits), "with jitter"
    row = afar.queue()["s>hold_again"]
    assert (row.state, row.attempts) == ("parked", 10)
    assert "was not reached" in str(row.why)
    afar.clock.on(days=30)
    assert afar.engine.run_due() == []
    performed = afar.scripted.performed[sent:]
    assert len(performed) == 10
    assert len({call.id for call in performed}) == 1, "all of them the same call"

    afar.scripted.answers.clear()
    assert afar.pay("hold_again", amount="30.00").applied, "a person sends it again"
    assert afar.p1 == ("advanced_hold", {"redeemed": 1000, "held": 3000})


def test_what_waits_for_an_answer_goes_on_after_it(afar: Shop) -> None:
    """A queued command is refused only because a call is in flight: it is tried again, not given up."""
    afar.pay("authorize", amount="40.00")
    afar.scripted.answers.append(UNKNOWN)
    assert afar.pay("settle", amount="10.00", keep_hold=True).result is Ended.IN_DOUBT
    assert afar.defer("settle", "s", amount="30.00").result is Ended.DEFERRED
    afar.clock.on(hours=1)
    (refused,) = afar.engine.run_due()
    assert refused.refusal is not None
    assert (refused.refusal.code, refused.refusal.waits) == (Code.IN_DOUBT, True)
    row = afar.queue()["s"]
    assert (row.state, row.attempts, row.why) == ("waiting", 1, refused.why)
    assert afar.engine.run_due() == []
    afar.engine.resolve(afar.call().id, "confirmed", by="ann", reason="they say so", reference="H-1")
    afar.clock.on(hours=1)
    assert [each.applied for each in afar.engine.run_due()] == [True]
    assert afar.p1 == ("closed", {"redeemed": 4000})


def test_a_queued_command_in_doubt_is_tried_again_once_it_is_surely_not_done(afar: Shop) -> None:
    afar.pay("authorize", amount="40.00")
    afar.pay("settle", "s", amount="10.00")
    afar.scripted.answers.append(UNKNOWN)
    (receipt,) = afar.engine.run_due()
    assert receipt.result is Ended.IN_DOUBT
    assert afar.queue()["s>hold_again"].state == "done", "its call is what goes on"
    assert afar.engine.run_due() == []
    afar.scripted.found.append(UNAVAILABLE)
    assert [each.result for each in afar.recover()] == [Ended.UNAVAILABLE]
    assert afar.queue()["s>hold_again"].state == "waiting"
    afar.clock.on(hours=1)
    assert [each.result for each in afar.engine.run_due()] == [Ended.APPLIED]
    assert afar.p1 == ("advanced_hold", {"redeemed": 1000, "held": 3000})


# Later


def test_a_deferred_command_waits_for_its_time(shop: Shop) -> None:
    shop.payment(amount="40.00")
    before = len(shop.journal())
    receipt = shop.defer("settle", "s", amount="40.00")
    assert (receipt.result, receipt.state, receipt.after_minor) == (Ended.DEFERRED, "authorized", receipt.before_minor)
    assert receipt.or_raise() is receipt
    assert "2026-03-01T13:00:00.000Z" in receipt.why
    assert shop.engine.run_due() == []
    shop.clock.on(minutes=59, seconds=59.998)
    assert shop.engine.run_due() == []
    assert len(shop.journal()) == before
    shop.clock.on(seconds=0.002)
    assert [each.key for each in shop.engine.run_due()] == ["s"]
    assert shop.p1 == ("closed", {"redeemed": 4000})
    assert shop.defer("settle", "s", amount="40.00").replayed


def test_deferred_twice_is_deferred_once(shop: Shop) -> None:
    shop.payment(amount="40.00")
    first = shop.defer("settle", "s", amount="40.00")
    again = shop.defer("settle", "s", amount="40")
    assert (again.result, again.why) == (Ended.DEFERRED, first.why)
    shop.clock.on(minutes=10)
    with pytest.raises(KeyReused, match=r"due 2026-03-01T13:00:00.000Z"):
        shop.defer("settle", "s", amount="40.00")  # another time is another intention
    with pytest.raises(KeyReused, match="settle of payment 'p1'"):
        shop.defer("settle", "s", amount="30.00")
    shop.clock.on(hours=1)
    assert len(shop.engine.run_due()) == 1


def test_a_deferred_command_is_judged_when_its_time_comes(shop: Shop) -> None:
    shop.payment()
    assert shop.defer("settle", "s", amount="40.00").result is Ended.DEFERRED
    shop.pay("authorize", amount="40.00")
    shop.clock.on(hours=1)
    assert [each.state for each in shop.engine.run_due()] == ["closed"]


def test_a_deferred_command_given_at_once_is_done_once(shop: Shop) -> None:
    shop.payment(amount="40.00")
    shop.defer("settle", "s", amount="40.00")
    assert shop.pay("settle", "s", amount="40.00").applied
    shop.clock.on(hours=1)
    assert shop.engine.run_due() == []
    assert shop.queue()["s"].state == "done"
    assert shop.p1 == ("closed", {"redeemed": 4000})


def test_deferred_again_after_a_refusal_it_waits_again(shop: Shop) -> None:
    shop.payment()
    shop.defer("settle", "s", amount="40.00")
    shop.clock.on(hours=1)
    assert [each.result for each in shop.engine.run_due()] == [Ended.REFUSED]
    assert shop.queue()["s"].state == "refused"
    shop.pay("authorize", amount="40.00")
    assert shop.defer("settle", "s", amount="40.00").result is Ended.DEFERRED
    assert shop.engine.run_due() == []
    shop.clock.on(hours=1)
    assert [each.state for each in shop.engine.run_due()] == ["closed"]


def test_by_and_reason_of_a_deferred_command_are_kept(shop: Shop) -> None:
    shop.payment(amount="40.00")
    due = shop.clock.now + timedelta(hours=1)
    shop.engine.execute("payment", "p1", "settle", {"amount": "40.00"}, key="s", by="ann", reason="so", due=due)
    shop.clock.on(hours=1)
    shop.engine.run_due()
    last = shop.journal("payment", "p1")[-1]
    assert (last.transition, last.by, last.reason, last.key) == ("settle_all", "ann", "so", "s")


def test_what_cannot_be_deferred(shop: Shop) -> None:
    shop.payment()
    before = shop.everything()
    with pytest.raises(Invalid, match="carries a secret, which is never stored; it cannot be deferred") as told:
        shop.defer("authorize", "a", amount="1.00", pin=PIN)
    assert PIN not in str(told.value)
    with pytest.raises(Invalid, match="create cannot be deferred"):
        shop.defer("create", "a", order="o", card="c1", currency="BRL")
    with pytest.raises(Invalid, match="missing"):
        shop.defer("settle", "a")
    refused = shop.engine.try_execute(Command("payment", "nobody", "close", {}, "a", due=shop.clock.now))
    assert refused.result is Ended.REFUSED
    assert shop.everything() == before


# may


ASKED = [
    ("payment", "p1", "authorize", {"amount": "40.00"}, True),
    ("payment", "p1", "authorize", {"amount": "400.00"}, False),
    ("payment", "p1", "settle", {"amount": "1.00"}, False),
    ("payment", "p9", "create", {"order": "o", "card": "c1", "currency": "BRL"}, True),
    ("payment", "p9", "create", {"order": "o", "card": "c9", "currency": "BRL"}, None),
    ("gift_card", "c1", "suspend", {}, True),
    ("gift_card", "c1", "redeem", {"amount": "1.00", "pin": PIN}, True),
    ("gift_card", "c9", "suspend", {}, None),  # there is no such card
]


@pytest.mark.parametrize(("machine", "id", "command", "args", "allowed"), ASKED)
def test_may_says_whether_and_never_writes(
    afar: Shop, machine: str, id: str, command: str, args: dict[str, object], allowed: bool | None
) -> None:
    before = afar.everything()
    if allowed is None:
        with pytest.raises(NotFound, match="'c9'"):
            afar.engine.may(machine, id, command, args)
    else:
        answer = afar.engine.may(machine, id, command, args)
        assert bool(answer) == answer.allowed == allowed
        assert (answer.refusal is None) == allowed
    assert afar.everything() == before
    assert afar.scripted.performed == []


def test_may_says_what_would_come(shop: Shop) -> None:
    shop.payment()
    answer = shop.engine.may("payment", "p1", "authorize", {"amount": "40.00"})
    assert (answer.state, answer.transition, answer.postings) == ("authorized", "authorize", (("card", "held", 4000),))
    no = shop.engine.may("payment", "p1", "authorize", {"amount": "400.00"})
    assert no.state == "requested"
    assert no.refusal is not None
    assert no.refusal.cause is not None
    assert "available 100.00" in no.refusal.cause.why
    (candidate,) = no.refusal.cause.candidates
    assert (candidate.transition, candidate.values["amount"]) == ("hold", "400.00")


def test_may_leaves_every_byte_as_it_is(filed: Shop, file: Path) -> None:
    filed.payment()
    raw = sqlite3.connect(file)

    def content() -> list[str]:
        return list(raw.iterdump())

    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before, written = content(), [file.read_bytes(), file.with_name("books.db-wal").read_bytes()]
    for machine, id, command, args, allowed in ASKED:
        with nullcontext() if allowed is not None else pytest.raises(NotFound):
            filed.engine.may(machine, id, command, args)
    assert content() == before
    assert [file.read_bytes(), file.with_name("books.db-wal").read_bytes()] == written
    raw.close()


# In the caller's own transaction


@pytest.fixture
def orders(file: Path, filed: Shop) -> Iterator[sqlite3.Connection]:
    """The caller's connection, with a table of the caller's, in the same file."""
    connection = sqlite3.connect(file, isolation_level=None, timeout=0)
    connection.execute("CREATE TABLE orders (id TEXT PRIMARY KEY, paid TEXT)")
    yield connection
    connection.close()


def ordered(file: Path) -> list[tuple[object, ...]]:
    other = sqlite3.connect(file)
    rows = other.execute("SELECT id, paid FROM orders").fetchall()
    other.close()
    return rows


def test_an_order_and_its_payment_commit_together(filed: Shop, orders: sqlite3.Connection, file: Path) -> None:
    filed.payment()
    before = filed.everything()
    orders.execute("BEGIN IMMEDIATE")
    orders.execute("INSERT INTO orders VALUES ('o1', 'yes')")
    receipt = filed.engine.execute(
        "payment", "p1", "authorize", {"amount": "40.00"}, key="a", by="ann", connection=orders
    )
    assert (receipt.applied, receipt.state) == (True, "authorized")
    assert (filed.everything(), ordered(file)) == (before, []), "nobody else sees it yet"
    orders.execute("COMMIT")
    assert ordered(file) == [("o1", "yes")]
    assert filed.p1 == ("authorized", {"held": 4000})
    assert filed.pay("authorize", "a", amount="40.00").replayed
    filed.sound()


def test_an_order_and_its_payment_are_rolled_back_together(filed: Shop, orders: sqlite3.Connection, file: Path) -> None:
    filed.payment(amount="40.00")
    before = filed.everything()
    orders.execute("BEGIN IMMEDIATE")
    orders.execute("INSERT INTO orders VALUES ('o1', 'yes')")
    assert filed.engine.execute(
        "payment", "p1", "settle", {"amount": "10.00", "keep_hold": False}, key="s", connection=orders
    ).follow_ups
    orders.execute("ROLLBACK")
    assert (filed.everything(), ordered(file)) == (before, [])
    assert filed.pay("settle", "s", amount="20.00").applied, "the key was never used"
    filed.sound()


def test_commands_of_one_transaction_see_each_other(filed: Shop, orders: sqlite3.Connection) -> None:
    orders.execute("BEGIN IMMEDIATE")
    for command, args in (
        ("create", {"order": "o", "card": "c1", "currency": "BRL"}), ("authorize", {"amount": "40.00"}),
        ("settle", {"amount": "40.00"}),
    ):  # fmt: skip
        filed.engine.execute("payment", "p1", command, args, key=command, connection=orders)
    again = filed.engine.execute("payment", "p1", "settle", {"amount": "40.00"}, key="settle", connection=orders)
    assert again.replayed
    orders.execute("COMMIT")
    assert filed.p1 == ("closed", {"redeemed": 4000})
    filed.sound()


def test_a_transaction_that_python_has_begun_is_one(filed: Shop, orders: sqlite3.Connection, file: Path) -> None:
    filed.payment()
    with sqlite3.connect(file) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("INSERT INTO orders VALUES ('o1', 'yes')")
        filed.engine.execute("payment", "p1", "authorize", {"amount": "1.00"}, key="a", connection=connection)
    connection.close()
    assert ordered(file) == [("o1", "yes")]
    assert filed.p1 == ("authorized", {"held": 100})


def test_what_is_refused_or_invalid_does_not_end_the_callers_transaction(
    filed: Shop, orders: sqlite3.Connection, file: Path
) -> None:
    filed.payment()
    orders.execute("BEGIN IMMEDIATE")
    orders.execute("INSERT INTO orders VALUES ('o1', 'no')")
    with pytest.raises(Refused):
        filed.engine.execute("payment", "p1", "settle", {"amount": "1.00"}, key="s", connection=orders)
    with pytest.raises(Invalid):
        filed.engine.execute("payment", "p1", "settle", {"amount": 1.0}, key="s", connection=orders)
    assert orders.in_transaction
    orders.execute("COMMIT")
    assert ordered(file) == [("o1", "no")]
    assert filed.p1 == ("requested", {})


def test_deferred_in_the_callers_transaction(filed: Shop, orders: sqlite3.Connection) -> None:
    filed.payment(amount="40.00")
    for end, queued in (("ROLLBACK", []), ("COMMIT", ["s"])):
        orders.execute("BEGIN IMMEDIATE")
        filed.engine.execute(
            "payment", "p1", "settle", {"amount": "1.00"}, key="s", due=filed.clock.now, connection=orders
        )
        orders.execute(end)
        assert [*filed.queue()] == queued


def test_connections_that_cannot_be_joined(filed: Shop, orders: sqlite3.Connection, tmp_path: Path) -> None:
    elsewhere = sqlite3.connect(tmp_path / "other.db", isolation_level=None)
    nowhere = sqlite3.connect(":memory:", isolation_level=None)
    for connection in (elsewhere, nowhere):
        connection.execute("BEGIN")
    before = filed.everything()
    for connection, says in (
        (orders, "no open transaction; execute BEGIN IMMEDIATE"), (elsewhere, r"other\.db"), (nowhere, "in memory"),
        ("books.db", "not str"),
    ):  # fmt: skip
        with pytest.raises(NotInTransaction, match=says):
            filed.engine.execute("gift_card", "c1", "reload", {"amount": "1.00"}, key="r", connection=connection)
    assert filed.everything() == before
    elsewhere.close()
    nowhere.close()


def test_memory_has_nothing_to_join() -> None:
    shop = Shop(open_store("memory:"), LocalProvider()).card()
    with sqlite3.connect(":memory:") as connection, pytest.raises(NotInTransaction):
        shop.engine.execute("gift_card", "c1", "reload", {"amount": "1.00"}, key="r", connection=connection)
    connection.close()


@pytest.fixture
def asking(file: Path) -> Iterator[tuple[Shop, sqlite3.Connection]]:
    """A shop in a file with a provider, and a transaction of the caller's."""
    shop = Shop(open_store(str(file)), Scripted()).card().payment()
    shop.scripted.performed.clear()
    connection = sqlite3.connect(file, isolation_level=None, timeout=0)
    connection.execute("BEGIN IMMEDIATE")
    yield shop, connection
    connection.close()
    shop.sound()
    shop.store.close()


def test_a_call_is_opened_in_the_callers_transaction_and_sent_after_it(
    asking: tuple[Shop, sqlite3.Connection],
) -> None:
    shop, connection = asking
    command = Command("payment", "p1", "authorize", {"amount": "40.00", "pin": PIN}, "a")
    receipt = shop.engine.try_execute(command, connection=connection)
    assert (receipt.result, receipt.state, receipt.after_minor["in_doubt"]) == (Ended.PENDING, "requested", 4000)
    assert shop.scripted.performed == []
    connection.execute("COMMIT")
    assert (shop.call().attempts, shop.call().state, shop.call().id) == (0, "open", receipt.call)
    assert shop.p1 == ("requested", {"in_doubt": 4000})
    assert shop.c1 == {"available": 6000, "in_doubt": 4000}
    assert shop.pay("authorize", "a", amount="40.00").result is Ended.PENDING, "asking again sends nothing"
    assert shop.scripted.performed == []

    assert receipt.call is not None
    with pytest.raises(Invalid, match="carries a secret, which is not stored: give it again"):
        shop.engine.send(receipt.call)
    assert shop.p1 == ("requested", {"in_doubt": 4000})
    sent = shop.engine.send(receipt.call, {"pin": PIN})
    assert (sent.applied, sent.state) == (True, "authorized")
    (call,) = shop.scripted.performed
    assert (call.id, call.secrets, call.attempt) == (receipt.call, {"pin": PIN}, 1)
    assert shop.engine.send(receipt.call, {"pin": PIN}).replayed, "said twice, sent once"
    assert len(shop.scripted.performed) == 1
    assert shop.p1 == ("authorized", {"held": 4000})


def test_a_call_that_was_rolled_back_was_never_there(asking: tuple[Shop, sqlite3.Connection]) -> None:
    shop, connection = asking
    command = Command("payment", "p1", "authorize", {"amount": "40.00"}, "a")
    receipt = shop.engine.try_execute(command, connection=connection)
    connection.execute("ROLLBACK")
    assert receipt.call is not None
    with pytest.raises(Invalid, match="there is no call"):
        shop.engine.send(receipt.call)
    assert (shop.scripted.performed, shop.p1) == ([], ("requested", {}))


def test_a_call_whose_caller_forgot_to_send_it_is_sent_by_recover(asking: tuple[Shop, sqlite3.Connection]) -> None:
    shop, connection = asking
    shop.engine.try_execute(Command("payment", "p1", "authorize", {"amount": "40.00"}, "a"), connection=connection)
    connection.execute("COMMIT")
    assert [each.state for each in shop.recover()] == ["authorized"]
    assert shop.scripted.looked_up == [], "it was surely never sent"
    assert [call.attempt for call in shop.scripted.performed] == [1]


def test_a_call_with_a_secret_that_was_never_sent_is_given_back(asking: tuple[Shop, sqlite3.Connection]) -> None:
    shop, connection = asking
    command = Command("payment", "p1", "authorize", {"amount": "40.00", "pin": PIN}, "a")
    shop.engine.try_execute(command, connection=connection)
    connection.execute("COMMIT")
    assert [each.result for each in shop.recover()] == [Ended.UNAVAILABLE]
    assert shop.scripted.performed == []
    assert (shop.p1, shop.c1) == (("requested", {}), {"available": 10000})
    assert shop.engine.try_execute(command).applied, "only its caller can send it again"


# A provider's answers


def test_value_stands_in_doubt_while_the_provider_is_asked(afar: Shop) -> None:
    seen: list[object] = []
    afar.scripted.meanwhile = lambda call: seen.extend([afar.p1, afar.c1, afar.phases(), call])
    receipt = afar.pay("authorize", "a", amount="40.00", pin=PIN)
    payment, card, phases, call = seen
    assert payment == ("requested", {"in_doubt": 4000})
    assert card == {"available": 6000, "in_doubt": 4000}
    assert phases == ["create done", "authorize asked"]
    assert isinstance(call, Call)
    assert (call.verb, call.args["amount"], call.secrets, call.order) == ("hold", 4000, {"pin": PIN}, "order-p1")
    assert (call.card.id, call.card.currency, call.attempt) == ("c1", "BRL", 1)
    assert call.card.number is not None
    assert call.opened_at == afar.clock.now

    assert (receipt.result, receipt.state, receipt.call) == (Ended.APPLIED, "authorized", call.id)
    assert receipt.outcome is not None
    assert receipt.outcome.result is Result.CONFIRMED
    assert receipt.before_minor["held"] == 0
    assert receipt.after_minor == {"held": 4000, "uncovered": 0, "redeemed": 0, "in_doubt": 0}
    assert afar.phases() == ["create done", "authorize asked", "authorize confirmed"]
    assert (afar.call().state, afar.call().attempts) == ("confirmed", 1)
    with afar.store.reading() as look:
        assert look.entity("payment", "p1").facts["hold_id"] == receipt.outcome.reference
    assert afar.pay("authorize", "a", amount="40.00").after_minor == receipt.after_minor


def test_a_short_confirmation_gives_the_rest_back(afar: Shop) -> None:
    afar.scripted.answers.append(Outcome(Result.CONFIRMED, amount=2500, reference="h"))
    receipt = afar.pay("authorize", "a", amount="40.00", allow_partial=True)
    assert (receipt.applied, receipt.after_minor["held"]) == (True, 2500)
    assert (afar.p1, afar.c1) == (("authorized", {"held": 2500}), {"available": 7500, "held": 2500})
    again = afar.pay("authorize", "a", amount="40.00", allow_partial=True)
    assert (again.replayed, again.after_minor["held"]) == (True, 2500)


def test_a_short_advanced_hold_leaves_the_shortfall_uncovered(afar: Shop) -> None:
    afar.pay("authorize", amount="40.00")
    afar.pay("settle", "s", amount="10.00")
    afar.scripted.answers.append(Outcome(Result.CONFIRMED, amount=1200, reference="h"))
    afar.engine.run_due()
    assert afar.p1 == ("advanced_hold", {"redeemed": 1000, "held": 1200, "uncovered": 1800})
    assert afar.c1 == {"available": 7800, "held": 1200}


def test_more_is_asked_than_there_is_and_less_is_asked_for(afar: Shop) -> None:
    """What the card surely does not have is not asked for."""
    afar.pay("authorize", amount="170.00", allow_partial=True)
    assert afar.scripted.performed[0].args["amount"] == 10000
    assert afar.p1 == ("authorized", {"held": 10000})


def test_a_confirmation_of_nothing_is_a_decline(afar: Shop) -> None:
    afar.scripted.answers.append(Outcome(Result.CONFIRMED, amount=0, reference="h"))
    receipt = afar.pay("authorize", amount="40.00", allow_partial=True)
    assert (receipt.result, receipt.state) == (Ended.DECLINED, "declined")
    assert afar.c1 == {"available": 10000}


def test_a_decline_gives_the_value_back_and_leads_where_the_page_says(afar: Shop) -> None:
    afar.scripted.answers.append(DECLINED)
    receipt = afar.pay("authorize", "a", amount="40.00")
    assert (receipt.result, receipt.state) == (Ended.DECLINED, "declined")
    assert receipt.outcome == DECLINED
    assert receipt.before_minor == receipt.after_minor
    assert (afar.p1, afar.c1) == (("declined", {}), {"available": 10000})
    assert afar.phases() == ["create done", "authorize asked", "authorize declined"]
    said = '{"amount":4000,"now":"2026-03-01T12:00:00.000Z"}'
    assert {each.args for each in afar.journal("payment", "p1")[1:]} == {said}, "only what was said, and when"
    again = afar.pay("authorize", "a", amount="40.00")
    assert (again.result, again.replayed, again.outcome) == (Ended.DECLINED, True, DECLINED)
    assert len(afar.scripted.performed) == 1, "a decline is an answer; a new try is a new key"


def test_a_local_provider_that_declines_says_why(store: Store) -> None:
    """Nothing is written: our own books have not changed, and there is nobody else to tell."""

    class Closed(LocalProvider):
        def perform(self, call: Call) -> Outcome:
            return DECLINED if call.verb == "hold" else super().perform(call)

    shop = Shop(store, Closed()).card().payment()
    before = shop.everything()
    receipt = shop.pay("authorize", amount="40.00")
    assert (receipt.result, shop.everything()) == (Ended.REFUSED, before)
    assert receipt.why.endswith("provider local says declined: not enough on it")


def test_a_decline_without_a_way_of_its_own_leaves_the_state(afar: Shop) -> None:
    afar.scripted.answers.append(DECLINED)
    assert afar.do("gift_card", "c1", "reload", amount="5.00").result is Ended.DECLINED
    assert afar.now("gift_card", "c1") == ("issued", {"available": 10000})
    afar.scripted.answers.append(DECLINED)
    assert afar.do("gift_card", "c1", "suspend").result is Ended.DECLINED
    assert afar.now("gift_card", "c1")[0] == "issued"
    assert afar.do("gift_card", "c1", "suspend").state == "suspended", "and the way is free again"


def test_unavailable_gives_the_value_back_and_the_same_key_may_be_sent_again(afar: Shop) -> None:
    afar.scripted.answers += [UNAVAILABLE, UNAVAILABLE]
    for _ in range(2):
        receipt = afar.pay("authorize", "a", amount="40.00", pin=PIN)
        assert (receipt.result, receipt.state, receipt.outcome) == (Ended.UNAVAILABLE, "requested", UNAVAILABLE)
        assert (afar.p1, afar.c1) == (("requested", {}), {"available": 10000})
        assert receipt.before_minor == receipt.after_minor
    with pytest.raises(KeyReused):
        afar.pay("authorize", "a", amount="41.00")
    receipt = afar.pay("authorize", "a", amount="40.00", pin=PIN)
    assert (receipt.applied, receipt.replayed, receipt.state) == (True, False, "authorized")
    assert [(call.id, call.secrets) for call in afar.scripted.performed] == [(receipt.call, {"pin": PIN})] * 3
    assert len(afar.calls()) == 4, "three for the card, and one"
    assert afar.pay("authorize", "a", amount="40.00").replayed
    assert len(afar.scripted.performed) == 3


def test_a_receipt_of_a_later_try_tells_of_that_try(afar: Shop) -> None:
    afar.scripted.answers.append(UNAVAILABLE)
    afar.do("gift_card", "c1", "redeem", "r", amount="40.00")
    afar.do("gift_card", "c1", "reload", amount="5.00")
    receipt = afar.do("gift_card", "c1", "redeem", "r", amount="40.00")
    assert (receipt.before_minor["available"], receipt.after_minor["available"]) == (10500, 6500)


@pytest.mark.parametrize("answer", [CONFIRMED, DECLINED, Outcome(Result.CONFIRMED, amount=1700), UNAVAILABLE, UNKNOWN])
def test_the_postings_of_a_receipt_lead_from_before_to_after(afar: Shop, answer: Outcome) -> None:
    afar.scripted.answers.append(answer)
    for receipt in (afar.pay("authorize", "a", amount="40.00"), afar.pay("cancel")):
        if receipt.result is Ended.REFUSED:
            continue
        stands = dict(receipt.before_minor)
        for source, target, amount in receipt.postings:
            stands |= {name: stands[name] - amount for name in (source,) if name in stands}
            stands |= {name: stands[name] + amount for name in (target,) if name in stands}
        assert stands == receipt.after_minor


def test_a_key_that_was_not_reached_does_not_do_something_else_later(afar: Shop) -> None:
    """Reversing an authorized payment releases its hold; a partly settled one, not held, is only closed."""
    afar.pay("authorize", amount="40.00")
    afar.scripted.answers.append(UNAVAILABLE)
    assert afar.pay("cancel", "v").result is Ended.UNAVAILABLE
    afar.pay("settle", "s", amount="10.00")
    receipt = afar.pay("cancel", "v")
    assert receipt.refusal is not None
    assert receipt.refusal.code is Code.MOVED_ON
    assert afar.pay("cancel", "w").state == "closed"


def test_a_key_that_was_not_reached_may_be_refused_by_now(afar: Shop) -> None:
    afar.scripted.answers.append(UNAVAILABLE)
    afar.pay("authorize", "a", amount="40.00")
    afar.do("gift_card", "c1", "redeem", amount="90.00")
    refused = afar.pay("authorize", "a", amount="40.00")
    assert refused.result is Ended.REFUSED
    assert afar.p1 == ("requested", {})


def test_an_unknown_answer_leaves_the_value_in_doubt(afar: Shop) -> None:
    afar.scripted.answers.append(UNKNOWN)
    receipt = afar.pay("authorize", "a", amount="40.00")
    assert (receipt.result, receipt.state, receipt.after_minor["in_doubt"]) == (Ended.IN_DOUBT, "requested", 4000)
    assert receipt.call == afar.call().id
    assert str(receipt.call) in receipt.why
    assert afar.p1 == ("requested", {"in_doubt": 4000})
    again = afar.pay("authorize", "a", amount="40.00")
    assert (again.result, again.replayed, len(afar.scripted.performed)) == (Ended.IN_DOUBT, True, 1), "never blindly"
    with pytest.raises(InDoubt):
        afar.engine.execute("payment", "p1", "authorize", {"amount": "40.00"}, key="a")


@pytest.mark.parametrize(
    "error", [TimeoutError(f"no answer for pin {PIN}"), RuntimeError(PIN), KeyError(PIN), ValueError(PIN)]
)
def test_a_provider_that_raises_leaves_the_value_in_doubt(afar: Shop, error: Exception) -> None:
    afar.scripted.answers.append(error)
    receipt = afar.pay("authorize", "a", amount="40.00", pin=PIN)
    assert receipt.result is Ended.IN_DOUBT
    assert f"{type(error).__name__} in provider scripted" in receipt.why
    assert f"{type(error).__name__} in provider scripted" == afar.call().note
    assert PIN not in receipt.why
    assert afar.p1 == ("requested", {"in_doubt": 4000})


@pytest.mark.parametrize("answer", [None, "yes", Outcome(Result.CONFIRMED, reference="\ud800"), CONFIRMED.result])
def test_an_answer_that_cannot_be_kept_leaves_the_value_in_doubt(afar: Shop, answer: Outcome) -> None:
    afar.scripted.usual = lambda call: answer
    receipt = afar.pay("authorize", "a", amount="40.00")
    assert receipt.result is Ended.IN_DOUBT
    assert afar.p1 == ("requested", {"in_doubt": 4000})


def test_an_allocation_without_a_card_number_is_not_believed(store: Store) -> None:
    for number, provider in enumerate([Scripted(), LocalProvider(number=lambda: None)]):
        shop = Shop(MemoryStore() if provider.local else store, provider)
        shop.do("gift_card", f"c{number}", "create", f"new{number}", form="electronic", currency="BRL")
        if not provider.local:
            provider.answers.append(CONFIRMED)
        receipt = shop.do("gift_card", f"c{number}", "allocate", f"a{number}")
        assert receipt.result is (Ended.REFUSED if provider.local else Ended.IN_DOUBT)
        assert "without the card number" in receipt.why
        assert shop.now("gift_card", f"c{number}")[0] == "inventory"


def test_another_amount_than_asked_for_is_no_confirmation_where_no_part_is_taken(afar: Shop) -> None:
    for amount in (3000, 5001, 0):
        afar.scripted.answers.append(Outcome(Result.CONFIRMED, amount=amount))
        assert afar.do("gift_card", "c1", "reload", amount="50.00").result is Ended.IN_DOUBT
        afar.engine.resolve(afar.call().id, "declined", by="ann", reason="they take it back")
    afar.scripted.answers.append(Outcome(Result.CONFIRMED, amount=5000))
    assert afar.do("gift_card", "c1", "reload", amount="50.00").applied
    assert afar.c1 == {"available": 15000}


class Generous(LocalProvider):
    """Answers at once, and once with another amount than it was asked for."""

    def perform(self, call: Call) -> Outcome:
        amount = {"redeem": 999, "hold": 0}.get(call.verb)
        return attrs.evolve(super().perform(call), amount=amount)


def test_a_local_provider_is_not_believed_either(store: Store) -> None:
    shop = Shop(store, Generous()).card().payment()
    before = shop.everything()
    for receipt in (shop.do("gift_card", "c1", "redeem", amount="1.00"), shop.pay("authorize", amount="1.00")):
        assert receipt.refusal is not None
        assert receipt.refusal.code is Code.PROVIDER
    assert shop.everything() == before


def test_more_than_was_asked_for_is_no_confirmation(afar: Shop) -> None:
    for amount in (4001, -1, 10**15):
        afar.payment(f"p{amount}")
        afar.scripted.answers.append(Outcome(Result.CONFIRMED, amount=amount, reference="h"))
        receipt = afar.do(
            "payment", f"p{amount}", "authorize", amount="20.00" if amount < 0 else "40.00", allow_partial=True
        )
        assert receipt.result is Ended.IN_DOUBT
        assert f"confirms {amount} minor units" in str(afar.call().note)
        assert str(afar.call().note) in receipt.why
        afar.engine.resolve(afar.call().id, "declined", by="ann", reason="they take it back")
    assert afar.c1 == {"available": 10000}


def test_calls_that_leave_the_state_may_be_in_flight_side_by_side(afar: Shop) -> None:
    afar.payment("p2").payment("p3")
    afar.scripted.answers += [UNKNOWN, UNKNOWN, UNKNOWN]
    for id, amount in (("p1", "40.00"), ("p2", "50.00")):
        assert afar.do("payment", id, "authorize", amount=amount).result is Ended.IN_DOUBT
    assert afar.do("payment", "p3", "authorize", amount="20.00").result is Ended.REFUSED, "only 10.00 are left"
    assert afar.c1 == {"available": 1000, "in_doubt": 9000}
    first, second = afar.calls()[-2:]
    afar.engine.resolve(second.id, "declined", by="ann", reason="r")
    assert afar.c1 == {"available": 6000, "in_doubt": 4000}
    afar.engine.resolve(first.id, "confirmed", by="ann", reason="r", reference="H-1")
    assert afar.c1 == {"available": 6000, "held": 4000}


def test_only_one_state_change_of_an_entity_is_in_flight(afar: Shop) -> None:
    afar.pay("authorize", amount="40.00")
    afar.scripted.answers.append(UNKNOWN)
    assert afar.pay("settle", amount="10.00", keep_hold=True).result is Ended.IN_DOUBT
    refused = afar.pay("settle", amount="10.00", keep_hold=True)
    assert refused.refusal is not None
    assert (refused.refusal.code, refused.refusal.waits) == (Code.IN_DOUBT, True)
    assert len(afar.scripted.performed) == 2
    assert afar.p1 == ("authorized", {"held": 3000, "in_doubt": 1000})


def test_nothing_is_final_while_a_call_is_in_flight(afar: Shop) -> None:
    afar.pay("redeem", amount="40.00")
    afar.payment("p2", "10.00")
    afar.do("payment", "p2", "settle", amount="4.00")
    afar.engine.run_due()
    afar.scripted.answers.append(UNKNOWN)
    assert afar.do("payment", "p2", "refund", amount="1.00").result is Ended.IN_DOUBT
    refused = afar.do("payment", "p2", "settle", amount="6.00")
    assert refused.refusal is not None
    assert refused.refusal.code is Code.IN_DOUBT
    afar.engine.resolve(afar.call().id, "confirmed", by="ann", reason="r", reference="H-2")
    assert afar.do("payment", "p2", "settle", amount="6.00").state == "closed"


def test_a_hold_is_answered_after_its_card_was_suspended(afar: Shop) -> None:
    afar.scripted.answers.append(UNKNOWN)
    afar.pay("authorize", amount="40.00")
    assert afar.do("gift_card", "c1", "suspend").state == "suspended"
    afar.engine.resolve(afar.calls()[-2].id, "confirmed", by="ann", reason="r", reference="H-3")
    assert afar.p1 == ("authorized", {"held": 4000})
    assert afar.now("gift_card", "c1") == ("suspended", {"available": 6000, "held": 4000})
    assert afar.pay("settle", amount="40.00").state == "closed"


# An answer that comes twice


def test_an_answer_that_comes_after_another_has_found_it(afar: Shop) -> None:
    """While the provider is slow, another process looks the call up and ends it; then the answer comes."""
    other = Engine(MACHINES, afar.store, afar.provider, clock=afar.clock)

    def meanwhile(call: Call) -> None:
        afar.clock.on(minutes=5)
        afar.scripted.found.append(attrs.evolve(CONFIRMED, reference=f"found {call.id}"))
        assert [each.state for each in other.recover()] == ["authorized"]

    for answer in (CONFIRMED, DECLINED, UNAVAILABLE, UNKNOWN):
        afar.payment(f"p-{answer.result}")
        afar.scripted.meanwhile = meanwhile
        afar.scripted.answers.append(answer)
        receipt = afar.do("payment", f"p-{answer.result}", "authorize", amount="10.00")
        afar.scripted.meanwhile = lambda call: None
        assert (receipt.applied, receipt.state) == (True, "authorized"), "it is told what became of it"
        assert receipt.outcome is not None
        assert receipt.outcome.reference == f"found {receipt.call}"
        assert afar.phases("payment", f"p-{answer.result}")[1:] == ["authorize asked", "authorize confirmed"]
    assert afar.c1 == {"available": 6000, "held": 4000}


def test_many_resolve_one_call_and_one_of_them_does(afar: Shop) -> None:
    engines = [Engine(MACHINES, afar.store, afar.provider, clock=afar.clock) for _ in range(8)]
    afar.scripted.answers.append(UNKNOWN)
    afar.pay("authorize", "a", amount="40.00")
    call = afar.call().id
    afar.clock.on(minutes=5)
    afar.scripted.found += [CONFIRMED] * 8
    together, told, late = threading.Barrier(8), [], []

    def resolver(number: int) -> None:
        together.wait(10)
        try:
            if number % 2:
                told.append(engines[number].resolve(call, "declined", by=f"person{number}", reason="r").result)
            else:
                told.extend(each.result for each in engines[number].recover())
        except Invalid as closed:
            late.append(str(closed))

    threads = [threading.Thread(target=resolver, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(afar.phases()) == 3, "one answer"
    assert len(set(told)) == 1, "and all are told the same"
    assert [text for text in late if "already" not in text] == []
    assert afar.p1 in (("authorized", {"held": 4000}), ("declined", {}))


def test_a_queued_command_that_another_found_not_done_is_tried_again(afar: Shop) -> None:
    """While run_due waits for the answer, another process finds that it was not done."""
    other = Engine(MACHINES, afar.store, afar.provider, clock=afar.clock)
    afar.pay("authorize", amount="40.00")
    afar.pay("settle", "s", amount="10.00")

    def meanwhile(call: Call) -> None:
        afar.clock.on(minutes=5)
        afar.scripted.found.append(UNAVAILABLE)
        other.recover()

    afar.scripted.meanwhile = meanwhile
    afar.scripted.answers.append(UNKNOWN)
    assert [each.result for each in afar.engine.run_due()] == [Ended.UNAVAILABLE]
    afar.scripted.meanwhile = lambda call: None
    afar.clock.on(hours=1)
    assert [each.applied for each in afar.engine.run_due()] == [True]
    assert afar.p1 == ("advanced_hold", {"redeemed": 1000, "held": 3000})


def test_a_closed_call_is_closed(afar: Shop) -> None:
    afar.pay("authorize", amount="40.00")
    before = afar.everything()
    with pytest.raises(Invalid, match="it was confirmed already"):
        afar.engine.resolve(afar.call().id, "declined", by="ann", reason="r")
    assert afar.recover() == []
    assert afar.engine.send(afar.call().id).replayed
    assert (afar.everything(), len(afar.scripted.performed)) == (before, 1)


# A process that sleeps


class Sleeper(Shop):
    """Its process sleeps after each of its next so many commits, and `meanwhile` happens."""

    def __init__(self, store: Store) -> None:
        super().__init__(DyingStore(store, self._at), Scripted())  # type: ignore[arg-type]  # a store in all that counts
        self.naps: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def _at(self, where: str) -> None:
        if where == "after its commit" and self.naps:
            self.clock.on(seconds=self.naps.pop())
            self.meanwhile()

    def beside(self) -> Engine:
        """Another process on the same books."""
        return Engine(MACHINES, self.store, self.provider, clock=self.clock)


@pytest.fixture
def sleeper(store: Store) -> Iterator[Sleeper]:
    shop = Sleeper(store)
    shop.card().payment().scripted.performed.clear()
    yield shop
    shop.sound()


@pytest.mark.parametrize("again", [CONFIRMED, UNKNOWN, DECLINED, UNAVAILABLE])
def test_who_slept_between_its_commit_and_its_request_does_not_send_what_another_has_sent(
    sleeper: Sleeper, again: Outcome
) -> None:
    sleeper.naps, sleeper.meanwhile = [90], lambda: sleeper.beside().recover()
    sleeper.scripted.answers.append(again)
    receipt = sleeper.pay("authorize", amount="40.00")
    assert len(sleeper.scripted.performed) == 1
    told = {Result.CONFIRMED: Ended.APPLIED, Result.UNKNOWN: Ended.IN_DOUBT, Result.DECLINED: Ended.DECLINED}
    assert receipt.result is told.get(again.result, Ended.UNAVAILABLE)


@pytest.mark.parametrize("seconds", [5, 90, 86400, -5, -3600])
def test_who_slept_and_was_not_missed_sends_it_and_says_when(sleeper: Sleeper, seconds: float) -> None:
    sleeper.naps = [seconds]
    assert sleeper.pay("authorize", amount="40.00").applied
    (call,) = sleeper.scripted.performed
    assert (call.attempt, call.asked_at) == (1, sleeper.clock.now)
    assert (sleeper.call().attempts, sleeper.call().asked > sleeper.call().opened) == (1, seconds > 0)


def test_who_cannot_but_sleep_sends_nothing_and_gives_the_value_back(sleeper: Sleeper) -> None:
    sleeper.naps = [30, 30]
    receipt = sleeper.pay("authorize", "a", amount="40.00")
    assert (receipt.result, sleeper.scripted.performed) == (Ended.UNAVAILABLE, [])
    assert "our own store took too long" in receipt.why
    assert sleeper.p1 == ("requested", {})
    assert sleeper.pay("authorize", "a", amount="40.00").applied, "the same key may be sent again"


@pytest.mark.parametrize("decided", [False, True])
def test_who_sleeps_before_a_repeat_asks_whether_that_is_still_wanted(sleeper: Sleeper, decided: bool) -> None:
    """It was not seen, and is to be sent once more. Meanwhile a person says that it was not done."""
    sleeper.scripted.answers.append(UNKNOWN)
    sleeper.pay("authorize", amount="40.00")
    sleeper.meanwhile = lambda: (
        decided and sleeper.beside().resolve("call-004", "declined", by="ann", reason="not there")
    )
    sleeper.naps = [90]
    sleeper.recover()
    assert len(sleeper.scripted.performed) == (1 if decided else 2)
    assert sleeper.p1[0] == ("declined" if decided else "authorized")


@pytest.mark.parametrize("answer", [DECLINED, UNAVAILABLE, UNKNOWN])
def test_that_one_attempt_came_to_nothing_does_not_end_the_next(afar: Shop, answer: Outcome) -> None:
    """The answer of the first comes after minutes; another process has seen no trace of it and sent it again."""
    other = Engine(MACHINES, afar.store, afar.provider, clock=afar.clock)

    def meanwhile(call: Call) -> None:
        afar.scripted.meanwhile = lambda call: None
        afar.clock.on(minutes=5)
        afar.scripted.answers.appendleft(UNKNOWN)
        assert [each.result for each in other.recover()] == [Ended.IN_DOUBT]

    afar.scripted.meanwhile = meanwhile
    afar.scripted.answers.append(answer)
    assert afar.pay("authorize", amount="40.00").result is Ended.IN_DOUBT
    assert afar.p1 == ("requested", {"in_doubt": 4000})
    afar.scripted.found.append(CONFIRMED)
    assert [each.state for each in afar.recover()] == ["authorized"]


@pytest.mark.parametrize("minutes", [0, 1])
def test_an_answer_is_not_believed_if_another_call_has_claimed_what_it_names(afar: Shop, minutes: float) -> None:
    """A hold was lost. Another of the same amount is done, but whoever asked sleeps; a look-up gives it to the first."""
    afar.payment("p2")
    other = Engine(MACHINES, afar.store, afar.provider, clock=afar.clock)
    afar.scripted.answers.append(UNKNOWN)
    afar.pay("authorize", amount="40.00")
    afar.clock.on(minutes=2)

    def meanwhile(call: Call) -> None:
        afar.clock.on(minutes=minutes)
        afar.scripted.found.append(ONE_THING)
        other.recover()

    afar.scripted.meanwhile = meanwhile
    afar.scripted.answers.append(ONE_THING)
    receipt = afar.do("payment", "p2", "authorize", amount="40.00")
    assert afar.p1 == ("authorized", {"held": 4000})
    assert receipt.result is Ended.IN_DOUBT
    assert "one thing is what call call-" in receipt.why
    assert not receipt.replayed, "it is told for the first time"
    afar.scripted.meanwhile = lambda call: None
    afar.clock.on(minutes=2)
    afar.recover()
    assert [each.id for each in afar.scripted.performed][1:] == [receipt.call] * 2, "so it was not done: once more"
    assert afar.now("payment", "p2") == ("authorized", {"held": 4000})


def test_one_transaction_counts_once_though_it_is_answered_to_two_cards(afar: Shop) -> None:
    afar.card("c2")
    afar.payment("p2", card="c2")
    afar.scripted.answers.extend([ONE_THING, ONE_THING])
    assert afar.pay("authorize", amount="10.00").applied
    second = afar.do("payment", "p2", "authorize", key="second", amount="10.00")
    assert second.result is Ended.IN_DOUBT
    first = next(each for each in afar.calls() if each.claims == "scripted one thing")
    assert second.why.endswith(
        f"one thing is what call {first.id} did (hold, key {first.key!r}), and nothing is done once for two "
        f"(call {second.call})"
    )
    with pytest.raises(Invalid, match=r"one thing is what call .* did .*; name what call"):
        afar.engine.resolve(str(second.call), "confirmed", by="ann", reason="r", reference="one thing")
    assert afar.engine.resolve(str(second.call), "confirmed", by="ann", reason="r", reference="its own").applied


def test_one_call_may_be_answered_twice(afar: Shop) -> None:
    """It was sent again, and both answers name what was done for it."""
    afar.scripted.answers.append(UNKNOWN)
    call = afar.pay("authorize", amount="10.00").call
    afar.scripted.answers.append(ONE_THING)
    afar.clock.on(minutes=2)
    assert [each.state for each in afar.recover()] == ["authorized"]
    late = balances.resolving(str(call), ONE_THING, provider=afar.scripted)
    assert afar.engine._commits.one(late).applied
    assert afar.p1 == ("authorized", {"held": 1000})


def test_what_moves_no_value_claims_nothing(afar: Shop) -> None:
    afar.scripted.answers.extend([ONE_THING, ONE_THING])
    for command in ("suspend", "reinstate"):
        assert afar.do("gift_card", "c1", command).applied
    assert {each.claims for each in afar.calls() if each.verb in ("suspend", "reinstate")} == {None}


# recover


@pytest.fixture
def doubt(afar: Shop) -> Shop:
    """An authorization of 40.00 under the key "a" whose answer never came."""
    afar.scripted.answers.append(UNKNOWN)
    afar.pay("authorize", "a", amount="40.00")
    return afar


def test_a_young_call_is_left_to_its_caller(doubt: Shop) -> None:
    assert doubt.engine.recover() == []
    doubt.clock.now += GRACE
    assert doubt.engine.recover() == [], "not before the grace is over"
    doubt.clock.on(seconds=0.001)
    assert len(doubt.engine.recover()) == 1


@pytest.mark.parametrize(
    ("found", "ended", "state", "stands"),
    [
        (CONFIRMED, Ended.APPLIED, "authorized", {"held": 4000}),
        (Outcome(Result.CONFIRMED, amount=1500), Ended.APPLIED, "authorized", {"held": 1500}),
        (DECLINED, Ended.DECLINED, "declined", {}),
        (UNAVAILABLE, Ended.UNAVAILABLE, "requested", {}),
        (UNKNOWN, Ended.IN_DOUBT, "requested", {"in_doubt": 4000}),
        (Ambiguous("two holds of 40.00 at noon"), Ended.IN_DOUBT, "requested", {"in_doubt": 4000}),
        (RuntimeError(PIN), Ended.IN_DOUBT, "requested", {"in_doubt": 4000}),
    ],
)
def test_what_the_provider_finds_is_what_became_of_it(
    doubt: Shop, found: Outcome, ended: Ended, state: str, stands: dict[str, int]
) -> None:
    doubt.scripted.found.append(found)
    (receipt,) = doubt.recover()
    assert (receipt.result, receipt.key) == (ended, "a")
    assert doubt.p1 == (state, stands)
    (looked_up,) = doubt.scripted.looked_up
    assert (looked_up.id, looked_up.args["amount"], looked_up.card.id) == (doubt.call().id, 4000, "c1")
    assert len(doubt.scripted.performed) == 1, "looked up, not sent"
    assert doubt.pay("authorize", "a", amount="40.00").result is (
        Ended.APPLIED if ended is Ended.UNAVAILABLE else ended
    )


def test_evidence_is_kept_for_the_person_who_decides(doubt: Shop) -> None:
    doubt.scripted.found += [Ambiguous("two holds of 40.00 at noon"), TimeoutError(PIN)]
    (receipt,) = doubt.recover()
    assert doubt.call().note == "two holds of 40.00 at noon"
    assert "two holds of 40.00 at noon" in receipt.why
    doubt.recover()
    assert doubt.call().note == "TimeoutError while looking it up"


def test_what_was_surely_not_seen_is_sent_once_more_under_the_same_id(doubt: Shop) -> None:
    doubt.scripted.found.append(NotSeen())
    (receipt,) = doubt.recover()
    assert (receipt.applied, receipt.state) == (True, "authorized")
    first, second = doubt.scripted.performed
    assert (first.id, first.attempt, second.id, second.attempt) == (receipt.call, 1, receipt.call, 2)
    assert second.args == first.args
    assert (second.order, second.card) == (first.order, first.card)
    assert doubt.call().attempts == 2


def test_what_was_sent_twice_and_not_seen_waits_for_a_person(doubt: Shop) -> None:
    doubt.scripted.answers.append(UNKNOWN)
    assert [each.result for each in doubt.recover()] == [Ended.IN_DOUBT]
    assert len(doubt.scripted.performed) == 2
    for _ in range(3):
        assert [each.result for each in doubt.recover()] == [Ended.IN_DOUBT]
    assert len(doubt.scripted.performed) == 2, "never a third time"
    assert doubt.call().note
    assert doubt.p1 == ("requested", {"in_doubt": 4000})
    doubt.engine.resolve(doubt.call().id, "declined", by="ann", reason="they have no trace of it")
    assert doubt.p1 == ("declined", {})


def test_what_was_tried_before_in_vain_is_sent_once_more_too(afar: Shop) -> None:
    """The provider was not reached the first time; of the second time it is not known."""
    afar.scripted.answers += [UNAVAILABLE, UNKNOWN]
    for _ in range(2):
        afar.pay("authorize", "a", amount="40.00")
    assert [each.state for each in afar.recover()] == ["authorized"]
    assert len(afar.scripted.performed) == 3


@pytest.mark.parametrize(("answer", "state"), [(DECLINED, "declined"), (UNAVAILABLE, "requested")])
def test_what_is_sent_once_more_may_end_otherwise(doubt: Shop, answer: Outcome, state: str) -> None:
    doubt.scripted.answers.append(answer)
    doubt.recover()
    assert doubt.p1 == (state, {})


def test_two_who_recover_send_it_once(doubt: Shop) -> None:
    """Both see that it was not seen; one sends it."""
    other = Engine(MACHINES, doubt.store, doubt.provider, clock=doubt.clock)
    doubt.clock.on(minutes=5)
    doubt.scripted.meanwhile = lambda call: other.recover()
    assert [each.state for each in doubt.engine.recover()] == ["authorized"]
    assert len(doubt.scripted.performed) == 2


@pytest.fixture
def slow_look(doubt: Shop) -> Callable[[Outcome | NotSeen], None]:
    """Lets another process recover everything while the first one to look up waits for what it is told then."""
    other = Engine(MACHINES, doubt.store, doubt.provider, clock=doubt.clock)

    def told_late(found: Outcome | NotSeen) -> None:
        usual = doubt.scripted.look_up

        def look_up(call: Call) -> Outcome | NotSeen | Ambiguous:
            doubt.scripted.look_up = usual
            doubt.clock.on(minutes=1)
            other.recover()
            return found

        doubt.scripted.look_up = look_up

    return told_late


def test_two_who_look_it_up_at_once_send_it_once(doubt: Shop, slow_look: Callable[[object], None]) -> None:
    slow_look(NotSeen())
    assert [each.state for each in doubt.recover()] == ["authorized"]
    assert len(doubt.scripted.performed) == 2


@pytest.mark.parametrize("found", [NotSeen(), UNAVAILABLE, DECLINED, CONFIRMED])
def test_what_was_found_of_one_attempt_does_not_end_the_next(
    doubt: Shop, slow_look: Callable[[object], None], found: Outcome
) -> None:
    """Meanwhile the other has sent it once more, and of that nothing is known yet."""
    slow_look(found)
    doubt.scripted.answers.append(UNKNOWN)
    assert [each.result for each in doubt.recover()] == [Ended.IN_DOUBT]
    assert len(doubt.scripted.performed) == 2
    assert doubt.p1 == ("requested", {"in_doubt": 4000})
    doubt.scripted.found.append(CONFIRMED)
    assert [each.state for each in doubt.recover()] == ["authorized"]


def test_a_confirmation_that_comes_too_late_is_kept_for_a_person(doubt: Shop) -> None:
    """Somebody said that it was not done, and then the provider says that it was."""

    def meanwhile(call: Call) -> None:
        doubt.engine.resolve(call.id, "declined", by="ann", reason="not in their portal")

    doubt.scripted.meanwhile = meanwhile
    assert [each.state for each in doubt.recover()] == ["declined"]
    assert "closed as declined, but then the provider confirmed it as ref-" in str(doubt.call().note)
    assert doubt.p1 == ("declined", {})


@pytest.mark.parametrize("text", ["not enough\non it", "not enough\r\n\ton it\n", "\x07not enough\x00on it\u2028"])
def test_what_a_provider_says_may_have_control_characters(afar: Shop, text: str) -> None:
    afar.scripted.answers.append(attrs.evolve(DECLINED, text=text, code="51\x1b"))
    receipt = afar.pay("authorize", amount="40.00")
    assert receipt.result is Ended.DECLINED
    assert "not enough on it" in receipt.why


def test_what_carried_a_secret_is_not_sent_again_but_given_back(afar: Shop) -> None:
    afar.scripted.answers.append(UNKNOWN)
    afar.pay("authorize", "a", amount="40.00", pin=PIN)
    afar.scripted.found.append(Ambiguous("perhaps"))
    assert [each.result for each in afar.recover()] == [Ended.IN_DOUBT], "only if it was surely not seen"
    (receipt,) = afar.recover()
    assert receipt.result is Ended.UNAVAILABLE
    assert "secret" in receipt.why
    assert len(afar.scripted.performed) == 1
    assert (afar.p1, afar.c1) == (("requested", {}), {"available": 10000})
    again = afar.pay("authorize", "a", amount="40.00", pin=PIN)
    assert (again.applied, again.call) == (True, receipt.call)
    assert afar.scripted.performed[1].secrets == {"pin": PIN}


def test_sending_again_is_for_what_was_never_sent(afar: Shop) -> None:
    afar.scripted.answers.append(UNKNOWN)
    receipt = afar.pay("authorize", "a", amount="40.00", pin=PIN)
    assert receipt.call is not None
    for secrets in (None, {}, {"pin": PIN}):
        assert afar.engine.send(receipt.call, secrets).result is Ended.IN_DOUBT
    assert len(afar.scripted.performed) == 1
    assert afar.p1 == ("requested", {"in_doubt": 4000})


def test_what_is_found_of_one_call_does_not_keep_others_in_doubt(afar: Shop) -> None:
    afar.payment("p2")
    afar.scripted.answers += [UNKNOWN] * 2
    for id in ("p1", "p2"):
        afar.do("payment", id, "authorize", amount="10.00")
    afar.scripted.found += [None, CONFIRMED]
    assert [each.result for each in afar.recover()] == [Ended.IN_DOUBT, Ended.APPLIED]
    assert afar.call().state == "confirmed"


@pytest.mark.parametrize("together", [False, True])
def test_what_was_done_once_is_not_found_for_two(afar: Shop, together: bool) -> None:
    """Two holds of one amount are in doubt, and the provider shows one; also if both are looked up in one commit."""
    afar.payment("p2")
    afar.scripted.answers += [UNKNOWN, UNKNOWN]
    calls = [str(afar.do("payment", id, "authorize", amount="40.00").call) for id in ("p1", "p2")]
    jobs = [balances.resolving(call, CONFIRMED, provider=afar.scripted, found=True) for call in calls]
    for part in [jobs] if together else [[job] for job in jobs]:
        afar.engine._commits.submit(part)
    assert afar.p1 == ("authorized", {"held": 4000})
    assert afar.now("payment", "p2") == ("requested", {"in_doubt": 4000})
    assert afar.call().note == f"what was found is what call {calls[0]} did already"


@pytest.mark.parametrize(("seconds", "believed"), [(5, True), (30, False)])
def test_a_late_answer_is_compared_with_what_other_calls_did(afar: Shop, seconds: int, believed: bool) -> None:
    """A look-up may have given the line of the lost hold to the other one meanwhile."""
    afar.payment("p2")
    afar.scripted.answers += [UNKNOWN, attrs.evolve(CONFIRMED, reference="T1", request="Q1")]
    lost, _ = [str(afar.do("payment", id, "authorize", amount="40.00").call) for id in ("p1", "p2")]
    afar.clock.on(seconds=seconds)
    named = attrs.evolve(CONFIRMED, reference="T2", request="Q1")
    receipt = afar.engine._commits.one(balances.resolving(lost, named, provider=afar.scripted))
    assert receipt.applied == believed
    assert believed or "names a transaction of another" in receipt.why


def test_several_calls_are_recovered_each_on_its_own(afar: Shop) -> None:
    afar.payment("p2").payment("p3")
    afar.scripted.answers += [UNKNOWN] * 3
    for id in ("p1", "p2", "p3"):
        afar.do("payment", id, "authorize", amount="10.00")
    afar.scripted.found += [DECLINED, Ambiguous("?"), CONFIRMED]
    afar.recover()
    states = sorted(afar.now("payment", id)[0] for id in ("p1", "p2", "p3"))
    assert states == ["authorized", "declined", "requested"]


# A person


def test_a_person_says_that_it_was_done(doubt: Shop) -> None:
    call = doubt.call().id
    receipt = doubt.engine.resolve(call, "confirmed", by="ann", reason="seen in their portal", reference="H-9")
    assert (receipt.applied, receipt.state, receipt.replayed) == (True, "authorized", False)
    assert receipt.outcome == Outcome(Result.CONFIRMED, reference="H-9")
    assert doubt.p1 == ("authorized", {"held": 4000})
    last = doubt.journal("payment", "p1")[-1]
    assert (last.phase, last.by, last.reason, last.call) == ("confirmed", "ann", "seen in their portal", call)
    assert doubt.call().note == "ann: seen in their portal"
    with doubt.store.reading() as look:
        assert look.entity("payment", "p1").facts["hold_id"] == "H-9"
    assert doubt.pay("authorize", "a", amount="40.00").applied


def test_a_person_says_that_part_of_it_was_done(doubt: Shop) -> None:
    doubt.engine.resolve(doubt.call().id, "confirmed", by="ann", reason="r", amount="7.00", reference="H-1")
    assert (doubt.p1, doubt.c1) == (("authorized", {"held": 700}), {"available": 9300, "held": 700})


@pytest.mark.parametrize("wait", [0, 300])
def test_nobody_says_that_what_another_call_did_was_this_one(doubt: Shop, wait: int) -> None:
    """Whether the call is young or old."""
    doubt.scripted.answers.append(Outcome(Result.CONFIRMED, reference="H-7"))
    doubt.payment("p2", "1.00")
    other = next(each for each in doubt.calls() if each.state == "confirmed" and each.verb == "hold")
    doubt.clock.on(seconds=wait)
    before, open_ = doubt.everything(), next(each.id for each in doubt.calls() if each.state == "open")
    with pytest.raises(Invalid, match=rf"H-7 is what call {other.id} did \(hold, key '{other.key}'\)") as refused:
        doubt.engine.resolve(open_, "confirmed", by="ann", reason="r", reference="H-7")
    assert f"name what call {open_} did itself" in str(refused.value)
    assert doubt.everything() == before
    assert doubt.engine.resolve(open_, "confirmed", by="ann", reason="r", reference="its own").applied


def test_a_person_names_whatever_moves_value(afar: Shop) -> None:
    """An entry that nobody claims would be taken for the next call of its amount."""
    afar.pay("authorize", amount="40.00")
    afar.scripted.answers.append(UNKNOWN)
    call = afar.pay("settle", amount="10.00").call
    with pytest.raises(Invalid, match=r"a confirmed redeem_hold has to be named .*--reference"):
        afar.engine.resolve(call, "confirmed", by="ann", reason="r")
    assert afar.engine.resolve(call, "confirmed", by="ann", reason="r", reference="theirs").applied
    afar.scripted.answers.append(UNKNOWN)
    call = afar.do("gift_card", "c1", "suspend").call
    assert afar.engine.resolve(call, "confirmed", by="ann", reason="r").state == "suspended"


def test_a_person_says_that_it_was_not_done(doubt: Shop) -> None:
    receipt = doubt.engine.resolve(doubt.call().id, "declined", by="ann", reason="not in their portal")
    assert (receipt.result, receipt.state) == (Ended.DECLINED, "declined")
    assert doubt.c1 == {"available": 10000}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"by": ""}, "who decides"), ({"reason": ""}, "why"), ({"by": "ann\nbob"}, "printable"),
        ({"reason": 7}, "printable"), ({"amount": "40.01"}, "4001"), ({"amount": Money(-1, "BRL")}, "-1"),
        ({"amount": 4001}, "an int does not say"), ({"amount": Money(4001, "USD")}, "not in BRL"),
        ({"result": "unknown"}, "confirmed, declined or unavailable"), ({"number": "6000000000000001"}, "only an allocation"),
        ({"reference": "a\x00b"}, "printable"), ({"result": "declined", "reference": "H"}, "neither reference"),
        ({"result": "unavailable", "amount": "0.01"}, "neither reference"), ({"call": "nothing"}, "no (open )?call 'nothing'"),
    ],
)  # fmt: skip
def test_a_person_has_to_say_all_of_it(doubt: Shop, given: dict[str, object], says: str) -> None:
    before = doubt.everything()
    said: dict[str, object] = {"call": doubt.call().id, "result": "confirmed", "by": "ann", "reason": "r", **given}
    with pytest.raises(Invalid, match=says):
        doubt.engine.resolve(said.pop("call"), said.pop("result"), **said)
    assert doubt.everything() == before
    with pytest.raises(TypeError):
        doubt.engine.resolve(doubt.call().id, "confirmed")


def test_a_person_says_that_it_was_surely_not_done_and_it_may_be_sent_again(doubt: Shop) -> None:
    call = doubt.call().id
    receipt = doubt.engine.resolve(call, "unavailable", by="ann", reason="their service was down")
    assert (receipt.result, receipt.state) == (Ended.UNAVAILABLE, "requested")
    assert doubt.c1 == {"available": 10000}
    again = doubt.pay("authorize", "a", amount="40.00")
    assert (again.applied, again.call) == (True, call)


def test_a_person_gives_the_card_that_a_lost_allocation_drew(store: Store) -> None:
    shop = Shop(store, Scripted())
    shop.do("gift_card", "c1", "create", form="electronic", currency="BRL")
    shop.scripted.answers.append(UNKNOWN)
    call = shop.do("gift_card", "c1", "allocate", "a").call
    for number, says in ((None, "--number"), ("60\x0000", "printable"), ("", "printable")):
        with pytest.raises(Invalid, match=says):
            shop.engine.resolve(call, "confirmed", by="ann", reason="r", number=number)
    receipt = shop.engine.resolve(call, "confirmed", by="ann", reason="in their portal", number="6000000000000042")
    assert (receipt.applied, receipt.state) == (True, "allocated")
    with store.reading() as look:
        assert look.entity("gift_card", "c1").facts["number"] == "6000000000000042"
    shop.sound()


def given_up(shop: Shop) -> str:
    """A deferred settlement that was refused; its key."""
    shop.payment(amount="40.00")
    shop.defer("settle", "s", amount="50.00")
    shop.clock.on(hours=2)
    (receipt,) = shop.engine.run_due()
    assert receipt.result is Ended.REFUSED
    return receipt.key


def test_a_person_dismisses_a_queued_command_that_was_refused(shop: Shop) -> None:
    key = given_up(shop)
    why = shop.queue()[key].why
    row = shop.engine.queue.dismiss(key, by="ann", reason="the order is void")
    assert (row.state, row.note, row.why) == ("dismissed", "ann: the order is void", why)
    assert shop.queue()[key] == row
    shop.clock.on(days=90)
    assert shop.engine.run_due() == []
    with pytest.raises(Invalid, match="no command waits for this under the key 's': it is dismissed"):
        shop.engine.queue.dismiss(key, by="ann", reason="twice")
    assert shop.defer("settle", key, amount="50.00").result is Ended.DEFERRED  # its caller may still mean it
    assert shop.queue()[key].state == "waiting"


def test_a_person_has_a_queued_command_tried_again(shop: Shop) -> None:
    key = given_up(shop)
    receipt = shop.engine.queue.retry(key, by="ann", reason="reloaded")
    assert receipt.result is Ended.REFUSED
    row = shop.queue()[key]
    assert (row.state, row.attempts, row.note) == ("refused", 1, "ann: reloaded")


def test_what_was_parked_and_is_tried_again_is_done(afar: Shop) -> None:
    afar.pay("authorize", amount="40.00")
    afar.pay("settle", "s", amount="10.00")
    afar.scripted.answers += [UNAVAILABLE] * 10
    for _ in range(10):
        afar.engine.run_due()
        afar.clock.on(hours=1)
    row = afar.queue()["s>hold_again"]
    assert (row.state, row.attempts) == ("parked", 10)
    afar.scripted.answers.append(UNAVAILABLE)
    assert afar.engine.queue.retry(row.key, by="ann", reason="they are back").result is Ended.UNAVAILABLE
    assert (afar.queue()[row.key].state, afar.queue()[row.key].attempts) == ("waiting", 1)
    afar.clock.on(hours=1)
    (receipt,) = afar.engine.run_due()
    assert (receipt.applied, afar.queue()[row.key].state) == (True, "done")


@pytest.mark.parametrize("deed", ["dismiss", "retry"])
@pytest.mark.parametrize(
    ("given", "says"),
    [({"by": ""}, "who decides"), ({"reason": "a\nb"}, "printable"), ({"key": "nothing"}, "nothing is queued under the key"),
     ({"key": "s"}, "it is waiting")],
)  # fmt: skip
def test_a_person_decides_what_waits_for_one(shop: Shop, deed: str, given: dict[str, str], says: str) -> None:
    key = given_up(shop)
    shop.defer("settle", "s", amount="50.00") if given.get("key") == "s" else None
    before = shop.everything()
    with pytest.raises(Invalid, match=says):
        getattr(shop.engine.queue, deed)(**{"key": key, "by": "ann", "reason": "r", **given})
    assert shop.everything() == before


# What waits until orders hold nothing any more


def replaced(store: Store, provider: Provider | None = None) -> Shop:
    """A card of 100.00 was replaced while an order holds 30.00 of it; it waits to be retired."""
    shop = Shop(store, provider or LocalProvider()).card().payment(amount="30.00")
    for machine, id, command, args in (
        ("gift_card", "c1", "suspend", {}), ("gift_card", "c2", "create", {"form": "electronic", "currency": "BRL"}),
        ("replacement", "r1", "create", {"old": "c1", "new": "c2", "form": "electronic", "currency": "BRL"}),
        ("replacement", "r1", "replace", {"amount": "70.00"}),
    ):  # fmt: skip
        assert shop.do(machine, id, command, **args).applied
    assert [each.result for each in shop.engine.run_due()] == [Ended.APPLIED] * 3 + [Ended.REFUSED]
    return shop


def waiting(shop: Shop) -> QueueRow:
    (row,) = [each for each in shop.queue().values() if each.command == "retire"]
    return row


def test_a_patient_follow_up_is_done_once_no_order_holds_anything(store: Store) -> None:
    shop = replaced(store)
    assert (waiting(shop).state, waiting(shop).attempts) == ("waiting", 1)
    shop.clock.on(days=3)
    assert [each.result for each in shop.engine.run_due()] == [Ended.REFUSED]
    assert shop.pay("settle", amount="30.00").applied
    shop.clock.on(days=2)
    assert [each.result for each in shop.engine.run_due()] == [Ended.APPLIED]
    assert shop.now("gift_card", "c1")[0] == "replaced"
    assert waiting(shop).state == "done"
    shop.sound()


def test_a_patient_follow_up_does_not_wait_for_ever(store: Store) -> None:
    shop = replaced(store)
    began = shop.clock.now
    while waiting(shop).state == "waiting":
        shop.clock.on(hours=12)
        shop.engine.run_due()
    assert (waiting(shop).state, waiting(shop).attempts) == ("parked", PATIENCE)
    assert timedelta(days=14) < shop.clock.now - began < timedelta(days=40)
    assert shop.pay("settle", amount="30.00").applied
    assert shop.engine.queue.retry(waiting(shop).key, by="ann", reason="the order is gone").applied


def test_a_patient_follow_up_is_not_given_up_for_a_call_in_its_way(store: Store) -> None:
    """It has been refused by amounts more often than others may be tried; then, once, by a call in doubt."""
    shop = replaced(store, Scripted())
    while waiting(shop).attempts <= ATTEMPTS:
        shop.clock.on(days=1)
        shop.engine.run_due()
    shop.scripted.answers.append(Outcome(Result.UNKNOWN))
    assert shop.pay("settle", amount="30.00").result is Ended.IN_DOUBT
    shop.clock.on(days=1)
    assert [each.result for each in shop.engine.run_due()] == [Ended.REFUSED]
    assert waiting(shop).state == "waiting"
    assert [each.result for each in shop.engine.recover()] == [Ended.APPLIED]
    shop.clock.on(days=1)
    assert [each.result for each in shop.engine.run_due()] == [Ended.APPLIED]
    assert shop.now("gift_card", "c1")[0] == "replaced"


def test_a_patient_follow_up_ends_where_the_state_says_no(store: Store) -> None:
    shop = replaced(store)
    assert shop.do("gift_card", "c1", "reinstate").applied
    shop.clock.on(days=1)
    assert [each.result for each in shop.engine.run_due()] == [Ended.REFUSED]
    assert waiting(shop).state == "refused"


# No transaction is open while the provider is asked


def test_the_file_is_free_while_the_provider_is_asked(file: Path) -> None:
    """Whatever opens a call, another connection may write to the file at once, without any waiting."""
    shop = Shop(open_store(str(file)), Scripted())
    raw = sqlite3.connect(file, isolation_level=None, timeout=0)
    raw.execute("CREATE TABLE notes (verb TEXT)")

    def write(call: Call) -> None:
        raw.execute("BEGIN IMMEDIATE")
        raw.execute("INSERT INTO notes VALUES (?)", (call.verb,))
        raw.execute("COMMIT")

    def find(call: Call) -> Outcome | NotSeen:
        write(attrs.evolve(call, verb=f"look_up {call.verb}"))
        return NotSeen()

    shop.scripted.meanwhile = write
    shop.scripted.look_up = find
    shop.card().payment("p1", "40.00")
    shop.pay("settle", "s", amount="10.00")
    shop.engine.run_due()
    shop.scripted.answers.append(UNKNOWN)
    shop.pay("settle", "t", amount="30.00")
    shop.recover()
    shop.payment("p2").payment("p3")
    hold = {"amount": "5.00"}
    shop.engine.try_execute_many([Command("payment", id, "authorize", hold, f"m-{id}") for id in ("p2", "p3")])
    shop.defer("refund", "r", amount="1.00")
    shop.clock.on(hours=1)
    shop.engine.run_due()
    caller = sqlite3.connect(file, isolation_level=None)
    caller.execute("BEGIN IMMEDIATE")
    opened = shop.engine.try_execute(Command("payment", "p2", "cancel", {}, "v"), connection=caller)
    caller.execute("COMMIT")
    caller.close()
    assert opened.call is not None
    shop.engine.send(opened.call)

    assert [verb for (verb,) in raw.execute("SELECT verb FROM notes ORDER BY rowid")] == [
        "allocate", "activate", "issue", "hold", "redeem_hold", "hold", "redeem_hold", "look_up redeem_hold",
        "redeem_hold", "hold", "hold", "issue", "release_hold",
    ]  # fmt: skip
    raw.close()
    shop.sound()
    shop.store.close()


def test_commands_and_looks_go_on_while_the_provider_is_asked(afar: Shop) -> None:
    """The same shop, from inside the provider: nothing is locked."""
    told: list[Receipt] = []

    def meanwhile(call: Call) -> None:
        if call.verb == "hold":
            told.append(afar.do("gift_card", "c1", "reload", amount="1.00"))

    afar.scripted.meanwhile = meanwhile
    assert afar.pay("authorize", amount="40.00").applied
    assert [each.applied for each in told] == [True]
    assert afar.c1 == {"available": 6100, "held": 4000}


# A PIN is passed on and forgotten


def test_a_pin_is_nowhere(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []

    def keep(receipt: object) -> None:
        said.append(repr(receipt) + str(receipt))

    def failing(job: Callable[[], object]) -> None:
        with pytest.raises(TallystickError) as told:
            job()
        said.append(repr(told.value) + str(told.value))
        said.append("".join(traceback.format_exception(told.value)))

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        shop = Shop(open_store(str(file)), Scripted()).card()
        for number, answer in enumerate(
            (CONFIRMED, DECLINED, UNAVAILABLE, UNKNOWN, RuntimeError(f"pin {PIN}"), TimeoutError(PIN))
        ):
            shop.payment(f"p{number}")
            shop.scripted.answers.append(answer)
            command = Command("payment", f"p{number}", "authorize", {"amount": "1.00", "pin": PIN}, f"a{number}")
            keep(command)
            keep(shop.engine.try_execute(command))
            keep(shop.engine.try_execute(attrs.evolve(command, args={"amount": "1.00"})))
        shop.scripted.found += [RuntimeError(PIN), NotSeen(), Ambiguous("?")]
        for receipt in shop.recover():
            keep(receipt)
        for call in shop.scripted.performed:
            keep(call)
        assert any(call.secrets == {"pin": PIN} for call in shop.scripted.performed)
        execute = shop.engine.execute
        for args in ({"amount": "1.00", "pin": f"{PIN}\n"}, {"amount": 1.0, "pin": PIN}, {"pin": PIN},
                     {"amount": "1.00", "pin": int(PIN)}, {"amount": "1.00", "pin": [PIN]}, {"amount": "1", "pinn": PIN},
                     {"amount": "1.00", "pin": PIN * 300}):  # fmt: skip
            failing(lambda args=args: execute("gift_card", "c1", "redeem", args, key="x"))
        refused = {"amount": "999.00", "pin": PIN}
        failing(lambda: execute("gift_card", "c1", "redeem", refused, key="y"))
        failing(lambda: execute("gift_card", "c1", "redeem", refused, key="a0"))
        failing(lambda: execute("gift_card", "c1", "redeem", refused, key="z", due=shop.clock.now))
        keep(shop.engine.may("gift_card", "c1", "redeem", refused))
        caller = sqlite3.connect(file, isolation_level=None)
        caller.execute("BEGIN IMMEDIATE")
        opened = shop.engine.try_execute(
            Command("gift_card", "c1", "redeem", {"amount": "0.01", "pin": PIN}, "j"), connection=caller
        )
        caller.execute("COMMIT")
        caller.close()
        keep(opened)
        assert opened.call is not None
        keep(shop.engine.send(opened.call, {"pin": PIN}))

    said += [record.getMessage() for record in caplog.records] + [str(each.message) for each in warned]
    said += [repr(each) for each in shop.everything()]
    assert [text for text in said if PIN in text] == []
    files = [path for path in file.parent.iterdir() if path.name.startswith("books.db")]
    assert len(files) == 3
    assert [path.name for path in files if PIN.encode() in path.read_bytes()] == []
    shop.store.close()
    assert PIN.encode() not in file.read_bytes()


def test_a_pin_that_a_card_set_hands_out_is_told_once(file: Path) -> None:
    shop = Shop(open_store(str(file)), Scripted())
    shop.do("gift_card", "c1", "create", form="electronic", currency="BRL", card_set="web")
    shop.scripted.answers.append(Outcome(Result.CONFIRMED, number="6000123412340281", pin=PIN))
    receipt = shop.do("gift_card", "c1", "allocate", "a")
    assert receipt.pin == PIN
    assert PIN not in repr(receipt)
    assert shop.do("gift_card", "c1", "allocate", "a").pin is None
    with shop.store.reading() as look:
        assert look.entity("gift_card", "c1").facts["number"] == "6000123412340281"
    shop.store.close()
    assert PIN.encode() not in file.read_bytes()


def test_a_number_is_not_in_a_receipt_for_people(shop: Shop) -> None:
    number = "6000123412340281"
    shop.do("gift_card", "c2", "create", form="physical", currency="BRL")
    receipts = [
        shop.do("gift_card", "c2", "activate", number=number), shop.do("gift_card", "c2", "issue", amount="1.00"),
        shop.do("gift_card", "c2", "recognize", number=number, balance="1.00"),
    ]  # fmt: skip
    assert [each.result for each in receipts] == [Ended.APPLIED, Ended.APPLIED, Ended.REFUSED]
    assert [each for each in receipts if number in repr(each) + each.why] == []
