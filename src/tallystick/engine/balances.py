"""What the provider says of a balance is believed: the difference is posted by the page's own command `observe`.

Other channels use the same cards. So an answer that states a balance is taken in, and before our own books refuse for
want of money, or after the provider has, it is asked once. A page takes part by its command `observe` with `balance`.

A balance is as of the moment when it was told. It is believed only if nothing has happened to its entity in our books
since before the question, and if nothing of it is in doubt. What is not believed is no loss: the next one is.
"""

from __future__ import annotations

import hashlib
from typing import Any

import attrs

from tallystick.core.decide import decide
from tallystick.core.entity import Entity, Ref, Request
from tallystick.core.refusal import Refusal
from tallystick.definition.machine import Machine, Machines
from tallystick.engine import steps, uniqueness
from tallystick.engine.calls import end_call
from tallystick.engine.calls.ask_provider import card_facts, observed
from tallystick.engine.group_commit import GroupCommit
from tallystick.engine.receipt import Command, Receipt
from tallystick.engine.sealing import Numbers
from tallystick.engine.unit_of_work import Job, UnitOfWork
from tallystick.money import Money
from tallystick.provider.protocol import Observer, Outcome, Provider, Unread
from tallystick.store.protocol import Store
from tallystick.store.rows import CallRow

OBSERVE, BALANCE = "observe", "balance"  # the command of a page, and its argument
HEARD = "heard"  # how the keys of what is posted here begin


# An answer states it


def resolving(
    id: str, outcome: Outcome, *, provider: Provider, attempt: end_call.Attempt | None = None, **more: Any
) -> Job:
    """The job that ends a call with its outcome, and believes the balance in it; `more` as `resolve_call` has it."""
    told = outcome.available

    def do(work: UnitOfWork) -> Receipt:
        row = (work.changes.calls.get(id) or work.books.call(id)) if told is not None else None
        before = work.world.get((row.machine, row.entity)) if row is not None else None
        receipt = end_call.resolve_call(work, id, outcome, provider=provider.name, attempt=attempt, **more)
        if told is None or row is None or before is None or attempt != (row.attempts, row.asked):
            return receipt
        if _differs(work, before.ref, told) and _is_fresh(work, row, before.revision):
            _post(work, provider, before.ref, told, id, f"the answer to {row.verb}, call {id}")
        return receipt

    return Job(do, call=id)


def _differs(work: UnitOfWork, ref: Ref, balance: int) -> bool:
    """Whether the page would move something for this balance. While a call is open, nobody knows."""
    entity = work.world[ref]
    if entity.calls or not _can_observe(work.machines.at(entity.machine, entity.machine_version)):
        return False
    intent = decide(work.machines, Request(*ref, OBSERVE, {BALANCE: balance}, work.at), work.world)
    return not isinstance(intent, Refusal) and any(intent.steps[0].amounts)


def _is_fresh(work: UnitOfWork, row: CallRow, revision: int) -> bool:
    """Whether nothing else happened to the card since it was asked, nor was there a call on another balance of it."""
    entries = (work.keyed[row.key], *work.books.caused(row.key))
    asked = [each.revision for each in entries if each.call == row.id and each.phase == "asked"
             and (each.machine, each.entity) == (row.machine, row.entity)]  # fmt: skip
    refs = uniqueness.balances_of(row, work.world[row.machine, row.entity], work.machines, work.having)
    calls = {each.id: each for ref in refs for each in work.books.calls_on(*ref)}
    calls |= {id: each for id, each in work.changes.calls.items() if (each.machine, each.entity) in refs}
    meanwhile = (each for each in calls.values() if each.id != row.id and not (each.closed or "~") <= row.asked)
    return max(asked, default=0) == revision and not any(meanwhile)


def _post(work: UnitOfWork, provider: Provider, ref: Ref, balance: int, named: str, reason: str) -> Receipt:
    """Its key has one length. An entity has each revision once, so it has each key once."""
    entity = work.world[ref]
    key = f"{HEARD}/{hashlib.sha256(named.encode()).hexdigest()[:32]}/{entity.revision}"
    command = Command(*ref, OBSERVE, {BALANCE: Money(balance, entity.currency)}, key, reason=reason)
    return steps.execute(work, provider, command, send=False)[0]


# The provider is asked


@attrs.frozen(eq=False, repr=False)
class Balances:
    """Asks a remote provider for balances, outside any transaction."""

    _machines: Machines
    _store: Store
    _commits: GroupCommit
    _numbers: Numbers
    _provider: Provider

    def hear_about(self, refusal: Refusal, asked: set[Ref] | None = None) -> bool:
        """Ask for the balance that a refusal is about, unless it was `asked`. Whether our books have another now."""
        while refusal.cause is not None:
            refusal = refusal.cause
        ref = refusal.machine, refusal.id
        if ref in (asked or ()) or not _looks_at_balance(self._machines, refusal):
            return False
        if asked is not None:
            asked.add(ref)
        return self.hear(*ref)

    def hear_after(self, call: str) -> None:
        """Ask once for the balance of the entity that a call was about."""
        with self._store.reading() as reading:
            row = reading.call(call)
        if row is not None:
            self.hear(row.machine, row.entity)

    def hear(self, machine: str, id: str) -> bool:
        """Ask once what is available on an entity. Whether our books have another balance now."""
        return bool(self.heard(machine, id))

    def heard(self, machine: str, id: str) -> bool | None:
        """As `hear`; None, if nobody could tell: no remote provider, it is not reached, or something is in doubt."""
        if self._provider.local or not isinstance(self._provider, Observer):
            return None
        with self._store.reading() as reading:
            entity = reading.entity(machine, id)
        if entity is None or entity.calls or not card_facts(entity).number:
            return None
        found = observed(self._provider, self._numbers, card_facts(entity), history=False)
        if isinstance(found, Unread) or not found.known:
            return None
        return self.believe(entity, found.available, f"provider {self._provider.name} was asked what is on it")

    def believe(self, entity: Entity, balance: int, reason: str) -> bool:
        """Post a balance that was told about an entity as it was read before. Whether anything was posted.

        Nothing is, if something has happened to it since then: the balance may be older than that.
        """

        def do(work: UnitOfWork) -> bool:
            now = work.world[entity.ref]
            fresh = now.revision == entity.revision and _differs(work, entity.ref, balance)
            return fresh and _post(work, self._provider, entity.ref, balance, repr(entity.ref), reason).applied

        posted: bool = self._commits.one(Job(do, [entity.ref]))
        return posted

    def observe(self, command: Command, revision: int) -> Receipt | None:
        """Give somebody's `observe`, unless its entity has moved on from this revision: then None, and nothing is."""

        def do(work: UnitOfWork) -> Receipt | None:
            entity = work.world.get((command.machine, command.id))
            if entity is None or entity.revision != revision:
                return None
            return steps.execute(work, self._provider, command, send=False)[0]

        receipt: Receipt | None = self._commits.one(Job(do, [(command.machine, command.id)], [command.key]))
        return receipt


def _can_observe(machine: Machine) -> bool:
    command = machine.commands.get(OBSERVE)
    return command is not None and list(command.arguments) == [BALANCE] and not (command.driven or command.signed)


def _looks_at_balance(machines: Machines, refusal: Refusal) -> bool:
    """Whether a guard is not true for want of what `observe` may change: the part that fails looks at its account."""
    found = [row for each in machines.versions(refusal.machine) if _can_observe(each) for row in each.rows.values()]
    moved = {name for row in found if OBSERVE in row.transition.commands for line in row.lines for name in line}
    failed = {(each.transition, each.failed) for each in refusal.candidates}
    looked = {name for row in found for part, _ in row.conjuncts if (row.name, part.source) in failed
              for name in part.names}  # fmt: skip
    return refusal.by_amounts and refusal.command != OBSERVE and bool(looked & moved)
