"""Cards and holds that end by a date. What becomes of them then stands on their pages, and is done by `run_due`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from tallystick.books.base import BaseBooks
from tallystick.books.occurred import dated
from tallystick.engine.receipt import Receipt
from tallystick.masks import mask
from tallystick.money import Money
from tallystick.store.rows import is_changed, stamp

ALL = 1 << 31


class Expiring(NamedTuple):
    """A card with something on it that expires."""

    card: str  # its id
    expires: datetime  # in UTC
    available: Money  # what will go then
    held: Money  # promised to orders; what they give back after that goes, too
    number: str  # masked


class Dates(BaseBooks):
    """Verbs for cards and holds that end by a date."""

    @dated
    def extend(
        self, card: str, until: datetime, *, key: str, by: str | None = None, reason: str | None = None,
        occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Move the date on which a card expires to a later one; also after it has expired.

        What has gone by then does not come back by itself: `adjust` gives it, and says who and why.
        """
        return self._do("gift_card", card, "extend", {"until": until}, key, by, reason, connection=connection)

    def expiring(self, before: datetime) -> list[Expiring]:
        """Cards in use with something on them that expire before a moment, those first that expire first.

        Those are among them that have expired, and whose time nobody has run yet. Raises Invalid: it has no time zone.
        """
        moment, found = stamp(before), dict[str, Expiring]()
        with self.engine.store.reading() as reading:
            for row in reading.due(moment, ALL):
                if (row.machine, row.command) != ("gift_card", "expire") or row.entity in found or is_changed(row):
                    continue
                card = reading.entity("gift_card", row.entity)
                if card is None or not moment > str(card.facts.get("expires") or moment):
                    continue
                available, held = (Money(card.accounts[name], card.currency) for name in ("available", "held"))
                if available or held:
                    expires = datetime.fromisoformat(str(card.facts["expires"]))
                    number = mask(self.engine.numbers.opened(str(card.facts["number"])))
                    found[card.id] = Expiring(card.id, expires, available, held, number)
        return sorted(found.values(), key=lambda each: (each.expires, each.card))

    @dated
    def hold_until(
        self, payment: str, until: datetime | None, *, key: str, by: str | None = None, reason: str | None = None,
        occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Give a hold the date on which it is given back, another date, or with None, none."""
        return self._do("payment", payment, "hold_until", {"until": until}, key, by, reason, connection=connection)
