"""The core as tables: a line is what is given, a command, and what is left on every account.

Amounts are minor units. `p` is a payment, `c` its card, `n` a new card, `f` a fulfilment, `r` a replacement.
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest

from core_world import (
    CONFIRMED,
    DECLINED,
    MACHINES,
    PAGES,
    UNAVAILABLE,
    UNKNOWN,
    World,
    confirmed,
    line,
    net,
)
from tallystick.core import arguments
from tallystick.core.arguments import Minor
from tallystick.core.entity import Intent, Plan
from tallystick.core.explain import allowed, explained
from tallystick.core.refusal import Code, Refusal, shown
from tallystick.definition import reader
from tallystick.definition.expression import Type
from tallystick.errors import Invalid
from tallystick.money import LIMIT, Money
from tallystick.provider.protocol import Reason, Result

# --- every transition

LOCAL = ""  # nothing is asked of the provider

# fmt: off
# given · command · while the answer is out (LOCAL: none is needed) · when it is confirmed · when it is declined, if not as given
TRANSITIONS: list[tuple[str, ...]] = [
    # dates: what has come ends, what has not is moved
    ("p authorized held=9 hold_id=H1 until=2026-01-01T00:00:00.000Z | c issued held=9", "lapse",
     "p authorized in_doubt=9 | c issued in_doubt=9",
     "p reversed | c issued available=9"),
    ("p advanced_hold held=9 uncovered=2 hold_id=H1 until=2026-01-01T00:00:00.000Z | c issued held=9", "lapse",
     "p advanced_hold in_doubt=11 | c issued in_doubt=9",
     "p closed | c issued available=9"),
    ("p authorized held=9 hold_id=H1 | c issued held=9", "hold_until until=2026-03-01T00:00:00.000Z",
     LOCAL, "p authorized held=9 | c issued held=9"),
    ("c suspended was=issued available=9 held=1 expires=2026-01-01T00:00:00.000Z", "expire",
     "c suspended held=1 in_doubt=9",
     "c suspended held=1"),
    ("c issued available=9 expires=2026-01-01T00:00:00.000Z", "extend until=2026-03-01T00:00:00.000Z",
     LOCAL, "c issued available=9"),
    # payment: authorize and redeem at once
    ("p requested | c issued available=150", "authorize amount=100",
     "p requested in_doubt=100 | c issued available=50 in_doubt=100",
     "p authorized held=100 | c issued available=50 held=100",
     "p declined | c issued available=150"),
    ("p requested | c issued available=100", "authorize amount=100 allow_partial",
     "p requested in_doubt=100 | c issued in_doubt=100",
     "p authorized held=100 | c issued held=100",
     "p declined | c issued available=100"),
    ("p requested | c issued available=60 held=7", "authorize amount=100 allow_partial",        # cut to what there is
     "p requested in_doubt=60 | c issued held=7 in_doubt=60",
     "p authorized held=60 | c issued held=67",
     "p declined | c issued available=60 held=7"),
    ("p requested | c issued available=150", "redeem amount=100",
     "p requested in_doubt=100 | c issued available=50 in_doubt=100",
     "p closed redeemed=100 | c issued available=50",
     "p declined | c issued available=150"),
    ("p requested | c issued available=1", "redeem amount=100 allow_partial",
     "p requested in_doubt=1 | c issued in_doubt=1",
     "p closed redeemed=1 | c issued",
     "p declined | c issued available=1"),
    ("p requested | c issued available=1", "cancel", LOCAL, "p reversed | c issued available=1"),
    ("p requested | c issued available=1", "close",   LOCAL, "p reversed | c issued available=1"),
    # payment: settle a part; the rest is let go
    ("p authorized held=100 | c issued available=5 held=100", "settle amount=40",
     "p authorized in_doubt=100 | c issued available=5 in_doubt=100",
     "p partially_settled uncovered=60 redeemed=40 | c issued available=65"),
    ("p partially_settled held=30 uncovered=20 redeemed=50 | c issued held=30", "settle amount=29",
     "p partially_settled uncovered=20 redeemed=50 in_doubt=30 | c issued in_doubt=30",
     "p partially_settled uncovered=21 redeemed=79 | c issued available=1"),
    ("p advanced_hold held=60 redeemed=40 | c suspended held=90", "settle amount=1",
     "p advanced_hold redeemed=40 in_doubt=60 | c suspended held=30 in_doubt=60",
     "p partially_settled uncovered=59 redeemed=41 | c suspended available=59 held=30"),
    # payment: settle a part; the provider keeps the rest held
    ("p authorized held=100 | c issued held=100", "settle amount=40 keep_hold",
     "p authorized held=60 in_doubt=40 | c issued held=60 in_doubt=40",
     "p partially_settled held=60 redeemed=40 | c issued held=60"),
    ("p advanced_hold held=60 uncovered=9 redeemed=1 | c issued held=60", "settle amount=59 keep_hold",
     "p advanced_hold held=1 uncovered=9 redeemed=1 in_doubt=59 | c issued held=1 in_doubt=59",
     "p partially_settled held=1 uncovered=9 redeemed=60 | c issued held=1"),
    # payment: settle all that is held, more is to ship
    ("p advanced_hold held=30 uncovered=20 redeemed=50 | c issued held=30", "settle amount=30",
     "p advanced_hold uncovered=20 redeemed=50 in_doubt=30 | c issued in_doubt=30",
     "p partially_settled uncovered=20 redeemed=80 | c issued"),
    # payment: settle all
    ("p authorized held=100 | c issued available=50 held=100", "settle amount=100",
     "p authorized in_doubt=100 | c issued available=50 in_doubt=100",
     "p closed redeemed=100 | c issued available=50"),
    ("p advanced_hold held=60 redeemed=40 | c suspended held=60", "settle amount=60 keep_hold",
     "p advanced_hold redeemed=40 in_doubt=60 | c suspended in_doubt=60",
     "p closed redeemed=100 | c suspended"),
    # payment: the last shipment
    ("p authorized held=100 | c issued held=100", "settle amount=100 last",
     "p authorized in_doubt=100 | c issued in_doubt=100",
     "p closed redeemed=100 | c issued"),
    ("p authorized held=100 | c issued available=1 held=100", "settle amount=70 last",
     "p authorized in_doubt=100 | c issued available=1 in_doubt=100",
     "p closed redeemed=70 | c issued available=31"),
    ("p advanced_hold held=30 uncovered=20 redeemed=50 | c issued held=30", "settle amount=10 last keep_hold",
     "p advanced_hold redeemed=50 in_doubt=50 | c issued in_doubt=30",
     "p closed redeemed=60 | c issued available=20"),
    # payment: hold again, whole or short; let go
    ("p partially_settled uncovered=60 redeemed=40 | c issued available=65", "hold_again amount=60",
     "p partially_settled redeemed=40 in_doubt=60 | c issued available=5 in_doubt=60",
     "p advanced_hold held=60 redeemed=40 | c issued available=5 held=60"),
    ("p partially_settled uncovered=60 redeemed=40 | c issued available=25", "hold_again amount=60",
     "p partially_settled uncovered=35 redeemed=40 in_doubt=25 | c issued in_doubt=25",
     "p advanced_hold held=25 uncovered=35 redeemed=40 | c issued held=25"),
    ("p partially_settled uncovered=60 redeemed=40 | c issued", "cover_elsewhere amount=60", LOCAL,
     "p partially_settled redeemed=40 | c issued"),
    ("p advanced_hold held=25 uncovered=35 | c issued held=25", "cover_elsewhere amount=5", LOCAL,
     "p advanced_hold held=25 uncovered=30 | c issued held=25"),
    # payment: its hold is gone at the provider
    ("p authorized held=100 hold_id=H1 | c issued available=5 held=100", "mark_hold_lost", LOCAL,
     "p partially_settled uncovered=100 | c issued available=105"),
    ("p advanced_hold held=25 uncovered=35 redeemed=40 | c suspended held=30", "mark_hold_lost", LOCAL,
     "p partially_settled uncovered=60 redeemed=40 | c suspended available=25 held=5"),
    # payment: the order wants less
    ("p authorized held=40 hold_id=H1 | c issued held=40", "reduce amount=15 release_part",
     "p authorized held=25 in_doubt=15 | c issued held=25 in_doubt=15",
     "p authorized held=25 | c issued available=15 held=25"),
    ("p advanced_hold held=40 uncovered=5 | c suspended held=40", "reduce amount=15 release_part",
     "p advanced_hold held=30 in_doubt=15 | c suspended held=30 in_doubt=10",
     "p partially_settled held=30 | c suspended available=10 held=30"),
    ("p authorized held=40 hold_id=H1 | c issued held=40", "reduce amount=15",
     "p authorized in_doubt=40 | c issued in_doubt=40",
     "p partially_settled uncovered=25 | c issued available=40"),
    ("p advanced_hold held=40 uncovered=5 redeemed=9 | c issued held=40", "reduce amount=44",
     "p advanced_hold redeemed=9 in_doubt=45 | c issued in_doubt=40",
     "p partially_settled uncovered=1 redeemed=9 | c issued available=40"),
    ("p advanced_hold held=40 uncovered=5 | c issued held=40", "reduce amount=5 release_part", LOCAL,
     "p advanced_hold held=40 | c issued held=40"),
    ("p partially_settled uncovered=5 | c issued", "reduce amount=4", LOCAL, "p partially_settled uncovered=1 | c issued"),
    ("p authorized held=40 | c issued held=40", "reduce amount=40 whole", LOCAL, "p authorized held=40 | c issued held=40"),
    # payment: the ways back
    ("p authorized held=100 | c issued available=50 held=100", "cancel",
     "p authorized in_doubt=100 | c issued available=50 in_doubt=100",
     "p reversed | c issued available=150"),
    ("p advanced_hold held=25 uncovered=35 redeemed=40 | c suspended held=25", "cancel",
     "p advanced_hold redeemed=40 in_doubt=60 | c suspended in_doubt=25",
     "p closed redeemed=40 | c suspended available=25"),
    ("p partially_settled held=60 redeemed=40 | c issued held=60", "close",
     "p partially_settled redeemed=40 in_doubt=60 | c issued in_doubt=60",
     "p closed redeemed=40 | c issued available=60"),
    ("p partially_settled uncovered=60 redeemed=40 | c replaced", "close",   LOCAL, "p closed redeemed=40 | c replaced"),
    ("p partially_settled redeemed=40 | c issued",                "cancel", LOCAL, "p closed redeemed=40 | c issued"),
    ("p closed redeemed=100 redemption_id=R1 | c suspended available=3", "void",
     "p closed in_doubt=100 | c suspended available=3 in_doubt=100",
     "p closed | c suspended available=103"),
    ("p closed redeemed=100 | c issued available=3", "refund amount=100",
     "p closed in_doubt=100 | c issued available=3 in_doubt=100",
     "p closed | c issued available=103"),
    ("p partially_settled uncovered=60 redeemed=40 | c issued", "refund amount=1",
     "p partially_settled uncovered=60 redeemed=39 in_doubt=1 | c issued in_doubt=1",
     "p partially_settled uncovered=60 redeemed=39 | c issued available=1"),
    ("p closed redeemed=100 | c replaced | n activated", "refund_to amount=30 to=n",
     "p closed redeemed=70 in_doubt=30 | c replaced | n activated in_doubt=30",
     "p closed redeemed=70 | c replaced | n issued available=30"),
    ("p advanced_hold held=60 redeemed=40 | c issued held=60 | n activated", "refund_to amount=40 to=n",
     "p advanced_hold held=60 in_doubt=40 | c issued held=60 | n activated in_doubt=40",
     "p advanced_hold held=60 | c issued held=60 | n issued available=40"),
    # replacement: a part of a card in use
    ("r requested form=in_use | n issued available=5 | c issued available=30 held=2", "move amount=9 like=gift",
     "r requested in_doubt=9 | n issued available=5 | c issued available=21 held=2 in_doubt=9",
     "r on_its_way moving=9 | n issued available=5 | c issued available=21 held=2 leaving=9"),
    ("r on_its_way form=in_use moving=9 | n issued | c issued leaving=9", "put_on",
     "r on_its_way in_doubt=9 | n issued in_doubt=9 | c issued in_doubt=9", "r moved | n issued available=9 | c issued"),
    ("r on_its_way form=in_use moving=9 | c issued leaving=9", "cancel",
     "r on_its_way in_doubt=9 | c issued in_doubt=9", "r cancelled | c issued available=9"),
    # gift_card: taken back
    ("c suspended available=30", "take_back amount=30", "c suspended in_doubt=30", "c taken_back"),
    ("c suspended kind=promo available=30", "take_back amount=30", "c suspended in_doubt=30", "c taken_back"),
    ("c suspended kind=merchandise_credit available=30", "take_back amount=30", "c suspended in_doubt=30", "c taken_back"),
    # gift_card: onto the shelf and into a hand
    ("c inventory", "allocate", "c inventory", "c allocated"),
    ("c allocated", "activate", "c allocated", "c activated"),
    ("c inventory form=physical", "activate number=6006490281", "c inventory", "c activated"),
    ("c inventory", "recognize number=6006490281 balance=40", LOCAL, "c issued available=40"),
    ("c inventory", "recognize number=6006490281 balance=0",  LOCAL, "c issued"),
    ("c activated",           "issue amount=50", "c activated in_doubt=50", "c issued available=50"),
    ("c activated limit=50",  "issue amount=50", "c activated in_doubt=50", "c issued available=50"),
    ("c activated kind=promo", "issue amount=50", "c activated in_doubt=50", "c issued available=50"),
    ("c activated kind=merchandise_credit", "issue amount=50", "c activated in_doubt=50", "c issued available=50"),
    ("c activated limit=50",  "credit amount=50", "c activated in_doubt=50", "c issued available=50"),
    ("c issued available=9 held=1 kind=promo", "credit amount=5", "c issued available=9 held=1 in_doubt=5", "c issued available=14 held=1"),
    ("c issued available=50 held=9", "reload amount=1", "c issued available=50 held=9 in_doubt=1", "c issued available=51 held=9"),
    ("c issued available=50 held=9 limit=60", "reload amount=1", "c issued available=50 held=9 in_doubt=1", "c issued available=51 held=9"),
    # gift_card: spent, paid out, corrected
    ("c issued available=50", "redeem amount=50",       "c issued in_doubt=50",              "c issued"),
    ("c issued available=50", "redeem amount=51 allow_partial", "c issued in_doubt=50",              "c issued"),
    ("c issued available=50 use_limit=20", "redeem amount=51 allow_partial", "c issued available=30 in_doubt=20", "c issued available=30"),
    ("c issued available=50 use_limit=60", "redeem amount=61 allow_partial", "c issued in_doubt=50",  "c issued"),
    ("c issued available=50 use_limit=20", "redeem amount=20",  "c issued available=30 in_doubt=20", "c issued available=30"),
    ("c activated smallest=50", "issue amount=50", "c activated in_doubt=50", "c issued available=50"),
    ("c issued available=50", "redeem amount=20 allow_partial", "c issued available=30 in_doubt=20", "c issued available=30"),
    ("c issued available=50 cash_out_limit=50", "cash_out amount=50", "c issued in_doubt=50", "c issued"),
    ("c issued available=50",    "adjust amount=7",   "c issued available=50 in_doubt=7",  "c issued available=57"),
    ("c suspended",              "adjust amount=7",   "c suspended in_doubt=7",            "c suspended available=7"),
    ("c issued available=50",    "adjust amount=-50", "c issued in_doubt=50",              "c issued"),
    ("c suspended available=50", "adjust amount=-1",  "c suspended available=49 in_doubt=1", "c suspended available=49"),
    ("c issued available=50 held=5", "observe balance=70", LOCAL, "c issued available=70 held=5"),
    ("c issued available=50 held=5", "observe balance=0",  LOCAL, "c issued held=5"),
    ("c suspended available=50",     "observe balance=50", LOCAL, "c suspended available=50"),
    # gift_card: lost, stolen, under review
    ("c allocated",                     "register email=a@b.c", "c allocated", "c allocated"),
    ("c suspended available=5",         "register",  "c suspended available=5", "c suspended available=5"),
    ("c allocated",                     "suspend",   "c allocated",           "c suspended"),
    ("c activated",                     "suspend",   "c activated",           "c suspended"),
    ("c issued available=5 held=5",     "suspend",   "c issued available=5 held=5", "c suspended available=5 held=5"),
    ("c suspended was=allocated",       "reinstate", "c suspended",           "c allocated"),
    ("c suspended was=activated",       "reinstate", "c suspended",           "c activated"),
    ("c suspended held=5 was=issued",   "reinstate", "c suspended held=5",    "c issued held=5"),
    # fulfilment
    ("f released",                      "review",   LOCAL, "f in_review"),
    ("f in_review",                     "approve",  LOCAL, "f approved"),
    ("f in_review form=physical",       "approve",  LOCAL, "f approved"),
    ("f in_review form=physical number=6006490281", "approve", LOCAL, "f shipped"),
    ("f released form=physical",        "review number=6006490281", LOCAL, "f in_review"),
    ("f in_review",                     "reject",   LOCAL, "f rejected"),
    ("f released",                      "cancel",   LOCAL, "f cancelled"),
    ("f in_review",                     "cancel",   LOCAL, "f cancelled"),
    ("f approved",                      "cancel",   LOCAL, "f cancelled"),
    ("f released | c inventory",        "allocate", "f released | c inventory",  "f allocated | c allocated"),
    ("f approved | c inventory",        "allocate", "f approved | c inventory",  "f allocated | c allocated"),
    ("f released form=physical",        "ship number=6006490281", LOCAL, "f shipped"),
    ("f approved form=physical",        "ship number=6006490281", LOCAL, "f shipped"),
    ("f released form=physical | c inventory form=physical", "ship_with_pin number=6006490281 pin=1234",
     "f released | c inventory", "f activated | c activated"),
    ("f allocated | c allocated",       "activate", "f allocated | c allocated", "f activated | c activated"),
    ("f allocated issue_later=true | c allocated", "activate", "f allocated | c allocated", "f activated | c activated"),
    ("f shipped form=physical number=6006490281 | c inventory form=physical", "activate",
     "f shipped | c inventory", "f activated | c activated"),
    ("f allocated deliver=2026-01-11T00:00:00.000Z | c allocated", "activate", "f allocated | c allocated",
     "f scheduled | c activated"),
    ("f scheduled deliver=2026-01-11T00:00:00.000Z", "deliver_on", LOCAL, "f scheduled"),
    ("f scheduled deliver=2026-01-11T00:00:00.000Z amount=100 | c activated", "issue_on day=2026-01-11T00:00:00.000Z",
     "f scheduled | c activated in_doubt=100", "f fulfilled | c issued available=100"),
    ("f scheduled deliver=2026-01-11T00:00:00.000Z amount=100 | c activated", "issue", "f scheduled | c activated in_doubt=100",
     "f fulfilled | c issued available=100"),
    ("f scheduled",                     "cancel",   LOCAL, "f cancelled"),
    ("f activated amount=100 | c activated", "issue", "f activated | c activated in_doubt=100", "f fulfilled | c issued available=100"),
    # replacement
    ("r requested | c suspended available=80 held=20", "replace amount=80",
     "r requested in_doubt=80 | c suspended held=20 in_doubt=80", "r emptied moving=80 | c suspended held=20 leaving=80"),
    ("r requested form=physical | c suspended available=80", "replace amount=79",
     "r requested in_doubt=79 | c suspended available=1 in_doubt=79", "r emptied moving=79 | c suspended available=1 leaving=79"),
    ("r requested form=in_use | n issued available=5 | c suspended available=80", "replace amount=79",
     "r requested in_doubt=79 | n issued available=5 | c suspended available=1 in_doubt=79",
     "r activated moving=79 | n issued available=5 | c suspended available=1 leaving=79"),
    ("r activated moving=80 form=in_use | n issued available=5 | c suspended leaving=80", "issue",
     "r activated in_doubt=80 | n issued available=5 in_doubt=80 | c suspended in_doubt=80",
     "r following | n issued available=85 | c suspended"),
    ("r emptied moving=80 | n inventory",   "allocate", "r emptied moving=80 | n inventory",   "r allocated moving=80 | n allocated"),
    ("r allocated moving=80 | n allocated", "activate", "r allocated moving=80 | n allocated", "r activated moving=80 | n activated"),
    ("r emptied moving=80 form=physical | n inventory form=physical", "activate number=6006490281",
     "r emptied moving=80 | n inventory", "r activated moving=80 | n activated"),
    ("r activated moving=80 | n activated | c suspended leaving=90", "issue",
     "r activated in_doubt=80 | n activated in_doubt=80 | c suspended leaving=10 in_doubt=80",
     "r following | n issued available=80 | c suspended leaving=10"),
    *((f"r activated moving=80 | n activated | c {state} leaving=80", "issue",
       f"r activated in_doubt=80 | n activated in_doubt=80 | c {state} in_doubt=80", f"r following | n issued available=80 | c {state}")
      for state in ("allocated", "activated", "issued")),
    ("r requested | c suspended held=80", "replace amount=0", LOCAL, "r emptied | c suspended held=80"),
    ("r requested form=physical | c suspended held=1 in_doubt=80", "replace amount=0", LOCAL, "r emptied | c suspended held=1 in_doubt=80"),
    ("r requested form=in_use | c replaced", "replace amount=0", LOCAL, "r replaced | c replaced"),
    ("r activated | n activated | c suspended held=80", "issue", LOCAL, "r following | n activated | c suspended held=80"),
    ("r following | n activated | c suspended available=30 held=50", "retire",
     "r following in_doubt=30 | n activated | c suspended held=50 in_doubt=30",
     "r activated moving=30 | n activated | c suspended held=50 leaving=30"),
    ("r following | c suspended", "retire", LOCAL, "r replaced | c replaced"),
    ("r following | c replaced", "retire", LOCAL, "r replaced | c replaced"),
    *((f"r {state} | c suspended held=20", "cancel", LOCAL, "r cancelled | c suspended held=20")
      for state in ("emptied", "allocated", "activated", "following")),
    ("r requested", "cancel", LOCAL, "r cancelled"),
    *((f"r {state} moving=80 | c suspended held=20 leaving=80", "cancel",
       f"r {state} in_doubt=80 | c suspended held=20 in_doubt=80", "r cancelled | c suspended available=80 held=20")
      for state in ("emptied", "allocated", "activated")),
    # tender: it only says what its payments have to do
    ("t requested | p requested tender=t", "authorize shares=p:100", LOCAL, "t authorizing | p requested"),
    ("t authorizing | p authorized held=100 tender=t", "confirm", LOCAL, "t active | p authorized held=100"),
    ("t authorizing allow_partial | p authorized held=60 tender=t", "confirm", LOCAL, "t active | p authorized held=60"),
    ("t authorizing | p authorized held=60 tender=t", "confirm", LOCAL, "t giving_back | p authorized held=60"),
    ("t giving_back | p reversed tender=t", "end", LOCAL, "t given_back | p reversed"),
    ("t giving_back | p closed redeemed=7 tender=t", "end", LOCAL, "t paid | p closed redeemed=7"),
    ("t active | p authorized held=100 tender=t", "settle amount=40 shares=p:40", LOCAL, "t active | p authorized held=100"),
    ("t active | p authorized held=100 tender=t", "settle amount=40 shares=p:40 last", LOCAL, "t closing | p authorized held=100"),
    ("t active | p authorized held=100 tender=t", "settle amount=100 shares=p:100", LOCAL, "t closing | p authorized held=100"),
    ("t closing | p closed redeemed=40 tender=t", "close", LOCAL, "t giving_back | p closed redeemed=40"),
    ("t active | p closed redeemed=40 tender=t", "refund amount=40 shares=p:40", LOCAL, "t active | p closed redeemed=40"),
    ("t paid | p closed redeemed=40 tender=t", "refund amount=40 shares=p:40", LOCAL, "t paid | p closed redeemed=40"),
    ("t paid | p closed redeemed=30 tender=t", "want_less before=40", LOCAL, "t paid | p closed redeemed=30"),
    ("t paid | p closed redeemed=30 tender=t", "want_less before=140", LOCAL, "t paid | p closed redeemed=30"),
    ("t active | p authorized held=100 tender=t", "reduce amount=40 shares=p:40", LOCAL, "t active | p authorized held=100"),
    ("t active", "change amount=40", LOCAL, "t active"),
    ("t requested", "cancel", LOCAL, "t given_back"),
    ("t active | p authorized held=100 tender=t", "cancel", LOCAL, "t giving_back | p authorized held=100"),
    ("t active | p partially_settled redeemed=5 uncovered=5 tender=t", "cancel", LOCAL,
     "t giving_back | p partially_settled uncovered=5 redeemed=5"),
]
# fmt: on


def untouched(world: World) -> Any:
    """What must not change: the entities themselves, all the way down."""
    return copy.deepcopy(world.entities)


def taken(world: World, command: str) -> Intent:
    intent = world.decide(command)
    assert isinstance(intent, Intent), str(intent)
    return intent


def bare(lines: str) -> str:
    """The line as `World` writes it, without facts."""
    return str(World(lines))


def by_row(row: tuple[str, ...]) -> str:
    return f"{row[0].split(' |')[0]}: {row[1]}"


@pytest.mark.parametrize("row", TRANSITIONS, ids=by_row)
def test_done_at_once(row: tuple[str, ...]) -> None:
    given, command, _, after, *_ = row
    world = World(given)
    before = untouched(world)
    taken(world, command)
    assert world.entities == before, "to decide changes nothing"
    plan = world.do(command)
    assert isinstance(plan, Plan)
    assert str(world) == after
    assert_entries_tell_it(before, plan, ["done"])


@pytest.mark.parametrize("row", [row for row in TRANSITIONS if row[2] != LOCAL], ids=by_row)
@pytest.mark.parametrize(
    "answer", [confirmed(number="6006490281"), DECLINED, UNAVAILABLE, UNKNOWN], ids=lambda answer: answer.result
)
def test_asked_and_answered(row: tuple[str, ...], answer: Any) -> None:
    given, command, aside, after, *otherwise = row
    world = World(given)
    before = untouched(world)
    call = world.ask(command)
    assert isinstance(call, str)
    assert str(world) == aside
    asked = untouched(world)
    assert all(each.calls == (each != before[each.ref]) for each in asked.values())
    plan = world.answer(call, answer)
    if answer.result is Result.UNKNOWN:
        assert plan == "the provider's answer is not known"
        assert world.entities == asked
        return
    assert isinstance(plan, Plan)
    wanted = {
        Result.CONFIRMED: after,
        Result.DECLINED: (otherwise or [bare(given)])[0],
        Result.UNAVAILABLE: bare(given),
    }
    assert str(world) == wanted[answer.result]
    assert all((each.calls, each.changing) == (0, None) for each in world.entities.values())
    assert_entries_tell_it(asked, plan, [str(answer.result)])
    if answer.result is not Result.CONFIRMED:
        assert plan.then == []
        assert {ref: each.facts for ref, each in world.entities.items()} == {
            ref: each.facts for ref, each in before.items()
        }


@pytest.mark.parametrize("row", [row for row in TRANSITIONS if row[2] == LOCAL], ids=by_row)
def test_what_needs_no_provider_asks_none(row: tuple[str, ...]) -> None:
    assert taken(World(row[0]), row[1]).asked is None


def assert_entries_tell_it(before: Any, plan: Plan, phases: list[str]) -> None:
    """Each entity and its entry agree, and the postings lead from what was to what is."""
    assert len(plan.entities) == len(plan.entries) == len({each.ref for each in plan.entities})
    for entity, entry in zip(plan.entities, plan.entries, strict=True):
        was = before[entity.ref]
        assert (entry.machine, entry.entity, entry.phase) == (*entity.ref, *phases)
        assert entry.revision == entity.revision == was.revision + 1
        assert (entry.from_state, entry.to_state) == (was.state, entity.state)
        assert entry.after == entity.accounts
        moved = net(list(entry.postings))
        assert {name: was.accounts[name] + moved.get(name, 0) for name in was.accounts} == entity.accounts
        assert all(amount > 0 for *_, amount in entry.postings)
        inside = MACHINES[entity.machine].columns if entity.machine in MACHINES else tuple(entity.accounts)
        assert set(moved) - set(inside) <= set(MACHINES[entity.machine].outside)
        assert {**was.facts, **entry.facts} == entity.facts


def test_the_table_has_every_transition() -> None:
    fired = {
        (step.row.transition.name, step.entity.machine)
        for row in TRANSITIONS
        for step in taken(World(row[0]), row[1]).steps
    }
    assert fired == {(name, machine.name) for machine in MACHINES.values() for name in machine.transitions}


def test_the_table_has_every_source_of_what_changes_a_payment() -> None:
    """Lines for each state a settlement, a way back or a refund may leave from."""
    settled = {
        (entity.state, row[1].split()[0])
        for row in TRANSITIONS
        if (entity := next(iter(World(row[0]).entities.values()))).machine == "payment"
    }
    for pair in (("authorized", "settle"), ("partially_settled", "settle"), ("advanced_hold", "settle"), ("authorized", "cancel"),
                 ("partially_settled", "close"), ("advanced_hold", "cancel"), ("closed", "refund"), ("closed", "void")):  # fmt: skip
        assert pair in settled


# fmt: off
# given · command · the provider confirms · and then
SHORT: list[tuple[str, str, int, str]] = [
    ("p requested | c issued available=150", "authorize amount=100",        60, "p authorized held=60 | c issued available=90 held=60"),
    ("p requested | c issued available=150", "authorize amount=100",       100, "p authorized held=100 | c issued available=50 held=100"),
    ("p requested | c issued available=150", "authorize amount=100",         1, "p authorized held=1 | c issued available=149 held=1"),
    ("p requested | c issued available=150", "authorize amount=100",         0, "p declined | c issued available=150"),
    ("p requested | c issued available=80",  "authorize amount=100 allow_partial",  60, "p authorized held=60 | c issued available=20 held=60"),
    ("p requested | c issued available=150", "redeem amount=100",       60, "p closed redeemed=60 | c issued available=90"),
    ("p requested | c issued available=150", "redeem amount=100",        0, "p declined | c issued available=150"),
    ("p partially_settled uncovered=60 | c issued available=70", "hold_again amount=50", 25,
     "p advanced_hold held=25 uncovered=35 | c issued available=45 held=25"),
    ("p partially_settled uncovered=60 | c issued available=40", "hold_again amount=50", 25,
     "p advanced_hold held=25 uncovered=35 | c issued available=15 held=25"),
    ("p partially_settled uncovered=60 | c issued available=70", "hold_again amount=50",  0,
     "p partially_settled uncovered=60 | c issued available=70"),
    ("c issued available=150",               "redeem amount=100",           60, "c issued available=90"),
    ("c issued available=150",               "redeem amount=100",            0, "c issued available=150"),
    ("toy:t open a=5",                       "part amount=5",                3, "toy:t open a=2"),
    # confirmed as asked
    ("p authorized held=100 | c issued held=100", "settle amount=40",       40, "p partially_settled uncovered=60 redeemed=40 | c issued available=60"),
    ("c activated",                          "issue amount=50",             50, "c issued available=50"),
]

# given · command · the provider confirms what was never asked
STRANGE: list[tuple[str, str, int]] = [
    ("p requested | c issued available=150",      "authorize amount=100",       101),
    ("p requested | c issued available=150",      "authorize amount=100",       -1),
    ("p requested | c issued available=80",       "authorize amount=100 allow_partial", 81),
    ("p partially_settled uncovered=60 | c issued available=40", "hold_again amount=50", 41),
    ("c issued available=150",                    "redeem amount=100",          150),
    ("p authorized held=100 | c issued held=100", "settle amount=40",           39),
    ("p authorized held=100 | c issued held=100", "settle amount=40",           0),
    ("p authorized held=100 | c issued held=100", "cancel",                    99),
    ("c activated",                               "issue amount=50",            51),
]
# fmt: on


@pytest.mark.parametrize(("given", "command", "amount", "after"), SHORT)
def test_confirmed_in_part(given: str, command: str, amount: int, after: str) -> None:
    world = World(given, ALL)
    call = world.ask(command)
    assert isinstance(call, str)
    plan = world.answer(call, confirmed(amount))
    assert isinstance(plan, Plan)
    assert str(world) == after
    assert {entry.phase for entry in plan.entries} == {"confirmed" if amount else "declined"}
    if amount:
        once = World(given, ALL)
        once.do(command, outcome=confirmed(amount))
        assert str(once) == after, "a local provider may confirm less too"
        named = [
            entry.args.get("amount")
            for entry in plan.entries
            if "amount" in ALL[entry.machine].commands[entry.command].arguments
        ]
        assert set(named) <= {amount}, "what an entry says was done is what was done"


@pytest.mark.parametrize(("given", "command", "amount"), STRANGE)
def test_an_answer_that_cannot_be_believed_stays_in_doubt(given: str, command: str, amount: int) -> None:
    world = World(given)
    call = world.ask(command)
    assert isinstance(call, str)
    before = untouched(world)
    why = world.answer(call, confirmed(amount))
    assert isinstance(why, str)
    assert why.startswith(f"the provider confirms {amount} minor units where ")
    assert world.entities == before
    assert call in world.open
    assert isinstance(world.answer(call, DECLINED), Plan), "a person may still end it"
    assert all(each.accounts["in_doubt"] == 0 for each in world.entities.values())


# fmt: off
# given · command · answered with · facts that change, by id · what is queued
FACTS: list[tuple[str, str, Any, dict[str, dict[str, object]], list[str]]] = [
    ("p requested | c issued available=9",  "authorize amount=9",   confirmed(reference="H1"), {"p": {"hold_id": "H1", "until": None}, "c": {}},  []),
    ("p requested | c issued available=9",  "redeem amount=9",  confirmed(reference="R1"), {"p": {"redemption_id": "R1"}, "c": {}}, []),
    ("p authorized held=9 hold_id=H1 | c issued held=9",  "settle amount=4",      CONFIRMED, {"p": {"hold_id": None, "until": None}, "c": {}}, ["p hold_again amount=5"]),
    ("p advanced_hold held=5 uncovered=3 hold_id=H1 | c issued held=5", "settle amount=4", CONFIRMED, {"p": {"hold_id": None, "until": None}, "c": {}}, ["p hold_again amount=4"]),
    ("p advanced_hold held=5 uncovered=3 hold_id=H1 | c issued held=5", "settle amount=5", CONFIRMED, {"p": {"hold_id": None, "until": None}, "c": {}}, ["p hold_again amount=3"]),
    ("p authorized held=9 hold_id=H1 | c issued held=9",  "settle amount=4 keep_hold", CONFIRMED, {"p": {"until": None}, "c": {}}, []),
    ("p authorized held=9 hold_id=H1 | c issued held=9",  "settle amount=9",      CONFIRMED, {"p": {"hold_id": None}, "c": {}}, []),
    ("p authorized held=9 hold_id=H1 | c issued held=9",  "settle amount=4 last", CONFIRMED, {"p": {"hold_id": None}, "c": {}}, []),
    ("p authorized held=9 hold_id=H1 | c issued held=9",  "cancel",              CONFIRMED, {"p": {"hold_id": None}, "c": {}}, []),
    ("p partially_settled held=9 hold_id=H1 | c issued held=9", "close",          CONFIRMED, {"p": {"hold_id": None}, "c": {}}, []),
    ("p partially_settled uncovered=9 | c issued available=9", "hold_again amount=9", confirmed(4, "H2"), {"p": {"hold_id": "H2"}, "c": {}}, []),
    ("p closed redeemed=9 redemption_id=R1 | c issued",   "void",                 CONFIRMED, {"p": {"redemption_id": None}, "c": {}}, []),
    ("p authorized held=9 hold_id=H1 | c issued held=9",  "reduce amount=4 release_part", CONFIRMED, {"p": {}, "c": {}}, []),
    ("p authorized held=9 hold_id=H1 | c issued held=9",  "reduce amount=4",     CONFIRMED, {"p": {"hold_id": None}, "c": {}}, ["p hold_again amount=5"]),
    ("p partially_settled uncovered=9 | c issued",        "reduce amount=4",     CONFIRMED, {"p": {}},                     ["p hold_again amount=5"]),
    ("p advanced_hold held=1 uncovered=9 hold_id=H1 | c issued held=1", "reduce amount=9", CONFIRMED, {"p": {}},            []),
    ("p authorized held=9 | c issued held=9",             "reduce amount=9 whole", CONFIRMED, {"p": {}},                   ["p cancel"]),
    ("p closed redeemed=9 redemption_id=R1 | c issued",   "refund amount=1",      CONFIRMED, {"p": {"redemption_id": None}, "c": {}}, []),
    ("p closed redeemed=9 redemption_id=R1 | n activated", "refund_to amount=1 to=n", CONFIRMED, {"p": {"redemption_id": None}, "n": {}}, []),
    ("c inventory",                         "allocate",             confirmed(number="6006490281"), {"c": {"number": "6006490281", "has_pin": None}}, []),
    ("c inventory form=physical",           "activate number=6006490281", CONFIRMED, {"c": {"number": "6006490281"}}, []),
    ("c inventory",                         "recognize number=6006490281 balance=4", CONFIRMED, {"c": {"number": "6006490281"}}, []),
    ("c allocated",                         "suspend",              CONFIRMED, {"c": {"was": "allocated"}},            []),
    ("c issued available=9",                "suspend",              CONFIRMED, {"c": {"was": "issued"}},               []),
    ("f in_review",                         "approve",              CONFIRMED, {"f": {}},                              ["f allocate"]),
    ("f in_review form=physical",           "approve",              CONFIRMED, {"f": {}},                              []),
    ("f released | c inventory",            "allocate",             confirmed(number="6006490281"), {"f": {}, "c": {"number": "6006490281", "has_pin": None}}, ["f activate"]),
    ("f released form=physical",            "ship number=6006490281", CONFIRMED, {"f": {"number": "6006490281"}},      ["f activate"]),
    ("f in_review form=physical number=6006490281", "approve",      CONFIRMED, {"f": {}},                              ["f activate"]),
    ("f released form=physical",            "review number=6006490281", CONFIRMED, {"f": {"number": "6006490281"}},    []),
    ("f released form=physical | c inventory form=physical", "ship_with_pin number=6006490281 pin=1234", CONFIRMED,
     {"f": {"number": "6006490281"}, "c": {"number": "6006490281"}}, ["f issue"]),
    ("f allocated | c allocated",           "activate",             CONFIRMED, {"f": {}, "c": {}},                     ["f issue"]),
    ("f allocated issue_later=true | c allocated", "activate",      CONFIRMED, {"f": {}, "c": {}},                     []),
    ("f shipped form=physical number=6006490281 | c inventory form=physical", "activate", CONFIRMED, {"f": {}, "c": {"number": "6006490281"}}, ["f issue"]),
    ("r requested | c suspended available=9", "replace amount=9",     CONFIRMED, {"r": {}, "c": {}},                     ["r allocate"]),
    ("r requested form=physical | c suspended available=9", "replace amount=9", CONFIRMED, {"r": {}, "c": {}},           []),
    ("r requested form=in_use | n issued | c suspended available=9", "replace amount=9", CONFIRMED, {"r": {}, "c": {}, "n": {}},  ["r issue"]),
    ("r requested | c suspended held=9", "replace amount=0",          CONFIRMED, {"r": {}, "c": {}},                     ["r allocate"]),
    ("r requested form=physical | c suspended held=9", "replace amount=0", CONFIRMED, {"r": {}, "c": {}},                []),
    ("r following | n issued | c suspended available=9 held=1", "retire", CONFIRMED, {"r": {}, "n": {}, "c": {}},        ["r issue"]),
    ("r following | c suspended",           "retire",               CONFIRMED, {"r": {}, "c": {}},                     []),
    ("r activated | n activated | c suspended held=9", "issue",       CONFIRMED, {"r": {}},                              ["r retire"]),
    ("r allocated moving=9 | n allocated",  "activate",             CONFIRMED, {"r": {}, "n": {}},                     ["r issue"]),
    ("r activated moving=9 | n activated | c suspended leaving=9", "issue", CONFIRMED, {"r": {}, "n": {}, "c": {}},    ["r retire"]),
]

# given · command · the provider is asked, of which card
ASKED: list[tuple[str, str, str, dict[str, object], str]] = [
    ("p requested | c issued available=9", "authorize amount=9 pin=1234",     "hold",         {"amount": 9, "pin": "1234", "has_pin": None, "allow_partial": False},            "c"),
    ("p requested | c issued available=4", "authorize amount=9 allow_partial",        "hold",         {"amount": 4, "pin": None, "has_pin": None, "allow_partial": True},              "c"),
    ("p requested | c issued available=9", "redeem amount=8 pin=1234",    "redeem",       {"amount": 8, "pin": "1234", "has_pin": None, "allow_partial": False},            "c"),
    ("p authorized held=9 hold_id=H1 | c issued held=9", "settle amount=4",      "redeem_hold",  {"amount": 4, "release": 5, "hold": "H1", "held": 9}, "c"),
    ("p authorized held=9 hold_id=H1 | c issued held=9", "settle amount=4 keep_hold", "redeem_hold",  {"amount": 4, "release": 0, "hold": "H1", "held": 9}, "c"),
    ("p authorized held=9 hold_id=H1 | c issued held=9", "settle amount=9",      "redeem_hold",  {"amount": 9, "release": 0, "hold": "H1", "held": 9}, "c"),
    ("p advanced_hold held=9 uncovered=2 hold_id=H1 | c issued held=9", "settle amount=4 last", "redeem_hold", {"amount": 4, "release": 5, "hold": "H1", "held": 9}, "c"),
    ("p authorized held=9 hold_id=H1 | c issued held=9", "cancel",              "release_hold", {"amount": 9, "hold": "H1", "rest": None}, "c"),
    ("p authorized held=9 hold_id=H1 | c issued held=9", "reduce amount=4 release_part", "release_hold", {"amount": 4, "hold": "H1", "rest": 5}, "c"),
    ("p authorized held=9 hold_id=H1 | c issued held=9", "reduce amount=4",     "release_hold", {"amount": 9, "hold": "H1", "rest": None}, "c"),
    ("p partially_settled uncovered=9 | c issued available=9", "hold_again amount=9", "hold", {"amount": 9, "pin": None, "has_pin": None, "allow_partial": True},              "c"),
    ("p closed redeemed=9 redemption_id=R1 | c issued",  "void",                 "void",         {"amount": 9, "transaction": "R1"},      "c"),
    ("p closed redeemed=9 | c issued",                "refund amount=3",      "issue",        {"amount": 3, "return_related": True},   "c"),
    ("p closed redeemed=9 | n activated",             "refund_to amount=3 to=n", "issue",     {"amount": 3, "return_related": True},   "n"),
    ("c activated",                                   "issue amount=3",       "issue",        {"amount": 3},                           "c"),
    ("c issued available=9 cash_out_limit=9",         "cash_out amount=9",    "redeem",       {"amount": 9, "pin": None, "has_pin": None, "allow_partial": False},           "c"),
    ("c issued available=9",                          "adjust amount=-3",     "adjust",       {"amount": -3},                          "c"),
    ("c suspended available=9",                       "take_back amount=9",   "adjust",       {"amount": -9},                          "c"),
    ("r requested | c suspended available=9",         "replace amount=4",       "adjust",       {"amount": -4},                          "c"),
    ("r following | n issued | c suspended available=4 held=5", "retire",     "adjust",       {"amount": -4},                          "c"),
    ("r emptied moving=4 | c suspended leaving=4",    "cancel",               "adjust",       {"amount": 4},                           "c"),
    ("r activated moving=4 | n activated | c suspended leaving=4", "issue",   "issue",        {"amount": 4},                           "n"),
    ("c inventory form=physical",                     "activate number=6006490281", "activate", {"number": "6006490281", "pin": None}, "c"),
]
# fmt: on


@pytest.mark.parametrize(("given", "command", "outcome", "facts", "then"), FACTS)
def test_facts_and_follow_ups(given: str, command: str, outcome: Any, facts: dict[str, Any], then: list[str]) -> None:
    at_once, later = World(given), World(given)
    plans = [at_once.do(command, outcome=outcome)]
    if taken(later, command).asked is not None:
        call = later.ask(command)
        assert isinstance(call, str)
        plans.append(later.answer(call, outcome))
    for plan in plans:
        assert isinstance(plan, Plan)
        assert {entry.entity: entry.facts for entry in plan.entries} == facts
        queued = [
            " ".join([each.id, each.command, *(f"{name}={value}" for name, value in each.args.items())])
            for each in plan.then
        ]
        assert queued == then


@pytest.mark.parametrize(("given", "command", "verb", "args", "of"), ASKED)
def test_what_the_provider_is_asked(given: str, command: str, verb: str, args: dict[str, object], of: str) -> None:
    asked = taken(World(given), command).asked
    assert asked is not None
    assert (asked.verb, asked.args, asked.entity.id) == (verb, args, of)


# fmt: off
# given · command · what came from outside accounts (below zero) or went there, by id
OUTSIDE: list[tuple[str, str, dict[str, dict[str, int]]]] = [
    ("p requested | c issued available=9",                              "authorize amount=9",    {"p": {"card": -9},      "c": {}}),
    ("p requested | c issued available=9",                              "redeem amount=9",   {"p": {"card": -9},      "c": {"spent": 9}}),
    ("p authorized held=9 | c issued held=9",                           "settle amount=4",       {"p": {},                "c": {"spent": 4}}),
    ("p authorized held=9 | c issued held=9",                           "settle amount=4 keep_hold",  {"p": {},                "c": {"spent": 4}}),
    ("p authorized held=9 | c issued held=9",                           "settle amount=9",       {"p": {},                "c": {"spent": 9}}),
    ("p advanced_hold held=9 uncovered=2 | c issued held=9",            "settle amount=9",       {"p": {},                "c": {"spent": 9}}),
    ("p advanced_hold held=9 uncovered=2 | c issued held=9",            "settle amount=4 last",  {"p": {"card": 7},       "c": {"spent": 4}}),
    ("p partially_settled uncovered=9 | c issued available=9",          "hold_again amount=9",   {"p": {},                "c": {}}),
    ("p partially_settled uncovered=9",                                 "cover_elsewhere amount=4",       {"p": {"card": 4}}),
    ("p partially_settled uncovered=9",                                 "close",                 {"p": {"card": 9}}),
    ("p authorized held=9 | c issued held=9",                           "cancel",               {"p": {"card": 9},       "c": {}}),
    ("p advanced_hold held=9 uncovered=2 | c issued held=9",            "close",                 {"p": {"card": 11},      "c": {}}),
    ("p closed redeemed=9 redemption_id=R | c issued",                     "void",                  {"p": {"card": 9},       "c": {"spent": -9}}),
    ("p closed redeemed=9 | c issued",                                  "refund amount=4",       {"p": {"card": 4},       "c": {"spent": -4}}),
    ("p closed redeemed=9 | n activated",                               "refund_to amount=4 to=n", {"p": {"other_card": 4}, "n": {"returned": -4}}),
    ("c activated",                                                     "issue amount=9",        {"c": {"issuance": -9}}),
    ("c activated kind=promo",                                          "issue amount=9",        {"c": {"promotion": -9}}),
    ("c activated kind=merchandise_credit",                             "issue amount=9",        {"c": {"returned": -9}}),
    ("c issued",                                                        "credit amount=9",       {"c": {"returned": -9}}),
    ("c issued",                                                        "reload amount=9",       {"c": {"issuance": -9}}),
    ("c issued available=9",                                            "redeem amount=4",       {"c": {"spent": 4}}),
    ("c issued available=9 cash_out_limit=9",                           "cash_out amount=9",     {"c": {"cashed_out": 9}}),
    ("c suspended available=9",                                         "take_back amount=9",    {"c": {"issuance": 9}}),
    ("c issued available=9",                                            "adjust amount=4",       {"c": {"adjusted": -4}}),
    ("c issued available=9",                                            "adjust amount=-4",      {"c": {"adjusted": 4}}),
    ("c issued available=9",                                            "observe balance=10",    {"c": {"elsewhere": -1}}),
    ("c issued available=9",                                            "observe balance=8",     {"c": {"elsewhere": 1}}),
    ("c inventory",                                                     "recognize number=x balance=9", {"c": {"elsewhere": -9}}),
    ("f activated amount=9 | c activated",                              "issue",                 {"f": {},                "c": {"issuance": -9}}),
    ("r requested | c suspended available=9",                           "replace amount=9",        {"r": {"old": -9},       "c": {}}),
    ("r activated moving=9 | n activated | c suspended leaving=9",       "issue",                 {"r": {"new": 9},        "n": {"transferred": -9}, "c": {"transferred": 9}}),
    ("r emptied moving=9 | c suspended leaving=9",                      "cancel",                {"r": {"old": 9},        "c": {}}),
]
# fmt: on


@pytest.mark.parametrize(("given", "command", "outside"), OUTSIDE)
def test_where_value_comes_from_and_goes_to(given: str, command: str, outside: dict[str, dict[str, int]]) -> None:
    at_once, later = World(given), World(given)
    at_once.do(command)
    if taken(later, command).asked is None:
        later.do(command)
    else:
        later.answer(str(later.ask(command)), CONFIRMED)
    for world in (at_once, later):
        left = {
            entity.id: {name: amount for name, amount in net([each for entry in world.entries if entry.entity == entity.id for each in entry.postings]).items()
                        if amount and name in MACHINES[entity.machine].outside}
            for entity in world.entities.values()
        }  # fmt: skip
        assert left == outside


# --- every refusal

TOYS = {
    "toy": """\
machine: toy
version: 1
summary: What no sound machine does.
accounts: {a: One., b: Two.}
outside: {out: Outside.}
states: {open: {start: true, says: Open.}, done: {final: true, says: Done.}, lost: {final: true, says: Lost.}}
commands: {put: {amount: money}, both: {amount: money}, take: {amount: money}, through: {amount: money}, end: {}, clear: {}, risk: {}, wait: {}, shut: {}, tries: {n: count}, part: {amount: money}}
transitions:
  put: {from: open, move: {out -> a: amount}}
  both_less: {command: both, from: open, when: amount < a}
  both_most: {command: both, from: open, when: amount <= a}
  take: {from: open, move: {a -> out: amount}}
  through: {from: open, ask: suspend, move: {a -> b: amount, b -> out: amount}}
  end: {from: open, to: done}
  clear: {from: open, to: done, else: lost, ask: suspend, move: {a -> out: a}}
  risk: {from: open, else: lost, ask: suspend}
  wait: {from: open, ask: suspend}
  shut: {from: [open, done], when: state == "done"}
  tries: {from: open, when: n > 1}
  part: {from: open, ask: redeem, partial: amount, move: {a -> out: amount}}
""",
    "pair": """\
machine: pair
version: 1
summary: Two toys at once, or none.
facts: {left: toy, right: toy, maybe: toy?}
states: {open: {start: true, says: Open.}}
commands: {put: {amount: money}, give: {amount: money, to: toy}, touch: {}}
transitions:
  put: {from: open, drive: [left.put(amount=amount), right.put(amount=amount)]}
  give: {from: open, drive: [left.take(amount=amount), to.put(amount=amount)]}
  touch: {from: open, drive: maybe.end()}
""",
}
ALL = reader.read({**PAGES, **TOYS})
MOST = f"{LIMIT}"

# fmt: off
# given · command · code · words of the reason
REFUSALS: list[tuple[str, str, Code, list[str]]] = [
    ("p authorized held=9",                     "settle amount=9",      Code.LINKED,      ["payment 'p' is authorized and refuses settle: there is no gift_card 'c'; create it first"]),
    ("p closed redeemed=9 | c issued",          "refund_to amount=9 to=n", Code.LINKED,   ["there is no gift_card 'n'"]),
    ("p requested | c suspended available=9",   "authorize amount=9",   Code.LINKED,      ["gift_card 'c' is suspended and refuses hold: It is suspended; no value can be put on it or spent from it.", "It would take: adjust, take_back, observe, register."]),
    ("p requested | c issued available=8",      "authorize amount=9",   Code.LINKED,      ["refuses hold: It carries less; with allow_partial it would give what it has (here allow_partial no, amount 0.09, available 0.08)"]),
    ("p requested | c issued",                  "authorize amount=9 allow_partial", Code.LINKED,  ["allow_partial yes"]),
    ("p closed redeemed=9 | c replaced",        "refund amount=9",      Code.LINKED,      ["Another card carries its value."]),
    ("p closed redeemed=9 | n inventory",       "refund_to amount=9 to=n", Code.LINKED,   ["It is a blank"]),
    ("r requested | c suspended",               "replace amount=0",     Code.LINKED,      ["Nothing is on it, and no order holds anything (here available 0.00, held 0.00, in_doubt 0.00)"]),
    ("r requested | c suspended available=1 held=8", "replace amount=0", Code.LINKED,     ["What is free on it must be moved at once (here available 0.01"]),
    ("r following | n suspended | c suspended available=1", "retire",   Code.LINKED,      ["gift_card 'n' is suspended and refuses expect: It is suspended; no value can be put on it or spent from it."]),
    ("r following | c suspended leaving=1",     "retire",               Code.LINKED,      ["What was taken off it must arrive on the other card or come back first (here available 0.00, held 0.00, leaving 0.01)"]),
    ("r emptied moving=9 | c suspended leaving=8", "cancel",            Code.LINKED,      ["Less of it is on its way to another card (here amount 0.09, leaving 0.08)"]),
    ("r following | c suspended held=1",        "retire",               Code.LINKED,      ["what orders hold on it settled or given back (here available 0.00, held 0.01)"]),
    ("p authorized | c issued",                 "cancel",              Code.LINKED,      ["refuses release_hold: The amount must be more than zero (here amount 0.00)"]),
    ("pair:x open",                             "touch",                Code.LINKED,      ["it has no maybe to end"]),
    ("c issued available=9",                    "hold amount=9",        Code.DRIVEN_ONLY, ["only another machine drives it"]),
    ("c suspended",                             "retire",               Code.DRIVEN_ONLY, ["only another machine drives it"]),
    ("c inventory",                             "hold amount=9",        Code.NOT_NOW,     ["gift_card 'c' is inventory and refuses hold: It is a blank; it must be allocated or activated, and issued, first."]),
    ("p reversed",                              "settle amount=9",      Code.NOT_NOW,     ["It ended and nothing was earned; a new try is a new payment. It takes no command any more."]),
    ("p closed",                                "close",                Code.NOT_NOW,     ["what was redeemed can only be refunded. It takes no command any more."]),
    ("p closed redeemed=9 | c issued",          "close",                Code.NOT_NOW,     ["It would take: refund, refund_to."]),
    ("p closed redeemed=9 redemption_id=R | c issued", "close",         Code.NOT_NOW,     ["It would take: void, refund, refund_to."]),
    ("p closed redeemed=9 redemption_id=R | c suspended", "close",      Code.NOT_NOW,     ["It would take: void, refund_to."]),
    ("p requested | c issued available=8 held=5", "authorize amount=9", Code.LINKED,      ["available 0.08; beside that, held 0.05)"]),
    ("toy:t lost",                              "end",                  Code.NOT_NOW,     ["this state does not answer it. It takes no command any more."]),
    ("p requested",                             "authorize amount=0",   Code.GUARD,       ["refuses authorize: The amount must be more than zero (here amount 0.00)"]),
    ("p requested",                             "authorize amount=-1",  Code.GUARD,       ["(here amount -0.01)"]),
    ("p authorized held=9",                     "settle amount=10",     Code.GUARD,       ["No more than is held can be settled (here amount 0.10, held 0.09)"]),
    ("p closed redeemed=9",                     "void",                 Code.GUARD,       ["Only a one-step redemption can be voided, and only while nothing of it was given back (here", "redemption_id none"]),
    ("c issued available=9 kind=promo",         "cash_out amount=9",    Code.GUARD,       ["A promotional card is not paid out in cash", "kind promo"]),
    ("c issued available=9",                    "cash_out amount=9",    Code.GUARD,       ["It has no limit up to which it may be paid out in cash", "cash_out_limit none"]),
    ("c issued available=9 cash_out_limit=8",   "cash_out amount=9",    Code.GUARD,       ["It carries more than may be paid out in cash", "cash_out_limit 0.08"]),
    ("c issued available=5 held=3 limit=8",     "reload amount=1",      Code.GUARD,       ["limit 0.08"]),
    ("c issued available=5 smallest=2",         "reload amount=1",      Code.GUARD,       ["so little", "smallest 0.02"]),
    ("c issued available=5 use_limit=2",        "redeem amount=3",      Code.GUARD,       ["One payment may not use so much", "use_limit 0.02"]),
    ("c issued available=5 use_limit=2",        "redeem amount=6",      Code.GUARD,       ["It carries less"]),
    ("c issued available=5 use_limit=0",        "redeem amount=3 allow_partial", Code.GUARD, ["nothing that can be spent"]),
    ("toy:t open",                              "shut",                 Code.GUARD,       ["shut needs 'state == \"done\"' (here state open)"]),
    ("toy:t open",                              "tries n=1",            Code.GUARD,       ["tries needs 'n > 1' (here n 1)"]),
    ("toy:t open a=5",                          "part amount=6",        Code.OVERDRAWN,   ["a -0.01"]),            # nothing cuts it
    ("toy:t open a=5",                          "both amount=4",        Code.AMBIGUOUS,   ["the guards of both_less and both_most are true at once; the machine is at fault"]),
    ("toy:t open a=5",                          "take amount=6",        Code.OVERDRAWN,   ["it would leave less than nothing: a -0.01"]),
    ("toy:t open a=5",                          "take amount=-6",       Code.OVERDRAWN,   ["move 1 -0.06"]),
    ("toy:t open a=5",                          "through amount=3",     Code.OVERDRAWN,   ["b -0.03"]),            # while asked, nothing is on b yet
    ("toy:t open a=5",                          "put amount=-1",        Code.OVERDRAWN,   ["move 1 -0.01"]),
    ("c issued available=1",                    f"reload amount={MOST}", Code.TOO_MUCH,   [f"more than {LIMIT} minor units"]),
    ("c issued available=1 held=1",             f"observe balance={MOST}", Code.TOO_MUCH, ["minor units"]),
    (f"p closed redeemed=1 | c issued available={MOST}", "refund amount=1", Code.LINKED,  ["minor units"]),
    ("toy:t open a=5",                          "end",                  Code.NOT_EMPTY,   ["done is final, but would still hold a 0.05"]),
    ("toy:t open a=5",                          "clear",                Code.NOT_EMPTY,   ["lost is final, but would still hold a 0.05"]),     # if it is declined
    ("toy:t open a=5",                          "risk",                 Code.NOT_EMPTY,   ["lost is final, but would still hold a 0.05"]),
    ("pair:x open left=t right=t | toy:t open", "put amount=1",         Code.TWICE,       ["toy 't' would be driven twice by one command"]),
    ("pair:x open left=t | toy:t open a=5",     "give amount=1 to=t",   Code.TWICE,       ["driven twice"]),
    ("pair:x open left=t right=u | toy:t open", "put amount=1",         Code.LINKED,      ["there is no toy 'u'"]),
]
# what was asked before, not answered yet · command · code · words of the reason
IN_THE_WAY: list[tuple[str, str, str, Code | None, str]] = [
    # one that changes the state is alone
    ("p requested | c issued available=9", "authorize amount=9", "redeem amount=9",   Code.IN_DOUBT, "authorize was sent to the provider and its answer is not known yet"),
    ("p requested | c issued available=9", "authorize amount=9", "cancel",               Code.IN_DOUBT, "authorize was sent"),
    ("p authorized held=9 | c issued held=9", "settle amount=4", "settle amount=5",       Code.IN_DOUBT, "settle_part was sent"),      # nothing is held meanwhile
    ("p authorized held=9 | c issued held=9", "settle amount=4 keep_hold", "settle amount=5",  Code.IN_DOUBT, "settle_keep_hold was sent"),
    ("p authorized held=9 | c issued held=9", "settle amount=9", "settle amount=9",       Code.IN_DOUBT, "settle_all was sent"),
    ("p authorized held=9 | c issued held=9", "cancel",         "settle amount=9",       Code.IN_DOUBT, "cancel was sent"),
    ("p authorized held=9 | c issued held=9", "settle amount=4", "cancel",               Code.IN_DOUBT, "settle_part was sent"),
    ("p partially_settled uncovered=9 | c issued available=9", "hold_again amount=9", "settle amount=4", Code.IN_DOUBT, "hold_again was sent"),
    ("p partially_settled uncovered=9 | c issued available=9", "hold_again amount=9", "close", Code.IN_DOUBT, "hold_again was sent"),
    ("c issued available=9",               "suspend",            "suspend",               Code.IN_DOUBT, "suspend was sent"),
    ("c allocated",                        "activate",           "suspend",               Code.IN_DOUBT, "activate_electronic was sent"),
    # while it may lead to a final state, everything is in the way
    ("p authorized redeemed=5 held=9 | c issued held=9", "settle amount=9", "refund amount=5", Code.IN_DOUBT, "settle_all was sent"),
    ("p requested | c issued available=9", "redeem amount=9",    "refund amount=9",       Code.IN_DOUBT, "redeem was sent"),
    ("p requested | c issued available=9", "redeem amount=9",    "hold_again amount=9",   Code.NOT_NOW, "this state does not answer it, nor will the next one; redeem was sent to the provider and its answer is not known yet. It takes no command now."),
    ("p requested | c issued available=9", "authorize amount=9", "settle amount=9",       Code.IN_DOUBT, "authorize was sent"),
    ("p advanced_hold redeemed=5 held=9 | c issued held=9", "settle amount=9", "refund amount=5", Code.IN_DOUBT, "settle_all was sent"),
    ("p advanced_hold redeemed=5 held=9 | c issued held=9", "cancel",    "refund amount=5", Code.IN_DOUBT, "cancel_rest was sent"),
    ("p advanced_hold held=9 uncovered=5 | c issued held=9", "settle amount=4 last", "cover_elsewhere amount=1", Code.IN_DOUBT, "settle_last was sent"),
    ("toy:t open",                         "risk",               "put amount=1",          Code.IN_DOUBT, "risk was sent"),      # it ends if it is declined
    # nothing becomes final while anything of it is in flight
    ("p advanced_hold redeemed=5 held=9 | c issued held=9", "refund amount=5", "settle amount=9", Code.IN_DOUBT, "1 call(s) to the provider are not answered yet, and settle_all may be the end of it"),
    ("p advanced_hold redeemed=5 held=9 | c issued held=9", "refund amount=5", "settle amount=4 last", Code.IN_DOUBT, "settle_last may be the end of it"),
    ("p partially_settled redeemed=5 uncovered=9 | c issued", "refund amount=5", "close", Code.IN_DOUBT, "close may be the end of it"),
    ("toy:t open",                         "wait",               "risk",                  Code.IN_DOUBT, "risk may be the end of it"),
    # what stays goes on, side by side
    ("p advanced_hold redeemed=5 held=9 | c issued held=9", "refund amount=5", "settle amount=4", None, ""),
    ("p advanced_hold redeemed=5 held=9 | c issued held=9", "settle amount=4", "refund amount=5", None, ""),
    ("p partially_settled uncovered=9 | c issued available=9", "hold_again amount=5", "cover_elsewhere amount=4", None, ""),
    ("p closed redeemed=9 | c issued",     "refund amount=5",    "refund amount=4",       None, ""),
    ("p closed redeemed=9 | c issued",     "refund amount=5",    "refund amount=5",       Code.GUARD, "redeemed 0.04"),
    ("p closed redeemed=9 redemption_id=R | c issued", "refund amount=5", "void",            Code.GUARD, "in_doubt 0.05"),   # the provider would void all of it
    ("p closed redeemed=9 redemption_id=R | c issued", "void",      "refund amount=5",       Code.GUARD, "redeemed 0.00"),
    ("c issued available=9",               "redeem amount=5",    "redeem amount=4",       None, ""),
    ("c issued available=9",               "redeem amount=5",    "redeem amount=5",       Code.GUARD, "available 0.04; beside that, in doubt 0.05)"),
    ("c issued available=9",               "redeem amount=5",    "suspend",               None, ""),
    ("c issued available=9",               "suspend",            "redeem amount=5",       None, ""),
    ("c issued available=9",               "redeem amount=5",    "observe balance=9",     Code.GUARD, "in_doubt 0.05"),
    (f"c issued available={LIMIT - 9}",    "reload amount=9",    "reload amount=1",       Code.TOO_MUCH, "minor units"),
]
# fmt: on
DECIDED_ELSEWHERE = {
    Code.EXISTS_ALREADY,
    Code.PROVIDER,
    Code.TOO_EARLY,
    Code.MOVED_ON,
    Code.TAKEN,
    Code.PIN_NEEDED,
}  # where entities are created and providers asked
SHOWN_APART = {Code.NO_SUCH_ENTITY, Code.CURRENCY}


def refused(world: World, command: str) -> Refusal:
    before = untouched(world)
    bare = world.decide(command)
    assert isinstance(bare, Refusal), "it is taken"
    answer = explained(bare, world.machines, world.entities, lambda _: (), now=world.now)
    assert world.entities == before, "a refusal changes nothing"
    entity = next(iter(world.entities.values()))
    assert (answer.machine, answer.id, answer.state, answer.command) == (*entity.ref, entity.state, command.split()[0])
    assert str(answer) == answer.why
    assert answer.why.startswith(f"{entity.machine} {entity.id!r} is {entity.state} and refuses {answer.command}: ")
    machine = world.machines[entity.machine]
    table = [
        name for name, each in machine.commands.items() if (entity.state, name) in machine.table and not each.driven
    ]
    assert [name for name in table if name in answer.allowed] == list(answer.allowed)
    return answer


@pytest.mark.parametrize(("given", "command", "code", "says"), REFUSALS)
def test_refused(given: str, command: str, code: Code, says: list[str]) -> None:
    answer = refused(World(given, ALL), command)
    assert answer.code is code
    for words in says:
        assert words in answer.why
    assert not answer.waits
    assert (answer.cause is not None) == (code is Code.LINKED and "it has no" not in answer.why)
    assert answer.cause is None or answer.why.endswith(answer.cause.why)


@pytest.mark.parametrize(("given", "first", "command", "code", "says"), IN_THE_WAY)
def test_while_a_call_is_not_answered(given: str, first: str, command: str, code: Code | None, says: str) -> None:
    world = World(given, ALL)
    call = world.ask(first)
    assert isinstance(call, str)
    if code is None:
        assert isinstance(world.decide(command), Intent)
        return
    answer = refused(world, command)
    assert answer.code is code
    assert says in answer.why
    assert answer.waits == (code is Code.IN_DOUBT)
    later = []
    for outcome in (CONFIRMED, UNAVAILABLE):
        ended = world.copy()
        assert isinstance(ended.answer(call, outcome), Plan)
        later.append(isinstance(ended.decide(command), Intent))
    assert any(later) or not answer.waits, "what has only to wait may be taken when the way is free"


# what is there · what a caller may do now
ALLOWED = [
    ("p requested | c issued available=9",                "authorize redeem cancel close"),
    ("p requested | c issued",                            "cancel close"),                  # the card carries nothing
    ("p requested | c suspended available=9",             "cancel close"),                  # the card refuses
    ("p authorized held=1 | c issued held=1",             "settle hold_until reduce mark_hold_lost cancel"),  # only all of it fits
    ("p partially_settled uncovered=9 | c issued",        "hold_until reduce cover_elsewhere cancel close"),
    ("p partially_settled uncovered=9 | c issued available=1", "hold_again hold_until reduce cover_elsewhere cancel close"),
    ("p closed redeemed=9 | c issued",                    "refund refund_to"),
    ("p closed redeemed=9 redemption_id=R | c issued",    "void refund refund_to"),
    ("p closed redeemed=9 | c replaced",                  "refund_to"),
    ("p closed | c issued",                               ""),
    ("c issued available=9 limit=9",                      "redeem adjust observe register suspend"),
    ("c issued kind=promo",                               "credit adjust observe register suspend"),
    ("c suspended was=issued available=9",                "adjust take_back observe register reinstate"),
    ("c inventory",                                       "allocate recognize"),
    ("c inventory form=physical",                         "activate recognize"),
    ("c replaced",                                        ""),
    ("f released | c inventory",                          "review allocate cancel"),
    ("f released form=physical | c inventory form=physical", "review ship ship_with_pin cancel"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "names"), ALLOWED)
def test_allowed_is_what_would_be_taken_now(given: str, names: str) -> None:
    world = World(given)
    assert (
        " ".join(allowed(world.machines, next(iter(world.entities.values())), world.entities, now=world.now)) == names
    )


def test_a_refusal_names_the_call_that_is_in_its_way() -> None:
    world = World("p requested | c issued available=9")
    assert isinstance(world.ask("redeem amount=9"), str)
    for command, words in (
        ("void", "is not known yet (call 7)"),
        ("hold_again amount=1", "not known yet (call 7). It"),
    ):
        bare = world.decide(command)
        assert isinstance(bare, Refusal)
        answer = explained(bare, world.machines, world.entities, lambda _: [("7", "redeem")], now=world.now)
        assert words in answer.why
        assert answer.calls == ("7",)
    bare = world.decide("redeem amount=1", of="c")
    assert isinstance(bare, Refusal)
    answer = explained(bare, world.machines, world.entities, lambda _: [("7", "redeem")], now=world.now)
    assert answer.why.endswith("in doubt 0.09). The provider has not answered redeem (call 7) yet.")


def test_every_code_has_its_line() -> None:
    lines = {row[2] for row in REFUSALS} | {row[3] for row in IN_THE_WAY if row[3]}
    assert lines | SHOWN_APART | DECIDED_ELSEWHERE == set(Code)


def test_an_entity_that_does_not_exist() -> None:
    answer = World("c issued").decide("settle amount=1", of="p")
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.state, answer.allowed) == (Code.NO_SUCH_ENTITY, None, ("create",))
    assert answer.why == "there is no payment 'p'; create it first"


def test_two_currencies_never_meet() -> None:
    world = World("p requested | c issued available=9")
    world.entities |= World("p requested", currency="USD").entities
    answer = refused(world, "authorize amount=9")
    assert answer.cause is not None
    assert (answer.code, answer.cause.code) == (Code.LINKED, Code.CURRENCY)
    assert "it is in BRL, payment 'p' in USD" in answer.why


def test_a_refusal_far_down_waits_too() -> None:
    world = World("r following | c suspended held=9 | p authorized held=9")
    assert isinstance(world.ask("settle amount=9", of="p"), str)
    answer = refused(world, "retire")
    assert answer.cause is not None
    assert (answer.code, answer.cause.code, answer.waits) == (Code.LINKED, Code.IN_DOUBT, True)
    assert "1 call(s) to the provider are not answered yet, and retire may be the end of it" in answer.why


@pytest.mark.parametrize("machine", MACHINES.values(), ids=lambda machine: machine.name)
def test_every_command_that_a_state_does_not_answer_is_refused_with_its_reason(machine: Any) -> None:
    letter = {"gift_card": "c", "payment": "p", "fulfilment": "f", "replacement": "r", "tender": "t"}[machine.name]
    filled = {"money": "1", "number": "6006490281", "gift_card": "n", "shares": "p:1", "time": "2026-02-01T00:00:00Z"}
    for state, command in itertools.product(machine.states, machine.commands):
        if (state, command) in machine.table:
            continue
        args = [
            f"{name}={next(iter(type_.choices or ()), filled.get(type_.machine or type_.kind, 'x'))}"
            for name, type_ in machine.commands[command].arguments.items()
            if type_.kind != "flag"
        ]
        answer = refused(World(f"{letter} {state}"), " ".join([command, *args]))
        assert answer.code is Code.NOT_NOW
        assert machine.on_purpose[state, command] in answer.why
        assert answer.candidates == ()


# fmt: off
# given · command · the part that fails, by transition · the numbers
CANDIDATES: list[tuple[str, str, dict[str, str], dict[str, str]]] = [
    ("p authorized held=900 uncovered=0", "settle amount=901",
     {"settle_part": "0 < amount < held", "settle_keep_hold": "0 < amount < held", "settle_all": "0 < amount == held",
      "settle_last": "0 < amount <= held"},
     {"amount": "9.01", "held": "9.00", "uncovered": "0.00", "last": "no", "keep_hold": "no"}),
    ("p authorized held=900", "settle amount=901 last keep_hold",
     {"settle_part": "0 < amount < held", "settle_keep_hold": "0 < amount < held", "settle_all": "0 < amount == held",
      "settle_last": "0 < amount <= held"},
     {"amount": "9.01", "held": "9.00", "uncovered": "0.00", "last": "yes", "keep_hold": "yes"}),
    ("p advanced_hold held=5", "settle amount=0",
     {"settle_part": "0 < amount < held", "settle_keep_hold": "0 < amount < held", "settle_held": "0 < amount == held",
      "settle_all": "0 < amount == held", "settle_last": "0 < amount <= held"},
     {"amount": "0.00", "held": "0.05", "uncovered": "0.00", "last": "no", "keep_hold": "no"}),
    ("p partially_settled held=5 uncovered=5", "hold_again amount=5",
     {"hold_again": "held == 0"}, {"amount": "0.05", "held": "0.05", "uncovered": "0.05"}),
    ("c issued available=5 limit=5", "reload amount=1",
     {"reload": "limit == none or available + held + leaving + in_doubt + amount <= limit"},
     {"amount": "0.01", "available": "0.05", "held": "0.00", "in_doubt": "0.00", "kind": "gift", "leaving": "0.00",
      "limit": "0.05", "smallest": "none"}),
    ("c issued available=5 kind=promo", "reload amount=1",
     {"reload": 'kind == "gift"'},
     {"amount": "0.01", "available": "0.05", "held": "0.00", "in_doubt": "0.00", "kind": "promo", "leaving": "0.00",
      "limit": "none", "smallest": "none"}),
    ("c suspended was=allocated available=5", "adjust amount=0",
     {"adjust_up": "amount > 0", "adjust_down": "amount < 0"},
     {"amount": "0.00", "available": "0.05", "hard_limit": "no", "held": "0.00", "in_doubt": "0.00", "leaving": "0.00",
      "limit": "none"}),
    ("c suspended", "reinstate",
     {"reinstate_allocated": 'was == "allocated"', "reinstate_activated": 'was == "activated"', "reinstate_issued": 'was == "issued"'},
     {"was": "none"}),
    ("c inventory", "activate number=6006490281",
     {"activate_physical": 'form == "physical"'}, {"form": "electronic", "number": "…0281"}),
    ("c inventory form=physical", "activate",
     {"activate_physical": "number != none"}, {"form": "physical", "number": "none"}),
    ("f released", "ship number=6006490281", {"ship": 'form == "physical"'}, {"form": "electronic"}),
]
# fmt: on


@pytest.mark.parametrize(("given", "command", "failed", "values"), CANDIDATES)
def test_a_refused_guard_names_its_candidates_and_the_numbers(
    given: str, command: str, failed: dict[str, str], values: dict[str, str]
) -> None:
    world = World(given)
    answer = refused(world, command)
    assert answer.code is Code.GUARD
    assert {each.transition: each.failed for each in answer.candidates} == failed
    seen: dict[str, str] = {}
    for each in answer.candidates:
        declared = MACHINES[answer.machine].transitions[each.transition].guard
        assert declared is not None
        assert (each.guard, each.prose) == (declared.source, declared.prose)
        assert set(each.values) == declared.names
        seen |= each.values
    assert seen == values
    said = [each for each in MACHINES[answer.machine].refused.get((str(answer.state), answer.command), ())
            if each.says.removesuffix(".") in answer.why]  # fmt: skip
    for name, value in values.items():
        assert (f"{name} {value}" in answer.why.partition("; beside that")[0]) == all(
            each.guard and name in each.guard.names for each in said
        )
    for part in failed.values():
        assert (f"'{part}'" in answer.why) == (not said)


@pytest.mark.parametrize(
    ("currency", "amount"), [("JPY", "901"), ("KWD", "0.901"), ("CLF", "0.0901"), ("points", "901")]
)
def test_numbers_are_shown_in_the_currency(currency: str, amount: str) -> None:
    answer = World("p authorized held=900", currency=currency).decide("settle amount=901")
    assert isinstance(answer, Refusal)
    assert f"(here amount {amount}, " in answer.why


# --- refused by the page, for some values

LOCKER = """\
machine: locker
version: 1
summary: A deposit for a locker.
facts: {rate: money, note: text?, size: {is: [small, large], default: small}}
accounts: {deposit: Left by the guest.}
outside: {guest: Where it comes from.}
states:
  free: {start: true, says: Nobody uses it.}
  taken: {says: A guest has left a deposit.}
commands: {take: {amount: money, pin: secret?}, more: {amount: money}, swap: {}}
transitions:
  take: {from: free, to: taken, when: amount >= rate, move: {guest -> deposit: amount}}
  more: {from: taken, move: {guest -> deposit: amount}}
refuse:
  - {says: A deposit covers one day at least., in: [free], commands: [take], when: amount < rate}
  - {says: Nobody uses it., in: [free], commands: [more]}
  - {says: "Nothing, or less, is no deposit", in: [taken], commands: [take, more], when: amount <= 0}
  - {says: Small ones are all taken., in: [free, taken], commands: [swap], when: size == "small"}
  - {says: Large ones are never swapped., in: [free, taken], commands: [swap], when: size != "small"}
"""


@pytest.mark.parametrize(
    ("given", "command", "because", "candidates"),
    [
        ("locker:x free rate=800", "take amount=799", "A deposit covers one day at least (here amount 7.99, rate 8.00)", ["take"]),
        ("locker:x taken rate=800 deposit=800", "more amount=0", "Nothing, or less, is no deposit (here amount 0.00)", ["more"]),
        ("locker:x free rate=800", "more amount=0", "Nobody uses it. It would take: take.", []),
        ("locker:x taken rate=800", "take amount=0", "Nothing, or less, is no deposit (here amount 0.00)", []),
        ("locker:x taken rate=800", "take amount=1", "this state does not answer it. It would take: more.", []),
        ("locker:x free rate=1", "swap", "Small ones are all taken (here size small)", []),
        ("locker:x free rate=1 size=large", "swap", "Large ones are never swapped (here size large)", []),
    ],
)  # fmt: skip
def test_a_refusal_with_a_guard_says_its_sentence_and_the_numbers(
    given: str, command: str, because: str, candidates: list[str]
) -> None:
    world = World(given, reader.read({"locker.yaml": LOCKER}))
    bare = world.decide(command)
    assert isinstance(bare, Refusal)
    answer = explained(bare, world.machines, world.entities, lambda _: (), now=world.now)
    assert answer.why.endswith(f" refuses {command.split()[0]}: {because}")
    assert [each.transition for each in answer.candidates] == candidates


def test_a_refusal_with_a_guard_counts_before_the_transitions() -> None:
    """In doubt, no: where a page both answers and refuses some values, they are refused."""
    machines = reader.read({"locker.yaml": LOCKER.replace("when: amount <= 0", "when: amount <= rate")})
    assert isinstance(World("locker:x taken rate=100", machines).decide("more amount=100"), Refusal)
    assert isinstance(World("locker:x taken rate=100", machines).decide("more amount=101"), Intent)


# fmt: off
# value · type · currency · as a person reads it
SHOWN: list[tuple[object, Type, str, str]] = [
    (5000,               Type("money"),                   "BRL",    "50.00"),
    (-1,                 Type("money"),                   "BRL",    "-0.01"),
    (5000,               Type("money"),                   "JPY",    "5000"),
    (None,               Type("money", optional=True),    "BRL",    "none"),
    (7,                  Type("count"),                   "BRL",    "7"),
    (True,               Type("flag"),                    "BRL",    "yes"),
    (False,              Type("flag"),                    "BRL",    "no"),
    ("gift",             Type("choice", choices=("gift",)), "BRL",  "gift"),
    ("6006491234560281", Type("number"),                  "BRL",    "…0281"),
    ("0281",             Type("number"),                  "BRL",    "…"),         # too short to show any of it
    (None,               Type("number", optional=True),   "BRL",    "none"),
    ("1234",             Type("secret"),                  "BRL",    "•••"),
    (None,               Type("secret", optional=True),   "BRL",    "•••"),       # not even that there is none
]
# fmt: on


@pytest.mark.parametrize(("value", "type_", "currency", "text"), SHOWN)
def test_a_value_as_a_person_reads_it(value: object, type_: Type, currency: str, text: str) -> None:
    assert shown(value, type_, currency) == text


# --- several calls at once


# fmt: off
# given · (whose, command, answered with), … · and then, whatever the order of the answers
IN_ANY_ORDER: list[tuple[str, list[tuple[str, str, Any]], str]] = [
    ("p requested | p2 requested | c issued available=100",
     [("p", "authorize amount=60", CONFIRMED), ("p2", "authorize amount=40", CONFIRMED)],
     "p authorized held=60 | p2 authorized held=40 | c issued held=100"),
    ("p requested | p2 requested | c issued available=100",
     [("p", "authorize amount=60", DECLINED), ("p2", "authorize amount=40", confirmed(30))],
     "p declined | p2 authorized held=30 | c issued available=70 held=30"),
    ("p authorized held=50 | p2 authorized held=50 | c issued available=9 held=100",
     [("p", "settle amount=20", CONFIRMED), ("p2", "cancel", CONFIRMED), ("c", "suspend", CONFIRMED)],
     "p partially_settled uncovered=30 redeemed=20 | p2 reversed | c suspended available=89"),
    ("p authorized held=50 | p2 authorized held=50 | c issued available=9 held=100",
     [("p", "settle amount=20", UNAVAILABLE), ("p2", "cancel", CONFIRMED), ("c", "redeem amount=9", DECLINED)],
     "p authorized held=50 | p2 reversed | c issued available=59 held=50"),
    ("p closed redeemed=90 | c issued",
     [("p", "refund amount=10", CONFIRMED), ("p", "refund amount=20", DECLINED), ("p", "refund amount=30", CONFIRMED), ("p", "refund amount=30", UNAVAILABLE)],
     "p closed redeemed=50 | c issued available=40"),
    ("p advanced_hold held=50 redeemed=30 | c issued held=50 | n activated",
     [("p", "refund amount=10", CONFIRMED), ("p", "settle amount=20 keep_hold", CONFIRMED), ("p", "refund_to amount=5 to=n", CONFIRMED)],
     "p partially_settled held=30 redeemed=35 | c issued available=10 held=30 | n issued available=5"),
    ("c issued available=100",
     [("c", "redeem amount=10", CONFIRMED), ("c", "suspend", CONFIRMED), ("c", "redeem amount=20", DECLINED), ("c", "reload amount=7", CONFIRMED)],
     "c suspended available=97"),
]
# fmt: on


@pytest.mark.parametrize(("given", "asked", "after"), IN_ANY_ORDER)
def test_answers_may_come_in_any_order(given: str, asked: list[tuple[str, str, Any]], after: str) -> None:
    for order in itertools.permutations(range(len(asked))):
        world = World(given)
        calls = [world.ask(command, of) for of, command, _ in asked]
        assert all(isinstance(call, str) for call in calls), calls
        for index in order:
            assert isinstance(world.answer(str(calls[index]), asked[index][2]), Plan)
        assert str(world) == after
        assert all((each.calls, each.changing) == (0, None) for each in world.entities.values())


def test_an_entity_remembers_the_one_call_that_will_change_its_state() -> None:
    world = World("p advanced_hold held=50 redeemed=30 | c issued held=50")
    refund, settle = world.ask("refund amount=10"), world.ask("settle amount=20")
    assert (world["p"].calls, world["p"].changing, world["c"].calls, world["c"].changing) == (2, "settle_part", 2, None)
    assert isinstance(world.answer(str(refund), DECLINED), Plan)
    assert (world["p"].calls, world["p"].changing, world["c"].calls) == (1, "settle_part", 1)
    assert isinstance(world.answer(str(settle), UNAVAILABLE), Plan)
    assert (world["p"].calls, world["p"].changing, world["c"].calls) == (0, None, 0)


def test_confirmed_with_nothing_is_declined_for_want_of_funds() -> None:
    world = World("p requested | c issued available=9")
    call = world.ask("authorize amount=9")
    plan = world.answer(str(call), confirmed(0, reference="H1"))
    assert isinstance(plan, Plan)
    assert (world["p"].state, world["p"].facts["hold_id"]) == ("declined", None)
    assert Reason.INSUFFICIENT_FUNDS in Reason


# --- secrets and numbers

PIN, NUMBER = "pin-4711-secret", "6006491234560281"


def test_a_secret_is_passed_on_and_nothing_else() -> None:
    for command in ("authorize", "redeem"):
        world = World("p requested | c issued available=9")
        text = f"{command} amount=9 pin={PIN}"
        intent = taken(world, text)
        assert intent.asked is not None
        assert intent.asked.args["pin"] == PIN
        call = str(world.ask(text))
        steps, _ = world.open[call]
        told = [intent, world.entities, world.entries, steps]
        plan = world.answer(call, CONFIRMED)
        assert isinstance(plan, Plan)
        at_once = World("p requested | c issued available=9").do(text)
        assert isinstance(at_once, Plan)
        assert PIN not in repr([*told, plan, at_once])
        for kept in (
            [entry.args for entry in [*world.entries, *at_once.entries]],
            [step.args for step in steps],
            [each.facts for each in world.entities.values()],
        ):
            assert PIN not in str(kept)


@pytest.mark.parametrize(
    "given", ["p requested | c issued available=8", "p closed", "p requested | c suspended", "p requested"]
)
def test_a_refusal_does_not_tell_a_secret(given: str) -> None:
    answer = refused(World(given), f"authorize amount=9 pin={PIN}")
    assert PIN not in repr(answer)


def test_a_card_number_is_in_no_repr_and_masked_in_refusals() -> None:
    world = World(f"c inventory form=physical | f shipped form=physical number={NUMBER} | n inventory number={NUMBER}")
    plans = [
        world.do(f"activate number={NUMBER}"),
        World("c inventory").do("allocate", outcome=confirmed(number=NUMBER)),
    ]
    assert all(isinstance(plan, Plan) for plan in plans)
    fresh = World()
    plans.append(fresh.create("gift_card", "c9", form="physical", number=NUMBER))
    assert NUMBER not in repr([plans, world.entities, world.entries, fresh.entries])
    answer = World(f"c inventory number={NUMBER}").decide(f"activate number={NUMBER}")
    assert isinstance(answer, Refusal)
    assert NUMBER not in repr(answer)
    assert answer.candidates[0].values["number"] == "…0281"


# --- amounts as large as they get


def test_the_largest_amount_goes_all_the_way() -> None:
    world = World("p requested | c activated")
    for of, command, after in [
        ("c", f"issue amount={MOST}",                    f"p requested | c issued available={MOST}"),
        ("p", f"authorize amount={MOST}",                f"p authorized held={MOST} | c issued held={MOST}"),
        ("p", "settle amount=1",                         f"p partially_settled uncovered={LIMIT - 1} redeemed=1 | c issued available={LIMIT - 1}"),
        ("p", f"hold_again amount={LIMIT - 1}",          f"p advanced_hold held={LIMIT - 1} redeemed=1 | c issued held={LIMIT - 1}"),
        ("p", f"settle amount={LIMIT - 1}",              f"p closed redeemed={MOST} | c issued"),
        ("p", f"refund amount={MOST}",                   f"p closed | c issued available={MOST}"),
    ]:  # fmt: skip
        call = world.ask(command, of)
        assert isinstance(call, str), str(call)
        assert isinstance(world.answer(call, CONFIRMED), Plan)
        assert str(world) == after
    assert isinstance(world.decide("reload amount=1", of="c"), Refusal)


def test_no_account_passes_the_limit_by_several_calls() -> None:
    world = World("c issued available=1")
    taken_ = [call for _ in range(3) if isinstance(call := world.ask(f"reload amount={LIMIT // 2}"), str)]
    for call in taken_:
        assert isinstance(world.answer(call, CONFIRMED), Plan)
    assert len(taken_) == 1
    assert line(world["c"]) == f"c issued available={LIMIT // 2 + 1}"


# --- what cannot even be considered

# fmt: off
# machine · command · arguments · what they become
TYPED: list[tuple[str, str, dict[str, object], dict[str, object]]] = [
    ("payment",   "authorize", {"amount": "50.00"},               {"amount": 5000, "pin": None, "allow_partial": False, "until": None}),
    ("payment",   "authorize", {"amount": "50", "pin": "1234", "allow_partial": True}, {"amount": 5000, "pin": "1234", "allow_partial": True, "until": None}),
    ("payment",   "authorize", {"amount": Money(5000, "BRL"), "allow_partial": None}, {"amount": 5000, "pin": None, "allow_partial": False, "until": None}),
    ("payment",   "authorize", {"amount": Minor(5000)},           {"amount": 5000, "pin": None, "allow_partial": False, "until": None}),
    ("payment",   "authorize", {"amount": Minor(LIMIT)},          {"amount": LIMIT, "pin": None, "allow_partial": False, "until": None}),
    ("gift_card", "adjust",    {"amount": "-0.01"},               {"amount": -1, "order": None}),
    ("payment",   "refund_to", {"amount": "0.01", "to": "c2"},    {"amount": 1, "to": "c2"}),
    ("gift_card", "extend",    {"until": "2026-02-01T00:00:00-03:00"}, {"until": "2026-02-01T03:00:00.000Z"}),
    ("payment",   "cancel",   {},                                {}),
    ("payment",   "settle",    {"amount": "1", "invoice": "x" * 1000}, {"amount": 100, "last": False, "keep_hold": False, "invoice": "x" * 1000, "until": None}),
]

# machine · command · arguments · what is said
INVALID: list[tuple[str, str, dict[str, object], str]] = [
    ("payment",   "authorize", {},                                "payment.authorize(amount=…) is missing; it is money"),
    ("payment",   "authorize", {"amount": None},                  "payment.authorize(amount=…) is missing; it is money"),
    ("payment",   "authorize", {"amout": 1},                      "payment.authorize takes no argument 'amout'. Did you mean 'amount'?"),
    ("payment",   "cancel",   {"amount": 1},                     "payment.cancel takes no argument 'amount'."),
    ("payment",   "authorize", {"amount": 50.0},                  "payment.authorize(amount=…): amounts are decimal strings such as '50.00', not a float"),
    ("payment",   "authorize", {"amount": True},                  "payment.authorize(amount=…): amounts are decimal strings"),
    ("payment",   "authorize", {"amount": "50.001"},              "too many decimals"),
    ("payment",   "authorize", {"amount": "1e3"},                 "payment.authorize(amount=…): "),
    ("payment",   "authorize", {"amount": Money(5000, "USD")},    "50.00 USD is not in BRL; currencies are never mixed"),
    ("payment",   "authorize", {"amount": 50},                    "not an int; an int does not say whether it counts cents or whole units; Money(minor, currency) takes minor units"),
    ("payment",   "authorize", {"amount": 0},                     "not an int"),
    ("payment",   "authorize", {"amount": "10000000000000.01"},   "beyond the limit"),
    ("payment",   "authorize", {"amount": "1", "allow_partial": 1},         "payment.authorize(allow_partial=…) is flag, not 1"),
    ("payment",   "authorize", {"amount": "1", "allow_partial": "yes"},     "payment.authorize(allow_partial=…) is flag, not 'yes'"),
    ("payment",   "authorize", {"amount": "1", "pin": 1234567},     "payment.authorize(pin=…) is secret, if any, not int"),
    ("payment",   "authorize", {"amount": "1", "pin": "a\nb" * 400}, "payment.authorize(pin=…): the text is longer than 1000 characters"),
    ("payment",   "authorize", {"amount": "1", "pin": "pin\x00"},   "payment.authorize(pin=…): the text has characters that cannot be printed"),
    ("payment",   "refund_to", {"amount": "1", "to": 5},            "payment.refund_to(to=…) is gift_card, not 5"),
    ("payment",   "refund_to", {"amount": "1", "to": ""},           "payment.refund_to(to=…): it is empty"),
    ("payment",   "settle",    {"amount": "1", "invoice": "x" * 1001}, "is longer than 1000 characters"),
    ("payment",   "settle",    {"amount": "1", "invoice": "a\tb"},  "'a\\tb' has characters that cannot be printed"),
    ("payment",   "settle",    {"amount": "1", "invoice": ["x"]},   "payment.settle(invoice=…) is text, if any, not ['x']"),
    ("gift_card", "recognize", {"number": 6006490281, "balance": 1}, "gift_card.recognize(number=…) is number, not int"),
    ("payment",   "create",    {"order": "o", "card": "c"},       "payment.create needs the argument 'currency'"),
    ("payment",   "create",    {"currency": "XXX", "order": "o", "card": "c"}, "payment.create(currency=…): unknown currency"),
    ("payment",   "create",    {"currency": 986, "order": "o", "card": "c"}, "payment.create needs the argument 'currency'"),
    ("payment",   "create",    {"currency": "BRL", "card": "c"},  "payment.create(order=…) is missing; it is text"),
    ("payment",   "create",    {"currency": "BRL", "order": "o", "card": "c", "hold_id": "H"}, "payment.create takes no 'hold_id': a transition sets it later"),
    ("payment",   "create",    {"currency": "BRL", "order": "o", "crad": "c"}, "payment.create takes no argument 'crad'. Did you mean 'card'?"),
    ("gift_card", "create",    {"currency": "BRL", "form": "paper"}, "gift_card.create(form=…): 'paper' is not one of its choices. Known: electronic, physical."),
    ("gift_card", "create",    {"currency": "BRL"},               "gift_card.create(form=…) is missing; it is one of electronic, physical"),
    ("gift_card", "create",    {"currency": "BRL", "form": "physical", "limit": 0.5}, "not a float"),
    ("gift_card", "create",    {"currency": "BRL", "form": "physical", "kind": 1}, "gift_card.create(kind=…) is one of gift, promo, merchandise_credit, not 1"),
]
# fmt: on


@pytest.mark.parametrize(("machine", "command", "given", "wanted"), TYPED)
def test_typed_arguments(machine: str, command: str, given: dict[str, object], wanted: dict[str, object]) -> None:
    typed = arguments.typed(MACHINES[machine], MACHINES[machine].commands[command], given, "BRL")
    assert typed == wanted
    assert {name: type(value) for name, value in typed.items()} == {name: type(value) for name, value in wanted.items()}


@pytest.mark.parametrize(("machine", "command", "given", "says"), INVALID)
def test_what_cannot_be_considered(machine: str, command: str, given: dict[str, object], says: str) -> None:
    declared = MACHINES[machine].commands.get(command)
    with pytest.raises(Invalid) as caught:
        arguments.typed(MACHINES[machine], declared, given, "BRL") if declared else arguments.created(
            MACHINES[machine], given
        )
    assert says in str(caught.value)
    assert str(given.get("pin")) not in str(caught.value)


@pytest.mark.parametrize("given", [True, 1.0, "3", LIMIT + 1, -LIMIT - 1])
def test_a_count_is_a_whole_number(given: object) -> None:
    declared = ALL["toy"].commands["tries"]
    assert arguments.typed(ALL["toy"], declared, {"n": -3}, "BRL") == {"n": -3}
    with pytest.raises(Invalid, match=r"^toy\.tries\(n=…\) is count, not "):
        arguments.typed(ALL["toy"], declared, {"n": given}, "BRL")


def test_what_a_new_entity_is_not_told() -> None:
    currency, facts = arguments.created(MACHINES["gift_card"], {"currency": "points", "form": "physical", "limit": "5"})
    assert currency == "points"
    assert facts == {
        "form": "physical",
        "kind": "gift",
        "card_set": None,
        "number": None,
        "has_pin": None,
        "smallest": None,
        "limit": 5,
        "hard_limit": False,
        "use_limit": None,
        "cash_out_limit": None,
        "expires": None,
        "was": None,
    }
    world = World()
    world.create("gift_card", "c", form="electronic")
    assert (str(world), world["c"].revision) == ("c inventory", 1)
    assert [
        (entry.transition, entry.phase, entry.from_state, entry.to_state, entry.postings) for entry in world.entries
    ] == [("create", "done", None, "inventory", ())]
