"""What was removed so that the rest fits together is shown by an earlier checkpoint, on both databases.

Somebody here has the whole database: no trigger stops him, and he knows how rows and hashes hang together. What he
forgets, or cannot reach, is a checkpoint.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

import tallystick
from postgres_books import postgres_url
from tallystick.engine.verify import Checkpoint, keep, replace, verify
from tallystick.engine.verify.checkpoint import NAME, REPLACED
from tallystick.errors import Invalid, StoreError


class Owner:
    """Somebody who owns the database."""

    def __init__(self, url: str) -> None:
        self.books = tallystick.open(url)
        self.url = url

    def execute(self, *statements: str) -> None:
        """No trigger fires."""
        connection: Any
        if self.url.startswith("postgres"):
            connection = psycopg.connect(self.url)
            connection.execute("SET session_replication_role = replica")
        else:
            connection = sqlite3.connect(self.url.removeprefix("sqlite:///"))
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                connection.execute(f"DROP TRIGGER {name}")
        with closing(connection):
            if self.url.startswith("postgres"):
                connection.execute("SET search_path TO tallystick, public")
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def forget_last(self, card: Any) -> None:
        self.execute(
            f"DELETE FROM entry WHERE entity = 'c1' AND revision > {card.revision}",
            f"UPDATE gift_card SET available = {card.accounts['available']}, revision = {card.revision}, "
            f"hash = '{card.hash}' WHERE id = 'c1'",
        )

    def codes(self, **more: Any) -> set[str]:
        return {each.code for each in self.books.verify(**more).findings}


@pytest.fixture(params=["sqlite", "postgres"])
def owner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Owner]:
    if request.param == "postgres":
        with postgres_url() as url:
            owner = Owner(url)
            sold(owner.books)
            yield owner
            owner.books.close()
        return
    owner = Owner(f"sqlite:///{tmp_path}/books.db")
    sold(owner.books)
    yield owner
    owner.books.close()


def sold(books: tallystick.Books) -> None:
    books.sell_electronic("c1", "100.00", "BRL", order="o1", key="sell")
    books.authorize("p1", "c1", "60.00", order="o2", key="auth")


def card(books: tallystick.Books) -> Any:
    with books.engine.store.reading() as reading:
        return reading.entity("gift_card", "c1")


def test_books_that_go_on_are_clean_and_their_checkpoint_grows(owner: Owner) -> None:
    first = owner.books.verify()
    assert (first.clean, first.compared) == (True, ())
    assert "not known" in first.removals
    owner.books.settle("p1", "20.00", key="ship")
    second = owner.books.verify()
    assert second.clean
    assert second.compared == (first.checkpoint,)
    assert first.checkpoint is not None
    assert second.checkpoint is not None
    assert second.checkpoint.entries == second.entries > first.checkpoint.entries == first.entries
    assert f"all {first.entries} entries" in second.removals
    assert "own checkpoint" in second.removals
    third = owner.books.verify(since=first.checkpoint)
    assert third.clean
    assert set(third.compared) == {first.checkpoint, second.checkpoint}
    assert "own checkpoint" not in third.removals
    assert Checkpoint.read(str(third.checkpoint)) == third.checkpoint


def test_the_last_entry_of_a_card_is_removed_with_its_row(owner: Owner) -> None:
    before = card(owner.books)
    owner.books.reload("c1", "7.00", key="reload")
    seen = owner.books.verify()
    owner.forget_last(before)
    (finding,) = owner.books.verify().findings
    assert finding.code == "removed"
    assert "at least 1 entry" in finding.what
    assert seen.checkpoint is not None
    assert seen.checkpoint.at in finding.where
    assert owner.codes() == {"removed"}, "what was found once is found again: no new checkpoint covers it"


def test_without_a_checkpoint_it_is_not_known_and_that_is_what_is_said(owner: Owner) -> None:
    before = card(owner.books)
    owner.books.reload("c1", "7.00", key="reload")
    owner.forget_last(before)
    report = owner.books.verify()
    assert report.clean
    assert "not known" in report.removals


def test_a_whole_entity_is_removed(owner: Owner) -> None:
    owner.books.engine.execute("payment", "p9", "create", {"order": "o9", "card": "c1", "currency": "BRL"}, key="p9")
    owner.books.reload("c1", "7.00", key="later")
    assert owner.books.verify().clean
    owner.execute("DELETE FROM entry WHERE entity = 'p9'", "DELETE FROM payment WHERE id = 'p9'")
    gapless = owner.books.engine.store.gapless
    assert owner.codes() == ({"removed", "missing"} if gapless else {"removed"})


def test_another_entry_in_its_place_does_not_help(owner: Owner) -> None:
    before = card(owner.books)
    owner.books.reload("c1", "7.00", key="reload")
    assert owner.books.verify().clean
    owner.forget_last(before)
    owner.books.reload("c1", "6.00", key="another")
    (finding,) = owner.books.verify().findings
    assert finding.code == "removed"


def test_a_forger_who_writes_the_checkpoint_too_is_shown_by_the_one_that_was_kept_elsewhere(owner: Owner) -> None:
    before = card(owner.books)
    owner.books.reload("c1", "7.00", key="reload")
    elsewhere = str(owner.books.verify().checkpoint)
    owner.forget_last(before)
    owner.execute(f"DELETE FROM shared WHERE name = '{NAME}'")
    report = owner.books.verify()
    assert report.clean, "all that stands in the database fits together"
    assert "not known" in report.removals
    report = owner.books.verify()
    assert "own checkpoint" in report.removals, "and it is said whose word that is"
    assert owner.codes(since=elsewhere) == {"removed"}


def test_a_checkpoint_that_was_changed_is_a_finding_and_stays(owner: Owner) -> None:
    assert owner.books.verify().clean
    owner.execute(f"UPDATE shared SET value = replace(value, '/', '|') WHERE name = '{NAME}'")
    assert owner.codes() == {"checkpoint"}
    assert owner.codes() == {"checkpoint"}


@pytest.mark.parametrize("change", ["digest", "more", "fewer"])
def test_a_checkpoint_with_other_numbers_is_a_finding(owner: Owner, change: str) -> None:
    now = owner.books.verify().checkpoint
    assert now is not None
    entries = {"digest": now.entries, "more": now.entries + 3, "fewer": now.entries - 1}[change]
    digest = "0" * 64 if change == "digest" else now.digest
    owner.execute(
        f"UPDATE shared SET value = '{Checkpoint(entries, digest, now.at, now.cursor)}' WHERE name = '{NAME}'"
    )
    assert owner.codes() == {"removed"}


def test_nothing_is_kept_of_books_in_which_something_is_wrong(owner: Owner) -> None:
    before = owner.books.engine.store.load(NAME)
    owner.execute("UPDATE gift_card SET available = available + 1")
    report = owner.books.verify()
    assert not report.clean
    assert not keep(owner.books.engine.store, report)
    assert owner.books.engine.store.load(NAME) is before is None


def test_of_two_who_verify_at_once_the_first_keeps_and_nothing_older_replaces_it(owner: Owner) -> None:
    engine = owner.books.engine
    early = verify(engine.machines, engine.store)
    owner.books.reload("c1", "7.00", key="reload")
    late = owner.books.verify()
    assert not keep(engine.store, early)
    assert engine.store.load(NAME) == str(late.checkpoint)
    assert keep(engine.store, verify(engine.machines, engine.store)), "nothing new came: it stands there already"


@pytest.mark.parametrize("text", ["", "12", "12/ab/2026/12", "x/" + "0" * 64 + "/2026/12", 7])
def test_what_is_no_checkpoint_is_said_before_anything_is_read(text: Any) -> None:
    with tallystick.open("memory:") as books, pytest.raises(Invalid, match="no checkpoint"):
        books.verify(since=text)


def test_that_of_other_books_does_not_fit() -> None:
    with tallystick.open("memory:") as books, tallystick.open("memory:") as others:
        sold(books)
        sold(others)
        others.reload("c1", "1.00", key="more")
        report = others.verify(since=books.verify().checkpoint)
        assert {each.code for each in report.findings} == {"removed"}


def test_empty_books_have_none() -> None:
    with tallystick.open("memory:") as books:
        report = books.verify()
        assert (report.clean, report.checkpoint, report.entries) == (True, None, 0)


def test_numbers_that_were_never_used_are_no_missing_entries_where_a_store_leaves_them_out() -> None:
    with postgres_url() as url, tallystick.open(url) as books:
        sold(books)
        with psycopg.connect(url) as own:
            books.reload("c1", "7.00", key="undone", connection=own)
            own.rollback()
        books.reload("c1", "1.00", key="done")
        with books.engine.store.reading() as reading:
            (last,) = reading.chronicle(1)
        report = books.verify()
        assert report.clean
        assert last.seq > report.entries


def test_whoever_may_only_read_verifies_and_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tallystick.open(f"sqlite:///{tmp_path}/books.db") as books:
        sold(books)

        def refused(*_: Any, **__: Any) -> bool:
            raise StoreError("attempt to write a readonly database")

        monkeypatch.setattr(books.engine.store, "swap", refused)
        assert books.verify().clean
        assert books.engine.store.load(NAME) is None


def test_a_journal_that_has_no_order_any_more_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with tallystick.open("memory:") as books:
        sold(books)
        assert books.verify().clean

        def restored(*_: Any) -> Any:
            raise StoreError("these books were restored on another server, which counts transactions anew")

        monkeypatch.setattr(books.engine.store, "tail", restored)
        report = books.verify()
        assert {each.code for each in report.findings} == {"order"}
        assert "findings" in report.removals
        assert "another server" in str(report.findings[0])


# A new one, by hand


def replace_it(owner: Owner, reason: str = "half of a backup") -> None:
    replace(owner.books.engine.store, owner.books.verify(), by="ann", reason=reason, at="2026-03-01T12:00:00.000000Z")


def test_a_checkpoint_whose_entries_are_gone_is_replaced_by_somebody_for_a_reason(owner: Owner) -> None:
    before = card(owner.books)
    owner.books.reload("c1", "7.00", key="reload")
    old = owner.books.verify().checkpoint
    owner.forget_last(before)
    assert owner.codes() == {"removed"}
    replace_it(owner)
    report = owner.books.verify()
    assert report.clean
    assert "ann put a new one there on 2026-03-01: half of a backup" in report.removals
    (kept,) = report.replaced
    assert (kept.by, kept.was) == ("ann", str(old))
    assert "at least 1 entry" in kept.findings[0]
    assert owner.codes(since=old) == {"removed"}, "one that was kept elsewhere still shows it"


def test_one_that_was_damaged_is_replaced_and_both_times_are_kept(owner: Owner) -> None:
    for reason in ("a typing error", "and another"):
        owner.books.verify()
        owner.execute(f"UPDATE shared SET value = 'x' || value WHERE name = '{NAME}'")
        assert owner.codes() == {"checkpoint"}
        replace_it(owner, reason)
    assert [each.reason for each in owner.books.verify().replaced] == ["a typing error", "and another"]
    owner.books.reload("c1", "1.00", key="more")
    assert owner.books.verify().clean


def test_a_new_one_covers_nothing_else(owner: Owner) -> None:
    owner.books.verify()
    owner.execute(
        f"UPDATE shared SET value = 'x' || value WHERE name = '{NAME}'", "UPDATE gift_card SET available = 999999"
    )
    with pytest.raises(Invalid, match="a new checkpoint would cover what else is wrong: balance"):
        replace_it(owner)
    assert {"balance", "checkpoint"} <= owner.codes()


def test_books_that_fit_theirs_get_no_other(owner: Owner) -> None:
    with pytest.raises(Invalid, match="there is nothing to replace"):
        replace_it(owner)


def test_a_new_one_does_not_replace_one_that_came_meanwhile(owner: Owner) -> None:
    owner.books.verify()
    owner.execute(f"UPDATE shared SET value = 'x' || value WHERE name = '{NAME}'")
    seen = owner.books.verify()
    replace_it(owner, "the first")
    with pytest.raises(Invalid, match="another verify has put a checkpoint there meanwhile"):
        replace(owner.books.engine.store, seen, by="bob", reason="the second", at="2026-03-01T12:00:00.000000Z")
    assert [each.reason for each in owner.books.verify().replaced] == ["the first"]


def test_a_record_of_who_replaced_it_that_was_changed_is_found(owner: Owner) -> None:
    owner.books.verify()
    owner.execute(f"UPDATE shared SET value = 'x' || value WHERE name = '{NAME}'")
    replace_it(owner)
    owner.execute(f"UPDATE shared SET value = 'x' || value WHERE name = '{REPLACED}'")
    (finding,) = owner.books.verify().findings
    assert "who replaced a checkpoint cannot be read" in finding.what
