"""Results on a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.measure import Result
from benchmarks.rows import Row

COLOURS = {None: "", True: "green", False: "red"}
WORDS = {None: "", True: "met", False: "missed"}


def seconds(value: float | None) -> str:
    if value is None:
        return ""
    if value < 1e-3:
        return f"{value * 1e6:.1f} µs"
    return f"{value * 1e3:.2f} ms" if value < 1 else f"{value:.2f} s"


def number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cells(result: Result) -> tuple[str, ...]:
    """Value, spread, target, verdict, our time, their time; what has not been measured has no value."""
    row = result.row
    if result.absent:
        return "not measured", "", row.target, "", "", ""
    low, high = result.spread
    spread = f"{number(low)} – {number(high)}, {len(result.values)}" if len(result.values) > 1 else ""
    return (
        f"{number(result.value)} {row.unit}", spread, row.target, WORDS[result.met],
        seconds(result.ours), seconds(result.theirs),
    )  # fmt: skip


def shown(console: Console, results: Sequence[Result], where: Mapping[str, str]) -> None:
    table = Table(title="tallystick, measured against others in one run", title_justify="left", header_style="bold")
    table.add_column("row", overflow="fold")
    table.add_column("what, and against what", ratio=1)
    for name in ("result", "middle half, rounds", "target", "", "ours", "theirs"):
        table.add_column(name, justify="left" if not name else "right")
    group = None
    for each in results:
        if each.row.group != group:
            group = each.row.group
            table.add_section()
            table.add_row(f"[bold]{group}[/bold]")
        text = f"{escape(each.row.what)}\n[dim]{escape(each.row.against)}[/dim]"
        if each.absent or each.note:
            text += f"\n[yellow]{escape(each.absent or each.note)}[/yellow]"
        value, spread, target, word, ours, theirs = cells(each)
        colour = COLOURS[each.met]
        table.add_row(each.row.name, text, f"[{colour}]{value}[/]" if colour else value, spread, target,
                      f"[{colour}]{word}[/]" if colour else word, ours, theirs)  # fmt: skip
    console.print(table)
    for each in results:
        if each.profile is not None:
            kinds = ", ".join(f"{name} {share:.0%}" for name, share in each.profile.kinds if share >= 0.03)
            console.print(f"[bold]{each.row.name}[/bold] spends its time on {escape(kinds)}", highlight=False)
    console.print(counted(results))
    console.print("; ".join(f"{name}: {value}" for name, value in where.items()), style="dim", highlight=False)


def counted(results: Sequence[Result]) -> str:
    """How many targets are met, in a sentence."""
    aimed = [each for each in results if each.row.limit is not None]
    met, absent = sum(each.met is True for each in aimed), sum(each.absent is not None for each in aimed)
    return f"{met} of {len(aimed)} targets are met" + (f"; {absent} could not be measured" if absent else "")


def listed(console: Console, rows: Sequence[Row]) -> None:
    table = Table(header_style="bold")
    for name in ("row", "what", "against", "target"):
        table.add_column(name)
    for row in rows:
        table.add_row(row.name, row.what, row.against, f"{row.target} {row.unit}" if row.target else row.unit)
    console.print(table)


def plain(results: Sequence[Result], where: Mapping[str, str]) -> dict[str, object]:
    """As JSON can have it."""
    return {"machine": dict(where), "rows": [_plain(each) for each in results]}


def _plain(each: Result) -> dict[str, object]:
    row = each.row
    said = {"row": row.name, "group": row.group, "what": row.what, "against": row.against, "theirs": row.theirs,
            "unit": row.unit, "at_least" if row.faster else "at_most": row.limit}  # fmt: skip
    if each.absent:
        return {**said, "absent": each.absent}
    profile = each.profile and {
        "kinds": dict(each.profile.kinds),
        "functions": [list(f) for f in each.profile.functions],
    }
    return {**said, "value": each.value, "spread": list(each.spread), "values": list(each.values),
            "met": each.met, "ours_seconds": each.ours, "theirs_seconds": each.theirs, "note": each.note,
            "profile": profile}  # fmt: skip
