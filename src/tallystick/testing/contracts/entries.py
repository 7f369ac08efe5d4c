"""What a store promises of entities and entries: all of a write or nothing, read back as written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import pytest

from tallystick.errors import Conflict, StoreError
from tallystick.store.protocol import Store, Transaction
from tallystick.store.rows import Changes, EntryRow, facts_of
from tallystick.testing.contracts.changes import (  # fmt: skip
    AT,
    MACHINES,
    born,
    call_row,
    do,
    funded,
    put,
    queue_row,
    snapshot,
    stopped,
)


class Entries:
    def test_what_is_written_is_read_back(self, store: Store) -> None:
        what = put(store, born("c1", number="6000123412340281", kind="promo", limit="500.00"))
        (entity,), (kept,) = what.entities.values(), what.entries

        with store.reading() as look:
            assert look.entity("gift_card", "c1") == entity
            assert look.entities([("gift_card", "c1"), ("gift_card", "nobody")]) == {("gift_card", "c1"): entity}
            assert list(look.all("gift_card")) == [entity]
            assert list(look.all("payment")) == []
            assert look.keyed(["gift_card/c1", "nothing"]) == {"gift_card/c1": kept._replace(seq=1)}
            assert list(look.journal()) == look.chronicle(10) == [kept._replace(seq=1)]
            assert facts_of(MACHINES, entity)["limit"] == 50000

    def test_when_it_happened_is_kept_beside_when_it_was_written(self, store: Store) -> None:
        what, early = born("c1"), "2020-01-01T00:00:00.000Z"
        what.entries[0] = what.entries[0]._replace(occurred_at=early)
        what.queue["q"] = queue_row("q", occurred_at=early)
        store.run(lambda transaction: transaction.write(what, AT))
        with store.reading() as look:
            rows = [
                *look.journal(),
                *look.chronicle(1),
                *look.tail(None, 9)[0],
                look.keyed(["gift_card/c1"])["gift_card/c1"],
            ]
            assert {(row.at, row.occurred_at) for row in rows} == {(AT, early)}
            assert look.queued(["q"])["q"].occurred_at == early
            assert look.select("SELECT created, updated FROM gift_card") == [(early, AT)]

        def job(transaction: Transaction) -> list[str]:
            transaction.lock([("gift_card", "c1")])
            return [row.happened for row in transaction.journal("gift_card", "c1")]

        assert store.run(job) == [early]

    def test_what_is_not_there_is_none(self, store: Store) -> None:
        with store.reading() as look:
            assert look.entity("gift_card", "c1") is None
            assert look.entities([]) == {}
            assert look.keyed([]) == {}
            nothing: list[list[Any]] = [
                look.caused("k"), look.chronicle(3), look.calls(), look.queue(), look.due(AT, 5), look.find("c1"),
                look.linked("payment", "card", "c1"), look.following("k"), list(look.journal()), list(look.all_calls()),
            ]  # fmt: skip
            assert nothing == [[]] * len(nothing)
            assert look.call("k") is None
            assert look.queued(["k"]) == {}

    def test_a_transaction_reads_what_it_wrote(self, store: Store) -> None:
        what = born("c1")

        def job(transaction: Transaction) -> str:
            assert transaction.lock([("gift_card", "c1")], ["q"]) == ({}, {}, {})
            transaction.write(attrs.evolve(what, calls={"x": call_row("x")}, queue={"q": queue_row("q")}), AT)
            found = transaction.lock([("gift_card", "c1")], ["gift_card/c1", "q", "r"])
            assert found.entities == what.entities
            assert found.keyed["gift_card/c1"].entity == "c1"
            assert found.queued == {"q": queue_row("q")}
            assert transaction.peek_call("x") == transaction.call("x") == call_row("x")
            return "done"

        assert store.run(job) == "done"

    def test_a_lock_reads_all_that_is_linked_to(self, store: Store) -> None:
        funded(store)
        funded(store, "c2")
        both = {("payment", "p-c1"), ("gift_card", "c1")}
        assert store.run(lambda transaction: set(transaction.lock([("payment", "p-c1")]).entities)) == both
        with store.reading() as look:
            assert set(look.look([("payment", "p-c1"), ("payment", "nobody")]).entities) == both

    def test_a_job_that_meets_a_conflict_is_done_again_from_its_beginning(self, store: Store) -> None:
        met: list[int] = []

        def job(transaction: Transaction) -> int:
            assert transaction.lock([("gift_card", "c1")]).entities == {}
            transaction.write(born("c1"), AT)
            met.append(len(met))
            if len(met) < 3:
                raise Conflict("another writer was in the way")
            return len(met)

        assert store.run(job) == 3
        with store.reading() as look:
            assert len(look.chronicle(9)) == 1

    def test_a_conflict_that_does_not_end_is_told_and_leaves_nothing(self, store: Store) -> None:
        def job(transaction: Transaction) -> None:
            transaction.write(born("c1"), AT)
            raise Conflict("another writer was in the way")

        with pytest.raises(Conflict):
            store.run(job)
        with store.reading() as look:
            assert look.chronicle(9) == []

    def test_an_entity_is_replaced_and_its_entries_add_up(self, store: Store) -> None:
        funded(store)
        with store.reading() as look:
            card, payment = look.entity("gift_card", "c1"), look.entity("payment", "p-c1")
            journal = list(look.journal("gift_card", "c1"))
            both = look.caused("c1/hold")
        assert card is not None
        assert payment is not None
        assert card.accounts == {"available": 4000, "held": 1000, "leaving": 0, "in_doubt": 0}
        assert (card.state, card.revision, payment.state, payment.accounts["held"]) == ("issued", 5, "authorized", 1000)
        assert [each.revision for each in journal] == [1, 2, 3, 4, 5]
        assert journal[-1].hash == card.hash
        assert [(each.machine, each.transition, each.key, each.cause) for each in both] == [
            ("gift_card", "hold", None, "c1/hold")
        ]

    def test_entries_are_numbered_as_they_were_written_and_read_by_entity(self, store: Store) -> None:
        for id in ("c2", "c1", "c3"):
            put(store, born(id))
        put(store, born("p1", "payment", order="o", card="c1"))
        do(store, "gift_card", "c1", "allocate", key="c1/allocate")

        def names(entries: Iterable[EntryRow]) -> list[tuple[str, str, int, int]]:
            return [(each.machine, each.entity, each.revision, each.seq) for each in entries]

        with store.reading() as look:
            assert names(look.journal()) == [
                ("gift_card", "c1", 1, 2), ("gift_card", "c1", 2, 5),
                ("gift_card", "c2", 1, 1), ("gift_card", "c3", 1, 3),
                ("payment", "p1", 1, 4),
            ]  # fmt: skip
            assert names(look.journal("gift_card", "c1")) == [("gift_card", "c1", 1, 2), ("gift_card", "c1", 2, 5)]
            assert names(look.journal("payment")) == [("payment", "p1", 1, 4)]
            assert names(look.chronicle(2)) == [("payment", "p1", 1, 4), ("gift_card", "c1", 2, 5)]
            assert look.chronicle(0) == []

    def test_many_at_once(self, store: Store) -> None:
        """More than one statement of the store's can name."""
        ids = [f"c{number:04}" for number in range(1200)]
        all_of_them = Changes()
        for id in ids:
            one = born(id)
            all_of_them.entries += one.entries
            all_of_them.entities |= one.entities
        put(store, all_of_them)
        with store.reading() as look:
            assert list(look.entities([("gift_card", id) for id in ids])) == [("gift_card", id) for id in ids]
            assert len(look.keyed([f"gift_card/{id}" for id in ids] + ["another"])) == 1200
            assert [each.id for each in look.all("gift_card")] == ids

    def test_nothing_to_write_writes_nothing(self, store: Store) -> None:
        before = snapshot(store)
        put(store, Changes())
        assert snapshot(store) == before

    def test_an_exception_before_the_write_leaves_nothing(self, store: Store) -> None:
        with pytest.raises(ZeroDivisionError):
            stopped(store, Changes())
        put(store, born("c1"))
        with store.reading() as look:
            assert len(list(look.journal())) == 1

    def test_an_exception_after_the_write_leaves_nothing(self, store: Store) -> None:
        put(store, attrs.evolve(born("c0"), calls={"x": call_row("x")}, queue={"q": queue_row("q")}))
        before = snapshot(store)
        changed = {"x": call_row("x", state="declined"), "y": call_row("y")}
        with pytest.raises(ZeroDivisionError):
            stopped(store, attrs.evolve(born("c1"), calls=changed, queue={"q": queue_row("q", state="done")}))
        assert snapshot(store) == before
        with store.reading() as look:
            assert look.keyed(["gift_card/c1"]) == {}
            assert look.find("c1") == []
        put(store, born("c1"))

    def test_a_key_stands_once_and_a_failed_write_leaves_nothing(self, store: Store) -> None:
        put(store, born("c1", key="k"))
        before = snapshot(store)
        with pytest.raises(StoreError):
            put(store, attrs.evolve(born("c2", key="k"), queue={"q": queue_row("q")}))
        assert snapshot(store) == before
        put(store, born("c2", key="l"))

    def test_a_version_stands_once(self, store: Store) -> None:
        put(store, born("c1"))
        before = snapshot(store)
        with pytest.raises(StoreError):
            put(store, born("c1", key="another"))
        assert snapshot(store) == before

    def test_entities_link_to_each_other(self, store: Store) -> None:
        put(store, born("c1"))
        for id in ("p2", "p1"):
            put(store, born(id, "payment", order="o", card="c1"))
        put(store, born("f1", "fulfilment", order="o", card="c1", form="electronic", amount="5.00"))
        with store.reading() as look:
            assert [each.id for each in look.linked("payment", "card", "c1")] == ["p1", "p2"]
            assert look.linked("payment", "card", "c2") == []

    def test_where_value_stands_is_found_the_oldest_first(self, store: Store) -> None:
        for id, at in (("c2", "2026-03-01T12:00:01.000Z"), ("c3", "2026-03-01T12:00:02.000Z"), ("c1", AT)):
            funded(store, id, at=at)
        do(store, "payment", "p-c3", "settle", key="ship", amount="4.00")
        do(store, "payment", "p-c2", "cancel", key="back")
        with store.reading() as look:
            assert [each.id for each in look.standing("payment", "held")] == ["p-c1"]
            (open_part,) = look.standing("payment", "uncovered")
            assert (open_part.id, open_part.accounts["uncovered"]) == ("p-c3", 600)
            assert [each.id for each in look.standing("gift_card", "available")] == ["c1", "c2", "c3"]
            early = look.standing("gift_card", "available", created_before="2026-03-01T12:00:02.000Z")
            assert [each.id for each in early] == ["c1", "c2"], "not what was made at that very moment"
            assert list(look.standing("gift_card", "available", created_before=AT)) == []

    def test_found_by_id_in_any_machine_and_by_number(self, store: Store) -> None:
        put(store, born("c1", number="6000123412340281"))
        put(store, born("c3", number="6000123412340282"))
        put(store, born("c2", number="C0"))
        put(store, born("C0"))
        put(store, born("c1", "payment", order="o", card="c3"))
        with store.reading() as look:
            assert look.find("c1") == [("gift_card", "c1"), ("payment", "c1")]
            assert look.find("6000123412340282") == [("gift_card", "c3")]
            assert look.find("0281") == []
            assert look.find("C0") == [("gift_card", "C0"), ("gift_card", "c2")], "one by its id, one by its number"
            assert look.find("") == []

    def test_entities_are_read_page_by_page(self, store: Store) -> None:
        for id in ("c3", "c1", "C2", "c2"):
            funded(store, id)
        put(store, born("c0"))
        with store.reading() as look:
            assert [each.id for each in look.page("gift_card", limit=2)] == ["C2", "c0"]
            assert [each.id for each in look.page("gift_card", after="c0", limit=2)] == ["c1", "c2"]
            assert [each.id for each in look.page("gift_card", state="issued", limit=9)] == ["C2", "c1", "c2", "c3"]
            assert [each.id for each in look.page("gift_card", state="inventory", limit=9)] == ["c0"]
            assert look.page("gift_card", after="c3", limit=9) == []

    def test_cards_are_found_by_the_end_of_their_number(self, store: Store) -> None:
        for id, number in (("c2", "6000123412340281"), ("c1", "7000999988880281"), ("c3", "6000123412340282")):
            put(store, born(id, number=number))
        put(store, born("c4"))
        put(store, born("c1", "payment", order="o", card="c3"))
        with store.reading() as look:
            assert look.ending("0281", 9) == [("gift_card", "c1"), ("gift_card", "c2")]
            assert look.ending("0281", 1) == [("gift_card", "c1")]
            assert look.ending("12340281", 9) == [("gift_card", "c2")]
            assert look.ending("", 9) == look.ending("%", 9) == look.ending("c1", 9) == []
