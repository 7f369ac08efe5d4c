"""A Clutch-compatible provider with its own books, for tests and for trying things out.

    sandbox = Sandbox(card_sets={"GIFT": 100}, seed=1)
    sandbox.post("allocate", {"cardSetId": "GIFT"}).json()

Read in this order: settings, schema.sql, books, moves, call, reading, changing, checkout, wire, faults, sandbox,
server. Only `server` needs starlette and uvicorn. Nothing here uses the rest of the library: it helps to test it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.clutch.sandbox.books import Entry, Update
from tallystick.clutch.sandbox.faults import FAULT_HEADER, Fault, Faults
from tallystick.clutch.sandbox.sandbox import ConnectionLost, Response, Sandbox
from tallystick.clutch.sandbox.settings import CardSet, Errors, Refused, Settings, ValueType, WireError

__all__ = [
    "FAULT_HEADER",
    "CardSet",
    "ConnectionLost",
    "Entry",
    "Errors",
    "Fault",
    "Faults",
    "Refused",
    "Response",
    "Sandbox",
    "Settings",
    "Update",
    "ValueType",
    "WireError",
    "serve",
]


def serve(card_sets: Mapping[str, int | CardSet], **options: Any) -> None:
    """Serve over HTTP until a signal; see `server.serve`. Raises: ImportError without the extra `sandbox`."""
    from tallystick.clutch.sandbox.server import serve as serve_http

    serve_http(card_sets, **options)
