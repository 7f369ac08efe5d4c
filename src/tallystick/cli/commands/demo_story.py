"""The story that `tallystick demo` tells: two cards, their orders, and a card that is lost, on a real store.

Everything is done through the verbs that an order system calls, on SQLite, and every step looks into the books again.
If the extras are installed, the provider is the Clutch adapter, over HTTP, with a sandbox that is served while the
story lasts; one answer is lost on the way. Without them the provider is the local one, which loses nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
from rich.console import Group, RenderableType
from rich.text import Text

from tallystick.books.balance import BalanceDesk, BalanceSettings
from tallystick.books.books import Books
from tallystick.books.views import Sale
from tallystick.cli.as_tables import grid
from tallystick.engine.engine import GRACE, Engine, utc_now
from tallystick.engine.receipt import InDoubt, Receipt, Refused
from tallystick.provider.local import random_number

if TYPE_CHECKING:
    from tallystick.clutch.transport import Answer, Transport

CURRENCY = "USD"
EXTRAS = "pip install 'tallystick[clutch,sandbox]'"
FAULT = {"x-sandbox-fault": "lost_after"}  # done, and the connection closed without an answer
READING = ("search", "cardHistory")


@attrs.frozen
class Step:
    """One step of the story, or a note, which is about no card."""

    what: str  # what is asked of the books
    result: str  # applied, refused, …; note
    says: str  # what the books answer
    card: str  # the card that the step is about
    available: str  # on that card, after the step
    held: str

    def plain(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return attrs.asdict(self)


def story(books: Books) -> Iterator[Step]:
    """The story, step by step, while it happens. If Clutch is the provider, only the store of the books is used."""
    with _with_provider(books) as shop:
        yield from _steps(shop)


def _steps(shop: _Shop) -> Iterator[Step]:
    tell, books = _Teller(shop.books), shop.books
    sale = books.sell_electronic("card-1", "50.00", CURRENCY, order="o-1", key="o-1/card-1", by="web shop")
    yield tell.done("Order o-1 sells a card", sale)
    yield tell.balance("Its balance is asked", sale)

    authorize, settle = books.authorize, books.settle
    yield tell.done("o-2 authorizes 40.00", authorize("pay-2", "card-1", "40.00", order="o-2", key="o-2/pay"))
    yield tell.done("15.00 of it ships", settle("pay-2", "15.00", key="o-2/ship-1"))
    yield tell.done("The same key again", settle("pay-2", "15.00", key="o-2/ship-1"))
    if shop.clutch is None:
        yield tell.done("10.00 more ships", settle("pay-2", "10.00", key="o-2/ship-2"))
    else:
        shop.clutch.lose = True
        yield tell.in_doubt("10.00 more ships", lambda: settle("pay-2", "10.00", key="o-2/ship-2"))
        shop.clutch.ahead += GRACE + timedelta(seconds=1)
        (found,) = books.recover()
        yield tell.done("recover looks it up", books.engine.queue.follow(found.or_raise()))
    yield tell.done("The other 15.00 ships", settle("pay-2", "15.00", key="o-2/ship-3"))

    yield tell.done("o-3 authorizes 8.00", authorize("pay-3", "card-1", "8.00", order="o-3", key="o-3/pay"))
    yield tell.refused("o-4 too, meanwhile",
                  lambda: authorize("pay-4", "card-1", "8.00", order="o-4", key="o-4/pay"))  # fmt: skip
    yield tell.done("o-3 is cancelled", books.cancel("pay-3", key="o-3/cancel", reason="out of stock"))

    tell.card = "card-2"
    ship = books.ship_physical
    sale = ship("card-2", shop.plastic, "25.00", CURRENCY, order="o-5", key="o-5/card-2", by="store 7")
    yield tell.done("A physical card ships", sale)
    yield tell.done("It is lost", books.suspend("card-2", key="lost", by="call centre", reason="lost"))
    yield tell.refused("Its finder tries it",
                  lambda: authorize("pay-6", "card-2", "1.00", order="o-6", key="o-6/pay"))  # fmt: skip
    tell.card = "card-3"
    yield tell.done("A new card replaces it", books.replace("card-2", "card-3", key="lost/new", by="call centre"))

    if shop.clutch is None:
        yield Step("To see it over HTTP", "note", EXTRAS, "", "", "")
        return
    report = books.reconcile()
    found_out = "; ".join(map(str, report.findings)) or f"{report.cards} cards, here as there"
    yield tell.step("reconcile, at the end", "clean" if report.clean else "differs", found_out)
    says = f"Clutch adapter, {shop.clutch.requests} requests to a sandbox on {shop.clutch.url}"
    yield Step("Over HTTP", "note", says, "", "", "")


class _Teller:
    """Puts answers into words, with the balance of the card that the story is about."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self.card = "card-1"

    def step(self, what: str, result: str, says: str) -> Step:
        card = self._books.card(self.card)
        return Step(what, result, says, self.card, str(card.available).split()[0], str(card.held).split()[0])

    def done(self, what: str, answer: Receipt | Sale) -> Step:
        receipt = answer if isinstance(answer, Receipt) else answer.receipt
        if receipt.replayed:
            return self.step(what, "replayed", f"{receipt.key} is done; nothing moves twice")
        says = f"{receipt.machine} is " + ", then ".join(str(each.state) for each in [receipt, *receipt.followed])
        if isinstance(answer, Sale):
            commands = [entry.command for entry in self._books.history(receipt.machine, receipt.id)[1:]]
            says += f": {' → '.join(dict.fromkeys(commands))}"
        return self.step(what, receipt.result.value, says)

    def balance(self, what: str, sale: Sale) -> Step:
        """A balance check as its owner makes it, with number and PIN."""
        quick = BalanceSettings(answer_every=0)  # nobody guesses here
        desk = BalanceDesk(self._books.engine, CURRENCY, quick, key="the hashes of this story only")
        answer = desk.check(sale.number or "", sale.pin, client="owner")
        return self.step(what, "seen", f"card {self._books.card(sale.card).masked}: {answer.text}")

    def refused(self, what: str, ask: Callable[[], object]) -> Step:
        try:
            ask()
        except Refused as refused:
            refusal = refused.receipt.refusal
            while refusal is not None and refusal.cause is not None:
                refusal = refusal.cause
            why = str(refusal)  # the reason alone, without which card refuses and what it would take
            return self.step(what, "refused", why[why.find("refuses ") :].partition(": ")[2].partition(" It would")[0])
        raise AssertionError(f"{what}: it was not refused")

    def in_doubt(self, what: str, ask: Callable[[], object]) -> Step:
        try:
            ask()
        except InDoubt as lost:
            waiting = lost.receipt.money("in_doubt")
            return self.step(what, "in doubt", f"the answer is lost; {waiting} wait")
        raise AssertionError(f"{what}: it is not in doubt")


# Who performs the calls


@attrs.define
class _Clutch:
    """A transport to the sandbox that can lose an answer, and a clock that can be moved."""

    url: str
    inner: Transport
    lose: bool = False  # the answer to the next request that changes something
    requests: int = 0  # so far
    ahead: timedelta = timedelta()  # how far the clock is ahead

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.requests += 1
        lose, self.lose = self.lose and method not in READING, self.lose and method in READING
        return self.inner.send(method, {**headers, **FAULT} if lose else headers, body)

    def close(self) -> None:
        self.inner.close()


@attrs.frozen
class _Shop:
    """The books of the story, and what else it needs."""

    books: Books
    plastic: str  # the number of a physical card on the shelf
    clutch: _Clutch | None = None


@contextmanager
def _with_provider(books: Books) -> Iterator[_Shop]:
    """The books with Clutch as their provider, and its sandbox served; or as they are, if that is not installed."""
    try:
        import httpcore2  # noqa: F401  # the transport needs it

        from tallystick.clutch.sandbox.server import Server
    except ImportError:
        yield _Shop(books, random_number())
        return
    from tallystick.clutch.client import ClutchProvider
    from tallystick.clutch.sandbox import CardSet, Sandbox
    from tallystick.clutch.settings import ClutchSettings
    from tallystick.clutch.transport import HttpTransport

    def clock() -> datetime:
        return utc_now() + clutch.ahead

    sets: dict[str, int | CardSet] = {"GIFT": 9, "PLASTIC": CardSet(9, physical=True)}
    with Sandbox(card_sets=sets, clock=lambda: clock().timestamp()) as sandbox, Server(sandbox) as server:
        who = server.connection()
        settings = ClutchSettings.from_environment({}, base_url=f"{who.pop('url')}/merchant", **who)
        settings = attrs.evolve(settings, card_sets={"gift": "GIFT"}, rate=1000.0)
        with _no_proxy():
            clutch = _Clutch(server.url, HttpTransport(settings))
        with closing(ClutchProvider(settings, clutch, clock=clock)) as provider:
            engine = Engine(books.engine.machines, books.engine.store, provider, clock=clock)
            yield _Shop(Books(engine), sandbox.inventory("PLASTIC")[0], clutch)


@contextmanager
def _no_proxy() -> Iterator[None]:
    """Without the proxy of the environment, which cannot reach this machine."""
    before = os.environ.get("no_proxy")
    os.environ["no_proxy"] = "*"
    try:
        yield
    finally:
        del os.environ["no_proxy"]
        if before is not None:
            os.environ["no_proxy"] = before


def table(steps: list[Step]) -> RenderableType:
    """The story as a table: what happens, what the books say, and the card's money afterwards; then the notes."""
    colours = {"refused": "yellow", "in doubt": "yellow", "differs": "red", "replayed": "cyan"}
    rows: list[list[str | Text]] = []
    for step in steps:
        if step.card:
            says = Text.assemble((step.result, colours.get(step.result, "green")), f": {step.says}")
            rows.append([step.what, says, step.available, step.held])
    notes = [Text(f"{step.what}: {step.says}") for step in steps if not step.card]
    columns = ("what happens", "what the books say", "available", "held")
    return Group(grid(*columns, rows=rows, right=("available", "held")), *notes)
