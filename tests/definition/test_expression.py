"""Guards and amounts: what is accepted and what it means, what is refused and where."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expressions import (
    ACCEPTED,
    NARROWED,
    SCOPE,
    A,
    F,
    V,
    amounts,
    counts,
    flags,
    read_if_not_idle,
    sums,
    values,
)
from tallystick.definition.expression import (
    FLAG,
    MAX_CHARACTERS,
    Expression,
    ExpressionError,
    Name,
    Type,
    read,
    scope_of,
)
from tallystick.provider.protocol import Outcome, Result

OUTCOME = {"outcome.reference": Name("o.reference", Type("text", optional=True))}

O = Outcome(Result.CONFIRMED, reference="H1")  # noqa: E741  # as the generated functions call it


def value(expression: Expression) -> object:
    return expression.compiled()(V, F, A, "open", O)


# fmt: off
# expression · type · its value above · in words

# An optional amount may be used where it is surely there.

# expression · what is said of it · the text at the place that is meant
REFUSED: list[tuple[str, str, str]] = [
    # names
    ("amout > 0",                    "'amout' is not declared. Did you mean 'amount'?",              "amout"),
    ("amount > heldd",               "'heldd' is not declared. Did you mean 'held'?",                "heldd"),
    ("not lst",                      "'lst' is not declared. Did you mean 'last'?",                  "lst"),
    ("xyzzy == 0",                   "'xyzzy' is not declared.",                                     "xyzzy"),
    ("in_doubt == 0",                "'in_doubt' is not declared.",                                  "in_doubt"),
    ("Last",                         "'Last' is not declared. Did you mean 'last'?",                 "Last"),
    ("outcome == note",              "'outcome' is not declared.",                                   "outcome"),
    ("outcome.reference == note",    "'outcome.reference' is not declared.",                         "outcome.reference"),
    # units
    ("amount > note",                "note is text; an amount is needed here",                       "note"),
    ("note + amount > 0",            "note is text; an amount is needed here",                       "note"),
    ("now < until",                  "until may be missing; ask 'until == none or …' first",          "until"),
    ("now < amount",                 "now is time, amount is money: a time is compared with a time", "now"),
    ("note < now",                   "note is text; an amount is needed here",                       "note"),
    ("now == note",                  "now is time, note is text: they are never equal",              "now"),
    ("now == 0",                     "now is time, 0 is zero: they are never equal",                 "now"),
    ("now + 1",                      "now is time; an amount is needed here",                        "now"),
    ("now == none",                  "now can never be none: it is time",                            "now"),
    ("amount == note",               "amount is money, note is text: they are never equal",          "amount"),
    ("amount > 5",                   "added to the bare number 5; only 0 has no unit",                   "5"),
    ("5 < amount",                   "added to the bare number 5; only 0 has no unit",                   "5"),
    ("amount + 1 > 0",               "added to the bare number 1; only 0 has no unit",                   "1"),
    ("amount == 100",                "added to the bare number 100; only 0 has no unit",                 "100"),
    ("0 < amount < 100",             "added to the bare number 100; only 0 has no unit",                 "100"),
    ("amount in [held, 5]",          "added to the bare number 5; only 0 has no unit",                   "5"),
    ("amount > tries",               "amount is money, and tries is count: their units differ",                              "amount"),
    ("tries - held > 0",             "tries is count, and held is money: their units differ",                                "tries"),
    ("tries == amount",              "tries is count, and amount is money: their units differ",                              "tries"),
    ("last > 0",                     "last is flag; an amount is needed here",                       "last"),
    ("amount - last > 0",            "last is flag; an amount is needed here",                       "last"),
    ("-last == 0",                   "last is flag; an amount is needed here",                       "last"),
    ("true > 0",                     "true is flag; an amount is needed here",                       "true"),
    ("last == 0",                    "last is flag, 0 is zero: they are never equal",                "last"),
    ("kind > 0",                     "kind is one of gift, promo, credit; an amount is needed here", "kind"),
    ('"5" < amount',                 "'5' is the choice '5'; an amount is needed here",                     '"5"'),
    ("none < amount",                "none is none; an amount is needed here",                       "none"),
    ("card == other",                "card is gift_card, other is payment: they are never equal",    "card"),
    ("card == note",                 "card is gift_card, note is text: they are never equal",        "card"),
    # yes or no
    ("amount and last",              "amount is money; true or false is needed here",                  "amount"),
    ("last or held",                 "held is money; true or false is needed here",                    "held"),
    ("not amount",                   "amount is money; true or false is needed here",                  "amount"),
    ("not 0",                        "0 is zero; true or false is needed here",                        "0"),
    ("note or last",                 "note is text; true or false is needed here",                     "note"),
    ("last and none",                "none is none; true or false is needed here",                     "none"),
    ("seen and last",                "seen is flag, if any; true or false is needed here",             "seen"),
    # what may be missing has to be asked about first
    ("amount <= limit",              "limit may be missing; ask 'limit == none or …' first",         "limit"),
    ("limit - held > 0",             "limit may be missing",                                         "limit"),
    ("limit != none or limit > 0",   "limit may be missing",                                         "limit > 0"),
    ("limit == none and limit > 0",  "limit may be missing",                                         "limit > 0"),
    ("limit > 0 and limit != none",  "limit may be missing",                                         "limit > 0"),
    ("floor != none and limit > 0",  "limit may be missing",                                         "limit > 0"),
    ("not limit == none or limit > 0",        "limit may be missing",                                "limit > 0"),
    ("(last or limit != none) and limit > 0", "limit may be missing",                                "limit > 0"),
    ("not (last and limit == none) and limit > 0", "limit may be missing",                           "limit > 0"),
    ("amount == none",               "amount can never be none: it is money",                        "amount"),
    ("none != held",                 "held can never be none: it is money",                          "held"),
    ("last == none",                 "last can never be none: it is flag",                           "last"),
    ("limit != none and limit == none", "limit can never be none: it is money",                      "limit == none"),
    # secrets
    ("pin == none",                  "pin is a secret: it may only be passed on",                    "pin"),
    ("pin != note",                  "pin is a secret: it may only be passed on",                    "pin"),
    ("note == pin",                  "pin is a secret: it may only be passed on",                    "pin"),
    ('pin == "1234"',                "pin is a secret: it may only be passed on",                    "pin"),
    ('"1234" in [pin]',              "pin is a secret: it may only be passed on",                    "pin"),
    ('pin in ["1234"]',              "pin is a secret: it may only be passed on",                    "pin"),
    ("pin == pin",                   "pin is a secret: it may only be passed on",                    "pin"),
    ("pin > 0",                      "pin may be missing",                                           "pin"),
    ("not pin",                      "pin is secret, if any; true or false is needed here",            "pin"),
    # choices
    ('kind == "gifft"',              "'gifft' is not one of its choices. Did you mean 'gift'?",      '"gifft"'),
    ('"gifft" == kind',              "'gifft' is not one of its choices. Did you mean 'gift'?",      '"gifft"'),
    ('kind in ["gift", "prommo"]',   "'prommo' is not one of its choices. Did you mean 'promo'?",    '"prommo"'),
    ('kind not in ["x"]',            "'x' is not one of its choices. Known: gift, promo, credit.",   '"x"'),
    ('state == "opened"',            "'opened' is not one of its choices. Did you mean 'open'?",     '"opened"'),
    ('kind == state',                "kind is one of gift, promo, credit, state is one of open, shut", "kind"),
    ("kind in note",                 "'in' needs a list of choices, not note",                       "note"),
    ('kind in "gift"',               "'in' needs a list of choices, not 'gift'",                     '"gift"'),
    ("kind in []",                   "'in' needs at least one choice",                               "[]"),
    ("kind in ()",                   "'in' needs at least one choice",                               "()"),
    ('kind in {"gift"}',             "'in' needs a list of choices",                                 "{"),
    # all the rest of Python
    ("max(amount, 0) > 0",           "max(amount, 0) is not allowed in an expression",               "max"),
    ("amount > abs(held)",           "abs(held) is not allowed in an expression",                    "abs"),
    ("__import__('os')",             "is not allowed in an expression",                              "__import__"),
    ("note.upper() == note",         "note.upper() is not allowed in an expression",                 "note"),
    ("note.length > 0",              "note.length is not allowed in an expression",                  "note"),
    ("amount > held.real",           "held.real is not allowed in an expression",                    "held.real"),
    ("().__class__ == note",         "is not allowed in an expression",                              "()"),
    ('note["x"] == note',            "is not allowed in an expression",                              "note"),
    ("note[0] == note",              "note[0] is not allowed in an expression",                      "note"),
    ("amount > 0.5",                 "0.5 is not allowed in an expression",                          "0.5"),
    ("amount > 0.0",                 "0.0 is not allowed in an expression",                          "0.0"),
    ("amount > 1e3",                 "is not allowed in an expression",                              "1e3"),
    ("amount > 1j",                  "1j is not allowed in an expression",                           "1j"),
    ("note == b'x'",                 "b'x' is not allowed in an expression",                         "b'x'"),
    ("note == ...",                  "... is not allowed in an expression",                          "..."),
    ("amount * 2 > 0",               "amount * 2 is not allowed in an expression",                   "amount"),
    ("held > amount / 2",            "amount / 2 is not allowed in an expression",                   "amount"),
    ("amount // held == 0",          "amount // held is not allowed",                                "amount"),
    ("amount % held == 0",           "amount % held is not allowed",                                 "amount"),
    ("amount ** 2 > 0",              "amount ** 2 is not allowed",                                   "amount"),
    ("tries << 1 > 0",               "tries << 1 is not allowed",                                    "tries"),
    ("last & keep",                  "last & keep is not allowed",                                   "last"),
    ("last | keep",                  "last | keep is not allowed",                                   "last"),
    ("~tries == 0",                  "~tries is not allowed",                                        "~tries"),
    ("+amount > 0",                  "+amount is not allowed",                                       "+amount"),
    ("lambda: amount",               "lambda: amount is not allowed",                                "lambda"),
    ("(n := amount) > 0",            "(n := amount) is not allowed",                                 "n :="),
    ("amount if last else held",     "amount if last else held is not allowed",                      "amount"),
    ("[amount]",                     "[amount] is not allowed",                                      "["),
    ("(amount, held)",               "(amount, held) is not allowed",                                "("),
    ("{amount: held}",               "{amount: held} is not allowed",                                "{"),
    ("[n for n in note]",            "is not allowed",                                               "["),
    ("note == f'{amount}'",          "is not allowed",                                               "f'"),
    ("await note",                   "await note is not allowed",                                    "await"),
    ("memo is none",                 "'is' is not allowed; write == or !=",                          "none"),
    ("memo is not none",             "'is' is not allowed; write == or !=",                          "none"),
    # no expression at all
    ("",                             "'' is not an expression",                                          ""),
    ("amount >",                     "'amount >' is not an expression",                                  None),
    ("amount > 0 0",                 "is not an expression",                                             None),
    ("amount = 0",                   "'amount = 0' is not an expression",                                None),
    ("0 < amount; held",             "is not an expression",                                             None),
    ("(amount > 0",                  "is not an expression",                                             "("),
    ("amount > 'x",                  "is not an expression",                                             "'x"),
    ("amount && held",               "is not an expression",                                             None),
    ("amount > 007",                 "is not an expression",                                             None),
    ("amount\x00 > 0",               "is not an expression",                                             None),
    ("import os",                    "is not an expression",                                             None),
    ("yield",                        "is not an expression",                                             None),
    ("(" * 240 + "last" + ")" * 240, "is not an expression",                                             None),
    ("held" + " + held" * 80,        "an expression has at most 500 characters",                     None),
    ("tries > 0x" + "f" * 400,       "is not allowed in an expression",                              "0x"),
    ("tries > 1000000000000001",     "1000000000000001 is not allowed in an expression",             "1000000000000001"),
    ("kind == was in [kind]",        "'in' cannot be chained with other comparisons",                "kind"),
    ('note == "é" or amout > 0',     "'amout' is not declared.",                                     "amout"),
]  # type: ignore[list-item]
# fmt: on


def test_the_longest_expression_is_one() -> None:
    assert read("last".ljust(MAX_CHARACTERS), SCOPE).type == FLAG
    with pytest.raises(ExpressionError, match="at most 500 characters"):
        read("last".ljust(MAX_CHARACTERS + 1), SCOPE)


@pytest.mark.parametrize(("source", "type_", "wanted", "prose"), ACCEPTED)
def test_accepted(source: str, type_: str, wanted: object, prose: str) -> None:
    found = read(source, SCOPE)
    assert str(found.type) == type_
    assert value(found) == wanted
    assert type(value(found)) is type(wanted)
    assert found.prose == prose
    assert found.source == source


@pytest.mark.parametrize(("source", "wanted"), NARROWED)
def test_what_may_be_missing_is_used_where_it_is_surely_there(source: str, wanted: bool) -> None:
    found = read(source, SCOPE)
    assert found.type == FLAG
    assert value(found) is wanted


@pytest.mark.parametrize(("source", "says", "at"), REFUSED)
def test_refused(source: str, says: str, at: str | None) -> None:
    with pytest.raises(ExpressionError) as caught:
        read(source, SCOPE)
    assert says in str(caught.value)
    if at is not None:
        assert source[caught.value.offset :].startswith(at)
    assert 0 <= caught.value.offset <= len(source)


def test_all_names_are_told_when_none_is_near() -> None:
    with pytest.raises(ExpressionError, match=r"^'xyzzy' is not declared\. Known: state, held\.$"):
        read("xyzzy", {"state": SCOPE["state"], "held": SCOPE["held"]})


def test_the_outcome_is_known_where_it_is_in_scope() -> None:
    found = read("outcome.reference", SCOPE | OUTCOME)
    assert (found.type, value(found)) == (Type("text", optional=True), "H1")
    with pytest.raises(
        ExpressionError, match=r"'outcome.refrence' is not declared. Did you mean 'outcome.reference'\?"
    ):
        read("outcome.refrence", SCOPE | OUTCOME)


def test_an_argument_hides_the_fact_it_sets() -> None:
    scope = scope_of({}, {"number": Type("number", optional=True)}, {"number": Type("number")}, ())
    found = read("number", scope)
    assert found.type == Type("number")
    assert found.compiled()({}, {"number": "old"}, {"number": "new"}, "", None) == "new"


def test_names_are_those_it_looks_at() -> None:
    assert read("0 < amount < held and (limit == none or amount <= limit)", SCOPE).names == {"amount", "held", "limit"}
    assert read('state == "open" and true', SCOPE).names == {"state"}


def test_a_guard_has_its_parts() -> None:
    """Which part of a guard fails is told; each runs alone on what the parts before it have shown."""
    parts = read("0 < amount and floor != none and amount >= floor and (last or keep)", SCOPE).parts
    assert [part.source for part in parts] == ["0 < amount", "floor != none", "amount >= floor", "last or keep"]
    assert [part.prose for part in parts] == [
        "0 is less than amount", "floor is given", "amount is at least floor", "last, or keep",
    ]  # fmt: skip
    assert [value(part) for part in parts] == [True, True, True, True]
    assert [part.names for part in parts] == [{"amount"}, {"floor"}, {"amount", "floor"}, {"last", "keep"}]
    assert read("last or keep", SCOPE).parts == ()


def test_a_compiled_expression_can_do_nothing_but_look() -> None:
    for source, *_ in ACCEPTED:
        function: Any = read(source, SCOPE).compiled()
        assert function.__globals__["__builtins__"] == {}
        assert function.__code__.co_names in ((), ("reference",))


# --- which type fits where

# fmt: off
# wanted · fits · does not fit
FITS: list[tuple[str, str, str]] = [
    ("amount",  "amount held 0 -amount",              "limit tries 7 note kind last pin none card"),
    ("limit",   "amount limit 0 none",                "tries 7 note last pin"),
    ("tries",   "tries 0 7",                          "amount most note last none"),
    ("note",    'note kind "x"',                      "memo was amount 0 last pin none card"),
    ("memo",    'note memo kind was "x" none',        "number amount pin card last"),
    ("number",  "number note memo none",              'pin kind "x" amount card'),
    ("kind",    'kind "gift" "promo"',                'was "x" note state none'),
    ("was",     'was "gift" none',                    'kind "credit" note'),
    ("last",    "last true keep",                     "seen 0 amount none note"),
    ("pin",     "pin none",                           'note number "1234" 0 amount'),
    ("card",    "card",                               'other note "c" none'),
]
# fmt: on


@pytest.mark.parametrize(("wanted", "fits", "not_"), FITS)
def test_what_fits_where(wanted: str, fits: str, not_: str) -> None:
    type_ = SCOPE[wanted].type
    for source in fits.split():
        assert type_.accepts(read(source, SCOPE).type), source
    for source in not_.split():
        assert not type_.accepts(read(source, SCOPE).type), source


# --- properties: the same as Python itself says of the same text


PYTHON = {"none": None, "true": True, "false": False}


@settings(max_examples=200)
@given(source=flags | sums(amounts) | sums(counts), named=values)
def test_it_means_what_python_means(source: str, named: dict[str, Any]) -> None:
    found = read_if_not_idle(source)
    reference = eval(source, {"__builtins__": {}}, PYTHON | named)
    ours = found.compiled()(named, named, named, "open", None)
    assert (ours, type(ours)) == (reference, type(reference))
    assert found.names == {name for name in named if name in compile(source, "", "eval").co_names}


@settings(max_examples=100)
@given(left=flags, right=flags, named=values)
def test_a_guard_is_true_when_all_its_parts_are(left: str, right: str, named: dict[str, Any]) -> None:
    found = read_if_not_idle(f"({left}) and ({right})")
    assert len(found.parts) == 2
    parts = (part.compiled()(named, named, named, "open", None) for part in found.parts)
    assert found.compiled()(named, named, named, "open", None) == all(parts)


@settings(max_examples=100)
@given(source=st.text(max_size=30) | flags.flatmap(lambda text: st.builds(
    lambda cut, put: text[:cut] + put + text[cut:], st.integers(0, len(text)), st.text(max_size=2))))  # fmt: skip
def test_any_text_is_read_or_refused(source: str) -> None:
    try:
        result: Expression | ExpressionError = read(source, SCOPE)
    except ExpressionError as error:
        result = error
    assert result.offset >= 0 if isinstance(result, ExpressionError) else result.compiled()
