"""What the tests of the pure core share: a world of entities in memory, and words for it.

Entities are written as a line, so that a test reads as a table of balances:

    p authorized held=100 | c issued available=50 held=100

A part is an id, whose first letter says which machine it is of (or `machine:id`), a state, and the accounts and
facts that are not nothing. Commands are written the same way: `settle amount=40 last`. Amounts are minor units.
"""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.core import arguments
from tallystick.core.decide import decide
from tallystick.core.entity import Entity, Entry, InFlight, Intent, Plan, Posting, Ref, Request
from tallystick.core.refusal import Refusal
from tallystick.core.resolve import complete, create, meant, resolve, set_aside
from tallystick.definition import reader
from tallystick.definition.machine import Machines
from tallystick.provider.protocol import Outcome, Result

PACKAGED = reader.packaged_folder()
MACHINES = reader.load(PACKAGED)  # named, so that TALLYSTICK_MACHINES of the one who runs the tests has no say
PAGES = {f"{name}.yaml": machine.text for name, machine in MACHINES.items()}

CONFIRMED = Outcome(Result.CONFIRMED)
DECLINED = Outcome(Result.DECLINED)
UNAVAILABLE = Outcome(Result.UNAVAILABLE)
UNKNOWN = Outcome(Result.UNKNOWN)

OF = {"c": "gift_card", "n": "gift_card", "p": "payment", "f": "fulfilment", "r": "replacement", "t": "tender"}
FACTS: Mapping[str, Mapping[str, object]] = {
    "gift_card": {"form": "electronic", "kind": "gift"},
    "payment": {"order": "o1", "card": "c"},
    "fulfilment": {"order": "o1", "card": "c", "form": "electronic", "amount": 100},
    "tender": {"order": "o1", "requested": 100, "allow_partial": False},
    "replacement": {"old": "c", "new": "n", "form": "electronic"},
}


def confirmed(amount: int | None = None, reference: str | None = None, number: str | None = None) -> Outcome:
    return Outcome(Result.CONFIRMED, amount=amount, reference=reference, number=number)


def words(text: str) -> tuple[str, dict[str, object]]:
    """`settle amount=40 last` → settle, {amount: 40, last: True}."""
    name, *pairs = text.split()
    args: dict[str, object] = {}
    for pair in pairs:
        key, given, value = pair.partition("=")
        args[key] = (
            True if not given else value if key in TEXTS else _shares(value) if key == "shares" else _value(value)
        )
    return name, args


TEXTS = ("number", "pin")  # though they look like amounts


def _shares(text: str) -> object:
    """`p:40,p2:60` → [(p, 40), (p2, 60)]."""
    return [(id, int(amount)) for id, amount in (each.split(":") for each in text.split(","))]


def _value(text: str) -> object:
    number = int(text) if text.removeprefix("-").isdigit() else text
    return {"true": True, "false": False, "none": None}.get(text, number)


def ref(head: str) -> Ref:
    """`p2` → (payment, p2); `club:x` → (club, x)."""
    machine, given, id = head.partition(":")
    return (machine, id) if given else (OF[head[0]], head)


def entity(line: str, machines: Machines = MACHINES, currency: str = "BRL") -> Entity:
    """`p2 authorized held=100 hold=H1` → the entity."""
    head, rest = line.strip().split(" ", 1)
    name, id = ref(head)
    machine = machines[name]
    state, given = words(rest)
    assert state in machine.states, f"{name} has no state {state}"
    accounts = dict.fromkeys(machine.columns, 0)
    facts = {key: each.default for key, each in machine.facts.items()} | dict(FACTS.get(name, {}))
    for key, value in given.items():
        assert key in accounts or key in facts, f"{name} has no {key}"
        (accounts if key in accounts else facts)[key] = value
    return Entity(name, id, state, 1, machine.version, currency, facts, accounts)


def line(entity: Entity) -> str:
    """The entity as a line again, without facts."""
    head = entity.id if OF.get(entity.id[0]) == entity.machine else f"{entity.machine}:{entity.id}"
    return " ".join([head, entity.state, *(f"{name}={value}" for name, value in entity.accounts.items() if value)])


class World:
    """Entities, the journal of what happened to them, and the calls that are open."""

    def __init__(self, lines: str = "", machines: Machines = MACHINES, currency: str = "BRL") -> None:
        self.machines = machines
        self.currency = currency
        each = [entity(part, machines, currency) for part in lines.split("|") if part.strip()]
        self.entities: dict[Ref, Entity] = {one.ref: one for one in each}
        self.entries: list[Entry] = []
        self.open: dict[str, tuple[list[InFlight], int | None]] = {}
        self.calls = 0
        self.now = "2026-01-01T12:00:00.000Z"

    def __str__(self) -> str:
        return " | ".join(line(each) for each in self.entities.values())

    def __getitem__(self, head: str) -> Entity:
        return self.entities[ref(head)]

    def copy(self) -> World:
        """A world that goes its own way from here. Entities are never changed, only replaced."""
        other = World(machines=self.machines, currency=self.currency)
        other.entities, other.entries = dict(self.entities), list(self.entries)
        other.open, other.calls, other.now = dict(self.open), self.calls, self.now
        return other

    def create(self, machine: str, id: str, **facts: object) -> Plan:
        currency, known = arguments.created(
            self.machines[machine], {"currency": self.currency, **arguments.in_minor_units(facts)}
        )
        return self.take(create(self.machines[machine], id, currency, known))

    def decide(self, text: str, of: str = "") -> Intent | Refusal:
        """What a command would do. Without `of`, the first entity is meant."""
        name, id = ref(of) if of else next(iter(self.entities))
        machine = self.machines[name]
        command, args = words(text)
        given = arguments.in_minor_units(args)
        typed = arguments.typed(machine, machine.commands[command], given, self.currency)
        typed |= self.read(name, id, command, typed)
        return decide(self.machines, Request(name, id, command, typed, self.now), self.entities)

    def read(self, name: str, id: str, command: str, args: Mapping[str, object]) -> dict[str, object]:
        """What a command reads of parts and shares, found here in another way than the engine finds it."""
        found: dict[str, object] = {}
        for each in self.machines[name].commands[command].reads:
            if each == "now":
                continue
            owner, field = each.split(".")
            if owner == "shares":
                found[each] = sum(amount for _, amount in args["shares"])  # type: ignore[attr-defined]
                continue
            parts = [part for (kind, _), part in self.entities.items() if kind == owner and part.facts.get(name) == id]
            final = [part.id for part in parts if not self.machines[owner].states[part.state].final]
            counts = {"busy": sum(bool(part.calls) for part in parts), "count": len(parts), "each": tuple(final)}
            found[each] = counts[field] if field in counts else sum(part.accounts[field] for part in parts)
        return found

    def do(self, text: str, of: str = "", outcome: Outcome = CONFIRMED) -> Plan | Refusal:
        """Everything at once, as with no provider or a local one."""
        intent = self.decide(text, of)
        return intent if isinstance(intent, Refusal) else self.take(complete(self.machines, intent, outcome))

    def ask(self, text: str, of: str = "") -> str | Refusal:
        """The first half: what moves is set aside. Gives the call."""
        intent = self.decide(text, of)
        if isinstance(intent, Refusal):
            return intent
        assert intent.asked is not None, f"{text} asks nothing of the provider"
        self.calls += 1
        call = f"call {self.calls}"
        plan, steps = set_aside(self.machines, intent, call)
        amount = intent.asked.args.get("amount")
        self.open[call] = steps, amount if isinstance(amount, int) else None
        self.take(plan)
        return call

    def answer(self, call: str, outcome: Outcome) -> Plan | str:
        """The second half."""
        steps, asked = self.open[call]
        outcome = meant(outcome, partial=any(step.partial for step in steps))
        plan = resolve(self.machines, call, steps, self.entities, outcome, asked)
        if isinstance(plan, Plan):
            del self.open[call]
            self.take(plan)
        return plan

    def take(self, plan: Plan) -> Plan:
        self.entities |= {each.ref: each for each in plan.entities}
        self.entries += plan.entries
        return plan


def net(postings: list[Posting]) -> dict[str, int]:
    """What postings leave on each account, outside ones too."""
    total: dict[str, int] = {}
    for source, target, amount in postings:
        total[source] = total.get(source, 0) - amount
        total[target] = total.get(target, 0) + amount
    return total


def changed(page: str, *changes: str) -> dict[str, str]:
    """The packaged pages, one of them with `old` → `new`, `old` → `new`, … Each `old` has to stand there."""
    text = PAGES[page]
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text, f"{old!r} does not stand in {page}"
        text = text.replace(old, new, 1)
    return {**PAGES, page: text}
