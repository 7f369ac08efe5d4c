"""The core in memory: decide and complete, against a class by hand and against `transitions`' own dispatch.

The work is a flow of six events: authorize 100.00, settle 30, hold again 70, settle 20, hold again 50, settle 50. Each
has a guard and whole-number bookkeeping. What the flow runs on is made before the clock starts.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from benchmarks import by_hand
from benchmarks.measure import Contestant, Line, Setting, Target, Work, alone, in_turns
from tallystick import Machines, Money, load, to_transitions
from tallystick import open as open_books
from tallystick.core.decide import decide
from tallystick.core.entity import Entity, Ref, Request
from tallystick.core.resolve import complete, create
from tallystick.engine.receipt import Command
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Call, CardFacts

PART = "decide in memory"
PAGE = Path(__file__).parent / "tender.yaml"
FLOW: tuple[tuple[str, dict[str, Any]], ...] = (
    ("authorize", {"amount": 10000}),
    ("settle", {"amount": 3000, "last": False}),
    ("hold_again", {"amount": 7000}),
    ("settle", {"amount": 2000, "last": False}),
    ("hold_again", {"amount": 5000}),
    ("settle", {"amount": 5000, "last": False}),
)
BY_HAND = tuple((command, args["amount"], args.get("last", False)) for command, args in FLOW)
END = {"held": 0, "uncovered": 0, "redeemed": 10000}
FLOWS = 200  # in a round


def measured(setting: Setting) -> list[Line]:
    machines = load(PAGE)
    rounds = setting.rounds(60)
    alone_times = in_turns(
        {
            "tallystick": _tallystick(machines),
            "by hand": _by_hand,
            "by hand, with an entry": _by_hand_told,
            "transitions": _transitions(machines),
        },
        rounds,
        waits=False,
    )
    pair_times = in_turns({"tallystick": _pair(machines), "by hand": _pair_by_hand}, rounds, waits=False)
    engine_times = in_turns(
        {"engine, memory store": _engine(), "by hand": _pair_by_hand}, setting.rounds(20), waits=False
    )
    return [
        alone_times.line(PART, "decide and apply, one machine", "tallystick", "by hand", Target("at most", 6),
                         slower=True, note="There, four numbers change in place and nothing tells what happened."),
        alone_times.line(PART, "decide and apply, one machine", "tallystick", "by hand, with an entry",
                         slower=True, note="There too, the old value stays and an entry with postings is made."),
        alone_times.line(PART, "decide and apply, one machine", "tallystick", "transitions", Target("at least", 15),
                         note="A shared Machine, its own dispatch; no entry and no version there."),
        alone_times.line(PART, "for comparison: by hand, with an entry", "by hand, with an entry", "transitions",
                         note="More cannot be had, if an entry is to be made."),
        pair_times.line(PART, "payment drives card, local provider", "tallystick", "by hand", slower=True,
                        note="There, two classes, changed in place; here, two entries and a call are made."),
        engine_times.line(PART, "the same through the engine, memory store", "engine, memory store", "by hand",
                          slower=True, note="Keys, fingerprints, JSON, hash chain and receipts are in it."),
    ]  # fmt: skip


def _tallystick(machines: Machines) -> Contestant:
    starts = [create(machines["tender"], f"t{i}", "USD", {}).entities[0] for i in range(FLOWS)]

    def work() -> int:
        for start in starts:
            ref = start.ref
            world = {ref: start}
            for command, args in FLOW:
                intent = decide(machines, Request("tender", start.id, command, args), world)
                world[ref] = complete(machines, intent).entities[0]  # type: ignore[arg-type]
        done = world[ref]
        assert (done.state, {name: done.accounts[name] for name in END}) == ("closed", END)
        return FLOWS * len(FLOW)

    return lambda: work


def _by_hand() -> Work:
    tenders = [by_hand.Tender() for _ in range(FLOWS)]

    def work() -> int:
        for tender in tenders:
            for command, amount, last in BY_HAND:
                tender.apply(command, amount, last)
        assert (tender.state, tender.redeemed) == ("closed", 10000)
        return FLOWS * len(FLOW)

    return work


def _by_hand_told() -> Work:
    tenders = [by_hand.Told(f"t{i}") for i in range(FLOWS)]

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
    reference = to_transitions(machines["tender"])
    models: list[Any] = [_Model() for _ in range(FLOWS // 10)]
    reference.add_model(models)
    empty = dict.fromkeys(machines["tender"].columns, 0)

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


def _pair(machines: Machines) -> Contestant:
    provider, ids = LocalProvider(), count()
    facts = dict.fromkeys(machines["gift_card"].facts) | {"form": "electronic", "kind": "gift"}
    card = create(machines["gift_card"], "c", "USD", facts).entities[0]
    card.state, card.accounts = "issued", {**card.accounts, "available": 50000}
    facts = dict.fromkeys(machines["payment"].facts) | {"order": "o", "card": "c"}
    starts = [create(machines["payment"], f"p{i}", "USD", facts).entities[0] for i in range(FLOWS)]
    left_out: dict[str, dict[str, object]] = {
        "authorize": {"pin": None, "allow_partial": False},
        "settle": {"keep_hold": False, "invoice": None},
    }
    flow = [(command, args | left_out.get(command, {})) for command, args in FLOW]

    def work() -> int:
        for start in starts:
            world: dict[Ref, Entity] = {start.ref: start, card.ref: card}
            for command, args in flow:
                intent: Any = decide(machines, Request("payment", start.id, command, args), world)
                asked = intent.asked
                seen = asked.entity
                call = Call(f"{next(ids)}", asked.verb, CardFacts(seen.id, seen.currency), asked.args)
                for entity in complete(machines, intent, provider.perform(call)).entities:
                    world[entity.ref] = entity
        done = world["payment", start.id]
        assert (done.state, done.accounts["redeemed"]) == ("closed", 10000)
        return FLOWS * len(FLOW)

    return lambda: work


def _pair_by_hand() -> Work:
    pairs = [by_hand.Pair(by_hand.Card(50000)) for _ in range(FLOWS)]

    def work() -> int:
        for pair in pairs:
            for command, amount, last in BY_HAND:
                pair.apply(command, amount, last)
        assert (pair.state, pair.redeemed, pair.card.spent) == ("closed", 10000, 10000)
        return FLOWS * len(FLOW)

    return work


def _engine() -> Contestant:
    engine = open_books("memory:").engine
    engine.try_execute(Command("gift_card", "c", "create", {"form": "electronic", "currency": "USD"}, "c"))
    engine.try_execute(Command("gift_card", "c", "recognize", {"number": "4", "balance": "10000000000.00"}, "r"))
    ids = count()
    created = {"order": "o", "card": "c", "currency": "USD"}
    flow = [(command, {**args, "amount": Money(args["amount"], "USD")}) for command, args in FLOW]

    def ready() -> Work:
        payments = [f"p{next(ids)}" for _ in range(FLOWS // 10)]
        for payment in payments:
            engine.execute("payment", payment, "create", created, key=payment)

        def work() -> int:
            for payment in payments:
                for step, (command, args) in enumerate(flow):
                    engine.execute("payment", payment, command, args, key=f"{payment}/{step}")
            return len(payments) * len(flow)

        return work

    return ready


if __name__ == "__main__":
    alone(measured)
