"""What a page declares, as plain frozen values in the order of the page.

At the end stands how what they compute is written as Python source, from checked expressions alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple

import attrs

from tallystick.definition.expression import NOW, TIME, Expression, Type

Functions = tuple[tuple[str, Callable[..., object]], ...]  # by the name of the fact or argument that gets their value

IN_DOUBT = "in_doubt"
MIGRATE = "migrate"  # the step that moves an entity to a newer version; the name of its command, too
# What may be read of an entity's parts, beside the sums of their accounts: `payment.busy`
BUSY = "busy"  # how many have a call that is not answered, or a follow-up that waits
COUNT = "count"  # how many there are
EACH = "each"  # ids of those that have not ended, in order; only follow-ups use it
TOTAL = "total"  # of shares: their sum
DELAYS = (("day", 86400), ("hour", 3600), ("minute", 60))  # in which a delay is written, in seconds
SHARE = "share"  # in `each part.command(amount=share)`: what the shares give to that part


class State(NamedTuple):
    """Where an entity is in its machine."""

    name: str
    says: str  # what it means, for people; so in the other declarations
    start: bool = False  # an entity begins here
    final: bool = False  # no transition leads out, and every account that is not `kept` is empty
    goes_on: Expression | None = None  # if true, whoever comes here has a follow-up queued; only `check` asks
    group: str = ""  # a heading that it shares with states that belong to it; only pictures ask


class Fact(NamedTuple):
    """What an entity knows besides its state and its money."""

    name: str
    type: Type
    default: object = None  # what it is if it is not given at creation
    later: bool = False  # not given at creation: a transition sets it
    says: str = ""
    unique: bool = False  # no two entities of one value type have the same
    indexed: bool = False  # entities are found by it, as they are by a link or a unique fact
    states: tuple[str, ...] = ()  # of a link: in which of these it is when something that links to it is made; (): any
    same: tuple[str, ...] = ()  # of a link: facts that both have, and of the same value


class Account(NamedTuple):
    """Where value stands inside an entity; never below zero."""

    name: str
    says: str
    kept: bool = False  # value may stay here in a final state
    indexed: bool = False  # entities on which value stands here are found by that


@attrs.frozen
class Command:
    """What may be asked of an entity."""

    name: str
    arguments: Mapping[str, Type]
    driven: bool = False  # only another machine's transition may give it
    patient: bool = False  # queued, and refused by amounts, it waits until they are others
    signed: bool = False  # only with who gives it (by) and why (reason)
    once: bool = False  # as a follow-up it is tried once: refused, or nobody there, it is dropped
    owed: bool = False  # as a follow-up it is never dropped: if its entity ends before, a person hears of it
    customer: bool = False  # the customer is behind it: reports count from the last of these
    reads: tuple[str, ...] = ()  # what its transitions read of parts, shares and links, `payment.held`; and `now`
    linked: tuple[tuple[str, str, str, str], ...] = ()  # those of links: as read, the fact, its machine, the account

    @cached_property
    def storable(self) -> tuple[str, ...]:
        """What may be stored: all but secrets."""
        return (*(name for name, type_ in self.arguments.items() if type_.kind != "secret"), *self.reads)

    @cached_property
    def by_provider(self) -> Mapping[str, str]:
        """Flags that are by the provider if they are left out, each with the ability that decides."""
        return {name: type_.ability for name, type_ in self.arguments.items() if type_.ability}

    @cached_property
    def shares(self) -> tuple[str, ...]:
        """The arguments that say which part gets how much."""
        return tuple(name for name, type_ in self.arguments.items() if type_.kind == "shares")

    def left_out(self) -> dict[str, object]:
        """The arguments as they are if none is given: flags false, all else none."""
        return {name: False if type_.kind == "flag" else None for name, type_ in self.arguments.items()}

    @cached_property
    def seen(self) -> Mapping[str, Type]:
        """What its transitions see: the arguments, and what they read of other entities and of shares."""
        counts = (BUSY, COUNT)
        read = {name: Type("count" if name.rpartition(".")[2] in counts else "money") for name in self.reads}
        read |= {NOW: TIME} if self.timed else {}
        return {**self.arguments, **{name: type_ for name, type_ in read.items() if not name.endswith(f".{EACH}")}}

    @cached_property
    def timed(self) -> bool:
        """Whether its transitions ask what time it is."""
        return NOW in self.reads

    @cached_property
    def reads_parts(self) -> bool:
        """Whether its transitions read of parts, or of shares."""
        return len(self.reads) > len(self.linked) + self.timed


class Move(NamedTuple):
    """Value that goes from one account to another; one of the two may be outside the machine."""

    source: str
    target: str
    amount: Expression


class Drive(NamedTuple):
    """A command that a transition gives to a linked entity, in the same commit."""

    link: str  # the fact or the argument that names the entity
    machine: str
    by_argument: bool  # `link` is an argument
    command: str
    arguments: Mapping[str, Expression]
    asks: bool = False  # the command may ask the provider, itself or by what it drives; only pictures ask


class Ask(NamedTuple):
    """A call to the provider that a transition makes."""

    verb: str
    arguments: Mapping[str, Expression]


class Then(NamedTuple):
    """A follow-up: a command that a transition queues in its commit, for its own entity or for each of its parts.

    It is due at once, unless the page gives it a time.
    """

    command: str
    arguments: Mapping[str, Expression]
    when: Expression | None = None  # true of the entity after the transition; None: always
    each: str | None = None  # the machine of the parts; None: the entity itself
    shares: str | None = None  # the argument that says which parts, with how much for each; None: all that go on
    at: Expression | None = None  # when it is due; if that is none, nothing is queued
    after: int = 0  # seconds until it is due

    @property
    def later(self) -> bool:
        """Whether it is due at a time that the page gives."""
        return self.at is not None or self.after > 0

    @property
    def due_in_words(self) -> str:
        """`at expires`, `after 30 days`; nothing, if it is due at once."""
        if self.at is not None:
            return f"at {self.at.prose}"
        unit, length = next((each for each in DELAYS if self.after and self.after % each[1] == 0), ("", 1))
        number = self.after // length
        return f"after {number} {unit}{'' if number == 1 else 's'}" if unit else ""

    @property
    def name(self) -> str:
        """As its page names it."""
        return f"each {self.each}.{self.command}" if self.each else self.command


@attrs.frozen
class Transition:
    """One declared row: from some states, for some commands, under a guard, to a state."""

    name: str
    commands: tuple[str, ...]
    sources: tuple[str, ...]
    target: str | None  # None: the state stays
    otherwise: str | None  # where a declined call leads; None: the state stays
    guard: Expression | None  # None: always
    drives: tuple[Drive, ...]
    ask: Ask | None
    partial: str | None  # the argument of which the provider may confirm less
    upto: tuple[Expression, ...]  # `partial` is cut down to the least of these before anything is asked
    moves: tuple[Move, ...]
    sets: Mapping[str, Expression]  # facts that change
    then: tuple[Then, ...]
    line: int = 0  # of the page
    alike: bool = False  # whoever has the same unique fact does it too, in the same commit or not at all

    @property
    def reads(self) -> list[str]:
        """What it reads of parts, shares and links."""
        written = [self.guard, *self.sets.values(), *(move.amount for move in self.moves)]
        for drive in self.drives:
            written += drive.arguments.values()
        for then in self.then:
            written += [then.when, then.at, *then.arguments.values()]
        found = [name for each in written if each is not None for name in read_names(each)]
        return found + [f"{then.each}.{EACH}" for then in self.then if then.each is not None and then.shares is None]


def read_names(expression: Expression) -> list[str]:
    """The names in an expression that are read of parts, shares and links; and `now`, which is read of the clock."""
    return [name for name in expression.names if name == NOW or ("." in name and not name.startswith("outcome."))]


@attrs.frozen
class RefusedOnPurpose:
    """Commands that some states refuse on purpose, and why."""

    says: str  # the reason that the caller reads
    states: tuple[str, ...]
    commands: tuple[str, ...]
    guard: Expression | None = None  # refused when this is true; None: always
    over: bool = False  # a follow-up that is refused for this has nothing to do any more, and nobody has to look
    first: bool = False  # it comes before all that is not; where it is true, nobody asks the others

    @cached_property
    def fires(self) -> Callable[..., object]:
        """The guard, as a function."""
        return self.guard.compiled() if self.guard else lambda *_: True


class Sum(NamedTuple):
    """An account summed over all entities of `machine` whose `fact` names this one."""

    machine: str
    fact: str
    account: str


class Migration(NamedTuple):
    """Where what an older version declared has its place in this one. What is not named keeps its name."""

    version: int  # the older one
    states: Mapping[str, str]  # old → new, as are the next ones; several may lead to one
    accounts: Mapping[str, str]
    facts: Mapping[str, str]


class Invariant(NamedTuple):
    """What is true of an entity and of those that link to it, between any two commands."""

    name: str
    says: str
    sums: Mapping[str, Sum]  # by the names that `always` uses
    always: Expression


class Given(NamedTuple):
    """Who is there when an example begins: its own entity, or another one."""

    machine: str
    after: str  # an example of its page, which it has lived through; "": it is new
    facts: Mapping[str, object]  # as a caller would give them; an entity by its name in the example


class ExampleStep(NamedTuple):
    """One step of an example: a command, or `wait` or `recover`."""

    written: str
    whose: str  # a path to who is given the command: `card`, `p1.card`; "": the example's own entity
    command: str
    args: Mapping[str, object]  # as a caller would give them; an entity by its name in the example
    replies: tuple[tuple[str, str], ...]  # what the provider does with the calls, and the amount, if it is another one
    refused: str | None  # why the machine refuses it; "": for any reason; None: it does not
    seconds: int = 0  # of `wait`


class Example(NamedTuple):
    """A short life, and what has become of it: an author's sentence that `check` lives and compares."""

    name: str
    own: Given
    others: Mapping[str, Given]  # who else is there, by name
    steps: tuple[ExampleStep, ...]
    ends: Mapping[str, str]  # path → state, amount, or fact; `none` and `some` are facts too


# What a row of the table computes, as Python source, and as functions


def least(expressions: tuple[Expression, ...]) -> str:
    """Python source of the least of these values. One that is missing does not count."""
    return f"min([each for each in ({''.join(each.code + ', ' for each in expressions)}) if each is not None])"


def posted(columns: tuple[str, ...], transition: Transition) -> str:
    """Python source of a dict display: every account of `v` with all moves `x` done at once."""
    terms = {name: f"v[{name!r}]" for name in columns}
    for index, move in enumerate(transition.moves):
        if move.source in terms:
            terms[move.source] += f" - x[{index}]"
        if move.target in terms:
            terms[move.target] += f" + x[{index}]"
    return "{" + ", ".join(f"{name!r}: {term}" for name, term in terms.items()) + "}"


def functions(expressions: Mapping[str, Expression]) -> Functions:
    return tuple((name, expression.compiled()) for name, expression in expressions.items())
