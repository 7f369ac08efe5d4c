"""Sealed books: no card number in any byte of them, and everything that needs one works as in readable books.

What is sealed comes back, is always the same and cannot be changed unseen; another key, or none, opens nothing.
`clutch/test_sealed_numbers.py` has the same beside a provider.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import tallystick
from tallystick.books.balance import BalanceSettings, Said
from tallystick.books.books import Books
from tallystick.cli.main import main
from tallystick.core.arguments import plain_number
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command, Ended, Refused
from tallystick.engine.sealing import HIDDEN, KEY, READABLE, SealedNumbers, from_books, new_key, numbers_under
from tallystick.errors import Invalid, KeyReused, StoreError
from tallystick.masks import mask
from tallystick.provider import protocol as providers
from tallystick.provider.local import LocalProvider
from tallystick.provider.scripted import Reply, ScriptedProvider
from tallystick.store.open import open_store

MACHINES = reader.load(reader.packaged_folder())
ONE, OTHER = new_key(), new_key()
NUMBERS, OTHERS = SealedNumbers(ONE), SealedNumbers(OTHER)
SCANNED = [f"60064912345678{count:02}" for count in range(10, 20)]
PAST = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


@pytest.fixture
def books(file: Path) -> Iterator[Books]:
    with tallystick.open(str(file), seal_key=ONE, balances=BalanceSettings(answer_every=0)) as opened:
        yield opened


def bytes_of(file: Path) -> bytes:
    """The database, its log, and whatever else lies beside it."""
    return b"".join(each.read_bytes() for each in sorted(file.parent.iterdir()))


def physical(books: Books, id: str, number: str, amount: str = "50.00") -> str:
    return str(books.ship_physical(id, number, amount, "BRL", order=f"o-{id}", key=f"sell-{id}").number)


# A number and the text that stands for it


@given(st.text(max_size=80))
def test_what_is_sealed_comes_back_and_is_always_the_same(number: str) -> None:
    sealed = NUMBERS.seal(number)
    assert NUMBERS.opened(sealed) == plain_number(number)
    assert SealedNumbers(ONE).seal(number) == sealed != OTHERS.seal(number)
    with pytest.raises(StoreError, match="cannot be opened"):
        OTHERS.opened(sealed)


@given(st.text(min_size=1, max_size=30), st.data())
def test_a_text_that_was_changed_is_refused(number: str, data: st.DataObject) -> None:
    sealed = NUMBERS.seal(number)
    place = data.draw(st.integers(0, len(sealed) - 1))
    instead = data.draw(st.characters())
    changed = data.draw(
        st.sampled_from(
            [sealed[:place] + instead + sealed[place + 1 :], sealed[:place], sealed[: place + 1] + sealed[place:]]
        )
    )
    if changed != sealed:
        with pytest.raises(StoreError, match="it was changed there, or never was sealed"):
            NUMBERS.opened(changed)


@pytest.mark.parametrize(
    "text", ["", ":", "::", "sealed:", "sealed::", "sealed:AAAA:0281", "6006491234567890", "sealed:é:"]
)
def test_what_never_was_sealed_is_refused(text: str) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        NUMBERS.opened(text)


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=9, max_size=30))
def test_the_last_four_characters_can_be_read_and_no_more(number: str) -> None:
    assert mask(NUMBERS.seal(number)) == mask(plain_number(number)) == f"…{number[-4:].upper()}"


@pytest.mark.parametrize("number", ["0", "0281", "60060281"])
def test_of_a_short_number_nothing_can_be_read(number: str) -> None:
    assert NUMBERS.seal(number).endswith(f":{HIDDEN}")
    assert number[-4:] not in NUMBERS.seal(number).rpartition(":")[2]


def test_readable_numbers_stand_as_they_are() -> None:
    assert numbers_under(None) is READABLE
    assert READABLE.seal("6006") == READABLE.opened("6006") == "6006"


def test_only_what_is_sealed_comes_out_of_the_queue_as_sealed() -> None:
    sealed = NUMBERS.seal(SCANNED[0])
    out = from_books({"number": sealed, "note": "x", "amount": 5})
    assert out == {"number": sealed, "note": "x", "amount": 5}
    assert type(out["note"]) is str
    assert type(out["number"]) is not str


# Keys


@pytest.mark.parametrize(
    "key",
    ["", " ", "short", "not base64 at all!", base64.b64encode(b"x" * 32).decode(), base64.b64encode(b"x" * 65).decode(),
     "ü" * 88, "ab" * 64],
)  # fmt: skip
def test_what_is_no_key_is_refused_in_a_sentence_without_it(key: str, file: Path) -> None:
    with pytest.raises(Invalid, match="64 bytes as base64; `tallystick key` prints a new one") as caught:
        tallystick.open(str(file), seal_key=key)
    assert not key.strip() or key not in f"{caught.value!r} {caught.value.args}"


def test_an_empty_variable_is_no_key_either(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was meant to hold one: books that should be sealed must not become readable by mistake."""
    monkeypatch.setenv(KEY, "")
    with pytest.raises(Invalid, match=KEY):
        tallystick.open(str(file))


def test_keys_are_new_and_work(file: Path) -> None:
    keys = {new_key() for _ in range(20)}
    assert len(keys) == 20
    assert all(len(base64.b64decode(each)) == 64 for each in keys)
    with tallystick.open("memory:", seal_key=f" {keys.pop()}\n") as opened:  # as it comes out of a file
        assert opened.engine.numbers.sealed


def test_without_what_seals_a_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith("cryptography"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(Invalid, match=r"pip install 'tallystick\[sealed\]'"):
        tallystick.open("memory:", seal_key=ONE)


def test_sealed_books_open_with_their_key_only(books: Books, file: Path) -> None:
    physical(books, "c", SCANNED[0])
    before = bytes_of(file)
    for key, said in ((None, f"are sealed; give their key, as {KEY} or open"), (OTHER, "sealed with another key than")):
        with pytest.raises(StoreError, match=said) as caught:
            tallystick.open(str(file), seal_key=key)
        assert OTHER not in str(caught.value)
    with pytest.raises(StoreError, match="are sealed; give their key"):
        Engine(MACHINES, open_store(str(file)), LocalProvider())
    assert bytes_of(file) == before
    with tallystick.open(str(file), seal_key=ONE) as again:
        assert again.card("c").number == SCANNED[0]


def test_books_are_sealed_from_their_beginning(file: Path) -> None:
    tallystick.open(str(file), seal_key=ONE).close()
    with pytest.raises(StoreError, match="another key"):
        tallystick.open(str(file), seal_key=OTHER)
    with pytest.raises(StoreError, match="are sealed"):
        tallystick.open(str(file))


def test_books_that_are_readable_stay_so(file: Path) -> None:
    with tallystick.open(str(file)) as readable:
        physical(readable, "c", SCANNED[0])
    with pytest.raises(StoreError, match=r"are readable and stay so, .* or begin new books with it"):
        tallystick.open(str(file), seal_key=ONE)
    with tallystick.open(str(file)) as readable:
        assert readable.card("c").number == SCANNED[0]
        assert readable.verify().clean
    assert SCANNED[0].encode() in bytes_of(file)


def test_books_without_an_entry_may_still_be_sealed(file: Path) -> None:
    tallystick.open(str(file)).close()
    with tallystick.open(str(file), seal_key=ONE) as opened:
        physical(opened, "c", SCANNED[0])
    assert SCANNED[0].encode() not in bytes_of(file)


def test_of_two_who_begin_books_with_their_own_keys_one_wins() -> None:
    store = open_store("memory:")
    Engine(MACHINES, store, LocalProvider(), numbers=NUMBERS)
    Engine(MACHINES, store, LocalProvider(), numbers=SealedNumbers(ONE))
    with pytest.raises(StoreError, match="another key"):
        Engine(MACHINES, store, LocalProvider(), numbers=OTHERS)


def test_no_key_shows(books: Books, caplog: pytest.LogCaptureFixture) -> None:
    raw = base64.b64decode(ONE)
    shown = [repr(books), repr(books.engine), repr(books.engine.numbers), repr(vars(books.engine.numbers)), caplog.text]
    for secret in (ONE, raw.hex(), repr(raw)[2:-1], ONE[:40]):
        assert secret not in "\n".join(shown)


# The verbs of the trade


def test_every_verb_works_and_no_number_is_left_behind(books: Books, file: Path) -> None:
    numbers = [physical(books, "c", SCANNED[0])]
    sale = books.sell_electronic("e", "30.00", "BRL", order="o", key="sell-e")
    assert sale.number is not None
    numbers.append(sale.number)
    books.authorize("p", "c", "40.00", order="o1", key="hold")
    books.settle("p", "15.00", key="ship")
    books.settle("p", "5.00", key="later", due=PAST)
    books.run_due()
    books.cancel("p", key="cancel")
    books.refund("p", "3.00", key="refund")
    credit = books.refund_to_new("p", "2.00", "credit", key="credit")
    numbers.append(str(credit.number))
    numbers.append(str(books.replace("e", "plastic", key="lost", number=SCANNED[1]).number))
    numbers.append(str(books.replace("plastic", "drawn", key="lost again").number))
    assert numbers[0] == SCANNED[0]
    assert numbers[3] == SCANNED[1]
    for id, number in zip(("c", "e", "credit", "plastic", "drawn"), numbers, strict=True):
        card = books.card(id)
        assert (card.number, card.masked) == (number, f"…{number[-4:]}")
        assert books.find(number) == card
        assert books.balance(number, currency="BRL", client="x").said in (Said.FOUND, Said.NOT_FOUND)
    assert books.balance(SCANNED[0], currency="BRL", client="y").card == "c"
    assert books.find(SCANNED[9]) is None
    assert books.verify().clean

    entities = [books._entity("gift_card", id) for id in ("c", "e", "credit", "plastic", "drawn")]
    histories = [books.history("gift_card", each.id) for each in entities] + [books.history("fulfilment", "sell-c")]
    said = repr([sale, books.card("c"), entities, histories, [attrs.asdict(each) for each in entities]])
    open_ = bytes_of(file)
    books.close()
    for number in numbers:
        assert number not in said
        assert number.encode() not in open_ + bytes_of(file)
        assert NUMBERS.seal(number).encode() in bytes_of(file)


def test_a_sale_said_again_is_replayed_and_another_number_is_another_intention(books: Books) -> None:
    assert physical(books, "c", SCANNED[0]) == physical(books, "c", SCANNED[0]) == SCANNED[0]
    with pytest.raises(KeyReused):
        physical(books, "c", SCANNED[1])


def test_a_number_belongs_to_one_card_of_a_currency(books: Books, file: Path) -> None:
    physical(books, "c", SCANNED[0])
    create = {"form": "physical", "currency": "BRL"}
    books.engine.execute("gift_card", "d", "create", create, key="d")
    with pytest.raises(Refused, match=rf"the number …{SCANNED[0][-4:]} is that of gift_card 'c'"):
        books.engine.execute("gift_card", "d", "activate", {"number": SCANNED[0]}, key="d/activate")
    assert not books.may("gift_card", "d", "activate", number=SCANNED[0])
    assert books.may("gift_card", "d", "activate", number=SCANNED[1])
    taken = {**create, "number": SCANNED[0]}
    with pytest.raises(Refused, match="is that of gift_card 'c'"):
        books.engine.execute("gift_card", "x", "create", taken, key="x")
    assert not books.may("gift_card", "x", "create", **taken)
    assert books.may("gift_card", "x", "create", **{**taken, "number": SCANNED[1]})
    with sqlite3.connect(file) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute("update gift_card set number = (select number from gift_card where id = 'c') where id = 'd'")
    connection.close()


def test_who_opened_new_books_without_the_key_before_they_were_sealed_is_seen_by_verify(file: Path) -> None:
    """The check is made when books are opened; a process that was faster goes on without a key until it ends."""
    with tallystick.open(str(file)) as early, tallystick.open(str(file), seal_key=ONE) as books:
        physical(books, "c", SCANNED[0])
        assert books.verify().clean
        physical(early, "d", SCANNED[1])
        assert {(each.code, each.where) for each in books.verify().findings} == {
            ("readable", "gift_card 'd'"),
            ("readable", "fulfilment 'sell-d'"),
        }
        assert SCANNED[1] not in str(books.verify().findings)
        with pytest.raises(StoreError, match="or never was sealed"):
            books.card("d")


def test_what_is_sealed_is_no_ones_number(books: Books) -> None:
    """Who has seen the database has the sealed texts: they must open nothing."""
    physical(books, "c", SCANNED[0])
    sealed = NUMBERS.seal(SCANNED[0])
    assert books.find(sealed) is None
    assert books.balance(sealed, currency="BRL", client="x").said is Said.NOT_FOUND
    books.engine.execute("gift_card", "d", "create", {"form": "physical", "currency": "BRL"}, key="d")
    books.engine.execute("gift_card", "d", "activate", {"number": sealed}, key="d/activate")
    assert books.card("d").number == plain_number(sealed)  # a number like any other


def test_a_number_is_checked_as_in_readable_books(books: Books) -> None:
    books.engine.execute("gift_card", "d", "create", {"form": "physical", "currency": "BRL"}, key="d")
    for wrong, said in (
        ("", "it is empty"),
        ("x" * 1001, "longer than 1000"),
        ("6\x00", "cannot be printed"),
        (6, "not int"),
    ):
        with pytest.raises(Invalid, match=said):
            books.engine.execute("gift_card", "d", "activate", {"number": wrong}, key="d/activate")
    longest = "9" * 1000  # whose sealed text is longer than a text may be, also where it waits
    books.engine.execute("gift_card", "d", "activate", {"number": longest}, key="d/activate", due=PAST)
    assert [each.result for each in books.run_due()] == [Ended.APPLIED]
    assert books.card("d").number == longest


def test_a_changed_row_is_told_and_not_believed(books: Books, file: Path) -> None:
    physical(books, "c", SCANNED[0])
    with sqlite3.connect(file) as connection:
        connection.execute("update gift_card set number = ?", (OTHERS.seal(SCANNED[1]),))
    connection.close()
    with pytest.raises(StoreError, match="a card number in the books cannot be opened"):
        books.card("c")
    assert {each.code for each in books.verify().findings} == {"fact"}


def test_many_commands_in_one_transaction_and_in_the_callers_own(books: Books, file: Path) -> None:
    create = {"form": "physical", "currency": "BRL"}
    made = [Command("gift_card", f"c{n}", "create", create, f"c{n}") for n in range(4)]
    scanned = [Command("gift_card", f"c{n}", "activate", {"number": SCANNED[n]}, f"a{n}") for n in range(3)]
    answers = books.engine.try_execute_many([*made, *scanned])
    assert [each.applied for each in answers if not isinstance(each, Invalid)] == [True] * 7
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("begin immediate")
    books.engine.execute("gift_card", "c3", "activate", {"number": SCANNED[3]}, key="a3", connection=connection)
    connection.execute("commit")
    connection.close()
    assert [books.card(f"c{n}").number for n in range(4)] == SCANNED[:4]
    assert not [each for each in SCANNED if each.encode() in bytes_of(file)]


def test_a_provider_hears_numbers_and_only_it_does(file: Path) -> None:
    provider = ScriptedProvider()
    engine = Engine(MACHINES, open_store(str(file)), provider, clock=provider.clock, numbers=NUMBERS)
    engine.execute("gift_card", "c", "create", {"form": "physical", "currency": "BRL"}, key="c")
    engine.execute("gift_card", "c", "activate", {"number": SCANNED[0]}, key="a")
    engine.execute("gift_card", "c", "issue", {"amount": "5.00"}, key="i")
    assert [(call.args.get("number"), call.card.number) for call, _ in provider.contacts] == [
        (SCANNED[0], None), (None, SCANNED[0]),
    ]  # fmt: skip
    provider.reply_with([Reply("lost_after")] * 2)
    for key in ("r1", "r2"):
        engine.try_execute(Command("gift_card", "c", "reload", {"amount": "1.00"}, key))
    provider.wait(1000)
    engine.recover()
    looked_up = [call for call, reply in provider.contacts if reply.kind == "found"]
    assert [each.card.number for each in looked_up] == [SCANNED[0]] * 2
    assert [each.card.number for call in looked_up for each in call.in_doubt] == [SCANNED[0]]
    assert SCANNED[0].encode() not in bytes_of(file)
    engine.store.close()


def test_an_odd_answer_of_the_provider_is_kept_out_as_in_readable_books(file: Path) -> None:
    class Odd(ScriptedProvider):
        def perform(self, call: Any) -> Any:
            return providers.Outcome(providers.Result.CONFIRMED, number=answers.pop(0))

    answers: list[Any] = ["6006\n", 6006, SCANNED[0]]
    engine = Engine(MACHINES, open_store(str(file)), Odd(), numbers=NUMBERS)
    for key in ("a", "b", "c"):
        engine.execute("gift_card", key, "create", {"form": "electronic", "currency": "BRL"}, key=key)
    results = [
        engine.try_execute(Command("gift_card", key, "allocate", {}, f"{key}/a")).result for key in ("a", "b", "c")
    ]
    assert results == [Ended.IN_DOUBT, Ended.IN_DOUBT, Ended.APPLIED]
    assert Books(engine).card("c").number == SCANNED[0]
    engine.store.close()


@pytest.mark.parametrize(
    ("step", "gives"),
    [
        ("set: {code: text}", "code"),
        ("ask: activate(number=text)", "number"),
        ("drive: card.activate(number=text)", "number"),
        ("then: note(code=text)", "code"),
    ],
)
def test_pages_that_make_numbers_of_texts_are_refused_in_sealed_books(tmp_path: Path, step: str, gives: str) -> None:
    page = f"""
machine: voucher
version: 1
summary: A voucher whose code is a text where it is given.
facts:
  code: {{is: number?, later: true}}
  card: gift_card?
states:
  open: {{start: true, says: Open.}}
commands:
  name: {{text: text}}
  note: {{code: number}}
transitions:
  name:
    from: open
    {step}
  note:
    from: open
    set: {{code: code}}
"""
    (tmp_path / "voucher.yaml").write_text(page)
    tallystick.open("memory:", machines=tmp_path).close()
    with pytest.raises(
        Invalid, match=rf"voucher.yaml: 'text' is a text and gives {gives}, which is a number; in sealed"
    ):
        tallystick.open("memory:", machines=tmp_path, seal_key=ONE)


# The command line, and other processes


LINES = [
    {"command": "create", "args": {"form": "physical", "currency": "BRL"}},
    {"command": "activate", "args": {"number": SCANNED[0]}},
    {"command": "issue", "args": {"amount": "50.00"}},
    {"command": "activate", "args": {"number": SCANNED[0]}},
]


@pytest.fixture
def tallystick_(file: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv(KEY, ONE)
    monkeypatch.setenv("TALLYSTICK_STORE", f"sqlite:///{file}")

    def run(*args: str, code: int = 0, input: str | None = None) -> Result:
        result = CliRunner().invoke(main, args, input=input)
        assert result.exit_code == code, result.output
        return result

    return run


def lines() -> str:
    return "\n".join(
        json.dumps({"key": f"k{n}", "machine": "gift_card", "id": "c", **each}) for n, each in enumerate(LINES)
    )


@pytest.mark.slow
def test_the_command_line_seals_by_the_environment(tallystick_: Callable[..., Result], file: Path) -> None:
    ran = tallystick_("run", "-", input=lines())
    answers = [json.loads(each)["result"] for each in ran.stdout.splitlines()]
    assert answers == ["applied", "applied", "applied", "refused"]
    replayed = tallystick_("run", "-", input=lines())
    assert [json.loads(each)["result"] for each in replayed.stdout.splitlines()] == ["replayed"] * 3 + ["refused"]
    outputs = [ran.output, replayed.output]
    for args in (["show", "c"], ["show", SCANNED[0]], ["history", SCANNED[0]], ["history"], ["verify"], ["stuck"],
                 ["may", "c", "activate", f"number={SCANNED[1]}"], ["may", SCANNED[0]]):  # fmt: skip
        outputs += [tallystick_(*args).output, tallystick_(*args, "--json").output]
    assert f"…{SCANNED[0][-4:]}" in outputs[2]
    assert not [each for each in SCANNED if each in "".join(outputs) or each.encode() in bytes_of(file)]
    assert json.loads(tallystick_("show", SCANNED[0], "--json").stdout)["id"] == "c"
    assert json.loads(tallystick_("verify", "--json").stdout)["sealed"] is True
    assert "card numbers are sealed" in tallystick_("verify").stdout
    assert tallystick_("balance", SCANNED[0], "--currency", "BRL").stdout == "50.00 BRL are available.\n"
    assert "50.00 BRL are available" in tallystick_("balance", SCANNED[0]).stdout


def test_who_only_looks_needs_the_key_too(
    tallystick_: Callable[..., Result], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tallystick_("run", "-", input=lines())
    for key, said in ((None, "are sealed; give their key"), (OTHER, "sealed with another key")):
        monkeypatch.setenv(KEY, key) if key else monkeypatch.delenv(KEY)
        for args in (["show", "c"], ["verify"], ["history"], ["due"], ["recover"], ["stuck"], ["holds", "--older-than", "1d"],
                     ["run", "-"]):  # fmt: skip
            result = tallystick_(*args, code=1, input="")
            assert said in result.stderr
            assert result.stdout == ""


def test_readable_books_say_so(tallystick_: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY)
    tallystick_("run", "-", input=lines())
    assert json.loads(tallystick_("verify", "--json").stdout)["sealed"] is False
    assert "sealed" not in tallystick_("verify").stdout
    monkeypatch.setenv(KEY, ONE)
    assert "are readable and stay so" in tallystick_("verify", code=1).stderr


def test_a_rehearsal_runs_sealed(tallystick_: Callable[..., Result], file: Path) -> None:
    said = [
        {"command": "create", "args": {"form": "electronic", "currency": "BRL"}},
        {"command": "allocate", "args": {}, "provider": "lost_after"},
    ]
    text = [json.dumps({"key": f"k{n}", "machine": "gift_card", "id": "c", **each}) for n, each in enumerate(said)]
    text += [
        json.dumps({"do": "recover", "provider": ["ambiguous"]}),
        json.dumps({"do": "resolve", "key": "k1", "result": "confirmed"}),
    ]
    ran = tallystick_("run", "-", "--provider", "scripted", input="\n".join(text))
    answers = [json.loads(each) for each in ran.stdout.splitlines()]
    assert answers[-1]["ended"][0]["state"] == "allocated"
    with tallystick.open(str(file), provider="scripted", seal_key=ONE) as opened:
        number = opened.card("c").number
    assert number is not None
    assert number.startswith("6006")
    assert number.encode() not in bytes_of(file)
    assert number not in ran.output


def test_a_key_is_printed(tallystick_: Callable[..., Result]) -> None:
    printed = tallystick_("key").stdout.strip()
    assert SealedNumbers(printed).sealed
    assert SealedNumbers(json.loads(tallystick_("key", "--json").stdout)["key"]).sealed
    assert printed != ONE


def python(code: str, *args: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *args], capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    return done.stdout.strip()


def test_another_process_opens_them(books: Books, file: Path) -> None:
    physical(books, "c", SCANNED[0])
    code = "import sys, tallystick; print(tallystick.open(sys.argv[1]).find(sys.argv[2]).id)"
    assert python(code, str(file), SCANNED[0], **{KEY: ONE}) == "c"
    code = "import sys, tallystick; print(tallystick.open(sys.argv[1]).card('c').number)"
    assert python(code, str(file), **{KEY: ONE}) == SCANNED[0]


def test_readable_books_load_nothing_that_seals(file: Path) -> None:
    code = "import sys, tallystick; print(any(name.startswith('cryptography') for name in sys.modules))"
    opens = code.replace("tallystick; ", "tallystick; tallystick.open(sys.argv[1]).find('6006'); ")
    assert [python(each, str(file)) for each in (code, opens)] == ["False", "False"]
    assert python(opens, str(file), **{KEY: ONE}) == "True"


def test_hashes_of_balance_checks_are_made_with_a_key_that_is_not_in_the_books(
    books: Books, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("TALLYSTICK_KEY", raising=False)
    physical(books, "c", SCANNED[0])
    assert books.balance(SCANNED[0], currency="BRL", client="x").said is Said.FOUND
    assert books.engine.store.load("key") is None
    assert "TALLYSTICK_KEY" not in caplog.text
    assert books.engine.numbers.hash_key() == NUMBERS.hash_key() != OTHERS.hash_key()
    assert READABLE.hash_key() is None


def test_many_threads_seal_and_open() -> None:
    numbers = [str(10**15 + n) for n in range(400)]
    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(NUMBERS.seal, numbers * 5))
        assert list(pool.map(NUMBERS.opened, sealed)) == numbers * 5
    assert len(set(sealed)) == len(numbers)
