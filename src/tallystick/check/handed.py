"""Whether a call is told what it is meant to be told: a fact that is set later has to have been set by then.

A hold is redeemed by the name that the provider gave it. Who forgets to write that name down hands on nothing, and no
guard notices, because nothing may be handed on where nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.check.finding import Finding, finding
from tallystick.check.standing import Standing
from tallystick.check.values import handed_on
from tallystick.check.words import joined


def handed(standing: Standing) -> Iterator[Finding]:
    """TS121. A fact that nothing sets is told of as TS111."""
    machine = standing.machine
    put = {name for each in machine.transitions.values() for name in each.sets}
    for name, row in machine.rows.items():
        for fact in sorted(handed_on(machine, row.transition) & put):
            never = [state for state in row.transition.sources if standing.when_taken(state, name, fact) == {None}]
            if never:
                key = "ask" if row.transition.ask else "drive"
                why = f"{name} hands on {fact}, which is always none in {joined(never)}"
                yield finding("TS121", machine, why, "transition", name, key, story=standing.story(never[0]))
