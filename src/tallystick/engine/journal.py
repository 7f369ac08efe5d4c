"""The step "write": what a plan changes is written down, to be sent to the store at the end of the transaction."""

from __future__ import annotations

from tallystick.core import resolve
from tallystick.core.entity import Entity, Plan, Ref, Request
from tallystick.engine.receipt import FOLLOWS
from tallystick.engine.unit_of_work import UnitOfWork
from tallystick.masks import quoted
from tallystick.moment import later
from tallystick.store.rows import QueueRow, Stamp, encode, entry_row, is_changed, is_later, moved_on


def write_down(work: UnitOfWork, plan: Plan, stamp: Stamp, *, first: bool) -> tuple[str, ...]:
    """Entries, entities and follow-ups; the keys of those that are due. `first`: the first entry carries the key."""
    changes, machines = work.changes, work.machines
    for entry, entity in zip(plan.entries, plan.entities, strict=True):
        kept = entry_row(entry, entity, stamp, first=first)
        changes.entries.append(kept)
        if first:
            work.keyed[stamp.key] = kept
        first = False
        ref = entity.ref
        changes.entities[ref] = work.world[ref] = entity
        if entry.facts:
            unique = machines[entity.machine].unique
            if unique is not None and entry.facts.get(unique) is not None:
                work.given.setdefault((entity.machine, entry.facts[unique]), []).append(ref)
        if machines.at(entity.machine, entity.machine_version).states[entity.state].final:
            _withdraw_waiting(work, entity, stamp.key)
        if machines.readers(entity.machine):
            _try_again(work, entity)
    keys: list[str] = []
    for request in plan.then:
        key = f"{stamp.key}{FOLLOWS}{request.command}"
        key = key if key not in keys else f"{key}{len(keys) + 1}"
        keys.append(key)
        machine = work.machines.at(request.machine, work.world[request.machine, request.id].machine_version)
        work.queue[key] = work.changes.queue[key] = QueueRow(
            key, request.machine, request.id, request.command,
            encode(resolve.kept(machine, request.command, request.args)), _due(work, request),
            by=stamp.by, reason=stamp.reason, cause=stamp.key,
            occurred_at=None if request.due or request.after else stamp.occurred_at,
        )  # fmt: skip
    return tuple(key for key in keys if not is_later(work.queue[key], work.at))


def _due(work: UnitOfWork, request: Request) -> str:
    """When a follow-up is due: at the time that its page gives, never before now."""
    due = max(request.due or work.at, work.at)
    return later(due, request.after) if request.after else due


def _withdraw_waiting(work: UnitOfWork, entity: Entity, key: str) -> None:
    """An entity that has ended takes along the commands that wait for it and that nothing will answer any more.

    A person hears of one that is owed, because somebody relies on it. One that somebody has changed in the database is
    left alone, for a person to see.
    """
    machine = work.machines.at(entity.machine, entity.machine_version)
    there = {row.key: row for row in work.books.waiting(*entity.ref)} | work.changes.queue
    for row in there.values():
        mine = (row.machine, row.entity) == entity.ref and row.state == "waiting" and row.key != key
        if mine and not is_changed(row) and (entity.state, row.command) not in machine.table:
            why = f"{entity.machine} {quoted(entity.id)} is {entity.state} since {quoted(key)}"
            owed = row.cause is not None and row.command in machine.commands and machine.commands[row.command].owed
            if owed:
                why = f"{row.command}, which follows {quoted(str(row.cause))}, was not done: {why}"
            work.enqueue(moved_on(row, state="refused" if owed else "withdrawn", why=why))


def _try_again(work: UnitOfWork, entity: Entity) -> None:
    """Patient commands that were refused by what stood on an entity are due again as soon as that has changed."""
    for reader in work.machines.readers(entity.machine):
        refs: list[Ref] = []
        if reader.part and entity.facts.get(reader.fact) is not None:
            refs = [(reader.machine, str(entity.facts[reader.fact]))]
        elif not reader.part and entity.state in reader.states:
            refs = [each.ref for each in work.books.linked(reader.machine, reader.fact, entity.id)]
        for ref in refs:
            rows = {row.key: row for row in work.books.waiting(*ref)} | work.changes.queue
            for row in rows.values():
                refused = row.state == "waiting" and row.attempts and row.due > work.at and not is_changed(row)
                if refused and (row.machine, row.entity) == ref and _is_patient(work, row):
                    work.enqueue(moved_on(row, due=work.at, attempts=0))


def _is_patient(work: UnitOfWork, row: QueueRow) -> bool:
    entity = work.world.get((row.machine, row.entity))
    machine = work.machines.at(row.machine, entity.machine_version) if entity else work.machines[row.machine]
    return row.command in machine.commands and machine.commands[row.command].patient
