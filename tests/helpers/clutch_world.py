"""A small world of two books: our engine with its store, a sandbox of Clutch, one clock, and a person.

The line between the two can be told how the next change goes wrong, or draws it from a chance; a process can die at
any of its steps. `end` does what an operator's jobs do (recover, run_due) until nothing moves any more, and asks the
person about what is left. The person has what the portal shows: which of our calls is at Clutch, under its own id.

`differences` compares the books by that id, which the look-up itself never sees: what of ours is done there but not
here, what is here but not there, and whether every other difference of a balance is somebody else's movement.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from itertools import count
from random import Random
from typing import Any

import attrs

from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.request_limits import CircuitBreaker, LeakyBucket
from tallystick.clutch.sandbox import CardSet, Sandbox, Settings
from tallystick.clutch.settings import ClutchSettings
from tallystick.clutch.transport import Answer, InProcess
from tallystick.core.entity import Entity
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import FOLLOWS, Command, Ended, Receipt
from tallystick.engine.sealing import READABLE, Numbers
from tallystick.engine.verify import verify
from tallystick.errors import Invalid
from tallystick.money import Money
from tallystick.provider.protocol import Outcome, Provider
from tallystick.provider.verbs import REPEATABLE
from tallystick.store.open import open_store
from tallystick.store.protocol import Store
from tallystick.store.rows import CallRow
from tallystick.testing.referee import ProviderBooks, judge
from tallystick.testing.simulation.dying_store import DyingStore, ProcessDied
from tallystick.testing.store_rows import rows_of

MACHINES = reader.load()
START = datetime(2026, 3, 2, 12, 0, tzinfo=timezone.utc)
SETS: dict[str, int | CardSet] = {"GIFT": 16, "PLASTIC": CardSet(4, physical=True)}
READING = ("search", "cardHistory")

# What a verb is in the sandbox's books.
OPERATION = {
    "allocate": "allocate", "activate": "allocate", "issue": "issue", "hold": "hold", "redeem": "redeem",
    "redeem_hold": "redeem_from_hold", "release_hold": "release", "void": "void", "adjust": "adjustment",
    "suspend": "account", "reinstate": "account", "update_account": "account",
}  # fmt: skip


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def on(self, **by: float) -> None:
        self.now += timedelta(**by)


Fate = Callable[[str], object]  # told where the process is; raises ProcessDied where it dies


def spared(where: str) -> None:
    """Nothing dies."""


class Line:
    """The way to the sandbox. `fault` is for the next change, `reading_fault` for the next read; or both are drawn."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.inner = InProcess(sandbox, read_timeout=0.2)
        self.faults: list[str] = []  # of the next changes, one each
        self.reading_faults: list[str] = []
        self.drawn: Callable[[str, bytes], str | None] | None = None
        self.fate: Fate = spared
        self.doubled: Counter[str] = Counter()  # our call's id: how often Clutch did it twice
        self.sent: list[tuple[str, str]] = []
        self.blind: list[str] = []  # calls that were sent again although they had been done
        self._sandbox = sandbox

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.fate("before sending")
        waiting = self.reading_faults if method in READING else self.faults
        fault = waiting.pop(0) if waiting else self.drawn(method, body) if self.drawn else None
        self.sent.append((method, fault or ""))
        call = headers.get("customRequestId", "")
        if call and not self._sandbox.settings.deduplicate:
            if self._done(call):
                self.blind.append(call)
            if fault and "duplicate" in fault:
                self.doubled[call] += 1
        answer = self.inner.send(method, {**headers, "x-sandbox-fault": fault or "none"}, body)
        self.fate("after sending")
        return answer

    def _done(self, call: str) -> bool:
        """Whether value was moved for a call of ours."""
        done = "select 1 from history where custom_request_id = ? and operation not in ('allocate', 'account')"
        return bool(self._sandbox._ledger.sql(done, (call,)))

    def close(self) -> None: ...


def settings_of(sandbox: Sandbox, url: str = "http://127.0.0.1:1", **more: Any) -> ClutchSettings:
    known = sandbox.credentials
    return ClutchSettings(
        base_url=url, api_key=known.api_key, api_secret=known.api_secret, brand=known.brand, location=known.location,
        terminal=known.terminal, **{"rate": 1e6, "burst": 10**6, "read_timeout": 0.2, "read_pause": 0.0, **more},
    )  # fmt: skip


class World:
    def __init__(
        self,
        *,
        seed: int = 5,
        sandbox: Settings | None = None,
        sets: Mapping[str, int | CardSet] = SETS,
        store: Store | None = None,
        currency: str = "USD",
        wrapped: Callable[[ClutchProvider], Provider] | None = None,
        numbers: Numbers = READABLE,
        **settings: Any,
    ) -> None:
        self.currency = currency
        self.clock = Clock()
        self.sandbox = Sandbox(sandbox, sets, seed=seed, clock=lambda: self.clock.now.timestamp())
        self.line = Line(self.sandbox)
        self.store = store or open_store("memory:")
        self.fate: Fate = spared
        self._wrapped, self._settings, self.numbers = wrapped, settings, numbers
        self._ids, self._keys, self._seed = count(1), count(1), seed
        self.pins: dict[str, str] = {}
        self.asked_a_person = 0
        self.receipts: list[Receipt] = []
        self.start()

    def start(self) -> None:
        """A new process on the same store."""
        seconds = lambda: self.clock.now.timestamp()  # noqa: E731
        self.provider = ClutchProvider(
            settings_of(self.sandbox, **self._settings), self.line, clock=self.clock, sleep=lambda seconds: None,
            bucket=LeakyBucket(1e6, 10**6, clock=seconds), breaker=CircuitBreaker(10**6, 30.0, clock=seconds),
        )  # fmt: skip
        answering: Provider = self._wrapped(self.provider) if self._wrapped else self.provider
        store: Any = DyingStore(self.store, lambda where: self.fate(where))
        self.engine = Engine(
            MACHINES, store, answering, clock=self.clock, ids=lambda: f"call-{next(self._ids):04}",
            random=Random(self._seed), numbers=self.numbers,
        )  # fmt: skip

    # What an order system does

    def do(self, machine: str, id: str, command: str, key: str = "", **args: object) -> Receipt:
        return self.try_execute(Command(machine, id, command, args, key or f"k{next(self._keys)}"))

    def try_execute(self, command: Command) -> Receipt:
        if FOLLOWS in command.key:  # it is in the queue
            cause = Receipt(Ended.APPLIED, "cause", *attrs.astuple(command)[:3], follow_ups=(command.key,))
            (receipt,) = self.engine.queue.follow(cause).followed
        else:
            receipt = self.engine.try_execute(command)
        self.receipts.append(receipt)
        if receipt.pin:
            self.pins[command.id] = receipt.pin
        return receipt

    def sure(self, machine: str, id: str, command: str, **args: object) -> Receipt:
        receipt = self.do(machine, id, command, **args)
        assert receipt.applied, receipt
        return receipt

    def card(self, id: str = "c1", amount: str | None = "50.00", **facts: object) -> Entity:
        self.sure("gift_card", id, "create", form="electronic", card_set="GIFT", currency=self.currency, **facts)
        self.sure("gift_card", id, "allocate")
        self.sure("gift_card", id, "activate")
        if amount:
            self.sure("gift_card", id, "issue", amount=amount)
        return self.entity("gift_card", id)

    def payment(self, id: str = "p1", amount: str | None = None, card: str = "c1") -> Entity:
        self.sure("payment", id, "create", order=f"order-{id}", card=card, currency=self.currency)
        if amount:
            self.sure("payment", id, "authorize", amount=amount)
        return self.entity("payment", id)

    def entity(self, machine: str, id: str) -> Entity:
        with self.store.reading() as reading:
            found = reading.entity(machine, id)
        assert found is not None
        return self._opened(found)

    def all(self, machine: str) -> list[Entity]:
        with self.store.reading() as reading:
            return [self._opened(each) for each in reading.all(machine)]

    def _opened(self, entity: Entity) -> Entity:
        """As its owner sees it, with its number."""
        number = entity.facts.get("number")
        if number is None:
            return entity
        return attrs.evolve(entity, facts={**entity.facts, "number": self.numbers.opened(str(number))})

    def calls(self) -> list[CallRow]:
        with self.store.reading() as reading:
            return list(reading.all_calls())

    # What its operators do

    def end(self, rounds: int = 100) -> None:
        """Recover and run what is due until nothing moves; then a person decides what is still open."""
        for turn in range(rounds):
            self.clock.on(minutes=2)
            self.receipts += self.engine.recover()
            self.receipts += self.engine.run_due()
            with self.store.reading() as reading:
                open_, waiting = reading.calls(), reading.queue(state="waiting")
            if not open_ and not waiting:
                return
            if open_ and turn >= 3:
                for row in open_:
                    self.person(row)
            elif waiting and not open_:
                self.clock.on(hours=1 if turn < 40 else 24)  # a patient command waits for a month
        raise AssertionError(f"it does not come to rest: {open_} {waiting}")

    def person(self, row: CallRow) -> None:
        """Somebody looks into Clutch's portal and says what became of a call."""
        self.asked_a_person += 1
        asked = json.loads(row.args).get("amount")
        scanned = json.loads(row.args).get("number")
        number = str(
            self.entity("gift_card", row.entity).facts.get("number") or (scanned and self.numbers.opened(scanned))
        )
        claimed = {id for each in self.calls() for id in (_reference(each),) if id}
        free = [each for each in self.ours_at_clutch(number) if each.id not in claimed and _may_be(each, row)]
        own = [each for each in free if each.call == row.id] or free
        if not own:
            self.receipts.append(self.engine.resolve(row.id, "declined", by="ann", reason="it is not in the portal"))
            return
        amount = own[0].amount if row.verb in ("hold", "redeem") and asked != own[0].amount else None
        self.receipts.append(
            self.engine.resolve(
                row.id, "confirmed", by="ann", reason="it is in the portal", reference=own[0].id,
                amount=Money(abs(amount), row.currency) if amount is not None else None,
            )
        )  # fmt: skip

    def reconcile(self) -> None:
        """A person gives back holds that Clutch placed twice, and takes over the balances Clutch has."""
        for card in self.cards():
            number = str(card.facts["number"])
            own = {each.id for each in self.ours_at_clutch(number)}
            for hold in self.strange_holds(card):
                if hold in own:
                    self._release_in_the_portal(number, hold)
            if card.state in ("issued", "suspended"):
                balance = self.provider.balance(self._facts(card)) if card.state == "issued" else None
                minor = balance.available if balance else self.sandbox.balances(number).get(self.currency, 0)
                text = f"{minor // 100}.{minor % 100:02}"
                assert self.do("gift_card", card.id, "observe", balance=text).applied

    def _facts(self, card: Entity) -> Any:
        from tallystick.engine.calls.ask_provider import card_facts

        return card_facts(card)

    def _release_in_the_portal(self, number: str, hold: str) -> None:
        body = {
            "cardNumber": number, "action": "redeem", "redeemFromHoldTransactionId": hold, "releaseHoldRemainder": True,
            "amount": {"balanceType": "Currency", "balanceCode": self.currency, "amount": 0},
        }  # fmt: skip
        headers = {**self.sandbox.headers(), "location": "portal", "x-sandbox-fault": "none"}
        assert self.sandbox.handle("updateBalance", headers, json.dumps(body).encode()).status == 200

    # Both books

    def cards(self) -> list[Entity]:
        return [each for each in self.all("gift_card") if each.facts.get("number")]

    def ours_at_clutch(self, number: str) -> list[Done]:
        """What our requests did to a card, by Clutch's books, with the id of our call."""
        return [each for each in self.at_clutch(number) if (each.call or "").startswith("call-")]

    def at_clutch(self, number: str) -> list[Done]:
        self.sandbox.history(number)  # what is late and due is done now
        rows = self.sandbox._ledger.sql(
            "select h.transaction_id, h.custom_request_id, h.operation, h.updates, p.placed from history h"
            " left join hold p on p.id = h.transaction_id where h.number = ? order by h.seq",
            (number,),
        )
        found = []
        for id, call, operation, updates, placed in rows:
            change = sum(minor for _, _, minor in json.loads(updates))
            found.append(Done(id, call, operation, change if operation != "hold" else placed, change))
        return found

    def strange_holds(self, card: Entity, payments: list[Entity] | None = None) -> dict[str, int]:
        """Open holds of a card that no payment of ours knows."""
        known = {each.facts["hold_id"] for each in (self.paid_by(card) if payments is None else payments)}
        return {id: held for id, held in self.sandbox.holds(str(card.facts["number"])).items() if id not in known}

    def paid_by(self, card: Entity) -> list[Entity]:
        with self.store.reading() as reading:
            return reading.linked("payment", "card", card.id)

    def differences(self) -> list[str]:
        """What the two books do not agree on and nobody else's movements explain: the referee says."""
        self.sandbox.balances("")  # what is late and due is done now
        provided = ProviderBooks.of_sandbox_db(self.sandbox._ledger._db, self.line.doubled)
        found = [f"sandbox: {line}" for line in self.sandbox.audit()]
        found += [f"{call} was done, and sent again" for call in self.line.blind[self._exchanged() :]]
        found += [str(each) for each in verify(self.engine.machines, self.store).findings]
        return found + judge(rows_of(self.store), self._sealed(provided))

    def _sealed(self, provided: ProviderBooks) -> ProviderBooks:
        """Clutch's books with the numbers as they stand in ours, so that the two can be laid side by side."""
        seal = self.numbers.seal
        return attrs.evolve(
            provided, lines=[attrs.evolve(each, number=seal(each.number)) for each in provided.lines],
            available={(seal(number), code): each for (number, code), each in provided.available.items()},
            holds={(seal(number), code): each for (number, code), each in provided.holds.items()},
        )  # fmt: skip

    def _exchanged(self) -> int:
        """How many calls are confirmed by what another call of ours did: of two that are alike, either may be."""
        lines = {each.id: each for card in self.cards() for each in self.ours_at_clutch(str(card.facts["number"]))}
        claims = [(row.id, reference) for row in self.calls() if (reference := _reference(row)) in lines]
        return sum(1 for id, reference in claims if lines[str(reference)].call != id)

    def agree(self) -> None:
        """Nothing is in doubt, every difference is explained; and once it is posted, there is none."""
        assert self.differences() == []
        self.reconcile()
        assert self.differences() == []
        for card in self.cards():
            number, held = str(card.facts["number"]), card.accounts["held"]
            payments = self.paid_by(card)
            known = {str(each.facts["hold_id"]): each.accounts["held"] for each in payments if each.accounts["held"]}
            strange = self.strange_holds(card, payments)
            holds = {id: minor for id, minor in self.sandbox.holds(number).items() if id not in strange}
            assert holds == known
            assert sum(known.values()) == held
            assert card.accounts["in_doubt"] == 0
            if card.state in ("issued", "suspended"):  # else nobody can take over what others did
                assert self.sandbox.balances(number).get(self.currency, 0) == card.accounts["available"]


@attrs.frozen
class Done:
    """A line of a card's history at Clutch. `amount` of a hold is what it held at first, `change` is nothing then."""

    id: str
    call: str | None
    operation: str
    amount: int
    change: int


def _reference(row: CallRow) -> str | None:
    """Clutch's id of what a confirmed call of money did."""
    outcome = row.ended if row.state == "confirmed" else None
    return outcome.reference if outcome and row.verb not in REPEATABLE else None


def _may_be(line: Done, row: CallRow) -> bool:
    """Whether a line of Clutch's history may be what a call asked for; of a hold or redemption perhaps a part."""
    asked = json.loads(row.args).get("amount", 0)
    wanted = {"redeem": -asked, "redeem_hold": -asked, "release_hold": 0}.get(row.verb, asked)
    part = row.verb in ("hold", "redeem") and 0 < abs(line.amount) < asked
    return line.operation == OPERATION[row.verb] and (line.amount == wanted or part)


def insisted(world: World, command: Command, times: int = 4) -> Receipt:
    """A command said again under its key while Clutch turns it away."""
    receipt = world.try_execute(command)
    for _ in range(times):
        if receipt.result is Ended.IN_DOUBT:
            world.end()
            receipt = world.try_execute(command)
        if receipt.result is not Ended.UNAVAILABLE:
            break
        world.clock.on(minutes=1)
        receipt = world.try_execute(command)
    return receipt


__all__ = [
    "MACHINES",
    "Clock",
    "Command",
    "Ended",
    "Invalid",
    "Outcome",
    "ProcessDied",
    "World",
    "insisted",
    "settings_of",
]
