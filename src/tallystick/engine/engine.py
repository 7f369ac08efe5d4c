"""One command, end to end. Store and provider meet here and nowhere else.

    execute      1  begin; the key seen before? the same fingerprint → its receipt, another → KeyReused
                 2  load the entity and what it links to
                 3  decide: an intent, or a refusal, which writes nothing
                 4  write and commit: entries, entities, key, call, queue, in one transaction
                    no call: done. With a call: what it moves stands in `in_doubt` now
                 5  the provider performs the call; no transaction is open. A process that has slept since 4 writes
                    down anew that it sends, or finds that another has
                 6  begin; resolve: confirmed → targets, declined or unavailable → sources, unknown → stays
                 7  write and commit; the receipt
    recover      open calls older than a grace: the provider looks up what became of them; then 6 and 7, the same
    run_due      commands whose time has come are executed with their keys

A local provider's answers are our own books': they are taken between 3 and 4 and nothing is ever in doubt.

Two who resolve the same call meet in the store: one writes, the other finds it closed.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from itertools import islice
from random import Random
from typing import Any

import attrs

from tallystick.core.entity import CREATE
from tallystick.definition.machine import Machines
from tallystick.engine import by_hand, end_call, steps
from tallystick.engine.group_commit import Job, SharedCommits, or_invalid
from tallystick.engine.old_receipt import call_of, hand_on, ids_of, readable, same_card
from tallystick.engine.receipt import Answer, Command, Ended, Receipt, checked, stamp
from tallystick.engine.sealing import READABLE, Numbers, kept
from tallystick.engine.unit_of_work import Unit
from tallystick.errors import Invalid, nearest, quoted
from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Provider, Result
from tallystick.provider.verbs import REPEATABLE
from tallystick.store.protocol import Store, Transaction
from tallystick.store.rows import CallRow, QueueRow

GRACE = timedelta(seconds=60)  # a call younger than this may still be on its way: its caller is waiting for it
PROMPT = timedelta(seconds=5)  # a call is sent this soon after it was written down, or is written down anew
ATTEMPTS = 10  # of a queued command while the provider is unavailable (Manhattan Active Omni's default)
BACKOFF = timedelta(seconds=30)  # the first wait; it doubles, up to an hour, with jitter
LONGEST_WAIT = timedelta(hours=1)
PATIENCE = 40  # attempts of a follow-up while amounts are in its way: about a month, then a person looks
PATIENT_WAIT = timedelta(days=1)
BATCH = 1000  # commands in one transaction: past this a commit costs little and a rollback much


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def new_id() -> str:
    return uuid.uuid4().hex


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
        on_pin: Callable[[str, str], object] | None = None,
        numbers: Numbers = READABLE,
    ) -> None:
        """`on_pin` is told the id of a card and the PIN that a provider has drawn for it, whichever process asked."""
        self.store, self.provider, self.numbers = store, provider, numbers
        self.machines = store.machines(machines)
        numbers.bind(store, self.machines)
        self._clock, self._ids = clock, ids
        self._random = random or Random()  # noqa: S311  # jitter only
        self._commits = SharedCommits(store, self._unit)
        self.on_pin = on_pin

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
        return self.try_execute(wanted, connection=connection).or_raise()

    def try_execute(self, command: Command, *, connection: Any = None) -> Receipt:
        """As `execute`, but every answer is a receipt, a refusal too. Raises only Invalid and StoreError."""
        self._consider(command)
        if connection is None:
            return self._attempt(command)
        with self.store.joined(connection) as transaction:
            unit = self._unit(transaction)
            receipt, _ = steps.work(unit, self.provider, command, send=False)
            unit.write()
        return receipt

    def try_execute_many(self, commands: Iterable[Command]) -> list[Receipt | Invalid]:
        """Many commands in their order, each answered on its own; with a local provider in few transactions."""
        wanted = list(commands)
        if not self.provider.local:
            return [or_invalid(self.try_execute, command) for command in wanted]
        results: list[Receipt | Invalid] = []
        for start in range(0, len(wanted), BATCH):
            part = wanted[start : start + BATCH]
            rejected = [or_invalid(self._consider, command) for command in part]
            valid = [command for command, invalid in zip(part, rejected, strict=True) if invalid is None]
            done = iter(self._commits.submit([self._job(command) for command in valid], valid))
            answers = [invalid or next(done) for invalid in rejected]
            results += [answer if isinstance(answer, Invalid) else answer[0] for answer in answers]
        return results

    def _attempt(self, command: Command) -> Receipt:
        receipt, call = self._commits.one(self._job(command), [command])
        return receipt if call is None else self._perform(call)

    def _job(self, command: Command) -> Job:
        return lambda unit: steps.work(unit, self.provider, command)

    def may(self, machine: str, id: str, command: str, args: Mapping[str, object] | None = None) -> Answer:
        """Whether a command would be taken now, and why not. Writes nothing.

        Raises:
            Invalid: it cannot be considered.
        """
        wanted = Command(machine, id, command, args or {}, key="may")
        self._consider(wanted)
        with self.store.reading() as reading:
            return steps.preview(self._unit(reading), wanted)  # type: ignore[arg-type]  # nothing is written

    def send(self, call: str, secrets: Mapping[str, str] | None = None) -> Receipt:
        """Send a call that was opened in the caller's transaction, once that is committed.

        Raises:
            Invalid: there is no such call, or it carries a secret and none is given.
        """
        row = self._row(call)
        if row.attempts or row.state != "open":
            return self._now(call)
        if row.secret and not secrets:
            raise Invalid(f"call {call} carries a secret, which is not stored: give it again")
        return self._send_again(row, secrets or {})

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
        self, call: str, result: str, *, by: str, reason: str, reference: str | None = None,
        amount: int | None = None, number: str | None = None,
    ) -> Receipt:  # fmt: skip
        """A person says what became of a call, on the evidence in its note.

        "confirmed"; "declined", and that was its end; or "unavailable": surely not done, and may be sent again.

        Raises:
            Invalid: there is no such call, it is closed already, or `by` or `reason` is missing.
        """
        by_hand.named(by, reason)
        outcome = by_hand.outcome(self._row(call), result, reference=reference, amount=amount, number=number)
        return self._close(call, outcome, by=by, reason=reason)

    def dismiss(self, key: str, *, by: str, reason: str) -> QueueRow:
        """A person has seen a queued command that was refused, declined or parked: it is laid aside.

        Raises:
            Invalid: nothing like that waits under this key, or `by` or `reason` is missing.
        """
        by_hand.named(by, reason)
        return self._commits.one(lambda unit: by_hand.dismiss(unit, key, by, reason))  # type: ignore[no-any-return]

    def again(self, key: str, *, by: str, reason: str) -> Receipt:
        """A person has a queued command that was refused or parked tried again, now, and later as if it were new.

        Raises:
            Invalid: nothing like that waits under this key, or `by` or `reason` is missing.
        """
        by_hand.named(by, reason)
        return self._run(self._commits.one(lambda unit: by_hand.again(unit, key, by, reason)))

    def run_due(self, limit: int = BATCH) -> list[Receipt]:
        """Execute queued commands whose time has come, each with what follows it at once, up to `limit` of them."""
        receipts: list[Receipt] = []
        while len(receipts) < limit:
            with self.store.reading() as reading:
                rows = reading.due(stamp(self._clock()), limit - len(receipts))
            if not rows:
                break
            receipts += islice(self._run_all(row.key for row in rows), limit - len(receipts))
        return receipts

    def follow(self, receipt: Receipt) -> Receipt:
        """Execute what a command has queued to follow at once, and what follows that; the receipt with theirs."""
        followed = tuple(self._run_all(receipt.follow_ups))
        return attrs.evolve(receipt, followed=followed) if followed else receipt

    def _run_all(self, keys: Iterable[str]) -> Iterator[Receipt]:
        """Execute what waits under these keys, each with what follows it, before the next."""
        for key in keys:
            receipt = self.run_queued(key)
            yield receipt
            yield from self._run_all(receipt.follow_ups)

    def run_queued(self, key: str) -> Receipt:
        """Execute what waits in the queue under this key, due or not; what became of it, if it waits no more.

        Raises:
            Invalid: nothing was ever queued under this key.
        """
        with self.store.reading() as reading:
            row = reading.queued([key]).get(key)
        if row is None:
            raise Invalid(f"nothing is queued under the key {quoted(key)}")
        return self._run(row) if row.state == "waiting" else self._ran(row)

    def _ran(self, row: QueueRow) -> Receipt:
        """What became of a queued command that is not waiting any more."""
        if row.state == "done":
            return self._attempt(_queued_command(row))
        ended = {"declined": Ended.DECLINED, "parked": Ended.UNAVAILABLE}.get(row.state, Ended.REFUSED)
        return Receipt(ended, row.key, row.machine, row.entity, row.command, why=row.why or "", replayed=True)

    def seen(self, key: str) -> Mapping[str, object] | None:
        """The arguments of the command that this key named, if it was seen; amounts in minor units."""
        with self.store.reading() as reading:
            found = reading.keyed([key])
        return json.loads(found[key].args) if key in found else None

    # The provider

    def _perform(self, call: Call) -> Receipt:
        """Ask, unless this process has slept since it wrote down that it would, and another has taken over."""
        if not self._is_prompt(call):
            claimed = self._claim(call.id, end_call.as_of(call), again=False)
            if claimed is None:
                return self._now(call.id)
            call = attrs.evolve(call, asked_at=datetime.fromisoformat(claimed.asked))
        slow = Outcome(Result.UNAVAILABLE, text="nothing was sent, as our own store took too long")
        outcome = self._asked(call) if self._is_prompt(call) else slow
        return self._close(call.id, outcome, as_of=end_call.as_of(call))

    def _is_prompt(self, call: Call) -> bool:
        """Whether nobody can think yet that a call was forgotten. A clock that was set says nothing, so: no."""
        assert call.asked_at is not None
        return -PROMPT < self._clock() - call.asked_at < PROMPT

    def _asked(self, call: Call) -> Outcome:
        """Every end of a call as an outcome. Text of a foreign exception may hold a secret: only its type is kept."""
        try:
            outcome = self.numbers.perform(self.provider, call)
        except Exception as error:  # noqa: BLE001  # whatever went wrong, it may have been done
            return Outcome(Result.UNKNOWN, text=f"{type(error).__name__} in provider {self.provider.name}")
        hand_on(self.on_pin, call, outcome)
        return readable(outcome) or Outcome(Result.UNKNOWN, text="the provider's answer cannot be kept")

    def _close(self, call: str, outcome: Outcome, **more: Any) -> Receipt:
        receipt: Receipt = self._commits.one(lambda unit: end_call.close(unit, call, outcome, **more))
        return attrs.evolve(receipt, pin=outcome.pin) if outcome.pin and receipt.applied else receipt

    def _recover(self, row: CallRow) -> Receipt:
        if row.attempts == 0 and not row.secret:  # opened in a caller's transaction, never sent
            return self._send_again(row, {})
        found: Any = self._looked_up(row) if row.attempts else NotSeen("it was never sent")
        if isinstance(found, Outcome):
            return self._close(row.id, found, as_of=(row.attempts, row.asked), found=True)
        if isinstance(found, NotSeen) and row.secret:
            text = "not seen by the provider; it carried a secret, so only its caller can send it again"
            return self._close(row.id, Outcome(Result.UNAVAILABLE, text=text), as_of=(row.attempts, row.asked))
        if isinstance(found, NotSeen) and (row.attempts < 2 or row.verb in REPEATABLE):
            return self._send_again(row, {}, found.evidence)
        evidence = found.evidence or "sent twice, and not seen; a person has to look"
        return self._commits.one(lambda unit: end_call.note(unit, row.id, evidence))  # type: ignore[no-any-return]

    def _looked_up(self, row: CallRow) -> Outcome | NotSeen | Ambiguous:
        try:
            found = self.numbers.look_up(self.provider, self._known(row))
        except Exception as error:  # noqa: BLE001  # not knowing is no answer
            return Ambiguous(f"{type(error).__name__} while looking it up")
        if isinstance(found, NotSeen | Ambiguous):
            return found
        return readable(found) or Ambiguous("what the provider's record says of it cannot be read")

    def _send_again(self, row: CallRow, secrets: Mapping[str, str], evidence: str = "") -> Receipt:
        """Send a call that is surely not done, unless somebody else has just done so."""
        claimed = self._claim(row.id, (row.attempts, row.asked), again=True, evidence=evidence)
        if claimed is None:
            return self._now(row.id)
        return self._perform(attrs.evolve(self._known(claimed), secrets=secrets))

    def _claim(self, call: str, as_of: end_call.AsOf, **more: Any) -> CallRow | None:
        return self._commits.one(lambda unit: end_call.claim(unit, call, as_of, **more))  # type: ignore[no-any-return]

    def _now(self, call: str) -> Receipt:
        return self._commits.one(lambda unit: end_call.now(unit, call))  # type: ignore[no-any-return]

    def _known(self, row: CallRow) -> Call:
        """A call with all that our books know of its card."""
        with self.store.reading() as reading:
            card = reading.entity(row.machine, row.entity)
            assert card is not None
            unique = self.machines[row.machine].unique or ""
            refs = same_card(row, card, self.machines, lambda name, value: reading.linked(name, unique, value))
            others = [each for ref in refs for each in reading.calls_on(*ref) if each.id != row.id]
        claimed = [id for each in others for id in ids_of(each)]
        in_doubt = [call_of(each, card) for each in others if each.state == "open" and each.entity == row.entity]
        return attrs.evolve(call_of(row, card), claimed=claimed, in_doubt=in_doubt)

    def _row(self, call: str) -> CallRow:
        with self.store.reading() as reading:
            row = reading.call(call)
        if row is None:
            raise Invalid(f"there is no call {quoted(call)}")
        return row

    # The queue

    def _run(self, row: QueueRow) -> Receipt:
        """Execute a queued command. What it did to the queue is written with it; a refusal writes nothing, so now."""
        try:
            receipt = self._attempt(_queued_command(row))
        except Invalid as error:
            receipt = Receipt(Ended.REFUSED, row.key, row.machine, row.entity, row.command, why=str(error))
        if receipt.result is Ended.REFUSED:
            self._commits.one(lambda unit: end_call.put_off(unit, row.key, receipt))
        return receipt

    def _later(self, attempts: int, patient: bool) -> tuple[str, str]:
        """State and time of a queued command that was tried so often: the wait doubles, with jitter."""
        most, longest = (PATIENCE, PATIENT_WAIT) if patient else (ATTEMPTS, LONGEST_WAIT)
        wait = min(BACKOFF * 2 ** min(attempts - 1, 20), longest) * (0.5 + self._random.random() / 2)
        return "parked" if attempts >= most else "waiting", stamp(self._clock() + wait)

    # Transactions

    def _unit(self, transaction: Transaction) -> Unit:
        return Unit(self.machines, transaction, stamp(self._clock()), self._ids, self._later, self.numbers)

    # Names

    def _consider(self, command: Command) -> None:
        checked(command)
        versions = self.machines.versions(command.machine)
        if not versions:
            raise Invalid(f"there is no machine {command.machine!r}.{nearest(command.machine, list(self.machines))}")
        if command.command != CREATE and all(command.command not in each.commands for each in versions):
            hint = nearest(command.command, [CREATE, *versions[-1].commands])
            raise Invalid(f"{command.machine} has no command {command.command!r}.{hint}")
        if command.due is not None and command.command == CREATE:
            raise Invalid("create cannot be deferred")


def _queued_command(row: QueueRow) -> Command:
    return Command(row.machine, row.entity, row.command, kept(json.loads(row.args)), row.key, row.by, row.reason)
