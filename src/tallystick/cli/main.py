"""The command line: `tallystick --help`. This file only puts the commands together.

Each command opens what it needs, asks the engine or the store, and prints plain values: as JSON, or as tables. What is
heavy is imported inside the commands, so that help is quick. Answers go to stdout, everything else to stderr. If
something goes wrong, stderr gets one sentence and the exit code is 1; it is 2 for a wrong use, and 130 for a stop by
hand.
"""

from __future__ import annotations

import os
from typing import Any

import click

from tallystick.cli.commands.board import board
from tallystick.cli.commands.bulk import import_command, sell
from tallystick.cli.commands.checking import check, diff
from tallystick.cli.commands.checkout import checkout
from tallystick.cli.commands.explaining import explain
from tallystick.cli.commands.feed import tail
from tallystick.cli.commands.figures import datasette, export_command, report
from tallystick.cli.commands.fleet import worker
from tallystick.cli.commands.looking import history, may, show, verify
from tallystick.cli.commands.machines import diagram, machines, schema
from tallystick.cli.commands.migrating import migrate
from tallystick.cli.commands.provider import adopt, balance, reconcile, sandbox
from tallystick.cli.commands.running import due, recover, resolve, run
from tallystick.cli.commands.starting import demo, init, key
from tallystick.cli.commands.testing import fuzz, simulate
from tallystick.cli.commands.waiting import expiring, holds, stuck, waiting
from tallystick.errors import TallystickError
from tallystick.masks import redacted

SECTIONS: dict[str, list[click.Command]] = {
    "Begin": [demo, init, key],
    "Execute": [run, sell, import_command, due, recover, worker, resolve],
    "Look": [show, may, history, tail, verify],
    "Count": [report, export_command, board, datasette],
    "What waits": [stuck, waiting, holds, expiring],
    "At the provider": [balance, reconcile, checkout, adopt, sandbox],
    "Machines": [machines, diagram, check, explain, diff, migrate, schema],
    "Test": [simulate, fuzz],
}


class Commands(click.Group):
    """All commands. A failure ends in a sentence, not in a traceback; TALLYSTICK_TRACEBACK=1 shows the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(130)
        except Exception as error:
            if os.environ.get("TALLYSTICK_TRACEBACK"):
                raise
            raise click.ClickException(_sentence(error)) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, commands in SECTIONS.items():
            rows = [(each.name or "", each.get_short_help_str(limit=100)) for each in commands]
            with formatter.section(section):
                formatter.write_dl(rows, col_max=12)


def _sentence(error: Exception) -> str:
    """What went wrong, in words."""
    import sqlite3

    match error:
        case TallystickError():
            return str(error)
        case sqlite3.Error():
            return f"the store cannot do it: {error}"
        case UnicodeDecodeError():
            return f"a page is not UTF-8 text: {error.reason} at byte {error.start + 1}"
        case UnicodeEncodeError():
            return "an argument is not UTF-8 text"
        case OSError() if error.strerror:
            return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    what = f"{type(error).__name__}: {redacted(str(error))}"
    return f"this is a fault in tallystick itself: {what}; TALLYSTICK_TRACEBACK=1 shows where"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tallystick", message="%(prog)s %(version)s")
def main() -> None:
    """Gift cards and their payments as declared state machines that know about money.

    `tallystick COMMAND --help` says more about a command. Most of them open the books that --store or TALLYSTICK_STORE
    names, and all of them answer in JSON with --json.
    """


for each in (command for commands in SECTIONS.values() for command in commands):
    main.add_command(each)
