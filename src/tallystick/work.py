"""What happens inside one transaction: commands decided one after the other, all their changes written at the end.

Entities are loaded once and then seen as the commands before have left them; the store is written to once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import attrs

from tallystick import arguments, refusal, resolve
from tallystick.decide import decide
from tallystick.entity import CREATE, Entity, Intent, Plan, Ref, Request
from tallystick.errors import Invalid, KeyReused
from tallystick.machine import Machine, Machines
from tallystick.provider import VERBS, Call, Outcome, Provider, Result
from tallystick.receipt import FOLLOWS, Answer, Command, Ended, Receipt, fingerprint, stamp
from tallystick.refusal import Code, Refusal
from tallystick.store import CallRow, Changes, QueueRow, Record, Stamp, Transaction, encode, record
from tallystick.told import card_facts, in_flight, outcome_kept, told

_SECRETS = {
    verb: tuple(name for name, kind in given.items() if kind.startswith("secret")) for verb, given in VERBS.items()
}


@attrs.frozen
class Sent:
    """A call that is committed and may now be sent, with what must not be stored."""

    call: Call


class Work:
    def __init__(
        self, machines: Machines, transaction: Transaction, provider: Provider, at: str, ids: Callable[[], str]
    ) -> None:
        self._machines = machines
        self._transaction = transaction
        self._provider = provider
        self._at = at
        self._ids = ids
        self._world: dict[Ref, Entity] = {}
        self._looked: set[Ref] = set()
        self._keyed: dict[str, Record] = {}
        self._changes = Changes()

    # Loading

    def load(self, commands: Iterable[Command]) -> None:
        """What these commands are about, in few reads: their keys, entities and all that is linked."""
        wanted = list(commands)
        if not wanted:
            return
        self._keyed |= self._transaction.keyed({command.key for command in wanted})
        refs = {(command.machine, command.id) for command in wanted}
        for command in wanted:
            refs.update(self._linked_by(command))
        self._reach(refs)

    def _reach(self, refs: Iterable[Ref]) -> None:
        """Load entities and, from them on, whatever they link to."""
        wanted = [ref for ref in refs if ref not in self._looked]
        while wanted:
            self._looked.update(wanted)
            found = self._transaction.entities(wanted)
            self._world |= found
            links = {
                (target, str(entity.facts[fact]))
                for entity in found.values()
                for fact, target in self._machines[entity.machine].links.items()
                if entity.facts.get(fact) is not None
            }
            wanted = [ref for ref in links if ref not in self._looked]

    def _linked_by(self, command: Command) -> Iterable[Ref]:
        machine = self._machines[command.machine]
        if command.command == CREATE:
            links = machine.links.items()
        else:
            types = machine.commands[command.command].arguments
            links = {name: type_.machine for name, type_ in types.items() if type_.kind == "link"}.items()
        return [(target, value) for name, target in links if isinstance(value := command.args.get(name), str)]

    # Commands

    def command(self, command: Command, *, send: bool = True) -> tuple[Receipt, Sent | None]:
        """Decide and remember to write. With a call to send, the receipt is in doubt until `close`.

        Raises:
            Invalid, KeyReused: it cannot be considered; nothing of it is remembered.
        """
        if (command.machine, command.id) not in self._looked:
            self.load([command])
        if command.command == CREATE:
            return self._create(command), None
        request, mark = self._request(command)
        if request is None:
            return _refused(command, refusal.missing(command.machine, command.id, command.command)), None
        seen = self._keyed.get(command.key)
        again = None
        if seen is not None:
            receipt, again = self._seen(command, seen, mark)
            if again is None:
                return receipt, None
        if command.due is not None:
            return self._defer(command, request, mark), None
        intent = decide(self._machines, request, self._world)
        if isinstance(intent, Refusal):
            return _refused(command, intent), None
        return self._carry_out(command, intent, mark, again, send)

    def preview(self, command: Command) -> Answer:
        """What the command would do now."""
        if command.command == CREATE:
            machine = self._machines[command.machine]
            currency, facts = arguments.created(machine, command.args)
            refused = self._uncreatable(command, machine, currency, facts)
            return Answer(refused is None, machine.start, CREATE, refusal=refused)
        request, _ = self._request(command)
        if request is None:
            return Answer(False, refusal=refusal.missing(command.machine, command.id, command.command))
        intent = decide(self._machines, request, self._world)
        if isinstance(intent, Refusal):
            return Answer(False, self._world[command.machine, command.id].state, refusal=intent)
        plan = resolve.complete(self._machines, intent)
        return Answer(True, plan.entities[0].state, plan.entries[0].transition, plan.entries[0].postings)

    def _request(self, command: Command) -> tuple[Request | None, str]:
        """The command with typed arguments, and its fingerprint; None if the entity does not exist."""
        entity = self._world.get((command.machine, command.id))
        if entity is None:
            return None, ""
        machine = self._machines.at(entity.machine, entity.machine_version)
        if command.command not in machine.commands:
            raise Invalid(f"{machine.name} {entity.id!r} runs on version {machine.version}, "
                          f"which has no command {command.command!r}")  # fmt: skip
        declared = machine.commands[command.command]
        args = arguments.typed(machine, declared, command.args, entity.currency)
        kept = resolve.kept(machine, command.command, args)
        return Request(command.machine, command.id, command.command, args), fingerprint(
            command.machine, command.id, command.command, kept
        )

    def _create(self, command: Command) -> Receipt:
        machine = self._machines[command.machine]
        currency, facts = arguments.created(machine, command.args)
        known = {name: value for name, value in facts.items() if value is not None}
        mark = fingerprint(command.machine, command.id, CREATE, {"currency": currency, **known})
        seen = self._keyed.get(command.key)
        if seen is not None:
            return self._seen(command, seen, mark)[0]
        refused = self._uncreatable(command, machine, currency, facts)
        if refused is not None:
            return _refused(command, refused)
        return self._apply(command, resolve.create(machine, command.id, currency, facts), mark, {}, None)

    def _uncreatable(
        self, command: Command, machine: Machine, currency: str, facts: Mapping[str, object]
    ) -> Refusal | None:
        entity = self._world.get((command.machine, command.id))
        if entity is not None:
            return refusal.of(entity, machine, CREATE, Code.EXISTS_ALREADY, "it exists already; choose another id")
        for fact, target in machine.links.items():
            if facts[fact] is None:
                continue
            linked = self._world.get((target, str(facts[fact])))
            code, why = Code.LINKED, f"its {fact}, {target} {facts[fact]!r}, does not exist"
            if linked is not None and linked.currency != currency:
                code, why = (
                    Code.CURRENCY,
                    f"it would be in {currency}, its {fact} {linked.id!r} is in {linked.currency}",
                )
            elif linked is not None:
                continue
            sentence = f"{machine.name} {command.id!r} cannot be created: {why}"
            return Refusal(code, machine.name, command.id, None, CREATE, sentence)
        return None

    def _carry_out(
        self, command: Command, intent: Intent, mark: str, again: CallRow | None, send: bool
    ) -> tuple[Receipt, Sent | None]:
        before = intent.steps[0].entity.accounts
        if intent.asked is None:
            return self._apply(command, resolve.complete(self._machines, intent), mark, before, None), None
        call = self._call_for(intent, again)
        if not self._provider.local:
            row = self._open(command, intent, call, again, sent=send)
            plan, aside = resolve.set_aside(self._machines, intent, row.id)
            steps = encode([attrs.astuple(step) for step in aside])
            self._changes.calls[row.id] = attrs.evolve(row, steps=steps)
            receipt = self._apply(command, plan, mark, before, None, first=again is None)
            why = f"{row.verb} was sent to the provider and its answer is not known yet (call {row.id})"
            receipt = attrs.evolve(receipt, result=Ended.IN_DOUBT, call=row.id, why=why)
            return receipt, Sent(
                attrs.evolve(call, attempt=row.attempts, opened_at=datetime.fromisoformat(row.opened))
            ) if send else None
        outcome = self._provider.perform(call)
        if outcome.result is not Result.CONFIRMED:
            why = f"provider {self._provider.name} says {outcome.result}: {outcome.text or outcome.reason or ''}"
            return _refused(command, refusal.unaided(command.machine, command.id, command.command, why)), None
        return self._apply(command, resolve.complete(self._machines, intent, outcome), mark, before, outcome), None

    def _call_for(self, intent: Intent, again: CallRow | None) -> Call:
        """The call an intent asks for; another attempt has the same id."""
        asked = intent.asked
        assert asked is not None
        secret = _SECRETS[asked.verb]
        args = {name: value for name, value in asked.args.items() if value is not None and name not in secret}
        secrets = {name: str(asked.args[name]) for name in secret if asked.args.get(name) is not None}
        order = intent.steps[0].entity.facts.get("order")
        id = again.id if again else self._ids()
        return Call(id, asked.verb, card_facts(asked.entity), args, secrets, order if isinstance(order, str) else None)

    def _open(self, command: Command, intent: Intent, call: Call, again: CallRow | None, *, sent: bool) -> CallRow:
        asked = intent.asked
        assert asked is not None
        return CallRow(
            id=call.id,
            key=command.key,
            verb=call.verb,
            machine=asked.entity.machine,
            entity=asked.entity.id,
            currency=asked.entity.currency,
            args=encode({**call.args, "order": call.order} if call.order else call.args),
            steps="[]",
            secret=bool(call.secrets),
            state="open",
            attempts=(again.attempts if again else 0) + sent,
            opened=again.opened if again else self._at,
            asked=self._at,
        )

    def _defer(self, command: Command, request: Request, mark: str) -> Receipt:
        machine = self._machines[command.machine]
        kinds = machine.commands[command.command].arguments
        for name, value in request.args.items():
            if kinds[name].kind == "secret" and value is not None:
                raise Invalid(
                    f"{command.command}({name}=…) carries a secret, which is never stored; it cannot be deferred"
                )
        entity = self._world[command.machine, command.id]
        assert command.due is not None
        kept = resolve.kept(machine, command.command, request.args)
        queued = self._queued(command.key)
        if queued is not None:
            stands_for = fingerprint(queued.machine, queued.entity, queued.command, json.loads(queued.args))
            if stands_for != mark:
                raise KeyReused(command.key, before=f"{queued.command} of {queued.machine} {queued.entity!r}")
        else:
            queued = QueueRow(
                command.key, command.machine, command.id, command.command, encode(kept), stamp(command.due),
                by=command.by, reason=command.reason,
            )  # fmt: skip
            self._changes.queue[command.key] = queued
        return Receipt(
            Ended.DEFERRED, command.key, command.machine, command.id, command.command, entity.state, entity.currency,
            entity.accounts, entity.accounts, why=f"it waits until {queued.due}",
        )  # fmt: skip

    def _queued(self, key: str) -> QueueRow | None:
        return self._changes.queue.get(key) or self._transaction.queued([key]).get(key)

    # Changes

    def _apply(
        self,
        command: Command,
        plan: Plan,
        mark: str,
        before: Mapping[str, int],
        outcome: Outcome | None,
        *,
        first: bool = True,
    ) -> Receipt:
        """Remember what the plan changes; the receipt of its first entity."""
        with_key = Stamp(command.key, mark, self._at, command.by, command.reason)
        keys = self._remember(plan, with_key, first=first)
        entry, entity = plan.entries[0], plan.entities[0]
        return Receipt(
            Ended.APPLIED, command.key, command.machine, command.id, command.command, entity.state, entity.currency,
            before or dict.fromkeys(entity.accounts, 0), entity.accounts, entry.postings, entry.transition, outcome,
            follow_ups=keys, pin=outcome.pin if outcome else None,
        )  # fmt: skip

    def _remember(self, plan: Plan, with_key: Stamp, *, first: bool) -> tuple[str, ...]:
        changes = self._changes
        for entry, entity in zip(plan.entries, plan.entities, strict=True):
            kept = record(entry, entity, with_key, first=first)
            changes.records.append(kept)
            if first:
                self._keyed[with_key.key] = kept
            first = False
            changes.entities[entity.ref] = entity
            self._world[entity.ref] = entity
        keys: list[str] = []
        for request in plan.then:
            key = f"{with_key.key}{FOLLOWS}{request.command}"
            key = key if key not in keys else f"{key}{len(keys) + 1}"
            keys.append(key)
            machine = self._machines.at(request.machine, self._world[request.machine, request.id].machine_version)
            args = encode(resolve.kept(machine, request.command, request.args))
            changes.queue[key] = QueueRow(
                key, request.machine, request.id, request.command, args, self._at,
                by=with_key.by, reason=with_key.reason, cause=with_key.key,
            )  # fmt: skip
        return tuple(keys)

    def write(self) -> None:
        self._transaction.write(self._changes, self._at)

    # What was seen before

    def _seen(self, command: Command, seen: Record, mark: str) -> tuple[Receipt, CallRow | None]:
        """The receipt of a key seen before; and its call if that is surely not done and may be made again."""
        if seen.fingerprint != mark:
            raise KeyReused(command.key, before=f"{seen.command} of {seen.machine} {seen.entity!r}")
        row = self._call(seen.call) if seen.call else None
        receipt = told(seen, row, self._caused(seen))
        return receipt, row if row is not None and row.state == "unavailable" else None

    def _caused(self, seen: Record) -> list[Record]:
        fresh = [each for each in self._changes.records if each.cause == seen.key]
        return [*self._transaction.caused(str(seen.key)), *fresh]

    def _call(self, id: str) -> CallRow | None:
        return self._changes.calls.get(id) or self._transaction.call(id)

    # Calls

    def told(self, id: str) -> Receipt:
        """What is known of a call's command by now."""
        row = self._call(id)
        if row is None:
            raise Invalid(f"there is no call {id!r}")
        seen = self._keyed.get(row.key) or self._transaction.keyed([row.key])[row.key]
        return told(seen, row, self._caused(seen))

    def claim(self, id: str, attempts: int) -> bool:
        """Whether the call is still open and was sent so often; if so it counts as sent once more."""
        row = self._call(id)
        if row is None or row.state != "open" or row.attempts != attempts:
            return False
        self._changes.calls[id] = attrs.evolve(row, attempts=attempts + 1, asked=self._at)
        return True

    def note(self, id: str, evidence: str) -> Receipt:
        """Keep why a call is still open."""
        row = self._call(id)
        if row is not None and row.state == "open":
            self._changes.calls[id] = attrs.evolve(row, note=evidence)
        return self.told(id)

    def close(self, id: str, outcome: Outcome, *, by: str | None = None, reason: str | None = None) -> Receipt:
        """Resolve a call with its outcome; somebody may have been faster."""
        row = self._call(id)
        if row is None or row.state != "open":
            return self.told(id)
        steps = [in_flight(*each) for each in json.loads(row.steps)]
        self._reach([(step.machine, step.id) for step in steps])
        plan = resolve.resolve(self._machines, id, steps, self._world, outcome)
        if isinstance(plan, str):
            return self.note(id, plan if outcome.result is not Result.UNKNOWN else outcome.text or plan)
        keys = self._remember(plan, Stamp(row.key, "", self._at, by, reason), first=False)
        state = plan.entries[0].phase
        note = f"{by}: {reason}" if by else row.note
        self._changes.calls[id] = attrs.evolve(
            row, state=state, closed=self._at, outcome=outcome_kept(outcome), note=note
        )
        self._requeue(row, state)
        return attrs.evolve(self.told(id), replayed=False, follow_ups=keys)

    def _requeue(self, row: CallRow, state: str) -> None:
        """A queued command whose call ended as surely not done waits for its next try."""
        queued = self._queued(row.key) if state == "unavailable" else None
        if queued is not None and queued.state == "done":
            self._changes.queue[row.key] = attrs.evolve(queued, state="waiting", due=self._at)

    def queue(self, row: QueueRow) -> None:
        """Keep what became of a queued command, unless that was told already."""
        kept = self._queued(row.key)
        if kept is not None and kept.attempts < row.attempts and kept.state == "waiting":
            self._changes.queue[row.key] = row


def _refused(command: Command, refused: Refusal) -> Receipt:
    return Receipt(
        Ended.REFUSED, command.key, command.machine, command.id, command.command, refused.state,
        refusal=refused, why=refused.why,
    )  # fmt: skip
