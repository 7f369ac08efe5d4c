"""A drill: four writers work while the leader is switched over, its server is killed, and the next one's machine.

python drill.py                  # starts a cluster, drills, prints what it counted; ends with 1 if anything is wrong
python drill.py --kill server    # without the third, which waits until a lease has run out
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import date

from cluster import Cluster, Missing, Node, cluster, wait_until

from tallystick.testing.faults.postgres.failover import writing
from tallystick.testing.faults.report import FaultReport

MEANWHILE = 200  # commands that are acknowledged between one event and the next


MISSING = 77  # the exit code where something has to be installed first
FAILURES = {
    "server": Node.kill_server,
    "machine": Node.kill,
    "hang": Node.hang,  # until another one leads; then it wakes, and thinks that it is the leader
}


def drill(servers: Cluster, failures: Sequence[str], say: Callable[[str], object]) -> FaultReport:
    """A switchover, these failures, and the return of who failed. Raises AssertionError where it does not recover."""
    os.environ.update(servers.environment)
    with writing(servers.url) as writers:

        def more(after: str) -> None:
            before = writers.acknowledged()
            wait_until(lambda: writers.acknowledged() > before + MEANWHILE, f"commands go on after {after}")
            say(f"{after}: {writers.acknowledged():,} acknowledged, heard {dict(writers.heard())}")

        def led_by_another(than: str) -> None:
            wait_until(lambda: servers.leader() not in (None, than), f"another one than {than} leads")

        more("at work")
        servers.switch_over()
        more("after a switchover")
        for failure in failures:
            wait_until(servers.synchronous, "a synchronous standby")
            leader = servers.leader()
            assert leader is not None
            FAILURES[failure](servers.nodes[leader])
            led_by_another(leader)
            if failure == "hang":
                servers.nodes[leader].wake()
            more(f"after {leader} failed ({failure})")
            if failure == "machine":
                servers.start_node(leader)
            wait_until(lambda name=leader: name in servers.standbys(), f"{leader} follows")  # type: ignore[misc]
        more("with three again")
    report = writers.report()
    say(f"pauses in which nobody was answered, in seconds: {', '.join(map(str, writers.pauses()))}")
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description="Drill a failover on this machine.")
    parser.add_argument("--fail", action="append", choices=[*FAILURES], help="only this")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing is left behind

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        with cluster() as servers:
            say(f"{date.today()}, {servers.versions()}")
            return drill(servers, given.fail or [*FAILURES], say).print(as_json=given.json)
    except Missing as error:
        say(str(error))
        return MISSING


if __name__ == "__main__":
    sys.exit(main())
