"""The feed: whoever follows the books hears of every entry once, also of what nobody's receipt told."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import tallystick
from tallystick import Books, Conflict, Invalid, Money
from tallystick.books.feed import Tail
from tallystick.provider.scripted import Reply, ScriptedProvider
from tallystick.testing.faults.child_process import start_child, wait_for_child

PAST = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture(params=["memory:", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory:" else str(tmp_path / "books.db")


@pytest.fixture
def books(url: str) -> Iterator[Books]:
    with tallystick.open(url) as opened:
        opened.sell_electronic("c", "50.00", "BRL", order="o-1", key="o-1/c")
        opened.authorize("p", "c", "40.00", order="o-2", key="o-2/pay")
        yield opened


def told(tail: Tail) -> list[tuple[str, str]]:
    return [(each.id, each.transition) for each in tail.entries]


def test_the_feed_has_the_entries_of_all_histories(books: Books) -> None:
    found = books.tail()
    assert sorted(found.entries, key=lambda each: (each.id, each.revision)) == [
        *books.history("gift_card", "c"), *books.history("fulfilment", "o-1/c"), *books.history("payment", "p"),
    ]  # fmt: skip
    assert (found.entries[-1].order, found.entries[-1].card) == ("o-2", "c")
    assert found.entries[-1].after["held"] == Money.parse("40.00", "BRL")
    assert books.tail(found.cursor) == Tail([], found.cursor, found.cursor)


def test_it_is_read_on_in_pieces(books: Books) -> None:
    pieces, cursor = [], None
    while (piece := books.tail(cursor, 2)).entries:
        pieces.append(piece)
        cursor = piece.cursor
    assert [each for piece in pieces for each in piece.entries] == books.tail().entries
    assert {len(piece.entries) for piece in pieces[:-1]} == {2}
    assert [piece.after for piece in pieces] == [None, *(piece.cursor for piece in pieces[:-1])]


@pytest.mark.parametrize("limit", [0, -1, 1001, 2.0, True, "5"])
def test_a_limit_is_a_number_of_entries(books: Books, limit: object) -> None:
    with pytest.raises(Invalid, match=r"limit is a whole number from 1 to 1,000"):
        books.tail(None, limit)  # type: ignore[arg-type]


def test_a_cursor_of_other_books_is_refused(books: Books) -> None:
    """Such as of these, before they were put back to an older copy: who reads on would miss what is done anew."""
    newest = int(books.tail().cursor)
    with pytest.raises(Invalid, match=f"of other books: the newest entry of these is {newest}"):
        books.tail(str(newest + 1))


def test_a_subscriber_hears_again_what_it_has_not_acknowledged(books: Books, url: str) -> None:
    shop = books.subscribe("shop")
    first = shop.read(3)
    assert shop.read(3) == first
    shop.acknowledge(first)
    assert told(shop.read()) == told(books.tail(first.cursor))
    assert (shop.acknowledged, books.subscribe("other").acknowledged) == (first.cursor, None)
    if url != "memory:":
        with tallystick.open(url) as elsewhere:
            assert elsewhere.subscribe("shop").read() == shop.read()


def test_of_two_that_read_under_one_name_one_acknowledges(books: Books) -> None:
    one, other = books.subscribe("shop"), books.subscribe("shop")
    ours, theirs = one.read(2), other.read(3)
    one.acknowledge(ours)
    with pytest.raises(Conflict, match=r"subscriber 'shop' has been acknowledged from elsewhere .* read again"):
        other.acknowledge(theirs)
    with pytest.raises(Conflict):
        one.acknowledge(ours)
    assert one.acknowledged == ours.cursor


def test_a_new_subscriber_may_begin_later(books: Books) -> None:
    now = books.tail().cursor
    late = books.subscribe("late", begin=now)
    assert late.read().entries == []
    books.cancel("p", key="o-2/cancel", by="ann")
    heard = late.read()
    assert told(heard) == [("p", "cancel"), ("c", "release_hold")]
    assert heard.entries[0].by == "ann"
    late.acknowledge(heard)
    assert books.subscribe("late", begin=now).read().entries == [], "only a new name begins there"


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201, 7])
def test_a_subscriber_has_a_name(books: Books, name: object) -> None:
    with pytest.raises(Invalid, match="a subscriber's name is a text"):
        books.subscribe(name)  # type: ignore[arg-type]


def test_what_became_due_or_was_recovered_is_heard(tmp_path: Path) -> None:
    provider = ScriptedProvider()
    with tallystick.open(str(tmp_path / "books.db"), provider=provider) as books:
        books.sell_electronic("c", "50.00", "BRL", order="o-1", key="o-1/c")
        books.authorize("p", "c", "40.00", order="o-2", key="o-2/pay")
        books.settle("p", "5.00", last=True, key="o-2/ship", due=PAST)
        shop = books.subscribe("shop", begin=books.tail().cursor)
        provider.reply_with([Reply("lost_after")])
        (due,) = books.run_due()
        assert due.result is tallystick.Ended.IN_DOUBT
        asked = shop.read()
        assert {(each.phase, each.key) for each in asked.entries} == {("asked", "o-2/ship")}
        shop.acknowledge(asked)
        provider.wait(1)
        books.recover(timedelta(0))
        ended = shop.read()
        assert {(each.phase, each.key) for each in ended.entries} == {("confirmed", "o-2/ship")}
        assert {each.order for each in ended.entries} == {"o-2"}


# Readers that are killed


def _read(path: str, log: Path, wanted: int) -> None:
    """Read under one name, write down what was given and its cursor, acknowledge; until everything has come."""
    with tallystick.open(path) as books:
        shop = books.subscribe("shop")
        while True:
            found = shop.read(7)
            if not found.entries:
                if int(found.cursor) >= wanted:
                    return
                time.sleep(0.002)
                continue
            for each in found.entries:
                with log.open("a") as lines:
                    lines.write(f"{found.after or 0} {each.id} {each.revision}\n")
            shop.acknowledge(found)


def _write(path: str, name: str, cards: int) -> None:
    with tallystick.open(path) as books:
        for number in range(cards):
            books.sell_electronic(f"{name}-{number}", "5.00", "BRL", order="o", key=f"{name}/{number}")


@pytest.mark.slow
def test_a_killed_reader_misses_nothing_and_gets_nothing_again_that_it_acknowledged(tmp_path: Path) -> None:
    path, log, random_ = str(tmp_path / "books.db"), tmp_path / "log", random.Random(5)
    _write(path, "first", 1)
    with tallystick.open(path) as books:
        each_card = len(books.tail().entries)
    wanted = (1 + 3 * 40) * each_card
    writers = [start_child(lambda name=name: _write(path, name, 40)) for name in ("a", "b", "c")]  # type: ignore[misc]
    kills = 0
    while True:
        reader = start_child(lambda: _read(path, log, wanted))
        time.sleep(random_.uniform(0.02, 0.15))
        if kills == 12:
            assert wait_for_child(reader) == ""
            break
        os.kill(reader, signal.SIGKILL)
        kills += wait_for_child(reader) == "killed"
    assert [wait_for_child(writer) for writer in writers] == ["", "", ""]

    with tallystick.open(path) as books:
        rows, cursor = list[tuple[str, int]](), None
        while (piece := books.tail(cursor)).entries:
            rows += [(each.id, each.revision) for each in piece.entries]
            cursor = piece.cursor
    assert len(rows) == wanted
    at: dict[tuple[str, int], set[int]] = {}
    for line in log.read_text().splitlines():
        after, id, revision = line.split()
        at.setdefault((id, int(revision)), set()).add(int(after))
    assert list(dict.fromkeys(at)) == rows, "each was given, in the order of the commits"
    assert {len(cursors) for cursors in at.values()} == {1}, "again only from a cursor that was not acknowledged"
