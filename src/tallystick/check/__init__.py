"""What is wrong with a machine, found before production finds it.

    `structure`   what the page itself shows: states, guards, accounts, follow-ups. Milliseconds
    `model`       the machines run together through everything they can do, with small amounts. Seconds to minutes
    `proof`       for all amounts, by a solver (`pip install 'tallystick[check]'`)
    `examples`    short lives that the page's author wrote down, lived and compared. Milliseconds

Keeps: every kind of finding has a code that never changes its meaning, and a page in `docs/findings`; what is said of a
machine was asked of its real guards or of the core itself, never of a second reading of the page.

Read in this order: `finding` (codes and places), `report` (`check` itself), then the three rooms `structure`, `model`
and `proof`, and `examples` (with `example_steps`). They share `expressions` and `callers` (what a transition looks at,
and who calls whom), `agreement` (how a page books what it asks the provider for) and `wording`.
`difference` compares two versions of a page and needs none of the rooms.

Knows the definition, the core and the provider's answers. The command line and the pytest plugin call it.
"""

from tallystick.check.finding import TITLES, Finding
from tallystick.check.report import Report, check

__all__ = ["TITLES", "Finding", "Report", "check"]
