"""Idempotency keys: a key names one intention of the caller, for ever. Said again, it gets its receipt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tallystick.core import arguments, resolve
from tallystick.core.entity import Request
from tallystick.engine.old_receipt import old_receipt
from tallystick.engine.receipt import Command, Receipt
from tallystick.engine.unit_of_work import UnitOfWork
from tallystick.errors import Invalid, KeyReused
from tallystick.masks import quoted
from tallystick.store.rows import CallRow, EntryRow, QueueRow, encode, is_changed


def fingerprint(machine: str, id: str, command: str, args: Mapping[str, object]) -> str:
    """What a key stands for. Secrets are left out: even the digest of a PIN would give it away."""
    return hashlib.sha256(encode([machine, id, command, args]).encode()).hexdigest()


def request_of(work: UnitOfWork, command: Command, *, as_of_now: bool = False) -> tuple[Request | None, str]:
    """The command with typed arguments, and its fingerprint; None if the entity does not exist.

    A key that was seen is read by the version of then, unless it is to be done `as_of_now`.
    """
    entity = work.world.get((command.machine, command.id))
    if entity is None:
        return None, ""
    seen, version = work.keyed.get(command.key), entity.machine_version
    if seen is not None and (seen.machine, seen.entity) == entity.ref and not as_of_now:
        version = seen.machine_version
    machine = work.machines.at(entity.machine, version)
    declared = machine.commands.get(command.command)
    if declared is None:
        why = f"runs on version {machine.version}, which has no command {command.command!r}"
        raise Invalid(f"{machine.name} {entity.id!r} {why}")
    given = _by_provider(work, command, declared.by_provider) if declared.by_provider else command.args
    args = arguments.typed(machine, declared, given, entity.currency, work.numbers.seal)
    kept = resolve.kept(machine, command.command, args)
    mark = fingerprint(command.machine, command.id, command.command, kept)
    return Request(command.machine, command.id, command.command, args, work.at), mark


def _by_provider(work: UnitOfWork, command: Command, flags: Mapping[str, str]) -> Mapping[str, object]:
    """The arguments with the flags that were left out: as the provider can, or as was decided when the key was new."""
    before = work.keyed.get(command.key) or work.queue.get(command.key)
    decided = kept_args(before) if before is not None else {}
    filled = {flag: decided.get(flag, ability in work.abilities) for flag, ability in flags.items()}
    return {**filled, **{name: value for name, value in command.args.items() if value is not None}}


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
