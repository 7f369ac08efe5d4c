"""All pages by their names, and how one is made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from tallystick.board.counting import PATIENCE, Counting
from tallystick.board.desk import Ask, Desk, Make
from tallystick.board.page import Page, Text
from tallystick.board.pages import changes, figures, life, machines, overview, reconciliation, search, waiting
from tallystick.books.books import Books
from tallystick.errors import Invalid, NotFound, TallystickError
from tallystick.masks import redacted

PAGES: Mapping[str, Make] = {
    "overview": overview.overview,
    "liability": figures.liability,
    "rollforward": changes.rollforward,
    "activity": changes.activity,
    "day": changes.day,
    "advanced-holds": changes.advanced_holds,
    "breakage": figures.breakage,
    "escheat": figures.escheat,
    "rows": figures.rows,
    "reconciliation": reconciliation.reconciliation,
    "machines": machines.machines,
    "machine": machines.machine,
    "state": machines.state,
    "search": search.search,
    "stuck": waiting.stuck,
    "doubt": waiting.doubt,
    "queue": waiting.queue,
    "holds": waiting.holds,
    "life": life.life,
}
NOWHERE = Page(
    "There is no such page",
    "The link is of other books, or somebody has mistyped it: an id, a name, a day such as 2026-11-30. "
    "Nor is there one of a period that ends before it begins, or is still to come.",
    status=404,
)
COUNTED_YET = Page(
    "It is being counted", "This takes a while. The page comes by itself as soon as it is counted.", again=3,
    blocks=[Text("Only the first one to ask waits: then it is kept for a while, and says of which moment it is.")],
)  # fmt: skip
FAULT = Page("This page cannot be made", "This is a fault in tallystick itself. The terminal that serves says more.",
             status=500)  # fmt: skip


class Board:
    """The pages of some books. Thread-safe."""

    def __init__(self, books: Books, patience: float = PATIENCE) -> None:
        """`books` are opened to be read only. `patience`: seconds after which a page is counted beside who asks."""
        self.books = books
        self.url = books.engine.store.url
        self._counting = Counting(patience)

    @property
    def now(self) -> datetime:
        return self.books.engine.now()

    def soon(self, name: str, ask: Ask) -> Page:
        """A page as one that is read sees it: at once. If it has to be counted for long, it comes a little later."""
        counted = self._counting((name, *sorted(ask.items())), lambda: self.page(name, ask))
        return COUNTED_YET if counted is None else counted.value

    def page(self, name: str, ask: Ask) -> Page:
        """A page, or what is said in its place: that there is none, or that the store cannot be read."""
        make = PAGES.get(name)
        if make is None or any("\0" in each for each in ask.values()):  # no database has such a text
            return NOWHERE
        try:
            with self.books.engine.store.reading() as reading:
                found = make(Desk(self.books, reading, self.url, self._counting), ask)
                return attrs.evolve(found, made=found.made or self.now)
        except (NotFound, Invalid):
            return NOWHERE
        except TallystickError as error:
            return Page("The books cannot be read now", "", [Text(redacted(str(error)), "bad")], status=503)
