"""What a view is, and the parts of SQL that several views share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from tallystick.definition.declared import IN_DOUBT, Ask
from tallystick.definition.machine import Machine, Machines
from tallystick.provider.verbs import ACTIVITY
from tallystick.store.schema.dialect import Dialect


@attrs.frozen
class View:
    name: str
    says: str  # what a row is
    columns: tuple[str, ...]  # those in `amounts` stand twice
    amounts: frozenset[str]
    sql: str  # the SELECT

    def names_of(self, column: str) -> tuple[str, ...]:
        """Under which names a column stands in the view."""
        return (f"{column}_minor", column) if column in self.amounts else (column,)


def ledgers(machines: Machines) -> list[Machine]:
    """The machines whose entities carry what is owed."""
    return [machine for machine in machines.values() if machine.figures]


NOT_TEXT = frozenset(["money", "count", "flag"])  # kinds of facts whose columns are numbers, or true and false
COUNTED = {"version": "INTEGER", "sign": "INTEGER"}  # columns of listed tables that are numbers


class Parts:
    """Parts of the SQL of views, over these machines. A view names the row that it is about `e`, and its card `c`."""

    def __init__(self, machines: Machines, dialect: Dialect) -> None:
        self.machines, self.dialect = machines, dialect
        self.ledgers = ledgers(machines)

    def view(
        self, name: str, says: str, columns: Mapping[str, str], amounts: Sequence[str], rest: str, of: str = "e"
    ) -> View:
        """A view with these columns and their SQL. `amounts` are minor units of the currency that the row `of` has."""
        listed = []
        for column, sql in columns.items():
            if column in amounts:
                listed += [f'{self.dialect.big(sql)} AS "{column}_minor"']
                listed += [f'{self.dialect.decimal(sql, f"{of}.currency")} AS "{column}"']
            else:
                listed.append(f'{sql} AS "{column}"')
        return View(name, says, tuple(columns), frozenset(amounts), f"SELECT {', '.join(listed)}\n{rest}")

    def union(self, name: str, parts: Sequence[View]) -> View:
        return attrs.evolve(parts[0], name=name, sql="\nUNION ALL\n".join(each.sql for each in parts))

    def values(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
        """A table that stands in the query."""
        lines = ", ".join("(" + ", ".join(literal(each) for each in row) + ")" for row in rows)
        if not rows:
            nothing = ", ".join(f"CAST(NULL AS {COUNTED.get(each, 'text')}) AS {each}" for each in columns)
            return f"(SELECT {nothing} WHERE 1 = 0)"
        named = ", ".join(f"column{at} AS {each}" for at, each in enumerate(columns, 1))
        return f"(SELECT {named} FROM (VALUES {lines}) AS listed)"

    def of(self, machine: Machine, fact: str, table: str = "c") -> str:
        """A fact as text, whatever the page says that it is. NULL where it has no such fact."""
        kind = self.facts(machine).get(fact)
        if kind is None:
            return "CAST(NULL AS text)"
        column = f'{table}."{fact}"'
        return f"CAST({column} AS text)" if kind in NOT_TEXT else column

    def amount_of(self, machine: Machine, name: str, table: str = "c") -> str:
        """What stands on an account; 0 where it has no such account."""
        return f'{table}."{name}"' if name in self.accounts_of(machine) else "0"

    def facts(self, machine: Machine) -> dict[str, str]:
        """The facts of any version, each with its kind. The newest version says it."""
        versions = self.machines.versions(machine.name)
        return {name: fact.type.kind for version in versions for name, fact in version.facts.items()}

    def link(self, machine: Machine, to: str) -> str | None:
        """By which fact it is linked to another machine, if it is."""
        versions = self.machines.versions(machine.name)
        return next((name for each in versions for name, other in each.links.items() if other == to), None)

    def number(self, machine: Machine, table: str = "c") -> str:
        """The card number, masked; of a sealed one the last four characters are readable, too."""
        facts = machine.facts.values()
        number = next((f'{table}."{fact.name}"' for fact in facts if fact.type.kind == "number"), None)
        if number is None:
            return "CAST(NULL AS text)"
        masked = f"CASE WHEN length({number}) > 4 THEN '…' || substr({number}, length({number}) - 3) ELSE '…' END"
        return f"CASE WHEN {number} IS NOT NULL THEN {masked} END"

    def card(self, machine: Machine, *names: str) -> dict[str, str]:
        found = {"number": self.number(machine), "state": "c.state", "created": "c.created"}
        return {name: found.get(name) or self.of(machine, name) for name in names}

    def accounts_of(self, machine: Machine) -> list[str]:
        return list(dict.fromkeys(name for each in self.machines.versions(machine.name) for name in each.columns))

    def ledger_accounts(self) -> list[str]:
        """Of all ledgers, what is in doubt at the end."""
        found = dict.fromkeys(name for each in self.ledgers for name in self.accounts_of(each))
        found.pop(IN_DOUBT, None)
        return [*found, IN_DOUBT]

    def figures_of(self, machine: Machine) -> dict[tuple[int, str, str], str]:
        """In which figure a movement counts, by version, command and outside account.

        The newest page says it, else the page that it was made with; else it counts in a figure named as the account.
        """
        found: dict[tuple[int, str, str], str] = {}
        for version in self.machines.versions(machine.name):
            for transition in version.transitions.values():
                ends = {account for move in transition.moves for account in (move.source, move.target)}
                for account in sorted(ends & {*version.outside}):
                    said = {**version.figures.get(account, {}), **machine.figures.get(account, {})}
                    found |= {(version.version, each, account): said.get(each, account) for each in transition.commands}
        return found

    def asks_of(self, machine: Machine) -> list[tuple[int, str, str, str, int]]:
        """What a transition asks the provider: version, transition, verb, in what kind of activity, with which sign."""
        return sorted({
            (version.version, transition.name, ask.verb, ACTIVITY[ask.verb], _sign(ask))
            for version in self.machines.versions(machine.name)
            for transition in version.transitions.values() if (ask := transition.ask) is not None
        })  # fmt: skip

    def figures(self) -> list[str]:
        """All figures of the ledgers: first those that their newest pages name, as they stand there."""
        named = [name for each in self.ledgers for by in each.figures.values() for name in by.values()]
        return list(
            dict.fromkeys([*named, *(name for each in self.ledgers for name in self.figures_of(each).values())])
        )

    def twice(self) -> str:
        """What open calls have set aside on other entities than the one they ask about: it is counted there."""
        dialect = self.dialect
        machine, id = dialect.item("s.value", 0), dialect.item("s.value", 1)
        return (
            f"(SELECT {machine} AS machine, {id} AS id, sum({dialect.whole(self.plain('a'))}) AS amount "
            f"FROM call k, {dialect.each('k.steps', 's')}, {dialect.each(dialect.inner('s.value', 5), 'a')} "
            f"WHERE k.state = 'open' AND {machine} = k.machine AND {id} <> k.entity GROUP BY {machine}, {id})"
        )

    def plain(self, alias: str) -> str:
        """The value of an item that is no list."""
        return f"({alias}.value #>> '{{}}')" if self.dialect.postgres else f"{alias}.value"


def _sign(ask: Ask) -> int:
    """With which the entry's own amount is asked for at the provider's; 0: it is asked for something else."""
    argument = ask.arguments.get("amount")
    return {"amount": 1, "-amount": -1}.get(argument.source.replace(" ", ""), 0) if argument is not None else 0


def literal(value: object) -> str:
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"
