"""Faults planted in our machines: the model finds each, by the shortest way, and the way can be replayed."""

from __future__ import annotations

import json

import pytest

from core_world import PAGES
from tallystick.check.finding import Finding
from tallystick.check.model import explore as explore_module
from tallystick.check.model import liveness
from tallystick.check.model.explore import explore
from tallystick.cli.commands.json_lines import Summary, run_lines
from tallystick.definition import reader
from tallystick.definition.machine import Machines
from tallystick.engine.engine import Engine
from tallystick.engine.verify import verify
from tallystick.provider.scripted import ScriptedProvider
from tallystick.store.open import open_store

CANCEL = """  cancel:
    from: authorized
    to: reversed
    drive: card.release_hold(amount=held, hold=hold_id)
    move: {held -> card: held}
    set: {hold_id: none}
"""

# page, what stands there, what is put there, the code, what the last line of the story says
PLANTED = [
    pytest.param(
        "payment", CANCEL, CANCEL.replace("    drive: card.release_hold(amount=held, hold=hold_id)\n", ""),
        "TS201", "p1 cancel → reversed: held → card 0.01", id="a hold forgotten on cancel",
    ),
    pytest.param(
        "gift_card", "      held -> spent: amount\n      held -> available: release\n",
        "      held -> available: amount\n      held -> spent: release\n",
        "TS201", "p1 settle amount 0.01 → closed: held → redeemed 0.01; g1 redeem_hold held → available 0.01",
        id="targets swapped", marks=pytest.mark.slow,
    ),
    pytest.param(
        "payment", "    move: {card -> held: amount}\n    set: {hold_id: outcome.reference, until",
        "    move: {card -> uncovered: amount}\n    set: {hold_id: outcome.reference, until",
        "TS201", "p1 authorize amount 0.01 → authorized: card → uncovered 0.01; g1 hold available → held 0.01",
        id="a move to the wrong account", marks=pytest.mark.slow,
    ),
    pytest.param(
        "replacement", "    drive: old.move_in(amount=moving)\n    move: {moving -> old: moving}\n", "",
        "TS207", "r1 cancel is refused", id="the value does not go back when it is called off",
    ),
    pytest.param(
        "replacement", "    from: [emptied, allocated, activated, on_its_way]\n", "    from: [allocated, on_its_way]\n",
        "TS202", "r1 replace amount 0.01", id="no way back for what was taken", marks=pytest.mark.slow,
    ),
    pytest.param(
        "payment", "    when: 0 < amount == held and uncovered == 0 and not last\n",
        "    when: 0 < amount == held and not last\n", "TS206", "p1 settle amount 0.01 is refused", id="guards overlap",
    ),
]  # fmt: skip


def planted(page: str, old: str, new: str) -> Machines:
    text = PAGES[f"{page}.yaml"]
    assert text.count(old) >= 1, f"it does not stand in {page}"
    return reader.read({**PAGES, f"{page}.yaml": text.replace(old, new, 1)})


def replayed(machines: Machines, finding: Finding) -> tuple[Engine, list[dict[str, object]]]:
    engine = Engine(machines, open_store("memory:"), provider := ScriptedProvider(), clock=provider.clock)
    answers = list(run_lines(engine, [json.dumps(line).encode() for line in finding.replay], Summary()))
    return engine, answers


@pytest.mark.parametrize(("page", "old", "new", "code", "last"), PLANTED)
def test_a_planted_fault_is_found_by_the_shortest_way_and_replayed(
    page: str, old: str, new: str, code: str, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines, depth = planted(page, old, new), 1
    if code == "TS206":
        depth = 2
        monkeypatch.setattr(explore_module, "BUDGET", 5_000)  # it is near

    findings, _ = explore(machines, only=[page], depth=depth)

    finding = next(each for each in findings if each.code == code)
    assert last in finding.story[-1]
    engine, answers = replayed(machines, finding)
    assert {answer["result"] for answer in answers} <= {
        "applied",
        "declined",
        "unavailable",
        "in_doubt",
        "performed",
        "refused",
    }
    assert [each for each in verify(machines, engine.store).findings if "is not true" in each.what] or code != "TS201"
    refused = code in ("TS206", "TS207")
    assert (answers[-1]["result"] == "refused") == refused


# Each replacement could be called off as long as the lost card was not retired, and nothing kept that from happening.
OFF_THE_BOOKS = [
    ("move: {available -> leaving: amount}", "move: {available -> transferred: amount}"),
    ("    when: 0 < amount <= leaving\n    ask: adjust\n    move: {leaving -> available: amount}",
     "    when: amount > 0\n    ask: adjust\n    move: {transferred -> available: amount}"),
    ("commands: [move_in], when: amount > leaving", "commands: [move_in], when: amount < 0"),
]  # fmt: skip


@pytest.mark.slow
def test_of_two_replacements_one_may_be_stuck() -> None:
    """What our own page once got wrong is found by whoever asks for nothing special, and told of the right one."""
    card, replacement = PAGES["gift_card.yaml"], PAGES["replacement.yaml"]
    for old, new in OFF_THE_BOOKS:
        assert card.count(old) in (1, 2), old  # twice: of a card out of use, and of one in use
        card = card.replace(old, new)
    start, end = card.index("  leaving_to_replacements:"), card.index("  earned_from_card:")
    replacement = replacement.replace(
        "[new.receive(amount=moving), old.arrived(amount=moving)]", "new.receive(amount=moving)"
    )
    machines = reader.read({**PAGES, "gift_card.yaml": card[:start] + card[end:], "replacement.yaml": replacement})

    findings, _ = explore(machines, only=["replacement"])

    stuck = next(each for each in findings if each.code == "TS202")
    id = stuck.message.split()[0]
    assert (
        stuck.message == f"{id} is on_its_way with moving 0.01, and nothing that can still happen takes all of it out"
    )
    assert len(stuck.story) <= 8
    assert any(line.startswith(f"{id} move amount 0.01 like gift → on_its_way") for line in stuck.story)
    assert any("g1 retire → replaced" in line for line in stuck.story)
    assert "g2 take_back" in stuck.story[-1]
    engine, _ = replayed(machines, stuck)
    with engine.store.reading() as reading:
        left = reading.entity("replacement", id)
    assert left is not None
    assert (left.state, left.accounts["moving"]) == ("on_its_way", 1)


POT = """machine: pot
version: 1
summary: It pays out while less or more is left in it than was earned.
accounts: {left: Not earned yet., earned: To be paid out.}
outside: {world: Elsewhere.}
states: {open: {start: true, says: Open.}, over: {final: true, says: Over.}}
commands: {put: {amount: money}, earn: {amount: money}, pay: {amount: money}, close: {}}
transitions:
  put: {from: open, when: amount > 0, move: {world -> left: amount}}
  earn: {from: open, when: 0 < amount < left, move: {left -> earned: amount}}
  pay: {from: open, when: 0 < amount <= earned and left != earned, move: {earned -> world: amount}}
  close: {from: open, to: over, when: earned == 0, move: {left -> world: left}}
refuse:
  - {in: [open], commands: [put], when: amount <= 0, says: More than nothing.}
  - {in: [open], commands: [earn], when: amount <= 0 or amount >= left, says: Less than is left.}
  - {in: [open], commands: [pay], when: amount <= 0 or amount > earned or left == earned, says: As much is left.}
  - {in: [open], commands: [close], when: earned > 0, says: Pay first.}
  - {in: [over], commands: [put, earn, pay, close], says: It is over.}
"""


def test_what_seems_stuck_and_is_not_decided_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where as much is left as was earned, only more money leads on: further than is looked at, if that is little."""
    machines = reader.read({"pot.yaml": POT})
    assert explore(machines)[0] == []
    for module in (explore_module, liveness):
        monkeypatch.setattr(module, "STATES_WITH_MORE", 5)
    stuck, unended = explore(machines)[0]
    assert (stuck.code, stuck.decided, unended.code, unended.decided) == ("TS202", False, "TS203", False)
    assert stuck.message.startswith("p1 is open with left 0.01, earned 0.01, and nothing found in 5 states with more")
    assert len(stuck.story) == 2
