"""The life of one entity: where it is, what stands on it, what has happened, who did it and why, what may come next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import attrs

from tallystick import reports
from tallystick.board.desk import CARD, ROWS, Ask, Desk, outcome
from tallystick.board.page import Block, Cell, Code, Facts, Heading, Link, Page, Picture, State, Table, Text, target
from tallystick.books.history import Entry, typed
from tallystick.core.entity import Entity
from tallystick.core.refusal import answered
from tallystick.definition.machine import Machine
from tallystick.diagram import draw
from tallystick.diagram.figures import Life
from tallystick.engine.queue.rows import ENDED
from tallystick.errors import Invalid
from tallystick.masks import mask
from tallystick.money import Money
from tallystick.store.rows import CallRow, EntryRow, QueueRow, is_changed

_HEAD = re.compile(r"^[a-z_]+ .*? is [a-z_]+ and refuses [a-z_]+: ", re.DOTALL)
_ELSE = re.compile(r" (?:It would take: [a-z_, ]+|It takes no command any more)\.$")
DRAWN = 60  # entries of a life that is drawn
LINKED = 100  # so many entities that link to one are listed


def life(desk: Desk, ask: Ask) -> Page:
    entity = desk.entity(ask.get("of", ""), ask.get("id", ""))
    machine = desk.machine_of(entity)
    rows = list(desk.reading.journal(*entity.ref))
    name = desk.name(entity.id, entity.machine)
    blocks: list[Block] = [
        *_standing(desk, entity, machine),
        *_linked(desk, entity),
        *_picture(desk, entity, machine, len(rows)),
        Heading("What has happened", "journal"),
        _journal(desk, entity, rows, ask),
        *_calls(desk, entity, rows),
        *_next(desk, entity, machine),
    ]
    above = Link(machine.name.replace("_", " "), target("machine", name=machine.name))
    state = Link(entity.state.replace("_", " "), target("state", of=machine.name, state=entity.state))
    return Page(
        f"{machine.name.replace('_', ' ')} {name}", machine.states[entity.state].says, blocks, "machines",
        path=[above, state],
    )  # fmt: skip


# Where it is


def _standing(desk: Desk, entity: Entity, machine: Machine) -> Iterator[Block]:
    facts: list[tuple[str, Cell]] = [("state", desk.state(entity))]
    facts += [
        (account.replace("_", " "), Money(minor, entity.currency))
        for account, minor in entity.accounts.items()
        if minor or account != "in_doubt"
    ]
    facts += [
        (fact.replace("_", " "), shown)
        for fact in machine.facts
        if (shown := _fact(desk, entity, machine, fact)) is not None
    ]
    yield Facts(facts)
    waiting = desk.reading.waiting(*entity.ref)
    given_up = [row for row in _given_up(desk) if (row.machine, row.entity) == entity.ref]
    for row in [*waiting, *given_up]:
        why = f": {desk.shown.text(row.why)}" if row.why else ""
        said = "waits for its time" if row.state == "waiting" else f"was {row.state}"
        link = Link("what to type", target("stuck")) if row.state != "waiting" else Link("queue", target("queue"))
        yield Text((f"{row.command} {said}{why}", link), "wait" if row.state == "waiting" else "bad")
    for call in desk.reading.calls():
        if entity.ref in call.refs:
            note = f": {desk.shown.text(call.note)}" if call.note else ""
            yield Text((f"In doubt: {call.verb}{note}", Link("what to type", target("doubt"))), "wait")


def _given_up(desk: Desk) -> Iterator[QueueRow]:
    for state in ENDED:
        yield from desk.reading.queue(state=state)


def _fact(desk: Desk, entity: Entity, machine: Machine, fact: str) -> Cell:
    value, type_ = entity.facts.get(fact), machine.facts[fact].type
    match type_.kind:
        case _ if value is None:
            return None
        case "money" if isinstance(value, int):
            return Money(value, entity.currency)
        case "number":
            return mask(str(value))
        case "flag":
            return "yes" if value else "no"
        case "link":
            return desk.life(str(type_.machine), str(value))
        case "choice":
            return str(value).replace("_", " ")
    return desk.name(str(value))


def _linked(desk: Desk, entity: Entity) -> Iterator[Block]:
    """Entities that link to this one, such as a card's payments."""
    for other in desk.engine.machines.values():
        for fact, kind in other.links.items():
            if kind != entity.machine:
                continue
            found = desk.reading.linked(other.name, fact, entity.id)
            if not found:
                continue
            accounts = [name for name in other.columns if any(each.accounts.get(name) for each in found)]
            rows = [
                (desk.life(other.name, each.id), desk.state(each),
                 *(_amount(each, account) for account in accounts))
                for each in found[:LINKED]
            ]  # fmt: skip
            more = f", the first {LINKED} of {len(found):,}" if len(found) > LINKED else ""
            named = "" if fact == entity.machine.removeprefix("gift_") else f" (as {fact.replace('_', ' ')})"
            caption = f"{other.name.replace('_', ' ').capitalize()}s of it{named}{more}"
            yield Table(caption, [other.name.replace("_", " "), "state", *_spaced(accounts)], rows)


def _amount(entity: Entity, account: str) -> Cell:
    minor = entity.accounts.get(account)
    return Money(minor, entity.currency) if minor is not None else None


def _spaced(names: list[str]) -> list[str]:
    return [name.replace("_", " ") for name in names]


def _picture(desk: Desk, entity: Entity, machine: Machine, entries: int) -> Iterator[Block]:
    """The way that was taken, what stood on the accounts, and what its card did meanwhile."""
    if entries <= DRAWN:
        shown = _masked(desk, reports.life(desk.books, entity.machine, entity.id))
        svg = draw(machine, life=shown, styled=False)
        assert isinstance(svg, str)
        yield Picture(svg, "The way that it took, bold, and what stood on it. The table below has every step.")


def _masked(desk: Desk, life: Life) -> Life:
    return attrs.evolve(
        life, id=desk.name(life.id, life.machine), others=tuple(_masked(desk, each) for each in life.others),
        steps=tuple(
            attrs.evolve(each, cause=None if each.cause is None else desk.name(each.cause)) for each in life.steps
        ),
    )  # fmt: skip


# What has happened


def _journal(desk: Desk, entity: Entity, rows: list[EntryRow], ask: Ask) -> Block:
    """Entries with the balance after each, the oldest first."""
    try:
        after = int(ask.get("after", "0"))
    except ValueError:
        raise Invalid("after is the number of an entry") from None
    wanted = [row for row in rows if row.revision > after][: ROWS * 2]
    entries = typed(desk.engine, desk.reading, wanted)
    accounts = [
        name
        for name in desk.machine_of(entity).columns
        if any(each.after.get(name) for each in entries)
    ]  # fmt: skip
    shown = [
        (each.revision, _when(each), _what(each), _way(each), _moves(each),
         *(each.after.get(name) for name in accounts), _who(desk, each), _for(desk, entity, each))
        for each in entries
    ]  # fmt: skip
    last = wanted[-1].revision if wanted else 0
    more = None
    if rows and rows[-1].revision > last:
        asked, left = desk.asked(entity.machine, entity.id), rows[-1].revision - last
        more = Link(f"The next entries, of {left:,}", target("life", of=entity.machine, id=asked, after=last))
    columns = ["no.", "when, UTC", "what", "state", "moved", *_spaced(accounts), "who and why", "for"]
    return Table("Every entry, with what stands on each account after it", columns, shown, more=more)


def _when(entry: Entry) -> Cell:
    return entry.at if entry.occurred_at == entry.at else (entry.occurred_at, "written", entry.at)


def _what(entry: Entry) -> Cell:
    name = entry.command.replace("_", " ")
    return name if entry.phase == "done" else (name, outcome(entry.phase))


def _way(entry: Entry) -> Cell:
    if entry.from_state == entry.to_state:
        return entry.to_state.replace("_", " ")
    before = (entry.from_state or "·").replace("_", " ")
    return f"{before} → {entry.to_state.replace('_', ' ')}"


def _moves(entry: Entry) -> Cell:
    parts = []
    for move in entry.moves:
        way = f"{move.source} ▸ {move.target}".replace("_", " ")
        parts.append(f"{way} {move.amount:n}")
    return "; ".join(parts)


def _who(desk: Desk, entry: Entry) -> Cell:
    by = desk.shown.text(entry.by)
    reason = desk.shown.text(entry.reason)
    return f"{by}: {reason}" if by and reason else by or reason


def _for(desk: Desk, entity: Entity, entry: Entry) -> Cell:
    """The order, and the other entity that had a part."""
    parts: list[str | Link] = []
    if entry.order is not None and (entity.machine, entry.payment) != ("payment", entity.id):
        parts.append(f"order\u00a0{desk.name(entry.order)}")
    if entry.payment is not None and entry.payment != entity.id:
        parts.append(desk.life("payment", entry.payment))
    return tuple(parts)


# What the provider was asked


def _calls(desk: Desk, entity: Entity, rows: list[EntryRow]) -> Iterator[Block]:
    named = dict.fromkeys(row.call for row in rows if row.call is not None)
    found = {row.id: row for row in desk.reading.calls_on(*entity.ref)} if entity.machine == CARD else {}
    for id in list(named)[-ROWS * 2 :]:
        if id not in found and (row := desk.reading.call(id)) is not None:
            found[id] = row
    calls = sorted(found.values(), key=lambda row: (row.opened, row.id))[-ROWS * 2 :]
    if calls:
        yield Heading("What the provider was asked", "calls")
        columns = ["sent", "asked", "amount", "answer", "evidence", "its reference", "call"]
        yield Table("Calls to the provider, the oldest first", columns, [_call(desk, row) for row in calls])


def _call(desk: Desk, row: CallRow) -> tuple[Cell, ...]:
    if is_changed(row):
        why = "somebody has changed this call in the database"
        return (datetime.fromisoformat(row.opened), row.verb, None, State("changed", "bad"), why, None, Code(row.id))
    ended = row.ended
    amount = Money(row.amount, row.currency) if row.amount is not None else None
    said = [ended.text] if ended is not None and ended.text else []
    evidence = "; ".join(map(desk.shown.text, filter(None, [row.note, *said])))
    if row.attempts > 1:
        evidence = f"sent {row.attempts} times; {evidence}".rstrip("; ")
    answer: list[State | str] = [outcome(row.state)]
    if ended is not None and ended.reason is not None:
        answer.append(str(ended.reason).replace("_", " "))
    reference = desk.name(ended.reference) if ended is not None and ended.reference else None
    return (
        datetime.fromisoformat(row.asked), row.verb.replace("_", " "), amount, tuple(answer), evidence,
        Code(reference) if reference else None, Code(row.id),
    )  # fmt: skip


# What may come next


def _next(desk: Desk, entity: Entity, machine: Machine) -> Iterator[Block]:
    """Each command that a person or an order may give: whether it would be done now, and why not."""
    rows = []
    for name, command in machine.commands.items():
        if command.driven or name == "create":
            continue
        said = _would(desk, entity, machine, name)
        if said is not None:
            rows.append(said)
    if rows:
        yield Heading("What it would take now", "next")
        columns = ["command", "asked with", "done?", "why not, or what would happen"]
        yield Table("Commands that orders and people give, tried on our books alone", columns, rows, id="next-table")


def _would(desk: Desk, entity: Entity, machine: Machine, name: str) -> tuple[Cell, ...] | None:
    given: dict[str, object] = {}
    shown: list[str | Money] = []
    standing = next((minor for account, minor in entity.accounts.items() if minor and account != "in_doubt"), 0)
    for argument, type_ in machine.commands[name].arguments.items():
        if type_.optional or type_.kind in ("flag", "secret"):
            continue
        if type_.kind != "money":
            return _unasked(entity, machine, name)
        given[argument] = Money(standing, entity.currency)
        shown += [argument, Money(standing, entity.currency)]
    try:
        answer = desk.books.may(entity.machine, entity.id, name, **given)
    except Invalid:
        return _unasked(entity, machine, name)
    if answer.refusal is None:
        moves = "; ".join(f"{source} ▸ {to}" for source, to, _ in answer.postings).replace("_", " ")
        to = f"to {answer.state}".replace("_", " ") if answer.state != entity.state else "the state stays"
        return (name.replace("_", " "), tuple(shown), outcome_of(True), f"{to}; {moves}" if moves else to)
    return (name.replace("_", " "), tuple(shown), outcome_of(False), desk.shown.text(_why(str(answer.refusal))))


def _unasked(entity: Entity, machine: Machine, name: str) -> tuple[Cell, ...] | None:
    """A command that needs more than an amount to be tried."""
    if name in answered(machine, entity.state):
        return (name.replace("_", " "), None, State("perhaps"), "it depends on what is given with it")
    why = machine.on_purpose.get((entity.state, name))
    return (name.replace("_", " "), None, outcome_of(False), why or f"not when it is {entity.state}")


def _why(refusal: str) -> str:
    """The reason of a refusal: which entity and which command, and what else it would take, stand beside it."""
    return _ELSE.sub("", _HEAD.sub("", refusal, count=1))


def outcome_of(done: bool) -> State:
    return State("yes", "good") if done else State("no", "")
