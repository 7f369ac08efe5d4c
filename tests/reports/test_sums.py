"""Kept sums: reports that are made of them are those that the journal makes, whatever happened and whoever counted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

import tallystick
from postgres_books import postgres_url
from report_world import tell
from tallystick import reports
from tallystick.books.books import Books
from tallystick.engine.sums import bring, forget, kept
from tallystick.provider.scripted import ScriptedProvider
from tallystick.reports import asking, summed
from tallystick.reports.report import Report
from tallystick.store.sqlite import SqliteStore

BOTH = pytest.mark.parametrize("store", ["sqlite", "postgres"])
BY = {
    "liability": ["kind", "card_set", "machine", "state", "age", "currency"],
    "rollforward": ["kind", "card_set", "machine", "figure"],
    "dormant": ["kind", "card_set", "state", "age", "currency"],
    "activity": ["kind", "card_set", "day", "result", "type", "verb"],
    "trial_balance": [],
}


@contextmanager
def books_at(store: str, folder: Path, provider: ScriptedProvider) -> Iterator[Books]:
    url = nullcontext(f"sqlite:///{folder}/books.db") if store == "sqlite" else postgres_url()
    with url as url, tallystick.open(url, provider=provider) as books:
        yield books


def every(books: Books) -> dict[tuple[str, ...], object]:
    """All that the sums can tell, in every way."""
    found: dict[tuple[str, ...], object] = {}
    today = books.engine.now().date()
    for name, groups in BY.items():
        ways = [(), *((each,) for each in groups), tuple(groups[:3])]
        for by in ways if name != "activity" else ways[1:]:
            periods = [{}, {"start": str(today)}, {"end": str(today - timedelta(days=1))}] if name in PERIODS else [{}]
            for period in periods:
                report = reports.ask(books, name, None, period.get("start"), period.get("end"), by)
                found[name, *by, *period.values()] = (report.rows, report.totals)
    for machine in books.engine.machines:
        overlay = reports.overlay(books, machine)
        found["overlay", machine] = (overlay.states, overlay.edges)
    return found


PERIODS = ("rollforward", "activity", "trial_balance")


def without_sums(books: Books, patch: pytest.MonkeyPatch) -> dict[tuple[str, ...], object]:
    with patch.context() as inner:
        inner.setattr(summed, "summed", lambda *_, **__: None)
        return every(books)


@pytest.mark.slow
@BOTH
def test_the_same_as_the_journal(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provider, made = ScriptedProvider(), list[Report]()
    monkeypatch.setattr(kept, "PIECE", 23)
    monkeypatch.setattr(
        asking.Asked,
        "_report",
        lambda self, reading, real=asking.Asked._report: made.append(self) or real(self, reading),
    )
    with books_at(store, tmp_path, provider) as books:
        for at in range(0, 120, 40):
            tell(books, provider, list(range(100 + at, 140 + at)), f"k{at}-", late=True)
            if at != 40:  # once, entries come behind the cursor
                assert bring(books.engine.store, books.engine.machines)
            made.clear()
            assert every(books) == without_sums(books, monkeypatch)
            assert {each.tables is None for each in made} == {True, False}


TAMPER = {
    "_flow": "UPDATE _flow SET amount = amount + 1 WHERE source <> '' AND day = (SELECT min(day) FROM _flow)",
    "_standing": "UPDATE _standing SET valued = valued + 1 WHERE account = '' AND machine = 'gift_card'",
    "_flow was not what": "DELETE FROM _flow WHERE source <> ''",
    "was not counted": "UPDATE _seen SET last = created, used = 0 WHERE used = 1",
    "not counted": "DELETE FROM _seen WHERE machine = 'payment'",
    "do not end": "UPDATE shared SET value = replace(value, '\"cursor\":\"', '\"cursor\":\"1') WHERE name = 'sums'",
}


@pytest.mark.slow
@BOTH
def test_verify_finds_a_wrong_sum_and_they_are_made_anew(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = ScriptedProvider()
    with books_at(store, tmp_path, provider) as books:
        tell(books, provider, list(range(200, 240)), late=True)
        engine = books.engine
        bring(engine.store, engine.machines)
        tell(books, provider, list(range(240, 250)), "later")
        assert books.verify().clean
        for says, tamper in TAMPER.items():
            written(books, tamper)
            found = [each for each in books.verify().findings if each.code == "sums"]
            assert found, says
            assert any(says.split()[0] in str(each) or says in str(each) for each in found), (says, found)
            forget(engine.store)
            bring(engine.store, engine.machines)
            assert books.verify().clean
        assert every(books) == without_sums(books, monkeypatch)


def written(books: Books, statement: str) -> None:
    """By somebody who has the database."""
    store = books.engine.store
    if isinstance(store, SqliteStore):
        with closing(sqlite3.connect(store.path)) as raw, raw:
            raw.execute(statement)
    else:
        with psycopg.connect(store.url, options="-c search_path=tallystick", autocommit=True) as raw:
            raw.execute(statement)


def paged(books: Books, name: str, most: int) -> list[object]:
    """All pages of a report, one after the other."""
    found: list[object] = []
    after: tuple[str, ...] | None = ()
    while after is not None:
        report = reports.ask(books, name, None, None, None, (), reports.Page(most, after))
        assert len(report.rows) <= most
        found += report.rows
        after = report.rest
    return found


@pytest.mark.parametrize("store", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def test_pages_of_a_list_have_each_thing_once(store: str, tmp_path: Path) -> None:
    provider = ScriptedProvider()
    with books_at(store, tmp_path, provider) as books:
        tell(books, provider, list(range(400, 460)))
        provider.wait(370 * 86400.0)
        assert len(reports.dormant(books).rows) > 3
        assert len(reports.advanced_holds(books).rows) > 1
        for kept_now in (False, True):
            if kept_now:
                bring(books.engine.store, books.engine.machines)
                books.reload("c0", "1", key="later")  # it is not dormant any more, and came behind the sums
            for name in ("dormant", "advanced_holds"):
                whole = reports.ask(books, name, None, None, None, ())
                for most in (1, 2, 100):
                    assert paged(books, name, most) == list(whole.rows)
                assert reports.ask(books, name, None, None, None, (), reports.Page(1)).totals == whole.totals
        short = reports.ask(books, "advanced_holds", None, None, None, (), reports.Page(100, above="short"))
        assert list(short.rows) == [row for row in reports.advanced_holds(books).rows if int(str(row["short"])) > 0]
        for by, page in ((("kind",), reports.Page(1)), ((), reports.Page(1, ("2026-01-01",)))):
            with pytest.raises(tallystick.Invalid, match="has no such page"):
                reports.ask(books, "dormant", None, None, None, by, page)
