"""Which cards are held or redeemed only with their PIN: asked before such a call is opened.

A page says where a PIN is asked for. A command that takes `pin`, and whose call takes `has_pin` too, is refused without
it, as far as the policy demands it of the card. Others need none: an advanced hold, a settlement, an activation.
Whoever is named as the one who gives the command (`by`), a member of staff, may leave it out.

    required   the PIN of every card is demanded, unless it is known that it has none
    if_known   only that of a card that was drawn with one
    optional   none is; a PIN that is given is checked all the same

Only a provider that checks PINs knows them, so with another one the policy demands nothing.
"""

from __future__ import annotations

from typing import Literal, cast, get_args

import attrs

from tallystick.core import refusal
from tallystick.core.entity import Asked, Intent, Request
from tallystick.core.refusal import Code, Refusal
from tallystick.definition.machine import Machines
from tallystick.engine.sealing import Numbers
from tallystick.errors import Invalid, nearest
from tallystick.provider.protocol import ChecksPins, Provider
from tallystick.provider.verbs import VERBS

PinPolicy = Literal["required", "if_known", "optional"]
PIN = "pin"  # what pages and verbs call it
HAS_PIN = "has_pin"  # what a page says of its card: that it was drawn with one, or without


@attrs.frozen(eq=False, repr=False)
class Pins:
    """The policy of an engine. Raises Invalid: there is no such policy."""

    policy: PinPolicy
    provider: Provider
    numbers: Numbers
    checks: bool = attrs.field(init=False)  # the provider checks PINs

    @checks.default
    def _checks(self) -> bool:
        return isinstance(self.provider, ChecksPins)

    def __attrs_post_init__(self) -> None:
        known = get_args(PinPolicy)
        if self.policy not in known:
            raise Invalid(f"pin_policy is {', '.join(known)}, not {self.policy!r}.{nearest(str(self.policy), known)}")

    def missing(self, machines: Machines, request: Request, intent: Intent, by: str | None) -> Refusal | None:
        """The refusal of a command without the PIN that it needs."""
        asked, first = intent.asked, intent.steps[0].entity
        if asked is None or by or HAS_PIN not in VERBS[asked.verb] or asked.args.get(PIN) is not None:
            return None
        machine = machines.at(first.machine, first.machine_version)
        if PIN not in machine.commands[request.command].arguments or not self._demands(asked):
            return None
        has = "has" if asked.args.get(HAS_PIN) else "may have"
        why = f"{asked.entity.machine} {asked.entity.id!r} {has} a PIN, and none was given"
        why += "; it takes the PIN (pin), or the name of a member of staff who does without (by)"
        return refusal.of(first, machine, request.command, Code.PIN_NEEDED, why)

    def _demands(self, asked: Asked) -> bool:
        has_pin, number = asked.args.get(HAS_PIN), asked.entity.facts.get("number")
        if self.policy == "optional" or has_pin is False or (self.policy == "if_known" and not has_pin):
            return False
        return self.checks and cast(ChecksPins, self.provider).needs_pin(
            self.numbers.opened(str(number)) if number is not None else ""
        )
