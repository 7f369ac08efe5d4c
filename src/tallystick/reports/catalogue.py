"""Which reports there are: what a row of each is, where it comes from, and what is added up. A table, nothing more.

Each report asks for single things first (`things`, a SELECT over the views of the store), and adds them up by what the
caller wants to see. `{bound}` is the first moment that does not count any more, `{first}` the first one of the period.
A report of the past (`then`) makes what stood on the accounts from the journal.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from tallystick.definition.declared import IN_DOUBT
from tallystick.reports.report import Column, Kind
from tallystick.store.schema.dictionary import SAYS

DORMANT = 365  # days without the customer after which a card is dormant, where nobody says otherwise
COUNTS = {"attempts", "unclear", "seq"}
TIMES = {"at", "occurred_at", "created", "since", "opened", "asked", "last"}


@attrs.frozen
class Sum:
    """Something that is added up over things."""

    name: str
    says: str
    sql: str
    kind: Kind = "money"
    adds: bool = True  # the total is the sum of the rows
    total: bool = True  # it has a total at all
    quiet: bool = False  # nobody has to see it where it is 0 throughout
    summed: str | None = None  # the same over kept sums; None: `sql`


@attrs.frozen
class Kept:
    """A report, as it is declared."""

    name: str
    title: str
    things: str  # SELECT … of single things, as they are now
    columns: tuple[str, ...]  # of a single thing; those in `amounts` are in minor units, as `…_minor`
    amounts: tuple[str, ...]
    sums: tuple[Sum, ...]
    then: str | None = None  # the same of the past; None: `things` has its times
    aged: str | None = None  # the column that an age counts from
    group: tuple[str, ...] = ()  # it is always added up by these, and by currency
    listed: bool = False  # without `by`, single things are listed
    by: tuple[str, ...] = ("kind", "card_set")  # beside currency and age
    period: bool = False  # from … to; else as of a moment
    order: str = "entity"
    adding: tuple[str, ...] | None = None  # amounts that can be added up over single things; None: all
    summed: str | None = None  # SELECT … of the kept sums, with how many `things` each row is of
    seen: str | None = None  # SELECT … of single things by the index of the kept sums
    never: tuple[str, ...] = ()  # by what the kept sums cannot tell it

    @property
    def added(self) -> tuple[str, ...]:
        return self.amounts if self.adding is None else self.adding

    @property
    def groups(self) -> tuple[str, ...]:
        """By what it can be added up."""
        return (*self.by, *self.group, "currency", *(("age",) if self.aged else ()))


def amount(name: str, says: str) -> Sum:
    return Sum(name, says, f'sum(t."{name}_minor")')


def column(name: str, amounts: tuple[str, ...] = ()) -> Column:
    kind: Kind = "text"
    if name in amounts:
        kind = "money"
    elif name in COUNTS:
        kind = "count"
    elif name in TIMES:
        kind = "time"
    return Column(name, kind, SAYS[name])


THINGS = "sum(t.things)"
CARDS = Sum("cards", "how many cards", "count(*)", "count", summed=THINGS)
ABOUT = "c.machine, c.entity, c.number, c.state, c.kind, c.card_set, c.created, c.currency"
TWICE_THEN = (
    "(SELECT machine, entity, sum(amount_minor) AS amount FROM v_set_aside "
    "WHERE counted = 0 AND occurred_at < {bound} GROUP BY machine, entity)"
)
DOUBT_OF = "call, verb, machine, entity, number, kind, card_set, currency"
DOUBT_THEN = (
    f"SELECT {DOUBT_OF}, sum(amount_minor) AS in_doubt_minor, max(CASE WHEN sent > 0 THEN at END) AS opened "
    f"FROM v_set_aside WHERE counted = 1 AND occurred_at < {{bound}} GROUP BY {DOUBT_OF} HAVING sum(sent) <> 0"
)


def standing_then(accounts: tuple[str, ...]) -> str:
    """What stood on each card, from the journal."""
    sums = ", ".join(
        f"sum(CASE WHEN a.account = '{each}' THEN a.amount_minor ELSE 0 END) AS \"{each}\"" for each in accounts
    )
    stood = (
        f"(SELECT a.machine, a.entity, {sums}, sum(a.amount_minor) AS total FROM v_account a "
        "WHERE a.stands = 'inside' AND a.occurred_at < {bound} GROUP BY a.machine, a.entity)"
    )
    once = {"in_doubt": "s.in_doubt - coalesce(w.amount, 0)"}
    shown = ", ".join(f'{once.get(each, f"s.{each}")} AS "{each}_minor"' for each in accounts)
    return (
        f"SELECT {ABOUT}, {shown}, s.total - coalesce(w.amount, 0) AS total_minor FROM {stood} s "
        f"JOIN v_card c ON c.machine = s.machine AND c.entity = s.entity "
        f"LEFT JOIN {TWICE_THEN} w ON w.machine = s.machine AND w.entity = s.entity "
        "WHERE s.total <> coalesce(w.amount, 0)"
    )


HOLDS_THEN = (
    'SELECT p.payment, p."order", p.card, p.number, p.kind, p.card_set, p.state, p.currency, s.held AS held_minor, '
    "coalesce(s.since, p.created) AS since FROM (SELECT a.entity, sum(a.amount_minor) AS held, "
    "max(CASE WHEN a.amount_minor > 0 AND a.phase IN ('done', 'confirmed') THEN a.occurred_at END) AS since "
    "FROM v_account a WHERE a.machine = 'payment' AND a.account = 'held' AND a.occurred_at < {bound} "
    "GROUP BY a.entity) s JOIN v_payment p ON p.payment = s.entity WHERE s.held <> 0"
)


def dormant_then(accounts: tuple[str, ...]) -> str:
    last = (
        "(SELECT max(u.occurred_at) FROM v_customer_activity u "
        "WHERE u.machine = s.machine AND u.entity = s.entity AND u.occurred_at < {bound})"
    )
    stood = f"SELECT s.*, coalesce({last}, s.created) AS last FROM ({standing_then(accounts)}) s"
    return f"SELECT * FROM ({stood}) d WHERE last < {{dormant}}"


ACTIVITY = (
    "SELECT v.*, CASE WHEN v.call IS NOT NULL THEN {location} END AS location, "
    "CASE WHEN v.call IS NOT NULL THEN {terminal} END AS terminal "
    "FROM v_activity v WHERE v.occurred_at >= {first} AND v.occurred_at < {bound}"
)
# Of the kept sums: `{flow}` and `{standing}` are their tables with what came after them, and a day is its moment
ALIKE = ", ".join(f"CASE WHEN k.{each} = '' THEN NULL ELSE substr(k.{each}, 2) END AS {each}" for each in
                  ("kind", "card_set"))  # fmt: skip
MOVEMENTS = (
    f"SELECT k.day AS occurred_at, k.machine, {ALIKE}, f.figure, k.currency, k.entries AS things, "
    "CASE WHEN k.source = f.account THEN k.amount ELSE -k.amount END AS amount_minor FROM {flow} k JOIN {figures} f "
    "ON f.machine = k.machine AND f.version = k.version AND f.command = k.command "
    "AND f.account IN (k.source, k.target) WHERE k.day < {bound}"
)
ACCOUNTS = (
    "SELECT k.occurred_at, k.machine, k.account, k.currency, k.things, k.amount_minor, "
    "CASE WHEN i.account IS NULL THEN 'outside' ELSE 'inside' END AS stands FROM (SELECT day AS occurred_at, machine, "
    "target AS account, currency, entries AS things, amount AS amount_minor FROM {flow} c WHERE target <> '' UNION ALL "
    "SELECT day, machine, source, currency, entries, -amount FROM {flow} l WHERE source <> '') k "
    "LEFT JOIN {inside} i ON i.machine = k.machine AND i.account = k.account WHERE k.occurred_at < {bound}"
)
TRANSACTIONS = (
    f"SELECT k.day AS occurred_at, k.day, f.type, f.verb, "
    f"CASE k.phase WHEN 'done' THEN 'confirmed' ELSE k.phase END AS result, {ALIKE}, k.currency, "
    f"k.entries AS things, CASE f.sign WHEN 0 THEN k.told ELSE f.sign * k.own END AS amount_minor "
    "FROM {flow} k JOIN {asks} f ON f.machine = k.machine AND f.version = k.version AND f.transition = k.transition "
    "WHERE k.source = '' AND k.target = '' AND k.phase <> 'asked' AND k.day >= {first} AND k.day < {bound}"
)


def stands(since: str, accounts: tuple[str, ...]) -> str:
    """What stands on cards, by the day since when."""
    own = "".join(f"CASE k.account WHEN '{each}' THEN k.amount ELSE 0 END AS \"{each}_minor\", " for each in accounts)
    return (
        f"SELECT k.machine, k.state, {ALIKE}, k.day AS {since}, k.currency, k.valued AS things, {own}"
        f"k.amount AS total_minor FROM {{standing}} k WHERE k.since = '{since}' AND k.machine IN ({{ledgers}})"
    )


STANDS = (
    "SELECT currency, sum(amount) FROM {standing} k WHERE since = 'created' AND machine IN ({ledgers}) "
    "GROUP BY currency"
)
STOOD = (
    f"SELECT currency, sum(amount_minor) FROM ({ACCOUNTS}) k WHERE stands = 'inside' AND machine IN ({{ledgers}}) "
    "GROUP BY currency"
)
SET_ASIDE = (
    f"SELECT currency, sum(CASE WHEN target = '{IN_DOUBT}' THEN amount WHEN source = '{IN_DOUBT}' THEN -amount "
    "ELSE 0 END) FROM {flow} k WHERE elsewhere = 1 AND machine IN ({ledgers}) AND day < {bound} GROUP BY currency"
)


UNUSED = ["machine", "entity", "number", "state", "kind", "card_set", "created", "last", "currency", "total_minor"]
LONGEST_UNUSED = (  # those that came after the sums are not as they were seen
    f"SELECT {', '.join(f's.{each}' if each in ('last', 'entity') else f'c.{each}' for each in UNUSED)} FROM _seen s "
    "JOIN v_liability c ON c.machine = s.machine AND c.entity = s.entity WHERE s.valued = 1 AND s.last < {dormant} "
    f"AND s.entity NOT IN {{came}} UNION ALL SELECT {', '.join(UNUSED)} FROM v_last_customer_activity u "
    "WHERE last < {dormant} AND entity IN {came}"
)


BEGIN = "sum(CASE WHEN t.occurred_at < {first} THEN t.amount_minor ELSE 0 END)"
IN_PERIOD = "t.occurred_at >= {first}"
CONFIRMED = "coalesce(sum(CASE WHEN t.result = 'confirmed' THEN t.amount_minor END), 0)"


def catalogue(accounts: tuple[str, ...], figures: tuple[str, ...]) -> Mapping[str, Kept]:
    """All reports, by name, for books whose ledgers have these accounts and count in these figures."""
    about = ("machine", "entity", "number", "state", "kind", "card_set", "created", "currency")
    standing = (*accounts, "total")
    reports = [
        Kept("liability", "What is owed to customers", "SELECT * FROM v_liability",
             (*about, *standing), standing,
             (CARDS, *(amount(each, SAYS.get(each, each)) for each in standing)),
             then=standing_then(accounts), aged="created", by=("kind", "card_set", "machine", "state"),
             summed=stands("created", accounts)),
        Kept("rollforward", "How what is owed has changed",
             "SELECT * FROM v_movement WHERE occurred_at < {bound}",
             ("seq", "at", "occurred_at", "machine", "entity", "number", "kind", "card_set", "figure", "command",
              "currency", "amount", "key", "by", "reason"), ("amount",),
             (Sum("opening", "what was owed at the begin", BEGIN),
              *(Sum(each, f"{each.replace('_', ' ')}; below zero if it left",
                    f"sum(CASE WHEN {IN_PERIOD} AND t.figure = '{each}' THEN t.amount_minor ELSE 0 END)", quiet=True)
                for each in figures),
              Sum("closing", "what was owed at the end; what stands on two cards in doubt counts on both",
                  "sum(t.amount_minor)")),
             aged="created", by=("kind", "card_set", "machine", "figure"), period=True, order="occurred_at, seq",
             summed=MOVEMENTS, never=("age",)),
        Kept("holds", "Holds in force", "SELECT * FROM v_hold",
             ("payment", "order", "card", "number", "kind", "card_set", "state", "since", "currency", "held"),
             ("held",),
             (Sum("holds", "how many holds", "count(*)", "count"), amount("held", SAYS["held"])),
             then=HOLDS_THEN, aged="since", listed=True, by=("kind", "card_set", "state"), order="since, payment"),
        Kept("doubt", "Money in doubt", "SELECT * FROM v_doubt",
             ("call", "verb", "machine", "entity", "number", "kind", "card_set", "opened", "currency", "in_doubt"),
             ("in_doubt",),
             (Sum("calls", "how many calls have no answer", "count(*)", "count"), amount("in_doubt", SAYS["in_doubt"])),
             then=DOUBT_THEN,
             aged="opened", listed=True, by=("kind", "card_set", "verb"), order="opened, call"),
        Kept("dormant", "Cards that nobody has used for long",
             "SELECT * FROM v_last_customer_activity WHERE last < {dormant}",
             ("machine", "entity", "number", "state", "kind", "card_set", "created", "last", "currency", "total"),
             ("total",), (CARDS, amount("total", SAYS["total"])),
             then=dormant_then(accounts), aged="last", listed=True,
             by=("kind", "card_set", "state"), order="last, entity",
             summed=f"SELECT * FROM ({stands('last', ())}) s WHERE last < {{dormant}}", seen=LONGEST_UNUSED),
        Kept("activity", "What was done with cards", ACTIVITY,
             ("at", "occurred_at", "type", "verb", "result", "entity", "number", "kind", "card_set", "location",
              "terminal", "order", "currency", "amount", "released", "available", "held", "reference", "request", "by"),
             ("amount", "released", "available", "held"),
             (Sum("transactions", "how many", "count(*)", "count", summed=THINGS),
              Sum("amount", "of those that were confirmed", CONFIRMED, total=False)),
             adding=(), group=("type", "verb"), listed=True,
             by=("kind", "card_set", "day", "result"), period=True, order="occurred_at, seq",
             summed=TRANSACTIONS),
        Kept("advanced_holds", "Holds that were put in force again",
             "SELECT * FROM v_advanced_hold WHERE occurred_at >= {first} AND occurred_at < {bound}",
             ("at", "occurred_at", "payment", "order", "card", "number", "kind", "card_set", "result", "currency",
              "wanted", "got", "short"), ("wanted", "got", "short"),
             (Sum("orders", "how many orders needed one", 'count(DISTINCT t."order")', "count", adds=False),
              Sum("holds", "how many there were", "count(*)", "count"),
              Sum("came_short", "how many came back with less", "sum(CASE WHEN t.short_minor > 0 THEN 1 ELSE 0 END)",
                  "count"),
              *(amount(each, SAYS[each]) for each in ("wanted", "got", "short"))),
             listed=True, by=("kind", "card_set", "day", "result"), period=True, order="occurred_at, payment"),
        Kept("trial_balance", "Every account, inside and outside; they add up to nothing",
             "SELECT * FROM v_account WHERE occurred_at < {bound}",
             ("seq", "at", "occurred_at", "machine", "entity", "command", "transition", "phase", "account", "stands",
              "currency", "amount"), ("amount",),
             (Sum("opening", "at the begin", BEGIN),
              Sum("came", "came to it in the period",
                  f"sum(CASE WHEN {IN_PERIOD} AND t.amount_minor > 0 THEN t.amount_minor ELSE 0 END)"),
              Sum("went", "left it in the period",
                  f"sum(CASE WHEN {IN_PERIOD} AND t.amount_minor < 0 THEN t.amount_minor ELSE 0 END)"),
              Sum("closing", "at the end", "sum(t.amount_minor)")),
             group=("machine", "stands", "account"), by=(), period=True, order="occurred_at, seq", summed=ACCOUNTS),
    ]  # fmt: skip
    return {each.name: each for each in reports}
