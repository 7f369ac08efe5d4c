"""What an entry adds to the kept sums: lines of `_flow`, and what its entity adds to `_standing`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import attrs

from tallystick.core.entity import Ref
from tallystick.store.rows import EntryRow
from tallystick.store.sums import Counted, Flow, Seen, Standing, marked

DONE = ("done", "confirmed")
CREATED, LAST = "created", "last"
Customers = Mapping[str, frozenset[str]]  # ledger → the commands that a customer is behind
Day = Callable[[str], str]  # under which day a moment is counted


@attrs.frozen
class CallOf:
    """What a call says of the entries that are its own."""

    machine: str
    entity: str
    told: int  # the amount that it was about


def day_of(at: str) -> str:
    return at[:10]


def flow(row: EntryRow, kind: str, card_set: str, call: CallOf | None) -> Iterator[tuple[Flow, tuple[int, ...]]]:
    """The lines of one entry, each with its sums."""
    elsewhere = int(call is not None and call.machine == row.machine and call.entity != row.entity)
    before = (row.happened[:10], row.machine, row.machine_version, row.command, row.transition, row.phase,
              row.from_state or "", row.to_state)  # fmt: skip
    after = (elsewhere, kind, card_set, row.currency)
    own = told = 0
    if row.phase in DONE:
        own = int(json.loads(row.args).get("amount") or 0) if '"amount"' in row.args else 0
        told = call.told if call is not None else 0
    yield Flow(*before, "", "", *after), (1, 0, own, told)
    for source, target, amount in json.loads(row.postings) if row.postings != "[]" else ():
        yield Flow(*before, source, target, *after), (1, amount, 0, 0)


def seen_after(row: EntryRow, before: Seen | None, customers: Customers) -> Seen:
    """How an entity is counted after an entry."""
    kind, card_set = (before.kind, before.card_set) if before is not None else ("", "")
    if '"kind"' in row.facts or '"card_set"' in row.facts:
        facts = json.loads(row.facts)
        kind = marked(facts["kind"]) if "kind" in facts else kind
        card_set = marked(facts["card_set"]) if "card_set" in facts else card_set
    at = row.happened
    created, last, used = (before.created, before.last, before.used) if before is not None else (at, at, 0)
    if row.phase in DONE and row.command in customers.get(row.machine, ()):
        last, used = max(last, at) if used else at, 1
    valued = int(any(json.loads(row.after).values())) if row.after != "{}" else 0
    return Seen(row.machine, row.entity, row.revision, row.to_state, kind, card_set, created, last, used, valued,
                row.currency, row.after)  # fmt: skip


def standing(seen: Seen, customers: Customers, day: Day = day_of) -> Iterator[tuple[Standing, tuple[int, ...]]]:
    """What an entity adds to what stands."""
    every = [(CREATED, seen.created)]
    if seen.valued and seen.machine in customers:
        every.append((LAST, seen.last))
    for since, at in every:
        before = (since, day(at), seen.machine, seen.state, seen.kind, seen.card_set)
        yield Standing(*before, "", seen.currency), (1, seen.valued, 0)
        for account, amount in json.loads(seen.after).items():
            if amount:
                yield Standing(*before, account, seen.currency), (1, 0, amount)


@attrs.define
class Tally:
    """Sums over some entries, in the order of the journal."""

    customers: Customers
    day: Day = day_of
    flow: dict[Flow, list[int]] = attrs.field(factory=dict)
    standing: dict[Standing, list[int]] = attrs.field(factory=dict)
    seen: dict[Ref, Seen] = attrs.field(factory=dict)

    def add(
        self, rows: Iterable[EntryRow], before: Mapping[Ref, Seen], calls: Mapping[str, CallOf],
        life: Callable[[Seen], Iterable[tuple[EntryRow, CallOf | None]]],
    ) -> None:  # fmt: skip
        """`before`: how their entities were counted. `life`: the entries of an entity up to there."""
        for row in sorted(rows, key=lambda each: each.revision):
            ref = row.machine, row.entity
            old = self.seen.get(ref) or before.get(ref)
            new = self.seen[ref] = seen_after(row, old, self.customers)
            if old is not None and (old.kind, old.card_set) != (new.kind, new.card_set):
                for each, call in life(old):
                    put(self.flow, flow(each, old.kind, old.card_set, call), -1)
                    put(self.flow, flow(each, new.kind, new.card_set, call))
            put(self.flow, flow(row, new.kind, new.card_set, calls.get(row.call or "")))
        for ref, new in self.seen.items():
            if ref in before:
                put(self.standing, standing(before[ref], self.customers, self.day), -1)
            put(self.standing, standing(new, self.customers, self.day))

    def counted(self) -> Counted:
        return Counted(
            [(*key, *sums) for key, sums in self.flow.items() if any(sums)],
            [(*key, *sums) for key, sums in self.standing.items() if any(sums)],
            [*self.seen.values()],
        )


def put(into: dict, lines: Iterable[tuple[tuple, Sequence[int]]], times: int = 1) -> None:  # type: ignore[type-arg]
    for key, amounts in lines:
        sums = into.get(key)
        if sums is None:
            into[key] = [times * each for each in amounts]
        else:
            for place, amount in enumerate(amounts):
                sums[place] += times * amount
