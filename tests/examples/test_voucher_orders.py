"""Real voucher orders end to end, with real processes. The judge is SQL and the CSV files, never our own code."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "voucher_orders" / "orders.py"
DATA = ROOT.parent / "shared" / "data" / "olist_vouchers"
COMMAND = Path(sysconfig.get_path("scripts")) / "tallystick"

KILLS = 50
CHAINS = 2  # as many runs side by side, each killed KILLS / CHAINS times
SEED = 20171124
BEGINNING = 1800  # of some 4,000 commands
PIPE = 4096  # bytes: a run cannot be more than a few answers ahead of who reads them

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the orders are not shipped, and not found at {DATA}")


@attrs.frozen
class Run:
    """What came of the undisturbed run."""

    file: Path
    books: Path
    printed: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("vouchers")
    file, books = folder / "orders.jsonl", folder / "books.db"
    return Run(file, books, _example("--write", file, "--store", f"sqlite:///{books}"))


@pytest.fixture
def books(run: Run) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(run.books)) as connection:
        yield connection


def _example(*args: str | Path, **environment: str) -> str:
    """Run the example and give all it printed."""
    done = subprocess.run(
        [sys.executable, EXAMPLE, DATA, *args], env=os.environ | environment, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _run(file: Path, books: Path) -> subprocess.Popen[str]:
    """`tallystick run`, started."""
    return subprocess.Popen(
        [COMMAND, "run", file, "--store", f"sqlite:///{books}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", pipesize=PIPE,
    )  # fmt: skip


def _rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _cents(text: str) -> int:
    cents = Fraction(text) * 100
    assert cents.denominator == 1
    return int(cents)


ORDERS = {row["order_id"]: row for row in _rows("orders.csv")} if DATA.is_dir() else {}
VOUCHERS = {
    f"{row['order_id']}/{row['payment_sequential']}": _cents(row["payment_value"])
    for row in (_rows("payments.csv") if DATA.is_dir() else ())
    if row["payment_type"] == "voucher"
}


def _order(payment: str) -> dict[str, str]:
    return ORDERS[payment.partition("/")[0]]


# What went in


def test_the_same_orders_make_the_same_file(run: Run, tmp_path: Path) -> None:
    for seed in ("1", "2"):
        _example("--write", tmp_path / seed, PYTHONHASHSEED=seed)
        assert (tmp_path / seed).read_bytes() == run.file.read_bytes()


def test_every_voucher_is_a_payment_of_its_own_card(run: Run) -> None:
    created = Counter(line["machine"] for line in run.lines if line["command"] == "create")
    asked = {line["id"]: _cents(line["args"]["amount"]) for line in run.lines if line["command"] == "authorize"}

    assert created == {"gift_card": len(VOUCHERS), "payment": len(VOUCHERS)}
    assert asked == {payment: cents for payment, cents in VOUCHERS.items() if cents}
    assert len({line["key"] for line in run.lines}) == len(run.lines)


def test_cards_have_more_less_and_exactly_what_is_asked(run: Run) -> None:
    issued = {line["id"]: _cents(line["args"]["amount"]) for line in run.lines if line["command"] == "issue"}
    more = sum(issued[f"{payment}/card"] > cents for payment, cents in VOUCHERS.items())
    less = sum(issued[f"{payment}/card"] < cents for payment, cents in VOUCHERS.items())

    assert min(issued.values()) > 0
    assert 0 < less < more < len(VOUCHERS) - more - less


def test_purchases_come_in_the_order_of_their_moments(run: Run) -> None:
    moments = [_order(line["id"])["order_purchase_timestamp"] for line in run.lines if line["command"] == "authorize"]
    shipped = [_order(line["id"])["order_delivered_carrier_date"] for line in run.lines if line["command"] == "settle"]
    orders = [line["id"].partition("/")[0] for line in run.lines]

    assert moments == sorted(moments)
    assert shipped == sorted(shipped)
    assert sum(one != other for one, other in pairwise(orders)) > 2 * len(ORDERS)


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
    sold = sum(_cents(line["args"]["amount"]) for line in run.lines if line["command"] == "issue")
    refunded = sum(_cents(line["args"]["amount"]) for line in run.lines if line["command"] == "refund")
    settled = sum(_cents(line["args"]["amount"]) for line in run.lines if line["command"] == "settle")
    left, held = books.execute("SELECT sum(available), sum(held) FROM gift_card").fetchone()

    assert _posted(books, "gift_card", "issued", "available") == sold
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


def test_each_payment_ended_as_its_order_did(books: sqlite3.Connection) -> None:
    """By the CSV: state, held and redeemed of every payment; from the books only what its card was sold with."""
    value = dict(
        books.execute("SELECT entity, amount FROM posting WHERE machine = 'gift_card' AND source = 'issued'").fetchall()
    )
    expected = {
        payment: _ending(_order(payment), min(cents, value[f"{payment}/card"])) for payment, cents in VOUCHERS.items()
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


def test_only_unfinished_orders_hold(books: sqlite3.Connection) -> None:
    """Where the card had enough, to the cent what the tender says; where it had less, less."""
    unfinished = {id for id in VOUCHERS if _order(id)["order_status"] in ("invoiced", "processing")}
    held = dict(books.execute("SELECT id, held FROM payment WHERE held > 0").fetchall())
    had_less = {
        id
        for (id,) in books.execute("SELECT entity FROM entry WHERE command = 'authorize' AND args LIKE '%short%true%'")
    }

    assert set(held) == unfinished
    assert all(cents == VOUCHERS[id] for id, cents in held.items() if id not in had_less)
    assert all(cents < VOUCHERS[id] for id, cents in held.items() if id in had_less)


def test_what_shipped_before_the_cancellation_was_refunded(books: sqlite3.Connection) -> None:
    late = {id for id in VOUCHERS if _order(id)["order_status"] == "canceled"
            and _order(id)["order_delivered_carrier_date"]}  # fmt: skip
    found = books.execute("SELECT entity, reason FROM entry WHERE transition = 'refund' AND machine = 'payment'")
    assert dict(found.fetchall()) == dict.fromkeys(late, "order canceled")
    assert late


def test_each_seller_is_settled_apart_with_a_new_hold_between(books: sqlite3.Connection) -> None:
    worth: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in _rows("items.csv"):
        worth[row["order_id"]][row["seller_id"]] += _cents(row["price"]) + _cents(row["freight_value"])
    divided = [id for id in VOUCHERS if len(worth[id.partition("/")[0]]) > 1]
    assert divided

    for id in divided:
        settled = _settled(books, id)
        fair = worth[id.partition("/")[0]]
        for seller, cents in settled.items():
            assert abs(cents - Fraction(sum(settled.values()) * fair[seller], fair.total())) < 1
        steps = books.execute(
            "SELECT transition FROM entry WHERE machine = 'payment' AND entity = ? ORDER BY revision", (id,)
        )
        assert [step for (step,) in steps] == ["create", "authorize", "settle_part", "hold_again", "settle_last"]


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


def test_killed_at_any_moment_and_repeated_it_ends_in_the_same_books(run: Run, tmp_path: Path) -> None:
    part = _beginning(run, tmp_path)
    expected = _story(part.books)
    with ThreadPoolExecutor(CHAINS) as pool:
        chains = [
            pool.submit(_killed_again_and_again, part, tmp_path / f"books{n}.db", SEED + n) for n in range(CHAINS)
        ]
    hits = sum(chain.result() for chain in chains)

    assert hits == KILLS
    for n in range(CHAINS):
        assert _story(tmp_path / f"books{n}.db") == expected


def _beginning(run: Run, folder: Path) -> Run:
    """The first commands of the orders, run undisturbed: each kill makes a process tell them all again."""
    file, books = folder / "orders.jsonl", folder / "undisturbed.db"
    with run.file.open(encoding="utf-8") as lines:
        file.write_text("".join(islice(lines, BEGINNING)), encoding="utf-8")
    printed, errors = _run(file, books).communicate()
    assert printed, errors
    return Run(file, books, printed)


def _killed_again_and_again(run: Run, books: Path, seed: int) -> int:
    """Run, kill and run again until it completes; how many kills hit a run that was in the middle of its work."""
    chance = random.Random(seed)
    hits, entries = 0, 0
    for stop, delay in _stops(run.lines, KILLS // CHAINS, chance):
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
    stops = dict.fromkeys(chance.sample(divided, 5), 0.0)
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
    SELECT machine, entity, revision, transition, command, phase, from_state, to_state, json_remove(args, '$.hold'),
           postings, after, currency, key, cause, fingerprint, by, reason
    FROM entry ORDER BY machine, entity, revision
    """,
    "SELECT key, machine, entity, command, args, state, cause FROM queue ORDER BY key",
    "SELECT key, verb, machine, entity, state FROM call ORDER BY key",
)


def _story(books: Path) -> list[list[Any]]:
    with closing(sqlite3.connect(books)) as connection:
        return [connection.execute(query).fetchall() for query in STORY]
