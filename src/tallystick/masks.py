"""Card numbers where people may see them: an ellipsis and at most the last four digits.

`mask` is for what is known to be a card number. `masked` and `quoted` are for names, because somebody may have typed a
number in place of one. `with_masks` is for a text whose secrets we know, such as an error about a line of input.
`redacted` is for texts of others, such as a provider's message or an exception.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping

LONG_NUMBER = 9  # digits of a number that is taken for a card's, wherever a provider's text has it


def mask(number: str) -> str:
    """A card number as people may see it: …0281."""
    return f"…{number[-4:]}" if len(number) > 4 else "…"


def masked(name: str) -> str:
    """A name as it was given; only the last four digits, if it is a card number that somebody took for a name."""
    return "…" + "".join(filter(str.isdigit, name))[-4:] if like_a_number(name) else name


def masked_parts(name: str, shown: Callable[[str], str] = masked) -> str:
    """A name that others are a part of, such as the key of a follow-up, k-1/card>issue: each part as `shown`."""
    return re.sub(r"[^/>]+", lambda part: shown(part[0]), name)


def quoted(name: object) -> str:
    """A name in quotes, masked likewise."""
    text = masked(str(name))
    return repr(name if text == str(name) else text)


def like_a_number(text: str) -> bool:
    """Whether a text is a card number, perhaps in groups: twelve digits or more, and no letter."""
    digits = sum(map(str.isdigit, text))
    return digits >= 12 and digits == sum(map(str.isalnum, text))


def with_masks(text: str, masks: Mapping[str, str]) -> str:
    """The text with every secret replaced by its mask; but not inside a longer number or word, which is another one."""
    if not masks:
        return text
    longest_first = sorted(masks, key=len, reverse=True)
    pattern = rf"(?<!\w)(?:{'|'.join(re.escape(each) for each in longest_first)})(?!\w)"
    return re.sub(pattern, lambda found: masks[found[0]], text)


def redacted(text: str, hide: Iterable[str] = (), *, keep: Iterable[str] = (), long_numbers: bool = True) -> str:
    """A foreign text without card numbers, and without what is to be hidden, whatever stands between the digits.

    Digits of any script count, and blanks, dashes, dots or marks between them do not. What is to be hidden is found
    as whole words; a card number also with letters between its digits. With `long_numbers` every number of nine
    digits or more goes, known or not, except what is in `keep`: ids that a person needs.
    """
    for each in filter(str.strip, hide):
        text = _without(_pattern("".join(map(_ascii_digit, each))), text)
    if not long_numbers:
        return text
    kept = "|".join(map(re.escape, filter(None, keep)))
    parts = re.split(f"({kept})", text) if kept else [text]
    return "".join(part if at % 2 else _without(_LONG, part) for at, part in enumerate(parts))


_LONG = rf"[0-9](?:[\W_]{{0,3}}[0-9]){{{LONG_NUMBER - 1},}}"


def _without(pattern: str, text: str) -> str:
    plain, shown, end = "".join(map(_ascii_digit, text)), "", 0  # as long as the text
    for found in re.finditer(pattern, plain, re.IGNORECASE):
        shown, end = f"{shown}{text[end : found.start()]}…", found.end()
    return shown + text[end:]


def _ascii_digit(character: str) -> str:
    digit = unicodedata.digit(character, None)
    return character if digit is None else str(digit)


def _pattern(hidden: str) -> str:
    """Where a secret stands: one of digits in whatever groups, another one as a whole word."""
    digits = "".join(each for each in hidden if each.isdigit())
    if any(map(str.isalpha, hidden)) or not digits:
        return rf"(?<!\w){re.escape(hidden)}(?!\w)"
    between = "[^0-9]{0,8}" if len(digits) >= LONG_NUMBER else r"[\W_]{0,3}"
    return rf"(?<![0-9])0*{between.join(digits.lstrip('0') or '0')}(?![0-9])"
