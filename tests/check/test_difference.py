"""What a new version of a page changes, as sentences, and for whom."""

from __future__ import annotations

import re

import pytest

from core_world import MACHINES, PAGES, changed
from tallystick.check.difference import Difference, difference
from tallystick.definition import reader
from tallystick.definition.behaviour import digest_of
from tallystick.errors import Invalid


def compared(file: str, *changes: str) -> Difference:
    name = file.removesuffix(".yaml")
    return difference(MACHINES[name], reader.read(changed(file, *changes))[name])


# fmt: off
# page · what stands there, what is written instead, … · kind · sentences that are told · what becomes of entities in flight
CHANGES: list[tuple[str, list[str], str, list[str], list[str]]] = [
    ("payment.yaml", ["Asked for; nothing is held yet.", "Wanted."], "wording", [], []),
    ("payment.yaml", ["\nfacts:", "\n# A comment\nfacts:"], "wording", [], []),
    ("payment.yaml", ["      held -> redeemed: amount\n      held -> uncovered: held - amount\n", "      held -> uncovered: held - amount\n      held -> redeemed: amount\n"], "wording", [], []),
    ("payment.yaml", ["  order: {is: text, indexed: true}\n", "  order: {is: text, indexed: true, unique: true}\n"], "changes", ["two entities may no longer have the same order"], []),
    ("gift_card.yaml", ["    alike: true ", "    "], "changes", ["suspend happens to nobody else, not whoever has the same unique fact"], []),
    ("payment.yaml", ["invoice: text?", "invoice: text?, note: text?"], "adds", ["command settle takes note too, which is text, if any"], []),
    ("payment.yaml", ["  order: {is: text, indexed: true}\n", "  order: {is: text, indexed: true}\n  shop: text?\n"], "adds", ["fact shop is new"], []),
    ("payment.yaml", ["  order: {is: text, indexed: true}\n", "  order: {is: text, indexed: true}\n  shop: text\n"], "changes", ["fact shop is new and has to be given when an entity is made"], []),
    ("payment.yaml", ["    when: 0 < amount <= uncovered and held == 0", "    when: 0 < amount <= uncovered and held <= 0"], "changes",
     ["hold_again happens when '0 < amount <= uncovered and held <= 0', not '0 < amount <= uncovered and held == 0'"], []),
    ("payment.yaml", ["    move: {held -> uncovered: held}", "    move: {held -> card: held}"], "changes",
     ["mark_hold_lost moves held from held to card, not held from held to uncovered"],
     ["an open call of mark_hold_lost would lead elsewhere than when it was sent"]),
    ("payment.yaml", ["    to: partially_settled\n    when: 0 < amount < held and not last and keep_hold", "    to: advanced_hold\n    when: 0 < amount < held and not last and keep_hold"],
     "changes", ["settle_keep_hold leads to advanced_hold, not partially_settled"],
     ["an open call of settle_keep_hold would lead elsewhere than when it was sent"]),
    ("payment.yaml", ["{says: Earned by shipments., kept: true}", "Earned by shipments."], "changes", ["value may no longer stay on redeemed in a final state"], []),
    ("payment.yaml", ["  reversed: {final: true,", "  reversed: {"], "changes", ["state reversed is no longer final"], ["entities in reversed would have no way on"]),
    ("payment.yaml", ["when: amount > held > 0", "when: amount > held"], "changes",
     ["settle in authorized, partially_settled and advanced_hold is refused when amount > held",
      "settle in authorized, partially_settled and advanced_hold is no longer refused when amount > held > 0"], []),
    ("gift_card.yaml", ["driven: [receive, ", "driven: ["], "changes", ["command receive is no longer only given by another machine"], []),
    ("payment.yaml", ["  order: {is: text, indexed: true}\n", "  order: {is: text, indexed: true, unique: true}\n"], "changes", ["two entities may no longer have the same order"], []),
    ("fulfilment.yaml", ["  order: text\n", "  order: text?\n"], "changes", ["fact order is text, if any, not text"], []),
    ("fulfilment.yaml", ["    then: issue()\n  activate_first", "  activate_first"], "changes", ["activate_electronic queues nothing, not issue()"], []),
]
# fmt: on


@pytest.mark.parametrize(("file", "changes", "kind", "told", "flight"), CHANGES)
def test_a_change_is_told_as_sentences(
    file: str, changes: list[str], kind: str, told: list[str], flight: list[str]
) -> None:
    found = compared(file, *changes)
    assert found.kind == kind
    assert list(found.changes) == told
    assert list(found.in_flight) == flight
    name = file.removesuffix(".yaml")
    assert found.says.startswith(f"{name}, version {MACHINES[name].version}: ")
    assert ("give it another version" in found.says) == (kind in ("adds", "changes"))


def test_the_kind_follows_the_digest() -> None:
    """Wording is what leaves the digest as it is; everything else changes it."""
    for file, changes, kind, _, _ in CHANGES:
        name = file.removesuffix(".yaml")
        same = digest_of(reader.read(changed(file, *changes))[name]) == digest_of(MACHINES[name])
        assert same == (kind == "wording"), changes


def test_a_page_is_not_different_from_itself() -> None:
    for machine in MACHINES.values():
        found = difference(machine, machine)
        assert (found.kind, found.changes) == ("nothing", ())
        assert found.in_flight == ()


def test_what_is_gone_is_told_for_those_who_stand_there() -> None:
    page = PAGES["payment.yaml"].replace("hold_again", "cover_again").replace("advanced_hold", "covered")
    page = page.replace("uncovered", "owed").replace("version: 3", "version: 4")
    tender = PAGES["tender.yaml"].replace("payment.uncovered", "payment.owed")
    pages = {**PAGES, "payment.yaml": page, "tender.yaml": tender}
    for name in ("gift_card.yaml", "replacement.yaml", "fulfilment.yaml"):  # examples name what they drive
        pages[name] = re.sub(r"\bhold_again\b", "cover_again", pages[name].replace("uncovered", "owed"))
        pages[name] = pages[name].replace("advanced_hold", "covered")
    found = difference(MACHINES["payment"], reader.read(pages)["payment"])
    assert found.says == "payment, version 3 → 4: something runs differently"
    for said in (
        "entities in advanced_hold would stand nowhere: the state is gone",
        "value on uncovered would be lost from sight: the account is gone",
        "an open call of hold_again could not be answered: the transition is gone",
        "a queued hold_again could not be taken: the command is gone",
    ):
        assert said in found.in_flight
    for said in ("state advanced_hold is gone", "account owed is new", "transition cover_again is new"):
        assert said in found.changes


def test_two_machines_are_not_two_versions() -> None:
    with pytest.raises(Invalid, match="two versions of one machine are compared"):
        difference(MACHINES["payment"], MACHINES["gift_card"])
