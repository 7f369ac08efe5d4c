"""The writers of a failover: what they count, and that a loss would be found. In a file: no server fails here."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import attrs
import pytest

from tallystick import CommitUnknown, StoreBusy
from tallystick.store.sqlite import SqliteStore
from tallystick.testing.faults.__main__ import main
from tallystick.testing.faults.postgres import failover as module
from tallystick.testing.faults.postgres.failover import NotAnswered, Writers, writing


@pytest.fixture
def written(tmp_path: Path) -> Writers:
    """Two writers that have done something, and stopped."""
    with writing(f"sqlite:///{tmp_path}/books.db", writers=2) as writers:
        _until(lambda: writers.acknowledged() > 8)
    return writers


def _until(holds: Any) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_where_nothing_fails_all_is_acknowledged_and_nothing_is_found(written: Writers) -> None:
    report = written.report()
    assert report.findings == []
    assert report.figures["commands acknowledged"] == written.acknowledged() == 2 * sum(w.settled for w in written.each)


def test_what_was_acknowledged_and_is_not_there_is_found(written: Writers) -> None:
    first = written.each[0].acknowledged[0]
    written.each[0].acknowledged.append(attrs.evolve(first, key="gone/hold", id="gone"))
    assert any("gone/hold is acknowledged, and not in the books" in each for each in written.report().findings)


def test_money_that_was_spent_twice_is_found(written: Writers) -> None:
    written.each[0].settled -= 1
    assert any("are left" in each for each in written.report().findings)


def test_a_hold_that_was_left_is_found(tmp_path: Path) -> None:
    with writing(f"sqlite:///{tmp_path}/books.db", writers=1) as writers:
        _until(lambda: writers.acknowledged() > 2)
        writers.books.authorize("left", card=writers.cards[0], amount=module.PRICE, order="o-left", key="left/hold")
    assert any("are held, though every payment is settled" in each for each in writers.report().findings)


def test_a_commit_that_is_not_known_is_ended_by_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every seventh commit is answered by nobody: half of them were done, and half were not."""
    run, count = SqliteStore.run, [0]

    def sometimes(self: Any, job: Any, *, connection: Any = None) -> Any:
        count[0] += 1
        if count[0] > 60 and count[0] % 14 == 0:
            raise CommitUnknown("lost on its way")
        done = run(self, job, connection=connection)
        if count[0] > 60 and count[0] % 14 == 7:
            raise CommitUnknown("the answer was lost")
        return done

    monkeypatch.setattr(SqliteStore, "run", sometimes)
    with writing(f"sqlite:///{tmp_path}/books.db", writers=1) as writers:
        _until(lambda: len(writers.each[0].unknown) > 6)
    report = writers.report()
    assert report.findings == []
    written, unknown = "of these, their key found them written", "commands whose COMMIT was not known"
    assert 0 < report.figures[written] < report.figures[unknown]


def test_a_writer_that_is_never_answered_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)

    def busy(self: Any, job: Any, *, connection: Any = None) -> Any:
        raise StoreBusy("locked")

    def run() -> None:
        with writing(f"sqlite:///{tmp_path}/books.db", writers=1) as writers:
            _until(lambda: writers.acknowledged() > 2)
            monkeypatch.setattr(SqliteStore, "run", busy)
            time.sleep(0.1)

    with pytest.raises(NotAnswered, match=r"is not answered after .*: locked"):
        run()


def test_the_command_prints_what_it_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "failover",
        "--store",
        f"sqlite:///{tmp_path}/books.db",
        "--seconds",
        "0.2",
        "--writers",
        "1",
        "--json",
    ]
    assert main(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["findings"] == []
    assert said["commands acknowledged"] > 0


def test_pauses_are_between_answers_of_anybody(written: Writers) -> None:
    for writer, moments in zip(written.each, ([1.0, 1.2, 9.0], [1.1, 4.0]), strict=True):
        writer.answered_at = moments
    assert written.pauses() == [2.8, 5.0]
