"""Value of which nobody asks whether it is the right amount, on an account that is kept and in what a command drives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tallystick.check import TITLES
from tallystick.check.structure.inspect import inspect
from tallystick.definition import reader

PAGE = Path(__file__).resolve().parents[3] / "docs/findings/TS129.md"
EVENING = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[0]

PURSE = """
machine: purse
version: 1
summary: Somebody's money.
accounts: {has: In it.}
outside: {world: Elsewhere.}
states: {open: {start: true, says: In use.}, done: {final: true, says: Over.}}
commands: {load: {amount: money}, take: {amount: money}, end: {}}
driven: [take]
transitions:
  load: {from: open, when: amount > 0, move: {world -> has: amount}}
  take: {from: open, when: 0 < amount <= has, move: {has -> world: amount}}
  end: {from: open, to: done, move: {has -> world: has}}
refuse:
  - {says: More than nothing., in: [open], commands: [load], when: amount <= 0}
  - {says: It is not there., in: [open], commands: [take], when: amount <= 0 or amount > has}
  - {says: Over., in: [done], commands: [load, take, end]}
"""
TRIP = """
machine: trip
version: 1
summary: Paid from a purse.
facts: {purse: purse}
accounts: {paid: For the trip.}
outside: {payer: Who pays., agency: Who earns it.}
states:
  asked: {start: true, says: Nothing is paid.}
  booked: {says: Paid.}
  over: {final: true, says: Over.}
commands: {book: {amount: money}, travel: {}, leave: {}}
transitions:
  book: {from: asked, to: booked, when: amount > 0, drive: purse.take(amount=amount), move: {payer -> paid: amount}}
  travel: {from: booked, to: over, move: {paid -> agency: paid}}
  leave: {from: asked, to: over}
refuse:
  - {says: No., in: [asked], commands: [book], when: amount <= 0}
  - {says: Not yet., in: [asked], commands: [travel]}
  - {says: It is booked., in: [booked], commands: [book, leave]}
  - {says: Over., in: [over], commands: [book, travel, leave]}
"""


def unasked(pages: dict[str, str], only: str) -> list[str]:
    found = inspect(reader.read(pages), only=[only])[0]
    assert {each.code for each in found} <= {"TS129"}, [str(each) for each in found]
    return [each.message for each in found]


def test_value_that_stays_and_of_which_nothing_speaks_is_found() -> None:
    (why,) = unasked({"evening.yaml": EVENING}, "evening")
    assert why.startswith("value may stay on tips in closed, and nothing asks whether it is the right amount")
    assert TITLES["TS129"] == "value that no question covers"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("refuse:\n", "invariants: {few: {says: Of few., always: tips >= 0}}\nrefuse:\n"),
        ("refuse:\n", "examples: {one: {do: [pay 2.00 1.00], ends: {state: open, tips: 1.00}}}\nrefuse:\n"),
        ("when: amount > 0 and tip >= 0", "when: amount > 0 and tip >= 0 and tips >= 0"),
        ("{bill -> house: bill}", "{bill -> house: bill, tips -> house: tips}"),
        ("{kept: true, says: For those who served.}", "For those who served."),
    ],
    ids=["an invariant", "an example", "a guard", "it is moved on", "it is not kept, and has to be empty"],
)
def test_whoever_speaks_of_it_asks(old: str, new: str) -> None:
    assert old in EVENING
    found = inspect(reader.read({"evening.yaml": EVENING.replace(old, new, 1)}))[0]
    assert "TS129" not in {each.code for each in found}


def test_another_machine_speaks_of_it_in_a_sum() -> None:
    counter = (
        "machine: counter\nversion: 1\nsummary: All tables.\naccounts: {all: All tips.}\noutside: {world: Elsewhere.}\n"
        "states: {open: {start: true, says: Open.}}\ncommands: {}\ntransitions: {}\n"
        "invariants: {tips: {says: None yet., sum: {tips: evening.at.tips}, always: tips >= all}}\n"
    )
    linked = EVENING.replace("accounts:\n", "facts: {at: counter}\naccounts:\n", 1)
    assert unasked({"evening.yaml": linked, "counter.yaml": counter}, "evening") == []


def test_value_of_a_linked_entity_of_which_nothing_speaks_is_found() -> None:
    (why,) = unasked({"trip.yaml": TRIP, "purse.yaml": PURSE}, "trip")
    assert why.startswith(
        "book moves value here and, by take, of purse, and nothing asks whether it is the same amount"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{payer: Who pays.,", "{purse: Who pays.,"),
        ("refuse:\n", "examples:\n  x:\n    given: {purse: {is: purse, after: full}}\n    do: [book 2.00]\n"
         "    ends: {state: booked, paid: 2.00, purse.has: 3.00}\nrefuse:\n"),
        (", move: {payer -> paid: amount}", ""),
    ],
    ids=["an account stands for it", "an example shows both", "nothing is moved here"],
)  # fmt: skip
def test_whoever_speaks_of_a_link_asks(old: str, new: str) -> None:
    assert old in TRIP
    trip = TRIP.replace(old, new, 1).replace("payer ->", "purse ->" if "purse: Who" in new else "payer ->")
    full = "examples: {full: {do: [load 5.00], ends: {state: open, has: 5.00}}}\n"
    found = inspect(reader.read({"trip.yaml": trip, "purse.yaml": PURSE + full}), only=["trip"])[0]
    assert "TS129" not in {each.code for each in found}


def test_an_invariant_of_the_linked_machine_speaks_of_it() -> None:
    tied = PURSE + "invariants: {all: {says: No more., sum: {paid: trip.purse.paid}, always: has >= 0 or paid >= 0}}\n"
    assert unasked({"trip.yaml": TRIP, "purse.yaml": tied}, "trip") == []
