"""A shop with books of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from order_service.database import Shop, open_shop


@pytest.fixture(autouse=True, params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where the shop is kept: in a file, and in a real PostgreSQL if there is one."""
    if request.param == "sqlite":
        yield
        return
    server = pytest.importorskip("tallystick.testing.postgres_server", exc_type=ImportError)
    try:
        server.shared_server()
    except server.NoServer as error:
        pytest.skip(str(error))
    with server.new_database() as url:
        monkeypatch.setenv("ORDER_SERVICE_STORE", url)
        yield


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    opened = open_shop(tmp_path, "local", lease=0.0)
    yield opened
    opened.close()
