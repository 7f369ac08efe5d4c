"""The door: who calls, which method, one transaction of the books, and the envelope round the answer."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from attrs import frozen

from tallystick.clutch.sandbox import changing_methods, reading_methods
from tallystick.clutch.sandbox.balance_moves import Cap
from tallystick.clutch.sandbox.checkout import checkout
from tallystick.clutch.sandbox.exact_json import dumps, loads
from tallystick.clutch.sandbox.ledger import Ledger, Origin
from tallystick.clutch.sandbox.request import Json, Request
from tallystick.clutch.sandbox.settings import Refused, WireError

READING: Mapping[str, Callable[[Request], Json]] = {
    "search": reading_methods.search,
    "cardHistory": reading_methods.card_history,
    "checkoutLookup": reading_methods.checkout_lookup,
}
CHANGING: Mapping[str, Callable[[Request], Json]] = {
    "allocate": changing_methods.allocate,
    "updateBalance": changing_methods.update_balance,
    "updateAccount": changing_methods.update_account,
    "voidTransaction": changing_methods.void_transaction,
    "checkout": checkout,
}

# The line every recorded response carries.
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": (
        "Authorization, brand, location, terminal, employee, employeePassword, customRequestId,"
        " externalTransactionId, note, accept, content-type"
    ),
    "Access-Control-Request-Method": "POST, GET, OPTIONS",
}
JSON_HEADERS = {**CORS, "Content-Type": "application/json; charset=utf-8"}


@frozen
class Credentials:
    """What a caller must send, and the two ids it should."""

    api_key: str
    api_secret: str = attrs.field(repr=False)
    brand: str
    location: str
    terminal: str

    def headers(self) -> dict[str, str]:
        pair = base64.b64encode(f"{self.api_key}:{self.api_secret}".encode()).decode()
        whose = {"brand": self.brand, "location": self.location, "terminal": self.terminal}
        return {"Authorization": f"Basic {pair}", **whose}


@frozen
class Answer:
    """A status and a JSON payload, not yet printed."""

    status: int
    payload: Json = attrs.field(repr=False)


@frozen
class Endpoint:
    """Takes requests from callers with these credentials."""

    ledger: Ledger
    credentials: Credentials

    def answer(self, method: str, headers: Mapping[str, str], body: bytes, *, cap: Cap | None = None) -> Answer:
        """Do one request. `headers` have lower-case names. A refusal is an answer too."""
        origin = self._origin(headers)
        try:
            self.check_caller(headers)
            work = CHANGING.get(method) or READING.get(method)
            if work is None:
                raise Refused(self.ledger.settings.errors.unknown_method)
            request = Request(self.ledger, origin, self.read(body), cap)
            if method in CHANGING:
                return self._change(work, request)
            return Answer(200, enveloped(work(request), origin))
        except Refused as refused:
            return refusal(refused.error, origin)
        except UnicodeEncodeError:  # a lone surrogate, which JSON can spell and no database can store
            return refusal(self.ledger.settings.errors.bad_request, origin)

    def _change(self, work: Callable[[Request], Json], request: Request) -> Answer:
        key = request.origin.custom_request_id if self.ledger.settings.deduplicate else None
        with self.ledger.transaction():
            if key is None:
                return Answer(200, enveloped(work(request), request.origin))
            if rows := self.ledger.sql("select status, body from answer where custom_request_id = ?", (key,)):
                return Answer(rows[0][0], loads(rows[0][1]))
            answer = Answer(200, enveloped(work(request), request.origin))
            self.ledger.sql(
                "insert into answer (custom_request_id, status, body) values (?, ?, ?)",
                (key, answer.status, dumps(answer.payload)),
            )
            return answer

    def refuse(self, error: WireError, headers: Mapping[str, str]) -> Answer:
        return refusal(error, self._origin(headers))

    def check_caller(self, headers: Mapping[str, str]) -> None:
        """Key and secret, the brand, and some location and terminal. Raises: Refused."""
        errors = self.ledger.settings.errors
        scheme, _, pair = headers.get("authorization", "").partition(" ")
        wanted = f"{self.credentials.api_key}:{self.credentials.api_secret}".encode()
        try:
            given = base64.b64decode(pair.strip(), validate=True)
        except (binascii.Error, ValueError):
            given = b""
        if scheme.lower() != "basic" or not hmac.compare_digest(given, wanted):
            raise Refused(errors.unauthorized)
        if not (headers.get("brand") and headers.get("location") and headers.get("terminal")):
            raise Refused(errors.missing_header)
        if headers["brand"] != self.credentials.brand:
            raise Refused(errors.unauthorized)

    def read(self, body: bytes) -> dict[str, Any]:
        """The body as a JSON object, whatever its content type. Raises: Refused."""
        try:
            value = loads(body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Refused(self.ledger.settings.errors.bad_request)
        return value

    def _origin(self, headers: Mapping[str, str]) -> Origin:
        told = (headers.get(name) for name in ("location", "terminal", "customrequestid", "externaltransactionid"))
        return Origin(self.ledger.new_id(), *told)


def enveloped(payload: Json, origin: Origin) -> Json:
    return {**payload, "success": True, "requestRef": origin.request_ref}


def refusal(error: WireError, origin: Origin) -> Answer:
    payload = {"errorMessage": error.text, "errorCode": error.code, "requestRef": origin.request_ref, "success": False}
    return Answer(error.status, payload)
