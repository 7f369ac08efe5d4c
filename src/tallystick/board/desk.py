"""What pages are made from: the books, opened to be read only, and how their names are shown and linked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import TypeAlias

import attrs

from tallystick import reports
from tallystick.board.counting import Counting
from tallystick.board.page import Cell, Link, Page, State, target
from tallystick.board.shown import Shown
from tallystick.books.books import Books
from tallystick.core.entity import Entity
from tallystick.definition.machine import Machine
from tallystick.diagram import Overlay
from tallystick.errors import NotFound
from tallystick.masks import mask
from tallystick.store.protocol import Reading

Ask: TypeAlias = Mapping[str, str]  # what a page is asked, by name
Make: TypeAlias = "Callable[[Desk, Ask], Page]"
CARD, PAYMENT = "gift_card", "payment"
SEAL = "seal"  # the store's name for the mark of sealed books
ROWS = 50  # of one page of a table
LOOKED = 1000  # ids that are read at once
_HIDDEN = re.compile(r"([^…~]*)…([^~]*)~([0-9a-f]{6})", re.DOTALL)
TONES = {
    "confirmed": "good", "done": "", "asked": "wait", "open": "wait", "declined": "bad", "unavailable": "bad",
    "refused": "bad", "parked": "bad", "waiting": "wait",
}  # fmt: skip


class Desk:
    """One look at the books, for one page."""

    def __init__(self, books: Books, reading: Reading, url: str, counting: Counting) -> None:
        """`url`: of the books, as it may be shown. `counting`: for figures of a page that take longer than the rest."""
        self.counting = counting
        self.books, self.engine, self.reading, self.url = books, books.engine, reading, url
        self.shown = Shown(self._is_card, reading.shared(SEAL) is not None)

    @property
    def now(self) -> datetime:
        return self.engine.now()

    def _is_card(self, number: str) -> bool:
        cards = [self.reading.entity(*ref) for ref in self.reading.find(number) if ref[0] == CARD]
        return any(card is not None and card.facts.get("number") == number for card in cards)

    # Names

    def name(self, id: object, machine: str = "") -> str:
        return self.shown.name(id, of_card=machine == CARD)

    def life(self, machine: str, id: str) -> Link:
        """A link to an entity."""
        return Link(self.name(id, machine), target("life", of=machine, id=self.asked(machine, id)))

    def asked(self, machine: str, id: str) -> str:
        """An id as it stands in an address: masked, if a card number is in it, with what tells it from others."""
        name = self.name(id, machine)
        return id if name == id else f"{name}~{_trace(id)}"

    def unhidden(self, machine: str, asked: str) -> str:
        """The id that an address means. Raises NotFound."""
        hidden = _HIDDEN.fullmatch(asked)
        if hidden is None or self.reading.entity(machine, asked) is not None:
            return asked
        before, after, trace = hidden.groups()
        for each in self._like(machine, before):
            if each.endswith(after) and _trace(each) == trace:
                return each
        raise NotFound(machine, asked)

    def _like(self, machine: str, before: str) -> Iterator[str]:
        """Ids that begin so, from the first to the last."""
        last = before
        while found := self.reading.page(machine, after=last, limit=LOOKED):
            for each in found:
                if not each.id.startswith(before):
                    return
                yield each.id
            last = found[-1].id

    def entity(self, machine: str, asked: str) -> Entity:
        """The entity that an address means. Raises NotFound."""
        id = self.unhidden(self.machine(machine).name, asked)
        found = self.reading.entity(machine, id)
        if found is None:
            raise NotFound(machine, id)
        return found

    def machine(self, name: str) -> Machine:
        """A machine by name. Raises NotFound."""
        if name not in self.engine.machines:
            raise NotFound("machine", name, list(self.engine.machines))
        return self.engine.machines[name]

    def overlay(self, machine: str) -> Overlay:
        """What stands in each state of a machine, and what has moved between them."""
        return attrs.evolve(reports.overlay(self.books, machine), source=self.url)

    def machine_of(self, entity: Entity) -> Machine:
        return self.engine.machines.at(entity.machine, entity.machine_version)

    def number(self, entity: Entity | None) -> str:
        """A card's number, masked."""
        number = entity.facts.get("number") if entity is not None else None
        return mask(str(number)) if number else "—"

    def card(self, id: str) -> Cell:
        """A card, linked, with the end of its number."""
        link = self.life(CARD, id)
        number = self.number(self.reading.entity(CARD, id))
        return link if number in ("—", link.text) else (link, number)

    def state(self, entity: Entity) -> State:
        machine = self.machine_of(entity)
        return state_of(machine, entity.state)


def state_of(machine: Machine, name: str) -> State:
    tone = "bad" if name == "declined" else "end" if machine.states[name].final else ""
    return State(name, tone)


def outcome(word: str) -> State:
    return State(word, TONES.get(word, ""))


def _trace(id: str) -> str:
    """Enough of an id's hash to tell it from those with the same end, and too little to find the number by."""
    return sha256(id.encode("utf-8", "surrogatepass")).hexdigest()[:6]
