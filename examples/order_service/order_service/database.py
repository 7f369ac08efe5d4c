"""The service's tables and tallystick's books in one database, so that one transaction can write both.

That is a SQLite file in the shop's folder, or a PostgreSQL whose URL is given.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.orm import Session, sessionmaker

import tallystick
from order_service.credit_card import CreditCards
from order_service.models import Base
from tallystick import Books

# What begins a transaction that writes, or one that only reads. One writes at a time, on PostgreSQL too. So what the
# service has read in a transaction stays as it was, without a lock for each row; a busier shop would lock its orders.
BEGIN = {
    ("sqlite", True): "BEGIN IMMEDIATE",  # SQLite's default asks for the lock later, when it may be too late
    ("sqlite", False): "BEGIN",
    ("postgresql", True): "SELECT pg_advisory_xact_lock(hashtext('order_service'))",
    ("postgresql", False): "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
}

LEASE = 10.0  # seconds that a checkout is left to the process that began it: longer than a customer waits


@dataclass(frozen=True)
class Shop:
    """All that the service works with. One for each process."""

    books: Books
    credit: CreditCards
    mailbox: Path
    sessions: sessionmaker[Session]
    lease: float = LEASE

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction that may write; others wait. Ask no verb of the books in it but with `connection=`."""
        with self.sessions() as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A look at how things stand, in nobody's way."""
        with self.sessions() as session:
            session.connection(execution_options={"writes": False})
            yield session

    def mail(self, **what: Any) -> None:
        """Tell a customer something. This is where your mail provider is called; here it is a line in a file."""
        line = json.dumps(what) + "\n"
        file = os.open(self.mailbox, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def close(self) -> None:
        self.books.close()
        self.credit.close()
        engine: Engine = self.sessions.kw["bind"]
        engine.dispose()


def open_shop(folder: Path, provider: Any = None, *, lease: float | None = None) -> Shop:
    """Open the shop that is kept in a folder; it is made if it is not there yet.

    The provider is that of TALLYSTICK_PROVIDER in the environment, or local. The database is that of
    ORDER_SERVICE_STORE, such as postgresql://…, or a file in the folder.
    """
    store = os.environ.get("ORDER_SERVICE_STORE", f"sqlite:///{folder / 'shop.db'}")
    engine = _engine(store)
    books = tallystick.open(
        store,
        provider=provider or os.environ.get("TALLYSTICK_PROVIDER", "local"),
        on_pin=lambda card, pin: shop.mail(card=card, pin=pin),  # also when a worker draws a card: nobody keeps it
    )
    with engine.begin() as connection:  # one process after the other
        Base.metadata.create_all(connection)
    credit = CreditCards(folder / "credit_cards.db")
    seconds = float(os.environ.get("ORDER_SERVICE_LEASE", LEASE)) if lease is None else lease
    shop = Shop(books, credit, folder / "mail.jsonl", sessionmaker(engine, expire_on_commit=False), seconds)
    return shop


def _engine(store: str) -> Engine:
    if store.startswith("sqlite:"):
        engine = create_engine(store, connect_args={"timeout": 30})
        event.listen(engine, "connect", _leave_transactions_to_us)
    else:
        engine = create_engine(store.replace("postgresql://", "postgresql+psycopg://", 1))
    event.listen(engine, "begin", _begin)
    return engine


def _leave_transactions_to_us(connection: Any, _: object) -> None:
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql(BEGIN[connection.dialect.name, writes])


def later(work: Any, why: str) -> None:
    """Let a worker try again after a while: one second, then twice as long, up to five minutes."""
    work.tries += 1
    work.due = time.time() + min(2 ** (work.tries - 1), 300)
    work.why = why[:500]
