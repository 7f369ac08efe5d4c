"""Pages: what is wrong with one is told with its place; the packaged ones are whole; folders, schema, digest."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from core_world import MACHINES, PACKAGED, PAGES, changed
from tallystick.definition import format, passes, reader
from tallystick.definition.behaviour import digest_of
from tallystick.definition.machine import Machine, Machines
from tallystick.definition.shapes import FileFaults
from tallystick.errors import Fault, Invalid, MachineError

# Two small machines that have one of everything. Faults are put into them below.
CARD = """\
machine: card
version: 3
summary: A card that can be used up.

facts:
  kind: [gift, promo]
  number: number?
  limit: {is: money?, says: The most on it.}
  was: {is: [live, shut], optional: true, later: true, says: Before it was shut.}

accounts:
  free: May be spent.
  held: Promised.
outside:
  shop: Where it is earned.
  sold: {}

states:
  blank: {start: true, says: Nothing on it.}
  live: {says: It can be spent.}
  shut: {says: Under review.}
  gone: {final: true, says: It is over.}

commands:
  load: {amount: money}
  hold: {amount: money, pin: secret?, allow_partial: flag}
  spend: {amount: money, note: text?}
  shut: {}
  end: {}

driven: [hold]

transitions:
  load:
    from: blank
    to: live
    when: amount > 0 and (limit == none or amount <= limit)
    ask: issue
    move: {sold -> free: amount}
  hold:
    from: live
    when: amount > 0 and (amount <= free or allow_partial)
    ask: hold
    partial: amount
    upto: free
    move: {free -> held: amount}
  spend_all:
    command: spend
    from: [live, shut]
    to: gone
    when: amount == held and free == 0
    ask: redeem_hold(amount=amount, release=0)
    move: {held -> shop: held}
  spend_some:
    command: spend
    from: [live, shut]
    when: 0 < amount < held
    ask: redeem_hold(amount=amount, release=0)
    move: {held -> shop: amount}
  shut:
    from: live
    to: shut
    ask: suspend
    set: {was: state}

refuse:
  - says: Nothing is on it.
    in: [blank]
    commands: [hold, spend, shut, end]
  - says: It is over.
    in: [gone]
    commands: [load, hold, spend, shut, end]

invariants:
  promised:
    says: Every cent is held for a tender.
    sum: {promised: tender.card.held}
    always: held == promised
""".replace("  sold: {}\n", "  sold: Where it was sold.\n")

TENDER = """\
machine: tender
version: 1
summary: What a card pays of one order.

facts:
  card: card
  tries: {is: count, default: 0}
  hold: {is: text?, later: true}

accounts:
  held: Promised by the card.
  earned: {says: Earned., kept: true}
outside:
  card: The card.

states:
  asked: {start: true, says: Nothing is held.}
  held: {says: Something is held.}
  over: {final: true, says: It is over.}
  no: {final: true, says: The card said no.}

commands:
  hold: {amount: money, pin: secret?}
  earn: {amount: money}
  again: {pin: secret?}
  give_to: {other: card}

transitions:
  hold:
    from: asked
    to: held
    else: no
    when: amount > 0
    drive: card.hold(amount=amount, pin=pin, allow_partial=true)
    move: {card -> held: amount}
    set: {hold: outcome.reference}
    then: earn(amount=held)
  earn:
    from: held
    to: over
    when: amount == held
    drive: card.spend(amount=amount, note="earned")
    move:
      held -> earned: amount
  give_to:
    from: over
    drive: other.load(amount=earned)
    move: {earned -> card: earned}
"""
SMALL = {"card.yaml": CARD, "tender.yaml": TENDER}
MARK = "¦"  # where the fault is; taken out before the page is read


SOUND = {*PAGES.values(), CARD, TENDER}
sound = lru_cache(lambda text: format.parse(text, FileFaults("")))


def read(pages: dict[str, str]) -> Machines:
    """As `reader.read`; pages that are as they were are composed once, because that takes most of the time."""

    def parse(text: str, faults: FileFaults) -> Any:
        return sound(text) if text in SOUND else format.parse(text, faults)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "parse", parse)
        return reader.read(pages)


def faults(pages: dict[str, str]) -> list[Fault]:
    with pytest.raises(MachineError) as caught:
        read(pages)
    assert str(caught.value) == "\n".join(str(fault) for fault in caught.value.faults)
    return list(caught.value.faults)


def place(text: str) -> tuple[str, str]:
    """The text without its mark, and line:column where it stood."""
    before, mark, after = text.partition(MARK)
    assert mark, "mark the place of the fault"
    return before + after, f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


# fmt: off
# what stands there · what is written instead, ¦ where the fault is · what is said
WRONG: dict[str, list[tuple[str, str, str]]] = {
    "keys": [
        ("summary: A card",      "¦sumary: x\nsummary: A card",      "unknown key 'sumary'. Did you mean 'summary'?"),
        ("driven: [hold]",       "¦drivn: [hold]\ndriven: [hold]",   "unknown key 'drivn'. Did you mean 'driven'?"),
        ("    ask: suspend",     "    ask: suspend\n    ¦mov: {free -> shop: free}", "unknown key 'mov'. Did you mean 'move'?"),
        ("    ask: suspend",     "    ask: suspend\n    ¦on: shut",  "unknown key 'on'."),
        ("{start: true, says: Nothing on", "{¦begin: true, start: true, says: Nothing on", "unknown key 'begin'."),
        ("{says: Earned., kept", "{says: Earned., ¦keep: true, kept", "unknown key 'keep'. Did you mean 'kept'?"),
        ("{is: count, default",  "{is: count, ¦defalt: 0, default",  "unknown key 'defalt'. Did you mean 'default'?"),
        ("    in: [gone]\n",     "    in: [gone]\n    ¦why: so\n",   "unknown key 'why'. Known: says, in, commands, when, first, over."),
        ("    always: held",     "    ¦alway: true\n    always: held", "unknown key 'alway'. Did you mean 'always'?"),
        ("version: 3",           "version: 3\n¦version: 4",          "the key 'version' is there twice, first in line 2"),
        ("  held: Promised.\n",  "  held: Promised.\n  ¦held: x\n",  "the key 'held' is there twice, first in line 13"),
        ("  live: {says: It",    "  live: {says: x}\n  ¦live: {says: It", "the key 'live' is there twice"),
        ("  spend: {amount: money,", "  load: {amount: money}\n  spend: {amount: money,".replace("load", "¦load"), "the key 'load' is there twice"),
        ("{amount: money, note", "{amount: money, ¦amount: count, note", "the key 'amount' is there twice"),
        ("  spend_some:\n",      "  ¦hold: {from: live}\n  spend_some:\n", "the key 'hold' is there twice"),
        ("    ask: suspend",     "    ask: suspend\n    ¦to: live",  "the key 'to' is there twice"),
        ("{free -> held: amount}", "{free -> held: amount, ¦free -> held: amount}", "the key 'free -> held' is there twice"),
        ("{was: state}",         "{was: state, ¦was: none}",         "the key 'was' is there twice"),
        ("{promised: tender",    "{promised: tender.card.held, ¦promised: tender", "the key 'promised' is there twice"),
        ("kind: [gift, promo]",  "? [kind]\n  : text\n  kind: [gift, promo]".replace("[kind]", "¦[kind]"), "this is a list, but a single value is needed here"),
    ],
    "missing keys": [
        ("machine: card\nversion: 3\n", "¦machine: card\n",          "the key 'version' is missing: counts up whenever"),
        ("machine: card\nversion: 3\nsummary: A card that can be used up.\n", "¦machine: card\nversion: 3\n", "the key 'summary' is missing: one sentence"),
        ("    from: live\n    when: amount > 0 and", "    ¦when: amount > 0 and", "the key 'from' is missing: the state it leaves"),
        ("  live: {says: It can be spent.}", "  live: ¦{}",           "the key 'says' is missing: what it means, for people"),
        ("{says: Earned., kept: true}", "¦{kept: true}",             "the key 'says' is missing"),
        ("{is: count, default: 0}", "¦{default: '0'}",               "the key 'is' is missing: its type"),
        ("    says: Every cent is held for a tender.\n    sum:", "    ¦sum:", "the key 'says' is missing: what it means, for people"),
        ("  - says: It is over.\n    in: [gone]\n", "  - ¦in: [gone]\n", "the key 'says' is missing: why, for people"),
        ("  - says: It is over.\n    in: [gone]\n    commands: [load, hold, spend, shut, end]\n", "  - ¦says: It is over.\n    in: [gone]\n", "the key 'commands' is missing"),
    ],
    "values": [
        ("version: 3",           "version: ¦0",                      "'0' is not a whole number: write 1 or more, without quotes"),
        ("version: 3",           "version: ¦-1",                     "'-1' is not a whole number"),
        ("version: 3",           "version: ¦1.5",                    "'1.5' is not a whole number"),
        ("version: 3",           "version: ¦'3'",                    "'3' is not a whole number"),
        ("version: 3",           "version: ¦three",                  "'three' is not a whole number"),
        ("version: 3",           "version: ¦03",                     "'03' is not a whole number"),
        ("version: 3",           "version: ¦1_000",                  "'1_000' is not a whole number"),
        ("version: 3",           "version: ¦12345678901",            "is not a whole number"),
        ("summary: A card that can be used up.", "summary: ¦''",     "a value is missing here"),
        ("summary: A card that can be used up.", "summary: ¦'  '",   "a value is missing here"),
        ("start: true, says: Nothing on", "start: ¦yes, says: Nothing on", "'yes' is neither true nor false"),
        ("start: true, says: Nothing on", "start: ¦'true', says: Nothing on", "'true' is neither true nor false"),
        ("kept: true",           "kept: ¦True",                      "'True' is neither true nor false"),
        ("optional: true, later", "optional: ¦1, later",             "'1' is neither true nor false"),
        ("machine: card\n",      "machine: ¦Card\n",                 "'Card' is not a name: use lower case letters, digits and _"),
        ("  load: {amount: money}\n", "  load: {amount: money}\n  ¦Load: {}\n", "'Load' is not a name"),
        ("  shut: {says: Under", "  ¦2shut: {says: x}\n  shut: {says: Under", "'2shut' is not a name"),
        ("kind: [gift, promo]",  "kind: [gift, ¦pro-mo]",            "'pro-mo' is not a name"),
        ("  number: number?\n",  "  number: number?\n  ¦größe: text\n", "'größe' is not a name"),
        ("  number: number?\n",  "  number: number?\n  ¦_x: text\n", "'_x' is not a name"),
        ("driven: [hold]",       "driven: ¦[]",                      "the list is empty; it needs at least one item"),
        ("    when: amount > 0\n", "    ¦when:\n",                   "a value is missing here"),      # nothing has no place: its key has
        ("  free: May be spent.", "  ¦free:",                        "a value is missing here"),
        ("summary: A card that can be used up.", "¦summary:",        "a value is missing here"),
        ("  end: {}",            "  ¦end:",                          "this is a single value, but a mapping is needed here"),
        ("says: It can be spent.", "says: ¦''",                     "a value is missing here"),
        ("says: It can be spent.", "says: ¦'  '",                   "a value is missing here"),
        ("    from: [live, shut]\n    to: gone", "    from: ¦[]\n    to: gone", "the list is empty; it needs at least one item"),
        ("    in: [gone]",       "    in: ¦[]",                      "the list is empty; it needs at least one item"),
        ("kind: [gift, promo]",  "kind: ¦[]",                        "the list is empty; it needs at least one item"),
    ],
    "kinds of nodes": [
        ("summary: A card that can be used up.", "summary: ¦{a: b}", "this is a mapping, but a single value is needed here"),
        ("machine: card",        "machine: ¦[card]",                 "this is a list, but a single value is needed here"),
        ("version: 3",           "version: ¦[3]",                    "this is a list, but a single value is needed here"),
        ("start: true, says: Nothing on", "start: ¦[true], says: Nothing on", "this is a list, but a single value is needed here"),
        ("driven: [hold]",       "driven: ¦hold",                    "this is a single value, but a list is needed here"),
        ("driven: [hold]",       "driven: ¦{hold: x}",               "this is a mapping, but a list is needed here"),
        ("  load: {amount: money}", "  load: ¦[amount]",             "this is a list, but a mapping is needed here"),
        ("  gone: {final: true, says: It is over.}", "  gone: ¦final", "this is a single value, but a mapping is needed here"),
        ("    move: {sold -> free: amount}", "    move: ¦sold -> free", "this is a single value, but a mapping is needed here"),
        ("{sold -> free: amount}", "{sold -> free: ¦[amount]}",      "this is a list, but a single value is needed here"),
        ("    set: {was: state}", "    set: ¦[was]",                 "this is a list, but a mapping is needed here"),
        ("    from: blank",      "    from: ¦{a: blank}",            "this is a mapping, but a single value is needed here"),
        ("    to: live",         "    to: ¦[live]",                  "this is a list, but a single value is needed here"),
        ("{amount: money, note", "{amount: {is: ¦{is: money}}, note", "this is a mapping, but a single value or a list is needed here"),
        ("{amount: money, note", "{amount: {is: money, ¦later: true}, note", "unknown key 'later'. Known: is, provider."),
        ("{amount: money, note", "{amount: ¦{provider: keeps_remainder}, note", "the key 'is' is missing: its type"),
        ("  free: May be spent.", "  free: ¦[a]",                    "this is a list, but a single value or a mapping is needed here"),
        ("  - says: Nothing is on it.\n    in: [blank]", "  - ¦blank\n  - says: Nothing is on it.\n    in: [blank]", "this is a single value, but a mapping is needed here"),
    ],
    "anchors and tags": [
        ("summary: A card",      "summary: ¦&a A card",              "&a: a page has no anchors; write the value itself"),
        ("summary: A card",      "summary: ¦!x A card",              "!x: a page has no tags; leave it out"),
        ("summary: A card",      "¦&a summary: A card",              "&a: a page has no anchors; write the value itself"),
        ("  - says: Nothing is on it.", "  - ¦&a says: Nothing is on it.", "&a: a page has no anchors"),
        ("kind: [gift, promo]",  "kind: ¦&k [gift, promo]",          "&k: a page has no anchors"),
        ("says: It can be",      "says: ¦&a It can be",              "&a: a page has no anchors; write the value itself"),
        ("says: It can be",      "says: ¦!x It can be",              "!x: a page has no tags; leave it out"),
        ("  blank: {start",      "  blank: ¦!!python/object:os.system {start", "a page has no tags; leave it out"),
        ("kind: [gift, promo]",  "kind: ¦!!set [gift, promo]",       "a page has no tags; leave it out"),
        ("says: It can be",      "says: ¦!<tag:example.com,2000:x> It can be", "tag:example.com,2000:x: a page has no tags; leave it out"),
        ("  blank: {start",      "  blank: ¦&b {start",              "&b: a page has no anchors"),
        ("  load: {amount",      "  ¦&l load: {amount",              "&l: a page has no anchors"),
        ("kind: [gift, promo]",  "kind: ¦!pair [gift, promo]",       "!pair: a page has no tags; leave it out"),
    ],
    "states": [
        ("  blank: {start: true,", "  ¦blank: {",                    "no state has start: true; an entity begins in exactly one state"),
        ("  blank: {start: true, says: Nothing on it.}\n  live: {", "  ¦blank: {start: true, says: Nothing on it.}\n  live: {start: true, ", "2 states have start: true"),
        ("    to: live",         "    to: ¦liv",                     "state 'liv' is not declared. Did you mean 'live'?"),
        ("    from: blank",      "    from: ¦blnk",                  "state 'blnk' is not declared. Did you mean 'blank'?"),
        ("from: [live, shut]\n    when", "from: [live, ¦shutt]\n    when", "state 'shutt' is not declared. Did you mean 'shut'?"),
        ("    else: no",         "    else: ¦nope",                  "state 'nope' is not declared. Did you mean 'no'?"),
        ("    from: blank",      "    from: ¦stay",                  "state 'stay' is not declared."),
        ("    in: [gone]",       "    in: [gone, ¦stay]",            "state 'stay' is not declared."),
        ("    from: over\n    drive: other", "    from: ¦over\n    else: held\n    drive: other", "'over' is final, but 'give_to' leads out of it to 'held'"),
        ("    in: [gone]",       "    in: [gone, ¦ended]",           "state 'ended' is not declared. Known: blank, live, shut, gone."),
        ("    from: live\n    to: shut", "    from: ¦[live, gone]\n    to: shut", "'gone' is final, but 'shut' leads out of it to 'shut'"),
        ("    from: held\n    to: over", "    from: ¦no\n    to: over", "'no' is final, but 'earn' leads out of it to 'over'"),
        ("  live: {says: It",    "  live: {goes_on: ¦fre > 0, says: It", "'fre' is not declared. Did you mean 'free'?"),
        ("  live: {says: It",    "  live: {goes_on: ¦free, says: It", "a guard has to be true or false"),
        ("  live: {says: It",    "  live: {goes_on: ¦amount > 0, says: It", "'amount' is not declared."),
        ("driven: [hold]", "driven: [hold]\nusual: [¦live]", "begins with 'live', which is not the start"),
        ("driven: [hold]", "driven: [hold]\nusual: [blank, ¦gone]", "no transition leads from 'blank' to 'gone'"),
        ("driven: [hold]", "driven: [hold]\nusual: [blank, ¦lve]", "state 'lve' is not declared. Did you mean 'live'?"),
        ("driven: [hold]", "driven: [hold]\ngroups: {new: [blank], old: [¦blank]}", "'blank' stands under 'new' already"),
        ("driven: [hold]", "driven: [hold]\ngroups: {new: [¦blan]}", "state 'blan' is not declared. Did you mean 'blank'?"),
        ("driven: [hold]", "driven: [hold]\nusual: [blank, ¦blank]", "'blank' is on the usual way already"),
    ],
    "commands": [
        ("    command: spend\n    from: [live, shut]\n    to", "    command: ¦spent\n    from: [live, shut]\n    to", "command 'spent' is not declared. Did you mean 'spend'?"),
        ("  shut:\n    from",    "  ¦shutt:\n    from",              "command 'shutt' is not declared. Did you mean 'shut'?"),
        ("driven: [hold]",       "driven: [hold, ¦lod]",             "command 'lod' is not declared. Did you mean 'load'?"),
        ("    commands: [hold, spend, shut, end]", "    commands: [hold, spend, shut, end, ¦refund]", "command 'refund' is not declared."),
        ("    command: spend\n    from: [live, shut]\n    when", "    command: [spend, ¦spnd]\n    from: [live, shut]\n    when", "command 'spnd' is not declared."),
        ("    command: spend\n    from: [live, shut]\n    when", "    command: [spend, ¦spend]\n    from: [live, shut]\n    when", "'spend' is listed twice"),
        ("  end: {}",            "  end: {}\n  ¦state: {}",          "'state' is a reserved word"),
        ("  end: {}",            "  end: {}\n  ¦create: {}",         "'create' is built in: it makes an entity in its start state"),
        ("  spend_some:\n    command: spend\n", "  ¦spend_some:\n    command: [spend, end]\n", "its commands take different arguments; write a transition for each"),
        ("    in: [gone]\n",     "    in: [gone, ¦live]\n",          "'hold' in 'live' is answered by 'hold'; to refuse some values of it"),
        ("    in: [gone]\n    commands: [load, hold, spend, shut, end]", "    in: [gone, ¦blank]\n    commands: [end]", "'end' in 'blank' is refused already"),
        ("    in: [gone]\n    commands: [load, hold, spend, shut, end]", "    in: [gone, ¦blank]\n    commands: [end]\n    when: free > 0", "'end' in 'blank' is refused already"),
        ("    in: [gone]\n    commands: [load, hold, spend, shut, end]", "    in: [gone]\n    when: ¦amont > 0\n    commands: [load, hold]", "'amont' is not declared. Did you mean 'amount'?"),
        ("    in: [gone]\n    commands: [load, hold, spend, shut, end]", "    in: [gone]\n    when: ¦allow_partial\n    commands: [load, hold]", "'allow_partial' is not declared."),
        ("    in: [gone]\n    commands: [load, hold, spend, shut, end]", "    in: [gone]\n    when: ¦amount\n    commands: [load, hold]", "a guard has to be true or false"),
    ],
    "accounts": [
        ("  shop: Where it is earned.",    "  shop: {says: Earned., by: [spend, ¦spnd]}", "command 'spnd' is not declared. Did you mean 'spend'?"),
        ("  shop: Where it is earned.",    "  shop: ¦{by: [spend]}",           "the key 'says' is missing: what value from it or to it means"),
        ("  shop: Where it is earned.",    "  shop: {says: Earned., ¦buy: [spend]}", "unknown key 'buy'. Did you mean 'by'?"),
        ("{sold -> free: amount}", "{¦sold -> fre: amount}",         "account 'fre' is not declared in card. Did you mean 'free'?"),
        ("{sold -> free: amount}", "{¦sld -> free: amount}",         "account 'sld' is not declared in card. Did you mean 'sold'?"),
        ("{sold -> free: amount}", "{¦sold -> shop: amount}",        "'sold -> shop' touches no account of the machine; one side has to be inside"),
        ("{free -> held: amount}", "{¦free -> free: amount}",        "'free -> free' moves nothing: source and target are the same"),
        ("{free -> held: amount}", "{¦free > held: amount}",         "'free > held' is not a move: write source -> target: amount"),
        ("{free -> held: amount}", "{¦free ->: amount}",             "'free ->' is not a move"),
        ("{free -> held: amount}", "{¦-> held: amount}",             "'-> held' is not a move"),
        ("{free -> held: amount}", "{¦free -> in_doubt: amount}",    "no page moves in_doubt: value stands there only while a call is open"),
        ("{free -> held: amount}", "{¦in_doubt -> free: amount}",    "no page moves in_doubt"),
        ("  shop: Where",        "  ¦free: x\n  shop: Where",        "'free' is an account inside the machine already; choose another name"),
        ("  shop: Where",        "  ¦in_doubt: x\n  shop: Where",    "'in_doubt' is an account inside the machine already; choose another name"),
    ],
    "names of their own": [
        *(("  free: May be spent.\n", f"  free: May be spent.\n  ¦{name}: x\n", f"'{name}' is a reserved word")
          for name in ("id", "state", "version", "currency", "in_doubt", "outcome", "none", "and", "if", "lambda", "class", "is", "import")),
        *(("  number: number?\n", f"  number: number?\n  ¦{name}: text\n", f"'{name}' is a reserved word")
          for name in ("id", "machine_version", "hash", "calls", "changing", "created", "true", "in", "yield", "pass")),
        *(("{amount: money, note", f"{{¦{name}: text?, amount: money, note", f"'{name}' is a reserved word")
          for name in ("state", "currency", "in_doubt", "false", "not", "while", "return")),
        *(("machine: tender\n", f"machine: ¦{name}\n", f"'{name}' is a reserved word")
          for name in ("entry", "posting", "call", "queue", "machine", "transition", "text", "money", "sqlite_tender")),
        ("  number: number?\n",  "  number: number?\n  ¦free: text\n", "'free' is declared already; choose another name"),
        ("{amount: money, note", "{¦held: money, amount: money, note", "argument 'held' has the name of an account"),
        ("{amount: money, note", "{¦number: text, amount: money, note", "argument 'number' is text, but the fact of that name is number, if any"),
        ("{amount: money, note", "{¦kind: [gift], amount: money, note", "argument 'kind' is one of gift, but the fact of that name is one of gift, promo"),
    ],
    "types": [
        ("  number: number?\n",  "  number: ¦numbr?\n",              "'numbr' is neither a type nor a machine. Did you mean 'number'?"),
        ("  card: card\n",       "  card: ¦crd\n",                   "'crd' is neither a type nor a machine. Did you mean 'card'?"),
        ("{other: card}",        "{other: ¦cart}",                   "'cart' is neither a type nor a machine."),
        ("{amount: money, note", "{amount: ¦float, note",            "'float' is neither a type nor a machine."),
        ("allow_partial: flag}", "allow_partial: {is: ¦flg}}",       "'flg' is neither a type nor a machine. Did you mean 'flag'?"),
        ("allow_partial: flag}", "allow_partial: {is: flag, provider: ¦keeps_rest}}", "'keeps_rest' is no ability of a provider. Did you mean 'keeps_remainder'?"),
        ("pin: secret?, allow",  "pin: {is: secret?, provider: ¦keeps_remainder}, allow", "what a provider can do is a flag, but this is secret, if any"),
        ("  number: number?\n",  "  number: ¦number??\n",            "'number?' is neither a type nor a machine."),
        ("  number: number?\n",  "  number: ¦Number\n",              "'Number' is neither a type nor a machine."),
        ("{is: count, default: 0}", "{is: count, default: ¦x}",      "the default 'x' does not fit the type, which is count"),
        ("{is: count, default: 0}", "{is: count, default: ¦-1}",     "the default '-1' does not fit the type, which is count"),
        ("{is: count, default: 0}", "{is: money, default: ¦5}",      "the default '5' does not fit the type, which is money"),
        ("{is: count, default: 0}", "{is: count, default: ¦1234567890123456}", "the default '1234567890123456' does not fit the type, which is count"),
        ("{is: count, default: 0}", "{is: count, default: ¦٣}",      "the default '٣' does not fit the type, which is count"),
        ("{is: count, default: 0}", "{is: flag, default: ¦maybe}",   "the default 'maybe' does not fit the type, which is flag"),
        ("{is: count, default: 0}", "{is: [a, b], default: ¦c}",     "'c' is not one of its choices. Known: a, b."),
        ("{is: count, default: 0}", "{is: card, default: ¦c1}",      "the default 'c1' does not fit the type, which is card"),
        ("{is: count, default: 0}", "{is: text?, later: true, default: ¦x}", "an optional fact is none until it is set; leave the default out"),
        ("  hold: {is: text?, later: true}", "  ¦hold: {is: text, later: true}", "'hold' is set later, so it has to be optional ('?') or have a default"),
    ],
    "expressions": [
        ("    when: amount > 0\n", "    when: ¦amout > 0\n",         "in 'amout > 0': 'amout' is not declared. Did you mean 'amount'?"),
        ("    when: amount > 0\n", "    when: amount > ¦5\n",        "money cannot be compared with or added to the bare number 5"),
        ("    when: amount > 0\n", "    when: amount > ¦hold\n",     "hold may be missing"),
        ("    when: amount > 0\n", "    when: amount > ¦tries\n".replace("amount > ¦", "¦amount > "), "amount is money, and tries is count: their units differ"),
        ("    when: amount > 0\n", "    when: amount > 0 and ¦card\n", "card is card; true or false is needed here"),
        ("    when: amount > 0\n", "    when: amount > 0 and ¦pin != none\n", "pin is a secret: it may only be passed on"),
        ("    when: amount > 0\n", "    when: ¦amount\n",            "'amount' is money, but a guard has to be true or false"),
        ("    when: amount > 0\n", "    when: ¦max(amount, 0) > 0\n", "max(amount, 0) is not allowed in an expression"),
        ("    when: amount > 0\n", "    when: '¦amout > 0'\n",       "'amout' is not declared."),
        ("    when: amount > 0\n", "    when: \"tries == 0 and ¦amout > 0\"\n", "'amout' is not declared."),
        ("    when: amount > 0\n", "    when: amount > 0 and state == ¦\"held\"\n", "'held' is not one of its choices. Known: asked."),
        ("    when: amount > 0\n", "    when: |¦\n      amout > 0\n".replace("|¦", "¦|"), "'amout' is not declared."),
        ("    when: amount > 0\n", "    when: ¦tries == tries in [0]\n", "'in' cannot be chained with other comparisons"),
        ("    when: amount > 0\n", "    when: state == \"asked\" and \"é\" != ¦amout\n", "'amout' is not declared."),
        ("    when: amount > 0\n", "    when: ¦amount > 0 and\n      amout > 0\n", "'amout' is not declared."),     # folded: where it begins
        ("    when: amount > 0\n", f"    when: ¦amount > {'-' * 250}held\n", "it is nested too deeply; use fewer parentheses"),
        ("    when: amount > 0\n", f"    when: ¦{'not ' * 30}true\n", "it is nested too deeply; use fewer parentheses"),
        ("    when: amount > 0\n", f"    when: ¦amount > held{' + held' * 100}\n", "an expression has at most 500 characters"),
        ("    upto: free",       "    upto: ¦kind",                  "'kind' is one of gift, promo, but an amount has to be money, if any"),
        ("    upto: free",       "    upto: ¦limit",                 "'limit' may be missing; one amount of 'upto' has to be there always"),
        ("    upto: free",       "    upto: [free, ¦kind]",          "'kind' is one of gift, promo, but an amount has to be money, if any"),
        ("{held -> shop: amount}", "{held -> shop: ¦note}",          "'note' is text, if any, but an amount has to be money"),
        ("{held -> shop: amount}", "{held -> shop: ¦5}",             "'5' is a bare number, but an amount has to be money"),
        ("{held -> shop: amount}", "{held -> shop: held - ¦fre}",    "'fre' is not declared. Did you mean 'free'?"),
        ("{was: state}",         "{¦wass: state}",                   "fact 'wass' is not declared. Did you mean 'was'?"),
        ("{was: state}",         "{was: ¦kind}",                     "'kind' is one of gift, promo, but fact 'was' has to be one of live, shut, if any"),
        ("{was: state}",         "{was: '¦\"blank\"'}",              "'\"blank\"' is the choice 'blank', but fact 'was' has to be"),
        ("{was: state}",         "{limit: ¦free}",                   "'free' is not declared."),        # accounts are not facts
        ("{hold: outcome.reference}", "{hold: ¦outcome.id}",         "'outcome.id' is not declared. Did you mean"),
        ("{hold: outcome.reference}", "{tries: ¦outcome.reference}", "'outcome.reference' is text, if any, but fact 'tries' has to be count"),
        ("    always: held == promised", "    always: held == ¦promisd", "'promisd' is not declared. Did you mean 'promised'?"),
        ("    always: held == promised", "    always: ¦held",        "'held' is money, but a statement has to be true or false"),
        ("{promised: tender.card.held}", "{promised: ¦tender.card}", "'tender.card' is not a sum: write machine.fact.account."),
        ("{promised: tender.card.held}", "{promised: ¦tendr.card.held}", "is not a sum: write machine.fact.account. Did you mean 'tender'?"),
        ("{promised: tender.card.held}", "{promised: ¦tender.hold.held}", "tender has no fact 'hold' that links to a card. Known: card."),
        ("{promised: tender.card.held}", "{promised: ¦tender.card.hold}", "account 'hold' is not declared in tender. Did you mean 'held'?"),
    ],
    "drives, asks and follow-ups": [
        ("drive: card.spend(amount=amount, note=\"earned\")", "drive: ¦crd.spend(amount=amount)", "'crd' is not a fact or argument that is a link. Did you mean 'card'?"),
        ("drive: card.spend(amount=amount, note=\"earned\")", "drive: ¦hold.spend(amount=amount)", "'hold' is not a fact or argument that is a link"),
        ("drive: card.spend(amount=amount, note=\"earned\")", "drive: ¦spend(amount=amount)", "'spend' is not a fact or argument that is a link"),
        ("drive: other.load(amount=earned)", "drive: ¦othr.load(amount=earned)", "'othr' is not a fact or argument that is a link. Did you mean 'other'?"),
        ("note=\"earned\"",      "nte=¦\"earned\"",                  "card.spend takes no argument 'nte'. Did you mean 'note'?"),
        ("drive: card.spend(",   "drive: ¦card.spnd(",               "card has no command 'spnd'. Did you mean 'spend'?"),
        ("drive: card.spend(amount=amount, note=\"earned\")", "drive: ¦card.spend(note=\"earned\")", "card.spend needs the argument 'amount', which is money"),
        ("drive: card.spend(amount=amount, note=\"earned\")", "drive: ¦card.spend", "card.spend needs the argument 'amount', which is money"),
        ("card.spend(amount=amount,", "card.spend(amount=¦tries,",   "'tries' is count, but argument 'amount' of card.spend has to be money"),
        ("card.spend(amount=amount,", "card.spend(amount=¦1,",       "'1' is a bare number, but argument 'amount' of card.spend has to be money"),
        ("card.spend(amount=amount,", "card.spend(amount=held - ¦hld,", "in 'held - hld': 'hld' is not declared."),
        ("note=\"earned\"",      "note=¦amount",                     "'amount' is money, but argument 'note' of card.spend has to be text, if any"),
        ("drive: card.spend(amount=amount, note=\"earned\")", "drive: ¦card.spend(amount)", "give every argument by its name, such as amount=held"),
        ("drive: card.spend(amount=amount, note=\"earned\")", "drive: ¦card.spend(**amount)", "give every argument by its name, such as amount=held"),
        ("drive: card.spend(amount=amount, note=\"earned\")", "drive: ¦card.spend(amount=amount", "is not a call: write name(argument=value) or link.name(argument=value)"),
        ("drive: card.spend(amount=amount, note=\"earned\")", "drive: ¦card.card.spend(amount=amount)", "is not a call"),
        ("drive: card.spend(amount=amount, note=\"earned\")", "drive: ¦card + spend", "is not a call"),
        ("drive: card.spend(amount=amount, note=\"earned\")", "drive: ¦card.spend(amount=amount, amount=held)", "argument 'amount' is given twice"),
        ("drive: card.spend(amount=amount,", f"drive: ¦card.spend(amount={'-' * 60000}amount,", "is not a call"),
        ("drive: card.spend(amount=amount,", f"drive: card.spend(amount=¦{'-' * 60}amount,", "it is nested too deeply; use fewer parentheses"),
        ("note=\"earned\")",     "note=¦pin)",                       "'pin' is not declared."),
        ("    ask: suspend",     "    ask: ¦5",                      "'5' is not a call"),
        ("    ask: suspend",     "    ask: ¦suspnd",                 "the provider has no verb 'suspnd'. Did you mean 'suspend'?"),
        ("    ask: suspend",     "    ask: ¦card.suspend",           "the provider has no verb 'suspend'."),
        ("    ask: suspend",     "    ask: suspend(why=¦1)",         "the provider's suspend takes no argument 'why'."),
        ("    ask: suspend",     "    ask: ¦adjust",                 "the provider's adjust needs the argument 'amount', which is money"),
        ("    ask: issue",       "    ask: issue(amount=¦kind)",     "'kind' is one of gift, promo, but argument 'amount' of the provider's issue has to be money"),
        ("then: earn(amount=held)", "then: ¦earnn(amount=held)",     "command 'earnn' is not declared. Did you mean 'earn'?"),
        ("then: earn(amount=held)", "then: ¦card.spend(amount=held)", "command 'spend' is not declared."),
        ("then: earn(amount=held)", "then: ¦earn()",                 "earn needs the argument 'amount', which is money"),
        ("then: earn(amount=held)", "then: earn(amount=¦tries)",     "'tries' is count, but argument 'amount' of earn has to be money"),
        ("then: earn(amount=held)", "then: [earn(amount=held), ¦5]", "'5' is not a call"),
        ("then: earn(amount=held)", "then: earn(amount=held) at ¦held", "'held' is money, but a time has to be time, if any"),
        ("then: earn(amount=held)", "then: earn(amount=held) at ¦later", "'later' is not declared."),
        ("then: earn(amount=held)", "then: earn(amount=held) after ¦a month", "'a month' is no delay: write 30 days, 12 hours or 10 minutes"),
        ("then: earn(amount=held)", "then: earn(amount=held) after ¦0 days when held > 0", "'0 days' is no delay"),
    ],
    "secrets": [
        ("  hold: {is: text?, later: true}", "  hold: {is: ¦secret?, later: true}", "'hold' would store a secret; a secret may only be passed on"),
        ("  number: number?\n",  "  number: number?\n  code: ¦secret\n", "'code' would store a secret"),
        ("{hold: outcome.reference}", "{hold: ¦pin}",                "'pin' is secret, if any, but fact 'hold' has to be"),
        ("then: earn(amount=held)", "then: ¦again(pin=pin)",         "again(pin=…) would store a secret in the queue"),
        ("    ask: redeem_hold(amount=amount, release=0)\n    move: {held -> shop: held}", "    ask: redeem_hold(amount=amount, release=0, hold=¦pin)\n    move: {held -> shop: held}", "'pin' is not declared."),
        ("allow_partial=true)",  "allow_partial=true, note=¦pin)",           "card.hold takes no argument 'note'."),
    ],
    "one call": [
        ("drive: card.hold(amount=amount, pin=pin, allow_partial=true)", "drive: ¦[\"card.hold(amount=amount, pin=pin)\", \"card.shut()\"]", "'hold' makes 2 calls; a command may make only one, so that one answer ends it"),
        ("    drive: card.spend(amount=amount, note=\"earned\")", "    ask: suspend\n    drive: ¦card.spend(amount=amount)", "'earn' makes 2 calls"),
        ("    to: shut\n    ask: suspend", "    to: shut\n    else: ¦live", "'shut' makes no call, so nothing can be declined; leave 'else' out"),
        ("drive: card.hold(amount=amount, pin=pin, allow_partial=true)", "partial: ¦amount\n    drive: card.hold(amount=amount, pin=pin)", "'partial' needs an 'ask': only a provider can confirm less"),
        ("    partial: amount",  "    partial: ¦amont",              "'amont' is not an argument of type money. Did you mean 'amount'?"),
        ("    partial: amount",  "    partial: ¦allow_partial",              "'allow_partial' is not an argument of type money."),
        ("    partial: amount\n    upto: free\n", "    upto: ¦free\n", "'upto' cuts the argument that 'partial' names, and there is no 'partial'"),
        ("    upto: free\n    move: {", "    upto: free\n    to: gone\n    move: ¦{", "may be confirmed in part; the rest would stay on 'free' in a final state"),
        ("    move: {free -> held: amount}", "    move: ¦{free -> held: free}", "'hold' may be confirmed in part, so every move must be of 'amount', not of 'free'"),
        ("    move: {free -> held: amount}", "    move: ¦{free -> held: amount, held -> shop: amount - 0}", "not of 'amount - 0'"),
        ("    move: {card -> held: amount}", "    move: ¦{card -> held: amount + held}", "'hold' may be confirmed in part, so every move must be of 'amount', not of 'amount + held'"),
        ("drive: card.hold(amount=amount, pin=pin, allow_partial=true)\n    move: {card -> held: amount}", "drive: ¦card.hold(amount=amount - held, pin=pin)", "card.hold may be confirmed in part: its 'amount' has to be an argument of this command"),
        ("drive: card.hold(amount=amount, pin=pin, allow_partial=true)\n    move: {card -> held: amount}", "drive: ¦card.hold(amount=held, pin=pin)", "has to be an argument of this command"),
    ],
}
# fmt: on
ROWS = [pytest.param(*row, id=f"{topic}-{row[2][:60]}") for topic, rows in WRONG.items() for row in rows]


def broken(old: str, new: str) -> tuple[dict[str, str], str]:
    """The two small pages with one change, and file:line:column of the mark."""
    file = next(file for file, text in SMALL.items() if old in text)
    text, where = place(SMALL[file].replace(old, new, 1))
    return {**SMALL, file: text}, f"{file}:{where}"


def test_the_small_machines_are_sound() -> None:
    assert set(reader.read(SMALL)) == {"card", "tender"}


@pytest.mark.parametrize(("old", "new", "says"), ROWS)
def test_a_fault_is_told_with_its_place(old: str, new: str, says: str) -> None:
    pages, where = broken(old, new)
    told = faults(pages)
    assert any(str(each).startswith(f"{where}: ") and says in each.message for each in told), told


# fmt: off
# what a second reader found: what stands there · what is written instead, ¦ where the fault is · what is said
FOUND_LATER: list[tuple[str, str, str]] = [
    ("summary: A card",         "summary: ¦!!str A card",            "a page has no tags; leave it out"),
    ("version: 1",              "version: ¦!!int 1",                 "a page has no tags; leave it out"),
    ("kind: [gift, promo]",     "kind: ¦!!seq [gift, promo]",        "a page has no tags; leave it out"),
    ("{says: Earned., kept",    "¦!!map {says: Earned., kept",       "a page has no tags; leave it out"),
    ("{says: Earned., kept",    "{¦!!str says: Earned., kept",       "a page has no tags; leave it out"),
    ("  held: {says: Something", "  ¦stay: {says: x}\n  held: {says: Something", "'stay' means that the state does not change"),
    ("transitions:\n  hold:\n    from: asked", "driven: [earn]\ntransitions:\n  hold:\n    from: asked", "'earn' is driven: only another machine gives it"),
    ("sum: {promised: tender.card.held}\n    always: held == promised", "sum: {¦free: tender.card.held}\n    always: held == free", "'free' is an account already"),
    ("drive: card.spend(amount=amount, note=\"earned\")", "drive: ¦>\n      card.spend(\n      amount=amount, note=pin)", "'pin' is not declared."),
    ("  number: number?\n",     "  number: {is: number?, unique: true}\n  other: {is: text?, unique: ¦true}\n", "a machine may have one unique fact"),
    ("{is: count, default",     "{is: count, unique: ¦true, default", "only a number or a text may be unique"),
    ("    ask: suspend",        "    alike: ¦true\n    ask: suspend", "card has no unique fact; 'alike' needs one"),
    ("  card: card\n",          "  card: {is: card, in: [¦liv]}\n",    "card has no state 'liv'. Did you mean 'live'?"),
    ("  card: card\n",          "  card: {is: card, same: [¦numbr]}\n", "card has no fact 'numbr'. Did you mean 'number'?"),
    ("  card: card\n",          "  card: {is: card, same: [¦kind]}\n", "there is no fact 'kind' here that could be the same"),
    ("{is: count, default",     "{is: count, same: ¦[kind], default", "'same' says something of a linked entity, and this is"),
    ("driven: [hold]",          "driven: [hold]\nowed: [¦lod]",      "command 'lod' is not declared. Did you mean 'load'?"),
    ("driven: [hold]",          "driven: [hold]\nsigned: [¦lod]",    "command 'lod' is not declared. Did you mean 'load'?"),
]
# fmt: on


@pytest.mark.parametrize(("old", "new", "says"), FOUND_LATER)
def test_a_fault_that_was_once_let_through(old: str, new: str, says: str) -> None:
    if "driven: [earn]" in new:  # the fault is where it is queued
        pages, where = broken("then: earn(amount=held)", "then: ¦earn(amount=held)")
        pages = {name: text.replace(old, new) for name, text in pages.items()}
        file, line, column = where.split(":")
        where = f"{file}:{int(line) + 1}:{column}"
    else:
        pages, where = broken(old, new)
    told = faults(pages)
    assert any(str(each).startswith(f"{where}: ") and says in each.message for each in told), told


@pytest.mark.parametrize(
    ("old", "new"),
    [("  limit: {is: money?", "  limit: {is: mony?"), ("  card: card\n", "  card: crad\n"), ("hold: {amount: money, pin", "hold: {amount: mony, pin"),
     ("  number: number?\n", "  number: nmber?\n"), ("{is: count, default", "{is: cout, default")],
)  # fmt: skip
def test_one_unknown_type_is_one_fault(old: str, new: str) -> None:
    pages = {"card.yaml": CARD, "tender.yaml": TENDER}
    found = [name for name, text in pages.items() if old in text]
    assert found, old
    told = faults({**pages, found[0]: pages[found[0]].replace(old, new, 1)})
    assert len(told) == 1, told
    assert "is neither a type nor a machine" in told[0].message


# fmt: off
# what stands there · what may be written as well
SOUND_TOO: list[tuple[str, str]] = [
    ("    from: [live, shut]\n    when", "    from: [live, shut]\n    to: stay\n    when"),
    ("    command: spend\n    from: [live, shut]\n    when", "    command: [spend]\n    from: [shut, live]\n    when"),
    ("    from: blank",         "    from: [blank]"),
    ("    from: blank",         '    "from": "blank"'),
    ("{is: count, default: 0}", "{is: money, default: 0}"),
    ("{is: count, default: 0}", "{is: count, default: 999999999999999}"),
    ("{is: count, default: 0}", "{is: flag, default: false}"),
    ("{is: count, default: 0}", "{is: text, default: none yet}"),
    ("{is: count, default: 0}", "{is: [a, b], default: b}"),
    ("{is: count, default: 0}", "{is: [a, b], optional: true}"),
    ("  number: number?",       "  number: number"),
    ("    ask: suspend",        "    ask: suspend()"),
    ("then: earn(amount=held)", "then: [earn(amount=held), earn(amount=held - held)]"),
    ("    when: amount > 0\n",  "    when: >\n      amount > 0\n      and tries == 0\n"),
    ("says: It is over.",       "says: no"),             # a text, and not false
]
# fmt: on


@pytest.mark.parametrize(("old", "new"), SOUND_TOO)
def test_what_may_be_written_as_well(old: str, new: str) -> None:
    file = next(file for file, text in SMALL.items() if old in text)
    assert set(read({**SMALL, file: SMALL[file].replace(old, new, 1)})) == {"card", "tender"}


# --- a page that is no page

HEAD = "machine: x\nversion: 1\nsummary: x\n"
TAIL = "states: {a: {start: true, says: x}}\ncommands: {}\ntransitions: {}\n"

# fmt: off
# the page, ¦ where the fault is · what is said
NO_PAGE: list[tuple[str, str]] = [
    ("¦",                                                  "the page is empty"),
    ("¦\n\n# nothing but a comment\n",                     "the page is empty"),
    ("¦- machine: x\n",                                    "this is a list, but a mapping is needed here"),
    ("¦machine",                                           "this is a single value, but a mapping is needed here"),
    ("¦{}",                                                "the key 'machine' is missing: its name"),
    ("machine: x\n¦\tversion: 1\n",                        "this is not YAML: found character '\\t' that cannot start any token"),
    ("machine: x\nsummary: a¦: b\n",                       "this is not YAML: mapping values are not allowed here"),
    ("machine: [a\nversion¦: 1\n",                         "this is not YAML: "),
    ("machine: {a: b\n¦",                                  "this is not YAML: "),
    ("summary: \"never closed\n¦",                         "this is not YAML: found unexpected end of stream"),
    ("machine: x\n  version¦: 1\n",                        "this is not YAML: mapping values are not allowed here"),
    ("machine: x\n version¦: 1\n - a\n",                   "this is not YAML: "),
    ("machine: x\nversion\n¦summary: x\n",                 "this is not YAML: could not find expected ':'"),
    ("machine: ¦*x\n",                                     "this is not YAML: found undefined alias 'x'"),
    ("machine: ¦!q!x y\n",                                 "this is not YAML: found undefined tag handle '!q!'"),
    ("machine: ¦@x\n",                                     "this is not YAML: found character '@' that cannot start any token"),
    ("machine: ¦%x\n",                                     "this is not YAML: found character '%' that cannot start any token"),
    ("machine: x\n¦---\nmachine: y\n",                     "this is not YAML: but found another document"),
    ("¦machine: x\nsummary: a\x07b\n",                     "this is not YAML: unacceptable character #x0007"),
    ("¦a: " + "[" * 700,                                  "this is not YAML: "),
    ("¦a: " + "{a: " * 700,                               "this is not YAML: "),
    ("¦<<: {machine: x}\n",                                "unknown key '<<'"),
    (HEAD + "¦<<: {summary: y}\n" + TAIL,                  "unknown key '<<'"),
    (HEAD + TAIL + "¦? [a, b]\n: x\n".replace("¦? ", "? ¦"), "unknown key '?'"),
    (HEAD.replace("x\nv", "&m x\nv").replace("&", "¦&", 1) + TAIL, "&m: a page has no anchors"),
    (HEAD + TAIL.replace("commands: {}", "commands: ¦&loop {a: *loop}"), "&loop: a page has no anchors"),
]
# fmt: on


@pytest.mark.parametrize(("text", "says"), NO_PAGE, ids=lambda text: repr(text[:40]))
def test_what_is_no_page_is_refused_with_its_place(text: str, says: str) -> None:
    text, where = place(text)
    told = faults({"x.yaml": text})
    assert any(str(each).startswith(f"x.yaml:{where}: ") and says in each.message for each in told), told


def test_the_smallest_page() -> None:
    machine = reader.read({"x.yaml": HEAD + TAIL})["x"]
    assert (machine.name, machine.start, dict(machine.table)) == ("x", "a", {})


def test_a_byte_order_mark_is_no_fault() -> None:
    assert set(reader.read({"x.yaml": "\ufeff" + HEAD + TAIL})) == {"x"}


def test_lines_may_end_as_on_windows() -> None:
    windows = reader.read({"x.yaml": (HEAD + TAIL).replace("\n", "\r\n")})
    assert digest_of(windows["x"]) == digest_of(reader.read({"x.yaml": HEAD + TAIL})["x"])


# --- several pages


def test_a_machine_is_declared_once() -> None:
    told = faults({"a.yaml": HEAD + TAIL, "b.yaml": HEAD + TAIL})
    assert [str(each) for each in told] == ["b.yaml:1:10: machine 'x' is declared in a.yaml already"]


def test_a_machine_that_is_not_there_cannot_be_linked() -> None:
    told = faults({"tender.yaml": TENDER})
    assert str(told[0]).startswith("tender.yaml:6:9: 'card' is neither a type nor a machine.")


def driving(name: str, drives: str) -> str:
    return (
        f"machine: {name}\nversion: 1\nsummary: x\nfacts: {{next: {drives}}}\nstates: {{a: {{start: true, says: x}}}}\n"
        f"commands: {{go: {{}}}}\ntransitions: {{go: {{from: a, drive: next.go()}}}}\n"
    )


# fmt: off
CYCLES = [
    (["a a"],               ["a: a → a: a machine must not drive itself"]),
    (["a b", "b a"],        ["a: a → b → a: a machine must not drive itself", "b: b → a → b: a machine must not drive itself"]),
    (["a b", "b c", "c a"], ["a: a → b → c → a", "b: b → c → a → b", "c: c → a → b → c"]),
]
# fmt: on


@pytest.mark.parametrize(("links", "says"), CYCLES)
def test_machines_that_drive_in_a_circle(links: list[str], says: list[str]) -> None:
    told = faults({link.split()[0]: driving(*link.split()) for link in links})
    for expected in says:
        file, message = expected.split(": ", 1)
        assert any(each.file == file and each.message.startswith(message) and each.line == 1 for each in told), told


def test_a_call_may_be_made_at_the_end_of_a_chain() -> None:
    end = driving("c", "c").replace("facts: {next: c}\n", "").replace("drive: next.go()", "ask: suspend")
    machines = reader.read({"a": driving("a", "b"), "b": driving("b", "c"), "c": end})
    assert set(machines) == {"a", "b", "c"}
    twice = driving("a", "b").replace("drive: next.go()", "ask: suspend, drive: next.go()")
    told = faults({"a": twice, "b": driving("b", "c"), "c": end})
    assert [str(each) for each in told] == [
        "a:7:50: 'go' makes 2 calls; a command may make only one, so that one answer ends it"
    ]


ORDER = """\
machine: order
version: 1
summary: An order that pays by tender.
facts: {tender: tender, book: book}
accounts: {due: Not paid yet.}
outside: {shop: The shop.}
states: {open: {start: true, says: Open.}}
commands: {pay: {amount: money}}
transitions:
  pay:
    from: open
    drive: tender.hold(amount=amount)
    move: {due -> shop: amount}
"""
BOOK = """\
machine: book
version: 1
summary: What is written down beside it.
accounts: {noted: Noted.}
outside: {out: Outside.}
states: {open: {start: true, says: Open.}}
commands: {note: {amount: money}}
transitions:
  note: {from: open, move: {out -> noted: amount}}
"""

# fmt: off
# card.hold may be confirmed in part, so tender.hold may, so what drives that may: what is written, ¦ the fault · what is said
IN_PART: list[tuple[str, str, str]] = [
    ("tender.hold(amount=amount)", "¦tender.hold(amount=amount - due)",                       "tender.hold may be confirmed in part: its 'amount' has to be an argument of this command"),
    ("tender.hold(amount=amount)", "¦tender.hold(amount=due)",                                "has to be an argument of this command"),
    ("{due -> shop: amount}",      "¦{due -> shop: due}",                                     "'pay' may be confirmed in part, so every move must be of 'amount', not of 'due'"),
    ("drive: tender.hold(amount=amount)", "drive: ¦[tender.hold(amount=amount), book.note(amount=amount)]", "drives a command that may be confirmed in part, so it must not drive another"),
    ("drive: tender.hold(amount=amount)", "drive: ¦[book.note(amount=amount), tender.hold(amount=amount)]", "drives a command that may be confirmed in part, so it must not drive another"),
]
# fmt: on


@pytest.mark.parametrize(("old", "new", "says"), IN_PART)
def test_what_may_be_confirmed_in_part_stays_simple_however_far_down(old: str, new: str, says: str) -> None:
    pages = {**SMALL, "order.yaml": ORDER, "book.yaml": BOOK}
    assert set(reader.read(pages)) == {"card", "tender", "order", "book"}
    text, where = place(ORDER.replace(old, new, 1))
    (told,) = faults({**pages, "order.yaml": text})
    assert str(told).startswith(f"order.yaml:{where}: ")
    assert says in told.message


# --- all of it in one go

MANY = """\
machine: till
version: 2
summary: A till with many faults.
colour: red
facts:
  order: txt
  code: secret
accounts:
  id: Not allowed.
  cash: In the till.
outside:
  shop: The owner.
states:
  open: {says: Open.}
  shut: {final: true, says: Shut.}
commands:
  put: {amount: money, pin: secret?}
  take: {amount: money}
driven: [tke]
transitions:
  put:
    from: opn
    when: amount > 5
    move: {shop -> csh: amount}
    set: {order: amout}
  take:
    from: shut
    to: open
    command: taek
    when: amount
    move: {shop -> shop: amount}
    then: put(amount=amount, sum=amount)
  take:
    from: open
refuse:
  - says: No.
    in: [open, shot]
    commands: [put, tke]
"""

# fmt: off
ALL_OF_IT = [
    ( 4,  1, "unknown key 'colour'."),
    ( 6, 10, "'txt' is neither a type nor a machine. Did you mean 'text'?"),
    ( 7,  9, "'code' would store a secret"),
    ( 9,  3, "'id' is a reserved word"),
    (14,  3, "no state has start: true"),
    (19, 10, "command 'tke' is not declared. Did you mean 'take'?"),
    (22, 11, "state 'opn' is not declared. Did you mean 'open'?"),
    (23, 20, "in 'amount > 5': money cannot be compared with or added to the bare number 5"),
    (24, 12, "account 'csh' is not declared in till. Did you mean 'cash'?"),
    (25, 18, "in 'amout': 'amout' is not declared. Did you mean 'amount'?"),
    (27, 11, "'shut' is final, but 'take' leads out of it to 'open'"),
    (29, 14, "command 'taek' is not declared. Did you mean 'take'?"),
    (31, 12, "'shop -> shop' moves nothing: source and target are the same"),
    (32, 34, "put takes no argument 'sum'."),
    (33,  3, "the key 'take' is there twice, first in line 26"),
    (37, 16, "state 'shot' is not declared. Did you mean 'shut'?"),
    (38, 21, "command 'tke' is not declared. Did you mean 'take'?"),
]
# fmt: on


def test_all_faults_are_told_in_one_go_in_the_order_of_the_page() -> None:
    told = faults({"till.yaml": MANY, "b.yaml": "machine: b\n", "a.yaml": "- a\n"})
    places = [(each.file, each.line, each.column) for each in told]
    assert places == sorted(places)
    assert {each.file for each in told} == {"till.yaml", "a.yaml", "b.yaml"}
    for line, column, says in ALL_OF_IT:
        there = [each.message for each in told if (each.file, each.line, each.column) == ("till.yaml", line, column)]
        assert any(says in message for message in there), (line, column, says, there)


# --- the packaged machines


def test_the_packaged_machines_load() -> None:
    assert set(reader.load(PACKAGED)) == {"gift_card", "payment", "fulfilment", "replacement", "tender"}
    assert {path.stem for path in PACKAGED.glob("*.yaml")} == set(MACHINES)


def pairs(machine: Machine) -> Iterator[tuple[str, str]]:
    return itertools.product(machine.states, machine.commands)


@pytest.mark.parametrize("machine", MACHINES.values(), ids=lambda machine: machine.name)
def test_every_command_is_answered_or_refused_on_purpose_in_every_state(machine: Machine) -> None:
    for pair in pairs(machine):
        assert (pair in machine.table) != (pair in machine.on_purpose), pair
    assert set(machine.on_purpose) <= set(pairs(machine))
    always = [each for each in machine.refuse if each.guard is None]
    assert sum(len(each.states) * len(each.commands) for each in always) == len(machine.on_purpose)


@pytest.mark.parametrize("machine", MACHINES.values(), ids=lambda machine: machine.name)
def test_every_state_is_reached_and_every_unended_one_can_be_left(machine: Machine) -> None:
    reached = {machine.start}
    leads = {name: set[str]() for name in machine.states}
    for each in machine.transitions.values():
        for source in each.sources:
            leads[source] |= {state for state in (each.target, each.otherwise) if state}
    while more := {state for source in reached for state in leads[source]} - reached:
        reached |= more
    assert reached == set(machine.states)
    assert [name for name, state in machine.states.items() if not state.final and not leads[name] - {name}] == []


@pytest.mark.parametrize("machine", MACHINES.values(), ids=lambda machine: machine.name)
def test_the_table_has_every_transition_in_the_order_of_the_page(machine: Machine) -> None:
    order = list(machine.transitions)
    told = {(state, command): [row.name for row in rows] for (state, command), rows in machine.table.items()}
    wanted: dict[tuple[str, str], list[str]] = {}
    for name, each in machine.transitions.items():
        for pair in itertools.product(each.sources, each.commands):
            wanted.setdefault(pair, []).append(name)
    assert told == wanted
    assert all(names == sorted(names, key=order.index) for names in told.values())


# --- folders of one's own

OWN = driving("club", "gift_card").replace("next.go()", "next.suspend()")


@pytest.fixture
def unnamed(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("TALLYSTICK_MACHINES", raising=False)
    return monkeypatch


def test_a_folder_of_ones_own_by_argument(unnamed: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "club.yaml").write_text(OWN, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no page", encoding="utf-8")
    assert set(reader.load(tmp_path)) == {*MACHINES, "club"}
    assert set(reader.load(str(tmp_path))) == {*MACHINES, "club"}
    assert set(reader.load(tmp_path / "club.yaml")) == {*MACHINES, "club"}
    assert set(reader.load()) == set(MACHINES)


def test_folders_of_ones_own_by_environment(unnamed: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("club", "guild"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.yml").write_text(OWN.replace("club", name), encoding="utf-8")
    unnamed.setenv("TALLYSTICK_MACHINES", f"{tmp_path / 'club'}:{tmp_path / 'guild'}:")
    assert set(reader.load()) == {*MACHINES, "club", "guild"}
    assert set(reader.load(tmp_path / "guild")) == {*MACHINES, "guild"}  # what is given beats the environment


def test_a_page_of_ones_own_replaces_the_packaged_one(unnamed: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = (
        PAGES["payment.yaml"].replace("version: 2", "version: 3", 1).replace("What one gift card pays", "Our tender", 1)
    )
    (tmp_path / "payment.yaml").write_text(own, encoding="utf-8")
    machines = reader.load(tmp_path)
    assert set(machines) == set(MACHINES)
    assert machines["payment"].version == 3
    assert machines["payment"].summary.startswith("Our tender")


def test_a_page_replaces_the_one_of_its_machine_whatever_its_file_is_called(
    unnamed: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = PAGES["payment.yaml"].replace("version: 2", "version: 3", 1)
    (tmp_path / "our_tender.yaml").write_text(own, encoding="utf-8")
    assert reader.load(tmp_path)["payment"].version == 3
    (tmp_path / "our_tender.yaml").unlink()
    (tmp_path / "payment.yaml").write_text(OWN, encoding="utf-8")  # a page of another machine replaces nothing
    assert set(reader.load(tmp_path)) == {*MACHINES, "club"}
    (tmp_path / "club.yaml").write_text(OWN, encoding="utf-8")
    with pytest.raises(MachineError, match=r"machine 'club' is declared in .*club\.yaml already"):
        reader.load(tmp_path)


def test_a_folder_that_is_not_there(unnamed: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"nowhere does not exist: name a folder of machines, or a page"):
        reader.load(tmp_path / "nowhere")
    unnamed.setenv("TALLYSTICK_MACHINES", str(tmp_path / "gone"))
    with pytest.raises(Invalid, match="gone does not exist"):
        reader.load()


def test_a_file_that_cannot_be_read(unnamed: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "club.yaml").write_bytes(b"machine: club\nsummary: gr\xf6\xdfe\n")
    with pytest.raises(MachineError, match=r"club\.yaml:1:1: byte 25 is not UTF-8"):
        reader.load(tmp_path)
    (tmp_path / "club.yaml").unlink()
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(Invalid, match=r"folder\.yaml cannot be read: "):
        reader.load(tmp_path)


def test_faults_name_the_file_as_one_would_open_it(unnamed: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "club.yaml").write_text(OWN.replace("suspend", "suspnd"), encoding="utf-8")
    with pytest.raises(MachineError) as caught:
        reader.load(tmp_path)
    assert [each.file for each in caught.value.faults] == [str(tmp_path / "club.yaml")]
    unnamed.chdir(tmp_path)
    with pytest.raises(
        MachineError, match=r"^club\.yaml:7:36: gift_card has no command 'suspnd'\. Did you mean 'suspend'\?$"
    ):
        reader.load(".")


# --- the schema for editors

SCHEMA = format.json_schema()
VALID = Draft202012Validator(SCHEMA)


def plain(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def written(data: Any) -> str:
    stream = StringIO()
    YAML(typ="safe", pure=True).dump(data, stream)
    return stream.getvalue()


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(SCHEMA["required"]) == {"machine", "version", "summary", "states", "commands", "transitions"}


@pytest.mark.parametrize("text", [*PAGES.values(), CARD, TENDER, HEAD + TAIL], ids=lambda text: text.split()[1])
def test_the_schema_takes_sound_pages(text: str) -> None:
    assert [error.message for error in VALID.iter_errors(plain(text))] == []


def put(data: Any, path: str, value: Any) -> Any:
    """The page with `value` at `path`; `...` takes the key away."""
    *way, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    at = data
    for step in way:
        at = at[step]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return data


# fmt: off
# path on the page of the small card · what stands there instead. The schema and the reader refuse both
UNFIT: list[tuple[str, Any]] = [
    ("colour", "red"), ("states/live/colour", "red"), ("transitions/hold/colour", "red"), ("refuse/0/colour", "red"),
    ("facts/limit/colour", "red"), ("invariants/promised/colour", "red"),
    ("accounts/held", {"says": "x", "colour": "red"}), ("machine", ...), ("version", ...), ("summary", ...),
    ("states", ...), ("commands", ...), ("transitions", ...), ("states/live/says", ...), ("transitions/hold/from", ...),
    ("facts/limit/is", ...), ("refuse/0/says", ...), ("refuse/0/in", ...), ("refuse/0/commands", ...),
    ("invariants/promised/always", ...), ("version", 0), ("version", "1"), ("version", True), ("version", -1),
    ("machine", "Gift"), ("machine", "gift card"), ("machine", ""), ("machine", []), ("summary", {}), ("driven", []),
    ("driven", "hold"), ("driven", ["Hold"]), ("states", []), ("states/live", "x"), ("states/live/start", "true"),
    ("states/live/final", "no"), ("states/Live", {"says": "x"}), ("commands/hold", ["amount"]), ("commands/Hold", {}),
    ("commands/hold/amount", {"is": "money", "later": True}), ("facts/limit/is", []), ("facts/limit/is", ["Gift"]),
    ("facts/limit/default", ["gift"]), ("transitions/hold", "x"), ("transitions/hold/from", []),
    ("transitions/hold/to", ["live"]), ("transitions/hold/move", ["a"]), ("transitions/hold/set", "x"),
    ("transitions/hold/ask", ["hold"]), ("transitions/hold/then", []), ("transitions/hold/drive", {}),
    ("transitions/hold/when", ["x"]), ("transitions/hold/partial", "Amount"), ("refuse", {}), ("refuse", []),
    ("refuse/0/in", "live"), ("refuse/0/when", ["x"]), ("outside/shop", ["x"]), ("outside/Shop", "x"), ("accounts/held", ["x"]),
]
# fmt: on


@pytest.mark.parametrize(("path", "value"), UNFIT, ids=str)
def test_the_schema_and_the_reader_refuse_alike(path: str, value: Any) -> None:
    data = put(plain(CARD), path, value)
    assert not VALID.is_valid(data)
    collected = FileFaults("card.yaml")
    format.parse(written(data), collected)
    assert collected.found


# --- the digest

# fmt: off
# what is written differently and means the same, on the page of payment
SAME_BEHAVIOUR = [
    ("    goes_on: uncovered > 0 and held == 0\n", ""),  # what is claimed for `check` runs nothing
    ("usual: [requested, authorized, closed]\n", ""),  # so for pictures
    ("groups: {\"shipped in part, or hold lost\": [partially_settled, advanced_hold]}\n", ""),
    ("by: [refund_to]", "by: [refund]"),
    ("machine: payment\n",                          "# a comment\nmachine: payment  # and another\n"),
    ("summary: What one gift card pays",               "summary: One voucher"),
    ("Promised by the card, not yet earned.",       "Held."),
    ("earned.\", indexed: true}",                    "earned.\"}"),
    ("says: The card that pays.",                   "says: A card."),
    ("card: The card that pays; the",               "card: A card; the"),
    ("says: Nothing is held any more;",  "says: Over;"),
    ("says: Nothing was authorized yet.",           "says: Not yet."),
    ("when: 0 < amount < held and not last and not keep_hold", "when: '(0 < amount < held)  and (not last) and not keep_hold'"),
    ("card.redeem(amount=amount, pin=pin, allow_partial=allow_partial)",  "card.redeem(allow_partial=allow_partial, pin=pin, amount=amount)"),
    ("move: {card -> redeemed: amount}",            "move:\n      card -> redeemed: amount"),
    ("    from: requested\n    to: authorized\n",   "    to: authorized\n    from: [requested]\n"),
    ("  cancel: {}\n  close: {}\n",                 "  close: {}\n  cancel: {}\n"),
    ("  order: {is: text, indexed: true}\n  card: {is: gift_card, says: The card that pays.}\n", "  card: gift_card\n  order: {is: text, indexed: true}\n"),
    ("requested: {start: true, says: Asked",        "requested: {says: Asked"),
    ("      held -> redeemed: amount\n      held -> uncovered: held - amount\n",
     "      held -> uncovered: held - amount\n      held -> redeemed: amount\n"),
]

# what means something else
OTHER_BEHAVIOUR = [
    ("payment.yaml",   "  order: {is: text, indexed: true}\n",                   "  order: {is: text?, indexed: true}\n"),
    ("payment.yaml",   "  order: {is: text, indexed: true}\n",                   "  order: {is: text, indexed: true}\n  more: {is: flag, default: true}\n"),
    ("payment.yaml",   "  order: {is: text, indexed: true}\n",                   "  order: {is: text, indexed: true}\n  more: {is: flag, default: false}\n"),
    ("payment.yaml",   "  order: {is: text, indexed: true}\n",                   "  order: {is: text, indexed: true}\n  more: {is: flag, default: false, later: true}\n"),
    ("payment.yaml",   "keep_hold: {is: flag, provider: keeps_remainder}", "keep_hold: flag"),
    ("payment.yaml",   ", kept: true}",                     "}"),
    ("payment.yaml",   "  uncovered:\n",                  "  spare: x\n  uncovered:\n"),
    ("payment.yaml",   "  card: The card",                  "  nowhere: x\n  card: The card"),
    ("payment.yaml",   "{final: true, says: Given",         "{says: Given"),
    ("payment.yaml",   "  advanced_hold: {says",            "  fresh: {says: x}\n  advanced_hold: {says"),
    ("payment.yaml",   "cover_elsewhere: {amount: money} ", "cover_elsewhere: {amount: money, note: text?} "),
    ("payment.yaml",   "  close: {}\n",                     "  close: {}\n  open: {}\n"),
    ("payment.yaml",   "commands:\n",                       "driven: [close]\ncommands:\n"),
    ("payment.yaml",   "    else: declined\n    when: amount > 0 and (until == none or now < until)\n    drive: card.hold", "    when: amount > 0 and (until == none or now < until)\n    drive: card.hold"),
    ("payment.yaml",   "    when: amount > 0 and (until == none or now < until)\n    drive: card.hold", "    when: amount >= 0 and (until == none or now < until)\n    drive: card.hold"),
    ("payment.yaml",   "    when: amount > 0 and (until == none or now < until)\n    drive: card.hold", "    drive: card.hold"),
    ("payment.yaml",   "pin=pin, allow_partial=allow_partial)\n    move: {card -> held", "pin=pin)\n    move: {card -> held"),
    ("payment.yaml",   "    from: [partially_settled, advanced_hold]\n    when: 0 < amount <= unc", "    from: partially_settled\n    when: 0 < amount <= unc"),
    ("payment.yaml",   "command: [cancel, close]\n    from: requested", "command: close\n    from: requested"),
    ("payment.yaml",   "      held -> uncovered: held - amount\n", ""),
    ("payment.yaml",   "move: {redeemed -> other_card: amount}", "move: {redeemed -> card: amount}"),
    ("payment.yaml",   "    set: {redemption_id: outcome.request}\n", ""),
    ("payment.yaml",   "    set: {hold_id: none}\n    then: hold_again(amount=uncovered)\n", "    set: {hold_id: none}\n"),
    ("payment.yaml",   "    then: hold_again(amount=uncovered)\n", "    then: hold_again(amount=uncovered + held)\n"),
    ("payment.yaml",   "{in: [requested], commands: [settle, ", "{in: [requested], commands: ["),
    ("gift_card.yaml", "    partial: amount\n    upto: [available, use_limit]\n", ""),
    ("gift_card.yaml", "    upto: [available, use_limit]\n", ""),
    ("gift_card.yaml", "    upto: [available, use_limit]\n", "    upto: available\n"),
    ("gift_card.yaml", "    ask: redeem(amount=amount, pin=pin, has_pin=has_pin, allow_partial=false)", "    ask: hold(amount=available)"),
    ("gift_card.yaml", "    ask: redeem(amount=amount, pin=pin, has_pin=has_pin, allow_partial=false)", "    ask: redeem(amount=held)"),
    ("gift_card.yaml", "always: spent >= earned",           "always: spent > earned"),
    ("gift_card.yaml", "{earned: payment.card.redeemed}",   "{earned: payment.card.held}"),
    ("gift_card.yaml", "[gift, promo, merchandise_credit]", "[gift, promo, merchandise_credit, staff]"),
    ("gift_card.yaml", "default: gift}",                    "default: promo}"),
    ("gift_card.yaml", "    alike: true                     ", "    "),
    ("gift_card.yaml", "card_set: {is: text?, ",            "order: {is: text?, unique: false, later: true}\n  card_set: {is: text?, "),
    ("payment.yaml",   "signed: [mark_hold_lost]\n",             ""),
    ("payment.yaml",   "signed: [mark_hold_lost]\n",             "patient: [mark_hold_lost]\n"),
    ("payment.yaml",   "owed: [settle, refund, refund_to] ",     "owed: [settle, refund] "),
    ("payment.yaml",   "once: [authorize, redeem] ",             "once: [authorize] "),
    ("payment.yaml",   "    in: [requested, authorizing, active]\n", ""),
    ("payment.yaml",   "    same: [order]\n",                    ""),
    ("payment.yaml",   "     over: true, says: No more than is uncovered", "     says: No more than is uncovered"),
    ("payment.yaml",   "commands: [hold_again],\n     over: true, says: A hold", "commands: [hold_again],\n     says: A hold"),
]
# fmt: on


@pytest.mark.parametrize(("old", "new"), SAME_BEHAVIOUR, ids=lambda text: text[:30])
def test_the_digest_stays_with_wording_comments_and_order(old: str, new: str) -> None:
    pages = changed("payment.yaml", old, new)
    if "start: true" not in new and "start: true" in old:  # keys of one record in another order
        pages = changed("payment.yaml", old, new, "nothing is held yet.}", "nothing is held yet., start: true}")
    machine = read(pages)["payment"]
    assert machine.text != PAGES["payment.yaml"]
    assert digest_of(machine) == digest_of(MACHINES["payment"])


def small(card: str = CARD) -> Machines:
    return read({"card.yaml": card, "tender.yaml": TENDER})


def test_a_page_that_drives_a_command_says_what_the_provider_would_decide_for_a_caller() -> None:
    """Otherwise the journal, the model and the engine would each decide for themselves."""
    card = CARD.replace("note: text?}", "note: text?, kept: {is: flag, provider: keeps_remainder}}")
    with pytest.raises(MachineError, match="spend needs the argument 'kept', which is flag; left out: whether"):
        small(card)
    told = TENDER.replace('note="earned")', 'note="earned", kept=true)')
    command = read({"card.yaml": card, "tender.yaml": told})["card"].commands["spend"]
    assert command.by_provider == {"kept": "keeps_remainder"}


def test_every_part_of_a_page_has_its_place() -> None:
    machine = small()["card"]
    for place, (line, column) in machine.places.items():
        there = CARD.splitlines()[line - 1][column - 1 :]
        assert there, place
        if place[0] not in ("refuse", "machine") and not place[2:]:
            assert there.startswith(place[1]), place
    for place, says in (
        (("machine",), "card"),
        (("transition", "hold", "when"), "amount > 0 and (amount <= free or allow_partial)"),
        (("transition", "shut", "from"), "live"),
        (("move", "spend_all", "held -> shop"), "held -> shop: held}"),
        (("refuse", "1"), "says: It is over."),
        (("invariant", "promised"), "promised:"),
        (("command", "spend", "note"), "note: text?}"),
    ):
        line, column = machine.places[place]
        assert CARD.splitlines()[line - 1][column - 1 :] == says


def test_the_digest_knows_refusals_by_a_guard_and_no_places() -> None:
    refusal = "refuse:\n  - says: Nothing, or less.\n    in: [blank]\n    commands: [load]\n    when: amount < 0\n"
    lines = CARD.replace("refuse:\n", "\n\nrefuse:\n")
    assert digest_of(small(lines)["card"]) == digest_of(small()["card"])
    guarded = CARD.replace("refuse:\n", refusal)
    other = guarded.replace("when: amount < 0", "when: amount <= 0")
    assert digest_of(small(guarded)["card"]) != digest_of(small(other)["card"])
    reworded = guarded.replace("Nothing, or less.", "It has to be more than nothing.")
    assert digest_of(small(guarded)["card"]) == digest_of(small(reworded)["card"])


@pytest.mark.slow
def test_the_digest_changes_with_the_behaviour() -> None:
    digests = {digest_of(MACHINES["payment"]), digest_of(MACHINES["gift_card"])}
    for file, old, new in OTHER_BEHAVIOUR:
        pages = changed(file, old, new)
        few = {name: pages[name] for name in ("gift_card.yaml", "payment.yaml", "replacement.yaml", "tender.yaml")}
        digest = digest_of(read(few)[file.removesuffix(".yaml")])
        assert digest not in digests, new
        digests.add(digest)


# --- any page at all

LINES = PAGES["payment.yaml"].splitlines()
GARBAGE = [
    "  - x", "  x: y", "x", "\t", "  held: {}", "    when: amount >", "    drive: card.hold()", "    move: {a -> b: c}", "{", "]",
    "    from: nowhere", "    to: stay", "    else: closed", "    ask: hold", "    partial: amount", "    set: {hold: pin}",
    "    then: settle()", "  ? [a]", "  &a b: *a", "!!str x: y", "...", "---", "    when: not held", "  settle: {amount: text}",
    "    drive: to.credit(amount=held)", "    command: [settle, close]", "    in: []", "  closed:", ": :", "\x00", "é: è", "''",
]  # fmt: skip
edits = st.lists(
    st.tuples(
        st.sampled_from(["delete", "double", "swap", "insert", "indent", "cut", "merge"]),
        st.integers(0, len(LINES) - 1),
        st.integers(0, len(LINES) - 1),
        st.sampled_from(GARBAGE) | st.text(max_size=12),
    ),
    min_size=1,
    max_size=4,
)


def mutated(changes: list[tuple[str, int, int, str]]) -> str:
    lines = list(LINES)
    for deed, at, other, text in changes:
        at, other = min(at, len(lines) - 1), min(other, len(lines) - 1)
        match deed:
            case "delete":
                del lines[at]
            case "double":
                lines.insert(other, lines[at])
            case "swap":
                lines[at], lines[other] = lines[other], lines[at]
            case "insert":
                lines.insert(at, text)
            case "indent":
                lines[at] = f"  {lines[at]}"
            case "cut":
                lines[at] = lines[at][: other % (len(lines[at]) + 1)]
            case "merge":
                words = re.split(r"\b", lines[at])
                words[other % len(words)] = text
                lines[at] = "".join(words)
    return "\n".join(lines)


@settings(max_examples=40, deadline=None)
@given(changes=edits)
def test_a_spoilt_page_is_refused_or_loads_and_nothing_else(changes: list[tuple[str, int, int, str]]) -> None:
    text = mutated(changes)
    try:
        machines, told = read({**PAGES, "payment.yaml": text}), ()
    except MachineError as error:
        machines, told = None, error.faults
    if machines is None:
        end = text.count("\n") + 2
        assert told
        assert all(each.line <= end for each in told if each.file == "payment.yaml")
    else:
        assert set(machines) >= {"gift_card", "fulfilment", "replacement"}
        assert all(digest_of(machine) for machine in machines.values())
