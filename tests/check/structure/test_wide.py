"""A page with many accounts is looked at in packs: quickly, without false findings, and what is wrong on it is found."""

from __future__ import annotations

import pytest

from tallystick.check.finding import Finding
from tallystick.check.structure.inspect import inspect
from tallystick.definition import reader


def warehouse(shelves: int, rooms: int = 2) -> str:
    """Value goes from shelf to shelf, in any room. Whoever closes it has to have emptied all shelves."""
    names, states = [f"shelf_{each}" for each in range(shelves)], [f"room_{each}" for each in range(rooms)]
    at, moves = f"[{', '.join(states)}]", ", ".join(f"move_{each}" for each in range(shelves))
    lines = ["machine: warehouse", "version: 1", "summary: Value goes from shelf to shelf.", "accounts:"]
    lines += [f"  {each}: Stands there." for each in names]
    lines += ["outside:", "  world: Where it comes from and goes to.", "states:"]
    lines += [f"  {each}: {{{'' if number else 'start: true, '}says: In use.}}" for number, each in enumerate(states)]
    lines += ["  closed: {final: true, says: All is gone.}", "commands:", "  put: {amount: money}"]
    lines += [f"  move_{each}: {{amount: money}}" for each in range(shelves)]
    lines += ["  close: {}", "  step: {}", "transitions:"]
    lines.append(f"  put: {{from: {at}, when: amount > 0, move: {{world -> shelf_0: amount}}}}")
    for number, (one, other) in enumerate(zip(names, [*names[1:], "world"], strict=True)):
        lines.append(f"  move_{number}: {{from: {at}, when: 0 < amount <= {one}, move: {{{one} -> {other}: amount}}}}")
    for number, (one, other) in enumerate(zip(states, [*states[1:], states[0]], strict=True)):
        lines.append(f"  step_{number}: {{command: step, from: {one}, to: {other}}}")
    lines.append(f"  close: {{from: {at}, to: closed, when: {' and '.join(f'{each} == 0' for each in names)}}}")
    lines += ["refuse:", f"  - {{in: {at}, commands: [put], when: amount <= 0, says: No.}}"]
    lines += [f"  - {{in: {at}, commands: [move_{number}], when: amount <= 0 or amount > {each}, says: No.}}"
              for number, each in enumerate(names)]  # fmt: skip
    lines.append(
        f"  - {{in: {at}, commands: [close], when: {' or '.join(f'{each} > 0' for each in names)}, says: No.}}"
    )
    lines.append(f"  - {{in: [closed], commands: [put, close, step, {moves}], says: No.}}")
    return "\n".join(lines) + "\n"


def found(page: str) -> list[Finding]:
    return inspect(reader.read({"warehouse.yaml": page}))[0]


@pytest.mark.parametrize(("shelves", "rooms"), [(10, 2), (16, 2), pytest.param(20, 29, marks=pytest.mark.slow)])
def test_a_right_page_is_clean_however_many_accounts_it_has(shelves: int, rooms: int) -> None:
    assert found(warehouse(shelves, rooms)) == []


FAULTS = {
    "a shelf is forgotten at the end": ((" and shelf_7 == 0", ""), (" or shelf_7 > 0", ""), "TS106"),
    "nothing is neither moved nor refused": (("when: amount <= 0 or amount > shelf_5", "when: amount < 0 or amount > shelf_5"),
                                             ("", ""), "TS105"),
    "more than there is, and refused too": (("when: 0 < amount <= shelf_9", "when: 0 < amount"), ("", ""), "TS104"),
    "more than there is": (("when: 0 < amount <= shelf_9", "when: 0 < amount"),
                           ("when: amount <= 0 or amount > shelf_9", "when: amount <= 0"), "TS118"),
    "a shelf that nothing empties": (("{shelf_9 -> shelf_10: amount}", "{shelf_8 -> shelf_10: amount}"), ("", ""), "TS118"),
    "a state that nothing leads to": (("from: room_0, to: room_1", "from: room_0, to: room_0"), ("", ""), "TS101"),
}  # fmt: skip


@pytest.mark.parametrize("shelves", [pytest.param(12, marks=pytest.mark.slow), 20])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_found(fault: str, shelves: int) -> None:
    *edits, code = FAULTS[fault]
    page = warehouse(shelves)
    for old, new in edits:
        assert old in page
        page = page.replace(old, new)
    assert code in {each.code for each in found(page)}


STEPS = """
machine: steps
version: 1
summary: Where five limits stand one below the other.
facts: {a: money, b: money, c: money, d: money, e: money}
accounts: {has: Here.}
outside: {world: There.}
states:
  open: {start: true, says: Nothing was put in.}
  high: {says: More than all limits.}
  done: {final: true, says: Over.}
commands: {put: {amount: money}, end: {}}
transitions:
  put: {from: open, to: high, when: GUARD, move: {world -> has: amount}}
  end: {from: [open, high], to: done, move: {has -> world: has}}
refuse:
  - {says: Not so., in: [open], commands: [put], when: not (GUARD)}
  - {says: It is full., in: [high], commands: [put]}
  - {says: Over., in: [done], commands: [put, end]}
"""


@pytest.mark.parametrize(
    ("guard", "codes"),
    [
        ("0 < a < b < c < d < e < amount", []),
        ("0 < a and a < b and b < c and c < d and d + e < amount and e > d", []),
        ("0 < a < b < c < d < e < amount < a", ["TS116", "TS101"]),
    ],
)
def test_a_guard_that_needs_many_amounts_is_true_of_some(guard: str, codes: list[str]) -> None:
    found = inspect(reader.read({"steps.yaml": STEPS.replace("GUARD", guard)}))[0]
    assert {each.code for each in found} <= set(codes)
    assert bool(found) == bool(codes)
