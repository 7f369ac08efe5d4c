"""A report as a value: its columns, rows and totals; as CSV, as JSON, as a table, in a notebook. It reads no store."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Literal

import attrs

from tallystick.errors import Invalid
from tallystick.masks import masked_parts
from tallystick.money import Money, to_text

if TYPE_CHECKING:
    from rich.table import Table

Kind = Literal["text", "time", "count", "money"]
Row = Mapping[str, object]  # by column: text or None, ISO 8601 in UTC, a whole number; of money, minor units
NOTHING = "—"
STEP = timedelta(milliseconds=1)  # of the journal's clock
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)")
NAMES = ("entity", "card", "payment", "key")  # masked where they are written, if they are the number of a card


@attrs.frozen
class Page:
    """Some of the single things that a report lists, in their order. Its totals are still of all of them."""

    most: int
    after: tuple[str, ...] = ()  # the `rest` of the page before
    above: str | None = None  # only those of which this amount is more than 0


@attrs.frozen
class Column:
    name: str
    kind: Kind
    says: str  # what it means
    quiet: bool = False  # on a terminal it is left out where it is 0 throughout

    @property
    def title(self) -> str:
        return self.name.replace("_", " ")


@attrs.frozen
class Report:
    """Figures at one moment, or of one period. Each row and each total opens into its rows: `rows_of`.

    An amount in a row is a whole number of minor units of the row's `currency`; `text` writes it as a decimal, `money`
    gives it as `Money`. There is one total for each currency: two currencies are never added up.
    """

    name: str  # such as "liability"
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...] = attrs.field(repr=lambda rows: f"<{len(rows)}>")  # ids are whole in them
    totals: tuple[Row, ...]  # one for each currency, with the columns that can be added up
    as_of: datetime  # up to when, in UTC
    verified: str | None  # up to which entry the books were found clean the last time; None: they never were
    notes: tuple[str, ...] = ()  # what a reader has to know
    start: datetime | None = None  # the beginning of the period
    by: tuple[str, ...] = ()
    totalled: tuple[Column, ...] = ()  # columns that only the totals have
    rest: tuple[str, ...] | None = None  # of a page: after what the next one goes on; None: it is the last
    opens: Callable[[Row, int | None], Report] | None = attrs.field(default=None, eq=False, repr=False)

    def rows_of(self, row: Row, most: int | None = None) -> Report:
        """The rows that a row or a total of this report is made of; `most`: only so many, and then without a total.

        Raises:
            Invalid: it is no row of this report, or a single thing already.
        """
        if row not in (*self.rows, *self.totals):
            raise Invalid(f"this is no row of the report {self.name}; give one of its rows or totals, as it is")
        if self.opens is None:
            raise Invalid(f"a row of {self.title} is one thing already, and opens into nothing")
        return self.opens(row, most)

    def money(self, row: Row, column: str) -> Money:
        """An amount of a row. Raises MoneyError if it is beyond what one amount may be."""
        return Money(int(str(row[column])), str(row["currency"]))

    def text(self, row: Row, column: str) -> str:
        """A cell as people read it; "" where there is nothing."""
        value = row.get(column)
        if value is None:
            return ""
        if self._kinds[column] == "money":
            return to_text(int(str(value)), str(row["currency"]))
        return _written(column, str(value))

    def read(self, row: Row, column: str) -> str:
        """The same, with a time to the second, as it stands in a table."""
        text = self.text(row, column)
        return readable(text) if self._kinds[column] == "time" else text

    @property
    def _kinds(self) -> Mapping[str, Kind]:
        return {each.name: each.kind for each in (*self.columns, *self.totalled)}

    def csv(self) -> str:
        """The rows as CSV with a line of names; no totals, because a spreadsheet would add them up with the rows."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([each.name for each in self.columns])
        for row in self.rows:
            cells = [(each.kind, self.text(row, each.name)) for each in self.columns]
            writer.writerow([text if kind in ("money", "count") else harmless(text) for kind, text in cells])
        return out.getvalue()

    def plain(self) -> dict[str, object]:
        """As plain values, with amounts as decimals."""
        return {
            "report": self.name,
            "title": self.title,
            "as_of": moment(self.as_of),
            "from": moment(self.start) if self.start else None,
            "by": list(self.by),
            "verified": self.verified,
            "columns": [{"name": each.name, "kind": each.kind, "says": each.says} for each in self.columns],
            "rows": [self._plain(row) for row in self.rows],
            "totals": [self._plain(row) for row in self.totals],
            "notes": list(self.notes),
        }

    def _plain(self, row: Row) -> dict[str, object]:
        kinds = self._kinds
        return {
            name: self.text(row, name) if value is not None and kinds[name] not in ("count", "time") else value
            for name, value in row.items()
        }

    def json(self) -> str:
        return json.dumps(self.plain(), ensure_ascii=False, indent=2)

    def grid(self) -> Table:
        """A table for a terminal."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self.title, box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_footer=False)
        shown = self._shown()
        for each in shown:
            right = each.kind in ("money", "count")
            whole = right or each.name in ("currency", "number")
            table.add_column(each.title, justify="right" if right else "left", overflow="fold", no_wrap=whole)
        for row in self.rows:
            table.add_row(*[Text(self.read(row, each.name)) for each in shown])
        table.add_section()
        for row in self.totals:
            first = shown[0].name if shown else ""
            cells = [
                "total" if each.name == first and first not in row else self.text(row, each.name) for each in shown
            ]
            table.add_row(*map(Text, cells), style="bold")
        return table

    @property
    def late(self) -> bool:
        """Whether something in it happened earlier than it was written: only then both times are worth a column."""
        return any(row.get("occurred_at") != row.get("at") for row in self.rows)

    def _shown(self) -> list[Column]:
        """The columns in which something stands."""
        lines = (*self.rows, *self.totals)
        return [
            each
            for each in (*self.columns, *self.totalled)
            if (self.late or each.name != "occurred_at")
            and any(row.get(each.name) if each.quiet else self.text(row, each.name) for row in lines)
        ]

    def head(self) -> str:
        """When it is of, and since when nothing is known against the books."""
        if self.start is None:
            period = f"as of {printed(self.as_of)} UTC"
        elif _begins_day(self.start) and _begins_day(self.as_of + STEP):
            period = f"from {self.start:%Y-%m-%d} to {self.as_of:%Y-%m-%d}, days of UTC"
        else:
            period = f"from {printed(self.start)} to {printed(self.as_of)} UTC"
        verified = f"verified up to {self.verified}" if self.verified else "never verified; `tallystick verify` does it"
        return f"{period}; {readable(verified)}"

    def table(self, width: int = 200) -> str:
        """As text for people, with the totals and the notes."""
        from rich.console import Console

        out = io.StringIO()
        if self.rows:
            Console(file=out, width=width, highlight=False, emoji=False).print(self.grid())
        return "\n".join([out.getvalue().rstrip("\n") or self.title, "", *self.below()])

    __str__ = table

    def below(self) -> list[str]:
        """The sentences below the table."""
        return [*([] if self.rows else [f"{self.title}: none"]), self.head(), *self.notes]

    def _repr_html_(self) -> str:
        """A table for a notebook."""
        shown, escape = self._shown(), html.escape
        heads = "".join(f'<th title="{escape(each.says)}">{escape(each.title)}</th>' for each in shown)
        lines = [(row, "td") for row in self.rows] + [(row, "th") for row in self.totals]
        body = "".join(f"<tr>{''.join(self._html(row, each, tag) for each in shown)}</tr>" for row, tag in lines)
        below = "".join(f"<p>{escape(each)}</p>" for each in self.below())
        caption = f"<caption>{escape(self.title)}</caption>"
        return f"<table>{caption}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{below}"

    def _html(self, row: Row, column: Column, tag: str) -> str:
        align = "right" if column.kind in ("money", "count") else "left"
        return f'<{tag} style="text-align:{align}">{html.escape(self.read(row, column.name))}</{tag}>'


def _written(column: str, text: str) -> str:
    return masked_parts(text) if column in NAMES else text


def harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def printed(when: datetime) -> str:
    """A moment of which a report is, as people read it and may ask for it again: whole, if it is no whole second."""
    said = f"{when:%Y-%m-%d %H:%M:%S}"
    return f"{said}.{when.microsecond // 1000:03}" if when.microsecond else said


def _begins_day(when: datetime) -> bool:
    return when.time() == time()


def moment(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def readable(text: str) -> str:
    """A sentence with moments of the journal in it, to the second; they are of UTC, as all times are."""
    return _MOMENT.sub(r"\1 \2", text)


def rows_from(columns: Sequence[Column], found: Sequence[Sequence[object]]) -> tuple[Row, ...]:
    """Rows as a database gives them. PostgreSQL adds up to a Decimal without decimals."""
    whole = [each.kind in ("money", "count") for each in columns]
    return tuple(
        {
            column.name: int(str(value)) if number and value is not None else value
            for column, number, value in zip(columns, whole, row, strict=True)
        }
        for row in found
    )
