"""Pages that read their parts: stories go everywhere, and each mistake is found at the level that is named here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from basket_pages import basket_pages
from core_world import MACHINES
from tallystick.cli.main import main
from tallystick.core import follow_up
from tallystick.core.decide import decide
from tallystick.core.entity import Entity, Request
from tallystick.core.refusal import Refusal
from tallystick.definition.machine import Machines
from tallystick.engine import parts as engine_parts
from tallystick.testing.faults.page_crashes import page_crashes
from tallystick.testing.fuzzing import conformance_walk
from tallystick.testing.fuzzing.fuzzer import fuzz, write
from tallystick.testing.fuzzing.invariants import EntityView
from tallystick.testing.fuzzing.parts import Parts
from tallystick.testing.fuzzing.strategies import arguments
from tallystick.testing.fuzzing.world import sentences

PAGES = basket_pages()


def a_full_basket_has_its_total(view: EntityView) -> None:
    for basket in view.entities("basket"):
        lines = [each for each in view.entities("line") if each.facts["basket"] == basket.id]
        inside = sum(each.accounts["inside"] + each.accounts["used"] for each in lines)
        assert basket.state != "full" or inside >= basket.facts["total"], f"{basket.id} has {inside}"


@pytest.mark.parametrize(
    ("machines", "name"), [(PAGES, "basket"), pytest.param(MACHINES, "tender", marks=pytest.mark.slow)]
)
def test_every_transition_is_reached_and_nothing_goes_wrong(machines: Machines, name: str) -> None:
    missing = {*machines[name].transitions, *machines[name].states}
    for seed in range(3, 9):  # what one seed reaches changes with every page and guard
        report = fuzz(machines, name, examples=200 if name == "tender" else 40, seed=seed)
        told = report.plain(machines)
        assert report.found is None, told["found"]
        there = told["machines"][name]
        missing &= {each.split()[-1] for part in ("transitions", "states") for each in there[part]["missing"]}
        if not missing:
            break
    assert missing == set()


def test_stories_have_several_parts_and_commands_with_shares_that_are_taken() -> None:
    most = 0

    def look(view: EntityView) -> None:
        nonlocal most
        inside = Counter(each.facts["basket"] for each in view.entities("line") if each.accounts["inside"])
        most = max([most, *inside.values()])

    fuzz(PAGES, "basket", examples=12, invariants=[look])
    assert most >= 2


@pytest.mark.slow
def test_the_library_agrees_about_what_is_read() -> None:
    machine = conformance_walk.standing_alone(PAGES["basket"])
    walk = conformance_walk._Walk(machine, conformance_walk.Reference(PAGES["basket"]), Random(0))
    for step in range(900):
        if step % 60 == 0 or machine.states[walk.entity.state].final:
            walk.begin()
        assert walk.step() is None
    assert {transition for _, transition in walk.taken} == set(machine.transitions)


@pytest.mark.slow
def test_processes_are_killed_while_a_basket_lives() -> None:
    report = page_crashes(PAGES, "basket", points=10, seed=1)
    assert report.findings == []
    assert report.figures["transitions fired"] >= 5


# Mistakes of a page

PLANTED: Mapping[str, tuple[tuple[str, ...], str, str]] = {
    "it is full with less than it needs": (
        ("when: line.busy == 0 and line.inside == total", "when: line.busy == 0 and line.inside > 0",
         "line.busy == 0 and line.inside != total", "line.busy == 0 and line.inside == 0"),
        "invariant:a_full_basket_has_its_total", "has",
    ),
    "two follow-ups for one part, of which the last is done first": (
        ("then: each line.take(amount=share)", "then: [each line.take(amount=share), each line.empty()]"),
        "referee", "has empty of line",
    ),
    "it ends before its lines are empty": (
        ("when: line.busy == 0 and line.inside == 0", "when: line.inside == 0",
         "when: line.busy > 0 or line.inside > 0, says", "when: line.inside > 0, says",
         "when: line.busy == 0 and line.inside != total", "when: line.busy == 0 and line.count == 0",
         "line.busy == 0 and line.inside == total", "line.busy == 0 and line.count > 0"),
        "invariant:a_full_basket_has_its_total", "has",
    ),
    "two transitions answer to one reading": (
        ("line.busy == 0 and line.inside != total", "line.busy == 0 and line.inside <= total"),
        "refusal:ambiguous", "filled and spilt",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("mistake", PLANTED)
def test_a_mistake_of_the_page_is_found_and_its_story_runs_again(mistake: str, tmp_path: Path) -> None:
    changes, code, why = PLANTED[mistake]
    machines = basket_pages(*changes)
    # An invariant is asked only where it is the level that is named: lines emptied too early break it as well,
    # and whether it or the referee is first to say so depends on the story
    asked = [a_full_basket_has_its_total] if code.startswith("invariant:") else []
    found = fuzz(machines, "basket", examples=60, invariants=asked).found
    assert found is not None
    assert found.code == code
    assert why in found.why
    assert len(found.lines) <= 11, sentences(found.lines)
    write(found.lines, tmp_path / "found.jsonl")
    for name, machine in machines.items():
        (tmp_path / f"{name}.yaml").write_text(machine.text, encoding="utf-8")
    told = ["run", str(tmp_path / "found.jsonl"), "--store", "memory:", "--provider", "scripted"]
    done = CliRunner().invoke(main, [*told, "--machines", str(tmp_path)])
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers, done.output
    assert all(answer["result"] != "invalid" for answer in answers), answers


# Mistakes of the library


def _busy_is_never_seen(found: Any, name: str) -> Any:
    return 0 if name == "busy" else found


def _one_too_much(found: Any, name: str) -> Any:
    return found + 1 if name == "inside" and found else found


def _one_is_forgotten(found: Any, name: str) -> Any:
    return found[:-1] if name == "each" else found


@pytest.mark.parametrize("mistake", [_busy_is_never_seen, _one_too_much, _one_is_forgotten])
def test_what_is_misread_is_seen_by_the_referee(mistake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    right = engine_parts._value
    monkeypatch.setattr(engine_parts, "_value", lambda work, parts, field: mistake(right(work, parts, field), field))
    found = fuzz(PAGES, "basket", examples=600).found  # it stops at the first
    assert found is not None
    assert found.code == "referee"
    assert "has read line." in found.why


def test_a_share_that_is_given_to_each_part_is_seen_by_the_referee(monkeypatch: pytest.MonkeyPatch) -> None:
    right = follow_up._about

    def doubled(id: str, then: Any, args: Mapping[str, object]) -> Any:
        for part, values in right(id, then, args):
            yield part, {**values, "share": values["share"] + 1} if "share" in values else values

    monkeypatch.setattr(follow_up, "_about", doubled)
    found = fuzz(PAGES, "basket", examples=600).found  # it stops at the first
    assert found is not None
    assert "follow with" in found.why, found


# What is read, and shares


@settings(max_examples=60, deadline=None, database=None)
@given(st.data())
def test_arguments_come_with_what_is_read_of_the_parts(data: st.DataObject) -> None:
    basket = Entity("basket", "b", data.draw(st.sampled_from(["open", "full"])), 1, 1, "BRL", {"total": 7}, {})
    lines = [
        Entity("line", f"l{n}", "held", 1, 1, "BRL", {"basket": "b" if n < 3 else "x", "number": None},
               {"inside": n + 1, "used": 0, "in_doubt": 0})
        for n in range(5)
    ]  # fmt: skip
    world = {each.ref: each for each in [basket, *lines]}
    args = data.draw(arguments(PAGES, basket, "fill" if basket.state == "open" else "pour", world))
    portions: Any = args["portions"]
    assert args["portions.total"] == sum(amount for _, amount in portions)
    assert {id for id, _ in portions} <= {"l0", "l1", "l2"}
    if basket.state == "full":
        assert (args["line.inside"], args["line.busy"]) == (6, 0)
    ended = decide(PAGES, Request("basket", "b", "fill" if basket.state == "open" else "pour", args), world)
    assert isinstance(ended, Refusal) == (args["portions.total"] != 7 if basket.state == "open" else
                                          not args["amount"] == args["portions.total"] <= 6)  # fmt: skip
    read = Parts(PAGES, world, {("line", "l1"), ("line", "l4")}).read(basket, PAGES["basket"].commands["discard"])
    assert read["line.busy"] == 1
    assert read["line.each"] == ("l0", "l1", "l2")
