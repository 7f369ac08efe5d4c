"""What the adapter has to be told about one brand at Clutch, and what it assumes where the public record is silent.

The shapes of allocate, updateBalance, search and cardHistory are recorded; much else is only described in words, seen
in one client, or not known at all. Each such point is a setting with a default, and says how it is known:

    recorded     seen in real traffic               documented   Clutch's or Manhattan's text says so
    client       a public client relies on it       inferred     follows from the others
    unknown      nobody says: ask Clutch            ours         no fact about Clutch: a choice of the shop

`page()` is docs/clutch-settings.md, and a test holds the two together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

import attrs

from tallystick.clutch import variables
from tallystick.errors import Invalid
from tallystick.provider.protocol import Reason

Known = Literal["recorded", "documented", "client", "inferred", "unknown", "ours"]
Activation = Literal["allocate", "update_account", "nothing"]

ACCESS = ("base_url", "api_key", "api_secret", "brand", "location", "terminal")  # these have no defaults


@attrs.frozen
class Rule:
    """A refusal with this errorCode, or whose errorMessage has this pattern in it, is for this reason."""

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


def _said(part: str, known: Known, says: str) -> dict[str, str]:
    return {"part": part, "known": known, "says": says}


_access = partial(_said, "Who calls")
_headers = partial(_said, "Headers")
_http = partial(_said, "The connection")
_limit = partial(_said, "Going easy on Clutch")
_ask = partial(_said, "Requests")
_answer = partial(_said, "Answers")
_record = partial(_said, "Looking up what happened")


@attrs.frozen(kw_only=True)
class ClutchSettings:
    """One brand, location and terminal at Clutch. Raises: Invalid, which never shows a secret."""

    # fmt: off
    base_url: str = attrs.field(metadata=_access("client",
        "Such as `https://api.clutch.com/merchant`; the method's name is added to it."))
    api_key: str = attrs.field(repr=False, metadata=_access("documented",
        "Made in Clutch's portal, together with its secret."))
    api_secret: str = attrs.field(repr=False, metadata=_access("documented", "Shown once when it is made."))
    brand: str = attrs.field(metadata=_access("recorded", "Header `brand`."))
    location: str = attrs.field(metadata=_access("recorded",
        "Header `location`. History shows it, so look-ups tell our requests by it: give the OMS one of its own."))
    terminal: str = attrs.field(metadata=_access("recorded", "Header `terminal`."))
    employee: str | None = attrs.field(default=None, metadata=_access("recorded",
        "Header `employee`, where the brand wants one."))
    employee_password: str | None = attrs.field(default=None, repr=False, metadata=_access("recorded",
        "Header `employeePassword`."))

    request_id_header: str = attrs.field(default="customRequestId", metadata=_headers("recorded",
        "Carries our call's id. Nothing public says that Clutch makes a repeat harmless by it, and nothing here "
        "relies on it."))
    order_header: str | None = attrs.field(default="externalTransactionId", metadata=_headers("inferred",
        "Carries the order's id. The header is recorded, that it is the one meant for orders is not."))

    connect_timeout: float = attrs.field(default=5.0, metadata=_http("ours",
        "Seconds. Nothing was sent when it runs out."))
    read_timeout: float = attrs.field(default=30.0, metadata=_http("ours",
        "Seconds without a byte. What was sent is in doubt when it runs out."))
    total_timeout: float = attrs.field(default=60.0, metadata=_http("ours",
        "Seconds for a whole answer, however slowly it drips."))
    pool_timeout: float = attrs.field(default=5.0, metadata=_http("ours",
        "Seconds to wait for a free connection of the pool."))
    pool_size: int = attrs.field(default=20, metadata=_http("ours", "Connections at most."))
    keep_alive: float = attrs.field(default=15.0, metadata=_http("ours",
        "Seconds an idle connection is kept: well under nginx's 75, so that it is seldom Clutch who closes it "
        "under a request."))
    largest_answer: int = attrs.field(default=5_000_000, metadata=_http("ours",
        "Bytes; a longer answer counts as broken."))
    ca_file: str | None = attrs.field(default=None, metadata=_http("ours",
        "Certificates to trust instead of the system's. TLS is always verified."))
    allow_plain_http: bool = attrs.field(default=False, metadata=_http("ours",
        "`http://` to another machine. To this one it is always allowed, for the sandbox."))
    read_attempts: int = attrs.field(default=3, metadata=_http("ours",
        "Tries of a request that only reads. One that moves money is never sent again by the adapter."))
    read_pause: float = attrs.field(default=0.2, metadata=_http("ours",
        "Seconds before reading again; doubles each time."))

    rate: float = attrs.field(default=10.0, metadata=_limit("unknown",
        "Requests a second in the long run. Clutch has a leaky bucket; its numbers are not public."))
    burst: int = attrs.field(default=20, metadata=_limit("unknown", "Requests at once before the rate counts."))
    longest_wait: float = attrs.field(default=5.0, metadata=_limit("ours",
        "Seconds a request may wait for its turn; then it counts as not sent. With `pool_timeout` and "
        "`connect_timeout` less than `quiet_period`."))
    breaker_failures: int = attrs.field(default=8, metadata=_limit("ours",
        "Failures in a row (no connection, no answer, HTTP 5xx) after which nothing is sent for a while."))
    breaker_pause: float = attrs.field(default=30.0, metadata=_limit("ours",
        "Seconds of that while; then one request tries."))
    share_limits: bool = attrs.field(default=True, metadata=_limit("ours",
        "All processes on the same books count as one: the bucket and the failures are kept in their store. It costs a "
        "small transaction for each request."))

    value_types: Mapping[str, tuple[str, str | None]] = attrs.field(
        factory=lambda: {"points": ("Points", None), "punches": ("Punches", None)}, metadata=_ask("client",
        "Our code to `balanceType` and `balanceCode`. Any other code is `Currency` with itself (recorded for "
        "USD)."))
    card_sets: Mapping[str, str] = attrs.field(factory=dict, metadata=_ask("ours",
        "The set to draw from by kind of card (gift, promo, merchandise_credit), for cards that name none."))
    numbers_as: Literal["string", "number"] = attrs.field(default="string", metadata=_ask("recorded",
        "How card numbers are sent; both are recorded. One with a leading 0 is always a string."))
    pins_as: Literal["string", "number"] = attrs.field(default="string", metadata=_ask("recorded",
        "How PINs are sent; both are recorded. One with a leading 0 is always a string."))
    pin_length: int = attrs.field(default=4, metadata=_ask("recorded",
        "A PIN that comes as a number is filled with zeros up to this. Other lengths: unknown."))
    pinless_numbers: str | None = attrs.field(default=None, metadata=_ask("ours",
        "Pattern of the numbers of legacy cards without PIN; for these none is sent. None: every card may have "
        "one."))
    return_balances: bool = attrs.field(default=True, metadata=_ask("client",
        "Ask for balances with every change (`returnBalances`): they tell how much a hold really holds."))
    activate_physical: Activation = attrs.field(default="allocate", metadata=_ask("unknown",
        "What MAO's Activate is for a physical card. Allocating by number is documented as its activation."))
    activate_electronic: Activation = attrs.field(default="nothing", metadata=_ask("unknown",
        "What it is for an electronic card after allocate, which leaves it active (documented)."))
    overdraw_field: str = attrs.field(default="redeemMaxOnOverdraw", metadata=_ask("client",
        "Take what there is if it is less than asked."))
    overdraw_on_hold: bool = attrs.field(default=True, metadata=_ask("unknown",
        "Send that with a hold too. That less may be approved on a hold is documented, how it is asked for is "
        "not."))
    short_unless_said: bool = attrs.field(default=True, metadata=_ask("documented",
        "Take what there is where the call does not say. MAO does for holds; one-step redemption does."))
    adjustment_field: str = attrs.field(default="isAdjustment", metadata=_ask("unknown",
        "Flag of a correction of balance. That there is one is documented, its name is not."))
    adjust_down: Literal["redeem", "negative_issue"] = attrs.field(default="redeem", metadata=_ask("unknown",
        "How a correction takes away. A client knows of negative amounts in adjustments."))
    void_as: Literal["void", "return"] = attrs.field(default="void", metadata=_ask("unknown",
        "`voidTransaction` (documented in words only), or an issue with `isReturnRelated`, as the public clients "
        "do."))
    void_field: str = attrs.field(default="transactionId", metadata=_ask("unknown", "Names the transaction to void."))
    void_card_field: str | None = attrs.field(default="cardNumber", metadata=_ask("unknown",
        "Names the card beside it; None: not sent."))
    status_field: str = attrs.field(default="status", metadata=_ask("unknown",
        "The card's status in updateAccount, and the return field of search that shows it."))
    status_suspended: str = attrs.field(default="Suspended", metadata=_ask("documented",
        "The word for a suspended card."))
    status_active: str = attrs.field(default="Active", metadata=_ask("unknown", "The word for a card that is not."))
    reinstate_method: Literal["updateAccount", "reactivate"] = attrs.field(
        default="updateAccount", metadata=_ask("unknown",
        "`reactivate` exists; its body is unknown, only the card's number would be sent."))
    alternate_field: str = attrs.field(default="alternateCustomer", metadata=_ask("unknown",
        "The second set of demographics in updateAccount; the name is that of answers."))
    checkout_setup_field: str = attrs.field(default="checkoutTransactionId", metadata=_ask("unknown",
        "How the second stage of a checkout names the first; the name is checkoutLookup's."))

    not_done_statuses: tuple[int, ...] = attrs.field(default=(429, 503), metadata=_answer("documented",
        "HTTP statuses that promise nothing was done. 429 by a third party; 503 is our reading of HTTP."))
    auth_statuses: tuple[int, ...] = attrs.field(default=(401, 403), metadata=_answer("unknown",
        "HTTP statuses of a key that is not accepted: surely not done, whatever the body says."))
    rules: tuple[Rule, ...] = attrs.field(default=RULES, metadata=_answer("unknown",
        "errorCode and errorMessage to our reasons, the first that fits. Codes 6 and 10 are recorded; of all "
        "others only words are known."))
    approved_field: str | None = attrs.field(default=None, metadata=_answer("unknown",
        "Field of updateBalance's answer with the amount really held or redeemed."))
    due_field: str | None = attrs.field(default=None, metadata=_answer("unknown",
        "Field with what was not. Without either, holds tell by their balance entry, redemptions by history."))
    several_currencies: bool = attrs.field(default=False, metadata=_answer("inferred",
        "A card may carry more than one currency. If not, an answer that names only others than ours is not "
        "believed."))

    include_inactive: bool = attrs.field(default=True, metadata=_record("client",
        "Search with `includeInactive`, so that a suspended card is found; what it includes is inferred."))
    type_allocate: str = attrs.field(default="ALLOCATE", metadata=_record("recorded", "callType of allocate."))
    type_update: str = attrs.field(default="UPDATE_BALANCE", metadata=_record("recorded",
        "callType of updateBalance."))
    type_void: str = attrs.field(default="VOID", metadata=_record("unknown", "callType of voidTransaction."))
    type_checkout: str = attrs.field(default="CHECKOUT", metadata=_record("unknown",
        "callType of a checkout that was applied."))
    types_of_others: tuple[str, ...] = attrs.field(
        default=("UPDATE_ACCOUNT", "CHECKOUT_SETUP"), metadata=_record("unknown",
        "callTypes that can be none of our changes of balance; an unknown one may be a void."))
    history_location: str | None = attrs.field(default=None, metadata=_record("unknown",
        "What history calls our location; None: what the header says."))
    history_request_id: str | None = attrs.field(default=None, metadata=_record("unknown",
        "Field of a history entry that repeats our call's id. None is recorded; with one, look-ups are certain."))
    history_begin_date: bool = attrs.field(default=False, metadata=_record("client",
        "Ask history for entries since `beginDate` only. Without it, pages are read until they are old enough."))
    history_page: int = attrs.field(default=100, metadata=_record("recorded",
        "Entries in a page; the largest allowed is unknown."))
    history_pages: int = attrs.field(default=20, metadata=_record("ours",
        "Pages read at most; a history not read far enough decides nothing."))
    quiet_period: float = attrs.field(default=30.0, metadata=_record("ours",
        "Seconds after a request before not seeing it means that it was not done. A request that would begin later is "
        "not sent."))
    window: float = attrs.field(default=3600.0, metadata=_record("ours",
        "Seconds after the first request within which an entry is surely no later business; later ones a person "
        "has to look at."))
    clock_skew: float = attrs.field(default=300.0, metadata=_record("ours",
        "Seconds Clutch's clock may be behind ours."))
    # fmt: on

    def __attrs_post_init__(self) -> None:
        for name, wanted in variables.kinds(type(self)).items():
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
        cls,
        environment: Mapping[str, str] = os.environ,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        api_secret: str | None = None,
        brand: str | None = None,
        location: str | None = None,
        terminal: str | None = None,
    ) -> ClutchSettings:
        """Who calls, from arguments or else from CLUTCH_BASE_URL, CLUTCH_API_KEY and so on.

        Every other setting may be given as a variable too, and has its default otherwise: see `variables`.

        Raises:
            Invalid: one of them is missing or cannot be.
        """
        given = {"base_url": base_url, "api_key": api_key, "api_secret": api_secret, "brand": brand,
                 "location": location, "terminal": terminal}  # fmt: skip
        found = variables.read(cls, environment) | {name: value for name, value in given.items() if value}
        missing = [variables.variable(name) for name in ACCESS if name not in found]
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


# What section 7 of the notes on Clutch's wire lists as unknown, and why no setting answers for it.
WITHOUT_SETTING = (
    "De-duplication by `customRequestId`: a repeat is taken to count twice, always.",
    "`listRequests`, `requestLookup`, `transfer`, `allocateChildCard`, `returnMerchandise`, merge: not used.",
    "What a suspended card refuses, and further statuses: our own machine refuses first; Clutch's answer decides.",
    "A hold's remainder with `releaseHoldRemainder` false: taken to stay held under the same id. Where that is not so, "
    "settle without keeping the rest. Redeeming more than a hold holds, or 0 without releasing: never asked for.",
    "Whether holds can be voided, and until when anything can: only one-step redemptions are voided, and a refusal is "
    "an answer.",
    "Errors for closed holds, allocating twice, limits, excess precision: refusals, mapped by `rules`.",
    "The PIN when allocating by number: taken if it comes.",
    "Expiry and return flags in search: not read.",
)


def page() -> str:
    """docs/clutch-settings.md, made from the class."""
    lines = ["# Settings of the Clutch adapter", "", _INTRODUCTION, ""]
    part = ""
    for field in attrs.fields(ClutchSettings):
        if field.metadata["part"] != part:
            part = field.metadata["part"]
            lines += ["", f"## {part}", "", "| setting | default | known | what it is |", "| --- | --- | --- | --- |"]
        known, says = field.metadata["known"], field.metadata["says"]
        lines.append(f"| `{field.name}` | {_default(field)} | {known} | {says} |")
    lines += ["", "## Reasons", "", "The default of `rules`, tried in this order:", ""]
    lines += ["| errorCode | errorMessage has | reason |", "| --- | --- | --- |"]
    for rule in RULES:
        pattern = f"`{rule.text}`".replace("|", "\\|") if rule.text else ""
        lines.append(f"| {rule.code or ''} | {pattern} | {rule.reason} |")
    lines += ["", "## Unknown, and no setting", "", *(f"* {line}" for line in WITHOUT_SETTING), ""]
    return "\n".join(lines).replace("\n\n\n", "\n\n")


_INTRODUCTION = """\
Nobody has tried this adapter against Clutch itself. What is known of the wire comes from public text, public clients
and recorded traffic; every other point is a setting, with how it is known:

* **recorded**: seen in real traffic; **documented**: Clutch's or Manhattan's text says so; **client**: a public client
  relies on it; **inferred**: follows from those; **unknown**: nobody says, ask Clutch before going live;
  **ours**: no fact about Clutch but a choice of the shop.

`ClutchSettings.from_environment()`, and so `--provider clutch`, reads each from the variable `CLUTCH_` and its name in
capitals: `CLUTCH_RATE=5`, `CLUTCH_RETURN_BALANCES=no`, and JSON for what has parts: `CLUTCH_CARD_SETS={"gift": "G1"}`.
In a program, `attrs.evolve(settings, rate=5.0)` changes any of them. This page is made from the class, by
`tallystick.clutch.settings.page()`."""


def _default(field: attrs.Attribute[Any]) -> str:
    if field.name in ACCESS:
        return f"`{variables.variable(field.name)}`"
    if field.name == "rules":
        return "see below"
    factory = getattr(field.default, "factory", None)  # of a mapping, which must be made anew
    return f"`{factory() if factory else field.default!r}`"


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
