"""Declared state machines that know about money: gift cards and their payments, in your own database.

    books = tallystick.open("sqlite:///books.db")

Start with `open`; `Engine` executes any command of any machine; the errors are in `tallystick.errors`. What is
heavy is loaded when it is first used, so importing this costs little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tallystick.errors import (
    Declined,
    InDoubt,
    Invalid,
    KeyReused,
    MachineChanged,
    MachineError,
    MoneyError,
    Refused,
    StoreError,
    TallystickError,
    Unavailable,
)
from tallystick.money import Money

if TYPE_CHECKING:
    from tallystick.engine import Engine
    from tallystick.machine import Machine, Machines, to_transitions
    from tallystick.opening import open
    from tallystick.reader import load
    from tallystick.receipt import Answer, Command, Ended, Receipt
    from tallystick.refusal import Refusal
    from tallystick.stored_value import StoredValue
    from tallystick.verify import Finding, Report
    from tallystick.views import Card, Payment, Sale, Tender

__version__ = "0.1.0"

_LATE = {
    "engine": ["Engine"],
    "machine": ["Machine", "Machines", "to_transitions"],
    "reader": ["load"],
    "receipt": ["Answer", "Command", "Ended", "Receipt"],
    "refusal": ["Refusal"],
    "opening": ["open"],
    "stored_value": ["StoredValue"],
    "verify": ["Finding", "Report"],
    "views": ["Card", "Payment", "Sale", "Tender"],
}
_WHERE = {name: module for module, names in _LATE.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in."""
    if name not in _WHERE:
        raise AttributeError(f"module 'tallystick' has no attribute {name!r}")
    value = getattr(import_module(f"tallystick.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


__all__ = [
    "Answer",
    "Card",
    "Command",
    "Declined",
    "Ended",
    "Engine",
    "Finding",
    "InDoubt",
    "Invalid",
    "KeyReused",
    "Machine",
    "MachineChanged",
    "MachineError",
    "Machines",
    "Money",
    "MoneyError",
    "Payment",
    "Receipt",
    "Refusal",
    "Refused",
    "Report",
    "Sale",
    "StoreError",
    "StoredValue",
    "TallystickError",
    "Tender",
    "Unavailable",
    "load",
    "open",
    "to_transitions",
]
