"""The commands about the provider's half, against a sandbox over real HTTP; and the sandbox's own command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("httpcore2")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from tallystick.books.balance import BalanceSettings
from tallystick.books.books import Books
from tallystick.books.open import provider_named
from tallystick.cli.main import main
from tallystick.cli.options import PIN_POLICIES
from tallystick.clutch.client import ClutchProvider, from_environment
from tallystick.clutch.environment import variable
from tallystick.clutch.sandbox import Faults, Sandbox
from tallystick.clutch.sandbox.server import Server
from tallystick.clutch.settings import ACCESS
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.pin_policy import PinPolicy
from tallystick.engine.receipt import InDoubt
from tallystick.errors import Invalid
from tallystick.provider.protocol import Ambiguous
from tallystick.store.open import open_store

load = reader.load
MACHINES = load()
WHO = ("--by", "anna", "--reason", "month's end")

PINS: dict[str, str] = {}  # as their customers know them

Tallystick = Callable[..., Result]


def environment(connection: Mapping[str, str]) -> dict[str, str]:
    """What a client needs, as CLUTCH_*."""
    known = {**connection, "base_url": f"{connection['url']}/merchant"}
    return {variable(name): known[name] for name in ACCESS}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Sandbox(card_sets={"GIFT": 50}, seed=8) as books, Server(books) as running:
        yield running


@pytest.fixture
def tallystick(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tallystick:
    for name, value in environment(server.connection()).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TALLYSTICK_STORE", f"sqlite:///{tmp_path}/books.db")
    monkeypatch.setenv("TALLYSTICK_PROVIDER", "clutch")
    monkeypatch.delenv("TALLYSTICK_MACHINES", raising=False)
    monkeypatch.setattr(reader, "load", lambda *folders: load(*folders) if folders else MACHINES)

    def run(*args: str, code: int = 0, stdin: str = "") -> Result:
        result = CliRunner().invoke(main, args, input=stdin)
        assert result.exit_code == code, (result.exit_code, result.output)
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def books(tallystick: Tallystick, tmp_path: Path) -> Iterator[Books]:
    """Card c with 50.00, of which payment p holds 20.00; made 40 days ago by the clock of these books."""
    then = datetime.now(timezone.utc) - timedelta(days=40)
    with closing(ClutchProvider(from_environment().settings, clock=lambda: then)) as provider:
        store = open_store(f"sqlite:///{tmp_path}/books.db")
        opened = Books(Engine(MACHINES, store, provider, clock=lambda: then))
        sale = opened.sell_electronic("c", "50.00", "USD", order="o1", key="sell", card_set="GIFT")
        PINS[str(sale.number)] = str(sale.pin)
        opened.authorize("p", "c", "20.00", order="o2", key="pay", pin=sale.pin)
        yield opened
        store.close()


def number_of(books: Books) -> str:
    number = books.card("c").number
    assert number
    return number


def told(result: Result) -> Any:
    return json.loads(result.stdout)


def test_whose_pin_is_needed_is_an_option_wherever_books_are_opened(
    books: Books, tallystick: Tallystick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = {"order": "o3", "card": "c", "currency": "USD"}
    lines = [
        {"key": "new", "machine": "payment", "id": "p9", "command": "create", "args": payment},
        {"key": "hold", "machine": "payment", "id": "p9", "command": "authorize", "args": {"amount": "1.00"}},
    ]
    file = tmp_path / "lines.jsonl"
    file.write_text("".join(f"{json.dumps(each)}\n" for each in lines), encoding="utf-8")
    assert get_args(PinPolicy) == PIN_POLICIES
    for policy in PIN_POLICIES[:2]:
        refused = tallystick("run", str(file), "--pin-policy", policy).stdout.splitlines()[-1]
        assert (json.loads(refused)["result"], "PIN" in json.loads(refused)["why"]) == ("refused", True)
    assert tallystick("run", str(file), "--pin-policy", "none", code=2).stderr.count("if_known") == 1
    monkeypatch.setenv("TALLYSTICK_PIN_POLICY", "optional")
    assert json.loads(tallystick("run", str(file)).stdout.splitlines()[-1])["result"] == "applied"


# --- balance


def test_a_balance_is_told_to_who_has_the_pin(
    books: Books, tallystick: Tallystick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.books.balance.BalanceSettings", partial(BalanceSettings, answer_every=0))
    number = number_of(books)
    pin = PINS[number]
    wrong = f"{(int(pin) + 1) % 10000:04}"
    shown = tallystick("balance", number, "--pin-stdin", stdin=f"{pin}\n")
    assert shown.stdout == "30.00 USD are available. 20.00 USD are held.\n"
    found = told(tallystick("balance", "-", "--pin-stdin", "--json", stdin=f"{number}\n{pin}\n"))
    assert found == {"said": "found", "text": "30.00 USD are available.", "available": "30.00", "held": "20.00",
                     "currency": "USD", "card": "c"}  # fmt: skip
    refused = [
        tallystick("balance", number, code=1),
        tallystick("balance", number, "--pin-stdin", code=1, stdin=f"{wrong}\n"),
        tallystick("balance", "4" * 16, "--currency", "USD", "--pin-stdin", code=1, stdin=f"{pin}\n"),
        tallystick("balance", number, "--pin-stdin", code=2),
        tallystick("balance", "4" * 16, code=2),
    ]
    assert refused[0].stdout == "The PIN of the card is needed.\n"
    assert refused[1].stdout == refused[2].stdout == "There is no card with this number and PIN.\n"
    assert "stdin has no line with the PIN" in refused[3].stderr
    assert "--currency USD" in refused[4].stderr
    for each in (shown, *refused):
        assert number not in each.output
        assert pin not in each.output

    for _ in range(9):
        tallystick("balance", number, "--client", "thief", "--pin-stdin", code=1, stdin=f"{wrong}\n")
    late = tallystick("balance", number, "--pin-stdin", code=1, stdin=f"{pin}\n")
    assert late.stdout.startswith("The balance cannot be checked now")


def test_a_card_of_another_channel_is_let_in(
    books: Books, server: Server, tallystick: Tallystick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.books.balance.BalanceSettings", partial(BalanceSettings, answer_every=0))
    sandbox = server.sandbox
    drawn = sandbox.post("allocate", {"cardSetId": "GIFT"}, location="store-7").json()
    value = {"balanceType": "Currency", "balanceCode": "USD", "amount": 12}
    sandbox.post("updateBalance", {"cardNumber": drawn["cardNumber"], "action": "issue", "amount": value})
    asked = ("balance", drawn["cardNumber"], "--pin-stdin", "--currency", "USD", "--json")
    assert told(tallystick(*asked, stdin=f"{drawn['pin']}\n"))["card"] is None
    card = told(tallystick(*asked, "--recognize", "physical", stdin=f"{drawn['pin']}\n"))["card"]
    shown = tallystick("show", card)
    assert "12.00" in shown.stdout
    assert "physical" in shown.stdout


# --- reconcile


def test_books_that_agree(books: Books, tallystick: Tallystick) -> None:
    assert tallystick("reconcile").stdout == "clean: 1 card compared\n"
    found = told(tallystick("reconcile", "--card", number_of(books), "--json"))
    assert found == {"clean": True, "cards": 1, "findings": [], "remaining": 0, "posted": []}


def test_a_difference_is_told_posted_and_gone(books: Books, server: Server, tallystick: Tallystick) -> None:
    number = number_of(books)
    transaction = server.sandbox.spend_elsewhere(number, 700)
    found = told(tallystick("reconcile", "--json", code=1))
    assert found["clean"] is False
    assert [(each["code"], each["ours"], each["theirs"], each["posted"]) for each in found["findings"]] == [
        ("balance", "30.00", "23.00", False), ("line_only_theirs", None, "-7.00", False)
    ]  # fmt: skip
    assert found["findings"][1]["reference"] == transaction

    shown = tallystick("reconcile", "--apply", *WHO)
    assert "2 found: 1 card compared, 1 posted, 0 remain" in shown.stdout
    assert f"card 'c' (…{number[-4:]}): 30.00 USD are available here" in " ".join(shown.stdout.split())
    assert number not in shown.output
    assert tallystick("reconcile").stdout.startswith("clean")
    entry = books.history("gift_card", "c")[-1]
    assert (entry.transition, entry.by, entry.reason) == ("observe_less", "anna", "month's end")
    assert books.verify().clean


def test_what_apply_does_not_post_ends_in_1(books: Books, server: Server, tallystick: Tallystick) -> None:
    value = {"balanceType": "Currency", "balanceCode": "USD", "amount": 5}
    server.sandbox.post("updateBalance", {"cardNumber": number_of(books), "action": "hold", "amount": value})
    found = told(tallystick("reconcile", "--apply", *WHO, "--json", code=1))
    assert [each["code"] for each in found["findings"] if not each["posted"]] == ["hold_only_theirs"]
    assert (found["remaining"], found["posted"][0]["transition"]) == (1, "observe_less")


def test_how_reconcile_is_used_wrongly(books: Books, tallystick: Tallystick, tmp_path: Path) -> None:
    for args in (("--apply",), ("--apply", "--by", "anna"), ("--apply", "--reason", "why")):
        assert "--apply changes the books: say who" in tallystick("reconcile", *args, code=2).stderr
    assert "nothing with the id or card number" in tallystick("reconcile", "--card", "x", code=1).stderr
    assert "payment 'p' is not a card" in tallystick("reconcile", "--card", "p", code=1).stderr
    said = tallystick("reconcile", "--provider", "local", code=1).stderr
    assert "are those of provider clutch (127.0.0.1, brand sandbox-brand), and local cannot go on with them" in said
    own = ("--provider", "local", "--store", f"sqlite:///{tmp_path / 'own.db'}")
    tallystick("run", os.devnull, *own)
    assert "provider 'local' has no record that could be read" in tallystick("reconcile", *own, code=1).stderr
    assert "there is no store at" in tallystick("reconcile", "--store", "sqlite:///nowhere.db", code=1).stderr


# --- holds


def test_old_holds(books: Books, server: Server, tallystick: Tallystick) -> None:
    number = number_of(books)
    (hold,) = server.sandbox.holds(number)
    assert "no hold is that old" in tallystick("holds", "--older-than", "6w").stdout
    found = told(tallystick("holds", "--older-than", "30d", "--json"))
    assert found["released"] == []
    (old,) = found["holds"]
    assert {**old, "since": ""} == {
        "payment": "p", "order": "o2", "card": "c", "number": f"…{number[-4:]}", "state": "authorized",
        "currency": "USD", "amount": "20.00", "hold": hold, "since": "",
    }  # fmt: skip

    shown = tallystick("holds", "--older-than", "30d", "--release", *WHO)
    assert "reversed" in shown.stdout
    assert server.sandbox.holds(number) == {}
    assert "no hold is that old" in tallystick("holds", "--older-than", "30d").stdout
    assert told(tallystick("holds", "--older-than", "30d", "--release", *WHO, "--json")) == {
        "holds": [],
        "released": [],
    }
    assert books.payment("p").state == "reversed"
    assert tallystick("reconcile").stdout.startswith("clean")


def test_a_hold_that_could_not_be_released(books: Books, server: Server, tallystick: Tallystick) -> None:
    (hold,) = server.sandbox.holds(number_of(books))
    value = {"balanceType": "Currency", "balanceCode": "USD", "amount": 0}
    body = {"cardNumber": number_of(books), "action": "redeem", "amount": value}
    server.sandbox.post("updateBalance", {**body, "redeemFromHoldTransactionId": hold, "releaseHoldRemainder": True})
    for _ in range(2):  # asked anew each time, not told what was said before
        found = told(tallystick("holds", "--older-than", "30d", "--release", *WHO, "--json", code=1))
        assert [(each["result"], each["replayed"]) for each in found["released"]] == [("declined", False)]


def test_how_holds_is_used_wrongly(books: Books, tallystick: Tallystick) -> None:
    forgotten = tallystick("holds", "--older-than", "30d", "--release", *WHO, "--provider", "local", code=1).stderr
    assert "name its provider" in forgotten
    assert books.payment("p").state == "authorized"
    assert "--release changes the books" in tallystick("holds", "--older-than", "30d", "--release", code=2).stderr
    assert "Missing option '--older-than'" in tallystick("holds", code=2).stderr
    for age in ("30", "d", "-1d", "1.5d", "30 d", "٣d", "999999d"):
        assert "is not a length of time" in tallystick("holds", f"--older-than={age}", code=2).stderr


# --- stuck


def test_what_waits_for_a_person(
    books: Books, server: Server, tallystick: Tallystick, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "nothing waits for a person" in tallystick("stuck").stdout
    none = {"count": 0, "amounts": {}}
    totals = {"count": 0, "calls": none, "queue": none, "uncovered": none, "late": none}
    assert told(tallystick("stuck", "--json")) == {
        "calls": [],
        "queue": [],
        "uncovered": [],
        "late": [],
        "totals": totals,
    }

    books.engine.execute("payment", "p", "settle", {"amount": "5.00"}, key="ship")
    server.sandbox.spend_elsewhere(number_of(books), 4100)
    books.run_due()
    past = datetime.now(timezone.utc) - timedelta(days=50)
    books.engine.execute("payment", "q", "create", {"order": "o3", "card": "c", "currency": "USD"}, key="q")
    books.engine.execute("payment", "q", "settle", {"amount": "1.00"}, key="early", due=past)
    books.run_due()
    with monkeypatch.context() as patch:
        patch.setattr(server.sandbox, "faults", Faults.parse("lost_after=1"))
        reload = {"key": "lost", "machine": "gift_card", "id": "c", "command": "reload", "args": {"amount": "1.00"}}
        assert told(tallystick("run", "-", stdin=json.dumps(reload)))["result"] == "in_doubt"
        found = told(tallystick("waiting", "lost", "--json"))
        assert [(each["verb"], each["amount"], each["attempts"], each["note"]) for each in found["calls"]] == [
            ("issue", "1.00", 1, "no answer came (RemoteProtocolError)")
        ]
        assert told(tallystick("stuck", "--json", code=1))["calls"] == []  # recover can still end it
        patch.setattr(ClutchProvider, "look_up", lambda *_: Ambiguous("two lines may be it", later=True))
        tallystick("recover", "--grace", "0")
        assert told(tallystick("stuck", "--json", code=1))["calls"] == []  # and the next one may, too
        patch.setattr(ClutchProvider, "look_up", lambda *_: Ambiguous("RemoteProtocolError, two lines may be it"))
        tallystick("recover", "--grace", "0")
    assert told(tallystick("waiting", "--json"))["calls"] == []

    found = told(tallystick("stuck", "--json", code=1))
    assert [(each["verb"], each["amount"], each["attempts"], each["why"], each["due"]) for each in found["calls"]] == [
        ("issue", "1.00", 1, "RemoteProtocolError, two lines may be it", None)
    ]
    assert found["totals"] == {
        "count": 3,
        "calls": {"count": 1, "amounts": {"USD": "1.00"}},
        "queue": {"count": 1, "amounts": {"USD": "1.00"}},
        "uncovered": {"count": 1, "amounts": {"USD": "11.00"}},
        "late": {"count": 0, "amounts": {}},
    }
    assert [(each["key"], each["state"]) for each in found["queue"]] == [("early", "refused")]
    assert [(each["payment"], each["amount"]) for each in found["uncovered"]] == [("p", "11.00")]
    monkeypatch.setenv("COLUMNS", "80")
    shown = tallystick("stuck", code=1).stdout
    totals = "3 wait for a person: 1 in doubt (1.00 USD); 1 given up (1.00 USD); 1 uncovered (11.00 USD)"
    assert totals in " ".join(shown.split())
    assert found["calls"][0]["call"] in shown  # whole: it can be copied
    for word in (
        "RemoteProtocolError",
        "1.00 USD",
        "authorized",
        "11.00 USD",
        "call in doubt",
        "uncovered",
    ):
        assert word in shown


def test_what_was_refused_is_tried_again_or_dismissed(books: Books, tallystick: Tallystick) -> None:
    past = datetime.now(timezone.utc) - timedelta(days=50)
    for key in ("early", "late"):
        books.engine.execute("payment", "p", "settle", {"amount": "21.00"}, key=key, due=past)
    books.run_due()
    shown = tallystick("stuck", "--again", "early", "--dismiss", "late", *WHO, code=1).stdout
    assert "refused" in shown
    assert "late" not in shown
    found = told(tallystick("stuck", "--json", code=1))
    assert [(each["key"], each["note"]) for each in found["queue"]] == [("early", "anna: month's end")]
    tried = told(tallystick("stuck", "--again", "early", "--json", *WHO, code=1))["tried"]
    assert [(each["key"], each["result"]) for each in tried] == [("early", "refused")]
    tallystick("stuck", "--dismiss", "early", *WHO)
    assert "nothing waits for a person" in tallystick("stuck").stdout


def test_a_card_that_may_have_been_drawn_for_nobody_is_told(
    books: Books, server: Server, tallystick: Tallystick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number was in the answer that was lost, so another card is drawn: a person reads that one may be left."""
    with monkeypatch.context() as patch:
        patch.setattr(server.sandbox, "faults", Faults.parse("lost_after=1"))
        with pytest.raises(InDoubt):
            books.sell_electronic("d", "5.00", "USD", order="o3", key="lost", card_set="GIFT")
    left = "allocate was sent 2 times: a card of set GIFT may have been drawn for nobody: an unused card, no money"

    (recovered,) = told(CliRunner().invoke(main, ["recover", "--json"]))

    assert (recovered["result"], recovered["why"]) == ("applied", left)
    (again,) = told(CliRunner().invoke(main, ["show", "d", "--json"]))["sent_again"]
    assert (again["call"], again["state"], again["attempts"]) == (recovered["call"], "confirmed", 2)
    assert "a card of set GIFT may have been drawn" in CliRunner().invoke(main, ["show", "d"]).stdout


def test_how_stuck_is_used_wrongly(books: Books, tallystick: Tallystick) -> None:
    for deed in ("--again", "--dismiss"):
        for who in ((), WHO[:2], WHO[2:], ("--by", "", *WHO[2:])):
            assert "say who (--by) and why" in tallystick("stuck", deed, "k", *who, code=2).stderr
        said = tallystick("stuck", deed, "k", *WHO, code=1).stderr
        assert "nothing is queued under the key 'k'" in said


# --- The provider by its name


def test_clutch_is_installed_and_says_what_is_missing(tallystick: Tallystick, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(provider_named("clutch")) as provider:  # type: ignore[type-var]  # ours has it
        assert isinstance(provider, ClutchProvider)
    for name in ("CLUTCH_API_KEY", "CLUTCH_TERMINAL"):
        monkeypatch.delenv(name)
    with pytest.raises(Invalid, match="CLUTCH_API_KEY, CLUTCH_TERMINAL must be set"):
        provider_named("clutch")


# --- sandbox


def test_the_sandbox_serves_until_it_is_stopped(tmp_path: Path) -> None:
    import httpx2

    state = tmp_path / "books.db"
    command = [sys.executable, "-W", "error", "-m", "tallystick", "sandbox", "--port", "0", "--seed", "4"]
    command += ["--card-set", "GIFT:2", "--card-set", "PLASTIC:1:physical", "--state", str(state), "--faults", "slow=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as served:
        try:
            assert served.stdout is not None
            connection = json.loads(served.stdout.readline())
            assert list(connection) == ["url", "api_key", "api_secret", "brand", "location", "terminal"]
            headers = {name: connection[name] for name in ("brand", "location", "terminal")}
            auth = (connection["api_key"], connection["api_secret"])
            url = f"{connection['url']}/merchant/allocate"
            answer = httpx2.post(url, json={"cardSetId": "GIFT"}, headers=headers, auth=auth).json()
            assert answer["success"] is True
        finally:
            served.terminate()
            rest = served.communicate(timeout=10)
    assert rest == ("", "")
    with Sandbox(state=state) as books:
        assert books.dump()["card_sets"] == {"GIFT": {"cards": 2, "free": 1}, "PLASTIC": {"cards": 1, "free": 1}}


@pytest.mark.parametrize(
    "args", [("--card-set", "GIFT"), ("--faults", "nonsense=1"), ("--set", "nonsense=1"), ("--port", "-1")]
)
def test_how_the_sandbox_is_used_wrongly(args: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, ["sandbox", *args])
    assert result.exit_code == 2, result.output
    assert "Error: " in result.stderr


def test_the_sandbox_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "tallystick.clutch.sandbox.server", raising=False)
    result = CliRunner().invoke(main, ["sandbox"])
    assert (result.exit_code, "pip install 'tallystick[sandbox]'" in result.stderr) == (1, True)


def test_help_is_quick() -> None:
    """Nothing heavy is loaded before a command runs."""
    heavy = "sqlite3 httpcore2 uvicorn starlette rich tallystick.engine.engine tallystick.definition.reader"
    check = f"import sys, tallystick.cli.commands.provider; print([name for name in {heavy.split()!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, env={**os.environ})
    assert run.stdout.strip() == "[]"
