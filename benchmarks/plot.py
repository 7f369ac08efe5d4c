"""The plot: what each row reached, beside its target.

Ratios stand on a logarithmic axis, because twice as fast and half as fast are the same distance from 1. The bar of a
row is the middle half of its rounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

try:
    import matplotlib as mpl
except ImportError:
    raise SystemExit("the plot is drawn with matplotlib: pip install 'tallystick[bench]'") from None
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.measure import Result
from benchmarks.table import WORDS, number

MET, MISSED, NEITHER = "#1a7f37", "#cf222e", "#57606a"
PANELS = (  # of these kinds, title, and what the axis says
    (("speed",), "How many times as fast as they", "× the speed of the other · right is better"),
    (("time",), "How many times as long as they", "× the time of the other · left is better"),
    (("growth",), "How many times as much, where the books are larger", "× as much · 1 is flat · left is better"),
)
MARKS = {True: "o", False: "X", None: "o"}
ROW = 0.32  # inches


def drawn(results: Sequence[Result], where: Mapping[str, str], file: Path) -> None:
    """Draw all ratios to a file. What was not measured, and what is no ratio, is left to the table."""
    mpl.rcParams.update({"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9, "svg.hashsalt": "bench"})
    panels = [(title, axis, [each for each in results if each.row.kind in kinds and not each.absent])
              for kinds, title, axis in PANELS]  # fmt: skip
    panels = [panel for panel in panels if panel[2]]
    heights = [len(rows) * ROW + 0.9 for _, _, rows in panels]
    figure = Figure(figsize=(11, sum(heights) + 0.5), layout="constrained")
    axes = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0] if panels else []
    for axis, (title, label, rows) in zip(axes, panels, strict=True):
        _panel(axis, title, label, rows)
    foot = " · ".join(where[name] for name in ("date", "python", "processor", "run"))
    figure.supxlabel(foot, x=0.995, ha="right", fontsize=7, color=NEITHER)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _panel(axis: Axes, title: str, label: str, rows: Sequence[Result]) -> None:
    axis.set_xscale("log")
    edges = [edge for each in rows for edge in (*each.spread, each.row.limit or 1.0, 1.0)]
    axis.set_xlim(min(edges) / 1.15, max(edges) * 1.15)
    axis.axvline(1, color="#24292f", linewidth=0.8, zorder=1)
    for place, each in enumerate(rows):
        colour = {True: MET, False: MISSED, None: NEITHER}[each.met]
        low, high = each.spread
        axis.plot([low, high], [place, place], color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt", zorder=2)
        axis.plot([each.value], [place], MARKS[each.met], color=colour, markersize=6, zorder=4)
        if each.row.limit is not None:
            axis.plot([each.row.limit], [place], "|", color="#0969da", markersize=14, markeredgewidth=2.2, zorder=3)
        text = number(each.value) + (f" ({WORDS[each.met]}: {each.row.target})" if each.row.target else "")
        axis.text(1.01, place, text, transform=axis.get_yaxis_transform(), va="center", color=colour, fontsize=8.5)
    axis.set_yticks(range(len(rows)), [f"{each.row.what}\nagainst {each.row.against}" for each in rows], fontsize=7.5)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    narrow = max(edges) / min(edges) < 4
    axis.xaxis.set_major_locator(
        LogLocator(base=10, subs=(1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 8.0) if narrow else (1.0, 2.0, 5.0))
    )
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.grid(axis="x", color="#d0d7de", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axis.set_xlabel(f"{label} · blue: the target", fontsize=8)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(axis="y", length=0)
