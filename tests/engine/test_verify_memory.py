"""`verify` holds as much in memory for large books as for small ones."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import pytest

import tallystick
from postgres_books import postgres_url
from tallystick.engine.receipt import Command
from tallystick.engine.verify import checkpoint, queue, scratch, verify
from tallystick.engine.verify.scratch import Ascending, Scratch, beside
from tallystick.provider.scripted import ScriptedProvider
from tallystick.store.postgres import reading


def books_of(url: str, payments: int, *, remote: bool = False) -> tallystick.Books:
    """Books with so many cards; of each, one payment is settled in two parts, with a follow-up."""
    books = tallystick.open(url, provider=ScriptedProvider() if remote else "local", pin_policy="optional")
    for first in range(0, payments, 100):
        lived(books, range(first, min(first + 100, payments)))
    return books


def lived(books: tallystick.Books, numbers: Iterable[int]) -> None:
    steps = []
    for number in numbers:
        card, payment = f"c{number:05}", f"p{number:05}"
        given = {"form": "electronic", "currency": "BRL"}
        steps += [
            Command("gift_card", card, "create", given, f"{card}/create"),
            Command("gift_card", card, "allocate", {}, f"{card}/allocate"),
            Command("gift_card", card, "activate", {}, f"{card}/activate"),
            Command("gift_card", card, "issue", {"amount": "9.00"}, f"{card}/issue"),
            Command("payment", payment, "create", {"order": "o", "card": card, "currency": "BRL"}, f"{payment}/create"),
            Command("payment", payment, "authorize", {"amount": "5.00"}, f"{payment}/hold"),
            Command("payment", payment, "settle", {"amount": "2.00", "keep_hold": False}, f"{payment}/ship"),
        ]
    for receipt in books.engine.try_execute_many(steps):
        assert isinstance(receipt, tallystick.Receipt)
        assert receipt.applied, receipt


def files(folder: Path) -> list[str]:
    return [str(folder / "few.db"), str(folder / "many.db")]


def peak(books: tallystick.Books) -> tuple[int, int]:
    """How many entries there were, and the most memory that verify had at once, in bytes."""
    verify(books.engine.machines, books.engine.store)  # what is read once and kept is there now
    tracemalloc.start()
    try:
        report = verify(books.engine.machines, books.engine.store)
        return report.entries, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        assert report.clean


def flat(urls: Sequence[str], small: int, large: int, *, remote: bool = False) -> None:
    with books_of(urls[0], small, remote=remote) as few, books_of(urls[1], large, remote=remote) as many:
        (few_entries, few_bytes), (many_entries, many_bytes) = peak(few), peak(many)
    assert many_entries == few_entries * large // small
    assert many_bytes < 1.3 * few_bytes


@pytest.mark.parametrize("remote", [False, True])
def test_memory_does_not_grow_with_the_books(tmp_path: Path, remote: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((checkpoint, "PAGE"), (scratch, "BATCH"), (queue, "AT_ONCE")):
        monkeypatch.setattr(module, name, 20)  # small books fill them already
    flat(files(tmp_path), 15, 60, remote=remote)


def test_memory_does_not_grow_with_the_books_in_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((checkpoint, "PAGE"), (scratch, "BATCH"), (queue, "AT_ONCE"), (reading, "AT_ONCE")):
        monkeypatch.setattr(module, name, 20)
    with postgres_url() as one, postgres_url() as other:
        flat([one, other], 15, 60)


@pytest.mark.slow
@pytest.mark.parametrize("remote", [False, True])
def test_memory_does_not_grow_with_large_books(tmp_path: Path, remote: bool) -> None:
    """About 2,000 and 20,000 entries."""
    flat(files(tmp_path), 200, 2_000, remote=remote)


@pytest.mark.slow
def test_memory_does_not_grow_with_large_books_in_postgresql() -> None:
    """The same, where the rows come in portions of their own."""
    with postgres_url() as one, postgres_url() as other:
        flat([one, other], 200, 2_000)


def test_progress_is_told_up_to_the_last_entry(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with books_of(str(tmp_path / "books.db"), 120) as books:
        report = books.verify(progress=lambda done, of: told.append((done, of)))
    assert [done for done, _ in told] == [1000, report.entries]
    assert {of for _, of in told} == {report.entries}


# What it is made of


def test_rows_stand_beside_each_other() -> None:
    left, right = [("a", 1), ("c", 3), ("d", 4)], [("b", 2), ("c", 30), ("e", 5)]
    assert list(beside(left, right)) == [("a", 1, None), ("b", None, 2), ("c", 3, 30), ("d", 4, None), ("e", None, 5)]
    assert list(beside([], right)) == [(name, None, each) for name, each in right]
    assert list(beside(left, [])) == [(name, each, None) for name, each in left]
    found = Ascending(iter(left))
    assert [found.at(name) for name in ("a", "a", "b", "d", "z")] == [1, 1, None, 4, None]


def test_notes_are_read_by_name_and_number() -> None:
    notes = Scratch()
    for number in range(1200):
        notes.note("kind", f"n{number % 3}", -number, [number])
        notes.note("other", "n", 1)
    names = dict(notes.notes("kind"))
    assert list(names) == ["n0", "n1", "n2"]
    assert names["n1"][0] == (-1198, [1198])
    assert list(islice(notes.sums("other"), 2)) == [("n", 1200)]
    notes.answer("a", "one")
    notes.answer("a", "two")
    assert (notes.answered("a"), notes.answered("b")) == ("two", None)
    notes.close()
