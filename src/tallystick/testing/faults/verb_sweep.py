"""Every verb of several steps, with a fault at each step, said again: whatever it answers is so at that moment.

A verb is run once undisturbed, to count its contacts with the provider. Then, for each contact and each fault, it is
run on fresh books. What it raised is forgotten, as it is by a caller who was killed. Then it is said again: with the
same key or a new one, at once or after `recover` and `run_due`. At the end everything is brought to rest.

    true          if it answered, what it promises is there now (`Verb.promise`)
    once          the provider did each call once
    both halves   what our books say of each card is what the provider did
    clean         `verify` finds nothing, and nothing is in doubt
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product

import attrs

from tallystick.books.books import Books
from tallystick.books.open import open as open_books
from tallystick.books.views import Plan
from tallystick.errors import TallystickError
from tallystick.money import Money
from tallystick.provider.protocol import Call, Outcome
from tallystick.provider.scripted import Crash, Reply, ScriptedProvider
from tallystick.testing.faults.report import FaultReport, Progress

FAULTS = ("refused", "declined", "unavailable", "lost_before", "lost_after", "crash_before", "crash_after")
AGAIN = ("same key", "new key", "recovered, same key", "recovered, new key")
CARDS = ("a", "b", "c")
ORDER = "o"
ANA = {"first_name": "Ana"}
LONG = 7200  # seconds: longer than the grace of `recover`, and than a first wait of the queue


@attrs.frozen
class Verb:
    """A verb, what has to be there before it, and what it promises."""

    name: str
    say: Callable[[Books, str], object]  # with a key; what it makes anew is named by that
    promise: Callable[[Books, str], bool]  # whether what it answered to this key is so now
    before: Callable[[Books], object] = lambda books: None


class Interrupted(ScriptedProvider):
    """Somebody else does something just before a contact."""

    def __init__(self) -> None:
        super().__init__()
        self.at = -1
        self.somebody: Callable[[], object] = lambda: None

    def perform(self, call: Call) -> Outcome:
        if len(self.contacts) == self.at:
            self.at = -1
            with suppress(TallystickError):
                self.somebody()
        return super().perform(call)


def _brl(text: str) -> Money:
    return Money.parse(text, "BRL")


def _plan(amount: str) -> Plan:
    return Plan(tuple((card, _brl(amount)) for card in CARDS), _brl("0.00"))


def _held(books: Books) -> int:
    return sum(each.held.minor for each in books.payments(ORDER))


def _redeemed(books: Books) -> int:
    return sum(each.redeemed.minor for each in books.payments(ORDER))


def _there(books: Books) -> int:
    return sum((each.approved + each.in_doubt).minor for each in books.payments(ORDER))


def _hold(books: Books) -> None:
    books.authorize("p", "a", "20.00", order=ORDER, key="hold")


def _earn(books: Books) -> None:
    _hold(books)
    books.settle("p", "20.00", key="ship")


def _hold_all(books: Books) -> None:
    books.authorize_all(_plan("10.00"), order=ORDER, key="hold")


def _earn_all(books: Books) -> None:
    _hold_all(books)
    books.settle_all(_tender(books), "30.00", key="ship")


def _tender(books: Books) -> str:
    return books.tenders(ORDER)[0].id


def _issued(books: Books, card: str, amount: int) -> bool:
    found = books.card(card)
    return found.state == "issued" and found.available.minor == amount


def _carried(books: Books, card: str) -> int:
    found = books.card(card)
    return (found.available + found.held).minor


VERBS = (
    Verb("authorize", lambda books, key: books.authorize(key, "a", "20.00", order=ORDER, key=key),
         lambda books, key: books.payment(key).held.minor == 2000),
    Verb("redeem", lambda books, key: books.redeem(key, "a", "20.00", order=ORDER, key=key),
         lambda books, key: books.payment(key).redeemed.minor == 2000),
    Verb("settle, and hold again", lambda books, key: books.settle("p", "5.00", key=key),
         lambda books, key: _redeemed(books) >= 500 and _there(books) == 2000, _hold),
    Verb("void", lambda books, key: books.void("once", key=key), lambda books, key: _redeemed(books) == 0,
         lambda books: books.redeem("once", "a", "20.00", order=ORDER, key="once")),
    Verb("cancel", lambda books, key: books.cancel("p", key=key), lambda books, key: _held(books) == 0, _hold),
    Verb("refund", lambda books, key: books.refund("p", "5.00", key=key),
         lambda books, key: _redeemed(books) <= 1500, _earn),
    Verb("authorize_all", lambda books, key: books.authorize_all(_plan("10.00"), order=ORDER, key=key),
         lambda books, key: _held(books) >= 3000 and any(
             each.state == "active" and not each.remaining.minor for each in books.tenders(ORDER))),
    Verb("settle_all", lambda books, key: books.settle_all(_tender(books), "15.00", key=key),
         lambda books, key: _redeemed(books) >= 1500, _hold_all),
    Verb("settle_all, the last", lambda books, key: books.settle_all(_tender(books), "15.00", key=key, last=True),
         lambda books, key: (_redeemed(books), _held(books)) == (1500, 0), _hold_all),
    Verb("refund_all", lambda books, key: books.refund_all(_tender(books), "15.00", key=key, how="ratio"),
         lambda books, key: _redeemed(books) <= 1500, _earn_all),
    Verb("reduce", lambda books, key: books.reduce("p", "5.00", key=key),
         lambda books, key: _there(books) <= 1500, _hold),
    Verb("reduce, a part is released", lambda books, key: books.reduce("p", "5.00", key=key, release_part=True),
         lambda books, key: _held(books) <= 1500, _hold),
    Verb("reduce_all", lambda books, key: books.reduce_all(_tender(books), "15.00", key=key),
         lambda books, key: _there(books) <= 1500, _hold_all),
    Verb("cancel_all", lambda books, key: books.cancel_all(_tender(books), key=key),
         lambda books, key: _held(books) == 0, _hold_all),
    Verb("exchange", lambda books, key: books.exchange(books.tenders(ORDER)[0].parts[0].id, "d", key=key),
         lambda books, key: books.card("d").held.minor >= 1000 and books.card("a").held.minor == 0, _hold_all),
    Verb("sell_electronic", lambda books, key: books.sell_electronic(key, "30.00", "BRL", order="s", key=key),
         lambda books, key: _issued(books, key, 3000)),
    Verb("sell_electronic, to somebody", lambda books, key: books.sell_electronic(
             key, "30.00", "BRL", order="s", key=key, owner=ANA, giver=ANA),
         lambda books, key: _issued(books, key, 3000)),
    Verb("issue", lambda books, key: books.issue("sale", key=key), lambda books, key: _issued(books, "sale", 3000),
         lambda books: books.sell_electronic("sale", "30.00", "BRL", order="s", key="sale", issue=False)),
    Verb("credit", lambda books, key: books.credit("a", "5.00", key=key),
         lambda books, key: books.card("a").available.minor >= 5500),
    Verb("refund_to", lambda books, key: books.refund_to("p", "5.00", "b", key=key),
         lambda books, key: _redeemed(books) <= 1500 and _carried(books, "b") >= 5500, _earn),
    Verb("ship_physical, with a PIN", lambda books, key: books.ship_physical(
             key, f"60064900000{len(key):05}", "30.00", "BRL", order="s", key=key, pin="1234"),
         lambda books, key: _issued(books, key, 3000)),
    Verb("approve", lambda books, key: books.approve("sale", key=key, by="rui"),
         lambda books, key: _issued(books, "plastic", 3000),
         lambda books: books.ship_physical(
             "plastic", "6006490000012345", "30.00", "BRL", order="s", key="sale", review=True)),
    Verb("ship_physical",
         lambda books, key: books.ship_physical(key, f"60064900000{len(key):05}", "30.00", "BRL", order="s", key=key),
         lambda books, key: _issued(books, key, 3000)),
    Verb("refund_to_new", lambda books, key: books.refund_to_new("p", "5.00", f"credit {key}", key=key),
         lambda books, key: _issued(books, f"credit {key}", 500), _earn),
    Verb("take_back", lambda books, key: books.take_back("a", key=key),
         lambda books, key: (books.card("a").state, books.card("a").available.minor) == ("taken_back", 0),
         lambda books: books.redeem("once", "a", "20.00", order=ORDER, key="once")),
    Verb("move", lambda books, key: books.move("a", "b", "20.00", key=key),
         lambda books, key: books.card("a").available.minor <= 3000 and _carried(books, "b") >= 7000),
    Verb("replace", lambda books, key: books.replace("a", f"new {key}", key=key),
         lambda books, key: books.card("a").available.minor == 0 and _issued(books, f"new {key}", 5000)),
)  # fmt: skip


def verb_sweep(progress: Progress, verbs: tuple[Verb, ...] = VERBS) -> FaultReport:
    """Every verb × every contact × every fault × every way to say it again."""
    report = FaultReport()
    for verb in verbs:
        steps = _contacts(verb)
        report.figures["verbs"] += 1
        report.figures["steps"] += steps
        for at, fault, again in product(range(steps), FAULTS, AGAIN):
            report.figures["runs"] += 1
            report.find(
                f"{verb.name}, {fault} at contact {at + 1} of {steps}, {again}", _run(verb, at, fault, again, report)
            )
        progress(f"{verb.name}: {steps} contacts, {len(report.findings)} findings")
    return report


def _fresh() -> tuple[Books, Interrupted]:
    provider = Interrupted()
    books = open_books("memory:", provider=provider)
    for card in (*CARDS, "d"):
        books.sell_electronic(card, "50.00", "BRL", order="shelf", key=f"sell {card}")
    return books, provider


def _contacts(verb: Verb) -> int:
    books, provider = _fresh()
    with books:
        verb.before(books)
        before = len(provider.contacts)
        assert books.would(lambda dry: verb.say(dry, "k")), verb.name
        assert len(provider.contacts) == before, f"{verb.name} was only asked about"
        verb.say(books, "k")
        assert verb.promise(books, "k"), verb.name
        return len(provider.contacts) - before


def _run(verb: Verb, at: int, fault: str, again: str, report: FaultReport) -> Iterator[str]:
    books, provider = _fresh()
    with books:
        verb.before(books)
        if fault == "refused":
            provider.at, provider.somebody = len(provider.contacts) + at, lambda: _in_the_way(books)
        else:
            provider.reply_with([*[Reply("confirmed")] * at, Reply(fault)])
        yield from _said(verb, books, "k", report)
        provider.reply_with([])
        if again.startswith("recovered"):
            _rest(books, provider)
        yield from _said(verb, books, "another" if again.endswith("new key") else "k", report)
        for _ in range(3):
            _rest(books, provider)
        yield from _at_rest(books, provider)


def _in_the_way(books: Books) -> None:
    """Somebody else takes what the next steps need: all that can be spent is held, and a card is suspended."""
    for card in ("b", "c", "d"):
        books.authorize(f"other {card}", card, books.card(card).available, order="other", key=f"other {card}")
    books.suspend("c", key="other c suspended")


def _said(verb: Verb, books: Books, key: str, report: FaultReport) -> Iterator[str]:
    try:
        verb.say(books, key)
    except (TallystickError, Crash) as error:
        report.figures[f"answered {type(error).__name__}"] += 1
        return
    report.figures["answered that it is done"] += 1
    if not verb.promise(books, key):
        yield f"it answered to {key!r} that it is done, and that is not so"


def _rest(books: Books, provider: ScriptedProvider) -> None:
    provider.wait(LONG)
    books.recover()
    provider.wait(LONG)
    books.run_due()


def _at_rest(books: Books, provider: ScriptedProvider) -> Iterator[str]:
    yield from (str(each) for each in books.verify().findings)
    yield from (f"{each.call} was done {each.times} times" for each in provider.done.values() if each.times > 1)
    with books.engine.store.reading() as reading:
        cards = list(reading.all("gift_card"))
        yield from (f"{each.verb} on {each.entity} is in doubt: {each.note}" for each in reading.calls())
    for card in cards:
        theirs = _theirs(provider, card.id)
        ours = card.accounts["available"], card.accounts["held"]
        if ours != theirs:
            yield f"card {card.id!r} has (available, held) {ours}, at the provider {theirs}"


def _theirs(provider: ScriptedProvider, card: str) -> tuple[int, int]:
    """What the provider has done to a card: available and held, in minor units."""
    available = held = 0
    for done in provider.done.values():
        if done.card != card or done.amount is None:
            continue
        released = done.args.get("release")
        released = released if isinstance(released, int) else 0
        match done.verb:
            case "issue" | "adjust" | "void":
                available += done.amount
            case "redeem":
                available -= done.amount
            case "hold":
                available, held = available - done.amount, held + done.amount
            case "release_hold":
                available, held = available + done.amount, held - done.amount
            case "redeem_hold":
                available, held = available + released, held - done.amount - released
    return available, held
