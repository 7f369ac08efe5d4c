"""The examples of a page, lived: what an author says of a life is compared with what becomes of it.

Logic finds what cannot be right. Whether a page does what was meant, only its author can say, and says it in examples.
They run through the real core and engine, on books in memory, with the scripted provider. What follows a step is done
before the next one. An example that comes out otherwise is a finding, with the way there as a rehearsal.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from random import Random
from typing import Any

import attrs

from tallystick.check.example_steps import Unlike, as_said, sentence
from tallystick.check.finding import Finding, finding
from tallystick.check.wording import CURRENCY, amount, joined
from tallystick.core.entity import CREATE, Entity, Ref
from tallystick.definition.declared import Example, ExampleStep, Given
from tallystick.definition.examples import OWN, PROVIDER, RECOVER, WAIT, time_of
from tallystick.definition.expression import Type
from tallystick.definition.machine import Machine, Machines
from tallystick.engine import rehearsal
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command, Receipt
from tallystick.engine.rehearsal import Deed
from tallystick.errors import Invalid
from tallystick.provider.half import Half
from tallystick.provider.scripted import LOOKED_UP, Reply, ScriptedProvider
from tallystick.store.memory import MemoryStore

ROUNDS = 20  # of follow-ups after one step
BY, REASON = "somebody", "as the example has it"  # where a command has to be signed
STUCK = ("refused", "parked")  # states of a follow-up that a person has to look at

Names = dict[str, Ref]  # who is who in an example


@attrs.frozen
class Moment:
    """A step of an example, and how its own entity stands after it. Amounts are minor units."""

    said: str
    result: str
    state: str
    accounts: Mapping[str, int]


def check_examples(machines: Machines, only: Collection[str] = ()) -> tuple[list[Finding], dict[str, int]]:
    """Live the examples of these machines: what comes out otherwise, and how much was lived."""
    found, counted = [], Counter(lives=0, steps=0)
    for name in only or machines:
        for example in machines[name].examples.values():
            life = Life(machines)
            counted["lives"] += 1
            try:
                life.live(machines[name], example)
            except Unlike as unlike:
                why = f"the example {example.name!r} comes out otherwise: {unlike.why}"
                place = unlike.place or ("example", example.name)
                found.append(finding("TS401", machines[name], why, *place, story=life.story, replay=life.lines))
            counted["steps"] += len(life.moments)
    return found, dict(counted)


class Life:
    """One example in books of its own. `moments` are its steps, `lines` the same as a rehearsal."""

    def __init__(self, machines: Machines) -> None:
        self.provider = ScriptedProvider()
        self.engine = Engine(machines, MemoryStore(), self.provider, clock=self.provider.clock,
                             ids=self._id, random=Random(0))  # noqa: S311  # fmt: skip
        self.machines = machines
        self.lines: list[dict[str, Any]] = []
        self.story: list[str] = []
        self.moments: list[Moment] = []
        self._calls = 0
        self._odd: set[str] = set()

    def _id(self) -> str:
        self._calls += 1
        return f"call-{self._calls}"

    def live(self, machine: Machine, example: Example) -> None:
        """Live it, and compare. Raises Unlike."""
        try:
            names = self._begin(example, machine.name, "", {})
        except Unlike as unlike:
            raise Unlike(unlike.why) from None  # it stands in an example that comes first
        own = names[OWN]
        for number, step in enumerate(example.steps):
            place = ("example", example.name, "do", str(number))
            try:
                result = self._do(step, names)
            except Unlike as unlike:
                raise Unlike(unlike.why, *place) from None
            now = self._entity(own)
            self.moments.append(Moment(step.written, result, now.state, dict(now.accounts)))
        self._compare(example, names)

    # Who is there

    def _begin(self, example: Example, id: str, prefix: str, instead: Mapping[str, object]) -> Names:
        """Everybody of an example, and all that comes before it. `instead`: facts that somebody else gives."""
        own: Ref = (example.own.machine, id)
        names: Names = {OWN: own}
        linking = {name for name, given in example.others.items() if OWN in given.facts.values()}
        for name, given in example.others.items():
            if name not in linking and name not in instead:
                names[name] = self._there(given, prefix + name, names)
        facts = {**self._named(example.own, names), **instead}
        if example.own.after:
            before = self.machines[own[0]].examples[example.own.after]
            there = self._begin(before, id, prefix, facts)
            for step in before.steps:
                self._do(step, there)
            names = there | names
        else:
            self._create(own, prefix, facts)
        for name in linking:
            names[name] = self._there(example.others[name], prefix + name, names)
        return names

    def _there(self, given: Given, id: str, names: Names) -> Ref:
        """Somebody who is there: new, or after an example of its own page."""
        facts = self._named(given, names)
        if not given.after:
            return self._create((given.machine, id), f"{id}.", facts)
        example = self.machines[given.machine].examples[given.after]
        there = self._begin(example, id, f"{id}.", facts)
        for step in example.steps:
            self._do(step, there)
        return given.machine, id

    def _named(self, given: Given, names: Names) -> dict[str, object]:
        """The facts of somebody, with ids in place of the names of an example."""
        facts = self.machines[given.machine].facts
        return {name: _with_ids(facts[name].type, value, names) for name, value in given.facts.items()}

    def _create(self, own: Ref, prefix: str, given: Mapping[str, object]) -> Ref:
        """Make one. What is not said is as simple as it can be."""
        facts = dict(given)
        for name, fact in self.machines[own[0]].facts.items():
            if name in facts or fact.later or fact.type.optional or fact.default is not None:
                continue
            match fact.type.kind:
                case "link":
                    facts[name] = self._create((fact.type.machine, prefix + name), f"{prefix}{name}.", {})[1]
                case "choice":
                    facts[name] = fact.type.choices[0]
                case "text":
                    facts[name] = name
        self._command(own, CREATE, {"currency": CURRENCY, **facts})
        return own

    def _who(self, path: str, names: Names) -> Ref:
        """Whom a path names: somebody of the example, then along the links."""
        first, *links = path.split(".") if path else [OWN]
        ref = names[first] if first in names else self._linked(names[OWN], first)
        for link in links:
            ref = self._linked(ref, link)
        return ref

    def _linked(self, ref: Ref, link: str) -> Ref:
        id = self._entity(ref).facts[link]
        if id is None:
            raise Unlike(f"{ref[1]} has no {link}")
        return self.machines[ref[0]].links[link], str(id)

    def _entity(self, ref: Ref) -> Entity:
        with self.engine.store.reading() as look:
            found = look.entity(*ref)
        if found is None:
            raise Unlike(f"there is no {ref[0]} {ref[1]!r}")
        return found

    # What is done

    def _do(self, step: ExampleStep, names: Names) -> str:
        """One step, and all that follows it; how it came out. Raises Unlike."""
        self.provider.reply_with(Reply(kind, part or None) for kind, part in step.replies)
        if step.command in (WAIT, RECOVER) and not step.whose and not step.args:
            result = "done"
            self._deed(Deed(WAIT, seconds=step.seconds) if step.command == WAIT else Deed(RECOVER))
        else:
            ref = self._who(step.whose, names)
            command = self.machines[ref[0]].commands[step.command]
            args = {name: _with_ids(command.arguments[name], value, names) for name, value in step.args.items()}
            said = step.written.removeprefix(f"{step.whose}.")
            receipt = self._command(ref, step.command, args, said, signed=command.signed)
            asked = len(self.provider.script) < sum(kind not in LOOKED_UP for kind, _ in step.replies)
            result = as_said(step, receipt, asked=asked)
        for _ in range(ROUNDS):
            if not self._deed(Deed("due")):
                break
        left = [*self.provider.script, *self.provider.look_ups]
        if left:
            raise Unlike(f"the provider is never asked what {step.written!r} has it answer with {left[0].kind!r}")
        self._look_at_what_followed(step)
        return result

    def _look_at_what_followed(self, step: ExampleStep) -> None:
        with self.engine.store.reading() as look:
            stuck = next((row for row in look.queue() if row.state in STUCK), None)
        if stuck is not None:
            raise Unlike(f"after {step.written!r}, {stuck.command} follows and is {stuck.state}: {stuck.note}")
        for id, done in self.provider.done.items():
            if done.change.odd and id not in self._odd:
                raise Unlike(f"at {step.written!r} no provider would have done what it was asked: {done.change.odd}")

    def _command(
        self, ref: Ref, command: str, args: Mapping[str, object], said: str = "", *, signed: bool = False
    ) -> Receipt:
        """Give a command, as a line of the rehearsal."""
        key = f"step {len(self.lines) + 1}"
        line = {"key": key, "machine": ref[0], "id": ref[1], "command": command, "args": dict(args)}
        line |= {"by": BY, "reason": REASON} if signed else {}
        wanted = Command(*ref, command, args, key, *((BY, REASON) if signed else ()))
        with self._as_line(line):
            try:
                receipt = self.engine.try_execute(wanted)
            except Invalid as error:
                raise Unlike(str(error)) from None
        if command == CREATE and not receipt.applied:
            raise Unlike(f"{ref[1]} cannot be made: {receipt.why}")
        if said:
            self.story.append(sentence(receipt, said))
        return receipt

    def _deed(self, deed: Deed) -> list[Receipt]:
        """What is done between commands; a look for what is due that finds nothing is no line."""
        line = deed.plain()
        with self._as_line(line):
            receipts = rehearsal.perform(self.engine, deed)
        if deed.name == "due" and not receipts:
            self.lines.pop()
        self.story += [sentence(each, each.command) for each in receipts]
        return receipts

    def _as_line(self, line: dict[str, Any]) -> _Line:
        return _Line(self.lines, line, self.provider)

    # How it ends

    def _compare(self, example: Example, names: Names) -> None:
        """Whether everybody is as the example says. An account of somebody it names is empty if it does not say it."""
        wrong: dict[str, str] = {}  # by the key of `ends` that says otherwise
        for path in dict.fromkeys(["", *(key.rpartition(".")[0] for key in example.ends)]):
            if path.rpartition(".")[2] == PROVIDER and PROVIDER not in names:
                wrong |= self._at_the_provider(example, path, names)
                continue
            ref = self._who(path, names)
            entity, machine = self._entity(ref), self.machines[ref[0]]
            dot = f"{path}." if path else ""
            outside = self._outside(ref)
            for account in machine.columns:
                wanted = example.ends.get(dot + account, "0.00")
                wrong |= _apart(dot + account, amount(entity.accounts[account]), _two_decimals(wanted))
            for key, wanted in example.ends.items():
                at, _, name = key.rpartition(".")
                if at != path or name in machine.columns:
                    continue
                if name == "state":
                    wrong |= _apart(key, entity.state, wanted)
                elif name in machine.outside:
                    wrong |= _apart(key, amount(outside[name]), _two_decimals(wanted))
                else:
                    wrong |= _apart(key, *_fact(machine.facts[name].type, entity.facts[name], wanted, names))
        if wrong:
            first = next((key for key in wrong if key in example.ends), None)
            place = ("example", example.name, "ends", *([first] if first else []))
            raise Unlike(f"at its end {joined(wrong.values())}", *place)

    def _at_the_provider(self, example: Example, path: str, names: Names) -> dict[str, str]:
        """What the provider has otherwise than the example says."""
        _, id = self._who(path.removesuffix(PROVIDER).removesuffix("."), names)
        half = self.provider.halves.get(id, Half())
        there = {"available": half.available, "held": half.held}
        wrong: dict[str, str] = {}
        for name, minor in there.items():
            key = f"{path}.{name}"
            wrong |= _apart(key, amount(minor), _two_decimals(example.ends.get(key, amount(minor))))
        return wrong

    def _outside(self, ref: Ref) -> Counter[str]:
        """What went to each outside account; less than zero came from there."""
        found: Counter[str] = Counter()
        inside = self.machines[ref[0]].columns
        with self.engine.store.reading() as look:
            for entry in look.journal(*ref):
                for source, target, minor in json.loads(entry.postings):
                    found.update({name: by * minor for name, by in ((source, -1), (target, 1)) if name not in inside})
        return found


@attrs.frozen
class _Line:
    """One line of the rehearsal: a second later, with the replies of the provider that were not the usual ones."""

    lines: list[dict[str, Any]]
    line: dict[str, Any]
    provider: ScriptedProvider
    said: list[int] = attrs.field(factory=list)

    def __enter__(self) -> None:
        self.lines.append(self.line)
        self.provider.wait(1)
        self.said.append(len(self.provider.contacts))

    def __exit__(self, *_: object) -> None:
        said = [reply.plain(call.card.currency) for call, reply in self.provider.contacts[self.said[0] :]]
        while said and said[-1] in ("confirmed", "found"):
            said.pop()
        if said:
            self.line["provider"] = said


def _apart(key: str, found: str, wanted: str) -> dict[str, str]:
    return {} if found == wanted else {key: f"{key} is {found}, and not {wanted}"}


def _two_decimals(text: str) -> str:
    whole, _, cents = text.partition(".")
    return f"{whole}.{cents.ljust(2, '0')}"


def _fact(type_: Type, value: object, wanted: str, names: Names) -> tuple[str, str]:
    """A fact, and what it should be, as texts that can be compared."""
    if wanted == "some":
        return ("none", "some") if value is None else ("some", "some")
    if type_.kind == "money" and wanted != "none":
        wanted = _two_decimals(wanted)
    if type_.kind == "time" and wanted != "none":
        wanted = time_of(wanted)
    if type_.kind == "money" and isinstance(value, int):
        found = amount(value)
    else:
        found = "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return found, names[wanted][1] if type_.kind == "link" and wanted in names else wanted


def _with_ids(type_: Type, value: Any, names: Names) -> object:
    """A value of an example, with the ids of those whom it names."""
    if type_.kind == "link" and value is not None:
        return names[value][1]
    if type_.kind == "shares":
        return [[names[part][1], share] for part, share in value]
    return value


def lived(machines: Machines, machine: Machine, example: Example) -> list[Moment]:
    """The steps of an example with what became of them, for people. Raises Unlike."""
    life = Life(machines)
    life.live(machine, example)
    return life.moments
