"""Errors: each says what it means, carries its fields, and comes whole out of another process."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

import tallystick
from tallystick import Books, Command, Ended, MachineError, NotFound, Receipt, TallystickError
from tallystick.clutch import answers  # noqa: F401  # its error is one of them
from tallystick.engine.migrate import Forecast, InTheWay, Obstacle
from tallystick.engine.receipt import Answered
from tallystick.errors import Fault, KeyReused
from tallystick.masks import masked, quoted
from tallystick.provider import Outcome, Result


def kinds(of: type[TallystickError] = TallystickError) -> Iterator[type[TallystickError]]:
    for each in of.__subclasses__():
        yield each
        yield from kinds(each)


def receipt(result: Ended = Ended.IN_DOUBT) -> Receipt:
    return Receipt(
        result, "k", "gift_card", "c", "redeem", "issued", "BRL", {"held": 0}, {"held": 4000}, why="so it is"
    )


def made(kind: type[TallystickError]) -> TallystickError:
    if issubclass(kind, Answered):
        return kind(receipt())
    if kind is MachineError:
        return MachineError([Fault("x.yaml", 3, 7, "wrong"), Fault("x.yaml", 4, 1, "wrong too")])
    if kind is NotFound:
        return NotFound("machine", "paymint", ["gift_card", "payment"])
    if kind.__name__ == "NotRead":
        return kind(Outcome(Result.DECLINED, text="so it is"))  # type: ignore[arg-type]  # its own kind of field
    if kind is InTheWay:
        return InTheWay(Forecast([], [Obstacle("payment", 2, "a call is open", 1, ("p-1",))]))
    if kind is KeyReused:
        return KeyReused("k", before="settle of payment 'p'")
    return kind("a sentence")


ALL = sorted(set(kinds()), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_an_error_is_the_same_after_pickling(
    kind: type[TallystickError], again: Callable[[TallystickError], TallystickError]
) -> None:
    error = made(kind)
    other = again(error)
    assert type(other) is kind
    assert str(other) == str(error) != ""
    assert (other.args, vars(other)) == (error.args, vars(error))


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_an_error_says_what_to_do_about_it(kind: type[TallystickError]) -> None:
    if kind.__module__.startswith("tallystick.clutch") or kind is Answered:
        return
    said = kind.__doc__ or ""
    assert "HTTP " in said
    assert any(
        word in said.lower()
        for word in ("moved", "the value", "nothing was written", "may be written", "nothing was opened")
    )
    assert "key" in said or kind in (MachineError, tallystick.MachineChanged)


def refused_elsewhere(id: str) -> object:
    """What another process would do; its error comes back."""
    with tallystick.open("memory:") as books:
        books.engine.execute("gift_card", "c", "create", {"form": "electronic", "currency": "BRL"}, key="c")
        if id == "c":
            return books.suspend(id, key="lost", by="ann")
        return books.card(id)


def test_another_process_gives_its_error_back() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.raises(tallystick.Refused, match="It is a blank") as told:
            pool.submit(refused_elsewhere, "c").result()
        assert told.value.receipt.refusal is not None
        assert told.value.receipt.refusal.code is tallystick.Code.NOT_NOW
        with pytest.raises(NotFound, match="there is no gift_card 'd'") as gone:
            pool.submit(refused_elsewhere, "d").result()
        assert (gone.value.kind, gone.value.id, gone.value.near) == ("gift_card", "d", ())


def test_every_answer_but_applied_has_its_error() -> None:
    raised = {Ended.REFUSED, Ended.DECLINED, Ended.UNAVAILABLE, Ended.IN_DOUBT, Ended.PENDING}
    for result in Ended:
        if result in raised:
            with pytest.raises(Answered, match="so it is") as told:
                receipt(result).or_raise()
            assert told.value.receipt.result is result
        else:
            assert receipt(result).or_raise().result is result


def test_a_card_number_is_never_a_name_in_a_message() -> None:
    assert masked("6034000000000281") == "…0281"
    assert masked("order-6034000000000281") == "order-6034000000000281"
    assert (quoted("6034000000000281"), quoted("c1"), quoted("it's")) == ("'…0281'", "'c1'", '"it\'s"')


def test_a_key_that_was_reused_says_what_it_stands_for() -> None:
    with Books(tallystick.open("memory:").engine) as books:
        books.engine.try_execute(Command("gift_card", "c", "create", {"form": "electronic", "currency": "BRL"}, "k"))
        with pytest.raises(KeyReused) as told:
            books.engine.execute("gift_card", "d", "create", {"form": "electronic", "currency": "BRL"}, key="k")
    assert (told.value.key, told.value.before) == ("k", "create of gift_card 'c'")
