"""The tables: orders with their lines, how they are paid, what ships and comes back, cards sold and cards lost.

A row with a `state` "open" is an intention that somebody has to go on with: the process that wrote it, or a worker. Its
id is the key under which the books are asked, so it makes no difference how many go on with it. All amounts are minor
units of the order's currency. No card number and no PIN stands here: the books know the numbers, nobody keeps a PIN.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """All of these."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {int: BigInteger}


class Work:
    """What has to be gone on with until it has ended."""

    state: Mapped[str] = mapped_column(default="open", index=True)
    due: Mapped[float] = mapped_column(default=0.0)  # when a worker looks at it next, in seconds since 1970
    tries: Mapped[int] = mapped_column(default=0)
    why: Mapped[str] = mapped_column(default="")  # it is still open, or has failed


class Order(Base):
    """What a customer buys."""

    __tablename__ = "customer_order"
    id: Mapped[str] = mapped_column(primary_key=True)
    customer: Mapped[str]
    currency: Mapped[str]
    token: Mapped[str | None]  # the credit card on file, as its gateway calls it
    state: Mapped[str] = mapped_column(default="paying")  # paying, unpaid, paid, complete, cancelled
    lines: Mapped[list[Line]] = relationship(order_by="Line.id")
    checkouts: Mapped[list[Checkout]] = relationship(order_by="Checkout.id")
    transactions: Mapped[list[Transaction]] = relationship(back_populates="order", order_by="Transaction.id")

    @property
    def total(self) -> int:
        return sum(line.price for line in self.lines)


class Line(Base):
    """One thing of an order."""

    __tablename__ = "order_line"
    id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("customer_order.id"), index=True)
    sku: Mapped[str]
    price: Mapped[int]
    state: Mapped[str] = mapped_column(default="open")  # open, shipped, cancelled, returned


class Checkout(Work, Base):
    """One try to pay an order: holding → charging → paid, or → undoing → failed. Key first."""

    __tablename__ = "checkout"
    id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("customer_order.id"), index=True)
    one_step: Mapped[bool]  # taken at once, because the goods are handed over
    plan: Mapped[list[Any]] = mapped_column(JSON)  # of each gift card in turn: its id, and how much it pays
    credit: Mapped[int]  # how much the credit card pays
    token: Mapped[str | None]
    order: Mapped[Order] = relationship(overlaps="checkouts")


class Transaction(Work, Base):
    """Money of one order that moved, or is to move. Its id is its key: at the books, or at the credit gateway."""

    __tablename__ = "payment_transaction"
    id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("customer_order.id"), index=True)
    payment: Mapped[str] = mapped_column(index=True)  # its id in the books; or the charge's at the credit gateway
    type: Mapped[str]  # authorization, redemption, settlement, reversal, refund, void; charge, credit
    requested: Mapped[int]
    processed: Mapped[int] = mapped_column(default=0)
    to: Mapped[str | None]  # a refund to a new card: which
    order: Mapped[Order] = relationship(back_populates="transactions")


class SoldCard(Work, Base):
    """A gift card that an order sells. Its id is the card's id in the books."""

    __tablename__ = "sold_card"
    id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("customer_order.id"), index=True)
    form: Mapped[str]  # electronic, physical
    amount: Mapped[int]
    order: Mapped[Order] = relationship()


class LostCard(Work, Base):
    """A card that its owner has lost. It is suspended with this row, and replaced by a worker."""

    __tablename__ = "lost_card"
    id: Mapped[str] = mapped_column(primary_key=True)
    card: Mapped[str] = mapped_column(unique=True)
    new: Mapped[str]
    moves: Mapped[int] = mapped_column(default=0)  # how often value was moved: orders may give some back later
