"""An SVG can be read by anybody: well formed, nothing on top of anything, the same every time, in grey and in the dark."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tallystick import diagram
from tallystick.books.views import Card, Payment
from tallystick.definition import reader
from tallystick.definition.machine import Machine
from tallystick.diagram import Life, LifeStep, May, Overlay, Standing, Traffic
from tallystick.diagram.formats.statechart import OURS, SCXML
from tallystick.errors import Invalid
from tallystick.money import Money

PACKAGED = reader.load(reader.packaged_folder())
SVG = "{http://www.w3.org/2000/svg}"


def overlay_of_payments() -> Overlay:
    """Figures as a store would give them; made up."""
    return Overlay(
        states={
            "authorized": Standing(26, {"held": (Money(137255, "BRL"),)}),
            "closed": Standing(456, {"redeemed": (Money(1551438, "BRL"),)}),
        },
        edges={
            ("requested", "authorize", "authorized"): Traffic(482, (Money(3705850, "BRL"),)),
            ("authorized", "settle_all", "closed"): Traffic(456, (Money(1551438, "BRL"),)),
        },
        as_of="2026-03-01 12:00 UTC",
        verified="verified",
    )


def life_of_a_payment() -> Life:
    """A payment and its card, as a store would give them; made up."""

    def at(minute: int) -> datetime:
        return datetime(2026, 3, 1, 9, minute, tzinfo=UTC)

    def on(held: int, redeemed: int, in_doubt: int = 0) -> dict[str, Money]:
        amounts = {"held": held, "uncovered": 0, "redeemed": redeemed, "in_doubt": in_doubt}
        return {name: Money(amount, "BRL") for name, amount in amounts.items()}

    steps = (
        LifeStep(at(0), "create", None, None, "requested", accounts=on(0, 0)),
        LifeStep(at(1), "authorize", "authorize", "requested", "requested", "asked", on(0, 0, 5000)),
        LifeStep(at(2), "authorize", "authorize", "requested", "authorized", "confirmed", on(5000, 0)),
    )
    card = (
        LifeStep(at(1), "hold", "hold", "issued", "issued", "asked", cause="payment o-1/1", asks="hold"),
        LifeStep(at(2), "hold", "hold", "issued", "issued", "confirmed", cause="payment o-1/1", asks="hold"),
    )
    may = (May("settle", True), May("refund", False, "Nothing has shipped yet; cancel gives the hold back."))
    others = (Life("gift_card", "•••• 1234", "issued", card),)
    return Life("payment", "o-1/1", "authorized", steps, may, "2026-03-02 10:00 UTC", others)


def said(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", list(PACKAGED))
def test_an_svg_has_every_state_and_is_the_same_every_time(name: str) -> None:
    svg = diagram.draw(PACKAGED[name])
    assert isinstance(svg, str)

    drawn = {each.get("data-state") for each in ElementTree.fromstring(svg).iter(f"{SVG}g")} - {None}

    assert drawn == set(PACKAGED[name].states)
    assert diagram.draw(reader.load(reader.packaged_folder())[name]) == svg


def test_an_overlay_says_how_many_how_much_and_as_of_when() -> None:
    svg = diagram.draw(PACKAGED["payment"], overlay=overlay_of_payments())
    assert isinstance(svg, str)

    assert {"456", "held 1,372.55", "482 · 37,058.50"} <= set(said(svg))
    assert "as of 2026-03-01 12:00 UTC, verified; amounts in BRL" in said(svg)


def looks_of(svg: str) -> dict[str, str]:
    """(source, transition, target) of each drawn wire → how it looks."""
    wires = [each for each in ElementTree.fromstring(svg).iter(f"{SVG}g") if each.get("class") == "ts-edge"]
    return {
        step: next(path.get("class", "") for path in wire.iter(f"{SVG}path") if "ts-wire" in path.get("class", ""))
        for wire in wires
        for step in (wire.get("data-steps") or "").split()
    }


def test_only_what_was_taken_looks_taken() -> None:
    lived = diagram.draw(PACKAGED["payment"], life=life_of_a_payment())
    counted = diagram.draw(PACKAGED["payment"], overlay=overlay_of_payments())
    assert isinstance(lived, str)
    assert isinstance(counted, str)

    assert {step for step, look in looks_of(lived).items() if "ts-usual" in look} == {"requested/authorize/authorized"}
    went = {tuple(step.split("/")[::2]) for step, look in looks_of(counted).items()
            if "ts-never" not in look}  # fmt: skip
    assert went == {("requested", "authorized"), ("authorized", "closed")}


def test_a_life_says_what_stood_where_what_may_come_next_and_who_told_whom() -> None:
    svg = diagram.draw(PACKAGED["payment"], life=life_of_a_payment())
    assert isinstance(svg, str)
    texts = said(svg)

    assert svg.count('fill="url(#ts-hatched)"') == texts.count("?") == 1  # the entry that was not answered
    assert {"payment o-1/1: authorized", "held 50.00", "as of 2026-03-02 10:00 UTC", "settle"} <= set(texts)
    assert "refund: Nothing has shipped yet; cancel gives the hold back." in texts
    assert {"caller", "payment o-1/1", "gift card •••• 1234", "provider"} <= set(texts)


def test_figures_of_all_and_of_one_do_not_go_into_one_picture() -> None:
    with pytest.raises(Invalid, match="and not both"):
        diagram.draw(PACKAGED["payment"], life=life_of_a_payment(), overlay=overlay_of_payments())


# The neighbourhood of a state


@pytest.mark.parametrize(("name", "state"), [(name, state) for name in PACKAGED for state in PACKAGED[name].states])
def test_a_neighbourhood_has_a_card_for_each_transition_that_leaves(name: str, state: str) -> None:
    svg = diagram.draw(PACKAGED[name], level="neighbourhood", state=state)
    assert isinstance(svg, str)
    drawn = {each.get("data-state") or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}g")}
    leaving = [each for each in PACKAGED[name].transitions.values() if state in each.sources and each.target]

    cards = {each.removeprefix("· ") for each in drawn if each.startswith("· ")}

    assert cards == {each.name for each in leaving if each.target != state}
    assert {each.target for each in leaving} <= drawn | {state}


def test_a_card_says_the_guard_and_what_moves() -> None:
    texts = said(str(diagram.draw(PACKAGED["fulfilment"], level="neighbourhood", state="activated")))

    assert "drives card.issue(amount)" in texts


def test_a_level_needs_what_belongs_to_it() -> None:
    machine = PACKAGED["payment"]
    with pytest.raises(Invalid, match=r"no state 'close'\. Did you mean 'closed'"):
        diagram.draw(machine, level="neighbourhood", state="close")
    with pytest.raises(Invalid, match="together"):
        diagram.draw(machine, level="neighbourhood")
    with pytest.raises(Invalid, match="as markdown"):
        diagram.draw(machine, level="table")
    with pytest.raises(Invalid, match="in the brief picture"):
        diagram.draw(machine, level="neighbourhood", state="closed", overlay=overlay_of_payments())


# Two versions


def next_version(**changes: tuple[str, str]) -> Machine:
    pages = {each.name: each.read_text(encoding="utf-8") for each in reader.packaged_folder().glob("*.yaml")}
    text = pages["payment.yaml"].replace("version: 2", "version: 3")
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    return reader.read({**pages, "payment.yaml": text})["payment"]


def test_a_change_says_what_is_added_removed_and_changed_and_how_many_are_concerned() -> None:
    new = next_version(
        settle=("    when: 0 < amount == held and uncovered == 0 and not last\n", "    when: 0 < amount == held\n"),
        expired=("  reversed: {final", "  expired: {final: true, says: Too late.}\n  reversed: {final"),
        expire=("  void:  ", "  expire:\n    from: authorized\n    to: expired\n    drive: card.release_hold(amount=held)\n"
                "    move: {held -> card: held}\n  void:  "),
        command=("commands:\n  authorize", "commands:\n  expire: {}\n  authorize"),
    )  # fmt: skip
    svg = diagram.draw_change(PACKAGED["payment"], new, overlay=overlay_of_payments())
    assert isinstance(svg, str)
    looks = looks_of(svg)

    assert "ts-added" in looks["authorized/expire/expired"]
    assert "ts-changed" in looks["authorized/settle_all/closed"]
    assert "ts-" not in looks["authorized/cancel/reversed"].replace("ts-wire", "")
    assert {"+ expired", "+ expire", "≠ settle"} <= set(said(svg))
    assert "26 stand where something changes, with held 1,372.55 BRL; as of 2026-03-01 12:00 UTC, verified" in said(svg)
    assert "ts-removed" in looks_of(str(diagram.draw_change(new, PACKAGED["payment"])))["authorized/expire/expired"]


def test_a_change_is_one_of_two_versions() -> None:
    with pytest.raises(Invalid, match="two machines"):
        diagram.draw_change(PACKAGED["payment"], PACKAGED["gift_card"])


# Several machines, and charts of others


def test_several_machines_are_drawn_with_the_commands_that_they_give() -> None:
    machines = [PACKAGED[name] for name in ("tender", "payment", "gift_card")]
    svg = str(diagram.draw(machines))
    tips = [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}title")]

    assert {"tender", "payment", "gift card", "allocate, 11 more"} <= set(said(svg))
    assert any("hold: from authorize, hold again" in tip for tip in tips)  # payment gives gift_card
    assert any("settle: from settle" in tip for tip in tips)  # tender queues for each payment
    with pytest.raises(Invalid, match="several machines"):
        diagram.draw(machines, format="scxml")


STATE_WORDS = {"id", f"{{{OURS}}}says", f"{{{OURS}}}usual", f"{{{OURS}}}end"}
TRANSITION_WORDS = {"event", "target", f"{{{OURS}}}name", f"{{{OURS}}}says", f"{{{OURS}}}asks"}


@pytest.mark.parametrize("name", list(PACKAGED))
def test_scxml_has_what_the_standard_allows(name: str) -> None:
    """The rules of the W3C's schema that concern what is written: elements, attributes, targets; finals are left by none.

    All five were validated with the schema itself, too, which is not kept here.
    """
    machine = PACKAGED[name]
    root = ElementTree.fromstring(str(diagram.draw(machine, format="scxml")))
    states = list(root)

    assert root.tag == f"{{{SCXML}}}scxml"
    assert root.get("version") == "1.0"
    assert root.get("initial") == machine.start
    assert [each.get("id") for each in states] == list(machine.states)
    assert {each.tag.removeprefix(f"{{{SCXML}}}") for each in states} <= {"state", "final"}
    for state in states:
        assert set(state.keys()) <= STATE_WORDS
        assert state.tag.endswith("state") or not list(state)
        for each in state:
            assert each.tag == f"{{{SCXML}}}transition"
            assert set(each.keys()) <= TRANSITION_WORDS
            assert each.get("target", machine.start) in machine.states
    told = {(state.get("id"), each.get(f"{{{OURS}}}name")) for state in states for each in state}
    assert told == {(source, each.name) for each in machine.transitions.values() for source in each.sources}


@pytest.mark.parametrize("name", list(PACKAGED))
def test_xstate_is_json_with_every_transition(name: str) -> None:
    machine = PACKAGED[name]
    chart = json.loads(str(diagram.draw(machine, format="xstate")))

    assert chart["initial"] == machine.start
    assert list(chart["states"]) == list(machine.states)
    for state, body in chart["states"].items():
        assert (body.get("type") == "final") == ("on" not in body)
        answered = {command for (where, command), rows in machine.table.items() if where == state and rows}
        assert {event for event in body.get("on", {}) if not event.startswith("declined.")} == answered
        targets = {way["target"] for ways in body.get("on", {}).values() for way in ways if "target" in way}
        assert targets <= set(machine.states) - {state}


LOAD = """
import { createActor, createMachine } from "xstate";
import { readFileSync } from "node:fs";
const chart = JSON.parse(readFileSync("payment.json"));
const guards = {};
for (const state of Object.values(chart.states))
  for (const way of Object.values(state.on ?? {}).flat()) if (way.guard) guards[way.guard] = () => true;
const actor = createActor(createMachine(chart).provide({ guards, actions: { move: () => {} } })).start();
actor.send({ type: "authorize" });
actor.send({ type: "cancel" });
console.log(actor.getSnapshot().value);
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_xstate_loads_it(tmp_path: Path) -> None:
    installed = subprocess.run(
        ["npm", "install", "--silent", "xstate@5"], cwd=tmp_path, capture_output=True, timeout=120
    )
    if installed.returncode:
        pytest.skip("xstate cannot be installed: no registry answers")
    (tmp_path / "payment.json").write_text(str(diagram.draw(PACKAGED["payment"], format="xstate")), encoding="utf-8")
    (tmp_path / "load.mjs").write_text(LOAD, encoding="utf-8")

    done = subprocess.run(["node", "load.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert (done.stdout.strip(), done.stderr) == ("reversed", "")


# Notebooks


def test_a_notebook_shows_a_machine_a_card_and_a_payment() -> None:
    machine = PACKAGED["payment"]
    zero, some = Money.zero("BRL"), Money(2550, "BRL")
    payment = Payment("o-1/1", "authorized", "BRL", "o-1", "c-1", some, zero, zero, zero)
    card = Card("c-1", "issued", "BRL", some, zero, zero, "electronic", "gift", number="6006491234567890")

    assert machine._repr_svg_() == diagram.draw(machine)
    assert {"payment o-1/1: authorized", "held 25.50", "where it is"} <= set(said(payment._repr_svg_() or ""))
    assert {"gift card c-1: issued", "available 25.50"} <= set(said(card._repr_svg_() or ""))
    assert "6006491234567890" not in (card._repr_svg_() or "")
    assert Payment("o", "elsewhere", "BRL", "o", "c", some, zero, zero, zero)._repr_svg_() is None
