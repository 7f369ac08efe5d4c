"""One report, asked for: its query, its rows in one look, and whether what has to agree does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import time, timedelta
from typing import Protocol, TypeVar

import attrs

from tallystick.definition.machine import Machines
from tallystick.engine.engine import Engine
from tallystick.engine.sums import Sums
from tallystick.engine.verify.checkpoint import in_books
from tallystick.errors import Invalid, StoreError, nearest
from tallystick.masks import redacted
from tallystick.money import to_text
from tallystick.provider.protocol import Placed
from tallystick.reports.catalogue import DORMANT, SET_ASIDE, STANDS, STOOD, Kept, catalogue, column
from tallystick.reports.orders import order_names
from tallystick.reports.period import Period, When, period
from tallystick.reports.report import NOTHING, Column, Page, Report, Row, rows_from
from tallystick.reports.summed import Tables, can_sum, day_within, standing_once, with_sums
from tallystick.store.protocol import Reading
from tallystick.store.rows import stamp
from tallystick.store.schema.dialect import Dialect
from tallystick.store.schema.view import Parts, literal
from tallystick.store.sums import Standing

Made = TypeVar("Made")
DAYS = (7, 30, 90, 180, 365, 730)  # where an age begins and ends
AGES = ("up to 7 days", "8 to 30 days", "31 to 90 days", "91 to 180 days", "181 to 365 days", "1 to 2 years",
        "over 2 years")  # fmt: skip


HAPPENED = "coalesce(occurred_at, at)"  # as the index has it
MOVED_ON = "the books have moved on since the total was added up; ask for the report again"
TEXTS = ("by", "reason")  # that people write
ORDER = "order"
NO_VIEW = "cannot be read; `tallystick init` makes it, with a role that may make tables, or warns why it cannot be made"
AGE = Column("age", "text", "how old, when this was asked")


class HasEngine(Protocol):
    """Books, of any set of verbs."""

    @property
    def engine(self) -> Engine: ...


@attrs.frozen
class Asked:
    """A report with its moment, and by what it is added up."""

    engine: Engine
    kept: Kept
    period: Period
    by: tuple[str, ...]
    page: Page | None = None  # of what it lists; None: all of it
    tables: Tables | None = None  # kept sums that it is made of; None: it is made of the views

    def report(self) -> Report:
        store = self.engine.store
        try:
            return self._looked(Asked._report, sums=self._can_sum)
        except StoreError as error:
            for view in sorted({*re.findall(r"\bv_[a-z_]+", self._source)}):
                try:
                    with store.reading() as reading:
                        reading.select(f"SELECT 1 FROM {view} LIMIT 0")
                except StoreError:
                    raise StoreError(f"{view}, which this report reads, {NO_VIEW}") from error
            raise

    def _looked(self, make: Callable[[Asked, Reading], Made], *, sums: bool) -> Made:
        """What is made of it in one look; with `sums`, of the kept sums if they are there."""
        if sums:
            return with_sums(
                self.engine, lambda reading, found: make(self._over(reading, found), reading), day_within(self._cuts)
            )
        with self.engine.store.reading() as reading:
            return make(attrs.evolve(self, tables=None), reading)

    def _over(self, reading: Reading, sums: Sums | None) -> Asked:
        if sums is None:
            return attrs.evolve(self, tables=None)
        beside: dict[Standing, list[int]] = {}
        if not self.kept.period:
            assert self.kept.aged is not None
            standing_once(self.engine, reading, sums, self.kept.aged, self._cuts, beside)
        tables = Tables(self._parts, sums, beside, tuple(each[:10] for each in self._cuts))
        return attrs.evolve(self, tables=tables)

    @property
    def _parts(self) -> Parts:
        return Parts(self.engine.machines, Dialect())

    @property
    def _can_sum(self) -> bool:
        """Whether the kept sums can tell it: of whole days, and what stands only as it is now."""
        kept, period = self.kept, self.period
        if kept.summed is None or (kept.listed and not self.by and kept.seen is None) or {*self.by} & {*kept.never}:
            return False
        days = all(each is None or each.time() == time() for each in (period.start, period.before))
        return days and (kept.period or period.before is None) and can_sum(self._parts)

    @property
    def _cuts(self) -> tuple[str, ...]:
        """The moments at which what stands is told apart."""
        days = {*(DAYS if "age" in self.by else ()), *([DORMANT] if self.kept.name == "dormant" else ())}
        return tuple(sorted(stamp(self.period.as_of - timedelta(days=each)) for each in days))

    def _report(self, reading: Reading) -> Report:
        kept = self.kept
        listed = kept.listed and not self.by
        columns = _columns_of(kept) if listed else self._grouped(self._groups)
        found = self._listed(reading) if listed else self._sums(reading, self._groups)
        rest = None
        if self.page is not None and len(found) > self.page.most:
            found, rest = self._cut(found)
        rows = tuple((_without_numbers if listed else _with_ages)(rows_from(columns, found)))
        totals = self._totals(reading, rows, listed)
        notes = [*([self.period.note] if self.period.note else []), *self._notes(reading, rows, totals)]
        names = {each.name for each in columns}
        more = [each for each in self._grouped(("currency",)) if each.name not in names and each.name in _names(totals)]
        return Report(
            kept.name, kept.title, columns, rows, totals, self.period.as_of, verified(reading), tuple(notes),
            start=self.period.start, by=self.by, totalled=tuple(more), rest=rest,
            opens=self._opener(rows if listed else ()),
        )  # fmt: skip

    # SQL

    @property
    def _groups(self) -> tuple[str, ...]:
        return (*dict.fromkeys((*self.kept.group, *(each for each in self.by if each != "currency"))), "currency")

    def _grouped(self, groups: Sequence[str]) -> tuple[Column, ...]:
        keys = [AGE if each == "age" else column(each) for each in groups]
        return (*keys, *(Column(each.name, each.kind, each.says, each.quiet) for each in self.kept.sums))

    def _filled(self, sql: str) -> str:
        """With the moments, and where the provider is told that calls come from."""
        cut = self.period.as_of - timedelta(days=DORMANT)
        placed = self.engine.provider.place if isinstance(self.engine.provider, Placed) else ("", "")
        location, terminal = (f"nullif({literal(each)}, '')" for each in placed)
        ends = (self.period.bound, self.period.first)
        bound, first = (literal(each if self.tables is None else each[:10]) for each in ends)
        return sql.format(
            bound=bound, first=first, dormant=literal(stamp(cut)), location=location, terminal=terminal,
            **(self.tables.filled() if self.tables is not None else {}),
        )  # fmt: skip

    @property
    def _source(self) -> str:
        if self.tables is not None and self.kept.seen is not None:
            return self._filled(self.kept.seen)
        past = self.period.before is not None
        return self._filled(self.kept.then if past and self.kept.then is not None else self.kept.things)

    def _expression(self, group: str) -> str:
        if group != "age":
            return f't."{group}"'
        ages = [(at, stamp(self.period.as_of - timedelta(days=days))) for at, days in enumerate(DAYS)]
        cases = " ".join(f"WHEN t.{self.kept.aged} >= '{since}' THEN {at}" for at, since in ages)
        return f"CASE {cases} ELSE {len(DAYS)} END"

    def _sums(self, reading: Reading, groups: Sequence[str]) -> list[tuple[object, ...]]:
        keys = [self._expression(each) for each in groups]
        numbers = ", ".join(str(at) for at in range(1, len(keys) + 1))
        if self.tables is None:
            source, having = self._source, ""
            sums = [each.sql for each in self.kept.sums]
        else:
            source, having = self._filled(self.kept.summed or ""), "HAVING sum(t.things) <> 0"
            sums = [each.summed or each.sql for each in self.kept.sums]
        shown = ", ".join([*keys, *map(self._filled, sums)])
        return reading.select(f"SELECT {shown} FROM ({source}) t GROUP BY {numbers} {having} ORDER BY {numbers}")

    def _listed(self, reading: Reading) -> list[tuple[object, ...]]:
        """Of a page, one thing more, if there is one."""
        return self._things(reading, most=self.page.most + 1 if self.page is not None else None)

    def _cut(self, found: list[tuple[object, ...]]) -> tuple[list[tuple[object, ...]], tuple[str, ...]]:
        """The things of the page, and the keys of the last of them. Those with the same keys stand on one page."""
        places = [self.kept.columns.index(each) for each in self.kept.order.split(", ")]
        keys = [tuple(str(row[place]) for place in places) for row in found]
        end = max((at for at, key in enumerate(keys[:-1], 1) if key != keys[-1]), default=len(found))
        return found[:end], keys[end - 1]

    def _things(self, reading: Reading, where: Row | None = None, most: int | None = None) -> list[tuple[object, ...]]:
        kept = self.kept
        shown = [f't."{each}_minor"' if each in kept.amounts else f't."{each}"' for each in kept.columns]
        terms, values = [], []
        for name, value in (where or {}).items():
            if name not in kept.groups:
                continue
            value = AGES.index(str(value)) if name == "age" else value
            terms.append(f"{self._expression(name)} IS NULL" if value is None else f"{self._expression(name)} = ?")
            values += [] if value is None else [value]
        if where is not None and kept.period and self.period.start is not None:
            terms.append(f"t.occurred_at >= '{self.period.first}'")
        if where is None and self.page is not None:
            names = [f't."{each}"' for each in kept.order.split(", ")]
            if self.page.after:
                marks = ", ".join("?" * len(names))
                terms += [f"{names[0]} >= ?", f"({', '.join(names)}) > ({marks})"]  # the first by an index
                values += [self.page.after[0], *self.page.after]
            if self.page.above is not None:
                terms.append(f't."{self.page.above}_minor" > 0')
        only = f"WHERE {' AND '.join(terms)}" if terms else ""
        order = ", ".join(f't."{each}"' for each in kept.order.split(", "))
        limit = f" LIMIT {most:d}" if most is not None else ""
        found = reading.select(
            f"SELECT {', '.join(shown)} FROM ({self._source}) t {only} ORDER BY {order}{limit}", values
        )
        return self._masked(reading, found)

    def _masked(self, reading: Reading, found: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
        """The rows, without the number of a card that somebody took for an order's id."""
        if ORDER not in self.kept.columns:
            return found
        at = self.kept.columns.index(ORDER)
        shown = order_names(reading, self.engine.machines, (str(row[at]) for row in found if row[at] is not None))
        return [(*row[:at], shown(str(row[at])), *row[at + 1 :]) if row[at] is not None else row for row in found]

    # What is made of it

    def _totals(self, reading: Reading, rows: tuple[Row, ...], listed: bool) -> tuple[Row, ...]:
        sums = [each for each in self.kept.sums if each.total]
        if listed or not all(each.adds for each in sums):
            found = rows_from(self._grouped(("currency",)), self._sums(reading, ("currency",)))
            return tuple({"currency": row["currency"], **{each.name: row[each.name] for each in sums}} for row in found)
        by_currency: dict[str, list[Row]] = {}
        for row in rows:
            by_currency.setdefault(str(row["currency"]), []).append(row)
        return tuple(
            {"currency": currency, **{each.name: _sum(by_currency[currency], each.name) for each in sums}}
            for currency in sorted(by_currency)
        )

    def _opener(self, single: tuple[Row, ...]) -> Callable[[Row, int | None], Report]:
        def opened(row: Row, most: int | None) -> Report:
            if row in single:
                raise Invalid("this is one thing already, and opens into nothing; its history has all that happened")
            seen = self.kept.seen is not None and self._can_sum
            rows = self._looked(lambda asked, reading: asked._things(reading, row, most), sums=seen)
            found = tuple(_without_numbers(rows_from(_columns_of(self.kept), rows)))
            opened = self._opened(row, found)
            return opened if len(found) != most else attrs.evolve(opened, totals=())

        return opened

    def _opened(self, row: Row, found: tuple[Row, ...]) -> Report:
        kept = self.kept
        total = {"currency": row["currency"], **{name: _sum(found, name) for name in kept.added}}
        which = ", ".join(f"{value or NOTHING}" for name, value in row.items() if name in kept.groups)
        moved = any(name in row and row[name] != total[name] for name in kept.added)
        return Report(
            kept.name, f"{kept.title}: {which}", _columns_of(kept), found, (total,), self.period.as_of, None,
            (MOVED_ON,) if moved else (), start=self.period.start, by=self.by,
        )  # fmt: skip

    def _notes(self, reading: Reading, rows: Sequence[Row], totals: tuple[Row, ...]) -> Iterable[str]:
        first = reading.select(f"SELECT {HAPPENED} FROM entry ORDER BY {HAPPENED} LIMIT 1")
        if not first:
            yield "these books are empty"
        elif self.period.before is not None and self.period.bound <= first[0][0]:
            yield f"the books began later: their first entry is of {first[0][0]}"
        if self.kept.name == "rollforward":
            self._closes((*rows, *totals))
            twice = self._tied(reading, totals)
            if self.period.before is None:
                by = "" if self.tables is None else "by the journal "
                yield f"the closing is what {by}stands on the cards now, to the cent"
            if told := ", ".join(f"{to_text(minor, currency)} {currency}" for currency, minor in sorted(twice.items())):
                yield f"{told} of the closing are on two cards: a replacement is in doubt; liability counts it once"
        if self.kept.name == "trial_balance" and any(row["closing"] for row in totals):
            raise StoreError("the accounts do not add up to nothing; `tallystick verify` says what was changed")

    def _closes(self, rows: Iterable[Row]) -> None:
        """Raise StoreError if opening and figures are not the closing."""
        figures = [each.name for each in self.kept.sums if each.name not in ("opening", "closing")]
        for row in rows:
            rest = int(str(row["closing"])) - sum(int(str(row[name])) for name in ("opening", *figures))
            if rest:
                raise StoreError(
                    f"{to_text(rest, str(row['currency']))} {row['currency']} count in no figure of the machines that "
                    "are open here; open the books with their newest pages"
                )

    def _tied(self, reading: Reading, totals: tuple[Row, ...]) -> Counter[str]:
        """What stands on two cards. Raises StoreError if the movements do not add up to what stands on the cards."""
        found, twice = self._stood(reading) if self.tables is None else self._stood_by_sums(reading)
        closing = {str(row["currency"]): int(str(row["closing"])) for row in totals}
        wrong = [each for each in {**found, **closing} if found[each] != closing.get(each, 0)]
        if wrong:
            stood = "stand" if self.period.before is None else "stood"
            told = "; ".join(
                f"the movements add up to {to_text(closing.get(each, 0), each)} {each}, but "
                f"{to_text(found[each], each)} {each} {stood} on the cards"
                for each in wrong
            )
            raise StoreError(f"{told}; `tallystick verify` says what was changed")
        return twice

    def _stood(self, reading: Reading) -> tuple[Counter[str], Counter[str]]:
        """What stood on cards at the end, and how much of it on a second one."""
        liability = attrs.evolve(self, kept=of(self.engine.machines)["liability"], by=())
        owed = {row["currency"]: row["total"] for row in rows_from(
            liability._grouped(("currency",)), liability._sums(reading, ("currency",)))}  # fmt: skip
        query = "SELECT currency, sum(amount_minor) FROM v_set_aside WHERE counted = 0 AND at < ? GROUP BY currency"
        twice = +Counter({each: int(minor) for each, minor in reading.select(query, (self.period.bound,))})
        found = Counter({str(each): int(str(minor)) for each, minor in owed.items()})
        found.update(twice)
        return found, twice

    def _stood_by_sums(self, reading: Reading) -> tuple[Counter[str], Counter[str]]:
        """The same. What stands now is counted by entity, and apart from what has moved."""
        stood = STANDS if self.period.before is None else STOOD
        found, aside = (
            Counter({currency: int(minor) for currency, minor in reading.select(self._filled(query))})
            for query in (stood, SET_ASIDE)
        )
        return found, +aside


def ask(
    books: HasEngine | Engine, name: str, as_of: When | None, start: When | None, end: When | None, by: Sequence[str],
    page: Page | None = None,
) -> Report:  # fmt: skip
    """Raises Invalid: there is no such report, it has no such `by` or pages, or is not of such a time."""
    engine = books if isinstance(books, Engine) else books.engine
    reports = of(engine.machines)
    if name not in reports:
        raise Invalid(f"{name!r:.60} is no report of these books.{nearest(name, list(reports))}")
    kept = reports[name]
    wanted = tuple(dict.fromkeys([by] if isinstance(by, str) else by))
    for each in wanted:
        if each not in kept.groups:
            known = ", ".join(dict.fromkeys(kept.groups))
            raise Invalid(f"{name} cannot be told by {each!r:.60}; by {known}")
    if start is not None and not kept.period:
        raise Invalid(f"{name} is as of a moment, not of a period; give as_of")
    if page is not None and (wanted or not kept.listed or len(page.after) not in (0, len(kept.order.split(", ")))):
        raise Invalid(f"{name} has no such page: pages are of what a report lists, and go on after the one before")
    return Asked(engine, kept, period(engine.now(), as_of, start, end), wanted, page).report()


def of(machines: Machines) -> dict[str, Kept]:
    """The reports that books with these machines have."""
    parts = Parts(machines, Dialect())
    every = catalogue(tuple(parts.ledger_accounts()), tuple(parts.figures()))
    missing = {"holds", "advanced_holds"} if "payment" not in machines else set()
    missing |= {*every} - {"trial_balance"} if not parts.ledgers else set()
    return {name: kept for name, kept in every.items() if name not in missing}


def _columns_of(kept: Kept) -> tuple[Column, ...]:
    return tuple(column(each, kept.amounts) for each in kept.columns)


def _names(rows: Iterable[Row]) -> set[str]:
    return {name for row in rows for name in row}


def _sum(rows: Iterable[Row], name: str) -> int:
    return sum(int(str(row[name])) for row in rows if row[name] is not None)


def _with_ages(rows: Iterable[Row]) -> Iterable[Row]:
    for row in rows:
        yield {**row, "age": AGES[int(str(row["age"]))]} if "age" in row else row


def _without_numbers(rows: Iterable[Row]) -> Iterable[Row]:
    """What people wrote, without a card number that stands there."""
    for row in rows:
        yield {**row, **{name: redacted(value) for name in TEXTS if isinstance(value := row.get(name), str)}}


def verified(reading: Reading) -> str | None:
    """Up to which entry the books were found clean the last time."""
    checkpoint, _ = in_books(reading)
    return f"entry {checkpoint.entries} of {checkpoint.at}" if checkpoint is not None else None
