"""Books for the pictures of the board: the voucher orders, told to a sandbox of Clutch at the moments they happened.

    python docs/board_books.py books.db      makes them, and says what is in them

Nothing in them is real: the orders are those of `examples/voucher_orders/sample`. Everything has its own moment in
March, April and May 2026, and the books are looked at on 5 May 2026 at noon (`NOW`). As in any shop, some of it went
wrong: cards were used in other channels, answers were lost, a hold was released in the portal.
"""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import count
from pathlib import Path
from random import Random

from tallystick import Books, Engine
from tallystick.cli.commands.json_lines import Summary, run_lines
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.request_limits import CircuitBreaker, LeakyBucket
from tallystick.clutch.sandbox import Sandbox, Settings, ValueType
from tallystick.clutch.settings import ClutchSettings
from tallystick.clutch.transport import Answer, InProcess
from tallystick.definition import reader
from tallystick.definition.machine import Machines
from tallystick.engine.sealing import MaskedNumbers
from tallystick.money import to_text
from tallystick.provider.local import LocalProvider
from tallystick.store.open import open_store

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "voucher_orders"
NOW = datetime(2026, 5, 5, 12, 0, tzinfo=timezone.utc)
READING = ("search", "cardHistory")
SHORT = {4: "25.00", 9: "999.00", 15: "7.50"}  # the n-th advanced hold: what another channel takes before it


class Way:
    """The way to the sandbox: what shall go wrong with the next change, and whether the record can be read."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = InProcess(sandbox)
        self._again: Mapping[str, bytes] = {}
        self.fault, self.readable, self.advanced = "", True, 0

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if method in READING:
            fault = "none" if self.readable else "lost_before"
        else:
            fault, self.fault = self.fault or "none", ""
            asked = json.loads(body)
            if asked.get("action") == "hold" and asked["cardNumber"] in self._again:
                self.advanced += 1
                taken = self._carries(headers, asked["cardNumber"], SHORT.get(self.advanced, ""))
                fault = f"other_channel:{taken}" if taken else fault
            if asked.get("action") == "hold":
                self._again = {**self._again, asked["cardNumber"]: b""}
        return self._inner.send(method, {**headers, "x-sandbox-fault": fault}, body)

    def _carries(self, headers: Mapping[str, str], number: str, most: str) -> str:
        """What another channel can take of a card, up to this."""
        if not most:
            return ""
        body = json.dumps({"filters": {"cardNumber": number}, "returnFields": {"balances": True}}).encode()
        found = json.loads(self._inner.send("search", {**headers, "x-sandbox-fault": "none"}, body).body)
        there = [each["amount"] for card in found["cards"] for each in card["balances"] if not each["isHold"]]
        return f"{min(float(most), *there):.2f}" if there else ""

    def close(self) -> None: ...


def make(url: str, orders: Path = EXAMPLE / "sample") -> Books:
    """Make the books at `url`, and open them to be looked at, at noon of 5 May 2026."""
    example = runpy.run_path(str(EXAMPLE / "orders.py"))
    told = example["events"](example["read"](orders))
    moment = [told[0].at.replace(tzinfo=timezone.utc) - timedelta(hours=1)]
    brl = ValueType("Currency", "BRL", 2)
    sandbox = Sandbox(
        Settings(value_types=(brl,)), {example["CARD_SET"]: 2 * len(told)}, seed=1, clock=lambda: moment[0].timestamp()
    )
    way, known = Way(sandbox), sandbox.credentials
    settings = ClutchSettings(
        base_url="http://127.0.0.1:1", api_key=known.api_key, api_secret=known.api_secret, brand=known.brand,
        location=known.location, terminal=known.terminal, rate=1e6, burst=10**6, read_pause=0.0,
    )  # fmt: skip
    seconds = lambda: moment[0].timestamp()  # noqa: E731
    provider = ClutchProvider(
        settings, way, clock=lambda: moment[0], sleep=lambda seconds: None,
        bucket=LeakyBucket(1e6, 10**6, clock=seconds), breaker=CircuitBreaker(10**6, 30.0, clock=seconds),
    )  # fmt: skip
    ids = count(1)
    store = open_store(url)
    engine = Engine(
        reader.load(), store, provider, clock=lambda: moment[0], ids=lambda: f"call-{next(ids):05}", random=Random(1)
    )
    for event in told:
        moment[0] = max(event.at.replace(tzinfo=timezone.utc), moment[0] + timedelta(milliseconds=1))
        say(engine, event.line)
    trouble(engine, sandbox, way, moment)
    assert Books(engine).verify().clean  # the books keep that they were found clean
    store.close()
    return look(url)


def look(url: str) -> Books:
    """The books as they stand at noon of 5 May 2026, to be read only."""
    store = open_store(url, read_only=True)
    return Books(Engine(Machines([]), store, LocalProvider(), clock=lambda: NOW, numbers=MaskedNumbers()))


def say(engine: Engine, line: str | Mapping[str, object]) -> str:
    """One line for `tallystick run`; how it ended."""
    text = line if isinstance(line, str) else json.dumps(line)
    (answer,) = run_lines(engine, [text.encode()], Summary())
    return str(answer["result"])


def trouble(engine: Engine, sandbox: Sandbox, way: Way, moment: list[datetime]) -> None:
    """What went wrong in the last days."""

    def at(**ago: float) -> None:
        moment[0] = NOW - timedelta(**ago)

    def payment(id: str, card: str, amount: str) -> str:
        facts = {"order": id.rpartition("/")[0], "card": card, "currency": "BRL"}
        say(engine, {"key": f"{id}/create", "machine": "payment", "id": id, "command": "create", "args": facts})
        return say(engine, {"key": f"{id}/authorize", "machine": "payment", "id": id, "command": "authorize",
                            "args": {"amount": amount}, "by": "checkout"})  # fmt: skip

    with engine.store.reading() as reading:
        cards = sorted(
            (
                each
                for each in reading.all("gift_card")
                if each.accounts["available"] >= 3000 and each.state == "issued"
            ),
            key=lambda card: (-card.accounts["available"], card.id),
        )
    first, second, third, fourth = (card.id for card in cards[:4])
    all_of_it = to_text(cards[1].accounts["available"], "BRL")

    at(days=2, hours=3)  # the hold of an order is released in the portal, and then the order ships
    assert payment("mkt-9001/1", first, "30.00") == "applied"
    with engine.store.reading() as reading:
        held, card = reading.entity("payment", "mkt-9001/1"), reading.entity("gift_card", first)
    assert held is not None
    assert card is not None
    sandbox.post("updateBalance", {
        "cardNumber": card.facts["number"], "action": "redeem", "releaseHoldRemainder": True,
        "redeemFromHoldTransactionId": held.facts["hold_id"],
        "amount": {"balanceType": "Currency", "balanceCode": "BRL", "amount": Decimal("30.00")},
    })  # fmt: skip
    at(days=2, hours=1)
    say(engine, {"key": "mkt-9001/1/settle-1", "machine": "payment", "id": "mkt-9001/1", "command": "settle",
                 "args": {"amount": "30.00", "last": True}, "by": "seller 3",
                 "due": "2026-05-03T11:30:00Z"})  # fmt: skip
    at(days=2)
    engine.run_due()

    at(days=1, hours=2)  # another channel was faster
    way.fault = "other_channel:25.00"
    payment("mkt-9002/1", second, all_of_it)

    at(hours=6)  # to be settled tomorrow
    assert payment("mkt-9003/1", third, "12.50") == "applied"
    say(engine, {"key": "mkt-9003/1/settle-1", "machine": "payment", "id": "mkt-9003/1", "command": "settle",
                 "args": {"amount": "12.50", "last": True}, "by": "seller 2",
                 "due": "2026-05-06T06:00:00Z"})  # fmt: skip

    at(hours=3)  # an answer was lost, and since then the record cannot be read
    way.readable, way.fault = False, "lost_after"
    payment("mkt-9004/1", fourth, "20.00")

    at(seconds=20)  # and one just now
    way.fault = "lost_after"
    payment("mkt-9005/1", third, "15.00")


if __name__ == "__main__":
    with make(f"sqlite:///{sys.argv[1]}") as books:
        print(books.verify())
        print(books.stuck().totals)
