"""One command, end to end. Store and provider meet here and nowhere else.

    execute      1  begin; the key seen before? the same fingerprint → its receipt, another → KeyReused
                 2  load the entity and what it links to
                 3  decide: an intent, or a refusal, which writes nothing
                 4  write and commit: entries, entities, key, call, queue, in one transaction
                    no call: done. With a call: what it moves stands in `in_doubt` now
                 5  the provider performs the call; no transaction is open
                 6  begin; resolve: confirmed → targets, declined or unavailable → sources, unknown → stays
                 7  write and commit; the receipt
    recover      open calls older than a grace: the provider looks up what became of them; then 6 and 7, the same
    run_due      commands whose time has come are executed with their keys

A local provider's answers are our own books': they are taken between 3 and 4 and nothing is ever in doubt.

Transactions are shared: while one commits, commands of other threads gather and go into the next one together
(group commit). Each is decided on what the one before it left; a refused one leaves nothing.

Two who resolve the same call meet in the store: one writes, the other finds it closed.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

import attrs

from tallystick.entity import CREATE
from tallystick.errors import Invalid, StoreBusy, nearest
from tallystick.machine import Machines
from tallystick.provider import Ambiguous, Call, NotSeen, Outcome, Provider, Result
from tallystick.receipt import FOLLOWS, Answer, Command, Ended, Receipt, checked, stamp
from tallystick.store import CallRow, QueueRow, Store, Transaction
from tallystick.told import call_of
from tallystick.work import Sent, Work

GRACE = timedelta(seconds=60)  # a call younger than this may still be on its way: its caller is waiting for it
ATTEMPTS = 10  # of a queued command while the provider is unavailable (Manhattan Active Omni's default)
BACKOFF = timedelta(seconds=30)  # the first wait; it doubles, up to an hour, with jitter
LONGEST_WAIT = timedelta(hours=1)
BATCH = 1000  # commands in one transaction: past this a commit costs little and a rollback much


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def new_id() -> str:
    return uuid.uuid4().hex


@attrs.define
class _Waiting:
    """What one thread has given to the next transaction, and what came of it."""

    jobs: Sequence[Callable[[Work], Any]]
    commands: Sequence[Command]
    results: list[Any] | None = None
    error: BaseException | None = None


class Engine:
    """Executes commands on entities. Thread-safe; any number of processes may share a store."""

    def __init__(
        self,
        machines: Machines,
        store: Store,
        provider: Provider,
        *,
        clock: Callable[[], datetime] = utc_now,
        ids: Callable[[], str] = new_id,
        random: Random | None = None,
    ) -> None:
        self.store = store
        self.provider = provider
        self.machines = store.machines(machines)
        self._clock = clock
        self._ids = ids
        self._random = random or Random()  # noqa: S311  # jitter only
        self._leading = threading.Lock()
        self._gathering = threading.Lock()
        self._waiting: list[_Waiting] = []

    # Commands

    def execute(
        self,
        machine: str,
        id: str,
        command: str,
        args: Mapping[str, object] | None = None,
        *,
        key: str,
        by: str | None = None,
        reason: str | None = None,
        due: datetime | None = None,
        connection: Any = None,
    ) -> Receipt:
        """Execute a command once, however often it is sent with this key.

        With `due`, it is queued for then. With `connection`, it takes part in the caller's own transaction; a call
        to the provider that it opens is then sent by `send(receipt.call)` after the caller's commit.

        Raises:
            Invalid, KeyReused: it cannot be considered.
            Refused: the machine says no; nothing was written.
            Declined, Unavailable, InDoubt: how the provider's part ended.
        """
        wanted = Command(machine, id, command, args or {}, key, by, reason, due)
        return self.attempt(wanted, connection=connection).or_raise()

    def attempt(self, command: Command, *, connection: Any = None) -> Receipt:
        """As `execute`, but every answer is a receipt, a refusal too. Raises only Invalid and StoreError."""
        self._considered(command)
        if connection is not None:
            work = self._work(self.store.joined(connection))
            work.load([command])
            receipt, sent = work.command(command, send=False)
            work.write()
            return receipt
        ((receipt, sent),) = self._submit([command], [lambda work: work.command(command)])
        return receipt if sent is None else self._perform(sent)

    def attempt_many(self, commands: Iterable[Command]) -> list[Receipt | Invalid]:
        """Many commands in few transactions, in their order; each answered on its own."""
        results: list[Receipt | Invalid] = []
        wanted = list(commands)
        for start in range(0, len(wanted), BATCH):
            part = wanted[start : start + BATCH]
            rejected = [self._reject(command) for command in part]
            valid = [command for command, invalid in zip(part, rejected, strict=True) if invalid is None]
            done = iter(self._submit(valid, [_job(command) for command in valid]))
            results += [invalid or self._finish(next(done)) for invalid in rejected]
        return results

    def _finish(self, answer: tuple[Receipt, Sent | None] | Invalid) -> Receipt | Invalid:
        if isinstance(answer, Invalid):
            return answer
        receipt, sent = answer
        return receipt if sent is None else self._perform(sent)

    def may(self, machine: str, id: str, command: str, args: Mapping[str, object] | None = None) -> Answer:
        """Whether a command would be taken now, and why not. Writes nothing.

        Raises:
            Invalid: it cannot be considered.
        """
        wanted = Command(machine, id, command, args or {}, key="may")
        self._considered(wanted)
        with self.store.reading() as reading:
            work = self._work(reading)  # type: ignore[arg-type]  # nothing is written
            work.load([wanted])
            return work.preview(wanted)

    def send(self, call: str, secrets: Mapping[str, str] | None = None) -> Receipt:
        """Send a call that was opened in the caller's transaction, once that is committed."""
        return self._send_again(call, sent_before=0, secrets=secrets or {})

    # After the answer, or without one

    def recover(self, grace: timedelta = GRACE) -> list[Receipt]:
        """End what is in doubt, as far as the provider's own record allows; the rest waits for a person.

        Looks at calls that were asked more than `grace` ago. What was surely not seen is sent once more under
        the same id; what carried a secret cannot be, so its value goes back.
        """
        with self.store.reading() as reading:
            rows = reading.calls(asked_before=stamp(self._clock() - grace))
        return [self._recover(row) for row in rows]

    def resolve(
        self, call: str, result: str, *, by: str, reason: str, reference: str | None = None, amount: int | None = None
    ) -> Receipt:
        """A person says what became of a call: "confirmed" or "declined", on the evidence in its note.

        Raises:
            Invalid: there is no such call, it is closed already, or `by` or `reason` is missing.
        """
        if result not in (Result.CONFIRMED, Result.DECLINED):
            raise Invalid(f"a person says confirmed or declined, not {result!r}")
        if not by or not reason:
            raise Invalid("who decides (by) and why (reason) has to be said")
        with self.store.reading() as reading:
            row = reading.call(call)
        if row is None or row.state != "open":
            raise Invalid(f"there is no open call {call!r}" + (f": it was {row.state} already" if row else ""))
        outcome = Outcome(Result(result), reference=reference, amount=amount)
        return self._close(call, outcome, by=by, reason=reason)

    def run_due(self, limit: int = BATCH) -> list[Receipt]:
        """Execute queued commands whose time has come, and those they queue, up to `limit` of them."""
        receipts: list[Receipt] = []
        while len(receipts) < limit:
            with self.store.reading() as reading:
                rows = reading.due(stamp(self._clock()), limit - len(receipts))
            if not rows:
                break
            receipts += [self._run(row) for row in rows]
        return receipts

    def follow(self, receipt: Receipt) -> Receipt:
        """Execute what a command has queued to follow at once, and what follows that; the receipt with theirs."""
        if not receipt.follow_ups and not receipt.replayed:
            return receipt
        followed: list[Receipt] = []
        causes = [receipt.key]
        for cause in causes:
            with self.store.reading() as reading:
                rows = reading.following(cause)
            followed += [self._run(row) if row.state == "waiting" else self._ran(row) for row in rows]
            causes += [row.key for row in rows]
        return attrs.evolve(receipt, followed=tuple(followed))

    def _ran(self, row: QueueRow) -> Receipt:
        """What became of a queued command that is not waiting any more."""
        if row.state == "done":
            return self.attempt(_queued_command(row))
        ended = {"declined": Ended.DECLINED, "parked": Ended.UNAVAILABLE}.get(row.state, Ended.REFUSED)
        return Receipt(ended, row.key, row.machine, row.entity, row.command, why=row.why or "", replayed=True)

    def seen(self, key: str) -> Mapping[str, object] | None:
        """The arguments of the command that this key named, if it was seen; amounts in minor units."""
        with self.store.reading() as reading:
            found = reading.keyed([key])
        return json.loads(found[key].args) if key in found else None

    # The provider

    def _perform(self, sent: Sent) -> Receipt:
        return self._close(sent.call.id, self._asked(sent.call), pin=True)

    def _asked(self, call: Call) -> Outcome:
        """Every end of a call as an outcome. Text of a foreign exception may hold a secret: only its type is kept."""
        try:
            return self.provider.perform(call)
        except Exception as error:  # noqa: BLE001  # whatever went wrong, it may have been done
            return Outcome(Result.UNKNOWN, text=f"{type(error).__name__} in provider {self.provider.name}")

    def _close(
        self, call: str, outcome: Outcome, *, pin: bool = False, by: str | None = None, reason: str | None = None
    ) -> Receipt:
        ((receipt),) = self._submit([], [lambda work: work.close(call, outcome, by=by, reason=reason)])
        return attrs.evolve(receipt, pin=outcome.pin) if pin and outcome.pin else receipt  # type: ignore[no-any-return]

    def _recover(self, row: CallRow) -> Receipt:
        if row.attempts == 0:  # opened in a caller's transaction, never sent
            return self._send_again(row.id, sent_before=0)
        call = call_of(row, self._entity_of(row))
        try:
            found = self.provider.look_up(call)
        except Exception as error:  # noqa: BLE001  # not knowing is no answer
            found = Ambiguous(f"{type(error).__name__} while looking it up")
        if isinstance(found, Outcome):
            return self._close(row.id, found)
        if isinstance(found, NotSeen) and (row.secret or row.attempts < 2):
            return self._send_again(row.id, sent_before=row.attempts)
        evidence = found.evidence or "sent twice, and not seen; a person has to look"
        return self._submit([], [lambda work: work.note(row.id, evidence)])[0]  # type: ignore[no-any-return]

    def _send_again(self, id: str, *, sent_before: int, secrets: Mapping[str, str] | None = None) -> Receipt:
        """Send a call that is surely not done, unless somebody else has just done so."""
        with self.store.reading() as reading:
            row = reading.call(id)
        if row is None:
            raise Invalid(f"there is no call {id!r}")
        if row.secret and not secrets:
            text = "not seen by the provider; it carried a secret, so only its caller can send it again"
            return self._close(id, Outcome(Result.UNAVAILABLE, text=text))
        (mine,) = self._submit([], [lambda work: work.claim(id, sent_before)])
        if not mine:
            return self._submit([], [lambda work: work.told(id)])[0]  # type: ignore[no-any-return]
        call = attrs.evolve(call_of(row, self._entity_of(row)), secrets=secrets or {}, attempt=sent_before + 1)
        return self._close(id, self._asked(call), pin=True)

    def _entity_of(self, row: CallRow) -> Any:
        with self.store.reading() as reading:
            return reading.entity(row.machine, row.entity)

    # The queue

    def _run(self, row: QueueRow) -> Receipt:
        try:
            receipt = self.attempt(_queued_command(row))
        except Invalid as error:
            receipt = Receipt(Ended.REFUSED, row.key, row.machine, row.entity, row.command, why=str(error))
        if receipt.result is Ended.REFUSED and receipt.refusal and receipt.refusal.waits:
            later = self._later(row, receipt)  # in the way of a call in flight: that ends, then this goes on
        elif receipt.result is Ended.UNAVAILABLE:
            later = self._later(row, receipt)
        else:
            ended = {Ended.REFUSED: "refused", Ended.DECLINED: "declined"}.get(receipt.result, "done")
            later = attrs.evolve(row, state=ended, attempts=row.attempts + 1, why=receipt.why or None)
        self._submit([], [lambda work: work.queue(later)])
        return receipt

    def _later(self, row: QueueRow, receipt: Receipt) -> QueueRow:
        attempts = row.attempts + 1
        wait = min(BACKOFF * 2 ** min(row.attempts, 20), LONGEST_WAIT) * (0.5 + self._random.random() / 2)
        parked = attempts >= ATTEMPTS
        due = stamp(self._clock() + wait)
        return attrs.evolve(row, attempts=attempts, due=due, why=receipt.why, state="parked" if parked else "waiting")

    # Transactions

    def _work(self, transaction: Transaction) -> Work:
        return Work(self.machines, transaction, self.provider, stamp(self._clock()), self._ids)

    def _submit(self, commands: Sequence[Command], jobs: Sequence[Callable[[Work], Any]]) -> list[Any]:
        """Run jobs in a transaction, shared with whatever other threads gave meanwhile.

        Whoever gets the lead runs all that is waiting; the others find their results when they get it.
        """
        mine = _Waiting(jobs, commands)
        with self._gathering:
            self._waiting.append(mine)
        with self._leading:
            if mine.results is None and mine.error is None:
                with self._gathering:
                    taken, self._waiting = self._waiting, []
                self._lead(taken)
        if mine.error is not None:
            raise mine.error
        assert mine.results is not None
        return mine.results

    def _lead(self, taken: list[_Waiting]) -> None:
        try:
            self._transact(taken)
        except Exception as error:  # noqa: BLE001  # each of those who wait has to hear of it
            if len(taken) == 1 or isinstance(error, StoreBusy):
                for each in taken:
                    each.error = error
                return
            for each in taken:  # one of them is at fault: let it fail alone
                self._lead([each])
        except BaseException:  # this thread is told to stop: another of those who wait leads
            with self._gathering:
                self._waiting[:0] = taken
            raise

    def _transact(self, taken: list[_Waiting]) -> None:
        with self.store.transaction() as transaction:
            work = self._work(transaction)
            work.load([command for each in taken for command in each.commands])
            results = [[_tried(job, work) for job in each.jobs] for each in taken]
            work.write()
        for each, result in zip(taken, results, strict=True):
            if len(result) == 1 and isinstance(result[0], Invalid):
                each.error = result[0]
            else:
                each.results = result

    # Names

    def _considered(self, command: Command) -> None:
        checked(command)
        machine = self.machines.get(command.machine)
        if machine is None:
            hint = nearest(str(command.machine), list(self.machines))
            raise Invalid(f"there is no machine {command.machine!r}.{hint}")
        if command.command != CREATE and command.command not in machine.commands:
            hint = nearest(str(command.command), [CREATE, *machine.commands])
            raise Invalid(f"{machine.name} has no command {command.command!r}.{hint}")
        if command.due is not None and command.command == CREATE:
            raise Invalid("create cannot be deferred")

    def _reject(self, command: Command) -> Invalid | None:
        try:
            self._considered(command)
        except Invalid as error:
            return error
        return None


def _queued_command(row: QueueRow) -> Command:
    return Command(row.machine, row.entity, row.command, json.loads(row.args), row.key, row.by, row.reason)


def _job(command: Command) -> Callable[[Work], Any]:
    return lambda work: work.command(command)


def _tried(job: Callable[[Work], Any], work: Work) -> Any:
    """An invalid command is an answer of its own and no reason to undo the others."""
    try:
        return job(work)
    except Invalid as error:
        return error


__all__ = ["FOLLOWS", "Engine"]
