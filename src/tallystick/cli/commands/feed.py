"""The command `tail`: all entries of the books as JSON Lines, and on as they come."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click

from tallystick.cli.options import books_options
from tallystick.cli.printing import write

if TYPE_CHECKING:
    from tallystick.books.feed import Tail
    from tallystick.cli.options import BooksOptions

PAUSE = 0.5  # seconds between two looks at books in which nothing new has come


@click.command()
@click.option("--from", "cursor", metavar="CURSOR", help="Begin after this cursor; without it, at the first entry.")
@click.option(
    "--as", "name", metavar="NAME", help="Begin where this subscriber stands, and acknowledge what is printed."
)
@click.option("--follow", is_flag=True, help="Go on with what comes, until you stop it.")
@click.option("--batch", type=click.IntRange(1, 1000), default=500, show_default=True, help="Entries for each cursor.")
@books_options
def tail(cursor: str | None, name: str | None, follow: bool, batch: int, books: BooksOptions, json_out: bool) -> None:
    """Print all entries in the order of their commits, as JSON Lines.

    After each batch comes a line with a cursor. Give the last one you have seen to --from, and nothing is missed: what
    was printed after it is printed again. With --as, the books keep the cursor under a name, also beside --from, which
    says where a new name begins. The lines are JSON with or without --json.
    """
    from tallystick.books import feed
    from tallystick.cli import as_json

    def show(found: Tail) -> None:
        lines = [*map(as_json.fed, found.entries), {"cursor": found.cursor}]
        write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))

    with books.opened() as engine:
        subscriber = None if name is None else feed.subscriber(engine, name, cursor)
        while True:
            found = feed.tail(engine, cursor, batch) if subscriber is None else subscriber.read(batch)
            if found.entries or not follow:
                show(found)
            if subscriber is not None and found.entries:
                subscriber.acknowledge(found)
            cursor, ended = found.cursor, len(found.entries) < batch
            if ended and not follow:
                break
            if ended:
                time.sleep(PAUSE)
