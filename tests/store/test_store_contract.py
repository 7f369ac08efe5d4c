"""One contract for all stores: what is promised in `tallystick.store`, held by each of them.

The first part runs over every store. The second is what only a file can promise: it opens again, in another
process, after a fork, with older and newer pages, and it says in one sentence why it cannot be opened.
"""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import tallystick
from postgres_books import postgres_store
from tallystick.definition import reader
from tallystick.definition.behaviour import digest_of
from tallystick.definition.machine import Machines
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Ended, Receipt
from tallystick.engine.verify import verify
from tallystick.errors import Invalid, KeyReused, MachineChanged, NotInTransaction, StoreBusy, StoreError
from tallystick.provider.local import LocalProvider
from tallystick.store.memory import MemoryStore
from tallystick.store.open import open_store
from tallystick.store.protocol import Transaction
from tallystick.store.rows import Changes
from tallystick.store.sqlite import SqliteStore
from tallystick.testing.contracts import store_contract
from tallystick.testing.contracts.changes import (  # fmt: skip
    AT,
    MACHINES,
    at_once,
    born,
    call_row,
    funded,
    newer,
    pages,
    put,
    queue_row,
    second,
    snapshot,
)

FIRST = MACHINES["gift_card"].version

TestMemory = store_contract(lambda folder: MemoryStore())
TestSqlite = store_contract(lambda folder: SqliteStore(folder / "books.db"))

TestPostgres = store_contract(lambda folder: postgres_store())
TestPostgresPartitioned = store_contract(lambda folder: postgres_store(partitions=3))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[..., SqliteStore]]:
    """Opens the file at `path`, as often as wanted; all are closed at the end."""
    stores = []

    def again(machines: Machines = MACHINES, **more: float) -> SqliteStore:
        stores.append(SqliteStore(path, **more))
        stores[-1].machines(machines)
        return stores[-1]

    yield again
    for each in stores:
        each.close()


# Names


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("sqlite:///books.db", "books.db"),
        ("sqlite:////var/lib/books.db", "/var/lib/books.db"),
        ("sqlite:books.db", "books.db"),
        ("books.db", "books.db"),
        ("/var/lib/books.db", "/var/lib/books.db"),
        ("C:/books.db", "C:/books.db"),
    ],
)
def test_a_store_has_a_url(url: str, where: str) -> None:
    store = open_store(url)
    assert isinstance(store, SqliteStore)
    assert Path(store.path).absolute() == Path(where).absolute()
    assert open_store(store.url).url == store.url


def test_memory_is_a_store_that_is_forgotten() -> None:
    assert open_store("memory:").url == "memory:"
    with pytest.raises(NotInTransaction, match="no connection to join"):
        open_store("memory:").run(lambda transaction: None, connection=object())


@pytest.mark.parametrize("url", ["mysql://host/books", "postgresql:books", "", ":memory:", "sqlite:", "sqlite:///"])
def test_no_store_has_this_url(url: str) -> None:
    with pytest.raises(Invalid, match="memory:"):
        open_store(url)


# A file


def test_a_look_is_one_look_while_another_thread_writes(opened: Callable[..., SqliteStore]) -> None:
    store = opened()
    put(store, born("c1"))
    with store.reading() as look:
        assert len(list(look.journal())) == 1
        at_once([lambda: put(store, born("c2")) and None])
        assert len(list(look.journal())) == 1
        assert [each.id for each in look.all("gift_card")] == ["c1"]
        assert look.entity("gift_card", "c2") is None
    with store.reading() as look:
        assert len(list(look.journal())) == 2


def test_it_opens_again_as_it_was_left(opened: Callable[..., SqliteStore]) -> None:
    first = opened()
    funded(first)
    put(first, Changes(calls={"x": call_row("x")}, queue={"q": queue_row("q")}))
    first.swap("limit", None, "shared")
    left = snapshot(first)
    assert snapshot(opened()) == left, "beside it"
    first.close()
    assert snapshot(opened()) == left, "after it"
    assert opened().load("limit") == "shared"


def test_opening_what_is_known_writes_nothing(opened: Callable[..., SqliteStore], path: Path) -> None:
    opened().close()
    before = path.read_bytes()
    opened().close()
    assert path.read_bytes() == before


def test_only_its_owner_may_read_the_file(opened: Callable[..., SqliteStore], path: Path) -> None:
    store = opened()
    put(store, born("c1"))
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["books.db", "books.db-shm", "books.db-wal"]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3


def test_a_connection_keeps_what_is_written_and_who_is_linked(opened: Callable[..., SqliteStore], path: Path) -> None:
    store = opened()

    def looked_at(inside: Any) -> None:
        ask = inside._cursor.execute  # no other way to see which connection it is
        assert ask("PRAGMA foreign_keys").fetchone() == (1,)
        assert ask("PRAGMA synchronous").fetchone() == (2,), "FULL"
        assert ask("PRAGMA journal_mode").fetchone() == ("wal",)

    store.run(looked_at)
    with store.reading() as reading:
        looked_at(reading)
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        put(store, born("p1", "payment", order="o", card="nobody"))


def test_another_writer_is_waited_for_and_then_said(opened: Callable[..., SqliteStore], path: Path) -> None:
    store = opened(busy_timeout=0.05)
    before = snapshot(store)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match="another process is writing"):
        put(store, born("c1"))
    assert snapshot(store) == before, "and who only looks does not wait"
    other.execute("ROLLBACK")
    other.close()
    put(store, born("c1"))


# Forks and processes


def forked(job: Callable[[], object]) -> str:
    """What became of a job in a child of this process."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        said = "it was ended"
        try:
            said = repr(job())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        finally:
            os.write(writes, said.encode())
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@needs_fork
def test_a_child_of_a_fork_uses_connections_of_its_own(opened: Callable[..., SqliteStore], path: Path) -> None:
    store = opened()
    put(store, born("c1"))

    def in_the_child() -> int:
        put(store, born("c2"))
        with store.reading() as look:
            return len(list(look.journal()))

    assert forked(in_the_child) == "2"
    put(store, born("c3"))
    assert forked(lambda: len(snapshot(store)["journal"])) == "3"
    with store.reading() as look:
        assert [each.id for each in look.all("gift_card")] == ["c1", "c2", "c3"]
    check = sqlite3.connect(path)
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 86_401, True, "5", None])
def test_no_other_time_is_a_busy_timeout(path: Path, seconds: Any) -> None:
    with pytest.raises(Invalid, match="busy_timeout is a number of seconds from 0 to 86,400"):
        open_store(str(path), busy_timeout=seconds)
    assert not path.exists()


def test_books_wait_as_long_as_they_are_told(path: Path) -> None:
    with tallystick.open(str(path), busy_timeout=0) as books:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match="another process is writing"):
            books.sell_electronic("c", "5.00", "BRL", order="o", key="k")
        other.execute("ROLLBACK")
        other.close()
        books.sell_electronic("c", "5.00", "BRL", order="o", key="k")


@needs_fork
def test_a_fork_while_a_transaction_is_open_does_not_end_it(opened: Callable[..., SqliteStore]) -> None:
    store = opened(busy_timeout=0.2)

    def job(transaction: Transaction) -> None:
        transaction.lock([("gift_card", "c1")])
        assert forked(lambda: len(snapshot(store)["journal"])) == "0"
        first, second = born("c1"), born("c2")
        transaction.write(Changes(first.entries + second.entries, first.entities | second.entities), AT)

    store.run(job)
    assert forked(lambda: len(snapshot(store)["journal"])) == "2"


OPENER = """
import sys
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.provider.local import LocalProvider
from tallystick.store import open_store

machines, store = reader.load(), open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
engine = Engine(machines, store, LocalProvider())
for number in range(3):
    engine.execute("gift_card", f"{sys.argv[2]}-{number}", "create", {"form": "physical", "currency": "BRL"},
                   key=f"{sys.argv[2]}-{number}")
print("done", flush=True)
"""


def test_eight_processes_open_the_same_new_file_at_once(path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", OPENER, str(path), f"process{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=30) for process in processes]
    assert ended == [("done\n", "")] * 8
    store = SqliteStore(path)
    engine = Engine(MACHINES, store, LocalProvider())
    with store.reading() as look:
        assert len(list(look.all("gift_card"))) == 24
    assert verify(engine.machines, store).findings == ()
    store.close()


# Several versions of a page


class Books:
    """An engine on a file, and keys that count themselves."""

    def __init__(self, path: Path, machines: Machines, prefix: str) -> None:
        self.store = SqliteStore(path)
        try:
            self.engine = Engine(machines, self.store, LocalProvider())
        except StoreError:
            self.store.close()
            raise
        self.prefix, self.count = prefix, 0

    def do(self, machine: str, id: str, command: str, **args: object) -> Receipt:
        self.count += 1
        return self.engine.execute(machine, id, command, args, key=f"{self.prefix}{self.count}")

    def card(self, id: str) -> None:
        self.do("gift_card", id, "create", form="electronic", currency="BRL")
        for command, args in (("allocate", {}), ("activate", {}), ("issue", {"amount": "50.00"})):
            self.do("gift_card", id, command, **args)


@pytest.fixture
def books(path: Path) -> Iterator[Callable[[Machines, str], Books]]:
    made = []

    def open_with(machines: Machines, prefix: str) -> Books:
        made.append(Books(path, machines, prefix))
        return made[-1]

    yield open_with
    for each in made:
        each.store.close()


@pytest.fixture
def upgraded(books: Callable[[Machines, str], Books]) -> tuple[dict[str, object], Books]:
    """What stood in a store with two cards and a payment, and the store opened with the next version of gift_card."""
    old = books(MACHINES, "old")
    old.card("c1")
    old.card("c2")
    old.do("payment", "p1", "create", order="o1", card="c1", currency="BRL")
    old.do("payment", "p1", "authorize", amount="30.00")
    left = snapshot(old.store)
    old.store.close()
    return left, books(pages(gift_card=second), "new")


def test_a_new_version_makes_the_table_anew_and_keeps_its_rows(
    upgraded: tuple[dict[str, object], Books], path: Path
) -> None:
    left, new = upgraded
    raw = sqlite3.connect(path)
    columns = [row[1] for row in raw.execute("PRAGMA table_info(gift_card)")]
    assert {"pledged", "shop", "available", "held", "in_doubt"} <= set(columns)
    assert raw.execute("SELECT id, state, machine_version, available, pledged, shop FROM gift_card").fetchall() == [
        ("c1", "issued", FIRST, 2000, 0, None), ("c2", "issued", FIRST, 5000, 0, None),
    ]  # fmt: skip
    assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
    assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    links = [row[2:5] for row in raw.execute("PRAGMA foreign_key_list(payment)")]
    assert sorted(links) == [("gift_card", "card", "id"), ("tender", "tender", "id")], (
        "payments still name gift_card, not what it was set aside as"
    )
    tables = {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert not any("old" in table for table in tables)
    assert {"gift_card_number_unique"} <= {row[1] for row in raw.execute("PRAGMA index_list(gift_card)")}
    raw.close()

    now = snapshot(new.store)
    assert now["journal"] == left["journal"]
    for before, after in zip(left["entities"], now["entities"], strict=True):
        assert (after.accounts, after.hash, after.machine_version) == (before.accounts, before.hash, FIRST)
        assert {name: after.facts[name] for name in before.facts} == before.facts
    assert verify(new.engine.machines, new.store).findings == ()


def test_an_entity_runs_on_the_version_it_was_made_with(upgraded: tuple[dict[str, object], Books]) -> None:
    _, new = upgraded
    new.card("c3")
    assert new.do("gift_card", "c3", "promise", amount="20.00").after_minor == {
        "pledged": 2000, "available": 3000, "held": 0, "leaving": 0, "in_doubt": 0,
    }  # fmt: skip
    assert new.do("gift_card", "c3", "freeze").state == "frozen"
    with pytest.raises(Invalid, match=f"'c1' runs on version {FIRST}, which has no command 'promise'"):
        new.do("gift_card", "c1", "promise", amount="1.00")
    assert new.do("payment", "p1", "settle", amount="30.00").state == "closed", "and goes on with what it knows"
    assert new.do("gift_card", "c1", "reload", amount="1.00").after_minor["available"] == 2100
    with new.store.reading() as look:
        assert {each.id: each.machine_version for each in look.all("gift_card")} == {
            "c1": FIRST,
            "c2": FIRST,
            "c3": FIRST + 1,
        }
        assert {each.machine_version for each in look.journal("gift_card", "c1")} == {FIRST}
        assert look.entity("gift_card", "c1").accounts.keys() == {"available", "held", "leaving", "in_doubt"}
    assert verify(new.engine.machines, new.store).findings == ()


def test_a_store_knows_newer_versions_than_its_opener(
    upgraded: tuple[dict[str, object], Books], books: Callable[[Machines, str], Books]
) -> None:
    _, new = upgraded
    new.card("c3")
    new.store.close()
    old = books(MACHINES, "again")
    assert sorted(each.version for each in old.engine.machines.all() if each.name == "gift_card") == [FIRST, FIRST + 1]
    assert old.do("gift_card", "c3", "freeze").state == "frozen"
    assert old.do("gift_card", "c2", "suspend").state == "suspended"


def test_the_same_version_may_be_said_otherwise_but_not_behave_otherwise(
    books: Callable[[Machines, str], Books], path: Path
) -> None:
    books(MACHINES, "a").card("c1")

    said = books(pages(gift_card=lambda text: "# A remark.\n" + text.replace("A blank.", "Still blank.")), "b")
    assert said.engine.machines["gift_card"].states["inventory"].says == "Still blank."
    raw = sqlite3.connect(path)
    (definition,) = raw.execute("SELECT definition FROM machine WHERE name = 'gift_card'").fetchone()
    raw.close()
    assert "Still blank." in definition

    with pytest.raises(
        MachineChanged, match=rf"gift_card\.yaml: gift_card version {FIRST} behaves otherwise.*new version"
    ) as told:
        books(pages(gift_card=lambda text: text.replace("0 < amount <= held", "0 < amount < held")), "c")
    assert "\n" not in str(told.value)
    assert books(MACHINES, "d").do("gift_card", "c1", "reload", amount="1.00").applied


def test_a_command_may_be_renamed_on_all_pages_that_name_it(books: Callable[[Machines, str], Books]) -> None:
    """An old page is read beside the pages of its time, which know the commands it gives."""

    def renamed(text: str) -> str:
        return newer(text).replace("release_hold", "let_hold_go", 100)

    old = books(MACHINES, "old")
    old.card("c1")
    old.do("payment", "p1", "create", order="o1", card="c1", currency="BRL")
    old.do("payment", "p1", "authorize", amount="30.00")

    def renamed_card(text: str) -> str:
        return renamed(text).replace("ask: let_hold_go", "ask: release_hold")

    for machines in (pages(gift_card=renamed_card, payment=renamed), MACHINES):
        again = books(machines, f"of {machines['payment'].version}")
        assert digest_of(again.engine.machines.at("payment", MACHINES["payment"].version)) == digest_of(
            MACHINES["payment"]
        )
        assert verify(again.engine.machines, again.store).findings == ()
    assert again.do("payment", "p1", "settle", amount="30.00").state == "closed"


def test_a_create_answers_again_after_a_new_version(upgraded: tuple[dict[str, object], Books]) -> None:
    _, new = upgraded
    given = {"form": "electronic", "currency": "BRL"}
    assert new.engine.execute("gift_card", "c1", "create", given, key="old1").replayed


def test_a_page_with_one_more_default_leaves_keys_what_they_were(books: Callable[[Machines, str], Books]) -> None:
    books(MACHINES, "old").do("gift_card", "c1", "create", form="electronic", currency="BRL")

    def channel(text: str) -> str:
        fact = "facts:\n  channel: {is: [web, shop], default: web}\n"
        return newer(text).replace("facts:\n", fact, 1)

    new = books(pages(gift_card=channel), "new")
    given = {"form": "electronic", "currency": "BRL"}
    assert new.engine.execute("gift_card", "c1", "create", given, key="old1").replayed


def test_a_page_that_asks_for_more_leaves_keys_what_they_were(books: Callable[[Machines, str], Books]) -> None:
    books(MACHINES, "old").do("gift_card", "c1", "create", form="electronic", currency="BRL")

    def channel(text: str) -> str:
        return newer(text).replace("facts:\n", "facts:\n  channel: text\n", 1)

    new = books(pages(gift_card=channel), "new")
    given = {"form": "electronic", "currency": "BRL"}
    assert new.engine.execute("gift_card", "c1", "create", given, key="old1").replayed
    with pytest.raises(KeyReused):
        new.engine.execute("gift_card", "c1", "create", {**given, "form": "physical"}, key="old1")
    with pytest.raises(Invalid, match="channel"):
        new.engine.execute("gift_card", "c2", "create", given, key="fresh")


def test_what_was_queued_by_an_older_page_is_done_as_that_page_says(books: Callable[[Machines, str], Books]) -> None:
    """Its commands drive others by names that newer pages do not know; whom it cannot drive any more refuses it."""

    def renamed(text: str) -> str:
        text = re.sub(r"\bcredit\b", "give_credit", newer(text))
        return text.replace("redeem_hold", "earn_hold").replace("ask: earn_hold", "ask: redeem_hold")

    old = books(MACHINES, "old")
    old.card("c1")
    old.do("payment", "p1", "create", order="o1", card="c1", currency="BRL")
    old.do("payment", "p1", "authorize", amount="30.00")
    soon = datetime.now(timezone.utc)
    old.engine.execute("payment", "p1", "settle", {"amount": "10.00", "keep_hold": False}, key="ship", due=soon)
    old.engine.execute("payment", "p1", "refund_to", {"amount": "1.00", "to": "new"}, key="tell", due=soon)

    new = books(pages(gift_card=renamed, payment=renamed), "new")
    assert "redeem_hold" not in new.engine.machines["gift_card"].commands
    for command, args in (("create", {"form": "electronic", "currency": "BRL"}), ("allocate", {}), ("activate", {})):
        new.do("gift_card", "new", command, **args)
    receipts = {each.key: each for each in new.engine.run_due()}
    assert receipts["ship"].applied
    assert receipts["ship>hold_again"].state == "advanced_hold"
    assert receipts["tell"].result is Ended.REFUSED
    assert "gift_card 'new' is activated and refuses credit" in receipts["tell"].why
    with new.store.reading() as look:
        assert [(each.key, each.state) for each in look.queue() if each.state != "done"] == [("tell", "refused")]
    assert new.do("payment", "p1", "settle", amount="20.00").state == "closed"
    assert verify(new.engine.machines, new.store).findings == ()


def test_an_entity_answers_a_command_that_only_its_version_has(books: Callable[[Machines, str], Books]) -> None:
    books(MACHINES, "old").card("c1")
    new = books(pages(gift_card=lambda text: second(text).replace("reload", "top_up")), "new")
    assert new.do("gift_card", "c1", "reload", amount="1.00").after_minor["available"] == 5100
    with pytest.raises(Invalid, match="no command 'top_up'"):
        new.do("gift_card", "c1", "top_up", amount="1.00")


def test_a_process_that_does_not_know_a_newer_version_says_so(books: Callable[[Machines, str], Books]) -> None:
    old = books(MACHINES, "old")
    old.card("c1")
    books(pages(gift_card=second), "new").card("c2")
    assert old.do("gift_card", "c1", "reload", amount="1.00").applied
    with pytest.raises(
        StoreError, match=f"'c2' runs on version {FIRST + 1}, which another process has brought; open the books anew"
    ):
        old.do("gift_card", "c2", "reload", amount="1.00")


def test_what_cannot_be_carried_over_leaves_everything_as_it_was(
    books: Callable[[Machines, str], Books], path: Path
) -> None:
    books(MACHINES, "old").do("gift_card", "c1", "create", form="electronic", currency="BRL", card_set="web")
    store = SqliteStore(path)
    before = snapshot(books(MACHINES, "look").store)

    def counted(text: str) -> str:
        return newer(text).replace("card_set: {is: text?", "card_set: {is: count?")

    with pytest.raises(StoreError, match="cannot take these machines"):
        store.machines(pages(gift_card=counted))
    store.machines(MACHINES)
    assert snapshot(store) == before
    with store.reading() as inside:
        assert inside._cursor.execute("PRAGMA foreign_keys").fetchone() == (1,)
    store.close()


VOUCHER = """\
machine: voucher
version: 1
summary: A paper voucher.
accounts:
  worth: What it may be exchanged for.
outside:
  house: Who gave it.
states:
  blank: {start: true, says: Nothing is written on it.}
  written: {says: An amount is written on it.}
commands:
  write: {amount: money}
transitions:
  write:
    from: blank
    to: written
    when: amount > 0
    move: {house -> worth: amount}
"""


def test_a_store_knows_a_users_machines_without_the_users_folder(
    books: Callable[[Machines, str], Books], tmp_path: Path
) -> None:
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "voucher.yaml").write_text(VOUCHER, encoding="utf-8")
    ours = books(reader.load(folder), "a")
    ours.do("voucher", "v1", "create", currency="JPY")
    ours.store.close()

    without = books(reader.load(), "b")
    assert "voucher" in without.engine.machines
    assert without.do("voucher", "v1", "write", amount="700").after_minor == {"worth": 700, "in_doubt": 0}
    assert without.do("voucher", "v2", "create", currency="JPY").state == "blank"
    assert verify(without.engine.machines, without.store).findings == ()


# What is no store


def sentence(error: BaseException, path: Path) -> None:
    """One sentence that names the file, for people."""
    text = str(error)
    assert str(path) in text
    assert "\n" not in text
    assert "Traceback" not in text
    assert len(text) < 300


@pytest.mark.parametrize("table", ["payment", "gift_card", "machine", "transition", "entry", "call", "queue"])
@pytest.mark.parametrize("rows", [0, 1])
def test_a_table_of_somebody_else_is_left_alone(table: str, rows: int, path: Path) -> None:
    raw = sqlite3.connect(path)
    raw.execute(f"CREATE TABLE {table} (id TEXT PRIMARY KEY, iban TEXT)")
    raw.executemany(f"INSERT INTO {table} VALUES (?, 'BR15')", [(str(number),) for number in range(rows)])
    raw.commit()
    before = list(raw.iterdump())
    store = SqliteStore(path)
    with pytest.raises(StoreError, match=f"'{table}'.* not ours"):
        store.machines(MACHINES)
    store.close()
    assert list(raw.iterdump()) == before
    raw.close()


def no_database(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 100)


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("spoil", [no_database, a_folder])
def test_what_is_no_database_is_said_in_one_sentence(spoil: Callable[[Path], None], path: Path) -> None:
    spoil(path)
    store = SqliteStore(path)
    with pytest.raises(StoreError) as told:
        store.machines(MACHINES)
    store.close()
    sentence(told.value, path)


@pytest.mark.parametrize("below", ["nowhere/books.db", "books.txt/books.db"])
def test_a_path_that_cannot_be_made(below: str, tmp_path: Path) -> None:
    (tmp_path / "books.txt").write_text("a file", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be made") as told:
        SqliteStore(tmp_path / below).machines(MACHINES)
    sentence(told.value, tmp_path / below)


def as_nobody(job: Callable[[], object]) -> str:
    """A job in a process that may not do everything, as root may."""

    def without_power() -> object:
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        return job()

    return forked(without_power)


@needs_fork
@pytest.mark.parametrize("made_before", [False, True])
def test_a_file_that_may_only_be_read(*, made_before: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "books.db"
        store = SqliteStore(path)
        if made_before:
            store.machines(MACHINES)
            put(store, born("c1"))
            store.close()
        else:
            path.touch()
            other = SqliteStore(Path(folder) / "other.db")
            other.machines(MACHINES)  # loads what may not be loaded as nobody
            other.close()
        path.chmod(0o444)
        Path(folder).chmod(0o555)

        def write() -> None:
            store.machines(MACHINES)
            put(store, born("c2"))

        said = as_nobody(write)
        Path(folder).chmod(0o755)
        assert said.startswith("Store"), said
        assert "\n" not in said
        assert str(path) in said or made_before


@needs_fork
def test_a_folder_in_which_nothing_may_be_made() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        store = SqliteStore(Path(folder) / "books.db")
        said = as_nobody(lambda: store.machines(MACHINES))
        Path(folder).chmod(0o755)
        assert said == f"StoreError: {folder}/books.db cannot be made: Permission denied"
