"""Value that stands apart: of what is on an account, a part of another sort, such as what was given to a customer.

    accounts:
      available: {says: May be spent., first: given}     # what leaves it is taken from `given` first
      given: Of what may be spent, what was given away.

A page goes on to speak of `available`, and means both: what stands on `given` counts, and every move from or to it is
two moves, one of each sort. What was given stays given where the other account has a part apart too, and is joined
where it has none. `last` is the other order, for an account or, as `held.last -> card`, for one move. `available.rest`
is what does not stand apart.

Who shares a value says so of its own account, or of the outside account that is a linked entity (`first: card.given`):
as much as stands there is of that sort. And whoever drives a command tells it how much of the amount that is, in the
argument that `part` names. So the two halves of a move never take it from different sorts. All of this is written out
here, when the page is read: the machine that runs has ordinary accounts and moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from tallystick.definition.declared import Move
from tallystick.definition.expression import MONEY, Expression, Name, Type
from tallystick.definition.machine import Machine

MISFIT = "It does not have as much of each sort as is said: what was given is told apart from what was bought."
REST = "rest"  # what does not stand apart: `available.rest`
LAST = "last"  # from the other end: `held.last -> card: amount` takes what stands apart last


class Apart(NamedTuple):
    """What of an account stands apart."""

    name: str  # the account where it stands; of a linked entity, link.account
    last: bool  # it leaves last, else first


class Split(NamedTuple):
    """An amount, and how much of it is of the sort that stands apart."""

    amount: Expression
    part: Expression
    rest: Expression
    last: bool  # the part leaves last: if less is confirmed, it is the part that stays


class WrittenMove(NamedTuple):
    """A move as it stands on the page, with `.rest` still behind a name."""

    source: str
    target: str
    amount: Expression


def standing(machine: Machine, accounts: Mapping[str, int], name: str) -> int:
    """What stands on an account as the page means it: with what stands apart."""
    return accounts.get(name, 0) + accounts.get(parts_apart(machine).get(name, ""), 0)


@lru_cache(maxsize=256)
def parts_apart(machine: Machine) -> Mapping[str, str]:
    """The accounts of which a part stands apart, and where."""
    return {name: each.apart for name, each in machine.accounts.items() if each.apart}


def meant(machine: Machine, accounts: Mapping[str, int]) -> Mapping[str, int]:
    """What stands on each account as the page means it: what stands apart counts twice, under both names."""
    parts = parts_apart(machine)
    return (
        {**accounts, **{name: accounts[name] + accounts[part] for name, part in parts.items()}} if parts else accounts
    )


def total_names(accounts: Mapping[str, object], apart: Mapping[str, Apart]) -> dict[str, Name]:
    """What the accounts with a part apart mean in an expression."""
    found = {}
    for name, each in apart.items():
        if name in accounts and each.name in accounts:
            code = f"(v[{name!r}] + v[{each.name!r}])"
            found[name] = Name(code, MONEY, (name, each.name))
            found[f"{name}.{REST}"] = Name(f"v[{name!r}]", MONEY, (name,))
    return found


class Splitting:
    """Splits the moves of one transition. `told`: argument → the argument that says how much of it stands apart.

    `cut`: the amount may become less before it is asked for. Then the split is that of the account, and what is told
    has to be the same.
    """

    def __init__(
        self, apart: Mapping[str, Apart], names: Mapping[str, Name], told: Mapping[str, str], *, cut: bool
    ) -> None:
        self.apart, self.names, self.told, self.cut = apart, names, told, cut
        self.splits: list[Split] = []  # of the moves that were split, for what is told to those it drives
        self._before: dict[str, list[Expression]] = {}  # source → what earlier moves of it take

    def moves(self, written: WrittenMove) -> Iterator[Move]:
        """The move, or the two that it is."""
        source, _, of_source = written.source.partition(".")
        target, _, of_target = written.target.partition(".")
        apart = self._place(source), self._place(target)
        alike = REST in (of_source, of_target) or apart == (source, target)
        split = None if alike else self._split(source, target, written.amount, turned=of_source == LAST)
        if split is None:
            yield Move(source, target, written.amount)
            return
        self.splits.append(split)
        pieces = [(apart, split.part), ((source, target), split.rest)]
        whole = written.amount.prose
        words = (f"{whole}, as far as there is some", f"the rest of {whole}")  # for people: the page says the amount
        for turn, (line, amount) in enumerate(reversed(pieces) if split.last else pieces, 1):
            yield Move(*line, amount._replace(prose=words[turn - 1]), turn)

    def named(self, account: str) -> Expression:
        """What stands on an account."""
        return _named(account, self.names)

    def _place(self, account: str) -> str:
        """Where the part of an account stands."""
        found = self.apart.get(account)
        return account if found is None or "." in found.name else found.name

    def _split(self, source: str, target: str, amount: Expression, *, turned: bool) -> Split | None:
        of_source = self.apart.get(source)
        told = self.told.get(amount.source.strip())
        own = self.cut and of_source is not None and of_source.name in self.names
        if told is not None and not own and (of_source is not None or target in self.apart):
            part = _least(amount, _argument(told))
            return Split(amount, part, _minus(amount, part), last=False)
        if of_source is None or of_source.name not in self.names:
            return None
        before = self._before.setdefault(source, [])
        taken = [*before, amount]
        before.append(amount)
        last = of_source.last or turned
        stands = _account(source) if last else _named(of_source.name, self.names)
        one = _least(_plus(taken), stands)
        one = _minus(one, _least(_plus(taken[:-1]), stands)) if taken[1:] else one
        other = _minus(amount, one)
        return Split(amount, other, one, last=True) if last else Split(amount, one, other, last=False)

    def fits(self, written: list[WrittenMove]) -> Iterator[Expression]:
        """What has to be so beside the guard where arguments say how much stands apart: it is there, as is the rest.

        Of the amounts together the page's own guard says enough.
        """
        taken: dict[str, list[Split]] = {}
        for each in written:
            told = self.told.get(each.amount.source.strip())
            if told is None or "." in each.source + each.target:
                continue
            if self.cut and each.source in self.apart:
                part, least = _argument(told), _least(each.amount, _named(self.apart[each.source].name, self.names))
                yield Expression(f"{told} == {least.source}", f"({part.code} == {least.code})", Type("flag"),
                                 part.names | least.names, f"{told} is {least.prose}")  # fmt: skip
                continue
            if each.source in self.apart or each.target in self.apart:
                part = _argument(told)
                source, code = (
                    f"0 <= {told} <= {each.amount.source.strip()}",
                    f"(0 <= {part.code} <= {each.amount.code})",
                )
                yield Expression(source, code, Type("flag"), part.names | each.amount.names, source)
            if each.source in self.apart and f"{each.source}.{REST}" in self.names:
                taken.setdefault(each.source, []).append(Split(each.amount, part, _minus(each.amount, part), False))
        for name, splits in taken.items():
            sides = (
                (_plus([each.part for each in splits]), _named(self.apart[name].name, self.names)),
                (_plus([each.rest for each in splits]), _account(name)),
            )
            for amount, there in sides:
                source = f"{amount.source} <= {there.source}"
                yield Expression(source, f"({amount.code} <= {there.code})", Type("flag"), amount.names | there.names,
                                 f"{amount.prose} is at most {there.prose}")  # fmt: skip


def joined(guard: Expression | None, fits: list[Expression]) -> Expression | None:
    """A guard with what has to be so beside it."""
    parts = [*((guard.parts or (guard,)) if guard is not None else ()), *fits]
    if not fits:
        return guard
    names = frozenset[str]().union(*(each.names for each in parts))
    source = " and ".join(f"({each.source})" if " or " in each.source else each.source for each in parts)
    code, prose = f"({' and '.join(each.code for each in parts)})", ", and ".join(each.prose for each in parts)
    return Expression(source, code, Type("flag"), names, prose, tuple(parts))


def misfit(guard: Expression | None, fits: list[Expression]) -> Expression | None:
    """That a transition would answer, but what it is told of an amount does not fit."""
    if not fits:
        return None
    names = frozenset[str]().union(*(each.names for each in (guard, *fits) if each is not None))
    source, code, prose = (
        f"not ({' and '.join(each)})"
        for each in zip(*((each.source, each.code, each.prose) for each in fits), strict=True)
    )
    if guard is not None:
        source, code, prose = (
            f"({guard.source}) and {source}",
            f"({guard.code} and {code})",
            f"{guard.prose}, and {prose}",
        )
    return Expression(source, code, Type("flag"), names, prose)


# Amounts that no page writes


def _account(name: str) -> Expression:
    """What stands on an account itself."""
    return Expression(f"{name}.{REST}", f"v[{name!r}]", MONEY, frozenset([name]), f"the rest of {name}")


def _named(name: str, names: Mapping[str, Name]) -> Expression:
    return Expression(name, names[name].code, MONEY, frozenset([name]), name)


def _argument(name: str) -> Expression:
    """An argument that says how much stands apart; left out, nothing does."""
    return Expression(name, f"(a[{name!r}] or 0)", MONEY, frozenset([name]), name)


def _least(one: Expression, other: Expression) -> Expression:
    names = one.names | other.names
    source, code = f"min({one.source}, {other.source})", f"min({one.code}, {other.code})"
    return Expression(source, code, MONEY, names, f"the least of {one.prose} and {other.prose}")


def _plus(all_: list[Expression]) -> Expression:
    first = all_[0]
    for each in all_[1:]:
        first = Expression(f"{first.source} + {each.source}", f"({first.code} + {each.code})", MONEY,
                           first.names | each.names, f"{first.prose} + {each.prose}")  # fmt: skip
    return first


def _minus(one: Expression, other: Expression) -> Expression:
    source = f"{one.source} - {other.source}" if "+" not in other.source and "-" not in other.source else ""
    source = source or f"{one.source} - ({other.source})"
    prose = f"{one.prose} − {other.prose}" if "−" not in other.prose else f"{one.prose} − ({other.prose})"
    return Expression(source, f"({one.code} - {other.code})", MONEY, one.names | other.names, prose)
