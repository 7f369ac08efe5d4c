"""`python -m tallystick.clutch.sandbox --port 0 --card-set GIFT:100 --seed 1`"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys

from tallystick.clutch.sandbox.faults import Faults
from tallystick.clutch.sandbox.sandbox import Sandbox
from tallystick.clutch.sandbox.settings import CardSet, Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the sandbox, for this and any other command line."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument(
        "--card-set", action="append", default=[], metavar="NAME:COUNT[:physical][:nopin]", help="may be given again"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", default="", metavar="SPEC", help="lost_after=0.02,slow=0.01:250ms or all=0.05")
    parser.add_argument("--state", metavar="FILE", help="books that survive a restart; without, they are in memory")
    parser.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE", help="see settings.py")


def run(parsed: argparse.Namespace) -> None:
    """Print one JSON line with the connection, then serve until a signal. Raises: ValueError for an option."""
    from tallystick.clutch.sandbox.server import Server

    sets = dict(CardSet.parse(text) for text in parsed.card_set)
    sandbox = Sandbox(Settings.parse(parsed.set), sets, parsed.seed, parsed.state, Faults.parse(parsed.faults))
    with sandbox, contextlib.suppress(KeyboardInterrupt):
        server = Server(sandbox, parsed.host, parsed.port)
        sys.stdout.write(f"{json.dumps(server.connection())}\n")
        sys.stdout.flush()
        server.run()


def main() -> None:
    parser = argparse.ArgumentParser(prog="sandbox", description="A Clutch-compatible server with its own books.")
    arguments(parser)
    parsed = parser.parse_args()
    try:
        run(parsed)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
