"""Books belong to one provider. No other may go on with them, by whatever door, until a person moves them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

import tallystick
from clutch_world import settings_of
from tallystick.books.books import Books
from tallystick.books.reconciling.reconcile import reconcile
from tallystick.cli.main import main
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.sandbox import Sandbox
from tallystick.clutch.transport import InProcess, Lost
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.owner import Adoption, owner
from tallystick.engine.receipt import Command, InDoubt
from tallystick.errors import Invalid, StoreError
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Identified, Provider
from tallystick.provider.scripted import ScriptedProvider
from tallystick.store.open import open_store

MACHINES = reader.load()
CLUTCH = "clutch (127.0.0.1, brand sandbox-brand)"
NEW_HOST = "https://api.clutch.invalid/merchant"


@pytest.fixture(autouse=True)
def _pages_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "load", lambda *folders: MACHINES)


class Shop:
    """Clutch's books with a hold whose answer was lost, an hour ago."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'books.db'}"
        self.now = datetime.now(timezone.utc) - timedelta(hours=1)
        self.sandbox = Sandbox(card_sets={"GIFT": 5}, seed=1, clock=lambda: self.now.timestamp())
        self.lost = False
        self.provider = self.clutch()
        self.engine = Engine(MACHINES, open_store(self.url), self.provider, clock=lambda: self.now)
        self.books = Books(self.engine)
        self.books.sell_electronic("c", "50.00", "USD", order="o", key="sale", card_set="GIFT")
        self.lost = True
        with pytest.raises(InDoubt):
            self.books.authorize("p", "c", "20.00", order="o", key="hold")

    def clutch(self, **more: Any) -> ClutchProvider:
        shop = self

        class Line(InProcess):
            def send(self, *args: Any) -> Any:
                answer = super().send(*args)
                if shop.lost:
                    raise Lost("no answer")
                return answer

        settings = attrs.evolve(settings_of(self.sandbox), **more)
        return ClutchProvider(settings, Line(self.sandbox), clock=lambda: self.now)

    def is_recovered(self) -> bool:
        """Its own provider goes on with the books, and finds the hold."""
        self.lost = False
        self.now += timedelta(hours=1)
        return [each.state for each in self.books.recover()] == ["authorized"]

    def state(self) -> list[Any]:
        with self.engine.store.reading() as reading:
            return [list(reading.journal()), list(reading.all_calls()), reading.queue()]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_clutch_says_which_of_its_brands_it_is(shop: Shop) -> None:
    assert isinstance(shop.provider, Identified)
    assert shop.provider.identity == "127.0.0.1, brand sandbox-brand"
    assert shop.clutch(base_url="http://127.0.0.1:77/merchant").identity == shop.provider.identity
    assert shop.books.owner is not None
    assert shop.books.owner.provider == CLUTCH


OTHERS: dict[str, Callable[[Shop], Provider]] = {
    "local": lambda shop: LocalProvider(),
    "scripted": lambda shop: ScriptedProvider(),
    "another brand": lambda shop: shop.clutch(brand="another"),
    "another host": lambda shop: shop.clutch(base_url=NEW_HOST),
}
FRESH = {"form": "electronic", "currency": "USD"}
RELOAD = {"amount": "7.00"}
DOORS: dict[str, Callable[[Engine], object]] = {
    "recover": lambda engine: engine.recover(timedelta(0)),
    "a command": lambda engine: engine.execute("gift_card", "c", "reload", RELOAD, key="x1"),
    "a new entity": lambda engine: engine.execute("gift_card", "d", "create", FRESH, key="x2"),
    "many": lambda engine: engine.try_execute_many([Command("gift_card", "c", "reload", RELOAD, "x3")]),
    "what is due": lambda engine: engine.execute(
        "gift_card", "c", "reload", RELOAD, key="x4", due=datetime.now(timezone.utc)
    ),
    "a person": lambda engine: engine.resolve(open_call(engine), "confirmed", by="a", reason="r", reference="x"),
    "reconcile": lambda engine: reconcile(engine),
}


def open_call(engine: Engine) -> str:
    with engine.store.reading() as reading:
        return reading.calls()[0].id


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_no_other_provider_goes_on_with_them(
    shop: Shop, other: Callable[[Shop], Provider], door: Callable[[Engine], object]
) -> None:
    before, provider = shop.state(), other(shop)
    engine = Engine(MACHINES, open_store(shop.url), provider)
    with pytest.raises((StoreError, Invalid), match=r"are those of provider clutch \(127.0.0.1|no record"):
        door(engine)
    with pytest.raises(StoreError, match=r"are those of provider clutch \(127.0.0.1, brand sandbox-brand\), and"):
        tallystick.open(shop.url, provider=provider)
    assert shop.state() == before
    assert shop.is_recovered()


def test_nor_does_the_callers_own_transaction(shop: Shop) -> None:
    engine = Engine(MACHINES, open_store(shop.url), LocalProvider())
    connection = sqlite3.connect(shop.url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("begin immediate")
    with pytest.raises(StoreError, match="are those of provider clutch"):
        engine.execute("gift_card", "c", "reload", RELOAD, key="x", connection=connection)
    connection.rollback()
    connection.close()


ASKED = [("run", "-"), ("recover", "--grace", "0"), ("reconcile",), ("balance", "4831", "--currency", "USD")]


@pytest.mark.parametrize("args", ASKED)
def test_nor_does_the_command_line(shop: Shop, args: tuple[str, ...]) -> None:
    line = {"key": "x", "machine": "gift_card", "id": "c", "command": "reload", "args": RELOAD}
    before = shop.state()
    ran = CliRunner().invoke(main, [*args, "--store", shop.url], input=json.dumps(line) + "\n")
    assert ran.exit_code == 1
    assert '"applied"' not in ran.stdout
    if args[0] != "recover":  # it knows already that the local provider leaves no call open
        assert "are those of provider clutch" in ran.output
    assert shop.state() == before


@pytest.mark.parametrize("args", [("show", "c"), ("history", "c"), ("verify",)])
def test_everybody_may_look(shop: Shop, args: tuple[str, ...]) -> None:
    assert CliRunner().invoke(main, [*args, "--store", shop.url]).exit_code == 0


def test_it_is_the_first_transaction_that_says_whose_they_are(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'books.db'}"
    tallystick.open(url).close()
    with tallystick.open(url, provider="scripted") as books:
        assert books.owner is None
        books.engine.execute("gift_card", "c", "create", FRESH, key="k")
        assert books.owner is not None
        assert books.owner.provider == "scripted"
    with pytest.raises(StoreError, match="are those of provider scripted, and local cannot go on"):
        tallystick.open(url)


def test_what_was_rolled_back_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    engine = Engine(MACHINES, open_store(f"sqlite:///{path}"), LocalProvider())
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("begin immediate")
    engine.execute("gift_card", "c", "create", FRESH, key="k", connection=connection)
    connection.rollback()
    connection.close()
    assert owner(engine.store) is None


def unnamed(url: str) -> None:
    """As an earlier version has written them."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.execute("delete from shared where name = 'provider'")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_books_that_do_not_say_it_yet_are_not_taken_by_a_provider_that_never_asks(
    shop: Shop, door: Callable[[Engine], object]
) -> None:
    unnamed(shop.url)
    local = Engine(MACHINES, open_store(shop.url), LocalProvider())
    with pytest.raises((StoreError, Invalid), match=r"a provider was called for these books|no record"):
        door(local)
    with pytest.raises(StoreError, match="a provider was called for these books"):
        tallystick.open(shop.url)
    with pytest.raises(StoreError, match="no rehearsal"):
        tallystick.open(shop.url, provider="scripted")
    assert shop.books.owner is None
    assert shop.is_recovered()
    assert shop.books.owner is not None
    assert shop.books.owner.provider == CLUTCH


def test_a_person_moves_them_and_it_is_kept_who(shop: Shop) -> None:
    moved = shop.clutch(base_url=NEW_HOST)
    for given in ({"by": "", "reason": "r"}, {"by": "anna", "reason": ""}):
        with pytest.raises(Invalid, match="who decides"):
            shop.books.adopt_provider(moved, **given)
    with pytest.raises(Invalid, match=r"wait for what clutch .* did: 1; recover or resolve"):
        shop.books.adopt_provider(moved, by="anna", reason="new host")
    assert shop.is_recovered()
    with pytest.raises(Invalid, match=r"are the books of clutch .* already"):
        shop.books.adopt_provider(shop.clutch(), by="anna", reason="new host")

    now = shop.books.adopt_provider(moved, by="anna", reason="new host")
    assert now == shop.books.owner
    assert now.provider == "clutch (api.clutch.invalid, brand sandbox-brand)"
    assert [attrs.evolve(each, at="") for each in now.adoptions] == [Adoption(CLUTCH, "anna", "new host", "")]
    with pytest.raises(StoreError, match="are those of provider clutch"):  # also to who had them open
        shop.books.reload("c", "1.00", key="r1")
    with tallystick.open(shop.url, provider=moved) as books:
        assert books.reload("c", "1.00", key="r1").applied
        assert books.verify().clean


def test_the_command_line_moves_them(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'books.db'}"
    with tallystick.open(url) as books:
        books.engine.execute("gift_card", "c", "create", FRESH, key="k")
    args = ["adopt", "--store", url, "--provider", "scripted", "--by", "anna", "--reason", "to try"]
    assert CliRunner().invoke(main, args[:-2]).exit_code == 2
    ran = CliRunner().invoke(main, [*args, "--json"])
    assert json.loads(ran.stdout) == {"provider": "scripted", "before": "local"}
    again = CliRunner().invoke(main, args)
    assert (again.exit_code, "already" in again.output) == (1, True)
    kept = owner(open_store(url))
    assert kept is not None
    assert [(each.by, each.reason) for each in kept.adoptions] == [("anna", "to try")]
