"""What shows that entries were removed: how many there were, and the hash of them all, when `verify` was there before.

The hash of an entry shows a change, and a revision that is left out shows a removed entry, as long as a later one is
there. If somebody removes the last entries of an entity and sets its row back, or removes an entity with all of its
entries, the rest fits together. So `verify` reads the journal once more, in the order of the commits. At the number of
entries that a checkpoint names, the hash has to be that of the checkpoint. Entries that come later never change it.

A checkpoint stands in the books themselves. Whoever can remove entries can write another checkpoint too. So it shows
what went wrong by itself, such as half of a backup, and a forger who does not know of it. For all others the checkpoint
that `verify` prints has to be kept where they cannot write, and given to a later `verify`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

import attrs

from tallystick.engine.verify.report import Checkpoint, Finding, Replaced, Report
from tallystick.errors import Invalid, StoreError
from tallystick.store.protocol import Reading, Store, Transaction

NAME = "checkpoint"  # of the shared text that is kept in the books
REPLACED = "checkpoints replaced"  # another one: who put a new checkpoint there, and why
ABOUT_IT = ("checkpoint", "removed")  # findings that say no more than that the books do not fit a checkpoint
PAGE = 1000  # entries in one look


@attrs.frozen
class Walked:
    """The whole journal in the order of the commits, and what is wrong with it."""

    checkpoint: Checkpoint | None  # now; None: there is no entry
    findings: Sequence[Finding]


def walked(reading: Reading, before: Sequence[Checkpoint], *, gapless: bool) -> Walked:
    """Read the journal through, beside earlier checkpoints. `gapless`: a number that is left out was an entry."""
    try:
        return _walk(reading, before, gapless=gapless)
    except StoreError as error:  # such as of a server that counts its transactions anew
        why = f"it cannot be read in the order of the commits, so what was removed is not known: {error}"
        return Walked(None, [Finding("order", "the journal", why)])


def _walk(reading: Reading, before: Sequence[Checkpoint], *, gapless: bool) -> Walked:
    digest = hashlib.sha256()
    count, last, cursor, at = 0, 0, None, ""
    found: list[Finding] = []
    ahead = sorted(before, key=lambda each: each.entries)
    while True:
        most = min(PAGE, ahead[0].entries - count) if ahead else PAGE
        rows, after = reading.tail(cursor, most) if most else ([], cursor)
        for row in rows:
            digest.update(row.hash.encode())
            if gapless and row.seq != last + 1:
                found.append(_gap(last + 1, row.seq - 1))
            last, at = row.seq, row.at
        count, cursor = count + len(rows), after
        while ahead and count == ahead[0].entries:
            mark = ahead.pop(0)
            if digest.hexdigest() != mark.digest:
                found.append(_removed(reading, mark))
        if most and not rows:
            break
    found += [_removed(reading, mark) for mark in ahead]
    return Walked(Checkpoint(count, digest.hexdigest(), at, cursor) if count and cursor else None, found)


def _gap(first: int, last: int) -> Finding:
    if first == last:
        return Finding("missing", f"entry {first}", "it is missing from the journal")
    return Finding("missing", f"entries {first} to {last}", "they are missing from the journal")


def _removed(reading: Reading, mark: Checkpoint) -> Finding:
    """What is said where the entries of a checkpoint are not there any more."""
    everything = sum(1 for _ in _after(reading, None))
    there = everything - sum(1 for _ in _after(reading, mark.cursor))
    where = f"checkpoint at entry {mark.entries} of {mark.at}"
    if there < mark.entries:
        count = "1 entry" if mark.entries - there == 1 else f"{mark.entries - there} entries"
        return Finding("removed", where, f"at least {count} of those that stood in the journal then are gone")
    return Finding("removed", where, "the entries that stood in the journal then are not those that stand there now")


def _after(reading: Reading, cursor: str | None) -> Iterator[str]:
    """The hashes of the entries after a cursor; none if it lies behind them all."""
    while True:
        try:
            rows, cursor = reading.tail(cursor, PAGE)
        except Invalid:  # that of an entry that is gone
            return
        if not rows:
            return
        yield from (row.hash for row in rows)


def in_books(reading: Reading) -> tuple[Checkpoint | None, list[Finding]]:
    """The checkpoint that stands in the books, and what is wrong with it."""
    text = reading.shared(NAME)
    if text is None:
        return None, []
    try:
        return Checkpoint.read(text), []
    except Invalid:
        why = "it was changed, so it does not show what was removed; what an earlier verify has printed still does"
        return None, [Finding("checkpoint", "the checkpoint in the books", why)]


def replaced(reading: Reading) -> tuple[tuple[Replaced, ...], list[Finding]]:
    """The checkpoints that were replaced by hand, and what is wrong with that record."""
    try:
        return Replaced.read(reading.shared(REPLACED)), []
    except Invalid as error:
        return (), [Finding("checkpoint", "the checkpoint in the books", str(error))]


def replace(store: Store, report: Report, *, by: str, reason: str, at: str) -> None:
    """Put the checkpoint of these books in place of one that they do not fit, once it is known why they do not.

    Who did it, why, and what the old one had shown stays in the books, and in every later report.

    Raises:
        Invalid: nothing is wrong with the checkpoint; something else is wrong, which a new one must not cover; another
            one was put there meanwhile.
    """
    other = sorted({each.code for each in report.findings if each.code not in ABOUT_IT})
    if other or report.checkpoint is None:
        raise Invalid(f"a new checkpoint would cover what else is wrong: {', '.join(other) or 'there is no entry'}")
    if report.clean:
        raise Invalid("these books fit their checkpoint, and have a new one now: there is nothing to replace")
    found = tuple(str(each) for each in report.findings)
    record, text = [*report.replaced, Replaced(at, by, reason, report.replaces, found)], str(report.checkpoint)

    def job(transaction: Transaction) -> None:
        before, kept = transaction.shared(REPLACED), json.dumps([attrs.asdict(each) for each in record])
        same = Replaced.read(before) == report.replaced
        if not (same and transaction.swap(REPLACED, before, kept) and transaction.swap(NAME, report.replaces, text)):
            raise Invalid("another verify has put a checkpoint there meanwhile: verify again")

    store.run(job)


def keep(store: Store, report: Report) -> bool:
    """Keep the checkpoint of clean books, in place of the one that stood there. Whether it stands there now.

    Where anything was found, the earlier one has to stay: it is what shows it. If somebody else has verified the books
    meanwhile, theirs stays. Who may only read the database cannot keep one.
    """
    if not report.clean or report.checkpoint is None:
        return False
    text = str(report.checkpoint)
    try:
        return text == report.replaces or store.swap(NAME, report.replaces, text)
    except StoreError:
        return False
