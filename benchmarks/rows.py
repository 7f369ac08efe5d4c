"""The table of rows: what is timed, against what, and what it has to reach. `rows.yaml` has it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from ruamel.yaml import YAML

TABLE = Path(__file__).with_name("rows.yaml")
UNITS = {"speed": "× the speed", "time": "× the time", "growth": "× as much", "ms": "ms", "MB": "MB"}


@attrs.frozen
class Row:
    """One comparison."""

    name: str
    group: str
    what: str
    against: str
    theirs: str  # what the opponent does, in a sentence
    kind: str  # one of UNITS
    limit: float | None  # the target: at least, if `faster`; else at most
    code: str  # file and function in benchmarks/timed/
    given: Mapping[str, Any]  # to that function
    tried: str = ""  # where the target was missed before: what stands in the way, and what was tried

    @property
    def faster(self) -> bool:
        """Whether more is better."""
        return self.kind == "speed"

    @property
    def unit(self) -> str:
        return UNITS[self.kind]

    @property
    def target(self) -> str:
        if self.limit is None:
            return ""
        return f"{'≥' if self.faster else '≤'} {self.limit:g}"

    def met(self, value: float) -> bool | None:
        """Whether a value reaches the target; None if there is none."""
        if self.limit is None:
            return None
        return value >= self.limit if self.faster else value <= self.limit


def rows() -> list[Row]:
    """All rows, in the order of the table. Raises ValueError: a row is not written as it should be."""
    found = []
    for group, table in YAML(typ="safe").load(TABLE).items():
        for name, said in table.items():
            said = dict(said)
            ((code, given),) = said.pop("run").items()
            kind = said.pop("in")
            limit = said.pop("at_least" if kind == "speed" else "at_most", None)
            if kind not in UNITS:
                raise ValueError(f"{name}: `in` is one of {', '.join(UNITS)}, not {kind}")
            row = Row(name=name, group=group, kind=kind, limit=limit, code=code, given=given or {}, **said)
            found.append(row)
    return found
