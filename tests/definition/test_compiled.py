"""What pages were compiled to is kept as data, and is the same as what is read anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from tallystick.definition import passes, reader
from tallystick.definition.behaviour import digest_of
from tallystick.definition.machine import Machine, Machines
from tallystick.errors import MachineError

ROOT = Path(__file__).parents[2]
FIELDS = ["places", *(each.name for each in attrs.fields(Machine) if each.name != "fast_paths")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TALLYSTICK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def kept(folder: Path) -> Path:
    (found,) = folder.glob("*.machines.json")
    return found


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def refuse(*_: object) -> None:
        raise AssertionError("it was read anew")

    return lambda: monkeypatch.setattr(passes, "read_layers", refuse)


def same(one: Machines, other: Machines) -> None:
    assert list(one) == list(other)
    for name in one:
        for field in FIELDS:
            assert getattr(one[name], field) == getattr(other[name], field), (name, field)
        assert list(one[name].table) == list(other[name].table)
        assert digest_of(one[name]) == digest_of(other[name])


@pytest.mark.parametrize("more", [[], [ROOT / "examples/own_machine/machines"]])
def test_what_was_kept_is_what_is_read_anew(folder: Path, never: Callable[[], None], more: list[Path]) -> None:
    fresh = reader.load(*more)
    never()
    same(reader.load(*more), fresh)


def test_another_text_is_read_anew(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "gift_card.yaml"
    text = (reader.packaged_folder() / "gift_card.yaml").read_text(encoding="utf-8")
    page.write_text(text, encoding="utf-8")
    before = reader.load(page)
    page.write_text(text + "\n# more", encoding="utf-8")
    assert reader.load(page)["gift_card"].text != before["gift_card"].text
    assert len(list(folder.glob("*.machines.json"))) == 2


def test_pages_with_a_fault_are_not_kept(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.yaml"
    page.write_text("machine: card\n", encoding="utf-8")
    for _ in range(2):
        with pytest.raises(MachineError):
            reader.load(page)
    assert list(folder.glob("*.machines.json")) == []


@pytest.mark.parametrize(
    "spoiled", ["", "[]", "[]x", "{}", "7", "null", '["t"]', '[["t"]]', '[["t",0]]', '[1,["t",0]]', '[1,["Nobody",0]]']
)
def test_what_cannot_be_read_is_read_anew(folder: Path, spoiled: str) -> None:
    fresh = reader.load()
    text = kept(folder).read_text(encoding="utf-8")
    kept(folder).write_text(spoiled, encoding="utf-8")
    same(reader.load(), fresh)
    assert kept(folder).read_text(encoding="utf-8") == text, "and kept again"


@pytest.mark.parametrize(
    "code", ["print()", "().__class__", "v.keys()", "[x for x in ()]", "lambda: 1", "f'{s}'", "open", "o._x", "a[s]", "v['a'](1)if s else 1"]
)  # fmt: skip
def test_code_that_the_reader_does_not_write_is_never_run(folder: Path, code: str) -> None:
    """Whoever can write to the folder can have a guard say something else. They cannot have it do anything."""
    fresh = reader.load()
    packed = kept(folder).read_text(encoding="utf-8")
    guard = next(each.guard.code for each in fresh["gift_card"].transitions.values() if each.guard is not None)
    spoiled = packed.replace(json.dumps(guard), json.dumps(code))
    assert spoiled != packed
    kept(folder).write_text(spoiled, encoding="utf-8")
    same(reader.load(), fresh)


def test_opening_what_was_kept_loads_nothing_that_reads(folder: Path, tmp_path: Path) -> None:
    program = "import sys, tallystick; tallystick.open(sys.argv[1]).close(); print(*sys.modules)"
    said = ""
    for _ in range(2):
        given = [sys.executable, "-c", program, str(tmp_path / "books.db")]
        said = subprocess.run(given, env=os.environ, check=True, capture_output=True, text=True).stdout
    loaded = set(said.split())
    assert not {"transitions", "ruamel.yaml", "jsonschema", "tallystick.definition.passes", "sqlite_utils"} & loaded
