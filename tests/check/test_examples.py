"""Examples: what an author says of a life is lived and compared, and what is not so is told at its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core_world import MACHINES, PAGES
from tallystick.books.open import connected
from tallystick.check import check
from tallystick.check.examples import Life, check_examples
from tallystick.check.finding import Finding
from tallystick.cli.commands.json_lines import Summary, run_lines
from tallystick.definition import reader
from tallystick.definition.behaviour import digest_of
from tallystick.errors import MachineError
from tallystick.provider.scripted import ScriptedProvider
from tallystick.store.memory import MemoryStore

FINDING = Path(__file__).parents[2] / "docs/findings/TS401.md"


def with_examples(page: str, examples: str) -> dict[str, str]:
    """Our pages; one of them with these examples in place of its own."""
    before = PAGES[f"{page}.yaml"].partition("\nexamples:")[0]
    return {**PAGES, f"{page}.yaml": f"{before}\nexamples:\n{examples}"}


def found(page: str, examples: str) -> list[Finding]:
    return check_examples(reader.read(with_examples(page, examples)), [page])[0]


def faults(page: str, examples: str) -> list[str]:
    with pytest.raises(MachineError) as caught:
        reader.read(with_examples(page, examples))
    return [each.message for each in caught.value.faults]


def told(page: str, example: str) -> str:
    """What is found of one example that begins with a sold card."""
    (one,) = found(page, f"  it:\n    {example}\n")
    assert one.code == "TS401"
    return one.message.removeprefix("the example 'it' comes out otherwise: ")


# Our own


@pytest.mark.parametrize("page", list(MACHINES))
def test_our_pages_do_what_their_examples_say(page: str) -> None:
    findings, counted = check_examples(MACHINES, [page])
    assert findings == []
    assert counted["lives"] == len(MACHINES[page].examples) > 0


def test_a_life_can_be_run_again_as_a_rehearsal() -> None:
    life = Life(MACHINES)
    life.live(MACHINES["payment"], MACHINES["payment"].examples["no answer to a hold"])
    engine = connected(MACHINES, MemoryStore(), ScriptedProvider(), pin_policy="optional")
    answers = list(run_lines(engine, [json.dumps(line).encode() for line in life.lines], Summary()))
    assert [each["result"] for each in answers][-2:] == ["in_doubt", "performed"]
    with engine.store.reading() as look, life.engine.store.reading() as ours:
        for machine in ("payment", "gift_card"):
            one, other = list(look.all(machine)), list(ours.all(machine))
            assert [(each.id, each.state, each.accounts) for each in one] == [
                (each.id, each.state, each.accounts) for each in other
            ]


def test_they_change_nothing_that_runs() -> None:
    without = reader.read({name: text.partition("\nexamples:")[0] for name, text in PAGES.items()})
    assert all(not each.examples for each in without.values())
    assert all(digest_of(without[name]) == digest_of(MACHINES[name]) for name in MACHINES)


# What comes out otherwise


def test_what_stands_otherwise_at_the_end() -> None:
    (one,) = found("payment", "  it:\n    given: {card: a sold card}\n    do: [authorize 40.00]\n"
                              "    ends: {state: authorized, held: 30, card.held: 40.00}\n")  # fmt: skip
    assert "at its end held is 40.00, and not 30.00 and card.available is 10.00, and not 0.00" in one.message
    lines = with_examples("payment", "").get("payment.yaml", "").count("\n")
    assert (one.line, one.column) == (lines + 4, 31)
    assert one.story[-1] == "payment authorize 40.00 → authorized: card → held 40.00"
    assert one.replay[-1]["command"] == "authorize"


@pytest.mark.parametrize(
    ("example", "why"),
    [
        ("do: [authorize 40.00]\n    ends: {state: authorized}", "'authorize 40.00' is refused, and not done: "),
        ("do: [{authorize 0.00: declined}]\n    ends: {state: requested}", "is refused, and not declined: "),
        (
            "do: [{cancel: declined}]\n    ends: {state: reversed}",
            "the provider is never asked what 'cancel' has it answer with 'declined'",
        ),
        ("do: [{cancel: refused}]\n    ends: {state: reversed}", "'cancel' is done, and not refused"),
        ("do: [{settle 1.00: Nothing is held.}]\n    ends: {state: requested}", "for another reason: payment"),
        ("do: [cancel]\n    ends: {state: requested}", "at its end state is reversed, and not requested"),
        ("do: [cancel]\n    ends: {state: reversed, hold_id: some}", "at its end hold_id is none, and not some"),
        ("do: [cancel]\n    ends: {state: reversed, card.state: issued}", "card.state is inventory, and not issued"),
        ("do: [tender.cancel]\n    ends: {state: requested}", "payment has no tender"),
    ],
)
def test_what_comes_of_a_step(example: str, why: str) -> None:
    assert why in told("payment", example)


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        (
            "[authorize 40.00, {settle 40.00: [confirmed, declined]}]",
            "is never asked what 'settle 40.00' has it answer",
        ),
        ("[authorize 40.00, {settle 15.00: [confirmed, confirmed 5.00]}, settle 15.00]", "No more than is held"),
    ],
)
def test_what_the_provider_is_asked(steps: str, why: str) -> None:
    assert why in told("payment", f"given: {{card: a sold card}}\n    do: {steps}\n    ends: {{state: closed}}")


def test_what_follows_and_is_refused_is_told() -> None:
    page = with_examples("payment", "  it:\n    given: {card: a sold card}\n    do: [authorize 40.00, settle 15.00]\n"
                                    "    ends: {state: advanced_hold, held: 25.00, redeemed: 15.00}\n")  # fmt: skip
    text = page["payment.yaml"]
    page["payment.yaml"] = text.replace(
        "then: hold_again(amount=uncovered)", "then: hold_again(amount=redeemed + held)"
    )
    assert check_examples(reader.read(page), ["payment"])[0]


def test_what_no_provider_would_have_done_is_told() -> None:
    page = with_examples("payment", "  it:\n    given: {card: a sold card}\n    do: [authorize 40.00, cancel]\n"
                                    "    ends: {state: reversed, card.available: 50.00}\n")  # fmt: skip
    page["payment.yaml"] = page["payment.yaml"].replace("release_hold(amount=held, hold=hold_id)",
                                                        "release_hold(amount=held, hold=order)", 1)  # fmt: skip
    (one,) = check_examples(reader.read(page), ["payment"])[0]
    assert "no provider would have done what it was asked: release_hold names order, which is no hold" in one.message


def test_check_has_them_at_every_level() -> None:
    report = check(MACHINES, only=["fulfilment"], model=False)
    assert report.clean
    assert report.figures["examples"]["lives"] == len(MACHINES["fulfilment"].examples)


@pytest.mark.parametrize(("heading", "codes"), [("## Wrong", {"TS401"}), ("## Right", set())])
def test_its_page_shows_it(heading: str, codes: set[str]) -> None:
    page = FINDING.read_text("utf-8").split(heading)[1].split("```yaml\n")[1].split("```")[0]
    report = check(reader.read({"locker.yaml": page}))
    assert {each.code for each in report.findings} == codes


DATED = """machine: pass
version: 1
summary: A day pass.
facts:
  until: {is: time, says: When it ends.}
states:
  fresh: {start: true, says: It can be used.}
  used: {final: true, says: It was.}
  over: {final: true, says: It ended.}
commands:
  use: {}
  end: {}
transitions:
  use: {from: fresh, to: used, when: now < until}
  end: {from: fresh, to: over, when: now >= until}
refuse:
  - {in: [fresh], commands: [use], when: now >= until, says: It has ended.}
  - {in: [fresh], commands: [end], when: now < until, says: It can still be used.}
  - {in: [used, over], commands: [use, end], says: It is over.}
examples:
  in time: {given: {until: 2026-01-03}, do: [wait 1 day, {end: refused}, use], ends: {state: used, until: 2026-01-03}}
  too late: {given: {until: 2026-01-03}, do: [wait 2 days, {use: It has ended.}, end], ends: {state: over}}
"""


def test_time_passes() -> None:
    assert check_examples(reader.read({"pass.yaml": DATED}))[0] == []
    (one,) = check_examples(reader.read({"pass.yaml": DATED.replace("wait 1 day,", "wait 2 days,")}))[0]
    assert "'end' is done, and not refused" in one.message


# What is no example


@pytest.mark.parametrize(
    ("example", "why"),
    [
        ("do: [authorise 1.00]", "payment has no command 'authorise'. Did you mean 'authorize'?"),
        ("do: [authorize]", "'authorize' lacks amount, which is money"),
        ("do: [authorize x]", "amount is money, and 'x' is not"),
        ("do: [cover_elsewhere 1.00 7]", "'cover_elsewhere 1.00 7': '7' is one value too many"),
        ("do: [authorize amont=1.00]", "it takes no 'amont'. Did you mean 'amount'?"),
        ("do: [crd.suspend]", "nobody here is called 'crd'. Did you mean 'card'?"),
        ("do: [wait 3 moons]", "'wait 3 moons': write wait and how long, such as wait 3 days"),
        ("do: [{cancel: declind}]", "'declind' is neither a reply of the provider, nor 'refused', nor why cancel is "
                                    "refused."),
        ("do: [{authorize 1.00: [declined, lost]}]", "'lost' is no reply of a provider."),
        ("do: [{authorize 1.00: declined 1.00}]", "'declined 1.00' is no reply of a provider."),
        ("do: [{cancel: declined, close: declined}]", "write one step with what comes of it"),
        ("do: [refund_to 1.00 to=somebody]", "to is gift_card, and 'somebody' is not"),
        ("given: {card: a stolen card}\n    do: [cancel]", "there is no example 'a stolen card' on the page of gift_card."),
        ("given: {other: a sold card}\n    do: [cancel]", "'other' is no fact; somebody else is {is: machine, …}."),
        ("given: {other: {is: gift_crd}}\n    do: [cancel]", "there is no machine 'gift_crd'. Did you mean 'gift_card'?"),
        ("given: {card: {is: payment}}\n    do: [cancel]", "'card' is a gift_card, not a payment"),
        ("given: {card: {limt: 5.00}}\n    do: [cancel]", "gift_card has no fact 'limt'. Did you mean 'limit'?"),
        ("given: {requested: some}\n    do: [cancel]", "requested is money, if any, and 'some' is not"),
        ("given: {this: a sold card}\n    do: [cancel]", "'this' is the example's own entity; choose another name"),
        ("after: it\n    do: [cancel]", "'it' comes after 'it', and so cannot come first"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_example(example: str, why: str) -> None:
    assert any(why in each for each in faults("payment", f"  it:\n    {example}\n    ends: {{state: reversed}}\n"))


@pytest.mark.parametrize(
    ("ends", "why"),
    [
        ("{held: 1.00}", "'ends' does not say the state"),
        ("{state: reversd}", "payment has no state 'reversd'. Did you mean 'reversed'?"),
        ("{state: reversed, hld: 1.00}", "payment has nothing called 'hld'. Did you mean 'held'?"),
        ("{state: reversed, held: much}", "held is money, and 'much' is not"),
        ("{state: reversed, card.hld: 1.00}", "gift_card has nothing called 'hld'. Did you mean 'held'?"),
    ],
)
def test_what_cannot_be_an_end(ends: str, why: str) -> None:
    assert any(why in each for each in faults("payment", f"  it:\n    do: [cancel]\n    ends: {ends}\n"))


def test_examples_in_a_circle() -> None:
    text = "  one:\n    after: two\n    do: [cancel]\n    ends: {state: reversed}\n"
    assert (
        len(faults("payment", text + text.replace("one", "three").replace("two", "one").replace("three", "two"))) == 2
    )
