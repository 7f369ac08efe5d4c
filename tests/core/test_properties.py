"""What is true after any commands in any order, with any answers in any order.

Two cards, three payments, a lost card, a blank and a replacement. Hypothesis writes a story: commands done at once, commands
asked and left open, answers to any open call. After every line of it the books have to be sound; at its end, when
every call is answered, nothing is in doubt and everything held can be let go.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core_world import DECLINED, MACHINES, UNAVAILABLE, UNKNOWN, World, confirmed, net
from tallystick.core import refusal
from tallystick.core.entity import Entity, Intent, Plan, Ref
from tallystick.core.refusal import Code, Refusal
from tallystick.definition.declared import IN_DOUBT
from tallystick.provider.protocol import Outcome

GIVEN = (
    "c issued available=30 limit=60 | c2 issued available=12 cash_out_limit=9 | c3 suspended available=8 was=issued | n inventory | "
    "p requested card=c | p2 requested card=c | p3 requested card=c2 | r requested old=c3 new=n"
)
WHO = ["p", "p2", "p3", "c", "c2", "c3", "n", "r"]
ENDING = [
    "cancel",
    "close",
    "redeem",
    "suspend",
    "observe",
    "recognize",
]  # else most stories end on the first page
EASE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Line(NamedTuple):
    """One line of a story; the numbers choose among what there is to choose."""

    deed: str
    who: str
    which: int
    amount: int
    near: int
    flags: int
    part: int

    @classmethod
    def of(cls, number: int) -> Line:
        """All of it from one number: one draw instead of seven, and a story is told in a tenth of the time.

        Hypothesis likes small numbers; scattered, they are lines as different as any.
        """
        number, chosen = number * 2654435761 % MANY, []
        for size in (5, len(WHO) + 3, 12, 14, 10, 8, 21):
            number, index = divmod(number, size)
            chosen.append(index)
        deed, who, *rest = chosen
        return cls(["do", "ask", "ask", "answer", "follow"][deed], [*WHO, "p", "p2", "p3"][who], *rest)


MANY = 5 * 11 * 12 * 14 * 10 * 8 * 21
lines = st.integers(0, MANY - 1).map(Line.of)
stories = st.lists(lines, min_size=25, max_size=80)


class Story:
    """A world, and what is known of it from outside the core: what was posted, and what is open."""

    def __init__(self, going_on: Story | None = None) -> None:
        self.world = going_on.world.copy() if going_on else World(GIVEN)
        self.begun = going_on.begun if going_on else dict(self.world.entities)
        self.moved: dict[Ref, Counter[str]] = {ref: Counter() for ref in self.begun}
        self.revisions: Counter[Ref] = Counter(dict.fromkeys(self.begun, 1))
        self.read = 0  # entries
        self.queue: list[tuple[str, str]] = []  # what was queued: whose, and the command
        self.refused: Counter[Code] = Counter()

    def tell(self, line: Line) -> None:
        if line.deed == "answer":
            self.answer(line)
            return
        who, command = line.who, self.command(line)
        if line.deed == "follow" and self.queue:
            who, command = self.queue.pop(0)
        intent = self.world.decide(command, who)
        if isinstance(intent, Refusal):
            self.refused[last(intent).code] += 1
        elif line.deed != "ask" or intent.asked is None:
            self.follow(self.world.do(command, who, outcome=self.part_of(line, intent)))
        else:
            self.world.ask(command, who)

    def follow(self, plan: Plan | Refusal | str) -> None:
        assert isinstance(plan, Plan)
        for request in plan.then:
            args = [
                f"{name}={value}" for name, value in request.args.items() if value is not None and value is not False
            ]
            self.queue.append((request.id, " ".join([request.command, *args])))

    def command(self, line: Line) -> str:
        """A command that the state answers, with amounts that are near what stands there."""
        entity = self.world[line.who]
        machine = MACHINES[entity.machine]
        known = [*(refusal.answered(machine, entity.state) or machine.commands)]
        if line.part % 8:
            known = [each for each in known if each not in ENDING] or known
        name = known[line.which % len(known)]
        near = [line.amount, *(each for value in entity.accounts.values() for each in (value, value // 2) if each)]
        if entity.machine in ("payment", "replacement"):  # what there is on the card is a good amount too
            near.append(
                self.world.entities["gift_card", str(entity.facts.get("card") or entity.facts["old"])].accounts[
                    "available"
                ]
            )
        money = near[line.near % len(near)] * (-1 if name == "adjust" and line.flags % 2 else 1)
        values = {
            "money": money,
            "number": "6006490281",
            "flag": "true",
            "gift_card": "n",
            "choice": "gift",
            "time": "2026-02-01T00:00:00Z",
        }
        args, flag = [], 1
        for key, type_ in machine.commands[name].arguments.items():
            if type_.kind == "flag":
                args += [key] if line.flags & flag and (key != "last" or line.flags > 5) else []
                flag *= 2
            elif not type_.optional:
                args.append(f"{key}={values[type_.machine or type_.kind]}")
        return " ".join([name, *args])

    def part_of(self, line: Line, intent: Intent) -> Outcome:
        """All of it, or where the provider may confirm less, sometimes less, but something."""
        asked = intent.asked.args.get("amount") if intent.asked else None
        if line.part < 5 and isinstance(asked, int) and any(step.partial for step in intent.steps):
            return confirmed(1 + line.part % asked, "R")
        return confirmed(reference="R", number="6006490281")

    def answer(self, line: Line, *, final: bool = False) -> None:
        world = self.world
        if not world.open:
            return
        call = list(world.open)[line.which % len(world.open)]
        steps, asked = world.open[call]
        partial = any(step.partial for step in steps)
        part = [confirmed(line.amount % (asked + 1), "R")] if partial and asked else [confirmed(number="6006490281")]
        if not final:
            part.append(UNKNOWN)
        before = dict(world.entities)
        outcome = [confirmed(reference="R", number="6006490281"), DECLINED, UNAVAILABLE, *part][
            line.part % (3 + len(part))
        ]
        plan = world.answer(call, outcome)
        if outcome is UNKNOWN:
            assert isinstance(plan, str)
            assert world.entities == before
        else:
            self.follow(plan)

    def end(self, endings: list[Line]) -> None:
        """Every open call is answered, in some order, in some way."""
        while self.world.open:
            self.answer(endings[len(self.world.open) % len(endings)], final=True)
            self.sound()

    # The books

    def sound(self) -> None:
        world = self.world
        for entry in world.entries[self.read :]:
            ref = entry.machine, entry.entity
            self.revisions[ref] += 1
            assert entry.revision == self.revisions[ref], "versions have no gaps"
            for name, amount in net(list(entry.postings)).items():
                self.moved[ref][name] += amount
        self.read = len(world.entries)
        aside: Counter[Ref] = Counter()
        calls: Counter[Ref] = Counter()
        changing: dict[Ref, str] = {}
        for steps, _ in world.open.values():
            for step in steps:
                ref = step.machine, step.id
                aside[ref] += sum(step.amounts)
                calls[ref] += 1
                if MACHINES[step.machine].rows[step.transition].changes:
                    assert ref not in changing, "two calls would change its state"
                    changing[ref] = step.transition
        for ref, entity in world.entities.items():
            machine = MACHINES[entity.machine]
            left = self.moved[ref]
            outside = -sum(left[name] for name in machine.outside)
            assert all(value >= 0 for value in entity.accounts.values()), "nothing is negative"
            assert entity.accounts == {name: value + left[name] for name, value in self.begun[ref].accounts.items()}
            assert sum(entity.accounts.values()) == sum(self.begun[ref].accounts.values()) + outside, (
                "nothing appears, nothing vanishes"
            )
            assert entity.accounts.get(IN_DOUBT, 0) == aside[ref], "in doubt stands what open calls have set aside"
            assert (entity.calls, entity.changing) == (calls[ref], changing.get(ref))
            assert entity.revision == self.revisions[ref]
            if machine.states[entity.state].final:
                assert not any(entity.accounts[name] for name in machine.holding), "a final state holds nothing"
            if entity.machine == "gift_card":
                self.card(entity, left)

    def card(self, card: Entity, left: Counter[str]) -> None:
        """What the page of gift_card promises across machines, here counted by hand and there as declared."""
        others = self.world.entities.values()
        payments = [each for each in others if each.machine == "payment" and each.facts["card"] == card.id]
        held, earned = (sum(each.accounts[name] for each in payments) for name in ("held", "redeemed"))
        moving = sum(
            each.accounts["moving"] for each in others if each.machine == "replacement" and each.facts["old"] == card.id
        )
        assert card.accounts["held"] == held
        assert card.accounts["leaving"] == moving
        assert left["spent"] >= earned
        values = {
            **dict.fromkeys(MACHINES["gift_card"].outside, 0),
            **left,
            **card.accounts,
            "promised": held,
            "earned": earned,
            "moving": moving,
        }
        for invariant in MACHINES["gift_card"].invariants.values():
            assert invariant.always.compiled()(values, {}, {}, card.state, None), invariant.says


def last(refused: Refusal) -> Refusal:
    return last(refused.cause) if refused.cause else refused


# Codes that guards and callers account for. The others are belts: no sound machine is ever held by one.
ORDINARY = {Code.NOT_NOW, Code.GUARD, Code.IN_DOUBT}


@settings(EASE, max_examples=80)
@given(story=stories, endings=st.lists(lines, min_size=1, max_size=5))
def test_the_books_are_sound_after_any_story(story: list[Line], endings: list[Line]) -> None:
    told = Story()
    for line in story:
        told.tell(line)
        told.sound()
    told.end(endings)
    assert set(told.refused) <= ORDINARY, told.refused
    for entity in told.world.entities.values():
        assert (entity.accounts[IN_DOUBT], entity.calls, entity.changing) == (0, 0, None)
    for ways in (["cancel", "close"], ["close", "cancel"], ["settle", "cancel", "close"]):
        let_go(told, ways)


def let_go(told: Story, ways: list[str]) -> None:
    """From here every payment can be ended, and then no card holds anything."""
    story = Story(told)
    world = story.world
    for who in ("p", "p2", "p3"):
        payment = world[who]
        if MACHINES["payment"].states[payment.state].final:
            continue
        held = payment.accounts["held"]
        taken = next(
            (
                way
                for way in ways
                if (way != "settle" or held) and isinstance(world.decide(full(way, held), who), Intent)
            ),
            None,
        )
        assert taken is not None, f"{who} is {payment.state} with {payment.accounts} and can not be ended by {ways}"
        if isinstance(intent := world.decide(full(taken, held), who), Intent) and intent.asked:
            call = world.ask(full(taken, held), who)
            assert isinstance(call, str)
            assert isinstance(world.answer(call, confirmed(number="6006490281")), Plan)
        else:
            world.do(full(taken, held), who)
        assert MACHINES["payment"].states[world[who].state].final
        story.sound()
    assert [each.id for each in world.entities.values() if each.accounts.get("held")] == []


def full(way: str, held: int) -> str:
    return f"settle amount={held} last" if way == "settle" else way


@settings(EASE, max_examples=50)
@given(story=stories, line=lines)
def test_asked_and_confirmed_is_the_same_as_done_at_once(story: list[Line], line: Line) -> None:
    told = Story()
    for each in story:
        told.tell(each)
    once, later, back = told.world, told.world.copy(), told.world.copy()
    command = told.command(line)
    intent = once.decide(command, line.who)
    if not isinstance(intent, Intent) or intent.asked is None:
        return
    outcome, before = told.part_of(line, intent), str(once)
    done, call = once.do(command, line.who, outcome=outcome), later.ask(command, line.who)
    assert isinstance(done, Plan)
    assert isinstance(call, str)
    answered = later.answer(call, outcome)
    assert isinstance(answered, Plan)
    assert str(once) == str(later)
    assert {ref: each.facts for ref, each in once.entities.items()} == {
        ref: each.facts for ref, each in later.entities.items()
    }
    assert done.then == answered.then
    assert isinstance(back.answer(str(back.ask(command, line.who)), UNAVAILABLE), Plan)
    assert str(back) == before


@settings(EASE, max_examples=50)
@given(story=stories, line=lines)
def test_to_decide_changes_nothing_and_always_says_the_same(story: list[Line], line: Line) -> None:
    told = Story()
    for each in story:
        told.tell(each)
    world, command = told.world, told.command(line)
    before = {ref: (repr(each), dict(each.facts), dict(each.accounts)) for ref, each in world.entities.items()}
    first, second = world.decide(command, line.who), world.decide(command, line.who)
    assert repr(first) == repr(second)
    assert before == {ref: (repr(each), dict(each.facts), dict(each.accounts)) for ref, each in world.entities.items()}


def test_stories_reach_far_enough() -> None:
    """Told at random, every transition happens but those that need another form or kind of card, a date, a card in use
    that takes value, or the replacement of a card of which orders hold all."""
    random, seen = Random(7), set[tuple[str, str]]()
    wanted = {
        (name, transition)
        for name in ("payment", "gift_card", "replacement")
        for transition in MACHINES[name].transitions
    }
    wanted -= {
        ("gift_card", "activate_physical"),
        ("gift_card", "issue_promo"),
        ("gift_card", "issue_credit"),
        ("gift_card", "take_back_promo"),
        ("gift_card", "take_back_credit"),
        ("gift_card", "hand_over"),
        ("gift_card", "make_room"),
        ("replacement", "move"),
        ("replacement", "put_on"),
        ("replacement", "replace_physical"),
        ("replacement", "replace_in_use"),
        ("replacement", "replace_nothing"),
        ("replacement", "replace_held"),
        ("replacement", "issue_nothing"),
        ("gift_card", "move_later"),
        ("gift_card", "expire"),
        ("gift_card", "extend"),
        ("payment", "lapse"),
        ("payment", "lapse_rest"),
        ("replacement", "activate_physical"),
    }
    for _ in range(5000):
        if seen >= wanted:
            break
        told = Story()
        for _ in range(60):
            told.tell(Line.of(random.randrange(MANY)))
        seen |= {(entry.machine, entry.transition) for entry in told.world.entries}
        told.sound()
        told.end([Line.of(random.randrange(MANY)) for _ in range(5)])
        assert set(told.refused) <= ORDINARY
        let_go(told, ["cancel", "close"])
    assert seen == wanted


def test_every_move_has_its_amounts_from_before() -> None:
    """All amounts are of the values before: the order of the moves is no matter, and postings say each one."""
    world = World("p advanced_hold held=30 uncovered=20 redeemed=50 | c issued held=30")
    plan = world.do("settle amount=10 last")
    assert isinstance(plan, Plan)
    assert plan.entries[0].postings == (("held", "card", 20), ("held", "redeemed", 10), ("uncovered", "card", 20))
