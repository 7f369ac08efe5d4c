"""Whatever is sent for an order carries its id in Clutch's header, over HTTP; and what is for no order carries none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

import tallystick
from clutch_world import settings_of
from tallystick.books.books import Books
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.sandbox import CardSet, Sandbox
from tallystick.clutch.sandbox.server import Server
from tallystick.clutch.transport import HttpTransport
from tallystick.money import Money

SETS: dict[str, int | CardSet] = {"GIFT": 9, "PLASTIC": CardSet(3, physical=True)}
OWNER = {"first_name": "Ana", "email": "ana@example.org"}


class Wire(HttpTransport):
    sent: list[tuple[str, str | None]]

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Any:
        if method not in ("search", "cardHistory"):
            self.sent.append((method, headers.get("externalTransactionId")))
        return super().send(method, headers, body)


class Shop:
    """A card with 50.00 and payments on it: held, closed by a one-step redemption, and partly settled."""

    def __init__(self, sandbox: Sandbox, url: str) -> None:
        settings = settings_of(sandbox, url, card_sets=dict.fromkeys(["gift", "merchandise_credit"], "GIFT"))
        self.wire = Wire(settings)
        self.wire.sent = []
        self.provider = ClutchProvider(settings, self.wire)
        self.books: Books = tallystick.open("memory:", provider=self.provider, pin_policy="optional")
        self.plastic = sandbox.inventory("PLASTIC")[0]
        self.books.sell_electronic("c", "50.00", "USD", order="o-0", key="sell")
        self.books.authorize("held", "c", "10.00", order="o-1", key="held")
        self.books.redeem("redeemed", "c", "10.00", order="o-1", key="redeemed")
        self.wire.sent.clear()


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Sandbox(card_sets=SETS, seed=11) as sandbox, Server(sandbox) as server:
        shop = Shop(sandbox, server.url)
        yield shop
        shop.books.close()
        shop.provider.close()


def tender(books: Books) -> object:
    return books.authorize_all(books.plan(Money(500, "USD"), ["c"]), order="o-1", key="k")


def reinstated(books: Books) -> object:
    books.suspend("c", order="o-1", key="suspend")
    return books.reinstate("c", order="o-1", key="k")


UPDATE, ALLOCATE, ACCOUNT = "updateBalance", "allocate", "updateAccount"
VERBS: dict[str, tuple[Callable[[Shop], object], list[str]]] = {
    "sale": (lambda shop: shop.books.sell_electronic("n", "5.00", "USD", order="o-1", key="k"), [ALLOCATE, UPDATE]),
    "shipped": (
        lambda shop: shop.books.ship_physical("n", shop.plastic, "5.00", "USD", order="o-1", key="k"),
        [ALLOCATE, UPDATE],
    ),
    "hold": (lambda shop: shop.books.authorize("p", "c", "5.00", order="o-1", key="k"), [UPDATE]),
    "tender": (lambda shop: tender(shop.books), [UPDATE]),
    "redeem": (lambda shop: shop.books.redeem("p", "c", "5.00", order="o-1", key="k"), [UPDATE]),
    "settle": (lambda shop: shop.books.settle("held", "5.00", keep_hold=False, key="k"), [UPDATE, UPDATE]),
    "cancel": (lambda shop: shop.books.cancel("held", key="k"), [UPDATE]),
    "void": (lambda shop: shop.books.void("redeemed", key="k"), ["voidTransaction"]),
    "refund": (lambda shop: shop.books.refund("redeemed", "5.00", key="k"), [UPDATE]),
    "refund to new": (lambda shop: shop.books.refund_to_new("redeemed", "5.00", "n", key="k"), [ALLOCATE, UPDATE]),
    "reload": (lambda shop: shop.books.reload("c", "5.00", order="o-1", key="k"), [UPDATE]),
    "credit": (lambda shop: shop.books.credit("c", "5.00", order="o-1", key="k"), [UPDATE]),
    "adjust": (lambda shop: shop.books.adjust("c", "5.00", order="o-1", key="k", by="ann", reason="r"), [UPDATE]),
    "register": (lambda shop: shop.books.register("c", OWNER, order="o-1", key="k"), [ACCOUNT]),
    "suspend and reinstate": (lambda shop: reinstated(shop.books), [ACCOUNT, ACCOUNT]),
    "replace": (
        lambda shop: shop.books.replace("c", "n", order="o-1", key="k"), [ACCOUNT, UPDATE, ALLOCATE, UPDATE],
    ),
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_the_order_stands_in_the_header(shop: Shop, verb: str) -> None:
    say, methods = VERBS[verb]
    say(shop)
    assert shop.wire.sent == [(method, "o-1") for method in methods]
    assert shop.books.verify().clean


@pytest.mark.parametrize(
    "say",
    [
        lambda books: books.reload("c", "5.00", key="k"),
        lambda books: books.adjust("c", "5.00", key="k", by="ann", reason="r"),
        lambda books: books.suspend("c", key="k"),
    ],
)
def test_what_is_for_no_order_names_none(shop: Shop, say: Callable[[Books], object]) -> None:
    say(shop.books)
    assert [order for _, order in shop.wire.sent] == [None]
