"""Stands for the gateway of a credit card company: another party, with a database of its own and idempotent keys.

A token that ends with "declines" is declined. That is all one has to know to try things out.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

TABLE = "CREATE TABLE IF NOT EXISTS charge (key TEXT PRIMARY KEY, charge TEXT, amount INTEGER, approved INTEGER)"


class CreditCards:
    """Charges and credits, each under a key of the caller's: said again, it is not done again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._open()) as db:
            db.execute(TABLE)

    def charge(self, key: str, token: str | None, amount: int) -> bool:
        """Whether the card pays this amount."""
        return self._once(key, key, amount, token is not None and not token.endswith("declines"))

    def give_back(self, key: str, charge: str, amount: int) -> None:
        """Give back a part of a charge, or all of it."""
        self._once(key, charge, -amount, True)

    def net(self, charge: str) -> int:
        """What was taken by this charge and not given back."""
        with closing(self._open()) as db:
            select = "SELECT coalesce(sum(amount), 0) FROM charge WHERE charge = ? AND approved"
            return int(db.execute(select, (charge,)).fetchone()[0])

    def charges(self) -> set[str]:
        """Every charge that was ever approved."""
        with closing(self._open()) as db:
            return {str(charge) for (charge,) in db.execute("SELECT DISTINCT charge FROM charge WHERE approved")}

    def _once(self, key: str, charge: str, amount: int, approved: bool) -> bool:
        with closing(self._open()) as db:
            db.execute("INSERT OR IGNORE INTO charge VALUES (?, ?, ?, ?)", (key, charge, amount, approved))
            return bool(db.execute("SELECT approved FROM charge WHERE key = ?", (key,)).fetchone()[0])

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=30, isolation_level=None)

    def close(self) -> None:
        """Nothing is kept open."""
