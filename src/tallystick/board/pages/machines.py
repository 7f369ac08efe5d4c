"""The machines with their live figures, and the entities of one state, page by page."""

from __future__ import annotations

from tallystick.board.desk import ROWS, Ask, Desk
from tallystick.board.page import Block, Cell, Heading, Link, Page, Picture, Table, Target, Text, target
from tallystick.core.entity import Entity
from tallystick.definition.machine import Machine
from tallystick.diagram import Overlay, draw
from tallystick.errors import NotFound
from tallystick.money import Money
from tallystick.reports.report import readable


def machines(desk: Desk, ask: Ask) -> Page:
    """All machines, those with something in them first."""
    blocks: list[Block] = []
    empty = []
    for machine in desk.engine.machines.values():
        if not desk.reading.page(machine.name, limit=1):
            empty.append(machine)
            continue
        figures = desk.overlay(machine.name)
        blocks += [
            Heading(_spaced(machine.name)),
            Text((machine.summary, Link("its states and their entities", target("machine", name=machine.name)))),
            picture(machine, figures),
        ]
    rows = [(Link(_spaced(each.name), target("machine", name=each.name)), each.summary) for each in empty]
    if rows:
        blocks.append(Table("Machines that nothing was made on yet", ["machine", "what it is"], rows))
    return Page("Machines", "How everything runs, drawn from the declarations that run, with what stands where now.",
                blocks, "machines")  # fmt: skip


def machine(desk: Desk, ask: Ask) -> Page:
    found = desk.machine(ask.get("name", ""))
    figures = desk.overlay(found.name)
    rows = []
    used = [name for name in found.columns if any(name in each.money for each in figures.states.values())]
    for name, state in found.states.items():
        standing = figures.states.get(name)
        sums: list[Cell] = [standing.money.get(account) if standing else None for account in used]
        rows.append((Link(_spaced(name), target("state", of=found.name, state=name)),
                     standing.count if standing else 0, *sums, state.says))  # fmt: skip
    columns = ["state", "how many", *map(_spaced, used), "what it means"]
    blocks: list[Block] = [
        Text(readable(f"As of {figures.as_of}; {figures.verified}.")),
        picture(found, figures),
        Table("States, and what stands in each", columns, rows),
    ]
    return Page(_spaced(found.name), found.summary, blocks, "machines", path=[_above()])


def picture(found: Machine, figures: Overlay | None) -> Picture:
    """The machine as it runs, each state a link to its entities."""
    svg = draw(found, overlay=figures, styled=False)
    assert isinstance(svg, str)
    says = f"The states of {_spaced(found.name)}, and the commands between them. The table has the same figures."
    return Picture(svg, says, links={name: target("state", of=found.name, state=name) for name in found.states})


def state(desk: Desk, ask: Ask) -> Page:
    found, name = desk.machine(ask.get("of", "")), ask.get("state", "")
    if name not in found.states:
        raise NotFound("state", name, list(found.states))
    rest = ask.get("after", "")
    after = desk.unhidden(found.name, rest) if rest else ""
    entities = desk.reading.page(found.name, state=name, after=after, limit=ROWS + 1)
    shown = entities[:ROWS]
    accounts = [each for each in found.columns if any(entity.accounts.get(each) for entity in shown)]
    rows = [
        (desk.life(found.name, each.id), *_about(desk, found, each), *(_money(each, name) for name in accounts))
        for each in shown
    ]  # fmt: skip
    more = None
    if len(entities) > ROWS:
        asked = desk.asked(found.name, shown[-1].id)
        more = Link(f"The next {ROWS}", target("state", of=found.name, state=name, after=asked))
    table = Table(
        f"{_spaced(found.name)}s that are {_spaced(name)}, by id{', continued' if rest else ''}",
        [_spaced(found.name), *_columns(found), *map(_spaced, accounts)], rows, more=more, empty="There are none.",
    )  # fmt: skip
    says = found.states[name].says
    above = Link(_spaced(found.name), target("machine", name=found.name))
    return Page(f"{_spaced(found.name)}: {_spaced(name)}", says, [table], "machines", path=[_above(), above])


def _columns(of: Machine) -> list[str]:
    return [
        *(["number"] if "number" in of.facts else []),
        *map(_spaced, of.links),
        *(["order"] * ("order" in of.facts)),
    ]


def _about(desk: Desk, of: Machine, entity: Entity) -> list[Cell]:
    """What tells an entity from others: its number, what it links to, its order."""
    found: list[Cell] = [desk.number(entity)] if "number" in of.facts else []
    for fact, other in of.links.items():
        linked = entity.facts.get(fact)
        found.append(desk.life(other, str(linked)) if linked is not None else None)
    if "order" in of.facts:
        found.append(desk.name(str(entity.facts.get("order") or "")))
    return found


def _money(entity: Entity, account: str) -> Cell:
    minor = entity.accounts.get(account)
    return Money(minor, entity.currency) if minor else None


def _above() -> Link:
    return Link("Machines", Target("machines"))


def _spaced(name: str) -> str:
    return name.replace("_", " ")
