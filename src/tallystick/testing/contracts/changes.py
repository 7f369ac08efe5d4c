"""What the contracts have in common: changes as the core makes them, rows of a call and the queue, threads."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import attrs

from tallystick.core import arguments, resolve
from tallystick.core.decide import decide
from tallystick.core.entity import Entity, Intent, Plan, Ref, Request
from tallystick.definition import reader
from tallystick.definition.machine import Machines
from tallystick.store.protocol import Store, Transaction
from tallystick.store.rows import CallRow, Changes, QueueRow, Stamp, entry_row

MACHINES = reader.load(reader.packaged_folder())
AT = "2026-03-01T12:00:00.000Z"


def changes(plan: Plan, key: str, at: str = AT) -> Changes:
    stamp = Stamp(key, f"mark of {key}", at, "ann", "because")
    made = Changes()
    for number, (entry, entity) in enumerate(zip(plan.entries, plan.entities, strict=True)):
        made.entries.append(entry_row(entry, entity, stamp, first=number == 0))
        made.entities[entity.ref] = entity
    return made


def born(
    id: str, machine: str = "gift_card", *, key: str = "", currency: str = "BRL", at: str = AT, **facts: object
) -> Changes:
    given = {"form": "electronic", **facts} if machine == "gift_card" else facts
    _, known = arguments.created(MACHINES[machine], {"currency": currency, **arguments.in_minor_units(given)})
    return changes(resolve.create(MACHINES[machine], id, currency, known), key or f"{machine}/{id}", at)


def done(world: dict[Ref, Entity], machine: str, id: str, command: str, *, key: str, **args: object) -> Changes:
    declared = MACHINES[machine].commands[command]
    given = arguments.typed(MACHINES[machine], declared, arguments.in_minor_units(args), "BRL")
    intent = decide(MACHINES, Request(machine, id, command, given, AT), world)
    assert isinstance(intent, Intent), intent
    return changes(resolve.complete(MACHINES, intent), key)


def put(store: Store, what: Changes, at: str = AT) -> Changes:
    store.run(lambda transaction: transaction.write(what, at))
    return what


def stopped(store: Store, what: Changes) -> None:
    """Write, and stop before the commit."""

    def stops(transaction: Transaction) -> None:
        if what.entries:
            transaction.write(what, AT)
        raise ZeroDivisionError

    store.run(stops)


def funded(store: Store, id: str = "c1", amount: str = "50.00", at: str = AT) -> None:
    """A card with money on it, made at that time, and a payment that holds 10.00 of it: p-c1."""
    put(store, born(id, at=at), at)
    for command, args in (("allocate", {}), ("activate", {}), ("issue", {"amount": amount})):
        do(store, "gift_card", id, command, key=f"{id}/{command}", **args)
    put(store, born(f"p-{id}", "payment", order="o1", card=id))
    do(store, "payment", f"p-{id}", "authorize", key=f"{id}/hold", amount="10.00")


def do(store: Store, machine: str, id: str, command: str, *, key: str, **args: object) -> None:
    """Lock, decide, write."""

    def job(transaction: Transaction) -> None:
        world = transaction.lock([(machine, id)]).entities
        transaction.write(done(world, machine, id, command, key=key, **args), AT)

    store.run(job)


def call_row(id: str, *, asked: str = AT, state: str = "open", **more: Any) -> CallRow:
    return attrs.evolve(
        CallRow(id, f"key of {id}", "hold", "gift_card", "c1", "BRL", '{"amount":5}', "[]", False, state, 1, AT, asked),
        **{"hash": "h", **more},
    )


def queue_row(key: str, *, due: str = AT, **more: Any) -> QueueRow:
    return attrs.evolve(QueueRow(key, "payment", "p1", "settle", '{"amount":5}', due, hash="h"), **more)


def snapshot(store: Store) -> dict[str, object]:
    """Everything a look can see."""
    with store.reading() as look:
        return {
            "entities": [each for name in MACHINES for each in look.all(name)],
            "journal": list(look.journal()),
            "calls": list(look.all_calls()),
            "queue": look.queue(),
        }


def pages(**changed: Callable[[str], str]) -> Machines:
    """The packaged pages, some of them rewritten."""
    texts = {file.stem: file.read_text(encoding="utf-8") for file in reader.packaged_folder().glob("*.yaml")}
    return reader.read({f"{name}.yaml": changed.get(name, str)(text) for name, text in texts.items()})


def newer(text: str) -> str:
    """A page with its version counted up by one."""
    return re.sub(r"(?m)^version: (\d+)$", lambda found: f"version: {int(found[1]) + 1}", text, count=1)


def second(text: str) -> str:
    """The next version of gift_card: one more account, fact, state and two commands."""
    text = newer(text)
    for old, new in (
        ("facts:\n", "facts:\n  shop: {is: text?, says: Where it was sold.}\n"),
        ("accounts:\n", "accounts:\n  pledged: Put aside by the owner.\n"),
        ("  replaced: {final", "  frozen: {says: Its owner wanted a rest.}\n  replaced: {final"),
        ("commands:\n", "commands:\n  freeze: {}\n  promise: {amount: money}\n"),
        ("transitions:\n", "transitions:\n  freeze: {from: issued, to: frozen}\n"
                           "  promise:\n    from: issued\n    when: 0 < amount <= available\n"
                           "    move: {available -> pledged: amount}\n"),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new, 1)
    return text


def at_once(jobs: list[Callable[[], None]]) -> None:
    errors: list[BaseException] = []

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001  # told below, in the thread of the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads)
