"""Views are for readers: whatever a page says, and whoever reads or may not write them, books open."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

import tallystick
from postgres_books import postgres_url, template
from tallystick.cli.main import main
from tallystick.definition import reader
from tallystick.definition.machine import Machines
from tallystick.errors import StoreError
from tallystick.reports import activity
from tallystick.store.open import open_store
from tallystick.store.postgres.store import PostgresStore
from tallystick.store.schema.views import VIEWS, _Views
from tallystick.testing.contracts.changes import MACHINES, pages, second
from tallystick.testing.postgres_server import new_database

PARCEL = """
machine: parcel
version: 1
summary: One parcel.
facts:
  order: {is: count, says: Its place among the parcels of the day.}
states:
  open: {start: true, says: Open.}
  done: {final: true, says: Done.}
commands:
  send: {}
transitions:
  send:
    from: open
    to: done
"""
VOUCHER = """
machine: voucher
version: 1
summary: A voucher.
facts:
  kind: {is: count, says: Which.}
accounts:
  available: May be spent.
outside:
  issuance: {says: Sold., by: {put: issued}}
states:
  open: {start: true, says: Open.}
  used: {final: true, says: Used.}
commands:
  put: {amount: money}
  use: {}
transitions:
  put:
    from: open
    when: amount > 0
    move: {issuance -> available: amount}
  use:
    from: open
    to: used
    when: available == 0
"""


def with_page(text: str) -> Machines:
    texts = {file.name: file.read_text(encoding="utf-8") for file in reader.packaged_folder().glob("*.yaml")}
    return reader.read({**texts, "own.yaml": text})


OWN = {
    "a fact `order` that counts": lambda: with_page(PARCEL),
    "a second ledger whose kind counts": lambda: with_page(VOUCHER),
    "a second ledger without a kind": lambda: with_page(VOUCHER.replace("kind:", "sort:")),
    "a second ledger whose kind is a flag": lambda: with_page(VOUCHER.replace("kind: {is: count", "kind: {is: flag")),
    "a second ledger whose account is another": lambda: with_page(VOUCHER.replace("available", "ready")),
    "a payment without hold_id": lambda: pages(payment=lambda text: text.replace("hold_id", "hold_ref")),
    "a payment without redeemed": lambda: pages(
        **dict.fromkeys(
            ["payment", "tender", "gift_card", "replacement"], lambda text: text.replace("redeemed", "earned_")
        )
    ),
}


@pytest.fixture(params=["sqlite", "postgres"])
def books_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/books.db"
        return
    template(0)
    with new_database() as url:
        yield url


@pytest.mark.parametrize("which", OWN)
def test_every_view_can_be_read_with_a_page_of_ones_own(
    books_url: str, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(books_url)
    with caplog.at_level(logging.WARNING):
        store.machines(OWN[which]())
    assert caplog.messages == []
    with store.reading() as reading:
        for view in VIEWS:
            assert reading.select(f"SELECT * FROM {view}") == [], view
    store.close()


def test_a_view_that_cannot_be_made_is_left_out_and_said(
    books_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_Views, "_order", lambda self: ("", "o9.no_such_column"))
    store = open_store(books_url)
    with caplog.at_level(logging.WARNING):
        store.machines(MACHINES)
    assert sorted(message.split(" was not made: ")[0] for message in caplog.messages) == [
        "the view v_activity", "the view v_event",
    ]  # fmt: skip
    with store.reading() as reading:
        for view in set(VIEWS) - {"v_activity", "v_event"}:
            assert reading.select(f"SELECT * FROM {view}") == []
    store.close()


def test_a_report_says_which_view_it_has_not_and_init_makes_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    with tallystick.open(url) as books:
        with closing(sqlite3.connect(tmp_path / "books.db")) as raw, raw:
            raw.execute("DROP VIEW v_activity")
        with pytest.raises(StoreError, match="v_activity, which this report reads, cannot be read; `tallystick init`"):
            activity(books)
        run("init", "--store", url)
        assert activity(books).rows == ()


# On a server, with its rights and its other sessions

RIGHTS = (
    "GRANT USAGE ON SCHEMA tallystick TO {role}; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA tallystick TO {role};"
    "GRANT DELETE ON tallystick.shared, tallystick._flow, tallystick._standing, tallystick._seen TO {role}; GRANT USAGE ON ALL SEQUENCES IN SCHEMA tallystick TO {role}"
)


@pytest.fixture
def url() -> Iterator[str]:
    with postgres_url() as found:
        yield found


@pytest.fixture
def raw(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path TO tallystick")
        yield connection


@pytest.fixture
def shop(url: str, raw: psycopg.Connection[Any]) -> Iterator[str]:
    """The URL of a role that has no more rights than it needs."""
    if "postgres@" not in url:
        pytest.skip("another login")
    role = "shop_of_views"
    raw.execute(f"DROP ROLE IF EXISTS {role}")
    raw.execute(f"CREATE ROLE {role} LOGIN")
    raw.execute(RIGHTS.format(role=role))
    yield url.replace("postgres@", f"{role}@")
    raw.execute(f"DROP OWNED BY {role}")
    raw.execute(f"DROP ROLE {role}")


def opens(url: str, machines: Machines = MACHINES, **more: Any) -> None:
    store = PostgresStore(url, **more)
    try:
        store.machines(machines)
    finally:
        store.close()


def run(*words: str) -> None:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output


def comment(raw: psycopg.Connection[Any], view: str = "v_card") -> str:
    return str(raw.execute("SELECT obj_description(%s::regclass)", (view,)).fetchone())


def reworded() -> Machines:
    return pages(gift_card=lambda text: text.replace("summary: One", "summary: Just one", 1))


def test_another_wording_is_nothing_to_whoever_reads_a_view(
    url: str, raw: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with raw.transaction(), caplog.at_level(logging.WARNING):
        for view in VIEWS:
            raw.execute(f"SELECT * FROM {view}")
        opens(url, reworded(), busy_timeout=0.2)
    assert caplog.messages == []


def test_a_role_that_may_not_write_views_opens_all_the_same_and_their_owner_makes_them(
    url: str, shop: str, raw: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    right = comment(raw)
    raw.execute("COMMENT ON VIEW v_card IS 'as an earlier version made it'")
    with caplog.at_level(logging.WARNING):
        opens(shop)
        opens(shop, reworded())
        opens(shop)
        assert comment(raw) != right
        opens(url)
        assert comment(raw) == right
    assert caplog.messages == []


def test_a_view_that_somebody_reads_is_made_by_whoever_opens_next(
    url: str, raw: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    right = comment(raw)
    raw.execute("COMMENT ON VIEW v_card IS 'as an earlier version made it'")
    with raw.transaction(), caplog.at_level(logging.WARNING):
        raw.execute("SELECT * FROM v_card")
        opens(url, busy_timeout=0.1)
    assert [message.split(":")[0] for message in caplog.messages] == ["the view v_card was not made"]
    opens(url)
    assert comment(raw) == right


def test_views_of_a_later_version_stay(url: str, shop: str, raw: psycopg.Connection[Any]) -> None:
    raw.execute("INSERT INTO _migration (name) VALUES ('later')")
    raw.execute("DROP VIEW v_card; CREATE VIEW v_card AS SELECT 1 AS of_the_later_version")
    raw.execute("GRANT SELECT ON v_card TO PUBLIC")
    opens(url, reworded())
    opens(shop)
    opens(url, read_only=True)
    assert raw.execute("SELECT * FROM v_card").fetchall() == [(1,)]


def test_views_of_a_later_version_stay_in_a_file(tmp_path: Path) -> None:
    url, path = f"sqlite:///{tmp_path}/books.db", tmp_path / "books.db"
    store = open_store(url)
    store.machines(MACHINES)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('tallystick', 'later', 'now')"
        )
        raw.execute("DROP VIEW v_card")
        raw.execute("CREATE VIEW v_card AS SELECT 1 AS of_the_later_version")
    store.machines(pages(gift_card=second))
    with store.reading() as reading:
        assert reading.select("SELECT * FROM v_card") == [(1,)]
        assert reading.select("SELECT * FROM v_liability") == []
    store.close()


def older(raw: psycopg.Connection[Any]) -> None:
    """Let the books be as a version before this one left them."""
    raw.execute("DELETE FROM _migration WHERE name = 'occurred'")
    for table in ("entry", "queue"):
        raw.execute(f"ALTER TABLE {table} DROP COLUMN occurred_at CASCADE")


def test_books_of_an_earlier_version_are_told_from_none_and_brought_up_to_date(
    url: str, shop: str, raw: psycopg.Connection[Any]
) -> None:
    older(raw)
    with pytest.raises(StoreError, match=r"made by another version .*`tallystick init` brings them up to date"):
        tallystick.open(url, read_only=True)
    with pytest.raises(StoreError, match=r"must be owner of table entry.*`tallystick init` brings them up to date"):
        opens(shop)
    run("init", "--store", url)
    tallystick.open(url, read_only=True).close()
    opens(shop)
    older(raw)
    run("verify", "--store", url)
    assert raw.execute("SELECT to_regclass('entry_happened')").fetchone() != (None,)


def test_a_role_needs_no_right_that_is_not_named() -> None:
    template(0)
    with new_database() as fresh, psycopg.connect(fresh, autocommit=True) as raw:
        if "postgres@" not in fresh:
            pytest.skip("another login")
        raw.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
        opens(fresh)
        raw.execute("DROP ROLE IF EXISTS shop_of_defaults; CREATE ROLE shop_of_defaults LOGIN")
        raw.execute(RIGHTS.format(role="shop_of_defaults"))
        opens(fresh.replace("postgres@", "shop_of_defaults@"), reworded())
        raw.execute("DROP OWNED BY shop_of_defaults; DROP ROLE shop_of_defaults")


def test_a_view_of_somebody_else_is_left_alone(
    url: str, raw: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    raw.execute("DROP VIEW v_event; CREATE VIEW v_event AS SELECT 1 AS theirs")
    raw.execute("DELETE FROM _migration WHERE name = 'views'; DROP INDEX IF EXISTS queue_given_up")
    with caplog.at_level(logging.WARNING):
        opens(url)
    assert caplog.messages == ["the view v_event was not made: somebody else has made one of its name"]
    assert raw.execute("SELECT * FROM v_event").fetchall() == [(1,)]


def test_the_next_version_keeps_the_readers(url: str, raw: psycopg.Connection[Any]) -> None:
    raw.execute("DROP ROLE IF EXISTS analyst_of_views; CREATE ROLE analyst_of_views")
    raw.execute(
        "GRANT SELECT ON v_liability TO PUBLIC; GRANT SELECT ON v_liability TO analyst_of_views WITH GRANT OPTION"
    )
    opens(url, pages(gift_card=second))
    rights = raw.execute(
        "SELECT a.grantee::regrole::text, a.is_grantable FROM pg_class c, aclexplode(relacl) a "
        "WHERE c.oid = 'v_liability'::regclass AND a.grantee <> relowner AND privilege_type = 'SELECT'"
    ).fetchall()
    raw.execute("DROP OWNED BY analyst_of_views; DROP ROLE analyst_of_views")
    assert sorted(rights) == [("-", False), ("analyst_of_views", True)]


def test_an_analysts_own_view_goes_on_with_the_next_version(url: str, raw: psycopg.Connection[Any]) -> None:
    raw.execute("CREATE VIEW mine AS SELECT day, sum(amount) AS sum FROM v_movement GROUP BY 1")
    raw.execute("CREATE MATERIALIZED VIEW owed AS SELECT entity, total FROM v_liability")
    before = [each.name for each in raw.execute("SELECT * FROM v_liability").description or ()]
    opens(url, pages(gift_card=second))
    after = [each.name for each in raw.execute("SELECT * FROM v_liability").description or ()]
    assert after[: len(before)] == before
    assert len(after) > len(before)
    raw.execute("REFRESH MATERIALIZED VIEW owed")
    assert raw.execute("SELECT * FROM mine").fetchall() == []
