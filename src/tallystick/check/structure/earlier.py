"""Whether everything of an older version has its place in the newer one, where that says what becomes of it.

The older pages have to be there: a file that is named, or those that books keep. A version without words is no finding:
what runs on it goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.check.finding import Finding, finding
from tallystick.check.structure.reachable import Reachability
from tallystick.core.migration import missing


def check_earlier(reachable: Reachability) -> Iterator[Finding]:
    """TS128."""
    new = reachable.machine
    for old in reachable.trials.machines.versions(new.name):
        if old.version in new.migrations:
            for what in missing(old, new):
                why = f"entities of version {old.version} cannot all be moved: {what}"
                yield finding("TS128", new, why, "from version", str(old.version))
