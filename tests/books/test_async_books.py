"""Books on asyncio: the verbs are those of `Books`, the loop goes on meanwhile, and what is cancelled is never half.

No test takes the time. Where the loop has to go on while a verb is under way, the verb cannot end before the loop has
done something.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tallystick
from postgres_books import postgres_url
from tallystick.books.async_books import AsyncBooks, AsyncQueue, AsyncSubscriber, aopen
from tallystick.books.books import Books
from tallystick.books.feed import Subscriber
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.queue.queue import Queue
from tallystick.errors import Invalid, KeyReused, NotFound, StoreError
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Result
from tallystick.store.open import open_store

MACHINES = reader.load()
PATIENCE = 20.0  # seconds until a test that hangs fails


class Gated:
    """A provider that does everything, once somebody has opened its gate."""

    name, local = "gated", False

    def __init__(self) -> None:
        self.gate, self.asked, self.performed = threading.Event(), threading.Semaphore(0), 0
        self.gate.set()

    def shut(self) -> None:
        """Whoever is asked from now on has to wait, and is counted anew."""
        self.gate.clear()
        self.asked = threading.Semaphore(0)

    def perform(self, call: Call) -> Outcome:
        self.asked.release()
        assert self.gate.wait(PATIENCE), "nobody has opened the gate: the loop stands still"
        self.performed += 1
        number = f"6006{self.performed}" if call.verb == "allocate" else None
        pin = "4321" if number else None
        return Outcome(Result.CONFIRMED, reference=f"T{self.performed}", number=number, pin=pin)

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        return NotSeen()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "postgres":
        with postgres_url() as url:
            yield url
    else:
        yield "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/books.db"


def books_of(url: str, provider: Any = None, *, threads: int = 8) -> AsyncBooks:
    return AsyncBooks(Books(Engine(MACHINES, open_store(url), provider or LocalProvider())), threads=threads)


async def sold(books: AsyncBooks, amount: str = "50.00") -> AsyncBooks:
    await books.sell_electronic("c", amount, "BRL", order="o", key="sale")
    return books


def ours() -> set[str]:
    return {each.name for each in threading.enumerate() if each.name.startswith("tallystick")}


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, PATIENCE))


# The same verbs


def public(of: type) -> set[str]:
    return {name for name in dir(of) if not name.startswith("_")}


def test_it_has_the_verbs_of_the_books_and_no_others() -> None:
    assert public(AsyncBooks) == public(Books)
    assert public(AsyncQueue) == public(Queue)
    assert public(AsyncSubscriber) | {"name"} == public(Subscriber)


@pytest.mark.parametrize(
    ("awaited", "blocking"), [(AsyncBooks, Books), (AsyncQueue, Queue), (AsyncSubscriber, Subscriber)]
)
def test_each_verb_is_that_verb_with_its_arguments_and_is_awaited(awaited: type, blocking: type) -> None:
    for name in public(awaited) - {"queue", "subscribe"}:
        verb, original = getattr(awaited, name), getattr(blocking, name)
        assert inspect.iscoroutinefunction(verb), name
        assert verb.__doc__, name
        if name not in {"owner", "would", "close", "acknowledged"}:
            assert verb.__wrapped__ is original, name
            assert "Iterator" not in original.__annotations__["return"], (
                f"{name} gives what is read later, perhaps by another thread"
            )


def test_it_opens_as_the_books_do() -> None:
    asynchronous = dict(inspect.signature(aopen).parameters)
    assert asynchronous.pop("threads").default > 1
    blocking = inspect.signature(tallystick.open).parameters
    assert asynchronous == dict(blocking)


def test_it_is_lazy() -> None:
    text = "import sys, tallystick; tallystick.open('memory:'); sys.exit('asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", text], check=False).returncode == 0


# Many callers


def test_512_callers_spend_a_card_to_its_last_cent_and_no_further(url: str) -> None:
    async def test() -> None:
        async with await sold(books_of(url), "40.00") as books:

            async def caller(number: int) -> bool:
                try:
                    await books.redeem(f"p{number}", "c", "1.00", order=f"o{number}", key=f"k{number}")
                except tallystick.Refused:
                    return False
                return True

            paid = await asyncio.gather(*map(caller, range(512)))
            assert sum(paid) == 40
            assert (await books.card("c")).available.minor == 0
            assert (await books.verify()).clean

    run(test())


def test_the_loop_goes_on_while_the_provider_is_asked(url: str) -> None:
    provider = Gated()

    async def test() -> None:
        async with await sold(books_of(url, provider)) as books:
            provider.shut()
            verbs = [
                asyncio.create_task(books.redeem(f"p{number}", "c", "1.00", order="o", key=f"k{number}"))
                for number in range(6)
            ]
            for _ in range(6):
                while not provider.asked.acquire(blocking=False):
                    await asyncio.sleep(0)
            for _ in range(100):
                await asyncio.sleep(0)  # a heart that beats, while six verbs are under way
            assert not any(each.done() for each in verbs)
            assert (await books.card("c")).in_doubt.minor == 600, "others look meanwhile"
            provider.gate.set()
            assert [(await each).state for each in verbs] == ["closed"] * 6

    run(test())


def test_the_loop_goes_on_while_another_process_writes(tmp_path: Path) -> None:
    file = tmp_path / "books.db"

    async def test() -> None:
        async with aopen(str(file)) as books:
            await sold(books)
            with sqlite3.connect(file, isolation_level=None) as other:
                other.execute("BEGIN IMMEDIATE")
                reload = asyncio.create_task(books.reload("c", "1.00", key="k"))
                for _ in range(100):
                    await asyncio.sleep(0.001)
                assert not reload.done()
                other.execute("COMMIT")
            await reload
            assert (await books.card("c")).available.minor == 5100

    run(test())


# What is cancelled


def test_a_verb_that_has_not_begun_never_begins(url: str) -> None:
    provider = Gated()

    async def test() -> None:
        async with await sold(books_of(url, provider, threads=1)) as books:
            provider.shut()
            first = asyncio.create_task(books.redeem("p1", "c", "1.00", order="o", key="k1"))
            second = asyncio.create_task(books.redeem("p2", "c", "2.00", order="o", key="k2"))
            await asyncio.sleep(0)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            provider.gate.set()
            await first
            with pytest.raises(NotFound):
                await books.payment("p2")
            assert (await books.card("c")).available.minor == 4900

    run(test())


def test_a_verb_that_has_begun_goes_on_to_its_end_and_its_key_tells(url: str) -> None:
    provider = Gated()

    async def test() -> None:
        async with await sold(books_of(url, provider)) as books:
            provider.shut()
            verb = asyncio.create_task(books.authorize("p", "c", "20.00", order="o", key="k"))
            while not provider.asked.acquire(blocking=False):
                await asyncio.sleep(0)
            verb.cancel()
            with pytest.raises(asyncio.CancelledError):
                await verb
            assert (await books.card("c")).in_doubt.minor == 2000, "the provider has it still"
            provider.gate.set()
            asked = provider.performed
            while (await books.payment("p")).state == "requested":
                await asyncio.sleep(0)
            again = await books.authorize("p", "c", "20.00", order="o", key="k")
            assert (again.replayed, provider.performed) == (True, asked + 1)
            assert (await books.payment("p")).held.minor == 2000
            assert (await books.verify()).clean

    run(test())


def test_whatever_is_cancelled_is_there_once_after_it_was_said_again(url: str) -> None:
    async def test() -> None:
        async with await sold(books_of(url, threads=4), "200.00") as books:

            def pay(number: int) -> Coroutine[Any, Any, Any]:
                return books.redeem(f"p{number}", "c", "1.00", order="o", key=f"k{number}")

            tasks = [asyncio.create_task(pay(number)) for number in range(100)]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)  # some are done, begun, and waiting now
            for each in tasks[::2]:
                each.cancel()
            told = await asyncio.gather(*tasks, return_exceptions=True)
            cancelled = [each for each in told if isinstance(each, asyncio.CancelledError)]
            assert 0 < len(cancelled) <= 50
            await asyncio.gather(*map(pay, range(100)))
            assert (await books.card("c")).available.minor == 10000
            assert (await books.verify()).clean

    run(test())


# What is raised


def test_errors_arrive_as_themselves(url: str) -> None:
    async def test() -> None:
        async with await sold(books_of(url)) as books:
            with pytest.raises(tallystick.Refused) as refused:
                await books.authorize("p", "c", "60.00", order="o", key="k")
            assert refused.value.receipt.refusal is not None
            assert refused.value.receipt.command == "authorize"
            with pytest.raises(NotFound) as missing:
                await books.card("d")
            assert missing.value.id == "d"
            with pytest.raises(KeyReused):
                await asyncio.gather(*(books.reload("c", f"{number}.00", key="k2") for number in (1, 2)))
            with pytest.raises(tallystick.MoneyError):
                await books.balance("6006", currency="no such", client="a")
            with pytest.raises(ZeroDivisionError):
                await books.would(lambda blocking: 1 // 0)
            with pytest.raises(TypeError, match="unexpected keyword"):
                await books.card("c", amount="1.00")  # type: ignore[call-arg]

    run(test())


def test_a_whole_verb_is_asked_about_with_the_blocking_books(url: str) -> None:
    async def test() -> None:
        async with await sold(books_of(url)) as books:
            answer = await books.would(lambda blocking: blocking.authorize("p", "c", "60.00", order="o", key="k"))
            assert not answer.allowed
            assert (await books.may("gift_card", "c", "reload", amount="1.00")).allowed
            assert await books.queue.waiting() == []
            owner = await books.owner()
            assert owner is None or owner.provider == "local"

    run(test())


def test_the_feed_is_read_and_acknowledged(url: str) -> None:
    async def test() -> None:
        async with await sold(books_of(url)) as books:
            reader = books.subscribe("erp")
            heard = await reader.read()
            assert [each.transition for each in heard.entries if each.machine == "gift_card"][-1] == "issue"
            assert (reader.name, await reader.acknowledged()) == ("erp", None)
            await reader.acknowledge(heard)
            assert (await books.subscribe("erp").read()).entries == []
            assert (await books.tail(heard.cursor)).entries == []
            with pytest.raises(Invalid):
                books.subscribe("e\n")

    run(test())


def test_no_connection_is_joined(tmp_path: Path) -> None:
    async def test() -> None:
        async with aopen(f"{tmp_path}/books.db") as books:
            await sold(books)
            with sqlite3.connect(tmp_path / "books.db", isolation_level=None) as connection:
                connection.execute("BEGIN IMMEDIATE")
                with pytest.raises(Invalid, match="belongs to one thread"):
                    await books.reload("c", "1.00", key="k", connection=connection)
                books.blocking.reload("c", "3.00", key="m", connection=connection)
                connection.execute("COMMIT")
            assert (await books.card("c")).available.minor == 5300

    run(test())


def test_callbacks_see_the_context_of_their_caller(tmp_path: Path) -> None:
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")
    seen = []

    async def test() -> None:
        books = await aopen(
            "memory:", provider=Gated(), on_pin=lambda card, pin: seen.append((card, pin, request.get()))
        )
        request.set("the caller's")
        await sold(books)
        await books.close()

    run(test())
    assert seen == [("c", "4321", "the caller's")]


# It opens and it closes


def test_no_thread_is_left(url: str) -> None:
    before = ours()

    async def test() -> None:
        async with aopen(url) as books:
            await sold(books)
            await asyncio.gather(*(books.card("c") for _ in range(100)))
            assert ours() - before
        assert ours() == before

    run(test())
    assert ours() == before


def test_what_was_asked_for_is_waited_for_and_nothing_is_asked_after_that(url: str) -> None:
    provider = Gated()

    async def test() -> None:
        books = await sold(books_of(url, provider, threads=1))
        provider.shut()
        verbs = [asyncio.create_task(books.reload("c", "1.00", key=f"k{number}")) for number in range(3)]
        await asyncio.sleep(0)
        closing = [asyncio.create_task(books.close()) for _ in range(2)]
        await asyncio.sleep(0)
        closing[0].cancel()  # who closes may be told to stop; the closing goes on
        with pytest.raises(Invalid, match="closed"):
            await books.card("c")
        assert not any(each.done() for each in verbs)
        provider.gate.set()
        await closing[1]
        assert [each.result().state for each in verbs] == ["issued"] * 3
        await books.close()
        assert not ours()

    run(test())


def test_what_cannot_be_opened_says_so_as_the_books_do(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("this is no database, whatever its name says " * 50)

    async def test() -> None:
        with pytest.raises(StoreError, match="not a database"):
            await aopen(f"{tmp_path}/no.db")
        with pytest.raises(StoreError, match="not a database"):
            async with aopen(f"{tmp_path}/no.db"):
                pass
        with pytest.raises(NotFound):
            await aopen("memory:", provider="nobody")
        assert not ours()

    run(test())
    for threads in (0, -1, True, 1.5, "8"):
        with pytest.raises(Invalid, match="threads"):
            aopen("memory:", threads=threads)  # type: ignore[arg-type]


def test_books_that_are_opened_for_nobody_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opening, goes_on, closed = threading.Event(), threading.Event(), threading.Event()

    def slowly(*args: Any, **more: Any) -> Books:
        opening.set()
        assert goes_on.wait(PATIENCE)
        return tallystick.open("memory:")

    monkeypatch.setattr("tallystick.books.async_books.open_blocking", slowly)
    monkeypatch.setattr(Books, "close", lambda books: closed.set())

    async def test() -> None:
        async def opened() -> None:
            await aopen("memory:")

        task = asyncio.create_task(opened())
        while not opening.is_set():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        goes_on.set()

    run(test())
    assert closed.wait(PATIENCE)


# The service of the docs


def test_the_service_in_the_docs_pays_once_and_ends_what_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).parents[2] / "docs/how-to/asyncio.md").read_text(encoding="utf-8")
    *_, service = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    module: dict[str, Any] = {}
    exec(service, module)  # our own page
    app = SimpleNamespace(state=SimpleNamespace(store=f"sqlite:///{tmp_path}/books.db"))

    async def test() -> None:
        async with module["lifespan"](app):
            books: AsyncBooks = module["books"]
            await sold(books)
            pay = module["authorize"]
            assert await pay("o1", "c", "20.00") == (200, {"state": "authorized", "held": "20.00 BRL"})
            assert await pay("o1", "c", "20.00") == (200, {"state": "authorized", "held": "20.00 BRL"})
            statuses = [
                (await pay(*order))[0]
                for order in (("o2", "c", "40.00"), ("o3", "d", "1.00"), ("o4", "c", "x"), ("o1", "c", "7.00"))
            ]
            assert statuses == [409, 404, 422, 409]
            now = books.blocking.engine.now()
            await books.settle("o1/1", "5.00", due=now, key="ship")
            goes_on = asyncio.create_task(module["keep_going"]())
            while (await books.payment("o1/1")).redeemed.minor != 500:
                await asyncio.sleep(0)
            goes_on.cancel()
        assert not ours()

    run(test())
    assert capsys.readouterr().out == ""
