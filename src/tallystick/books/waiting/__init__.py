"""What waits: for a person (`stuck`), for its time or for a machine (`waiting`), or for nobody at all (old holds).

Everything that is not done is either `stuck` or `waiting`. What `run_due` or `recover` will still try by itself is
`waiting`, and has a time. What they have given up is `stuck`.

Keeps: these lists are read by indexes, however large the books are. What waits for a date of its page may be a million
cards that expire. It is counted by day, and listed page by page.

Read in this order: `kinds` (what there is to see), `looks` (how it is found), `old_holds` (holds of forgotten orders).
"""

from tallystick.books.waiting.kinds import (
    Dated,
    LateAnswer,
    OpenCall,
    Queued,
    Stuck,
    Total,
    Uncovered,
    Waiting,
    total,
)
from tallystick.books.waiting.looks import REACH, about, listed, open_calls, stuck, waiting
from tallystick.books.waiting.old_holds import OldHold, holds_older_than, release

__all__ = [
    "REACH",
    "Dated",
    "LateAnswer",
    "OldHold",
    "OpenCall",
    "Queued",
    "Stuck",
    "Total",
    "Uncovered",
    "Waiting",
    "about",
    "holds_older_than",
    "listed",
    "open_calls",
    "release",
    "stuck",
    "total",
    "waiting",
]
