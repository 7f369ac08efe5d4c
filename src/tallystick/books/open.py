"""Opening the books: machines, store and provider put together."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from tallystick.books.books import Books
from tallystick.books.limits import Limits
from tallystick.definition import reader
from tallystick.definition.machine import Machines
from tallystick.engine.engine import Engine, utc_now
from tallystick.engine.owner import check
from tallystick.engine.pin_policy import PinPolicy
from tallystick.engine.sealing import KEY, MaskedNumbers, numbers_under
from tallystick.errors import Invalid, NotFound, StoreError, TallystickError
from tallystick.masks import redacted
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Clocked, Provider, Sharing
from tallystick.store.open import open_store
from tallystick.store.protocol import BUSY_TIMEOUT, Store
from tallystick.store.shared_text import StoreCell

if TYPE_CHECKING:
    from tallystick.books.balance import BalanceSettings


def open(
    url: str,
    *,
    provider: Provider | str = "local",
    machines: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    limits: Limits | None = None,
    balances: BalanceSettings | None = None,
    verify_captcha: Callable[[str, str], bool] | None = None,
    on_pin: Callable[[str, str], object] | None = None,
    seal_key: str | None = None,
    pin_policy: PinPolicy = "required",
    busy_timeout: float = BUSY_TIMEOUT,
    read_only: bool = False,
) -> Books:
    """Open the books at `url`: `sqlite:///books.db`, a path, or `memory:`. They are made if they do not exist.

    Args:
        provider: "local", "scripted" (for rehearsals), the name of an installed provider (entry-point group
            `tallystick.providers`), or an object of the protocol. All who open the same books share its circuit
            breaker and its rate limit.
        machines: folders of pages, beside the packaged ones. A page replaces the packaged one of the same machine.
        limits: of new cards, by kind and form: `{("gift", "electronic"): {"smallest": "10.00", "limit": "500.00"}}`.
            Each is a fact of the card: `smallest` and `limit` of sale and reload, `hard_limit` (true: refunds and
            corrections keep to the limit, too), `use_limit`, `cash_out_limit`. Text counts in the
            card's currency, `Money` for cards in its own. A sale's own `limits` come before these.
        balances: the limits of `books.balance`.
        verify_captcha: is given the client and the captcha's answer, and says whether it is right.
        on_pin: is given the card's id and its PIN as soon as the provider draws one, in `recover` and `run_due` too.
            Nobody else keeps a PIN.
        seal_key: seals new books, and opens sealed ones. Without it, TALLYSTICK_SEAL_KEY in the environment counts.
            No card number stands in sealed books; in others they stand readable, for good. `tallystick key` prints a
            new key.
        pin_policy: of which cards the PIN is demanded, by a provider that checks PINs. "required": of all that are not
            known to have none. "if_known": of those that were drawn with one. "optional": of none. Advanced holds and
            settlements go without, and so does what a named member of staff does (`by=`).
        busy_timeout: seconds that a command waits for another process that is writing. After that it raises StoreBusy,
            and nothing was written.
        read_only: open books that exist, to look at them only. Nothing is written or made, whatever is called. The
            machines are those that the books keep, and their provider is not asked. Sealed books need no key, because
            card numbers come out masked.

    Raises:
        MachineError: a page is wrong.
        MachineChanged: a page behaves otherwise than these books know it under the same version.
        NotFound: there is no such provider.
        Invalid: the store or the seal key cannot be one; the provider cannot be started; a limit is of no card;
            `busy_timeout` is no time.
        StoreError: the database cannot be opened; the seal key is missing, or not the one of these books; they are
            the books of another provider; there are no books to read.
    """
    if read_only:
        return Books(_looking(open_store(url, busy_timeout=busy_timeout, read_only=True)))
    folders = [machines] if isinstance(machines, str | os.PathLike) else list(machines)
    answering = provider_named(provider) if isinstance(provider, str) else provider
    store = open_store(url, busy_timeout=busy_timeout)
    engine = connected(reader.load(*folders), store, answering, seal_key, pin_policy)
    check(engine.store, answering)
    engine.on_pin = on_pin
    ours = answering if isinstance(provider, str) else None  # what was given, its owner closes
    return Books(engine, limits=limits, balances=balances, verify_captcha=verify_captcha, closes=ours)


def _looking(store: Store) -> Engine:
    """An engine that can only be asked."""
    if not store.exists():
        raise StoreError(f"there is no store at {store.url}: no books were made there. `tallystick init` makes them")
    return Engine(Machines([]), store, LocalProvider(), numbers=MaskedNumbers())


def connected(
    machines: Machines, store: Store, provider: Provider, seal_key: str | None = None,
    pin_policy: PinPolicy = "required",
) -> Engine:  # fmt: skip
    """The engine. What all processes have to know of the provider together is kept in the store."""
    numbers = numbers_under(os.environ.get(KEY) if seal_key is None else seal_key)
    clock = provider.clock if isinstance(provider, Clocked) else utc_now
    engine = Engine(machines, store, provider, clock=clock, numbers=numbers, pin_policy=pin_policy)
    if isinstance(provider, Sharing):
        provider.share(partial(StoreCell, store))
    return engine


def provider_named(name: str) -> Provider:
    """A provider by its name. Raises NotFound if none of that name is installed, Invalid if it cannot be started."""
    if name == "local":
        return LocalProvider()
    if name == "scripted":
        from tallystick.provider.scripted import ScriptedProvider

        return ScriptedProvider()
    from importlib.metadata import entry_points

    found: Any = {each.name: each for each in entry_points(group="tallystick.providers")}
    if name not in found:
        raise NotFound("provider", name, ["local", "scripted", *sorted(found)])
    try:
        provider: Provider = found[name].load()()
    except TallystickError:
        raise
    except Exception as error:
        raise Invalid(f"provider {name!r} cannot be started: {type(error).__name__}: {redacted(str(error))}") from error
    return provider
