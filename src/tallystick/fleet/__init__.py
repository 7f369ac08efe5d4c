"""Workers on any number of machines that do what is due, and end what is in doubt, on the same books.

Keeps: two workers never work on one card at the same time, and its commands keep their order. What a killed worker has
begun is taken over, and nothing is done twice. A worker that wakes late does nothing wrong.

Read in this order: `leases` (who may work on a card now), `worker` (drain, recover, and on and on), `health` (what it
tells of itself, over HTTP and in its log), `carrier` (the same calls, driven by Procrastinate).

Knows the engine, whose queue and calls it works on. The command line starts it. Whoever has a scheduler of his own
needs `Worker.drain` and `Worker.recover` only.
"""

from tallystick.fleet.worker import Worker

__all__ = ["Worker"]
