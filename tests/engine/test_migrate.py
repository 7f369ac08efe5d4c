"""Entities move to a newer version of their page: by its words, one entry each, conserved, and verified afterwards."""

from __future__ import annotations

import pickle
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from postgres_books import postgres_store
from tallystick.definition import reader
from tallystick.definition.machine import Machines
from tallystick.engine.engine import Engine
from tallystick.engine.migrate import InTheWay
from tallystick.engine.receipt import Command
from tallystick.engine.verify import Report, verify
from tallystick.errors import Invalid, MachineChanged, MachineError, NotFound, StoreError
from tallystick.provider.local import LocalProvider
from tallystick.provider.scripted import Reply, ScriptedProvider
from tallystick.store.memory import MemoryStore
from tallystick.store.open import open_store
from tallystick.store.protocol import Store
from tallystick.store.sqlite import SqliteStore
from tallystick.testing.referee import judge
from tallystick.testing.store_rows import rows_of

ONE = """
machine: deposit
version: 1
summary: A deposit on rented tools, from the counter and back.
facts: {ref: text, kind: [small, large]}
accounts:
  hold: Promised.
  fee: {says: What was kept., kept: true}
  tip: {says: Given on top., kept: true}
outside: {till: The till.}
states:
  open: {start: true, says: Taken.}
  waiting: {says: Somebody looks.}
  done: {final: true, says: Given back.}
transitions:
  take:
    from: open
    when: amount > 0
    move: {till -> hold: amount}
  look: {from: open, to: waiting}
  keep:
    from: [open, waiting]
    when: 0 < amount <= hold
    move: {hold -> fee: amount}
  thank:
    from: open
    when: amount > 0
    move: {till -> tip: amount}
  give_back:
    from: [open, waiting]
    to: done
    move: {hold -> till: hold}
commands: {take: {amount: money}, look: {}, keep: {amount: money}, thank: {amount: money}, give_back: {}}
refuse:
  - {in: [done], commands: [take, look, keep, thank, give_back], says: It is over.}
  - {in: [waiting], commands: [take, look, thank], says: Somebody looks at it.}
"""
TWO = """
machine: deposit
version: 2
summary: A deposit on rented tools, with names that say more.
from version 1: {states: {open: active, waiting: active}, accounts: {hold: held, tip: fee}, facts: {ref: rental}}
facts: {rental: text, kind: [small, large], shop: {is: text, default: main}, note: text?}
accounts:
  held: Promised.
  fee: {says: What was kept., kept: true}
outside: {till: The till.}
states:
  active: {start: true, says: Taken.}
  done: {final: true, says: Given back.}
transitions:
  take:
    from: active
    when: amount > 0
    move: {till -> held: amount}
  keep:
    from: active
    when: 0 < amount <= held and note == none
    move: {held -> fee: amount}
  give_back:
    from: active
    to: done
    when: shop != "closed"
    move: {held -> till: held}
commands: {take: {amount: money}, keep: {amount: money, why: text?}, give_back: {}}
refuse:
  - {in: [done], commands: [take, keep, give_back], says: It is over.}
invariants:
  no_more_fees:
    says: Fees come out of what was taken.
    always: held + fee >= 0
"""


def pages(*texts: str) -> Machines:
    return Machines([machine for text in texts for machine in reader.read({"deposit.yaml": text}).all()])


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "books.db")
    made = postgres_store() if request.param == "postgres" else made
    yield made
    made.close()


def before(store: Store) -> Engine:
    """Five deposits in all states, with 10.00, 20.00 … and a fee."""
    engine = Engine(pages(ONE), store, LocalProvider())
    for number in range(1, 6):
        id = f"d-{number}"
        engine.execute("deposit", id, "create", {"currency": "BRL", "ref": f"r-{number}", "kind": "small"}, key=id)
        engine.execute("deposit", id, "take", {"amount": f"{number}0.00"}, key=f"{id}/take")
    engine.execute("deposit", "d-1", "thank", {"amount": "0.50"}, key="thank")
    engine.execute("deposit", "d-2", "keep", {"amount": "5.00"}, key="keep")
    engine.execute("deposit", "d-3", "look", key="look")
    engine.execute("deposit", "d-5", "give_back", key="back")
    return engine


def total(engine: Engine) -> int:
    with engine.store.reading() as reading:
        return sum(sum(each.accounts.values()) for each in reading.all("deposit"))


def clean(engine: Engine) -> Report:
    report = verify(engine.machines, engine.store)
    assert report.findings == ()
    return report


def test_every_deposit_moves_by_the_words_of_the_page(store: Store) -> None:
    was = total(before(store))
    engine = Engine(pages(TWO), store, LocalProvider())
    forecast = engine.migration.foretell()
    (group,) = forecast.groups
    assert (group.version, group.to, group.entities, forecast.obstacles) == (1, 2, 5, [])
    assert group.states == {("open", "active"): 3, ("waiting", "active"): 1, ("done", "done"): 1}
    assert group.money == {("hold", "held", "BRL"): 9500, ("tip", "fee", "BRL"): 50, ("fee", "fee", "BRL"): 500}
    told: list[tuple[int, int]] = []
    done = engine.migration.migrate(by="eva", reason="new names", progress=lambda *each: told.append(each))
    assert (done.moved, done.left, told) == (5, [], [(5, 5)])
    with store.reading() as reading:
        deposits = {each.id: each for each in reading.all("deposit")}
        entries = [row for row in reading.journal("deposit", "d-1") if row.transition == "migrate"]
    assert {each.state for each in deposits.values()} == {"active", "done"}
    assert deposits["d-1"].accounts == {"held": 1000, "fee": 50, "in_doubt": 0}
    facts = {name: deposits["d-1"].facts.get(name) for name in ("rental", "kind", "shop", "note", "ref")}
    assert facts == {"rental": "r-1", "kind": "small", "shop": "main", "note": None, "ref": None}
    assert [(row.from_state, row.to_state, row.by, row.reason) for row in entries] == [
        ("open", "active", "eva", "new names")
    ]
    assert total(engine) == was
    clean(engine)
    assert engine.migration.migrate().moved == 0  # said again, it does nothing
    engine.execute("deposit", "d-3", "keep", {"amount": "30.00", "why": "broken"}, key="broken")
    engine.execute("deposit", "d-3", "give_back", key="back-3")
    assert clean(engine).entities == 5


def test_keys_of_before_are_known_after_it(store: Store) -> None:
    """A command that the new page does not know any more gets its receipt of then."""
    before(store)
    engine = Engine(pages(TWO), store, LocalProvider())
    engine.migration.migrate(["deposit"])
    assert engine.execute("deposit", "d-1", "thank", {"amount": "0.50"}, key="thank").replayed
    assert engine.execute("deposit", "d-2", "keep", {"amount": "5.00"}, key="keep").replayed
    assert engine.execute("deposit", "d-1", "create", {"currency": "BRL", "ref": "r-1", "kind": "small"}, key="d-1")
    with pytest.raises(Invalid, match="runs on version 2, which has no command 'thank'"):
        engine.execute("deposit", "d-1", "thank", {"amount": "0.50"}, key="new")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (
            "",
            "the page does not say how; write: from version 1: {states: {open: ?, waiting: ?}, accounts: {hold: ?, tip: ?}}"
            r" (5: d-1, d-2, d-3, …)",
        ),
        (
            "from version 1: {states: {open: active}, accounts: {hold: held, tip: fee}, facts: {ref: rental}}",
            "state 'waiting' is gone and has no place (1: d-3)",
        ),
        (
            "from version 1: {states: {open: active, waiting: active}, accounts: {tip: fee}, facts: {ref: rental}}",
            "value stands on 'hold', which is gone and has no place (4: d-1, d-2, d-3, …)",
        ),
        (
            "from version 1: {states: {open: done, waiting: active}, accounts: {hold: held, tip: fee}, facts: {ref: rental}}",
            "value stands on 'held', and 'done' is final (3: d-1, d-2, d-4)",
        ),
        (
            "from version 1: {states: {open: active, waiting: active}, accounts: {hold: held, tip: fee}}",
            "fact 'rental' is new and has to be given: make it optional, or give it a default (5: d-1, d-2, d-3, …)",
        ),
        (
            "from version 1: {states: {open: active, waiting: active}, accounts: {hold: held, tip: fee}, facts: {kind: rental}}",
            "fact 'rental' would be text, and was one of small, large (5: d-1, d-2, d-3, …)",
        ),
    ],
)
def test_what_is_in_the_way_is_said_with_a_count_and_nothing_moves(store: Store, words: str, why: str) -> None:
    before(store)
    page = "\n".join(words if line.startswith("from version") else line for line in TWO.splitlines())
    engine = Engine(pages(page), store, LocalProvider())
    with pytest.raises(InTheWay) as caught:
        engine.migration.migrate()
    assert why in str(caught.value)
    assert str(caught.value).startswith("nothing was moved. ")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    with store.reading() as reading:
        assert {each.machine_version for each in reading.all("deposit")} == {1}
    clean(engine)


def test_a_choice_that_is_gone_is_in_the_way_of_those_that_have_it(store: Store) -> None:
    before(store)
    engine = Engine(pages(TWO.replace("[small, large]", "[large, huge]")), store, LocalProvider())
    with pytest.raises(InTheWay, match="fact 'kind' is 'small', which is no choice any more"):
        engine.migration.migrate()


def test_commands_that_wait_are_in_the_way_only_if_the_new_page_does_not_take_them(store: Store) -> None:
    engine = before(store)
    later = engine.now().replace(year=2100)
    engine.execute("deposit", "d-1", "keep", {"amount": "1.00"}, key="later", due=later)
    engine.execute("deposit", "d-1", "thank", {"amount": "1.00"}, key="thanks-later", due=later)
    newer = Engine(pages(TWO), store, LocalProvider())
    assert newer.migration.foretell().groups[0].queued == {"keep": 1, "thank": 1}
    with pytest.raises(InTheWay, match="thank waits in the queue, and version 2 has no such command"):
        newer.migration.migrate()
    newer.queue.withdraw("thanks-later", by="eva", reason="over")
    assert newer.migration.migrate().moved == 5
    newer.queue.reschedule("later", due=newer.now(), by="eva", reason="now")
    (receipt,) = newer.run_due()
    assert receipt.applied
    clean(newer)


ASKS = {
    "take:\n    from: open\n": "take:\n    from: open\n    ask: redeem(amount=amount)\n",
    "take:\n    from: active\n": "take:\n    from: active\n    ask: redeem(amount=amount)\n",
}


def asking(text: str) -> str:
    for old, new in ASKS.items():
        text = text.replace(old, new)
    return text


def test_an_open_call_is_in_the_way_until_it_has_ended(store: Store) -> None:
    provider = ScriptedProvider()
    engine = Engine(pages(asking(ONE)), store, provider, clock=provider.clock)
    engine.execute("deposit", "d-1", "create", {"currency": "BRL", "ref": "r", "kind": "small"}, key="d-1")
    provider.reply_with([Reply("lost_after")])
    assert engine.try_execute(_take("d-1")).call
    newer = Engine(pages(asking(TWO)), store, provider, clock=provider.clock)
    assert newer.migration.foretell().groups[0].calls == {"redeem": 1}
    with pytest.raises(InTheWay, match="a call to the provider is open"):
        newer.migration.migrate()
    provider.wait(100)
    newer.recover()
    assert newer.migration.migrate().moved == 1
    clean(newer)


def test_a_key_that_nobody_took_is_done_by_the_new_page(store: Store) -> None:
    provider = ScriptedProvider()
    engine = Engine(pages(asking(ONE)), store, provider, clock=provider.clock)
    engine.execute("deposit", "d-1", "create", {"currency": "BRL", "ref": "r", "kind": "small"}, key="d-1")
    provider.reply_with([Reply("unavailable")])
    engine.try_execute(_take("d-1"))
    newer = Engine(pages(asking(TWO)), store, provider, clock=provider.clock)
    newer.migration.migrate()
    assert newer.try_execute(_take("d-1")).applied
    with store.reading() as reading:
        found = reading.entity("deposit", "d-1")
    assert found is not None
    assert found.accounts["held"] == 700
    clean(newer)


def _take(id: str) -> Command:
    return Command("deposit", id, "take", {"amount": "7.00"}, f"{id}/take")


def test_words_are_added_and_never_changed(store: Store) -> None:
    before(store)
    without = "\n".join(line for line in TWO.splitlines() if not line.startswith("from version"))
    Engine(pages(without), store, LocalProvider())
    Engine(pages(TWO), store, LocalProvider()).migration.migrate()
    for text in (without, TWO.replace("tip: fee", "tip: held")):
        with pytest.raises(MachineChanged, match="from version 1"):
            Engine(pages(text), store, LocalProvider())


def test_an_older_process_is_refused_and_changes_nothing(store: Store) -> None:
    if isinstance(store, MemoryStore):
        pytest.skip("a store in memory has one process")
    older = before(store)
    with closing(open_store(store.url)) as same:
        newer = Engine(pages(TWO), same, LocalProvider())
        newer.migration.migrate()
        with pytest.raises(StoreError, match="runs on version 2, which another process has brought"):
            older.execute("deposit", "d-1", "take", {"amount": "1.00"}, key="too late")
        made = older.execute("deposit", "d-9", "create", {"currency": "BRL", "ref": "r", "kind": "small"}, key="d-9")
        assert made.applied
        assert newer.migration.migrate().moved == 1  # what it has made meanwhile moves the next time
        clean(newer)


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE entry SET postings = '[[\"hold\",\"held\",999]]' WHERE transition = 'migrate' AND entity = 'd-1'", "migration"),
        ("UPDATE entry SET facts = '{}' WHERE transition = 'migrate' AND entity = 'd-1'", "migration"),
        ("UPDATE deposit SET machine_version = 1 WHERE id = 'd-1'", "version"),
        ("UPDATE entry SET machine_version = 1 WHERE entity = 'd-3' AND revision = 5", "version"),
    ],
)  # fmt: skip
def test_verify_finds_a_move_that_was_changed(tmp_path: Path, statement: str, code: str) -> None:
    with closing(SqliteStore(tmp_path / "books.db")) as store:
        before(store)
        engine = Engine(pages(TWO), store, LocalProvider())
        engine.migration.migrate()
        engine.execute("deposit", "d-3", "keep", {"amount": "1.00"}, key="after")
        with closing(sqlite3.connect(store.path)) as connection, connection:
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                connection.execute(f"DROP TRIGGER {name}")
            assert connection.execute(statement).rowcount == 1
        assert code in {finding.code for finding in verify(engine.machines, store).findings}


BOX = """
machine: box
version: {version}
summary: A box.
{words}
accounts: {{{account}: Inside.}}
outside: {{till: The till.}}
states:
  open: {{start: true, says: Open.}}
  shut: {{final: true, says: Shut.}}
commands: {{put: {{amount: money}}, shut: {{}}}}
transitions:
  put: {{from: open, when: amount > 0, move: {{till -> {account}: amount}}}}
  shut: {{from: open, to: shut, move: {{{account} -> till: {account}}}}}
"""
TICKET = """
machine: ticket
version: {version}
summary: A ticket for a box.
facts: {{box: box}}
states:
  new: {{start: true, says: New.}}
  used: {{final: true, says: Used.}}
commands: {{use: {{}}}}
transitions:
  use: {{from: new, to: used, when: box.{account} > 0}}
"""


def boxes(*versions: tuple[int, str, str]) -> Machines:
    found = []
    for version, account, words in versions:
        texts = {"box": BOX, "ticket": TICKET}
        named = {name: text.format(version=version, account=account, words=words) for name, text in texts.items()}
        found += reader.read(named).all()
    return Machines(found)


def test_what_reads_an_account_that_an_older_version_has_not_is_told_so(store: Store) -> None:
    if "postgres" in store.url:
        pytest.skip("the core reads it, whatever the store")
    older = Engine(boxes((1, "coins", "")), store, LocalProvider())
    older.execute("box", "b", "create", {"currency": "BRL"}, key="b")
    older.execute("box", "b", "put", {"amount": "1.00"}, key="put")
    newer = Engine(boxes((2, "money", "from version 1: {accounts: {coins: money}}")), store, LocalProvider())
    newer.execute("ticket", "t", "create", {"currency": "BRL", "box": "b"}, key="t")
    with pytest.raises(
        Invalid, match="runs on version 1, which has no account 'money' to be read; `tallystick migrate`"
    ):
        newer.execute("ticket", "t", "use", key="use")
    newer.migration.migrate(["box"])
    assert newer.execute("ticket", "t", "use", key="use").applied
    assert verify(newer.machines, store).findings == ()


MOVER = """
import sys
from tallystick.definition import reader
from tallystick.definition.machine import Machines
from tallystick.engine.engine import Engine
from tallystick.provider.local import LocalProvider
from tallystick.store.open import open_store
url, *files = sys.argv[1:]
machines = [each for file in files for each in reader.read({"deposit.yaml": open(file).read()}).all()]
engine = Engine(Machines(machines), open_store(url), LocalProvider())
print("open", flush=True)
engine.migration.migrate(progress=lambda done, of: print(done, of, flush=True))
"""
SPENDER = """
import sys, itertools
from tallystick.definition import reader
from tallystick.definition.machine import Machines
from tallystick.engine.engine import Engine
from tallystick.errors import StoreError
from tallystick.provider.local import LocalProvider
from tallystick.store.open import open_store
engine = Engine(reader.read({"deposit.yaml": open(sys.argv[2]).read()}), open_store(sys.argv[1]), LocalProvider())
print("open", flush=True)
done = refused = 0
for turn in itertools.count():
    id = f"d-{turn % 1500:05}"
    try:
        done += engine.execute("deposit", id, "keep", {"amount": "0.01"}, key=f"spend {turn}").applied
    except StoreError as error:
        assert "runs on version 2" in str(error), error
        refused += 1
        if refused > 200:
            break
print(done, flush=True)
"""


@pytest.mark.slow
def test_who_is_killed_in_the_middle_goes_on_and_an_older_process_is_refused_meanwhile(
    store: Store, tmp_path: Path
) -> None:
    if isinstance(store, MemoryStore):
        pytest.skip("a store in memory has one process")
    (tmp_path / "one.yaml").write_text(ONE)
    (tmp_path / "two.yaml").write_text(TWO)
    engine = Engine(pages(ONE), store, LocalProvider())
    made = [
        Command("deposit", f"d-{number:05}", *step, key=f"{number}/{step[0]}")
        for number in range(1500)
        for step in (
            ("create", {"currency": "BRL", "ref": "r", "kind": "small"}),
            ("take", {"amount": "10.00"}),
        )
    ]
    assert all(receipt.applied for receipt in engine.try_execute_many(made))  # type: ignore[union-attr]

    def start(program: str, *files: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, store.url, *(str(tmp_path / file) for file in files)]
        started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert started.stdout is not None
        assert started.stdout.readline() == "open\n"
        return started

    spender = start(SPENDER, "one.yaml")
    counts = []
    for lines in (2, 2, 1):
        mover = start(MOVER, "two.yaml")
        assert mover.stdout is not None
        told = [mover.stdout.readline() for _ in range(lines)]
        mover.send_signal(signal.SIGKILL)
        mover.communicate()
        counts.append(int(told[-1].split()[0]))
    assert max(counts) < 1500
    mover = start(MOVER, "two.yaml")
    mover.communicate(timeout=120)
    assert mover.returncode == 0
    (spent,) = spender.communicate(timeout=120)[0].split()
    newer = Engine(pages(ONE, TWO), store, LocalProvider())
    with store.reading() as reading:
        deposits = list(reading.all("deposit"))
        moves = sum(row.transition == "migrate" for row in reading.journal())
    assert {each.machine_version for each in deposits} == {2}
    assert moves == len(deposits) == 1500
    assert sum(each.accounts["fee"] for each in deposits) == int(spent)
    assert total(newer) == 1500 * 1000
    clean(newer)


def test_what_the_page_cannot_mean_is_a_fault(store: Store) -> None:
    for old, new, why in (
        ("from version 1", "from version 2", "version 2 is none before this one, which is 2"),
        ("hold: held", "hold: till", "account 'till' is outside: value would leave by it"),
        ("hold: held", "hold: helt", "account 'helt' is not declared. Did you mean 'held'?"),
        ("hold: held", "till: held", "'till' is outside here and was inside"),
        ("open: active", "open: activ", "state 'activ' is not declared. Did you mean 'active'?"),
        ("open: active", "open: [active, done]", "this is a list, but a single value is needed here"),
        ("facts: {ref: rental}", "facts: {ref: rental, old: rental}", "two facts would become 'rental'"),
        ("  take:\n    from", "  migrate:\n    command: take\n    from", "'migrate' is what this does"),
        ("from version 1:", "from version one:", "unknown key 'from version one'. Did you mean 'from version'?"),
    ):
        with pytest.raises(MachineError) as caught:
            pages(TWO.replace(old, new))
        assert why in str(caught.value), str(caught.value)
    with pytest.raises(NotFound):
        before(store).migration.migrate(["gift_crad"])


# --- and the referee, who judges by the rows alone


def test_the_referee_follows_a_move(store: Store) -> None:
    before(store)
    engine = Engine(pages(TWO), store, LocalProvider())
    engine.migration.migrate(by="ann", reason="names that say more")
    engine.execute("deposit", "d-1", "keep", {"amount": "1.00"}, key="keep after")
    assert judge(rows_of(store)) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"to_state": "done"}, "it moves to done; by its page open becomes active"),
        ({"postings": '[["hold","fee",1050]]'}, "by its page it moves"),
        ({"facts": '{"rental":"r-9"}'}, "by its page it sets"),
        ({"postings": "[]"}, "has no place any more"),
    ],
)
def test_the_referee_finds_a_move_that_its_page_does_not_say(change: dict[str, str], found: str) -> None:
    store = MemoryStore()
    before(store)
    Engine(pages(TWO), store, LocalProvider()).migration.migrate()
    rows = rows_of(store)
    entry = next(each for each in rows.entries if (each["entity"], each["command"]) == ("d-1", "migrate"))
    entry.update(change)
    assert any(found in each for each in judge(rows))
