"""Customers who try all of it: `python -m order_service.customers FOLDER --seed 1 --customers 20`. The "front".

Each customer is a story that follows from the seed. A story says everything with ids of its own and waits for answers.
If this process is killed and started again, every story is told again from its beginning: what was said before has its
answer already, and the story goes on where it was. That is how a browser with a "pay" button behaves, at its worst.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from order_service import cards, checkout, orders
from order_service.checkout import Typed
from order_service.database import Shop, open_shop
from order_service.models import LostCard, Order
from tallystick import NotFound, StoreError

Story = Generator[None, None, None]  # each `yield`: nothing more to do until somebody else has done something
GOOD, BAD = "visa", "visa-declines"


@dataclass
class Customer:
    """One customer, from the first gift card bought to the last order."""

    shop: Shop
    name: str
    plastic: Typed | None  # a physical card in the warehouse, which this customer will get
    chance: Random

    def story(self) -> Story:
        """Buys cards, then places some orders, loses a card, sends things back."""
        chance, mine = self.chance, [f"{self.name}-e", f"{self.name}-p"]
        yield from self._buys(mine[0], "electronic", chance.randint(20, 90) * 100)
        if self.plastic is not None:
            yield from self._buys(mine[1], "physical", chance.randint(20, 90) * 100)
        count, loses = chance.randint(2, 4), chance.random() < 0.3
        for number in range(count):
            order = f"{self.name}-{number}"
            at_once = chance.random() < 0.3
            yield from self._buys_at_once(order, mine) if at_once else self._orders(order, mine)
            if loses and number == count // 2:
                yield from self._loses(mine[0], f"{self.name}-n")
                mine[0] = f"{self.name}-n"
            if chance.random() < 0.4:
                yield from self._sends_back(order)

    def _buys(self, card: str, form: str, amount: int) -> Story:
        order = f"{card}-order"
        state = cards.sell(self.shop, order, self.name, amount, form, GOOD, card)
        while state in ("paying", "paid"):
            cards.fulfil(self.shop, card, self.plastic.number if self.plastic and form == "physical" else None)
            state = self._state(order)
            yield

    def _orders(self, order: str, mine: list[str]) -> Story:
        """An order in several parts: gift cards first, a credit card for the rest. The first try may fail."""
        chance = self.chance
        prices = [chance.randint(5, 30) * 100 + chance.randint(0, 99) for _ in range(chance.randint(1, 4))]
        fails, ships, stops = chance.random(), chance.random(), chance.random()
        wallet = self._wallet(mine)
        first, token = list(wallet), GOOD
        if fails < 0.25 and wallet:
            first[-1] = Typed(wallet[-1].number, "0000")  # the last card has another PIN
        elif fails < 0.5 and sum(prices) > sum(map(self._carries, mine)):
            token = BAD  # it is not asked otherwise, and stays the one on file
        state = checkout.place(self.shop, order, self.name, prices, first, token=token)
        for number in range(2, 6):
            while state == "paying":
                yield
                state = self._state(order)
            if state == "unpaid":
                state = checkout.pay(self.shop, order, wallet, token=GOOD, number=number)
        while state == "paying":
            yield
            state = self._state(order)
        lines = [f"{order}-{number}" for number in range(1, len(prices) + 1)]
        going = [] if state == "unpaid" else lines if ships < 0.5 else lines[: int(ships * len(lines))]
        for line in going:  # parcels leave one by one
            orders.ship(self.shop, order, [line])
            yield
        if state != "unpaid" and going != lines and stops < 0.8:
            yield from _until(lambda: orders.cancel(self.shop, order))

    def _buys_at_once(self, order: str, mine: list[str]) -> Story:
        """Goods over the counter: one card, taken in one step, and a credit card for the rest. That may be declined."""
        chance = self.chance
        prices = [chance.randint(5, 20) * 100 for _ in range(chance.randint(1, 2))]
        token, wallet = (BAD if chance.random() < 0.4 else GOOD), self._wallet([chance.choice(mine)])
        if wallet:
            state = checkout.buy_at_once(self.shop, order, self.name, prices, wallet[0], token=token)
            while state == "paying":
                yield
                state = self._state(order)

    def _loses(self, card: str, new: str) -> Story:
        yield from _until(lambda: cards.lose(self.shop, card, new))
        moves = 0
        while not moves:
            with self.shop.read() as session:
                lost = session.get_one(LostCard, card)
                moves = 1 if lost.state in ("done", "waiting") else lost.moves
            yield

    def _sends_back(self, order: str) -> Story:
        with self.shop.read() as session:
            found = session.get(Order, order)
            lines = [line.id for line in found.lines if line.state in ("shipped", "returned")] if found else []
        if lines:
            yield from _until(lambda: orders.take_back(self.shop, lines[0]))

    def _state(self, order: str) -> str:
        with self.shop.read() as session:
            return session.get_one(Order, order).state

    def _carries(self, card: str) -> int:
        try:
            return self.shop.books.card(card).available.minor
        except NotFound:
            return 0

    def _wallet(self, mine: list[str]) -> list[Typed]:
        """The cards that the mail has brought, with their PINs; and the plastic one, with what is printed on it."""
        numbers: dict[str, str] = {}
        pins: dict[str, str] = {}
        if self.shop.mailbox.exists():
            for line in self.shop.mailbox.read_text(encoding="utf-8").splitlines():
                letter = json.loads(line)
                numbers |= {letter["card"]: letter["number"]} if letter.get("number") else {}
                pins |= {letter["card"]: letter["pin"]} if letter.get("pin") else {}
        if self.plastic is not None and self.plastic.pin is not None:
            pins[f"{self.name}-p"] = self.plastic.pin
        needs_pin = not self.shop.books.engine.provider.local
        return [Typed(numbers[each], pins.get(each)) for each in mine
                if each in numbers and (each in pins or not needs_pin)]  # fmt: skip


def _until(deed: Callable[[], None]) -> Story:
    """Ask again until it can be done."""
    while True:
        try:
            return deed()
        except (orders.NotNow, cards.NotNow):
            yield


def tell(shop: Shop, seed: int, count: int, plastic: list[Typed], idle: Callable[[], object]) -> None:
    """Tell the stories of so many customers side by side. `idle` is called when all of them wait."""

    def beginning(number: int) -> Story:
        name = f"c{number}"
        owns = plastic[number] if number < len(plastic) else None
        return Customer(shop, name, owns, Random(f"{seed}/{name}")).story()

    stories = {number: beginning(number) for number in range(count)}
    while stories:
        for number in list(stories):
            try:
                next(stories[number])
            except StopIteration:
                del stories[number]
            except StoreError:  # the database was busy for too long: the customer begins anew
                stories[number] = beginning(number)
        idle()


def main() -> None:
    parser = argparse.ArgumentParser(prog="order_service.customers", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--customers", type=int, default=20)
    parsed = parser.parse_args()
    printed = parsed.folder / "plastic.json"
    plastic = [Typed(**each) for each in json.loads(printed.read_text(encoding="utf-8"))] if printed.exists() else []
    tell(open_shop(parsed.folder), parsed.seed, parsed.customers, plastic, lambda: time.sleep(0.05))


if __name__ == "__main__":
    main()
