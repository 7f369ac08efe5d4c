"""A row of an entity is changed only if it is as it was read."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.errors import StoreError
from tallystick.provider.local import LocalProvider
from tallystick.store.rows import Changes
from tallystick.store.sqlite import SqliteStore
from tallystick.store.sqlite_rows import SqliteTransaction
from tallystick.testing.contracts.changes import AT

CARD = ("gift_card", "c1")


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    store = SqliteStore(tmp_path / "books.db")
    engine = Engine(reader.load(), store, LocalProvider())
    engine.execute(*CARD, "create", {"form": "electronic", "currency": "BRL"}, key="create")
    return store


@pytest.mark.parametrize("facts", [{}, {"number": "7"}], ids=["its accounts", "its facts too"])
def test_a_row_that_has_another_revision_by_now_is_not_changed(store: SqliteStore, facts: dict[str, object]) -> None:
    def job(transaction: SqliteTransaction) -> None:
        before = transaction.lock([CARD]).entities[CARD]
        transaction._cursor.execute("UPDATE gift_card SET revision = revision + 1")
        after = attrs.evolve(before, revision=2, facts={**before.facts, **facts} if facts else before.facts)
        transaction.write(Changes(entities={CARD: after}), AT)

    with pytest.raises(StoreError, match="an entity is not as it was read; nothing was written"):
        store.run(job)
    with store.reading() as reading:
        assert reading.entity(*CARD).revision == 1  # type: ignore[union-attr]


def test_a_row_that_was_not_read_is_not_replaced(store: SqliteStore) -> None:
    with store.reading() as reading:
        card = reading.entity(*CARD)
    assert card is not None
    changes = Changes(entities={CARD: attrs.evolve(card, revision=2)})
    with pytest.raises(StoreError, match="the database refuses it: UNIQUE"):
        store.run(lambda transaction: transaction.write(changes, AT))


def test_what_a_link_has_led_to_counts_as_read(store: SqliteStore) -> None:
    def job(transaction: SqliteTransaction) -> None:
        (card,) = transaction.linked("gift_card", "form", "electronic")
        transaction.write(Changes(entities={CARD: attrs.evolve(card, state="issued", revision=2)}), AT)

    store.run(job)
    with store.reading() as reading:
        assert reading.entity(*CARD).state == "issued"  # type: ignore[union-attr]
