"""Every error this library raises, and whose fault it is.

    TallystickError
    ├── MoneyError            an amount or a currency that cannot be
    ├── MachineError          a machine file is wrong: all its faults, each with file:line:column
    ├── Invalid               the caller's command cannot even be considered
    │   └── KeyReused         the key already names another intention
    ├── Refused               the machine says no; nothing changed
    ├── Declined              the provider says no; the value is back where it was
    ├── Unavailable           surely not done; the same key may be sent again
    ├── InDoubt               sent, answer not known; the value stands in `in_doubt`
    └── StoreError            the database
        ├── MachineChanged    a machine's behaviour changed under the same version
        ├── StoreBusy         another writer held the database longer than the timeout
        ├── Conflict          other writers were in the way again and again
        ├── CommitUnknown     it may be written or not; the same key tells
        └── NotInTransaction  `connection=` was given without an open transaction

An error is a sentence with fields: what was asked, why it cannot be, what could be done instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import attrs


class TallystickError(Exception):
    """The root: catch this to catch everything the library raises on purpose."""


class MoneyError(TallystickError, ValueError):
    """An amount or a currency that cannot be: a float, too many decimals, an unknown code."""


@attrs.frozen
class Fault:
    """One thing that is wrong in a machine file. `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class MachineError(TallystickError):
    """A machine file is wrong. `faults` has all of them, in the order of the page."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class Invalid(TallystickError):
    """The command cannot be considered: an unknown name, a missing argument, a wrong type."""


class KeyReused(Invalid):
    """The idempotency key already names another intention of the caller."""

    def __init__(self, key: str, *, before: str) -> None:
        self.key = key
        super().__init__(f"key {key!r} already stands for {before}; a new intention needs a new key")


class StoreError(TallystickError):
    """The database cannot do what was asked."""


class MachineChanged(StoreError):
    """A machine's behaviour differs from the one this store knows under the same version."""


class StoreBusy(StoreError):
    """Another writer held the database for longer than the timeout; nothing was written."""


class Conflict(StoreError):
    """Two writers were in each other's way; nothing was written. A store tries again by itself before it says so."""


class CommitUnknown(StoreError):
    """The answer to a commit was lost: it may be written or not. Say it again with the same key."""


class NotInTransaction(StoreError):
    """`connection=` joins a transaction of the caller's; there was none, or it was unfit."""


def quoted(name: object) -> str:
    """A name as it was given; masked, if it is a card number that somebody took for a name."""
    text = str(name)
    return f"'…{text[-4:]}'" if text.isdigit() and len(text) >= 12 else repr(name)


def nearest(wrong: str, known: Sequence[str]) -> str:
    """' Did you mean x?' for the known name nearest to a wrong one, or all names if few, or ''."""
    close = get_close_matches(wrong, known, n=1)
    if close:
        return f" Did you mean {close[0]!r}?"
    if 0 < len(known) <= 12:
        return f" Known: {', '.join(known)}."
    return ""
