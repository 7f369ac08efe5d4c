"""`tallystick import` and `tallystick sell`: lists of cards, with all that goes wrong in them; and no number is shown."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import tallystick
from postgres_books import postgres_url
from tallystick.cli.main import main


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    made = postgres_url() if request.param == "postgres" else nullcontext(f"sqlite:///{tmp_path}/books.db")
    with made as url:
        yield url


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def plain(*words: str) -> dict[str, object]:
    said: dict[str, object] = json.loads(run(*words, "--json").stdout)
    return said


def write(tmp_path: Path, text: str | bytes, name: str = "cards.csv") -> str:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(file)


GOOD = "number,balance,currency,kind\n6006 4900-0000 1001,50.00,BRL,gift\n6006490000001002,12.5,BRL,promo\n6006490000001003,0,BRL,\n"


def test_cards_are_let_in_once(url: str, tmp_path: Path) -> None:
    file = write(tmp_path, GOOD)
    dry = plain("import", file, "--dry-run", "--store", url)
    assert (dry["done"], dry["amounts"]) == (3, {"BRL": "62.50"})
    with tallystick.open(url) as books:
        assert books.find("6006490000001001") is None  # that was only said
    done = run("import", file, "--store", url, "--by", "eva")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("3 imported with 62.50 BRL (3 lines, ")
    again = plain("import", file, "--store", url, "--by", "eva")
    assert (again["done"], again["again"], again["with_those_of_before"]) == (0, 3, {"BRL": "62.50"})
    with tallystick.open(url) as books:
        card = books.find("6006490000001001")
        assert card is not None
        assert (card.id, card.state, card.available.minor) == ("cards-2", "issued", 5000)
        (entry,) = [each for each in books.history("gift_card", "cards-2") if each.command == "recognize"]
        assert (entry.by, entry.reason) == ("eva", "cards, line 2")
        books.authorize("p", "cards-3", "12.50", order="o", key="o")
        assert books.verify().findings == ()
    assert plain("import", file, "--name", "other", "--store", url)["wrong"] == 3  # another list, the same numbers


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("6.0063E+15,5.00,BRL", "spoilt by a spreadsheet"),
        ("6,0063E+15;5.00;BRL", "it has 2 fields, the head has 3"),
        ("6006490000001001.0,5.00,BRL", "this is no card number"),
        (",5.00,BRL", "no number"),
        ("...,5.00,BRL", "this is no card number"),
        ("6006490000001009,,BRL", "no balance; a card with nothing on it has 0"),
        ('6006490000001009,"5,00",BRL', "is not an amount"),
        ("6006490000001009,6006490000001009,BRL", "…"),
        ("6006490000001009,5.005,BRL", "BRL"),
        ("6006490000001009,-5.00,BRL", "a balance cannot be less than zero"),
        ("6006490000001009,R$ 5.00,BRL", "is not an amount"),
        ("6006490000001009,5.00,", "no currency"),
        ("6006490000001009,5.00,REAL", "unknown currency"),
        ("6006490000001009,5.00", "it has 2 fields, the head has 3"),
        ("6006490000001009,5.00,BRL,x", "it has 4 fields, the head has 3"),
        ('"6006490000001009,5.00,BRL', "a quote does not end in this line"),
        ("6006 4900 0000 1001,5.00,BRL", "line 2 has the same number"),
    ],
)
def test_a_line_that_is_wrong_says_so_and_the_others_go_on(line: str, why: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    good = "6006490000001001,5.00,BRL\n", "6006490000001002,5.00,BRL\n"
    file, report = write(tmp_path, f"number,balance,currency\n{good[0]}{line}\n{good[1]}"), tmp_path / "report.csv"
    for dry in (["--dry-run"], []):
        done = run("import", file, "--store", url, "--report", str(report), *dry)
        assert done.exit_code == 1
        assert f"line 3{' ' if '(' in done.stderr else ''}" in done.stderr
        assert why in done.stderr
        assert "2 " in done.stdout
        assert "1 did not go" in done.stdout
        (told,) = csv.DictReader(report.read_text(encoding="utf-8").splitlines())
        assert (told["line"], told["result"]) == ("3", "wrong")
        assert "600649000000" not in done.output + done.stderr + report.read_text().replace(" ", "")
    with tallystick.open(url) as books, books.engine.store.reading() as reading:
        assert len(list(reading.all("gift_card"))) == 2  # no blank is left behind
    assert run("import", file, "--store", url).exit_code == 1


@pytest.mark.parametrize(
    "text",
    [
        GOOD.encode("utf-8-sig"),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.replace(",", ";").encode(),
        GOOD.replace(",", "\t").encode(),
        GOOD.replace("number", '"Number"').replace("balance", " BALANCE ").encode(),
        b"\n" + GOOD.replace("\n", "\n\n,,,\n").encode(),
        GOOD.rstrip("\n").encode(),
    ],
    ids=["bom", "crlf", "semicolons", "tabs", "quotes", "blank lines", "no end"],
)
def test_what_spreadsheets_write_is_read(text: bytes, tmp_path: Path) -> None:
    said = plain("import", write(tmp_path, text), "--store", f"sqlite:///{tmp_path}/books.db")
    assert (said["done"], said["wrong"], said["amounts"]) == (3, 0, {"BRL": "62.50"})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"number,balance,pin\n1,2,3\n", "a PIN is kept nowhere"),
        (b"number,ballance\n1,2\n", "'ballance' is no column. Did you mean 'balance'?"),
        (b"number\n1\n", "there is no column 'balance'"),
        (b"number,balance,number\n1,2,3\n", "the column 'number' is there twice"),
        (b"6006490000001001,5.00\n", "is no column"),
        (GOOD.encode("utf-16"), "the file is UTF-16"),
        (b"number,balance,card_set\n6006490000001001,5.00,anivers\xe1rio\n", "--encoding latin-1"),
        (b"number,balance\n60064\x0090000001001,5.00\n", "a zero byte"),
    ],
)
def test_a_file_that_cannot_be_read_does_nothing(text: bytes, why: str, tmp_path: Path) -> None:
    done = run("import", write(tmp_path, text), "--store", f"sqlite:///{tmp_path}/books.db", "--currency", "BRL")
    assert done.exit_code == 1
    assert why in done.stderr
    assert "6006490000001001" not in done.stderr


def test_latin_1_is_read_if_it_is_said(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    file = write(tmp_path, "number,balance,card_set\n6006490000001001,5.00,aniversário\n".encode("latin-1"))
    assert run("import", file, "--store", url, "--currency", "BRL", "--encoding", "latin-1").exit_code == 0
    assert "there is no encoding" in run("import", file, "--store", url, "--encoding", "latin-one").stderr


def test_a_line_that_was_another_card_before_is_refused(tmp_path: Path) -> None:
    url, file = f"sqlite:///{tmp_path}/books.db", write(tmp_path, GOOD)
    run("import", file, "--store", url)
    shifted = write(tmp_path, GOOD.replace("\n6006 ", "\n6006490000001009,5.00,BRL,gift\n6006 ", 1))
    said = run("import", shifted, "--store", url)
    assert "4 did not go" in said.stdout  # the first key stands for another card, and so on
    with tallystick.open(url) as books:
        assert books.verify().money["gift_card"] == {"BRL": 6250}


def test_sealed_books_take_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_SEAL_KEY", run("key").stdout.strip())
    url, file = f"sqlite:///{tmp_path}/books.db", write(tmp_path, GOOD)
    assert plain("import", file, "--store", url)["done"] == 3
    assert plain("import", file, "--store", url)["again"] == 3
    assert b"6006490000001001" not in (tmp_path / "books.db").read_bytes()


def test_cards_are_sold_once(url: str, tmp_path: Path) -> None:
    text = "amount,order,number,kind\n25.00,o-1,,\n30.00,o-2,6006490000001001,\n0,o-3,,\n5.00,,,promo\n"
    file = write(tmp_path, text, "batch.csv")
    done = run("sell", file, "--store", url, "--currency", "BRL")
    assert done.exit_code == 1
    assert done.stdout.startswith("3 sold with 60.00 BRL; 1 did not go (4 lines, ")
    assert "line 4: " in done.stderr
    assert "The amount must be more than zero" in done.stderr
    again = plain("sell", file, "--store", url, "--currency", "BRL")
    assert (again["done"], again["again"], again["wrong"]) == (0, 3, 1)
    with tallystick.open(url) as books:
        assert [books.card(f"batch-{line}").available.minor for line in (2, 3, 5)] == [2500, 3000, 500]
        report = books.verify()
        assert (report.findings, report.money["gift_card"]) == ((), {"BRL": 6000})


@pytest.mark.slow
@pytest.mark.parametrize("command", ["import", "sell"])
def test_who_is_killed_in_the_middle_goes_on(url: str, command: str, tmp_path: Path) -> None:
    lines = 4000 if command == "import" else 300
    rows = [f"7{number:015},1.25" if command == "import" else "1.25" for number in range(lines)]
    file = write(tmp_path, "\n".join(["number,balance" if command == "import" else "amount", *rows]) + "\n")
    words = [sys.executable, "-m", "tallystick", command, file, "--store", url, "--currency", "BRL"]
    counts = []
    for wanted in (lines // 5, lines // 2):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        with tallystick.open(url) as books:
            while process.poll() is None:
                with books.engine.store.reading() as reading:
                    ((count,),) = reading.select("SELECT count(*) FROM gift_card WHERE state = 'issued'")
                if count >= wanted:
                    process.send_signal(signal.SIGKILL)
                    break
            process.wait()
            counts.append(count)
    said = plain(*words[3:])
    assert (said["wrong"], said["waiting"]) == (0, 0)
    assert int(str(said["done"])) + int(str(said["again"])) == lines
    assert 0 < counts[0] <= int(str(said["again"])) < lines
    with tallystick.open(url) as books:
        assert books.run_due() == []
        report = books.verify()
        assert (report.findings, report.money["gift_card"]) == ((), {"BRL": 125 * lines})


def test_a_date_in_a_list_counts_until_its_end_in_the_zone_that_is_said(url: str, tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "number,balance,currency,expires\n"
        "6006490000001001,50.00,BRL,2099-12-31\n"
        "6006490000001002,1.00,BRL,2099-12-31T12:00:00\n"
        "6006490000001003,1.00,BRL,2099-12-31T12:00:00Z\n"
        "6006490000001004,1.00,BRL,31.12.2099\n"
        "6006490000001005,1.00,BRL,9999-12-31\n",
    )  # fmt: skip
    unsaid = run("import", file, "--store", url)
    assert unsaid.exit_code == 1
    assert "line 2 (…1001): expires is '2099-12-31', and nobody says where: say --zone" in unsaid.stderr
    assert unsaid.stdout.startswith("1 imported with 1.00 BRL; 4 did not go")
    said = run("import", file, "--store", url, "--zone", "America/Sao_Paulo")
    assert said.stdout.startswith("2 imported with 51.00 BRL; 1 were there already; 2 did not go")
    assert "line 5 (…1004): expires is '31.12.2099'; write a date like 2027-01-31" in said.stderr
    with tallystick.open(url) as books:
        found = [books.find(f"600649000000100{each}") for each in (1, 2, 3)]
        assert [str(each.expires) for each in found if each is not None] == [
            "2100-01-01 03:00:00+00:00", "2099-12-31 15:00:00+00:00", "2099-12-31 12:00:00+00:00",
        ]  # fmt: skip


@pytest.mark.parametrize("zone", ["Moon/Tranquility", "", "America", "../etc"])
def test_a_zone_has_a_name_that_there_is(tmp_path: Path, zone: str) -> None:
    failed = run("import", write(tmp_path, GOOD), "--store", f"sqlite:///{tmp_path}/books.db", "--zone", zone)
    assert (failed.exit_code, "no time zone here" in failed.stderr) == (2, True), failed.output


def test_sold_cards_may_expire(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    file = write(tmp_path, "amount,currency,expires\n10.00,BRL,2099-12-31\n10.00,BRL,2001-12-31\n")
    done = run("sell", file, "--store", url, "--zone", "UTC")
    assert done.stdout.startswith("1 sold with 10.00 BRL; 1 did not go"), done.output
    with tallystick.open(url) as books:
        assert str(books.card("cards-2").expires) == "2100-01-01 00:00:00+00:00"


def test_a_card_of_a_list_may_have_a_hard_limit(url: str, tmp_path: Path) -> None:
    file = write(
        tmp_path, "id,amount,currency,order,limit,hard_limit\nx-1,20.00,BRL,o-1,20.00,true\nx-2,20.00,BRL,o-2,20.00,\n"
    )
    assert plain("sell", file, "--store", url)["done"] == 2
    with tallystick.open(url) as books:
        with pytest.raises(tallystick.Refused, match="beyond its limit"):
            books.adjust("x-1", "0.01", key="k1", by="ann", reason="goodwill")
        assert books.adjust("x-2", "0.01", key="k2", by="ann", reason="goodwill").applied
    wrong = write(tmp_path, "id,amount,currency,order,limit,hard_limit\nx-3,20.00,BRL,o-3,20.00,perhaps\n", "wrong.csv")
    assert "hard_limit" in run("sell", wrong, "--store", url).output
