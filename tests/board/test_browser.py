"""The board in a real browser, on the voucher orders as they were told to the sandbox: clicks, keyboard, dark, print.

An analyst's five questions are answered by clicks alone, and what is read is compared with SQL of the test's own.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from board_books import make
from board_world import board as small_board
from board_world import fill
from browser import Watched, chromium, served, unreadable
from tallystick.board.board import Board
from tallystick.board.export import export

pytestmark = pytest.mark.slow

PAGES = {
    "overview": "/",
    "liability": "/liability",
    "liability-by-state": "/liability?by=state",
    "liability-in-april": "/liability?as_of=2026-04-15",
    "rollforward": "/rollforward",
    "rollforward-by-kind": "/rollforward?by=kind&start=2026-03-01&end=2026-03-31",
    "activity": "/activity",
    "day": "/day?day=2026-04-18&currency=BRL",
    "advanced-holds": "/advanced-holds",
    "breakage": "/breakage",
    "escheat": "/escheat",
    "stuck": "/stuck",
    "doubt": "/doubt",
    "holds": "/holds",
    "queue": "/queue",
    "reconciliation": "/reconciliation",
    "rows": "/rows?report=liability&by=age&value=8+to+30+days&currency=BRL",
    "machines": "/machines",
    "machine": "/machine?name=payment",
    "machine-card": "/machine?name=gift_card",
    "machine-unused": "/machine?name=tender",
    "state": "/state?of=gift_card&state=issued",
    "payment": "/life?of=payment&id=o-038%2F2",
    "card": "/life?of=gift_card&id=o-038%2F2%2Fcard",
    "search": "/search?q=o-03",
    "nothing-found": "/search?q=nothing",
}  # fmt: skip
LOOKS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "narrow": {"viewport": {"width": 800, "height": 900}},
    "phone": {"viewport": {"width": 380, "height": 800}},
}


class Desk:
    """Books, their file, and where their board is."""

    def __init__(self, file: Path, base: str, browser: Any, pictures: Path) -> None:
        self.file, self.base, self.browser, self.pictures = file, base, browser, pictures

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.file)) as connection:
            return connection.execute(query).fetchall()

    def brl(self, query: str) -> str:
        """An amount as the board writes it."""
        ((cents,),) = self.sql(query)
        return f"{cents / 100:,.2f}".replace("-", "−")

    def open(self, path: str = "/", **context: Any) -> Watched:
        found = Watched(self.browser, self.base, self.pictures, **context)
        found.go(path)
        return found


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("browser")
    with chromium() as browser:
        books = make(f"sqlite:///{folder}/books.db")
        with served(Board(books, patience=60)) as base:
            yield Desk(folder / "books.db", base, browser, folder / "pictures")
        books.close()


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_sound_and_can_be_read_by_everybody(desk: Desk, look: str) -> None:
    watched = Watched(desk.browser, desk.base, desk.pictures, **LOOKS[look])
    for name, path in PAGES.items():
        answer = watched.go(path)
        assert answer.status == 200, name
        assert unreadable(watched.page) == [], name
        watched.picture(f"{name}-{look}")
    watched.close()


def test_every_page_is_printed_without_what_is_clicked(desk: Desk) -> None:
    watched = desk.open()
    for name, path in PAGES.items():
        watched.go(path)
        watched.page.emulate_media(media="print")
        for css in ("nav.menu", "form[role=search]", "form.ask", ".skip"):
            for each in watched.page.query_selector_all(css):
                assert not each.is_visible(), (name, css)
        assert watched.page.is_visible("h1")
        watched.picture(f"{name}-print")
        pdf = watched.page.pdf(format="A4")
        assert pdf.startswith(b"%PDF-")
        watched.page.emulate_media(media="screen")
    watched.close()


def test_the_keyboard_is_enough(desk: Desk) -> None:
    watched = desk.open()
    page = watched.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.locator(":focus").bounding_box()["y"] >= 0, "it is seen when it has the focus"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Owed to customers"
    page.keyboard.press("Enter")
    page.wait_for_url("**/liability")
    page.focus("#q")
    page.keyboard.type("o-038/2")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=o-038%2F2")
    page.focus("main table a")
    page.keyboard.press("Enter")
    page.wait_for_url("**/life?**")
    assert page.inner_text("h1") == "payment o-038/2"
    seen = []
    for _ in range(400):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        seen.append(page.evaluate("getComputedStyle(document.activeElement).outlineStyle"))
    assert len(seen) > 20
    assert set(seen) == {"solid"}, "each has a ring when it has the focus"
    watched.close()


def test_a_state_of_the_picture_leads_to_its_entities_and_one_of_these_to_its_life(desk: Desk) -> None:
    watched = desk.open("/machines")
    page = watched.page
    watched.follow("svg a[aria-label^='advanced hold'] rect >> nth=0", force=True)
    page.wait_for_url("**/state?of=payment&state=advanced_hold")
    watched.follow("main table a >> nth=0")
    assert page.inner_text("h1") == "payment o-038/2"
    watched.follow("dl a")
    assert page.inner_text("h1") == "gift card o-038/2/card"
    page.go_back()
    page.go_back()
    page.go_back()
    assert page.inner_text("h1") == "Machines"
    watched.close()


def test_a_card_is_found_by_its_number_which_stands_nowhere_afterwards(desk: Desk) -> None:
    ((number, id),) = desk.sql("SELECT number, id FROM gift_card WHERE id = 'o-038/2/card'")
    watched = desk.open()
    page = watched.page
    page.fill("#q", f"{number[:4]} {number[4:8]} {number[8:]}")
    page.press("#q", "Enter")
    page.wait_for_url(f"**/search?q=%E2%80%A6{number[-4:]}")
    assert page.inner_text("h1") == f"Search: …{number[-4:]}"
    watched.follow(f"text={id}")
    assert page.inner_text("h1") == f"gift card {id}"
    assert number not in page.content()
    watched.close()


# An analyst's five questions


def test_what_is_owed_by_age(desk: Desk) -> None:
    watched = desk.open()
    page = watched.page
    watched.follow("text=Owed to customers")
    ages = {
        row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in page.locator("tbody tr").all()
    }
    assert list(ages) == ["8 to 30 days", "31 to 90 days", "91 to 180 days"]
    total = desk.brl("SELECT sum(available + held + leaving + in_doubt) FROM gift_card")
    assert page.locator("tfoot td").all_inner_texts()[-2] == total
    for days, (young, old) in {"8 to 30 days": (7, 30), "31 to 90 days": (30, 90)}.items():
        between = f"created <= strftime('%Y-%m-%dT%H:%M:%SZ', '2026-05-05 12:00', '-{young} days') AND created > strftime('%Y-%m-%dT%H:%M:%SZ', '2026-05-05 12:00', '-{old} days')"
        assert ages[days][-2] == desk.brl(
            f"SELECT sum(available + held + leaving + in_doubt) FROM gift_card WHERE {between}"
        )
    watched.follow("tbody tr:first-child a")
    listed = desk.sql(
        "SELECT count(*) FROM gift_card WHERE available + held + in_doubt > 0 AND created > '2026-04-05T12:00'"
    )[0][0]
    assert page.locator("tbody tr").count() == listed
    watched.close()


def test_which_holds_are_older_than_a_week(desk: Desk) -> None:
    watched = desk.open()
    page = watched.page
    watched.follow("nav.menu >> text=Old holds")
    watched.follow("text=older than a week")
    shown = page.locator("#listed tbody tr").all()
    older = desk.sql(
        "SELECT p.id FROM payment p WHERE held > 0 AND (SELECT max(at) FROM entry e WHERE e.machine = 'payment' AND "
        "e.entity = p.id AND e.phase IN ('done', 'confirmed') AND e.postings LIKE '%\"held\",%]%' AND e.command != 'settle') "
        "< '2026-04-28T12:00' ORDER BY 1"
    )
    assert sorted(row.locator("td").nth(1).inner_text() for row in shown) == [id for (id,) in older]
    watched.close()


def test_why_a_payment_cannot_be_settled(desk: Desk) -> None:
    watched = desk.open()
    page = watched.page
    watched.follow("text=For a person")
    watched.follow("a:text-is('mkt-9001/1')")
    assert page.inner_text("h1") == "payment mkt-9001/1"
    assert "settle was declined: the provider declined redeem_hold: other Could not find the hold." in page.inner_text(
        "main"
    )
    watched.follow("text=what to type")
    assert "tallystick stuck --dismiss mkt-9001/1/settle-1" in page.inner_text("main")
    assert "stuck --again mkt-9001/1/settle-1" not in page.inner_text("main"), "its key is used up"
    watched.go("/life?of=payment&id=o-048%2F1")  # a hold of an order that was forgotten
    watched.go("/life?of=payment&id=mkt-9002%2F1")  # and one that another channel was faster than
    row = page.locator("#next-table tr", has=page.locator("th", has_text=re.compile("^settle$")))
    assert row.locator("td").nth(1).inner_text() == "no"
    assert row.locator("td").nth(2).inner_text() != ""
    watched.close()


def test_how_many_orders_needed_an_advanced_hold_and_how_short_they_came(desk: Desk) -> None:
    watched = desk.open()
    page = watched.page
    watched.follow("nav.menu >> text=Advanced holds")
    tiles = [each.inner_text().split("\n") for each in page.locator(".tile").all()]
    figures = {name: figure for name, figure, *_ in ([line for line in tile if line.strip()] for tile in tiles)}
    ((orders, holds),) = desk.sql(
        "SELECT count(DISTINCT json_extract(c.facts, '$.order')), count(*) FROM entry e JOIN entry c ON c.machine = 'payment' "
        "AND c.entity = e.entity AND c.revision = 1 WHERE e.transition = 'hold_again' AND e.phase = 'asked'"
    )
    assert (figures["Orders that needed one"], holds) == (str(orders), 20)
    assert figures["Came back short"] == "3"
    assert figures["Short by"] == "34.68 BRL"
    assert desk.brl("SELECT sum(uncovered) FROM payment") == "34.68", "nobody has covered them yet"
    watched.close()


def test_what_has_changed_since_last_month_to_the_cent(desk: Desk) -> None:
    watched = desk.open()
    page = watched.page
    watched.follow("nav.menu >> text=What has changed")
    figures = {
        row.locator("th").inner_text(): row.locator("td").first.inner_text()
        for row in page.locator("table >> nth=0").locator("tbody tr, tfoot tr").all()
    }
    assert list(figures) == ["opening", "issued", "spent", "refunded", "elsewhere", "closing"]
    cents = [int(re.sub(r"[.,]", "", each).replace("−", "-")) for each in figures.values()]
    assert sum(cents[:-1]) == cents[-1]
    posted = (
        "SELECT sum(json_extract(line.value, '$[2]')) FROM entry, json_each(entry.postings) line WHERE machine = "
        "'gift_card' AND phase IN ('done', 'confirmed') AND at >= '2026-04-01'"
    )
    assert figures["closing"] == desk.brl("SELECT sum(available + held + leaving + in_doubt) FROM gift_card")
    spent = desk.sql(f"{posted} AND json_extract(line.value, '$[1]') = 'spent'")[0][0]
    assert figures["spent"] == f"−{spent / 100:,.2f}"
    watched.follow("tr:has-text('refunded') a")
    assert page.locator("tbody tr").count() == 3
    watched.close()


# As files, and with names that somebody has chosen badly


def test_the_files_open_without_a_server(desk: Desk, tmp_path: Path) -> None:
    books = make_look(desk)
    export(Board(books), tmp_path / "board", most=400)
    books.close()
    watched = Watched(desk.browser, f"file://{tmp_path}/board", desk.pictures)
    watched.go("/index.html")
    page = watched.page
    assert unreadable(page) == []
    watched.follow("text=Owed to customers")
    assert page.inner_text("h1") == "What is owed"
    assert page.evaluate("getComputedStyle(document.querySelector('table')).borderCollapse") == "collapse", (
        "it has styles"
    )
    watched.follow("nav.menu >> text=Machines")
    watched.follow("svg a[aria-label^='issued'] rect >> nth=0", force=True)
    assert page.inner_text("h1") == "gift card: issued"
    watched.picture("files")
    watched.close()


def make_look(desk: Desk) -> Any:
    from board_books import look

    return look(f"sqlite:///{desk.file}")


def test_names_of_others_do_nothing_in_the_browser(desk: Desk, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/odd.db"
    fill(url)
    ours = small_board(url)
    with served(ours) as base:
        watched = Watched(desk.browser, base, desk.pictures)
        watched.page.on("dialog", lambda dialog: watched.wrong.append(f"dialog: {dialog.message}"))
        waiting, seen = ["/"], set()
        while waiting:
            at = waiting.pop()
            if at in seen or len(seen) > 80:
                continue
            seen.add(at)
            watched.go(at)
            assert unreadable(watched.page) == [], at
            links = watched.page.eval_on_selector_all("a[href^='/']", "all => all.map((a) => a.getAttribute('href'))")
            waiting += links
        assert len(seen) > 60
        watched.close()
    ours.books.close()
