"""`total_timeout` bounds a request as a whole, whichever part of it comes slowly; and what may have left is lost."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from tallystick.clutch.settings import ClutchSettings
from tallystick.clutch.transport import Answer, HttpTransport, Lost, NotSent

httpcore2 = pytest.importorskip("httpcore2")

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n"
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
ENOUGH = 10.0  # seconds: far more than the deadline, less than a server here goes on dripping
PATIENT = {"total_timeout": 0.3, "connect_timeout": 20.0, "read_timeout": 20.0, "pool_timeout": 4.0, "quiet_period": 60}

Talk = Callable[[socket.socket, threading.Event], object]


def transport(url: str, **more: Any) -> HttpTransport:
    known: dict[str, Any] = {"api_key": "k", "api_secret": "s", "brand": "b", "location": "l", "terminal": "t"}
    return HttpTransport(ClutchSettings(base_url=url, **{**known, **PATIENT, **more}))


class Server:
    """Listens, and gives each connection to `talk`, with what tells it to stop."""

    def __init__(self, talk: Talk) -> None:
        self.talk, self.stopped = talk, threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self.one, args=(self.socket.accept()[0],), daemon=True).start()

    def one(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self.talk(connection, self.stopped)

    def close(self) -> None:
        self.stopped.set()
        self.socket.close()


def drips(before: bytes, drop: bytes) -> Talk:
    """Answers with `before`, then a drop every 20 ms: by the read timeout each is in time."""

    def talk(connection: socket.socket, stopped: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(before)
        for _ in range(900):
            if stopped.wait(0.02):
                return
            connection.sendall(drop)

    return talk


def silent(_: socket.socket, stopped: threading.Event) -> None:
    stopped.wait()


def talks(connection: socket.socket, _: threading.Event) -> None:
    while connection.recv(65536):
        connection.sendall(GOOD)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with closing(Server(request.param)) as server:
        yield server


def failed(sender: HttpTransport) -> type[Exception]:
    """How a request failed; it did so soon."""
    began = time.monotonic()
    with pytest.raises((NotSent, Lost)) as caught:
        sender.send("updateBalance", {"brand": "b"}, b"{}")
    assert time.monotonic() - began < ENOUGH
    return type(caught.value)


SLOW = {
    "the first byte": drips(b"", b"H"),
    "a line of the head": drips(HEAD + b"x-slow: ", b"x"),
    "lines of the head": drips(HEAD, b"x: y\r\n"),
    "the body": drips(HEAD + b"\r\n", b" "),
    "nothing": silent,
}


@pytest.mark.parametrize("server", SLOW.values(), ids=SLOW, indirect=True)
def test_however_slowly_an_answer_comes_it_is_lost_in_time(server: Server) -> None:
    with closing(transport(server.url)) as sender:
        assert failed(sender) is Lost


@pytest.mark.parametrize("server", [silent], indirect=True)
def test_a_handshake_that_hangs_was_not_sent(server: Server) -> None:
    with closing(transport(server.url.replace("http:", "https:"))) as sender:
        assert failed(sender) is NotSent


def test_a_connection_that_hangs_was_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:  # nobody accepts, and its queue is full
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        with closing(transport(f"http://127.0.0.1:{port}")) as sender:
            assert failed(sender) is NotSent
        for each in waiting:
            each.close()


@pytest.mark.parametrize("server", [silent], indirect=True)
def test_connecting_and_tls_have_one_timeout_together(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three addresses the first two refuse late; TLS with the third has only what is left."""
    left: list[float] = []
    refusing = iter([True, True, False])

    class Backend(httpcore2.SyncBackend):
        def connect_tcp(self, host: str, port: int, timeout: float | None = None, *more: Any) -> Any:
            left.append(timeout or 0.0)
            if next(refusing):
                time.sleep(0.1)
                raise httpcore2.ConnectTimeout
            return super().connect_tcp("127.0.0.1", port, timeout, *more)

    monkeypatch.setattr(httpcore2, "SyncBackend", Backend)
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{host}", 1)) for host in (1, 2, 3)]
    with closing(transport(server.url.replace("http:", "https:"), total_timeout=20.0, connect_timeout=0.4)) as sender:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
        assert failed(sender) is NotSent
    assert len(left) == 3
    assert left[0] <= 0.4
    assert left[1] <= left[0] - 0.1
    assert left[2] <= left[1] - 0.1


@pytest.mark.parametrize("server", [talks], indirect=True)
def test_each_request_of_a_connection_has_a_deadline_of_its_own(server: Server) -> None:
    with closing(transport(server.url)) as sender:
        for _ in range(3):
            assert sender.send("search", {}, b"{}") == Answer(200, b"{}")
            time.sleep(0.15)


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def talk(connection: socket.socket, _: threading.Event) -> None:
        asked.append(connection.recv(65536))
        connection.sendall(GOOD)

    for name in ("http_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    far = {"url": "http://clutch.invalid/merchant", "allow_plain_http": True}
    with closing(Server(talk)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//ann:p%40ss@"))
        with closing(transport(**far)) as sender:
            assert sender.send("search", {}, b"{}") == Answer(200, b"{}")
        monkeypatch.setenv("no_proxy", "clutch.invalid")
        with closing(transport(**far)) as sender:
            assert failed(sender) is NotSent
    (request,) = asked
    assert request.startswith(b"POST http://clutch.invalid/merchant/search HTTP/1.1")
    assert b"Basic YW5uOnBAc3M=" in request
