"""What happened earlier than it was written: whose month it belongs to, and what cannot have happened then."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import tallystick
from postgres_books import postgres_url
from tallystick import reports
from tallystick.books.async_books import AsyncBooks
from tallystick.books.books import Books
from tallystick.cli.main import main
from tallystick.engine.receipt import Command, InDoubt, Refused, Unavailable
from tallystick.engine.sums import bring
from tallystick.errors import Invalid, KeyReused
from tallystick.money import Money
from tallystick.provider.scripted import Reply, ScriptedProvider

BEGAN = datetime(2026, 10, 10, 12, tzinfo=timezone.utc)
LATE = datetime(2026, 10, 31, 23, 50, tzinfo=timezone.utc)  # it happened in October, and is told in November
NOVEMBER = datetime(2026, 11, 2, 9, tzinfo=timezone.utc)
WHO = {"by": "ann", "reason": "the till had no line"}


class Shop(Books):
    clock: ScriptedProvider

    def to(self, moment: datetime) -> None:
        """It is this moment now."""
        self.clock.wait((moment - self.clock.clock()).total_seconds())

    def owed(self, day: str | None = None) -> int:
        """What all cards carry at the end of a day, in minor units."""
        rows = reports.liability(self, as_of=day).totals
        return sum(int(str(row["total"])) for row in rows)

    def closing(self, day: str | None = None) -> int:
        rows = reports.rollforward(self, end=day).totals
        return sum(int(str(row["closing"])) for row in rows)

    def whole(self) -> None:
        """The books are in order, and every report closes on every day."""
        assert self.verify().clean
        for day in ("2026-10-09", "2026-10-10", "2026-10-30", "2026-10-31", "2026-11-01", "2026-11-02", None):
            assert self.owed(day) == self.closing(day)
            assert not any(row["closing"] for row in reports.trial_balance(self, end=day).totals)


def books_at(url: str) -> Shop:
    provider = ScriptedProvider()
    shop = Shop(tallystick.open(url, provider=provider).engine)
    shop.clock = provider
    shop.to(BEGAN)
    shop.sell_electronic("c1", "50.00", "BRL", order="sale", key="sale")
    return shop


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    if request.param == "postgres":
        with postgres_url() as url, books_at(url) as shop:
            yield shop
    else:
        with books_at({"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/b.db"}[request.param]) as shop:
            yield shop


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Shop]:
    with books_at(f"sqlite:///{tmp_path}/b.db") as shop:
        yield shop


def test_what_arrives_after_the_month_was_reported_changes_that_month(shop: Shop) -> None:
    shop.to(NOVEMBER)
    assert (shop.owed("2026-10-31"), shop.closing("2026-10-31")) == (5000, 5000)
    shop.redeem("p1", "c1", "20.00", order="o1", key="k1", occurred_at=LATE)
    assert (shop.owed("2026-10-30"), shop.owed("2026-10-31"), shop.owed("2026-11-01")) == (5000, 3000, 3000)
    assert (shop.closing("2026-10-30"), shop.closing("2026-10-31"), shop.owed()) == (5000, 3000, 3000)
    days = reports.activity(shop, by=("day",), start="2026-10-30").rows
    assert [(row["day"], row["transactions"]) for row in days] == [("2026-10-31", 1)]
    month = reports.rollforward(shop, start="2026-10-01", end="2026-10-31").totals[0]
    assert (month["opening"], month["issued"], month["spent"], month["closing"]) == (0, 5000, -2000, 3000)
    after = reports.trial_balance(shop, start="2026-11-01").rows
    assert not any(row["came"] or row["went"] for row in after)
    (row,) = reports.activity(shop, start="2026-10-30").rows
    assert (row["at"], row["occurred_at"]) == ("2026-11-02T09:00:00.000Z", "2026-10-31T23:50:00.000Z")
    shop.whole()


def test_the_first_who_looks_at_a_report_sees_when_it_was_written_too(local: Shop) -> None:
    told = reports.activity(local).table()
    assert "occurred" not in told
    local.to(NOVEMBER)
    local.adjust("c1", "-1.00", key="k", **WHO, occurred_at=LATE)
    head = reports.activity(local).table(300).splitlines()
    assert any("at" in line and "occurred at" in line for line in head)
    assert any("2026-11-02 09:00" in line and "2026-10-31 23:50" in line for line in head)


def test_old_cards_are_as_old_as_they_are(shop: Shop) -> None:
    shop.to(NOVEMBER)
    sold = NOVEMBER - timedelta(days=400)
    shop.recognize("old", "6006", currency="BRL", balance="12.00", key="old", occurred_at=sold)
    assert shop.owed("2025-12-31") == 1200
    assert not reports.liability(shop, as_of="2025-12-31").notes
    assert "the books began later" in str(reports.liability(shop, as_of="2020-12-31").notes)
    ages = {row["age"]: row["total"] for row in reports.liability(shop, by=("age",)).rows}
    assert ages == {"8 to 30 days": 5000, "1 to 2 years": 1200}
    assert [row["entity"] for row in reports.dormant(shop).rows] == ["old"]
    with shop.engine.store.reading() as reading:
        created = reading.select("SELECT created FROM v_card WHERE entity = ?", ("old",))
    assert created == [(sold.isoformat(timespec="milliseconds").replace("+00:00", "Z"),)]
    shop.whole()


def test_two_that_come_in_the_wrong_order(shop: Shop) -> None:
    shop.to(NOVEMBER)
    shop.redeem("second", "c1", "20.00", order="o2", key="k2", occurred_at=LATE)
    shop.redeem("first", "c1", "20.00", order="o1", key="k1", occurred_at=LATE - timedelta(days=1))
    assert [shop.owed(day) for day in ("2026-10-29", "2026-10-30", "2026-10-31", None)] == [5000, 3000, 1000, 1000]
    assert [each.occurred_at for each in shop.history("gift_card", "c1")][-4::2] == [LATE, LATE - timedelta(days=1)]
    shop.whole()


def test_what_cannot_have_happened_then(shop: Shop) -> None:
    shop.to(NOVEMBER)
    shop.redeem("p1", "c1", "50.00", order="o1", key="k1")
    shop.to(NOVEMBER + timedelta(days=1))
    shop.reload("c1", "30.00", key="k2")
    before = shop.owed()

    def refused(sentence: str, moment: datetime, amount: str = "10.00") -> None:
        with pytest.raises(Refused, match=sentence) as error:
            shop.redeem("p2", "c1", amount, order="o2", key="k3", occurred_at=moment)
        assert error.value.receipt.refusal is not None
        assert error.value.receipt.refusal.code == "too_early"
        assert shop.would(
            lambda books: books.redeem("p2", "c1", amount, order="o2", key="k3", occurred_at=moment)
        ).refusal

    refused("gift_card 'c1' cannot have happened at 2026-10-10T11:.*it is there since 2026-10-10T12:00:00.000Z; say a "
            "later time, or none", BEGAN - timedelta(hours=1))  # fmt: skip
    refused(r"until 2026-11-03T09:00:00.000Z its available would have been -10.00 BRL", LATE)  # it had only 50.00 then
    with pytest.raises(Invalid, match=r"occurred_at is 2026-11-04.*what is still to come has not happened"):
        shop.redeem("p2", "c1", "1.00", order="o2", key="k3", occurred_at=NOVEMBER + timedelta(days=2))
    with pytest.raises(Invalid, match="has no time zone"):
        shop.redeem("p2", "c1", "1.00", order="o2", key="k3", occurred_at=datetime(2026, 10, 31))
    with pytest.raises(Invalid, match="a moment is a datetime"):
        shop.adjust("c1", "-1.00", key="k3", **WHO, occurred_at="2026-10-31")  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="due says when it will happen and occurred_at when it did"):
        shop.settle("p1", "1.00", key="k3", due=NOVEMBER + timedelta(days=9), occurred_at=LATE)
    assert shop.owed() == before
    shop.redeem("p2", "c1", "10.00", order="o2", key="k3", occurred_at=NOVEMBER + timedelta(days=1))
    shop.whole()


def test_a_key_that_is_said_again(shop: Shop) -> None:
    shop.to(NOVEMBER)
    shop.reload("c1", "5.00", key="k", occurred_at=LATE)
    for moment in (LATE, LATE.astimezone(timezone(timedelta(hours=-3))), None):
        assert shop.reload("c1", "5.00", key="k", occurred_at=moment).replayed
    with pytest.raises(KeyReused, match=r"the same, which happened at 2026-10-31T23:50:00.000Z"):
        shop.reload("c1", "5.00", key="k", occurred_at=LATE + timedelta(minutes=1))
    shop.reload("c1", "5.00", key="now")
    with pytest.raises(KeyReused, match=r"the same, which happened at 2026-11-02T09:00:00.000Z"):
        shop.reload("c1", "5.00", key="now", occurred_at=LATE)
    assert shop.card("c1").available == Money.parse("60.00", "BRL")


def test_a_hold_is_as_old_as_it_is(shop: Shop) -> None:
    shop.to(NOVEMBER)
    shop.authorize("p1", "c1", "5.00", order="o1", key="k1", occurred_at=BEGAN + timedelta(days=1))
    shop.authorize("p2", "c1", "6.00", order="o2", key="k2", occurred_at=LATE)
    (old,) = shop.holds_older_than(timedelta(days=10))
    assert (old.payment, old.since) == ("p1", BEGAN + timedelta(days=1))
    assert [row["since"] for row in reports.holds(shop).rows] == [
        "2026-10-11T12:00:00.000Z",
        "2026-10-31T23:50:00.000Z",
    ]
    assert [row["payment"] for row in reports.holds(shop, as_of="2026-10-30").rows] == ["p1"]
    shop.whole()


def test_midnight_is_that_of_the_books_whatever_the_zone(shop: Shop) -> None:
    """A quarter to midnight in São Paulo is the next day in UTC, which days of reports are of."""
    shop.to(NOVEMBER)
    brazil = timezone(timedelta(hours=-3))
    shop.reload("c1", "1.00", key="a", occurred_at=datetime(2026, 10, 31, 20, 59, 59, 999000, tzinfo=brazil))
    shop.reload("c1", "2.00", key="b", occurred_at=datetime(2026, 10, 31, 21, 0, tzinfo=brazil))
    assert (shop.owed("2026-10-31"), shop.owed("2026-11-01")) == (5100, 5300)
    until = datetime(2026, 10, 31, 23, 59, 59, 999000, tzinfo=brazil)
    assert sum(int(str(row["total"])) for row in reports.liability(shop, as_of=until).totals) == 5300
    shop.whole()


def test_all_that_follows_a_command_happened_with_it(shop: Shop) -> None:
    """Whatever the provider answers, and when: a call and its end, what a tender does, what is tried again."""
    shop.to(NOVEMBER)
    tender = shop.authorize_all(shop.plan(Money.parse("30.00", "BRL"), ["c1"]), order="o", key="t", occurred_at=LATE)
    shop.settle_all(tender.id, "10.00", key="s", keep_hold=False, occurred_at=LATE + timedelta(minutes=1))
    shop.clock.script.append(Reply.read("lost_after"))
    with pytest.raises(InDoubt):
        shop.reload("c1", "5.00", key="lost", occurred_at=LATE)
    shop.to(NOVEMBER + timedelta(hours=1))
    shop.recover(timedelta())
    shop.clock.script.append(Reply.read("unavailable"))
    with pytest.raises(Unavailable):
        shop.reload("c1", "7.00", key="away", occurred_at=LATE)
    assert shop.reload("c1", "7.00", key="away").applied  # said again, it happened when it was said first
    assert shop.owed("2026-10-31") == shop.owed() == 5200
    with shop.engine.store.reading() as reading:
        rows = [row for row in reading.journal() if row.at >= "2026-11"]
    assert {row.occurred_at for row in rows} <= {LATE.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                                                 "2026-10-31T23:51:00.000Z"}  # fmt: skip
    assert {row.phase for row in rows} >= {"done", "asked", "confirmed", "unavailable"}
    assert not reports.doubt(shop, as_of="2026-10-31").rows
    shop.whole()


def test_what_a_page_has_put_off_happens_in_its_own_time(shop: Shop) -> None:
    shop.to(NOVEMBER)
    shop.sell_electronic(
        "c2", "7.00", "BRL", order="o", key="c2", expires=NOVEMBER + timedelta(days=1), occurred_at=LATE
    )
    shop.to(NOVEMBER + timedelta(days=2))
    assert [each.command for each in shop.run_due()] == ["expire"]
    assert [shop.owed(day) for day in ("2026-10-31", "2026-11-03", None)] == [5700, 5700, 5000]
    assert shop.history("gift_card", "c2")[-1].occurred_at == NOVEMBER + timedelta(days=2)
    shop.whole()


def test_a_follow_up_that_can_only_have_come_later_comes_later(shop: Shop) -> None:
    """It is done all the same: nothing waits for ever because of a date."""
    shop.to(NOVEMBER)
    shop.reload("c1", "20.00", key="k0")
    shop.authorize("p1", "c1", "50.00", order="o1", key="k1")
    shop.to(NOVEMBER + timedelta(days=1))
    command = Command("payment", "p1", "settle", {"amount": "10.00", "keep_hold": False}, "k2",
                      occurred_at=NOVEMBER)  # fmt: skip
    receipt = shop.engine.try_execute(command).or_raise()
    shop.adjust("c1", "-60.00", key="k3", **WHO)
    shop.reload("c1", "60.00", key="k4")  # in between, what was to be held again was not there
    shop.clock.script.append(Reply.read("unavailable"))
    (held,) = shop.engine.queue.follow(receipt).followed
    assert held.result == "unavailable"
    shop.to(NOVEMBER + timedelta(days=1, hours=1))
    assert [each.result for each in shop.run_due()] == ["applied"]
    assert [each.occurred_at.day for each in shop.history("payment", "p1")] == [2, 2, 2, 2, 2, 3, 3, 3, 3]
    assert shop.payment("p1").held == Money.parse("40.00", "BRL")
    shop.whole()


def test_in_a_transaction_of_the_caller_and_awaited(tmp_path: Path) -> None:
    with tallystick.open(f"sqlite:///{tmp_path}/b.db") as books:
        now = datetime.now(timezone.utc)
        books.sell_electronic("c1", "50.00", "BRL", order="s", key="s", occurred_at=now - timedelta(days=9))
        with closing(sqlite3.connect(tmp_path / "b.db", isolation_level=None)) as own:
            own.execute("BEGIN IMMEDIATE")
            books.reload("c1", "1.00", key="a", connection=own, occurred_at=now - timedelta(days=8))
            own.execute("COMMIT")
        other = AsyncBooks(books, threads=1)
        asyncio.run(other.reload("c1", "2.00", key="b", occurred_at=now - timedelta(days=7)))
        days = [(now - each.occurred_at).days for each in books.history("gift_card", "c1")]
        assert days[-2:] == [8, 7]
        assert set(days[:-2]) == {9}
        assert books.verify().clean


def test_it_is_shown_wherever_an_entry_is(local: Shop, tmp_path: Path) -> None:
    local.to(NOVEMBER)
    local.adjust("c1", "-1.00", key="k", **WHO, occurred_at=LATE)
    entry = local.tail().entries[-1]
    assert (entry.at, entry.occurred_at) == (NOVEMBER, LATE)
    texts = {}
    for format in ("csv", "xes", "ocel2"):
        out = StringIO()
        reports.export(local, format, out)
        texts[format] = out.getvalue()
    assert ",2026-11-02T09:00:00.000Z,2026-10-31T23:50:00.000Z,gift_card," in texts["csv"].splitlines()[-1]
    reports.export(local, "xes", out := StringIO(), case="card")
    assert 'key="time:timestamp" value="2026-10-31T23:50:00.000+00:00"' in out.getvalue()
    assert 'key="recorded" value="2026-11-02T09:00:00.000+00:00"' in out.getvalue()
    last: Any = json.loads(texts["ocel2"])["events"][-1]
    assert last["time"] == "2026-10-31T23:50:00.000Z"
    assert {"name": "recorded", "value": "2026-11-02T09:00:00.000Z"} in last["attributes"]
    url = ["--store", f"sqlite:///{tmp_path}/b.db"]
    shown = CliRunner().invoke(main, ["history", "c1", *url]).output
    assert "2026-10-31 23:50:00, written 2026-11-02 09:00:00" in " ".join(shown.replace("│", " ").split()) or (
        "written" in shown
    )
    (fed,) = [json.loads(line) for line in CliRunner().invoke(main, ["tail", *url]).output.splitlines()][-2:-1]
    assert (fed["at"], fed["occurred_at"]) == ("2026-11-02T09:00:00.000Z", "2026-10-31T23:50:00.000Z")


def test_lines_and_lists_of_the_command_line_say_it(tmp_path: Path) -> None:
    url = ["--store", f"sqlite:///{tmp_path}/b.db"]
    cards = tmp_path / "cards.csv"
    cards.write_text("number,balance,occurred_at\n6006490200000001,20.00,2026-01-31\n"
                     "6006490200000019,20.00,2026-01-31T12:00:00Z\n6006490200000027,20.00,2999-01-01\n")  # fmt: skip
    asked = ["import", str(cards), "--currency", "BRL", "--zone", "America/Sao_Paulo", "--json", *url]
    told = json.loads(CliRunner().invoke(main, asked).stdout)
    assert (told["done"], told["wrong"]) == (2, 1)
    line = {"key": "k", "machine": "gift_card", "id": "cards-2", "command": "reload", "args": {"amount": "5.00"},
            "occurred_at": "2026-02-01T00:00:00-03:00"}  # fmt: skip
    lines = tmp_path / "lines.jsonl"
    lines.write_text(json.dumps(line) + "\n" + json.dumps({**line, "key": "l", "occurred_at": "yesterday"}))
    first, second = map(json.loads, CliRunner().invoke(main, ["run", str(lines), *url]).stdout.splitlines())
    assert (first["result"], second["result"]) == ("applied", "invalid")
    assert "'occurred_at' is not an ISO time" in second["why"]
    with tallystick.open(url[1]) as books:
        moments = [each.occurred_at.isoformat() for each in books.history("gift_card", "cards-2")]
        assert moments == ["2026-01-31T03:00:00+00:00"] * 2 + ["2026-02-01T03:00:00+00:00"]
        assert books.verify().clean


def test_kept_sums_count_it_on_the_day_on_which_it_happened(shop: Shop) -> None:
    if not bring(shop.engine.store, shop.engine.machines):
        pytest.skip("a store in memory keeps no sums")
    shop.to(NOVEMBER)
    shop.redeem("p1", "c1", "20.00", order="o1", key="k1", occurred_at=LATE)
    shop.recognize("old", "6006", currency="BRL", balance="12.00", key="old", occurred_at=BEGAN - timedelta(days=500))
    assert bring(shop.engine.store, shop.engine.machines)
    with shop.engine.store.reading() as reading:
        days = "SELECT day, sum(amount) FROM _flow WHERE machine = 'gift_card' AND target = 'available' GROUP BY day"
        flow = dict(reading.select(f"{days} ORDER BY day"))
        created = reading.select("SELECT created, last FROM _seen WHERE entity = 'old'")
    assert {day: int(amount) for day, amount in flow.items()}.keys() >= {"2025-05-28", "2026-10-10"}
    assert created == [("2025-05-28T12:00:00.000Z", "2025-05-28T12:00:00.000Z")]
    assert shop.verify().clean  # the sums are those of the journal
    assert shop.closing("2026-10-31") == 4200


def test_who_changes_it_in_the_database_is_found(tmp_path: Path) -> None:
    with books_at(f"sqlite:///{tmp_path}/b.db") as shop:
        shop.to(NOVEMBER)
        shop.reload("c1", "1.00", key="k", occurred_at=LATE)
        with closing(sqlite3.connect(tmp_path / "b.db", isolation_level=None)) as raw:
            with pytest.raises(sqlite3.IntegrityError, match="entries are never changed"):
                raw.execute("UPDATE entry SET occurred_at = NULL")
            for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                raw.execute(f"DROP TRIGGER {name}")
            raw.execute("UPDATE entry SET occurred_at = '2026-11-01T00:00:00.000Z' WHERE key = 'k'")
        assert {each.code for each in shop.verify().findings} >= {"hash"}
