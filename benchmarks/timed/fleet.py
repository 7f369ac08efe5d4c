"""Commands that are due, with a remote provider that takes its time: 16 workers against one.

The provider is a pause of 50 ms and a yes. 10,000 commands wait for 200 cards, 50 for each, whose order has to be kept.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import datetime, timedelta, timezone

import attrs

from benchmarks.measure import Contestant, Result, Run
from tallystick import Engine, Money, load
from tallystick.engine.receipt import Command
from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome
from tallystick.provider.protocol import Result as Answered
from tallystick.store.sqlite import SqliteStore

WORKERS, CARDS, DUE = 16, 200, 10_000
LATENCY = 0.05


@attrs.frozen
class Slow:
    """A provider somewhere else, which says yes to everything."""

    latency: float
    name: str = "slow"
    local: bool = False
    abilities: Collection[str] = ()

    def perform(self, call: Call) -> Outcome:
        time.sleep(self.latency)
        return Outcome(Answered.CONFIRMED, reference=call.id)

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        return NotSeen("it was not asked")


def due(run: Run) -> Result:
    cards, commands = run.sized(CARDS, 32), run.sized(DUE, 192)
    with run.scratch() as folder:
        store = SqliteStore(folder / "books.db")
        _filled(Engine(load(), store, Slow(0.0)), cards, commands)
        engine = Engine(load(), store, Slow(LATENCY))

        def drained(limit: int, workers: int) -> Contestant:
            def work() -> int:
                receipts = engine.run_due(limit, workers)
                assert len(receipts) == limit
                assert all(receipt.applied for receipt in receipts)
                return limit

            return lambda: work

        result = run.compare(drained(run.sized(1000, 32), WORKERS), drained(run.sized(20, 4), 1), waits=True)
        store.close()
    return result


def _filled(engine: Engine, cards: int, commands: int) -> None:
    """Cards in use, and commands on them that are due, in an order that has nothing to do with the cards."""
    ids = [f"card-{i}" for i in range(cards)]
    for id in ids:
        for command, args in (("create", {"form": "electronic", "currency": "USD"}),
                              ("recognize", {"number": id, "balance": Money(10**9, "USD")})):  # fmt: skip
            engine.try_execute(Command("gift_card", id, command, args, f"{id}/{command}")).or_raise()
    was = datetime.now(timezone.utc) - timedelta(days=1)
    for i in range(commands):
        due = was + timedelta(seconds=i)
        args = {"amount": Money(100, "USD")}
        engine.execute("gift_card", ids[i % cards], "redeem", args, key=f"due-{i:06}", due=due)
