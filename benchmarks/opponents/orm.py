"""A payment is authorized and settled on a card, as it is often written: mapped classes with version counters."""

from __future__ import annotations

import uuid
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from benchmarks.measure import Work
from benchmarks.rivals import card


class Base(DeclarativeBase):
    pass


class Card(Base):
    __tablename__ = "card"
    __table_args__ = (CheckConstraint("available >= 0 AND held >= 0"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    available: Mapped[int]
    held: Mapped[int]
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Payment(Base):
    __tablename__ = "payment"
    __table_args__ = (CheckConstraint("held >= 0 AND redeemed >= 0"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    card: Mapped[str] = mapped_column(ForeignKey("card.id"), index=True)
    hold: Mapped[str | None]
    held: Mapped[int]
    redeemed: Mapped[int]
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Entry(Base):
    __tablename__ = "entry"
    seq: Mapped[int] = mapped_column(primary_key=True)
    machine: Mapped[str]
    entity: Mapped[str] = mapped_column(index=True)
    command: Mapped[str]
    from_state: Mapped[str]
    to_state: Mapped[str]
    amount: Mapped[int]
    key: Mapped[str | None] = mapped_column(unique=True)


class Orm:
    """One session for each command, or one for a batch."""

    def __init__(self, path: Path, cards: int, each: int, batch: int) -> None:
        engine = create_engine(f"sqlite:///{path}")
        event.listen(engine, "connect", _connected)
        Base.metadata.create_all(engine)
        self._session = sessionmaker(engine)
        self._cards, self._each, self._batch, self._ids = cards, each, batch, count()
        with self._session.begin() as session:
            session.add_all([Card(id=card(i), state="issued", available=10**12, held=0) for i in range(cards)])

    def one_each(self) -> Work:
        payments = self._payments(self._each // 2)

        def work() -> int:
            for id in payments:
                with self._session.begin() as session:
                    _authorize(session, id, 100, f"{id}/a")
                with self._session.begin() as session:
                    _settle(session, id, 100, f"{id}/s")
            return 2 * len(payments)

        return work

    def one_for_all(self) -> Work:
        payments = self._payments(self._batch // 2)

        def work() -> int:
            with self._session.begin() as session, session.no_autoflush:
                for id in payments:
                    _authorize(session, id, 100, f"{id}/a")
                    _settle(session, id, 100, f"{id}/s")
            return 2 * len(payments)

        return work

    def _payments(self, how_many: int) -> list[str]:
        made = [(f"p{number}", card(number % self._cards)) for number in (next(self._ids) for _ in range(how_many))]
        with self._session.begin() as session:
            session.add_all([Payment(id=id, state="requested", card=on, held=0, redeemed=0) for id, on in made])
        return [id for id, _ in made]


def _connected(connection: Any, _: object) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _loaded(session: Session, id: str, key: str) -> tuple[Payment, Card]:
    assert session.scalar(select(Entry.seq).where(Entry.key == key)) is None
    payment = session.get_one(Payment, id)
    return payment, session.get_one(Card, payment.card)


def _authorize(session: Session, id: str, amount: int, key: str) -> None:
    payment, on = _loaded(session, id, key)
    assert payment.state == "requested"
    assert on.state == "issued"
    assert 0 < amount <= on.available
    payment.state, payment.hold = "authorized", uuid.uuid4().hex
    payment.held += amount
    on.available -= amount
    on.held += amount
    _tell(session, payment, on, "authorize", "requested", "hold", amount, key)


def _settle(session: Session, id: str, amount: int, key: str) -> None:
    payment, on = _loaded(session, id, key)
    assert payment.state == "authorized"
    assert 0 < amount == payment.held <= on.held
    payment.state, payment.hold = "closed", None
    payment.held -= amount
    payment.redeemed += amount
    on.held -= amount
    _tell(session, payment, on, "settle", "authorized", "redeem_hold", amount, key)


def _tell(
    session: Session, payment: Payment, on: Card, command: str, before: str, driven: str, amount: int, key: str
) -> None:
    session.add_all([
        Entry(machine="payment", entity=payment.id, command=command, from_state=before, to_state=payment.state,
              amount=amount, key=key),
        Entry(machine="card", entity=on.id, command=driven, from_state=on.state, to_state=on.state, amount=amount),
    ])  # fmt: skip
