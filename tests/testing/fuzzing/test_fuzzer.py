"""The fuzz kit on our own machines, and on a page with faults planted in it: each has to be found, and short."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tallystick.cli.main import main
from tallystick.definition import reader
from tallystick.definition.machine import Machines
from tallystick.testing.fuzzing.fuzzer import fuzz, write
from tallystick.testing.fuzzing.shrink import replay
from tallystick.testing.fuzzing.state_machine import state_machine
from tallystick.testing.fuzzing.world import World, sentences

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "examples/own_machine/machines/travel_voucher.yaml"
PACKAGED = reader.load(reader.packaged_folder())
VOUCHER = PAGE.read_text(encoding="utf-8")


def page(*changes: str) -> Machines:
    """The voucher's page with `old` → `new`, …"""
    text = VOUCHER
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text
        text = text.replace(old, new, 1)
    return reader.read({"travel_voucher.yaml": text})


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("payment", 15),
        pytest.param("gift_card", 20, marks=pytest.mark.slow),
        pytest.param("fulfilment", 12, marks=pytest.mark.slow),
        ("replacement", 7),
    ],
)
def test_nothing_goes_wrong_in_our_machines(name: str, wanted: int) -> None:
    report = fuzz(PACKAGED, name, examples=30, seed=1)
    told = report.plain(PACKAGED)
    assert report.found is None, told["found"]
    assert told["machines"][name]["transitions"]["reached"] >= wanted


def test_the_same_seed_tells_the_same_stories() -> None:
    first, second, other = (fuzz(page(), "travel_voucher", examples=10, seed=seed) for seed in (5, 5, 6))
    assert first.coverage == second.coverage
    assert first.coverage != other.coverage


TELL = """
import json, sys
from tallystick.definition import reader
from tallystick.testing.fuzzing.fuzzer import fuzz
report = fuzz(reader.read({"travel_voucher.yaml": sys.stdin.read()}), "travel_voucher", examples=25)
print(json.dumps([report.found and report.found.lines, sorted(report.coverage.transitions.items())]))
"""
CONSTANTS = "NUMBERS = [" + ", ".join(str(number * 7919) for number in range(100, 900)) + "]"


@pytest.mark.parametrize("fault", ["", "an invariant that does not hold"])
def test_a_seed_tells_the_same_stories_whatever_else_is_imported(fault: str, tmp_path: Path) -> None:
    """Hypothesis would mix these numbers into what it draws, and with them every story changes."""
    (tmp_path / "numbers_of_mine.py").write_text(CONSTANTS, encoding="utf-8")
    text = VOUCHER.replace(*FAULTS[fault][:2]) if fault else VOUCHER
    told = [
        subprocess.run(
            [sys.executable, "-c", code], input=text, capture_output=True, text=True, check=True, cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": hashes},
        ).stdout
        for code, hashes in ((TELL, "1"), (f"import hypothesis, numbers_of_mine\n{TELL}", "2"))
    ]  # fmt: skip
    assert told[0] == told[1]
    found, taken = json.loads(told[0])
    assert bool(found) == bool(fault)
    assert found or len(taken) > 10


def test_every_transition_of_a_small_machine_is_reached_and_most_replies() -> None:
    machines = page()
    report = fuzz(machines, "travel_voucher", examples=60)
    told = report.plain(machines)["machines"]["travel_voucher"]
    assert report.found is None
    assert told["transitions"]["missing"] == []
    assert told["states"]["missing"] == []
    assert told["replies"]["reached"] >= 30


FAULTS = {
    "two guards are true at one amount": (
        "when: amount == booked and open == 0", "when: amount == booked and open >= 0", "refusal:ambiguous"
    ),
    "a final state that keeps value": ("move: {open -> lapsed: open}", "move: {open -> lapsed: 0}", "refusal:not_empty"),
    "an amount taken from the wrong account": (
        "    move: {booked -> open: booked}", "    move: {open -> lapsed: booked}", "provider"
    ),
    "an invariant that does not hold": (
        "paid_out + granted <= 0", "paid_out + granted < 0", "invariant:flown_was_granted"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_its_story_is_short(fault: str, tmp_path: Path) -> None:
    old, new, code = FAULTS[fault]
    machines = page(old, new)
    found = fuzz(machines, "travel_voucher", examples=60).found
    assert found is not None
    assert found.code.startswith(code)
    assert len(found.lines) <= 6, sentences(found.lines)
    again = replay(machines, found.lines)
    assert again is not None
    assert again.code == found.code
    write(found.lines, tmp_path / "found.jsonl")
    (tmp_path / "travel_voucher.yaml").write_text(VOUCHER.replace(old, new, 1), encoding="utf-8")
    told = ["run", str(tmp_path / "found.jsonl"), "--store", "memory:", "--provider", "scripted"]
    done = CliRunner().invoke(main, [*told, "--machines", str(tmp_path)])
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(found.lines)
    assert all(answer["result"] != "invalid" for answer in answers), answers


ASKED = {
    "asked for twice as much": ("ask: issue\n    move: {granted -> open: amount}\n  add",
                                "ask: issue(amount=amount + amount)\n    move: {granted -> open: amount}\n  add"),
    "asked to redeem, where it is held": ("    ask: hold\n", "    ask: redeem\n"),
    "not asked to release the rest": ("release=booked - amount", "release=0"),
    "not asked to release at all": ("    ask: release_hold(amount=booked, hold=hold_id)\n", ""),
    "not asked to take it back": ("    ask: adjust(amount=-open)\n", ""),
    "asked to add, where it is taken": ("adjust(amount=-open)", "adjust(amount=open)"),
}  # fmt: skip


@pytest.mark.parametrize("fault", ASKED)
def test_what_the_provider_is_told_is_what_is_posted(fault: str) -> None:
    machines = page(*ASKED[fault])
    found = fuzz(machines, "travel_voucher", examples=30).found
    assert found is not None
    assert found.code == "provider", found
    assert len(found.lines) <= 6, sentences(found.lines)


OTHERS = """
machine: pass
version: 1
summary: A pass with points that are ours alone, and value that others may put on it or let run out.
facts: {number: text}
accounts: {left: On it., aside: Held., points: Ours.}
outside: {sold: In., shop: Ours., seen: Others., used: Gone.}
states: {on: {start: true, says: In use.}}
commands: {sell: {amount: money}, earn: {amount: money}, turn: {}, see: {amount: money}, lose: {}, put: {amount: money}, gone: {}}
signed: [gone]
transitions:
  sell: {from: on, when: amount > 0, ask: issue, move: {sold -> left: amount}}
  earn: {from: on, when: amount > 0, move: {shop -> points: amount}}
  turn: {from: on, when: points > 0, ask: issue(amount=points), move: {points -> left: points}}
  put: {from: on, when: 0 < amount <= left, ask: hold, move: {left -> aside: amount}}
  gone: {from: on, when: aside > 0, move: {aside -> left: aside}}
  see: {from: on, when: amount > left, move: {seen -> left: amount - left}}
  lose: {from: on, when: left > 0, move: {left -> seen: left}}
refuse:
  - {says: It is of an amount above nothing., in: [on], commands: [sell, earn], when: amount <= 0}
  - {says: It has none., in: [on], commands: [turn], when: points == 0}
  - {says: It has less., in: [on], commands: [put], when: amount <= 0 or amount > left}
  - {says: Nothing is held., in: [on], commands: [gone], when: aside == 0}
  - {says: It carries more., in: [on], commands: [see], when: amount <= left}
  - {says: It carries none., in: [on], commands: [lose], when: left == 0}
"""


ESCROW = """
machine: escrow
version: 1
summary: What a buyer pays is kept until the goods have arrived; his card stands outside.
facts: {buyer: text}
accounts: {kept: Of the buyer., aside: Held on his card.}
outside: {card: The buyer's., seller: Who sold it.}
states: {on: {start: true, says: In use.}}
commands: {pay: {amount: money}, hold: {amount: money}, take: {}, accept: {}}
transitions:
  pay: {from: on, when: amount > 0, ask: redeem, move: {card -> kept: amount}}
  hold: {from: on, when: amount > 0, ask: hold, move: {card -> aside: amount}}
  take: {from: on, when: aside > 0, ask: "redeem_hold(amount=aside, release=0)", move: {aside -> kept: aside}}
  accept: {from: on, when: kept > 0, move: {kept -> seller: kept}}
refuse:
  - {says: It is of an amount above nothing., in: [on], commands: [pay, hold], when: amount <= 0}
  - {says: Nothing is held., in: [on], commands: [take], when: aside == 0}
  - {says: Nothing was paid., in: [on], commands: [accept], when: kept == 0}
"""


def test_the_card_may_stand_outside() -> None:
    machines = reader.read({"escrow.yaml": ESCROW})
    report = fuzz(machines, "escrow", examples=20)
    assert report.found is None, report.found
    assert report.plain(machines)["machines"]["escrow"]["transitions"]["missing"] == []
    assert fuzz(reader.read({"escrow.yaml": ESCROW.replace("ask: redeem,", "ask: hold,")}), "escrow").found is not None


def test_what_is_ours_alone_or_seen_of_others_needs_no_asking() -> None:
    machines = reader.read({"pass.yaml": OTHERS})
    report = fuzz(machines, "pass", examples=30)
    assert report.found is None, report.found
    assert report.plain(machines)["machines"]["pass"]["transitions"]["missing"] == []


def never_much(world: World) -> bool:
    return all(each.accounts["open"] < 5000 for each in world.entities("travel_voucher"))


def test_an_invariant_of_the_user_is_a_function() -> None:
    found = fuzz(page(), "travel_voucher", examples=40, invariants=[never_much]).found
    assert found is not None
    assert found.code == "invariant:never_much"
    assert len(found.lines) <= 3


def test_hypothesis_runs_the_machine_as_a_test_of_its_own() -> None:
    made = state_machine(page(), ["travel_voucher"], invariants=[never_much])
    few = settings(
        max_examples=200, stateful_step_count=20, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    with pytest.raises(AssertionError, match="never_much"):
        run_state_machine_as_test(seed(1)(made), settings=few)


def test_the_command_line_fuzzes_a_file_and_writes_what_it_found(tmp_path: Path) -> None:
    file = tmp_path / "travel_voucher.yaml"
    file.write_text(VOUCHER, encoding="utf-8")
    done = CliRunner().invoke(main, ["fuzz", str(file), "--examples", "5", "--json", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["machines"]["travel_voucher"]["states"]["of"] == 7

    old, new, _ = FAULTS["an invariant that does not hold"]
    file.write_text(VOUCHER.replace(old, new), encoding="utf-8")
    done = CliRunner().invoke(main, ["fuzz", str(file), "--examples", "5", "--out", str(tmp_path)])
    assert done.exit_code == 1, done.output
    assert "invariant:flown_was_granted" in done.stderr
    assert str(tmp_path / "travel_voucher.fuzz.jsonl") in done.stderr
    assert (tmp_path / "travel_voucher.fuzz.jsonl").read_text(encoding="utf-8").count("\n") == 1


SHELF = """
machine: shelf
version: 1
summary: Where tins stand.
facts: {label: text}
states: {there: {start: true, says: It stands.}}
commands: {look: {}}
transitions: {look: {from: there}}
"""
TIN = SHELF.replace("shelf", "tin").replace("label: text", "stands: shelf")


@pytest.mark.parametrize(("beside", "code"), [(SHELF, 0), (SHELF.replace("{look: {}}", "{look: {}, lok: 1}"), 1)])
def test_a_page_is_fuzzed_with_those_beside_it(beside: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "shelf.yaml").write_text(beside, encoding="utf-8")
    (tmp_path / "tin.yaml").write_text(TIN, encoding="utf-8")
    done = CliRunner().invoke(main, ["fuzz", str(tmp_path / "tin.yaml"), "--examples", "2", "--out", str(tmp_path)])
    assert done.exit_code == code, done.output


def test_a_page_that_needs_nothing_is_fuzzed_beside_whatever_stands_there(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {}", encoding="utf-8")
    (tmp_path / "shelf.yaml").write_text(SHELF, encoding="utf-8")
    done = CliRunner().invoke(main, ["fuzz", str(tmp_path / "shelf.yaml"), "--examples", "2", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output


def test_the_command_line_knows_what_is_meant() -> None:
    done = CliRunner().invoke(main, ["fuzz", "paymnt"])
    assert done.exit_code == 1
    assert "Did you mean 'payment'" in done.stderr
