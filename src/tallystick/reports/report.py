"""A report as a value: its columns, rows and totals; as CSV, as JSON, as a table, in a notebook. It reads no store."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import attrs

from tallystick.errors import Invalid
from tallystick.money import Money, to_text

if TYPE_CHECKING:
    from rich.table import Table

Kind = Literal["text", "time", "count", "money"]
Row = Mapping[str, object]  # by column: text or None, ISO 8601 in UTC, a whole number; of money, minor units
NOTHING = "—"


@attrs.frozen
class Column:
    name: str
    kind: Kind
    says: str  # what it means

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
    rows: tuple[Row, ...]
    totals: tuple[Row, ...]  # one for each currency, with the columns that can be added up
    as_of: datetime  # up to when, in UTC
    verified: str | None  # up to which entry the books were found clean the last time; None: they never were
    notes: tuple[str, ...] = ()  # what a reader has to know
    start: datetime | None = None  # the beginning of the period
    by: tuple[str, ...] = ()
    opens: Callable[[Row], Report] | None = attrs.field(default=None, eq=False, repr=False)

    def rows_of(self, row: Row) -> Report:
        """The rows that a row or a total of this report is made of.

        Raises:
            Invalid: it is no row of this report, or a single thing already.
        """
        if not any(row is each for each in (*self.rows, *self.totals)):
            raise Invalid(f"this is no row of the report {self.name}; give one of its rows or totals, as it is")
        if self.opens is None:
            raise Invalid(f"a row of {self.title} is one thing already, and opens into nothing")
        return self.opens(row)

    def money(self, row: Row, column: str) -> Money:
        """An amount of a row. Raises MoneyError if it is beyond what one amount may be."""
        return Money(int(str(row[column])), str(row["currency"]))

    def text(self, row: Row, column: str) -> str:
        """A cell as people read it; "" where there is nothing."""
        value = row.get(column)
        if value is None:
            return ""
        return to_text(int(str(value)), str(row["currency"])) if self._kinds[column] == "money" else str(value)

    @property
    def _kinds(self) -> Mapping[str, Kind]:
        return {each.name: each.kind for each in self.columns}

    def _cells(self, row: Row) -> list[str]:
        return [self.text(row, each.name) for each in self.columns]

    def csv(self) -> str:
        """The rows as CSV with a line of names; no totals, because a spreadsheet would add them up with the rows."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([each.name for each in self.columns])
        for row in self.rows:
            cells = zip(self.columns, self._cells(row), strict=True)
            writer.writerow([text if column.kind in ("money", "count") else harmless(text) for column, text in cells])
        return out.getvalue()

    def plain(self) -> dict[str, object]:
        """As plain values, with amounts as decimals."""
        return {
            "report": self.name,
            "title": self.title,
            "as_of": self.as_of.isoformat(),
            "from": self.start.isoformat() if self.start else None,
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
            name: self.text(row, name) if kinds[name] == "money" and value is not None else value
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
        shown = [each for each in self.columns if any(self.text(row, each.name) for row in (*self.rows, *self.totals))]
        for each in shown:
            right = each.kind in ("money", "count")
            table.add_column(each.title, justify="right" if right else "left", overflow="fold", no_wrap=right)
        for row in self.rows:
            table.add_row(*[Text(self.text(row, each.name)) for each in shown])
        table.add_section()
        for row in self.totals:
            first = shown[0].name if shown else ""
            cells = [
                "total" if each.name == first and first not in row else self.text(row, each.name) for each in shown
            ]
            table.add_row(*map(Text, cells), style="bold")
        return table

    def head(self) -> str:
        """When it is of, and since when nothing is known against the books."""
        period = f"from {moment(self.start)} to {moment(self.as_of)}" if self.start else f"as of {moment(self.as_of)}"
        verified = f"verified up to {self.verified}" if self.verified else "never verified; `tallystick verify` does it"
        return f"{period}; {verified}"

    def table(self, width: int = 200) -> str:
        """As text for people, with the totals and the notes."""
        from rich.console import Console

        out = io.StringIO()
        Console(file=out, width=width, highlight=False, emoji=False).print(self.grid())
        return "\n".join([out.getvalue().rstrip("\n"), "", self.head(), *self.notes])

    __str__ = table

    def _repr_html_(self) -> str:
        """A table for a notebook."""
        heads = "".join(f'<th title="{html.escape(each.says)}">{html.escape(each.title)}</th>' for each in self.columns)
        rows = "".join(self._html(row, "td") for row in self.rows) + "".join(
            self._html(row, "th") for row in self.totals
        )
        below = "".join(f"<p>{html.escape(each)}</p>" for each in (self.head(), *self.notes))
        caption = f"<caption>{html.escape(self.title)}</caption>"
        return f"<table>{caption}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{below}"

    def _html(self, row: Row, tag: str) -> str:
        cells = zip(self.columns, self._cells(row), strict=True)
        align = {"money": "right", "count": "right"}
        return "<tr>" + "".join(
            f'<{tag} style="text-align:{align.get(column.kind, "left")}">{html.escape(text)}</{tag}>'
            for column, text in cells
        ) + "</tr>"  # fmt: skip


def harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def moment(when: datetime) -> str:
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")


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
