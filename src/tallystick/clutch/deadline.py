"""A network for httpcore2 in which one deadline bounds everything that a request waits for.

httpcore2 bounds each step alone. A server that sends its head byte by byte, or a name with many dead addresses, could
take for ever. Here whatever a thread does until its deadline has only the time that is left: every address it connects
to, TLS, what it sends, and each read. Only the resolver of names has its own time. The connect timeout bounds all
addresses and TLS together, because nothing was sent by then, and a look-up counts on that.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore2

SHORTEST = 0.001  # seconds; 0 would mean not to wait at all, which is another mode of a socket

Left = Callable[[float | None], float]  # a step's own timeout, and no more than what is left


class DeadlineBackend(httpcore2.NetworkBackend):
    """Connects and hands out streams that keep the deadline of the thread that uses them."""

    def __init__(self, total: float) -> None:
        self._total, self._inner, self._thread = total, httpcore2.SyncBackend(), threading.local()

    def start(self) -> None:
        """A request of this thread begins now."""
        self._thread.deadline = time.monotonic() + self._total

    def _left(self, timeout: float | None) -> float:
        left: float = getattr(self._thread, "deadline", time.monotonic() + self._total) - time.monotonic()
        return max(SHORTEST, left if timeout is None else min(left, timeout))

    def _left_to_connect(self, timeout: float | None) -> float:
        return self._left(self._thread.connected_by - time.monotonic())

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:  # fmt: skip
        """Try one address after the other."""
        self._thread.connected_by = time.monotonic() + self._left(timeout)
        try:
            addresses = [address[0] for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(type(error).__name__) from error
        failure: Exception = httpcore2.ConnectError("no address")
        for address in addresses:
            try:
                left = self._left_to_connect(timeout)
                stream = self._inner.connect_tcp(str(address), port, left, local_address, socket_options)
                return _Stream(stream, self._left, self._left_to_connect)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure


class _Stream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream, left: Left, to_connect: Left) -> None:
        self._inner, self._left, self._to_connect = inner, left, to_connect

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        stream = self._inner.start_tls(ssl_context, server_hostname, self._to_connect(timeout))
        return _Stream(stream, self._left, self._to_connect)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
