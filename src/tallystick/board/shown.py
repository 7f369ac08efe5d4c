"""Names and texts of the books, as the board may show them: no card number stands anywhere whole.

Ids, keys and orders are needed whole, to be looked for and to be typed. So a run of digits in a name is masked if it is
the number of a card in the books; and where numbers are sealed, so that nobody can see that, if it could be one. Free
texts are masked whenever they could have a number: what somebody has written as a reason, what a provider has said.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tallystick.core.arguments import plain_number
from tallystick.masks import LONG_NUMBER, like_a_number, mask, masked, redacted

_RUN = re.compile(rf"\d(?:[ .\-]?\d){{{LONG_NUMBER - 1},}}")
_SEALED = re.compile(r"sealed:[A-Za-z0-9_=\-]*:?")


class Shown:
    """How names and texts are shown on one page."""

    def __init__(self, is_card: Callable[[str], bool], sealed: bool) -> None:
        """`is_card`: whether a card of the books has this number. `sealed`: nobody can tell."""
        self._is_card, self._sealed = is_card, sealed
        self._seen: dict[str, bool] = {}

    def name(self, text: object, *, of_card: bool = False) -> str:
        """An id, a key, an order. `of_card`: it names a card, and could be its number before the books know that."""
        name = str(text)
        if of_card and like_a_number(name):
            return masked(name)
        if of_card and not self._sealed and len(number := plain_number(name)) >= LONG_NUMBER and self._is_card(number):
            return mask(name)
        return _RUN.sub(lambda found: self._run(found[0]), _SEALED.sub("…", name))

    def text(self, text: object) -> str:
        """What a person or a provider has said."""
        return redacted(_SEALED.sub("…", str(text))) if text else ""

    def _run(self, run: str) -> str:
        number = plain_number(run)
        if number not in self._seen:
            self._seen[number] = len(number) >= 12 if self._sealed else self._is_card(number)
        return mask(number) if self._seen[number] else run
