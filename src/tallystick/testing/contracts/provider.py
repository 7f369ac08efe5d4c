"""What a provider promises: every end of a call is an outcome, amounts are whole, and looking up changes nothing.

A provider is played with through `Played`: how a card comes to have money, which faults it can be made to have, and how
to see what it did. Everything else is done through `perform` and `look_up`, as the engine does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from itertools import count
from typing import Any

import attrs
import pytest

from tallystick.provider import EFFECTS
from tallystick.provider.protocol import Ambiguous, Call, CardFacts, NotSeen, Outcome, Provider, Result

PIN = "83417"


def _nothing() -> None:
    """Nothing has to be let go of."""


def _now() -> datetime:
    return datetime.now(timezone.utc)


@attrs.define
class Played:
    """A provider, and what the contract needs to play with it.

    `card` makes a card with this much available (minor units), as our books would know it. `effects` counts what the
    provider has done so far. `faults` have the next call end in a way: `lost_before`, `lost_after`, `declined`,
    `unavailable`. `wait` lets the time pass after which its record can be believed.
    """

    provider: Provider
    card: Callable[[int], CardFacts]
    effects: Callable[[], int] = int
    faults: Mapping[str, Callable[[], object]] = attrs.field(factory=dict)
    clock: Callable[[], datetime] = _now
    wait: Callable[[], object] = _nothing
    close: Callable[[], None] = _nothing
    _ids: Iterator[int] = attrs.field(factory=count)

    def call(self, verb: str, card: CardFacts, *, pin: str | None = None, **args: object) -> Call:
        id, now = f"contract-{next(self._ids)}", self.clock()
        return Call(id, verb, card, args, {"pin": pin} if pin else {}, opened_at=now, asked_at=now)

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        self.wait()
        return self.provider.look_up(call)

    def perform(self, verb: str, card: CardFacts, **args: Any) -> Outcome:
        return sound(self.provider.perform(self.call(verb, card, **args)))


def sound(outcome: object) -> Outcome:
    """An outcome of the protocol: amounts are ints of nothing or more, text can be printed."""
    assert isinstance(outcome, Outcome)
    assert isinstance(outcome.result, Result)
    for amount in (outcome.amount, outcome.available):
        assert amount is None or (type(amount) is int and amount >= 0)
    for text in (outcome.reference, outcome.request, outcome.number, outcome.code):
        assert text is None or (isinstance(text, str) and text and text.isprintable())
    return outcome


class Promises:
    """Of every provider."""

    def test_it_has_a_name_and_says_whose_answers_it_gives(self, played: Played) -> None:
        assert played.provider.name.isprintable()
        assert isinstance(played.provider.local, bool)

    @pytest.mark.parametrize("verb", ["hold", "redeem"])
    def test_what_is_confirmed_can_be_named_later(self, played: Played, verb: str) -> None:
        outcome = played.perform(verb, played.card(5000), amount=1500)
        assert outcome.result is Result.CONFIRMED
        assert outcome.reference
        assert outcome.amount in (None, 1500)

    def test_a_hold_is_redeemed_in_part_and_the_rest_let_go(self, played: Played) -> None:
        card = played.card(5000)
        hold = played.perform("hold", card, amount=3000)
        spent = played.perform("redeem_hold", card, amount=1000, release=2000, hold=hold.reference, held=3000)
        assert spent.result is Result.CONFIRMED
        assert played.perform("redeem", card, amount=4000).result is Result.CONFIRMED, "what was let go is back"

    def test_a_hold_is_let_go_whole(self, played: Played) -> None:
        card = played.card(5000)
        hold = played.perform("hold", card, amount=5000)
        assert played.perform("release_hold", card, amount=5000, hold=hold.reference).result is Result.CONFIRMED
        assert played.perform("redeem", card, amount=5000).result is Result.CONFIRMED

    def test_a_part_of_a_hold_is_let_go_if_it_says_that_it_can(self, played: Played) -> None:
        if "releases_part" not in getattr(played.provider, "abilities", ()):
            pytest.skip("it says that it cannot")
        card = played.card(5000)
        hold = played.perform("hold", card, amount=5000)
        part = played.perform("release_hold", card, amount=2000, hold=hold.reference, rest=3000)
        assert part.result is Result.CONFIRMED
        spent = played.perform("redeem_hold", card, amount=3000, release=0, hold=hold.reference, held=3000)
        assert spent.result is Result.CONFIRMED, "what was not let go is still held"
        assert played.perform("redeem", card, amount=2000).result is Result.CONFIRMED

    @pytest.mark.parametrize("amount", [1, 10**15])
    @pytest.mark.parametrize("verb", ["issue", "redeem", "hold"])
    def test_any_amount_ends_in_an_outcome(self, played: Played, verb: str, amount: int) -> None:
        assert played.perform(verb, played.card(100), amount=amount).result in Result

    def test_a_card_that_nobody_knows_ends_in_an_outcome(self, played: Played) -> None:
        stranger = attrs.evolve(played.card(100), id="nobody", number="6006000000009999")
        assert played.perform("redeem", stranger, amount=1).result in Result

    def test_what_was_never_sent_was_not_seen(self, played: Played) -> None:
        call = played.call("redeem", played.card(5000), amount=700)
        before = played.effects()
        assert isinstance(played.look_up(call), NotSeen)
        assert played.effects() == before

    def test_neither_pin_nor_number_is_in_what_is_said(self, played: Played) -> None:
        card = played.card(5000)
        call = played.call("redeem", card, pin=PIN, amount=1)
        for each in (sound(played.provider.perform(call)), played.look_up(call)):
            assert PIN not in str(attrs.astuple(each))
            said = each.text if isinstance(each, Outcome) else each.evidence
            assert not card.number or card.number not in (said or "")


class Balances:
    """Of a provider that knows what a card carries."""

    @pytest.mark.parametrize("verb", ["hold", "redeem"])
    def test_more_than_there_is_is_declined_and_nothing_is_done(self, played: Played, verb: str) -> None:
        card = played.card(1000)
        outcome = played.perform(verb, card, amount=1001, allow_partial=False)
        assert outcome.result is Result.DECLINED
        assert outcome.reason is not None
        assert played.perform("redeem", card, amount=1000).result is Result.CONFIRMED

    def test_a_card_that_nobody_knows_is_declined(self, played: Played) -> None:
        stranger = attrs.evolve(played.card(100), id="nobody", number="6006000000009999")
        assert played.perform("redeem", stranger, amount=1).result is Result.DECLINED

    @pytest.mark.parametrize("release", [0, 1000])
    @pytest.mark.parametrize("verb", ["issue", "hold", "redeem", "redeem_hold", "release_hold", "adjust"])
    def test_a_verb_changes_what_is_available_as_it_declares(self, played: Played, verb: str, release: int) -> None:
        card = played.card(5000)
        args: dict[str, Any] = {"amount": 3000}
        if EFFECTS[verb].names:
            args |= {"hold": played.perform("hold", card, amount=3000).reference, "held": 3000}
        if verb == "redeem_hold":
            args |= {"amount": 3000 - release, "release": release}
        assert played.perform(verb, card, **args).result is Result.CONFIRMED
        before = 2000 if EFFECTS[verb].names else 5000
        left = before + sum(by * args.get(name, 0) for name, by in EFFECTS[verb].available.items())
        assert played.perform("redeem", card, amount=left + 1, allow_partial=False).result is Result.DECLINED
        assert played.perform("redeem", card, amount=left, allow_partial=False).result is Result.CONFIRMED

    @pytest.mark.parametrize("verb", ["redeem_hold", "release_hold"])
    def test_a_hold_that_was_used_up_is_none_any_more(self, played: Played, verb: str) -> None:
        card = played.card(5000)
        args: dict[str, Any] = {"amount": 3000, "hold": played.perform("hold", card, amount=3000).reference}
        args |= {"release": 0, "held": 3000} if verb == "redeem_hold" else {}
        assert played.perform(verb, card, **args).result is Result.CONFIRMED
        for again in ("redeem_hold", "release_hold"):
            more = {"release": 0, "held": 3000} if again == "redeem_hold" else {}
            given = {"amount": 3000, "hold": args["hold"], **more}
            assert played.perform(again, card, **given).result is Result.DECLINED


class Record:
    """Of a provider that keeps a record of its own: what became of a call can be asked, and asking does nothing."""

    def test_looking_up_says_what_was_done(self, played: Played) -> None:
        call = played.call("redeem", played.card(5000), amount=700)
        before = played.effects()
        done = sound(played.provider.perform(call))
        assert played.effects() > before
        after = played.effects()
        for _ in range(3):
            found = played.look_up(call)
            assert isinstance(found, Outcome)
            assert (found.result, found.reference) == (Result.CONFIRMED, done.reference)
        assert played.effects() == after

    @pytest.mark.parametrize("fault", ["lost_before", "lost_after"])
    def test_a_lost_answer_is_unknown_and_can_be_looked_up(self, played: Played, fault: str) -> None:
        call = played.call("redeem", played.card(5000), amount=700)
        played.faults[fault]()
        assert sound(played.provider.perform(call)).result is Result.UNKNOWN
        before = played.effects()
        found = played.look_up(call)
        assert isinstance(found, NotSeen if fault == "lost_before" else Outcome), found
        assert played.effects() == before

    def test_a_call_that_was_not_seen_is_sent_again_as_the_same_call(self, played: Played) -> None:
        call = played.call("redeem", played.card(5000), amount=700)
        played.faults["lost_before"]()
        played.provider.perform(call)
        again = sound(played.provider.perform(attrs.evolve(call, attempt=2)))
        assert again.result is Result.CONFIRMED
        found = played.look_up(call)
        assert isinstance(found, Outcome)
        assert found.reference == again.reference

    @pytest.mark.parametrize("fault", ["declined", "unavailable"])
    def test_what_was_surely_not_done_had_no_effect(self, played: Played, fault: str) -> None:
        card = played.card(5000)
        before = played.effects()
        played.faults[fault]()
        assert played.perform("redeem", card, amount=700).result is Result(fault)
        assert played.effects() == before
