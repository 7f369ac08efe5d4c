"""The page of a machine: its picture, states and commands, money, invariants, and what shows that it holds.

All of it is read from the machine that runs, so it says what the YAML says and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tallystick import Machine
from tallystick.check.examples import lived
from tallystick.check.wording import amount
from tallystick.definition.declared import Example, Transition
from tallystick.definition.machine import Machines
from tallystick.diagram import draw


def index(machines: Iterable[Machine]) -> str:
    """The rows of the page that lists them."""
    return table(
        ("machine", "what it is"),
        ([f"[{each.name}]({each.name}.md)", cell(each.summary)] for each in machines),
    )


def picture(machine: Machine) -> str:
    """The brief picture: what usually happens, and what else may."""
    return str(draw(machine))


def page(machine: Machine, machines: Machines, holds: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """The whole page. The examples are lived for it, among all machines. `holds`: what was proved, by machine."""
    name = machine.name
    parts = [
        f"# {name}",
        cell(machine.summary),
        f"Version {machine.version}. This page is made from [`machines/{name}.yaml`](../../machines/{name}.yaml), "
        f"which is what runs. `tallystick machines {name}` prints the same on a terminal.",
        f"![{_words(machine)}]({name}.svg)",
        f"[How to read it](../explanation/pictures.md#how-to-read-it); [as Mermaid]({name}.mmd).",
        "## States",
        table(
            ("state", "", "what it means"),
            ([f"`{each.name}`", _marks(machine, each.name), cell(each.says)] for each in machine.states.values()),
        ),
        "## What each state answers",
        "Where a command leads from a state; *stays* keeps the state. A dash is a refusal on purpose: the reasons "
        "stand below. Most answers have a guard as well.",
        _answers(machine),
        *_who(machine),
        "## Transitions",
        "All moves of a transition happen together, or none does. *asks* is a call to the provider, *drives* is a "
        "command for another entity in the same commit, *then* is queued in that commit.",
        table(("transition", "when", "money", "and"), (_transition(each) for each in machine.transitions.values())),
        "## Money",
        *_money(machine),
        "## Facts",
        table(
            ("fact", "type", "what it means"),
            ([f"`{each.name}`", f"`{each.type}`", cell(each.says) or "–"] for each in machine.facts.values()),
        ),
        "## Refused on purpose",
        "What the caller reads, word for word, with the numbers of the moment behind it.",
        table(
            ("reason", "states", "commands", "when"),
            (
                [
                    cell(each.says),
                    _codes(each.states),
                    _codes(each.commands),
                    code(each.guard.prose) if each.guard else "always",
                ]
                for each in machine.refuse
            ),
        ),
        *_examples(machine, machines),
        "## Invariants",
        *_invariants(machine),
        *_proved(machine, holds),
        "## What shows it",
        _evidence(machine),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _words(machine: Machine) -> str:
    ends = " or ".join(state.name for state in machine.states.values() if state.final)
    return f"The states of a {machine.name.replace('_', ' ')}, from {machine.start} to {ends}"


def _marks(machine: Machine, name: str) -> str:
    state = machine.states[name]
    return ", ".join(mark for mark, true in (("begins", state.start), ("ends", state.final)) if true)


def _answers(machine: Machine) -> str:
    rows = []
    for command in machine.commands:
        cells = [code(command)]
        for state in machine.states:
            fired = [row.transition for row in machine.table.get((state, command), ())]
            targets = dict.fromkeys(each.target or "stays" for each in fired)
            declined = dict.fromkeys(f"declined: {each.otherwise}" for each in fired if each.otherwise)
            cells.append("<br>".join([*targets, *declined]) or "–")
        rows.append(cells)
    return table(["command", *machine.states], rows)


def _who(machine: Machine) -> list[str]:
    kinds = {
        "Given only by another machine": "driven",
        "Only with a name and a reason": "signed",
        "Waits in the queue until its guard is true": "patient",
    }
    found = {
        says: [each.name for each in machine.commands.values() if getattr(each, flag)] for says, flag in kinds.items()
    }
    lines = [f"* {says}: {_codes(names)}" for says, names in found.items() if names]
    return ["\n".join(lines)] if lines else []


def _transition(each: Transition) -> list[str]:
    steps = " or ".join(each.commands)
    name = code(each.name) + (f"<br>answers {steps}" if each.commands != (each.name,) else "")
    more = [f"asks {each.ask.verb}{', perhaps less' if each.partial else ''}"] if each.ask else []
    more += [f"drives {drive.link}.{drive.command}" for drive in each.drives]
    more += [f"then {then.name}{f' when {cell(then.when.prose)}' if then.when else ''}" for then in each.then]
    more += [f"sets {fact}" for fact in each.sets]
    conditions = each.guard.parts or (each.guard,) if each.guard else ()
    return [
        name,
        "<br>".join(cell(part.prose) for part in conditions) or "always",
        "<br>".join(f"{move.source} → {move.target}: {cell(move.amount.prose)}" for move in each.moves) or "–",
        "<br>".join(more) or "–",
    ]


def _money(machine: Machine) -> list[str]:
    if not machine.accounts:
        return ["It keeps no money of its own."]
    inside = [
        [code(each.name), cell(each.says), "may stay at the end" if each.kept else "empty at the end"]
        for each in machine.accounts.values()
    ]
    inside.append(["`in_doubt`", "Sent to the provider, answer not known.", "empty at the end"])
    outside = [[code(name), cell(says), _codes(machine.moved_by.get(name, ())) or "–"]
               for name, says in machine.outside.items()]  # fmt: skip
    return [
        "Inside, never below zero:",
        table(("account", "what stands there", ""), inside),
        "Outside, where value comes from and goes to:",
        table(("account", "what it is", "moved only by"), outside),
    ]


def _examples(machine: Machine, machines: Machines) -> list[str]:
    """Each example as a table of its steps, with what stood where after each."""
    if not machine.examples:
        return []
    parts = [
        "## Examples",
        "Short lives from the page, as `tallystick check` lives them. After each step: the state, and what stands on "
        "the accounts; an empty one is a dash.",
    ]
    for example in machine.examples.values():
        moments = lived(machines, machine, example)
        shown = [name for name in machine.columns if any(each.accounts[name] for each in moments)]
        begins = [code(f"{name}: {given}") for name, given in _beginning(example)]
        parts += [
            f"**{cell(example.name)}**" + (f" ({', '.join(begins)})" if begins else ""),
            table(
                ("step", "", "state", *shown),
                (
                    [
                        code(each.said),
                        "" if each.result == "done" else cell(each.result.partition(":")[0]),
                        code(each.state),
                        *(amount(each.accounts[name]) if each.accounts[name] else "–" for name in shown),
                    ]
                    for each in moments
                ),
            ),
        ]
    return parts


def _beginning(example: Example) -> list[tuple[str, str]]:
    """What an example says of who is there when it begins."""
    found = [("after", example.own.after)] if example.own.after else []
    for name, given in example.others.items():
        facts = ", ".join(f"{fact} {value}" for fact, value in given.facts.items())
        found.append((name, ", ".join(filter(None, [given.after, facts])) or given.machine))
    return found + [(name, str(value)) for name, value in example.own.facts.items() if name not in example.others]


def _invariants(machine: Machine) -> list[str]:
    general = "No account is ever below zero, and what one loses another gains. That holds of every machine."
    rows = [[cell(each.says), code(each.always.prose)] for each in machine.invariants.values()]
    return [f"{general} Of this one, too:", table(("what is true", "as it is checked"), rows)] if rows else [general]


def _proved(machine: Machine, holds: Mapping[str, Mapping[str, Sequence[str]]]) -> list[str]:
    """What holds in each state, as the proof has found it."""
    if machine.name not in holds:
        return []
    rows = [[code(state), "<br>".join(map(cell, says)) or "–"] for state, says in holds[machine.name].items()
            if state in machine.states]  # fmt: skip
    return [
        "## What holds in each state",
        "For all amounts and histories, while no call is open that will change the state. Nobody wrote it down: "
        "`tallystick check --explain` proves it from the transitions.",
        table(("state", "what was proved"), rows),
    ]


def _evidence(machine: Machine) -> str:
    asked = len(machine.states) * len(machine.commands)
    figures = (
        f"{len(machine.states)} states and {len(machine.commands)} commands make {asked} pairs: "
        f"{len(machine.table)} are answered, {len(machine.on_purpose)} are always refused, none is left open. "
    )
    assert asked == len(machine.table) + len(machine.on_purpose)
    searched = (
        "It reads its parts, which the model and the proof cannot do yet. Its structure is checked"
        if machine.reads_parts else
        "`tallystick check --prove` checks its structure, runs it through all it can do, and proves it for all amounts"
    )  # fmt: skip
    return (
        f"{figures}{searched}: [how](../how-to/checks.md), [with which figures](../explanation/evidence.md). "
        "Stories that fire each of its transitions are [killed and run again](../how-to/crashes.md), "
        "and the [simulation](../explanation/simulation.md) lives with it."
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(text: str) -> str:
    """Text in one line of a table, so that Markdown shows it as it is."""
    for sign in "\\`*[<|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def code(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`"


def _codes(names: Iterable[str]) -> str:
    return ", ".join(map(code, names))
