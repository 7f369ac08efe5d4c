"""What a store promises of definitions, of threads, and of being closed."""

from __future__ import annotations

import threading

import attrs
import pytest

from tallystick.definition.behaviour import digest_of
from tallystick.errors import MachineChanged
from tallystick.store.protocol import Store, Transaction
from tallystick.store.rows import Changes
from tallystick.testing.contracts.changes import AT, MACHINES, at_once, born, pages, put, queue_row, second

FIRST = MACHINES["gift_card"].version


class Definitions:
    def test_a_store_gives_back_every_version_it_has_kept(self, store: Store) -> None:
        put(store, born("c1"))
        newer = store.machines(pages(gift_card=second))
        assert [each.version for each in newer.versions("gift_card")] == [FIRST, FIRST + 1]
        assert newer["gift_card"].version == FIRST + 1
        assert digest_of(newer.at("gift_card", FIRST)) == digest_of(MACHINES["gift_card"])
        assert [each.version for each in store.machines(MACHINES).versions("gift_card")] == [FIRST, FIRST + 1]

    def test_the_same_version_may_not_behave_otherwise(self, store: Store) -> None:
        other = pages(gift_card=lambda text: text.replace("0 < amount <= held", "0 < amount < held"))
        with pytest.raises(MachineChanged, match="give the changed page a new version"):
            store.machines(other)
        assert digest_of(store.machines(MACHINES)["gift_card"]) == digest_of(MACHINES["gift_card"])


class Threads:
    def test_threads_write_one_after_the_other(self, store: Store) -> None:
        """Each reads what the one before wrote: no update is lost."""
        put(store, attrs.evolve(born("c1"), queue={"counter": queue_row("counter")}))

        def one_more(transaction: Transaction) -> None:
            row = transaction.lock([("gift_card", "c1")], ["counter"]).queued["counter"]
            transaction.write(Changes(queue={"counter": attrs.evolve(row, attempts=row.attempts + 1)}), AT)

        def count() -> None:
            for _ in range(25):
                store.run(one_more)

        at_once([count] * 8)
        with store.reading() as look:
            assert look.queued(["counter"])["counter"].attempts == 200

    def test_a_look_never_sees_half_of_a_write(self, store: Store) -> None:
        torn: list[object] = []
        over = threading.Event()

        def write() -> None:
            for number in range(60):
                put(store, born(f"c{number:03}"))
            over.set()

        def look_on() -> None:
            while not over.is_set():
                with store.reading() as look:
                    rows = len(list(look.all("gift_card")))
                    if rows != len(list(look.journal())):
                        torn.append(rows)

        at_once([write, look_on, look_on])
        assert not torn


class Closing:
    def test_a_closed_store_opens_again_when_it_is_asked(self, store: Store) -> None:
        put(store, born("c1"))
        store.close()
        store.close()
        with store.reading() as look:
            assert look.entity("gift_card", "c1") is not None
