"""A call of a transition, `link.name(argument=expression)`: how it is written, and how many there may be.

A command may make one call, so that one answer ends it. If a call is confirmed in part, that part moves on and the rest
moves back. This is so simple only because every move is then of the one argument that is cut.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

import attrs

from tallystick.definition.declared import DELAYS, Drive, Transition
from tallystick.definition.expression import MAX_CHARACTERS, UNKNOWN, Type
from tallystick.definition.first_pass import Declarations
from tallystick.definition.shapes import FileFaults, Located
from tallystick.errors import nearest


@attrs.frozen
class ParsedCall:
    """What stands in `drive:`, `ask:` or `then:`, taken apart."""

    at: Located
    link: str  # the fact or argument before the dot; empty without a dot
    name: str  # the command, or the verb
    arguments: Mapping[str, Located]
    bare: bool  # only a name stands there, without parentheses


def parse_call(text: Located, faults: FileFaults) -> ParsedCall | None:
    """Take `link.name(argument=value)`, `name(argument=value)` or a bare `name` apart."""
    source = text.value.strip()
    try:
        node = ast.parse(source[:MAX_CHARACTERS], mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        node = None
    call = node if isinstance(node, ast.Call) else None
    match call.func if call else node:
        case ast.Name(name):
            link = ""
        case ast.Attribute(ast.Name(link), name):
            pass
        case _:
            faults.add(text, f"'{text.value}' is not a call: write name(argument=value) or link.name(argument=value)")
            return None
    if call and (call.args or any(each.arg is None for each in call.keywords)):
        faults.add(text, f"in '{text.value}': give every argument by its name, such as amount=held")
        return None
    arguments: dict[str, Located] = {}
    for each in call.keywords if call else []:
        if each.arg in arguments:
            faults.add(text, f"in '{text.value}': argument {each.arg!r} is given twice")
        value = ast.get_source_segment(source, each.value) or ast.unparse(each.value)
        column = text.column + each.value.col_offset if text.exact else text.column  # folded: it is in another line
        arguments[str(each.arg)] = Located(value, text.line, column, text.exact)
    return ParsedCall(text, link, name, arguments, bare=call is None)


_TIMED = re.compile(r"(.*[)\w]) (at|after) (.+)", re.DOTALL)
_DELAY = re.compile(r"([1-9][0-9]{0,4}) (minute|hour|day)s?")


@attrs.frozen
class WrittenFollowUp:
    """What stands in `then:`, taken apart at its words."""

    each: bool  # `each` stands before it
    call: Located
    at: Located | None  # what stands behind `at`
    after: Located | None  # what stands behind `after`
    when: Located | None  # what stands behind `when`


def follow_up(text: Located) -> WrittenFollowUp:
    """Take `each part.command(…) at time when guard` apart, or the same with `after 30 days`."""
    called, word, _ = text.value.partition(" when ")
    when = _from(text, len(called) + len(word)) if word else None
    at = after = None
    timed = _TIMED.fullmatch(called)
    if timed is not None:
        called = timed[1]
        written = _from(attrs.evolve(text, value=timed[0]), timed.start(3))
        at, after = (written, None) if timed[2] == "at" else (None, written)
    call = attrs.evolve(text, value=called)
    each = called.startswith("each ")
    return WrittenFollowUp(each, _from(call, len("each ")) if each else call, at, after, when)


def seconds(text: Located, faults: FileFaults) -> int:
    """A delay, such as `30 days` or `1 hour`, in seconds; one that is none is reported."""
    found = _DELAY.fullmatch(text.value.strip())
    if found is None:
        faults.add(text, f"'{text.value}' is no delay: write 30 days, 12 hours or 10 minutes")
        return 1
    return int(found[1]) * dict(DELAYS)[found[2]]


def _from(text: Located, at: int) -> Located:
    """A text from a character on, at its place."""
    return Located(text.value[at:], text.line, text.column + at if text.exact else text.column, text.exact)


# One call in a command


def check_calls(
    page: Declarations,
    machines: Mapping[str, Declarations],
    key: Located,
    record: Mapping[str, Located],
    transition: Transition,
) -> None:
    """A command makes one call at most; only a transition that makes one may have `else`."""
    calls = (1 if transition.ask else 0) + sum(
        _most_calls(page, machines, drive.machine, drive.command, (page.name,)) for drive in transition.drives
    )
    if calls > 1:
        at = record.get("drive") or record["ask"]
        page.faults.add(
            at, f"{key.value!r} makes {calls} calls; a command may make only one, so that one answer ends it"
        )
    drives = record["drive"].value if "drive" in record else []
    if transition.otherwise and not calls and len(drives) == len(transition.drives):
        page.faults.add(record["else"], f"{key.value!r} makes no call, so nothing can be declined; leave 'else' out")


def _most_calls(
    page: Declarations, machines: Mapping[str, Declarations], machine: str, command: str, path: tuple[str, ...]
) -> int:
    """The most calls that a driven command can make."""
    if machine in path:
        cycle = " → ".join((*path, machine))
        page.faults.add(page.page["machine"], f"{cycle}: a machine must not drive itself")
        return 0
    most = 0
    for record in machines[machine].answering(command):
        drives = _drives(machines[machine], record, machines)
        deeper = sum(_most_calls(page, machines, *driven, (*path, machine)) for _, driven in drives)
        most = max(most, (1 if "ask" in record else 0) + deeper)
    return most


def may_ask(machines: Mapping[str, Declarations], machine: str, command: str, path: tuple[str, ...] = ()) -> bool:
    """Whether a driven command may ask the provider, itself or by what it drives."""
    if machine in path:
        return False  # a machine must not drive itself, and `check_calls` says so
    return any(
        "ask" in record
        or any(
            may_ask(machines, *driven, (*path, machine)) for _, driven in _drives(machines[machine], record, machines)
        )
        for record in machines[machine].answering(command)
    )


# Confirmed in part


def check_partial(
    page: Declarations, machines: Mapping[str, Declarations], key: Located, record: Mapping[str, Located],
    transition: Transition, arguments: Mapping[str, Type],
) -> None:  # fmt: skip
    """If a call may be confirmed in part, every move of its entity, and of those that drive it, is of that amount."""
    if transition.upto and all(each.type.optional for each in transition.upto):
        at, sources = record["upto"].value[0], " and ".join(f"'{each.source}'" for each in transition.upto)
        page.faults.add(at, f"{sources} may be missing; one amount of 'upto' has to be there always")
    if transition.upto and not transition.partial:
        page.faults.add(record["upto"], "'upto' cuts the argument that 'partial' names, and there is no 'partial'")
    cut = transition.partial
    if cut is not None:
        if cut not in arguments or arguments[cut].kind not in ("money", UNKNOWN):
            hint = nearest(cut, [name for name, type_ in arguments.items() if type_.kind == "money"])
            page.faults.add(record["partial"], f"{cut!r} is not an argument of type money.{hint}")
            return
        if not transition.ask:
            page.faults.add(record["partial"], "'partial' needs an 'ask': only a provider can confirm less")
    else:
        for drive in transition.drives:
            cut = _driven_cut(page, machines, record, drive) or cut
        if cut and len(transition.drives) > 1:
            why = f"{key.value!r} drives a command that may be confirmed in part, so it must not drive another"
            page.faults.add(record["drive"], why)
    if cut and transition.target and page.states[transition.target].final:
        holding = {name for name, account in page.accounts.items() if not account.kept}
        for source in sorted(holding & {move.source for move in transition.moves}):
            why = f"{key.value!r} may be confirmed in part; the rest would stay on {source!r} in a final state"
            page.faults.add(record["move"], why)
    for move in transition.moves if cut else ():
        if move.amount.source.strip() != cut:
            why = f"so every move must be of {cut!r}, not of '{move.amount.source}'"
            page.faults.add(record["move"], f"{key.value!r} may be confirmed in part, {why}")


def _driven_cut(
    page: Declarations, machines: Mapping[str, Declarations], record: Mapping[str, Located], drive: Drive
) -> str | None:
    """The argument of this transition that the driven transition may cut, if there is one."""
    for partial in _cuttable(machines, drive.machine, drive.command, (page.name,)):
        found = drive.arguments.get(partial)
        if found is not None and found.source.strip().isidentifier() and found.code.startswith("a["):
            return found.source.strip()
        page.faults.add(record["drive"], f"{drive.machine}.{drive.command} may be confirmed in part: its {partial!r} "
                        "has to be an argument of this command")  # fmt: skip
    return None


def _cuttable(machines: Mapping[str, Declarations], machine: str, command: str, path: tuple[str, ...]) -> set[str]:
    """Arguments of a command that may be cut: by its own transitions, or by what these drive."""
    found = set()
    for record in machines[machine].answering(command) if machine not in path else ():
        if "partial" in record:
            found.add(record["partial"].value)
        for text, (other, driven) in _drives(machines[machine], record, machines):
            for partial in _cuttable(machines, other, driven, (*path, machine)):
                given = re.search(rf"\b{partial}\s*=\s*(\w+)\s*[,)]", text.value)
                found |= {given[1]} if given else set()
    return found


def _drives(
    page: Declarations, record: Mapping[str, Located], machines: Mapping[str, Declarations]
) -> list[tuple[Located, tuple[str, str]]]:
    """(machine, command) of each drive of a transition as written. What is wrong there is reported elsewhere."""
    types = {name: fact.type for name, fact in page.facts.items()}
    types |= {name: type_ for each in page.commands.values() for name, type_ in each.arguments.items()}
    found = []
    for text in record["drive"].value if "drive" in record else []:
        link, _, command = (part.strip() for part in text.value.partition("(")[0].partition("."))
        type_ = types.get(link)
        if type_ is not None and type_.kind == "link" and command in machines[type_.machine].commands:
            found.append((text, (type_.machine, command)))
    return found
