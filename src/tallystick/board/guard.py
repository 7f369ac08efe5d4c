"""Who may read the board, and what a browser may do with it. This stands before every page.

Only GET and HEAD are answered. On this machine alone the board needs no token: there a page of somebody else could only
reach it through its own host name, made to point here, and the Host header shows that name. To others it answers only
with the token, as the password of HTTP basic authentication: so it stands in no URL, no history and no cookie.

What is refused is answered with one sentence that never depends on what was asked, and every answer has the same
headers: no script, no style and no picture of anybody else, in no frame, kept by no cache.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Sequence

import attrs
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tallystick.errors import Invalid

LOOPBACK = ("localhost", "127.0.0.1", "::1")
SHORTEST_TOKEN = 16  # characters: who may guess over a network guesses often
LONGEST_URL = 4096  # bytes of path and query: an id has at most a few hundred
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "cache-control": "no-store",
}


@attrs.frozen
class Door:
    """Where the board listens, and to whom it answers."""

    host: str = "127.0.0.1"  # the address that it is bound to
    names: Sequence[str] = ()  # other names by which browsers may call it, such as that of a proxy
    token: str | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        """Raises Invalid: others could read it, and no token keeps them out."""
        if self.token is None and not self.is_local:
            raise Invalid(f"at {self.host} others can read the board: give a token, or serve it on 127.0.0.1")
        if self.token is None and self.names:
            raise Invalid("a board with other names is read by others: give a token")
        if self.token is not None and (len(self.token) < SHORTEST_TOKEN or not self.token.isascii()):
            raise Invalid(f"a token is at least {SHORTEST_TOKEN} characters of ASCII")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def knows(self, host: str) -> bool:
        """Whether a Host header is one of ours. Who has the token may call us as he likes, unless names are given."""
        name = host.rsplit(":", 1)[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
        name = name.strip("[]").lower()
        if self.token is not None and not self.names and not self.is_local:
            return True
        return name in {*LOOPBACK, self.host.lower(), *(each.lower() for each in self.names)}

    def lets_in(self, authorization: str) -> bool:
        """Whether an Authorization header has the token."""
        if self.token is None:
            return True
        kind, _, given = authorization.partition(" ")
        if kind.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).decode("ascii").partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                given = ""
        elif kind.lower() != "bearer":
            given = ""
        return hmac.compare_digest(given.encode(errors="replace"), self.token.encode())


class Guard:
    """The board's pages, behind the door."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._door.knows(hosts[0]):
            return PlainTextResponse("This board is not known under this name.\n", 421)
        if not self._door.lets_in(headers.get("authorization", "")):
            asks = {"www-authenticate": 'Basic realm="tallystick board", charset="UTF-8"'}
            return PlainTextResponse("The board asks for its token, as the password.\n", 401, asks)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("The board can only be read.\n", 405, {"allow": "GET, HEAD"})
        if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_URL:
            return PlainTextResponse("There is no such page.\n", 404)
        return None
