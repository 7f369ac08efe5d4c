"""Many customers, two workers, a provider that loses answers, and a killer: `python -m order_service.simulate`.

The customers and each worker are processes of their own, and at random moments one of them gets a SIGKILL and is
started again. The provider is a sandbox of Clutch in another process, over HTTP, with faults on; or `--provider local`.
When the last story is told, the workers go on until nothing is open. Then every order is laid beside the books, and the
books beside the provider's record. What does not agree is printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random

from sqlalchemy import select

from order_service import compare
from order_service.database import Shop, open_shop
from order_service.models import Checkout, LostCard, Order, Transaction
from tallystick import Money
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.settings import ClutchSettings

FAULTS = "lost_before=0.02,lost_after=0.02,500_before=0.01,500_after=0.01,slow=0.01:1500ms,429=0.01,truncated=0.01"
FAULTS += ",broken_json=0.01,short_approval=0.01"
RECORD = "clutch.db"  # the sandbox's own books
SEEN = (
    "SELECT transaction_id, placed, updates FROM history LEFT JOIN hold ON hold.id = transaction_id"
    " WHERE custom_request_id = ?"
)
PATIENCE = 180.0  # seconds until everything has to be at rest

# Quick for a test: a request that takes longer than a second is given up, and one that was not seen after six was not
# done. On a busy machine a request may be late by the pool's and the connection's timeout.
QUICK = {
    "CLUTCH_READ_TIMEOUT": "1.0", "CLUTCH_TOTAL_TIMEOUT": "2.0", "CLUTCH_CONNECT_TIMEOUT": "2.0",
    "CLUTCH_POOL_TIMEOUT": "2.0", "CLUTCH_LONGEST_WAIT": "1.0", "CLUTCH_QUIET_PERIOD": "6.0", "CLUTCH_RATE": "500",
    "CLUTCH_BURST": "500", "CLUTCH_READ_ATTEMPTS": "8", "CLUTCH_BREAKER_PAUSE": "1.0",
    "CLUTCH_CARD_SETS": '{"gift": "E", "merchandise_credit": "E"}',
    "ORDER_SERVICE_LEASE": "4.0",
}  # fmt: skip
GRACE = timedelta(seconds=6)


class Processes:
    """The front and the workers. Whoever is killed is started again."""

    def __init__(self, folder: Path, seed: int, customers: int, environment: Mapping[str, str]) -> None:
        self._environment = environment
        front = ["order_service.customers", str(folder), "--seed", str(seed), "--customers", str(customers)]
        working = ["order_service.worker", str(folder), "--grace", str(GRACE.total_seconds()), "--pause", "0.2"]
        self._commands = {"front": front, "worker 1": working, "worker 2": working}
        self.running = {name: self._started(name) for name in self._commands}
        self.kills: Counter[str] = Counter()

    def _started(self, name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", *self._commands[name]]
        return subprocess.Popen(command, env=self._environment, cwd=Path(__file__).parents[1])

    def kill(self, name: str) -> None:
        """SIGKILL, and a new process in its place."""
        self.running[name].send_signal(signal.SIGKILL)
        self.running[name].wait()
        self.kills[name] += 1
        self.running[name] = self._started(name)

    def look(self) -> bool:
        """Whether the front still has stories to tell. Raises: RuntimeError if somebody died who was not killed."""
        for name, process in self.running.items():
            code = process.poll()
            if code is not None and (name != "front" or code != 0):
                raise RuntimeError(f"{name} ended by itself, with exit code {code}")
        return self.running["front"].poll() is None

    def end(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()


def simulate(
    folder: Path, *, seed: int = 1, customers: int = 10, kills: int = 20, provider: str = "clutch",
    faults: str = FAULTS,
) -> list[str]:  # fmt: skip
    """All of it. What does not agree in the end: nothing, if all is well."""
    with _provider(folder, provider, seed, faults) as environment:
        processes = Processes(folder, seed, customers, environment)
        try:
            chance, left, asked = Random(seed), kills, 0
            until = time.monotonic() + PATIENCE + 10 * customers
            with _opened(folder, environment) as shop:
                while processes.look():
                    time.sleep(chance.uniform(0.1, 1.5))
                    asked += decide(shop, folder / RECORD)
                    if left:
                        left -= 1
                        processes.kill(chance.choice(list(processes.running)))
                    if time.monotonic() > until:
                        return ["the front did not come to an end", *compare.unfinished(shop)]
                wrong = _at_rest(shop, folder / RECORD)
        finally:
            processes.end()
        with _opened(folder, environment) as shop:
            print(_told(shop, processes.kills, asked))
            return wrong + list(compare.differences(shop))


def decide(shop: Shop, record: Path) -> int:
    """The person on duty looks up in the portal what became of stuck calls. How many there were.

    The portal is the sandbox's own file, which knows our calls by their ids. Clutch's record does not show those.
    """
    stuck = shop.books.stuck().calls
    for row in (each.row for each in stuck):
        with closing(sqlite3.connect(record)) as portal:
            found = portal.execute(SEEN, (row.id,)).fetchone()
        if found is None:
            shop.books.resolve(row.id, "unavailable", by="ann", reason="not in the portal")
        else:
            minor = abs(found[1] or json.loads(found[2])[0][2])
            amount = Money(minor, row.currency) if row.amount is not None else None
            shop.books.resolve(
                row.id, "confirmed", by="ann", reason="seen in the portal", reference=found[0], amount=amount
            )
    return len(stuck)


def _at_rest(shop: Shop, record: Path) -> list[str]:
    """The workers go on until nothing is open. What a person would have to decide is a finding, too."""
    until = time.monotonic() + PATIENCE
    while found := compare.unfinished(shop):
        decide(shop, record)
        if time.monotonic() > until:
            break
        time.sleep(0.5)
    stuck = shop.books.stuck()
    return (
        [f"not finished: {each}" for each in found]
        + [f"stuck: call {each.row.verb} of {each.row.entity}: {each.why}" for each in stuck.calls]
        + [f"stuck: {each.row.key}: {each.why}" for each in stuck.queue]
        + [f"stuck: {each.payment} has {each.amount} uncovered" for each in stuck.uncovered]
    )


@contextmanager
def _opened(folder: Path, environment: Mapping[str, str]) -> Iterator[Shop]:
    clutch = environment["TALLYSTICK_PROVIDER"] == "clutch"
    provider = ClutchProvider(ClutchSettings.from_environment(environment)) if clutch else None
    shop = open_shop(folder, provider or "local")
    try:
        yield shop
    finally:
        shop.close()
        if provider is not None:
            provider.close()


@contextmanager
def _provider(folder: Path, name: str, seed: int, faults: str) -> Iterator[Mapping[str, str]]:
    """The provider, and the environment in which the service finds it."""
    environment = {**os.environ, **QUICK, "TALLYSTICK_PROVIDER": name}
    if name == "local":
        numbers = [{"number": f"6006490000{number:06}"} for number in range(1000)]
        (folder / "plastic.json").write_text(json.dumps(numbers), encoding="utf-8")
        yield environment
        return
    command = [sys.executable, "-m", "tallystick.clutch.sandbox", "--seed", str(seed), "--faults", faults]
    command += ["--card-set", "E:5000", "--card-set", "P:1000:physical", "--state", str(folder / RECORD)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sandbox:
        try:
            assert sandbox.stdout is not None
            known = json.loads(sandbox.stdout.readline())
            (folder / "plastic.json").write_text(_printed(known), encoding="utf-8")
            access = {f"CLUTCH_{each.upper()}": known[each] for each in known if each != "url"}
            yield environment | access | {"CLUTCH_BASE_URL": f"{known['url']}/merchant"}
        finally:
            sandbox.kill()


def _printed(known: Mapping[str, str]) -> str:
    """The plastic cards in the warehouse, with what is printed on them."""
    pair = b64encode(f"{known['api_key']}:{known['api_secret']}".encode()).decode()
    headers = {"Authorization": f"Basic {pair}", **{each: known[each] for each in ("brand", "location", "terminal")}}
    asked = urllib.request.Request(f"{known['url']}/sandbox/inventory?card_set=P", headers=headers)
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return str(answer.read().decode())


def _told(shop: Shop, kills: Mapping[str, int], asked: int) -> str:
    """What happened, in numbers."""
    with shop.read() as session:
        orders = Counter(session.scalars(select(Order.state)))
        tries = Counter(session.scalars(select(Checkout.state)))
        moved = Counter(session.scalars(select(Transaction.type).where(Transaction.state == "closed")))
        lost = len(session.scalars(select(LostCard.id)).all())
    lines = {"orders": orders, "checkouts": tries, "transactions": moved, "kills": kills, "lost cards": {"": lost},
             "decided by a person": {"": asked}}  # fmt: skip
    return "\n".join(
        f"{name}: {', '.join(f'{count} {each}'.strip() for each, count in sorted(counts.items()))}"
        for name, counts in lines.items()
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="order_service.simulate", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--customers", type=int, default=10)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--provider", choices=["clutch", "local"], default="clutch")
    parser.add_argument("--faults", default=FAULTS, help="of the sandbox")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the shop there, to look at it")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="order-service-") as folder:
        place = parsed.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        wrong = simulate(place, seed=parsed.seed, customers=parsed.customers, kills=parsed.kills,
                         provider=parsed.provider, faults=parsed.faults)  # fmt: skip
    print("\n".join(wrong) or "the orders, the books and the provider agree")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
