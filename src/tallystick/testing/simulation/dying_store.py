"""The store of a process that may die around every transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallystick.store.protocol import Store


class ProcessDied(BaseException):
    """The process is gone. It is no Exception: nobody may catch it and go on."""


class DyingStore:
    """A store in all that counts. `at` is told where the process is; it raises ProcessDied to end it there."""

    def __init__(self, inner: Store, at: Callable[[str], object]) -> None:
        self._inner, self._at = inner, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def run(self, job: Callable[[Any], Any]) -> Any:
        def watched(transaction: Any) -> Any:
            done = job(transaction)
            self._at("before its commit")
            return done

        self._at("before a transaction")
        done = self._inner.run(watched)
        self._at("after its commit")
        return done
