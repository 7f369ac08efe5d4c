"""Hypothesis strategies for any machine: amounts where its guards turn, facts, arguments, of every declared type.

    @given(amounts(machines, card, "hold"))            amounts worth trying as an argument of a command
    @given(arguments(machines, payment, "settle"))     all of its arguments, in minor units
    @given(facts(machines["gift_card"]))               what an entity is made with, as `create` takes it
    @given(entities(machines["gift_card"]))            an entity in any of its states, for properties of the core

An entity is as `decide` takes it. What a page does not bound is drawn up to the largest amount there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from hypothesis import strategies as st

from tallystick.core.entity import Entity, Ref
from tallystick.core.follow_up import Shares
from tallystick.definition.declared import EACH, IN_DOUBT, Command
from tallystick.definition.expression import NOW, TIME, Type
from tallystick.definition.machine import Machine, Machines
from tallystick.money import LIMIT, Money
from tallystick.testing.fuzzing import boundaries
from tallystick.testing.fuzzing.parts import Parts
from tallystick.testing.fuzzing.world import CURRENCY

IDS: Mapping[str, Sequence[str]] = {}


def amounts(
    machines: Machines, entity: Entity, command: str, argument: str = "amount",
    world: Mapping[Ref, Entity] | None = None,
) -> st.SearchStrategy[int]:  # fmt: skip
    """Amounts worth trying: nothing, one, where a guard turns and its two neighbours, all there is, and any other.

    `world` has what the entity links to: the guards of what it drives are looked at too.
    """
    known = {entity.ref: entity} if world is None else world
    turning = boundaries.amounts(machines, entity, command, argument, known)
    return st.one_of(st.sampled_from(turning), st.integers(-LIMIT, LIMIT))


def values(type_: Type, ids: Mapping[str, Sequence[str]] = IDS) -> st.SearchStrategy[object]:
    """Values of a type. `ids` names the entities that a link may lead to, by machine."""
    inner: st.SearchStrategy[object]
    match type_.kind:
        case "money" | "count":
            inner = st.one_of(st.sampled_from([0, 1, 100, LIMIT]), st.integers(0, LIMIT))
        case "flag":
            inner = st.booleans()
        case "choice":
            inner = st.sampled_from(type_.choices)
        case "link":
            inner = st.sampled_from(list(ids.get(type_.machine, ())) or ["nobody"])
        case "time":
            inner = st.sampled_from(boundaries.choices(TIME, lambda _: []))
        case "number":
            inner = st.from_regex(r"6006[0-9]{12}", fullmatch=True)
        case "secret":
            inner = st.from_regex(r"[0-9]{4,8}", fullmatch=True)
        case _:
            inner = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=20)
    return st.one_of(st.none(), inner) if type_.optional else inner


def arguments(
    machines: Machines, entity: Entity, command: str, world: Mapping[Ref, Entity] | None = None,
    ids: Mapping[str, Sequence[str]] = IDS,
) -> st.SearchStrategy[dict[str, object]]:  # fmt: skip
    """All arguments of a command, in minor units: amounts from where guards turn, anything else of its type.

    What the command reads of the entity's parts is among them, as `decide` takes it: of `world`, or else anything.
    """
    machine = machines.at(entity.machine, entity.machine_version)
    declared = machine.commands[command]
    parts = Parts(machines, world or {})
    each: dict[str, st.SearchStrategy[object]] = {}
    for name, type_ in declared.arguments.items():
        if type_.kind in ("money", "count"):
            drawn: st.SearchStrategy[object] = amounts(machines, entity, command, name, world)
            each[name] = st.one_of(st.none(), drawn) if type_.optional else drawn
        elif type_.kind == "shares":
            sharing = parts.sharing(entity, command, name)
            each[name] = shares([part.id for of in sharing for part in parts.of(entity, of)] if world else ["x", "y"])
        else:
            each[name] = values(type_, ids)
    if world:
        each |= {name: st.just(value) for name, value in parts.read(entity, declared).items()}
    else:
        each |= {name: _anything_read(name) for name in declared.reads if name.partition(".")[0] not in each}
    return st.fixed_dictionaries(each).map(lambda args: _with_totals(args, declared))


def shares(ids: Sequence[str]) -> st.SearchStrategy[object]:
    """Shares of some parts, none of them twice, in any order."""
    pairs = st.tuples(st.sampled_from(list(ids) or ["nobody"]), st.integers(1, LIMIT))
    return st.lists(pairs, min_size=1, max_size=4, unique_by=lambda pair: pair[0]).map(tuple)


def _anything_read(name: str) -> st.SearchStrategy[object]:
    if name == NOW:
        return values(TIME)
    if name.endswith(f".{EACH}"):
        return st.just(("x", "y"))
    return st.one_of(st.sampled_from([0, 0, 1, 100, LIMIT]), st.integers(0, LIMIT))


def _with_totals(args: dict[str, object], declared: Command) -> dict[str, object]:
    totals = [name for name in declared.reads if name.partition(".")[0] in declared.arguments]
    return args | {name: sum(each for _, each in cast(Shares, args[name.partition(".")[0]])) for name in totals}


def facts(
    machine: Machine, ids: Mapping[str, Sequence[str]] = IDS, currency: str = CURRENCY
) -> st.SearchStrategy[dict[str, object]]:
    """What `create` is given: every fact that is not set later, amounts as Money, and the currency."""
    given = {name: values(fact.type, ids) for name, fact in machine.facts.items() if not fact.later}
    for name in given:
        if machine.facts[name].type.kind == "money":
            given[name] = given[name].map(lambda minor: Money(minor, currency) if isinstance(minor, int) else minor)
    return st.fixed_dictionaries({**given, "currency": st.just(currency)})


def entities(
    machine: Machine, id: str = "x", ids: Mapping[str, Sequence[str]] = IDS, most: int = 1000
) -> st.SearchStrategy[Entity]:
    """An entity in any of its states, with up to `most` on each account; nothing is left in an end, nor in doubt."""

    def made(state: str) -> st.SearchStrategy[Entity]:
        final = machine.states[state].final
        empty = {name for name in machine.columns if name == IN_DOUBT or (final and name in machine.holding)}
        accounts = {name: st.just(0) if name in empty else st.integers(0, most) for name in machine.columns}
        known = {name: values(fact.type, ids) for name, fact in machine.facts.items()}
        return st.builds(
            lambda accounts, facts: Entity(machine.name, id, state, 1, machine.version, CURRENCY, facts, accounts),
            st.fixed_dictionaries(accounts),
            st.fixed_dictionaries(known),
        )

    return st.sampled_from(list(machine.states)).flatmap(made)
