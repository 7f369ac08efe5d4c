"""Users' invariants: what they are given, and what they say.

An invariant is a function. It is given the entities as they stand at one moment: after a step of a fuzzed story, in a
state that `check` has come to, in the books that a crash has left. If it does not hold, it raises AssertionError, or
returns False or a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from tallystick.core.entity import Entity, Ref
from tallystick.definition.machine import Machines
from tallystick.store.protocol import Store

UserInvariant = Callable[[Any], object]  # is given an EntityView


class EntityView:
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


def everything_in(store: Store, machines: Machines) -> dict[Ref, Entity]:
    """All entities of these machines, as they stand in a store."""
    with store.reading() as look:
        return {each.ref: each for name in machines for each in look.all(name)}


def name_of(rule: UserInvariant) -> str:
    return getattr(rule, "__name__", "invariant")


def violation(rule: UserInvariant, view: EntityView) -> str | None:
    """What an invariant finds wrong, as a sentence; None if it holds."""
    unsaid = f"{name_of(rule)} does not hold"
    try:
        said = rule(view)
    except AssertionError as error:
        return str(error) or unsaid
    if said is False:
        return unsaid
    return (said or unsaid) if isinstance(said, str) else None


def for_check(rule: UserInvariant) -> Callable[[Mapping[Ref, Entity]], str | None]:
    """The same invariant, as `check.model.explore` takes them."""

    @wraps(rule)
    def look(entities: Mapping[Ref, Entity]) -> str | None:
        return violation(rule, EntityView(entities))

    return look
