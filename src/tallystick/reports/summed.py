"""The kept sums as tables of a query: what stands in the store, and beside it what came after that.

A report that is made of them has the same figures as one that reads the journal. It cannot be made of them where a
period does not begin and end with a day, or where it tells of the past what the sums have of now alone.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, TypeVar

import attrs

from tallystick.core.entity import Ref
from tallystick.definition.declared import IN_DOUBT
from tallystick.engine.engine import Engine
from tallystick.engine.sums import Sums, bring, summed
from tallystick.engine.sums.kept import MOST, customers_of, seen_of
from tallystick.engine.sums.tally import LAST, Day, put, standing
from tallystick.errors import StoreError
from tallystick.masks import quoted
from tallystick.store.protocol import Reading
from tallystick.store.schema.view import NOT_TEXT, Parts, literal
from tallystick.store.sums import SUMS, Seen, Standing

Made = TypeVar("Made")
PATIENCE = 0.5  # seconds that whoever asks for a report brings the sums up to date; others do the rest
FAR = 4 * MOST  # entries behind the cursor that are still counted sooner than a large journal is read
MOST_ROWS, MOST_NAMES = 3000, 10_000  # that stand in a query


def with_sums(engine: Engine, make: Callable[[Reading, Sums | None], Made], day: Day) -> Made:
    """What is made in one look, of the sums if they are there. If much was not counted yet, some of it is now.

    Small books are read as they are: nothing is kept of them until somebody counts.
    """
    with engine.store.reading() as reading:
        found = _summed(engine, reading, day)
        newest = reading.chronicle(1)
        if found is not None or not newest or newest[0].seq <= MOST:
            return make(reading, found)
    end = time.monotonic() + PATIENCE
    with suppress(StoreError):  # such as of books that are only read
        bring(engine.store, engine.machines, until=lambda: time.monotonic() > end)
    with engine.store.reading() as reading:
        return make(reading, _summed(engine, reading, day, FAR))


def _summed(engine: Engine, reading: Reading, day: Day, most: int = MOST) -> Sums | None:
    found = summed(reading, engine.machines, day=day, most=most)
    if found is None or max(len(found.flow), len(found.standing)) > MOST_ROWS or len(found.seen) > MOST_NAMES:
        return None
    return found


def can_sum(parts: Parts) -> bool:
    """Whether what cards are told apart by is text, as the sums have it."""
    kinds = [parts.facts(machine).get(name) for machine in parts.ledgers for name in ("kind", "card_set")]
    return not NOT_TEXT & {*kinds}


def day_within(cuts: Sequence[str]) -> Day:
    """Under which day a moment is counted: the latest of these moments that it is not before, which says enough."""

    def day(at: str) -> str:
        return max((each for each in cuts if each <= at), default="")

    return day


@attrs.frozen(slots=False)
class Tables:
    """What the SQL of a report over kept sums names."""

    parts: Parts
    sums: Sums
    beside: Mapping[Standing, Sequence[int]] = attrs.field(factory=dict)  # is added to what stands
    without: tuple[str, ...] = ()  # days that do not come from the sums

    @cached_property
    def flow(self) -> str:
        return self._table("_flow", self.sums.flow)

    @cached_property
    def standing(self) -> str:
        came = {key: [*sums] for key, sums in self.sums.standing.items()}
        put(came, self.beside.items())
        days = ", ".join(map(literal, self.without))
        return self._table("_standing", came, f"WHERE day NOT IN ({days})" if days else "")

    def _table(self, name: str, came: Mapping[Any, Sequence[int]], where: str = "") -> str:
        columns = SUMS[name][0]
        rows = [(*key, *sums) for key, sums in came.items() if any(sums)]
        kept = f"SELECT {', '.join(columns)} FROM {name} {where}"
        return f"({kept} UNION ALL SELECT * FROM {self.parts.values(columns, rows)} l)" if rows else f"({kept})"

    def filled(self) -> dict[str, str]:
        """By the names that a SELECT has for them."""
        parts = self.parts
        figures = [(each.name, *pair, figure) for each in parts.ledgers
                   for pair, figure in sorted(parts.figures_of(each).items())]  # fmt: skip
        asks = [(each.name, *ask) for each in parts.ledgers for ask in parts.asks_of(each)]
        inside = [(each.name, account) for each in parts.machines.values() for account in parts.accounts_of(each)]
        return {
            "flow": self.flow,
            "standing": self.standing,
            "figures": parts.values(("machine", "version", "command", "account", "figure"), figures),
            "asks": parts.values(("machine", "version", "transition", "verb", "type", "sign"), asks),
            "inside": parts.values(("machine", "account"), inside),
            "came": f"({', '.join(literal(id) for _, id in self.sums.seen) or literal('')})",
            "ledgers": ", ".join(literal(each.name) for each in parts.ledgers) or "''",
        }  # fmt: skip


def twice(reading: Reading) -> Counter[Ref]:
    """What open calls have set aside on another entity of the machine than the one they ask about."""
    found: Counter[Ref] = Counter()
    for call in reading.calls():
        for step in call.in_flight:
            if step.machine == call.machine and step.id != call.entity:
                found[step.machine, step.id] += sum(step.amounts)
    return found


def standing_once(engine: Engine, reading: Reading, sums: Sums, since: str, cuts: Sequence[str],
                  beside: dict[Standing, list[int]]) -> None:  # fmt: skip
    """Beside what stands: what is counted twice is taken off, and the days of the cuts come from single entities."""
    day, customers = day_within(cuts), customers_of(engine.machines)
    ledgers = ", ".join(map(literal, customers))
    aside = twice(reading)
    seen = {**seen_of(reading, aside), **sums.seen}
    for ref, amount in aside.items():
        stood = seen.get(ref)
        if stood is None:
            raise StoreError(
                f"the kept sums lack {ref[0]} {quoted(ref[1])}; `tallystick verify` says what is wrong there"
            )
        none_left = sum(json.loads(stood.after).values()) == amount
        for key, _ in standing(stood, customers, day):
            if key.account == "" and none_left:
                put(beside, [(key, (0, -1, 0))])
            if key.account == IN_DOUBT:
                put(beside, [(key, (0, 0, -amount))])
    only = f"machine IN ({ledgers})" + (" AND valued = 1" if since == LAST else "")
    for cut in cuts:
        for *alike, count in reading.select(
            f"SELECT machine, '', 0, state, kind, card_set, min(created), min(last), 0, valued, currency, after, "
            f"count(*) FROM _seen WHERE {only} AND {since} >= ? AND {since} < ? "
            f"GROUP BY machine, state, kind, card_set, valued, currency, after, {since} >= '{cut}'",
            (cut[:10], f"{cut[:10]}~"),
        ):
            put(beside, standing(Seen._make(alike), customers, day), count)
