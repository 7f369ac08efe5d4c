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

import attrs

from tallystick.definition.machine import Machines
from tallystick.engine.engine import GRACE
from tallystick.engine.receipt import Command, Ended, Receipt, stamp
from tallystick.errors import Invalid, KeyReused
from tallystick.testing.referee import Acknowledged
from tallystick.testing.simulation.operator import Office
from tallystick.testing.simulation.provider_double import Half
from tallystick.testing.simulation.workload import Business
from tallystick.testing.simulation.world import START, World

AGAIN = (Ended.UNAVAILABLE, Ended.IN_DOUBT)
FINAL = (Ended.APPLIED, Ended.DECLINED)
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
        self.told: list[Acknowledged] = []
        self.pending: list[Command] = []  # died, or turned away: to be said again
        self._answered: deque[tuple[Command, Ended]] = deque(maxlen=40)
        self.business = Business(world, half, machines, self.chance, self)
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
            self.business.anything()
        else:
            self.business.go_on()

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
                answers.append(self.world.engine.try_execute(command))
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
        self.told.append(Acknowledged(command.key, command.machine, command.id, command.command, str(receipt.result)))
        if receipt.pin:
            self.business.pins[command.id] = receipt.pin
        if receipt.result in AGAIN:
            self.pending.append(command)
        elif receipt.result in FINAL:
            self._answered.append((command, receipt.result))

    def do(self, machine: str, id: str, command: str, *, later: float = 0.0, **args: Any) -> Receipt | None:
        """A new command, now or later."""
        due = START + timedelta(seconds=self.world.seconds + later) if later else None
        return self._give(Command(machine, id, command, args, due=due))

    def sign(self, machine: str, id: str, command: str) -> Receipt | None:
        """A new command that is a person's word."""
        return self._give(Command(machine, id, command, by="ann", reason="seen in their office"))

    def _give(self, command: Command) -> Receipt | None:
        self._count += 1
        self.done["commands"] += 1
        return self.say(attrs.evolve(command, key=f"k{self._count}"))

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
            receipt = self.world.engine.try_execute(command)
        except (KeyReused, Invalid):
            self.ended["invalid"] += 1
            return
        raise Wrong(f"{command.key} was said with another argument and answered {receipt.result}")

    def _let_go(self) -> None:
        """Somebody releases a hold of ours in the provider's office."""
        payments = [
            entity for ref in self.business.orders if ref[0] == "payment" and (entity := self.world.entity(*ref))
        ]
        held = [each for each in payments if each.accounts["held"] and not each.calls]
        if held and not self.business.lost(held[0]):
            card = self.world.entity("gift_card", str(held[0].facts["card"]))
            assert card is not None
            if self.half.let_go(str(card.facts["number"]), str(held[0].facts["hold"])):
                self.done["other channels"] += 1
                self.world.story.append(("their office lets go of the hold of", held[0].id))

    def _elsewhere(self) -> None:
        """Another channel spends, in its own time."""
        if self.chance.random() < 0.1:
            self._let_go()
            return
        card = self.business.card()
        number = card.facts.get("number") if card is not None else None
        if card is not None and number and self.half.spend(str(number), card.currency, self.business.amount(3000)):
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
