"""One card number is one card: no second entity of the currency may have it, nor take it while an answer is missing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from clutch_world import MACHINES, World
from tallystick.core.entity import Entity
from tallystick.core.refusal import Code
from tallystick.engine.receipt import Command, Ended, Receipt
from tallystick.errors import StoreError
from tallystick.provider.protocol import Outcome, Result
from tallystick.store.open import open_store
from tallystick.store.protocol import Store
from tallystick.store.rows import Changes


@pytest.fixture(params=["memory", "sqlite"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    store = open_store("memory:" if request.param == "memory" else str(tmp_path / "books.db"))
    yield World(store=store)
    store.close()


def blank(world: World, id: str, currency: str = "USD", form: str = "physical") -> None:
    world.sure("gift_card", id, "create", form=form, currency=currency)


def plastic(world: World) -> str:
    """A number from the box of blanks."""
    return world.sandbox.inventory("PLASTIC")[0]


def code(receipt: Receipt) -> Code:
    assert receipt.refusal is not None, receipt
    return receipt.refusal.code


def test_activate_and_recognize_refuse_a_number_that_another_card_has(world: World) -> None:
    number = plastic(world)
    for id in ("a", "b"):
        blank(world, id)
    world.sure("gift_card", "a", "activate", number=number)
    for command, args in (("activate", {}), ("recognize", {"balance": "1.00"})):
        refused = world.do("gift_card", "b", command, number=number, **args)
        assert code(refused) is Code.TAKEN
        assert f"the number …{number[-4:]} is that of gift_card 'a', which is in USD too" in refused.why
        assert number not in refused.why
        answer = world.engine.may("gift_card", "b", command, {"number": number, **args})
        assert answer.refusal == refused.refusal
    assert code(world.do("gift_card", "c", "create", form="physical", currency="USD", number=number)) is Code.TAKEN
    world.agree()


def test_the_other_balance_of_a_card_may_have_its_number(world: World) -> None:
    number = plastic(world)
    blank(world, "a")
    blank(world, "points", "points")
    world.sure("gift_card", "a", "activate", number=number)
    assert world.do("gift_card", "points", "recognize", number=number, balance="10").applied
    blank(world, "more", "points")
    assert code(world.do("gift_card", "more", "recognize", number=number, balance="10")) is Code.TAKEN


@pytest.mark.parametrize("fault", ["lost_before", "lost_after"])
def test_a_lost_activation_is_never_confirmed_by_that_of_another_card(world: World, fault: str) -> None:
    """While the first is in doubt nobody else may take its number; then the number is the first one's for good."""
    number = plastic(world)
    for id in ("a", "b"):
        blank(world, id)
    blank(world, "points", "points")
    world.line.faults.append(fault)
    assert world.do("gift_card", "a", "activate", number=number).result is Ended.IN_DOUBT
    for id in ("b", "points"):
        refused = world.do("gift_card", id, "activate", number=number)
        assert code(refused) is Code.IN_DOUBT
        assert refused.refusal is not None
        assert refused.refusal.waits
    world.end()
    assert world.entity("gift_card", "a").state == "activated"
    assert code(world.do("gift_card", "b", "activate", number=number)) is Code.TAKEN
    world.agree()


def test_a_number_whose_activation_was_declined_is_free(world: World) -> None:
    number = plastic(world)
    for id in ("a", "b"):
        blank(world, id)
    world.line.faults.append("lost_before")
    receipt = world.do("gift_card", "a", "activate", number=number)
    world.engine.resolve(str(receipt.call), "declined", by="ann", reason="not in the portal")
    assert world.do("gift_card", "b", "activate", number=number).applied
    assert code(world.do("gift_card", "a", "activate", number=number)) is Code.TAKEN
    world.agree()


def test_an_order_line_that_ships_a_card_twice_is_refused_and_tells_why(world: World) -> None:
    number = plastic(world)
    for id in ("a", "b"):
        blank(world, id)
        line = {"order": id, "card": id, "form": "physical", "amount": "5.00", "currency": "USD"}
        world.sure("fulfilment", f"line-{id}", "create", **line)
        world.sure("fulfilment", f"line-{id}", "ship", number=number)
    world.receipts += world.engine.run_due()
    with world.store.reading() as reading:
        (refused,) = reading.queue(state="refused")
    assert (refused.entity, refused.command) == ("line-b", "activate")
    assert f"the number …{number[-4:]} is that of gift_card 'a'" in str(refused.why)
    world.agree()


def test_a_drawn_number_that_another_card_has_is_not_believed(world: World) -> None:
    taken = str(world.card("a").facts["number"])
    world.sure("gift_card", "b", "create", form="electronic", currency="USD", card_set="GIFT")
    world.line.faults.append("lost_before")
    call = str(world.do("gift_card", "b", "allocate").call)
    receipt = world.engine.resolve(call, "confirmed", by="ann", reason="misread", number=taken)
    assert receipt.result is Ended.IN_DOUBT
    assert "the number" in receipt.why
    assert "of 'a'" in receipt.why
    assert world.entity("gift_card", "b").state == "inventory"
    world.end()


def test_many_in_one_transaction_are_told_apart(world: World) -> None:
    from tallystick.engine.engine import Engine
    from tallystick.provider.local import LocalProvider

    engine = Engine(MACHINES, world.store, LocalProvider())
    facts = {"form": "physical", "currency": "USD"}
    commands = [Command("gift_card", id, "create", facts, f"new {id}") for id in "abc"]
    commands += [Command("gift_card", id, "activate", {"number": number}, f"on {id}")
                 for id, number in zip("abc", "778", strict=True)]  # fmt: skip
    told = [each.result for each in engine.try_execute_many(commands) if isinstance(each, Receipt)]
    assert told[3:] == [Ended.APPLIED, Ended.REFUSED, Ended.APPLIED]


# Whoever writes, and however


def twin(card: Entity) -> Entity:
    return Entity(card.machine, "twin", card.state, 1, card.machine_version, card.currency, card.facts, card.accounts)


def written(store: Store, changes: Changes) -> None:
    store.run(lambda transaction: transaction.write(changes, "2026-03-02T12:00:00.000Z"))


def test_the_store_itself_refuses_a_second_one(world: World) -> None:
    card = world.card("a")
    with pytest.raises(StoreError):
        written(world.store, Changes(entities={("gift_card", "twin"): twin(card)}))
    with world.store.reading() as reading:
        assert reading.entity("gift_card", "twin") is None
        assert [each.id for each in reading.linked("gift_card", "number", str(card.facts["number"]))] == ["a"]


def test_the_store_itself_refuses_a_second_call_that_takes_it(world: World) -> None:
    import attrs

    blank(world, "a")
    world.line.faults.append("lost_before")
    world.do("gift_card", "a", "activate", number=plastic(world))
    (row,) = world.calls()
    assert row.takes is not None
    with world.store.reading() as reading:
        assert reading.taking(row.takes) == row
        assert reading.taking("gift_card 1") is None
    with pytest.raises(StoreError):
        written(world.store, Changes(calls={"other": attrs.evolve(row, id="other")}))
    assert [each.id for each in world.calls()] == [row.id], "nothing was replaced"


def test_sqlite_refuses_it_on_any_connection(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "books.db"))
    world = World(store=store)
    number = world.card("a").facts["number"]
    world.card("b")
    with sqlite3.connect(tmp_path / "books.db") as raw, pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        raw.execute("UPDATE gift_card SET number = ? WHERE id = 'b'", (number,))
    raw.close()
    store.close()


def test_what_is_found_under_the_same_number_in_another_currency_is_claimed(world: World) -> None:
    """Points and dollars of one card: the entry that confirmed one call does not confirm the other's."""
    number = plastic(world)
    blank(world, "a")
    blank(world, "points", "points")
    world.sure("gift_card", "a", "activate", number=number)
    claimed: list[str] = []

    def found(call: object) -> Outcome:
        claimed.extend(call.claimed)  # type: ignore[attr-defined]
        return Outcome(Result.CONFIRMED, reference=claimed[0])

    world.line.faults.append("lost_before")
    assert world.do("gift_card", "points", "activate", number=number).result is Ended.IN_DOUBT
    world.provider.look_up = found  # type: ignore[assignment,method-assign]
    world.clock.on(minutes=5)
    (receipt,) = world.engine.recover()
    assert claimed
    assert receipt.result is Ended.IN_DOUBT
    assert "did already" in receipt.why
