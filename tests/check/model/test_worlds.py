"""Who lives together in the worlds of the model, with which values; small pages that say what each needs."""

from __future__ import annotations

from tallystick.check.finding import Finding
from tallystick.check.model.explore import explore
from tallystick.definition import reader

ROD = """
machine: rod_{number}
version: 1
summary: One part of a tackle, filled through the one before it.
facts: {{{facts}}}
accounts: {{has: Here.}}
outside: {{world: There.}}
states:
  begun: {{start: true, says: Begun.}}
  full: {{says: Full.}}
  done: {{final: true, says: Done.}}
commands: {{fill: {{amount: money}}, finish: {{}}, leave: {{}}}}
driven: [{driven}]
transitions:
  fill:
    from: begun
    to: full
    when: amount > 0
{fill}
    move: {{world -> has: amount}}
  finish:
    from: full
    to: done
{finish}
    move: {{has -> world: has}}
  leave:
    from: begun
    to: done
refuse:
  - {{says: More than nothing., in: [begun], commands: [fill], when: amount <= 0}}
  - {{says: Not yet., in: [begun], commands: [finish]}}
  - {{says: Filled., in: [full], commands: [fill, leave]}}
  - {{says: Over., in: [done], commands: [fill, finish, leave]}}
"""


def rods(count: int, *, last: str = "", first: str = "", when: str = "") -> dict[str, str]:
    """A chain of machines, each driving the next; `last` is done by the last fill, `first` added to the first page."""
    pages = {}
    for number in range(1, count + 1):
        deeper = number < count
        page = ROD.format(
            number=number,
            facts=f"next: rod_{number + 1}" if deeper else "",
            driven="" if number == 1 else "fill, finish",
            fill="    drive: next.fill(amount=amount)" if deeper else last,
            finish=(f"    when: {when}\n" if when and number == 1 else "")
            + ("    drive: next.finish()" if deeper else ""),
        )
        page = page.replace("facts: {}\n", "").replace("driven: []\n", "").replace("\n\n    move", "\n    move")
        pages[f"rod_{number}.yaml"] = page + (first if number == 1 else "")
    return pages


def found(pages: dict[str, str], only: list[str] | None = None, depth: int | None = None) -> list[Finding]:
    return explore(reader.read(pages), only=only or (), depth=depth)[0]


def told(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(each.code, each.message.split(" (")[0]) for each in findings]


# Links of links


def test_a_chain_of_machines_has_all_its_parts() -> None:
    assert found(rods(5)) == []


def test_a_story_goes_through_all_that_is_linked_to() -> None:
    never = "invariants: {never: {says: It holds nothing., sum: {}, always: has <= 0}}\n"
    (finding,) = found(rods(3, last="    ask: issue", first=never), only=["rod_1"])
    assert finding.code == "TS201"
    assert finding.story == (
        "rod_11 fill amount 0.01 → full: world → has 0.01; "
        "rod_21 fill → full world → has 0.01; rod_31 fill → full world → has 0.01",
    )


def test_what_is_stuck_at_the_head_of_a_chain_is_told_as_it_is() -> None:
    findings = found(rods(3, when="has < 0"), only=["rod_1"])
    assert told(findings)[0][0] == "TS202"
    assert "rod_11 is full with has 0.01" in findings[0].message


# Links that may be none


PARENT = """
machine: purchase
version: 1
summary: Somebody's purchase, or a guest's.
facts: {account: points?}
states: {begun: {start: true, says: Not over.}, done: {final: true, says: Over.}}
commands: {reward: {}}
transitions:
  reward: {from: begun, to: done, drive: account.earn()GUARD}
GUEST
refuse: [{says: Over., in: [done], commands: [reward]}]
"""
POINTS = """
machine: points
version: 1
summary: Points of a member.
states: {open: {start: true, says: It collects.}}
commands: {earn: {}}
driven: [earn]
transitions: {earn: {from: open}}
"""


def purchase(guard: str, guest: str) -> dict[str, str]:
    return {"purchase.yaml": PARENT.replace("GUARD", guard).replace("GUEST", guest), "points.yaml": POINTS}


def test_a_link_that_may_be_none_is_none_too() -> None:
    assert [each.code for each in found(purchase("", ""), ["purchase"])] == ["TS203"]
    guest = "  guest: {command: reward, from: begun, to: done, when: account == none}"
    assert found(purchase(", when: account != none", guest), ["purchase"]) == []


# Three together

FUNDS = """
machine: {name}
version: 1
summary: Somebody's money.
accounts: {{has: Here.}}
outside: {{world: There.}}
states:
  open: {{start: true, says: In use.}}
  done: {{final: true, says: Over.}}
commands: {{load: {{amount: money}}, take: {{amount: money}}, end: {{}}}}
driven: [take]
transitions:
  load: {{from: open, when: amount > 0, move: {{world -> has: amount}}}}
  take: {{from: open, when: 0 < amount <= has, move: {{has -> world: amount}}}}
  end: {{from: open, to: done, move: {{has -> world: has}}}}
refuse:
  - {{says: More than nothing., in: [open], commands: [load], when: amount <= 0}}
  - {{says: It is not there., in: [open], commands: [take], when: amount <= 0 or amount > has}}
  - {{says: Over., in: [done], commands: [load, take, end]}}
"""
TRIP = """
machine: trip
version: 1
summary: Paid by two.
facts: {one: purse, other: wallet}
accounts: {paid: Together.}
outside: {one: One., other: The other., agency: Who earns it.}
states:
  asked: {start: true, says: Nothing is paid.}
  booked: {says: Paid.}
  over: {final: true, says: Over.}
commands: {book: {amount: money}, travel: {}, leave: {}}
transitions:
  book:
    from: asked
    to: booked
    when: amount > 0
    drive: [one.take(amount=amount), other.take(amount=amount)]
    move: {one -> paid: amount, other -> paid: amount}
  travel: {from: booked, to: over, move: {paid -> agency: paid}}
  leave: {from: asked, to: over}
refuse:
  - {says: No., in: [asked], commands: [book], when: amount <= 0}
  - {says: Not yet., in: [asked], commands: [travel]}
  - {says: It is booked., in: [booked], commands: [book, leave]}
  - {says: Over., in: [over], commands: [book, travel, leave]}
"""


def trip(page: str = TRIP) -> dict[str, str]:
    funds = {f"{name}.yaml": FUNDS.format(name=name) for name in ("purse", "wallet")}
    return {**funds, "trip.yaml": page}


def test_what_two_others_have_to_be_filled_for_happens() -> None:
    """Nobody can book before both are loaded, which changes no state of theirs: kept quiet, they never would be."""
    assert found(trip(), ["trip"]) == []


def test_what_does_not_happen_among_three_is_told_with_its_bound() -> None:
    findings = found(trip(TRIP.replace("when: amount > 0", "when: amount > 0 and paid > 0")), ["trip"])
    bound = "did not happen within this bound: amounts up to 0.04, all 291 states of the small worlds"
    assert [each.message for each in findings] == [f"book {bound}", f"travel {bound}"]
    assert not any(each.decided for each in findings)
