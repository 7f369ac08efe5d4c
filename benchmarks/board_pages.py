"""How soon each page of the board answers, with a million cards; and how long what it counts takes.

    python -m benchmarks.board_pages [--cards 1000000] [--store URL] [--on postgresql://postgres@db/empty]

Without --store the books are made first, as `large_books` makes them; with --on they are copied to an empty database
by a superuser. The sums of reports are brought up to date before, as `verify` or a worker does it. `answer`: until the
browser has something. `counted`: until the page has all its figures; the same, where nothing was counted beside it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import tallystick
from benchmarks.large_books import into_postgres, make, number
from tallystick.board.app import href
from tallystick.board.board import Board
from tallystick.board.render import Frame, html
from tallystick.engine.sums import bring

ASKED: list[tuple[str, dict[str, str]]] = [
    ("overview", {}),
    ("state", {"of": "gift_card", "state": "issued"}),
    ("state", {"of": "gift_card", "state": "issued", "after": f"card-{number(500_000)}"}),
    ("state", {"of": "gift_card", "state": "suspended"}),
    ("life", {"of": "gift_card", "id": f"card-{number(7)}"}),
    ("life", {"of": "payment", "id": "held-7"}),
    ("search", {"q": f"card-{number(1234)}"[:-1]}),
    ("search", {"q": "9999"}),
    ("stuck", {}),
    ("doubt", {}),
    ("holds", {}),
    ("queue", {}),
    ("liability", {}),
    ("machine", {"name": "gift_card"}),
    ("rollforward", {}),
    ("activity", {}),
    ("machines", {}),
    ("breakage", {}),
    ("escheat", {}),
    ("advanced-holds", {}),
    ("rows", {"report": "liability", "currency": "USD"}),
    ("rows", {"report": "rollforward", "by": "figure", "value": "elsewhere", "currency": "USD"}),
]
LONGEST = 300.0  # seconds that a page is waited for


def measure(url: str) -> None:
    with tallystick.open(url) as books:
        began = time.perf_counter()
        bring(books.engine.store, books.engine.machines)
        print(f"sums of reports counted in {time.perf_counter() - began:.1f} s")
    pages(url)


def pages(url: str) -> None:
    with tallystick.open(url, read_only=True) as books:
        board = Board(books)
        print(f"{'page':<50}{'answer':>10}{'counted':>10}")
        for name, asked in ASKED:
            began = time.perf_counter()
            found = board.soon(name, asked)
            html(found, Frame(board.url, board.now), href)
            answer = time.perf_counter() - began
            while found.again is not None and time.perf_counter() - began < LONGEST:
                time.sleep(0.2)
                found = board.soon(name, asked)
            shown = f"{name} {' '.join(asked.values())}"
            print(f"{shown:<50}{answer:>8.2f} s{time.perf_counter() - began:>8.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cards", type=int, default=1_000_000)
    parser.add_argument("--store")
    parser.add_argument("--on")
    given = parser.parse_args()
    if given.store:
        measure(given.store)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "books.db"
        make(path, given.cards)
        if given.on:
            into_postgres(path, given.on)
        measure(given.on or f"sqlite:///{path}")


if __name__ == "__main__":
    main()
