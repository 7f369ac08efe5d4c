"""Findings as other programs show them beside the lines of a page: as SARIF, or as annotations of a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

UNREAD = "page"  # the code of what keeps a page from being read


class Remark(NamedTuple):
    """What is said of a place in a file."""

    code: str
    file: str
    line: int
    column: int
    text: str
    decided: bool = True  # False: it is not known to be wrong


def as_sarif(remarks: Iterable[Remark], titles: Mapping[str, str]) -> dict[str, Any]:
    """One run in SARIF 2.1.0."""
    listed = list(remarks)
    rules = [{"id": code, "shortDescription": {"text": titles.get(code, "a page that cannot be read")}}
             for code in dict.fromkeys(each.code for each in listed)]  # fmt: skip
    results = [
        {
            "ruleId": each.code,
            "level": "error" if each.decided else "warning",
            "message": {"text": each.text},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": Path(each.file).as_posix()},
                        "region": {"startLine": each.line, "startColumn": each.column},
                    }
                }
            ],
        }
        for each in listed
    ]
    tool = {"driver": {"name": "tallystick check", "rules": rules}}
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return {"version": "2.1.0", "$schema": schema, "runs": [{"tool": tool, "results": results}]}


def as_annotation(remark: Remark) -> str:
    """One line that GitHub Actions shows at the line of the page. Its signs are written as GitHub wants them."""
    place = f"file={_property(remark.file)},line={remark.line},col={remark.column},title={_property(remark.code)}"
    return f"::{'error' if remark.decided else 'warning'} {place}::{_message(remark.text)}"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
