"""Whether anything takes longer because the books are larger: 10,000 cards against 1,000,000.

What waits for somebody is as much in both, so that only the size differs. Everything is read by processor time: the
pages of both files are in memory.
"""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from random import Random

from benchmarks.large_books import LATER, WAITING, make, number
from benchmarks.measure import MEMORY, Absent, Contestant, Result, Run
from benchmarks.rivals import ONE
from benchmarks.timed.process import peak, spawned
from tallystick.books.books import Books
from tallystick.books.waiting import holds_older_than
from tallystick.engine.engine import Engine
from tallystick.provider.local import LocalProvider

VERIFY = "import tallystick; assert not tallystick.open({path!r}).verify().findings"
OPENED = "import tallystick, tallystick.engine.verify; tallystick.open({path!r}).card('card-{first}')"
NOW = LATER + timedelta(days=2)
EACH = 20

_KEYS = count()


@cache
def _folder(where: str | None) -> Path:
    """A folder for all rows of this run; the large books are made once."""
    folder = tempfile.TemporaryDirectory(prefix="tallystick-bench-", dir=where)
    atexit.register(folder.cleanup)
    return Path(folder.name)


@cache
def _made(where: str | None, cards: int, redeems: int) -> tuple[Path, int]:
    path = _folder(where) / f"{cards}-{redeems}.db"
    return path, make(path, cards, redeems)


def _books(run: Run, cards: int) -> Books:
    return Books(_engine(_made(_where(run), cards, 0)[0]))


def _engine(path: Path) -> Engine:
    from tallystick import load
    from tallystick.store.sqlite import SqliteStore

    return Engine(load(), SqliteStore(path), LocalProvider(), clock=_now)


def _now() -> datetime:
    return NOW


def _where(run: Run) -> str | None:
    """In memory, except for a release, whose books take gigabytes."""
    if run.size == "release":
        return run.folder
    if not MEMORY.is_dir():
        raise Absent(f"{MEMORY} is not there")
    return str(MEMORY)


def _grown(run: Run, asked: Callable[[Books, int], Callable[[], object]]) -> Result:
    """`asked(books, cards)` gives what is timed: one of the same kind each time."""
    few, many = run.sized(10_000, 200), run.sized(1_000_000, 2_000)
    with _books(run, few) as small, _books(run, many) as large:

        def contestant(one: Callable[[], object]) -> Contestant:
            def work() -> int:
                for _ in range(EACH):
                    one()
                return EACH

            return lambda: work

        return run.compare(contestant(asked(large, many)), contestant(asked(small, few)))


def command(run: Run) -> Result:
    def asked(books: Books, cards: int) -> Callable[[], object]:
        random = Random(1)

        def one() -> object:
            id, key = f"card-{number(random.randrange(cards))}", f"grow-{next(_KEYS)}"
            return books.engine.execute("gift_card", id, "redeem", {"amount": ONE}, key=key)

        return one

    return _grown(run, asked)


def find(run: Run) -> Result:
    def asked(books: Books, cards: int) -> Callable[[], object]:
        random = Random(2)

        def one() -> None:
            found = books.find(number(random.randrange(cards)))
            assert found is not None

        return one

    return _grown(run, asked)


def show(run: Run) -> Result:
    """A payment and its history."""

    def asked(books: Books, cards: int) -> Callable[[], object]:
        random = Random(3)

        def one() -> None:
            id = f"payment-{number(random.randrange(cards // 10) * 10)}"
            assert books.payment(id).state == "closed"
            assert len(books.history("payment", id)) == 3

        return one

    return _grown(run, asked)


def stuck(run: Run) -> Result:
    def asked(books: Books, cards: int) -> Callable[[], object]:
        def one() -> None:
            assert len(books.stuck().uncovered) == WAITING

        return one

    return _grown(run, asked)


def holds(run: Run) -> Result:
    def asked(books: Books, cards: int) -> Callable[[], object]:
        def one() -> None:
            assert len(holds_older_than(books.engine, timedelta(days=1))) == WAITING

        return one

    return _grown(run, asked)


def due(run: Run) -> Result:
    """What waits, and which of it is due."""

    def asked(books: Books, cards: int) -> Callable[[], object]:
        def one() -> None:
            assert len(books.waiting().queue) == 2 * WAITING
            with books.engine.store.reading() as reading:
                assert len(reading.due(NOW.isoformat(), 1000)) == WAITING

        return one

    return _grown(run, asked)


# Verify


def _pair(run: Run) -> list[tuple[str, int]]:
    """The paths of books and of ten times larger ones, each with the number of its entries."""
    if run.size == "release":
        sizes = [(100_000, 8), (1_000_000, 8)]  # 10^7 entries: two, five of every tenth, and eight redeems of each
    else:
        sizes = [(run.sized(10_000, 200), 0), (run.sized(100_000, 2_000), 0)]
    made = [_made(_where(run), *size) for size in sizes]
    return [(str(path), entries) for path, entries in made]


def verify_time(run: Run) -> Result:
    """Seconds for an entry in the larger books over those in the smaller."""
    (small, few), (large, many) = _pair(run)
    values, ours, theirs = [], 0.0, 0.0
    for _ in range(run.sized(3, 1, 1)):
        opened = [spawned(OPENED.format(path=path, first=number(0))) for path in (small, large)]
        theirs = (spawned(VERIFY.format(path=small)) - opened[0]) / few
        ours = (spawned(VERIFY.format(path=large)) - opened[1]) / many
        values.append(ours / theirs)
    return Result(run.row, values, ours, theirs, note=f"{few:,} and {many:,} entries")


def verify_memory(run: Run) -> Result:
    (small, few), (large, many) = _pair(run)
    most = [peak(VERIFY.format(path=path)) for path in (small, large)]
    note = f"{most[0]:.0f} MB for {few:,} entries, {most[1]:.0f} MB for {many:,}"
    return Result(run.row, [most[1] / most[0]], note=note)
