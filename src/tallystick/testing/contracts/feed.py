"""What a store promises to those who read all of its entries: each comes once, in the order of the commits."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from tallystick.errors import Invalid
from tallystick.store.protocol import Store
from tallystick.store.rows import EntryRow
from tallystick.testing.contracts.changes import at_once, born, funded, put, stopped


class Feed:
    def test_entries_are_read_on_from_a_cursor(self, store: Store) -> None:
        with store.reading() as look:
            nothing, start = look.tail(None, 5)
            assert nothing == []
            assert look.tail(start, 5) == ([], start), "nothing has come"
        funded(store)
        with store.reading() as look:
            every, end = look.tail(None, 100)
            assert [each.hash for each in every] == [each.hash for each in look.chronicle(100)]
            assert look.tail(start, 100) == (every, end), "the cursor of empty books is one, too"
            assert look.tail(end, 100) == ([], end)
            first, cursor = look.tail(None, 2)
            second, cursor = look.tail(cursor, 2)
            rest, cursor = look.tail(cursor, 100)
        assert (first, second, rest, cursor) == (every[:2], every[2:4], every[4:], end)
        put(store, born("c2"))
        with store.reading() as look:
            (late,), _ = look.tail(end, 100)
        assert late.entity == "c2"

    def test_what_was_undone_is_not_read(self, store: Store) -> None:
        with store.reading() as look:
            _, cursor = look.tail(None, 5)
        with pytest.raises(ZeroDivisionError):
            stopped(store, born("c1"))
        with store.reading() as look:
            assert look.tail(cursor, 5) == ([], cursor)
        put(store, born("c2"))
        with store.reading() as look:
            assert [each.entity for each in look.tail(cursor, 5)[0]] == ["c2"]

    @pytest.mark.parametrize("cursor", ["", "-1", "x", "1;", "١", "9" * 40, "1 "])
    def test_what_is_no_cursor_is_refused(self, store: Store, cursor: str) -> None:
        put(store, born("c1"))
        with store.reading() as look, pytest.raises(Invalid, match="cursor"):
            look.tail(cursor, 5)

    def test_while_many_write_each_entry_is_read_once(self, store: Store) -> None:
        writers, each_writes = 4, 12
        read: dict[str, list[EntryRow]] = {"slow": [], "quick": []}
        over = threading.Event()
        left = iter(range(writers - 1))

        def write(writer: int) -> None:
            for number in range(each_writes):
                put(store, born(f"{writer}-{number}"))
            if next(left, None) is None:
                over.set()

        def follow(name: str, limit: int) -> None:
            cursor = None
            while True:
                last = over.is_set()  # before the look: what comes after it is in the next one
                with store.reading() as look:
                    rows, cursor = look.tail(cursor, limit)
                read[name] += rows
                if last and not rows:
                    return

        jobs = [partial(write, writer) for writer in range(writers)]
        at_once([*jobs, partial(follow, "slow", 3), partial(follow, "quick", 99)])
        wanted = sorted(f"{writer}-{number}" for writer in range(writers) for number in range(each_writes))
        for rows in read.values():
            assert sorted(row.entity for row in rows) == wanted
        assert [row.entity for row in read["slow"]] == [row.entity for row in read["quick"]]
