"""Every page of a board, asked without a browser: what is said, what is never said, and what happens to bad books."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, nullcontext
from datetime import datetime, timedelta, timezone
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

import tallystick
from board_world import NUMBER, ODD, SCRIPT, board, fill, get
from postgres_books import postgres_url
from tallystick.board.board import PAGES, Board
from tallystick.engine.sealing import new_key
from tallystick.errors import Invalid
from tallystick.provider.scripted import Reply, ScriptedProvider
from tallystick.store.open import open_store

ASKED = {
    "life": {"of": "payment", "id": "o-1/1"}, "state": {"of": "payment", "state": "authorized"},
    "machine": {"name": "gift_card"}, "search": {"q": "o-1"}, "day": {"day": "2026-01-01"},
    "rows": {"report": "liability", "by": "kind", "value": "gift", "currency": "BRL"},
}  # fmt: skip
LINK = re.compile(r'(?:href|action)="([^"]*)"')
TEXT = re.compile(r"<[^>]*>")


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def ours(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    file = f"sqlite:///{tmp_path_factory.mktemp('pages')}/books.db"
    with nullcontext(file) if request.param == "sqlite" else postgres_url() as url:
        fill(url)
        found = board(url)
        yield found
        found.books.close()


class Tags(HTMLParser):
    """The tags of a page as a browser reads them, with the names of their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, [name for name, _ in attrs]))

    @classmethod
    def of(cls, text: str) -> list[tuple[str, list[str]]]:
        tags = cls()
        tags.feed(text)
        return tags.found


def every(ours: Board) -> dict[str, str]:
    """The text of each page that can be reached from the first one, by its address."""
    found: dict[str, str] = {}
    waiting = ["/"]
    while waiting:
        at = waiting.pop()
        if at in found or at.startswith("/static/"):
            continue
        split = urlsplit(at)
        answer = get(ours, split.path, **dict(parse_qsl(split.query, keep_blank_values=True)))
        assert answer.status == 200, at
        found[at] = answer.text
        waiting += [unescape(link) for link in LINK.findall(answer.text) if link.startswith("/")]
    return found


def test_every_link_leads_to_a_page_and_each_is_safe_to_show(ours: Board) -> None:
    pages = every(ours)
    assert {urlsplit(at).path.strip("/") or "overview" for at in pages} == set(PAGES)
    assert len(pages) > 60
    for at, text in pages.items():
        assert NUMBER not in unescape(at + text), at
        assert "6006499999990001" not in unescape(at + text), at
        tags = Tags.of(text)
        assert "script" not in {tag for tag, _ in tags}, at
        assert not [name for _, given in tags for name in given if name == "style" or name.startswith("on")], at
        assert not [link for link in LINK.findall(text) if not link.startswith(("/", "#"))], at


def test_odd_names_are_shown_as_they_are_and_found_again(ours: Board) -> None:
    for name in ODD:
        answer = get(ours, "/life", of="payment", id=name)
        assert answer.status == 200
        assert f"payment {name}" in unescape(TEXT.sub("", answer.text))
        assert name in unescape(TEXT.sub("", get(ours, "/search", q=name).text))


def test_a_reason_is_shown_without_the_number_that_somebody_has_written_into_it(ours: Board) -> None:
    text = unescape(TEXT.sub("", get(ours, "/life", of="gift_card", id="c-2").text))
    assert SCRIPT in unescape(get(ours, "/life", of="gift_card", id="c-2").text)
    assert "lost card …" in text


def test_an_id_with_a_card_number_in_it_has_an_address_without_it(ours: Board) -> None:
    listed = get(ours, "/state", of="payment", state="authorized").text
    (address,) = {unescape(each) for each in LINK.findall(listed) if "%E2%80%A6" in each}
    assert "7890" in address
    asked = dict(parse_qsl(urlsplit(address).query))
    found = get(ours, "/life", **asked)
    assert found.status == 200
    assert "payment o-…7890/1" in TEXT.sub("", found.text)
    assert get(ours, "/life", **{**asked, "id": asked["id"][:-1] + "x"}).status == 404


@pytest.mark.parametrize(
    "asked", [NUMBER, f" {NUMBER} ", "6006 4912 3456 7890", "6006-4912-3456-7890", "…7890", "7890", "****7890"]
)
def test_a_card_is_found_by_its_number_or_its_end_and_the_address_has_the_end_only(ours: Board, asked: str) -> None:
    answer = get(ours, "/search", q=asked)
    if answer.status == 302:
        assert answer.headers["location"] == "/search?q=%E2%80%A67890"
        answer = get(ours, "/search", q="…7890")
    assert "c-1" in TEXT.sub(" ", answer.text)
    assert asked == "7890" or NUMBER not in answer.text.replace(" ", "").replace("-", "")


@pytest.mark.parametrize("url", ["sqlite", "postgres"])
def test_empty_books_have_every_page(url: str, tmp_path: Path) -> None:
    with nullcontext(f"sqlite:///{tmp_path}/books.db") if url == "sqlite" else postgres_url() as at:
        tallystick.open(at).close()
        with tallystick.open(at, read_only=True) as books:
            for name in PAGES:
                if name not in ASKED or name in ("machine", "state", "search"):
                    assert get(Board(books, patience=60), f"/{name}", **ASKED.get(name, {})).status == 200, name


def test_books_that_are_written_meanwhile_are_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    fill(url, odd=False)
    with tallystick.open(url, read_only=True) as books, closing(sqlite3.connect(tmp_path / "books.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE gift_card SET available = 1")
        assert "500.00" not in get(Board(books, patience=60), "/liability").text
        other.rollback()
    with tallystick.open(url, read_only=True) as books, tallystick.open(url) as writing:
        ours = Board(books, patience=60)
        before = get(ours, "/life", of="payment", id="o-9/1")
        writing.authorize("o-9/1", "c-1", "1.00", order="o-9", key="k9")
        assert (before.status, get(ours, "/life", of="payment", id="o-9/1").status) == (404, 200)


def test_books_that_break_say_so_and_nothing_else_does(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    fill(url, odd=False)
    with tallystick.open(url, read_only=True) as books:
        ours = Board(books, patience=60)
        assert get(ours).status == 200
        books.close()
        whole = (tmp_path / "books.db").read_bytes()
        (tmp_path / "books.db").write_bytes(b"gone" * (len(whole) // 4))
        answer = get(ours)
        assert (answer.status, "cannot be read" in answer.text) == (503, True)
        assert "Traceback" not in answer.text


def test_a_fault_of_ours_is_not_told_to_who_reads(ours: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError(f"secret {NUMBER}")

    monkeypatch.setitem(PAGES, "stuck", fails)  # type: ignore[arg-type]
    answer = get(ours, "/stuck")
    assert answer.status == 500
    assert "secret" not in answer.text


def test_sealed_books_are_shown_without_their_key(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    with tallystick.open(url, seal_key=new_key()) as books:
        books.recognize("c-1", NUMBER, currency="BRL", balance="500.00", key="k1")
        books.authorize(f"o-{NUMBER}/1", "c-1", "5.00", order=NUMBER, key="k5")
    with tallystick.open(url, read_only=True) as books:
        pages = every(Board(books, patience=60))
    assert not [at for at, text in pages.items() if "sealed:" in at + text or NUMBER in at + text]
    assert any("…7890" in text for text in pages.values())


def test_a_large_state_is_read_page_by_page(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    with tallystick.open(url) as books:
        for number in range(120):
            books.engine.execute("gift_card", f"c-{number:03}", "create", {"form": "physical", "currency": "BRL"},
                                 key=f"k{number}")  # fmt: skip
    store = open_store(url, read_only=True)
    store.close()
    ours = board(url)
    seen: list[str] = []
    at: str | None = "/state?of=gift_card&state=inventory"
    while at is not None:
        split = urlsplit(at)
        text = get(ours, split.path, **dict(parse_qsl(split.query))).text
        seen += re.findall(r"c-\d{3}(?=</a>)", text)
        at = next((unescape(each) for each in LINK.findall(text) if "after=" in each), None)
    assert seen == [f"c-{number:03}" for number in range(120)]
    ours.books.close()


def test_when_something_happened_is_told_where_that_was_before_it_was_written(tmp_path: Path) -> None:
    provider = ScriptedProvider()
    with tallystick.open(f"sqlite:///{tmp_path}/books.db", provider=provider) as books:
        books.recognize("c", NUMBER, currency="BRL", balance="50.00", key="k")
        provider.wait(86400.0)
        asked = {"report": "activity", "by": "result", "value": "confirmed", "currency": "BRL"}
        for late in (False, True):
            before = provider.clock() - timedelta(hours=2)
            books.adjust("c", "1.00", key=f"{late}", by="ann", reason="r", **({"occurred_at": before} if late else {}))
            assert ("occurred at" in get(Board(books), "/rows", **asked).text) == late


def test_only_what_can_be_tried_again_is_said_to_be(tmp_path: Path) -> None:
    """A command that was declined has used its key up; one that somebody has changed is never done."""
    provider = ScriptedProvider()
    with tallystick.open(f"sqlite:///{tmp_path}/books.db", provider=provider) as books:
        books.recognize("c", NUMBER, currency="BRL", balance="50.00", key="k")
        for id in ("declined", "refused", "changed"):
            books.authorize(id, "c", "5.00", order=id, key=f"{id} hold")
            books.settle(
                id, "9.00" if id == "refused" else "5.00", key=f"{id}-ship", due=provider.clock() + timedelta(hours=1)
            )
        provider.wait(2 * 3600.0)
        with sqlite3.connect(tmp_path / "books.db") as sql:
            sql.execute("UPDATE queue SET due = '2020-01-01T00:00:00.000Z' WHERE key = 'changed-ship'")
        provider.reply_with([Reply("declined")])
        books.run_due()
        assert {each.row.key: each.row.state for each in books.stuck().queue} == {
            "declined-ship": "declined", "refused-ship": "refused", "changed-ship": "waiting",
        }  # fmt: skip
        text = get(Board(books), "/stuck").text
        for id in ("declined", "refused", "changed"):
            assert f"tallystick stuck --dismiss {id}-ship" in text
            if id == "refused":
                assert books.engine.queue.retry(f"{id}-ship", by="ann", reason="r").result == "refused"
                assert f"tallystick stuck --again {id}-ship" in text
            else:
                with pytest.raises(Invalid):
                    books.engine.queue.retry(f"{id}-ship", by="ann", reason="r")
                assert f"tallystick stuck --again {id}-ship" not in text
        assert "settle of changed was changed in the database" in text


def test_a_search_says_that_there_is_more_than_it_lists(ours: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    every, few = get(ours, "/search", q="c").text, "With an id that begins so<"
    assert few in every
    monkeypatch.setattr("tallystick.board.pages.search.ROWS", 1)
    cut = get(ours, "/search", q="c").text
    assert "With an id that begins so, the first 1<" in cut
    assert len(cut) < len(every)


def test_long_lists_go_on_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards that nobody uses, and holds put in force again, each on one page, also where an id is a card number."""
    for where in ("figures", "changes", "blocks"):
        monkeypatch.setattr(f"tallystick.board.pages.{where}.LISTED", 2)
    provider = ScriptedProvider()
    with tallystick.open(f"sqlite:///{tmp_path}/books.db", provider=provider) as books:
        for at in range(4):
            books.recognize(f"c-{at}", f"600649123456000{at}", currency="BRL", balance="50.00", key=f"k{at}")
        books.recognize(NUMBER, NUMBER, currency="BRL", balance="50.00", key="k")
        for at in range(5):
            books.authorize(f"o-{at}/1", "c-0", "4.00", order=f"o-{at}", key=f"h{at}")
            books.settle(f"o-{at}/1", "1.00", key=f"s{at}", keep_hold=False)
            books.run_due()
        provider.wait(370 * 86400.0)
        seen = Board(books)
        for path, ids in (("/escheat", [*(f"c-{at}" for at in range(4)), "7890"]),
                          ("/advanced-holds", [f"o-{at}/1" for at in range(5)])):  # fmt: skip
            answers, to = [], path
            while to:
                answer = get(seen, *_asked(to)[:1], **_asked(to)[1])
                assert answer.status == 200
                assert NUMBER not in answer.text
                answers.append(answer.text)
                found = re.search(r'href="([^"]*)"[^>]*>The next 2<', answer.text)
                to = unescape(found[1]) if found else ""
            assert len(answers) == 3, path
            for id in ids:
                assert sum(id in TEXT.sub("", text) for text in answers) == 1, id


def _asked(address: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(address)
    return f"/{parts.path.lstrip('/')}", dict(parse_qsl(parts.query))


def test_what_was_told_late_has_both_moments_in_the_life_of_its_card(tmp_path: Path) -> None:
    url, now = f"sqlite:///{tmp_path}/books.db", datetime.now(timezone.utc)
    with tallystick.open(url) as books:
        books.recognize("c-1", "6006", currency="BRL", balance="5.00", key="a", occurred_at=now - timedelta(days=400))
        books.reload("c-1", "1.00", key="b")
    with tallystick.open(url, read_only=True) as books:
        text = get(Board(books, patience=60), "/life", of="gift_card", id="c-1").text
    then, today = f"{now - timedelta(days=400):%Y-%m-%d}", f"{now:%Y-%m-%d}"
    rows = [row for row in re.findall(r"<tr.*?</tr>", text, re.DOTALL) if "written" in row]
    assert len(rows) == 2
    assert all(row.index(then) < row.index("written") < row.index(today) for row in rows)
