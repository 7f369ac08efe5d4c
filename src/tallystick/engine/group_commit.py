"""Group commit: one transaction for all threads that wait.

A commit waits for the disk, whatever is in it. So while one thread commits, the jobs of other threads gather. They go
into the next transaction together, in the order in which they came, and each works on what the job before it has left.

A thread that comes while nobody leads takes the lead and does its own jobs, because nobody waits. Then it hands the
lead to the first thread that came meanwhile, which runs all that is waiting by then, and so on. Only after that does it
wake the threads that it has served, each by a lock of its own, so the next commit does not wait for them. There is no
writer thread to start, stop, fork or lose, and a single caller pays nothing for it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs

from tallystick.engine.unit_of_work import Job
from tallystick.errors import CommitUnknown, Invalid, StoreBusy
from tallystick.store.protocol import Store, Transaction


@attrs.define(eq=False, repr=False)
class _Waiting:
    """The jobs that one thread has given to the next transaction, and their results."""

    jobs: Sequence[Job]
    turn: threading.Lock = attrs.field(factory=threading.Lock)  # of one that waits: held until it leads or is served
    results: list[Any] | None = None
    error: Exception | None = None
    leads: bool = False  # it has to run all that is waiting

    @property
    def served(self) -> bool:
        return self.results is not None or self.error is not None


class GroupCommit:
    def __init__(self, store: Store, transact: Callable[[Sequence[Job], Transaction], list[Any]]) -> None:
        """`transact` does jobs in a transaction, and gives the result of each: an Invalid, if it raised one."""
        self._store = store
        self._transact = transact
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._gathering = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._led = False  # somebody has the lead

    def one(self, job: Job) -> Any:
        """The result of one job; an Invalid is raised."""
        (result,) = self.submit([job])
        if isinstance(result, Invalid):
            raise result
        return result

    def submit(self, jobs: Sequence[Job]) -> list[Any]:
        """Do jobs in a transaction, together with those that other threads gave meanwhile."""
        if self._process != os.getpid():  # a fork took these locks along, perhaps held
            self._begin()
        mine = _Waiting(jobs)
        with self._gathering:
            mine.leads, self._led = not self._led, True
            if not mine.leads:
                mine.turn.acquire()
                self._waiting.append(mine)
        taken = [mine] if mine.leads else self._wait(mine)
        if taken:
            self._serve(mine, taken)
        if mine.error is not None:
            raise mine.error
        assert mine.results is not None
        return mine.results

    def _wait(self, mine: _Waiting) -> list[_Waiting]:
        """Wait until this thread is served, or has the lead: then it has to run these, all that wait."""
        try:
            mine.turn.acquire()
        except BaseException:  # this thread is told to stop: nobody may count on it
            with self._gathering:
                if mine in self._waiting:
                    self._waiting.remove(mine)
                if mine.leads:
                    self._hand_on()
            raise
        if not mine.leads:
            return []
        with self._gathering:
            taken, self._waiting = self._waiting, []
        return taken

    def _serve(self, mine: _Waiting, taken: list[_Waiting]) -> None:
        """Run what was taken, hand the lead on, and wake the threads that were served."""
        try:
            self._lead(taken)
        finally:
            with self._gathering:
                # If this thread was told to stop in the middle, the jobs of the others still have to be done.
                self._waiting[:0] = [each for each in taken if not each.served and each is not mine]
                self._hand_on()
            for each in taken:
                if each.served and each is not mine:
                    each.turn.release()

    def _hand_on(self) -> None:
        """Give the lead to the first thread that waits. Call it while `_gathering` is locked."""
        self._led = bool(self._waiting)
        if self._waiting:
            self._waiting[0].leads = True
            self._waiting[0].turn.release()

    def _lead(self, taken: list[_Waiting]) -> None:
        jobs = [job for each in taken for job in each.jobs]
        try:
            results = iter(self._store.run(partial(self._transact, jobs)))
        except Exception as error:  # noqa: BLE001  # each of those who wait has to hear of it
            if len(taken) == 1 or isinstance(error, StoreBusy | CommitUnknown):
                for each in taken:
                    each.error = error
                return
            for each in taken:  # one of them is at fault: let it fail alone
                self._lead([each])
            return
        for each in taken:
            each.results = [next(results) for _ in each.jobs]
