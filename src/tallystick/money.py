"""Amounts: a whole number of minor units, and the code that says what one unit is.

    "50.00" BRL  --parse-->  5000  --to_text-->  "50.00"

* Inside there are only ints. Cents are counted, so they add up; a binary float cannot hold 0.10, and a
  Decimal carries a context that rounds without being asked. Neither gets past this file, not even
  `50.0`: who accepts the harmless one teaches callers to send the other.
* Outside there is only text: an optional '-', ASCII digits, and as many decimals as the currency has, or
  fewer. There is no rounding anywhere, so there is no rounding rule to agree on: "0.005" BRL is refused.
* `parse(to_text(n, code), code) == n` for every code and every n within `LIMIT`.
* Two currencies never meet: `+`, `-` and `<` raise. `==` answers False, because a set, a dict or an
  `in` must be able to ask.

`parse` and `to_text` work on plain ints; the core does its arithmetic on those, and the currency stands
once, on the entity. `Money` keeps number and code together, for those who call the library.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, final

import attrs

from tallystick.errors import MoneyError, nearest

if TYPE_CHECKING:
    from decimal import Decimal

# Larger than any gift card program, and it stays exact where amounts travel: under 2**53, so a JSON reader
# that knows only doubles keeps the last cent; and 9,000 amounts of this size still add up in 64 bits.
LIMIT: Final = 10**15
"""The largest amount, in minor units: ten trillion with two decimals. The smallest is `-LIMIT`."""

_LIMIT_DIGITS: Final = len(str(LIMIT))

# ISO 4217 list one as published on 2026-01-01, by the decimals it gives; funds codes (CLF, MXV, UYW, ...) are in.
# Left out are the codes to which it gives no decimals: metals, SDR and bond units, XTS (testing), XXX (none).
# Points and punches are value types of card programs, not currencies, and lower case so that no code of ISO
# can ever become theirs.
# fmt: off
_TABLE: Final = (
    (0, "points punches"),
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
    (2, ("AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF"
         " CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD"
         " GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL"
         " MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR"
         " PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP"
         " TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG")),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (4, "CLF UYW"),
)
# fmt: on

_EXPONENT: Final = {code: places for places, codes in _TABLE for code in codes.split()}

CODES: Final = tuple(_EXPONENT)
"""Every code that `exponent` knows: the value types first, then currencies by their decimals."""

# What to do instead, by the type that was sent. By name, so that decimal need not be imported to refuse it.
_INSTEAD: Final = {
    "float": "a float cannot hold cents exactly",
    "Decimal": "write a Decimal out with f'{amount:f}'",
    "int": "an int does not say whether it counts cents or whole units; Money(minor, currency) takes minor units",
    "bytes": "decode the bytes first",
}

_FORMAT: Final = re.compile(r"(?P<layout>(?:.?[<>^])?[0-9]*)(?P<grouped>,?)(?P<bare>n?)", re.DOTALL)


def exponent(code: str) -> int:
    """Say how many decimals an amount of this currency or value type has: BRL 2, JPY 0, KWD 3, points 0.

    Raises:
        MoneyError: the code is not known. Codes are case-sensitive.
    """
    try:
        return _EXPONENT[code]
    except (KeyError, TypeError):  # TypeError: a list or a dict, which cannot be looked up
        raise MoneyError(_unknown(code)) from None


def parse(text: str, code: str) -> int:
    """Read an exact decimal such as "50.00" and give its minor units: 5000 for BRL.

    Fewer decimals than the currency has are fine ("50", "0.5"), more are not, even if they are zeros:
    "50.000" is fifty to one reader and fifty thousand to another.

    Raises:
        MoneyError: not a string; not plain digits with at most one '.' and a leading '-'; more decimals
            than the currency has; beyond `LIMIT`; the code is not known.
    """
    places = exponent(code)
    if not isinstance(text, str):
        raise MoneyError(_not_text(text, code))
    whole, point, decimals = text.removeprefix("-").partition(".")
    # isdigit alone is true for Arabic or superscript digits, which int() would partly read.
    if not (text.isascii() and whole.isdigit() and (decimals.isdigit() or not point)):
        raise MoneyError(
            f"{_quoted(text)} is not an amount: write ASCII digits, '.' before decimals, '-' in front if negative, "
            f"and nothing else, such as {_sample(code)!r} {code}"
        )
    if len(decimals) > places:
        raise MoneyError(
            f"{_quoted(text)} has too many decimals: {code} has {places}, and nothing is rounded here; "
            f"write it like {_sample(code)!r}"
        )
    digits = (whole + decimals.ljust(places, "0")).lstrip("0")
    # The length first: int() of thousands of digits is slow, and past 4,300 a ValueError.
    if len(digits) > _LIMIT_DIGITS or (minor := int(digits or "0")) > LIMIT:
        raise MoneyError(f"{_quoted(text)} is {_beyond(code)}")

    return -minor if text[0] == "-" else minor


def to_text(minor: int, code: str) -> str:
    """Write minor units as an exact decimal with all decimals of the currency: 5000 BRL is "50.00".

    Totals beyond `LIMIT` are written too: a report may add up more than one amount may hold.

    Raises:
        MoneyError: not an int (a bool is not one); the code is not known.
    """
    places = exponent(code)
    if type(minor) is not int:
        raise MoneyError(_not_minor(minor))

    if not places:
        return str(minor)
    digits = str(minor).zfill(places + 1 + (minor < 0))  # zfill counts the sign, and pads behind it
    return f"{digits[:-places]}.{digits[-places:]}"


@final
@attrs.frozen(repr=False)
class Money:
    """An amount with its currency or value type.

    Money is added, subtracted, compared and negated within one currency, multiplied by whole numbers, and added up by
    `sum`. It is true if it is not zero. `str` and the formats write it out:

        f"{money}"      1234.50 BRL        f"{money:,}"      1,234.50 BRL
        f"{money:n}"    1234.50            f"{money:>14,n}"        1,234.50      (aligned as text is)

    Raises:
        MoneyError: `minor` is not an int or is beyond `LIMIT`; `currency` is not known. From every
            operator: the other side has another currency or is not Money, or the result is beyond `LIMIT`.
    """

    minor: int  # minor units: 5000 BRL is 50.00, 5000 JPY is 5000
    currency: str  # its ISO 4217 code, or "points" or "punches"

    def __attrs_post_init__(self) -> None:
        exponent(self.currency)
        if type(self.minor) is not int:
            raise MoneyError(_not_minor(self.minor))
        if not -LIMIT <= self.minor <= LIMIT:
            raise MoneyError(f"the amount is {_beyond(self.currency)}")

    @classmethod
    def parse(cls, text: str, currency: str) -> Money:
        """Read an exact decimal such as "50.00", by the rules and with the errors of `parse`."""
        return cls(parse(text, currency), currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        """Make nothing of a currency; the start of a `sum` that may be over no amounts at all.

        Raises:
            MoneyError: the code is not known.
        """
        return cls(0, currency)

    @property
    def decimal(self) -> Decimal:
        """The amount as an exact Decimal, with all decimals of the currency: 5000 BRL is Decimal("50.00")."""
        from decimal import Decimal

        return Decimal(to_text(self.minor, self.currency))

    def __str__(self) -> str:
        return f"{to_text(self.minor, self.currency)} {self.currency}"

    def __format__(self, spec: str) -> str:
        """Text by `[[fill]align][width][,][n]`: ',' groups the thousands, 'n' leaves the currency out."""
        found = _FORMAT.fullmatch(spec)
        if found is None:
            raise MoneyError(
                f"{_quoted(spec)} is not a format of an amount: write [[fill]align][width][,][n], such as ',' or '>12n'"
            )
        number = to_text(self.minor, self.currency)
        if found["grouped"]:
            whole, point, decimals = number.removeprefix("-").partition(".")
            number = f"{'-' if self.minor < 0 else ''}{int(whole):,}{point}{decimals}"
        return format(number if found["bare"] else f"{number} {self.currency}", found["layout"])

    def __repr__(self) -> str:
        return f"Money.parse({to_text(self.minor, self.currency)!r}, {self.currency!r})"

    def __bool__(self) -> bool:
        return self.minor != 0

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._alike(other, "added"), self.currency)

    def __radd__(self, other: int) -> Money:
        # sum() starts from the int 0, and only that number has the same value in every currency.
        if type(other) is int and other == 0:
            return self
        return Money(self._alike(other, "added") + self.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._alike(other, "subtracted"), self.currency)

    def __rsub__(self, other: Money) -> Money:
        # Only reached by what is not Money; without it `1.5 - money` would be a bare TypeError.
        return Money(self._alike(other, "subtracted") - self.minor, self.currency)

    def __mul__(self, times: int) -> Money:
        if type(times) is not int:
            raise MoneyError(f"{self} can be multiplied by a whole number only, not by {_a(times)}: nothing is rounded")
        return Money(self.minor * times, self.currency)

    __rmul__ = __mul__

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._alike(other, "compared")

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._alike(other, "compared")

    def __gt__(self, other: Money) -> bool:
        return self.minor > self._alike(other, "compared")

    def __ge__(self, other: Money) -> bool:
        return self.minor >= self._alike(other, "compared")

    def _alike(self, other: object, deed: str) -> int:
        """Give the other's minor units, if they count the same thing as ours."""
        if not isinstance(other, Money):
            raise MoneyError(
                f"{self} and {_a(other)} cannot be {deed}: "
                f"both must be Money, such as Money.parse({_sample(self.currency)!r}, {self.currency!r})"
            )
        if other.currency != self.currency:
            raise MoneyError(f"{self} and {other} cannot be {deed}: the currencies differ")
        return other.minor


# The sentences. None of them may fail on what it complains about, however long or strange that is.
def _unknown(code: object) -> str:
    if not isinstance(code, str):
        return f"a currency or value type is a string such as 'BRL' or 'points', not {_a(code)}"
    upper, lower = code[:16].upper(), code[:16].lower()
    # The same letters win ('che' is CHE); then value types, lest 'Punches' find CHE inside PUNCHES; then currencies.
    hint = nearest(upper, CODES) if upper in _EXPONENT else nearest(lower, CODES) or nearest(upper, CODES)
    return f"unknown currency or value type {_quoted(code)}.{hint or ' Write an ISO 4217 code, points or punches.'}"


def _not_text(value: object, code: str) -> str:
    sentence = f"amounts are decimal strings such as {_sample(code)!r}, not {_a(value)}"
    instead = _INSTEAD.get(type(value).__name__)
    return f"{sentence}; {instead}" if instead else sentence


def _not_minor(value: object) -> str:
    return f"minor units are a whole int, not {_a(value)}; Money.parse('50.00', 'BRL') reads text"


def _beyond(code: str) -> str:
    return f"beyond the limit of {to_text(LIMIT, code)} {code}"


def _sample(code: str) -> str:
    return to_text(50 * 10 ** exponent(code), code)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}...")


def _a(value: object) -> str:
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
