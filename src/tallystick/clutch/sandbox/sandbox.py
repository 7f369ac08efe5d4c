"""The sandbox without HTTP: one door in, faults on the way, the operator's view from behind.

`handle` answers one request, or raises `ConnectionLost` where HTTP would close the connection. With the same seed,
clock and sequence of requests it does the same each time.
"""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Self

import attrs
from attrs import frozen

from tallystick.clutch.sandbox import balance_moves
from tallystick.clutch.sandbox.endpoint import JSON_HEADERS, Answer, Credentials, Endpoint
from tallystick.clutch.sandbox.exact_json import dumps
from tallystick.clutch.sandbox.faults import FAULT_HEADER, Fault, Faults, Plan, seconds
from tallystick.clutch.sandbox.ledger import Card, Entry, Ledger, Origin
from tallystick.clutch.sandbox.settings import CardSet, Refused, Settings, ValueType, WireError

HTML = b"<html>\r\n<head><title>500 Internal Server Error</title></head>\r\n<body></body>\r\n</html>\r\n"


@frozen
class Response:
    """An answer as bytes. `delay`: seconds it waits. Not `complete`: the connection broke before the end."""

    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)
    delay: float = 0.0
    complete: bool = True

    def json(self) -> Any:
        return json.loads(self.body)


class ConnectionLost(Exception):
    """No answer. `when` says whether the work was done: the caller of a real server would not know."""

    def __init__(self, when: Literal["before", "after"]) -> None:
        super().__init__(f"connection lost {when} the request was processed")
        self.when = when


@frozen
class Late:
    """A request that was taken, but will be done only at `due`."""

    due: float
    method: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


class Sandbox:
    """A server like Clutch's, in this process. Thread-safe."""

    def __init__(
        self, settings: Settings | None = None, card_sets: Mapping[str, int | CardSet] | None = None, seed: int = 0,
        state: str | Path | None = None, faults: Faults | str | None = None, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """Open the books: those in the file `state`, else new ones in memory. `clock` is seconds since 1970.

        A state remembers its own seed and credentials; the card sets named here are added, or grow.
        """
        self.settings = settings or Settings()
        self.faults = Faults.parse(faults) if isinstance(faults, str) else faults or Faults()
        self._clock = clock
        self._ledger = Ledger(self.settings, seed=seed, state=Path(state) if state else None, clock=clock)
        for name, cards in (card_sets or {}).items():
            self._ledger.add_set(name, CardSet(cards) if isinstance(cards, int) else cards)
        self.credentials = _credentials(self._ledger)
        self._endpoint = Endpoint(self._ledger, self.credentials)
        self._chance = random.Random(f"{seed}:{self._ledger.boot}:faults")  # noqa: S311 - to be repeatable
        self._late: list[Late] = []

    def close(self) -> None:
        self._ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def headers(self) -> dict[str, str]:
        """The headers every request needs."""
        return self.credentials.headers()

    def authorized(self, headers: Mapping[str, str]) -> bool:
        try:
            self._endpoint.check_caller({name.lower(): value for name, value in headers.items()})
        except Refused:
            return False
        return True

    def handle(self, method: str, headers: Mapping[str, str], body: bytes = b"") -> Response:
        """Answer one request; of a path, the last segment is the method. Raises: ConnectionLost."""
        name = method.rstrip("/").rpartition("/")[2]
        lower = {key.lower(): value for key, value in headers.items()}
        with self._ledger.lock:
            self._do_late()
            try:
                plan = self.faults.draw(self._chance, lower.pop(FAULT_HEADER, None))
            except ValueError as error:
                return _printed(
                    self._endpoint.refuse(WireError(400, self.settings.errors.bad_request.code, str(error)), lower)
                )
            return self._before(plan, name, lower, body) or self._after(plan, self._do(plan, name, lower, body))

    def post(self, method: str, body: Mapping[str, Any], *, fault: str | None = None, **headers: str) -> Response:
        """`handle` with the right headers; `fault` is the text of the fault header. Raises: ConnectionLost."""
        forced = {} if fault is None else {FAULT_HEADER: fault}
        return self.handle(method, {**self.headers(), **headers, **forced}, dumps(body).encode())

    # --- The way of one request

    def _before(self, plan: Plan, method: str, headers: Mapping[str, str], body: bytes) -> Response | None:
        """Faults that keep the work from being done now."""
        if Fault.OTHER_CHANNEL in plan:
            with contextlib.suppress(Refused, UnicodeEncodeError):  # then it does nothing
                self._other_channel(plan[Fault.OTHER_CHANNEL], method, headers, body)
        if Fault.LATE in plan:
            due = self._clock() + seconds(Fault.LATE, plan[Fault.LATE])
            self._late.append(Late(due, method, headers, body))
            raise ConnectionLost("before")
        if Fault.LOST_BEFORE in plan:
            raise ConnectionLost("before")
        if Fault.SERVER_ERROR_BEFORE in plan:
            return self._server_error(headers)
        if Fault.RATE_LIMITED in plan:
            return _printed(self._endpoint.refuse(self.settings.errors.rate_limited, headers))
        return None

    def _do(self, plan: Plan, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        cap = self._cap(plan[Fault.SHORT_APPROVAL]) if Fault.SHORT_APPROVAL in plan else None
        answer = self._endpoint.answer(method, headers, body, cap=cap)
        if Fault.DUPLICATE in plan and answer.status == 200:
            self._endpoint.answer(method, headers, body, cap=cap)
        return answer

    def _after(self, plan: Plan, answer: Answer) -> Response:
        """Faults that spoil the answer to work already done."""
        if Fault.LOST_AFTER in plan:
            raise ConnectionLost("after")
        if Fault.SERVER_ERROR_AFTER in plan:
            return self._server_error({})
        if Fault.WRONG_CURRENCY in plan:
            answer = Answer(answer.status, _in_currency(answer.payload, self.settings.wrong_currency))
        response = _printed(answer)
        half = len(response.body) // 2
        if Fault.BROKEN_JSON in plan:
            response = _response(answer.status, response.body[:half] + b"<!--", JSON_HEADERS)
        if Fault.TRUNCATED in plan:
            response = attrs.evolve(response, body=response.body[:half], complete=False)
        if Fault.SLOW in plan:
            response = attrs.evolve(response, delay=seconds(Fault.SLOW, plan[Fault.SLOW]))
        return response

    def _server_error(self, headers: Mapping[str, str]) -> Response:
        if self.settings.server_error_form == "json":
            return _printed(self._endpoint.refuse(self.settings.errors.server_error, headers))
        return _response(500, HTML, {**JSON_HEADERS, "Content-Type": "text/html"})

    def _cap(self, argument: str) -> balance_moves.Cap:
        """What short_approval leaves of an amount. It is drawn once, also for a request that is done twice."""
        share = self._chance.random()

        def cap(minor: int, value: ValueType) -> int:
            if argument:
                return int(Decimal(argument).scaleb(value.scale))
            return max(1, int(minor * share))

        return cap

    def _do_late(self) -> None:
        now = self._clock()
        due = [late for late in self._late if late.due <= now]
        self._late = [late for late in self._late if late.due > now]
        for late in due:
            self._endpoint.answer(late.method, late.headers, late.body)

    def _other_channel(self, argument: str, method: str, headers: Mapping[str, str], body: bytes) -> None:
        """Raises: Refused, UnicodeEncodeError."""
        request = self._endpoint.read(body)
        if argument in ("same", "twin"):
            self._same_again(request, method, headers, argument)
            return
        filters = request.get("filters")
        number = str(request.get("cardNumber") or (filters.get("cardNumber") if isinstance(filters, dict) else ""))
        balances = self._ledger.balances(number)
        if balances:
            update = balances[0]
            minor = (
                int(Decimal(argument).scaleb(update.value.scale)) if argument else self._chance.randint(1, update.minor)
            )
            self._spend(number, update.value, min(minor, update.minor))

    def _same_again(self, request: dict[str, Any], method: str, headers: Mapping[str, str], how: str) -> None:
        """The other channel changes the balance as the request will; it does not know any hold."""
        if method != "updateBalance":
            return
        strange = ("redeemFromHoldTransactionId", "releaseHoldRemainder")
        theirs = {name: value for name, value in request.items() if name not in strange}
        location = headers.get("location", "") if how == "twin" else self.settings.other_location
        kept = {name: value for name, value in headers.items() if name in ("authorization", "brand")}
        self._endpoint.answer(method, {**kept, "location": location, "terminal": "theirs"}, dumps(theirs).encode())

    # --- The operator's view: minor units, open to tests, not to the wire

    @contextmanager
    def _looking(self) -> Iterator[Ledger]:
        with self._ledger.lock:
            self._do_late()
            yield self._ledger

    def balances(self, number: str) -> dict[str, int]:
        """What is available, net of holds, by currency code (or by balanceType where there is no code)."""
        with self._looking() as ledger:
            return {update.value.code or update.value.kind: update.minor for update in ledger.balances(number)}

    def holds(self, number: str) -> dict[str, int]:
        """Open holds: transactionId to what is still held, oldest first."""
        with self._looking() as ledger:
            return {hold.id: hold.amount for hold in ledger.open_holds(number)}

    def history(self, number: str) -> list[Entry]:
        """Every line of a card, newest first, with the true updates."""
        with self._looking() as ledger:
            return ledger.history(number)

    def pin(self, number: str) -> str | None:
        card = self._card(number)
        return card.pin if card else None

    def status(self, number: str) -> str | None:
        """`inventory`, `active` or `suspended`; None for no card."""
        card = self._card(number)
        return card.status if card else None

    def _card(self, number: str) -> Card | None:
        with self._looking() as ledger:
            return ledger.card(number)

    def inventory(self, card_set: str) -> list[str]:
        """Numbers never allocated, as printed on the cards in the stock room."""
        with self._looking() as ledger:
            return [card.number for card in ledger.cards_of(card_set, "inventory")]

    def spend_elsewhere(self, number: str, minor: int, code: str = "USD") -> str:
        """Another channel redeems; returns its transactionId. Raises: Refused, ValueError for an unknown currency."""
        value = self._ledger.value("Currency", code)
        if value is None:
            raise ValueError(f"no currency {code}")
        with self._ledger.lock:
            return self._spend(number, value, minor)

    def _spend(self, number: str, value: ValueType, minor: int) -> str:
        card = self._ledger.card(number)
        if card is None:
            raise Refused(self.settings.errors.unknown_card)
        origin = Origin(self._ledger.new_id(), self.settings.other_location, "theirs")
        with self._ledger.transaction():
            return balance_moves.redeem(self._ledger, origin, card, balance_moves.Order(value, minor)).transaction_id

    def audit(self) -> list[str]:
        """Every card whose history, balances and holds disagree; empty when the books are right."""
        with self._ledger.lock:
            return self._ledger.audit()

    def dump(self) -> dict[str, Any]:
        """All books but the PINs: card sets, and every card that was ever allocated."""
        with self._looking() as ledger:
            sets = ledger.sql(
                "select card_set, count(*), sum(status = 'inventory') from card group by card_set order by card_set"
            )
            numbers = ledger.sql("select number from card where status <> 'inventory' order by rowid")
            cards = [card for (number,) in numbers if (card := ledger.card(number)) is not None]
            return {
                "card_sets": {name: {"cards": count, "free": free} for name, count, free in sets},
                "cards": {card.number: self._dump_card(card) for card in cards},
            }

    def _dump_card(self, card: Card) -> dict[str, Any]:
        return {
            "card_set": card.card_set, "status": card.status, "balances": self.balances(card.number),
            "holds": self.holds(card.number),
            "history": [_dump_entry(entry) for entry in reversed(self._ledger.history(card.number))],
        }  # fmt: skip


def _dump_entry(entry: Entry) -> dict[str, Any]:
    updates = {update.value.code or update.value.kind: update.minor for update in entry.updates}
    return {
        "transaction": entry.transaction_id, "operation": entry.operation, "location": entry.location,
        "time": entry.time, "updates": updates, "hold": entry.hold_id, "voided_by": entry.voided_by,
    }  # fmt: skip


def _credentials(ledger: Ledger) -> Credentials:
    settings, rng = ledger.settings, random.Random(f"{ledger.seed}:credentials")  # noqa: S311 - to be repeatable
    drawn = f"{rng.getrandbits(64):016x}", f"{rng.getrandbits(128):032x}"
    key = settings.api_key or ledger.remembered("api_key", drawn[0])
    secret = settings.api_secret or ledger.remembered("api_secret", drawn[1])
    return Credentials(key, secret, settings.brand, settings.location, settings.terminal)


def _printed(answer: Answer) -> Response:
    return _response(answer.status, dumps(answer.payload).encode(), JSON_HEADERS)


def _response(status: int, body: bytes, headers: Mapping[str, str]) -> Response:
    return Response(status, {**headers, "Content-Length": str(len(body))}, body)


def _in_currency(value: Any, code: str) -> Any:
    """The same answer with every currency code replaced."""
    if isinstance(value, dict):
        replaced = {name: _in_currency(item, code) for name, item in value.items()}
        return {**replaced, "balanceCode": code} if value.get("balanceType") == "Currency" else replaced
    return [_in_currency(item, code) for item in value] if isinstance(value, list) else value
