"""An invariant may name facts: a cap that holds after a refund as before one, and what may stand where it never was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tallystick.check import check
from tallystick.check.model.explore import explore
from tallystick.cli.main import main
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.verify import verify
from tallystick.errors import MachineError
from tallystick.provider.local import LocalProvider
from tallystick.store.memory import MemoryStore
from tallystick.testing.fuzzing.fuzzer import fuzz
from tallystick.testing.referee import judge
from tallystick.testing.store_rows import rows_of

PURSE = """machine: purse
version: 1
summary: A purse that carries no more than it may.

facts:
  cap: {is: money?, says: The most that it may carry.}

accounts:
  inside: In it.
outside:
  shop: Earned.

states:
  open: {start: true, says: It is used.}
  gone: {final: true, says: It is empty and gone.}

commands:
  fill: {amount: money}
  spend: {amount: money}
  refund: {amount: money}
  close: {}

transitions:
  fill:
    from: open
    when: amount > 0 and (cap == none or inside + amount <= cap)
    move: {shop -> inside: amount}
  spend:
    from: open
    when: 0 < amount <= inside
    move: {inside -> shop: amount}
  refund:
    from: open
    when: amount > 0 and (cap == none or inside + amount <= cap)
    move: {shop -> inside: amount}
  close:
    from: open
    to: gone
    when: inside == 0

refuse:
  - {in: [open], commands: [fill, refund], when: amount <= 0, says: More than nothing.}
  - {in: [open], commands: [fill], when: amount > 0 and cap != none and inside + amount > cap, says: It is too much.}
  - {in: [open], commands: [refund], when: amount > 0 and cap != none and inside + amount > cap, says: It is too much.}
  - {in: [open], commands: [spend], when: amount <= 0 or amount > inside, says: It has less.}
  - {in: [open], commands: [close], when: inside > 0, says: It is not empty.}
  - {in: [gone], commands: [fill, spend, refund, close], says: It is gone.}

invariants:
  no_more_than_its_cap:
    says: It never carries more than it may, whichever way that came.
    always: cap == none or inside == 0 or inside <= cap   # a cap below zero lets nothing in
"""
# A refund that looks at no cap, in its guard and in what is refused: the page agrees with itself
UNCAPPED = PURSE.replace(
    "  refund:\n    from: open\n    when: amount > 0 and (cap == none or inside + amount <= cap)",
    "  refund:\n    from: open\n    when: amount > 0",
).replace(
    "  - {in: [open], commands: [refund], when: amount > 0 and cap != none and inside + amount > cap, says: It is too much.}\n",
    "",
)


def test_the_search_finds_what_passes_the_cap() -> None:
    machines = reader.read({"purse.yaml": UNCAPPED})
    assert check(reader.read({"purse.yaml": UNCAPPED.partition("\ninvariants:")[0]})).clean  # but for the invariant
    found, _ = explore(machines)
    assert [each.code for each in found] == ["TS201"]
    assert "'cap == none or inside == 0 or inside <= cap' is not true of p1 (cap " in found[0].message


def test_a_page_that_keeps_it_is_clean_and_check_says_how_far_that_goes() -> None:
    pytest.importorskip("z3")
    report = check(reader.read({"purse.yaml": PURSE}), prove=True)
    assert report.clean
    assert report.searched == ("purse.no_more_than_its_cap",)


@pytest.mark.slow
def test_the_command_line_says_it_too(tmp_path: Path) -> None:
    pytest.importorskip("z3")
    (tmp_path / "purse.yaml").write_text(PURSE, encoding="utf-8")
    done = CliRunner().invoke(main, ["check", str(tmp_path), "--prove"])
    assert "purse.no_more_than_its_cap names facts: it was tried with small amounts, and is not proved" in done.output
    told = json.loads(CliRunner().invoke(main, ["check", str(tmp_path), "--prove", "--json"]).output)
    assert told["searched"] == ["purse.no_more_than_its_cap"]


def test_fuzzing_finds_it() -> None:
    found = fuzz(reader.read({"purse.yaml": UNCAPPED}), "purse", examples=30).found
    assert found is not None
    assert found.code == "invariant:no_more_than_its_cap"
    assert fuzz(reader.read({"purse.yaml": PURSE}), "purse", examples=10).found is None


def test_verify_and_the_referee_look_at_it_in_books() -> None:
    store = MemoryStore()
    engine = Engine(reader.read({"purse.yaml": UNCAPPED}), store, LocalProvider())
    engine.execute("purse", "p", "create", {"currency": "BRL", "cap": "10.00"}, key="1")
    engine.execute("purse", "p", "fill", {"amount": "10.00"}, key="2")
    assert verify(engine.machines, store).findings == ()
    engine.execute("purse", "p", "refund", {"amount": "0.01"}, key="3")
    (found,) = verify(engine.machines, store).findings
    assert "'cap == none or inside == 0 or inside <= cap' is not true (inside 10.01)" in str(found)
    assert any("no_more_than_its_cap" in each for each in judge(rows_of(store)))


def test_a_sum_needs_a_name_of_its_own() -> None:
    page = PURSE.replace("    always: cap", "    sum: {cap: purse.x.inside}\n    always: cap")
    with pytest.raises(MachineError, match="'cap' is a fact already; the sum needs another name"):
        reader.read({"purse.yaml": page})
