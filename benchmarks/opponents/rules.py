"""Who decides about a payment and its card, in the store by hand: ifs, or a library of state machines.

All know the same states, guards and moves, as far as authorizing and settling need them. They change what was read from
the database; the store then writes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.opponents.in_memory import Refused

if TYPE_CHECKING:
    from benchmarks.opponents.by_hand import Card, Payment


class Rules(Protocol):
    """Changes the states and amounts of both, or raises Refused."""

    def authorize(self, payment: Payment, card: Card, amount: int) -> None: ...
    def settle(self, payment: Payment, card: Card, amount: int) -> None:
        """Settle all that is held, with nothing else to ship. No other way to settle is measured."""


class Ifs:
    """By hand."""

    def authorize(self, payment: Payment, card: Card, amount: int) -> None:
        if payment.state != "requested" or card.state != "issued" or card.currency != payment.currency:
            raise Refused(f"payment {payment.id!r} is {payment.state}, its card {card.state}")
        if not 0 < amount <= card.available:
            raise Refused(f"{amount} is not available on card {card.id!r}")
        payment.state = "authorized"
        payment.held += amount
        card.available -= amount
        card.held += amount

    def settle(self, payment: Payment, card: Card, amount: int) -> None:
        if payment.state not in ("authorized", "partially_settled", "advanced_hold"):
            raise Refused(f"payment {payment.id!r} is {payment.state}")
        if not 0 < amount == payment.held or payment.uncovered != 0 or card.currency != payment.currency:
            raise Refused(f"{amount} is not what payment {payment.id!r} holds")
        if card.state not in ("issued", "suspended") or amount > card.held:
            raise Refused(f"card {card.id!r} is {card.state}")
        payment.state = "closed"
        payment.held -= amount
        payment.redeemed += amount
        card.held -= amount


def python_statemachine() -> Rules:  # noqa: C901  # two charts, with their guards and moves
    """Two charts of the library python-statemachine, put on the rows that were read: they are its models."""
    from statemachine import State, StateMachine
    from statemachine.exceptions import TransitionNotAllowed

    class CardChart(StateMachine):
        issued: Any = State(initial=True)
        suspended: Any = State()
        hold: Any = issued.to(issued, cond="is_available", on="do_hold")
        redeem_hold: Any = issued.to(issued, cond="is_held", on="do_redeem") | suspended.to(
            suspended, cond="is_held", on="do_redeem"
        )
        suspend: Any = issued.to(suspended)

        def is_available(self, amount: int) -> bool:
            return 0 < amount <= self.model.available

        def is_held(self, amount: int) -> bool:
            return 0 < amount <= self.model.held

        def do_hold(self, amount: int) -> None:
            self.model.available -= amount
            self.model.held += amount

        def do_redeem(self, amount: int) -> None:
            self.model.held -= amount

    class PaymentChart(StateMachine):
        requested: Any = State(initial=True)
        authorized: Any = State()
        partially_settled: Any = State()
        advanced_hold: Any = State()
        closed: Any = State(final=True)
        authorize: Any = requested.to(authorized, cond="is_positive", on="do_hold")
        settle: Any = (
            authorized.to(closed, cond="is_all", on="do_settle")
            | partially_settled.to(closed, cond="is_all", on="do_settle")
            | advanced_hold.to(closed, cond="is_all", on="do_settle")
        )
        ship_part: Any = authorized.to(partially_settled)
        hold_again: Any = partially_settled.to(advanced_hold)

        def is_positive(self, amount: int) -> bool:
            return amount > 0

        def is_all(self, amount: int) -> bool:
            return 0 < amount == self.model.held and self.model.uncovered == 0

        def do_hold(self, amount: int, card: CardChart) -> None:
            card.hold(amount=amount)
            self.model.held += amount

        def do_settle(self, amount: int, card: CardChart) -> None:
            card.redeem_hold(amount=amount)
            self.model.held -= amount
            self.model.redeemed += amount

    class Charts:
        def authorize(self, payment: Payment, card: Card, amount: int) -> None:
            self._send("authorize", payment, card, amount)

        def settle(self, payment: Payment, card: Card, amount: int) -> None:
            self._send("settle", payment, card, amount)

        def _send(self, event: str, payment: Payment, card: Card, amount: int) -> None:
            if card.currency != payment.currency:
                raise Refused("two currencies")
            driven = CardChart(card, state_field="state")
            try:
                PaymentChart(payment, state_field="state").send(event, amount=amount, card=driven)
            except TransitionNotAllowed as error:
                raise Refused(str(error)) from error

    return Charts()


def xstate_statemachine() -> Rules:
    """Two charts of the library xstate-statemachine; its pure function makes the next snapshot of one and an event."""
    from xstate_statemachine import MachineLogic, PureSnapshot, create_machine, pure_transition

    def chart(id: str, states: dict[str, Any], names: tuple[str, ...]) -> Any:
        context = dict.fromkeys(names, 0)
        config = {"id": id, "initial": next(iter(states)), "context": context, "states": states}
        guards = {
            "positive": lambda context, event: event.payload["amount"] > 0,
            "available": lambda context, event: 0 < event.payload["amount"] <= context["available"],
            "held": lambda context, event: 0 < event.payload["amount"] <= context["held"],
            "all": lambda context, event: (
                0 < event.payload["amount"] == context["held"] and context["uncovered"] == 0
            ),
        }  # fmt: skip
        used = {each["guard"] for state in states.values() for each in state.get("on", {}).values()}
        moved = {"move": lambda interpreter, context, event, action: None}  # the pure function only names it
        logic = MachineLogic(guards={name: guards[name] for name in used}, actions=moved)
        return create_machine(config, logic=logic)

    def to(target: str, guard: str) -> dict[str, Any]:
        return {"target": target, "guard": guard, "actions": ["move"]}

    payments = chart("payment", {
        "requested": {"on": {"AUTHORIZE": to("authorized", "positive")}},
        "authorized": {"on": {"SETTLE": to("closed", "all")}},
        "partially_settled": {"on": {"SETTLE": to("closed", "all")}},
        "advanced_hold": {"on": {"SETTLE": to("closed", "all")}},
        "closed": {"type": "final"},
    }, ("held", "uncovered", "redeemed"))  # fmt: skip
    cards = chart("card", {
        "issued": {"on": {"HOLD": to("issued", "available"), "REDEEM_HOLD": to("issued", "held")}},
        "suspended": {"on": {"REDEEM_HOLD": to("suspended", "held")}},
    }, ("available", "held"))  # fmt: skip

    def sent(chart: Any, state: str, context: dict[str, int], event: str, amount: int) -> str:
        """The next state. A chart that does not take an event stays as it was, and names nothing to be done."""
        before = PureSnapshot({f"{chart.id}.{state}"}, {chart.id, f"{chart.id}.{state}"}, context)
        after, actions = pure_transition(chart, before, {"type": event, "amount": amount})
        if not actions:
            raise Refused(f"{event} of {amount} in {state}")
        (leaf,) = after.state_ids
        return str(leaf).rpartition(".")[2]

    class Charts:
        def authorize(self, payment: Payment, card: Card, amount: int) -> None:
            self._send("AUTHORIZE", "HOLD", payment, card, amount)
            payment.held += amount
            card.available -= amount
            card.held += amount

        def settle(self, payment: Payment, card: Card, amount: int) -> None:
            self._send("SETTLE", "REDEEM_HOLD", payment, card, amount)
            payment.held -= amount
            payment.redeemed += amount
            card.held -= amount

        def _send(self, event: str, driven: str, payment: Payment, card: Card, amount: int) -> None:
            if card.currency != payment.currency:
                raise Refused("two currencies")
            mine = {"held": payment.held, "uncovered": payment.uncovered, "redeemed": payment.redeemed}
            state = sent(payments, payment.state, mine, event, amount)
            theirs = {"available": card.available, "held": card.held}
            card.state = sent(cards, card.state, theirs, driven, amount)
            payment.state = state

    return Charts()
