"""Rehearsals: lines that say what the provider replies, and deeds between commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tallystick.cli.commands.json_lines import Summary, run_lines
from tallystick.cli.main import main
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.provider.local import LocalProvider
from tallystick.provider.scripted import Reply, ScriptedProvider
from tallystick.store.open import open_store

MACHINES = reader.load(reader.packaged_folder())
Answers = list[dict[str, Any]]
COUNT = iter(range(10**6))


def line(machine: str, id: str, command: str, /, provider: object = None, key: str = "", **args: object) -> bytes:
    told = {"provider": provider} if provider is not None else {}
    named = key or f"k{next(COUNT)}"
    return json.dumps({"key": named, "machine": machine, "id": id, "command": command, "args": args, **told}).encode()


def deed(name: str, **more: object) -> bytes:
    return json.dumps({"do": name, **more}).encode()


PAID = [
    line("gift_card", "c", "create", form="electronic", currency="BRL"),
    line("gift_card", "c", "recognize", number="6006", balance="50.00"),
    line("payment", "p", "create", order="o1", card="c", currency="BRL"),
]


@pytest.fixture
def engine() -> Engine:
    provider = ScriptedProvider()
    return Engine(MACHINES, open_store("memory:"), provider, clock=provider.clock)


def ran(engine: Engine, *lines: bytes) -> Answers:
    return list(run_lines(engine, [*PAID, *lines], Summary()))[len(PAID) :]


@pytest.mark.parametrize(
    ("reply", "result", "held", "done"),
    [
        ("confirmed", "applied", "30.00", 1),
        ({"confirmed": "3.00"}, "applied", "3.00", 1),
        ("declined", "declined", "0.00", 0),
        ("unavailable", "unavailable", "0.00", 0),
        ("lost_before", "in_doubt", "0.00", 0),
        ("lost_after", "in_doubt", "0.00", 1),
    ],
)
def test_the_provider_replies_as_the_line_says(
    engine: Engine, reply: object, result: str, held: str, done: int
) -> None:
    (answer,) = ran(engine, line("payment", "p", "authorize", reply, amount="30.00", allow_partial=True))
    assert (answer["result"], answer["accounts"]["held"]) == (result, held)
    assert len(engine.provider.done) == done


@pytest.mark.parametrize("reply", ["lost_before", "lost_after", "crash_before", "crash_after"])
def test_what_was_lost_is_found_and_done_once(engine: Engine, reply: str) -> None:
    asked, recovered = ran(engine, line("payment", "p", "authorize", reply, amount="30.00"), deed("recover"))
    assert asked["result"] == "in_doubt"
    assert [(each["state"], each["result"]) for each in recovered["ended"]] == [("authorized", "applied")]
    assert [each.times for each in engine.provider.done.values()] == [1]


@pytest.mark.parametrize(
    ("reply", "result", "state"), [("lost_after", "confirmed", "authorized"), ("lost_before", "declined", "declined")]
)
def test_a_person_decides_what_the_provider_cannot_say(engine: Engine, reply: str, result: str, state: str) -> None:
    hold = line("payment", "p", "authorize", reply, key="hold", amount="30.00")
    *_, looked, decided = ran(
        engine, hold, deed("recover", provider="ambiguous"), deed("resolve", key="hold", result=result)
    )
    assert [each["result"] for each in looked["ended"]] == ["in_doubt"]
    assert decided["ended"][0]["state"] == state


def test_nothing_runs_by_itself(engine: Engine) -> None:
    settle = [line("payment", "p", "authorize", amount="30.00"), line("payment", "p", "settle", amount="10.00")]
    *_, settled, due = ran(engine, *settle, deed("due", provider={"confirmed": "5.00"}))
    assert (settled["state"], settled["accounts"]["uncovered"]) == ("partially_settled", "20.00")
    assert [each["state"] for each in due["ended"]] == ["advanced_hold"]
    with engine.store.reading() as look:
        assert look.entity("payment", "p").accounts["held"] == 500


def test_time_passes_only_when_the_script_says(engine: Engine) -> None:
    settle = [line("payment", "p", "authorize", amount="30.00"), line("payment", "p", "settle", amount="10.00")]
    answers = ran(
        engine, *settle, deed("due", provider="unavailable"), deed("due"), deed("wait", seconds=60), deed("due")
    )
    assert [[each["result"] for each in answer["ended"]] for answer in answers[2:]] == [
        ["unavailable"], [], [], ["applied"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (deed("sleep"), "nothing to do between commands"),
        (deed("wait"), "lacks 'seconds'"),
        (deed("wait", seconds="60"), "'seconds' of wait cannot be"),
        (deed("resolve", key="nobody", result="confirmed"), "no call of 'nobody' is open"),
        (deed("due", more=1), "a field too many, 'more'"),
        (line("payment", "p", "authorize", "perhaps", amount="1.00"), "not a reply of a provider"),
        (line("payment", "p", "authorize", {"declined": "1.00"}, amount="1.00"), "only with confirmed or"),
        (line("payment", "p", "authorize", {"confirmed": 1}, amount="1.00"), "write the amount as a text"),
    ],
)
def test_what_is_no_rehearsal_is_said(engine: Engine, given: bytes, why: str) -> None:
    (answer,) = ran(engine, given)
    assert answer["result"] == "invalid"
    assert why in answer["why"]


@pytest.mark.parametrize(
    "given", [deed("due"), line("payment", "p", "authorize", "confirmed", amount="1.00")], ids=["deed", "reply"]
)
def test_real_books_take_no_part_in_a_rehearsal(given: bytes) -> None:
    engine = Engine(MACHINES, open_store("memory:"), LocalProvider())
    (answer,) = ran(engine, given)
    assert answer["result"] == "invalid"
    assert "never on real books" in answer["why"]
    with engine.store.reading() as look:
        assert look.entity("payment", "p").state == "requested"


def test_a_reply_reads_as_it_is_written() -> None:
    for given in ("declined", {"confirmed": "3.00"}, {"lost_after": "0.01"}):
        assert Reply.read(given).plain("BRL") == given
    assert Reply("confirmed", 300).plain("BRL") == {"confirmed": "3.00"}


def test_the_command_line_rehearses(tmp_path: Path) -> None:
    script = [*PAID, line("payment", "p", "authorize", "lost_after", amount="30.00"), deed("recover")]
    (tmp_path / "story.jsonl").write_bytes(b"\n".join(script))
    told = ["run", str(tmp_path / "story.jsonl"), "--store", "memory:", "--provider", "scripted"]
    done = CliRunner().invoke(main, told)
    assert done.exit_code == 0, done.output
    *_, last = (json.loads(text) for text in done.stdout.splitlines())
    assert (last["result"], last["ended"][0]["state"]) == ("performed", "authorized")


def test_a_follow_up_is_executed_when_the_lines_say_so_due_or_not(engine: Engine) -> None:
    authorized = line("payment", "p", "authorize", amount="30.00")
    settled = line("payment", "p", "settle", key="ship", amount="10.00")
    follow = deed("follow", key="ship>hold_again")

    *_, met_nobody, done, again = ran(
        engine, authorized, settled, deed("follow", key="ship>hold_again", provider="unavailable"), follow, follow
    )

    assert [each["ended"][0]["result"] for each in (met_nobody, done, again)] == ["unavailable", "applied", "applied"]
    assert done["ended"][0]["state"] == "advanced_hold"


def test_a_follow_up_that_was_never_queued_cannot_be_executed(engine: Engine) -> None:
    (answer,) = ran(engine, deed("follow", key="ship>hold_again"))

    assert answer["result"] == "invalid"
    assert "nothing is queued under the key 'ship>hold_again'" in answer["why"]


def test_a_person_confirms_an_allocation_with_the_card_that_was_drawn(engine: Engine) -> None:
    blank = line("gift_card", "e", "create", form="electronic", currency="BRL")
    lost = line("gift_card", "e", "allocate", key="draw", provider="lost_after")

    *_, ended = ran(engine, blank, lost, deed("resolve", key="draw", result="confirmed"))

    assert (ended["ended"][0]["result"], ended["ended"][0]["state"]) == ("applied", "allocated")
