"""What a worker tells of itself: two pages over HTTP, and a log of JSON Lines.

`/healthz` answers 200 while every thread of the worker makes progress and the books can be read, else 503. `/metrics`
is Prometheus text: what waits, what is in doubt, and what this worker has done. Neither page, nor any line of the log,
has a card number in it.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TextIO

from tallystick.errors import Invalid, StoreError
from tallystick.fleet.worker import Worker
from tallystick.masks import masked, redacted
from tallystick.store.rows import stamp

STALLED = 300.0  # seconds without progress: longer than any one call may take
NAMES = (
    "key",
    "id",
    "machine",
    "command",
    "call",
    "worker",
    "leases",
    "url",
)  # in the log as they are, unless like a number
TEXT = "text/plain; version=0.0.4; charset=utf-8"

# The pages


def health(worker: Worker) -> tuple[bool, dict[str, object]]:
    """Whether all is well with a worker, and what it says of itself."""
    quiet = time.monotonic() - worker.counts.looked
    said: dict[str, object] = {"worker": worker.name, "stopping": worker.stopping, "quiet_seconds": round(quiet, 1)}
    try:
        with worker.engine.store.reading() as reading:
            reading.due(stamp(worker.engine.now()), 1)
    except StoreError as error:
        return False, {**said, "store": redacted(str(error))}
    return quiet < STALLED, {**said, "store": "ok"}


def metrics(worker: Worker) -> str:
    """What waits in the books, and what this worker has done since it started."""
    engine, now = worker.engine, worker.engine.now()
    with engine.store.reading() as reading:
        depth, calls = reading.depth(stamp(now)), reading.calls()
    late = (now - datetime.fromisoformat(depth.oldest)).total_seconds() if depth.oldest is not None else 0.0
    unclear = sum(row.unclear for row in calls)
    counts = worker.counts
    by_state = {**depth.by_state, "waiting": depth.by_state["waiting"] - depth.dated, "dated": depth.dated}
    rows: list[tuple[str, str, str, list[tuple[str, float]]]] = [
        ("queue", "gauge", "Queued commands that are not done, by state; dated ones wait for a date of their page.",
         [(f'{{state="{state}"}}', count) for state, count in by_state.items()]),
        ("due", "gauge", "Queued commands whose time has come.", [("", depth.due)]),
        ("oldest_due_seconds", "gauge", "How long the oldest of them has been due.", [("", max(late, 0.0))]),
        ("calls_in_doubt", "gauge", "Open calls: those that may still end by themselves, and those for a person.",
         [('{for="recovery"}', len(calls) - unclear), ('{for="person"}', unclear)]),
        ("leases", "gauge", "Leases that this worker holds.", [("", counts.leases)]),
        ("commands_total", "counter", "Commands that this worker has executed, by result.",
         [(f'{{result="{result}"}}', count) for result, count in sorted(counts.commands.items())]),
        ("recovered_total", "counter", "Calls that this worker has looked up, by result.",
         [(f'{{result="{result}"}}', count) for result, count in sorted(counts.recovered.items())]),
        ("errors_total", "counter", "What nobody expected; it is in the log.", [("", counts.errors)]),
    ]  # fmt: skip
    return "\n".join(line for row in rows for line in _lines(*row)) + "\n"


def _lines(name: str, kind: str, says: str, values: list[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP tallystick_{name} {says}"
    yield f"# TYPE tallystick_{name} {kind}"
    for labels, value in values:
        yield (
            f"tallystick_{name}{labels} {value:g}" if isinstance(value, float) else f"tallystick_{name}{labels} {value}"
        )


@contextmanager
def served(worker: Worker, host: str, port: int) -> Iterator[str]:
    """Serve both pages meanwhile, in threads of their own; gives their address. Port 0 takes a free one.

    Raises:
        Invalid: nothing can be served there, such as where somebody else serves already.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                if self.path == "/healthz":
                    well, said = health(worker)
                    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
                    self._answer(status, "application/json", json.dumps(said) + "\n")
                elif self.path == "/metrics":
                    self._answer(HTTPStatus.OK, TEXT, metrics(worker))
                else:
                    self._answer(HTTPStatus.NOT_FOUND, TEXT, "there are /healthz and /metrics\n")
            except StoreError as error:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, TEXT, f"{redacted(str(error))}\n")

        def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Not a line for each look of a monitor."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    try:
        listening = Server((host, port), Handler)
    except OSError as error:
        why = f"/healthz and /metrics cannot be served at port {port} of {host}: {error.strerror}"
        raise Invalid(f"{why}; port 0 takes a free one") from error
    with listening as server:
        threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
        try:
            yield f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}"
        finally:
            server.shutdown()


# The log

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Each record is one line of JSON, with what is attached to it."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, timezone.utc)
        said: dict[str, object] = {"at": stamp(at), "level": record.levelname.lower(), "event": record.getMessage()}
        said |= {name: value for name, value in vars(record).items() if name not in _USUAL}
        if record.exc_info:
            said["error"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps({name: _shown(name, value) for name, value in said.items()}, ensure_ascii=False)


def _shown(name: str, value: object) -> object:
    if isinstance(value, list | tuple):
        return [_shown(name, each) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return masked(str(value)) if name in NAMES else redacted(str(value)) if name != "at" else value


@contextmanager
def logged(stream: TextIO, level: str) -> Iterator[None]:
    """Write what tallystick logs meanwhile to a stream, from this level on."""
    logger, handler = logging.getLogger("tallystick"), logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
