"""The provider's half of one card: what is available, and what each hold and each transaction is still worth.

It moves by what `verbs.EFFECTS` declares, and by what really is there: a hold that is released gives back all that it
still holds, whatever the caller believes. So a caller that is wrong about it shows. Who names no hold takes of any.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from tallystick.provider.verbs import EFFECTS


@attrs.frozen
class Change:
    """How a half has changed: minor units. `odd`: why no provider would have done it, as a sentence."""

    available: int = 0
    held: int = 0
    odd: str = ""


NOTHING = Change()


@attrs.define
class Half:
    """What a provider knows of one card. Amounts are minor units."""

    available: int = 0  # below zero, if a card was filled before anybody looked
    worth: dict[str, int] = attrs.field(factory=dict)  # by reference: what it still holds or can still give back
    holds: set[str] = attrs.field(factory=set)  # the references that are holds

    @property
    def held(self) -> int:
        return sum(self.worth[each] for each in self.holds)

    def perform(self, verb: str, args: Mapping[str, object], amount: int, reference: str) -> Change:
        """Do what a confirmed call does. `amount`: what is confirmed, perhaps less than `args` ask for."""
        effect = EFFECTS[verb]
        given = {**args, "amount": amount}
        available, held, odd = _total(effect.available, given), _total(effect.held, given), ""
        if effect.names:
            named, wanted = str(args.get(effect.names) or ""), _total(effect.takes, given)
            of = [named] if named else [each for each in self.worth if (each in self.holds) == (effect.names == "hold")]
            left = sum(self.worth.get(each, 0) for each in of)
            if named and (named not in self.worth or (named in self.holds) != (effect.names == "hold")):
                odd = f"{verb} names {named}, which is no {effect.names} of this card"
            elif wanted > left:
                odd = f"{verb} takes {wanted} of {named or 'the card'}, which is good for {left} (minor units)"
            else:
                whole = effect.whole is not None and (effect.whole == "" or bool(args.get(effect.whole)))
                whole = whole and bool(named) and not args.get(effect.leaves)
                rest = left - wanted if whole else 0
                available, held = available + rest, held - (rest if effect.held else 0)
                self._take(of, wanted + rest)
        if effect.opens:
            self.worth[reference] = amount
            self.holds |= {reference} if effect.opens == "hold" else set()
        self.available += available
        return Change(available, held, odd)

    def _take(self, of: list[str], wanted: int) -> None:
        """Take this much of them, of the first one first."""
        for each in of:
            taken = min(wanted, self.worth[each])
            self.worth[each] -= taken
            wanted -= taken

    def lose(self, reference: str) -> None:
        """A hold is gone: released in the provider's portal, or run out."""
        self.available += self.worth.pop(reference, 0)
        self.holds.discard(reference)


def _total(sums: Mapping[str, int], given: Mapping[str, object]) -> int:
    amounts = {name: value for name in sums if isinstance(value := given.get(name), int)}
    return sum(amounts[name] * by for name, by in sums.items() if name in amounts)
