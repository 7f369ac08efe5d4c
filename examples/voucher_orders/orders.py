"""Voucher orders as commands of gift cards and payments, and what the books say afterwards.

    orders.csv  payments.csv  items.csv
          └─ read ─┘              each order with its vouchers and its shipments
               └─ lines           what happens to each card and payment, in the order it happened
                    └─ run        as `tallystick run` does: one command a line, one answer a line
                         └─ told  the books in money

The same three files always make the same lines: nothing here is random, and no line depends on when it is made.
What the data does not say and had to be assumed is listed in README.md beside this file.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import tallystick
from tallystick.books.books import Books
from tallystick.cli.commands.json_lines import Summary, run_lines
from tallystick.money import parse, to_text
from tallystick.store.protocol import Reading

SAMPLE = Path(__file__).parent / "sample"
CURRENCY = "BRL"
CARD_SET = "Voucher"
ROUND = 1000  # cards are sold in steps of 10.00
SHELF = timedelta(days=60)  # a card is sold at most this long before it is used
SHIPPED = ("delivered", "shipped")
CALLED_OFF = {"canceled": "order canceled", "unavailable": "item unavailable"}


# What the data says. Amounts are cents.


class Shipment(NamedTuple):
    """What one seller sends."""

    seller: str
    worth: int


class Tender(NamedTuple):
    """One voucher of an order."""

    id: str
    amount: int


class Order(NamedTuple):
    id: str
    state: str
    placed: datetime
    approved: datetime | None
    handed_over: datetime | None  # to the carrier
    shipments: tuple[Shipment, ...]
    tenders: tuple[Tender, ...]


def read(folder: Path) -> list[Order]:
    """Every order of the folder with its vouchers; tenders of other kinds are left out."""
    shipments, tenders = _shipments(folder), _tenders(folder)
    return [
        Order(
            id=row["order_id"],
            state=row["order_status"],
            placed=datetime.fromisoformat(row["order_purchase_timestamp"]),
            approved=_moment(row["order_approved_at"]),
            handed_over=_moment(row["order_delivered_carrier_date"]),
            shipments=shipments.get(row["order_id"]) or (Shipment("not known", 1),),
            tenders=tenders.get(row["order_id"], ()),
        )
        for row in _rows(folder / "orders.csv")
    ]


def _shipments(folder: Path) -> dict[str, tuple[Shipment, ...]]:
    """One a seller; who has to ship first comes first."""
    worth: defaultdict[str, Counter[str]] = defaultdict(Counter)
    limit: dict[tuple[str, str], str] = {}
    for row in _rows(folder / "items.csv"):
        order, seller, until = row["order_id"], row["seller_id"], row["shipping_limit_date"]
        worth[order][seller] += _cents(row["price"]) + _cents(row["freight_value"])
        limit[order, seller] = min(until, limit.get((order, seller), until))
    return {
        order: tuple(Shipment(seller, sellers[seller]) for _, seller in sorted((limit[order, s], s) for s in sellers))
        for order, sellers in worth.items()
    }


def _tenders(folder: Path) -> dict[str, tuple[Tender, ...]]:
    found: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in _rows(folder / "payments.csv"):
        if row["payment_type"] == "voucher":
            found[row["order_id"]].append((int(row["payment_sequential"]), _cents(row["payment_value"])))
    return {order: tuple(Tender(f"{order}/{seq}", cents) for seq, cents in sorted(of)) for order, of in found.items()}


def _rows(file: Path) -> Iterator[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _cents(text: str) -> int:
    return parse(text, CURRENCY)


# What is assumed of the cards


def lot(tender: Tender, question: str) -> int:
    """A number that looks drawn and is the same every time: the tender's answer to a question about it."""
    return int.from_bytes(hashlib.sha256(f"{tender.id} {question}".encode()).digest()[:8])


def card_value(tender: Tender) -> int:
    """What the card was sold with: of ten cards about two have more than the tender asks for, one has less."""
    kind = lot(tender, "kind") % 10
    if kind < 2 or tender.amount == 0:
        return (tender.amount // ROUND + 1) * ROUND
    if kind < 3 and tender.amount > 1:
        return max(1, tender.amount * (40 + lot(tender, "percent") % 51) // 100)
    return tender.amount


def shares(amount: int, shipments: Iterable[Shipment]) -> list[int]:
    """An amount over the shipments by their worth: the shares add up to it exactly, each within a cent of fair."""
    worths = [shipment.worth for shipment in shipments]
    whole, upto, given, found = sum(worths), 0, 0, []
    for worth in worths:
        upto += worth
        found.append(amount * upto // whole - given)
        given += found[-1]
    return found


# What happens


class Event(NamedTuple):
    """One line and its moment. At the same moment an order goes step by step; its vouchers take each step in turn."""

    at: datetime
    order: str
    step: int
    line: str


SALE, PURCHASE, SHIPPING = range(3)  # shipments count on from here
END = 1000  # after any shipment


def events(orders: Iterable[Order]) -> list[Event]:
    """All that happened to all orders, with its moment, in its order."""
    found = [event for order in orders for tender in order.tenders for event in _life(order, tender)]
    return sorted(found, key=lambda event: event[:3])


def lines(orders: Iterable[Order]) -> list[str]:
    """All commands of all orders as JSON, in the order they happened."""
    return [event.line for event in events(orders)]


def _life(order: Order, tender: Tender) -> Iterator[Event]:
    """One voucher, from the sale of its card to the end of its order."""
    sold = order.placed - timedelta(seconds=1 + lot(tender, "sold") % int(SHELF.total_seconds()))
    known = order.handed_over or order.approved or order.placed  # the last moment the data tells

    for line in _sale(tender):
        yield Event(sold, order.id, SALE, line)
    for line in _purchase(order, tender):
        yield Event(order.placed, order.id, PURCHASE, line)
    for shipment, line in _shipping(order, tender):
        yield Event(known, order.id, SHIPPING + shipment, line)
    for line in _end(order, tender):
        yield Event(known, order.id, END, line)


def _sale(tender: Tender) -> Iterator[str]:
    card, value = f"{tender.id}/card", to_text(card_value(tender), CURRENCY)
    facts = {"form": "electronic", "card_set": CARD_SET, "currency": CURRENCY}
    yield _line("gift_card", card, "create", facts)
    yield _line("gift_card", card, "allocate")
    yield _line("gift_card", card, "activate")
    yield _line("gift_card", card, "issue", {"amount": value}, by="shop")


def _purchase(order: Order, tender: Tender) -> Iterator[str]:
    facts = {"order": order.id, "card": f"{tender.id}/card", "currency": CURRENCY}
    yield _line("payment", tender.id, "create", facts)
    if not tender.amount:
        yield _line("payment", tender.id, "cancel", by="checkout", reason="nothing to pay")
        return
    asked: dict[str, object] = {"amount": to_text(tender.amount, CURRENCY)}
    if card_value(tender) < tender.amount:
        asked["allow_partial"] = True
    yield _line("payment", tender.id, "authorize", asked, by="checkout")


def _shipping(order: Order, tender: Tender) -> Iterator[tuple[int, str]]:
    """A settlement for each shipment that has a share; the engine holds again what is still to ship."""
    if not has_shipped(order) or not tender.amount:
        return
    parts = shares(held(tender), order.shipments)
    last = max(number for number, part in enumerate(parts) if part)
    for number, (part, shipment) in enumerate(zip(parts, order.shipments, strict=True)):
        if not part:
            continue
        asked: dict[str, object] = {"amount": to_text(part, CURRENCY)}
        asked |= {"last": True} if number == last else {"keep_hold": False}  # as Manhattan does: release, hold again
        by = f"seller {shipment.seller}"
        yield number, _line("payment", tender.id, "settle", asked, name=f"settle-{number + 1}", by=by)


def _end(order: Order, tender: Tender) -> Iterator[str]:
    reason = CALLED_OFF.get(order.state)
    if reason is None or not tender.amount:
        return
    if has_shipped(order):
        yield _line("payment", tender.id, "refund", {"amount": to_text(held(tender), CURRENCY)}, reason=reason)
    else:
        yield _line("payment", tender.id, "cancel", reason=reason)


def has_shipped(order: Order) -> bool:
    return order.handed_over is not None or order.state in SHIPPED


def held(tender: Tender) -> int:
    """What the authorization gets: the tender, or what the card has if that is less."""
    return min(tender.amount, card_value(tender))


NOTHING: Mapping[str, object] = {}


def _line(
    machine: str, id: str, command: str, args: Mapping[str, object] = NOTHING,
    *, name: str = "", by: str = "", reason: str = "",
) -> str:  # fmt: skip
    """One command. Its key is the entity and what is asked of it: asked twice, it is the same command."""
    line = {"key": f"{id}/{name or command}", "machine": machine, "id": id, "command": command, "args": args}
    return json.dumps(line | ({"by": by} if by else {}) | ({"reason": reason} if reason else {}))


# What the books say


def run(books: Books, commands: Iterable[str]) -> Counter[str]:
    """Execute the lines as `tallystick run` does; how many ended how. What was not done is told."""
    summary = Summary()
    for answer in run_lines(books.engine, (command.encode() for command in commands), summary):
        if answer["result"] not in ("applied", "replayed"):
            print(f"{answer['key']}: {answer['result']}: {answer['why']}", file=sys.stderr)
    return summary.lines


def told(books: Reading) -> str:
    """The payments by state and the money of all cards, as a table."""
    number: Counter[str] = Counter()
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for payment in books.all("payment"):
        number[payment.state] += 1
        sums[payment.state].update(payment.accounts)
    states = [
        f"{state:<18}{number[state]:>8}{_brl(sums[state]['held'])}{_brl(sums[state]['redeemed'])}"
        for state in sorted(number)
    ]
    head = f"{'payments':<18}{'number':>8}{'held':>14}{'redeemed':>14}"
    return "\n".join([head, *states, "", f"{'cards':<18}{CURRENCY:>22}", *_cards(books)])


def _cards(books: Reading) -> Iterator[str]:
    """Where the value put on the cards is: every cent that was sold is spent, held or left."""
    moved: Counter[tuple[str, str]] = Counter()
    for entry in books.journal("gift_card"):
        for source, target, amount in json.loads(entry.postings):
            moved[source, target] += amount
    total: Counter[str] = Counter()
    for card in books.all("gift_card"):
        total.update(card.accounts)
    sums = {
        "sold": moved["issuance", "available"],
        "spent": moved["held", "spent"],
        "refunded": moved["spent", "available"],
        "still held": total["held"],
        "left on cards": total["available"],
    }
    return (f"{name:<18}{_brl(cents):>22}" for name, cents in sums.items())


def _brl(cents: int) -> str:
    return f"{to_text(cents, CURRENCY):>14}"


def main() -> None:
    asked = _arguments().parse_args()

    orders = read(asked.folder)
    commands = lines(orders)
    print(f"{len(orders)} orders, {sum(len(order.tenders) for order in orders)} vouchers, {len(commands)} commands")
    if asked.write:
        asked.write.write_text("".join(f"{command}\n" for command in commands), encoding="utf-8")
    if asked.store or not asked.write:
        with tallystick.open(asked.store or "memory:") as books:
            show(books, commands)


def show(books: Books, commands: Iterable[str]) -> None:
    """Run the commands and print how they ended, what the books say, and whether they hold."""
    ended = run(books, commands)
    print(", ".join(f"{count} {result}" for result, count in sorted(ended.items())), end="\n\n")
    with books.engine.store.reading() as reading:
        print(told(reading))
    report = books.verify()
    print(f"\n{report.entries} entries of {report.entities} cards and payments were replayed: ", end="")
    print("all of it adds up" if report.clean else "\n".join(map(str, report.findings)))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Run voucher orders through tallystick.")
    parser.add_argument(
        "folder", type=Path, nargs="?", default=SAMPLE, help="where orders.csv, payments.csv and items.csv are"
    )
    parser.add_argument(
        "--store", metavar="URL", help="books to keep, such as sqlite:///vouchers.db; otherwise in memory"
    )
    parser.add_argument(
        "--write", metavar="FILE", type=Path, help="keep the commands; without --store, do not run them"
    )
    return parser


if __name__ == "__main__":
    main()
