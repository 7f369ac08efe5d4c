"""What takes long is counted once, beside whoever asks, and kept for a while. What is quick is always read anew.

Books of a million cards have figures that need the whole journal. Nobody waits for them before a white page: whoever
asks first hears that it is being counted, and the page comes by itself as soon as that is done. Until it is counted
anew, it says of which moment it is.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillCounting
from typing import Any

import attrs

PATIENCE = 0.8  # seconds that somebody waits for a page
KEPT_FOR = 10  # times as long as it took to count, it is not counted anew
MOST_KEPT = 300  # pages and figures
AT_ONCE = 8  # things that are counted; who asks for more hears that they are being counted


@attrs.frozen
class Counted:
    value: Any
    took: float  # seconds
    at: float  # by `time.monotonic`, when it was done

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.at < KEPT_FOR * self.took


class Counting:
    """What is being counted, and what was. Thread-safe."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Counted] = OrderedDict()
        self._running: dict[Hashable, Future[Counted]] = {}

    def __call__(self, key: Hashable, count: Callable[[], Any], share: float = 1.0) -> Counted | None:
        """What `count` gives, or gave a while ago; None: it is still being counted. Its errors are raised.

        `share`: of the time that somebody waits for a page, where this is a part of one.
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept.is_fresh:
                return kept
            running = self._running.get(key)
            if running is None:
                if len(self._running) >= AT_ONCE:
                    return kept
                running = self._begin(key, count, self._patience * share)
        if kept is not None:
            return kept  # who has a figure of a while ago does not wait for another
        try:
            return running.result(timeout=self._patience * share)
        except StillCounting:
            return None

    def _begin(self, key: Hashable, count: Callable[[], Any], patience: float) -> Future[Counted]:
        done: Future[Counted] = Future()
        self._running[key] = done

        def run() -> None:
            began = time.monotonic()
            try:
                found = Counted(count(), time.monotonic() - began, time.monotonic())
            except BaseException as error:  # noqa: BLE001  # whoever asked gets it
                self._end(key, None)
                done.set_exception(error)
                return
            self._end(key, found if found.took > patience else None)
            done.set_result(found)

        threading.Thread(target=run, name="tallystick-board", daemon=True).start()
        return done

    def _end(self, key: Hashable, found: Counted | None) -> None:
        with self._lock:
            del self._running[key]
            self._kept.pop(key, None)
            if found is not None:
                self._kept[key] = found
                while len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
