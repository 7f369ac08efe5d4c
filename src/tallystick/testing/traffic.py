"""What an order system does all day, and its other channels, customers and operators: one operation at a time.

Each operation suits the state of some card or order, and often one that was used just before, so that things meet.
Some suit nothing: any command, with an amount at the edge of what is there. Who gave a command that died, or was turned
away, says it again later under its key, or never; who got an answer sometimes asks again and has to hear the same.

One operation is one of these: a command given, again or for the first time; a queued command executed; a pass of
`recover` that found something in doubt; a person's decision; another channel's act.
"""

from __future__ import annotations

from collections import Counter, deque
from datetime import timedelta
from random import Random
from typing import Any

from tallystick.engine import GRACE
from tallystick.entity import Entity
from tallystick.errors import Invalid, KeyReused
from tallystick.machine import Machines
from tallystick.receipt import Command, Ended, Receipt, stamp
from tallystick.testing.half import Half
from tallystick.testing.office import Office
from tallystick.testing.referee import Told
from tallystick.testing.simulated import START, World

AGAIN = (Ended.UNAVAILABLE, Ended.IN_DOUBT)
FINAL = (Ended.APPLIED, Ended.DECLINED)
CARDS, ORDERS = 10, 10  # that are in use at a time
PAUSES = (0.5, 5.0, 90.0, 90.0, 400.0, 400.0, 3600.0, 3600.0)  # seconds between two operations, at most


class Wrong(AssertionError):
    """An answer that contradicts an earlier one."""


class Traffic:
    def __init__(self, seed: int, machines: Machines, world: World, half: Half) -> None:
        self.world, self.half, self.machines = world, half, machines
        self._office = Office(world, half)
        self.chance = Random(f"{seed}:traffic")  # noqa: S311  # to be repeatable
        self.done: Counter[str] = Counter()  # operations by kind
        self.ended: Counter[str] = Counter()  # commands by how they ended
        self.told: list[Told] = []
        self.pending: list[Command] = []  # died, or turned away: to be said again
        self._answered: deque[tuple[Command, Ended]] = deque(maxlen=40)
        self._cards: list[str] = []
        self._orders: list[tuple[str, str]] = []  # payments, fulfilments, replacements
        self._pins: dict[str, str] = {}
        self._scanned: dict[str, str] = {}  # a number is scanned for one card only
        self._count = 0

    @property
    def operations(self) -> int:
        return self.done.total()

    # One operation

    def step(self) -> None:
        world, roll = self.world, self.chance.random()
        world.on(self.chance.choice(PAUSES) * self.chance.random())
        if world.weather.jumps and self.chance.random() < world.weather.jumps:
            world.jump()
        if roll < 0.06:
            self.recover()
        elif roll < 0.14:
            self.run_due()
        elif roll < 0.20 and self.pending:
            self.done["commands"] += 1
            self.say(self.pending.pop(self.chance.randrange(len(self.pending))))
        elif roll < 0.23 and self._answered:
            self._ask_again()
        elif roll < 0.27:
            self._elsewhere()
        elif roll < 0.28:
            self._ask_a_person()
        elif roll < 0.32:
            self._anything()
        else:
            self._business()

    def recover(self) -> None:
        found: list[Receipt] = []
        if not self.world.alive(lambda: found.extend(self.world.engine.recover())) or found:
            self.done["recoveries"] += 1

    def run_due(self) -> None:
        ran: list[Receipt] = []
        if self.world.alive(lambda: ran.extend(self.world.engine.run_due(5))):
            self.done["queued commands"] += len(ran)

    def say(self, command: Command) -> Receipt | None:
        """Give a command; None if the process died of it, or it was no command at all."""
        answers: list[Receipt] = []
        self.world.story.append((command.machine, command.id, command.command, command.args, command.key))

        def attempt() -> None:
            try:
                answers.append(self.world.engine.attempt(command))
            except Invalid as error:
                self.ended["invalid"] += 1
                self.world.story.append(("invalid", str(error)))

        if not self.world.alive(attempt):
            self.pending.append(command)
            return None
        if not answers:
            return None
        (receipt,) = answers
        self._heard(command, receipt)
        return receipt

    def _heard(self, command: Command, receipt: Receipt) -> None:
        self.ended[receipt.result] += 1
        self.world.story.append(("answer", receipt.result, receipt.why))
        self.told.append(Told(command.key, command.machine, command.id, command.command, str(receipt.result)))
        if receipt.pin:
            self._pins[command.id] = receipt.pin
        if receipt.result in AGAIN:
            self.pending.append(command)
        elif receipt.result in FINAL:
            self._answered.append((command, receipt.result))

    def do(self, machine: str, id: str, command: str, *, later: float = 0.0, **args: Any) -> Receipt | None:
        self._count += 1
        self.done["commands"] += 1
        due = START + timedelta(seconds=self.world.seconds + later) if later else None
        return self.say(Command(machine, id, command, args, f"k{self._count}", due=due))

    def _ask_again(self) -> None:
        """A caller that had its answer says the same again, or something else under the same key."""
        command, ended = self.chance.choice(self._answered)
        self.done["commands"] += 1
        if self.chance.random() < 0.2:
            other = Command(
                command.machine, command.id, command.command, {**command.args, "by_mistake": 1}, command.key
            )
            self.world.alive(lambda: self._refused(other))
            return
        receipt = self.say(command)
        if receipt is not None and (receipt.result is not ended or not receipt.replayed):
            raise Wrong(f"{command.key} was answered {ended}, and then {receipt.result}: {receipt.why}")

    def _refused(self, command: Command) -> None:
        try:
            receipt = self.world.engine.attempt(command)
        except (KeyReused, Invalid):
            self.ended["invalid"] += 1
            return
        raise Wrong(f"{command.key} was said with another argument and answered {receipt.result}")

    def _elsewhere(self) -> None:
        """Another channel spends, in its own time."""
        card = self._card()
        number = card.facts.get("number") if card is not None else None
        if card is not None and number and self.half.spend(str(number), card.currency, self.amount(3000)):
            self.done["other channels"] += 1
            self.world.story.append(("another channel spends from", card.id))

    def _ask_a_person(self) -> None:
        """Somebody decides what has been in doubt for long; of what is on its way nobody can know yet."""
        long_ago = stamp(START + timedelta(seconds=self.world.seconds + min(0.0, self.world.set_by)) - 2 * GRACE)
        with self.world.store.reading() as reading:
            calls = reading.calls(asked_before=long_ago)
        if calls and not self.world.late:
            self.done["decisions"] += 1
            self.world.alive(lambda: self._office.decide(calls[0]))

    # Business

    def _business(self) -> None:
        roll = self.chance.random()
        if len(self._cards) < 2 or (len(self._cards) < CARDS and roll < 0.1):
            self._new_card()
        elif roll < 0.68 and self._orders:
            self._go_on(self._orders[-1] if roll < 0.4 else self.chance.choice(self._orders))
        else:
            card = self._card()
            if card is not None and card.state == "issued" and roll < 0.9:
                self._new_payment(card)
            elif card is not None:
                self._handle(card)

    def _card(self) -> Entity | None:
        if not self._cards:
            return None
        return self.world.entity("gift_card", self.chance.choice(self._cards))

    def _new_card(self) -> None:
        self._count += 1
        id, currency = f"c{self._count}", self.chance.choice(self.half.currencies)
        form = "physical" if self.chance.random() < 0.25 else "electronic"
        more: dict[str, Any] = {"card_set": "GIFT"} if form == "electronic" else {}
        if self.chance.random() < 0.4:
            more |= {"cash_out_limit": 600, "limit": 20000, "kind": self.chance.choice(["gift", "promo"])}
        self.do("gift_card", id, "create", form=form, currency=currency, **more)
        self._cards.append(id)
        if len(self._cards) > CARDS - 2:
            self._cards.pop(0)
        if self.chance.random() < 0.4:
            sale = f"f{self._count}"
            self.do("fulfilment", sale, "create", order=sale, card=id, form=form, amount=self.amount(9000),
                    currency=currency)  # fmt: skip
            self._begin("fulfilment", sale)

    def _new_payment(self, card: Entity) -> None:
        self._count += 1
        id = f"p{self._count}"
        self.do("payment", id, "create", order=id, card=card.id, currency=card.currency)
        self._begin("payment", id)

    def _begin(self, machine: str, id: str) -> None:
        self._orders.append((machine, id))
        if len(self._orders) > ORDERS:
            self._orders.pop(0)

    def _go_on(self, ref: tuple[str, str]) -> None:
        entity = self.world.entity(*ref)
        if entity is None:  # its creation died and was not said again yet
            self._orders.remove(ref)
            return
        if entity.machine == "payment":
            self._pay(entity)
        elif entity.machine == "fulfilment":
            self._fulfil(entity)
        else:
            self._replace(entity)
        if self.machines[ref[0]].states[entity.state].final and self.chance.random() < 0.3 and ref in self._orders:
            self._orders.remove(ref)

    def _handle(self, card: Entity) -> None:
        """Something that suits the state of a card."""
        roll = self.chance.random()
        match card.state:
            case "inventory" if card.facts["form"] == "electronic" and roll < 0.9:
                self.do("gift_card", card.id, "allocate")
            case "inventory" if roll < 0.7 and (number := self._number(card)):
                self.do("gift_card", card.id, "activate", number=number)
            case "inventory":
                balance = self.amount(5000)
                if card.id not in self._scanned and (number := self.half.sold_elsewhere(card.currency, balance)):
                    self._scanned[card.id] = number
                    self.do("gift_card", card.id, "recognize", number=number, balance=balance)
            case "allocated" if roll < 0.8:
                self.do("gift_card", card.id, "activate")
            case "activated" if roll < 0.8:
                self.do("gift_card", card.id, "issue", amount=self.amount(9000))
            case "issued" if roll < 0.85:
                self._care(card, roll)
            case "allocated" | "activated" | "issued":
                self.do("gift_card", card.id, "suspend")
            case "suspended" if roll < 0.4:
                self.do("gift_card", card.id, "reinstate")
            case "suspended" if card.accounts["available"] and roll < 0.9:
                self._new_replacement(card)
            case "suspended":
                self.do("gift_card", card.id, "adjust", amount=self.chance.choice((1, -1)) * self.amount(300))

    def _care(self, card: Entity, roll: float) -> None:
        if roll < 0.3:
            self.do("gift_card", card.id, "reload", amount=self.amount(3000))
        elif roll < 0.5:
            self.do("gift_card", card.id, "adjust", amount=self.chance.choice((1, -1)) * self.amount(1500))
        elif roll < 0.6:
            self.do("gift_card", card.id, "cash_out")
        else:
            self.observe(card)

    def observe(self, card: Entity) -> Receipt | None:
        """Take over what the provider says is available."""
        if not card.facts.get("number"):
            return None
        balance = self.half.available(str(card.facts["number"]), card.currency)
        return self.do("gift_card", card.id, "observe", balance=balance)

    def _number(self, card: Entity) -> str | None:
        if card.id not in self._scanned and (number := self.half.blank(card.currency)):
            self._scanned[card.id] = number
        return self._scanned.get(card.id)

    def _pay(self, payment: Entity) -> None:
        """Something that suits the state of a payment."""
        id, held, roll = payment.id, payment.accounts["held"], self.chance.random()
        match payment.state:
            case "requested" if roll < 0.05:
                self.do("payment", id, self.chance.choice(("reverse", "close")))
            case "requested":
                pin = self._pins.get(str(payment.facts["card"]))
                secret: dict[str, Any] = {"pin": pin} if pin and self.chance.random() < 0.3 else {}
                command = "authorize" if self.chance.random() < 0.75 else "redeem_now"
                self.do("payment", id, command, amount=self.amount(4000), short=roll < 0.3, **secret)
            case "authorized" | "advanced_hold" | "partially_settled" if held and roll < 0.75:
                amount = held if roll < 0.2 else self.chance.randint(1, held)
                how: dict[str, Any] = self.chance.choice(({}, {}, {"last": True}, {"keep": True}))
                later = 1800.0 if roll > 0.68 else 0.0
                self.do("payment", id, "settle", amount=amount, later=later, **how)
            case "authorized" | "advanced_hold" | "partially_settled":
                self._leave(payment, roll)
            case "closed" if payment.facts["redemption"] and roll < 0.5:
                self.do("payment", id, "void")
            case "closed" if roll < 0.7 and payment.accounts["redeemed"]:
                self._refund(payment)

    def _leave(self, payment: Entity, roll: float) -> None:
        uncovered = payment.accounts["uncovered"]
        if uncovered and roll < 0.82:
            self.do("payment", payment.id, "hold_again", amount=self.chance.randint(1, uncovered))
        elif uncovered and roll < 0.9:
            self.do("payment", payment.id, "let_go", amount=self.chance.randint(1, uncovered))
        else:
            self.do("payment", payment.id, "reverse" if roll < 0.97 else "close")

    def _refund(self, payment: Entity) -> None:
        amount = self.chance.randint(1, payment.accounts["redeemed"])
        fresh = [id for id in self._cards if (card := self.world.entity("gift_card", id)) is not None
                 and card.state == "activated" and card.currency == payment.currency]  # fmt: skip
        if fresh and self.chance.random() < 0.7:
            self.do("payment", payment.id, "refund_to", amount=amount, to=fresh[0])
        else:
            self.do("payment", payment.id, "refund", amount=amount)

    def _fulfil(self, sale: Entity) -> None:
        electronic, roll = sale.facts["form"] == "electronic", self.chance.random()
        match sale.state:
            case "released" | "in_review" | "approved" if roll < 0.05:
                self.do("fulfilment", sale.id, "cancel")
            case "released" if roll < 0.4:
                self.do("fulfilment", sale.id, "review")
            case "in_review":
                self.do("fulfilment", sale.id, "approve" if roll < 0.8 else "reject")
            case "released" | "approved" if electronic:
                self.do("fulfilment", sale.id, "allocate")
            case "released" | "approved":
                card = self.world.entity("gift_card", str(sale.facts["card"]))
                if card is not None and (number := self._number(card)):
                    self.do("fulfilment", sale.id, "ship", number=number)
            case "allocated" | "shipped":
                self.do("fulfilment", sale.id, "activate")
            case "activated":
                self.do("fulfilment", sale.id, "issue")

    def _new_replacement(self, card: Entity) -> None:
        self._count += 1
        new, id, form = f"c{self._count}n", f"r{self._count}", self.chance.choice(("electronic", "physical"))
        more: dict[str, Any] = {"card_set": "GIFT"} if form == "electronic" else {}
        self.do("gift_card", new, "create", form=form, currency=card.currency, **more)
        self.do("replacement", id, "create", old=card.id, new=new, form=form, currency=card.currency)
        self._cards.append(new)
        self._begin("replacement", id)

    def _replace(self, replacement: Entity) -> None:
        id, roll = replacement.id, self.chance.random()
        old = self.world.entity("gift_card", str(replacement.facts["old"]))
        new = self.world.entity("gift_card", str(replacement.facts["new"]))
        match replacement.state:
            case "requested" | "emptied" | "allocated" | "activated" if roll < 0.1:
                self.do("replacement", id, "cancel")
            case "requested" if old is not None and old.accounts["available"]:
                self.do("replacement", id, "begin", amount=old.accounts["available"])
            case "emptied" if replacement.facts["form"] == "electronic":
                self.do("replacement", id, "allocate")
            case "emptied" if new is not None and (number := self._number(new)):
                self.do("replacement", id, "activate", number=number)
            case "allocated":
                self.do("replacement", id, "activate")
            case "activated":
                self.do("replacement", id, "issue")
            case "replaced":
                self.do("replacement", id, "retire")

    # Anything

    def _anything(self) -> None:
        """Any command, whether it suits or not, with an amount at the edge of what is there."""
        refs = [("gift_card", id) for id in self._cards[-3:]] + self._orders[-3:]
        entity = self.world.entity(*self.chance.choice(refs)) if refs else None
        if entity is None:
            return
        machine = self.machines[entity.machine]
        commands = [name for name, each in machine.commands.items() if not each.driven and name != "recognize"]
        command = self.chance.choice(commands)
        edges = [0, 1, -1, *entity.accounts.values(), *(amount + 1 for amount in entity.accounts.values())]
        args: dict[str, Any] = {}
        for name, type_ in machine.commands[command].arguments.items():
            if type_.kind == "money" and not type_.optional:
                args[name] = self.chance.choice(edges)
            elif type_.kind == "flag":
                args[name] = self.chance.random() < 0.5
            elif type_.kind == "link":
                args[name] = self.chance.choice(self._cards)
        if command != "observe":  # a balance that nobody has is somebody's mistake, and no fault of the books
            self.do(entity.machine, entity.id, command, **args)

    def amount(self, most: int) -> int:
        """Often the same few amounts: what is alike is what look-ups can mix up."""
        return self.chance.choice((500, 700, 1000, self.chance.randint(1, most)))
