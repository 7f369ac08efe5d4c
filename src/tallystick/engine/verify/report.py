"""What `verify` has looked at, and what it has found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

import attrs

from tallystick import money
from tallystick.core.entity import Ref
from tallystick.errors import MoneyError
from tallystick.masks import quoted

CLOCK_SLACK = timedelta(days=1)  # clocks may differ so much: one that was set may have had the wrong time zone
# What reading a value may end in that somebody has changed by hand
UNREADABLE = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)

Wrong = Iterator[tuple[str, str]]  # code, and what is wrong


@attrs.frozen
class Finding:
    """One thing that is wrong with the books."""

    code: str  # what kind of thing, as a stable word
    where: str  # the entity, entry, call, queued command or page
    what: str  # one sentence

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@attrs.frozen
class Report:
    """What was looked at, and what was found."""

    findings: tuple[Finding, ...]  # empty if all is well
    entities: int  # how many
    entries: int  # how many, in the journal
    calls: int  # how many are open
    money: Mapping[str, Mapping[str, int]]  # machine → currency → what stands in its entities, in minor units
    sealed: bool  # no card number stands readable in these books

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def findings(where: str, wrong: Wrong) -> Iterator[Finding]:
    """What is wrong in one place. If it cannot be read at all, that is a finding too."""
    try:
        for code, what in wrong:
            yield Finding(code, where, what)
    except UNREADABLE as error:
        yield Finding("unreadable", where, f"it cannot be read, so it was changed: {type(error).__name__}")


def name_of(ref: Ref) -> str:
    return f"{ref[0]} {quoted(ref[1])}"


def before(earlier: str, later: str) -> bool:
    """Whether the later of two moments comes before the earlier one, by more than clocks may differ."""
    return datetime.fromisoformat(later) < datetime.fromisoformat(earlier) - CLOCK_SLACK


def shown_in(currency: str) -> Callable[[int], str]:
    """A function that shows amounts to people, even if somebody has changed the currency."""

    def shown(minor: int) -> str:
        try:
            return money.to_text(minor, currency)
        except MoneyError:
            return str(minor)

    return shown
