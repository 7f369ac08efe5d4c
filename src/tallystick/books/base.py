"""What any set of verbs needs: an engine, questions about the books as a whole, and balance checks.

`books` adds the verbs for gift cards. A shop with machines of its own writes its verbs in the same way. Each verb is a
few commands under one key of the caller's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import attrs

from tallystick.core.entity import Entity, Ref
from tallystick.engine.engine import GRACE, Engine, utc_now
from tallystick.engine.owner import Owner, adopt, owner
from tallystick.engine.queue.queue import Queue
from tallystick.engine.receipt import Answer, Answered, Command, Ended, Receipt, Refused
from tallystick.errors import Invalid, KeyReused, NotFound
from tallystick.provider.protocol import Provider

if TYPE_CHECKING:
    from tallystick.books.balance import BalanceAnswer, BalanceDesk, BalanceSettings
    from tallystick.books.feed import Subscriber, Tail
    from tallystick.books.history import Entry
    from tallystick.books.reconciling.differences import Reconciliation
    from tallystick.books.waiting import OldHold, Stuck, Waiting
    from tallystick.engine.verify import Checkpoint, Progress, Report
    from tallystick.money import Money


class _Asked(Exception):
    """A verb that was only asked about ends here, before its first step."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer)


class BaseBooks:
    """Opened books. Thread-safe; close them, or use them in a `with`."""

    engine: Engine  # executes any command of any machine; `engine.queue` has what waits

    def __init__(
        self,
        engine: Engine,
        *,
        balances: BalanceSettings | None = None,
        verify_captcha: Callable[[str, str], bool] | None = None,
        closes: Any = None,
    ) -> None:
        self.engine = engine
        self._balances, self._verify_captcha, self._closes = balances, verify_captcha, closes
        self._desks: dict[str, BalanceDesk] = {}
        self._occurred_at: datetime | None = None  # of the commands of a verb: see `dated`
        self._dry = False  # a verb ends where it has asked for all of its steps: see `would`

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the store (it opens new ones when it is used again) and a provider made for it."""
        self.engine.store.close()
        if hasattr(self._closes, "close"):
            self._closes.close()

    def may(self, /, machine: str, id: str, command: str, **args: object) -> Answer:
        """Whether a command would be taken now, and why not. Writes nothing.

        With its facts, of something that does not exist yet, as if it were created:
        `may("payment", "new", "authorize", card="card-1", amount="60.00")`.

        Raises:
            NotFound: there is no such machine or entity.   Invalid: the command or its arguments cannot be considered.
        """
        return self.engine.may(machine, id, command, args)

    def would(self, verb: Callable[[Self], object]) -> Answer:
        """Whether a whole verb would be taken now; if not, which of its steps says no, and why. Writes nothing.

        `books.would(lambda books: books.replace("card-1", "card-2", key="k"))`. A verb whose key was seen is done.

        Raises:
            Invalid: it is no verb that gives commands, such as `run_due` or `resolve`.
        """
        dry = copy.copy(self)
        dry._dry = True
        try:
            verb(dry)
        except _Asked as asked:
            return asked.answer
        except Refused as refused:
            return Answer(False, refused.receipt.state, refusal=refused.receipt.refusal)
        return Answer(True)

    def _for_real(self, verb: str) -> None:
        """Raises Invalid: this is no verb that can be asked about."""
        if self._dry:
            raise Invalid(f"{verb} gives no commands of its own, so nobody can ask what it would do; nothing was done")

    def history(self, machine: str, id: str) -> list[Entry]:
        """What happened to one entity, oldest first.

        Raises:
            NotFound: there is no such machine or entity.
        """
        from tallystick.books.history import history

        return history(self.engine, machine, id)

    def tail(self, after: str | None = None, limit: int = 1000) -> Tail:
        """Up to `limit` entries of the whole books after a cursor, in the order of their commits, and the next cursor.

        Without a cursor it begins at the first entry. Nothing is missed, whoever writes meanwhile.

        Raises:
            Invalid: `after` is no cursor of these books; `limit` is not from 1 to 1,000.
        """
        from tallystick.books.feed import tail

        return tail(self.engine, after, limit)

    def subscribe(self, name: str, *, begin: str | None = None) -> Subscriber:
        """A reader of the feed whose cursor the books keep: `read`, do your work, `acknowledge`.

        `begin`: the cursor at which a new name begins; without it, at the first entry.

        Raises:
            Invalid: the name is no printable text of at most 200 characters.
        """
        from tallystick.books.feed import subscriber

        return subscriber(self.engine, name, begin)

    @property
    def owner(self) -> Owner | None:
        """The provider that these books belong to, and who has moved them; None as long as nothing is in them."""
        return owner(self.engine.store)

    def adopt_provider(self, provider: Provider, *, by: str, reason: str) -> Owner:
        """Move the books to another provider, which knows the same cards. Open them with it afterwards.

        Raises:
            Invalid: `by` or `reason` is missing, they are its books already, or calls still wait for the former one.
        """
        self._for_real("adopt_provider")
        return adopt(self.engine.store, provider, by=by, reason=reason, at=utc_now())

    def run_due(self, *, workers: int = 1) -> list[Receipt]:
        """Execute queued commands whose time has come: deferred settlements, follow-ups, retries.

        With a remote provider, so many `workers` ask it side by side; commands of one card keep their order.
        """
        self._for_real("run_due")
        return self.engine.run_due(workers=workers)

    @property
    def queue(self) -> Queue:
        """Commands that wait: list, withdraw, reschedule, retry or dismiss them."""
        self._for_real("queue")
        return self.engine.queue

    def send(self, receipt: Receipt, *, pin: str | None = None) -> Receipt:
        """Go on with a receipt of your own transaction, after its commit: ask the provider, do what follows at once.

        A PIN is stored nowhere, so whoever gave one has to give it again. Said twice, it is sent once. What nobody
        sends is sent by `recover`, but for what carries a PIN: its value goes back. What the machines would refuse by
        now, such as a hold on a card that was suspended meanwhile, is not sent: it is `Unavailable`, its value is back.

        Raises:
            Invalid: it was rolled back, or a PIN is missing.
            Declined, Unavailable, InDoubt: how the provider's part ended.
        """
        self._for_real("send")
        if receipt.call is None:
            return self.engine.queue.follow(receipt)
        sent = self.engine.send(receipt.call, {"pin": pin} if pin is not None else None)
        return self.engine.queue.follow(sent.or_raise())

    def recover(self, grace: timedelta = GRACE, *, workers: int = 1) -> list[Receipt]:
        """End what is in doubt, as far as the provider's own record allows."""
        self._for_real("recover")
        return self.engine.recover(grace, workers)

    def resolve(
        self, call: str, result: str, *, by: str, reason: str, reference: str | None = None,
        amount: Money | str | None = None, number: str | None = None,
    ) -> Receipt:  # fmt: skip
        """A person says what became of a call that `stuck` lists: "confirmed", "declined" or "unavailable".

        "dismissed" lays aside a late answer. `reference` is the provider's id of what it did, needed if value moved;
        `amount` what was confirmed, if less than was asked; `number` that of a card that was drawn. A call may be named
        by its first characters.

        Raises:
            NotFound: there is no such call.
            Invalid: it is closed already, or two begin so; `by` or `reason` is missing; what is named is another's.
        """
        self._for_real("resolve")
        return self.engine.resolve(
            call, result, by=by, reason=reason, reference=reference, amount=amount, number=number
        )

    def reconcile(
        self, card: str | None = None, *, apply: bool = False, by: str | None = None, reason: str | None = None
    ) -> Reconciliation:
        """Compare one card, or every card that has a number, with the provider's record. If all agree, it is `clean`.

        With `apply`, by whom and why, differences of balance are posted to `elsewhere`. Holds are never touched.

        Raises:
            NotFound: there is no such card.
            Invalid: it has no number yet, the provider has no record to read, or `by` or `reason` is missing.
        """
        if apply:
            self._for_real("reconcile(apply=True)")
        from tallystick.books.reconciling.reconcile import reconcile

        return reconcile(self.engine, card, apply, by, reason)

    def stuck(self) -> Stuck:
        """What waits for a person, and nothing else, with totals; it is false if nothing does."""
        from tallystick.books.waiting import stuck

        return stuck(self.engine)

    def waiting(self) -> Waiting:
        """What `run_due` and `recover` will still do by themselves, and when it is due.

        What waits for a date of its page, such as cards that expire, is counted by day; `books.queue.waiting` lists it.
        """
        from tallystick.books.waiting import waiting

        return waiting(self.engine)

    def holds_older_than(self, age: timedelta) -> list[OldHold]:
        """Holds in force for longer than `age`, the oldest first: a provider's hold never ends by itself."""
        from tallystick.books.waiting import holds_older_than

        return holds_older_than(self.engine, age)

    def verify(self, *, since: Checkpoint | str | None = None, progress: Progress | None = None) -> Report:
        """Replay the journal and compare everything; `report.findings` is empty if all is well.

        Clean books keep the report's `checkpoint`. It shows the next time if entries were removed. Keep it elsewhere
        too, and give it here as `since`: who can remove entries can remove what stands beside them.

        Args:
            since: a checkpoint of an earlier report, or its text.
            progress: is called with how many entries were replayed, of about how many.

        Raises:
            Invalid: `since` is no checkpoint.
        """
        from tallystick.engine.sums import keep_up
        from tallystick.engine.verify import keep, verify

        report = verify(self.engine.machines, self.engine.store, since=since, progress=progress)
        keep(self.engine.store, report)
        if report.clean:
            keep_up(self.engine.store, self.engine.machines)
        return report

    def balance(
        self, number: str, pin: str | None = None, *, currency: str, client: str, captcha: str | None = None
    ) -> BalanceAnswer:
        """What a card carries, for a customer who must not be able to guess. The provider is asked.

        `client` is whoever stands behind the question, such as an address. See `tallystick.books.balance`.

        Raises:
            Invalid: an argument is no text, or the provider tells no balances.   MoneyError: no such currency.
        """
        desk = self._desks.get(currency)
        if desk is None:
            from tallystick.books.balance import BalanceDesk

            desk = BalanceDesk(self.engine, currency, self._balances, verify_captcha=self._verify_captcha)
            desk = self._desks.setdefault(currency, desk)
        return desk.check(number, pin, client=client, captcha=captcha)

    def __dir__(self) -> list[str]:
        """For completion: the public names."""
        return [name for name in super().__dir__() if not name.startswith("_")]

    # Inside

    def _do(
        self,
        machine: str,
        id: str,
        command: str,
        args: Mapping[str, object],
        key: str,
        by: str | None,
        reason: str | None = None,
        due: datetime | None = None,
        connection: Any = None,
    ) -> Receipt:
        wanted = self._command(machine, id, command, args, key, by, reason, due)
        if self._dry:
            self._ask(wanted)
        if connection is not None:
            return self._join(connection, wanted)
        return self.engine.queue.follow(self.engine.try_execute(wanted).or_raise())

    def _join(self, connection: Any, *commands: Command) -> Receipt:
        """Execute in the caller's own transaction. A remote call is pending, and follow-ups wait for `send`."""
        if self._dry:
            self._ask(*commands)
        receipt = self.engine.join(commands, connection)
        return receipt if receipt.result is Ended.PENDING else receipt.or_raise()

    def _give_all(self, *commands: Command) -> Receipt:
        """Ask whether all would be done, then do them, each with what follows at once.

        The receipt of the last, with the PIN that was drawn on the way. Raises Refused: nothing changed.
        """
        self._ask(*commands)
        pin = None
        for number, command in enumerate(commands, 1):
            with self._drawn(pin):
                receipt = self.engine.queue.follow(self.engine.try_execute(command).or_raise())
            pin = pin or receipt.drawn
            if number < len(commands):
                with self._drawn(pin):
                    for each in self._own_steps(receipt):
                        each.or_raise()
        return attrs.evolve(receipt, pin=receipt.pin or pin)

    @staticmethod
    def _own_steps(receipt: Receipt) -> list[Receipt]:
        """What followed of the same life, such as the rest of a sale. What it set going elsewhere ends by itself.

        A card whose date has passed expires as soon as it is activated: that is no step of who sold or replaced it.
        """
        return [each for each in receipt.followed if each.machine == receipt.machine]

    def _ask(self, *commands: Command) -> None:
        """Raise Refused if one of these would be refused. A verb asks so for all of its steps before the first.

        Raises:
            KeyReused: the key of one of them names another command.
        """
        with self.engine.store.reading() as reading:
            keyed = reading.keyed(
                [each.key for each in commands if isinstance(each.key, str) and each.key.isprintable()]
            )
        for each in commands:
            seen = keyed.get(each.key)
            if seen is not None and (seen.machine, seen.entity, seen.command) != (each.machine, each.id, each.command):
                raise KeyReused(each.key, before=f"{seen.command} of {seen.machine} {seen.entity!r}")
        answer = self.engine.may_all(commands)
        if self._dry:
            raise _Asked(answer)
        asked: set[Ref] = set()  # about each card the provider is asked once
        while answer.refusal is not None and self.engine.balances.hear_about(answer.refusal, asked):
            answer = self.engine.may_all(commands)
        if answer.refusal is None:
            return
        no, first = answer.refusal, commands[0]
        Receipt(Ended.REFUSED, first.key, no.machine, no.id, no.command, no.state, refusal=no, why=no.why).or_raise()

    @contextmanager
    def _drawn(self, pin: str | None) -> Iterator[str | None]:
        """Put a drawn PIN into an error that is raised here. The caller has to get it, because nobody keeps it."""
        try:
            yield pin
        except Answered as error:
            error.receipt = attrs.evolve(error.receipt, pin=error.receipt.pin or pin)
            raise

    def _command(
        self, machine: str, id: str, command: str, args: Mapping[str, object], key: str, by: str | None,
        reason: str | None = None, due: datetime | None = None,
    ) -> Command:  # fmt: skip
        given = {name: value for name, value in args.items() if value is not None}
        return Command(machine, id, command, given, key, by, reason, due, occurred_at=self._occurred_at)

    def _entity(self, machine: str, id: str) -> Entity:
        found = None
        if isinstance(id, str) and id.isprintable():  # nothing else was ever an id
            with self.engine.store.reading() as reading:
                found = reading.entity(machine, id)
        if found is None:
            raise NotFound(machine, str(id))
        return found
