"""A primary and its synchronous standby behind one URL: what callers hear when the primary dies, and what stays true.

Real servers. Four writers work with connections of their own, as four processes would.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import tallystick
from postgres_pair import Pair, postgres_pair, wait_until
from tallystick import Books, CommitUnknown, Money
from tallystick.engine.verify import verify
from tallystick.testing.faults.postgres.failover import writing
from tallystick.testing.referee import judge
from tallystick.testing.store_rows import rows_of

pytestmark = pytest.mark.slow

CARDS = 2
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


class Subscriber:
    """Reads the feed on from its cursor."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, int]] = []
        self._cursor: str | None = None

    def hear(self, books: Books) -> None:
        while (tail := books.tail(self._cursor)).entries:
            self.heard += [(each.machine, each.id, each.revision) for each in tail.entries]
            self._cursor = tail.cursor


@pytest.mark.parametrize("stalled", [False, True], ids=["while commits run", "while commits wait for the standby"])
def test_the_primary_dies_while_four_write(pair: Pair, stalled: bool) -> None:
    """What was acknowledged is on the new primary, once; what was not known is ended by its key."""
    feed = Subscriber()
    with writing(pair.url) as writers:
        wait_until(lambda: writers.acknowledged() > 100, "the four have done something")
        feed.hear(writers.books)
        if stalled:
            with pair.stalled():
                wait_until(pair.waiting, "a COMMIT waits for the standby")
                pair.primary.kill()
        else:
            pair.primary.kill()
        before = writers.acknowledged()
        pair.promote()
        wait_until(lambda: writers.acknowledged() > before + 100, "commands go on")
    assert writers.heard().total() > 0  # they did notice
    feed.hear(writers.books)
    written = [(row["machine"], row["entity"], row["revision"]) for row in rows_of(writers.books.engine.store).entries]
    assert sorted(feed.heard) == sorted(written)  # each once, with the cursor from before
    report = writers.report()
    assert report.findings == []
    if stalled:
        assert report.figures["commands whose COMMIT was not known"] > 0


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
