"""What a transition may ask of the provider: one call in a command, and what may be confirmed in part.

One call, so that one answer ends the command. Confirmed in part means that much moved on and the rest moved
back; that is only so simple if every move of every step is of the one argument that is cut.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tallystick.definition.declarations import Declared
from tallystick.definition.expression import UNKNOWN, Type
from tallystick.definition.format import At
from tallystick.definition.machine import Drive, Transition
from tallystick.errors import nearest


def check_calls(
    page: Declared, machines: Mapping[str, Declared], key: At, record: Mapping[str, At], transition: Transition
) -> None:
    calls = (1 if transition.ask else 0) + sum(
        _calls(page, machines, drive.machine, drive.command, (page.name,)) for drive in transition.drives
    )
    if calls > 1:
        at = record.get("drive") or record["ask"]
        page.faults.add(at, f"{key.value!r} makes {calls} calls; a command may make one, so that one answer ends it")
    written = record["drive"].value if "drive" in record else []
    if transition.otherwise and not calls and len(written) == len(transition.drives):
        page.faults.add(record["else"], f"{key.value!r} makes no call, so nothing can be declined")


def _calls(page: Declared, machines: Mapping[str, Declared], machine: str, command: str, path: tuple[str, ...]) -> int:
    """The most calls that a driven command can make."""
    if machine in path:
        cycle = " → ".join((*path, machine))
        page.faults.add(page.page["machine"], f"{cycle}: a machine would drive itself")
        return 0
    most = 0
    for record in machines[machine].answering(command):
        drives = _drives(machines[machine], record, machines)
        deeper = sum(_calls(page, machines, *driven, (*path, machine)) for _, driven in drives)
        most = max(most, (1 if "ask" in record else 0) + deeper)
    return most


def check_partial(
    page: Declared,
    machines: Mapping[str, Declared],
    key: At,
    record: Mapping[str, At],
    transition: Transition,
    arguments: Mapping[str, Type],
) -> None:
    """A call confirmed in part scales every move of its own entity and of those that drive it."""
    if transition.upto and not transition.partial:
        page.faults.add(record["upto"], "'upto' cuts the argument that 'partial' names; name it")
    cut = transition.partial
    if cut is not None:
        if cut not in arguments or arguments[cut].kind not in ("money", UNKNOWN):
            hint = nearest(cut, [name for name, type_ in arguments.items() if type_.kind == "money"])
            page.faults.add(record["partial"], f"{cut!r} is no amount among the arguments.{hint}")
            return
        if not transition.ask:
            page.faults.add(record["partial"], "'partial' belongs to a transition that asks")
    else:
        for drive in transition.drives:
            cut = _driven_cut(page, machines, record, drive) or cut
        if cut and len(transition.drives) > 1:
            why = f"{key.value!r} drives one that may be confirmed in part, so it drives that one alone"
            page.faults.add(record["drive"], why)
    if cut and transition.target and page.states[transition.target].final:
        holding = {name for name, account in page.accounts.items() if not account.kept}
        for source in sorted(holding & {move.source for move in transition.moves}):
            why = f"{key.value!r} may be confirmed in part; the rest would stay on {source!r} in a final state"
            page.faults.add(record["move"], why)
    for move in transition.moves if cut else ():
        if move.amount.source.strip() != cut:
            why = f"{key.value!r} may be confirmed in part, so every move is of {cut!r}, not of '{move.amount.source}'"
            page.faults.add(record["move"], why)


def _driven_cut(page: Declared, machines: Mapping[str, Declared], record: Mapping[str, At], drive: Drive) -> str | None:
    """The argument of this transition that the driven one may cut, if it may."""
    for partial in _cuttable(machines, drive.machine, drive.command, (page.name,)):
        given = drive.arguments.get(partial)
        if given is not None and given.source.strip().isidentifier() and given.code.startswith("a["):
            return given.source.strip()
        page.faults.add(record["drive"], f"{drive.machine}.{drive.command} may be confirmed in part: its {partial!r} "
                        "has to be an argument of this command itself")  # fmt: skip
    return None


def _cuttable(machines: Mapping[str, Declared], machine: str, command: str, path: tuple[str, ...]) -> set[str]:
    """Arguments of a command that may be cut: by its own transitions, or by what these drive."""
    found = set()
    for record in machines[machine].answering(command) if machine not in path else ():
        if "partial" in record:
            found.add(record["partial"].value)
        for at, (other, driven) in _drives(machines[machine], record, machines):
            for partial in _cuttable(machines, other, driven, (*path, machine)):
                given = re.search(rf"\b{partial}\s*=\s*(\w+)\s*[,)]", at.value)
                found |= {given[1]} if given else set()
    return found


def _drives(
    declared: Declared, record: Mapping[str, At], machines: Mapping[str, Declared]
) -> list[tuple[At, tuple[str, str]]]:
    """(machine, command) of each drive of a transition as written; what is wrong there is told elsewhere."""
    types = {name: fact.type for name, fact in declared.facts.items()}
    types |= {name: type_ for each in declared.commands.values() for name, type_ in each.arguments.items()}
    found = []
    for at in record["drive"].value if "drive" in record else []:
        link, _, command = (part.strip() for part in at.value.partition("(")[0].partition("."))
        type_ = types.get(link)
        if type_ is not None and type_.kind == "link" and command in machines[type_.machine].commands:
            found.append((at, (type_.machine, command)))
    return found
