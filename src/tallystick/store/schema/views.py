"""The views of a store: what reports, analysts and their tools read. The same on SQLite and on PostgreSQL.

They are made from the pages. An outside account that says in which figures it counts (`by: {issue: issued}`) makes its
machine a *ledger*: what stands on its entities is owed. Each amount stands twice: `…_minor` in minor units, to be added
up, and as a decimal with exactly the digits of its currency (text in SQLite, numeric in PostgreSQL). The column
`number` is masked; names and texts stand as they were given. Of a command's arguments only amounts are shown, and a
PIN is in no table at all.
"""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.definition.declared import IN_DOUBT
from tallystick.definition.machine import Machine, Machines
from tallystick.store.schema.dialect import Dialect
from tallystick.store.schema.view import Parts, View

CARD, PAYMENT, HOLD_AGAIN = "gift_card", "payment", "hold_again"  # of the packaged pages
OCCURRED = "coalesce(e.occurred_at, e.at)"
HAPPENED = {"occurred_at": OCCURRED, "day": f"substr({OCCURRED}, 1, 10)"}
VIEWS = (
    "v_account", "v_edge", "v_event", "v_card", "v_movement", "v_liability", "v_customer_activity",
    "v_last_customer_activity", "v_activity", "v_set_aside", "v_doubt", "v_payment", "v_hold", "v_advanced_hold",
)  # fmt: skip


def views(machines: Machines, dialect: Dialect) -> list[View]:
    """All views that can be made of these machines, in an order in which they can be made."""
    return list(_Views(machines, dialect).all())


class _Views(Parts):
    def all(self) -> Iterator[View]:
        yield from (self._accounts(), self._edges(), self._events())
        if self.ledgers:
            yield from (self._cards(), self._movement(), self._liability(), self._active(), self._last())
            yield from (self._activity(), self._set_aside(), self._doubt())
        payment = self.machines.get(PAYMENT)
        if payment is not None and CARD in self.machines and self.link(payment, CARD):
            yield from (self._payments(), self._hold(), self._advanced())

    def _accounts(self) -> View:
        """Every posting, once for the account that it left and once for the one that it came to."""
        dialect = self.dialect
        inside = [(each.name, account) for each in self.machines.values() for account in self.accounts_of(each)]
        columns = {
            "seq": "e.seq", "at": "e.at", **HAPPENED, "machine": "e.machine", "entity": "e.entity",
            "revision": "e.revision", "command": "e.command", "transition": "e.transition", "phase": "e.phase",
            "account": "e.account",
            "stands": "CASE WHEN i.account IS NULL THEN 'outside' ELSE 'inside' END",
            "currency": "e.currency", "amount": "e.amount",
        }  # fmt: skip
        amount = dialect.whole(dialect.item("l.value", 2))
        source, target = dialect.item("l.value", 0), dialect.item("l.value", 1)
        lines = (
            f"SELECT e.*, {target} AS account, {amount} AS amount FROM entry e, {dialect.each('e.postings', 'l')} "
            f"UNION ALL "
            f"SELECT e.*, {source} AS account, -{amount} AS amount FROM entry e, {dialect.each('e.postings', 'l')}"
        )
        listed = self.values(("machine", "account"), inside)
        rest = f"FROM ({lines}) e LEFT JOIN {listed} i ON i.machine = e.machine AND i.account = e.account"
        says = "What came to an account (above zero) or left it (below), inside and outside of all entities."
        return self.view("v_account", says, columns, ["amount"], rest)

    def _edges(self) -> View:
        dialect = self.dialect
        columns = {
            "at": "e.at", **HAPPENED, "machine": "e.machine", "from_state": "e.from_state",
            "transition": "e.transition", "to_state": "e.to_state", "account": dialect.item("l.value", 1),
            "currency": "e.currency", "amount": dialect.whole(dialect.item("l.value", 2)),
        }  # fmt: skip
        rest = f"FROM entry e, {dialect.each('e.postings', 'l')} WHERE e.phase IN ('done', 'confirmed')"
        says = "What came to an account with a transition that was done, or that the provider has confirmed."
        return self.view("v_edge", says, columns, ["amount"], rest)

    def _movement(self) -> View:
        says = "Value that came onto what is owed (above zero) or left it (below), with the figure that it counts in."
        return self.union("v_movement", [self._movement_of(each, says) for each in self.ledgers])

    def _movement_of(self, machine: Machine, says: str) -> View:
        dialect, figures = self.dialect, self.figures_of(machine)
        amount, source = dialect.whole(dialect.item("l.value", 2)), dialect.item("l.value", 0)
        signed = f"CASE WHEN {source} = f.account THEN {amount} ELSE -{amount} END"
        columns = {
            "seq": "e.seq", "at": "e.at", **HAPPENED, "machine": "e.machine", "entity": "e.entity",
            **self.card(machine, "number", "kind", "card_set", "created"),
            "figure": "f.figure", "command": "e.command", "transition": "e.transition", "phase": "e.phase",
            "currency": "e.currency", "amount": signed, "key": "coalesce(e.key, e.cause)", "by": "e.by",
            "reason": "e.reason", "call": "e.call",
        }  # fmt: skip
        listed = self.values(("version", "command", "account", "figure"),
                              sorted((*pair, figure) for pair, figure in figures.items()))  # fmt: skip
        rest = (
            f'FROM entry e JOIN "{machine.name}" c ON c.id = e.entity, {dialect.each("e.postings", "l")}, {listed} f\n'
            f"WHERE {dialect.mostly(machine.name)} AND f.version = e.machine_version AND f.command = e.command "
            f"AND f.account IN ({source}, {dialect.item('l.value', 1)})"
        )
        return self.view("v_movement", says, columns, ["amount"], rest)

    def _cards(self) -> View:
        says = "An entity of a ledger, such as a card, as it is now."
        return self.union("v_card", [self._card_of(each, says) for each in self.ledgers])

    def _card_of(self, machine: Machine, says: str) -> View:
        return self.view("v_card", says, self._named(machine), [], f'FROM "{machine.name}" c', "c")

    def _named(self, machine: Machine) -> dict[str, str]:
        about = self.card(machine, "number", "state", "kind", "card_set", "created")
        return {"machine": f"'{machine.name}'", "entity": "c.id", **about, "currency": "c.currency"}

    def _liability(self) -> View:
        says = "An entity on which value stands: what is owed, by account. What is in doubt is counted once."
        return self.union("v_liability", [self._liability_of(each, says) for each in self.ledgers])

    def _liability_of(self, machine: Machine, says: str) -> View:
        own = self.accounts_of(machine)
        amounts = {name: f'c."{name}"' if name in own else "0" for name in self.ledger_accounts()}
        amounts[IN_DOUBT] = f"(c.{IN_DOUBT} - coalesce(twice.amount, 0))"
        columns = {**self._named(machine), **amounts, "total": self._owed(machine)}
        return self.view("v_liability", says, columns, [*amounts, "total"], self._standing(machine), "c")

    def _owed(self, machine: Machine) -> str:
        """All that stands on an entity, but what is counted on another one."""
        return f"({self._all(machine)} - coalesce(twice.amount, 0))"

    def _all(self, machine: Machine) -> str:
        return " + ".join(f'c."{name}"' for name in self.accounts_of(machine))

    def _standing(self, machine: Machine) -> str:
        """From the entities of a ledger on which value stands, beside what is counted on another one."""
        return (
            f'FROM "{machine.name}" c LEFT JOIN {self.twice()} twice '
            f"ON twice.machine = '{machine.name}' AND twice.id = c.id "
            f"WHERE {self._all(machine)} <> coalesce(twice.amount, 0)"
        )

    def _set_aside(self) -> View:
        says = "What a call has set aside on a card (above zero) when it was sent, and let go when its end was known."
        return self.union("v_set_aside", [self._set_aside_of(each, says) for each in self.ledgers])

    def _set_aside_of(self, machine: Machine, says: str) -> View:
        dialect = self.dialect
        source, target = dialect.item("l.value", 0), dialect.item("l.value", 1)
        moved = dialect.whole(dialect.item("l.value", 2))
        signed = f"CASE WHEN {target} = '{IN_DOUBT}' THEN {moved} WHEN {source} = '{IN_DOUBT}' THEN -{moved} ELSE 0 END"
        columns = {
            "seq": "e.seq", "at": "e.at", "occurred_at": OCCURRED, "call": "k.id", "verb": "k.verb",
            "machine": "e.machine", "entity": "e.entity", **self.card(machine, "number", "kind", "card_set"),
            "counted": "CASE WHEN k.machine = e.machine AND k.entity <> e.entity THEN 0 ELSE 1 END",
            "sent": "CASE e.phase WHEN 'asked' THEN 1 ELSE -1 END", "currency": "e.currency",
            "amount": f"coalesce((SELECT sum({signed}) FROM {dialect.each('e.postings', 'l')}), 0)",
        }  # fmt: skip
        rest = (
            f'FROM entry e JOIN call k ON k.id = e.call JOIN "{machine.name}" c ON c.id = e.entity '
            f"WHERE e.machine = '{machine.name}' AND e.call IS NOT NULL"
        )
        return self.view("v_set_aside", says, columns, ["amount"], rest)

    def _active(self) -> View:
        says = "Something that a customer was behind, as the page says."
        return self.union("v_customer_activity", [self._active_of(each, says) for each in self.ledgers])

    def _active_of(self, machine: Machine, says: str) -> View:
        columns = {"at": "e.at", "occurred_at": OCCURRED, "machine": "e.machine", "entity": "e.entity",
                   "command": "e.command"}  # fmt: skip
        return self.view("v_customer_activity", says, columns, [], f"FROM entry e WHERE {_by_customer(machine)}")

    def _last(self) -> View:
        says = "An entity on which value stands, and when its customer was last active with it."
        return self.union("v_last_customer_activity", [self._last_of(each, says) for each in self.ledgers])

    def _last_of(self, machine: Machine, says: str) -> View:
        last = f"(SELECT max({OCCURRED}) FROM entry e WHERE {_by_customer(machine)} AND e.entity = c.id)"
        columns = {**self._named(machine), "last": f"coalesce({last}, c.created)", "total": self._owed(machine)}
        return self.view("v_last_customer_activity", says, columns, ["total"], self._standing(machine), "c")

    def _activity(self) -> View:
        says = "What was done with a card at the provider's, or would have been: local books have it too."
        return self.union("v_activity", [self._activity_of(each, says) for each in self.ledgers])

    def _activity_of(self, machine: Machine, says: str) -> View:
        dialect = self.dialect
        own, every = self.accounts_of(machine), self.ledger_accounts()
        shown = [name for name in ("available", "held") if name in every]
        joins, order = self._order()
        own_args, asked = dialect.field("e.args", "amount"), dialect.field("k.args", "amount")
        told = f"coalesce({dialect.field('k.outcome', 'amount')}, {asked})"
        ended = "CASE WHEN k.state = e.phase AND k.closed = e.at THEN {} END"  # the outcome is that of the last try
        columns: dict[str, str] = {
            "seq": "e.seq", "at": "e.at", **HAPPENED, "type": "f.type", "verb": "f.verb",
            "result": "CASE e.phase WHEN 'done' THEN 'confirmed' ELSE e.phase END",
            "machine": "e.machine", "entity": "e.entity", **self.card(machine, "number", "kind", "card_set"),
            "currency": "e.currency",
            "amount": f"CASE f.sign WHEN 0 THEN {dialect.whole(told)} ELSE f.sign * {dialect.whole(own_args)} END",
            "released": dialect.whole(f"coalesce({dialect.field('k.args', 'release')}, "
                                      f"{dialect.field('e.args', 'release')})"),
            **{name: dialect.whole(dialect.field("e.after", name) if name in own else "NULL") for name in shown},
            "order": order, "key": "coalesce(e.key, e.cause)", "by": "e.by",
            "call": "e.call", "reference": ended.format(dialect.field("k.outcome", "reference")),
            "request": ended.format(dialect.field("k.outcome", "request")),
        }  # fmt: skip
        listed = self.values(("version", "transition", "verb", "type", "sign"), self.asks_of(machine))
        rest = (
            f"FROM entry e JOIN {listed} f ON f.version = e.machine_version AND f.transition = e.transition\n"
            f'JOIN "{machine.name}" c ON c.id = e.entity LEFT JOIN call k ON k.id = e.call\n'
            f"{joins}\nWHERE {dialect.mostly(machine.name)} AND e.phase <> 'asked'"
        )
        return self.view("v_activity", says, columns, ["amount", "released", *shown], rest)

    def _order(self) -> tuple[str, str]:
        """The joins that find the order of an entry, and its column: its own argument, or that of who gave the command.

        `m` is the entity that was given the command: the entry's own, or one that drove it.
        """
        having = [each for each in self.machines.values() if "order" in self.facts(each)]
        keys = "_key" if self.dialect.postgres else "entry"
        joins = [f"LEFT JOIN {keys} m ON m.key = coalesce(e.cause, e.key)"] + [
            f"LEFT JOIN \"{each.name}\" o{at} ON m.machine = '{each.name}' AND o{at}.id = m.entity"
            for at, each in enumerate(having)
        ]
        found = [self.of(each, "order", f"o{at}") for at, each in enumerate(having)]
        known = [self.dialect.text(self.dialect.field("e.args", "order")), *found, "NULL"]
        return " ".join(joins), f"coalesce({', '.join(known)})"

    def _events(self) -> View:
        says = "An entry of the journal, with the order, the card and the payment that it is about."
        return self.union("v_event", [self._events_of(each, says) for each in self.machines.values()])

    def _events_of(self, machine: Machine, says: str) -> View:
        dialect = self.dialect
        joins, order = self._order()
        link = self.link(machine, CARD)
        card = "e.entity" if machine.name == CARD else f'c."{link}"' if link else "CAST(NULL AS text)"
        payment = "e.entity" if machine.name == PAYMENT else f"CASE WHEN m.machine = '{PAYMENT}' THEN m.entity END"
        amount, target = dialect.whole(dialect.item("l.value", 2)), dialect.item("l.value", 1)
        columns = {
            "seq": "e.seq", "at": "e.at", "occurred_at": OCCURRED, "machine": "e.machine", "entity": "e.entity",
            "revision": "e.revision", "command": "e.command", "transition": "e.transition", "phase": "e.phase",
            "from_state": "e.from_state", "to_state": "e.to_state",
            "order": f"coalesce({self.of(machine, 'order')}, {order})", "card": card,
            "payment": payment, "currency": "e.currency",
            "amount": f"coalesce((SELECT sum({amount}) FROM {dialect.each('e.postings', 'l')} "
                      f"WHERE e.phase <> 'confirmed' OR {target} <> '{IN_DOUBT}'), 0)",
            "key": "coalesce(e.key, e.cause)", "by": "e.by", "call": "e.call",
        }  # fmt: skip
        rest = f"FROM entry e JOIN \"{machine.name}\" c ON c.id = e.entity {joins}\nWHERE e.machine = '{machine.name}'"
        return self.view("v_event", says, columns, ["amount"], rest)

    def _doubt(self) -> View:
        says = "An open call whose end is not known, and what it has set aside. A card and its payment count once."
        return self.union("v_doubt", [self._doubt_of(each, says) for each in self.ledgers])

    def _doubt_of(self, machine: Machine, says: str) -> View:
        dialect = self.dialect
        step = f"{dialect.item('s.value', 0)} = e.machine AND {dialect.item('s.value', 1)} = e.entity"
        aside = (
            f"coalesce((SELECT sum({dialect.whole(self.plain('a'))}) FROM {dialect.each('e.steps', 's')}, "
            f"{dialect.each(dialect.inner('s.value', 5), 'a')} WHERE {step}), 0)"
        )
        opened = (
            f"(SELECT max(a.at) FROM entry a WHERE a.machine = '{machine.name}' AND a.entity = e.entity "
            f"AND a.call = e.id AND a.phase = 'asked')"
        )
        columns = {
            "call": "e.id", "verb": "e.verb", "machine": "e.machine", "entity": "e.entity",
            **self.card(machine, "number", "kind", "card_set"), "currency": "e.currency", IN_DOUBT: aside,
            "opened": f"coalesce({opened}, e.opened)", "asked": "e.asked", "attempts": "e.attempts",
            "unclear": "CAST(e.unclear AS INTEGER)", "note": "e.note", "key": "e.key",
        }  # fmt: skip
        rest = (
            f'FROM call e JOIN "{machine.name}" c ON c.id = e.entity\n'
            f"WHERE e.state = 'open' AND e.machine = '{machine.name}'"
        )
        return self.view("v_doubt", says, columns, [IN_DOUBT], rest)

    def _payments(self) -> View:
        card, payment = self.machines[CARD], self.machines[PAYMENT]
        amounts = ["held", "uncovered", "redeemed", IN_DOUBT]
        asked = {"requested": 'e."requested"'} if self.facts(payment).get("requested") in ("money", "count") else {}
        columns = {
            "payment": "e.id", "order": self.of(payment, "order", "e"), "card": self._link,
            **self.card(card, "number", "kind", "card_set"), "state": "e.state", "created": "e.created",
            "currency": "e.currency", **asked, **{name: self.amount_of(payment, name, "e") for name in amounts},
        }  # fmt: skip
        rest = f'FROM "{PAYMENT}" e JOIN "{CARD}" c ON c.id = {self._link}'
        return self.view("v_payment", "A payment as it is now.", columns, [*asked, *amounts], rest)

    @property
    def _link(self) -> str:
        return f'e."{self.link(self.machines[PAYMENT], CARD)}"'

    def _hold(self) -> View:
        dialect, card, payment = self.dialect, self.machines[CARD], self.machines[PAYMENT]
        held = self.amount_of(payment, "held", "e")
        into = f"EXISTS (SELECT 1 FROM {dialect.each('a.postings', 'l')} WHERE {dialect.item('l.value', 1)} = 'held')"
        since = (
            f"(SELECT coalesce(a.occurred_at, a.at) FROM entry a WHERE a.machine = '{PAYMENT}' AND a.entity = e.id "
            f"AND a.phase IN ('done', 'confirmed') AND {into} ORDER BY a.revision DESC LIMIT 1)"
        )
        columns = {
            "payment": "e.id", "order": self.of(payment, "order", "e"), "card": self._link,
            **self.card(card, "number", "kind", "card_set"), "state": "e.state", "currency": "e.currency",
            "held": held, "hold": self.of(payment, "hold_id", "e"), "since": f"coalesce({since}, e.updated)",
        }  # fmt: skip
        rest = f'FROM "{PAYMENT}" e JOIN "{CARD}" c ON c.id = {self._link} WHERE {held} > 0'
        return self.view("v_hold", "A payment's hold that is in force.", columns, ["held"], rest)

    def _advanced(self) -> View:
        dialect, card, payment = self.dialect, self.machines[CARD], self.machines[PAYMENT]
        link = f'p."{self.link(payment, CARD)}"'
        amount, target = dialect.whole(dialect.item("l.value", 2)), dialect.item("l.value", 1)
        lines = dialect.each("a.postings", "l")
        got = f"coalesce((SELECT sum({amount}) FROM {lines} WHERE {target} = 'held'), 0)"
        asked = ", ".join(dialect.whole(dialect.field(f"{each}.args", "amount")) for each in "qka")
        of_hold = f"machine = '{PAYMENT}' AND {{0}}.command = '{HOLD_AGAIN}'"
        again = f"{dialect.mostly(PAYMENT, 'a')} AND a.command = '{HOLD_AGAIN}'"
        ended = f"{again} AND a.phase IN ('done', 'confirmed', 'declined')"
        tried = (
            f"SELECT a.seq, a.at, a.occurred_at, a.entity, a.currency, "
            f"CASE a.phase WHEN 'done' THEN 'confirmed' ELSE a.phase END AS result, {got} AS got, "
            f"coalesce({asked}) AS wanted FROM entry a LEFT JOIN call k ON k.id = a.call "
            f"LEFT JOIN queue q ON q.key = coalesce(a.cause, a.key) AND q.entity = a.entity "
            f"AND q.{of_hold.format('q')} WHERE {ended}"
        )
        refused = (
            f"SELECT CAST(NULL AS INTEGER), q.due, CAST(NULL AS text), q.entity, p.currency, q.state, 0, "
            f'{dialect.whole(dialect.field("q.args", "amount"))} FROM queue q JOIN "{PAYMENT}" p ON p.id = q.entity '
            f"WHERE q.{of_hold.format('q')} AND q.state IN ('refused', 'parked', 'dismissed') AND NOT EXISTS "
            f"(SELECT 1 FROM entry a WHERE a.entity = q.entity AND coalesce(a.cause, a.key) = q.key AND {ended})"
        )
        columns = {
            "seq": "e.seq", "at": "e.at", **HAPPENED, "payment": "e.entity",
            "order": self.of(payment, "order", "p"), "card": link, **self.card(card, "number", "kind", "card_set"),
            "result": "e.result", "currency": "e.currency", "wanted": "e.wanted", "got": "e.got",
            "short": "(e.wanted - e.got)",
        }  # fmt: skip
        rest = (
            f'FROM ({tried} UNION ALL {refused}) e JOIN "{PAYMENT}" p ON p.id = e.entity '
            f'JOIN "{CARD}" c ON c.id = {link}'
        )
        says = "The rest of a hold that was held again after a part had shipped, and what came of it."
        return self.view("v_advanced_hold", says, columns, ["wanted", "got", "short"], rest)


def _by_customer(machine: Machine) -> str:
    """Whether an entry `e` of this machine is something that a customer was behind."""
    commands = ", ".join(f"'{name}'" for name, command in machine.commands.items() if command.customer) or "''"
    return f"e.machine = '{machine.name}' AND e.phase IN ('done', 'confirmed') AND e.command IN ({commands})"
