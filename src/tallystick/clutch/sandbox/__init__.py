"""A Clutch-compatible provider with its own books, for tests and for trying things out.

    sandbox = Sandbox(card_sets={"GIFT": 100}, seed=1)
    sandbox.post("allocate", {"cardSetId": "GIFT"}).json()

Keeps: what is available, what is held and the history of a card always agree, and none is below zero; a request is done
whole or not at all; the same seed, clock and requests give the same answers.

Read in this order: `settings` (what is not known about Clutch, as choices); schema.sql and `ledger` (cards, balances,
holds, history); `balance_moves` (every way value moves); `request` (one request, read) with `exact_json`; the methods
of Clutch, in `changing_methods`, `reading_methods` and `checkout`; `endpoint` (who calls, which method, one
transaction); `faults` (what goes wrong on the way); `sandbox` (all of it, in process); `server` (over HTTP).

Only `server` needs starlette and uvicorn. Tests and the command line call this room. It uses nothing else of the
library, because it helps to test it.
"""

from tallystick.clutch.sandbox.faults import FAULT_HEADER, Fault, Faults
from tallystick.clutch.sandbox.ledger import Entry, Update
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
]
