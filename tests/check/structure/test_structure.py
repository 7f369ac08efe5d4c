"""Planted faults in our machines, each a small change of a page, and what the first level says of them.

Our machines as they are have no finding; so each finding below is of the change and of nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from core_world import MACHINES, PAGES, changed
from tallystick.check.finding import Finding
from tallystick.check.structure.inspect import inspect, inspect_machine
from tallystick.definition import reader
from tallystick.definition.machine import Machine

# fmt: off
# machine · what stands there · what is written instead · the codes that are found
FAULTS: list[tuple[str, str, str, str]] = [
    ('payment', '    when: amount > 0 and (until == none or now < until)\n    drive: card.hold(',
     '    when: amount >= 0 and (until == none or now < until)\n    drive: card.hold(',
     'TS104'),
    ('payment', 'when: 0 < amount < held and not last and not keep_hold',
     'when: 0 < amount <= held and not last and not keep_hold',
     'TS104'),
    ('payment', 'when: 0 < amount == held and uncovered == 0 and not last',
     'when: 0 < amount == held and not last',
     'TS104 TS106'),
    ('payment', '      held -> card: held - amount\n      uncovered -> card: uncovered\n',
     '      held -> card: held - amount\n',
     'TS106'),
    ('payment', '    drive: card.release_hold(amount=held, hold=hold_id)\n    move: {held -> card: held}\n',
     '    drive: card.release_hold(amount=held, hold=hold_id)\n',
     'TS106'),
    ('payment', '    when: held == 0\n    move: {uncovered -> card: uncovered}\n',
     '    when: held == 0\n',
     'TS106'),
    ('payment', '    to: partially_settled\n    when: 0 < amount < held and not last and not keep_hold',
     '    to: closed\n    when: 0 < amount < held and not last and not keep_hold',
     'TS106'),
    ('payment', '    when: 0 < amount <= uncovered\n    move: {uncovered -> card: amount}',
     '    when: 0 < amount <= uncovered\n    move: {held -> card: amount}',
     'TS105 TS110 TS118'),
    ('payment', '    when: 0 < amount <= redeemed\n    drive: card.refund',
     '    when: 0 < amount <= held\n    drive: card.refund',
     'TS104 TS105 TS116'),
    ('payment', ' and redeemed > 0 and in_doubt == 0',
     ' and redeemed > 0',
     'TS104'),
    ('payment', 'when: 0 < amount <= held and last',
     'when: 0 < amount <= held',
     'TS104'),
    ('payment', '    then: hold_again(amount=uncovered)',
     '    then: hold_again(amount=held)',
     'TS110'),
    ('payment', 'card.hold(amount=amount, pin=pin, allow_partial=allow_partial)',
     'card.hold(amount=amount, allow_partial=allow_partial)',
     'TS115 TS127'),
    ('payment', 'move: {card -> held: amount}',
     'move: {card -> redeemed: amount}',
     'TS105 TS116 TS117'),
    ('payment', '    to: advanced_hold\n    when: 0 < amount <= uncovered and held == 0',
     '    to: partially_settled\n    when: 0 < amount <= uncovered and held == 0',
     'TS101'),
    ('payment', '  other_card: {says: "A card',
     '  third_card: Nowhere.\n  other_card: {says: "A card',
     'TS113'),
    ('payment', '    from: [partially_settled, advanced_hold]\n    to: closed\n    when: held > 0',
     '    from: advanced_hold\n    to: closed\n    when: held > 0',
     'TS105'),
    ('payment', 'when: amount > held > 0',
     'when: amount >= held > 0',
     'TS104'),
    ('payment', 'when: amount > held > 0',
     'when: held > 0 and amount > held + uncovered',
     'TS105'),
    ('gift_card', '    set: {was: state}\n',
     '',
     'TS105 TS110 TS111 TS116'),
    ('gift_card', '    when: available == 0 and held == 0 and leaving == 0\n',
     '    when: available == 0 and leaving == 0\n',
     'TS104'),
    ('gift_card', '    move: {available -> held: amount}',
     '    move: {available -> spent: amount}',
     'TS112 TS120 TS126'),
    ('gift_card', '      held -> spent: amount\n      held -> available: release\n',
     '      held -> spent: amount + release\n      held -> available: release\n',
     'TS118 TS126'),
    ('gift_card', '    when: form == "physical" and number != none',
     '    when: form == "electronic" and number != none',
     'TS104 TS105'),
    ('gift_card', '    when: balance == available and in_doubt == 0',
     '    when: balance == available',
     'TS104'),
    ('gift_card', '0 <= balance < available and',
     '0 <= balance <= available and',
     'TS104'),
    ('gift_card', 'amount < 0 and available + amount >= 0',
     'amount < 0',
     'TS104'),
    ('gift_card', '{available -> adjusted: -amount}',
     '{available -> adjusted: amount}',
     'TS118 TS126'),
    ('gift_card', '    from: [issued, suspended]\n    when: amount > 0 and release >= 0',
     '    from: issued\n    when: amount > 0 and release >= 0',
     'TS105'),
    ('gift_card', '    when: was == "issued"',
     '    when: was == "activated"',
     'TS104 TS105 TS110'),
    ('replacement', '    drive: old.move_in(amount=moving)\n    move: {moving -> old: moving}\n',
     '    drive: old.move_in(amount=moving)\n',
     'TS106 TS120'),
    ('replacement', '    move: {moving -> new: moving}\n    then: retire()\n',
     '    then: retire()\n',
     'TS105 TS106 TS120'),
    ('replacement', '    to: emptied\n    when: amount > 0 and form == "electronic"',
     '    to: allocated\n    when: amount > 0 and form == "electronic"',
     'TS110'),
    ('replacement', '[emptied, allocated, activated, on_its_way]\n    to: cancelled',
     '[emptied, allocated, on_its_way]\n    to: cancelled',
     'TS105'),
    ('fulfilment', '    drive: card.issue(amount=amount)',
     '    drive: card.issue(amount=amount)\n    then: activate()',
     'TS110'),
    ('fulfilment', '    when: form == "electronic"\n    then: allocate()',
     '    when: form == "electronic"\n    then: issue()',
     'TS110'),
    ('fulfilment', '    from: [activated, scheduled]\n    to: fulfilled',
     '    from: [activated, scheduled]\n    to: activated',
     'TS119'),
    ('fulfilment', '    from: in_review\n    to: rejected',
     '    from: in_review\n    to: in_review',
     'TS101'),
    ('fulfilment', ', allocated, shipped, activated, scheduled]\n    to: cancelled',
     ', allocated, shipped, scheduled]\n    to: cancelled',
     'TS103 TS107'),
    ('fulfilment', '  issue_later: {is',
     '  nobody: {is: flag, default: false, says: Asked by nobody.}\n  issue_later: {is',
     'TS111'),
]
# fmt: on


@pytest.mark.parametrize("machine", MACHINES.values(), ids=lambda machine: machine.name)
def test_our_machines_have_no_finding(machine: Machine) -> None:
    assert list(inspect_machine(MACHINES, machine)) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "codes"),
    [
        pytest.param(*each, marks=[pytest.mark.slow] if each[0] == "gift_card" and at % 3 else [])  # the largest page
        for at, each in enumerate(FAULTS)
    ],
)
def test_a_planted_fault_is_found(name: str, old: str, new: str, codes: str) -> None:
    pages = changed(f"{name}.yaml", old, new)  # without its usual way, which the reader itself looks at
    usual = next(line for line in pages[f"{name}.yaml"].splitlines() if line.startswith("usual: "))
    machines = reader.read({**pages, f"{name}.yaml": pages[f"{name}.yaml"].replace(usual, "")})
    found, _ = inspect(machines, only=[name])
    assert sorted({each.code for each in found}) == codes.split()
    for each in found:
        assert (each.machine, each.file) == (name, f"{name}.yaml")
        assert each.line > 1
        assert each.message


# --- one page, one fault, and exactly what is said of it

COUNTER = """\
machine: counter
version: 1
summary: Something that is counted.
facts: {tries: {is: count, default: 0, later: true}, name: text}
states:
  open: {start: true, says: It counts.}
  shut: {final: true, says: It is done.}
commands: {add: {days: count, note: text?, quick: flag}, shut: {}}
transitions:
  low: {command: add, from: open, when: days < 777}
  high: {command: add, from: open, when: days >= 777}
  shut: {from: open, to: shut}
refuse:
  - {says: It is done., in: [shut], commands: [add, shut]}
"""


def found(page: str) -> list[Finding]:
    machines = reader.read({"page.yaml": page})
    return [each for machine in machines.values() for each in inspect_machine(machines, machine)]


# fmt: off
# the guard of `low` · the guard of `high` · what is said
GUARDS: list[tuple[str, str, list[str]]] = [
    ("days <= 777", "days >= 777", ["TS104 low and high answer add in open at once: days 777"]),
    ("days < 777", "days > 777", ["TS105 add in open is neither answered nor refused with days 777"]),
    ("days == 777 or days < 0", "days >= 0", ["TS104 low and high answer add in open at once: days 777"]),
    ("days + days == 1554", "days != 777", []),
    ("days - tries < 500", "days - tries >= 499", ["TS104 low and high answer add in open at once: days 499 and tries 0"]),
    ("days < 777 and not quick", "days >= 777 or quick and days < 0", ["TS105 add in open is neither answered nor refused with days 0 and quick yes; with days 1 and quick yes"]),
    ('note == "vip"', 'note != "vip"', []),
    ('note != none and note == "vip"', "note == none", ["TS105 add in open is neither answered nor refused with note a"]),
    ('note == "vip" or quick', 'note == none or note != "vip"', ["TS104 low and high answer add in open at once: note none and quick yes"]),
    ("days < 1 and days > 1", "true", ["TS116 low can never happen from open: 'days < 1 and days > 1' is never true"]),
    ("tries > 0 or days < 5", "tries == 0 and days >= 5", []),
    ("tries == 3", "tries < 3", ["TS116 low can never happen from open: tries is never more than 0 there"]),
]
# fmt: on


@pytest.mark.parametrize(("low", "high", "said"), GUARDS)
def test_guards_are_asked_where_they_turn(low: str, high: str, said: list[str]) -> None:
    page = COUNTER.replace("when: days < 777}", f"when: '{low}'}}").replace("when: days >= 777}", f"when: '{high}'}}")
    told = [f"{each.code} {each.message}" for each in found(page) if each.code not in ("TS111", "TS115")]
    assert told == said


LOAN = """\
machine: loan
version: 1
summary: What somebody owes, and the part of it that is late.
accounts: {owed: All of it., late: "Of that, what is late."}
outside: {lender: Where it comes from., clock: Time.}
states:
  asked: {start: true, says: Nothing was lent.}
  open: {says: Something is owed.}
  paid: {final: true, says: Nothing is owed.}
commands: {lend: {amount: money}, delay: {amount: money}, pay: {amount: money}}
transitions:
  lend: {from: asked, to: open, when: amount > 0, move: {lender -> owed: amount}}
  delay: {from: open, when: 0 < amount <= owed - late, move: {clock -> late: amount}}
  pay_all: {command: pay, from: open, to: paid, when: amount == owed and late <= owed, move: {owed -> lender: owed, late -> clock: late}}
  pay_late: {command: pay, from: open, when: 0 < amount < owed and late == owed, move: {owed -> lender: amount, late -> clock: amount}}
refuse:
  - {says: It is more than nothing., in: [asked], commands: [lend], when: amount <= 0}
  - {says: It is not owed that much., in: [open], commands: [delay], when: amount <= 0 or amount > owed - late}
  - {says: Pay all of it., in: [open], commands: [pay], when: amount < owed and not (0 < amount and late == owed) or amount > owed}
  - {says: Nothing was lent., in: [asked], commands: [delay, pay]}
  - {says: It was lent., in: [open], commands: [lend]}
  - {says: It is paid., in: [paid], commands: [lend, delay, pay]}
"""
STATED = "invariants:\n  late: {says: No more is late than is owed., always: late <= owed}\n"


def test_what_a_page_states_of_its_accounts_is_taken_as_given() -> None:
    told = [f"{each.code} {each.message}" for each in found(LOAN)]
    assert told == ["TS105 pay in open is neither answered nor refused with amount 0.01, owed 0.01 and late 0.02"]
    assert found(LOAN + STATED) == []


def test_what_is_found_and_said_does_not_depend_on_the_order_of_sets() -> None:
    """The same page gives the same words in processes that hash otherwise."""
    page = changed("payment.yaml", "when: amount > held > 0", "when: held > 0 and amount > held + uncovered")
    code = (
        "import sys, json; from tallystick.definition import reader; from tallystick.check import check\n"
        "pages = json.load(sys.stdin)\n"
        "print([(str(each), each.story) for each in check(reader.read(pages), only=['payment'], model=False).findings])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code], input=json.dumps(page), env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(told) == 1
    assert "create: requested" in told.pop()


ADDS_UP = ("amount != shares.total or amount <= 0", "amount <= 0")
SHARES = [
    # the guard's own words, what is written instead, the transitions in which shares need not add up
    ([ADDS_UP, ("amount == shares.total > payment.held", "amount > payment.held"),
      ("0 < amount == shares.total and", "0 < amount and"),
      ("0 < amount == shares.total <= payment.held", "0 < amount <= payment.held")], ["settle", "settle_last"]),
    ([ADDS_UP, ("amount == shares.total > payment.redeemed", "amount > payment.redeemed"),
      ("0 < amount == shares.total and", "0 < amount and"),
      ("0 < amount == shares.total <= payment.redeemed", "0 < amount <= payment.redeemed")], ["refund"]),
    ([("0 < shares.total == requested", "0 < shares.total <= requested"),
      ("shares.total != requested", "shares.total > requested")], ["authorize"]),
    ([("0 < shares.total == requested", "0 < shares.total"),
      ("shares.total != requested or shares.total == 0", "shares.total == 0")], ["authorize"]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "wanted"), SHARES)
def test_shares_that_need_not_add_up_are_found(changes: list[tuple[str, str]], wanted: list[str]) -> None:
    """Guard and refusal agree with each other, so nothing else shows it: no command is without an answer."""
    text = PAGES["tender.yaml"]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    machines = reader.read({**PAGES, "tender.yaml": text})
    told = [each.message.split()[0] for each in inspect_machine(machines, machines["tender"]) if each.code == "TS124"]
    assert told == wanted


def test_a_command_without_a_guard_is_no_trouble_where_it_sets_what_it_reads() -> None:
    old = "    when: 0 < amount == shares.total <= payment.redeemed and payment.busy == 0\n"
    assert old in PAGES["tender.yaml"]
    machines = reader.read({**PAGES, "tender.yaml": PAGES["tender.yaml"].replace(old, "")})
    assert {each.code for each in inspect_machine(machines, machines["tender"])} == {"TS104"}


@pytest.mark.parametrize(
    ("then", "wanted"),
    [
        (
            "    then:\n      - each payment.hold_until() when until != none\n"
            "      - each payment.settle(amount=share, keep_hold=keep_hold, invoice=invoice)\n",
            "TS125 settle",
        ),
        (
            "      - each payment.settle(amount=share, last=last, keep_hold=keep_hold, invoice=invoice)\n",
            "TS125 settle_last",
        ),
        ("      - each payment.refund(amount=share)\n", "TS115 nothing"),
        ("      - each payment.authorize(amount=share, allow_partial=allow_partial, until=until)\n", "TS115 nothing"),
    ],
)
def test_shares_that_no_part_gets_are_found(then: str, wanted: str) -> None:
    assert PAGES["tender.yaml"].count(then) == 1
    machines = reader.read({**PAGES, "tender.yaml": PAGES["tender.yaml"].replace(then, "")})
    found = [each for each in inspect_machine(machines, machines["tender"]) if "shares" in each.message]
    assert [f"{each.code} {each.message.split()[0]}" for each in found] == [wanted]
