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
from tallystick.diagram.dot import to_dot
from tallystick.diagram.mermaid import to_mermaid
from tallystick.diagram.model import Arrow, Diagram, diagram_of
from tallystick.diagram.table import to_table

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
    for text in (to_dot(diagram_of(machine)), to_dot(diagram_of(machine), loops=True)):
        lines = text.splitlines()
        labels = [found[1] for line in lines if (found := re.search(r"label=<(.*)>(?:[,\];]|$)", line))]

        assert len(labels) >= len(machine.states) + len(machine.transitions) // 4
        for label in labels:
            ElementTree.fromstring(f"<label>{label}</label>")  # Graphviz wants XML
        assert all(re.sub(r"<.*>", "", line).count('"') % 2 == 0 for line in lines)
        assert lines[0] == f'digraph "{machine.name}" {{'
        assert lines[-1] == "}"


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize("loops", [False, True])
def test_graphviz_draws_it(machine: Machine, loops: bool) -> None:
    text = to_dot(diagram_of(machine), loops=loops)

    done = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, text=True, timeout=30, encoding="utf-8")

    assert (done.returncode, done.stderr) == (0, "")
    titles = set(re.findall(r"<title>(.*?)</title>", done.stdout))
    assert {*machine.states, "·start"} <= titles


def test_dot_shows_money_the_way_and_the_exceptions() -> None:
    text = to_dot(diagram_of(PACKAGED["payment"]))
    by_arrow = {line.split("[")[0].strip(): line for line in text.splitlines() if " -> " in line}

    assert "card → held: amount" in by_arrow['"requested" -> "authorized"']
    assert "penwidth=2.2" in by_arrow['"requested" -> "authorized"']
    assert "style=dashed" in by_arrow['"requested" -> "declined"']
    assert "penwidth" not in by_arrow['"authorized" -> "reversed"']
    assert '"closed" -> "closed"' not in by_arrow
    assert '"closed" -> "closed"' in to_dot(diagram_of(PACKAGED["payment"]), loops=True)


# Mermaid

ID = r"[a-z][a-z0-9_]*"
TEXT = r"(?:[^#;:<>\"`{}&\\]|#\d+;|<br/>)+"
MERMAID = re.compile(
    rf"stateDiagram-v2|  direction LR|  {ID}|  \[\*\] --> {ID}|  {ID} --> \[\*\]|  {ID} --> {ID} : {TEXT}"
    rf'|  state "{TEXT}" as {ID}|  {ID} : {TEXT}|  classDef \w+ [\w:#,\- ]+|  class {ID}(?:,{ID})* \w+'
)
WORDS = {"state", "note", "end", "direction", "class", "default", "click", "style", "scale"}


@pytest.mark.parametrize("guards", [False, True])
@pytest.mark.parametrize("loops", [False, True])
def test_mermaid_has_only_lines_that_its_grammar_knows(machine: Machine, guards: bool, loops: bool) -> None:
    lines = to_mermaid(diagram_of(machine), guards=guards, loops=loops).splitlines()

    assert [line for line in lines if not MERMAID.fullmatch(line)] == []
    arrows = [line.split(" : ")[0].split() for line in lines if " --> " in line]
    names = {name for source, _, target in arrows for name in (source, target)}
    assert names & WORDS == set()
    declared = {line.split()[-1] if line.startswith("  state ") else line.strip() for line in lines}
    assert names - {"[*]"} <= declared


def test_mermaid_gives_every_state_a_name_of_its_own() -> None:
    text = to_mermaid(diagram_of(ALL["nasty"]))

    assert '  state "end" as end__\n' in text  # end_ is another state
    assert "  end__ --> end_ : class (other)\n" in text


def test_mermaid_writes_a_transition_out_once() -> None:
    text = to_mermaid(diagram_of(PACKAGED["payment"]))

    assert text.count("held → uncovered#58; held − amount<br/>then hold_again") == 1
    assert "  advanced_hold --> closed : settle · all<br/>settle · last<br/>cancel or close (cancel_rest)\n" in text
    assert "  requested --> declined : authorize or redeem declined\n" in text
    assert "  closed : refund – redeemed → card#58; amount\n" in text


def test_mermaid_has_guards_on_request() -> None:
    diagram = diagram_of(PACKAGED["payment"])

    assert "[amount is more than 0]" not in to_mermaid(diagram)
    assert "[amount is more than 0]" in to_mermaid(diagram, guards=True)


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


def test_pictures_come_out_the_same_every_time() -> None:
    for name, machine in PACKAGED.items():
        again = reader.load(reader.packaged_folder())[name]
        for emit in (to_dot, to_mermaid, to_table):
            assert emit(diagram_of(machine)) == emit(diagram_of(again))
