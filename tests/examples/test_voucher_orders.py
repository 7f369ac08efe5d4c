"""Voucher orders end to end, with real processes: the sample, and real orders where somebody has them.

The judge is SQL and the CSV files, never our own code.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest

from voucher_data import BOTH, EXAMPLE, REAL, SAMPLE, VoucherOrders, in_cents

COMMAND = Path(sysconfig.get_path("scripts")) / "tallystick"

KILLS = {SAMPLE: 4, REAL: 50}
CHAINS = 2  # as many runs side by side, each killed KILLS / CHAINS times
SEED = 20171124
BEGINNING = 1800  # commands at most; the real orders have some 4,000
PIPE = 4096  # bytes: a run cannot be more than a few answers ahead of who reads them


@attrs.frozen
class Run:
    """What came of the undisturbed run."""

    data: VoucherOrders
    file: Path
    books: Path
    printed: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module", params=BOTH)
def data(request: pytest.FixtureRequest) -> VoucherOrders:
    found: VoucherOrders = request.param
    return found


@pytest.fixture(scope="module")
def run(data: VoucherOrders, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("vouchers")
    file, books = folder / "orders.jsonl", folder / "books.db"
    return Run(data, file, books, _example(data.folder, "--write", file, "--store", f"sqlite:///{books}"))


@pytest.fixture
def books(run: Run) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(run.books)) as connection:
        yield connection


def _example(*args: str | Path, **environment: str) -> str:
    """Run the example and give all it printed."""
    done = subprocess.run(
        [sys.executable, EXAMPLE / "orders.py", *args],
        env=os.environ | environment,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _run(file: Path, books: Path) -> subprocess.Popen[str]:
    """`tallystick run`, started."""
    return subprocess.Popen(
        [COMMAND, "run", file, "--store", f"sqlite:///{books}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", pipesize=PIPE,
    )  # fmt: skip


# The sample


def test_the_sample_is_what_its_script_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, EXAMPLE / "make_sample.py", tmp_path], check=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in SAMPLE.folder.iterdir()}


def test_the_sample_has_every_shape() -> None:
    """Those that README.md lists under what makes such orders hard."""
    vouchers = Counter(payment.partition("/")[0] for payment in SAMPLE.vouchers)
    kinds = {(row["order_id"], row["payment_type"]) for row in SAMPLE.rows("payments.csv")}
    ended = {(row["order_status"], bool(row["order_delivered_carrier_date"])) for row in SAMPLE.orders.values()}
    paid = Counter[str]()
    for row in SAMPLE.rows("payments.csv"):
        paid[row["order_id"]] += in_cents(row["payment_value"])

    assert vouchers.keys() == SAMPLE.orders.keys()
    assert max(vouchers.values()) >= 12
    assert 0 in SAMPLE.vouchers.values()
    assert 10 < sum(kind == "credit_card" for _, kind in kinds) < len(vouchers) - 10
    assert {len(sellers) for sellers in SAMPLE.worth.values()} == {1, 2, 3}
    assert ended == {
        ("delivered", True), ("shipped", True), ("invoiced", False), ("processing", False),
        ("canceled", False), ("canceled", True), ("unavailable", False),
    }  # fmt: skip
    assert SAMPLE.worth.keys() < SAMPLE.orders.keys()
    assert [id for id, sellers in SAMPLE.worth.items() if sum(sellers.values()) != paid[id]]


def test_the_example_prints_what_its_page_shows() -> None:
    printed = _example()
    assert f"```text\n{printed}```" in (EXAMPLE / "README.md").read_text(encoding="utf-8")


# What went in


def test_the_same_orders_make_the_same_file(run: Run, tmp_path: Path) -> None:
    for seed in ("1", "2"):
        _example(run.data.folder, "--write", tmp_path / seed, PYTHONHASHSEED=seed)
        assert (tmp_path / seed).read_bytes() == run.file.read_bytes()


def test_every_voucher_is_a_payment_of_its_own_card(run: Run) -> None:
    vouchers = run.data.vouchers
    created = Counter(line["machine"] for line in run.lines if line["command"] == "create")
    asked = {line["id"]: in_cents(line["args"]["amount"]) for line in run.lines if line["command"] == "authorize"}

    assert created == {"gift_card": len(vouchers), "payment": len(vouchers)}
    assert asked == {payment: cents for payment, cents in vouchers.items() if cents}
    assert len({line["key"] for line in run.lines}) == len(run.lines)


def test_cards_have_more_less_and_exactly_what_is_asked(run: Run) -> None:
    vouchers = run.data.vouchers
    issued = {line["id"]: in_cents(line["args"]["amount"]) for line in run.lines if line["command"] == "issue"}
    more = sum(issued[f"{payment}/card"] > cents for payment, cents in vouchers.items())
    less = sum(issued[f"{payment}/card"] < cents for payment, cents in vouchers.items())

    assert min(issued.values()) > 0
    assert 0 < less < more < len(vouchers) - more - less


def test_purchases_come_in_the_order_of_their_moments(run: Run) -> None:
    order_of = run.data.order_of
    moments = [order_of(line["id"])["order_purchase_timestamp"] for line in run.lines if line["command"] == "authorize"]
    shipped = [
        order_of(line["id"])["order_delivered_carrier_date"] for line in run.lines if line["command"] == "settle"
    ]
    orders = [line["id"].partition("/")[0] for line in run.lines]

    assert moments == sorted(moments)
    assert shipped == sorted(shipped)
    assert sum(one != other for one, other in pairwise(orders)) > 2 * len(run.data.orders)


# What came out, by SQL


def test_every_line_was_applied(run: Run, books: sqlite3.Connection) -> None:
    assert f"{len(run.lines)} applied\n" in run.printed
    assert books.execute("SELECT count(*) FROM entry WHERE key IS NOT NULL AND key NOT LIKE '%>%'").fetchone() == (
        len(run.lines),
    )
    assert books.execute("SELECT count(*) FROM queue WHERE state <> 'done'").fetchone() == (0,)
    assert books.execute("SELECT count(*) FROM call WHERE state = 'open'").fetchone() == (0,)


@pytest.mark.parametrize(
    ("machine", "accounts"),
    [("gift_card", ["available", "held", "in_doubt"]), ("payment", ["held", "uncovered", "redeemed", "in_doubt"])],
)
def test_amounts_add_up_per_card_and_per_payment(books: sqlite3.Connection, machine: str, accounts: list[str]) -> None:
    for account in accounts:
        wrong = books.execute(
            f"""
            SELECT id, "{account}" AS kept, coalesce(sum(CASE ? WHEN target THEN amount WHEN source THEN -amount END), 0)
                   AS posted
            FROM "{machine}" LEFT JOIN posting ON posting.machine = ? AND posting.entity = id
            GROUP BY id, kept HAVING kept <> posted
            """,
            (account, machine),
        ).fetchall()
        assert wrong == []


def test_no_posting_is_empty_negative_or_in_another_currency(books: sqlite3.Connection) -> None:
    assert books.execute(
        "SELECT min(amount) > 0, count(DISTINCT currency), min(currency) FROM posting WHERE amount <> 0"
    ).fetchone() == (1, 1, "BRL")


def test_amounts_add_up_over_all(run: Run, books: sqlite3.Connection) -> None:
    sold = sum(in_cents(line["args"]["amount"]) for line in run.lines if line["command"] == "issue")
    refunded = sum(in_cents(line["args"]["amount"]) for line in run.lines if line["command"] == "refund")
    settled = sum(in_cents(line["args"]["amount"]) for line in run.lines if line["command"] == "settle")
    left, held = books.execute("SELECT sum(available), sum(held) FROM gift_card").fetchone()

    assert _posted(books, "gift_card", "issuance", "available") == sold
    assert _posted(books, "gift_card", "held", "spent") == settled
    assert _posted(books, "gift_card", "spent", "available") == refunded
    assert sold == left + held + settled - refunded
    assert books.execute("SELECT sum(held), sum(redeemed) FROM payment").fetchone() == (held, settled - refunded)
    for amount in (sold, settled, refunded, held, left):
        assert f" {amount // 100}.{amount % 100:02}\n" in run.printed


def _posted(books: sqlite3.Connection, machine: str, source: str, target: str) -> int:
    (cents,) = books.execute(
        "SELECT sum(amount) FROM posting WHERE machine = ? AND source = ? AND target = ?", (machine, source, target)
    ).fetchone()
    return int(cents)


def test_a_card_holds_and_has_spent_what_its_payment_says(books: sqlite3.Connection) -> None:
    wrong = books.execute(
        """
        SELECT gift_card.id
        FROM gift_card JOIN payment ON payment.card = gift_card.id
        LEFT JOIN (
          SELECT entity, sum(CASE 'spent' WHEN target THEN amount WHEN source THEN -amount END) AS spent
          FROM posting WHERE machine = 'gift_card' GROUP BY entity
        ) ON entity = gift_card.id
        WHERE gift_card.held <> payment.held OR coalesce(spent, 0) <> payment.redeemed
        """
    ).fetchall()
    assert wrong == []


def test_each_payment_ended_as_its_order_did(data: VoucherOrders, books: sqlite3.Connection) -> None:
    """By the CSV: state, held and redeemed of every payment; from the books only what its card was sold with."""
    value = dict(
        books.execute(
            "SELECT entity, amount FROM posting WHERE machine = 'gift_card' AND source = 'issuance'"
        ).fetchall()
    )
    expected = {
        payment: _ending(data.order_of(payment), min(cents, value[f"{payment}/card"]))
        for payment, cents in data.vouchers.items()
    }
    found = books.execute("SELECT id, state, held, uncovered, redeemed FROM payment").fetchall()
    assert {id: tuple(rest) for id, *rest in found} == expected


def _ending(order: dict[str, str], cents: int) -> tuple[str, int, int, int]:
    """State, held, uncovered, redeemed."""
    if not cents:
        return "reversed", 0, 0, 0
    match order["order_status"], bool(order["order_delivered_carrier_date"]):
        case (("invoiced" | "processing"), False):
            return "authorized", cents, 0, 0
        case (("delivered" | "shipped"), True):
            return "closed", 0, 0, cents
        case "canceled", True:
            return "closed", 0, 0, 0
        case (("canceled" | "unavailable"), False):
            return "reversed", 0, 0, 0
    raise AssertionError(order)


def test_only_unfinished_orders_hold(data: VoucherOrders, books: sqlite3.Connection) -> None:
    """Where the card had enough, to the cent what the tender says; where it had less, less."""
    unfinished = {id for id in data.vouchers if data.order_of(id)["order_status"] in ("invoiced", "processing")}
    held = dict(books.execute("SELECT id, held FROM payment WHERE held > 0").fetchall())
    had_less = {
        id
        for (id,) in books.execute(
            "SELECT entity FROM entry WHERE command = 'authorize' AND args LIKE '%allow_partial%true%'"
        )
    }

    assert set(held) == unfinished
    assert all(cents == data.vouchers[id] for id, cents in held.items() if id not in had_less)
    assert all(cents < data.vouchers[id] for id, cents in held.items() if id in had_less)


def test_what_shipped_before_the_cancellation_was_refunded(data: VoucherOrders, books: sqlite3.Connection) -> None:
    late = {id for id in data.vouchers if _called_off_late(data.order_of(id))}
    found = books.execute("SELECT entity, reason FROM entry WHERE transition = 'refund' AND machine = 'payment'")
    assert dict(found.fetchall()) == dict.fromkeys(late, "order canceled")
    assert late


def _called_off_late(order: dict[str, str]) -> bool:
    return order["order_status"] == "canceled" and bool(order["order_delivered_carrier_date"])


def test_each_seller_is_settled_apart_with_a_new_hold_between(data: VoucherOrders, books: sqlite3.Connection) -> None:
    shipped = {id for id, order in data.orders.items() if order["order_delivered_carrier_date"]}
    worth = {id: sellers for id, sellers in data.worth.items() if id in shipped and len(sellers) > 1}
    divided = [id for id in data.vouchers if id.partition("/")[0] in worth]
    assert divided

    for id in divided:
        settled = _settled(books, id)
        fair = worth[id.partition("/")[0]]
        assert settled.keys() == fair.keys()
        for seller, cents in settled.items():
            assert abs(cents - Fraction(sum(settled.values()) * fair[seller], sum(fair.values()))) < 1
        steps = books.execute(
            "SELECT transition FROM entry WHERE machine = 'payment' AND entity = ? ORDER BY revision", (id,)
        )
        parts = ["settle_part", "hold_again"] * (len(fair) - 1)
        refund = ["refund"] if _called_off_late(data.order_of(id)) else []
        assert [step for (step,) in steps] == ["create", "authorize", *parts, "settle_last", *refund]


def _settled(books: sqlite3.Connection, payment: str) -> dict[str, int]:
    """What each seller was settled."""
    rows = books.execute(
        """
        SELECT entry.by, sum(amount) FROM entry JOIN posting USING (seq)
        WHERE entry.machine = 'payment' AND entry.entity = ? AND target = 'redeemed' GROUP BY entry.by
        """,
        (payment,),
    )
    return {by.removeprefix("seller "): cents for by, cents in rows.fetchall()}


# Again, and killed


def test_a_second_run_replays_all_and_changes_nothing(run: Run) -> None:
    before = _dump(run.books)
    process = _run(run.file, run.books)
    answers, errors = process.communicate()

    assert process.returncode == 0, errors
    assert Counter(json.loads(line)["result"] for line in answers.splitlines()) == {"replayed": len(run.lines)}
    assert _dump(run.books) == before
    _hides_numbers(run.books, answers + errors)


def _dump(books: Path) -> bytes:
    with closing(sqlite3.connect(books)) as connection:
        return "\n".join(connection.iterdump()).encode()


def test_card_numbers_are_not_printed(run: Run) -> None:
    _hides_numbers(run.books, run.printed)
    _hides_numbers(run.books, run.file.read_text(encoding="utf-8"))


def _hides_numbers(books: Path, printed: str) -> None:
    with closing(sqlite3.connect(books)) as connection:
        numbers = [number for (number,) in connection.execute("SELECT number FROM gift_card WHERE number IS NOT NULL")]
    assert numbers
    assert all(len(number) == 16 and number not in printed for number in numbers)


@pytest.mark.slow
def test_killed_at_any_moment_and_repeated_it_ends_in_the_same_books(run: Run, tmp_path: Path) -> None:
    part = _beginning(run, tmp_path)
    expected = _story(part.books)
    with ThreadPoolExecutor(CHAINS) as pool:
        chains = [
            pool.submit(_killed_again_and_again, part, tmp_path / f"books{n}.db", SEED + n) for n in range(CHAINS)
        ]
    hits = sum(chain.result() for chain in chains)

    assert hits == KILLS[run.data]
    for n in range(CHAINS):
        assert _story(tmp_path / f"books{n}.db") == expected


def _beginning(run: Run, folder: Path) -> Run:
    """The first commands of the orders, run undisturbed: each kill makes a process tell them all again."""
    file, books = folder / "orders.jsonl", folder / "undisturbed.db"
    with run.file.open(encoding="utf-8") as lines:
        file.write_text("".join(islice(lines, BEGINNING)), encoding="utf-8")
    printed, errors = _run(file, books).communicate()
    assert printed, errors
    return Run(run.data, file, books, printed)


def _killed_again_and_again(run: Run, books: Path, seed: int) -> int:
    """Run, kill and run again until it completes; how many kills hit a run that was in the middle of its work."""
    chance = random.Random(seed)
    hits, entries = 0, 0
    for stop, delay in _stops(run.lines, KILLS[run.data] // CHAINS, chance):
        killed, printed = _kill_after(stop, run.file, books, delay)
        entries, before = _entries(books), entries
        hits += killed and before < entries < _entries(run.books)
        _hides_numbers(books, printed)
    process = _run(run.file, books)
    answers, errors = process.communicate()
    assert process.returncode == 0, errors
    assert {json.loads(line)["result"] for line in answers.splitlines()} == {"replayed", "applied"}
    subprocess.run([COMMAND, "verify", "--store", f"sqlite:///{books}"], check=True, capture_output=True)
    return hits


def _stops(lines: Sequence[dict[str, Any]], number: int, chance: random.Random) -> list[tuple[int, float]]:
    """Lines after whose answer to kill, and how many seconds after it.

    Some are settlements that a new hold has to follow: at once after these, the hold is still waiting.
    """
    divided = [at for at, line in enumerate(lines, 1) if line["command"] == "settle" and "last" not in line["args"]]
    stops = dict.fromkeys(chance.sample(divided, min(5, number // 2)), 0.0)
    while len(stops) < number:
        stops.setdefault(chance.randrange(100, len(lines) - 100), chance.uniform(0, 0.002))
    return sorted(stops.items())


def _kill_after(answers: int, file: Path, books: Path, delay: float) -> tuple[bool, str]:
    """Start a run and kill it a moment after so many answers, and at least a new one; whether that ended it, and
    what it printed."""
    process = _run(file, books)
    assert process.stdout is not None
    printed: list[str] = []
    while len(printed) < answers or '"applied"' not in printed[-1]:
        printed.append(process.stdout.readline())
        assert printed[-1], "it ended before it was killed"
    time.sleep(delay)
    process.kill()
    rest, errors = process.communicate()
    return process.returncode == -signal.SIGKILL, "".join(printed) + rest + errors


def _entries(books: Path) -> int:
    with closing(sqlite3.connect(books)) as connection:
        return int(connection.execute("SELECT count(*) FROM entry").fetchone()[0])


# All that the books say but what differs by nature: numbers, names of holds, moments, and so the hashes.
STORY = (
    "SELECT id, state, revision, currency, available, held, in_doubt, form, kind, card_set FROM gift_card ORDER BY id",
    'SELECT id, state, revision, currency, held, uncovered, redeemed, in_doubt, "order", card FROM payment ORDER BY id',
    """
    SELECT machine, entity, revision, transition, command, phase, from_state, to_state, json_remove(args, '$.hold', '$.now'),
           postings, after, currency, key, cause, fingerprint, by, reason
    FROM entry ORDER BY machine, entity, revision
    """,
    "SELECT key, machine, entity, command, args, state, cause FROM queue ORDER BY key",
    "SELECT key, verb, machine, entity, state FROM call ORDER BY key",
)


def _story(books: Path) -> list[list[Any]]:
    with closing(sqlite3.connect(books)) as connection:
        return [connection.execute(query).fetchall() for query in STORY]
