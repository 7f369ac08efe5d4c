"""Times: a fact may be a time, a guard may ask what time it is, and a page may put off what follows a command."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tallystick.definition.passes import read_layers
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command, Ended, Receipt
from tallystick.engine.verify import verify
from tallystick.errors import Invalid
from tallystick.provider.scripted import BEGINS, ScriptedProvider
from tallystick.store.memory import MemoryStore
from tallystick.store.protocol import Store
from tallystick.store.sqlite import SqliteStore

PAGE = """\
machine: ticket
version: 1
summary: A ticket that is good until a date, and is thrown away a month after that.
facts:
  until: {is: time?, says: The last moment in which it is good.}
  used: {is: time?, later: true, says: When it was used.}
states:
  new: {start: true, says: Not used.}
  used_up: {says: It was used.}
  gone: {final: true, says: Thrown away.}
transitions:
  begin:
    from: new
    then: [lapse() at until, "remind(why='soon') after 10 minutes"]
  use:
    from: new
    to: used_up
    when: until == none or now < until
    set: {used: now}
    then: throw() after 30 days
  move:
    from: new
    set: {until: until}
    then: lapse() at until
  lapse:
    from: new
    to: gone
    when: until != none and until <= now
  remind:
    from: new
  throw:
    from: used_up
    to: gone
commands:
  begin: {}
  use: {}
  move: {until: time}
  lapse: {}
  remind: {why: text?}
  throw: {}
refuse:
  - {in: [new], commands: [use], when: until != none and until <= now, says: It is not good any more.}
  - {in: [new], commands: [lapse], when: until == none or now < until, over: true, says: It is good still.}
  - {in: [new], commands: [throw], over: true, says: It was not used.}
  - {in: [used_up], commands: [begin, use, move, lapse, remind], over: true, says: It was used.}
  - {in: [gone], commands: [begin, use, move, lapse, remind, throw], says: It is gone.}
"""
MACHINES = read_layers([{"ticket.yaml": PAGE}])


class Desk:
    """An engine with a clock that stands still until it is moved."""

    def __init__(self, store: Store) -> None:
        self.provider = ScriptedProvider()
        self.engine = Engine(MACHINES, store, self.provider, clock=self.provider.clock)
        self.keys = 0

    def give(self, command: str, id: str = "t", **args: object) -> Receipt:
        self.keys += 1
        if command == "create":
            args = {"currency": "BRL", **args}
        return self.engine.try_execute(Command("ticket", id, command, args, f"k{self.keys}"))

    def begun(self, until: object) -> None:
        assert self.give("create", until=until).applied
        assert self.give("begin").applied

    def passes(self, **length: float) -> list[Receipt]:
        self.provider.wait(timedelta(**length).total_seconds())
        return self.engine.run_due()

    def state(self, id: str = "t") -> str:
        with self.engine.store.reading() as reading:
            found = reading.entity("ticket", id)
        assert found is not None
        return found.state

    def queued(self) -> dict[str, tuple[str, str]]:
        with self.engine.store.reading() as reading:
            rows = [row for state in ("waiting", "done", "withdrawn", "refused") for row in reading.queue(state=state)]
        return {row.key: (row.state, row.due) for row in rows}


@pytest.fixture(params=["memory", "sqlite"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    store: Store = MemoryStore() if request.param == "memory" else SqliteStore(str(tmp_path / "books.db"))
    found = Desk(store)
    yield found
    assert list(verify(found.engine.machines, store).findings) == []
    store.close()


NOON = BEGINS + timedelta(hours=12)


def test_a_time_is_kept_in_utc_however_it_is_given(desk: Desk) -> None:
    local = NOON.astimezone(timezone(timedelta(hours=-3)))
    for number, until in enumerate((NOON, local, local.isoformat(), "2026-01-01T12:00:00Z")):
        assert desk.give("create", f"t{number}", until=until).applied
        with desk.engine.store.reading() as reading:
            entity = reading.entity("ticket", f"t{number}")
        assert entity is not None
        assert entity.facts["until"] == "2026-01-01T12:00:00.000Z"


@pytest.mark.parametrize(
    ("until", "why"),
    [
        ("2026-01-01", "has no time zone"),
        (datetime(2026, 1, 1), "has no time zone"),
        ("tomorrow", "is no date and time"),
        (12, "a moment is a datetime with a time zone, not 12"),
        ("9999-12-31T23:59:59-03:00", "lies outside the years"),
    ],
)
def test_what_is_no_time_is_refused(desk: Desk, until: object, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        desk.give("create", until=until)


def test_what_a_page_puts_off_waits_for_its_time_and_is_no_follow_up_of_now(desk: Desk) -> None:
    desk.give("create", until=NOON)
    begun = desk.give("begin")
    assert begun.follow_ups == ()
    assert desk.queued() == {
        "k2>lapse": ("waiting", "2026-01-01T12:00:00.000Z"), "k2>remind": ("waiting", "2026-01-01T00:10:00.000Z")
    }  # fmt: skip
    assert desk.engine.queue.follow(begun).followed == ()
    assert desk.passes(minutes=9, seconds=59) == []
    (reminded,) = desk.passes(seconds=1)
    assert (reminded.command, reminded.result) == ("remind", Ended.APPLIED)
    assert desk.passes(hours=11) == []
    (lapsed,) = desk.passes(hours=1)
    assert (lapsed.command, lapsed.result, desk.state()) == ("lapse", Ended.APPLIED, "gone")


def test_without_a_time_nothing_is_queued_for_it(desk: Desk) -> None:
    desk.begun(until=None)
    assert list(desk.queued()) == ["k2>remind"]
    assert desk.give("use").applied


def test_after_its_time_nothing_is_done_even_if_nobody_ran_what_was_due(desk: Desk) -> None:
    desk.begun(until=NOON)
    desk.provider.wait(12 * 3600 - 1)
    assert desk.engine.may("ticket", "t", "use")
    desk.provider.wait(1)
    assert not desk.engine.may("ticket", "t", "use")
    refused = desk.give("use")
    assert refused.result is Ended.REFUSED
    assert "It is not good any more (here now 2026-01-01 12:00:00 UTC, until 2026-01-01 12:00:00 UTC)" in refused.why
    assert "It would take: begin, move, lapse, remind." not in refused.why


def test_what_was_moved_does_nothing_at_its_old_time(desk: Desk) -> None:
    desk.begun(until=NOON)
    assert desk.give("move", until=NOON + timedelta(days=1)).applied
    assert [each.command for each in desk.passes(minutes=10)] == ["remind"]
    (refused,) = desk.passes(hours=12)
    assert "It is good still" in refused.why
    assert desk.queued()["k2>lapse"][0] == "withdrawn"
    (lapsed,) = desk.passes(days=1)
    assert (lapsed.key, desk.state()) == ("k3>lapse", "gone")


def test_what_has_ended_takes_along_what_was_put_off(desk: Desk) -> None:
    desk.begun(until=NOON)
    desk.passes(days=1)
    assert desk.state() == "gone"
    assert {state for state, _ in desk.queued().values()} == {"done"}
    desk.give("create", "u", until=NOON + timedelta(days=3))
    desk.give("begin", "u")
    desk.give("use", "u")
    desk.passes(days=30)
    assert desk.state("u") == "gone"
    assert {state for state, _ in desk.queued().values()} == {"done", "withdrawn"}


def test_before_its_time_it_is_not_lost_whoever_tries_it(desk: Desk) -> None:
    desk.begun(until=NOON)
    refused = desk.engine.queue.run("k2>lapse")
    assert refused.result is Ended.REFUSED
    assert desk.queued()["k2>lapse"] == ("waiting", "2026-01-01T12:00:00.000Z")
    desk.passes(hours=12)
    assert desk.state() == "gone"


def test_a_clock_that_was_set_back_loses_nothing(desk: Desk) -> None:
    desk.begun(until=NOON)
    desk.provider.wait(13 * 3600)
    desk.provider.wait(-2 * 3600)
    assert [each.command for each in desk.engine.run_due()] == ["remind"]
    assert desk.queued()["k2>lapse"][0] == "waiting"
    desk.passes(hours=1)
    assert desk.state() == "gone"


def test_the_time_of_a_command_stands_in_its_entry_and_a_fact_may_keep_it(desk: Desk) -> None:
    desk.begun(until=NOON)
    desk.provider.wait(3600)
    assert desk.give("use").applied
    with desk.engine.store.reading() as reading:
        last = list(reading.journal("ticket", "t"))[-1]
    at = "2026-01-01T01:00:00.000Z"
    assert (last.at, json.loads(last.args), json.loads(last.facts)) == (at, {"now": at}, {"used": at})


def test_a_key_said_again_is_answered_as_before_whatever_the_time(desk: Desk) -> None:
    desk.begun(until=NOON)
    used = desk.engine.try_execute(Command("ticket", "t", "use", {}, "once"))
    desk.provider.wait(86400)
    again = desk.engine.try_execute(Command("ticket", "t", "use", {}, "once"))
    assert again.replayed
    assert (again.result, again.state) == (used.result, used.state)


def test_another_process_does_what_was_put_off(desk: Desk) -> None:
    desk.begun(until=NOON)
    desk.provider.wait(12 * 3600)
    other = Engine(MACHINES, desk.engine.store, desk.provider, clock=desk.provider.clock)
    assert {each.command for each in other.run_due()} == {"remind", "lapse"}
    assert desk.state() == "gone"


def test_somebody_who_changes_the_time_of_a_decision_is_found(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    desk = Desk(SqliteStore(str(path)))
    desk.begun(until=NOON)
    desk.give("use")
    with sqlite3.connect(path) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(
            "UPDATE entry SET args = replace(args, '2026-01-01T00:00', '2026-01-01T00:01') WHERE key = 'k3'"
        )
    codes = {each.code for each in verify(desk.engine.machines, desk.engine.store).findings}
    assert {"hash", "time"} <= codes
