"""Value that stands apart: what a page may say of it, and how its moves are written out."""

from __future__ import annotations

from typing import Any

import pytest

from core_world import PAGES
from tallystick.definition import reader
from tallystick.definition.apart import meant, standing
from tallystick.definition.machine import Machine
from tallystick.errors import MachineError

PAGE = """
machine: purse
version: 1
summary: Bought and given value, one of which leaves first.
facts: {card: gift_card}
accounts:
  here: {says: May be spent., first: bonus}
  bonus: "Of that, what was given."
  kept: {says: Spent., last: kept_bonus, kept: true}
  kept_bonus: {says: "Of that, what was given.", kept: true}
outside:
  shop: {says: The shop., first: gifts}
  gifts: The shop's gifts.
states:
  open: {start: true, says: In use.}
transitions:
  fill: {from: open, when: amount > 0, move: {shop -> here: amount}}
  reward: {from: open, when: amount > 0, move: {shop -> bonus: amount}}
  spend: {from: open, when: 0 < amount <= here, move: {here -> kept: amount}}
  spend_all:
    from: open
    when: 0 < amount <= here
    move:
      here -> kept: amount
      here -> shop: here - amount
  undo: {from: open, when: 0 < amount <= kept, move: {kept -> here: amount}}
  less: {from: open, when: 0 < amount <= here, move: {here.last -> shop: amount}}
  pay_out: {from: open, when: 0 < amount <= here.rest, move: {here.rest -> shop: amount}}
  told: {from: open, when: amount > 0, move: {shop -> here: amount}}
commands:
  fill: {amount: money}
  reward: {amount: money}
  spend: {amount: money}
  spend_all: {amount: money}
  undo: {amount: money}
  less: {amount: money}
  pay_out: {amount: money}
  told: {amount: {is: money, part: bonus_of_it}, bonus_of_it: money?}
"""


def purse(text: str = PAGE) -> Machine:
    return reader.read({**PAGES, "purse.yaml": text})["purse"]


def moved(name: str, args: dict[str, Any], **accounts: int) -> dict[tuple[str, str], int]:
    """What a transition moves between the accounts."""
    row = purse().rows[name]
    standing_ = {**dict.fromkeys(purse().columns, 0), **accounts}
    amounts = row.amounts(standing_, {"card": "c"}, args, "open")
    return {line: amount for line, amount in zip(row.lines, amounts, strict=True) if amount}


@pytest.mark.parametrize(
    ("name", "amount", "found"),
    [
        ("spend", 3, {("bonus", "kept_bonus"): 3}),
        ("spend", 15, {("bonus", "kept_bonus"): 10, ("here", "kept"): 5}),
        ("spend_all", 4, {("bonus", "kept_bonus"): 4, ("bonus", "gifts"): 6, ("here", "shop"): 50}),
        ("spend_all", 15, {("bonus", "kept_bonus"): 10, ("here", "kept"): 5, ("here", "shop"): 45}),
        ("undo", 5, {("kept", "here"): 5}),
        ("undo", 9, {("kept", "here"): 7, ("kept_bonus", "bonus"): 2}),
        ("pay_out", 50, {("here", "shop"): 50}),
        ("less", 5, {("here", "shop"): 5}),
        ("less", 55, {("here", "shop"): 50, ("bonus", "gifts"): 5}),
        ("fill", 5, {("shop", "here"): 5}),
        ("reward", 5, {("shop", "bonus"): 5}),
    ],
)
def test_each_move_takes_the_sort_that_leaves_first(name: str, amount: int, found: dict[tuple[str, str], int]) -> None:
    assert moved(name, {"amount": amount}, here=50, bonus=10, kept=7, kept_bonus=3) == found


@pytest.mark.parametrize(
    ("part", "found"), [(None, {("shop", "here"): 5}), (2, {("shop", "here"): 3, ("gifts", "bonus"): 2})]
)
def test_who_drives_a_command_says_how_much_stands_apart(part: int | None, found: dict[tuple[str, str], int]) -> None:
    assert moved("told", {"amount": 5, "bonus_of_it": part}) == found


@pytest.mark.parametrize(("part", "fires"), [(None, True), (0, True), (5, True), (6, False), (-1, False)])
def test_a_part_is_no_more_than_the_whole(part: int | None, fires: bool) -> None:
    args = {"amount": 5, "bonus_of_it": part}
    assert purse().rows["told"].fires(dict.fromkeys(purse().columns, 0), {}, args, "open") is fires
    refused = [each.says for each in purse().refused["open", "told"] if each.fires({}, {}, args, "open", None)]
    assert bool(refused) is not fires


def test_a_page_speaks_of_both_together() -> None:
    accounts = {**dict.fromkeys(purse().columns, 0), "here": 50, "bonus": 10}
    assert standing(purse(), accounts, "here") == 60
    assert standing(purse(), accounts, "bonus") == 10
    assert meant(purse(), accounts) == {**accounts, "here": 60}
    fires = purse().rows["spend"].fires
    assert fires(accounts, {}, {"amount": 60}, "open")
    assert not fires(accounts, {}, {"amount": 61}, "open")
    assert not purse().rows["pay_out"].fires(accounts, {}, {"amount": 51}, "open")


@pytest.mark.parametrize(
    ("part", "done"), [(3, (3, 0)), (10, (10, 0)), (12, (10, 2)), (15, (10, 5))],
)  # fmt: skip
def test_if_less_is_confirmed_what_leaves_first_is_confirmed_first(part: int, done: tuple[int, ...]) -> None:
    transition = reader.load()["gift_card"].transitions["hold"]
    assert transition.confirmed((10, 5), part) == done


def test_what_the_driven_one_is_told_is_what_the_driver_moves() -> None:
    payment = reader.load()["payment"]
    row = payment.rows["settle_part"]
    accounts = {**dict.fromkeys(payment.columns, 0), "held": 30, "given_held": 10}
    args = {"amount": 4, "last": False, "keep_hold": False}
    ((_, told),) = row.drives
    given = {name: value(accounts, {"hold_id": "h"}, args, "authorized", None) for name, value in told}
    assert (given["amount"], given["of_it_given"], given["release"], given["released_given"]) == (4, 4, 36, 6)


def faults(old: str, new: str) -> list[str]:
    assert old in PAGE
    with pytest.raises(MachineError) as error:
        purse(PAGE.replace(old, new))
    return [f"{each.line}: {each.message}" for each in error.value.faults]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("first: bonus", "first: bonuses", "7: 'bonuses' is no other account of purse. Did you mean 'bonus'?"),
        ("first: bonus", "first: here", "7: 'here' is no other account of purse. Known: bonus, kept, kept_bonus."),
        ("first: bonus", "first: gifts", "7: 'gifts' is no other account of purse. Known: bonus, kept, kept_bonus."),
        ("first: bonus", "first: bonus, last: bonus",
         "7: 'here' has one part that stands apart: it leaves first or last"),
        ("last: kept_bonus", "last: card.given",
         "9: what 'card.given' is of 'kept' leaves first: nothing is known of the rest"),
        ("last: kept_bonus", "last: bonus", "7: 'bonus' is a part of one account, and nothing stands apart of it"),
        ("part: bonus_of_it", "part: bonus_of",
         "38: 'bonus_of' has to be an argument of the same command, of the type 'money?'"),
        ("bonus_of_it: money?", "bonus_of_it: money",
         "38: 'bonus_of_it' has to be an argument of the same command, of the type 'money?'"),
        ("here.rest -> shop", "here.bonus -> shop",
         "28: 'here.bonus': only .rest or .last may stand behind an account with a part apart"),
        ("here -> shop: here - amount", "here.last -> shop: here - amount",
         "25: 'here.last' takes from the other end, so it has to be the only move from there"),
        ("here.rest -> shop", "bonus.rest -> shop",
         "28: 'bonus.rest': only .rest or .last may stand behind an account with a part apart"),
    ],
)  # fmt: skip
def test_a_fault_has_its_place(old: str, new: str, said: str) -> None:
    assert said in faults(old, new)
