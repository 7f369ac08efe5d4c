"""How each of the two databases reads the JSON of a row, and how it writes an amount as a decimal."""

from __future__ import annotations

import attrs

from tallystick.money import CODES, exponent


@attrs.frozen
class Dialect:
    postgres: bool = False

    def each(self, column: str, alias: str) -> str:
        """The items of a list, as `alias.value`."""
        function = "json_array_elements" if self.postgres else "json_each"
        return f"{function}({column}) AS {alias}{'(value)' if self.postgres else ''}"

    def item(self, of: str, index: int) -> str:
        return f"({of} ->> {index})" if self.postgres else f"json_extract({of}, '$[{index}]')"

    def inner(self, of: str, index: int) -> str:
        """An item that is a list itself."""
        return f"({of} -> {index})" if self.postgres else f"json_extract({of}, '$[{index}]')"

    def field(self, column: str, name: str) -> str:
        return f"(({column})::json ->> '{name}')" if self.postgres else f"json_extract({column}, '$.{name}')"

    def mostly(self, machine: str, alias: str = "e") -> str:
        """Whether an entry is of this machine: with the `+`, SQLite does not look for it by an index."""
        return f"{'' if self.postgres else '+'}{alias}.machine = '{machine}'"

    def whole(self, value: str) -> str:
        return f"CAST({value} AS BIGINT)" if self.postgres else f"CAST({value} AS INTEGER)"

    def text(self, value: str) -> str:
        """As text, also where the JSON has a number. PostgreSQL gives nothing else."""
        return value if self.postgres else f"CAST({value} AS TEXT)"

    def big(self, minor: str) -> str:
        """A sum in minor units. PostgreSQL adds up to a numeric."""
        return f"CAST({minor} AS BIGINT)" if self.postgres else minor

    def decimal(self, minor: str, currency: str) -> str:
        """An amount with exactly the digits of its currency: text in SQLite, which has no decimals of its own."""
        cases = []
        for digits in sorted({exponent(code) for code in CODES} - {2}):
            codes = ", ".join(f"'{code}'" for code in CODES if exponent(code) == digits)
            cases.append(f"WHEN {currency} IN ({codes}) THEN {self._decimal(minor, digits)}")
        return f"CASE {' '.join(cases)} ELSE {self._decimal(minor, 2)} END"

    def _decimal(self, minor: str, digits: int) -> str:
        if self.postgres:
            return f"({minor}) * {10**-digits:.{digits}f}::numeric" if digits else f"({minor})::numeric"
        if not digits:
            return f"CAST({minor} AS TEXT)"
        sign, size = f"CASE WHEN {minor} < 0 THEN '-' WHEN {minor} >= 0 THEN '' END", 10**digits
        return f"{sign} || printf('%d.%0{digits}d', abs({minor}) / {size}, abs({minor}) % {size})"
