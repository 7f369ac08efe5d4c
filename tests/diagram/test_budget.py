"""Every picture keeps its budget: 1,100 × 500 pixels, 11 points at least, two lines a label, nothing on top of anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import NamedTuple
from xml.etree import ElementTree

import attrs
import pytest

from tallystick import diagram
from tallystick.definition import reader
from tallystick.definition.machine import Machine
from tallystick.diagram import STYLE, Life, May, Overlay, Standing, Traffic
from tallystick.diagram.formats import svg as format_svg
from tallystick.diagram.model import diagram_of
from tallystick.money import Money

PACKAGED = reader.load(reader.packaged_folder())
SVG = "{http://www.w3.org/2000/svg}"
POINT = 4 / 3  # pixels


class Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float
    what: str

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def busy(machine: Machine, minor: int, count: int) -> Overlay:
    """An overlay in which all happened, with long numbers; made up."""
    amounts = (Money(minor, "BRL"),)
    edges = {
        (source, each.name, each.target or source): Traffic(count, amounts if each.moves else ())
        for each in machine.transitions.values()
        for source in each.sources
    }
    states = {node.name: Standing(count, dict.fromkeys(node.holds, amounts)) for node in diagram_of(machine).nodes}
    return Overlay(states, edges, "2026-03-01 12:00 UTC", "verified")


def drawn(
    element: ElementTree.Element, dx: float = 0, dy: float = 0
) -> Iterator[tuple[ElementTree.Element, float, float]]:
    """All elements, with how far their groups are moved."""
    moved = re.fullmatch(r"translate\((\S+) (\S+)\)", element.get("transform", ""))
    if moved:
        dx, dy = dx + float(moved[1]), dy + float(moved[2])
    yield element, dx, dy
    for each in element:
        yield from drawn(each, dx, dy)


def size_of(element: ElementTree.Element) -> float:
    large = {"ts-title", "ts-count"} & set(element.get("class", "").split())
    (size,) = re.findall(rf"\.{'|'.join(large) or 'ts text'} {{[^}}]*?font-size: ([\d.]+)px", STYLE.split("@media")[0])[
        :1
    ]
    return float(size)


def texts_of(root: ElementTree.Element) -> list[Box]:
    found = []
    for element, dx, dy in drawn(root):
        if element.tag == f"{SVG}text":
            x, y, wide = (float(element.get(name, "")) for name in ("x", "y", "textLength"))
            size = size_of(element)
            found.append(Box(x + dx, y + dy - size * 0.72, x + dx + wide, y + dy + size * 0.15, element.text or ""))
    return found


def wires_of(root: ElementTree.Element) -> list[Box]:
    """The straight pieces of all wires."""
    found = []
    for element, dx, dy in drawn(root):
        if element.tag == f"{SVG}path" and "ts-wire" in element.get("class", ""):
            for part in element.get("d", "").split("M")[1:]:
                points = [(float(x) + dx, float(y) + dy) for x, y in re.findall(r"([\d.]+) ([\d.]+)(?=L|Q|$)", part)]
                for (x1, y1), (x2, y2) in pairwise(points):
                    if x1 == x2 or y1 == y2:
                        found.append(Box(min(x1, x2) - 1, min(y1, y2) - 1, max(x1, x2) + 1, max(y1, y2) + 1, part))
    return found


# Minor units and how many: an amount of seven digits, and all that a currency may have
FIGURES = {"brief": None, "millions": (123456789, 98_765), "most": (10**13, 10**9)}


@pytest.mark.parametrize("name", list(PACKAGED))
@pytest.mark.parametrize("figures", ["brief", "millions", pytest.param("most", marks=pytest.mark.slow)])
def test_a_picture_keeps_its_budget(name: str, figures: str) -> None:
    long = FIGURES[figures]
    text = str(diagram.draw(PACKAGED[name], overlay=busy(PACKAGED[name], *long) if long else None))
    root = ElementTree.fromstring(text)
    wide, high = (float(root.get(side, "")) for side in ("width", "height"))
    texts = texts_of(root)

    assert (wide <= 1100, high <= 500) == (True, True), (wide, high)
    assert min(size_of(each) for each in root.iter(f"{SVG}text")) >= 11 * POINT
    assert [each for each in texts if each.left < 0 or each.top < 0 or each.right > wide or each.bottom > high] == []
    assert [(one.what, other.what) for one, other in combinations(texts, 2) if one.meets(other)] == []
    assert [each.what for each in texts for wire in wires_of(root) if each.meets(wire)] == []
    for edge in (each for each in root.iter(f"{SVG}g") if each.get("class") == "ts-edge"):
        lines = {each.get("y") for each in edge.iter(f"{SVG}text")}
        assert 1 <= len(lines) <= 2, [each.text for each in edge.iter(f"{SVG}text")]


@pytest.mark.parametrize("name", list(PACKAGED))
def test_every_edge_is_drawn_and_the_usual_way_is_straight(name: str) -> None:
    machine = PACKAGED[name]
    root = ElementTree.fromstring(str(diagram.draw(machine)))
    edges = [each for each in root.iter(f"{SVG}g") if each.get("class") == "ts-edge"]

    steps = {step for each in edges for step in each.get("data-steps", "").split()}
    usual = [
        path.get("d", "")
        for each in edges
        for path in each.iter(f"{SVG}path")
        if path.get("class") == "ts-wire ts-usual"
    ]

    assert {
        f"{source}/{each.name}/{target}"
        for each in machine.transitions.values()
        for source in each.sources
        for target in (each.target, each.otherwise)
        if target not in (None, source)
    } == steps
    assert len(usual) == len(machine.usual) - 1
    assert len({y for path in usual for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)}) == 1
    assert not any("Q" in path for path in usual)


def longer_replacement() -> Machine:
    """The replacement with what another shop may add to it; made up."""
    machine = PACKAGED["replacement"]
    cancel = next(each for each in machine.transitions.values() if "cancel" in each.commands)
    added = [attrs.evolve(cancel, name=name, commands=(name,), sources=("activated", "following"), target="over")
             for name in ("run_out", "give_up")]  # fmt: skip
    over = machine.states["cancelled"]._replace(name="over", says="Nobody wanted it any more.")
    return attrs.evolve(
        machine,
        states={**machine.states, "over": over},
        transitions={**machine.transitions, **{each.name: each for each in added}},
        commands={**machine.commands, **{each.name: machine.commands["cancel"] for each in added}},
    )


def test_a_page_that_grows_by_some_commands_and_a_state_keeps_the_budget() -> None:
    root = ElementTree.fromstring(str(diagram.draw(longer_replacement())))
    texts = {each.what for each in texts_of(root)}

    assert (float(root.get("width", "")) <= 1100, float(root.get("height", "")) <= 500) == (True, True)
    assert "over" in texts
    assert any(each.startswith("run out") for each in texts)


def test_commands_that_move_other_money_have_a_line_each_and_words_are_explained() -> None:
    """Two ways to an end with two kinds of money, and two with one; made up."""
    page = """
machine: jar
version: 1
summary: A jar of coins.
accounts: {full: What is in it.}
outside: {shelf: Where it stands., hand: Who took it.}
states:
  open: {start: true, says: Nothing is settled.}
  kept: {says: Somebody has it.}
  gone: {final: true, says: It is empty.}
commands: {fill: {amount: money}, eat: {}, lose: {}, drop: {}, give: {}}
transitions:
  fill: {from: open, to: kept, when: amount > 0, move: {shelf -> full: amount}}
  eat: {from: kept, to: gone, move: {full -> hand: full}}
  lose: {from: kept, to: gone, move: {full -> shelf: full}}
  drop: {from: open, to: gone}
  give: {from: open, to: gone}
refuse:
  - {says: no, in: [open], commands: [fill], when: amount <= 0}
  - {says: no, in: [open], commands: [eat, lose]}
  - {says: no, in: [kept], commands: [fill, drop, give]}
  - {says: no, in: [gone], commands: [fill, eat, lose, drop, give]}
"""
    root = ElementTree.fromstring(str(diagram.draw(reader.read({"jar.yaml": page})["jar"])))
    labels = [
        ["".join(each.itertext()) for each in edge.iter(f"{SVG}text")]
        for edge in root.iter(f"{SVG}g") if edge.get("class") == "ts-edge"
    ]  # fmt: skip

    assert ["eat", "full", "hand", "lose", "full", "shelf"] in labels  # and not "eat or lose", with the money of both
    assert ["drop or give"] in labels
    texts = {each.what for each in texts_of(root)}
    assert {"full:", "What is in it.", "shelf:", "Where it stands.", "hand:", "kept:", "Somebody has it."} <= texts


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["_LIGHT", "_DARK"])
def test_texts_and_lines_stand_out_in_grey_in_light_and_in_the_dark(scheme: str) -> None:
    colours: dict[str, str] = getattr(format_svg, scheme)

    for paper in ("paper", "box", "usualbox", "end", "group", "here"):
        for text in ("ink", "quiet", "money", "declined"):
            assert contrast(colours[text], colours[paper]) >= 4.5 or (text, paper) == ("declined", "here"), (
                text,
                paper,
            )
    for line in ("line", "usual", "declined", "never", "added", "removed", "changed"):
        assert contrast(colours[line], colours["paper"]) >= 3, line


@pytest.mark.parametrize("name", list(PACKAGED))
def test_what_has_a_meaning_has_two_signs(name: str) -> None:
    """Without any colour: a declined edge is dashed and says ✕, an end has two lines, a question to the provider ↗."""
    machine = PACKAGED[name]
    root = ElementTree.fromstring(str(diagram.draw(machine)))
    for state in (each for each in root.iter(f"{SVG}g") if each.get("class") == "ts-state"):
        rectangles = list(state.iter(f"{SVG}rect"))
        assert len(rectangles) == 1 + machine.states[state.get("data-state", "")].final
    for edge in (each for each in root.iter(f"{SVG}g") if each.get("class") == "ts-edge"):
        declined = [each for each in edge.iter(f"{SVG}path") if "ts-wire ts-declined" in each.get("class", "")]
        signs = [each for each in edge.iter(f"{SVG}path") if "ts-sign" in each.get("class", "")]
        asks = "asks " in (edge.findtext(f"{SVG}title") or "") or "drives card" in (edge.findtext(f"{SVG}title") or "")
        assert not (declined or asks) or signs or name == "replacement"
    assert "stroke-dasharray: 6 4" in STYLE.split(".ts-wire.ts-declined")[1].split("}")[0]


def test_long_figures_are_rounded_only_where_they_do_not_fit_and_are_exact_in_the_tooltips() -> None:
    payment = PACKAGED["payment"]
    short = str(diagram.draw(payment, overlay=busy(payment, 12345, 678)))
    long = str(diagram.draw(payment, overlay=busy(payment, 123456789, 98_765)))

    texts = [each.what for each in texts_of(ElementTree.fromstring(long))]
    assert "678 · 123.45" in short
    assert "rounded" not in short
    assert any("long figures are rounded, and exact in the tooltips" in each for each in texts)
    assert "held 1.23 M" in texts
    assert "98,765 · 1.23 M" in texts
    assert "held 1,234,567.89 BRL" in long
    assert "98,765 · 1,234,567.89 BRL" in long


def test_a_machine_that_does_not_fit_is_drawn_in_its_groups() -> None:
    """Twenty states in four groups, each of which leads to the next; made up."""
    names = [f"step_{number:02}" for number in range(20)]
    groups = {f"part {'abcd'[at]}": names[5 * at : 5 * at + 5] for at in range(4)}
    page = "\n".join([
        "machine: long", "version: 1", "summary: A long way.",
        f"usual: [{', '.join(names)}]",
        f"groups: {{{', '.join(f'{heading}: [{chr(44).join(states)}]' for heading, states in groups.items())}}}",
        "states:", "  step_00: {start: true, says: First.}",
        *(f"  {name}: {{says: On the way.}}" for name in names[1:-1]), "  step_19: {final: true, says: Last.}",
        "commands: {go_on: {}}", "transitions:",
        *(f"  go_{at}: {{command: go_on, from: {one}, to: {other}}}" for at, (one, other) in enumerate(pairwise(names))),
        "refuse: [{says: It is over., in: [step_19], commands: [go_on]}]",
    ])  # fmt: skip
    long = reader.read({"long.yaml": page})["long"]
    newer = reader.read({"long.yaml": page.replace("step_07: {says: On the way.}", "step_07: {says: Nearly.}")
                         .replace("go_7:", "gone_7:").replace("version: 1", "version: 2")})["long"]  # fmt: skip
    life = Life("long", "1", "step_07", (), (May("go_on", allowed=True),))
    for drawn in (diagram.draw(long), diagram.draw(long, life=life), diagram.draw_change(long, newer),
                  diagram.draw(long, overlay=busy(long, 100, 7))):  # fmt: skip
        root = ElementTree.fromstring(str(drawn))
        texts = {each.what for each in texts_of(root)}
        boxes = [each.get("data-state") for each in root.iter(f"{SVG}g") if each.get("class") == "ts-state"]
        assert boxes == list(groups)
        assert (float(root.get("width", "")) <= 1100, float(root.get("height", "")) <= 500) == (True, True)
        assert texts & {"· step 07", "· step 07 7"}
    assert "long, version 1, in its groups" in {
        each.what for each in texts_of(ElementTree.fromstring(str(diagram.draw(long))))
    }
