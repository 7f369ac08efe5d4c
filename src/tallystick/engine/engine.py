"""One command, end to end. Store and provider meet here and nowhere else.

Everything that the engine does is one of four short lists of the same steps:

    a command is executed     lock  decide  write  ·  perform  ·  lock  resolve  write  ·  receipt
    a call is resolved                                           lock  resolve  write  ·  receipt
    a queued command resumes  lock  decide  write  ·  perform  ·  lock  resolve  write  ·  receipt  (· put off)
    a call is recovered       look up   ·  (mark sent  ·  perform)  · lock  resolve  write  ·  receipt

    lock      the entity and all that it links to, then read them, the key and what waits      `steps.transact`
    decide    the key seen before? its receipt. Else the core's intent, or a refusal           `steps.execute`
    write     entries, entities, key, call, queue: one transaction; what a call moves is `in_doubt`   `journal`
    perform   the provider is asked; no transaction is open                                    `ask_provider`
    resolve   confirmed → targets; declined or unavailable → sources; unknown → stays          `end_call`
    receipt   what became of the command                                                       `old_receipt`

Without a call a list ends after its first write. With a local provider our own books have the answer: it is taken
between decide and write, and nothing is ever in doubt. If two processes resolve the same call, one writes and the other
finds the call closed. A process that has slept between write and perform marks the call as sent anew, unless another
process has done that meanwhile; then it does not send.

Before our books refuse for want of money, a remote provider is asked once what is there, and they decide again. What an
answer says of a balance is posted beside its resolve. See `balances`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from random import Random
from typing import Any, TypeGuard

import attrs

from tallystick.core.entity import CREATE, Ref
from tallystick.definition.machine import Machines
from tallystick.engine import owner, steps
from tallystick.engine.balances import Balances, resolving
from tallystick.engine.calls import ask_provider, by_hand, changed, end_call, recovery
from tallystick.engine.calls.ask_provider import OnPin
from tallystick.engine.group_commit import GroupCommit
from tallystick.engine.migrate import Migration
from tallystick.engine.pin_policy import PinPolicy, Pins
from tallystick.engine.preview import preview, preview_all
from tallystick.engine.queue.batch import Batch
from tallystick.engine.queue.drain import Drain
from tallystick.engine.queue.queue import Queue, next_try
from tallystick.engine.queue.roots import grouped
from tallystick.engine.queue.threads import run_in_threads, thread_count
from tallystick.engine.receipt import Answer, Command, Ended, Receipt, about_what_exists, checked
from tallystick.engine.sealing import READABLE, Numbers, from_books
from tallystick.engine.unit_of_work import Guard, Job, guarded
from tallystick.errors import Invalid, NotFound, nearest
from tallystick.money import Money
from tallystick.provider.protocol import Able, Call, Outcome, Provider, Reason, Repeating, Result
from tallystick.store.protocol import Store
from tallystick.store.rows import CallRow, is_changed, stamp

GRACE = timedelta(seconds=60)  # a younger call may still be on its way, and its caller is waiting for it
PROMPT = timedelta(seconds=5)  # a call is sent this soon after it was written down; if not, it is written down again
BATCH = 1000  # commands in one transaction: with more, a commit saves little and a rollback costs much

utc_now = partial(datetime.now, timezone.utc)


def new_id() -> str:
    return os.urandom(16).hex()


class Engine:
    """Executes commands on entities. Thread-safe. Any number of processes may share a store."""

    store: Store  # where everything is kept
    provider: Provider  # who performs calls
    machines: Machines  # with every version that the store knows
    numbers: Numbers  # how card numbers stand in the books: readable or sealed
    queue: Queue  # commands that wait
    drain: Drain  # the same for a fleet of processes
    balances: Balances  # asks the provider what is available
    migration: Migration  # moves entities to a newer version of their page
    on_pin: OnPin | None  # gets the id of a card and the PIN that was drawn for it

    def __init__(
        self,
        machines: Machines,
        store: Store,
        provider: Provider,
        *,
        clock: Callable[[], datetime] = utc_now,
        ids: Callable[[], str] = new_id,
        random: Random | None = None,
        on_pin: OnPin | None = None,
        numbers: Numbers = READABLE,
        pin_policy: PinPolicy = "optional",
    ) -> None:
        """`on_pin` gets the id of a card and its PIN whenever a provider draws one through this engine."""
        self.store, self.provider, self.numbers = store, provider, numbers
        self.machines = store.machines(machines)
        self.on_pin = on_pin
        numbers.bind(store, self.machines)
        later = partial(next_try, clock, random or Random())  # noqa: S311  # jitter only
        self._clock = clock
        self._context = steps.Context(
            self.machines, numbers, clock, ids, later, provider, Pins(pin_policy, provider, numbers),
            owner.Gate(provider), isinstance(provider, Able),
        )  # fmt: skip
        self._commits = GroupCommit(store, partial(steps.transact, self._context))
        batch = Batch(self._executing)
        self.queue = Queue(self.machines, store, self._commits, self._execute, batch, provider.local, clock)
        self.drain = Drain(self.machines, store, self._commits, batch, self._execute, clock)
        self.balances = Balances(self.machines, store, self._commits, numbers, provider)
        self.migration = Migration(self.machines, store, self._commits)

    # A command is executed

    def execute(
        self, machine: str, id: str, command: str, args: Mapping[str, object] | None = None, *, key: str,
        by: str | None = None, reason: str | None = None, due: datetime | None = None,
        occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Execute a command once, however often it is sent with this key.

        With `due`, it is queued for then. `occurred_at`: when it happened, if that was before now. With `connection`,
        it takes part in the caller's own transaction; if it asks a remote provider, its receipt is pending, and
        `send(receipt.call)` asks after the caller's commit.

        Raises:
            Invalid, KeyReused: it cannot be considered.   NotFound: there is no such machine or entity.
            Refused: the machine says no; nothing was written.
            Declined, Unavailable, InDoubt: how the provider's part ended.
        """
        wanted = Command(machine, id, command, args or {}, key, by, reason, due, occurred_at=occurred_at)
        receipt = self.try_execute(wanted, connection=connection)
        return receipt if connection is not None and receipt.result is Ended.PENDING else receipt.or_raise()

    def try_execute(self, command: Command, *, connection: Any = None) -> Receipt:
        """As `execute`, but every answer is a receipt, a refusal too. Raises only Invalid and StoreError."""
        self._consider(command)
        if connection is None:
            return self._execute(command)
        return self.join([command], connection)

    def join(self, commands: Sequence[Command], connection: Any) -> Receipt:
        """Commands in the caller's own transaction, all of them or none; the receipt of the last, or of the refused.

        Raises only Invalid and StoreError.
        """
        for command in commands:
            self._consider(command)
        jobs = [self._executing(command, send=False) for command in commands]

        try:
            receipt: Receipt = self.store.run(partial(steps.all_or_none, self._context, jobs), connection=connection)
        except steps.Undone as undone:
            return undone.receipt
        return receipt

    def try_execute_many(self, commands: Iterable[Command]) -> list[Receipt | Invalid]:
        """Execute many commands in order, each with an answer of its own. With a local provider in few transactions."""
        wanted = list(commands)
        if not self.provider.local:
            return [_or_invalid(self.try_execute, command) for command in wanted]
        results: list[Receipt | Invalid] = []
        for start in range(0, len(wanted), BATCH):
            part = wanted[start : start + BATCH]
            rejected = [_or_invalid(self._consider, command) for command in part]
            valid = [command for command, invalid in zip(part, rejected, strict=True) if invalid is None]
            jobs = [self._executing(command) for command in valid]
            done = iter(self._commits.submit(jobs))
            answers = [invalid or next(done) for invalid in rejected]
            results += [answer if isinstance(answer, Invalid) else answer[0] for answer in answers]
        return results

    def _execute(self, command: Command, guard: Guard | None = None) -> Receipt:
        receipt, call = self._commits.one(self._executing(command, guard=guard))
        if receipt.refusal is not None and self.balances.hear_about(receipt.refusal):
            receipt, call = self._commits.one(self._executing(command, guard=guard))
        return receipt if call is None else self._perform(call)

    def may(self, machine: str, id: str, command: str, args: Mapping[str, object] | None = None) -> Answer:
        """Whether a command would be taken now, and why not. Writes nothing.

        With the facts of an entity that does not exist yet, the answer is as if it were created with them: currency and
        texts may be left out.

        Raises:
            Invalid: it cannot be considered.   NotFound: there is no such machine or entity.
        """
        wanted = Command(machine, id, command, args or {}, key="may")
        self._consider(wanted)
        with self.store.reading() as reading:
            return about_what_exists(preview(self._context, reading, wanted, partial(self._refs, facts=True)))

    def may_all(self, commands: Sequence[Command]) -> Answer:
        """Whether commands would be taken now, one after the other, each with what follows it; of the first no, why.

        The provider is taken to confirm what it is asked; commands whose keys were seen are done. Writes nothing.

        Raises:
            Invalid: one of them cannot be considered.   NotFound: it names something that does not exist.
        """
        for command in commands:
            self._consider(command)
        with self.store.reading() as reading:
            return about_what_exists(preview_all(self._context, reading, commands, self._refs))

    def seen(self, key: str) -> Mapping[str, object] | None:
        """The arguments of the command that this key named, if it was seen or waits, as the books have them."""
        if not _is_name(key):
            return None
        with self.store.reading() as reading:
            found = reading.keyed([key]).get(key) or reading.queued([key]).get(key)
        return from_books(json.loads(found.args)) if found is not None else None

    def now(self) -> datetime:
        """The moment by this engine's clock."""
        return self._clock()

    def run_due(self, limit: int = BATCH, workers: int = 1) -> list[Receipt]:
        """Execute up to `limit` commands that are due, with so many `workers` if the provider is a remote one."""
        return self.queue.run_due(limit, thread_count(workers, self.provider))

    # Its call is performed, and resolved

    def send(self, call: str, secrets: Mapping[str, str] | None = None) -> Receipt:
        """Send a call that was opened in the caller's transaction, once that is committed.

        Raises:
            NotFound: there is no such call.   Invalid: it carries a secret, and none is given.
        """
        row = by_hand.call_named(self.store, call)
        if row.attempts or row.state != "open":
            return self._told(row.id)
        if is_changed(row):
            return changed.told(row)
        if row.secret and not secrets:
            raise Invalid(f"call {call} carries a secret, which is not stored: give it again")
        return self._send_again(row, secrets or {})

    def resolve(
        self, call: str, result: str, *, by: str, reason: str, reference: str | None = None,
        amount: Money | str | None = None, number: str | None = None,
    ) -> Receipt:  # fmt: skip
        """A person says what became of a call, on the evidence in its note.

        "confirmed"; "declined", and that was its end; or "unavailable": surely not done, and may be sent again. Of a
        closed call: "dismissed", once its late answer was dealt with.

        Raises:
            NotFound: there is no such call.
            Invalid: it is closed already, `by` or `reason` is missing, or somebody has changed what it would move.
        """
        by_hand.named(by, reason)
        row = by_hand.call_named(self.store, call)
        if result == by_hand.DISMISSED:
            dismissed: Receipt = self._commits.one(end_call.dismissing(row.id, by=by, reason=reason))
            return dismissed
        if row.state == "open" and is_changed(row):
            self._commits.one(changed.checking(row))
        outcome = by_hand.outcome(row, result, reference=reference, amount=amount, number=number)
        return self._resolve(row.id, outcome, by=by, reason=reason)

    def _perform(self, call: Call) -> Receipt:
        """Ask the provider, unless this process has slept since it wrote that down, and another has taken over."""
        if not self._is_prompt(call):
            claimed = self._commits.one(end_call.marking_sent(call.id, _attempt(call), again=False))
            if claimed is None:
                return self._told(call.id)
            call = attrs.evolve(call, asked_at=datetime.fromisoformat(claimed.asked))
        outcome = Outcome(Result.UNAVAILABLE, text="nothing was sent, as our own store took too long")
        if self._is_prompt(call):
            outcome = ask_provider.performed(self.provider, self.numbers, call, self.on_pin)
        return self._resolve(call.id, outcome, attempt=_attempt(call), heard=True)

    def _is_prompt(self, call: Call) -> bool:
        """Whether the call is so young that nobody takes it for forgotten. After a clock was set: no."""
        assert call.asked_at is not None
        return -PROMPT < self._clock() - call.asked_at < PROMPT

    def _resolve(self, call: str, outcome: Outcome, **more: Any) -> Receipt:
        receipt: Receipt = self._commits.one(resolving(call, outcome, provider=self.provider, **more))
        if outcome.reason is Reason.INSUFFICIENT_FUNDS and outcome.available is None:
            self.balances.hear_after(call)
        return attrs.evolve(receipt, pin=outcome.pin) if outcome.pin and receipt.applied else receipt

    def _told(self, call: str) -> Receipt:
        receipt: Receipt = self._commits.one(end_call.telling(call))
        return receipt

    # A call is recovered

    def recover(self, grace: timedelta = GRACE, workers: int = 1) -> list[Receipt]:
        """End what is in doubt, as far as the provider's own record allows. The rest waits for a person.

        Looks at calls that were sent more than `grace` ago. A call that was surely not seen, or that the provider does
        only once, is sent once more with the same id. With a secret it cannot be sent again, so its value goes back.
        `workers`: as for `run_due`.
        """
        try:
            asked_before = stamp(self._clock() - grace)
        except (TypeError, OverflowError):
            raise Invalid(f"grace is a timedelta, such as timedelta(minutes=1), not {grace!r:.60}") from None
        owner.check(self.store, self.provider)
        with self.store.reading() as reading:
            rows, left_alone = changed.left_alone(reading, reading.calls(asked_before=asked_before))
            groups = grouped(reading, self.machines, [(row, row.refs) for row in rows], workers)
        ended = run_in_threads([map(self.recover_one, group) for group in groups], thread_count(workers, self.provider))
        return [*ended, *left_alone]

    def recover_one(self, row: CallRow) -> Receipt:
        """End one open call, as `recover` does, however young it is."""
        if is_changed(row):
            return changed.told(row)
        found: Any = recovery.NEVER_SENT
        call = self._known(row)
        if row.attempts:
            found = ask_provider.looked_up(self.provider, self.numbers, call)
        repeats = isinstance(self.provider, Repeating) and self.provider.may_repeat(call)
        match recovery.next_step(row, call, found, repeats=repeats):
            case recovery.End(outcome, in_record):
                return self._resolve(row.id, outcome, attempt=(row.attempts, row.asked), found=in_record)
            case recovery.SendAgain(evidence):
                return self._send_again(row, {}, evidence if row.attempts else "")
            case recovery.Wait(evidence, later):
                receipt: Receipt = self._commits.one(end_call.noting(row.id, evidence, unclear=not later))
                return receipt

    def _send_again(self, row: CallRow, secrets: Mapping[str, str], evidence: str = "") -> Receipt:
        """Send a call that is surely not done, unless somebody else has just done so."""
        attempt = (row.attempts, row.asked)
        claimed = self._commits.one(end_call.marking_sent(row.id, attempt, again=True, evidence=evidence))
        if not isinstance(claimed, CallRow):
            return claimed or self._told(row.id)
        return self._perform(attrs.evolve(self._known(claimed), secrets=secrets))

    def _known(self, row: CallRow) -> Call:
        """A call with all that our books know of its card."""
        with self.store.reading() as reading:
            return recovery.known(reading, self.machines, row)

    # What a command names

    def _executing(self, command: Command, *, send: bool = True, guard: Guard | None = None) -> Job:
        """The job that executes a command. It gives a receipt, and the call to send after the commit, if any."""
        do = partial(steps.execute, provider=self.provider, command=command, send=send)
        job = Job(do, self._refs(command), [command.key])
        return job if guard is None else guarded(job, guard)

    def _refs(self, command: Command, *, facts: bool = False) -> list[Ref]:
        """The entities that a command names. Which arguments are links is the same in all versions that have them.

        `facts`: the facts of its entity are among the arguments, or may be.
        """
        found: list[Ref] = [(command.machine, command.id)]
        naming = self.machines.naming(command.machine, command.command, facts=facts or command.command == CREATE)
        for name, machine in naming:
            if _is_name(value := command.args.get(name)):
                found.append((machine, value))
        return found

    def _consider(self, command: Command) -> None:
        checked(command)
        if command.command not in self.machines.commands(command.machine):
            versions = self.machines.versions(command.machine)
            if not versions:
                raise NotFound("machine", command.machine, list(self.machines))
            if command.command != CREATE:
                hint = nearest(command.command, [CREATE, *versions[-1].commands])
                raise Invalid(f"{command.machine} has no command {command.command!r}.{hint}")
        if command.due is not None and command.command == CREATE:
            raise Invalid("create cannot be deferred")


def _is_name(given: object) -> TypeGuard[str]:
    """Whether it can be the name of anything: what cannot be printed cannot always be written down either."""
    return isinstance(given, str) and given.isprintable()


def _attempt(call: Call) -> end_call.Attempt:
    """Which sending of a call this is."""
    assert call.asked_at is not None
    return call.attempt, stamp(call.asked_at)


def _or_invalid(deed: Callable[[Command], Receipt | None], command: Command) -> Any:
    """The result, or the Invalid: an invalid command is no reason to give up the others."""
    try:
        return deed(command)
    except Invalid as error:
        return error
