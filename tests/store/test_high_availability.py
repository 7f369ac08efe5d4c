"""A primary and its synchronous standby behind one URL: what callers hear when the primary dies, and what stays true.

Real servers. Four writers work with engines of their own, as four processes would.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

import tallystick
from postgres_pair import Pair, postgres_pair, wait_until
from tallystick import Books, CommitUnknown, Money, StoreError
from tallystick.engine.verify import verify
from tallystick.testing.referee import judge
from tallystick.testing.store_rows import rows_of

pytestmark = pytest.mark.slow

WRITERS, CARDS = 4, 12
LOADED, PRICE = Money(500_00, "BRL"), Money(5, "BRL")


@pytest.fixture
def pair() -> Iterator[Pair]:
    with postgres_pair() as made:
        yield made


@pytest.fixture
def books(pair: Pair) -> Iterator[Books]:
    """Opened once by their URL of both servers, with cards to spend from."""
    opened = tallystick.open(pair.url)
    for number in range(CARDS):
        opened.sell_electronic(f"c{number}", LOADED, "BRL", order="o", key=f"sell/{number}")
    yield opened
    opened.close()


class Writer:
    """An order service: it says each verb with its key until it is answered."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self.keys: set[str] = set()  # acknowledged
        self.heard: Counter[str] = Counter()  # errors, by kind
        self.unknown: set[str] = set()  # keys whose COMMIT was not known
        self.were_written: set[str] = set()  # those of them that the same key found written
        self._books = tallystick.open(url)

    def work(self, stopped: threading.Event) -> None:
        order = 0
        while not stopped.is_set():
            payment, card = f"{self.name}-{order}", f"c{(order * 7 + int(self.name)) % CARDS}"
            self._insist(f"{payment}/hold", lambda key, p=payment, c=card: self._hold(key, p, c))
            self._insist(f"{payment}/settle", lambda key, p=payment: self._books.settle(p, PRICE, key=key))
            order += 1
        self._books.close()

    def _hold(self, key: str, payment: str, card: str) -> tallystick.Receipt:
        return self._books.authorize(payment, card=card, amount=PRICE, order=f"o-{payment}", key=key)

    def _insist(self, key: str, verb: Callable[[str], tallystick.Receipt]) -> None:
        while True:
            try:
                receipt = verb(key)
            except StoreError as error:
                self.heard[type(error).__name__] += 1
                if isinstance(error, CommitUnknown):
                    self.unknown.add(key)
                time.sleep(0.02)
                continue
            assert receipt.applied
            self.keys.add(key)
            if key in self.unknown and receipt.replayed:
                self.were_written.add(key)
            return


@pytest.mark.parametrize("stalled", [False, True], ids=["while commits run", "while commits wait for the standby"])
def test_the_primary_dies_while_four_write(pair: Pair, books: Books, stalled: bool) -> None:
    """What was acknowledged is on the new primary, once; what was not known is ended by its key."""
    stopped = threading.Event()
    writers = [Writer(pair.url, str(number)) for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as threads:
        working = [threads.submit(writer.work, stopped) for writer in writers]
        try:
            wait_until(lambda: sum(len(writer.keys) for writer in writers) > 100, "the four have done something")
            if stalled:
                with pair.stalled():
                    wait_until(pair.waiting, "a COMMIT waits for the standby")
                    pair.primary.kill()
            else:
                pair.primary.kill()
            before = sum(len(writer.keys) for writer in writers)
            pair.promote()
            wait_until(lambda: sum(len(writer.keys) for writer in writers) > before + 100, "commands go on")
        finally:
            stopped.set()
        for each in working:
            each.result()
    assert sum((writer.heard for writer in writers), Counter()).total() > 0  # they did notice
    if stalled:
        assert any(writer.unknown for writer in writers)
    acknowledged = {key for writer in writers for key in writer.keys}
    with psycopg.connect(pair.standby.url()) as connection:
        query = "SELECT key, count(*) FROM tallystick.entry WHERE key LIKE '%%-%%/%%' GROUP BY key"
        times = dict(connection.execute(query).fetchall())
    assert acknowledged - times.keys() == set()
    assert set(times.values()) == {1}
    _are_right(books, settled=sum(key.endswith("/settle") for key in acknowledged))


@pytest.mark.parametrize("ended_by", ["pg_terminate_backend", "pg_cancel_backend"])
def test_a_commit_that_waits_for_the_standby_is_ended(pair: Pair, books: Books, ended_by: str) -> None:
    """The primary has it, the standby perhaps not: the caller hears that, and its key tells what became of it."""

    books.authorize("p1", card="c1", amount=PRICE, order="o-1", key="p1/hold")

    def settle() -> tallystick.Receipt:
        return books.settle("p1", PRICE, key="p1/settle")

    with ThreadPoolExecutor(1) as thread, pair.stalled():
        said = thread.submit(settle)
        wait_until(pair.waiting, "the COMMIT waits for the standby")
        for backend in pair.waiting():
            pair.ask(f"SELECT {ended_by}(%s)", backend)
        with pytest.raises(CommitUnknown, match="say it again with the same key"):
            said.result(timeout=20)
        assert pair.ask("SELECT count(*) FROM tallystick.entry WHERE key = 'p1/settle'") == [(1,)]
    again = settle()
    assert (again.applied, again.replayed) == (True, True)
    _are_right(books, settled=1)


def _are_right(books: Books, *, settled: int) -> None:
    """Every cent is somewhere, once: told by the library itself, and by the referee, who shares no code with it."""
    assert not verify(books.engine.machines, books.engine.store).findings
    rows = rows_of(books.engine.store)
    assert judge(rows) == []
    cards = [each["accounts"] for each in rows.entities if each["machine"] == "gift_card"]
    assert sum(each["held"] for each in cards) == 0
    assert sum(each["available"] for each in cards) == CARDS * LOADED.minor - settled * PRICE.minor
