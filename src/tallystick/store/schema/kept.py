"""The pages that a store keeps: every version that entities were made with, or that they have moved to."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache

from tallystick.definition import reader
from tallystick.definition.behaviour import digest_of
from tallystick.definition.machine import Machine, Machines
from tallystick.errors import MachineChanged
from tallystick.store.protocol import KeptPage


def with_kept(connection: sqlite3.Connection, machines: Machines) -> Machines:
    """The given machines and every other version kept in the store."""
    return with_pages(kept_pages(connection), machines)


def with_pages(pages: Sequence[KeptPage], machines: Machines) -> Machines:
    """The given machines and every other version that is kept, read from its own text.

    Machines name each other, so a version is read beside the pages of its time.
    """
    found = {(each.name, each.version): each for each in machines.all()}
    for page in pages:
        if (page.name, page.version) not in found:
            found[page.name, page.version] = kept_machine(pages, page)
    return Machines(list(found.values()))


def are_kept(pages: Sequence[KeptPage], machines: Machines) -> bool:
    """Whether these machines are kept as they are.

    Raises:
        MachineChanged: a page behaves differently from the kept one with the same version.
    """
    kept = {(page.name, page.version): page for page in pages}
    for machine in machines.all():
        page = kept.get((machine.name, machine.version))
        if page is not None and page.digest != digest_of(machine):
            raise MachineChanged(
                f"{machine.file}: {machine.name} version {machine.version} behaves otherwise than the version "
                f"{machine.version} that these books were opened with before; give the changed page a new version"
            )
        if page is not None and page.text != machine.text and "from version" in page.text:
            check_words(kept_machine(pages, page), machine)
    found = [kept.get((each.name, each.version)) for each in machines.all()]
    return all(page and page.text == each.text for page, each in zip(found, machines.all(), strict=True))


def check_words(before: Machine, machine: Machine) -> None:
    """Words about older versions are added, and never changed: entities may have moved by them.

    Raises:
        MachineChanged: it is otherwise.
    """
    for version, words in before.migrations.items():
        if machine.migrations.get(version) != words:
            raise MachineChanged(
                f"{machine.file}: 'from version {version}' of {machine.name} version {machine.version} says otherwise "
                "than when these books were opened with it before, and entities may have moved by that; give the "
                "changed page a new version"
            )


def kept_pages(connection: sqlite3.Connection | sqlite3.Cursor) -> list[KeptPage]:
    """All versions of all machines, in the order in which they were seen."""
    select = "SELECT name, version, digest, definition, seen FROM machine ORDER BY seen, version"
    return [KeptPage(*row) for row in connection.execute(select).fetchall()]


def kept_machine(pages: Sequence[KeptPage], page: KeptPage) -> Machine:
    """A kept page, read beside the pages of the other machines at its time.

    Raises:
        MachineError, KeyError: it cannot be read, or is of another machine, so it was changed.
    """
    texts = {each.name: each.text for each in reversed(pages)}  # the oldest, where none was there yet
    texts |= {each.name: each.text for each in pages if each.seen <= page.seen} | {page.name: page.text}
    return _read(tuple(sorted(texts.items())))[page.name]


@lru_cache(maxsize=16)
def _read(texts: tuple[tuple[str, str], ...]) -> Machines:
    """Pages of one time are read once, for all of them and for who asks again."""
    return reader.read(dict(texts), examples=False)
