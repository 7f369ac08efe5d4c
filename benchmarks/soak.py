"""Make thousands of calls over HTTP, with faults. Is anything lost, done twice or left in doubt? Does memory grow?

    python -m benchmarks.soak 20000

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
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import attrs

from benchmarks.soak_comparison import compared, lines_at
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
        if not _there(books, payment):  # refused: others have spent all of the card
            continue
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


def _there(books: Books, payment: str) -> bool:
    try:
        books.payment(payment)
    except NotFound:
        return False
    return True


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
    with closing(ClutchProvider(settings, transport)) as provider:
        store = open_store(f"sqlite:///{folder / 'books.db'}")
        with closing(Books(Engine(reader.load(), store, provider))) as books:
            return _told(books, theirs, transport, requests, workers, seed)


def _told(books: Books, theirs: Path, transport: Counting, requests: int, workers: int, seed: int) -> Measured:
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
    wrong, calls, recovered, doubled, cards = compared(books, theirs)
    report = books.verify()
    wrong += [str(each) for each in report.findings]
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
    found = next((line for line in lines_at(theirs) if line.call == row.id and line.id not in claimed), None)
    if found is None:
        books.engine.resolve(row.id, "declined", by="soak", reason="the sandbox's books do not have it")
        return
    part = Money(abs(found.amount), row.currency) if row.verb in ("hold", "redeem") else None
    books.engine.resolve(row.id, "confirmed", by="soak", reason="seen", reference=found.id, amount=part)


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
