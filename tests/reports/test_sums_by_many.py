"""Kept sums brought up to date by several at once, by one that is killed, by another version of a page, after a dump
was restored: they are right, or they are not taken."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from test_sums import BOTH, every, without_sums

import tallystick
from postgres_books import postgres_url
from report_world import tell
from tallystick import reports
from tallystick.engine.sums import bring, forget, keep_up, kept, summed
from tallystick.errors import StoreError
from tallystick.fleet.worker import Worker
from tallystick.provider.scripted import BEGINS, ScriptedProvider
from tallystick.reports import summed as made_of_sums
from tallystick.store.sums import NAME
from tallystick.testing.faults.child_process import KILLED, run_in_child, start_child, wait_for_child

PAGES = Path(__file__).parents[2] / "machines"


@contextmanager
def url_of(store: str, folder: Path) -> Iterator[str]:
    with nullcontext(f"sqlite:///{folder}/books.db") if store == "sqlite" else postgres_url() as url:
        yield url


def lived_in(url: str, numbers: range = range(300, 330), name: str = "k") -> None:
    provider = ScriptedProvider()
    with tallystick.open(url, provider=provider) as books:
        tell(books, provider, list(numbers), name)


def brought(url: str, provider: str = "scripted") -> bool:
    with tallystick.open(url, provider=provider) as books:
        return bring(books.engine.store, books.engine.machines)


def right(url: str, patch: pytest.MonkeyPatch, provider: str = "scripted") -> None:
    """They are kept, `verify` finds nothing, and reports are those of the journal."""
    with tallystick.open(url, provider=provider) as books:
        with books.engine.store.reading() as reading:
            assert summed(reading, books.engine.machines) is not None
        assert not [each for each in books.verify().findings if each.code == "sums"]
        assert every(books) == without_sums(books, patch)


@pytest.mark.slow
@BOTH
def test_two_processes_at_once_count_everything_once(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "PIECE", 2)
    with url_of(store, tmp_path) as url:
        lived_in(url)
        children = [start_child(lambda: brought(url)) for _ in range(2)]
        assert [wait_for_child(each) for each in children] == ["", ""]
        right(url, monkeypatch)


@pytest.mark.slow
@BOTH
def test_one_that_is_killed_in_a_piece_has_not_counted_it(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "PIECE", 40)
    pieces: list[int] = []

    def killed(self: object, transaction: object, tables: object, real: Callable[..., bool]) -> bool:
        pieces.append(1)
        done = real(self, tables, transaction)
        if len(pieces) == 3:  # its rows are written, and not committed
            flush = getattr(transaction, "flush", None)
            if flush is not None:
                flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    with url_of(store, tmp_path) as url:
        lived_in(url)
        real = kept._Piece.write
        with monkeypatch.context() as patch:
            patch.setattr(kept._Piece, "write", lambda self, machines, tx: killed(self, tx, machines, real))
            assert run_in_child(lambda: brought(url)) == KILLED
        right(url, monkeypatch)  # as far as it came
        assert brought(url)
        right(url, monkeypatch)


def with_another_customer(folder: Path) -> Path:
    """A newer page of the card, by which a customer is behind fewer commands."""
    page = (PAGES / "gift_card.yaml").read_text(encoding="utf-8")
    version = int(re.search(r"^version: (\d+)", page, re.MULTILINE)[1])  # type: ignore[index]
    page = page.replace(f"version: {version}", f"version: {version + 1}", 1)
    listed = re.search(r"^customer: \[.*?\]", page, re.MULTILINE | re.DOTALL)
    assert listed is not None
    folder.mkdir()
    (folder / "gift_card.yaml").write_text(page.replace(listed[0], "customer: [register]"), encoding="utf-8")
    return folder


@pytest.mark.slow
@BOTH
def test_a_page_with_other_customers_makes_them_anew(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with url_of(store, tmp_path) as url:
        lived_in(url)
        with tallystick.open(url, provider="scripted") as old:
            engine = old.engine
            assert bring(engine.store, engine.machines)
            text = engine.store.load(NAME)
            with tallystick.open(url, provider="scripted", machines=with_another_customer(tmp_path / "pages")) as new:
                with new.engine.store.reading() as reading:
                    assert summed(reading, new.engine.machines) is None, "they were counted by another page"
                assert not [each for each in new.verify().findings if each.code == "sums"]
                told = every(new)
                assert not bring(engine.store, engine.machines), "who does not know the newest page leaves them"
                assert engine.store.load(NAME) == text
                assert bring(new.engine.store, new.engine.machines)
                assert every(new) == told
                with engine.store.reading() as reading:
                    assert summed(reading, engine.machines) is None
        with tallystick.open(url, provider="scripted", machines=tmp_path / "pages") as new:
            assert not [each for each in new.verify().findings if each.code == "sums"]
            assert every(new) == without_sums(new, monkeypatch)


@pytest.mark.slow
def test_after_a_dump_was_restored_they_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server that has not reached the numbers of the transactions that are in it."""
    with postgres_url() as url:
        lived_in(url)
        with psycopg.connect(url, autocommit=True) as raw:
            raw.execute("SET session_replication_role = replica")
            raw.execute("UPDATE tallystick.entry SET xid = (xid::text::bigint + 999999999)::text::xid8")
        assert brought(url)
        right(url, monkeypatch)
        lived_in(url, range(330, 345), "later")
        right(url, monkeypatch)
        assert brought(url)
        right(url, monkeypatch)


@pytest.mark.slow
def test_a_later_entry_that_the_tail_gives_first_waits_for_the_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction of PostgreSQL takes its number before it waits for a lock."""
    monkeypatch.setattr(kept, "PIECE", 1)
    with postgres_url() as url:
        lived_in(url, range(300, 310))
        with psycopg.connect(url, autocommit=True) as raw:
            raw.execute("SET session_replication_role = replica")
            number = "xid::text::bigint"  # of three that follow each other, the last comes first
            raw.execute(f"UPDATE tallystick.entry SET xid = ({number} - {number} % 3 * 4)::text::xid8")
        with tallystick.open(url, provider="scripted") as books, books.engine.store.reading() as reading:
            rows, _ = reading.tail(None, 1000)
        turned = [
            row for at, row in enumerate(rows) for later in rows[at:] if row[:2] == later[:2] and row[2] > later[2]
        ]
        assert turned
        assert brought(url)
        right(url, monkeypatch)


@pytest.mark.slow
@BOTH
def test_who_writes_meanwhile_is_counted_once(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "PIECE", 3)

    def write(name: str) -> None:
        with tallystick.open(url) as books:
            for at in range(40):
                books.redeem(f"{name}-{at}", f"c-{at % 2}", "0.10", order="o", key=f"{name}-{at}")

    def count() -> None:
        with tallystick.open(url) as books:
            until = time.monotonic() + 5
            while time.monotonic() < until:
                bring(books.engine.store, books.engine.machines)
                assert not [each for each in books.verify().findings if each.code == "sums"]

    with url_of(store, tmp_path) as url:
        with tallystick.open(url) as books:
            for at in range(2):
                books.sell_electronic(f"c-{at}", "50.00", "BRL", order="o", key=f"k{at}")
        jobs = [count, count, lambda: write("a"), lambda: write("b")]
        assert [wait_for_child(each) for each in [start_child(job) for job in jobs]] == ["", "", "", ""]
        assert brought(url, "local")
        right(url, monkeypatch, "local")


@pytest.mark.slow
@BOTH
def test_books_put_back_to_an_older_copy_are_counted_anew(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a cursor that lies behind all entries, as if only a part of the tables had been put back."""
    with url_of(store, tmp_path) as url:
        lived_in(url)
        with tallystick.open(url, provider="scripted") as books:
            engine = books.engine
            assert bring(engine.store, engine.machines)
            text = engine.store.load(NAME)
            assert text is not None
            beyond = "999999999" if store == "sqlite" else "999999999999.9"
            assert engine.store.swap(NAME, text, json.dumps({**json.loads(text), "cursor": beyond}))
            with engine.store.reading() as reading:
                assert summed(reading, engine.machines) is None
            assert [each.code for each in books.verify().findings] == ["sums"]
            assert bring(engine.store, engine.machines)
        right(url, monkeypatch)


@pytest.mark.slow
@BOTH
def test_an_entry_of_an_earlier_day_counts_on_its_day(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes have clocks of their own; one may be behind the day that was counted already."""
    provider = ScriptedProvider()
    with url_of(store, tmp_path) as url:
        for at, days in enumerate((10, 7, -5, 8)):  # the 10th, 17th, 12th and 20th day
            provider.wait(days * 86400.0)
            with tallystick.open(url, provider=provider) as books:
                books.sell_electronic(f"c-{at}", "50.00", "BRL", order="o", key=f"k{at}")
                books.redeem(f"p-{at}", f"c-{at}", "1.00", order="o", key=f"p{at}")
                assert at >= 2 or bring(books.engine.store, books.engine.machines)
        with tallystick.open(url, provider=provider) as books:
            assert books.verify().clean
            assert every(books) == without_sums(books, monkeypatch)
            for days, total in ((9, 0), (10, 4900), (12, 9800), (16, 9800), (17, 14700), (19, 14700)):
                day = str((BEGINS + timedelta(days=days)).date())
                found = [row["closing"] for row in reports.rollforward(books, end=day).totals]
                assert found == ([total] if total else [])
                assert [row["total"] for row in reports.liability(books, as_of=day).totals] == found


def test_the_board_and_others_that_only_read_take_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    lived_in(url)
    assert brought(url)
    lived_in(url, range(330, 345), "later")
    with tallystick.open(url, read_only=True) as books:
        with pytest.raises(StoreError, match="read only"):
            bring(books.engine.store, books.engine.machines)
        with books.engine.store.reading() as reading:
            assert summed(reading, books.engine.machines) is not None
        assert every(books) == without_sums(books, monkeypatch)


def test_a_worker_keeps_up_those_of_large_books_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    lived_in(url)
    with tallystick.open(url, provider="scripted") as books:
        keep_up(books.engine.store, books.engine.machines)
        assert books.engine.store.load(NAME) is None, "these are small"
        monkeypatch.setattr(kept, "MOST", 10)
        monkeypatch.setattr("tallystick.fleet.worker.SUMS_EVERY", 0.01)
        worker = Worker(books.engine)
        running = threading.Thread(target=worker.run)
        running.start()
        while books.engine.store.load(NAME) is None and running.is_alive():
            time.sleep(0.01)
        worker.stop()
        running.join()
        assert books.engine.store.load(NAME) is not None
    right(url, monkeypatch)


def test_a_long_report_counts_what_was_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    lived_in(url)
    with tallystick.open(url, provider="scripted") as books:
        monkeypatch.setattr(kept, "MOST", 10)
        monkeypatch.setattr(made_of_sums, "MOST", 10)
        first = reports.liability(books, by=("state",))
        assert books.engine.store.load(NAME) is not None
        with monkeypatch.context() as patch:
            patch.setattr(made_of_sums, "summed", lambda *_, **__: None)
            assert reports.liability(books, by=("state",)).rows == first.rows
        forget(books.engine.store)
        with tallystick.open(url, read_only=True) as looking:  # nobody counts: it is made of the journal
            assert reports.liability(looking, by=("state",)).rows == first.rows


@pytest.mark.slow
def test_a_role_that_may_not_keep_them_still_gets_its_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres_url() as url:
        if "postgres@" not in url:
            pytest.skip("another login")
        lived_in(url)
        with psycopg.connect(url, autocommit=True) as raw:
            raw.execute("DROP ROLE IF EXISTS reader_of_sums; CREATE ROLE reader_of_sums LOGIN")
            raw.execute("GRANT USAGE ON SCHEMA tallystick TO reader_of_sums")
            raw.execute("GRANT SELECT ON ALL TABLES IN SCHEMA tallystick TO reader_of_sums")
            raw.execute("GRANT SELECT, UPDATE, INSERT ON tallystick.shared TO reader_of_sums")
            raw.execute("REVOKE TEMPORARY, CREATE ON DATABASE postgres FROM reader_of_sums")
        try:
            with tallystick.open(url.replace("postgres@", "reader_of_sums@"), provider="scripted") as books:
                monkeypatch.setattr(kept, "MOST", 10)
                monkeypatch.setattr(made_of_sums, "MOST", 10)
                with pytest.raises(StoreError, match=r"_flow|_standing|_seen"):
                    bring(books.engine.store, books.engine.machines)
                keep_up(books.engine.store, books.engine.machines)
                assert books.engine.store.load(NAME) is None, "nothing half is there"
                assert every(books) == without_sums(books, monkeypatch)
        finally:
            with psycopg.connect(url, autocommit=True) as raw:
                raw.execute("DROP OWNED BY reader_of_sums; DROP ROLE reader_of_sums")
