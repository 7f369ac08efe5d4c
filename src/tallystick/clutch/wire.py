"""The words of Clutch: a call to a request, an answer to an outcome. Pure: no I/O and no clock.

    request(call, settings) → Request       or an Outcome, if nothing has to be sent or nothing can be
    outcome(call, settings, status, body)   confirmed, declined, unavailable or unknown; or `DoneForLess`, if only the
                                            record says for how much

A success is believed only as far as it agrees with the call. Another card, another currency, more than was asked for,
or less without a word, are unknown. Then `lookup` reads Clutch's record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone

import attrs

from tallystick.clutch import answers
from tallystick.clutch.answers import Balance, Json, StrangeAnswer, digits, exactly, id_of, text_of, with_pin
from tallystick.clutch.settings import ClutchSettings
from tallystick.provider.protocol import Call, Outcome, Reason, Result

# These move value; the others may be repeated without harm.
MOVING = frozenset({"issue", "hold", "redeem", "redeem_hold", "release_hold", "void", "adjust"})
SHORT = frozenset({"hold", "redeem"})  # of these, less than asked may be confirmed


@attrs.frozen
class Request:
    """One POST. `method` is the last part of its path."""

    method: str
    body: Json = attrs.field(repr=False)
    reads: bool = False  # it changes nothing, so it may be sent again

    def encoded(self) -> bytes:
        return answers.dumps(self.body).encode()


@attrs.frozen
class DoneForLess:
    """It was done, for less than asked, and the answer does not say for how much."""

    reference: str
    request: str | None
    available: int | None


# A call to a request


def request(call: Call, settings: ClutchSettings) -> Request | Outcome:
    """What to send for a call."""
    build = _VERBS.get(call.verb)
    if build is None:
        return _cannot(f"the Clutch adapter has no verb {call.verb!r}")
    if call.verb != "allocate" and not number_of(call):
        return _cannot("the card has no number yet")
    if call.verb in MOVING and not _amount_fits(call):
        return _cannot("the amount is not one that Clutch can be asked for")
    return build(call, settings)


def number_of(call: Call) -> str:
    """The number of the card a call is about: scanned just now, or known; empty if neither."""
    return str(call.args.get("number") or call.card.number or "")


def _amount_fits(call: Call) -> bool:
    amount = call.args.get("amount")
    return type(amount) is int and (amount > 0 or (call.verb == "adjust" and amount != 0))


def _allocate(call: Call, settings: ClutchSettings) -> Request | Outcome:
    if card := number_of(call):
        return Request("allocate", {"cardNumber": digits(card, settings.numbers_as), **_pin(call, settings)})
    card_set = card_set_of(call, settings)
    if card_set is None:
        return _cannot("no card set is named, neither by the card nor by the setting card_sets")
    return Request("allocate", {"cardSetId": card_set})


def card_set_of(call: Call, settings: ClutchSettings) -> str | None:
    return call.card.card_set or settings.card_sets.get(call.card.kind or "")


def _activate(call: Call, settings: ClutchSettings) -> Request | Outcome:
    match activation(call, settings):
        case "allocate":
            return _allocate(call, settings)
        case "update_account":
            return _account(call, settings, _pin(call, settings))
    return Outcome(Result.CONFIRMED)


def _pin(call: Call, settings: ClutchSettings) -> Json:
    """The PIN that an activation was given, if it is to be sent."""
    return with_pin(call.secrets.get("pin") if settings.activate_with_pin else None, number_of(call), settings)


def activation(call: Call, settings: ClutchSettings) -> str:
    """What activating this card means at Clutch. A number is scanned only from a physical card."""
    physical = call.card.form == "physical" or (call.card.form is None and "number" in call.args)
    return settings.activate_physical if physical else settings.activate_electronic


def _issue(call: Call, settings: ClutchSettings) -> Request:
    return _update(call, settings, "issue", returned=call.args.get("return_related") is True)


def _hold(call: Call, settings: ClutchSettings) -> Request:
    return _update(call, settings, "hold", most=settings.overdraw_on_hold and may_be_short(call, settings))


def _redeem(call: Call, settings: ClutchSettings) -> Request:
    return _update(call, settings, "redeem", most=may_be_short(call, settings))


def may_be_short(call: Call, settings: ClutchSettings) -> bool:
    """Whether Clutch may take less, if there is less."""
    return call.args.get("allow_partial", settings.partial_by_default) is True


def _redeem_hold(call: Call, settings: ClutchSettings) -> Request | Outcome:
    if not (hold := call.args.get("hold")):
        return _cannot("no hold is named; without one it would redeem what is not held")
    return _update(call, settings, "redeem", hold=str(hold), release=call.args.get("release") != 0)


def _release_hold(call: Call, settings: ClutchSettings) -> Request | Outcome:
    if not (hold := call.args.get("hold")):
        return _cannot("no hold is named")
    if call.args.get("rest"):
        return _cannot("nobody knows how a part of a hold would be released at Clutch; nothing was sent")
    return _update(call, settings, "redeem", amount=0, hold=str(hold), release=True)


def _void(call: Call, settings: ClutchSettings) -> Request | Outcome:
    if settings.void_as == "return":
        return _update(call, settings, "issue", returned=True)
    if not (transaction := call.args.get("transaction")):
        return _cannot("no request is named whose transaction could be voided")
    body = {"requestRef": str(transaction), "cardNumber": digits(number_of(call), settings.numbers_as)}
    return Request("voidTransaction", {**body, **_returned(settings)})


def _adjust(call: Call, settings: ClutchSettings) -> Request:
    amount = _asked(call)
    if amount > 0 or settings.adjust_down == "negative_issue":
        return _update(call, settings, "issue", amount=amount, adjusts=True)
    return _update(call, settings, "redeem", amount=-amount, adjusts=True)


def _suspend(call: Call, settings: ClutchSettings) -> Request:
    return _account(call, settings, {settings.status_field: settings.status_suspended})


def _reinstate(call: Call, settings: ClutchSettings) -> Request:
    if settings.reinstate_method == "reactivate":
        return Request("reactivate", {"cardNumber": digits(number_of(call), settings.numbers_as)})
    return _account(call, settings, {settings.status_field: settings.status_active})


# What may be said of a card's owner, in our words and in Clutch's
OWNER = {"first_name": "firstName", "last_name": "lastName", "address1": "address1", "address2": "address2",
         "city": "city", "region": "state", "postal": "postal", "country": "country", "email": "email",
         "phone": "phone"}  # fmt: skip


def _update_account(call: Call, settings: ClutchSettings) -> Request:
    """Whose card it is. Names and addresses are secrets: they are passed on, and kept nowhere."""
    args, secrets = call.args, call.secrets
    field = settings.giver_field if args.get("giver") is True else "primaryCustomer"
    field = settings.alternate_field if args.get("alternate") is True else field
    person = {theirs: secrets[ours] for ours, theirs in OWNER.items() if ours in secrets}
    own = {settings.custom_number_field: secrets.get("custom_number"),
           settings.custom_data_field: secrets.get("custom_data")}  # fmt: skip
    wanted = [
        {"thirdParty": name.strip(), "optIn": answer}
        for names, answer in (("opts_in", True), ("opts_out", False))
        for name in secrets.get(names, "").split(",")
        if name.strip()
    ]
    told = {field: person, "countAsEnrollment": args.get("enrolls") is True, **own, "thirdPartyUpdates": wanted}
    return _account(call, settings, {name: value for name, value in told.items() if value})


def _account(call: Call, settings: ClutchSettings, fields: Mapping[str, object]) -> Request:
    return Request("updateAccount", {"cardNumber": digits(number_of(call), settings.numbers_as), **fields})


def _update(
    call: Call, settings: ClutchSettings, action: str, *, amount: int | None = None, hold: str | None = None,
    release: bool = False, returned: bool = False, most: bool = False, adjusts: bool = False,
) -> Request:  # fmt: skip
    """An updateBalance, its fields in the recorded order, then those only clients are known to send."""
    card = number_of(call)
    body: dict[str, object] = {
        "cardNumber": digits(card, settings.numbers_as),
        "action": action,
        "redeemFromHoldTransactionId": hold,
        "releaseHoldRemainder": release,
        "isReturnRelated": returned,
        "amount": _value(_asked(call) if amount is None else amount, call.card.currency, settings),
    }
    if adjusts:
        body[settings.adjustment_field] = True
    if most:
        body[settings.overdraw_field] = True
    extra = {**with_pin(call.secrets.get("pin"), card, settings), **_returned(settings)}
    return Request("updateBalance", {**body, **extra})


def _asked(call: Call) -> int:
    return int(str(call.args["amount"]))


def _value(minor_units: int, currency: str, settings: ClutchSettings) -> Json:
    kind, code = settings.kind_of_value(currency)
    named = {"balanceType": kind} if code is None else {"balanceType": kind, "balanceCode": code}
    return {**named, "amount": answers.number(minor_units, currency)}


def _returned(settings: ClutchSettings) -> Json:
    return {"returnBalances": True} if settings.return_balances else {}


def _cannot(text: str) -> Outcome:
    return Outcome(Result.DECLINED, reason=Reason.OTHER, text=text)


_VERBS: Mapping[str, Callable[[Call, ClutchSettings], Request | Outcome]] = {
    "allocate": _allocate, "activate": _activate, "issue": _issue, "hold": _hold, "redeem": _redeem,
    "redeem_hold": _redeem_hold, "release_hold": _release_hold, "void": _void, "adjust": _adjust,
    "suspend": _suspend, "reinstate": _reinstate, "update_account": _update_account,
}  # fmt: skip


# An answer to an outcome


def outcome(call: Call, settings: ClutchSettings, status: int, body: bytes) -> Outcome | DoneForLess:
    """What an answer says of the call. Never raises."""
    answer = answers.envelope(settings, status, body, hide=(number_of(call), *call.secrets.values()))
    if isinstance(answer, Outcome):
        return answer
    try:
        return _confirmed(call, settings, answer)
    except StrangeAnswer as strange:
        number = (number_of(call),)
        named = answers.secretless(text_of(answer.get("transactionId")), number)
        request_ref = answers.secretless(text_of(answer.get("requestRef")), number)
        said = f"{strange}; it names transaction {named}" if named else str(strange)
        return Outcome(Result.UNKNOWN, reference=named, request=request_ref, text=said)


def _confirmed(call: Call, settings: ClutchSettings, answer: Json) -> Outcome | DoneForLess:
    """Success, checked against the call. Raises: StrangeAnswer."""
    request_ref = id_of(answer.get("requestRef"))
    reference = id_of(answer.get("transactionId")) or request_ref  # documented as the same
    if call.verb == "void" and reference == call.args.get("transaction"):  # it may name what it undid: nobody says
        reference = request_ref
    shown = id_of(answer.get("cardNumber"))
    drawn = call.verb == "allocate" and not number_of(call)
    if shown is None and drawn:
        raise StrangeAnswer("a card was allocated, but its number is not in the answer")
    if shown is not None and not drawn and shown.lstrip("0") != number_of(call).lstrip("0"):
        raise StrangeAnswer("the answer is about another card")
    if {reference, request_ref} != {answers.secretless(id, (number_of(call),)) for id in (reference, request_ref)}:
        raise StrangeAnswer("an id of the answer repeats the card's number")
    if reference is None and call.verb in MOVING:
        raise StrangeAnswer("the answer says success without any id")
    told = (
        None if answer.get("balances") is None else answers.balances(answer["balances"], call.card.currency, settings)
    )
    available = None if told is None else sum(each.amount for each in told if each.hold is None)
    result = Outcome(Result.CONFIRMED, reference=reference, request=request_ref, available=available)
    if call.verb == "allocate":
        pin = _pin_of(answer.get("pin"), settings)
        return attrs.evolve(result, number=shown, pin=pin, has_pin=pin is not None if drawn or pin else None)
    approved = _approved(call, settings, answer, told or (), reference)
    if approved is None and answer.get("didOverdraw") is True:
        if call.verb not in SHORT or reference is None:
            raise StrangeAnswer("less was done than asked for")
        return DoneForLess(reference, request_ref, available)
    return attrs.evolve(result, amount=approved if call.verb in SHORT else None)


def _approved(
    call: Call, settings: ClutchSettings, answer: Json, told: Sequence[Balance], reference: str | None
) -> int | None:
    """How much was done, if the answer says so. Raises: StrangeAnswer."""
    if call.verb not in SHORT and call.verb not in ("issue", "redeem_hold"):
        return None
    asked, currency = _asked(call), call.card.currency
    approved = None
    if settings.approved_field and answer.get(settings.approved_field) is not None:
        approved = exactly(answer[settings.approved_field], currency)
    elif settings.due_field and answer.get(settings.due_field) is not None:
        approved = asked - exactly(answer[settings.due_field], currency)
    elif call.verb == "hold":
        approved = next((each.amount for each in told if each.hold == reference), None)
    if approved is not None and not 0 <= approved <= asked:
        raise StrangeAnswer("another amount was done than asked for")
    if approved is not None and approved != asked and call.verb not in SHORT:
        raise StrangeAnswer("less was done than asked for")
    return approved


def _pin_of(value: object, settings: ClutchSettings) -> str | None:
    """A PIN that came as a number has lost its leading zeros."""
    pin = id_of(value)
    return pin.zfill(settings.pin_length) if pin is not None and isinstance(value, int) else pin


# What only reads


def search(
    settings: ClutchSettings, card: str, pin: str | None = None, *, status: bool = False, inactive: bool = False
) -> Request:
    """Ask for a card with its balances and open holds. `status`, whose field is not known for sure, only if wanted."""
    fields = ["balances", settings.status_field] if status else ["balances"]
    body = {"filters": {"cardNumber": digits(card, settings.numbers_as)}, "returnFields": dict.fromkeys(fields, True)}
    hidden = {"includeInactive": True} if inactive and settings.include_inactive else {}
    return Request("search", {**body, **hidden, **with_pin(pin, card, settings)}, reads=True)


def card_history(settings: ClutchSettings, card: str, offset: int = 0, since: datetime | None = None) -> Request:
    """Ask for a page of what happened on a card, the newest first."""
    body = {"cardNumber": digits(card, settings.numbers_as), "limit": settings.history_page, "offset": offset}
    if since is not None and settings.history_begin_date:
        return Request("cardHistory", {**body, "beginDate": f"{since.astimezone(timezone.utc):%F %T}"}, reads=True)
    return Request("cardHistory", body, reads=True)
