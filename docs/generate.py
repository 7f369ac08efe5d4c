"""Write anew what is generated in README and docs: `python docs/generate.py`, or `--check` to only compare.

A page with generated parts has pairs of markers: `<!-- findings -->`, `<!-- rooms -->`, `<!-- errors -->`,
`<!-- machines -->`, `<!-- views -->`, `<!-- tables -->` or `<!-- clutch settings -->`, and `<!-- end -->`. Between them
stands what the code says today. The page of each machine and its pictures are made as a whole.

What holds in each state is proved by `python docs/generate.py --prove`, which takes half a minute, and kept.
When a machine behaves otherwise, no page says it any more, until it is proved again.
"""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from pathlib import Path

import clutch_settings
import error_table
import machine_pages
import rooms
import table_pages
from tallystick import load
from tallystick.check import TITLES, check
from tallystick.definition.behaviour import digest_of
from tallystick.definition.machine import Machines
from tallystick.diagram import draw
from tallystick.store.schema.dialect import Dialect
from tallystick.store.schema.dictionary import SAYS
from tallystick.store.schema.views import views

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROVED = ROOT / "docs/machines/proved.json"
MAP = ROOT / "docs/explanation/rooms.svg"
LISTED = re.compile(r"(<!-- findings -->\n).*?(<!-- end -->)", re.DOTALL)
CLUTCH = re.compile(r"(<!-- clutch (settings|rules) -->\n).*?(<!-- end -->)", re.DOTALL)
TABLES = re.compile(r"(<!-- (errors|machines|views|tables) -->\n).*?(<!-- end -->)", re.DOTALL)
MAPPED = re.compile(r"(<!-- rooms -->\n).*?(<!-- end -->)", re.DOTALL)


@cache
def tables() -> dict[str, str]:
    """What stands between markers of these names."""
    machines = load()
    return {
        "errors": error_table.rows(),
        "machines": machine_pages.index(machines.values()),
        "views": dictionary(machines),
        "tables": table_pages.tables(),
    }


def fresh(text: str) -> str:
    """The text with every marked part written anew."""
    rows = "".join(f"| [{code}]({code}.md) | {title} |\n" for code, title in sorted(TITLES.items()))
    text = LISTED.sub(lambda found: f"{found[1]}| code | what |\n|---|---|\n{rows}{found[2]}", text)
    text = CLUTCH.sub(lambda found: f"{found[1]}{getattr(clutch_settings, found[2])()}{found[3]}", text)
    text = TABLES.sub(lambda found: f"{found[1]}{tables()[found[2]]}{found[3]}", text)
    return MAPPED.sub(lambda found: f"{found[1]}![{rooms.words()}](rooms.svg)\n{found[2]}", text)


def dictionary(machines: Machines) -> str:
    """The views of a store with the packaged machines, and what each column says."""
    found = ""
    for view in views(machines, Dialect()):
        rows = "".join(
            f"| {', '.join(f'`{each}`' for each in view.names_of(name))} | {SAYS[name]} |\n" for name in view.columns
        )
        found += f"### {view.name}\n\n{view.says}\n\n| column | what it says |\n|---|---|\n{rows}\n"
    return found


def proved(machines: Machines, *, anew: bool) -> dict[str, dict[str, list[str]]]:
    """What was proved of machines that behave as these do, by machine and state; `anew`: prove it now, and keep it."""
    of = {name: digest_of(machine) for name, machine in machines.items()}
    if anew:
        report = check(machines, model=False, prove=True)
        if report.findings:
            raise SystemExit("\n".join(map(str, report.findings)))
        kept = json.dumps({"of": of, "holds": report.holds}, indent=1, ensure_ascii=False)
        PROVED.write_text(f"{kept}\n", encoding="utf-8")
    kept_of, holds = json.loads(PROVED.read_text(encoding="utf-8")).values()
    return holds if kept_of == of else {}


def main() -> int:
    compare = "--check" in sys.argv
    machines = load()
    holds = proved(machines, anew="--prove" in sys.argv)
    made = {page: fresh(page.read_text(encoding="utf-8")) for page in PAGES} | {MAP: rooms.picture()}
    made |= {ROOT / f"docs/machines/{name}.md": machine_pages.page(machine, machines, holds)
             for name, machine in machines.items()}  # fmt: skip
    made |= {ROOT / f"docs/machines/{name}.svg": machine_pages.picture(machine) for name, machine in machines.items()}
    made |= {ROOT / f"docs/machines/{name}.mmd": str(draw(machine, format="mermaid"))
             for name, machine in machines.items()}  # fmt: skip
    stale = [page for page, text in made.items() if not page.exists() or page.read_text(encoding="utf-8") != text]
    for page in stale:
        if compare:
            print(f"{page.relative_to(ROOT)} is stale: run python docs/generate.py", file=sys.stderr)
        else:
            page.write_text(made[page], encoding="utf-8")
    return 1 if compare and stale else 0


if __name__ == "__main__":
    sys.exit(main())
