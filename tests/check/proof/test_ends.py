"""Every life can be brought to an end: proved for all amounts where it is so, however often something has to be done."""

from __future__ import annotations

import pytest

from tallystick.check.proof import ends
from tallystick.check.proof.prove import prove
from tallystick.definition import reader

PUNCH_CARD = """
machine: punch_card
version: 1
summary: So many coffees, and one is free.
facts: {stamps: {is: count, later: true, default: 0}}
states:
  open: {start: true, says: It is stamped.}
  done: {final: true, says: The free one was had.}
commands: {stamp: {}, free: {}}
transitions:
  stamp: {from: open, when: stamps < 500, set: {stamps: stamps + 1}}
  free: {from: open, to: done, when: stamps == 500}
refuse:
  - {says: Full., in: [open], commands: [stamp], when: stamps >= 500}
  - {says: Not yet., in: [open], commands: [free], when: stamps != 500}
  - {says: Over., in: [done], commands: [stamp, free]}
"""
PIECES = """
machine: purse
version: 1
summary: Emptied by handfuls at most, each with a turn of the key.
facts: {handful: money}
accounts: {coins: In it.}
outside: {world: There.}
states:
  unset: {start: true, says: Nothing is in it yet.}
  locked: {says: The key is turned.}
  open: {says: Something may be taken.}
  done: {final: true, says: It is empty.}
commands: {fill: {amount: money}, turn: {}, take: {amount: money}, end: {}, drop: {}}
transitions:
  fill: {from: unset, to: locked, when: handful > 0 and amount > 0, move: {world -> coins: amount}}
  drop: {from: unset, to: done}
  turn: {from: locked, to: open}
  take: {from: open, to: locked, when: 0 < amount <= coins and amount <= handful, move: {coins -> world: amount}}
  end: {from: [locked, open], to: done, when: coins == 0}
refuse:
  - {says: More than nothing., in: [unset], commands: [fill], when: handful <= 0 or amount <= 0}
  - {says: Nothing is in it., in: [unset], commands: [turn, take, end]}
  - {says: It is filled., in: [locked, open], commands: [fill, drop]}
  - {says: Turn the key., in: [locked], commands: [take]}
  - {says: It is turned., in: [open], commands: [turn]}
  - {says: So much cannot be taken., in: [open], commands: [take], when: amount <= 0 or amount > coins or amount > handful}
  - {says: Something is in it., in: [locked, open], commands: [end], when: coins > 0}
  - {says: Over., in: [done], commands: [fill, turn, take, end, drop]}
"""


def codes(page: str) -> list[str]:
    return [each.code for each in prove(reader.read({"page.yaml": page}))[0]]


def test_a_count_comes_to_its_number_however_far_it_is() -> None:
    assert codes(PUNCH_CARD) == []


def test_a_count_that_steps_over_its_number_is_not_proved() -> None:
    """It goes 0, 2, 4 …, and never is 501."""
    over = PUNCH_CARD.replace("stamps + 1", "stamps + 2").replace("500", "501")
    assert codes(over) == ["TS310"]


def test_what_is_emptied_in_pieces_ends_though_states_take_turns() -> None:
    assert codes(PIECES) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("and amount <= handful, move", "and amount <= handful and coins > handful, move"),  # the last ones stay
        ("end: {from: [locked, open], to: done, when: coins == 0}", "end: {from: open, to: locked, when: coins == 0}"),
        ("0 < amount <= coins and", "0 <= amount <= coins and coins == 0 and"),  # nothing is taken
    ],
)
def test_what_is_not_emptied_is_not_proved(old: str, new: str) -> None:
    assert old in PIECES
    assert set(codes(PIECES.replace(old, new))) & {"TS308", "TS310"}


def test_a_page_of_many_accounts_is_decided() -> None:
    """Value goes from one account to the next, and all have to be empty in the end."""
    names = [f"shelf_{number}" for number in range(12)]
    page = "machine: warehouse\nversion: 1\nsummary: Value goes from shelf to shelf.\naccounts:\n"
    page += "".join(f"  {name}: Stands there.\n" for name in names)
    page += "outside: {world: There.}\nstates:\n  open: {start: true, says: In use.}\n"
    page += "  closed: {final: true, says: All is gone.}\ncommands:\n  put: {amount: money}\n  close: {}\n"
    page += "".join(f"  from_{name}: {{amount: money}}\n" for name in names)
    page += "transitions:\n  put: {from: open, when: amount > 0, move: {world -> shelf_0: amount}}\n"
    for one, other in zip(names, [*names[1:], "world"], strict=True):
        page += f"  from_{one}: {{from: open, when: 0 < amount <= {one}, move: {{{one} -> {other}: amount}}}}\n"
    empty = " and ".join(f"{name} == 0" for name in names)
    page += f"  close: {{from: open, to: closed, when: {empty}}}\n"
    page += "refuse:\n  - {in: [open], commands: [put], when: amount <= 0, says: No.}\n"
    for name in names:
        page += f"  - {{in: [open], commands: [from_{name}], when: amount <= 0 or amount > {name}, says: No.}}\n"
    page += f"  - {{in: [open], commands: [close], when: not ({empty}), says: No.}}\n"
    page += f"  - {{in: [closed], commands: [put, close, {', '.join(f'from_{name}' for name in names)}], says: No.}}\n"
    assert codes(page) == []
    assert codes(page.replace("shelf_7 -> shelf_8", "shelf_7 -> shelf_0")) != []


DATED = """
machine: voucher
version: 1
summary: Ends at its date, and not before.
facts: {until: time}
accounts: {worth: On it.}
outside: {world: There.}
states:
  open: {start: true, says: In use.}
  done: {final: true, says: Its date has come.}
commands: {load: {amount: money}, expire: {}}
transitions:
  load: {from: open, when: amount > 0 and now < until, move: {world -> worth: amount}}
  expire: {from: open, to: done, when: until <= now, move: {worth -> world: worth}}
refuse:
  - {says: Too late or too little., in: [open], commands: [load], when: amount <= 0 or now >= until}
  - {says: Not yet., in: [open], commands: [expire], when: until > now}
  - {says: Over., in: [done], commands: [load, expire]}
"""


def test_one_waits_for_a_date_but_not_for_one_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "_FEW", 0)  # without a strategy nothing is worked out
    assert codes(DATED) == []
    gone = DATED.replace("when: until <= now, move", "when: until > now, move")
    gone = gone.replace("when: until > now}", "when: until <= now}")
    assert gone.count("until > now") == gone.count("until <= now") == 1
    assert codes(gone) == ["TS310"]
