"""The reports as functions, and what each is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tallystick.engine.engine import Engine
from tallystick.reports.asking import HasEngine, ask
from tallystick.reports.period import When
from tallystick.reports.report import Report


class Asks(Protocol):
    def __call__(
        self, books: HasEngine | Engine, *, as_of: When | None = None, start: When | None = None,
        end: When | None = None, by: Sequence[str] = (),
    ) -> Report: ...  # fmt: skip


def _named(name: str, says: str) -> Asks:
    def report(
        books: HasEngine | Engine, *, as_of: When | None = None, start: When | None = None, end: When | None = None,
        by: Sequence[str] = (),
    ) -> Report:  # fmt: skip
        return ask(books, name, as_of, start, end, by)

    report.__name__ = report.__qualname__ = name
    report.__doc__ = f"""{says}

    Args:
        books: opened books, or their engine.
        as_of: up to and including this moment; a day: up to its end. Without it, as it is now.
        start, end: the period, of a report that has one: from `start` on, up to but without `end`; days count whole.
        by: what it is added up by, such as ("kind", "age").

    Raises:
        Invalid: a `by` that it does not have, a time that it is not of, or a period that ends before it begins.
        StoreError: the books do not agree with themselves, or have no views yet.
    """
    return report


liability = _named("liability", "What is owed to customers, by account. Its total is what `verify` finds on the cards.")
rollforward = _named("rollforward", "How what is owed has changed: opening, each figure of the pages, closing.")
holds = _named("holds", "Holds in force, the oldest first.")
doubt = _named("doubt", "Calls without an answer, and what they have set aside. A card and its payment count once.")
dormant = _named("dormant", "Cards with value that no customer has used for a year before `as_of`.")
activity = _named("activity", "What was done with cards, as a gift card program keeps account of it.")
advanced_holds = _named("advanced_holds", "Holds put in force again after a part had shipped, and how short they came.")
trial_balance = _named("trial_balance", "Every account, inside and outside of all entities. They add up to nothing.")

NAMES = ("liability", "rollforward", "holds", "doubt", "dormant", "activity", "advanced_holds", "trial_balance")
