"""What the adapter has to be told about one brand at Clutch, and what it assumes where the public record is silent.

The shapes of allocate, updateBalance, search and cardHistory are recorded; much else is only described in words, seen
in one client, or not known at all. Each such point is a setting with a default, and says how it is known:

    recorded     seen in real traffic               documented   Clutch's or Manhattan's text says so
    client       a public client relies on it       inferred     follows from the others
    unknown      nobody says: ask Clutch            ours         no fact about Clutch: a choice of the shop

docs/reference/clutch-settings.md lists all of them. Its tables are made from this class, and a test keeps them fresh.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import partial
from typing import Literal, get_args, get_origin
from urllib.parse import urlsplit

import attrs

from tallystick.clutch.environment import field_types, read_variables, variable
from tallystick.errors import Invalid
from tallystick.provider.protocol import Reason

Known = Literal["recorded", "documented", "client", "inferred", "unknown", "ours"]
Activation = Literal["allocate", "update_account", "nothing"]

ACCESS = ("base_url", "api_key", "api_secret", "brand", "location", "terminal")  # these have no defaults


@attrs.frozen
class Rule:
    """A refusal with this errorCode, or with this pattern in its errorMessage, has this reason."""

    reason: Reason
    code: str | None = None
    text: str | None = None

    def fits(self, code: str | None, text: str) -> bool:
        if self.code is not None:
            return code == self.code
        return self.text is not None and re.search(self.text, text, re.IGNORECASE) is not None


# Codes 6 and 10 and the two "Could not find" texts are seen; the others are words the documentation uses.
RULES = (
    Rule(Reason.UNKNOWN_CARD, code="6"),
    Rule(Reason.WRONG_PIN, code="10"),
    Rule(Reason.UNKNOWN_CARD, text=r"could not find the specified card\b(?! set)"),
    Rule(Reason.NOT_ACTIVATED, text=r"could not find the account|not (been )?activated"),
    Rule(Reason.INSUFFICIENT_FUNDS, text=r"\bnsf\b|insufficient|not sufficient|not enough"),
    Rule(Reason.SUSPENDED, text=r"\bsuspended\b"),
    Rule(Reason.CARD_SET_EXHAUSTED, text=r"no (more )?cards? .*\b(left|available)\b|card set .*\b(exhausted|empty)\b"),
    Rule(Reason.OVER_LIMIT, text=r"\b(balance|issuance|maximum|max) limit|\blimit .*\b(exceeded|passed)\b"),
    Rule(Reason.WRONG_PIN, text=r"\binvalid .*\bpin\b"),
)


def _known(part: str, known: Known, says: str) -> dict[str, str]:
    return {"part": part, "known": known, "says": says}


_access = partial(_known, "Who calls")
_headers = partial(_known, "Headers")
_http = partial(_known, "The connection")
_limit = partial(_known, "Limits")
_ask = partial(_known, "Requests")
_answer = partial(_known, "Answers")
_record = partial(_known, "Looking up what happened")


@attrs.frozen(kw_only=True)
class ClutchSettings:
    """One brand, location and terminal at Clutch. Raises: Invalid, which never shows a secret."""

    # fmt: off
    base_url: str = attrs.field(metadata=_access("client",
        "Such as `https://api.clutch.com/merchant`. The name of the method is added to it."))
    api_key: str = attrs.field(repr=False, metadata=_access("documented",
        "Is made in Clutch's portal, together with its secret."))
    api_secret: str = attrs.field(repr=False, metadata=_access("documented",
        "Is shown once, when it is made."))
    brand: str = attrs.field(metadata=_access("recorded", "Header `brand`."))
    location: str = attrs.field(metadata=_access("recorded",
        "Header `location`. History shows it, and look-ups recognize our requests by it. Give the order system a "
        "location of its own."))
    terminal: str = attrs.field(metadata=_access("recorded", "Header `terminal`."))
    employee: str | None = attrs.field(default=None, metadata=_access("recorded",
        "Header `employee`, if the brand wants one."))
    employee_password: str | None = attrs.field(default=None, repr=False, metadata=_access("recorded",
        "Header `employeePassword`."))

    request_id_header: str = attrs.field(default="customRequestId", metadata=_headers("documented",
        "The header with our call's id, the same whenever the call is sent. It is documented as used for idempotence."))
    repeat_within: float = attrs.field(default=0.0, metadata=_headers("unknown",
        "Seconds after a lost request in which it may be sent again under its `customRequestId`, done or not, instead "
        "of waiting for a person. 0: never. What Clutch answers to a repeat is not public, nor for how long it "
        "remembers an id: ask before you set this."))
    order_header: str | None = attrs.field(default="externalTransactionId", metadata=_headers("documented",
        "The header with the order's id, which is what it is most commonly used for."))

    connect_timeout: float = attrs.field(default=5.0, metadata=_http("ours",
        "Seconds for every address and TLS together. After that, nothing was sent."))
    read_timeout: float = attrs.field(default=30.0, metadata=_http("ours",
        "Seconds without a byte. After that, the call is in doubt."))
    total_timeout: float = attrs.field(default=60.0, metadata=_http("ours",
        "Seconds for a request as a whole: connecting, TLS, sending, head and body, however slowly they come. Only the "
        "resolver of names takes its own time."))
    pool_timeout: float = attrs.field(default=5.0, metadata=_http("ours",
        "Seconds to wait for a free connection of the pool."))
    pool_size: int = attrs.field(default=20, metadata=_http("ours",
        "Connections at the same time."))
    keep_alive: float = attrs.field(default=15.0, metadata=_http("ours",
        "Seconds that an idle connection is kept. Well below nginx's 75, so that Clutch seldom closes it while we "
        "send."))
    largest_answer: int = attrs.field(default=5_000_000, metadata=_http("ours",
        "Bytes. A longer answer counts as broken."))
    ca_file: str | None = attrs.field(default=None, metadata=_http("ours",
        "Certificates to trust instead of the system's. TLS is always verified."))
    allow_plain_http: bool = attrs.field(default=False, metadata=_http("ours",
        "Allow `http://` to another machine. To this machine it is always allowed, for the sandbox."))
    read_attempts: int = attrs.field(default=3, metadata=_http("ours",
        "How often a request is tried that only reads. What moves money is sent again only as `repeat_within` says, or "
        "if it was surely not done."))
    read_pause: float = attrs.field(default=0.2, metadata=_http("ours",
        "Seconds before the second try. Each further pause is twice as long."))

    rate: float = attrs.field(default=10.0, metadata=_limit("unknown",
        "Requests a second in the long run. Clutch has a limit too, but its numbers are not public."))
    burst: int = attrs.field(default=20, metadata=_limit("unknown",
        "Requests at once before the rate counts. If limits are shared, fewer by those of a second (`rate`): other "
        "processes may have these in hand."))
    longest_wait: float = attrs.field(default=5.0, metadata=_limit("ours",
        "Seconds that a request may wait for its turn. After that it counts as not sent. Together with "
        "`pool_timeout` and `connect_timeout` it must be less than `quiet_period`."))
    breaker_failures: int = attrs.field(default=8, metadata=_limit("ours",
        "After so many failures in a row (no connection, no answer, HTTP 5xx) nothing is sent for a while."))
    breaker_pause: float = attrs.field(default=30.0, metadata=_limit("ours",
        "Seconds of that while. Then one request tries."))
    share_limits: bool = attrs.field(default=True, metadata=_limit("ours",
        "All processes with the same books count together: rate and failures are kept in their store. This costs "
        "each process one small transaction a second, if `burst` is greater than `rate`, and else up to one for each "
        "request."))

    value_types: Mapping[str, tuple[str, str | None]] = attrs.field(
        factory=lambda: {"points": ("Points", None), "punches": ("Punches", None)}, metadata=_ask("client",
        "Our code to `balanceType` and `balanceCode`. Any other code is `Currency` with the code itself (recorded "
        "for USD)."))
    card_sets: Mapping[str, str] = attrs.field(factory=dict, metadata=_ask("ours",
        "For cards that name no card set: the set to draw from, for each kind of card (gift, promo, "
        "merchandise_credit)."))
    numbers_as: Literal["string", "number"] = attrs.field(default="string", metadata=_ask("recorded",
        "How card numbers are sent. Both are recorded. A number with a leading 0 is always a string."))
    pins_as: Literal["string", "number"] = attrs.field(default="string", metadata=_ask("recorded",
        "How PINs are sent. Both are recorded. A PIN with a leading 0 is always a string."))
    pin_length: int = attrs.field(default=4, metadata=_ask("recorded",
        "If a PIN comes as a number, it is filled with zeros up to this length. Other lengths are unknown."))
    pinless_numbers: str | None = attrs.field(default=None, metadata=_ask("ours",
        "A pattern for the numbers of old cards without a PIN. None is demanded for these, or sent. None: every "
        "card may have one."))
    return_balances: bool = attrs.field(default=True, metadata=_ask("client",
        "Ask for balances with every change (`returnBalances`). They tell how much a hold really holds."))
    activate_physical: Activation = attrs.field(default="allocate", metadata=_ask("unknown",
        "What Manhattan's Activate does for a physical card. Allocating by number is documented as its activation."))
    activate_electronic: Activation = attrs.field(default="nothing", metadata=_ask("unknown",
        "What it does for an electronic card after allocate, which makes the card active (documented)."))
    activate_with_pin: bool = attrs.field(default=True, metadata=_ask("documented",
        "Send the PIN with an activation, if it is known, and have it checked. Manhattan's message has number and PIN. "
        "That allocate takes the same fields as the other methods is unknown."))
    overdraw_field: str = attrs.field(default="redeemMaxOnOverdraw", metadata=_ask("client",
        "The field that says: take what there is, if it is less than asked."))
    overdraw_on_hold: bool = attrs.field(default=True, metadata=_ask("unknown",
        "Send that field with a hold too. It is documented that less may be approved on a hold, but not how to ask "
        "for it."))
    partial_by_default: bool = attrs.field(default=True, metadata=_ask("documented",
        "Take what there is if the call does not say. Manhattan does so for holds, and one-step redemption does."))
    keeps_remainder: bool = attrs.field(default=False, metadata=_ask("unknown",
        "Whether a hold of which a part is redeemed goes on holding the rest under its id (`releaseHoldRemainder` "
        "false). Then a partial shipment keeps its hold. If not, the rest is released and held again, as Manhattan "
        "does."))
    adjustment_field: str = attrs.field(default="isAdjustment", metadata=_ask("unknown",
        "The flag of a correction of a balance. That there is one is documented, but not its name."))
    adjust_down: Literal["redeem", "negative_issue"] = attrs.field(default="redeem", metadata=_ask("unknown",
        "How a correction takes away. One client knows of negative amounts in adjustments."))
    void_as: Literal["void", "return"] = attrs.field(default="void", metadata=_ask("documented",
        "`voidTransaction`, which names the `requestRef` of what is undone (documented). Or an issue with "
        "`isReturnRelated`, as public clients do."))
    status_field: str = attrs.field(default="status", metadata=_ask("unknown",
        "The card's status in updateAccount. Also the return field of search that shows it."))
    status_suspended: str = attrs.field(default="Suspended", metadata=_ask("documented",
        "The word for a suspended card."))
    status_active: str = attrs.field(default="Active", metadata=_ask("unknown",
        "The word for a card that is not suspended."))
    reinstate_method: Literal["updateAccount", "reactivate"] = attrs.field(
        default="updateAccount", metadata=_ask("unknown",
        "`reactivate` exists. Its body is unknown, so only the card's number would be sent."))
    alternate_field: str = attrs.field(default="alternateCustomer", metadata=_ask("unknown",
        "The second set of demographics in updateAccount. Answers use this name."))
    giver_field: str = attrs.field(default="giverCustomer", metadata=_ask("unknown",
        "Who gives the card, in updateAccount. Answers use this name."))
    custom_number_field: str = attrs.field(default="customCardNumber", metadata=_ask("inferred",
        "A card number of the shop's own, in updateAccount. That it can be set is documented, the name is search's."))
    custom_data_field: str = attrs.field(default="customData", metadata=_ask("inferred",
        "A text of the shop's own, in updateAccount. That it can be set is documented, the name is search's."))
    checkout_setup_field: str = attrs.field(default="checkoutTransactionId", metadata=_ask("unknown",
        "How the second stage of a checkout names the first. checkoutLookup uses this name."))

    not_done_statuses: tuple[int, ...] = attrs.field(default=(429, 503), metadata=_answer("documented",
        "HTTP statuses that promise that nothing was done. A third party says so of 429, and HTTP of 503, as we "
        "read it."))
    auth_statuses: tuple[int, ...] = attrs.field(default=(401, 403), metadata=_answer("unknown",
        "HTTP statuses for a key that is not accepted. Then surely nothing was done, whatever the body says."))
    rules: tuple[Rule, ...] = attrs.field(default=RULES, metadata=_answer("unknown",
        "errorCode and errorMessage to our reasons. The first rule that fits counts. Codes 6 and 10 are recorded. "
        "Of all others only the words are known."))
    approved_field: str | None = attrs.field(default=None, metadata=_answer("unknown",
        "The field of updateBalance's answer with the amount that was really held or redeemed."))
    due_field: str | None = attrs.field(default=None, metadata=_answer("unknown",
        "The field with the amount that was not. Without either field, holds tell by their balance entry and "
        "redemptions by history."))
    several_currencies: bool = attrs.field(default=False, metadata=_answer("inferred",
        "Whether a card may carry more than one currency. If not, an answer that names only other currencies than "
        "ours is not believed."))

    include_inactive: bool = attrs.field(default=True, metadata=_record("client",
        "Search with `includeInactive`, so that a suspended card is found. What it includes is inferred."))
    type_allocate: str = attrs.field(default="ALLOCATE", metadata=_record("recorded", "callType of allocate."))
    type_update: str = attrs.field(default="UPDATE_BALANCE", metadata=_record("recorded",
        "callType of updateBalance."))
    type_void: str = attrs.field(default="VOID", metadata=_record("unknown", "callType of voidTransaction."))
    type_checkout: str = attrs.field(default="CHECKOUT", metadata=_record("unknown",
        "callType of a checkout that was applied."))
    types_of_others: tuple[str, ...] = attrs.field(
        default=("UPDATE_ACCOUNT", "CHECKOUT_SETUP"), metadata=_record("unknown",
        "callTypes that can be none of our changes of a balance. A type that is in no setting may be a void."))
    history_location: str | None = attrs.field(default=None, metadata=_record("unknown",
        "What history calls our location. None: the same as the header."))
    history_request_id: str | None = attrs.field(default=None, metadata=_record("unknown",
        "The field of a history entry that has our call's id. No such field is recorded. With one, look-ups are "
        "certain."))
    history_begin_date: bool = attrs.field(default=False, metadata=_record("client",
        "Ask history only for entries since `beginDate`. Without it, pages are read until they are old enough."))
    history_page: int = attrs.field(default=100, metadata=_record("recorded",
        "Entries in a page. The largest number that is allowed is unknown."))
    history_pages: int = attrs.field(default=20, metadata=_record("ours",
        "Pages that are read at most. A history that was not read far enough decides nothing."))
    quiet_period: float = attrs.field(default=30.0, metadata=_record("ours",
        "Seconds after a request. Only after them does a look-up believe that what it does not see was not done. A "
        "request that would start later is not sent."))
    window: float = attrs.field(default=3600.0, metadata=_record("ours",
        "Seconds after the first request. An entry within them belongs to this call and not to later business. "
        "About later entries a person decides."))
    clock_skew: float = attrs.field(default=300.0, metadata=_record("ours",
        "Seconds that Clutch's clock may be behind ours."))
    # fmt: on

    def __attrs_post_init__(self) -> None:
        for name, wanted in field_types(type(self)).items():
            value = getattr(self, name)
            if get_origin(wanted) is Literal and value not in get_args(wanted):
                raise Invalid(f"clutch: {name} is one of {', '.join(get_args(wanted))}, not {value!r}")
            if wanted in (int, float) and not value >= 0:
                raise Invalid(f"clutch: {name} is a number from 0 up")
        for name in ("api_key", "api_secret", "brand", "location", "terminal"):
            _check_word(name, getattr(self, name))
        _check_url(self.base_url, plain=self.allow_plain_http)
        if not (self.rate > 0 and self.burst >= 1 and self.read_attempts >= 1 and self.history_page >= 1):
            raise Invalid("clutch: rate, burst, read_attempts and history_page are more than 0")
        way = self.longest_wait + self.pool_timeout + self.connect_timeout
        if way >= self.quiet_period:
            raise Invalid(
                f"clutch: longest_wait, pool_timeout and connect_timeout are {way:g} s together, so a request may be "
                f"sent after a look-up has not found it: they are less than quiet_period, {self.quiet_period:g} s"
            )
        for pattern in [self.pinless_numbers, *(rule.text for rule in self.rules)]:
            _check_pattern(pattern)

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ, *, base_url: str | None = None, api_key: str | None = None,
        api_secret: str | None = None, brand: str | None = None, location: str | None = None,
        terminal: str | None = None,
    ) -> ClutchSettings:  # fmt: skip
        """Who calls, from arguments or else from CLUTCH_BASE_URL, CLUTCH_API_KEY and so on.

        Every other setting may be given as a variable too, and has its default otherwise: see `environment`.

        Raises:
            Invalid: one of them is missing or cannot be.
        """
        given = {"base_url": base_url, "api_key": api_key, "api_secret": api_secret, "brand": brand,
                 "location": location, "terminal": terminal}  # fmt: skip
        found = read_variables(cls, environment) | {name: value for name, value in given.items() if value}
        missing = [variable(name) for name in ACCESS if name not in found]
        if missing:
            raise Invalid(f"clutch: {', '.join(missing)} must be set in the environment or given")
        return cls(**found)

    def kind_of_value(self, currency: str) -> tuple[str, str | None]:
        """`balanceType` and `balanceCode` of one of our codes; without a code, the type alone says it."""
        return self.value_types.get(currency, ("Currency", currency))

    def reason(self, code: str | None, text: str) -> Reason:
        return next((rule.reason for rule in self.rules if rule.fits(code, text)), Reason.OTHER)

    def pinless(self, number: str) -> bool:
        """Whether this is a legacy card without a PIN, so that none is asked for."""
        return self.pinless_numbers is not None and re.fullmatch(self.pinless_numbers, number) is not None


def _check_word(name: str, value: str) -> None:
    if not value or not value.isascii() or not value.isprintable():
        raise Invalid(f"clutch: {name} is plain ASCII text in one line, for a header")


def _check_url(url: str, *, plain: bool) -> None:
    split = urlsplit(url)
    if split.scheme not in ("http", "https") or not split.hostname or split.query or split.fragment:
        raise Invalid("clutch: base_url is https://host/path")
    if split.username is not None or split.password is not None:
        raise Invalid("clutch: base_url carries no credentials; they have settings of their own")
    if split.scheme == "http" and not plain and split.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise Invalid(f"clutch: base_url is https; http to {split.hostname} would show card numbers to the network")


def _check_pattern(pattern: str | None) -> None:
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise Invalid(f"clutch: {pattern!r} is no pattern: {error}") from None
