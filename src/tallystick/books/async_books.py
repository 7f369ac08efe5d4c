"""The verbs of `books` for asyncio: each is awaited, and the loop goes on meanwhile.

    async with tallystick.aopen("sqlite:///books.db") as books:
        await books.authorize("pay-1", "card-1", "40.00", order="o-2", key="o-2/authorize")

A verb here is the verb of `Books`, run in one of a few threads that belong to these books. There is no second engine:
what a verb promises, it promises here. Group commit puts the callers of all threads into one transaction. Who comes
while all threads are busy waits in the order in which he came, and holds up nothing else.

To cancel an await ends the waiting, and takes back nothing. A verb that has not begun never begins. A verb that has
begun goes on to its end in its thread, as if nobody had stopped listening. Nobody is told then which of the two it was:
say it again with the same key, and it answers with what was done, or does it. The one thing that is told only once is
the PIN of a drawn card. `on_pin` gets it in any case.

`connection=` is refused: the transaction of a connection belongs to one thread, and a verb here runs in another. A
service that has its order in the same transaction calls `books.blocking` in the thread that has the connection.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable, Coroutine, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial, wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar

from tallystick.books.balance import BalanceSettings
from tallystick.books.books import Books
from tallystick.books.feed import Subscriber
from tallystick.books.limits import Limits
from tallystick.books.open import open as open_blocking
from tallystick.engine.owner import Owner
from tallystick.engine.pin_policy import PinPolicy
from tallystick.engine.queue.queue import Queue
from tallystick.engine.receipt import Answer
from tallystick.errors import Invalid
from tallystick.provider.protocol import Provider
from tallystick.store.protocol import BUSY_TIMEOUT

THREADS = 32  # so many verbs go on at once. A remote provider that takes 50 ms then answers 640 a second

P = ParamSpec("P")
Result = TypeVar("Result")
Blocking = TypeVar("Blocking")


class _Threaded(Protocol):
    """What has verbs to await: it does them in a thread."""

    async def _do(self, verb: Callable[[Any], Result]) -> Result: ...


def _awaited(
    verb: Callable[Concatenate[Blocking, P], Result],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, Result]]:
    """The verb, to be awaited, with its own arguments and its own result."""

    @wraps(verb)
    async def awaited(self: _Threaded, /, *args: P.args, **kwargs: P.kwargs) -> Result:
        if kwargs.get("connection") is not None:
            raise Invalid("a connection's transaction belongs to one thread, and an awaited verb runs in another; "
                          "call the verb of `books.blocking` in the thread of the connection")  # fmt: skip
        return await self._do(lambda blocking: verb(blocking, *args, **kwargs))

    return awaited


class AsyncQueue:
    """Commands that wait, as `Books.queue` has them."""

    def __init__(self, books: AsyncBooks) -> None:
        self._books = books

    async def _do(self, verb: Callable[[Queue], Result]) -> Result:
        return await self._books._do(lambda blocking: verb(blocking.queue))

    # fmt: off
    dismiss    = _awaited(Queue.dismiss)
    follow     = _awaited(Queue.follow)
    reschedule = _awaited(Queue.reschedule)
    retry      = _awaited(Queue.retry)
    run        = _awaited(Queue.run)
    run_due    = _awaited(Queue.run_due)
    waiting    = _awaited(Queue.waiting)
    withdraw   = _awaited(Queue.withdraw)
    # fmt: on


class AsyncSubscriber:
    """A reader of the feed, as `Books.subscribe` gives it."""

    name: str  # under which the books keep its cursor

    def __init__(self, books: AsyncBooks, subscriber: Subscriber) -> None:
        self._books, self._subscriber = books, subscriber
        self.name = subscriber.name

    async def _do(self, verb: Callable[[Subscriber], Result]) -> Result:
        return await self._books._do(lambda _: verb(self._subscriber))

    async def acknowledged(self) -> str | None:
        """The cursor up to which everything is acknowledged; None: nothing is yet."""
        return await self._do(lambda subscriber: subscriber.acknowledged)

    read = _awaited(Subscriber.read)
    acknowledge = _awaited(Subscriber.acknowledge)


class AsyncBooks:
    """Gift cards and their payments, for a service that runs on asyncio. Any task may use it; close it at the end."""

    blocking: Books  # the same books, whose verbs block

    def __init__(self, books: Books, *, threads: int = THREADS) -> None:
        """`threads`: so many verbs go on at once. Raises Invalid: that is no number of threads."""
        self.blocking = books
        self._pool = _pool(threads)
        self._begun: set[Future[Any]] = set()  # verbs that were asked for and have not ended
        self._closing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for the verbs that were asked for, close the blocking books, and end all threads."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            await asyncio.gather(*map(asyncio.wrap_future, list(self._begun)), return_exceptions=True)
            await asyncio.wrap_future(self._pool.submit(self.blocking.close))
        finally:
            self._pool.shutdown(wait=not self._begun)  # where nothing goes on, the threads end at once

    async def _do(self, verb: Callable[[Books], Result]) -> Result:
        if self._closing is not None:
            raise Invalid("these books were closed; open them anew")
        future = self._pool.submit(contextvars.copy_context().run, verb, self.blocking)
        self._begun.add(future)
        future.add_done_callback(self._begun.discard)
        return await asyncio.wrap_future(future)

    async def owner(self) -> Owner | None:
        """As the property of `Books`."""
        return await self._do(lambda blocking: blocking.owner)

    async def would(self, verb: Callable[[Books], object]) -> Answer:
        """As `Books` has it: `await books.would(lambda books: books.replace("card-1", "card-2", key="k"))`."""
        return await self._do(lambda blocking: blocking.would(verb))

    @property
    def queue(self) -> AsyncQueue:
        """Commands that wait: list, withdraw, reschedule, retry or dismiss them."""
        return AsyncQueue(self)

    def subscribe(self, name: str, *, begin: str | None = None) -> AsyncSubscriber:
        """As `Books` has it: a reader of the feed whose cursor the books keep. Nothing is read yet."""
        return AsyncSubscriber(self, self.blocking.subscribe(name, begin=begin))

    # fmt: off
    # Cards come into a hand
    sell_electronic = _awaited(Books.sell_electronic)
    ship_physical   = _awaited(Books.ship_physical)
    credit_to_new   = _awaited(Books.credit_to_new)
    credit          = _awaited(Books.credit)
    approve         = _awaited(Books.approve)
    reject          = _awaited(Books.reject)
    deliver_on      = _awaited(Books.deliver_on)
    cancel_sale     = _awaited(Books.cancel_sale)
    issue           = _awaited(Books.issue)
    reload          = _awaited(Books.reload)
    extend          = _awaited(Books.extend)
    expiring        = _awaited(Books.expiring)
    register        = _awaited(Books.register)
    recognize       = _awaited(Books.recognize)

    # Orders are paid
    plan             = _awaited(Books.plan)
    authorize        = _awaited(Books.authorize)
    redeem           = _awaited(Books.redeem)
    settle           = _awaited(Books.settle)
    cancel           = _awaited(Books.cancel)
    hold_again       = _awaited(Books.hold_again)
    hold_until       = _awaited(Books.hold_until)
    mark_hold_lost   = _awaited(Books.mark_hold_lost)
    cover_elsewhere  = _awaited(Books.cover_elsewhere)
    reduce           = _awaited(Books.reduce)
    void             = _awaited(Books.void)
    refund           = _awaited(Books.refund)
    refund_to        = _awaited(Books.refund_to)
    refund_to_new    = _awaited(Books.refund_to_new)
    authorize_all    = _awaited(Books.authorize_all)
    settle_all       = _awaited(Books.settle_all)
    refund_all       = _awaited(Books.refund_all)
    take_back        = _awaited(Books.take_back)
    move             = _awaited(Books.move)
    reduce_all       = _awaited(Books.reduce_all)
    cancel_all       = _awaited(Books.cancel_all)
    exchange         = _awaited(Books.exchange)
    send             = _awaited(Books.send)

    # Cards get lost
    suspend    = _awaited(Books.suspend)
    reinstate  = _awaited(Books.reinstate)
    replace    = _awaited(Books.replace)
    undo_replacement = _awaited(Books.undo_replacement)
    cash_out   = _awaited(Books.cash_out)
    adjust     = _awaited(Books.adjust)

    # Looks
    card      = _awaited(Books.card)
    payment   = _awaited(Books.payment)
    payments  = _awaited(Books.payments)
    tender    = _awaited(Books.tender)
    tenders   = _awaited(Books.tenders)
    find      = _awaited(Books.find)
    history   = _awaited(Books.history)
    tail      = _awaited(Books.tail)
    balance   = _awaited(Books.balance)
    may       = _awaited(Books.may)
    stuck     = _awaited(Books.stuck)
    waiting   = _awaited(Books.waiting)
    holds_older_than = _awaited(Books.holds_older_than)
    verify    = _awaited(Books.verify)

    # By themselves
    run_due         = _awaited(Books.run_due)
    recover         = _awaited(Books.recover)
    resolve         = _awaited(Books.resolve)
    reconcile       = _awaited(Books.reconcile)
    adopt_provider  = _awaited(Books.adopt_provider)
    # fmt: on


class _Opening:
    """Books that are being opened: `async with` closes them at the end, `await` leaves that to the caller."""

    def __init__(self, open_them: Callable[[], Books], threads: int) -> None:
        self._open, self._threads = open_them, threads
        self._books: AsyncBooks | None = None

    def __await__(self) -> Generator[Any, None, AsyncBooks]:
        return self._opened().__await__()

    async def __aenter__(self) -> AsyncBooks:
        self._books = await self._opened()
        return self._books

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._books is not None
        await self._books.close()

    async def _opened(self) -> AsyncBooks:
        pool = _pool(1)
        opening = pool.submit(self._open)
        try:
            return AsyncBooks(await asyncio.wrap_future(opening), threads=self._threads)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unused)
            raise
        finally:
            pool.shutdown(wait=opening.done())


def _close_unused(opening: Future[Books]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _pool(threads: int) -> ThreadPoolExecutor:
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise Invalid(f"threads is a whole number from 1, not {threads!r:.60}")
    return ThreadPoolExecutor(threads, "tallystick")


def aopen(
    url: str,
    *,
    threads: int = THREADS,
    provider: Provider | str = "local",
    machines: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    limits: Limits | None = None,
    balances: BalanceSettings | None = None,
    verify_captcha: Callable[[str, str], bool] | None = None,
    on_pin: Callable[[str, str], object] | None = None,
    seal_key: str | None = None,
    pin_policy: PinPolicy = "required",
    busy_timeout: float = BUSY_TIMEOUT,
    read_only: bool = False,
) -> _Opening:
    """Open the books at `url` for asyncio: `async with aopen(url) as books`, or `books = await aopen(url)`.

    `threads`: so many verbs go on at once. All else as `open` has it, with its errors. `on_pin` and `verify_captcha`
    are called in a thread.
    """
    opening = partial(
        open_blocking, url, provider=provider, machines=machines, limits=limits, balances=balances,
        verify_captcha=verify_captcha, on_pin=on_pin, seal_key=seal_key, pin_policy=pin_policy,
        busy_timeout=busy_timeout, read_only=read_only,
    )  # fmt: skip
    _pool(threads).shutdown()  # before anything is opened
    return _Opening(opening, threads)
