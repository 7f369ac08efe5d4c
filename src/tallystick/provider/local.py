"""The local provider: our own books are the truth. For a shop that issues its own store credit.

It answers at once, inside the transaction, so nothing is ever in doubt. It draws the numbers of electronic cards. There
is no PIN: it would not be stored, so it could not be checked. A PIN that is given is ignored.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection

import attrs

from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Result
from tallystick.provider.verbs import ABILITIES

DIGITS = 16  # as printed on most cards: 10^16 numbers, too many to try


def random_number() -> str:
    """A card number nobody can guess."""
    return str(secrets.randbelow(9 * 10 ** (DIGITS - 1)) + 10 ** (DIGITS - 1))


@attrs.frozen
class LocalProvider:
    """Confirms every call. `number` draws the number of an electronic card."""

    number: Callable[[], str] = random_number
    name: str = "local"
    local: bool = True
    abilities: Collection[str] = tuple(ABILITIES)

    def perform(self, call: Call) -> Outcome:
        return self.confirm(call.verb, call.id)

    def confirm(self, verb: str, id: str) -> Outcome:
        """The answer to a call. It depends on nothing else, so the call itself need not be made."""
        number = self.number() if verb == "allocate" else None
        return Outcome(Result.CONFIRMED, reference=id, number=number)

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        return NotSeen("our own books hold every call that was made")
