"""The voucher orders told to a sandbox of Clutch: however the rest of a hold is kept, they end in the same totals."""

from __future__ import annotations

import json
import runpy
from collections import Counter
from functools import cache

import pytest

import tallystick
from clutch_world import World
from tallystick.cli.commands.json_lines import Summary, run_lines
from tallystick.engine.engine import Engine
from voucher_data import EXAMPLE

pytestmark = pytest.mark.slow
Totals = dict[tuple[str, str], Counter[str]]


@cache
def lines() -> list[dict[str, object]]:
    """The commands of the sample, in a currency that the sandbox knows, and without saying what becomes of the rest."""
    example = runpy.run_path(str(EXAMPLE / "orders.py"))
    commands = [
        json.loads(line.replace('"BRL"', '"USD"')) for line in example["lines"](example["read"](EXAMPLE / "sample"))
    ]
    for each in commands:
        each["args"].pop("keep_hold", None)
    return commands


def told(engine: Engine) -> tuple[Totals, Counter[str]]:
    """All orders, run: by machine and state, how many there are and what stands on them; and how they were settled."""
    answers = list(run_lines(engine, [json.dumps(each).encode() for each in lines()], Summary()))
    assert {each["result"] for each in answers} == {"applied"}
    totals: Totals = {}
    with engine.store.reading() as reading:
        for machine in ("gift_card", "payment"):
            for each in reading.all(machine):
                totals.setdefault((machine, each.state), Counter()).update({"number": 1, **each.accounts})
        settled = [each.transition for each in reading.journal() if each.command == "settle" and each.phase != "asked"]
    return totals, Counter(settled)


@pytest.mark.parametrize(
    ("keeps_remainder", "way"), [(False, "settle_part"), (True, "settle_keep_hold")]
)  # releaseHoldRemainder: true and false
def test_the_totals_are_those_of_our_own_books(keeps_remainder: bool, way: str) -> None:
    with tallystick.open("memory:") as ours:
        wanted, kept = told(ours.engine)
    world = World(sets={"Voucher": 400}, keeps_remainder=keeps_remainder)
    totals, settled = told(world.engine)
    assert totals == wanted
    assert settled == Counter({way: 20, "settle_last": 87})
    assert kept == Counter({"settle_keep_hold": 20, "settle_last": 87})
    assert totals["payment", "closed"]["redeemed"] == 678_305
    assert totals["gift_card", "issued"] == Counter(number=115, available=161_827, held=175_638, leaving=0, in_doubt=0)
    world.agree()
