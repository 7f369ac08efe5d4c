"""`verify` finds what was tampered with, each kind by its own words, and is silent on books that were not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tallystick
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.provider.local import LocalProvider
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
    from tallystick.store.rows import Record, chained

    columns = ", ".join(name for name in Record._fields if name != "seq")
    before: dict[tuple[str, str], str] = {}
    for row in connection.execute(f"SELECT {columns}, seq FROM entry ORDER BY seq").fetchall():
        record = Record._make(row)
        ref = record.machine, record.entity
        before[ref] = chained(before.get(ref, ""), record[:-2])
        connection.execute("UPDATE entry SET hash = ? WHERE seq = ?", (before[ref], record.seq))
    for (machine, entity), hash in before.items():
        connection.execute(f"UPDATE {machine} SET hash = ? WHERE id = ?", (hash, entity))


def test_a_hold_that_no_payment_has_asked_for_is_found() -> None:
    """A page that lets anybody hold breaks the invariant across machines, and verify says so."""
    folder = reader.packaged_folder()
    pages = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.yaml")}
    pages["gift_card.yaml"] = pages["gift_card.yaml"].replace(
        "driven: [receive, credit, hold, ", "driven: [receive, credit, "
    )
    engine = Engine(reader.read(pages), open_store("memory:"), LocalProvider())
    books = tallystick.Books(engine)
    books.sell_electronic("c1", "50.00", "BRL", order="o1", key="sell")
    assert books.verify().clean
    engine.execute("gift_card", "c1", "hold", {"amount": "20.00"}, key="hold")
    (finding,) = books.verify().findings
    assert finding.code == "held_for_payments"
    assert "held 20.00, promised 0.00" in finding.what
