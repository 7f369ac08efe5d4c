"""What became of a call, from Clutch's own record: open holds (search) and what happened on the card (cardHistory).

Pure. `decide` takes the record as it was read, and what our journal accounts for already: the ids it has claimed, and
the other calls that are in doubt. An entry *fits* a call if it is an unclaimed change of the right kind and amount, at
our location, from shortly before the call was opened until `window` after. It *may* fit if its location is missing, if
it is later, or if something nobody documents decides about it. Then

    one fits, none may       confirmed, with its id
    none fits, none may      not seen
    else                     ambiguous: a person decides, or a later look does

hold            an open hold of the amount (of less, if less may be taken); its time and place are in history
redeem          a decrease of the amount (of less, if less may be taken)
issue           an increase. Some first loads are recorded without their amount: such an entry fits if it is the only
                change there is and the card carries exactly what was issued
adjust          an increase or decrease. For this and for an issue, a part of the amount may be it: Clutch may have done
                less, though nobody asked for less
redeem_hold     its hold decides. As it was: it was not done. Gone: it was done if a decrease of the amount is there,
                because nobody else knows its id. If the rest is kept, `held` says what was held before
release_hold    its hold decides. Still there: it was not done. Gone: it was done if an entry of 0 is there
void            an entry of the void type. The type is not known for sure, so an unknown type may fit
activate        an ALLOCATE entry of the card; a card that was active before may be somebody else's
suspend         the status, if it is shown. These move no value, so after "not seen" the call is sent again
update_account  history shows that an account was changed, but not how: its caller gives the command again
allocate        cannot be looked up without a number. It moves no value: it is sent again, and the card left behind is
                reported
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta, timezone

import attrs

from tallystick import money
from tallystick.clutch.answers import Card, Entry, History
from tallystick.clutch.settings import ClutchSettings
from tallystick.clutch.wire import activation, card_set_of, may_be_short, number_of
from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Result

Found = Outcome | NotSeen | Ambiguous

NO, MAYBE, YES = 0, 1, 2  # how well an entry fits; of several answers the least counts


# The question


@attrs.frozen
class Case:
    """A call and all that is known about it. `card` and `history` are None if Clutch knows no such active card."""

    call: Call
    settings: ClutchSettings
    card: Card | None
    history: History | None

    @property
    def amount(self) -> int:
        return int(str(self.call.args["amount"]))

    @property
    def entries(self) -> tuple[Entry, ...]:
        return self.history.entries if self.history else ()

    def unclaimed(self, entry: Entry) -> bool:
        return entry.id not in self.call.claimed and (entry.request is None or entry.request not in self.call.claimed)


def unanswerable(call: Call, settings: ClutchSettings) -> NotSeen | None:
    """The answer for calls that the record cannot show: they move no value, so they may be sent again."""
    if call.verb == "allocate" and not number_of(call):
        left = f"a card of set {card_set_of(call, settings)} may have been drawn for nobody: an unused card, no money"
        return NotSeen(left)
    if call.verb == "update_account":
        return NotSeen("the record does not show what is known of a card's owner")
    if call.verb == "activate" and activation(call, settings) != "allocate":
        return NotSeen("it changes nothing that the record shows")
    return None


def decide(case: Case) -> Found:
    """What the record says of a call."""
    if case.card is not None and case.card.cached:
        return Ambiguous("the search was answered from a cache; look again", later=True)
    if case.history is None:
        if case.card is None or not case.card.balances:
            return NotSeen("Clutch knows no such active card")
        return Ambiguous("the card has balances, but no history")
    if case.card is None and case.call.verb not in ("allocate", "activate"):
        return Ambiguous("the card has a history, but search does not find it")
    return _RULES[case.call.verb](case)


def amount_done(call: Call, reference: str, card: Card | None, history: History | None) -> int | None:
    """The amount of a hold or redemption whose id is known; None if the record does not say."""
    if call.verb == "hold":
        amount = card.holds.get(reference) if card else None
    else:
        shown = [each.amount for each in (history.entries if history else ()) if each.id == reference]
        amount = -shown[0] if shown and shown[0] is not None else None
    return amount if amount is not None and 0 <= amount <= int(str(call.args["amount"])) else None


# The rules


def _hold(case: Case) -> Found:
    entries = {entry.id: entry for entry in case.entries}
    sure: list[Entry] = []
    maybe: list[Entry] = []
    for id, amount in case.card.holds.items() if case.card else ():
        entry = entries.get(id) or Entry(id, None, _LONG_AFTER, None, case.settings.type_update, amount)
        if entry.call is not None and entry.call == case.call.id:
            return _confirmed(case, attrs.evolve(entry, amount=amount))
        size = YES if amount == case.amount else _fits_less(case, amount)
        fit = min(size, _fits_time_and_place(case, entry)) if case.unclaimed(entry) and entry.call is None else NO
        if fit:
            (sure if fit == YES else maybe).append(attrs.evolve(entry, amount=amount))
    return _conclusion(case, sure, maybe, "open hold")


def _fits_less(case: Case, amount: int) -> int:
    """How well less than asked fits: surely only if nothing was left, and no other call explains it."""
    if not 0 < amount < case.amount:
        return NO
    asks = may_be_short(case.call, case.settings) and (case.call.verb != "hold" or case.settings.overdraw_on_hold)
    left = case.card is None or case.card.available > 0
    others = any(other.id != case.call.id and other.args.get("amount") == amount for other in case.call.in_doubt)
    return YES if asks and not left and not others else MAYBE


def _redeem(case: Case) -> Found:
    def fits(entry: Entry) -> int:
        if entry.kind == case.settings.type_update and entry.amount is not None and -case.amount < entry.amount < 0:
            return _fits_less(case, -entry.amount)
        return _fits_change(case, entry, -case.amount)

    return _conclusion(case, *_matching(case, fits), "redemption")


def _issue(case: Case) -> Found:
    sure, maybe = _matching(case, lambda entry: _fits_change(case, entry, case.amount))
    if not sure and len(maybe) == 1 and _is_first_load(case, maybe[0]):
        return _confirmed(case, maybe[0])
    return _conclusion(case, *_or_parts(case, sure, maybe), "issue")


def _is_first_load(case: Case, entry: Entry) -> bool:
    """A load shown without its amount, the only change ever, on a card that carries exactly that much."""
    changes = [each for each in case.entries if each.kind == case.settings.type_update]
    carries = sum(each.amount for each in case.card.balances) if case.card else 0
    whole = case.history is not None and case.history.whole
    return (
        entry.blank
        and whole
        and changes == [entry]
        and carries == case.amount
        and _fits_time_and_place(case, entry) == YES
    )


def _adjust(case: Case) -> Found:
    def fits(entry: Entry) -> int:
        fit = _fits_change(case, entry, case.amount)
        strange = entry.kind not in _known(case.settings) and entry.amount == case.amount
        return MAYBE if strange else fit

    return _conclusion(case, *_or_parts(case, *_matching(case, fits)), "adjustment")


def _or_parts(case: Case, sure: list[Entry], maybe: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """If nothing fits, a part of it may: nobody asked for less, but Clutch may have done less."""

    def fits(entry: Entry) -> int:
        part = 0 < (entry.amount or 0) < case.amount or case.amount < (entry.amount or 0) < 0
        return MAYBE if part and entry.kind == case.settings.type_update else NO

    return (sure, maybe) if sure or maybe else _matching(case, fits)


def _void(case: Case) -> Found:
    if case.settings.void_as == "return":
        return _issue(case)

    def fits(entry: Entry) -> int:
        if entry.foreign and entry.kind in (case.settings.type_void, case.settings.type_update):
            return MAYBE
        if entry.amount not in (None, case.amount) or (entry.amount is None and not entry.blank):
            return NO
        if entry.kind == case.settings.type_void:
            return YES
        plain = entry.kind == case.settings.type_update and entry.amount == case.amount
        return MAYBE if plain or entry.kind not in _known(case.settings) else NO

    return _conclusion(case, *_matching(case, fits), "void")


def _redeem_hold(case: Case) -> Found:
    args, settings = case.call.args, case.settings
    left = case.card.holds.get(str(args.get("hold"))) if case.card else None
    release = args.get("release")
    before = case.amount + release if isinstance(release, int) and release else args.get("held")
    sure, maybe = _matching(case, lambda entry: _fits_change(case, entry, -case.amount))

    if left is None and sure:
        return _confirmed(case, sure[-1])
    if left is None:
        return Ambiguous(
            f"the hold is gone, but nothing shows that {_amount_text(case, case.amount)} of it was redeemed"
        )
    if left == before:
        return NotSeen(f"the hold still holds {_amount_text(case, left)}")
    if not release and isinstance(before, int) and left == before - case.amount and sure:
        return _confirmed(case, sure[-1])
    if before is None and not sure and not maybe:
        return _conclusion(case, sure, maybe, f"redemption at {settings.location}")
    return Ambiguous(f"the hold holds {_amount_text(case, left)}; {_evidence(case, [*sure, *maybe])}")


def _release_hold(case: Case) -> Found:
    holds = case.card.holds if case.card else {}
    if (left := holds.get(str(case.call.args.get("hold")))) is not None:
        return NotSeen(f"the hold still holds {_amount_text(case, left)}")
    sure, maybe = _matching(case, lambda entry: NO if entry.id in holds else _fits_change(case, entry, 0))
    if sure:
        return _confirmed(case, sure[-1])
    return Ambiguous(f"the hold is gone, but nothing shows its release; {_evidence(case, maybe)}")


def _activate(case: Case) -> Found:
    sure, maybe = _matching(case, lambda entry: YES if entry.kind == case.settings.type_allocate else NO)
    if not sure and not maybe and case.card is not None:
        return Ambiguous("the card is active already, and not by this call")
    return _conclusion(case, sure, maybe, "allocation")


def _status(case: Case) -> Found:
    wanted = case.settings.status_suspended if case.call.verb == "suspend" else case.settings.status_active
    shown = case.card.status if case.card else None
    if shown == wanted:
        return Outcome(Result.CONFIRMED)
    return NotSeen(f"search shows the status {shown!r}" if shown else "search shows no status")


_RULES: Mapping[str, Callable[[Case], Found]] = {
    "allocate": _activate, "activate": _activate, "issue": _issue, "hold": _hold, "redeem": _redeem,
    "redeem_hold": _redeem_hold, "release_hold": _release_hold, "void": _void, "adjust": _adjust,
    "suspend": _status, "reinstate": _status,
}  # fmt: skip


# Sifting


_LONG_AFTER = datetime(9999, 1, 1, tzinfo=timezone.utc)  # a hold without an entry: nobody knows when


def _matching(case: Case, fits: Callable[[Entry], int]) -> tuple[list[Entry], list[Entry]]:
    """The entries that fit and those that may, the newest first."""
    sure: list[Entry] = []
    maybe: list[Entry] = []
    for entry in filter(case.unclaimed, case.entries):
        if entry.call is not None and entry.call == case.call.id:
            return [entry], []
        fit = NO if entry.call is not None else min(fits(entry), _fits_time_and_place(case, entry))
        if fit:
            (sure if fit == YES else maybe).append(entry)
    return sure, maybe


def of_kind(case: Case, kind: str) -> tuple[list[Entry], list[Entry]]:
    """The unclaimed entries of one callType: those that fit by time and place, and those that may."""
    return _matching(case, lambda entry: YES if entry.kind == kind else NO)


def _fits_time_and_place(case: Case, entry: Entry) -> int:
    """How well an entry fits by time and location."""
    settings, opened = case.settings, case.call.opened_at
    if entry.location not in (None, settings.history_location or settings.location):
        return NO
    if opened is not None and entry.at < opened - timedelta(seconds=settings.clock_skew):
        return NO
    late = opened is None or entry.at > opened + timedelta(seconds=settings.window)
    return MAYBE if late or entry.location is None else YES


def _fits_change(case: Case, entry: Entry, amount: int) -> int:
    """How well an entry fits a change of balance."""
    if entry.kind != case.settings.type_update:
        return NO
    if entry.foreign or (entry.blank and amount > 0):
        return MAYBE
    return YES if entry.amount == amount else NO


def _known(settings: ClutchSettings) -> Collection[str]:
    ours = (settings.type_allocate, settings.type_update, settings.type_void, settings.type_checkout)
    return (*ours, *settings.types_of_others)


def _conclusion(case: Case, sure: Sequence[Entry], maybe: Sequence[Entry], what: str) -> Found:
    """One, none or several. If several are alike, each of as many calls in doubt that are alike may have one."""
    alike, unlike = _rivals(case)
    if not sure and not maybe:
        if case.history is None or not case.history.complete:
            return Ambiguous("the history is too long; nothing was found in the part that was read")
        return NotSeen(f"no {what} of ours that is not accounted for")
    if sure and not maybe and (len(sure) <= 1 + alike if not unlike else len(sure) == 1 + alike + unlike):
        return _confirmed(case, sure[-1])
    return Ambiguous(_evidence(case, [*sure, *maybe]))


def _rivals(case: Case) -> tuple[int, int]:
    """How many other calls in doubt the same entry would explain: by the same verb, by another."""
    others = [
        other
        for other in case.call.in_doubt
        if other.id != case.call.id and _change_shown(other) == _change_shown(case.call)
    ]
    alike = sum(other.verb == case.call.verb for other in others)
    return alike, len(others) - alike


def _change_shown(call: Call) -> tuple[str, object]:
    """The change of balance that history would show for a call."""
    amount = call.args.get("amount")
    match call.verb:
        case "redeem" | "redeem_hold":
            return "change", -amount if isinstance(amount, int) else None
        case "issue" | "adjust":
            return "change", amount
    return call.verb, amount


def _confirmed(case: Case, entry: Entry) -> Outcome:
    short = case.call.verb in ("hold", "redeem") and entry.amount is not None
    amount = abs(entry.amount) if short and entry.amount is not None else None
    return Outcome(Result.CONFIRMED, reference=entry.id, request=entry.request, amount=amount)


def _evidence(case: Case, entries: Sequence[Entry]) -> str:
    """The entries that may be it, as a person reads them."""
    if not entries:
        return "no entry fits"
    lines = [
        f"{each.at:%F %T} {each.kind} {'' if each.amount is None else _amount_text(case, each.amount)} "
        f"at {each.location or 'no location'}, transaction {each.id}"
        for each in entries
    ]
    return f"{len(lines)} may be it: {'; '.join(lines)}"


def _amount_text(case: Case, amount: int) -> str:
    return f"{money.to_text(amount, case.call.card.currency)} {case.call.card.currency}"
