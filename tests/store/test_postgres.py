"""What only a server can promise: it is joined, shared, restarted, cut off in the middle, and made by two at once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

import tallystick
from postgres_books import postgres_url, template
from tallystick.definition import reader
from tallystick.engine.verify import verify
from tallystick.errors import CommitUnknown, Invalid, NotInTransaction, StoreBusy, StoreError
from tallystick.store.open import open_store
from tallystick.store.postgres.connections import Connection
from tallystick.store.postgres.store import PostgresStore
from tallystick.store.postgres.transaction import PostgresTransaction
from tallystick.store.protocol import Transaction
from tallystick.testing.contracts.changes import MACHINES, at_once, born, done, funded, pages, put, second, snapshot
from tallystick.testing.postgres_server import UNSAFE, Server, new_database

KNOWN = MACHINES["gift_card"].version

CARD, PAYMENT = ("gift_card", "c1"), ("payment", "p-c1")


@pytest.fixture
def url() -> Iterator[str]:
    with postgres_url() as found:
        yield found


@contextmanager
def opened(url: str, **more: Any) -> Iterator[PostgresStore]:
    store = PostgresStore(url, **more)
    store.machines(MACHINES)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    with opened(url) as store:
        funded(store)
        yield store


@pytest.fixture
def raw(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path TO tallystick")
        yield connection


def reload(store: PostgresStore, key: str, **more: Any) -> None:
    """Put 5.00 on the card."""

    def job(transaction: Transaction) -> None:
        world = transaction.lock([CARD], [key]).entities
        transaction.write(done(world, *CARD, "reload", key=key, amount="5.00"), "2026-03-01T12:00:00.000Z")

    store.run(job, **more)


def keys(store: PostgresStore, *wanted: str) -> set[str]:
    with store.reading() as look:
        return set(look.keyed(wanted))


# Locks


def test_who_waits_too_long_for_a_lock_is_told_so(url: str, store: PostgresStore, raw: psycopg.Connection[Any]) -> None:
    with opened(url, busy_timeout=0.05) as hasty, raw.transaction():
        raw.execute("SELECT FROM gift_card WHERE id = 'c1' FOR UPDATE")
        with pytest.raises(StoreBusy, match="did not end in time"):
            reload(hasty, "late")
    reload(store, "late")


def test_others_cards_are_not_waited_for(url: str, store: PostgresStore, raw: psycopg.Connection[Any]) -> None:
    with opened(url, busy_timeout=0.05) as hasty, raw.transaction():
        raw.execute("SELECT FROM gift_card WHERE id = 'c1' FOR UPDATE")
        funded(hasty, "c2")


def test_a_payment_of_a_locked_card_may_be_made(url: str, store: PostgresStore) -> None:
    """The link needs the card's id only. So the lock of a card keeps no reference to it away."""
    held, over = threading.Event(), threading.Event()

    def hold(transaction: Transaction) -> None:
        transaction.lock([CARD])
        held.set()
        assert over.wait(10)

    with ThreadPoolExecutor() as threads, opened(url, busy_timeout=0.3) as other:
        holding = threads.submit(store.run, hold)
        assert held.wait(10)
        try:
            put(other, born("p9", "payment", order="o9", card="c1"))
        finally:
            over.set()
        holding.result()


def test_locks_have_one_order_so_nobody_is_in_the_way(url: str, store: PostgresStore) -> None:
    """Jobs that want the same cards and payments in any order wait for each other, and none is done again."""
    for id in ("c2", "c3"):
        funded(store, id)
    refs = [*(("gift_card", id) for id in ("c1", "c2", "c3")), *(("payment", f"p-{id}") for id in ("c1", "c2", "c3"))]
    attempts: list[int] = []

    def go(turn: int) -> None:
        def job(step: int, transaction: Transaction) -> None:
            attempts.append(turn)
            found = transaction.lock([refs[(turn * step + place) % 6] for place in range(1 + turn % 3)])
            assert found.entities

        with opened(url) as mine:
            for step in range(12):
                mine.run(partial(job, step))

    at_once([lambda turn=turn: go(turn) for turn in range(6)])  # type: ignore[misc]
    assert len(attempts) == 6 * 12


def test_a_lock_is_taken_in_one_trip_however_far_links_lead(store: PostgresStore, monkeypatch: Any) -> None:
    trips: list[int] = []
    trip = PostgresTransaction._trip

    def counted(self: Any, *asks: Any) -> Any:
        trips.append(len(asks))
        return trip(self, *asks)

    monkeypatch.setattr(PostgresTransaction, "_trip", counted)
    found = store.run(lambda transaction: transaction.lock([PAYMENT], ["a", "b"]))
    assert set(found.entities) == {CARD, PAYMENT}
    assert len(trips) == 2, "one to lock and read, one to commit"


# The caller's own transaction

WRAPPED: dict[str, Callable[[Session], Any]] = {
    "session": lambda session: session,
    "connection": lambda session: session.connection(),
    "pooled": lambda session: session.connection().connection,
    "driver": lambda session: session.connection().connection.driver_connection,
}


@pytest.mark.parametrize("autocommit", [False, True])
@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_a_command_and_an_order_are_one_transaction(
    url: str, store: PostgresStore, raw: psycopg.Connection[Any], ends: str, *, autocommit: bool
) -> None:
    raw.execute("CREATE TABLE orders (id text)")
    with psycopg.connect(url, autocommit=autocommit, row_factory=dict_row) as own:
        own.execute("SET lock_timeout = '7s'")
        own.commit()
        if autocommit:
            own.execute("BEGIN")
        own.execute("INSERT INTO tallystick.orders VALUES ('o')")
        reload(store, "joined", connection=own)
        assert own.execute("SHOW lock_timeout").fetchone() == {"lock_timeout": "7s"}, "the caller's own"
        assert keys(store, "joined") == set(), "nobody sees it yet"
        getattr(own, ends)()
    orders = raw.execute("SELECT * FROM orders").fetchall()
    assert (len(orders), keys(store, "joined")) == ((1, {"joined"}) if ends == "commit" else (0, set()))


def test_a_connection_that_has_not_begun_begins_by_itself(url: str, store: PostgresStore) -> None:
    with psycopg.connect(url) as own:
        reload(store, "joined", connection=own)
        assert keys(store, "joined") == set()
    assert keys(store, "joined") == {"joined"}


@pytest.mark.parametrize("wrapped", WRAPPED.values(), ids=WRAPPED)
@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_sqlalchemy_is_taken_as_it_is(
    url: str, store: PostgresStore, raw: psycopg.Connection[Any], wrapped: Callable[[Session], Any], ends: str
) -> None:
    raw.execute("CREATE TABLE orders (id text)")
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with Session(engine) as session:
        session.execute(text("INSERT INTO tallystick.orders VALUES ('o')"))
        reload(store, "joined", connection=wrapped(session))
        getattr(session, ends)()
    engine.dispose()
    orders = raw.execute("SELECT * FROM orders").fetchall()
    assert (len(orders), keys(store, "joined")) == ((1, {"joined"}) if ends == "commit" else (0, set()))


def test_what_is_refused_leaves_the_callers_transaction_as_it_was(url: str, store: PostgresStore) -> None:
    reload(store, "taken")
    with psycopg.connect(url) as own:
        for number in range(6):  # psycopg prepares what is said often
            own.execute("CREATE TABLE IF NOT EXISTS orders (id text)")
            with pytest.raises(StoreError, match="say it again"):
                store.run(lambda transaction: transaction.write(born("c9", key="taken"), "at"), connection=own)
            reload(store, f"joined {number}", connection=own)
        with pytest.raises(ZeroDivisionError):
            store.run(lambda transaction: (transaction.write(born("c8"), "at"), 1 / 0), connection=own)
    with store.reading() as look:
        assert (look.find("c9"), look.find("c8"), len(look.keyed([f"joined {each}" for each in range(6)]))) == (
            [],
            [],
            6,
        )


def test_connections_that_cannot_be_joined(url: str, store: PostgresStore) -> None:
    with psycopg.connect(url, autocommit=True) as own:
        with pytest.raises(NotInTransaction, match="no open transaction"):
            reload(store, "k", connection=own)
        own.execute("BEGIN")
        with pytest.raises(psycopg.Error):
            own.execute("SELECT 1 / 0")
        with pytest.raises(NotInTransaction, match="has failed"):
            reload(store, "k", connection=own)
    with new_database() as elsewhere, psycopg.connect(elsewhere) as own, pytest.raises(NotInTransaction, match="is on"):
        reload(store, "k", connection=own)
    with postgres_url() as copy, psycopg.connect(copy) as own, pytest.raises(NotInTransaction, match="is on"):
        reload(store, "k", connection=own)


# Cut off


def test_a_command_of_the_engine_takes_two_trips(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trips: list[int] = []
    trip = PostgresTransaction._trip

    def counted(self: Any, *asks: Any) -> Any:
        trips.append(len(asks))
        return trip(self, *asks)

    with tallystick.open(url) as books:
        books.sell_electronic("c", "50.00", "BRL", order="o", key="sale")
        monkeypatch.setattr(PostgresTransaction, "_trip", counted)
        books.reload("c", "1.00", key="reload")
    assert len(trips) == 2


def test_a_connection_that_was_cut_while_it_was_idle_is_not_noticed(
    store: PostgresStore, raw: psycopg.Connection[Any]
) -> None:
    raw.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tallystick'")
    time.sleep(0.05)
    reload(store, "again")
    assert keys(store, "again") == {"again"}


def test_a_commit_that_was_cut_before_it_was_done_is_unknown(
    store: PostgresStore, raw: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    raw.execute(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NULL; END $$; "
        "CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON entry DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW WHEN (NEW.key = 'cut') EXECUTE FUNCTION die()"
    )
    with pytest.raises(CommitUnknown, match="say it again with the same key"):
        reload(store, "cut")
    assert caplog.text == ""  # the caller has heard it; psycopg would log that the pipeline did not end well either
    assert keys(store, "cut") == set()
    raw.execute("DROP TRIGGER cut ON entry")
    reload(store, "cut")


@pytest.fixture(scope="module")
def alone() -> Iterator[Server]:
    """A server whose settings a test may change."""
    template(0)  # skips where there is no server
    if os.environ.get("TALLYSTICK_TEST_PG"):
        pytest.skip("its settings are somebody else's")
    server = Server(*UNSAFE)
    server.init()
    server.start()
    yield server
    server.remove()


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_commit_whose_standby_did_not_answer_is_unknown(alone: Server, how: str) -> None:
    """It is written here. If this server is lost before the standby has it, it is not."""
    with psycopg.connect(alone.url(), autocommit=True) as raw, opened(alone.url()) as store:
        if not keys(store, "gift_card/c1"):
            funded(store)
        raw.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        raw.execute("SELECT pg_reload_conf()")
        waits = f"SELECT {how}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        with ThreadPoolExecutor() as threads:
            for number in range(1000):  # until the server has read its new settings
                key = f"{how} {number}"
                heard = threads.submit(reload, store, key)
                while not raw.execute(waits).fetchone() and not heard.done():
                    time.sleep(0.002)
                if heard.exception() is not None:
                    break
            raw.execute("ALTER SYSTEM RESET synchronous_standby_names")
            raw.execute("SELECT pg_reload_conf()")
        with pytest.raises(CommitUnknown, match="say it again with the same key"):
            heard.result()
        with psycopg.connect(alone.url(), autocommit=True) as other:
            assert other.execute("SELECT count(*) FROM tallystick.entry WHERE key = %s", (key,)).fetchone() == (1,)


def test_books_go_on_after_a_restart(alone: Server) -> None:
    with opened(alone.url()) as store:
        if not keys(store, "gift_card/c1"):
            funded(store)
        alone.stop("immediate")
        with pytest.raises(StoreError, match="cannot be reached"):
            reload(store, "restart")
        alone.start()
        reload(store, "restart")


# Processes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_of_a_fork_uses_connections_of_its_own(store: PostgresStore) -> None:
    child = os.fork()
    if not child:
        try:
            reload(store, "child")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    reload(store, "parent")
    assert keys(store, "child", "parent") == {"child", "parent"}


def test_two_who_come_first_make_one_schema() -> None:
    template(0)
    with new_database() as url:
        made: list[object] = []

        def make(name: str) -> None:
            for _ in range(3):
                store = PostgresStore(f"{url}&schema={name}")
                made.append(store.machines(MACHINES))
                store.close()

        at_once([lambda: make("cards"), lambda: make("cards"), lambda: make("vouchers"), lambda: make("cards")])
        assert len(made) == 12
        with opened(f"{url}&schema=cards") as store:
            funded(store)
            assert verify(MACHINES, store).clean
        with opened(f"{url}&schema=vouchers") as store, store.reading() as look:
            assert look.find("c1") == [], "each schema has books of its own"


def test_two_who_bring_a_newer_page_at_once(url: str, store: PostgresStore) -> None:
    newer = pages(gift_card=second)

    def bring() -> None:
        with opened(url) as mine:
            mine.machines(newer)

    at_once([bring] * 4)
    assert [each.version for each in store.machines(MACHINES).versions("gift_card")] == [KNOWN, KNOWN + 1]


# Newer pages, and what is there already


def test_a_newer_page_adds_columns_and_widens_what_may_be(store: PostgresStore, raw: psycopg.Connection[Any]) -> None:
    before = snapshot(store)
    oid = raw.execute("SELECT 'gift_card'::regclass::oid, pg_relation_filenode('gift_card')").fetchone()
    newer = store.machines(pages(gift_card=second))
    assert raw.execute("SELECT 'gift_card'::regclass::oid, pg_relation_filenode('gift_card')").fetchone() == oid
    assert raw.execute("SELECT pledged, shop FROM gift_card").fetchall() == [(0, None)]
    raw.execute("UPDATE gift_card SET state = 'frozen'")
    raw.execute("UPDATE gift_card SET state = 'issued'")
    with pytest.raises(psycopg.errors.CheckViolation):
        raw.execute("UPDATE gift_card SET state = 'lost'")
    with pytest.raises(psycopg.errors.CheckViolation):
        raw.execute("UPDATE gift_card SET pledged = -1")
    now = snapshot(store)
    assert now["journal"] == before["journal"]
    assert verify(newer, store).clean


def test_what_cannot_be_carried_over_leaves_everything_as_it_was(store: PostgresStore) -> None:
    put(store, born("c7", card_set="web"))
    before = snapshot(store)
    counted = pages(
        gift_card=lambda text: text.replace(f"version: {KNOWN}", f"version: {KNOWN + 1}", 1).replace(
            "card_set: {is: text?", "card_set: {is: count?"
        )
    )
    with pytest.raises(StoreError, match="cannot take these machines"):
        store.machines(counted)
    assert snapshot(store) == before


@pytest.mark.parametrize("table", ["payment", "machine", "entry", "_key"])
def test_a_table_of_somebody_else_is_left_alone(table: str) -> None:
    template(0)
    with new_database() as url, psycopg.connect(url, autocommit=True) as raw:
        raw.execute(f'CREATE SCHEMA tallystick; CREATE TABLE tallystick."{table}" (iban text)')
        store = PostgresStore(url)
        assert not store.exists()
        with pytest.raises(StoreError, match=f"{table!r} already that is not ours"):
            store.machines(MACHINES)
        store.close()
        tables = raw.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'tallystick'").fetchall()
        assert tables == [(table,)]


def test_a_role_without_rights_is_told_and_works_once_the_books_are_made() -> None:
    template(0)
    with new_database() as url, psycopg.connect(url, autocommit=True) as raw:
        raw.execute("DROP ROLE IF EXISTS shop_of_tests")
        raw.execute("CREATE ROLE shop_of_tests LOGIN")
        theirs = url.replace("postgres@", "shop_of_tests@") if "postgres@" in url else pytest.skip("another login")
        store = PostgresStore(theirs)
        with pytest.raises(StoreError, match="permission denied"):
            store.machines(MACHINES)
        with opened(url):
            raw.execute("GRANT USAGE ON SCHEMA tallystick TO shop_of_tests")
            raw.execute("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA tallystick TO shop_of_tests")
            raw.execute("GRANT DELETE ON tallystick.shared TO shop_of_tests")
            raw.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA tallystick TO shop_of_tests")
        store.machines(MACHINES)
        funded(store)
        store.close()
        raw.execute("DROP OWNED BY shop_of_tests")
        raw.execute("DROP ROLE shop_of_tests")


def test_a_name_that_postgresql_would_cut_is_refused() -> None:
    template(0)
    long = "n" * 64
    page = (
        f"machine: {long}\nversion: 1\nsummary: One.\nstates:\n  a: {{start: true, says: One.}}\n"
        "commands:\n  go: {}\ntransitions:\n  go: {from: a}\n"
    )
    with new_database() as url:
        store = PostgresStore(url)
        with pytest.raises(Invalid, match="PostgreSQL takes 63"):
            store.machines(reader.read({f"{long}.yaml": page}))
        store.close()


def test_the_journal_is_divided_when_it_is_made() -> None:
    template(0)
    with new_database() as url, opened(url, partitions=4) as store, psycopg.connect(url, autocommit=True) as raw:
        funded(store)
        for number in range(12):
            put(store, born(f"x{number}"))
        counts = raw.execute("SELECT tableoid::regclass::text, count(*) FROM tallystick.entry GROUP BY 1").fetchall()
        assert len(counts) == 4
        assert verify(MACHINES, store).clean
        with pytest.raises(psycopg.errors.CheckViolation, match="never changed"):
            raw.execute("DELETE FROM tallystick._entry_0")
        with pytest.raises(psycopg.errors.CheckViolation, match="step that its machine declares"):
            raw.execute(
                'INSERT INTO tallystick._entry_0 SELECT (jsonb_populate_record(e, \'{"revision": 99, "command": "x"}\')).* '
                "FROM tallystick._entry_0 e LIMIT 1"
            )
        with pytest.raises(StoreError, match="divided into 4"):
            PostgresStore(url, partitions=5).machines(MACHINES)
    with pytest.raises(Invalid, match="from 0 to 256"):
        open_store("postgresql:///b", partitions=257)


def test_the_feed_waits_for_who_began_before(url: str, store: PostgresStore, raw: psycopg.Connection[Any]) -> None:
    """A transaction that takes its numbers early and commits late is not passed over."""
    with store.reading() as look:
        _, cursor = look.tail(None, 100)

    def slow(transaction: Transaction) -> None:
        transaction.write(born("slow"), "at")
        transaction.call("x")  # it is sent
        reload_elsewhere()
        with store.reading() as look:
            assert look.tail(cursor, 100) == ([], cursor), "it waits"

    def reload_elsewhere() -> None:
        with opened(url) as other:
            put(other, born("quick"))

    store.run(slow)
    with store.reading() as look:
        assert [each.entity for each in look.tail(cursor, 100)[0]] == ["slow", "quick"]


def test_connections_may_be_of_a_class_of_ones_own(url: str) -> None:
    class Counted(Connection):
        opened = 0

        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            Counted.opened += 1

    with opened(url, connections=Counted) as store:
        funded(store)
    assert Counted.opened == 1, "it is used again"
