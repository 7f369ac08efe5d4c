"""A CSV file as it comes out of spreadsheets and old systems: read line by line, strictly, each fault at its line.

The separator is what the head uses: a comma, a semicolon or a tab. A byte order mark, CRLF and quotes are read. A line
with a fault says what it is, and the next one goes on. A quote that runs over the end of its line is a fault, so that
one bad quote does not swallow the rest of the file.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator

from tallystick.books.bulk import BulkLine
from tallystick.errors import Invalid, nearest
from tallystick.masks import redacted

SEPARATORS = (",", ";", "\t")
LONGEST = 100_000  # characters of a line: what is longer is no list of cards


def read(
    lines: Iterable[bytes], known: Collection[str], needed: Collection[str] = (), encoding: str = "utf-8"
) -> Iterator[BulkLine]:
    """The lines below the head. `known`: the columns that may be there, `needed` those that must.

    Raises:
        Invalid: the head names a column that is not known or lacks one; the file is empty, or in another encoding.
    """
    texts = _decoded(lines, encoding)
    number, head = next(((number, text) for number, text in texts if text.strip()), (0, ""))
    if not head:
        raise Invalid("the file is empty: its first line names the columns")
    separator = max(SEPARATORS, key=head.count)
    columns = [_name(each) for each in _split(head, separator) or ()]
    _check(columns, known, needed, number)
    for number, text in texts:
        if text.strip(f" {separator}"):
            yield _line(number, text, separator, columns)


def _decoded(lines: Iterable[bytes], encoding: str) -> Iterator[tuple[int, str]]:
    try:
        "".encode(encoding)
    except LookupError:
        raise Invalid(f"there is no encoding {encoding!r}; utf-8 and latin-1 are two") from None
    for number, raw in enumerate(lines, 1):
        if number == 1 and raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise Invalid("the file is UTF-16; save it as CSV UTF-8")
        raw = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
        if b"\x00" in raw:
            raise Invalid(f"line {number} has a zero byte: this is no text")
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError as error:
            why = f"byte {error.start + 1} is not {encoding}"
            hint = "; --encoding latin-1 reads what older systems write" if encoding == "utf-8" else ""
            raise Invalid(f"line {number}: {why}{hint}") from None
        yield number, text.rstrip("\r\n")


def _split(text: str, separator: str) -> list[str] | None:
    """The fields of a line; None if its quotes do not end."""
    try:
        (fields,) = csv.reader([text], delimiter=separator, strict=True)
    except (csv.Error, ValueError):
        return None
    return fields


def _name(written: str) -> str:
    return "_".join(written.strip().lower().replace("-", " ").split())


def _check(columns: list[str], known: Collection[str], needed: Collection[str], line: int) -> None:
    if "pin" in columns:
        raise Invalid("a PIN is kept nowhere: leave its column out of the file")
    for name in columns:
        if name not in known:
            hint = f"{nearest(name, list(known))} Known: {', '.join(dict.fromkeys(known))}"
            raise Invalid(f"line {line}: {redacted(name)!r:.60} is no column.{hint}")
        if columns.count(name) > 1:
            raise Invalid(f"line {line}: the column {name!r} is there twice")
    missing = [name for name in needed if name not in columns]
    if missing:
        raise Invalid(f"line {line}: there is no column {', '.join(map(repr, missing))}")


def _line(number: int, text: str, separator: str, columns: list[str]) -> BulkLine:
    if len(text) > LONGEST:
        return BulkLine(number, fault=f"it is longer than {LONGEST:,} characters")
    values = _split(text, separator)
    if values is None:
        return BulkLine(number, fault="a quote does not end in this line")
    if len(values) != len(columns):
        return BulkLine(number, fault=f"it has {len(values)} fields, the head has {len(columns)}")
    fields = {name: value.strip() for name, value in zip(columns, values, strict=True)}
    return BulkLine(number, {name: value for name, value in fields.items() if value})
