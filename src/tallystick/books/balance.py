"""The guard of balance checks: customers may learn what a card carries, but nobody can guess cards or PINs.

    PIN       a card with a PIN needs it; it is passed on to the provider and kept nowhere
    client    one client may ask so often, and fail so often; after a few failures it needs a captcha
    card      the same for one card, whoever asks
    ask       the provider; with a local provider, our own books
    answer    "no such card", "wrong PIN" and every other no are the same value

How long an answer takes tells nothing either: it comes a whole number of `answer_every` after the question. A check
counts as failed from the moment before the provider is asked until it succeeds, so several checks at once cannot get
past the limit. Failures are forgotten one by one. A success takes back its own failure and no other, so nobody can undo
failures with a card of their own.

All processes share through the store what is remembered, under a keyed hash of the card's number or the client.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
import time
from collections.abc import Callable
from enum import StrEnum
from math import ceil
from typing import Literal, Protocol, runtime_checkable

import attrs

from tallystick.books.balance_limits import CARD, CLIENT, Limit, Tries, admitted, forgiven, over
from tallystick.core.entity import Entity
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command
from tallystick.errors import Invalid, TallystickError
from tallystick.money import LIMIT, Money
from tallystick.provider.protocol import CardFacts, Outcome, Result
from tallystick.store.rows import encode

_log = logging.getLogger("tallystick.books.balance")

KEY = "TALLYSTICK_KEY"  # the environment variable with the key of the hashes
SHORTEST_KEY = 16  # characters
SWEEP = 3600.0  # seconds until a process again forgets what no longer counts
LONGEST_NUMBER, LONGEST_PIN = 64, 32  # characters; no card has more


class Said(StrEnum):
    """What an answer says, as a stable word."""

    FOUND = "found"  # the balance is told
    NOT_FOUND = "not_found"  # no such card, a wrong PIN, or a card that is not in use
    PIN_NEEDED = "pin_needed"  # ask again with the PIN; no check was counted
    CAPTCHA_NEEDED = "captcha_needed"  # ask again with the captcha solved
    LATER = "later"  # too many checks, or too many failed ones, of the client or of the card
    UNAVAILABLE = "unavailable"  # the provider cannot be asked now


@attrs.frozen
class BalanceAnswer:
    """What the client may know. All answers but FOUND are constants: nothing in them depends on the card."""

    said: Said  # what it says
    text: str  # the same as a sentence for the customer
    available: Money | None = None  # may be spent; None if nothing was found
    held: Money | None = None  # promised to orders; None if nothing was found
    card: str | None = None  # its id in our books, if they know it


NOT_FOUND = BalanceAnswer(Said.NOT_FOUND, "There is no card with this number and PIN.")
PIN_NEEDED = BalanceAnswer(Said.PIN_NEEDED, "The PIN of the card is needed.")
CAPTCHA_NEEDED = BalanceAnswer(Said.CAPTCHA_NEEDED, "The captcha has to be solved first.")
LATER = BalanceAnswer(Said.LATER, "The balance cannot be checked now; try again later.")
UNAVAILABLE = BalanceAnswer(Said.UNAVAILABLE, "The balance cannot be read at the moment.")

NO = Outcome(Result.DECLINED)


@attrs.frozen
class BalanceSettings:
    """The limits, and what a successful check does in our books. Raises: Invalid."""

    card: Limit = CARD  # of one card, whoever asks
    client: Limit = CLIENT  # of one client, whatever is asked
    captcha_after: int = 3  # failures of a client
    answer_every: float = 1.0  # seconds; answers come after one of these, or two, …; more than a provider usually takes
    observe: bool = False  # post the provider's balance to a card that our books know
    recognize: Literal["electronic", "physical"] | None = None  # the form in which a new card enters our books

    def __attrs_post_init__(self) -> None:
        if min(self.answer_every, self.captcha_after) < 0 or self.recognize not in (None, "electronic", "physical"):
            raise Invalid("answer_every and captcha_after are not below 0; recognize is None, electronic or physical")


# Who is asked


class StatedBalance(Protocol):
    """A card as its provider shows it. Amounts are minor units."""

    @property
    def available(self) -> int:
        """May be spent."""

    @property
    def holds(self) -> dict[str, int]:
        """Open holds: the provider's id of each to what it holds."""


@runtime_checkable
class Source(Protocol):
    """What a provider needs so that balances can be checked."""

    def balance(self, card: CardFacts, pin: str | None = None) -> StatedBalance:
        """Raises an exception whose `outcome` says declined, unavailable or unknown."""

    def needs_pin(self, number: str) -> bool:
        """Whether a card with this number has a PIN."""


def source(engine: Engine) -> Source | None:
    """The provider, which tells balances. None: our own books are the truth. Raises Invalid: it tells none."""
    if engine.provider.local:
        return None
    if not isinstance(engine.provider, Source):
        raise Invalid(f"provider {engine.provider.name} tells no balances: it has no balance and needs_pin")
    return engine.provider


def stated(source: Source, number: str, currency: str, pin: str | None) -> StatedBalance | Outcome:
    """What a card carries, or how the question ended. An exception's text is dropped: it may have a secret."""
    try:
        told = source.balance(CardFacts("", currency, number), pin)
    except Exception as error:  # noqa: BLE001  # whatever it is, the one who asks hears the same
        outcome = getattr(error, "outcome", None)
        return outcome if isinstance(outcome, Outcome) else Outcome(Result.UNKNOWN)
    amounts = (told.available, *told.holds.values(), sum(told.holds.values()))
    return told if all(type(each) is int and 0 <= each <= LIMIT for each in amounts) else Outcome(Result.UNKNOWN)


class BalanceDesk:
    """Answers balance checks in one currency or value type. Thread-safe. Any number of processes may share a store.

    `verify_captcha` gets the client and its answer to the captcha, and says whether that is right.
    """

    settings: BalanceSettings  # the limits that hold
    currency: str  # in which it answers

    def __init__(
        self,
        engine: Engine,
        currency: str,
        settings: BalanceSettings | None = None,
        *,
        verify_captcha: Callable[[str, str], bool] | None = None,
        key: str | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Raises: Invalid, if the key is too short or the provider tells no balances; StoreError."""
        self.settings = settings or BalanceSettings()
        self.currency = Money.zero(currency).currency
        self._engine, self._store, self._source = engine, engine.store, source(engine)
        self._verify = verify_captcha
        self._key = _key(engine, key)
        self._clock, self._sleep = clock, sleep
        self._swept = 0.0

    def check(self, number: str, pin: str | None = None, *, client: str, captcha: str | None = None) -> BalanceAnswer:
        """Tell the balance of a card to a client: whoever stands behind it, such as an address or a session.

        Raises:
            Invalid: an argument is no text, or the client is empty.
            StoreError: the limits cannot be read, so nothing is answered.
        """
        for name, text in (("number", number), ("pin", pin or ""), ("client", client), ("captcha", captcha or "")):
            if not isinstance(text, str):
                raise Invalid(f"{name} has to be text, not {type(text).__name__}")
        if not client:
            raise Invalid("a client has to be named: checks are counted for each")

        started = self._clock()
        try:
            return self._answer("".join(number.split()), pin or None, client, captcha)
        finally:
            self._wait(started)

    def _answer(self, number: str, pin: str | None, client: str, captcha: str | None) -> BalanceAnswer:
        self._sweep()
        if pin is None and self._source is not None and self._source.needs_pin(number):
            return PIN_NEEDED
        caller, card = self._hashed("client", client), self._hashed("card", _bare(number))
        answer = self._admit(caller, card, client, captcha) or self._ask(number, pin, caller, card)
        _log.info("balance check: %s; client %s, card %s", answer.said, caller[7:19], card[5:17])
        return answer

    def _admit(self, caller: str, card: str, client: str, captcha: str | None) -> BalanceAnswer | None:
        """Count the check for its client and its card. Returns the answer if the check is not allowed."""
        if admitted(self._kept(card)[1], self._clock(), self.settings.card) is None:  # nothing is written then
            return LATER
        if (mine := self._change(caller, self.settings.client, admitted)) is None:
            return LATER
        if mine.failures > self.settings.captcha_after and not self._human(client, captcha):
            stopped = CAPTCHA_NEEDED
        elif self._change(card, self.settings.card, admitted) is None:
            stopped = LATER
        else:
            return None
        self._change(caller, self.settings.client, forgiven)
        return stopped

    def _human(self, client: str, captcha: str | None) -> bool:
        try:
            return self._verify is None or bool(captcha and self._verify(client, captcha) is True)
        except Exception as error:  # noqa: BLE001  # its text may hold anything
            _log.warning("the captcha could not be verified: %s", type(error).__name__)
            return False

    def _ask(self, number: str, pin: str | None, caller: str, card: str) -> BalanceAnswer:
        """Ask, and take the failure back if there was none.

        If an answer may have come that we could not read, the failure stays with the card: it may have been a guess.
        """
        plausible = _plausible(number, pin)
        known = self._own(number) if plausible else None
        told = self._told(number, pin, known) if plausible else NO
        failed = isinstance(told, Outcome) and told.result is Result.DECLINED
        if not failed:
            self._change(caller, self.settings.client, forgiven)
        if not isinstance(told, Outcome) or told.result is Result.UNAVAILABLE:
            self._change(card, self.settings.card, forgiven)
        if isinstance(told, Outcome):
            return NOT_FOUND if failed else UNAVAILABLE
        id = self._noted(number, card, known, told)
        available, held = Money(told.available, self.currency), Money(sum(told.holds.values()), self.currency)
        return BalanceAnswer(Said.FOUND, f"{available} are available.", available, held, id)

    def _told(self, number: str, pin: str | None, known: Entity | None) -> StatedBalance | Outcome:
        """What the card carries, or how the question ended."""
        if self._source is None:
            return _Books(known) if known is not None and known.state == "issued" else NO
        told = stated(self._source, number, self.currency, pin)
        if isinstance(told, Outcome) or known is None or known.state == "issued":
            return told
        return NO  # asked anyway: it takes as long

    # Our books

    def _own(self, number: str) -> Entity | None:
        """The card with this number and our currency, if our books know it."""
        number = self._engine.numbers.seal(number)  # as it stands in our books
        with self._store.reading() as reading:
            found = [reading.entity(*ref) for ref in reading.find(number) if ref[0] == "gift_card"]
        ours = (each for each in found if each is not None and each.facts.get("number") == number)
        return next((each for each in ours if each.currency == self.currency), None)

    def _noted(self, number: str, card: str, known: Entity | None, told: StatedBalance) -> str | None:
        """Post what the provider says, if a setting wants it. Returns the card's id. A refusal changes no answer."""
        try:
            if known is None:
                return self._recognize(number, card, told) if self.settings.recognize else None
            if self.settings.observe and self._source is not None:
                self._engine.balances.believe(known, told.available, "a customer asked for its balance")
        except TallystickError as error:
            _log.warning("a balance was read, but not written down: %s", type(error).__name__)
        return known.id if known is not None else None

    def _recognize(self, number: str, card: str, told: StatedBalance) -> str | None:
        """The id and the keys are made of the hash, so two processes that see a card at once create one."""
        id = f"seen-{card[5:37]}-{self.currency}"
        facts = {"form": self.settings.recognize, "currency": self.currency}
        balance = {"number": number, "balance": Money(told.available, self.currency)}
        self._engine.try_execute(Command("gift_card", id, "create", facts, f"{id}/create"))
        done = self._engine.try_execute(Command("gift_card", id, "recognize", balance, f"{id}/recognize"))
        return id if done.applied else None

    # What is remembered

    def _change(self, name: str, limit: Limit, how: Callable[[Tries, float, Limit], Tries | None]) -> Tries | None:
        while True:
            text, before = self._kept(name)
            after = how(before, self._clock(), limit)
            if after is None or self._store.swap(name, text, encode(attrs.astuple(after)), over(after, limit)):
                return after

    def _kept(self, name: str) -> tuple[str | None, Tries]:
        text = self._store.load(name)
        return text, Tries(*json.loads(text)) if text else Tries()

    def _hashed(self, kind: str, text: str) -> str:
        named = f"{kind}:{text}".encode("utf-8", "surrogatepass")
        return f"{kind}:{hmac.new(self._key, named, hashlib.sha256).hexdigest()}"

    def _sweep(self) -> None:
        now = self._clock()
        if not self._swept <= now < self._swept + SWEEP:
            self._swept = now
            self._store.forget(now)

    def _wait(self, started: float) -> None:
        """Wait until the next multiple of `answer_every`, also if the clock was set meanwhile."""
        step, passed = self.settings.answer_every, max(0.0, self._clock() - started)
        if step:
            steps = max(1, ceil(passed / step - 1e-9))
            self._sleep(max(0.0, steps * step - passed))


@attrs.frozen
class _Books:
    """A card as our own books have it."""

    card: Entity

    @property
    def available(self) -> int:
        return self.card.accounts["available"]

    @property
    def holds(self) -> dict[str, int]:
        return {"": self.card.accounts["held"]}


def _key(engine: Engine, given: str | None) -> bytes:
    """The key of the hashes: the given one, the environment's, the sealed books', or a random one in the store."""
    store, text = engine.store, given or os.environ.get(KEY) or engine.numbers.hash_key()
    if not text:
        _log.warning("%s is not set: the key of the hashed card numbers is kept beside them, in the store", KEY)
        if store.load("key") is None:
            store.swap("key", None, encode(secrets.token_hex(32)))
        text = str(json.loads(store.load("key") or "null"))
    if len(text) < SHORTEST_KEY:
        raise Invalid(f"{KEY} has to have at least {SHORTEST_KEY} characters; `openssl rand -hex 32` makes a good one")
    return text.encode()


def _bare(number: str) -> str:
    """A number without spaces, dashes and leading zeros, so that it counts as one card however it is written."""
    return "".join(each for each in number if each.isalnum()).casefold().lstrip("0")


def _plausible(number: str, pin: str | None) -> bool:
    fits = 0 < len(number) <= LONGEST_NUMBER and number.isascii() and number.isprintable()
    return fits and (pin is None or (0 < len(pin) <= LONGEST_PIN and pin.isprintable()))
