"""A finding: one thing that is wrong with a machine, where it stands, and how to get there.

Every kind has a stable code, whatever its sentence says: TS1xx is found by looking at the page (structure), TS2xx by
running machines through all they can do (model), TS3xx by proof for all amounts, TS4xx by living the examples of the
page. `docs/findings/` has a page for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from tallystick.definition.machine import Machine

TITLES: Mapping[str, str] = {
    # Structure
    "TS101": "a state that nothing leads to",
    "TS102": "a trap: no way leads from here to an end",
    "TS103": "a command that a state neither answers nor refuses",
    "TS104": "two guards are true at once",
    "TS105": "values that nothing answers",
    "TS106": "an end that can hold value",
    "TS107": "a declined call after which nothing leads on",
    "TS108": "an account that nothing ever leaves",
    "TS109": "a follow-up that can go on for ever",
    "TS110": "a follow-up that is never taken",
    "TS111": "a fact that nothing uses",
    "TS112": "an account that nothing uses",
    "TS113": "an outside account that nothing uses",
    "TS114": "a command that no state answers",
    "TS115": "an argument that nothing uses",
    "TS116": "a transition that can never happen",
    "TS117": "a refusal that can never be given",
    "TS118": "a transition that would move what is not there",
    "TS119": "a state that goes on by itself, with nothing queued for it",
    "TS120": "an outside account that another command moves",
    "TS121": "a call that gets a fact which is always none",
    "TS122": "a number that is drawn and not written down",
    "TS123": "a number that is given and not written down",
    "TS124": "shares that need not add up",
    "TS125": "shares that nobody gets",
    "TS126": "a call for something else than is booked",
    "TS127": "a number or a PIN that the provider is not told",
    "TS128": "something of an older version that has no place",
    "TS129": "value that no question covers",
    "TS130": "a limit that does not count what is in doubt",
    # Model
    "TS201": "an invariant that does not hold",
    "TS202": "value that can never be taken out again",
    "TS203": "an entity that can never be brought to an end",
    "TS204": "a call that an answer does not end",
    "TS205": "sums that do not add up",
    "TS206": "two guards are true at once, in a state that is reached",
    "TS207": "a guard that lets through more than there is",
    "TS208": "a call for nothing",
    "TS209": "a transition that was not seen to happen",
    "TS210": "an outcome of a call that was not seen",
    "TS211": "a comparison that came out the same every time",
    "TS212": "a follow-up that was refused every time",
    "TS213": "a follow-up that waits for ever",
    "TS214": "an invariant of yours that does not hold",
    "TS215": "the provider's half is not what is booked",
    "TS216": "a hold that nothing names any more",
    "TS217": "an entity that one command would drive twice",
    # Proof
    "TS301": "two answers to one command at once",
    "TS302": "values that nothing answers, however large",
    "TS303": "an account that can fall below zero",
    "TS304": "a move of less than nothing",
    "TS305": "a transition that can never happen",
    "TS306": "value that appears or vanishes",
    "TS307": "an invariant that a step breaks",
    "TS308": "amounts with which no end can be reached",
    "TS309": "value that is still held at the end",
    "TS310": "what the solver could not decide",
    # What the author says
    "TS401": "an example that comes out otherwise",
}


def page(code: str) -> str:
    """The page of a code, in Markdown: in a wheel it lies inside the package, in a checkout in `docs/findings`."""
    package = Path(__file__).parents[1]
    inside = package / "findings"
    folder = inside if inside.is_dir() else package.parents[1] / "docs/findings"
    return (folder / f"{code}.md").read_text(encoding="utf-8")


@attrs.frozen
class Finding:
    """One thing that is wrong with a machine."""

    code: str  # TS101
    machine: str
    file: str
    line: int
    column: int
    message: str  # one sentence, with the states and amounts it is about
    story: tuple[str, ...] = ()  # the shortest way there, one line a step, amounts as people read them
    replay: tuple[Mapping[str, object], ...] = ()  # the same as lines that `tallystick run` takes
    decided: bool = True  # False: neither found to be wrong nor shown to be right, within a bound that the message says

    @property
    def order(self) -> tuple[str, int, int, str]:
        """By which findings are sorted: their place, then their code."""
        return self.file, self.line, self.column, self.code

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.code} {self.message}"


class Stopped(KeyboardInterrupt):
    """A level was interrupted. It gives what it knew by then."""

    def __init__(self, findings: Sequence[Finding], figures: Mapping[str, int]) -> None:
        super().__init__("stopped")
        self.findings, self.figures = findings, figures


def finding(
    code: str,
    machine: Machine,
    message: str,
    *place: str,
    story: Sequence[str] = (),
    replay: Sequence[Mapping[str, object]] = (),
    decided: bool = True,
) -> Finding:
    """A finding at a place of the machine's page: `finding("TS104", machine, "…", "transition", "settle", "when")`.

    Where the page has nothing at that place, such as a guard that is not written, the finding stands at what is
    around it.
    """
    if code not in TITLES:
        raise KeyError(f"{code} has no title")
    around = [place[:length] for length in range(len(place), 0, -1)]
    line, column = next((machine.places[each] for each in (*around, ("machine",)) if each in machine.places), (1, 1))
    return Finding(code, machine.name, machine.file, line, column, message, tuple(story), tuple(replay), decided)
