"""What the caller gives, made into what the machine declares: typed, exact, or refused as invalid.

An amount is a `Money` or decimal text such as `"50.00"`. A bare number is no amount: nobody knows whether 50 counts
cents or whole units. Only our own books give minor units, marked as such. A secret is a text that is passed on and
forgotten. A card number is one number however it is typed: see `plain_number`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping

from tallystick import money
from tallystick.definition.declared import Command
from tallystick.definition.expression import Type
from tallystick.definition.machine import Machine
from tallystick.errors import Invalid, MoneyError, nearest
from tallystick.moment import moment_of
from tallystick.money import Money

Seal = Callable[[str], str]  # what makes of a card number the text that stands for it in the books

LONGEST = 1000  # characters of a text; a journal is no place for documents
MOST_PARTS = 100  # of one entity; each is locked and asked


class Kept(str):
    """A text out of the books, which is sealed already. Nobody outside can give one."""

    __slots__ = ()


class Minor(int):
    """A whole number out of the books; of an amount, its minor units. Nobody outside can give one."""

    __slots__ = ()


def in_minor_units(args: Mapping[str, object]) -> dict[str, object]:
    """Arguments whose whole numbers are minor units, because our own books or our own tests have reckoned them."""
    return {name: _in_minor_units(value) for name, value in args.items()}


def _in_minor_units(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_in_minor_units(each) for each in value]
    return Minor(value) if type(value) is int else value


def plain_number(text: str) -> str:
    """A card number as it is compared and kept: what people put between its characters is left out, in capitals.

    `6006 4902-81ab` and `6006490281AB` are one number. Of a text without letters and digits nothing is left.
    """
    compatible = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).upper())
    return "".join(each for each in compatible if each.isalnum())


def typed(
    machine: Machine, command: Command, given: Mapping[str, object], currency: str, seal: Seal = str
) -> dict[str, object]:
    """The arguments of a command: every declared name with its value; left-out flags are false, optionals none.

    Raises:
        Invalid: an unknown, missing or ill-typed argument.
    """
    wanted = command.arguments
    for name in given:
        if name not in wanted:
            raise Invalid(f"{machine.name}.{command.name} takes no argument {name!r}.{nearest(name, list(wanted))}")
    args: dict[str, object] = {}
    for name, type_ in wanted.items():
        each = given.get(name)
        if each is None and type_.kind == "flag":  # these three are most of them; `value` says the same
            args[name] = False
        elif each is None and type_.optional:
            args[name] = None
        elif type(each) is Money and type_.kind == "money" and each.currency == currency:
            args[name] = each.minor
        else:
            args[name] = value(f"{machine.name}.{command.name}({name}=…)", type_, each, currency, seal)
    return args


def created(machine: Machine, given: Mapping[str, object], seal: Seal = str) -> tuple[str, dict[str, object]]:
    """Currency and facts of a new entity.

    Raises:
        Invalid: an unknown, missing or ill-typed fact; a fact that only a transition sets; no currency.
    """
    currency = given.get("currency")
    if not isinstance(currency, str):
        raise Invalid(f'{machine.name}.create needs the argument \'currency\', such as "BRL", or "points"')
    try:
        money.exponent(currency)
    except MoneyError as error:
        raise Invalid(f"{machine.name}.create(currency=…): {error}") from None
    facts = machine.facts
    for name in given:
        if name != "currency" and name not in facts:
            raise Invalid(f"{machine.name}.create takes no argument {name!r}.{nearest(name, ['currency', *facts])}")
        if name in facts and facts[name].later:
            raise Invalid(f"{machine.name}.create takes no {name!r}: a transition sets it later")
    values = {}
    for name, fact in facts.items():
        if given.get(name) is None and (fact.default is not None or fact.later):
            values[name] = fact.default
        else:
            values[name] = value(f"{machine.name}.create({name}=…)", fact.type, given.get(name), currency, seal)
    return currency, values


def value(where: str, type_: Type, given: object, currency: str, seal: Seal = str) -> object:
    """One value of the wanted type. Amounts become minor units, card numbers what stands for them in the books."""
    if given is None:
        return _left_out(where, type_)
    if type_.kind in ("money", "shares"):
        return (minor if type_.kind == "money" else _shares)(where, given, currency)
    if type_.kind == "time":
        return moment_of(where, given)
    match type_.kind:
        case "flag" if isinstance(given, bool):
            return given
        case "count" if isinstance(given, int) and not isinstance(given, bool) and abs(given) <= money.LIMIT:
            return int(given)
        case "choice" if isinstance(given, str):
            if given not in type_.choices:
                raise Invalid(f"{where}: {given!r} is not one of its choices.{nearest(given, type_.choices)}")
            return given
        case "number" if isinstance(given, Kept):
            return str(given)
        case "number" if isinstance(given, str):
            number = _number(where, given)
            return seal(number) if number else value(where, type_, None, currency, seal)
        case "text" | "link" | "secret" if isinstance(given, str):
            return _text(where, given, secret=type_.kind == "secret")
    said = type(given).__name__ if type_.kind in ("secret", "number") else repr(given)[:60]
    raise Invalid(f"{where} is {type_}, not {said}")


def _left_out(where: str, type_: Type) -> object:
    if type_.kind == "flag":
        return False
    if type_.optional:
        return None
    raise Invalid(f"{where} is missing; it is {type_}")


def _shares(where: str, given: object, currency: str) -> tuple[tuple[str, int], ...]:
    """Which part gets how much: from {id: amount}, or a list of such pairs, in the order in which they are done."""
    listed = list(given.items()) if isinstance(given, Mapping) else given
    if (
        not isinstance(listed, list | tuple)
        or not listed
        or any(not isinstance(each, list | tuple) or len(each) != 2 for each in listed)
    ):
        raise Invalid(f"{where} is an amount for each part, such as {{'o-1/1': '20.00'}}")
    shares = tuple((_text(where, str(id), secret=False), minor(where, amount, currency)) for id, amount in listed)
    if len(dict(shares)) < len(shares) or len(shares) > MOST_PARTS:
        raise Invalid(f"{where} names a part twice, or more than {MOST_PARTS} parts")
    if min(amount for _, amount in shares) <= 0:
        raise Invalid(f"{where}: each share must be more than zero; leave out a part that has none")
    return shares


def minor(where: str, given: object, currency: str) -> int:
    """An amount in minor units of the currency. Raises Invalid: it is none, or is in another currency."""
    if isinstance(given, Minor):
        return int(given)
    if isinstance(given, Money):
        if given.currency != currency:
            raise Invalid(f"{where}: {given} is not in {currency}; currencies are never mixed")
        return given.minor
    try:
        return money.parse(given, currency)  # type: ignore[arg-type]  # it refuses all that is no text
    except MoneyError as error:
        raise Invalid(f"{where}: {error}") from None


def _number(where: str, given: str) -> str:
    """A card number as it was pasted: blanks of every kind and signs that nobody sees may be in it, or be all of it."""
    visible = "".join(each for each in given if not each.isspace() and unicodedata.category(each) != "Cf")
    return plain_number(_text(where, visible, secret=True)) if visible or not given else ""


def _text(where: str, given: str, *, secret: bool) -> str:
    said = "the text" if secret else repr(given[:40])
    if not given or len(given) > LONGEST:
        raise Invalid(f"{where}: {'it is empty' if not given else f'{said} is longer than {LONGEST} characters'}")
    if not given.isprintable():
        raise Invalid(f"{where}: {said} has characters that cannot be printed")
    return given
