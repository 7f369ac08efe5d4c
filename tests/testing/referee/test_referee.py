"""The referee: a good run is clean, and every kind of damage planted into it is found.

The run goes through our engine and the sandbox's books, over lost answers, a short approval, a declined call and one
tried again. Each damage changes rows as a bug or a hand could; with `chained`, the hashes are made right again, so
that something else has to see it.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from functools import cache
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest

from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.sandbox import Sandbox
from tallystick.clutch.settings import ClutchSettings
from tallystick.clutch.transport import InProcess
from tallystick.definition import reader
from tallystick.definition.machine import Machines
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command
from tallystick.provider import verbs
from tallystick.provider.local import LocalProvider
from tallystick.store.open import open_store
from tallystick.store.protocol import Store
from tallystick.store.rows import EntryRow, chained
from tallystick.testing import referee
from tallystick.testing.fuzzing.fuzzer import fuzz
from tallystick.testing.referee import Acknowledged, ProviderBooks, Rows, judge
from tallystick.testing.referee.evaluate import evaluator
from tallystick.testing.store_rows import rows_of

MACHINES = reader.load(reader.packaged_folder())
Row = dict[str, Any]


class Line:
    """The way to the sandbox; the next change goes wrong as it is told."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.inner, self.fault = InProcess(sandbox, read_timeout=0.2), ""

    def send(self, method: str, headers: Any, body: bytes) -> Any:
        fault, self.fault = ("", self.fault) if method in ("search", "cardHistory") else (self.fault, "")
        return self.inner.send(method, {**headers, "x-sandbox-fault": fault or "none"}, body)

    def close(self) -> None: ...


# what is done: fault, machine/id, command, arguments
STORY: list[tuple[str, str, str, dict[str, object]]] = [
    ("", "gift_card/c", "create", {"form": "electronic", "card_set": "GIFT", "currency": "USD"}),
    ("", "gift_card/c", "allocate", {}),
    ("", "gift_card/c", "activate", {}),
    ("lost_after", "gift_card/c", "issue", {"amount": "90.00"}),
    ("recover", "", "", {}),
    ("", "payment/p", "create", {"order": "o1", "card": "c", "currency": "USD"}),
    ("", "payment/p", "authorize", {"amount": "40.00"}),
    ("", "payment/p", "settle", {"amount": "15.00"}),
    ("due", "", "", {}),
    ("lost_before", "payment/p", "settle", {"amount": "5.00", "keep_hold": True}),
    ("recover", "", "", {}),
    ("", "payment/q", "create", {"order": "o2", "card": "c", "currency": "USD"}),
    ("short_approval:4.00", "payment/q", "authorize", {"amount": "10.00", "allow_partial": True}),
    ("429", "payment/r", "create", {"order": "o3", "card": "c", "currency": "USD"}),
    ("429", "payment/r", "redeem", {"amount": "3.00"}),
    ("", "payment/r", "redeem", {"amount": "3.00"}),
    ("", "payment/n", "create", {"order": "o4", "card": "c", "currency": "USD"}),
    ("other_channel:40.00", "payment/n", "redeem", {"amount": "9.00"}),
    ("", "payment/s", "create", {"order": "o5", "card": "c", "currency": "USD"}),
    ("", "payment/s", "redeem", {"amount": "1.00"}),
    ("later", "payment/p", "settle", {"amount": "6.00", "last": True}),
]


@attrs.frozen
class Run:
    rows: Rows
    provided: ProviderBooks
    told: tuple[Acknowledged, ...]


def run(store: Store, machines: Machines = MACHINES) -> Run:
    now = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)
    sandbox = Sandbox(None, {"GIFT": 4}, seed=5, clock=lambda: now.timestamp())
    line, known, ids = Line(sandbox), sandbox.credentials, count(1)
    provider = ClutchProvider(
        ClutchSettings(
            base_url="http://127.0.0.1:1", api_key=known.api_key, api_secret=known.api_secret, brand=known.brand,
            location=known.location, terminal=known.terminal, rate=1e6, burst=10**6, read_timeout=0.2, read_pause=0.0,
        ), line, clock=lambda: now, sleep=lambda seconds: None,
    )  # fmt: skip
    engine = Engine(machines, store, provider, clock=lambda: now, ids=lambda: f"call-{next(ids):04}", random=Random(5))
    told = []
    for number, (fault, name, command, args) in enumerate(STORY):
        now += timedelta(minutes=3)
        machine, _, id = name.partition("/")
        due = now + timedelta(days=1) if fault == "later" else None
        match fault:
            case "recover":
                engine.recover()
            case "due":
                engine.run_due()
            case _:
                line.fault = fault
                key = "again" if command == "redeem" and id == "r" else f"k{number}"
                receipt = engine.try_execute(Command(machine, id, command, args, key, due=due))
                told.append(Acknowledged(receipt.key, machine, id, command, str(receipt.result)))
    provided = ProviderBooks.of_sandbox_db(sandbox._ledger._db)
    sandbox.close()
    return Run(rows_of(store), provided, tuple(told))


@cache
def good() -> Run:
    return run(open_store("memory:"))


def test_a_good_run_is_clean() -> None:
    results = [each.result for each in good().told]
    assert {"applied", "in_doubt", "unavailable", "declined", "deferred"} <= set(results)
    assert judge(good().rows, good().provided, good().told) == []


def test_rows_of_sqlite_are_those_of_memory(tmp_path: Path) -> None:
    store = open_store(f"{tmp_path}/books.db")
    kept = run(store)
    store.close()
    rows = Rows.of_sqlite(f"{tmp_path}/books.db")
    assert judge(rows, kept.provided, kept.told) == []
    for name in ("entities", "entries", "calls", "queue"):
        ours, theirs, memory = (
            sorted([repr(sorted(plain(each).items())) for each in getattr(one, name)])
            for one in (rows, kept.rows, good().rows)
        )
        assert ours == theirs == memory
    assert (rows.pages, rows.steps) == (kept.rows.pages, kept.rows.steps)


def plain(row: Any) -> Row:
    return {name: int(each) if isinstance(each, bool) else plain(each) if isinstance(each, dict) else each
            for name, each in row.items()}  # fmt: skip


# --- Damage


@attrs.define
class Bench:
    """A run that may be damaged."""

    entities: list[Row]
    entries: list[Row]
    calls: list[Row]
    queue: list[Row]
    provided: ProviderBooks
    told: list[Acknowledged]

    def entry(self, entity: str, transition: str, phase: str = "confirmed") -> Row:
        wanted = (entity, transition, phase)
        return next(e for e in self.entries if (e["entity"], e["transition"], e["phase"]) == wanted)

    def entity(self, id: str) -> Row:
        return next(each for each in self.entities if each["id"] == id)

    def call(self, verb: str) -> Row:
        return next(each for each in self.calls if each["verb"] == verb)

    def chained(self) -> None:
        """Make every hash right again."""
        hashes: dict[tuple[str, str], str] = {}
        for each in sorted(self.entries, key=lambda each: (each["machine"], each["entity"], each["revision"])):
            ref = each["machine"], each["entity"]
            each["hash"] = hashes[ref] = chained(hashes.get(ref, ""), EntryRow(**each).content)
        for each in self.entities:
            each["hash"] = hashes.get((each["machine"], each["id"]), each["hash"])

    def done(self, **changes: Any) -> None:
        """Change the first line of a verb in the provider's books."""
        verb = changes.pop("of")
        lines = list(self.provided.lines)
        at = next(number for number, line in enumerate(lines) if line.verb == verb)
        lines[at : at + 1] = [attrs.evolve(lines[at], **changes)] if changes else []
        self.provided = attrs.evolve(self.provided, lines=lines)


def rewrite(row: Row, name: str, change: Callable[[Any], Any]) -> None:
    row[name] = json.dumps(change(json.loads(row[name])), separators=(",", ":"))


def half_of_it(b: Bench) -> None:
    """As if every amount of a transition were computed wrong: both halves of a call agree, the page does not."""
    for name in ("asked", "confirmed"):
        rewrite(b.entry("c", "issue", name), "postings", lambda each: [[each[0][0], each[0][1], each[0][2] // 2]])
    b.chained()


def confirmed_for_more(b: Bench) -> None:
    rewrite(b.entry("c", "hold"), "args", lambda each: each | {"amount": each["amount"] + 1})
    b.chained()


def confirmed_otherwise(b: Bench) -> None:
    rewrite(b.entry("c", "redeem_hold"), "args", lambda each: each | {"release": each["release"] - 1})
    b.chained()


def another_fact_set(b: Bench) -> None:
    rewrite(b.entry("p", "settle_part"), "facts", lambda each: {"hold_id": "still there"})
    b.chained()


def fact_not_set(b: Bench) -> None:
    rewrite(b.entry("p", "settle_part"), "facts", lambda each: {})
    b.chained()


def another_reference(b: Bench) -> None:
    rewrite(b.entry("p", "authorize"), "facts", lambda each: {"hold_id": "another hold"})
    b.chained()


def driven_with_more(b: Bench) -> None:
    rewrite(b.entry("c", "redeem_hold", "asked"), "args", lambda each: each | {"amount": each["amount"] + 1})
    b.chained()


def lost_entry(b: Bench) -> None:
    b.entries.remove(b.entry("p", "create", "done"))


def changed_reason(b: Bench) -> None:
    b.entry("p", "authorize")["reason"] = "because"


def lost_posting(b: Bench) -> None:
    """As if the payment's half of a confirmed hold had never been posted."""
    entry = b.entry("p", "authorize")
    rewrite(entry, "postings", lambda each: [])
    b.chained()


def more_than_came(b: Bench) -> None:
    entry = b.entry("c", "issue")
    rewrite(entry, "postings", lambda each: [*each, ["in_doubt", "held", 100]])
    b.chained()


def another_account(b: Bench) -> None:
    rewrite(b.entry("c", "issue"), "postings", lambda each: [["in_doubt", "held", each[0][2]]])
    b.chained()


def less_than_nothing(b: Bench) -> None:
    rewrite(b.entry("c", "issue", "asked"), "postings", lambda each: [[each[0][0], each[0][1], -9000]])
    b.chained()


def row_of_more(b: Bench) -> None:
    b.entity("c")["accounts"]["available"] += 1


def row_of_another_state(b: Bench) -> None:
    b.entity("q")["state"] = "closed"


def forgotten_hold(b: Bench) -> None:
    b.entity("q")["accounts"]["held"] = 0


def another_fact(b: Bench) -> None:
    b.entity("q")["facts"]["hold_id"] = "a hold of somebody else"


def lost_row(b: Bench) -> None:
    b.entities.remove(b.entity("q"))


def undeclared_step(b: Bench) -> None:
    entry = b.entry("r", "redeem")
    entry["to_state"] = b.entity("r")["state"] = "reversed"
    b.chained()


def clock_back(b: Bench) -> None:
    b.entry("c", "issue")["at"] = "2020-01-01T00:00:00.000Z"
    b.chained()


def out_of_order(b: Bench) -> None:
    one, other = b.entry("p", "create", "done"), b.entry("p", "authorize", "asked")
    one["seq"], other["seq"] = other["seq"], one["seq"]


def key_twice(b: Bench) -> None:
    b.entry("q", "create", "done")["key"] = b.entry("p", "create", "done")["key"]
    b.chained()


def effect_twice(b: Bench) -> None:
    """The same shipment is posted again under the key of the first."""
    first = [b.entry("p", "settle_part", phase) for phase in ("asked", "confirmed")]
    revision, seq = b.entity("p")["revision"], len(b.entries)
    for number, each in enumerate(first, 1):
        again = {**each, "revision": revision + number, "seq": seq + number, "key": None, "cause": first[0]["key"]}
        b.entries.append(again)
    b.entity("p")["revision"] += 2
    b.chained()


def unknown_cause(b: Bench) -> None:
    b.entry("c", "hold", "asked")["cause"] = "nobody"
    b.chained()


def driver_alone(b: Bench) -> None:
    """A payment settles, its card does not."""
    b.entries.remove(b.entry("c", "redeem_hold"))


def asked_for_more(b: Bench) -> None:
    rewrite(b.call("issue"), "args", lambda each: each | {"amount": each["amount"] + 1})


def asked_for_another_hold(b: Bench) -> None:
    rewrite(b.call("redeem_hold"), "args", lambda each: each | {"hold": "another"})


def asked_without_release(b: Bench) -> None:
    rewrite(b.call("redeem_hold"), "args", lambda each: {name: each[name] for name in each if name != "release"})


def asked_for_part(b: Bench) -> None:
    rewrite(b.call("hold"), "args", lambda each: each | {"allow_partial": True})


def asked_another_verb(b: Bench) -> None:
    b.call("hold")["verb"] = "redeem"


def asked_for_another_order(b: Bench) -> None:
    rewrite(b.call("hold"), "args", lambda each: each | {"order": "o2"})


def asked_for_no_order(b: Bench) -> None:
    rewrite(b.call("redeem"), "args", lambda each: {name: each[name] for name in each if name != "order"})


def asked_of_another_card(b: Bench) -> None:
    b.call("hold")["entity"] = "d"


def lost_follow_up(b: Bench) -> None:
    b.queue.remove(next(each for each in b.queue if each["command"] == "hold_again"))


def strange_follow_up(b: Bench) -> None:
    b.queue.append({**b.queue[0], "key": "k>close", "command": "close", "state": "waiting"})


def done_without_entry(b: Bench) -> None:
    next(each for each in b.queue if each["state"] == "waiting")["state"] = "done"


def done_and_waiting(b: Bench) -> None:
    next(each for each in b.queue if each["command"] == "hold_again")["state"] = "waiting"


def call_still_open(b: Bench) -> None:
    b.call("redeem_hold")["state"] = "open"


def call_declined_after_all(b: Bench) -> None:
    b.call("hold")["state"] = "declined"


def call_of_nobody(b: Bench) -> None:
    b.call("hold")["key"] = "nobody"


def lost_call(b: Bench) -> None:
    b.calls.remove(b.call("hold"))


def in_flight_for_ever(b: Bench) -> None:
    b.entity("c")["calls"] = 1


def stands_in_doubt(b: Bench) -> None:
    """A life that ends in the middle of a call."""
    for each in [b.entry("s", "redeem"), b.entry("c", "redeem", "confirmed")]:
        b.entries.remove(each)


def applied_and_lost(b: Bench) -> None:
    b.told.append(Acknowledged("k99", "payment", "p", "settle", "applied"))


def applied_and_taken_back(b: Bench) -> None:
    declined = next(each for each in b.told if each.result == "declined")
    b.told.append(attrs.evolve(declined, result="applied"))


def declined_and_done(b: Bench) -> None:
    settled = next(each for each in b.told if each.command == "settle")
    b.told.append(attrs.evolve(settled, result="declined"))


def deferred_and_lost(b: Bench) -> None:
    b.queue.remove(next(each for each in b.queue if each["state"] == "waiting"))


def told_of_another(b: Bench) -> None:
    b.told[-3] = attrs.evolve(b.told[-2], id="q")


def done_twice_there(b: Bench) -> None:
    issue = next(line for line in b.provided.lines if line.verb == "issue")
    b.provided = attrs.evolve(b.provided, lines=[*b.provided.lines, attrs.evolve(issue, id="again")])


def done_there_only(b: Bench) -> None:
    issue = next(line for line in b.provided.lines if line.verb == "issue")
    call = next(each["id"] for each in b.calls if each["state"] == "declined")
    b.provided = attrs.evolve(b.provided, lines=[*b.provided.lines, attrs.evolve(issue, id="again", call=call)])


def done_here_only(b: Bench) -> None:
    b.done(of="issue")


def another_amount_there(b: Bench) -> None:
    b.done(of="issue", amount=1, change=1)


def another_verb_there(b: Bench) -> None:
    b.done(of="issue", verb="adjust")


def claimed_twice(b: Bench) -> None:
    holds = [each for each in b.calls if each["verb"] == "hold" and each["state"] == "confirmed"]
    holds[1]["outcome"] = holds[0]["outcome"]


def another_hold_there(b: Bench) -> None:
    holds = {key: {id: amount + 1 for id, amount in each.items()} for key, each in b.provided.holds.items()}
    b.provided = attrs.evolve(b.provided, holds=holds)


def hold_of_nobody(b: Bench) -> None:
    """A hold of ours that no payment remembers."""
    payment = b.entity("q")
    payment["facts"]["hold_id"], payment["accounts"]["held"] = None, 0


def another_balance_there(b: Bench) -> None:
    available = {key: amount + 1 for key, amount in b.provided.available.items()}
    b.provided = attrs.evolve(b.provided, available=available)


DAMAGE: dict[Callable[[Bench], None], str] = {
    half_of_it: "issue (asked) moves issuance → in_doubt 4500; by its page it moves issuance → in_doubt 9000",
    confirmed_for_more: "hold (confirmed) is of {'amount': 4001, 'now': '2026-03-02T12:21:00.000Z'}; what was asked is",
    confirmed_otherwise: "redeem_hold (confirmed) is of",
    another_fact_set: "settle_part (confirmed) sets ['hold_id']; by its page it sets ['hold_id', 'until'], with",
    fact_not_set: "settle_part (confirmed) sets []; by its page it sets ['hold_id', 'until']",
    another_reference: "keeps hold_id 'another hold', call call-",
    driven_with_more: "drives redeem_hold of its card with {'amount': 1500, 'release': 2500",
    lost_entry: "it follows revision 0; an entry is missing",
    changed_reason: "its hash is not that of its content",
    lost_posting: "its answer takes 0 from there",
    more_than_came: "its postings make it",
    another_account: "moves in_doubt → held 9000; by its page it moves in_doubt → available 9000",
    less_than_nothing: "only whole amounts above nothing move",
    row_of_more: "its row says accounts",
    row_of_another_state: "its row says state closed",
    forgotten_hold: "held_for_payments, 'held == promised', is not so",
    another_fact: "the fact 'hold_id' in its row is not the one in its journal",
    lost_row: "entries and no row",
    undeclared_step: "is a step that no page declares",
    clock_back: "before the entry it follows, at",
    out_of_order: "before the entry it follows, number",
    key_twice: "stands on 2 entries",
    effect_twice: "had 2 effects",
    unknown_cause: "was caused by key 'nobody', which no entry has",
    driver_alone: "drives redeem_hold of its card, but that did not happen with it",
    lost_follow_up: "has hold_again of payment 'p' follow 1 times, queued it is 0",
    strange_follow_up: "has close of payment 'p' follow 0 times, queued it is 1",
    done_without_entry: "is done, but the journal does not have it",
    done_and_waiting: "was done, and waits to be done again",
    call_still_open: "is in doubt",
    call_declined_after_all: "is declined, the journal says confirmed",
    asked_for_more: "asks for issue with {'amount': 9001}; by its page it asks for issue with {'amount': 9000}",
    asked_for_another_hold: "asks for redeem_hold with {'amount': 1500, 'release': 2500, 'hold': 'another', 'held': 4000,",
    asked_without_release: "asks for redeem_hold with",
    asked_for_part: "'allow_partial': True, 'order': 'o1'}; by its page it asks for hold with {'amount': 4000,",
    asked_another_verb: "asks for redeem with {'amount': 4000,",
    asked_for_another_order: "'order': 'o2'}; by its page",
    asked_for_no_order: "'allow_partial': False}; by its page it asks for redeem with {'amount': 300,",
    asked_of_another_card: "is about gift_card 'd', which asks nothing by its page",
    call_of_nobody: "was opened under key 'nobody'",
    lost_call: "which is not kept",
    in_flight_for_ever: "counts 1 calls in flight, its journal 0",
    stands_in_doubt: "its journal 1",
    applied_and_lost: "was told as applied, but the journal does not have it",
    applied_and_taken_back: "was told as applied, but it had 0 effects",
    declined_and_done: "was told as declined, but it had its effect all the same",
    deferred_and_lost: "was told as deferred, but nothing waits",
    told_of_another: "but its key stands for",
    done_twice_there: "was done 2 times by the provider",
    done_there_only: "done by the provider and not in our books",
    done_here_only: "which the provider's books do not have",
    another_amount_there: "is confirmed as something else",
    another_verb_there: "is confirmed as something else",
    claimed_twice: "was done once and is claimed by 2 calls",
    another_hold_there: "holds 400, the provider's hold",
    hold_of_nobody: "is ours, and no payment of ours has it",
    another_balance_there: "the provider has",
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda each: each.__name__)
def test_damage_is_found(damage: Callable[[Bench], None]) -> None:
    rows, provided, told = good().rows, good().provided, good().told
    tables = (deepcopy(list(each)) for each in (rows.entities, rows.entries, rows.calls, rows.queue))
    bench = Bench(*tables, provided, list(told))  # type: ignore[arg-type]
    damage(bench)
    damaged = Rows(bench.entities, bench.entries, bench.calls, bench.queue, rows.pages, rows.steps)
    found = judge(damaged, bench.provided, bench.told)
    assert any(DAMAGE[damage] in each for each in found), found


def test_what_a_clock_set_back_did_is_told_only_of_a_steady_one() -> None:
    rows = deepcopy(good().rows)
    bench = Bench(list(rows.entities), list(rows.entries), [], [], good().provided, [])  # type: ignore[arg-type]
    clock_back(bench)
    damaged = attrs.evolve(rows, entities=bench.entities, entries=bench.entries)
    assert judge(damaged, good().provided, good().told)
    assert judge(damaged, good().provided, good().told, steady=False) == []


def test_numbers_may_be_left_out_where_the_store_says_so_but_never_stand_twice() -> None:
    rows = good().rows
    later = [{**each, "seq": each["seq"] * 2} for each in rows.entries]
    (finding,) = judge(attrs.evolve(rows, entries=later), good().provided, good().told)
    assert "one is missing or stands there twice" in finding
    skipping = attrs.evolve(rows, entries=later, gapless=False)
    assert judge(skipping, good().provided, good().told) == []
    machines = {each["machine"] for each in later}
    one, other = (next(each for each in later if each["machine"] == name) for name in sorted(machines)[:2])
    other["seq"] = one["seq"]
    assert any("stands there twice" in each for each in judge(skipping, good().provided, good().told))


PURSES = {
    "purse.yaml": """
machine: purse
version: 1
summary: Keeps what stands aside for its tables.
accounts: {free: Not promised., aside: For a table.}
outside: {owner: Whose it is.}
states: {open: {start: true, says: Open.}}
commands: {load: {amount: money}, put: {amount: money}, take: {amount: money}}
driven: [put, take]
transitions:
  load: {from: open, when: amount > 0, move: {owner -> free: amount}}
  put: {from: open, when: 0 < amount <= free, move: {free -> aside: amount}}
  take: {from: open, when: 0 < amount <= aside, move: {aside -> free: amount}}
refuse:
  - {says: More than nothing., in: [open], commands: [load], when: amount <= 0}
  - {says: Not so much., in: [open], commands: [put], when: amount <= 0 or amount > free}
  - {says: Not so much., in: [open], commands: [take], when: amount <= 0 or amount > aside}
invariants:
  for_tables: {says: It is for tables., sum: {due: table.purse.due}, always: aside == due}
""",
    "table.yaml": """
machine: table
version: 1
summary: A table that one purse stands for, and then another.
facts: {purse: purse}
accounts: {due: Set aside in the purse.}
outside: {purse: Whose it is.}
states: {free: {start: true, says: Free.}, taken: {says: Taken.}}
commands: {book: {amount: money}, pass_on: {to: purse}}
transitions:
  book: {from: free, to: taken, when: amount > 0, drive: purse.put(amount=amount), move: {purse -> due: amount}}
  pass_on:
    from: taken
    when: to != purse
    drive: [purse.take(amount=due), to.put(amount=due)]
    set: {purse: to}
refuse:
  - {says: More than nothing., in: [free], commands: [book], when: amount <= 0}
  - {says: It is free., in: [free], commands: [pass_on]}
  - {says: It is taken., in: [taken], commands: [book]}
  - {says: It is the same., in: [taken], commands: [pass_on], when: to == purse}
invariants:
  free_is_empty: {says: Nothing is due of a free table., always: 'state == "taken" or due == 0'}
  known: {says: It is one of two., always: 'state in ("free", "taken")'}
""",
}


def passed_on() -> Rows:
    """A table goes from one purse to another of the same machine; one has the id of the table."""
    engine = Engine(reader.read(PURSES), open_store("memory:"), LocalProvider(), random=Random(5))
    told: list[tuple[str, str, dict[str, object]]] = [
        ("purse/x", "create", {"currency": "USD"}), ("purse/y", "create", {"currency": "USD"}),
        ("purse/x", "load", {"amount": "5.00"}), ("purse/y", "load", {"amount": "5.00"}),
        ("table/y", "create", {"purse": "x", "currency": "USD"}), ("table/y", "book", {"amount": "3.00"}),
        ("table/y", "pass_on", {"to": "y"}),
    ]  # fmt: skip
    for number, (name, command, args) in enumerate(told):
        machine, _, id = name.partition("/")
        engine.try_execute(Command(machine, id, command, args, f"k{number}")).or_raise()
    return rows_of(engine.store)


def test_who_is_driven_is_told_by_the_links_at_that_moment() -> None:
    rows = passed_on()
    assert judge(rows) == []
    entries = [dict(each) for each in rows.entries]
    for each in entries:
        if each["machine"] == "purse" and each["command"] == "take":
            each["command"] = "put"  # the old purse was never relieved
    found = judge(attrs.evolve(rows, entries=entries))
    assert any("drives take of its purse, but that did not happen with it" in each for each in found), found


def test_an_invariant_may_look_at_the_state() -> None:
    rows = passed_on()
    entities = [dict(each) | {"state": "free"} if each["machine"] == "table" else each for each in rows.entities]
    found = judge(attrs.evolve(rows, entities=entities))
    assert any("free_is_empty" in each for each in found), found
    entities = [dict(each) | {"state": "lost"} if each["machine"] == "table" else each for each in rows.entities]
    assert any("known" in each for each in judge(attrs.evolve(rows, entities=entities)))


def test_a_purse_and_its_table_are_fuzzed_clean() -> None:
    found = fuzz(reader.read(PURSES), "table", examples=10).found
    assert found is None, found


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("-amount + held - 1", 1), ("0 < amount <= held", True), ("none", None), ('state in ("shipped", "lost")', True),
        ('state not in ["shipped"] and not true or false', False), ("limit == none or amount <= limit", True),
        ("amount < shares.total == payment.held", True),
    ],
)  # fmt: skip
def test_an_expression_is_worth_what_it_says(source: str, value: object) -> None:
    values = {"amount": 3, "held": 5, "state": "shipped", "limit": None, "shares.total": 9, "payment.held": 9}
    assert evaluator(source)(values) == value


# The transition whose call is asked for with something else than its page says, and what that is
ASKED_WRONG: list[tuple[str, str, Any]] = [
    ("issue", "amount", lambda v, f, a, s, o: a["amount"] // 2),
    ("hold", "allow_partial", lambda v, f, a, s, o: True),
    ("redeem_hold", "release", lambda v, f, a, s, o: 0),
    ("redeem_hold", "hold", lambda v, f, a, s, o: None),
    ("redeem_hold", "held", lambda v, f, a, s, o: a["amount"]),
    ("redeem", "amount", lambda v, f, a, s, o: v["available"]),
]


@pytest.mark.parametrize(("transition", "argument", "wrong"), ASKED_WRONG)
def test_a_library_that_asks_for_something_else_than_its_page_says_is_found(
    transition: str, argument: str, wrong: Any
) -> None:
    """Both halves of our books would agree with each other: only the page says what should have been asked."""
    machines = reader.load(reader.packaged_folder())
    row = machines["gift_card"].rows[transition]
    assert row.ask is not None
    verb, given = row.ask
    assert argument in dict(given)
    row.ask = verb, tuple((name, wrong if name == argument else value) for name, value in given)
    for machine in machines.values():  # the rows decide where the fast paths say nothing
        machine.fast_paths.update(dict.fromkeys(machine.table, lambda *_: None))
    bad = run(open_store("memory:"), machines)
    found = judge(bad.rows, bad.provided, bad.told)
    assert any(f"asks for {verb} with" in each and "by its page it asks for" in each for each in found), found


def test_a_dotted_name_is_a_name_and_nothing_of_the_value() -> None:
    assert evaluator("shares.total + held.real")({"shares.total": 3, "held.real": 4, "held": 5}) == 7
    with pytest.raises(KeyError):
        evaluator("held.real")({"held": 5})


@pytest.mark.parametrize(
    "source",
    ["print(held).real", "held.real.imag", "(held + 1).real", "print(held)", "held * 2", "held[0]", "(lambda: 1)()"],
)
def test_an_expression_is_made_of_few_things(source: str) -> None:
    with pytest.raises(ValueError, match="cannot read"):
        evaluator(source)


def imported(file: Path) -> set[str]:
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    found = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {each for each in found if each.startswith("tallystick")}


def test_it_imports_nothing_of_the_library_but_itself_and_the_protocols_verbs() -> None:
    folder = Path(referee.__file__).parent
    files = sorted(folder.glob("*.py"))
    assert len(files) >= 7
    own = {f"tallystick.testing.referee.{each.stem}" for each in files}
    for file in files:
        assert imported(file) <= own | {verbs.__name__}
    assert imported(Path(str(verbs.__file__))) == set()
