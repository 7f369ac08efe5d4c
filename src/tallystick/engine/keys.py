"""Idempotency keys: a key names one intention of the caller, for ever. Said again, it gets its receipt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tallystick.engine.old_receipt import old_receipt
from tallystick.engine.receipt import Command, Receipt
from tallystick.engine.unit_of_work import UnitOfWork
from tallystick.errors import Invalid, KeyReused
from tallystick.masks import quoted
from tallystick.store.rows import CallRow, EntryRow, QueueRow, encode, is_changed


def fingerprint(machine: str, id: str, command: str, args: Mapping[str, object]) -> str:
    """What a key stands for. Secrets are left out: even the digest of a PIN would give it away."""
    return hashlib.sha256(encode([machine, id, command, args]).encode()).hexdigest()


def seen_before(work: UnitOfWork, seen: EntryRow, mark: str) -> tuple[Receipt, CallRow | None]:
    """The receipt of a key that was seen before, and its call if that is unavailable and may be made again."""
    if seen.fingerprint != mark:
        raise KeyReused(str(seen.key), before=f"{seen.command} of {seen.machine} {seen.entity!r}")
    row = (work.changes.calls.get(seen.call) or work.books.call(seen.call)) if seen.call else None
    try:
        receipt = old_receipt(work, seen, row)
    except (LookupError, TypeError, ValueError):
        if row is None or not is_changed(row):
            raise
        raise Invalid(
            f"call {row.id} was changed in the database and cannot be read; verify says what was changed"
        ) from None
    return receipt, row if row is not None and row.state == "unavailable" else None


def same_as_queued(work: UnitOfWork, command: Command, mark: str) -> None:
    """A key of the queue names the command that waits there. Raises KeyReused for another one."""
    queued = work.queue.get(command.key)
    if queued is None:
        return
    if fingerprint(queued.machine, queued.entity, queued.command, kept_args(queued)) != mark:
        raise KeyReused(command.key, before=f"{queued.command} of {queued.machine} {queued.entity!r}")


def kept_args(said: EntryRow | QueueRow) -> Any:
    """The arguments under a key that was seen. Raises Invalid: somebody has changed them in the database."""
    try:
        return json.loads(said.args)
    except ValueError:
        why = "was changed in the database and cannot be read; verify says what was changed"
        raise Invalid(f"what stands under the key {quoted(str(said.key))} {why}") from None
