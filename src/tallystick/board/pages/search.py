"""What is found by an id, an order, or the last four digits of a card number.

A whole card number is cut to its last four digits before anything else, and the address of the page has only these.
"""

from __future__ import annotations

from tallystick.board.desk import CARD, PAYMENT, ROWS, Ask, Desk
from tallystick.board.page import Block, Cell, Field, Form, Page, Table, Text, target
from tallystick.core.arguments import plain_number
from tallystick.core.entity import Entity, Ref
from tallystick.masks import like_a_number

SHORTEST = 4  # characters of the end of a number that is looked for


def search(desk: Desk, ask: Ask) -> Page:
    """Found things, the exact ones first."""
    asked = ask.get("q", "").strip()
    if not asked:
        form = Form("search", [Field("q", "An id, an order, or the last four digits of a card number")], "Search")
        return Page("Search", "", [form])
    if _hides(desk, asked):
        end = plain_number(asked)[-SHORTEST:]
        return Page("Search", moved=target("search", q=f"…{end}"))
    end = plain_number(asked.lstrip("….*•xX "))[-SHORTEST:]
    name = asked.lstrip("….*• ")
    exact = [(machine, id) for machine, id in desk.reading.find(name) if id == name]
    by_order = [each.ref for each in _of_order(desk, name)]
    begins = [ref for machine in desk.engine.machines for ref in _beginning(desk, machine, name)]
    cards = desk.reading.ending(end, ROWS + 1) if len(end) == SHORTEST and _like_an_end(asked) else []
    blocks: list[Block] = [
        *_table(desk, "With this id", exact),
        *_table(desk, "Of this order", [ref for ref in by_order if ref not in exact]),
        *_table(desk, f"Cards whose number ends with {end}", cards),
        *_table(desk, "With an id that begins so", [ref for ref in begins if ref not in exact and ref not in by_order]),
    ]
    if not blocks:
        blocks = [Text("Nothing is found. Ids are searched from their beginning, card numbers from their end.", "wait")]
    return Page(f"Search: {desk.name(asked, CARD)}", "", blocks)


def _hides(desk: Desk, asked: str) -> bool:
    """Whether a whole card number was typed: one of the books, or one that nothing else is called."""
    if desk.name(asked) != asked:
        return True
    return like_a_number(asked) and not (desk.reading.find(asked) or _of_order(desk, asked))


def _like_an_end(asked: str) -> bool:
    """Whether it could be the end of a card number: with marks before it or not."""
    return len(plain_number(asked)) >= SHORTEST and any(map(str.isdigit, asked))


def _of_order(desk: Desk, order: str) -> list[Entity]:
    machines = desk.engine.machines.values()
    return [
        each
        for machine in machines
        if (fact := machine.facts.get("order")) is not None and fact.indexed
        for each in desk.reading.linked(machine.name, "order", order)[: ROWS + 1]
    ]


def _beginning(desk: Desk, machine: str, name: str) -> list[Ref]:
    """Ids that begin with it come right after it."""
    found = desk.reading.page(machine, after=name, limit=ROWS + 1)
    return [each.ref for each in found if each.id.startswith(name)]


def _table(desk: Desk, caption: str, refs: list[Ref]) -> list[Block]:
    if not refs:
        return []
    found = desk.reading.entities(refs[:ROWS])
    rows: list[tuple[Cell, ...]] = []
    for ref in refs[:ROWS]:
        entity = found[ref]
        card = desk.number(entity) if ref[0] == CARD else None
        order = desk.name(str(entity.facts["order"])) if entity.facts.get("order") is not None else None
        payer = desk.card(str(entity.facts["card"])) if ref[0] == PAYMENT else None
        rows.append((desk.life(*ref), ref[0].replace("_", " "), desk.state(entity), card or payer, order))
    more = f", the first {ROWS}" if len(refs) > ROWS else ""
    return [Table(caption + more, ["id", "what", "state", "card", "order"], rows)]
