"""A provider whose books are a file that no crash takes away.

Every line of the file is one write, so it is there or it is not. What the provider does depends only on the amount and
on what stands in its books, so it does the same in every run, however often that is disturbed. If it is asked twice it
does it twice; its callers have to know. The last digit of the amount says what happens:

    1   declined
    2   of a hold or redemption, about half is confirmed, if that is something
    3   done, and the answer is lost
    4   unavailable the first time it is asked, and done the second time
    6   done, the answer is lost, and its record does not show it: only a person can say
    else done

`RandomFileProvider` does the same for pages whose amounts nobody has chosen: a seed says what it does to a call.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from random import Random
from typing import Any

from tallystick.provider.half import Half
from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Reason, Result
from tallystick.testing.referee import ProviderBooks, ProviderLine

PARTLY = ("hold", "redeem")


class FileProvider:
    """A provider that does what the table above says. `path` is the file with its books."""

    name = "file"
    local = False

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self.partly: Collection[str] = PARTLY  # verbs of which less may be confirmed

    # What the engine asks

    def perform(self, call: Call) -> Outcome:
        digit = self._digit(call)
        if digit == 4 and not self._lines("unavailable", call.id):
            self._write("unavailable", call)
            return Outcome(Result.UNAVAILABLE, text="too many requests")
        self._write("declined" if digit == 1 else "done", call)  # again, if it is asked for again
        if digit in (3, 6):
            return Outcome(Result.UNKNOWN, text="the connection was lost")
        return self._answer(call)

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        known = self._known(call)
        if known is not None and self._digit(call) == 6:
            return Ambiguous("the record shows two that are alike")
        return known or NotSeen("no trace of it")

    def _digit(self, call: Call) -> int:
        """What is done about a call, by the table above."""
        amount = call.args.get("amount")
        return abs(amount) % 10 if isinstance(amount, int) else 0

    # What a person sees and does at the provider's

    def by_hand(self, call: Call) -> Outcome:
        """Do what was surely not done, and say what became of the call."""
        if self._known(call) is None:
            self._write("declined" if self._digit(call) == 1 else "done", call)
        return self._answer(call)

    def elsewhere(self, name: str, number: str, currency: str, amount: int) -> None:
        """Another channel moves value on a card, once under this name."""
        if not self._lines("elsewhere", name):
            line = {"what": "elsewhere", "call": name, "verb": "issue" if amount > 0 else "redeem", "number": number,
                    "currency": currency, "amount": amount}  # fmt: skip
            self._append(line)

    def release_by_hand(self, hold: str) -> None:
        """A person releases a hold at the provider's, once."""
        placed = next(each for each in self._all() if each.get("id") == hold)
        if not self._lines("elsewhere", f"release {hold}"):
            line = {"what": "elsewhere", "call": f"release {hold}", "id": f"x-{hold}", "verb": "release", "hold": hold,
                    "amount": 0}  # fmt: skip
            self._append({**placed, **line})

    # The books

    def times_done(self) -> Counter[str]:
        """How often each call was done."""
        return Counter(each["call"] for each in self._all() if each["what"] == "done")

    def provider_books(self) -> ProviderBooks:
        """As the referee reads them. What a verb does is as the protocol declares it (`provider.EFFECTS`)."""
        lines: list[ProviderLine] = []
        halves: dict[tuple[str, str], Half] = {}
        for each in self._all():
            if each["what"] not in ("done", "elsewhere"):
                continue
            card, id = (each["number"], each["currency"]), each.get("id") or each["call"]
            half = halves.setdefault(card, Half())
            before, amount = half.available + half.held, each["amount"]
            if each["what"] == "done":
                half.perform(each["verb"], each["args"], amount, id)
            elif each["verb"] == "release":
                half.lose(each["hold"])
            else:
                half.available += amount
            change = half.available + half.held - before
            amount = amount if id in half.holds else change
            whose = each["call"] if each["what"] == "done" else None
            lines.append(ProviderLine(id, whose, each["verb"], *card, amount, change))
        holds = {card: {id: half.worth[id] for id in half.holds if half.worth[id]} for card, half in halves.items()}
        return ProviderBooks(lines, {card: half.available for card, half in halves.items()}, holds)

    def _write(self, what: str, call: Call) -> None:
        amount = int(str(call.args.get("amount") or 0))
        if call.verb in self.partly and self._digit(call) == 2:
            amount = amount // 20 * 10 or amount
        self._append({
            "what": what, "call": call.id, "id": f"r-{call.id}", "verb": call.verb, "card": call.card.id,
            "number": _number(call), "currency": call.card.currency, "args": dict(call.args), "amount": amount,
        })  # fmt: skip

    def _append(self, line: dict[str, Any]) -> None:
        file = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        try:
            os.write(file, f"{json.dumps(line)}\n".encode())
        finally:
            os.close(file)

    def _all(self) -> Iterator[dict[str, Any]]:
        if self._path.exists():
            yield from map(json.loads, self._path.read_text(encoding="utf-8").splitlines())

    def _lines(self, what: str, call: str) -> list[dict[str, Any]]:
        return [each for each in self._all() if each["what"] == what and each["call"] == call]

    def _known(self, call: Call) -> Outcome | None:
        if self._lines("declined", call.id):
            return Outcome(Result.DECLINED, reason=Reason.OTHER, text="no")
        for each in self._lines("done", call.id):
            number = each["number"] if call.verb == "allocate" else None
            part = each["amount"] if call.verb in PARTLY else None
            return Outcome(Result.CONFIRMED, reference=each["id"], amount=part, number=number)
        return None

    def _answer(self, call: Call) -> Outcome:
        known = self._known(call)
        assert known is not None, call.id
        return known


class RandomFileProvider(FileProvider):
    """The seed says what happens to the first, second, … call about a card; most are done and answered."""

    def __init__(self, path: str | os.PathLike[str], seed: int, partly: Collection[str]) -> None:
        super().__init__(path)
        self.partly = partly
        self._seed = seed

    def _digit(self, call: Call) -> int:
        about = list(dict.fromkeys(each["call"] for each in self._all() if each.get("card") == call.card.id))
        number = about.index(call.id) if call.id in about else len(about)
        chance = Random(f"{self._seed} {call.card.id} {number}")  # noqa: S311  # the same in every run
        return chance.choices((0, 1, 2, 3, 4, 6), (8, 2, 2, 3, 2, 1))[0]


def _number(call: Call) -> str:
    """The card's number; if it is drawn, it depends on the card only."""
    given = call.card.number or call.args.get("number")
    return str(given) if given else f"60{int(hashlib.sha256(call.card.id.encode()).hexdigest()[:12], 16):014}"[:16]
