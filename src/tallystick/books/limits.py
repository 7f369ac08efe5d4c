"""How little and how much goes onto a card, and off it at once, by the kind and form of the card.

The limits are facts of the card, and its page guards them. Here they are only given to a card when it is made: a sale
is refused before anything is drawn, whoever makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tallystick.books.base import BaseBooks
from tallystick.core.arguments import in_minor_units
from tallystick.core.entity import CREATE
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command
from tallystick.errors import Invalid, nearest
from tallystick.money import Money

if TYPE_CHECKING:
    from tallystick.books.balance import BalanceSettings

CARD = "gift_card"
LIMITS = ("smallest", "limit", "hard_limit", "use_limit", "cash_out_limit")  # facts of a card
Limits = Mapping[tuple[str, str], Mapping[str, Money | str | bool]]  # (kind, form) → facts of the card


class Limited(BaseBooks):
    """Books whose new cards get limits."""

    def __init__(
        self, engine: Engine, *, balances: BalanceSettings | None = None,
        verify_captcha: Callable[[str, str], bool] | None = None, limits: Limits | None = None, closes: Any = None,
    ) -> None:  # fmt: skip
        """Raises Invalid: a limit is for no kind, form or amount of a card."""
        super().__init__(engine, balances=balances, verify_captcha=verify_captcha, closes=closes)
        self._limits = limits or {}
        page = engine.machines[CARD].facts if self._limits else {}
        for of, given in self._limits.items():
            known = [("kind", page["kind"].type.choices), ("form", page["form"].type.choices)]
            for name, (what, choices) in zip(of, known, strict=True):
                if name not in choices:
                    raise Invalid(f"limits: {name!r} is no {what} of a card.{nearest(name, list(choices))}")
            for name in given:
                if name not in LIMITS:
                    raise Invalid(f"limits: {name!r} is no limit of a card.{nearest(name, LIMITS)}")

    def _command(
        self, machine: str, id: str, command: str, args: Mapping[str, object], key: str, by: str | None,
        reason: str | None = None, due: datetime | None = None,
    ) -> Command:  # fmt: skip
        if self._limits and (machine, command) == (CARD, CREATE):
            said = {name: value for name, value in args.items() if value is not None}
            args = {**self._limits_for(id, args), **said}
        return super()._command(machine, id, command, args, key, by, reason, due)

    def _limits_for(self, card: str, facts: Mapping[str, object]) -> Mapping[str, object]:
        """What a new card gets. One that is there has its own: whoever says its creation again means these."""
        rule = self._limits.get((str(facts.get("kind") or "gift"), str(facts["form"])), {})
        with self.engine.store.reading() as reading:
            there = reading.entity(CARD, card) if card.isprintable() else None
        if there is not None:
            return in_minor_units({name: there.facts[name] for name in rule if there.facts[name] is not None})
        currency = facts["currency"]
        return {name: most for name, most in rule.items() if not isinstance(most, Money) or most.currency == currency}
