"""Writes `books_before.db.gz`: books with something of everything, as the version of then wrote them.

They are kept, and not written again: what a later version makes of them is what `tests/store/test_books_before.py`
asks. The file was written with gift_card 2, fulfilment 1, payment 2, replacement 2 and tender 1, by
`python tests/data/write_books_before.py`. All orders and card numbers are made up.
"""

from __future__ import annotations

import gzip
import sqlite3
import tempfile
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import tallystick
from tallystick import Money
from tallystick.provider.scripted import Reply, ScriptedProvider

FILE = Path(__file__).parent / "books_before.db.gz"
LATER = datetime(2026, 3, 1, tzinfo=timezone.utc)


def write(books: tallystick.Books, provider: ScriptedProvider) -> None:
    cards(books)
    payments(books)
    tenders(books)
    replacements(books)
    later(books)
    books.verify()  # leaves a checkpoint
    in_doubt(books, provider)


def cards(books: tallystick.Books) -> None:
    """A card in each state, of each kind."""
    for state, steps in (
        ("inventory", 0), ("allocated", 1), ("activated", 2), ("issued", 3), ("suspended", 4),
    ):  # fmt: skip
        card = f"card-{state}"
        give = books.engine.execute
        give("gift_card", card, "create", {"currency": "BRL", "form": "electronic"}, key=f"{card}/create")
        for number, (command, args) in enumerate(
            [("allocate", {}), ("activate", {}), ("issue", {"amount": "80.00"}), ("suspend", {})][:steps]
        ):
            give("gift_card", card, command, args, key=f"{card}/{number}")
    limits = {"smallest": "5.00", "limit": "500.00", "use_limit": "300.00", "cash_out_limit": "10.00"}
    books.sell_electronic("gift", "100.00", "BRL", order="s-1", key="s-1", limits=limits, card_set="birthday")
    books.reload("gift", "50.00", key="s-1/reload")
    books.register("gift", {"first_name": "Ana", "email": "ana@example.com"}, key="s-1/register")
    books.ship_physical("shelf", "6006490000000001", "60.00", "BRL", order="s-2", key="s-2")
    books.sell_electronic("promo", "25.00", "BRL", order="s-3", key="s-3", kind="promo")
    books.credit_to_new("credit", "30.00", "BRL", order="s-4", key="s-4")
    books.sell_electronic("yen", "5000", "JPY", order="s-5", key="s-5")
    books.sell_electronic("reviewed", "70.00", "BRL", order="s-6", key="s-6", review=True)
    books.approve("s-6", key="s-6/yes", by="eva")
    books.sell_electronic("rejected", "70.00", "BRL", order="s-7", key="s-7", review=True)
    books.reject("s-7", key="s-7/no", by="eva")
    books.sell_electronic("looked-at", "70.00", "BRL", order="s-8", key="s-8", review=True)
    books.sell_electronic("unpaid", "40.00", "BRL", order="s-9", key="s-9", issue=False)
    books.recognize("elsewhere", "6006490000000019", currency="BRL", key="s-10", balance="45.00")
    books.sell_electronic("cashed", "8.00", "BRL", order="s-11", key="s-11", limits={"cash_out_limit": "10.00"})
    books.cash_out("cashed", key="s-11/cash")
    books.adjust("promo", "-1.00", key="s-3/adjust", by="eva", reason="printed wrongly")
    books.engine.execute("gift_card", "elsewhere", "observe", {"balance": "44.00"}, key="s-10/heard")


def payments(books: tallystick.Books) -> None:
    """A payment in each state."""
    books.authorize("p-held", "gift", "20.00", order="o-1", key="o-1")
    books.authorize("p-part", "gift", "30.00", order="o-2", key="o-2")
    books.settle("p-part", "10.00", key="o-2/1", keep_hold=True)
    books.authorize("p-earned", "gift", "12.00", order="o-3", key="o-3")
    books.settle("p-earned", "12.00", key="o-3/1", last=True)
    books.refund("p-earned", "2.00", key="o-3/back", by="eva", reason="a dent")
    books.refund_to("p-earned", "1.00", "credit", key="o-3/credit")
    books.refund_to_new("p-earned", "3.00", "credit-2", key="o-3/new")
    books.authorize("p-cancelled", "shelf", "9.00", order="o-4", key="o-4")
    books.cancel("p-cancelled", key="o-4/cancel")
    books.redeem("p-now", "promo", "5.00", order="o-5", key="o-5")
    books.redeem("p-void", "promo", "4.00", order="o-6", key="o-6")
    books.void("p-void", key="o-6/void")
    books.redeem("p-back", "shelf", "6.00", order="o-7", key="o-7")
    books.refund("p-back", "6.00", key="o-7/back")
    books.authorize("p-lost", "shelf", "15.00", order="o-8", key="o-8")
    books.mark_hold_lost("p-lost", key="o-8/lost", by="eva", reason="gone at the provider")
    books.authorize("p-again", "shelf", "14.00", order="o-9", key="o-9")
    books.mark_hold_lost("p-again", key="o-9/lost", by="eva", reason="gone at the provider")
    books.hold_again("p-again", "10.00", key="o-9/again")
    books.cover_elsewhere("p-again", "4.00", key="o-9/cash")
    facts = {"currency": "BRL", "order": "o-10", "card": "gift", "requested": "1.00"}
    books.engine.execute("payment", "p-new", "create", facts, key="o-10")


def tenders(books: tallystick.Books) -> None:
    for name, ships in (("t-held", 0), ("t-part", 1), ("t-all", 2)):
        plan = books.plan(Money.parse("24.00", "BRL"), ["credit", "reviewed"])
        tender = books.authorize_all(plan, order=name, key=name).id
        if ships:
            books.settle_all(tender, "10.00", key=f"{name}/1", last=ships == 2)
        if ships == 2:
            books.refund_all(tender, "4.00", key=f"{name}/back")
    plan = books.plan(Money.parse("5.00", "BRL"), ["reviewed"])
    books.cancel_all(books.authorize_all(plan, order="t-gone", key="t-gone").id, key="t-gone/cancel")


def replacements(books: tallystick.Books) -> None:
    """One that is done, one that waits for what an order holds, and one that waits for its number."""
    for card in ("lost", "held", "waits"):
        books.sell_electronic(card, "40.00", "BRL", order=card, key=card)
    books.replace("lost", "lost-2", key="lost/replace", by="eva", reason="lost")
    books.authorize("p-on-lost", "held", "15.00", order="o-20", key="o-20")
    books.replace("held", "held-2", key="held/replace", by="eva", reason="lost")
    books.suspend("waits", key="waits/suspend")
    blank = {"currency": "BRL", "form": "physical"}
    books.engine.execute("gift_card", "waits-2", "create", blank, key="waits/blank")
    facts = {"currency": "BRL", "old": "waits", "new": "waits-2", "form": "physical"}
    books.engine.execute("replacement", "waits/r", "create", facts, key="waits/create")
    books.engine.execute("replacement", "waits/r", "replace", {"amount": "40.00"}, key="waits/replace")


def later(books: tallystick.Books) -> None:
    """Commands that wait for their day, and one that was called off."""
    books.settle("p-held", "5.00", key="o-1/later", due=LATER)
    books.settle("p-part", "5.00", key="o-2/later", due=LATER)
    books.settle("p-again", "1.00", key="o-9/later", due=LATER)
    books.queue.withdraw("o-9/later", by="eva", reason="called off")
    books.sell_electronic("some-day", "20.00", "BRL", order="s-20", key="s-20", due=LATER + timedelta(days=1))


def in_doubt(books: tallystick.Books, provider: ScriptedProvider) -> None:
    """A shipment whose answer was lost, one hold that nobody took, and one that was declined."""
    books.authorize("p-doubt", "elsewhere", "11.00", order="o-30", key="o-30")
    provider.reply_with([Reply("lost_after")])
    books.engine.try_execute(
        tallystick.Command("payment", "p-doubt", "settle", {"amount": "7.00", "keep_hold": True}, "o-30/1")
    )
    provider.reply_with([Reply("unavailable"), Reply("declined")])
    for number in (31, 32):
        facts = {"currency": "JPY", "order": f"o-{number}", "card": "yen", "requested": "100"}
        books.engine.execute("payment", f"p-{number}", "create", facts, key=f"o-{number}/create")
        books.engine.try_execute(
            tallystick.Command("payment", f"p-{number}", "authorize", {"amount": "100"}, f"o-{number}")
        )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        provider, path = ScriptedProvider(), Path(folder) / "books.db"
        with tallystick.open(f"sqlite:///{path}", provider=provider) as books:
            write(books, provider)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("VACUUM")
        FILE.write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
        print(f"{FILE.name}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
