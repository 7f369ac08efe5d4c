"""What the commands have in common: the options that say which books are meant, and how an answer is printed."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import RenderableType

STORE = "sqlite:///tallystick.db"

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


def books_options(function: Callable[..., None]) -> Callable[..., None]:
    """Options that say which books are meant, given on as one `BooksOptions`."""

    @option("--store", "url", metavar="URL", default=STORE, help="The books: sqlite:///file.db, or memory:.")
    @machines_option
    @option("--provider", metavar="NAME", default="local", help="Who performs calls: local, or an installed one.")
    @json_option
    @functools.wraps(function)
    def with_books(*args: Any, url: str, folders: tuple[str, ...], provider: str, **options: Any) -> None:
        from tallystick.cli.parameters import BooksOptions

        function(*args, books=BooksOptions(url, folders, provider), **options)

    decorated: Callable[..., None] = with_books
    return decorated


pins_option = option("--pins", metavar="FILE", type=click.Path(dir_okay=False),
                     help="Where PINs of cards that are drawn go, a line each; nobody else keeps them.")  # fmt: skip


def keeper(file: str | None) -> Callable[[str, str], None]:
    """Takes the PINs that a provider hands out; without a file, only says that one is lost."""

    def keep(card: str, pin: str) -> None:
        if file is None:
            told = f"a PIN was drawn for card {card}, and nobody has kept it: name a file for them with --pins"
            click.echo(told, err=True)
            return
        line = json.dumps({"card": card, "pin": pin}, ensure_ascii=False) + "\n"
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as kept:
            kept.write(line)
            kept.flush()
            os.fsync(kept.fileno())

    return keep


def tell(json_out: bool, told: object, shown: Callable[[], list[RenderableType]]) -> None:
    """Print plain values as JSON, or what is shown of them."""
    if json_out:
        write_json(told)
        return
    from tallystick.cli.as_tables import console

    out = console()
    for each in shown():
        out.print(each)


def write_json(told: object) -> None:
    write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")


def write(text: str) -> None:
    """To stdout as UTF-8, whatever the terminal's encoding; half of a character pair as JSON writes it."""
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()
