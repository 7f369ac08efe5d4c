"""What to do next with a card or an order, from the first hold to the last cent and from the box to the replacement.

Each piece of work looks at one card or order and does what its state suggests, often to one that was used just before,
so that things meet. Amounts are often the same few, because look-ups can mix up what is alike.
"""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

from tallystick.core.entity import Entity
from tallystick.definition.machine import Machines
from tallystick.engine.receipt import Receipt
from tallystick.testing.simulation.provider_double import ProviderDouble
from tallystick.testing.simulation.tenders import Give, TenderWork
from tallystick.testing.simulation.world import START, SimulatedWorld

CARDS, ORDERS = 10, 10  # that are in use at a time


class Workload:
    """Cards and orders in use, and what to do with them next."""

    def __init__(
        self, world: SimulatedWorld, double: ProviderDouble, machines: Machines, chance: Random, give: Give
    ) -> None:
        self._world, self._double, self._machines, self._chance, self._give = (world, double, machines, chance, give)
        self.cards: list[str] = []
        self.orders: list[tuple[str, str]] = []  # payments, tenders, fulfilments, replacements
        self.pins: dict[str, str] = {}
        self._tenders = TenderWork(world, chance, give)
        self._scanned: dict[str, str] = {}  # a number is scanned for one card only
        self._count = 0

    def go_on(self) -> None:
        """Something that suits what is there."""
        roll = self._chance.random()
        if len(self.cards) < 2 or (len(self.cards) < CARDS and roll < 0.1):
            self._new_card()
        elif roll < 0.68 and self.orders:
            self._proceed(self.orders[-1] if roll < 0.4 else self._chance.choice(self.orders))
        else:
            card = self.card()
            if card is not None and card.state == "issued" and roll < 0.75:
                self._new_payment(card)
            elif card is not None and card.state == "issued" and roll < 0.9:
                self._new_tender(card)
            elif card is not None:
                self._handle(card)

    def card(self) -> Entity | None:
        if not self.cards:
            return None
        return self._world.entity("gift_card", self._chance.choice(self.cards))

    def _new_card(self) -> None:
        self._count += 1
        id, currency = f"c{self._count}", self._chance.choice(self._double.currencies)
        form = "physical" if self._chance.random() < 0.25 else "electronic"
        more: dict[str, Any] = {"card_set": "GIFT"} if form == "electronic" else {}
        if self._chance.random() < 0.4:
            more |= {
                "cash_out_limit": 600,
                "limit": 20000,
                "kind": self._chance.choice(["gift", "promo", "merchandise_credit"]),
            }
        self._give("gift_card", id, "create", form=form, currency=currency, **more)
        self.cards.append(id)
        if len(self.cards) > CARDS - 2:
            self.cards.pop(0)
        if self._chance.random() < 0.4:
            sale = f"f{self._count}"
            later = form == "electronic" and self._chance.random() < 0.3
            day = START + timedelta(days=self._chance.randint(0, 20)) if later and self._chance.random() < 0.5 else None
            self._give("fulfilment", sale, "create", order=sale, card=id, form=form, amount=self.amount(9000),
                    currency=currency, issue_later=later, deliver=day)  # fmt: skip
            self._begin("fulfilment", sale)

    def _new_payment(self, card: Entity) -> None:
        self._count += 1
        id = f"p{self._count}"
        self._give("payment", id, "create", order=id, card=card.id, currency=card.currency)
        self._begin("payment", id)

    def _new_tender(self, card: Entity) -> None:
        """It and other cards pay for an order together, mostly with no more than they carry."""
        cards = [card, *self._alike(card.currency, but=card.id)][: self._chance.randint(1, 3)]
        amounts = [self.amount(min(4000, max(1, each.accounts["available"]))) for each in cards]
        id = self._tenders.begin(cards, amounts)
        self._begin("tender", id)
        if self._chance.random() < 0.3:  # somebody looks at a part alone
            self._begin("payment", f"{id}/1")

    def _alike(self, currency: str, but: str = "") -> list[Entity]:
        """Cards in use in a currency."""
        found = [self._world.entity("gift_card", id) for id in self.cards if id != but]
        return [each for each in found if each is not None and (each.state, each.currency) == ("issued", currency)]

    def _begin(self, machine: str, id: str) -> None:
        self.orders.append((machine, id))
        if len(self.orders) > ORDERS:
            self.orders.pop(0)

    def _proceed(self, ref: tuple[str, str]) -> None:
        entity = self._world.entity(*ref)
        if entity is None:  # its creation died and was not repeated yet
            self.orders.remove(ref)
            return
        if entity.machine == "payment":
            self._pay(entity)
        elif entity.machine == "tender":
            self._tenders.proceed(entity, self._alike(entity.currency))
        elif entity.machine == "fulfilment":
            self._fulfil(entity)
        else:
            self._replace(entity)
        if self._machines[ref[0]].states[entity.state].final and self._chance.random() < 0.3 and ref in self.orders:
            self.orders.remove(ref)

    def _handle(self, card: Entity) -> None:
        """Something that suits the state of a card."""
        roll = self._chance.random()
        match card.state:
            case "inventory" if card.facts["form"] == "electronic" and roll < 0.9:
                self._give("gift_card", card.id, "allocate")
            case "inventory" if roll < 0.7 and (number := self._number(card)):
                self._give("gift_card", card.id, "activate", number=number)
            case "inventory":
                balance = self.amount(5000)
                if card.id not in self._scanned and (number := self._double.sell_elsewhere(card.currency, balance)):
                    self._scanned[card.id] = number
                    self._give("gift_card", card.id, "recognize", number=number, balance=balance)
            case "allocated" if roll < 0.8:
                self._give("gift_card", card.id, "activate")
            case "activated" if roll < 0.8:
                self._give("gift_card", card.id, "issue", amount=self.amount(9000))
            case "issued" if roll < 0.85:
                self._care(card, roll)
            case "allocated" | "activated" | "issued":
                self._give("gift_card", card.id, "suspend")
            case "suspended" if roll < 0.4:
                self._give("gift_card", card.id, "reinstate")
            case "suspended" if card.accounts["available"] and roll < 0.9:
                self._empty(card, roll)
            case "suspended":
                self._give("gift_card", card.id, "adjust", amount=self._chance.choice((1, -1)) * self.amount(300))

    def _care(self, card: Entity, roll: float) -> None:
        if roll < 0.05 and card.accounts["available"]:
            self._move(card)
        elif roll < 0.3:
            more = "credit" if roll < 0.1 else "reload"
            self._give("gift_card", card.id, more, amount=self.amount(3000), order=f"o-{card.id}")
        elif roll < 0.5:
            self._give("gift_card", card.id, "adjust", amount=self._chance.choice((1, -1)) * self.amount(1500))
        elif roll < 0.57:
            self._give("gift_card", card.id, "cash_out", amount=card.accounts["available"])
        elif roll < 0.62:
            self._give("gift_card", card.id, "register", email="who@example.com")
        else:
            self.observe(card)

    def observe(self, card: Entity) -> Receipt | None:
        """Take over what the provider says is available."""
        if not card.facts.get("number"):
            return None
        balance = self._double.available(str(card.facts["number"]), card.currency)
        return self._give("gift_card", card.id, "observe", balance=balance)

    def _number(self, card: Entity) -> str | None:
        if card.id not in self._scanned and (number := self._double.new_physical_card(card.currency)):
            self._scanned[card.id] = number
        return self._scanned.get(card.id)

    def _pay(self, payment: Entity) -> None:
        """Something that suits the state of a payment."""
        id, held, roll = payment.id, payment.accounts["held"], self._chance.random()
        if held and roll < 0.3 and self.lost(payment):
            self._give("payment", id, "mark_hold_lost", signed=True)
            return
        match payment.state:
            case "requested" if roll < 0.05:
                self._give("payment", id, self._chance.choice(("cancel", "close")))
            case "requested":
                pin = self.pins.get(str(payment.facts["card"]))
                secret: dict[str, Any] = {"pin": pin} if pin and self._chance.random() < 0.3 else {}
                command = "authorize" if self._chance.random() < 0.75 else "redeem"
                self._give("payment", id, command, amount=self.amount(4000), allow_partial=roll < 0.3, **secret)
            case "authorized" | "advanced_hold" | "partially_settled" if held and roll < 0.75:
                amount = held if roll < 0.2 else self._chance.randint(1, held)
                how: dict[str, Any] = self._chance.choice(({}, {}, {"last": True}, {"keep_hold": True}))
                later = 1800.0 if roll > 0.68 else 0.0
                self._give("payment", id, "settle", amount=amount, later=later, **how)
            case "authorized" | "advanced_hold" | "partially_settled":
                self._leave(payment, roll)
            case "closed" if payment.facts["redemption_id"] and roll < 0.5:
                self._give("payment", id, "void")
            case "closed" if roll < 0.7 and payment.accounts["redeemed"]:
                self._refund(payment)

    def _leave(self, payment: Entity, roll: float) -> None:
        uncovered, there = payment.accounts["uncovered"], payment.accounts["held"] + payment.accounts["uncovered"]
        if there > 1 and self._chance.random() < 0.2:
            self._give("payment", payment.id, "reduce", amount=self._chance.randint(1, there - 1))
            return
        if uncovered and roll < 0.82:
            self._give("payment", payment.id, "hold_again", amount=self._chance.randint(1, uncovered))
        elif uncovered and roll < 0.9:
            self._give("payment", payment.id, "cover_elsewhere", amount=self._chance.randint(1, uncovered))
        else:
            self._give("payment", payment.id, "cancel" if roll < 0.97 else "close")

    def _refund(self, payment: Entity) -> None:
        amount = self._chance.randint(1, payment.accounts["redeemed"])
        fresh = [id for id in self.cards if (card := self._world.entity("gift_card", id)) is not None
                 and card.state == "activated" and card.currency == payment.currency]  # fmt: skip
        if fresh and self._chance.random() < 0.7:
            self._give("payment", payment.id, "refund_to", amount=amount, to=fresh[0])
        else:
            self._give("payment", payment.id, "refund", amount=amount)

    def _fulfil(self, sale: Entity) -> None:
        electronic, roll = sale.facts["form"] == "electronic", self._chance.random()
        match sale.state:
            case "released" | "in_review" | "approved" if roll < 0.05:
                self._give("fulfilment", sale.id, "cancel")
            case "released" if roll < 0.4:
                card = None if electronic else self._world.entity("gift_card", str(sale.facts["card"]))
                number = self._number(card) if card is not None and roll < 0.2 else None
                self._give("fulfilment", sale.id, "review", number=number)
            case "in_review":
                self._give("fulfilment", sale.id, "approve" if roll < 0.8 else "reject")
            case "released" | "approved" if electronic:
                self._give("fulfilment", sale.id, "allocate")
            case "released" | "approved":
                card = self._world.entity("gift_card", str(sale.facts["card"]))
                if card is not None and (number := self._number(card)) and roll < 0.7:
                    self._give("fulfilment", sale.id, "ship", number=number)
                elif number:
                    self._give("fulfilment", sale.id, "ship_with_pin", number=number, pin=self._double.pin(number))
            case "allocated" | "shipped":
                self._give("fulfilment", sale.id, "activate")
            case "scheduled" if roll < 0.4:
                self._give("fulfilment", sale.id, "deliver_on" if roll < 0.3 else "cancel")
            case "activated" | "scheduled":
                self._give("fulfilment", sale.id, "issue")

    def _empty(self, card: Entity, roll: float) -> None:
        """What is on a suspended card leaves it."""
        if roll < 0.55:
            self._give("gift_card", card.id, "take_back", amount=card.accounts["available"])
        else:
            self._new_replacement(card)

    def _move(self, card: Entity) -> None:
        """Some of what is on a card in use goes to another, as often to itself."""
        self._count += 1
        id, to, amount = f"r{self._count}", self._chance.choice(self.cards[-5:]), card.accounts["available"]
        self._give("replacement", id, "create", old=card.id, new=to, form="in_use", currency=card.currency)
        self._begin("replacement", id)
        amount = self._chance.randint(1, amount)
        self._give("replacement", id, "move", amount=amount, like=str(card.facts["kind"]))

    def _new_replacement(self, card: Entity) -> None:
        self._count += 1
        new, id, form = f"c{self._count}n", f"r{self._count}", self._chance.choice(("electronic", "physical"))
        more: dict[str, Any] = {"card_set": "GIFT"} if form == "electronic" else {}
        if self._chance.random() < 0.2:  # to a card that is in use, as often the one before
            new, form = self._chance.choice(self.cards[-5:]), "in_use"
        else:
            self._give("gift_card", new, "create", form=form, currency=card.currency, **more)
            self.cards.append(new)
        self._give("replacement", id, "create", old=card.id, new=new, form=form, currency=card.currency)
        self._begin("replacement", id)

    def _replace(self, replacement: Entity) -> None:
        id, roll = replacement.id, self._chance.random()
        old = self._world.entity("gift_card", str(replacement.facts["old"]))
        new = self._world.entity("gift_card", str(replacement.facts["new"]))
        match replacement.state:
            case "requested" | "emptied" | "allocated" | "activated" | "on_its_way" if roll < 0.1:
                self._give("replacement", id, "cancel")
            case "requested" if old is not None and old.accounts["available"]:
                self._give("replacement", id, "replace", amount=old.accounts["available"])
            case "emptied" if replacement.facts["form"] == "electronic":
                self._give("replacement", id, "allocate")
            case "emptied" if new is not None and (number := self._number(new)):
                self._give("replacement", id, "activate", number=number)
            case "allocated":
                self._give("replacement", id, "activate")
            case "activated":
                self._give("replacement", id, "issue")
            case "on_its_way":
                self._give("replacement", id, "put_on")
            case "replaced":
                self._give("replacement", id, "retire")

    def anything(self) -> None:
        """Any command, whether it suits or not, with an amount at the edge of what is there."""
        refs = [("gift_card", id) for id in self.cards[-3:]] + self.orders[-3:]
        entity = self._world.entity(*self._chance.choice(refs)) if refs else None
        if entity is None:
            return
        machine = self._machines[entity.machine]
        commands = [name for name, each in machine.commands.items() if not each.driven and name != "recognize"]
        command = self._chance.choice(commands)
        edges = [0, 1, -1, *entity.accounts.values(), *(amount + 1 for amount in entity.accounts.values())]
        args: dict[str, Any] = {}
        for name, type_ in machine.commands[command].arguments.items():
            if type_.kind == "money" and not type_.optional:
                args[name] = self._chance.choice(edges)
            elif type_.kind == "flag":
                args[name] = self._chance.random() < 0.5
            elif type_.kind == "shares":
                args[name] = [(each.id, self._chance.choice(edges)) for each in self._tenders.parts(entity.id)]
            elif type_.kind == "link":
                args[name] = self._chance.choice(self.cards)
        if command != "observe":  # a wrong balance would be somebody's mistake, and no fault of the books
            self._give(entity.machine, entity.id, command, **args)

    def amount(self, most: int) -> int:
        """Often the same few amounts, because look-ups can mix up what is alike."""
        return self._chance.choice((500, 700, 1000, self._chance.randint(1, most)))

    def lost(self, payment: Entity) -> bool:
        """Whether the hold of a payment is gone at the provider, and not by a call of ours."""
        card = self._world.entity("gift_card", str(payment.facts["card"]))
        number = card.facts.get("number") if card is not None else None
        held, hold = payment.accounts["held"], payment.facts["hold_id"]
        return bool(
            held and hold and not payment.calls and hold not in self._double.holds(str(number), payment.currency)
        )
