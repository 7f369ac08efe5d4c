"""What carries a request to Clutch: HTTP, or a call into a sandbox of this process.

A transport knows only whether a request may have left. No exception of its own keeps the request, its headers or its
body, so none can show a key, a card number or a PIN.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from typing import Any, Protocol

import attrs

from tallystick.clutch.settings import ClutchSettings
from tallystick.errors import Invalid


class NotSent(Exception):
    """No byte of the request has left."""


class Lost(Exception):
    """The request may have been received; no whole answer came."""


@attrs.frozen
class Answer:
    """Clutch's answer: an HTTP status and the bytes of its body."""

    status: int
    body: bytes = attrs.field(repr=False)


class Transport(Protocol):
    """What carries a request, one method of Clutch's at a time. Called from many threads."""

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Carry one request. Raises: NotSent, Lost."""

    def close(self) -> None: ...


class HttpTransport:
    """A pool of connections. Raises: ImportError without httpx2; Invalid if the certificates cannot be read."""

    def __init__(self, settings: ClutchSettings) -> None:
        try:
            import httpx2
        except ImportError:
            raise ImportError("the Clutch adapter speaks HTTP with httpx2: pip install 'tallystick[clutch]'") from None
        self._url = settings.base_url.rstrip("/")
        self._total, self._largest = settings.total_timeout, settings.largest_answer
        # ConnectError covers TLS: the certificate is checked before anything is sent.
        self._not_sent = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol,
                          httpx2.ProxyError, httpx2.InvalidURL)  # fmt: skip
        self._client = httpx2.Client(
            verify=_trusting(settings.ca_file) if settings.ca_file else True,
            timeout=httpx2.Timeout(settings.read_timeout, connect=settings.connect_timeout, pool=settings.pool_timeout),
            limits=httpx2.Limits(
                max_connections=settings.pool_size,
                max_keepalive_connections=settings.pool_size,
                keepalive_expiry=settings.keep_alive,
            ),
        )

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post once. Raises: NotSent, Lost, made afresh: an exception of httpx2 holds the request and its headers."""
        failure: Exception
        try:
            if self._client.is_closed:
                raise NotSent("closed")
            return self._exchange(method, headers, body)
        except (NotSent, *self._not_sent) as error:
            failure = NotSent(_named(error))
        except Exception as error:  # noqa: BLE001  # whatever it is, it may have been received
            failure = Lost(type(error).__name__)
        raise failure

    def _exchange(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        deadline = time.monotonic() + self._total
        with self._client.stream("POST", f"{self._url}/{method}", headers=dict(headers), content=body) as response:
            read = bytearray()
            for chunk in response.iter_bytes():
                read += chunk
                if len(read) > self._largest or time.monotonic() > deadline:
                    raise Lost("too long")
        return Answer(response.status_code, bytes(read))

    def close(self) -> None:
        self._client.close()


def _trusting(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise Invalid(f"clutch: the certificates of ca_file {ca_file!r} cannot be read: {error.strerror}") from None


def _named(error: BaseException) -> str:
    """What went wrong, by the types of the errors: so a refused connection differs from an untrusted certificate."""
    names = [type(error).__name__]
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
        if isinstance(error, OSError) and type(error) is not OSError:
            names.append(type(error).__name__)
    return ": ".join(dict.fromkeys(names))


class InProcess:
    """A sandbox in this process: `handle(method, headers, body)` answers with status, body, delay and complete.

    What would outlast the read timeout is lost at once; nothing sleeps.
    """

    def __init__(self, sandbox: Any, read_timeout: float = 30.0) -> None:
        self._sandbox, self._read_timeout = sandbox, read_timeout

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        failure = ""
        try:
            response = self._sandbox.handle(method, headers, body)
        except Exception as error:  # noqa: BLE001  # as a connection that broke
            failure = type(error).__name__
        else:
            if response.complete and response.delay <= self._read_timeout:
                return Answer(response.status, response.body)
        raise Lost(failure or "the answer did not come in time, or not whole")

    def close(self) -> None:
        pass
