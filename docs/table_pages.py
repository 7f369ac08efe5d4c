"""The tables of new books, with every column, for reference/tables.md: read from a database that is made for it."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import tallystick
from machine_pages import cell, code, table

# Column by column, what stands there. A column without a sentence is an error, so nothing new is left out.
EVERY = {  # of every machine's table
    "id": "The entity's own name, such as a card's.",
    "state": "Where it is in its machine.",
    "revision": "How many entries it has.",
    "machine_version": "The version of the page that it lives by.",
    "currency": "Of all its amounts; points have a name of their own.",
    "in_doubt": "Sent to the provider, answer not known. Minor units.",
    "calls": "How many of its calls are open.",
    "changing": "The call that will change its state, if one is open.",
    "hash": "Of its newest entry.",
    "created": "When its first entry happened, in UTC.",
    "updated": "When its newest one was.",
}
COMMON = {
    "entry": ("The journal: one row for everything that ever happened. No row is changed or deleted.", {
        "seq": "Its number: later entries have higher ones.", "machine": "Of whose entity it is.",
        "entity": "The entity's id.", "revision": "Of the entity after it; with machine and id it names the entry.",
        "machine_version": "Of the page it was written by.", "transition": "Which row of the page fired.",
        "command": "The command that it answered.",
        "phase": "`done` at once; or `asked`, and later `confirmed`, `declined` or `unavailable`.",
        "from_state": "Before; nothing at creation.", "to_state": "After it.",
        "args": "JSON: the arguments, without PINs.", "postings": "JSON: [source, target, minor units] of each move.",
        "facts": "JSON: facts that it set.", "after": "JSON: each account after it, in minor units.",
        "currency": "Of its amounts.", "call": "The call that it asked for, or that ended.",
        "key": "The caller's key, on the first entry of a command.", "cause": "That key, on the others.",
        "fingerprint": "Tells another intention under the same key apart.", "by": "Who gave the command.",
        "reason": "Why.", "at": "When it was written, in UTC.",
        "occurred_at": "When it happened, where somebody has said so; else nothing, and `at` counts.",
        "hash": "SHA-256 over it and the entity's entry before.",
    }),
    "call": ("Calls to the provider: open ones, and how the others ended.", {
        "id": "Its own id; the provider is told it.", "key": "Of the command that made it.",
        "verb": "What the provider is asked to do.", "machine": "Of the entity that asked.", "entity": "Its id.",
        "currency": "Of its amount.", "args": "JSON: what the provider is told, without secrets.",
        "steps": "JSON: what was set aside, and what follows each answer.",
        "secret": "Whether it has a PIN, which is not kept.", "state": "`open`, or how it ended.",
        "attempts": "How often it was sent.", "opened": "When it was made.", "asked": "When it was sent last.",
        "closed": "When it ended.", "outcome": "JSON: the provider's answer.", "note": "What a look-up found.",
        "takes": "A card number that it will give, so that no other call takes it.",
        "unclear": "Whether a person has to decide.", "claims": "The provider's transaction that it has claimed.",
        "late": "JSON: an answer that came after its end and says otherwise.", "hash": "Over the row.",
    }),
    "queue": ("Commands that wait: for their time, for what they follow, or for a person.", {
        "key": "Of the command.", "machine": "Of its entity.", "entity": "Its id.", "command": "Its name.",
        "args": "JSON: its arguments.", "due": "When it is tried next.", "attempts": "How often it was tried.",
        "state": "`waiting`, `done`, or why it is not tried any more.", "why": "What stood in its way.",
        "by": "Who gave it.", "reason": "Why.", "cause": "The key of the command that it follows.",
        "note": "What a person said of it.", "hash": "Over the row.",
        "occurred_at": "Of what follows a command at once: when that happened, where somebody has said so.",
    }),
    "machine": ("Every version of every page that these books have seen.", {
        "name": "Of the machine.", "version": "Of the page.", "digest": "Of its behaviour; wording does not count.",
        "definition": "The page itself.", "seen": "When the books were first opened with it.",
    }),
    "transition": ("What pages declare, so that the database can refuse an entry that is no step of a page.", {
        "machine": "Its name.", "machine_version": "Of the page.", "name": "Of the transition.",
        "command": "That it answers.", "phase": "As in `entry`.", "from_state": "Before.", "to_state": "After.",
    }),
    "shared": ("Short texts: whose books they are, whether sealed, leases, circuit breaker, cursors, the checkpoint.", {
        "name": "What it is.", "value": "Its text.", "until": "When it is over, in seconds since 1970.",
    }),
}  # fmt: skip


def tables() -> str:
    """Each table with its columns, as in SQLite."""
    machines = tallystick.load()
    with tempfile.TemporaryDirectory() as folder:
        tallystick.open(f"sqlite:///{folder}/books.db").close()
        with closing(sqlite3.connect(Path(folder) / "books.db")) as books:
            names = [name for (name,) in books.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            columns = {
                name: [(column, kind) for _, column, kind, *_ in books.execute(f"PRAGMA table_info({name})")]
                for name in names
                if not name.startswith(("sqlite_", "_"))
            }
    parts = []
    for name in [*machines, *COMMON]:
        if name in machines:
            machine = machines[name]
            says = f"{machine.summary} [Its page](../machines/{name}.md)."
            known = {**{each.name: each.says for each in machine.facts.values()}, **EVERY}
            known |= {each.name: f"{each.says} Minor units." for each in machine.accounts.values()}
        else:
            says, known = COMMON[name]
        rows = [[code(column), kind.lower(), cell(known[column]) or "–"] for column, kind in columns.pop(name)]
        parts.append(f"## {name}\n\n{says}\n\n{table(('column', 'type', 'what stands there'), rows)}")
    assert not columns, f"say what stands in {', '.join(columns)}"
    return "\n".join(parts)
