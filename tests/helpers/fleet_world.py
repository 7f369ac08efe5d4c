"""Books with shipments that are due on several cards, and a remote provider whose books can be read afterwards."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from tallystick.books.books import Books
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.fleet.worker import Worker
from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Provider, Result
from tallystick.store.open import open_store
from tallystick.store.protocol import Store

MACHINES = reader.load()
NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)


class Remote:
    """A provider elsewhere. It is never asked about one card by two at once. `replies`: before it confirms."""

    name, local = "remote", False

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.done: dict[str, tuple[str, str, object]] = {}  # by call: verb, card, amount; in the order it was done
        self.busy: Counter[str] = Counter()  # by card, now
        self.replies: dict[str, list[str]] = {}  # by card: "lost_before", "lost_after", "unavailable", "declined"
        self.looked_up: list[str] = []
        self.unreadable = False
        self.before: Callable[[Call], object] = lambda call: None

    def perform(self, call: Call) -> Outcome:
        with self.lock:
            self.busy[call.card.id] += 1
            assert self.busy[call.card.id] == 1, f"two at once ask about card {call.card.id}"
            reply = next(iter(self.replies.get(call.card.id, [])), "")
            self.replies[call.card.id] = self.replies.get(call.card.id, [])[1:]
        try:
            self.before(call)
            if reply in ("unavailable", "declined"):
                return Outcome(Result(reply))
            if reply == "lost_before":
                return Outcome(Result.UNKNOWN)
            outcome = self._do(call)
            return Outcome(Result.UNKNOWN) if reply == "lost_after" else outcome
        finally:
            with self.lock:
                self.busy[call.card.id] -= 1

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        with self.lock:
            self.looked_up.append(call.id)
            if self.unreadable:
                return Ambiguous("it fits in more than one way")
            return self._outcome(call.id, call.verb) if call.id in self.done else NotSeen("it is not there")

    def _do(self, call: Call) -> Outcome:
        with self.lock:
            assert call.id not in self.done, f"call {call.id} is done twice"
            self.done[call.id] = call.verb, call.card.id, call.args.get("amount")
            return self._outcome(call.id, call.verb)

    def _outcome(self, call: str, verb: str) -> Outcome:
        number = f"6006{call[:12]}" if verb == "allocate" else None
        return Outcome(Result.CONFIRMED, reference=f"T{call}", number=number)

    def settled(self, card: str) -> list[object]:
        """The amounts that were earned of a card, in order."""
        return [amount for verb, id, amount in self.done.values() if id == card and verb == "redeem_hold"]


def newer(fleet: Fleet, *, lost: bool = False) -> None:
    """Another process with a newer page of gift cards sells one; two commands about it are due a day later.

    `lost`: it executes one of them, and loses the answer of a remote provider.
    """
    pages = {path.name: path.read_text() for path in reader.packaged_folder().glob("*.yaml")}
    version = reader.load()["gift_card"].version
    page = pages["gift_card.yaml"].replace(f"version: {version}", f"version: {version + 1}", 1)
    pages["gift_card.yaml"] = page
    engine = Engine(reader.read(pages), open_store(fleet.store.url), fleet.provider, clock=lambda: fleet.now)
    books = Books(engine)
    books.sell_electronic("new", "90.00", "BRL", order="o", key="new")
    day = NOON + timedelta(days=1)
    engine.execute("gift_card", "new", "suspend", key="later", by="anna", reason="a test", due=day)
    books.authorize("pnew", "new", "80.00", order="o", key="newhold")
    books.settle("pnew", "1.00", key="newship", keep_hold=True, due=day)
    if lost and isinstance(fleet.provider, Remote):
        fleet.provider.replies = {"new": ["lost_after"]}
        assert books.queue.run("newship").result.value == "in_doubt"
    books.close()


class Fleet:
    """Books, and workers on them by one clock."""

    def __init__(self, store: Store | str, provider: Provider, cards: int = 4) -> None:
        self.now, self.cards, self.provider = NOON, cards, provider
        self.store = open_store(store) if isinstance(store, str) else store
        self.books = Books(self.engine())

    def engine(self) -> Engine:
        return Engine(MACHINES, self.store, self.provider, clock=lambda: self.now)

    def worker(self, name: str = "a", *, lease: float = 60, **more: int) -> Worker:
        return Worker(self.engine(), name=name, lease=lease, pause=0.01, **more)

    def sell(self) -> None:
        for card in range(self.cards):
            self.books.sell_electronic(f"c{card}", "90.00", "BRL", order="o", key=f"sale{card}")
            self.books.authorize(f"p{card}", f"c{card}", "80.00", order="o", key=f"hold{card}")

    def ship(self, count: int, **more: bool) -> list[str]:
        """So many shipments of each card, of 1.00, 2.00 …, due from a day later on, in turns; their keys."""
        self.sell()
        keys = []
        for number in range(count):
            for card in range(self.cards):
                keys.append(f"ship{card}/{number}")
                due = NOON + timedelta(days=1, seconds=number)
                self.books.settle(f"p{card}", f"{number + 1}.00", key=keys[-1], due=due, **{"keep_hold": True, **more})
        self.now += timedelta(days=2)
        return keys

    def redeemed(self) -> list[str]:
        return [str(self.books.payment(f"p{card}").redeemed) for card in range(self.cards)]
