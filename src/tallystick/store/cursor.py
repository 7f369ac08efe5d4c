"""Cursors of a store that numbers its entries without gaps, in the order of their commits.

Such a cursor is the number of the last entry that was read. A number beyond the newest entry is of other books, or of
books that were put back to an older copy since. Nobody could say then what its reader has seen.
"""

from __future__ import annotations

from tallystick.errors import Invalid
from tallystick.masks import quoted


def seq_of(cursor: str | None, newest: int) -> int:
    """The number of the last entry that was read; 0 for none. Raises Invalid."""
    if cursor is None:
        return 0
    if not (isinstance(cursor, str) and cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise not_a_cursor(cursor)
    if int(cursor) > newest:
        raise Invalid(f"the cursor {cursor} is of other books: the newest entry of these is {newest}")
    return int(cursor)


def not_a_cursor(given: str) -> Invalid:
    return Invalid(f"{quoted(given)[:60]} is no cursor: give one that `tail` gave, or none to begin at the beginning")
