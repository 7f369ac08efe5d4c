"""The crash harness on a real PostgreSQL: it finds nothing wrong with us, and it would find it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import psycopg
import pytest

from tallystick.store.postgres import store as postgres
from tallystick.store.postgres.transaction import PostgresTransaction
from tallystick.testing.faults.__main__ import main
from tallystick.testing.faults.our_stories import stories
from tallystick.testing.faults.postgres import crash
from tallystick.testing.faults.postgres.crash import FAULTS, postgres_trips
from tallystick.testing.faults.report import FaultReport
from tallystick.testing.postgres_server import NoServer, shared_server

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _there_is_a_server() -> None:
    try:
        shared_server()
    except NoServer as error:
        pytest.skip(str(error))


def disturbed(trips: int, story: str = "answers that nobody wants") -> FaultReport:
    return postgres_trips(next(each for each in stories() if each.name == story), trips)


def test_disturbed_at_a_sample_of_trips_the_books_end_as_on_sqlite() -> None:
    report = disturbed(2 * len(FAULTS))
    assert report.findings == []
    assert {fault: report.figures[fault] for fault in FAULTS} == dict.fromkeys(FAULTS, 2)
    assert report.figures["of these, CommitUnknown"] == 4  # both ways to cut the line at a COMMIT


def test_so_do_the_story_that_makes_the_tables_and_the_one_in_the_orders_own_transaction() -> None:
    made, joined = disturbed(1, "opened"), disturbed(1, "with the order")
    assert made.findings + joined.findings == []
    assert (made.figures["disturbed trips"], joined.figures["disturbed trips"]) == (len(FAULTS) - 1, len(FAULTS))


def test_all_trips_of_a_story_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one is reached: what is read afterwards, to judge, is not among them."""
    monkeypatch.setattr(crash, "FAULTS", ("client killed before",))
    monkeypatch.setattr(crash, "sample", lambda share, of: [of - 1])
    assert disturbed(1).findings == []


def test_the_command_prints_what_it_counted(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["postgres", "--trips", "1", "--story", "answers that nobody wants", "--json"]
    assert main(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["findings"], said["disturbed trips"]) == ([], len(FAULTS))


def test_a_sentence_that_is_not_true_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "UNKNOWN", "nothing was written")
    assert any("the caller is told that nothing was written, but it was" in each for each in disturbed(5).findings)


def test_a_commit_that_is_taken_for_done_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    commit = PostgresTransaction.commit

    def taken_for_done(self: Any) -> None:
        with contextlib.suppress(psycopg.OperationalError):
            commit(self)

    monkeypatch.setattr(PostgresTransaction, "commit", taken_for_done)
    assert any("COMMIT: cut before: it ends with NotFound" in each for each in disturbed(10).findings)
