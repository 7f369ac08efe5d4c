"""Every error this library raises, and whose fault it is.

    TallystickError
    ├── MoneyError            an amount or a currency that cannot be
    ├── MachineError          a machine file is wrong: all its faults, each with file:line:column
    ├── Invalid               the caller's command cannot even be considered
    │   ├── NotFound          what was asked for by name does not exist
    │   └── KeyReused         the key already names another intention
    ├── Refused               the machine says no; nothing changed
    ├── Declined              the provider says no; the value is back where it was
    ├── Unavailable           surely not done; the same key may be sent again
    ├── InDoubt               sent, answer not known; the value stands in `in_doubt`
    ├── ShortApproval         less was approved than asked for, and is given back
    ├── GivenBack             what this key held was given back since
    ├── Unfinished            part of it is done, the rest waits: for the provider, or for a person
    ├── Pending               not sent yet: the caller's own transaction comes first
    └── StoreError            the database
        ├── MachineChanged    a machine's behaviour changed under the same version
        ├── StoreBusy         another writer held the database longer than the timeout
        ├── Conflict          other writers were in the way again and again
        ├── CommitUnknown     it may be written or not; the same key tells
        └── NotInTransaction  `connection=` was given without an open transaction

An error is a sentence with fields: what was asked, why it cannot be, what could be done instead. It survives pickling.
Each class says three things: what it means for money, whether the same key may be sent again, and the HTTP status that
an order service would answer with.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from tallystick.masks import masked, quoted


class TallystickError(Exception):
    """The root: catch this to catch everything the library raises on purpose."""

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled as its sentence and its fields, however it was made: another process gets the same error."""
        return _unpickled, (type(self), self.args), self.__dict__


def _unpickled(kind: type[TallystickError], args: tuple[object, ...]) -> TallystickError:
    return kind.__new__(kind, *args)


class MoneyError(TallystickError, ValueError):
    """An amount or a currency that cannot be: a float, too many decimals, an unknown code.

    Nothing moved. The same key may be sent again with a right amount. HTTP 422.
    """


@attrs.frozen
class Fault:
    """One thing that is wrong in a machine file."""

    file: str  # as it was given
    line: int  # from 1
    column: int  # from 1
    message: str  # one sentence

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class MachineError(TallystickError):
    """A machine file is wrong. Nothing was opened, so nothing moved. HTTP 500: the service is set up wrongly."""

    faults: tuple[Fault, ...]  # all of them, in the order of the page

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class Invalid(TallystickError):
    """The command cannot be considered: an unknown command, a missing argument, a wrong type.

    Nothing moved, and the key is still free. Sent again unchanged, it is invalid again. HTTP 422.
    """


class NotFound(Invalid):
    """What was asked for by name does not exist: a card, a payment, a sale, a machine, a call, a key in the queue.

    Nothing moved, and the key is still free: it may be sent again once the thing exists. HTTP 404.
    """

    kind: str  # what was looked for: a machine's name, or "machine", "call", "queued command", "provider", "account"
    id: str  # the name that was given; only the last four digits if it looks like a card number
    near: tuple[str, ...]  # existing names that are much like it, the nearest first; of ids none are looked for

    def __init__(self, kind: str, id: str, known: Sequence[str] = (), *, why: str = "") -> None:
        self.kind, self.id, self.near = kind, masked(id), tuple(_close(id, known, 3))
        hint = nearest(id, known)
        super().__init__(why or f"there is no {kind} {quoted(id)}{f'.{hint}' if hint else ''}")


class KeyReused(Invalid):
    """The idempotency key already names another intention of the caller.

    This command moved nothing. The same key stays taken: a new intention needs a new key. HTTP 409.
    """

    key: str  # the key that was sent
    before: str  # the command that it already names, such as "settle of payment 'p-1'"

    def __init__(self, key: str, *, before: str) -> None:
        self.key, self.before = key, before
        super().__init__(f"key {key!r} already stands for {before}; a new intention needs a new key")


class StoreError(TallystickError):
    """The database cannot do what was asked.

    Nothing was written, unless it is `CommitUnknown`. A call to the provider that was sent before stays in doubt, and
    `recover` ends it. The same key may be sent again. HTTP 500.
    """


class MachineChanged(StoreError):
    """A machine's behaviour differs from the one this store knows under the same version.

    The books were not opened, so nothing moved. Give the changed page a new version. HTTP 500.
    """


class StoreBusy(StoreError):
    """Another writer held the database for longer than the timeout.

    Nothing was written, and the same key may be sent again. HTTP 503.
    """

    whole: bool  # the whole database was held, and not only a card or a key

    def __init__(self, why: str = "", *, whole: bool = False) -> None:
        self.whole = whole
        super().__init__(why)


class Conflict(StoreError):
    """Two writers were in each other's way. A store tries again by itself before it says so.

    Nothing was written, and the same key may be sent again. HTTP 503.
    """


class CommitUnknown(StoreError):
    """The answer to a commit was lost: it may be written or not.

    Send the same key again: if it was written, its receipt comes back; if not, it is done now. HTTP 503.
    """


class NotInTransaction(StoreError):
    """`connection=` joins a transaction of the caller's; there was none, or it cannot be joined.

    Nothing was written, and the same key may be sent again. HTTP 500.
    """


def nearest(wrong: str, known: Sequence[str]) -> str:
    """' Did you mean x?' for the known name nearest to a wrong one, or all names if few, or ''."""
    close = _close(wrong, known, 1)
    if close:
        return f" Did you mean {close[0]!r}?"
    if 0 < len(known) <= 12:
        return f" Known: {', '.join(known)}."
    return ""


def _close(wrong: str, known: Sequence[str], most: int) -> list[str]:
    from difflib import get_close_matches  # for who has mistyped; opening books goes without it

    return get_close_matches(wrong, known, most) if known else []
