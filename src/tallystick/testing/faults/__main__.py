"""The command line of the faults: `python -m tallystick.testing.faults --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from tallystick.testing.faults.crash import crash_points
from tallystick.testing.faults.failing_database import failing_calls
from tallystick.testing.faults.our_stories import stories
from tallystick.testing.faults.page_crashes import machine_of, page_crashes
from tallystick.testing.faults.postgres.failover import failover
from tallystick.testing.faults.recovery_races import recovery_races
from tallystick.testing.faults.report import FaultReport, Progress
from tallystick.testing.faults.story import Story
from tallystick.testing.faults.torn_log import torn_logs
from tallystick.testing.faults.verb_sweep import verb_sweep


def _postgres(story: Story, trips: int | None, progress: Progress) -> FaultReport:
    from tallystick.testing.faults.postgres.crash import postgres_trips  # psycopg may be missing

    return postgres_trips(story, trips, progress)


# What is done to our machines' own stories, the option that says how often, and its default.
# fmt: off
FAULTS: Mapping[str, tuple[Callable[[Story, int | None, Progress], FaultReport], str, int, str]] = {
    "crash":            (crash_points,   "points", 300, "Kill processes at points of stories."),
    "torn-log":         (torn_logs,      "tears",  500, "Tear SQLite's log under stories."),
    "failing-database": (failing_calls,  "calls",  400, "Let the database fail at calls of stories."),
    "postgres":         (_postgres,      "trips",   70, "Cut lines to a PostgreSQL, end backends, kill clients."),
    "recovery-races":   (recovery_races, "races",   60, "Let two recover at once, and the clock jump, under stories."),
}
# fmt: on


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked, over all stories or pages, and print what came of it; the exit code."""
    given = _parser().parse_args(arguments)
    if given.fault == "verbs":
        return verb_sweep(_to_stderr).print(as_json=given.json)
    if given.fault == "failover":
        return failover(given.store, seconds=given.seconds, writers=given.writers, progress=_to_stderr).print(
            as_json=given.json
        )
    amount = None if given.amount == "all" else int(given.amount)
    report = FaultReport()
    for each in _over_pages(given, amount) if "pages" in given else _over_stories(given, amount):
        report.add(each)
    return report.print(as_json=given.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tallystick.testing.faults")
    commands = parser.add_subparsers(dest="fault", metavar="FAULT", required=True)

    def command(name: str, about: str, often: str, default: int) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about)
        made.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
        made.add_argument(f"--{often}", dest="amount", default=str(default), metavar="NUMBER",
                          help=f"so many in all, or all there are (default: {default})")  # fmt: skip
        return made

    for name, (_, often, default, about) in FAULTS.items():
        made = command(name, about, often, default)
        made.add_argument("--story", action="append", default=[], metavar="WORDS", help="only stories so called")
        if name == "recovery-races":
            made.add_argument("--jumps", type=int, default=2, help="runs of each story with jumps (default: 2)")
    verbs = commands.add_parser("verbs", help="A fault at each step of each verb, which is then said again.")
    verbs.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    about = "Writers spend from cards while you fail the servers of a store; nothing may be lost or doubled."
    servers = commands.add_parser("failover", help=about, description=about)
    servers.add_argument("--store", required=True, metavar="URL", help="a database or schema of its own")
    servers.add_argument("--seconds", type=float, default=60, help="how long they work (default: 60)")
    servers.add_argument("--writers", type=int, default=4, help="how many there are (default: 4)")
    servers.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    pages = command("page-crashes", "Kill processes at points of stories composed for pages.", "points", 300)
    pages.add_argument("pages", nargs="+", type=Path, help="pages of machines, beside others they link to")
    pages.add_argument("--seed", type=int, default=0, help="the same seed, the same stories (default: 0)")
    return parser


def _over_stories(given: argparse.Namespace, amount: int | None) -> Iterator[FaultReport]:
    """Disturb each of our machines' stories by its share."""
    chosen = [each for each in stories() if all(words in each.name for words in given.story)]
    share = None if amount is None else -(-amount // max(1, len(chosen)))
    disturb = FAULTS[given.fault][0]
    if "jumps" in given:
        disturb = partial(recovery_races, jumps=given.jumps)
    for story in chosen:
        yield disturb(story, share, _to_stderr)


def _over_pages(given: argparse.Namespace, points: int | None) -> Iterator[FaultReport]:
    for page in given.pages:
        yield page_crashes(*machine_of(page), points=points, seed=given.seed, progress=_to_stderr)


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
