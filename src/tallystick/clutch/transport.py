"""What carries a request to Clutch: HTTP, or a call into a sandbox of this process.

A transport knows only whether a request may have left. No exception of its own keeps the request, its headers or its
body, so none can show a key, a card number or a PIN.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

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
    """A pool of connections; through a proxy, if the environment names one for this host.

    Raises: ImportError without httpcore2; Invalid if the certificates cannot be read, or for a proxy that is not HTTP.
    """

    def __init__(self, settings: ClutchSettings) -> None:
        try:
            import httpcore2 as http
        except ImportError:
            raise ImportError(
                "the Clutch adapter speaks HTTP with httpcore2: pip install 'tallystick[clutch]'"
            ) from None
        from tallystick.clutch.deadline import DeadlineBackend

        self._url = settings.base_url.rstrip("/")
        self._largest, self._closed = settings.largest_answer, False
        self._backend = DeadlineBackend(settings.total_timeout)
        # ConnectError covers TLS: the certificate is checked before anything is sent.
        self._not_sent = (http.ConnectError, http.ConnectTimeout, http.PoolTimeout, http.UnsupportedProtocol,
                          http.ProxyError)  # fmt: skip
        limit, total = settings.read_timeout, settings.total_timeout
        self._timeouts = {"timeout": {"connect": settings.connect_timeout, "read": limit, "write": limit,
                                      "pool": min(settings.pool_timeout, total)}}  # fmt: skip
        known: dict[str, Any] = {
            "ssl_context": _trusting(settings.ca_file) if settings.ca_file else http.default_ssl_context(),
            "max_connections": settings.pool_size, "max_keepalive_connections": settings.pool_size,
            "keepalive_expiry": settings.keep_alive, "network_backend": self._backend,
        }  # fmt: skip
        proxy = _proxy_for(self._url)
        self._pool = http.HTTPProxy(**proxy, **known) if proxy else http.ConnectionPool(**known)

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post once. Raises: NotSent, Lost, made afresh: an exception of the pool holds the request and its headers."""
        failure: Exception
        try:
            if self._closed:
                raise NotSent("closed")
            return self._exchange(method, headers, body)
        except (NotSent, *self._not_sent) as error:
            failure = NotSent(_named(error))
        except Exception as error:  # noqa: BLE001  # whatever it is, it may have been received
            failure = Lost(type(error).__name__)
        raise failure

    def _exchange(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self._backend.start()
        url, given = f"{self._url}/{method}", [*headers.items(), ("Accept-Encoding", "identity")]
        with self._pool.stream("POST", url, headers=given, content=body, extensions=self._timeouts) as response:
            read = bytearray()
            for chunk in response.iter_stream():
                read += chunk
                if len(read) > self._largest:
                    raise Lost("too long")
            return Answer(response.status, bytes(read))

    def close(self) -> None:
        self._closed = True
        self._pool.close()


def _trusting(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise Invalid(f"clutch: the certificates of ca_file {ca_file!r} cannot be read: {error.strerror}") from None


def _proxy_for(url: str) -> dict[str, Any]:
    """The proxy that the environment names for a URL, and who we are there; empty if none."""
    split, proxies = urlsplit(url), getproxies()
    named = proxies.get(split.scheme) or proxies.get("all")
    if not named or proxy_bypass(split.hostname or ""):
        return {}
    proxy = urlsplit(named if "://" in named else f"http://{named}")
    if proxy.scheme not in ("http", "https") or not proxy.hostname:
        raise Invalid("clutch: the environment names a proxy that is not http://host:port")
    host = f"[{proxy.hostname}]" if ":" in proxy.hostname else proxy.hostname
    port = f":{proxy.port}" if proxy.port else ""
    who = {"proxy_auth": (unquote(proxy.username), unquote(proxy.password or ""))} if proxy.username else {}
    return {"proxy_url": f"{proxy.scheme}://{host}{port}", **who}


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
