"""What has to be true after every step and at the end, each by a name, so that a failure can be found again.

After a step, for all that it wrote: no account is below zero, nothing is left in a final state, no refusal says that
the page is at fault, every transition is as the library `transitions` would fire it, the page's invariants and the
user's hold. At the end, when everything in doubt was resolved: `verify`, the referee, and the provider's books beside
ours.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from tallystick.core.entity import Entity, Ref
from tallystick.core.refusal import Refusal
from tallystick.definition.declared import IN_DOUBT, Invariant
from tallystick.definition.machine import Machine
from tallystick.engine.receipt import Receipt
from tallystick.engine.verify import verify
from tallystick.store.rows import EntryRow
from tallystick.testing.fuzzing.conformance import Conformance
from tallystick.testing.fuzzing.coverage import SHORT, Coverage, Goal
from tallystick.testing.fuzzing.guide import faulty
from tallystick.testing.fuzzing.invariants import UserInvariant, name_of, violation
from tallystick.testing.fuzzing.provider_agreement import ProviderAgreement, calls_that_differ
from tallystick.testing.fuzzing.world import FuzzFailure, World
from tallystick.testing.referee import judge
from tallystick.testing.store_rows import rows_of


class StepChecks:
    """Looks at a world after each of its steps."""

    def __init__(
        self, world: World, invariants: Sequence[UserInvariant] = (), coverage: Coverage | None = None
    ) -> None:
        self.world = world
        self.coverage = coverage if coverage is not None else Coverage()
        self._invariants = tuple(invariants)
        self._conformance = Conformance(world.machines)
        self._agreement = ProviderAgreement(world.machines, world.provider)
        self._outside: dict[Ref, Counter[str]] = {}
        self._asked: dict[str, dict[Ref, tuple[str, str]]] = {}  # call → who asked, in which state, by what
        self._seen = 0  # entries
        self._said = 0  # contacts with the provider

    # After a step

    def after_step(self, receipts: Sequence[Receipt | None] = ()) -> None:
        """Look at all that a step wrote, and at the answers it got. Raises FuzzFailure."""
        self.coverage.steps += 1
        entries = self.world.journal()
        for entry in entries[self._seen :]:
            self._entry(entry)
        self._seen = len(entries)
        self._contacts()
        for receipt in receipts:
            if receipt is not None and receipt.refusal is not None:
                self._refused(receipt.refusal)
        entities = self.world.everything()
        for entity in entities.values():
            self._entity(entity)
        if not self.world.open_calls():
            for why in self._agreement.at_rest(entities.values()):
                self._fail("provider", why)
        for machine in self.world.machines.values():
            for invariant in machine.invariants.values():
                self._declared(machine, invariant, entities)
        self._users()

    def _entry(self, entry: EntryRow) -> None:
        for why in self._conformance.take(entry):
            self._fail("conformance", why)
        for why in self._agreement.take(entry):
            self._fail("provider", why)
        self.coverage.states[entry.machine, entry.to_state] += 1
        if entry.phase in ("done", "confirmed"):
            self.coverage.transitions[entry.machine, str(entry.from_state), entry.transition] += 1
        if entry.phase == "asked":
            step = str(entry.from_state), entry.transition
            self._asked.setdefault(str(entry.call), {})[entry.machine, entry.entity] = step
        outside = self._outside.setdefault((entry.machine, entry.entity), Counter())
        accounts = json.loads(entry.after)
        for source, target, amount in json.loads(entry.postings):
            for name, change in ((source, -amount), (target, amount)):
                if name not in accounts:
                    outside[name] += change

    def _contacts(self) -> None:
        """What the provider said, counted for every transition of the call."""
        said = self.world.provider.contacts
        for call, reply in said[self._said :]:
            if reply.kind in ("found", "ambiguous", "silent"):
                self.coverage.look_ups[reply.kind] += 1
                continue
            kind = SHORT if reply.kind == "confirmed" and reply.amount is not None else reply.kind
            for (machine, _), (state, transition) in self._asked[call.id].items():
                self.coverage.replies[Goal(machine, state, transition, kind)] += 1
        self._said = len(said)

    def _refused(self, refusal: Refusal) -> None:
        self.coverage.refusals[refusal.machine, refusal.code.value] += 1
        if faulty(refusal):
            innermost = refusal
            while innermost.cause is not None:
                innermost = innermost.cause
            self._fail(f"refusal:{innermost.code}", refusal.why)

    def _entity(self, entity: Entity) -> None:
        machine = self.world.machines.at(entity.machine, entity.machine_version)
        for name, value in entity.accounts.items():
            if value < 0:
                self._fail(f"negative:{name}", f"{name} of {entity.machine} {entity.id!r} is {value}")
        if machine.states[entity.state].final:
            left = {name: entity.accounts[name] for name in machine.holding if entity.accounts[name]}
            if left:
                self._fail("final", f"{entity.machine} {entity.id!r} is {entity.state} and still holds {left}")

    def _declared(self, machine: Machine, invariant: Invariant, entities: Mapping[Ref, Entity]) -> None:
        always = invariant.always.compiled()
        for entity in entities.values():
            if entity.machine != machine.name:
                continue
            outside = dict.fromkeys(machine.outside, 0) | dict(self._outside.get(entity.ref, {}))
            sums = {
                name: sum(
                    each.accounts[total.account]
                    for each in entities.values()
                    if each.machine == total.machine and each.facts.get(total.fact) == entity.id
                )
                for name, total in invariant.sums.items()
            }
            values = {**outside, **entity.accounts, **sums}
            facts = {**dict.fromkeys(machine.facts), **entity.facts}
            if not always(values, facts, {}, entity.state, None):
                told = {**facts, **values, "state": entity.state}
                numbers = ", ".join(f"{name} {told[name]}" for name in sorted(invariant.always.names))
                why = f"{machine.name} {entity.id!r}: '{invariant.always.source}' is not true ({numbers})"
                self._fail(f"invariant:{invariant.name}", f"{why}. {invariant.says}")

    def _users(self) -> None:
        for each in self._invariants:
            why = violation(each, self.world)
            if why is not None:
                self._fail(f"invariant:{name_of(each)}", why)

    # At the end

    def at_the_end(self) -> None:
        """Let everything in doubt end, then look at the whole. Raises FuzzFailure."""
        self.world.resolve_everything()
        self.after_step()
        for row in self.world.open_calls():
            self._fail("in_doubt", f"call {row.id} ({row.verb} on {row.entity}) never ends: {row.note}")
        for entity in self.world.everything().values():
            if entity.accounts.get(IN_DOUBT):
                self._fail("in_doubt", f"{entity.machine} {entity.id!r} has value in doubt, and no call is open")
        for finding in verify(self.world.machines, self.world.store).findings:
            self._fail(f"verify:{finding.code}", str(finding))
        for why in judge(rows_of(self.world.store), None, self.world.acknowledged):
            self._fail("referee", why)
        with self.world.store.reading() as look:
            calls = {row.id: row for row in look.all_calls()}
        done = self.world.provider.done
        times, nothing = ({id: each.times for id, each in done.items()}, {id for id in done if done[id].amount == 0})
        for why in calls_that_differ(calls, times, excused=nothing):
            self._fail("provider", why)

    def _fail(self, code: str, why: str) -> None:
        raise FuzzFailure(code, why, self.world.lines)
