"""The sandbox over HTTP: `/<method>` and `/merchant/<method>`, any content type, and connections that really break.

The operator's view is under `/sandbox/`, behind the same API key: `dump`, `audit`, `inventory?card_set=NAME` (numbers
with PINs, as printed on cards), `spend?number=…&minor=…`.

The books do their work in well under a millisecond, so requests are handled in the event loop itself, one by one.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Mapping
from typing import Self

import attrs
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.responses import Response as HttpResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tallystick.clutch.sandbox.endpoint import CORS
from tallystick.clutch.sandbox.sandbox import ConnectionLost, Response, Sandbox
from tallystick.clutch.sandbox.settings import Refused

TRANSPORT = "tallystick.transport"

# nginx's default, as the recorded servers stood behind nginx. A shorter one would break idle pooled connections.
KEEP_ALIVE_SECONDS = 75

MAX_BODY = 1_000_000


class _Protocol(H11Protocol):
    """Lets the application reach its own connection, to break it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope[TRANSPORT] = transport
            await app(scope, receive, send)

        self.app = with_transport


class _Send(HttpResponse):
    """Sends a sandbox's response; breaks off if it is not complete."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.body, response.status)
        self.raw_headers = [(name.lower().encode(), value.encode()) for name, value in response.headers.items()]
        self.response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(self.response.delay)
        if self.response.complete:
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.response.body, "more_body": True})
        await _break(scope, receive, at_once=False)


class _Nothing(HttpResponse):
    """Closes the connection without a byte."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _break(scope, receive, at_once=True)


async def _break(scope: Scope, receive: Receive, *, at_once: bool) -> None:
    transport = scope[TRANSPORT]
    if at_once:
        transport.abort()
    else:
        transport.close()  # after what is already written
    while (await receive())["type"] != "http.disconnect":
        pass


def application(sandbox: Sandbox) -> Starlette:
    async def method(request: Request) -> HttpResponse:
        if request.method == "OPTIONS":
            return HttpResponse(headers=CORS)
        body = await request.body()
        try:
            return _Send(sandbox.handle(request.url.path, request.headers, body[:MAX_BODY]))
        except ConnectionLost:
            return _Nothing()

    async def operator(request: Request) -> HttpResponse:
        if not sandbox.authorized(request.headers):
            return JSONResponse({"error": "not authorized"}, 401)
        try:
            return JSONResponse(_operator(sandbox, request.path_params["view"], request.query_params))
        except (KeyError, ValueError, OverflowError, Refused) as error:
            return JSONResponse({"error": str(error)}, 400)

    methods = ["POST", "GET", "OPTIONS"]
    return Starlette(
        routes=[
            Route("/sandbox/{view}", operator, methods=["GET", "POST"]),
            Route("/{path:path}", method, methods=methods),
        ]
    )


def _operator(sandbox: Sandbox, view: str, query: Mapping[str, str]) -> object:
    if view == "dump":
        return sandbox.dump()
    if view == "audit":
        return sandbox.audit()
    if view == "inventory":
        return [{"number": number, "pin": sandbox.pin(number)} for number in sandbox.inventory(query["card_set"])]
    if view == "spend":
        return sandbox.spend_elsewhere(query["number"], int(query["minor"]), query.get("code", "USD"))
    raise ValueError(f"no view {view!r}")


class Server:
    """Serves a sandbox. As a context manager, it does so in a thread of its own until the block ends."""

    def __init__(self, sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listens at once, so that whoever reads `url` can connect. Raises: OSError."""
        self._socket = _listen(host, port)
        self.sandbox = sandbox
        self.url = f"http://{host}:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            application(sandbox), http=_Protocol, ws="none", lifespan="off", log_level="warning", access_log=False,
            server_header=False, timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.run, name="clutch sandbox", daemon=True)

    def connection(self) -> dict[str, str]:
        """What a client needs, the secret included; `url` is without `/merchant`."""
        return {"url": self.url, **attrs.asdict(self.sandbox.credentials)}

    def run(self) -> None:
        """Serve until stopped, or in a main thread until a signal."""
        self._uvicorn.run(sockets=[self._socket])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._uvicorn.should_exit = True
        self._thread.join(10)
        self._socket.close()


def _listen(host: str, port: int) -> socket.socket:
    """The protocol is named because asyncio turns Nagle's delay off, 40 ms an answer, only for sockets that say TCP."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except OSError:
        listening.close()
        raise
    listening.listen(128)
    return listening
