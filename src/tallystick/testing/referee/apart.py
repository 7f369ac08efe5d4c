"""Value that stands apart, by the referee's own code: how the moves of a page are those of its accounts.

The library writes such moves out as expressions when it reads a page. Here the page's moves are done one after the
other, with numbers: each takes what it can of the sort that leaves first, and the rest of the other one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from tallystick.testing.referee.evaluate import Values, evaluator

Pair = tuple[str, str]


@attrs.frozen
class Sorts:
    """What of each account of a page stands apart: account → where, and whether it leaves last."""

    of: Mapping[str, tuple[str, bool]]
    inside: frozenset[str]
    told: Mapping[str, Mapping[str, str]]  # command → amount → the argument that says how much stands apart

    def meant(self, accounts: Mapping[str, int]) -> dict[str, int]:
        """What stands on each account as the page speaks of it."""
        found = dict(accounts)
        for name, (part, _) in self.of.items():
            if name in accounts and part in self.inside:
                found |= {name: accounts[name] + accounts.get(part, 0), f"{name}.rest": accounts[name]}
        return found

    def place(self, account: str) -> str:
        """Where the part of an account stands."""
        part = self.of.get(account, ("", False))[0]
        return part if part and "." not in part else account


def sorts(read: Mapping[str, Any]) -> Sorts:
    """What a page says of value that stands apart."""
    inside = read.get("accounts") or {}
    told = {
        command: {
            name: each["part"] for name, each in (args or {}).items() if isinstance(each, dict) and "part" in each
        }
        for command, args in read["commands"].items()
    }
    of = {
        name: (str(each[order]), order == "last")
        for name, each in {**inside, **(read.get("outside") or {})}.items()
        for order in ("first", "last") if isinstance(each, dict) and order in each
    }  # fmt: skip
    return Sorts(of, frozenset(inside), told)


@attrs.frozen
class Moves:
    """The moves of a transition, in the order of its page."""

    sorts: Sorts
    written: Sequence[tuple[str, str, str]]  # source, target, amount, as they stand on the page
    told: Mapping[str, str]  # amount → the argument that says how much of it stands apart
    cut: bool  # it may become less before it is asked for

    def lines(self) -> Iterator[tuple[Pair, int]]:
        """The moves of the accounts, each with its turn: 0 is a whole one, and what is in doubt is of 1 first."""
        for source, target, amount in self.written:
            whole = source.partition(".")[0], target.partition(".")[0]
            apart = self.sorts.place(whole[0]), self.sorts.place(whole[1])
            if not self._sorted(source, target, amount):
                yield whole, 0
            elif self._last(source, amount):
                yield from ((whole, 1), (apart, 2))
            else:
                yield from ((apart, 1), (whole, 2))

    def amounts(self, values: Values) -> tuple[int, ...]:
        """What each of them moves."""
        found: list[int] = []
        for (amount, part), (source, target, text) in zip(self._parts(values), self.written, strict=True):
            if not self._sorted(source, target, text):
                found.append(amount)
            else:
                found += [amount - part, part] if self._last(source, text) else [part, amount - part]
        return tuple(found)

    def parts(self, values: Values) -> dict[str, int]:
        """How much of each amount stands apart, by the text of the amount; the first that is split counts."""
        found: dict[str, int] = {}
        for (_, part), (source, target, text) in zip(self._parts(values), self.written, strict=True):
            if self._sorted(source, target, text):
                found.setdefault(text, part)
        for name, (part_of, _) in self.sorts.of.items():  # all that stands there
            if name in self.sorts.inside and part_of in self.sorts.inside:
                found.setdefault(name, values[part_of])
        return found

    def _parts(self, values: Values) -> Iterator[tuple[int, int]]:
        """Each amount, and how much of it is of the sort that stands apart."""
        taken: dict[str, int] = {}
        for source, target, text in self.written:
            amount: int = evaluator(text)(values)
            if not self._sorted(source, target, text):
                yield amount, 0
            elif self._is_told(source, text):
                yield amount, min(amount, values.get(self.told[text]) or 0)
            else:
                name, last = source.partition(".")[0], self._last(source, text)
                there = values[f"{name}.rest"] if last else values[self.sorts.of[name][0]]
                before = taken.get(name, 0)
                one = min(before + amount, there) - min(before, there)
                taken[name] = before + amount
                yield amount, amount - one if last else one

    def _sorted(self, source: str, target: str, text: str) -> bool:
        if ".rest" in source + target:
            return False
        source = source.partition(".")[0]
        if (self.sorts.place(source), self.sorts.place(target)) == (source, target):
            return False
        return self._known(source) or (text in self.told and (source in self.sorts.of or target in self.sorts.of))

    def _known(self, source: str) -> bool:
        """Whether it can be seen how much of a source stands apart."""
        account = self.sorts.of.get(source.partition(".")[0], ("", False))[0]
        return "." in account or account in self.sorts.inside

    def _is_told(self, source: str, text: str) -> bool:
        return text in self.told and not (self.cut and self._known(source))

    def _last(self, source: str, text: str) -> bool:
        name, _, end = source.partition(".")
        return not self._is_told(source, text) and (end == "last" or self.sorts.of.get(name, ("", False))[1])


def confirmed(turns: Sequence[int], whole: Sequence[int], part: int) -> tuple[int, ...]:
    """What of each move is confirmed if it is only a part of the amount."""
    found: list[int] = []
    for turn, amount in zip(turns, whole, strict=True):
        found.append(part if turn == 0 else min(part, amount) if turn == 1 else part - found[-1])
    return tuple(found)
