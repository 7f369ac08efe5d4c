"""Where each part of a page stands, so that a later finding can say so.

A place is named by what it is about: `("transition", "settle_part", "when")`, `("state", "closed")`,
`("refuse", "0")`. A declared thing stands where its name does, a key of a transition where its value does.
"""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.definition.cache import parse
from tallystick.definition.shapes import FileFaults, Located

Places = dict[tuple[str, ...], tuple[int, int]]

_DECLARED = {
    "states": "state", "facts": "fact", "accounts": "account", "outside": "outside", "commands": "command",
    "transitions": "transition", "invariants": "invariant",
}  # fmt: skip


def places(file: str, text: str) -> Places:
    """Line and column of every part of a page without faults."""
    found: Places = {}
    read = parse(text, FileFaults(file))
    page: Mapping[str, Located] = read.value if read is not None else {}
    if "machine" in page:
        found["machine",] = _place(page["machine"])
    for key, word in _DECLARED.items():
        for name, at in page[key].value if key in page else ():
            found[word, name.value] = _place(name)
            if word == "transition":
                found |= _transition(name.value, at.value)
            elif word in ("state", "outside") and isinstance(at.value, dict):
                found |= {(word, name.value, part): _place(each) for part, each in at.value.items() if part != "says"}
            elif word == "command":
                found |= {("command", name.value, argument.value): _place(argument) for argument, _ in at.value}
    for index, at in enumerate(page["refuse"].value if "refuse" in page else ()):
        found["refuse", str(index)] = _place(at)
        if "when" in at.value:
            found["refuse", str(index), "when"] = _place(at.value["when"])
    for number, _ in page["from version"].value if "from version" in page else ():
        found["from version", str(number.value)] = _place(number)
    for name, at in page["examples"].value if "examples" in page else ():
        found["example", name.value] = _place(name)
        for number, step in enumerate(at.value["do"].value):
            found["example", name.value, "do", str(number)] = _place(step)
        found |= {("example", name.value, "ends", key.value): _place(key) for key, _ in at.value["ends"].value}
    return found


def _transition(name: str, record: Mapping[str, Located]) -> Places:
    found: Places = {("transition", name, key): _place(at) for key, at in record.items()}
    for key, _ in record["move"].value if "move" in record else ():
        source, _, target = (part.strip() for part in key.value.partition("->"))
        found["move", name, f"{source} -> {target}"] = _place(key)
    return found


def _place(at: Located) -> tuple[int, int]:
    return at.line, at.column
