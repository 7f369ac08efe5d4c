"""Kept pages beside their digests, and the table of declared steps beside the pages."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.definition.behaviour import digest_of
from tallystick.engine.verify.report import Finding
from tallystick.errors import MachineError
from tallystick.store import schema
from tallystick.store.protocol import DeclaredStep, KeptPage, Reading
from tallystick.store.schema.kept import kept_machine


def declared_steps(reading: Reading) -> tuple[set[DeclaredStep], list[Finding]]:
    """The steps that the kept pages declare, and what is wrong with the pages and with the table."""
    pages, found = reading.pages(), []
    declared: set[DeclaredStep] = set()
    unread: set[tuple[str, int]] = set()
    for page in pages:
        try:
            machine = kept_machine(pages, page)
        except (MachineError, KeyError):
            unread.add((page.name, page.version))
            found.append(Finding("page", _where(page), "its kept page cannot be read, so it was changed"))
            continue
        declared |= set(schema.steps(machine))
        if (machine.version, digest_of(machine)) != (page.version, page.digest):
            what = "its kept page behaves otherwise than it did when it was first seen: it was changed"
            found.append(Finding("page", _where(page), what))
    found += _table(reading.steps(), declared, unread)
    return declared, found


def _table(steps: set[DeclaredStep], declared: set[DeclaredStep], unread: set[tuple[str, int]]) -> Iterator[Finding]:
    for step in sorted(step for step in steps ^ declared if step[:2] not in unread):
        machine, version, name, command, phase, from_state, to_state = step
        what = f"{name} ({command}, {phase}) {from_state or 'nothing'} → {to_state}"
        why = "stands in the table of steps, but its page does not declare it"
        if step in declared:
            why = "is declared by its page, but is missing from the table of steps"
        yield Finding("transition", f"{machine} version {version}", f"{what} {why}")


def _where(page: KeptPage) -> str:
    return f"{page.name} version {page.version}"
