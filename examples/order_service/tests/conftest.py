"""A shop with books of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from order_service.database import Shop, open_shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    opened = open_shop(tmp_path, "local", lease=0.0)
    yield opened
    opened.close()
