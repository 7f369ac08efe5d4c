"""Mixed traffic of an order system, from a seed: faults on the way, processes that die, other channels, and the end.

Each run is a few dozen steps, each drawn from what the state of some card or payment suggests, each perhaps with a
fault, and the process may die before and after every transaction and every request. Whoever gave a command that died
or was turned away says it again later under its key, or never. Then the jobs run until nothing moves, a person decides
what the record leaves open, and the books are compared (see `world`): nothing lost, nothing doubled, nothing in doubt.

That the comparison sees what it has to see is shown by mutations: one that sends blindly again must not pass.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest

import tallystick
from clutch_world import MACHINES, Command, Ended, ProcessDied, World
from tallystick.books.books import Books
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.sandbox import CardSet, Refused, Settings, ValueType
from tallystick.core.entity import Entity
from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Provider, Result
from voucher_data import BOTH, EXAMPLE, VoucherOrders

ROOT = Path(__file__).parents[2]
FAST, ALL = range(60), range(60, 1000)

CHANGES_GO_WRONG = [
    "lost_after", "lost_before", "slow:900ms", "late:20000ms", "500_before", "500_after", "429", "broken_json",
    "truncated", "duplicate", "duplicate,lost_after", "short_approval", "short_approval,lost_after", "wrong_currency",
    "other_channel", "other_channel:same", "other_channel:same,lost_after", "other_channel:same,lost_before",
    "other_channel,lost_after", "lost_after", "lost_before",
]  # fmt: skip
READS_GO_WRONG = ["lost_before", "500_before", "429", "broken_json", "truncated", "wrong_currency", "other_channel"]


class Traffic:
    def __init__(
        self, seed: int, wrapped: Callable[[ClutchProvider], Provider] | None = None, **world: Any
    ) -> None:  # fmt: skip
        self.chance = Random(seed)
        remembers = seed % 3 == 0  # Clutch does a call once, however often it is sent, and the adapter is told so
        known = {"repeat_within": 1e7 if remembers else 0.0, **world}
        ids: Any = "numeric" if seed % 2 else "request_ref"
        self.world = World(
            seed=seed, wrapped=wrapped, sets={"GIFT": 8, "PLASTIC": CardSet(3, physical=True)},
            sandbox=Settings(transaction_ids=ids, deduplicate=remembers), **known,
        )  # fmt: skip
        self.count = 0
        self.pending: list[Command] = []  # died, or turned away: to be said again
        self.crashes = 0
        self.ended: Counter[str] = Counter()
        self.scanned: dict[str, str] = {}  # a number is scanned for one card only
        self.world.card("c1", "90.00")
        self.world.card("c2", "40.00")
        self.world.payment("p1", "20.00", card="c1")
        self.faults = self.chance.choice([0.1, 0.25, 0.5])
        self.deaths = self.chance.choice([0.0, 0.01, 0.03])
        self.world.line.drawn = self.fault
        self.world.line.fate = self.world.fate = self.die

    # What goes wrong

    def fault(self, method: str, body: bytes) -> str | None:
        reads = method in ("search", "cardHistory")
        if self.chance.random() > self.faults * (0.3 if reads else 1.0):
            return None
        fault = self.chance.choice(READS_GO_WRONG if reads else CHANGES_GO_WRONG)
        keeps = b'"releaseHoldRemainder":false' in body and b'"redeemFromHoldTransactionId":null' not in body
        return "lost_after" if "duplicate" in fault and keeps else fault  # see docs/how-to/recovery.md

    def die(self, where: str) -> None:
        if self.chance.random() < self.deaths:
            raise ProcessDied(where)

    def alive(self, what: Callable[[], object]) -> bool:
        """Do something; if the process dies of it, start another on the same store."""
        try:
            what()
        except ProcessDied:
            self.crashes += 1
            self.world.start()
            return False
        return True

    # What is done

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.world.clock.on(seconds=self.chance.randint(1, 400))
            roll = self.chance.random()
            if roll < 0.12:
                self.alive(self.world.engine.recover)
            elif roll < 0.22:
                self.alive(self.world.engine.run_due)
            elif roll < 0.30 and self.pending:
                self.say(self.pending.pop(self.chance.randrange(len(self.pending))))
            elif roll < 0.36:
                self.elsewhere()
            else:
                self.step()
        for _ in range(2):
            self.world.clock.on(minutes=3)
            self.alive(self.world.engine.recover)
            self.alive(self.world.engine.run_due)
        self.deaths = self.faults = 0.0
        self.world.end()
        for command in self.pending[::2]:  # the others are never said again
            self.say(command)
        self.world.end()

    def say(self, command: Command) -> None:
        def attempt() -> None:
            receipt = self.world.try_execute(command)
            self.ended[f"{command.command} {receipt.result}"] += 1
            if receipt.result in (Ended.UNAVAILABLE, Ended.IN_DOUBT):
                self.pending.append(command)

        if not self.alive(attempt):
            self.pending.append(command)

    def do(self, machine: str, id: str, command: str, *, later: bool = False, **args: object) -> None:
        self.count += 1
        due = self.world.clock.now + timedelta(minutes=30) if later else None
        self.say(Command(machine, id, command, args, f"t{self.count}", due=due))

    def step(self) -> None:
        cards, payments = self.world.all("gift_card"), self.world.all("payment")
        roll = self.chance.random()
        open_ = [each for each in payments if each.state not in ("declined", "reversed")][-3:]
        if len(cards) < 4 and roll < 0.1:
            self.blank(f"card{self.count}")
        elif open_ and roll < 0.65:
            self.pay(self.chance.choice(open_))
        elif (issued := [each for each in cards if each.state == "issued"]) and roll < 0.8:
            id = f"pay{self.count}"
            self.do("payment", id, "create", order=id, card=self.chance.choice(issued).id, currency="USD")
        else:
            self.handle(self.chance.choice(cards))

    def blank(self, id: str) -> None:
        form = "physical" if self.chance.random() < 0.2 else "electronic"
        card_set = {"card_set": "GIFT"} if form == "electronic" else {}
        self.do("gift_card", id, "create", form=form, currency="USD", **card_set)

    def handle(self, card: Entity) -> None:
        """Something that suits the state of a card."""
        match card.state:
            case "inventory" if card.facts["form"] == "electronic":
                self.do("gift_card", card.id, "allocate")
            case "inventory":
                free = [each for each in self.world.sandbox.inventory("PLASTIC") if each not in self.scanned.values()]
                if free or card.id in self.scanned:
                    self.scanned.setdefault(card.id, free[0] if free else "")
                    self.do("gift_card", card.id, "activate", number=self.scanned[card.id])
            case "allocated":
                self.do("gift_card", card.id, "activate")
            case "activated":
                self.do("gift_card", card.id, "issue", amount=self.amount(9000))
            case "issued" if self.chance.random() < 0.2:
                self.do("gift_card", card.id, "suspend")
            case "issued":
                command, sign = self.chance.choice([("reload", ""), ("adjust", ""), ("adjust", "-")])
                self.do("gift_card", card.id, command, amount=sign + self.amount(1500))
            case "suspended" if self.chance.random() < 0.5 or not card.accounts["available"]:
                self.do("gift_card", card.id, "reinstate")
            case "suspended":
                self.replace(card)

    def replace(self, card: Entity) -> None:
        new, id = f"c{self.count}n", f"r{self.count}"
        self.do("gift_card", new, "create", form="electronic", card_set="GIFT", currency="USD")
        self.do("replacement", id, "create", old=card.id, new=new, form="electronic", currency="USD")
        minor = card.accounts["available"]
        self.do("replacement", id, "replace", amount=f"{minor // 100}.{minor % 100:02}")

    def pay(self, payment: Entity) -> None:
        """Something that suits the state of a payment."""
        id, held = payment.id, payment.accounts["held"]
        roll = self.chance.random()
        match payment.state:
            case "requested":
                pin = self.world.pins.get(str(payment.facts["card"]))
                secret = {"pin": pin if roll < 0.9 else "9999"} if pin and self.chance.random() < 0.4 else {}
                command = "authorize" if self.chance.random() < 0.7 else "redeem"
                self.do("payment", id, command, amount=self.amount(4000), allow_partial=roll < 0.3, **secret)
            case "authorized" | "advanced_hold" | "partially_settled" if held and roll < 0.75:
                minor = held if roll < 0.2 else self.chance.randint(1, held)
                amount = f"{minor // 100}.{minor % 100:02}"
                how = self.chance.choice([{}, {}, {"last": True}, {"keep_hold": True}])
                self.do("payment", id, "settle", amount=amount, later=roll > 0.65, **how)
            case "authorized" | "advanced_hold" | "partially_settled":
                uncovered = payment.accounts["uncovered"]
                if uncovered and self.chance.random() < 0.4:
                    minor = self.chance.randint(1, uncovered)
                    self.do("payment", id, "cover_elsewhere", amount=f"{minor // 100}.{minor % 100:02}")
                else:
                    self.do("payment", id, "cancel")
            case "closed" if payment.facts["redemption_id"] and roll < 0.5:
                self.do("payment", id, "void")
            case "closed" if roll < 0.7:
                self.do("payment", id, "refund", amount=self.amount(1000))

    def amount(self, most: int) -> str:
        """Often the same few amounts: what is alike is what look-ups can mix up."""
        minor = self.chance.choice([500, 700, 1000, self.chance.randint(1, most)])
        return f"{minor // 100}.{minor % 100:02}"

    def elsewhere(self) -> None:
        """Another channel spends, in its own time."""
        cards = [each for each in self.world.cards() if self.world.sandbox.balances(str(each.facts["number"]))]
        if cards:
            number = str(self.chance.choice(cards).facts["number"])
            balance = self.world.sandbox.balances(number)["USD"]
            try:
                self.world.sandbox.spend_elsewhere(number, min(balance, self.chance.choice([500, 700, 1000])))
            except Refused:
                assert self.world.sandbox.status(number) == "suspended"


def traffic(seed: int, wrapped: Callable[[ClutchProvider], Provider] | None = None) -> Traffic:
    run = Traffic(seed, wrapped)
    run.run(20 + seed % 21)
    run.world.agree()
    return run


@pytest.mark.parametrize("seed", FAST)
def test_both_books_agree(seed: int) -> None:
    traffic(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", ALL)
def test_both_books_agree_in_many_runs(seed: int) -> None:
    traffic(seed)


def test_the_traffic_is_mixed() -> None:
    """What a run is made of, so that agreement is not the agreement of nothing."""
    commands_wanted = {
        "allocate", "activate", "issue", "reload", "adjust", "authorize", "redeem", "settle", "cancel", "void",
        "refund", "suspend", "reinstate", "replace", "cover_elsewhere",
    }  # fmt: skip
    results_wanted = {"applied", "refused", "declined", "unavailable", "in_doubt", "deferred"}
    commands, results = set[str](), set[str]()
    crashes = persons = 0
    for seed in range(40):
        run = traffic(seed)
        commands |= {each.split()[0] for each in run.ended if each.endswith(" applied")}
        results |= {each.split()[1] for each in run.ended}
        crashes += run.crashes
        persons += run.world.asked_a_person
        if commands >= commands_wanted and results == results_wanted and crashes > 10 and persons:
            return
    raise AssertionError(
        f"{commands_wanted - commands}, {results_wanted ^ results}, {crashes} crashes, {persons} asked"
    )


# --- What is caught


class Wrapped:
    """A provider that is right. The mutations below are wrong in one place."""

    name, local = "wrapped", False

    def __init__(self, inner: ClutchProvider) -> None:
        self.inner = inner

    def perform(self, call: Call) -> Outcome:
        return self.inner.perform(call)

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        return self.inner.look_up(call)


class SendsBlindlyAgain(Wrapped):
    def perform(self, call: Call) -> Outcome:
        outcome = self.inner.perform(call)
        return outcome if outcome.result is not Result.UNKNOWN else self.inner.perform(call)


class NeverLooks(Wrapped):
    """Recover sends again what it does not know."""

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        return NotSeen("nobody looked")


class BelievesAnything(Wrapped):
    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        found = self.inner.look_up(call)
        return Outcome(Result.CONFIRMED, reference="believed") if isinstance(found, NotSeen) else found


class GivesUp(Wrapped):
    """What is not known counts as not done."""

    def perform(self, call: Call) -> Outcome:
        outcome = self.inner.perform(call)
        return outcome if outcome.result is not Result.UNKNOWN else Outcome(Result.UNAVAILABLE)


class ForgetsWhatIsClaimed(Wrapped):
    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        return self.inner.look_up(attrs.evolve(call, claimed=()))


def caught(seed: int, wrapped: Callable[[ClutchProvider], Provider]) -> bool:
    try:
        traffic(seed, wrapped)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize(
    ("mutation", "at_least"),
    [(Wrapped, 0), (SendsBlindlyAgain, 5), (NeverLooks, 5), (BelievesAnything, 5), (GivesUp, 5),
     (ForgetsWhatIsClaimed, 0)],  # the engine itself sees that what was found is claimed
)  # fmt: skip
def test_a_provider_that_is_wrong_is_caught(mutation: type[Wrapped], at_least: int) -> None:
    found = 0
    for seed in range(20):
        found += caught(seed, mutation)
        if found > at_least:
            break
    assert found >= at_least
    assert at_least or not found


# --- Voucher orders, and many calls over HTTP


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands beside the package may be imported."""
    monkeypatch.setattr(sys, "path", [str(ROOT), str(EXAMPLE), *sys.path])


@pytest.mark.parametrize("data", BOTH)
def test_voucher_orders_end_as_in_our_own_books(data: VoucherOrders, outside: None) -> None:
    orders: Any = import_module("orders")
    lines = orders.lines(orders.read(data.folder))
    world = World(
        sandbox=Settings(value_types=(ValueType("Currency", "BRL", 2),)), sets={"Voucher": 1000}, currency="BRL"
    )  # fmt: skip
    with tallystick.open("memory:") as local:
        for books in (local, Books(world.engine)):
            assert set(orders.run(books, lines)) == {"applied"}
            books.run_due()
        ours, through = told(local), told(Books(world.engine))
    assert ours.keys() == through.keys()
    assert len(ours) == 2 * len(data.vouchers)
    for entity, story in ours.items():
        assert through[entity] == story
    assert world.differences() == []
    assert world.asked_a_person == 0


PROVIDERS_OWN = {"hold", "hold_id", "redemption_id", "number", "has_pin"}  # what only a provider gives


def told(books: Books) -> dict[tuple[str, str], tuple[object, ...]]:
    """What became of every entity: its state, accounts, facts, the transitions that fired and what they moved."""
    with books.engine.store.reading() as reading:
        entities = {each.ref: each for machine in MACHINES for each in reading.all(machine)}
        fired: dict[tuple[str, str], list[object]] = {ref: [] for ref in entities}
        moved: dict[tuple[str, str], Counter[str]] = {ref: Counter() for ref in entities}
        for record in reading.journal():
            ref = (record.machine, record.entity)
            if record.phase in ("done", "confirmed"):
                fired[ref].append((record.transition, record.from_state, record.to_state, record.by, record.reason))
            for source, target, amount in json.loads(record.postings):
                moved[ref][source] -= amount
                moved[ref][target] += amount
    return {
        ref: (
            each.state, dict(each.accounts), {name: fact for name, fact in each.facts.items() if name not in PROVIDERS_OWN},
            fired[ref], {name: amount for name, amount in moved[ref].items() if amount},
        )
        for ref, each in entities.items()
    }  # fmt: skip


@pytest.mark.slow
def test_a_thousand_requests_over_http(outside: None) -> None:
    pytest.importorskip("uvicorn")
    soak: Any = import_module("benchmarks.soak")
    measured = soak.soak(1000, seed=3)
    print(measured)
    assert measured.wrong == ()
    assert measured.requests >= 1000
    assert measured.outcomes["in_doubt"] > 10
    assert measured.recovered > 10
    assert measured.growth < 0.2
