"""Amounts: tables first, then properties. `decimal` is the referee; the library itself never uses it."""

from __future__ import annotations

import copy
import operator
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import attrs
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tallystick.errors import MoneyError, TallystickError
from tallystick.money import CODES, LIMIT, Money, exponent, parse, to_text

BRL, JPY = "BRL", "JPY"

# fmt: off

# code · decimals. Every code that has not 2, in full, and the ones that people get wrong.
EXPONENTS = [
    ("points", 0), ("punches", 0),
    ("BIF", 0), ("CLP", 0), ("DJF", 0), ("GNF", 0), ("ISK", 0), ("JPY", 0), ("KMF", 0), ("KRW", 0), ("PYG", 0),
    ("RWF", 0), ("UGX", 0), ("UYI", 0), ("VND", 0), ("VUV", 0), ("XAF", 0), ("XOF", 0), ("XPF", 0),
    ("BHD", 3), ("IQD", 3), ("JOD", 3), ("KWD", 3), ("LYD", 3), ("OMR", 3), ("TND", 3),
    ("CLF", 4), ("UYW", 4),
    ("BRL", 2), ("USD", 2), ("EUR", 2), ("GBP", 2), ("CAD", 2), ("MXN", 2),
    ("HUF", 2), ("IDR", 2), ("COP", 2), ("TWD", 2),   # often shown without decimals; ISO gives 2
    ("MGA", 2), ("MRU", 2),                           # one fifth in life, 2 decimals on paper
    ("XAD", 2), ("XCG", 2), ("ZWG", 2), ("SLE", 2), ("VED", 2),   # the newest
]

# code · what the sentence must say
UNKNOWN: list[tuple[Any, str]] = [
    ("usd",     "Did you mean 'USD'?"),
    ("Brl",     "Did you mean 'BRL'?"),
    ("che",     "Did you mean 'CHE'?"),
    ("Points",  "Did you mean 'points'?"),
    ("PUNCHES", "Did you mean 'punches'?"),
    ("point",   "Did you mean 'points'?"),
    ("EURO",    "Did you mean 'EUR'?"),
    (" BRL",    "Did you mean 'BRL'?"),
    ("XXX",     "unknown currency"),        # no currency
    ("XTS",     "unknown currency"),        # testing
    ("XAU",     "unknown currency"),        # gold, and no decimals given
    ("BGN",     "unknown currency"),        # became EUR on 2026-01-01
    ("HRK",     "unknown currency"),
    ("",        "Write an ISO 4217 code"),
    ("$",       "Write an ISO 4217 code"),
    ("U" * 10**7, "..."),                   # at once, and not ten megabytes of message
    (None,      "not None"),
    (986,       "not an int"),
    (["BRL"],   "not a list"),
    (b"BRL",    "not a bytes"),
]

# text · code · minor units · the same amount as we write it
AMOUNTS = [
    ("50.00",             "BRL",                 5000, "50.00"),
    ("50",                "BRL",                 5000, "50.00"),
    ("50.5",              "BRL",                 5050, "50.50"),
    ("0.5",               "BRL",                   50, "0.50"),
    ("0.05",              "BRL",                    5, "0.05"),
    ("0",                 "BRL",                    0, "0.00"),
    ("-0",                "BRL",                    0, "0.00"),
    ("-0.00",             "BRL",                    0, "0.00"),
    ("-0.05",             "BRL",                   -5, "-0.05"),
    ("-5.00",             "BRL",                 -500, "-5.00"),
    ("007.10",            "BRL",                  710, "7.10"),
    ("0" * 9999 + "1",    "BRL",                  100, "1.00"),
    ("10000000000000.00", "BRL",                LIMIT, "10000000000000.00"),
    ("-10000000000000",   "BRL",               -LIMIT, "-10000000000000.00"),
    ("50",                "JPY",                   50, "50"),
    ("-50",               "JPY",                  -50, "-50"),
    ("1000000000000000",  "JPY",                LIMIT, "1000000000000000"),
    ("1",                 "KWD",                 1000, "1.000"),
    ("0.001",             "KWD",                    1, "0.001"),
    ("-0.01",             "KWD",                  -10, "-0.010"),
    ("1.5",               "CLF",                15000, "1.5000"),
    ("0.0001",            "UYW",                    1, "0.0001"),
    ("100",               "points",               100, "100"),
    ("7",                 "punches",                7, "7"),
]

# text · code · what the sentence must say
REFUSED = [
    ("",                        "BRL",    "is not an amount"),
    ("-",                       "BRL",    "is not an amount"),
    (".",                       "BRL",    "is not an amount"),
    ("-.",                      "BRL",    "is not an amount"),
    ("5.",                      "BRL",    "is not an amount"),
    (".5",                      "BRL",    "is not an amount"),
    ("-.5",                     "BRL",    "is not an amount"),
    ("5.",                      "JPY",    "is not an amount"),
    ("+5",                      "BRL",    "is not an amount"),
    ("--5",                     "BRL",    "is not an amount"),
    ("5-",                      "BRL",    "is not an amount"),
    ("5.-5",                    "BRL",    "is not an amount"),
    ("1.2.3",                   "BRL",    "is not an amount"),
    ("50,00",                   "BRL",    "is not an amount"),
    ("1,000.00",                "BRL",    "is not an amount"),
    ("1_000",                   "BRL",    "is not an amount"),
    ("1 000",                   "BRL",    "is not an amount"),
    (" 5",                      "BRL",    "is not an amount"),
    ("5 ",                      "BRL",    "is not an amount"),
    ("5\n",                     "BRL",    "is not an amount"),
    ("5\0",                     "BRL",    "is not an amount"),
    ("1e2",                     "BRL",    "is not an amount"),
    ("1E2",                     "JPY",    "is not an amount"),
    ("0x10",                    "BRL",    "is not an amount"),
    ("NaN",                     "BRL",    "is not an amount"),
    ("Infinity",                "BRL",    "is not an amount"),
    ("R$ 5",                    "BRL",    "is not an amount"),
    ("5 BRL",                   "BRL",    "is not an amount"),
    ("\u0665\u0660",            "BRL",    "is not an amount"),    # Arabic-Indic digits, which int() would read
    ("\uff15\uff10",            "BRL",    "is not an amount"),    # full-width digits, the same
    ("5\u00b2",                 "BRL",    "is not an amount"),    # superscript two
    ("5.\u0665",                "BRL",    "is not an amount"),
    ("\u22125",                 "BRL",    "is not an amount"),    # the typographer's minus
    ("50.001",                  "BRL",    "has too many decimals: BRL has 2"),
    ("50.000",                  "BRL",    "has too many decimals: BRL has 2"),
    ("50.0",                    "JPY",    "has too many decimals: JPY has 0"),
    ("1.0000",                  "KWD",    "has too many decimals: KWD has 3"),
    ("1.5",                     "points", "has too many decimals: points has 0"),
    ("10000000000000.01",       "BRL",    "beyond the limit of 10000000000000.00 BRL"),
    ("-10000000000000.01",      "BRL",    "beyond the limit of 10000000000000.00 BRL"),
    ("1000000000000001",        "points", "beyond the limit of 1000000000000000 points"),
    ("10000000000000000",       "points", "beyond the limit"),
    ("9" * 10**6,               "BRL",    "beyond the limit"),
]

# value · what the sentence must say after "amounts are decimal strings such as '50.00', not "
NOT_TEXT: list[tuple[Any, str]] = [
    (50.0,                 "a float; a float cannot hold cents exactly"),
    (float("nan"),         "a float; a float cannot hold cents exactly"),
    (Decimal("50.00"),     "a Decimal; write a Decimal out with"),
    (50,                   "an int; an int does not say whether it counts cents"),
    (True,                 "a bool"),
    (None,                 "None"),
    (b"50.00",             "a bytes; decode the bytes first"),
    (bytearray(b"50.00"),  "a bytearray"),
    (Fraction(1, 2),       "a Fraction"),
    (["50.00"],            "a list"),
    (Money(5000, "BRL"),   "a Money"),
]

# left · operator · right · answer, in BRL
SUMS = [
    ("50.00", operator.add, "0.05",  "50.05"),
    ("0.10",  operator.add, "0.20",  "0.30"),     # the float's classic
    ("50.00", operator.add, "-50",   "0.00"),
    ("50.00", operator.sub, "0.05",  "49.95"),
    ("0.05",  operator.sub, "50.00", "-49.95"),
]
# fmt: on

OPERATORS = [operator.add, operator.sub, operator.lt, operator.le, operator.gt, operator.ge]
NOT_MONEY: list[Any] = [
    *(1.5, 0.0, 1, 5000, True, False, None, "50.00", b"50.00", Decimal("1.5"), Fraction(3, 2), (5000, "BRL"), []),
]


def short(value: object) -> str | None:
    """Name a test by its values, but not by ten million letters or by an int too long to be printed."""
    if isinstance(value, int) and abs(value) > LIMIT:
        return f"{value.bit_length()}-bits"
    return repr(value)[:40] if isinstance(value, (str, int, bytes, type(None))) else None


# --- tables


@pytest.mark.parametrize(("code", "places"), EXPONENTS)
def test_exponent(code: str, places: int) -> None:
    assert exponent(code) == places


def test_the_table_is_the_whole_of_iso_4217() -> None:
    """The counts are of list one of 2026-01-01; a code written twice or mangled would change one."""
    assert len(CODES) == len(set(CODES)) == 167
    assert Counter(exponent(code) for code in CODES) == {0: 17 + 2, 2: 139, 3: 7, 4: 2}
    iso = [code for code in CODES if code not in ("points", "punches")]
    assert all(len(code) == 3 and code.isascii() and code.isalpha() and code.isupper() for code in iso)


@pytest.mark.parametrize(("code", "says"), UNKNOWN, ids=short)
def test_unknown_code_is_refused_everywhere(code: Any, says: str) -> None:
    uses: list[Callable[[], object]] = [
        lambda: exponent(code),
        lambda: parse("5", code),
        lambda: to_text(5, code),
        lambda: Money(5, code),
        lambda: Money.parse("5", code),
        lambda: Money.zero(code),
    ]
    for use in uses:
        with pytest.raises(MoneyError) as caught:
            use()
        assert says in str(caught.value)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("text", "code", "minor", "ours"), AMOUNTS, ids=short)
def test_amount(text: str, code: str, minor: int, ours: str) -> None:
    assert parse(text, code) == minor
    assert to_text(minor, code) == ours
    assert Money.parse(text, code) == Money(minor, code)
    assert str(Money(minor, code)) == f"{ours} {code}"
    assert repr(Money(minor, code)) == f"Money.parse({ours!r}, {code!r})"


@pytest.mark.parametrize(("text", "code", "says"), REFUSED, ids=short)
def test_text_that_is_no_amount_is_refused(text: str, code: str, says: str) -> None:
    for read in (parse, Money.parse):
        with pytest.raises(MoneyError) as caught:
            read(text, code)
        assert says in str(caught.value)
        assert len(str(caught.value)) < 250


@pytest.mark.parametrize(("value", "says"), NOT_TEXT)
def test_only_text_is_parsed(value: Any, says: str) -> None:
    for read in (parse, Money.parse):
        with pytest.raises(MoneyError) as caught:
            read(value, BRL)
        assert str(caught.value).startswith(f"amounts are decimal strings such as '50.00', not {says}")


def test_the_sample_has_the_decimals_of_the_currency() -> None:
    for code, sample in (("JPY", "'50'"), ("KWD", "'50.000'"), ("points", "'50'")):
        with pytest.raises(MoneyError, match=f"such as {sample}"):
            parse("", code)


@pytest.mark.parametrize("minor", [50.0, True, None, "5000", b"5000", Decimal(5000), Fraction(5000)])
def test_minor_units_are_whole_ints(minor: Any) -> None:
    for use in (to_text, Money):
        with pytest.raises(MoneyError, match="minor units are a whole int, not "):
            use(minor, BRL)


@pytest.mark.parametrize("minor", [LIMIT + 1, -LIMIT - 1, 10**5000, -(10**5000)], ids=short)
def test_money_ends_at_the_limit(minor: int) -> None:
    with pytest.raises(MoneyError, match=r"beyond the limit of 10000000000000\.00 BRL$"):
        Money(minor, BRL)


def test_a_result_beyond_the_limit_is_refused() -> None:
    most, least, cent = Money(LIMIT, BRL), Money(-LIMIT, BRL), Money(1, BRL)
    assert -most == least
    uses: list[Callable[[], object]] = [
        lambda: most + cent,
        lambda: least - cent,
        lambda: most - least,
        lambda: sum([most, cent]),
    ]
    for use in uses:
        with pytest.raises(MoneyError, match="beyond the limit"):
            use()


@pytest.mark.parametrize(("left", "does", "right", "answer"), SUMS)
def test_arithmetic(left: str, does: Callable[[Money, Money], Money], right: str, answer: str) -> None:
    assert does(Money.parse(left, BRL), Money.parse(right, BRL)) == Money.parse(answer, BRL)


def test_sum() -> None:
    amounts = [Money.parse(text, BRL) for text in ("50.00", "0.05", "-20")]
    assert sum(amounts) == Money.parse("30.05", BRL)
    assert sum(amounts, Money.zero(BRL)) == Money.parse("30.05", BRL)
    assert sum([], Money.zero(BRL)) == Money(0, BRL)
    with pytest.raises(MoneyError, match="currencies differ"):
        sum([*amounts, Money(1, JPY)])
    with pytest.raises(MoneyError, match="an int cannot be added"):
        sum(amounts, 1)


@pytest.mark.parametrize("does", OPERATORS)
@pytest.mark.parametrize("other", NOT_MONEY, ids=repr)
def test_money_meets_only_money(does: Callable[[Any, Any], Any], other: Any) -> None:
    money = Money(5000, BRL)
    with pytest.raises(MoneyError, match="both must be Money"):
        does(money, other)
    with pytest.raises(MoneyError, match="both must be Money"):
        does(other, money)
    assert money != other
    assert other != money


def test_only_the_int_zero_may_stand_before_money() -> None:
    """0 + money is how sum() begins. The other way round it is a number without a currency."""
    money: Any = Money(5000, BRL)
    assert 0 + money is money
    for wrong in (0.0, False, 1, Decimal(0)):
        with pytest.raises(MoneyError):
            wrong + money
    for does, left, right in ((operator.add, money, 0), (operator.sub, money, 0), (operator.sub, 0, money)):
        with pytest.raises(MoneyError):
            does(left, right)


def test_money_is_multiplied_by_whole_numbers() -> None:
    price = Money.parse("19.99", "BRL")
    assert price * 3 == 3 * price == Money.parse("59.97", "BRL")
    assert price * 0 == Money.zero("BRL")
    assert price * -1 == -price


@pytest.mark.parametrize("times", [1.5, True, "3", None, Decimal(2), Fraction(1, 2), Money(2, "BRL")], ids=repr)
def test_money_is_multiplied_by_nothing_else(times: Any) -> None:
    for does in (lambda: Money(100, "BRL") * times, lambda: times * Money(100, "BRL")):
        with pytest.raises(MoneyError, match="multiplied by a whole number only"):
            does()


def test_a_product_beyond_the_limit_is_refused() -> None:
    with pytest.raises(MoneyError, match="beyond the limit"):
        Money(LIMIT // 2 + 1, "BRL") * 2


@pytest.mark.parametrize(
    ("minor", "code", "exact"), [(5000, "BRL", "50.00"), (-5, "BRL", "-0.05"), (7, "JPY", "7"), (1, "KWD", "0.001")]
)
def test_a_decimal_is_exact_and_has_the_decimals_of_the_currency(minor: int, code: str, exact: str) -> None:
    assert str(Money(minor, code).decimal) == exact
    assert Money(minor, code).decimal == Decimal(minor).scaleb(-exponent(code))
    assert Money.parse(f"{Money(minor, code).decimal:f}", code) == Money(minor, code)


# fmt: off
FORMATS = [  # minor units · code · format · text
    (123450,     "BRL",    "",       "1234.50 BRL"),
    (123450,     "BRL",    "n",      "1234.50"),
    (123450,     "BRL",    ",",      "1,234.50 BRL"),
    (123450,     "BRL",    ",n",     "1,234.50"),
    (123450,     "BRL",    ">12n",   "     1234.50"),
    (123450,     "BRL",    ">14,",   "  1,234.50 BRL"),
    (123450,     "BRL",    "*<14,",  "1,234.50 BRL**"),
    (123450,     "BRL",    "^9n",    " 1234.50 "),
    (123450,     "BRL",    "9n",     "1234.50  "),
    (-50,        "BRL",    ",",      "-0.50 BRL"),
    (-123456789, "BRL",    ",n",     "-1,234,567.89"),
    (1234567,    "JPY",    ",",      "1,234,567 JPY"),
    (12,         "points", ",n",     "12"),
    (LIMIT,      "BRL",    ",",      "10,000,000,000,000.00 BRL"),
]
# fmt: on


@pytest.mark.parametrize(("minor", "code", "spec", "text"), FORMATS)
def test_format(minor: int, code: str, spec: str, text: str) -> None:
    assert f"{Money(minor, code):{spec}}" == text


@pytest.mark.parametrize("spec", ["d", ".2f", "n,", ",,", "x" * 100, "+"])
def test_a_format_that_is_none_is_refused(spec: str) -> None:
    with pytest.raises(MoneyError, match="is not a format of an amount"):
        format(Money(100, "BRL"), spec)


def test_money_is_a_value() -> None:
    money = Money.parse("50.00", BRL)
    assert {money, Money(5000, BRL), Money(5000, "USD")} == {Money(5000, "USD"), money}
    assert copy.deepcopy(money) == pickle.loads(pickle.dumps(money)) == money
    assert attrs.evolve(money, minor=1) == Money(1, BRL)
    assert not hasattr(money, "__dict__")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        money.minor = 1  # type: ignore[misc]
    with pytest.raises(MoneyError):
        attrs.evolve(money, minor=1.0)  # type: ignore[arg-type]


def test_the_error_is_ours_and_a_value_error() -> None:
    assert issubclass(MoneyError, TallystickError)
    assert issubclass(MoneyError, ValueError)


def test_decimal_is_not_imported() -> None:
    """It costs 3 ms, as much as a small command line can notice, and we do not need it."""
    code = "import sys; import tallystick.money; sys.exit('decimal' in sys.modules or '_decimal' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- properties

EXACT = Context(prec=200)  # no amount here comes near 200 digits, so the referee never rounds

codes = st.sampled_from(CODES)
minors = st.integers(-LIMIT, LIMIT) | st.integers(-200, 200) | st.sampled_from([LIMIT, -LIMIT, LIMIT - 1])
# Small enough that no sum of two leaves the limit.
halves = minors.map(lambda minor: minor // 2)
texts_nearly_right = st.text(alphabet="0123456789.-+, eE_\n\u0665\u00b2", max_size=24)
anything_but_text = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.fractions() | st.binary()
)


@given(minor=minors)
def test_round_trip(minor: int) -> None:
    for code in CODES:
        assert parse(to_text(minor, code), code) == minor
        money = Money(minor, code)
        assert eval(repr(money), {"Money": Money}) == money
        text, _, unit = str(money).partition(" ")
        assert Money.parse(text, unit) == money


@given(minor=minors | st.integers(), code=codes)
def test_to_text_is_exact(minor: int, code: str) -> None:
    """Also beyond the limit: the total of a report is written as it is."""
    expected = EXACT.scaleb(Decimal(minor), -exponent(code))
    text = to_text(minor, code)
    assert text == f"{expected:f}"
    assert len(text.partition(".")[2]) == exponent(code)


@given(minor=minors, code=codes, dropped=st.integers(0, 4), zeros=st.integers(0, 30))
def test_parse_is_exact(minor: int, code: str, dropped: int, zeros: int) -> None:
    """Every allowed writing: fewer decimals, leading zeros. Decimal reads the same number."""
    places = max(exponent(code) - dropped, 0)
    number = EXACT.scaleb(Decimal(minor), -exponent(code))
    text = f"{number:.{places}f}".replace("-", "")
    text = ("-" if minor < 0 else "") + "0" * zeros + text
    assume(abs(expected := EXACT.scaleb(Decimal(text), exponent(code))) <= LIMIT)
    assert parse(text, code) == expected


@given(text=texts_nearly_right | st.text() | st.from_regex(r"-?[0-9]{1,18}(\.[0-9]{1,5})?", fullmatch=True), code=codes)
@example(text="5.", code=BRL)
@example(text="1e2", code=JPY)
def test_parse_reads_exactly_or_refuses(text: str, code: str) -> None:
    try:
        minor = parse(text, code)
    except MoneyError:
        return
    assert set(text) <= set("-.0123456789")
    assert EXACT.scaleb(Decimal(text), exponent(code)) == minor
    assert -LIMIT <= minor <= LIMIT


@given(digits=st.integers(0, LIMIT), extra=st.text("0123456789", min_size=1, max_size=6), code=codes)
def test_more_decimals_than_the_currency_has_are_refused(digits: int, extra: str, code: str) -> None:
    text = to_text(digits, code)
    text = f"{text}{extra}" if "." in text else f"{text}.{extra}"
    with pytest.raises(MoneyError, match="too many decimals"):
        parse(text, code)


@given(beyond=st.integers(min_value=LIMIT + 1), code=codes, sign=st.sampled_from([1, -1]))
def test_beyond_the_limit_is_refused(beyond: int, code: str, sign: int) -> None:
    with pytest.raises(MoneyError, match="beyond the limit"):
        parse(to_text(sign * beyond, code), code)
    with pytest.raises(MoneyError, match="beyond the limit"):
        Money(sign * beyond, code)


@given(value=anything_but_text, code=codes)
def test_parse_refuses_all_but_text(value: Any, code: str) -> None:
    with pytest.raises(MoneyError, match="amounts are decimal strings"):
        parse(value, code)


@given(value=st.floats() | st.floats(-1e6, 1e6).map(round).map(float), minor=minors, code=codes)
def test_a_float_gets_in_nowhere(value: Any, minor: int, code: str) -> None:
    money = Money(minor, code)
    uses: list[Callable[[], object]] = [
        lambda: parse(value, code),
        lambda: to_text(value, code),
        lambda: Money(value, code),
        lambda: Money.parse(value, code),
        lambda: Money(minor, value),
        lambda: sum([money], value),
    ]
    for does in OPERATORS:
        uses.append(lambda does=does: does(money, value))  # type: ignore[misc]
        uses.append(lambda does=does: does(value, money))  # type: ignore[misc]
    for use in uses:
        with pytest.raises(MoneyError):
            use()
    assert money != value


@given(left=halves, right=halves, code=codes)
def test_money_adds_and_compares_as_its_minor_units(left: int, right: int, code: str) -> None:
    a, b = Money(left, code), Money(right, code)
    assert a + b == b + a == sum([a, b]) == Money(left + right, code)
    assert a - b == -(b - a) == a + -b == Money(left - right, code)
    assert (a < b, a <= b, a > b, a >= b) == (left < right, left <= right, left > right, left >= right)
    assert (a == b, a != b) == (left == right, left != right)
    assert (hash(a) == hash(b)) or left != right
    assert bool(a) == (a != Money.zero(code)) == (left != 0)


@given(amounts=st.lists(st.integers(-(10**12), 10**12), max_size=20), code=codes)
def test_sorting_and_summing_go_by_minor_units(amounts: list[int], code: str) -> None:
    money = [Money(minor, code) for minor in amounts]
    assert sorted(money) == [Money(minor, code) for minor in sorted(amounts)]
    assert sum(money, Money.zero(code)) == Money(sum(amounts), code)


@given(left=halves, right=halves, codes=st.lists(codes, min_size=2, max_size=2, unique=True))
def test_currencies_never_mix(left: int, right: int, codes: list[str]) -> None:
    """Not even nothing: 0 BRL and 0 USD are not the same answer to 'how much is left'."""
    a, b = Money(left, codes[0]), Money(right, codes[1])
    for does in OPERATORS:
        with pytest.raises(MoneyError, match="the currencies differ"):
            does(a, b)
    assert a != b
    assert len({a, b}) == 2
