"""Many cards at once: those of an old system are let in, and new ones are sold, line by line of a list.

The key of each step derives from the name of the list and the number of its line, and so does the id of a card that is
given none. So a list that is said again goes on where it stopped, and does nothing twice. A line that has other content
by then is refused: its key stands for what it was. Every line has an answer of its own, and no answer shows a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from functools import partial
from itertools import islice

import attrs

from tallystick import money
from tallystick.books.books import Books
from tallystick.books.limits import LIMITS
from tallystick.core.arguments import created, plain_number, typed
from tallystick.core.entity import CREATE
from tallystick.definition.expression import Type
from tallystick.engine.queue.threads import run_in_threads, thread_count
from tallystick.engine.receipt import Answered, Command, Ended, Receipt
from tallystick.errors import Invalid, TallystickError
from tallystick.masks import mask, redacted
from tallystick.money import Money

CARD = "gift_card"
WHEN = "occurred_at"
AT_ONCE = 250  # lines whose commands are given together: with our own books alone, one transaction
WORDS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
SPOILT = re.compile(r"[0-9][.,]?[0-9]*e\+?[0-9]+", re.IGNORECASE)
PLAIN = re.compile(r"[\w /-]+")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@attrs.frozen
class BulkLine:
    """A line of a list: its number, and its columns with their texts, or what is wrong with it."""

    number: int  # as an editor counts: the head is a line too
    fields: Mapping[str, str] = attrs.field(factory=dict, repr=False)  # without those that are empty
    fault: str = ""  # a sentence, if it cannot be read


@attrs.frozen
class BulkDone:
    """What became of a line."""

    line: int  # its number
    result: str  # done, again (it was done before), waiting (for the provider's answer), wrong
    card: str = ""  # its id
    shown: str = ""  # its number, masked
    amount: Money | None = None  # what is on it now by this line
    why: str = ""  # what is wrong, or why it waits


class _Wrong(Exception):
    """What is wrong with a line."""


def import_columns(books: Books) -> tuple[list[str], list[str]]:
    """The columns that a list of legacy cards may have, and those that it must: what the page lets one give."""
    page = books.engine.machines[CARD]
    given = [name for name, fact in page.facts.items() if not fact.later and fact.type.kind != "link"]
    return ["id", "currency", WHEN, *given, *page.commands["recognize"].arguments], ["number", "balance"]


def import_cards(
    books: Books, lines: Iterable[BulkLine], *, name: str, currency: str | None = None, form: str = "physical",
    zone: tzinfo | None = None, by: str | None = None, dry: bool = False,
) -> Iterator[BulkDone]:  # fmt: skip
    """Let cards in that were sold before, each with its number and what is on it; an answer for each line, in order.

    `currency` and `form` are of lines that say none. `zone`: where a date without a time ends, and whose clock a time
    without a zone is read from; without it, such a line is wrong. `occurred_at`, a column: since when the card is there
    in the books; a date means its begin. `dry`: only say what would be done.
    """
    seen: dict[tuple[object, ...], int] = {}
    rest = iter(lines)
    while part := list(islice(rest, AT_ONCE)):
        wanted: list[tuple[BulkLine, list[Command]] | BulkDone] = []
        for line in part:
            try:
                commands = _recognizing(books, line, name, currency, form, zone, by)
                _once(seen, commands, line.number)
                wanted.append((line, commands))
            except _Wrong as wrong:
                wanted.append(BulkDone(line.number, "wrong", shown=_shown(line), why=redacted(str(wrong))))
        asked = [commands for each in wanted if isinstance(each, tuple) for commands in [each[1]]]
        answers = iter(_would(books, asked) if dry else _given(books, asked))
        for each in wanted:
            yield each if isinstance(each, BulkDone) else _answer(*each, next(answers))


def _recognizing(
    books: Books, line: BulkLine, name: str, currency: str | None, form: str, zone: tzinfo | None, by: str | None
) -> list[Command]:
    if line.fault:
        raise _Wrong(line.fault)
    page, fields = books.engine.machines[CARD], {"form": form, **line.fields}
    unit = fields.pop("currency", currency)
    if unit is None:
        raise _Wrong("no currency: give it a column, or say --currency")
    number = _number(fields.pop("number", ""))
    card, since = fields.pop("id", f"{name}-{line.number}"), _happened(fields.pop(WHEN, None), zone)
    facts: dict[str, object] = {"currency": unit, "number": number}
    args: dict[str, object] = {"number": number, "balance": fields.pop("balance", None)}
    if args["balance"] is None:
        raise _Wrong("no balance; a card with nothing on it has 0")
    for column, text in fields.items():
        fact = page.facts.get(column)
        if fact is not None and not fact.later:
            facts[column] = _value(column, fact.type, text, zone)
        else:
            args[column] = _value(column, page.commands["recognize"].arguments[column], text, zone)
    try:  # before the card is made: it would keep the number
        created(page, facts)
        if typed(page, page.commands["recognize"], args, unit)["balance"] < 0:  # type: ignore[operator]  # it is money
            raise _Wrong("a balance cannot be less than zero")
    except Invalid as error:
        raise _Wrong(str(error)) from None
    key, reason = f"{name}/{line.number}", f"{name}, line {line.number}"
    return [
        Command(CARD, card, CREATE, facts, f"{key}/card", by, reason, occurred_at=since),
        Command(CARD, card, "recognize", args, key, by, reason, occurred_at=since),
    ]


def _number(text: str) -> str:
    if not text:
        raise _Wrong("no number")
    if SPOILT.fullmatch(text):
        raise _Wrong("the number was spoilt by a spreadsheet: make its column text there, and export it again")
    if not PLAIN.fullmatch(text) or not plain_number(text):
        raise _Wrong("this is no card number: letters and digits, perhaps in groups")
    return text


def _value(column: str, type_: Type, text: str, zone: tzinfo | None) -> object:
    if type_.kind == "time":
        return _moment(column, text, zone)
    if type_.kind == "flag":
        if text.lower() not in WORDS:
            raise _Wrong(f"{column} is {text!r:.30}; write yes or no")
        return WORDS[text.lower()]
    if type_.kind == "count":
        if not re.fullmatch(r"[0-9]{1,15}", text):
            raise _Wrong(f"{column} is {text!r:.30}, and no whole number")
        return int(text)
    return text


def _happened(text: str | None, zone: tzinfo | None) -> datetime | None:
    return _moment(WHEN, text, zone, begins=True) if text is not None else None


def _moment(column: str, text: str, zone: tzinfo | None, *, begins: bool = False) -> datetime:
    """A date counts until its end: what expires on a day can be spent on that day. What `begins`, from its begin."""
    try:
        moment = datetime.fromisoformat(text)
        if DAY.fullmatch(text) and not begins:
            moment += timedelta(days=1)
    except (ValueError, OverflowError):
        raise _Wrong(f"{column} is {text!r:.30}; write a date like 2027-01-31") from None
    if moment.tzinfo is None:
        if zone is None:
            raise _Wrong(f"{column} is {text!r:.30}, and nobody says where: say --zone, such as America/Sao_Paulo")
        moment = moment.replace(tzinfo=zone)
    return moment


def _once(seen: dict[tuple[object, ...], int], commands: Sequence[Command], line: int) -> None:
    """A number stands in the list once for each currency, and an id once."""
    create, recognize = commands
    number = plain_number(str(recognize.args["number"]))
    for what in (("number", number, create.args["currency"]), ("id", create.id)):
        before = seen.setdefault(what, line)
        if before != line:
            raise _Wrong(f"line {before} has the same {what[0]}")


def _given(books: Books, lines: Sequence[Sequence[Command]]) -> list[list[Receipt | Invalid]]:
    flat = books.engine.try_execute_many([command for commands in lines for command in commands])
    answers = iter(flat)
    return [[next(answers) for _ in commands] for commands in lines]


def _would(books: Books, lines: Sequence[Sequence[Command]]) -> list[list[Receipt | Invalid]]:
    found: list[list[Receipt | Invalid]] = []
    for commands in lines:
        try:
            answer = books.engine.may_all(commands)
        except Invalid as error:
            found.append([error])
            continue
        last = commands[-1]
        with books.engine.store.reading() as reading:
            again = last.key in reading.keyed([last.key])
        ended = Ended.APPLIED if answer.refusal is None else Ended.REFUSED
        why = answer.refusal.why if answer.refusal is not None else ""
        found.append([Receipt(ended, last.key, CARD, last.id, last.command, why=why, replayed=again)])
    return found


def _answer(line: BulkLine, commands: Sequence[Command], answers: Sequence[Receipt | Invalid]) -> BulkDone:
    last = commands[-1]
    wrong = next((each for each in answers if isinstance(each, Invalid) or each.result is not Ended.APPLIED), None)
    if wrong is not None:
        why = str(wrong) if isinstance(wrong, Invalid) else wrong.why
        return BulkDone(line.number, "wrong", last.id, _shown(line), why=redacted(why))
    unit = str(commands[0].args["currency"])
    amount = Money(money.parse(str(last.args["balance"]), unit), unit)
    final = answers[-1]
    again = isinstance(final, Receipt) and final.replayed
    return BulkDone(line.number, "again" if again else "done", last.id, _shown(line), amount)


def _shown(line: BulkLine) -> str:
    number = plain_number(line.fields.get("number", ""))
    return mask(number) if number else ""


# Cards are sold

FLAGS: Mapping[str, str | bool] = {"true": True, "false": False}  # as `hard_limit` is written
SELL_COLUMNS = ("id", "amount", "currency", "order", "kind", "card_set", "number", "expires", WHEN, *LIMITS)


def sell_cards(
    books: Books, lines: Iterable[BulkLine], *, name: str, currency: str | None = None, zone: tzinfo | None = None,
    by: str | None = None, workers: int = 1,
) -> Iterator[BulkDone]:  # fmt: skip
    """Sell a card for each line: activated and issued; a physical one if the line has its number. Answers in order.

    `zone`: as for `import_cards`. With a remote provider so many `workers` ask it side by side.
    """
    count = thread_count(workers, books.engine.provider)
    rest = iter(lines)
    while part := list(islice(rest, AT_ONCE)):
        one: Callable[[BulkLine], BulkDone] = partial(_sold, books, name=name, currency=currency, zone=zone, by=by)
        groups = [map(one, part[at::count]) for at in range(count)]
        yield from sorted(run_in_threads(groups, count), key=lambda done: done.line)


def _sold(
    books: Books, line: BulkLine, *, name: str, currency: str | None, zone: tzinfo | None, by: str | None
) -> BulkDone:
    card, fields = line.fields.get("id", f"{name}-{line.number}"), dict(line.fields)
    key = f"{name}/{line.number}"
    try:
        if line.fault:
            raise _Wrong(line.fault)
        unit, number = fields.get("currency", currency), fields.get("number")
        if unit is None:
            raise _Wrong("no currency: give it a column, or say --currency")
        if "amount" not in fields:
            raise _Wrong("no amount")
        amount = Money.parse(fields["amount"], unit)
        order, kind = fields.get("order", key), fields.get("kind", "gift")
        expires = _moment("expires", fields["expires"], zone) if "expires" in fields else None
        limits = {each: FLAGS.get(fields[each], fields[each]) for each in LIMITS if each in fields}
        since = _happened(fields.get(WHEN), zone)
        with books.engine.store.reading() as reading:
            before = reading.entity("fulfilment", key)
        if number is not None:
            sale = books.ship_physical(
                card, _number(number), amount, unit, order=order, key=key, kind=kind, expires=expires, limits=limits,
                by=by, occurred_at=since,
            )  # fmt: skip
        else:
            sale = books.sell_electronic(
                card, amount, unit, order=order, key=key, kind=kind, card_set=fields.get("card_set"), expires=expires,
                limits=limits, by=by, occurred_at=since,
            )  # fmt: skip
    except _Wrong as wrong:
        return BulkDone(line.number, "wrong", card, _shown(line), why=redacted(str(wrong)))
    except Answered as error:
        waits = error.receipt.result in (Ended.IN_DOUBT, Ended.UNAVAILABLE)
        return BulkDone(line.number, "waiting" if waits else "wrong", card, _shown(line), why=redacted(str(error)))
    except TallystickError as error:
        return BulkDone(line.number, "wrong", card, _shown(line), why=redacted(str(error)))
    again = before is not None and before.state == "fulfilled"
    return BulkDone(line.number, "again" if again else "done", card, mask(sale.number or ""), amount)
