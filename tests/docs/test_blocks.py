"""Every code block and every shell session of the documentation is run, or says above it why it is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from doc_blocks import ROOT, Block, Reader, blocks, commands, is_slow, same
from tallystick.cli.main import main

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "examples").rglob("README.md"))]
PAGES += [page for page in sorted((ROOT / "docs").rglob("*.md")) if not re.fullmatch(r"TS\d+", page.stem)]
# The pages of the findings are run by tests/check: test_structure_pages, test_model_pages, test_proof_pages.


def marked(page: Path) -> object:
    marks = [pytest.mark.slow] if is_slow(page) else []
    return pytest.param(page, id=str(page.relative_to(ROOT)), marks=marks)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    for name in ("STORE", "PROVIDER", "MACHINES", "SEAL_KEY", "PINS", "PIN_POLICY"):
        monkeypatch.delenv(f"TALLYSTICK_{name}", raising=False)
    somebody = Reader(tmp_path)
    yield somebody
    somebody.close()


@pytest.mark.parametrize("page", [marked(page) for page in PAGES if any(each.runs for each in blocks(page))])
def test_a_page_does_what_it_says(page: Path, reader: Reader) -> None:
    for block in blocks(page):
        reader.run(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_has_a_language_and_every_reason_is_true(page: Path) -> None:
    for block in blocks(page):
        assert block.language not in ("", "indented"), f"{block}: say what it is, such as text, sh, or python"
        assert block.language == "text" or block.mark != "prints"
        kind, _, said = block.mark.partition(":")
        if block.mark.startswith("run by"):
            (test,) = re.fullmatch(r"run by (\S+)", block.mark).groups()  # type: ignore[union-attr]
            text = (ROOT / test).read_text(encoding="utf-8")
            assert page.name in text or test == ".ci/run", f"{block}: {test} does not read this page"
        elif block.mark:
            assert block.mark in ("prints", "before") or (kind in ("not run", "file") and said.strip()), block.mark
        if block.language in ("sh", "console"):
            there(block)


def there(block: Block) -> None:
    """The commands of tallystick in it exist, and have these options, whether they are run or not."""
    for line, _ in commands(block):
        for found in re.finditer(r"(?:^|[ /])tallystick ([a-z]+)((?: [^|&;#]*)?)", line):
            command = main.commands.get(found[1])
            assert command is not None, f"{block}: there is no tallystick {found[1]}"
            known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help", "-h"}
            given = re.findall(r"(?<=\s)--[a-z-]+", found[2])
            assert [name for name in given if name not in known] == [], str(block)


def test_a_page_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    """A sentence that is not printed, a command that fails, and a name that is not there are each an error."""
    page = ROOT / "docs/made-up.md"
    reader = Reader(tmp_path)
    reader.run(Block(page, 1, "console", "$ echo one  two\none two\n", ""))
    reader.run(Block(page, 1, "python", "print('1 card')", ""))
    reader.run(Block(page, 1, "text", "1\ncard", "prints"))
    for wrong in (
        Block(page, 1, "console", "$ echo one\ntwo\n", ""),
        Block(page, 1, "sh", "false\n", ""),
        Block(page, 1, "python", "nobody", ""),
        Block(page, 1, "text", "2 cards", "prints"),
        Block(page, 1, "ruby", "1", ""),
    ):
        with pytest.raises((AssertionError, NameError)):
            reader.run(wrong)
    assert same("card …0281 carries", "card … carries")
    assert not same("10.00", "10.0")
