"""The benchmarks measure what they say. Nothing is timed here."""

from __future__ import annotations

import importlib
import sqlite3
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from benchmarks import __main__ as benchmarks
from benchmarks import large_books, rivals
from benchmarks.measure import Result
from benchmarks.opponents import by_hand, rules
from benchmarks.page import page
from benchmarks.profiling import Profile
from benchmarks.rows import Row, rows

from tallystick.engine.verify import verify


def test_every_row_has_code_and_says_what_the_other_does() -> None:
    for row in rows():
        file, _, function = row.code.partition(".")
        timed = importlib.import_module(f"benchmarks.timed.{file}")
        assert callable(getattr(timed, function)), row.name
        assert row.theirs.endswith("."), row.name
    assert len({row.name for row in rows()}) == len(rows())


def test_the_code_by_hand_writes_the_same_rows(tmp_path: Path) -> None:
    rivals.same_rows(tmp_path)


@pytest.mark.slow
def test_so_does_the_code_by_hand_for_postgresql() -> None:
    from tallystick.testing.postgres_server import NoServer, shared_server

    try:
        shared_server()
    except NoServer as error:
        pytest.skip(str(error))
    postgres = importlib.import_module("benchmarks.timed.postgres")
    postgres.same_rows()


@pytest.mark.parametrize("library", ["python_statemachine", "xstate_statemachine"])
def test_so_does_a_library_that_decides(library: str, tmp_path: Path) -> None:
    pytest.importorskip(library.removeprefix("python_"))
    rivals.same_rows(tmp_path, getattr(rules, library)())


def test_other_rows_by_hand_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = by_hand._redeem
    monkeypatch.setattr(by_hand, "_redeem", lambda card, amount, *rest: right(card, amount - 1, *rest))
    with pytest.raises(AssertionError, match="writes other rows to entry"):
        rivals.same_rows(tmp_path)


def test_large_books_pass_verify_and_wait_for_as_much(tmp_path: Path) -> None:
    for cards in (100, 300):
        path = tmp_path / f"{cards}.db"
        entries = large_books.make(path, cards)
        engine = rivals.opened(path)
        report = verify(engine.machines, engine.store)
        assert not report.findings
        assert report.entries == entries
        engine.store.close()
        with closing(sqlite3.connect(path)) as books:
            held, uncovered = books.execute("SELECT sum(held > 0), sum(uncovered > 0) FROM payment").fetchone()
            assert (held, uncovered) == (large_books.WAITING, large_books.WAITING)
            assert books.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'").fetchone()[0] > 10


def test_check_names_what_misses_its_target(capsys: pytest.CaptureFixture[str]) -> None:
    slow = next(row for row in rows() if row.name == "redeem")
    small = next(row for row in rows() if row.name == "open")
    free = attrs.evolve(slow, name="free", limit=None)
    results = [Result(slow, [0.66, 0.64, 0.1]), Result(small, [49.0, 50.0, 51.0]), Result(free, [0.01])]
    assert benchmarks._checked(results) == 1
    assert capsys.readouterr().err == "redeem: 0.64 × the speed; the target is ≥ 0.65 × the speed\n"
    assert benchmarks._checked([Result(slow, [0.65]), Result(small, [50.0])]) == 0


def test_a_missed_row_says_what_was_tried() -> None:
    slow = attrs.evolve(next(row for row in rows() if row.name == "redeem"), tried="Two spoons, in vain.")
    missed = Result(slow, [0.1], profile=Profile([("spoons", 1.0)], [("spoon", 1.0, 2)]))
    assert "Two spoons, in vain." in page([missed], {})
    assert "Two spoons, in vain." not in page([attrs.evolve(missed, values=[0.9])], {})


def test_check_fails_where_a_target_was_not_measured(capsys: pytest.CaptureFixture[str]) -> None:
    row = next(row for row in rows() if row.name == "postgres_one")
    assert benchmarks._checked([Result(row, absent="there is no server")]) == 1
    assert "postgres_one: was not measured: there is no server" in capsys.readouterr().err


def test_the_sides_of_a_target() -> None:
    def met(kind: str, value: float) -> bool | None:
        row = Row("r", "g", "what", "against", "theirs", kind, 2.0, "file.function", {})
        return Result(row, [value]).met

    assert [met(kind, value) for kind in ("speed", "time") for value in (1.9, 2.0, 2.1)] == [
        False, True, True, True, True, False,
    ]  # fmt: skip
