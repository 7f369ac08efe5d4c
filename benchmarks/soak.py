"""Make thousands of calls over HTTP, with faults. Is anything lost, done twice or left in doubt? Does memory grow?

    python benchmarks/soak.py 20000

A sandbox runs in a process of its own and keeps its books in a file. An engine on SQLite sells cards, pays orders with
them, ships in parts, cancels and refunds, in several threads. If a command ends in doubt or unavailable, its caller
gives it again later. Meanwhile the jobs of an operator run: recover and run_due. In the end a person decides what the
record leaves open, by the sandbox's own file, and every card is compared there and here.

A provider may do a thing twice for one request, and we may send a request twice. To tell these apart, every HTTP
request comes from a terminal of its own. Two lines from one terminal are the provider's double, and count as what
another channel did. Two lines of one call from two terminals are our mistake.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import attrs

from tallystick.books.books import Books
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.settings import ClutchSettings
from tallystick.clutch.transport import Answer, HttpTransport
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Declined, InDoubt, Refused, ShortApproval, Unavailable
from tallystick.errors import NotFound
from tallystick.money import Money
from tallystick.store.open import open_store

FAULTS = ("lost_before", "lost_after", "slow", "500_before", "500_after", "429", "broken_json", "truncated",
          "short_approval", "wrong_currency", "other_channel", "duplicate")  # fmt: skip
AT_ONCE = 20  # cards in work in each thread
PATIENCE = 0.5  # seconds before something is said again
GRACE = timedelta(seconds=3)
OPERATION = {"issue": "issue", "hold": "hold", "redeem": "redeem", "redeem_hold": "redeem_from_hold",
             "release_hold": "release", "void": "void"}  # fmt: skip


@attrs.frozen
class Measured:
    """The result of a soak. `wrong` has a line for everything that is not as it should be."""

    requests: int
    calls: int
    seconds: float
    outcomes: Mapping[str, int]  # of the calls, when they were answered first
    recovered: int
    persons: int
    doubled: int  # by the provider
    cards: int
    entries: int
    memory: tuple[int, ...]  # KB resident, at each tenth
    wrong: tuple[str, ...]

    @property
    def growth(self) -> float:
        """How much more memory there is at the end than after three tenths of the run, as a share."""
        return self.memory[-1] / self.memory[len(self.memory) * 3 // 10] - 1

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {name}" for name, count in sorted(self.outcomes.items()))
        return "\n".join(
            [
                f"{self.requests} HTTP requests in {self.seconds:.0f} s ({self.requests / self.seconds:.0f} a second)",
                f"{self.calls} calls about {self.cards} cards: {ends}",
                f"{self.recovered} ended by recover, {self.persons} by a person; the provider doubled {self.doubled}",
                f"memory: {' '.join(f'{each / 1024:.0f}' for each in self.memory)} MB ({self.growth:+.1%} since 30 %)",
                f"{self.entries} entries verified; " + ("both books agree" if not self.wrong else "WRONG:"),
                *self.wrong,
            ]
        )


class Counting:
    """Count the requests of a transport, and send each from a terminal of its own."""

    def __init__(self, inner: HttpTransport) -> None:
        self.inner, self.count = inner, 0
        self._lock = threading.Lock()

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        with self._lock:
            self.count += 1
            terminal = f"{headers['terminal']}-{self.count}"
        return self.inner.send(method, {**headers, "terminal": terminal}, body)

    def close(self) -> None:
        self.inner.close()


# The traffic

Step = Callable[[], object]


def life(books: Books, id: str, chance: Random) -> Iterator[Step]:
    """One card, from its sale to the last of its orders. Each step is repeated until it is answered."""
    card = f"card-{id}"
    worth = chance.randint(2000, 20000)
    pins: list[str | None] = []
    yield lambda: pins.append(books.sell_electronic(card, money(worth), "USD", order=id, key=f"{id}/sale").pin)
    for number in range(chance.randint(1, 3)):
        payment, key = f"{id}/{number}", f"{id}/{number}"
        part = money(chance.randint(100, worth // 3))
        pin = pins[-1] if pins and chance.random() < 0.3 else None
        if chance.random() < 0.25:
            yield lambda: books.redeem(payment, card, part, order=key, key=f"{key}/redeem", pin=pin)  # noqa: B023
            if chance.random() < 0.5:
                yield lambda: books.void(payment, key=f"{key}/void")  # noqa: B023
            continue
        yield lambda: books.authorize(payment, card, part, order=key, key=f"{key}/hold", pin=pin, allow_partial=True)  # noqa: B023
        for shipment in range(chance.randint(0, 2)):
            held = books.payment(payment).held.minor
            if held > 1:
                some = money(chance.randint(1, held - 1))
                yield lambda: books.settle(payment, some, key=f"{key}/ship-{shipment}")  # noqa: B023
        held = books.payment(payment).held.minor
        if held and chance.random() < 0.7:
            yield lambda: books.settle(payment, money(held), key=f"{key}/last", last=True)  # noqa: B023
            if chance.random() < 0.3:
                yield lambda: books.refund(payment, "0.50", key=f"{key}/refund")  # noqa: B023
        else:
            yield lambda: books.cancel(payment, key=f"{key}/cancel")  # noqa: B023


def money(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02}"


def work(books: Books, name: str, seed: int, more: Callable[[], bool], ended: Counter[str]) -> None:
    """Live several lives, one step of each in turn. After in doubt or unavailable, a life waits for its next turn."""
    chance, count, seen = Random(f"{seed}:{name}"), 0, Counter[str]()
    lives: deque[tuple[float, Iterator[Step], Step | None]] = deque()
    while more():
        while len(lives) < AT_ONCE:
            lives.append((0.0, life(books, f"{name}-{count}", chance), None))
            count += 1
        due, going, step = lives.popleft()
        if due > time.monotonic():
            lives.append((due, going, step))
            time.sleep(0.001)
            continue
        first, step = step is None, step or next(going, None)
        if step is None:
            continue
        result, again = _said(step)
        if first:
            seen[result] += 1
        lives.append((time.monotonic() + PATIENCE, going, step) if again else (0.0, going, None))
    ended.update(seen)


def _said(step: Step) -> tuple[str, bool]:
    """How a step ended, and whether it has to be repeated."""
    try:
        step()
    except (InDoubt, Unavailable) as error:
        return error.receipt.result, True
    except (Declined, Refused, ShortApproval) as error:
        return error.receipt.result, "not known yet" in error.receipt.why
    except NotFound:  # the payment of a step before, which was refused: others had spent from the card
        return "refused", False
    return "applied", False


# The soak


def soak(requests: int = 20_000, *, faults: float = 0.05, workers: int = 4, seed: int = 1) -> Measured:
    with tempfile.TemporaryDirectory(prefix="tallystick-soak-") as folder:
        theirs = Path(folder) / "clutch.db"
        served = _served(theirs, requests, faults, seed)
        try:
            assert served.stdout is not None
            known = json.loads(served.stdout.readline())
            return _soaked(Path(folder), theirs, known, requests, workers, seed)
        finally:
            served.terminate()
            served.wait(10)
            if served.stdout:
                served.stdout.close()


def _served(state: Path, requests: int, faults: float, seed: int) -> subprocess.Popen[str]:
    spec = ",".join(f"{fault}={faults / len(FAULTS)}{':900ms' if fault == 'slow' else ''}" for fault in FAULTS)
    cards = max(100, requests // 5)
    return subprocess.Popen(
        [sys.executable, "-m", "tallystick.clutch.sandbox", "--port", "0", "--card-set", f"GIFT:{cards}",
         "--seed", str(seed), "--faults", spec, "--state", str(state)],
        stdout=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip


def _soaked(folder: Path, theirs: Path, known: Mapping[str, str], requests: int, workers: int, seed: int) -> Measured:
    settings = ClutchSettings(
        base_url=known["url"], api_key=known["api_key"], api_secret=known["api_secret"], brand=known["brand"],
        location=known["location"], terminal=known["terminal"], rate=1e6, burst=10**6, read_timeout=0.5,
        quiet_period=2.0, longest_wait=0.3, pool_timeout=0.3, connect_timeout=0.4, read_pause=0.05,
        breaker_failures=100, card_sets={"gift": "GIFT"},
    )  # fmt: skip
    transport = Counting(HttpTransport(settings))
    provider = ClutchProvider(settings, transport)
    store = open_store(f"sqlite:///{folder / 'books.db'}")
    books = Books(Engine(reader.load(), store, provider))
    ended, memory, failed = Counter[str](), [], list[BaseException]()

    def more() -> bool:
        return transport.count < requests and not failed

    def run(name: str) -> None:
        try:
            work(books, name, seed, more, ended)
        except BaseException as error:  # noqa: BLE001  # told by the main thread
            failed.append(error)

    began = time.monotonic()
    threads = [threading.Thread(target=run, args=(f"w{number}",), daemon=True) for number in range(workers)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.2)
        if transport.count >= requests * len(memory) / 10:
            memory.append(_resident())
        books.recover(GRACE)
        books.run_due()
    seconds, sent = time.monotonic() - began, transport.count
    memory.append(_resident())
    for error in failed:
        raise error
    persons = _ended(books, theirs)
    wrong, calls, recovered, doubled, cards = _compared(books, theirs)
    report = books.verify()
    wrong += [str(each) for each in report.findings]
    books.close()
    provider.close()
    return Measured(sent, calls, seconds, ended, recovered, persons, doubled, cards, report.entries,
                    tuple(memory), tuple(wrong))  # fmt: skip


def _resident() -> int:
    """KB of memory that this process has now, or 1 if the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4
    except OSError:
        return 1


def _ended(books: Books, theirs: Path) -> int:
    """Recover until nothing moves, then let a person decide. Returns how often that was necessary."""
    persons = 0
    for turn in range(40):
        time.sleep(1.1)
        books.recover(timedelta(seconds=1))
        books.run_due()
        with books.engine.store.reading() as reading:
            open_ = reading.calls()
        if not open_:
            break
        for row in open_ if turn > 5 else []:
            persons += 1
            _person(books, theirs, row)
    return persons


def _person(books: Books, theirs: Path, row: Any) -> None:
    with books.engine.store.reading() as reading:
        claimed = {told.reference for each in reading.all_calls() if (told := each.ended)}
    found = next((line for line in _lines(theirs) if line.call == row.id and line.id not in claimed), None)
    if found is None:
        books.engine.resolve(row.id, "declined", by="soak", reason="the sandbox's books do not have it")
        return
    part = Money(abs(found.amount), row.currency) if row.verb in ("hold", "redeem") else None
    books.engine.resolve(row.id, "confirmed", by="soak", reason="seen", reference=found.id, amount=part)


@attrs.frozen
class Line:
    """What a request of ours did, by the sandbox's own file. For a hold: the amount it began with."""

    call: str
    id: str
    number: str
    operation: str
    terminal: str  # one for each HTTP request
    amount: int

    @property
    def change(self) -> int:
        """Of what is available."""
        return -self.amount if self.operation == "hold" else self.amount


def _lines(theirs: Path) -> list[Line]:
    with closing(sqlite3.connect(theirs)) as books:
        rows = books.execute(
            "select h.custom_request_id, h.transaction_id, h.number, h.operation, h.terminal, h.updates, p.placed"
            " from history h left join hold p on p.id = h.transaction_id"
            " where h.custom_request_id is not null order by h.seq"
        ).fetchall()
    return [
        Line(*named, named_hold if named[3] == "hold" else sum(each[2] for each in json.loads(updates)))
        for *named, updates, named_hold in rows
    ]


def _doubles(lines: list[Line], claimed: Container[str]) -> list[Line]:
    """What the provider did a second time for one request, and no call of ours has claimed."""
    by_request: dict[str, list[Line]] = {}
    for line in lines:
        by_request.setdefault(line.terminal, []).append(line)
    several = [each for each in by_request.values() if len(each) > 1 and any(line.id in claimed for line in each)]
    return [line for each in several for line in each if line.id not in claimed]


def _compared(books: Books, theirs: Path) -> tuple[list[str], int, int, int, int]:
    """What differs, and the numbers of calls, of calls that a look-up ended, of doubles, and of cards."""
    wrong, here = list[str](), Counter[tuple[object, ...]]()
    with books.engine.store.reading() as reading:
        cards = {each.id: each for each in reading.all("gift_card")}
        payments = list(reading.all("payment"))
        rows = list(reading.all_calls())
        heard = Counter[str]()  # what our books have heard of what others moved, by card
        for entry in reading.journal("gift_card"):
            for source, target, amount in json.loads(entry.postings):
                heard[entry.entity] += amount * ((source == "elsewhere") - (target == "elsewhere"))
    claims = Counter[str]()
    for row in rows:
        told, args = row.ended, json.loads(row.args)
        if row.state == "open":
            wrong.append(f"{row.id} ({row.verb}) is in doubt: {row.note}")
        if row.state != "confirmed" or row.verb not in OPERATION or told is None:
            continue
        minor = told.amount if told.amount is not None else args["amount"]
        sign = {"redeem": -1, "redeem_hold": -1, "release_hold": 0}.get(row.verb, 1)
        here[cards[row.entity].facts["number"], OPERATION[row.verb], sign * minor] += 1
        claims[str(told.reference)] += 1
    lines = _lines(theirs)
    doubles = _doubles(lines, claims)
    kept = [each for each in lines if each.operation != "allocate" and each not in doubles]
    there = Counter((each.number, each.operation, each.amount) for each in kept)
    wrong += [f"done at Clutch, not here: {each}" for each in (there - here).elements()]
    wrong += [f"done here, not at Clutch: {each}" for each in (here - there).elements()]
    wrong += [f"{id} is claimed {count} times" for id, count in claims.items() if count > 1]
    wrong += _holds(theirs, payments, {each.id for each in doubles})
    wrong += _balances(theirs, list(cards.values()), doubles, heard)
    done = [row for row in rows if row.state == "confirmed"]
    return wrong, len(rows), sum(row.note is not None or row.attempts > 1 for row in done), len(doubles), len(cards)


def _holds(theirs: Path, payments: list[Any], doubles: Container[str]) -> list[str]:
    """Compare every open hold there, without the provider's doubles, with every payment here that holds something."""
    with closing(sqlite3.connect(theirs)) as books:
        open_ = dict(books.execute("select id, amount from hold where amount > 0").fetchall())
    held = {str(each.facts["hold_id"]): each.accounts["held"] for each in payments if each.accounts["held"]}
    return [
        f"hold {id}: {held.get(id, 0)} here, {open_.get(id, 0)} at Clutch"
        for id in sorted(held.keys() | {each for each in open_ if each not in doubles})
        if held.get(id, 0) != open_.get(id, 0)
    ]


def _balances(theirs: Path, cards: list[Any], doubles: list[Line], heard: Mapping[str, int]) -> list[str]:
    """Compare what is available on every card there and here, without what others and the provider itself did.

    `heard`: how much of that our books have taken in already, because an answer stated the balance.
    """
    with closing(sqlite3.connect(theirs)) as books:
        available = dict(books.execute("select number, available from balance").fetchall())
        others = Counter[str]()
        for number, updates in books.execute("select number, updates from history where custom_request_id is null"):
            others[number] += sum(each[2] for each in json.loads(updates))
    for each in doubles:
        others[each.number] += each.change
    return [
        f"{card.id}: {card.accounts} here, {available.get(number, 0)} available there, others moved {others[number]}"
        for card in cards
        if (number := card.facts["number"])
        and card.accounts["available"] + others[number] - heard[card.id] != available.get(number, 0)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("requests", type=int, nargs="?", default=20_000, help="HTTP requests to send (20,000)")
    parser.add_argument("--faults", type=float, default=0.05, help="the share of requests that go wrong (0.05)")
    parser.add_argument("--workers", type=int, default=4, help="threads (4)")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    measured = soak(given.requests, faults=given.faults, workers=given.workers, seed=given.seed)
    print(measured)
    return 1 if measured.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
