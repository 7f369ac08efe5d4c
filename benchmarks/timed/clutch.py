"""A payment redeemed at Clutch over HTTP, against httpcore and sqlite3 by hand, with the same rows.

The sandbox runs in a process of its own. What counts is the processor time of the client: its books and its HTTP.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import tallystick
from benchmarks.measure import Contestant, Result, Run
from benchmarks.opponents.by_hand_clutch import Books as ByHand
from benchmarks.rivals import ONE
from tallystick.books.books import Books
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.settings import ClutchSettings

CARDS, EACH = 20, 20


def redeem(run: Run) -> Result:
    with _sandbox() as known, run.scratch() as folder:
        ours, theirs = folder / "ours.db", folder / "theirs.db"
        with _opened(ours, known) as books:
            for i in range(CARDS):
                books.sell_electronic(f"card-{i}", "2000.00", "USD", order="o", key=f"sale-{i}")
        shutil.copy(ours, theirs)
        with _opened(ours, known) as mine, _opened(theirs, known) as maker, closing(ByHand(str(theirs), known)) as hand:

            def by_us(id: str) -> None:
                mine.engine.execute("payment", id, "redeem", {"amount": ONE}, key=f"{id}/r", by="bench")

            def by_hand(id: str) -> None:
                hand.redeem(id, 100, f"{id}/r")

            result = run.compare(_redeeming(mine, by_us), _redeeming(maker, by_hand))
            for each in (mine, maker):
                found = each.verify().findings
                assert not found, found[:3]
    return result


def _redeeming(books: Books, redeem: Callable[[str], None]) -> Contestant:
    """Payments are created before the clock starts."""
    ids = count()

    def ready() -> Callable[[], int]:
        payments = [f"p{next(ids)}" for _ in range(EACH)]
        for i, id in enumerate(payments):
            created = {"order": "o", "card": f"card-{i % CARDS}", "currency": "USD"}
            books.engine.execute("payment", id, "create", created, key=id)

        def work() -> int:
            for id in payments:
                redeem(id)
            return EACH

        return work

    return ready


@contextmanager
def _sandbox() -> Iterator[Mapping[str, str]]:
    """Clutch in a process of its own, and what a client has to know of it."""
    served = subprocess.Popen(
        [sys.executable, "-m", "tallystick.clutch.sandbox", "--port", "0", "--card-set", f"GIFT:{CARDS}"],
        stdout=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    try:
        assert served.stdout is not None
        yield json.loads(served.stdout.readline())
    finally:
        served.terminate()
        served.wait(10)
        if served.stdout:
            served.stdout.close()


def _opened(path: Path, known: Mapping[str, str]) -> Books:
    settings = ClutchSettings(
        base_url=known["url"], api_key=known["api_key"], api_secret=known["api_secret"], brand=known["brand"],
        location=known["location"], terminal=known["terminal"], rate=1e6, burst=10**6, card_sets={"gift": "GIFT"},
    )  # fmt: skip
    return tallystick.open(str(path), provider=ClutchProvider(settings))
