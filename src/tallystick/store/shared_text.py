"""A small value that all processes on one store share, such as the state of a circuit breaker."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Generic, TypeVar

import attrs

from tallystick.errors import StoreError
from tallystick.store.protocol import Store
from tallystick.store.rows import encode

State = TypeVar("State", bound=attrs.AttrsInstance)


class StoreCell(Generic[State]):
    """A flat attrs value under one name in the store: a `limits.Cell` that all processes share.

    While the store cannot be reached, this process goes on with what it knows. A value that only spares the provider
    is no reason to lose the provider's answer.
    """

    def __init__(self, store: Store, name: str, initial: State) -> None:
        self._store, self._name, self._initial = store, name, initial
        self._known = initial

    def load(self) -> State:
        with suppress(StoreError):
            text = self._store.load(self._name)
            self._known = self._initial if text is None else type(self._initial)(**json.loads(text))
        return self._known

    def swap(self, old: State, new: State) -> bool:
        before, after = encode(attrs.asdict(old)), encode(attrs.asdict(new))
        try:
            first = old == self._initial and self._store.swap(self._name, None, after)
            return first or self._store.swap(self._name, before, after)
        except StoreError:
            self._known = new
            return True
