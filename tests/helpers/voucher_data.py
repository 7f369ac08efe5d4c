"""The voucher orders that tests run: the made-up sample of the example, and real ones where somebody has them.

The real orders are not shipped. They are looked for in the folder that VOUCHER_ORDERS names, or else beside the
checkout. They take longer, so the tests that run them are marked as slow.
"""

from __future__ import annotations

import csv
import os
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "voucher_orders"
BESIDE = ROOT.parent / "shared" / "data" / "olist_vouchers"


@attrs.frozen(slots=False)
class VoucherOrders:
    """Three CSV files, and what they say. Amounts are cents."""

    folder: Path

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.folder / name).open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))

    @cached_property
    def orders(self) -> dict[str, dict[str, str]]:
        return {row["order_id"]: row for row in self.rows("orders.csv")}

    @cached_property
    def vouchers(self) -> dict[str, int]:
        """What each voucher pays, by the id of its payment."""
        return {
            f"{row['order_id']}/{row['payment_sequential']}": in_cents(row["payment_value"])
            for row in self.rows("payments.csv")
            if row["payment_type"] == "voucher"
        }

    @cached_property
    def worth(self) -> dict[str, dict[str, int]]:
        """What each seller of an order sends, with freight."""
        found: dict[str, dict[str, int]] = {}
        for row in self.rows("items.csv"):
            sellers = found.setdefault(row["order_id"], {})
            value = in_cents(row["price"]) + in_cents(row["freight_value"])
            sellers[row["seller_id"]] = sellers.get(row["seller_id"], 0) + value
        return found

    def order_of(self, payment: str) -> dict[str, str]:
        return self.orders[payment.partition("/")[0]]


def in_cents(text: str) -> int:
    found = Fraction(text) * 100
    assert found.denominator == 1
    return int(found)


SAMPLE = VoucherOrders(EXAMPLE / "sample")
REAL = VoucherOrders(Path(os.environ.get("VOUCHER_ORDERS", BESIDE)))
BOTH = [
    pytest.param(SAMPLE, id="sample"),
    pytest.param(REAL, id="real", marks=[
        pytest.mark.slow,
        pytest.mark.skipif(not REAL.folder.is_dir(), reason=f"real orders are not shipped, and not in {REAL.folder}"),
    ]),
]  # fmt: skip
