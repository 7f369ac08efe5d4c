"""What is exported can be read back, by the tools that it is meant for, and is all of the journal in its order."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

import tallystick
from other_python import python_with
from postgres_books import postgres_url
from report_world import tell
from tallystick import Invalid
from tallystick.books.books import Books
from tallystick.cli.main import main
from tallystick.provider.scripted import ScriptedProvider
from tallystick.reports import export

NUMBER = "6006491234567890"
XES = "{http://www.xes-standard.org/}"


@pytest.fixture(scope="module", params=["memory", "sqlite", "postgres"])
def books(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    file = f"{tmp_path_factory.mktemp('export')}/books.db"
    urls = {"memory": nullcontext("memory:"), "sqlite": nullcontext(file), "postgres": postgres_url()}
    provider = ScriptedProvider()
    with urls[request.param] as url, tallystick.open(url, provider=provider) as books:
        tell(books, provider, range(100, 160))
        books.recognize("known", NUMBER, currency="BRL", balance="50.00", key="known")
        books.authorize('p-<&">', "known", "20.00", order="=o'1", key="mine", by=f"clerk {NUMBER}")
        yield books


def written(books: Books, format: str, **more: str) -> str:
    out = io.StringIO()
    count = export(books, format, out, **more)
    assert count
    assert NUMBER not in out.getvalue()
    return out.getvalue()


def journal(books: Books) -> list[tuple[int, str, str, str, str]]:
    with books.engine.store.reading() as reading:
        rows = sorted(reading.journal(), key=lambda row: row.seq)
    return [(row.seq, row.machine, row.entity, row.command, row.phase) for row in rows]


def test_csv_has_every_entry_in_order(books: Books) -> None:
    lines = list(csv.DictReader(io.StringIO(written(books, "csv"))))
    assert [(int(e["seq"]), e["machine"], e["entity"], e["command"], e["phase"]) for e in lines] == journal(books)
    last = next(each for each in reversed(lines) if each["command"] == "authorize")
    assert (last["order"], last["card"], last["payment"]) == ("'=o'1", "known", 'p-<&">')
    assert (last["amount"], last["by"]) == ("20.00", "clerk …")
    hold = next(each for each in reversed(lines) if each["command"] == "hold")
    assert (hold["order"], hold["card"], hold["payment"]) == ("'=o'1", "known", 'p-<&">')
    assert {each["lifecycle"] for each in lines} >= {"start", "complete"}


def test_ocel_names_all_that_an_event_is_about(books: Books) -> None:
    log = json.loads(written(books, "ocel2"))
    assert [each["id"] for each in log["events"]] == [f"e{seq}" for seq, *_ in journal(books)]
    objects = {each["id"]: each["type"] for each in log["objects"]}
    assert objects["card:known"] == "card"
    assert objects["order:=o'1"] == "order"
    for event in log["events"]:
        assert all(each["objectId"] in objects for each in event["relationships"])
        assert event["type"] in {each["name"] for each in log["eventTypes"]}
    assert {each["type"] for each in log["objects"]} == {each["name"] for each in log["objectTypes"]}


@pytest.mark.parametrize("case", ["order", "card", "payment"])
def test_xes_has_a_trace_for_each_case(books: Books, case: str) -> None:
    log = ElementTree.fromstring(written(books, "xes", case=case))
    lines = list(csv.DictReader(io.StringIO(written(books, "csv"))))
    expected: dict[str, list[int]] = {}
    for each in lines:
        if each[case]:
            expected.setdefault(each[case].removeprefix("'"), []).append(int(each["seq"]))
    found = {
        str(trace.find(f"{XES}string").get("value")): [  # type: ignore[union-attr]
            int(str(number.get("value"))) for number in trace.iter(f"{XES}int")
        ]
        for trace in log.iter(f"{XES}trace")
    }
    assert found == expected


def test_there_is_no_other_format_and_no_other_case(books: Books) -> None:
    with pytest.raises(Invalid, match="no format of an export"):
        export(books, "xml", io.StringIO())
    with pytest.raises(Invalid, match="a case is"):
        export(books, "xes", io.StringIO(), case="cart")


def test_the_command_line_writes_a_file(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/books.db"
    with tallystick.open(store) as books:
        books.sell_electronic("c-1", "50.00", "BRL", order="sale", key="k1")
    for format in ("csv", "xes", "ocel2"):
        arguments = ["export", "--format", format, "--store", store]
        out = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert out.exit_code == 0
        told = CliRunner().invoke(main, [*arguments, "--out", f"{tmp_path}/{format}", "--json"], catch_exceptions=False)
        assert (tmp_path / format).read_text(encoding="utf-8") == out.stdout
        assert json.loads(told.stdout)["entries"] > 3
    assert CliRunner().invoke(main, ["export", "--json", "--store", store]).exit_code == 2


READ = """
import sys, pm4py
log = pm4py.read_xes(sys.argv[1])
print(len(log), log["case:concept:name"].nunique())
ocel = pm4py.read_ocel2_json(sys.argv[2])
print(len(ocel.events), sorted(ocel.objects["ocel:type"].unique()))
net = pm4py.discover_oc_petri_net(ocel)
dfg, start, end = pm4py.discover_dfg(log)
print(bool(net) and bool(dfg))
"""


@pytest.fixture(scope="session")
def pm4py() -> str:
    return python_with("pm4py")


@pytest.mark.slow
def test_pm4py_reads_it_back(pm4py: str, tmp_path: Path) -> None:
    provider = ScriptedProvider()
    with tallystick.open("memory:", provider=provider) as books:
        tell(books, provider, range(100, 220))
        for format in ("xes", "ocel2"):
            with (tmp_path / f"log.{format}").open("w", encoding="utf-8") as out:
                export(books, format, out)
        lines = list(csv.DictReader(io.StringIO(written(books, "csv"))))
    (tmp_path / "log.ocel2").rename(tmp_path / "log.json")
    done = subprocess.run(
        [pm4py, "-c", READ, tmp_path / "log.xes", tmp_path / "log.json"], capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    orders = [each["order"] for each in lines if each["order"]]
    about = [each for each in lines if each["order"] or each["card"] or each["payment"]]
    assert done.stdout.splitlines()[-3:] == [
        f"{len(orders)} {len({*orders})}", f"{len(about)} ['card', 'order', 'payment']", "True",
    ]  # fmt: skip
