"""One request, read: its fields with all the spellings clients use, and the pieces of answers shared by the methods."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

import attrs
from attrs import frozen

from tallystick.clutch.sandbox.balance_moves import Cap
from tallystick.clutch.sandbox.ledger import Card, Ledger, Origin, Update
from tallystick.clutch.sandbox.settings import Errors, Refused, Settings, ValueType

Json = dict[str, Any]

# Digits before the point: wide enough for any balance, and thousands of them fit in SQLite's 64 bits.
MAX_DIGITS = 12


@frozen
class Request:
    """One request. `cap` lowers what is approved."""

    ledger: Ledger
    origin: Origin
    body: Json = attrs.field(repr=False)
    cap: Cap | None = None

    @property
    def settings(self) -> Settings:
        return self.ledger.settings

    @property
    def errors(self) -> Errors:
        return self.ledger.settings.errors

    def text(self, name: str, body: Json | None = None) -> str | None:
        """A string, or a number standing for one; empty is absent. Raises: Refused."""
        value = (self.body if body is None else body).get(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise Refused(self.errors.bad_request)
        return str(value)

    def flag(self, name: str, body: Json | None = None) -> bool:
        value = (self.body if body is None else body).get(name)
        return value is True or (isinstance(value, str) and value.lower() == "true")

    def part(self, name: str) -> Json:
        """A nested object; absent is empty. Raises: Refused."""
        value = self.body.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise Refused(self.errors.bad_request)
        return value

    def parts(self, name: str) -> list[Any]:
        """A list; absent is empty. Raises: Refused."""
        value = self.body.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise Refused(self.errors.bad_request)
        return value

    def count(self, name: str, default: int) -> int:
        value = self.body.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
            raise Refused(self.errors.bad_request)
        return value

    def moment(self, name: str) -> datetime | None:
        """`yyyy-MM-dd HH:mm:ss`, UTC. Raises: Refused."""
        text = self.text(name)
        if text is None:
            return None
        try:
            return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            raise Refused(self.errors.bad_request) from None

    def minor(self, amount: object, value: ValueType) -> int:
        """An amount in minor units; numbers and strings are both sent by clients. Raises: Refused."""
        if isinstance(amount, bool) or not isinstance(amount, (str, int, Decimal)):
            raise Refused(self.errors.bad_amount)
        try:
            number = Decimal(amount)
        except InvalidOperation:
            raise Refused(self.errors.bad_amount) from None
        if not number.is_finite() or number.adjusted() >= MAX_DIGITS or len(number.as_tuple().digits) > 24:
            raise Refused(self.errors.bad_amount)
        scaled = number.scaleb(value.scale)
        rounded = scaled.quantize(Decimal(1), ROUND_HALF_EVEN)
        if rounded != scaled and self.settings.excess_precision == "error":
            raise Refused(self.errors.bad_amount)
        return int(rounded)

    def value_type(self, amount: Json) -> ValueType:
        """The value type an `amount` object names. Raises: Refused."""
        value = self.ledger.value(self.text("balanceType", amount) or "", self.text("balanceCode", amount) or "")
        if value is None:
            raise Refused(self.errors.unknown_value_type)
        return value

    def card(self) -> Card:
        """The card named by `cardNumber`, its PIN checked if asked for. Raises: Refused."""
        number = self.text("cardNumber")
        if number is None:
            raise Refused(self.errors.no_card_number)
        card = self.ledger.card(number)
        if card is None:
            raise Refused(self.errors.unknown_card)
        self.check_pin(card)
        return card

    def check_pin(self, card: Card) -> None:
        """Raises: Refused."""
        given = self.body.get("pin")
        if not self.flag("forcePinValidation") and not (self.settings.pin_checked_unasked and given is not None):
            return
        if card.pin is None:
            right = self.settings.pin_of_pinless_card == "accept"
        else:
            # A PIN sent as a JSON number has lost its leading zeros.
            text = str(given).zfill(len(card.pin)) if isinstance(given, int) else str(given)
            right = hmac.compare_digest(text.encode(), card.pin.encode())
        if not right:
            raise Refused(self.errors.invalid_pin)


def balance_entries(request: Request, number: str) -> list[Json]:
    """Balances as search shows them: what is available without holds, then every open hold; nothing for a zero."""
    available = [{**amount_of(update), "isHold": False} for update in request.ledger.balances(number)]
    held = [
        {**amount_of(Update(hold.value, hold.amount)), "isHold": True, "holdingTransactionId": hold.id}
        for hold in request.ledger.open_holds(number)
    ]
    return available + held


def amount_of(update: Update) -> Json:
    value = update.value
    shown: Json = {"amount": decimal(value, update.minor), "scale": value.scale, "balanceType": value.kind}
    return {**shown, "balanceCode": value.code} if value.code else shown


def mutation_of(update: Update) -> Json:
    """A signed change, as history shows it."""
    value = update.value
    shown: Json = {"balanceType": value.kind, "balanceCode": value.code, "amount": decimal(value, update.minor)}
    return shown if value.code else {"balanceType": value.kind, "amount": shown["amount"]}


def decimal(value: ValueType, minor: int) -> Decimal:
    """In units, with all the digits of the scale: 1000 is `10.00`."""
    return Decimal(minor).scaleb(-value.scale)


def utc(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
