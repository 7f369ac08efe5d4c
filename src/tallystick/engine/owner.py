"""Whose the books are: the provider that keeps the money of their cards.

Another provider knows none of these cards. It would confirm what was never done, and find nothing of what was. So books
keep the name of their provider from the first transaction on, and every later one looks at it, in whatever process.
Only a person moves books to another provider; who did so, and why, is kept with the name.
"""

from __future__ import annotations

import json
from datetime import datetime

import attrs

from tallystick.engine.calls import by_hand
from tallystick.errors import Invalid, StoreError
from tallystick.provider.protocol import Identified, Provider
from tallystick.store.protocol import Store, Transaction
from tallystick.store.rows import encode, stamp

MARK = "provider"  # the store's name for the text that says it
REHEARSAL = "scripted"  # a provider whose own books end with its process


@attrs.frozen
class Adoption:
    """Books were moved from one provider to another."""

    before: str | None  # the former provider; None if the books did not say whose they were
    by: str  # who decided
    reason: str
    at: str  # ISO 8601, UTC


@attrs.frozen
class Owner:
    """The provider of the books, and every move from one to another, oldest first."""

    provider: str  # as `owner_name` gives it
    adoptions: tuple[Adoption, ...] = ()

    @classmethod
    def read(cls, text: str) -> Owner:
        kept = json.loads(text)
        return cls(kept["provider"], tuple(Adoption(**each) for each in kept["adoptions"]))

    def written(self) -> str:
        return encode(attrs.asdict(self))


def owner_name(provider: Provider) -> str:
    """What books call their provider: its name, and which of that name, where it says so."""
    return f"{provider.name} ({provider.identity})" if isinstance(provider, Identified) else provider.name


def owner(store: Store) -> Owner | None:
    """Whose these books are; None as long as nothing is in them."""
    text = store.load(MARK)
    return Owner.read(text) if text is not None else None


def check(store: Store, provider: Provider) -> None:
    """Raises StoreError if the books are another provider's."""
    kept = owner(store)
    if kept is not None and kept.provider != owner_name(provider):
        raise _others(store.url, kept, provider)
    if kept is None:
        with store.reading() as reading:
            _check_unnamed(provider, calls=any(True for _ in reading.all_calls()), begun=bool(reading.chronicle(1)))


@attrs.define(eq=False, repr=False)
class Gate:
    """Lets the transactions of a provider begin, if the books are its books."""

    provider: Provider
    read: str | None = None  # the text that was read last, and names this provider: it is read again, but not parsed

    def admit(self, transaction: Transaction) -> None:
        """Look at every transaction whose the books are. The first one says it.

        Raises:
            StoreError: they are another provider's.
        """
        text = transaction.shared(MARK)
        if text is not None and text == self.read:
            return
        if text is None:
            calls = any(True for _ in transaction.all_calls())
            _check_unnamed(self.provider, calls=calls, begun=bool(transaction.chronicle(1)))
            transaction.swap(MARK, None, Owner(owner_name(self.provider)).written())
        elif (kept := Owner.read(text)).provider != owner_name(self.provider):
            raise _others("", kept, self.provider)
        self.read = text


def adopt(store: Store, provider: Provider, *, by: str, reason: str, at: datetime) -> Owner:
    """Move the books to another provider. It changes nothing else: that it knows the cards is the person's word.

    Raises:
        Invalid: `by` or `reason` is missing, they are its books already, or calls still wait for the former one.
    """
    by_hand.named(by, reason)

    def job(transaction: Transaction) -> Owner:
        text = transaction.shared(MARK)
        before = Owner.read(text) if text is not None else None
        if before is not None and before.provider == owner_name(provider):
            raise Invalid(f"these are the books of {before.provider} already")
        said = Adoption(before.provider if before is not None else None, by, reason, stamp(at))
        after = Owner(owner_name(provider), (*(before.adoptions if before is not None else ()), said))
        transaction.swap(MARK, text, after.written())  # from here on nobody opens a call for the former one
        if open_calls := len(transaction.calls()):
            whose = before.provider if before is not None else "the former provider"
            raise Invalid(f"open calls that wait for what {whose} did: {open_calls}; recover or resolve them first")
        return after

    return store.run(job)


def _check_unnamed(provider: Provider, *, calls: bool, begun: bool) -> None:
    """Books that do not say whose they are: new ones, or such as an earlier version has written."""
    if provider.local and calls:
        raise StoreError("a provider was called for these books, which the local one never is: name theirs")
    if provider.name == REHEARSAL and begun:
        raise StoreError("these books are no rehearsal: the scripted provider takes new books only")


def _others(url: str, kept: Owner, provider: Provider) -> StoreError:
    return StoreError(
        f"the books{f' at {url}' if url else ''} are those of provider {kept.provider}, and {owner_name(provider)} "
        "cannot go on with them: name their provider, or move them with `tallystick adopt`"
    )
