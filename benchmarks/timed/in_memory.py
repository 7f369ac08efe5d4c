"""The core in memory: decide and complete, against a class by hand and against `transitions`' own dispatch.

The work is a flow of six events: authorize 100.00, settle 30, hold again 70, settle 20, hold again 50, settle 50. Each
has a guard and whole-number bookkeeping. What the flow runs on is made before the clock starts.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.measure import Contestant, Result, Run, Work
from benchmarks.opponents import in_memory
from tallystick import Machines, Money, load, to_transitions
from tallystick import open as open_books
from tallystick.core.decide import decide as decided
from tallystick.core.entity import Request
from tallystick.core.resolve import complete, create
from tallystick.engine.receipt import Command

PAGE = Path(__file__).with_name("tender_alone.yaml")
FLOW: tuple[tuple[str, dict[str, Any]], ...] = (
    ("authorize", {"amount": 10000}),
    ("settle", {"amount": 3000, "last": False}),
    ("hold_again", {"amount": 7000}),
    ("settle", {"amount": 2000, "last": False}),
    ("hold_again", {"amount": 5000}),
    ("settle", {"amount": 5000, "last": False}),
)
BY_HAND = tuple((command, args["amount"], args.get("last", False)) for command, args in FLOW)
TWICE = (("authorize", 10000), ("settle", 10000))  # a payment and its card
END = {"held": 0, "uncovered": 0, "redeemed": 10000}
FLOWS = 200  # in a round


def decide(run: Run) -> Result:
    machines = load(PAGE)
    _same_plans(machines)
    return run.compare(_tallystick(machines), _straight(machines))


def told(run: Run) -> Result:
    return run.compare(_tallystick(load(PAGE)), _by_hand_told)


def bare(run: Run) -> Result:
    return run.compare(_tallystick(load(PAGE)), _by_hand)


def transitions(run: Run) -> Result:
    machines = load(PAGE)
    return run.compare(_tallystick(machines), _transitions(machines))


def engine(run: Run) -> Result:
    return run.compare(_engine(), _pair_by_hand)


def _tallystick(machines: Machines) -> Contestant:
    starts = [create(machines["tender_alone"], f"t{i}", "USD", {}).entities[0] for i in range(FLOWS)]

    def work() -> int:
        for start in starts:
            ref = start.ref
            world = {ref: start}
            for command, args in FLOW:
                intent = decided(machines, Request("tender_alone", start.id, command, args), world)
                world[ref] = complete(machines, intent).entities[0]  # type: ignore[arg-type]
        done = world[ref]
        assert (done.state, {name: done.accounts[name] for name in END}) == ("closed", END)
        return FLOWS * len(FLOW)

    return lambda: work


def _straight(machines: Machines) -> Contestant:
    starts = [create(machines["tender_alone"], f"t{i}", "USD", {}).entities[0] for i in range(FLOWS)]

    def work() -> int:
        for entity in starts:
            for command, args in FLOW:
                entity = in_memory.straight(entity, Request("tender_alone", entity.id, command, args)).entities[0]
        assert (entity.state, {name: entity.accounts[name] for name in END}) == ("closed", END)
        return FLOWS * len(FLOW)

    return lambda: work


def _same_plans(machines: Machines) -> None:
    """Both make the same objects, or it is no comparison."""
    entity = create(machines["tender_alone"], "t", "USD", {}).entities[0]
    for command, args in FLOW:
        request = Request("tender_alone", "t", command, args)
        plan = complete(machines, decided(machines, request, {entity.ref: entity}))  # type: ignore[arg-type]
        assert plan == in_memory.straight(entity, request)
        entity = plan.entities[0]


def _by_hand() -> Work:
    tenders = [in_memory.Tender() for _ in range(FLOWS)]

    def work() -> int:
        for tender in tenders:
            for command, amount, last in BY_HAND:
                tender.apply(command, amount, last)
        assert (tender.state, tender.redeemed) == ("closed", 10000)
        return FLOWS * len(FLOW)

    return work


def _by_hand_told() -> Work:
    tenders = [in_memory.Told(f"t{i}") for i in range(FLOWS)]

    def work() -> int:
        for tender in tenders:
            for command, args in FLOW:
                tender, _ = tender.apply(command, args)
        assert (tender.state, tender.redeemed) == ("closed", 10000)
        return FLOWS * len(FLOW)

    return work


class _Model:
    """What `tallystick.to_transitions` needs of a model."""

    state: str
    facts: dict[str, object] = {}  # noqa: RUF012
    accounts: dict[str, int]


def _transitions(machines: Machines) -> Contestant:
    """One shared Machine. Models are added before the clock starts, because that is slow and is not measured."""
    reference = to_transitions(machines["tender_alone"])
    models: list[Any] = [_Model() for _ in range(FLOWS // 10)]
    reference.add_model(models)
    empty = dict.fromkeys(machines["tender_alone"].columns, 0)

    def ready() -> Work:
        for model in models:
            model.state, model.accounts = "requested", empty
        return work

    def work() -> int:
        for model in models:
            for command, args in FLOW:
                getattr(model, command)(**args)
        assert (model.state, model.accounts["redeemed"]) == ("closed", 10000)
        return len(models) * len(FLOW)

    return ready


def _pair_by_hand() -> Work:
    pairs = [in_memory.Pair(in_memory.Card(50000)) for _ in range(FLOWS)]

    def work() -> int:
        for pair in pairs:
            for command, amount in TWICE:
                pair.apply(command, amount)
        assert (pair.state, pair.redeemed, pair.card.spent) == ("closed", 10000, 10000)
        return FLOWS * len(TWICE)

    return work


def _engine() -> Contestant:
    engine = open_books("memory:").engine
    engine.try_execute(Command("gift_card", "c", "create", {"form": "electronic", "currency": "USD"}, "c"))
    engine.try_execute(Command("gift_card", "c", "recognize", {"number": "4", "balance": "10000000000.00"}, "r"))
    ids = count()
    created = {"order": "o", "card": "c", "currency": "USD"}
    flow = [(command, {"amount": Money(amount, "USD")}) for command, amount in TWICE]

    def ready() -> Work:
        payments = [f"p{next(ids)}" for _ in range(FLOWS // 10)]
        for payment in payments:
            engine.execute("payment", payment, "create", created, key=payment)

        def work() -> int:
            for payment in payments:
                for command, args in flow:
                    engine.execute("payment", payment, command, args, key=f"{payment}/{command}")
            return len(payments) * len(flow)

        return work

    return ready
