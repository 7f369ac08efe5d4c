"""The command line: what it prints, where, and how it ends. Most run in this process, some in one of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from tallystick.cli.main import SECTIONS, main
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command
from tallystick.provider.protocol import Call, NotSeen, Outcome
from tallystick.provider.protocol import Result as Answer
from tallystick.store.open import open_store

load = reader.load
MACHINES = load(reader.packaged_folder())
NUMBER = "6006491234567890"
SCRIPT = [sys.executable, "-W", "error", "-m", "tallystick"]


def line(key: str, machine: str, id: str, command: str, /, **args: object) -> str:
    return json.dumps({"key": key, "machine": machine, "id": id, "command": command, "args": args})


# A scanned card sold through an order line, a payment of it that is settled in part, and an electronic blank.
ORDERS = [
    line("c/create", "gift_card", "c", "create", form="physical", currency="BRL"),
    line(
        "f/create", "fulfilment", "f", "create", order="o1", card="c", form="physical", amount="50.00", currency="BRL"
    ),
    line("f/ship", "fulfilment", "f", "ship", number=NUMBER),
    line("p/create", "payment", "p", "create", order="o2", card="c", currency="BRL"),
    line("p/authorize", "payment", "p", "authorize", amount="40.00"),
    line("p/ship-1", "payment", "p", "settle", amount="15.00", keep_hold=False),
    line("blank", "gift_card", "blank", "create", form="electronic", currency="BRL"),
    line("same", "payment", "blank", "create", order="o3", card="blank", currency="BRL"),
]

Tallystick = Callable[..., Result]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TALLYSTICK_STORE", "TALLYSTICK_MACHINES", "TALLYSTICK_PROVIDER", "TALLYSTICK_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    # The packaged pages are read once, not once for each command; folders that are named, and processes, read anew.
    monkeypatch.setattr(reader, "load", lambda *folders: load(*folders) if folders else MACHINES)


@pytest.fixture
def books(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/books.db"


@pytest.fixture
def tallystick(books: str, monkeypatch: pytest.MonkeyPatch) -> Tallystick:
    monkeypatch.setenv("TALLYSTICK_STORE", books)

    def run(*args: str, input: str | None = None, code: int = 0) -> Result:
        result = CliRunner().invoke(main, args, input=input)
        assert result.exit_code == code, (result.exit_code, result.output)
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BooksOptions in which the orders were run, to be copied."""
    path = tmp_path_factory.mktemp("books") / "books.db"
    result = CliRunner().invoke(main, ["run", "-", "--store", str(path)], input="\n".join(ORDERS))
    assert result.exit_code == 0, result.output
    return path


@pytest.fixture
def sold(tallystick: Tallystick, template: Path, tmp_path: Path) -> Tallystick:
    shutil.copy(template, tmp_path / "books.db")
    return tallystick


def plain(result: Result) -> Any:
    """What was printed as JSON; and that nothing else was."""
    assert result.stderr == ""
    return json.loads(result.stdout)


# run


def test_run_answers_each_line_on_stdout_and_sums_up_on_stderr(tallystick: Tallystick) -> None:
    result = tallystick("run", "-", input="\n".join(ORDERS))

    answers = [json.loads(each) for each in result.stdout.splitlines()]
    assert [answer["result"] for answer in answers] == ["applied"] * 8
    assert "applied" in result.stderr
    assert "3 follow-ups applied" in result.stderr  # activate, issue, hold_again


def test_run_takes_a_file_and_replays_it(tallystick: Tallystick, tmp_path: Path) -> None:
    file = tmp_path / "orders.jsonl"
    file.write_text("\n".join(ORDERS))
    tallystick("run", str(file))

    result = tallystick("run", str(file), "--json")

    assert {json.loads(each)["result"] for each in result.stdout.splitlines()} == {"replayed"}
    assert json.loads(result.stderr)["replayed"] == 8
    assert plain(tallystick("verify", "--json"))["clean"]


def test_run_ends_with_1_if_a_line_was_invalid_but_not_if_one_was_refused(tallystick: Tallystick) -> None:
    refused = line("x", "payment", "nobody", "cancel")

    assert len(tallystick("run", "-", input=refused).stdout.splitlines()) == 1
    assert len(tallystick("run", "-", input=f"{{\n{refused}", code=1).stdout.splitlines()) == 2
    assert len(tallystick("run", "-", "--strict", input=f"{{\n{refused}", code=1).stdout.splitlines()) == 1


def test_run_writes_what_json_can_say_and_utf_8_cannot(tallystick: Tallystick) -> None:
    result = tallystick("run", "-", input='{"key": "\\ud800", "machine": "é"}', code=1)

    assert json.loads(result.stdout)["key"] == "\ud800"
    assert "é" in result.stdout


# show, may, history


def test_show_tells_a_card_by_id_by_machine_and_id_and_by_number(sold: Tallystick) -> None:
    told = [plain(sold("show", text, "--json")) for text in ("c", "gift_card/c", NUMBER)]

    assert told[0] == told[1] == told[2]
    assert (told[0]["machine"], told[0]["id"], told[0]["state"]) == ("gift_card", "c", "issued")
    assert told[0]["accounts"] == {"available": "10.00", "held": "25.00", "leaving": "0.00", "in_doubt": "0.00"}
    assert told[0]["facts"]["number"] == "…7890"
    assert {(each["machine"], each["id"]) for each in told[0]["linked"]} == {("fulfilment", "f"), ("payment", "p")}
    assert [each["transition"] for each in told[0]["life"]] == [
        "create", "activate_physical", "issue", "hold", "redeem_hold", "hold",
    ]  # fmt: skip
    assert told[0]["life"][4]["postings"] == [
        {"source": "held", "target": "available", "amount": "25.00"},
        {"source": "held", "target": "spent", "amount": "15.00"},
    ]
    assert told[0]["life"][4]["cause"] == "p/ship-1"


def test_show_is_a_table_with_money_and_a_masked_number(sold: Tallystick) -> None:
    shown = sold("show", "c").stdout

    assert "gift_card c is issued" in shown
    assert "held → spent 15.00" in shown
    assert "number …7890" in shown
    assert NUMBER not in shown


def test_show_of_a_lost_card_names_the_one_that_replaces_it(sold: Tallystick) -> None:
    blank = {"form": "electronic", "currency": "BRL"}
    sold("run", "-", input="\n".join((
        line("lost", "gift_card", "c", "suspend"),
        line("c2", "gift_card", "c2", "create", **blank),
        line("r", "replacement", "r", "create", old="c", new="c2", **blank),
        line("r/go", "replacement", "r", "replace", amount="10.00"),
    )))  # fmt: skip

    told = [plain(sold("show", id, "--json")) for id in ("c", "c2")]
    assert [(each["replaced_by"], each["replaces"]) for each in told] == [("c2", []), (None, ["c"])]
    assert "replaced by c2" in sold("show", "c").stdout
    assert "replaces c\n" in sold("show", "c2").stdout
    assert "replaces" not in plain(sold("show", "r", "--json"))


def test_show_says_what_waits(sold: Tallystick) -> None:
    later = json.loads(line("p/late", "payment", "p", "settle", amount="25.00"))
    sold("run", "-", input=json.dumps({**later, "due": "2999-01-01T00:00:00Z"}))

    assert "waiting: settle until 2999-01-01" in sold("show", "p").stdout
    assert [each["key"] for each in plain(sold("show", "p", "--json"))["queue"]] == ["p/late"]


@pytest.mark.parametrize("command", ["show", "may", "history"])
def test_an_id_that_names_two_things_is_said(sold: Tallystick, command: str) -> None:
    result = sold(command, "blank", code=1)

    assert "'blank' names 2 things: gift_card/blank and payment/blank; say which" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("command", ["show", "may", "history"])
@pytest.mark.parametrize(
    ("id", "said"), [("nobody", "'nobody'"), ("payment/c", "'payment/c'"), ("6006490000001111", "'…1111'")]
)
def test_an_id_that_names_nothing_is_said(sold: Tallystick, command: str, id: str, said: str) -> None:
    result = sold(command, id, code=1)

    assert result.stderr == f"Error: there is nothing with the id or card number {said}\n"


def test_may_without_a_command_says_what_each_would_need(sold: Tallystick) -> None:
    told = plain(sold("may", "p", "--json"))

    assert told["state"] == "advanced_hold"
    assert {each["command"] for each in told["commands"]} == {
        "settle",
        "hold_until",
        "lapse",
        "reduce",
        "mark_hold_lost",
        "cover_elsewhere",
        "cancel",
        "close",
        "refund",
        "refund_to",
    }
    settle = next(each for each in told["commands"] if each["transition"] == "settle_part")
    assert settle["arguments"] == {
        "amount": "money", "last": "flag", "keep_hold": "flag; left out: whether the provider keeps_remainder",
        "invoice": "text, if any", "until": "time, if any",
    }  # fmt: skip
    assert settle["needs"] == ["amount is more than 0 and less than held", "not last", "not keep_hold"]
    assert settle["money"] == ["held → redeemed: amount", "held → uncovered: held − amount"]
    assert "hold_again" in told["refused"]
    assert plain(sold("may", "c", "--json"))["driven"]
    assert "refuses hold_again: A hold is in force" in sold("may", "p").stdout


def test_may_says_yes_and_what_it_would_move_and_does_nothing(sold: Tallystick) -> None:
    before = plain(sold("history", "--json"))

    told = plain(sold("may", "p", "settle", "amount=25.00", "last=yes", "--json"))

    assert told["allowed"]
    assert (told["transition"], told["state"]) == ("settle_last", "closed")
    assert told["postings"] == [{"source": "held", "target": "redeemed", "amount": "25.00"}]
    assert "yes: settle would fire settle_all, to closed" in sold("may", "p", "settle", "amount=25.00").stdout
    assert plain(sold("history", "--json")) == before


def test_may_says_no_and_why(sold: Tallystick) -> None:
    told = plain(sold("may", "p", "settle", "amount=60.00", "--json"))

    assert not told["allowed"]
    assert told["refusal"]["code"] == "guard"
    assert {each["transition"] for each in told["refusal"]["candidates"]} >= {"settle_part", "settle_all"}
    assert "amount 60.00, held 25.00" in told["why"]
    assert sold("may", "p", "settle", "amount=60.00").stdout.startswith("no: payment 'p' is advanced_hold and refuses")


def test_may_can_try_a_creation(sold: Tallystick) -> None:
    args = ("create", "order=o", "card=c")

    assert plain(sold("may", "payment/new", *args, "currency=BRL", "--json"))["allowed"]
    assert plain(sold("may", "payment/new", *args, "currency=USD", "--json"))["refusal"]["code"] == "currency"
    assert "write machine/id" in sold("may", "new", *args, code=1).stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["amount"], "write an argument as ARG=VALUE"),
        (["amount=1", "amount=2"], "'amount' is given twice"),
        (["last=perhaps"], "'last' is 'perhaps': write yes or no"),
        (["pin=8341"], "'pin' is a secret: leave it out"),
    ],
)
def test_may_is_strict_with_its_arguments_and_takes_no_pin(sold: Tallystick, given: list[str], said: str) -> None:
    result = sold("may", "p", "settle", *given, code=2)

    assert said in result.stderr
    assert "8341" not in result.output


def test_history_has_the_newest_entries_of_all_or_of_one(sold: Tallystick) -> None:
    assert [each["id"] for each in plain(sold("history", "--last", "2", "--json"))] == ["blank", "blank"]
    assert [each["transition"] for each in plain(sold("history", "p", "--last", "2", "--json"))] == [
        "settle_part",
        "hold_again",
    ]
    assert "payment p" in sold("history").stdout


# verify, due, recover, resolve


def test_verify_finds_what_was_changed_behind_its_back(sold: Tallystick, books: str) -> None:
    assert "clean: " in sold("verify").stdout
    with sqlite3.connect(books.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE gift_card SET available = 99999 WHERE id = 'c'")
    connection.close()

    told = plain(sold("verify", "--json", code=1))

    assert not told["clean"]
    assert any("'c'" in each["where"] for each in told["findings"])
    assert "wrong" in sold("verify", code=1).stdout


def test_due_runs_what_a_stopped_run_left(sold: Tallystick, books: str) -> None:
    engine = Engine(MACHINES, open_store(books), Silent())
    engine.execute("payment", "p", "settle", {"amount": "5.00"}, key="late", due=engine._clock())
    engine.store.close()

    told = plain(sold("due", "--json"))

    assert [(each["key"], each["result"]) for each in told] == [("late", "applied"), ("late>hold_again", "applied")]
    assert told[0]["accounts"] == {"held": "0.00", "uncovered": "20.00", "redeemed": "20.00", "in_doubt": "0.00"}
    assert sold("due").stdout == "nothing is due\n"


def test_due_says_if_something_waits_for_a_person_now(sold: Tallystick, books: str) -> None:
    engine = Engine(MACHINES, open_store(books), Silent())
    engine.execute("payment", "p", "settle", {"amount": "5000.00"}, key="late", due=engine._clock())
    engine.store.close()

    ended = sold("due", code=1)

    assert "refused" in ended.stdout
    assert ended.stderr == "waiting for a person now: 1; see tallystick stuck\n"


def test_due_and_recover_take_workers(sold: Tallystick, books: str) -> None:
    engine = Engine(MACHINES, open_store(books), Silent())
    for number in range(3):
        engine.execute(
            "payment", "p", "settle", {"amount": "5.00", "keep_hold": True}, key=f"{number}", due=engine.now()
        )
    engine.store.close()

    assert [each["result"] for each in plain(sold("due", "--workers", "8", "--json"))] == ["applied"] * 3
    assert plain(sold("recover", "--workers", "8", "--json")) == []
    for command in ("due", "recover"):
        for wrong in ("0", "257", "many"):
            assert "--workers" in sold(command, "--workers", wrong, code=2).stderr


class Silent:
    """A provider that never answers; under the name of the one that made these books, as another is refused."""

    name, local = "local", False

    def perform(self, call: Call) -> Outcome:
        return Outcome(Answer.UNKNOWN)

    def look_up(self, call: Call, *_: object) -> Outcome | NotSeen:
        return NotSeen()

    def balance(self, card: Any, pin: str | None = None) -> Outcome:
        return Outcome(Answer.UNKNOWN)

    def history(self, card: Any) -> list[Any]:
        return []


@pytest.fixture
def in_doubt(sold: Tallystick, books: str) -> str:
    """A call that was sent and not answered; its id."""
    engine = Engine(MACHINES, open_store(books), Silent())
    receipt = engine.try_execute(Command("payment", "p", "refund", {"amount": "5.00"}, "return"))
    engine.store.close()
    assert receipt.result == "in_doubt"
    return str(receipt.call)


def test_resolve_ends_a_call_as_a_person_says(sold: Tallystick, in_doubt: str) -> None:
    assert f"in doubt: issue, call {in_doubt}" in sold("show", "c").stdout
    why = ("--by", "Ana", "--reason", "seen in the portal")
    assert "--reference" in sold("resolve", in_doubt, "confirmed", *why, code=1).stderr

    (told,) = plain(sold("resolve", in_doubt, "confirmed", *why, "--reference", "T-1", "--json"))

    assert (told["key"], told["result"], told["call"]) == ("return", "applied", in_doubt)
    assert told["accounts"]["redeemed"] == "10.00"
    assert plain(sold("show", "c", "--json"))["accounts"]["available"] == "15.00"
    assert "confirmed already" in sold("resolve", in_doubt, "declined", *why, code=1).stderr
    assert plain(sold("verify", "--json"))["clean"]


@pytest.mark.parametrize("id", ["p", "c"])
def test_show_names_the_open_call_of_all_who_take_part(
    sold: Tallystick, in_doubt: str, monkeypatch: pytest.MonkeyPatch, id: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert in_doubt in sold("show", id).stdout
    assert [each["call"] for each in plain(sold("show", id, "--json"))["calls"]] == [in_doubt]


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_an_id_that_can_be_given_back_is_never_broken(
    sold: Tallystick, in_doubt: str, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    key = "order-2026-000017/shipment-0003/of-the-first-warehouse/settle"
    settle = json.loads(line(key, "payment", "p", "settle", amount="25.00"))
    sold("run", "-", input=json.dumps({**settle, "due": "2999-01-01T00:00:00Z"}))
    shown = sold("waiting").stdout
    assert in_doubt in shown
    assert key in shown


def test_resolve_takes_the_beginning_of_an_id(sold: Tallystick, in_doubt: str) -> None:
    why = ("--by", "Ana", "--reason", "not in the portal")
    for short in (in_doubt[:3], "x" + in_doubt[:8], in_doubt + "0"):
        assert f"there is no call '{short}'" in sold("resolve", short, "declined", *why, code=1).stderr
    (told,) = plain(sold("resolve", in_doubt[:8], "declined", *why, "--json"))
    assert (told["call"], told["result"]) == (in_doubt, "declined")
    assert "there is no call" in sold("resolve", in_doubt[:8], "declined", *why, code=1).stderr


def test_show_says_what_was_given_up(sold: Tallystick, books: str) -> None:
    engine = Engine(MACHINES, open_store(books), Silent())
    engine.execute("payment", "p", "settle", {"amount": "5000.00"}, key="late", due=engine.now())
    engine.store.close()
    sold("due", "--provider", "local", code=1)
    shown = sold("show", "p").stdout
    assert "given up: settle was refused, key late: payment 'p'" in shown
    assert "5000.00" in shown


def test_resolve_wants_to_know_who_and_why(sold: Tallystick, in_doubt: str) -> None:
    assert "--reason" in sold("resolve", in_doubt, "confirmed", "--by", "Ana", code=2).stderr
    assert (
        "'perhaps' is not one of" in sold("resolve", in_doubt, "perhaps", "--by", "A", "--reason", "b", code=2).stderr
    )
    wrong = sold("resolve", in_doubt, "confirmed", "--by", "A", "--reason", "b", "--amount", "1,50", code=1)
    assert "'1,50' is not an amount" in wrong.stderr


def test_recover_leaves_calls_to_the_provider_that_took_them(sold: Tallystick, in_doubt: str) -> None:
    assert f"tallystick resolve {in_doubt}" in sold("recover", "--grace", "0", code=1).stderr


def test_recover_with_nothing_in_doubt(sold: Tallystick) -> None:
    assert plain(sold("recover", "--json")) == []


def test_waiting_lists_withdraws_and_gives_another_time(sold: Tallystick) -> None:
    settle = json.loads(line("p/late", "payment", "p", "settle", amount="25.00"))
    sold("run", "-", input=json.dumps({**settle, "due": "2999-01-01T00:00:00Z"}))
    who = ("--by", "Ana", "--reason", "the customer called")

    (waiting,) = plain(sold("waiting", "--json"))["queue"]
    assert (waiting["key"], waiting["due"], waiting["amount"]) == ("p/late", "2999-01-01T00:00:00.000Z", "25.00")
    assert "1 waits for time or a machine: 1 queued (25.00 BRL)" in sold("waiting").stdout
    assert plain(sold("waiting", "p/other", "--json"))["queue"] == []
    assert sold("stuck").stdout == "nothing waits for a person\n"

    told = plain(sold("waiting", "p/late", "--reschedule", "2999-02-01T12:00:00-03:00", *who, "--json"))
    assert [each["due"] for each in (*told["queue"], *told["changed"])] == ["2999-02-01T15:00:00.000Z"] * 2
    assert told["changed"][0]["note"] == "Ana: the customer called"
    assert sold("waiting", "p/late", "--withdraw", *who).stdout == "p/late: Ana: the customer called\nnothing waits\n"
    assert sold("due").stdout == "nothing is due\n"
    assert "it is withdrawn; only what is waiting can" in sold("waiting", "p/late", "--withdraw", *who, code=1).stderr


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--withdraw", "--by", "a", "--reason", "b"], 2, "name the KEY"),
        (["k", "--withdraw", "--reschedule", "2999-01-01T00:00:00Z"], 2, "either --withdraw it or --reschedule it"),
        (["k", "--withdraw"], 2, "say who (--by) and why (--reason)"),
        (["k", "--reschedule", "2999-01-01T00:00:00Z", "--by", "a"], 2, "say who (--by) and why (--reason)"),
        (["k", "--reschedule", "tomorrow", "--by", "a", "--reason", "b"], 1, "WHEN is not an ISO time: 'tomorrow'"),
        (["k", "--reschedule", "2999-01-01T00:00:00", "--by", "a", "--reason", "b"], 1, "WHEN has no time zone"),
        (["k", "--withdraw", "--by", "a", "--reason", "b"], 1, "nothing is queued under the key 'k'"),
    ],
)
def test_how_waiting_is_used_wrongly(sold: Tallystick, args: list[str], code: int, said: str) -> None:
    assert said in sold("waiting", *args, code=code).stderr


# machines, diagram, schema, demo


def test_machines_are_listed_and_shown(tallystick: Tallystick) -> None:
    assert {each["machine"] for each in plain(tallystick("machines", "--json"))} >= {"gift_card", "payment"}
    told = plain(tallystick("machines", "payment", "--json"))
    assert {each["state"] for each in told["states"] if each["final"]} == {"closed", "reversed", "declined"}
    assert {each["transition"]: each["else"] for each in told["transitions"]}["authorize"] == "declined"
    assert "settle_keep_hold" in tallystick("machines", "payment").stdout
    assert "One card and one balance" in tallystick("machines").stdout


def test_a_folder_of_machines_is_taken(tallystick: Tallystick, tmp_path: Path) -> None:
    page = (reader.packaged_folder() / "fulfilment.yaml").read_text().replace("machine: fulfilment", "machine: parcel")
    (tmp_path / "parcel.yaml").write_text(page)

    told = plain(tallystick("machines", "--machines", str(tmp_path), "--json"))

    assert "parcel" in [each["machine"] for each in told]


@pytest.mark.parametrize(
    ("form", "first"),
    [("mermaid", "---\ntitle: payment"), ("dot", 'digraph "payment" {'), ("markdown", "## payment"), ("svg", "<svg ")],
)
def test_diagrams_are_text(tallystick: Tallystick, form: str, first: str) -> None:
    text = tallystick("diagram", "payment", "--format", form).stdout

    assert text.startswith(first)
    assert plain(tallystick("diagram", "payment", "--format", form, "--json"))["text"] == text


def test_the_name_of_a_file_says_the_format_of_a_picture(tallystick: Tallystick, tmp_path: Path) -> None:
    page = reader.packaged_folder() / "payment.yaml"
    for name, first in (("a.svg", b"<svg "), ("a.PNG", b"\x89PNG"), ("a.dot", b"digraph"), ("a.txt", b"---\ntitle")):
        tallystick("diagram", "payment", "--out", str(tmp_path / name))
        assert (tmp_path / name).read_bytes().startswith(first)
    tallystick("diagram", "payment", "--format", "dot", "-o", str(tmp_path / "b.svg"))
    assert (tmp_path / "b.svg").read_text().startswith("digraph")
    tallystick("diff", str(page), str(page), "-o", str(tmp_path / "change.svg"))
    assert (tmp_path / "change.svg").read_text().startswith("<svg ")
    assert "say which with --format" in tallystick("diff", str(page), str(page), "-o", "change", code=1).stderr


def test_a_diagram_has_the_figures_of_books_or_of_one_life(sold: Tallystick, tmp_path: Path) -> None:
    counted = sold("diagram", "payment", "--store", f"sqlite:///{tmp_path / 'books.db'}", "--format", "svg").stdout
    payments = plain(sold("history", "--json", "--last", "500"))
    id = next(each["id"] for each in payments if each["machine"] == "payment")
    lived = sold(
        "diagram", "--store", f"sqlite:///{tmp_path / 'books.db'}", "--entity", f"payment/{id}", "--format", "svg"
    )

    assert "in the books" in counted
    assert "as of" in counted
    assert f"payment {id}" in lived.stdout
    assert "what stood where" in lived.stdout
    assert "give --store, too" in sold("diagram", "--entity", id, code=1).stderr


def test_a_change_of_a_page_is_drawn(tallystick: Tallystick, tmp_path: Path) -> None:
    old = reader.packaged_folder() / "payment.yaml"
    new = tmp_path / "payment.yaml"
    new.write_text(
        old.read_text().replace("when: 0 < amount == held and uncovered == 0 and not last", "when: 0 < amount == held")
    )

    assert "≠ settle" in tallystick("diff", str(old), str(new), "--format", "mermaid").stdout
    tallystick("diff", str(old), str(new), "--format", "png", "--output", str(tmp_path / "change.png"))
    assert (tmp_path / "change.png").read_bytes().startswith(b"\x89PNG")


def test_a_change_says_how_many_of_some_books_are_concerned(sold: Tallystick, tmp_path: Path) -> None:
    old, new, url = (
        reader.packaged_folder() / "gift_card.yaml",
        tmp_path / "gift_card.yaml",
        f"sqlite:///{tmp_path}/books.db",
    )
    new.write_text(
        old.read_text().replace("  reload:\n    from: issued\n", "  reload:\n    from: issued\n    to: suspended\n")
    )
    cards = [each for each in plain(sold("history", "--json", "--last", "500")) if each["machine"] == "gift_card"]

    drawn = sold("diff", str(old), str(new), "--format", "svg", "--store", url).stdout

    assert cards
    assert "stand where something changes" in drawn
    assert "0 stand where something changes" not in drawn
    assert "so nothing would be moved" in sold("diff", str(old), str(new), "--store", url, code=1).stderr


def test_the_schema_is_one_that_the_pages_fit(tallystick: Tallystick) -> None:
    from ruamel.yaml import YAML

    schema = plain(tallystick("schema"))

    jsonschema.Draft202012Validator.check_schema(schema)
    page = YAML(typ="safe", pure=True).load((reader.packaged_folder() / "payment.yaml").read_text())
    jsonschema.validate(page, schema)


def test_the_demo_ends_clean_and_fits_a_screen(tallystick: Tallystick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    shown = tallystick("demo").stdout

    assert len(shown.splitlines()) <= 40
    assert "clean: " in shown
    told = plain(tallystick("demo", "--json"))
    assert told["verify"]["clean"]
    assert {beat["result"] for beat in told["story"]} >= {"applied", "refused", "replayed", "seen", "note"}


# What goes wrong

LOOKING = [["show", "x"], ["may", "x"], ["may", "x", "settle"], ["history"], ["verify"], ["due"], ["recover"], ["stuck"], ["waiting"],
           ["resolve", "x", "confirmed", "--by", "a", "--reason", "b"]]  # fmt: skip


@pytest.mark.parametrize("args", LOOKING, ids=" ".join)
def test_who_looks_makes_no_store(tallystick: Tallystick, books: str, tmp_path: Path, args: list[str]) -> None:
    result = tallystick(*args, code=1)

    assert f"there is no store at {books}" in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_another_database_is_left_alone(tallystick: Tallystick, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id TEXT)")
    connection.close()

    assert "no books were made there" in tallystick("verify", "--store", str(path), code=1).stderr
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("orders",)]
    connection.close()


def wrongs(folder: Path) -> list[tuple[Sequence[str], int, str]]:
    (folder / "noise").write_bytes(b"no database, but longer than a header of one\xff" * 9)
    (folder / "pages").mkdir()
    (folder / "pages" / "a.yaml").write_text("machine: x\nversion: one\n")
    (folder / "bytes").mkdir()
    (folder / "bytes" / "a.yaml").write_bytes(b"\xff\xfe")
    return [
        (["run", str(folder / "nothing")], 1, "No such file"),
        (["run", str(folder)], 1, "Is a directory"),
        (["run", "-", "--store", "mysql://x"], 1, "no store this version knows"),
        (["run", "-", "--store", "postgresql://127.0.0.1:1/x"], 1, "cannot be reached"),
        (["run", "-", "--store", str(folder / "no" / "where.db")], 1, "cannot be made"),
        (["run", "-", "--store", str(folder)], 1, "cannot be opened"),
        (["run", "-", "--store", str(folder / "noise")], 1, "not a database"),
        (["show", "x", "--store", str(folder / "noise")], 1, "not a database"),
        (["show", "x", "--store", str(folder)], 1, "no store"),
        (["run", "-", "--provider", "nobody"], 1, "no provider 'nobody'"),
        (["machines", "nothing"], 1, "no machine 'nothing'"),
        (["machines", "paymen"], 1, "Did you mean 'payment'?"),
        (["diagram", "nothing"], 1, "no machine 'nothing'"),
        (["machines", "--machines", str(folder / "nothing")], 1, "does not exist"),
        (["machines", "--machines", str(folder / "pages")], 1, "a.yaml:2:10"),
        (["machines", "--machines", str(folder / "bytes")], 1, "UTF-8"),
        (["diagram", "payment", "--format", "svgg"], 1, "no picture of format 'svgg'. Did you mean 'svg'?"),
        (["diagram", "payment", "--format", "png"], 1, "write it to a file with --output"),
        (["history", "--last", "0"], 2, "--last"),
        (["recover", "--grace", "-1"], 2, "--grace"),
        (["show"], 2, "Missing argument"),
        (["dance"], 2, "No such command"),
        (["run", "-", "--loud"], 2, "No such option"),
    ]


def test_whatever_goes_wrong_is_a_sentence_on_stderr(tallystick: Tallystick, tmp_path: Path) -> None:
    for args, code, said in wrongs(tmp_path):
        result = tallystick(*args, input="", code=code)

        assert said in result.stderr, args
        assert result.stdout == "", args


@pytest.mark.parametrize("args", [["show", "\udcff"], ["history", "\udcff"], ["may", "p", "\udcff"], ["machines", "\udcff"],
                                  ["may", "p", "settle", "invoice=\udcff"], ["may", "payment/\udcff", "create"],
                                  ["resolve", "\udcff", "confirmed", "--by", "a", "--reason", "b"]])  # fmt: skip
def test_bytes_that_are_no_text_are_said_too(sold: Tallystick, args: list[str]) -> None:
    result = sold(*args, code=1)

    assert result.stderr.startswith("Error: ")
    assert "fault of tallystick" not in result.stderr


def test_even_a_fault_of_ours_is_a_sentence(tallystick: Tallystick, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("tallystick.definition.format.json_schema", broken)

    assert "a fault in tallystick itself: ZeroDivisionError: oh" in tallystick("schema", code=1).stderr
    monkeypatch.setenv("TALLYSTICK_TRACEBACK", "1")
    assert isinstance(CliRunner().invoke(main, ["schema"]).exception, ZeroDivisionError)


@pytest.mark.parametrize("command", ["", *main.commands])
def test_every_command_explains_itself(tallystick: Tallystick, command: str) -> None:
    text = tallystick(*([command] if command else []), "--help").stdout

    assert text.startswith("Usage: ")
    assert command in ("", "sandbox") or "--json" in text  # a sandbox always prints JSON


# In a process of its own


def in_process(*args: str, store: str, **more: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TALLYSTICK_STORE": store}
    return subprocess.run(
        [*SCRIPT, *args], capture_output=True, text=True, encoding="utf-8", env=environment, timeout=60, **more
    )


def test_a_process_keeps_stdout_for_answers(books: str) -> None:
    done = in_process("run", "-", store=books, input="\n".join([*ORDERS, "{"]))

    assert done.returncode == 1
    assert [json.loads(each)["result"] for each in done.stdout.splitlines()] == ["applied"] * 8 + ["invalid"]
    assert "invalid" in done.stderr
    assert NUMBER not in done.stdout + done.stderr
    shown = in_process("show", "p", store=books)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "advanced_hold" in shown.stdout


def test_a_process_that_fails_says_one_sentence(books: str) -> None:
    done = in_process("verify", store=books)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


def test_a_reader_that_leaves_is_no_traceback(books: str) -> None:
    with subprocess.Popen([*SCRIPT, "machines", "payment"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()

    assert b"Traceback" not in said


def test_ctrl_c_ends_with_130_and_what_was_answered_is_done(books: str) -> None:
    # Whoever runs the tests in the background has Ctrl-C ignored; the child must not inherit that.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import tallystick.__main__ as m; m.main()"
    command = [sys.executable, "-c", code, "run", "-", "--store", books]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(ORDERS[0] + "\n")
        process.stdin.flush()
        answered = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)

    assert (process.returncode, said) == (130, "stopped\n")
    assert answered["result"] == "applied"
    assert "inventory" in in_process("show", "c", store=books).stdout


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_terminal_sees_a_bar_and_the_answers_stay_clean(books: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.jsonl"
    file.write_text("\n".join(ORDERS))
    ours, theirs = os.openpty()

    done = subprocess.run(
        [*SCRIPT, "run", str(file), "--store", books], stdout=subprocess.PIPE, stderr=theirs, timeout=60
    )
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)

    assert done.returncode == 0
    assert "8 lines" in shown
    assert [json.loads(each)["result"] for each in done.stdout.splitlines()] == ["applied"] * 8


def test_help_lists_every_command_once_in_a_section_with_a_sentence() -> None:
    text = " ".join(CliRunner().invoke(main, ["--help"]).stdout.split())
    listed = [command for commands in SECTIONS.values() for command in commands]
    assert sorted(str(each.name) for each in listed) == sorted(main.commands)
    for section, commands in SECTIONS.items():
        assert f" {section}: {commands[0].name} " in text
    for each in listed:
        assert each.get_short_help_str(200).endswith("."), each.name
        assert f" {each.name} {each.get_short_help_str(200)}" in text


def test_every_command_answers_in_json() -> None:
    without = {name for name, each in main.commands.items() if not any(p.name == "json_out" for p in each.params)}
    assert without == {"sandbox"}  # which prints one line of JSON anyway, and then serves


def test_help_is_quick_because_nothing_heavy_is_loaded() -> None:
    code = (
        "import sys; from tallystick.cli.main import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"rich", "transitions", "ruamel.yaml", "sqlite3", "sqlite_utils", "tallystick.engine.engine"}


@pytest.mark.parametrize(("command", "said"), [("diagram", "held ▸ card"), ("machines", "held ? card")])
def test_a_terminal_that_knows_no_arrows_is_no_reason_to_fail(command: str, said: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}

    done = subprocess.run([*SCRIPT, command, "payment"], capture_output=True, env=environment, timeout=60)

    assert done.returncode == 0
    assert said in done.stdout.decode()
