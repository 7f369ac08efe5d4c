"""Balance checks: what they tell, what they hide, and how often; over memory and SQLite, with Clutch and without."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest

from tallystick import Books, Invalid, Money, StoreError
from tallystick.books.balance import (
    CAPTCHA_NEEDED,
    LATER,
    NOT_FOUND,
    PIN_NEEDED,
    UNAVAILABLE,
    BalanceAnswer,
    BalanceDesk,
    BalanceSettings,
    Said,
)
from tallystick.books.balance_limits import Limit, Tries, admitted, counted, forgiven, over
from tallystick.clutch.answers import Balance, Card
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.request_limits import Bucket, Circuit, CircuitBreaker, LeakyBucket
from tallystick.clutch.sandbox import CardSet, Sandbox
from tallystick.clutch.settings import ClutchSettings
from tallystick.clutch.transport import Answer, InProcess, NotSent
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Call, CardFacts, Outcome, Provider, Result
from tallystick.store.open import open_store
from tallystick.store.protocol import Store
from tallystick.store.shared_text import StoreCell
from tallystick.store.sqlite import SqliteStore

MACHINES = reader.load()
START = 1_772_452_800.0  # 2026-03-02, noon
KEY = "a key for tests, long enough"
SOME = Limit(checks=1000, window=10.0, failures=5, lockout=900, longest_lockout=86_400, forget=21_600)
MANY = Limit(checks=10**6, window=1.0, failures=10**6, lockout=1, longest_lockout=1, forget=1)
PLAIN = BalanceSettings(card=SOME, client=MANY, captcha_after=10**6)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = open_store("memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'books.db'}")
    made.machines(MACHINES)
    yield made
    made.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


class Time:
    """A clock that only moves when somebody sleeps, or says so."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


class Wire:
    """The sandbox in process; each request takes `slow` seconds, the next may fail. Keeps what was asked."""

    def __init__(self, sandbox: Sandbox, time: Time) -> None:
        self.inner, self.time = InProcess(sandbox), time
        self.slow: Iterator[float] | float = 0.0
        self.fault = "none"
        self.asked: list[dict[str, Any]] = []
        self.down = False

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.time.now += self.slow if isinstance(self.slow, float) else next(self.slow)
        if self.down:
            raise NotSent("ConnectError")
        self.asked.append({"method": method, **json.loads(body)})
        return self.inner.send(method, {**headers, "x-sandbox-fault": self.fault}, body)

    def close(self) -> None: ...


class Shop:
    """A desk over the sandbox, with one clock; and a card of 50.00 of which 20.00 are held."""

    def __init__(self, store: Store, settings: BalanceSettings = PLAIN, **more: Any) -> None:
        self.store, self.time = store, Time()
        sets: dict[str, int | CardSet] = {"GIFT": 30, "LEGACY": CardSet(3, pins=False)}
        self.sandbox = Sandbox(None, sets, seed=5, clock=self.time)
        self.wire = Wire(self.sandbox, self.time)
        known = self.sandbox.credentials
        self.clutch = ClutchSettings(
            base_url="http://127.0.0.1:1", api_key=known.api_key, api_secret=known.api_secret, brand=known.brand,
            location=known.location, terminal=known.terminal, rate=1e6, burst=10**6, read_attempts=1,
            breaker_failures=10**6,
        )  # fmt: skip
        self.provider = ClutchProvider(self.clutch, self.wire, clock=self.moment, sleep=self.time.sleep)
        self.engine = Engine(MACHINES, store, self.provider, clock=self.moment)
        self.count = count()
        self.number, self.pin = self.sold("GIFT", 5000, held=2000)
        self.wrong = "0000" if self.pin != "0000" else "1111"
        self.desk = self.opened(settings, **more)
        self.wire.asked.clear()

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.time.now, timezone.utc)

    def opened(self, settings: BalanceSettings = PLAIN, **more: Any) -> BalanceDesk:
        return BalanceDesk(
            self.engine, "USD", settings, **{"key": KEY, "clock": self.time, "sleep": self.time.sleep, **more}
        )

    def sold(self, card_set: str, amount: int, held: int = 0) -> tuple[str, str]:
        sale = next(self.count)
        card = CardFacts("c", "USD", card_set=card_set, form="electronic")
        drawn = self.provider.perform(Call(f"a{sale}", "allocate", card, {}))
        card = attrs.evolve(card, number=drawn.number)
        assert self.provider.perform(Call(f"i{sale}", "issue", card, {"amount": amount})).result == "confirmed"
        if held:
            secret = {"pin": drawn.pin or ""}
            assert self.provider.perform(Call(f"h{sale}", "hold", card, {"amount": held}, secret)).result == "confirmed"
        return drawn.number or "", drawn.pin or ""

    def check(
        self, number: str | None = None, pin: str | None = None, client: str = "ann", **more: Any
    ) -> BalanceAnswer:
        return self.desk.check(number or self.number, pin, client=client, **more)

    def fail(self, times: int, client: str = "ann") -> None:
        for _ in range(times):
            assert self.check(pin=self.wrong, client=client) is NOT_FOUND


def usd(text: str) -> Money:
    return Money.parse(text, "USD")


# --- What is told


def test_a_balance_is_told(store: Store) -> None:
    shop = Shop(store)
    answer = shop.check(pin=shop.pin)
    assert (answer.said, answer.available, answer.held) == (Said.FOUND, usd("30.00"), usd("20.00"))
    assert answer.text == "30.00 USD are available."
    spaced = f" {shop.number[:4]} {shop.number[4:]}\n"
    assert shop.check(spaced, shop.pin) == answer


def test_a_pin_is_asked_for_where_a_card_has_one_and_passed_on(store: Store) -> None:
    shop = Shop(store)
    assert (shop.check(), shop.check(pin=""), shop.check("no such card")) == (PIN_NEEDED,) * 3
    assert shop.wire.asked == []
    shop.check(pin=shop.pin)
    assert [(each["method"], each["pin"]) for each in shop.wire.asked] == [("search", shop.pin)]


def test_a_card_without_pin_is_known_by_its_number(store: Store) -> None:
    shop = Shop(store)
    legacy, _ = shop.sold("LEGACY", 700)
    shop.provider.settings = attrs.evolve(shop.clutch, pinless_numbers=legacy)
    assert shop.check(legacy).available == usd("7.00")
    assert "pin" not in shop.wire.asked[-1]


def test_a_card_that_is_not_in_use_is_not_told_whoever_knows_of_it(store: Store) -> None:
    """Ours is suspended in our books only; another is shown as suspended by search. Each sounds like a wrong PIN."""
    shop = Shop(store)
    books = Books(shop.engine)
    sale = books.sell_electronic("c1", "50.00", "USD", order="o", key="sell", card_set="GIFT")
    number, pin = str(sale.number), str(sale.pin)
    assert shop.check(number, pin, client="bob").available == usd("50.00")
    books.suspend("c1", key="lost")
    asked = len(shop.wire.asked)
    began = shop.time.now
    assert [shop.check(number, each, client="bob") for each in (pin, shop.wrong)] == [NOT_FOUND] * 2
    assert len(shop.wire.asked) == asked + 2  # Clutch is asked all the same
    assert shop.time.now - began == 2 * shop.desk.settings.answer_every
    books.reinstate("c1", key="found")
    assert shop.check(number, pin, client="bob").available == usd("50.00")


def test_a_card_that_search_shows_as_suspended_is_not_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(store)
    card = Card(shop.number, "GIFT", shop.clutch.status_suspended, (Balance(3000),), cached=False)
    monkeypatch.setattr(shop.provider, "_card", lambda *_, **__: card)
    assert shop.check(pin=shop.pin) is NOT_FOUND
    monkeypatch.setattr(shop.provider, "_card", lambda *_, **__: attrs.evolve(card, status="Active"))
    assert shop.check(pin=shop.pin).available == usd("30.00")


def test_our_own_books_answer_where_they_are_the_truth(store: Store) -> None:
    desk, books = local(store)
    sale = books.sell_electronic("c1", "50.00", "USD", order="o", key="sell")
    books.authorize("p", "c1", "20.00", order="o2", key="hold")
    answer = desk.check(sale.number or "", client="ann")
    assert (answer.available, answer.held, answer.card) == (usd("30.00"), usd("20.00"), "c1")
    books.suspend("c1", key="lost")
    assert desk.check(sale.number or "", client="ann") is NOT_FOUND
    euros = BalanceDesk(desk._engine, "EUR", key=KEY, sleep=lambda seconds: None)
    assert euros.check(sale.number or "", client="ann") is NOT_FOUND


def local(store: Store, settings: BalanceSettings = PLAIN, **more: Any) -> tuple[BalanceDesk, Books]:
    engine = Engine(MACHINES, store, LocalProvider())
    time = Time()
    given = {"key": KEY, "clock": time, "sleep": time.sleep, **more}
    return BalanceDesk(engine, "USD", settings, **given), Books(engine)


@pytest.mark.parametrize(
    "number", ["", " ", "-", "x" * 65, "4831\x00", "4831\ud800", "４８３１", "4831' OR 1=1", '{"$ne":1}', "c1"]
)
def test_what_is_no_number_is_no_card(store: Store, number: str) -> None:
    shop = Shop(store)
    assert shop.check(number or " ", "1234") is NOT_FOUND
    desk, books = local(store)
    books.sell_electronic("c1", "50.00", "USD", order="o", key="sell")
    assert desk.check(number, client="\ud800") is NOT_FOUND


def test_an_argument_of_another_type_is_the_callers_fault_and_is_not_repeated(store: Store) -> None:
    desk, _ = local(store)
    for wrong in ({"pin": 8642, "client": "ann"}, {"client": ""}, {"client": 8642}, {"client": "a", "captcha": 8642}):
        with pytest.raises(Invalid) as caught:
            desk.check("4831", **wrong)  # type: ignore[arg-type]
        assert "8642" not in str(caught.value)


# --- What is hidden


NOS = ["unknown", "wrong pin", "never sold", "suspended", "not a number"]


def guess(shop: Shop, kind: str) -> tuple[str, str]:
    """A number and a PIN that have to be answered as all others of these."""
    if kind == "suspended":
        card = CardFacts("c", "USD", shop.number)
        assert shop.provider.perform(Call("s", "suspend", card, {})).result == "confirmed"
        return shop.number, shop.wrong
    return {
        "unknown": ("4831000000000000", "1234"),
        "wrong pin": (shop.number, shop.wrong),
        "never sold": (shop.sandbox.inventory("GIFT")[0], "1234"),
        "not a number": ("card number", "PIN?"),
    }[kind]


def test_every_no_is_the_same_answer_at_the_same_time_and_counts_the_same(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen = set()
    for index, kind in enumerate(NOS):
        shop = Shop(store, key=f"{KEY} {kind}")
        number, pin = guess(shop, kind)
        shop.wire.slow = 0.05 + 0.17 * index  # each takes its own time
        caplog.clear()
        heard = []
        for _ in range(7):  # five, and two when it is locked out
            before = shop.time.now
            answer = shop.check(number, pin, client=kind)
            heard.append((answer, repr(answer), id(answer), round(shop.time.now - before, 9)))
        ours = [each.getMessage() for each in caplog.records if each.name == "tallystick.books.balance"]
        shapes = [line.split(";")[0] for line in ours]
        seen.add((tuple(heard), tuple(shapes)))
    assert len(seen) == 1
    ((heard_by_all, _),) = seen
    assert [each[0] for each in heard_by_all] == [NOT_FOUND] * 5 + [LATER] * 2
    assert {each[3] for each in heard_by_all} == {1.0}


def test_every_answer_comes_on_a_full_stroke(store: Store) -> None:
    shop = Shop(store, attrs.evolve(PLAIN, answer_every=0.5))
    for slow, takes in ((0.0, 0.5), (0.3, 0.5), (0.5, 0.5), (0.6, 1.0), (1.2, 1.5)):
        for pin in (shop.pin, None):
            shop.wire.slow = slow
            before = shop.time.now
            shop.check(pin=pin)
            assert shop.time.now - before == pytest.approx(takes if pin else 0.5)
    shop.desk.settings = attrs.evolve(PLAIN, answer_every=0.0)
    before = shop.time.now
    shop.check(pin=shop.pin)
    assert shop.time.now - before == pytest.approx(1.2)


def test_a_clock_set_back_or_forth_makes_nobody_wait_long(store: Store) -> None:
    slept: list[float] = []
    shop = Shop(store, sleep=slept.append)
    for jump in (-3600.0, 3600.25):
        shop.wire.slow = jump
        shop.check(pin=shop.pin)
    assert slept == [1.0, pytest.approx(0.75)]


def test_a_failing_store_answers_nothing_and_takes_as_long(path: Path) -> None:
    time = Time()
    desk, _ = local(SqliteStore(path), clock=time, sleep=time.sleep)
    desk._store = SqliteStore(path.parent / "another.db")  # without tables
    with pytest.raises(StoreError):
        desk.check("4831", client="ann")
    assert time.now - START == 1.0


@pytest.mark.parametrize(
    "fault", ["lost_before", "lost_after", "500_before", "500_after", "broken_json", "429", "truncated"]
)
def test_a_provider_that_does_not_answer_tells_nothing(store: Store, fault: str) -> None:
    shop = Shop(store)
    shop.wire.fault = fault
    answers = [
        shop.check(number, pin) for number, pin in ((shop.number, shop.pin), (shop.number, shop.wrong), ("4831", "1"))
    ]
    assert answers == [UNAVAILABLE] * 3


# --- How often: pure


def test_checks_come_back_evenly() -> None:
    limit = Limit(checks=3, window=30.0, failures=9, lockout=1, longest_lockout=1, forget=1)
    tries: Tries | None = Tries()
    taken = []
    for second in range(60):
        after = admitted(tries or Tries(), START + second, limit)
        if after is not None:
            tries = forgiven(after, START + second, limit)
            taken.append(second)
    assert taken == [0, 1, 2, 10, 20, 30, 40, 50]


def test_a_lockout_doubles_up_to_its_longest_and_failures_are_forgotten_one_by_one() -> None:
    limit = Limit(checks=10**6, window=1.0, failures=3, lockout=60, longest_lockout=600, forget=36_000)
    now, tries, waits = START, Tries(), []
    for _ in range(9):
        begun = now
        while (after := admitted(tries, now, limit)) is None:
            now += 1
        waits.append(now - begun)
        tries = after
    assert waits == [0, 0, 0, 60, 120, 240, 480, 600, 600]
    assert counted(tries, tries.at + 36_000, limit).failures == pytest.approx(tries.failures - 1)
    assert counted(tries, over(tries, limit) + 1, limit) == Tries(0, 0, over(tries, limit) + 1, tries.until)


def test_in_the_long_run_one_failure_is_free_in_each_time_of_forgetting() -> None:
    limit, now, tries, count = BalanceSettings().card, START, Tries(), 0
    while now < START + 365 * 86_400:
        after = admitted(tries, now, limit)
        if after is None:
            now = max(now + 1, tries.until)
        else:
            tries, count = after, count + 1
    assert count <= 5 + 6 + 4 * 365


def test_a_clock_set_back_forgets_and_frees_nothing() -> None:
    tries = Tries(checks=1.0, failures=5.0, at=START, until=START + 900)
    assert admitted(tries, START - 86_400, SOME) is None
    assert counted(tries, START - 86_400, SOME) == tries


@pytest.mark.parametrize("name", ["checks", "window", "failures", "lockout", "longest_lockout", "forget"])
def test_a_limit_of_nothing_is_no_limit(name: str) -> None:
    with pytest.raises(Invalid, match=name):
        attrs.evolve(SOME, **{name: 0})
    with pytest.raises(Invalid):
        BalanceSettings(answer_every=-1)


# --- How often: cards and clients


def test_ten_thousand_pins_get_no_more_than_five_tries(store: Store) -> None:
    shop = Shop(store, attrs.evolve(PLAIN, answer_every=0.0))
    pins = [f"{pin:04}" for pin in range(10_000) if f"{pin:04}" != shop.pin]
    Random(1).shuffle(pins)
    said = [shop.check(pin=pin, client=f"bot {index}") for index, pin in enumerate([*pins, shop.pin])]
    assert len(shop.wire.asked) == 5
    assert said == [NOT_FOUND] * 5 + [LATER] * (len(pins) - 4)  # and the right one is not heard either


def test_checks_side_by_side_do_not_get_past_the_limit(store: Store) -> None:
    shop = Shop(store, attrs.evolve(PLAIN, answer_every=0.0))
    gate = threading.Barrier(16)
    said: list[BalanceAnswer] = []

    def bot(index: int) -> None:
        gate.wait()
        said.extend(shop.check(pin=shop.wrong, client=f"bot {index}") for _ in range(3))

    threads = [threading.Thread(target=bot, args=(index,)) for index in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (len(shop.wire.asked), said.count(NOT_FOUND), said.count(LATER)) == (5, 5, 43)


def test_a_lockout_ends_doubles_and_is_of_one_card_only(store: Store) -> None:
    shop = Shop(store)
    other, pin = shop.sold("GIFT", 100)
    shop.fail(5)
    assert shop.check(pin=shop.pin, client="bob") is LATER
    assert shop.check(other, pin, client="ann").said is Said.FOUND
    shop.time.now += 900
    assert shop.check(pin=shop.pin, client="bob").said is Said.FOUND  # and locks nobody out
    assert shop.check(pin=shop.pin, client="bob").said is Said.FOUND
    shop.fail(1)
    shop.time.now += 900
    assert shop.check(pin=shop.pin) is LATER
    shop.time.now += 900
    assert shop.check(pin=shop.pin).said is Said.FOUND


def test_a_success_does_not_wash_failures_away(store: Store) -> None:
    shop = Shop(store, attrs.evolve(PLAIN, card=MANY, client=SOME))
    other, pin = shop.sold("GIFT", 100)
    for _ in range(4):
        shop.fail(1)
        assert shop.check(other, pin).said is Said.FOUND
    shop.fail(1)
    assert shop.check(other, pin) is LATER


def test_a_number_written_otherwise_is_the_same_card(store: Store) -> None:
    shop = Shop(store)
    for written in ("00{}", "{} ", "-{}-", " 0 {}", "{}"):
        assert shop.check(written.format(shop.number), shop.wrong) is NOT_FOUND
    assert shop.check(pin=shop.pin) is LATER


def test_a_client_that_goes_through_many_cards_is_locked_out_and_nobody_else(store: Store) -> None:
    shop = Shop(store, attrs.evolve(PLAIN, client=attrs.evolve(SOME, failures=8)))
    said = [shop.check(f"4831{number:011}", "1234") for number in range(20)]
    assert said == [NOT_FOUND] * 8 + [LATER] * 12
    assert len(shop.wire.asked) == 8
    assert shop.check(pin=shop.pin) is LATER
    assert shop.check(pin=shop.pin, client="bob").said is Said.FOUND


def test_successful_checks_are_throttled_too(store: Store) -> None:
    few = attrs.evolve(SOME, checks=3, window=300.0)
    for settings in (attrs.evolve(PLAIN, card=few), attrs.evolve(PLAIN, client=few)):
        shop = Shop(store, settings, key=f"{KEY} {settings.card.checks}")
        assert [shop.check(pin=shop.pin).said for _ in range(4)] == [Said.FOUND] * 3 + [Said.LATER]
        shop.time.now += 100
        assert [shop.check(pin=shop.pin).said for _ in range(2)] == [Said.FOUND, Said.LATER]


def test_a_card_that_is_locked_costs_its_client_no_failure(store: Store) -> None:
    shop = Shop(store, attrs.evolve(PLAIN, client=attrs.evolve(SOME, failures=6)))
    shop.fail(5)
    assert [shop.check(pin=shop.pin) for _ in range(9)] == [LATER] * 9
    assert shop.check("4831", "1") is NOT_FOUND


def test_a_provider_out_of_reach_locks_nobody_out_but_an_unread_answer_was_a_guess(store: Store) -> None:
    shop = Shop(store, attrs.evolve(PLAIN, client=SOME))
    shop.wire.down = True
    assert [shop.check(pin=shop.wrong) for _ in range(20)] == [UNAVAILABLE] * 20
    shop.wire.down, shop.wire.fault = False, "lost_after"
    assert [shop.check(pin=shop.wrong) for _ in range(7)] == [UNAVAILABLE] * 5 + [LATER] * 2
    shop.wire.fault = "none"
    assert shop.check("4831", "1") is NOT_FOUND  # the client is not locked out


OTHER_PROCESS = """
import sys
from tallystick.definition import reader
from tallystick.books.balance import BalanceDesk
from tallystick.engine.engine import Engine
from tallystick.provider.local import LocalProvider
from tallystick.store import open_store
path, now, *numbers = sys.argv[1:]
desk = BalanceDesk(Engine(reader.load(), open_store(path), LocalProvider()), "USD",
                   clock=lambda: float(now), sleep=lambda seconds: None)
print(*(desk.check(number, client="there").said for number in numbers))
"""


def test_processes_share_lockouts_and_the_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALLYSTICK_KEY", raising=False)
    desk, books = local(SqliteStore(path), BalanceSettings(answer_every=0.0), key=None)
    sold = books.sell_electronic("c1", "50.00", "USD", order="o", key="sell").number or ""
    assert [desk.check("4831000000000281", client="here") for _ in range(2)] == [NOT_FOUND] * 2
    there = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, str(path), str(START), *["4831000000000281"] * 4, sold],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert there.stdout.split() == ["not_found"] * 3 + ["later", "found"], there.stderr
    assert desk.check("4831000000000281", client="here") is LATER
    assert desk.check(sold, client="here").said is Said.FOUND


def test_two_desks_on_one_file_share_what_they_know(path: Path) -> None:
    first, _ = local(SqliteStore(path))
    second, _ = local(SqliteStore(path))
    said = [desk.check("4831", client="ann") for desk in (first, second) * 3]
    assert said == [NOT_FOUND] * 5 + [LATER]


# --- Captcha


def test_a_captcha_is_asked_for_after_some_failures_of_a_client(store: Store) -> None:
    solved: list[tuple[str, str]] = []

    def verify(client: str, token: str) -> bool:
        solved.append((client, token))
        if token == "broken":
            raise OSError("the verifier cannot be reached: key 6L-secret")
        return token == "right"

    settings = attrs.evolve(PLAIN, captcha_after=3, client=attrs.evolve(SOME, failures=100))
    shop = Shop(store, settings, verify_captcha=verify)
    shop.fail(3)
    asked = len(shop.wire.asked)
    assert [shop.check(pin=shop.pin, captcha=token) for token in (None, "", "wrong", "broken")] == [CAPTCHA_NEEDED] * 4
    assert len(shop.wire.asked) == asked
    assert shop.check(pin=shop.pin, captcha="right").said is Said.FOUND
    assert solved == [("ann", "wrong"), ("ann", "broken"), ("ann", "right")]
    assert shop.check(pin=shop.pin, client="bob").said is Said.FOUND
    shop.time.now += 10_800
    assert shop.check(pin=shop.pin).said is Said.CAPTCHA_NEEDED  # part of the third is still remembered
    shop.time.now += 10_800
    assert shop.check(pin=shop.pin).said is Said.FOUND


def test_a_captcha_can_be_asked_for_always(store: Store) -> None:
    settings = attrs.evolve(PLAIN, captcha_after=0)
    shop = Shop(store, settings, verify_captcha=lambda client, token: token == "right")
    assert shop.check(pin=shop.pin) is CAPTCHA_NEEDED
    assert shop.check(pin=shop.pin, captcha="right").said is Said.FOUND


# --- Our books


def available(shop: Shop, id: str) -> Money:
    return Books(shop.engine).card(id).available


def test_a_card_first_seen_enters_our_books_if_wanted(store: Store) -> None:
    shop = Shop(store, attrs.evolve(PLAIN, recognize="physical"))
    shop.fail(1)
    assert Books(shop.engine).find(shop.number) is None
    first = shop.check(pin=shop.pin)
    again = shop.check(pin=shop.pin)
    assert first == again
    card = Books(shop.engine).card(first.card or "")
    assert (card.available, card.number, card.form, card.state) == (usd("30.00"), shop.number, "physical", "issued")
    assert shop.number not in (first.card or "")
    assert Books(shop.engine).verify().findings == ()


def test_two_who_see_a_card_at_once_make_one_of_it(store: Store) -> None:
    shop = Shop(store, attrs.evolve(PLAIN, recognize="physical"))
    told = shop.provider.balance(CardFacts("", "USD", shop.number), shop.pin)
    hashed = shop.desk._hashed("card", shop.number)
    first = shop.desk._noted(shop.number, hashed, None, told)
    shop.sandbox.spend_elsewhere(shop.number, 500)
    told = shop.provider.balance(CardFacts("", "USD", shop.number), shop.pin)
    assert shop.desk._noted(shop.number, hashed, None, told) in (first, None)
    assert available(shop, first or "") == usd("30.00")


def test_a_known_card_is_observed_if_wanted(store: Store) -> None:
    shop = Shop(store, attrs.evolve(PLAIN, recognize="electronic"))
    id = shop.check(pin=shop.pin).card or ""
    shop.sandbox.spend_elsewhere(shop.number, 500)
    assert shop.check(pin=shop.pin).available == usd("25.00")
    assert available(shop, id) == usd("30.00")
    shop.desk = shop.opened(attrs.evolve(PLAIN, observe=True))
    for _ in range(2):
        assert shop.check(pin=shop.pin).card == id
        assert available(shop, id) == usd("25.00")
    assert len(Books(shop.engine).history("gift_card", id)) == 3  # created, recognized, observed once
    assert Books(shop.engine).verify().findings == ()


def test_a_balance_older_than_our_books_is_not_observed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the provider's answer is on its way, an order takes money: the answer is of before."""
    shop = Shop(store, attrs.evolve(PLAIN, recognize="electronic", observe=True))
    id = shop.check(pin=shop.pin).card or ""
    read = shop.provider.balance

    def slow(card: CardFacts, pin: str | None = None) -> object:
        told = read(card, pin)
        Books(shop.engine).redeem("p", id, "10.00", order="o", key="redeem", pin=shop.pin)
        return told

    monkeypatch.setattr(shop.provider, "balance", slow)
    assert shop.check(pin=shop.pin).available == usd("30.00")
    assert available(shop, id) == usd("20.00")


# --- Secrets


def test_no_pin_no_number_and_no_client_is_left_behind(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("TALLYSTICK_KEY", "the key of this shop, from its environment")
    store = SqliteStore(path)
    store.machines(MACHINES)
    settings = attrs.evolve(PLAIN, client=SOME, captcha_after=2)
    shop = Shop(store, settings, key=None, verify_captcha=lambda client, token: token == "captcha-8642")
    said = []
    for fault in ("none", "lost_after", "broken_json"):
        shop.wire.fault = fault
        pins = (shop.pin, "9753864")
        said += [shop.check(pin=pin, client="client-10.1.2.3", captcha="captcha-8642") for pin in pins]
    shop.wire.fault = "none"
    said += [shop.check("4831999999990281", "9753864", client="client-10.1.2.3") for _ in range(9)]
    assert {each.said for each in said} >= {Said.FOUND, Said.NOT_FOUND, Said.CAPTCHA_NEEDED, Said.UNAVAILABLE}
    left = [caplog.text, repr(said), repr(shop.desk), repr(shop.desk.settings)]
    left += [each.read_bytes().decode("latin-1") for each in path.parent.glob("books.db*")]
    store.close()
    everything = "\n".join([*left, path.read_bytes().decode("latin-1")])
    assert "client:" in everything
    assert "card:" in everything
    secrets = [shop.number, "9753864", "4831999999990281", "10.1.2.3", "captcha-8642", "the key of this shop"]
    assert [each for each in secrets if each in everything] == []
    shared = SqliteStore(path).reading()
    with shared as reading:
        rows = reading._cursor.execute("SELECT name, value FROM shared").fetchall()
    assert {name.partition(":")[0] for name, _ in rows} == {"client", "card"}  # the key is not in it
    numbers = [each for _, value in rows for each in json.loads(value)]
    assert all(isinstance(each, (int, float)) for each in numbers)


def test_the_hash_depends_on_the_key(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("TALLYSTICK_KEY", raising=False)
    one, _ = local(store, key=None)
    assert "TALLYSTICK_KEY is not set" in caplog.text
    two, _ = local(store, key=None)
    monkeypatch.setenv("TALLYSTICK_KEY", "x" * 32)
    three, _ = local(store, key=None)
    hashes = [each._hashed("card", "4831") for each in (one, two, three)]
    assert hashes[0] == hashes[1] != hashes[2]
    monkeypatch.setenv("TALLYSTICK_KEY", "short-secret")
    with pytest.raises(Invalid) as caught:
        local(store, key=None)
    assert "short-secret" not in str(caught.value)


def test_a_provider_that_tells_no_balances_is_refused(store: Store) -> None:
    class Deaf:
        name, local = "deaf", False

        def perform(self, call: Call) -> Outcome:
            return Outcome(Result.UNKNOWN)

        def look_up(self, call: Call) -> Outcome:
            return Outcome(Result.UNKNOWN)

    provider: Provider = Deaf()
    with pytest.raises(Invalid, match="tells no balances"):
        BalanceDesk(Engine(MACHINES, store, provider), "USD", key=KEY)


def test_what_is_over_is_dropped(store: Store) -> None:
    desk, _ = local(store, attrs.evolve(PLAIN, client=attrs.evolve(SOME, failures=10**6)))
    time = desk._clock
    assert isinstance(time, Time)
    for number in range(20):
        desk.check(f"4831{number}", client="ann")
    names = [desk._hashed("card", f"4831{number}") for number in range(20)]
    assert all(store.load(name) for name in names)
    time.now += 21_600 + 3600
    desk.check("4831", client="bob")
    assert [store.load(name) for name in names] == [None] * 20
    assert store.load(desk._hashed("client", "ann")) is not None  # its twenty failures last longer


# --- The store


def test_a_shared_text_is_swapped_only_by_who_knows_it(store: Store) -> None:
    assert store.load("x") is None
    assert not store.swap("x", "1", "2")
    assert store.swap("x", None, "1")
    assert not store.swap("x", None, "2")
    assert not store.swap("x", "2", "3")
    assert store.swap("x", "1", "1")
    assert store.swap("x", "1", "2", until=50.0)
    assert (store.load("x"), store.load("y")) == ("2", None)
    assert store.swap("y", None, "kept")
    store.forget(50.0)
    assert store.load("x") == "2"
    store.forget(50.1)
    assert (store.load("x"), store.load("y")) == (None, "kept")


def test_threads_swap_one_after_the_other(store: Store) -> None:
    def add(times: int = 25) -> None:
        for _ in range(times):
            while not store.swap("n", text := store.load("n"), str(int(text or "0") + 1)):
                pass

    threads = [threading.Thread(target=add) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert store.load("n") == "100"


def altered(store: SqliteStore, *statements: str) -> None:
    store.run(lambda transaction: [transaction._cursor.execute(each) for each in statements])


def test_a_file_of_before_gets_the_table_when_it_is_opened(path: Path) -> None:
    old = SqliteStore(path)
    old.machines(MACHINES)
    altered(old, "DROP TABLE shared", "DELETE FROM _sqlite_migrations WHERE name = 'guard'")
    old.close()
    new = SqliteStore(path)
    with pytest.raises(StoreError):
        new.load("x")
    new.machines(MACHINES)
    assert new.swap("x", None, "1")
    new.close()


def test_somebody_elses_table_is_not_touched(path: Path) -> None:
    store = SqliteStore(path)
    store.machines(MACHINES)
    altered(
        store, "DROP TABLE shared", "DELETE FROM _sqlite_migrations WHERE name = 'guard'",
        "CREATE TABLE shared (theirs TEXT)",
    )  # fmt: skip
    store.close()
    with pytest.raises(StoreError, match="'shared' already that is not ours"):
        SqliteStore(path).machines(MACHINES)


# --- What a fleet shares


def test_a_fleet_shares_breaker_and_bucket(store: Store) -> None:
    shop = Shop(store)
    down = CardFacts("", "USD", shop.number)

    def member() -> ClutchProvider:
        bucket = LeakyBucket(1.0, 3, cell=StoreCell(store, "clutch/bucket", Bucket()), clock=shop.time)
        breaker = CircuitBreaker(3, 30.0, cell=StoreCell(store, "clutch/circuit", Circuit()), clock=shop.time)
        return ClutchProvider(
            shop.clutch, shop.wire, clock=shop.moment, sleep=shop.time.sleep, bucket=bucket, breaker=breaker
        )

    def ask(provider: ClutchProvider) -> str:
        try:
            return str(provider.balance(down, shop.pin).available)
        except Exception as error:
            return str(error)

    one, two = member(), member()
    shop.wire.down = True
    assert all("not reached" in ask(each) for each in (one, two, one))
    shop.wire.down = False
    assert "so many failures" in ask(one)
    assert "so many failures" in ask(two)
    shop.time.now += 30
    assert (ask(two), ask(one)) == ("3000", "3000")
    waits = [each.turn(1.5) for each in (one._bucket, two._bucket, one._bucket, two._bucket)]
    assert waits == [0.0, pytest.approx(1.0), None, None]


def test_a_store_out_of_reach_loses_no_answer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = StoreCell(SqliteStore(path), "clutch/circuit", Circuit())  # without tables
    breaker = CircuitBreaker(2, 30.0, cell=cell, clock=lambda: START)
    breaker.tell(well=False)
    assert breaker.admits()
    breaker.tell(well=False)
    assert not breaker.admits()


def test_a_cell_is_swapped_only_by_who_knows_it(store: Store) -> None:
    def cell() -> StoreCell[Circuit]:
        return StoreCell(store, "c", Circuit())

    one, two = cell(), cell()
    assert one.load() == two.load() == Circuit()
    assert one.swap(Circuit(), Circuit(1, 2.5))
    assert not two.swap(Circuit(), Circuit(7))
    assert two.load() == Circuit(1, 2.5)
    assert two.swap(Circuit(1, 2.5), Circuit())
    assert one.swap(Circuit(), Circuit(3))
    assert cell().load() == Circuit(3)


def test_the_settings_page_has_every_setting_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/balance-checks.md").read_text(encoding="utf-8")
    defaults: Callable[[str], object] = lambda name: getattr(BalanceSettings(), name)  # noqa: E731
    for name in ("captcha_after", "answer_every", "observe", "recognize"):
        assert f"| `{name}` | {defaults(name)} |" in page
    card, client = BalanceSettings().card, BalanceSettings().client
    for field in attrs.fields(Limit):
        assert f"| `{field.name}` | {getattr(card, field.name)} | {getattr(client, field.name)} |" in page
