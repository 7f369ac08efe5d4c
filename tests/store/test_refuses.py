"""What the database itself refuses, whoever asks: one table over SQLite, PostgreSQL, and one with a divided journal.

No line of this library runs between the statements and the tables. Every refusal has a control beside it, a statement
of the same shape that is taken, so that it is refused for what it does and not for how it is written. What only one of
the databases can be asked is in `test_sqlite_refuses.py` and `test_postgres_refuses.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from plain_sql import BOTH, MACHINES, Sql, books_in, next_entry, plain
from tallystick.store.rows import CALL_ASKS, CALL_ENDED, CALL_STAYS, QUEUE_STAYS


@pytest.fixture(scope="module", params=["sqlite", "postgres", "divided"])
def books(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with books_in(request.param, tmp_path_factory.mktemp("refuses")) as url:
        yield url


@pytest.fixture
def sql(books: str) -> Iterator[Sql]:
    with plain(books) as connection:
        yield connection


# Accounts and states

ACCOUNTS = [(name, account) for name in ("gift_card", "payment") for account in MACHINES[name].columns]


@pytest.mark.parametrize(("table", "account"), ACCOUNTS)
def test_no_account_is_overdrawn(sql: Sql, table: str, account: str) -> None:
    sql.refused(f"UPDATE {table} SET {account} = {account} - 100000", says="check")
    sql.refused(f"UPDATE {table} SET {account} = -1 WHERE id IN ('c1', 'p1')", says="check")
    sql.execute(f"UPDATE {table} SET {account} = 0")
    sql.refused(f"UPDATE {table} SET {account} = NULL", says="not.null")


@pytest.mark.parametrize(("table", "state"), [("gift_card", "lost"), ("payment", "paid"), ("payment", "issued")])
def test_no_state_that_is_not_declared(sql: Sql, table: str, state: str) -> None:
    sql.refused(f"UPDATE {table} SET state = %s", state, says="check")
    sql.refused(f"UPDATE {table} SET state = NULL", says="not.null")


@pytest.mark.parametrize("table", ["gift_card", "payment"])
def test_every_declared_state_is_taken(sql: Sql, table: str) -> None:
    for state in MACHINES[table].states:
        sql.execute(f"UPDATE {table} SET state = %s", state)


def test_a_choice_is_one_of_its_choices(sql: Sql) -> None:
    sql.execute("UPDATE gift_card SET form = 'physical', kind = 'promo'")
    sql.refused("UPDATE gift_card SET form = 'paper'", says="check")
    sql.refused("UPDATE gift_card SET kind = 'present'", says="check")


def test_no_entity_twice_and_no_revision_below_one(sql: Sql) -> None:
    sql.refused("INSERT INTO gift_card SELECT * FROM gift_card", says="unique|there already")
    sql.refused("UPDATE payment SET revision = 0", says="check")
    sql.refused("UPDATE payment SET calls = -1", says="check")


def test_a_card_number_belongs_to_one_card_of_a_currency(sql: Sql) -> None:
    sql.execute("UPDATE gift_card SET number = '1'")

    def copied(number: str) -> str:
        """Another card like c1, with this number."""
        names = sql.names("gift_card")
        given = {"id": "'c9'", "number": f"'{number}'"}
        columns, values = ", ".join(f'"{name}"' for name in names), ", ".join(given.get(n, f'"{n}"') for n in names)
        return f"INSERT INTO gift_card ({columns}) SELECT {values} FROM gift_card"

    sql.refused(copied("1"), says="unique|there already")
    sql.execute(copied("2"))


# The journal


def test_no_entry_is_rewritten(sql: Sql) -> None:
    for column in sql.names("entry"):
        sql.refused(f"UPDATE entry SET {column} = {column}", says="entries are never changed")
    sql.refused("UPDATE entry SET reason = '9' WHERE machine = 'payment'", says="entries are never changed")


@pytest.mark.parametrize("which", ["", "WHERE seq = 4", "WHERE machine = 'payment'", "WHERE key = 'k3'"])
def test_no_entry_is_deleted(sql: Sql, which: str) -> None:
    sql.refused(f"DELETE FROM entry {which}", says="entries are never (changed or )?deleted")


@BOTH
def test_the_step_that_comes_next_is_taken(sql: Sql, machine: str, entity: str) -> None:
    before = len(sql.execute("SELECT 1 FROM entry"))
    statement, values = next_entry(sql, machine, entity)
    sql.execute(statement, *values)
    assert len(sql.execute("SELECT 1 FROM entry")) == before + 1


UNDECLARED = [
    ("gift_card", "c1", {"transition": "gift"}),
    ("gift_card", "c1", {"command": "issue"}),
    ("gift_card", "c1", {"to_state": "inventory"}),
    ("gift_card", "c1", {"to_state": "nowhere"}),
    ("gift_card", "c1", {"phase": "dreamt"}),
    ("gift_card", "c1", {"transition": "suspend", "command": "suspend", "to_state": "suspended", "phase": "asked"}),
    ("gift_card", "c1", {"transition": "observe_same", "command": "observe", "phase": "asked"}),
    ("gift_card", "c1", {"machine_version": 99}),
    ("gift_card", "c1", {"machine": "voucher"}),
    ("payment", "p1", {"to_state": "closed"}),
    ("payment", "p1", {"transition": "close", "command": "close", "to_state": "closed"}),
    ("payment", "p1", {"command": "void"}),
    ("payment", "p1", {"phase": "declined"}),
    ("payment", "p1", {"machine_version": 0}),
]


@pytest.mark.parametrize(("machine", "entity", "wrong"), UNDECLARED)
def test_no_step_that_no_page_declares(sql: Sql, machine: str, entity: str, wrong: dict[str, object]) -> None:
    statement, values = next_entry(sql, machine, entity, **wrong)
    sql.refused(statement, *values, says="a step that its machine declares|follow the one before it|phase_check")


def newest(sql: Sql, machine: str, entity: str) -> int:
    """Its revision."""
    query = "SELECT max(revision) FROM entry WHERE machine = %s AND entity = %s"
    ((revision,),) = sql.execute(query, machine, entity)
    assert isinstance(revision, int)
    return revision


@BOTH
@pytest.mark.parametrize("ahead", [1, 2, 1000])
def test_no_revision_is_left_out(sql: Sql, machine: str, entity: str, ahead: int) -> None:
    statement, values = next_entry(sql, machine, entity, revision=newest(sql, machine, entity) + 1 + ahead)
    sql.refused(statement, *values, says="follow the one before it")


@BOTH
def test_no_revision_stands_twice(sql: Sql, machine: str, entity: str) -> None:
    revision = newest(sql, machine, entity)
    for again in (0, 1, revision - 1, revision):
        statement, values = next_entry(sql, machine, entity, revision=again)
        sql.refused(statement, *values)


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
def test_no_step_from_where_the_entity_is_not(sql: Sql, machine: str, entity: str, wrong: dict[str, object]) -> None:
    known = {"gift_card": "c1", "payment": "p1"}[machine]
    statement, values = next_entry(sql, machine, known, **{**wrong, "entity": entity})
    sql.refused(statement, *values, says="follow the one before it")


@BOTH
def test_no_entity_begins_twice_or_in_the_middle(sql: Sql, machine: str, entity: str) -> None:
    begin: dict[str, object] = {
        "transition": "create", "command": "create", "from_state": None, "to_state": MACHINES[machine].start,
    }  # fmt: skip
    twice, middle = {"revision": 1}, {"revision": 2, "entity": "fresh"}
    for wrong, says in (({}, "follow the one"), (twice, "unique|there already"), (middle, "follow the one")):
        statement, values = next_entry(sql, machine, entity, **begin, **wrong)
        sql.refused(statement, *values, says=says)
    statement, values = next_entry(sql, machine, entity, **begin, **{**twice, "entity": "fresh"})
    sql.execute(statement, *values)


@BOTH
@pytest.mark.parametrize("key", ["k0", "k5", "k8"])
def test_no_key_stands_for_two_entries(sql: Sql, machine: str, entity: str, key: str) -> None:
    statement, values = next_entry(sql, machine, entity, key=key)
    sql.refused(statement, *values, says="unique|there already")


# Calls, the queue, kept pages


def other(column: str) -> str:
    """An expression with another value than the column has, of its type."""
    return {
        "secret": "NOT secret", "attempts": "attempts + 1", "state": "'declined'", "args": "'[]'", "steps": "'[9]'",
    }.get(column, f"coalesce({column} || 'x', 'x')")  # fmt: skip


@pytest.mark.parametrize("column", CALL_STAYS)
def test_what_a_call_is_about_is_never_changed(sql: Sql, column: str) -> None:
    for id in ("o", "c", "u"):
        sql.refused(f"UPDATE call SET {column} = {other(column)} WHERE id = '{id}'", says="is about is never changed")


@pytest.mark.parametrize("column", CALL_ASKS)
def test_what_a_call_asks_for_is_never_changed(sql: Sql, column: str) -> None:
    change = f"UPDATE call SET {column} = {other(column)}"
    for id in ("o", "c", "u"):
        sql.refused(f"{change} WHERE id = '{id}'", says="asks for is never changed")
    sql.refused(f"{change}, state = 'unavailable' WHERE id = 'o'", says="asks for is never changed")
    sql.execute(f"{change}, state = 'open' WHERE id = 'u'")  # its key asks again


@pytest.mark.parametrize("column", CALL_ENDED)
def test_how_a_call_ended_is_never_changed(sql: Sql, column: str) -> None:
    change = f"UPDATE call SET {column} = {other(column)}"
    for id in ("c", "u"):
        sql.refused(f"{change} WHERE id = '{id}'", says="ended is never changed")
    sql.execute(f"{change} WHERE id = 'o'")


def test_a_note_may_be_made_of_any_call(sql: Sql) -> None:
    sql.execute("UPDATE call SET note = 'seen in their portal'")


def test_two_open_calls_never_take_the_same(sql: Sql) -> None:
    sql.refused("UPDATE call SET takes = 'card 1', state = 'open' WHERE id = 'u'", says="unique|there already")
    sql.execute("UPDATE call SET takes = 'card 2', state = 'open' WHERE id = 'u'")


@pytest.mark.parametrize("column", QUEUE_STAYS)
def test_what_a_queued_command_does_is_never_changed(sql: Sql, column: str) -> None:
    sql.refused(f"UPDATE queue SET {column} = {other(column)}", says="does is never changed")


def test_when_and_how_a_queued_command_ends_may_change(sql: Sql) -> None:
    sql.execute("UPDATE queue SET due = 'x', attempts = 2, state = 'parked', why = 'x', note = 'x'")


@pytest.mark.parametrize("table", ["call", "queue", "machine", "transition"])
def test_no_call_queued_command_or_page_is_deleted(sql: Sql, table: str) -> None:
    sql.refused(f"DELETE FROM {table}", says="never (changed or )?deleted")


def test_of_a_kept_page_only_the_wording_may_change(sql: Sql) -> None:
    for column in ("name", "digest", "seen"):
        sql.refused(f"UPDATE machine SET {column} = {column} || 'x'", says="wording only")
    sql.execute("UPDATE machine SET definition = definition || '  # a comment'")
    sql.refused("UPDATE transition SET to_state = 'closed'", says="steps are never changed")


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
    "posting": ["seq", "machine", "entity", "source", "target", "amount", "currency"],
}  # fmt: skip


@pytest.mark.parametrize("table", PROMISED)
def test_tables_and_columns_have_the_promised_names(sql: Sql, table: str) -> None:
    columns = sql.names(table)
    assert [name for name in PROMISED[table] if name not in columns] == []


def test_every_account_and_fact_of_every_machine_is_a_column(sql: Sql) -> None:
    for name, machine in MACHINES.items():
        assert {*machine.columns, *machine.facts} <= {*sql.names(name)}


def test_the_view_posting_shows_one_row_for_each_posting(sql: Sql) -> None:
    assert sql.names("posting") == PROMISED["posting"]
    columns = "seq, machine, entity, CAST(postings AS text), currency"
    wanted = [
        (seq, machine, entity, source, target, amount, currency)
        for seq, machine, entity, postings, currency in sql.execute(f"SELECT {columns} FROM entry ORDER BY seq")
        for source, target, amount in sorted(json.loads(postings))
    ]
    assert sql.execute("SELECT * FROM posting ORDER BY seq, source, target") == wanted
    assert len(wanted) == 9
    assert all(type(row[5]) is int and row[5] > 0 for row in wanted)


@pytest.mark.parametrize(("table", "account"), ACCOUNTS)
def test_the_view_posting_adds_up_to_every_account(sql: Sql, table: str, account: str) -> None:
    rows = sql.execute(f"SELECT id, {account} FROM {table}")
    assert rows
    for id, stands in rows:
        ((moved,),) = sql.execute(
            "SELECT coalesce(sum(CASE WHEN target = %s THEN amount ELSE 0 END)"
            " - sum(CASE WHEN source = %s THEN amount ELSE 0 END), 0)"
            " FROM posting WHERE machine = %s AND entity = %s",
            account, account, table, id,
        )  # fmt: skip
        assert moved == stands, (table, id, account)


def test_analysts_read_sums_by_state(sql: Sql) -> None:
    sums = "SELECT state, count(*), sum(available), sum(held) FROM gift_card GROUP BY state"
    assert sql.execute(sums) == [("issued", 1, 2000, 2000)]
    assert sql.execute("SELECT state, sum(held), sum(redeemed) FROM payment GROUP BY state ORDER BY 1") == [
        ("authorized", 2000, 0), ("closed", 0, 1000),
    ]  # fmt: skip


def test_who_and_why_stand_in_the_journal(sql: Sql) -> None:
    assert sql.execute('SELECT DISTINCT "by", reason FROM entry') == [("ann", "so")]
