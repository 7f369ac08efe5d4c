"""What an order system does all day, and its customers, operators and other channels: one operation at a time.

Most operations suit the state of some card or order, often one that was used just before, so that things meet. Some
suit nothing: any command, with an amount at the edge of what is there. A caller whose command died or was turned away
repeats it later with its key, or never. A caller who got an answer sometimes asks again, and has to get the same.

One operation is one of these: a command, repeated or new; a queued command that is executed; a run of `recover` that
found something in doubt; a decision of a person; an act of another channel.
"""

from __future__ import annotations

from collections import Counter, deque
from datetime import timedelta
from random import Random
from typing import Any

import attrs

from tallystick.core.arguments import in_minor_units
from tallystick.definition.machine import Machines
from tallystick.engine.engine import GRACE
from tallystick.engine.receipt import Command, Ended, Receipt
from tallystick.errors import Invalid, KeyReused
from tallystick.store.rows import stamp
from tallystick.testing.referee import Acknowledged
from tallystick.testing.simulation.operator import Operator
from tallystick.testing.simulation.provider_double import ProviderDouble
from tallystick.testing.simulation.workload import Workload
from tallystick.testing.simulation.world import START, SimulatedWorld

AGAIN = (Ended.UNAVAILABLE, Ended.IN_DOUBT)
FINAL = (Ended.APPLIED, Ended.DECLINED)
LATE = (0.0, 5.0, 600.0, 7200.0)  # seconds by which something happened before it is told, at most
PAUSES = (0.5, 5.0, 90.0, 90.0, 400.0, 400.0, 3600.0, 3600.0)  # seconds between two operations, at most


class WrongAnswer(AssertionError):
    """An answer that contradicts an earlier one."""


class OrderSystem:
    """Gives commands to the running process of a world, and hears the answers."""

    def __init__(self, seed: int, machines: Machines, world: SimulatedWorld, double: ProviderDouble) -> None:
        self.world, self.double, self.machines = world, double, machines
        self.operator = Operator(world, double)
        self.chance = Random(f"{seed}:traffic")  # noqa: S311  # to be repeatable
        self.counts: Counter[str] = Counter()  # operations by kind
        self.answers: Counter[str] = Counter()  # commands by their result
        self.acknowledged: list[Acknowledged] = []
        self.pending: list[Command] = []  # died, or turned away: to be given again
        self.late = 0.0  # of the commands, so many happened before they are given
        self._dates = Random(f"{seed}:dates")  # noqa: S311
        self._answered: deque[tuple[Command, Ended]] = deque(maxlen=40)
        self.workload = Workload(world, double, machines, self.chance, self.command)
        self._count = 0

    @property
    def operations(self) -> int:
        return self.counts.total()

    # One operation

    def operate(self) -> None:
        world, roll = self.world, self.chance.random()
        world.advance(self.chance.choice(PAUSES) * self.chance.random())
        if world.rates.jumps and self.chance.random() < world.rates.jumps:
            world.set_clock()
        if roll < 0.06:
            self.recover()
        elif roll < 0.14:
            self.run_due()
        elif roll < 0.20 and self.pending:
            self.counts["commands"] += 1
            self.give(self.pending.pop(self.chance.randrange(len(self.pending))))
        elif roll < 0.23 and self._answered:
            self._ask_again()
        elif roll < 0.27:
            self._elsewhere()
        elif roll < 0.28:
            self._decide_by_hand()
        elif roll < 0.32:
            self.workload.anything()
        else:
            self.workload.go_on()

    def recover(self) -> None:
        found: list[Receipt] = []
        if not self.world.survives(lambda: found.extend(self.world.engine.recover())) or found:
            self.counts["recoveries"] += 1

    def run_due(self) -> None:
        ran: list[Receipt] = []
        if self.world.survives(lambda: ran.extend(self.world.engine.run_due(5))):
            self.counts["queued commands"] += len(ran)

    def give(self, command: Command) -> Receipt | None:
        """Give a command; None if the process died of it, or if it was no command at all."""
        answers: list[Receipt] = []
        self.world.recent.append((command.machine, command.id, command.command, command.args, command.key))

        def attempt() -> None:
            try:
                answers.append(self.world.engine.try_execute(command))
            except Invalid as error:
                self.answers["invalid"] += 1
                self.world.recent.append(("invalid", str(error)))

        if not self.world.survives(attempt):
            self._give_later(command)
            return None
        if not answers:
            return None
        (receipt,) = answers
        self._hear(command, receipt)
        return receipt

    def _give_later(self, command: Command) -> None:
        """Keep it for another try. A person who saw a hold gone looks again: by then there may be a new hold."""
        if command.command != "mark_hold_lost":
            self.pending.append(command)

    def _hear(self, command: Command, receipt: Receipt) -> None:
        self.answers[receipt.result] += 1
        self.world.recent.append(("answer", receipt.result, receipt.why))
        told = Acknowledged(command.key, command.machine, command.id, command.command, str(receipt.result))
        self.acknowledged.append(told)
        if receipt.pin:
            self.workload.pins[command.id] = receipt.pin
        if receipt.result in AGAIN:
            self._give_later(command)
        elif receipt.result in FINAL:
            self._answered.append((command, receipt.result))

    def command(
        self, machine: str, id: str, command: str, *, later: float = 0.0, signed: bool = False, **args: Any
    ) -> Receipt | None:
        """A new command, now or later; `signed` by a person."""
        self._count += 1
        self.counts["commands"] += 1
        due = START + timedelta(seconds=self.world.seconds + later) if later else None
        by, reason = ("ann", "seen in their office") if signed else (None, None)
        given = Command(machine, id, command, in_minor_units(args), f"k{self._count}", by, reason, due)
        if due is None and self._dates.random() < self.late:
            ago = self._dates.choice(LATE) * self._dates.random() - min(0.0, self.world.clock_error)
            given = attrs.evolve(given, occurred_at=START + timedelta(seconds=self.world.seconds - ago))
        return self.give(given)

    def _ask_again(self) -> None:
        """A caller that had its answer gives the same command again, or another one under the same key."""
        command, ended = self.chance.choice(self._answered)
        self.counts["commands"] += 1
        if self.chance.random() < 0.2:
            other = attrs.evolve(command, args={**command.args, "by_mistake": 1}, by=None, reason=None, due=None)
            self.world.survives(lambda: self._refused(other))
            return
        receipt = self.give(command)
        if receipt is not None and (receipt.result is not ended or not receipt.replayed):
            raise WrongAnswer(f"{command.key} was answered {ended}, and then {receipt.result}: {receipt.why}")

    def _refused(self, command: Command) -> None:
        try:
            receipt = self.world.engine.try_execute(command)
        except (KeyReused, Invalid):
            self.answers["invalid"] += 1
            return
        raise WrongAnswer(f"{command.key} was said with another argument and answered {receipt.result}")

    def _release_hold(self) -> None:
        """A person releases a hold of ours at the provider's."""
        payments = [self.world.entity(*ref) for ref in self.workload.orders if ref[0] == "payment"]
        held = [each for each in payments if each is not None and each.accounts["held"] and not each.calls]
        if held and not self.workload.lost(held[0]):
            card = self.world.entity("gift_card", str(held[0].facts["card"]))
            assert card is not None
            if self.double.release_hold(str(card.facts["number"]), str(held[0].facts["hold_id"])):
                self.counts["other channels"] += 1
                self.world.recent.append(("the provider releases the hold of", held[0].id))

    def _elsewhere(self) -> None:
        """Another channel spends, in its own time."""
        if self.chance.random() < 0.1:
            self._release_hold()
            return
        card = self.workload.card()
        if card is None or not (number := card.facts.get("number")):
            return
        if self.double.act_elsewhere(str(number), card.currency, self.workload.amount(3000)):
            self.counts["other channels"] += 1
            self.world.recent.append(("another channel spends from", card.id))

    def _decide_by_hand(self) -> None:
        """A person decides what has been in doubt for long; nobody can know yet about what is still on its way."""
        long_ago = stamp(START + timedelta(seconds=self.world.seconds + min(0.0, self.world.clock_error)) - 2 * GRACE)
        with self.world.store.reading() as reading:
            calls = reading.calls(asked_before=long_ago)
        if calls and not self.world.late:
            self.counts["decisions"] += 1
            self.world.survives(lambda: self.operator.decide(calls[0]))
