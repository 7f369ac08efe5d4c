"""Processes die at any moment. What is left is gone on with, and in the end the orders and the books agree.

The first test dies in one process, by an exception that nobody catches: before and after each verb of the books and
each commit of the service. So it is the same each time. The others are real processes that get a SIGKILL.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import event

from order_service import compare, customers, worker
from order_service.checkout import Typed
from order_service.database import Shop
from order_service.models import Checkout, Transaction
from order_service.simulate import simulate

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


def lives(shop: Shop, chance: Random, often: float, seed: int, count: int) -> int:
    """Tell the stories, and let workers work, until all is told. How often somebody died."""
    deaths, living = 0, True

    def may_die() -> None:
        nonlocal deaths
        if living and chance.random() < often:
            deaths += 1
            raise Killed

    dying, plastic = mortal(shop, may_die), [Typed(f"60064900{number:08}") for number in range(count)]
    while living:
        try:
            customers.tell(dying, seed, count, plastic, lambda: worker.run_once(dying, timedelta(0)))
            living = False
        except Killed:
            continue
    return deaths


FEW = [(seed, 1, 0.02) for seed in (1, 2, 3, 5)]
MANY = [pytest.param(seed, 3, 0.02, marks=pytest.mark.slow) for seed in range(10, 20)]


@pytest.mark.parametrize(("seed", "count", "often"), [*FEW, *MANY])
def test_orders_and_books_agree_though_processes_die_between_any_two_steps(
    shop: Shop, seed: int, count: int, often: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", iter(range(0, 10**9, 10)).__next__)  # nobody waits
    deaths = lives(shop, Random(seed), often, seed, count)
    for _ in range(5):
        worker.run_once(shop, timedelta(0))
    assert (compare.unfinished(shop), list(compare.differences(shop))) == ([], [])
    with shop.read() as session:
        assert deaths >= 4
        assert session.query(Checkout).count() >= 6
        assert session.query(Transaction).filter_by(type="settlement", state="closed").count() >= 5


@pytest.mark.slow
@pytest.mark.parametrize("provider", ["local", "clutch"])
def test_orders_books_and_provider_agree_after_real_kills(
    provider: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(tmp_path, seed=5, customers=6, kills=15, provider=provider) == []
    told = capsys.readouterr().out
    assert "kills:" in told
    assert all(each in told for each in ("settlement", "reversal", "refund", "redemption"))
