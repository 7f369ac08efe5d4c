"""Boards for tests: small books with odd names in them, and a board asked without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import tallystick
from tallystick.board.app import application
from tallystick.board.board import Board
from tallystick.board.guard import Door

NUMBER = "6006491234567890"
SCRIPT = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
ODD = (
    "../../etc/passwd",
    "..",
    "a/../b",
    "CON",
    "x" * 200,
    "a b&c=d#e?f%41",
    "ünï/çödé",
    "'; drop table entry; --",
    SCRIPT,
)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


def fill(url: str, *, odd: bool = True) -> None:
    """Books with cards, payments, doubt and odd names, by the local provider."""
    with tallystick.open(url) as books:
        books.recognize("c-1", NUMBER, currency="BRL", balance="500.00", key="k1")
        books.authorize("o-1/1", "c-1", "40.00", order="o-1", key="k2")
        books.settle("o-1/1", "15.00", key="k3", keep_hold=False)
        books.sell_electronic("c-2", "20.00", "USD", order="o-2", key="k4")
        books.authorize(f"o-{NUMBER}/1", "c-1", "5.00", order=NUMBER, key="k5")
        books.suspend("c-2", key="k6", by=SCRIPT, reason=f"{SCRIPT} lost card {NUMBER}")
        for at, name in enumerate(ODD if odd else ()):
            books.authorize(name, "c-1", "1.00", order=name, key=f"odd/{at}", by="shop")
        books.recognize("6006499999990001", "6006499999990001", currency="BRL", balance="5.00", key="k7")


def board(url: str) -> Board:
    return Board(tallystick.open(url, read_only=True), patience=60)


def get(
    of: Board, path: str = "/", /, *, door: Door | None = None, method: str = "GET",
    headers: Mapping[str, str] | list[tuple[str, str]] | None = None, **asked: str,
) -> Answer:  # fmt: skip
    """Ask a board; `path` is percent-encoded already."""
    given = list(headers.items()) if isinstance(headers, Mapping) else headers or []
    if not any(name.lower() == "host" for name, _ in given):
        given.append(("host", "127.0.0.1:8017"))
    query = urlencode(asked)
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": quote(path).encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in given],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8017), "state": {},
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(application(of, door or Door())(scope, receive, send))  # type: ignore[arg-type]
    start = next(each for each in sent if each["type"] == "http.response.start")
    body = b"".join(each.get("body", b"") for each in sent if each["type"] == "http.response.body")
    found = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], found, body.decode())
