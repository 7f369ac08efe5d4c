"""Declared state machines that know about money: gift cards and their payments, in your own database.

    books = tallystick.open("sqlite:///books.db")

Start with `open`, or on asyncio with `aopen`. `Engine` executes any command of any machine. The errors are in
`tallystick.errors`. What is heavy is loaded when it is first used, so to import this costs little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallystick.books.async_books import AsyncBooks, aopen
    from tallystick.books.books import Books
    from tallystick.books.feed import Subscriber, Tail
    from tallystick.books.history import Entry
    from tallystick.books.open import open
    from tallystick.books.views import Card, Payment, Plan, Sale, Tender
    from tallystick.core.entity import Posting
    from tallystick.core.refusal import Code, Refusal
    from tallystick.definition.machine import Machine, Machines, to_transitions
    from tallystick.definition.reader import load
    from tallystick.engine.engine import Engine
    from tallystick.engine.receipt import (
        Answer,
        Answered,
        Command,
        Declined,
        Ended,
        GivenBack,
        InDoubt,
        Move,
        Pending,
        Receipt,
        Refused,
        ShortApproval,
        Unavailable,
        Unfinished,
    )
    from tallystick.engine.verify import Checkpoint, Finding, Report
    from tallystick.errors import (
        CommitUnknown,
        Conflict,
        Invalid,
        KeyReused,
        MachineChanged,
        MachineError,
        MoneyError,
        NotFound,
        NotInTransaction,
        StoreBusy,
        StoreError,
        TallystickError,
    )
    from tallystick.money import Money
    from tallystick.provider.protocol import Outcome
else:  # at run time each is loaded when it is first named
    # fmt: off
    _LATE = {
        "core.entity": ["Posting"],
        "core.refusal": ["Code", "Refusal"],
        "definition.machine": ["Machine", "Machines", "to_transitions"],
        "definition.reader": ["load"],
        "engine.engine": ["Engine"],
        "engine.receipt": [
            "Answer", "Answered", "Command", "Declined", "Ended", "GivenBack", "InDoubt", "Move", "Pending", "Receipt",
            "Refused", "ShortApproval", "Unavailable", "Unfinished",
        ],
        "engine.verify": ["Checkpoint", "Finding", "Report"],
        "books.async_books": ["AsyncBooks", "aopen"],
        "books.books": ["Books"],
        "books.feed": ["Subscriber", "Tail"],
        "books.history": ["Entry"],
        "books.open": ["open"],
        "books.views": ["Card", "Payment", "Plan", "Sale", "Tender"],
        "errors": [
            "CommitUnknown", "Conflict", "Invalid", "KeyReused", "MachineChanged", "MachineError", "MoneyError",
            "NotFound", "NotInTransaction", "StoreBusy", "StoreError", "TallystickError",
        ],
        "money": ["Money"],
        "provider.protocol": ["Outcome"],
    }
    # fmt: on
    _WHERE = {name: module for module, names in _LATE.items() for name in names}

    def __getattr__(name: str) -> object:
        if name not in _WHERE:
            raise AttributeError(f"module 'tallystick' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"tallystick.{_WHERE[name]}"), name)
        return value


__version__ = "0.1.0"


def __dir__() -> list[str]:
    return __all__


__all__ = [
    "Answer",
    "Answered",
    "AsyncBooks",
    "Books",
    "Card",
    "Checkpoint",
    "Code",
    "Command",
    "CommitUnknown",
    "Conflict",
    "Declined",
    "Ended",
    "Engine",
    "Entry",
    "Finding",
    "GivenBack",
    "InDoubt",
    "Invalid",
    "KeyReused",
    "Machine",
    "MachineChanged",
    "MachineError",
    "Machines",
    "Money",
    "MoneyError",
    "Move",
    "NotFound",
    "NotInTransaction",
    "Outcome",
    "Payment",
    "Pending",
    "Plan",
    "Posting",
    "Receipt",
    "Refusal",
    "Refused",
    "Report",
    "Sale",
    "ShortApproval",
    "StoreBusy",
    "StoreError",
    "Subscriber",
    "Tail",
    "TallystickError",
    "Tender",
    "Unavailable",
    "Unfinished",
    "aopen",
    "load",
    "open",
    "to_transitions",
]
