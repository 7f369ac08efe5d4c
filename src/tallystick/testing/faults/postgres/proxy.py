"""A line to PostgreSQL that is cut at a chosen trip: real sockets, and the server's own protocol.

A client sends messages, and waits for an answer at each *Sync* or *Query*. What it sends up to there is one trip. The
proxy keeps a trip until it is whole, so it is known what was forwarded when the line is cut: all of it, or nothing.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

PATIENCE = 20.0  # seconds until an answer is not waited for any more
WHOLE = b"SQ"  # the messages that end a trip
Act = Callable[[int], object]  # is given the number of the backend's process


class Line:
    """One client's line: both sockets, and what its prepared statements are called."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.backend = 0
        self.ending = (
            False  # it is cut as soon as what is done at its trip is done: until then its client hears nothing
        )
        self.dropped: threading.Event | None = None  # answers are dropped from now on; it is set when all is done
        self.prepared: dict[bytes, bytes] = {}

    def cut(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Proxy:
    """Between clients and the server of `url`. At trip number `at`, `before` is called, and the line cut.

    With `after`, that trip is forwarded first, the server's answer is dropped when it has come, and `after` is called.
    """

    def __init__(
        self, url: str, folder: Path, at: int = 0, *, before: Act | None = None, after: Act | None = None
    ) -> None:
        known = {name: str(value) for name, value in conninfo_to_dict(url).items()}
        self._place = known.get("host", "/tmp"), int(known.get("port", "5432"))  # noqa: S108  # libpq's own default
        login = quote(known.get("user", "")) + (f":{quote(known['password'])}" if "password" in known else "")
        self.url = f"postgresql://{login}@/{known['dbname']}?host={quote(str(folder), safe='')}&port=5432"
        self.trips: list[str] = []  # the SQL of each, in short
        self._at, self._before, self._after = at, before, after
        self._lines: list[Line] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in self._lines:
            line.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                line = Line(client, self._to_server())
                self._lines.append(line)
                threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _to_server(self) -> socket.socket:
        host, port = self._place
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def _serve(self, line: Line) -> None:
        """Forward trip by trip. Answers come by a thread of their own once the client is let in."""
        with suppress(OSError, EOFError):
            head = _exactly(line.client, 4)
            line.server.sendall(head + _exactly(line.client, struct.unpack("!I", head)[0] - 4))
            answers = threading.Thread(target=self._answer, args=(line,), daemon=True)
            answers.start()
            trip, said = b"", []
            for kind, message in _messages(line.client):
                trip += message
                if sql := _sql(line, kind, message[5:]):
                    said.append(sql)
                if kind in (b"p", b"X", b"H"):  # a password, the end, or a look at what there is
                    line.server.sendall(trip)
                    trip = b""
                elif kind in WHOLE:
                    if not self._forward(line, trip, "; ".join(said)):
                        return
                    trip, said = b"", []
        line.cut()

    def _forward(self, line: Line, trip: bytes, said: str) -> bool:
        self.trips.append(said)
        if len(self.trips) != self._at:
            line.server.sendall(trip)
            return True
        line.ending = True
        if self._before is not None:
            self._before(line.backend)
        if self._after is not None:
            line.dropped = dropped = threading.Event()
            line.server.sendall(trip)
            dropped.wait(PATIENCE)
            self._after(line.backend)
        line.cut()
        return False

    def _answer(self, line: Line) -> None:
        with suppress(OSError, EOFError):
            for kind, message in _messages(line.server):
                if kind == b"K":
                    (line.backend,) = struct.unpack("!I", message[5:9])
                if line.dropped is None:
                    line.client.sendall(message)
                elif kind == b"Z":  # it is done
                    line.dropped.set()
        if line.dropped is not None:
            line.dropped.set()
        if not line.ending:
            with suppress(OSError):
                line.client.shutdown(socket.SHUT_RDWR)


def _exactly(end: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        more = end.recv(length - len(found))
        if not more:
            raise EOFError
        found += more
    return found


def _messages(end: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Each message's kind, and all of it."""
    while True:
        head = _exactly(end, 5)
        yield head[:1], head + _exactly(end, struct.unpack("!I", head[1:])[0] - 4)


def _sql(line: Line, kind: bytes, body: bytes) -> str:
    """What is executed by a message, if it is one that names it."""
    if kind == b"Q":
        return _short(body.partition(b"\0")[0])
    if kind == b"P":
        name, _, rest = body.partition(b"\0")
        line.prepared[name] = rest.partition(b"\0")[0]
    if kind == b"B":
        return _short(line.prepared.get(body.partition(b"\0")[2].partition(b"\0")[0], b"?"))
    return ""


def _short(sql: bytes) -> str:
    return " ".join(sql.decode(errors="replace").split())[:40]
