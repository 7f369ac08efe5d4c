"""What PostgreSQL itself refuses, whoever asks: no line of this library runs between the statements and the tables.

As in `test_sqlite_refuses.py`, every refusal has a control beside it, a statement of the same shape that is taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from postgres_books import postgres_url
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.provider.local import LocalProvider
from tallystick.store.postgres.store import PostgresStore
from tallystick.store.rows import CALL_ASKS, CALL_ENDED, CALL_STAYS, QUEUE_STAYS, Changes
from tallystick.testing.contracts.changes import AT, call_row, queue_row

MACHINES = reader.load()
Sql = psycopg.Connection[Any]


@pytest.fixture(scope="module", params=[0, 3], ids=["whole", "divided"])
def books(request: pytest.FixtureRequest) -> Iterator[str]:
    """A card of 50.00 that holds 20.00 for one payment, and one payment that has earned 10.00 of it."""
    with postgres_url(request.param) as url:
        store = PostgresStore(url)
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
        yield url


@pytest.fixture
def sql(books: str) -> Iterator[Sql]:
    """A plain connection whose changes are undone afterwards."""
    with psycopg.connect(books) as connection:
        connection.execute("SET search_path TO tallystick")
        yield connection
        connection.rollback()


def refused(sql: Sql, statement: str, *values: object, says: str = "constraint|entries are|an entry has to") -> None:
    def at_once() -> None:
        with sql.transaction():
            sql.execute(statement, values or None)
            sql.execute("SET CONSTRAINTS ALL IMMEDIATE")

    with pytest.raises(psycopg.IntegrityError, match=says):
        at_once()


ACCOUNTS = [(name, account) for name in ("gift_card", "payment") for account in MACHINES[name].columns]


@pytest.mark.parametrize(("table", "account"), ACCOUNTS)
def test_no_account_is_overdrawn(sql: Sql, table: str, account: str) -> None:
    refused(sql, f"UPDATE {table} SET {account} = {account} - 100000", says="check constraint")
    refused(sql, f"UPDATE {table} SET {account} = NULL", says="not-null")
    sql.execute(f"UPDATE {table} SET {account} = 0")


@pytest.mark.parametrize(("table", "state"), [("gift_card", "lost"), ("payment", "paid"), ("payment", "issued")])
def test_no_state_that_is_not_declared(sql: Sql, table: str, state: str) -> None:
    refused(sql, f"UPDATE {table} SET state = '{state}'", says="check constraint")
    for declared in MACHINES[table].states:
        sql.execute(f"UPDATE {table} SET state = '{declared}'")


def test_a_choice_is_one_of_its_choices_and_a_link_leads_somewhere(sql: Sql) -> None:
    sql.execute("UPDATE gift_card SET form = 'physical', kind = 'promo'")
    refused(sql, "UPDATE gift_card SET form = 'paper'", says="check constraint")
    refused(sql, "UPDATE payment SET card = 'nobody'", says="foreign key")
    refused(sql, "DELETE FROM gift_card", says="foreign key")
    sql.execute("UPDATE payment SET card = 'c1'")


def test_a_card_number_belongs_to_one_card_of_a_currency(sql: Sql) -> None:
    columns = [
        name
        for (name,) in sql.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'gift_card'::regclass AND attnum > 0"
        ).fetchall()
    ]
    sql.execute("UPDATE gift_card SET number = '1'")
    other = {"id": "'c9'", "number": "'2'"}
    listed = ", ".join(f'"{name}"' for name in columns)

    def copy() -> str:
        return f"INSERT INTO gift_card ({listed}) SELECT {', '.join(other.get(name, f'{chr(34)}{name}{chr(34)}') for name in columns)} FROM gift_card"

    other["number"] = "'1'"
    refused(sql, copy(), says="unique")
    other["number"] = "'2'"
    sql.execute(copy())


# The journal


@pytest.mark.parametrize("which", ["entry", "ONLY entry", "_key"])
def test_nothing_of_the_journal_is_changed_or_deleted(sql: Sql, which: str) -> None:
    refused(sql, f"UPDATE {which} SET revision = revision", says="never changed or deleted")
    refused(sql, f"DELETE FROM {which}", says="never changed or deleted")
    refused(sql, f"TRUNCATE {which}" if "ONLY" not in which else "TRUNCATE entry", says="never changed or deleted")


def next_entry(sql: Sql, machine: str, entity: str, /, **given: object) -> tuple[str, list[object]]:
    """The INSERT of an entry that would follow the last one of an entity; `given` is what is wrong with it."""
    cursor = sql.execute(
        "SELECT * FROM entry WHERE machine = %s AND entity = %s ORDER BY revision DESC LIMIT 1", (machine, entity)
    )
    names = [column.name for column in cursor.description or ()]
    last = {
        name: value for name, value in zip(names, cursor.fetchone() or (), strict=True) if name not in ("seq", "xid")
    }
    follows = {
        **last, "revision": last["revision"] + 1, "from_state": last["to_state"], "key": "fresh", "cause": None,
        "phase": "done", "postings": "[]", "args": "{}", "facts": "{}", "after": "{}", **NEXT[machine], **given,
    }  # fmt: skip
    columns = ", ".join(follows)
    return f"INSERT INTO entry ({columns}) VALUES ({', '.join(['%s'] * len(follows))})", list(follows.values())


# What would rightly come next: c1 is issued, p1 is authorized.
NEXT: dict[str, dict[str, object]] = {
    "gift_card": {"transition": "reload", "command": "reload", "to_state": "issued"},
    "payment": {"transition": "cancel", "command": "cancel", "to_state": "reversed"},
}
BOTH = pytest.mark.parametrize(("machine", "entity"), [("gift_card", "c1"), ("payment", "p1")])


@BOTH
def test_the_step_that_comes_next_is_taken(sql: Sql, machine: str, entity: str) -> None:
    statement, values = next_entry(sql, machine, entity)
    assert sql.execute(statement, values).rowcount == 1
    assert sql.execute("SELECT machine, entity FROM _key WHERE key = 'fresh'").fetchall() == [(machine, entity)]


@pytest.mark.parametrize(
    ("machine", "entity", "wrong"),
    [
        ("gift_card", "c1", {"transition": "gift"}),
        ("gift_card", "c1", {"command": "issue"}),
        ("gift_card", "c1", {"to_state": "inventory"}),
        ("gift_card", "c1", {"phase": "dreamt"}),
        ("gift_card", "c1", {"machine_version": 3}),
        ("gift_card", "c1", {"machine": "voucher"}),
        ("payment", "p1", {"command": "void"}),
        ("payment", "p1", {"phase": "declined"}),
        ("gift_card", "c1", {"revision": 9}),
        ("gift_card", "c1", {"revision": 0}),
        (
            "gift_card",
            "c1",
            {
                "from_state": "allocated",
                "transition": "activate_electronic",
                "command": "activate",
                "to_state": "activated",
            },
        ),
        ("payment", "p1", {"from_state": "advanced_hold", "to_state": "closed", "transition": "cancel_rest"}),
        ("gift_card", "c1", {"entity": "nobody"}),
    ],
)
def test_no_other_step_is(sql: Sql, machine: str, entity: str, wrong: dict[str, object]) -> None:
    statement, values = next_entry(sql, machine, entity, **wrong)
    refused(sql, statement, *values)


@BOTH
@pytest.mark.parametrize("key", ["k0", "k5", "k8"])
def test_no_key_stands_for_two_entries(sql: Sql, machine: str, entity: str, key: str) -> None:
    statement, values = next_entry(sql, machine, entity, key=key)
    refused(sql, statement, *values, says="unique")


@BOTH
def test_no_entity_begins_twice(sql: Sql, machine: str, entity: str) -> None:
    begin = {"transition": "create", "command": "create", "from_state": None, "to_state": MACHINES[machine].start}
    for wrong, says in (({}, "follow"), ({"revision": 1}, "unique"), ({"revision": 2, "entity": "fresh"}, "follow")):
        statement, values = next_entry(sql, machine, entity, **begin, **wrong)  # type: ignore[arg-type]
        refused(sql, statement, *values, says=says)
    statement, values = next_entry(sql, machine, entity, **begin, revision=1, entity="fresh")  # type: ignore[arg-type]
    sql.execute(statement, values)


# Calls, the queue, kept pages


def other(column: str) -> str:
    """Another value than the column has, of its type."""
    return {
        "secret": "NOT secret", "attempts": "attempts + 1", "state": "'declined'", "args": "'[]'", "steps": "'[9]'",
    }.get(column, f"coalesce({column} || 'x', 'x')")  # fmt: skip


@pytest.mark.parametrize("column", CALL_STAYS)
def test_what_a_call_is_about_is_never_changed(sql: Sql, column: str) -> None:
    for id in ("o", "c", "u"):
        refused(sql, f"UPDATE call SET {column} = {other(column)} WHERE id = '{id}'", says="is about is never changed")


@pytest.mark.parametrize("column", CALL_ASKS)
def test_what_a_call_asks_for_is_never_changed(sql: Sql, column: str) -> None:
    change = f"UPDATE call SET {column} = {other(column)}"
    for id in ("o", "c", "u"):
        refused(sql, f"{change} WHERE id = '{id}'", says="asks for is never changed")
    refused(sql, f"{change}, state = 'unavailable' WHERE id = 'o'", says="asks for is never changed")
    sql.execute(f"{change}, state = 'open' WHERE id = 'u'")  # its key asks again


@pytest.mark.parametrize("column", CALL_ENDED)
def test_how_a_call_ended_is_never_changed(sql: Sql, column: str) -> None:
    change = f"UPDATE call SET {column} = {other(column)}"
    for id in ("c", "u"):
        refused(sql, f"{change} WHERE id = '{id}'", says="ended is never changed")
    sql.execute(f"{change} WHERE id = 'o'")


@pytest.mark.parametrize("column", QUEUE_STAYS)
def test_what_a_queued_command_does_is_never_changed(sql: Sql, column: str) -> None:
    refused(sql, f"UPDATE queue SET {column} = {other(column)}", says="does is never changed")
    sql.execute("UPDATE queue SET due = 'x', attempts = 2, state = 'parked', why = 'x', note = 'x'")


@pytest.mark.parametrize("table", ["call", "queue", "machine", "transition"])
def test_no_call_queued_command_or_page_is_deleted(sql: Sql, table: str) -> None:
    refused(sql, f"DELETE FROM {table}", says="never")
    refused(sql, f"TRUNCATE {table} CASCADE", says="never")


def test_two_open_calls_never_take_the_same(sql: Sql) -> None:
    sql.execute("UPDATE call SET takes = 'card 1', state = 'open' WHERE id = 'u' AND false")
    refused(sql, "UPDATE call SET takes = 'card 1', state = 'open' WHERE id = 'u'", says="unique")


def test_of_a_kept_page_only_the_wording_may_change(sql: Sql) -> None:
    for column in ("name", "digest", "seen"):
        refused(sql, f"UPDATE machine SET {column} = {column} || 'x'", says="wording only")
    sql.execute("UPDATE machine SET definition = definition || '  # a comment'")


def test_the_view_posting_shows_one_row_for_each_posting(sql: Sql) -> None:
    found = sql.execute("SELECT * FROM posting ORDER BY seq, source, target").fetchall()
    journal = sql.execute("SELECT seq, machine, entity, postings::text, currency FROM entry ORDER BY seq").fetchall()
    assert found == [
        (seq, machine, entity, source, target, amount, currency)
        for seq, machine, entity, postings, currency in journal
        for source, target, amount in sorted(json.loads(postings))
    ]
    assert len(found) == 9
