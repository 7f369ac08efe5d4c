"""`tallystick waiting` where cards expire: counted by day, and listed when somebody asks."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import tallystick
from tallystick.cli.main import main


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('waiting')}/books.db"
    with tallystick.open(url) as books:
        for number, day in enumerate((11, 11, 12), 1):
            expires = datetime(2999, 1, day, tzinfo=timezone.utc)
            books.sell_electronic(f"c-{number}", "30.00", "BRL", order="sale", key=f"k{number}", expires=expires)
        books.authorize("p", "c-1", "30.00", order="o", key="hold")
        books.settle("p", "10.00", key="ship", due=datetime(2999, 1, 1, tzinfo=timezone.utc))
    return url


def waiting(store: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["waiting", *arguments, "--store", store], catch_exceptions=False)


def test_what_expires_is_counted_by_day(store: str) -> None:
    shown = waiting(store).stdout
    assert "gift_card.expire" in shown
    assert ["2999-01-11", "2"] in [line.split() for line in shown.splitlines()]
    assert "c-1" not in shown
    assert shown.endswith("4 wait for time or a machine: 1 queued (10.00 BRL); 3 for a date of their page\n")
    told = json.loads(waiting(store, "--json").stdout)
    assert [each["key"] for each in told["queue"]] == ["ship"]
    assert told["dated"] == [
        {"machine": "gift_card", "command": "expire", "count": 3, "first": "2999-01-11T00:00:00.000Z",
         "days": {"2999-01-11": 2, "2999-01-12": 1}, "periods": {"2999-01-11": 2, "2999-01-12": 1}}
    ]  # fmt: skip
    assert (told["more"], told["totals"]["count"]) == (0, 4)


def test_it_is_listed_page_by_page(store: str) -> None:
    told = json.loads(waiting(store, "--of", "gift_card.expire", "--limit", "2", "--json").stdout)
    assert [each["id"] for each in told["queue"]] == ["c-1", "c-2"]
    shown = waiting(store, "--of", "gift_card.expire", "--limit", "2").stdout
    assert f"the next page: --after '{told['after']}'" in shown
    assert "expire of gift_card c-2" in shown
    rest = json.loads(waiting(store, "--of", "gift_card.expire", "--after", told["after"], "--json").stdout)
    assert ([each["id"] for each in rest["queue"]], rest["after"]) == (["c-3"], None)
    assert [each["id"] for each in json.loads(waiting(store, "--on", "2999-01", "--json").stdout)["queue"]] == [
        "p", "c-1", "c-2", "c-3",
    ]  # fmt: skip
    assert waiting(store, "--on", "2998").stdout == "nothing waits\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--of", "gift_card.expires"], 1, "there is no command 'gift_card.expires'. Did you mean 'gift_card.expire'?"),
        (["--of", "expire"], 1, "there is no command 'expire'"),
        (["--on", "tomorrow"], 1, "'tomorrow' is no day, month or year: write 2026-12-31, 2026-12 or 2026"),
        (["--after", "nothing"], 1, "there is no queued command 'nothing'"),
        (["ship", "--on", "2999"], 2, "name the KEY, or say which are to be listed"),
        (["--limit", "0"], 2, "0 is not in the range"),
    ],
)
def test_how_it_is_used_wrongly(store: str, arguments: list[str], code: int, said: str) -> None:
    found = waiting(store, *arguments)
    assert (found.exit_code, said in " ".join(found.stderr.split())) == (code, True), found.stderr


# --- cards that expire


def expiring(store: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["expiring", *arguments, "--store", store], catch_exceptions=False)


def test_cards_that_expire_soon_are_listed(tmp_path: Path) -> None:
    url, soon = f"sqlite:///{tmp_path}/books.db", datetime.now(timezone.utc) + timedelta(days=20)
    with tallystick.open(url) as books:
        numbers = [
            str(books.sell_electronic(card, "30.00", "BRL", order="sale", key=card, expires=soon + days).number)
            for card, days in (("later", timedelta(days=5)), ("sooner", timedelta()), ("far", timedelta(days=20)))
        ]
        books.authorize("p", "sooner", "10.00", order="o", key="hold")
    told = expiring(url, "--within", "30d", "--json").stdout
    assert json.loads(told)["cards"] == [
        {"card": "sooner", "number": f"…{numbers[1][-4:]}", "expires": f"{soon:%Y-%m-%dT%H:%M:%SZ}",
         "available": "20.00", "held": "10.00", "currency": "BRL"},
        {"card": "later", "number": f"…{numbers[0][-4:]}", "expires": f"{soon + timedelta(days=5):%Y-%m-%dT%H:%M:%SZ}",
         "available": "30.00", "held": "0.00", "currency": "BRL"},
    ]  # fmt: skip
    shown = expiring(url, "--within", "4w").stdout
    assert shown.index("sooner") < shown.index("later")
    assert ("far" in shown, "20.00 BRL" in shown) == (False, True)
    assert not [each for each in numbers if each in told + shown]
    assert expiring(url, "--within", "1h").stdout == "no card expires so soon\n"


def test_a_length_of_time_is_asked_for(store: str) -> None:
    wrong = expiring(store, "--within", "soon")
    assert (wrong.exit_code, "write 45m, 12h, 30d or 4w" in wrong.output) == (2, True)
