"""Our pages are mutated by rule, and what is wrong with a page that only its author can know is found by its examples."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import Any

import pages
import pytest
from page_mutants import RULES, Change, alike, load, mutants, put
from same_mutants import SAME

from tallystick.definition import reader
from tallystick.definition.machine import Machines

# Pages that agree with themselves, and do something else than was meant: a guard is changed and what is refused with it,
# or a target, an amount, a fact or a follow-up that nothing else speaks of.
C, P, R, F, T = "gift_card", "payment", "replacement", "fulfilment", "tender"
MEANT_OTHERWISE: dict[str, tuple[str, Change]] = {
    "the least sale is refused": (C, alike("issue", "amount >= smallest", "amount > smallest")),
    "the limit itself is refused": (C, alike("issue", "amount <= limit", "amount < limit")),
    "a reload is not as small as a sale": (C, alike("reload", "amount >= smallest", "amount > smallest")),
    "a reload up to the limit is refused": (C, alike("reload", "+ amount <= limit", "+ amount < limit")),
    "a credit has no limit": (C, alike("credit", " and (limit == none or available + held + leaving + in_doubt + amount <= limit)", "")),
    "a promotion is paid out in cash": (C, alike("cash_out", 'kind != "promo" and ', "")),
    "cash for less than the limit only": (C, alike("cash_out", "available <= cash_out_limit", "available < cash_out_limit")),
    "any balance is paid out in cash": (C, alike("cash_out", "available <= cash_out_limit and ", "")),
    "a promotion can be reloaded": (C, alike("reload", 'kind == "gift" and ', "")),
    "the giver and nobody else has an owner": (C, alike("register", "not (alternate and giver)", "not (alternate or giver)")),
    "all that is there cannot be held": (C, alike("hold", "amount <= available", "amount < available")),
    "all that is there cannot be redeemed": (C, alike("redeem", "amount <= available", "amount < available")),
    "the whole of a use limit cannot be held": (C, alike("hold", "amount <= use_limit", "amount < use_limit")),
    "the last shipment is never all": (P, alike("settle_last", "amount <= held", "amount < held")),
    "not all can be refunded": (P, alike("refund", "amount <= redeemed", "amount < redeemed")),
    "not all can be refunded elsewhere": (P, alike("refund_to", "amount <= redeemed", "amount < redeemed")),
    "called off, and it counts as paid": (P, put("closed", "transitions", "cancel_requested", "to")),
    "declined, and it counts as called off": (P, put("reversed", "transitions", "redeem", "else")),
    "too little is approved, and it goes on": (P, put(None, "transitions", "authorize", "then")),
    "too little is redeemed, and it stands": (P, put(None, "transitions", "redeem", "then")),
    "what is kept held is released": (P, put("card.redeem_hold(amount=amount, release=held - amount, hold=hold_id, whole=held)", "transitions", "settle_keep_hold", "drive")),
    "an electronic sale waits for its money": (F, put("issue()", "transitions", "activate_first", "then")),
    "rejected, and it counts as sold": (F, put("cancelled", "transitions", "reject", "to")),
    "the last card is given back, not kept": (T, put({"requested": "0"}, "transitions", "close", "set")),
    "a refund leaves what the order wants": (T, put({"requested": "requested"}, "transitions", "want_less", "set")),
    "cards pay in part for who wants all": (T, alike("give_back", "not allow_partial or ", "")),
    "a small card is enough": (T, alike("authorize", "shares.total == requested", "shares.total <= requested")),
}  # fmt: skip


def meant_otherwise(name: str) -> tuple[Machines, str]:
    machine, change = MEANT_OTHERWISE[name]
    page: dict[str, Any] = deepcopy(load(pages.PAGES[f"{machine}.yaml"]))
    change(page)
    return reader.read({**pages.PAGES, f"{machine}.yaml": json.dumps(page)}), machine


@pytest.mark.parametrize("name", [
    pytest.param(each, marks=[pytest.mark.slow] if at % 5 else []) for at, each in enumerate(MEANT_OTHERWISE)
])  # fmt: skip
def test_what_only_its_author_can_know_is_found_by_an_example(name: str) -> None:
    assert pages.by_examples(*meant_otherwise(name))


@pytest.mark.slow
def test_each_rule_makes_mutants_of_our_pages() -> None:
    made = [each for text in pages.PAGES.values() for each in mutants(text)]
    assert len(made) > 2000
    assert {each.rule for each in made} == set(RULES)
    named = {str(each) for each in made}
    assert [each for each in SAME if each not in named] == []  # its page has changed: is its reason still one?


@pytest.mark.slow
def test_a_sample_of_them_is_found() -> None:
    """The whole is a matter of hours: `python tests/mutation/pages.py`. So this asks reader, examples and structure."""
    sample = pages.drawn(list(pages.MACHINES), 12, seed=1)
    finders = [pages.found_by(each, quick=True) for each in sample]
    counted = pages.figures(sample, finders)
    assert counted["mutants"] >= 8
    assert counted["survived"] <= 1, [str(each) for each, who in zip(sample, finders, strict=True) if who == "nothing"]


@pytest.mark.slow
def test_each_is_found_by_the_cheapest_that_can() -> None:
    made = mutants(pages.PAGES["fulfilment.yaml"])
    known = {re.sub(r"refuse\[\d+\]", "refuse", str(each)): each for each in made}  # wherever the sentence stands
    finders = {
        "review.to: left out": "examples",
        "ship_with_pin.when: left out": "structure",
        "refuse: without 'The steps before this one are missing.'": "structure",
    }
    found = {name: pages.found_by(known[f"fulfilment: {name}"], quick=True) for name in finders}
    assert found == finders
