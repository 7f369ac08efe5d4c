"""Where a process can be killed: before and after every statement of the database and every call to the provider."""

from __future__ import annotations

import os
import signal
import sqlite3
from typing import Any

from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Provider


class KillPoints:
    """Numbers the points of a run from 1 and keeps their names. Watches connections; nothing happens at a point."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def reach(self, name: str) -> None:
        self.names.append(name)

    def before(self, connection: sqlite3.Connection, sql: str) -> None:
        self.reach(f"before {_short(sql)}")

    def after(self, connection: sqlite3.Connection, sql: str) -> None:
        self.reach(f"after {_short(sql)}")


class KilledAt(KillPoints):
    """Kills the process at one point: nothing after it is done, not even an exception handler."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def reach(self, name: str) -> None:
        super().reach(name)
        if len(self.names) == self._number:
            os.kill(os.getpid(), signal.SIGKILL)


class ProviderWithPoints:
    """A provider with a point before and after each thing it is asked."""

    def __init__(self, provider: Provider, points: KillPoints) -> None:
        self._provider, self._points = provider, points
        self.name, self.local = provider.name, provider.local

    def perform(self, call: Call) -> Outcome:
        self._points.reach(f"before the call: {call.verb}")
        outcome = self._provider.perform(call)
        self._points.reach(f"after the call: {call.verb}")
        return outcome

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        self._points.reach(f"before looking up: {call.verb}")
        found = self._provider.look_up(call)
        self._points.reach(f"after looking up: {call.verb}")
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)


def _short(sql: str) -> str:
    words = " ".join(sql.split())
    return words if len(words) <= 60 else f"{words[:59]}…"
