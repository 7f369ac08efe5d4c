"""An answer that comes after the end of its call, and says otherwise, waits for a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tallystick
from clutch_world import World
from tallystick.books.books import Books
from tallystick.books.waiting import stuck
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Declined, Refused, Unavailable
from tallystick.engine.verify import verify
from tallystick.errors import Invalid
from tallystick.provider.protocol import Call, Outcome, Result
from tallystick.provider.scripted import Reply, ScriptedProvider
from tallystick.store.open import open_store
from tallystick.testing.referee import judge
from tallystick.testing.store_rows import rows_of

WHO = {"by": "ann", "reason": "seen in the portal"}


class Slow(ScriptedProvider):
    """While its answer is on its way, something happens."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: list[Callable[[Call], object]] = []
        self.says: Outcome | None = None  # in place of what it did

    def perform(self, call: Call) -> Outcome:
        outcome = super().perform(call)
        if not self.meanwhile:
            return outcome
        self.meanwhile.pop()(call)
        return self.says or outcome


class Shop:
    def __init__(self, url: str) -> None:
        self.provider = Slow()
        self.store = open_store(url)
        self.books = Books(Engine(reader.load(), self.store, self.provider, clock=self.provider.clock))
        self.engine = self.books.engine
        self.books.sell_electronic("c", "50.00", "USD", order="o1", key="sale")

    def closed_as(self, result: str, says: Outcome | None = None, **more: Any) -> None:
        """A person ends the next call so while its answer is on its way."""
        self.provider.says = says
        self.provider.meanwhile = [lambda call: self.engine.resolve(call.id, result, **WHO, **more)]

    def late(self) -> list[tuple[str, str | None, str]]:
        return [(each.said.value, each.reference, str(each.amount)) for each in self.books.stuck().late]


@pytest.fixture(params=["memory:", "sqlite"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    made = Shop("memory:" if request.param == "memory:" else f"sqlite:///{tmp_path}/books.db")
    yield made
    assert verify(made.engine.machines, made.store).findings == ()
    assert judge(rows_of(made.store)) == []
    made.books.close()


def test_what_was_given_back_and_then_confirmed_waits_for_a_person(shop: Shop) -> None:
    shop.closed_as("declined")
    with pytest.raises(Declined, match=r"redeem: it was closed as declined, but then the provider confirmed it as R4"):
        shop.books.redeem("p", "c", "20.00", order="o2", key="redeem")
    assert shop.books.card("c").available.minor == 5000  # where it was put
    assert shop.late() == [("confirmed", "R4", "20.00 USD")]
    waits = shop.books.stuck()
    assert (bool(waits), waits.totals["late"].amounts) == (True, {"USD": 2000})
    assert waits.late[0].why == "it was closed as declined, but then the provider confirmed it as R4"
    call = waits.late[0].row.id
    shop.engine.resolve(call[:12], "dismissed", by="bea", reason="voided it in the portal")
    assert (bool(shop.books.stuck()), shop.late()) == (False, [])
    with shop.store.reading() as reading:
        row = reading.call(call)
    assert row is not None
    assert (row.note or "").endswith("confirmed it as R4; bea: voided it in the portal")
    for result in ("dismissed", "confirmed"):
        with pytest.raises(Invalid):
            shop.engine.resolve(call, result, **WHO)


def test_what_was_closed_as_never_done_is_not_asked_again_before_a_person_has_looked(shop: Shop) -> None:
    shop.closed_as("unavailable")
    with pytest.raises(Unavailable):
        shop.books.redeem("p", "c", "20.00", order="o2", key="redeem")
    assert shop.late() == [("confirmed", "R4", "20.00 USD")]
    sent = len(shop.provider.contacts)
    with pytest.raises(Refused, match=r"but then the provider confirmed it as R4.*first a person has to look"):
        shop.books.redeem("p", "c", "20.00", order="o2", key="redeem")
    assert len(shop.provider.contacts) == sent
    shop.engine.resolve(shop.books.stuck().late[0].row.id, "dismissed", **WHO)
    shop.provider.done.clear()
    assert shop.books.redeem("p", "c", "20.00", order="o2", key="redeem").applied
    assert shop.late() == []


def test_a_queued_command_like_that_is_not_tried_again_either(shop: Shop) -> None:
    shop.closed_as("unavailable")
    shop.engine.execute("gift_card", "c", "redeem", {"amount": "20.00"}, key="later", due=shop.provider.clock())
    shop.books.run_due()
    shop.provider.wait(86400)
    sent = len(shop.provider.contacts)
    assert [each.result for each in shop.books.run_due()] == ["refused"]
    assert (len(shop.provider.contacts), [each.row.key for each in shop.books.stuck().queue]) == (sent, ["later"])


@pytest.mark.parametrize("said", [Result.DECLINED, Result.UNAVAILABLE])
def test_what_was_confirmed_and_then_denied_waits_for_a_person(shop: Shop, said: Result) -> None:
    shop.provider.reply_with([Reply("lost_before")])
    shop.closed_as("confirmed", Outcome(said, text="no"), reference="T9")
    receipt = shop.books.redeem("p", "c", "20.00", order="o2", key="redeem")
    assert (receipt.applied, shop.books.card("c").available.minor) == (True, 3000)
    assert shop.late() == [(said.value, None, "20.00 USD")]
    assert shop.books.stuck().late[0].why == f"it was closed as confirmed, but then the provider said {said.value}"


def test_what_was_confirmed_as_two_things_waits_for_a_person(shop: Shop) -> None:
    shop.closed_as("confirmed", Outcome(Result.CONFIRMED, "T10", "q10"), reference="T9")
    shop.books.redeem("p", "c", "20.00", order="o2", key="redeem")
    assert shop.late() == [("confirmed", "T10", "20.00 USD")]


@pytest.mark.parametrize(
    "says",
    [
        Outcome(Result.CONFIRMED, "T9"),
        Outcome(Result.CONFIRMED, "other", "T9"),
        Outcome(Result.CONFIRMED),
        Outcome(Result.UNKNOWN, text="no answer came"),
    ],
)
def test_what_says_the_same_or_nothing_waits_for_nobody(shop: Shop, says: Outcome) -> None:
    shop.closed_as("confirmed", says, reference="T9")
    shop.books.redeem("p", "c", "20.00", order="o2", key="redeem")
    assert not shop.books.stuck()


def test_what_moves_no_value_may_be_done_twice(shop: Shop) -> None:
    shop.closed_as("confirmed", Outcome(Result.CONFIRMED, "T10"))
    shop.books.suspend("c", key="suspend")
    assert not shop.books.stuck()
    shop.closed_as("declined")
    with pytest.raises(Declined):
        shop.books.reinstate("c", key="reinstate")
    assert shop.late() == [("confirmed", "R5", "None")]  # but it must not be done here and not there


def test_an_earlier_sending_that_failed_denies_nothing(shop: Shop) -> None:
    """The first answer is on its way when the call is sent again, and that one is confirmed."""

    def recovered(call: Call) -> None:
        shop.provider.wait(120)
        shop.provider.done.clear()
        assert [each.applied for each in shop.engine.recover()] == [True]

    shop.provider.meanwhile, shop.provider.says = [recovered], Outcome(Result.DECLINED, text="busy")
    assert shop.books.redeem("p", "c", "20.00", order="o2", key="redeem").applied
    assert not shop.books.stuck()


def test_a_look_up_that_comes_too_late_denies_nothing(shop: Shop) -> None:
    """Two processes look: one before the line was there, one after. The earlier look ends last."""
    shop.provider.reply_with([Reply("lost_after")])
    receipt = shop.engine.try_execute(_redeem("c"))
    look_up, once = shop.provider.look_up, [True]

    def slow(call: Call) -> Any:
        found = look_up(call)
        if once and once.pop():
            shop.engine.recover()
            return Outcome(Result.DECLINED, text="nothing was sent")
        return found

    shop.provider.look_up = slow  # type: ignore[method-assign]
    shop.provider.wait(120)
    shop.engine.recover()
    assert (receipt.result, shop.books.card("c").available.minor, bool(shop.books.stuck())) == ("in_doubt", 3000, False)


def test_a_transaction_that_another_call_was_given_waits_for_nobody(shop: Shop) -> None:
    """Two calls look alike, and the record cannot tell whose is whose. Each was given the other's: nobody loses."""
    shop.provider.reply_with([Reply("lost_after")])
    lost = shop.engine.try_execute(_redeem("c"))
    theirs = shop.provider.done[str(lost.call)].reference
    shop.closed_as("confirmed", reference=theirs)
    shop.books.redeem("p", "c", "20.00", order="o2", key="redeem")
    ((_, mine, _),) = shop.late()
    shop.engine.resolve(str(lost.call), "confirmed", reference=str(mine), **WHO)
    assert not shop.books.stuck()


def test_a_person_and_clutch_disagree() -> None:
    """Somebody gives up a shipment whose answer is slow; Clutch has done it."""
    world = World()
    world.card()
    world.payment("p1", "20.00")

    def impatient(where: str) -> None:
        if where == "after sending" and world.line.sent[-1][0] == "updateBalance":
            (row,) = [each for each in world.calls() if each.state == "open"]
            world.engine.resolve(row.id, "declined", by="ann", reason="it takes too long")

    world.line.fate = impatient
    world.do("payment", "p1", "settle", amount="20.00", last=True)
    world.line.fate = lambda where: None
    (late,) = stuck(world.engine).late
    done = world.ours_at_clutch(str(world.entity("gift_card", "c1").facts["number"]))
    assert (str(late.amount), late.reference) == ("20.00 USD", done[-1].id)
    world.engine.resolve(late.row.id, "dismissed", by="bea", reason="the hold is marked as lost")
    world.engine.execute(
        "payment", "p1", "mark_hold_lost", key="lost", by="bea", reason="Clutch has redeemed it after all"
    )
    world.engine.balances.hear("gift_card", "c1")
    assert world.entity("gift_card", "c1").accounts["available"] == 3000
    assert not stuck(world.engine).late
    assert verify(world.engine.machines, world.store).findings == ()


def test_the_command_line_lists_it_until_it_is_dismissed(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from tallystick.cli.main import main

    shop = Shop(f"sqlite:///{tmp_path}/books.db")
    shop.closed_as("declined")
    with pytest.raises(Declined):
        shop.books.redeem("p", "c", "20.00", order="o2", key="redeem")
    (late,) = shop.books.stuck().late
    shop.books.close()
    run, books = CliRunner(), ["--store", f"sqlite:///{tmp_path}/books.db"]
    shown = run.invoke(main, ["stuck", *books])
    assert shown.exit_code == 1
    assert "1 answered late (20.00 USD)" in " ".join(shown.output.split())
    assert late.row.id in shown.output
    plain = run.invoke(main, ["stuck", "--json", *books])
    assert '"said": "confirmed"' in plain.output
    with tallystick.open(f"sqlite:///{tmp_path}/books.db", provider=shop.provider) as again:
        again.engine.resolve(late.row.id, "dismissed", **WHO)
    assert run.invoke(main, ["stuck", *books]).exit_code == 0


def _redeem(card: str) -> Any:
    from tallystick.engine.receipt import Command

    return Command("gift_card", card, "redeem", {"amount": "20.00"}, "lost")
