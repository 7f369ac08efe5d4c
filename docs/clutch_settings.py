"""The tables in clutch-settings.md, made from the class of the settings."""

from __future__ import annotations

from typing import Any

import attrs

from tallystick.clutch.environment import variable
from tallystick.clutch.settings import ACCESS, RULES, ClutchSettings


def settings() -> str:
    """A table for each part of the settings."""
    lines, part = [], ""
    for field in attrs.fields(ClutchSettings):
        if field.metadata["part"] != part:
            part = field.metadata["part"]
            lines += ["", f"## {part}", "", "| setting | default | known | what it is |", "| --- | --- | --- | --- |"]
        known, says = field.metadata["known"], field.metadata["says"]
        lines.append(f"| `{field.name}` | {_default(field)} | {known} | {says} |")
    return "\n".join([*lines[1:], ""])


def rules() -> str:
    """The default of `rules`."""
    lines = ["| errorCode | errorMessage has | reason |", "| --- | --- | --- |"]
    for rule in RULES:
        pattern = f"`{rule.text}`".replace("|", "\\|") if rule.text else ""
        lines.append(f"| {rule.code or ''} | {pattern} | {rule.reason} |")
    return "\n".join([*lines, ""])


def _default(field: attrs.Attribute[Any]) -> str:
    if field.name in ACCESS:
        return f"`{variable(field.name)}`"
    if field.name == "rules":
        return "see below"
    factory = getattr(field.default, "factory", None)  # of a mapping, which must be made anew
    return f"`{factory() if factory else field.default!r}`"
