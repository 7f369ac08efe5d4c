"""What the second pass looks up on one page: its states, its commands, and the names its expressions may use."""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.definition import expression
from tallystick.definition.declared import BUSY, COUNT, IN_DOUBT, TOTAL
from tallystick.definition.expression import AlreadyReported, Expression, ExpressionError, Name, Type
from tallystick.definition.first_pass import Declarations
from tallystick.definition.shapes import Located
from tallystick.errors import nearest


class Scope:
    """Finds things of one page by their name. A name that is not declared is reported."""

    def __init__(self, page: Declarations, machines: Mapping[str, Declarations]) -> None:
        self.page = page
        self.faults = page.faults
        self.machines = machines
        self.parts = {
            name: each for name, each in machines.items() if each is not page and len(linking(each, page)) == 1
        }

        self.links = {  # whose accounts can be read: it is there always, and no part has its name
            name: fact.type.machine
            for name, fact in page.facts.items()
            if fact.type.kind == "link" and not fact.type.optional and name not in self.parts
        }

    def names(self, arguments: Mapping[str, Type], states: tuple[str, ...]) -> dict[str, Name]:
        """The names that an expression may use, in a command with these arguments, in these states."""
        facts = {name: fact.type for name, fact in self.page.facts.items()}
        accounts = [*self.page.accounts, *([IN_DOUBT] if self.page.accounts else [])]
        scope = expression.scope_of(dict.fromkeys(accounts), facts, arguments, states)
        return scope | {name: Name(f"a[{name!r}]", type_) for name, type_ in self._read_names(arguments).items()}

    def _read_names(self, arguments: Mapping[str, Type]) -> dict[str, Type]:
        """What is read of other entities and of shares, and given as if it were an argument."""
        money, found = Type("money"), dict[str, Type]()
        for name, machine in self.links.items():
            linked = self.machines[machine].accounts if machine in self.machines else ()
            found |= {f"{name}.{account}": money for account in (*linked, IN_DOUBT)}
        for name, part in self.parts.items():
            found |= {f"{name}.{account}": money for account in (*part.accounts, IN_DOUBT)}
            found |= {f"{name}.{field}": Type("count") for field in (BUSY, COUNT)}
        return found | {f"{name}.{TOTAL}": money for name, type_ in arguments.items() if type_.kind == "shares"}

    def expression(self, text: Located, names: Mapping[str, Name], wanted: Type, what: str) -> Expression | None:
        """The expression, if it is one of the wanted type; else it is reported."""
        try:
            found = expression.read(text.value, names)
        except AlreadyReported:
            return None
        except ExpressionError as error:
            self.faults.add(text, f"in '{text.value}': {error}", error.offset if text.exact else 0)
            return None
        if not wanted.accepts(found.type):
            needed = "true or false" if wanted.kind == "flag" else wanted
            self.faults.add(text, f"'{text.value}' is {found.type}, but {what} has to be {needed}")
        return found

    def guard(self, text: Located, names: Mapping[str, Name]) -> Expression | None:
        """A guard: an expression that is true or false."""
        return self.expression(text, names, Type("flag"), "a guard")

    def state(self, name: Located) -> str | None:
        """The state of this name."""
        if name.value in self.page.states:
            return str(name.value)
        self.faults.add(name, f"state {name.value!r} is not declared.{nearest(name.value, list(self.page.states))}")
        return None

    def commands(self, names: list[Located]) -> tuple[str, ...]:
        """The commands of these names, each once."""
        known = self.page.commands
        for name in names:
            if name.value not in known:
                self.faults.add(name, f"command {name.value!r} is not declared.{nearest(name.value, list(known))}")
            if [other.value for other in names].count(name.value) > 1:
                self.faults.add(name, f"{name.value!r} is listed twice")
        return tuple(dict.fromkeys(name.value for name in names if name.value in known))


def linking(page: Declarations, to: Declarations) -> list[str]:
    """The facts of a page that link to another."""
    return [name for name, fact in page.facts.items() if fact.type.kind == "link" and fact.type.machine == to.name]
