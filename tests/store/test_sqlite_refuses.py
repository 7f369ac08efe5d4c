"""What SQLite itself refuses, whoever asks: no line of this library runs between the statements and the file.

The connections here are plain ones, as any tool opens them: foreign keys are at SQLite's default, which is off.
Every refusal has a control beside it, a statement of the same shape that is taken, so that it is refused for
what it does and not for how it is written. The names are those that others read: they are a promise.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.provider.local import LocalProvider
from tallystick.store.rows import CALL_ASKS, CALL_ENDED, CALL_STAYS, QUEUE_STAYS, Changes
from tallystick.store.sqlite import SqliteStore
from tallystick.testing.contracts.changes import AT, call_row, queue_row

MACHINES = reader.load()


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card of 50.00 that holds 20.00 for one payment, and one payment that has earned 10.00 of it."""
    path = tmp_path_factory.mktemp("refuses") / "books.db"
    store = SqliteStore(path)
    engine = Engine(MACHINES, store, LocalProvider())
    for number, (machine, id, command, args) in enumerate((
        ("gift_card", "c1", "create", {"form": "electronic", "currency": "BRL"}),
        ("gift_card", "c1", "allocate", {}),
        ("gift_card", "c1", "activate", {}),
        ("gift_card", "c1", "issue", {"amount": "50.00"}),
        ("payment", "p1", "create", {"order": "o1", "card": "c1", "currency": "BRL"}),
        ("payment", "p1", "authorize", {"amount": "20.00"}),
        ("payment", "p2", "create", {"order": "o2", "card": "c1", "currency": "BRL"}),
        ("payment", "p2", "authorize", {"amount": "15.00"}),
        ("payment", "p2", "settle", {"amount": "10.00", "last": True}),
    )):  # fmt: skip
        engine.execute(machine, id, command, args, key=f"k{number}", by="ann", reason="so")
    calls = {
        id: call_row(id, state=state, takes=takes, closed=None if state == "open" else AT)
        for id, state, takes in (("o", "open", "card 1"), ("c", "confirmed", None), ("u", "unavailable", None))
    }
    queue = {key: queue_row(key, state=state) for key, state in (("w", "waiting"), ("d", "done"))}
    store.run(lambda transaction: transaction.write(Changes(calls=calls, queue=queue), AT))
    store.close()
    return path


@pytest.fixture
def sql(books: Path) -> Iterator[sqlite3.Connection]:
    """A plain connection whose changes are undone afterwards."""
    connection = sqlite3.connect(books, isolation_level=None)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (0,)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.execute("ROLLBACK")
    connection.close()


def dump(sql: sqlite3.Connection) -> list[tuple[object, ...]]:
    tables = ("entry", "gift_card", "payment", "call", "queue", "machine", "transition")
    return [row for table in tables for row in sql.execute(f"SELECT * FROM {table} ORDER BY 1")]


def refused(
    sql: sqlite3.Connection, statement: str, *values: object, says: str = "constraint|entries are|an entry has to"
) -> None:
    """SQLite refuses the statement, and nothing of it stays."""
    before = dump(sql)
    with pytest.raises(sqlite3.IntegrityError, match=says):
        sql.execute(statement, values)
    assert dump(sql) == before


# Accounts and states

ACCOUNTS = [(name, account) for name in ("gift_card", "payment") for account in MACHINES[name].columns]


@pytest.mark.parametrize(("table", "account"), ACCOUNTS)
def test_no_account_is_overdrawn(sql: sqlite3.Connection, table: str, account: str) -> None:
    refused(sql, f"UPDATE {table} SET {account} = {account} - 100000", says="CHECK")
    refused(sql, f"UPDATE {table} SET {account} = -1 WHERE id IN ('c1', 'p1')", says="CHECK")
    sql.execute(f"UPDATE {table} SET {account} = 0")
    refused(sql, f"UPDATE {table} SET {account} = NULL", says="NOT NULL")


@pytest.mark.parametrize(("table", "account"), ACCOUNTS)
def test_no_account_is_overdrawn_quietly(sql: sqlite3.Connection, table: str, account: str) -> None:
    """OR IGNORE leaves the row out instead of failing; still nothing falls below nothing."""
    before = dump(sql)
    sql.execute(f"UPDATE OR IGNORE {table} SET {account} = -1")
    assert dump(sql) == before


@pytest.mark.parametrize(("table", "account"), ACCOUNTS)
def test_amounts_are_whole_numbers(sql: sqlite3.Connection, table: str, account: str) -> None:
    refused(sql, f"UPDATE {table} SET {account} = 0.5", says="cannot store REAL")
    refused(sql, f"UPDATE {table} SET {account} = '50 reais'", says="cannot store TEXT")


@pytest.mark.parametrize(("table", "state"), [("gift_card", "lost"), ("payment", "paid"), ("payment", "issued")])
def test_no_state_that_is_not_declared(sql: sqlite3.Connection, table: str, state: str) -> None:
    refused(sql, f"UPDATE {table} SET state = ?", state, says="CHECK")
    refused(sql, f"UPDATE {table} SET state = NULL", says="NOT NULL")


@pytest.mark.parametrize("table", ["gift_card", "payment"])
def test_every_declared_state_is_taken(sql: sqlite3.Connection, table: str) -> None:
    for state in MACHINES[table].states:
        sql.execute(f"UPDATE {table} SET state = ?", (state,))


def test_a_choice_is_one_of_its_choices(sql: sqlite3.Connection) -> None:
    sql.execute("UPDATE gift_card SET form = 'physical', kind = 'promo'")
    refused(sql, "UPDATE gift_card SET form = 'paper'", says="CHECK")
    refused(sql, "UPDATE gift_card SET kind = 'present'", says="CHECK")


def test_no_entity_twice_and_no_revision_below_one(sql: sqlite3.Connection) -> None:
    refused(sql, "INSERT INTO gift_card SELECT * FROM gift_card", says="UNIQUE|there already")
    refused(sql, "UPDATE payment SET revision = 0", says="CHECK")
    refused(sql, "UPDATE payment SET calls = -1", says="CHECK")


def test_a_link_leads_somewhere_where_foreign_keys_are_asked_for(books: Path) -> None:
    connection = sqlite3.connect(books, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("BEGIN")
    connection.execute("UPDATE payment SET card = 'nobody'")
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        connection.execute("COMMIT")
    connection.execute("ROLLBACK")
    connection.close()


# The journal

COLUMNS = [
    "seq", "machine", "entity", "revision", "machine_version", "transition", "command", "phase", "from_state",
    "to_state", "args", "postings", "facts", "after", "currency", "call", "key", "cause", "fingerprint", "by", "reason",
    "at", "hash",
]  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS)
def test_no_entry_is_rewritten(sql: sqlite3.Connection, column: str) -> None:
    refused(sql, f"UPDATE entry SET {column} = {column}", says="entries are never changed")
    refused(sql, f"UPDATE entry SET {column} = '9' WHERE machine = 'payment'", says="entries are never changed")
    refused(sql, f"UPDATE OR REPLACE entry SET {column} = 7 WHERE seq = 2", says="entries are never changed")


@pytest.mark.parametrize("which", ["", "WHERE seq = 4", "WHERE machine = 'payment'", "WHERE key = 'k3'"])
def test_no_entry_is_deleted(sql: sqlite3.Connection, which: str) -> None:
    refused(sql, f"DELETE FROM entry {which}", says="entries are never deleted")


REPLACING = ["INSERT OR REPLACE", "REPLACE", "INSERT OR ABORT", "INSERT OR FAIL", "INSERT OR ROLLBACK"]


@pytest.mark.parametrize("verb", REPLACING)
@pytest.mark.parametrize("kept", ["seq", "key", "entity"])
def test_no_entry_is_replaced(books: Path, verb: str, kept: str) -> None:
    """REPLACE deletes the row in its way without asking the trigger on DELETE."""
    sql = sqlite3.connect(books, isolation_level=None)
    fresh = {"seq": "NULL", "key": "'fresh'", "entity": "'fresh'", "postings": "'[]'"}
    fresh.pop(kept)
    listed = ", ".join(fresh.get(column, column) for column in COLUMNS)
    before = dump(sql)
    with pytest.raises(sqlite3.IntegrityError, match=r"never replaced|follow the one before it"):
        sql.execute(f"{verb} INTO entry SELECT {listed} FROM entry WHERE key = 'k3'")
    assert dump(sql) == before
    sql.close()


@pytest.mark.parametrize("what", ["(seq)", "(machine, entity, revision)", "(key) WHERE key IS NOT NULL"])
def test_no_entry_is_rewritten_as_an_upsert(sql: sqlite3.Connection, what: str) -> None:
    statement = "INSERT INTO entry SELECT * FROM entry WHERE key = 'k3'"
    refused(sql, f"{statement} ON CONFLICT {what} DO UPDATE SET postings = '[]'", says="entries are never")


def next_entry(
    sql: sqlite3.Connection, machine: str, entity: str, /, **given: object
) -> tuple[str, tuple[object, ...]]:
    """The INSERT of an entry that would follow the last one of an entity; `given` is what is wrong with it."""
    sql.row_factory = sqlite3.Row
    last = dict(sql.execute(
        "SELECT * FROM entry WHERE machine = ? AND entity = ? ORDER BY revision DESC LIMIT 1", (machine, entity)
    ).fetchone())  # fmt: skip
    sql.row_factory = None
    follows = {
        **last, "seq": None, "revision": last["revision"] + 1, "from_state": last["to_state"], "key": "fresh",
        "cause": None, "phase": "done", "postings": "[]", "args": "{}", "facts": "{}", **NEXT[machine], **given,
    }  # fmt: skip
    columns = ", ".join(follows)
    return f"INSERT INTO entry ({columns}) VALUES ({', '.join('?' * len(follows))})", tuple(follows.values())


# What would rightly come next: c1 is issued, p1 is authorized.
NEXT: dict[str, dict[str, object]] = {
    "gift_card": {"transition": "reload", "command": "reload", "to_state": "issued"},
    "payment": {"transition": "cancel", "command": "cancel", "to_state": "reversed"},
}
BOTH = pytest.mark.parametrize(("machine", "entity"), [("gift_card", "c1"), ("payment", "p1")])


@BOTH
def test_the_step_that_comes_next_is_taken(sql: sqlite3.Connection, machine: str, entity: str) -> None:
    before = sql.execute("SELECT count(*) FROM entry").fetchone()[0]
    statement, values = next_entry(sql, machine, entity)
    sql.execute(statement, values)
    assert sql.execute("SELECT count(*) FROM entry").fetchone()[0] == before + 1


UNDECLARED = [
    ("gift_card", "c1", {"transition": "gift"}),
    ("gift_card", "c1", {"command": "issue"}),
    ("gift_card", "c1", {"to_state": "inventory"}),
    ("gift_card", "c1", {"to_state": "nowhere"}),
    ("gift_card", "c1", {"phase": "dreamt"}),
    ("gift_card", "c1", {"transition": "suspend", "command": "suspend", "to_state": "suspended", "phase": "asked"}),
    ("gift_card", "c1", {"transition": "observe_same", "command": "observe", "phase": "asked"}),
    ("gift_card", "c1", {"machine_version": 3}),
    ("gift_card", "c1", {"machine": "voucher"}),
    ("payment", "p1", {"to_state": "closed"}),
    ("payment", "p1", {"transition": "close", "command": "close", "to_state": "closed"}),
    ("payment", "p1", {"command": "void"}),
    ("payment", "p1", {"phase": "declined"}),
    ("payment", "p1", {"machine_version": 0}),
]


@pytest.mark.parametrize(("machine", "entity", "wrong"), UNDECLARED)
def test_no_step_that_no_page_declares(
    sql: sqlite3.Connection, machine: str, entity: str, wrong: dict[str, object]
) -> None:
    statement, values = next_entry(sql, machine, entity, **wrong)
    refused(sql, statement, *values, says="a step that its machine declares|follow the one before it")


@BOTH
@pytest.mark.parametrize("ahead", [1, 2, 1000])
def test_no_revision_is_left_out(sql: sqlite3.Connection, machine: str, entity: str, ahead: int) -> None:
    (revision,) = sql.execute(
        "SELECT max(revision) FROM entry WHERE machine = ? AND entity = ?", (machine, entity)
    ).fetchone()
    statement, values = next_entry(sql, machine, entity, revision=revision + 1 + ahead)
    refused(sql, statement, *values, says="follow the one before it")


@BOTH
def test_no_revision_stands_twice(sql: sqlite3.Connection, machine: str, entity: str) -> None:
    (revision,) = sql.execute(
        "SELECT max(revision) FROM entry WHERE machine = ? AND entity = ?", (machine, entity)
    ).fetchone()
    for again in (0, 1, revision - 1, revision):
        statement, values = next_entry(sql, machine, entity, revision=again)
        refused(sql, statement, *values)


ELSEWHERE = [
    ("gift_card", "c1", {"transition": "activate_electronic", "command": "activate", "from_state": "allocated",
                         "to_state": "activated"}),
    ("gift_card", "c1", {"from_state": "suspended", "transition": "release_hold", "command": "release_hold",
                         "to_state": "suspended"}),
    ("gift_card", "nobody", {}),
    ("payment", "p1", {"from_state": "requested", "to_state": "reversed", "transition": "cancel_requested"}),
    ("payment", "p1", {"from_state": "advanced_hold", "to_state": "closed", "transition": "cancel_rest"}),
]  # fmt: skip


@pytest.mark.parametrize(("machine", "entity", "wrong"), ELSEWHERE)
def test_no_step_from_where_the_entity_is_not(
    sql: sqlite3.Connection, machine: str, entity: str, wrong: dict[str, object]
) -> None:
    known = {"gift_card": "c1", "payment": "p1"}[machine]
    statement, values = next_entry(sql, machine, known, **{**wrong, "entity": entity})
    refused(sql, statement, *values, says="follow the one before it")


@BOTH
def test_no_entity_begins_twice_or_in_the_middle(sql: sqlite3.Connection, machine: str, entity: str) -> None:
    begin = {"transition": "create", "command": "create", "from_state": None, "to_state": MACHINES[machine].start}
    statement, values = next_entry(sql, machine, entity, **begin)
    refused(sql, statement, *values, says="follow the one before it")
    statement, values = next_entry(sql, machine, entity, **begin, revision=1)
    refused(sql, statement, *values, says="UNIQUE|there already")
    statement, values = next_entry(sql, machine, entity, **begin, revision=2, entity="fresh")
    refused(sql, statement, *values, says="follow the one before it")
    statement, values = next_entry(sql, machine, entity, **begin, revision=1, entity="fresh")
    sql.execute(statement, values)


@BOTH
@pytest.mark.parametrize("key", ["k0", "k5", "k8"])
def test_no_key_stands_for_two_entries(sql: sqlite3.Connection, machine: str, entity: str, key: str) -> None:
    statement, values = next_entry(sql, machine, entity, key=key)
    refused(sql, statement, *values, says="UNIQUE|there already")


# Calls, the queue, kept pages


def other(column: str) -> str:
    """An expression with another value than the column has, of its type."""
    return {"secret": "1 - secret", "attempts": "attempts + 1", "state": "'declined'"}.get(column, f"{column} || 'x'")


@pytest.mark.parametrize("column", CALL_STAYS)
def test_what_a_call_is_about_is_never_changed(sql: sqlite3.Connection, column: str) -> None:
    for id in ("o", "c", "u"):
        refused(sql, f"UPDATE call SET {column} = {other(column)} WHERE id = '{id}'", says="is about is never changed")
    refused(sql, f"UPDATE OR REPLACE call SET {column} = {other(column)}", says="is about is never changed")


@pytest.mark.parametrize("column", CALL_ASKS)
def test_what_a_call_asks_for_is_never_changed(sql: sqlite3.Connection, column: str) -> None:
    change = f"UPDATE call SET {column} = coalesce({other(column)}, 'card 2')"
    for id in ("o", "c", "u"):
        refused(sql, f"{change} WHERE id = '{id}'", says="asks for is never changed")
    refused(sql, f"{change}, state = 'unavailable' WHERE id = 'o'", says="asks for is never changed")
    sql.execute(f"{change}, state = 'open' WHERE id = 'u'")  # its key asks again


@pytest.mark.parametrize("column", CALL_ENDED)
def test_how_a_call_ended_is_never_changed(sql: sqlite3.Connection, column: str) -> None:
    change = f"UPDATE call SET {column} = coalesce({other(column)}, 'x')"
    for id in ("c", "u"):
        refused(sql, f"{change} WHERE id = '{id}'", says="ended is never changed")
    sql.execute(f"{change} WHERE id = 'o'")


def test_a_note_may_be_made_of_any_call(sql: sqlite3.Connection) -> None:
    sql.execute("UPDATE call SET note = 'seen in their portal'")


@pytest.mark.parametrize("column", QUEUE_STAYS)
def test_what_a_queued_command_does_is_never_changed(sql: sqlite3.Connection, column: str) -> None:
    for verb in ("UPDATE", "UPDATE OR REPLACE"):
        refused(sql, f"{verb} queue SET {column} = coalesce({other(column)}, 'x')", says="does is never changed")


def test_when_and_how_a_queued_command_ends_may_change(sql: sqlite3.Connection) -> None:
    sql.execute("UPDATE queue SET due = 'x', attempts = 2, state = 'parked', why = 'x', note = 'x'")


@pytest.mark.parametrize("table", ["call", "queue", "machine", "transition"])
def test_no_call_queued_command_or_page_is_deleted(sql: sqlite3.Connection, table: str) -> None:
    refused(sql, f"DELETE FROM {table}", says="never deleted")


@pytest.mark.parametrize("table", ["call", "queue", "machine"])
@pytest.mark.parametrize("verb", ["INSERT OR REPLACE", "REPLACE", "INSERT"])
def test_no_call_queued_command_or_page_is_replaced(sql: sqlite3.Connection, table: str, verb: str) -> None:
    refused(sql, f"{verb} INTO {table} SELECT * FROM {table}", says="never replaced")


def test_no_call_takes_the_place_of_another(sql: sqlite3.Connection) -> None:
    columns = [row[1] for row in sql.execute("PRAGMA table_info(call)")]
    fresh = ", ".join("'new'" if column == "id" else column for column in columns)
    statement = f"INSERT OR REPLACE INTO call SELECT {fresh} FROM call"
    refused(sql, f"{statement} WHERE id = 'o'", says="never replaced")
    sql.execute(f"{statement} WHERE id = 'c'")


def test_of_a_kept_page_only_the_wording_may_change(sql: sqlite3.Connection) -> None:
    for column in ("name", "version", "digest", "seen"):
        refused(sql, f"UPDATE machine SET {column} = {column}", says="wording only")
    sql.execute("UPDATE machine SET definition = definition || '  # a comment'")
    refused(sql, "UPDATE transition SET to_state = 'closed'", says="steps are never changed")


# Names that others read

PROMISED = {
    "gift_card": ["id", "state", "revision", "currency", "available", "held", "in_doubt", "number", "card_set", "form"],
    "payment": ["id", "state", "revision", "currency", "held", "uncovered", "redeemed", "in_doubt", "order", "card"],
    "fulfilment": ["id", "state", "revision", "currency", "order", "card", "form"],
    "replacement": ["id", "state", "revision", "currency", "old", "new", "moving", "in_doubt"],
    "entry": ["seq", "machine", "entity", "revision", "transition", "command", "from_state", "to_state", "args", "key",
              "by", "reason", "at", "hash"],
    "call": ["id", "key", "verb", "state"],
    "queue": ["key", "machine", "entity", "command", "args", "due"],
    "transition": ["machine", "name", "command", "from_state", "to_state"],
    "machine": ["name", "version", "digest", "definition"],
}  # fmt: skip


@pytest.mark.parametrize("table", PROMISED)
def test_tables_and_columns_have_the_promised_names(sql: sqlite3.Connection, table: str) -> None:
    columns = [row[1] for row in sql.execute(f"PRAGMA table_info({table})")]
    assert [name for name in PROMISED[table] if name not in columns] == []


def test_every_account_and_fact_of_every_machine_is_a_column(sql: sqlite3.Connection) -> None:
    for name, machine in MACHINES.items():
        columns = {row[1] for row in sql.execute(f'PRAGMA table_info("{name}")')}
        assert {*machine.columns, *machine.facts} <= columns


def test_every_table_of_ours_is_strict(sql: sqlite3.Connection) -> None:
    tables = {row[1]: row[5] for row in sql.execute("PRAGMA table_list") if row[2] == "table" and row[1][0] != "_"}
    ours = {*PROMISED} & {*tables}
    assert ours == {*PROMISED}
    assert {name for name in ours if not tables[name]} == set()


def test_the_view_posting_shows_one_row_for_each_posting(sql: sqlite3.Connection) -> None:
    cursor = sql.execute("SELECT * FROM posting ORDER BY seq, source, target")
    assert [column[0] for column in cursor.description] == [
        "seq", "machine", "entity", "source", "target", "amount", "currency",
    ]  # fmt: skip
    journal = sql.execute("SELECT seq, machine, entity, postings, currency FROM entry ORDER BY seq").fetchall()
    wanted = [
        (seq, machine, entity, source, target, amount, currency)
        for seq, machine, entity, postings, currency in journal
        for source, target, amount in sorted(json.loads(postings))
    ]
    assert cursor.fetchall() == wanted
    assert len(wanted) == 9
    assert all(type(row[5]) is int and row[5] > 0 for row in wanted)


@pytest.mark.parametrize(("table", "account"), ACCOUNTS)
def test_the_view_posting_adds_up_to_every_account(sql: sqlite3.Connection, table: str, account: str) -> None:
    rows = sql.execute(f"SELECT id, {account} FROM {table}").fetchall()
    assert rows
    for id, stands in rows:
        (moved,) = sql.execute(
            "SELECT coalesce(sum(CASE WHEN target = ? THEN amount ELSE 0 END)"
            " - sum(CASE WHEN source = ? THEN amount ELSE 0 END), 0)"
            " FROM posting WHERE machine = ? AND entity = ?",
            (account, account, table, id),
        ).fetchone()
        assert moved == stands, (table, id, account)


def test_analysts_read_sums_by_state(sql: sqlite3.Connection) -> None:
    assert sql.execute(
        "SELECT state, count(*), sum(available), sum(held) FROM gift_card GROUP BY state"
    ).fetchall() == [("issued", 1, 2000, 2000)]
    assert sql.execute("SELECT state, sum(held), sum(redeemed) FROM payment GROUP BY state ORDER BY 1").fetchall() == [
        ("authorized", 2000, 0), ("closed", 0, 1000),
    ]  # fmt: skip


def test_who_and_why_stand_in_the_journal(sql: sqlite3.Connection) -> None:
    assert sql.execute('SELECT DISTINCT "by", reason FROM entry').fetchall() == [("ann", "so")]
