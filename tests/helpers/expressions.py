"""Expressions to try: what is accepted, and what it means; and strategies that write any."""

from __future__ import annotations

from hypothesis import assume
from hypothesis import strategies as st

from tallystick.definition.expression import (
    FLAG,
    MAX_CHARACTERS,
    MONEY,
    Expression,
    ExpressionError,
    Type,
    read,
    scope_of,
)

KIND = Type("choice", choices=("gift", "promo", "credit"))

SCOPE = scope_of(
    accounts=dict.fromkeys(["held", "spare"]),
    facts={
        "limit": Type("money", optional=True),
        "floor": Type("money", optional=True),
        "tries": Type("count"),
        "most": Type("count", optional=True),
        "kind": KIND,
        "was": Type("choice", optional=True, choices=("gift", "promo")),
        "note": Type("text"),
        "memo": Type("text", optional=True),
        "number": Type("number", optional=True),
        "seen": Type("flag", optional=True),
        "card": Type("link", machine="gift_card"),
        "other": Type("link", machine="payment"),
        "ends": Type("time"),
        "until": Type("time", optional=True),
    },
    arguments={"amount": MONEY, "last": FLAG, "keep": FLAG, "pin": Type("secret", optional=True)},
    states=("open", "shut"),
)

V = {"held": 100, "spare": 0}

F = {
    "limit": None, "floor": 30, "tries": 3, "most": None, "kind": "gift", "was": None, "note": "fragile", "memo": "x",
    "number": "6006490281", "seen": None, "card": "c", "other": "p",
    "ends": "2026-03-01T00:00:00.000Z", "until": None,
}  # fmt: skip

A = {"amount": 40, "last": False, "keep": True, "pin": "1234", "now": "2026-02-01T00:00:00.000Z"}

# fmt: off
# expression · type · its value above · in words
ACCEPTED: list[tuple[str, str, object, str]] = [
    # amounts
    ("amount",                              "money", 40,    "amount"),
    ("0",                                   "zero",  0,     "0"),
    ("7",                                   "a bare number", 7,     "7"),
    ("-amount",                             "money", -40,   "−amount"),
    ("held - amount",                       "money", 60,    "held − amount"),
    ("held - amount + spare",               "money", 60,    "held − amount + spare"),
    ("held + 0",                            "money", 100,   "held + 0"),
    ("0 - held",                            "money", -100,  "0 − held"),
    ("tries + 1",                           "count", 4,     "tries + 1"),
    ("2 + 3",                               "a bare number", 5,     "2 + 3"),
    ("0 + 0",                               "zero",  0,     "0 + 0"),
    # comparisons
    ("amount > 0",                          "flag",  True,  "amount is more than 0"),
    ("amount >= held",                      "flag",  False, "amount is at least held"),
    ("amount < held",                       "flag",  True,  "amount is less than held"),
    ("amount <= held - spare",              "flag",  True,  "amount is at most held − spare"),
    ("amount == held",                      "flag",  False, "amount is equal to held"),
    ("amount == 0",                         "flag",  False, "amount is 0"),
    ("amount != 0",                         "flag",  True,  "amount is not 0"),
    ("0 < amount < held",                   "flag",  True,  "amount is more than 0 and less than held"),
    ("0 < amount <= held",                  "flag",  True,  "amount is more than 0 and at most held"),
    ("held > amount >= 0",                  "flag",  True,  "amount is less than held and at least 0"),
    ("0 < amount == held",                  "flag",  False, "amount is more than 0 and equal to held"),
    ("0 < amount == held + held",           "flag",  False, "amount is more than 0 and equal to held + held"),
    ("amount == -held",                     "flag",  False, "amount is equal to −held"),
    ("0 < spare < amount < held",           "flag",  False, "0 is less than spare and spare is less than amount and "
                                                            "amount is less than held"),
    ("tries <= 3",                          "flag",  True,  "tries is at most 3"),
    ("limit == amount",                     "flag",  False, "limit is equal to amount"),    # a missing one equals nothing
    ("tries < 1000000000000000",            "flag",  True,  "tries is less than 1000000000000000"),
    # times
    ("now",                                 "time",  "2026-02-01T00:00:00.000Z", "now"),
    ("now < ends",                          "flag",  True,  "now is before ends"),
    ("now >= ends",                         "flag",  False, "now is not before ends"),
    ("ends <= now",                         "flag",  False, "ends is not after now"),
    ("ends > now",                          "flag",  True,  "ends is after now"),
    ("ends == now",                         "flag",  False, "ends is equal to now"),
    # choices, texts, links, the state
    ('kind == "gift"',                      "flag",  True,  "kind is gift"),
    ('"gift" == kind',                      "flag",  True,  "gift is equal to kind"),
    ('kind != "promo"',                     "flag",  True,  "kind is not promo"),
    ('kind in ["promo", "gift"]',           "flag",  True,  "kind is promo or gift"),
    ('kind in ("promo", "gift")',           "flag",  True,  "kind is promo or gift"),
    ('kind not in ["promo", "gift"]',       "flag",  False, "kind is not promo or gift"),
    ('kind == was',                         "flag",  False, "kind is equal to was"),
    ('was == "gift"',                       "flag",  False, "was is gift"),
    ('state == "open"',                     "flag",  True,  "state is open"),
    ('note == "fragile"',                   "flag",  True,  "note is fragile"),
    ('note == kind',                        "flag",  False, "note is equal to kind"),
    ('amount in [held, 0]',                 "flag",  False, "amount is held or 0"),
    ('memo == number',                      "flag",  False, "memo is equal to number"),
    ('card == card',                        "flag",  True,  "card is equal to card"),
    # yes and no
    ("last",                                "flag",  False, "last"),
    ("not last",                            "flag",  True,  "not last"),
    ("not last and keep",                   "flag",  True,  "not last, and keep"),
    ("last or keep",                        "flag",  True,  "last, or keep"),
    ("true",                                "flag",  True,  "true"),
    ("last == false",                       "flag",  True,  "last is equal to false"),
    ("not (last and amount > 0)",           "flag",  True,  "not (last, and amount is more than 0)"),
    ("not (last or not keep)",              "flag",  True,  "not (last, or not keep)"),
    ("not amount > 0",                      "flag",  False, "not (amount is more than 0)"),
    ("last and (keep or amount > 0)",       "flag",  False, "last, and (keep, or amount is more than 0)"),
    ("last and keep or amount > 0",         "flag",  True,  "(last, and keep), or amount is more than 0"),
    ("amount - (held + spare) > 0",         "flag",  False, "amount − (held + spare) is more than 0"),
    ("amount - (held - spare) > 0",         "flag",  False, "amount − (held − spare) is more than 0"),
    ("0 < amount < held and not last",      "flag",  True,  "amount is more than 0 and less than held, and not last"),
    # what may be missing
    ("limit == none",                       "flag",  True,  "limit is not given"),
    ("limit != none",                       "flag",  False, "limit is given"),
    ("memo != none",                       "flag",  True,  "memo is given"),
    ("memo",                                "text, if any", "x", "memo"),
    ("none",                                "none",  None,  "none"),
    ("card",                                "gift_card", "c", "card"),
    ("pin",                                 "secret, if any", "1234", "pin"),
]

# An optional amount may be used where it is surely there.
NARROWED: list[tuple[str, object]] = [
    ("limit == none or amount <= limit",                                   True),
    ("until == none or now < until",                                       True),
    ("limit == none or amount <= limit and limit > 0",                     True),
    ("limit == none or last or amount <= limit",                           True),
    ("floor != none and amount >= floor",                                  True),
    ("floor != none and not last and amount - floor > 0",                  True),
    ("not (floor == none) and amount >= floor",                            True),
    ("not (limit != none) or amount <= limit",                             True),
    ("not (limit == none or floor == none) and limit >= floor",            False),
    ("limit != none and floor != none and limit >= floor",                 False),
    ("(limit != none and floor != none) and limit >= floor",               False),
    ("(limit == none or floor == none) or limit >= floor",                 True),
    ("seen != none and seen",                                              False),
    ("most == none or tries + 1 <= most",                                  True),
    ("floor == None or amount >= floor",                                   True),
    ('was != none and was == "gift"',                                      False),
    ("limit == none and floor != none and floor > 0",                      True),
]

amounts = st.sampled_from(["amount", "held", "spare", "0"]) | st.just("-held")

counts = st.sampled_from(["tries", "0", "1", "12"])

def sums(atoms: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        atoms, lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from("+-"), inner), max_leaves=4
    )

def compared(terms: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    sign = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    return st.builds("{} {} {}".format, terms, sign, terms) | st.builds(
        "{} {} {} {} {}".format, terms, sign, terms, sign, terms
    )

kinds = st.sampled_from(["gift", "promo", "credit"])

flags = st.recursive(
    st.sampled_from(["last", "keep", "true", "false", "seen == last", "limit == none", "memo != none", "was == kind"])
    | compared(sums(amounts))
    | compared(sums(counts))
    | st.builds('kind {} "{}"'.format, st.sampled_from(["==", "!="]), kinds)
    | st.builds('kind {} ["{}", "{}"]'.format, st.sampled_from(["in", "not in"]), kinds, kinds)
    | st.builds("limit == none or {}".format, compared(sums(amounts | st.just("limit")))).map("({})".format)
    | st.builds("floor != none and {}".format, compared(sums(amounts | st.just("floor")))).map("({})".format),
    lambda inner: (
        st.builds("not ({})".format, inner)
        | st.builds("({}) {} ({})".format, inner, st.sampled_from(["and", "or"]), inner)
    ),
    max_leaves=5,
)

money_ = st.integers(-3, 3) | st.integers(-(10**15), 10**15)

values = st.fixed_dictionaries({
    "amount": money_, "held": money_, "spare": money_, "tries": st.integers(-2, 13), "last": st.booleans(),
    "keep": st.booleans(), "seen": st.none() | st.booleans(), "limit": st.none() | money_, "floor": st.none() | money_,
    "kind": kinds, "was": st.none() | kinds, "memo": st.none() | st.text(max_size=3),
})  # fmt: skip

def read_if_not_idle(source: str) -> Expression:
    """An expression that is too long is no example, and neither is one that asks again whether a value is there.

    The second question is idle once the value surely is there, and is refused.
    """
    assume(len(source) <= MAX_CHARACTERS)
    try:
        return read(source, SCOPE)
    except ExpressionError as error:
        assume("can never be none" not in str(error))
        raise
