"""Pictures are drawn from the declaration: everything that can happen is in them, and their text is valid."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from tallystick.definition import reader
from tallystick.definition.machine import Machine
from tallystick.diagram import draw
from tallystick.diagram.formats.table import to_table
from tallystick.diagram.model import Arrow, Diagram, diagram_of

PACKAGED = reader.load(reader.packaged_folder())

# A page whose words are everything that DOT, Mermaid and Markdown could trip over.
NASTY = r"""
machine: nasty
version: 1
summary: 'Quotes " and <tags> & back\slashes; # and [brackets] | `ticks` {braces}: 100 %.'
facts: {form: text}
accounts: {pot: 'Some "pot" <here>.'}
outside: {world: Everything.}
states:
  state: {start: true, says: 'A "state" <b>named</b> state; #1: \ yes & no'}
  note: {says: "note; with: all | sorts"}
  end: {says: And an end.}
  end_: {says: Another.}
  direction: {final: true, says: Done.}
commands: {style: {amount: money}, click: {amount: money}, class: {}, default: {}}
transitions:
  style:
    from: state
    to: note
    when: 'amount > 0 and form == "a;b: <e> & #h | `x`"'
    move: {world -> pot: amount}
  click:
    from: [state, note, end]
    when: amount > 0
    move: {world -> pot: amount}
  class: {from: note, to: end}
  default: {from: [end, end_], to: direction, when: pot == 0}
  other: {command: class, from: end, to: end_}
refuse:
  - {says: no, in: [state], commands: [class, default]}
  - {says: no, in: [note], commands: [style, default]}
  - {says: no, in: [end], commands: [style]}
  - {says: no, in: [end_], commands: [style, click, class]}
  - {says: no, in: [direction], commands: [style, click, class, default]}
"""
ALL = {**PACKAGED, "nasty": reader.read({"nasty.yaml": NASTY})["nasty"]}


def text_of(machine: Machine, form: str) -> str:
    picture = draw(machine, format=form)
    assert isinstance(picture, str)
    return picture


@pytest.fixture(params=list(ALL))
def machine(request: pytest.FixtureRequest) -> Machine:
    return ALL[request.param]


def arrow(diagram: Diagram, source: str, target: str, *, declined: bool = False) -> Arrow:
    (found,) = [a for a in diagram.arrows if (a.source, a.target, a.declined) == (source, target, declined)]
    return found


# The model


def test_everything_that_can_happen_is_drawn_and_nothing_else(machine: Machine) -> None:
    diagram = diagram_of(machine)

    drawn = {(a.source, step.name, a.target) for a in diagram.arrows if not a.declined for step in a.steps}
    drawn |= {(node.name, step.name, node.name) for node in diagram.nodes for step in node.stays}

    assert drawn == {(source, t.name, t.target or source) for t in machine.transitions.values() for source in t.sources}


def test_a_declined_call_leads_where_the_page_says() -> None:
    diagram = diagram_of(PACKAGED["payment"])

    declined = [each for each in diagram.arrows if each.declined]

    assert [(each.source, each.target) for each in declined] == [("requested", "declined")]
    assert [step.name for step in declined[0].steps] == ["authorize", "redeem"]


def test_a_step_says_its_money_its_guard_what_it_needs_and_what_follows() -> None:
    (step, *_) = arrow(diagram_of(PACKAGED["payment"]), "authorized", "partially_settled").steps

    assert step.title == "settle · part"
    assert step.money == ("held → redeemed: amount", "held → uncovered: held − amount")
    assert step.conditions == ("amount is more than 0 and less than held", "not last", "not keep_hold")
    (call,) = step.calls
    assert str(call).startswith("drives card.redeem_hold(amount, release = held − amount, hold")
    assert step.follow_ups == ("hold_again(amount = uncovered)",)


def test_a_card_says_that_the_provider_may_confirm_less() -> None:
    issued = {node.name: node for node in diagram_of(PACKAGED["gift_card"]).nodes}["issued"]

    (hold,) = [step for step in issued.stays if step.name == "hold"]

    assert str(hold.calls[0]).startswith("asks hold(amount, pin")
    assert str(hold.calls[0]).endswith("), perhaps less")
    assert hold.driven


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("payment", "requested authorized closed"),
        ("gift_card", "inventory allocated activated issued"),
        ("fulfilment", "released allocated activated fulfilled"),
        ("tender", "requested authorizing active closing giving_back paid"),
        ("replacement", "requested emptied allocated activated following replaced"),
    ],
)
def test_the_usual_way_is_what_the_page_declares(name: str, way: str) -> None:
    diagram = diagram_of(PACKAGED[name])
    states = way.split()

    assert [node.name for node in diagram.nodes if node.usual] == states
    assert {(a.source, a.target) for a in diagram.arrows if a.usual} == set(pairwise(states))


def test_start_and_final_states_are_marked() -> None:
    nodes = diagram_of(PACKAGED["payment"]).nodes

    assert [node.name for node in nodes if node.start] == ["requested"]
    assert [node.name for node in nodes if node.final] == ["closed", "reversed", "declined"]


# DOT


def test_dot_labels_are_well_formed_and_quotes_close(machine: Machine) -> None:
    lines = text_of(machine, "dot").splitlines()
    labels = [found[1] for line in lines if (found := re.search(r"label=<(.*?)>(?:, tooltip=|\];|;$)", line))]

    assert len(labels) >= len(machine.states)
    for label in labels:
        ElementTree.fromstring(f"<label>{label}</label>")  # Graphviz wants XML
    assert all(re.sub(r"label=<.*?>(?=, tooltip=|\];|;$)|\\.", "", line).count('"') % 2 == 0 for line in lines)
    assert lines[0] == f'digraph "{machine.name}" {{'
    assert lines[-1] == "}"


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_draws_it(machine: Machine) -> None:
    text = text_of(machine, "dot")

    done = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, text=True, timeout=30, encoding="utf-8")

    assert (done.returncode, done.stderr) == (0, "")
    titles = set(re.findall(r"<title>(.*?)</title>", done.stdout))
    assert {*machine.states, "·start"} <= titles


def test_dot_shows_money_the_way_and_the_exceptions() -> None:
    lines = text_of(PACKAGED["payment"], "dot").splitlines()
    by_arrow = {line.split("[")[0].strip(): line for line in lines if " -> " in line}
    by_state = {line.split("[")[0].strip(): line for line in lines if "[label=" in line}

    assert "<I>card ▸ held</I>" in by_arrow['"requested" -> "authorized"']
    assert "penwidth=4" in by_arrow['"requested" -> "authorized"']
    assert "style=dashed" in by_arrow['"requested" -> "declined"']
    assert "penwidth" not in by_arrow['"authorized" -> "reversed"']
    assert {name for name, line in by_state.items() if "peripheries=2" in line} == {
        '"closed"',
        '"reversed"',
        '"declined"',
    }
    assert any("asks the provider" in line for line in lines)


# Mermaid

ID = r"[a-z][a-z0-9_]*"
TEXT = r"(?:[^#;:<>\"`{}&\\|\[\]()]|#\d+;|</?[bi]>|<br/>)+"
MERMAID = re.compile(
    rf'---|title: {TEXT}|flowchart LR|  begin\(\(" "\)\):::begin --> {ID}|  subgraph group\d+\["{TEXT}"\]|  end'
    rf'|  {ID}(?:\("{TEXT}"\)|\[\["{TEXT}"\]\]):::\w+|  {ID} <?(?:==>|-->|-\.->)(?:\|"{TEXT}"\|)? {ID}'
    rf'|  legend\["{TEXT}"\]:::legend|  classDef \w+ [\w:#,\- .]+|  linkStyle \d+(?:,\d+)* [\w:#,\- .]+'
)
WORDS = {"end", "class", "click", "default", "style", "direction"}


def test_mermaid_has_only_lines_that_its_grammar_knows(machine: Machine) -> None:
    lines = text_of(machine, "mermaid").splitlines()

    assert [line for line in lines if not MERMAID.fullmatch(line)] == []
    declared = {found[1]: found[2] for line in lines if (found := re.match(rf"  ({ID})[(\[].*:::(\w+)$", line))}
    drawn = {
        name for line in lines if re.match(rf"  {ID} <?[=-]", line) for name in (line.split()[0], line.split()[-1])
    }
    assert (drawn | set(declared)) & WORDS == set()
    assert drawn <= set(declared)
    assert len(set(declared) - {"begin", "legend"}) == len(machine.states)  # each has a class


def test_mermaid_gives_every_state_a_name_of_its_own() -> None:
    text = text_of(ALL["nasty"], "mermaid")

    assert '  end__("<b>end</b>' in text  # end_ is another state
    assert '  end__ -->|"class"| end_\n' in text


def test_mermaid_shows_the_usual_way_and_what_is_declined_by_more_than_colour() -> None:
    lines = text_of(PACKAGED["payment"], "mermaid").splitlines()
    links = [line for line in lines if re.match(rf"  {ID}(?:\(\(.*)? ?<?[=-]", line) or ":::begin -->" in line]
    (usual,) = [line.split()[1] for line in lines if "stroke-width:4px" in line and "linkStyle" in line]

    assert [links[int(number)].split()[0] for number in usual.split(",")] == ["requested", "authorized"]
    assert '  requested -.->|"✕ declined"| declined' in lines
    assert any(line.startswith('  closed[["') for line in lines)  # a double line


# Markdown


def test_the_table_has_a_row_for_every_state_and_transition(machine: Machine) -> None:
    text = to_table(diagram_of(machine))
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]

    states = [row[0].strip() for row in rows if len(row) == 3][2:]
    transitions = [row[-1].strip() for row in rows if len(row) == 8][2:]

    assert states == list(machine.states)
    assert transitions == list(machine.transitions)
    assert len(rows) == len(states) + len(transitions) + 4


def test_the_table_shows_signs_as_they_are() -> None:
    text = to_table(diagram_of(ALL["nasty"]))

    assert r"\<b>named\</b>" in text
    assert r"note; with: all \| sorts" in text


@pytest.mark.parametrize("form", ["svg", "dot", "mermaid", "markdown"])
def test_pictures_come_out_the_same_every_time(machine: Machine, form: str) -> None:
    if machine.name != "nasty":
        again = reader.load(reader.packaged_folder())[machine.name]
        assert text_of(again, form) == text_of(machine, form)
    assert text_of(machine, form) == text_of(machine, form)


@pytest.mark.parametrize("form", ["svg", "dot", "mermaid", "markdown"])
def test_every_format_has_a_title_a_legend_and_every_state(machine: Machine, form: str) -> None:
    text = text_of(machine, form)

    assert f"{machine.name}, version {machine.version}".replace("_", " ") in text.replace("_", " ")
    assert "an end" in text
    assert all(name.replace("_", " ").split()[0] in text for name in machine.states)
