"""Nothing is stuck: from every state of the world something good can still be reached.

Three things are wanted of each entity, in every state that was looked at: its value can all be fetched again; if its
machine lets a caller end it, it can be brought to an end; and no follow-up waits for ever. Whether what is open stays
open is not asked of one path, which may simply never be taken, but of all: a state is stuck if no continuation helps.

Computed backwards over the whole graph: each wish is a bit, a state has the bits that one of its successors has. A
state that the search has not looked at any more gets the benefit of the doubt, so a cut search never raises an alarm;
and a state that is stuck for want of the money that a small world lacks is tried again with more. Where that look finds
no way out and has not seen everything either, it is told as just that: silence would be a proof about nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import attrs

from tallystick.check.memo import Kind
from tallystick.check.search import MASK, Search
from tallystick.check.seen import Seen
from tallystick.core.entity import Entity
from tallystick.definition.machine import IN_DOUBT, Machine

TRIES = 20  # states that seem stuck, looked at with more money until one really is
SAVING = 2_000  # states of that look


@attrs.frozen
class Stuck:
    """The nearest state from which a wish can never come true. `member`: whose; -1, the queue's."""

    wish: str  # "empty", "over" or "drained"
    member: int
    state: int
    surely: bool = True  # not: no way out was found, and not all ways were looked at


def stuck(search: Search) -> list[Stuck]:
    """For each wish that does not always stay possible, the nearest state that is stuck."""
    wishes = list(_wishes(search))
    full = (1 << len(wishes)) - 1
    held = _granted(search, wishes)
    _backwards(search, held, full)
    found: list[Stuck] = []
    for bit, (wish, member) in enumerate(wishes):
        worst: Stuck | None = None
        for _ in range(TRIES):
            state = next((number for number, bits in enumerate(held) if not bits >> bit & 1), None)
            if state is None:
                break
            saved = _saved(search, search.graph.states[state], wish, member)
            if saved is False:
                worst = Stuck(wish, member, state)
                break
            if saved is None and worst is None:
                worst = Stuck(wish, member, state, surely=False)
            held[state] |= 1 << bit
            _backwards(search, held, full)
        found += [worst] if worst else []
    return found


def _saved(search: Search, state: int, wish: str, member: int) -> bool | None:
    """Whether more money than this world has would help: what seems stuck may only lack the next unit.

    None, if `SAVING` states do not tell.
    """
    world = attrs.evolve(search.world, most=2 * search.world.most + 1)
    larger = Search(world, Seen(world.machines), lambda *_: None)
    begin = larger.moved(search, state)
    met, waiting, at = {begin}, [begin], 0
    while at < len(waiting) and at < SAVING:
        for after in larger.after(waiting[at], at):
            if after not in met:
                if _true(larger, after, wish, member):
                    return True
                met.add(after)
                waiting.append(after)
        at += 1
    return None if at < len(waiting) else False


def _true(search: Search, state: int, wish: str, member: int) -> bool:
    if wish == "drained":
        return not state & MASK
    kind = search.kind(member)
    return _grants(kind, kind.forms[search.form(state, member)])[wish]


def _wishes(search: Search) -> Iterator[tuple[str, int]]:
    for member, each in enumerate(search.world.members):
        machine = search.kind(member).machine
        if search.world.crowd and each.linked:
            continue  # it does not get all of its commands there
        if machine.accounts:
            yield "empty", member
        if ends_by_itself(machine):
            yield "over", member
    yield "drained", -1


def ends_by_itself(machine: Machine) -> bool:
    """Whether a caller can end it: a card whose only end is another machine's doing cannot be asked to."""
    return any(
        row.ends and any(not machine.commands[name].driven for name in row.transition.commands)
        for row in machine.rows.values()
    )


def _granted(search: Search, wishes: list[tuple[str, int]]) -> array[int]:
    """The wishes that are true in each state; all of them where the search has not looked."""
    tables = []
    for member, shift in enumerate(search.shifts):
        bits = [(wish, 1 << bit) for bit, (wish, whose) in enumerate(wishes) if whose == member]
        tables.append((shift, _of_forms(search.kind(member), bits)))
    drained = 1 << (len(wishes) - 1)
    held = array("Q", bytes(8 * len(search.graph.states)))
    for number, state in enumerate(search.graph.states):
        good = 0 if state & MASK else drained
        for shift, table in tables:
            good |= table[state >> shift & MASK]
        held[number] = good
    full = (1 << len(wishes)) - 1
    for number in range(len(search.graph.ends), len(held)):
        held[number] = full
    return held


def _of_forms(kind: Kind, bits: list[tuple[str, int]]) -> list[int]:
    found = []
    for entity in kind.forms:
        true = _grants(kind, entity)
        found.append(sum(bit for wish, bit in bits if true[wish]))
    return found


def _grants(kind: Kind, entity: Entity) -> dict[str, bool]:
    return {
        "empty": not any(entity.accounts[name] for name in (*kind.machine.holding, IN_DOUBT) if entity.accounts),
        "over": kind.machine.states[entity.state].final,
    }


def _backwards(search: Search, held: array[int], full: int) -> None:
    """Give every state what its successors have, until nothing changes. Most of it lies ahead, so from the end."""
    edges, ends = search.graph.edges, search.graph.ends
    waiting = [number for number in range(len(ends) - 1, -1, -1) if held[number] != full]
    changed = True
    while changed and waiting:
        changed = False
        for number in waiting:
            bits = before = held[number]
            for at in range(ends[number - 1] if number else 0, ends[number]):
                bits |= held[edges[at]]
            if bits != before:
                held[number] = bits
                changed = True
        waiting = [number for number in waiting if held[number] != full]
