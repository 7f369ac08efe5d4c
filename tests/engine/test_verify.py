"""`verify` finds what was tampered with, each kind by its own words, and is silent on books that were not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import tallystick
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.errors import Invalid
from tallystick.provider.local import LocalProvider
from tallystick.provider.scripted import Reply, ScriptedProvider
from tallystick.store.open import open_store
from tallystick.store.sqlite import SqliteStore

Tamper = Callable[[sqlite3.Connection], object]


@pytest.fixture
def books(tmp_path: Path) -> Iterator[tallystick.Books]:
    """A card sold, an order shipped in two parts, a refund, a second order still held."""
    with tallystick.open(str(tmp_path / "books.db")) as books:
        books.sell_electronic("c1", "100.00", "BRL", order="o1", key="sell")
        books.authorize("p1", "c1", "60.00", order="o2", key="auth")
        books.settle("p1", "20.00", key="ship-1")
        books.settle("p1", "40.00", key="ship-2")
        books.refund("p1", "5.00", key="refund", by="ana", reason="a dent")
        books.authorize("p2", "c1", "30.00", order="o3", key="auth-2")
        yield books


def tampered(books: tallystick.Books, tamper: Tamper) -> dict[str, str]:
    """Findings by code after somebody with the file has lifted every trigger and changed something."""
    store = books.engine.store
    assert isinstance(store, SqliteStore)
    connection = sqlite3.connect(store.path)
    triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    tamper(connection)
    connection.commit()
    connection.close()
    return {finding.code: str(finding) for finding in books.verify().findings}


def sql(statement: str) -> Tamper:
    return lambda connection: connection.execute(statement)


def test_books_that_nobody_touched_are_clean(books: tallystick.Books) -> None:
    report = books.verify()
    assert report.findings == ()
    assert report.clean
    assert report.entities == 4
    assert report.money == {"gift_card": {"BRL": 4500}, "payment": {"BRL": 8500}}
    assert report.entries > 15


# fmt: off
TAMPERED = [
    # what somebody does                                                              code          what is said
    ("UPDATE entry SET postings = replace(postings, '2000', '2001') WHERE key = 'ship-1'",  "amounts",    "2001"),
    ("UPDATE entry SET postings = replace(postings, '2000', '2001') WHERE key = 'ship-1'",  "hash",       "one of them was changed"),
    ("UPDATE entry SET args = replace(args, '2000', '1999') WHERE key = 'ship-1'",          "amounts",    "1999"),
    ("UPDATE entry SET after = replace(after, '4000', '5000') WHERE key = 'ship-1'",        "after",      "50.00"),
    ("UPDATE entry SET hash = (SELECT hash FROM entry WHERE key = 'auth') WHERE key = 'ship-1'", "hash",  "entry before it"),
    ("UPDATE entry SET reason = 'gone' WHERE key = 'refund'",                               "hash",       "one of them was changed"),
    ("UPDATE entry SET by = NULL WHERE key = 'refund'",                                     "hash",       "one of them was changed"),
    ("UPDATE entry SET to_state = 'closed' WHERE key = 'ship-1'",                           "undeclared", "closed is not declared"),
    ("UPDATE entry SET from_state = 'requested' WHERE key = 'ship-1'",                      "from_state", "ended in authorized"),
    ("UPDATE entry SET currency = 'USD' WHERE key = 'ship-1'",                              "currency",   "USD"),
    ("DELETE FROM entry WHERE key = 'ship-1'",                                              "gap",        "1 entries are missing"),
    ("DELETE FROM entry WHERE key = 'refund'",                                              "revision",   "its row says revision"),
    ("DELETE FROM entry WHERE key = 'ship-1'",                                              "missing",    "missing from the journal"),
    ("DELETE FROM entry WHERE entity = 'p2'",                                               "no_journal", "p2"),
    ("DELETE FROM payment WHERE id = 'p2'",                                                 "no_row",     "p2"),
    ("DELETE FROM payment WHERE id = 'p2'",                                                 "held_for_payments", "promised 0.00"),
    ("UPDATE payment SET state = 'authorized' WHERE id = 'p1'",                             "state",      "authorized"),
    ("UPDATE gift_card SET state = 'suspended'",                                            "state",      "suspended"),
    ("UPDATE gift_card SET available = available + 1",                                      "balance",    "available"),
    ("UPDATE gift_card SET held = held + 1",                                                "held_for_payments", "held 30.01"),
    ("UPDATE gift_card SET number = '1234567812345678'",                                    "fact",       "'number'"),
    ("UPDATE gift_card SET hash = 'x'",                                                     "hash",       "its row says hash x"),
    ("UPDATE gift_card SET calls = 1",                                                      "calls",      "counts 1 open calls"),
    ("UPDATE gift_card SET in_doubt = 500",                                                 "in_doubt",   "5.00 stand in doubt"),
]
# fmt: on


@pytest.mark.parametrize(
    ("statement", "code", "said"), TAMPERED, ids=[f"{row[1]}-{n}" for n, row in enumerate(TAMPERED)]
)
def test_what_was_tampered_with_is_found(books: tallystick.Books, statement: str, code: str, said: str) -> None:
    findings = tampered(books, sql(statement))
    assert code in findings, findings
    assert said in " ".join(str(each) for each in books.verify().findings if each.code == code)


def test_a_forger_who_mends_the_chain_is_found_by_the_amounts(books: tallystick.Books) -> None:
    """All hashes made anew after a change: the machine itself says what the amounts have to be."""

    def forge(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE entry SET postings = replace(postings, '2000', '1000') WHERE key = 'ship-1'")
        mend_chains(connection)

    findings = tampered(books, forge)
    assert "hash" not in findings
    assert {"amounts", "after"} <= findings.keys()


def mend_chains(connection: sqlite3.Connection) -> None:
    """Recompute every hash, as somebody would who has read the source."""
    from tallystick.store.rows import EntryRow, chained

    columns = ", ".join(name for name in EntryRow._fields if name != "seq")
    before: dict[tuple[str, str], str] = {}
    for row in connection.execute(f"SELECT {columns}, seq FROM entry ORDER BY seq").fetchall():
        record = EntryRow._make(row)
        ref = record.machine, record.entity
        before[ref] = chained(before.get(ref, ""), record.content)
        connection.execute("UPDATE entry SET hash = ? WHERE seq = ?", (before[ref], record.seq))
    for (machine, entity), hash in before.items():
        connection.execute(f"UPDATE {machine} SET hash = ? WHERE id = ?", (hash, entity))


def test_a_hold_that_no_payment_has_asked_for_is_found() -> None:
    """A page that lets anybody hold breaks the invariant across machines, and verify says so."""
    folder = reader.packaged_folder()
    pages = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.yaml")}
    pages["gift_card.yaml"] = pages["gift_card.yaml"].replace("driven: [receive, hold, ", "driven: [receive, ")
    engine = Engine(reader.read(pages), open_store("memory:"), LocalProvider())
    books = tallystick.Books(engine)
    books.sell_electronic("c1", "50.00", "BRL", order="o1", key="sell")
    assert books.verify().clean
    engine.execute("gift_card", "c1", "hold", {"amount": "20.00"}, key="hold")
    (finding,) = books.verify().findings
    assert finding.code == "held_for_payments"
    assert "held 20.00, promised 0.00" in finding.what


# Calls, the queue, kept pages and times. These books have met a remote provider.


def clocked(path: Path) -> tallystick.Books:
    provider = ScriptedProvider()
    engine = Engine(reader.load(), SqliteStore(path), provider, clock=provider.clock)
    return tallystick.Books(engine)


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[tallystick.Books]:
    """A reload in doubt, a declined hold, a redemption of less, a shipment with its follow-up, and one that waits."""
    with clocked(tmp_path / "remote.db") as books:
        scripted = books.engine.provider
        assert isinstance(scripted, ScriptedProvider)
        books.sell_electronic("c1", "100.00", "BRL", order="o1", key="sell")
        scripted.reply_with([Reply.read("declined")])
        with pytest.raises(tallystick.Declined):
            books.authorize("p0", "c1", "5.00", order="o0", key="no")
        scripted.reply_with([Reply("confirmed", 800)])
        books.redeem("p3", "c1", "9.00", order="o9", key="part", allow_partial=True)
        scripted.reply_with([Reply.read("unavailable")])
        with pytest.raises(tallystick.Unavailable):
            books.reload("c1", "3.00", key="again")
        books.reload("c1", "3.00", key="again")
        books.authorize("p1", "c1", "60.00", order="o2", key="auth")
        books.settle("p1", "20.00", key="ship")
        books.settle("p1", "10.00", key="later", due=scripted.clock() + timedelta(days=1), by="ana")
        scripted.reply_with([Reply.read("lost_after")])
        with pytest.raises(tallystick.InDoubt):
            books.reload("c1", "7.00", key="doubt")
        yield books


def test_books_with_calls_and_a_queue_are_clean(remote: tallystick.Books) -> None:
    assert remote.verify().findings == ()
    assert remote.verify().calls == 1


OPEN = "WHERE key = 'doubt'"
# fmt: off
CALLS = [
    (f"UPDATE call SET args = replace(args, '700', '900') {OPEN}",            "call_args",    "another amount than its entries set aside: 9.00 in its row, 7.00 by its entries"),
    (f"UPDATE call SET steps = replace(steps, '700', '900') {OPEN}",          "call_steps",   "900"),
    (f"UPDATE call SET steps = '[]' {OPEN}",                                  "call_steps",   "0 steps"),
    (f"UPDATE call SET steps = 'gone' {OPEN}",                                "unreadable",   "cannot be read"),
    (f"UPDATE call SET key = 'other' {OPEN}",                                 "call_key",     "'other'"),
    (f"UPDATE call SET verb = 'redeem' {OPEN}",                               "call_about",   "verb 'redeem'"),
    (f"UPDATE call SET entity = 'c2' {OPEN}",                                 "call_about",   "entity 'c2'"),
    (f"UPDATE call SET currency = 'USD' {OPEN}",                              "call_about",   "currency 'USD'"),
    (f"UPDATE call SET state = 'unavailable' {OPEN}",                         "call_state",   "its entries say open"),
    (f"UPDATE call SET secret = 1 {OPEN}",                                    "call_hash",    "was changed"),
    (f"UPDATE call SET attempts = 0 {OPEN}",                                  "call_hash",    "was changed"),
    (f"UPDATE call SET note = 'ann: seen' {OPEN}",                            "call_hash",    "was changed"),
    (f"UPDATE call SET takes = 'gift_card 1' {OPEN}",                         "call_hash",    "was changed"),
    (f"UPDATE call SET opened = '2030-01-01T00:00:00.000Z' {OPEN}",           "call_time",    "2030"),
    (f"DELETE FROM call {OPEN}",                                              "call_missing", "it is not kept"),
    ("UPDATE call SET state = 'confirmed' WHERE key = 'no'",                  "call_state",   "its entries say declined"),
    ("UPDATE call SET state = 'open' WHERE key = 'no'",                       "call_state",   "its entries say declined"),
    ("UPDATE call SET outcome = NULL WHERE key = 'no'",                       "call_outcome", "with no outcome"),
    ("UPDATE call SET outcome = replace(outcome, '800', '900') WHERE key = 'part'", "call_outcome", "says 9.00, its entry 8.00"),
    ("UPDATE call SET closed = '2001-01-01T00:00:00.000Z' WHERE key = 'no'",  "call_time",    "2001"),
    ("UPDATE call SET args = replace(args, '300', '400') WHERE key = 'again'", "call_args",   "4.00 in its row, 3.00"),
    ("UPDATE queue SET args = replace(args, '1000', '9000') WHERE key = 'later'", "queue_hash", "was changed"),
    ("UPDATE queue SET due = '2001-01-01T00:00:00.000Z' WHERE key = 'later'", "queue_hash",   "was changed"),
    ("UPDATE queue SET state = 'done' WHERE key = 'later'",                   "queue_state",  "it is done, but the journal has no entry of it"),
    ("UPDATE queue SET state = 'waiting' WHERE key = 'ship>hold_again'",      "queue_state",  "it is waiting, but the journal says confirmed"),
    ("UPDATE queue SET command = 'settle' WHERE key = 'ship>hold_again'",     "queue_about",  "not the command of its entry"),
    ("UPDATE queue SET entity = 'p2' WHERE key = 'ship>hold_again'",          "follow_up",    "of payment 'p1', which is missing"),
    ("UPDATE queue SET args = replace(args, '4000', '5000') WHERE key = 'ship>hold_again'", "follow_up", "not the arguments"),
    ("UPDATE queue SET cause = NULL WHERE key = 'ship>hold_again'",           "follow_up",    "which is missing"),
    ("UPDATE queue SET cause = 'auth' WHERE key = 'ship>hold_again'",         "follow_up",    "queue no hold_again"),
    ("UPDATE queue SET args = 'gone' WHERE key = 'ship>hold_again'",          "unreadable",   "cannot be read"),
    ("DELETE FROM queue WHERE key = 'ship>hold_again'",                       "follow_up",    "which is missing"),
    ("UPDATE machine SET definition = replace(definition, 'amount <= held', 'amount < held')", "page", "behaves otherwise"),
    ("UPDATE machine SET definition = 'gone' WHERE name = 'payment'",         "page",         "cannot be read"),
    ("UPDATE machine SET digest = 'x' WHERE name = 'payment'",                "page",         "behaves otherwise"),
    ("DELETE FROM transition WHERE name = 'void'",                            "transition",   "is missing from the table"),
    ("UPDATE transition SET to_state = 'closed' WHERE name = 'refund'",       "transition",   "its page does not declare it"),
    ("UPDATE entry SET at = '2001-01-01T00:00:00.000Z' WHERE key = 'ship'",   "time",         "long before the entry that it follows"),
    ("UPDATE entry SET args = 'gone' WHERE key = 'ship'",                     "unreadable",   "cannot be read"),
    ("UPDATE entry SET at = 'gone' WHERE key = 'ship'",                       "unreadable",   "cannot be read"),
    ("UPDATE entry SET machine_version = 7 WHERE key = 'ship'",               "unreadable",   "cannot be read"),
]
# fmt: on


@pytest.mark.parametrize(("statement", "code", "said"), CALLS, ids=[f"{row[1]}-{n}" for n, row in enumerate(CALLS)])
def test_what_was_changed_in_calls_queue_and_pages_is_found(
    remote: tallystick.Books, statement: str, code: str, said: str
) -> None:
    tampered(remote, sql(statement))
    found = [str(each) for each in remote.verify().findings if each.code == code]
    assert said in " ".join(found), remote.verify().findings


def mend_rows(connection: sqlite3.Connection) -> None:
    """Recompute the hash of every call and queued command."""
    from tallystick.store.rows import CallRow, QueueRow, row_hash

    connection.row_factory = sqlite3.Row
    for table, kind, key in (("call", CallRow, "id"), ("queue", QueueRow, "key")):
        for row in connection.execute(f"SELECT * FROM {table}").fetchall():
            hash = row_hash(kind(**{**dict(row), "hash": ""}))
            connection.execute(f"UPDATE {table} SET hash = ? WHERE {key} = ?", (hash, row[key]))


@pytest.mark.parametrize(
    ("statement", "code", "said"),
    [row for row in CALLS if row[1][:4] in ("call", "queu", "foll") and not row[1].endswith("_hash")],
)
def test_a_forger_who_mends_the_hash_of_a_row_is_found_by_the_journal(
    remote: tallystick.Books, statement: str, code: str, said: str
) -> None:
    def forge(connection: sqlite3.Connection) -> None:
        connection.execute(statement)
        mend_rows(connection)

    assert code in tampered(remote, forge)
    assert {"call_hash", "queue_hash"}.isdisjoint(each.code for each in remote.verify().findings)


def test_a_call_that_was_changed_by_hand_is_neither_sent_nor_looked_up(remote: tallystick.Books) -> None:
    scripted = remote.engine.provider
    assert isinstance(scripted, ScriptedProvider)
    contacts = len(scripted.contacts)
    tampered(remote, sql(f"UPDATE call SET args = replace(args, '700', '900') {OPEN}"))
    scripted.wait(600)
    (receipt,) = remote.recover()
    assert receipt.result == "in_doubt"
    assert "was changed in the database" in receipt.why
    assert len(scripted.contacts) == contacts
    assert "call_args" in {each.code for each in remote.verify().findings}


LATER = "key = 'later'"  # a shipment of 7.00 that waits


@pytest.mark.parametrize(
    "changed",
    [
        f"UPDATE queue SET args = replace(args, '700', '900') WHERE {LATER}",
        f"UPDATE queue SET args = 'gone' WHERE {LATER}",
        f"UPDATE queue SET command = 'close', args = '{{}}' WHERE {LATER}",
        f"UPDATE queue SET due = '2026-01-01T00:00:00.000Z' WHERE {LATER}",
    ],
)
def test_a_queued_command_that_was_changed_by_hand_is_left_alone(books: tallystick.Books, changed: str) -> None:
    """It is not executed, hides nothing that is due after it, and waits for a person."""
    now = datetime.now(timezone.utc)
    books.settle("p2", "7.00", key="later", due=now - timedelta(days=1))
    books.engine.execute("gift_card", "c1", "reload", {"amount": "2.00"}, key="after", due=now - timedelta(hours=1))
    tampered(books, sql(changed))
    found = {receipt.key: receipt for receipt in (*books.engine.run_due(limit=1), *books.engine.run_due())}
    assert (found["later"].result, found["after"].result) == ("refused", "applied")
    assert "was changed in the database" in found["later"].why
    assert books.payment("p2").held.minor == 3000
    assert "queue_hash" in {each.code for each in books.verify().findings}
    (stuck,) = books.stuck().queue
    assert (stuck.row.key, "was changed in the database" in stuck.why, bool(books.waiting())) == ("later", True, False)
    assert "was changed in the database" in books.queue.waiting()[0].why
    for refused in (
        lambda: books.queue.reschedule("later", now, by="ann", reason="r"),
        lambda: books.queue.retry("later", by="ann", reason="r"),
    ):
        with pytest.raises(Invalid):
            refused()
    assert books.queue.run("later").result == "refused"
    assert books.queue.dismiss("later", by="ann", reason="nobody knows what it was").state == "dismissed"
    assert (bool(books.stuck()), books.run_due()) == (False, [])


def test_a_given_up_command_that_was_changed_by_hand_is_not_tried_again(books: tallystick.Books) -> None:
    books.engine.execute("gift_card", "c1", "redeem", {"amount": "99.00"}, key="later", due=datetime.now(timezone.utc))
    books.run_due()
    tampered(books, sql(f"UPDATE queue SET args = replace(args, '9900', '100') WHERE {LATER}"))
    with pytest.raises(Invalid, match="must not be done"):
        books.queue.retry("later", by="ann", reason="r")
    assert books.queue.dismiss("later", by="ann", reason="r").state == "dismissed"


def test_the_database_refuses_to_change_an_open_call(remote: tallystick.Books) -> None:
    store = remote.engine.store
    assert isinstance(store, SqliteStore)
    with closing(sqlite3.connect(store.path)) as connection, pytest.raises(sqlite3.IntegrityError, match="asks for"):
        connection.execute(f"UPDATE call SET args = replace(args, '700', '900') {OPEN}")
