"""The command `worker`: it does what is due and ends what is in doubt, until it is stopped."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from tallystick.cli.options import books_options, pins_option, write_pins_to

if TYPE_CHECKING:
    from tallystick.cli.options import BooksOptions


@click.command()
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True,
              help="Ask a remote provider about so many cards at once.")  # fmt: skip
@click.option("--lease", type=click.FloatRange(0.1, 86_400), default=60.0, show_default=True,
              help="Seconds after which others take over from a worker that was killed.")  # fmt: skip
@click.option("--grace", type=click.IntRange(0), default=60, show_default=True,
              help="Seconds for which a call may still be on its way.")  # fmt: skip
@click.option("--pause", type=click.FloatRange(0.01, 3600), default=1.0, show_default=True,
              help="Seconds between two looks when nothing is to be done.")  # fmt: skip
@click.option(
    "--health-port", type=click.IntRange(0, 65_535), help="Serve /healthz and /metrics here; 0: any free port."
)
@click.option("--health-host", default="127.0.0.1", show_default=True, help="The address of --health-port.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@pins_option
@books_options
def worker(
    workers: int, lease: float, grace: int, pause: float, health_port: int | None, health_host: str, log_level: str,
    pins: str | None, books: BooksOptions, json_out: bool,
) -> None:  # fmt: skip
    """Do what is due and end what is in doubt, until it is stopped.

    Start as many as you like, on any number of machines: each works on cards that no other works on, and commands of
    one card keep their order. SIGTERM or Ctrl-C ends what is begun. What a killed worker leaves is taken over once its
    lease has run out. The log goes to stderr, one line of JSON for each event; stdout stays empty. With a local
    provider one thread works, whatever --workers says.
    """
    from tallystick.fleet.health import logged, served
    from tallystick.fleet.worker import LOG, Worker

    with logged(sys.stderr, log_level), books.opened(asks=True) as engine, ExitStack() as at_end:
        engine.on_pin = write_pins_to(pins)
        working = Worker(engine, workers=workers, lease=lease, grace=timedelta(seconds=grace), pause=pause)
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.signal(number, lambda *_: working.stop())
            at_end.callback(signal.signal, number, before)
        if health_port is not None:
            LOG.info("serving", extra={"url": at_end.enter_context(served(working, health_host, health_port))})
        working.run()
