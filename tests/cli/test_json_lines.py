"""JSON Lines in, JSON Lines out: read strictly, answered each on its own, replayed when said again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli.commands.json_lines import RESULTS, Summary, parse, run_lines
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.verify import verify
from tallystick.masks import with_masks
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Call, NotSeen, Outcome, Result
from tallystick.provider.scripted import ScriptedProvider
from tallystick.store.open import open_store

MACHINES = reader.load(reader.packaged_folder())
NUMBER, PIN = "6006491234567890", "8341"
BLANK: dict[str, Any] = {"form": "electronic", "card_set": "BrandVirtualGift", "currency": "BRL"}

Answers = list[dict[str, Any]]


def line(key: str, machine: str, id: str, command: str, /, **args: object) -> bytes:
    return json.dumps({"key": key, "machine": machine, "id": id, "command": command, "args": args}).encode()


CARD = [
    line("c/create", "gift_card", "c", "create", **BLANK),
    line("c/allocate", "gift_card", "c", "allocate"),
    line("c/activate", "gift_card", "c", "activate"),
    line("c/issue", "gift_card", "c", "issue", amount="50.00"),
]
PAYMENT = [
    line("p/create", "payment", "p", "create", order="o1", card="c", currency="BRL"),
    line("p/authorize", "payment", "p", "authorize", amount="40.00", pin=PIN),
]


@pytest.fixture
def engine() -> Engine:
    return Engine(MACHINES, open_store("memory:"), LocalProvider())


def ran(engine: Engine, lines: list[bytes], *, strict: bool = False) -> Answers:
    return list(run_lines(engine, lines, Summary(), strict=strict))


def results(answers: Answers) -> list[str]:
    return [answer["result"] for answer in answers]


# What comes out


def test_an_answer_has_the_fields_of_the_format_in_their_order(engine: Engine) -> None:
    *_, answer = ran(engine, CARD)

    assert list(answer) == ["key", "machine", "id", "state", "accounts", "result", "why"]
    assert answer == {
        "key": "c/issue", "machine": "gift_card", "id": "c", "state": "issued",
        "accounts": {"available": "50.00", "held": "0.00", "leaving": "0.00", "in_doubt": "0.00"},
        "result": "applied", "why": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("currency", "text"), [("JPY", "5000"), ("KWD", "5.000"), ("CLF", "0.5000"), ("points", "5000")]
)
def test_amounts_have_the_decimals_of_their_currency(engine: Engine, currency: str, text: str) -> None:
    lines = [line("a", "gift_card", "c", "create", form="electronic", currency=currency), *CARD[1:3]]

    *_, answer = ran(engine, [*lines, line("b", "gift_card", "c", "issue", amount=text)])

    assert answer["accounts"]["available"] == text


def test_follow_ups_run_before_the_next_line(engine: Engine) -> None:
    settle = [
        line("p/1", "payment", "p", "settle", amount="10.00", keep_hold=False),
        line("p/2", "payment", "p", "settle", amount="30.00"),
    ]
    summary = Summary()

    answers = list(run_lines(engine, [*CARD, *PAYMENT, *settle], summary))

    assert [answer["state"] for answer in answers[-2:]] == ["partially_settled", "closed"]
    assert summary.plain() == dict.fromkeys(RESULTS, 0) | {"lines": 8, "applied": 8, "follow_ups": {"applied": 1}}


def test_what_a_stopped_run_left_due_runs_first(engine: Engine) -> None:
    lines = [*CARD, *PAYMENT, line("p/1", "payment", "p", "settle", amount="10.00", keep_hold=False)]
    stopped = run_lines(engine, lines, Summary())
    for _ in lines:
        next(stopped)
    del stopped  # the settlement is committed, its advanced hold is not yet run

    again = ran(engine, [line("p/2", "payment", "p", "settle", amount="30.00")])

    assert [(answer["state"], answer["result"]) for answer in again] == [("closed", "applied")]


def test_the_same_lines_again_replay_and_change_nothing(engine: Engine) -> None:
    lines = [*CARD, *PAYMENT, line("p/1", "payment", "p", "settle", amount="10.00")]
    first = ran(engine, lines)
    with engine.store.reading() as reading:
        before = list(reading.journal())

    second = ran(engine, lines)

    assert results(second) == ["replayed"] * len(lines)
    assert [{**answer, "result": "applied"} for answer in second] == first
    with engine.store.reading() as reading:
        assert list(reading.journal()) == before


def test_a_refusal_is_an_answer_with_what_stands_now(engine: Engine) -> None:
    *_, answer = ran(engine, [*CARD, *PAYMENT, line("p/1", "payment", "p", "settle", amount="60.00")])

    assert answer["result"] == "refused"
    assert answer["state"] == "authorized"
    assert answer["accounts"]["held"] == "40.00"
    assert "amount 60.00, held 40.00" in answer["why"]


def test_a_command_on_what_is_not_there_is_refused(engine: Engine) -> None:
    (answer,) = ran(engine, [line("a", "gift_card", "nobody", "suspend")])

    assert (answer["result"], answer["state"], answer["accounts"]) == ("refused", None, {})


def test_a_due_time_defers_and_a_past_one_runs_before_the_next_line(engine: Engine) -> None:
    def settle(key: str, due: str) -> bytes:
        return json.dumps({**json.loads(line(key, "payment", "p", "settle", amount="40.00")), "due": due}).encode()

    future = (datetime.now(timezone.utc) + timedelta(days=1)).isoformat()
    refund = line("p/3", "payment", "p", "refund", amount="1.00")
    answers = ran(engine, [*CARD, *PAYMENT, settle("p/1", future), settle("p/2", "2026-01-31T12:00:00-03:00"), refund])

    assert results(answers[-3:]) == ["deferred", "deferred", "applied"]
    assert [answer["state"] for answer in answers[-3:]] == ["authorized", "authorized", "closed"]


@pytest.mark.parametrize(
    ("result", "ended"), [("unknown", "in_doubt"), ("declined", "declined"), ("unavailable", "unavailable")]
)
def test_what_a_provider_answers_is_told(result: str, ended: str) -> None:
    class Answering:
        name, local = "answering", False

        def perform(self, call: Call) -> Outcome:
            return Outcome(
                Result(result) if call.verb == "hold" else Result.CONFIRMED,
                number="6006" if call.verb == "allocate" else None,
            )

        def look_up(self, call: Call, *_: object) -> Outcome | NotSeen:
            return NotSeen()

        def balance(self, card: Any, pin: str | None = None) -> Outcome:
            return Outcome(Result.UNKNOWN)

        def history(self, card: Any) -> list[Any]:
            return []

    engine = Engine(MACHINES, open_store("memory:"), Answering())

    first = ran(engine, [*CARD, *PAYMENT])[-1]
    again = ran(engine, [*CARD, *PAYMENT])

    assert first["result"] == ended
    assert first["accounts"]["in_doubt"] == ("40.00" if ended == "in_doubt" else "0.00")
    assert results(again) == ["replayed"] * 5 + [ended]  # nothing but what was applied is called replayed


# What goes in

GOOD = {"key": "k", "machine": "gift_card", "id": "c", "command": "create", "args": BLANK}
INVALID = {
    "no JSON": (b"{nope", "not JSON"),
    "half a line": (b'{"key": "k", "machine": "gift_c', "not JSON"),
    "no object": (b'["key"]', "not an object"),
    "a text": (b'"key"', "not an object"),
    "two objects": (b"{} {}", "not JSON"),
    "no UTF-8": (b'{"key": "\xff"}', "not UTF-8 text: see byte 10"),
    "NaN": (b'{"key": NaN}', "NaN is not JSON"),
    "infinity": (b'{"key": -Infinity}', "-Infinity is not JSON"),
    "a key twice": (b'{"key": "a", "key": "a"}', "'key' is in it twice"),
    "an argument twice": (b'{"args": {"amount": "1", "amount": "2"}}', "'amount' is in it twice"),
    "thousands of brackets": (b'{"args": ' + b"[" * 100_000, "not JSON"),
    "thousands of digits": (b'{"key": ' + b"9" * 10_000 + b"}", "not JSON"),
    "nothing": (b"{}", "lacks 'key' and 'machine' and 'id' and 'command' and 'args'"),
}
FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    **{f"no {name}": ({name: ...}, f"lacks '{name}'") for name in GOOD},
    "one too many": ({"arg": {}}, "an unknown field, 'arg'. Did you mean 'args'?"),
    "a number as key": ({"key": 7}, "'key' has to be a text, not a number"),
    "a decimal as id": ({"id": 1.5}, "'id' has to be a text, not a number"),
    "null as machine": ({"machine": None}, "'machine' has to be a text, not null"),
    "a list as args": ({"args": []}, "'args' has to be an object"),
    "an empty key": ({"key": ""}, "printable text"),
    "half a character": ({"id": "\ud800"}, "printable text"),
    "no such machine": ({"machine": "gift_cart"}, "Did you mean 'gift_card'?"),
    "no such command": ({"command": "isue"}, "Did you mean 'issue'?"),
    "no such argument": ({"args": {**BLANK, "colour": "red"}}, "takes no argument 'colour'"),
    "a whole number": ({"command": "reload", "args": {"amount": 50}}, "'amount' is a number"),
    "a decimal number": ({"command": "reload", "args": {"amount": 50.0}}, "'amount' is a number"),
    "a number for a fact": ({"args": {**BLANK, "limit": 100}}, "'limit' is a number"),
    "too many decimals": ({"command": "reload", "args": {"amount": "1.005"}}, "too many decimals"),
    "no currency": ({"args": {"form": "electronic"}}, "needs the argument 'currency'"),
    "a due without zone": ({"due": "2026-01-01T00:00:00"}, "no time zone"),
    "a due that is none": ({"due": "tomorrow"}, "'due' is not an ISO time"),
    "a due before time": ({"due": "0001-01-01T00:00:00+23:59"}, "'due' is not an ISO time"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(INVALID))
def test_a_line_that_cannot_be_read_is_invalid(engine: Engine, name: str) -> None:
    raw, why = INVALID[name]

    (answer,) = ran(engine, [raw])

    assert (answer["result"], answer["line"]) == ("invalid", 1)
    assert answer["why"].startswith("line 1: ")
    assert why in answer["why"]


def test_a_command_that_needs_no_arguments_is_said_without_args(engine: Engine) -> None:
    sent = [
        {"key": command, "machine": "gift_card", "id": "c", "command": command} for command in ("allocate", "issue")
    ]
    answers = ran(engine, [CARD[0], *(json.dumps(each).encode() for each in sent)])
    assert [each["result"] for each in answers] == ["applied", "applied", "invalid"]
    assert answers[2]["why"].endswith("it lacks 'args'")


@pytest.mark.parametrize("name", list(FIELDS))
def test_a_line_that_says_something_wrong_is_invalid_and_stops_nothing(engine: Engine, name: str) -> None:
    changes, why = FIELDS[name]
    wrong = {field: value for field, value in {**GOOD, **changes}.items() if value is not ...}
    ran(engine, CARD)

    answers = ran(engine, [b"", b"  \n", json.dumps(wrong).encode(), line("z", "gift_card", "z", "create", **BLANK)])

    assert results(answers) == ["invalid", "applied"]
    assert answers[0]["line"] == 3  # blank lines are ignored, and counted
    assert why in answers[0]["why"]


def test_an_invalid_line_names_what_could_be_read(engine: Engine) -> None:
    (answer,) = ran(engine, [json.dumps({**GOOD, "more": 1}).encode()])

    assert [answer[name] for name in ("key", "machine", "id", "state", "accounts")] == ["k", "gift_card", "c", None, {}]


def test_strict_stops_at_the_first_invalid_line(engine: Engine) -> None:
    refused = line("r", "gift_card", "nobody", "suspend")

    answers = ran(engine, [refused, CARD[0], b"{nope", *CARD[1:]], strict=True)

    assert results(answers) == ["refused", "applied", "invalid"]


def test_a_key_with_another_intention_is_invalid(engine: Engine) -> None:
    *_, answer = ran(engine, [*CARD, line("c/issue", "gift_card", "c", "issue", amount="51.00")])

    assert answer["result"] == "invalid"
    assert "already stands for issue of gift_card 'c'" in answer["why"]


@pytest.mark.parametrize("optional", [{"by": None}, {"reason": None}, {"due": None}, {"by": "me", "reason": "so"}])
def test_what_is_optional_may_be_null(engine: Engine, optional: dict[str, Any]) -> None:
    assert results(ran(engine, [json.dumps({**GOOD, **optional}).encode()])) == ["applied"]


def test_by_and_reason_are_kept(engine: Engine) -> None:
    ran(engine, [json.dumps({**GOOD, "by": "call centre", "reason": "gift"}).encode()])

    with engine.store.reading() as reading:
        (entry,) = reading.journal()
    assert (entry.by, entry.reason) == ("call centre", "gift")


def test_a_byte_order_mark_is_no_fault(engine: Engine) -> None:
    assert results(ran(engine, [b"\xef\xbb\xbf" + CARD[0]])) == ["applied"]


ODD: list[Any] = [
    "\ud800", "a\udfffb", "", "\x00", "a\nb", "x" * 10_000, "\u0663", "9" * 5000, "1e99999", "-0", "NaN", ">", "a>hold_again",
    None, True, False, 0, -1, 1.5, 10**30, 10**400, [], [[1]], {}, {"a": "\ud800"},
    "tomorrow", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59",
    "c", "p", "c/issue", "create", "payment", "gift_card",
]  # fmt: skip
CREATIONS: dict[str, dict[str, Any]] = {
    "gift_card": BLANK,
    "payment": {"order": "o", "card": "c", "currency": "BRL"},
    "fulfilment": {"order": "o", "card": "c", "form": "electronic", "amount": "1.00", "currency": "BRL"},
    "replacement": {"old": "c", "new": "d", "form": "electronic", "currency": "BRL"},
}


def odd_lines() -> Iterator[dict[str, Any]]:
    """Good lines, each with one thing in it that is odd: a field, or an argument of any command of any machine."""
    settle = {**GOOD, "id": "p", "machine": "payment", "command": "settle", "args": {"amount": "1.00"}}
    for name in (*GOOD, "by", "reason", "due", "provider", "do", "more", "\ud800"):
        yield from ({**settle, name: odd} for odd in ODD)
    for machine in MACHINES.values():
        commands = {name: (list(each.arguments), {}) for name, each in machine.commands.items()}
        commands["create"] = (list(machine.facts), CREATIONS.get(machine.name, {"currency": "BRL"}))
        for command, (names, args) in commands.items():
            for name in (*names, "\ud800"):
                for odd in ODD:
                    id = {"payment": "p", "gift_card": "c"}.get(machine.name, "x")
                    id = f"{name}/{ODD.index(odd)}" if command == "create" else id
                    yield {"machine": machine.name, "id": id, "command": command, "args": {**args, name: odd}}


@pytest.mark.parametrize("provider", [LocalProvider, ScriptedProvider])
def test_no_line_ends_a_run(provider: type[LocalProvider | ScriptedProvider]) -> None:
    """Each odd line has one answer that can be printed, and the line after it is done."""
    engine = Engine(MACHINES, open_store("memory:"), provider())
    ran(engine, [*CARD, *PAYMENT])
    for number, odd in enumerate(odd_lines()):
        answers = ran(engine, [json.dumps({"key": f"odd/{number}", **odd}).encode(), CARD[0]])
        assert len(answers) == 2, odd
        assert answers[1]["result"] == "replayed", odd
        assert "\n" not in json.dumps(answers[0], ensure_ascii=False)
    assert number > 3000
    assert verify(engine.machines, engine.store).clean


def test_a_lone_surrogate_in_a_link_stops_no_other_line(engine: Engine) -> None:
    lines = [
        line("a", "gift_card", "c", "create", **BLANK),
        b'{"key":"b","machine":"payment","id":"p","command":"create","args":{"order":"o","card":"\\ud800","currency":"BRL"}}',
        line("d", "gift_card", "d", "create", **BLANK),
    ]
    answers = ran(engine, lines)

    assert results(answers) == ["applied", "invalid", "applied"]
    assert answers[1]["line"] == 2


# What must not come out


@pytest.mark.parametrize(
    "args",
    [
        {"amount": "1.00", "pin": PIN, "number": NUMBER},
        {"amount": PIN + "x", "pin": PIN},
        {"amount": NUMBER, "pin": NUMBER},
        {"pin": [PIN]},
        {"pin": int(PIN)},
        {"amount": "1.00", "pin": PIN + "\u0007"},
    ],
)
@pytest.mark.parametrize("command", ["authorize", "settle", "nonsense"])
def test_a_pin_and_a_number_never_come_out(engine: Engine, command: str, args: dict[str, object]) -> None:
    answers = ran(engine, [*CARD, PAYMENT[0], line("x", "payment", "p", command, **args)])

    said = json.dumps(answers[-1])
    assert NUMBER not in said
    assert f'"{PIN}"' not in said
    assert f" {PIN}" not in said


def test_a_number_where_an_id_belongs_is_masked(engine: Engine) -> None:
    (answer,) = ran(engine, [line("x", "payment", "p", "create", order="o", card=NUMBER, currency="BRL")])

    assert answer["result"] == "refused"
    assert "'…7890', does not exist" in answer["why"]


def test_a_parsed_line_shows_nothing_secret() -> None:
    parsed = parse(line("x", "payment", "p", "authorize", amount="1.00", pin=PIN), 1, MACHINES)

    assert PIN not in repr(parsed)
    assert parsed.command is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pin 8341 is wrong", "pin ••• is wrong"),
        ("'8341'", "'•••'"),
        ("83412 and a8341", "83412 and a8341"),  # other numbers, other words
        ("8341, 8341", "•••, •••"),
    ],
)
def test_what_is_hidden_is_replaced_where_it_stands_alone(text: str, said: str) -> None:
    assert with_masks(text, {"8341": "•••"}) == said


def test_a_file_of_lines_is_read_as_bytes(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_bytes(b"\r\n".join([*CARD, b"", *PAYMENT]))  # Windows line ends, no end of line at the end

    with file.open("rb") as lines:
        assert results(list(run_lines(engine, lines, Summary()))) == ["applied"] * 6
