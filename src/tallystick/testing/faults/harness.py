"""The command line of what disturbs our machines' own stories: which of them, how often in all, and what came of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tallystick.testing.faults.our_stories import stories
from tallystick.testing.faults.report import Ran, parser
from tallystick.testing.faults.story import Story


def options(name: str, about: str, often: str, default: int) -> argparse.ArgumentParser:
    """Which stories, and `often`: the option that says how much is done over all of them."""
    made = parser(name, about)
    made.add_argument("--story", action="append", default=[], metavar="WORDS", help="only stories whose name has these")
    made.add_argument(f"--{often}", dest="often", default=str(default), metavar="NUMBER",
                      help=f"so many over all stories, or all (default: {default})")  # fmt: skip
    return made


def over_stories(
    given: argparse.Namespace, disturb: Callable[[Story, int | None], Ran], *, total: str = "", of: str = "",
    among: Callable[[Story], object] = lambda story: True,
) -> int:  # fmt: skip
    """Disturb each story by its share, and say what came of it; the exit code.

    `total` is a figure to be added: the sum of those whose names begin with `of`.
    """
    chosen = [each for each in stories() if among(each) and all(words in each.name for words in given.story)]
    share = None if given.often == "all" else -(-int(given.often) // max(1, len(chosen)))
    ran = Ran()
    for story in chosen:
        ran.add(disturb(story, share))
    if total:
        ran.figures[total] = sum(number for name, number in ran.figures.items() if name.startswith(of))
    return ran.say(as_json=given.json)
