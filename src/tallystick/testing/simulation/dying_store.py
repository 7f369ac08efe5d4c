"""The store of a process that may die around every transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        self._at("before a transaction")
        with self._inner.transaction() as transaction:
            yield transaction
            self._at("before its commit")
        self._at("after its commit")
