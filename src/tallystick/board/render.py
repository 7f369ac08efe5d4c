"""A page as HTML. Every text is escaped where it is written; only the pictures that we draw ourselves are not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from functools import cache
from itertools import count
from typing import Any

import attrs
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tallystick.board import page as blocks
from tallystick.board.page import Cell, Code, Link, Page, State, Target
from tallystick.money import Money

SHORT = 26  # characters of a name that stays on one line
_STATE = re.compile(r'<g class="ts-state" data-state="([a-z0-9_]+)">.*?</g>', re.DOTALL)
Href = Callable[[Target], str | None]  # the address of a page; None: there is no such page here

MENU: Sequence[tuple[str, Sequence[tuple[str, str]]]] = (
    ("", (("overview", "Overview"),)),
    ("Figures", (
        ("liability", "What is owed"), ("rollforward", "What has changed"), ("activity", "Activity by day"),
        ("advanced-holds", "Advanced holds"), ("breakage", "Breakage"), ("escheat", "Escheat"),
    )),
    ("To do", (
        ("stuck", "For a person"), ("doubt", "In doubt"), ("holds", "Old holds"), ("queue", "Queue"),
        ("reconciliation", "Reconciliation"),
    )),
    ("How it runs", (("machines", "Machines"),)),
)  # fmt: skip


@attrs.frozen
class Frame:
    """What stands around every page."""

    store: str  # where the books are, without a password
    served: datetime  # when the page was made
    as_file: bool = False  # it is written to a file: nothing can be asked
    root: str = "/"  # the way from this page to the styles


def html(page: Page, frame: Frame, href: Href) -> str:
    numbers = count(1)
    return _environment().get_template("page.html").render(
        page=page, frame=frame, menu=_menu(href), link=_linker(href), cell=_celler(href), kind=_kind, href=href,
        right=_right, currency_of=_currency, bare=bare, time=_time, search=Target("search"), home=Target("overview"),
        target=Target,
        svg=lambda of: _svg(of, href, next(numbers)),
    )  # fmt: skip


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("tallystick.board"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


def _menu(href: Href) -> list[tuple[str, list[tuple[str, str, str]]]]:
    found = []
    for heading, entries in MENU:
        shown = [(name, text, at) for name, text in entries if (at := href(Target(name))) is not None]
        if shown:
            found.append((heading, shown))
    return found


def _svg(of: blocks.Picture, href: Href, number: int) -> Markup:
    """The picture, with a link around each state of it. What is drawn by us has nothing in it that is not escaped."""

    def linked(found: re.Match[str]) -> str:
        at = href(to) if (to := of.links.get(found[1])) is not None else None
        says = f"{found[1].replace('_', ' ')}: its entities"
        return found[0] if at is None else f'<a href="{escape(at)}" aria-label="{escape(says)}">{found[0]}</a>'

    svg = of.svg.replace("ts-hatched", f"ts-hatched-{number}")  # the one id in it stands once on a page
    return Markup(_STATE.sub(linked, svg) if of.links else svg)  # noqa: S704


def _kind(block: object) -> str:
    return type(block).__name__


def _currency(table: blocks.Table) -> list[str | None]:
    """Of each column of amounts in one currency: that currency, which then stands in its head alone."""
    rows = [*table.rows, *table.totals]
    columns = [[row[at] for row in rows] for at in range(len(table.columns))]
    return [_one_currency(each) for each in columns]


def _one_currency(cells: Sequence[Cell]) -> str | None:
    filled = [each for each in cells if each not in (None, "")]
    found = {each.currency if isinstance(each, Money) else "" for each in filled}
    return found.pop() if len(found) == 1 and "" not in found else None


@attrs.frozen
class Bare:
    """An amount without its currency."""

    text: str
    nil: bool


def bare(of: Cell) -> Cell | Bare:
    """A cell of a column whose head has the currency: the number alone."""
    return Bare(amount(of).rpartition(" ")[0], not of) if isinstance(of, Money) else of


def _right(table: blocks.Table) -> list[bool]:
    """Which columns stand to the right: those with nothing but amounts and counts."""
    rows = [*table.rows, *table.totals]
    return [
        bool(filled := [row[at] for row in rows if row[at] not in (None, "")])
        and all(isinstance(each, Money | int) or _is_money(each) for each in filled)
        for at in range(len(table.columns))
    ]


def _is_money(cell: object) -> bool:
    return isinstance(cell, tuple) and bool(cell) and all(isinstance(each, Money) for each in cell)


# Cells


def _linker(href: Href) -> Callable[[Link, str], Markup]:
    def link(of: Link, css: str = "") -> Markup:
        at = href(of.to)
        says = Markup(' <span class="hidden">{}</span>').format(of.says) if of.says else ""
        if at is None:
            return Markup("<span>{}{}</span>").format(of.text, says)
        looks = " ".join(filter(None, [css, "whole" if _is_short(of.text) else ""]))
        return Markup('<a href="{}"{}>{}{}</a>').format(
            at, Markup(' class="{}"').format(looks) if looks else "", of.text, says
        )

    return link


def _celler(href: Href) -> Callable[[Cell | Bare], Markup]:
    link = _linker(href)

    def cell(of: Cell | Bare) -> Markup:
        match of:
            case None:
                return Markup("")
            case tuple():
                return (Markup("<br>") if _is_money(of) else Markup(" ")).join(cell(each) for each in of)
            case Money():
                return Markup('<span class="money">{}</span>').format(amount(of))
            case Bare(text=text, nil=nil):
                return Markup('<span class="money{}">{}</span>').format(" nil" if nil else "", text)
            case Link():
                return link(of, "")
            case State(word=word, tone=tone):
                return Markup('<span class="state {}">{}</span>').format(tone, word.replace("_", " "))
            case Code(text=text):
                return Markup("<code>{}</code>").format(text)
            case datetime():
                return _time(of)
            case bool():
                return escape("yes" if of else "no")
            case int():
                return escape(f"{of:,}")
        return Markup('<span class="whole">{}</span>').format(of) if _is_short(of) else _with_code(of)

    return cell


def _is_short(text: str) -> bool:
    """Whether it is one word that is not to be broken."""
    return 0 < len(text) <= SHORT and not any(map(str.isspace, text)) and "`" not in text


def _with_code(text: str) -> Markup:
    """A text, with `what is to be typed` as such."""
    parts = [escape(each) for each in text.split("`")]
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(each) if at % 2 else each for at, each in enumerate(parts))


def amount(of: Money) -> str:
    """An amount as people read it: 10,157.70 BRL."""
    whole, point, cents = f"{of:n}".partition(".")
    sign, digits = ("−", whole[1:]) if whole.startswith("-") else ("", whole)
    return f"{sign}{int(digits):,}{point}{cents} {of.currency}"


def _time(of: datetime) -> Markup:
    moment = of.astimezone(timezone.utc)
    return Markup('<time datetime="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"), f"{moment:%Y-%m-%d %H:%M:%S}"
    )


def plain(of: Any) -> str:
    """A cell as text alone, for pictures and titles."""
    return str(_celler(lambda _: None)(of).striptags())
