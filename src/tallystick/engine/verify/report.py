"""What `verify` has looked at, and what it has found."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Self

import attrs

from tallystick import money
from tallystick.core.entity import Ref
from tallystick.errors import Invalid, MoneyError
from tallystick.masks import quoted

CLOCK_SLACK = timedelta(days=1)  # clocks may differ so much: one that was set may have had the wrong time zone
# What reading a value may end in that somebody has changed by hand
UNREADABLE = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)

_CHECKPOINT = re.compile(r"([0-9]{1,18})/([0-9a-f]{64})/([^/\s]{1,60})/(\S{1,200})")

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
class Checkpoint:
    """The journal up to one entry, in the order of the commits."""

    entries: int  # how many
    digest: str  # SHA-256 over the hashes of all of them
    at: str  # when the last of them was written
    cursor: str  # after the last of them, as the store has it

    def __str__(self) -> str:
        return f"{self.entries}/{self.digest}/{self.at}/{self.cursor}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Read what was printed. Raises Invalid."""
        found = _CHECKPOINT.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise Invalid(f"{text!r:.80} is no checkpoint: give the one that an earlier verify has printed, as it was")
        return cls(int(found[1]), found[2], found[3], found[4])


@attrs.frozen
class Replaced:
    """Somebody has put a new checkpoint into the books in place of one that they did not fit."""

    at: str
    by: str
    reason: str
    was: str | None  # the text that stood there
    findings: tuple[str, ...]  # what it had shown

    @classmethod
    def read(cls, text: str | None) -> tuple[Self, ...]:
        """All there were. Raises Invalid."""
        try:
            return tuple(cls(**{**each, "findings": tuple(each["findings"])}) for each in json.loads(text or "[]"))
        except UNREADABLE:
            raise Invalid("who replaced a checkpoint cannot be read") from None


@attrs.frozen
class Report:
    """What was looked at, and what was found."""

    findings: tuple[Finding, ...]  # empty if all is well
    entities: int  # how many
    entries: int  # how many, in the journal
    calls: int  # how many are open
    money: Mapping[str, Mapping[str, int]]  # machine → currency → what stands in its entities, in minor units
    sealed: bool  # no card number stands readable in these books
    checkpoint: Checkpoint | None = None  # of the journal as it is now; None: it is empty
    compared: tuple[Checkpoint, ...] = ()  # earlier ones that the journal was compared with
    replaces: str | None = attrs.field(default=None, repr=False)  # the one that stood in the books, as it stood there
    replaced: tuple[Replaced, ...] = ()  # those that stood there before, and that these books did not fit

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def removals(self) -> str:
        """What is known of entries that were removed together with all that came after them."""
        if any(each.code in ("removed", "checkpoint", "order") for each in self.findings):
            return "see the findings for what was removed"
        if not self.compared:
            return (
                "no earlier checkpoint was there to compare with: whether the newest entries were removed is not known"
            )
        largest = max(self.compared, key=lambda each: each.entries)
        own = ", by the books' own checkpoint" if {str(each) for each in self.compared} == {self.replaces} else ""
        anew = "".join(f"; {each.by} put a new one there on {each.at[:10]}: {each.reason}" for each in self.replaced)
        return f"all {largest.entries} entries up to that of {largest.at} are there{own}{anew}"


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
