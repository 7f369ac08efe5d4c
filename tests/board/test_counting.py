"""What takes long is counted beside who asks; what is quick is read anew each time."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tallystick.board.counting import AT_ONCE, Counting


def holding() -> tuple[threading.Event, list[int], Callable[[], int]]:
    """Something to count that waits until it may go on."""
    go, counted = threading.Event(), list[int]()

    def count() -> int:
        counted.append(len(counted))
        assert go.wait(30)
        return len(counted)

    return go, counted, count


def test_what_is_quick_is_read_each_time() -> None:
    counting, numbers = Counting(patience=30), iter(range(9))
    found = [counting("key", lambda: next(numbers)) for _ in range(3)]
    assert [each.value for each in found if each is not None] == [0, 1, 2]


def test_nobody_waits_for_what_takes_long_and_it_is_counted_once() -> None:
    counting = Counting(patience=0.01)
    go, counted, count = holding()
    assert [counting("key", count) for _ in range(5)] == [None] * 5
    assert counted == [0]
    go.set()
    while (found := counting("key", count)) is None:
        pass
    assert found.value == 1
    again = counting("key", count)
    assert again is found, "it is kept for a while"


def test_an_error_is_raised_where_it_was_asked_and_is_not_kept() -> None:
    counting = Counting(patience=30)
    with pytest.raises(ZeroDivisionError):
        counting("key", lambda: 1 // 0)
    found = counting("key", lambda: 7)
    assert found is not None
    assert found.value == 7


def test_only_so_much_is_counted_at_once() -> None:
    counting = Counting(patience=0.001)
    go, counted, count = holding()
    for key in range(AT_ONCE + 5):
        assert counting(key, count) is None
    go.set()
    while counting(AT_ONCE + 6, lambda: 1) is None:
        pass
    assert len(counted) == AT_ONCE
