"""`pytest --store postgres tests/engine tests/books`: the same tests, with all their books on a real PostgreSQL.

Whatever store a test opens, it gets one in a database of its own. A path stands for the same database as long as the
test lasts: books that are opened again are the same books, and who opens the file with sqlite3 gets a connection to
that database which understands the little SQL of these tests. What is about a file itself is named in `OF_A_FILE`.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row, tuple_row
from psycopg.types.string import TextLoader

import tallystick.store
import tallystick.store.memory
import tallystick.store.open
import tallystick.store.sqlite
from postgres_books import postgres_url
from tallystick.store.postgres.store import PostgresStore
from tallystick.store.protocol import Store

sqlite_connect = sqlite3.connect
# The databases of the test that runs, after those that outlive a test
CURRENT: list[Databases] = []
# Tests that are about a file, and why: its bytes are read, other processes open it, or its SQL is SQLite's own
OF_A_FILE = frozenset({
    "test_crash.py", "test_hammer.py",  # other processes open the file: `test_postgres_processes.py` has its own
    "test_read_only.py",  # it asks both databases itself
    "test_sqlalchemy_is_taken_as_it_is", "test_sqlalchemy_has_begun_though_nothing_was_written_yet",
    "test_connections_that_cannot_be_joined", "test_what_the_database_refuses_leaves_nothing_in_the_callers_transaction",
    "test_a_follow_up_that_cannot_be_queued_undoes_all", "test_what_the_database_refuses_it_refuses_alone",
    "test_may_leaves_every_byte_as_it_is", "test_a_pin_is_nowhere", "test_a_pin_that_a_card_set_hands_out_is_told_once",
    "test_the_file_is_free_while_the_provider_is_asked", "test_a_busy_database_is_said_to_all_who_wait",
    "test_books_that_are_readable_stay_so", "test_every_verb_works_and_no_number_is_left_behind",
    "test_another_process_opens_them", "test_no_pin_no_number_and_no_client_is_left_behind",
    "test_the_loop_goes_on_while_another_process_writes", "test_what_cannot_be_opened_says_so_as_the_books_do",
    "test_what_cannot_be_opened_is_said", "test_processes_share_lockouts_and_the_key",
    "test_a_failing_store_answers_nothing_and_takes_as_long", "test_a_file_of_before_gets_the_table_when_it_is_opened",
    "test_somebody_elses_table_is_not_touched", "test_a_cursor_of_other_books_is_refused",
    # `json` takes no text that is none
    "test_what_was_changed_in_calls_queue_and_pages_is_found[unreadable-3]",
    "test_what_was_changed_in_calls_queue_and_pages_is_found[unreadable-30]",
    "test_what_was_changed_in_calls_queue_and_pages_is_found[unreadable-38]",
    "test_a_queued_command_that_was_changed_by_hand_is_left_alone[UPDATE queue SET args = 'gone' WHERE key = 'later']",
    "test_a_changed_call_stops_no_other_and_moves_nothing_by_what_it_says[steps = 'gone']",
    "test_a_changed_call_stops_no_other_and_moves_nothing_by_what_it_says[args = 'gone']",
    "test_nor_does_it_stop_a_worker[steps = 'gone']",
    "test_a_changed_command_that_cannot_be_read_is_laid_aside[waiting-args = 'gone']",
    "test_a_changed_command_that_cannot_be_read_is_laid_aside[refused-args = 'gone']",
    "test_a_changed_command_that_cannot_be_read_is_laid_aside[parked-args = 'gone']",
    # numbers may be missing from its journal; its rows come in larger portions than these books have
    "test_what_was_tampered_with_is_found[missing-12]", "test_memory_does_not_grow_with_the_books",
    "test_a_journal_that_has_no_order_any_more_is_said",  # it puts a store of its own in place of this
    # other pages under the names and versions that the template has
    "test_a_hold_that_no_payment_has_asked_for_is_found",
})  # fmt: skip


class Databases:
    """By the path that a test names, a database."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.urls: dict[str, str] = {}

    def url(self, path: str | os.PathLike[str]) -> str:
        """The database that stands for this path."""
        path = os.path.abspath(path)
        if path not in self.urls:
            self.urls[path] = self.new()
        return self.urls[path]

    def new(self) -> str:
        return self._stack.enter_context(postgres_url())

    @staticmethod
    def named(path: str | os.PathLike[str]) -> Databases:
        """Where there is a database for this path, or will be."""
        return next((each for each in CURRENT if os.path.abspath(path) in each.urls), CURRENT[-1])

    def connect(self, path: Any, isolation_level: str | None = "", timeout: float = 5, **more: Any) -> Any:
        if os.path.abspath(path) not in self.urls:  # ":memory:", or a file of somebody else
            return sqlite_connect(path, isolation_level=isolation_level, timeout=timeout, **more)
        raw = psycopg.connect(self.url(path), autocommit=isolation_level is None)
        raw.execute(f"SET search_path TO tallystick; SET lock_timeout TO {max(1, round(timeout * 1000))}")
        if not raw.autocommit:
            raw.commit()
        self._stack.callback(raw.close)
        return Raw(raw)


class Raw:
    """sqlite3's connection, as far as these tests use one, on PostgreSQL. `driver_connection` is what joins."""

    row_factory: Any = None  # sqlite3.Row, or none

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.driver_connection = connection
        connection.adapters.register_loader("json", TextLoader)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Any:
        connection = self.driver_connection
        begun = self.in_transaction
        if "sqlite_master" in sql:  # who asks for the triggers is about to lift them
            connection.execute("SET session_replication_role = replica")
            sql, values = "SELECT WHERE false", ()
        sql = re.sub(r"(?i)BEGIN IMMEDIATE", "BEGIN", sql).replace("%", "%%").replace("?", "%s")
        json = "args|steps|postings|facts|after"
        sql = re.sub(rf"\b({json}) = replace\(\1,([^()]*)\)", r"\1 = replace(\1::text,\2)::json", sql)
        sql = sql.replace("secret = 1", "secret = true")
        with as_sqlite():
            cursor = psycopg.Cursor(connection, row_factory=dict_row if self.row_factory else tuple_row)
            cursor.execute(sql, values or None)
            if not begun and not connection.autocommit and not re.match("INSERT|UPDATE|DELETE|BEGIN", sql):
                connection.commit()  # sqlite3 begins a transaction before a change only
        return cursor

    def executescript(self, sql: str) -> None:
        self.execute(sql)

    def commit(self) -> None:
        with as_sqlite():
            self.driver_connection.commit()

    def rollback(self) -> None:
        self.driver_connection.rollback()

    def close(self) -> None:
        self.driver_connection.close()

    @property
    def in_transaction(self) -> bool:
        return self.driver_connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.commit() if kind is None else self.rollback()


@contextmanager
def as_sqlite() -> Iterator[None]:
    """Errors of psycopg as sqlite3 has them."""
    try:
        yield
    except psycopg.IntegrityError as error:
        raise sqlite3.IntegrityError(str(error)) from error
    except psycopg.Error as error:
        raise sqlite3.OperationalError(str(error)) from error


class OnPostgres(PostgresStore):
    """In place of SqliteStore and MemoryStore."""

    def __init__(self, path: str | os.PathLike[str] = "", **more: Any) -> None:
        if not path:
            super().__init__(CURRENT[-1].new())
            return
        self.path = os.path.abspath(path)
        super().__init__(Databases.named(path).url(path), **more)


def open_store(url: str, **more: Any) -> Store:
    if url.startswith("postgresql:"):
        return PostgresStore(url, **more)
    return OnPostgres() if url == "memory:" else OnPostgres(url.removeprefix("sqlite:///"), **more)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--store", choices=["postgres"], help="Run the tests on another store than they name.")


def pytest_configure(config: pytest.Config) -> None:
    """Before any test is read: what imports a store by name gets this one."""
    if config.getoption("--store") is None:
        return
    stack = ExitStack()
    config.add_cleanup(stack.close)
    CURRENT.append(Databases(stack))
    tallystick.store.open.open_store = tallystick.store.open_store = open_store
    tallystick.store.memory.MemoryStore = tallystick.store.sqlite.SqliteStore = OnPostgres
    sqlite3.connect = lambda path, *args, **more: Databases.named(path).connect(path, *args, **more)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--store") is None:
        return
    alone = [item for item in items if _name(item) in OF_A_FILE or item.nodeid.partition("::")[2] in OF_A_FILE]
    config.hook.pytest_deselected(items=alone)
    items[:] = [item for item in items if item not in alone]


def _name(item: pytest.Item) -> str:
    """The test, without its parameters; or its file, if all of that is left out."""
    return (
        Path(item.path).name if Path(item.path).name in OF_A_FILE else item.nodeid.partition("::")[2].partition("[")[0]
    )


@pytest.fixture(autouse=True)
def _databases_of_the_test() -> Iterator[None]:
    if not CURRENT:
        yield
        return
    with ExitStack() as stack:
        CURRENT.append(Databases(stack))
        yield
        CURRENT.pop()
