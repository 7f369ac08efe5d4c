"""Workers settle what is due at a sandbox over HTTP that has faults, while one of them is killed every second.

    python tests/helpers/fleet_proof.py --cards 200 --due 10000 --workers 4 [--driver procrastinate]

Then both halves are read: the books, and the sandbox's own. Each settlement has an amount of its own on its card, 1
minor unit, 2, 3 …, in the order in which they are due. So what was done twice, not at all or out of order shows.

What was surely not done (HTTP 429, or a look-up that finds nothing) is put off: it gets a later time, and what was due
after it goes first. So the order of a card is that of the last times of its commands.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs

import tallystick
from fleet_drivers import DRIVERS, Driver
from tallystick.books.books import Books
from tallystick.engine.engine import utc_now
from tallystick.money import to_text
from tallystick.store.rows import CallRow
from tallystick.testing.faults.child_process import KILLED, start_child, wait_for_child

FAULTS = (
    "lost_before=0.01,lost_after=0.01,500_before=0.005,500_after=0.005,429=0.005,broken_json=0.005,truncated=0.005,"
    "slow=0.01:100ms"
)
SEED = 7
# The sandbox answers as quickly as it can, and its record shows everything at once.
CLUTCH = {
    "CLUTCH_ALLOW_PLAIN_HTTP": "yes", "CLUTCH_CARD_SETS": '{"gift": "GIFT"}', "CLUTCH_KEEPS_REMAINDER": "yes",
    "CLUTCH_REPEAT_WITHIN": "86400",  # it does a request once, by its id: one that was sent twice needs no person
    "CLUTCH_RATE": "100000", "CLUTCH_BURST": "100000", "CLUTCH_SHARE_LIMITS": "no", "CLUTCH_QUIET_PERIOD": "3.5", "CLUTCH_LONGEST_WAIT": "0.6", "CLUTCH_POOL_TIMEOUT": "0.6", "CLUTCH_CONNECT_TIMEOUT": "0.6",
    "CLUTCH_BREAKER_FAILURES": "1000000", "CLUTCH_READ_PAUSE": "0.05",
}  # fmt: skip


@attrs.define
class Figures:
    """What came of it."""

    cards: int
    due: int
    seconds: float = 0.0
    killed: int = 0
    in_doubt: int = 0  # calls that a fault or a kill had left open, and that were looked up
    put_off: int = 0  # commands that were surely not done at first, and got a later time
    jobs: str = ""  # what the driver says of its own
    faults: list[str] = attrs.field(factory=list)  # what does not hold; empty if all is well

    def __str__(self) -> str:
        said = f"{self.due:,} settlements over {self.cards} cards in {self.seconds:.0f} s ({self.due / self.seconds:.0f} a second); "
        said += f"workers killed: {self.killed}; calls looked up: {self.in_doubt}; commands put off: {self.put_off}; {self.jobs}"
        return said + (
            "each settled once in both books, in order by card, nothing in doubt"
            if not self.faults
            else str(self.faults[:5])
        )


@contextmanager
def sandbox(folder: Path, cards: int, port: int = 0, faults: str = "") -> Iterator[dict[str, str]]:
    """The sandbox in a process of its own, on the same books each time; gives how it is reached."""
    command = [sys.executable, "-m", "tallystick.clutch.sandbox", "--port", str(port), "--card-set", f"GIFT:{cards}:nopin",
               "--seed", str(SEED), "--state", str(folder / "sandbox.db"), *(["--faults", faults] if faults else [])]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def environment(access: dict[str, str]) -> dict[str, str]:
    known = {
        f"CLUTCH_{name.upper()}": access[name] for name in ("api_key", "api_secret", "brand", "location", "terminal")
    }
    return {**CLUTCH, **known, "CLUTCH_BASE_URL": f"{access['url']}/merchant"}


def operator(access: dict[str, str], page: str) -> Any:
    """The sandbox's own books."""
    import base64

    pair = base64.b64encode(f"{access['api_key']}:{access['api_secret']}".encode()).decode()
    request = urllib.request.Request(f"{access['url']}/sandbox/{page}", headers={
        "Authorization": f"Basic {pair}", **{name: access[name] for name in ("brand", "location", "terminal")},
    })  # fmt: skip
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def prepared(books: Books, driver: Driver, cards: int, each: int) -> None:
    """Cards that pay for one order each, and shipments of it that are due, in turns."""
    total = to_text(each * (each + 1) // 2, "USD")

    def sell(card: int) -> None:
        books.sell_electronic(f"c{card}", total, "USD", order=f"o{card}", key=f"sale{card}")
        books.authorize(f"p{card}", f"c{card}", total, order=f"o{card}", key=f"hold{card}", by="shop")

    begun = utc_now() - timedelta(hours=1)

    def ship(card: int) -> None:
        driver.queue(books, [
            (f"p{card}", to_text(turn + 1, "USD"), f"ship{card}/{turn:05}", begun + timedelta(milliseconds=turn))
            for turn in range(each)
        ])  # fmt: skip

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(sell, range(cards)))
        list(pool.map(ship, range(cards)))


def prove(url: str, folder: Path, *, cards: int, due: int, workers: int, longest: float, driver: Driver,
          faults: str = FAULTS, kill_every: float = 1.0) -> Figures:  # fmt: skip
    """Prepare, let so many workers do it while one is killed again and again, and read both books."""
    found, each = Figures(cards, due), due // cards
    driver.prepare(url)
    with sandbox(folder, cards) as access:
        os.environ.update(environment(access))
        with tallystick.open(url, provider="clutch") as books:
            prepared(books, driver, cards, each)
    port = int(access["url"].rsplit(":", 1)[1])
    with sandbox(folder, cards, port, faults) as access, tallystick.open(url, provider="clutch") as books:
        started = time.monotonic()
        _run(books, found, driver, workers, longest, kill_every)
        found.seconds, found.jobs = time.monotonic() - started, driver.told(url)
        _judge(books, operator(access, "dump"), operator(access, "audit"), found, each)
    return found


def _run(books: Books, found: Figures, driver: Driver, workers: int, longest: float, kill_every: float) -> None:
    """Processes are forked, so that a killed one is replaced at once, however busy the machine is."""
    url, now = books.engine.store.url, time.monotonic()

    def job() -> None:
        driver.work(url)

    running, until, kill = [start_child(job) for _ in range(workers)], now + longest, now + kill_every
    try:
        while left := _left(books) + driver.left(url):
            if time.monotonic() > until:
                found.faults.append(f"after {longest:.0f} s {left} are still waiting or in doubt")
                break
            if time.monotonic() > kill:
                victim = running.pop(0)
                os.kill(victim, signal.SIGKILL)
                found.killed += wait_for_child(victim) == KILLED
                running.append(start_child(job))
                kill = time.monotonic() + kill_every
            time.sleep(0.05)
    finally:
        for each in running:
            os.kill(each, signal.SIGTERM)
        ends = [wait_for_child(each) for each in running]  # by a signal: it had not begun
        found.faults += [f"a worker {ended}" for ended in ends if ended not in ("", "ended by signal 15")]


def _left(books: Books) -> int:
    with books.engine.store.reading() as reading:
        return reading.depth("9999").by_state["waiting"] + len(reading.calls())


def _judge(books: Books, dump: dict[str, Any], audit: list[str], found: Figures, each: int) -> None:
    say, numbers = found.faults.append, {}
    found.faults += [
        *map(str, books.verify().findings),
        *(["the audit of the sandbox finds something"] if audit else []),
    ]
    with books.engine.store.reading() as reading:
        rows = {row.key: row for row in reading.queue() if row.key.startswith("ship")}
        entries, cursor = [], None
        while (more := reading.tail(cursor, 1000))[0]:
            entries, cursor = [*entries, *more[0]], more[1]
        calls = [row for row in reading.all_calls() if row.key.startswith("ship")]
        numbers = {card.id: str(card.facts["number"]) for card in reading.all("gift_card")}
        if reading.calls():
            say(f"calls in doubt: {len(reading.calls())}")
    found.put_off = sum(row.attempts > 1 for row in rows.values())
    found.in_doubt = sum(row.attempts > 1 or row.note is not None for row in calls)
    if len(rows) != found.due or {row.state for row in rows.values()} != {"done"}:
        say(f"of {found.due} queued {sum(row.state == 'done' for row in rows.values())} are done")
    for card in range(found.cards):
        ours = [row.key or row.cause or "" for row in entries
                if row.entity == f"p{card}" and row.command == "settle" and row.phase in ("done", "confirmed")]  # fmt: skip
        theirs = [
            -minor
            for entry in dump["cards"][numbers[f"c{card}"]]["history"]  # the oldest first
            for minor in entry["updates"].values()
            if minor < 0
        ]
        if sorted(theirs) != list(range(1, each + 1)):
            say(f"card {card}: the sandbox has settled {len(theirs)}, of which {len(set(theirs))} are different")
        if sorted(ours) != [f"ship{card}/{turn:05}" for turn in range(each)]:
            say(f"card {card}: the books have settled {len(ours)}, of which {len(set(ours))} are different")
        if [int(key.rsplit("/", 1)[1]) + 1 for key in ours] != theirs:
            say(f"card {card}: the books and the sandbox have not the same order: {_differing(ours, theirs, calls)}")
        if ours != sorted(ours, key=lambda key: (rows[key].due, key)):
            say(f"card {card}: out of order: {ours}")


def _differing(ours: list[str], theirs: list[int], calls: list[CallRow]) -> list[object]:
    """What the two halves did in another order, and what is known of those calls."""
    turns = [int(key.rsplit("/", 1)[1]) + 1 for key in ours]
    keys = {key for key, turn, other in zip(ours, turns, theirs, strict=False) if turn != other}
    told = [(row.key, row.opened, row.asked, row.closed, row.attempts, row.note) for row in calls if row.key in keys]
    return [turns, theirs, *sorted(told)[:5]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cards", type=int, default=200)
    parser.add_argument("--due", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--longest", type=float, default=900.0, help="seconds")
    parser.add_argument("--driver", choices=[*DRIVERS], default="worker")
    given = parser.parse_args()
    from postgres_books import postgres_url

    logging.getLogger("tallystick").addHandler(logging.NullHandler())
    with tempfile.TemporaryDirectory() as folder, postgres_url() as url:
        found = prove(url, Path(folder), cards=given.cards, due=given.due, workers=given.workers, longest=given.longest,
                      driver=DRIVERS[given.driver])  # fmt: skip
        print(found)
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
