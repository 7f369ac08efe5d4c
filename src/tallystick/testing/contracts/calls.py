"""What a store promises of calls, the queue, and texts that processes share."""

from __future__ import annotations

from functools import partial
from typing import Any

import attrs
import pytest

from tallystick.errors import StoreError
from tallystick.store.protocol import Reading, Store, Swap, Transaction
from tallystick.store.rows import Changes
from tallystick.store.schema import steps
from tallystick.store.waits import Waits
from tallystick.testing.contracts.changes import (
    AT,
    MACHINES,
    at_once,
    born,
    call_row,
    put,
    queue_row,
    snapshot,
    stopped,
)


class Calls:
    def test_calls_are_replaced_by_id_and_open_ones_come_oldest_first(self, store: Store) -> None:
        late, early = "2026-03-01T12:00:09.000Z", "2026-03-01T12:00:01.000Z"
        rows = [call_row("b", asked=late), call_row("a", asked=early, secret=True), call_row("c", state="declined")]
        put(store, Changes(calls={row.id: row for row in rows}))
        with store.reading() as look:
            assert look.calls() == [rows[1], rows[0]]
            assert [row.id for row in look.calls(asked_before=late)] == ["a"], "strictly before"
            assert look.calls(asked_before=early) == []
            assert sorted(row.id for row in look.all_calls()) == ["a", "b", "c"]
            assert look.call("a") == rows[1]
            assert (kept := look.call("a")) is not None
            assert kept.secret is True

        ended = attrs.evolve(rows[1], state="confirmed", closed=AT, outcome="{}", note="ann: seen", attempts=2)
        put(store, Changes(calls={"a": ended}))
        with store.reading() as look:
            assert look.calls() == [rows[0]]
            assert look.call("a") == ended

    def test_one_call_claims_a_transaction_and_no_other_can(self, store: Store) -> None:
        first, second = call_row("a", state="confirmed", claims="p T1"), call_row("b", entity="c2")
        put(store, Changes(calls={"a": first, "b": second}))
        put(store, Changes(calls={"a": attrs.evolve(first, note="seen again")}))
        taken = attrs.evolve(second, state="confirmed", claims="p T1")
        for _ in range(2):
            with pytest.raises(StoreError):
                put(store, Changes(calls={"b": taken}))
            with store.reading() as look:
                assert (kept := look.claiming("p T1")) is not None
                assert (kept.id, look.call("b"), look.claiming("p T2")) == ("a", second, None)
        with pytest.raises(ZeroDivisionError):
            stopped(store, Changes(born("x").entries, calls={"b": attrs.evolve(taken, claims="p T2")}))
        with store.reading() as look:
            assert look.claiming("p T2") is None
        put(store, Changes(calls={"c": call_row("c", state="confirmed", claims="p T2"), "b": second}))
        store.run(lambda transaction: transaction.claiming("p T2"))

    def test_an_answer_after_the_end_waits_for_a_person_and_stays(self, store: Store) -> None:
        told = call_row("a", state="declined", closed="2026-01-01T00:00:01.000Z", late="{}", unclear=True)
        put(store, Changes(calls={"a": told, "b": call_row("b", entity="c2", unclear=True)}))
        with store.reading() as look:
            assert look.late_answers() == [told]
        with pytest.raises(StoreError):
            put(store, Changes(calls={"a": attrs.evolve(told, late='{"result":"declined"}')}))
        put(store, Changes(calls={"a": attrs.evolve(told, unclear=False)}))
        with store.reading() as look:
            assert look.late_answers() == []

    def test_what_a_call_or_a_queued_command_is_about_stays(self, store: Store) -> None:
        call, queued = call_row("a"), queue_row("k")
        put(store, Changes(calls={"a": call}, queue={"k": queued}))
        for more in ({"entity": "c2"}, {"key": "other"}, {"args": '{"amount":9}'}, {"steps": "[1]"}, {"secret": True}):
            with pytest.raises(StoreError):
                put(store, Changes(calls={"a": attrs.evolve(call, **more)}))
        other: dict[str, str]
        for other in ({"entity": "p2"}, {"command": "cancel"}, {"args": '{"amount":9}'}, {"cause": "b"}):
            with pytest.raises(StoreError):
                put(store, Changes(queue={"k": queue_row("k", **other)}))
        with store.reading() as look:
            assert (look.call("a"), look.queued(["k"])) == (call, {"k": queued})

    def test_how_a_call_ended_stays_but_one_that_came_to_nothing_may_ask_again(self, store: Store) -> None:
        ended = {name: call_row(name, state=name, closed=AT, outcome="{}") for name in ("declined", "unavailable")}
        put(store, Changes(calls=dict(ended)))
        for row in ended.values():
            for more in ({"state": "confirmed"}, {"outcome": None}, {"closed": None}, {"attempts": 7}):
                with pytest.raises(StoreError):
                    put(store, Changes(calls={row.id: attrs.evolve(row, **more)}))
        anew = attrs.evolve(
            ended["unavailable"], state="open", closed=None, outcome=None, args='{"amount":4}', steps="[1]"
        )
        put(store, Changes(calls={anew.id: anew}))
        with store.reading() as look:
            assert look.call("unavailable") == anew
            assert look.call("declined") == ended["declined"]

    def test_pages_and_the_steps_they_declare_are_kept(self, store: Store) -> None:
        with store.reading() as look:
            assert {(page.name, page.version, page.text) for page in look.pages()} == {
                (each.name, each.version, each.text) for each in MACHINES.all()
            }
            assert look.steps() == {step for machine in MACHINES.all() for step in steps(machine)}

    def test_calls_on_one_card_are_told_apart_from_those_on_another(self, store: Store) -> None:
        rows = [
            call_row("b", state="declined", opened="2026-03-01T12:00:02.000Z"),
            call_row("a", opened="2026-03-01T12:00:03.000Z"),
            call_row("c", entity="c2"), call_row("d", machine="voucher"),
            call_row("e", opened="2026-03-01T12:00:01.000Z"),
        ]  # fmt: skip
        put(store, Changes(calls={row.id: row for row in rows}))
        with store.reading() as look:
            assert [row.id for row in look.calls_on("gift_card", "c1")] == ["e", "b", "a"]
            assert [row.id for row in look.calls_on("gift_card", "c2")] == ["c"]
            assert look.calls_on("payment", "c1") == []
            assert [row.id for row in look.all_calls()] == ["a", "b", "c", "d", "e"]

    def test_what_is_due_comes_longest_waiting_first(self, store: Store) -> None:
        def moment(second: int) -> str:
            return f"2026-03-01T12:00:{second:02}.000Z"

        rows = [
            queue_row("a", due=moment(5)), queue_row("c", due=moment(1)), queue_row("b", due=moment(1)),
            queue_row("z", due=moment(0), state="done"), queue_row("e", due=moment(6), cause="b", by="ann", reason="r"),
        ]  # fmt: skip
        put(store, Changes(queue={row.key: row for row in rows}))
        with store.reading() as look:
            assert [row.key for row in look.due(moment(5), 10)] == ["b", "c", "a"], "due at this very moment too"
            assert [row.key for row in look.due(moment(5), 2)] == ["b", "c"]
            assert look.due(moment(0), 10) == []
            assert [row.key for row in look.queue()] == ["z", "b", "c", "a", "e"]
            assert [row.key for row in look.queue(state="waiting")] == ["b", "c", "a", "e"]
            assert look.queue(state="parked") == []
            assert look.following("b") == [rows[4]]
            assert [row.key for row in look.waiting(rows[0].machine, rows[0].entity)] == ["b", "c", "a", "e"]
            assert look.waiting(rows[0].machine, "nobody") == []
            assert look.queued(["e", "nothing"]) == {"e": rows[4]}

            assert look.depth(moment(5)) == ({"waiting": 4, "refused": 0, "declined": 0, "parked": 0}, 3, moment(1), 1)

        told = attrs.evolve(rows[4], state="parked", attempts=10, why="it was not reached")
        put(store, Changes(queue={"e": told}))
        with store.reading() as look:
            assert look.depth(moment(0)) == ({"waiting": 3, "refused": 0, "declined": 0, "parked": 1}, 0, moment(1), 0)
            assert look.queue(state="parked") == [told]
            assert look.queue(state="done") == [rows[3]]
            assert [row.key for row in look.all_queued()] == ["a", "b", "c", "e", "z"]

    def test_what_waits_for_a_date_of_its_page_is_counted_by_day_and_all_is_read_page_by_page(
        self, store: Store
    ) -> None:
        def moment(day: int) -> str:
            return f"2026-03-{day:02}T12:00:00.000Z"

        rows = [
            queue_row("own", due=moment(9)), queue_row("again", due=moment(3), cause="k", attempts=1),
            queue_row("a", due=moment(5), cause="k"), queue_row("b", due=moment(5), cause="l"),
            queue_row("c", due=moment(6), cause="k"), queue_row("now", due=moment(2), cause="k"),
            queue_row("gone", due=moment(5), cause="k", state="withdrawn"),
        ]  # fmt: skip
        put(store, Changes(queue={row.key: row for row in rows}))
        of = rows[0].machine, rows[0].command
        day = moment(5)[:10]

        def keys(look: Reading, dated: bool, limit: int = 9, **which: Any) -> list[str]:
            return [row.key for row in look.waits(Waits(dated, limit, **which))]

        with store.reading() as look:
            assert look.scheduled(moment(2)) == [
                (*of, day, 2, moment(5)), (*of, moment(6)[:10], 1, moment(6))
            ]  # fmt: skip
            assert look.scheduled(moment(5)) == [(*of, moment(6)[:10], 1, moment(6))]
            assert look.scheduled(moment(6)) == []
            assert keys(look, True) == ["now", "a", "b", "c"]
            assert keys(look, False) == ["again", "own"]
            assert keys(look, True, 2) == ["now", "a"]
            assert keys(look, True, after=(moment(5), "a")) == ["b", "c"]
            assert keys(look, True, of=of, after=(moment(5), "a"), until=moment(5)) == ["b"]
            assert keys(look, True, since=day, until=f"{day}~") == ["a", "b"]
            assert keys(look, True, of=(of[0], "other")) == keys(look, False, of=("other", of[1])) == []


class Shared:
    def test_a_shared_text_is_put_in_place_of_the_one_that_was_seen(self, store: Store) -> None:
        assert store.load("limit") is None
        assert not store.swap("limit", "seen", "new"), "there is nothing yet"
        assert store.swap("limit", None, "one")
        assert not store.swap("limit", None, "two")
        assert not store.swap("limit", "two", "three")
        assert store.load("limit") == "one"
        assert store.swap("limit", "one", "two", until=5.0)
        assert store.swap("limit", "two", "two")
        assert store.swap("other", None, "ours")
        assert (store.load("limit"), store.load("other")) == ("two", "ours")

    def test_a_shared_text_is_forgotten_after_its_time(self, store: Store) -> None:
        for name, until in (("early", 10.0), ("late", 20.0), ("ever", None)):
            assert store.swap(name, None, name, until)
        store.forget(15.0)
        assert [store.load(name) for name in ("early", "late", "ever")] == [None, "late", "ever"]
        assert store.swap("early", None, "again")
        assert store.swap("late", "late", "for ever", None)
        store.forget(1e12)
        assert [store.load(name) for name in ("early", "late", "ever")] == ["again", "for ever", "ever"]

    def test_many_shared_texts_are_read_and_swapped_at_once(self, store: Store) -> None:
        """Each for itself: what is not as it was seen stays as it is."""
        store.swap("b", None, "old b")
        store.swap("c", None, "old c")
        swaps = [Swap("d", None, "new d", None), Swap("b", "old b", "new b", 5.0), Swap("a", "seen", "new a", None),
                 Swap("c", "seen", "new c", None), Swap("e", None, "new e", 15.0)]  # fmt: skip
        assert store.run(lambda transaction: transaction.swap_all(swaps)) == {"b", "d", "e"}
        assert store.run(lambda transaction: transaction.swap_all(swaps)) == set()
        assert store.run(lambda transaction: transaction.swap_all([])) == set()
        with store.reading() as look:
            assert look.texts([]) == {}
            assert look.texts(list("edcba")) == {"b": "new b", "c": "old c", "d": "new d", "e": "new e"}
        store.forget(10.0)
        assert store.run(lambda transaction: transaction.texts(["b", "e"])) == {"e": "new e"}

    def test_of_many_who_swap_the_same_texts_one_does_each(self, store: Store) -> None:
        names, done = [f"n{number}" for number in range(20)], list[str]()

        def job(number: int) -> None:
            mine = [Swap(name, None, str(number), None) for name in names[:: 1 if number % 2 else -1]]
            done.extend(store.run(lambda transaction: transaction.swap_all(mine)))

        at_once([partial(job, number) for number in range(6)])
        assert sorted(done) == sorted(names)

    def test_shared_texts_stand_outside_all_transactions(self, store: Store) -> None:
        before = snapshot(store)
        store.swap("limit", None, "one")
        assert snapshot(store) == before
        with pytest.raises(ZeroDivisionError):
            stopped(store, born("c1"))
        assert store.load("limit") == "one"

    def test_no_swap_of_a_shared_text_is_lost(self, store: Store) -> None:
        store.swap("count", None, "0")

        def count() -> None:
            for _ in range(15):
                while not store.swap("count", old := str(store.load("count")), str(int(old) + 1)):
                    pass

        at_once([count] * 6)
        assert store.load("count") == "90"

    def test_a_shared_text_takes_part_in_a_transaction(self, store: Store) -> None:
        def job(transaction: Transaction, stops: bool) -> tuple[bool, str | None]:
            done = transaction.swap("name", None, "one"), transaction.shared("name")
            if stops:
                raise ZeroDivisionError
            return done

        with pytest.raises(ZeroDivisionError):
            store.run(lambda transaction: job(transaction, stops=True))
        assert store.load("name") is None
        assert store.run(lambda transaction: job(transaction, stops=False)) == (True, "one")
        assert store.run(lambda transaction: job(transaction, stops=False)) == (False, "one")
        assert store.load("name") == "one"
        with store.reading() as look:
            assert (look.shared("name"), look.shared("nobody")) == ("one", None)

    def test_a_shared_text_may_have_any_name(self, store: Store) -> None:
        """A transaction that locks reads the texts that others have asked for, whatever they are called."""
        odd = "50% of (a) :b, 'c'"
        store.swap(odd, None, "one")
        assert store.run(lambda transaction: transaction.shared(odd)) == "one"
        store.swap(odd, "one", "two")

        def job(transaction: Transaction) -> str | None:
            transaction.lock([("gift_card", "nobody")], ["a new key"])
            return transaction.shared(odd)

        assert store.run(job) == "two"
