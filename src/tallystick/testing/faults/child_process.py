"""Something done in a process of its own, and how that process ended.

The process is forked, so it costs no start of Python. Where this process has other threads, Python warns of locks that
they hold; what is done here takes none of those. Should one be missed, the child ends after a while.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable

LONGEST = 300  # seconds that a child may take
KILLED = "killed"


def run_in_child(job: Callable[[], object]) -> str:
    """Do it, wait for it, and say how it ended: see `wait_for_child`."""
    return wait_for_child(start_child(job))


def start_child(job: Callable[[], object]) -> int:
    """Start it; gives the number of the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:  # pragma: no cover  # another process
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LONGEST)
        code = 1
        try:
            job()
            code = 0
        except BaseException:  # noqa: BLE001  # it is printed, and this process ends here whatever happened
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def wait_for_child(child: int) -> str:
    """Wait for a process and say how it ended: "" if well, "killed", or what else happened."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return KILLED if number == signal.SIGKILL else f"ended by signal {number}"
    return f"failed with code {os.WEXITSTATUS(status)}" if os.WEXITSTATUS(status) else ""
