"""Rehearsals: JSON Lines that also say what the provider does, and when waiting commands are executed.

They are for the `scripted` provider only. A command may say how the provider replies to its call, with one reply or a
list of them (`provider/scripted.py` has the words):

    {"key": "p1/2", "machine": "payment", …, "provider": "lost_after"}

Between commands a line may be a *deed*, with replies of its own:

    {"do": "due"}                                             what is due is executed
    {"do": "follow", "key": "p1/2>hold_again"}                what is queued under that key is executed, due or not
    {"do": "recover", "provider": ["ambiguous"]}              every open call is looked up
    {"do": "resolve", "key": "p1/2", "result": "confirmed"}   a person says what became of the call of that key
    {"do": "wait", "seconds": 3600}                           time passes; each line takes a second besides

Nothing runs by itself in a rehearsal, so a file says everything that happened, in its order. What fuzzing and the model
find is written like this.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import attrs

from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Receipt
from tallystick.errors import Invalid, nearest
from tallystick.money import Money
from tallystick.provider.scripted import Reply, ScriptedProvider

FIELDS: Mapping[str, tuple[str, ...]] = {
    "due": (),
    "follow": ("key",),
    "recover": (),
    "resolve": ("key", "result"),
    "wait": ("seconds",),
}
OPTIONAL: Mapping[str, tuple[str, ...]] = {"resolve": ("reference",)}
PERSON = "the script"  # who decides in a rehearsal


@attrs.frozen
class Deed:
    """What is done between two commands."""

    name: str
    key: str = ""
    result: str = ""
    reference: str | None = None
    seconds: int = 0

    def plain(self) -> dict[str, object]:
        """As a line has it, without replies."""
        fields = (*FIELDS[self.name], *OPTIONAL.get(self.name, ()))
        values = {name: getattr(self, name) for name in fields}
        return {"do": self.name, **{name: value for name, value in values.items() if value is not None}}


def read_deed(given: Mapping[str, Any]) -> Deed:
    """A line that has `do`. Raises Invalid."""
    name = given["do"]
    if not isinstance(name, str) or name not in FIELDS:
        hint = nearest(name, list(FIELDS)) if isinstance(name, str) else ""
        raise Invalid(f"{name!r:.40} is nothing to do between commands.{hint}")
    wanted, optional = FIELDS[name], OPTIONAL.get(name, ())
    for field in wanted:
        if field not in given:
            raise Invalid(f"{name} lacks {field!r}")
    for field in given:
        if field not in ("do", "provider", *wanted, *optional):
            raise Invalid(f"{name} has a field too many, {field[:40]!r}")
    values = {field: given[field] for field in (*wanted, *optional) if given.get(field) is not None}
    for field, value in values.items():
        fits = isinstance(value, str) if field != "seconds" else type(value) is int and 0 <= value < 10**9
        if not fits:
            raise Invalid(f"{field!r} of {name} cannot be {value!r:.40}")
    return Deed(name, **values)


def read_replies(given: object) -> tuple[Reply, ...]:
    """What stands under `provider`: a reply, or a list of them. Raises Invalid."""
    return tuple(Reply.read(each) for each in (given if isinstance(given, list) else [given]))


def scripted(engine: Engine, what: str) -> ScriptedProvider:
    """The engine's provider, if it can be told what to reply. Raises Invalid."""
    if not isinstance(engine.provider, ScriptedProvider):
        raise Invalid(f"{what} belongs into a rehearsal: run it with --provider scripted, and never on real books")
    return engine.provider


def perform(engine: Engine, deed: Deed) -> list[Receipt]:
    """Do it; the receipts of the commands that it ended or executed."""
    match deed.name:
        case "due":
            return engine.run_due()
        case "follow":
            return [engine.queue.run(deed.key)]
        case "recover":
            return engine.recover(timedelta(0))
        case "resolve":
            return [_resolve(engine, deed)]
    scripted(engine, "waiting").wait(deed.seconds)
    return []


def _resolve(engine: Engine, deed: Deed) -> Receipt:
    provider = scripted(engine, "a decision")
    with engine.store.reading() as reading:
        call = next((row for row in reading.calls() if row.key == deed.key), None)
    if call is None:
        raise Invalid(f"no call of {deed.key!r} is open")
    done = provider.done.get(call.id)
    known = done if done is not None and deed.result == "confirmed" else None
    reference = deed.reference or (known.reference if known else None)
    amount = Money(known.amount, call.currency) if known and known.amount is not None else None
    return engine.resolve(
        call.id, deed.result, by=PERSON, reason="as the script has it", reference=reference,
        amount=amount, number=known.number if known else None,
    )  # fmt: skip
