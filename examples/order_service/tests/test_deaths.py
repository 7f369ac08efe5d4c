"""Processes die at any moment. What is left is gone on with, and in the end the orders and the books agree.

The first test dies in one process, by an exception that nobody catches: before and after each verb of the books, each
commit of the service, and each request to Clutch. Its clock is its own. So it is the same each time. The other test
has real processes that get a SIGKILL.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import event

from order_service import compare, customers, worker
from order_service.checkout import Typed
from order_service.database import Shop, open_shop
from order_service.models import Checkout
from order_service.simulate import FAULTS, RECORD, decide, simulate
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.sandbox import CardSet, Sandbox
from tallystick.clutch.settings import ClutchSettings
from tallystick.clutch.transport import Answer, InProcess

VERBS = {"authorize_all", "sell_electronic", "ship_physical", "settle", "cancel", "refund", "refund_to_new", "redeem",
         "void", "send", "suspend", "replace", "run_due", "recover"}  # fmt: skip


class Killed(BaseException):
    """The process is gone."""


class Mortal:
    """The books, for a process that may die before and after each verb."""

    def __init__(self, books: Any, may_die: Callable[[], None]) -> None:
        self._books, self._may_die = books, may_die

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._books, name)
        return self._dying(found) if name in VERBS else found

    def _dying(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        def said(*args: Any, **more: Any) -> Any:
            self._may_die()
            answer = verb(*args, **more)
            self._may_die()
            return answer

        return said


def mortal(shop: Shop, may_die: Callable[[], None]) -> Shop:
    """The same shop in a process that may die. A commit of the service, too, may be the last thing, or not happen."""
    engine = shop.sessions.kw["bind"]
    event.listen(engine, "commit", lambda _: may_die())
    event.listen(shop.sessions, "after_commit", lambda _: may_die())
    return replace(shop, books=Mortal(shop.books, may_die))  # type: ignore[arg-type]


@dataclass
class Clock:
    """Time that goes by when it is told to."""

    now: float = 1772452800.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self(), timezone.utc)

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


class Line:
    """The line to a sandbox in this process. A process may die before it has sent, and before it has an answer."""

    def __init__(self, sandbox: Sandbox, may_die: Callable[[], None]) -> None:
        self._line, self._may_die = InProcess(sandbox), may_die

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self._may_die()
        answer = self._line.send(method, headers, body)
        self._may_die()
        return answer

    def close(self) -> None: ...


def clutch(sandbox: Sandbox, clock: Clock, may_die: Callable[[], None]) -> ClutchProvider:
    known = sandbox.credentials
    settings = ClutchSettings(
        base_url="http://localhost", api_key=known.api_key, api_secret=known.api_secret, brand=known.brand,
        location=known.location, terminal=known.terminal, card_sets={"gift": "E", "merchandise_credit": "E"},
        rate=1e6, burst=10**6, breaker_failures=10**6, read_attempts=8, share_limits=False,
    )  # fmt: skip
    return ClutchProvider(settings, Line(sandbox, may_die), clock=clock.utc, sleep=clock.pass_by)


SEEDS = [("local", 1), ("local", 5), ("clutch", 3), ("clutch", 5)]
SLOW = [pytest.param("clutch", seed, marks=pytest.mark.slow) for seed in (*range(100, 110), 296, 365)]


@pytest.mark.parametrize(("name", "seed"), [*SEEDS, *SLOW])
def test_orders_books_and_provider_agree_though_processes_die_between_any_two_steps(
    name: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, chance, deaths, alive = Clock(), Random(seed), 0, True
    monkeypatch.setattr(time, "time", clock)
    monkeypatch.setattr(random, "shuffle", lambda _: None)

    def may_die() -> None:
        nonlocal deaths
        if alive and chance.random() < 0.02:
            deaths += 1
            raise Killed

    record, physical = tmp_path / RECORD, CardSet(5, physical=True)
    sandbox = Sandbox(card_sets={"E": 99, "P": physical}, seed=seed, state=record, faults=FAULTS, clock=clock)
    provider = clutch(sandbox, clock, may_die) if name == "clutch" else "local"
    plastic = [Typed(number, sandbox.pin(number)) for number in sandbox.inventory("P")]
    with sandbox, closing(open_shop(tmp_path, provider, lease=0.0)) as shop:
        dying = mortal(shop, may_die)

        def others_work() -> None:
            clock.pass_by(70)
            worker.run_once(dying)
            decide(shop, record)

        while alive:
            try:
                customers.tell(dying, seed, 1 if seed < 100 else 2, plastic, others_work)
                alive = False
            except Killed:
                continue
        for _ in range(8):
            clock.pass_by(400)
            worker.run_once(shop)
            decide(shop, record)
        assert (compare.unfinished(shop), bool(shop.books.stuck())) == ([], False)
        assert list(compare.differences(shop)) == []
        with shop.read() as session:
            assert session.query(Checkout).count() >= 4
    assert deaths or seed >= 100


@pytest.mark.slow
@pytest.mark.parametrize("provider", ["local", "clutch"])
def test_orders_books_and_provider_agree_after_real_kills(
    provider: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(tmp_path, seed=5, customers=6, kills=15, provider=provider) == []
    told = capsys.readouterr().out
    assert "kills:" in told
    assert all(each in told for each in ("settlement", "reversal", "refund", "redemption"))
