"""What a machine does, without wording and comments. Two machines with equal behaviour do the same.

The behaviour is plain values. A store takes their digest to know whether a page changed, and `tallystick diff` compares
them to say how two versions differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tallystick.definition.declared import Command, Transition
from tallystick.definition.expression import Expression
from tallystick.definition.machine import Machine


@lru_cache(maxsize=64)
def digest_of(machine: Machine) -> str:
    """SHA-256 of the behaviour: it does not change with comments, order of keys or wording."""
    return hashlib.sha256(json.dumps(behaviour(machine), sort_keys=True).encode()).hexdigest()


def behaviour(machine: Machine) -> dict[str, Any]:
    """What a machine does, as plain values by the keys of its page."""
    return {
        "machine": machine.name,
        "facts": {
            name: [str(fact.type), fact.default, fact.later, fact.unique, fact.states, fact.same]
            for name, fact in machine.facts.items()
        },
        "accounts": {name: account.kept for name, account in machine.accounts.items()},
        "outside": sorted(machine.outside),
        "states": {name: [state.start, state.final] for name, state in machine.states.items()},
        "commands": {
            name: [{key: str(type_) for key, type_ in command.arguments.items()}, *_flags(command)]
            for name, command in machine.commands.items()
        },
        "transitions": {name: _transition(each) for name, each in machine.transitions.items()},
        "refuse": _refusals(machine),
        "invariants": {
            name: [{key: tuple(total) for key, total in each.sums.items()}, each.always.code]
            for name, each in machine.invariants.items()
        },
    }


def _flags(command: Command) -> list[str]:
    return [kind for kind in ("driven", "patient", "signed", "once", "owed") if getattr(command, kind)]


def _refusals(machine: Machine) -> list[str]:
    """`state command`, and when, if not always."""
    over = {True: " over", False: ""}
    always = [f"{state} {command}{over[(state, command) in machine.over]}" for state, command in machine.on_purpose]
    sometimes = [
        f"{state} {command}: {each.guard.code}{over[each.over]}{' first' if each.first else ''}"
        for (state, command), refusals in machine.refused.items()
        for each in refusals
        if each.guard
    ]
    return sorted(always + sometimes)


def _transition(transition: Transition) -> dict[str, Any]:
    def code(expressions: Mapping[str, Expression]) -> dict[str, str]:
        return {name: expression.code for name, expression in expressions.items()}

    return {
        "command": list(transition.commands),
        "from": list(transition.sources),
        "to": transition.target,
        "else": transition.otherwise,
        "when": transition.guard and transition.guard.code,
        "drive": [[drive.link, drive.command, code(drive.arguments)] for drive in transition.drives],
        "ask": transition.ask and [transition.ask.verb, code(transition.ask.arguments)],
        "partial": [transition.partial, *(each.code for each in transition.upto)],
        "move": [[move.source, move.target, move.amount.code] for move in transition.moves],
        "set": code(transition.sets),
        "alike": transition.alike,
        "then": [
            [then.command, code(then.arguments), *([then.at and then.at.code, then.after] if then.later else [])]
            for then in transition.then
        ],
    }
