"""The contracts of a store and of a provider, as tests that anybody can run on their own.

    TestMyStore = store_contract(lambda folder: MyStore(folder / "books"))
    TestMyProvider = provider_contract(lambda folder: Played(MyProvider(), card=…, effects=…, faults=…))

in a file that pytest collects is all of it: each gives a class of tests, one for every promise.

What a store promises stands in `entries` (a write is whole or not at all), `calls` (calls, the queue, texts that
processes share), `feed` (all entries, read on from a cursor) and `threads` (definitions, threads, being closed);
what a provider promises in `provider`. `changes` makes what the store is given: as the core makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite(
    f"{__name__}.entries", f"{__name__}.calls", f"{__name__}.feed", f"{__name__}.threads", f"{__name__}.provider"
)

from tallystick.store.protocol import Store  # noqa: E402  # pytest has to know first whose asserts it explains
from tallystick.testing.contracts.calls import Calls, Shared  # noqa: E402
from tallystick.testing.contracts.changes import MACHINES  # noqa: E402
from tallystick.testing.contracts.entries import Entries  # noqa: E402
from tallystick.testing.contracts.feed import Feed  # noqa: E402
from tallystick.testing.contracts.provider import Balances, Played, Promises, Record  # noqa: E402
from tallystick.testing.contracts.threads import Closing, Definitions, Threads  # noqa: E402

__all__ = ["Played", "provider_contract", "store_contract"]


def store_contract(make_store: Callable[[Path], Store]) -> type[Any]:
    """A class of tests of what `tallystick.store` promises. `make_store` is given a folder of each test's own."""

    class StoreContract(Entries, Calls, Shared, Feed, Definitions, Threads, Closing):
        @pytest.fixture
        def store(self, tmp_path: Path) -> Iterator[Store]:
            made = make_store(tmp_path)
            made.machines(MACHINES)
            yield made
            made.close()

    return StoreContract


def provider_contract(
    make_provider: Callable[[Path], Played], *, balances: bool = True, record: bool = True
) -> type[Any]:
    """A class of tests of what `tallystick.provider` promises.

    `balances`: the provider knows what a card carries. `record`: it keeps one that `look_up` reads, and it can be
    made to have faults.
    """

    @pytest.fixture
    def played(self: Any, tmp_path: Path) -> Iterator[Played]:
        made = make_provider(tmp_path)
        yield made
        made.close()

    promises = (Promises, *([Balances] if balances else []), *([Record] if record else []))
    return type("ProviderContract", promises, {"played": played})
