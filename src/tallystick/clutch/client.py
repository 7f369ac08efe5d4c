"""The provider. It sends what `wire` writes and hands back what `wire` and `lookup` read; it knows no words of Clutch.

    perform   a request that moves money is sent once, whatever comes back. If it was surely not sent, or turned away,
              it is unavailable. If anything was lost after the first byte may have left, it is unknown. Then only the
              engine sends it again: if a look-up has not seen it, or if `may_repeat` says that it is not done twice
    look_up   reads search, then history, in this order: what is done in between is in the history, so it cannot
              look as if it had left no trace
    balance, holds, history   read too, and raise `NotRead`. What only reads is tried a few times

Bodies, card numbers, PINs and credentials are in no log, no exception and no repr of this file.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TypeVar
from urllib.parse import quote, urlsplit

import attrs

from tallystick.clutch import answers, lookup, wire
from tallystick.clutch.answers import Card, Entry, History, Json, NotRead, StrangeAnswer
from tallystick.clutch.request_limits import Bucket, Circuit, CircuitBreaker, LeakyBucket
from tallystick.clutch.settings import ClutchSettings
from tallystick.clutch.transport import Answer, HttpTransport, Lost, NotSent, Transport
from tallystick.masks import redacted
from tallystick.provider.protocol import (
    Ambiguous,
    Call,
    CardFacts,
    Cell,
    Cells,
    Line,
    NotSeen,
    Observed,
    Outcome,
    Reason,
    Result,
    Unread,
)

_log = logging.getLogger("tallystick.clutch")
Read = TypeVar("Read")


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


class ClutchProvider:
    """A brand at Clutch. Thread-safe.

    Requests go through a leaky bucket and a circuit breaker; `share` shares them with all processes on the same books.
    """

    name = "clutch"
    local = False

    def __init__(
        self, settings: ClutchSettings, transport: Transport | None = None, *,
        clock: Callable[[], datetime] = utc_now, sleep: Callable[[float], object] = time.sleep,
        bucket: LeakyBucket | None = None, breaker: CircuitBreaker | None = None,
    ) -> None:  # fmt: skip
        self.settings = settings
        self._transport = transport or HttpTransport(settings)
        self._clock, self._sleep = clock, sleep
        self._given = bucket, breaker
        self._bucket = bucket or self._bucket_in(None)
        self._breaker = breaker or self._breaker_in(None)
        self._headers = _headers(settings)

    def __repr__(self) -> str:
        return f"<ClutchProvider {urlsplit(self.settings.base_url).netloc}, brand {self.settings.brand}>"

    @property
    def identity(self) -> str:
        """Whose cards it keeps. A port may change."""
        return f"{urlsplit(self.settings.base_url).hostname}, brand {self.settings.brand}"

    @property
    def place(self) -> tuple[str, str]:
        """The location and the terminal that its calls name."""
        return self.settings.location, self.settings.terminal

    @property
    def abilities(self) -> Collection[str]:
        return ("keeps_remainder",) if self.settings.keeps_remainder else ()

    def close(self) -> None:
        self._transport.close()

    def share(self, cells: Cells) -> None:
        """Share limits with all who have these cells. A bucket or breaker that was given to the constructor stays."""
        if not self.settings.share_limits:
            return
        bucket, breaker = self._given
        brand = f"clutch/{urlsplit(self.settings.base_url).netloc}/{self.settings.brand}"
        self._bucket = bucket or self._bucket_in(cells(f"{brand}/bucket", Bucket()))
        self._breaker = breaker or self._breaker_in(cells(f"{brand}/circuit", Circuit()))

    def _bucket_in(self, cell: Cell[Bucket] | None) -> LeakyBucket:
        return LeakyBucket(self.settings.rate, self.settings.burst, cell=cell, clock=self._seconds)

    def _breaker_in(self, cell: Cell[Circuit] | None) -> CircuitBreaker:
        return CircuitBreaker(
            self.settings.breaker_failures, self.settings.breaker_pause, cell=cell, clock=self._seconds
        )

    def clock(self) -> datetime:
        """The time by which it waits and looks up; books that are opened with it go by it too."""
        return self._clock()

    def _seconds(self) -> float:
        return self._clock().timestamp()

    # Calls

    def perform(self, call: Call) -> Outcome:
        """Send the call once. Every failure is an outcome; nothing is raised."""
        outcome = self._performed(call)
        level = logging.DEBUG if outcome.result in (Result.CONFIRMED, Result.DECLINED) else logging.INFO
        said = (call.verb, call.id, call.attempt, outcome.result, outcome.code, outcome.request)
        _log.log(level, "%s, call %s, attempt %d: %s (%s), request %s", *said)
        return outcome

    def _performed(self, call: Call) -> Outcome:
        request = wire.request(call, self.settings)
        if isinstance(request, Outcome):
            return request
        answer = self.send(request, call)
        if isinstance(answer, Outcome):
            return answer
        outcome = wire.outcome(call, self.settings, answer.status, answer.body)
        if isinstance(outcome, wire.DoneForLess):
            return self._completed(call, outcome)
        if outcome.result is Result.DECLINED and call.attempt > 1 and call.verb in wire.MOVING:
            return self._doubted(call, outcome)
        return outcome

    def _completed(self, call: Call, unsaid: wire.DoneForLess) -> Outcome:
        """It was done for less than asked, and the record knows for how much."""
        amount = None
        with contextlib.suppress(NotRead):
            amount = lookup.amount_done(call, unsaid.reference, *self._record(call))
        if amount is None:
            text = f"done as transaction {unsaid.reference}, for less than asked; how much is not known"
            return Outcome(Result.UNKNOWN, reference=unsaid.reference, request=unsaid.request, text=text)
        return Outcome(Result.CONFIRMED, unsaid.reference, unsaid.request, amount, unsaid.available)

    def _doubted(self, call: Call, declined: Outcome) -> Outcome:
        """A repeat was declined, perhaps because the first attempt was done after all: then it is no decline."""
        try:
            found = self._decided(call)
        except NotRead:
            found = Ambiguous("")
        if isinstance(found, NotSeen):
            return declined
        text = f"a repeat was declined ({declined.text}), but an earlier attempt may have been done"
        return attrs.evolve(declined, result=Result.UNKNOWN, reason=None, text=text)

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        """Say from Clutch's own record what became of the call, less what our journal accounts for already."""
        request = wire.request(call, self.settings)
        if isinstance(request, Outcome):  # nothing was ever sent
            return request
        quiet = timedelta(seconds=self.settings.quiet_period)
        asked = call.asked_at or call.opened_at
        if asked is not None and self._clock() < asked + quiet:
            why = f"asked less than {self.settings.quiet_period:g} s ago; it may still be on its way"
            return Ambiguous(why, later=True)
        if (nothing := lookup.unanswerable(call, self.settings)) is not None:
            return nothing
        try:
            found = self._decided(call)
        except NotRead as error:
            return Ambiguous(str(error), later=True)
        young = any(
            each.verb in wire.MOVING and each.asked_at is not None and self._clock() < each.asked_at + quiet
            for each in call.in_doubt
        )
        if young and isinstance(found, Outcome) and found.result is Result.CONFIRMED:
            why = "another call on this card is still on its way, and what was found may be that one's"
            return Ambiguous(why, later=True)
        return found

    def may_repeat(self, call: Call) -> bool:
        """Whether Clutch still remembers the call by its `customRequestId`, as far as the settings say."""
        remembered = timedelta(seconds=self.settings.repeat_within)
        return call.opened_at is not None and self._clock() < call.opened_at + remembered

    def _decided(self, call: Call) -> lookup.Found:
        """What the record says, less what is accounted for. Raises: NotRead."""
        card, history = self._record(call)
        return lookup.decide(lookup.Case(call, self.settings, card, history))

    def _record(self, call: Call) -> tuple[Card | None, History | None]:
        """The card, then what happened on it since shortly before the call. Raises: NotRead."""
        number, currency = wire.number_of(call), call.card.currency
        tells_status = call.verb in ("suspend", "reinstate")
        hidden = call.verb not in ("allocate", "activate")
        card = self._card(wire.search(self.settings, number, status=tells_status, inactive=hidden), number, currency)
        if tells_status:
            return card, History(())
        since = call.opened_at and call.opened_at - timedelta(seconds=self.settings.clock_skew)
        return card, self._history_if_any(number, currency, since)

    def _history_if_any(self, number: str, currency: str, since: datetime | None = None) -> History | None:
        """What happened on a card; None if Clutch knows no such active card. Raises: NotRead."""
        try:
            return self._history(number, currency, since)
        except NotRead as error:
            if error.outcome.reason in (Reason.UNKNOWN_CARD, Reason.NOT_ACTIVATED):
                return None
            raise

    def observe(self, card: CardFacts, *, history: bool = True) -> Observed | Unread:
        """Read a card, also a suspended one, and then its history, which therefore has all that the card shows."""
        number = card.number or ""
        try:
            found = self._card(wire.search(self.settings, number, inactive=True), number, card.currency)
            known = self._history_if_any(number, card.currency) if history else None
        except NotRead as error:
            return Unread(str(error))
        if found is None and known is None:
            return Observed(known=False)
        if found is None:
            return Unread("the card has a history, but search does not find it")
        if found.cached:
            return Unread("the search was answered from a cache; look again")
        if not history:
            return Observed(found.available, found.holds, complete=False)
        if known is None:
            return Unread("the card has balances, but no history") if found.balances else Observed()
        lines = tuple(self._line(entry) for entry in known.entries)
        return Observed(found.available, found.holds, lines, complete=known.complete)

    def _line(self, entry: Entry) -> Line:
        settings = self.settings
        # Without an amount, these move nothing.
        silent = (settings.type_allocate, settings.type_checkout, *settings.types_of_others)
        moves = entry.amount is not None or entry.foreign or (entry.blank and entry.kind not in silent)
        here = None if entry.location is None else entry.location == (settings.history_location or settings.location)
        return Line(entry.id, entry.request, entry.at, entry.amount, moves, entry.location, here)

    # What is asked directly

    def balance(self, card: CardFacts, pin: str | None = None) -> Card:
        """What is available and what is held. A PIN, if given, is checked.

        Raises:
            NotRead: declined as unknown_card, wrong_pin or suspended (if Clutch shows that); or Clutch was not reached.
        """
        number = card.number or ""
        found = self._card(wire.search(self.settings, number, pin), number, card.currency, hide=(number, pin or ""))
        if found is None:
            raise NotRead(Outcome(Result.DECLINED, reason=Reason.UNKNOWN_CARD, text="no card was found"))
        if found.status == self.settings.status_suspended:
            raise NotRead(Outcome(Result.DECLINED, reason=Reason.SUSPENDED, text="the card is suspended"))
        return found

    def holds(self, card: CardFacts) -> dict[str, int]:
        """Open holds, also of a suspended card: transaction id to what is held. Raises: NotRead."""
        number = card.number or ""
        found = self._card(wire.search(self.settings, number, inactive=True), number, card.currency)
        return found.holds if found else {}

    def history(self, card: CardFacts, since: datetime | None = None) -> History:
        """What happened on a card, the newest first. Raises: NotRead."""
        return self._history(card.number or "", card.currency, since)

    def needs_pin(self, number: str) -> bool:
        """Whether a PIN has to be asked for."""
        return not self.settings.pinless(number)

    def _card(self, request: wire.Request, number: str, currency: str, hide: Sequence[str] = ()) -> Card | None:
        def understand(answer: Json) -> Card | None:
            return answers.card_of(answer, number, currency, self.settings)

        return self.read(request, understand, hide or (number,))

    def _history(self, number: str, currency: str, since: datetime | None) -> History:
        """Pages until they are older than `since`. What happens meanwhile only shifts them, so nothing is missed."""
        found: dict[tuple[str, str, datetime], Entry] = {}  # by what tells lines apart where pages overlap
        offset, bounded = 0, since is not None and self.settings.history_begin_date
        for _ in range(self.settings.history_pages):
            request = wire.card_history(self.settings, number, offset, since)
            page, count = self.read(request, lambda answer: self._page(answer, currency), (number,))
            found |= {(entry.id, entry.kind, entry.at): entry for entry in page}
            offset += len(page)
            if count is not None and offset > count:  # it shows more than it says there is
                break
            if not page or (count is not None and offset >= count):
                return History(tuple(found.values()), whole=not bounded)
            if since is not None and page[-1].at < since:
                return History(tuple(found.values()), whole=False)
        return History(tuple(found.values()), complete=False, whole=False)

    def _page(self, answer: Json, currency: str) -> tuple[tuple[Entry, ...], int | None]:
        count = answer.get("matchCount")
        return answers.entries_of(answer, currency, self.settings), count if type(count) is int else None

    # Sending

    def read(self, request: wire.Request, understand: Callable[[Json], Read], hide: Sequence[str] = ()) -> Read:
        """Ask something that only reads, a few times if need be, until it is understood. Raises: NotRead."""
        outcome = Outcome(Result.UNKNOWN)
        for attempt in range(self.settings.read_attempts):
            if attempt:
                self._sleep(self.settings.read_pause * 2 ** (attempt - 1))
            sent = self.send(request)
            said = answers.envelope(self.settings, sent.status, sent.body, hide) if isinstance(sent, Answer) else sent
            if isinstance(said, Outcome):
                outcome = said
            else:
                try:
                    return understand(said)
                except StrangeAnswer as strange:
                    outcome = Outcome(Result.UNKNOWN, text=str(strange))
            if outcome.result is Result.DECLINED:
                break
        raise NotRead(outcome)

    def send(self, request: wire.Request, call: Call | None = None) -> Answer | Outcome:
        """Send once, when the limits allow it."""
        if not self._breaker.admits():
            return _not_sent("nothing is sent for a while after so many failures")
        wait = self._bucket.turn(self.settings.longest_wait)
        if wait is None:
            return _not_sent("too many requests are waiting for their turn")
        if wait:
            self._sleep(wait)
        if call is not None and self._is_late(call):
            return _not_sent("its turn came too late: a look-up may have found by now that it was not done")
        try:
            answer = self._transport.send(request.method, self._headers_for(call), request.encoded())
        except NotSent as error:
            outcome = _not_sent(f"Clutch was not reached ({redacted(str(error))})")
        except Exception as error:  # noqa: BLE001  # Lost, or a transport's own fault, whose text may hold a secret
            why = redacted(str(error)) if isinstance(error, Lost) else type(error).__name__
            outcome = Outcome(Result.UNKNOWN, text=f"no answer came ({why})")
        else:
            if answer.status == 429:
                self._bucket.fill()
            self._breaker.tell(well=answer.status < 500)
            return answer
        self._breaker.tell(well=False)
        return outcome

    def _is_late(self, call: Call) -> bool:
        """Whether a look-up could miss what is sent now: it believes what it does not see after the quiet period."""
        settings = self.settings
        left = settings.quiet_period - settings.pool_timeout - settings.connect_timeout
        return call.asked_at is not None and self._clock() - call.asked_at >= timedelta(seconds=left)

    def _headers_for(self, call: Call | None) -> Mapping[str, str]:
        if call is None:
            return self._headers
        order = {self.settings.order_header: _word(call.order)} if call.order and self.settings.order_header else {}
        return {**self._headers, self.settings.request_id_header: _word(call.id), **order}


def _headers(settings: ClutchSettings) -> dict[str, str]:
    pair = base64.b64encode(f"{settings.api_key}:{settings.api_secret}".encode()).decode()
    headers = {
        "Authorization": f"Basic {pair}", "brand": settings.brand, "location": settings.location,
        "terminal": settings.terminal, "Content-Type": "application/json", "Accept": "application/json",
        "User-Agent": "tallystick",
    }  # fmt: skip
    employee = {"employee": settings.employee, "employeePassword": settings.employee_password}
    return headers | {name: value for name, value in employee.items() if value}


def _word(text: str) -> str:
    """Text as a header may carry it: what is not plain ASCII is percent-encoded."""
    return text if text.isascii() and text.isprintable() else quote(text, safe=" /:#-_.~")


def _not_sent(text: str) -> Outcome:
    return Outcome(Result.UNAVAILABLE, text=text)


def from_environment() -> ClutchProvider:
    """The provider of `--provider clutch`, from CLUTCH_BASE_URL, CLUTCH_API_KEY and so on.

    Raises:
        Invalid: some of them are missing or cannot be. It names them.
        ImportError: without httpcore2.
    """
    return ClutchProvider(ClutchSettings.from_environment())
