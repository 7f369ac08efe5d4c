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
