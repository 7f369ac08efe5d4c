"""Writers that spend from gift cards while servers fail, and what must be true afterwards.

    python -m tallystick.testing.faults failover --store 'postgresql://one,two,three/trial?…' --seconds 60

Meanwhile switch the servers over, kill them, cut their network: this command touches none of them. Each writer has
connections of its own, as a process would, and says each command with its key until it is answered. At the end
everything that was acknowledged is in the books once, nothing else is, and every cent is where it belongs: the library
says so, and so does the referee, which shares no code with it.

Its cards and payments stay in the books. Give it a database or a schema of its own.
"""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import attrs

from tallystick.books.books import Books
from tallystick.books.open import open
from tallystick.engine.receipt import Receipt
from tallystick.engine.verify.verifier import verify
from tallystick.errors import CommitUnknown, StoreError
from tallystick.money import Money
from tallystick.testing.faults.report import FaultReport, Progress
from tallystick.testing.referee import Acknowledged, judge
from tallystick.testing.store_rows import rows_of

CURRENCY = "BRL"
LOADED, PRICE = Money(10_000_00, CURRENCY), Money(5, CURRENCY)
CARDS = 12  # that all writers spend from
AGAIN = 0.02  # seconds until what failed is said again
PATIENCE = 120.0  # seconds after which a command that is not answered is a finding


class NotAnswered(Exception):
    """A writer has said a command for so long that it gave up."""


class Writer:
    """An order system: it holds and settles by turns, and says each with its key until that is answered."""

    def __init__(self, books: Books, name: str, cards: list[str]) -> None:
        """`cards`: to spend from, one after the other."""
        self.acknowledged: list[Acknowledged] = []
        self.answered_at: list[float] = []  # one for each of those
        self.heard: Counter[str] = Counter()  # errors, by kind
        self.unknown: set[str] = set()  # keys whose COMMIT was not known
        self.were_written: set[str] = set()  # those of them that the same key found written
        self.settled = 0
        self._books, self._name, self._cards = books, name, cards

    def work(self, stopped: threading.Event) -> None:
        """Until it is stopped, and then to the end of the payment. Raises NotAnswered."""
        number = 0
        while not stopped.is_set():
            payment, card = f"{self._name}-{number}", self._cards[number % len(self._cards)]
            self._insist(f"{payment}/hold", lambda key, p=payment, c=card: self._hold(key, p, c))  # type: ignore[misc]
            self._insist(f"{payment}/settle", lambda key, p=payment: self._books.settle(p, PRICE, key=key))  # type: ignore[misc]
            self.settled += 1
            number += 1
        self._books.close()

    def _hold(self, key: str, payment: str, card: str) -> Receipt:
        return self._books.authorize(payment, card=card, amount=PRICE, order=f"o-{payment}", key=key)

    def _insist(self, key: str, verb: Callable[[str], Receipt]) -> None:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                receipt = verb(key)
            except StoreError as error:
                self.heard[type(error).__name__] += 1
                if isinstance(error, CommitUnknown):
                    self.unknown.add(key)
                if time.monotonic() > until:
                    raise NotAnswered(f"{key} is not answered after {PATIENCE:.0f} s: {error}") from error
                time.sleep(AGAIN)
                continue
            if key in self.unknown and receipt.replayed:
                self.were_written.add(key)
            self.acknowledged.append(
                Acknowledged(key, receipt.machine, receipt.id, receipt.command, str(receipt.result))
            )
            self.answered_at.append(time.monotonic())
            return


@attrs.define
class Writers:
    """All writers of one run."""

    url: str
    books: Books  # to look with
    cards: list[str]
    each: list[Writer]

    def acknowledged(self) -> int:
        """How many commands were answered so far."""
        return sum(len(writer.acknowledged) for writer in self.each)

    def heard(self) -> Counter[str]:
        """The errors that writers have heard, by kind."""
        return sum((writer.heard for writer in self.each), Counter())

    def pauses(self, *, longer_than: float = 0.5) -> list[float]:
        """The times in which nobody was answered, in seconds, from the first to the last."""
        times = sorted(moment for writer in self.each for moment in writer.answered_at)
        gaps = (after - before for before, after in itertools.pairwise(times))
        return [round(gap, 1) for gap in gaps if gap > longer_than]

    def report(self) -> FaultReport:
        """What was counted, and whatever is wrong now that they have stopped."""
        unknown = [key for writer in self.each for key in writer.unknown]
        written = [key for writer in self.each for key in writer.were_written]
        report = FaultReport(Counter({
            "commands acknowledged": self.acknowledged(),
            **{f"times a writer heard {name}": number for name, number in sorted(self.heard().items())},
            "commands whose COMMIT was not known": len(unknown),
            "of these, their key found them written": len(written),
        }))  # fmt: skip
        report.find("after the writers stopped", self._wrong())
        return report

    def _wrong(self) -> Iterator[str]:
        engine = self.books.engine
        rows = rows_of(engine.store)
        acknowledged = [each for writer in self.each for each in writer.acknowledged]
        yield from judge(rows, None, acknowledged)
        yield from (str(finding) for finding in verify(engine.machines, engine.store).findings)
        payments = {each.id for each in acknowledged}
        written = [entry["key"] for entry in rows.entries if entry["entity"] in payments and entry["key"]]
        doubled = [key for key, number in Counter(written).items() if number > 1]
        yield from (f"{key} is acknowledged, and not in the books" for key in _without(acknowledged, written))
        yield from (f"{key} is in the books more than once" for key in doubled)
        spent = sum(writer.settled for writer in self.each) * PRICE.minor
        cards = [each["accounts"] for each in rows.entities if each["id"] in self.cards]
        if (left := sum(each["available"] for each in cards)) != len(self.cards) * LOADED.minor - spent:
            yield f"{spent} were spent of {len(self.cards)} × {LOADED.minor}, and {left} are left"
        if held := sum(each["held"] for each in cards):
            yield f"{held} are held, though every payment is settled"


def _without(acknowledged: Iterable[Acknowledged], written: Iterable[str]) -> list[str]:
    there = set(written)
    return [each.key for each in acknowledged if each.key not in there]


@contextmanager
def writing(url: str, writers: int = 4) -> Iterator[Writers]:
    """Writers at work inside the block; at its end they finish their payments. Raises NotAnswered, StoreError."""
    run = uuid.uuid4().hex[:8]
    cards = [f"{run}-card-{number}" for number in range(CARDS)]
    stopped = threading.Event()
    with closing(open(url)) as books:
        for card in cards:
            books.sell_electronic(card, LOADED, CURRENCY, order=run, key=f"{card}/sell")
        each = [Writer(open(url), f"{run}-{number}", cards[number:] + cards[:number]) for number in range(writers)]
        with ThreadPoolExecutor(writers) as threads:
            working = [threads.submit(writer.work, stopped) for writer in each]
            try:
                yield Writers(url, books, cards, each)
            finally:
                stopped.set()
            for future in working:
                future.result()


def failover(url: str, *, seconds: float, writers: int = 4, progress: Progress | None = None) -> FaultReport:
    """Let writers work for so long, and judge. Raises NotAnswered, StoreError."""
    until = time.monotonic() + seconds
    with writing(url, writers) as at_work:
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(5.0, left))
            if progress is not None:
                heard = ", ".join(f"{number} {name}" for name, number in sorted(at_work.heard().items()))
                progress(f"{at_work.acknowledged()} commands acknowledged; {heard or 'no errors'}")
    report = at_work.report()
    if progress is not None and (pauses := at_work.pauses()):
        progress(f"pauses in which nobody was answered, in seconds: {', '.join(map(str, pauses))}")
    return report
