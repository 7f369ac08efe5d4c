"""What invariants of users are shown, and what they say of it.

An invariant is a function. It is given entities as they stand at one moment: after a step of a fuzzed story, in a state
that `check` has come to, in the books that a crash has left. It raises, or gives `False` or a sentence, where it does
not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from tallystick.core.entity import Entity, Ref

Rule = Callable[[Any], object]  # given a View


class View:
    """All entities at one moment."""

    def __init__(self, entities: Mapping[Ref, Entity]) -> None:
        self._entities = entities

    def everything(self) -> Mapping[Ref, Entity]:
        """All entities of all machines."""
        return self._entities

    def entities(self, machine: str) -> list[Entity]:
        """All entities of a machine."""
        return [each for each in self.everything().values() if each.machine == machine]

    def entity(self, machine: str, id: str) -> Entity | None:
        return self.everything().get((machine, id))


def name_of(rule: Rule) -> str:
    return getattr(rule, "__name__", "invariant")


def wrong(rule: Rule, view: View) -> str | None:
    """What an invariant finds wrong, or nothing."""
    silent = f"{name_of(rule)} does not hold"
    try:
        said = rule(view)
    except AssertionError as error:
        return str(error) or silent
    if said is False:
        return silent
    return (said or silent) if isinstance(said, str) else None


def in_model(rule: Rule) -> Callable[[Mapping[Ref, Entity]], str | None]:
    """The same invariant, as `check.model.explore` takes them."""

    @wraps(rule)
    def look(entities: Mapping[Ref, Entity]) -> str | None:
        return wrong(rule, View(entities))

    return look
