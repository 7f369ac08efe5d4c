"""How card numbers stand in the books: readable, or sealed under a key of the owner's.

Whoever knows a card number holds its money. In sealed books a value of the type `number` is sealed when it comes in,
with a command or an answer of the provider. It is opened when it goes out: to the provider, or to the owner who asks
for it. Everything in between (the core, the journal, the store, whatever is printed) has only the sealed text:

    sealed:kZ3vO0…iQ==:0281        AES-SIV of the number, and its last four characters, which anybody may see

The same number and the same key always give the same text. So the unique index, `find` and the fingerprint of a key
work as in readable books. AES-SIV also shows whether a text was changed. Of a short number nothing stays readable.

Books are sealed from their first entry or never. The store keeps a mark that they are, with a check value of the key.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from tallystick.core.arguments import Kept, in_minor_units, plain_number
from tallystick.errors import Invalid, StoreError
from tallystick.masks import mask
from tallystick.provider.protocol import Ambiguous, Call, CardFacts, NotSeen, Observed, Outcome, Result, Unread
from tallystick.provider.verbs import VERBS

if TYPE_CHECKING:
    from tallystick.core.entity import Ref
    from tallystick.definition.expression import Expression
    from tallystick.definition.machine import Machine, Machines
    from tallystick.provider.protocol import Observer, Provider
    from tallystick.store.protocol import Reading, Store

KEY = "TALLYSTICK_SEAL_KEY"  # the environment variable with the key
LENGTH = 64  # bytes of it: AES-SIV with AES-256
MARK = "seal"  # the store's name for what tells sealed books
PREFIX = "sealed:"
FORM = b"1"  # of what is sealed: this, and the number
HIDDEN = "••••"  # in place of the last four characters, where they would be half of the number or more
_NUMBER, _CHECK, _HASH = b"tallystick card number", b"tallystick check", b"tallystick hash"  # what is sealed


def from_books(args: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments out of our own books. What is sealed in them is not sealed again, and amounts are minor units."""
    return {
        name: Kept(value) if isinstance(value, str) and value.startswith(PREFIX) else value
        for name, value in in_minor_units(args).items()
    }


class Numbers:
    """Card numbers of readable books. They stay as they are."""

    sealed = False

    def bind(self, store: Store, machines: Machines) -> None:
        """Raises StoreError: the books are sealed."""
        if store.load(MARK) is not None:
            raise StoreError(f"the books at {store.url} are sealed; give their key, as {KEY} or open(…, seal_key=…)")

    def hash_key(self) -> str | None:
        """A key for hashes of numbers, where no other is given."""
        return None

    def seal(self, number: str) -> str:
        """The text that stands in the books for a number, however it was typed."""
        return plain_number(number)

    def opened(self, text: str) -> str:
        """The number that a text in the books stands for. Raises StoreError: it stands for none."""
        return text

    def find(self, reading: Reading, text: str) -> list[Ref]:
        """Entities with this id, in any machine; or cards with this number, however it was typed."""
        return list(dict.fromkeys([*reading.find(text), *reading.find(self.seal(text))]))

    def outcome(self, outcome: Outcome) -> Outcome:
        """An answer of the provider, for the books."""
        number = plain_number(outcome.number) if outcome.number is not None else None
        return outcome if number is None else attrs.evolve(outcome, number=self.seal(number) if number else None)

    def perform(self, provider: Provider, call: Call) -> Outcome:
        return provider.perform(call)

    def look_up(self, provider: Provider, call: Call) -> Outcome | NotSeen | Ambiguous:
        return provider.look_up(call)

    def observe(self, observer: Observer, card: CardFacts, *, history: bool = True) -> Observed | Unread:
        return observer.observe(card, history=history)


READABLE = Numbers()


class MaskedNumbers(Numbers):
    """Numbers of any books, for somebody who only looks: nobody sees a whole one, and no key is needed."""

    _sealed_there = False

    def bind(self, store: Store, machines: Machines) -> None:
        """Remember whether the books are sealed."""
        self._sealed_there = store.load(MARK) is not None

    def seal(self, number: str) -> str:
        """Raises Invalid: a number cannot be looked up in sealed books without their key."""
        if self._sealed_there:
            raise Invalid(
                "these books are sealed: who only reads them has no key, and finds no card by its whole number"
            )
        return super().seal(number)

    def opened(self, text: str) -> str:
        return mask(text)


class SealedNumbers(Numbers):
    """Numbers of sealed books. The key itself is kept nowhere."""

    sealed = True

    def __init__(self, key: str) -> None:
        """Raises: Invalid, if it is no key, or if what seals is not installed."""
        self._aes = _aes(key)
        self._check = json.dumps(self._aes.encrypt(_CHECK, [_CHECK]).hex())

    def bind(self, store: Store, machines: Machines) -> None:
        """Seal new books, or see that they are sealed with this key.

        Raises:
            StoreError: they are readable, or another key has sealed them.   Invalid: a page makes numbers of texts.
        """
        for machine in machines.all():
            _only_numbers(machine, machines)
        mark = store.load(MARK)
        if mark is None:
            with store.reading() as reading:
                begun = bool(reading.chronicle(1))
            if begun:
                raise StoreError(
                    f"the books at {store.url} are readable and stay so, because their entries never change; "
                    "open them without a key, or begin new books with it"
                )
            store.swap(MARK, None, self._check)
            mark = store.load(MARK)
        if not hmac.compare_digest(str(mark), self._check):
            raise StoreError(f"the books at {store.url} are sealed with another key than the one given")

    def hash_key(self) -> str:
        hash_key: str = self._aes.encrypt(_HASH, [_HASH]).hex()
        return hash_key

    def seal(self, number: str) -> str:
        number = plain_number(number)
        shown = number[-4:] if len(number) > 8 else HIDDEN
        sealed = self._aes.encrypt(FORM + number.encode("utf-8", "surrogatepass"), [_NUMBER])
        return f"{PREFIX}{base64.urlsafe_b64encode(sealed).decode()}:{shown}"

    def opened(self, text: str) -> str:
        from cryptography.exceptions import InvalidTag

        try:
            _, body, _ = text.split(":", 2)
            opened = self._aes.decrypt(base64.urlsafe_b64decode(body), [_NUMBER])
            number: str | None = opened.removeprefix(FORM).decode("utf-8", "surrogatepass")
        except (ValueError, InvalidTag):
            number = None
        if number is None or self.seal(number) != text:  # also what stands around the sealed bytes was not changed
            raise StoreError("a card number in the books cannot be opened: it was changed there, or never was sealed")
        return number

    def perform(self, provider: Provider, call: Call) -> Outcome:
        try:
            opened = self._call(call)
        except StoreError as error:
            return Outcome(Result.UNAVAILABLE, text=f"nothing was sent: {error}")
        return provider.perform(opened)

    def look_up(self, provider: Provider, call: Call) -> Outcome | NotSeen | Ambiguous:
        try:
            opened = self._call(call)
        except StoreError as error:
            return Ambiguous(str(error))
        return provider.look_up(opened)

    def observe(self, observer: Observer, card: CardFacts, *, history: bool = True) -> Observed | Unread:
        try:
            opened = self._card(card)
        except StoreError as error:
            return Unread(str(error))
        return observer.observe(opened, history=history)

    def _call(self, call: Call) -> Call:
        """A call with its numbers, for the provider only."""
        kinds = VERBS.get(call.verb, {})
        args = {
            name: self.opened(str(value)) if kinds.get(name, "").startswith("number") else value
            for name, value in call.args.items()
        }
        in_doubt = [self._call(each) for each in call.in_doubt]
        return attrs.evolve(call, card=self._card(call.card), args=args, in_doubt=in_doubt)

    def _card(self, card: CardFacts) -> CardFacts:
        return card if card.number is None else attrs.evolve(card, number=self.opened(card.number))


def new_key() -> str:
    """A key for new books."""
    return base64.b64encode(secrets.token_bytes(LENGTH)).decode()


def numbers_under(key: str | None) -> Numbers:
    """How numbers stand in books that are opened with this key, or without one. Raises Invalid."""
    return READABLE if key is None else SealedNumbers(key)


def _aes(key: str) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV
    except ImportError:
        raise Invalid("a key was given, and what seals is not installed: pip install 'tallystick[sealed]'") from None
    try:
        raw = base64.b64decode(key.strip(), validate=True)
    except ValueError:
        raw = b""
    if len(raw) != LENGTH:
        raise Invalid(f"the key of the books ({KEY}) is {LENGTH} bytes as base64; `tallystick key` prints a new one")
    return AESSIV(raw)


def _only_numbers(machine: Machine, machines: Machines) -> None:
    """A text is readable in the journal, so no page may turn it into a number. Raises Invalid."""
    for name, kind, given in _given(machine, machines):
        if kind == "number" and given.type.kind == "text":
            raise Invalid(
                f"{machine.file}: '{given.source}' is a text and gives {name}, which is a number; in sealed books "
                "a number comes from a number, because texts stand there as they are"
            )


def _given(machine: Machine, machines: Machines) -> Iterator[tuple[str, str, Expression]]:
    """The values that transitions of a machine pass on: the name there, the kind there, and the expression."""
    for each in machine.transitions.values():
        yield from ((fact, machine.facts[fact].type.kind, given) for fact, given in each.sets.items())
        if each.ask is not None:
            verb = VERBS[each.ask.verb]
            yield from ((name, verb[name].rstrip("?"), given) for name, given in each.ask.arguments.items())
        others = [(machines[drive.machine], drive.command, drive.arguments) for drive in each.drives]
        others += [(machines[then.each] if then.each else machine, then.command, then.arguments) for then in each.then]
        for other, command, arguments in others:
            wanted = other.commands[command].arguments if command in other.commands else {}
            yield from ((name, wanted[name].kind, given) for name, given in arguments.items() if name in wanted)
