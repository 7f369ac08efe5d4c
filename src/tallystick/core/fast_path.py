"""The fast path of a command, as one function generated from its page: all is well, and one row answers.

`decide` and `resolve` say what a command does, row by row and check by check. Nearly every command passes all checks.
For these, the checks of a (state, command) are written out one after the other, with the names of the page in place:

    fast_path(entity, a, intent, driver)     → the step, already in the intent; or None
    fire(entity, a, x, accounts, o)          → the entity and the entry once its transition has fired

None means only that there is something to say: a refusal, a cut amount, a call in flight. Then the rows are asked, and
they alone decide and explain. So a check may be stricter here than there, never weaker. A property compares both at
every step of the walks that the fuzz kit takes.

A function is made when its (state, command) is asked for the first time. Its source is made of checked expressions and
of names that the reader of pages has seen; it can reach nothing but what `_SCOPE` and its rows hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from types import CodeType
from typing import Any

from tallystick.core.entity import Asked, Entity, Entry, Posting, Step
from tallystick.definition.declared import least
from tallystick.definition.machine import Machine, Row
from tallystick.money import LIMIT

FastPath = Callable[..., Step | None]
_SCOPE = {"min": min, "new": tuple.__new__, "Asked": Asked, "Entity": Entity, "Entry": Entry, "Posting": Posting,
          "Step": Step}  # fmt: skip


def fast_path(machine: Machine, state: str, command: str) -> FastPath:
    """The function of a (state, command); of one that no row answers, one that says None."""
    found: FastPath | None = machine.fast_paths.get((state, command))
    if found is None:
        found = machine.fast_paths[state, command] = _made(machine, state, command)
    return found


def _made(machine: Machine, state: str, command: str) -> FastPath:
    rows = machine.table.get((state, command), ())
    if not rows or command not in machine.commands:
        return _nothing
    scope: dict[str, Any] = {"__builtins__": {}, **_SCOPE}
    scope |= {f"row{index}": row for index, row in enumerate(rows)}
    exec(_code("\n".join(_source(machine, state, command, rows))), scope)  # noqa: S102  # of checked expressions
    made: FastPath = scope["fast_path"]
    return made


def _nothing(*_: object) -> None:
    return None


@lru_cache(maxsize=1024)  # a page that was changed in one place has most of its functions in common with the old one
def _code(source: str) -> CodeType:
    return compile(source, "<page>", "exec")


def _source(machine: Machine, state: str, command: str, rows: tuple[Row, ...]) -> Iterator[str]:
    for index, row in enumerate(rows):
        yield from _fire(machine, state, command, index, row)
    yield "def fast_path(entity, a, intent, driver):"
    wrong = "driver is None or " if machine.commands[command].driven else "driver is not None and "
    yield f"    if entity.calls or ({wrong}driver.currency != entity.currency): return None"
    yield f"    v, f, s = entity.accounts, entity.facts, {state!r}"
    for refusal in machine.refused.get((state, command), ()):
        yield f"    if {refusal.guard.code if refusal.guard else True}: return None"
    guards = [row.transition.guard.code if row.transition.guard else "True" for row in rows]
    if len(rows) > 1:
        yield from (f"    g{index} = 1 if {guard} else 0" for index, guard in enumerate(guards))
        yield f"    if {' + '.join(f'g{index}' for index in range(len(rows)))} != 1: return None"
        guards = [f"g{index}" for index in range(len(rows))]
    for index, (row, guard) in enumerate(zip(rows, guards, strict=True)):
        yield f"    if {guard}:"
        yield from (f"        {line}" for line in _step(machine, state, command, index, row))
    yield "    return None"


def _step(machine: Machine, state: str, command: str, index: int, row: Row) -> Iterator[str]:
    """The checks of `decide` after the guard, and the step. As `_unsound` has them, for what is asked and what not."""
    transition, columns = row.transition, machine.columns
    if transition.upto:
        yield f"if {least(transition.upto)} < a[{transition.partial!r}]: return None"
    wrong = []
    for number, move in enumerate(transition.moves):
        yield f"x{number} = {move.amount.code}"
        wrong.append(f"x{number} < 0")
    after = []
    for number, name in enumerate(columns):
        gone = "".join([f" - x{place}" for place, (source, _) in enumerate(row.lines) if source == name])
        come = "".join([f" + x{place}" for place, (_, target) in enumerate(row.lines) if target == name])
        yield f"y{number} = v[{name!r}]{gone}"
        wrong.append(f"y{number} < 0")  # with all set aside, and nothing arrived
        if come:
            yield f"z{number} = y{number}{come}"
        after.append(f"z{number}" if come else f"y{number}")
    if columns:
        wrong.append(f"{' + '.join(after)} > {LIMIT}")
    held = [after[columns.index(name)] for name in machine.holding]
    if row.final or (row.target is None and machine.states[state].final):
        wrong += held
    if row.ends and transition.otherwise:
        wrong += [f"v[{name!r}]" for name in machine.holding]
    if wrong:
        yield f"if {' or '.join(wrong)}: return None"
    amounts = "".join([f"x{number}, " for number in range(len(transition.moves))])
    accounts = ", ".join([f"{name!r}: {value}" for name, value in zip(columns, after, strict=True)])
    made = f"row{index}, {command!r}, a, ({amounts}), {{{accounts}}}, {transition.partial!r}, fire{index}"
    yield f"step = Step(entity, {made})"
    yield "intent.steps.append(step)"
    if row.ask is not None and transition.ask is not None:
        given = ", ".join([f"{name!r}: {each.code}" for name, each in transition.ask.arguments.items()])
        yield f"if intent.asked is None: intent.asked = Asked(entity, {transition.ask.verb!r}, {{{given}}})"
    yield "return step"


def _fire(machine: Machine, state: str, command: str, index: int, row: Row) -> Iterator[str]:
    """As `resolve` advances an entity, for a transition that is done at once."""
    declared, target = machine.commands[command], row.target or state
    yield f"def fire{index}(entity, a, x, accounts, o):"
    yield "    f = facts = entity.facts"
    yield "    given, changed, id, revision = {}, {}, entity.id, entity.revision + 1"
    for name in declared.storable:
        yield f"    t = a.get({name!r})"
        kept = "t is not None" if name in declared.by_provider else "t is not None and t is not False"
        yield f"    if {kept}: given[{name!r}] = t"
    if row.sets:
        changed = ", ".join([f"{name!r}: {each.code}" for name, each in row.transition.sets.items()])
        yield f"    s = {state!r}"
        yield f"    changed = {{{changed}}}"
        yield "    facts = {**facts, **changed}"
    if len(row.lines) == 1:
        yield f"    p = (new(Posting, ({row.lines[0][0]!r}, {row.lines[0][1]!r}, x[0])),) if x[0] else ()"
    else:
        yield "    p = ()"
        for number, (source, target_) in enumerate(row.lines):
            yield f"    if x[{number}]: p += (new(Posting, ({source!r}, {target_!r}, x[{number}])),)"
    version = f"revision, {machine.version!r}"
    yield f"    return (Entity({machine.name!r}, id, {target!r}, {version}, entity.currency, facts, accounts,"
    yield "                   entity.calls, entity.changing, entity.hash),"
    yield f"            Entry({machine.name!r}, id, {version}, {row.name!r}, {command!r}, 'done', {state!r},"
    yield f"                  {target!r}, given, p, changed, accounts))"
