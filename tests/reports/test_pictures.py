"""What a picture shows of a store agrees with the store: every entity stands somewhere, every edge was taken so often."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

import tallystick
from postgres_books import postgres_url
from report_world import tell
from tallystick import NotFound, reports
from tallystick.books.books import Books
from tallystick.diagram import draw
from tallystick.money import Money
from tallystick.provider.scripted import ScriptedProvider

NUMBER = "6006491234567890"


@pytest.fixture(scope="module", params=["memory", "sqlite", "postgres"])
def books(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    tmp_path = tmp_path_factory.mktemp("pictures")
    urls = {"memory": nullcontext("memory:"), "sqlite": nullcontext(f"{tmp_path}/books.db"), "postgres": postgres_url()}
    provider = ScriptedProvider()
    with urls[request.param] as url, tallystick.open(url, provider=provider) as books:
        tell(books, provider, range(100, 220))
        yield books


@pytest.mark.parametrize("machine", ["gift_card", "payment", "replacement", "fulfilment"])
def test_an_overlay_counts_what_is_there(books: Books, machine: str) -> None:
    shown = reports.overlay(books, machine)
    states, edges, standing = Counter[str](), Counter[tuple[str | None, str, str]](), Counter[tuple[str, str]]()
    with books.engine.store.reading() as reading:
        for each in reading.all(machine):
            states[each.state] += 1
            standing.update({(account, each.currency): minor for account, minor in each.accounts.items()})
        for row in reading.journal(machine):
            declined = row.phase == "declined" and row.from_state != row.to_state
            if row.transition != "create" and (row.phase in ("done", "confirmed") or declined):
                edges[row.from_state, row.transition, row.to_state] += 1
    assert {state: each.count for state, each in shown.states.items()} == states
    assert {edge: each.count for edge, each in shown.edges.items()} == edges
    told = Counter({(account, money.currency): 0 for each in shown.states.values() for account in each.money
                    for money in each.money[account]})  # fmt: skip
    for each in shown.states.values():
        for account, amounts in each.money.items():
            told.update({(account, money.currency): money.minor for money in amounts})
    assert +told == +standing
    assert shown.as_of
    assert shown.verified == "not verified"
    assert "books" not in shown.source or "@" not in shown.source
    assert "</svg>" in str(draw(books.engine.machines[machine], overlay=shown))


def test_an_edge_says_what_came_along_it_and_no_more(books: Books) -> None:
    """Of a hold of which the provider has confirmed a part, only this part has come."""
    provider = books.engine.provider
    assert isinstance(provider, ScriptedProvider)
    before = reports.overlay(books, "payment").edges["requested", "authorize", "authorized"]
    books.sell_electronic("fresh", "9", "GBP", order="sale", key="sale")
    provider.script.append(tallystick.provider.scripted.Reply.read({"confirmed": "3.00"}))
    books.authorize("part", "fresh", "8.00", order="o", key="part", allow_partial=True)
    after = reports.overlay(books, "payment").edges["requested", "authorize", "authorized"]
    assert after.count == before.count + 1
    assert Money.parse("3.00", "GBP") in after.money


def test_a_life_has_every_entry_and_shows_no_number(books: Books) -> None:
    books.recognize("known", NUMBER, currency="BRL", balance="50.00", key="known")
    books.authorize("mine", "known", "20.00", order="o-1", key="mine", by=f"clerk {NUMBER}")
    life = reports.life(books, "payment", "mine")
    assert [each.transition for each in life.steps if each.phase != "asked"] == [None, "authorize"]
    assert life.steps[-1].accounts["held"] == Money.parse("20.00", "BRL")
    assert life.state == "authorized"
    (card,) = life.others
    assert (card.machine, card.id) == ("gift_card", "known")
    assert {each.command for each in card.steps} == {"hold"}
    assert card.steps[-1].cause == "payment mine"
    may = {each.command: each for each in life.may}
    assert may["settle"].allowed
    assert not may["authorize"].allowed
    assert may["authorize"].why
    assert NUMBER not in repr(life)
    assert "by clerk …" in repr(life)
    assert json.dumps(NUMBER) not in repr(reports.life(books, "gift_card", "known"))


def test_what_is_not_there_is_said(books: Books) -> None:
    with pytest.raises(NotFound):
        reports.overlay(books, "gift_cart")
    with pytest.raises(NotFound):
        reports.life(books, "payment", "nobody")
