"""The options that commands share: which books are meant, where PINs go, and who answers for a change.

Nothing heavy is imported before a command uses it, so that `--help` is quick.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import click

from tallystick.errors import StoreError
from tallystick.masks import quoted

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tallystick.engine.engine import Engine
    from tallystick.engine.pin_policy import PinPolicy
    from tallystick.store.protocol import Store

STORE = "sqlite:///tallystick.db"
PIN_POLICIES = ("required", "if_known", "optional")  # as `engine.pin_policy` has them

json_option = click.option("--json", "json_out", is_flag=True, help="Answer in JSON.")
machines_option = click.option(
    "--machines",
    "folders",
    metavar="FOLDER",
    multiple=True,
    help="A folder of machines beside the packaged ones; may be repeated.  [env var: TALLYSTICK_MACHINES]",
)


def option(*names: str, **more: Any) -> Callable[[Any], Any]:
    """An option that an environment variable may give."""
    envvar = f"TALLYSTICK_{names[0].removeprefix('--').upper()}"
    return click.option(*names, envvar=envvar, show_default=True, show_envvar=True, **more)


# Which books


@attrs.frozen
class BooksOptions:
    """Which books are meant: where they are, which machines run there, and who performs calls."""

    url: str
    folders: tuple[str, ...] = ()
    provider: str = "local"
    pin_policy: PinPolicy = "required"

    @contextmanager
    def opened(self, *, make: bool = False, asks: bool = False) -> Iterator[Engine]:
        """The engine on books that exist; with `make`, on books that are made if they do not exist.

        What changes books looks by itself whether they are the provider's; with `asks`, it is looked at here.
        """
        from tallystick.books.open import connected, provider_named
        from tallystick.definition import reader
        from tallystick.engine.owner import check
        from tallystick.store.open import open_store

        machines = reader.load(*self.folders)
        store = open_store(self.url)
        if not make:
            require_store(store)
        provider = provider_named(self.provider)
        try:
            engine = connected(machines, store, provider, pin_policy=self.pin_policy)
            if asks:
                check(store, provider)
            yield engine
        finally:
            store.close()
            close = getattr(provider, "close", None)  # its connections, if it has any
            if close is not None:
                close()


def require_store(store: Store) -> None:
    """A command that only looks must not make a store: neither a file, nor tables in somebody else's database.

    Raises:
        StoreError: there is no store.
    """
    if not store.exists():
        raise StoreError(f"there is no store at {store.url}: no books were made there. `tallystick init` makes them")


store_option = option("--store", "url", metavar="URL", default=STORE,
                      help="The books: sqlite:///file.db, postgresql://…, or memory:.")  # fmt: skip


pin_policy_option = click.option(
    "--pin-policy", type=click.Choice(PIN_POLICIES), default=PIN_POLICIES[0], envvar="TALLYSTICK_PIN_POLICY",
    show_default=True, show_envvar=True,
    help="Which cards are used with their PIN only: all not known to have none, those drawn with one, or none.",
)  # fmt: skip


def books_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options that say which books are meant; the command gets them as one `BooksOptions`."""

    @store_option
    @machines_option
    @option("--provider", metavar="NAME", default="local", help="Who performs calls: local, clutch, scripted, …")
    @pin_policy_option
    @json_option
    @functools.wraps(function)
    def with_books(
        *args: Any, url: str, folders: tuple[str, ...], provider: str, pin_policy: PinPolicy, **options: Any
    ) -> None:
        function(*args, books=BooksOptions(url, folders, provider, pin_policy), **options)

    decorated: Callable[..., None] = with_books
    return decorated


# Where PINs go

pins_option = option("--pins", metavar="FILE", type=click.Path(dir_okay=False),
                     help="The file for the PINs of new cards, one a line. Without it they are lost.")  # fmt: skip


def write_pins_to(file: str | None) -> Callable[[str, str], None]:
    """A function that writes the PINs which a provider hands out; without a file it only says that one is lost."""

    def write_pin(card: str, pin: str) -> None:
        if file is None:
            lost = f"card {card} was drawn with a PIN, and nobody has kept it: name a file for PINs with --pins"
            click.echo(lost, err=True)
            return
        line = json.dumps({"card": card, "pin": pin}, ensure_ascii=False) + "\n"
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as pins:
            pins.write(line)
            pins.flush()
            os.fsync(pins.fileno())

    return write_pin


# What is read from stdin, where no shell remembers it


def stdin_line(what: str) -> str:
    """The next line of stdin. Raises UsageError."""
    text = sys.stdin.readline().strip()
    if not text:
        raise click.UsageError(f"stdin has no line with the {what}: write it on a line of its own")
    return text


# Who answers for a change


def by_and_reason(flag: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options --by and --reason, which a command needs as soon as its `flag` makes it change the books."""
    option = flag.replace("_", "-")

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @click.option("--by", help=f"Who decides; needed with --{option}.")
        @click.option("--reason", help=f"Why; needed with --{option}.")
        @functools.wraps(function)
        def checked(*args: Any, by: str | None, reason: str | None, **options: Any) -> None:
            if options[flag] and not (by and reason):
                raise click.UsageError(f"--{option} changes the books: say who (--by) and why (--reason)")
            function(*args, by=by, reason=reason, **options)

        return checked

    return decorate


# Whose days dates are


class Zone(click.ParamType["ZoneInfo"]):
    """A time zone by its name, such as America/Sao_Paulo."""

    name = "zone"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> ZoneInfo:
        from zoneinfo import ZoneInfo

        try:
            return value if isinstance(value, ZoneInfo) else ZoneInfo(str(value))
        except (KeyError, ValueError, OSError):  # no such name, no name at all, or a folder of names
            self.fail(f"{quoted(str(value))} is no time zone here; names are like UTC or America/Sao_Paulo", param, ctx)
