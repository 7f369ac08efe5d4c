"""What a picture shows of a store: the traffic of a machine, and the life of one entity. `diagram` draws them.

An edge counts each time that its transition was done or confirmed; a decline counts where it leads to another state.
What it moved is what came to where the page moves it: the rest of a part that goes back is no traffic.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from tallystick.core.entity import CREATE, Entity
from tallystick.core.refusal import answered
from tallystick.definition.machine import Machine
from tallystick.diagram.figures import Life, LifeStep, May, Overlay, Standing, Traffic
from tallystick.engine.engine import Engine
from tallystick.engine.sums import Sums
from tallystick.errors import NotFound
from tallystick.masks import redacted
from tallystick.money import Money
from tallystick.reports.asking import HasEngine, verified
from tallystick.reports.report import readable
from tallystick.reports.summed import Tables, day_within, with_sums
from tallystick.store.protocol import Reading
from tallystick.store.rows import CallRow, EntryRow
from tallystick.store.schema.dialect import Dialect
from tallystick.store.schema.view import Parts

TAKEN = "(phase IN ('done', 'confirmed') OR phase = 'declined' AND from_state <> to_state)"
Edge = tuple[str, str, str]


def overlay(books: HasEngine | Engine, machine: str) -> Overlay:
    """How many entities of a machine stand in each state with how much, and how often each way was taken.

    Raises:
        NotFound: these books have no such machine.
    """
    engine = books if isinstance(books, Engine) else books.engine
    page = _page(engine, machine)

    def counted(
        reading: Reading, sums: Sums | None
    ) -> tuple[Mapping[str, Standing], Mapping[Edge, Traffic], str | None]:
        until = verified(reading)
        if sums is None:
            return _states(reading, page), _edges(reading, page), until
        tables = Tables(Parts(engine.machines, Dialect()), sums)
        return _states_of(reading, page, tables), _edges_of(reading, page, tables), until

    states, edges, until = with_sums(engine, counted, day_within(()))
    said = f"verified up to {readable(until)}" if until else "not verified"
    return Overlay(states, edges, _now(engine), said, engine.store.url)


def _now(engine: Engine) -> str:
    return f"{engine.now():%Y-%m-%d %H:%M:%S} UTC"


def _page(engine: Engine, machine: str) -> Machine:
    if machine not in engine.machines:
        raise NotFound("machine", machine, list(engine.machines))
    return engine.machines[machine]


def _states(reading: Reading, page: Machine) -> Mapping[str, Standing]:
    accounts = list(page.columns)
    sums = "".join(f', sum("{each}")' for each in accounts)
    counts: Counter[str] = Counter()
    money: dict[str, dict[str, tuple[Money, ...]]] = {}
    query = (
        f'SELECT state, currency, count(*){sums} FROM "{page.name}" GROUP BY state, currency ORDER BY state, currency'
    )
    for state, currency, count, *amounts in reading.select(query):
        counts[state] += count
        inside = money.setdefault(state, {})
        for account, minor in zip(accounts, amounts, strict=True):
            if minor:
                inside[account] = (*inside.get(account, ()), Money(int(minor), currency))
    return {state: Standing(count, money[state]) for state, count in counts.items()}


def _states_of(reading: Reading, page: Machine, tables: Tables) -> Mapping[str, Standing]:
    """The same, of kept sums."""
    counts: Counter[str] = Counter()
    money: dict[str, dict[str, tuple[Money, ...]]] = {}
    query = (
        f"SELECT state, account, currency, sum(entities), sum(amount) FROM {tables.standing} k "
        "WHERE since = 'created' AND machine = ? GROUP BY state, account, currency ORDER BY state, account, currency"
    )
    for state, account, currency, count, minor in reading.select(query, (page.name,)):
        if not account:
            counts[state] += int(count)
        elif minor:
            inside = money.setdefault(state, {})
            inside[account] = (*inside.get(account, ()), Money(int(minor), currency))
    return {state: Standing(count, money.get(state, {})) for state, count in counts.items() if count}


def _edges_of(reading: Reading, page: Machine, tables: Tables) -> Mapping[Edge, Traffic]:
    """The same, of kept sums."""
    steps = f"SELECT from_state, transition, to_state, {{}} FROM {tables.flow} k WHERE machine = ?"
    alike = "GROUP BY from_state, transition, to_state"
    counts = reading.select(
        f"{steps.format('sum(entries)')} AND target = '' AND {TAKEN} AND transition <> ? {alike}", (page.name, CREATE)
    )
    moved = reading.select(
        f"{steps.format('target, currency, sum(amount)')} AND target <> '' AND phase IN ('done', 'confirmed') {alike}, "
        "target, currency",
        (page.name,),
    )
    return _traffic([row for row in counts if row[-1]], _moved(page, moved))


def _edges(reading: Reading, page: Machine) -> Mapping[Edge, Traffic]:
    counts = reading.select(
        f"SELECT from_state, transition, to_state, count(*) FROM entry WHERE machine = ? AND {TAKEN} "
        "AND transition <> ? GROUP BY from_state, transition, to_state",
        (page.name, CREATE),
    )
    moved = reading.select(
        "SELECT from_state, transition, to_state, account, currency, sum(amount_minor) FROM v_edge "
        "WHERE machine = ? GROUP BY from_state, transition, to_state, account, currency",
        (page.name,),
    )
    return _traffic(counts, _moved(page, moved))


def _traffic(counts: Iterable[tuple[Any, ...]], money: Mapping[Edge, Mapping[str, int]]) -> Mapping[Edge, Traffic]:
    return {
        (source, transition, target): Traffic(
            int(count), tuple(Money(minor, each) for each, minor in sorted(found.items()))
        )
        for source, transition, target, count in counts
        for found in [money.get((source, transition, target), {})]
    }


def _moved(page: Machine, rows: Iterable[tuple[Any, ...]]) -> Mapping[Edge, Mapping[str, int]]:
    found: dict[Edge, Counter[str]] = {}
    for source, transition, target, account, currency, minor in rows:
        declared = page.transitions.get(transition)
        if declared is None or account in {move.target for move in declared.moves}:
            found.setdefault((source, transition, target), Counter())[currency] += int(minor)
    return found


# One life


def life(books: HasEngine | Engine, machine: str, id: str) -> Life:
    """An entity from its creation until now, beside those that it links to: of these, what the same commands did.

    Raises:
        NotFound: there is no such machine or entity.
    """
    engine = books if isinstance(books, Engine) else books.engine
    page = _page(engine, machine)
    with engine.store.reading() as reading:
        entity = reading.entity(machine, id)
        if entity is None:
            raise NotFound(machine, id)
        rows = list(reading.journal(machine, id))
        keys = {row.key or row.cause for row in rows}
        links = [(target, str(entity.facts[fact])) for fact, target in page.links.items() if entity.facts.get(fact)]
        others = [
            _life(engine, reading, other, [row for row in reading.journal(*ref) if (row.key or row.cause) in keys])
            for ref in links
            if (other := reading.entity(*ref)) is not None
        ]
        own = _life(engine, reading, entity, rows)
    return Life(machine, id, own.state, own.steps, tuple(_may(page, entity)), _now(engine), tuple(others))


def _life(engine: Engine, reading: Reading, entity: Entity, rows: Iterable[EntryRow]) -> Life:
    calls = {each.id: each for each in reading.calls_on(entity.machine, entity.id)}
    rows = list(rows)
    causes = reading.keyed({row.cause for row in rows if row.cause is not None})
    steps = []
    for row in rows:
        maker = causes.get(row.cause or "")
        ours = maker is None or (maker.machine, maker.entity) == entity.ref
        steps.append(_step(row, calls.get(row.call or ""), None if ours else f"{maker.machine} {maker.entity}"))  # type: ignore[union-attr]
    return Life(entity.machine, entity.id, entity.state, tuple(steps))


def _step(row: EntryRow, call: CallRow | None, cause: str | None) -> LifeStep:
    moved = tuple(
        f"{source} → {target} {Money(minor, row.currency)}" for source, target, minor in json.loads(row.postings)
    )
    return LifeStep(
        datetime.fromisoformat(row.at), row.command, None if row.transition == CREATE else row.transition,
        row.from_state, row.to_state, row.phase,
        {name: Money(minor, row.currency) for name, minor in json.loads(row.after).items()},
        moved, _says(row, call), cause,
    )  # fmt: skip


def _says(row: EntryRow, call: CallRow | None) -> str:
    """Who, why, and what the provider calls it."""
    outcome = json.loads(call.outcome) if call is not None and call.outcome and row.phase != "asked" else {}
    said = [row.by and f"by {row.by}", row.reason, outcome.get("reference") and f"provider's {outcome['reference']}"]
    return redacted(", ".join(filter(None, said)), keep=[str(outcome.get("reference") or "")])


def _may(page: Machine, entity: Entity) -> Iterable[May]:
    """What its state answers, and what it refuses, in the words of its page."""
    taken = answered(page, entity.state)
    for name, command in page.commands.items():
        if (entity.state, name) in page.on_purpose:
            yield May(name, False, page.on_purpose[entity.state, name])
        elif command.driven and name in taken:
            yield May(name, False, "only another machine's transition gives it")
        elif name in taken:
            guards = {row.transition.guard.source for row in page.table[entity.state, name] if row.transition.guard}
            yield May(name, True, " or ".join(sorted(guards)))
