"""What the sandbox does where the public record of Clutch is silent.

Recorded traffic fixes the shapes of allocate, updateBalance, search and cardHistory, and two errors. Much else is
only documented in words, seen in one client, or not known at all. Each such point is a field here, with a default
and, beside it, what is known and how:

    recorded     seen in real traffic           documented   the provider's or Manhattan's text says so
    a client     a public client relies on it   unknown      nobody says; the default is only a choice

An adapter that is right must stay right whichever way the unknown ones are set.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin

import attrs
from attrs import frozen


@frozen
class WireError:
    """An error as it goes out: HTTP status, `errorCode`, `errorMessage`."""

    status: int
    code: int
    text: str


class Refused(Exception):
    """The sandbox does not do it, and wrote nothing; `error` is what the caller is told."""

    def __init__(self, error: WireError) -> None:
        super().__init__(f"{error.code} {error.text}")
        self.error = error


@frozen
class ValueType:
    """One kind of value a card can carry: `balanceType`, `balanceCode`, digits after the point."""

    kind: str
    code: str
    scale: int


@frozen
class CardSet:
    """How many cards a set has; physical ones are activated by number only; legacy ones have no PIN."""

    count: int
    physical: bool = False
    pins: bool = True

    @classmethod
    def parse(cls, text: str) -> tuple[str, CardSet]:
        """Read `NAME:COUNT[:physical][:nopin]`. Raises: ValueError."""
        name, _, rest = text.partition(":")
        count, *marks = rest.split(":")
        if not name or not count.isdecimal() or set(marks) - {"physical", "nopin"}:
            raise ValueError(f"card set {text!r} is not NAME:COUNT[:physical][:nopin]")
        return name, cls(int(count), physical="physical" in marks, pins="nopin" not in marks)


@frozen
class Errors:
    """Every refusal. Only codes 6 and 10 are recorded; codes from 9001 up are ours, chosen never to look real."""

    # fmt: off
    no_card_number: WireError      = WireError(400, 6,    "No card number was specified.")
    invalid_pin: WireError         = WireError(400, 10,   "Invalid card PIN.")
    # Texts compared by a client, codes unknown.
    unknown_card: WireError        = WireError(400, 9001, "Could not find the specified card.")
    not_activated: WireError = WireError(
        400, 9002, "Could not find the account that goes with the specified card."
    )
    # Documented in words: "NSF ... message in updateBalance response"; "you will receive an error message".
    insufficient_funds: WireError  = WireError(400, 9003, "NSF: the balance is not sufficient.")
    card_set_exhausted: WireError  = WireError(400, 9004, "No card is left in the card set.")
    # A client's comment: an issue past the program's limit fails.
    over_limit: WireError          = WireError(400, 9005, "The balance limit would be passed.")
    # From here on neither text nor code nor HTTP status is known.
    unknown_card_set: WireError    = WireError(400, 9006, "Could not find the card set.")
    already_allocated: WireError   = WireError(400, 9007, "The card is already allocated.")
    card_suspended: WireError      = WireError(400, 9008, "The card is suspended.")
    unknown_hold: WireError        = WireError(400, 9009, "Could not find the hold.")
    above_hold: WireError          = WireError(400, 9010, "The amount is greater than the hold.")
    unknown_transaction: WireError = WireError(400, 9011, "Could not find the transaction.")
    already_voided: WireError      = WireError(400, 9012, "The transaction is already voided.")
    not_voidable: WireError        = WireError(400, 9013, "The transaction cannot be voided.")
    bad_amount: WireError          = WireError(400, 9014, "Invalid amount.")
    unknown_value_type: WireError  = WireError(400, 9015, "Unknown balance type or code.")
    unknown_action: WireError      = WireError(400, 9016, "Unknown action.")
    bad_request: WireError         = WireError(400, 9017, "The request could not be read.")
    unknown_status: WireError      = WireError(400, 9018, "Unknown card status.")
    unknown_checkout: WireError    = WireError(400, 9019, "Could not find the checkout.")
    unauthorized: WireError        = WireError(401, 9020, "Invalid API key or secret.")
    missing_header: WireError      = WireError(400, 9021, "A required header is missing.")
    unknown_method: WireError      = WireError(404, 9022, "Unknown method.")
    # A third party documents HTTP 429; nobody shows a body for it or for a 500.
    rate_limited: WireError        = WireError(429, 9023, "Too many requests.")
    server_error: WireError        = WireError(500, 9024, "Internal server error.")
    # fmt: on


# Only USD with scale 2 is recorded. The kinds Points, Punches and Custom are known from clients, their scale is not.
VALUE_TYPES = (
    *(ValueType("Currency", code, 2) for code in ("USD", "EUR", "GBP", "CAD", "AUD", "CHF")),
    ValueType("Currency", "JPY", 0),
    ValueType("Currency", "KWD", 3),
    ValueType("Points", "", 0),
    ValueType("Punches", "", 0),
    ValueType("Custom", "cashback", 2),
)

# Kinds of work a suspended card may refuse; names for `suspended_refuses`.
KINDS_OF_WORK = frozenset(
    {"issue", "redeem", "hold", "redeem_from_hold", "release", "adjustment", "void", "checkout", "allocate"}
)


@frozen
class Settings:
    """The whole behaviour of one sandbox. Raises: ValueError for a word no field knows."""

    # --- Who may request. The secret and key are made from the seed when left out.
    brand: str = "sandbox-brand"
    location: str = "sandbox-location"
    terminal: str = "sandbox-terminal"
    api_key: str | None = attrs.field(default=None, repr=False)
    api_secret: str | None = attrs.field(default=None, repr=False)
    # Any location and terminal of the brand is let in: unknown whether the real server knows a list.
    other_location: str = "elsewhere"

    # --- Cards. Recorded test cards: 15 digits beginning 4831, PIN of 4 digits. Other lengths: unknown.
    number_prefix: str = "4831"
    number_length: int = 15
    pin_length: int = 4
    value_types: tuple[ValueType, ...] = VALUE_TYPES
    # PIN and number together are recorded when allocating from a set; by number: unknown, "optional PIN" documented.
    pin_returned_by_number: bool = False
    # A physical set is "a named physical card" (documented); whether it also gives out its next free one: unknown.
    physical_by_set: bool = False
    # Allocating an allocated card: unknown, though histories with several ALLOCATE on one card are recorded.
    allocate_twice: Literal["error", "accept"] = "error"
    # forcePinValidation on a card that has no PIN: unknown. Legacy cards without one are documented.
    pin_of_pinless_card: Literal["error", "accept"] = "accept"
    # A `pin` without forcePinValidation: unknown. Recorded and client requests always send both.
    pin_checked_unasked: bool = False

    # --- Status. Only the word "Suspended" is documented. Field name and the other words: unknown.
    status_field: str = "status"
    status_active: str = "Active"
    status_suspended: str = "Suspended"
    status_inventory: str = "Inactive"
    # What a suspended card refuses: unknown. An adjustment beside the suspension is documented (lost or stolen).
    suspended_refuses: frozenset[str] = frozenset({"issue", "redeem", "hold", "checkout"})
    # `includeInactive` is sent by a client: inferred to add cards that are not active. Is a suspended card one?
    suspended_is_inactive: bool = False

    # --- Amounts. Precision above the scale, zero and negative amounts, limits: unknown.
    excess_precision: Literal["error", "round"] = "error"
    zero_amount: Literal["error", "accept"] = "error"
    # Limits of a program are documented to exist; in minor units here, of any currency.
    max_balance: int | None = None
    max_issue: int | None = None
    # documented: "Is adjustment flag set to true"; its JSON name is unknown. Negative amounts only with it (a client).
    adjustment_field: str = "isAdjustment"

    # --- Holds and redemptions.
    # A hold above what is available: unknown. MAO documents that less than asked may be approved.
    hold_above_available: Literal["error", "partial"] = "error"
    # redeemMaxOnOverdraw is a client's; whether it works on a hold, and what it does on an empty card: unknown.
    overdraw_flag_covers_hold: bool = True
    overdraw_of_nothing: Literal["error", "zero"] = "error"
    # documented: "Clutch will return amount due if balance is not sufficient"; the field is unknown, so none is sent
    # and only didOverdraw (recorded) and balances tell. A name here makes the sandbox send it.
    approved_field: str | None = None
    due_field: str | None = None
    # releaseHoldRemainder false: the rest stays held (inferred). Under the same id? unknown.
    remainder_keeps_id: bool = True
    # "if the giftcard balance allows it, you could possibly also redeem more" (a client's comment).
    redeem_above_hold: bool = False
    # Amount 0 with the release flag is recorded as release; without the flag: unknown.
    zero_from_hold: Literal["keep", "release", "error"] = "keep"

    # --- Void. Documented: it undoes issuance and redemption, by `requestRef` and `cardNumber`. Its rules: unknown.
    # Where the value of a voided redemption from a hold goes.
    void_of_redeemed_hold: Literal["available", "hold", "error"] = "available"
    void_of_hold: Literal["release", "error"] = "release"
    void_within_seconds: int | None = None

    # --- Checkout. Fields are a client's; how a complete names its setup, and what programs do at checkout: unknown.
    checkout_setup_field: str = "checkoutTransactionId"
    checkout_currency: str = "USD"
    checkout_redeems: bool = False
    checkout_points_per_unit: int = 0
    checkout_lookup_shows_products: bool = False  # quantity and price, not the SKU alone, which one client reads

    # --- Answers.
    # transactionId: a decimal counter (2017) and a UUID equal to requestRef (2018) are both recorded.
    transaction_ids: Literal["request_ref", "numeric"] = "request_ref"
    first_numeric_id: int = 54855999
    # customRequestId is documented as used for idempotence: what was done is not done again, and the first answer is
    # repeated. Whether it is just so, whether a refusal is remembered too, and for how long: unknown.
    deduplicate: bool = True
    # search with empty filters is a client's credential test; what it lists: unknown.
    empty_filter_lists_all: bool = False
    default_limit: int = 100
    # Some first loads are recorded with empty balanceUpdates though value was loaded.
    first_issue_shows_update: bool = True
    # callType: ALLOCATE and UPDATE_BALANCE are recorded, the others' constants unknown.
    call_type_account: str = "UPDATE_ACCOUNT"
    call_type_void: str = "VOID"
    call_type_checkout: str = "CHECKOUT"
    call_type_checkout_setup: str = "CHECKOUT_SETUP"
    # The body of a 500: unknown.
    server_error_form: Literal["html", "json"] = "html"
    # The code put into an answer by the fault wrong_currency.
    wrong_currency: str = "XTS"
    errors: Errors = Errors()

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(Settings):
            value = getattr(self, field.name)
            if get_origin(field.type) is Literal and value not in get_args(field.type):
                raise ValueError(f"{field.name} must be one of {', '.join(get_args(field.type))}, not {value!r}")
        if strangers := self.suspended_refuses - KINDS_OF_WORK:
            raise ValueError(f"suspended_refuses does not know {', '.join(sorted(strangers))}")
        if self.number_length - len(self.number_prefix) < 6:
            raise ValueError("number_length leaves fewer than 6 digits after number_prefix")

    @classmethod
    def parse(cls, assignments: Iterable[str]) -> Settings:
        """Read `name=value` texts, as a command line gives them. Raises: ValueError."""
        return cls(**dict(_assignment(text) for text in assignments))


attrs.resolve_types(Settings)


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    types = {field.name: field.type for field in attrs.fields(Settings)}
    if not equals or name not in types:
        raise ValueError(f"{text!r} is not SETTING=VALUE with a known setting")
    return name, _typed(name, types[name], value)


def _typed(name: str, wanted: Any, value: str) -> Any:
    if wanted is bool:
        if value not in ("true", "false"):
            raise ValueError(f"{name} must be true or false, not {value!r}")
        return value == "true"
    if int in (wanted, *get_args(wanted)):
        return None if value == "none" else int(value)
    if wanted == frozenset[str]:
        return frozenset(filter(None, value.split("+")))
    if wanted is str or get_origin(wanted) is Literal or str in get_args(wanted):
        return value
    raise ValueError(f"{name} cannot be set from text")
