"""The journal for other tools: each entry as an event, in the order of the journal, with what it is about.

The lifecycle of an event comes from its phase: what was asked has started, what is done or confirmed is complete, what
was declined is aborted, and what nobody was there for is withdrawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from tallystick.definition.machine import Machines
from tallystick.errors import Invalid, nearest
from tallystick.masks import like_a_number, masked, masked_parts, redacted
from tallystick.money import to_text
from tallystick.reports.orders import order_names
from tallystick.store.protocol import Reading

LIFECYCLE: Mapping[str, str] = {
    "asked": "start", "done": "complete", "confirmed": "complete", "declined": "ate_abort", "unavailable": "withdraw",
}  # fmt: skip
COLUMNS = (
    "seq", "at", "occurred_at", "machine", "entity", "revision", "command", "transition", "phase", "from_state",
    "to_state", "order", "card", "payment", "currency", "amount_minor", "key", "by", "call",
)  # fmt: skip
OBJECTS = ("order", "card", "payment")  # what an event may be about
NAMES = ("entity", "card", "payment", "key")  # somebody may have named them by a card's number
AT_ONCE = 5000  # events in one question


@attrs.frozen
class Event:
    """An entry of the journal. `by` shows no long number; the card is named by its id, unless that is a card number."""

    seq: int
    at: str
    occurred_at: str  # when it happened; `at`, where nobody has said otherwise
    machine: str
    entity: str
    revision: int
    command: str
    transition: str
    phase: str
    from_state: str | None
    to_state: str
    order: str | None
    card: str | None
    payment: str | None
    currency: str
    amount_minor: int  # what moved in all
    key: str
    by: str | None
    call: str | None

    @property
    def activity(self) -> str:
        return f"{self.machine} {self.command}"

    @property
    def lifecycle(self) -> str:
        return LIFECYCLE[self.phase]

    @property
    def amount(self) -> str:
        return to_text(self.amount_minor, self.currency)

    def about(self, kind: str) -> str | None:
        """The id of an object of one of the `OBJECTS`, if it is about one."""
        found: str | None = getattr(self, kind)
        return found


def events(reading: Reading, machines: Machines) -> Iterator[Event]:
    """Every entry, by its number. Some thousand at once are in memory, however large the books are."""
    last, numbers = 0, dict[str, str]()

    def named(id: str) -> str:
        """An id; one that is a card number is masked, and still another one than those that end alike."""
        return numbers.setdefault(id, f"{masked(id)} ({len(numbers) + 1})") if like_a_number(id) else id

    listed = ", ".join(f'"{each}"' for each in COLUMNS)
    while True:
        rows = reading.select(f"SELECT {listed} FROM v_event WHERE seq > ? ORDER BY seq LIMIT {AT_ONCE}", (last,))
        orders = order_names(reading, machines, (row[COLUMNS.index("order")] for row in rows))
        for row in rows:
            event = Event(*row)
            masks: dict[str, Any] = {
                name: masked_parts(id, named) for name in NAMES if (id := getattr(event, name)) is not None
            }
            if event.order and (shown := orders(event.order)) != event.order:
                masks["order"] = numbers.setdefault(event.order, f"{shown} ({len(numbers) + 1})")
            masks["by"] = redacted(event.by) if event.by else None
            yield attrs.evolve(event, amount_minor=int(event.amount_minor), **masks)
        if len(rows) < AT_ONCE:
            return
        last = rows[-1][0]


def check_case(case: str) -> str:
    """Raises Invalid: events are not about such a thing."""
    if case not in OBJECTS:
        raise Invalid(f"a case is an {', a '.join(OBJECTS)}, not {case!r:.60}.{nearest(case, list(OBJECTS))}")
    return case
