"""Reading what Clutch writes: the envelope, balances, a card, its history; and JSON and amounts, exact both ways.

An answer is done when it says success in so many words, declined when it says no in Clutch's own envelope, surely not
done where the settings name its HTTP status (429, 503, a key not accepted). Everything else is unknown: HTTP 5xx, no
JSON, half of it, no word of success.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from typing import NoReturn

import attrs

from tallystick import money
from tallystick.clutch.settings import ClutchSettings
from tallystick.errors import MoneyError, TallystickError
from tallystick.masks import like_a_number, redacted
from tallystick.provider.protocol import Outcome, Result

Json = Mapping[str, object]

LONGEST_ID = 200  # characters; Clutch's are 36
LONGEST_TEXT = 2000  # characters of an error's text that are looked at


class StrangeAnswer(Exception):
    """An answer that cannot be believed, in a sentence without secrets."""


class NotRead(TallystickError):
    """Clutch's record could not be read; `outcome` says why: declined (wrong PIN, no such card), or not reached."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        said = " ".join(str(part) for part in (outcome.reason, outcome.code, outcome.text) if part)
        super().__init__(f"Clutch's record could not be read, {outcome.result}: {said}")

    def __reduce__(self) -> tuple[type[NotRead], tuple[Outcome]]:
        return NotRead, (self.outcome,)


def envelope(settings: ClutchSettings, status: int, body: bytes, hide: Sequence[str] = ()) -> Json | Outcome:
    """The answer, if it says success; otherwise what it says. `hide` are secrets that an error's text may repeat."""
    if status in settings.not_done_statuses:
        return Outcome(Result.UNAVAILABLE, code=f"HTTP {status}", text="turned away before it was done")
    if status in settings.auth_statuses:
        return Outcome(Result.UNAVAILABLE, code=f"HTTP {status}", text="the API key, brand or location is not accepted")
    try:
        answer = loads(body)
    except ValueError:
        return Outcome(Result.UNKNOWN, code=f"HTTP {status}", text="the answer is not JSON, or only a part of it")
    said = answer.get("success") if isinstance(answer, dict) else None
    if isinstance(answer, dict) and said is True and 200 <= status < 300:
        return answer
    if isinstance(answer, dict) and said is False and (200 <= status < 300 or 400 <= status < 500):
        code, text = text_of(answer.get("errorCode")), answer.get("errorMessage")
        if code is not None or isinstance(text, str):
            plain = _plain(text if isinstance(text, str) else "", hide)
            reason, shown = settings.reason(code, plain), code and _plain(code, hide)
            request = secretless(text_of(answer.get("requestRef")), hide)
            return Outcome(Result.DECLINED, request=request, reason=reason, code=shown, text=plain)
    return Outcome(Result.UNKNOWN, code=f"HTTP {status}", text="the answer says neither that it was done nor why not")


def _plain(text: str, hide: Sequence[str]) -> str:
    """Clutch's text in one line, without card numbers and PINs."""
    return " ".join(redacted(text[:LONGEST_TEXT], hide).split())[:200]


def secretless(id: str | None, hide: Sequence[str]) -> str | None:
    """An id, unless it repeats a card number; a few digits are in an id by chance."""
    numbers = [each for each in hide if like_a_number(each)]
    return id if id is not None and redacted(id, numbers, long_numbers=False) == id else None


@attrs.frozen
class Balance:
    """One entry of a card's balances: what is available, or what a hold holds."""

    amount: int
    hold: str | None = None


def balances(value: object, currency: str, settings: ClutchSettings) -> tuple[Balance, ...]:
    """The entries in our currency or value type. Raises: StrangeAnswer."""
    kind, code = settings.kind_of_value(currency)
    ours, others = [], False
    for entry in objects(value, "balances"):
        if entry.get("balanceType") != kind:
            continue
        if code is not None and entry.get("balanceCode") != code:
            others = True
            continue
        ours.append(_balance(entry, currency))
    if others and not ours and not settings.several_currencies:
        raise StrangeAnswer("the balances are in another currency")
    holds = [each.hold for each in ours if each.hold is not None]
    if len(holds) > len(set(holds)):
        raise StrangeAnswer("two holds of one id are among the balances")
    added([each.amount for each in ours], currency)
    return tuple(ours)


def _balance(entry: Json, currency: str) -> Balance:
    """One entry of balances. Raises: StrangeAnswer."""
    held, hold, amount = entry.get("isHold"), None, exactly(entry.get("amount"), currency)
    if held is not None and type(held) is not bool:
        raise StrangeAnswer("whether a balance is a hold is neither true nor false")
    if held and (hold := id_of(entry.get("holdingTransactionId"))) is None:
        raise StrangeAnswer("a hold without id is among the balances")
    if amount < 0:
        raise StrangeAnswer("a balance is below zero")
    return Balance(amount, hold)


@attrs.frozen
class Card:
    """One card as search shows it, in one currency or value type. Amounts are minor units."""

    number: str = attrs.field(repr=False)
    card_set: str | None
    status: str | None
    balances: tuple[Balance, ...]
    cached: bool

    @property
    def available(self) -> int:
        return sum(each.amount for each in self.balances if each.hold is None)

    @property
    def holds(self) -> dict[str, int]:
        """Open holds: their id to what they hold."""
        return {each.hold: each.amount for each in self.balances if each.hold is not None}


@attrs.frozen
class Entry:
    """One line of cardHistory. `amount` is signed, None if it shows no change in our currency."""

    id: str
    request: str | None
    at: datetime
    location: str | None
    kind: str
    amount: int | None
    blank: bool = False  # it shows no change at all
    foreign: bool = False  # it shows changes, all of them in other currencies
    call: str | None = None  # our call's id, if the record keeps it


@attrs.frozen
class History:
    """Entries, the newest first. Not `complete`: older ones that matter were not read. `whole`: none is missing."""

    entries: tuple[Entry, ...]
    complete: bool = True
    whole: bool = True


def card_of(answer: Json, number: str, currency: str, settings: ClutchSettings) -> Card | None:
    """The card in a search's answer; None if it is not there. Raises: StrangeAnswer."""
    found = objects(answer.get("cards"), "cards")
    if not found:
        return None
    shown = id_of(found[0].get("cardNumber")) or ""
    if len(found) > 1 or shown.lstrip("0") != number.lstrip("0"):
        raise StrangeAnswer("the search is about another card")
    status = text_of(found[0].get(settings.status_field))
    told = balances(found[0].get("balances"), currency, settings)
    return Card(shown, text_of(found[0].get("cardSetId")), status, told, answer.get("usedCache") is True)


def entries_of(answer: Json, currency: str, settings: ClutchSettings) -> tuple[Entry, ...]:
    """The entries of one page of history. Raises: StrangeAnswer."""
    return tuple(_entry(each, currency, settings) for each in objects(answer.get("transactions"), "transactions"))


def _entry(line: Json, currency: str, settings: ClutchSettings) -> Entry:
    id, time = id_of(line.get("transactionId")), line.get("transactionTime")
    if id is None or type(time) is not int or not 0 <= time < 10**14:
        raise StrangeAnswer("an entry of history has no id or no time")
    kind, code = settings.kind_of_value(currency)
    updates = objects(line.get("balanceUpdates") or [], "balanceUpdates")
    alike = [each for each in updates if each.get("balanceType") == kind]
    ours = [exactly(each.get("amount"), currency) for each in alike if code in (None, each.get("balanceCode"))]
    return Entry(
        id, id_of(line.get("requestRef")), datetime.fromtimestamp(time / 1000, timezone.utc),
        text_of(line.get("location")), text_of(line.get("callType")) or "", added(ours, currency) if ours else None,
        blank=not updates, foreign=bool(alike) and not ours and not settings.several_currencies,
        call=text_of(line.get(settings.history_request_id)) if settings.history_request_id else None,
    )  # fmt: skip


def objects(value: object, name: str) -> Sequence[Json]:
    """A list of objects. Raises: StrangeAnswer."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise StrangeAnswer(f"{name} is no list of objects")
    return value


def text_of(value: object) -> str | None:
    """A word or an id, however it is written; None for none, and for what cannot be one."""
    if not isinstance(value, (str, int)) or isinstance(value, bool) or value == "":
        return None
    text = str(value)
    return text if len(text) <= LONGEST_ID and text.isprintable() else None


def id_of(value: object) -> str | None:
    """An id that something depends on; None for none. Raises: StrangeAnswer, for what cannot be one."""
    text = text_of(value)
    if text is None and value is not None and value != "":
        raise StrangeAnswer("what should be an id cannot be one")
    return text


def added(amounts: Sequence[int], currency: str) -> int:
    """Minor units in all. Raises: StrangeAnswer, if that is more than an amount may be."""
    total = sum(amounts)
    if abs(total) > money.LIMIT:
        raise StrangeAnswer(f"the amounts add up to more than can be in {currency}")
    return total


def number(minor_units: int, currency: str) -> Decimal | int:
    """The JSON number of an amount: all decimals of its currency, and 0 as recorded, without."""
    return Decimal(money.to_text(minor_units, currency)) if minor_units else 0


def exactly(value: object, currency: str) -> int:
    """Minor units of a JSON number, or of a string with one. Raises: StrangeAnswer, rather than round."""
    if isinstance(value, Decimal) and value.is_finite() and -30 < value.adjusted() < 30:
        value = format(value, "f")
    elif isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        whole, point, decimals = value.partition(".")
        try:
            return money.parse(whole + (f".{decimals.rstrip('0') or '0'}" if point else ""), currency)
        except MoneyError:
            pass
    raise StrangeAnswer(f"an amount is none in {currency}")


def with_pin(pin: str | None, card: str, settings: ClutchSettings) -> Json:
    """The fields that have a PIN checked; none for a card that has no PIN."""
    if pin is None or settings.pinless(card):
        return {}
    return {"forcePinValidation": True, "pin": digits(pin, settings.pins_as)}


def digits(text: str, how: str) -> str | int:
    return int(text) if how == "number" and text.isdecimal() and str(int(text)) == text else text


def dumps(value: object) -> str:
    """Compact JSON; decimals keep their digits. Raises: TypeError for a float, which has none."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(str(key))}:{dumps(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(dumps(each) for each in value) + "]"
    if value is None or isinstance(value, (str, int)):
        return json.dumps(value)
    raise TypeError(f"no exact JSON for {type(value).__name__}")


def loads(body: bytes) -> object:
    """JSON with exact decimals. Raises: ValueError, also for a number that no decimal can be, and a name said twice."""
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_said_once)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except InvalidOperation:
        raise ValueError("a number has an exponent beyond all bounds") from None


def _said_once(pairs: list[tuple[str, object]]) -> Json:
    """An object. Of a name that is said twice, nobody knows which value is meant."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object says the same name twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
